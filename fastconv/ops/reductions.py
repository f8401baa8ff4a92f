"""Sum, mean, variance, max and min over axes.

Not here: pooling (pooling.py), which reduces windows.
Contract: `axis` is None (all axes), an int or a tuple; `keepdims` leaves axes of size 1. The results are NumPy's, added
up in a fixed order; the mean of nothing is NaN, an extremum of nothing a ValueError.
"""

from __future__ import annotations

from .. import kernels
from ..tensor import Op
from .common import count, normalize_axes, reduced_shape
from .elementwise import sqrt


class Reduction(Op):
    """`reduced` gives forward's result with its axes kept."""

    kernels = True

    @staticmethod
    def shape(x, *, axis, keepdims):
        return reduced_shape(x, axis, keepdims)

    def forward(self, x, *, axis, keepdims):
        self.input, self.axes = x.shape, normalize_axes(axis, x.ndim)
        y = self.reduced(x)
        self.kept_shape = y.shape
        return y if keepdims else y.reshape([n for i, n in enumerate(x.shape) if i not in self.axes])

    def kept(self, dy):
        return dy.reshape(self.kept_shape)


class Sum(Reduction):
    def reduced(self, x):
        return kernels.reduce("sum", x, self.axes)

    def backward(self, dy):
        return kernels.combine("multiply", self.kept(dy), 1.0, shape=self.input)


class Mean(Reduction):
    def reduced(self, x):
        return kernels.reduce("sum", x, self.axes, count(x.shape, self.axes))

    def backward(self, dy):
        share = kernels.combine("divide", self.kept(dy), float(count(self.input, self.axes)))
        return kernels.combine("multiply", share, 1.0, shape=self.input)


class Var(Reduction):
    def reduced(self, x):
        number = count(x.shape, self.axes)
        self.centered = kernels.combine("subtract", x, kernels.reduce("sum", x, self.axes, number))
        return kernels.reduce_products(self.centered, self.centered, self.axes, number)

    def backward(self, dy):
        slope = kernels.combine("multiply", self.kept(dy), 2 / (count(self.input, self.axes) or 1))
        return kernels.combine("multiply", self.centered, slope)


class Max(Reduction):
    function = "max"

    @staticmethod
    def shape(x, *, axis, keepdims):
        shape = reduced_shape(x, axis, keepdims)
        if 0 in x and 0 not in shape:
            raise ValueError(f"There is no largest or smallest of no elements: shape {x}, axis {axis}.")
        return shape

    def reduced(self, x):
        self.x, self.y = x, kernels.reduce(self.function, x, self.axes)
        return self.y

    def backward(self, dy):
        won = kernels.combine("winner", self.x, self.y)
        share = kernels.combine("divide", self.kept(dy), kernels.reduce("sum", won, self.axes))
        return kernels.combine("gate", share, won)


class Min(Max):
    function = "min"


def sum(x, axis=None, keepdims=False):
    """The sum over `axis`."""
    return Sum.apply(x, axis=axis, keepdims=keepdims)


def mean(x, axis=None, keepdims=False):
    """The mean over `axis`."""
    return Mean.apply(x, axis=axis, keepdims=keepdims)


def var(x, axis=None, keepdims=False):
    """The variance over `axis`: the mean of the squared distance from the mean."""
    return Var.apply(x, axis=axis, keepdims=keepdims)


def std(x, axis=None, keepdims=False):
    """The square root of the variance over `axis`."""
    return sqrt(var(x, axis, keepdims))


def max(x, axis=None, keepdims=False):
    """The greatest element over `axis`; NaN wins, and equal elements share the gradient."""
    return Max.apply(x, axis=axis, keepdims=keepdims)


def min(x, axis=None, keepdims=False):
    """The smallest element over `axis`; NaN wins, and equal elements share the gradient."""
    return Min.apply(x, axis=axis, keepdims=keepdims)
