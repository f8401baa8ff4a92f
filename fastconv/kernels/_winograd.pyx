# cython: language_level=3, binding=False, cdivision=True
"""Winograd convolution: fills the jobs of csrc/winograd/winograd.c and winograd_kernel.c and runs their tiles.

`outputs` is the size of a Winograd tile's outputs on each axis (kernels/winograd.py chooses it). Arrays as in
_conv.pyx; the stride is 1. How the work is cut depends on shapes alone.
"""

from libc.stddef cimport ptrdiff_t

from ._conv cimport finish_of
from ._memory cimport Block, product
from ._tiles cimport (
    WINOGRAD_CHANNELS,
    WINOGRAD_TAPS,
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
    ROOM = 512 * 1024     # bytes of transformed weights, or of products, that stay in the second cache
    CUTS = 4              # blocks come in multiples of it, so that a few threads share them evenly
    FEW = 4               # Winograd tiles to this many filters and less: the weights are what passes through the caches
    PARTS = 8             # of the filters, at least, where they are cut
    SHARES = 16           # of a kernel gradient's stages, and of inputs that are transformed by themselves, at least
    RANGE = 128           # Winograd tiles, at least, that a kernel gradient transforms before it multiplies
    DATA = 8 << 20        # bytes of them


cdef inline ptrdiff_t blocks(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    return (count + size - 1) // size


cdef inline ptrdiff_t even(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    """A block size of at most `size` that cuts `count` into equal blocks."""
    return blocks(count, blocks(count, max(size, 1)))


cdef inline ptrdiff_t rounded(ptrdiff_t count, ptrdiff_t size) noexcept nogil:
    return blocks(count, size) * size


cdef ptrdiff_t cut(const fc_axis* axis, ptrdiff_t batch, outputs, ptrdiff_t* size, ptrdiff_t* number, ptrdiff_t* pieces):
    """Fills the tile sizes and numbers of the axes and that of pieces; returns the number of all Winograd tiles up to the
    last that has outputs. Phases of a dilation past the outputs would be empty."""
    cdef ptrdiff_t all = batch, after
    cdef int i
    for i in range(3):
        size[i] = outputs[i]
        number[i] = min(axis[i].dilation, axis[i].output) * blocks(blocks(axis[i].output, axis[i].dilation), size[i])
    pieces[0] = 1 if axis[2].taps <= WINOGRAD_TAPS else blocks(axis[2].taps, size[2])
    after = (pieces[0] - 1) * axis[2].dilation
    number[2] += after
    for i in range(3):
        all *= number[i]
    return all - after


cdef ptrdiff_t points_of(const fc_axis* axis, const ptrdiff_t* outputs, ptrdiff_t pieces):
    return ((outputs[0] + axis[0].taps - 1) * (outputs[1] + axis[1].taps - 1)
            * (outputs[2] + (axis[2].taps if pieces == 1 else outputs[2]) - 1))


cdef ptrdiff_t known(ptrdiff_t size) except -1:
    """A size that C gave; ValueError where it has no such tile (csrc/winograd/winograd.h)."""
    if size < 0:
        raise ValueError("No Winograd tile is compiled for these taps and outputs (WINOGRAD in kernels/algorithms.py).")
    return size


cdef int run_winograd(const fc_tiles* tiles, fc_winograd* job, outputs, ptrdiff_t itemsize, packs=None,
                      bint kept=True) except -1:
    """Transforms the weights and convolves; the job is filled but for the cut into tiles."""
    cdef ptrdiff_t all = cut(job.axis, job.batch, outputs, job.outputs, job.tiles, &job.pieces)
    cdef ptrdiff_t points = points_of(job.axis, job.outputs, job.pieces), lanes = rounded(job.filters, tiles.lanes)
    cdef ptrdiff_t size = known(tiles.winograd_weights_size(job)), most
    cdef bint by_filters = FEW * all <= job.filters and job.pieces == job.groups == 1
    key = <size_t>tiles, outputs, job.channel_step, job.groups  # the step tells a flipped kernel
    cdef Block transformed = None if packs is None else packs.get(key), inputs = None
    job.transformed = job.inputs = NULL
    if transformed is not None:
        job.transformed = transformed.data
    elif not by_filters or (packs is not None and kept):
        transformed = Block(size)
        job.transformed = transformed.data
        run(tiles.winograd_weights, job, sizeof(fc_winograd),
            job.groups * blocks(lanes, tiles.panel) * blocks(job.pieces * job.channels, WINOGRAD_CHANNELS),
            16.0 * points * job.pieces * job.groups * job.channels * lanes)
        if packs is not None:
            packs.keep(key, transformed, size)

    job.part = lanes
    if by_filters:
        # Weights that are transformed on the way fill the second cache with as many channels of one panel as it holds.
        job.part = tiles.panel
        if job.transformed is not NULL:
            job.part = even(blocks(lanes, tiles.panel), blocks(blocks(lanes, tiles.panel), PARTS)) * tiles.panel
        job.depth = even(job.channels, ROOM // product(points, job.part, itemsize))
        job.block = even(all, max(ROOM // product(points, job.part, itemsize), 4 * tiles.block))
        job.share = blocks(job.block, SHARES)
        inputs = Block(known(tiles.winograd_inputs_size(job)))
        job.inputs = inputs.data
        run(tiles.winograd_inputs, job, sizeof(fc_winograd), blocks(all, job.block) * blocks(job.block, job.share),
            25.0 * all * points * job.channels, True)
    else:
        most = BUDGET // product(points, job.channels + lanes, itemsize)
        job.share = job.depth = 0  # unused
        job.block = blocks(all, rounded(blocks(all, max(most, 4 * tiles.block)), max(1, min(CUTS, all // 2))))
    return run(tiles.winograd_forward, job, sizeof(fc_winograd), job.groups * blocks(all, job.block) * blocks(lanes, job.part),
               2.0 * all * points * job.pieces * job.groups * job.channels * lanes, True,
               known(tiles.winograd_forward_size(job)))


def winograd_forward(x, kernel, bias, y, window, ptrdiff_t groups, outputs, pool=None, bint relu=False, index=None, packs=None, bint kept=True,
                     scale=None, most=None, map=None):
    """y = x * kernel * scale + bias; scale, of the filters, and bias may be None; then ReLU, up to `most` where given,
    or the function `map` (finish_of).
    `packs` keeps the transformed weights where they are to be kept. With `pool`, three window sizes, y and index are of the
    pooled map, and ReLU has no bound."""
    cdef fc_winograd job
    cdef int i
    cdef ptrdiff_t step
    job.x, job.weights, job.y = address(x), address(kernel), address(y, True)
    job.bias = NULL if bias is None else address(bias)
    job.scale = NULL if scale is None else address(scale)
    job.batch, job.groups, job.channels, job.filters = x.shape[0], groups, kernel.shape[-2], kernel.shape[-1] // groups
    job.channel_step, job.filter_step, job.group_step = kernel.shape[-1], 1, job.filters
    step = job.channels * job.channel_step
    for i in range(2, -1, -1):
        job.axis[i] = window_axis(window, i)
        job.tap_step[i] = step
        step *= job.axis[i].taps
        job.pool[i] = 0
    job.finish = finish_of(relu, most, None, map)
    job.index = NULL
    if pool is not None:
        job.index = address(index, True)
        for i in range(3):
            job.pool[i] = pool[i]
            job.axis[i].output -= job.axis[i].output % job.pool[i]
    run_winograd(tiles_of(x), &job, outputs, x.itemsize, packs, kept)


def winograd_backward_input(dy, kernel, bias, dx, window, ptrdiff_t groups, outputs, packs=None, bint kept=True):
    """dx = dy convolved with the flipped, transposed kernel, plus the bias, which may be None. `packs` as above."""
    cdef fc_winograd job
    cdef fc_axis axis
    cdef int i
    cdef ptrdiff_t step
    cdef const char* weights = <const char*>address(kernel)
    job.x, job.y, job.index = address(dy), address(dx, True), NULL
    job.bias, job.scale = NULL if bias is None else address(bias), NULL
    job.batch, job.groups, job.channels, job.filters = dy.shape[0], groups, kernel.shape[-1] // groups, kernel.shape[-2]
    job.channel_step, job.filter_step, job.group_step = 1, kernel.shape[-1], job.channels
    job.finish = finish_of(False, None, None)
    step = job.filters * job.filter_step
    for i in range(2, -1, -1):
        axis = window_axis(window, i)
        job.axis[i] = fc_axis(axis.output, axis.input, axis.taps, 1, axis.dilation,
                              -axis.start - (axis.taps - 1) * axis.dilation)
        job.tap_step[i] = -step
        weights += (axis.taps - 1) * step * dy.itemsize
        step *= axis.taps
        job.pool[i] = 0
    job.weights = weights
    run_winograd(tiles_of(dy), &job, outputs, dy.itemsize, packs, kept)


def winograd_backward_kernel(dy, x, dkernel, window, ptrdiff_t groups, outputs):
    """dkernel = the gradient of the kernel, summed over tiles in a fixed order."""
    cdef const fc_tiles* tiles = tiles_of(dy)
    cdef fc_winograd_kernel job
    cdef int i
    job.x, job.dy, job.dkernel = address(x), address(dy), address(dkernel, True)
    job.batch, job.groups, job.channels = x.shape[0], groups, dkernel.shape[-2]
    job.filters = dkernel.shape[-1] // groups
    for i in range(3):
        job.axis[i] = window_axis(window, i)
    cdef ptrdiff_t all = cut(job.axis, job.batch, outputs, job.outputs, job.tiles, &job.pieces), itemsize = dy.itemsize
    cdef ptrdiff_t points = points_of(job.axis, job.outputs, job.pieces), lanes = rounded(job.filters, tiles.lanes)
    job.count = 1
    cdef ptrdiff_t tile = known(tiles.winograd_transform_size(&job)) + tiles.winograd_gradients_size(&job)
    cdef ptrdiff_t sums = tiles.winograd_sums_size(&job)

    # A range of transformed tiles stays in an outer cache, but is worth a pass over the sums.
    cdef ptrdiff_t most = min(all, max(RANGE, max(DATA, 4 * sums) // tile))
    job.count = most = blocks(all, blocks(all, most))
    cdef Block inputs = Block(tiles.winograd_transform_size(&job))
    cdef Block gradients = Block(tiles.winograd_gradients_size(&job))
    cdef Block total = Block(sums)
    job.inputs, job.gradients, job.sums = inputs.data, gradients.data, total.data
    job.part = rounded(blocks(job.channels, blocks(SHARES, points * job.pieces * groups)), tiles.block)
    cdef ptrdiff_t after = (job.pieces - 1) * job.axis[2].dilation, rows = job.pieces * job.channels
    job.first = 0
    while job.first < all:
        job.count = min(most, all - job.first)
        job.block = blocks(job.count, SHARES)
        run(tiles.winograd_transform, &job, sizeof(job), groups * blocks(job.count + after, job.block),
            25.0 * job.count * points * groups * (job.channels + lanes), True)
        run(tiles.winograd_multiply, &job, sizeof(job), groups * points * job.pieces * blocks(job.channels, job.part),
            2.0 * job.count * points * groups * rows * lanes, True)
        job.first += job.count
    run(tiles.winograd_reduce, &job, sizeof(job), groups * rows, 8.0 * points * groups * rows * lanes, True)
