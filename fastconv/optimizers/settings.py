"""The numbers of an optimizer, its learning rate and its counts, as what Keras' programs take for variables.

Not the state of weights, which base.py keeps. Contract: a LearningRate and a Count are Python's numbers with methods
of a variable, a Number is a Parameter among `optimizer.variables`; what is assigned to them, the optimizer has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from fastconv.tensor import Parameter, Tensor

__all__ = ["Count", "LearningRate", "Number", "as_number"]


class _Assigned:
    """The methods of a variable, for a number that is the optimizer's attribute `_place`."""

    _optimizer: Any
    _place = ""
    _plain: type = float
    __slots__ = ()

    def __reduce__(self):
        return self._plain, (self._plain(self),)  # a copy, or one in a file, does not hold the optimizer

    def assign(self, value: Any) -> None:
        """Sets the optimizer's number."""
        setattr(self._optimizer, self._place, as_number(value))

    def assign_add(self, value: Any) -> None:
        """Sets it to the sum."""
        self.assign(getattr(self._optimizer, self._place) + as_number(value))

    def assign_sub(self, value: Any) -> None:
        """Sets it to the difference."""
        self.assign(getattr(self._optimizer, self._place) - as_number(value))


class LearningRate(_Assigned, float):
    """A learning rate as a number, which `assign` and its kin change where it came from."""

    __slots__ = ("_optimizer",)
    _place = "learning_rate"
    name = "learning_rate"

    def numpy(self) -> np.float32:
        """The number as NumPy's."""
        return np.float32(self)

    @property
    def value(self) -> np.float32:
        """The same, as that of Keras' variable."""
        return np.float32(self)


class Count(_Assigned, int):
    """A number of steps, which `assign` and its kin change where it came from."""

    _place, _plain = "iterations", int
    name = "iteration"

    def numpy(self) -> np.int64:
        """The number as NumPy's."""
        return np.int64(self)

    @property
    def value(self) -> np.int64:
        """The same, as that of Keras' variable."""
        return np.int64(self)


class Number(Parameter):
    """A number of the optimizer's among its `variables`: `read()` gives it, `assign` hands a new one to `write`."""

    __slots__ = ("_read", "_write")

    def __init__(self, name: str, read: Callable[[], Any], write: Callable[[Any], None]) -> None:
        super().__init__(np.asarray(read()), name=name, trainable=False)
        self._read, self._write = read, write

    @property
    def data(self) -> np.ndarray:
        """The number, as an array that cannot be written to."""
        self.array[...] = self._read()
        return self._view

    def numpy(self) -> np.ndarray:
        """The number, as an array of no axes."""
        return self.data.copy()

    def assign(self, value: Any) -> Number:
        """Sets the number where it stands."""
        self._write(as_number(value))
        return self

    @contextmanager
    def writable(self) -> Iterator[np.ndarray]:
        """`with number.writable() as array: ...`: what the array holds in the end is assigned."""
        array = self.numpy()
        yield array
        self.assign(array)


def as_number(value: Any) -> Any:
    """A lone number in a Tensor or an array, such as schedules that compute with ops give, as Python's."""
    return value.item() if isinstance(value, (np.ndarray, np.generic, Tensor)) and value.size == 1 else value
