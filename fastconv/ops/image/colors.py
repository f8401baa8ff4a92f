"""Colours: grey from RGB, RGB to hue, saturation and value, and back.

Contract: three channels; hue, saturation and value lie between 0 and 1, as RGB is expected to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import kernels
from ...tensor import Op, Tensor
from .batches import on_batch

GREY = (0.2989, 0.5870, 0.1140)


class Grey(Op):
    """(N, H, W, 3) to (N, H, W, 1) by the weights GREY."""

    def forward(self, x):
        return kernels.matmul_forward(x, np.asarray(GREY, x.dtype)[:, None])

    def backward(self, dy):
        return dy * np.asarray(GREY, dy.dtype)

    @staticmethod
    def shape(x):
        return (*x[:-1], 1)


class ToHsv(Op):
    def forward(self, x):
        x = np.where(np.abs(x) < np.finfo(x.dtype).eps, 0, x)
        value, low = x.max(-1), x.min(-1)
        span = value - low
        self.top, self.bottom = x.argmax(-1), x.argmin(-1)
        r, g, b = np.moveaxis(x, -1, 0)
        unit = np.where(span > 0, 1 / (6 * np.where(span > 0, span, 1)), 0).astype(x.dtype)
        rest = np.choose(self.top, (g - b, b - r, r - g)) * unit  # of the circle, from the largest channel's own hue
        hue = rest + self.top.astype(x.dtype) / 3
        saturation = np.where(value > 0, span / np.where(value > 0, value, 1), 0)
        self.value, self.span, self.unit, self.rest = value, span, unit, rest
        return np.stack([hue + (hue < 0), saturation, value], -1).astype(x.dtype)

    def backward(self, dy):
        """Along the channels that are the largest and the least; the first of equal ones."""
        hue, saturation, value = np.moveaxis(dy, -1, 0)
        safe = np.where(self.value > 0, self.value, 1)
        by_span = np.where(self.value > 0, saturation / safe, 0) - hue * self.rest * 6 * self.unit
        by_value = value - np.where(self.value > 0, saturation * self.span / safe**2, 0)
        dx = np.zeros_like(dy)
        channels = np.arange(3)
        one = hue * self.unit  # d hue / d the channel behind the largest one, minus that of the channel before it
        dx += np.where(channels == ((self.top + 1) % 3)[..., None], one[..., None], 0)
        dx -= np.where(channels == ((self.top + 2) % 3)[..., None], one[..., None], 0)
        dx += np.where(channels == self.top[..., None], (by_value + by_span)[..., None], 0)
        return dx - np.where(channels == self.bottom[..., None], by_span[..., None], 0)


class ToRgb(Op):
    def forward(self, x):
        hue, self.saturation, self.value = np.moveaxis(x, -1, 0)
        at = (hue % 1 * 6)[..., None]
        signs, places, shifts = np.array([1, -1, -1]), np.array([3, 2, 4]), np.array([-1, 2, 2])
        shares = signs * np.abs(at - places) + shifts
        self.slope = np.where((shares > 0) & (shares < 1), 6 * signs * np.sign(at - places), 0).astype(x.dtype)
        self.shares = np.clip(shares, 0, 1).astype(x.dtype)
        saturation = self.saturation[..., None]
        return self.value[..., None] * (1 - saturation + saturation * self.shares)

    def backward(self, dy):
        value, saturation = self.value[..., None], self.saturation[..., None]
        by_hue = (dy * value * saturation * self.slope).sum(-1)
        by_saturation = (dy * value * (self.shares - 1)).sum(-1)
        by_value = (dy * (1 - saturation + saturation * self.shares)).sum(-1)
        return np.stack([by_hue, by_saturation, by_value], -1)


def rgb_to_grayscale(images: Any, data_format: str | None = None) -> Tensor:
    """Images of one channel, 0.2989 red + 0.587 green + 0.114 blue; those of one channel stay. Integers are cut."""
    return on_batch(lambda x: x if x.shape[-1] == 1 else Grey.apply(_rgb(x)), images, data_format, cut=True)


def rgb_to_hsv(images: Any, data_format: str | None = None) -> Tensor:
    """Hue, saturation and value, from 0 to 1, of images in RGB from 0 to 1. Integers raise TypeError: scale them first."""
    return on_batch(lambda x: ToHsv.apply(_rgb(x)), _floats("rgb_to_hsv", images), data_format)


def hsv_to_rgb(images: Any, data_format: str | None = None) -> Tensor:
    """RGB from 0 to 1 of hue, saturation and value; hues beyond 0 to 1 go round. Integers raise TypeError."""
    return on_batch(lambda x: ToRgb.apply(_rgb(x)), _floats("hsv_to_rgb", images), data_format)


def _rgb(x):
    if x.shape[-1] != 3:
        raise ValueError(f"images must have three channels; got shape {x.shape}.")
    return x


def _floats(name, images):
    dtype = images.dtype if isinstance(images, Tensor) else np.asarray(images).dtype
    if dtype.kind in "iub":
        raise TypeError(f"{name} takes floats from 0 to 1; got {dtype}. Scale them: images / 255.0.")
    return images
