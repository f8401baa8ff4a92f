# cython: language_level=3, cdivision=True
"""Winograd convolution: fills the jobs of csrc/winograd/winograd.c and winograd_kernel.c and runs their tiles.

`outputs` is the size of a Winograd tile's outputs on each axis (kernels/winograd.py chooses it). Arrays as in
_conv.pyx; the stride is 1 and there is one group. How the work is cut depends on shapes alone.
"""

from libc.stddef cimport ptrdiff_t

from ._conv cimport finish_of
from ._memory cimport Block, product
from ._tiles cimport (
    WINOGRAD_CHANNELS,
    address,
    fc_axis,
    fc_tiles,
    fc_winograd,
    fc_winograd_kernel,
    run,
    tiles_of,
    window_axis,
)

cdef enum:
    BUDGET = 1024 * 1024  # bytes of a block's transformed inputs and products: second and third cache
    CUTS = 4              # blocks come in multiples of it, so that a few threads share them evenly
    SHARES = 16           # of a kernel gradient's stages, at least
    RANGE = 128           # Winograd tiles, at least, that a kernel gradient transforms before it multiplies
    DATA = 8 << 20        # bytes of them


cdef inline ptrdiff_t blocks(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    return (count + size - 1) // size


cdef inline ptrdiff_t rounded(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    return blocks(count, size) * size


cdef inline ptrdiff_t plane(const fc_tiles* tiles, ptrdiff_t block, ptrdiff_t channels) noexcept nogil:
    """As in csrc/winograd/winograd_tiles.h."""
    return product(block, rounded(channels, tiles.lanes)) + 16


cdef ptrdiff_t cut(const fc_axis* axis, ptrdiff_t batch, outputs, ptrdiff_t* size, ptrdiff_t* number):
    """Fills the tile sizes and numbers of the axes; returns the number of all Winograd tiles. Phases of a dilation past
    the outputs would be empty."""
    cdef ptrdiff_t all = batch
    cdef int i
    for i in range(3):
        size[i] = outputs[i]
        number[i] = min(axis[i].dilation, axis[i].output) * blocks(blocks(axis[i].output, axis[i].dilation), size[i])
        all *= number[i]
    return all


cdef ptrdiff_t points_of(const fc_axis* axis, const ptrdiff_t* outputs):
    return ((outputs[0] + axis[0].taps - 1) * (outputs[1] + axis[1].taps - 1) * (outputs[2] + axis[2].taps - 1))


cdef int run_winograd(const fc_tiles* tiles, fc_winograd* job, outputs, ptrdiff_t itemsize, packs=None) except -1:
    """Transforms the weights and convolves; the job is filled but for the cut into tiles."""
    cdef ptrdiff_t all = cut(job.axis, job.batch, outputs, job.outputs, job.tiles)
    cdef ptrdiff_t points = points_of(job.axis, job.outputs), lanes = rounded(job.filters, tiles.lanes)
    cdef ptrdiff_t size = product(points, plane(tiles, job.channels, job.filters), itemsize)
    key = <size_t>tiles, outputs, job.channel_step  # the step tells a flipped kernel
    cdef Block transformed = None if packs is None else packs.get(key)
    cdef bint ready = transformed is not None
    if not ready:
        transformed = Block(size)
    job.transformed = transformed.data
    if not ready:
        run(tiles.winograd_weights, job, sizeof(fc_winograd),
            blocks(lanes, tiles.panel) * blocks(job.channels, WINOGRAD_CHANNELS), 16.0 * points * job.channels * lanes)
        if packs is not None:
            packs.keep(key, transformed, size)

    cdef ptrdiff_t most = BUDGET // product(points, job.channels + lanes, itemsize)
    cdef ptrdiff_t count = blocks(all, max(most, 4 * tiles.block))
    job.block = blocks(all, rounded(count, max(1, min(CUTS, all // 2))))  # two tiles at least share a pass of weights
    cdef ptrdiff_t planes = plane(tiles, job.block, job.channels) + plane(tiles, job.block, job.filters)
    return run(tiles.winograd_forward, job, sizeof(fc_winograd), blocks(all, job.block),
               2.0 * all * points * job.channels * lanes, True, product(points, planes, itemsize))


def winograd_forward(x, kernel, bias, y, window, outputs, pool=None, bint relu=False, index=None, packs=None,
                     most=None):
    """y = x * kernel + bias; bias may be None; then ReLU, up to `most` where given. `packs` keeps the transformed weights. With `pool`,
    three window sizes, y and index are of the pooled map, and ReLU has no bound."""
    cdef fc_winograd job
    cdef int i
    cdef ptrdiff_t step
    job.x, job.weights, job.y = address(x), address(kernel), address(y, True)
    job.bias = NULL if bias is None else address(bias)
    job.batch, job.channels, job.filters = x.shape[0], kernel.shape[-2], kernel.shape[-1]
    job.channel_step, job.filter_step = job.filters, 1
    step = job.channels * job.filters
    for i in range(2, -1, -1):
        job.axis[i] = window_axis(window, i)
        job.tap_step[i] = step
        step *= job.axis[i].taps
        job.pool[i] = 0
    job.finish = finish_of(relu, most, None)
    job.index = NULL
    if pool is not None:
        job.index = address(index, True)
        for i in range(3):
            job.pool[i] = pool[i]
            job.axis[i].output -= job.axis[i].output % job.pool[i]
    run_winograd(tiles_of(x), &job, outputs, x.itemsize, packs)


def winograd_backward_input(dy, kernel, bias, dx, window, outputs, packs=None):
    """dx = dy convolved with the flipped, transposed kernel, plus the bias, which may be None. `packs` as above."""
    cdef fc_winograd job
    cdef fc_axis axis
    cdef int i
    cdef ptrdiff_t step
    cdef const char* weights = <const char*>address(kernel)
    job.x, job.y, job.index = address(dy), address(dx, True), NULL
    job.bias = NULL if bias is None else address(bias)
    job.batch, job.channels, job.filters = dy.shape[0], kernel.shape[-1], kernel.shape[-2]
    job.channel_step, job.filter_step = 1, job.channels
    job.finish = finish_of(False, None, None)
    step = job.channels * job.filters
    for i in range(2, -1, -1):
        axis = window_axis(window, i)
        job.axis[i] = fc_axis(axis.output, axis.input, axis.taps, 1, axis.dilation,
                              -axis.start - (axis.taps - 1) * axis.dilation)
        job.tap_step[i] = -step
        weights += (axis.taps - 1) * step * dy.itemsize
        step *= axis.taps
        job.pool[i] = 0
    job.weights = weights
    run_winograd(tiles_of(dy), &job, outputs, dy.itemsize, packs)


def winograd_backward_kernel(dy, x, dkernel, window, outputs):
    """dkernel = the gradient of the kernel, summed over tiles in a fixed order."""
    cdef const fc_tiles* tiles = tiles_of(dy)
    cdef fc_winograd_kernel job
    cdef int i
    job.x, job.dy, job.dkernel = address(x), address(dy), address(dkernel, True)
    job.batch, job.channels, job.filters = x.shape[0], dkernel.shape[-2], dkernel.shape[-1]
    for i in range(3):
        job.axis[i] = window_axis(window, i)
    cdef ptrdiff_t all = cut(job.axis, job.batch, outputs, job.outputs, job.tiles), itemsize = dy.itemsize
    cdef ptrdiff_t points = points_of(job.axis, job.outputs), lanes = rounded(job.filters, tiles.lanes)
    cdef ptrdiff_t tile = product(points, rounded(job.channels, tiles.lanes) + lanes, itemsize)
    cdef ptrdiff_t sums = product(points, job.channels, lanes, itemsize)

    # A range of transformed tiles stays in an outer cache, but is worth a pass over the sums.
    cdef ptrdiff_t most = min(all, max(RANGE, max(DATA, 4 * sums) // tile))
    most = blocks(all, blocks(all, most))
    cdef Block inputs = Block(product(points, plane(tiles, most, job.channels), itemsize))
    cdef Block gradients = Block(product(points, plane(tiles, most, job.filters), itemsize))
    cdef Block total = Block(sums)
    job.inputs, job.gradients, job.sums = inputs.data, gradients.data, total.data
    job.part = rounded(blocks(job.channels, blocks(SHARES, points)), tiles.block)
    job.first = 0
    while job.first < all:
        job.count = min(most, all - job.first)
        job.block = blocks(job.count, SHARES)
        run(tiles.winograd_transform, &job, sizeof(job), blocks(job.count, job.block),
            25.0 * job.count * points * (job.channels + lanes), True)
        run(tiles.winograd_multiply, &job, sizeof(job), points * blocks(job.channels, job.part),
            2.0 * job.count * points * job.channels * lanes, True)
        job.first += job.count
    run(tiles.winograd_reduce, &job, sizeof(job), job.channels, 8.0 * points * job.channels * lanes, True)
