"""Activation functions.

Not here: the functions of one element themselves (kernels).
Contract: NaN stays NaN, nothing overflows on the way. `softmax` and `sigmoid` leave on their result a link to their
input, by which the cross-entropies compute from logits.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import convert_to_tensor, floating
from .common import normalize_axes, normalize_axis, unbroadcast
from .elementwise import Binary, Map, add, clip, maximum, minimum, multiply, negative, subtract
from .shaping import reshape, transpose

__all__ = [
    "clipped_relu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "swish",
    "tanh",
    "tanh_shrink",
]


class Relu(Op):
    kernels = True

    def forward(self, x):
        self.y = kernels.relu_forward(x)
        return self.y

    def backward(self, dy):
        return kernels.relu_backward(dy, self.y)

    def exact(self, x):
        return np.maximum(x, x.dtype.type(0))


class ClippedRelu(Map):
    function = "clipped_relu"


class LeakyRelu(Map):
    function = "leaky_relu"


class Elu(Map):
    function = "elu"


class Selu(Map):
    function = "selu"


class Sigmoid(Map):
    function = "sigmoid"


class HardSigmoid(Map):
    function = "hard_sigmoid"


class Tanh(Map):
    function = "tanh"


class Softplus(Map):
    function = "softplus"


class Softsign(Map):
    function = "softsign"


class Silu(Map):
    function = "silu"


class HardSilu(Map):
    function = "hard_silu"


class Gelu(Map):
    function = "gelu"


class GeluTanh(Map):
    function = "gelu_tanh"


class Mish(Map):
    function = "mish"


class PRelu(Binary):
    """x above 0, elsewhere x times its slope."""

    function = "prelu"
    exact = None

    def save(self, a, b, y):
        self.a, self.b = a, b

    def backward(self, dy):
        da = db = None
        if self.needs[0]:
            da = unbroadcast(dy, self.shapes[0], kernels.combine("prelu_slope", self.a, self.b))
        if self.needs[1]:
            db = unbroadcast(dy, self.shapes[1], kernels.combine("minimum", self.a, 0.0))
        return da, db


class Softmax(Op):
    kernels = True

    def forward(self, x):
        self.y = kernels.softmax_forward(x)
        return self.y

    def backward(self, dy):
        return kernels.softmax_backward(dy, self.y)


class LogSoftmax(Op):
    kernels = True

    def forward(self, x):
        self.y = kernels.log_softmax_forward(x)
        return self.y

    def backward(self, dy):
        return kernels.log_softmax_backward(dy, self.y)


def logistic(x):
    """1 / (1 + exp(-x)) of an array, without overflow."""
    return kernels.map_forward("sigmoid", x)


def _over_axis(op, x, axis):
    """`op`, which runs over the last axis, over another."""
    if axis == x.ndim - 1:
        return op.apply(x)
    axes = [*range(axis), x.ndim - 1, *range(axis + 1, x.ndim - 1), axis]  # exchanges the two
    return transpose(op.apply(transpose(x, axes)), axes)


def relu(x: TensorLike) -> Tensor:
    """max(x, 0)."""
    return Relu.apply(convert_to_tensor(x))


def clipped_relu(x: TensorLike, max_value: float) -> Tensor:
    """x limited to 0 <= x <= max_value."""
    return ClippedRelu.apply(floating(x), most=float(max_value))


def relu6(x: TensorLike) -> Tensor:
    """x limited to 0 <= x <= 6."""
    return clipped_relu(x, 6)


def prelu(x: TensorLike, slope: TensorLike) -> Tensor:
    """x above 0, slope * x below, for a slope that broadcasts to x."""
    return PRelu.apply(x, slope)


def leaky_relu(x: TensorLike, negative_slope: float = 0.2) -> Tensor:
    """x above 0, negative_slope * x below."""
    slope = float(negative_slope)
    if slope < 0:  # the gradient of LeakyRelu tells the sides by the sign of its output
        return maximum(x, multiply(x, slope))
    return LeakyRelu.apply(floating(x), slope=slope)


def elu(x: TensorLike, alpha: float = 1.0) -> Tensor:
    """x above 0, alpha * (exp(x) - 1) below."""
    alpha = float(alpha)
    if alpha < 0:  # likewise
        return add(relu(x), multiply(elu(minimum(x, 0.0)), alpha))
    return Elu.apply(floating(x), alpha=alpha)


def selu(x: TensorLike) -> Tensor:
    """1.0507 times `elu` of alpha 1.6733: what keeps a deep network's activations normalised."""
    return Selu.apply(floating(x))


def sigmoid(x: TensorLike) -> Tensor:
    """1 / (1 + exp(-x))."""
    x = convert_to_tensor(floating(x))
    y = Sigmoid.apply(x)
    y._logits = ("sigmoid", x, None)
    return y


def log_sigmoid(x: TensorLike) -> Tensor:
    """log(sigmoid(x))."""
    return negative(softplus(negative(floating(x))))


def hard_sigmoid(x: TensorLike) -> Tensor:
    """x / 6 + 1/2, limited to 0 <= y <= 1."""
    return HardSigmoid.apply(floating(x))


def tanh(x: TensorLike) -> Tensor:
    """The hyperbolic tangent."""
    return Tanh.apply(floating(x))


def hard_tanh(x: TensorLike) -> Tensor:
    """x limited to -1 <= x <= 1."""
    return clip(x, -1, 1)


def tanh_shrink(x: TensorLike) -> Tensor:
    """x - tanh(x)."""
    return subtract(x, tanh(x))


def softplus(x: TensorLike) -> Tensor:
    """log(1 + exp(x))."""
    return Softplus.apply(floating(x))


def softsign(x: TensorLike) -> Tensor:
    """x / (1 + |x|)."""
    return Softsign.apply(floating(x))


def silu(x: TensorLike) -> Tensor:
    """x * sigmoid(x), also called swish."""
    return Silu.apply(floating(x))


def hard_silu(x: TensorLike) -> Tensor:
    """x * hard_sigmoid(x), also called hard swish."""
    return HardSilu.apply(floating(x))


swish, hard_swish = silu, hard_silu


def gelu(x: TensorLike, approximate: bool = True) -> Tensor:
    """x times the normal distribution's integral up to x: with tanh approximately, or exactly."""
    return (GeluTanh if approximate else Gelu).apply(floating(x))


def mish(x: TensorLike) -> Tensor:
    """x * tanh(softplus(x))."""
    return Mish.apply(floating(x))


def _over_axes(op, x, axis):
    """`op` over several axes as one."""
    axes = normalize_axes(axis, x.ndim)
    rest = [a for a in range(x.ndim) if a not in axes]
    order = [*rest, *axes]
    moved = transpose(x, order)
    rows = reshape(moved, [*[-1 if size is None else size for size in moved.shape[: len(rest)]], -1])
    y = reshape(op.apply(rows), [-1 if size is None else size for size in moved.shape])
    return transpose(y, sorted(range(x.ndim), key=order.__getitem__))


def softmax(x: TensorLike, axis: int | Sequence[int] | None = -1) -> Tensor:
    """exp(x) / sum(exp(x)) over `axis`, or several, or all with None."""
    x = convert_to_tensor(floating(x))
    if axis is None or hasattr(axis, "__len__"):
        return _over_axes(Softmax, x, axis)
    axis = normalize_axis(axis, x.ndim)
    y = _over_axis(Softmax, x, axis)
    y._logits = ("softmax", x, axis)
    return y


def log_softmax(x: TensorLike, axis: int | Sequence[int] | None = -1) -> Tensor:
    """log(softmax(x)) over `axis`, or several, or all with None, computed without leaving the range of x."""
    x = convert_to_tensor(floating(x))
    if axis is None or hasattr(axis, "__len__"):
        return _over_axes(LogSoftmax, x, axis)
    return _over_axis(LogSoftmax, x, normalize_axis(axis, x.ndim))
