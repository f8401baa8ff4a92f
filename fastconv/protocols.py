"""What a Tensor is among Python's objects and other libraries' arrays: a number, a sequence, something to print or share.

Not here: the operators and methods that compute, which ops/methods.py attaches and tensor_methods.py declares.
Contract: all of it reads `data`, so that a tensor without values says so.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .tensor import Tensor


class Protocols:
    """The base class of Tensor."""

    __slots__ = ()
    __hash__ = object.__hash__

    if TYPE_CHECKING:
        data: np.ndarray

    def item(self) -> float | int | bool:
        """The only element as a Python number; ValueError if there are more."""
        return self.data.item()

    def tolist(self) -> Any:
        """The elements as a nested list of Python numbers."""
        return self.data.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False and dtype is not None and np.dtype(dtype) != self.data.dtype:
            raise ValueError(f"A {self.data.dtype} Tensor cannot become a {np.dtype(dtype)} array without a copy.")
        return self.data.astype(dtype or self.data.dtype, copy=bool(copy))

    def __dlpack__(self, **options: Any) -> Any:
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.data.__dlpack_device__()

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("A Tensor of shape () has no length.")
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return map(self.__getitem__, range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"Only an integer Tensor of one element can be an index; got {self!r}.")
        return self.data.__index__() if self.data.ndim == 0 else operator.index(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ValueError(
                f"The truth value of a Tensor of shape {self.shape} is ambiguous: use ops.any(x) or ops.all(x)."
            )
        return bool(self.item())

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "The elements of a Tensor cannot be set, since the tape may hold them: use ops.where, ops.slice_update or "
            "ops.scatter_update, which give a new one, or write into x.numpy()."
        )

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        if self.size != 1:
            raise ValueError(f"The format {spec!r} is for one number; got a Tensor of shape {self.shape}.")
        return format(self.item(), spec)
