"""DataParallel: the setting that batches are shared out among processes, and how they are cut.

It sends nothing and knows no model: sharding.py computes what is cut here. Contract: a batch is cut into `shards` runs
of samples whose sizes differ by one at most, by its size alone; process r of P has the runs r * shards / P and on.
"""

from __future__ import annotations

from typing import Any

from fastconv.distribution import world


class DataParallel:
    """Every process holds the whole model and trains on its part of each batch: `set_distribution(DataParallel())`.

    `shards`, a power of two: into how many parts a batch is cut, whatever the number of processes, which must be a power
    of two up to it. Each part has its own forward and backward: BatchNormalization normalizes by the part's statistics,
    Dropout draws by (seed, step, part), and a loss that leaves samples out by a mask is each part's mean. So the number
    of shards is part of the result, as the seed is, and the number of processes is not.

    `auto_shard_dataset`: every process is given the same data (arrays are compared, batches of a Dataset or generator
    one by one), and computes its part of each batch. False: each process is given data of its own, equally many samples
    or batches; batch_size stays that of all processes together, and the bits then go with who has which samples.

    `devices` can only be all of `list_devices()`; a `device_mesh` is refused.
    """

    def __init__(
        self, device_mesh: Any = None, devices: Any = None, auto_shard_dataset: bool = True, shards: int = 8
    ) -> None:
        if device_mesh is not None:
            raise ValueError(
                "DataParallel: device_mesh is not for MPI, where a device is a process: leave it out, and start as many "
                "processes as there shall be devices."
            )
        if devices is not None and list(devices) != world.list_devices():
            raise ValueError(
                f"DataParallel: devices are all processes of the job, {world.list_devices()}; got {devices!r}. Leave it out."
            )
        if isinstance(shards, bool) or not isinstance(shards, int) or shards < 1 or shards & (shards - 1):
            raise ValueError(f"DataParallel: shards must be a power of two, such as 8; got {shards!r}.")
        self.auto_shard_dataset, self.shards = bool(auto_shard_dataset), shards

    @property
    def num_model_replicas(self) -> int:
        """The number of processes."""
        return world.size()

    def check(self, caller: str) -> None:
        """ValueError for a number of processes that cannot have these shards."""
        world.check_size(caller, world.size(), self.shards)

    @property
    def own(self) -> int:
        """How many shards each process has."""
        return self.shards // world.size()

    @property
    def parts(self) -> int:
        """Into how many shards a batch that a process is given is cut."""
        return self.shards if self.auto_shard_dataset else self.own

    def cuts(self, samples: int) -> list[tuple[int, int]]:
        """(start, stop) of each shard that this process has in a batch of so many samples: of the whole batch or,
        without auto_shard_dataset, of its own one."""
        parts, first = self.parts, world.rank() * self.own if self.auto_shard_dataset else 0
        return [(n * samples // parts, (n + 1) * samples // parts) for n in range(first, first + self.own)]

    def number(self, place: int) -> int:
        """Which shard of the batch this process's shard number `place` is."""
        return world.rank() * self.own + place

    def __repr__(self) -> str:
        return f"<DataParallel: {self.shards} shards on {world.size()} processes>"


_distribution: DataParallel | None = None


def distribution() -> DataParallel | None:
    """What `set_distribution` was given last, or None."""
    return _distribution


def set_distribution(value: DataParallel | None) -> None:
    """From here on `fit`, `evaluate` and the methods of batches go by this DataParallel, in all processes together; None:
    each process computes for itself.

    ValueError, in every process, where the number of processes is no power of two or above the number of shards.
    """
    global _distribution
    if value is not None and not isinstance(value, DataParallel):
        raise TypeError(f"set_distribution takes a fastconv.distribution.DataParallel or None; got {value!r}.")
    if value is not None:
        value.check("set_distribution")
    _distribution = value
