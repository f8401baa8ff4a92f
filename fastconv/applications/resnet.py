"""ResNet (He et al., 2015): blocks that add to their input. ResNet50 is Keras'; ResNet18 and ResNet34, which Keras
lacks, have blocks of two 3x3 convolutions, and names in its style.

Contract: Keras' arguments and, for ResNet50, its layer names and weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.layers import Activation, Add, BatchNormalization, Conv2D, MaxPooling2D, ZeroPadding2D
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["ResNet18", "ResNet34", "ResNet50", "decode_predictions", "preprocess_input"]

preprocess_input = scaled("caffe")
EPSILON = 1.001e-5
FILTERS = (64, 128, 256, 512)


def normed(x, name, activation=True):
    """Batch normalization and ReLU: layers name_bn and name_relu."""
    x = BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return Activation("relu", name=f"{name}_relu")(x) if activation else x


def stem(x, normalized=True, use_bias=True):
    """The first convolution and pooling, which quarter the picture."""
    x = ZeroPadding2D(3, name="conv1_pad")(x)
    x = Conv2D(64, 7, strides=2, use_bias=use_bias, name="conv1_conv")(x)
    x = normed(x, "conv1") if normalized else x
    return MaxPooling2D(3, strides=2, name="pool1_pool")(ZeroPadding2D(1, name="pool1_pad")(x))


def bottleneck(x, filters, strides, widen, name):
    """1x1, 3x3 and 1x1 convolutions; with `widen`, a convolution on the shortcut too."""
    shortcut = x
    if widen:
        shortcut = Conv2D(4 * filters, 1, strides=strides, name=f"{name}_0_conv")(x)
        shortcut = normed(shortcut, f"{name}_0", False)
    x = normed(Conv2D(filters, 1, strides=strides, name=f"{name}_1_conv")(x), f"{name}_1")
    x = normed(Conv2D(filters, 3, padding="same", name=f"{name}_2_conv")(x), f"{name}_2")
    x = normed(Conv2D(4 * filters, 1, name=f"{name}_3_conv")(x), f"{name}_3", False)
    return Activation("relu", name=f"{name}_out")(Add(name=f"{name}_add")([shortcut, x]))


def basic(x, filters, strides, widen, name):
    """Two 3x3 convolutions; with `widen` and another shape, a convolution on the shortcut too."""
    shortcut = x
    if widen and (strides > 1 or x.shape[-1] != filters):
        shortcut = Conv2D(filters, 1, strides=strides, use_bias=False, name=f"{name}_0_conv")(x)
        shortcut = normed(shortcut, f"{name}_0", False)
    x = ZeroPadding2D(1, name=f"{name}_1_pad")(x)
    x = normed(Conv2D(filters, 3, strides=strides, use_bias=False, name=f"{name}_1_conv")(x), f"{name}_1")
    x = normed(Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(x), f"{name}_2", False)
    return Activation("relu", name=f"{name}_out")(Add(name=f"{name}_add")([shortcut, x]))


def resnet(block, depths, use_bias, name, *options):
    """The Model of four stacks of these blocks; `options` are those of `network`, in order."""

    def draw(x):
        x = stem(x, use_bias=use_bias)
        for stack, (filters, depth) in enumerate(zip(FILTERS, depths), 2):
            for number in range(1, depth + 1):
                strides = 2 if number == 1 and stack > 2 else 1
                x = block(x, filters, strides, number == 1, f"conv{stack}_block{number}")
        return x

    return network(draw, name, *options)


def ResNet18(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "resnet18",
) -> Model:  # fmt: skip
    """ResNet with 18 layers of weights, as the paper has it; arguments as ResNet50's."""
    options = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
    return resnet(basic, (2, 2, 2, 2), False, name, *options)


def ResNet34(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "resnet34",
) -> Model:  # fmt: skip
    """ResNet with 34 layers of weights, as the paper has it; arguments as ResNet50's."""
    options = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
    return resnet(basic, (3, 4, 6, 3), False, name, *options)


def ResNet50(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "resnet50",
) -> Model:  # fmt: skip
    """ResNet with 50 layers of weights; arguments as Keras', `weights` None or a file's path. 25,636,712 weights."""
    options = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
    return resnet(bottleneck, (3, 4, 6, 3), True, name, *options)
