"""Ops that give an array another shape or order of axes; and the check of labels.

Not here: dtypes (casting.py), what selects (indexing.py), joins (joining.py) or copies cells (copying.py).
Contract: reshape and its relatives share their input's memory; transposing and broadcasting make a new contiguous array.
"""

from __future__ import annotations

import functools
import inspect
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from .. import config, kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor
from .common import Axes, Shape, normalize_axes, normalize_axis

F = TypeVar("F", bound=Callable[..., Tensor])

__all__ = [
    "broadcast_to", "expand_dims", "moveaxis", "ravel", "reshape", "squeeze", "swapaxes", "transpose",
]  # fmt: skip


class Reshape(Op):
    kernels = True  # a view

    def exact(self, x, **attributes):
        return x.reshape(self.shape(x.shape, **attributes))

    def forward(self, x, **attributes):
        self.old = x.shape
        return x.reshape(self.shape(x.shape, **attributes))

    def backward(self, dy):
        return dy.reshape(self.old)

    @staticmethod
    def shape(x, *, shape):
        known, size = math.prod(n for n in shape if n != -1), None if None in x else math.prod(x)
        if min(shape, default=0) < -1 or shape.count(-1) > 1:
            raise ValueError(f"newshape must have sizes of at least 0, and -1 once at most; got {shape}.")
        if -1 not in shape:
            if size not in (known, None):
                raise ValueError(f"Cannot reshape {size} elements of shape {x} to {shape}.")
            return shape
        if size is not None and (size % known if known else True):
            raise ValueError(f"Cannot reshape {size} elements of shape {x} to {shape}.")
        return tuple((None if size is None else size // known) if n == -1 else n for n in shape)


class Squeeze(Reshape):
    @staticmethod
    def shape(x, *, axes):
        axes = [axis for axis, size in enumerate(x) if size == 1] if axes is None else normalize_axes(axes, len(x))
        if any(x[axis] not in (1, None) for axis in axes):
            raise ValueError(f"Only axes of size 1 can be squeezed; got axis {axes} of shape {x}.")
        return tuple(size for axis, size in enumerate(x) if axis not in axes)


class ExpandDims(Reshape):
    @staticmethod
    def shape(x, *, axes):
        axes, rest = normalize_axes(axes, len(x) + len(axes)), iter(x)
        return tuple(1 if axis in axes else next(rest) for axis in range(len(x) + len(axes)))


class Transpose(Op):
    kernels = True

    def forward(self, x, *, axes):
        self.shape(x.shape, axes=axes)
        self.inverse = None if axes is None else tuple(sorted(range(len(axes)), key=axes.__getitem__))
        return kernels.transpose(x, axes)

    def exact(self, x, *, axes):
        self.shape(x.shape, axes=axes)
        return np.asarray(x.transpose(axes), order="C")  # keeps rank 0, as ascontiguousarray does not

    def backward(self, dy):
        return kernels.transpose(dy, self.inverse)

    @staticmethod
    def shape(x, *, axes):
        if axes is not None and sorted(axes) != [*range(len(x))]:
            raise ValueError(f"axes must name each of the {len(x)} axes once; got {axes}.")
        return x[::-1] if axes is None else tuple(x[axis] for axis in axes)


class BroadcastTo(Op):
    kernels = True

    def forward(self, x, *, shape):
        self.old = x.shape
        return kernels.broadcast_forward(x, self.shape(x.shape, shape=shape))

    def exact(self, x, *, shape):
        return np.broadcast_to(x, self.shape(x.shape, shape=shape)).copy()

    def backward(self, dy):
        return kernels.broadcast_backward(dy, self.old)

    @staticmethod
    def shape(x, *, shape):
        ends = shape[len(shape) - len(x) :]
        if len(x) > len(shape) or any(size not in (1, end, None) for size, end in zip(x, ends)):
            raise ValueError(f"An array of shape {x} cannot be broadcast to {shape}.")
        return shape


def reshape(x: TensorLike, newshape: Shape) -> Tensor:
    """x with another shape of the same size; one entry of `newshape` may be -1."""
    x, shape = convert_to_tensor(x), newshape
    if isinstance(shape, (tuple, list)) and None in shape:  # Keras' open size, in a symbolic shape
        if sum(size in (None, -1) for size in shape) > 1:
            raise TypeError(f"newshape may leave one size open, by None or -1; got {tuple(shape)}.")
        shape = [-1 if size is None else size for size in shape]
    return Reshape.apply(x, shape=sizes("newshape", shape))


def ravel(x: TensorLike) -> Tensor:
    """x as a vector."""
    return reshape(x, -1)


def squeeze(x: TensorLike, axis: Axes = None) -> Tensor:
    """x without its axes of size 1, or without these; ValueError for one of another size, or of an open one."""
    x = convert_to_tensor(x)
    axes = axis if axis is None else normalize_axes(_several(axis), x.ndim)
    if axes is not None and any(x.shape[a] is None for a in axes):
        raise ValueError(f"Only axes of size 1 can be squeezed; got axis {axis}, of an open size, of shape {x.shape}.")
    return Squeeze.apply(x, axes=axes)


def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """x with new axes of size 1, which are number `axis` of the result."""
    return ExpandDims.apply(convert_to_tensor(x), axes=_several(axis))


def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """x with its axes in the order `axes`; reversed without."""
    x = convert_to_tensor(x)
    return Transpose.apply(x, axes=None if axes is None else normalize_axes(tuple(axes), len(axes)))


def moveaxis(x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """x with the axes `source` in the places `destination`; the others keep their order."""
    x = convert_to_tensor(x)
    sources, places = normalize_axes(_several(source), x.ndim), normalize_axes(_several(destination), x.ndim)
    if len(sources) != len(places):
        raise ValueError(f"source and destination must be as many axes; got {source!r} and {destination!r}.")
    moved, rest = dict(zip(places, sources)), iter([axis for axis in range(x.ndim) if axis not in sources])
    return Transpose.apply(x, axes=tuple(moved[axis] if axis in moved else next(rest) for axis in range(x.ndim)))


def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """x with two axes exchanged."""
    x = convert_to_tensor(x)
    axes = list(range(x.ndim))
    one, other = normalize_axis(axis1, x.ndim), normalize_axis(axis2, x.ndim)
    axes[one], axes[other] = other, one
    return Transpose.apply(x, axes=tuple(axes))


def broadcast_to(x: TensorLike, shape: Shape) -> Tensor:
    """x stretched to `shape`, whose last sizes are x's, or x's are 1."""
    return BroadcastTo.apply(convert_to_tensor(x), shape=sizes("shape", shape))


def either_layout(function: F) -> F:
    """`function`, which computes channels last, for both layouts: by its argument `data_format`, None being
    `config.image_data_format()`. Channels first are turned around and back: two copies."""
    place = list(inspect.signature(function).parameters).index("data_format")

    @functools.wraps(function)
    def wrapper(inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        chosen = args[place - 1] if len(args) >= place else kwargs.get("data_format")
        chosen = config.image_data_format() if chosen is None else chosen
        if chosen == "channels_last":
            return function(inputs, *args, **kwargs)
        if chosen != "channels_first":
            raise ValueError(f"data_format must be 'channels_last', 'channels_first' or None; got {chosen!r}.")
        x = convert_to_tensor(inputs)
        if x.ndim < 3:  # which the function refuses
            return function(x, *args, **kwargs)
        return moveaxis(function(moveaxis(x, 1, -1), *args, **kwargs), -1, 1)

    return wrapper  # type: ignore[return-value]


def check_labels(name, labels, num_classes):
    """`labels` as an int64 array of numbers from 0 to num_classes - 1; labels without data are what they are."""
    if isinstance(labels, Tensor) and labels.symbolic:
        return labels
    array = labels.data if isinstance(labels, Tensor) else np.asarray(labels)
    if array.dtype.kind not in "iu" and array.size:
        raise TypeError(f"{name} must hold integer class numbers; got {array.dtype}. Use {name}.astype('int64').")
    if array.size and not (array.min() >= 0 and array.max() < num_classes):
        wrong = array[(array < 0) | (array >= num_classes)].flat[0]
        raise ValueError(
            f"{name} holds the label {wrong}, but with {num_classes} classes labels go from 0 to {num_classes - 1}."
        )
    return array.astype(np.int64, copy=False)


def sizes(name, shape):
    """A shape, or the size of a vector, as a tuple of ints."""
    try:
        return tuple(map(operator.index, shape)) if hasattr(shape, "__len__") else (operator.index(shape),)
    except TypeError:
        raise TypeError(f"{name} must be whole numbers; got {shape!r}.") from None


def _several(axis):
    return tuple(axis) if hasattr(axis, "__len__") else (axis,)
