"""Activation functions under Keras' names, and the closed table by which layers and configs name them.

It holds no weights; the layers that wrap these are in layers/activations.py, the arithmetic is fastconv.ops'.
Contract: a function takes a Tensor, an array or a tensor without data, and gives a Tensor; its defaults are those of
keras.activations, which for `relu` and `gelu` are not those of the ops. `get` takes a name, a config, None (linear) or
any function; `name_of` gives the name back, or None for a function outside the table.
"""

from __future__ import annotations

import math

from fastconv import ops, registry
from fastconv.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    log_softmax,
    sigmoid,
    soft_shrink,
    softmax,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    tanh,
    threshold,
)
from fastconv.ops import exp as exponential


def linear(x):
    """`x` itself."""
    return x


def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """x from `threshold` to `max_value`, max_value above, negative_slope * (x - threshold) below."""
    if not (negative_slope or threshold) and max_value is None:
        return ops.relu(x)
    y = ops.threshold(x, threshold, 0.0) if threshold else ops.relu(x)
    if max_value is not None:
        y = ops.clip(y, 0, max_value)
    if negative_slope:
        y = ops.subtract(y, ops.multiply(ops.relu(ops.subtract(threshold, x)), negative_slope))
    return y


def relu6(x):
    """x limited to 0 <= x <= 6."""
    return ops.clip(x, 0, 6)


def leaky_relu(x, negative_slope=0.2):
    """x above 0, negative_slope * x below."""
    return relu(x, negative_slope)


def selu(x):
    """1.0507 times `elu` of alpha 1.6733: what keeps a deep network's activations normalised."""
    return ops.multiply(elu(x, 1.6732632423543772), 1.0507009873554805)


def log_sigmoid(x):
    """log(sigmoid(x))."""
    return ops.negative(softplus(ops.negative(x)))


def hard_sigmoid(x):
    """x / 6 + 1/2, limited to 0 <= y <= 1."""
    return ops.clip(ops.add(ops.multiply(x, 1 / 6), 0.5), 0, 1)


def hard_tanh(x):
    """x limited to -1 <= x <= 1."""
    return ops.clip(x, -1, 1)


def tanh_shrink(x):
    """x - tanh(x)."""
    return ops.subtract(x, tanh(x))


def softplus(x):
    """log(1 + exp(x))."""
    # A softmax of two classes, one with the logit 0, neither overflows nor has a kink.
    x = ops.expand_dims(x, -1)
    pair = ops.concatenate([x, ops.multiply(x, 0.0)], -1)
    return ops.negative(ops.get_item(log_softmax(pair), (..., 1)))


def softsign(x):
    """x / (1 + |x|)."""
    return ops.divide(x, ops.add(ops.abs(x), 1.0))


def silu(x):
    """x * sigmoid(x), also called swish."""
    return ops.multiply(x, sigmoid(x))


def hard_silu(x):
    """x * hard_sigmoid(x), also called hard swish."""
    return ops.multiply(x, hard_sigmoid(x))


def gelu(x, approximate=False):
    """x times the normal distribution's integral up to x: exactly, or with tanh approximately."""
    if approximate:
        inner = ops.multiply(ops.add(x, ops.multiply(ops.power(x, 3.0), 0.044715)), math.sqrt(2 / math.pi))
        share = tanh(inner)
    else:
        share = ops.erf(ops.multiply(x, math.sqrt(0.5)))
    return ops.multiply(ops.multiply(x, 0.5), ops.add(share, 1.0))


def mish(x):
    """x * tanh(softplus(x))."""
    return ops.multiply(x, tanh(softplus(x)))


swish, hard_swish = silu, hard_silu

TABLE = {
    name: globals()[name]
    for name in (
        "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "swish", "hard_silu",
        "hard_swish", "mish", "softplus", "softsign", "squareplus", "exponential", "sigmoid", "hard_sigmoid",
        "log_sigmoid", "sparse_sigmoid", "tanh", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink",
        "sparse_plus", "glu", "softmax", "log_softmax", "sparsemax", "threshold",
    )
}  # fmt: skip

__all__ = [*TABLE, "deserialize", "get", "serialize"]


def get(identifier):
    """The function for a name, a config, None or a function; ValueError with near matches, or TypeError, otherwise."""
    if identifier is None:
        return linear
    if isinstance(identifier, (str, dict)):
        return deserialize(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    raise TypeError(f"activation must be a name, a function or None; got {identifier!r}.")


def serialize(activation):
    """The name of a function of the table; ValueError for another one."""
    name = name_of(activation)
    if name is None:
        raise ValueError(f"{activation!r} has no name that a config could hold; the names are {', '.join(TABLE)}.")
    return name


def deserialize(config, custom_objects=None):
    """The function of a name, or of the `{"class_name": "function", "config": name}` that Keras writes.

    `custom_objects` maps further names to functions. ValueError, with near matches, for an unknown name.
    """
    name = config.get("config") if isinstance(config, dict) else config
    if not isinstance(name, str):
        raise TypeError(f"activation must be a name, a function or None; got {config!r}.")
    if name in (custom_objects or {}):
        return custom_objects[name]
    if name.lower() not in TABLE:
        raise registry.unknown_name("activation", name, [*TABLE, *(custom_objects or {})])
    return TABLE[name.lower()]


def name_of(function) -> str | None:
    """The table's name of this function, None if it is not in the table. `ops.relu` is relu, as its name says."""
    function = relu if function is ops.relu else function
    return next((name for name, entry in TABLE.items() if entry is function), None)
