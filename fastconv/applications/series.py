"""Networks for time series `(steps, channels)`; Keras has none.

ResNet1D is the residual network of Wang, Yan and Oates (2017), TCN the temporal convolutional network of Bai, Kolter
and Koltun (2018). Contract: series of any length, also open; one output a class for each series.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from fastconv.applications.building import drawn, finished
from fastconv.layers import (
    Activation,
    Add,
    BatchNormalization,
    Conv1D,
    Dense,
    GlobalAveragePooling1D,
    Input,
    SpatialDropout1D,
)
from fastconv.models import Model

__all__ = ["TCN", "ResNet1D"]


def ResNet1D(
    input_shape: tuple[int | None, ...], classes: int = 2, filters: int = 64,
    weights: str | os.PathLike[str] | None = None, classifier_activation: str | Callable[..., Any] | None = "softmax",
    name: str | None = "resnet1d",
) -> Model:  # fmt: skip
    """Three residual blocks of convolutions over 8, 5 and 3 steps, with `filters` and then twice as many channels.

    `input_shape` is (steps, channels), steps None for open lengths; `weights` is None or a file's path.
    """
    with drawn(weights, name):
        x = inputs = _series(input_shape, name)
        for block, channels in enumerate((filters, 2 * filters, 2 * filters), 1):
            y, prefix = x, f"block{block}"
            for size in (8, 5, 3):
                y = Conv1D(channels, size, padding="same", use_bias=False, name=f"{prefix}_conv{size}")(y)
                y = BatchNormalization(name=f"{prefix}_bn{size}")(y)
                y = Activation("relu", name=f"{prefix}_relu{size}")(y) if size > 3 else y
            if x.shape[-1] != channels:
                x = Conv1D(channels, 1, use_bias=False, name=f"{prefix}_shortcut")(x)
            x = BatchNormalization(name=f"{prefix}_shortcut_bn")(x)
            x = Activation("relu", name=f"{prefix}_out")(Add(name=f"{prefix}_add")([x, y]))
        x = GlobalAveragePooling1D(name="avg_pool")(x)
        return finished(inputs, Dense(classes, activation=classifier_activation, name="predictions")(x), name, weights)


def TCN(
    input_shape: tuple[int | None, ...], classes: int = 2, filters: int = 64, kernel_size: int = 3,
    dilations: Sequence[int] = (1, 2, 4, 8, 16), dropout_rate: float = 0.1, return_sequences: bool = False,
    weights: str | os.PathLike[str] | None = None, classifier_activation: str | Callable[..., Any] | None = "softmax",
    name: str | None = "tcn",
) -> Model:  # fmt: skip
    """Residual blocks of two causal convolutions, one block a dilation; no step sees later ones.

    It sees `1 + 2 * (kernel_size - 1) * sum(dilations)` steps back. The outputs are those at the last step, or with
    `return_sequences` at every step. `input_shape` is (steps, channels), steps None for open lengths; `weights` is None
    or a file's path.
    """
    with drawn(weights, name):
        x = inputs = _series(input_shape, name)
        for block, dilation in enumerate(dilations, 1):
            y, prefix = x, f"block{block}"
            for number in (1, 2):
                y = Conv1D(
                    filters, kernel_size, padding="causal", dilation_rate=dilation, activation="relu",
                    kernel_initializer="he_normal", name=f"{prefix}_conv{number}",
                )(y)  # fmt: skip
                y = SpatialDropout1D(dropout_rate, name=f"{prefix}_drop{number}")(y)
            if x.shape[-1] != filters:
                x = Conv1D(filters, 1, name=f"{prefix}_shortcut")(x)
            x = Activation("relu", name=f"{prefix}_out")(Add(name=f"{prefix}_add")([x, y]))
        x = x if return_sequences else x[:, -1]
        return finished(inputs, Dense(classes, activation=classifier_activation, name="predictions")(x), name, weights)


def _series(shape, name):
    if len(shape) != 2:
        raise ValueError(f"{name}: input_shape must be (steps, channels); got {tuple(shape)}.")
    return Input(shape)
