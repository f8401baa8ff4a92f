"""What the families of ops share: buffers for big results, the inverse of broadcasting, checks of arguments.

No operation stands here. Contract: `elementwise` returns exactly what the NumPy function returns, always an array.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence

import numpy as np

from .. import kernels

Axes = int | Sequence[int] | None  # those of a reduction; None is all
Shape = int | Sequence[int]

_BIG = 1 << 14  # elements; below it a fresh NumPy array costs less than the allocator's call


def elementwise(function, *arrays):
    """`function(*arrays)` for a NumPy ufunc; a big result goes to a cached buffer, since fresh pages are slow."""
    if all(array.size < _BIG for array in arrays):
        return np.asarray(function(*arrays))
    shape = np.broadcast_shapes(*[array.shape for array in arrays])
    return function(*arrays, out=kernels.empty(shape, arrays[0].dtype))


def unbroadcast(gradient, shape, factor=None, sign=1):
    """The gradient of a `shape` array that was broadcast to `gradient`'s shape: the sum over its copies, divided by
    `sign`; of gradient * factor, where a factor is given."""
    if factor is not None and (gradient.shape == shape or getattr(factor, "shape", None) != gradient.shape):
        gradient = kernels.combine("multiply" if sign == 1 else "negative_product", gradient, factor)
        factor, sign = None, 1
    if gradient.shape == shape:
        return gradient if sign == 1 else kernels.map_forward("negative", gradient)
    new = gradient.ndim - len(shape)
    axes = *range(new), *(new + axis for axis, size in enumerate(shape) if size == 1)
    if factor is None:
        return kernels.reduce("sum", gradient, axes, sign).reshape(shape)
    return kernels.reduce_products(gradient, factor, axes, sign).reshape(shape)


def broadcast_shape(name, *shapes):
    """The shape that `shapes` broadcast to, None where a size is open; ValueError, naming both, where they do not."""
    if all([shape == shapes[0] for shape in shapes]):  # the usual case
        return tuple(shapes[0])
    result = []
    for sizes in itertools.zip_longest(*[shape[::-1] for shape in shapes], fillvalue=1):
        known = {size for size in sizes if size not in (1, None)}
        if len(known) > 1:
            raise ValueError(f"{name}: shapes {' and '.join(map(str, shapes))} do not broadcast together.")
        result.append(known.pop() if known else None if None in sizes else 1)
    return tuple(result[::-1])


def normalize_axis(axis, ndim):
    """`axis` as an int from 0 to ndim - 1."""
    try:
        number = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be a whole number; got {axis!r}.") from None
    if not -ndim <= number < ndim:
        raise ValueError(f"axis must be between {-ndim} and {ndim - 1} for an array of {ndim} axes; got {axis!r}.")
    return number % ndim


def normalize_axes(axis, ndim):
    """None, an int or several as a tuple of different ints from 0 to ndim - 1."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(normalize_axis(a, ndim) for a in (axis if hasattr(axis, "__len__") else (axis,)))
    if len(set(axes)) < len(axes):
        raise ValueError(f"axis names an axis twice; got {axis!r}.")
    return axes


def count(shape, axes):
    """The number of elements along `axes`."""
    return math.prod([shape[axis] for axis in axes])


def reduced_shape(shape, axis, keepdims):
    """The shape of a reduction over `axis`."""
    axes = normalize_axes(axis, len(shape))
    return tuple([1 if i in axes else size for i, size in enumerate(shape) if keepdims or i not in axes])


_OPEN = 1 << 20  # stands for a size of None


def with_sizes(shape, output):
    """The batch and the output sizes of `shape` (N, *sizes, C), by a function of known sizes; None stays None."""
    sizes = shape[1:-1]
    found = output(tuple(_OPEN if size is None else size for size in sizes))
    return (shape[0], *[None if size is None else out for size, out in zip(sizes, found)])
