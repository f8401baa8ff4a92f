"""Optimizer steps, in place, one call for all parameters. Formulas and defaults are Keras'.

Every argument is a list of arrays, one entry a parameter, of one dtype and matching shapes; parameters and moments
must be contiguous and writable, since they are changed where they stand.
"""

from __future__ import annotations

import math

import numpy as np

from . import _rows
from ._rows import KINDS
from .arrays import checked, same_shape


def sgd_step(parameters, gradients, velocities, learning_rate, momentum=0.0, nesterov=False):
    """velocity = momentum * velocity - learning_rate * gradient; parameter += velocity.

    With Nesterov's look-ahead, parameter += momentum * velocity - learning_rate * gradient. velocities is None for
    plain descent.
    """
    _update(_rows.sgd_step, (parameters, gradients, velocities), (learning_rate, momentum, nesterov))


def adam_step(
    parameters, gradients, first_moments, second_moments, step, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7
):
    """Adam's step number `step`, from 1 on."""
    if step < 1:
        raise ValueError(f"step counts from 1; got {step!r}.")
    rate = learning_rate * math.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    lists = parameters, gradients, first_moments, second_moments
    _update(_rows.adam_step, lists, (rate, beta_1, beta_2, epsilon))


def update_step(
    kind, parameters, gradients, states, rate=0.0, numbers=(), nesterov=False, scales=None, decays=None, limit=0.0,
    averages=None, keep=0.0,
):  # fmt: skip
    """A step of any `kind` of KINDS with what goes around it, in one pass: each gradient times its one of `scales` and
    within +-`limit` (0: no limit), each parameter less its share of `decays`, the step, and
    `average = keep * average + (1 - keep) * parameter` where there are `averages`.

    `states` are the lists that the kind keeps, in the order and with the `numbers` of csrc/elements/update_kinds.c;
    "none" takes no step. reference_update.py says what each kind computes.
    """
    if kind not in KINDS:
        raise ValueError(f"There is no kind of step {kind!r}; there are {', '.join(KINDS)}.")
    settings = (KINDS[kind], rate, numbers, nesterov, limit, keep)
    states = list(states)
    try:
        return _rows.update_step(list(parameters), gradients, states, averages, scales, decays, *settings)
    except (TypeError, ValueError, BufferError):
        pass
    lists = parameters, gradients, *states, averages
    for rows, (group, groups, *moments) in _grouped(*lists):
        chosen = [None if values is None else [values[row] for row in rows] for values in (scales, decays)]
        _rows.update_step(group, groups, moments[:-1], moments[-1], *chosen, *settings)


def _update(kernel, lists, settings):
    try:
        return kernel(list(lists[0]), *lists[1:], *settings)  # the usual case: one dtype, everything in order
    except (TypeError, ValueError, BufferError):
        pass
    for _, group in _grouped(*lists):
        kernel(*group, *settings)


def _grouped(parameters, gradients, *states):
    """(their places, the lists) for the float32 and for the float64 parameters; empty parameters are left out."""
    lists = [parameters, gradients, *states]
    for values in lists:
        if values is not None and len(values) != len(parameters):
            raise ValueError(f"There are {len(parameters)} parameters and {len(values)} gradients or moments.")
    groups: dict[np.dtype, list] = {}
    for place, row in enumerate(zip(*[[None] * len(parameters) if values is None else values for values in lists])):
        parameter, gradient, *moments = row
        row = [_in_place(parameter), checked("gradient", gradient, like=parameter)]
        row += [None if array is None else _in_place(array) for array in moments]
        for array in row:
            if array is not None and array.shape != parameter.shape:
                same_shape("gradients and moments", array, parameter.shape, "the parameter's shape")
        if parameter.size:
            groups.setdefault(parameter.dtype, []).append((place, *row))
    for rows in groups.values():
        places, *columns = zip(*rows)
        yield places, [None if column[0] is None else list(column) for column in columns]


def _in_place(array):
    if checked("parameter", array) is not array or not array.flags.writeable:
        raise ValueError("Parameters and moments are updated in place: they must be contiguous and writable.")
    return array
