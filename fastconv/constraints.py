"""Constraints: what weights are made to hold after each step of an optimizer, under Keras' names.

A constraint owns no weight and counts no steps; optimizers apply it to the weights they moved. Contract:
`constraint(w)` of a Tensor is a Tensor of w's shape and dtype, made by ops; nothing is written into `w`.
`get_config()` holds JSON values only, and `get({"class_name": ..., "config": ...})` gives back an equal object.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence

from fastconv import ops
from fastconv.registry import Configurable, Registry, checked_number
from fastconv.registry import serialize as _serialize
from fastconv.tensor import Tensor, no_grad

__all__ = [
    "Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "deserialize", "get", "max_norm", "min_max_norm",
    "non_neg", "serialize", "unit_norm",
]  # fmt: skip

EPSILON = 1e-7  # Keras': added to a norm before weights are divided by it


class Constraint(Configurable):
    """Base class: a subclass defines `__call__(w)`, in ops, and `get_config()` to be saved."""

    def __call__(self, w: Tensor) -> Tensor:
        """The weights that take the place of `w`: a Tensor of its shape."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(w).")

    def get_config(self) -> dict:
        if type(self).get_config is Constraint.get_config and not self._arguments and vars(self):
            raise NotImplementedError(f"{type(self).__name__} must define get_config() to be saved.")
        return super().get_config()


class _Norm(Constraint):
    """Those of the norm along `axis`: that of a neuron's incoming weights, such as 0 for Dense and [0, 1, 2] for
    Conv2D."""

    def _set_axis(self, axis):
        try:
            self.axis = [*map(operator.index, axis)] if hasattr(axis, "__len__") else operator.index(axis)
        except TypeError:
            raise TypeError(f"{type(self).__name__}: axis must be an int or several; got {axis!r}.") from None

    def _norm(self, w):
        axis = tuple(self.axis) if isinstance(self.axis, list) else self.axis
        return ops.sqrt(ops.sum(ops.square(w), axis, keepdims=True))


class MaxNorm(_Norm):
    """Norms along `axis` of at most `max_value`."""

    _arguments = ("max_value", "axis")

    def __init__(self, max_value: float = 2, axis: int | Sequence[int] = 0) -> None:
        self.max_value = checked_number(self, "max_value", max_value)
        self._set_axis(axis)

    def __call__(self, w: Tensor) -> Tensor:
        norm = self._norm(w)
        return ops.multiply(w, ops.divide(ops.minimum(norm, self.max_value), ops.add(norm, EPSILON)))


class NonNeg(Constraint):
    """0 in the place of negative weights."""

    def __call__(self, w: Tensor) -> Tensor:
        return ops.relu(w)


class UnitNorm(_Norm):
    """Norms along `axis` of 1."""

    _arguments = ("axis",)

    def __init__(self, axis: int | Sequence[int] = 0) -> None:
        self._set_axis(axis)

    def __call__(self, w: Tensor) -> Tensor:
        return ops.divide(w, ops.add(self._norm(w), EPSILON))


class MinMaxNorm(_Norm):
    """Norms along `axis` from `min_value` to `max_value`; `rate` is the share of the way there in one step, 1 all."""

    _arguments = ("min_value", "max_value", "rate", "axis")

    def __init__(
        self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: int | Sequence[int] = 0
    ) -> None:
        self.min_value = checked_number(self, "min_value", min_value)
        self.max_value = checked_number(self, "max_value", max_value)
        self.rate = checked_number(self, "rate", rate, 1)
        if self.min_value > self.max_value:
            raise ValueError(f"MinMaxNorm: min_value must not exceed max_value; got {min_value} and {max_value}.")
        self._set_axis(axis)

    def __call__(self, w: Tensor) -> Tensor:
        norm = self._norm(w)
        wanted = ops.multiply(ops.clip(norm, self.min_value, self.max_value), self.rate)
        if self.rate < 1:
            wanted = ops.add(wanted, ops.multiply(norm, 1 - self.rate))
        return ops.multiply(w, ops.divide(wanted, ops.add(norm, EPSILON)))


max_norm, min_max_norm, non_neg, unit_norm = MaxNorm, MinMaxNorm, NonNeg, UnitNorm
_REGISTRY = Registry("constraint", (MaxNorm, NonNeg, UnitNorm, MinMaxNorm))


def apply(parameters) -> None:
    """Gives each Parameter that has a constraint the values that it makes of the present ones."""
    for parameter in parameters:
        if parameter.constraint is not None:
            with no_grad():
                parameter.assign(parameter.constraint(parameter))


def get(identifier: str | dict | Callable | None) -> Constraint | Callable | None:
    """A Constraint from a name ("non_neg"), a config, a class or an object; None and functions `f(w)` as they are."""
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    return _REGISTRY.get(identifier, Constraint)


def serialize(constraint: Constraint) -> dict:
    """`{"class_name": ..., "config": ...}`, which `deserialize` and `get` take; TypeError for a plain function."""
    if not isinstance(constraint, Constraint):
        raise TypeError(f"A config cannot hold {constraint!r}: make it a subclass of constraints.Constraint.")
    return _serialize(constraint)


def deserialize(config: dict, custom_objects: dict | None = None) -> Constraint:
    """The Constraint that `serialize` described; `custom_objects` maps names to classes of your own."""
    return _REGISTRY.get(config, Constraint, custom_objects)
