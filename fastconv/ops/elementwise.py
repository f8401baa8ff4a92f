"""Arithmetic and functions of one element, with NumPy's broadcasting.

Not here: the functions themselves (kernels), activations (activations.py) and anything that moves or sums elements.
Contract: a gradient has the shape of its input, summed over the copies that broadcasting made; only arrays that the
needed gradients use are saved. A Python number is an attribute: what is recorded holds its value.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..tensor import Op
from .common import elementwise, unbroadcast


class Map(Op):
    """The function `function` of the kernels' table; a subclass names it, and its parameters are the attributes."""

    kernels = True
    function: str

    def __init_subclass__(cls):
        cls.reads = kernels.MAPS[cls.function][1]

    def forward(self, x, **parameters):
        self.parameters = tuple(parameters.values())
        y = kernels.map_forward(self.function, x, *self.parameters)
        self.saved = y if self.reads == "output" else x if self.reads else None
        return y

    def backward(self, dy):
        return kernels.map_backward(self.function, dy, self.saved, *self.parameters)


class Binary(Op):
    """The function `function` of two operands, one of which may be missing: then it is `number`."""

    kernels = True
    function: str

    @staticmethod
    def shape(a, b, *, number=None):
        return a if b is None else b if a is None else kernels.broadcast_shape(a, b)

    def forward(self, a, b, *, number=None):
        self.shapes = None if a is None else a.shape, None if b is None else b.shape
        a, b = number if a is None else a, number if b is None else b
        y = kernels.combine(self.function, a, b)
        self.save(a, b, y)
        return y

    def save(self, a, b, y):
        """Keeps what backward reads."""


class Add(Binary):
    function = "add"

    def backward(self, dy):
        da = unbroadcast(dy, self.shapes[0]) if self.needs[0] else None
        db = unbroadcast(dy, self.shapes[1]) if self.needs[1] else None
        return da, db


class Subtract(Binary):
    function = "subtract"

    def backward(self, dy):
        da = unbroadcast(dy, self.shapes[0]) if self.needs[0] else None
        db = unbroadcast(dy, self.shapes[1], sign=-1) if self.needs[1] else None
        return da, db


class Multiply(Binary):
    function = "multiply"

    def save(self, a, b, y):
        self.a = a if self.needs[1] else None
        self.b = b if self.needs[0] else None

    def backward(self, dy):
        da = unbroadcast(dy, self.shapes[0], self.b) if self.needs[0] else None
        db = unbroadcast(dy, self.shapes[1], self.a) if self.needs[1] else None
        return da, db


class Divide(Binary):
    function = "divide"

    def save(self, a, b, y):
        self.b = b
        self.y = y if self.needs[1] else None

    def backward(self, dy):
        share = kernels.combine("divide", dy, self.b)
        da = unbroadcast(share, self.shapes[0]) if self.needs[0] else None
        db = unbroadcast(share, self.shapes[1], self.y, sign=-1) if self.needs[1] else None
        return da, db


class Maximum(Binary):
    function = "maximum"

    def save(self, a, b, y):
        self.a, self.b = a, b

    def backward(self, dy):
        share = kernels.combine(f"{self.function}_share", self.a, self.b)
        da = unbroadcast(kernels.combine("gate", dy, share), self.shapes[0]) if self.needs[0] else None
        db = unbroadcast(kernels.combine("gate_rest", dy, share), self.shapes[1]) if self.needs[1] else None
        return da, db


class Minimum(Maximum):
    function = "minimum"


class Power(Op):
    @staticmethod
    def shape(a, b):
        return kernels.broadcast_shape(a, b)

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


class Negative(Map):
    function = "negative"


class Abs(Map):
    function = "abs"


class Square(Map):
    function = "square"


class Sqrt(Map):
    function = "sqrt"


class Rsqrt(Map):
    function = "rsqrt"


class Reciprocal(Map):
    function = "reciprocal"


class Exp(Map):
    function = "exp"


class Log(Map):
    function = "log"


class Erf(Map):
    function = "erf"


class Clip(Map):
    function = "clip"


def _binary(op, x1, x2):
    if isinstance(x2, (int, float)) and not isinstance(x1, (int, float)):
        return op.apply(x1, None, number=float(x2))
    if isinstance(x1, (int, float)) and not isinstance(x2, (int, float)):
        return op.apply(None, x2, number=float(x1))
    return op.apply(x1, x2)


def add(x1, x2):
    """x1 + x2."""
    return _binary(Add, x1, x2)


def subtract(x1, x2):
    """x1 - x2."""
    return _binary(Subtract, x1, x2)


def multiply(x1, x2):
    """x1 * x2."""
    return _binary(Multiply, x1, x2)


def divide(x1, x2):
    """x1 / x2."""
    return _binary(Divide, x1, x2)


def power(x1, x2):
    """x1 to the power x2."""
    if isinstance(x2, (int, float)) and x2 == 2:
        return Square.apply(x1)
    return Power.apply(x1, x2)


def maximum(x1, x2):
    """The greater of each pair; NaN wins, and equal values share the gradient."""
    return _binary(Maximum, x1, x2)


def minimum(x1, x2):
    """The smaller of each pair; NaN wins, and equal values share the gradient."""
    return _binary(Minimum, x1, x2)


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


def rsqrt(x):
    """1 / sqrt(x)."""
    return Rsqrt.apply(x)


def reciprocal(x):
    """1 / x."""
    return Reciprocal.apply(x)


def exp(x):
    """e to the power x."""
    return Exp.apply(x)


def log(x):
    """The natural logarithm; -inf at 0, NaN below."""
    return Log.apply(x)


def erf(x):
    """The error function."""
    return Erf.apply(x)


def clip(x, x_min, x_max):
    """x limited to the numbers x_min <= x <= x_max; no gradient flows where it was cut. NaN stays NaN."""
    low, high = float(x_min), float(x_max)
    if not low <= high:
        raise ValueError(f"x_min must not be greater than x_max; got {x_min} and {x_max}.")
    return Clip.apply(x, low=low, high=high)
