"""Cross-entropies, one value a sample (the binary one: one an element).

Not here: the mean over a batch (fastconv.losses).
Contract: computed from logits in one stable step when the output is declared to be logits, or is the direct result of
`ops.softmax` (`ops.sigmoid`) over the same axis. Any other output is normalised and clipped to 1e-7, as in Keras.
"""

from __future__ import annotations

import math

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .activations import softplus
from .casting import convert_to_tensor, promoted
from .common import normalize_axis
from .creation import one_hot
from .elementwise import add, clip, divide, log, multiply, negative, square, subtract
from .functions import log10
from .reductions import mean, sum
from .shaping import check_labels

__all__ = ["binary_crossentropy", "categorical_crossentropy", "psnr", "sparse_categorical_crossentropy"]

EPSILON = 1e-7


class SoftmaxCrossentropy(Op):
    """logits and target (..., K, ...) -> losses (...)."""

    kernels = True

    @staticmethod
    def shape(logits, target, *, axis):
        return (*logits[:axis], *logits[axis + 1 :])

    def forward(self, logits, target, *, axis):
        self.axis, self.sizes = axis, logits.shape
        self.logits = self._rows(logits) if self.needs[1] else None
        self.target = self._targets(target)
        loss, self.probabilities = kernels.softmax_crossentropy_forward(self._rows(logits), self.target)
        return loss.reshape(self.shape(self.sizes, None, axis=axis))

    def backward(self, dy):
        dy = dy.reshape(-1)
        dlogits = dtarget = None
        if self.needs[0]:
            dlogits = kernels.softmax_crossentropy_backward(dy, self.probabilities, self.target)
        if self.needs[1]:
            dtarget = -dy[:, None] * kernels.log_softmax_forward(self.logits)
        return self._unrows(dlogits), self._unrows(dtarget)

    def _targets(self, target):
        return self._rows(target)

    def _rows(self, x):
        """(..., K, ...) -> (N, K)."""
        if self.axis != x.ndim - 1:
            x = np.moveaxis(x, self.axis, -1)
        return x.reshape(-1, self.sizes[self.axis])

    def _unrows(self, rows):
        if rows is None:
            return None
        moved = self.sizes[: self.axis] + self.sizes[self.axis + 1 :] + rows.shape[1:]
        rows = rows.reshape(moved)
        return rows if self.axis == rows.ndim - 1 else np.moveaxis(rows, -1, self.axis)


class SparseSoftmaxCrossentropy(SoftmaxCrossentropy):
    """logits (..., K, ...) and integer labels (...) -> losses (...)."""

    integers = (1,)

    def _targets(self, labels):
        return labels.reshape(-1)


class ReplaceLabel(Op):
    """Integer labels with `label` replaced by 0."""

    integers = (0,)

    def forward(self, labels, *, label, dtype):
        return np.where(labels == label, 0, labels).astype(dtype, copy=False)

    def backward(self, dy):
        return None


class LabelMask(Op):
    """Integer labels -> 1 where they are not `label`, else 0."""

    integers = (0,)

    def forward(self, labels, *, label, dtype):
        return (labels != label).astype(dtype)

    def backward(self, dy):
        return None


def replace_label(labels, label):
    """Integer labels with those that are `label` replaced by 0."""
    if isinstance(labels, Tensor) and labels.symbolic:
        return ReplaceLabel.apply(labels, label=label, dtype=np.dtype(np.int64))
    return np.where(labels == label, 0, labels)


def label_mask(labels, label, dtype):
    """1 where integer labels are not `label`, else 0, in `dtype`."""
    return LabelMask.apply(labels, label=label, dtype=np.dtype(dtype))


def categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """-sum(target * log(output)) over `axis`: output and target (..., K) -> (...).

    `target` holds a distribution (such as a one-hot vector) in output's dtype, `output` probabilities, or logits with
    `from_logits=True`. ValueError where the shapes differ.
    """
    output = convert_to_tensor(output)
    axis = normalize_axis(axis, output.ndim)
    target = _distribution(target, output, axis)
    logits = _logits(output, from_logits, "softmax", axis)
    if logits is not None:
        return SoftmaxCrossentropy.apply(logits, target, axis=axis)
    output = divide(output, sum(output, axis=axis, keepdims=True))
    return negative(sum(multiply(target, log(clip(output, EPSILON, 1 - EPSILON))), axis=axis))


def sparse_categorical_crossentropy(
    target: TensorLike, output: TensorLike, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """The same with integer labels: output (..., K), target (...) or (..., 1) -> (...).

    ValueError for a label outside 0..K - 1, TypeError for labels that are no integers.
    """
    output = convert_to_tensor(output)
    axis = normalize_axis(axis, output.ndim)
    classes = output.shape[axis]
    labels = check_labels("target", target, classes)
    wanted = output.shape[:axis] + output.shape[axis + 1 :]
    if labels.shape not in (wanted, wanted + (1,)):
        raise ValueError(
            f"sparse_categorical_crossentropy expects one label a sample: target of shape {wanted} for output of shape "
            f"{output.shape}; got {labels.shape}. One-hot targets go with categorical_crossentropy."
        )
    logits = _logits(output, from_logits, "softmax", axis)
    if logits is not None:
        return SparseSoftmaxCrossentropy.apply(logits, labels, axis=axis)
    if labels.shape != wanted:
        labels = labels.reshape(wanted)
    return categorical_crossentropy(one_hot(labels, classes, axis, output.dtype), output, axis=axis)


def binary_crossentropy(target: TensorLike, output: TensorLike, from_logits: bool = False) -> Tensor:
    """-(target * log(output) + (1 - target) * log(1 - output)), element by element.

    `target` holds numbers from 0 to 1 in output's shape and dtype, `output` probabilities, or logits with
    `from_logits=True`.
    """
    output = convert_to_tensor(output)
    target = _float_target(target, output)
    if target.shape != output.shape:
        raise ValueError(f"target and output must have one shape; got {target.shape} and {output.shape}.")
    logits = _logits(output, from_logits, "sigmoid", None)
    if logits is not None:
        # -log(sigmoid(x)) is softplus(-x): neither term is a difference of large numbers.
        return add(multiply(target, softplus(negative(logits))), multiply(subtract(1.0, target), softplus(logits)))
    output = clip(output, EPSILON, 1 - EPSILON)
    ones = multiply(target, log(output))
    zeros = multiply(subtract(1.0, target), log(subtract(1.0, output)))
    return negative(ones + zeros)


def _logits(output, from_logits, activation, axis):
    """The Tensor to compute from when `output` is logits, or the direct result of `activation`; else None."""
    if from_logits:
        return output
    if output._logits is not None:
        name, logits, over = output._logits
        if (name, over) == (activation, axis):
            return logits
    return None


def _distribution(target, output, axis):
    shape = target.shape if isinstance(target, Tensor) else np.shape(target)
    if shape != output.shape:
        message = f"categorical_crossentropy expects a target of output's shape {output.shape}; got {shape}."
        labels = output.shape[:axis] + output.shape[axis + 1 :]
        if shape in (labels, labels + (1,)):
            message += " For integer labels use sparse_categorical_crossentropy, or utils.to_categorical(target)."
        raise ValueError(message)
    return _float_target(target, output)


def _float_target(target, output):
    """`target` as a Tensor of output's dtype; Python lists are converted, arrays never."""
    if isinstance(target, Tensor):
        return target
    if isinstance(target, (list, tuple, bool, int, float)):
        return Tensor(target, dtype=output.dtype)
    target = np.asarray(target)
    if target.dtype != output.dtype:
        raise TypeError(
            f"target must have output's dtype {output.dtype}; got {target.dtype}. Use target.astype('{output.dtype}')."
        )
    return Tensor(target)


def psnr(x1: TensorLike, x2: TensorLike, max_val: float) -> Tensor:
    """The peak signal-to-noise ratio of two images, in decibels: 10 log10(max_val**2 / mean((x1 - x2)**2)), a number."""
    x1, x2 = map(convert_to_tensor, promoted(x1, x2, floats=True))
    if x1.shape != x2.shape:
        raise ValueError(f"psnr: x1 and x2 must have one shape; got {x1.shape} and {x2.shape}.")
    return subtract(20 * math.log10(float(max_val)), multiply(log10(mean(square(subtract(x1, x2)))), 10.0))
