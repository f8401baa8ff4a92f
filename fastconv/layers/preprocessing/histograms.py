"""Layers that give each value of an image another: by its channels' extremes or histograms, or by a random step.

Contract: bytes go through tables, one a channel of a sample; floats through NumPy, some samples at a time. No gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import kernels
from fastconv.kernels.image import BYTE
from fastconv.layers.annotations import Factor, Seed, Shape
from fastconv.layers.preprocessing.colors import scaled
from fastconv.layers.preprocessing.images import Draws, Graded, ImageLayer, as_table, by_parts, column, limits, range_of
from fastconv.layers.spatial import positive


class Pointwise(ImageLayer):
    """Base class: values from `value_range` are changed as numbers from 0 to 255 and brought back."""

    def _to_255(self, x):
        low, high = self.value_range
        return x if (low, high) == (0, 255) else (x - low) / (high - low) * 255

    def _from_255(self, x):
        low, high = self.value_range
        return x if (low, high) == (0, 255) else x / 255 * (high - low) + low

    def _mapped(self, x, function, *numbers):
        """`function(values, *numbers)` of values from 0 to 255, and of numbers (N,) that broadcast against them."""
        if x.dtype == BYTE:
            numbers = [number[:, None, None] for number in numbers]
            return as_table(x, lambda v: self._from_255(function(self._to_255(v), *numbers)))

        def some(n, samples):
            return self._from_255(function(self._to_255(samples), *(column(number[n], x) for number in numbers)))

        return by_parts(x, some)


class AutoContrast(Pointwise):
    """Stretches each channel of each image to the whole `value_range`, in training or not; a constant one stays."""

    random = False

    def __init__(self, value_range: Sequence[float] = (0, 255), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.value_range = range_of(self, value_range)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        if not x.size:
            return x
        if x.dtype == BYTE:
            there = kernels.color_histogram(x) > 0
            low, high = there.argmax(-1), 255 - there[..., ::-1].argmax(-1)
        else:
            low, high = (kernels.reduce(kind, x, (1, 2)).reshape(len(x), x.shape[3]) for kind in ("min", "max"))
        low, high = low.astype(np.float64), high.astype(np.float64)
        least, most = self.value_range
        scale = np.where(high > low, (most - least) / np.where(high > low, high - low, 1), 1)
        y = scaled(x, scale, np.where(high > low, least - low * scale, 0), least, most)
        return y[0] if isinstance(y, tuple) else y  # how the extremes move is no part of a gradient


class Equalization(Pointwise):
    """Spreads each channel's values evenly over `value_range`, by its histogram of `bins` over the whole batch."""

    def __init__(
        self, value_range: Sequence[float] = (0, 255), bins: int = 256, data_format: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range, self.bins = range_of(self, value_range), positive(bins, "bins", self)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        if not x.size:
            return x
        if x.dtype == BYTE:
            values, counts = self._to_255(np.arange(256.0)), kernels.color_histogram(x).sum(0)
            bins = self._bins_of(values)
            new = [self._table(bins, channel)[bins] if np.count_nonzero(channel) > 1 else values for channel in counts]
            return as_table(x, lambda v: self._from_255(np.stack(new)))
        bins = np.empty(x.shape, BYTE if self.bins <= 256 else np.int64)
        for n in range(len(x)):
            bins[n] = self._bins_of(self._to_255(x[n]))
        y = np.empty_like(x)
        for channel in range(x.shape[3]):
            own = bins[..., channel].reshape(-1)
            counts = np.bincount(own, minlength=self.bins)
            if np.count_nonzero(counts) <= 1:  # a constant channel stays
                y[..., channel] = x[..., channel]
            else:
                table = self._from_255(self._table(np.arange(self.bins), counts)).astype(x.dtype)
                y[..., channel] = table[own].reshape(x.shape[:3])
        return y

    def _bins_of(self, values):
        return np.clip(values / 255 * (self.bins - 1), 0, self.bins - 1).astype(np.int64)

    def _table(self, bins, counts):
        """The new value of each bin, from 0 to 255; `bins` are there `counts` times each."""
        below = np.cumsum(np.bincount(bins, counts, self.bins))
        least = below[below > 0][0]
        return np.clip(np.rint((below - least) * 255 / max(below[-1] - least, 1)), 0, 255)


class RandomPosterization(Graded, Pointwise):
    """Keeps a few bits of each value of 0 to 255: a number of them from the first of `factor` to below the second, two
    numbers of 1 to 8; a number f is 1 to f, which alone is sure with (f, f)."""

    least, most, whole = 1, 8, True

    def draw(self, shape: Shape, random: Draws) -> Any:
        low, high = self.factor
        bits = low + np.floor(random.uniform(shape[0]) * (high - low))
        return 2.0 ** (8 - bits)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        return self._mapped(x, lambda v, step: np.floor(np.clip(np.trunc(v), 0, 255) / step) * step, how)


class Solarization(Pointwise):
    """Inverts the values above a threshold, after adding a number to all.

    On a scale of 0 to 255 both lie between the first and 255 times the second of two numbers of 0 to 1, `addition_factor`
    and `threshold_factor`; a number f is 0 and f.
    """

    def __init__(
        self,
        addition_factor: Factor = 0.0,
        threshold_factor: Factor = 0.0,
        value_range: Sequence[float] = (0, 255),
        seed: Seed | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.addition_factor = limits(self, "addition_factor", addition_factor, 0, 1)
        self.threshold_factor = limits(self, "threshold_factor", threshold_factor, 0, 1)
        self.value_range = range_of(self, value_range)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        return [
            random.uniform(shape[0], low, max(high * 255, low))
            for low, high in (self.addition_factor, self.threshold_factor)
        ]

    def changed(self, x: np.ndarray, how: Any) -> Any:
        def solarized(v, more, threshold):
            v = np.clip(v + more, 0, 255)
            return np.where(v < threshold, v, 255 - v)

        return self._mapped(x, solarized, *how)


class ContrastLimitedAdaptiveHistogramEqualization(Pointwise):
    """Equalizes parts of images, in training or not: the histograms of a grid of `tile_grid_size` tiles, cut at
    `clip_limit` times their mean, give tables, between which each pixel's is interpolated."""

    random = False

    def __init__(
        self,
        value_range: Sequence[float] = (0, 255),
        clip_limit: float = 4.0,
        tile_grid_size: Sequence[int] = (8, 8),
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.value_range, self.clip_limit = range_of(self, value_range), float(clip_limit)
        self.tile_grid_size = tuple(positive(size, "tile_grid_size", self) for size in tile_grid_size)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        if not x.size:
            return x

        def some(n, samples):
            return np.stack([self._from_255(self._equalized(self._to_255(sample))) for sample in samples])

        return by_parts(x, some)

    def _equalized(self, image):
        (height, width, channels), grid = image.shape, self.tile_grid_size
        tile = [-(-size // count) for size, count in zip((height, width), grid)]
        ends = [size * count - old for size, count, old in zip(tile, grid, (height, width))]
        image = np.pad(image, ((0, ends[0]), (0, ends[1]), (0, 0)), "symmetric")
        pixels = np.clip(image, 0, 255).astype(np.int64)
        tables = self._tables(pixels, tile)
        (y0, y1, down), (x0, x1, right) = (_between(size, count) for size, count in zip(tile, grid))
        right, c = right[None, :, None], np.arange(channels)

        def row(y):
            left, other = (tables[y[:, None, None], x[None, :, None], c, pixels] for x in (x0, x1))
            return left * (1 - right) + other * right

        down = down[:, None, None]
        return (row(y0) * (1 - down) + row(y1) * down)[:height, :width]

    def _tables(self, pixels, tile):
        """(rows, columns, C, 256): what each value becomes in the middle of each tile."""
        rows, columns = self.tile_grid_size
        channels, count = pixels.shape[2], tile[0] * tile[1]
        tiles = pixels.reshape(rows, tile[0], columns, tile[1], channels).transpose(0, 2, 4, 1, 3).reshape(-1, count)
        number = np.arange(len(tiles))[:, None] * 256
        histograms = (
            np.bincount((tiles + number).reshape(-1), minlength=len(tiles) * 256).reshape(-1, 256).astype(float)
        )
        if self.clip_limit > 0:
            cut = np.minimum(histograms, self.clip_limit * count / 256)
            histograms = cut + (histograms - cut).sum(1, keepdims=True) / 256
        below = np.cumsum(histograms, 1)
        least = below[:, :1]
        room = np.where(count == least, 1, count - least)
        return np.clip((below - least) * 255 / room, 0, 255).reshape(rows, columns, channels, 256)


def _between(size, count):
    """For each pixel along an axis of `count` tiles: the tiles before and behind it, and how far it is between them."""
    at = (np.arange(size * count) - size / 2) / size
    low = np.floor(at)
    before, behind = (np.clip(low + step, 0, count - 1).astype(np.int64) for step in (0, 1))
    return before, behind, at - low
