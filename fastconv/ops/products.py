"""Products of arrays, made of `matmul`: dot, tensordot, einsum and their like; norms, distances, correlation.

Not here: the product itself (linear.py), decompositions of matrices (matrices.py). Contract: NumPy's meaning of each name;
integers multiply as integers where both operands are.
"""

from __future__ import annotations

import builtins
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor, TensorLike
from .casting import cast, convert_to_tensor, floating, promoted
from .common import Axes, normalize_axes, normalize_axis
from .comparisons import equal, not_equal, where
from .copying import flip, pad
from .elementwise import abs, divide, multiply, power, sqrt, square, subtract
from .indexing import diagonal, get_item, take
from .joining import stack
from .linear import matmul
from .open_sizes import open_sizes
from .reductions import max, mean, min, sum
from .shaping import expand_dims, moveaxis, reshape, squeeze, transpose

__all__ = [
    "cdist", "corrcoef", "correlate", "cross", "dot", "einsum", "inner", "kron", "norm", "outer", "tensordot", "vdot",
]  # fmt: skip


def _two(x1, x2):
    return map(convert_to_tensor, promoted(x1, x2))


@open_sizes(2)
def dot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The sum of products over the last axis of x1 and the last but one (or only) axis of x2; of a number, the product."""
    x1, x2 = _two(x1, x2)
    if not x1.ndim or not x2.ndim:
        return multiply(x1, x2)
    return tensordot(x1, x2, ([x1.ndim - 1], [builtins.max(x2.ndim - 2, 0)]))


def inner(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The sum of products over the last axes of both; of a number, the product."""
    x1, x2 = _two(x1, x2)
    return tensordot(x1, x2, ([-1], [-1])) if x1.ndim and x2.ndim else multiply(x1, x2)


def vdot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The sum of products of all elements."""
    return inner(reshape(x1, -1), reshape(x2, -1))


def outer(x1: TensorLike, x2: TensorLike) -> Tensor:
    """The (M, N) products of each element of x1 with each of x2."""
    x1, x2 = promoted(x1, x2)
    return multiply(reshape(x1, (-1, 1)), reshape(x2, (1, -1)))


def tensordot(x1: TensorLike, x2: TensorLike, axes: int | Sequence = 2) -> Tensor:
    """The sum of products over pairs of axes: the last `axes` of x1 with the first of x2, or two lists of axes."""
    x1, x2 = _two(x1, x2)
    if hasattr(axes, "__len__"):
        first, second = (normalize_axes(part, x.ndim) for part, x in zip(axes, (x1, x2)))
    else:
        count = operator.index(axes)
        if not 0 <= count <= builtins.min(x1.ndim, x2.ndim):
            raise ValueError(f"axes must be from 0 to {builtins.min(x1.ndim, x2.ndim)}; got {axes}.")
        first, second = tuple(range(x1.ndim - count, x1.ndim)), tuple(range(count))
    pairs = [(x1.shape[a], x2.shape[b]) for a, b in zip(first, second)]
    if len(first) != len(second) or any(a != b and None not in (a, b) for a, b in pairs):
        raise ValueError(f"tensordot: axes {axes!r} pair sizes that differ: shapes {x1.shape} and {x2.shape}.")
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    one = letters[: x1.ndim]
    other = list(letters[x1.ndim : x1.ndim + x2.ndim])
    for a, b in zip(first, second):
        other[b] = one[a]
    rest = [letter for letter in (*one, *other) if (letter in one) + (letter in other) == 1]
    return einsum(f"{one},{''.join(other)}->{''.join(rest)}", x1, x2)


def einsum(subscripts: str, *operands: TensorLike, **kwargs: Any) -> Tensor:
    """Einstein's sum: `subscripts` name the axes of each operand by letters, "ij,jk->ik"; products are summed over the
    letters that are not behind the arrow. "..." are axes that broadcast; without an arrow the letters that occur once
    stay, in the alphabet's order. ValueError where letters and shapes do not fit."""
    if not isinstance(subscripts, str):
        raise TypeError(f"subscripts must be a string such as 'ij,jk->ik'; got {type(subscripts).__name__}.")
    if kwargs.keys() - {"optimize", "precision"}:
        raise TypeError(f"einsum knows no argument {', '.join(kwargs)}.")
    operands = [convert_to_tensor(x) for x in promoted(*operands)]
    parts, result = _letters(subscripts, operands)
    terms = [_term(part, x, parts[:i] + parts[i + 1 :] + [result]) for i, (part, x) in enumerate(zip(parts, operands))]
    while len(terms) > 1:
        (a, x), (b, y) = terms[:2]
        kept = {letter for part, _ in terms[2:] for letter in part} | set(result)
        terms[:2] = [_product(a, x, b, y, kept)]
    ((part, x),) = terms
    part, x = _summed(part, x, set(result))
    return transpose(x, [part.index(letter) for letter in result]) if part != result else x


def _letters(subscripts, operands):
    """The letters of each operand and of the result, "..." as letters of its own."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(operands):
        raise ValueError(f"einsum: {subscripts!r} names {len(parts)} operands; got {len(operands)}.")
    dots = 0
    for part, x in zip(parts, operands):
        named = len(part.replace("...", ""))
        if named > x.ndim or ("..." not in part and named < x.ndim):
            raise ValueError(f"einsum: {part!r} of {subscripts!r} does not fit an operand of shape {x.shape}.")
        if "..." in part:
            dots = builtins.max(dots, x.ndim - named)
    extra = "".join(map(chr, range(0x3B1, 0x3B1 + dots)))  # letters that no subscript uses
    if not arrow:
        named = left.replace("...", "").replace(",", "")
        right = "..." * bool(dots) + "".join(sorted(letter for letter in set(named) if named.count(letter) == 1))
    filled = [part.replace("...", extra[dots - (x.ndim - len(part.replace("...", ""))) :])
              for part, x in zip(parts, operands)]  # fmt: skip
    right = right.replace("...", extra)
    if (
        not set(right) <= set("".join(filled))
        or len(set(right)) < len(right)
        or not all(letter.isalpha() for letter in "".join(filled))
    ):
        raise ValueError(f"einsum: {subscripts!r} must name each axis of the result once, by a letter of an operand.")
    return filled, right


def _term(part, x, others):
    """An operand whose letters are all different, and in use elsewhere."""
    for letter in set(part):
        while part.count(letter) > 1:
            first = part.index(letter)
            second = part.index(letter, first + 1)
            x = diagonal(x, 0, first, second)
            part = "".join(other for i, other in enumerate(part) if i not in (first, second)) + letter
    return _summed(part, x, set("".join(others)))


def _summed(part, x, kept):
    axes = tuple([i for i, letter in enumerate(part) if letter not in kept])
    return ("".join(letter for letter in part if letter in kept), sum(x, axes)) if axes else (part, x)


def _product(a, x, b, y, kept):
    """Two operands as one product of stacks of matrices."""
    shared = [letter for letter in a if letter in b]
    sizes = dict(zip(a, x.shape)) | {n: s for n, s in zip(b, y.shape) if n not in a or x.shape[a.index(n)] in (1, None)}
    for letter in shared:
        one, other = x.shape[a.index(letter)], y.shape[b.index(letter)]
        if one != other and None not in (one, other) and (1 not in (one, other)):
            raise ValueError(f"einsum: the axis {letter!r} has {one} cells in one operand and {other} in another.")
        if one != other and letter not in kept:  # 1 against many
            if one == 1:
                a, x = a.replace(letter, ""), squeeze(x, a.index(letter))
            elif other == 1:
                b, y = b.replace(letter, ""), squeeze(y, b.index(letter))
    a, x = _summed(a, x, kept | set(b))
    b, y = _summed(b, y, kept | set(a))
    stacked = "".join(letter for letter in a if letter in b and letter in kept)
    summed = "".join(letter for letter in a if letter in b and letter not in kept)
    rows = "".join(letter for letter in a if letter not in b)
    columns = "".join(letter for letter in b if letter not in a)
    x = _matrix(x, a, (stacked, rows, summed))
    y = _matrix(y, b, (stacked, summed, columns))
    product = multiply(x, y) if not summed else matmul(x, y)
    part = stacked + rows + columns
    return part, reshape(product, _open([sizes[letter] for letter in part]))


def _matrix(x, part, groups):
    """x with the letters of `groups` in order: the first each an axis, of the others one axis each."""
    order = "".join(groups)
    sizes = dict(zip(part, x.shape))
    x = transpose(x, [part.index(letter) for letter in order]) if order != part else x
    lead = [sizes[letter] for letter in groups[0]]
    ends = []
    for group in groups[1:]:
        known = [sizes[letter] for letter in group]
        ends.append(None if None in known else int(np.prod(known, dtype=np.int64)))
    return reshape(x, _open([*lead, *ends])) if x.shape != (*lead, *ends) else x


def _open(shape):
    """A shape for reshape, which can leave one size open."""
    if shape.count(None) > 1:
        raise ValueError("einsum: two axes of the product are of an open size; give the model's Input their sizes.")
    return [-1 if size is None else size for size in shape]


@open_sizes(2)
def kron(x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 with each element replaced by that element times x2."""
    x1, x2 = _two(x1, x2)
    ndim = builtins.max(x1.ndim, x2.ndim)
    x1, x2 = (expand_dims(x, tuple(range(ndim - x.ndim))) if x.ndim < ndim else x for x in (x1, x2))
    pairs = multiply(expand_dims(x1, tuple(range(1, 2 * ndim, 2))), expand_dims(x2, tuple(range(0, 2 * ndim, 2))))
    return reshape(pairs, [a * b for a, b in zip(x1.shape, x2.shape)])


def cross(
    x1: TensorLike, x2: TensorLike, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
) -> Tensor:
    """The cross product of vectors of 2 or 3 elements along these axes; of two of 2 elements a number."""
    x1, x2 = _two(x1, x2)
    if axis is not None:
        axisa = axisb = axisc = axis
    x1, x2 = moveaxis(x1, axisa, -1), moveaxis(x2, axisb, -1)
    if x1.shape[-1] not in (2, 3) or x2.shape[-1] not in (2, 3):
        raise ValueError(f"cross needs vectors of 2 or 3 elements; got shapes {x1.shape} and {x2.shape}.")
    a, b = ([get_item(x, (..., i)) for i in range(x.shape[-1])] for x in (x1, x2))
    last = subtract(multiply(a[0], b[1]), multiply(a[1], b[0]))
    if len(a) == len(b) == 2:
        return last
    a, b = ([*parts, multiply(parts[0], 0)] if len(parts) == 2 else parts for parts in (a, b))
    first = subtract(multiply(a[1], b[2]), multiply(a[2], b[1]))
    second = subtract(multiply(a[2], b[0]), multiply(a[0], b[2]))
    return moveaxis(stack([first, second, last], -1), -1, axisc)


def correlate(x1: TensorLike, x2: TensorLike, mode: str = "valid") -> Tensor:
    """The sums of products of the vector x1 with x2 at each offset: those where one lies "valid" within the other, of the
    longer one's length ("same"), or at all that touch ("full")."""
    if mode not in ("valid", "same", "full"):
        raise ValueError(f"mode must be 'valid', 'same' or 'full'; got {mode!r}.")
    x1, x2 = _two(x1, x2)
    if x1.ndim != 1 or x2.ndim != 1 or 0 in x1.shape + x2.shape:
        raise ValueError(f"correlate needs two vectors that are not empty; got shapes {x1.shape} and {x2.shape}.")
    if x1.shape[0] < x2.shape[0]:
        return flip(correlate(x2, x1, mode))
    long, short = x1.shape[0], x2.shape[0]
    around = {"valid": (0, 0), "same": (short // 2, short - 1 - short // 2), "full": (short - 1, short - 1)}[mode]
    places = np.arange(long + builtins.sum(around) - short + 1)[:, None] + np.arange(short)
    return matmul(take(pad(x1, around), places, 0), x2)


def corrcoef(x: TensorLike) -> Tensor:
    """The correlations of each row of (M, N), a variable, with each other: (M, M)."""
    x = convert_to_tensor(floating(x))
    x = x if x.ndim == 2 else reshape(x, (1, -1))
    x = subtract(x, mean(x, 1, True))
    x = divide(x, sqrt(sum(square(x), 1, True)))
    together = matmul(x, transpose(x))
    return together if x.shape[0] != 1 else reshape(together, ())


def cdist(x: TensorLike, y: TensorLike) -> Tensor:
    """The (..., M, N) Euclidean distances of each row of x (..., M, D) from each of y (..., N, D)."""
    x, y = map(convert_to_tensor, promoted(x, y, floats=True))
    return norm(subtract(expand_dims(x, -2), expand_dims(y, -3)), axis=-1)


def norm(x: TensorLike, ord: float | str | None = None, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The length of vectors along one `axis`, or of matrices along two; of all elements if neither it nor `ord` is given.

    `ord` of vectors: any number, inf, -inf, 0 (how many are not 0), 2 if None. Of matrices: "fro" (if None), "nuc", 1, -1,
    inf, -inf, 2, -2.
    """
    x = convert_to_tensor(floating(x))
    if axis is None and ord is None:
        return _length(x, None, keepdims)
    axes = (
        normalize_axes(axis, x.ndim)
        if axis is None or not hasattr(axis, "__len__")
        else tuple(normalize_axis(a, x.ndim) for a in axis)
    )
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(
        f"norm: ord {ord!r} is of vectors (one axis) and matrices (two); got axis {axis!r}, shape {x.shape}."
    )


def _length(x, axis, keepdims):
    """sqrt(sum(x**2)), whose slope at 0 is 0."""
    total = sum(square(x), axis, keepdims)
    zero = equal(total, 0)
    return where(zero, 0.0, sqrt(where(zero, 1.0, total)))


def _vector_norm(x, ord, axes, keepdims):
    if ord in (None, 2):
        return _length(x, axes, keepdims)
    if isinstance(ord, str):
        raise ValueError(f"norm: ord {ord!r} is of matrices, two axes; of vectors it is a number.")
    if ord == np.inf:
        return max(abs(x), axes, keepdims)
    if ord == -np.inf:
        return min(abs(x), axes, keepdims)
    if ord == 0:
        return sum(cast(not_equal(x, 0), x.dtype), axes, keepdims)
    if ord == 1:
        return sum(abs(x), axes, keepdims)
    return power(sum(power(abs(x), float(ord)), axes, keepdims), 1 / ord)


def _matrix_norm(x, ord, axes, keepdims):
    rows, columns = axes
    if ord in (None, "fro"):
        return _length(x, axes, keepdims)
    if ord in (1, -1, np.inf, -np.inf):
        first, second = (rows, columns) if ord in (1, -1) else (columns, rows)
        found = (max if ord > 0 else min)(sum(abs(x), first, True), second, True)
    elif ord in (2, -2, "nuc"):
        from .matrices import svd

        values = svd(moveaxis(x, (rows, columns), (-2, -1)), compute_uv=False)
        found = sum(values, -1) if ord == "nuc" else (max if ord > 0 else min)(values, -1)
        return expand_dims(found, tuple(sorted(axes))) if keepdims else found
    else:
        raise ValueError(f"ord of a matrix must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf; got {ord!r}.")
    return found if keepdims else squeeze(found, axes)
