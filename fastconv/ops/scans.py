"""Running sums and products along an axis, and differences of neighbours.

Contract: without an axis x is a vector first. `dtype` is what the sums are computed in: by default
x's, of booleans int32.
"""

from __future__ import annotations

import operator

import numpy as np

from ..tensor import DTypeLike, Op, Tensor, TensorLike
from .casting import cast, convert_to_tensor, floating
from .common import normalize_axis
from .comparisons import isnan, not_equal, where
from .elementwise import add, multiply, subtract
from .indexing import get_item
from .reductions import sum
from .shaping import reshape

__all__ = ["cumprod", "cumsum", "diff", "nancumprod", "nancumsum", "trapezoid"]


def _scanned(given, /, **attributes):
    """Of what dtype a scan is: the given one, but booleans are counted."""
    return np.dtype("int32") if given.kind == "b" else given


class Cumsum(Op):
    dtype = staticmethod(_scanned)

    def forward(self, x, *, axis):
        self.axis = axis
        with np.errstate(invalid="ignore", over="ignore"):
            return np.cumsum(x, axis=axis)

    def exact(self, x, *, axis):
        return np.cumsum(x, axis=axis, dtype=self.dtype(x.dtype))

    def backward(self, dy):
        return _from_behind(dy, self.axis)


class Cumprod(Op):
    dtype = staticmethod(_scanned)

    def forward(self, x, *, axis):
        self.x, self.axis = x, axis
        with np.errstate(invalid="ignore", over="ignore"):
            self.y = np.cumprod(x, axis=axis)
        return self.y

    def exact(self, x, *, axis):
        return np.cumprod(x, axis=axis, dtype=self.dtype(x.dtype))

    def backward(self, dy):
        if (self.x != 0).all():
            return _from_behind(dy * self.y, self.axis) / self.x
        x, dy = np.moveaxis(self.x, self.axis, 0), np.moveaxis(dy, self.axis, 0)
        dx, before = np.empty_like(x), np.ones_like(x[0])
        for place in range(len(x)):  # a product over what is behind it, without itself
            rest = x[place:].copy()
            rest[0] = before
            dx[place] = (np.cumprod(rest, axis=0) * dy[place:]).sum(axis=0)
            before = before * x[place]
        return np.moveaxis(dx, 0, self.axis)


def _from_behind(x, axis):
    return np.flip(np.cumsum(np.flip(x, axis), axis=axis), axis)


def _scan(op, x, axis, dtype):
    x = convert_to_tensor(x) if dtype is None else cast(x, dtype)
    x = reshape(x, -1) if axis is None else x
    return op.apply(x, axis=0 if axis is None else normalize_axis(axis, x.ndim))


def cumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """The sums of all elements along `axis` up to each."""
    return _scan(Cumsum, x, axis, dtype)


def cumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """The products of all elements along `axis` up to each."""
    return _scan(Cumprod, x, axis, dtype)


def nancumsum(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """`cumsum` with 0 for NaN."""
    return cumsum(where(isnan(x), 0, x), axis, dtype)


def nancumprod(x: TensorLike, axis: int | None = None, dtype: DTypeLike | None = None) -> Tensor:
    """`cumprod` with 1 for NaN."""
    return cumprod(where(isnan(x), 1, x), axis, dtype)


def diff(a: TensorLike, n: int = 1, axis: int = -1) -> Tensor:
    """Each element along `axis` less the one before it, `n` times over; booleans say where they differ."""
    a, n = convert_to_tensor(a), operator.index(n)
    if n < 0:
        raise ValueError(f"n must be at least 0; got {n}.")
    axis = normalize_axis(axis, a.ndim)
    before = (slice(None),) * axis
    less = not_equal if a.dtype.kind == "b" else subtract
    for _ in range(n):
        a = less(get_item(a, (*before, slice(1, None))), get_item(a, (*before, slice(None, -1))))
    return a


def trapezoid(y: TensorLike, x: TensorLike | None = None, dx: float = 1.0, axis: int = -1) -> Tensor:
    """The integral along `axis` of the line through y, whose points lie at `x`, or `dx` apart."""
    y = convert_to_tensor(floating(y))
    axis = normalize_axis(axis, y.ndim)
    before = (slice(None),) * axis
    middle = multiply(add(get_item(y, (*before, slice(1, None))), get_item(y, (*before, slice(None, -1)))), 0.5)
    if x is not None:
        dx = diff(cast(x, y.dtype), axis=axis if convert_to_tensor(x).ndim == y.ndim else -1)
        if dx.ndim == 1:
            dx = reshape(dx, (-1,) + (1,) * (y.ndim - 1 - axis))
    return sum(multiply(middle, dx), axis)
