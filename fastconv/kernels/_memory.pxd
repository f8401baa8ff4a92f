# A block starts with this header; the data follow at the next multiple of 64 bytes.
cdef struct Header:
    Header* next
    size_t size


cdef class Pool:
    cdef Header** lists
    cdef readonly size_t bytes


cdef class Block:
    cdef Header* header
    cdef Pool pool
    cdef int size_class
    cdef char* data
    cdef Py_ssize_t size
    cdef Header* fresh(self) except NULL
