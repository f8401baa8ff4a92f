"""MobileNetV3 (Howard et al., 2019): MobileNetV2's blocks with gates by channel and the hard swish, in two sizes.

Contract: Keras' arguments, layer names and weights; pictures from 0 to 255 are scaled in the network.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network, rounded, strided_padding
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Multiply,
    ReLU,
    Rescaling,
    ZeroPadding2D,
)
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["MobileNetV3Large", "MobileNetV3Small", "decode_predictions", "preprocess_input"]

preprocess_input = scaled(None)
# (expansion, filters, kernel size, strides, whether it has a gate, whether it has the hard swish) of each block
SMALL = (
    (1, 16, 3, 2, True, False), (72 / 16, 24, 3, 2, False, False), (88 / 24, 24, 3, 1, False, False),
    (4, 40, 5, 2, True, True), (6, 40, 5, 1, True, True), (6, 40, 5, 1, True, True), (3, 48, 5, 1, True, True),
    (3, 48, 5, 1, True, True), (6, 96, 5, 2, True, True), (6, 96, 5, 1, True, True), (6, 96, 5, 1, True, True),
)  # fmt: skip
LARGE = (
    (1, 16, 3, 1, False, False), (4, 24, 3, 2, False, False), (3, 24, 3, 1, False, False), (3, 40, 5, 2, True, False),
    (3, 40, 5, 1, True, False), (3, 40, 5, 1, True, False), (6, 80, 3, 2, False, True), (2.5, 80, 3, 1, False, True),
    (2.3, 80, 3, 1, False, True), (2.3, 80, 3, 1, False, True), (6, 112, 3, 1, True, True),
    (6, 112, 3, 1, True, True), (6, 160, 5, 2, True, True), (6, 160, 5, 1, True, True), (6, 160, 5, 1, True, True),
)  # fmt: skip


def _normed(x, name):
    return BatchNormalization(momentum=0.999, name=name)(x)


def _activated(x, swish):
    return Activation("hard_swish")(x) if swish else ReLU()(x)


def _gate(x, filters, prefix):
    """Squeeze and excitation: each channel times a number from 0 to 1 that all channels' means give."""
    z = GlobalAveragePooling2D(keepdims=True, name=f"{prefix}squeeze_excite_avg_pool")(x)
    z = Conv2D(rounded(filters * 0.25), 1, padding="same", name=f"{prefix}squeeze_excite_conv")(z)
    z = ReLU(name=f"{prefix}squeeze_excite_relu")(z)
    z = Conv2D(filters, 1, padding="same", name=f"{prefix}squeeze_excite_conv_1")(z)
    z = ReLU(6.0)(z + 3.0) * (1.0 / 6.0)
    return Multiply(name=f"{prefix}squeeze_excite_mul")([x, z])


def _block(x, expansion, filters, kernel_size, strides, gate, swish, number):
    start, channels = x, x.shape[-1]
    prefix = f"expanded_conv_{number}_" if number else "expanded_conv_"
    wide = rounded(channels * expansion)
    if number:
        x = Conv2D(wide, 1, padding="same", use_bias=False, name=f"{prefix}expand")(x)
        x = _activated(_normed(x, f"{prefix}expand_bn"), swish)
    if strides == 2:
        x = ZeroPadding2D(strided_padding(x, kernel_size), name=f"{prefix}depthwise_pad")(x)
    padding = "same" if strides == 1 else "valid"
    x = DepthwiseConv2D(kernel_size, strides=strides, padding=padding, use_bias=False, name=f"{prefix}depthwise")(x)
    x = _activated(_normed(x, f"{prefix}depthwise_bn"), swish)
    if gate:
        x = _gate(x, wide, prefix)
    x = Conv2D(filters, 1, padding="same", use_bias=False, name=f"{prefix}project")(x)
    x = _normed(x, f"{prefix}project_bn")
    return Add(name=f"{prefix}add")([start, x]) if strides == 1 and channels == filters else x


def _mobilenet(
    blocks, last, input_shape, alpha, minimalistic, include_top, weights, input_tensor, classes, pooling, dropout_rate,
    classifier_activation, include_preprocessing, name,
):  # fmt: skip
    def draw(x):
        if include_preprocessing:
            x = Rescaling(scale=1.0 / 127.5, offset=-1.0)(x)
        x = Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="conv")(x)
        x = _activated(_normed(x, "conv_bn"), not minimalistic)
        for number, (expansion, filters, kernel_size, strides, gate, swish) in enumerate(blocks):
            if minimalistic:  # for hardware that has neither gates nor large windows
                kernel_size, gate, swish = 3, False, False
            x = _block(x, expansion, rounded(filters * alpha), kernel_size, strides, gate, swish, number)
        x = Conv2D(rounded(6 * x.shape[-1]), 1, padding="same", use_bias=False, name="conv_1")(x)
        return _activated(_normed(x, "conv_1_bn"), not minimalistic)

    def top(x, classes, activation):
        wide = rounded(last * alpha) if alpha > 1.0 else last
        x = Conv2D(wide, 1, padding="same", name="conv_2")(GlobalAveragePooling2D(keepdims=True)(x))
        x = _activated(x, not minimalistic)
        x = Dropout(dropout_rate)(x) if dropout_rate > 0 else x
        x = Flatten()(Conv2D(classes, 1, padding="same", name="logits")(x))
        return Activation(activation, name="predictions")(x)

    return network(
        draw, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, top=top,
        any_size=True,
    )  # fmt: skip


def MobileNetV3Small(
    input_shape: tuple[int | None, ...] | None = None, alpha: float = 1.0, minimalistic: bool = False,
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    classes: int = 1000, pooling: str | None = None, dropout_rate: float = 0.2,
    classifier_activation: str | Callable[..., Any] | None = "softmax", include_preprocessing: bool = True,
    name: str | None = "MobileNetV3Small",
) -> Model:  # fmt: skip
    """The small MobileNetV3; arguments as Keras', `weights` None or a file's path. 2,554,968 weights."""
    return _mobilenet(
        SMALL, 1024, input_shape, alpha, minimalistic, include_top, weights, input_tensor, classes, pooling,
        dropout_rate, classifier_activation, include_preprocessing, name,
    )  # fmt: skip


def MobileNetV3Large(
    input_shape: tuple[int | None, ...] | None = None, alpha: float = 1.0, minimalistic: bool = False,
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    classes: int = 1000, pooling: str | None = None, dropout_rate: float = 0.2,
    classifier_activation: str | Callable[..., Any] | None = "softmax", include_preprocessing: bool = True,
    name: str | None = "MobileNetV3Large",
) -> Model:  # fmt: skip
    """The large MobileNetV3; arguments as Keras', `weights` None or a file's path. 5,507,432 weights."""
    return _mobilenet(
        LARGE, 1280, input_shape, alpha, minimalistic, include_top, weights, input_tensor, classes, pooling,
        dropout_rate, classifier_activation, include_preprocessing, name,
    )  # fmt: skip
