"""`fastconv.preprocessing.image`: images in files, and `smart_resize`; see fastconv.utils."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastconv.ops import image
from fastconv.utils import array_to_img, img_to_array, load_img, save_img

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img", "smart_resize"]


def smart_resize(
    x: Any, size: tuple[int, int], interpolation: str = "bilinear", data_format: str = "channels_last",
    backend_module: None = None,
) -> np.ndarray:  # fmt: skip
    """Images (rows, columns, channels), or a batch of them, as floats of `size`: the middle that has its ratio, resized.

    `backend_module` must be None.
    """
    if backend_module is not None:
        raise ValueError("smart_resize computes with fastconv: leave backend_module out.")
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise TypeError(f"smart_resize takes images of real numbers; got {x.dtype} data.")
    x = x if x.dtype.kind == "f" else x.astype("float32")
    return np.asarray(
        image.resize(x, size, interpolation=interpolation, crop_to_aspect_ratio=True, data_format=data_format)
    )


def __dir__() -> list[str]:
    return __all__
