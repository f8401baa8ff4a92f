# cython: language_level=3
"""The one extension that owns the compiled tiles: it picks their table and runs them, and is the only room with
threads. It knows no kernel: a kernel's binding fills a job and calls `run`.

Threads take equal static shares of the tiles. A tile's result depends on its index alone, so results have the same
bits at any number of threads.
"""

import os

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cython.parallel cimport parallel, prange, threadid

from ._memory cimport Block

cdef extern from * nogil:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define FC_OPENMP _OPENMP
    #else
    #define FC_OPENMP 0
    #endif
    #if defined(__clang__)
    #define FC_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
    #define FC_COMPILER "GCC " __VERSION__
    #else
    #define FC_COMPILER "unknown"
    #endif
    """
    int FC_OPENMP
    const char* FC_COMPILER

# Below this much work (about FLOPs) waking a second thread costs more than it saves.
cdef double SERIAL_WORK = 1e6

cdef int level = 0
cdef int threads = 1
cdef bint threads_used = False  # by this process or the one it was forked from
cdef bint forked = False


cdef const fc_tiles* tiles_of(array) except NULL:
    """The chosen instruction set's tiles for this array's dtype."""
    return fc_table(level, array.dtype.char == "d")


cdef void* address(array, bint writable=False) except NULL:
    """Where a C-contiguous array's data start; it must outlive the use, and not be empty."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
    cdef void* data = buffer.buf
    PyBuffer_Release(&buffer)
    return data


cdef fc_axis window_axis(window, int axis):
    """Axis `axis` of 3 (depth, height, width) of a Window; those it lacks have one cell and one tap."""
    cdef fc_axis a
    cdef int i = axis - 3 + len(window.input)
    if i < 0:
        a.input = a.output = a.taps = a.stride = a.dilation = 1
        a.start = 0
    else:
        a.input = window.input[i]
        a.output = window.output[i]
        a.taps = window.kernel[i]
        a.stride = window.strides[i]
        a.dilation = window.dilation[i]
        a.start = -window.padding[i][0]
    return a


cdef int run(fc_tile* tile, const void* job, ptrdiff_t count, double work, bint flush=False,
             size_t scratch=0) except -1:
    """Runs tiles 0 to count - 1 of a job, each thread with `scratch` bytes of its own.

    `work` is the whole job's FLOPs, roughly; small jobs stay on one thread. `flush` flushes denormals to zero.
    """
    global threads_used
    cdef int team = 1 if work < SERIAL_WORK or forked or not FC_OPENMP else <int>min(<ptrdiff_t>threads, count)
    cdef ptrdiff_t i
    cdef unsigned before = 0
    cdef Block block
    cdef char* room = NULL
    scratch = (scratch + 127) // 64 * 64
    block = Block(scratch * max(team, 1))
    room = block.data
    if team <= 1:
        with nogil:
            if flush:
                before = fc_flush_enter()
            for i in range(count):
                tile(job, i, room)
            if flush:
                fc_flush_leave(before)
        return 0
    threads_used = True
    with nogil, parallel(num_threads=team):
        if flush:
            before = fc_flush_enter()
        for i in prange(count, schedule="static"):
            tile(job, i, room + threadid() * scratch)
        if flush:
            fc_flush_leave(before)
    return 0


def isas():
    """The instruction sets that were compiled and that this CPU runs, weakest first."""
    names = []
    while fc_table(len(names), 0) is not NULL and fc_supported(len(names)):
        names.append(fc_table(len(names), 0).isa.decode())
    return tuple(names)


def use_isa(name):
    """Makes the kernels run on this instruction set and returns the one before. For tests; other threads see it."""
    global level
    if name not in isas():
        raise ValueError(f"FASTCONV_ISA must be one that this CPU runs, of {', '.join(isas())}; got {name!r}.")
    before = isas()[level]
    level = isas().index(name)
    return before


def build_info():
    """What a bug report needs: the instruction sets, OpenMP's date of specification (or None) and the compiler."""
    return {
        "isa": isas()[level],
        "isas": isas(),
        "openmp": str(FC_OPENMP) if FC_OPENMP else None,
        "compiler": FC_COMPILER.decode(),
    }


def register_tile(bint real_double=False):
    """(pixels, filters) that the chosen instruction set's tiles of float or double keep in registers."""
    return fc_table(level, real_double).block, fc_table(level, real_double).panel


def set_num_threads(number):
    """Sets how many threads the kernels use: an int, 1 or more, taken as it is. Results do not depend on it."""
    global threads
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"The number of threads must be an int; got {number!r}.")
    if not 1 <= number <= 1024:
        raise ValueError(f"The number of threads must be between 1 and 1024; got {number}.")
    threads = number


def get_num_threads():
    """How many threads the kernels use: by default OMP_NUM_THREADS, but no more than affinity and cgroup allow."""
    return threads if FC_OPENMP else 1


def _quota(folder="/sys/fs/cgroup"):
    """The CPUs that the control group may use, rounded up, or None: cgroup v2's cpu.max, or v1's cfs quota."""
    for names in (["cpu.max"], ["cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]):
        words = []
        try:
            for name in names:
                with open(os.path.join(folder, name)) as file:
                    words += file.read().split()
            if words[0] not in ("max", "-1"):
                return max(1, -(-int(words[0]) // int(words[1])))
        except (OSError, ValueError, IndexError, ZeroDivisionError):
            continue
    return None


def _default_threads():
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        usable = os.cpu_count() or 1
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    asked = int(asked) if asked.isdigit() and int(asked) > 0 else usable
    return max(1, min(asked, usable, _quota() or usable))


def _after_fork():
    # libgomp's team died with the parent's threads: entering a parallel region again would wait for it for ever.
    global forked
    forked = forked or threads_used


set_num_threads(_default_threads())
level = len(isas()) - 1
if os.environ.get("FASTCONV_ISA"):
    use_isa(os.environ["FASTCONV_ISA"])
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
