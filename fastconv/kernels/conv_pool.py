"""Convolution, ReLU and max-pooling as one kernel, and its gradients: check, allocate, choose the algorithm, call.

The pooling windows do not overlap (their strides are their size) and are not padded; cells past the last whole window
are not read. Shapes as in conv.py; y is (N, *pooled, K), index the tap that won each window (uint8, as max_pool_forward
counts), or CUT where ReLU left the window without a gradient. Values, ties and gradients are those of conv_forward,
relu_forward and max_pool_forward one after another, but the full map is never stored, and the gradients touch only the
positions that won: where a gradient is 0, a NaN or an infinity under it stays unseen. `dy` is y's gradient; what ReLU
does to it is in the index.
"""

from __future__ import annotations

import math

import numpy as np

from . import _conv, _conv_pool, _winograd
from .algorithms import Problem, choose
from .arrays import checked, empty, readable, same_shape
from .conv import RANKS, _shape, conv_backward_input, conv_backward_kernel, conv_forward, conv_geometry
from .geometry import Window, cached, per_axis
from .pool import max_pool_backward, max_pool_forward
from .rows import relu_forward
from .unfold import fold, unfold

CUT = 255  # FC_CUT in csrc/tiles.h


def conv_pool_forward(
    x, kernel, bias=None, pool_size=2, *, relu=True, strides=1, padding="valid", dilation_rate=1, groups=None,
    algorithm=None, packs=None,
):  # fmt: skip
    """(y, index) = max_pool_forward(relu_forward(conv_forward(x, kernel, bias)), pool_size); `packs` as conv_forward's."""
    x = checked("x", x, RANKS)
    kernel = checked("kernel", kernel, x.ndim, like=x)
    window, groups = conv_geometry(x.shape, kernel.shape, strides, padding, dilation_rate, groups)
    if bias is not None:
        bias = checked("bias", bias, 1, like=x)
        same_shape("bias", bias, kernel.shape[-1:], "one entry a filter")
    pool, output = _pooled(window, pool_size)
    problem = Problem("forward", window.compact, len(x), x.shape[-1], kernel.shape[-1], groups)
    choice = choose(problem, algorithm, packs is not None, pool)
    if choice.name in ("depthwise", "grouped"):
        y = conv_forward(x, kernel, bias, strides=strides, padding=padding, dilation_rate=dilation_rate)
        y, index = max_pool_forward(relu_forward(y) if relu else y, pool)
        if relu:
            np.putmask(index, ~(y > 0), CUT)
        return y, index
    y = empty((len(x), *output, kernel.shape[-1]), x.dtype)
    index = empty(y.shape, np.uint8)
    if not y.size:
        return y, index
    box = (1,) * (3 - len(pool)) + pool
    x, window = unfold(x, window), window.compact
    if choice.outputs:
        _winograd.winograd_forward(
            x, kernel, bias, y, window, groups, choice.outputs, box, relu, index, packs, choice.kept
        )
    elif choice.name == "streamed":
        _conv.conv_stream(x, kernel, bias, y, window, relu, box, index)
    else:
        _conv_pool.conv_pool_forward(x, kernel, bias, y, index, window, box, relu, groups, packs)
    return y, index


def conv_pool_backward_input(
    dy, index, kernel, input_shape, pool_size=2, *, strides=1, padding="valid", dilation_rate=1, groups=None,
    algorithm=None,
):  # fmt: skip
    """dx, of input_shape (N, *spatial, C)."""
    dy = checked("dy", dy, RANKS)
    kernel = checked("kernel", kernel, dy.ndim, like=dy)
    input_shape = _shape("input_shape", input_shape, dy.ndim)
    window, groups = conv_geometry(input_shape, kernel.shape, strides, padding, dilation_rate, groups)
    problem = Problem("backward_input", window.compact, input_shape[0], input_shape[-1], kernel.shape[-1], groups)
    pool, index, choice = _backward(problem, dy, index, pool_size, algorithm)
    if choice.name != "sparse" or not dy.size:
        full = max_pool_backward(dy, index, (input_shape[0], *window.output, kernel.shape[-1]), pool)
        return conv_backward_input(
            full, kernel, input_shape, strides=strides, padding=padding, dilation_rate=dilation_rate
        )
    compact = window.compact
    dx = empty((input_shape[0], *compact.input, input_shape[-1]), dy.dtype)
    _conv_pool.conv_pool_backward_input(dy, index, kernel, dx, compact, (1,) * (3 - len(pool)) + pool)
    return fold(dx, window)


def conv_pool_backward_kernel(
    dy, index, x, kernel_shape, pool_size=2, *, strides=1, padding="valid", dilation_rate=1, groups=None,
    algorithm=None,
):  # fmt: skip
    """dkernel, of kernel_shape (*taps, C / groups, K)."""
    dy = checked("dy", dy, RANKS)
    x = checked("x", x, dy.ndim, like=dy)
    kernel_shape = _shape("kernel_shape", kernel_shape, dy.ndim)
    window, groups = conv_geometry(x.shape, kernel_shape, strides, padding, dilation_rate, groups)
    problem = Problem("backward_kernel", window.compact, len(x), x.shape[-1], kernel_shape[-1], groups)
    pool, index, choice = _backward(problem, dy, index, pool_size, algorithm)
    if choice.name != "sparse" or not dy.size:
        full = max_pool_backward(dy, index, (len(x), *window.output, kernel_shape[-1]), pool)
        return conv_backward_kernel(
            full, x, kernel_shape, strides=strides, padding=padding, dilation_rate=dilation_rate
        )
    dkernel = empty(kernel_shape, dy.dtype)
    x, window = unfold(x, window), window.compact
    _conv_pool.conv_pool_backward_kernel(dy, index, x, dkernel, window, (1,) * (3 - len(pool)) + pool)
    return dkernel


def conv_pool_backward_bias(dy, index):
    """dbias (K,): the sum of dy (..., K) over the windows that ReLU did not cut, in a fixed order."""
    dy = checked("dy", dy, RANKS)
    index = _checked_index(index, dy)
    dbias = empty(dy.shape[-1:], dy.dtype)
    if dy.size:
        _conv_pool.conv_pool_backward_bias(dy, index, dbias)
    else:
        dbias.fill(0)
    return dbias


@cached
def _pooled(window: Window, pool_size) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The pool's sizes, one an axis, and the pooled map's."""
    pool = per_axis("pool_size", pool_size, len(window.output))
    if math.prod(pool) > CUT:
        raise ValueError(f"pool_size {pool} has more than {CUT} cells, which an index of one byte cannot count.")
    return pool, Window.of(window.output, pool, pool).output


def _backward(problem, dy, index, pool_size, algorithm):
    """The pool's sizes, the checked index and the choice, for either gradient."""
    pool, output = _pooled(problem.window, pool_size)
    same_shape("dy", dy, (problem.batch, *output, problem.filters), "the pooled output's shape")
    return pool, _checked_index(index, dy), choose(problem, algorithm, pool=pool)


def _checked_index(index, dy):
    if not isinstance(index, np.ndarray) or index.dtype != np.uint8:
        raise TypeError("index must be the uint8 array that conv_pool_forward returned.")
    same_shape("index", index, dy.shape, "dy's shape")
    return readable(index)
