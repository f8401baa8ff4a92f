"""Arithmetic and functions of one element, with NumPy's broadcasting.

Not here: the functions themselves (kernels), activations (activations.py) and anything that moves or sums elements.
Contract: a gradient has the shape of its input, summed over the copies that broadcasting made; only arrays that the
needed gradients use are saved. A Python number is an attribute: what is recorded holds its value.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..tensor import FLOAT32, DTypeLike, Op, Tensor, TensorLike
from .casting import cast, check_dtype, convert_to_tensor, floating, promoted
from .common import elementwise, unbroadcast

__all__ = [
    "abs", "absolute", "add", "clip", "divide", "divide_no_nan", "erf", "exp", "expm1", "fabs", "log", "log1p",
    "maximum", "minimum", "multiply", "negative", "power", "reciprocal", "rsqrt", "saturate_cast", "sqrt", "square",
    "subtract", "true_divide",
]  # fmt: skip


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

    kernels = lone = True
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

    def exact(self, a, b, *, number=None):
        return getattr(np, self.function)(number if a is None else a, number if b is None else b)

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


class Power(Binary):
    kernels = False
    function = "power"

    def forward(self, a, b, *, number=None):
        self.shapes = None if a is None else a.shape, None if b is None else b.shape
        dtype = (a if b is None else b).dtype
        self.a = np.asarray(number, dtype) if a is None else a
        self.b = np.asarray(number, dtype) if b is None else b
        with np.errstate(all="ignore"):
            self.y = elementwise(np.power, self.a, self.b)
        return self.y

    def backward(self, dy):
        with np.errstate(all="ignore"):
            return self._slopes(dy, self.a, self.b)

    def _slopes(self, dy, a, b):
        da = db = None
        if self.needs[0]:
            exponents = np.where(b == 0, b, b - np.ones_like(b))  # x ** 0 is flat, also at 0
            da = unbroadcast(dy * (b * np.power(a, exponents)), self.shapes[0])
        if self.needs[1]:
            flat = (a == 0) & (b >= 0)
            logs = np.log(np.where(flat, np.ones_like(a), a))
            db = unbroadcast(dy * (self.y * logs), self.shapes[1])
        return da, db


class Linear(Map):
    function = "linear"


class Negative(Map):
    function = "negative"
    exact = staticmethod(np.negative)


class Abs(Map):
    function = "abs"
    exact = staticmethod(np.abs)


class Square(Map):
    function = "square"
    exact = staticmethod(np.square)


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


class Log1p(Map):
    function = "log1p"


class Expm1(Map):
    function = "expm1"


class Clip(Map):
    function = "clip"

    def exact(self, x, *, low, high):
        return np.clip(x, low, high)


def binary(op: type[Op], x1: TensorLike, x2: TensorLike, floats: bool = False, numbers: bool = False) -> Tensor:
    """`op`, a Binary, on what Keras makes of the two; a lone number stays one."""
    if x1 is None or x2 is None:
        raise TypeError(f"{op.__name__} needs two arrays or numbers; got None.")
    if isinstance(x2, (int, float)) and not isinstance(x1, (int, float)):
        x1 = x1 if _is_real(x1) else promoted(x1, x2, floats=floats, numbers=numbers)[0]
        return op.apply(x1, None, number=_number(x1, x2))
    if isinstance(x1, (int, float)) and not isinstance(x2, (int, float)):
        x2 = x2 if _is_real(x2) else promoted(x1, x2, floats=floats, numbers=numbers)[1]
        return op.apply(None, x2, number=_number(x2, x1))
    return op.apply(*promoted(x1, x2, floats=floats, numbers=numbers))


def _is_real(x):
    return isinstance(x, Tensor) and x.dtype.kind == "f"


def _number(array, value):
    """`value` as a number of the array's kind."""
    return value if getattr(array, "dtype", FLOAT32).kind != "f" else float(value)


def add(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 + x2."""
    return binary(Add, x1, x2)


def subtract(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 - x2."""
    return binary(Subtract, x1, x2)


def multiply(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 * x2."""
    return binary(Multiply, x1, x2)


def divide(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 / x2, of floats."""
    return binary(Divide, x1, x2, floats=True)


true_divide = divide


def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 / x2, and 0 where x2 is 0."""
    from .comparisons import equal, where

    x1, x2 = promoted(x1, x2, floats=True)
    zero = equal(x2, 0)
    return where(zero, 0.0, divide(x1, where(zero, 1.0, x2)))


def power(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 to the power x2."""
    if isinstance(x2, (int, float)) and x2 in (2, 3, 4) and not isinstance(x1, (int, float)):
        x1 = promoted(x1, x2)[0]
        y = Square.apply(x1)
        return y if x2 == 2 else multiply(y, x1) if x2 == 3 else Square.apply(y)
    return binary(Power, x1, x2, numbers=True)


def maximum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The greater of each pair; NaN wins, and equal values share the gradient."""
    return binary(Maximum, x1, x2)


def minimum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The smaller of each pair; NaN wins, and equal values share the gradient."""
    return binary(Minimum, x1, x2)


def negative(x: TensorLike) -> Tensor:
    """-x."""
    return Negative.apply(convert_to_tensor(x))


def abs(x: TensorLike) -> Tensor:
    """|x|; its gradient at 0 is 0."""
    return Abs.apply(convert_to_tensor(x))


absolute = abs


def fabs(x: TensorLike) -> Tensor:
    """|x| of floats."""
    return Abs.apply(floating(x))


def square(x: TensorLike) -> Tensor:
    """x * x."""
    return Square.apply(promoted(x, 1)[0])


def sqrt(x: TensorLike) -> Tensor:
    """The square root; NaN below 0."""
    return Sqrt.apply(floating(x))


def rsqrt(x: TensorLike) -> Tensor:
    """1 / sqrt(x)."""
    return Rsqrt.apply(floating(x))


def reciprocal(x: TensorLike) -> Tensor:
    """1 / x."""
    return Reciprocal.apply(floating(x))


def exp(x: TensorLike) -> Tensor:
    """e to the power x."""
    return Exp.apply(floating(x))


def log(x: TensorLike) -> Tensor:
    """The natural logarithm; -inf at 0, NaN below."""
    return Log.apply(floating(x))


def log1p(x: TensorLike) -> Tensor:
    """The natural logarithm of 1 + x, precise near 0 too."""
    return Log1p.apply(floating(x))


def expm1(x: TensorLike) -> Tensor:
    """e to the power x, less 1, precise near 0 too."""
    return Expm1.apply(floating(x))


def erf(x: TensorLike) -> Tensor:
    """The error function."""
    return Erf.apply(floating(x))


def clip(x: TensorLike, x_min: TensorLike | None, x_max: TensorLike | None) -> Tensor:
    """x limited to x_min <= x <= x_max, numbers or tensors, None for no limit; no gradient flows where a number cut it.
    NaN stays NaN."""
    if x_min is None or x_max is None:
        x = convert_to_tensor(x) if x_min is None else maximum(x, x_min)
        return x if x_max is None else minimum(x, x_max)
    if not all(isinstance(limit, (int, float, np.generic)) for limit in (x_min, x_max)):
        return minimum(maximum(x, x_min), x_max)
    if not x_min <= x_max:
        raise ValueError(f"x_min must not be greater than x_max; got {x_min} and {x_max}.")
    x = promoted(x, x_min, x_max)[0]
    return Clip.apply(x, low=_number(x, x_min), high=_number(x, x_max))


def saturate_cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """`cast`, where what lies beyond the range of the dtype, infinity too, becomes the nearest that it holds."""
    x, dtype = convert_to_tensor(x), check_dtype("dtype", dtype)
    if dtype.kind == x.dtype.kind == "f":
        limit = float(min(np.finfo(dtype).max, np.finfo(x.dtype).max))
        x = clip(x, -limit, limit)
    if dtype.kind in "iu" and x.dtype.kind != "b":
        low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
        if x.dtype.kind == "f":  # the greatest float that does not round up beyond the range
            real = x.dtype.type
            x = clip(x, float(low), float(high if real(high) <= high else np.nextafter(real(high), real(0))))
        else:
            own = np.iinfo(x.dtype)
            x = clip(x, max(low, own.min), min(high, own.max))
    return cast(x, dtype)
