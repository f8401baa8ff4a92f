"""Losses of probabilities: the cross-entropies, their focal forms, KL divergence; overlaps of masks; Circle.

Each function gives one value a sample (a pixel, where outputs are maps); the class of its name makes a Loss of it. The
stable path for a final softmax or sigmoid is in fastconv.ops. Contract: targets that do not fit are a ValueError that
names the loss to use.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from fastconv import ops
from fastconv.ops.common import normalize_axis
from fastconv.ops.losses import label_mask, replace_label
from fastconv.tensor import Tensor

from .base import FormulaLoss, as_float, check_smoothing, numbers, pair, remedy, smoothed, typed
from .regression import EPSILON, MEAN


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """`-sum(y_true * log(y_pred))` over `axis`, for one-hot targets or distributions of y_pred's shape.

    `from_logits=True`: y_pred are logits. `label_smoothing`: the share of each target that all classes get alike.
    """
    y_true, y_pred = typed(y_true, y_pred)
    axis = normalize_axis(axis, y_pred.ndim)
    _check_one_hot("categorical_crossentropy", y_true, y_pred, axis)
    y_true = smoothed(y_true, label_smoothing, y_pred.shape[axis])
    return ops.categorical_crossentropy(y_true, y_pred, from_logits, axis)


def _check_one_hot(name, y_true, y_pred, axis):
    if y_true.shape == y_pred.shape:
        return
    before, after = y_pred.shape[:axis], y_pred.shape[axis + 1 :]
    if y_true.shape in ((*before, *after), (*before, 1, *after)):
        raise ValueError(
            f"{name} expects one-hot targets of shape {y_pred.shape}; got {y_true.shape}. For "
            "integer labels use loss='sparse_categorical_crossentropy', or make them one-hot: "
            f"y = fastconv.utils.to_categorical(y, {y_pred.shape[axis]})."
        )
    hint = remedy(y_true.shape, y_pred.shape)
    raise ValueError(f"{name} expects targets of the output's shape {y_pred.shape}; got {y_true.shape}.{hint}")


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Tensor:
    """The same for integer labels: y_true is `(batch, ...)` or `(batch, ..., 1)` for y_pred `(batch, ..., classes)`.

    Where the label is `ignore_class`, which may be none of the classes, the value is 0.
    """
    y_pred, labels = as_float(y_pred), labels_of(y_true)
    axis = normalize_axis(axis, y_pred.ndim)
    if labels.shape == y_pred.shape and y_pred.shape[axis] != 1:
        raise ValueError(
            f"sparse_categorical_crossentropy expects integer labels of shape {y_pred.shape[:-1]}; got targets of "
            f"shape {labels.shape}. For one-hot targets use loss='categorical_crossentropy'."
        )
    if len(labels.shape) <= 2 and (hint := remedy(labels.shape, y_pred.shape)) and y_pred.ndim > 2:
        raise ValueError(
            f"sparse_categorical_crossentropy expects labels of shape {y_pred.shape[:-1]} for outputs of shape "
            f"{y_pred.shape}; got {labels.shape}.{hint}"
        )
    if ignore_class is None:
        return ops.sparse_categorical_crossentropy(labels, y_pred, from_logits, axis)
    kept = replace_label(labels, ignore_class)
    values = ops.sparse_categorical_crossentropy(kept, y_pred, from_logits, axis)
    return ops.multiply(values, _counted(labels, ignore_class, values))


def labels_of(y_true):
    """Labels as integers where they are whole numbers, else as they are."""
    if isinstance(y_true, Tensor):
        if y_true.symbolic:
            return y_true
        y_true = y_true.data
    labels = numbers("y_true", y_true)
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("The targets hold NaN or infinity where a class number should be: leave these samples out.")
    if labels.dtype.kind in "bf" and np.array_equal(labels, np.trunc(labels)) or labels.dtype.kind in "iu":
        labels = labels.astype(np.int64, copy=False)
    return labels


def _counted(labels, ignore_class, values):
    mask = label_mask(labels, ignore_class, values.dtype)
    return mask if mask.shape == values.shape else ops.reshape(mask, values.shape)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """The mean over `axis` of `-(y log p + (1 - y) log(1 - p))`; `from_logits=True`: y_pred are logits."""
    y_true, y_pred = _kept_logits("binary_crossentropy", y_true, y_pred)
    return ops.mean(ops.binary_crossentropy(smoothed(y_true, label_smoothing, 2), y_pred, from_logits), axis=axis)


def _kept_logits(name, y_true, y_pred):
    """As `pair`; but it is the targets that are reshaped, since a new tensor would not know its logits."""
    y_true, y_pred = typed(y_true, y_pred)
    if y_true.shape == (*y_pred.shape, 1):
        y_true = ops.reshape(y_true, y_pred.shape)
    return pair(name, y_true, y_pred)


def categorical_focal_crossentropy(
    y_true: Any, y_pred: Any, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False,
    label_smoothing: float = 0.0, axis: int = -1,
) -> Tensor:  # fmt: skip
    """`-sum(alpha * (1 - p) ** gamma * y_true * log(p))` over `axis`: what is known already counts less.

    `alpha` is a number, or one a class in a sequence.
    """
    y_true, y_pred = typed(y_true, y_pred)
    axis = normalize_axis(axis, y_pred.ndim)
    _check_one_hot("categorical_focal_crossentropy", y_true, y_pred, axis)
    y_true = smoothed(y_true, label_smoothing, y_pred.shape[axis])
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    p = ops.divide(y_pred, ops.sum(y_pred, axis=axis, keepdims=True))
    p = ops.clip(p, EPSILON, 1 - EPSILON)
    if not isinstance(alpha, (int, float)):
        alpha = np.asarray(alpha, y_pred.dtype)
    weights = ops.multiply(ops.power(ops.subtract(1.0, p), gamma), alpha)
    return ops.negative(ops.sum(ops.multiply(weights, ops.multiply(y_true, ops.log(p))), axis=axis))


def binary_focal_crossentropy(
    y_true: Any, y_pred: Any, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0,
    from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1,
) -> Tensor:  # fmt: skip
    """The mean over `axis` of the binary cross-entropy times `(1 - p_t) ** gamma`, where p_t is the probability of the
    right answer. `apply_class_balancing` weights ones by `alpha` and zeros by `1 - alpha`."""
    y_true, y_pred = _kept_logits("binary_focal_crossentropy", y_true, y_pred)
    y_true = smoothed(y_true, label_smoothing, 2)
    if from_logits:
        y_pred = ops.sigmoid(y_pred)
    values = ops.binary_crossentropy(y_true, y_pred)
    rest = ops.subtract(1.0, y_true)
    right = ops.add(ops.multiply(y_true, y_pred), ops.multiply(rest, ops.subtract(1.0, y_pred)))
    values = ops.multiply(ops.power(ops.subtract(1.0, right), gamma), values)
    if apply_class_balancing:
        values = ops.multiply(ops.add(ops.multiply(y_true, alpha), ops.multiply(rest, 1 - alpha)), values)
    return ops.mean(values, axis=axis)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float) -> Tensor:
    """`(1 - p ** q) / q` for the probability p of the integer label: between cross-entropy and absolute error."""
    y_pred, labels = as_float(y_pred), labels_of(y_true)
    normalize_axis(-1, y_pred.ndim)
    if labels.ndim == y_pred.ndim and labels.shape[-1] == 1:
        labels = labels.reshape(labels.shape[:-1])
    labels = ops.check_labels("target", labels, y_pred.shape[-1])
    p = ops.sum(ops.multiply(y_pred, ops.one_hot(labels, y_pred.shape[-1], dtype=y_pred.dtype)), axis=-1)
    return ops.divide(ops.subtract(1.0, ops.power(p, q)), q)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """The sum over the last axis of `y_true * log(y_true / y_pred)`; both are clipped to 1e-7 and 1."""
    y_true, y_pred = (ops.clip(y, EPSILON, 1.0) for y in pair("kl_divergence", y_true, y_pred))
    return ops.sum(ops.multiply(y_true, ops.log(ops.divide(y_true, y_pred))), axis=-1)


def dice(y_true: Any, y_pred: Any, axis: Any = None) -> Tensor:
    """1 minus twice the common part of two masks over their sum, along `axis`; all axes by default."""
    y_true, y_pred = pair("dice", y_true, y_pred)
    common = ops.sum(ops.multiply(y_true, y_pred), axis=axis)
    size = ops.add(ops.sum(y_true, axis=axis), ops.sum(y_pred, axis=axis))
    return ops.subtract(1.0, ops.divide(ops.multiply(common, 2.0), ops.add(size, EPSILON)))


def tversky(y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: Any = None) -> Tensor:
    """As `dice`, with `alpha` for the weight of what is missed and `beta` for that of false alarms, as Keras has it."""
    y_true, y_pred = pair("tversky", y_true, y_pred)
    common = ops.sum(ops.multiply(y_true, y_pred), axis=axis)
    missed = ops.multiply(ops.sum(ops.multiply(ops.subtract(1.0, y_pred), y_true), axis=axis), alpha)
    false = ops.multiply(ops.sum(ops.multiply(ops.subtract(1.0, y_true), y_pred), axis=axis), beta)
    whole = ops.add(ops.add(common, missed), ops.add(false, EPSILON))
    return ops.subtract(1.0, ops.divide(common, whole))


class _OfProbabilities(FormulaLoss):
    """A cross-entropy, which says little of numbers that are no probabilities."""

    activation = "softmax"  # what makes outputs probabilities
    largest: float | None = 1.5  # of targets: noise on labels of 0 and 1 is a known trick

    def doubt(self, target: Any, output: np.ndarray) -> str | None:
        if not self.from_logits and output.size and (output.min() < 0 or output.max() > 1 + 1e-3):
            name = type(self).__name__
            return (
                f"{self.name} expects probabilities, and the model gives values from {output.min():.4g} to "
                f"{output.max():.4g}. Give its last layer activation={self.activation!r}, or compile it with "
                f"loss=fastconv.losses.{name}(from_logits=True)."
            )
        if self.from_logits and self.activation == "softmax" and _are_distributions(output, self.axis):
            return (
                f"{self.name} has from_logits=True, and the model gives probabilities: leave out from_logits, or the last "
                "layer's activation."
            )
        if self.largest and target.size and (target.min() < 0 or target.max() > self.largest):
            return (
                f"{self.name} expects targets from 0 to 1, and got {target.min():.4g} to {target.max():.4g}. Classes "
                "are numbered 0 and 1, or made one-hot; images are scaled: y = y / 255."
            )
        return None


def _are_distributions(output, axis):
    """Whether the values along an axis of several are at least 0 and sum to 1."""
    if output.shape[axis] < 2 or not output.size or output.min() < 0:
        return False
    return bool((np.abs(output.sum(axis=axis) - 1) < 1e-3).all())


class CategoricalCrossentropy(_OfProbabilities):
    """`-sum(y_true * log(y_pred))` for one-hot targets or distributions of y_pred's shape.

    `from_logits=True`: y_pred are logits. `label_smoothing`: the share of each target, from 0 to 1, that all classes
    get alike. `axis` is that of the classes.
    """

    formula = staticmethod(categorical_crossentropy)

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str | None = MEAN,
        name: str | None = "categorical_crossentropy", dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype, from_logits=bool(from_logits),
                         label_smoothing=check_smoothing(self, label_smoothing), axis=axis)  # fmt: skip


class SparseCategoricalCrossentropy(_OfProbabilities):
    """The cross-entropy for integer labels: y_true is `(batch, ...)` or `(batch, ..., 1)` for y_pred
    `(batch, ..., classes)`.

    Labels equal to `ignore_class` (such as 255 in masks, or -1) take no part, also not in the mean.
    """

    formula = staticmethod(sparse_categorical_crossentropy)
    largest = None  # labels have an error of their own

    def __init__(
        self, from_logits: bool = False, ignore_class: int | None = None, reduction: str | None = MEAN, axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy", dtype: str | None = None,
    ) -> None:  # fmt: skip
        if ignore_class is not None and not isinstance(ignore_class, Integral):
            raise TypeError(
                f"{type(self).__name__}: ignore_class must be a whole number or None; got {ignore_class!r}."
            )
        super().__init__(name, reduction, dtype, from_logits=bool(from_logits), ignore_class=ignore_class, axis=axis)

    def mask(self, y_true: Any, values: Any) -> Tensor | None:
        return None if self.ignore_class is None else _counted(y_true, self.ignore_class, values)

    def _target(self, y_true, y_pred):
        return labels_of(y_true)

    def target_array(self, y_true: Any, dtype: Any) -> np.ndarray:
        return labels_of(y_true)

    def check_values(self, target: Any, output_shape: Any) -> None:
        if self.ignore_class is not None:
            target = target[target != self.ignore_class]
        _check_classes(target, output_shape[normalize_axis(self.axis, len(output_shape))])


def _check_classes(target, classes):
    try:
        ops.check_labels("target", target, classes)
    except ValueError as error:
        raise ValueError(f"{error} Give the last layer a unit for each class, or count labels from 0.") from None


class BinaryCrossentropy(_OfProbabilities):
    """The mean over `axis` of `-(y log p + (1 - y) log(1 - p))`; `from_logits=True`: y_pred are logits.
    `label_smoothing`, from 0 to 1, moves targets towards 0.5."""

    activation = "sigmoid"
    formula = staticmethod(binary_crossentropy)

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1, reduction: str | None = MEAN,
        name: str | None = "binary_crossentropy", dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype, from_logits=bool(from_logits),
                         label_smoothing=check_smoothing(self, label_smoothing), axis=axis)  # fmt: skip


class CategoricalFocalCrossentropy(_OfProbabilities):
    """The cross-entropy with `alpha * (1 - p) ** gamma` before each class, so that easy samples count less."""

    formula = staticmethod(categorical_focal_crossentropy)

    def __init__(
        self, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False, label_smoothing: float = 0.0,
        axis: int = -1, reduction: str | None = MEAN, name: str | None = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype, alpha=alpha, gamma=gamma, from_logits=bool(from_logits),
                         label_smoothing=check_smoothing(self, label_smoothing), axis=axis)  # fmt: skip


class BinaryFocalCrossentropy(_OfProbabilities):
    """The binary cross-entropy times `(1 - p_t) ** gamma`; `apply_class_balancing` weights ones by `alpha`."""

    activation = "sigmoid"
    formula = staticmethod(binary_focal_crossentropy)

    def __init__(
        self, apply_class_balancing: bool = False, alpha: float = 0.25, gamma: float = 2.0, from_logits: bool = False,
        label_smoothing: float = 0.0, axis: int = -1, reduction: str | None = MEAN,
        name: str | None = "binary_focal_crossentropy", dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            name, reduction, dtype, apply_class_balancing=bool(apply_class_balancing), alpha=alpha, gamma=gamma,
            from_logits=bool(from_logits), label_smoothing=check_smoothing(self, label_smoothing), axis=axis,
        )  # fmt: skip


class CategoricalGeneralizedCrossEntropy(FormulaLoss):
    """`(1 - p ** q) / q` for the probability p of the integer label; `q` is above 0 and at most 1."""

    formula = staticmethod(categorical_generalized_cross_entropy)

    def __init__(
        self, q: float = 0.5, reduction: str | None = MEAN,
        name: str | None = "categorical_generalized_cross_entropy", dtype: str | None = None,
    ) -> None:  # fmt: skip
        if not 0 < q <= 1:
            raise ValueError(f"CategoricalGeneralizedCrossEntropy: q must be above 0 and at most 1; got {q!r}.")
        super().__init__(name, reduction, dtype, q=q)

    _target = SparseCategoricalCrossentropy._target
    target_array = SparseCategoricalCrossentropy.target_array

    def check_values(self, target: Any, output_shape: Any) -> None:
        _check_classes(target, output_shape[-1])


class KLDivergence(FormulaLoss):
    """The sum over the last axis of `y_true * log(y_true / y_pred)`."""

    formula = staticmethod(kl_divergence)

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = "kl_divergence", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)


class Dice(FormulaLoss):
    """1 minus the Dice coefficient of two masks along `axis`; over the whole batch by default."""

    formula = staticmethod(dice)

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = "dice", axis: Any = None, dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype, axis=axis)


class Tversky(FormulaLoss):
    """1 minus the Tversky index of two masks along `axis`: `alpha` and `beta` weight the two kinds of errors."""

    formula = staticmethod(tversky)

    def __init__(
        self, alpha: float = 0.5, beta: float = 0.5, reduction: str | None = MEAN, name: str | None = "tversky",
        axis: Any = None, dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype, alpha=alpha, beta=beta, axis=axis)
