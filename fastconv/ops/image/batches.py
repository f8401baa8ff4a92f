"""What all functions of images do to their argument first: one batch, channels last, of a dtype that ops take.

No operation stands here. Contract: `on_batch` undoes what it did, so that a result has the images' rank, layout and dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import config
from ...tensor import FLOAT32, Tensor, wrap
from ..shaping import convert_to_tensor, expand_dims, moveaxis, squeeze


def is_channels_first(data_format: str | None) -> bool:
    """Whether images have this layout, None being `config.image_data_format()`; ValueError for another one."""
    chosen = config.image_data_format() if data_format is None else data_format
    return one_of("data_format", chosen, ("channels_last", "channels_first")) == "channels_first"


def on_batch(
    function: Callable, images: Any, data_format: str | None, *, spatial: int = 2, raw: bool = False, cut: bool = False
):
    """`function(x)` for x (N, *spatial, C), of `images` in this layout, one image or a batch.

    Integers go in as float32 and come back rounded (`cut`: towards 0); with `raw` uint8 goes in as an array, for a
    function that takes it. `function` keeps the rank, or gives one number an image.
    """
    first = is_channels_first(data_format)
    x, integers = as_images(images, raw)
    if x.ndim not in (spatial + 1, spatial + 2):
        names = ("depth", "height", "width")[-spatial:]
        raise ValueError(f"images must be ({', '.join(names)}, channels), or a batch of them; got shape {x.shape}.")
    single = x.ndim == spatial + 1
    array = not isinstance(x, Tensor)
    if single:
        x = x[None] if array else expand_dims(x, 0)
    if first:
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1)) if array else moveaxis(x, 1, -1)
    y = function(x)
    array = not isinstance(y, Tensor)
    if first and y.ndim == spatial + 2:
        y = np.moveaxis(y, -1, 1) if array else moveaxis(y, -1, 1)
    if single:
        y = y[0] if array else squeeze(y, 0)
    return y if integers is None else as_integers(y.data if isinstance(y, Tensor) else y, integers, cut)


def as_images(images: Any, raw: bool = False):
    """(a Tensor of floats, None), or for integers (a float32 Tensor, or with `raw` their array of uint8; their dtype)."""
    if isinstance(images, Tensor) and (images.symbolic or images.dtype.kind == "f"):
        if images.dtype.kind != "f":
            raise TypeError(f"images without data must hold floats; got {images.dtype}. Cast them: ops.cast(x, 'float32').")
        return images, None
    array = images.data if isinstance(images, Tensor) else np.asarray(images)
    if array.dtype.kind not in "iub":
        return convert_to_tensor(array), None
    if raw and array.dtype == np.uint8:
        return array, array.dtype
    return wrap(array.astype(FLOAT32)), array.dtype


def as_integers(array: np.ndarray, dtype: np.dtype, cut: bool = False) -> np.ndarray:
    """Floats rounded (or cut) to integers of this dtype, limited to what it holds."""
    if array.dtype == dtype:
        return array
    if dtype.kind == "b":
        return array != 0
    limits = np.iinfo(dtype)
    return np.clip(array if cut else np.rint(array), limits.min, limits.max).astype(dtype)


def one_of(name: str, value: Any, choices: tuple) -> Any:
    """`value`, or a ValueError that names the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")
    return value
