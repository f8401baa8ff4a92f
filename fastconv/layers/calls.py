"""What a thread knows of the calls of layers that it is in: their mode, and the losses that layers add in them.

Not here: the calls themselves (base.py), and losses on weights (holder.py). Contract: all of it is the thread's own, so
threads that call one layer never meet; a layer holds no loss, and neither do its copies and files. What layers added
stays until the outermost layer of a call is called again.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import contextmanager


class State(threading.local):
    """`inside`: a layer's call that is being drawn, outside any program. `running`: a layer's call. `training`: its
    mode. `added`: losses by layer."""

    inside = running = training = False

    def __init__(self):
        self.added = weakref.WeakKeyDictionary()


state = State()


def in_training(training) -> bool:
    """Whether a call with this argument is one in training: None inherits the running call's mode."""
    return state.training if training is None else bool(training)


def begin(layer) -> None:
    """Drops what was added in the layer's former call, if a call that begins now is the outermost."""
    if state.added and not state.running and not state.inside:
        for one in layer.flatten_layers():
            state.added.pop(one, None)


def add(layer, loss) -> None:
    """Notes a loss of the layer's; what is only drawn for its shape has none."""
    if not state.inside:
        state.added.setdefault(layer, []).append(loss)


def added_by(layer) -> list:
    """The losses that this very layer added."""
    return state.added.get(layer, [])


@contextmanager
def collecting():
    """`with collecting() as found: ...`: (layer, loss) of what is added inside, and kept nowhere else."""
    before, state.added = state.added, weakref.WeakKeyDictionary()
    found = []
    try:
        yield found
    finally:
        found += [(layer, loss) for layer, losses in state.added.items() for loss in losses]
        state.added = before
