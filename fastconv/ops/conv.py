"""Convolution of 1, 2 or 3 spatial axes, depthwise, separable and transposed too: the rank is read from the input.

Not here: what a window is (kernels.geometry) and the checks of sizes, channels and groups (kernels).
Contract: channels last; backward is two kernel calls and a sum, each made only where a gradient is wanted. A transposed
convolution runs the kernels of the convolution that it transposes, with the parts of forward and backward exchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .common import with_sizes
from .shaping import either_layout

__all__ = ["conv", "conv_transpose", "depthwise_conv", "separable_conv"]


class Conv(Op):
    kernels = weights = True

    @staticmethod
    def shape(x, kernel, bias=None, **geometry):
        return (*conv_shape(x, kernel, bias, **geometry), kernel[-1])

    def forward(self, x, kernel, bias, **geometry):
        self.x, self.kernel, self.geometry = x, kernel, geometry
        return kernels.conv_forward(x, kernel, bias, packs=self.packs, **geometry)

    def backward(self, dy):
        x, kernel, geometry = self.x, self.kernel, self.geometry
        dx = kernels.conv_backward_input(dy, kernel, x.shape, **geometry) if self.needs[0] else None
        dkernel = kernels.conv_backward_kernel(dy, x, kernel.shape, **geometry) if self.needs[1] else None
        dbias = kernels.bias_backward(dy) if self.needs[2] else None
        return dx, dkernel, dbias


class DepthwiseConv(Conv):
    """Conv in as many groups as channels; kernel (*sizes, C, M), whose output channels are c * M + m."""

    @staticmethod
    def shape(x, kernel, bias=None, **geometry):
        _check_axes(x, kernel)
        if x[-1] != kernel[-2]:
            raise ValueError(
                f"a depthwise kernel of shape {kernel} is for {kernel[-2]} channels, its axis before the last; got inputs "
                f"of shape {x}."
            )
        return Conv.shape(x, grouped_kernel(kernel), bias, **geometry)

    def forward(self, x, kernel, bias, **geometry):
        self.shape(x.shape, kernel.shape, None if bias is None else bias.shape, **geometry)
        self.kernel_shape = kernel.shape
        return super().forward(x, kernel.reshape(grouped_kernel(kernel.shape)), bias, **geometry)

    def backward(self, dy):
        dx, dkernel, dbias = super().backward(dy)
        return dx, None if dkernel is None else dkernel.reshape(self.kernel_shape), dbias


def grouped_kernel(kernel):
    return (*kernel[:-2], 1, kernel[-2] * kernel[-1])


class ConvTranspose(Op):
    kernels = weights = True

    @staticmethod
    def shape(x, kernel, bias=None, *, groups=1, **geometry):
        sizes = with_sizes(x, lambda sizes: _transposed((1, *sizes, x[-1]), kernel, groups=groups, **geometry)[0][1:-1])
        _check_bias(bias, kernel[-2] * groups)
        return (*sizes, kernel[-2] * groups)

    def forward(self, x, kernel, bias, *, groups=1, **geometry):
        shape, window = _transposed(x.shape, kernel.shape, groups=groups, **geometry)
        self.x, self.kernel = x, kernel
        self.geometry = dict(
            strides=window.strides, padding=window.padding, dilation_rate=window.dilation, groups=groups
        )  # fmt: skip
        return kernels.conv_backward_input(x, kernel, shape, bias, packs=self.packs, **self.geometry)

    def backward(self, dy):
        x, kernel, geometry = self.x, self.kernel, self.geometry
        dx = kernels.conv_forward(dy, kernel, **geometry) if self.needs[0] else None
        dkernel = kernels.conv_backward_kernel(x, dy, kernel.shape, **geometry) if self.needs[1] else None
        dbias = kernels.bias_backward(dy) if self.needs[2] else None
        return dx, dkernel, dbias


def _transposed(x, kernel, *, strides=1, padding="valid", output_padding=None, dilation_rate=1, groups=1):
    _check_axes(x, kernel)
    return kernels.conv_transpose_geometry(x, kernel, strides, padding, output_padding, dilation_rate, groups)


def conv_shape(x, kernel, bias, *, strides=1, padding="valid", dilation_rate=1, groups=None):
    """The batch and the output's sizes of a convolution of these shapes; ValueError where they do not fit."""
    _check_axes(x, kernel)
    _check_bias(bias, kernel[-1])
    return with_sizes(x, lambda sizes: kernels.conv_geometry(
        (1, *sizes, x[-1]), kernel, strides, padding, dilation_rate, groups)[0].output)  # fmt: skip


def _check_axes(x, kernel):
    if len(x) != len(kernel) or len(x) not in (3, 4, 5):
        raise ValueError(
            f"inputs of shape {x} and a kernel of shape {kernel} must have equally many axes, 3 to 5: one to three are "
            "spatial."
        )


def _check_bias(bias, filters):
    if bias is not None and tuple(bias) != (filters,):
        raise ValueError(f"bias must have one entry a filter, {(filters,)}; got shape {bias}.")


@either_layout
def conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    *,
    groups: int | None = None,
    bias: TensorLike | None = None,
) -> Tensor:
    """inputs (N, *spatial, C), kernel (*sizes, C / groups, K), bias (K,) -> (N, *output, K).

    `strides` and `dilation_rate`: an int or one an axis. `padding`: "valid", "same" (output = ceil(input / stride),
    the odd cell at the end), "causal" (one spatial axis: no output reads what comes after it), an int for every side,
    or one (low, high) pair an axis. `groups` follows from the
    kernel's channels; a given value must agree. ValueError or TypeError where the arguments do not fit.

    >>> ops.conv(np.zeros((8, 28, 28, 1), "float32"), np.zeros((5, 5, 1, 32), "float32"), strides=2, padding=2).shape
    (8, 14, 14, 32)
    """
    return Conv.apply(
        inputs, kernel, bias, strides=strides, padding=padding, dilation_rate=dilation_rate, groups=groups
    )


@either_layout
def depthwise_conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
    *,
    bias: TensorLike | None = None,
) -> Tensor:
    """inputs (N, *spatial, C), kernel (*sizes, C, M), bias (C * M,) -> (N, *output, C * M): each channel alone, by M
    filters of its own, which stand together in the output. Arguments as `conv`'s."""
    return DepthwiseConv.apply(inputs, kernel, bias, strides=strides, padding=padding, dilation_rate=dilation_rate)


@either_layout
def separable_conv(inputs: TensorLike, depthwise_kernel: TensorLike, pointwise_kernel: TensorLike, strides: int | Sequence[int] = 1, padding: str = "valid", data_format: str | None = None, dilation_rate: int | Sequence[int] = 1, *, bias: TensorLike | None = None) -> Tensor:  # fmt: skip
    """`depthwise_conv`, then a `conv` of one cell over its channels: inputs (N, *spatial, C), depthwise_kernel
    (*sizes, C, M), pointwise_kernel (*ones, C * M, K), bias (K,) -> (N, *output, K)."""
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, "channels_last", dilation_rate)
    return conv(y, pointwise_kernel, data_format="channels_last", bias=bias)


@either_layout
def conv_transpose(inputs: TensorLike, kernel: TensorLike, strides: int | Sequence[int] = 1, padding: str = "valid", output_padding: int | Sequence[int] | None = None, data_format: str | None = None, dilation_rate: int | Sequence[int] = 1, *, groups: int | None = 1, bias: TensorLike | None = None) -> Tensor:  # fmt: skip
    """inputs (N, *spatial, C), kernel (*sizes, K / groups, C), bias (K,) -> (N, *output, K): each input cell spreads
    the kernel over the output, `strides` cells apart; the gradient of `conv` in the inputs.

    `padding` "valid", "same" or explicit is cut off the output, and `output_padding` (less than strides) sets its size
    among those that `strides` leave open, by Keras' rules: see kernels.Window.transposed. Other arguments as `conv`'s.
    """
    return ConvTranspose.apply(
        inputs, kernel, bias, strides=strides, padding=padding, output_padding=output_padding,
        dilation_rate=dilation_rate, groups=groups,
    )  # fmt: skip
