"""Sum, mean, max and min over axes.

Not here: pooling (pooling.py), which reduces windows.
Contract: `axis` is None (all axes), an int or a tuple; `keepdims` leaves axes of size 1. The results are NumPy's.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..tensor import Op
from .common import count, normalize_axes


class Sum(Op):
    @staticmethod
    def shape(x, *, axis, keepdims):
        axes = normalize_axes(axis, len(x))
        return tuple(1 if i in axes else n for i, n in enumerate(x) if keepdims or i not in axes)

    def forward(self, x, *, axis, keepdims):
        self.shape, self.axes = x.shape, normalize_axes(axis, x.ndim)
        return x.sum(axis=self.axes, keepdims=keepdims)

    def backward(self, dy):
        dx = kernels.empty(self.shape, dy.dtype)
        dx[...] = _kept(dy, self.shape, self.axes)
        return dx


class Mean(Sum):
    def forward(self, x, *, axis, keepdims):
        self.shape, self.axes = x.shape, normalize_axes(axis, x.ndim)
        number = count(self.shape, self.axes)
        if not number:
            return x.mean(axis=self.axes, keepdims=keepdims)  # NumPy's NaN and warning
        return (np.add.reduce(x, axis=self.axes, keepdims=keepdims) / np.float64(number)).astype(x.dtype, copy=False)

    def backward(self, dy):
        return super().backward(np.divide(dy, count(self.shape, self.axes) or 1, dtype=dy.dtype))


class Max(Op):
    function = np.max

    def forward(self, x, *, axis, keepdims):
        self.x, self.axes = x, normalize_axes(axis, x.ndim)
        y = type(self).function(x, axis=self.axes, keepdims=True)
        self.won = (x == y) | np.isnan(x)
        return y if keepdims else y.reshape([n for i, n in enumerate(x.shape) if i not in self.axes])

    def backward(self, dy):
        share = _kept(dy, self.x.shape, self.axes) / self.won.sum(axis=self.axes, keepdims=True, dtype=dy.dtype)
        return np.where(self.won, share, np.zeros_like(share))


class Min(Max):
    function = np.min


def _kept(dy, shape, axes):
    return dy.reshape([1 if i in axes else n for i, n in enumerate(shape)])


def sum(x, axis=None, keepdims=False):
    """The sum over `axis`."""
    return Sum.apply(x, axis=axis, keepdims=keepdims)


def mean(x, axis=None, keepdims=False):
    """The mean over `axis`."""
    return Mean.apply(x, axis=axis, keepdims=keepdims)


def max(x, axis=None, keepdims=False):
    """The greatest element over `axis`; NaN wins, and equal elements share the gradient."""
    return Max.apply(x, axis=axis, keepdims=keepdims)


def min(x, axis=None, keepdims=False):
    """The smallest element over `axis`; NaN wins, and equal elements share the gradient."""
    return Min.apply(x, axis=axis, keepdims=keepdims)
