"""Training over several processes and machines, by MPI: who takes part, and how a batch is shared out, under Keras' names.

Not here: the step itself (sharding.py) and many trainings side by side, which need no MPI. Contract: each process holds
the whole model; weights have the same bits at any number of processes, since a batch is cut into a fixed number of shards
and sums go by one tree over them. mpi4py, the extra `[mpi]`, is imported by `initialize()` alone, and only where there
are several processes.
"""

from __future__ import annotations

from fastconv.absent import explain
from fastconv.distribution.parallel import DataParallel, distribution, set_distribution
from fastconv.distribution.world import get_device_count, initialize, list_devices, rank, reduce, size

__all__ = [
    "DataParallel", "distribution", "get_device_count", "initialize", "list_devices", "rank", "reduce",
    "set_distribution", "size",
]  # fmt: skip

explain(__name__, __all__)


def __dir__() -> list[str]:
    return sorted(__all__)
