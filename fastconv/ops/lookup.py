"""Lookup: rows of a table by numbers that come with the data, as an embedding's; and numbers as vectors, or made of
floats.

Not here: `take`, whose numbers are known when a program is drawn (indexing.py). Contract: numbers that are no rows of
the table raise ValueError, in plans too, for which the numbers are looked at in Python; the gradient goes to the
table.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor


class Lookup(Op):
    integers = (1,)

    @staticmethod
    def shape(table, numbers):
        return (*numbers, *table[1:])

    def forward(self, table, numbers):
        self.old, self.numbers = table.shape, whole_numbers("inputs", numbers, len(table))
        return kernels.take_forward(table, self.numbers, 0)

    def backward(self, dy):
        return kernels.take_backward(dy, self.numbers, self.old, 0), None


class Digitize(Op):
    """The number of the boundaries that are not greater than each element, as int32."""

    integers = (0,)

    @staticmethod
    def dtype(given, /, **attributes):
        return np.dtype(np.int32)

    def forward(self, x, *, boundaries):
        return np.digitize(x, boundaries).astype(np.int32)

    def backward(self, dy):
        return None


class Encode(Op):
    """Numbers below `depth` as vectors of that size: each its own ("one_hot"), or those along the first axis after the
    batch together, marked ("multi_hot") or counted ("count", by their weights where given)."""

    integers = (0, 1)

    @staticmethod
    def shape(numbers, weights=None, *, mode, depth, dtype):
        if mode == "one_hot":
            return (*(numbers[:-1] if len(numbers) > 1 and numbers[-1] == 1 else numbers), depth)
        return (*numbers[:1], *numbers[2:], depth) if len(numbers) > 1 else (depth,)

    def forward(self, numbers, weights, *, mode, depth, dtype):
        whole = whole_numbers("inputs", numbers, depth)
        if mode == "one_hot":
            return kernels.one_hot(
                whole.reshape(self.shape(whole.shape, mode=mode, depth=depth, dtype=dtype)[:-1]), depth, dtype
            )
        axis = min(1, whole.ndim - 1)
        vectors = kernels.one_hot(whole, depth, dtype)
        if mode == "multi_hot":
            return vectors.max(axis)
        return (vectors if weights is None else vectors * np.asarray(weights, dtype)[..., None]).sum(axis)

    def backward(self, dy):
        return None, None


def whole_numbers(name, values, limit) -> np.ndarray:
    """`values`, integers or floats of whole numbers, as int64 from 0 to limit - 1; ValueError for others."""
    if values.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            numbers = values.astype(np.int64)
        if not (numbers.astype(values.dtype) == values).all():
            raise ValueError(f"{name} must hold whole numbers; got {values[numbers != values].flat[0]}.")
    else:
        numbers = values.astype(np.int64, copy=False)
    if numbers.size and np.ascontiguousarray(numbers).view(np.uint64).max() >= limit:  # negative ones are the largest
        wrong = numbers[(numbers < 0) | (numbers >= limit)].flat[0]
        raise ValueError(f"{name} must hold numbers from 0 to {limit - 1}; got {wrong}.")
    return numbers


def lookup(table, numbers) -> Tensor:
    """table[numbers]: (..., *row) for numbers of any shape and a table (rows, *row)."""
    return Lookup.apply(table, numbers)


def digitize(x, boundaries) -> Tensor:
    """For each element the number of the bin that it is in; `boundaries` are sorted, and begin a bin each."""
    return Digitize.apply(x, boundaries=tuple(map(float, boundaries)))


def encode(numbers, mode, depth, dtype, weights=None) -> Tensor:
    """Numbers from 0 to depth - 1 as vectors; `mode` is "one_hot", "multi_hot" or "count"."""
    return Encode.apply(numbers, weights, mode=mode, depth=depth, dtype=np.dtype(dtype))
