"""LeNet-5 (LeCun et al., 1998), for small grey pictures such as digits; Keras has none.

Contract: arguments as the larger networks'. Convolutions and means over windows, tanh between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.building import network
from fastconv.layers import AveragePooling2D, Conv2D, Dense, Flatten
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["LeNet5"]


def _features(x):
    x = Conv2D(6, 5, padding="same", activation="tanh", name="conv1")(x)
    x = AveragePooling2D(2, name="pool1")(x)
    x = Conv2D(16, 5, activation="tanh", name="conv2")(x)
    return AveragePooling2D(2, name="pool2")(x)


def _top(x, classes, activation):
    x = Flatten(name="flatten")(x)
    for name, units in (("fc1", 120), ("fc2", 84)):
        x = Dense(units, activation="tanh", name=name)(x)
    return Dense(classes, activation=activation, name="predictions")(x)


def LeNet5(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 10,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "lenet5",
) -> Model:  # fmt: skip
    """LeNet-5 for pictures of 28x28x1 by default, at least 12x12; 61,706 weights. Scale pictures to 0..1 first."""
    if input_shape is None and input_tensor is None:
        input_shape = (28, 28, 1)
    return network(
        _features, name, include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation,
        least=12, top=_top,
    )  # fmt: skip
