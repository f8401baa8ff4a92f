"""What recurrent layers run on: `recurrence`, all steps of a SimpleRNN, LSTM or GRU in one kernel; and `scan`, any step
repeated along the first axis of an array, its state handed on.

Not here: what a scanned step computes (layers/cells.py). Contract: the steps of a scan are drawn one by one, so the tape
goes back through them, a plan records them all, and eager and planned results have the same bits. The cells of the
scanned array are views of it, and their gradients go to one array, so that a scan's cost grows as its length.
"""

from __future__ import annotations

import itertools
import math

from .. import kernels
from ..tensor import Op, Tensor
from .casting import convert_to_tensor
from .common import normalize_axis
from .indexing import get_item
from .masks import select
from .shaping import reshape


class Cell(Op):
    """x[place], a view."""

    kernels = True
    adds_into = True

    def forward(self, x, *, place):
        self.old, self.place = x.shape, place
        return x[place]

    def backward(self, dy):
        return kernels.get_item_backward(dy, self.place, self.old)

    def add_into(self, dy, total):
        kernels.add_into(total[self.place], dy)

    @staticmethod
    def shape(x, *, place):
        normalize_axis(place, 0 if not x else x[0])
        return x[1:]


class Assign(Op):
    """Copies the value into the Parameter; the value is the result."""

    updates = (0,)

    @staticmethod
    def shape(parameter, value):
        if value != parameter:
            raise ValueError(f"A state of shape {parameter} cannot become one of shape {value}.")
        return parameter

    def forward(self, parameter, value):
        parameter[...] = value
        return value

    def backward(self, dy):
        return None, None


class Recurrence(Op):
    """All steps; with `states` a vector of the output and the last states, one after another."""

    kernels = True

    @staticmethod
    def shape(x, kernel, bias, mask, h, c=None, *, sequences, states, **options):
        output = (*x[: 2 if sequences else 1], h[1])
        if not states:
            return output
        sizes = [*output, *h, *(c or ())]
        return (None if None in sizes else math.prod(output) + (1 if c is None else 2) * math.prod(h),)

    def forward(self, x, kernel, bias, mask, h, c, **options):
        self.options = options
        y, self.saved = kernels.recurrence_forward(x, kernel, bias, mask, h, c, **options, save=any(self.needs))
        return y

    def backward(self, dy):
        return kernels.recurrence_backward(dy, self.saved, **self.options, needs=self.needs)


def recurrence(x, kernel, bias, mask, states, *, sequences, last, **options) -> tuple[Tensor, list[Tensor]]:
    """(output, last states) of all steps, where `options` are those of kernels.recurrence_forward, as are x, kernel, bias,
    mask and the `states`, one or two. The last states are [] unless `last`."""
    (batch, steps), units = x.shape[:2], kernel.shape[0]
    for state in states:
        if state.shape != (batch, units):
            raise ValueError(f"A state must have the shape (batch, units), {(batch, units)}; got {state.shape}.")
    y = Recurrence.apply(
        x, kernel, bias, mask, *states, *[None] * (2 - len(states)), sequences=sequences, states=last, **options
    )
    if not last:
        return y, []
    shapes = [(batch, steps, units) if sequences else (batch, units), *[(batch, units)] * len(states)]
    ends = [0, *itertools.accumulate(map(math.prod, shapes))]
    output, *found = [reshape(get_item(y, slice(a, b)), shape) for a, b, shape in zip(ends, ends[1:], shapes)]
    return output, found


def cells(x) -> list[Tensor]:
    """The cells of x along its first axis, whose size is known; they share its memory."""
    x = convert_to_tensor(x)
    return [Cell.apply(x, place=place) for place in range(x.shape[0])]


def assign(parameter, value) -> None:
    """Gives a Parameter new values, as a step of what is computed, in a program too."""
    Assign.apply(parameter, value)


def scan(step, xs, states, mask=None, reverse=False, zero_masked=False):
    """([output of each step], the last states) of `output, states = step(x, states)` along the first axis of `xs`, from
    its end if `reverse`.

    `states` is a list of Tensors. `mask` (steps, batch), floats of 0 and 1, keeps states as they are where it is 0, and
    the output as the step's before (zeros before the first), or zeros if `zero_masked`.
    """
    places = range(xs.shape[0])
    xs, masks = cells(xs), None if mask is None else cells(mask)
    outputs, output = [], None
    for place in reversed(places) if reverse else places:
        new, found = step(xs[place], states)
        if masks is not None:
            new = select(_aligned(masks[place], new), new, None if zero_masked else output)
            found = [select(_aligned(masks[place], one), one, old) for one, old in zip(found, states)]
        output, states = new, found
        outputs.append(output)
    return outputs, states


def _aligned(mask, x):
    """(batch,) with an axis of 1 for each other axis of x."""
    return reshape(mask, (-1, *(1,) * (x.ndim - 1)))
