"""Layer: weights, shapes, names and configs; what every layer, a Sequential and a user's own layer share.

It is not the training loop (trainer.py) and does no arithmetic (ops do). Contract for subclasses, as in Keras: keep
each constructor argument as an attribute of the same name, make weights in `build(input_shape)` by `add_weight`,
compute in `call(inputs)` or `call(inputs, training=False)`; `__call__` converts, builds and checks before it calls.
Shapes are tuples whose first entry is the batch, None where the size is open.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
import re
import threading
from contextlib import contextmanager

import numpy as np

from fastconv import initializers, kernels, ops, registry
from fastconv.layers import configs
from fastconv.tensor import Parameter, Tensor, no_grad, wrap

_NOT_BUILT = frozenset((
    "activity_regularizer", "kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint",
    "noise_shape", "autocast", "lora_rank", "lora_alpha", "quantization_config", "batch_input_shape", "input_dim",
))  # fmt: skip
_counts: dict[str, int] = {}


class _State(threading.local):
    training = False  # what a layer inside a running call inherits
    room = None  # while a file is loaded, whose weights follow: the bytes that are left for them


_state = _State()


def in_training(training) -> bool:
    """Whether a call with this argument is one in training: None inherits the running call's mode."""
    return _state.training if training is None else bool(training)


def snake_case(name: str) -> str:
    """Keras' rule for automatic names: MaxPooling2D is max_pooling2d, ReLU is re_lu."""
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _automatic_name(cls) -> str:
    stem = snake_case(cls.__name__)
    _counts[stem] = count = _counts.get(stem, -1) + 1
    return f"{stem}_{count}" if count else stem


@contextmanager
def uninitialized_weights(size):
    """Weights that are built inside are zero and draw no random numbers; ValueError if they take more than `size`
    bytes, before they do."""
    before, _state.room = _state.room, size
    try:
        yield
    finally:
        _state.room = before


def _uninitialized(shape, dtype):
    _state.room -= math.prod(shape) * dtype.itemsize
    if _state.room < 0:
        raise ValueError(f"a weight of shape {shape} is larger than what is stored.")
    return np.broadcast_to(np.zeros((), dtype), shape)  # the Parameter's copy is the only array of its size


@functools.cache
def _takes_training(cls) -> bool:
    parameters = inspect.signature(cls.call).parameters.values()
    return any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)


def _build_once(build):
    @functools.wraps(build)
    def wrapper(self, input_shape):
        if not self.built:
            build(self, tuple(input_shape))
            self.built = True
            self._build_shape = tuple(input_shape)

    return wrapper


class Layer:
    """Base class of all layers.

    Arguments: `name` (automatic as in Keras: conv2d, conv2d_1, ...), `trainable` (False: fit leaves the weights
    alone), `dtype` ("float32", the default, or "float64"), `input_shape` (of one sample; for the first layer of a
    Sequential). An argument that nobody takes raises TypeError.
    """

    built = False
    _build_shape = None
    _checked_shape = None
    _fused_mark = None  # for which layers/fusion.py has checked the layers that run with this one
    _holders = (-1, ())  # the changes so far, and the attributes that may hold layers, see _sublayers
    _changes = 0  # of attributes, but for what a call notes about its input: plans become stale by it
    implied = {}  # argument -> the value that repr takes for granted, where it is not the default

    def __init__(self, *, name=None, trainable=True, dtype=None, input_shape=None, **unknown):
        cls = type(self)
        registry.reject_arguments(cls.__name__, unknown, tuple(configs.arguments(cls)), _NOT_BUILT)
        if name is not None and (not isinstance(name, str) or not name or "/" in name):
            raise ValueError(f"{cls.__name__}: name must be a non-empty string without '/'; got {name!r}.")
        self.name = name or _automatic_name(cls)
        self._dtype = _float_dtype(dtype, cls.__name__)
        self._input_shape = None if input_shape is None else sample_shape(input_shape, "input_shape")
        self._trainable = bool(trainable)
        self._weights = []  # those that follow self.trainable
        self._fixed_weights = []  # those added with trainable=False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "build" in vars(cls):
            cls.build = _build_once(cls.build)

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        if name not in ("_checked_shape", "_fused_mark", "_holders"):
            vars(self)["_changes"] = self._changes + 1

    def __delattr__(self, name):
        object.__delattr__(self, name)
        vars(self)["_changes"] = self._changes + 1

    def __getattr__(self, name):
        hint = "" if "_weights" in vars(self) else ": its __init__ must call super().__init__() first"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}{hint}")

    # What subclasses define

    def build(self, input_shape):
        """Makes the weights for inputs of this shape; runs once. The default has none to make."""

    build = _build_once(build)

    def call(self, inputs, training=False):
        """The forward computation, in ops: a Tensor to a Tensor."""
        raise NotImplementedError(f"{type(self).__name__} must define call(self, inputs).")

    def compute_output_shape(self, input_shape) -> tuple:
        """The output's shape for an input's shape. The default runs the layer once on a sample of zeros."""
        if None in input_shape[1:]:
            raise NotImplementedError(
                f"{type(self).__name__} must define compute_output_shape(input_shape) to take sizes of None."
            )
        with no_grad():
            output = self(np.zeros((1, *input_shape[1:]), self._dtype), training=False)
        return (input_shape[0], *output.shape[1:])

    def check_input(self, shape) -> None:
        """Raises ValueError if the layer cannot take inputs of this shape. The default takes all."""

    # Calling

    def __call__(self, inputs, training=None):
        """Output of the layer as a Tensor; `inputs` is an array or a Tensor, converted to the layer's dtype.

        `training` None means: as the layer or model that is calling this one, else False.
        """
        x = self.prepare(inputs)
        outer = _state.training
        _state.training = training = in_training(training)
        try:
            return self.call(x, training=training) if _takes_training(type(self)) else self.call(x)
        finally:
            _state.training = outer

    def prepare(self, inputs) -> Tensor:
        """`inputs` as a Tensor of the layer's dtype, checked; builds the layer for it."""
        x = inputs if type(inputs) is Tensor and inputs.dtype == self._dtype else self._convert(inputs)
        if x.shape[1:] != self._checked_shape or not self.built:
            self._check_and_build(x.shape)
        return x

    def _convert(self, inputs) -> Tensor:
        if type(inputs) is np.ndarray and inputs.dtype is self._dtype:  # the usual case
            return wrap(inputs)
        if isinstance(inputs, Layer):
            raise TypeError(
                f"{type(self).__name__} was called on {inputs.name!r}, a layer. Models are built as "
                "Sequential([...]) here; calling layers on Input() is not supported yet."
            )
        if isinstance(inputs, Tensor):
            return inputs if inputs.dtype == self._dtype else ops.cast(inputs, self._dtype)
        return Tensor(cast(numbers(inputs, "inputs"), self._dtype))

    def _check_and_build(self, shape):
        if not shape:
            raise ValueError(f"{type(self).__name__} expects a batch of samples; got a scalar.")
        self.check_input(shape)
        self.build((None, *shape[1:]))
        self._checked_shape = shape[1:]

    # Weights

    def add_weight(self, shape=(), initializer="glorot_uniform", dtype=None, trainable=True, name=None) -> Parameter:
        """A new weight of this layer. `trainable=False` keeps it out of training for good."""
        dtype = self._dtype if dtype is None else _float_dtype(dtype, type(self).__name__)
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        values = initializers.get(initializer)(shape, dtype) if _state.room is None else _uninitialized(shape, dtype)
        weight = Parameter(values)
        kept = self._weights if trainable else self._fixed_weights
        weight.name = name or f"weight{len(self._weights) + len(self._fixed_weights)}"
        weight.trainable = bool(trainable) and self._trainable
        kept.append(weight)
        return weight

    def _sublayers(self) -> list[Layer]:
        changes, holders = self._holders
        if changes != self._changes:
            weights = self._weights, self._fixed_weights
            holders = [
                value if isinstance(value, list) else tuple(layers)  # a list may change where it is
                for value in vars(self).values()
                if not any(value is own for own in weights)
                for layers in [[item for item in _items(value) if isinstance(item, Layer)]]
                if layers or isinstance(value, list)
            ]
            self._holders = self._changes, holders
        found = []
        for holder in holders:
            for item in holder:
                if isinstance(item, Layer) and all(item is not other for other in found):
                    found.append(item)
        return found

    @property
    def weights(self) -> list[Parameter]:
        """All weights: the layer's own, then those of the layers it holds."""
        own = [*self._weights, *self._fixed_weights]
        return own + [weight for layer in self._sublayers() for weight in layer.weights]

    @property
    def trainable_weights(self) -> list[Parameter]:
        return [weight for weight in self.weights if weight.trainable]

    @property
    def non_trainable_weights(self) -> list[Parameter]:
        return [weight for weight in self.weights if not weight.trainable]

    @property
    def trainable(self) -> bool:
        return self._trainable

    @trainable.setter
    def trainable(self, value):
        self._trainable = bool(value)
        for weight in self._weights:
            weight.trainable = self._trainable
        for layer in self._sublayers():
            layer.trainable = value

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights, in the order of `weights`."""
        return [weight.data.copy() for weight in self.weights]

    def set_weights(self, weights) -> None:
        """Takes arrays in the order of `weights`, and copies them; ValueError on a wrong count or shape."""
        own = self.weights
        arrays = [numbers(array, "weights") for array in weights]
        if len(arrays) != len(own):
            hint = "" if self.built else " It is not built yet: call it, or give it an input shape."
            raise ValueError(f"Layer {self.name!r} has {len(own)} weights; got {len(arrays)}.{hint}")
        for index, (weight, array) in enumerate(zip(own, arrays)):
            if weight.shape != array.shape:
                raise ValueError(
                    f"Layer {self.name!r} needs shape {weight.shape} for weights[{index}] ({weight.name}); "
                    f"got {array.shape}."
                )
        for weight, array in zip(own, arrays):
            weight.assign(array)

    def count_params(self) -> int:
        """The number of single values in the weights. ValueError before the layer is built."""
        if not self.built:
            raise ValueError(f"Layer {self.name!r} is not built, so its size is unknown: call it or build it first.")
        return sum(weight.data.size for weight in self.weights)

    # Description

    @property
    def dtype(self) -> str:
        return self._dtype.name

    def get_config(self) -> dict:
        """The constructor's arguments as JSON values; `from_config` makes an equal layer from them."""
        return configs.get_config(self)

    @classmethod
    def from_config(cls, config: dict):
        return cls(**config)

    def __repr__(self):
        text = configs.describe(self)
        if self._build_shape is None:
            return text
        return f"{text} {self._build_shape} -> {self.compute_output_shape(self._build_shape)}"


def _items(value):
    return value if isinstance(value, (list, tuple)) else (value,)


def _float_dtype(dtype, owner: str) -> np.dtype:
    try:
        found = np.dtype("float32" if dtype is None else dtype)
    except TypeError:
        found = None
    if found not in (np.float32, np.float64):
        raise ValueError(f"{owner}: dtype must be 'float32' or 'float64'; got {dtype!r}.")
    return found


def sample_shape(shape, name: str) -> tuple:
    """`shape` as a tuple of positive ints or None; ValueError otherwise."""
    try:
        sizes = tuple(None if size is None else operator.index(size) for size in shape)
    except TypeError:
        raise TypeError(
            f"{name} must be a tuple of ints or None, such as (28, 28, 1), without the batch; got {shape!r}."
        ) from None
    if any(size is not None and size < 1 for size in sizes):
        raise ValueError(f"{name} must hold sizes of at least 1; got {shape!r}.")
    return sizes


def numbers(values, name: str) -> np.ndarray:
    """`values` as an array of real numbers or bools; TypeError naming `name` otherwise."""
    array = values.data if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name} must hold real numbers; got an array of dtype {array.dtype}.")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def cast(array: np.ndarray, dtype) -> np.ndarray:
    """`array` itself if it has this dtype, else a converted copy on cached memory."""
    if array.dtype == dtype:
        return array
    converted = kernels.empty(array.shape, dtype)
    np.copyto(converted, array, casting="unsafe")
    return converted
