"""EfficientNetV2 (Tan and Le, 2021): the early blocks of EfficientNet as one whole convolution each.

Contract: Keras' arguments, layer names and weights; pictures from 0 to 255 are scaled in the network, unless
`include_preprocessing` is False.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network
from fastconv.applications.efficientnet import conv, filters_initializer, gate, top
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.layers import Activation, Add, BatchNormalization, DepthwiseConv2D, Dropout, Normalization, Rescaling
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["EfficientNetV2B0", "decode_predictions", "preprocess_input"]

preprocess_input = scaled(None)
MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels
# (filters, strides of the first, expansion, how many, whole convolutions) of each stack of blocks; all windows are 3x3
STACKS = (
    (16, 1, 1, 1, True), (32, 2, 4, 2, True), (48, 2, 4, 2, True), (96, 2, 4, 3, False), (112, 1, 6, 5, False),
    (192, 2, 6, 8, False),
)  # fmt: skip


def _norm(x, name):
    return BatchNormalization(momentum=0.9, name=name)(x)


def _activated(x, bn, activation):
    return Activation("swish", name=activation)(_norm(x, bn))


def _block(x, filters, strides, expansion, whole, drop_rate, prefix):
    start, channels = x, x.shape[-1]
    if expansion != 1:
        size, stride = (3, strides) if whole else (1, 1)
        x = conv(x, channels * expansion, size, f"{prefix}expand_conv", strides=stride, padding="same")
        x = _activated(x, f"{prefix}expand_bn", f"{prefix}expand_activation")
    if not whole:
        x = DepthwiseConv2D(
            3, strides=strides, padding="same", use_bias=False, depthwise_initializer=filters_initializer(),
            name=f"{prefix}dwconv2",
        )(x)  # fmt: skip
        x = gate(_activated(x, f"{prefix}bn", f"{prefix}activation"), max(1, channels // 4), prefix)
    size, stride = (3, strides) if expansion == 1 else (1, 1)
    x = conv(x, filters, size, f"{prefix}project_conv", strides=stride, padding="same")
    x = _norm(x, f"{prefix}project_bn")
    if expansion == 1:
        x = Activation("swish", name=f"{prefix}project_activation")(x)
    if strides == 1 and channels == filters:
        if drop_rate > 0:  # of whole blocks, sample by sample
            x = Dropout(drop_rate, noise_shape=(None, 1, 1, 1), name=f"{prefix}drop")(x)
        x = Add(name=f"{prefix}add")([x, start])
    return x


def _features(x, include_preprocessing):
    if include_preprocessing:
        x = Normalization(axis=3, mean=MEANS, variance=[one * one for one in DEVIATIONS])(Rescaling(1.0 / 255.0)(x))
    x = _activated(conv(x, 32, 3, "stem_conv", strides=2, padding="same"), "stem_bn", "stem_activation")
    number, total = 0, sum(count for *_, count, _ in STACKS)
    for stack, (filters, strides, expansion, count, whole) in enumerate(STACKS, 1):
        for place in range(count):
            prefix = f"block{stack}{chr(ord('a') + place)}_"
            x = _block(x, filters, strides if place == 0 else 1, expansion, whole, 0.2 * number / total, prefix)
            number += 1
    return _activated(conv(x, 1280, 1, "top_conv", padding="same"), "top_bn", "top_activation")


def EfficientNetV2B0(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", include_preprocessing: bool = True,
    name: str | None = "efficientnetv2-b0",
) -> Model:  # fmt: skip
    """The smallest EfficientNetV2; arguments as Keras', `weights` None or a file's path. 7,200,312 weights."""
    return network(
        lambda x: _features(x, include_preprocessing), name, include_top, weights, input_tensor, input_shape, pooling,
        classes, classifier_activation, top=top,
    )  # fmt: skip
