"""Gradients as values: of any Tensor on the tape by any other, and of functions by their arguments.

Not here: the tape and `Tensor.backward`, which adds to the `grad` of leaves (tensor.py). Contract: nothing here touches
a `grad`; what is computed is only what the asked sources need; gradients are plain arrays, on which no gradient of a
gradient can be taken: asking for some within a function that is being differentiated is refused.
"""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .nest import flatten, map_leaves, pack
from .tensor import Op, Tensor, _collect, _gradient, _newest_first, _step

__all__ = ["grad", "gradients", "value_and_grad"]


class _Differentiating(threading.local):
    """Whether the thread is in a function whose gradients are to be taken."""

    now = False


_differentiating = _Differentiating()


def gradients(target: Tensor, sources: Any, gradient: Any = None) -> Any:
    """d(target)/d(source) for each source: an array of its shape, or None where target does not depend on it.

    `sources` is a Tensor or a nest of Tensors that led to target: inputs made with requires_grad=True, weights, or what
    any layer or op gave on the way. `gradient` weights target's elements, as in `Tensor.backward`; a target of one
    element does without. An array that is part of `gradient` or of another result, as those of a sum are, is not copied
    but read-only, and perhaps not contiguous. The tape between them is released. RuntimeError for a target or a source that is not on the
    tape.
    """
    _check_first_order()
    leaves = flatten(sources)
    _check_taped(target, "target")
    for leaf in leaves:
        _check_taped(leaf, "A source")
    if gradient is None and target.size != 1:
        raise ValueError(
            f"The gradients of a target of shape {target.shape} need gradient=, an array of that shape. Reduce it to "
            "one number first, as in ops.sum(target), or pass gradient=np.ones_like(target)."
        )
    seed = np.ones(target.shape, target.dtype) if gradient is None else _gradient("gradient", gradient, target.data)
    found = _walk(_key(target), {_key(leaf) for leaf in leaves}, seed)
    return pack(sources, [found.get(_key(leaf)) for leaf in leaves])


def _walk(root: Any, wanted: set[Any], seed: np.ndarray) -> dict[Any, np.ndarray]:
    """The gradients that arrive at the wanted Ops and leaves, when `seed` starts at `root`."""
    order = _newest_first(root)
    useful = set(wanted)  # what a wanted source is, or is below of
    for op in reversed(order):
        op.sources = [source if source in useful else None for source in op.sources]
        op.needs = tuple([source is not None for source in op.sources])
        if any(op.needs):
            useful.add(op)
    pending: dict[Any, np.ndarray] = {}
    owned: set[Any] = set()
    found = {}
    _collect(pending, owned, root, seed, [seed])
    for op in order:
        if op in pending:
            if op in wanted:
                found[op] = pending[op].copy()
            if any(op.needs):
                _step(op, pending, owned, shares=True)
            else:
                del pending[op]
        vars(op).clear()
    return {**pending, **found}


def _key(tensor: Tensor) -> Op | Tensor:
    """What the tape knows a Tensor by: the Op that made it, or the leaf itself."""
    return tensor if tensor._node is None else tensor._node


def _check_first_order() -> None:
    if _differentiating.now:
        raise RuntimeError(
            "Gradients of gradients cannot be taken: a function that is being differentiated asks for gradients, and "
            "they would count as constants in silence. Where constants are meant, take them before, outside of that "
            "function; a gradient penalty can be replaced by weight clipping or a constraint on the weights."
        )


def _check_taped(tensor: Any, role: str) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{role} must be a Tensor; got {type(tensor).__name__}.")
    if not tensor.requires_grad:
        raise RuntimeError(
            f"{role} of shape {tensor.shape} is not on the tape: it was computed under no_grad(), or from no Tensor "
            "that was made with requires_grad=True and no trainable weight."
        )


def value_and_grad(
    function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
) -> Callable[..., tuple[Any, Any]]:
    """A function that gives (function's value, its gradients by the arguments that `argnums` names).

    `function` computes a Tensor of one element in ops and layers; the arguments are arrays, numbers, Tensors, or nests
    of them, and their gradients have the same form (a tuple of them where `argnums` is a sequence), zeros where nothing
    depends on one. An argument that is a weight of a model, or a list of them, stands for the weights themselves. With
    `has_aux` function gives a pair, whose second part comes out beside the value. No `grad` is touched.

    >>> value, slope = fastconv.value_and_grad(lambda x: ops.sum(x**3))(np.array([1.0, 2.0]))
    >>> float(value), slope
    (9.0, array([ 3., 12.]))
    """
    places = [operator.index(argnums)] if hasattr(argnums, "__index__") else list(map(operator.index, argnums))

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        _check_first_order()
        given = list(args)
        for place in places:
            if not -len(args) <= place < len(args):
                raise ValueError(f"argnums names the argument {place}; {len(args)} were given by position.")
            given[place] = map_leaves(_leaf, args[place])
        _differentiating.now = True
        try:
            result = function(*given, **kwargs)
        finally:
            _differentiating.now = False
        value = result[0] if has_aux else result
        if not isinstance(value, Tensor) or value.size != 1:
            shown = f"a Tensor of shape {value.shape}" if isinstance(value, Tensor) else type(value).__name__
            raise TypeError(f"A function to be differentiated must give a Tensor of one element; got {shown}.")
        picked = [given[place] for place in places]
        found = _filled(picked, gradients(value, picked) if value.requires_grad else None)
        return result, (found[0] if hasattr(argnums, "__index__") else tuple(found))

    return call


def grad(function: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives function's gradients by the arguments that `argnums` names, as value_and_grad does; with
    `has_aux` (gradients, aux).

    >>> fastconv.grad(lambda x: ops.sum(x * x))(np.array([1.0, 2.0]))
    array([2., 4.])
    """
    both = value_and_grad(function, argnums, has_aux)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        value, found = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return call


def _leaf(value: Any) -> Tensor:
    """An argument's leaf as a Tensor that gradients come to."""
    if isinstance(value, Tensor) and value.requires_grad:
        return value
    return Tensor(value, requires_grad=True)


def _filled(sources: list[Any], found: Any) -> list[Any]:
    """The gradients, with zeros for those that are None."""
    arrays = [None] * len(flatten(sources)) if found is None else flatten(found)
    pairs = zip(flatten(sources), arrays)
    return pack(sources, [np.zeros(leaf.shape, leaf.dtype) if array is None else array for leaf, array in pairs])
