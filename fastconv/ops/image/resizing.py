"""ops.image.resize and scale_and_translate: the same picture with other cells.

Contract: half-pixel centres, as in TensorFlow's and Keras' resize. Linear interpolation without antialiasing has a kernel
of its own, copies are copies, all else is a weighted sum along each axis (taps.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import kernels
from ...kernels.geometry import per_axis
from ...tensor import Op, Tensor
from ..common import normalize_axis
from ..copying import Pad, Repeat
from ..indexing import get_item, take
from ..shaping import sizes
from .batches import as_floats, on_batch, one_of
from .taps import FUNCTIONS, interpolation_taps, resample


class Resize(Op):
    """(N, *I, C) to (N, *size, C), 1D or 2D, by linear interpolation."""

    kernels = True

    def forward(self, x, *, size):
        self.shape(x.shape, size=size)
        self.old = x.shape[1:-1]
        return kernels.resize_forward(x, size)

    def backward(self, dy):
        return kernels.resize_backward(dy, self.old)

    @staticmethod
    def shape(x, *, size):
        if len(x) != len(size) + 2 or 0 in x[1:-1]:
            raise ValueError(f"Resizing to {size} expects (batch, *spatial, channels), not empty; got {x}.")
        return (x[0], *size, x[-1])


def resize(
    images: Any, size: Sequence[int], interpolation: str = "bilinear", antialias: bool = False,
    crop_to_aspect_ratio: bool = False, pad_to_aspect_ratio: bool = False, fill_mode: str = "constant",
    fill_value: float = 0.0, data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images of `size` (height, width).

    `interpolation`: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5". `antialias=True` averages the cells that a
    smaller result would skip. `crop_to_aspect_ratio` cuts the images, `pad_to_aspect_ratio` pads them with `fill_value`,
    around their middle, to the ratio of `size` first.
    """
    size = per_axis("size", size, 2)
    one_of("interpolation", interpolation, ("nearest", *FUNCTIONS))
    one_of("fill_mode", fill_mode, ("constant",))
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio exclude one another.")

    def resized(x):
        if crop_to_aspect_ratio:
            x = _cut_to_ratio(x, size)
        elif pad_to_aspect_ratio:
            x = _padded_to_ratio(x, size, float(fill_value))
        return _resized(x, size, interpolation, bool(antialias))

    return on_batch(resized, images, data_format)


def _resized(x, size, interpolation, antialias):
    if interpolation == "nearest":
        return _nearest(x, size)
    smaller = any(old is None or new < old for old, new in zip(x.shape[1:-1], size))
    if interpolation == "bilinear" and not (antialias and smaller):
        return Resize.apply(x, size=size)
    for axis, new in enumerate(size, 1):
        if x.shape[axis] != new:
            x = resample(x, axis, new, _resize_taps, new, interpolation, antialias)
    return x


def _resize_taps(cells, places, method, antialias):
    if not cells:
        raise ValueError(f"Images without cells cannot be resized to {places} cells.")
    return interpolation_taps(cells, places, places / cells, 0.0, method, antialias)


def _nearest(x, size):
    if None in x.shape[1:-1]:
        return Resize.apply(x, size=size)  # the same shape
    if not any(new % old for old, new in zip(x.shape[1:3], size)):
        factors = [new // old for old, new in zip(x.shape[1:3], size)]
        return Repeat.apply(x, factors=(1, *factors, 1))
    for axis, new in enumerate(size, 1):
        old = x.shape[axis]
        x = take(x, (2 * np.arange(new) + 1) * old // (2 * new), axis)
    return x


def _fitting(x, size):
    """(the images' height and width, the height to this width and the width to this height in the ratio of `size`)."""
    height, width = x.shape[1:3]
    if height is None or width is None:
        return None, None
    return (height, width), (int(width * size[0] / size[1]), int(height * size[1] / size[0]))


def _cut_to_ratio(x, size):
    known, fitting = _fitting(x, size)
    if known is None:
        return x
    rows, columns = (max(min(old, new), 1) for old, new in zip(known, fitting))
    top, left = (known[0] - rows) // 2, (known[1] - columns) // 2
    return get_item(x, (slice(None), slice(top, top + rows), slice(left, left + columns)))


def _padded_to_ratio(x, size, value):
    known, fitting = _fitting(x, size)
    if known is None:
        return x
    more = [max(new - old, 0) // 2 for old, new in zip(known, fitting)]  # as much at both ends
    pairs = ((0, 0), *[(cells, cells) for cells in more], (0, 0))
    return Pad.apply(x, pairs=pairs, value=value)


_METHODS = {"linear": "bilinear", "trilinear": "bilinear", "cubic": "bicubic", "tricubic": "bicubic"}


def scale_and_translate(
    images: Any, output_shape: Sequence[int], scale: Any, translation: Any, spatial_dims: Sequence[int], method: str,
    antialias: bool = True,
) -> Tensor:  # fmt: skip
    """Images of `output_shape`, scaled and then moved along the axes `spatial_dims`, a number each.

    What comes from outside is 0. `method`: "linear", "bilinear", "trilinear", "cubic", "bicubic", "tricubic", "lanczos3" or
    "lanczos5". Integers give floats. Gradients go to the images alone.
    """
    x, _ = as_floats(images)
    method = _METHODS.get(one_of("method", method, (*_METHODS, *FUNCTIONS)), method)
    output, axes = sizes("output_shape", output_shape), [normalize_axis(axis, x.ndim) for axis in spatial_dims]
    scales, shifts = (np.asarray(values, float).reshape(-1).tolist() for values in (scale, translation))
    if not len(axes) == len(scales) == len(shifts):
        raise ValueError(
            f"scale and translation must hold a number for each of spatial_dims; got {scale} and {translation}."
        )
    if min(scales, default=1) <= 0:
        raise ValueError(f"scale must hold positive numbers; got {scale}.")
    same = [(x.shape[axis], output[axis]) for axis in range(min(x.ndim, len(output))) if axis not in axes]
    if len(output) != x.ndim or any(old not in (None, new) for old, new in same):
        raise ValueError(f"output_shape must have the images' sizes {x.shape} but along spatial_dims; got {output}.")
    for axis, factor, shift in zip(axes, scales, shifts):
        x = resample(x, axis, output[axis], interpolation_taps, output[axis], factor, shift, method, bool(antialias))
    return x
