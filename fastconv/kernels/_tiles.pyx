# cython: language_level=3, binding=False
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

from ._memory cimport Block, Pool, exact, product
from .cores import default_threads

cdef extern from * nogil:
    """
    #ifdef _OPENMP
    #include <omp.h>
    #define FC_OPENMP _OPENMP
    #else
    #define FC_OPENMP 0
    static int omp_get_num_procs(void) { return 1; }
    static int omp_get_num_places(void) { return 0; }
    static int omp_get_place_num_procs(int place) { (void)place; return 0; }
    static void omp_get_place_proc_ids(int place, int *ids) { (void)place; (void)ids; }
    #endif
    #if defined(__clang__)
    #define FC_COMPILER "Clang " __clang_version__
    #elif defined(__GNUC__)
    #define FC_COMPILER "GCC " __VERSION__
    #else
    #define FC_COMPILER "unknown"
    #endif
    /* Seconds of a clock that only goes forward, and of this thread on a processor; 0 where there are none. */
    #if defined(__unix__) || defined(__APPLE__)
    #include <time.h>
    static double fc_clock(clockid_t clock)
    {
        struct timespec now;
        return clock_gettime(clock, &now) ? 0 : now.tv_sec + now.tv_nsec * 1e-9;
    }
    static double fc_seconds(void) { return fc_clock(CLOCK_MONOTONIC); }
    static double fc_own_seconds(void) { return fc_clock(CLOCK_THREAD_CPUTIME_ID); }
    #else
    static double fc_seconds(void) { return 0; }
    static double fc_own_seconds(void) { return 0; }
    #endif
    """
    int FC_OPENMP
    const char* FC_COMPILER
    double fc_seconds()
    double fc_own_seconds()
    int omp_get_num_procs()
    int omp_get_num_places()
    int omp_get_place_num_procs(int place)
    void omp_get_place_proc_ids(int place, int* ids)

# Below this much work (about FLOPs), some 5 us, waking a second thread costs more than it saves.
cdef double SERIAL_WORK = 5e5
# The same within a plan, whose team is awake: sharing a step costs it a barrier only.
cdef double SHARED_WORK = 1e5

# An output of more bytes than this is stored past the caches: what reads it next would not find it there anyway.
cdef ptrdiff_t FAR = 16 << 20

cdef int level = 0
cdef unsigned long changes = 0  # of what decides which operations and tiles a computation runs
cdef unsigned long settings = 0  # of what decides the tiles
cdef Plan recording = None
cdef unsigned long recorder = 0  # the thread that records
# Where other programs want the processors, threads that wait for one another lose far more than they gain: each wait may
# take a slice of somebody else's time. A thread that shares work computes or waits awake, so it has a processor nearly all
# of the time; where it had one for less than OWN of the last WINDOW seconds of such work, the next work is one thread's, and
# several are tried again after a pause: of PAUSE seconds where sharing went well for longer than the pause before it, else
# of twice the one before, LONGEST at most. While they are tried, PROBE seconds tell, in the middle of a plan too. A program
# that has just ended its work often waits awake for some milliseconds (OpenMP's default): the window is longer than that.
cdef double WINDOW = 0.05, PROBE = 0.0005, OWN = 0.5, PAUSE = 0.02, LONGEST = 3.2
cdef double alone_until = 0, pause = PAUSE, shared_seconds = 0, own_seconds = 0, well_seconds = LONGEST
cdef bint probing = True

cdef int threads = 1
cdef bint threads_used = False  # by this process or the one it was forked from
cdef bint forked = False


cdef int team_now(double work, ptrdiff_t most):
    """How many threads share this much work, `most` at most."""
    if work < SERIAL_WORK or forked or not FC_OPENMP or threads == 1:
        return 1
    global alone_until, probing, shared_seconds, own_seconds
    if alone_until > 0:
        if fc_seconds() < alone_until:
            return 1
        alone_until, probing, shared_seconds, own_seconds = 0, True, 0, 0
    return <int>min(<ptrdiff_t>threads, most)


cdef void note_sharing(double start, double own_start):
    """After several threads worked, since these readings of fc_seconds and fc_own_seconds: whether others compete."""
    global alone_until, pause, probing, shared_seconds, own_seconds, well_seconds
    shared_seconds += fc_seconds() - start
    own_seconds += fc_own_seconds() - own_start
    if shared_seconds < (PROBE if probing else WINDOW):
        return
    if own_seconds < OWN * shared_seconds:
        pause = PAUSE if well_seconds > pause else min(2 * pause, LONGEST)
        alone_until, well_seconds = fc_seconds() + pause, 0
    else:
        well_seconds += shared_seconds
    probing, shared_seconds, own_seconds = False, 0, 0


cdef const fc_tiles* tiles_for(bint real_double) except NULL:
    """The chosen instruction set's tiles."""
    return fc_table(level, real_double)


cdef const fc_tiles* tiles_of(array) except NULL:
    """The same for this array's dtype."""
    return tiles_for(array.dtype.char == "d")


cdef void* address(array, bint writable=False) except NULL:
    """Where a C-contiguous array's data start; it must outlive the use, and not be empty."""
    cdef Py_buffer buffer
    PyObject_GetBuffer(array, &buffer, PyBUF_WRITABLE if writable else PyBUF_SIMPLE)
    cdef void* data = buffer.buf
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
    cdef int team = team_now(work, count)
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
    cdef double start = fc_seconds(), own_start = fc_own_seconds()
    with nogil, parallel(num_threads=team):
        if flush:
            before = fc_flush_enter()
        for i in prange(count, schedule="static"):
            tile(job, i, room + threadid() * scratch)
        if flush:
            fc_flush_leave(before)
    note_sharing(start, own_start)
    return 0

cdef struct Step:
    fc_tile* tile
    void* job
    ptrdiff_t count
    size_t scratch
    double work
    bint flush, shared


cdef class Plan:
    """The steps of one computation, to be repeated: runs of tiles, and calls of Python functions in between.

    `with plan: ...` records what this thread runs; inside it, `with plan.python(function): ...` is a step in Python
    whose own runs are not recorded. What is allocated meanwhile comes from the plan's own memory, so that each step finds
    its arrays where they were; `replay` repeats the steps on whatever these arrays hold then. Whoever makes a plan keeps
    the arrays that it is to read from outside, and copies what it leaves: the next replay overwrites it. `failed` says
    that something was computed that a plan cannot repeat.
    """
    cdef Step* steps
    cdef int number, room
    cdef bint busy
    cdef double work
    cdef size_t scratch
    cdef Pool pool
    cdef list calls  # (number of runs before it, function)
    cdef public bint failed

    def __cinit__(self):
        self.pool, self.calls = Pool(), []

    def __dealloc__(self):
        for i in range(self.number):
            free(self.steps[i].job)
        free(self.steps)

    def __enter__(self):
        global recording, recorder
        if not self.pool.enter():
            raise RuntimeError("Another plan is being recorded.")
        recording, recorder = self, PyThread_get_thread_ident()
        return self

    def __exit__(self, *exception):
        global recording
        if recording is self:
            recording = None
        self.pool.leave()

    @property
    def bytes(self):
        """The memory that the plan owns."""
        return self.pool.bytes

    def counts(self):
        """(runs of tiles, calls of Python functions)."""
        return self.number, len(self.calls)

    def length(self):
        """How many runs are recorded so far, to go back to."""
        return self.number

    def forget(self, int length):
        """Takes back all runs after the first `length`, and that they could not be repeated."""
        for i in range(length, self.number):
            free(self.steps[i].job)
        self.number, self.failed = length, False

    def python(self, function):
        """Calls `function()` now, and at this place of each replay."""
        global recording
        recording = None
        try:
            function()
        finally:
            recording = self
        self.calls.append((self.number, function))

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
        self.steps[self.number] = Step(tile, copy, count, scratch, work, flush, work >= SHARED_WORK)
        self.number += 1
        self.work += work
        self.scratch = max(self.scratch, (scratch + 127) // 64 * 64)
        return 0

    def replay(self, targets, sources, results, outputs):
        """Copies the arrays `sources` into `targets`, repeats the steps, and copies the arrays `outputs` into `results`;
        False if another thread is at it. All are C-contiguous, and each of a pair has as many bytes as the other."""
        if self.busy:
            return False
        self.busy = True  # the interpreter's lock is held since it was asked
        cdef int first = 0, before, tried = 0, last = 0
        cdef double work = 0
        cdef int team = team_now(self.work, threads)
        cdef Block scratch
        try:
            scratch = Block(product(self.scratch, team))
            copy_arrays(targets, sources)
            if probing and team > 1:  # an eighth of the work tells whether several threads are worth it
                last = self.calls[0][0] if self.calls else self.number
                while tried < last and work < self.work / 8:
                    work += self.steps[tried].work
                    tried += 1
                self.run_steps(0, tried, team, scratch.data)
                first, team = tried, team_now(self.work, team)
            for before, function in self.calls:
                self.run_steps(first, before, team, scratch.data)
                first = before
                function()
            self.run_steps(first, self.number, team, scratch.data)
            copy_arrays(results, outputs)
        finally:
            self.busy = False
        return True

    cdef void run_steps(self, int first, int last, int team, char* room):
        global threads_used
        cdef int s = 0
        cdef ptrdiff_t i, pieces = 0
        cdef Step* step = NULL
        if first == last:
            return
        if team == 1:
            with nogil:
                for s in range(first, last):
                    run_tiles(&self.steps[s], 0, self.steps[s].count, room)
            return
        threads_used = True
        cdef double start = fc_seconds(), own_start = fc_own_seconds()
        with nogil, parallel(num_threads=team):
            for s in range(first, last):
                step = &self.steps[s]
                pieces = min(<ptrdiff_t>team, step.count) if step.shared else 1
                for i in prange(pieces, schedule="static", chunksize=1):
                    run_tiles(step, step.count * i // pieces, step.count * (i + 1) // pieces,
                              room + threadid() * self.scratch)
        note_sharing(start, own_start)


cdef struct Copy:
    void* target
    const void* source
    size_t size


cdef int note_copies(Copy* copies, targets, sources) except -1:
    """Fills what copy_arrays does."""
    for i, (target, source) in enumerate(zip(targets, sources)):
        if target.nbytes != source.nbytes:
            raise ValueError(f"An array of {source.nbytes} bytes does not go into one of {target.nbytes}.")
        copies[i] = Copy(address(target, True), address(source), target.nbytes)
    return 0


def replay_side_by_side(list plans, list targets, list outputs, list sources, list results):
    """Repeats plans of one computation for many parts at once, each part on one thread: `sources` and `results` are lists of
    arrays, one for each part, `targets` and `outputs` one for each plan, as `replay` takes them. False, with nothing done, if
    another thread is at one of the plans, one has steps in Python, or they have not the same steps."""
    global threads_used
    cdef Plan plan, first = plans[0]
    cdef int inputs = len(targets[0]), width = inputs + <int>len(outputs[0]), number = len(plans), count = len(sources)
    cdef int own, p, last = first.number, team = min(team_now(first.work * count, count), number)
    cdef size_t room = first.scratch
    for plan in plans:
        if plan.busy or plan.calls or plan.number != last or plan.scratch != room:  # weights may be packed in one alone
            return False
    for plan in plans:
        plan.busy = True  # the interpreter's lock is held since they were asked
    cdef Block scratch, copies, steps
    cdef Copy* copy
    cdef Step** steps_of
    cdef double start = fc_seconds(), own_start = fc_own_seconds()
    try:
        scratch, steps = Block(product(room, team)), Block(product(number, sizeof(void*)))
        copies = Block(product(count, number, width, sizeof(Copy)))  # of each part, by each plan
        copy, steps_of = <Copy*>copies.data, <Step**>steps.data
        for own, plan in enumerate(plans):
            steps_of[own] = plan.steps
            for p in range(count):
                note_copies(copy + (p * number + own) * width, targets[own], sources[p])
                note_copies(copy + (p * number + own) * width + inputs, results[p], outputs[own])
        threads_used = threads_used or team > 1
        with nogil, parallel(num_threads=team):
            for p in prange(count, schedule="dynamic", chunksize=1):
                run_part(steps_of[threadid()], last, copy + (p * number + threadid()) * width, inputs, width,
                         <char*>scratch.data + threadid() * room)
        if team > 1:
            note_sharing(start, own_start)
    finally:
        for plan in plans:
            plan.busy = False
    return True


cdef void run_part(const Step* steps, int last, const Copy* copies, int inputs, int all, char* room) noexcept nogil:
    cdef int i
    for i in range(inputs):
        memcpy(copies[i].target, copies[i].source, copies[i].size)
    for i in range(last):
        run_tiles(&steps[i], 0, steps[i].count, room)
    for i in range(inputs, all):
        memcpy(copies[i].target, copies[i].source, copies[i].size)


cdef int copy_arrays(targets, sources) except -1:
    for target, source in zip(targets, sources):
        if target.nbytes != source.nbytes:
            raise ValueError(f"An array of {source.nbytes} bytes does not go into one of {target.nbytes}.")
        if target.nbytes:
            memcpy(address(target, True), address(source), target.nbytes)
    return 0


def records_plan():
    """Whether this thread records a plan."""
    return recording is not None and recorder == PyThread_get_thread_ident()


def cannot_be_repeated():
    """Says that this thread is doing with NumPy what a plan that it records would have to repeat."""
    if records_plan():
        recording.failed = True


cdef void run_tiles(const Step* step, ptrdiff_t first, ptrdiff_t last, char* room) noexcept nogil:
    cdef ptrdiff_t i
    cdef unsigned before = 0
    if step.flush:
        before = fc_flush_enter()
    for i in range(first, last):
        step.tile(step.job, i, room)
    if step.flush:
        fc_flush_leave(before)


def note_change(bint tiles=False):
    """Says that a layer changed, or with `tiles` a setting of the kernels: the next computation may be another one than
    the same call made before."""
    global changes, settings
    changes += 1
    settings += tiles


def version():
    """A number that tells whether `note_change` was called in between."""
    return changes


def settings_version():
    """The same for changes of the kernels' settings."""
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
    note_change(True)
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


def usable_processors():
    """How many processors the process may run on. OpenMP knows: where it binds threads to places, this thread's own
    affinity is one place by now."""
    if not FC_OPENMP:
        return 1
    cdef int place, i, number
    cdef int* ids
    bound = set()
    for place in range(omp_get_num_places()):
        number = omp_get_place_num_procs(place)
        ids = <int*>malloc(max(number, 1) * sizeof(int))
        if ids is NULL:
            break
        omp_get_place_proc_ids(place, ids)
        bound.update([ids[i] for i in range(number)])
        free(ids)
    return len(bound) or max(1, omp_get_num_procs())


def _after_fork():
    # libgomp's team died with the parent's threads: entering a parallel region again would wait for it for ever.
    global forked
    forked = forked or threads_used


set_num_threads(default_threads(usable_processors()))
level = len(isas()) - 1
if os.environ.get("FASTCONV_ISA"):
    use_isa(os.environ["FASTCONV_ISA"])
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
