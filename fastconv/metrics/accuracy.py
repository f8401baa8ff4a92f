"""Accuracies: shares of outputs that are right.

Contract: the functions give a Tensor of 1s and 0s, one a sample (a pixel, where outputs are maps); the classes of their
names are running means of those. Shapes that do not fit raise ValueError.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.tensor import Tensor

from .base import MeanMetricWrapper, array_of, same_rank


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where output and target are equal."""
    y_true, y_pred = _fitting("accuracy", y_true, y_pred)
    return _as_floats(y_true == y_pred)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1 where an output is on its target's side of `threshold`."""
    y_true, y_pred = _fitting("binary_accuracy", y_true, y_pred)
    return _as_floats(y_true == (y_pred > threshold))


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest output stands where the one-hot target's 1 is."""
    y_true, y_pred = _one_hot("categorical_accuracy", y_true, y_pred)
    return _as_floats(y_true.argmax(axis=-1) == y_pred.argmax(axis=-1))


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1 where the largest output stands at the integer label."""
    labels, y_pred = _labels("sparse_categorical_accuracy", y_true, y_pred)
    return _as_floats(labels == y_pred.argmax(axis=-1))


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1 where the one-hot target's class is among the `k` largest outputs."""
    y_true, y_pred = _one_hot("top_k_categorical_accuracy", y_true, y_pred)
    return _in_top_k(y_true.argmax(axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Tensor:
    """1 where the label is among the `k` largest outputs; with `from_sorted_ids` y_pred holds classes, best first."""
    if from_sorted_ids:
        y_true, y_pred = array_of(y_true), array_of(y_pred)
        y_true = y_true if y_true.ndim == y_pred.ndim else y_true[..., None]
        return _as_floats((y_true == y_pred[..., :k]).any(axis=-1))
    return _in_top_k(*_labels("sparse_top_k_categorical_accuracy", y_true, y_pred), k)


def _in_top_k(labels, y_pred, k):
    if k < 1:
        raise ValueError(f"k must be at least 1; got {k!r}.")
    labels = labels.astype(np.int64, copy=False)
    known = (labels >= 0) & (labels < y_pred.shape[-1])
    own = np.take_along_axis(y_pred, np.where(known, labels, 0)[..., None], axis=-1)
    return _as_floats(known & ((y_pred > own).sum(axis=-1) < k) & np.isfinite(own[..., 0]))


def _fitting(name, y_true, y_pred):
    y_true, y_pred = same_rank(array_of(y_true), array_of(y_pred))
    if y_true.shape != y_pred.shape:
        raise ValueError(f"{name} expects targets of shape {y_pred.shape}; got {y_true.shape}.")
    return y_true, y_pred


def _one_hot(name, y_true, y_pred):
    y_true, y_pred = array_of(y_true), array_of(y_pred)
    if y_true.shape != y_pred.shape:
        labels = y_true.shape in (y_pred.shape[:-1], (*y_pred.shape[:-1], 1))
        raise ValueError(
            f"{name} expects targets of shape {y_pred.shape}; got {y_true.shape}."
            + f" For integer labels there is 'sparse_{name}'; 'accuracy' takes both." * labels
        )
    return y_true, y_pred


def _labels(name, y_true, y_pred):
    y_true, y_pred = array_of(y_true), array_of(y_pred)
    labels = y_true[..., 0] if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1 else y_true
    if labels.shape != y_pred.shape[:-1]:
        other = f" For one-hot targets there is {name.removeprefix('sparse_')!r}; 'accuracy' takes both."
        raise ValueError(
            f"{name} expects labels of shape {y_pred.shape[:-1]}; got {y_true.shape}."
            + other * (y_true.shape == y_pred.shape)
        )
    return labels, y_pred


def _as_floats(right):
    return Tensor(np.asarray(right, np.float32))


class Accuracy(MeanMetricWrapper):
    """The share of outputs that equal their targets. The name "accuracy" stands for more: see AutoAccuracy."""

    direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: str | None = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """The share of outputs on the target's side of `threshold`."""

    direction = "up"

    def __init__(self, name: str | None = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5) -> None:
        if not 0 <= threshold <= 1:
            raise ValueError(f"BinaryAccuracy: threshold must be between 0 and 1; got {threshold!r}.")
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose largest output stands where the one-hot target's 1 is."""

    direction = "up"

    def __init__(self, name: str | None = "categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose largest output stands at the integer label."""

    direction = "up"

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose one-hot target is among the `k` largest outputs."""

    direction = "up"

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """The share of samples whose label is among the `k` largest outputs; with `from_sorted_ids` those are
    classes."""

    direction = "up"

    def __init__(
        self, k: int = 5, name: str | None = "sparse_top_k_categorical_accuracy", dtype: str | None = None,
        from_sorted_ids: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=k, from_sorted_ids=from_sorted_ids)


class AutoAccuracy(MeanMetricWrapper):
    """What `metrics=["accuracy"]` means: categorical, sparse categorical or binary accuracy, as each batch's shapes
    tell by Keras' rule: one output is binary; targets without the classes' axis are labels."""

    direction = "up"

    def __init__(self, name: str | None = "accuracy", dtype: str | None = None) -> None:
        super().__init__(_by_shapes, name, dtype)


def _by_shapes(y_true, y_pred):
    if y_pred.ndim < 2 or y_pred.shape[-1] == 1:
        return binary_accuracy(y_true, y_pred)
    if y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
        return sparse_categorical_accuracy(y_true, y_pred)
    return categorical_accuracy(y_true, y_pred)
