# cython: language_level=3
"""The caching allocator: blocks of memory that outlive the arrays on them.

A fresh page costs far more than a copy of it, so a block whose last array has died goes to a free list of its size
class and serves the next array of about that size. A Block is the base object of its arrays: NumPy's own reference
counting decides when it is free, and nothing is freed by hand. Blocks are aligned to 64 bytes, never zeroed. Large
ones ask for huge pages: a pass over rows that each lie on a page of their own would wait for address translation.

The lists are plain C and are touched only while the GIL is held, with no Python code in between: that is their lock,
also when a garbage collection or the interpreter's exit returns a block.
"""

import os

cimport cython
from cpython.buffer cimport PyBuffer_FillInfo
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

cdef extern from * nogil:
    """
    #include <stdlib.h>
    #if defined(__linux__)
    #include <sys/mman.h>
    #endif
    /* Memory on huge pages, where the system has them and lets a program ask. */
    static void *huge_malloc(size_t size, size_t page)
    {
    #if defined(MADV_HUGEPAGE)
        void *data = NULL;
        if (posix_memalign(&data, page, size)) return NULL;
        madvise(data, size / page * page, MADV_HUGEPAGE); /* a wish: what it answers does not matter */
        return data;
    #else
        (void)page;
        return malloc(size);
    #endif
    }
    """
    void* huge_malloc(size_t size, size_t page)

cdef enum:
    HUGE = 2 << 20  # bytes of a huge page
    ALIGNMENT = 64
    STEPS = 8  # size classes between two powers of two: a block is at most 1/8 larger than was asked for
    CLASSES = 64 * STEPS

# For sanitizers (tools/sanitize.py): blocks of exactly the asked size, filled with 0xFF and never used again.
exact = os.environ.get("FASTCONV_EXACT_BLOCKS", "0") != "0"

cdef Header* lists[CLASSES]
cdef size_t cached = 0
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
        header = <Header*>huge_malloc(size + ALIGNMENT, ALIGNMENT)
        if header is not NULL:
            memset(header, 0xFF, size + ALIGNMENT)
    else:
        header = <Header*>(huge_malloc(all, HUGE) if size >= HUGE else malloc(all))
    if header is not NULL:
        header.size = size
    return header


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


@cython.no_gc  # a Block's only reference is to its Pool, which refers to nothing
cdef class Block:
    """One block of memory, with the buffer protocol so that it can be an array's base."""

    def __cinit__(self, Py_ssize_t size):
        global cached
        if size < 0 or <size_t>size >= TOO_LARGE:
            raise MemoryError(f"These shapes take more memory than there can be ({size} bytes or more).")
        self.size = size
        self.size_class = class_of(<size_t>size)
        cdef Header* header = NULL
        if pool is not None and keeper == PyThread_get_thread_ident():
            self.pool = pool
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
            free(header)
    cached = 0


def cached_bytes():
    """The bytes on the free lists."""
    return cached


def set_cache_limit(size_t size):
    """The most bytes that the free lists keep; what would go past it is freed."""
    global limit
    limit = size
