"""Recurrent layers: all steps of a SimpleRNN, an LSTM or a GRU, and their gradients: check, allocate, call.

Not here: the product of the inputs and their kernel (dense.py). Contract: float32 or float64, one dtype a call. A `kind`
is "simple", "lstm", "gru", or "gru_before", whose reset gate acts before its product; functions are those of ACTIVATIONS.
Arrays are (batch, steps, ...) in order of time, outputs in the order of the steps, which `backwards` turns. `mask` (batch,
steps) leaves a step out where it is 0: states stay, and the output is the one before (zeros before the first), or zeros
if `zero_masked`. Raises TypeError for dtypes and ValueError for shapes and names.
"""

from __future__ import annotations

import itertools
import math

from . import _rows
from ._maps import MAPS
from ._rows import RECURRENCES
from .arrays import checked, empty, same_shape
from .dense import dense_backward_kernel
from .moves import concatenate_forward, get_item_forward
from .rows import bias_backward

ACTIVATIONS = {name: MAPS[name][0] for name in ("tanh", "sigmoid", "hard_sigmoid")}
ACTIVATIONS |= {"linear": -1, "relu": MAPS["clipped_relu"][0]}


def recurrence_forward(
    x, kernel, bias, mask, h, c=None, *, kind, activation, recurrent, sequences=True, states=False, backwards=False,
    zero_masked=False, save=True,
):  # fmt: skip
    """(y, saved): y (batch, steps, units), or the last output (batch, units) without `sequences`; with `states` a vector
    that holds it and the last states, one after another. `saved` is for the gradient, None unless `save`.

    x (batch, steps, gates * units) is the inputs' product, kernel (units, gates * units) the states'; bias (gates *
    units,), or None, is added to the latter in a "gru". h and, of an "lstm", c are the states (batch, units) at the start.
    """
    options = _options(kind, activation, recurrent, sequences, backwards, zero_masked)
    x, given = _checked(x, kernel, bias, mask, h, c, kind)
    (batch, steps, _), units = x.shape, h.shape[1]
    shapes = [(batch, steps, units) if sequences else (batch, units), *[h.shape] * (states * _states(kind))]
    y = empty((sum(map(math.prod, shapes)),) if states else shapes[0], x.dtype)
    saved = None
    if save:
        widths = {"saved": RECURRENCES[kind][2] * units, "before": units}
        if kind in ("lstm", "gru_before"):
            widths["cells"] = units
        saved = given | {name: empty((batch, steps, width), x.dtype) for name, width in widths.items()}
    if x.size:
        outputs = zip(("y", "last_h", "last_c"), _parts(y, shapes))
        _rows.recurrence(kind, dict(outputs, x=x, **(saved or given)), steps, *options)
    return y, saved


def recurrence_backward(
    dy, saved, *, kind, activation, recurrent, sequences=True, states=False, backwards=False, zero_masked=False,
    needs=(True,) * 6,
):  # fmt: skip
    """(dx, dkernel, dbias, None, dh, dc), of which those but for dx are None that are not in `needs`, or have no array;
    dy is laid out as y, and the options are forward's."""
    options = _options(kind, activation, recurrent, sequences, backwards, zero_masked)
    h, (batch, steps, units) = saved["h"], saved["before"].shape
    dy = checked("dy", dy, like=h)
    shapes = [(batch, steps, units) if sequences else (batch, units), *[h.shape] * (states * _states(kind))]
    same_shape("dy", dy, (sum(map(math.prod, shapes)),) if states else shapes[0], "y's shape")
    dx = empty((batch, steps, saved["kernel"].shape[1]), dy.dtype)
    dproduct = empty(dx.shape, dx.dtype) if kind == "gru" else dx
    dh, dc = (
        empty(h.shape, dx.dtype) if need and saved[name] is not None else None for need, name in zip(needs[4:], "hc")
    )
    if dx.size:
        arrays = dict(zip(("dy", "dlast_h", "dlast_c"), _parts(dy, shapes)), **saved)
        _rows.recurrence(kind, dict(arrays, dx=dx, dproduct=dproduct, dh=dh, dc=dc), steps, *options)
    dkernel = dense_backward_kernel(dproduct, saved["before"]) if needs[1] else None
    if needs[1] and kind == "gru_before":  # r * h is what its last gate multiplies
        last = dense_backward_kernel(dproduct, saved["cells"])
        columns = [(slice(None), slice(0, 2 * units)), (slice(None), slice(2 * units, None))]
        dkernel = concatenate_forward([get_item_forward(a, key) for a, key in zip((dkernel, last), columns)], 1)
    dbias = bias_backward(dproduct) if needs[2] and saved["bias"] is not None else None
    return dx, dkernel, dbias, None, dh, dc


def _states(kind):
    """How many there are."""
    return 2 if kind == "lstm" else 1


def _options(kind, activation, recurrent, *rest):
    """What _rows.recurrence takes after the steps."""
    for name, value, table in (
        ("kind", kind, RECURRENCES),
        ("activation", activation, ACTIVATIONS),
        ("recurrent", recurrent, ACTIVATIONS),
    ):
        if value not in table:
            raise ValueError(f"{name} must be one of {', '.join(table)}; got {value!r}.")
    return ACTIVATIONS[activation], ACTIVATIONS[recurrent], *rest


def _checked(x, kernel, bias, mask, h, c, kind):
    """x, and the other arrays by name, as C can read them."""
    x, h = checked("x", x, 3), checked("h", h, 2, like=x)
    units, width = h.shape[1], RECURRENCES[kind][1] * h.shape[1]
    kernel = checked("kernel", kernel, 2, like=x)
    same_shape("kernel", kernel, (units, width), "a row a unit, and a column a unit of each gate")
    same_shape("x", x, (*h.shape[:1], x.shape[1], width), "h's batch, and a column a unit of each gate")
    if bias is not None:
        if kind != "gru":
            raise ValueError(f"Only the product of a gru's state has a bias; got one for {kind!r}.")
        bias = checked("bias", bias, 1, like=x)
        same_shape("bias", bias, (width,), "one entry a column of the kernel")
    if mask is not None:
        mask = checked("mask", mask, 2, like=x)
        same_shape("mask", mask, x.shape[:2], "an entry a step")
    if (c is not None) != (kind == "lstm"):
        raise ValueError(f"The state c is an lstm's; got {'none' if c is None else 'one'} for {kind!r}.")
    if c is not None:
        c = checked("c", c, 2, like=x)
        same_shape("c", c, h.shape, "h's shape")
    return x, {"kernel": kernel, "bias": bias, "mask": mask, "h": h, "c": c}


def _parts(vector, shapes):
    """Views of these shapes, one after another."""
    if len(shapes) == 1:
        return [vector]
    ends = [0, *itertools.accumulate(map(math.prod, shapes))]
    return [vector[a:b].reshape(shape) for a, b, shape in zip(ends, ends[1:], shapes)]
