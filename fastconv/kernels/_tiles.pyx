# cython: language_level=3
"""The one extension that owns the compiled tiles: it picks their table and runs them, and is the only room with
threads. It knows no kernel: a kernel's binding fills a job and calls `run`.

Threads take equal static shares of the tiles. A tile's result depends on its index alone, so results have the same
bits at any number of threads. A Plan records the runs of one computation and repeats them on other input, with no
Python in between and one team for them all.
"""

import os

from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.pythread cimport PyThread_get_thread_ident
from cython.parallel cimport parallel, prange, threadid
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset

from . import _memory
from ._memory cimport Block, exact, product

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

# Below this much work (about FLOPs), some 5 us, waking a second thread costs more than it saves.
cdef double SERIAL_WORK = 5e5
# The same within a plan, whose team is awake: sharing a step costs it a barrier only.
cdef double SHARED_WORK = 1e5

# An output of more bytes than this is stored past the caches: what reads it next would not find it there anyway.
cdef ptrdiff_t FAR = 16 << 20

cdef int level = 0
cdef unsigned long settings = 0  # counts the changes of what decides which tiles a computation runs
cdef Plan recording = None
cdef unsigned long recorder = 0  # the thread that records
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
    if recording is not None and recorder == PyThread_get_thread_ident():
        recording.arrays.append((array, <uintptr_t>data))
    PyBuffer_Release(&buffer)
    return data


cdef bint is_far(const void* data, ptrdiff_t size, ptrdiff_t pixel):
    """Whether an output of `size` bytes, written in whole pixels of `pixel` bytes, should go past the caches."""
    return size > FAR and pixel % LINE == 0 and <uintptr_t>data % LINE == 0


cdef fc_axis window_axis(window, int axis):
    """Axis `axis` of 3 (depth, height, width) of a Window."""
    cdef tuple axes = window.axes
    cdef int i = 6 * axis
    return fc_axis(axes[i], axes[i + 1], axes[i + 2], axes[i + 3], axes[i + 4], axes[i + 5])


cdef int run(fc_tile* tile, const void* job, size_t size, ptrdiff_t count, double work, bint flush=False,
             size_t scratch=0) except -1:
    """Runs tiles 0 to count - 1 of a job of `size` bytes, each thread with `scratch` bytes of its own.

    `work` is the whole job's FLOPs, roughly; small jobs stay on one thread. `flush` flushes denormals to zero.
    """
    global threads_used
    cdef int team = 1 if work < SERIAL_WORK or forked or not FC_OPENMP else <int>min(<ptrdiff_t>threads, count)
    cdef ptrdiff_t i
    cdef unsigned before = 0
    cdef Block block
    cdef char* room = NULL
    if recording is not None and recorder == PyThread_get_thread_ident():
        recording.append(tile, job, size, count, work, flush, scratch)
    if team > 1 or not exact:
        scratch = (scratch + 127) // 64 * 64
    block = Block(product(scratch, max(team, 1)))
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

cdef struct Step:
    fc_tile* tile
    void* job
    ptrdiff_t count
    size_t scratch, size
    double work
    bint flush, shared


cdef class Plan:
    """The recorded runs of one computation from `inputs` and parameters to outputs, all of them C-ordered arrays.

    `with plan: ...` records what this thread runs; `seal` then says whether all of it can be repeated, and `replay`
    repeats it. Its memory is its own: the Blocks that were allocated while it recorded, `limit` bytes at most.
    Arithmetic that is not a kernel's is not recorded: whoever makes a plan must compare its results with the
    computation's own.
    """
    cdef Step* steps
    cdef int number, room
    cdef bint failed, busy
    cdef double work
    cdef size_t scratch
    cdef list arrays, blocks
    cdef tuple inputs, outputs
    cdef readonly size_t bytes, limit

    def __cinit__(self, *inputs, size_t limit):
        self.inputs, self.limit = inputs, limit
        self.arrays, self.blocks = [], []

    def __dealloc__(self):
        for i in range(self.number):
            free(self.steps[i].job)
        free(self.steps)

    def __enter__(self):
        global recording, recorder
        if recording is not None:
            self.failed = True  # another thread's turn
            return self
        recording, recorder = self, PyThread_get_thread_ident()
        _memory.keep_blocks(self.blocks, self.limit)
        return self

    def __exit__(self, *exception):
        global recording
        if recording is self:
            recording = None
            if not _memory.end_keeping():
                self.failed = True

    cdef int append(self, fc_tile* tile, const void* job, size_t size, ptrdiff_t count, double work, bint flush,
                    size_t scratch) except -1:
        cdef Step* steps = self.steps
        cdef void* copy = malloc(size)
        if self.number == self.room:
            steps = <Step*>realloc(self.steps, (2 * self.room + 8) * sizeof(Step))
            if steps is not NULL:
                self.steps, self.room = steps, 2 * self.room + 8
        if copy is NULL or steps is NULL:
            free(copy)
            self.failed = True
            return 0
        memcpy(copy, job, size)
        self.steps[self.number] = Step(tile, copy, count, scratch, size, work, flush, work >= SHARED_WORK)
        self.number += 1
        return 0

    def seal(self, parameters, outputs, bint constant):
        """Ends the recording; whether the plan may be tried. `constant`: the parameters keep their values, so that runs
        which depend on them alone, such as packing, need not be repeated."""
        cdef int i
        known = {<uintptr_t>address(array) for array in (*self.inputs, *parameters)}
        for array, data in self.arrays:
            if data not in known and self.block_of(data) < 0:
                return False  # memory that neither the plan nor a parameter owns
        for output in outputs:
            if not output.flags.c_contiguous or self.block_of(<uintptr_t>address(output)) < 0:
                return False
        self.outputs = tuple(outputs)
        self.arrays += [(array, 0) for array in parameters]
        self.bytes = sum([(<Block>block).size for block in self.blocks])
        if self.failed:
            return False
        if constant:
            self.drop_constant_steps()
        for i in range(self.number):
            self.work += self.steps[i].work
            self.scratch = max(self.scratch, (self.steps[i].scratch + 127) // 64 * 64)
        return self.number > 0

    cdef Py_ssize_t block_of(self, uintptr_t data):
        cdef Py_ssize_t i
        cdef Block block
        for i in range(len(self.blocks)):
            block = self.blocks[i]
            if <uintptr_t>block.data <= data < <uintptr_t>block.data + <size_t>max(block.size, 1):
                return i
        return -1

    cdef bint is_input(self, uintptr_t data):
        cdef uintptr_t start
        for array in self.inputs:
            start = <uintptr_t>address(array)
            if start <= data < start + <size_t>array.nbytes:
                return True
        return False

    cdef drop_constant_steps(self):
        """Keeps the steps that the inputs reach. A job's words that point into memory which an input has reached make
        its step one of these, and whatever else it points at is reached then."""
        cdef uintptr_t* words
        cdef int kept = 0
        cdef size_t w
        cdef Step step
        reached = set()
        for s in range(self.number):
            step = self.steps[s]
            words = <uintptr_t*>step.job
            used = set()
            for w in range(step.size // sizeof(uintptr_t)):
                used.add(-2 if self.is_input(words[w]) else self.block_of(words[w]))
            used.discard(-1)
            if -2 in used or used & reached:
                reached |= used
                self.steps[kept] = step
                kept += 1
            else:
                free(step.job)
        self.number = kept

    def replay(self, tuple inputs, results=()):
        """Computes from arrays as those that were recorded, and copies the outputs, as many as there are arrays in
        `results`; False if another thread is at it."""
        global threads_used
        if self.busy or len(inputs) != len(self.inputs):
            return False
        for x, own in zip(inputs, self.inputs):
            if x.nbytes != own.nbytes:
                return False
        cdef int team = 1 if self.work < SERIAL_WORK or forked or not FC_OPENMP else threads
        cdef Block scratch = Block(product(self.scratch, team))
        cdef char* room = scratch.data
        cdef int s = 0
        cdef ptrdiff_t i, pieces = 0
        cdef Step* step = NULL
        self.busy = True
        try:
            for x, own in zip(inputs, self.inputs):
                memcpy(address(own, True), address(x), own.nbytes)
            if team == 1:
                with nogil:
                    for s in range(self.number):
                        run_tiles(&self.steps[s], 0, self.steps[s].count, room)
            else:
                threads_used = True
                with nogil, parallel(num_threads=team):
                    for s in range(self.number):
                        step = &self.steps[s]
                        pieces = min(<ptrdiff_t>team, step.count) if step.shared else 1
                        for i in prange(pieces, schedule="static", chunksize=1):
                            run_tiles(step, step.count * i // pieces, step.count * (i + 1) // pieces,
                                      room + threadid() * self.scratch)
            for own, result in zip(self.outputs, results):
                memcpy(address(result, True), address(own), own.nbytes)
        finally:
            self.busy = False
        return True


cdef void run_tiles(const Step* step, ptrdiff_t first, ptrdiff_t last, char* room) noexcept nogil:
    cdef ptrdiff_t i
    cdef unsigned before = 0
    if step.flush:
        before = fc_flush_enter()
    for i in range(first, last):
        step.tile(step.job, i, room)
    if step.flush:
        fc_flush_leave(before)


def settings_changed():
    """Makes every plan stale: the next computation may run other tiles than the same one did before."""
    global settings
    settings += 1


def settings_version():
    """A number that tells whether `settings_changed` was called in between."""
    return settings


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
    settings_changed()
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
