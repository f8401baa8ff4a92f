"""Initializer, the base class, and what gives the values of a function or an array.

Contract: as the package's.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastconv.registry import Configurable


class Initializer(Configurable):
    """Base class: subclasses define `__call__(shape, dtype)` and keep their arguments as attributes."""

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        """A new array of this shape; `dtype` None is float32."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(shape, dtype).")

    def get_config(self) -> dict:
        return dict(vars(self))

    def clone(self) -> Initializer:
        """An equal initializer."""
        return self.from_config(self.get_config())


class Function(Initializer):
    """A function `f(shape, dtype=...)`."""

    def __init__(self, function):
        self.function = function

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        return np.asarray(self.function(shape, dtype=dtype), dtype)

    def get_config(self) -> dict:
        raise ValueError(f"The initializer {self.function!r} is a function, which a model file cannot hold.")

    def __repr__(self):
        return repr(self.function)


class Values(Initializer):
    """The values themselves."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> np.ndarray:
        if tuple(shape) != self.values.shape:
            raise ValueError(
                f"The initializer holds values of shape {self.values.shape}; got the shape {tuple(shape)}."
            )
        return self.values.astype(dtype or self.values.dtype)

    def get_config(self) -> dict:
        raise ValueError(
            f"The initializer is an array of shape {self.values.shape}, which a config cannot hold: use set_weights."
        )

    def __repr__(self):
        return f"<values of shape {self.values.shape}>"


def number(owner, argument, value):
    """`value` as a finite float."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise TypeError(f"{type(owner).__name__}: {argument} must be a finite number; got {value!r}.")
    return float(value)


def chosen(owner, argument, value, allowed):
    if value not in allowed:
        names = ", ".join(map(repr, allowed))
        raise ValueError(f"{type(owner).__name__}: {argument} must be one of {names}; got {value!r}.")
    return value
