"""Sums over shards as one binary tree, whoever computes which part of it.

It knows arrays and a communicator, no model. Contract: the sum of shards 0 to V - 1 (a power of two) is
`((0 + 1) + (2 + 3)) + ...`, element by element: a process folds its own run of shards, and processes go on with the same
tree, partners at distance 1 first. So any number of processes, a power of two up to V, gives the same bits on each of
them; an MPI_SUM does not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SMALL = 1 << 15  # bytes up to which whole arrays are sent: fewer messages, where those cost more than the bytes


class Fold:
    """The sum of vectors that are pushed in the order of their shards; None is a shard without samples, a vector of
    zeros. It adds into the vectors that it is given and keeps log2(their number) of them."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, np.ndarray | None]] = []  # (level, sum of 2**level shards), the levels falling

    def push(self, vector: np.ndarray | None) -> None:
        """The next shard's."""
        level = 0
        while self._parts and self._parts[-1][0] == level:
            vector, level = _sum(self._parts.pop()[1], vector), level + 1
        self._parts.append((level, vector))

    def result(self) -> np.ndarray | None:
        """The sum; None where all were None. ValueError unless a power of two of vectors came."""
        if len(self._parts) != 1:
            raise ValueError(f"A tree needs a power of two of shards; the parts are {[2**n for n, _ in self._parts]}.")
        return self._parts[0][1]


def _sum(left, right):
    if left is None or right is None:
        found = right if left is None else left
        if found is not None:
            found += 0  # -0.0 becomes 0.0, as it does beside a zero that came from another process
        return found
    return np.add(left, right, out=left)


def add_up(flat: np.ndarray, comm: Any) -> None:
    """Replaces a vector, of one length in all processes, by its sum over all of them.

    `comm` is mpi4py's communicator of a power of two of processes, or has its Get_rank, Get_size and Sendrecv."""
    rank, size, distance = comm.Get_rank(), comm.Get_size(), 1
    spare = np.empty_like(flat)
    whole, kept = slice(0, len(flat)), []
    while distance < size:
        partner, mine, theirs = rank ^ distance, whole, whole
        if flat.nbytes > SMALL:  # recursive halving: of what it has, each process adds up one half
            middle = (whole.start + whole.stop) // 2
            mine, theirs = slice(whole.start, middle), slice(middle, whole.stop)
            if rank & distance:
                mine, theirs = theirs, mine
            kept.append((partner, mine, theirs))
        comm.Sendrecv(flat[theirs], partner, recvbuf=spare[mine], source=partner)
        first, second = (flat, spare) if rank < partner else (spare, flat)  # a NaN keeps the first one's bits
        np.add(first[mine], second[mine], out=flat[mine])
        whole, distance = mine, 2 * distance
    for partner, mine, theirs in reversed(kept):
        comm.Sendrecv(flat[mine], partner, recvbuf=flat[theirs], source=partner)
