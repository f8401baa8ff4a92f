"""Layers that blur, sharpen and erase.

Contract: images are filtered as floats, some at a time; results lie within `value_range`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import kernels
from fastconv.kernels.image import BYTE
from fastconv.layers.annotations import Factor, Seed, Shape, Sizes
from fastconv.layers.preprocessing.images import Draws, Graded, ImageLayer, by_parts, column, limits, range_of
from fastconv.ops.image.taps import filter_taps, gaussian


def filtered(x, rows, columns):
    """Images (N, H, W, C) by weights along their height and their width, zeros around them."""
    for axis, weights in enumerate((rows, columns), 1):
        taps = filter_taps(x.shape[axis], tuple(weights))
        x = kernels.resample(x, taps.start, taps.weights(x.dtype), axis)
    return x


class RandomGaussianBlur(ImageLayer):
    """Blurs images by a window of `kernel_size` (an odd number, or one for the width and one for the height) whose
    deviations are drawn from `sigma`, two numbers of 0 to 1; a number s is 0 to s.

    `factor`: the probability that an image is blurred, drawn between two numbers of 0 to 1; a number f is 0 to f.
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        kernel_size: Sizes = 3,
        sigma: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        data_format: str | None = None,
        seed: Seed | None = None,
        **kwargs: Any,
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.factor, self.sigma = limits(self, "factor", factor, 0, 1), limits(self, "sigma", sigma, 0, 1)
        sizes = tuple(kernel_size) if hasattr(kernel_size, "__len__") else (kernel_size,) * 2
        if len(sizes) != 2 or not all(isinstance(size, (int, np.integer)) and size > 0 and size % 2 for size in sizes):
            raise ValueError(f"RandomGaussianBlur: kernel_size must be an odd number, or two; got {kernel_size!r}.")
        self.kernel_size, self.value_range = sizes, range_of(self, value_range)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        return random.chosen(shape[0], self.factor), random.uniform(2, *self.sigma) + 1e-6

    def changed(self, x: np.ndarray, how: Any) -> Any:
        chosen, sigma = how
        columns, rows = (gaussian(size, deviation) for size, deviation in zip(self.kernel_size, sigma))
        low, high = self.value_range

        def blurred(n, samples):
            y = filtered(samples, rows, columns)
            y[~chosen[n]] = samples[~chosen[n]]
            return np.clip(y, low, high, out=y)

        return by_parts(x, blurred)


class RandomSharpness(Graded):
    """Sharpens or softens images: 0.5 of `factor` changes nothing, 0 blurs, 1 sharpens; a number f is 0 to f, two numbers
    lie in 0 to 1."""

    def draw(self, shape: Shape, random: Draws) -> Any:
        return 2 * random.uniform(shape[0], *self.factor)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        low, high = self.value_range
        box = (1.0, 1.0, 1.0)

        def sharpened(n, samples):
            own = column(how[n], samples)
            share = (1 - own) / 13  # of the eight neighbours and, four times more, of the pixel itself
            y = filtered(samples, box, box)
            y *= share
            y += samples * (own + 4 * share)
            return np.clip(y, low, high, out=y)

        return by_parts(x, sharpened)


class RandomErasing(ImageLayer):
    """Puts `fill_value` (a number, or one a channel; None for normal noise) over a rectangle of each image.

    Its height and width are the square roots of shares of the image's, drawn from `scale`, two numbers of 0 to 1.
    `factor` is RandomGaussianBlur's; what is put in lies within `value_range`.
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = (0.02, 0.33),
        fill_value: float | None = None,
        value_range: Sequence[float] = (0, 255),
        seed: Seed | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.factor, self.scale = limits(self, "factor", factor, 0, 1), limits(self, "scale", scale, 0, 1)
        if fill_value is not None:
            fill_value = [float(v) for v in fill_value] if hasattr(fill_value, "__len__") else float(fill_value)
        self.fill_value, self.value_range = fill_value, range_of(self, value_range)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, height, width, channels = shape
        across, down = np.sqrt(random.uniform((2, count), *self.scale))
        boxes = [*interval(random, count, width, across), *interval(random, count, height, down)]
        chosen, noise = random.chosen(count, self.factor), []
        if self.fill_value is None:
            left, right, top, bottom = boxes
            noise = [random.normal((bottom[n] - top[n], right[n] - left[n], channels)) if chosen[n] else None
                     for n in range(count)]  # fmt: skip
        return chosen, boxes, noise

    def changed(self, x: np.ndarray, how: Any) -> Any:
        chosen, (left, right, top, bottom), noise = how
        y = x.copy()
        for n in np.flatnonzero(chosen):
            values = noise[n] * self.value_range[1] if noise else np.asarray(self.fill_value)
            if values.ndim and values.shape[-1] not in (1, x.shape[3]):
                raise ValueError(f"{self._title()}: fill_value must have a number for each of {x.shape[3]} channels.")
            values = np.clip(values, *self.value_range)
            if x.dtype == BYTE:
                values = np.clip(np.floor(values + 0.5), 0, 255)
            y[n, top[n] : bottom[n], left[n] : right[n]] = values

        def gradient(dy):
            dx = dy.copy()
            for n in np.flatnonzero(chosen):
                dx[n, top[n] : bottom[n], left[n] : right[n]] = 0
            return dx

        return y, gradient


def interval(random, count, size, share):
    """(first, past-the-last) cells of intervals of these shares (count,) of an axis, anywhere on it."""
    length = share * size
    start = random.uniform(count) * (size - length)
    return np.ceil(start).astype(np.int64), np.ceil(start + length).astype(np.int64)
