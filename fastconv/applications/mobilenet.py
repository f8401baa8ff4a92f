"""MobileNet (Howard et al., 2017): depthwise convolutions, each followed by a 1x1 one.

Contract: Keras' arguments, layer names and weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    DepthwiseConv2D,
    Dropout,
    GlobalAveragePooling2D,
    ReLU,
    Reshape,
    ZeroPadding2D,
)
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["MobileNet", "decode_predictions", "preprocess_input"]

preprocess_input = scaled("tf")
# (filters, strides) of each block
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip


def _normed(x, name):
    return ReLU(6.0, name=f"{name}_relu")(BatchNormalization(name=f"{name}_bn")(x))


def _block(x, filters, strides, depth_multiplier, number):
    if strides > 1:
        x = ZeroPadding2D(((0, 1), (0, 1)), name=f"conv_pad_{number}")(x)
    padding = "same" if strides == 1 else "valid"
    name = f"conv_dw_{number}"
    x = DepthwiseConv2D(
        3, strides=strides, padding=padding, depth_multiplier=depth_multiplier, use_bias=False, name=name
    )(x)
    x = _normed(x, name)
    name = f"conv_pw_{number}"
    return _normed(Conv2D(filters, 1, padding="same", use_bias=False, name=name)(x), name)


def MobileNet(
    input_shape: tuple[int | None, ...] | None = None, alpha: float = 1.0, depth_multiplier: int = 1,
    dropout: float = 0.001, include_top: bool = True, weights: str | os.PathLike[str] | None = None,
    input_tensor: KerasTensor | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = None,
) -> Model:  # fmt: skip
    """MobileNet with `alpha` times the filters; arguments as Keras', `weights` None or a file's path. 4,253,864
    weights."""

    def draw(x):
        x = Conv2D(int(32 * alpha), 3, strides=2, padding="same", use_bias=False, name="conv1")(x)
        x = _normed(x, "conv1")
        for number, (filters, strides) in enumerate(BLOCKS, 1):
            x = _block(x, int(filters * alpha), strides, depth_multiplier, number)
        return x

    def top(x, classes, activation):
        x = Dropout(dropout, name="dropout")(GlobalAveragePooling2D(keepdims=True)(x))
        x = Conv2D(classes, 1, padding="same", name="conv_preds")(x)
        return Activation(activation, name="predictions")(Reshape((classes,), name="reshape_2")(x))

    size = 224 if input_shape is None else input_shape[0]
    name = name or f"mobilenet_{alpha:0.2f}_{size}"
    return network(
        draw, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation, top=top,
        pool_names=(None, None),
    )  # fmt: skip
