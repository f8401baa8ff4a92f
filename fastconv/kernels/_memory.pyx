# cython: language_level=3, binding=False
"""The caching allocator: blocks of memory that outlive the arrays on them.

A fresh page costs far more than a copy of it, so a block whose last array has died serves later ones. A Block is the
base object of its arrays: NumPy's own reference counting decides when it is free, and nothing is freed by hand. Blocks
are aligned to 64 bytes, never zeroed. Small ones wait on a free list of their size class. Large ones are regions of one
range of addresses, which touches memory only where it is used: the smallest free region that is large enough is cut,
and free neighbours are one region again, so that memory is shared by arrays of any sizes. They ask for huge pages: a
pass over rows that each lie on a page of their own would wait for address translation.

Lists and regions are plain C and are touched only while the GIL is held, with no Python code in between: that is their
lock, also when a garbage collection or the interpreter's exit returns a block.
"""

import os

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memmove, memset

cdef extern from * nogil:
    """
    #include <stdlib.h>
    #if defined(__linux__)
    #include <stdint.h>
    #include <sys/mman.h>
    #include <sys/resource.h>
    #include <unistd.h>
    /* As many addresses as the machine has bytes, aligned to `page`, still without memory: NULL where they are limited. */
    static char *reserve(size_t page, size_t *size)
    {
        struct rlimit most;
        *size = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE) / page * page;
        if (getrlimit(RLIMIT_AS, &most) || most.rlim_cur != RLIM_INFINITY) return NULL;
        char *at = mmap(NULL, *size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at == MAP_FAILED) return NULL;
        at += (page - (uintptr_t)at % page) % page;
        madvise(at, *size, MADV_HUGEPAGE); /* a wish: what it answers does not matter */
        return at;
    }
    static int make_usable(char *at, size_t size) { return mprotect(at, size, PROT_READ | PROT_WRITE) == 0; }
    static void return_pages(char *at, size_t size)
    {
        const size_t page = (size_t)sysconf(_SC_PAGESIZE), before = (page - (uintptr_t)at % page) % page;
        if (size > before) madvise(at + before, (size - before) / page * page, MADV_DONTNEED);
    }
    static void *aligned_malloc(size_t size, size_t alignment)
    {
        void *data;
        return posix_memalign(&data, alignment, size) ? NULL : data;
    }
    #else
    static void *aligned_malloc(size_t size, size_t alignment) { return malloc(size); }
    static char *reserve(size_t page, size_t *size) { return NULL; }
    static int make_usable(char *at, size_t size) { return 0; }
    static void return_pages(char *at, size_t size) {}
    #endif
    """
    void* aligned_malloc(size_t size, size_t alignment)
    char* reserve(size_t page, size_t* size)
    bint make_usable(char* at, size_t size)
    void return_pages(char* at, size_t size)

cdef enum:
    HUGE = 2 << 20  # bytes of a huge page
    STEP = 64 << 20  # bytes that become usable at once
    LARGE = 1 << 16  # bytes from which on a block is a region
    ALIGNMENT = 64
    STEPS = 8  # size classes between two powers of two: a block is at most 1/8 larger than was asked for
    CLASSES = 64 * STEPS

# For sanitizers (tools/sanitize.py): blocks of exactly the asked size, filled with 0xFF and never used again.
exact = os.environ.get("FASTCONV_EXACT_BLOCKS", "0") != "0"

cdef Header* lists[CLASSES]
cdef Regions common
cdef char* usable = NULL  # addresses below this have been made usable
cdef bint reserved = False
cdef size_t cached = 0  # bytes on the lists and in common regions that memory stands behind
cdef size_t limit = 1 << 30
cdef Pool pool = None  # which new blocks of the thread `keeper` come from, see Pool
cdef unsigned long keeper = 0


cdef inline size_t padded(int index) noexcept nogil:
    """The bytes of a block of this size class."""
    return (<size_t>(STEPS + index % STEPS)) << (index // STEPS)


cdef inline int class_of(size_t size) noexcept nogil:
    """The smallest size class of at least `size` bytes."""
    cdef int shift = 6
    while (<size_t>(2 * STEPS)) << shift < size:
        shift += 1
    cdef size_t unit = (<size_t>1) << shift
    cdef size_t units = (size + unit - 1) >> shift
    if units < STEPS:
        units = STEPS
    return <int>(shift * STEPS + (units - STEPS))  # units == 2 * STEPS is the next shift's first class


cdef Header* allocate(size_t size):
    """A new header with room for `size` bytes behind it; NULL if there is no memory."""
    cdef size_t all = size + 2 * ALIGNMENT
    cdef Header* header
    if exact:
        header = <Header*>aligned_malloc(size + ALIGNMENT, ALIGNMENT)
        if header is not NULL:
            memset(header, 0xFF, size + ALIGNMENT)
    else:
        header = <Header*>malloc(all)
    if header is not NULL:
        header.size = size
    return header


cdef int best_of(const Regions* free, size_t size) noexcept nogil:
    """The smallest region of at least `size` bytes; -1 if there is none."""
    cdef int i, best = -1
    for i in range(free.count):
        if free.of[i].size >= size and (best < 0 or free.of[i].size < free.of[best].size):
            best = i
    return best


cdef char* cut(Regions* free, int i, size_t size) noexcept:
    """The first `size` bytes of region `i`."""
    cdef Region* region = &free.of[i]
    cdef char* at = region.at
    region.at += size
    region.size -= size
    region.touched -= min(region.touched, size)
    if region.size == 0:
        free.count -= 1
        memmove(region, region + 1, (free.count - i) * sizeof(Region))
    return at


cdef int add_region(Regions* free, char* at, size_t size, size_t touched) noexcept:
    """Makes it free, one with free neighbours; the number of the region that it is in, -1 where that cannot be noted."""
    cdef int i = 0
    cdef Region* of = free.of
    while i < free.count and of[i].at < at:
        i += 1
    if i < free.count and at + size == of[i].at:
        of[i].at = at
        of[i].size += size
        of[i].touched += touched
    else:
        if free.count == free.room:
            of = <Region*>realloc(of, (2 * free.room + 8) * sizeof(Region))
            if of is NULL:
                return -1
            free.of, free.room = of, 2 * free.room + 8
        memmove(&of[i + 1], &of[i], (free.count - i) * sizeof(Region))
        of[i] = Region(at, size, touched)
        free.count += 1
    if i > 0 and of[i - 1].at + of[i - 1].size == of[i].at:
        of[i - 1].size += of[i].size
        of[i - 1].touched += of[i].touched
        free.count -= 1
        memmove(&of[i], &of[i + 1], (free.count - i) * sizeof(Region))
        i -= 1
    return i


cdef char* take_common(int i, size_t size) noexcept:
    """The first `size` bytes of the common region `i`, with memory behind them; NULL if there is none."""
    global usable, cached
    cdef char* end = common.of[i].at + size
    cdef size_t step = (<size_t>(end - usable) + STEP - 1) // STEP * STEP if end > usable else 0
    cdef size_t rest = common.of[i].at + common.of[i].size - usable if step else 0
    if step:  # the last region is the one that ends where the addresses do
        step = min(step, rest)
        if not make_usable(usable, step):
            return NULL
        usable += step
    cached -= min(common.of[i].touched, size)
    return cut(&common, i, size)


cdef void give_common(char* at, size_t size) noexcept:
    """A region that nobody uses any more; without its memory where enough is kept."""
    global cached
    cdef int i = add_region(&common, at, size, size)
    if i < 0:
        return_pages(at, size)  # nobody can note it: its addresses are lost, its memory is not
        return
    cached += size
    if cached > limit:
        return_common(i)


cdef void return_common(int i) noexcept:
    """The memory of the common region `i` to the system."""
    global cached
    cdef Region* region = &common.of[i]
    if region.touched:
        return_pages(region.at, min(region.size, <size_t>(usable - region.at)))
    cached -= region.touched
    region.touched = 0


cdef char* take(Pool own, size_t size) noexcept:
    """A region of `size` bytes: of a Pool's own, or else one that becomes its own, if it can be as the rest of a region
    that goes on at the end of one of its own. NULL where no region serves."""
    global reserved, usable
    cdef size_t all = 0
    cdef char* start
    cdef int i, k, best = -1, after = -1
    if not reserved:
        reserved = True
        start = reserve(HUGE, &all)
        if start is not NULL and add_region(&common, start, all, 0) >= 0:
            usable = start
    if own is not None:
        i = best_of(&own.free, size)
        if i >= 0:
            return cut(&own.free, i, size)
        for i in range(own.free.count):
            for k in range(common.count):
                if (common.of[k].at == own.free.of[i].at + own.free.of[i].size
                        and common.of[k].size + own.free.of[i].size >= size
                        and (best < 0 or own.free.of[i].size > own.free.of[best].size)):
                    best, after = i, k
        if best >= 0:
            all = size - own.free.of[best].size
            if take_common(after, all) is NULL:
                return NULL
            own.bytes += all
            start = own.free.of[best].at
            cut(&own.free, best, own.free.of[best].size)
            return start
    i = best_of(&common, size)
    if i < 0:
        return NULL
    start = take_common(i, size)
    if own is not None and start is not NULL:
        own.bytes += size
    return start


cdef class Pool:
    """Memory of its own for one computation that is repeated: between `enter` and `leave`, the Blocks that this thread
    makes come from here, and return here when their last array dies. So arrays that are not alive at once share memory,
    `bytes` is the most that were alive, and nobody else ever writes there. Memory goes back to the common lists with the
    Pool, which lives as long as any of its Blocks."""

    def __cinit__(self):
        self.lists = <Header**>calloc(CLASSES, sizeof(Header*))
        if self.lists is NULL:
            raise MemoryError("There is no memory for a plan.")

    def __dealloc__(self):
        cdef int index
        cdef Header* header
        if self.lists is NULL:
            return
        for index in range(CLASSES):
            while self.lists[index] is not NULL:
                header = self.lists[index]
                self.lists[index] = header.next
                put_back(header, index)
        for index in range(self.free.count):
            give_common(self.free.of[index].at, self.free.of[index].size)
        free(self.free.of)
        free(self.lists)

    def enter(self):
        """From now on this thread's new Blocks are this Pool's; False while another one is entered."""
        global pool, keeper
        if pool is not None:
            return False
        pool, keeper = self, PyThread_get_thread_ident()
        return True

    def leave(self):
        """Ends `enter`."""
        global pool
        if pool is self:
            pool = None


cdef void put_back(Header* header, int index) noexcept:
    """A block to the common list of its class, or to the system where the lists are full."""
    global cached
    if exact or cached + header.size > limit:
        free(header)
        return
    cached += header.size
    header.next = lists[index]
    lists[index] = header


cdef inline size_t region_size(Py_ssize_t size) noexcept nogil:
    """Whole lines, and one more, so that arrays of a power of two do not all start at the same place of a page."""
    return (<size_t>size + 2 * ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT


@cython.no_gc  # a Block's only reference is to its Pool, which refers to nothing
cdef class Block:
    """One block of memory, with the buffer protocol so that it can be an array's base."""

    def __cinit__(self, Py_ssize_t size):
        global cached
        if size < 0 or <size_t>size >= TOO_LARGE:
            raise MemoryError(f"These shapes take more memory than there can be ({size} bytes or more).")
        self.size = size
        cdef Header* header = NULL
        if pool is not None and keeper == PyThread_get_thread_ident():
            self.pool = pool
        if size >= LARGE and not exact:
            self.data = take(self.pool, region_size(size))
            if self.data is not NULL:
                return
        self.size_class = class_of(<size_t>size)
        if self.pool is not None:
            header = NULL if exact else pool.lists[self.size_class]
            if header is not NULL:
                pool.lists[self.size_class] = header.next
        if header is NULL:
            header = self.fresh()
            if self.pool is not None:
                self.pool.bytes += header.size
        self.header = header
        self.data = <char*>((<uintptr_t>header + sizeof(Header) + ALIGNMENT - 1) & ~<uintptr_t>(ALIGNMENT - 1))

    cdef Header* fresh(self) except NULL:
        """A block of this size class from the common list, or from the system."""
        global cached
        cdef Header* header = lists[self.size_class]
        if header is not NULL:
            lists[self.size_class] = header.next
            cached -= header.size
            return header
        cdef size_t size = <size_t>self.size if exact else padded(self.size_class)
        header = allocate(size)
        if header is NULL:
            empty_cache()
            header = allocate(size)
            if header is NULL:
                raise MemoryError(f"There is no memory for an array of {self.size} bytes.")
        return header

    def __dealloc__(self):
        if self.header is NULL:
            if self.data is not NULL:
                if self.pool is None:
                    give_common(self.data, region_size(self.size))
                else:
                    add_region(&self.pool.free, self.data, region_size(self.size), 0)
            return
        if self.pool is not None:
            self.header.next = self.pool.lists[self.size_class]
            self.pool.lists[self.size_class] = self.header
        else:
            put_back(self.header, self.size_class)

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.data, self.size, 0, flags)

    def __releasebuffer__(self, Py_buffer* buffer):
        pass


def empty_cache():
    """Gives all cached memory back to the operating system; arrays in use keep theirs."""
    global cached
    cdef Header* header
    cdef int index
    for index in range(CLASSES):
        while lists[index] is not NULL:
            header = lists[index]
            lists[index] = header.next
            cached -= header.size
            free(header)
    for index in range(common.count):
        return_common(index)


def cached_bytes():
    """The bytes of memory that wait for new arrays."""
    return cached


def set_cache_limit(size_t size):
    """The most bytes that wait for new arrays; what would go past it is freed."""
    global limit
    limit = size
