"""Convolution of 1, 2 or 3 spatial axes: the rank is read from the input.

Not here: what a window is (kernels.geometry) and the checks of sizes, channels and groups (kernels).
Contract: channels last; backward is two kernel calls and a sum, each made only where a gradient is wanted.
"""

from __future__ import annotations

from .. import kernels
from ..tensor import Op
from .common import check_data_format, with_sizes


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


def conv_shape(x, kernel, bias, *, strides=1, padding="valid", dilation_rate=1, groups=None):
    """The batch and the output's sizes of a convolution of these shapes; ValueError where they do not fit."""
    if bias is not None and tuple(bias) != (kernel[-1],):
        raise ValueError(f"bias must have one entry a filter, {(kernel[-1],)}; got shape {bias}.")
    if len(x) != len(kernel):
        raise ValueError(f"inputs of shape {x} and a kernel of shape {kernel} must have equally many axes.")
    return with_sizes(x, lambda sizes: kernels.conv_geometry(
        (1, *sizes, x[-1]), kernel, strides, padding, dilation_rate, groups)[0].output)  # fmt: skip


def conv(
    inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1, *, groups=None, bias=None
):
    """inputs (N, *spatial, C), kernel (*sizes, C / groups, K), bias (K,) -> (N, *output, K).

    `strides` and `dilation_rate`: an int or one an axis. `padding`: "valid", "same" (output = ceil(input / stride),
    the odd cell at the end), an int for every side, or one (low, high) pair an axis. `groups` follows from the
    kernel's channels; a given value must agree. ValueError or TypeError where the arguments do not fit.
    """
    check_data_format(data_format)
    return Conv.apply(
        inputs, kernel, bias, strides=strides, padding=padding, dilation_rate=dilation_rate, groups=groups
    )
