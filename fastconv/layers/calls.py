"""What a thread knows of the calls of layers that it is in: their mode, and the losses that layers add in them.

Not here: the calls themselves (base.py), and losses on weights (holder.py). Contract: all of it is the thread's own, so
threads that call one layer never meet; a layer holds no loss, and neither do its copies and files. What layers added
stays until the outermost layer of a call is called again.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fastconv.tensor import _mode

if TYPE_CHECKING:
    from fastconv.layers.holder import Holder
    from fastconv.tensor import Tensor


class State(threading.local):
    """`inside`: a layer's call that is being drawn, outside any program. `running`: a layer's call. `training`: its
    mode. `added`: losses by layer, once there was one."""

    running = training = False
    added = None

    @property
    def inside(self):
        return _mode.inside  # where Parameter.assign sees it

    @inside.setter
    def inside(self, value):
        _mode.inside = value


state = State()


def in_training(training: bool | None) -> bool:
    """Whether a call with this argument is one in training: None inherits the running call's mode."""
    return state.training if training is None else bool(training)


def begin(layer: Holder) -> None:
    """Drops what was added in the layer's former call, if a call that begins now is the outermost."""
    if state.added and not state.running and not state.inside:
        for one in layer.flatten_layers():
            state.added.pop(one, None)


def add(layer: Holder, loss: Tensor) -> None:
    """Notes a loss of the layer's; what is only drawn for its shape has none."""
    if not state.inside:
        if state.added is None:
            state.added = weakref.WeakKeyDictionary()
        state.added.setdefault(layer, []).append(loss)


def added_by(layer: Holder) -> list[Tensor]:
    """The losses that this very layer added."""
    return state.added.get(layer, []) if state.added else []


@contextmanager
def collecting() -> Iterator[list[tuple[Holder, Tensor]]]:
    """`with collecting() as found: ...`: (layer, loss) of what is added inside, and kept nowhere else."""
    before, state.added = state.added, None
    found = []
    try:
        yield found
    finally:
        if state.added:
            found += [(layer, loss) for layer, losses in state.added.items() for loss in losses]
        state.added = before
