"""Running means of the losses' formulas, and the correlations: how far outputs are from targets.

The formulas are fastconv.losses', where their functions stand. Contract: as in base.py; over unequal batches each
sample counts alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import losses
from fastconv.tensor import Tensor

from .base import Mean, MeanMetricWrapper, Metric, array_of, same_rank


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """The correlation of target and output along `axis`, from -1 to 1; NaN where one of them is constant."""
    y_true, y_pred = (y - y.mean(axis=axis, keepdims=True) for y in _floats(y_true, y_pred))
    with np.errstate(invalid="ignore", divide="ignore"):
        y_true, y_pred = (y / y.std(axis=axis, keepdims=True) for y in (y_true, y_pred))
    return Tensor((y_true * y_pred).mean(axis=axis))


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """Lin's concordance of target and output along `axis`: 1 only where they are equal."""
    y_true, y_pred = _floats(y_true, y_pred)
    mean_true, mean_pred = (y.mean(axis=axis, keepdims=True) for y in (y_true, y_pred))
    spread = y_true.var(axis=axis, keepdims=True) + y_pred.var(axis=axis, keepdims=True)
    common = (y_true - mean_pred) * (y_pred - mean_pred)
    return Tensor((2 * common / (spread + (mean_true - mean_pred) ** 2 + 1e-7)).mean(axis=axis))


def _floats(y_true, y_pred):
    y_true, y_pred = same_rank(array_of(y_true), array_of(y_pred))
    if y_true.shape != y_pred.shape:
        raise ValueError(f"Targets and outputs must have one shape; got {y_true.shape} and {y_pred.shape}.")
    kind = y_pred.dtype if y_pred.dtype.kind == "f" else np.float32
    return y_true.astype(kind, copy=False), y_pred.astype(kind, copy=False)


def _cosine(y_true, y_pred, axis):
    return -losses.cosine_similarity(y_true, y_pred, axis).data


class MeanSquaredError(MeanMetricWrapper):
    """The mean of `(y_true - y_pred) ** 2`."""

    direction = "down"

    def __init__(self, name: str | None = "mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(losses.mean_squared_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The square root of the mean of `(y_true - y_pred) ** 2` over all outputs."""

    direction = "down"

    def __init__(self, name: str | None = "root_mean_squared_error", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = _floats(y_true, y_pred)
        super().update_state((y_pred - y_true) ** 2, sample_weight)

    def result(self) -> float:
        return super().result() ** 0.5


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of `|y_true - y_pred|`."""

    direction = "down"

    def __init__(self, name: str | None = "mean_absolute_error", dtype: str | None = None) -> None:
        super().__init__(losses.mean_absolute_error, name, dtype)


class MeanAbsolutePercentageError(MeanMetricWrapper):
    """100 times the mean of `|y_true - y_pred| / |y_true|`."""

    direction = "down"

    def __init__(self, name: str | None = "mean_absolute_percentage_error", dtype: str | None = None) -> None:
        super().__init__(losses.mean_absolute_percentage_error, name, dtype)


class MeanSquaredLogarithmicError(MeanMetricWrapper):
    """The mean of `(log(y_true + 1) - log(y_pred + 1)) ** 2`."""

    direction = "down"

    def __init__(self, name: str | None = "mean_squared_logarithmic_error", dtype: str | None = None) -> None:
        super().__init__(losses.mean_squared_logarithmic_error, name, dtype)


class CosineSimilarity(MeanMetricWrapper):
    """The mean cosine between target and output along `axis`: 1 where they point the same way."""

    direction = "up"

    def __init__(self, name: str | None = "cosine_similarity", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(_cosine, name, dtype, axis=axis)


class LogCoshError(MeanMetricWrapper):
    """The mean of `log(cosh(y_pred - y_true))`."""

    direction = "down"

    def __init__(self, name: str | None = "logcosh", dtype: str | None = None) -> None:
        super().__init__(losses.log_cosh, name, dtype)


class Poisson(MeanMetricWrapper):
    """The mean of `y_pred - y_true * log(y_pred)`."""

    direction = "down"

    def __init__(self, name: str | None = "poisson", dtype: str | None = None) -> None:
        super().__init__(losses.poisson, name, dtype)


class KLDivergence(MeanMetricWrapper):
    """The mean over samples of the sum of `y_true * log(y_true / y_pred)`."""

    direction = "down"

    def __init__(self, name: str | None = "kl_divergence", dtype: str | None = None) -> None:
        super().__init__(losses.kl_divergence, name, dtype)


class Hinge(MeanMetricWrapper):
    """The mean of `max(1 - y_true * y_pred, 0)`; targets are -1 and 1, or 0 and 1."""

    direction = "down"

    def __init__(self, name: str | None = "hinge", dtype: str | None = None) -> None:
        super().__init__(losses.hinge, name, dtype)


class SquaredHinge(MeanMetricWrapper):
    """The mean of `max(1 - y_true * y_pred, 0) ** 2`; targets are -1 and 1, or 0 and 1."""

    direction = "down"

    def __init__(self, name: str | None = "squared_hinge", dtype: str | None = None) -> None:
        super().__init__(losses.squared_hinge, name, dtype)


class CategoricalHinge(MeanMetricWrapper):
    """The mean of `max(1 + the largest wrong output - the right output, 0)`."""

    direction = "down"

    def __init__(self, name: str | None = "categorical_hinge", dtype: str | None = None) -> None:
        super().__init__(losses.categorical_hinge, name, dtype)


class BinaryCrossentropy(MeanMetricWrapper):
    """The mean binary cross-entropy, of probabilities or logits."""

    direction = "down"

    def __init__(
        self, name: str | None = "binary_crossentropy", dtype: str | None = None, from_logits: bool = False,
        label_smoothing: float = 0,
    ) -> None:  # fmt: skip
        super().__init__(
            losses.binary_crossentropy, name, dtype, from_logits=from_logits, label_smoothing=label_smoothing
        )


class CategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy for one-hot targets, of probabilities or logits."""

    direction = "down"

    def __init__(
        self, name: str | None = "categorical_crossentropy", dtype: str | None = None, from_logits: bool = False,
        label_smoothing: float = 0, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(losses.categorical_crossentropy, name, dtype, from_logits=from_logits,
                         label_smoothing=label_smoothing, axis=axis)  # fmt: skip


class SparseCategoricalCrossentropy(MeanMetricWrapper):
    """The mean cross-entropy for integer labels, of probabilities or logits; 0 where the label is `ignore_class`."""

    direction = "down"

    def __init__(
        self, name: str | None = "sparse_categorical_crossentropy", dtype: str | None = None,
        from_logits: bool = False, ignore_class: int | None = None, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(losses.sparse_categorical_crossentropy, name, dtype, from_logits=from_logits,
                         ignore_class=ignore_class, axis=axis)  # fmt: skip

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        if sample_weight is not None and self.ignore_class is not None:  # the weights of such samples do not count
            labels, sample_weight = same_rank(array_of(y_true), array_of(sample_weight))
            sample_weight = np.where(labels == self.ignore_class, 0.0, sample_weight)
        super().update_state(y_true, y_pred, sample_weight)


class PearsonCorrelation(MeanMetricWrapper):
    """The mean correlation of target and output along `axis`."""

    direction = "up"

    def __init__(self, name: str | None = "pearson_correlation", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(MeanMetricWrapper):
    """The mean concordance of target and output along `axis`."""

    direction = "up"

    def __init__(self, name: str | None = "concordance_correlation", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)


class R2Score(Metric):
    """The share of the targets' variance that outputs explain: 1 - residuals / variance, for `(batch, outputs)`.

    `class_aggregation`: "uniform_average" over outputs, "variance_weighted_average", or None for one number an output.
    `num_regressors`: that of independent variables, for the adjusted score; 0 for the plain one.
    """

    direction = "up"

    def __init__(
        self, class_aggregation: str | None = "uniform_average", num_regressors: int = 0,
        name: str | None = "r2_score", dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        if class_aggregation not in (None, "uniform_average", "variance_weighted_average"):
            raise ValueError(
                "R2Score: class_aggregation must be 'uniform_average', 'variance_weighted_average' or None; got "
                f"{class_aggregation!r}."
            )
        if num_regressors < 0:
            raise ValueError(f"R2Score: num_regressors must be at least 0; got {num_regressors!r}.")
        self.class_aggregation, self.num_regressors = class_aggregation, num_regressors
        self._samples = self._sums("num_samples")
        self._parts = None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = (y.astype(np.float64) for y in same_rank(array_of(y_true), array_of(y_pred)))
        if y_true.ndim != 2 or y_true.shape != y_pred.shape:
            raise ValueError(
                f"R2Score expects targets and outputs of one shape (batch, outputs); got {y_true.shape} and "
                f"{y_pred.shape}."
            )
        if self._parts is None:
            self._parts = [self._sums(name, y_pred.shape[1:]) for name in ("squared_sum", "sum", "residual", "count")]
        weights = np.ones(1) if sample_weight is None else array_of(sample_weight).astype(np.float64)
        weights = np.broadcast_to(weights[:, None] if weights.ndim == 1 else weights, y_true.shape)
        for total, values in zip(self._parts, (y_true**2, y_true, (y_true - y_pred) ** 2, np.ones(1))):
            total += (values * weights).sum(axis=0)
        self._samples += y_true.size

    def result(self) -> Any:
        if self._parts is None:
            return 0.0
        squares, sums, residuals, counts = self._parts
        with np.errstate(divide="ignore", invalid="ignore"):
            spread = squares - sums * sums / counts
            scores = 1 - residuals / spread
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = float(scores.mean())
        elif self.class_aggregation == "variance_weighted_average":
            scores = float((spread * scores).sum() / spread.sum())
        free = float(self._samples) - self.num_regressors - 1
        if self.num_regressors and free > 0:
            scores = 1 - (1 - scores) * (float(self._samples) - 1) / free
        return scores
