"""Fusion: neighbouring operations of a program that run as one, because nobody asks for the maps between them.

PATTERNS is the table: each row matches a chain of Ops and gives the one Op call that takes its place. It knows Ops,
never layers. Contract: a rewritten program has the values and gradients of the calls it replaces; a value that anything
else reads, or that leaves the program, is never fused away.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from .kernels.geometry import per_axis
from .ops.activations import Relu
from .ops.conv import Conv
from .ops.conv_pool import ConvPool
from .ops.pooling import MaxPool
from .symbolic import Call


class Pattern(NamedTuple):
    """A chain of Ops, each the first input of the next, and `make(*calls)`: (op, inputs, attributes) or None."""

    chain: tuple
    make: object


def _conv_pool(conv, *rest):
    pool, rank = rest[-1].attributes, len(conv.output.shape) - 2
    size = per_axis("pool_size", pool["pool_size"], rank)
    strides = size if pool["strides"] is None else per_axis("strides", pool["strides"], rank)
    if strides != size or pool["padding"] != "valid" or math.prod(size) > 255:
        return None
    return ConvPool, conv.inputs, {**conv.attributes, "pool_size": size, "relu": len(rest) == 2}


PATTERNS = (
    Pattern((Conv, Relu, MaxPool), _conv_pool),
    Pattern((Conv, MaxPool), _conv_pool),
)


def rewritten(calls: list[Call], outputs) -> list[Call]:
    """The calls with every match of PATTERNS, longest first where they begin, put together; `outputs` leave the
    program."""
    readers = {}
    for call in calls:
        for value in call.inputs:
            readers.setdefault(id(value), []).append(call)
    kept = set(map(id, outputs))
    replaced, gone = {}, set()
    for call in calls:
        for pattern in PATTERNS:
            chain = _chain(pattern.chain, call, readers, kept) if call.op is pattern.chain[0] else None
            made = pattern.make(*chain) if chain else None
            if made:
                op, inputs, attributes = made
                replaced[id(chain[-1])] = Call(op, inputs, attributes, chain[-1].output)
                gone.update(map(id, chain[:-1]))
                break
    return [replaced.get(id(call), call) for call in calls if id(call) not in gone]


def _chain(ops, call, readers, kept):
    """The calls of these ops one after another from `call` on, each read by the next one alone; or None."""
    found = [call]
    for op in ops[1:]:
        output = found[-1].output
        following = readers.get(id(output), [])
        if id(output) in kept or len(following) != 1 or following[0].op is not op or following[0].inputs[0] is not output:
            return None
        found.append(following[0])
    return found
