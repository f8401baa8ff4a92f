"""Activation functions.

Contract: NaN stays NaN, nothing overflows on the way. `softmax` and `sigmoid` leave on their result a link to their
input, by which the cross-entropies compute from logits.
"""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..tensor import Op
from .common import elementwise, normalize_axis
from .shaping import convert_to_tensor


class Relu(Op):
    kernels = True

    def forward(self, x):
        self.y = kernels.relu_forward(x)
        return self.y

    def backward(self, dy):
        return kernels.relu_backward(dy, self.y)


class Elu(Op):
    def forward(self, x, *, alpha):
        self.alpha = x.dtype.type(alpha)
        self.rising = x > 0
        self.y = np.where(self.rising, x, self.alpha * np.expm1(np.minimum(x, np.zeros_like(x))))
        return self.y

    def backward(self, dy):
        return np.where(self.rising, dy, dy * (self.y + self.alpha))


class Sigmoid(Op):
    def forward(self, x):
        self.y = logistic(x)
        return self.y

    def backward(self, dy):
        slope = elementwise(np.multiply, self.y, np.subtract(1, self.y, dtype=dy.dtype))
        return elementwise(np.multiply, dy, slope)


class Tanh(Op):
    def forward(self, x):
        self.y = elementwise(np.tanh, x)
        return self.y

    def backward(self, dy):
        return elementwise(np.multiply, dy, np.subtract(1, self.y * self.y, dtype=dy.dtype))


class Softmax(Op):
    kernels = True

    def forward(self, x, *, axis):
        self.axis = axis
        self.y = _on_last_axis(kernels.softmax_forward, axis, x)
        return self.y

    def backward(self, dy):
        return _on_last_axis(kernels.softmax_backward, self.axis, dy, self.y)


class LogSoftmax(Op):
    kernels = True

    def forward(self, x, *, axis):
        self.axis = axis
        self.y = _on_last_axis(kernels.log_softmax_forward, axis, x)
        return self.y

    def backward(self, dy):
        return _on_last_axis(kernels.log_softmax_backward, self.axis, dy, self.y)


def logistic(x):
    """1 / (1 + exp(-x)) of an array, without overflow."""
    tail = np.exp(-np.abs(x))
    return (np.where(x >= 0, 1, tail) / (1 + tail)).astype(x.dtype, copy=False)


def _on_last_axis(kernel, axis, *arrays):
    if axis == arrays[0].ndim - 1:
        return kernel(*arrays)
    return np.moveaxis(kernel(*[np.moveaxis(array, axis, -1) for array in arrays]), -1, axis)


def relu(x):
    """max(x, 0)."""
    return Relu.apply(x)


def elu(x, alpha=1.0):
    """x above 0, alpha * (exp(x) - 1) below."""
    return Elu.apply(x, alpha=float(alpha))


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    x = convert_to_tensor(x)
    y = Sigmoid.apply(x)
    y._logits = ("sigmoid", x, None)
    return y


def tanh(x):
    """The hyperbolic tangent."""
    return Tanh.apply(x)


def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) over `axis`."""
    x = convert_to_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    y = Softmax.apply(x, axis=axis)
    y._logits = ("softmax", x, axis)
    return y


def log_softmax(x, axis=-1):
    """log(softmax(x)) over `axis`, computed without leaving the range of x."""
    x = convert_to_tensor(x)
    return LogSoftmax.apply(x, axis=normalize_axis(axis, x.ndim))
