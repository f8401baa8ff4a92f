"""Xception (Chollet, 2016): residual blocks of separable convolutions.

Contract: Keras' arguments, layer names and weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.layers import Activation, Add, BatchNormalization, Conv2D, MaxPooling2D, SeparableConv2D
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["Xception", "decode_predictions", "preprocess_input"]

preprocess_input = scaled("tf")


def _normed(x, name):
    return BatchNormalization(name=f"{name}_bn")(x)


def _separable(x, filters, name):
    return _normed(SeparableConv2D(filters, 3, padding="same", use_bias=False, name=name)(x), name)


def _relu(x, name):
    return Activation("relu", name=f"{name}_act")(x)


def _halving(x, first, second, number):
    """Two separable convolutions and a pooling, beside a convolution of stride 2."""
    shortcut = Conv2D(second, 1, strides=2, padding="same", use_bias=False)(x)
    shortcut = BatchNormalization()(shortcut)
    name = f"block{number}"
    x = _relu(x, f"{name}_sepconv1") if number > 2 else x  # the first one reads what is activated already
    x = _separable(x, first, f"{name}_sepconv1")
    x = _separable(_relu(x, f"{name}_sepconv2"), second, f"{name}_sepconv2")
    x = MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return Add()([x, shortcut])


def _features(x):
    for name, filters, strides in (("block1_conv1", 32, 2), ("block1_conv2", 64, 1)):
        x = Conv2D(filters, 3, strides=strides, use_bias=False, name=name)(x)
        x = _relu(_normed(x, name), name)
    for number, filters in enumerate((128, 256, 728), 2):
        x = _halving(x, filters, filters, number)
    for number in range(5, 13):
        y = x
        for place in (1, 2, 3):
            name = f"block{number}_sepconv{place}"
            y = _separable(_relu(y, name), 728, name)
        x = Add()([y, x])
    x = _halving(x, 728, 1024, 13)
    for name, filters in (("block14_sepconv1", 1536), ("block14_sepconv2", 2048)):
        x = _relu(_separable(x, filters, name), name)
    return x


def Xception(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "xception",
) -> Model:  # fmt: skip
    """Xception, for pictures of 299x299, at least 71x71; arguments as Keras', `weights` None or a file's path.
    22,910,480 weights."""
    return network(
        _features, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
        size=299, least=71, pool_names=(None, None),
    )  # fmt: skip
