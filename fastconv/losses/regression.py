"""Losses of numbers: how far outputs are from targets, and the hinge losses, by Keras' formulas.

Each function gives one value a sample, of targets and outputs of one shape; the class of its name makes a Loss of it.
Contract: the mean (of cosines: the sum) goes over the last axis; constants that keep divisions and logarithms finite
are 1e-7, as in Keras.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.tensor import Tensor

from .base import FormulaLoss, as_float, numbers, pair

EPSILON = 1e-7
MEAN = "sum_over_batch_size"


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `(y_true - y_pred) ** 2`."""
    y_true, y_pred = pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(ops.subtract(y_pred, y_true)), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `|y_true - y_pred|`."""
    y_true, y_pred = pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.abs(ops.subtract(y_pred, y_true)), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """100 times the mean over the last axis of `|y_true - y_pred| / max(|y_true|, 1e-7)`."""
    y_true, y_pred = pair("mean_absolute_percentage_error", y_true, y_pred)
    share = ops.divide(ops.subtract(y_true, y_pred), ops.maximum(ops.abs(y_true), EPSILON))
    return ops.multiply(ops.mean(ops.abs(share), axis=-1), 100.0)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `(log(y_true + 1) - log(y_pred + 1)) ** 2`; both are taken as at least 1e-7."""
    y_true, y_pred = pair("mean_squared_logarithmic_error", y_true, y_pred)
    logs = [ops.log(ops.add(ops.maximum(y, EPSILON), 1.0)) for y in (y_pred, y_true)]
    return ops.mean(ops.square(ops.subtract(*logs)), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """The mean over the last axis of half the squared error up to `delta`, and of a straight line beyond."""
    y_true, y_pred = pair("huber", y_true, y_pred)
    error = ops.abs(ops.subtract(y_pred, y_true))
    near = ops.minimum(error, float(delta))
    line = ops.multiply(ops.subtract(error, near), float(delta))
    return ops.mean(ops.add(ops.multiply(ops.square(near), 0.5), line), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `log(cosh(y_pred - y_true))`, computed without overflow."""
    y_true, y_pred = pair("log_cosh", y_true, y_pred)
    error = ops.subtract(y_pred, y_true)
    return ops.mean(ops.subtract(ops.add(error, ops.softplus(ops.multiply(error, -2.0))), math.log(2.0)), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `y_pred - y_true * log(y_pred + 1e-7)`."""
    y_true, y_pred = pair("poisson", y_true, y_pred)
    return ops.mean(ops.subtract(y_pred, ops.multiply(y_true, ops.log(ops.add(y_pred, EPSILON)))), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Minus the cosine between target and output along `axis`: -1 where they point the same way. 0 for zeros."""
    y_true, y_pred = pair("cosine_similarity", y_true, y_pred)
    return ops.negative(ops.sum(ops.multiply(_unit(y_true, axis), _unit(y_pred, axis)), axis=axis))


def _unit(x, axis):
    length = ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=axis, keepdims=True), 1e-24))
    return ops.divide(x, length)


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `max(1 - y_true * y_pred, 0)`; targets are -1 and 1, and 0 and 1 become those."""
    return ops.mean(_hinge("hinge", y_true, y_pred), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `max(1 - y_true * y_pred, 0) ** 2`; targets as for `hinge`."""
    return ops.mean(ops.square(_hinge("squared_hinge", y_true, y_pred)), axis=-1)


def _hinge(name, y_true, y_pred):
    y_pred = as_float(y_pred)
    y_true, y_pred = pair(name, _signed(y_true, y_pred.dtype), y_pred)
    return ops.maximum(ops.subtract(1.0, ops.multiply(y_true, y_pred)), 0.0)


def _signed(y_true, dtype):
    """Targets of 0 and 1 alone as -1 and 1, others as they are; those without data are what they are."""
    if isinstance(y_true, Tensor):
        if y_true.symbolic:
            return y_true
        y_true = y_true.data
    array = numbers("y_true", y_true).astype(dtype, copy=False)
    return 2 * array - 1 if ((array == 0) | (array == 1)).all() else array


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """`max(1 + the largest wrong output - the right output, 0)` for one-hot targets."""
    y_true, y_pred = pair("categorical_hinge", y_true, y_pred)
    right = ops.sum(ops.multiply(y_true, y_pred), axis=-1)
    wrong = ops.max(ops.multiply(ops.subtract(1.0, y_true), y_pred), axis=-1)
    return ops.maximum(ops.add(ops.subtract(wrong, right), 1.0), 0.0)


class MeanSquaredError(FormulaLoss):
    """The mean over the last axis of `(y_true - y_pred) ** 2`."""

    formula = staticmethod(mean_squared_error)

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = "mean_squared_error", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsoluteError(FormulaLoss):
    """The mean over the last axis of `|y_true - y_pred|`."""

    formula = staticmethod(mean_absolute_error)

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = "mean_absolute_error", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class MeanAbsolutePercentageError(FormulaLoss):
    """100 times the mean over the last axis of `|y_true - y_pred| / |y_true|`."""

    formula = staticmethod(mean_absolute_percentage_error)

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = "mean_absolute_percentage_error",
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype)


class MeanSquaredLogarithmicError(FormulaLoss):
    """The mean over the last axis of `(log(y_true + 1) - log(y_pred + 1)) ** 2`."""

    formula = staticmethod(mean_squared_logarithmic_error)

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = "mean_squared_logarithmic_error",
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype)


class Huber(FormulaLoss):
    """Half the squared error up to `delta`, a straight line beyond; the mean over the last axis."""

    formula = staticmethod(huber)

    def __init__(
        self, delta: float = 1.0, reduction: str | None = MEAN, name: str | None = "huber_loss",
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype, delta=delta)


class LogCosh(FormulaLoss):
    """The mean over the last axis of `log(cosh(y_pred - y_true))`."""

    formula = staticmethod(log_cosh)

    def __init__(self, reduction: str | None = MEAN, name: str | None = "log_cosh", dtype: str | None = None) -> None:
        super().__init__(name, reduction, dtype)


class Poisson(FormulaLoss):
    """The mean over the last axis of `y_pred - y_true * log(y_pred)`."""

    formula = staticmethod(poisson)

    def __init__(self, reduction: str | None = MEAN, name: str | None = "poisson", dtype: str | None = None) -> None:
        super().__init__(name, reduction, dtype)


class CosineSimilarity(FormulaLoss):
    """Minus the cosine between target and output along `axis`."""

    formula = staticmethod(cosine_similarity)

    def __init__(
        self, axis: int = -1, reduction: str | None = MEAN, name: str | None = "cosine_similarity",
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype, axis=axis)


class Hinge(FormulaLoss):
    """The mean over the last axis of `max(1 - y_true * y_pred, 0)`; targets are -1 and 1, or 0 and 1."""

    formula = staticmethod(hinge)

    def __init__(self, reduction: str | None = MEAN, name: str | None = "hinge", dtype: str | None = None) -> None:
        super().__init__(name, reduction, dtype)

    def target_array(self, y_true: Any, dtype: Any) -> np.ndarray:
        return _signed(y_true, dtype)


class SquaredHinge(Hinge):
    """The mean over the last axis of `max(1 - y_true * y_pred, 0) ** 2`; targets are -1 and 1, or 0 and 1."""

    formula = staticmethod(squared_hinge)

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = "squared_hinge", dtype: str | None = None
    ) -> None:
        super().__init__(reduction, name, dtype)


class CategoricalHinge(FormulaLoss):
    """`max(1 + the largest wrong output - the right output, 0)` for one-hot targets."""

    formula = staticmethod(categorical_hinge)

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = "categorical_hinge", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)
