"""Metrics that count true and false positives and negatives at thresholds: precision, recall, AUC and their kin.

Contract: an output is positive where it is above the threshold; targets are 0 and 1. Counts are sums of sample weights,
in float64, so that results over unequal batches are those of one large batch. A division of 0 by 0 gives 0.
"""

from __future__ import annotations

import math

import numpy as np

from fastconv.registry import checked_choice

from .base import Metric, array_of, same_rank

_KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


class _Counts(Metric):
    """Counts at each of some thresholds: `counts` (4, thresholds), in the order of _KINDS."""

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

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
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
            if y_pred.ndim < 2 or not 0 <= class_id < y_pred.shape[-1]:
                raise ValueError(f"{self.name}: class_id={class_id} is no class of outputs of shape {y_pred.shape}.")
            y_true, y_pred = y_true[..., class_id], y_pred[..., class_id]
            weights = None if weights is None else weights[..., class_id]
        if y_pred.dtype.kind != "f":
            y_pred = y_pred.astype(np.float32)
        return y_true.astype(bool), y_pred, weights


def _share(part, rest):
    """part / (part + rest), 0 where both are 0."""
    whole = part + rest
    return np.divide(part, whole, out=np.zeros_like(whole), where=whole != 0)


def _number(values):
    return float(values[0]) if values.shape == (1,) else values.copy()


class _AtThresholds(_Counts):
    """What takes `thresholds`: a number from 0 to 1, or several; 0.5 by default."""

    def __init__(self, name, dtype, thresholds, default=0.5):
        super().__init__(dtype, name)
        self.thresholds = thresholds
        used = default if thresholds is None else thresholds
        used = [used] if isinstance(used, (int, float)) else list(used)
        wrong = [t for t in used if not isinstance(t, (int, float)) or not (0 <= t <= 1 or t == -math.inf)]
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

    def result(self):
        return self._number(getattr(self, self.kind).array)


class TruePositives(_ConfusionCount):
    """How many outputs above `thresholds` have the target 1."""

    kind, direction = "true_positives", "up"

    def __init__(self, thresholds=None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype, thresholds)


class TrueNegatives(_ConfusionCount):
    """How many outputs not above `thresholds` have the target 0."""

    kind, direction = "true_negatives", "up"

    def __init__(self, thresholds=None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype, thresholds)


class FalsePositives(_ConfusionCount):
    """How many outputs above `thresholds` have the target 0."""

    kind, direction = "false_positives", "down"

    def __init__(self, thresholds=None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype, thresholds)


class FalseNegatives(_ConfusionCount):
    """How many outputs not above `thresholds` have the target 1."""

    kind, direction = "false_negatives", "down"

    def __init__(self, thresholds=None, name: str | None = None, dtype: str | None = None) -> None:
        super().__init__(name, dtype, thresholds)


class _PrecisionOrRecall(_AtThresholds):
    direction = "up"

    def __init__(self, thresholds, top_k, class_id, name, dtype):
        super().__init__(name, dtype, thresholds, 0.5 if top_k is None else -math.inf)
        if top_k is not None and top_k < 1:
            raise ValueError(f"{type(self).__name__}: top_k must be at least 1; got {top_k!r}.")
        self.top_k, self.class_id = top_k, class_id

    def _arrange(self, y_true, y_pred, weights):
        return super()._arrange(y_true, y_pred, weights, self.top_k, self.class_id)


class Precision(_PrecisionOrRecall):
    """The share of true ones among the outputs above `thresholds` (0.5), or among the `top_k` largest of a sample;
    of all classes together, or of `class_id`."""

    def __init__(
        self, thresholds=None, top_k: int | None = None, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(thresholds, top_k, class_id, name, dtype)

    def result(self):
        return self._number(_share(self.true_positives.array, self.false_positives.array))


class Recall(_PrecisionOrRecall):
    """The share of the true ones that outputs above `thresholds` (0.5) find, or the `top_k` largest of a sample; of all
    classes together, or of `class_id`."""

    def __init__(
        self, thresholds=None, top_k: int | None = None, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(thresholds, top_k, class_id, name, dtype)

    def result(self):
        return self._number(_share(self.true_positives.array, self.false_negatives.array))


def _inner_thresholds(owner, number):
    """The thresholds between 0 and 1 of `number` evenly spaced ones."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(
            f"{type(owner).__name__}: num_thresholds must be a whole number of at least 1; got {number!r}."
        )
    return [(i + 1) / (number - 1) for i in range(number - 2)]


class _Best(_Counts):
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
        return _share(tn, fp), _share(tp, fn)


class SpecificityAtSensitivity(_Best):
    """The best share of zeros that are kept out, where at least `sensitivity` of the ones are found."""

    def __init__(
        self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__("sensitivity", sensitivity, num_thresholds, class_id, name, dtype)

    def _rates(self):
        tp, fp, tn, fn = self._counts
        return _share(tp, fn), _share(tn, fp)


class PrecisionAtRecall(_Best):
    """The best precision where recall is at least `recall`."""

    def __init__(
        self, recall: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__("recall", recall, num_thresholds, class_id, name, dtype)

    def _rates(self):
        tp, fp, tn, fn = self._counts
        return _share(tp, fn), _share(tp, fp)


class RecallAtPrecision(_Best):
    """The best recall where precision is at least `precision`."""

    def __init__(
        self, precision: float, num_thresholds: int = 200, class_id: int | None = None, name: str | None = None,
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__("precision", precision, num_thresholds, class_id, name, dtype)

    def _rates(self):
        tp, fp, tn, fn = self._counts
        return _share(tp, fp), _share(tp, fn)


class AUC(_Counts):
    """The area under a curve of two rates over all thresholds, by `num_thresholds` evenly spaced ones or `thresholds`.

    `curve`: "ROC", "PR" (precision over recall) or "PRGAIN". `summation_method`: "interpolation", "minoring" or
    "majoring", the area below or above the steps. `multi_label`: the mean over `num_labels` columns, weighted by
    `label_weights`; else those weight the columns of each sample. `from_logits`: outputs go through a sigmoid first.
    """

    direction = "up"

    def __init__(
        self, num_thresholds: int = 200, curve: str = "ROC", summation_method: str = "interpolation",
        name: str | None = None, dtype: str | None = None, thresholds=None, multi_label: bool = False,
        num_labels: int | None = None, label_weights=None, from_logits: bool = False,
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
        self.thresholds = None if thresholds is None else inner
        self._used, self._labels = [-1e-7, *inner, 1 + 1e-7], None
        if not multi_label or num_labels:
            self._start(self._used, (num_labels,) if multi_label else ())

    def update_state(self, y_true, y_pred, sample_weight=None) -> None:
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
            x, y = _share(fp, tn), _share(tp, fn)
        elif self.curve == "PR":
            x, y = _share(tp, fn), _share(tp, fp)
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
