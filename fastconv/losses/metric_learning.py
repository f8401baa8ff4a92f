"""Circle: a loss on embeddings, which pulls samples of one label together and pushes others apart.

It compares each sample with the others of its batch, so it takes integer labels and whole batches. Contract: embeddings
are `(batch, size)` of length 1, as from UnitNormalization; a sample whose loss is 0 takes no part in a mean.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import ops
from fastconv.tensor import Tensor

from .base import FormulaLoss, as_float
from .probabilistic import SparseCategoricalCrossentropy, labels_of
from .regression import MEAN

_FAR = 1e30  # stands for infinity in a logarithm of a sum of exponentials, so that gradients stay numbers


def circle(
    y_true: Any, y_pred: Any, ref_labels: Any = None, ref_embeddings: Any = None, remove_diagonal: bool = True,
    gamma: float = 80, margin: float = 0.4,
) -> Tensor:  # fmt: skip
    """One value a sample: the soft maximum over pairs of how far same labels are apart and others together.

    y_true `(batch,)` holds integer labels, y_pred `(batch, size)` embeddings of length 1, compared with
    `ref_embeddings` of `ref_labels`, by default with one another; `remove_diagonal` leaves the pair of a sample with
    itself out.
    """
    y_pred, gamma = as_float(y_pred), float(gamma)
    others = y_pred if ref_embeddings is None else as_float(ref_embeddings, y_pred.dtype)
    labels = _column(y_true)
    same = labels == (labels if ref_labels is None else _column(ref_labels)).T
    positive = same & ~np.eye(*same.shape, dtype=bool) if remove_diagonal else same
    distance = ops.maximum(ops.subtract(1.0, ops.matmul(y_pred, ops.transpose(others))), 0.0)
    pull = ops.multiply(ops.multiply(ops.add(distance, margin), ops.subtract(margin, distance)), -gamma)
    push = ops.maximum(ops.subtract(1.0 + margin, distance), 0.0)
    push = ops.multiply(ops.multiply(push, ops.subtract(1.0 - margin, distance)), gamma)
    return ops.softplus(ops.add(_log_sum(pull, positive), _log_sum(push, ~same)))


def _column(labels):
    labels = labels_of(labels.data if isinstance(labels, Tensor) else labels)
    if labels.dtype != np.int64:
        raise ValueError(f"circle expects integer labels; got {labels.dtype} numbers that are not whole.")
    return labels.reshape(-1, 1)


def _log_sum(x, mask):
    """log(sum(exp(x))) over the row's entries of a mask; about -1e30 where there are none."""
    x = ops.add(ops.multiply(x, mask.astype(x.dtype)), np.where(mask, 0, -_FAR).astype(x.dtype))
    top = ops.max(x, axis=1, keepdims=True)
    total = ops.sum(ops.exp(ops.subtract(x, top)), axis=1)
    return ops.add(ops.log(total), ops.squeeze(top, axis=1))


class Circle(FormulaLoss):
    """Circle loss on embeddings of length 1 and integer labels: `gamma` scales, `margin` is how close is close enough.

    Its pairs depend on the labels' values, so that models train with it without a recorded plan.
    """

    formula = staticmethod(circle)

    def __init__(
        self, gamma: float = 80.0, margin: float = 0.4, remove_diagonal: bool = True, reduction: str | None = MEAN,
        name: str | None = "circle", dtype: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, reduction, dtype, gamma=gamma, margin=margin, remove_diagonal=bool(remove_diagonal))

    def mask(self, y_true: Any, values: Any) -> Tensor | None:
        return Tensor((values.data > 0).astype(values.dtype))

    _target = SparseCategoricalCrossentropy._target
    target_array = SparseCategoricalCrossentropy.target_array
