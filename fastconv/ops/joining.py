"""Ops that join arrays along an axis, and the functions that take them apart again.

Contract: the result is a new contiguous array. Splitting is one `get_item` a part: each part has a gradient of its own.
"""

from __future__ import annotations

import operator

from .. import kernels
from ..tensor import Op
from .common import normalize_axis
from .indexing import get_item
from .shaping import convert_to_tensor, expand_dims


class Concatenate(Op):
    kernels = True

    def forward(self, *arrays, axis):
        self.shape(*[array.shape for array in arrays], axis=axis)
        self.axis, self.sizes = axis, [array.shape[axis] for array in arrays]
        return kernels.concatenate_forward(arrays, axis)

    def backward(self, dy):
        return tuple(kernels.concatenate_backward(dy, self.sizes, self.axis))

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


def concatenate(xs, axis=0):
    """The arrays side by side along `axis`; on all other axes they have the same sizes."""
    return Concatenate.apply(*_list("xs", xs), axis=operator.index(axis))


def stack(x, axis=0):
    """Arrays of one shape along a new axis, which is number `axis` of the result."""
    return concatenate([expand_dims(array, axis) for array in _list("x", x)], axis)


def unstack(x, num=None, axis=0):
    """The list of x's cells along `axis`, which is `num` long, if that is given."""
    x = convert_to_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    if num not in (None, x.shape[axis]):
        raise ValueError(f"num must be {x.shape[axis]}, x's size along axis {axis}; got {num!r}.")
    return [get_item(x, (slice(None),) * axis + (i,)) for i in range(x.shape[axis])]


def split(x, indices_or_sections, axis=0):
    """x in parts along `axis`: so many of one size, or cut in front of each of these cells."""
    x = convert_to_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    size = x.shape[axis]
    if hasattr(indices_or_sections, "__len__"):
        cuts = [0, *map(operator.index, indices_or_sections), size]
    else:
        sections = operator.index(indices_or_sections)
        if sections < 1 or size % sections:
            raise ValueError(f"Axis {axis} has {size} cells, which cannot be split into {sections} equal parts.")
        cuts = range(0, size + 1, size // sections) if size else [0] * (sections + 1)
    return [get_item(x, (slice(None),) * axis + (slice(start, stop),)) for start, stop in zip(cuts, cuts[1:])]


def _list(name, arrays):
    arrays = list(arrays)
    if not arrays:
        raise ValueError(f"{name} must hold one array at least.")
    return arrays
