"""The specification of recurrent layers: reference.py's part for recurrence.py.

Contract: as reference.py's, one step after another; what is `saved` is the twin's own affair, and no part of what is
compared.
"""

from __future__ import annotations

import numpy as np

from .reference_maps import MAPS

__all__ = ["recurrence_backward", "recurrence_forward"]

FUNCTIONS = {name: MAPS[name] for name in ("tanh", "sigmoid", "hard_sigmoid")} | {
    "linear": (lambda x: x, lambda x, y: np.ones_like(x)),
    "relu": (lambda x: np.maximum(x, 0), lambda x, y: (y > 0) * 1.0),
}


def _step(kind, x, h, c, kernel, bias, act, rec):
    """(h, c, what the gradient reads) after one step."""
    units = h.shape[1]
    if kind == "simple":
        new = act(x + h @ kernel)
        return new, c, (new,)
    if kind == "lstm":
        i, f, g, o = np.split(x + h @ kernel, 4, axis=1)
        i, f, g, o = rec(i), rec(f), act(g), rec(o)
        new = f * c + i * g
        return o * act(new), new, (i, f, g, o, act(new))
    if kind == "gru":
        p = np.split(h @ kernel + (0 if bias is None else bias), 3, axis=1)
        z, r = rec(x[:, :units] + p[0]), rec(x[:, units : 2 * units] + p[1])
        n = act(x[:, 2 * units :] + r * p[2])
        return z * h + (1 - z) * n, c, (z, r, n, p[2])
    z, r = np.split(rec(x[:, : 2 * units] + h @ kernel[:, : 2 * units]), 2, axis=1)
    n = act(x[:, 2 * units :] + (r * h) @ kernel[:, 2 * units :])
    return z * h + (1 - z) * n, c, (z, r, n)


def _step_backward(kind, dh, dc, h, c, kernel, gates, act, rec):
    """(dx, the gradient of the product of h, what multiplied its last gate, dh, dc) of one step from h and c."""
    units = h.shape[1]
    if kind == "simple":
        dx = dh * act(gates[0])
        return dx, dx, h, dx @ kernel.T, dc
    if kind == "lstm":
        i, f, g, o, a = gates
        dc = dc + dh * o * act(a)
        dx = np.concatenate([dc * g * rec(i), dc * c * rec(f), dc * i * act(g), dh * a * rec(o)], 1)
        return dx, dx, h, dx @ kernel.T, dc * f
    z, r, n = gates[:3]
    dz, dn = dh * (h - n) * rec(z), dh * (1 - z) * act(n)
    if kind == "gru":
        dr = dn * gates[3] * rec(r)
        dproduct = np.concatenate([dz, dr, dn * r], 1)
        return np.concatenate([dz, dr, dn], 1), dproduct, h, dh * z + dproduct @ kernel.T, dc
    drh = dn @ kernel[:, 2 * units :].T
    dzr = np.concatenate([dz, drh * h * rec(r)], 1)
    dx = np.concatenate([dzr, dn], 1)
    return dx, dx, r * h, dh * z + drh * r + dzr @ kernel[:, : 2 * units].T, dc


def _wide(*arrays):
    return [None if array is None else array.astype(np.float64) for array in arrays]


def recurrence_forward(
    x, kernel, bias, mask, h, c=None, *, kind, activation, recurrent, sequences=True, states=False, backwards=False,
    zero_masked=False, save=True,
):  # fmt: skip
    """x (batch, steps, gates * units), kernel (units, gates * units), states (batch, units) -> y, and what is saved."""
    dtype, steps = x.dtype, x.shape[1]
    x, kernel, bias, h, c = _wide(x, kernel, bias, h, c)
    act, rec = FUNCTIONS[activation][0], FUNCTIONS[recurrent][0]
    counts = np.ones(x.shape[:2], bool) if mask is None else mask != 0
    outputs, saved, output = [], [], np.zeros_like(h)
    for t in range(steps)[:: -1 if backwards else 1]:
        new_h, new_c, gates = _step(kind, x[:, t], h, c, kernel, bias, act, rec)
        saved.append((t, h, c, gates))
        here = counts[:, t, None]
        output = np.where(here, new_h, 0 if zero_masked else output)
        h, c = np.where(here, new_h, h), None if c is None else np.where(here, new_c, c)
        outputs.append(output)
    y = np.stack(outputs, 1) if sequences else output
    if states:
        y = np.concatenate([part.ravel() for part in (y, h, c) if part is not None])
    return y.astype(dtype), (saved, kernel, bias, mask, saved[0][1]) if save else None


def recurrence_backward(
    dy, saved, *, kind, activation, recurrent, sequences=True, states=False, backwards=False, zero_masked=False,
    needs=(True,) * 6,
):  # fmt: skip
    """dy laid out as y -> dx, dkernel, dbias, None, dh, dc."""
    saved, kernel, bias, mask, h = saved
    dtype, steps, (batch, units) = dy.dtype, len(saved), h.shape
    dy, kernel = _wide(dy, kernel)
    act, rec = (lambda y, f=FUNCTIONS[name][1]: f(y, y) for name in (activation, recurrent))
    counts = np.ones((batch, steps), bool) if mask is None else mask != 0
    dh, dc = np.zeros((batch, units)), np.zeros((batch, units))
    if states:
        ends = [-batch * units * count for count in ((2, 1) if kind == "lstm" else (1, 0))]
        parts = [dy[: ends[0]], *[part for part in (dy[ends[0] : ends[1] or None], dy[ends[1] :]) if part.size]]
        dy, dh = parts[0], parts[1].reshape(h.shape)
        dc = parts[2].reshape(h.shape) if kind == "lstm" else dc
    dy = dy.reshape((batch, steps, units) if sequences else (batch, units))
    dx, dkernel, dbias = np.zeros((batch, steps, kernel.shape[1])), np.zeros(kernel.shape), np.zeros(kernel.shape[1])
    pending = np.zeros((batch, units))
    for s in range(steps)[::-1]:
        t, h_t, c_t, gates = saved[s]
        pending = pending + (dy[:, s] if sequences else dy if s == steps - 1 else 0)
        here = counts[:, t, None]
        found = _step_backward(kind, dh + pending, dc, h_t, c_t, kernel, gates, act, rec)
        dx_t, dproduct = (np.where(here, part, 0) for part in found[:2])
        dx[:, t] = dx_t
        dbias += dproduct.sum(0)
        last = slice(-units, None)
        rest = slice(0, kernel.shape[1] - units)
        dkernel[:, rest] += h_t.T @ dproduct[:, rest]
        dkernel[:, last] += found[2].T @ dproduct[:, last]
        dh, dc = np.where(here, found[3], dh), np.where(here, found[4], dc)
        pending = np.where(here | zero_masked, 0, pending)
    results = dx, dkernel, dbias if bias is not None else None, None, dh, dc if kind == "lstm" else None
    return tuple(part if part is None else part.astype(dtype) for part in results)
