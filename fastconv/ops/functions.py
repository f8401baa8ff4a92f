"""Functions of one element, and of pairs of elements, that NumPy computes: trigonometry, logarithms, rounding, remainders.

Not here: arithmetic and what networks spend their time in, which run on kernels (elementwise.py, activations.py).
Contract: rows of two tables, each a function beside its slopes; a slope of None is 0 everywhere. Integers and booleans
become floats where the result is not one of them. Out of a function's domain the result is NaN, without a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor, floating, promoted
from .common import unbroadcast
from .comparisons import isnan, isneginf, isposinf, where
from .elementwise import multiply

__all__ = [
    "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cbrt", "ceil", "cos", "cosh",
    "deg2rad", "erfc", "erfinv", "exp2", "floor", "floor_divide", "fmax", "fmin", "fmod", "gcd", "heaviside",
    "hypot", "lcm", "ldexp", "log10", "log2", "logaddexp", "logaddexp2", "mod", "nan_to_num", "nextafter",
    "rad2deg", "round", "sign", "sin", "sinc", "sinh", "tan", "trunc",
]  # fmt: skip

_erfc = np.frompyfunc(math.erfc, 1, 1)


def _erfinv(x):
    """Winitzki's approximation, then Halley's steps."""
    near = np.log(np.maximum(1 - x * x, np.finfo(x.dtype).tiny))
    half = near / 2 + 2 / (math.pi * 0.147)
    y = np.sign(x) * np.sqrt(np.maximum(np.sqrt(half * half - near / 0.147) - half, 0))
    for _ in range(4):
        error = (kernels.map_forward("erf", np.asarray(y)) - x) * (math.sqrt(math.pi) / 2) * np.exp(y * y)
        y = np.where(np.isfinite(error), y - error / (1 + y * error), y)
    return np.where(np.abs(x) < 1, y, np.where(np.abs(x) == 1, x * np.inf, np.nan)).astype(x.dtype)


def _sinc_slope(x, y):
    safe = np.where(x == 0, np.ones_like(x), x)
    return np.where(x == 0, np.zeros_like(x), (np.cos(math.pi * x) - y) / safe)


# name: (y of x, dy/dx of x and y)
FUNCTIONS: dict[str, tuple[Callable, Callable | None]] = {
    "sin": (np.sin, lambda x, y: np.cos(x)),
    "cos": (np.cos, lambda x, y: -np.sin(x)),
    "tan": (np.tan, lambda x, y: 1 + y * y),
    "arcsin": (np.arcsin, lambda x, y: 1 / np.sqrt((1 - x) * (1 + x))),
    "arccos": (np.arccos, lambda x, y: -1 / np.sqrt((1 - x) * (1 + x))),
    "arctan": (np.arctan, lambda x, y: 1 / (1 + x * x)),
    "sinh": (np.sinh, lambda x, y: np.cosh(x)),
    "cosh": (np.cosh, lambda x, y: np.sinh(x)),
    "arcsinh": (np.arcsinh, lambda x, y: 1 / np.hypot(x, 1)),
    "arccosh": (np.arccosh, lambda x, y: 1 / np.sqrt((x - 1) * (x + 1))),
    "arctanh": (np.arctanh, lambda x, y: 1 / ((1 - x) * (1 + x))),
    "exp2": (np.exp2, lambda x, y: y * math.log(2)),
    "log2": (np.log2, lambda x, y: 1 / (x * math.log(2))),
    "log10": (np.log10, lambda x, y: 1 / (x * math.log(10))),
    "cbrt": (np.cbrt, lambda x, y: 1 / (3 * y * y)),
    "sinc": (np.sinc, _sinc_slope),
    "erfc": (lambda x: np.asarray(_erfc(x), x.dtype), lambda x, y: -2 / math.sqrt(math.pi) * np.exp(-x * x)),
    "erfinv": (_erfinv, lambda x, y: math.sqrt(math.pi) / 2 * np.exp(y * y)),
    "floor": (np.floor, None),
    "ceil": (np.ceil, None),
    "trunc": (np.trunc, None),
    "sign": (np.sign, None),
}

# name: (y of a and b, dy/da, dy/db of a, b and y)
PAIRS: dict[str, tuple[Callable, Callable | None, Callable | None]] = {
    "arctan2": (np.arctan2, lambda a, b, y: b / (a * a + b * b), lambda a, b, y: -a / (a * a + b * b)),
    "hypot": (np.hypot, lambda a, b, y: a / y, lambda a, b, y: b / y),
    "logaddexp": (np.logaddexp, lambda a, b, y: np.exp(a - y), lambda a, b, y: np.exp(b - y)),
    "logaddexp2": (np.logaddexp2, lambda a, b, y: np.exp2(a - y), lambda a, b, y: np.exp2(b - y)),
    "fmod": (np.fmod, lambda a, b, y: np.ones_like(y), lambda a, b, y: -np.trunc(a / b)),
    "mod": (np.mod, lambda a, b, y: np.ones_like(y), lambda a, b, y: -np.floor(a / b)),
    "fmax": (np.fmax, lambda a, b, y: (a >= b) | np.isnan(b), lambda a, b, y: ~((a >= b) | np.isnan(b))),
    "fmin": (np.fmin, lambda a, b, y: (a <= b) | np.isnan(b), lambda a, b, y: ~((a <= b) | np.isnan(b))),
    "floor_divide": (np.floor_divide, None, None),
    "heaviside": (np.heaviside, None, None),
    "nextafter": (np.nextafter, lambda a, b, y: np.ones_like(y), None),
    "gcd": (np.gcd, None, None),
    "lcm": (np.lcm, None, None),
}


class Function(Op):
    """A row of FUNCTIONS."""

    def forward(self, x, *, function):
        self.function, self.x = function, x
        with np.errstate(all="ignore"):
            self.y = np.asarray(FUNCTIONS[function][0](x))
        return self.y

    def exact(self, x, *, function):
        return x if function == "trunc" else FUNCTIONS[function][0](x)

    def backward(self, dy):
        slope = FUNCTIONS[self.function][1]
        with np.errstate(all="ignore"):
            return None if slope is None else dy * slope(self.x, self.y)


class Pair(Op):
    """A row of PAIRS."""

    @staticmethod
    def shape(a, b, *, function):
        return kernels.broadcast_shape(a, b)

    def forward(self, a, b, *, function):
        if function in ("gcd", "lcm"):
            raise TypeError(f"{function} works on integers; got {a.dtype}. Cast it: ops.cast(x, 'int32').")
        self.function, self.a, self.b = function, a, b
        with np.errstate(all="ignore"):
            self.y = np.asarray(PAIRS[function][0](a, b))
        return self.y

    def exact(self, a, b, *, function):
        with np.errstate(all="ignore"):
            return PAIRS[function][0](a, b)

    def backward(self, dy):
        slopes = PAIRS[self.function][1:]
        with np.errstate(all="ignore"):
            return tuple([
                unbroadcast(dy * slope(self.a, self.b, self.y), x.shape) if need and slope else None
                for slope, need, x in zip(slopes, self.needs, (self.a, self.b))
            ])  # fmt: skip


class Round(Op):
    def forward(self, x, *, decimals):
        return np.asarray(np.round(x, decimals))

    def exact(self, x, *, decimals):
        return np.round(x, decimals)

    def backward(self, dy):
        return None


def _function(name, text):
    """The op of a row of FUNCTIONS."""

    def function(x: TensorLike) -> Tensor:
        return Function.apply(floating(x), function=name)

    return _named(function, name, text)


def _pair(name, text, floats=False, numbers=False):
    """The op of a row of PAIRS."""

    def function(x1: TensorLike, x2: TensorLike) -> Tensor:
        if x2 is None:
            raise TypeError(f"{name} needs two arrays or numbers; got None.")
        return Pair.apply(*promoted(x1, x2, floats=floats, numbers=numbers), function=name)

    return _named(function, name, text)


def _named(function, name, text):
    function.__name__ = function.__qualname__ = name
    function.__doc__ = text
    return function


sin = _function("sin", "The sine of x, an angle in radians.")
cos = _function("cos", "The cosine of x, an angle in radians.")
tan = _function("tan", "The tangent of x, an angle in radians.")
arcsin = _function("arcsin", "The angle in [-pi/2, pi/2] whose sine is x; NaN beyond -1 and 1.")
arccos = _function("arccos", "The angle in [0, pi] whose cosine is x; NaN beyond -1 and 1.")
arctan = _function("arctan", "The angle in (-pi/2, pi/2) whose tangent is x.")
sinh = _function("sinh", "The hyperbolic sine.")
cosh = _function("cosh", "The hyperbolic cosine.")
arcsinh = _function("arcsinh", "The number whose hyperbolic sine is x.")
arccosh = _function("arccosh", "The number from 0 on whose hyperbolic cosine is x; NaN below 1.")
arctanh = _function("arctanh", "The number whose hyperbolic tangent is x; NaN beyond -1 and 1.")
exp2 = _function("exp2", "2 to the power x.")
log2 = _function("log2", "The logarithm to the base 2.")
log10 = _function("log10", "The logarithm to the base 10.")
cbrt = _function("cbrt", "The cube root, negative below 0.")
sinc = _function("sinc", "sin(pi x) / (pi x), and 1 at 0.")
erfc = _function("erfc", "1 - erf(x), precise for great x too.")
erfinv = _function("erfinv", "The number whose error function is x; NaN beyond -1 and 1.")
floor = _function("floor", "The greatest whole number up to x, as a float; its gradient is 0.")
ceil = _function("ceil", "The least whole number from x on, as a float; its gradient is 0.")

arctan2 = _pair("arctan2", "The angle of the point (x2, x1) in [-pi, pi].", floats=True)
hypot = _pair("hypot", "sqrt(x1**2 + x2**2), without overflow on the way.", floats=True)
logaddexp = _pair("logaddexp", "log(exp(x1) + exp(x2)), without overflow on the way.", floats=True)
logaddexp2 = _pair("logaddexp2", "log2(2**x1 + 2**x2), without overflow on the way.", floats=True)
heaviside = _pair("heaviside", "0 where x1 is below 0, x2 at 0, 1 above; its gradient is 0.", floats=True)
nextafter = _pair("nextafter", "The float next to x1 on the way to x2.", floats=True)
fmod = _pair("fmod", "The remainder of x1 / x2 with the sign of x1.", numbers=True)
mod = _pair("mod", "The remainder of x1 / x2 with the sign of x2.", numbers=True)
fmax = _pair("fmax", "The greater of each pair, the other one where one is NaN.")
fmin = _pair("fmin", "The smaller of each pair, the other one where one is NaN.")
floor_divide = _pair("floor_divide", "The greatest whole number up to x1 / x2; its gradient is 0.", numbers=True)
gcd = _pair("gcd", "The greatest common divisor of integers.")
lcm = _pair("lcm", "The least common multiple of integers.")


def sign(x: TensorLike) -> Tensor:
    """-1, 0 or 1 as x is; its gradient is 0."""
    return Function.apply(convert_to_tensor(x), function="sign")


def trunc(x: TensorLike) -> Tensor:
    """x without what comes after the point; its gradient is 0."""
    return Function.apply(convert_to_tensor(x), function="trunc")


def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """x rounded to so many decimals, halves to even; its gradient is 0."""
    return Round.apply(promoted(x, 1)[0], decimals=decimals)


def ldexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 times 2 to the power x2."""
    return multiply(x1, exp2(x2))


def deg2rad(x: TensorLike) -> Tensor:
    """Degrees as radians."""
    return multiply(floating(x), math.pi / 180)


def rad2deg(x: TensorLike) -> Tensor:
    """Radians as degrees."""
    return multiply(floating(x), 180 / math.pi)


def nan_to_num(x: TensorLike, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> Tensor:
    """x with `nan` for NaN, and for the infinities these numbers, or the greatest and least of its dtype."""
    x = convert_to_tensor(x)
    if x.dtype.kind != "f":
        return x
    limits = np.finfo(x.dtype)
    x = where(isnan(x), nan, x)
    x = where(isposinf(x), float(limits.max) if posinf is None else posinf, x)
    return where(isneginf(x), float(limits.min) if neginf is None else neginf, x)
