"""Networks for estimators: small ones by the inputs' rank, and four that are published for time series.

Not their training. Contract: each function takes the shape of one sample, channels last, and the number of outputs, and
gives a Model that ends in a softmax, or for `softmax=False` in plain numbers; what else it takes has a default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv import layers
from fastconv.layers import Input
from fastconv.models import Model

__all__ = ["fcn", "inception", "lite", "resnet", "small"]

Shape = tuple[int, ...]


def small(input_shape: Shape, outputs: int, units: int = 64, softmax: bool = True) -> Model:
    """Two hidden layers: dense ones for samples that are rows of features, else convolutions over all axes but the last."""
    x = inputs = Input(input_shape)
    rank = len(input_shape) - 1
    if not rank:
        for _ in range(2):
            x = layers.Dense(units, activation="relu")(x)
    elif rank > 3:
        raise ValueError(
            f"There is no default model for samples of shape {input_shape}: give model=, a function of input_shape and "
            "the number of outputs that returns layers."
        )
    else:
        conv, pool, mean = (
            getattr(layers, f"{name}{rank}D") for name in ("Conv", "MaxPooling", "GlobalAveragePooling")
        )
        x = pool(2, padding="same")(conv(units // 2, 3, padding="same", activation="relu")(x))
        x = mean()(conv(units, 3, padding="same", activation="relu")(x))
    return Model(inputs, layers.Dense(outputs, activation="softmax" if softmax else None)(x))


def fcn(
    input_shape: Shape, outputs: int, filters: Sequence[int] = (128, 256, 128), kernel_size: Sequence[int] = (8, 5, 3)
) -> Model:
    """The fully convolutional network of Wang, Yan and Oates (2017): convolutions, each normalized, and their mean."""
    x = inputs = Input(input_shape)
    for count, size in zip(filters, kernel_size):
        x = _relu(_normalized(x, count, size, True))
    return _classifier(inputs, x, outputs)


def resnet(
    input_shape: Shape, outputs: int, filters: Sequence[int] = (64, 128, 128), kernel_size: Sequence[int] = (8, 5, 3)
) -> Model:
    """The residual network of the same paper: a block for each of `filters`, a convolution in it for each kernel."""
    x = inputs = Input(input_shape)
    for count in filters:
        start = x
        for size in kernel_size[:-1]:
            x = _relu(_normalized(x, count, size, True))
        x = _normalized(x, count, kernel_size[-1], True)
        same = start.shape[-1] == count
        shortcut = layers.BatchNormalization()(start) if same else _normalized(start, count, 1, True)
        x = _relu(layers.Add()([shortcut, x]))
    return _classifier(inputs, x, outputs)


def inception(
    input_shape: Shape, outputs: int, filters: int = 32, kernel_size: int = 40, depth: int = 6, bottleneck: int = 32
) -> Model:
    """One network of InceptionTime (Ismail Fawaz and others, 2020): modules of kernels of three lengths, the longest
    `kernel_size`, beside a maximum, and a residual over every three of them."""
    x = start = inputs = Input(input_shape)
    for number in range(depth):
        narrow = _conv(x, bottleneck, 1) if bottleneck and x.shape[-1] > 1 else x
        parts = [_conv(narrow, filters, _length(kernel_size, part)) for part in range(3)]
        parts.append(_conv(layers.MaxPooling1D(3, strides=1, padding="same")(x), filters, 1))
        x = _relu(layers.BatchNormalization()(layers.Concatenate()(parts)))
        if number % 3 == 2:
            x = start = _relu(layers.Add()([_normalized(start, x.shape[-1], 1, False), x]))
    return _classifier(inputs, x, outputs)


def lite(input_shape: Shape, outputs: int, filters: int = 32, kernel_size: int = 40) -> Model:
    """One network of LITETime (Ismail-Fawaz and others, 2023): three learned lengths beside fixed filters that find rises,
    falls and peaks, then two separable convolutions that reach further."""
    inputs = Input(input_shape)
    parts = [_conv(inputs, filters, _length(kernel_size, part)) for part in range(3)]
    x = layers.Concatenate()([*parts, _relu(_fixed(inputs))])
    x = _relu(layers.BatchNormalization()(x))
    for number in range(2):
        size, reach = _length(kernel_size, number + 1), 2 ** (number + 1)
        x = layers.SeparableConv1D(filters, size, padding="same", dilation_rate=reach, use_bias=False)(x)
        x = _relu(layers.BatchNormalization()(x))
    return _classifier(inputs, x, outputs)


def _fixed(x):
    """LITE's fixed filters, which do not learn: for rising and falling ends of lengths 2 to 64, and for peaks of lengths 6
    to 96; each the same for all channels, and in the middle of one long kernel."""
    filters = []
    for size in (2, 4, 8, 16, 32, 64):
        alternating = np.where(np.arange(size) % 2, 1.0, -1.0)
        filters += [alternating, -alternating]
        if size > 2:
            rise = (np.arange(1, size // 4 + 1) / (size // 4)) ** 2
            hill = np.concatenate([rise, rise[::-1]])
            filters.append(np.concatenate([-hill, 2 * hill, -hill]))
    longest = max(map(len, filters))
    kernel = np.zeros((longest, x.shape[-1], len(filters)))
    for number, values in enumerate(filters):
        start = (longest - len(values)) // 2
        kernel[start : start + len(values), :, number] = values[:, None]
    layer = layers.Conv1D(
        len(filters), longest, padding="same", use_bias=False, kernel_initializer="zeros", trainable=False
    )
    y = layer(x)
    layer.set_weights([kernel])
    return y


def _conv(x, filters, size, use_bias=False):
    return layers.Conv1D(filters, size, padding="same", use_bias=use_bias)(x)


def _normalized(x, filters, size, use_bias):
    return layers.BatchNormalization()(_conv(x, filters, size, use_bias))


def _relu(x):
    return layers.Activation("relu")(x)


def _length(kernel_size, halvings):
    return max(kernel_size >> halvings, 1)


def _classifier(inputs: Any, x: Any, outputs: int) -> Model:
    mean = layers.GlobalAveragePooling1D()(x)
    return Model(inputs, layers.Dense(outputs, activation="softmax")(mean))
