# _memory.pxd: blocks of memory, and how their sizes are computed.

from libc.stddef cimport ptrdiff_t

cdef extern from "sizes.h" nogil:
    # The product of integers, or TOO_LARGE where it is more (or one is negative): Block refuses that with a MemoryError.
    # Every size of memory is made of these and of sums of a few, so that none wraps.
    ptrdiff_t product "FC_PRODUCT"(size_t first, ...)
    const size_t TOO_LARGE "FC_TOO_LARGE"

cdef bint exact  # see _memory.pyx

# A block starts with this header; the data follow at the next multiple of 64 bytes.
cdef struct Header:
    Header* next
    size_t size


# Addresses that no array uses; memory stands behind the first `touched` bytes at most.
cdef struct Region:
    char* at
    size_t size
    size_t touched


# By address; no two of them touch.
cdef struct Regions:
    Region* of
    int count, room


cdef class Pool:
    cdef Header** lists
    cdef Regions free
    cdef readonly size_t bytes


cdef class Block:
    cdef Header* header
    cdef Pool pool
    cdef int size_class
    cdef char* data
    cdef Py_ssize_t size
    cdef Header* fresh(self) except NULL
