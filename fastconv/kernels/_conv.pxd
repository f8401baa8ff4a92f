# _conv.pxd: what _conv.pyx shares with _conv_pool.pyx and _winograd.pyx.

from libc.stddef cimport ptrdiff_t

from ._tiles cimport fc_axis, fc_conv, fc_finish, fc_pack, fc_tiles

cdef enum:
    FORWARD_WORK = 8_000_000  # FLOPs of a tile: some 40 us on one core
    TILES = 16                # at least, where the shape gives them: enough for many threads to share evenly
    SLAB = 256 * 1024         # bytes that stay in half of a small L2 cache


cdef inline ptrdiff_t blocks(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    return (count + size - 1) // size


cdef inline ptrdiff_t even(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    """A block size of at most `size` that cuts `count` into equal blocks."""
    return blocks(count, blocks(count, max(size, 1)))


cdef inline ptrdiff_t taps_of(const fc_axis* axis) noexcept nogil:
    return axis[0].taps * axis[1].taps * axis[2].taps


cdef inline bint inside(const fc_axis* a) noexcept nogil:
    return a.start >= 0 and (a.output - 1) * a.stride + (a.taps - 1) * a.dilation + a.start < a.input


cdef void contiguous(ptrdiff_t* step, const fc_axis* axis, ptrdiff_t pixel)
cdef tuple pack_weights(const fc_tiles* tiles, fc_pack* pack, fc_conv* job, ptrdiff_t itemsize, packs,
                        ptrdiff_t offset=*)
cdef fc_finish finish_of(bint relu, most, residual, map=*) except *
cdef int fill_forward(fc_pack* pack, fc_conv* job, x, kernel, bias, ptrdiff_t groups) except -1
