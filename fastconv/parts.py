"""Parts: whether a program may run on a few samples at a time, and on how many.

Where the maps of a whole batch are larger than the caches, each step writes them to memory and the next reads them from
there; those of a few samples stay near. Weights are read once for each part, so parts are only as small as pays for that.
Contract: a program is cut only if each of its operations is one of SAMPLEWISE, whose results for a sample follow from
that sample, and from what is the same for all of them; which shapes are cut depends on shapes alone.
"""

from __future__ import annotations

import math

from .fusion import MAPS
from .ops import activations
from .ops.conv import Conv, DepthwiseConv
from .ops.conv_pool import ConvPool
from .ops.copying import Pad
from .ops.elementwise import Add, Divide, Linear, Maximum, Minimum, Multiply, Subtract
from .ops.fused import AddRelu, BatchNormInferenceAct, ConvMap, ConvNorm, ConvRelu, DepthwiseConvNorm
from .ops.joining import Concatenate
from .ops.linear import Dense
from .ops.normalization import BatchNormInference, GroupNorm
from .ops.pooling import AdaptiveAveragePool, AdaptiveMaxPool, AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from .ops.shaping import Reshape
from .program import Program, Slot

CACHE = 16 << 20  # bytes of a step's maps that are near: what the kernels, too, store past the caches from (FAR)
WORTH = 2  # bytes of maps for each of weights
SHARED = 4  # threads that a sample's steps keep busy

# The op: the places of inputs that may hold samples. What stands elsewhere is the same for all.
SAMPLEWISE = {
    **dict.fromkeys(
        (Conv, DepthwiseConv, ConvRelu, ConvMap, ConvPool, Dense, BatchNormInference, GroupNorm, MaxPool, AveragePool,
         AdaptiveMaxPool, AdaptiveAveragePool, GlobalMaxPool, GlobalAveragePool, activations.Relu, Linear, Reshape, Pad,
         activations.Softmax, *MAPS), {0}
    ),
    **dict.fromkeys((ConvNorm, DepthwiseConvNorm), {0, 7}),
    BatchNormInferenceAct: {0, 5},
    **dict.fromkeys((Add, Subtract, Multiply, Divide, Maximum, Minimum, AddRelu, activations.PRelu), {0, 1}),
    Concatenate: None,  # all of them
}  # fmt: skip
BROADCASTING = (Add, Subtract, Multiply, Divide, Maximum, Minimum, activations.PRelu)


def share(program: Program) -> int | None:
    """How many samples at a time the program should run on; None: all of them."""
    shapes = [program.shapes[slot] for slot in program.inputs]
    batch = shapes[0][0] if shapes[0] else 0
    if batch < 2 or any(not shape or shape[0] != batch for shape in shapes):
        return None
    known, of_samples = program.shapes, set(program.inputs)
    for step in program.steps:
        held = [place for place, value in enumerate(step.arguments) if isinstance(value, Slot) and value in of_samples]
        if not held:
            continue
        if not _samplewise(step, held, known, batch):
            return None
        of_samples.add(step.slot)
    if not all(isinstance(output, Slot) and output in of_samples for output in program.outputs):
        return None
    return _smallest(program, known, of_samples, batch)


def side_by_side(parts: int, samples: int, threads: int) -> int:
    """How many of so many parts, of so many samples each, run at once, a thread each; 1: one after another, on all threads.
    The results are the same: no tile knows who else works."""
    at_once = min(parts, threads)
    busy = parts / -(-parts // at_once)  # threads, on average
    return at_once if busy >= min(threads, SHARED * samples) else 1


def alike(whole: Program, part: Program) -> bool:
    """Whether the programs of a batch and of a part of it are the same but for the number of samples."""
    shapes = zip(whole.shapes.values(), part.shapes.values())
    return whole.same(part, apart=(Reshape,)) and all(a[1:] == b[1:] for a, b in shapes)


def _samplewise(step, held, known, batch):
    """Whether each sample of the output follows from that of the arguments in the places `held`, which have `batch`."""
    places, output = SAMPLEWISE.get(step.op, set()), known[step.slot]
    if (places is not None and not places.issuperset(held)) or not output or output[0] != batch:
        return False
    if step.op is Concatenate:
        return len(held) == len(step.arguments)  # along another axis: the output has `batch` samples
    if step.op is Pad:
        return tuple(step.attributes["pairs"][0]) == (0, 0)
    if step.op in (activations.Softmax, Dense):
        return len(output) > 1
    if step.op in BROADCASTING:
        return all(_aligned(value, place in held, known, len(output)) for place, value in enumerate(step.arguments))
    return True


def _aligned(value, held, known, rank):
    """Whether an operand's first axis is that of the samples, or it has none there."""
    if value is None:
        return True
    shape = known[value] if isinstance(value, Slot) else value.shape
    return len(shape) == rank if held else len(shape) < rank or shape[0] == 1


def _smallest(program, known, of_samples, batch):
    def size(slots):
        return 4 * sum(math.prod(known[slot]) for slot in slots if slot in of_samples)

    steps = [step for step in program.steps if step.slot in of_samples]
    together = [size({step.slot, *[a for a in step.arguments if isinstance(a, Slot)]}) for step in steps]
    if max(together, default=0) <= CACHE:
        return None
    weights = sum(parameter.data.nbytes for parameter in program.parameters)
    maps = sum(size({step.slot}) for step in steps)
    for count in range(1, batch // 2 + 1):
        if batch % count == 0 and maps * count >= WORTH * weights * batch:
            return count if max(together) * count <= CACHE * batch else None
    return None
