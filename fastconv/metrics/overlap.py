"""Metrics of whole classes: F-scores, intersection over union, and the confusion matrix itself.

Contract: counts are sums of sample weights in float64, over all batches; classes are numbers from 0 to
num_classes - 1, and pixels of other classes, such as 255 for "unknown", are left out.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

import numpy as np

from fastconv.registry import checked_choice, checked_whole

from .base import Metric, array_of, same_rank

EPSILON = 1e-7


class FBetaScore(Metric):
    """The harmonic mean of precision and recall, in which recall counts `beta` times as much, for one-hot or several
    targets `(batch, classes)`.

    Without a `threshold` the largest output of a sample is positive; with one, all above it. `average`: None gives
    one score a class, "micro" counts all classes together, "macro" is the mean and "weighted" that by frequency.
    """

    direction = "up"

    def __init__(
        self, average: str | None = None, beta: float = 1.0, threshold: float | None = None,
        name: str | None = "fbeta_score", dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        self.average = checked_choice(self, "average", average, (None, "micro", "macro", "weighted"))
        if isinstance(beta, bool) or not isinstance(beta, Real) or not 0 < beta < math.inf:
            raise ValueError(f"{type(self).__name__}: beta must be a finite number above 0; got {beta!r}.")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"{type(self).__name__}: threshold must be above 0 and at most 1; got {threshold!r}.")
        self.beta, self.threshold, self._parts = float(beta), threshold, None

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = array_of(y_true), array_of(y_pred)
        if y_pred.ndim != 2 or y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name} expects targets and outputs of one shape (batch, classes); got {y_true.shape} and "
                f"{y_pred.shape}."
            )
        if self._parts is None:
            shape = () if self.average == "micro" else y_pred.shape[1:]
            names = ("true_positives", "false_positives", "false_negatives", "intermediate_weights")
            self._parts = [self._sums(name, shape) for name in names]
        if self.threshold is None:
            found = (y_pred >= y_pred.max(axis=-1, keepdims=True)) & (np.abs(y_pred) > 1e-9)
        else:
            found = y_pred > self.threshold
        y_true, found = y_true.astype(np.float64), found.astype(np.float64)
        weights = 1.0 if sample_weight is None else array_of(sample_weight).astype(np.float64).reshape(-1, 1)
        axis = None if self.average == "micro" else 0
        for total, values in zip(self._parts, (found * y_true, found * (1 - y_true), (1 - found) * y_true, y_true)):
            total += (values * weights).sum(axis=axis)

    def result(self) -> Any:
        if self._parts is None:
            return 0.0
        tp, fp, fn, frequency = self._parts
        precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
        scores = precision * recall / (self.beta**2 * precision + recall + EPSILON) * (1 + self.beta**2)
        if self.average == "weighted":
            return float((scores * frequency).sum() / (frequency.sum() + EPSILON))
        return scores if self.average is None else float(scores.mean())


class F1Score(FBetaScore):
    """FBetaScore with beta 1: precision and recall count alike."""

    def __init__(
        self, average: str | None = None, threshold: float | None = None, name: str | None = "f1_score",
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(average, 1.0, threshold, name, dtype)


class ConfusionMatrix(Metric):
    """How often each class was taken for each: `result()` is `(num_classes, num_classes)`, targets in rows, outputs in
    columns; Keras has no such metric.

    Targets and outputs are integer classes, or with `sparse_y_true=False` (`sparse_y_pred=False`, the default) scores
    along `axis`, of which the largest counts. Targets that are `ignore_class` or no class are left out.
    """

    def __init__(
        self, num_classes: int, name: str | None = None, dtype: str | None = None, ignore_class: int | None = None,
        sparse_y_true: bool = True, sparse_y_pred: bool = False, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(dtype, name)
        self.num_classes = num_classes = checked_whole(self, "num_classes", num_classes)
        if ignore_class is not None and not isinstance(ignore_class, Integral):
            raise TypeError(
                f"{type(self).__name__}: ignore_class must be a whole number or None; got {ignore_class!r}."
            )
        self.ignore_class, self.axis = ignore_class, axis
        self.sparse_y_true, self.sparse_y_pred = bool(sparse_y_true), bool(sparse_y_pred)
        self.total_cm = self.add_variable((num_classes, num_classes), "zeros", "float64", name="total_confusion_matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        y_true, y_pred = array_of(y_true), array_of(y_pred)
        y_true = y_true if self.sparse_y_true else y_true.argmax(axis=self.axis)
        y_pred = y_pred if self.sparse_y_pred else y_pred.argmax(axis=self.axis)
        y_true, y_pred = same_rank(y_true, y_pred)
        if y_true.shape != y_pred.shape:
            raise ValueError(
                f"{self.name}: targets of shape {y_true.shape} do not fit outputs of shape {y_pred.shape}."
            )
        kept = (y_true >= 0) & (y_true < self.num_classes) & (y_pred >= 0) & (y_pred < self.num_classes)
        if self.ignore_class is not None:
            kept &= y_true != self.ignore_class
        weights = None
        if sample_weight is not None:
            weights = array_of(sample_weight).astype(np.float64)
            while weights.ndim > y_true.ndim and weights.shape[-1] == 1:
                weights = weights[..., 0]
            weights = weights.reshape(weights.shape + (1,) * (y_true.ndim - weights.ndim))
            weights = np.broadcast_to(weights, y_true.shape)[kept]
        cells = y_true[kept].astype(np.int64) * self.num_classes + y_pred[kept].astype(np.int64)
        found = np.bincount(cells, weights, self.num_classes**2)
        self.total_cm.array += found.reshape(self.num_classes, self.num_classes)

    def result(self) -> np.ndarray:
        return self.total_cm.array.copy()


class IoU(ConfusionMatrix):
    """Intersection over union, the mean over `target_class_ids`: of classes, or with `sparse_y_true=False` and
    `sparse_y_pred=False` of scores along `axis`. A class that nowhere occurs does not count."""

    direction = "up"

    def __init__(
        self, num_classes: int, target_class_ids: Any, name: str | None = None, dtype: str | None = None,
        ignore_class: int | None = None, sparse_y_true: bool = True, sparse_y_pred: bool = True, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)
        given = range(self.num_classes) if target_class_ids is None else target_class_ids
        if not all(isinstance(number, Integral) and 0 <= number < num_classes for number in given):
            raise ValueError(
                f"{type(self).__name__}: target_class_ids must be from 0 to {num_classes - 1}; got "
                f"{target_class_ids!r}."
            )
        self.target_class_ids = [int(number) for number in given]

    def result(self) -> float:
        matrix = self.total_cm.array
        common = matrix.diagonal()
        union = (matrix.sum(axis=0) + matrix.sum(axis=1) - common)[self.target_class_ids]
        valid = union > 1e-9
        shares = np.where(valid, common[self.target_class_ids] / (union + EPSILON), 0.0)
        return float(shares.sum() / (valid.sum() + EPSILON))


class BinaryIoU(IoU):
    """IoU of two classes, 0 and 1, for outputs that are class 1 from `threshold` on."""

    def __init__(
        self, target_class_ids: Any = (0, 1), threshold: float = 0.5, name: str | None = None, dtype: str | None = None
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        super().update_state(y_true, array_of(y_pred) >= self.threshold, sample_weight)


class MeanIoU(IoU):
    """IoU, the mean over all classes; for softmax outputs say `sparse_y_pred=False`."""

    def __init__(
        self, num_classes: int, name: str | None = None, dtype: str | None = None, ignore_class: int | None = None,
        sparse_y_true: bool = True, sparse_y_pred: bool = True, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, None, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """IoU for one-hot targets and, unless `sparse_y_pred`, scores of classes along `axis`."""

    def __init__(
        self, num_classes: int, target_class_ids: Any, name: str | None = None, dtype: str | None = None,
        ignore_class: int | None = None, sparse_y_pred: bool = False, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """MeanIoU for one-hot targets and, unless `sparse_y_pred`, scores of classes along `axis`."""

    def __init__(
        self, num_classes: int, name: str | None = None, dtype: str | None = None, ignore_class: int | None = None,
        sparse_y_pred: bool = False, axis: int = -1,
    ) -> None:  # fmt: skip
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)
