"""Ops that select cells: by slices, by numbers along an axis, by any index of NumPy's.

Contract: the result is a new contiguous array. Slices and `take` run on kernels; arrays and masks within a key are
NumPy's, and their gradient adds up where a cell is named twice.
"""

from __future__ import annotations

import builtins
import operator

import numpy as np

from .. import kernels
from ..tensor import Op
from .common import normalize_axis
from .shaping import convert_to_tensor, reshape, sizes

_BASIC = (int, np.integer, builtins.slice, type(None), type(...))


class GetItem(Op):
    kernels = True

    def forward(self, x, *, key):
        self.old, self.key = x.shape, key
        return kernels.get_item_forward(x, key)

    def backward(self, dy):
        return kernels.get_item_backward(dy, self.key, self.old)

    @staticmethod
    def shape(x, *, key):
        return _shape_of(x, key, 1 << 20)


class GetItems(Op):
    """By a key that holds arrays."""

    def forward(self, x, *, key):
        self.old, self.key = x.shape, key
        return x[key]

    def backward(self, dy):
        dx = np.zeros(self.old, dy.dtype)
        np.add.at(dx, self.key, dy)
        return dx

    @staticmethod
    def shape(x, *, key):
        return _shape_of(x, key, 1 << 10)


class Take(Op):
    kernels = True

    def forward(self, x, *, indices, axis):
        self.shape(x.shape, indices=indices, axis=axis)
        self.old, self.axis = x.shape, axis
        if (indices < 0).any():  # else the very array that the call was given, which a program keeps
            kernels.cannot_be_repeated()
            indices = np.where(indices < 0, indices + x.shape[axis], indices)
        self.indices = indices
        return kernels.take_forward(x, self.indices, axis)

    def backward(self, dy):
        return kernels.take_backward(dy, self.indices, self.old, self.axis)

    @staticmethod
    def shape(x, *, indices, axis):
        axis, cells = normalize_axis(axis, len(x)), x[axis]
        if cells is not None and indices.size and not (-cells <= indices.min() and indices.max() < cells):
            raise ValueError(
                f"indices must be from {-cells} to {cells - 1}, for the {cells} cells of axis {axis}; got "
                f"{indices.min()} to {indices.max()}."
            )
        return (*x[:axis], *indices.shape, *x[axis + 1 :])


def _shape_of(x, key, open_size):
    """The shape of x[key]: a size is open where it follows one of x's that is."""

    def shape(size):
        return np.broadcast_to(np.float32(0), [size if n is None else n for n in x])[key].shape

    one = shape(open_size)
    return tuple(n if n == m else None for n, m in zip(one, shape(open_size + 1))) if None in x else one


def get_item(x, key):
    """x[key], with NumPy's basic and advanced indexing."""
    parts = key if isinstance(key, tuple) else (key,)
    basic = all(isinstance(part, _BASIC) and not isinstance(part, bool) for part in parts)
    return (GetItem if basic else GetItems).apply(x, key=key)


def slice(inputs, start_indices, shape):
    """The block of this shape that starts at these cells; a size of -1 goes to the axis' end."""
    starts, counts = sizes("start_indices", start_indices), sizes("shape", shape)
    inputs = convert_to_tensor(inputs)
    if not len(starts) == len(counts) == inputs.ndim:
        raise ValueError(f"start_indices and shape must have {inputs.ndim} entries; got {starts} and {counts}.")
    for start, count, size in zip(starts, counts, inputs.shape):
        if start < 0 or count < -1 or (size is not None and start + max(count, 0) > size):
            raise ValueError(
                f"The block at {starts} of shape {counts} does not lie in an array of shape {inputs.shape}."
            )
    ends = [None if count == -1 else start + count for start, count in zip(starts, counts)]
    return GetItem.apply(inputs, key=tuple(map(builtins.slice, starts, ends)))


def take(x, indices, axis=None):
    """The cells `indices` (integers of any shape; negative ones count from the end) of an axis; of x flat without one."""
    x = reshape(x, -1) if axis is None else convert_to_tensor(x)
    axis = 0 if axis is None else normalize_axis(axis, x.ndim)
    indices, cells = _integers("indices", indices), x.shape[axis]
    if cells is not None and indices.size and indices.min() >= -cells:
        indices = np.where(indices < 0, indices + cells, indices)
    return Take.apply(x, indices=indices, axis=axis)


def take_along_axis(x, indices, axis=None):
    """For each cell of `indices` the cell of x that it names on this axis, at its own place on the others."""
    x, indices = convert_to_tensor(x), _integers("indices", indices)
    numbers = np.arange(x.size).reshape(x.shape)
    return take(x, np.take_along_axis(numbers, indices, None if axis is None else operator.index(axis)))


def _integers(name, values):
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must hold integers; got {array.dtype}. Convert them: {name}.astype('int64').")
    return array.astype(np.int64)
