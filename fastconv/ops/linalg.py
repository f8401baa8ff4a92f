"""keras.ops.linalg: inverses, solutions, decompositions and norms of matrices.

A namespace: nothing is defined here.
"""

# ruff: noqa: F403, F405

from __future__ import annotations

from .matrices import *
from .products import norm

# fmt: off
__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "lstsq", "lu_factor", "matrix_rank", "norm",
    "pinv", "qr", "solve", "solve_triangular", "svd",
]


def __dir__() -> list[str]:
    return __all__
