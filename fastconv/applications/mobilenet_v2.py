"""MobileNetV2 (Sandler et al., 2018): blocks that widen, convolve each channel by itself, and narrow again.

Contract: Keras' arguments, layer names and weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network, rounded, strided_padding
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.layers import (
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    ReLU,
    ZeroPadding2D,
)
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["MobileNetV2", "decode_predictions", "preprocess_input"]

preprocess_input = scaled("tf")
# (filters, strides of the first, expansion, how many) of each stack of blocks
STACKS = (
    (16, 1, 1, 1), (24, 2, 6, 2), (32, 2, 6, 3), (64, 2, 6, 4), (96, 1, 6, 3), (160, 2, 6, 3), (320, 1, 6, 1),
)  # fmt: skip


def _normed(x, name):
    return BatchNormalization(momentum=0.999, name=name)(x)


def _block(x, filters, strides, expansion, number):
    start, channels = x, x.shape[-1]
    prefix = f"block_{number}_" if number else "expanded_conv_"
    if number:
        x = Conv2D(expansion * channels, 1, padding="same", use_bias=False, name=f"{prefix}expand")(x)
        x = ReLU(6.0, name=f"{prefix}expand_relu")(_normed(x, f"{prefix}expand_BN"))
    if strides == 2:
        x = ZeroPadding2D(strided_padding(x, 3), name=f"{prefix}pad")(x)
    padding = "same" if strides == 1 else "valid"
    x = DepthwiseConv2D(3, strides=strides, padding=padding, use_bias=False, name=f"{prefix}depthwise")(x)
    x = ReLU(6.0, name=f"{prefix}depthwise_relu")(_normed(x, f"{prefix}depthwise_BN"))
    x = Conv2D(filters, 1, padding="same", use_bias=False, name=f"{prefix}project")(x)
    x = _normed(x, f"{prefix}project_BN")
    return Add(name=f"{prefix}add")([start, x]) if strides == 1 and channels == filters else x


def MobileNetV2(
    input_shape: tuple[int | None, ...] | None = None, alpha: float = 1.0, include_top: bool = True,
    weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None, pooling: str | None = None,
    classes: int = 1000, classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = None,
) -> Model:  # fmt: skip
    """MobileNetV2 with `alpha` times the filters; arguments as Keras', `weights` None or a file's path. 3,538,984
    weights."""

    def draw(x):
        x = Conv2D(rounded(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="Conv1")(x)
        x = ReLU(6.0, name="Conv1_relu")(_normed(x, "bn_Conv1"))
        number = 0
        for filters, strides, expansion, count in STACKS:
            for place in range(count):
                x = _block(x, rounded(int(filters * alpha)), strides if place == 0 else 1, expansion, number)
                number += 1
        x = Conv2D(rounded(1280 * max(alpha, 1.0)), 1, use_bias=False, name="Conv_1")(x)
        return ReLU(6.0, name="out_relu")(_normed(x, "Conv_1_bn"))

    def top(x, classes, activation):
        return Dense(classes, activation=activation, name="predictions")(GlobalAveragePooling2D()(x))

    size = 224 if input_shape is None else input_shape[0]
    name = name or f"mobilenetv2_{alpha:0.2f}_{size}"
    return network(
        draw, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, top=top,
        pool_names=(None, None),
    )  # fmt: skip
