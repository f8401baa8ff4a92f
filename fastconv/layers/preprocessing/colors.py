"""Layers that change the colours of images, a number or a few a sample: brightness, contrast, saturation, hue...

Contract: bytes go through a table or a matrix a sample, floats through a scale or a matrix, in one pass; pixels lie within
`value_range`, (0, 255) by default, where a layer has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import kernels
from fastconv.kernels.image import BYTE
from fastconv.layers.annotations import Factor, Seed, Shape
from fastconv.layers.preprocessing.images import Draws, Graded, ImageLayer, as_table, limits, range_of
from fastconv.ops.image.colors import GREY

_MOST = float(np.finfo(np.float32).max)


def scaled(x, scale, shift, low, high):
    """(x * scale + shift within low and high, its gradient), by arrays (N, C or 1)."""
    if x.dtype == BYTE:
        low, high = max(low, 0), min(high, 255)
        return as_table(x, lambda v: np.clip(v * scale[..., None] + shift[..., None], low, high))
    shape = (len(x), x.shape[3])
    scale, shift = (np.broadcast_to(numbers, shape) for numbers in (scale, shift))
    y = kernels.color_scale(x, np.stack([scale, shift], -1).astype(x.dtype), low, high)
    return y, lambda dy: _inside(y, dy, low, high) * scale[:, None, None].astype(dy.dtype)


def mixed(x, matrices, low, high):
    """(x by matrices (N, 3, 3) within low and high, its gradient)."""
    dtype = np.float32 if x.dtype == BYTE else x.dtype
    table = np.zeros((len(x), 3, 4), dtype)
    table[..., :3] = matrices
    y = kernels.color_matrix(x, table, low, high)

    def gradient(dy):
        table[..., :3] = np.swapaxes(matrices, 1, 2)
        return kernels.color_matrix(np.ascontiguousarray(_inside(y, dy, low, high)), table, -_MOST, _MOST)

    return y, gradient


def _inside(y, dy, low, high):
    """The gradient where nothing was limited."""
    return np.where((y > low) & (y < high), dy, 0)


def _needs_colors(layer, shape):
    if shape[3] != 3:
        raise ValueError(f"{layer._title()} expects images of three channels, RGB; got {shape[3]}.")


def greyed(shares):
    """(N, 3, 3): matrices that bring colours to their grey by these shares (N,)."""
    return (1 - shares)[:, None, None] * np.eye(3) + shares[:, None, None] * np.broadcast_to(GREY, (3, 3))


class RandomBrightness(ImageLayer):
    """Adds a number to each image: `factor` of `value_range`'s width; a number f is -f to f, of -1 to 1."""

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: Seed | None = None, **kwargs: Any
    ) -> None:
        self.factor = None
        super().__init__(**kwargs)
        self.factor, self.value_range = limits(self, "factor", factor, -1, 1), range_of(self, value_range)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        low, high = self.value_range
        return random.uniform((shape[0], 1), *self.factor) * (high - low)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        return scaled(x, np.ones_like(how), how, *self.value_range)


class RandomContrast(ImageLayer):
    """Multiplies each image's distance from its channels' means by 1 - low to 1 + high of `factor`, two numbers of 0 to 1;
    a number f is 0 and f, as in Keras."""

    def __init__(
        self, factor: Factor, value_range: Sequence[float] = (0, 255), seed: Seed | None = None, **kwargs: Any
    ) -> None:
        self.factor = None
        super().__init__(**kwargs)
        self.factor, self.value_range = limits(self, "factor", factor, 0, 1), range_of(self, value_range)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        return random.uniform((shape[0], 1), 1 - self.factor[0], 1 + self.factor[1])

    def changed(self, x: np.ndarray, how: Any) -> Any:
        if x.dtype == BYTE:
            means = (kernels.color_histogram(x) * np.arange(256)).sum(-1) / max(x.shape[1] * x.shape[2], 1)
            return scaled(x, how, means * (1 - how), *self.value_range)
        means = kernels.reduce("sum", x, (1, 2), max(x.shape[1] * x.shape[2], 1)).reshape(len(x), x.shape[3])
        y, direct = scaled(x, how, means * (1 - how), *self.value_range)

        def gradient(dy):
            inside = _inside(y, dy, *self.value_range).mean((1, 2)) * (1 - how)
            return (direct(dy) + inside[:, None, None]).astype(dy.dtype)

        return y, gradient


class RandomInvert(ImageLayer):
    """The upper end of `value_range` minus the image. `factor`: the probability of it, drawn between two numbers of 0 to
    1; a number f is 0 to f."""

    def __init__(
        self,
        factor: Factor = 1.0,
        value_range: Sequence[float] = (0, 255),
        seed: Seed | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.factor, self.value_range = limits(self, "factor", factor, 0, 1), range_of(self, value_range)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        return random.chosen(shape[0], self.factor)[:, None]

    def changed(self, x: np.ndarray, how: Any) -> Any:
        return scaled(x, np.where(how, -1.0, 1.0), np.where(how, self.value_range[1], 0.0), -_MOST, _MOST)


class RandomGrayscale(ImageLayer):
    """Images in grey, of three equal channels, each with the probability `factor`."""

    def __init__(
        self, factor: Factor = 0.5, data_format: str | None = None, seed: Seed | None = None, **kwargs: Any
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.factor = limits(self, "factor", factor, 0, 1)[1]
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        return random.uniform(shape[0]) < self.factor

    def changed(self, x: np.ndarray, how: Any) -> Any:
        if x.shape[3] == 1:
            return x, lambda dy: dy
        _needs_colors(self, x.shape)
        return mixed(x, greyed(how.astype(np.float64)), -_MOST, _MOST)


class RandomColorDegeneration(Graded):
    """Brings colours nearer to their grey, by a share between two numbers of -1 to 1; a number f is -f to f."""

    least = -1

    def draw(self, shape: Shape, random: Draws) -> Any:
        return random.uniform(shape[0], *self.factor)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        if x.shape[3] == 1:
            return x, lambda dy: dy
        _needs_colors(self, x.shape)
        return mixed(x, greyed(how), *self.value_range)


class _Turned(Graded):
    """Base class: `draw` gives (N, 2), what is added to the hue and what the saturation is multiplied by."""

    def changed(self, x: np.ndarray, how: Any) -> Any:
        _needs_colors(self, x.shape)
        return kernels.color_turn(x, how.astype(np.float32 if x.dtype == BYTE else x.dtype), *self.value_range)


class RandomHue(_Turned):
    """Turns hues by half of `factor` of the circle, either way: two numbers of 0 to 1; a number f is 0 to f."""

    def draw(self, shape: Shape, random: Draws) -> Any:
        sign = np.where(random.uniform(shape[0]) > 0.5, -1, 1)
        turn = sign * random.uniform(shape[0], *self.factor) * 0.5
        return np.stack(
            [np.where(turn < 0, np.minimum(turn + 1, np.nextafter(np.float32(1), 0)), turn), np.ones(len(turn))], 1
        )


class RandomSaturation(_Turned):
    """Multiplies saturations by f / (1 - f) for an f between two numbers of `factor`, of -1 to 1: 0.5 changes nothing, 0
    and less give grey, 1 full colours; a number f is -f to f."""

    least = -1

    def draw(self, shape: Shape, random: Draws) -> Any:
        factor = random.uniform(shape[0], *self.factor)
        return np.stack([np.zeros(shape[0]), factor / (1 - factor + 1e-7)], 1)
