"""VGG (Simonyan and Zisserman, 2014): blocks of 3x3 convolutions, each halved by pooling; VGG16 here, VGG19 beside.

Contract: Keras' arguments, layer names and weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network
from fastconv.applications.imagenet_utils import decode_predictions, scaled
from fastconv.layers import Conv2D, Dense, Flatten, MaxPooling2D
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["VGG16", "decode_predictions", "preprocess_input"]

preprocess_input = scaled("caffe")
FILTERS = (64, 128, 256, 512, 512)


def features(x, depths):
    """The five blocks, with this many convolutions each."""
    for block, (filters, depth) in enumerate(zip(FILTERS, depths), 1):
        for number in range(1, depth + 1):
            x = Conv2D(filters, 3, padding="same", activation="relu", name=f"block{block}_conv{number}")(x)
        x = MaxPooling2D(2, strides=2, name=f"block{block}_pool")(x)
    return x


def top(x, classes, activation):
    x = Flatten(name="flatten")(x)
    for name in ("fc1", "fc2"):
        x = Dense(4096, activation="relu", name=name)(x)
    return Dense(classes, activation=activation, name="predictions")(x)


def vgg(depths, name, *options):
    """The Model; `options` are those of `network`, in order."""
    return network(lambda x: features(x, depths), name, *options, top=top, pool_names=(None, None))


def VGG16(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "vgg16",
) -> Model:  # fmt: skip
    """VGG with 16 layers of weights; arguments as Keras', `weights` None or a file's path. 138,357,544 weights."""
    options = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
    return vgg((2, 2, 3, 3, 3), name, *options)
