# cython: language_level=3, binding=False, cdivision=True
"""Convolution, ReLU and max-pooling at once: fills the jobs of csrc/conv/conv_pool.c and conv_pool_back.c and runs their tiles.

`pool` is three window sizes; arrays as in _conv.pyx, and kernels/conv_pool.py checks them. `index` holds the tap that
won each window, or FC_CUT where ReLU left no winner.
"""

from libc.stddef cimport ptrdiff_t

from ._conv cimport (
    FORWARD_WORK,
    SLAB,
    TILES,
    blocks,
    contiguous,
    even,
    fill_forward,
    finish_of,
    pack_weights,
    taps_of,
)
from ._memory cimport Block, product
from ._rows cimport sum_rows
from ._tiles cimport (
    PACK_WORK,
    address,
    fc_axis,
    fc_conv,
    fc_conv_pool,
    fc_conv_pool_back,
    fc_pack,
    fc_tiles,
    run,
    tiles_of,
    window_axis,
)

cdef enum:
    MAP = 128 * 1024     # bytes of a convolution's outputs that are pooled at once
    WINDOWS = 24 * 1024  # bytes of the inputs under a chunk of windows: most of a first cache


def conv_pool_forward(x, kernel, bias, y, index, window, pool, bint relu, ptrdiff_t groups, packs=None):
    """y and index (uint8): the max-pooled convolution. `packs` keeps the packed weights."""
    cdef const fc_tiles* tiles = tiles_of(x)
    cdef fc_pack pack
    cdef fc_conv_pool job
    cdef fc_conv* conv = &job.conv
    cdef fc_axis* axis = conv.axis
    cdef int i
    conv.batch = x.shape[0]
    cdef ptrdiff_t outputs = conv.batch
    for i in range(3):
        axis[i] = window_axis(window, i)
        job.pool[i] = pool[i]
        job.output[i] = axis[i].output // job.pool[i]
        outputs *= job.output[i]
    fill_forward(&pack, conv, x, kernel, bias, groups)
    job.y, job.index, job.relu = address(y, True), address(index, True), relu
    conv.far, conv.finish = False, finish_of(False, None, None)  # its outputs go to scratch

    cdef ptrdiff_t itemsize = x.itemsize, lanes = blocks(conv.filters, tiles.lanes) * tiles.lanes
    cdef ptrdiff_t depth = taps_of(axis) * conv.channels, cells = job.pool[0] * job.pool[1] * job.pool[2]
    contiguous(conv.x_step, axis, groups * conv.channels)
    packed = pack_weights(tiles, &pack, conv, itemsize, packs)

    cdef ptrdiff_t windows = min(FORWARD_WORK // (2 * depth * lanes), MAP // (lanes * itemsize)) // cells
    windows = max(1, min(windows, blocks(outputs * groups, TILES)))
    job.columns = even(job.output[2], max(windows, blocks(tiles.block, job.pool[2])))
    job.rows = even(job.output[1], windows // job.columns)
    cdef ptrdiff_t number = (conv.batch * groups * job.output[0] * blocks(job.output[1], job.rows)
                             * blocks(job.output[2], job.columns))
    run(tiles.conv_pool_forward, &job, sizeof(job), number, 2.0 * outputs * cells * groups * lanes * depth, True,
        tiles.conv_pool_forward_size(&job))


cdef int fill_back(fc_conv_pool_back* job, dy, index, kernel_shape, window, pool, ptrdiff_t batch) except -1:
    """Fills what both gradients through max-pooling need. Chunks of windows fit the first cache."""
    cdef int i
    cdef ptrdiff_t row
    job.dy, job.index = address(dy), address(index)
    job.batch, job.channels, job.filters = batch, kernel_shape[-2], kernel_shape[-1]
    for i in range(3):
        job.axis[i] = window_axis(window, i)
        job.pool[i] = pool[i]
        job.output[i] = job.axis[i].output // job.pool[i]
    row = product(job.axis[2].input, job.channels, <ptrdiff_t>dy.itemsize,  # of x
                  job.pool[1], job.axis[1].stride, job.axis[0].taps + (job.pool[0] - 1) * job.axis[0].stride)
    job.rows = even(job.output[1], max(1, WINDOWS // max(row, 1)))
    return 0


def conv_pool_backward_kernel(dy, index, x, dkernel, window, pool):
    """dkernel from the winners of the windows; dy is the pooled map's gradient."""
    cdef const fc_tiles* tiles = tiles_of(dy)
    cdef fc_conv_pool_back job
    cdef ptrdiff_t lanes = tiles.lanes, itemsize = dy.itemsize
    fill_back(&job, dy, index, dkernel.shape, window, pool, x.shape[0])
    job.x, job.dkernel = address(x), address(dkernel, True)
    cdef ptrdiff_t size = product(job.axis[0].taps, job.axis[1].taps,
                                  blocks(job.axis[2].taps * job.channels, lanes), lanes)
    cdef ptrdiff_t chunks = job.batch * job.output[0] * blocks(job.output[1], job.rows)
    # Sums of a part of the filters stay in the second cache; parts and slices make tiles for some threads.
    cdef ptrdiff_t parts = min(blocks(product(size, job.filters, itemsize), SLAB // 2), job.filters)
    job.part = blocks(job.filters, parts)
    parts = blocks(job.filters, job.part)
    job.slices = min(chunks, blocks(TILES // 2, parts))
    cdef Block partial = Block(product(job.slices, job.filters, size, itemsize))
    job.partial = partial.data
    run(tiles.conv_pool_backward_kernel, &job, sizeof(job), job.slices * parts, 2.0 * dy.size * size, True,
        tiles.conv_pool_backward_kernel_size(&job))
    run(tiles.conv_pool_reduce_kernel, &job, sizeof(job), job.filters,
        <double>PACK_WORK * job.slices * job.filters * size, True)


def conv_pool_backward_input(dy, index, kernel, dx, window, pool):
    """dx from the winners of the windows; dy is the pooled map's gradient."""
    cdef const fc_tiles* tiles = tiles_of(dy)
    cdef fc_conv_pool_back job
    cdef ptrdiff_t lanes = tiles.lanes, itemsize = dy.itemsize
    fill_back(&job, dy, index, kernel.shape, window, pool, dx.shape[0])
    job.weights, job.dx = address(kernel), address(dx, True)
    cdef ptrdiff_t size = product(job.axis[0].taps, job.axis[1].taps,
                                  blocks(job.axis[2].taps * job.channels, lanes), lanes)
    cdef Block packed = Block(product(job.filters, size, itemsize))
    job.packed = packed.data
    run(tiles.conv_pool_pack, &job, sizeof(job), job.filters, <double>PACK_WORK * job.filters * size)
    run(tiles.conv_pool_backward_input, &job, sizeof(job), job.batch, 2.0 * dy.size * size, True,
        tiles.conv_pool_backward_input_size(&job))


def conv_pool_backward_bias(dy, index, dbias):
    """dbias from the winners of the windows; dy is the pooled map's gradient."""
    sum_rows(tiles_of(dy), address(dy), address(dbias, True), dy.size // dbias.size, dbias.size, dy.itemsize, address(index))
