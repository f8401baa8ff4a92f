"""Fusion: which neighbours in a stack run as one operation, because nobody asks for the map between them.

Convolution, ReLU and max-pooling over windows that do not overlap become ops.conv_pool. Only the exact layer types are
matched, and none whose `call` was replaced: a subclass may do anything. Contract: the result, the gradients, the
weights, the checks and their errors are those of the layers called one after another.
"""

from __future__ import annotations

import math

from fastconv import ops
from fastconv.layers import activations
from fastconv.layers.convolutional import Conv1D, Conv2D, Conv3D
from fastconv.layers.core import Activation, ReLU
from fastconv.layers.pooling import MaxPooling1D, MaxPooling2D, MaxPooling3D

_CONVS, _POOLS = {Conv1D, Conv2D, Conv3D}, {MaxPooling1D, MaxPooling2D, MaxPooling3D}


def runs(stack) -> list[list]:
    """`stack` in lists of layers: those that `call` runs as one, and single layers."""
    found, start = [], 0
    while start < len(stack):
        stop = start + (fused(stack, start) or 1)
        found.append(stack[start:stop])
        start = stop
    return found


def fused(stack, start: int) -> int:
    """How many layers of `stack`, from `start` on, `call` runs as one; 0 where they must run one by one."""
    if type(stack[start]) not in _CONVS:
        return 0
    conv, stop = stack[start], start + 1
    if conv.activation is activations.linear and stop < len(stack) and _is_relu(stack[stop]):
        stop += 1
    elif conv.activation not in (activations.linear, ops.relu):
        return 0
    if stop == len(stack) or type(stack[stop]) not in _POOLS:
        return 0
    pool = stack[stop]
    if pool.strides != pool.pool_size or pool.padding != "valid" or math.prod(pool.pool_size) > 255:
        return 0
    run = stack[start : stop + 1]
    if any("call" in vars(layer) or layer._dtype != conv._dtype for layer in run):
        return 0
    return len(run)


def call(run, inputs):
    """The layers that `fused` found, as one operation."""
    conv, pool = run[0], run[-1]
    x = conv.prepare(inputs)
    mark = (conv._changes, x.shape[1:], pool._checked_shape)
    if conv._fused_mark == mark:
        pass  # the usual case: all of it was checked for this shape
    elif pool._checked_shape is None or conv.compute_output_shape(x.shape)[1:] != pool._checked_shape:
        shape = x.shape
        for layer, after in zip(run, run[1:]):
            shape = layer.compute_output_shape(shape)
            after._check_and_build(shape)
        pool.compute_output_shape(shape)
    else:
        conv._fused_mark = mark
    return ops.conv_pool(
        x, conv.kernel, conv.bias, pool.pool_size, relu=conv.activation is ops.relu or len(run) == 3,
        strides=conv.strides, padding=conv.padding, dilation_rate=conv.dilation_rate, groups=conv.groups,
    )  # fmt: skip


def _is_relu(layer) -> bool:
    if type(layer) is Activation:
        return layer.activation is ops.relu
    return type(layer) is ReLU and layer.max_value is None and not layer.negative_slope
