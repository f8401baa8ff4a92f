"""Batch, group, layer and RMS normalization, and what goes with them: moments, normalize.

Two kinds of functions: those of keras.ops, and `batch_norm`, `group_norm` and `layer_norm`, which layers call.
Contract: axes that are not the last ones are moved there, to be normalized by the kernels, and back. Variances are of
all values (biased), as in Keras.
"""

from __future__ import annotations

import operator
from numbers import Integral

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor
from .common import Axes, normalize_axes, normalize_axis
from .elementwise import abs, add, divide, maximum, multiply, power, sqrt, square, subtract
from .reductions import mean as mean_of
from .reductions import sum
from .shaping import reshape, transpose

__all__ = [
    "batch_norm",
    "batch_normalization",
    "group_norm",
    "layer_norm",
    "layer_normalization",
    "moments",
    "normalize",
    "rms_normalization",
]

EPSILON = 1e-7  # Keras' default where none is given


class BatchNorm(Op):
    """Training: statistics of x, which also move the moving ones in place."""

    kernels = True
    updates = (3, 4)

    def forward(self, x, gamma, beta, moving_mean, moving_variance, *, momentum, epsilon):
        self.x, self.gamma = x, gamma
        y, self.mean, self.inverse_std, variance = kernels.batch_norm_forward(x, gamma, beta, epsilon)
        kernels.batch_norm_update(moving_mean, moving_variance, self.mean, variance, momentum)
        return y

    def backward(self, dy):
        needs = self.needs[:3]
        gradients = kernels.batch_norm_backward(dy, self.x, self.gamma, self.mean, self.inverse_std, needs=needs)
        return *gradients[:3], None, None

    @staticmethod
    def shape(x, gamma, beta, moving_mean, moving_variance, *, momentum, epsilon):
        return kernels.batch_norm_shape(x, gamma, beta, moving_mean, moving_variance, training=True)


class BatchNormInference(Op):
    """Given statistics, to which gradients flow too."""

    kernels = True

    def forward(self, x, gamma, beta, mean, variance, *, epsilon):
        self.x, self.gamma, self.mean = x, gamma, mean
        y, self.inverse_std = kernels.batch_norm_inference_forward(x, gamma, beta, mean, variance, epsilon)
        return y

    def backward(self, dy):
        return kernels.batch_norm_inference_backward(
            dy, self.x, self.gamma, self.mean, self.inverse_std, needs=self.needs
        )[:5]

    @staticmethod
    def shape(x, gamma, beta, mean, variance, *, epsilon):
        return kernels.batch_norm_shape(x, gamma, beta, mean, variance)


class GroupNorm(Op):
    kernels = True

    def forward(self, x, gamma, beta, *, groups, epsilon):
        self.x, self.gamma = x, gamma
        y, self.mean, self.inverse_std = kernels.group_norm_forward(x, gamma, beta, groups, epsilon)
        return y

    def backward(self, dy):
        return kernels.group_norm_backward(dy, self.x, self.gamma, self.mean, self.inverse_std, self.needs)

    @staticmethod
    def shape(x, gamma, beta, *, groups, epsilon):
        return kernels.group_norm_shape(x, gamma, beta, groups=groups)


class LayerNorm(Op):
    """The last `axes` axes of x are normalized; gamma and beta have their shape."""

    kernels = True

    def forward(self, x, gamma, beta, *, axes, epsilon):
        self.x, self.gamma = x, gamma
        y, self.mean, self.inverse_std = kernels.layer_norm_forward(x, gamma, beta, epsilon, axes)
        return y

    def backward(self, dy):
        return kernels.layer_norm_backward(dy, self.x, self.gamma, self.mean, self.inverse_std, self.needs)

    @staticmethod
    def shape(x, gamma, beta, *, axes, epsilon):
        return kernels.layer_norm_shape(x, gamma, beta, axes=axes)


class RMSNorm(Op):
    """As LayerNorm, by the root of the mean square, around 0."""

    kernels = True

    def forward(self, x, gamma, *, axes, epsilon):
        self.x, self.gamma = x, gamma
        y, self.inverse_std = kernels.rms_norm_forward(x, gamma, epsilon, axes)
        return y

    def backward(self, dy):
        return kernels.rms_norm_backward(dy, self.x, self.gamma, self.inverse_std, self.needs)

    @staticmethod
    def shape(x, gamma, *, axes, epsilon):
        return kernels.layer_norm_shape(x, gamma, axes=axes)


# -------------------------------------------------------------------------------------------------- what layers call


def batch_norm(
    x: TensorLike,
    gamma: TensorLike | None,
    beta: TensorLike | None,
    moving_mean: TensorLike,
    moving_variance: TensorLike,
    momentum: float,
    epsilon: float,
    training: bool,
) -> Tensor:
    """x (..., C) normalized, times gamma, plus beta ((C,) or None).

    Training: by its own mean and variance over all axes but the last, and moving = moving * momentum + own *
    (1 - momentum) in place; ValueError for fewer than two values a channel. Else by the moving statistics.
    """
    epsilon = _epsilon(epsilon)
    if not training:
        return BatchNormInference.apply(x, gamma, beta, moving_mean, moving_variance, epsilon=epsilon)
    momentum = float(momentum)
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum must be between 0 and 1, the share of the old moving statistics; got {momentum}.")
    return BatchNorm.apply(x, gamma, beta, moving_mean, moving_variance, momentum=momentum, epsilon=epsilon)


def group_norm(
    x: TensorLike, gamma: TensorLike | None, beta: TensorLike | None, groups: int | None, epsilon: float
) -> Tensor:
    """x (N, ..., C) normalized by sample and run of C / groups channels, times gamma, plus beta ((C,) or None)."""
    return GroupNorm.apply(x, gamma, beta, groups=operator.index(groups), epsilon=_epsilon(epsilon))


def layer_norm(
    x: TensorLike, gamma: TensorLike | None, beta: TensorLike | None, epsilon: float, axes: int = 1
) -> Tensor:
    """The last `axes` axes of x normalized, times gamma, plus beta (of those axes' shape, or None)."""
    return LayerNorm.apply(x, gamma, beta, axes=operator.index(axes), epsilon=_epsilon(epsilon))


# --------------------------------------------------------------------------------------------------------- keras.ops


def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    axis: int,
    offset: TensorLike | None = None,
    scale: TensorLike | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) * scale + offset; all but x are vectors along the channels' `axis`."""
    x, epsilon = convert_to_tensor(x), _epsilon(epsilon)
    axes = (normalize_axis(axis, x.ndim),)
    return _at_the_end(x, axes, lambda x: BatchNormInference.apply(x, scale, offset, mean, variance, epsilon=epsilon))


def layer_normalization(
    x: TensorLike,
    gamma: TensorLike | None = None,
    beta: TensorLike | None = None,
    axis: Axes = -1,
    epsilon: float | None = None,
) -> Tensor:
    """x normalized over `axis` (an int or several), times gamma, plus beta.

    gamma and beta have the shape of those axes, in x's order, or broadcast against x. `epsilon` is 1e-7 by default.
    """
    x = convert_to_tensor(x)
    axes, epsilon = tuple(sorted(normalize_axes(axis, x.ndim))), _epsilon(epsilon)
    sizes = tuple(x.shape[a] for a in axes)
    fit = all(weight is None or np.shape(weight) == sizes for weight in (gamma, beta))
    weights = (gamma, beta) if fit else (None, None)
    y = _at_the_end(x, axes, lambda x: LayerNorm.apply(x, *weights, axes=len(axes), epsilon=epsilon))
    if fit:
        return y
    kept = [size if a in axes else 1 for a, size in enumerate(x.shape)]
    for operation, weight in ((multiply, gamma), (add, beta)):
        if weight is not None:
            y = operation(y, reshape(weight, kept) if np.shape(weight) == sizes else weight)
    return y


def rms_normalization(
    x: TensorLike, scale: TensorLike | None = None, axis: Axes = -1, epsilon: float | None = None
) -> Tensor:
    """x / sqrt(mean(x * x) + epsilon) over `axis` (an int or several), times `scale`, which broadcasts against x.

    `epsilon` is 1e-7 by default.
    """
    x = _with_axes(x)
    axes, epsilon = tuple(sorted(normalize_axes(axis, x.ndim))), _epsilon(epsilon)
    fits = scale is not None and axes[0] == x.ndim - len(axes) and np.shape(scale) == x.shape[axes[0] :]
    weight = scale if fits else None
    y = _at_the_end(x, axes, lambda x: RMSNorm.apply(x, weight, axes=len(axes), epsilon=epsilon))
    return y if scale is None or fits else multiply(y, scale)


def normalize(x: TensorLike, axis: Axes = -1, order: float = 2, epsilon: float | None = None) -> Tensor:
    """x / max(norm, epsilon), with the norm sum(|x|**order)**(1 / order) over `axis`; order is an int, 1 or more.

    `epsilon` is 1e-7 by default.
    """
    if isinstance(order, bool) or not isinstance(order, Integral) or order < 1:
        raise ValueError(f"order must be an int of at least 1; got {order!r}.")
    x, epsilon = _with_axes(x), _epsilon(epsilon)
    # The sum is bounded before the root, whose slope at 0 is infinite.
    if order == 2:
        return divide(x, sqrt(maximum(sum(square(x), axis, keepdims=True), epsilon**2)))
    total = sum(power(abs(x), order), axis, keepdims=True)
    norm = total if order == 1 else power(maximum(total, float(np.finfo(x.dtype).tiny)), 1 / order)
    return divide(x, maximum(norm, epsilon))


def moments(x: TensorLike, axes: Axes, keepdims: bool = False, synchronized: bool = False) -> tuple[Tensor, Tensor]:
    """(mean, variance) of x over `axes`; the variance is biased."""
    if synchronized:
        raise ValueError(
            "synchronized=True is for several devices, and an op sees its own part of a batch alone: take "
            "layers.BatchNormalization(synchronized=True), whose statistics are the whole batch's, or leave it False."
        )
    x = convert_to_tensor(x)
    mean = mean_of(x, axes, keepdims=True)
    variance = mean_of(square(subtract(x, mean)), axes, keepdims=keepdims)
    return mean if keepdims else reshape(mean, variance.shape), variance


# ------------------------------------------------------------------------------------------------------- arguments


def _epsilon(epsilon):
    epsilon = EPSILON if epsilon is None else float(epsilon)
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be at least 0, since it is added to a variance; got {epsilon}.")
    return epsilon


def _at_the_end(x, axes, function):
    """`function` of x with `axes` as its last ones, and back."""
    order = [*(axis for axis in range(x.ndim) if axis not in axes), *axes]
    if order == list(range(x.ndim)):
        return function(x)
    return transpose(function(transpose(x, order)), [order.index(axis) for axis in range(x.ndim)])


def _with_axes(x):
    x = convert_to_tensor(x)
    return x if x.ndim else reshape(x, (1,))
