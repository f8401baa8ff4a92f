"""Nests of lists, tuples and dicts under keras.tree's names.

Not what models use for their inputs: that is nest.py, which keeps a dict's own order. Contract: lists, tuples (named
ones too) and dicts are nests, all else is a leaf, None too; the leaves of a dict come by its sorted keys, as in Keras,
but those of an OrderedDict as they stand; a rebuilt dict has the old one's order.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

__all__ = [
    "MAP_TO_NONE", "assert_same_paths", "assert_same_structure", "flatten", "flatten_with_path", "is_nested",
    "lists_to_tuples", "map_shape_structure", "map_structure", "map_structure_up_to", "pack_sequence_as", "traverse",
]  # fmt: skip


class MAP_TO_NONE:
    """What `traverse`'s function returns, itself or an object of it, to put None in a place."""


def is_nested(structure: Any) -> bool:
    """Whether it is a list, a tuple or a dict."""
    return isinstance(structure, (list, tuple, dict))


def flatten(structure: Any) -> list[Any]:
    """The leaves, in order."""
    return [leaf for _, leaf in _leaves(structure)]


def flatten_with_path(structure: Any) -> list[tuple[tuple[Any, ...], Any]]:
    """(path, leaf) of each leaf; a path holds the keys and places that lead to it."""
    return list(_leaves(structure))


def map_structure(func: Callable[..., Any], *structures: Any, none_is_leaf: bool = True) -> Any:
    """The first structure with `func(leaf, ...)` of the leaves of all of them in each place.

    With `none_is_leaf=False` places of None stay None, and all structures must have None there. ValueError where
    structures differ.
    """
    _check_function(func)
    if not structures:
        raise ValueError("map_structure needs at least one structure.")
    for other in structures[1:]:
        assert_same_structure(structures[0], other)
    columns = [_up_to(structures[0], structure, ()) for structure in structures]
    rows = list(zip(*columns))
    kept = [not none_is_leaf and any(leaf is None for leaf in row) for row in rows]
    for row, without in zip(rows, kept):
        if without and any(leaf is not None for leaf in row):
            raise ValueError(f"With none_is_leaf=False None must stand in the same places; got {row}.")
    return _packed(structures[0], iter([None if without else func(*row) for row, without in zip(rows, kept)]))


def map_structure_up_to(shallow_structure: Any, func: Callable[..., Any], *structures: Any) -> Any:
    """As map_structure, but what stands in the places of `shallow_structure`'s leaves is given whole, nest or not."""
    _check_function(func)
    if not structures:
        raise ValueError("map_structure_up_to needs at least one structure.")
    columns = [_up_to(shallow_structure, structure, ()) for structure in structures]
    return _packed(shallow_structure, iter([func(*row) for row in zip(*columns)]))


def map_shape_structure(func: Callable[[Any], Any], structure: Any) -> Any:
    """`structure`, whose leaves are shapes (tuples or lists of ints and None), with `func(shape)` for each."""
    _check_function(func)
    if isinstance(structure, (list, tuple)) and all(size is None or isinstance(size, int) for size in structure):
        return func(structure)
    if not is_nested(structure):
        raise ValueError(f"A shape is a tuple of ints and None; got {structure!r}.")
    return _rebuilt(structure, [map_shape_structure(func, part) for _, part in _parts(structure)])


def pack_sequence_as(structure: Any, flat_sequence: Iterable[Any]) -> Any:
    """`structure` with the entries of `flat_sequence`, a list, an array or the like, in its leaves' places; ValueError
    where their numbers differ."""
    if not isinstance(flat_sequence, Iterable) or isinstance(flat_sequence, (str, bytes)):
        raise TypeError(f"flat_sequence must be a list or a tuple; got {flat_sequence!r}.")
    entries, wanted = list(flat_sequence), len(flatten(structure))
    if len(entries) != wanted:
        raise ValueError(f"structure has {wanted} leaves; flat_sequence has {len(entries)} entries.")
    return _packed(structure, iter(entries))


def lists_to_tuples(structure: Any) -> Any:
    """`structure` with tuples for all lists."""
    if not is_nested(structure):
        return structure
    parts = [lists_to_tuples(part) for _, part in _parts(structure)]
    return tuple(parts) if isinstance(structure, list) else _rebuilt(structure, parts)


def traverse(func: Callable[[Any], Any], structure: Any, top_down: bool = True) -> Any:
    """`structure` with `func(part)` in the place of every part, nests included, for which it is not None.

    Top down, what func gave is not looked into; bottom up, a nest is given after its parts. MAP_TO_NONE stands for
    None.
    """
    _check_function(func)
    found = func(structure) if top_down else None
    if found is None:
        if is_nested(structure):
            structure = _rebuilt(structure, [traverse(func, part, top_down) for _, part in _parts(structure)])
        found = structure if top_down else func(structure)
    if found is MAP_TO_NONE or isinstance(found, MAP_TO_NONE):
        return None
    return structure if found is None else found


def assert_same_structure(a: Any, b: Any, check_types: bool | None = None) -> None:
    """ValueError, naming the first difference, unless both are nests of the same kinds, sizes and keys.

    `check_types` changes nothing: kinds are always compared.
    """
    _compare(a, b, ())


def assert_same_paths(a: Any, b: Any) -> None:
    """ValueError unless the leaves of both have the same paths; lists and tuples are alike."""
    first, second = ({path for path, _ in _leaves(structure)} for structure in (a, b))
    if first != second:
        raise ValueError(
            f"The structures have other paths: only the first has {sorted(first - second, key=repr)}, only the second "
            f"{sorted(second - first, key=repr)}."
        )


def _compare(a: Any, b: Any, path: tuple[Any, ...]) -> None:
    where = f" at {path}" if path else ""
    if not is_nested(a) and not is_nested(b):
        return
    if not _alike(a, b):
        raise ValueError(
            f"The structures differ{where}: {type(a).__name__} and {type(b).__name__}, of {a!r} and {b!r}."
        )
    for key, part, other in _pairs(a, b, where):
        _compare(part, other, (*path, key))


def _parts(structure: Any) -> list[tuple[Any, Any]]:
    """(key or place, part) of a nest, in order."""
    if not isinstance(structure, dict):
        return list(enumerate(structure))
    if isinstance(structure, OrderedDict):
        return list(structure.items())
    try:
        return sorted(structure.items(), key=lambda item: item[0])
    except TypeError:  # keys of several kinds
        return sorted(structure.items(), key=lambda item: (type(item[0]).__qualname__, repr(item[0])))


def _leaves(structure: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if not is_nested(structure):
        yield path, structure
        return
    for key, part in _parts(structure):
        yield from _leaves(part, (*path, key))


def _rebuilt(structure: Any, parts: list[Any]) -> Any:
    """A nest of structure's kind with other parts, given in order."""
    if isinstance(structure, dict):
        found = dict(zip([key for key, _ in _parts(structure)], parts))
        made = {key: found[key] for key in structure}
        if isinstance(structure, defaultdict):
            return defaultdict(structure.default_factory, made)
        return OrderedDict(made) if isinstance(structure, OrderedDict) else made
    return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)


def _packed(structure: Any, leaves: Iterator[Any]) -> Any:
    if not is_nested(structure):
        return next(leaves)
    return _rebuilt(structure, [_packed(part, leaves) for _, part in _parts(structure)])


def _up_to(shallow: Any, structure: Any, path: tuple[Any, ...]) -> list[Any]:
    """What stands in structure in the places of shallow's leaves."""
    if not is_nested(shallow):
        return [structure]
    where = f" at {path}" if path else ""
    if not _alike(shallow, structure):
        raise ValueError(f"The structures differ{where}: {structure!r} does not begin as {shallow!r} does.")
    rows = _pairs(shallow, structure, where)
    return [found for key, part, other in rows for found in _up_to(part, other, (*path, key))]


def _alike(a: Any, b: Any) -> bool:
    """Whether both are nests of one kind: all dicts are of one."""
    return is_nested(b) and (type(a) is type(b) or (isinstance(a, dict) and isinstance(b, dict)))


def _pairs(a: Any, b: Any, where: str) -> list[tuple[Any, Any, Any]]:
    """(key or place, a's part, b's part) in a's order; ValueError where the keys or sizes differ."""
    firsts, seconds = _parts(a), _parts(b)
    others = dict(seconds)
    if len(firsts) != len(seconds) or any(key not in others for key, _ in firsts):
        raise ValueError(
            f"The structures differ{where}: the places {[key for key, _ in firsts]} and {[key for key, _ in seconds]}."
        )
    return [(key, part, others[key]) for key, part in firsts]


def _check_function(func: Any) -> None:
    if not callable(func):
        raise TypeError(f"func must be a function; got {func!r}.")


def __dir__() -> list[str]:
    return __all__
