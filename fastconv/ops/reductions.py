"""Sum, mean, variance, product, extrema and where they are, any and all, over axes; the same of what is not NaN.

Not here: pooling (pooling.py), which reduces windows; quantiles (sorting.py), norms (products.py).
Contract: `axis` is None (all axes), an int or a tuple; `keepdims` leaves axes of size 1. The results are NumPy's, added
up in a fixed order; the mean of nothing is NaN, an extremum of nothing a ValueError.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..tensor import DTypeLike, Op, Tensor, TensorLike
from .casting import cast, convert_to_tensor, floating, promoted, stop_gradient
from .common import Axes, count, normalize_axes, reduced_shape
from .comparisons import isfinite, isnan, where
from .elementwise import add, divide, exp, log, maximum, minimum, multiply, sqrt, square, subtract
from .shaping import reshape, squeeze

__all__ = [
    "all", "amax", "amin", "any", "argmax", "argmin", "average", "count_nonzero", "logsumexp", "max", "mean", "min",
    "nanargmax", "nanargmin", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar", "prod", "ptp", "std",
    "sum", "var",
]  # fmt: skip


class Reduction(Op):
    """`reduced` gives forward's result with its axes kept."""

    kernels = True

    @staticmethod
    def shape(x, *, axis, keepdims):
        return reduced_shape(x, axis, keepdims)

    def forward(self, x, *, axis, keepdims):
        self.input, self.axes = x.shape, normalize_axes(axis, x.ndim)
        y = self.reduced(x)
        self.kept_shape = y.shape
        return y if keepdims else y.reshape([n for i, n in enumerate(x.shape) if i not in self.axes])

    def kept(self, dy):
        return dy.reshape(self.kept_shape)


def _wide(dtype):
    """Of what dtype a sum of integers is, as in Keras: at least 32 bits."""
    return np.result_type(dtype, "uint32" if dtype.kind == "u" else "int32")


class Sum(Reduction):
    @staticmethod
    def dtype(given, /, **attributes):
        return given if given.kind == "f" else _wide(given)

    def exact(self, x, *, axis, keepdims):
        return np.sum(x, axis=normalize_axes(axis, x.ndim), keepdims=keepdims, dtype=_wide(x.dtype))

    def reduced(self, x):
        return kernels.reduce("sum", x, self.axes)

    def backward(self, dy):
        return kernels.combine("multiply", self.kept(dy), 1.0, shape=self.input)


class Mean(Reduction):
    def reduced(self, x):
        return kernels.reduce("sum", x, self.axes, count(x.shape, self.axes))

    def backward(self, dy):
        share = kernels.combine("divide", self.kept(dy), float(count(self.input, self.axes)))
        return kernels.combine("multiply", share, 1.0, shape=self.input)


class Var(Reduction):
    def reduced(self, x):
        number = count(x.shape, self.axes)
        self.centered = kernels.combine("subtract", x, kernels.reduce("sum", x, self.axes, number))
        return kernels.reduce_products(self.centered, self.centered, self.axes, number)

    def backward(self, dy):
        slope = kernels.combine("multiply", self.kept(dy), 2 / (count(self.input, self.axes) or 1))
        return kernels.combine("multiply", self.centered, slope)


class Max(Reduction):
    function = "max"

    @staticmethod
    def shape(x, *, axis, keepdims):
        shape = reduced_shape(x, axis, keepdims)
        if 0 in x and 0 not in shape:
            raise ValueError(f"There is no largest or smallest of no elements: shape {x}, axis {axis}.")
        return shape

    def exact(self, x, *, axis, keepdims):
        self.shape(x.shape, axis=axis, keepdims=keepdims)
        return getattr(np, self.function)(x, axis=normalize_axes(axis, x.ndim), keepdims=keepdims)

    def reduced(self, x):
        self.x, self.y = x, kernels.reduce(self.function, x, self.axes)
        return self.y

    def backward(self, dy):
        won = kernels.combine("winner", self.x, self.y)
        share = kernels.combine("divide", self.kept(dy), kernels.reduce("sum", won, self.axes))
        return kernels.combine("gate", share, won)


class Min(Max):
    function = "min"


class Prod(Reduction):
    kernels = False
    dtype = Sum.dtype

    def exact(self, x, *, axis, keepdims):
        return np.prod(x, axis=normalize_axes(axis, x.ndim), keepdims=keepdims, dtype=_wide(x.dtype))

    def reduced(self, x):
        self.x = x
        return np.prod(x, axis=self.axes, keepdims=True)

    def backward(self, dy):
        """Times the product of the others: of those before and those behind, so that zeros do no harm."""
        places = tuple(range(-len(self.axes), 0))
        rows = np.moveaxis(self.x, self.axes, places)
        moved, rows = rows.shape, rows.reshape(*rows.shape[: rows.ndim - len(places)], -1)
        ones = np.ones_like(rows[..., :1])
        before = np.cumprod(np.concatenate([ones, rows[..., :-1]], -1), -1)[..., : rows.shape[-1]]
        behind = np.cumprod(np.concatenate([ones, rows[..., :0:-1]], -1), -1)[..., ::-1][..., : rows.shape[-1]]
        others = np.moveaxis((before * behind).reshape(moved), places, self.axes)
        return self.kept(dy) * others


class Found(Op):
    """NumPy's reduction `function`, whose result is boolean or a number of elements."""

    integers = (0,)
    flat = True
    RESULTS = {"any": "bool", "all": "bool", "argmax": "int32", "argmin": "int32", "count_nonzero": "int32"}

    @classmethod
    def dtype(cls, given, /, *, function, **attributes):
        return np.dtype(cls.RESULTS[function])

    @staticmethod
    def shape(x, *, function, axis, keepdims):
        shape = reduced_shape(x, axis, keepdims)
        if function.startswith("arg") and 0 in x and 0 not in shape:
            raise ValueError(f"There is no largest or smallest of no elements: shape {x}, axis {axis}.")
        return shape

    def forward(self, x, *, function, axis, keepdims):
        self.shape(x.shape, function=function, axis=axis, keepdims=keepdims)
        axis = axis if axis is None or function.startswith("arg") else normalize_axes(axis, x.ndim)
        result = getattr(np, function)(x, axis=axis, keepdims=keepdims)
        return np.asarray(result, self.RESULTS[function])


def _found(x, function, axis, keepdims):
    return Found.apply(convert_to_tensor(x), function=function, axis=_plain(axis), keepdims=bool(keepdims))


def _plain(axis):
    """`axis` in a form that a model's file can hold."""
    return tuple(map(int, axis)) if hasattr(axis, "__len__") else axis


def any(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether some element over `axis` is true, that is not 0."""
    return _found(x, "any", axis, keepdims)


def all(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """Whether every element over `axis` is true, that is not 0."""
    return _found(x, "all", axis, keepdims)


def count_nonzero(x: TensorLike, axis: Axes = None) -> Tensor:
    """The number of elements over `axis` that are not 0, as int32."""
    return _found(x, "count_nonzero", axis, False)


def argmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The number of the greatest element along `axis`, of x flat without one, as int32; the first of several, or of NaN."""
    return _found(x, "argmax", axis, keepdims)


def argmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """The number of the smallest element along `axis`, of x flat without one, as int32; the first of several, or of NaN."""
    return _found(x, "argmin", axis, keepdims)


def sum(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum over `axis`; of booleans and narrow integers as int32, or uint32."""
    return Sum.apply(convert_to_tensor(x), axis=_plain(axis), keepdims=keepdims)


def prod(x: TensorLike, axis: Axes = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
    """The product over `axis`, computed in `dtype` where that is given."""
    x = convert_to_tensor(x)
    return Prod.apply(x if dtype is None else cast(x, dtype), axis=_plain(axis), keepdims=keepdims)


def mean(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean over `axis`."""
    return Mean.apply(floating(x), axis=_plain(axis), keepdims=keepdims)


def average(x: TensorLike, axis: Axes = None, weights: TensorLike | None = None) -> Tensor:
    """The mean over `axis`, weighted by `weights`, of x's shape or, for one axis, a vector of its size."""
    if weights is None:
        return mean(x, axis)
    x, weights = map(convert_to_tensor, promoted(x, weights, floats=True))
    if weights.ndim != x.ndim:
        axes = normalize_axes(axis, x.ndim)
        if len(axes) != 1 or weights.ndim != 1:
            raise ValueError(
                f"weights must have x's shape {x.shape}, or be a vector for one axis; got shape {weights.shape} and axis "
                f"{axis!r}."
            )
        weights = reshape(weights, [-1 if i in axes else 1 for i in range(x.ndim)])
    total = sum(multiply(weights, _ones(x)), axis)
    return divide(sum(multiply(x, weights), axis), total)


def _ones(x):
    from .creation import ones_like

    return ones_like(x)


def var(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The variance over `axis`: the mean of the squared distance from the mean."""
    return Var.apply(floating(x), axis=_plain(axis), keepdims=keepdims)


def std(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The square root of the variance over `axis`."""
    return sqrt(var(x, axis, keepdims))


def max(x: TensorLike, axis: Axes = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """The greatest element over `axis`, at least `initial`; NaN wins, and equal elements share the gradient."""
    return _extremum(Max, maximum, x, axis, keepdims, initial)


def min(x: TensorLike, axis: Axes = None, keepdims: bool = False, initial: float | None = None) -> Tensor:
    """The smallest element over `axis`, at most `initial`; NaN wins, and equal elements share the gradient."""
    return _extremum(Min, minimum, x, axis, keepdims, initial)


amax, amin = max, min


def _extremum(op, limit, x, axis, keepdims, initial):
    x = convert_to_tensor(x)
    if initial is None:
        return op.apply(x, axis=_plain(axis), keepdims=keepdims)
    if 0 in x.shape:
        shape = reduced_shape(x.shape, axis, keepdims)
        return convert_to_tensor(np.full(shape, initial, x.dtype))
    return limit(op.apply(x, axis=_plain(axis), keepdims=keepdims), initial)


def ptp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The greatest element over `axis` less the smallest."""
    return subtract(max(x, axis, keepdims), min(x, axis, keepdims))


def logsumexp(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """log(sum(exp(x))) over `axis`, without overflow on the way; -inf of nothing."""
    x = convert_to_tensor(floating(x))
    most = stop_gradient(max(x, axis, True, initial=-np.inf))
    most = where(isfinite(most), most, 0.0)
    total = log(sum(exp(subtract(x, most)), axis, True))
    result = add(total, most)
    if keepdims:
        return result
    return squeeze(result, normalize_axes(axis, x.ndim)) if x.ndim else result


def _without_nan(x, instead):
    x = convert_to_tensor(x)
    return where(isnan(x), instead, x) if x.dtype.kind == "f" else x


def _numbers(x, axis, keepdims):
    """How many elements are not NaN."""
    x = convert_to_tensor(floating(x))
    return sum(where(isnan(x), 0.0, _ones(x)), axis, keepdims)


def nansum(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`sum` of what is not NaN."""
    return sum(_without_nan(x, 0.0), axis, keepdims)


def nanprod(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`prod` of what is not NaN."""
    return prod(_without_nan(x, 1.0), axis, keepdims)


def nanmean(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`mean` of what is not NaN; NaN where all is."""
    return divide(nansum(x, axis, keepdims), _numbers(x, axis, keepdims))


def nanvar(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`var` of what is not NaN; NaN where all is."""
    x = convert_to_tensor(floating(x))
    return nanmean(square(subtract(x, nanmean(x, axis, True))), axis, keepdims)


def nanstd(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`std` of what is not NaN; NaN where all is."""
    return sqrt(nanvar(x, axis, keepdims))


def nanmax(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`max` of what is not NaN; NaN where all is."""
    return _nan_extremum(max, -np.inf, x, axis, keepdims)


def nanmin(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`min` of what is not NaN; NaN where all is."""
    return _nan_extremum(min, np.inf, x, axis, keepdims)


def _nan_extremum(extremum, instead, x, axis, keepdims):
    x = convert_to_tensor(x)
    if x.dtype.kind != "f":
        return extremum(x, axis, keepdims)
    return where(all(isnan(x), axis, keepdims), np.nan, extremum(_without_nan(x, instead), axis, keepdims))


def nanargmax(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """`argmax` of what is not NaN; -1 where all is."""
    return _nan_place(argmax, -np.inf, x, axis, keepdims)


def nanargmin(x: TensorLike, axis: int | None = None, keepdims: bool = False) -> Tensor:
    """`argmin` of what is not NaN; -1 where all is."""
    return _nan_place(argmin, np.inf, x, axis, keepdims)


def _nan_place(place, instead, x, axis, keepdims):
    found = place(_without_nan(x, instead), axis, keepdims)
    return where(all(isnan(x), axis, keepdims), -1, found)
