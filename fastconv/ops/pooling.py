"""Max and average pooling over windows or over all positions, for 1, 2 or 3 spatial axes.

Not here: what a window is (kernels.geometry).
Contract: channels last. Padding is no cell: it never wins a maximum and is not counted in an average. The first of
equal maxima takes the gradient; NaN wins.
"""

from __future__ import annotations

from .. import kernels
from ..tensor import Op
from .common import check_data_format, with_sizes


class Pool(Op):
    kernels = True

    @staticmethod
    def shape(x, *, pool_size, strides=None, padding="valid"):
        strides = pool_size if strides is None else strides
        return (*with_sizes(x, lambda sizes: kernels.Window.of(sizes, pool_size, strides, padding).output), x[-1])


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


class GlobalPool(Op):
    kernels = True

    @staticmethod
    def shape(x):
        return x[0], x[-1]


class GlobalMaxPool(GlobalPool):
    def forward(self, x):
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


def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """inputs (N, *spatial, C) -> (N, *output, C): the greatest cell of each window.

    `pool_size` and `strides` (default: pool_size): an int or one an axis. `padding` as in `conv`.
    """
    check_data_format(data_format)
    return MaxPool.apply(inputs, pool_size=pool_size, strides=strides, padding=padding)


def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """inputs (N, *spatial, C) -> (N, *output, C): the mean of each window's real cells; arguments as `max_pool`."""
    check_data_format(data_format)
    return AveragePool.apply(inputs, pool_size=pool_size, strides=strides, padding=padding)


def global_max_pool(inputs):
    """inputs (N, *spatial, C) -> (N, C): the greatest cell of each channel."""
    return GlobalMaxPool.apply(inputs)


def global_average_pool(inputs):
    """inputs (N, *spatial, C) -> (N, C): the mean of each channel."""
    return GlobalAveragePool.apply(inputs)
