"""Taps: which cells of an axis make each new one, and by what weights: the tables of `kernels.resample`.

Not here: the operation on them is Resample, below its table. Contract: a Taps never changes; equal arguments give the same
one while it is in use, so that a program drawn twice is the same.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from ... import kernels
from ...tensor import Op


class Taps:
    """Cell p of `places` is the sum of the cells first[p] + k of an axis by weights[p][k]; those past its ends are 0.

    `first` holds integers (P,), `weights` numbers (P, K), `cells` is the axis' size.
    """

    def __init__(self, first: np.ndarray, weights: np.ndarray, cells: int):
        index = first[:, None] + np.arange(weights.shape[1])
        valid = (index >= 0) & (index < cells) & (weights != 0)
        self.cells, self.places = cells, len(first)
        self._fill(np.nonzero(valid)[0], index[valid], weights[valid])
        self._tables: dict = {}

    def _fill(self, places, index, weights):
        """The smallest table that holds these entries."""
        low = np.full(self.places, self.cells)
        high = np.full(self.places, -1)
        np.minimum.at(low, places, index)
        np.maximum.at(high, places, index)
        taps = max(int((high - low).max(initial=0)) + 1, 1)
        self.start = np.clip(low, 0, self.cells - taps).astype(np.int64)
        self._weights = np.zeros((self.places, taps))
        self._weights[places, index - self.start[places]] = weights

    def weights(self, dtype: np.dtype) -> np.ndarray:
        """The weights (P, taps) in this dtype; the same array each time."""
        if dtype not in self._tables:
            self._tables[dtype] = self._weights.astype(dtype)
        return self._tables[dtype]

    @functools.cached_property
    def transposed(self) -> Taps:
        """The taps of the gradient: from places to cells."""
        places, k = np.nonzero(self._weights)
        other = Taps.__new__(Taps)
        other.cells, other.places, other._tables = self.places, self.cells, {}
        other._fill(self.start[places] + k, places, self._weights[places, k])
        return other


class Resample(Op):
    """x along one axis by Taps; `places` is the axis' new size, which is known where the old one is not."""

    kernels = True

    def forward(self, x, *, taps, axis, places):
        self.taps, self.axis = taps, axis
        return kernels.resample(x, taps.start, taps.weights(x.dtype), axis)

    def backward(self, dy):
        back = self.taps.transposed
        return kernels.resample(dy, back.start, back.weights(dy.dtype), self.axis)

    @staticmethod
    def shape(x, *, taps, axis, places):
        return (*x[:axis], places, *x[axis + 1 :])


def resample(x, axis: int, places: int | None, make, *arguments):
    """x with an axis made anew by the Taps `make(cells, *arguments)`, unless its size is open, and nothing is computed."""
    cells = x.shape[axis]
    taps = None if cells is None else make(cells, *arguments)
    return Resample.apply(x, taps=taps, axis=axis, places=places if taps is None else taps.places)


def _triangle(x):
    return np.maximum(1 - x, 0)


def _cubic(x):
    """Keys' cubic, with a = -1/2."""
    near = (1.5 * x - 2.5) * x * x + 1
    return np.where(x >= 2, 0, np.where(x >= 1, ((-0.5 * x + 2.5) * x - 4) * x + 2, near))


def _lanczos(radius, x):
    return np.where(x < radius, np.sinc(x) * np.sinc(x / radius), 0)


# name: (how far it reaches, the weight at this distance)
FUNCTIONS = {
    "bilinear": (1, _triangle),
    "bicubic": (2, _cubic),
    "lanczos3": (3, functools.partial(_lanczos, 3)),
    "lanczos5": (5, functools.partial(_lanczos, 5)),
}


@functools.lru_cache(maxsize=256)
def interpolation_taps(cells: int, places: int, scale: float, shift: float, method: str, antialias: bool) -> Taps:
    """`places` cells, whose cell p is the old axis at (p + 1/2 - shift) / scale - 1/2, by a function of FUNCTIONS.

    `antialias` widens the function where the result is smaller. Weights of cells within the axis add up to 1; a place
    past the axis is 0.
    """
    reach, function = FUNCTIONS[method]
    wide = max(1 / scale, 1.0) if antialias else 1.0
    at = (np.arange(places) + 0.5 - shift) / scale - 0.5
    first = np.ceil(at - reach * wide).astype(np.int64)
    index = first[:, None] + np.arange(int(2 * reach * wide) + 2)
    weights = np.where((index >= 0) & (index < cells), function(np.abs(at[:, None] - index) / wide), 0)
    total = weights.sum(1, keepdims=True)
    weights = np.where(np.abs(total) > 1e-4, weights / np.where(total, total, 1), 0)
    weights[(at < -0.5) | (at > cells - 0.5)] = 0
    return Taps(first, weights, cells)


@functools.lru_cache(maxsize=256)
def filter_taps(cells: int, weights: Sequence[float], same: bool = True) -> Taps:
    """Each cell from its neighbours by these weights, around its middle ("same" padding with 0), or only where all of
    them lie within the axis."""
    count = len(weights)
    first = np.arange(cells) - (count - 1) // 2 if same else np.arange(max(cells - count + 1, 0))
    return Taps(first, np.broadcast_to(np.asarray(weights, float), (len(first), count)), cells)


def gaussian(size: int, sigma: float) -> tuple[float, ...]:
    """`size` weights of a normal curve around their middle, which add up to 1."""
    x = (np.arange(size) - (size - 1) / 2) / sigma
    weights = np.exp(-0.5 * x * x)
    return tuple((weights / weights.sum()).tolist())
