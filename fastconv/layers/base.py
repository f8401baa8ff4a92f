"""Layer: calls, shapes, names and configs; what every layer, a Sequential and a user's own layer share.

What a layer holds is in holder.py; this is not the training loop (trainer.py) and does no arithmetic (ops do). Contract
for subclasses, as in Keras: keep each constructor argument as an attribute of the same name, make weights in
`build(input_shape)` by `add_weight`, compute in `call(inputs)` or `call(inputs, training=False)`; `__call__` converts,
builds and checks before it calls.
Shapes are tuples whose first entry is the batch, None where the size is open. Threads may call one layer, built or not:
`build` runs once, in one of them, and leaves no weights if it fails.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastconv import kernels, ops, registry, regularizers, serialization
from fastconv.graph import Node, symbolic_leaves
from fastconv.layers import calls, configs, masks
from fastconv.layers.annotations import DTypeLike, RegularizerLike
from fastconv.layers.calls import state
from fastconv.layers.holder import Holder
from fastconv.layers.shapes import cast, float_dtype, is_shape, map_shapes, numbers, sample_shape
from fastconv.layers.specs import Specified, parameters_of
from fastconv.layers.unknown import on_sizes, on_zeros
from fastconv.nest import flatten, map_leaves
from fastconv.registry import snake_case
from fastconv.symbolic import KerasTensor, NoValues, is_tracing
from fastconv.tensor import Parameter, Tensor, wrap

_MISSING: Any = object()  # inputs that a call gives by name, if at all
_PACKAGE = __package__.partition(".")[0] + "."
_REFUSED = {
    "lora_rank": "it trains whole weights; freeze layers with trainable=False instead",
    "lora_alpha": "it trains whole weights; freeze layers with trainable=False instead",
    "quantization_config": "it computes in float32 and float64",
}
_ABSENT = {"enable_lora": _REFUSED["lora_rank"], "quantized_call": _REFUSED["quantization_config"]}  # methods of Keras'
_counts: dict[str, itertools.count] = {}
_builders: list[str] = []  # the names of the layers that are being built, each within the one before
building = threading.RLock()  # of layers: one thread at a time, which may build layers within layers
if hasattr(os, "register_at_fork"):  # a child never waits for a thread that it does not have
    os.register_at_fork(before=building.acquire, after_in_parent=building.release, after_in_child=building.release)


def _automatic_name(cls) -> str:
    stem = snake_case(cls.__name__)
    count = next(_counts.setdefault(stem, itertools.count()))
    return f"{stem}_{count}" if count else stem


@functools.cache
def _takes_training(cls) -> bool:
    parameters = inspect.signature(cls.call).parameters.values()
    return any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)


@functools.cache
def _has_nothing_to_build(cls) -> bool:
    """Whether it is, or builds on, a layer of this package that has no weights: not one of the user's on Layer itself."""
    ours = next(c for c in cls.__mro__ if c.__module__.startswith(__package__ + "."))
    return ours is not Layer and cls.build is Layer.build


def _build_once(build):
    @functools.wraps(build)
    def wrapper(self, input_shape=None, *others, **named):  # those of further inputs of `call`
        if self.built:
            if self._build_shape is None and not others and not named:  # it has nothing to build
                self._build_shape = _shape_of(input_shape)
            return
        with building:
            if self._half_built:  # the build of a base class, called by a subclass's own
                build(self, _shape_of(input_shape), *others, **named)
            elif not self.built:  # another thread may have been at it
                _build_whole(self, lambda shape: build(self, shape, *others, **named), _shape_of(input_shape))

    return wrapper


def _shape_of(shape):
    return tuple(shape) if is_shape(shape) else shape


@contextmanager
def building_within(layer: Holder) -> Iterator[None]:
    """The layers that are built inside are the layer's, by their paths."""
    _builders.append(layer.name)
    try:
        yield
    finally:
        _builders.pop()


def _build_whole(layer, build, shape):
    if layer._path is None:
        layer._path = "/".join([*_builders, layer.name])
    own = layer._weights, layer._fixed_weights
    counts = [len(weights) for weights in own]
    layer._half_built = True
    try:
        with building_within(layer):
            build(shape)
        layer._build_shape = shape
        layer.built = True  # last: who sees it takes no lock
    except BaseException:  # Ctrl-C too: what is built again must not have its weights twice
        layer.built = False
        for weights, count in zip(own, counts):
            del weights[count:]
        raise
    finally:
        layer._half_built = False


class Layer(Specified):
    """Base class of all layers.

    Arguments: `activity_regularizer` (a name, config, object or function of the output, whose value for each sample is
    added to the loss), `trainable` (False: fit leaves the weights alone), `dtype` ("float32", the default, or
    "float64"), `autocast` (False: Tensors of another dtype are not converted to it), `name` (automatic as in Keras:
    conv2d, conv2d_1, ...), `input_shape` (of one sample; for the first layer of a Sequential). Layers with weights take
    `kernel_initializer`, `kernel_regularizer` and `kernel_constraint`, and the same for their other weights: names,
    configs, objects or functions, of fastconv.initializers, regularizers and constraints. An argument that nobody takes
    raises TypeError.
    """

    built = False
    _half_built = False
    _build_shape = None
    _checked_shape = None
    activity_regularizer = None
    autocast = True
    keeps_integers = False  # whether `call` is given integers as such, as one of the user's own is; else as floats
    one_tensor = False  # whether it takes one tensor, so that a list or dict of them is refused
    _node = None  # its first call in a graph
    rescales = False  # whether it expects large numbers, such as the integers of images, and makes them small
    supports_masking = False  # whether what it gives has a mask, `compute_mask`'s; True where a class defines that
    kept_as: dict[str, str] = {}  # argument -> the attribute that has it, where that is of another name
    implied = {}  # argument -> the value that repr takes for granted, where it is not the default

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Names what the constructor needs and was not given."""
        if args or kwargs:  # a copy is made of nothing
            registry.require_arguments(cls, len(args), kwargs)
        layer = super().__new__(cls)
        if not cls.__module__.startswith(_PACKAGE):  # for its config, where the class keeps no attributes
            object.__setattr__(layer, "_given", {**dict(zip(parameters_of(cls.__init__), args)), **kwargs})
        return layer

    def __init__(
        self, *, activity_regularizer: RegularizerLike | None = None, trainable: bool = True,
        dtype: DTypeLike | None = None, autocast: bool = True, name: str | None = None,
        input_shape: Sequence[int | None] | None = None, **unknown: Any,
    ) -> None:  # fmt: skip
        cls = type(self)
        if "input_dim" in unknown and input_shape is None:  # Keras' older way to say it
            input_shape = (unknown.pop("input_dim"),)
        for argument, reason in _REFUSED.items():
            if unknown.pop(argument, None) is not None:
                raise ValueError(f"{cls.__name__}: {argument} is not for fastconv: {reason}.")
        registry.reject_arguments(cls.__name__, unknown, tuple(configs.arguments(cls)))
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f"{cls.__name__}: name must be a non-empty string without '/'; got {name!r}.")
        self.name = name or _automatic_name(cls)
        self._dtype = float_dtype(dtype, cls.__name__)
        self._input_shape = None if input_shape is None else sample_shape(input_shape, "input_shape")
        self._trainable = bool(trainable)
        if activity_regularizer is not None:
            self.activity_regularizer = regularizers.get(activity_regularizer)
        if not autocast:
            self.autocast = False
        self._weights = []  # those that follow self.trainable
        self._fixed_weights = []  # those added with trainable=False
        if _has_nothing_to_build(cls):
            self.built = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _build_once(cls.build)
        if "call" in vars(cls) and "keeps_integers" not in vars(cls):
            built_on = [base.__name__ for base in cls.__mro__[1:] if "call" in vars(base)]
            own = not cls.__module__.startswith(_PACKAGE)
            cls.keeps_integers = own and built_on == ["Layer"]
            cls.one_tensor = cls.one_tensor and not own
        if "compute_mask" in vars(cls) and "supports_masking" not in vars(cls):
            cls.supports_masking = True
        cls.__signature__ = configs.signature(cls)

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Parameter):
            self._keep(value)
        object.__setattr__(self, name, value)
        if name not in ("_checked_shape", "_holders"):  # notes that a call makes for itself
            kernels.note_change()  # after the change: who knows the number knows the change

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        kernels.note_change()

    def __getattr__(self, name: str) -> Any:
        if hasattr(type(self), name):  # a property, whose own AttributeError says more
            return object.__getattribute__(self, name)
        if name in _ABSENT:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}: {_ABSENT[name]}.")
        hint = "" if "_weights" in vars(self) else ": its __init__ must call super().__init__() first"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    # What subclasses define

    def build(self, input_shape: Any) -> None:
        """Makes the weights for inputs of this shape; runs once. The default has none to make."""

    build = _build_once(build)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The forward computation, in ops: a Tensor to a Tensor."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, inputs).")

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The output's shape for an input's shape, or a nest of them. The default asks the ops that `call` uses."""
        return map_leaves(lambda tensor: tensor.shape, self.draw_inside(map_shapes(self._symbol, input_shape)))

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """The mask of what the layer gives, from its inputs and their mask, or nests of them; see layers/masks.py. The
        default hands it on."""
        return previous_mask

    def is_complete(self) -> bool:
        """Whether every weight is there: the layer is built, or has none of its own to build and the layers within are."""
        return self.built or (type(self).build is Layer.build and all(one.is_complete() for one in self._sublayers()))

    def check_input(self, shape: Any) -> None:
        """Raises ValueError if the layer cannot take inputs of this shape. The default takes all."""

    # Calling

    def __call__(self, inputs: Any = _MISSING, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """Output of the layer as a Tensor, or a nest of them; `inputs` is an array or a Tensor, or a nest of them,
        converted to the layer's dtype.

        `training` None means: as the layer or model that is calling this one, else False. Called on a tensor without
        data (`fastconv.Input`), it draws: the result stands for what the layer will compute.
        """
        if inputs is _MISSING:
            inputs = self._named_inputs(kwargs)
        if not self.built and (args or kwargs) and len(parameters_of(type(self).build, True)) > 1:
            self._build_for_all(inputs, args, kwargs)
        return self.call_prepared(self.prepare(inputs), *args, training=training, **kwargs)

    def call_prepared(self, x: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """As `__call__`, for what `prepare` gave."""
        given = (x, args, kwargs) if args or kwargs else x
        if not is_tracing() and (given.symbolic if isinstance(given, Tensor) else symbolic_leaves(given)):
            if state.inside:
                return self.draw_inside(x, *args, training=training, **kwargs)
            return self._draw(x, args, training, kwargs)
        if args or kwargs:
            args, kwargs = map_leaves(self._convert_further, (args, kwargs))
        return self.run(x, training, *args, **kwargs)

    def run(self, x: Any, training: bool | None = None, *args: Any, **kwargs: Any) -> Any:
        """`call` in this mode, with the masks of the tensors that it is given."""
        outer, previous = (state.training, state.running), masks.of(x)
        if previous is not None or args or kwargs:
            kwargs = masks.arguments(type(self), x, args, kwargs)
            previous = kwargs.get("mask", previous)
        calls.begin(self)
        try:
            state.training = training = calls.in_training(training)
            state.running = True
            if _takes_training(type(self)):
                kwargs["training"] = training
            y = self.call(x, *args, **kwargs)
            if previous is not None or type(self).compute_mask is not Layer.compute_mask:
                self.note_masks(x, previous, y)
            if self.activity_regularizer is not None and not state.inside:
                self._regularize(y)
            return y
        finally:
            state.training, state.running = outer

    def _regularize(self, y):
        """Adds the activity_regularizer's value for each output, by sample."""
        for leaf in flatten(y):
            loss = self.activity_regularizer(leaf)
            self.add_loss(ops.divide(loss, float(leaf.shape[0])) if leaf.shape and leaf.shape[0] else loss)

    def note_masks(self, x: Any, previous: Any, outputs: Any) -> None:
        """Puts the masks on what `call` gave."""
        masks.attach(self, x, previous, outputs)

    def _draw(self, x, args, training, kwargs):
        """What the call would give, for tensors without data: a node of the user's graph."""
        calls.begin(self)
        if type(self).compute_output_spec is not Specified.compute_output_spec:  # the user's own says it
            mode = {} if training is None else {"training": training}
            outputs = self.compute_output_spec(x, *args, **mode, **kwargs)
        else:
            outputs = self.draw_inside(x, *args, training=training, **kwargs)
        # Each node has tensors of its own: a layer may give what it was given, or a constant.
        outputs = map_leaves(lambda leaf: masks.placeholder(leaf, KerasTensor(leaf.shape, leaf.dtype)), outputs)
        node = Node(self, (x, *args), kwargs if training is None else {**kwargs, "training": training}, outputs)
        self.note_call(node)
        return outputs

    def note_call(self, node: Node) -> None:
        """Notes the layer's first call in a graph."""
        if self._node is None:
            object.__setattr__(self, "_node", node)

    def __getstate__(self):
        """What copies keep: all but the calls in graphs, which Graph copies itself."""
        return {name: value for name, value in vars(self).items() if name not in ("_node", "_holders")}

    def __setstate__(self, kept):
        vars(self).update(kept)
        if "_dtype" in kept:  # a copied dtype is equal, but not the same, which costs each call a comparison
            vars(self)["_dtype"] = np.dtype(kept["_dtype"].name)

    def draw_inside(self, x: Any, *args: Any, training: bool | None = None, **kwargs: Any) -> Any:
        """The tensors without data that `call` gives for such, which are no nodes of a graph."""
        outer, state.inside = state.inside, True
        try:
            return self.run(x, training, *args, **kwargs)
        except TypeError as error:
            if not isinstance(error, NoValues):
                return on_sizes(
                    lambda x, args, kwargs: self.run(x, training, *args, **kwargs), (x, args, kwargs), error
                )
            shapes = map_leaves(lambda leaf: leaf.shape, x)
            if type(self).compute_output_shape is not Layer.compute_output_shape:
                outputs = map_shapes(self._symbol, self.compute_output_shape(shapes))
            else:
                y = on_zeros(
                    lambda x, args, kwargs: self.run(x, False, *args, **kwargs), (x, args, kwargs), self, error
                )
                outputs = map_leaves(lambda leaf: self._symbol((None, *leaf.shape[1:])), y)
            if masks.of(x) is not None or type(self).compute_mask is not Layer.compute_mask:
                self.note_masks(x, masks.of(x), outputs)
            return outputs
        finally:
            state.inside = outer

    def _symbol(self, shape):
        return KerasTensor(shape, self._dtype)

    def prepare(self, inputs: Any) -> Any:
        """`inputs` as a Tensor of the layer's dtype, or a nest of them, checked; builds the layer for it."""
        several = type(inputs) in (list, tuple) and inputs
        if several and all([type(i) is Tensor and i.dtype == self._dtype for i in inputs]):
            shapes = [i.shape for i in inputs]  # the usual case of several inputs
            if shapes != self._checked_shape or not self.built:
                self.ensure_built(map_leaves(lambda leaf: leaf.shape, inputs))
                self._checked_shape = shapes
            return inputs[:]
        if isinstance(inputs, (list, tuple, dict)) and any(
            isinstance(i, (Tensor, np.ndarray)) for i in flatten(inputs)
        ):
            x = map_leaves(self._convert, inputs)
            self.ensure_built(map_leaves(lambda leaf: leaf.shape, x))
            return x
        x = inputs if type(inputs) is Tensor and inputs.dtype == self._dtype else self._convert(inputs)
        if x.shape[1:] != self._checked_shape or not self.built:
            self.ensure_built(x.shape)
        return x

    def _convert(self, inputs) -> Tensor:
        if type(inputs) is np.ndarray and inputs.dtype is self._dtype:  # the usual case
            return wrap(inputs)
        if isinstance(inputs, Layer):
            raise TypeError(
                f"{type(self).__name__} was called on {inputs.name!r}, a layer. Call it on what a layer gives: "
                f"x = fastconv.Input(shape); x = {inputs.name}(x)."
            )
        if isinstance(inputs, Tensor):
            whole = inputs.dtype.kind != "f" and (inputs.symbolic or self.keeps_integers)
            if inputs.dtype == self._dtype or not self.autocast or whole:
                return inputs
            return masks.carry(inputs, ops.cast(inputs, self._dtype))
        array = numbers(inputs, "inputs")
        return Tensor(array if self.keeps_integers and array.dtype.kind != "f" else cast(array, self._dtype))

    def _convert_further(self, leaf):
        """An argument after the inputs, where it is an array of floats of another dtype, in the layer's."""
        if isinstance(leaf, (Tensor, np.ndarray)) and leaf.dtype.kind == "f":
            return self._convert(leaf)
        return leaf

    def _check(self, shape):
        if self.one_tensor and not is_shape(shape):
            kind = f"a {type(shape).__name__} of {len(shape)}"
            raise ValueError(
                f"{self._title()} takes one tensor; got {kind}: join several by layers.Concatenate(), give one without it."
            )
        if self._input_spec is not None:
            self._check_spec(shape)
        self.check_input(shape)

    def ensure_built(self, shape: Any) -> None:
        """Checks an input's shape, or a nest of shapes, and builds the layer for it."""
        if is_shape(shape):
            if not shape and self.keeps_integers:  # the user's own layer, which may take a number
                self.build(shape)
                return
            if not shape:
                raise ValueError(f"{type(self).__name__} expects a batch of samples; got a scalar.")
            self._check(shape)
            self.build((None, *shape[1:]))
            self._checked_shape = shape[1:]
            return
        self._check(shape)
        if not self.built:
            self.build(map_shapes(lambda one: (None, *one[1:]), shape))

    # Description

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values; `from_config` makes an equal layer from them."""
        return configs.get_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """The layer that `get_config` described, with the layers that its arguments hold."""
        return cls(**serialization.revived(config))

    def _repr_html_(self) -> str:
        from fastconv import notebook

        rows = [(weight.name, weight.shape, weight.dtype, f"{weight.size:,}") for weight in self.weights]
        if not rows:
            return notebook.text(repr(self))
        return notebook.table(repr(self), ["Weight", "Shape", "Type", "Numbers"], rows)

    def _title(self) -> str:
        """Who an error is about."""
        return f"Layer {self.name!r} ({type(self).__name__})"

    def __repr__(self):
        text = configs.describe(self)
        if self._build_shape is None or len(parameters_of(type(self).build, True)) > 1:
            return text
        return f"{text} {self._build_shape} -> {self.compute_output_shape(self._build_shape)}"


Layer.__signature__ = configs.signature(Layer)
