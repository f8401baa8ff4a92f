"""Convolution, ReLU and max-pooling as one operation, for models that ask for nothing in between.

Not here: when that is so (layers.fusion), and the windows (kernels). Contract: the value and the gradients are those of
`conv`, `relu` and `max_pool` one after another.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .common import with_sizes
from .conv import conv_shape

__all__ = ["conv_pool"]


class ConvPool(Op):
    kernels = weights = True

    @staticmethod
    def shape(x, kernel, bias, *, pool_size, relu, **geometry):
        batch, *sizes = conv_shape(x, kernel, bias, **geometry)
        return (
            *with_sizes((batch, *sizes, None), lambda s: kernels.Window.of(s, pool_size, pool_size).output),
            kernel[-1],
        )

    def forward(self, x, kernel, bias, *, pool_size, relu, **geometry):
        self.x, self.kernel, self.pool_size, self.geometry = x, kernel, pool_size, geometry
        y, self.index = kernels.conv_pool_forward(x, kernel, bias, pool_size, relu=relu, packs=self.packs, **geometry)
        return y

    def backward(self, dy):
        dx = dkernel = None
        if self.needs[0]:
            dx = kernels.conv_pool_backward_input(
                dy, self.index, self.kernel, self.x.shape, self.pool_size, **self.geometry
            )
        if self.needs[1]:
            dkernel = kernels.conv_pool_backward_kernel(
                dy, self.index, self.x, self.kernel.shape, self.pool_size, **self.geometry
            )
        return dx, dkernel, kernels.conv_pool_backward_bias(dy, self.index) if self.needs[2] else None


def conv_pool(
    inputs: TensorLike,
    kernel: TensorLike,
    bias: TensorLike | None = None,
    pool_size: int | Sequence[int] = 2,
    *,
    relu: bool = True,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    dilation_rate: int | Sequence[int] = 1,
    groups: int | None = None,
) -> Tensor:
    """`max_pool(relu(conv(inputs, kernel, bias=bias)), pool_size)`, the ReLU where asked for; the pool's windows do not
    overlap and are not padded. Arguments and shapes as those ops'; bias may be None."""
    return ConvPool.apply(
        inputs, kernel, bias, pool_size=pool_size, relu=relu, strides=strides, padding=padding,
        dilation_rate=dilation_rate, groups=groups,
    )  # fmt: skip
