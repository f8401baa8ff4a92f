"""The specification of the functions of elements and of the reductions: reference.py's part for maps.py.

Contract: as reference.py's. A row of MAPS is a function and its slope, which is written in terms of what
the kernel's gradient reads, x or y.
"""

from __future__ import annotations

import math

import numpy as np

_erf = np.vectorize(math.erf, otypes=[np.float64])
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def _sigmoid(x):
    return 0.5 + 0.5 * np.tanh(x / 2)


def _softplus(x):
    return np.logaddexp(0, x)


def _normal(x):
    return 0.5 * (1 + _erf(x / math.sqrt(2)))


def _approximate(x):
    return _sigmoid(2 * math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))


def _hard_sigmoid(x):
    return np.clip(x / 6 + 0.5, 0, 1)


def _elu(x, alpha):
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


# name: (y of x, dy/dx of x and y)
MAPS = {
    "negative": (np.negative, lambda x, y: -np.ones_like(x)),
    "abs": (np.abs, lambda x, y: np.sign(x)),
    "square": (np.square, lambda x, y: 2 * x),
    "sqrt": (np.sqrt, lambda x, y: 0.5 / y),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda x, y: -0.5 * y**3),
    "reciprocal": (lambda x: 1 / x, lambda x, y: -y * y),
    "exp": (np.exp, lambda x, y: y),
    "log": (np.log, lambda x, y: 1 / x),
    "erf": (_erf, lambda x, y: 2 / math.sqrt(math.pi) * np.exp(-x * x)),
    "clip": (np.clip, lambda x, y, low, high: np.where((x < low) | (x > high), 0.0, 1.0)),
    "sigmoid": (_sigmoid, lambda x, y: y * (1 - y)),
    "tanh": (np.tanh, lambda x, y: 1 - y * y),
    "elu": (_elu, lambda x, y, alpha: np.where(y > 0, 1.0, y + alpha)),
    "leaky_relu": (lambda x, slope: np.where(x > 0, x, slope * x), lambda x, y, slope: np.where(y > 0, 1.0, slope)),
    "clipped_relu": (
        lambda x, most: np.clip(x, 0, most),
        lambda x, y, most: np.where((y <= 0) | (y >= most), 0.0, 1.0),
    ),
    "selu": (
        lambda x: SELU_SCALE * _elu(x, SELU_ALPHA),
        lambda x, y: np.where(y > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
    ),
    "softplus": (_softplus, lambda x, y: -np.expm1(-y)),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x, y: 1 / (1 + np.abs(x)) ** 2),
    "silu": (lambda x: x * _sigmoid(x), lambda x, y: _sigmoid(x) * (1 + x * _sigmoid(-x))),
    "gelu": (
        lambda x: x * _normal(x),
        lambda x, y: _normal(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    ),
    "gelu_tanh": (
        lambda x: x * _approximate(x),
        lambda x, y: (
            _approximate(x) * (1 + x * (1 - _approximate(x)) * 2 * math.sqrt(2 / math.pi) * (1 + 3 * 0.044715 * x * x))
        ),
    ),
    "hard_sigmoid": (_hard_sigmoid, lambda x, y: np.where((y <= 0) | (y >= 1), 0.0, 1 / 6)),
    "hard_silu": (
        lambda x: x * _hard_sigmoid(x),
        lambda x, y: np.where(x <= -3, 0.0, np.where(x >= 3, 1.0, x / 3 + 0.5)),
    ),
    "mish": (
        lambda x: x * np.tanh(_softplus(x)),
        lambda x, y: np.tanh(_softplus(x)) + x * _sigmoid(x) / np.cosh(_softplus(x)) ** 2,
    ),
    "log1p": (np.log1p, lambda x, y: 1 / (1 + x)),
    "expm1": (np.expm1, lambda x, y: y + 1),
    "threshold": (
        lambda x, low, value: np.where(x <= low, value, x),
        lambda x, y, low, value: np.where(x <= low, 0.0, 1.0),
    ),
    "linear": (lambda x, scale, offset: x * scale + offset, lambda x, y, scale, offset: scale),
    "hard_shrink": (
        lambda x, most: np.where(np.abs(x) <= most, 0, x),
        lambda x, y, most: np.where(np.abs(x) <= most, 0.0, 1.0),
    ),
}


def _extremum_share(a, b, wins):
    return np.where(wins(a, b) | np.isnan(a), 1, np.where(a == b, 0.5, 0))


COMBINES = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "add_relu": lambda a, b: np.where(a + b <= 0, 0, a + b),
    "negative_product": lambda a, b: -(a * b),
    "maximum_share": lambda a, b: _extremum_share(a, b, np.greater),
    "minimum_share": lambda a, b: _extremum_share(a, b, np.less),
    "gate": lambda a, b: np.where(b == 0, 0, a * b),
    "gate_rest": lambda a, b: np.where(b == 1, 0, a * (1 - b)),
    "prelu": lambda a, b: np.where(a > 0, a, a * b),
    "prelu_slope": lambda a, b: np.where(a > 0, 1, np.where(a < 0, b, a)),
    "winner": lambda a, b: np.where((a == b) | np.isnan(a), 1, 0),
}
REDUCTIONS = {"sum": np.sum, "max": np.max, "min": np.min}


def map_forward(name, x, *parameters):
    """The function `name` of x."""
    return np.asarray(MAPS[name][0](x.astype(np.float64), *parameters)).astype(x.dtype)


def map_backward(name, dy, saved=None, *parameters):
    """dy times the function's slope where x, y or nothing (as its gradient reads) is `saved`."""
    wide = np.zeros_like(dy, np.float64) if saved is None else saved.astype(np.float64)
    return (dy * MAPS[name][1](wide, wide, *parameters)).astype(dy.dtype)


def combine(name, a, b, shape=None):
    """The function `name` of a and b, arrays or numbers, broadcast."""
    dtype = next(value.dtype for value in (a, b) if isinstance(value, np.ndarray))
    a, b = np.asarray(a, dtype), np.asarray(b, dtype)
    y = np.asarray(COMBINES[name](a, b)).astype(dtype)
    return y if shape is None else np.broadcast_to(y, shape).copy()


def add_into(total, array):
    """total += array."""
    total += array


def reduce(name, x, axes, divisor=1):
    """The sum, max or min of x over `axes`, which stay with size 1, divided by `divisor`."""
    y = REDUCTIONS[name](x.astype(np.float64), axis=tuple(axes), keepdims=True)
    return (y / divisor).astype(x.dtype)


def reduce_products(a, b, axes, divisor=1):
    """The sum of a * b over `axes`, which stay with size 1, divided by `divisor`."""
    return reduce("sum", a.astype(np.float64) * b, axes, divisor).astype(a.dtype)
