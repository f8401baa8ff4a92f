# cython: language_level=3, binding=False, cdivision=True
"""Convolution in groups of few channels: fills the jobs of csrc/grouped/grouped.c and grouped_kernel.c and runs their tiles.

_conv.pyx calls it, with jobs and arrays that it has checked and filled as for direct convolution. How the work is cut
depends on shapes alone, never on the number of threads.
"""

from libc.stddef cimport ptrdiff_t
from libc.string cimport memset

from ._memory cimport Block, product
from ._rows cimport sum_rows
from ._tiles cimport (
    address,
    fc_axis,
    fc_conv,
    fc_grouped,
    fc_grouped_kernel,
    fc_grouped_phase,
    fc_pack,
    fc_tiles,
    run,
)

cdef enum:
    TILES = 16                # at least, where the shape gives them: enough for many threads to share evenly
    ROOM = 192 * 1024         # bytes of rows of x that stand in the second cache, laid out by vectors of channels
    SLOTS = 8                 # rows under a window that are kept for the next windows
    COLUMNS = 64              # of a row that are copied to scratch, a vector of channels wide
    ROWS = 4                  # of a tile at least: fewer would copy most rows twice


cdef inline ptrdiff_t blocks(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    return (count + size - 1) // size


cdef inline ptrdiff_t even(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    """A block size of at most `size` that cuts `count` into equal blocks."""
    return blocks(count, blocks(count, max(size, 1)))


cdef inline ptrdiff_t taps_of(const fc_axis* axis) noexcept nogil:
    return axis[0].taps * axis[1].taps * axis[2].taps


cdef ptrdiff_t row_slots(const fc_axis* a, ptrdiff_t span) noexcept nogil:
    """How many rows of x csrc/grouped/grouped.c keeps, so that rows which the taps of one output read never share a slot: all
    that lie under a window, or, of wide windows, no more than that."""
    cdef ptrdiff_t slots = max(a.taps, 1), t
    if span <= max(SLOTS, a.taps):
        return max(span, 1)
    while True:
        for t in range(1, a.taps):
            if t * a.dilation % slots == 0:
                break
        else:
            return slots
        slots += 1


cdef ptrdiff_t row_columns(ptrdiff_t output, ptrdiff_t stride, ptrdiff_t wide) noexcept nogil:
    """Outputs of a row that are taken at once: many against what neighbours read twice, few for the cache."""
    return even(output, max(COLUMNS, 2 * wide // stride))


cdef int add_phase(fc_grouped* g, const fc_pack* pack, const fc_conv* job) except -1:
    """Adds the convolution that these jobs say to the grouped job, as one more phase of it."""
    cdef fc_grouped_phase* p = &g.phase[g.phases]
    cdef int i
    g.phases += 1
    g.x, g.bias, g.batch = job.x, pack.bias, job.batch
    g.groups, g.channels, g.filters = job.groups, job.channels, job.filters
    g.channel_step, g.filter_step, g.group_step = pack.channel_step, pack.filter_step, pack.group_step
    p.weights, p.y = pack.weights, job.y
    g.y_step[0] = job.y_step[0]
    for i in range(3):
        p.axis[i], p.tap_step[i], g.y_step[i + 1] = job.axis[i], pack.tap_step[i], job.y_step[i + 1]
        g.output[i] = max(g.output[i], p.axis[i].output)
    return 0


cdef int run_grouped(const fc_tiles* tiles, fc_grouped* g, ptrdiff_t itemsize) except -1:
    """Convolves in groups of few channels; the weights are read where they are. Empties the job of phases."""
    cdef ptrdiff_t vector = tiles.lanes * itemsize, top = 0, span = 1, wide = 1, taps = 0
    cdef fc_axis* a
    cdef int i, empty = 1
    # The window that holds all phases' windows; those without taps read nothing.
    g.left, g.depths, g.slots = 0, 1, 1
    for i in range(g.phases):
        a = g.phase[i].axis
        if taps_of(a):
            g.left, top = (a[2].start, a[1].start) if empty else (min(g.left, a[2].start), min(top, a[1].start))
            empty = 0
    for i in range(g.phases):
        a = g.phase[i].axis
        if taps_of(a):
            span = max(span, a[1].start + (a[1].taps - 1) * a[1].dilation + 1 - top)
            wide = max(wide, a[2].start + (a[2].taps - 1) * a[2].dilation + 1 - g.left)
            g.depths, taps = max(g.depths, a[0].taps), taps + taps_of(a)
    for i in range(g.phases):
        g.slots = max(g.slots, row_slots(&g.phase[i].axis[1], span))
    a = g.phase[0].axis
    g.columns = row_columns(g.output[2], a[2].stride, wide)
    g.wide = (g.columns - 1) * a[2].stride + wide
    cdef ptrdiff_t bands = g.batch * g.output[0] * blocks(g.output[2], g.columns)
    g.rows = even(g.output[1], max(blocks(bands * g.output[1], TILES), ROWS))
    cdef ptrdiff_t each = tiles.grouped_rows_size(g) + product(taps, g.channels, vector)
    g.vectors = even(blocks(g.groups * g.filters, tiles.lanes), ROOM // each)
    cdef double work = 2.0 * bands * g.output[1] * g.columns * g.groups * g.filters * max(taps, 1) * g.channels
    run(tiles.grouped_forward, g, sizeof(fc_grouped), bands * blocks(g.output[1], g.rows), work, True,
        tiles.grouped_forward_size(g))
    memset(g, 0, sizeof(fc_grouped))
    return 0


cdef int grouped_backward_kernel(const fc_tiles* tiles, fc_grouped_kernel* job, dy, x, dkernel) except -1:
    """dkernel, of a job whose batch, axes and groups are filled."""
    cdef fc_axis* axis = job.axis
    cdef ptrdiff_t width = dkernel.size, itemsize = dy.itemsize, vector = tiles.lanes * itemsize
    job.x, job.dy = address(x), address(dy)
    job.channels, job.filters = dkernel.shape[-2], dkernel.shape[-1] // job.groups
    cdef ptrdiff_t wide = (axis[2].taps - 1) * axis[2].dilation + 1
    job.columns = row_columns(axis[2].output, axis[2].stride, wide)
    job.wide = (job.columns - 1) * axis[2].stride + wide
    job.slots = row_slots(&axis[1], (axis[1].taps - 1) * axis[1].dilation + 1)
    job.slices = min(TILES, job.batch * axis[0].output * axis[1].output * blocks(axis[2].output, job.columns))
    cdef ptrdiff_t each = (tiles.grouped_kernel_rows_size(job) + product(job.columns, vector)
                           + product(taps_of(axis), job.channels, vector))
    job.vectors = even(blocks(dkernel.shape[-1], tiles.lanes), ROOM // each)
    cdef Block partial = Block(product(job.slices, width, itemsize))
    job.partial = partial.data
    run(tiles.grouped_backward_kernel, job, sizeof(fc_grouped_kernel), job.slices,
        2.0 * dy.size * taps_of(axis) * job.channels, True, tiles.grouped_backward_kernel_size(job))
    return sum_rows(tiles, partial.data, address(dkernel, True), job.slices, width, itemsize)
