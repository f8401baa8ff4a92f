"""Differentiable operations, named after keras.ops; they also give Tensor its operators and methods.

Each family has a file where forward and backward stand side by side. Contract: ops take Tensors, NumPy arrays or
numbers and return Tensors. Arrays are float32 or float64, of one dtype in one call, else TypeError; a number or a list
takes the dtype of the others. Nothing is converted silently.
"""

from __future__ import annotations

from ..tensor import Tensor
from . import image  # noqa: F401 (keras.ops.image)
from .activations import (
    clipped_relu,
    elu,
    gelu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    softsign,
    swish,
    tanh,
    tanh_shrink,
)
from .conv import conv, conv_transpose, depthwise_conv, separable_conv
from .conv_pool import conv_pool
from .copying import flip, pad, repeat, tile, upsample
from .dropout import dropout
from .elementwise import (
    abs,
    add,
    clip,
    divide,
    erf,
    exp,
    log,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    reciprocal,
    rsqrt,
    sqrt,
    square,
    subtract,
)
from .gates import (
    celu,
    glu,
    hard_shrink,
    soft_shrink,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    threshold,
)
from .indexing import get_item, slice, take, take_along_axis
from .joining import concatenate, split, stack, unstack
from .linear import dense, matmul
from .losses import binary_crossentropy, categorical_crossentropy, sparse_categorical_crossentropy
from .normalization import (
    batch_norm,
    batch_normalization,
    group_norm,
    layer_norm,
    layer_normalization,
    moments,
    normalize,
    rms_normalization,
)
from .pooling import (
    adaptive_average_pool,
    adaptive_max_pool,
    average_pool,
    global_average_pool,
    global_max_pool,
    max_pool,
)
from .reductions import max, mean, min, std, sum, var
from .shaping import (
    broadcast_to,
    cast,
    check_labels,
    convert_to_tensor,
    expand_dims,
    moveaxis,
    one_hot,
    reshape,
    squeeze,
    swapaxes,
    transpose,
)

__all__ = [
    "abs",
    "adaptive_average_pool",
    "adaptive_max_pool",
    "add",
    "average_pool",
    "batch_norm",
    "batch_normalization",
    "binary_crossentropy",
    "broadcast_to",
    "cast",
    "categorical_crossentropy",
    "celu",
    "clip",
    "clipped_relu",
    "concatenate",
    "conv",
    "conv_pool",
    "conv_transpose",
    "convert_to_tensor",
    "dense",
    "depthwise_conv",
    "divide",
    "dropout",
    "elu",
    "erf",
    "exp",
    "expand_dims",
    "flip",
    "gelu",
    "get_item",
    "global_average_pool",
    "global_max_pool",
    "glu",
    "group_norm",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "layer_norm",
    "layer_normalization",
    "leaky_relu",
    "log",
    "log_sigmoid",
    "log_softmax",
    "matmul",
    "max",
    "max_pool",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mish",
    "moments",
    "moveaxis",
    "multiply",
    "negative",
    "normalize",
    "one_hot",
    "pad",
    "power",
    "reciprocal",
    "relu",
    "relu6",
    "repeat",
    "reshape",
    "rms_normalization",
    "rsqrt",
    "selu",
    "separable_conv",
    "sigmoid",
    "silu",
    "slice",
    "soft_shrink",
    "softmax",
    "softplus",
    "softsign",
    "sparse_categorical_crossentropy",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "split",
    "sqrt",
    "square",
    "squareplus",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "swish",
    "take",
    "take_along_axis",
    "tanh",
    "tanh_shrink",
    "threshold",
    "tile",
    "transpose",
    "unstack",
    "upsample",
    "var",
]


def _reflected(operation):
    return lambda self, other: operation(other, self)


def _several(operation):
    """A method that takes its axes or sizes one by one or as one tuple: x.reshape(2, 3) or x.reshape((2, 3))."""

    def method(self, *numbers):
        return operation(self, numbers[0] if len(numbers) == 1 else numbers or None)

    return method


METHODS = {
    "__add__": add,
    "__radd__": add,
    "__sub__": subtract,
    "__rsub__": _reflected(subtract),
    "__mul__": multiply,
    "__rmul__": multiply,
    "__truediv__": divide,
    "__rtruediv__": _reflected(divide),
    "__pow__": power,
    "__rpow__": _reflected(power),
    "__matmul__": matmul,
    "__rmatmul__": _reflected(matmul),
    "__neg__": negative,
    "__abs__": abs,
    "__getitem__": get_item,
    "sum": sum,
    "mean": mean,
    "max": max,
    "min": min,
    "var": var,
    "std": std,
    "reshape": _several(reshape),
    "transpose": _several(transpose),
    "T": property(transpose),
    "flatten": lambda self: reshape(self, -1),
    "astype": cast,
}
for _name, _method in METHODS.items():
    setattr(Tensor, _name, _method)
