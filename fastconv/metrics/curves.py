"""Metrics over all thresholds: areas under curves, and the best of one rate where another is held.

The counts are confusion.py's, at evenly spaced thresholds or given ones. Contract: as there; more thresholds give a finer
curve, and cost no more than memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.registry import checked_choice, checked_whole

from .base import array_of
from .confusion import Counts, share


def _inner_thresholds(owner, number):
    """The thresholds between 0 and 1 of `number` evenly spaced ones."""
    number = checked_whole(owner, "num_thresholds", number)
    return [(i + 1) / (number - 1) for i in range(number - 2)]


class _Best(Counts):
    """The best value of one rate where another is at least a given value, over thresholds from 0 to 1."""

    direction = "up"

    def __init__(self, argument, value, num_thresholds, class_id, name, dtype):
        super().__init__(dtype, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{type(self).__name__}: {argument} must be between 0 and 1; got {value!r}.")
        setattr(self, argument, value)
        self._least, self.num_thresholds, self.class_id = value, num_thresholds, class_id
        inner = _inner_thresholds(self, num_thresholds)
        self._start([0.5] if num_thresholds == 1 else [0.0, *inner, 1.0])

    def _arrange(self, y_true, y_pred, weights):
        return super()._arrange(y_true, y_pred, weights, None, self.class_id)

    def _rates(self):
        """(the rate that is held, the rate that is reported)."""
        raise NotImplementedError

    def result(self) -> float:
        held, reported = self._rates()
        return float(np.where(held >= self._least, reported, 0.0).max(initial=0.0))


class SensitivityAtSpecificity(_Best):
    """The best share of ones that are found, where at least `specificity` of the zeros are kept out."""

    def __init__(
        self, specificity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__("specificity", specificity, num_thresholds, class_id, name, dtype)

    def _rates(self):
        tp, fp, tn, fn = self._counts
        return share(tn, fp), share(tp, fn)


class SpecificityAtSensitivity(_Best):
    """The best share of zeros that are kept out, where at least `sensitivity` of the ones are found."""

    def __init__(
        self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__("sensitivity", sensitivity, num_thresholds, class_id, name, dtype)

    def _rates(self):
        tp, fp, tn, fn = self._counts
        return share(tp, fn), share(tn, fp)


class PrecisionAtRecall(_Best):
    """The best precision where recall is at least `recall`."""

    def __init__(
        self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__("recall", recall, num_thresholds, class_id, name, dtype)

    def _rates(self):
        tp, fp, tn, fn = self._counts
        return share(tp, fn), share(tp, fp)


class RecallAtPrecision(_Best):
    """The best recall where precision is at least `precision`."""

    def __init__(
        self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__("precision", precision, num_thresholds, class_id, name, dtype)

    def _rates(self):
        tp, fp, tn, fn = self._counts
        return share(tp, fp), share(tp, fn)


class AUC(Counts):
    """The area under a curve of two rates over all thresholds, by `num_thresholds` evenly spaced ones or `thresholds`.

    `curve`: "ROC", "PR" (precision over recall) or "PRGAIN". `summation_method`: "interpolation", "minoring" or
    "majoring", the area below or above the steps. `multi_label`: the mean over `num_labels` columns, weighted by
    `label_weights`; else those weight the columns of each sample. `from_logits`: outputs go through a sigmoid first.
    The attribute `thresholds` has 0 and 1 at its ends.
    """

    direction = "up"

    def __init__(
        self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation",
        name: str | None = None, dtype: str | None = None, thresholds: Any = None, multi_label: bool = False,
        num_labels: int | None = None, label_weights: Any = None, from_logits: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        if thresholds is None:
            inner = _inner_thresholds(self, num_thresholds)
            if num_thresholds == 1:
                raise ValueError("AUC: num_thresholds must be at least 2; got 1.")
        else:
            inner = sorted(thresholds)
            if inner and not 0 <= inner[0] <= inner[-1] <= 1:
                raise ValueError(f"AUC: thresholds must be numbers from 0 to 1; got {thresholds!r}.")
        self.num_thresholds = len(inner) + 2
        self.curve = checked_choice(self, "curve", str(curve).upper(), ("ROC", "PR", "PRGAIN"))
        methods = ("interpolation", "minoring", "majoring")
        self.summation_method = checked_choice(self, "summation_method", str(summation_method).lower(), methods)
        if num_labels and not multi_label:
            raise ValueError("AUC: num_labels goes with multi_label=True.")
        self.multi_label, self.num_labels, self.from_logits = bool(multi_label), num_labels, bool(from_logits)
        self.label_weights = None if label_weights is None else [float(weight) for weight in label_weights]
        self._given = None if thresholds is None else list(inner)
        self.thresholds = [0.0, *inner, 1.0]
        self._used, self._labels = [-1e-7, *inner, 1 + 1e-7], None
        if not multi_label or num_labels:
            self._start(self._used, (num_labels,) if multi_label else ())

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"thresholds": self._given}

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_pred = array_of(y_pred)
        if self.from_logits:
            y_pred = np.exp(-np.logaddexp(0, -y_pred))
        if not self.multi_label:
            return super().update_state(y_true, y_pred, sample_weight)
        y_true, y_pred, weights = self._arrange(y_true, y_pred, sample_weight)
        if y_pred.ndim != 2 or (self._variables and y_pred.shape[1:] != self.true_positives.shape[1:]):
            raise ValueError(f"{self.name}: with multi_label outputs are (batch, labels); got {y_pred.shape}.")
        if not self._variables:
            self._start(self._used, y_pred.shape[1:])
        for label in range(y_pred.shape[1]):
            self._add(y_true[:, label], y_pred[:, label], None if weights is None else weights[:, label], label)

    def _arrange(self, y_true, y_pred, weights):
        y_true, y_pred, weights = super()._arrange(y_true, y_pred, weights)
        if self.label_weights is not None and not self.multi_label:
            weights = np.broadcast_to(self.label_weights, y_pred.shape) * (1.0 if weights is None else weights)
        return y_true, y_pred, weights

    def result(self) -> float:
        if not self._variables:
            return 0.0
        pieces = self._pr_pieces() if (self.curve, self.summation_method) == ("PR", "interpolation") else self._pieces()
        areas = pieces.sum(axis=0)
        if not self.multi_label:
            return float(areas)
        return float(areas.mean() if self.label_weights is None else np.average(areas, weights=self.label_weights))

    def _pieces(self):
        """The area between each threshold and the next."""
        tp, fp, tn, fn = self._counts
        if self.curve == "ROC":
            x, y = share(fp, tn), share(tp, fn)
        elif self.curve == "PR":
            x, y = share(tp, fn), share(tp, fp)
        else:
            ratio, found = _quotient(tp + fn, tn + fp), tp > 0
            x = np.maximum(np.where(found, 1 - ratio * _quotient(fn, tp), 0.0), 0.0)
            y = np.where(found, 1 - ratio * _quotient(fp, tp), 1.0)
        below, above = y[:-1], y[1:]
        heights = {"interpolation": (below + above) / 2, "minoring": np.minimum(below, above)}
        return (x[:-1] - x[1:]) * heights.get(self.summation_method, np.maximum(below, above))

    def _pr_pieces(self):
        """Davis and Goadrich's interpolation, in which true positives go linearly with all positives."""
        tp, fp, tn, fn = self._counts
        positives = tp + fp
        gained = tp[:-1] - tp[1:]
        slope = _quotient(gained, positives[:-1] - positives[1:])
        offset = tp[1:] - slope * positives[1:]
        both = (positives[:-1] > 0) & (positives[1:] > 0)
        growth = np.where(both, _quotient(positives[:-1], positives[1:]), 1.0)
        return _quotient(slope * (gained + offset * np.log(growth)), tp[1:] + fn[1:])


def _quotient(a, b):
    """a / b, 0 where b is 0."""
    return np.divide(a, b, out=np.zeros_like(b), where=b != 0)
