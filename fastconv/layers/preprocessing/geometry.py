"""Layers that move the pixels of images: flips, rotations, zooms, translations, shears, perspectives, elastic fields.

Contract: each draws a map a sample, from places of the result to places of the image; one kernel reads the pixels, floats
or bytes, and brings gradients back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import kernels
from fastconv.kernels.image import MODES
from fastconv.layers.annotations import Factor, Seed, Shape
from fastconv.layers.preprocessing.images import Draws, ImageLayer, limits, range_of
from fastconv.ops.image.batches import one_of
from fastconv.ops.image.filters import filtered
from fastconv.ops.image.taps import gaussian
from fastconv.ops.image.warping import INTERPOLATIONS, homographies

FILL_MODES = ("reflect", "wrap", "constant", "nearest")


def maps_of(count: int, *numbers) -> np.ndarray:
    """(count, 8) of eight numbers, each one for all samples or one a sample."""
    maps = np.empty((count, len(numbers)))
    for column, number in enumerate(numbers):
        maps[:, column] = number
    return maps


def warped(x, maps, mode="constant", nearest=False, fill=0.0, size=None):
    """(x read through `maps`, its gradient)."""
    how = {"maps": maps, "mode": mode, "nearest": nearest}
    return (
        kernels.warp_forward(x, fill=fill, size=size, **how),
        lambda dy: kernels.warp_backward(dy, x.shape[1:3], **how),
    )


def as_pair(factor):
    """A factor as it was given, but a tuple where a config has a list."""
    return tuple(factor) if isinstance(factor, list) else factor


class Geometric(ImageLayer):
    """Base class: `draw` gives maps (N, 8)."""

    def _set_filling(self, interpolation, fill_mode, fill_value, modes=FILL_MODES):
        self.interpolation = one_of(f"{type(self).__name__}: interpolation", interpolation, INTERPOLATIONS)
        self.fill_mode = one_of(f"{type(self).__name__}: fill_mode", fill_mode, modes)
        self.fill_value = float(fill_value)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        return warped(x, how, self.fill_mode, self.interpolation == "nearest", self.fill_value)


class RandomFlip(ImageLayer):
    """Turns half of the images around: "horizontal" (left and right), "vertical" (up and down), or both at once,
    "horizontal_and_vertical"."""

    def __init__(
        self,
        mode: str = "horizontal_and_vertical",
        seed: Seed | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self.mode = one_of("RandomFlip: mode", mode, ("horizontal", "vertical", "horizontal_and_vertical"))
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, height, width, _ = shape
        flips = random.uniform(count) <= 0.5
        across, down = flips & (self.mode != "vertical"), flips & (self.mode != "horizontal")
        sign_x, sign_y = np.where(across, -1, 1), np.where(down, -1, 1)
        return maps_of(count, sign_x, 0, across * (width - 1), 0, sign_y, down * (height - 1), 0, 0)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        return warped(x, how)


class RandomRotation(Geometric):
    """Turns images around their middle by `factor` of a full turn: a number f is -f to f, of -1 to 1.

    What comes from outside is the image reflected (`fill_mode` "reflect", "wrap" or "nearest") or `fill_value`
    ("constant"); between pixels is "bilinear" or "nearest" `interpolation`.
    """

    def __init__(
        self,
        factor: Factor,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: Seed | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.factor = limits(self, "factor", factor, -1, 1)
        self._set_filling(interpolation, fill_mode, fill_value)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, height, width, _ = shape
        angle = 2 * np.pi * random.uniform(count, *self.factor)
        cosine, sine, x, y = np.cos(angle), np.sin(angle), (width - 1) / 2, (height - 1) / 2
        return maps_of(count, cosine, -sine, x - x * cosine + y * sine, sine, cosine, y - x * sine - y * cosine, 0, 0)


class RandomZoom(Geometric):
    """Shows 1 + `height_factor` of the height and 1 + `width_factor` of the width around the middle: positive numbers zoom
    out, negative ones in; a number f is -f to f, of above -1 to 1. Without a width_factor the ratio stays. The filling is
    RandomRotation's.
    """

    def __init__(
        self, height_factor: Factor, width_factor: Factor | None = None, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: Seed | None = None, fill_value: float = 0.0,
        data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = as_pair(height_factor), as_pair(width_factor)
        self._height = limits(self, "height_factor", height_factor, -1, 1, open_low=True)
        self._width = None if width_factor is None else limits(self, "width_factor", width_factor, -1, 1, open_low=True)
        self._set_filling(interpolation, fill_mode, fill_value)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, height, width, _ = shape
        down = 1 + random.uniform(count, *self._height)
        across = down if self._width is None else 1 + random.uniform(count, *self._width)
        left, top = (width - 1) / 2 * (1 - across), (height - 1) / 2 * (1 - down)
        return maps_of(count, across, 0, left, 0, down, top, 0, 0)


class RandomTranslation(Geometric):
    """Moves images by `height_factor` of their height (down) and `width_factor` of their width (to the right): a number f
    is -f to f, of -1 to 1. The filling is RandomRotation's."""

    def __init__(
        self, height_factor: Factor, width_factor: Factor | None, fill_mode: str = "reflect", interpolation: str = "bilinear", seed: Seed | None = None, fill_value: float = 0.0,
        data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(data_format=data_format, **kwargs)
        self.height_factor, self.width_factor = as_pair(height_factor), as_pair(width_factor)
        self._height = limits(self, "height_factor", height_factor, -1, 1)
        self._width = limits(self, "width_factor", width_factor, -1, 1)
        self._set_filling(interpolation, fill_mode, fill_value)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, height, width, _ = shape
        down, across = height * random.uniform(count, *self._height), width * random.uniform(count, *self._width)
        return maps_of(count, 1, 0, -across, 0, 1, -down, 0, 0)


class RandomShear(Geometric):
    """Slants images: each row is moved by `x_factor` of its number, each column by `y_factor` of its; a number f is 0 to
    f, two numbers lie in 0 to 1, and half of the images go the other way. The filling is RandomRotation's."""

    def __init__(
        self, x_factor: Factor = 0.0, y_factor: Factor = 0.0, interpolation: str = "bilinear", fill_mode: str = "reflect", fill_value: float = 0.0, data_format: str | None = None,
        seed: Seed | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(data_format=data_format, **kwargs)
        self.x_factor, self.y_factor = (
            limits(self, "x_factor", x_factor, 0, 1),
            limits(self, "y_factor", y_factor, 0, 1),
        )
        self._set_filling(interpolation, fill_mode, fill_value)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        sign = np.where(random.uniform(shape[0]) > 0.5, -1, 1)
        across, down = sign * random.uniform(shape[0], *self.x_factor), sign * random.uniform(shape[0], *self.y_factor)
        return maps_of(shape[0], 1, across, 0, down, 1, 0, 0, 0)


class RandomPerspective(ImageLayer):
    """Moves the corners of images by up to half of `scale` (0 to 1) of their coordinates.

    `factor`: the probability that an image is changed, drawn between two numbers of 0 to 1; a number f is 0 to f.
    """

    def __init__(
        self,
        factor: Factor = 1.0,
        scale: Factor = 1.0,
        interpolation: str = "bilinear",
        fill_value: float = 0.0,
        seed: Seed | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.factor = limits(self, "factor", factor, 0, 1)
        self.scale = limits(self, "scale", scale, 0, 1)[1]
        self.interpolation = one_of("RandomPerspective: interpolation", interpolation, INTERPOLATIONS)
        self.fill_value = float(fill_value)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, height, width, _ = shape
        chosen = random.chosen(count, self.factor)
        moved = 1 + random.uniform((count, 4, 2), -0.5 * self.scale, 0.5 * self.scale)
        corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)
        maps = maps_of(count, 1, 0, 0, 0, 1, 0, 0, 0)
        if chosen.any() and min(height, width) > 1:
            maps[chosen] = homographies(np.broadcast_to(corners, moved.shape)[chosen], (corners * moved)[chosen])
        return maps

    def changed(self, x: np.ndarray, how: Any) -> Any:
        return warped(x, how, nearest=self.interpolation == "nearest", fill=self.fill_value)


class RandomElasticTransform(Geometric):
    """Moves pixels by smooth random fields, whose strength is drawn from `scale` (a number s is 0 to s, of 0 to 1).

    `factor` is RandomPerspective's; results lie within `value_range`.
    """

    def __init__(
        self, factor: Factor = 1.0, scale: Factor = 1.0, interpolation: str = "bilinear", fill_mode: str = "reflect", fill_value: float = 0.0, value_range: Sequence[float] = (0, 255),
        seed: Seed | None = None, data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.factor = None
        super().__init__(data_format=data_format, **kwargs)
        self.factor, self.scale = limits(self, "factor", factor, 0, 1), limits(self, "scale", scale, 0, 1)
        self.value_range = range_of(self, value_range)
        self._set_filling(interpolation, fill_mode, fill_value, MODES)
        self._set_seed(seed)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, height, width, _ = shape
        chosen, strength = random.chosen(count, self.factor), float(random.uniform(1, *self.scale)[0])
        places = np.empty((count, height, width, 2))
        places[...] = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1)
        deviation = 0.05 * strength * min(height, width)
        if deviation > 0 and chosen.any():
            weights = gaussian(int(6 * deviation) | 1, deviation)
            fields = filtered(random.normal((int(chosen.sum()), height, width, 2)), weights, weights).data
            places[chosen] += fields * (deviation * 0.1 * strength * max(height, width))
        return places

    def changed(self, x: np.ndarray, how: Any) -> Any:
        options = {"places": how, "mode": self.fill_mode, "nearest": self.interpolation == "nearest"}
        y = kernels.warp_forward(x, fill=self.fill_value, **options)
        low, high = self.value_range
        clipped = np.clip(y, max(low, 0) if y.dtype == np.uint8 else low, high)

        def gradient(dy):
            return kernels.warp_backward(np.where(clipped == y, dy, 0), x.shape[1:3], **options)

        return clipped, gradient
