"""`fastconv.preprocessing.sequence`: see fastconv.utils."""

from __future__ import annotations

from fastconv.utils import pad_sequences

__all__ = ["pad_sequences"]


def __dir__() -> list[str]:
    return __all__
