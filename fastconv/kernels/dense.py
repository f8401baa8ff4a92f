"""Matrix products: dense layers, their gradients, and stacks of matrices: check, allocate, call.

Not here: which way a product goes and how it is cut (_dense.pyx). Contract: float32 or float64, one dtype a call; the
result is a new array of it. Raises TypeError for dtypes and ValueError for shapes.
"""

from __future__ import annotations

import math

from . import _dense
from .arrays import checked, empty, same_shape

RANKS = range(1, 65)


def dense_forward(x, kernel, bias=None):
    """y (..., K) = x (..., C) times kernel (C, K), plus bias (K,) where given."""
    x = checked("x", x, RANKS)
    kernel = checked("kernel", kernel, 2, like=x)
    depth, columns = kernel.shape
    shape = x.shape
    if shape[-1] != depth:
        raise ValueError(f"x of shape {shape} and kernel of shape {kernel.shape} do not fit: x's last axis must be the kernel's first.")
    if bias is not None:
        bias = checked("bias", bias, 1, like=x)
        same_shape("bias", bias, (columns,), "one entry a filter")
    y = empty((*shape[:-1], columns), x.dtype)
    if y.size:
        _dense.forward(x, kernel, bias, y, y.size // columns, columns, depth)
    return y


def dense_backward_input(dy, kernel):
    """dx (..., C), given dy (..., K) and kernel (C, K)."""
    dy = checked("dy", dy, RANKS)
    kernel = checked("kernel", kernel, 2, like=dy)
    columns, depth = kernel.shape
    shape = dy.shape
    if shape[-1] != depth:
        raise ValueError(f"dy of shape {shape} and kernel of shape {kernel.shape} do not fit: their last axes must be equal.")
    dx = empty((*shape[:-1], columns), dy.dtype)
    if dx.size:
        _dense.backward_input(dy, kernel, dx, dx.size // columns, columns, depth)
    return dx


def dense_backward_kernel(dy, x):
    """dkernel (C, K), given dy (..., K) and x (..., C)."""
    dy = checked("dy", dy, RANKS)
    x = checked("x", x, dy.ndim, like=dy)
    rows, columns = x.shape[-1], dy.shape[-1]
    if dy.shape[:-1] != x.shape[:-1]:
        same_shape("dy", dy, (*x.shape[:-1], columns), "x's leading axes")
    dkernel = empty((rows, columns), dy.dtype)
    if dkernel.size:
        _dense.backward_kernel(dy, x, dkernel, rows, columns, math.prod(dy.shape[:-1]))
    return dkernel
