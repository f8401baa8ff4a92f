"""What to do about an input that does not fit: from two shapes to a sentence with the line that mends it.

It checks nothing and raises nothing; layers and models put these sentences behind their errors. Contract: `remedy` gives
one sentence with a space before it, or nothing where no likely cause is known.
"""

from __future__ import annotations

import math

Shape = tuple  # of int | None


def remedy(got: Shape, wanted: Shape) -> str:
    """What makes inputs of shape `got` fit `wanted`; both with the batch in front, None where a size is open."""
    got, sample = tuple(got), tuple(wanted)[1:]
    if not got or not sample:
        return ""
    rest = got[1:]
    if got == (0,):
        return " There are no samples."
    known = None not in rest + sample
    if _same(got, sample):
        return " One sample needs a batch axis: x = x[None]."
    if sample[-1] == 1 and _same(rest, sample[:-1]):
        return " Grey images need a channel axis: x = x[..., None]." if len(sample) == 3 else _LAST
    if sample[-1] == 1 and _same(got, sample[:-1]):
        return " One sample needs a batch axis and a channel axis: x = x[None, ..., None]."
    if rest and rest[-1] == 1 and _same(rest[:-1], sample):
        return " The last axis, of size 1, is one too many: x = x[..., 0]."
    if len(sample) > 1 and sample[0] != sample[-1] and _same(rest, (sample[-1], *sample[:-1])):
        return " The channels come first, and belong last: x = np.moveaxis(x, 1, -1)."
    if rest[:-1] and _same(rest[:-1], sample[:-1]):
        return _CHANNELS.get((rest[-1], sample[-1]), "")
    if known and len(rest) != len(sample) and math.prod(rest) == math.prod(sample):
        return f" Flat samples need their axes: x = x.reshape({', '.join(map(str, ('len(x)', *sample)))})."
    if len(rest) == len(sample) and rest[-1] == sample[-1]:
        return " Resize the samples, or declare None where sizes differ."
    return ""


_LAST = " Data of one channel needs a channel axis: x = x[..., None]."
_CHANNELS = {
    (3, 1): " Colour becomes grey with x = x.mean(axis=-1, keepdims=True).",
    (4, 1): " Colour becomes grey with x = x[..., :3].mean(axis=-1, keepdims=True).",
    (1, 3): " Grey becomes colour with x = np.repeat(x, 3, axis=-1).",
    (4, 3): " The fourth channel is transparency: leave it out with x = x[..., :3].",
}  # (channels that came, channels that the model takes) -> what to do


def _same(shape, wanted):
    return len(shape) == len(wanted) and all(a == b or a is None or b is None for a, b in zip(shape, wanted))
