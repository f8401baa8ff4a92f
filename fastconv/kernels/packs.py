"""What kernels make of a weight before they use it, packed or transformed, kept for as long as its values stay.

It knows no weight: a Parameter owns a Packs and drops it with the values that it was made of. Contract: what does not
fit the limit is not kept, and the caller makes it anew each time; `LIMIT` bounds all Packs of the process together, in
bytes. Nor is what is made while a plan is recorded: it lies in the plan's memory, which replays write to.
"""

from __future__ import annotations

from ._tiles import records_plan

LIMIT = 512 << 20
_total = 0


class Packs:
    """key -> the memory Blocks of one form of a weight."""

    __slots__ = ("_blocks", "_size")

    def __init__(self):
        self._blocks, self._size = {}, 0

    def get(self, key):
        """What was kept under `key`, or None."""
        return self._blocks.get(key)

    def keep(self, key, blocks, size: int) -> None:
        """Keeps these Blocks of `size` bytes, if there is room, and nothing is there: a recorded run points at what is."""
        global _total
        if key not in self._blocks and _total + size <= LIMIT and not records_plan():
            self._blocks[key] = blocks
            self._size += size
            _total += size

    def __reduce__(self):  # a copy of a weight makes its own
        return Packs, ()

    def __del__(self):
        global _total
        _total -= self._size
