"""Transposed convolution layers: ConvTranspose is the one definition, Conv2DTranspose and its siblings are its names.

They own a kernel `(*kernel_size, filters / groups, channels)` and a bias `(filters,)`; ops.conv_transpose computes.
Contract: channels last, as in convolutional.py; sizes by Keras' rules.
"""

from __future__ import annotations

from fastconv import ops
from fastconv.kernels.geometry import Window, per_axis
from fastconv.layers.convolutional import Conv


class ConvTranspose(Conv):
    """Transposed convolution over `rank` spatial axes, which makes maps larger by `strides`.

    Arguments as Conv, and `output_padding` (None, or less than `strides`), which sets the output's size among those
    that strides leave open: by default "valid" makes `(input - 1) * stride + max(kernel, stride)` cells and "same"
    `input * stride`. Explicit `padding` is cut off each side of what "valid" makes with an output_padding of 0.
    """

    def __init__(
        self, filters, kernel_size, strides=1, padding="valid", output_padding=None, data_format=None, dilation_rate=1,
        activation=None, use_bias=True, kernel_initializer="glorot_uniform", bias_initializer="zeros",
        kernel_regularizer=None, bias_regularizer=None, activity_regularizer=None, kernel_constraint=None,
        bias_constraint=None, *, groups=1, **kwargs,
    ):  # fmt: skip
        given = output_padding
        self.output_padding = None if given is None else per_axis("output_padding", given, self.rank, low=0)
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, groups, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip

    def _sizes(self, sizes):
        return Window.transposed(
            sizes, self.kernel_size, self.strides, self.padding, self.output_padding, self.dilation_rate
        ).input

    def _weights_for(self, channels):
        return [("kernel", (*self.kernel_size, self.filters // self.groups, channels), "kernel")]

    def call(self, inputs):
        y = ops.conv_transpose(
            inputs, self.kernel, self.strides, self.padding, self.output_padding, dilation_rate=self.dilation_rate,
            groups=self.groups, bias=self.bias,
        )  # fmt: skip
        return self.activation(y)


class Conv1DTranspose(ConvTranspose):
    """Transposed convolution of `(batch, steps, channels)`; arguments as ConvTranspose."""

    rank = 1


class Conv2DTranspose(ConvTranspose):
    """Transposed convolution of `(batch, height, width, channels)`; arguments as ConvTranspose."""

    rank = 2


class Conv3DTranspose(ConvTranspose):
    """Transposed convolution of `(batch, depth, height, width, channels)`; arguments as ConvTranspose, but as
    in Keras `data_format` stands before `output_padding` here."""

    rank = 3

    def __init__(
        self, filters, kernel_size, strides=1, padding="valid", data_format=None, output_padding=None, *others, **kwargs
    ):
        super().__init__(filters, kernel_size, strides, padding, output_padding, data_format, *others, **kwargs)
