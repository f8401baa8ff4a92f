"""How many threads the kernels use by default: what OMP_NUM_THREADS asks for, and no more than the process may run on.

It starts no thread and sets nothing. Contract: reads the environment and Linux's control groups, never raises; a file
or a setting that makes no sense counts as absent.
"""

from __future__ import annotations

import os


def default_threads(usable: int) -> int:
    """The number of threads where `usable` processors may be run on (affinity, or OpenMP's places)."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    asked = int(asked) if asked.isascii() and asked.isdigit() and int(asked) > 0 else usable
    return max(1, min(asked, usable, quota() or usable))


def quota(root: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> int | None:
    """The CPUs that this process' control group and those around it may use, rounded up; None without a limit.

    A group is looked for under `root` at the path that `membership` gives, and at each folder above: in a container
    the path may be the host's, and then only the root, which is the container's own group, is there.
    """
    found = []
    for controllers, path in _groups(membership):
        v2 = not controllers
        names = ["cpu.max"] if v2 else ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        mounts = ["", "unified"] if v2 else dict.fromkeys([",".join(controllers), "cpu", "cpu,cpuacct", "cpuacct,cpu"])
        steps = [step for step in path.split("/") if step not in ("", ".", "..")]
        for mount in mounts:
            for depth in range(len(steps) + 1):
                limit = _limit([os.path.join(root, mount, *steps[:depth], name) for name in names])
                if limit is not None:
                    found.append(limit)
    return min(found, default=None)


def _groups(membership):
    """(controllers, path) of the groups that limit processors; those of the root, where no file says."""
    rows = []
    try:
        with open(membership) as file:
            for line in file:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                if not controllers or "cpu" in controllers.split(","):
                    rows.append((controllers.split(",") if controllers else [], path))
    except (OSError, ValueError):
        pass
    return rows or [([], "/"), (["cpu"], "/")]


def _limit(paths):
    """The CPUs of one group's files: v2's "quota period" in one, v1's in two; None without a limit."""
    words = []
    try:
        for path in paths:
            with open(path) as file:
                words += file.read().split()
        if words[0] in ("max", "-1"):
            return None
        return max(1, -(-int(words[0]) // int(words[1])))
    except (OSError, ValueError, IndexError, ZeroDivisionError):
        return None
