"""How masks travel: beside a tensor, from the layer that makes one to the layers that read it.

Not here: what masks are and do (ops/masks.py). Contract: a tensor's mask is its attribute `_keras_mask`, as in Keras,
bool of its leading axes or None; a layer whose `call` takes `mask` (or, for an argument `value`, `value_mask`) is
given the masks of its arguments, and one with `supports_masking` puts `compute_mask`'s on what it gives. Eager calls,
programs that are drawn and graphs do the same.
"""

from __future__ import annotations

import functools
import inspect
import warnings

from fastconv.nest import flatten, pack
from fastconv.symbolic import KerasTensor
from fastconv.tensor import Tensor


def of(value):
    """The mask of a tensor, or a nest of them for a nest; None where there is none."""
    if isinstance(value, Tensor):
        return getattr(value, "_keras_mask", None)
    if not isinstance(value, (list, tuple, dict)):
        return None
    found = [getattr(leaf, "_keras_mask", None) if isinstance(leaf, Tensor) else None for leaf in flatten(value)]
    return pack(value, found) if any([mask is not None for mask in found]) else None


def carry(old, new):
    """`new` with the mask of `old`, of which it is a conversion."""
    mask = of(old)
    if mask is not None and new is not old:
        new._keras_mask = mask
    return new


def bare(tensor) -> Tensor:
    """Another tensor of the same values, without a mask."""
    return KerasTensor(tensor.shape, tensor.dtype) if tensor.symbolic else Tensor(tensor.data)


def placeholder(old, new: KerasTensor) -> KerasTensor:
    """`new`, a tensor of a user's graph, with a mask of the shape of old's: only its being there counts."""
    mask = of(old)
    if mask is not None:
        new._keras_mask = KerasTensor(mask.shape, mask.dtype)
    return new


@functools.cache
def _arguments(cls) -> tuple[str, ...]:
    return tuple(inspect.signature(cls.call).parameters)[1:]


def takes(layer, name) -> bool:
    """Whether the layer's `call` has this argument."""
    return name in _arguments(type(layer))


def arguments(cls, x, args, kwargs) -> dict:
    """`kwargs` of `cls.call` with the masks of its tensors, where it takes them and they are not given."""
    names = _arguments(cls)
    given = {**dict(zip(names, (x, *args))), **kwargs}
    found = dict(kwargs)
    for place, (name, value) in enumerate(given.items()):
        for wanted in ("mask",) * (place == 0) + (f"{name}_mask",):
            if wanted in names and given.get(wanted) is None:
                mask = of(value)
                if mask is not None:
                    found[wanted] = mask
    return found


def attach(layer, x, previous, outputs) -> None:
    """Puts the masks that `layer` computes from those of x, `previous`, on its outputs, but where all have one."""
    leaves = [leaf for leaf in flatten(outputs) if isinstance(leaf, Tensor)]
    if not layer.supports_masking:
        if previous is not None and not any(of(leaf) is not None for leaf in leaves):
            warnings.warn(
                f"{layer._title()} was given a mask and does not support masking: layers after it will not see "
                "the mask. Define compute_mask, or set supports_masking = True where the mask stays what it is.",
                stacklevel=4,
            )
        return
    if all(of(leaf) is not None for leaf in leaves):
        return
    masks = layer.compute_mask(x, previous)
    if masks is not None:
        for leaf, mask in zip(leaves, flatten(masks)):
            if mask is not None:
                leaf._keras_mask = mask
