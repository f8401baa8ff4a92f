"""Blocks of cells: between depth and space, windows as columns and back.

Contract: all of it moves cells or adds them up; windows are PyTorch's, channels first, as in Keras.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np

from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor
from .copying import pad
from .indexing import take
from .shaping import moveaxis, reshape, sizes, transpose

__all__ = ["depth_to_space", "fold", "space_to_depth", "unfold"]


def _channels_last(name, x, data_format, compute):
    if data_format == "channels_first":
        return moveaxis(compute(moveaxis(x, 1, -1)), -1, 1)
    if data_format not in (None, "channels_last"):
        raise ValueError(f"{name}: data_format must be 'channels_last' or 'channels_first'; got {data_format!r}.")
    return compute(x)


def _block(name, x, block_size):
    x, size = convert_to_tensor(x), operator.index(block_size)
    if x.ndim != 4 or size < 2:
        raise ValueError(f"{name} needs (N, H, W, C) and a block_size of at least 2; got {x.shape} and {size}.")
    return x, size


def _sizes(shape):
    return [-1 if size is None else size for size in shape]


def depth_to_space(x: TensorLike, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """(N, H, W, B * B * C) as (N, H * B, W * B, C): the channels of each cell become a block of B x B cells."""
    x, b = _block("depth_to_space", x, block_size)

    def compute(x):
        n, h, w, c = x.shape
        if None in (h, w, c) or c % (b * b):
            raise ValueError(f"depth_to_space needs known sizes, and channels in {b * b} equal parts; got {x.shape}.")
        y = transpose(reshape(x, _sizes((n, h, w, b, b, c // b // b))), (0, 1, 3, 2, 4, 5))
        return reshape(y, _sizes((n, h * b, w * b, c // b // b)))

    return _channels_last("depth_to_space", x, data_format, compute)


def space_to_depth(x: TensorLike, block_size: int, data_format: str | None = "channels_last") -> Tensor:
    """(N, H * B, W * B, C) as (N, H, W, B * B * C): the inverse of `depth_to_space`."""
    x, b = _block("space_to_depth", x, block_size)

    def compute(x):
        n, h, w, c = x.shape
        if None in (h, w, c) or h % b or w % b:
            raise ValueError(f"space_to_depth needs known sizes, and height and width in blocks of {b}; got {x.shape}.")
        y = transpose(reshape(x, _sizes((n, h // b, b, w // b, b, c))), (0, 1, 3, 2, 4, 5))
        return reshape(y, _sizes((n, h // b, w // b, b * b * c)))

    return _channels_last("space_to_depth", x, data_format, compute)


class Fold(Op):
    """(N, C, kh, kw, OH, OW) windows added up on (N, C, H, W)."""

    @staticmethod
    def shape(x, *, size, dilation, stride):
        return (*x[:2], *size)

    def forward(self, x, *, size, dilation, stride):
        self.window, self.dilation, self.stride = x.shape[2:], dilation, stride
        y = np.zeros((*x.shape[:2], *size), x.dtype)
        for i, j, place in self._places():
            y[place] += x[:, :, i, j]
        return y

    exact = forward

    def backward(self, dy):
        dx = np.empty((*dy.shape[:2], *self.window), dy.dtype)
        for i, j, place in self._places():
            dx[:, :, i, j] = dy[place]
        return dx

    def _places(self):
        for i, j in np.ndindex(self.window[:2]):
            yield i, j, (slice(None), slice(None), *[
                slice(tap * d, tap * d + (count - 1) * s + 1, s)
                for tap, count, d, s in zip((i, j), self.window[2:], self.dilation, self.stride)
            ])  # fmt: skip


def _two(name, value, least=1):
    values = sizes(name, value)
    values = values * 2 if len(values) == 1 else values
    if len(values) != 2 or min(values) < least:
        raise ValueError(f"{name} must be a number or two, at least {least}; got {value!r}.")
    return values


def _windows(size, kernel_size, dilation, padding, stride):
    """(kernel, dilation, padding, stride, the counts of windows) of both axes."""
    kernel, dilation, stride = (
        _two(name, value) for name, value in (("kernel_size", kernel_size), ("dilation", dilation), ("stride", stride))
    )
    padding = _two("padding", padding, 0)
    counts = tuple(
        [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in zip(size, kernel, dilation, padding, stride)]
    )
    if min(counts) < 1:
        raise ValueError(
            f"A kernel of {kernel} with dilation {dilation} does not fit into {tuple(size)} and padding {padding}."
        )
    return kernel, dilation, padding, stride, counts


def unfold(
    x: TensorLike, kernel_size: int | Sequence[int], dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0, stride: int | Sequence[int] = 1,
) -> Tensor:  # fmt: skip
    """The windows of x (N, C, H, W) as columns: (N, C * kh * kw, L), L windows row by row."""
    x = convert_to_tensor(x)
    if x.ndim != 4 or None in x.shape[1:]:
        raise ValueError(f"unfold needs (N, C, H, W) of known sizes; got shape {x.shape}.")
    kernel, dilation, padding, stride, counts = _windows(x.shape[2:], kernel_size, dilation, padding, stride)
    if any(padding):
        x = pad(x, [(0, 0), (0, 0), *[(p, p) for p in padding]])
    rows, columns = (
        np.arange(k)[:, None] * d + np.arange(count) * s for k, d, count, s in zip(kernel, dilation, counts, stride)
    )
    x = take(take(x, columns, 3), rows, 2)  # (N, C, kh, OH, kw, OW)
    x = transpose(x, (0, 1, 2, 4, 3, 5))
    return reshape(x, _sizes((x.shape[0], x.shape[1] * kernel[0] * kernel[1], counts[0] * counts[1])))


def fold(
    x: TensorLike, output_size: int | Sequence[int], kernel_size: int | Sequence[int], dilation: int | Sequence[int] = 1,
    padding: int | Sequence[int] = 0, stride: int | Sequence[int] = 1,
) -> Tensor:  # fmt: skip
    """The columns of `unfold`, added up in their places: (N, C, *output_size)."""
    x, size = convert_to_tensor(x), _two("output_size", output_size)
    kernel, dilation, padding, stride, counts = _windows(size, kernel_size, dilation, padding, stride)
    taps = kernel[0] * kernel[1]
    if x.ndim != 3 or x.shape[1] is None or x.shape[1] % taps or x.shape[2] != counts[0] * counts[1]:
        raise ValueError(f"fold needs (N, C * {taps}, {counts[0] * counts[1]}) for these windows; got shape {x.shape}.")
    x = reshape(x, _sizes((x.shape[0], x.shape[1] // taps, *kernel, *counts)))
    padded = tuple([n + 2 * p for n, p in zip(size, padding)])
    y = Fold.apply(x, size=padded, dilation=dilation, stride=stride)
    return pad(y, [(0, 0), (0, 0), *[(-p, -p) for p in padding]]) if any(padding) else y
