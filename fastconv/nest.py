"""Nests: the tuples, lists and dicts in which models take several inputs and give several outputs.

Contract: everything that is not a tuple, list or dict is a leaf; leaves are in the order in which they stand, those of
dicts by their keys' order.
"""

from __future__ import annotations

_NESTS = (list, tuple, dict)


def flatten(structure) -> list:
    """The leaves."""
    if not isinstance(structure, _NESTS):  # the usual case
        return [structure]
    leaves = []
    for part in structure.values() if isinstance(structure, dict) else structure:
        if isinstance(part, _NESTS):
            leaves += flatten(part)
        else:
            leaves.append(part)
    return leaves


def pack(structure, leaves):
    """`structure` with the leaves of this list instead of its own."""
    if not isinstance(structure, _NESTS):
        return leaves[0]
    return _pack(structure, iter(leaves))


def map_leaves(function, structure):
    """`structure` with `function(leaf)` for each leaf."""
    if not isinstance(structure, _NESTS):
        return function(structure)
    return pack(structure, list(map(function, flatten(structure))))


def _pack(structure, leaves):
    if isinstance(structure, dict):
        return {key: _pack(part, leaves) for key, part in structure.items()}
    if isinstance(structure, (list, tuple)):
        parts = [_pack(part, leaves) for part in structure]
        return type(structure)(*parts) if hasattr(structure, "_fields") else type(structure)(parts)
    return next(leaves)
