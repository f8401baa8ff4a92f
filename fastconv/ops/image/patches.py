"""Parts of images: padding and cropping to a size, and patches that lie side by side or overlap.

Contract: cells are copied, and nothing is computed; gradients add up where patches overlap.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ...kernels.geometry import per_axis
from ...tensor import Tensor
from ..copying import Pad
from ..indexing import take
from ..shaping import reshape, transpose
from .batches import on_batch, one_of


def pad_images(
    images: Any, top_padding: int | None = None, left_padding: int | None = None, bottom_padding: int | None = None,
    right_padding: int | None = None, target_height: int | None = None, target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images with rows and columns of zeros around them.

    Of top, bottom and the target height two are given, and of left, right and the target width; the third follows.
    """
    rows = _three("padding", (top_padding, bottom_padding, target_height), ("top", "bottom", "height"))
    columns = _three("padding", (left_padding, right_padding, target_width), ("left", "right", "width"))
    return on_batch(lambda x: _moved_ends(x, 1, rows, columns), images, data_format, raw=True)


def crop_images(
    images: Any, top_cropping: int | None = None, left_cropping: int | None = None, bottom_cropping: int | None = None,
    right_cropping: int | None = None, target_height: int | None = None, target_width: int | None = None,
    data_format: str | None = None,
) -> Tensor:  # fmt: skip
    """Images without some rows and columns at their ends.

    Of top, bottom and the target height two are given, and of left, right and the target width; the third follows.
    """
    rows = _three("cropping", (top_cropping, bottom_cropping, target_height), ("top", "bottom", "height"))
    columns = _three("cropping", (left_cropping, right_cropping, target_width), ("left", "right", "width"))
    return on_batch(lambda x: _moved_ends(x, -1, rows, columns), images, data_format, raw=True)


def _three(what, values, names):
    """(low, high, target), one of which is None."""
    low, high, target = names
    names = [f"{low}_{what}", f"{high}_{what}", f"target_{target}"]
    if values.count(None) != 1:
        raise ValueError(f"Two of {', '.join(names)} must be given, and not all; got {values}.")
    values = tuple([None if value is None else operator.index(value) for value in values])
    for name, value in zip(names, values):
        if value is not None and value < 0:
            raise ValueError(f"{name} must be at least 0; got {value}.")
    return values


def _moved_ends(x, sign, rows, columns):
    """x with more (sign 1) or fewer (-1) cells at the ends of its rows' and columns' axes."""
    pairs = [(0, 0)]
    for axis, (low, high, target) in zip((1, 2), (rows, columns)):
        size = x.shape[axis]
        if target is not None:
            if size is None:
                raise ValueError(f"A target size needs images of known sizes; got {x.shape}.")
            rest = sign * (target - size)
            low, high = (rest - high, high) if low is None else (low, rest - low)
        if min(low, high) < 0 or sign < 0 and size is not None and low + high > size:
            verb = "padded" if sign > 0 else "cut"
            raise ValueError(f"Images of shape {x.shape} cannot be {verb} by {low} and {high} along axis {axis}.")
        pairs.append((sign * low, sign * high))
    pairs.append((0, 0))
    return Pad.apply(x, pairs=tuple(pairs), value=0.0)


def extract_patches(
    images: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """(N, rows, columns, height * width * C): the patches of `size` that start `strides` apart, `size` by default.

    A number, or one an axis; a size of three numbers takes volumes, as extract_patches_3d does. padding "same" puts zeros
    around the images so that a patch starts at each multiple of the strides.
    """
    rank = 3 if hasattr(size, "__len__") and len(size) == 3 else 2
    return _patches(images, rank, size, strides, dilation_rate, padding, data_format)


def extract_patches_3d(
    volumes: Any,
    size: Any,
    strides: Any = None,
    dilation_rate: Any = 1,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """(N, depths, rows, columns, depth * height * width * C): as extract_patches, of volumes (N, D, H, W, C)."""
    return _patches(volumes, 3, size, strides, dilation_rate, padding, data_format)


def _patches(images, rank, size, strides, dilation_rate, padding, data_format):
    size = per_axis("size", size, rank)
    strides = per_axis("strides", size if strides is None else strides, rank)
    dilation = per_axis("dilation_rate", dilation_rate, rank)
    one_of("padding", padding, ("valid", "same"))

    def patches(x):
        starts = []
        for axis in range(rank):
            x, count = _gathered(x, 1 + 2 * axis, size[axis], strides[axis], dilation[axis], padding)
            starts.append(count)
        order = [0, *range(1, 2 * rank, 2), *range(2, 2 * rank + 1, 2), 2 * rank + 1]
        batch = -1 if x.shape[0] is None else x.shape[0]
        return reshape(transpose(x, order), (batch, *starts, int(np.prod(size)) * x.shape[-1]))

    return on_batch(patches, images, data_format, spatial=rank)


def _gathered(x, axis, size, stride, dilation, padding):
    """(x with an axis of patches and one of `size` cells in its place, the number of patches)."""
    cells, reach = x.shape[axis], (size - 1) * dilation + 1
    if cells is None:
        raise ValueError(f"Patches need images of known sizes; got {x.shape}.")
    count = -(-cells // stride) if padding == "same" else (cells - reach) // stride + 1
    if count < 1:
        raise ValueError(f"A patch of {reach} cells does not fit the {cells} cells of images of shape {x.shape}.")
    more = max((count - 1) * stride + reach - cells, 0) if padding == "same" else 0
    if more:
        pairs = [(0, 0)] * x.ndim
        pairs[axis] = (more // 2, more - more // 2)
        x = Pad.apply(x, pairs=tuple(pairs), value=0.0)
    index = np.arange(count)[:, None] * stride + np.arange(size) * dilation
    return take(x, index, axis), count
