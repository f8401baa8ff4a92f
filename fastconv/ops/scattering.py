"""Writing into places: scatter, updates of cells and blocks, sums and extrema over segments.

Contract: the result is a new array; the input is not written to. Of several values for one cell the last stays, unless
a `reduction` joins them. Numbers of cells are checked: ValueError beyond the array.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from ..tensor import Op, Tensor, TensorLike
from .casting import cast, convert_to_tensor, indexing, promoted
from .creation import zeros
from .indexing import _check_block
from .shaping import sizes

__all__ = [
    "scatter", "scatter_update", "segment_max", "segment_min", "segment_prod", "segment_sum", "slice_update",
]  # fmt: skip

JOIN = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}


class ScatterUpdate(Op):
    """x with `updates` at the cells that the last axis of `indices` names, by their first axes."""

    integers = (1,)

    @staticmethod
    def shape(x, indices, updates, *, reduction):
        if not indices or indices[-1] is None or indices[-1] > len(x):
            raise ValueError(f"indices must be (..., D) with D up to x's {len(x)} axes; got shape {indices}.")
        needed = (*indices[:-1], *x[indices[-1] :])
        if len(needed) != len(updates) or any(a != b and None not in (a, b) for a, b in zip(needed, updates)):
            raise ValueError(f"updates must have shape {needed} for indices {indices} into shape {x}; got {updates}.")
        return x

    def forward(self, x, indices, updates, *, reduction):
        self.shape(x.shape, indices.shape, updates.shape, reduction=reduction)
        self.x, self.updates, self.reduction = x, updates, reduction
        self.places = _places(indices, x.shape)
        self.y = x.copy()
        if reduction is None:
            self.y[self.places] = updates
        else:
            JOIN[reduction].at(self.y, self.places, updates)
        return self.y

    exact = forward

    def backward(self, dy):
        dx, there = dy.copy(), dy[self.places]
        if self.reduction == "add":
            return dx, None, there
        if self.reduction is None:
            dx[self.places] = 0
            return dx, None, there * self._lasting()
        if self.reduction == "mul":
            with np.errstate(all="ignore"):
                factors = np.divide(self.y, self.x, out=np.ones_like(dy), where=self.x != 0)
                return dx * factors, None, there * self.y[self.places] / self.updates
        won = self.x == self.y
        return dx * won, None, there * (self.updates == self.y[self.places])

    def _lasting(self):
        """1 for an update that stayed, 0 for one that a later one for its cell has replaced."""
        numbers = np.arange(self.updates.size).reshape(self.updates.shape)
        last = np.empty(self.x.shape, numbers.dtype)
        last[self.places] = numbers
        return last[self.places] == numbers


def _places(indices, shape):
    depth = indices.shape[-1]
    cells = np.array(shape[:depth])
    indices = indices.astype(np.int64)
    if indices.size and not ((-cells <= indices) & (indices < cells)).all():
        raise ValueError(
            f"indices name cells beyond the array: shape {shape}, indices up to {indices.max(tuple(range(indices.ndim - 1)))}."
        )
    return tuple(np.moveaxis(indices, -1, 0))


class SliceUpdate(Op):
    @staticmethod
    def shape(x, updates, *, start):
        _check_block(x, start, updates)
        return x

    def forward(self, x, updates, *, start):
        self.shape(x.shape, updates.shape, start=start)
        self.block = tuple(slice(first, first + count) for first, count in zip(start, updates.shape))
        y = x.copy()
        y[self.block] = updates
        return y

    exact = forward

    def backward(self, dy):
        dx = dy.copy()
        dx[self.block] = 0
        return dx, dy[self.block]


class Segment(Op):
    """Rows joined that have the same number, from 0 to `count` - 1; numbers beyond are left out."""

    integers = (1,)

    @staticmethod
    def shape(x, numbers, *, count, function):
        if len(numbers) != 1 or not x or (numbers[0] != x[0] and None not in (numbers[0], x[0])):
            raise ValueError(
                f"segment_ids must be a vector with a number for each row of data; got {numbers}, data {x}."
            )
        return (count, *x[1:])

    def forward(self, x, numbers, *, count, function):
        self.shape(x.shape, numbers.shape, count=count, function=function)
        self.function, self.kept = function, (numbers >= 0) & (numbers < count)
        self.x, self.numbers = x, numbers
        self.y = np.full((count, *x.shape[1:]), _START[function](x.dtype), x.dtype)
        with np.errstate(invalid="ignore"):  # NumPy warns of NaN, which is its answer
            JOIN[function].at(self.y, numbers[self.kept], x[self.kept])
        return self.y

    exact = forward

    def backward(self, dy):
        dx, numbers, x = np.zeros_like(self.x), self.numbers[self.kept], self.x[self.kept]
        there = dy[numbers]
        if self.function == "mul":
            with np.errstate(all="ignore"):
                there = there * self.y[numbers] / x
        elif self.function != "add":
            won = (x == self.y[numbers]).astype(dy.dtype)
            shares = np.zeros_like(self.y)
            np.add.at(shares, numbers, won)
            there = there * won / np.maximum(shares[numbers], 1)
        dx[self.kept] = there
        return dx, None


def _least(dtype):
    return -np.inf if dtype.kind == "f" else False if dtype.kind == "b" else np.iinfo(dtype).min


def _most(dtype):
    return np.inf if dtype.kind == "f" else True if dtype.kind == "b" else np.iinfo(dtype).max


_START = {"add": lambda dtype: 0, "mul": lambda dtype: 1, "max": _least, "min": _most}


def _whole(name, x):
    x = indexing(x)
    if x.dtype.kind not in "iu" and x.size != 0:
        raise TypeError(f"{name} must hold integers; got {x.dtype}. Convert them: {name}.astype('int64').")
    return x if x.dtype.kind in "iu" else cast(x, "int64")


def scatter_update(
    inputs: TensorLike, indices: TensorLike, updates: TensorLike, reduction: str | None = None
) -> Tensor:
    """`inputs` with `updates` (..., *rest) in the cells that `indices` (..., D) name by the first D axes.

    `reduction`: what becomes of the old value and of several new ones: None (the last one stays), "add", "max", "min" or
    "mul".
    """
    if reduction not in (None, *JOIN):
        raise ValueError(f"reduction must be None, 'add', 'max', 'min' or 'mul'; got {reduction!r}.")
    inputs, updates = promoted(inputs, updates)
    return ScatterUpdate.apply(inputs, _whole("indices", indices), updates, reduction=reduction)


def scatter(indices: TensorLike, values: TensorLike, shape: Sequence[int]) -> Tensor:
    """Zeros of `shape` with `values` (..., *rest) added at the cells that `indices` (..., D) name by the first D axes."""
    values = convert_to_tensor(values)
    return scatter_update(zeros(shape, values.dtype), indices, values, "add")


def slice_update(inputs: TensorLike, start_indices: Sequence[int], updates: TensorLike) -> Tensor:
    """`inputs` with the block `updates` in it, which starts at these cells."""
    return SliceUpdate.apply(*promoted(inputs, updates), start=sizes("start_indices", start_indices))


def _segment(data, segment_ids, num_segments, function):
    data, numbers = convert_to_tensor(data), _whole("segment_ids", segment_ids)
    if num_segments is None:
        num_segments = int(numbers.data.max()) + 1 if numbers.size else 0
    return Segment.apply(data, numbers, count=operator.index(num_segments), function=function)


def segment_sum(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """The sums of the rows of `data` that have the same number; `num_segments` of them, by default up to the greatest. 0 for
    a number that is not there."""
    return _segment(data, segment_ids, num_segments, "add")


def segment_prod(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """As `segment_sum`, the products; 1 for a number that is not there."""
    return _segment(data, segment_ids, num_segments, "mul")


def segment_max(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """As `segment_sum`, the greatest; -inf, or the least integer, for a number that is not there."""
    return _segment(data, segment_ids, num_segments, "max")


def segment_min(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """As `segment_sum`, the smallest; inf, or the greatest integer, for a number that is not there."""
    return _segment(data, segment_ids, num_segments, "min")
