"""Tensor and the tape: reverse-mode differentiation of eager NumPy computations.

Not here: the operations. `fastconv.ops` subclasses Op and attaches Tensor's operators and methods; this file knows
none of them. Tensors without data, and what operations do on them, are in symbolic.py.
Contract: a Tensor wraps one float32 or float64 array, which it shares. The tape is the links from a Tensor to the Op
that made it and from an Op to its sources: the Ops (or leaf Tensors) of its inputs, not the inputs' arrays. `backward`
walks them once with a loop, newest Op first, and drops what each Op saved. Gradients are plain arrays; an array that
lands on a leaf's `grad` belongs to that leaf alone.
"""

from __future__ import annotations

import functools
import itertools
import operator
import threading
from contextlib import contextmanager

import numpy as np

from . import kernels

FLOAT32, FLOAT64 = np.dtype("float32"), np.dtype("float64")
_next_order = itertools.count(1).__next__
_TAPE = {"needs", "sources", "order"}  # what the tape itself keeps on an Op


class _Mode(threading.local):
    recording = True
    draw = None  # what operations of this thread do instead of computing, while a Trace is drawn (symbolic.py)


_mode = _Mode()


class no_grad:
    """Record nothing on the tape: `with no_grad(): ...`, or `@no_grad()` above a function. Per thread."""

    def __init__(self):
        self._previous = []  # one object may be entered again

    def __enter__(self):
        self._previous.append(_mode.recording)
        _mode.recording = False

    def __exit__(self, *exception):
        _mode.recording = self._previous.pop()

    def __call__(self, function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            with no_grad():
                return function(*args, **kwargs)

        return call


def is_recording() -> bool:
    """Whether operations of this thread go on the tape."""
    return _mode.recording


class Tensor:
    """An array that remembers how it was computed.

    `data`: a float32 or float64 array (shared, not copied), a number or a nested list of numbers (float32), or another
    Tensor. Anything else raises TypeError unless `dtype` ("float32" or "float64") asks for the conversion.
    `requires_grad=True` makes it a leaf that `backward` gives a `grad`.
    """

    __slots__ = ("data", "_requires_grad", "_grad", "_node", "_logits", "__weakref__")
    symbolic = False  # whether it has no data, see symbolic.KerasTensor
    __array_ufunc__ = None  # so that array + tensor is a Tensor

    def __init__(self, data, requires_grad=False, dtype=None):
        self._set(_new_array(data, dtype), bool(requires_grad), None)

    def _set(self, data, requires_grad, node):
        self.data = data
        self._requires_grad = requires_grad
        self._grad = None
        self._node = node
        self._logits = None  # (op name, logits, axis), left by ops.softmax and ops.sigmoid for the cross-entropies

    # ------------------------------------------------------------------------------------------------- the array

    shape = property(lambda self: self.data.shape, doc="The tuple of sizes.")
    ndim = property(lambda self: self.data.ndim, doc="The number of axes.")
    size = property(lambda self: self.data.size, doc="The number of elements.")
    dtype = property(lambda self: self.data.dtype, doc="float32 or float64, as a NumPy dtype.")

    def numpy(self):
        """The array itself, not a copy."""
        return self.data

    def item(self):
        """The only element as a Python float; ValueError if there are more."""
        return self.data.item()

    def detach(self):
        """A Tensor on the same array that the tape does not know."""
        return Tensor(self.data)

    def __array__(self, dtype=None, copy=None):
        if copy is False and dtype is not None and np.dtype(dtype) != self.data.dtype:
            raise ValueError(f"A {self.data.dtype} Tensor cannot become a {np.dtype(dtype)} array without a copy.")
        return self.data.astype(dtype or self.data.dtype, copy=bool(copy))

    def __len__(self):
        if not self.data.ndim:
            raise TypeError("A Tensor of shape () has no length.")
        return len(self.data)

    def __iter__(self):
        return map(self.__getitem__, range(len(self)))

    def __float__(self):
        return self.item()

    def __bool__(self):
        return bool(self.data)

    def __repr__(self):
        return f"Tensor({self._summary()}{', requires_grad=True' if self._requires_grad else ''})"

    def _summary(self):
        if self.data.size > 64:
            return f"shape={self.data.shape}, dtype={self.data.dtype}"
        return f"{np.array2string(self.data, separator=', ', prefix='Tensor(')}, dtype={self.data.dtype}"

    # ---------------------------------------------------------------------------------------------- the gradient

    @property
    def requires_grad(self):
        """Whether the tape follows this Tensor; it can be set on leaves, Tensors that no operation made."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        if self._node is not None:
            raise RuntimeError("requires_grad can be set only on a Tensor that no operation made; detach() it first.")
        if self._requires_grad != bool(value):
            self._requires_grad = bool(value)
            kernels.note_change()  # programs hold whose gradients are wanted

    @property
    def grad(self):
        """The sum of the gradients that `backward` brought to this leaf, an array of its shape, or None."""
        return self._grad

    @grad.setter
    def grad(self, value):
        self._grad = None if value is None else _gradient("grad", value, self.data)

    def backward(self, gradient=None):
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


def wrap(data, requires_grad=False, node=None):
    """A Tensor on a float array that needs no check."""
    tensor = Tensor.__new__(Tensor)
    tensor._set(data, requires_grad, node)
    return tensor


class Parameter(Tensor):
    """A trainable leaf with a name: a layer's weight.

    It owns a C-contiguous copy of `data`, so that training never writes into the caller's array, and shows it read-only:
    values change through `assign` or `with parameter.writable() as array: ...`, which raise `version` by one.
    `regularizer` and `constraint` are what a layer's add_weight set: functions of the Parameter, or None; `path` is the
    name below the layer's.
    """

    __slots__ = ("name", "version", "array", "path", "constraint", "_regularizer", "_view", "_packs")

    def __init__(self, data, name=None, trainable=True, dtype=None):
        self._own(np.array(_new_array(data, dtype), order="C"))
        self._requires_grad = bool(trainable)
        self._grad = self._node = self._logits = None
        self._packs = []
        self.name = self.path = name
        self.version = 0
        self.constraint = self._regularizer = None

    def _own(self, array):
        self.array = array  # fastconv's own, for kernels that write into it
        self._view = array.view()
        self._view.flags.writeable = False

    @property
    def data(self):
        """The values, as an array that cannot be written to."""
        return self._view

    @data.setter
    def data(self, value):
        raise AttributeError(f"Parameter {self.name!r} keeps its own memory: use parameter.assign(values).")

    @contextmanager
    def writable(self):
        """`with parameter.writable() as array: ...`: the values as an array to write into."""
        array = self.array.view()
        try:
            yield array
        finally:
            array.flags.writeable = False
            self.version += 1

    def __reduce__(self):
        rules = self.path, self._regularizer, self.constraint
        return _parameter, (type(self), self.array, self.name, self._requires_grad, self.version, *rules)

    def packs(self, *others):
        """The Packs of this kernel's values and other Parameters' (or None), as they are now."""
        versions = (self.version, *[None if other is None else other.version for other in others])
        for known, mark, packs in self._packs:
            if mark == versions and all(map(operator.is_, known, others)):
                return packs
        packs, rows = kernels.Packs(), [row for row in self._packs if row[1][0] == self.version]
        self._packs = [*[row for row in rows if not all(map(operator.is_, row[0], others))], (others, versions, packs)]
        return packs

    @property
    def trainable(self):
        """The same switch as `requires_grad`, under Keras' name."""
        return self._requires_grad

    @trainable.setter
    def trainable(self, value):
        self.requires_grad = value

    @property
    def regularizer(self):
        """The function of the Parameter whose value its layer adds to the loss, or None."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, value):
        self._regularizer = value
        kernels.note_change()  # programs of training steps hold what it computes

    @property
    def value(self):
        """The Parameter itself, which is a Tensor."""
        return self

    def assign(self, value):
        """Copy an array of this shape into the parameter's own memory, in its own dtype."""
        array = value.data if isinstance(value, Tensor) else np.asarray(value)
        if array.shape != self.data.shape:
            raise ValueError(f"Parameter {self.name!r} has shape {self.shape}; got a value of shape {array.shape}.")
        np.copyto(self.array, array, casting="same_kind")
        self.version += 1

    def assign_add(self, value):
        """`assign(self + value)`, of an array of this shape or a number."""
        self.assign(np.add(self.data, value.data if isinstance(value, Tensor) else value))

    def assign_sub(self, value):
        """`assign(self - value)`, of an array of this shape or a number."""
        self.assign(np.subtract(self.data, value.data if isinstance(value, Tensor) else value))

    def numpy(self):
        """A copy of the values."""
        return self.array.copy()

    def __repr__(self):
        frozen = "" if self._requires_grad else ", trainable=False"
        return f"Parameter({self.name!r}, {self._summary()}{frozen})"


def _parameter(cls, array, name, trainable, version, path=None, regularizer=None, constraint=None):
    parameter = cls(array, name, trainable)
    parameter.version = version
    parameter.path, parameter.regularizer, parameter.constraint = path, regularizer, constraint
    return parameter


class Op:
    """One differentiable operation: a subclass defines `forward` and `backward`, and is called through `apply`.

    `forward(self, *arrays, **attributes)` returns one array and keeps on `self` what backward needs;
    `backward(self, dy)` returns one array or None for each input (a lone one needs no tuple), never writes into `dy`
    nor into what was saved, and may skip the inputs whose `self.needs` is False. `shape(*shapes, **attributes)` gives
    the output's shape for the inputs' (None for an input of None; an open size is None), or raises what forward would.
    """

    integers: tuple[int, ...] = ()  # the inputs that hold integers, such as labels
    stateful = False  # whether it computes something else each time, such as random numbers
    weights = False  # whether inputs 1 and 2 are a kernel and a bias, of which kernels keep what they make: `packs`
    packs = None
    kernels = (
        False  # whether forward and backward run compiled kernels alone, whose arrays they neither convert nor copy
    )
    updates: tuple[int, ...] = ()  # the inputs, Parameters, that forward changes in place, such as moving statistics

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

    def take_packs(self, inputs):
        """Finds what is kept of the weights among `inputs`, unless they are being trained."""
        kernel, bias = inputs[1:3]
        if isinstance(kernel, Parameter) and (bias is None or isinstance(bias, Parameter)) and not any(self.needs[1:3]):
            self.packs = kernel.packs(bias)

    @classmethod
    def apply(cls, *inputs, **attributes):
        """Run the operation on Tensors, float arrays, numbers (which take the others' dtype) or None; a Tensor."""
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
            arrays = unify(cls.__name__, arrays, cls.integers)
        for place in cls.updates:
            if isinstance(inputs[place], Parameter):
                arrays[place] = inputs[place].array
        op = cls()
        op.needs = tuple([source is not None for source in sources])
        if cls.weights:
            op.take_packs(inputs)
        data = op.forward(*arrays, **attributes)
        for place in cls.updates:
            if isinstance(inputs[place], Parameter):
                inputs[place].version += 1
        if type(data) is not np.ndarray:
            data = np.asarray(data)
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


def _step(op, pending, owned):
    dy = pending.pop(op)
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
        _collect(pending, owned, source, array, lent)
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


def _collect(pending, owned, source, array, lent):
    """Add `array` to what is pending for `source`: in place only where the buffer is the tape's alone.

    A leaf keeps its array, so it gets one that shares no memory with those in `lent`.
    """
    total = pending.get(source)
    if total is None:
        if isinstance(source, Tensor):
            array = _own(source, array, lent)
            owned.add(source)
        pending[source] = array
    elif source in owned:
        kernels.add_into(total, array)
    else:
        pending[source] = kernels.combine("add", total, array)
        owned.add(source)


def _own(leaf, array, lent):
    if array.shape != leaf.data.shape or array.dtype != leaf.data.dtype:
        raise RuntimeError(
            f"An Op's backward returned a gradient of shape {array.shape}, {array.dtype} for an input of shape "
            f"{leaf.data.shape}, {leaf.data.dtype}."
        )
    flags = array.flags
    alone = flags.c_contiguous and flags.writeable and not any([np.may_share_memory(array, other) for other in lent])
    return array if alone else array.copy(order="C")


def _arrays(values):
    """The arrays in a nest of tuples and lists."""
    found = []
    for value in values:
        if isinstance(value, np.ndarray):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += _arrays(value)
    return found


# --------------------------------------------------------------------------------------------- arrays at the edge


def _new_array(data, dtype):
    """The array of a new Tensor."""
    if isinstance(data, Tensor):
        data = data.data
    if dtype is not None:
        if np.dtype(dtype) not in (FLOAT32, FLOAT64):
            raise TypeError(f"dtype must be 'float32' or 'float64'; got {dtype!r}.")
        return np.asarray(data, dtype)
    if type(data) in (bool, int, float, list, tuple):
        array = np.asarray(data)
        if array.dtype.kind in "iuf":
            return array.astype(FLOAT32)
    else:
        array = np.asarray(data)
        if array.dtype in (FLOAT32, FLOAT64):
            return array
    raise TypeError(
        f"A Tensor holds float32 or float64; got {array.dtype} data. Convert it: Tensor(data, dtype='float32'), or "
        "data.astype('float32')."
    )


def unify(name, values, integers=()):
    """The inputs of the operation `name` as arrays of one float dtype, the slow way: numbers and lists are weak. Those
    at the places `integers` keep their dtype, and so do tensors without data."""
    arrays, weak, dtypes = [], [], set()
    for place, value in enumerate(values):
        light = isinstance(value, (bool, int, float, list, tuple, np.generic))
        if value is not None and not light and not isinstance(value, Tensor):
            value = np.asarray(value)
        if value is not None and not light and place not in integers:
            dtypes.add(value.dtype)
        arrays.append(value)
        weak.append(light)
    for dtype in dtypes:
        if dtype not in (FLOAT32, FLOAT64):
            raise TypeError(f"{name} works on float32 or float64; got {dtype}. Convert it with .astype('float32').")
    if len(dtypes) > 1:
        raise TypeError(
            f"{name} got float32 and float64 together; fastconv does not convert silently. Convert one of them with "
            ".astype('float32') or .astype('float64')."
        )
    dtype = dtypes.pop() if dtypes else FLOAT32
    return [_new_array(value, dtype) if light else value for value, light in zip(arrays, weak)]


def _gradient(name, value, data):
    """`value` as an array that fits `data`."""
    array = unify(name, [data, value.data if isinstance(value, Tensor) else value])[1]
    if array.shape != data.shape:
        raise ValueError(f"{name} must have the Tensor's shape {data.shape}; got {array.shape}.")
    return array
