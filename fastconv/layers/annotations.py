"""The types of what layers are given, by the names that their annotations use.

Nothing runs here. Contract: each name says what the argument's check takes, so that a type checker refuses what the
layer would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv.rng import SeedGenerator
from fastconv.tensor import Tensor

__all__ = [
    "ActivationLike", "ConstraintLike", "DTypeLike", "Factor", "InitializerLike", "Padding", "RegularizerLike", "Seed", "Shape",
    "Sizes",
]  # fmt: skip

Shape = tuple[int | None, ...]  # the batch in front
Sizes = int | Sequence[int]  # one for all spatial axes, or one each
Factor = float | Sequence[float]  # how strong, or the least and the most
Padding = str | int | Sequence[Sequence[int]]
DTypeLike = str | type | np.dtype[Any]
Seed = int | SeedGenerator
ActivationLike = str | Callable[..., Any]
InitializerLike = str | dict[str, Any] | Callable[..., Any] | np.ndarray | Tensor
RegularizerLike = str | dict[str, Any] | Callable[[Tensor], Tensor]
ConstraintLike = str | dict[str, Any] | Callable[[Tensor], Tensor]
