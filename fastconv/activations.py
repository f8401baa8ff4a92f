"""Activation functions under Keras' names, and the closed table by which layers and configs name them.

It holds no weights; the layers that wrap these are in layers/activations.py, the arithmetic is fastconv.ops'. Contract:
a function takes a Tensor, an array or a tensor without data, and gives a Tensor; its defaults are those of
keras.activations, which for `relu` and `gelu` are not those of the ops. `get` takes a name, a config, None (linear) or
any function; `name_of` gives the name back, or None for a function that is neither in the table nor one that the
program offers (custom_objects.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastconv import custom_objects as own
from fastconv import ops, registry, serialization
from fastconv.absent import explain as _explain
from fastconv.ops import (  # noqa: F401 (by name, in TABLE)
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    swish,
    tanh,
    tanh_shrink,
    threshold,
)
from fastconv.ops import exp as exponential  # noqa: F401
from fastconv.tensor import Tensor, TensorLike


def linear(x: Any) -> Any:
    """`x` itself."""
    return x


def relu(
    x: TensorLike,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,  # noqa: F811
) -> Tensor:
    """x from `threshold` to `max_value`, max_value above, negative_slope * (x - threshold) below."""
    if not (negative_slope or threshold) and max_value is None:
        return ops.relu(x)
    if not (negative_slope or threshold):
        return ops.clipped_relu(x, max_value)
    y = ops.threshold(x, threshold, 0.0) if threshold else ops.relu(x)
    if max_value is not None:
        y = ops.clip(y, 0, max_value)
    if negative_slope:
        y = ops.subtract(y, ops.multiply(ops.relu(ops.subtract(threshold, x)), negative_slope))
    return y


def gelu(x: TensorLike, approximate: bool = False) -> Tensor:
    """x times the normal distribution's integral up to x: exactly, or with tanh approximately."""
    return ops.gelu(x, approximate)


__all__ = [
    "celu", "deserialize", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu",
    "serialize", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid",
    "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip
TABLE: dict[str, Callable[..., Any]] = {
    name: globals()[name] for name in __all__ if name not in ("deserialize", "get", "serialize")
}
serialization.FUNCTIONS["fastconv.activations"] = serialization.FUNCTIONS["fastconv.ops"] = TABLE


def get(identifier: str | Mapping[str, Any] | Callable[..., Any] | None) -> Callable[..., Any]:
    """The function for a name, a config, None or a function; ValueError with near matches, or TypeError, otherwise."""
    if identifier is None:
        return linear
    if isinstance(identifier, (str, dict)):
        return deserialize(identifier)
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    raise TypeError(f"activation must be a name, a function or None; got {identifier!r}.")


def serialize(activation: Callable[..., Any]) -> str:
    """The name of a function of the table; ValueError for another one."""
    name = name_of(activation)
    if name is None:
        raise ValueError(f"{activation!r} has no name that a config could hold; the names are {', '.join(TABLE)}.")
    return name


def deserialize(config: str | Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> Callable[..., Any]:
    """The function of a name, or of the `{"class_name": "function", "config": name}` that Keras writes.

    `custom_objects` maps further names to functions; registered ones are known. ValueError, with near matches, for an
    unknown name.
    """
    name = config.get("config") if isinstance(config, dict) else config
    if not isinstance(name, str):
        raise TypeError(f"activation must be a name, a function or None; got {config!r}.")
    found = own.find(name, custom_objects)
    if found is not None:
        return found
    if name.lower() not in TABLE:
        raise registry.unknown_name("activation", name, [*TABLE, *own.names(custom_objects)])
    return TABLE[name.lower()]


def name_of(function: Any) -> str | None:
    """The name by which `deserialize` finds this function again: the table's, or that of one of the program's own; else
    None. `ops.relu` is relu, as its name says."""
    function = relu if function is ops.relu else function
    return next((name for name, entry in TABLE.items() if entry is function), None) or own.name_of(function)


_explain(__name__, __all__)


def __dir__() -> list[str]:
    return __all__
