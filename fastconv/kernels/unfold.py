"""Convolutions whose windows reach far past their input, as those that Window.compact says: the cells under each window
are laid side by side, with zeros for the padding, and added back into one another in the gradient.

Slow (NumPy indexes) and rare; what it takes is proportional to the outputs times the taps. Contract: for all other
windows, whose `compact` is the window itself, both functions return their array as it is. What they make lies outside
the caching allocator, so that no Plan takes it for a kernel's.
"""

from __future__ import annotations

import numpy as np

from ._tiles import cannot_be_repeated


def unfold(x, window):
    """x (N, *window.input, C) -> (N, *window.compact.input, C)."""
    if window.compact is window:
        return x
    cannot_be_repeated()
    for axis, cells, inside in _axes(window):
        x = np.take(x, np.where(inside, cells, 0), axis)
        x[(slice(None),) * axis + (~inside,)] = 0
    return x


def fold(wide, window):
    """The gradient of unfold: wide (N, *window.compact.input, C) -> (N, *window.input, C)."""
    if window.compact is window:
        return wide
    cannot_be_repeated()
    for axis, cells, inside in reversed(_axes(window)):
        x = np.zeros((*wide.shape[:axis], window.input[axis - 1], *wide.shape[axis + 1 :]), wide.dtype)
        np.add.at(x, (slice(None),) * axis + (cells[inside],), np.compress(inside, wide, axis))
        wide = x
    return wide


def _axes(window):
    """(axis of x, the cell of x at each place of the unfolded axis, whether there is one): those that shrink come
    first, so that nothing on the way is larger than both ends."""
    found = []
    for axis, (old, new) in enumerate(zip(window.spans, window.compact.spans)):
        if old != new:
            output, tap = np.divmod(np.arange(window.compact.input[axis]), window.kernel[axis])
            cells = output * window.strides[axis] + tap * window.dilation[axis] - window.padding[axis][0]
            found.append((axis + 1, cells, (cells >= 0) & (cells < window.input[axis])))
    return sorted(found, key=lambda row: len(row[1]) - window.input[row[0] - 1])
