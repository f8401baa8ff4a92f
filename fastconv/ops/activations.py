"""Activation functions.

Not here: the functions of one element themselves (kernels).
Contract: NaN stays NaN, nothing overflows on the way. `softmax` and `sigmoid` leave on their result a link to their
input, by which the cross-entropies compute from logits.
"""

from __future__ import annotations

from .. import kernels
from ..tensor import Op
from .common import normalize_axis
from .elementwise import Map, add, clip, maximum, minimum, multiply, negative, subtract
from .shaping import convert_to_tensor, transpose


class Relu(Op):
    kernels = True

    def forward(self, x):
        self.y = kernels.relu_forward(x)
        return self.y

    def backward(self, dy):
        return kernels.relu_backward(dy, self.y)


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


def relu(x):
    """max(x, 0)."""
    return Relu.apply(x)


def clipped_relu(x, max_value):
    """x limited to 0 <= x <= max_value."""
    return ClippedRelu.apply(x, most=float(max_value))


def relu6(x):
    """x limited to 0 <= x <= 6."""
    return clipped_relu(x, 6)


def leaky_relu(x, negative_slope=0.2):
    """x above 0, negative_slope * x below."""
    slope = float(negative_slope)
    if slope < 0:  # the gradient of LeakyRelu tells the sides by the sign of its output
        return maximum(x, multiply(x, slope))
    return LeakyRelu.apply(x, slope=slope)


def elu(x, alpha=1.0):
    """x above 0, alpha * (exp(x) - 1) below."""
    alpha = float(alpha)
    if alpha < 0:  # likewise
        return add(relu(x), multiply(elu(minimum(x, 0.0)), alpha))
    return Elu.apply(x, alpha=alpha)


def selu(x):
    """1.0507 times `elu` of alpha 1.6733: what keeps a deep network's activations normalised."""
    return Selu.apply(x)


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    x = convert_to_tensor(x)
    y = Sigmoid.apply(x)
    y._logits = ("sigmoid", x, None)
    return y


def log_sigmoid(x):
    """log(sigmoid(x))."""
    return negative(softplus(negative(x)))


def hard_sigmoid(x):
    """x / 6 + 1/2, limited to 0 <= y <= 1."""
    return HardSigmoid.apply(x)


def tanh(x):
    """The hyperbolic tangent."""
    return Tanh.apply(x)


def hard_tanh(x):
    """x limited to -1 <= x <= 1."""
    return clip(x, -1, 1)


def tanh_shrink(x):
    """x - tanh(x)."""
    return subtract(x, tanh(x))


def softplus(x):
    """log(1 + exp(x))."""
    return Softplus.apply(x)


def softsign(x):
    """x / (1 + |x|)."""
    return Softsign.apply(x)


def silu(x):
    """x * sigmoid(x), also called swish."""
    return Silu.apply(x)


def hard_silu(x):
    """x * hard_sigmoid(x), also called hard swish."""
    return HardSilu.apply(x)


swish, hard_swish = silu, hard_silu


def gelu(x, approximate=True):
    """x times the normal distribution's integral up to x: with tanh approximately, or exactly."""
    return (GeluTanh if approximate else Gelu).apply(x)


def mish(x):
    """x * tanh(softplus(x))."""
    return Mish.apply(x)


def softmax(x, axis=-1):
    """exp(x) / sum(exp(x)) over `axis`."""
    x = convert_to_tensor(x)
    axis = normalize_axis(axis, x.ndim)
    y = _over_axis(Softmax, x, axis)
    y._logits = ("softmax", x, axis)
    return y


def log_softmax(x, axis=-1):
    """log(softmax(x)) over `axis`, computed without leaving the range of x."""
    x = convert_to_tensor(x)
    return _over_axis(LogSoftmax, x, normalize_axis(axis, x.ndim))
