"""Fusion: neighbouring operations of a program that run as one, because nobody asks for the maps between them.

PATTERNS is the table: each row matches a chain of Ops and gives the one Op call that takes its place; before, what is
turned around and back is not turned at all. It knows Ops, never layers. Contract: a rewritten program has the values
and gradients of the calls it replaces; a value that anything else reads, or that leaves the program, is never fused
away.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .kernels.geometry import per_axis
from .ops import activations
from .ops.activations import ClippedRelu, Relu
from .ops.conv import Conv, DepthwiseConv
from .ops.conv_pool import ConvPool
from .ops.elementwise import Add, Map
from .ops.fused import AddRelu, BatchNormAct, BatchNormInferenceAct, ConvMap, ConvNorm, ConvRelu, DepthwiseConvNorm
from .ops.normalization import BatchNorm, BatchNormInference
from .ops.pooling import MaxPool
from .ops.shaping import Transpose
from .symbolic import Call


class Pattern(NamedTuple):
    """A chain of Ops, each an input of the next, or tuples of Ops of which any will do, and `make(*calls)`: (op, inputs,
    attributes) or None. `frozen`: only where no gradient is wanted."""

    chain: tuple
    make: object
    frozen: bool = False


def _conv_pool(conv, *rest):
    pool, rank = rest[-1].attributes, len(conv.output.shape) - 2
    size = per_axis("pool_size", pool["pool_size"], rank)
    strides = size if pool["strides"] is None else per_axis("strides", pool["strides"], rank)
    if strides != size or pool["padding"] != "valid" or math.prod(size) > 255:
        return None
    return ConvPool, conv.inputs, {**conv.attributes, "pool_size": size, "relu": len(rest) == 2}


def _conv_relu(conv, relu):
    return _bounded(relu) and (ConvRelu, conv.inputs, {**conv.attributes, "most": relu.attributes.get("most")})


def _conv_map(conv, act):
    return ConvMap, conv.inputs, {**conv.attributes, "map": _function(act)}


def _conv_norm_map(conv, norm, *rest):
    found = _conv_norm(conv, norm, *rest[:-1])
    return found and (*found[:2], {**found[2], "map": _function(rest[-1])})


def _function(act):
    return (act.op.function, *act.attributes.values())


def _conv_norm(conv, norm, *rest):
    """Convolution, batch normalization by given statistics, then the sum with a residual, ReLU, or both."""
    op = ConvNorm if conv.op is Conv else DepthwiseConvNorm
    found = _norm_end(norm, rest) if norm.inputs[0] is conv.output else None
    return found and (op, (*conv.inputs, *found[0][1:]), {**conv.attributes, **found[1]})


def _norm_act(norm, *rest):
    """Batch normalization, then the sum with a residual, ReLU, or both."""
    found = _norm_end(norm, rest)
    return found and (BatchNormAct if norm.op is BatchNorm else BatchNormInferenceAct, *found)


def _norm_end(norm, rest):
    """(inputs, attributes) of a batch normalization and of what follows it, a sum, ReLU or both; or None."""
    residual = _other(rest[0], norm) if rest and rest[0].op is Add else ()
    relu = bool(rest) and rest[-1].op in RELU
    if residual is None or (relu and not _bounded(rest[-1])):
        return None
    most = rest[-1].attributes.get("most") if relu else None
    return (*norm.inputs, *residual), {**norm.attributes, "relu": relu, "most": most}


def _bounded(relu):
    """Whether it ends above 0, if anywhere: else it is the same number for every input."""
    return relu.attributes.get("most", math.inf) > 0


def _add_relu(add, relu):
    shapes = [getattr(value, "shape", None) for value in add.inputs]
    return (AddRelu, add.inputs, {}) if shapes[0] == shapes[1] and not add.attributes else None


def _other(add, call):
    """The other operand of a sum with call's output, as a tuple, if it has the same shape; or None."""
    others = [value for value in add.inputs if value is not call.output]
    fits = len(others) == 1 and getattr(others[0], "shape", None) == call.output.shape and not add.attributes
    return tuple(others) if fits else None


RELU, CONV, NORM = (Relu, ClippedRelu), (Conv, DepthwiseConv), (BatchNorm, BatchNormInference)
MAPS = tuple(op for op in vars(activations).values() if isinstance(op, type) and issubclass(op, Map) and op is not Map)
PATTERNS = (  # those that begin alike: the longest first
    Pattern((Conv, Relu, MaxPool), _conv_pool),
    Pattern((Conv, MaxPool), _conv_pool),
    Pattern((CONV, BatchNormInference, Add, RELU), _conv_norm, frozen=True),
    Pattern((CONV, BatchNormInference, Add), _conv_norm, frozen=True),
    Pattern((CONV, BatchNormInference, RELU), _conv_norm, frozen=True),
    Pattern((CONV, BatchNormInference, MAPS), _conv_norm_map, frozen=True),
    Pattern((CONV, BatchNormInference), _conv_norm, frozen=True),
    Pattern((Conv, RELU), _conv_relu),
    Pattern((Conv, MAPS), _conv_map, frozen=True),
    Pattern((NORM, Add, RELU), _norm_act),
    Pattern((NORM, Add), _norm_act),
    Pattern((NORM, RELU), _norm_act),
    Pattern((Add, Relu), _add_relu),
)


def rewritten(calls: list[Call], outputs, wanted) -> list[Call]:
    """The calls with every match of PATTERNS, longest first where they begin, put together; `outputs` leave the
    program, and `wanted(call)` says whether a gradient goes through a call."""
    calls = _without_turns(calls, outputs)
    readers = {}
    for call in calls:
        for value in call.inputs:
            readers.setdefault(id(value), []).append(call)
    kept = set(map(id, outputs))
    changed = {id(call.inputs[place]) for call in calls for place in call.op.updates}
    number = {id(call): i for i, call in enumerate(calls)}
    replaced, gone, taken = {}, set(), set()
    for call in calls:
        for pattern in PATTERNS if id(call) not in taken else ():
            chain = _chain(pattern.chain, call, readers, kept, taken)
            if chain and (pattern.frozen and wanted(chain[-1]) or _overtakes(chain, readers, changed, number)):
                continue
            made = pattern.make(*chain) if chain else None
            if made:
                op, inputs, attributes = made
                replaced[id(chain[-1])] = Call(op, inputs, attributes, chain[-1].output)
                gone.update(map(id, chain[:-1]))
                taken.update(map(id, chain))
                break
    return [replaced.get(id(call), call) for call in calls if id(call) not in gone]


def _without_turns(calls, outputs):
    """The calls without transpositions that undo one another: who reads the second one reads what the first one read.
    Layers of channels first, which compute channels last, leave them wherever two of them meet."""
    kept, turned, instead, found = set(map(id, outputs)), {}, {}, []
    for call in calls:
        inputs = tuple([instead.get(id(value), value) for value in call.inputs])
        if any(a is not b for a, b in zip(inputs, call.inputs)):
            call = Call(call.op, inputs, call.attributes, call.output)
        if call.op is Transpose:
            axes = call.attributes["axes"] or range(len(call.output.shape))[::-1]
            start, before = turned.get(id(inputs[0]), (None, None))
            if before and [before[axis] for axis in axes] == [*range(len(axes))] and id(call.output) not in kept:
                instead[id(call.output)] = start
                continue
            turned[id(call.output)] = inputs[0], axes
        found.append(call)
    if not instead:
        return calls
    result = []
    for call in reversed(found):
        if call.op is not Transpose or id(call.output) in kept:
            kept.update(map(id, call.inputs))
            result.append(call)
    return result[::-1]


def _chain(ops, call, readers, kept, taken):
    """The calls of these ops one after another from `call` on, each read by the next one alone; or None."""
    if not _is(call, ops[0]):
        return None
    found = [call]
    for op in ops[1:]:
        output = found[-1].output
        following = readers.get(id(output), [])
        if id(output) in kept or len(following) != 1 or not _is(following[0], op) or id(following[0]) in taken:
            return None
        found.append(following[0])
    return found


def _overtakes(chain, readers, changed, number):
    """Whether a call of the chain, made where its last one stands, comes after another one that it came before, though one
    of both changes what the other reads: a layer's moving statistics, where it is called several times."""
    return any(
        number[id(call)] < number[id(reader)] < number[id(chain[-1])]
        for call in chain for value in call.inputs if id(value) in changed for reader in readers[id(value)]
    )  # fmt: skip


def _is(call, op):
    return call.op in op if isinstance(op, tuple) else call.op is op
