"""Metrics that count true and false positives and negatives at thresholds: the four counts, precision, recall.

Contract: an output is positive where it is above the threshold; targets are 0 and 1. Counts are sums of sample weights,
in float64, so that results over unequal batches are those of one large batch. A division of 0 by 0 gives 0.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

from fastconv.registry import checked_whole

from .base import Metric, MetricVariable, array_of, same_rank

_KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class Counts(Metric):
    """Counts at each of some thresholds: `counts` (4, thresholds), in the order of _KINDS."""

    shown = _KINDS  # what is among `variables`: those that the result needs

    @property
    def variables(self) -> list[MetricVariable]:
        """What the metric keeps."""
        return [variable for variable in super().variables if variable.name in self.shown]

    def _start(self, thresholds, shape=()):
        self._thresholds = np.asarray(thresholds, np.float64)
        shape = (len(self._thresholds), *shape)
        self.true_positives, self.false_positives, self.true_negatives, self.false_negatives = (
            self.add_variable(shape, "zeros", "float64", name=name) for name in _KINDS
        )

    @property
    def _counts(self):
        return [getattr(self, kind).array for kind in _KINDS]

    def _add(self, y_true, y_pred, weights, column=...):
        """Counts flat arrays, into the column of a label where there are several."""
        above = np.searchsorted(self._thresholds.astype(y_pred.dtype), y_pred, side="left")  # thresholds below each
        sums = []
        for chosen in (y_true, ~y_true):
            chosen_weights = None if weights is None else weights[chosen]
            found = np.bincount(above[chosen], chosen_weights, len(self._thresholds) + 1)
            upwards = found[::-1].cumsum()[::-1]  # of those that are above so many thresholds or more
            sums.append((upwards[1:], upwards[0] - upwards[1:]))
        (tp, fn), (fp, tn) = sums
        for total, part in zip(self._counts, (tp, fp, tn, fn)):
            total[:, column] += part.reshape(total[:, column].shape)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred, weights = self._arrange(y_true, y_pred, sample_weight)
        if np.isnan(y_pred).any():
            raise ValueError(f"{self.name}: y_pred holds NaN, which is on no side of a threshold.")
        if y_true.ndim > 1:
            y_true, y_pred = y_true.reshape(-1), y_pred.reshape(-1)
            weights = None if weights is None else weights.reshape(-1)
        self._add(y_true, y_pred, weights)

    def _arrange(self, y_true, y_pred, weights, top_k=None, class_id=None):
        """(y_true as bools, y_pred, weights or None) of one shape."""
        y_true, y_pred = same_rank(array_of(y_true), array_of(y_pred))
        if y_true.shape != y_pred.shape:
            raise ValueError(f"{self.name} expects targets of shape {y_pred.shape}; got {y_true.shape}.")
        if weights is not None:
            weights = array_of(weights).astype(np.float64)
            while weights.ndim > y_pred.ndim and weights.shape[-1] == 1:
                weights = weights[..., 0]
            weights = weights.reshape(weights.shape + (1,) * (y_pred.ndim - weights.ndim))
            weights = np.broadcast_to(weights, y_pred.shape)
        if top_k is not None:
            best = np.argsort(-y_pred, axis=-1, kind="stable")[..., :top_k]
            kept = np.full(y_pred.shape, -np.inf, np.result_type(y_pred.dtype, np.float32))
            np.put_along_axis(kept, best, np.take_along_axis(y_pred, best, axis=-1), axis=-1)
            y_pred = kept
        if class_id is not None:
            if not isinstance(class_id, Integral) or y_pred.ndim < 2 or not 0 <= class_id < y_pred.shape[-1]:
                raise ValueError(f"{self.name}: class_id={class_id} is no class of outputs of shape {y_pred.shape}.")
            y_true, y_pred = y_true[..., class_id], y_pred[..., class_id]
            weights = None if weights is None else weights[..., class_id]
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(np.float32)
        return y_true.astype(bool), y_pred, weights


def share(part, rest):
    """part / (part + rest), 0 where both are 0."""
    whole = part + rest
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)


def _number(values):
    return float(values[0]) if values.shape == (1,) else values.copy()


class _AtThresholds(Counts):
    """What takes `thresholds`: a number from 0 to 1, or several; 0.5 by default."""

    def __init__(self, name, dtype, thresholds, default=0.5):
        super().__init__(dtype, name)
        self.thresholds = thresholds
        used = default if thresholds is None else thresholds
        used = [used] if isinstance(used, Real) else list(used)
        wrong = [t for t in used if not isinstance(t, Real) or not (0 <= t <= 1 or t == -math.inf)]
        if wrong or not used:
            raise ValueError(f"{type(self).__name__}: thresholds must be numbers from 0 to 1; got {thresholds!r}.")
        self._order = np.argsort(used, kind="stable")
        self._start(np.asarray(used, np.float64)[self._order])

    def _number(self, values):
        """A float for one threshold, else an array in the order in which the thresholds were given."""
        back = np.empty_like(values)
        back[self._order] = values
        return _number(back)


class _ConfusionCount(_AtThresholds):
    """One of the four counts."""

    kind = ""

    @property
    def shown(self) -> tuple[str]:
        return (self.kind,)

    def result(self) -> Any:
        return self._number(getattr(self, self.kind).array)


class TruePositives(_ConfusionCount):
    """How many outputs above `thresholds` have the target 1."""

    kind, direction = "true_positives", "up"

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype, thresholds)


class TrueNegatives(_ConfusionCount):
    """How many outputs not above `thresholds` have the target 0."""

    kind, direction = "true_negatives", "up"

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype, thresholds)


class FalsePositives(_ConfusionCount):
    """How many outputs above `thresholds` have the target 0."""

    kind, direction = "false_positives", "down"

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype, thresholds)


class FalseNegatives(_ConfusionCount):
    """How many outputs not above `thresholds` have the target 1."""

    kind, direction = "false_negatives", "down"

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype, thresholds)


class _PrecisionOrRecall(_AtThresholds):
    direction = "up"

    def __init__(self, thresholds, top_k, class_id, name, dtype):
        super().__init__(name, dtype, thresholds, 0.5 if top_k is None else -math.inf)
        self.top_k = None if top_k is None else checked_whole(self, "top_k", top_k)
        self.class_id = class_id

    def _arrange(self, y_true, y_pred, weights):
        return super()._arrange(y_true, y_pred, weights, self.top_k, self.class_id)


class Precision(_PrecisionOrRecall):
    """The share of true ones among the outputs above `thresholds` (0.5), or among the `top_k` largest of a sample;
    of all classes together, or of `class_id`."""

    shown = ("true_positives", "false_positives")

    def __init__(
        self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(thresholds, top_k, class_id, name, dtype)

    def result(self) -> Any:
        return self._number(share(self.true_positives.array, self.false_positives.array))


class Recall(_PrecisionOrRecall):
    """The share of the true ones that outputs above `thresholds` (0.5) find, or the `top_k` largest of a sample; of all
    classes together, or of `class_id`."""

    shown = ("true_positives", "false_negatives")

    def __init__(
        self, thresholds: Any = None, top_k: int | None = None, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(thresholds, top_k, class_id, name, dtype)

    def result(self) -> Any:
        return self._number(share(self.true_positives.array, self.false_negatives.array))
