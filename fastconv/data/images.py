"""Images in files, by Pillow (extra `[images]`), after `keras.utils.load_img` and its neighbours.

Contract: arrays are (rows, columns, channels); Pillow is loaded at the first use, and its absence is an ImportError that
names the extra.
"""

from __future__ import annotations

import io
import os
from typing import Any

import numpy as np

__all__ = ["array_to_img", "img_to_array", "load_img", "save_img"]

MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow() -> Any:
    """`PIL.Image`, or an ImportError that says how to get it."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("Images in files need Pillow: pip install 'fastconv[images]'.") from error
    return Image


def load_img(
    path: str | os.PathLike | io.BytesIO,
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
) -> Any:
    """The image of a file as a PIL Image.

    color_mode: "grayscale", "rgb" or "rgba". target_size: (rows, columns) to resize to. keep_aspect_ratio: cuts the
    middle of that ratio out before. Raises ValueError for a file that holds no image.
    """
    image_room = pillow()
    if not isinstance(path, (str, bytes, os.PathLike)) and not hasattr(path, "read"):
        raise TypeError(f"path must name a file, or be an open one; got {path!r:.80}.")
    one_of("color_mode", color_mode, tuple(MODES))
    one_of("interpolation", interpolation, INTERPOLATIONS)
    try:
        with image_room.open(path) as file:
            file.load()
            # 16-bit greys stay what they are, as in Keras; everything else takes the mode that was asked for
            grey = color_mode == "grayscale" and file.mode in ("I;16", "I", "L")
            image = file.copy() if grey else file.convert(MODES[color_mode])
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise ValueError(f"{path} holds no image that Pillow can read: {error}") from error
    if target_size is None:
        return image
    rows, columns = target_size
    if keep_aspect_ratio:
        width, height = image.size
        cut_width, cut_height = min(width, height * columns // rows), min(height, width * rows // columns)
        left, top = (width - cut_width) // 2, (height - cut_height) // 2
        image = image.crop((left, top, left + cut_width, top + cut_height))
    if image.size != (columns, rows):
        image = image.resize((columns, rows), getattr(image_room.Resampling, interpolation.upper()))
    return image


def img_to_array(img: Any, data_format: str | None = None, dtype: str | None = None) -> np.ndarray:
    """A PIL Image as an array (rows, columns, channels); dtype None: float32."""
    first = _channels_first(data_format)
    array = _numbers("img", img, dtype)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3:
        raise ValueError(f"An image must have 2 or 3 axes; got the shape {array.shape}.")
    return np.moveaxis(array, -1, 0) if first else array


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True, dtype: str | None = None) -> Any:
    """An array (rows, columns, 1, 3 or 4 channels) as a PIL Image. scale: its least value becomes 0, its largest 255.

    ValueError for values that are no bytes then: NaN, infinite, or without `scale` below 0 or, in colours, above 255.
    """
    array = _numbers("x", x, dtype)
    if array.ndim != 3:
        raise ValueError(f"array_to_img expects one image of 3 axes, (rows, columns, channels); got {array.shape}.")
    if _channels_first(data_format):
        array = np.moveaxis(array, 0, -1)
    if array.shape[-1] not in (1, 3, 4):
        raise ValueError(f"An image has 1, 3 or 4 channels, in its last axis; got the shape {array.shape}.")
    if not array.size or not np.isfinite(array).all():
        raise ValueError(
            f"An image has pixels, all of finite values; got none, NaN or infinity in an array of shape {array.shape}."
        )
    if scale:
        array = array - array.min()
        largest = array.max()
        array = array * (255 / largest) if largest else array
    if array.shape[-1] == 1:
        array = array[..., 0]
        if array.max() > 255:
            return pillow().fromarray(array.astype("int32"))
    if array.min() <= -1 or array.max() >= 256:
        raise ValueError(
            f"Pixels go from 0 to 255; got values from {array.min()} to {array.max()}. Clip them, or leave scale=True."
        )
    return pillow().fromarray(array.astype("uint8"))


def save_img(
    path: str | os.PathLike, x: Any, data_format: str | None = None, file_format: str | None = None, scale: bool = True
) -> None:
    """Writes an array as an image file; the format follows from the path's ending unless it is given."""
    image = array_to_img(x, data_format, scale)
    if image.mode == "RGBA" and (file_format or os.fspath(path).rpartition(".")[2]).lower() in ("jpg", "jpeg"):
        image = image.convert("RGB")
    image.save(path, format=file_format)


def _numbers(name, values, dtype):
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must be an image, or an array of real numbers; got {array.dtype} data.")
    return array.astype("float32" if dtype is None else dtype, copy=False)


def _channels_first(data_format):
    one_of("data_format", data_format, (None, "channels_last", "channels_first"))
    return data_format == "channels_first"


def one_of(name: str, value: Any, allowed: tuple) -> None:
    """Raises ValueError unless the argument `name` has one of the allowed values."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.")
