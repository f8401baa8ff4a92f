"""Inverses, solutions and decompositions of matrices (..., M, N), by NumPy's LAPACK; gradients where they are simple.

Contract: float32 and float64, stacks of matrices over the leading axes. A singular matrix raises ValueError. What has no
gradient here (the factors of svd, qr, eigh, lu; lstsq, pinv) says so when `backward` comes to it.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import cast, convert_to_tensor, floating, promoted
from .common import broadcast_shape, unbroadcast
from .creation import tril, triu
from .elementwise import abs, log, multiply
from .functions import sign
from .indexing import diagonal
from .linear import matmul
from .reductions import max, sum
from .shaping import expand_dims, squeeze, swapaxes

__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "logdet", "lstsq", "lu_factor", "matrix_rank", "pinv", "qr",
    "slogdet", "solve", "solve_triangular", "svd",
]  # fmt: skip


def _product(a, b):
    return kernels.matmul_forward(np.ascontiguousarray(a), np.ascontiguousarray(b))


def _turned(x):
    return np.swapaxes(x, -1, -2)


def _linalg(function, *arrays, **arguments):
    """NumPy's, whose error becomes a ValueError that says where to look."""
    try:
        return function(*arrays, **arguments)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            f"{function.__name__}: {error}, in matrices of shape {arrays[0].shape}. Add a little to the diagonal, as in "
            "x + 1e-6 * ops.eye(n), where rounding is the cause."
        ) from error


class OfSquare(Op):
    """An op of square matrices."""

    @classmethod
    def shape(cls, x):
        if len(x) < 2 or x[-1] != x[-2] and None not in x[-2:]:
            raise ValueError(f"{cls.__name__.lower()} needs square matrices (..., N, N); got shape {x}.")
        return x


class Inverse(OfSquare):
    def forward(self, x):
        self.shape(x.shape)
        self.y = _linalg(np.linalg.inv, x)
        return self.y

    def backward(self, dy):
        turned = _turned(self.y)
        return -_product(_product(turned, dy), turned)


class Determinant(OfSquare):
    @classmethod
    def shape(cls, x):
        return super().shape(x)[:-2]

    def forward(self, x):
        self.shape(x.shape)
        self.x, self.y = x, np.linalg.det(x)
        return self.y

    def backward(self, dy):
        return (dy * self.y)[..., None, None] * _turned(_linalg(np.linalg.inv, self.x))


class Cholesky(OfSquare):
    def forward(self, x):
        self.shape(x.shape)
        self.y = _linalg(np.linalg.cholesky, x)
        return self.y

    def backward(self, dy):
        inverse = np.linalg.inv(self.y)
        inner = np.tril(_product(_turned(self.y), dy))
        inner[..., range(inner.shape[-1]), range(inner.shape[-1])] *= 0.5
        dx = _product(_product(_turned(inverse), inner), inverse)
        return (dx + _turned(dx)) * dx.dtype.type(0.5)


class Solve(Op):
    """a (..., N, N) and b (..., N, K): x with a @ x = b."""

    @staticmethod
    def shape(a, b):
        OfSquare.shape(a)
        if len(b) < 2 or (a[-1] != b[-2] and None not in (a[-1], b[-2])):
            raise ValueError(f"solve: a of shape {a} needs b of as many rows; got shape {b}.")
        return broadcast_shape("solve", a[:-2], b[:-2]) + b[-2:]

    def forward(self, a, b):
        self.shape(a.shape, b.shape)
        self.a, self.b, self.y = a, b, _linalg(np.linalg.solve, a, b)
        return self.y

    def backward(self, dy):
        db = np.linalg.solve(_turned(self.a), dy)
        da = unbroadcast(-_product(db, _turned(self.y)), self.a.shape) if self.needs[0] else None
        return da, unbroadcast(np.ascontiguousarray(db), self.b.shape)


class Values(Op):
    """Singular values, or the eigenvalues of symmetric matrices, falling and rising."""

    @staticmethod
    def shape(x, *, symmetric):
        if symmetric:
            OfSquare.shape(x)
        return (*x[:-2], None if None in x[-2:] else min(x[-2:]))

    def forward(self, x, *, symmetric):
        self.shape(x.shape, symmetric=symmetric)
        if symmetric:
            values, self.left = _linalg(np.linalg.eigh, x)
            self.right = _turned(self.left)
        else:
            self.left, values, self.right = _linalg(np.linalg.svd, x, full_matrices=False)
        return values

    def backward(self, dy):
        return _product(self.left * dy[..., None, :], self.right)


def _full_qr(x):
    return np.linalg.qr(x, "complete")


def _factors(x):
    """Row by row with pivots: (LU in one matrix, the row that each exchanged with)."""
    rows = x.reshape(-1, *x.shape[-2:]).copy()
    count = min(x.shape[-2:])
    pivots = np.zeros((len(rows), count), np.int32)
    for matrix, exchanged in zip(rows, pivots):
        for place in range(count):
            best = place + int(np.argmax(np.abs(matrix[place:, place])))
            exchanged[place] = best
            matrix[[place, best]] = matrix[[best, place]]
            if matrix[place, place]:
                matrix[place + 1 :, place] /= matrix[place, place]
                matrix[place + 1 :, place + 1 :] -= matrix[place + 1 :, place, None] * matrix[place, place + 1 :]
    return rows.reshape(x.shape), pivots.reshape(*x.shape[:-2], count)


# name: (its parts, the shape of each from (..., M, N))
FACTORS = {
    "svd": (np.linalg.svd, [lambda b, m, n: (*b, m, m), lambda b, m, n: (*b, min(m, n)), lambda b, m, n: (*b, n, n)]),
    "thin_svd": (
        lambda x: np.linalg.svd(x, full_matrices=False),
        [lambda b, m, n: (*b, m, min(m, n)), lambda b, m, n: (*b, min(m, n)), lambda b, m, n: (*b, min(m, n), n)],
    ),
    "qr": (np.linalg.qr, [lambda b, m, n: (*b, m, min(m, n)), lambda b, m, n: (*b, min(m, n), n)]),
    "full_qr": (_full_qr, [lambda b, m, n: (*b, m, m), lambda b, m, n: (*b, m, n)]),
    "eigh": (np.linalg.eigh, [lambda b, m, n: (*b, n), lambda b, m, n: (*b, n, n)]),
    "lu_factor": (_factors, [lambda b, m, n: (*b, m, n), lambda b, m, n: (*b, min(m, n))]),
    "pinv": (lambda x: (np.linalg.pinv(x),), [lambda b, m, n: (*b, n, m)]),
}


class Factor(Op):
    """Part number `part` of the decomposition `function`, a row of FACTORS."""

    @staticmethod
    def dtype(given, /, *, function, part):
        return np.dtype("int32") if (function, part) == ("lu_factor", 1) else given

    @staticmethod
    def shape(x, *, function, part):
        if len(x) < 2 or None in x[-2:]:
            raise ValueError(f"{function} needs matrices (..., M, N) of known sizes; got shape {x}.")
        return FACTORS[function][1][part](x[:-2], *x[-2:])

    def forward(self, x, *, function, part):
        self.shape(x.shape, function=function, part=part)
        self.function = function
        return _linalg(FACTORS[function][0], x)[part]

    def backward(self, dy):
        raise RuntimeError(
            f"The factors of {self.function} have no gradient in fastconv, only singular values and eigenvalues have: take "
            "them through ops.stop_gradient."
        )


def _parts(x, function):
    x = convert_to_tensor(floating(x))
    return tuple([Factor.apply(x, function=function, part=part) for part in range(len(FACTORS[function][1]))])


def inv(x: TensorLike) -> Tensor:
    """The inverse of square matrices."""
    return Inverse.apply(floating(x))


def det(x: TensorLike) -> Tensor:
    """The determinant of square matrices."""
    return Determinant.apply(floating(x))


def slogdet(x: TensorLike) -> tuple[Tensor, Tensor]:
    """(sign, logarithm of the magnitude) of the determinant of square matrices."""
    found = det(x)
    return sign(found), log(abs(found))


def logdet(x: TensorLike) -> Tensor:
    """The logarithm of the determinant of symmetric matrices whose eigenvalues are above 0."""
    return multiply(sum(log(diagonal(cholesky(x), 0, -2, -1)), -1), 2.0)


def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """The lower triangle L with x = L @ L.T, of symmetric matrices whose eigenvalues are above 0; or `upper`, L.T."""
    y = Cholesky.apply(floating(x))
    return swapaxes(y, -1, -2) if upper else y


def cholesky_inverse(x: TensorLike, upper: bool = False) -> Tensor:
    """The inverse of the matrices of which x is `cholesky`; the other triangle of x is not read."""
    x = (triu if upper else tril)(floating(x))
    turned = swapaxes(x, -1, -2)
    return inv(matmul(turned, x) if upper else matmul(x, turned))


def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """The x with a @ x = b, for square a; b is (..., N, K), or with one axis less than a (..., N)."""
    a, b = map(convert_to_tensor, promoted(a, b, floats=True))
    if b.ndim != a.ndim - 1:
        return Solve.apply(a, b)
    return squeeze(Solve.apply(a, expand_dims(b, -1)), -1)


def solve_triangular(a: TensorLike, b: TensorLike, lower: bool = False) -> Tensor:
    """`solve` with what is above (`lower`) or below the diagonal of a taken for 0."""
    return solve((tril if lower else triu)(convert_to_tensor(floating(a))), b)


def svd(x: TensorLike, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    """(U, s, V) with x = U @ diag(s) @ V, s falling; without `full_matrices` U and V have as many columns and rows as s.
    Without `compute_uv` s alone, which has a gradient."""
    if not compute_uv:
        return Values.apply(floating(x), symmetric=False)
    return _parts(x, "svd" if full_matrices else "thin_svd")


def qr(x: TensorLike, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """(Q, R) with x = Q @ R; the columns of Q are orthonormal, R is an upper triangle. `mode` "complete": Q is square."""
    if mode not in ("reduced", "complete"):
        raise ValueError(f"mode must be 'reduced' or 'complete'; got {mode!r}.")
    return _parts(x, "qr" if mode == "reduced" else "full_qr")


def eigh(x: TensorLike) -> tuple[Tensor, Tensor]:
    """(eigenvalues, rising; eigenvectors, one a column) of symmetric matrices; the values have a gradient."""
    x = convert_to_tensor(floating(x))
    return Values.apply(x, symmetric=True), Factor.apply(x, function="eigh", part=1)


def eig(x: TensorLike) -> tuple[Tensor, Tensor]:
    """(eigenvalues, eigenvectors) of square matrices that have real ones, without a gradient; ValueError for others."""
    array = convert_to_tensor(floating(x)).data
    OfSquare.shape(array.shape)
    values, vectors = _linalg(np.linalg.eig, array)
    if np.iscomplexobj(values):
        raise ValueError("eig: a matrix has complex eigenvalues, which fastconv has no numbers for.")
    return convert_to_tensor(values), convert_to_tensor(vectors)


def pinv(x: TensorLike, rcond: float | None = None) -> Tensor:
    """The pseudo-inverse; singular values up to `rcond` times the greatest count as 0 (NumPy's choice if None)."""
    x = convert_to_tensor(floating(x))
    if rcond is None:
        return Factor.apply(x, function="pinv", part=0)
    return convert_to_tensor(np.linalg.pinv(x.data, rcond=float(rcond)))


def lstsq(a: TensorLike, b: TensorLike, rcond: float | None = None) -> Tensor:
    """The x for which the squares of a @ x - b sum to the least, a (M, N) and b (M,) or (M, K); without a gradient."""
    a, b = (convert_to_tensor(x).data for x in promoted(a, b, floats=True))
    if a.ndim != 2 or b.ndim not in (1, 2) or len(a) != len(b):
        raise ValueError(f"lstsq: a must be (M, N) and b (M,) or (M, K); got shapes {a.shape} and {b.shape}.")
    return convert_to_tensor(_linalg(np.linalg.lstsq, a, b, rcond=rcond)[0])


def matrix_rank(x: TensorLike, tol: float | None = None) -> Tensor:
    """How many singular values are above `tol`, int32; if None, above the greatest times the larger side times epsilon."""
    x = convert_to_tensor(floating(x))
    values = svd(x, compute_uv=False)
    if tol is None:
        tol = multiply(max(values, -1, True), float(builtins.max(x.shape[-2:]) * np.finfo(x.dtype).eps))
    return sum(cast(values > tol, "int32"), -1)


def lu_factor(x: TensorLike) -> tuple[Tensor, Tensor]:
    """(L below and U on and above the diagonal of one matrix, the row that each exchanged places with, int32)."""
    return _parts(x, "lu_factor")
