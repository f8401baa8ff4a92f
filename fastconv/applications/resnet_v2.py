"""ResNetV2 (He et al., 2016): ResNet whose blocks normalize before they convolve, and end in a bare sum.

Contract: Keras' arguments, layer names and weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.applications.resnet import FILTERS, normed, stem
from fastconv.layers import Add, Conv2D, MaxPooling2D, ZeroPadding2D
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["ResNet50V2", "decode_predictions", "preprocess_input"]

preprocess_input = scaled("tf")


def block(x, filters, strides, widen, name):
    """1x1, 3x3 and 1x1 convolutions of what is normed first; with `widen`, a convolution on the shortcut too."""
    shortcut, y = x, normed(x, f"{name}_preact")
    if widen:
        shortcut = Conv2D(4 * filters, 1, strides=strides, name=f"{name}_0_conv")(y)
    elif strides > 1:
        shortcut = MaxPooling2D(1, strides=strides)(x)
    y = normed(Conv2D(filters, 1, use_bias=False, name=f"{name}_1_conv")(y), f"{name}_1")
    y = ZeroPadding2D(1, name=f"{name}_2_pad")(y)
    y = normed(Conv2D(filters, 3, strides=strides, use_bias=False, name=f"{name}_2_conv")(y), f"{name}_2")
    return Add(name=f"{name}_out")([shortcut, Conv2D(4 * filters, 1, name=f"{name}_3_conv")(y)])


def ResNet50V2(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "resnet50v2",
) -> Model:  # fmt: skip
    """ResNetV2 with 50 layers of weights; arguments as Keras', `weights` None or a file's path. 25,613,800 weights."""

    def draw(x):
        x = stem(x, normalized=False)
        for stack, (filters, depth) in enumerate(zip(FILTERS, (3, 4, 6, 3)), 2):
            for number in range(1, depth + 1):
                strides = 2 if number == depth and stack < 5 else 1  # the last block of a stack halves
                x = block(x, filters, strides, number == 1, f"conv{stack}_block{number}")
        return normed(x, "post")

    return network(draw, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
