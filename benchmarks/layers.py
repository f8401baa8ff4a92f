"""Layers one by one, as data: a row is a layer of Keras' name, its arguments and the shapes that it takes.

No framework and no arrays here. Contract: names are unique; shapes are channels last with the batch; what is timed is
"inference", the layer's call, and "training", the call in training and the gradients by its inputs and weights for a
given gradient of its output. Every framework builds the layer in its own way, from the same weights.
"""

from typing import NamedTuple


class Row(NamedTuple):
    name: str
    kind: str  # of keras.layers
    options: dict
    shapes: tuple[tuple[int, ...], ...]  # of the inputs
    below: int = 0  # inputs are whole numbers from 0 to this, where it is not 0

    @property
    def differentiable(self):
        """Whether the inputs have a gradient."""
        return not self.below


def _row(kind, shape, name=None, count=1, below=0, **options):
    return Row(name or kind.lower(), kind, options, (shape,) * count, below)


MAPS, SMALL, SERIES, VOLUME = (16, 56, 56, 64), (16, 28, 28, 64), (32, 256, 64), (4, 16, 16, 16, 32)
LAYERS = {row.name: row for row in (
    _row("Dense", (128, 1024), units=512),
    _row("Conv1D", SERIES, filters=64, kernel_size=3, padding="same"),
    _row("Conv2D", MAPS, filters=64, kernel_size=3, padding="same"),
    _row("Conv2D", MAPS, "conv2d 1x1", filters=128, kernel_size=1),
    _row("Conv3D", VOLUME, filters=32, kernel_size=3, padding="same"),
    _row("DepthwiseConv2D", MAPS, kernel_size=3, padding="same"),
    _row("SeparableConv2D", MAPS, filters=64, kernel_size=3, padding="same"),
    _row("Conv2DTranspose", SMALL, filters=32, kernel_size=2, strides=2),
    _row("MaxPooling1D", SERIES, pool_size=2),
    _row("MaxPooling2D", MAPS, pool_size=2),
    _row("MaxPooling3D", VOLUME, pool_size=2),
    _row("AveragePooling2D", MAPS, pool_size=2),
    _row("GlobalAveragePooling2D", MAPS),
    _row("GlobalMaxPooling2D", MAPS),
    _row("BatchNormalization", MAPS, epsilon=1e-5),
    _row("LayerNormalization", (32, 196, 384), epsilon=1e-5),
    _row("GroupNormalization", MAPS, groups=8, epsilon=1e-5),
    _row("ReLU", MAPS),
    _row("LeakyReLU", MAPS, negative_slope=0.1),
    _row("ELU", MAPS),
    _row("PReLU", MAPS, shared_axes=(1, 2)),
    _row("Activation", MAPS, "sigmoid", activation="sigmoid"),
    _row("Activation", MAPS, "tanh", activation="tanh"),
    _row("Activation", MAPS, "gelu", activation="gelu"),
    _row("Activation", MAPS, "silu", activation="silu"),
    _row("Activation", MAPS, "softplus", activation="softplus"),
    _row("Activation", MAPS, "hard_silu", activation="hard_silu"),
    _row("Softmax", (128, 1000)),
    _row("Softmax", MAPS, "softmax of maps"),
    _row("Add", MAPS, count=2),
    _row("Multiply", MAPS, count=2),
    _row("Concatenate", MAPS, count=2),
    _row("Flatten", MAPS),
    _row("Permute", MAPS, dims=(3, 1, 2)),
    _row("UpSampling2D", SMALL, size=2),
    _row("UpSampling2D", SMALL, "upsampling2d bilinear", size=2, interpolation="bilinear"),
    _row("ZeroPadding2D", MAPS, padding=1),
    _row("Rescaling", MAPS, scale=0.5, offset=1.0),
    _row("Embedding", (64, 200), below=10000, input_dim=10000, output_dim=128),
    _row("LSTM", (32, 50, 64), units=64),
    _row("GRU", (32, 50, 64), units=64),
)}  # fmt: skip
