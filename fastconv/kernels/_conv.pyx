# cython: language_level=3, binding=False, cdivision=True
"""Convolution: fills the jobs of csrc/conv/conv_forward.c and conv_backward_kernel.c and runs their tiles, or _grouped.pyx's.

`algorithm` is "direct", "depthwise" or "grouped" (kernels/algorithms.py chooses). Arrays must be C-contiguous, aligned,
of one dtype and not empty, and fit the Window: kernels/conv.py sees to that.
How the work is cut depends on shapes alone, never on the number of threads.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stddef cimport ptrdiff_t
from libc.math cimport NAN
from libc.string cimport memset

from math import gcd

from ._grouped cimport add_phase, grouped_backward_kernel, run_grouped
from ._memory cimport Block, product
from ._tiles cimport (
    FC_FLAT_ROWS,
    FC_PHASES,
    LINE,
    MEMORY_WORK,
    PACK_WORK,
    address,
    fc_axis,
    fc_conv,
    fc_conv_kernel,
    fc_conv_stream,
    fc_depthwise,
    fc_finish,
    fc_grouped,
    fc_grouped_kernel,
    fc_pack,
    fc_scatter,
    fc_tiles,
    is_far,
    run,
    tiles_of,
    window_axis,
)

cdef enum:
    CHUNK = 20 * 1024         # bytes of a first cache
    MERGE = 48                # channels from which a tap fills register tiles by itself
    SHORT_RUN = 16            # inputs of a kernel row that are too few to loop over
    SCATTER_TILES = 8         # register tiles of pixels whose products are added up together
    SCATTER_TAPS = 512        # more would fill the second cache with products
    SMALL_TILE = 4            # pixels below which a register tile waits for its own sums
    SMALL_IMAGE = 512         # outputs times taps of a row, past which little of it is padding
    FLAT_PIXELS = 256         # a chunk where the rows of all taps are listed: dy is read where it is
    STREAM_OUTPUTS = 256      # of a tile, whose sums stand in the second cache
    STREAM_DEPTH = 64         # channels of a chunk of weights, which all outputs read: two fill part of a second cache
    STREAM_FILTERS = 512      # of a tile; fewer would take pieces of rows, which memory gives more slowly
    STREAM_TILES = 8          # at least, where the shape gives them
    DEPTHWISE_ROWS = 8        # of outputs in a depthwise tile, whose windows share their inputs
    TILE_WORK = 128 * 1024    # FLOPs of a tile that is worth cutting

GROUPED = ("depthwise", "grouped")  # the algorithms of _grouped.pyx


cdef fc_finish finish_of(bint relu, most, residual, map=None) except *:
    """What becomes of the sums; `most` and `residual` may be None, and `map`: the number of a function of maps.h and two
    parameters."""
    cdef fc_finish finish
    finish.residual = NULL
    if residual is not None:
        finish.residual = address(residual)
    finish.most = NAN if most is None else most
    finish.relu = relu
    finish.map, finish.a, finish.b = (0, 0, 0) if map is None else (map[0] + 1, *map[1:])
    return finish


cdef ptrdiff_t read_axes(fc_axis* axis, window, ptrdiff_t batch):
    """Fills the axes; a pointwise convolution becomes one row of all of its pixels. Returns the batch that is left."""
    cdef int i
    if window.pointwise:
        for i in range(3):
            axis[i] = fc_axis(1, 1, 1, 1, 1, 0)
        for n in window.input:
            batch *= n
        axis[2].input = axis[2].output = batch
        return 1
    for i in range(3):
        axis[i] = window_axis(window, i)
    return batch


cdef void contiguous(ptrdiff_t* step, const fc_axis* axis, ptrdiff_t pixel):
    """The steps between samples, depths, rows and columns of x, `pixel` elements each."""
    cdef int i
    step[3] = pixel
    for i in range(2, -1, -1):
        step[i] = step[i + 1] * axis[i].input


cdef ptrdiff_t tile_cost(ptrdiff_t pixels, ptrdiff_t block):
    """Cycles, roughly, of a product for `pixels` cut into register tiles: small ones wait for their own sums."""
    cdef ptrdiff_t pieces = blocks(pixels, block), size = pixels // pieces, wider = pixels % pieces
    return wider * max(size + 1, SMALL_TILE) + (pieces - wider) * max(size, SMALL_TILE)


cdef ptrdiff_t inner_products(const fc_axis* a):
    """Pairs of an output and a tap that read inside the input."""
    cdef ptrdiff_t o, t, count = 0, at
    for o in range(a.output):
        for t in range(a.taps):
            at = o * a.stride + t * a.dilation + a.start
            count += 0 <= at < a.input
    return count


cdef int samples_as_columns(fc_conv* job, ptrdiff_t block) except -1:
    """Small padded images: register tiles of one pixel of many samples, which skip padding by columns too.

    The samples become the job's columns, and its height and width the depth and height: only steps change.
    """
    cdef fc_axis* axis = job.axis
    cdef int i
    if axis[0].input != 1 or axis[0].output != 1 or axis[0].taps != 1 or axis[0].start != 0:  # where it would read padding
        return 0
    if job.groups > 1 or job.channels < SHORT_RUN:
        return 0
    if job.batch < SMALL_TILE or axis[2].output * axis[2].taps > SMALL_IMAGE or inside(&axis[2]):
        return 0
    if 10 * inner_products(&axis[2]) * tile_cost(job.batch, block) \
            > 9 * job.batch * tile_cost(axis[2].output, block) * axis[2].taps:
        return 0
    cdef ptrdiff_t x_sample = job.x_step[0], y_sample = job.y_step[0]
    for i in range(2):
        axis[i] = axis[i + 1]
        job.x_step[i + 1], job.y_step[i + 1] = job.x_step[i + 2], job.y_step[i + 2]
    axis[2] = fc_axis(job.batch, job.batch, 1, 1, 1, 0)
    job.x_step[3], job.y_step[3] = x_sample, y_sample
    job.batch = 1
    return 0


cdef tuple pack_weights(const fc_tiles* tiles, fc_pack* pack, fc_conv* job, ptrdiff_t itemsize, packs,
                        ptrdiff_t offset=0):
    """Packs the weights and the bias, or takes what `packs` (or None) keeps of them; the Blocks, which must outlive the
    job. `offset` is that of the pack's first weight in the kernel."""
    pack.groups, pack.channels, pack.filters = job.groups, job.channels, job.filters
    # All that says which weights are packed, and how: one kernel may serve convolutions of several geometries.
    key = None if packs is None else (
        <size_t>tiles, offset, PyBytes_FromStringAndSize(<char*>&pack.groups, <char*>(pack + 1) - <char*>&pack.groups))
    cdef ptrdiff_t lanes = blocks(job.filters, tiles.lanes) * tiles.lanes
    cdef ptrdiff_t depth = pack.taps[0] * pack.taps[1] * pack.taps[2] * job.channels
    cdef tuple found = None if packs is None else packs.get(key)
    cdef bint ready = found is not None
    if not ready:
        found = Block(product(job.groups, lanes, depth, itemsize)), Block(product(job.groups, lanes, itemsize))
    job.packed = pack.packed = (<Block>found[0]).data
    job.packed_bias = pack.packed_bias = (<Block>found[1]).data
    if ready:
        return found
    run(tiles.conv_pack, pack, sizeof(fc_pack), job.groups * blocks(lanes, tiles.panel),
        <double>PACK_WORK * job.groups * lanes * depth)
    if packs is not None:
        packs.keep(key, found, product(job.groups, lanes, depth + 1, itemsize))
    return found


cdef ptrdiff_t filter_parts(const fc_tiles* tiles, const fc_conv* job, ptrdiff_t outputs, ptrdiff_t* pixels,
                            ptrdiff_t lanes, ptrdiff_t depth):
    """How many parts the filters are cut into, where cutting the outputs makes too few tiles, or would read the weights,
    more than there is of x, for each of them. `pixels`: of a tile, at most; then as many as leave tiles enough."""
    cdef bint in_place = job.groups == 1 and inside(&job.axis[2])  # else each part copies its inputs again
    cdef ptrdiff_t parts = 1, most = blocks(lanes, tiles.panel) // (1 if in_place else 2), size
    size = max(1, min(pixels[0], outputs))
    while blocks(outputs, size) * parts < TILES and 2 * size * depth * (lanes // parts) > TILE_WORK:
        if parts < most and (lanes // parts > size or size < 2 * tiles.block):
            parts = min(2 * parts, most)
        elif size >= 2 * tiles.block:
            size //= 2
        else:
            break
    pixels[0] = size if parts > 1 else min(pixels[0], blocks(outputs, TILES))
    return parts


cdef int run_packed(const fc_tiles* tiles, fc_pack* pack, fc_conv* job, ptrdiff_t itemsize, packs=None,
                    ptrdiff_t offset=0) except -1:
    """Packs the weights and convolves; both jobs are filled but for the packed buffers and the cut into tiles."""
    cdef ptrdiff_t lanes = blocks(job.filters, tiles.lanes) * tiles.lanes
    cdef ptrdiff_t depth = pack.taps[0] * pack.taps[1] * pack.taps[2] * job.channels
    cdef fc_axis* axis = job.axis
    cdef ptrdiff_t outputs = job.batch * axis[0].output * axis[1].output * axis[2].output
    cdef ptrdiff_t pixels = FORWARD_WORK // (2 * max(depth, 1) * lanes)
    cdef double work = 2.0 * outputs * job.groups * lanes * max(depth, 1)
    contiguous(job.x_step, axis, job.groups * job.channels)
    samples_as_columns(job, tiles.block)
    packed = pack_weights(tiles, pack, job, itemsize, packs, offset)

    job.far = not job.finish.map and tiles.panel * itemsize % LINE == 0 and is_far(
        job.y, outputs * job.groups * job.filters * itemsize, job.filters * itemsize)

    # Weights that leave the cache between tiles want more pixels a tile; few pixels in all want smaller tiles.
    pixels = max(pixels, tiles.block * min(8, lanes * depth * itemsize // SLAB))
    job.parts = filter_parts(tiles, job, outputs * job.groups, &pixels, lanes, depth)
    pixels = max(tiles.block, pixels)
    job.columns = even(axis[2].output, blocks(pixels, tiles.block) * tiles.block)
    job.rows = even(axis[1].output, pixels // job.columns)
    return run(
        tiles.conv_forward, job, sizeof(fc_conv),
        job.parts * job.batch * job.groups * axis[0].output * blocks(axis[1].output, job.rows) * blocks(axis[2].output, job.columns),
        work, True, tiles.conv_forward_size(job),
    )


cdef int run_depthwise(const fc_tiles* tiles, const fc_pack* pack, const fc_conv* job) except -1:
    """Depthwise convolution to a y without gaps; x and the weights are read where they lie."""
    cdef fc_depthwise d
    cdef int i
    d.x, d.weights, d.bias, d.y = job.x, pack.weights, pack.bias, job.y
    d.batch, d.channels, d.finish = job.batch, job.groups, job.finish
    for i in range(3):
        d.axis[i], d.tap_step[i] = job.axis[i], pack.tap_step[i]
    cdef ptrdiff_t rows = d.batch * d.axis[0].output * d.axis[1].output
    d.rows = min(blocks(rows, TILES), DEPTHWISE_ROWS)
    return run(tiles.depthwise_forward, &d, sizeof(d), blocks(rows, d.rows),
               2.0 * rows * d.axis[2].output * d.channels * taps_of(d.axis), True)


cdef int fill_forward(fc_pack* pack, fc_conv* job, x, kernel, bias, ptrdiff_t groups) except -1:
    """Fills both jobs, whose batch and axes are set, but for y."""
    cdef int i
    cdef ptrdiff_t filters = kernel.shape[-1], channels = kernel.shape[-2], step = channels * filters
    job.x = address(x)
    job.groups, job.channels, job.filters = groups, channels, filters // groups
    pack.weights = address(kernel)
    pack.bias, pack.scale = NULL if bias is None else address(bias), NULL
    pack.filter_step, pack.channel_step, pack.group_step = 1, filters, filters // groups
    job.y_step[3] = filters
    for i in range(2, -1, -1):
        pack.taps[i] = job.axis[i].taps
        pack.tap_step[i] = step
        step *= job.axis[i].taps
        job.y_step[i] = job.y_step[i + 1] * job.axis[i].output
    return 0


def conv_forward(x, kernel, bias, y, window, ptrdiff_t groups, algorithm, packs=None, bint relu=False, most=None,
                 residual=None, scale=None, map=None):
    """y = x * kernel + bias; bias may be None. `packs` keeps the packed weights; `relu`, `most`, `residual` and `map`
    (finish_of) are not of "grouped", and `scale`, of the filters, is of "direct" alone."""
    cdef fc_pack pack
    cdef fc_conv job
    cdef fc_grouped grouped
    job.batch = read_axes(job.axis, window, x.shape[0])
    fill_forward(&pack, &job, x, kernel, bias, groups)
    job.y, job.finish = address(y, True), finish_of(relu, most, residual, map)
    if scale is not None:
        pack.scale = address(scale)
    if algorithm == "depthwise":
        run_depthwise(tiles_of(x), &pack, &job)
    elif algorithm in GROUPED:
        memset(&grouped, 0, sizeof(grouped))
        add_phase(&grouped, &pack, &job)
        run_grouped(tiles_of(x), &grouped, x.itemsize)
    else:
        run_packed(tiles_of(x), &pack, &job, x.itemsize, packs)


def conv_stream(x, kernel, bias, y, window, bint relu=False, pool=None, index=None, scale=None, most=None,
                residual=None, map=None):
    """The same for few outputs, by csrc/conv/conv_stream.c. With `pool`, three window sizes, y and index are of the pooled
    map."""
    cdef const fc_tiles* tiles = tiles_of(x)
    cdef fc_conv_stream job
    cdef int i
    job.x, job.weights, job.y = address(x), address(kernel), address(y, True)
    job.finish = finish_of(relu, most, residual, map)
    job.bias = NULL if bias is None else address(bias)
    job.scale = NULL if scale is None else address(scale)
    job.batch = read_axes(job.axis, window, x.shape[0])
    job.channels, job.filters = kernel.shape[-2], kernel.shape[-1]
    job.index = NULL if pool is None else address(index, True)
    cdef ptrdiff_t outputs = 1
    for i in range(3):
        job.pool[i] = 0 if pool is None else pool[i]
        outputs *= job.axis[i].output
    cdef ptrdiff_t lanes = blocks(job.filters, tiles.lanes) * tiles.lanes, taps = taps_of(job.axis)
    cdef ptrdiff_t panels = blocks(lanes, tiles.panel), cuts
    job.samples = even(job.batch, STREAM_OUTPUTS // outputs)
    job.depth = even(job.channels, STREAM_DEPTH)
    cuts = blocks(STREAM_TILES, blocks(job.batch, job.samples) * blocks(job.channels, job.depth))
    job.part = even(panels, min(blocks(panels, cuts), max(1, STREAM_FILTERS // tiles.panel))) * tiles.panel
    cdef ptrdiff_t slices = blocks(job.channels, job.depth)
    cdef Block sums = Block(product(slices, job.batch, outputs, lanes, <ptrdiff_t>x.itemsize))
    job.sums = sums.data
    run(tiles.conv_stream, &job, sizeof(job), blocks(job.batch, job.samples) * slices * blocks(job.filters, job.part),
        2.0 * job.batch * outputs * job.channels * lanes * taps, True, tiles.conv_stream_size(&job))
    run(tiles.conv_stream_sum, &job, sizeof(job), job.batch,
        <double>MEMORY_WORK * slices * job.batch * outputs * lanes, True)


cdef struct Phase:
    # Along one axis, the inputs first, first + stride, ... and the taps that reach them, last tap first.
    fc_axis axis
    ptrdiff_t first, tap, tap_step


cdef Phase phase_of(const fc_axis* a, ptrdiff_t first):
    """Backward-input along one axis, for the inputs that are `first` modulo the stride, as a forward convolution.

    Input i takes dy[o] through tap t where o * stride + t * dilation + start == i; for i = first + stride * j, those
    taps are every (stride / gcd)-th, and from one to the next o falls by dilation / gcd.
    """
    cdef Phase p
    cdef ptrdiff_t common = gcd(a.stride, a.dilation), tap = 0
    p.first = first
    p.tap_step = a.stride // common
    while tap < min(p.tap_step, a.taps) and (first - a.start - tap * a.dilation) % a.stride != 0:
        tap += 1
    p.axis = fc_axis(a.output, (a.input - first + a.stride - 1) // a.stride, 0, 1, a.dilation // common, 0)
    p.tap = 0
    if tap < min(p.tap_step, a.taps):
        p.axis.taps = (a.taps - tap + p.tap_step - 1) // p.tap_step
        p.tap = tap + (p.axis.taps - 1) * p.tap_step
        p.axis.start = (first - a.start - p.tap * a.dilation) // a.stride  # exact
    return p


cdef int scatter_backward_input(const fc_tiles* tiles, dy, kernel, bias, dx, const fc_axis* axis,
                                ptrdiff_t batch) except -1:
    """dx for few channels: dy times the kernel with (tap, channel) as its lanes, added up."""
    cdef ptrdiff_t itemsize = dy.itemsize, filters = kernel.shape[-1], channels = kernel.shape[-2], taps = taps_of(axis)
    cdef ptrdiff_t lanes = blocks(taps * channels, tiles.lanes) * tiles.lanes
    cdef Block packed = Block(product(lanes, filters, itemsize))
    cdef Block zeros = Block(product(lanes, itemsize))
    cdef fc_pack pack
    cdef fc_scatter job
    cdef int i
    pack.weights, pack.packed, pack.packed_bias = address(kernel), packed.data, zeros.data
    pack.bias = pack.scale = NULL
    pack.groups, pack.channels, pack.filters = 1, filters, taps * channels
    pack.channel_step, pack.filter_step, pack.group_step = 1, filters, 0
    for i in range(3):
        pack.taps[i], pack.tap_step[i], job.axis[i] = 1, 0, axis[i]
    run(tiles.conv_pack, &pack, sizeof(pack), blocks(lanes, tiles.panel), <double>PACK_WORK * lanes * filters)

    job.dy, job.packed, job.zeros, job.dx = address(dy), packed.data, zeros.data, address(dx, True)
    job.channels, job.filters = channels, filters
    job.bias = NULL if bias is None else address(bias)
    # Blocks of dx make enough tiles, but dy at their edges is multiplied again: none is smaller than some windows.
    cdef ptrdiff_t high = (axis[1].taps - 1) * axis[1].dilation + 1, wide = (axis[2].taps - 1) * axis[2].dilation + 1
    cdef ptrdiff_t cuts = max(1, min(blocks(TILES, batch), axis[1].input // (2 * high)))
    job.rows = blocks(axis[1].input, cuts)
    cuts = max(1, min(blocks(TILES, batch * cuts), axis[2].input // (4 * wide)))
    job.columns = blocks(axis[2].input, cuts)
    job.block = SCATTER_TILES * tiles.block
    cdef ptrdiff_t count = batch * blocks(axis[1].input, job.rows) * blocks(axis[2].input, job.columns)
    return run(tiles.conv_scatter, &job, sizeof(job), count, 2.0 * dy.size * lanes, True, tiles.conv_scatter_size(&job))


def conv_backward_input(dy, kernel, bias, dx, window, ptrdiff_t groups, algorithm, packs=None):
    """dx = the gradient of x: for each phase of the strides, dy convolved with the flipped, transposed kernel; plus the
    bias, which may be None. `packs` keeps the packed weights of direct tiles."""
    cdef const fc_tiles* tiles = tiles_of(dy)
    cdef fc_axis axis[3]
    cdef Phase phase[3]
    cdef fc_pack pack
    cdef fc_conv job
    cdef fc_grouped grouped
    cdef int i
    cdef ptrdiff_t filters = kernel.shape[-1], channels = kernel.shape[-2], itemsize = dy.itemsize, step, offset
    cdef ptrdiff_t kernel_step[3]
    cdef ptrdiff_t dx_step[4]
    cdef ptrdiff_t a, b, c
    cdef const char* weights = <const char*>address(kernel)
    cdef char* out = <char*>address(dx, True)

    memset(&grouped, 0, sizeof(grouped))
    job.finish = finish_of(False, None, None)
    job.x = address(dy)
    cdef ptrdiff_t batch = read_axes(axis, window, dy.shape[0])
    if groups == 1 and 2 * channels <= tiles.lanes and filters >= SHORT_RUN and 1 < taps_of(axis) <= SCATTER_TAPS:
        scatter_backward_input(tiles, dy, kernel, bias, dx, axis, batch)
        return
    job.groups, job.channels, job.filters = groups, filters // groups, channels
    pack.bias, pack.scale = NULL if bias is None else address(bias), NULL
    pack.filter_step, pack.channel_step, pack.group_step = filters, 1, filters // groups
    step = channels * filters
    dx_step[3] = channels * groups
    for i in range(2, -1, -1):
        kernel_step[i] = step
        step *= axis[i].taps
        dx_step[i] = dx_step[i + 1] * axis[i].input

    for a in range(min(axis[0].stride, axis[0].input)):
        for b in range(min(axis[1].stride, axis[1].input)):
            for c in range(min(axis[2].stride, axis[2].input)):
                phase[0], phase[1], phase[2] = phase_of(&axis[0], a), phase_of(&axis[1], b), phase_of(&axis[2], c)
                pack.weights = weights
                job.batch = batch
                job.y = out
                job.y_step[0] = dx_step[0]
                for i in range(3):
                    job.axis[i] = phase[i].axis
                    pack.taps[i] = phase[i].axis.taps
                    pack.tap_step[i] = -phase[i].tap_step * kernel_step[i]
                    offset = phase[i].tap * kernel_step[i]
                    pack.weights = <const char*>pack.weights + offset * itemsize
                    job.y = <char*>job.y + phase[i].first * dx_step[i + 1] * itemsize
                    job.y_step[i + 1] = axis[i].stride * dx_step[i + 1]
                if taps_of(job.axis) == 0:  # a stride past the kernel: these inputs are read by no window
                    for i in range(3):
                        pack.taps[i] = job.axis[i].taps = i != 0
                        job.axis[i].start = 0
                if algorithm not in GROUPED:
                    offset = <const char*>pack.weights - weights
                    run_packed(tiles, &pack, &job, itemsize, packs, offset)
                    continue
                if algorithm == "depthwise" and axis[0].stride == axis[1].stride == axis[2].stride == 1:
                    run_depthwise(tiles, &pack, &job)
                    continue
                add_phase(&grouped, &pack, &job)
                if grouped.phases == FC_PHASES:
                    run_grouped(tiles, &grouped, itemsize)
    if grouped.phases:
        run_grouped(tiles, &grouped, itemsize)


def conv_backward_kernel(dy, x, dkernel, window, ptrdiff_t groups, algorithm):
    """dkernel = the gradient of the kernel, summed over the batch and all pixels in a fixed order."""
    cdef const fc_tiles* tiles = tiles_of(dy)
    cdef fc_grouped_kernel group
    if algorithm in GROUPED:
        group.batch = read_axes(group.axis, window, x.shape[0])
        group.groups = groups
        grouped_backward_kernel(tiles, &group, dy, x, dkernel)
        return
    cdef fc_conv_kernel job
    cdef fc_axis* axis = job.axis
    cdef ptrdiff_t itemsize = dy.itemsize, filters = dkernel.shape[-1], channels = dkernel.shape[-2]
    job.x, job.dy, job.dkernel = address(x), address(dy), address(dkernel, True)
    job.batch = read_axes(axis, window, x.shape[0])
    job.groups, job.channels, job.filters = groups, channels, filters // groups
    contiguous(job.x_step, axis, groups * channels)

    # Rows of few inputs fill no register tile by themselves: then the rows of all taps are listed.
    cdef ptrdiff_t height = axis[2].taps * channels, depths = axis[0].taps, heights = axis[1].taps
    job.flat = height < 2 * SHORT_RUN and depths * heights * height <= FC_FLAT_ROWS
    if job.flat:
        height *= depths * heights
        depths = heights = 1

    # A chunk of pixels fits the first cache; slices and parts make enough tiles where the kernel itself is small.
    cdef ptrdiff_t pixels = max(48, min(512, CHUNK // (itemsize * (axis[2].stride * channels + tiles.panel))))
    if job.flat:
        pixels = min(pixels, FLAT_PIXELS)
    job.columns = even(axis[2].output, pixels)
    job.rows = even(axis[1].output, pixels // job.columns)
    cdef ptrdiff_t lanes = blocks(job.filters, tiles.lanes) * tiles.lanes, panels = blocks(lanes, tiles.panel)
    cdef ptrdiff_t chunks = (job.batch * axis[0].output * blocks(axis[1].output, job.rows)
                             * blocks(axis[2].output, job.columns))
    cdef ptrdiff_t count = groups * depths * heights * panels
    # Sums that fit the cache stay there while the data pass once; data that fit it may pass once for every tile.
    job.whole = (chunks >= TILES and (job.flat or x.nbytes + dy.nbytes > 16 * SLAB)
                 and groups * taps_of(axis) * channels * lanes * itemsize <= 2 * SLAB)
    job.slices = min(chunks, TILES if job.whole else blocks(TILES, count))
    job.part = blocks(even(height, height * job.slices * count // TILES), tiles.block) * tiles.block
    if job.whole or job.flat:
        job.part = height
    cdef Block partial = Block(product(job.slices, groups, taps_of(axis), channels, lanes, itemsize))
    job.partial = partial.data

    # One run of all taps fills register tiles best, but it must copy x where there is padding or groups.
    cdef bint in_place = groups == 1 and inside(&axis[2])
    job.merged = axis[2].dilation == 1 and (in_place or channels < MERGE)
    cdef double work = 2.0 * x.shape[0] * count * height * min(lanes, tiles.panel)
    for n in window.output:
        work *= n
    cdef ptrdiff_t number = job.slices * (1 if job.whole else count * blocks(height, job.part))
    run(tiles.conv_backward_kernel, &job, sizeof(job), number, work, True,
        tiles.conv_backward_kernel_size(&job))
    run(tiles.conv_reduce_kernel, &job, sizeof(job), count * blocks(height, job.part),
        <double>MEMORY_WORK * job.slices * count * height * tiles.panel, True)
