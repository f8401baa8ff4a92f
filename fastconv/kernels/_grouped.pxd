# _grouped.pxd: what _conv.pyx needs of _grouped.pyx.

from libc.stddef cimport ptrdiff_t

from ._tiles cimport fc_conv, fc_grouped, fc_grouped_kernel, fc_pack, fc_tiles


cdef int add_phase(fc_grouped* g, const fc_pack* pack, const fc_conv* job) except -1
cdef int run_grouped(const fc_tiles* tiles, fc_grouped* g, ptrdiff_t itemsize) except -1
cdef int grouped_backward_kernel(const fc_tiles* tiles, fc_grouped_kernel* job, dy, x, dkernel) except -1
