"""InceptionV3 (Szegedy et al., 2015): branches of windows of several shapes, put beside one another.

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
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv2D,
    MaxPooling2D,
)
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["InceptionV3", "decode_predictions", "preprocess_input"]

preprocess_input = scaled("tf")


def _conv(x, filters, size, strides=1, padding="same"):
    x = Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(x)
    return Activation("relu")(BatchNormalization(scale=False)(x))


def _chain(x, *steps):
    """Convolutions one after another: (filters, size), and (filters, size, 2, "valid") for one that halves."""
    for step in steps:
        x = _conv(x, *step)
    return x


def _pooled(x, filters):
    return _conv(AveragePooling2D(3, strides=1, padding="same")(x), filters, 1)


def _halved(x):
    return MaxPooling2D(3, strides=2)(x)


def _small(x, filters, name):
    """Windows of 1, 5 and twice 3."""
    return Concatenate(name=name)([
        _conv(x, 64, 1), _chain(x, (48, 1), (64, 5)), _chain(x, (64, 1), (96, 3), (96, 3)), _pooled(x, filters),
    ])  # fmt: skip


def _long(x, filters, name):
    """Windows of 7, a row and a column at a time."""
    row, column = (1, 7), (7, 1)
    return Concatenate(name=name)([
        _conv(x, 192, 1),
        _chain(x, (filters, 1), (filters, row), (192, column)),
        _chain(x, (filters, 1), (filters, column), (filters, row), (filters, column), (192, row)),
        _pooled(x, 192),
    ])  # fmt: skip


def _wide(x, number):
    """Windows of 3, rows and columns beside one another."""
    row, column = (1, 3), (3, 1)
    first = _conv(x, 320, 1)
    y = _conv(x, 384, 1)
    second = Concatenate(name=f"mixed9_{number}")([_conv(y, 384, row), _conv(y, 384, column)])
    y = _chain(x, (448, 1), (384, 3))
    third = Concatenate()([_conv(y, 384, row), _conv(y, 384, column)])
    return Concatenate(name=f"mixed{9 + number}")([first, second, third, _pooled(x, 192)])


def _features(x):
    x = _chain(x, (32, 3, 2, "valid"), (32, 3, 1, "valid"), (64, 3))
    x = _chain(_halved(x), (80, 1, 1, "valid"), (192, 3, 1, "valid"))
    x = _halved(x)
    for number, filters in enumerate((32, 64, 64)):
        x = _small(x, filters, f"mixed{number}")
    x = Concatenate(name="mixed3")([
        _conv(x, 384, 3, 2, "valid"), _chain(x, (64, 1), (96, 3), (96, 3, 2, "valid")), _halved(x),
    ])  # fmt: skip
    for number, filters in enumerate((128, 160, 160, 192), 4):
        x = _long(x, filters, f"mixed{number}")
    x = Concatenate(name="mixed8")([
        _chain(x, (192, 1), (320, 3, 2, "valid")),
        _chain(x, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "valid")),
        _halved(x),
    ])  # fmt: skip
    return _wide(_wide(x, 0), 1)


def InceptionV3(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "inception_v3",
) -> Model:  # fmt: skip
    """InceptionV3, for pictures of 299x299, at least 75x75; arguments as Keras', `weights` None or a file's path.
    23,851,784 weights."""
    return network(
        _features, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
        size=299, least=75, pool_names=(None, None),
    )  # fmt: skip
