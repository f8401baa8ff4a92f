"""Matrix products: dense layers, stacks of matrices, and their gradients.

Not here: which way a product goes and how it is cut (_dense.pyx). Contract: float32 or float64, one dtype a call; the
result is a new array of it. Raises TypeError for dtypes and ValueError for shapes. What C can multiply as it is needs no
check here: _dense.pyx says None of all else.
"""

from __future__ import annotations

import math

from . import _dense
from .arrays import checked, empty, same_shape
from .moves import broadcast_backward

RANKS = range(1, 65)
MATRICES = range(2, 65)


def dense_forward(x, kernel, bias=None):
    """y (..., K) = x (..., C) times kernel (C, K), plus bias (K,) where given."""
    y = _dense.forward(x, kernel, bias)
    if y is not None:
        return y
    x = checked("x", x, RANKS)
    kernel = checked("kernel", kernel, 2, like=x)
    if x.shape[-1] != kernel.shape[0]:
        raise ValueError(
            f"x of shape {x.shape} and a kernel of shape {kernel.shape} do not fit: x's last axis must be the kernel's first."
        )
    if bias is not None:
        bias = checked("bias", bias, 1, like=x)
        same_shape("bias", bias, kernel.shape[1:], "one entry a filter")
    if x.size and kernel.size:
        return _dense.forward(x, kernel, bias)
    y = empty((*x.shape[:-1], kernel.shape[1]), x.dtype)
    y[...] = 0 if bias is None else bias
    return y


def dense_backward_input(dy, kernel):
    """dx (..., C), given dy (..., K) and kernel (C, K)."""
    dx = _dense.backward_input(dy, kernel)
    if dx is not None:
        return dx
    dy = checked("dy", dy, RANKS)
    kernel = checked("kernel", kernel, 2, like=dy)
    if dy.shape[-1] != kernel.shape[1]:
        raise ValueError(
            f"dy of shape {dy.shape} and a kernel of shape {kernel.shape} do not fit: their last axes must be equal."
        )
    if dy.size and kernel.size:
        return _dense.backward_input(dy, kernel)
    return _zeros((*dy.shape[:-1], kernel.shape[0]), dy.dtype)


def dense_backward_kernel(dy, x):
    """dkernel (C, K), given dy (..., K) and x (..., C)."""
    dkernel = _dense.backward_kernel(dy, x)
    if dkernel is not None:
        return dkernel
    dy = checked("dy", dy, RANKS)
    x = checked("x", x, dy.ndim, like=dy)
    same_shape("dy", dy, (*x.shape[:-1], dy.shape[-1]), "x's leading axes")
    if dy.size and x.size:
        return _dense.backward_kernel(dy, x)
    return _zeros((x.shape[-1], dy.shape[-1]), dy.dtype)


def matmul_forward(a, b):
    """y (..., M, K): the products of a's matrices (..., M, C) and b's (..., C, K), whose stacks broadcast."""
    a, b = checked("a", a, MATRICES), checked("b", b, MATRICES, like=a)
    return dense_forward(a, b) if b.ndim == 2 else _stacked(a, b, True, True)


def matmul_backward_a(dy, b, shape):
    """da, of a's `shape` (..., M, C), given dy (..., M, K) and b (..., C, K)."""
    dy, b = checked("dy", dy, MATRICES), checked("b", b, MATRICES, like=dy)
    return dense_backward_input(dy, b) if b.ndim == 2 else broadcast_backward(_stacked(dy, b, True, False), shape)


def matmul_backward_b(dy, a, shape):
    """db, of b's `shape` (..., C, K), given dy (..., M, K) and a (..., M, C)."""
    dy, a = checked("dy", dy, MATRICES), checked("a", a, MATRICES, like=dy)
    return dense_backward_kernel(dy, a) if len(shape) == 2 else broadcast_backward(_stacked(a, dy, False, True), shape)


def _stacked(a, b, a_by_rows, b_by_rows):
    """The products of stacks of matrices, of which a's are transposed unless a_by_rows, and b's unless b_by_rows."""
    rows, depth = a.shape[-2:] if a_by_rows else a.shape[:-3:-1]
    columns, partner = b.shape[:-3:-1] if b_by_rows else b.shape[-2:]
    stack, axes = _stack(a.shape, b.shape)
    if depth != partner or stack is None:
        raise ValueError(f"Stacks of matrices of shapes {a.shape} and {b.shape} cannot be multiplied.")
    shape = (*stack, rows, columns)
    if a.size and b.size and math.prod(shape):
        return _dense.stacked(a, b, a_by_rows, b_by_rows, shape, rows, columns, depth, axes)
    return _zeros(shape, a.dtype)


def _stack(a, b):
    """The shape that stacks of matrices of shapes a and b broadcast to, and its axes, as few as do: their count and the
    elements from one matrix to the next in a and in b. (None, None) where they do not broadcast."""
    rank = max(len(a), len(b)) - 2
    step_a, step_b = math.prod(a[-2:]), math.prod(b[-2:])
    shape, axes = [], []
    for axis in range(3, rank + 3):
        n, m = a[-axis] if axis <= len(a) else 1, b[-axis] if axis <= len(b) else 1
        if n != m and 1 not in (n, m):
            return None, None
        count = m if n == 1 else n
        shape.append(count)
        if count != 1:
            steps = step_a if n > 1 else 0, step_b if m > 1 else 0
            if axes and steps == (axes[-1][0] * axes[-1][1], axes[-1][0] * axes[-1][2]):
                axes[-1] = (axes[-1][0] * count, *axes[-1][1:])
            else:
                axes.append((count, *steps))
        step_a, step_b = step_a * n, step_b * m
    return tuple(shape[::-1]), axes[::-1]


def _zeros(shape, dtype):
    array = empty(shape, dtype)
    array.fill(0)
    return array
