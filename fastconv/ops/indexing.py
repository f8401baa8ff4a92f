"""Ops that select cells: by slices, by numbers along an axis, by any index of NumPy's.

Contract: the result is a new contiguous array. Slices and `take` run on kernels; arrays and masks within a key are
NumPy's, and their gradient adds up where a cell is named twice.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import cast, convert_to_tensor, indexing
from .common import normalize_axes, normalize_axis
from .functions import floor_divide, mod
from .open_sizes import open_sizes
from .reductions import sum
from .shaping import moveaxis, reshape, sizes

__all__ = ["diagonal", "get_item", "slice", "take", "take_along_axis", "trace", "unravel_index"]

_BASIC = (int, np.integer, builtins.slice, type(None), type(...))


class GetItem(Op):
    kernels = True

    def forward(self, x, *, key):
        self.old, self.key = x.shape, key
        return kernels.get_item_forward(x, key)

    def exact(self, x, *, key):
        return np.asarray(x[key], order="C")  # keeps rank 0, as ascontiguousarray does not

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

    def exact(self, x, *, key):
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

    def exact(self, x, *, indices, axis):
        self.shape(x.shape, indices=indices, axis=axis)
        return np.take(x, indices, axis)

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


class TakeBy(Op):
    """Take by numbers that are computed, or come from outside: they are checked at each call."""

    integers = (1,)

    @staticmethod
    def shape(x, indices, *, axis):
        return (*x[:axis], *indices, *x[axis + 1 :])

    def forward(self, x, indices, *, axis):
        self.old, self.axis, self.indices = x.shape, axis, _places(indices, x.shape[axis], axis)
        return kernels.take_forward(x, self.indices, axis)

    def exact(self, x, indices, *, axis):
        return np.take(x, _places(indices, x.shape[axis], axis), axis)

    def backward(self, dy):
        return kernels.take_backward(np.ascontiguousarray(dy), self.indices, self.old, self.axis), None


class TakeAlongAxis(Op):
    """For each number the cell of x that it names on the axis, at its own place on the others."""

    integers = (1,)

    @staticmethod
    def shape(x, indices, *, axis):
        if len(x) != len(indices):
            raise ValueError(f"indices must have x's {len(x)} axes; got shapes {indices} and {x}.")
        rest = kernels.broadcast_shape(x[:axis] + x[axis + 1 :], indices[:axis] + indices[axis + 1 :])
        return (*rest[:axis], indices[axis], *rest[axis:])

    def forward(self, x, indices, *, axis):
        self.old, self.axis = x.shape, axis
        self.indices = _places(indices, x.shape[axis], axis)
        return np.take_along_axis(x, self.indices, axis)

    def exact(self, x, indices, *, axis):
        return np.take_along_axis(x, _places(indices, x.shape[axis], axis), axis)

    def backward(self, dy):
        dx, places = np.zeros(self.old, dy.dtype), list(np.ogrid[tuple(map(builtins.slice, dy.shape))])
        places = [place if size > 1 else 0 for place, size in zip(places, self.old)]
        places[self.axis] = self.indices
        np.add.at(dx, tuple(places), dy)
        return dx, None


def _places(indices, cells, axis):
    """`indices` as int64 from 0 to cells - 1; ValueError beyond."""
    indices = indices.astype(np.int64)
    if indices.size and not (-cells <= indices.min() and indices.max() < cells):
        raise ValueError(
            f"indices must be from {-cells} to {cells - 1}, for the {cells} cells of axis {axis}; got {indices.min()} to "
            f"{indices.max()}."
        )
    return np.where(indices < 0, indices + cells, indices)


def _shape_of(x, key, open_size):
    """The shape of x[key]: a size is open where it follows one of x's that is."""

    def shape(size):
        return np.broadcast_to(np.float32(0), [size if n is None else n for n in x])[key].shape

    one = shape(open_size)
    return tuple(n if n == m else None for n, m in zip(one, shape(open_size + 1))) if None in x else one


def get_item(x: TensorLike, key: Any) -> Tensor:
    """x[key], with NumPy's basic and advanced indexing; a Tensor in the key is read as an array."""
    x = convert_to_tensor(x)
    parts = key if isinstance(key, tuple) else (key,)
    basic = all([isinstance(part, _BASIC) and not isinstance(part, bool) for part in parts])
    if basic:
        return GetItem.apply(x, key=key)
    if len(parts) == 1 and isinstance(key, Tensor) and key.symbolic and key.dtype.kind in "iu":
        return take(x, key, 0)
    parts = tuple([_key_part(part) for part in parts])
    return GetItems.apply(x, key=parts if isinstance(key, tuple) else parts[0])


def _key_part(part):
    """A part of a key as NumPy takes it, where Tensors and lists are arrays."""
    if isinstance(part, (Tensor, list, np.ndarray)):
        array = part.data if isinstance(part, Tensor) else np.asarray(part)
        array = array.astype(np.int64) if not array.size and array.dtype.kind == "f" else array
        if array.dtype.kind not in "biu":
            raise IndexError(f"Tensors are indexed by integers, booleans and slices; got {array.dtype}.")
        return operator.index(array) if array.ndim == 0 and array.dtype.kind != "b" else array
    if isinstance(part, builtins.slice):
        return builtins.slice(
            *[end if end is None else operator.index(end) for end in (part.start, part.stop, part.step)]
        )
    if not isinstance(part, (*_BASIC, np.bool_)):
        raise IndexError(f"Tensors are indexed by integers, booleans, slices, None and ...; got {part!r}.")
    return part


def slice(inputs: TensorLike, start_indices: Sequence[int], shape: Sequence[int]) -> Tensor:
    """The block of this shape that starts at these cells; a size of -1 goes to the axis' end."""
    inputs = convert_to_tensor(inputs)
    starts, counts = sizes("start_indices", start_indices), sizes("shape", shape)
    _check_block(inputs.shape, starts, counts)
    ends = [None if count == -1 else start + count for start, count in zip(starts, counts)]
    return GetItem.apply(inputs, key=tuple(map(builtins.slice, starts, ends)))


def _check_block(shape, starts, counts):
    """ValueError unless the block lies in an array of this shape."""
    if not len(starts) == len(counts) == len(shape):
        raise ValueError(f"start_indices and shape must have {len(shape)} entries; got {starts} and {counts}.")
    for start, count, size in zip(starts, counts, shape):
        if count is None:  # of updates whose size is open
            count = 0
        if start < 0 or count < -1 or (size is not None and start + max(count, 0) > size):
            raise ValueError(f"The block at {starts} of shape {counts} does not lie in an array of shape {shape}.")


def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """The cells `indices` (integers of any shape; negative ones count from the end) of an axis; of x flat without one."""
    x = reshape(x, -1) if axis is None else convert_to_tensor(x)
    axis = 0 if axis is None else normalize_axis(axis, x.ndim)
    if isinstance(indices, Tensor) and indices.symbolic:
        return TakeBy.apply(x, _whole(indices), axis=axis)
    indices, cells = _integers("indices", indices), x.shape[axis]
    if cells is not None and indices.size and indices.min() >= -cells:
        indices = np.where(indices < 0, indices + cells, indices)
    return Take.apply(x, indices=indices, axis=axis)


def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """For each cell of `indices` the cell of x that it names on this axis, at its own place on the others."""
    x, indices = convert_to_tensor(x), _whole(convert_to_tensor(indices))
    if axis is None:
        x, axis = reshape(x, -1), 0
        indices = reshape(indices, -1)
    axis = normalize_axis(axis, x.ndim)
    TakeAlongAxis.shape(x.shape, indices.shape, axis=axis)
    if indices.symbolic or None in x.shape:
        return TakeAlongAxis.apply(x, indices, axis=axis)
    numbers = np.arange(x.size).reshape(x.shape)  # what is known beforehand is taken by kernels alone
    return take(x, np.take_along_axis(numbers, _places(indices.data, x.shape[axis], axis), axis))


def unravel_index(indices: TensorLike, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """For numbers of cells of an array of this shape, counted along its last axis first, their place on each axis."""
    indices, places = _whole(convert_to_tensor(indices)), []
    cells = math.prod(sizes("shape", shape))
    if not indices.symbolic and indices.size and not (0 <= indices.data.min() and indices.data.max() < cells):
        raise ValueError(f"indices must be from 0 to {cells - 1}, for the cells of shape {tuple(shape)}.")
    for size in reversed(sizes("shape", shape)):
        places.append(mod(indices, size))
        indices = floor_divide(indices, size)
    return tuple([cast(place, np.int32) for place in reversed(places)])


@open_sizes()
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The cells of x whose place on `axis2` is that on `axis1` plus `offset`, as a new last axis instead of the two."""
    x = convert_to_tensor(x)
    axis1, axis2 = normalize_axes((axis1, axis2), x.ndim)
    offset, (rows, columns) = operator.index(offset), (x.shape[axis1], x.shape[axis2])
    if rows is None or columns is None:
        raise ValueError(f"diagonal needs known sizes of axes {axis1} and {axis2}; got shape {x.shape}.")
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    places = np.arange(count)
    return GetItems.apply(
        moveaxis(x, (axis1, axis2), (-2, -1)), key=(..., places - min(offset, 0), places + max(offset, 0))
    )


@open_sizes()
def trace(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """The sum of `diagonal`."""
    return sum(diagonal(x, offset, axis1, axis2), -1)


def _whole(indices):
    """A Tensor of integers; TypeError for another."""
    indices = indexing(indices)
    if indices.dtype.kind in "iu":
        return indices
    if indices.size == 0:
        return cast(indices, np.int64)
    raise TypeError(f"indices must hold integers; got {indices.dtype}. Convert them: indices.astype('int64').")


def _integers(name, values):
    array = np.asarray(values)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must hold integers; got {array.dtype}. Convert them: {name}.astype('int64').")
    return array.astype(np.int64)
