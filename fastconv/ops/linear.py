"""Matrix products, on kernels of their own (kernels/dense.py), never on NumPy's.

Contract: `dense` is a layer's product, its kernel a matrix, and `dense_over` that over several axes; `matmul` has the
shapes of NumPy's `@`: 1-D operands and broadcast stacks of matrices.
"""

from __future__ import annotations

import math

import numpy as np

from .. import kernels
from ..tensor import Op, Tensor, TensorLike
from .casting import cast, promoted
from .common import broadcast_shape

__all__ = ["dense", "matmul"]

_INT8 = np.dtype("int8")


def check_product(a, b):
    """ValueError unless matrices of shapes a and b can be multiplied."""
    pair = (a[-1], b[max(len(b) - 2, 0)]) if a and b else (0, 1)
    if pair[0] != pair[1] and None not in pair:
        raise ValueError(
            f"matmul: {a} @ {b} needs the last axis of the first to be as long as the first's partner "
            "in the second, its last axis but one (or its only axis); neither may be a scalar."
        )


class Dense(Op):
    kernels = True

    @staticmethod
    def shape(x, kernel, bias=None):
        if len(kernel) != 2 or not x or x[-1] != kernel[0]:
            raise ValueError(
                f"x of shape {x} and a kernel of shape {kernel} do not fit: x's last axis must be the kernel's first."
            )
        return (*x[:-1], kernel[1])

    def forward(self, x, kernel, bias):
        self.x, self.kernel = x, kernel
        return kernels.dense_forward(x, kernel, bias)

    def backward(self, dy):
        dx = kernels.dense_backward_input(dy, self.kernel) if self.needs[0] else None
        dkernel = kernels.dense_backward_kernel(dy, self.x) if self.needs[1] else None
        dbias = kernels.bias_backward(dy) if self.needs[2] else None
        return dx, dkernel, dbias


class DenseOver(Dense):
    """Dense over several axes, the last of x and the first of the kernel, as if they were one; so are the kernel's
    others."""

    @staticmethod
    def shape(x, kernel, bias=None, *, summed):
        if len(x) < summed or any(a != b and a is not None for a, b in zip(x[len(x) - summed :], kernel)):
            raise ValueError(
                f"x of shape {x} and a kernel of shape {kernel} do not fit: x's last {summed} axes must be the kernel's "
                "first."
            )
        return (*x[: len(x) - summed], *kernel[summed:])

    def forward(self, x, kernel, bias, *, summed):
        self.shapes = [None if array is None else array.shape for array in (x, kernel, bias)]
        shape, columns = self.shape(*self.shapes, summed=summed), math.prod(kernel.shape[summed:])
        depth = math.prod(kernel.shape[:summed])
        self.rows = x.shape[: x.ndim - summed]
        x, kernel = x.reshape(*self.rows, depth), kernel.reshape(depth, columns)
        return super().forward(x, kernel, None if bias is None else bias.reshape(columns)).reshape(shape)

    def backward(self, dy):
        gradients = super().backward(dy.reshape(*self.rows, self.kernel.shape[1]))
        return tuple([None if array is None else array.reshape(shape) for array, shape in zip(gradients, self.shapes)])


class Matmul(Op):
    """a (..., M, C) @ b (..., C, K); a 1-D operand is a row or a column, whose axis leaves the result again."""

    kernels = True

    @staticmethod
    def shape(a, b):
        check_product(a, b)
        stack = broadcast_shape("matmul", a[:-2], b[:-2])
        return stack + a[-2:-1] + (b[-1:] if len(b) > 1 else ())

    def forward(self, a, b):
        check_product(a.shape, b.shape)
        broadcast_shape("matmul", a.shape[:-2], b.shape[:-2])
        self.shapes = a.shape, b.shape
        self.a = a if a.ndim > 1 else a.reshape(1, -1)
        self.b = b if b.ndim > 1 else b.reshape(-1, 1)
        y = kernels.matmul_forward(self.a, self.b)
        self.y_shape = y.shape
        lead, rows, columns = y.shape[:-2], y.shape[-2:-1], y.shape[-1:]
        return y.reshape(lead + rows * (a.ndim > 1) + columns * (b.ndim > 1))

    def exact(self, a, b):
        y = np.empty(self.shape(a.shape, b.shape), np.result_type(a, b))
        a, b = a if a.ndim > 1 else a[None], b if b.ndim > 1 else b[:, None]
        return (a[..., :, :, None] * b[..., None, :, :]).sum(-2, dtype=y.dtype).reshape(y.shape)

    def backward(self, dy):
        dy, a, b = dy.reshape(self.y_shape), self.a, self.b
        da = kernels.matmul_backward_a(dy, b, a.shape).reshape(self.shapes[0]) if self.needs[0] else None
        db = kernels.matmul_backward_b(dy, a, b.shape).reshape(self.shapes[1]) if self.needs[1] else None
        return da, db


def dense(x: TensorLike, kernel: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """x (..., C) times kernel (C, K) plus bias (K,): (..., K)."""
    return Dense.apply(x, kernel, bias)


def dense_over(x: TensorLike, kernel: TensorLike, bias: TensorLike | None, summed: int) -> Tensor:
    """x (..., *C) times kernel (*C, *K) plus bias (*K,): (..., *K), where C are `summed` axes."""
    return DenseOver.apply(x, kernel, bias, summed=summed)


def matmul(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 @ x2, with NumPy's rules for shapes; of two arrays of int8 it is int32, as in Keras, since int8 would overflow."""
    x1, x2 = promoted(x1, x2)
    if getattr(x1, "dtype", None) == getattr(x2, "dtype", None) == _INT8:
        x1, x2 = cast(x1, "int32"), cast(x2, "int32")
    return Matmul.apply(x1, x2)
