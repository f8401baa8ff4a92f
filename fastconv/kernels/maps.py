"""Functions of one element, functions of two with broadcasting, and reductions: check, allocate, call.

Not here: the functions themselves; csrc/elements/maps.h is their table, and reference_maps.py says what each computes. Contract:
arrays of any shape, float32 or float64, one dtype in a call; a Python number takes the arrays' dtype and is part of the
recorded run. NaN reaches every output that depends on it. TypeError for dtypes, ValueError for names and shapes.
"""

from __future__ import annotations

import numpy as np

from . import _maps
from ._maps import COMBINES, MAPS
from .arrays import broadcast_shape, checked, empty, readable, same_shape


def map_forward(name, x, *parameters):
    """y = the function `name` of x, element by element."""
    y = _maps.simple_map(MAPS.get(name), None, x, parameters)
    if y is None:
        number, _, _ = _row(name, parameters)
        x = checked("x", x)
        y = empty(x.shape, x.dtype)
        if y.size:
            _maps.map_elements(number, None, x, y, *parameters)
    return y


def map_backward(name, dy, saved=None, *parameters):
    """dx of the function `name`, given dy and what `MAPS[name]` says: "input" x, "output" y or None."""
    dx = _maps.simple_map(MAPS.get(name), dy, saved, parameters)
    if dx is None:
        number, reads, _ = _row(name, parameters)
        dy = checked("dy", dy)
        if reads:
            saved = checked("saved", saved, like=dy)
            same_shape("dy", dy, saved.shape, f"the {reads}'s shape")
        dx = empty(dy.shape, dy.dtype)
        if dx.size:
            _maps.map_elements(number, dy, saved if reads else None, dx, *parameters)
    return dx


def combine(name, a, b, shape=None):
    """y = the function `name` of a and b, broadcast to one another, and to `shape` where that is given."""
    y = _maps.simple_combine(COMBINES.get(name), a, b, shape)
    return _combined(name, a, b, shape, None) if y is None else y


def add_into(total, array):
    """total += array, which may be broadcast to it; total is a writable, contiguous array."""
    if checked("total", total) is not total or not total.flags.writeable:
        raise ValueError("total is added to in place: it must be contiguous and writable.")
    _combined("add", total, array, total.shape, total)


def _combined(name, a, b, shape, y):
    if name not in COMBINES:
        raise ValueError(f"There is no function {name!r} of two elements; there are {', '.join(COMBINES)}.")
    number = 0.0
    if isinstance(a, (int, float)):
        a, number = None, float(a)
        b = like = checked("b", b)
    else:
        a = like = checked("a", a)
        if isinstance(b, (int, float)):
            b, number = None, float(b)
        else:
            b = checked("b", b, like=a)
    if shape is None:
        if a is None or b is None or a.shape == b.shape:
            shape = like.shape
        else:
            shape = broadcast_shape(a.shape, b.shape)
    else:
        for array in (a, b):
            if array is not None and array.shape != shape and broadcast_shape(array.shape, shape) != tuple(shape):
                raise ValueError(f"An array of shape {array.shape} cannot be broadcast to {tuple(shape)}.")
    if y is None:
        y = empty(shape, like.dtype)
    if y.size and not _maps.combine(COMBINES[name], a, b, y, number):
        a, b = (None if x is None else readable(np.broadcast_to(x, shape)) for x in (a, b))
        _maps.combine(COMBINES[name], a, b, y, number)
    return y


REDUCTIONS = {"sum": _maps.SUM, "max": _maps.MAX, "min": _maps.MIN}


def reduce(name, x, axes, divisor=1):
    """The "sum", "max" or "min" of x over `axes`, which stay with size 1, divided by `divisor`; in a fixed order.

    `axes`: different numbers from 0 to x.ndim - 1. A sum of nothing is 0, and NaN with divisor 0 (the mean of nothing);
    an extremum of nothing is a ValueError.
    """
    if name not in REDUCTIONS:
        raise ValueError(f"There is no reduction {name!r}; there are {', '.join(REDUCTIONS)}.")
    kind = REDUCTIONS[name]
    y = _maps.reduce(kind, x, None, axes, divisor)
    return _reduced(kind, checked("x", x), None, axes, divisor) if y is None else y


def reduce_products(a, b, axes, divisor=1):
    """As `reduce`: the sum of a * b, arrays of one shape, in one pass."""
    a = checked("a", a)
    b = checked("b", b, like=a)
    same_shape("b", b, a.shape, "a's shape")
    return _reduced(_maps.PRODUCTS, a, b, axes, divisor)


def _reduced(kind, x, b, axes, divisor):
    if x.size:
        return _maps.reduce(kind, x, b, axes, divisor)
    y = empty(tuple([1 if axis in axes else size for axis, size in enumerate(x.shape)]), x.dtype)
    if y.size and kind in (_maps.MAX, _maps.MIN):
        raise ValueError(f"There is no largest or smallest of no elements: shape {x.shape}, axes {axes}.")
    y.fill(0 if divisor else np.nan)
    return y


def numbered(name, *parameters):
    """The function's number and its parameters, of which there are two then."""
    return (_row(name, parameters)[0], *parameters, 0.0, 0.0)[:3]


def _row(name, parameters):
    row = MAPS.get(name)
    if row is None:
        raise ValueError(f"There is no function {name!r} of one element; there are {', '.join(MAPS)}.")
    if len(parameters) != row[2]:
        raise ValueError(f"The function {name!r} takes {row[2]} parameters; got {len(parameters)}.")
    return row
