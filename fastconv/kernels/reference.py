"""The executable specification: a slow, readable NumPy twin of every kernel, under the same name and signature.

It is what the compiled kernels are tested against; it is not fast, and it checks nothing: `fastconv.kernels` does.
Contract: arrays in, fresh arrays of the input's dtype out. Sums run in float64 and are rounded once, so integer-valued
data is exact. Arrays are channels last, `(N, *spatial, C)`; kernels are `(*spatial, C / groups, K)`. A tap that would
read padding contributes nothing: not zero times the weight, nothing.
"""

from __future__ import annotations

import itertools

import numpy as np

from .geometry import Window
from .reference_image import *  # noqa: F403
from .reference_maps import add_into, combine, map_backward, map_forward, reduce, reduce_products  # noqa: F401
from .reference_moves import *  # noqa: F403
from .reference_recurrence import *  # noqa: F403
from .reference_rows import *  # noqa: F403
from .reference_rows import _rows, relu_forward

ALL = (slice(None),)


# ---------------------------------------------------------------------------------------------------- convolution


def conv_forward(
    x,
    kernel,
    bias=None,
    *,
    strides=1,
    padding="valid",
    dilation_rate=1,
    groups=None,
    relu=False,
    most=None,
    residual=None,
):
    """x (N, *I, C), kernel (*taps, C/groups, K), bias (K,) -> y (N, *O, K); then + residual, then ReLU up to `most`."""
    window = Window.of(x.shape[1:-1], kernel.shape[:-2], strides, padding, dilation_rate)
    y = np.zeros((len(x), *window.output, kernel.shape[-1]))
    wide, weights = x.astype(np.float64), kernel.astype(np.float64)
    for tap, read, write in _taps(window):
        for c, k in _groups(x.shape[-1], kernel.shape, groups):
            y[write + k] += wide[read + c] @ weights[tap + ALL + k]
    if bias is not None:
        y += bias
    if residual is not None:
        y += residual
    return (relu_forward(y, most) if relu else y).astype(x.dtype)


def conv_backward_input(
    dy, kernel, input_shape, bias=None, *, strides=1, padding="valid", dilation_rate=1, groups=None
):
    """dy (N, *O, K), kernel (*taps, C/groups, K), bias (C,) -> dx of input_shape (N, *I, C)."""
    window = Window.of(input_shape[1:-1], kernel.shape[:-2], strides, padding, dilation_rate)
    dx = np.zeros(input_shape)
    wide, weights = dy.astype(np.float64), kernel.astype(np.float64)
    for tap, read, write in _taps(window):
        for c, k in _groups(input_shape[-1], kernel.shape, groups):
            dx[read + c] += wide[write + k] @ weights[tap + ALL + k].T
    if bias is not None:
        dx += bias
    return dx.astype(dy.dtype)


def conv_backward_kernel(dy, x, kernel_shape, *, strides=1, padding="valid", dilation_rate=1, groups=None):
    """dy (N, *O, K), x (N, *I, C) -> dkernel of kernel_shape (*taps, C/groups, K)."""
    window = Window.of(x.shape[1:-1], kernel_shape[:-2], strides, padding, dilation_rate)
    dkernel = np.zeros(kernel_shape)
    wide, inputs = dy.astype(np.float64), x.astype(np.float64)
    for tap, read, write in _taps(window):
        for c, k in _groups(x.shape[-1], kernel_shape, groups):
            dkernel[tap + ALL + k] = _rows(inputs[read + c]).T @ _rows(wide[write + k])
    return dkernel.astype(dy.dtype)


def bias_forward(x, bias):
    """x (..., C) + bias (C,)."""
    return x + bias


def bias_backward(dy):
    """dy (..., C) -> (C,): its sum over all axes but the last."""
    return dy.sum(axis=tuple(range(dy.ndim - 1)), dtype=np.float64).astype(dy.dtype)


def dense_forward(x, kernel, bias=None):
    """x (..., C), kernel (C, K), bias (K,) -> y (..., K)."""
    y = x.astype(np.float64) @ kernel.astype(np.float64)
    if bias is not None:
        y += bias
    return y.astype(x.dtype)


def dense_backward_input(dy, kernel):
    """dy (..., K), kernel (C, K) -> dx (..., C)."""
    return (dy.astype(np.float64) @ kernel.astype(np.float64).T).astype(dy.dtype)


def dense_backward_kernel(dy, x):
    """dy (..., K), x (..., C) -> dkernel (C, K)."""
    return (_rows(x.astype(np.float64)).T @ _rows(dy.astype(np.float64))).astype(dy.dtype)


def matmul_forward(a, b):
    """a (..., M, C), b (..., C, K) -> y (..., M, K)."""
    return (a.astype(np.float64) @ b.astype(np.float64)).astype(a.dtype)


def matmul_backward_a(dy, b, shape):
    """dy (..., M, K), b (..., C, K) -> da of shape (..., M, C)."""
    return _summed_to(dy.astype(np.float64) @ b.astype(np.float64).swapaxes(-1, -2), shape).astype(dy.dtype)


def matmul_backward_b(dy, a, shape):
    """dy (..., M, K), a (..., M, C) -> db of shape (..., C, K)."""
    return _summed_to(a.astype(np.float64).swapaxes(-1, -2) @ dy.astype(np.float64), shape).astype(dy.dtype)


def _summed_to(gradient, shape):
    """Over the axes along which an array of this shape was broadcast."""
    new = gradient.ndim - len(shape)
    axes = [axis for axis in range(gradient.ndim) if axis < new or shape[axis - new] == 1]
    return gradient.sum(axis=tuple(axes)).reshape(shape)


# -------------------------------------------------------------------------------------------------------- pooling


def max_pool_forward(x, pool_size, *, strides=None, padding="valid"):
    """x (N, *I, C) -> y (N, *O, C) and the flat number of the winning tap in its window, of y's shape.

    Taps are numbered in C order; the index is uint8 up to 256 taps, else int32. The first of equal values wins, the
    first NaN wins over all, and padding never wins while the window holds a real cell.
    """
    window = _pool(x.shape, pool_size, strides, padding)
    y = np.full((len(x), *window.output, x.shape[-1]), -np.inf, x.dtype)
    index = np.full(y.shape, -1, np.int32)
    for tap, read, write in _taps(window):
        values, best, winner = x[read], y[write], index[write]  # best and winner are views
        better = (winner < 0) | (values > best) | (np.isnan(values) & ~np.isnan(best))
        best[better] = values[better]
        winner[better] = np.ravel_multi_index(tap, window.kernel)
    narrow = np.prod(window.kernel) <= 256
    return y, np.maximum(index, 0).astype(np.uint8 if narrow else np.int32)


def max_pool_backward(dy, index, input_shape, pool_size, *, strides=None, padding="valid"):
    """dy and index (N, *O, C) -> dx of input_shape: each gradient goes to the cell that won."""
    window = _pool(input_shape, pool_size, strides, padding)
    dx = np.zeros(input_shape)
    for tap, read, write in _taps(window):
        dx[read] += np.where(index[write] == np.ravel_multi_index(tap, window.kernel), dy[write], 0)
    return dx.astype(dy.dtype)


def conv_pool_forward(x, kernel, bias=None, pool_size=2, *, relu=True, **geometry):
    """The pooled map and the index of its winners, 255 where ReLU cut: one kernel after another."""
    y, index = max_pool_forward(conv_forward(x, kernel, bias, **geometry), pool_size)
    if not relu:
        return y, index
    return relu_forward(y), np.where(y > 0, index, 255).astype(np.uint8)


def conv_pool_backward_input(dy, index, kernel, input_shape, pool_size=2, **geometry):
    """dy and index of the pooled map -> dx of input_shape."""
    full = max_pool_backward(dy, index, _full(input_shape, kernel.shape, **geometry), pool_size)
    return conv_backward_input(full, kernel, input_shape, **geometry)


def conv_pool_backward_kernel(dy, index, x, kernel_shape, pool_size=2, **geometry):
    """dy and index of the pooled map, x -> dkernel of kernel_shape."""
    full = max_pool_backward(dy, index, _full(x.shape, kernel_shape, **geometry), pool_size)
    return conv_backward_kernel(full, x, kernel_shape, **geometry)


def conv_pool_backward_bias(dy, index):
    """dy and index of the pooled map -> dbias: the sum where ReLU did not cut."""
    return np.where(index == 255, 0, dy).sum(axis=tuple(range(dy.ndim - 1)), dtype=dy.dtype)


def _full(x, kernel, strides=1, padding="valid", dilation_rate=1, groups=None):
    """The shape of a convolution's output."""
    return (x[0], *Window.of(x[1:-1], kernel[:-2], strides, padding, dilation_rate).output, kernel[-1])


def average_pool_forward(x, pool_size, *, strides=None, padding="valid"):
    """x (N, *I, C) -> y (N, *O, C): the sum of a window's real cells divided by their number."""
    window = _pool(x.shape, pool_size, strides, padding)
    y = np.zeros((len(x), *window.output, x.shape[-1]))
    for _, read, write in _taps(window):
        y[write] += x[read]
    return (y / _real_cells(window)).astype(x.dtype)


def average_pool_backward(dy, input_shape, pool_size, *, strides=None, padding="valid"):
    """dy (N, *O, C) -> dx of input_shape: each gradient is shared equally by its window's real cells."""
    window = _pool(input_shape, pool_size, strides, padding)
    dx = np.zeros(input_shape)
    shares = dy / _real_cells(window)
    for _, read, write in _taps(window):
        dx[read] += shares[write]
    return dx.astype(dy.dtype)


def adaptive_max_pool_forward(x, output_size):
    """x (N, *I, C) -> y (N, *output_size, C) and the winning cell of each bin, counted in C order over the largest
    bin."""
    bins = Window.bins(x.shape[1:-1], output_size)
    y = np.empty((len(x), *bins.output, x.shape[-1]), x.dtype)
    index = np.empty(y.shape, np.uint8 if np.prod(bins.kernel) <= 256 else np.int32)
    for o, cells in _bins(bins):
        y[(slice(None), *o)], place = global_max_pool_forward(x[cells])
        taps = np.unravel_index(place, x[cells].shape[1:-1])
        index[(slice(None), *o)] = np.ravel_multi_index(taps, bins.kernel)
    return y, index


def adaptive_max_pool_backward(dy, index, input_shape, output_size):
    """dy and index (N, *output_size, C) -> dx of input_shape: each gradient goes to the cell that won."""
    bins = Window.bins(input_shape[1:-1], output_size)
    dx = np.zeros(input_shape)
    for o, cells in _bins(bins):
        part = dx[cells]
        taps = np.unravel_index(index[(slice(None), *o)], bins.kernel)
        place = np.ravel_multi_index(taps, part.shape[1:-1])
        part += global_max_pool_backward(dy[(slice(None), *o)], place, part.shape)
    return dx.astype(dy.dtype)


def adaptive_average_pool_forward(x, output_size):
    """x (N, *I, C) -> y (N, *output_size, C): the mean of each bin."""
    bins = Window.bins(x.shape[1:-1], output_size)
    y = np.empty((len(x), *bins.output, x.shape[-1]), x.dtype)
    for o, cells in _bins(bins):
        y[(slice(None), *o)] = global_average_pool_forward(x[cells])
    return y


def adaptive_average_pool_backward(dy, input_shape, output_size):
    """dy (N, *output_size, C) -> dx of input_shape: each gradient is shared equally by its bin's cells."""
    dx = np.zeros(input_shape)
    for o, cells in _bins(Window.bins(input_shape[1:-1], output_size)):
        dx[cells] += global_average_pool_backward(dy[(slice(None), *o)].astype(np.float64), dx[cells].shape)
    return dx.astype(dy.dtype)


def global_max_pool_forward(x):
    """x (N, *I, C) -> y (N, C) and the flat spatial position of each maximum (uint8 up to 256, else
    int32); ties and NaN as max_pool."""
    flat = _positions(x)
    index = flat.argmax(axis=1)
    index_dtype = np.uint8 if flat.shape[1] <= 256 else np.int32
    return np.take_along_axis(flat, index[:, None], axis=1)[:, 0], index.astype(index_dtype)


def global_max_pool_backward(dy, index, input_shape):
    """dy and index (N, C) -> dx of input_shape (N, *I, C)."""
    dx = np.zeros(input_shape, dy.dtype)
    np.put_along_axis(_positions(dx), index[:, None].astype(np.intp), dy[:, None], axis=1)
    return dx


def global_average_pool_forward(x):
    """x (N, *I, C) -> y (N, C)."""
    return _positions(x).mean(axis=1, dtype=np.float64).astype(x.dtype)


def global_average_pool_backward(dy, input_shape):
    """dy (N, C) -> dx of input_shape (N, *I, C)."""
    cells = int(np.prod(input_shape[1:-1]))
    share = (dy.astype(np.float64) / cells).astype(dy.dtype)
    return np.repeat(share[:, None], cells, axis=1).reshape(input_shape)


# ------------------------------------------------------------------------------------------------ optimizer steps


def sgd_step(parameters, gradients, velocities, learning_rate, momentum=0.0, nesterov=False):
    """Keras' SGD on lists of arrays, in place; `velocities` is None when momentum is 0."""
    for i, (parameter, gradient) in enumerate(zip(parameters, gradients)):
        step = -learning_rate * gradient
        if velocities is not None:
            velocities[i][...] = momentum * velocities[i] + step
            step = momentum * velocities[i] + step if nesterov else velocities[i]
        parameter += step


def adam_step(parameters, gradients, first_moments, second_moments, step, learning_rate, beta_1, beta_2, epsilon):
    """Keras' Adam on lists of arrays, in place; `step` counts from 1."""
    rate = learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step)
    for parameter, gradient, first, second in zip(parameters, gradients, first_moments, second_moments):
        first += (gradient - first) * (1 - beta_1)
        second += (gradient * gradient - second) * (1 - beta_2)
        parameter -= rate * first / (np.sqrt(second) + epsilon)


# -------------------------------------------------------------------------------------------------------- helpers


def _taps(window):
    """Each tap with the index of the inputs it reads and of the outputs that use them; padding is left out."""
    for tap in itertools.product(*[_live(window, axis) for axis in range(len(window.kernel))]):
        read, write = [slice(None)], [slice(None)]
        for axis, t in enumerate(tap):
            stride = window.strides[axis]
            shift = t * window.dilation[axis] - window.padding[axis][0]  # output o reads o * stride + shift
            first = max(0, -(shift // stride))
            stop = min(window.output[axis], (window.input[axis] - 1 - shift) // stride + 1)
            start, count = first * stride + shift, stop - first
            empty = count <= 0
            read.append(slice(0) if empty else slice(start, start + (count - 1) * stride + 1, stride))
            write.append(slice(0) if empty else slice(first, stop))
        yield tap, tuple(read), tuple(write)


def _bins(window):
    """Each output of adaptive pooling and the index of the cells in its bin."""
    for o in np.ndindex(window.output):
        sizes = list(zip(o, window.input, window.output))
        yield o, (slice(None), *[slice(i * n // m, -(-(i + 1) * n // m)) for i, n, m in sizes])


def _live(window, axis):
    """The taps along one axis that read the input for some output: of large windows that reach into padding, few."""
    step, low = window.dilation[axis], window.padding[axis][0]
    live = set()
    for start in range(-low, window.output[axis] * window.strides[axis] - low, window.strides[axis]):
        live.update(range(max(0, -(start // step)), min(window.kernel[axis], -((start - window.input[axis]) // step))))
    return sorted(live)


def _groups(channels, kernel_shape, groups):
    """For each group, the index of its input channels and of its output channels."""
    depth, filters = kernel_shape[-2:]
    groups = groups or channels // depth
    width = filters // groups
    for g in range(groups):
        yield (..., slice(g * depth, (g + 1) * depth)), (..., slice(g * width, (g + 1) * width))


def _pool(input_shape, pool_size, strides, padding):
    return Window.of(input_shape[1:-1], pool_size, pool_size if strides is None else strides, padding)


def _real_cells(window):
    """The number of real cells in each window, (*O, 1); 1 where there is none."""
    cells = np.zeros((1, *window.output, 1))
    for _, _, write in _taps(window):
        cells[write] += 1
    return np.maximum(cells, 1)[0]


def _positions(x):
    return x.reshape(len(x), int(np.prod(x.shape[1:-1])), x.shape[-1])
