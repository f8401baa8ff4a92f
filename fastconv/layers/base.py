"""Layer: weights, shapes, names and configs; what every layer, a Sequential and a user's own layer share.

It is not the training loop (trainer.py) and does no arithmetic (ops do). Contract for subclasses, as in Keras: keep
each constructor argument as an attribute of the same name, make weights in `build(input_shape)` by `add_weight`,
compute in `call(inputs)` or `call(inputs, training=False)`; `__call__` converts, builds and checks before it calls.
Shapes are tuples whose first entry is the batch, None where the size is open. Threads may call one layer, built or not:
`build` runs once, in one of them, and leaves no weights if it fails.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
import operator
import os
import re
import threading
from contextlib import contextmanager

import numpy as np

from fastconv import config, initializers, kernels, ops, registry, serialization
from fastconv.graph import Node, symbolic_leaves
from fastconv.layers import configs, masks
from fastconv.nest import flatten, map_leaves
from fastconv.symbolic import KerasTensor, NoValues, is_tracing
from fastconv.tensor import Parameter, Tensor, no_grad, wrap

_NOT_BUILT = frozenset((
    "activity_regularizer", "kernel_regularizer", "bias_regularizer", "kernel_constraint", "bias_constraint",
    "depthwise_regularizer", "pointwise_regularizer", "depthwise_constraint", "pointwise_constraint",
    "beta_regularizer", "gamma_regularizer", "beta_constraint", "gamma_constraint", "alpha_regularizer",
    "alpha_constraint", "autocast", "lora_rank", "lora_alpha", "quantization_config", "batch_input_shape", "input_dim",
))  # fmt: skip
_counts: dict[str, itertools.count] = {}
building = threading.RLock()  # of layers: one thread at a time, which may build layers within layers
if hasattr(os, "register_at_fork"):  # a child never waits for a thread that it does not have
    os.register_at_fork(before=building.acquire, after_in_parent=building.release, after_in_child=building.release)


_NO_LAYERS = ("_holders", "_build_shape", "_checked_shape")  # notes of a layer's own, which hold none


class _State(threading.local):
    inside = False  # a layer's call that is being drawn
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
    count = next(_counts.setdefault(stem, itertools.count()))
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
        if self.built:
            return
        with building:
            if self._half_built:  # the build of a base class, called by a subclass's own
                build(self, _shape_of(input_shape))
            elif not self.built:  # another thread may have been at it
                _build_whole(self, build, _shape_of(input_shape))

    return wrapper


def _shape_of(shape):
    return tuple(shape) if is_shape(shape) else shape


def _build_whole(layer, build, shape):
    own = layer._weights, layer._fixed_weights
    counts = [len(weights) for weights in own]
    layer._half_built = True
    try:
        build(layer, shape)
        layer._build_shape = shape
        layer.built = True  # last: who sees it takes no lock
    except BaseException:  # Ctrl-C too: what is built again must not have its weights twice
        layer.built = False
        for weights, count in zip(own, counts):
            del weights[count:]
        raise
    finally:
        layer._half_built = False


class Layer:
    """Base class of all layers.

    Arguments: `name` (automatic as in Keras: conv2d, conv2d_1, ...), `trainable` (False: fit leaves the weights
    alone), `dtype` ("float32", the default, or "float64"), `input_shape` (of one sample; for the first layer of a
    Sequential). An argument that nobody takes raises TypeError.
    """

    built = False
    _half_built = False
    _build_shape = None
    _checked_shape = None
    _holders = (-1, ())  # the version then, and the attributes that may hold layers, see _sublayers
    _node = None  # its first call in a graph
    rescales = False  # whether it expects large numbers, such as the integers of images, and makes them small
    supports_masking = False  # whether what it gives has a mask, `compute_mask`'s; True where a class defines that
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
        if "compute_mask" in vars(cls) and "supports_masking" not in vars(cls):
            cls.supports_masking = True

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        if name not in ("_checked_shape", "_holders"):  # notes that a call makes for itself
            kernels.note_change()  # after the change: who knows the number knows the change

    def __delattr__(self, name):
        object.__delattr__(self, name)
        kernels.note_change()

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
        """The output's shape for an input's shape, or a nest of them. The default asks the ops that `call` uses."""
        return map_leaves(lambda tensor: tensor.shape, self.draw_inside(map_shapes(self._symbol, input_shape)))

    def compute_mask(self, inputs, previous_mask):
        """The mask of what the layer gives, from its inputs and their mask, or nests of them; see layers/masks.py. The
        default hands it on."""
        return previous_mask

    def check_input(self, shape) -> None:
        """Raises ValueError if the layer cannot take inputs of this shape. The default takes all."""

    # Calling

    def __call__(self, inputs, *args, training=None, **kwargs):
        """Output of the layer as a Tensor, or a nest of them; `inputs` is an array or a Tensor, or a nest of them,
        converted to the layer's dtype.

        `training` None means: as the layer or model that is calling this one, else False. Called on a tensor without
        data (`fastconv.Input`), it draws: the result stands for what the layer will compute.
        """
        return self.call_prepared(self.prepare(inputs), *args, training=training, **kwargs)

    def call_prepared(self, x, *args, training=None, **kwargs):
        """As `__call__`, for what `prepare` gave."""
        if not is_tracing() and symbolic_leaves((x, args, kwargs)):
            if _state.inside:
                return self.draw_inside(x, *args, training=training, **kwargs)
            return self._draw(x, args, training, kwargs)
        return self.run(x, training, *args, **kwargs)

    def run(self, x, training=None, *args, **kwargs):
        """`call` in this mode, with the masks of the tensors that it is given."""
        outer, previous = _state.training, masks.of(x)
        if previous is not None or args or kwargs:
            kwargs = masks.arguments(type(self), x, args, kwargs)
            previous = kwargs.get("mask", previous)
        try:
            _state.training = training = in_training(training)
            if _takes_training(type(self)):
                kwargs["training"] = training
            outputs = self.call(x, *args, **kwargs)
            if previous is not None or type(self).compute_mask is not Layer.compute_mask:
                self.note_masks(x, previous, outputs)
            return outputs
        finally:
            _state.training = outer

    def note_masks(self, x, previous, outputs):
        """Puts the masks on what `call` gave."""
        masks.attach(self, x, previous, outputs)

    def _draw(self, x, args, training, kwargs):
        """What the call would give, for tensors without data: a node of the user's graph."""
        outputs = self.draw_inside(x, *args, training=training, **kwargs)
        # Each node has tensors of its own: a layer may give what it was given, or a constant.
        outputs = map_leaves(lambda leaf: masks.placeholder(leaf, KerasTensor(leaf.shape, leaf.dtype)), outputs)
        node = Node(self, (x, *args), kwargs if training is None else {**kwargs, "training": training}, outputs)
        self.note_call(node)
        return outputs

    def note_call(self, node):
        """Notes the layer's first call in a graph."""
        if self._node is None:
            object.__setattr__(self, "_node", node)

    def __getstate__(self):
        """What copies keep: all but the calls in graphs, which Graph copies itself."""
        return {name: value for name, value in vars(self).items() if name not in ("_node", "_holders")}

    def draw_inside(self, x, *args, training=None, **kwargs):
        """The tensors without data that `call` gives for such, which are no nodes of a graph."""
        outer, _state.inside = _state.inside, True
        try:
            return self.run(x, training, *args, **kwargs)
        except NoValues as error:
            shapes = map_leaves(lambda leaf: leaf.shape, x)
            if type(self).compute_output_shape is not Layer.compute_output_shape:
                outputs = map_shapes(self._symbol, self.compute_output_shape(shapes))
            else:
                outputs = self._tried(shapes, error)
            if masks.of(x) is not None or type(self).compute_mask is not Layer.compute_mask:
                self.note_masks(x, masks.of(x), outputs)
            return outputs
        finally:
            _state.inside = outer

    def _tried(self, shapes, error):
        """The shapes of what `call` gives for one sample of zeros, since it asks for values."""
        if any(None in shape[1:] for shape in flatten_shapes(shapes)):
            raise NoValues(
                f"{type(self).__name__}.call asks for values, so its output's shape is not known where the input's is open: "
                f"define compute_output_shape(input_shape). ({error})"
            ) from None
        with no_grad():
            y = self.run(map_shapes(lambda shape: Tensor(np.zeros((1, *shape[1:]), self._dtype)), shapes), False)
        return map_leaves(lambda leaf: self._symbol((None, *leaf.shape[1:])), y)

    def _symbol(self, shape):
        return KerasTensor(shape, self._dtype)

    @property
    def input(self):
        """The tensors of the layer's first call in a graph; AttributeError if there was none."""
        return self._drawn().args[0]

    @property
    def output(self):
        """What the layer's first call in a graph gave; AttributeError if there was none."""
        return self._drawn().outputs

    def _drawn(self):
        if self._node is None:
            raise AttributeError(
                f"Layer {self.name!r} was not called in a graph, so it has no input and output tensors."
            )
        return self._node

    def prepare(self, inputs):
        """`inputs` as a Tensor of the layer's dtype, or a nest of them, checked; builds the layer for it."""
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
            if inputs.dtype == self._dtype or inputs.symbolic and inputs.dtype.kind != "f":
                return inputs
            return masks.carry(inputs, ops.cast(inputs, self._dtype))
        return Tensor(cast(numbers(inputs, "inputs"), self._dtype))

    def ensure_built(self, shape):
        """Checks an input's shape, or a nest of shapes, and builds the layer for it."""
        if is_shape(shape):
            if not shape:
                raise ValueError(f"{type(self).__name__} expects a batch of samples; got a scalar.")
            self.check_input(shape)
            self.build((None, *shape[1:]))
            self._checked_shape = shape[1:]
            return
        self.check_input(shape)
        if not self.built:
            self.build(map_shapes(lambda one: (None, *one[1:]), shape))

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
        """The layers that attributes hold, in lists, tuples and dicts too, each once."""
        (noted, holders), version = self._holders, kernels.version()
        if noted != version:
            weights = self._weights, self._fixed_weights
            holders = [
                value for name, value in list(vars(self).items())  # no thread sets another while `list` runs
                if _may_hold_layers(value) and name not in _NO_LAYERS and not any(value is own for own in weights)
            ]  # fmt: skip
            self._holders = version, holders
        if not holders:  # the usual case
            return []
        found = {id(item): item for holder in holders for item in flatten(holder) if isinstance(item, Layer)}
        return list(found.values())

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
        """The layer that `get_config` described, with the layers that its arguments hold."""
        return cls(**serialization.revived(config))

    def _title(self) -> str:
        """Who an error is about."""
        return f"Layer {self.name!r} ({type(self).__name__})"

    def __repr__(self):
        text = configs.describe(self)
        if self._build_shape is None:
            return text
        return f"{text} {self._build_shape} -> {self.compute_output_shape(self._build_shape)}"


def _may_hold_layers(value) -> bool:
    """Whether an attribute is a layer, or a container of some; lists and dicts may get theirs later."""
    if isinstance(value, tuple):
        return any(isinstance(item, Layer) for item in flatten(value))
    return isinstance(value, (Layer, list, dict))


def is_shape(value) -> bool:
    """Whether `value` is a shape, not a nest of shapes."""
    return isinstance(value, (list, tuple)) and all(
        size is None or isinstance(size, (int, np.integer)) for size in value
    )


def map_shapes(function, structure):
    """`structure`, a nest of shapes, with `function(shape)` for each."""
    if is_shape(structure):
        return function(tuple(structure))
    if isinstance(structure, dict):
        return {key: map_shapes(function, part) for key, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        return type(structure)(map_shapes(function, part) for part in structure)
    raise TypeError(f"A shape is a tuple of ints and None, such as (None, 28, 28, 1); got {structure!r}.")


def flatten_shapes(structure) -> list:
    """The shapes in a nest of shapes."""
    found = []
    map_shapes(found.append, structure)
    return found


def _float_dtype(dtype, owner: str) -> np.dtype:
    """The dtype of a name, a NumPy dtype or type, a policy, or None, the default; ValueError for other than floats."""
    if dtype is None:
        return np.dtype(config.default_dtype())
    try:
        dtype = np.dtype(getattr(dtype, "compute_dtype", dtype)).name
    except TypeError:
        pass  # the error shows what was given
    return np.dtype(config.checked_float(f"{owner}: dtype", dtype))


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
