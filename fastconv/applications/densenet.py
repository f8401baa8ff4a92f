"""DenseNet (Huang et al., 2016): each block's output stands beside its input, so that all later ones see it.

Contract: Keras' arguments, layer names and weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.applications.resnet import normed
from fastconv.layers import (
    Activation,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    MaxPooling2D,
    ZeroPadding2D,
)
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["DenseNet121", "decode_predictions", "preprocess_input"]

preprocess_input = scaled("torch")
GROWTH = 32  # channels that each block adds


def _block(x, name):
    y = Conv2D(4 * GROWTH, 1, use_bias=False, name=f"{name}_1_conv")(normed(x, f"{name}_0"))
    y = Conv2D(GROWTH, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(normed(y, f"{name}_1"))
    return Concatenate(name=f"{name}_concat")([x, y])


def _transition(x, name):
    """Half the channels, half the size."""
    x = Conv2D(x.shape[-1] // 2, 1, use_bias=False, name=f"{name}_conv")(normed(x, name))
    return AveragePooling2D(2, strides=2, name=f"{name}_pool")(x)


def DenseNet121(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "densenet121",
) -> Model:  # fmt: skip
    """DenseNet with 121 layers of weights; arguments as Keras', `weights` None or a file's path. 8,062,504 weights."""

    def draw(x):
        x = Conv2D(64, 7, strides=2, use_bias=False, name="conv1_conv")(ZeroPadding2D(3)(x))
        x = MaxPooling2D(3, strides=2, name="pool1")(ZeroPadding2D(1)(normed(x, "conv1")))
        for stack, depth in enumerate((6, 12, 24, 16), 2):
            for number in range(1, depth + 1):
                x = _block(x, f"conv{stack}_block{number}")
            x = _transition(x, f"pool{stack}") if stack < 5 else x
        return Activation("relu", name="relu")(BatchNormalization(epsilon=1.001e-5, name="bn")(x))

    return network(draw, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation)
