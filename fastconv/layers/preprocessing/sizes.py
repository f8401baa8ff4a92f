"""Layers that give images another size: Resizing, CenterCrop and RandomCrop.

Contract: but for RandomCrop's place they do the same in training and outside; results are (height, width) large.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv import ops
from fastconv.layers.annotations import Seed, Shape
from fastconv.layers.preprocessing.geometry import maps_of, warped
from fastconv.layers.preprocessing.images import Draws, ImageLayer
from fastconv.layers.spatial import positive
from fastconv.ops.image.batches import one_of
from fastconv.ops.image.taps import FUNCTIONS
from fastconv.tensor import Tensor


class Sized(ImageLayer):
    """Base class: `resized(images)` in the layer's layout."""

    random = False

    def _set_size(self, height, width):
        self.height, self.width = positive(height, "height", self), positive(width, "width", self)

    def changed_shape(self, shape: Shape) -> Shape:
        return (shape[0], self.height, self.width, shape[3])

    def _fitted(self, images):
        """The largest part of this ratio from the middle, resized."""
        size = self.height, self.width
        return ops.image.resize(images, size, crop_to_aspect_ratio=True, data_format=self.data_format)

    def _sizes(self, images):
        shape = self._last_shape((1, *images.shape) if images.ndim == 3 else images.shape)
        return shape[1:3]


class Resizing(Sized):
    """Images of (height, width): `ops.image.resize` as a layer, with its arguments. Integers come back as such."""

    def __init__(
        self, height: int, width: int, interpolation: str = "bilinear", crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant", fill_value: float = 0.0, antialias: bool = False, data_format: str | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)
        self.interpolation = one_of("Resizing: interpolation", interpolation, ("nearest", *FUNCTIONS))
        self.fill_mode = one_of("Resizing: fill_mode", fill_mode, ("constant",))
        if crop_to_aspect_ratio and pad_to_aspect_ratio:
            raise ValueError("Resizing: crop_to_aspect_ratio and pad_to_aspect_ratio exclude one another.")
        self.crop_to_aspect_ratio, self.pad_to_aspect_ratio = bool(crop_to_aspect_ratio), bool(pad_to_aspect_ratio)
        self.fill_value, self.antialias = float(fill_value), bool(antialias)

    def _convert(self, inputs):
        array = inputs if isinstance(inputs, Tensor) else np.asarray(inputs)
        return Tensor(inputs) if array.dtype.kind in "iu" and not isinstance(inputs, list) else super()._convert(inputs)

    def _on_batch(self, images, training, how=None):
        return ops.image.resize(
            images, (self.height, self.width), self.interpolation, self.antialias, self.crop_to_aspect_ratio,
            self.pad_to_aspect_ratio, self.fill_mode, self.fill_value, self.data_format,
        )  # fmt: skip


class CenterCrop(Sized):
    """The (height, width) in the middle of images; of smaller ones the largest part of this ratio, resized."""

    def __init__(self, height: int, width: int, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(data_format=data_format, **kwargs)
        self._set_size(height, width)

    def _on_batch(self, images, training, how=None):
        rows, columns = self._sizes(images)
        if None in (rows, columns) or rows < self.height or columns < self.width:
            return self._fitted(images)
        top, left = (rows - self.height) // 2, (columns - self.width) // 2
        return ops.image.crop_images(
            images, top, left, target_height=self.height, target_width=self.width, data_format=self.data_format
        )


class RandomCrop(Sized):
    """A part of (height, width) of each image, from anywhere in it.

    Outside training, and where images are not larger, it is the largest part of this ratio from their middle, resized.
    """

    def __init__(
        self,
        height: int,
        width: int,
        seed: Seed | None = None,
        data_format: str | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, data_format=data_format, **kwargs)
        self._set_size(height, width)
        self._set_seed(seed)

    def _on_batch(self, images, training, how=None):
        rows, columns = self._sizes(images)
        known = rows is not None and columns is not None
        if training and known and rows > self.height and columns > self.width:
            return super()._on_batch(images, True, how)
        return self._fitted(images)

    def draw(self, shape: Shape, random: Draws) -> Any:
        count, rows, columns, _ = shape
        top = np.floor(random.uniform(count) * (rows - self.height + 1))
        left = np.floor(random.uniform(count) * (columns - self.width + 1))
        return maps_of(count, 1, 0, left, 0, 1, top, 0, 0)

    def changed(self, x: np.ndarray, how: Any) -> Any:
        return warped(x, how, size=(self.height, self.width))
