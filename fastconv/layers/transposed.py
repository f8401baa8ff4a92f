"""Transposed convolution layers: ConvTranspose is the one definition, Conv2DTranspose and its siblings are its names.

They own a kernel `(*kernel_size, filters / groups, channels)` and a bias `(filters,)`; ops.conv_transpose computes.
Contract: channels last, as in convolutional.py; sizes by Keras' rules.
"""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.kernels.geometry import Window, per_axis
from fastconv.layers.annotations import ActivationLike, ConstraintLike, InitializerLike, Padding, RegularizerLike, Sizes
from fastconv.layers.convolutional import Conv
from fastconv.tensor import Tensor


class ConvTranspose(Conv):
    """Transposed convolution over `rank` spatial axes, which makes maps larger by `strides`.

    Arguments as Conv, and `output_padding` (None, or less than `strides`), which sets the output's size among those
    that strides leave open: by default "valid" makes `(input - 1) * stride + max(kernel, stride)` cells and "same"
    `input * stride`. Explicit `padding` is cut off each side of what "valid" makes with an output_padding of 0.
    """

    def __init__(
        self, filters: int, kernel_size: Sizes, strides: Sizes = 1, padding: Padding = "valid",
        output_padding: Sizes | None = None, data_format: str | None = None, dilation_rate: Sizes = 1,
        activation: ActivationLike | None = None, use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None, *,
        groups: int = 1, **kwargs: Any,
    ) -> None:  # fmt: skip
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

    def call(self, inputs: Tensor) -> Tensor:
        y = ops.conv_transpose(
            inputs, self.kernel, self.strides, self.padding, self.output_padding, "channels_last", self.dilation_rate,
            groups=self.groups, bias=self.bias,
        )  # fmt: skip
        return y if self.activation is None else self.activation(y)


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
        self, filters: int, kernel_size: Sizes, strides: Sizes = 1, padding: Padding = "valid",
        data_format: str | None = None, output_padding: Sizes | None = None, dilation_rate: Sizes = 1,
        activation: ActivationLike | None = None, use_bias: bool = True,
        kernel_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", kernel_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        kernel_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation, use_bias,
            kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer,
            kernel_constraint, bias_constraint, **kwargs,
        )  # fmt: skip
