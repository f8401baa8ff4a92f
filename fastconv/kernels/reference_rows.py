"""The slow twins of what works on rows and columns of an array: activations, losses and normalization, in NumPy.

A part of reference.py, which says what they are for; contract as there.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "batch_norm_backward", "batch_norm_fold", "batch_norm_forward", "batch_norm_inference_backward",
    "batch_norm_inference_forward", "batch_norm_update", "group_norm_backward", "group_norm_forward",
    "layer_norm_backward", "layer_norm_forward", "log_softmax_backward", "log_softmax_forward", "relu_backward",
    "relu_forward", "rms_norm_backward", "rms_norm_forward", "scale_shift_forward", "softmax_backward",
    "softmax_crossentropy_backward", "softmax_crossentropy_forward", "softmax_forward",
]  # fmt: skip


# ------------------------------------------------------------------------------------------- activations and loss


def relu_forward(x, most=None):
    """max(x, 0), and at most `most`; NaN stays NaN."""
    return np.clip(x, 0, most)


def relu_backward(dy, y, most=None):
    """dy where the output y is positive or NaN, and below `most`; else 0."""
    cut = y <= 0 if most is None else (y <= 0) | (y >= most)
    return np.where(cut, 0, dy).astype(dy.dtype)


def softmax_forward(x):
    """exp(x) / sum(exp(x)) over the last axis."""
    powers = np.exp(_shifted(x))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(x.dtype)


def softmax_backward(dy, y):
    """dy and the output y -> y * (dy - sum(dy * y))."""
    wide = dy.astype(np.float64)
    return (y * (wide - (wide * y).sum(axis=-1, keepdims=True))).astype(dy.dtype)


def log_softmax_forward(x):
    """log(softmax(x)) over the last axis, without leaving the range of x."""
    return _log_softmax(x).astype(x.dtype)


def log_softmax_backward(dy, y):
    """dy and the output y -> dy - exp(y) * sum(dy)."""
    wide = dy.astype(np.float64)
    return (wide - np.exp(y, dtype=np.float64) * wide.sum(axis=-1, keepdims=True)).astype(dy.dtype)


def softmax_crossentropy_forward(logits, target):
    """logits (N, K), target (N,) integer labels or (N, K) weights -> losses (N,) and softmax(logits) (N, K).

    A class of weight 0 adds nothing, even when its logit is -inf.
    """
    logs = _log_softmax(logits)
    if target.ndim == 1:
        loss = -np.take_along_axis(logs, target[:, None].astype(np.intp), axis=1)[:, 0]
    else:
        loss = -np.multiply(target, logs, where=target != 0, out=np.zeros_like(logs)).sum(axis=1)
    return loss.astype(logits.dtype), np.exp(logs).astype(logits.dtype)


def softmax_crossentropy_backward(dloss, probabilities, target):
    """dloss (N,) and the forward's probabilities (N, K) -> dlogits (N, K)."""
    if target.ndim == 1:
        target = target[:, None] == np.arange(probabilities.shape[1])
    target = target.astype(np.float64)
    slopes = probabilities * target.sum(axis=1, keepdims=True) - target
    return (dloss[:, None] * slopes).astype(probabilities.dtype)


# -------------------------------------------------------------------------------------------------- normalization


def batch_norm_forward(x, gamma, beta, epsilon, residual=None, relu=False, most=None):
    """x (..., C), gamma and beta (C,) or None -> y, and the mean, 1 / sqrt(variance + epsilon) and variance of all axes
    but the last. y = normalized x * gamma + beta, then + residual, then ReLU up to `most`."""
    rows = _rows(x.astype(np.float64))
    mean, variance = rows.mean(axis=0), rows.var(axis=0)
    y = _normalized(x, mean, variance + epsilon, gamma, beta, residual, relu, most)
    return y, *[array.astype(x.dtype) for array in (mean, 1 / np.sqrt(variance + epsilon), variance)]


def batch_norm_backward(dy, x, gamma, mean, inverse_std, y=None, needs=(True, True, True), residual=False, most=None):
    """dy, and what forward took and gave -> dx, dgamma, dbeta and dresidual; y is given where forward had ReLU."""
    g, wide = _cut(dy, y, most), x.astype(np.float64)
    scale = inverse_std * np.float64(1) if gamma is None else inverse_std * gamma.astype(np.float64)
    axes = tuple(range(x.ndim - 1))
    normal = (wide - mean) * inverse_std
    dbeta, dgamma = g.sum(axis=axes), (g * normal).sum(axis=axes)
    dx = scale * (g - (dbeta + normal * dgamma) / (x.size // x.shape[-1]))
    return _needed(x.dtype, (*needs, residual), dx, dgamma if gamma is not None else None, dbeta, g)


def batch_norm_inference_forward(x, gamma, beta, mean, variance, epsilon, residual=None, relu=False, most=None):
    """The same with given statistics (C,) -> y and 1 / sqrt(variance + epsilon)."""
    spread = variance.astype(np.float64) + epsilon
    return _normalized(x, mean, spread, gamma, beta, residual, relu, most), (1 / np.sqrt(spread)).astype(x.dtype)


def batch_norm_inference_backward(
    dy, x, gamma, mean, inverse_std, y=None, needs=(True,) * 5, residual=False, most=None
):
    """-> dx, dgamma, dbeta, dmean, dvariance and dresidual."""
    g, wide = _cut(dy, y, most), x.astype(np.float64)
    weight, inverse = np.float64(1) if gamma is None else gamma.astype(np.float64), inverse_std.astype(np.float64)
    axes = tuple(range(x.ndim - 1))
    dbeta, dgamma = g.sum(axis=axes), (g * (wide - mean) * inverse).sum(axis=axes)
    dmean, dvariance = -weight * inverse * dbeta, -0.5 * weight * inverse**2 * dgamma
    results = g * weight * inverse, dgamma if gamma is not None else None, dbeta, dmean, dvariance, g
    return _needed(x.dtype, (*needs, residual), *results)


def batch_norm_update(moving_mean, moving_variance, mean, variance, momentum):
    """In place: moving = moving * momentum + new * (1 - momentum)."""
    for moving, new in ((moving_mean, mean), (moving_variance, variance)):
        moving[...] = moving * np.float64(momentum) + new * np.float64(1 - momentum)


def batch_norm_fold(gamma, beta, mean, variance, epsilon):
    """-> scale and shift: inference is x * scale + shift."""
    scale = (1 if gamma is None else gamma) / np.sqrt(variance.astype(np.float64) + epsilon)
    shift = (0 if beta is None else beta) - mean * scale
    return scale.astype(mean.dtype), shift.astype(mean.dtype)


def scale_shift_forward(x, scale, shift, residual=None, relu=False):
    """x (..., C) * scale (C,) + shift (C,), then + residual, then ReLU."""
    return _normalized(x, np.float64(0), np.float64(1), scale, shift, residual, relu)


def group_norm_forward(x, gamma, beta, groups, epsilon):
    """x (N, ..., C) -> y, and the mean and 1 / sqrt(variance + epsilon) (N, groups) of runs of C / groups channels."""
    runs = _runs(x, groups)
    mean, spread = runs.mean(axis=(1, 3), keepdims=True), runs.var(axis=(1, 3), keepdims=True) + epsilon
    normal = ((runs - mean) / np.sqrt(spread)).reshape(x.shape)
    y = _normalized(normal, np.float64(0), np.float64(1), gamma, beta)
    return [array.astype(x.dtype) for array in (y, mean[:, 0, :, 0], 1 / np.sqrt(spread)[:, 0, :, 0])]


def group_norm_backward(dy, x, gamma, mean, inverse_std, needs=(True, True, True)):
    """-> dx, dgamma and dbeta."""
    groups, axes = mean.shape[1], tuple(range(x.ndim - 1))
    inverse = inverse_std[:, None, :, None].astype(np.float64)
    normal = (_runs(x, groups) - mean[:, None, :, None]) * inverse
    dgamma, dbeta = (dy * normal.reshape(x.shape)).sum(axis=axes), dy.sum(axis=axes, dtype=np.float64)
    h = _runs(dy if gamma is None else dy * gamma.astype(np.float64), groups)
    means = [array.mean(axis=(1, 3), keepdims=True) for array in (h, h * normal)]
    dx = (inverse * (h - means[0] - normal * means[1])).reshape(x.shape)
    return _needed(x.dtype, needs, dx, dgamma if gamma is not None else None, dbeta)


def layer_norm_forward(x, gamma, beta, epsilon, axes=1):
    """x -> y, and the mean and 1 / sqrt(variance + epsilon) over the last `axes` axes."""
    last, wide = tuple(range(x.ndim - axes, x.ndim)), x.astype(np.float64)
    mean, spread = wide.mean(axis=last, keepdims=True), wide.var(axis=last, keepdims=True) + epsilon
    lead = x.shape[: x.ndim - axes]
    y = _normalized(wide, mean, spread, gamma, beta)
    return [array.astype(x.dtype) for array in (y, mean.reshape(lead), (1 / np.sqrt(spread)).reshape(lead))]


def layer_norm_backward(dy, x, gamma, mean, inverse_std, needs=(True, True, True)):
    """-> dx, dgamma and dbeta."""
    lead = tuple(range(inverse_std.ndim))
    last = tuple(range(inverse_std.ndim, x.ndim))
    inverse = np.expand_dims(inverse_std.astype(np.float64), last)
    normal = (x - (0 if mean is None else np.expand_dims(mean.astype(np.float64), last))) * inverse
    h = dy * (np.float64(1) if gamma is None else gamma.astype(np.float64))
    dx = h - normal * (h * normal).mean(axis=last, keepdims=True)
    if mean is not None:
        dx = dx - h.mean(axis=last, keepdims=True)
    dgamma, dbeta = (dy * normal).sum(axis=lead), dy.sum(axis=lead, dtype=np.float64)
    return _needed(x.dtype, needs, inverse * dx, dgamma if gamma is not None else None, dbeta)


def rms_norm_forward(x, gamma, epsilon, axes=1):
    """x -> x * gamma / sqrt(mean(x * x) + epsilon) over the last `axes` axes, and 1 / that root."""
    wide = x.astype(np.float64)
    spread = (wide * wide).mean(axis=tuple(range(x.ndim - axes, x.ndim)), keepdims=True) + epsilon
    y = _normalized(wide, np.float64(0), spread, gamma, None)
    return y.astype(x.dtype), (1 / np.sqrt(spread)).reshape(x.shape[: x.ndim - axes]).astype(x.dtype)


def rms_norm_backward(dy, x, gamma, inverse_std, needs=(True, True)):
    """-> dx and dgamma."""
    return layer_norm_backward(dy, x, gamma, None, inverse_std, (*needs, False))[:2]


def _normalized(x, mean, spread, gamma, beta, residual=None, relu=False, most=None):
    y = (x - mean.astype(np.float64)) / np.sqrt(spread)
    y = y if gamma is None else y * gamma
    y = y if beta is None else y + beta
    y = y if residual is None else y + residual
    return (relu_forward(y, most) if relu else y).astype(x.dtype)


def _cut(dy, y, most):
    return (dy if y is None else relu_backward(dy, y, most)).astype(np.float64)


def _needed(dtype, needs, *results):
    """The results in this dtype; None where they are not needed, or are none."""
    return tuple(array.astype(dtype) if need and array is not None else None for need, array in zip(needs, results))


def _runs(x, groups):
    return x.astype(np.float64).reshape(len(x), -1, groups, x.shape[-1] // groups)


# -------------------------------------------------------------------------------------------------------- helpers


def _rows(x):
    return x.reshape(-1, x.shape[-1]) if x.size else np.zeros((0, x.shape[-1]))


def _shifted(x):
    wide = x.astype(np.float64)
    return wide - wide.max(axis=-1, keepdims=True)


def _log_softmax(x):
    shifted = _shifted(x)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
