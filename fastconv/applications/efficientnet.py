"""EfficientNet (Tan and Le, 2019): MobileNetV2's blocks with gates by channel and swish.

Contract: Keras' arguments, layer names and weights; pictures from 0 to 255 are scaled in the network.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network, strided_padding
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.initializers import VarianceScaling
from fastconv.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    Multiply,
    Normalization,
    Rescaling,
    Reshape,
    ZeroPadding2D,
)
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["EfficientNetB0", "decode_predictions", "preprocess_input"]

preprocess_input = scaled(None)
# (filters, kernel size, strides of the first, expansion, how many) of each stack of blocks
STACKS = (
    (16, 3, 1, 1, 1), (24, 3, 2, 6, 2), (40, 5, 2, 6, 2), (80, 3, 2, 6, 3), (112, 5, 1, 6, 3), (192, 5, 2, 6, 4),
    (320, 3, 1, 6, 1),
)  # fmt: skip


def filters_initializer():
    return VarianceScaling(2.0, "fan_out", "truncated_normal")


def conv(x, filters, size, name, **options):
    return Conv2D(filters, size, use_bias=False, kernel_initializer=filters_initializer(), name=name, **options)(x)


def _activated(x, bn, activation):
    return Activation("swish", name=activation)(BatchNormalization(name=bn)(x))


def gate(x, filters, prefix):
    """Squeeze and excitation, to a quarter of the block's input channels."""
    z = GlobalAveragePooling2D(name=f"{prefix}se_squeeze")(x)
    z = Reshape((1, 1, x.shape[-1]), name=f"{prefix}se_reshape")(z)
    for channels, activation, name in ((filters, "swish", "se_reduce"), (x.shape[-1], "sigmoid", "se_expand")):
        z = Conv2D(
            channels,
            1,
            padding="same",
            activation=activation,
            kernel_initializer=filters_initializer(),
            name=prefix + name,
        )(z)
    return Multiply(name=f"{prefix}se_excite")([x, z])


def _block(x, filters, size, strides, expansion, drop_rate, prefix):
    start, channels = x, x.shape[-1]
    if expansion != 1:
        x = conv(x, channels * expansion, 1, f"{prefix}expand_conv", padding="same")
        x = _activated(x, f"{prefix}expand_bn", f"{prefix}expand_activation")
    if strides == 2:
        x = ZeroPadding2D(strided_padding(x, size), name=f"{prefix}dwconv_pad")(x)
    x = DepthwiseConv2D(
        size, strides=strides, padding="same" if strides == 1 else "valid", use_bias=False,
        depthwise_initializer=filters_initializer(), name=f"{prefix}dwconv",
    )(x)  # fmt: skip
    x = gate(_activated(x, f"{prefix}bn", f"{prefix}activation"), max(1, channels // 4), prefix)
    x = BatchNormalization(name=f"{prefix}project_bn")(conv(x, filters, 1, f"{prefix}project_conv", padding="same"))
    if strides == 1 and channels == filters:
        if drop_rate > 0:  # of whole blocks, sample by sample
            x = Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{prefix}drop")(x)
        x = Add(name=f"{prefix}add")([x, start])
    return x


def _features(x):
    x = Normalization(axis=3)(Rescaling(1.0 / 255.0)(x))
    x = ZeroPadding2D(strided_padding(x, 3), name="stem_conv_pad")(x)
    x = _activated(conv(x, 32, 3, "stem_conv", strides=2), "stem_bn", "stem_activation")
    number, total = 0, sum(count for *_, count in STACKS)
    for stack, (filters, size, strides, expansion, count) in enumerate(STACKS, 1):
        for place in range(count):
            prefix = f"block{stack}{chr(ord('a') + place)}_"
            x = _block(x, filters, size, strides if place == 0 else 1, expansion, 0.2 * number / total, prefix)
            number += 1
    return _activated(conv(x, 1280, 1, "top_conv", padding="same"), "top_bn", "top_activation")


def top(x, classes, activation):
    x = Dropout(0.2, name="top_dropout")(GlobalAveragePooling2D(name="avg_pool")(x))
    kernels = VarianceScaling(1 / 3, "fan_out", "uniform")
    return Dense(classes, activation=activation, kernel_initializer=kernels, name="predictions")(x)


def EfficientNetB0(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "efficientnetb0",
) -> Model:  # fmt: skip
    """The smallest EfficientNet; arguments as Keras', `weights` None or a file's path. 5,330,571 weights."""
    return network(
        _features, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
        top=top,
    )  # fmt: skip
