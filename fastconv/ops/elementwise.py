"""Arithmetic and functions of one element, with NumPy's broadcasting.

Not here: activations (activations.py) and anything that moves or sums elements.
Contract: a gradient has the shape of its input, summed over the copies that broadcasting made; only arrays that the
needed gradients use are saved.
"""

from __future__ import annotations

import numpy as np

from ..tensor import Op
from .common import elementwise, unbroadcast


class Add(Op):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return elementwise(np.add, a, b)

    def backward(self, dy):
        return tuple(unbroadcast(dy, shape) if need else None for shape, need in zip(self.shapes, self.needs))


class Subtract(Op):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        return elementwise(np.subtract, a, b)

    def backward(self, dy):
        da = unbroadcast(dy, self.shapes[0]) if self.needs[0] else None
        db = elementwise(np.negative, unbroadcast(dy, self.shapes[1])) if self.needs[1] else None
        return da, db


class Multiply(Op):
    def forward(self, a, b):
        self.shapes = a.shape, b.shape
        self.a = a if self.needs[1] else None
        self.b = b if self.needs[0] else None
        return elementwise(np.multiply, a, b)

    def backward(self, dy):
        da = unbroadcast(elementwise(np.multiply, dy, self.b), self.shapes[0]) if self.needs[0] else None
        db = unbroadcast(elementwise(np.multiply, dy, self.a), self.shapes[1]) if self.needs[1] else None
        return da, db


class Divide(Op):
    def forward(self, a, b):
        self.shape = a.shape
        self.b = b
        self.y = elementwise(np.divide, a, b)
        return self.y

    def backward(self, dy):
        share = elementwise(np.divide, dy, self.b)
        da = unbroadcast(share, self.shape) if self.needs[0] else None
        db = unbroadcast(-share * self.y, self.b.shape) if self.needs[1] else None
        return da, db


class Power(Op):
    def forward(self, a, b):
        self.a, self.b = a, b
        self.y = elementwise(np.power, a, b)
        return self.y

    def backward(self, dy):
        a, b = self.a, self.b
        da = db = None
        if self.needs[0]:
            exponents = np.where(b == 0, b, b - np.ones_like(b))  # x ** 0 is flat, also at 0
            da = unbroadcast(dy * (b * np.power(a, exponents)), a.shape)
        if self.needs[1]:
            flat = (a == 0) & (b >= 0)
            logs = np.log(np.where(flat, np.ones_like(a), a))
            db = unbroadcast(dy * (self.y * logs), b.shape)
        return da, db


class Maximum(Op):
    function = np.maximum

    def forward(self, a, b):
        self.a, self.b = a, b
        return elementwise(type(self).function, a, b)

    def backward(self, dy):
        a, b, zero, half = self.a, self.b, np.zeros_like(dy), np.divide(dy, 2, dtype=dy.dtype)
        a_won = (a == type(self).function(a, b)) | np.isnan(a)  # a NaN made the result: it takes the gradient
        da = np.where(a == b, half, np.where(a_won, dy, zero))
        db = np.where(a == b, half, np.where(a_won, zero, dy))
        return unbroadcast(da, a.shape), unbroadcast(db, b.shape)


class Minimum(Maximum):
    function = np.minimum


class Negative(Op):
    def forward(self, x):
        return elementwise(np.negative, x)

    def backward(self, dy):
        return elementwise(np.negative, dy)


class Abs(Op):
    def forward(self, x):
        self.x = x
        return elementwise(np.abs, x)

    def backward(self, dy):
        return elementwise(np.multiply, dy, np.sign(self.x))


class Square(Op):
    def forward(self, x):
        self.x = x
        return elementwise(np.multiply, x, x)

    def backward(self, dy):
        dx = elementwise(np.multiply, dy, self.x)
        return elementwise(np.add, dx, dx)


class Sqrt(Op):
    def forward(self, x):
        self.y = elementwise(np.sqrt, x)
        return self.y

    def backward(self, dy):
        return elementwise(np.divide, dy, self.y + self.y)


class Exp(Op):
    def forward(self, x):
        self.y = elementwise(np.exp, x)
        return self.y

    def backward(self, dy):
        return elementwise(np.multiply, dy, self.y)


class Log(Op):
    def forward(self, x):
        self.x = x
        return elementwise(np.log, x)

    def backward(self, dy):
        return elementwise(np.divide, dy, self.x)


class Clip(Op):
    def forward(self, x, *, low, high):
        self.x, self.low, self.high = x, low, high
        return np.clip(x, low, high).astype(x.dtype, copy=False)

    def backward(self, dy):
        return np.where((self.x < self.low) | (self.x > self.high), np.zeros_like(dy), dy)


def add(x1, x2):
    """x1 + x2."""
    return Add.apply(x1, x2)


def subtract(x1, x2):
    """x1 - x2."""
    return Subtract.apply(x1, x2)


def multiply(x1, x2):
    """x1 * x2."""
    return Multiply.apply(x1, x2)


def divide(x1, x2):
    """x1 / x2."""
    return Divide.apply(x1, x2)


def power(x1, x2):
    """x1 to the power x2."""
    return Power.apply(x1, x2)


def maximum(x1, x2):
    """The greater of each pair; NaN wins, and equal values share the gradient."""
    return Maximum.apply(x1, x2)


def minimum(x1, x2):
    """The smaller of each pair; NaN wins, and equal values share the gradient."""
    return Minimum.apply(x1, x2)


def negative(x):
    """-x."""
    return Negative.apply(x)


def abs(x):
    """|x|; its gradient at 0 is 0."""
    return Abs.apply(x)


def square(x):
    """x * x."""
    return Square.apply(x)


def sqrt(x):
    """The square root; NaN below 0."""
    return Sqrt.apply(x)


def exp(x):
    """e to the power x."""
    return Exp.apply(x)


def log(x):
    """The natural logarithm; -inf at 0, NaN below."""
    return Log.apply(x)


def clip(x, x_min, x_max):
    """x limited to the numbers x_min <= x <= x_max; no gradient flows where it was cut. NaN stays NaN."""
    low, high = float(x_min), float(x_max)
    if not low <= high:
        raise ValueError(f"x_min must not be greater than x_max; got {x_min} and {x_max}.")
    return Clip.apply(x, low=low, high=high)
