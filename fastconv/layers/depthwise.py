"""Depthwise and separable convolution layers, where each channel has filters of its own; the ranks are names.

A DepthwiseConv owns a kernel `(*kernel_size, channels, depth_multiplier)` and a bias; a SeparableConv such a
depthwise_kernel, a pointwise_kernel `(*ones, channels * depth_multiplier, filters)` and a bias. ops.depthwise_conv and
ops.separable_conv compute. Contract: channels last, as in convolutional.py.
"""

from __future__ import annotations

from typing import Any

from fastconv import ops
from fastconv.layers.annotations import ActivationLike, ConstraintLike, InitializerLike, Padding, RegularizerLike, Sizes
from fastconv.layers.convolutional import Convolution
from fastconv.layers.spatial import positive
from fastconv.tensor import Tensor


class DepthwiseConv(Convolution):
    """Convolution of each channel by `depth_multiplier` filters of its own, whose outputs stand together.

    Other arguments, as in Keras: `kernel_size`, `strides`, `padding` (as Conv's), `data_format` (as Conv's), `dilation_rate`, `activation`, `use_bias`, and the initializers, regularizers and constraints of
    kernel (`depthwise_...`) and bias, as in Layer.
    """

    def __init__(
        self, kernel_size: Sizes, strides: Sizes = 1, padding: Padding = "valid", depth_multiplier: int = 1,
        data_format: str | None = None, dilation_rate: Sizes = 1, activation: ActivationLike | None = None,
        use_bias: bool = True, depthwise_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", depthwise_regularizer: RegularizerLike | None = None,
        bias_regularizer: RegularizerLike | None = None, activity_regularizer: RegularizerLike | None = None,
        depthwise_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.depth_multiplier = positive(depth_multiplier, "depth_multiplier", self)
        self._set_convolution(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            depthwise_initializer=depthwise_initializer, bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer, bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint, bias_constraint=bias_constraint,
        )  # fmt: skip
        self.kernel = None

    def _weights_for(self, channels):
        return [("kernel", (*self.kernel_size, channels, self.depth_multiplier), "depthwise")]

    def _filters(self, channels):
        return channels * self.depth_multiplier

    def call(self, inputs: Tensor) -> Tensor:
        y = ops.depthwise_conv(
            inputs, self.kernel, self.strides, self.padding, "channels_last", self.dilation_rate, bias=self.bias
        )
        return y if self.activation is None else self.activation(y)


class SeparableConv(Convolution):
    """Depthwise convolution, then a convolution of one cell over the channels: Conv with far fewer weights.

    Arguments, as in Keras: `filters` (output channels), `kernel_size`, `strides`, `padding` (as Conv's), `data_format`
    (as Conv's), `dilation_rate`, `depth_multiplier`, `activation`, `use_bias`, and the initializers,
    regularizers and constraints of both kernels (`depthwise_...`, `pointwise_...`) and bias, as in Layer.
    """

    def __init__(
        self, filters: int, kernel_size: Sizes, strides: Sizes = 1, padding: Padding = "valid",
        data_format: str | None = None, dilation_rate: Sizes = 1, depth_multiplier: int = 1,
        activation: ActivationLike | None = None, use_bias: bool = True,
        depthwise_initializer: InitializerLike | None = "glorot_uniform",
        pointwise_initializer: InitializerLike | None = "glorot_uniform",
        bias_initializer: InitializerLike | None = "zeros", depthwise_regularizer: RegularizerLike | None = None,
        pointwise_regularizer: RegularizerLike | None = None, bias_regularizer: RegularizerLike | None = None,
        activity_regularizer: RegularizerLike | None = None, depthwise_constraint: ConstraintLike | None = None,
        pointwise_constraint: ConstraintLike | None = None, bias_constraint: ConstraintLike | None = None,
        **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive(filters, "filters", self)
        self.depth_multiplier = positive(depth_multiplier, "depth_multiplier", self)
        self._set_convolution(
            kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias,
            depthwise_initializer=depthwise_initializer, pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer, depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer, bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint, pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
        )  # fmt: skip
        self.depthwise_kernel = self.pointwise_kernel = None

    def _weights_for(self, channels):
        wide = channels * self.depth_multiplier
        return [
            ("depthwise_kernel", (*self.kernel_size, channels, self.depth_multiplier), "depthwise"),
            ("pointwise_kernel", (*(1,) * self.rank, wide, self.filters), "pointwise"),
        ]

    def _filters(self, channels):
        return self.filters

    def call(self, inputs: Tensor) -> Tensor:
        y = ops.separable_conv(
            inputs, self.depthwise_kernel, self.pointwise_kernel, self.strides, self.padding,
            "channels_last", self.dilation_rate, bias=self.bias,
        )  # fmt: skip
        return y if self.activation is None else self.activation(y)


class DepthwiseConv1D(DepthwiseConv):
    """Depthwise convolution of `(batch, steps, channels)`; arguments as DepthwiseConv."""

    rank = 1


class DepthwiseConv2D(DepthwiseConv):
    """Depthwise convolution of `(batch, height, width, channels)`; arguments as DepthwiseConv."""

    rank = 2


class DepthwiseConv3D(DepthwiseConv):
    """Depthwise convolution of `(batch, depth, height, width, channels)`; arguments as DepthwiseConv."""

    rank = 3


class SeparableConv1D(SeparableConv):
    """Separable convolution of `(batch, steps, channels)`; arguments as SeparableConv."""

    rank = 1


class SeparableConv2D(SeparableConv):
    """Separable convolution of `(batch, height, width, channels)`; arguments as SeparableConv."""

    rank = 2


class SeparableConv3D(SeparableConv):
    """Separable convolution of `(batch, depth, height, width, channels)`; arguments as SeparableConv."""

    rank = 3
