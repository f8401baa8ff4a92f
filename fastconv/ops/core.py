"""keras.ops.core: conversion, control flow, and updates of places.

A namespace: nothing is defined here.
"""

# ruff: noqa: F403, F405

from __future__ import annotations

from .casting import *
from .control import *
from .elementwise import saturate_cast
from .indexing import slice
from .joining import unstack
from .scattering import scatter, scatter_update, slice_update

# fmt: off
__all__ = [
    "associative_scan", "cast", "cond", "convert_to_numpy", "convert_to_tensor", "custom_gradient", "dtype",
    "fori_loop", "from_dlpack", "is_tensor", "map", "saturate_cast", "scan", "scatter", "scatter_update", "shape",
    "slice", "slice_update", "stop_gradient", "switch", "unstack", "vectorized_map", "while_loop",
]


def __dir__() -> list[str]:
    return __all__
