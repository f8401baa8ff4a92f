"""Regularizers: what a training's loss adds for large weights or activations, under Keras' names.

A regularizer owns no weight and knows no layer; layers add its value to the loss (layers/calls.py, layers/holder.py).
Contract: `regularizer(x)` of a Tensor is a scalar Tensor made by ops, so that it is recorded and differentiated as any
other; `get_config()` holds JSON values only, and `get({"class_name": ..., "config": ...})` gives back an equal object.
"""

from __future__ import annotations

from collections.abc import Callable

from fastconv import ops
from fastconv.registry import Configurable, Registry, checked_number
from fastconv.registry import serialize as _serialize
from fastconv.tensor import Tensor

__all__ = [
    "L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "deserialize", "get", "l1", "l1_l2", "l2",
    "orthogonal_regularizer", "serialize",
]  # fmt: skip


class Regularizer(Configurable):
    """Base class: a subclass defines `__call__(x)`, a scalar in ops, and `get_config()` to be saved."""

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty for `x`, a weight or a layer's output: a scalar Tensor."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(x).")

    def get_config(self) -> dict:
        if type(self).get_config is Regularizer.get_config and not self._arguments and vars(self):
            raise NotImplementedError(f"{type(self).__name__} must define get_config() to be saved.")
        return super().get_config()


class L1L2(Regularizer):
    """`l1 * sum(|x|) + l2 * sum(x * x)`; both factors are 0 by default, finite and at least 0."""

    _arguments = ("l1", "l2")

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1 = checked_number(self, "l1", 0.0 if l1 is None else l1)
        self.l2 = checked_number(self, "l2", 0.0 if l2 is None else l2)

    def __call__(self, x: Tensor) -> Tensor:
        first = ops.multiply(ops.sum(ops.abs(x)), self.l1) if self.l1 else None
        second = ops.multiply(ops.sum(ops.square(x)), self.l2) if self.l2 else None
        if first is not None and second is not None:
            return ops.add(first, second)
        if first is None and second is None:
            return ops.multiply(ops.sum(x), 0.0)
        return first if second is None else second


class L1(Regularizer):
    """`l1 * sum(|x|)`, which makes weights zero; `l1` is finite and at least 0."""

    _arguments = ("l1",)

    def __init__(self, l1: float = 0.01) -> None:
        self.l1 = checked_number(self, "l1", l1)

    def __call__(self, x: Tensor) -> Tensor:
        return ops.multiply(ops.sum(ops.abs(x)), self.l1)


class L2(Regularizer):
    """`l2 * sum(x * x)`, known as weight decay; `l2` is finite and at least 0."""

    _arguments = ("l2",)

    def __init__(self, l2: float = 0.01) -> None:
        self.l2 = checked_number(self, "l2", l2)

    def __call__(self, x: Tensor) -> Tensor:
        return ops.multiply(ops.sum(ops.square(x)), self.l2)


class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean |cosine| between the rows of a matrix, or its columns with `mode="columns"`."""

    _arguments = ("factor", "mode")

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = checked_number(self, "factor", factor)
        if mode not in ("rows", "columns"):
            raise ValueError(f"OrthogonalRegularizer: mode must be 'rows' or 'columns'; got {mode!r}.")
        self.mode = mode

    def __call__(self, x: Tensor) -> Tensor:
        if len(x.shape) != 2:
            raise ValueError(f"OrthogonalRegularizer takes weights of two axes, such as Dense's; got {x.shape}.")
        vectors = x if self.mode == "rows" else ops.transpose(x)
        vectors = ops.divide(vectors, ops.sqrt(ops.maximum(ops.sum(ops.square(vectors), 1, keepdims=True), 1e-12)))
        count = x.shape[0 if self.mode == "rows" else 1]
        cosines = ops.sum(ops.abs(ops.matmul(vectors, ops.transpose(vectors))))
        between = ops.subtract(cosines, ops.sum(ops.square(vectors)))  # without each vector's with itself
        return ops.multiply(between, self.factor / max(count * (count - 1), 1))


l1, l2, l1_l2, orthogonal_regularizer = L1, L2, L1L2, OrthogonalRegularizer
_REGISTRY = Registry("regularizer", (L1, L2, L1L2, OrthogonalRegularizer))


def get(identifier: str | dict | Callable | None) -> Regularizer | Callable | None:
    """A Regularizer from a name ("l2"), a config, a class or an object; None and functions `f(x)` as they are."""
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    return _REGISTRY.get(identifier, Regularizer)


def serialize(regularizer: Regularizer) -> dict:
    """`{"class_name": ..., "config": ...}`, which `deserialize` and `get` take; TypeError for a plain function."""
    if not isinstance(regularizer, Regularizer):
        raise TypeError(f"A config cannot hold {regularizer!r}: make it a subclass of regularizers.Regularizer.")
    return _serialize(regularizer)


def deserialize(config: dict, custom_objects: dict | None = None) -> Regularizer:
    """The Regularizer that `serialize` described; `custom_objects` maps names to classes of your own."""
    return _REGISTRY.get(config, Regularizer, custom_objects)
