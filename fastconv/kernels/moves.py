"""Data that moves: joining, slicing, padding, transposing, repeating, gathering and resizing, and their gradients.

Arrays of any shape, float32 or float64; a result is a new C-contiguous array, never a view. What NumPy can say as a view
of the input (its axes' steps) one strided copy makes real. Raises TypeError for dtypes and ValueError for shapes, and
where a move would need more than 16 axes after merging those that lie evenly.
"""

from __future__ import annotations

import math
import operator

import numpy as np

from . import _moves
from .arrays import as_integers, checked, empty, same_shape
from .geometry import per_axis
from .rows import bias_backward

_ANY = range(65)


# ------------------------------------------------------------------------------------------------- join, slice, pad


def concatenate_forward(arrays, axis=0):
    """The arrays side by side along `axis`; they differ in no other size."""
    arrays = [checked(f"array {i}", array, range(1, 65), like=arrays[0]) for i, array in enumerate(arrays)]
    if not arrays:
        raise ValueError("concatenate needs one array at least.")
    shape = list(arrays[0].shape)
    axis = _axis(axis, len(shape))
    for i, array in enumerate(arrays):
        expected = (*shape[:axis], *array.shape[axis : axis + 1], *shape[axis + 1 :])
        same_shape(f"array {i}", array, expected, "the sizes of array 0 but along the axis")
    shape[axis] = sum(array.shape[axis] for array in arrays)
    y, start = empty(shape, arrays[0].dtype), 0
    for array in arrays:
        stop = start + array.shape[axis]
        _copy(array, array, y[(slice(None),) * axis + (slice(start, stop),)], y)
        start = stop
    return y


def concatenate_backward(dy, sizes, axis=0):
    """One gradient for each of `sizes` along `axis`."""
    dy = checked("dy", dy, range(1, 65))
    axis = _axis(axis, dy.ndim)
    if sum(sizes) != dy.shape[axis]:
        raise ValueError(f"sizes must add up to {dy.shape[axis]}, dy's size along axis {axis}; got {tuple(sizes)}.")
    parts, start = [], 0
    for size in sizes:
        parts.append(_real(dy[(slice(None),) * axis + (slice(start, start + size),)], dy, dy.nbytes))
        start += size
    return parts


def get_item_forward(x, key):
    """x[key] for whole numbers, slices, None and an ellipsis."""
    x = checked("x", x)
    view = x[key]
    return _real(view if isinstance(view, np.ndarray) else x[(*_plain(key), ...)], x)


def get_item_backward(dy, key, shape):
    """dx of this shape: dy in the place of x[key], else 0."""
    dy = checked("dy", dy)
    starts, steps, counts = key_cells(key, shape)
    if dy.size != math.prod(counts):
        raise ValueError(f"dy must have the shape of x[key]; got {dy.shape} for an x of shape {tuple(shape)}.")
    return _spread(dy.reshape(counts), shape, starts, steps, 0.0)


def key_cells(key, shape):
    """(starts, steps, counts), one an axis of `shape`: the cells that a basic key names. A number is a slice of one."""
    parts = [part for part in _plain(key) if part is not None]
    named = sum(part is not ... for part in parts)
    if ... not in parts:
        parts.append(...)
    place = parts.index(...)
    parts[place : place + 1] = [slice(None)] * (len(shape) - named)
    ranges = []
    for part, size in zip(parts, shape):
        if isinstance(part, slice):
            ranges.append(range(size)[part])
        else:
            start = operator.index(part)
            ranges.append(range(start % size, start % size + 1))
    return [r.start for r in ranges], [r.step for r in ranges], [len(r) for r in ranges]


def _plain(key):
    return key if isinstance(key, tuple) else (key,)


def pad_forward(x, pairs, value=0.0):
    """x with `pairs` of (low, high) cells of this value around it, one pair an axis; negative numbers cut cells off."""
    x = checked("x", x)
    pairs = _pairs(pairs, x.shape)
    shape = [low + size + high for size, (low, high) in zip(x.shape, pairs)]
    numbers = [number for pair in pairs for number in pair]
    if min(numbers, default=0) < 0 or max(numbers, default=0) == 0:
        cut = [slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, pairs)]
        x = _real(x[tuple(cut)], x)
    if max(numbers, default=0) <= 0:
        return x
    return _spread(x, shape, [max(low, 0) for low, _ in pairs], [1] * x.ndim, value)


def pad_backward(dy, pairs):
    """dx: dy without what was added, and with 0 for what was cut off."""
    return pad_forward(dy, [(-low, -high) for low, high in pairs])


def _pairs(pairs, shape):
    pairs = [(operator.index(low), operator.index(high)) for low, high in pairs]
    if len(pairs) != len(shape):
        raise ValueError(f"There must be {len(shape)} pairs of padding, one an axis; got {len(pairs)}.")
    for axis, (size, (low, high)) in enumerate(zip(shape, pairs)):
        if max(-low, 0) + max(-high, 0) > size:
            raise ValueError(f"Axis {axis} has {size} cells; {-low} and {-high} cannot be cut off.")
    return pairs


# ---------------------------------------------------------------------------------------- transpose, flip, repeat


def transpose(x, axes=None):
    """x with its axes in this order; reversed without. The gradient is the transpose by the inverse order."""
    x = checked("x", x)
    return _real(x.transpose(axes), x)


def flip(x, axes):
    """x with the cells of these axes backwards; its own gradient."""
    x = checked("x", x)
    axes = {_axis(axis, x.ndim) for axis in axes}
    return _real(x[tuple([slice(None, None, -1 if axis in axes else 1) for axis in range(x.ndim)])], x)


def broadcast_forward(x, shape):
    """x stretched to `shape` by NumPy's rules."""
    x = checked("x", x)
    return _real(np.broadcast_to(x, shape), x)


def broadcast_backward(dy, shape):
    """dx of this shape: the sum of dy over the copies that broadcasting made."""
    new = dy.ndim - len(shape)
    axes = [*range(new), *[new + axis for axis, size in enumerate(shape) if size == 1 and dy.shape[new + axis] != 1]]
    return fold(dy, axes).reshape(shape)


def repeat_forward(x, factors):
    """Every cell of x factors[a] times along axis a: the nearest neighbour's upsampling."""
    x = checked("x", x)
    factors = _factors(factors, x.ndim)
    view = x[(slice(None), None) * x.ndim]
    shape = [size for pair in zip(x.shape, factors) for size in pair]
    return _real(np.broadcast_to(view, shape), x).reshape([a * b for a, b in zip(x.shape, factors)])


def repeat_backward(dy, factors):
    """dx: the sum of dy over each cell's copies."""
    factors = _factors(factors, dy.ndim)
    return fold(dy.reshape([size for n, f in zip(dy.shape, factors) for size in (n // f, f)]), range(1, 2 * dy.ndim, 2))


def tile_forward(x, factors):
    """x factors[a] times in a row along axis a."""
    x = checked("x", x)
    factors = _factors(factors, x.ndim)
    view = x[(None, slice(None)) * x.ndim]
    shape = [size for pair in zip(factors, x.shape) for size in pair]
    return _real(np.broadcast_to(view, shape), x).reshape([a * b for a, b in zip(x.shape, factors)])


def tile_backward(dy, factors):
    """dx: the sum of dy over the copies."""
    factors = _factors(factors, dy.ndim)
    return fold(dy.reshape([size for n, f in zip(dy.shape, factors) for size in (f, n // f)]), range(0, 2 * dy.ndim, 2))


def fold(x, axes):
    """The sum of x over these axes, in a fixed order."""
    x = checked("x", x)
    axes = {_axis(axis, x.ndim) for axis in axes}
    shape = [size for axis, size in enumerate(x.shape) if axis not in axes]
    if axes == {*range(len(axes))} and axes and shape:  # whole rows: many threads share them
        return bias_backward(x.reshape(math.prod(x.shape[: len(axes)]), math.prod(shape))).reshape(shape)
    y = empty(shape, x.dtype)
    if x.size:
        _moves.fold(x, y, axes)
    else:
        y.fill(0)
    return y


def _factors(factors, ndim):
    return per_axis("factors", tuple(factors), ndim)


# ------------------------------------------------------------------------------------------------------ by numbers


def take_forward(x, indices, axis=0):
    """The cells `indices` (any shape, from 0 on) of an axis: their axes stand in its place."""
    x = checked("x", x, range(1, 65))
    axis = _axis(axis, x.ndim)
    indices = _indices(indices, x.shape[axis])
    y = empty((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    if y.size:
        _moves.gather_forward(x, indices, y, *_around(x.shape, axis))
    return y


def take_backward(dy, indices, shape, axis=0):
    """dx of this shape: the sum of dy over all places that took a cell, in their order."""
    dy = checked("dy", dy)
    axis = _axis(axis, len(shape))
    indices = _indices(indices, shape[axis])
    same_shape("dy", dy, (*shape[:axis], *indices.shape, *shape[axis + 1 :]), "the shape of what was taken")
    dx = empty(shape, dy.dtype)
    if dy.size:
        _moves.gather_backward(dy, indices, dx, *_around(shape, axis))
    else:
        dx.fill(0)
    return dx


def one_hot(labels, classes, dtype=np.float32):
    """(..., classes): 1 at each label; a row of zeros for labels that are none of them."""
    labels = _integers("labels", labels)
    y = empty((*labels.shape, classes), dtype)
    checked("the result", y)
    if y.size:
        _moves.one_hot(labels.reshape(-1), y.reshape(-1, classes))
    return y


def _around(shape, axis):
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _indices(indices, cells):
    indices = _integers("indices", indices)
    if indices.size and indices.view(np.uint64).max() >= cells:  # negative ones are the largest
        raise ValueError(
            f"indices must be in [0, {cells}), the cells of the axis; got {indices.min()} to {indices.max()}."
        )
    return indices


def _integers(name, array):
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an array of integers; got {getattr(array, 'dtype', type(array).__name__)}.")
    return as_integers(array)


# ---------------------------------------------------------------------------------------------------------- resize


def resize_forward(x, size):
    """x (N, *I, C) to (N, *size, C), 1D or 2D, by linear interpolation with half-pixel centres; no antialiasing."""
    x = checked("x", x, (3, 4))
    size = _resized("size", x.shape, size)
    y = empty((len(x), *size, x.shape[-1]), x.dtype)
    if y.size:
        _moves.resize_forward(_flat(x), _flat(y))
    return y


def resize_backward(dy, size):
    """dx (N, *size, C) from dy (N, *O, C)."""
    dy = checked("dy", dy, (3, 4))
    size = _resized("size", dy.shape, size)
    dx = empty((len(dy), *size, dy.shape[-1]), dy.dtype)
    if dx.size:
        _moves.resize_backward(_flat(dy), _flat(dx))
    return dx


def _resized(name, shape, size):
    size = per_axis(name, tuple(size), len(shape) - 2)
    for old, new in zip(shape[1:-1], size):
        if not 1 <= old * new < 2**58:
            raise ValueError(f"{name} must be possible for an image of {shape[1:-1]} cells; got {size}.")
    return size


def _flat(x):
    """1D as 2D of one row."""
    return x if x.ndim == 4 else x[:, None]


# --------------------------------------------------------------------------------------------------------- helpers


def _axis(axis, ndim):
    number = operator.index(axis)
    if not -ndim <= number < ndim:
        raise ValueError(f"axis must be between {-ndim} and {ndim - 1} for an array of {ndim} axes; got {axis!r}.")
    return number % ndim


def _copy(x_view, x, y_view, y, together=0):
    if x_view.size:
        _moves.copy(x_view, x, y_view, y, together)


def _real(view, x, together=0):
    """A view of x as an array of its own, one of several of so many bytes `together`."""
    y = empty(view.shape, x.dtype)
    _copy(view, x, y, y, together)
    return y


def _spread(x, shape, starts, steps, value):
    y = empty(shape, x.dtype)
    if not y.size:
        return y
    if x.size:
        _moves.spread(x, y, starts, steps, value)
    else:
        y.fill(value)
    return y
