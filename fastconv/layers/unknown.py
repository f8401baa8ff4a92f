"""What a layer's call gives for tensors without data where it asks for what they do not tell: an open size, or values.

Not here: who asks, and when (base.py). Contract: `run(x, args, kwargs)` is the call; `given` are these three, nests with
tensors without data among them. What comes back is as good as what a call on tensors with data would show.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from fastconv.graph import symbolic_leaves
from fastconv.layers import masks
from fastconv.nest import flatten, map_leaves, pack
from fastconv.symbolic import KerasTensor, NoValues
from fastconv.tensor import Tensor, no_grad

SIZES = (48, 24)  # what open sizes are taken for; many parts are equal in them


def on_sizes(run: Callable[[Any, Any, Any], Any], given: tuple, error: Exception) -> Any:
    """The call's outputs where it computes with an open size, which is None: drawn for known ones instead, and open again
    where that changes them. Raises `error`, what None led to or a fault of the call's own, where no size is open."""
    if not any(None in leaf.shape for leaf in symbolic_leaves(given)):
        raise error
    drawn = [run(*map_leaves(functools.partial(_sized, size=size), given)) for size in SIZES]
    return pack(drawn[0], list(map(_common, *map(flatten, drawn))))


def on_zeros(run: Callable[[Any, Any, Any], Any], given: tuple, layer: Any, error: Exception) -> Any:
    """The call's outputs, with data, for one sample of zeros, since it asks for values; NoValues where more than the number
    of samples is open."""
    if any(None in leaf.shape[1:] for leaf in symbolic_leaves(given)):
        raise NoValues(
            f"{type(layer).__name__}.call asks for values, so its output's shape is not known where the input's is "
            f"open: define compute_output_shape(input_shape). ({error})"
        ) from None
    with no_grad():
        return run(*map_leaves(_sample_of_zeros, given))


def _sized(leaf, size):
    """A tensor without data, or its mask, of this size where it is open; other leaves as they are."""
    if not (isinstance(leaf, Tensor) and leaf.symbolic):
        return leaf
    known = KerasTensor([size if n is None else n for n in leaf.shape], leaf.dtype)
    if masks.of(leaf) is not None:
        known._keras_mask = _sized(masks.of(leaf), size)
    return known


def _common(first, second):
    """What stands for two drawings of one tensor: its sizes are None where theirs differ. None, as a mask may be, stays."""
    if first is None or second is None:
        return None
    if len(first.shape) != len(second.shape):
        raise ValueError(f"The number of axes depends on an open size: {first.shape} and {second.shape}.")
    found = KerasTensor([n if n == m else None for n, m in zip(first.shape, second.shape)], first.dtype)
    if masks.of(first) is not None:
        found._keras_mask = _common(masks.of(first), masks.of(second))
    return found


def _sample_of_zeros(leaf):
    symbolic = isinstance(leaf, Tensor) and leaf.symbolic
    return Tensor(np.zeros((1, *leaf.shape[1:]), leaf.dtype)) if symbolic else leaf
