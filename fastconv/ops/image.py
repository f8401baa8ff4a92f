"""keras.ops.image: resizing.

Contract: images are (height, width, channels) or a batch of them. Half-pixel centres, as in TensorFlow's and Keras' resize.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..kernels.geometry import per_axis
from ..tensor import Op
from .common import check_data_format
from .copying import Pad, Repeat
from .indexing import get_item, take
from .shaping import convert_to_tensor, expand_dims, squeeze


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
    images, size, interpolation="bilinear", antialias=False, crop_to_aspect_ratio=False, pad_to_aspect_ratio=False,
    fill_mode="constant", fill_value=0.0, data_format=None,
):  # fmt: skip
    """Images of `size` (height, width), by "bilinear" or "nearest" interpolation.

    `crop_to_aspect_ratio` cuts the images, `pad_to_aspect_ratio` pads them with `fill_value`, around their middle, to the
    ratio of `size` first. antialias=True is not built: where the result is smaller, cells are skipped.
    """
    check_data_format(data_format)
    images, size = convert_to_tensor(images), per_axis("size", size, 2)
    if interpolation not in ("bilinear", "nearest"):
        raise ValueError(f"interpolation must be 'bilinear' or 'nearest'; got {interpolation!r}.")
    if antialias or fill_mode != "constant":
        raise ValueError(f"antialias must be False, fill_mode 'constant'; got {antialias!r} and {fill_mode!r}.")
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError("crop_to_aspect_ratio and pad_to_aspect_ratio exclude one another.")
    if images.ndim == 3:
        return squeeze(resize(expand_dims(images, 0), size, interpolation, antialias, crop_to_aspect_ratio,
                              pad_to_aspect_ratio, fill_mode, fill_value), 0)  # fmt: skip
    if images.ndim != 4:
        raise ValueError(f"resize expects (batch, height, width, channels) or one image; got {images.shape}.")
    height, width = images.shape[1:3]
    fitting = width * size[0] // size[1], height * size[1] // size[0]  # the height to this width, and the reverse
    if crop_to_aspect_ratio:
        rows, columns = (max(min(old, new), 1) for old, new in zip((height, width), fitting))
        top, left = (height - rows) // 2, (width - columns) // 2
        images = get_item(images, (slice(None), slice(top, top + rows), slice(left, left + columns)))
    elif pad_to_aspect_ratio:
        more = [max(new - old, 0) for old, new in zip((height, width), fitting)]
        pairs = ((0, 0), *[(cells // 2, cells - cells // 2) for cells in more], (0, 0))
        images = Pad.apply(images, pairs=pairs, value=float(fill_value))
    if interpolation == "bilinear":
        return Resize.apply(images, size=size)
    if not any(new % old for old, new in zip(images.shape[1:3], size)):
        factors = [new // old for old, new in zip(images.shape[1:3], size)]
        return Repeat.apply(images, factors=(1, *factors, 1))
    for axis, new in enumerate(size, 1):
        old = images.shape[axis]
        images = take(images, (2 * np.arange(new) + 1) * old // (2 * new), axis)
    return images
