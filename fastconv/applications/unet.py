"""U-Net (Ronneberger et al., 2015): a label for every pixel or voxel; Keras has none.

Down by pooling, up by transposed convolutions, and each size's features kept for the way up. Contract: the output has
the input's sizes, and one channel a class.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import drawn, finished
from fastconv.layers import (
    Activation,
    BatchNormalization,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Conv3D,
    Conv3DTranspose,
    Input,
    MaxPooling2D,
    MaxPooling3D,
)
from fastconv.models import Model

__all__ = ["UNet2D", "UNet3D"]

_LAYERS = {2: (Conv2D, MaxPooling2D, Conv2DTranspose), 3: (Conv3D, MaxPooling3D, Conv3DTranspose)}


def UNet2D(
    input_shape: tuple[int | None, ...] = (256, 256, 1), classes: int = 2, filters: int = 32, depth: int = 4,
    weights: str | os.PathLike[str] | None = None, classifier_activation: str | Callable[..., Any] | None = "softmax",
    name: str | None = "unet2d",
) -> Model:  # fmt: skip
    """U-Net of pictures `(height, width, channels)`, whose sizes are multiples of 2**depth, or None.

    `filters` are those at full size, doubled at each of the `depth` halvings; `weights` is None or a file's path. With
    classes=1 take classifier_activation="sigmoid".
    """
    return _unet(2, input_shape, classes, filters, depth, weights, classifier_activation, name)


def UNet3D(
    input_shape: tuple[int | None, ...] = (64, 64, 64, 1), classes: int = 2, filters: int = 16, depth: int = 3,
    weights: str | os.PathLike[str] | None = None, classifier_activation: str | Callable[..., Any] | None = "softmax",
    name: str | None = "unet3d",
) -> Model:  # fmt: skip
    """U-Net of volumes `(depth, height, width, channels)`; arguments as UNet2D's."""
    return _unet(3, input_shape, classes, filters, depth, weights, classifier_activation, name)


def _unet(rank, input_shape, classes, filters, depth, weights, activation, name):
    if len(input_shape) != rank + 1:
        raise ValueError(f"{name}: input_shape must have {rank} sizes and the channels; got {tuple(input_shape)}.")
    if any(size is not None and size % 2**depth for size in input_shape[:-1]):
        raise ValueError(
            f"{name}: sizes must be multiples of 2**depth = {2**depth}, so that they can be halved {depth} times; got "
            f"{tuple(input_shape)}. Pad the samples, or take a smaller depth."
        )
    conv, pool, up = _LAYERS[rank]

    def block(x, filters, name):
        for number in (1, 2):
            x = conv(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{number}")(x)
            x = BatchNormalization(name=f"{name}_bn{number}")(x)
            x = Activation("relu", name=f"{name}_relu{number}")(x)
        return x

    with drawn(weights, name):
        x = inputs = Input(input_shape)
        kept = []
        for level in range(depth):
            x = block(x, filters << level, f"down{level + 1}")
            kept.append(x)
            x = pool(2, name=f"down{level + 1}_pool")(x)
        x = block(x, filters << depth, "bottom")
        for level in reversed(range(depth)):
            x = up(filters << level, 2, strides=2, name=f"up{level + 1}_conv")(x)
            x = Concatenate(name=f"up{level + 1}_concat")([kept[level], x])
            x = block(x, filters << level, f"up{level + 1}_block")
        return finished(inputs, conv(classes, 1, activation=activation, name="predictions")(x), name, weights)
