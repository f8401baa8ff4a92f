"""Batch, group, layer and RMS normalization and their gradients: check, allocate, call.

Arrays of floats, channels last: x is (..., C), gamma and beta are (C,) or None. Variances are of all values (biased),
as in Keras. Not here: which statistics a layer uses when. NaN reaches every output that depends on it. Raises TypeError
for dtypes and ValueError for shapes; the `_shape` functions raise the latter without arrays.
"""

from __future__ import annotations

import math

from . import _norm
from .arrays import checked, empty, same_shape

# ------------------------------------------------------------------------------------------- shapes, without arrays


def batch_norm_shape(x, gamma=None, beta=None, mean=None, variance=None, *, training=False):
    """y's shape for these shapes (None for what is missing; open sizes are None), or a ValueError.

    In training, mean and variance are the moving ones."""
    _rank("x", x, 2)
    moving = "moving_" if training else ""
    for name, shape in (("gamma", gamma), ("beta", beta), (moving + "mean", mean), (moving + "variance", variance)):
        _fits(name, shape, x[-1:], "one entry a channel")
    if training and None not in x[:-1] and math.prod(x[:-1]) < 2:
        raise ValueError(
            f"Batch normalization in training needs at least 2 values a channel, to have a variance; x has shape {x}. "
            "Train on larger batches (drop a last batch of one sample), or call the layer with training=False."
        )
    return x


def group_norm_shape(x, gamma=None, beta=None, *, groups):
    """y's shape for these shapes, or a ValueError; `groups` must divide the channels."""
    _rank("x", x, 2)
    if groups < 1 or (x[-1] is not None and x[-1] % groups):
        raise ValueError(f"groups must be at least 1 and divide the {x[-1]} channels of x; got {groups}.")
    for name, shape in (("gamma", gamma), ("beta", beta)):
        _fits(name, shape, x[-1:], "one entry a channel")
    return x


def layer_norm_shape(x, gamma=None, beta=None, *, axes=1):
    """y's shape for these shapes, or a ValueError; the last `axes` axes of x are normalized."""
    if axes < 1:
        raise ValueError(f"axes must be at least 1, the number of x's last axes to normalize; got {axes}.")
    _rank("x", x, axes)
    for name, shape in (("gamma", gamma), ("beta", beta)):
        _fits(name, shape, x[-axes:], "the shape of x's normalized axes")
    return x


def _rank(name, shape, least):
    if len(shape) < least:
        raise ValueError(f"{name} must have at least {least} dimensions; got shape {tuple(shape)}.")


def _fits(name, shape, expected, of):
    if shape is None:
        return
    if len(shape) != len(expected) or any(a != b for a, b in zip(shape, expected) if None not in (a, b)):
        raise ValueError(f"{name} must have {of}, {tuple(expected)}; got {tuple(shape)}.")


# ------------------------------------------------------------------------------------------------------ batch norm


def batch_norm_forward(x, gamma, beta, epsilon, residual=None, relu=False, most=None):
    """(y, mean, inverse_std, variance): y = (x - mean) * inverse_std * gamma + beta, then + residual, then ReLU, which ends at
    `most`, a number above 0, where given.

    mean and variance (C,) are x's over all axes but the last; inverse_std = 1 / sqrt(variance + epsilon). ValueError
    for fewer than two values a channel.
    """
    x, gamma, beta = checked("x", x), _like("gamma", gamma, x), _like("beta", beta, x)
    batch_norm_shape(x.shape, _shape(gamma), _shape(beta), training=True)
    residual = _map("residual", residual, x)
    y, (mean, inverse_std, variance) = empty(x.shape, x.dtype), [empty(x.shape[-1:], x.dtype) for _ in range(3)]
    if x.size:
        _norm.group_forward(x, gamma, beta, residual, y, mean, inverse_std, variance, 1, epsilon, relu, most)
    return y, mean, inverse_std, variance


def batch_norm_backward(
    dy, x, gamma, mean, inverse_std, y=None, needs=(True, True, True), residual=False, most=None,
):  # fmt: skip
    """(dx, dgamma, dbeta, dresidual), given what forward took and returned; None where `needs` has False.

    `y` and `most` are the forward's, where it ended with ReLU. dresidual only with residual=True; without y it is dy itself.
    """
    results = _backward(dy, x, gamma, mean, inverse_std, y, (*needs, False, False), residual, True, most)
    return *results[:3], results[5]


def batch_norm_inference_forward(
    x, gamma, beta, mean, variance, epsilon, residual=None, relu=False, most=None,
):  # fmt: skip
    """(y, inverse_std): as batch_norm_forward with statistics (C,) that do not come from x."""
    x, gamma, beta = checked("x", x), _like("gamma", gamma, x), _like("beta", beta, x)
    mean, variance = _like("mean", mean, x), _like("variance", variance, x)
    batch_norm_shape(x.shape, _shape(gamma), _shape(beta), mean.shape, variance.shape)
    residual = _map("residual", residual, x)
    y, inverse_std = empty(x.shape, x.dtype), empty(variance.shape, x.dtype)
    if variance.size:
        _norm.inverse_std(variance, inverse_std, epsilon)
    if x.size:
        _norm.scale_forward(x, mean, inverse_std, gamma, beta, residual, y, relu, most)
    return y, inverse_std


def batch_norm_inference_backward(
    dy, x, gamma, mean, inverse_std, y=None, needs=(True,) * 5, residual=False, most=None,
):  # fmt: skip
    """(dx, dgamma, dbeta, dmean, dvariance, dresidual) of batch_norm_inference_forward, as batch_norm_backward."""
    return _backward(dy, x, gamma, mean, inverse_std, y, needs, residual, False, most)


def batch_norm_update(moving_mean, moving_variance, mean, variance, momentum):
    """In place, moving = moving * momentum + new * (1 - momentum); all four are (C,).

    ValueError, before anything is written, for a moving array that is not contiguous, aligned and writable.
    """
    mean = checked("mean", mean, 1)
    for name, array in (("moving_mean", moving_mean), ("moving_variance", moving_variance)):
        if checked(name, array, like=mean) is not array or not array.flags.writeable:
            raise ValueError(f"{name} is changed in place: it must be contiguous, aligned and writable.")
        _fits(name, array.shape, mean.shape, "one entry a channel")
    variance = checked("variance", variance, 1, like=mean)
    same_shape("variance", variance, mean.shape, "mean's shape")
    if mean.size:
        _norm.batch_norm_update(moving_mean, moving_variance, mean, variance, momentum)


def batch_norm_fold(gamma, beta, mean, variance, epsilon):
    """(scale, shift), (C,) each: inference as x * scale + shift, such as a convolution can take over."""
    mean = checked("mean", mean, 1)
    variance, gamma, beta = [
        _like(name, array, mean) for name, array in (("variance", variance), ("gamma", gamma), ("beta", beta))
    ]
    batch_norm_shape((None, *mean.shape), _shape(gamma), _shape(beta), mean.shape, variance.shape)
    scale, shift = empty(mean.shape, mean.dtype), empty(mean.shape, mean.dtype)
    if mean.size:
        _norm.batch_norm_fold(gamma, beta, mean, variance, scale, shift, epsilon)
    return scale, shift


def scale_shift_forward(x, scale, shift, residual=None, relu=False):
    """y = x * scale + shift, (C,) each, then + residual, then ReLU."""
    x = checked("x", x)
    scale, shift = _like("scale", scale, x), _like("shift", shift, x)
    _rank("x", x.shape, 2)
    for name, array in (("scale", scale), ("shift", shift)):
        same_shape(name, array, x.shape[-1:], "one entry a channel")
    residual = _map("residual", residual, x)
    y = empty(x.shape, x.dtype)
    if x.size:
        _norm.scale_forward(x, None, scale, None, shift, residual, y, relu)
    return y


# ------------------------------------------------------------------------------------------------------ group norm


def group_norm_forward(x, gamma, beta, groups, epsilon):
    """(y, mean, inverse_std) of x (N, ..., C): statistics (N, groups) of each sample's runs of C / groups channels."""
    x, gamma, beta = checked("x", x), _like("gamma", gamma, x), _like("beta", beta, x)
    group_norm_shape(x.shape, _shape(gamma), _shape(beta), groups=groups)
    y, (mean, inverse_std, variance) = empty(x.shape, x.dtype), [empty((len(x), groups), x.dtype) for _ in range(3)]
    if x.size:
        _norm.group_forward(x, gamma, beta, None, y, mean, inverse_std, variance, len(x), epsilon, False)
    return y, mean, inverse_std


def group_norm_backward(dy, x, gamma, mean, inverse_std, needs=(True, True, True)):
    """(dx, dgamma, dbeta), given what forward took and returned; None where `needs` has False."""
    return _backward(dy, x, gamma, mean, inverse_std, None, (*needs, False, False), False, True)[:3]


def _backward(dy, x, gamma, mean, inverse_std, y, needs, residual, own, most=None):
    """All gradients of statistics of columns; mean is (C,), or (N, groups) for each sample by itself.

    `own`: the statistics are x's own, so that dx flows through them."""
    x = checked("x", x)
    _rank("x", x.shape, 2)
    dy, y, gamma = _map("dy", dy, x), _map("y", y, x), _like("gamma", gamma, x)
    mean = checked("mean", mean, (1, 2), like=x)
    inverse_std = checked("inverse_std", inverse_std, mean.ndim, like=x)
    samples, channels, groups = 1 if mean.ndim == 1 else len(x), x.shape[-1], mean.shape[-1]
    fits = groups == channels if mean.ndim == 1 else groups and len(mean) == samples and channels % groups == 0
    if not fits:
        raise ValueError(f"mean must be the forward's, (C,) or (N, groups), of x of shape {x.shape}; got {mean.shape}.")
    same_shape("inverse_std", inverse_std, mean.shape, "mean's shape")
    _fits("gamma", _shape(gamma), x.shape[-1:], "one entry a channel")
    dx, cut = _room(needs[0], x.shape, x), _room(residual and y is not None, x.shape, x)
    small = [_room(need, x.shape[-1:], x) for need in (needs[1] and gamma is not None, *needs[2:])]
    if x.size:
        _norm.group_backward(dy, x, gamma, mean, inverse_std, y, dx, *small[:2], cut, *small[2:], samples, own, most)
    else:
        for array in small:
            if array is not None:
                array.fill(0)
    return (dx, *small, dy if residual and y is None else cut)


# --------------------------------------------------------------------------------------------- layer norm, RMS norm


def layer_norm_forward(x, gamma, beta, epsilon, axes=1):
    """(y, mean, inverse_std): the last `axes` axes of x are normalized, each entry of the others by itself.

    gamma and beta have the shape of those axes, mean and inverse_std that of the others.
    """
    x = checked("x", x)
    gamma, beta = _like("gamma", gamma, x), _like("beta", beta, x)
    layer_norm_shape(x.shape, _shape(gamma), _shape(beta), axes=axes)
    y, mean, inverse_std = empty(x.shape, x.dtype), *[empty(x.shape[:-axes], x.dtype) for _ in range(2)]
    _rows_forward(x, gamma, beta, y, mean, inverse_std, epsilon)
    return y, mean, inverse_std


def layer_norm_backward(dy, x, gamma, mean, inverse_std, needs=(True, True, True)):
    """(dx, dgamma, dbeta), given what forward took and returned; None where `needs` has False."""
    return _rows_backward(dy, x, gamma, mean, inverse_std, needs)


def rms_norm_forward(x, gamma, epsilon, axes=1):
    """(y, inverse_std): y = x * gamma / sqrt(mean(x * x) + epsilon), otherwise as layer_norm_forward."""
    x = checked("x", x)
    gamma = _like("gamma", gamma, x)
    layer_norm_shape(x.shape, _shape(gamma), axes=axes)
    y, inverse_std = empty(x.shape, x.dtype), empty(x.shape[:-axes], x.dtype)
    _rows_forward(x, gamma, None, y, None, inverse_std, epsilon)
    return y, inverse_std


def rms_norm_backward(dy, x, gamma, inverse_std, needs=(True, True)):
    """(dx, dgamma), given what forward took and returned; None where `needs` has False."""
    return _rows_backward(dy, x, gamma, None, inverse_std, (*needs, False))[:2]


def _rows_forward(x, gamma, beta, y, mean, inverse_std, epsilon):
    if x.size:
        _norm.rows_forward(x, gamma, beta, y, mean, inverse_std, epsilon)
    else:  # rows without elements, if any
        for array in (mean, inverse_std):
            if array is not None:
                array.fill(0)


def _rows_backward(dy, x, gamma, mean, inverse_std, needs):
    x = checked("x", x)
    dy, gamma = _map("dy", dy, x), _like("gamma", gamma, x)
    inverse_std = checked("inverse_std", inverse_std, like=x)
    _fits("inverse_std", inverse_std.shape, x.shape[: min(inverse_std.ndim, x.ndim - 1)], "the shape of x's first axes")
    if mean is not None:
        mean = checked("mean", mean, like=x)
        same_shape("mean", mean, inverse_std.shape, "inverse_std's shape")
    shape = x.shape[inverse_std.ndim :]
    _fits("gamma", _shape(gamma), shape, "the shape of x's normalized axes")
    results = [_room(needs[0], x.shape, x), _room(needs[1] and gamma is not None, shape, x), _room(needs[2], shape, x)]
    if x.size:
        if any(result is not None for result in results):
            _norm.rows_backward(dy, x, gamma, mean, inverse_std, *results)
    else:
        for array in results:
            if array is not None:
                array.fill(0)
    return tuple(results)


# ------------------------------------------------------------------------------------------------------- arguments


def _like(name, array, x):
    return None if array is None else checked(name, array, like=x)


def _map(name, array, x):
    """An array of x's shape, or None."""
    if array is not None:
        array = checked(name, array, like=x)
        same_shape(name, array, x.shape, "x's shape")
    return array


def _shape(array):
    return None if array is None else array.shape


def _room(needed, shape, x):
    return empty(shape, x.dtype) if needed else None
