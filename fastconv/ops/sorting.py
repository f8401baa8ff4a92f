"""Order: sorting, the greatest k, quantiles, places in a sorted row, counts; and what only values can tell.

Contract: sorts are stable, NaN comes last. Numbers of elements are int32, as in Keras, and have no gradient; values pass
theirs on to the elements that they are. `nonzero`, `unique`, `bincount` and `histogram` give as many results as there
are different values: while a program is drawn they raise NoValues, since that depends on data.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from ..tensor import FLOAT32, Op, Tensor, TensorLike, wrap
from . import reductions
from .casting import convert_to_tensor, floating, indexing
from .common import Axes, normalize_axes, normalize_axis, reduced_shape
from .comparisons import bitwise_invert, greater, isfinite, less, logical_and
from .elementwise import negative
from .indexing import get_item, take_along_axis
from .shaping import expand_dims, reshape

__all__ = [
    "argpartition", "argsort", "bincount", "digitize", "histogram", "in_top_k", "median", "nanmedian", "nanpercentile",
    "nanquantile", "nonzero", "percentile", "quantile", "searchsorted", "sort", "top_k", "unique",
]  # fmt: skip

_INT32 = np.dtype("int32")


class Order(Op):
    """The numbers of elements in an order: `function` is "argsort" or "argpartition" at `kth`."""

    integers = (0,)
    flat = True

    @staticmethod
    def dtype(given, /, **attributes):
        return _INT32

    def forward(self, x, *, axis, kth=None):
        if kth is None:
            return np.argsort(x, axis=axis, kind="stable").astype(_INT32)
        return np.argpartition(x, kth, axis=axis).astype(_INT32)


class Sort(Op):
    def forward(self, x, *, axis):
        self.axis, self.ranks = axis, np.argsort(x, axis=axis, kind="stable")
        return np.take_along_axis(x, self.ranks, axis)

    def exact(self, x, *, axis):
        return np.sort(x, axis=axis, kind="stable")

    def backward(self, dy):
        dx = np.empty_like(dy)
        np.put_along_axis(dx, self.ranks, dy, self.axis)
        return dx


class Quantile(Op):
    """Of the elements along `axes`, in order, those at the shares `q` of the way, or between two of them."""

    @staticmethod
    def shape(x, *, q, axis, keepdims, method, skip):
        return (*np.shape(q), *reduced_shape(x, axis, keepdims))

    def forward(self, x, *, q, axis, keepdims, method, skip):
        self.axes, self.input, self.kept = normalize_axes(axis, x.ndim), x.shape, reduced_shape(x.shape, axis, False)
        rows = np.moveaxis(x, self.axes, range(-len(self.axes), 0))
        rows = rows.reshape(*self.kept, math.prod(x.shape[a] for a in self.axes))  # -1 would not do for none
        if not rows.shape[-1]:
            raise ValueError(f"There is no quantile of no elements: shape {x.shape}, axis {axis}.")
        self.ranks = np.argsort(rows, axis=-1, kind="stable")
        sorted_rows, holes = np.take_along_axis(rows, self.ranks, -1), np.isnan(rows).sum(-1)
        counts = np.maximum(rows.shape[-1] - holes, 1) if skip else np.full(self.kept, rows.shape[-1])
        results, self.parts = [], []
        for share in np.ravel(q):
            low, high, part = _between(np.asarray(share * (counts - 1)), method)
            part = part.astype(x.dtype)
            one, other = (np.take_along_axis(sorted_rows, place[..., None], -1)[..., 0] for place in (low, high))
            y = np.where(part < 1, (1 - part) * one, 0) + np.where(part > 0, part * other, 0)  # 0 * inf is NaN
            results.append(y if skip else np.where(holes > 0, x.dtype.type(np.nan), y))
            self.parts.append((low, high, part))
        return np.stack(results).reshape(
            self.shape(x.shape, q=q, axis=axis, keepdims=keepdims, method=method, skip=skip)
        )

    def backward(self, dy):
        rows = np.zeros((*self.kept, self.ranks.shape[-1]), dy.dtype)
        for (low, high, part), row in zip(self.parts, dy.reshape(len(self.parts), *self.kept)):
            for place, weight in ((low, 1 - part), (high, part)):
                place = np.take_along_axis(self.ranks, place[..., None], -1)
                there = np.take_along_axis(rows, place, -1)
                np.put_along_axis(rows, place, there + (weight * row)[..., None], -1)
        moved = np.moveaxis(np.empty(self.input, np.bool_), self.axes, range(-len(self.axes), 0)).shape
        dx = np.moveaxis(rows.reshape(moved), range(-len(self.axes), 0), self.axes)
        return np.ascontiguousarray(dx).reshape(self.input)  # which gave a scalar an axis


_METHODS = {
    "linear": lambda part: part,
    "lower": np.zeros_like,
    "higher": lambda part: (part > 0) * 1.0,
    "midpoint": lambda part: (part > 0) * 0.5,
    "nearest": lambda part: None,
}


def _between(places, method):
    """The two elements that `places` lie between, and the second one's part in the result."""
    low = np.floor(places).astype(np.int64)
    part = places - low
    part = np.round(places) - low if method == "nearest" else _METHODS[method](part)
    return low, np.ceil(places).astype(np.int64), part


class Search(Op):
    """For each of `values` its place in a sorted vector."""

    integers = (0, 1)
    flat = True

    @staticmethod
    def dtype(given, /, **attributes):
        return _INT32

    @staticmethod
    def shape(row, values, *, side):
        return values

    def forward(self, row, values, *, side):
        return np.asarray(np.searchsorted(row, values, side), _INT32)


def sort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """x with the elements along `axis` in rising order, NaN last; of x flat with None."""
    x, axis = _along(x, axis)
    return Sort.apply(x, axis=axis) if x.ndim else x


def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """The numbers, int32, that put the elements along `axis` in rising order; equal ones keep theirs."""
    x, axis = _along(x, axis)
    return Order.apply(x, axis=axis)


def argpartition(x: TensorLike, kth: int, axis: int | None = -1) -> Tensor:
    """The numbers of the elements along `axis` such that number `kth` is in its place, and no greater one before it."""
    x, axis = _along(x, axis)
    return Order.apply(x, axis=axis, kth=normalize_axis(kth, x.shape[axis] or kth + 1))


def _along(x, axis):
    x = convert_to_tensor(x)
    if axis is None or not x.ndim:
        x, axis = reshape(x, -1), 0
    return x, normalize_axis(axis, x.ndim)


def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """(values, numbers) of the k greatest elements along the last axis, falling; of equal ones the first counts first."""
    x, k = convert_to_tensor(x), operator.index(k)
    if not x.ndim or k < 0 or (x.shape[-1] is not None and k > x.shape[-1]):
        raise ValueError(f"k must be from 0 to the size of x's last axis; got {k} and shape {x.shape}.")
    falling = negative(x) if x.dtype.kind == "f" else bitwise_invert(x)
    numbers = get_item(Order.apply(falling, axis=x.ndim - 1), (..., slice(0, k)))
    return take_along_axis(x, numbers, -1), numbers


def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """Whether fewer than k of the (N, K) predictions of each row are greater than that of its target, a class."""
    targets, predictions = indexing(targets), convert_to_tensor(floating(predictions))
    if targets.dtype.kind not in "iu":
        raise TypeError(f"targets must hold integer class numbers; got {targets.dtype}.")
    own = take_along_axis(predictions, expand_dims(targets, -1), -1)
    above = reductions.sum(greater(predictions, own), -1)
    return logical_and(less(above, operator.index(k)), reductions.all(isfinite(own), -1))


def median(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The middle element over `axis`, or the mean of the two in the middle; NaN where there is one."""
    return quantile(x, 0.5, axis, "linear", keepdims)


def nanmedian(x: TensorLike, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """`median` of what is not NaN; NaN where all is."""
    return nanquantile(x, 0.5, axis, "linear", keepdims)


def quantile(x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False) -> Tensor:
    """The element over `axis` below which the share `q` (0 to 1; several give a new first axis) of them lies.

    Where that is between two, `method` says which: "linear" (in proportion), "lower", "higher", "midpoint", "nearest".
    """
    return _quantile(x, q, 1, axis, method, keepdims, False)


def percentile(
    x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` with q from 0 to 100."""
    return _quantile(x, q, 100, axis, method, keepdims, False)


def nanquantile(
    x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`quantile` of what is not NaN; NaN where all is."""
    return _quantile(x, q, 1, axis, method, keepdims, True)


def nanpercentile(
    x: TensorLike, q: TensorLike, axis: Axes = None, method: str = "linear", keepdims: bool = False
) -> Tensor:
    """`percentile` of what is not NaN; NaN where all is."""
    return _quantile(x, q, 100, axis, method, keepdims, True)


def _quantile(x, q, most, axis, method, keepdims, skip):
    shares = np.asarray(q, np.float64)
    if not ((shares >= 0) & (shares <= most)).all():
        raise ValueError(f"q must lie between 0 and {most}; got {q!r}.")
    if method not in _METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, _METHODS))}; got {method!r}.")
    axis = tuple(axis) if hasattr(axis, "__len__") else axis
    q = (shares / most).tolist()
    return Quantile.apply(floating(x), q=q, axis=axis, keepdims=bool(keepdims), method=method, skip=skip)


def searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """For each value the place, int32, where it would keep the rising vector `sorted_sequence` in order: before its
    equals, or with side="right" behind them."""
    row = convert_to_tensor(sorted_sequence)
    if row.ndim != 1 or side not in ("left", "right"):
        raise ValueError(f"searchsorted needs a vector and side 'left' or 'right'; got shape {row.shape} and {side!r}.")
    return Search.apply(row, convert_to_tensor(values), side=side)


def digitize(x: TensorLike, bins: TensorLike) -> Tensor:
    """For each x the number, int32, of the rising limits `bins` that are not greater."""
    bins = convert_to_tensor(bins)
    if not bins.symbolic and bins.ndim == 1 and (np.diff(bins.data) < 0).any():
        raise ValueError("bins must rise.")
    return searchsorted(bins, x, "right")


def nonzero(x: TensorLike) -> tuple[Tensor, ...]:
    """The places, int32, of the elements that are not 0: one Tensor of numbers for each axis."""
    return tuple([wrap(numbers.astype(_INT32)) for numbers in np.nonzero(convert_to_tensor(x).data)])


def unique(
    x: TensorLike, sorted: bool = True, return_index: bool = False, return_inverse: bool = False,
    return_counts: bool = False, axis: int | None = None, size: int | None = None, fill_value: float | None = None,
) -> Any:  # fmt: skip
    """The different elements, or slices along `axis`, in rising order; and, where asked for, the numbers of their first
    places, for each element the number of its value, and how often each stands there.

    `size`: so many values; those that are lacking are `fill_value`, or the smallest; a greater number is cut off.
    """
    x = convert_to_tensor(x)
    axis = None if axis is None else normalize_axis(axis, x.ndim)
    if size is not None and operator.index(size) < 0:
        raise ValueError(f"size must be at least 0; got {size!r}.")
    found = np.unique(x.data, True, True, True, axis=axis)
    values, first, inverse, counts = found[0], *[part.astype(_INT32) for part in found[1:]]
    along = 0 if axis is None else axis
    if size is not None:
        lacking = max(operator.index(size) - values.shape[along], 0)
        values, first, counts = (
            np.take(part, np.arange(min(size, part.shape[place])), place)
            for part, place in ((values, along), (first, 0), (counts, 0))
        )
        if lacking:
            filler = (
                np.take(values, [0], along)
                if fill_value is None
                else np.full_like(np.take(values, [0], along), fill_value)
            )
            values = np.concatenate([values, *[filler] * lacking], along)
            first, counts = np.pad(first, (0, lacking), "edge"), np.pad(counts, (0, lacking))
    rest = [wrap(part) for part, wanted in ((first, return_index), (inverse.reshape(x.shape if axis is None else -1), return_inverse),
                                            (counts, return_counts)) if wanted]  # fmt: skip
    return (wrap(values), *rest) if rest else wrap(values)


def bincount(x: TensorLike, weights: TensorLike | None = None, minlength: int = 0, sparse: bool = False) -> Tensor:
    """How often each number from 0 on stands in a vector of integers, or in each row of a matrix: at least `minlength`
    int32 counts, or sums of `weights`."""
    if sparse:
        raise ValueError("bincount: fastconv has dense tensors only: leave sparse out.")
    numbers = convert_to_tensor(x).data
    if numbers.dtype.kind not in "iub" or numbers.ndim not in (1, 2) or (numbers.size and numbers.min() < 0):
        raise ValueError(
            f"bincount needs one or two axes of integers that are at least 0; got {numbers.dtype}, shape {numbers.shape}."
        )
    weights = None if weights is None else convert_to_tensor(weights).data
    dtype = _INT32 if weights is None or weights.dtype.kind in "iub" else weights.dtype
    length = max(int(numbers.max()) + 1 if numbers.size else 0, operator.index(minlength))
    rows, parts = np.atleast_2d(numbers), None if weights is None else np.atleast_2d(weights)
    counts = [np.bincount(row, None if parts is None else parts[i], length) for i, row in enumerate(rows)]
    counts = np.asarray(counts, dtype).reshape(len(rows), length)
    return wrap(counts[0] if numbers.ndim == 1 else counts)


def histogram(x: TensorLike, bins: int = 10, range: tuple[float, float] | None = None) -> tuple[Tensor, Tensor]:
    """(counts as int32, the `bins` + 1 limits) of equal bins between the least and greatest x, or over `range`."""
    array = convert_to_tensor(x).data
    if operator.index(bins) < 1:
        raise ValueError(f"bins must be at least 1; got {bins}.")
    if range is not None and not (
        isinstance(range, (tuple, list, np.ndarray)) and len(range) == 2 and range[0] < range[1]
    ):
        raise ValueError(f"range must be two numbers that rise; got {range!r}.")
    counts, limits = np.histogram(array, bins, tuple(range) if range is not None else None)
    return wrap(counts.astype(_INT32)), wrap(limits.astype(array.dtype if array.dtype.kind == "f" else FLOAT32))
