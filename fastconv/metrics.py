"""Metrics: what is reported beside the loss, on NumPy arrays, without gradients.

Contract: `update_state(y_true, y_pred)` adds a batch, `result()` is a Python float over all batches since
`reset_state()` (0.0 before the first). Arrays and Tensors are both taken, one sample a row.
"""

from __future__ import annotations

import numpy as np

from fastconv.registry import Configurable, Registry, reject_arguments
from fastconv.tensor import Tensor


class Metric(Configurable):
    """Base class: a running mean. A subclass defines `values(y_true, y_pred)`, or the three methods themselves."""

    _arguments = ("name",)

    def __init__(self, name=None, **unknown):
        reject_arguments(type(self).__name__, unknown, self._arguments, ("dtype",))
        self.name = name or type(self).__name__
        self.reset_state()

    def values(self, y_true, y_pred) -> np.ndarray:
        """One value a sample (or more), of two arrays."""
        raise NotImplementedError(f"{type(self).__name__} must define values(y_true, y_pred).")

    def update_state(self, y_true, y_pred) -> None:
        values = self.values(_array(y_true), _array(y_pred))
        values = np.asarray(values)
        self._total += float(values.sum(dtype=np.float64))
        self._count += values.size

    def result(self) -> float:
        return self._total / self._count if self._count else 0.0

    def reset_state(self) -> None:
        self._total, self._count = 0.0, 0

    def __call__(self, y_true, y_pred) -> float:
        """Adds a batch and returns the result so far."""
        self.update_state(y_true, y_pred)
        return self.result()


class CategoricalAccuracy(Metric):
    """The share of samples whose largest output stands where the one-hot target's 1 is."""

    def __init__(self, name="categorical_accuracy", **unknown):
        super().__init__(name=name, **unknown)

    def values(self, y_true, y_pred):
        if y_true.shape != y_pred.shape:
            raise ValueError(f"{self.name} expects targets of shape {y_pred.shape}; got {y_true.shape}.")
        return y_true.argmax(axis=-1) == y_pred.argmax(axis=-1)


class SparseCategoricalAccuracy(Metric):
    """The share of samples whose largest output stands at the integer label."""

    def __init__(self, name="sparse_categorical_accuracy", **unknown):
        super().__init__(name=name, **unknown)

    def values(self, y_true, y_pred):
        labels = y_true[..., 0] if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true
        if labels.shape != y_pred.shape[:-1]:
            raise ValueError(f"{self.name} expects labels of shape {y_pred.shape[:-1]}; got {y_true.shape}.")
        return labels == y_pred.argmax(axis=-1)


class BinaryAccuracy(Metric):
    """The share of outputs on the target's side of `threshold`."""

    _arguments = ("name", "threshold")

    def __init__(self, name="binary_accuracy", threshold=0.5, **unknown):
        super().__init__(name=name, **unknown)
        if not 0 < threshold < 1:
            raise ValueError(f"BinaryAccuracy: threshold must be between 0 and 1; got {threshold!r}.")
        self.threshold = threshold

    def values(self, y_true, y_pred):
        if y_true.size != y_pred.size or len(y_true) != len(y_pred):
            raise ValueError(f"{self.name} expects targets of shape {y_pred.shape}; got {y_true.shape}.")
        return y_true.reshape(y_pred.shape) == (y_pred > self.threshold)


class Accuracy(Metric):
    """Categorical, sparse categorical or binary accuracy, as the first batch's shapes tell, by Keras' rule for
    `metrics=["accuracy"]`: one output is binary; targets without the classes' axis are labels."""

    def __init__(self, name="accuracy", **unknown):
        super().__init__(name=name, **unknown)

    def reset_state(self):
        super().reset_state()
        self._resolved = None

    def values(self, y_true, y_pred):
        if self._resolved is None:
            if y_pred.ndim < 2 or y_pred.shape[-1] == 1:
                self._resolved = BinaryAccuracy(self.name)
            elif y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
                self._resolved = SparseCategoricalAccuracy(self.name)
            else:
                self._resolved = CategoricalAccuracy(self.name)
        return self._resolved.values(y_true, y_pred)


class _Function(Metric):
    def __init__(self, function):
        super().__init__(name=getattr(function, "__name__", type(function).__name__))
        self.function = function

    def values(self, y_true, y_pred):
        return _array(self.function(y_true, y_pred))

    def get_config(self):
        raise ValueError(f"The metric {self.name!r} is a function of yours, which a model file cannot hold.")


def _array(values) -> np.ndarray:
    return values.data if isinstance(values, Tensor) else np.asarray(values)


_REGISTRY = Registry(
    "metric", (Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy), {"acc": Accuracy}
)


def get(identifier, custom_objects=None) -> Metric:
    """A Metric from a name ("accuracy", "acc", ...), a config, a class, an object, or any `function(y_true, y_pred)`
    of arrays with one value a sample; ValueError with near matches for an unknown name."""
    if callable(identifier) and not isinstance(identifier, (type, Metric)):
        return _Function(identifier)
    metric = _REGISTRY.get(identifier, Metric, custom_objects)
    if isinstance(identifier, str):
        metric.name = identifier  # "acc" is reported as "acc"
    return metric
