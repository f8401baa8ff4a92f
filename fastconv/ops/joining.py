"""Ops that join arrays along an axis, and the functions that take them apart again.

Contract: the result is a new contiguous array. Splitting is one `get_item` a part: each part has a gradient of its own.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor, promoted
from .common import normalize_axis
from .indexing import get_item
from .open_sizes import open_sizes
from .shaping import broadcast_to, expand_dims, ravel, reshape

__all__ = [
    "append", "array_split", "concatenate", "dsplit", "dstack", "hsplit", "hstack", "meshgrid", "split", "stack", "unstack",
    "vsplit", "vstack",
]  # fmt: skip


class Concatenate(Op):
    kernels = True

    def forward(self, *arrays, axis):
        self.shape(*[array.shape for array in arrays], axis=axis)
        self.axis, self.sizes = axis, [array.shape[axis] for array in arrays]
        return kernels.concatenate_forward(arrays, axis)

    def exact(self, *arrays, axis):
        self.shape(*[array.shape for array in arrays], axis=axis)
        return np.concatenate(arrays, axis)

    def backward(self, dy):
        if kernels.records_plan():
            return tuple(kernels.concatenate_backward(dy, self.sizes, self.axis))
        # Views: the tape makes one real when an Op is to read it.
        whole, stops = (slice(None),) * (self.axis % dy.ndim), itertools.accumulate(self.sizes)
        return tuple([dy[(*whole, slice(stop - size, stop))] for size, stop in zip(self.sizes, stops)])

    @staticmethod
    def shape(*shapes, axis):
        first = list(shapes[0])
        normalize_axis(axis, len(first))
        for shape in shapes[1:]:
            if len(shape) != len(first):
                raise ValueError(
                    f"The arrays to join must have as many axes; got shapes {', '.join(map(str, shapes))}."
                )
            for i, size in enumerate(shape):
                if i == axis % len(first):
                    first[i] = None if None in (first[i], size) else first[i] + size
                elif None not in (first[i], size) and size != first[i]:
                    raise ValueError(
                        f"The arrays to join along axis {axis} must have the same sizes on all others; got shapes "
                        f"{', '.join(map(str, shapes))}."
                    )
                elif first[i] is None:
                    first[i] = size
        return tuple(first)


def concatenate(xs: Sequence[TensorLike], axis: int | None = 0) -> Tensor:
    """The arrays side by side along `axis`; on all other axes they have the same sizes. None: all their cells in a row."""
    if axis is None:
        xs, axis = [ravel(x) for x in _list("xs", xs)], 0
    return Concatenate.apply(*promoted(*_list("xs", xs)), axis=operator.index(axis))


def stack(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Arrays of one shape along a new axis, which is number `axis` of the result."""
    return concatenate([expand_dims(array, axis) for array in promoted(*_list("x", x))], axis)


def hstack(xs: Sequence[TensorLike]) -> Tensor:
    """The arrays side by side along their second axis; vectors, and numbers, along their only one."""
    xs = [_at_least(array, 1) for array in _list("xs", xs)]
    return concatenate(xs, 0 if xs[0].ndim == 1 else 1)


def vstack(xs: Sequence[TensorLike]) -> Tensor:
    """The arrays one above the other along their first axis; a vector is a row."""
    return concatenate([_at_least(array, 2) for array in _list("xs", xs)], 0)


def dstack(xs: Sequence[TensorLike]) -> Tensor:
    """The arrays one behind the other along their third axis; (M, N) is (M, N, 1), a vector (1, N, 1)."""
    xs = [_at_least(array, 2) for array in _list("xs", xs)]
    return concatenate([expand_dims(array, 2) if array.ndim == 2 else array for array in xs], 2)


def _at_least(x, ndim):
    """x with axes of size 1 in front, to be `ndim`."""
    x = convert_to_tensor(x)
    return expand_dims(x, tuple(range(ndim - x.ndim))) if x.ndim < ndim else x


def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> Tensor:
    """x1 and behind it x2 along `axis`; both as vectors without one."""
    x1, x2 = promoted(x1, x2)
    if axis is None:
        return concatenate([reshape(x1, -1), reshape(x2, -1)])
    return concatenate([x1, x2], axis)


def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """The list of x's cells along `axis`, which is `num` long, if that is given."""
    x = convert_to_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    size = x.shape[axis] if x.shape[axis] is not None else num
    if size is None or num not in (None, size):
        raise ValueError(f"num must be {x.shape[axis]}, x's size along axis {axis}; got {num!r}.")
    return [get_item(x, (slice(None),) * axis + (i,)) for i in range(size)]


def split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """x in parts along `axis`: so many of one size, or cut in front of each of these cells."""
    x = convert_to_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    size = x.shape[axis]
    if np.ndim(indices_or_sections):
        return _parts(x, [0, *map(operator.index, indices_or_sections), size], axis)
    return _evenly(x, operator.index(indices_or_sections), axis)


@open_sizes()
def _evenly(x, sections, axis):
    size = x.shape[axis]
    if sections < 1 or size % sections:
        raise ValueError(f"Axis {axis} has {size} cells, which cannot be split into {sections} equal parts.")
    return _parts(x, range(0, size + 1, size // sections) if size else [0] * (sections + 1), axis)


def array_split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """`split` that makes the first parts longer by one cell where the number of cells cannot be shared evenly."""
    if np.ndim(indices_or_sections):
        return split(x, indices_or_sections, axis)
    x = convert_to_tensor(x)
    return _nearly(x, operator.index(indices_or_sections), normalize_axis(axis, x.ndim))


@open_sizes()
def _nearly(x, sections, axis):
    size = x.shape[axis]
    if sections < 1:
        raise ValueError(f"Axis {axis} has {size} cells, which cannot be split into {sections} parts.")
    each, longer = divmod(size, sections)
    return _parts(x, [part * each + min(part, longer) for part in range(sections + 1)], axis)


def hsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the second axis, of a vector along its only one."""
    x = convert_to_tensor(x)
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


def vsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the first axis."""
    return split(x, indices_or_sections, 0)


def dsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """`split` along the third axis."""
    return split(x, indices_or_sections, 2)


def _parts(x, cuts, axis):
    return [get_item(x, (slice(None),) * axis + (slice(start, stop),)) for start, stop in zip(cuts, cuts[1:])]


def meshgrid(*x: TensorLike, indexing: str = "xy") -> list[Tensor]:
    """Each vector as an array of all their sizes, in which it runs along an axis of its own; with indexing="xy" the first
    two axes are exchanged."""
    if indexing not in ("xy", "ij"):
        raise ValueError(f"indexing must be 'xy' or 'ij'; got {indexing!r}.")
    vectors = [reshape(array, -1) for array in x]
    places = list(range(len(vectors)))
    if indexing == "xy" and len(vectors) > 1:
        places[:2] = 1, 0
    shape = [0] * len(vectors)
    for vector, place in zip(vectors, places):
        shape[place] = vector.shape[0]
    return [broadcast_to(reshape(vector, [-1 if axis == place else 1 for axis in range(len(shape))]), shape)
            for vector, place in zip(vectors, places)]  # fmt: skip


def _list(name, arrays):
    arrays = list(arrays)
    if not arrays:
        raise ValueError(f"{name} must hold one array at least.")
    return arrays
