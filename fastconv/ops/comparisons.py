"""Comparisons, tests and logic of elements, bits of integers, and `where`, which chooses by them.

Contract: results are boolean (of the bit functions: integer) and have no gradient; `where` passes its own on to what it
chose. Both sides may be of any dtypes; a Python number takes the array's, so that 0.1 equals a float32 0.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor, promoted
from .common import unbroadcast

__all__ = [
    "allclose", "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "equal", "greater", "greater_equal", "isclose", "isfinite", "isin", "isinf", "isnan", "isneginf",
    "isposinf", "isreal", "left_shift", "less", "less_equal", "logical_and", "logical_not", "logical_or", "logical_xor",
    "not_equal", "right_shift", "select", "signbit", "where",
]  # fmt: skip

_BOOL = np.dtype("bool")
TESTS = {
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor",
    "logical_not", "isnan", "isinf", "isfinite", "isposinf", "isneginf", "isreal", "signbit", "isclose",
}  # fmt: skip
BITS = {"bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "invert"}


class Comparison(Op):
    """NumPy's function `function`, of one array or two, whose result is boolean."""

    integers = (0, 1)
    flat = True

    @staticmethod
    def dtype(given, /, **attributes):
        return _BOOL

    @staticmethod
    def shape(*shapes, function, **attributes):
        return kernels.broadcast_shape(*shapes) if len(shapes) == 2 else shapes[0]

    def forward(self, *arrays, function, **attributes):
        if function not in TESTS:
            raise ValueError(f"There is no test {function!r}.")
        _check_numbers(function, arrays)
        with np.errstate(invalid="ignore"):
            return getattr(np, function)(*arrays, **attributes)


def _check_numbers(name, arrays):
    """NumPy would compare text, dates and records too, or fail in words of its own."""
    for array in arrays:
        if array is None or array.dtype.kind not in "biuf":
            raise TypeError(f"{name} compares numbers and booleans; got {None if array is None else array.dtype}.")


class IsIn(Comparison):
    @staticmethod
    def shape(x, values, *, invert):
        return x

    def forward(self, x, values, *, invert):
        _check_numbers("isin", (x, values))
        return np.isin(x, values, invert=invert)


class Bits(Op):
    """NumPy's function `function` of integers or booleans."""

    @staticmethod
    def shape(*shapes, function):
        return kernels.broadcast_shape(*shapes) if len(shapes) == 2 else shapes[0]

    def forward(self, *arrays, function):
        raise TypeError(
            f"{function} works on integers and booleans; got {arrays[0].dtype}. Cast it: ops.cast(x, 'int32')."
        )

    def exact(self, *arrays, function):
        if function not in BITS:
            raise ValueError(f"There is no function {function!r} of bits.")
        return getattr(np, function)(*arrays)


class Where(Op):
    integers = (0,)

    @staticmethod
    def shape(condition, a, b):
        return kernels.broadcast_shape(condition, kernels.broadcast_shape(a, b))

    def forward(self, condition, a, b):
        self.condition, self.shapes = condition, (a.shape, b.shape)
        return _chosen(condition, a, b)

    def exact(self, condition, a, b):
        return np.where(condition, a, b)

    def backward(self, dy):
        zero = np.zeros((), dy.dtype)
        da = unbroadcast(_chosen(self.condition, dy, zero), self.shapes[0]) if self.needs[1] else None
        db = unbroadcast(_chosen(self.condition, zero, dy), self.shapes[1]) if self.needs[2] else None
        return None, da, db


def _chosen(condition, a, b):
    """np.where of floats; of many by their bits, since a CPU guesses wrong what random conditions are."""
    if condition.size < 1 << 12:
        return np.where(condition, a, b)
    bits = np.dtype(f"i{a.itemsize}")
    a, b, mask = a.view(bits), b.view(bits), condition.astype(bool, copy=False).astype(bits)
    np.negative(mask, out=mask)
    y = np.bitwise_and(mask, a ^ b)
    y ^= b
    return y.view(f"f{bits.itemsize}")


def _test(x, function, **attributes):
    return Comparison.apply(convert_to_tensor(x), function=function, **attributes)


def _compare(x1, x2, function, **attributes):
    return Comparison.apply(*promoted(x1, x2), function=function, **attributes)


def equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether x1 is x2, element by element; NaN is nothing's equal."""
    return _compare(x1, x2, "equal")


def not_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether x1 is not x2, element by element."""
    return _compare(x1, x2, "not_equal")


def less(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 < x2."""
    return _compare(x1, x2, "less")


def less_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 <= x2."""
    return _compare(x1, x2, "less_equal")


def greater(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 > x2."""
    return _compare(x1, x2, "greater")


def greater_equal(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 >= x2."""
    return _compare(x1, x2, "greater_equal")


def logical_and(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether both are true, that is not 0."""
    return _compare(x1, x2, "logical_and")


def logical_or(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether one or both are true, that is not 0."""
    return _compare(x1, x2, "logical_or")


def logical_xor(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Whether just one is true, that is not 0."""
    return _compare(x1, x2, "logical_xor")


def logical_not(x: TensorLike) -> Tensor:
    """Whether x is 0 or False."""
    return _test(x, "logical_not")


def isnan(x: TensorLike) -> Tensor:
    """Whether x is NaN."""
    return _test(x, "isnan")


def isinf(x: TensorLike) -> Tensor:
    """Whether x is infinite."""
    return _test(x, "isinf")


def isposinf(x: TensorLike) -> Tensor:
    """Whether x is +inf."""
    return _test(x, "isposinf")


def isneginf(x: TensorLike) -> Tensor:
    """Whether x is -inf."""
    return _test(x, "isneginf")


def isfinite(x: TensorLike) -> Tensor:
    """Whether x is neither infinite nor NaN."""
    return _test(x, "isfinite")


def isreal(x: TensorLike) -> Tensor:
    """True: fastconv has real numbers only."""
    return _test(x, "isreal")


def signbit(x: TensorLike) -> Tensor:
    """Whether x has the sign minus; -0.0 has it too."""
    return _test(x, "signbit")


def isclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether |x1 - x2| <= atol + rtol * |x2|."""
    return _compare(x1, x2, "isclose", rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(x1: TensorLike, x2: TensorLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Whether `isclose` holds for all elements: a boolean Tensor of shape ()."""
    from .reductions import all

    return all(isclose(x1, x2, rtol, atol, equal_nan))


def isin(x1: TensorLike, x2: TensorLike, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element of x1 is (with `invert`: is not) among those of x2; `assume_unique` is taken, needless."""
    return IsIn.apply(*promoted(x1, x2), invert=bool(invert))


def bitwise_and(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits that both have."""
    return Bits.apply(*promoted(x, y), function="bitwise_and")


def bitwise_or(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits that one or both have."""
    return Bits.apply(*promoted(x, y), function="bitwise_or")


def bitwise_xor(x: TensorLike, y: TensorLike) -> Tensor:
    """The bits that just one has."""
    return Bits.apply(*promoted(x, y), function="bitwise_xor")


def bitwise_left_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """x with its bits moved up by y places."""
    return Bits.apply(*promoted(x, y, numbers=True), function="left_shift")


def bitwise_right_shift(x: TensorLike, y: TensorLike) -> Tensor:
    """x with its bits moved down by y places."""
    return Bits.apply(*promoted(x, y, numbers=True), function="right_shift")


def bitwise_invert(x: TensorLike) -> Tensor:
    """x with every bit turned; of booleans, the other one."""
    return Bits.apply(convert_to_tensor(x), function="invert")


left_shift, right_shift, bitwise_not = bitwise_left_shift, bitwise_right_shift, bitwise_invert


def where(condition: TensorLike, x1: TensorLike | None = None, x2: TensorLike | None = None) -> Any:
    """x1 where `condition` is true (not 0), else x2, all broadcast; without x1 and x2, `nonzero(condition)`."""
    if (x1 is None) != (x2 is None):
        raise ValueError("where: give both x1 and x2, or neither.")
    if x1 is None:
        from .sorting import nonzero

        return nonzero(condition)
    return Where.apply(convert_to_tensor(condition), *promoted(x1, x2))


def select(condlist: Sequence[TensorLike], choicelist: Sequence[TensorLike], default: TensorLike = 0) -> Tensor:
    """For each element that choice whose condition is the first to be true, `default` where none is."""
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(
            f"select: condlist and choicelist must be as long, and not empty; got {len(condlist)} and {len(choicelist)}."
        )
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        result = where(condition, choice, result)
    return result
