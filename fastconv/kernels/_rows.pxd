# _rows.pxd: what other bindings need of _rows.pyx.

from libc.stddef cimport ptrdiff_t

from ._tiles cimport fc_tiles


cdef int sum_rows(const fc_tiles* tiles, const void* rows, void* total, ptrdiff_t count, ptrdiff_t width,
                  ptrdiff_t itemsize, const void* index=*) except -1
