"""The closed table of activation functions: names to ops.

It holds no weights; the layers that wrap these are in core.py. Contract: `get` takes a name, None (linear) or any
function from Tensor to Tensor; `name_of` gives the name back, or None for a function outside the table.
"""

from __future__ import annotations

from fastconv import ops, registry


def linear(x):
    """`x` itself."""
    return x


TABLE = {
    "linear": linear,
    "relu": ops.relu,
    "elu": ops.elu,
    "softmax": ops.softmax,
    "log_softmax": ops.log_softmax,
    "sigmoid": ops.sigmoid,
    "tanh": ops.tanh,
}


def get(identifier):
    """The function for a name, None or a function; ValueError with near matches, or TypeError, otherwise."""
    if identifier is None:
        return linear
    if isinstance(identifier, str):
        if identifier.lower() not in TABLE:
            raise registry.unknown_name("activation", identifier, TABLE)
        return TABLE[identifier.lower()]
    if callable(identifier) and not isinstance(identifier, type):
        return identifier
    raise TypeError(f"activation must be a name, a function or None; got {identifier!r}.")


def name_of(function) -> str | None:
    """The table's name of this function, None if it is not in the table."""
    return next((name for name, entry in TABLE.items() if entry is function), None)
