"""Metric: the base of what is reported beside the loss, and running means and sums.

No formula stands here. Contract: a metric computes on arrays, without gradients; `update_state` adds a batch,
`result()` is a Python float (an array where a metric has several numbers) over all samples since `reset_state()`, 0.0
before the first. Sums are kept in float64. Arrays and Tensors are both taken, one sample a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import initializers
from fastconv.edge import refuse_masked
from fastconv.registry import Configurable, snake_case
from fastconv.tensor import Parameter, Tensor, no_grad


class MetricVariable(Parameter):
    """A number or an array of numbers that a metric keeps from batch to batch."""

    __slots__ = ()

    def assign(self, value: Any) -> None:
        """Takes these values; a number fills the array."""
        with self.writable() as array:
            array[...] = np.broadcast_to(np.asarray(value), array.shape)


class Metric(Configurable):
    """Base class: a subclass makes variables by `add_weight` in its constructor and defines
    `update_state(y_true, y_pred, sample_weight=None)` and `result()`.

    `dtype` is that of `add_weight`'s variables, float32 by default. A metric without a `name` takes its class's.
    """

    direction: str | None = None  # which way is better: "up" or "down"

    def __init__(self, dtype: str | None = None, name: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.is_named = name is not None  # else the name is the class's, and may get a number
        self._dtype = dtype
        self._variables: list[MetricVariable] = []

    @property
    def dtype(self) -> str:
        """That of the variables which `add_weight` makes."""
        return "float32" if self._dtype is None else str(getattr(self._dtype, "name", self._dtype))

    @property
    def variables(self) -> list[MetricVariable]:
        """What the metric keeps, in the order in which it was made."""
        return list(self._variables)

    def add_variable(
        self, shape: Any, initializer: Any, dtype: str | None = None, aggregation: str = "sum", name: str | None = None
    ) -> MetricVariable:
        """A variable of this shape, which `reset_state` sets to 0. `aggregation`, over devices, is of no use here."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        values = initializers.get("zeros" if initializer is None else initializer)(shape)
        wide = np.dtype(dtype or self.dtype) if (dtype or self.dtype) not in ("int", "bool") else np.dtype("int64")
        variable = MetricVariable(np.asarray(values), dtype=_float_dtype(wide), trainable=False, name=name)
        self._variables.append(variable)
        return variable

    def add_weight(
        self, shape: Any = (), initializer: Any = None, dtype: str | None = None, name: str | None = None
    ) -> MetricVariable:
        """As `add_variable`: zeros by default, a single number for the shape ()."""
        return self.add_variable(shape, initializer, dtype, name=name)

    def _sums(self, name, shape=()):
        """The array of a variable of zeros, to be added to in place."""
        return self.add_variable(shape, "zeros", "float64", name=name).array

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Adds a batch."""
        raise NotImplementedError(
            f"{type(self).__name__} must define update_state(y_true, y_pred, sample_weight=None)."
        )

    def result(self) -> Any:
        """The value over all batches since `reset_state`."""
        raise NotImplementedError(f"{type(self).__name__} must define result().")

    def reset_state(self) -> None:
        """Forgets all batches."""
        for variable in self._variables:
            variable.assign(0)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a batch and returns the result so far."""
        self.update_state(*args, **kwargs)
        return self.result()

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return super().get_config()


class Mean(Metric):
    """The mean of values, one a sample or more; `sample_weight` has one a sample, or one a value."""

    def __init__(self, name: str | None = "mean", dtype: str | None = None) -> None:
        super().__init__(dtype, name)
        self._total, self._count = self._sums("total"), self._sums("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        values, weights = by_sample(array_of(values), sample_weight, np.mean)
        self._total += values.sum(dtype=np.float64)
        self._count += (len(values) if values.ndim else 1) if weights is None else weights.sum(dtype=np.float64)

    def result(self) -> float:
        return float(self._total / self._count) if self._count else 0.0


class Sum(Metric):
    """The sum of values, weighted by `sample_weight`."""

    def __init__(self, name: str | None = "sum", dtype: str | None = None) -> None:
        super().__init__(dtype, name)
        self._total = self._sums("total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:
        self._total += by_sample(array_of(values), sample_weight, np.sum)[0].sum(dtype=np.float64)

    def result(self) -> float:
        return float(self._total)


class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)`, which gives one value a sample, or more.

    Where y_pred has a mask (layers.Masking, layers.Embedding), only the steps that it names count, as in losses.
    """

    def __init__(self, fn: Any, name: str | None = None, dtype: str | None = None, **kwargs: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", type(fn).__name__), dtype)
        self.fn, self._kwargs = fn, kwargs
        for argument, value in kwargs.items():
            setattr(self, argument, value)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        with no_grad():
            values = self.fn(array_of(y_true), array_of(y_pred), **self._kwargs)
        super().update_state(values, with_mask(y_pred, sample_weight))

    def get_config(self) -> dict[str, Any]:
        if type(self) is MeanMetricWrapper:
            raise ValueError(f"The metric {self.name!r} is a function of yours, which a model file cannot hold.")
        return super().get_config()


def _float_dtype(dtype):
    return dtype if dtype in (np.float32, np.float64) else np.dtype("float64")


def array_of(values) -> np.ndarray:
    """`values`, a Tensor or anything else, as an array of real numbers or bools; TypeError where it holds others."""
    if isinstance(values, Tensor):
        return values.data
    refuse_masked(values)
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"Metrics take real numbers; got {array.dtype} data.")
    return array


def with_mask(y_pred, sample_weight):
    """The weights of samples, 0 at the steps that y_pred's mask hides; as they are where it has none."""
    mask = getattr(y_pred, "_keras_mask", None)
    if mask is None:
        return sample_weight
    mask = array_of(mask).astype(np.float64)
    if sample_weight is None:
        return mask
    weights = array_of(sample_weight)
    mask, weights = (
        one.reshape(one.shape + (1,) * (other.ndim - one.ndim)) for one, other in ((mask, weights), (weights, mask))
    )
    return mask * weights


def same_rank(one, other):
    """Two arrays, the last axis of 1 of one of them dropped where the other has none."""
    if one.ndim == other.ndim + 1 and one.shape[-1] == 1:
        one = one[..., 0]
    elif other.ndim == one.ndim + 1 and other.shape[-1] == 1:
        other = other[..., 0]
    return one, other


def by_sample(values, weights, reduce):
    """(weighted values, weights or None), with the axes behind the weights' reduced, then all but the first."""
    if weights is not None:
        weights = array_of(weights).astype(np.float64)
        values, weights = same_rank(values, weights)
        if values.ndim > weights.ndim:
            values = reduce(values, axis=tuple(range(weights.ndim, values.ndim)), dtype=np.float64)
        try:
            weights = np.broadcast_to(weights, values.shape)
        except ValueError:
            raise ValueError(
                f"sample_weight of shape {weights.shape} does not fit values of shape {values.shape}: give one "
                "weight a sample, or one a value."
            ) from None
        values = values * weights
        if weights.ndim > 1:
            weights = reduce(weights, axis=tuple(range(1, weights.ndim)))
    if values.ndim > 1:
        values = reduce(values, axis=tuple(range(1, values.ndim)), dtype=np.float64)
    return values, weights
