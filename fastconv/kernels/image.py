"""Images: read at other places, resampled along an axis, and changed in their colours, a change a sample.

Arrays are (batch, height, width, channels), float32, float64 or, where it says so, uint8; a result is a new array of the
same dtype. Numbers of a sample (maps, tables) are arrays of their own, read where they stand. Channels last.
"""

from __future__ import annotations

import numpy as np

from . import _moves
from .arrays import FLOATS, checked, empty, readable, same_shape

BYTE = np.dtype(np.uint8)
MODES = (
    "constant",
    "nearest",
    "wrap",
    "mirror",
    "reflect",
)  # of what lies past an image's ends, as the kernel numbers them


def warp_forward(x, maps=None, places=None, size=None, mode="constant", nearest=False, fill=0.0):
    """y (N, *size, C), by default of x's size: x (N, H, W, C) read at other places. Bytes too.

    `maps` (N, 8): pixel (row r, column c) of y reads x at column (m0 c + m1 r + m2) / k and row (m3 c + m4 r + m5) / k,
    k = m6 c + m7 r + 1. Or `places` (N, *size, 2): the row and column that each pixel reads. Both are float64.
    """
    x = images(x)
    y = empty((len(x), *(x.shape[1:3] if size is None else size), x.shape[3]), x.dtype)
    _check_places(maps, places, y.shape)
    if y.size:
        if not x.size:
            raise ValueError(f"There is nothing to read in images of shape {x.shape}.")
        fill = min(max(fill, 0), 255) if x.dtype == BYTE else fill
        _moves.warp_forward(x, y, maps, places, MODES.index(mode), nearest, fill)
    return y


def warp_backward(dy, size, maps=None, places=None, mode="constant", nearest=False):
    """dx (N, *size, C): the gradients of y's pixels in the cells that they read, in a fixed order."""
    dy = checked("dy", dy, 4)
    _check_places(maps, places, dy.shape)
    dx = empty((len(dy), *size, dy.shape[3]), dy.dtype)
    if dx.size:
        if dy.size:
            _moves.warp_backward(dy, dx, maps, places, MODES.index(mode), nearest)
        else:
            dx.fill(0)
    return dx


def _check_places(maps, places, shape):
    if (maps is None) == (places is None):
        raise ValueError("A warp takes maps or places, one of them.")
    name, array, expected = ("maps", maps, (shape[0], 8)) if places is None else ("places", places, (*shape[:3], 2))
    if array.dtype != np.float64 or not array.flags.c_contiguous:
        raise TypeError(f"{name} must be a contiguous float64 array; got {array.dtype}.")
    same_shape(name, array, expected, "a row of eight numbers a sample" if places is None else "a place a pixel")


def resample(x, start, weights, axis):
    """x with the cells of an axis mixed anew: cell p is the sum of x's cells from start[p] on by weights[p].

    `start` (P,) is int64, `weights` (P, taps) has x's dtype; start[p] + taps stays within the axis. The gradient is a
    resample too, by the transposed weights.
    """
    x, weights = checked("x", x, range(1, 65)), checked("weights", weights, 2, like=x)
    cells, taps = x.shape[axis], weights.shape[1]
    if start.dtype != np.int64 or not start.flags.c_contiguous:
        raise TypeError(f"start must be a contiguous int64 array; got {start.dtype}.")
    same_shape("start", start, weights.shape[:1], "a number for each row of weights")
    if len(start) and not (0 <= start.min() and start.max() + taps <= cells and taps):
        raise ValueError(f"start and {taps} taps must stay within the {cells} cells of axis {axis}.")
    y = empty((*x.shape[:axis], len(start), *x.shape[axis + 1 :]), x.dtype)
    if y.size:
        outer, inner = int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis + 1 :]))
        _moves.resample(x.reshape(outer, cells, inner), start, weights, y.reshape(outer, len(start), inner))
    return y


def color_table(x, tables):
    """Bytes by tables (N, C, 256) of bytes."""
    x = images(x, (BYTE,))
    return _colors("table", x, tables, (len(x), x.shape[3], 256), BYTE)


def color_histogram(x):
    """(N, C, 256): how often each byte stands in each channel of each image."""
    x = images(x, (BYTE,))
    y = empty((len(x), x.shape[3], 256), np.int64)
    if x.size:
        _moves.colors("histogram", _pixels(x), y, None, 0, 0)
    else:
        y.fill(0)
    return y


def color_scale(x, scales, low, high):
    """x * scale + shift, between low and high, by scales (N, C, 2)."""
    x = images(x, FLOATS)
    return _colors("scale", x, scales, (len(x), x.shape[3], 2), x.dtype, low, high)


def color_matrix(x, matrices, low, high):
    """Three channels by matrices (N, 3, 4), whose last column is added; between low and high. Bytes too."""
    x = images(x)
    same_shape("x", x, (*x.shape[:3], 3), "three channels")
    return _colors("matrix", x, matrices, (len(x), 3, 4), _real(x), low, high)


def color_turn(x, pairs, low, high):
    """RGB between low and high with `pairs[n][0]` added to the hue, 1 being the whole circle, and the saturation times
    `pairs[n][1]`, at most 1. `pairs[n][0]` is from 0 to below 1. Bytes too."""
    x = images(x)
    same_shape("x", x, (*x.shape[:3], 3), "three channels")
    return _colors("turn", x, pairs, (len(x), 2), _real(x), low, high)


def _colors(kind, x, table, shape, dtype, low=0, high=0):
    if table.dtype != dtype:
        raise TypeError(f"The table of x, {x.dtype}, must be {dtype}; got {table.dtype}.")
    same_shape("The table", table, shape, "a part for each sample of x")
    y = empty(x.shape, x.dtype)
    if y.size:
        if x.dtype == BYTE:
            low, high = max(low, 0), min(high, 255)
        _moves.colors(kind, _pixels(x), _pixels(y), readable(table), low, high)
    return y


def _real(x):
    return np.dtype(np.float32) if x.dtype == BYTE else x.dtype


def _pixels(x):
    return x.reshape(len(x), x.shape[1] * x.shape[2], x.shape[3])


def images(x, dtypes=(*FLOATS, BYTE)):
    """x as C can read it; TypeError or ValueError for other arrays than images of these dtypes."""
    if x.dtype not in dtypes:
        raise TypeError(f"Images must be {' or '.join(map(str, dtypes))}; got {x.dtype}.")
    if x.ndim != 4:
        raise ValueError(f"Images must be (batch, height, width, channels); got shape {x.shape}.")
    return readable(x)
