"""The slow twin of `update_step`: every kind of optimizer step on one parameter, in NumPy.

Not the plain steps of SGD and Adam, which are in reference.py. Contract: the arrays change in place, in their own
dtype; `states` and `numbers` stand as csrc/elements/update_kinds.c has them.
"""

from __future__ import annotations

import numpy as np


def update_step(
    kind, p, g, states, rate, numbers=(), nesterov=False, scale=1.0, decay=0.0, limit=0.0, average=None, keep=0.0
):
    """One parameter's step, with what goes around it."""
    g = g * scale
    g = np.clip(g, -limit, limit) if limit else g
    p -= p * decay
    _KINDS[kind](p, g, *states, rate, numbers, nesterov)
    if average is not None:
        average[...] = keep * average + (1 - keep) * p


def _none(p, g, rate, numbers, nesterov):
    pass


def _sgd(p, g, v, rate, numbers, nesterov):
    if v is None:
        p -= rate * g
        return
    v[...] = numbers[0] * v - rate * g
    p += numbers[0] * v - rate * g if nesterov else v


def _adam(p, g, m, v, most, rate, numbers, nesterov):
    m += (g - m) * numbers[0]
    v += (g * g - v) * numbers[1]
    if most is not None:
        most[...] = v = np.maximum(most, v)
    p -= rate * m / (np.sqrt(v) + numbers[2])


def _rmsprop(p, g, v, m, mean, rate, numbers, nesterov):
    rho, rest, epsilon, momentum = numbers
    v[...] = rho * v + rest * g * g
    spread = v
    if mean is not None:
        mean[...] = rho * mean + rest * g
        spread = v - mean * mean
    step = rate * g / np.sqrt(spread + epsilon)
    if m is not None:
        m[...] = step = momentum * m + step
    p -= step


def _adagrad(p, g, total, rate, numbers, nesterov):
    total += g * g
    p -= rate * g / np.sqrt(total + numbers[0])


def _adadelta(p, g, v, d, rate, numbers, nesterov):
    rho, rest, epsilon = numbers
    v[...] = rho * v + rest * g * g
    step = np.sqrt(d + epsilon) * g / np.sqrt(v + epsilon)
    d[...] = rho * d + rest * step * step
    p -= rate * step


def _adamax(p, g, m, u, rate, numbers, nesterov):
    m += (g - m) * numbers[0]
    u[...] = np.maximum(numbers[1] * u, np.abs(g))
    p -= rate * m / (u + numbers[2])


def _nadam(p, g, m, v, rate, numbers, nesterov):
    m += (g - m) * numbers[0]
    v += (g * g - v) * numbers[1]
    p -= (numbers[3] * m + numbers[4] * g) / (np.sqrt(numbers[5] * v) + numbers[2])


def _lion(p, g, m, rate, numbers, nesterov):
    a, b, c, d = numbers
    p -= rate * np.sign(m * a + g * b)
    m[...] = m * c + g * d


def _ftrl(p, g, total, line, rate, numbers, nesterov):
    e, l2, l1, shrink = numbers
    grown = total + g * g
    line += g + shrink * p - (grown**e - total**e) / rate * p
    total[...] = grown
    p[...] = (np.clip(line, -l1, l1) - line) / (grown**e / rate + 2 * l2)


_KINDS = {
    "none": _none, "sgd": _sgd, "adam": _adam, "rmsprop": _rmsprop, "adagrad": _adagrad, "adadelta": _adadelta,
    "adamax": _adamax, "nadam": _nadam, "lion": _lion, "ftrl": _ftrl,
}  # fmt: skip
