cdef struct Header


cdef class Block:
    cdef Header* header
    cdef int size_class
    cdef char* data
    cdef Py_ssize_t size
