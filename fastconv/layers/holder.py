"""Holder: what a layer holds, its weights and other layers, and what follows from them: lists, sizes, losses, copies.

It calls nothing and knows no input (base.py). Contract: the weights are the layer's own, the trained ones first, then
those of the layers that its attributes hold, in lists, tuples and dicts too; each is a Parameter with the regularizer
and the constraint that `add_weight` was given.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastconv import constraints, initializers, kernels, metrics, regularizers
from fastconv.layers import calls
from fastconv.layers.annotations import ConstraintLike, DTypeLike, InitializerLike, RegularizerLike
from fastconv.layers.shapes import cast, float_dtype, numbers
from fastconv.nest import flatten
from fastconv.tensor import Parameter, Tensor

# notes of a layer's own, which hold none
_NO_LAYERS = ("_holders", "_build_shape", "_build_shapes", "_checked_shape", "_given", "_rnn_states")
_AGGREGATIONS = (None, "none", "mean", "sum", "only_first_replica")


class _Loading(threading.local):
    room = None  # while a file is loaded, whose weights follow: the bytes that are left for them


_loading = _Loading()


@contextmanager
def uninitialized_weights(size: int) -> Iterator[None]:
    """Weights that are built inside are zero and draw no random numbers; ValueError if they take more than `size`
    bytes, before they do."""
    before, _loading.room = _loading.room, size
    try:
        yield
    finally:
        _loading.room = before


def _uninitialized(shape, dtype):
    _loading.room -= math.prod(shape) * dtype.itemsize
    if _loading.room < 0:
        raise ValueError(f"a weight of shape {shape} is larger than what is stored.")
    return np.broadcast_to(np.zeros((), dtype), shape)  # the Parameter's copy is the only array of its size


def _is_whole(dtype):
    try:
        return dtype is not None and np.dtype(dtype).kind in "iub"
    except TypeError:
        return False


class Holder:
    """Base class of Layer: the half that holds."""

    _holders = (-1, ())  # the version then, and the attributes that may hold layers, see _sublayers
    _path = None  # its name below those of the layers that built it
    _rnn_states: Sequence[Parameter] | None = None  # what a recurrent layer remembers

    # Weights

    def add_weight(
        self,
        shape: int | Sequence[int] | None = None,
        initializer: InitializerLike | None = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: RegularizerLike | None = None,
        constraint: ConstraintLike | None = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Parameter:
        """A new weight of this layer.

        `shape` is a tuple of ints, an int, or None for a single number; `initializer` (default "glorot_uniform", of
        integers and booleans "zeros"), `regularizer` and `constraint` are names, configs, objects or functions. `dtype` is
        the layer's by default; one of integers or "bool" goes with `trainable=False`, which keeps the weight out of
        training for good. `autocast` and `aggregation` change nothing here.
        """
        title = self._title()
        if isinstance(shape, str):
            raise TypeError(f"{title}: add_weight takes a shape first; give the name as name={shape!r}.")
        if overwrite_with_gradient:
            raise ValueError(f"{title}: overwrite_with_gradient is for float8 training, which is not built.")
        if aggregation not in _AGGREGATIONS:
            raise ValueError(f"{title}: aggregation must be one of {_AGGREGATIONS}; got {aggregation!r}.")
        whole = not trainable and _is_whole(dtype)
        if whole:
            dtype, initializer = np.dtype(dtype), "zeros" if initializer is None else initializer
        else:
            dtype = self._dtype if dtype is None else float_dtype(dtype, type(self).__name__)
        shape = () if shape is None else (shape,) if isinstance(shape, int) else tuple(shape)
        if None in shape:
            raise ValueError(f"{title}: a weight needs known sizes; got the shape {shape}.")
        initializer = initializers.get("glorot_uniform" if initializer is None else initializer)
        values = _uninitialized(shape, dtype) if _loading.room is not None else initializer(shape, dtype=dtype)
        if np.shape(values) != shape:
            raise ValueError(
                f"{title}: the initializer {initializer!r} made values of shape {np.shape(values)} for a weight of "
                f"shape {shape}."
            )
        weight = Parameter(cast(numbers(values, "the initializer's values"), dtype))
        weight.regularizer, weight.constraint = regularizers.get(regularizer), constraints.get(constraint)
        kept = self._weights if trainable else self._fixed_weights
        weight.name = name or f"weight{len(self._weights) + len(self._fixed_weights)}"
        weight.path = f"{self.path}/{weight.name}"
        weight.trainable = bool(trainable) and self._trainable
        kept.append(weight)
        return weight

    def add_variable(
        self, shape: int | Sequence[int], initializer: InitializerLike | None, dtype: DTypeLike | None = None,
        trainable: bool = True, autocast: bool = True, regularizer: RegularizerLike | None = None,
        constraint: ConstraintLike | None = None, name: str | None = None,
    ) -> Parameter:  # fmt: skip
        """As `add_weight`, under Keras' older name."""
        return self.add_weight(
            shape, initializer, dtype, trainable, autocast, regularizer, constraint, name=name
        )  # fmt: skip

    def _keep_rules(self, **given):
        """Keeps arguments such as kernel_initializer=, kernel_regularizer= and kernel_constraint= as attributes."""
        for name, value in given.items():
            setattr(self, name, _GETTERS[name.rpartition("_")[2]](value))

    def _add_ruled(self, name, shape, stem=None):
        """The weight `name` by the rules that were kept for `stem`, which is its name by default."""
        found = {kind: getattr(self, f"{stem or name}_{kind}", None) for kind in _GETTERS}
        return self.add_weight(shape, **found, name=name)

    @property
    def weights(self) -> list[Parameter]:
        """All weights, each once: the layer's own, each `fastconv.Variable` in its attributes too, then those of the
        layers it holds."""
        own = [*self._weights, *self._fixed_weights, *self._held(Parameter)]
        found = own + [weight for layer in self._sublayers() for weight in layer.weights]
        return list({id(weight): weight for weight in found}.values())

    def kept_weights(self) -> list[Parameter]:
        """`weights` and the states of stateful recurrent layers: what a file and a backup hold."""
        return self.weights + [state for layer in self.flatten_layers() for state in layer._rnn_states or ()]

    def _keep(self, weight):
        """Counts a Parameter that became an attribute among the layer's own weights."""
        own = self._weights if weight.trainable else self._fixed_weights
        if not any(weight is known for known in [*self._weights, *self._fixed_weights]):
            own.append(weight)

    @property
    def trainable_weights(self) -> list[Parameter]:
        """Those of `weights` that training moves."""
        return [weight for weight in self.weights if weight.trainable]

    @property
    def non_trainable_weights(self) -> list[Parameter]:
        """Those of `weights` that training leaves alone."""
        return [weight for weight in self.weights if not weight.trainable]

    @property
    def variables(self) -> list[Parameter]:
        """The same as `weights`."""
        return self.weights

    @property
    def trainable_variables(self) -> list[Parameter]:
        """The same as `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_variables(self) -> list[Parameter]:
        """The same as `non_trainable_weights`."""
        return self.non_trainable_weights

    @property
    def trainable(self) -> bool:
        """Whether training moves the weights; setting it sets it for the layers held, too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for weight in self._weights:
            weight.trainable = self._trainable
        for layer in self._sublayers():
            layer.trainable = value

    @property
    def path(self) -> str:
        """The layer's name, below those of the layers that built it: "encoder/conv2d"."""
        return self._path or self.name

    def get_weights(self) -> list[np.ndarray]:
        """Copies of the weights, in the order of `weights`."""
        return [weight.data.copy() for weight in self.weights]

    def set_weights(self, weights: Sequence[np.ndarray | Tensor]) -> None:
        """Takes arrays in the order of `weights`, and copies them; ValueError on a wrong count or shape."""
        self._take(weights, self.weights)

    def _take(self, weights, own):
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

    def save_own_variables(self, store: dict[str, np.ndarray]) -> None:
        """Puts copies of the layer's own weights, not of those held, into `store` under "0", "1", ..."""
        for number, weight in enumerate([*self._weights, *self._fixed_weights]):
            store[str(number)] = weight.data.copy()

    def load_own_variables(self, store: Mapping[str, np.ndarray]) -> None:
        """Takes what `save_own_variables` put into `store`; ValueError on a wrong count or shape."""
        self._take([store[str(number)] for number in range(len(store))], [*self._weights, *self._fixed_weights])

    def count_params(self) -> int:
        """The number of single values in the weights. ValueError before the layer is built."""
        if not self.is_complete():
            raise ValueError(f"Layer {self.name!r} is not built, so its size is unknown: call it or build it first.")
        return sum(weight.data.size for weight in self.weights)

    # Layers within

    def _sublayers(self) -> list:
        """The layers that attributes hold, in lists, tuples and dicts too, each once."""
        return self._held(Holder)

    def _held(self, kind) -> list:
        """The things of a class that attributes hold, or lists, tuples and dicts in them, each once."""
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
        found = {id(item): item for holder in holders for item in flatten(holder) if isinstance(item, kind)}
        return list(found.values())

    def flatten_layers(self) -> list[Holder]:
        """The layer and all layers in it, those of inner layers included."""
        found, stack = {}, [self]
        while stack:
            layer = stack.pop()
            if id(layer) not in found:
                found[id(layer)] = layer
                stack += layer._sublayers()[::-1]
        return list(found.values())

    @property
    def metrics(self) -> list[metrics.Metric]:
        """The Metric objects that the layer's attributes, and those of the layers it holds, are."""
        return [m for layer in self.flatten_layers() for m in vars(layer).values() if isinstance(m, metrics.Metric)]

    @property
    def metrics_variables(self) -> list[Any]:
        """The variables of `metrics`."""
        return [variable for metric in self.metrics for variable in getattr(metric, "variables", [])]

    # Losses

    def add_loss(self, loss: Tensor | list[Tensor]) -> None:
        """Adds a Tensor, or a nest of them, to what training makes small; to be called in `call`.

        It counts until the layer, or the one that called it, is called again; one that is no number counts by its sum.
        """
        for leaf in flatten(loss):
            if not isinstance(leaf, Tensor):
                raise TypeError(
                    f"{self._title()}: add_loss takes Tensors, such as 1e-3 * fastconv.ops.mean(x * x); got {leaf!r}."
                )
            if leaf.symbolic and not calls.state.running:
                raise ValueError(
                    f"{self._title()}: add_loss got a tensor of a graph, which has no values. Call it in the call of "
                    "a layer of your own, and put that into the graph."
                )
            calls.add(self, leaf)

    def zero_grad(self) -> None:
        """Drops the gradients that `backward` left on the weights, before a step of one's own."""
        for weight in self.weights:
            weight.grad = None

    @property
    def losses(self) -> list[Tensor]:
        """The losses beside compile's: what layers added in this thread's last call, then those of regularizers on
        trained weights, computed now."""
        layers = self.flatten_layers()
        added = [loss for layer in layers for loss in calls.added_by(layer)]
        weights = [weight for layer in layers for weight in (*layer._weights, *layer._fixed_weights)]
        return added + [_penalty(w) for w in weights if w.regularizer is not None and w.trainable]


def _penalty(weight):
    """What the weight's regularizer gives, a Tensor."""
    loss = weight.regularizer(weight)
    if isinstance(loss, (int, float, np.generic)):
        return Tensor(loss, dtype=weight.dtype)
    if not isinstance(loss, Tensor):
        raise TypeError(f"The regularizer of {weight.path!r} must give a Tensor, made by fastconv.ops; got {loss!r}.")
    return loss


_GETTERS = {"initializer": initializers.get, "regularizer": regularizers.get, "constraint": constraints.get}


def _may_hold_layers(value) -> bool:
    """Whether an attribute is a layer, or a container of some; lists and dicts may get theirs later."""
    if isinstance(value, tuple):
        return any(isinstance(item, (Holder, Parameter)) for item in flatten(value))
    return isinstance(value, (Holder, list, dict))
