"""Control flow over functions: cond, switch, loops, maps and scans, all as plain Python; a gradient of one's own.

Contract: conditions and numbers of turns are read at once, so they must have values: while a program is drawn one that
depends on its inputs raises NoValues. A loop over an axis of known size is drawn turn by turn. Nests are tuples, lists
and dicts.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..nest import flatten, map_leaves, pack
from ..tensor import Op, Tensor, TensorLike, no_grad
from .casting import convert_to_tensor
from .common import normalize_axis
from .indexing import get_item
from .joining import concatenate, stack
from .shaping import broadcast_to, reshape

__all__ = [
    "associative_scan", "cond", "custom_gradient", "fori_loop", "map", "scan", "switch", "vectorize", "vectorized_map",
    "while_loop",
]  # fmt: skip


def cond(pred: TensorLike, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """true_fn() if `pred`, one element, is true, else false_fn()."""
    return true_fn() if bool(pred) else false_fn()


def switch(index: TensorLike, branches: Sequence[Callable], *operands: Any) -> Any:
    """branches[index](*operands); an index beyond them is their first or last."""
    return branches[min(max(_whole("index", index), 0), len(branches) - 1)](*operands)


def while_loop(
    cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None
) -> Any:
    """`loop_vars = body(*loop_vars)` as long as `cond(*loop_vars)` is true, at most `maximum_iterations` times."""
    single = not isinstance(loop_vars, (tuple, list))
    values, turns = (loop_vars,) if single else tuple(loop_vars), 0
    while (maximum_iterations is None or turns < maximum_iterations) and bool(cond(*values)):
        values, turns = body(*values), turns + 1
        values = tuple(values) if isinstance(values, (tuple, list)) else (values,)
    return values[0] if single else type(loop_vars)(values)


def fori_loop(lower: int, upper: int, body_fun: Callable[[int, Any], Any], init_val: Any) -> Any:
    """`val = body_fun(i, val)` for each i from `lower` up to, not including, `upper`."""
    for i in range(_whole("lower", lower), _whole("upper", upper)):
        init_val = body_fun(i, init_val)
    return init_val


def _whole(name, value):
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number; got {value!r}.") from None


def _length(structure, axis=0):
    """The size that all leaves have along an axis."""
    leaves = [convert_to_tensor(leaf) for leaf in flatten(structure)]
    found = {leaf.shape[normalize_axis(axis, leaf.ndim)] for leaf in leaves}
    if len(found) != 1 or None in found:
        raise ValueError(f"The tensors must have one known size along axis {axis}; got {sorted(found, key=str)}.")
    return found.pop()


def _cell(structure, place):
    return map_leaves(lambda leaf: get_item(leaf, place), structure)


def _stacked(results):
    return pack(results[0], [stack(list(leaves)) for leaves in zip(*[flatten(result) for result in results])])


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False,
    unroll: int = 1,
) -> tuple[Any, Any]:  # fmt: skip
    """(the last carry, all y on a new first axis) of `carry, y = f(carry, x)` for each cell x of `xs` along its first axis,
    or `length` times with None; from the end with `reverse`, y in the order of xs. `unroll` is taken, needless."""
    if xs is None and length is None:
        raise ValueError("scan: give xs or length.")
    count = operator.index(length) if xs is None else _length(xs)
    if length not in (None, count):
        raise ValueError(f"scan: length is {length}, but xs has {count} cells.")
    ys = []
    for place in reversed(range(count)) if reverse else range(count):
        init, y = f(init, None if xs is None else _cell(xs, place))
        ys.append(y)
    ys = ys[::-1] if reverse else ys
    return init, _stacked(ys) if ys and ys[0] is not None else None


def map(f: Callable[[Any], Any], xs: Any) -> Any:
    """f of each cell of `xs` along its first axis, on a new first axis."""
    count = _length(xs)
    if not count:
        raise ValueError("map: there is no cell to call the function on.")
    return _stacked([f(_cell(xs, place)) for place in range(count)])


def vectorized_map(function: Callable[[Any], Any], elements: Any) -> Any:
    """`map` under the name by which TensorFlow runs it at once; here it is the same."""
    return map(function, elements)


def associative_scan(f: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """The results of `f`, which is associative, on all cells along `axis` up to each; with `reverse` from each on."""
    count = _length(elems, axis)
    leaves = flatten(elems)
    axes = [normalize_axis(axis, convert_to_tensor(leaf).ndim) for leaf in leaves]

    def cell(place):
        return pack(
            elems, [get_item(leaf, (slice(None),) * a + (slice(place, place + 1),)) for leaf, a in zip(leaves, axes)]
        )

    places = list(reversed(range(count))) if reverse else list(range(count))
    results = [cell(place) for place in places[:1]]
    for place in places[1:]:
        results.append(f(results[-1], cell(place)))
    results = results[::-1] if reverse else results
    rows = zip(*[flatten(result) for result in results])
    return pack(elems, [concatenate(list(row), a) for row, a in zip(rows, axes)]) if results else elems


def vectorize(
    pyfunc: Callable[..., Any], *, excluded: Sequence | None = None, signature: str | None = None
) -> Callable[..., Any]:
    """A function that calls `pyfunc` on each element of its broadcast arguments and stacks the results; those whose number
    or name is in `excluded` are passed whole. `signature` is refused: use `map` for functions of vectors."""
    if signature is not None:
        raise ValueError("vectorize: signature is not taken; use ops.map for functions of vectors and matrices.")
    whole = set(excluded or ())

    @functools.wraps(pyfunc)
    def function(*args, **kwargs):
        live = [i for i in range(len(args)) if i not in whole]
        tensors = [convert_to_tensor(args[i]) for i in live]
        shape = np.broadcast_shapes(*[x.shape for x in tensors])
        flat = [reshape(broadcast_to(x, shape), -1) for x in tensors]
        results = []
        for place in range(int(np.prod(shape))):
            own = list(args)
            for i, x in zip(live, flat):
                own[i] = get_item(x, place)
            results.append(convert_to_tensor(pyfunc(*own, **kwargs)))
        if not results:
            raise ValueError("vectorize: there is no element to call the function on.")
        together = stack(results)
        return reshape(together, (*shape, *together.shape[1:]))

    return function


class CustomGradient(Op):
    """Values that were computed already, whose gradient a function of the user's gives."""

    def forward(self, *arrays, value, gradient):
        self.gradient, self.count = gradient, len(arrays)
        return value

    def backward(self, dy):
        found = self.gradient(Tensor(dy))
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(found) != self.count:
            raise ValueError(
                f"custom_gradient: the gradient function gave {len(found)} gradients for {self.count} inputs."
            )
        return tuple([None if g is None else convert_to_tensor(g).data for g in found])


def custom_gradient(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function with a gradient of its own: `f(*tensors)` returns (result, gradient), where `gradient(upstream)` returns
    one gradient for each argument. It cannot be drawn: put it into a layer of your own that is called eagerly."""

    @functools.wraps(f)
    def function(*args, **kwargs):
        tensors = [convert_to_tensor(x) for x in args]
        with no_grad():
            result, gradient = f(*tensors, **kwargs)
        result = convert_to_tensor(result)

        def backward(upstream):
            with no_grad():
                return gradient(upstream)

        return CustomGradient.apply(*tensors, value=result.data, gradient=backward)

    return function
