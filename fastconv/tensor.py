"""Tensor and the tape: reverse-mode differentiation of eager NumPy computations.

Not here: the operations. `fastconv.ops` subclasses Op and attaches Tensor's operators and methods; this file knows
none of them. Tensors without data, and what operations do on them, are in symbolic.py.
Contract: a Tensor wraps one array of floats (float32 or float64), integers or booleans, which it shares; gradients flow
through floats alone. The tape is the links from a Tensor to the Op that made it and from an Op to its sources: the Ops
(or leaf Tensors) of its inputs, not the inputs' arrays. `backward` walks them once with a loop, newest Op first, and
drops what each Op saved. Gradients are plain arrays; an array that lands on a leaf's `grad` belongs to that leaf alone.
"""

from __future__ import annotations

import functools
import itertools
import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import config, kernels
from .edge import DTYPES, FLOAT32, FLOAT64, DTypeLike, from_dlpack, has_floats, new_array, unify  # noqa: F401
from .protocols import Protocols

if TYPE_CHECKING:
    from types import TracebackType

    from .tensor_methods import TensorMethods
else:
    TensorMethods = object  # ops/methods.py puts them on Tensor

_Function = TypeVar("_Function", bound=Callable[..., Any])
_next_order = itertools.count(1).__next__
_TAPE = {"needs", "sources", "order"}  # what the tape itself keeps on an Op


class _Mode(threading.local):
    recording = True
    draw = None  # what operations of this thread do instead of computing, while a Trace is drawn (symbolic.py)
    inside = False  # a layer's call that is being drawn, outside any Trace: nothing is to change by it


_mode = _Mode()


class NoValues(TypeError):
    """Somebody asked a tensor without data for its values, or wants a change at each call of what is drawn but once."""


class no_grad:
    """Record nothing on the tape: `with no_grad(): ...`, or `@no_grad()` above a function. Per thread."""

    def __init__(self) -> None:
        self._previous: list[bool] = []  # one object may be entered again

    def __enter__(self) -> None:
        self._previous.append(_mode.recording)
        _mode.recording = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _mode.recording = self._previous.pop()

    def __call__(self, function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with no_grad():
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]


def is_recording() -> bool:
    """Whether operations of this thread go on the tape."""
    return _mode.recording


class Tensor(Protocols, TensorMethods):
    """An array that remembers how it was computed.

    `data`: an array of float32, float64, integers or booleans (shared, not copied), a number or a nested list of
    numbers (float32) or of booleans, an array of another library that speaks DLPack (shared too), or another Tensor.
    Anything else raises TypeError unless `dtype` asks for the conversion. `requires_grad=True` makes it a leaf that
    `backward` gives a `grad`; only floats can be one.

    Comparisons are element by element, as NumPy's; a Tensor's hash is its identity, so that it can be a key.
    """

    # _keras_mask is not there where there is none (layers/masks.py)
    __slots__ = ("data", "_requires_grad", "_grad", "_node", "_logits", "_keras_mask", "__weakref__")
    symbolic = False  # whether it has no data, see symbolic.KerasTensor

    def __init__(self, data: TensorLike, requires_grad: bool = False, dtype: DTypeLike | None = None):
        array = new_array(data, dtype)
        if requires_grad and array.dtype.kind != "f":
            raise TypeError(
                f"Only float32 and float64 Tensors have gradients; got {array.dtype} and requires_grad=True."
            )
        self._set(array, bool(requires_grad), None)

    def _set(self, data, requires_grad, node):
        self.data = data
        self._requires_grad = requires_grad
        self._grad = None
        self._node = node
        self._logits = None  # (op name, logits, axis), left by ops.softmax and ops.sigmoid for the cross-entropies

    # ------------------------------------------------------------------------------------------------- the array

    @property
    def shape(self) -> tuple[int, ...]:
        """The tuple of sizes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        """The elements' type, as a NumPy dtype."""
        return self.data.dtype

    def numpy(self) -> np.ndarray:
        """The array itself, not a copy."""
        return self.data

    def detach(self) -> Tensor:
        """A Tensor on the same array that the tape does not know."""
        return Tensor(self.data)

    def __repr__(self) -> str:
        return f"Tensor({self._summary()}{', requires_grad=True' if self._requires_grad else ''})"

    def _repr_html_(self) -> str:
        from .notebook import text

        title = f"{type(self).__name__} {self.shape}, {self.dtype}"
        return text(title, "" if self.symbolic else np.array2string(self.data, threshold=64, edgeitems=2, precision=4))

    def _summary(self):
        if self.data.size > 64:
            return f"shape={self.data.shape}, dtype={self.data.dtype}"
        return f"{np.array2string(self.data, separator=', ', prefix='Tensor(')}, dtype={self.data.dtype}"

    # ---------------------------------------------------------------------------------------------- the gradient

    @property
    def requires_grad(self) -> bool:
        """Whether the tape follows this Tensor; it can be set on leaves, Tensors that no operation made."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None:
            raise RuntimeError("requires_grad can be set only on a Tensor that no operation made; detach() it first.")
        if value and self.dtype.kind != "f":
            raise TypeError(f"Only float32 and float64 Tensors have gradients; this one holds {self.dtype}.")
        if self._requires_grad != bool(value):
            self._requires_grad = bool(value)
            kernels.note_change()  # programs hold whose gradients are wanted

    @property
    def grad(self) -> np.ndarray | None:
        """The sum of the gradients that `backward` brought to this leaf, an array of its shape, or None."""
        return self._grad

    @grad.setter
    def grad(self, value: TensorLike | None) -> None:
        self._grad = None if value is None else _gradient("grad", value, self.data)

    def zero_grad(self) -> None:
        """Forget `grad`: it is None again."""
        self._grad = None

    def backward(self, gradient: TensorLike | None = None) -> None:
        """Add d(self)/d(leaf), weighted by `gradient`, to the `grad` of every leaf that self was computed from.

        `gradient` is an array or Tensor of self's shape and dtype; only a Tensor of one element does without. The
        tape's saved arrays are released: a second walk over the same operations raises RuntimeError.
        """
        if not self._requires_grad:
            raise RuntimeError(
                "backward() on a Tensor that does not require a gradient: no Tensor made with requires_grad=True led "
                "to it, or it was computed under no_grad()."
            )
        if gradient is not None:
            gradient = _gradient("gradient", gradient, self.data)
        elif self.data.size == 1:
            gradient = kernels.empty(self.data.shape, self.data.dtype)  # where a plan keeps it
            gradient.fill(1)
        else:
            raise ValueError(
                f"backward() of a Tensor of shape {self.shape} needs a gradient of that shape. Reduce it to one number "
                "first, as in x.sum().backward(), or pass gradient=np.ones_like(x)."
            )
        _walk(self if self._node is None else self._node, gradient)


TensorLike = Tensor | np.ndarray | np.generic | float | Sequence[Any]  # what operations take


def wrap(data: np.ndarray, requires_grad: bool = False, node: Any = None) -> Tensor:
    """A Tensor on a float array that needs no check."""
    tensor = Tensor.__new__(Tensor)
    tensor._set(data, requires_grad, node)
    return tensor


class Parameter(Tensor):
    """A trainable leaf with a name: a layer's weight; `fastconv.Variable` is its name in Keras.

    `initializer` is an array, a number, a nested list, or a Tensor, of which it owns a C-contiguous copy, or a function
    `f(shape, dtype)` (as `fastconv.Variable` a name too), which needs `shape`. `dtype` is by default the array's, or
    `config.floatx()`. `trainable=False` makes no leaf of it, and so do integers and booleans. `autocast`, `aggregation`
    and `synchronization` change nothing here; a `layout` is refused.

    Values change through `assign` or `with parameter.writable() as array: ...`, which raise `version` by one; `data` is
    read-only. `regularizer` and `constraint` are what a layer's add_weight set: functions of the Parameter, or None;
    `path` is the name below the layer's.
    """

    __slots__ = ("name", "version", "array", "path", "constraint", "_regularizer", "_view", "_packs")
    named_initializer: Callable[[str], Any] | None = None  # from a name to the function, see variables.py

    def __init__(
        self, initializer: Any, shape: Sequence[int] | None = None, dtype: Any = None, trainable: bool = True,
        autocast: bool = True, aggregation: str | None = "none", synchronization: str = "auto", name: str | None = None,
        layout: None = None,
    ):  # fmt: skip
        if isinstance(shape, str):
            raise TypeError(f"Parameter takes a shape second; give the name as name={shape!r}.")
        if layout is not None:
            raise ValueError("fastconv computes on one machine: leave layout out.")
        self._own(np.array(self._first_values(initializer, shape, dtype), order="C"))
        self._requires_grad = bool(trainable) and self.array.dtype.kind == "f"
        self._grad = self._node = self._logits = None
        self._packs = []
        self.name = self.path = "variable" if name is None else name
        self.version = 0
        self.constraint = self._regularizer = None

    @classmethod
    def _first_values(cls, initializer, shape, dtype):
        if isinstance(initializer, str) and cls.named_initializer is not None:
            initializer = cls.named_initializer(initializer)
        if callable(initializer):
            if shape is None:
                raise ValueError(f"A Parameter made by {initializer!r} needs a shape: shape=(3, 3).")
            initializer = initializer(tuple(shape), config.floatx() if dtype is None else dtype)
        elif dtype is None and not hasattr(initializer, "dtype"):
            dtype = config.floatx()
        array = new_array(initializer, dtype)
        if shape is not None and array.shape != tuple(shape):
            raise ValueError(f"shape={tuple(shape)} is not that of the values, {array.shape}: leave it out.")
        return array

    def _own(self, array):
        self.array = array  # fastconv's own, for kernels that write into it
        self._view = array.view()
        self._view.flags.writeable = False

    @property
    def data(self) -> np.ndarray:
        """The values, as an array that cannot be written to."""
        return self._view

    @data.setter
    def data(self, value: Any) -> None:
        raise AttributeError(f"Parameter {self.name!r} keeps its own memory: use parameter.assign(values).")

    @contextmanager
    def writable(self) -> Iterator[np.ndarray]:
        """`with parameter.writable() as array: ...`: the values as an array to write into."""
        array = self.array.view()
        try:
            yield array
        finally:
            array.flags.writeable = False
            self.version += 1

    def __dlpack__(self, **options: Any) -> Any:
        """A copy, since nobody but `assign` may write into the values; BufferError where copy=False asks for none."""
        if options.pop("copy", None) is False:
            raise BufferError(f"Parameter {self.name!r} does not share its memory; use parameter.numpy(), a copy.")
        return self.array.copy().__dlpack__(**options)

    def __reduce__(self):
        rules = self.path, self._regularizer, self.constraint
        return _parameter, (type(self), self.array, self.name, self._requires_grad, self.version, *rules)

    def packs(self, *others: Parameter | None) -> Any:
        """The Packs of this kernel's values and other Parameters' (or None), as they are now."""
        versions = (self.version, *[None if other is None else other.version for other in others])
        for known, mark, packs in self._packs:
            if mark == versions and all(map(operator.is_, known, others)):
                return packs
        packs, rows = kernels.Packs(), [row for row in self._packs if row[1][0] == self.version]
        self._packs = [*[row for row in rows if not all(map(operator.is_, row[0], others))], (others, versions, packs)]
        return packs

    @property
    def trainable(self) -> bool:
        """The same switch as `requires_grad`, under Keras' name."""
        return self._requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad = value

    @property
    def regularizer(self) -> Callable[[Tensor], Tensor] | None:
        """The function of the Parameter whose value its layer adds to the loss, or None."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, value: Callable[[Tensor], Tensor] | None) -> None:
        self._regularizer = value
        kernels.note_change()  # programs of training steps hold what it computes

    @property
    def value(self) -> Parameter:
        """The Parameter itself, which is a Tensor."""
        return self

    def assign(self, value: Any) -> Parameter:
        """Copies an array of this shape into the parameter's own memory, in its own dtype; the Parameter.

        In a layer's call it counts at every call: drawing one for its shapes changes nothing, and programs leave the
        layer to Python.
        """
        if _mode.inside:
            return self
        if _mode.draw is not None:
            raise NoValues(f"Parameter {self.name!r} is assigned to in a call.")
        array = value.data if isinstance(value, Tensor) else np.asarray(value)
        if array.shape != self.data.shape:
            raise ValueError(f"Parameter {self.name!r} has shape {self.shape}; got a value of shape {array.shape}.")
        np.copyto(self.array, array, casting="same_kind")
        self.version += 1
        return self

    def assign_add(self, value: Any) -> Parameter:
        """`assign(self + value)`, of an array of this shape or a number."""
        return self if _mode.inside else self.assign(np.add(self.data, _values(value)))

    def assign_sub(self, value: Any) -> Parameter:
        """`assign(self - value)`, of an array of this shape or a number."""
        return self if _mode.inside else self.assign(np.subtract(self.data, _values(value)))

    def numpy(self) -> np.ndarray:
        """A copy of the values."""
        return self.array.copy()

    def __repr__(self) -> str:
        frozen = "" if self._requires_grad else ", trainable=False"
        return f"Parameter({self.name!r}, {self._summary()}{frozen})"


def _parameter(cls, array, name, trainable, version, path=None, regularizer=None, constraint=None):
    parameter = cls(array, trainable=trainable, name=name)
    parameter.version = version
    parameter.path, parameter.regularizer, parameter.constraint = path, regularizer, constraint
    return parameter


def _values(value):
    return value.data if isinstance(value, Tensor) else value


class Op:
    """One differentiable operation: a subclass defines `forward` and `backward`, and is called through `apply`.

    `forward(self, *arrays, **attributes)` returns one array and keeps on `self` what backward needs;
    `backward(self, dy)` returns one array or None for each input (a lone one needs no tuple), never writes into `dy`
    nor into what was saved, and may skip the inputs whose `self.needs` is False. `shape(*shapes, **attributes)` gives
    the output's shape for the inputs' (None for an input of None; an open size is None), or raises what forward would.

    Inputs are of one float dtype. Where there is `exact(*arrays, **attributes)`, they may be integers or booleans of
    one dtype instead, and it gives the result, which has no gradient; nor has any result that is not of floats.
    """

    exact = None  # a function, or method, of arrays without floats
    integers: tuple[int, ...] = ()  # the inputs that are of a dtype of their own, such as labels and masks
    stateful = False  # whether it computes something else each time, such as random numbers
    weights = False  # whether inputs 1 and 2 are a kernel and a bias, of which kernels keep what they make: `packs`
    packs = None
    kernels = (
        False  # whether forward and backward run compiled kernels alone, whose arrays they neither convert nor copy
    )
    flat = False  # whether no gradient goes through
    lone = False  # whether the first input may be None, since an attribute stands for it
    updates: tuple[int, ...] = ()  # the inputs, Parameters, that forward changes in place, such as moving statistics
    # Whether backward gives its one input a new array of mostly zeros, to which `add_into(dy, total)` can add another
    # gradient in place: then many parts of one array cost no more than the array.
    adds_into = False

    needs: tuple[bool, ...]
    sources = None  # for each input its Op, its leaf Tensor, or None; None altogether once released
    order = 0

    def forward(self, *arrays, **attributes):
        raise NotImplementedError

    def backward(self, dy):
        raise NotImplementedError

    @staticmethod
    def shape(*shapes, **attributes):
        return shapes[0]

    @staticmethod
    def dtype(given, /, **attributes):
        """The output's dtype, for inputs of the dtype `given`: that, or the attribute `dtype`."""
        return attributes.get("dtype", given)

    def compute(self, *arrays, **attributes):
        """`forward`, or `exact` where no array is of floats."""
        if self.exact is None or has_floats(arrays, self.integers):
            return self.forward(*arrays, **attributes)
        kernels.cannot_be_repeated()
        return self.exact(*arrays, **attributes)

    def take_packs(self, inputs):
        """Finds what is kept of the weights among `inputs`, unless they are being trained."""
        kernel, bias = inputs[1:3]
        if kernel is None:
            raise TypeError(f"{type(self).__name__} needs a kernel; got None.")
        if isinstance(kernel, Parameter) and (bias is None or isinstance(bias, Parameter)) and not any(self.needs[1:3]):
            self.packs = kernel.packs(bias)

    @classmethod
    def apply(cls, *inputs, **attributes):
        """Run the operation on Tensors, float arrays, numbers (which take the others' dtype) or None; a Tensor."""
        if inputs and inputs[0] is None and not cls.lone:
            raise TypeError(f"{cls.__name__} needs an array or a number; got None.")
        if _mode.draw is not None:
            return _mode.draw(cls, inputs, attributes)
        arrays, sources, dtype, uniform = [], [], None, True
        recording, recorded = _mode.recording, False
        for value in inputs:
            source = None
            if isinstance(value, Tensor):
                if value.symbolic:
                    return value.draw(cls, inputs, attributes)
                if recording and value._requires_grad:
                    source = value if value._node is None else value._node
                    recorded = True
                value = value.data
            arrays.append(value)
            sources.append(source)
            if value is not None:
                if type(value) is not np.ndarray:
                    uniform = False
                elif value.dtype is not dtype:
                    uniform = uniform and dtype is None and (value.dtype is FLOAT32 or value.dtype is FLOAT64)
                    dtype = value.dtype
        if not uniform:
            arrays = unify(cls.__name__, arrays, cls.integers, cls.exact is not None)
        for place in cls.updates:
            if isinstance(inputs[place], Parameter):
                arrays[place] = inputs[place].array
        op = cls()
        op.needs = tuple([source is not None for source in sources])
        if cls.weights:
            op.take_packs(inputs)
        data = op.forward(*arrays, **attributes) if uniform else op.compute(*arrays, **attributes)
        for place in cls.updates:
            if isinstance(inputs[place], Parameter):
                inputs[place].version += 1
        if type(data) is not np.ndarray:
            data = np.asarray(data)
        if recorded and (cls.flat or data.dtype.kind != "f"):
            recorded = False
        if recorded:
            op.sources = sources
            op.order = _next_order()
        return wrap(data, recorded, op if recorded else None)


# ----------------------------------------------------------------------------------------------- walking the tape


def _walk(root, gradient):
    """Bring `gradient` from `root` (an Op or a leaf) to the leaves; nothing is stored if an Op fails."""
    pending, owned = {}, set()
    _collect(pending, owned, root, gradient, [gradient])
    for op in _newest_first(root):
        if op in pending:
            _step(op, pending, owned)
        vars(op).clear()
    for leaf, total in pending.items():
        leaf._grad = total if leaf._grad is None else np.asarray(leaf._grad + total)


def _step(op, pending, owned, shares=False):
    dy = pending.pop(op)
    if op.adds_into and op.sources[0] in owned:
        return op.add_into(dy, pending[op.sources[0]])
    if not dy.flags.c_contiguous:  # a part of another one's
        dy = kernels.readable(dy)
    results = op.backward(dy)
    if not isinstance(results, tuple):
        results = (results,)
    lent = None
    for source, array in zip(op.sources, results):
        if source is None or array is None:
            continue
        if lent is None:
            lent = [dy, *_arrays([value for name, value in vars(op).items() if name not in _TAPE])]
        array = np.asarray(array)
        alone = op.adds_into and source not in pending
        _collect(pending, owned, source, array, lent, shares)
        if alone:
            owned.add(source)
        lent.append(array)


def _newest_first(root):
    """Every Op that led to `root`, in the order in which their gradients are complete."""
    found = {root} if isinstance(root, Op) else set()
    stack = list(found)
    while stack:
        op = stack.pop()
        if op.sources is None:
            raise RuntimeError(
                "backward() through operations whose saved arrays an earlier backward() has released. Compute the "
                "result again, or add the losses up and call backward() once."
            )
        for source in op.sources:
            if isinstance(source, Op) and source not in found:
                found.add(source)
                stack.append(source)
    return sorted(found, key=lambda op: -op.order)


def _collect(pending, owned, source, array, lent, shares=False):
    """Add `array` to what is pending for `source`: in place only where the buffer is the tape's alone.

    A leaf keeps its array, so it gets one that shares no memory with those in `lent`; or, with `shares`, one that
    cannot be written to.
    """
    total = pending.get(source)
    if total is None:
        if isinstance(source, Tensor):
            own = _own(source, array, lent, shares)
            if not shares or own is array:
                owned.add(source)
            array = own
        pending[source] = array
    elif source in owned:
        kernels.add_into(total, array)
    else:
        pending[source] = kernels.combine("add", total, array)
        owned.add(source)


def _own(leaf, array, lent, shares):
    if array.shape != leaf.data.shape or array.dtype != leaf.data.dtype:
        raise RuntimeError(
            f"An Op's backward returned a gradient of shape {array.shape}, {array.dtype} for an input of shape "
            f"{leaf.data.shape}, {leaf.data.dtype}."
        )
    flags = array.flags
    alone = flags.c_contiguous and flags.writeable and not any([np.may_share_memory(array, other) for other in lent])
    if shares and not alone:
        array = array.view()
        array.flags.writeable = False
        return array
    return array if alone else array.copy() if flags.c_contiguous else kernels.readable(array)


def _arrays(values):
    """The arrays in a nest of tuples and lists."""
    found = []
    for value in values:
        if isinstance(value, np.ndarray):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += _arrays(value)
    return found


def _gradient(name, value, data):
    """`value` as an array that fits `data`."""
    array = unify(name, [data, value.data if isinstance(value, Tensor) else value])[1]
    if array.shape != data.shape:
        raise ValueError(f"{name} must have the Tensor's shape {data.shape}; got {array.shape}.")
    return array
