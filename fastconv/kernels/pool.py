"""Max, average and global pooling and their gradients: check, allocate, call.

Shapes: x (N, *spatial, C), y (N, *output, C), channels last, one to three spatial axes. `pool_size` and `strides` are
an int or one int an axis; strides default to pool_size; padding is "valid" or "same" (or explicit, see Window.of, but
narrower than the window). Padding is no cell: it never wins a maximum nor counts in an average. NaN reaches every
output that depends on it. float32 or float64; raises TypeError and ValueError as kernels/conv.py.
"""

from __future__ import annotations

import math

import numpy as np

from . import _pool
from .arrays import checked, empty, readable, same_shape
from .conv import RANKS, _shape
from .geometry import Window, cached, per_axis
from .maps import combine, reduce


def max_pool_forward(x, pool_size, *, strides=None, padding="valid"):
    """(y, index): the maxima and the tap that won each, counted in C order over the window; ties take the first.

    index is uint8 for windows of up to 256 taps, else int32.
    """
    x = checked("x", x, RANKS)
    return _max_forward(x, pool_geometry(x.shape, pool_size, strides, padding))


def max_pool_backward(dy, index, input_shape, pool_size, *, strides=None, padding="valid"):
    """dx, of input_shape: each window's gradient goes to the cell that won it."""
    dy = checked("dy", dy, RANKS)
    input_shape = _shape("input_shape", input_shape, dy.ndim)
    return _max_backward(dy, index, input_shape, pool_geometry(input_shape, pool_size, strides, padding))


def average_pool_forward(x, pool_size, *, strides=None, padding="valid"):
    """y: the mean of each window's real cells."""
    x = checked("x", x, RANKS)
    return _average_forward(x, pool_geometry(x.shape, pool_size, strides, padding))


def average_pool_backward(dy, input_shape, pool_size, *, strides=None, padding="valid"):
    """dx, of input_shape: each window's gradient is shared evenly by its real cells."""
    dy = checked("dy", dy, RANKS)
    input_shape = _shape("input_shape", input_shape, dy.ndim)
    return _average_backward(dy, input_shape, pool_geometry(input_shape, pool_size, strides, padding))


def global_max_pool_forward(x):
    """(y, index): the maxima over all spatial axes, (N, C), and their flat spatial positions, with
    the dtype of max_pool_forward's index."""
    x = checked("x", x, RANKS)
    y, index = _max_forward(x, pool_geometry(x.shape, x.shape[1:-1], None, "valid"))
    return _flat(y), _flat(index)


def global_max_pool(x):
    """y (N, C) of global_max_pool_forward alone, for which no gradient is asked."""
    x, axes, _ = _whole(x)
    return _flat(reduce("max", x, axes))


def global_max_pool_backward(dy, index, input_shape):
    """dx, of input_shape, from dy and index of shape (N, C)."""
    dy, spread, shape = _spread(dy, input_shape)
    window = pool_geometry(shape, shape[1:-1], None, "valid")
    same_shape("index", index, dy.shape, "dy's shape")
    return _max_backward(spread, index.reshape(spread.shape), shape, window)


def global_average_pool_forward(x):
    """y (N, C): the means over all spatial axes."""
    x, axes, cells = _whole(x)
    return _flat(reduce("sum", x, axes, cells))


def global_average_pool_backward(dy, input_shape):
    """dx, of input_shape, from dy of shape (N, C)."""
    _, spread, shape = _spread(dy, input_shape)
    pool_geometry(shape, shape[1:-1], None, "valid")
    return combine("multiply", spread, 1 / math.prod(shape[1:-1]), shape)


def adaptive_max_pool_forward(x, output_size):
    """(y, index): the maxima of output_size bins an axis (see Window.bins), and the cell that won each, counted from
    its bin's first in C order over the largest bin."""
    x = checked("x", x, RANKS)
    return _max_forward(x, _bins(x.shape, output_size))


def adaptive_max_pool_backward(dy, index, input_shape, output_size):
    """dx, of input_shape: each bin's gradient goes to the cell that won it."""
    dy = checked("dy", dy, RANKS)
    input_shape = _shape("input_shape", input_shape, dy.ndim)
    return _max_backward(dy, index, input_shape, _bins(input_shape, output_size))


def adaptive_average_pool_forward(x, output_size):
    """y: the means of output_size bins an axis."""
    x = checked("x", x, RANKS)
    return _average_forward(x, _bins(x.shape, output_size))


def adaptive_average_pool_backward(dy, input_shape, output_size):
    """dx, of input_shape: each bin's gradient is shared evenly by its cells."""
    dy = checked("dy", dy, RANKS)
    input_shape = _shape("input_shape", input_shape, dy.ndim)
    return _average_backward(dy, input_shape, _bins(input_shape, output_size))


def _average_forward(x, window):
    y = empty((x.shape[0], *window.output, x.shape[-1]), x.dtype)
    if y.size:
        _pool.average_pool_forward(x, y, window)
    return y


def _average_backward(dy, input_shape, window):
    same_shape("dy", dy, (input_shape[0], *window.output, input_shape[-1]), "the output's shape")
    dx = empty(input_shape, dy.dtype)
    if dx.size:
        _pool.average_pool_backward(dy, dx, window)
    return dx


def _max_forward(x, window):
    shape = (x.shape[0], *window.output, x.shape[-1])
    y, index = empty(shape, x.dtype), empty(shape, _index_dtype(window))
    if y.size:
        _pool.max_pool_forward(x, y, index, window)
    return y, index


def _max_backward(dy, index, input_shape, window):
    same_shape("dy", dy, (input_shape[0], *window.output, input_shape[-1]), "the output's shape")
    same_shape("index", index, dy.shape, "dy's shape")
    if index.dtype != _index_dtype(window):
        raise TypeError(f"index must be {_index_dtype(window)}, as the forward kernel made it; got {index.dtype}.")
    dx = empty(input_shape, dy.dtype)
    if dx.size:
        _pool.max_pool_backward(dy, readable(index), dx, window)
    return dx


def _index_dtype(window):
    return np.dtype(np.uint8 if math.prod(window.kernel) <= 256 else np.int32)


@cached
def _bins(shape, output_size) -> Window:
    _check_channels(shape)
    window = Window.bins(shape[1:-1], output_size)
    _check_cells("a bin", window.kernel)
    return window


@cached
def pool_geometry(shape, pool_size, strides, padding) -> Window:
    """The Window of pooling an array of this shape; raises ValueError where they do not fit."""
    rank = len(shape) - 2
    _check_channels(shape)
    pool_size = per_axis("pool_size", pool_size, rank)
    if isinstance(padding, str) and padding.lower() == "causal":
        raise ValueError("padding of a pool must be 'valid', 'same' or explicit; got 'causal'.")
    _check_cells("pool_size", pool_size)
    window = Window.of(shape[1:-1], pool_size, pool_size if strides is None else strides, padding)
    for size, pair in zip(window.kernel, window.padding):
        if max(pair) >= size:
            raise ValueError(f"padding must be narrower than pool_size; got {padding!r} with {pool_size}.")
    return window


def _check_channels(shape):
    if shape[-1] < 1:
        raise ValueError(f"x must have at least one channel; got shape {tuple(shape)}.")


def _check_cells(name, sizes):
    if math.prod(sizes) >= 2**31:
        raise ValueError(f"{name} must cover fewer than 2**31 cells; got {sizes}.")


def _flat(array):
    return array.reshape(array.shape[0], array.shape[-1])


def _whole(x):
    """x, the spatial axes and the number of their cells, of which there is one at least."""
    x = checked("x", x, RANKS)
    pool_geometry(x.shape, x.shape[1:-1], None, "valid")
    return x, tuple(range(1, x.ndim - 1)), math.prod(x.shape[1:-1])


def _spread(dy, input_shape):
    """dy (N, C), the same with spatial axes of size 1, and input_shape as a tuple."""
    dy = checked("dy", dy, 2)
    shape = _shape("input_shape", input_shape, len(input_shape) if len(input_shape) in RANKS else 3)
    same_shape("dy", dy, (shape[0], shape[-1]), "input_shape's batch and channels")
    return dy, dy.reshape(shape[0], *[1] * (len(shape) - 2), shape[-1]), shape
