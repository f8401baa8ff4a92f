"""Losses: what `fit` makes small, under Keras' names.

The arithmetic, and the stable path for a final softmax or sigmoid, are in fastconv.ops; here targets get the form that
ops want, and the mean over the batch is taken. Contract: `loss(y_true, y_pred)` is a scalar Tensor, `loss.call` one
value a sample; y_true may have any numeric dtype, y_pred keeps its own.
"""

from __future__ import annotations

import numpy as np

from fastconv import kernels, ops
from fastconv.registry import Configurable, Registry, reject_arguments
from fastconv.tensor import Tensor

_NOT_BUILT = ("label_smoothing", "reduction", "dtype")


class Loss(Configurable):
    """Base class: a subclass defines `call(y_true, y_pred)` with one value a sample (or more)."""

    def __init__(self, name=None, **unknown):
        reject_arguments(type(self).__name__, unknown, self._arguments, _NOT_BUILT)
        self.name = name or type(self).__name__

    _arguments = ("name",)

    def __call__(self, y_true, y_pred) -> Tensor:
        """The mean of `call` over all its values: a scalar Tensor. ValueError on an empty batch."""
        y_pred = ops.convert_to_tensor(y_pred)
        if not y_pred.size:
            raise ValueError(f"{self.name} has no mean over an empty batch; y_pred has shape {y_pred.shape}.")
        return ops.mean(self.call(self._target(y_true, y_pred), y_pred))

    def call(self, y_true, y_pred) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__} must define call(y_true, y_pred).")

    def _target(self, y_true, y_pred):
        """y_true in y_pred's dtype."""
        if isinstance(y_true, Tensor):
            return y_true if y_true.dtype == y_pred.dtype else ops.cast(y_true, y_pred.dtype)
        return self.target_array(y_true, y_pred.dtype)

    def target_array(self, y_true, dtype) -> np.ndarray:
        """Targets as an array in the form that `call` takes, for outputs of `dtype`."""
        return np.asarray(y_true).astype(dtype, copy=False)

    def check_values(self, target, output_shape) -> None:
        """Raises ValueError where the values of such an array do not fit outputs of this shape."""

    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
        kernels.note_change()  # programs hold what a loss does


class CategoricalCrossentropy(Loss):
    """`-sum(y_true * log(y_pred))` for one-hot targets or distributions of y_pred's shape.

    `from_logits=True`: y_pred are logits. `axis` is that of the classes.
    """

    _arguments = ("from_logits", "axis", "name")

    def __init__(self, from_logits=False, axis=-1, name="categorical_crossentropy", **unknown):
        super().__init__(name=name, **unknown)
        self.from_logits, self.axis = bool(from_logits), axis

    def call(self, y_true, y_pred):
        if y_true.ndim < y_pred.ndim or (y_true.shape[-1] == 1 != y_pred.shape[-1]):
            raise ValueError(
                f"categorical_crossentropy expects one-hot targets of shape {y_pred.shape}; got {y_true.shape}. For "
                "integer labels use loss='sparse_categorical_crossentropy', or make them one-hot: "
                f"y = fastconv.utils.to_categorical(y, {y_pred.shape[self.axis]})."
            )
        return ops.categorical_crossentropy(y_true, y_pred, self.from_logits, self.axis)


class SparseCategoricalCrossentropy(CategoricalCrossentropy):
    """The same for integer labels: y_true is `(batch,)` or `(batch, 1)` for y_pred `(batch, classes)`."""

    def __init__(self, from_logits=False, axis=-1, name="sparse_categorical_crossentropy", **unknown):
        super().__init__(from_logits, axis, name, **unknown)

    def _target(self, y_true, y_pred):
        if isinstance(y_true, Tensor) and y_true.symbolic:
            return y_true
        return self.target_array(y_true, y_pred.dtype)

    def target_array(self, y_true, dtype):
        labels = np.asarray(y_true)
        if labels.dtype.kind in "bf" and np.array_equal(labels, np.trunc(labels)) or labels.dtype.kind in "iu":
            labels = labels.astype(np.int64, copy=False)
        return labels

    def check_values(self, target, output_shape):
        ops.check_labels("target", target, output_shape[self.axis])

    def call(self, y_true, y_pred):
        if y_true.shape == y_pred.shape and y_pred.shape[self.axis] != 1:
            raise ValueError(
                f"sparse_categorical_crossentropy expects integer labels of shape {y_pred.shape[:1]}; got targets of "
                f"shape {y_true.shape}. For one-hot targets use loss='categorical_crossentropy'."
            )
        return ops.sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.axis)


class BinaryCrossentropy(Loss):
    """The mean over the last axis of `-(y log p + (1 - y) log(1 - p))`; `from_logits=True`: y_pred are logits."""

    _arguments = ("from_logits", "name")

    def __init__(self, from_logits=False, name="binary_crossentropy", **unknown):
        super().__init__(name=name, **unknown)
        self.from_logits = bool(from_logits)

    def call(self, y_true, y_pred):
        y_true = _same_shape(y_true, y_pred, self.name)
        return ops.mean(ops.binary_crossentropy(y_true, y_pred, self.from_logits), axis=-1)


class MeanSquaredError(Loss):
    """The mean over the last axis of `(y_true - y_pred) ** 2`."""

    def __init__(self, name="mean_squared_error", **unknown):
        super().__init__(name=name, **unknown)

    def call(self, y_true, y_pred):
        return ops.mean(ops.square(y_pred - _same_shape(y_true, y_pred, self.name)), axis=-1)


def _same_shape(y_true, y_pred, name):
    """y_true with a last axis of 1 added or dropped, as Keras does; never broadcast."""
    shape, wanted = y_true.shape, y_pred.shape
    if shape == wanted:
        return y_true
    if shape + (1,) != wanted and shape != wanted + (1,):
        raise ValueError(f"{name} expects targets of the output's shape {wanted}; got {shape}.")
    return y_true.reshape(wanted)


def categorical_crossentropy(y_true, y_pred, from_logits=False, axis=-1) -> Tensor:
    """One value a sample; see CategoricalCrossentropy."""
    return _samples(CategoricalCrossentropy(from_logits, axis), y_true, y_pred)


def sparse_categorical_crossentropy(y_true, y_pred, from_logits=False, axis=-1) -> Tensor:
    """One value a sample; see SparseCategoricalCrossentropy."""
    return _samples(SparseCategoricalCrossentropy(from_logits, axis), y_true, y_pred)


def binary_crossentropy(y_true, y_pred, from_logits=False) -> Tensor:
    """One value a sample; see BinaryCrossentropy."""
    return _samples(BinaryCrossentropy(from_logits), y_true, y_pred)


def mean_squared_error(y_true, y_pred) -> Tensor:
    """One value a sample; see MeanSquaredError."""
    return _samples(MeanSquaredError(), y_true, y_pred)


def _samples(loss, y_true, y_pred):
    y_pred = ops.convert_to_tensor(y_pred)
    return loss.call(loss._target(y_true, y_pred), y_pred)


class _Function(Loss):
    def __init__(self, function):
        super().__init__(name=getattr(function, "__name__", type(function).__name__))
        self.function = function

    def call(self, y_true, y_pred):
        return ops.convert_to_tensor(self.function(ops.convert_to_tensor(y_true), y_pred))

    def get_config(self):
        raise ValueError(f"The loss {self.name!r} is a function of yours, which a model file cannot hold.")


_FUNCTIONS = {
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    binary_crossentropy: BinaryCrossentropy,
    mean_squared_error: MeanSquaredError,
}
_REGISTRY = Registry("loss", _FUNCTIONS.values(), {"mse": MeanSquaredError, "bce": BinaryCrossentropy})


def get(identifier, custom_objects=None) -> Loss:
    """A Loss from a name ("mse", "categorical_crossentropy"), a config, a class, an object, or any
    `function(y_true, y_pred)` of Tensors; ValueError with near matches for an unknown name."""
    if callable(identifier) and not isinstance(identifier, (type, Loss)):
        return _FUNCTIONS[identifier]() if identifier in _FUNCTIONS else _Function(identifier)
    return _REGISTRY.get(identifier, Loss, custom_objects)
