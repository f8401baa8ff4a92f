"""Operations that fusion puts in the place of several: no layer and no user calls them.

Contract: values and gradients are those of the operations they replace, one after another; what stands between them is
never stored.
"""

from __future__ import annotations

from .. import kernels
from ..tensor import Op, Parameter
from .conv import Conv, DepthwiseConv, grouped_kernel
from .normalization import BatchNorm, BatchNormInference


class ConvRelu(Conv):
    """relu(conv(x)), up to `most` where given."""

    @staticmethod
    def shape(x, kernel, bias, *, most, **geometry):
        return Conv.shape(x, kernel, bias, **geometry)

    def forward(self, x, kernel, bias, *, most, **geometry):
        self.x, self.kernel, self.geometry, self.most = x, kernel, geometry, most
        self.y = kernels.conv_forward(x, kernel, bias, packs=self.packs, relu=True, most=most, **geometry)
        return self.y

    def backward(self, dy):
        if self.most is None:
            return super().backward(kernels.relu_backward(dy, self.y))
        return super().backward(kernels.map_backward("clipped_relu", dy, self.y, self.most))


class ConvMap(Conv):
    """A function of one element, `map`, of a convolution; for what nobody trains."""

    @staticmethod
    def shape(x, kernel, bias, *, map, **geometry):
        return Conv.shape(x, kernel, bias, **geometry)

    def forward(self, x, kernel, bias, *, map, **geometry):
        return kernels.conv_forward(x, kernel, bias, packs=self.packs, map=map, **geometry)


class ConvNorm(Conv):
    """Batch normalization by given statistics folded into the convolution before it, the sum with a residual, ReLU up to
    `most` and the function `map`, each where asked for; for what nobody trains. Inputs as Conv's, then gamma, beta, mean,
    variance and the residual."""

    @staticmethod
    def shape(
        x, kernel, bias, gamma, beta, mean, variance, residual=None, *, epsilon, relu, most, map=None, **geometry
    ):
        return Conv.shape(x, kernel, bias, **geometry)

    @staticmethod
    def arrange(kernel):
        """The kernel as the kernels take it."""
        return kernel

    def forward(
        self, x, kernel, bias, gamma, beta, mean, variance, residual=None, *, epsilon, relu, most, map=None, **geometry
    ):  # fmt: skip
        kernel = self.arrange(kernel)
        folded = self.packs.get("folded") if self.packs else None
        if folded is None:
            scale, shift = kernels.batch_norm_fold(gamma, beta, mean, variance, epsilon)
            if bias is not None:
                shift = kernels.combine("add", shift, kernels.combine("multiply", bias, scale))
            # Of one group the kernels scale what they make of the weights, and no second kernel is kept.
            folded = scale if kernel.shape[-2] == x.shape[-1] else kernels.combine("multiply", kernel, scale), shift
            if self.packs:
                self.packs.keep("folded", folded, folded[0].nbytes + folded[1].nbytes)
        first, shift = folded
        kernel, scale = (kernel, first) if first.ndim == 1 else (first, None)
        return kernels.conv_forward(
            x, kernel, shift, packs=self.packs, relu=relu, most=most, residual=residual, scale=scale, map=map,
            **geometry,
        )  # fmt: skip

    def take_packs(self, inputs):
        if all(value is None or isinstance(value, Parameter) for value in inputs[1:7]) and not any(self.needs[1:7]):
            self.packs = inputs[1].packs(*inputs[2:7])


class DepthwiseConvNorm(ConvNorm):
    @staticmethod
    def shape(
        x, kernel, bias, gamma, beta, mean, variance, residual=None, *, epsilon, relu, most, map=None, **geometry
    ):
        return DepthwiseConv.shape(x, kernel, bias, **geometry)

    @staticmethod
    def arrange(kernel):
        return kernel.reshape(grouped_kernel(kernel.shape))


class BatchNormAct(BatchNorm):
    """relu(batch_norm(x) + residual), each of both where it is asked for, ReLU up to `most`; inputs as BatchNorm's, then
    the residual."""

    @staticmethod
    def shape(x, gamma, beta, moving_mean, moving_variance, residual=None, *, momentum, epsilon, relu, most):
        return x

    def forward(self, x, gamma, beta, moving_mean, moving_variance, residual=None, *, momentum, epsilon, relu, most):
        self.x, self.gamma, self.residual, self.most = x, gamma, residual is not None, most
        y, self.mean, self.inverse_std, variance = kernels.batch_norm_forward(
            x, gamma, beta, epsilon, residual, relu, most
        )
        self.y = y if relu else None
        kernels.batch_norm_update(moving_mean, moving_variance, self.mean, variance, momentum)
        return y

    def backward(self, dy):
        dx, dgamma, dbeta, dresidual = kernels.batch_norm_backward(
            dy, self.x, self.gamma, self.mean, self.inverse_std, self.y, self.needs[:3],
            self.residual and self.needs[5], self.most,
        )  # fmt: skip
        gradients = (dx, dgamma, dbeta, None, None)
        return (*gradients, dresidual) if self.residual else gradients


class BatchNormInferenceAct(BatchNormInference):
    """The same with given statistics."""

    @staticmethod
    def shape(x, gamma, beta, mean, variance, residual=None, *, epsilon, relu, most):
        return x

    def forward(self, x, gamma, beta, mean, variance, residual=None, *, epsilon, relu, most):
        self.x, self.gamma, self.mean, self.residual, self.most = x, gamma, mean, residual is not None, most
        y, self.inverse_std = kernels.batch_norm_inference_forward(
            x, gamma, beta, mean, variance, epsilon, residual, relu, most
        )
        self.y = y if relu else None
        return y

    def backward(self, dy):
        gradients = kernels.batch_norm_inference_backward(
            dy, self.x, self.gamma, self.mean, self.inverse_std, self.y, self.needs[:5],
            self.residual and self.needs[5], self.most,
        )  # fmt: skip
        return gradients if self.residual else gradients[:5]


class AddRelu(Op):
    """relu(a + b) of one shape."""

    kernels = True

    def forward(self, a, b):
        self.y = kernels.combine("add_relu", a, b)
        return self.y

    def backward(self, dy):
        cut = kernels.relu_backward(dy, self.y)
        return cut if self.needs[0] else None, cut if self.needs[1] else None
