"""Which algorithm a convolution runs on: the one place where that is chosen, from shapes alone, with no timing.

- "direct": csrc/conv/conv_forward.c and conv_backward_kernel.c; any shape.
- "streamed": csrc/conv/conv_stream.c; forward, few outputs: the time is that of reading the weights, once and as they lie.
- "depthwise" (one filter for each channel; csrc/grouped/depthwise.c, and grouped.c for its other passes) and "grouped" (groups
  of few channels; csrc/grouped/grouped.c): vectors over the channels of all groups.
- "sparse": csrc/conv/conv_pool_back.c; gradients through max-pooling from the windows' winners alone.
- "winograd F(m, r)": csrc/winograd/winograd.c and winograd_kernel.c; m outputs an axis from m + r - 1 products; stride 1.

Every algorithm has a cost, roughly in multiply-adds at the direct tiles' rate, and the least one wins. The weights of
the costs were fitted to single-thread times on AVX2 and AVX-512. Weights come from memory, each of them in the time of
READ products, so few outputs make whoever reads the fewest bytes the quickest: transforms of large kernels, 16/9 to 4
times their size, want many tiles. They also want to be kept, which costs memory: one of more than KEPT floats is not, but
made anew at each call. With `set_precision("exact")` Winograd takes no part.

Errors, relative to the output's root mean square, of the forward pass for rectified normal inputs, He-initialised
weights and 64 channels; backward-input's and the kernel gradient's are up to 1.4 times those. float64 has 2**-29
of them. tests/test_kernels_winograd.py holds the table:

                       float32: rms  largest        direct, the same data: rms
    F(5, 2)                 2.9e-7    2.4e-6        1.4e-7
    F(4, 3)                 2.8e-7    2.2e-6        1.8e-7
    F(4, 4)                 5.1e-7    5.9e-6        2.0e-7
    F(4, 40), in pieces     1.5e-6    1.6e-5        6.5e-7
    F(4, 5)                 5.6e-7    6.3e-6        2.3e-7
    F(2x2, 3x3)             2.2e-7    1.3e-6        2.9e-7
    F(4x4, 3x3)             6.6e-7    4.9e-6        2.9e-7
    F(2x2, 5x5)             7.2e-7    4.2e-6        5.2e-7
    F(4x4, 5x5)             2.6e-6    2.6e-5        5.2e-7
    F(2x2x2, 3x3x3)         3.1e-7    1.8e-6        5.3e-7
    F(2x4x4, 3x3x3)         8.6e-7    6.1e-6        5.3e-7
    F(4x4x4, 3x3x3)         1.4e-6    1.8e-5        5.3e-7

A NaN or an infinity in an input makes every output non-finite that depends on it, and with Winograd also those of the
same Winograd tile that do not.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from ._tiles import note_change, register_tile
from .geometry import REACH, Window

PASSES = ("forward", "backward_input", "backward_kernel")
# Outputs of a Winograd tile for kernels of two to five taps; axes of one tap stay as they are, and those behind the only
# axis of several are one with it (Window.line). A longer row of taps is cut into pieces.
WINOGRAD = {
    (2,): ((5,),),
    (3,): ((4,),),
    (4,): ((4,),),
    (5,): ((4,),),
    (3, 3): ((2, 2), (4, 4)),
    (5, 5): ((2, 2), (4, 4)),
    (3, 3, 3): ((2, 2, 2), (2, 4, 4), (4, 4, 4)),
}
MOST_TAPS, PIECE = 5, 4  # a piece has as many taps as a tile has outputs
TRANSFORM, WEIGHT = 12, 20  # multiply-adds in the time that one transformed value takes, and one transformed weight
SUMS = 15  # the same of a sum of a kernel's gradient, that is read again for each range of tiles and transformed back
READ, PACK = 8, 24  # the same of a weight that is read from memory, and of one that is packed
PASSING = 20  # the same of one that is transformed on the way, as it is where
FEW = 4  # times the tiles are no more than the filters
KEPT = 3 << 20  # floats of a kernel's transform, up to which it is kept
COPIED = 4  # to lay out an input of a tap, or to add to a sum
REACHED = 300  # to find what a tap reaches, for each of its outputs
STREAMED = 1.25  # the streamed tiles' overhead over the products that are not of padding
STREAM_OUTPUTS = 1024  # up to which their sums are few against the weights
DIRECT = 1.1  # the direct tiles' overhead over Winograd's products
SPARSE, LIST = 1.2, 60  # a winner's multiply-adds against direct tiles', where ReLU cut some; and its place in a list
SAMPLES = 4  # from which the winners' input gradient, cut by samples, has work for some threads
LAYOUT, GATHER = 1 / 32, 1.3  # of vectors over all groups: a channel's part of a product's time; lane by lane
MOST_LANES = 16  # of a vector, on any instruction set
GROUP_CHANNELS = 8  # of a group, up to which there are such vectors: FC_GROUP_CHANNELS in csrc/tiles.h
CHANNELS = 16  # from which, on both sides, register tiles of products are worth their transforms

_precision = "fast"


class Problem(NamedTuple):
    """One pass of one convolution; channels and filters count all groups."""

    kind: str
    window: Window
    batch: int
    channels: int
    filters: int
    groups: int


class Choice(NamedTuple):
    """An algorithm that can run a problem. `outputs`: a Winograd tile's (depth, height, width), or None. `kept`: whether its
    transformed weights are to be kept, by whoever keeps them."""

    name: str
    cost: float
    outputs: tuple[int, int, int] | None = None
    kept: bool = True


def set_precision(precision: str) -> str:
    """Sets how convolutions may compute, and returns the setting before.

    "fast" (the default) takes Winograd's algorithms where they are quicker, whose rounding errors are up to five
    times those of direct convolution (this module's table); "exact" always sums the products directly. Either way the
    results have the same bits at any number of threads.
    """
    global _precision
    if precision not in ("fast", "exact"):
        raise ValueError(f"precision must be 'fast' or 'exact'; got {precision!r}.")
    before, _precision = _precision, precision
    note_change(True)
    return before


def get_precision() -> str:
    """ "fast" or "exact", see set_precision."""
    return _precision


def choose(problem: Problem, algorithm: str | None = None, packed: bool = False, pool=None) -> Choice:
    """The cheapest algorithm for this problem, or the cheapest whose name begins with `algorithm`.

    `packed`: the weights' transforms are kept, so that they cost nothing. `pool`: the output is max-pooled in windows
    of these sizes, which do not overlap: forward pools before it writes, and the gradients start from the pooled
    map's. ValueError names what can run the problem where `algorithm` cannot.
    """
    return _choose(problem, algorithm, packed, pool, _precision, register_tile()[1] // 2)


@lru_cache(maxsize=4096)
def _choose(problem, algorithm, packed, pool, precision, lanes):
    rows = list(candidates(problem, packed, pool, lanes))
    if algorithm is None:
        rows = [row for row in rows if row.outputs is None or precision == "fast"]
    else:
        names = [row.name for row in rows]
        rows = [row for row in rows if row.name == algorithm or row.name.split(" ")[0] == algorithm]
        if not rows:
            raise ValueError(
                f"algorithm {algorithm!r} cannot run this {problem.kind}; of these shapes those can: {', '.join(names)}."
            )
    return min(rows, key=lambda row: row.cost)


def candidates(problem: Problem, packed: bool = False, pool=None, lanes: int = 8):
    """Every algorithm that can run the problem, with vectors of `lanes` floats; a new one is a condition and a cost
    here."""
    window, channels, filters, groups = problem.window, problem.channels, problem.filters, problem.groups
    written = window.input if problem.kind == "backward_input" else window.output
    taps = math.prod(window.kernel)
    products = problem.batch * math.prod(written) * taps * channels * filters / groups
    read, made = channels // groups, filters // groups
    if problem.kind == "backward_input":
        read, made = made, read
    # Direct tiles give each group vectors of its own, whose lanes past the group's outputs idle.
    idle = -(-made // lanes) * lanes / made if groups > 1 else 1
    outputs = problem.batch * math.prod(window.output)
    weights = 0 if problem.kind == "backward_kernel" else taps * channels * filters / groups
    yield Choice("direct", products * DIRECT * idle + weights * (READ if packed else READ + PACK))
    if problem.kind == "forward" and groups == 1 and taps > 1 and 0 < outputs <= STREAM_OUTPUTS:
        pair = channels * filters * STREAMED + COPIED * (channels + filters) + REACHED
        yield Choice("streamed", max(problem.batch * _pairs(window) * pair, weights * READ))
    if pool and problem.kind != "forward" and groups == 1 and window.dilation[-1] == 1 and _field_fits(problem, taps):
        if problem.kind == "backward_kernel" or problem.batch >= SAMPLES:
            winners = problem.batch * filters * math.prod(window.output) / math.prod(pool)
            yield Choice("sparse", winners * (LIST + taps * channels * SPARSE))
    if groups == channels == filters and groups > 1:
        yield Choice("depthwise", products)
    elif groups > 1 and max(channels, filters) <= GROUP_CHANNELS * groups:
        gather = GATHER if lanes % made or read > made else 1  # a vector's inputs do not stand in one vector of x
        yield Choice("grouped", products * (1 + LAYOUT * max(read, made) + 1 / taps) * gather)
    channels, filters = channels // groups, filters // groups
    if min(channels, filters) < CHANNELS or {*window.strides} != {1}:
        return
    if not pool:  # whose windows are on the axes that there are
        window = window.line
        written = window.input if problem.kind == "backward_input" else window.output
    ones = next((i for i, t in enumerate(window.kernel) if t > 1), 0)  # leading axes of one tap stay as they are
    kernel, pieces = window.kernel, 1
    if len(kernel) == ones + 1 and kernel[ones] > MOST_TAPS:
        kernel, pieces = (*kernel[:ones], PIECE), -(-kernel[ones] // PIECE)
    for outputs in WINOGRAD.get(kernel[ones:], ()):
        box = (1,) * ones + outputs
        if pool and problem.kind == "forward" and (any(m % p for m, p in zip(box, pool)) or {*window.dilation} != {1}):
            continue  # the windows must divide a tile
        points = math.prod(m + t - 1 for m, t in zip(box, kernel))
        lines = [d * -(-(-(-size // d)) // m) for size, d, m in zip(written, window.dilation, box)]
        after = (pieces - 1) * window.dilation[-1]  # tiles past the outputs of a line
        if after > lines[-1]:
            continue
        tiles = problem.batch * math.prod(lines[:-1]) * (lines[-1] + after)
        size = points * pieces * groups * channels * filters  # of the transformed weights
        cost = points * tiles * groups * (pieces * channels * filters * idle + TRANSFORM * (channels + filters))
        name = f"winograd F({_times(outputs)}, {_times(window.kernel[ones:])})"
        box = (1,) * (3 - len(box)) + box
        if problem.kind == "backward_kernel":
            yield Choice(name, cost + size * SUMS, box)
            continue
        transform = PASSING if FEW * tiles <= filters and pieces == groups == 1 else WEIGHT  # as _winograd.pyx does it
        yield Choice(name, cost + size * transform, box, kept=False)
        if packed and size <= KEPT:
            yield Choice(name, max(cost, size * READ), box)


def _pairs(window: Window) -> int:
    """Pairs of an output and a tap that reads inside the input."""
    count = 1
    for cells, outputs, taps, stride, gap, start in zip(*[iter(window.axes)] * 6):
        reached = 0
        for at in range(start, start + outputs * stride, stride):  # few; taps may be millions
            reached += max(0, min(taps, (cells - 1 - at) // gap + 1) - max(0, -(at // gap)))
        count *= reached
    return count


def _field_fits(problem: Problem, taps: int) -> bool:
    """Whether all windows' inputs, copied with their padding, are few for what there is, and an int32 counts them and
    the kernel's weights (lane in csrc/conv/conv_pool_back.c)."""
    window, channels = problem.window, problem.channels
    field = math.prod(
        (o - 1) * s + (k - 1) * d + 1
        for o, k, s, d in zip(window.output, window.kernel, window.strides, window.dilation)
    )
    cells = math.prod(window.input)
    return (
        field <= REACH * (cells + math.prod(window.output) * taps)
        and max(field, cells) * channels < 2**31
        and taps * (channels + MOST_LANES) * problem.filters < 2**31
    )


def _times(sizes) -> str:
    return "x".join(map(str, sizes))
