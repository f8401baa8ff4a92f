"""What all functions of images do to their argument first: one batch, channels last, of a dtype that ops take.

Contract: `on_batch` undoes what it did, so that a result has the images' rank, layout and dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ... import config
from ...tensor import FLOAT32, Op, Tensor
from ..casting import cast, convert_to_tensor
from ..shaping import expand_dims, moveaxis, squeeze

BYTE = np.dtype(np.uint8)


class ToIntegers(Op):
    """Floats as integers of this dtype, rounded (or `cut` towards 0) and limited to what it holds."""

    flat = True

    def forward(self, x, *, dtype, cut):
        if dtype.kind == "b":
            return x != 0
        limits = np.iinfo(dtype)
        return np.clip(x if cut else np.rint(x), limits.min, limits.max).astype(dtype)

    def backward(self, dy):
        return None


def on_batch(
    function: Callable[[Tensor], Tensor], images: Any, data_format: str | None, *, spatial: int = 2, raw: bool = False,
    cut: bool = False,
) -> Tensor:  # fmt: skip
    """`function(x)` for x (N, *spatial, C), of `images` in this layout, one image or a batch.

    Integers go in as float32 and come back rounded (`cut`: towards 0); with `raw` uint8 goes in as it is. `function` keeps
    the rank, or gives one number an image.
    """
    first = is_channels_first(data_format)
    x = convert_to_tensor(images)
    given = x.dtype
    if given.kind != "f" and not (raw and given == BYTE):
        x = cast(x, FLOAT32)
    if x.ndim not in (spatial + 1, spatial + 2):
        names = ("depth", "height", "width")[-spatial:]
        raise ValueError(f"images must be ({', '.join(names)}, channels), or a batch of them; got shape {x.shape}.")
    single = x.ndim == spatial + 1
    x = expand_dims(x, 0) if single else x
    y = function(moveaxis(x, 1, -1) if first else x)
    y = moveaxis(y, -1, 1) if first and y.ndim == spatial + 2 else y
    y = squeeze(y, 0) if single else y
    return as_given(y, given, cut)


def as_floats(images: Any) -> tuple[Tensor, np.dtype]:
    """(a Tensor of floats, the dtype that images have)."""
    x = convert_to_tensor(images)
    return (x if x.dtype.kind == "f" else cast(x, FLOAT32)), x.dtype


def as_given(y: Tensor, dtype: np.dtype, cut: bool = False) -> Tensor:
    """y in this dtype, rounded where that is of integers."""
    return y if y.dtype == dtype or dtype.kind == "f" else ToIntegers.apply(y, dtype=dtype, cut=cut)


def is_channels_first(data_format: str | None) -> bool:
    """Whether images have this layout, None being `config.image_data_format()`; ValueError for another one."""
    chosen = config.image_data_format() if data_format is None else data_format
    return one_of("data_format", chosen, ("channels_last", "channels_first")) == "channels_first"


def one_of(name: str, value: Any, choices: tuple) -> Any:
    """`value`, or a ValueError that names the choices."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")
    return value
