"""Activation functions that few networks use: cut off at a threshold, gated, sparse, or of a shape of their own.

Not here: the common ones (activations.py). Contract: as there, NaN stays NaN and nothing overflows on the way.
"""

from __future__ import annotations

import operator

import numpy as np

from ..tensor import Op, Tensor, TensorLike
from .activations import elu, relu, sigmoid
from .casting import convert_to_tensor, floating
from .common import normalize_axis
from .elementwise import Map, add, clip, divide, multiply, negative, sqrt, square, subtract
from .indexing import get_item

__all__ = [
    "celu",
    "glu",
    "hard_shrink",
    "soft_shrink",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "threshold",
]


class Threshold(Map):
    function = "threshold"


class HardShrink(Map):
    function = "hard_shrink"


class Sparsemax(Op):
    """The nearest point to x, along an axis, whose cells are at least 0 and sum to 1: max(x - t, 0) for one t a row."""

    @staticmethod
    def shape(x, *, axis):
        normalize_axis(axis, len(x))
        return x

    def forward(self, x, *, axis):
        self.axis, self.kept = axis, x > 0
        if not x.shape[axis]:
            return x
        rows = np.moveaxis(x, axis, -1)
        falling = np.sort(rows)[..., ::-1]
        sums, counts = np.cumsum(falling, axis=-1), np.arange(1, x.shape[axis] + 1, dtype=x.dtype)
        # t follows from how many cells stay above 0: as many as each exceed the t that they would have together.
        kept = np.maximum((counts * falling > sums - 1).sum(axis=-1, keepdims=True), 1)
        t = (np.take_along_axis(sums, kept - 1, axis=-1) - 1) / kept.astype(x.dtype)
        y = np.moveaxis(np.maximum(rows - t, np.zeros((), x.dtype)), -1, axis)
        self.kept = y > 0
        return np.ascontiguousarray(y)

    def backward(self, dy):
        zero = np.zeros((), dy.dtype)
        count = self.kept.sum(axis=self.axis, keepdims=True, dtype=dy.dtype)
        mean = np.where(self.kept, dy, zero).sum(axis=self.axis, keepdims=True) / np.maximum(count, 1)
        return np.where(self.kept, dy - mean, zero)


def threshold(x: TensorLike, threshold: float, default_value: float) -> Tensor:
    """x where it is above `threshold`, else `default_value`, through which no gradient flows."""
    return Threshold.apply(floating(x), threshold=float(threshold), value=float(default_value))


def hard_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """x where |x| is above `threshold`, else 0."""
    return HardShrink.apply(floating(x), threshold=_at_least_0("threshold", threshold))


def soft_shrink(x: TensorLike, threshold: float = 0.5) -> Tensor:
    """x moved towards 0 by `threshold`; 0 where |x| is not above it."""
    t = _at_least_0("threshold", threshold)
    x = floating(x)
    return subtract(relu(subtract(x, t)), relu(subtract(negative(x), t)))


def celu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha * (exp(x / alpha) - 1) below."""
    alpha = float(alpha)
    if not alpha > 0:
        raise ValueError(f"celu: alpha must be greater than 0, since x is divided by it; got {alpha}.")
    return multiply(elu(divide(x, alpha)), alpha)


def glu(x: TensorLike, axis: int = -1) -> Tensor:
    """The first half of x along `axis` times sigmoid(the second half)."""
    x = convert_to_tensor(floating(x))
    axis = normalize_axis(axis, x.ndim)
    size = x.shape[axis]
    if size is None or size % 2:
        raise ValueError(f"glu halves x, so its size along axis {axis} must be known and even; got shape {x.shape}.")
    before = (slice(None),) * axis
    first, second = (get_item(x, (*before, part)) for part in (slice(0, size // 2), slice(size // 2, size)))
    return multiply(first, sigmoid(second))


def sparse_plus(x: TensorLike) -> Tensor:
    """0 up to -1, (x + 1)**2 / 4 from there to 1, and then x."""
    return add(multiply(square(add(clip(x, -1, 1), 1.0)), 0.25), relu(subtract(x, 1.0)))


def sparse_sigmoid(x: TensorLike) -> Tensor:
    """(x + 1) / 2, limited to 0 <= y <= 1."""
    return clip(add(multiply(x, 0.5), 0.5), 0, 1)


def squareplus(x: TensorLike, b: float = 4) -> Tensor:
    """(x + sqrt(x**2 + b)) / 2."""
    return multiply(add(x, sqrt(add(square(x), _at_least_0("b", b)))), 0.5)


def sparsemax(x: TensorLike, axis: int = -1) -> Tensor:
    """As softmax, a distribution over `axis`, but one in which small x have exactly 0."""
    x = convert_to_tensor(floating(x))
    return Sparsemax.apply(x, axis=normalize_axis(operator.index(axis), x.ndim))


def _at_least_0(name, value):
    value = float(value)
    if not value >= 0:
        raise ValueError(f"{name} must be at least 0; got {value}.")
    return value
