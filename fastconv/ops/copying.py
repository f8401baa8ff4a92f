"""Ops that lay cells out anew: padding, flipping, repeating, tiling, upsampling.

Contract: the result is a new contiguous array; the gradient of a copied cell is the sum over its copies, in a fixed order.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..kernels.geometry import per_axis
from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor
from .common import Axes, normalize_axes, normalize_axis
from .indexing import get_item, take
from .joining import concatenate
from .open_sizes import open_sizes
from .shaping import either_layout, expand_dims, reshape, sizes, swapaxes

__all__ = ["flip", "fliplr", "flipud", "pad", "repeat", "roll", "rot90", "tile", "upsample"]


class Pad(Op):
    kernels = True

    def forward(self, x, *, pairs, value):
        self.shape(x.shape, pairs=pairs)
        self.pairs = pairs
        return kernels.pad_forward(x, pairs, value)

    def exact(self, x, *, pairs, value):
        self.shape(x.shape, pairs=pairs)
        x = x[tuple(slice(max(-low, 0), size - max(-high, 0)) for size, (low, high) in zip(x.shape, pairs))]
        return np.pad(x, [(max(low, 0), max(high, 0)) for low, high in pairs], constant_values=int(value))

    def backward(self, dy):
        return kernels.pad_backward(dy, self.pairs)

    @staticmethod
    def shape(x, *, pairs, value=0.0):
        if len(pairs) != len(x):
            raise ValueError(f"There must be one (low, high) pair of padding for each of {len(x)} axes; got {pairs}.")
        for size, (low, high) in zip(x, pairs):
            if size is not None and max(-low, 0) + max(-high, 0) > size:
                raise ValueError(f"{-low} and {-high} cells cannot be cut off an axis of {size}, shape {x}.")
        return tuple(None if size is None else low + size + high for size, (low, high) in zip(x, pairs))


class Flip(Op):
    kernels = True

    def forward(self, x, *, axes):
        self.axes = axes
        return kernels.flip(x, axes)

    def exact(self, x, *, axes):
        return np.asarray(np.flip(x, axes), order="C")  # keeps rank 0

    def backward(self, dy):
        return kernels.flip(dy, self.axes)


class Repeat(Op):
    """Each cell factors[a] times along axis a."""

    kernels = True

    def forward(self, x, *, factors):
        self.factors = factors
        return kernels.repeat_forward(x, factors)

    def exact(self, x, *, factors):
        for axis, factor in enumerate(factors):
            x = np.repeat(x, factor, axis)
        return x

    def backward(self, dy):
        return kernels.repeat_backward(dy, self.factors)

    @staticmethod
    def shape(x, *, factors):
        return tuple(None if size is None else size * factor for size, factor in zip(x, factors))


class Tile(Repeat):
    """The whole factors[a] times along axis a."""

    def forward(self, x, *, factors):
        self.factors = factors
        return kernels.tile_forward(x, factors)

    def exact(self, x, *, factors):
        return np.tile(x, factors)

    def backward(self, dy):
        return kernels.tile_backward(dy, self.factors)


def pad(x: TensorLike, pad_width: Any, mode: str = "constant", constant_values: float | None = None) -> Tensor:
    """x with cells around it: `pad_width` is a number, a (low, high) pair, or one pair an axis.

    `mode`: "constant" (`constant_values`, 0 if None; here a negative width cuts cells off), "reflect", "symmetric" or
    "edge", as NumPy's.
    """
    x = convert_to_tensor(x)
    pairs = _pairs(pad_width, x.ndim)
    if mode == "constant":
        return Pad.apply(x, pairs=pairs, value=0.0 if constant_values is None else float(constant_values))
    if mode not in ("reflect", "symmetric", "edge") or constant_values is not None:
        raise ValueError(
            "mode must be 'constant', 'reflect', 'symmetric' or 'edge', and constant_values goes with 'constant' alone; "
            f"got {mode!r} and {constant_values!r}."
        )
    for axis, pair in enumerate(pairs):
        if pair != (0, 0):
            x = take(x, np.pad(np.arange(x.shape[axis]), pair, mode), axis)
    return x


def _pairs(width, ndim):
    """One (low, high) pair an axis."""
    if not hasattr(width, "__len__"):
        return ((operator.index(width),) * 2,) * ndim
    if len(width) == 2 and not any(hasattr(part, "__len__") for part in width):
        width = (width,)
    pairs = [sizes("pad_width", pair) for pair in width]
    pairs = tuple(pair * 2 if len(pair) == 1 else pair for pair in pairs) * (ndim if len(pairs) == 1 else 1)
    if any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"pad_width must be a number, a (low, high) pair, or one pair an axis; got {width!r}.")
    return pairs


def flip(x: TensorLike, axis: Axes = None) -> Tensor:
    """x with the cells of these axes, or of all, in reverse order."""
    x = convert_to_tensor(x)
    return Flip.apply(x, axes=normalize_axes(axis, x.ndim))


def fliplr(x: TensorLike) -> Tensor:
    """x with its second axis reversed."""
    return flip(x, 1)


def flipud(x: TensorLike) -> Tensor:
    """x with its first axis reversed."""
    return flip(x, 0)


@open_sizes()
def roll(x: TensorLike, shift: int | Sequence[int], axis: Axes = None) -> Tensor:
    """x with its cells moved on by `shift` along an axis, or each by its own along several; what leaves at the end
    comes in at the start. Without an axis x is a vector meanwhile."""
    x = convert_to_tensor(x)
    if axis is None:
        if None in x.shape:
            raise ValueError(f"roll without an axis needs a known shape; got {x.shape}.")
        return reshape(roll(reshape(x, -1), sum(sizes("shift", shift)), 0), x.shape)
    shifts, axes = (
        sizes("shift", shift),
        [normalize_axis(a, x.ndim) for a in (axis if hasattr(axis, "__len__") else (axis,))],
    )
    if len(shifts) not in (1, len(axes)) and len(axes) != 1:
        raise ValueError(f"shift must be one number, or one for each axis; got {shift!r} and axis {axis!r}.")
    pairs = zip(shifts * len(axes) if len(shifts) == 1 else shifts, axes * len(shifts) if len(axes) == 1 else axes)
    for number, along in pairs:
        count = x.shape[along]
        if number == 0 or count == 0:
            continue
        at = -number if count is None else (-number) % count
        before = (slice(None),) * along
        x = concatenate([get_item(x, (*before, slice(at, None))), get_item(x, (*before, slice(None, at)))], along)
    return x


def repeat(x: TensorLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Each cell of an axis `repeats` times, a number or one a cell; of x flat without an axis."""
    x = reshape(x, -1) if axis is None else convert_to_tensor(x)
    axis = 0 if axis is None else normalize_axis(axis, x.ndim)
    numbers = sizes("repeats", repeats)
    if len(numbers) == 1 and numbers[0] > 0:
        return Repeat.apply(x, factors=tuple(numbers[0] if a == axis else 1 for a in range(x.ndim)))
    if min(numbers, default=0) < 0 or len(numbers) not in (1, x.shape[axis]):
        raise ValueError(f"repeats must be 0 or more, one or {x.shape[axis]} numbers; got {repeats!r}.")
    return take(x, np.repeat(np.arange(x.shape[axis]), numbers), axis)


def tile(x: TensorLike, repeats: int | Sequence[int]) -> Tensor:
    """x in a row `repeats` times, one number an axis; those that are lacking in front are 1, as are axes of x."""
    x, factors = convert_to_tensor(x), sizes("repeats", repeats)
    if len(factors) > x.ndim:
        x = expand_dims(x, tuple(range(len(factors) - x.ndim)))
    factors = (1,) * (x.ndim - len(factors)) + factors
    if min(factors, default=1) < 1:
        raise ValueError(f"repeats must be at least 1; got {repeats!r}.")
    return Tile.apply(x, factors=factors)


def rot90(array: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """x turned by `k` quarters in the plane of two axes, from the first towards the second."""
    x = convert_to_tensor(array)
    first, second = normalize_axes(tuple(axes), x.ndim)
    k = operator.index(k) % 4
    if k == 0:
        return x
    if k == 2:
        return flip(x, (first, second))
    return swapaxes(flip(x, second), first, second) if k == 1 else flip(swapaxes(x, first, second), second)


@either_layout
def upsample(x: TensorLike, size: int | Sequence[int] = 2, data_format: str | None = None) -> Tensor:
    """(N, *I, C) with every cell repeated `size` times along each spatial axis, a number or one an axis."""
    x = convert_to_tensor(x)
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"upsample expects (batch, *spatial, channels) with 1 to 3 spatial axes; got {x.shape}.")
    return Repeat.apply(x, factors=(1, *per_axis("size", size, x.ndim - 2), 1))
