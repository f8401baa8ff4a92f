"""Convolution layers: Conv is the one definition, Conv1D, Conv2D and Conv3D are its names for a rank.

They own a kernel `(*kernel_size, channels / groups, filters)` and a bias `(filters,)`, and know shapes; ops.conv
computes. Convolution is what the families share, those of depthwise.py and transposed.py too. Contract: channels last,
`(batch, *spatial, channels)` in, `(batch, *output, filters)` out.
"""

from __future__ import annotations

from typing import Any

from fastconv import activations, ops
from fastconv.kernels.geometry import per_axis
from fastconv.layers.annotations import (
    ActivationLike,
    ConstraintLike,
    InitializerLike,
    Padding,
    RegularizerLike,
    Shape,
    Sizes,
)
from fastconv.layers.misfits import remedy
from fastconv.layers.spatial import Spatial, positive
from fastconv.tensor import Tensor


class Convolution(Spatial):
    """Base class of all layers that convolve: their common arguments, weights and checks.

    A subclass calls `_set_convolution`, and gives `_weights_for(channels)`, (name, shape, stem) of each weight but the
    bias, where `stem` is how its arguments begin, and `_filters(channels)`, the number of output channels.
    """

    groups = 1

    def _set_convolution(
        self, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias, **rules
    ):
        self.kernel_size = per_axis("kernel_size", kernel_size, self.rank)
        self.dilation_rate = per_axis("dilation_rate", dilation_rate, self.rank)
        self._set_window(strides, padding, data_format)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self._keep_rules(**rules)
        self.bias = None

    def build(self, input_shape: Shape) -> None:
        self.check_input(input_shape)
        channels = input_shape[-1]
        for name, shape, stem in self._weights_for(channels):
            setattr(self, name, self._add_ruled(name, shape, stem))
        if self.use_bias:
            self.bias = self._add_ruled("bias", (self._filters(channels),))

    def check_input(self, shape: Shape) -> None:
        super().check_input(shape)
        channels = shape[-1]
        if channels is None:
            raise ValueError(f"{type(self).__name__} needs a known number of channels; got the input shape {shape}.")
        if channels % self.groups or not channels:
            raise ValueError(
                f"{type(self).__name__}: the channels must be a positive multiple of groups={self.groups}; got "
                f"{channels} in the input shape {shape}."
            )
        if self.built and channels != self._last_shape()[-1]:
            built = self._last_shape()
            raise ValueError(
                f"Layer {self.name!r} ({type(self).__name__}) was built for {built[-1]} "
                f"channel{'s' * (built[-1] > 1)}; got {channels} in the input shape {shape}."
                f"{remedy(shape, built)}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        self.check_input(input_shape)
        return (input_shape[0], *self._output_sizes(input_shape), self._filters(input_shape[-1]))


class Conv(Convolution):
    """Convolution over `rank` spatial axes.

    Arguments, as in Keras: `filters` (output channels), `kernel_size`, `strides`, `padding` ("valid", "same", "causal"
    for one spatial axis, an int for every side, or one (low, high) pair an axis), `data_format` (None,
    "channels_last" or "channels_first"), `dilation_rate`, `groups`, `activation`, `use_bias`, and the initializers, regularizers and
    constraints of kernel and bias, as in Layer. Sizes are an int or one int an axis.
    """

    def __init__(
        self, filters: int, kernel_size: Sizes, strides: Sizes = 1, padding: Padding = "valid",
        data_format: str | None = None, dilation_rate: Sizes = 1, groups: int = 1,
        activation: ActivationLike | None = None, use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self._set_filters(filters, groups)
        self._set_convolution(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            kernel_initializer=kernel_initializer, bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer, bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
        self.kernel = None

    def _set_filters(self, filters, groups):
        self.filters = positive(filters, "filters", self)
        self.groups = positive(groups, "groups", self)
        if self.filters % self.groups:
            raise ValueError(
                f"{type(self).__name__}: filters must be a multiple of groups; got {filters} and {groups}."
            )

    def _weights_for(self, channels):
        return [("kernel", (*self.kernel_size, channels // self.groups, self.filters), "kernel")]

    def _filters(self, channels):
        return self.filters

    def call(self, inputs: Tensor) -> Tensor:
        y = ops.conv(
            inputs, self.kernel, self.strides, self.padding, "channels_last", self.dilation_rate, groups=self.groups,
            bias=self.bias,
        )  # fmt: skip
        return y if self.activation is None else self.activation(y)


class Conv1D(Conv):
    """Convolution along the steps of series: `(batch, steps, channels)` to `(batch, new steps, filters)`.

    >>> layers.Conv1D(16, 5, strides=2, padding="causal", activation="relu")(np.zeros((8, 128, 3))).shape
    (8, 64, 16)

    Arguments as in Conv2D, sizes an int or a tuple of one; padding "causal" too: a step sees none after it.
    """

    rank = 1


class Conv2D(Conv):
    """Convolution of images: `(batch, height, width, channels)` to `(batch, new height, new width, filters)`.

    >>> layers.Conv2D(32, 3, activation="relu")(np.zeros((8, 28, 28, 1))).shape
    (8, 26, 26, 32)
    >>> layers.Conv2D(64, (5, 5), strides=2, padding="same", use_bias=False)(np.zeros((8, 28, 28, 1))).shape
    (8, 14, 14, 64)

    filters: output channels. kernel_size, strides, dilation_rate: an int, or one int an axis. padding: "valid" (none),
    "same" (the output is as large as the input, divided by strides), an int for every side, or one (low, high) pair an
    axis. data_format: "channels_last" (the default) or "channels_first". groups: the channels are convolved in so many
    groups. activation: a name ("relu") or a function. use_bias: whether filters have one. kernel_initializer,
    bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer, kernel_constraint, bias_constraint:
    names, objects or functions of fastconv's modules of these names. Also what every Layer takes: name, trainable,
    dtype, and input_shape, of one sample, for the first layer of a Sequential. Weights: kernel `(rows, columns, channels
    / groups, filters)`, bias `(filters,)`. Input without a channel axis, `(batch, 28, 28)`, is a ValueError.
    """

    rank = 2


class Conv3D(Conv):
    """Convolution of volumes: `(batch, depth, height, width, channels)` to the same with new sizes and `filters`.

    >>> layers.Conv3D(8, 3, padding="same", activation="relu")(np.zeros((2, 8, 16, 16, 1))).shape
    (2, 8, 16, 16, 8)

    Arguments as in Conv2D, sizes an int or one int an axis.
    """

    rank = 3
