"""Max and average pooling over windows, over bins of any number or over all positions, for 1, 2 or 3 spatial axes.

Not here: what a window is (kernels.geometry).
Contract: channels last. Padding is no cell: it never wins a maximum and is not counted in an average. The first of
equal maxima takes the gradient; NaN wins.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .common import with_sizes
from .shaping import either_layout

__all__ = [
    "adaptive_average_pool",
    "adaptive_max_pool",
    "average_pool",
    "global_average_pool",
    "global_max_pool",
    "max_pool",
]


class Pool(Op):
    kernels = True

    @staticmethod
    def shape(x, *, pool_size, strides=None, padding="valid"):
        return (*with_sizes(x, lambda s: kernels.pool_geometry((1, *s, 1), pool_size, strides, padding).output), x[-1])


class MaxPool(Pool):
    def forward(self, x, *, pool_size, **geometry):
        self.shape, self.pool_size, self.geometry = x.shape, pool_size, geometry
        y, self.index = kernels.max_pool_forward(x, pool_size, **geometry)
        return y

    def backward(self, dy):
        return kernels.max_pool_backward(dy, self.index, self.shape, self.pool_size, **self.geometry)


class AveragePool(Pool):
    def forward(self, x, *, pool_size, **geometry):
        self.shape, self.pool_size, self.geometry = x.shape, pool_size, geometry
        return kernels.average_pool_forward(x, pool_size, **geometry)

    def backward(self, dy):
        return kernels.average_pool_backward(dy, self.shape, self.pool_size, **self.geometry)


class AdaptivePool(Op):
    kernels = True

    @staticmethod
    def shape(x, *, output_size):
        if len(x) not in (3, 4, 5):
            raise ValueError(f"adaptive pooling takes inputs (N, *spatial, C) of 1 to 3 spatial axes; got shape {x}.")
        return (x[0], *kernels.Window.bins((1,) * (len(x) - 2), output_size).output, x[-1])


class AdaptiveMaxPool(AdaptivePool):
    def forward(self, x, *, output_size):
        self.shape, self.output_size = x.shape, output_size
        y, self.index = kernels.adaptive_max_pool_forward(x, output_size)
        return y

    def backward(self, dy):
        return kernels.adaptive_max_pool_backward(dy, self.index, self.shape, self.output_size)


class AdaptiveAveragePool(AdaptivePool):
    def forward(self, x, *, output_size):
        self.shape, self.output_size = x.shape, output_size
        return kernels.adaptive_average_pool_forward(x, output_size)

    def backward(self, dy):
        return kernels.adaptive_average_pool_backward(dy, self.shape, self.output_size)


class GlobalPool(Op):
    kernels = True

    @staticmethod
    def shape(x):
        return x[0], x[-1]


class GlobalMaxPool(GlobalPool):
    def forward(self, x):
        if not any(self.needs):
            return kernels.global_max_pool(x)
        self.shape = x.shape
        y, self.index = kernels.global_max_pool_forward(x)
        return y

    def backward(self, dy):
        return kernels.global_max_pool_backward(dy, self.index, self.shape)


class GlobalAveragePool(GlobalPool):
    def forward(self, x):
        self.shape = x.shape
        return kernels.global_average_pool_forward(x)

    def backward(self, dy):
        return kernels.global_average_pool_backward(dy, self.shape)


@either_layout
def max_pool(
    inputs: TensorLike,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """inputs (N, *spatial, C) -> (N, *output, C): the greatest cell of each window.

    `pool_size` and `strides` (default: pool_size): an int or one an axis. `padding` as in `conv`, but not "causal".
    """
    return MaxPool.apply(inputs, pool_size=pool_size, strides=strides, padding=padding)


@either_layout
def average_pool(
    inputs: TensorLike,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """inputs (N, *spatial, C) -> (N, *output, C): the mean of each window's real cells; arguments as `max_pool`."""
    return AveragePool.apply(inputs, pool_size=pool_size, strides=strides, padding=padding)


@either_layout
def adaptive_max_pool(inputs: TensorLike, output_size: int | Sequence[int], data_format: str | None = None) -> Tensor:
    """inputs (N, *spatial, C) -> (N, *output_size, C): the greatest cell of each bin.

    `output_size`: an int or one an axis. Bin i of an axis of n cells goes from cell i * n // output_size up to
    ceil((i + 1) * n / output_size): bins may share a cell.
    """
    return AdaptiveMaxPool.apply(inputs, output_size=output_size)


@either_layout
def adaptive_average_pool(
    inputs: TensorLike, output_size: int | Sequence[int], data_format: str | None = None
) -> Tensor:
    """inputs (N, *spatial, C) -> (N, *output_size, C): the mean of each bin; bins as `adaptive_max_pool`'s."""
    return AdaptiveAveragePool.apply(inputs, output_size=output_size)


def global_max_pool(inputs: TensorLike) -> Tensor:
    """inputs (N, *spatial, C) -> (N, C): the greatest cell of each channel."""
    return GlobalMaxPool.apply(inputs)


def global_average_pool(inputs: TensorLike) -> Tensor:
    """inputs (N, *spatial, C) -> (N, C): the mean of each channel."""
    return GlobalAveragePool.apply(inputs)
