"""VGG19: VGG16 with four convolutions in each of the last three blocks.

Contract: Keras' arguments, layer names and weights.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from fastconv.applications.vgg16 import decode_predictions, preprocess_input, vgg
from fastconv.models import Model
from fastconv.symbolic import KerasTensor

__all__ = ["VGG19", "decode_predictions", "preprocess_input"]


def VGG19(
    include_top: bool = True, weights: str | os.PathLike[str] | None = None, input_tensor: KerasTensor | None = None,
    input_shape: tuple[int | None, ...] | None = None, pooling: str | None = None, classes: int = 1000,
    classifier_activation: str | Callable[..., Any] | None = "softmax", name: str | None = "vgg19",
) -> Model:  # fmt: skip
    """VGG with 19 layers of weights; arguments as Keras', `weights` None or a file's path. 143,667,240 weights."""
    options = include_top, weights, input_tensor, input_shape, pooling, classes, classifier_activation
    return vgg((2, 2, 4, 4, 4), name, *options)
