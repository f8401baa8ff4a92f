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

from cpython.buffer cimport PyBuffer_FillInfo
from cpython.pythread cimport PyThread_get_thread_ident
from libc.stdint cimport uintptr_t
from libc.stdlib cimport free, malloc
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

# A block starts with this header; the data follow at the next multiple of 64 bytes.
cdef struct Header:
    Header* next
    size_t size

# For sanitizers (tools/sanitize.py): blocks of exactly the asked size, filled with 0xFF and never used again.
exact = os.environ.get("FASTCONV_EXACT_BLOCKS", "0") != "0"

cdef Header* lists[CLASSES]
cdef size_t cached = 0
cdef size_t limit = 1 << 30
cdef list kept = None  # where new blocks of the thread `keeper` are noted, see keep_blocks
cdef size_t room = 0  # bytes that may still be noted there
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


cdef class Block:
    """One block of memory, with the buffer protocol so that it can be an array's base."""

    def __cinit__(self, Py_ssize_t size):
        global cached
        if size < 0 or <size_t>size >= TOO_LARGE:
            raise MemoryError(f"These shapes take more memory than there can be ({size} bytes or more).")
        self.size = size
        self.size_class = class_of(<size_t>size)
        cdef Header* header = lists[self.size_class]
        cdef size_t all = <size_t>size if exact else padded(self.size_class)
        if header is not NULL:
            lists[self.size_class] = header.next
            cached -= header.size
        else:
            header = allocate(all)
            if header is NULL:
                empty_cache()
                header = allocate(all)
                if header is NULL:
                    raise MemoryError(f"There is no memory for an array of {size} bytes.")
        self.header = header
        self.data = <char*>((<uintptr_t>header + sizeof(Header) + ALIGNMENT - 1) & ~<uintptr_t>(ALIGNMENT - 1))
        if kept is not None and keeper == PyThread_get_thread_ident():
            note(self)

    def __dealloc__(self):
        global cached
        cdef Header* header = self.header
        if header is NULL:
            return
        if exact or cached + header.size > limit:
            free(header)
            return
        cached += header.size
        header.next = lists[self.size_class]
        lists[self.size_class] = header

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


cdef int note(Block block) except -1:
    global kept, room
    if <size_t>block.size <= room:
        room -= <size_t>block.size
        kept.append(block)
    else:
        blocks, kept = kept, None
        blocks.clear()
    return 0


def keep_blocks(list blocks, size_t most):
    """From now on this thread's new Blocks are appended to `blocks`, which keeps them from being reused. Past `most`
    bytes it ends, and `blocks` is emptied."""
    global kept, keeper, room
    kept, keeper, room = blocks, PyThread_get_thread_ident(), most


def end_keeping():
    """Ends `keep_blocks`; whether all Blocks since then were kept."""
    global kept
    complete, kept = kept is not None, None
    return complete


def set_cache_limit(size_t size):
    """The most bytes that the free lists keep; what would go past it is freed."""
    global limit
    limit = size
