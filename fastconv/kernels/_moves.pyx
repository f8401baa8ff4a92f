# cython: language_level=3, binding=False, cdivision=True
"""Data that moves: fills the jobs of csrc/moves/, and of csrc/elements/colors.c, which belongs to the same images.

A copy is told by two NumPy views of one shape, each of an array of its own: their steps are the walk. Arrays must be
C-contiguous, aligned, of one dtype and not empty; kernels/moves.py sees to that, and to numbers that are in range.
"""

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t

from math import gcd

from ._tiles cimport (
    FC_AXES, LINE, MEMORY_WORK, PACK_WORK, address, fc_colors, fc_copy, fc_fold, fc_gather, fc_resample, fc_resize,
    fc_size, fc_spread, fc_spread_axis, fc_step, fc_tile, fc_tiles, fc_warp, is_far, run, tiles_for, tiles_of,
)

cdef enum:
    BLOCK = 16384         # elements of a tile
    LONG = 1024           # bytes of a run from which on it gains that it goes past the caches, wherever its lines begin
    SQUARE = 64           # rows and columns of a tile that transposes
    RESIZE_BLOCK = 4096   # elements that a tile of an interpolation writes
    MOST_AXES = 64        # of a NumPy array
    WARP_WORK = 60        # of a pixel that is interpolated


cdef int append(fc_step* axis, int* axes, ptrdiff_t count, ptrdiff_t x_step, ptrdiff_t y_step) except -1:
    """One more axis inside the others, as a part of the one before where their cells are evenly spaced."""
    cdef fc_step* outer
    if count == 1:
        return 0
    if axes[0]:
        outer = &axis[axes[0] - 1]
        if outer.x_step == count * x_step and outer.y_step == count * y_step:
            outer.count *= count
            outer.x_step, outer.y_step = x_step, y_step
            return 0
    if axes[0] == FC_AXES:
        raise ValueError(f"At most {FC_AXES} axes can be told apart in one copy; merge some of them.")
    axis[axes[0]] = fc_step(count, x_step, y_step)
    axes[0] += 1
    return 0


cdef int fill_up(fc_step* axis, int axes, int least) except -1:
    """Axes of one cell in front, to `least` axes."""
    cdef int i
    cdef int missing = least - axes
    if missing <= 0:
        return axes
    for i in range(axes - 1, -1, -1):
        axis[i + missing] = axis[i]
    for i in range(missing):
        axis[i] = fc_step(1, 0, 0)
    return least


cdef int walk(fc_copy* job, x_view, y_view) except -1:
    """The merged walk of two views of one shape, and where they start."""
    cdef Py_buffer x, y
    cdef int i
    cdef int axes = 0
    cdef ptrdiff_t itemsize = x_view.itemsize
    PyObject_GetBuffer(x_view, &x, PyBUF_STRIDES)
    try:
        PyObject_GetBuffer(y_view, &y, PyBUF_STRIDES)
        try:
            for i in range(x.ndim):
                append(job.axis, &axes, x.shape[i], x.strides[i] // itemsize, y.strides[i] // itemsize)
            job.x, job.y = x.buf, y.buf
        finally:
            PyBuffer_Release(&y)
    finally:
        PyBuffer_Release(&x)
    job.axes = fill_up(job.axis, axes, 2)
    return 0


cdef bint transposed(fc_copy* job):
    """Puts the axis along which x is contiguous beside the one along which y is, where they differ."""
    cdef int a, last = <int>job.axes - 1
    cdef fc_step step
    if job.axis[last].x_step == 1 or job.axis[last].x_step == 0 or job.axis[last].y_step != 1:
        return False
    for a in range(last - 1, -1, -1):
        if job.axis[a].x_step == 1:
            step = job.axis[a]
            for a in range(a, last - 1):
                job.axis[a] = job.axis[a + 1]
            job.axis[last - 1] = step
            return True
    return False


cdef bint lines(fc_copy* job, const void* whole, ptrdiff_t size, ptrdiff_t itemsize):
    """Whether y, a part of `whole`, one of arrays of this size in bytes, is written in runs of whole lines, past the caches."""
    cdef int a, last = <int>job.axes - 1
    if job.axis[last].x_step != 1 or job.axis[last].y_step != 1:
        return False
    if job.axis[last].count * itemsize >= LONG:
        return is_far(whole, size, LINE)
    for a in range(last):
        if job.axis[a].y_step * itemsize % LINE:
            return False
    return is_far(job.y, size, job.axis[last].count * itemsize)


cdef ptrdiff_t cut(fc_copy* job, bint square):
    """Cuts the walk into tiles, and counts them."""
    cdef int a, last = <int>job.axes - 1
    cdef ptrdiff_t rows = job.axis[last - 1].count, columns = job.axis[last].count, planes = 1
    for a in range(last - 1):
        planes *= job.axis[a].count
    job.columns = min(columns, BLOCK)
    if square:
        job.columns = min(columns, max(SQUARE, BLOCK // 4 // rows // SQUARE * SQUARE))
    job.rows = min(rows, max(1, BLOCK // job.columns))
    if square:
        job.rows = min(rows, max(SQUARE, BLOCK // 4 // job.columns // SQUARE * SQUARE))
    job.planes = 1
    if job.rows == rows and job.columns == columns:
        job.planes = max(1, BLOCK // (rows * columns))
    return ((planes + job.planes - 1) // job.planes * ((rows + job.rows - 1) // job.rows)
            * ((columns + job.columns - 1) // job.columns))


def copy(x_view, x, y_view, y, ptrdiff_t together=0):
    """y_view[...] = x_view for views of x and y; `together` are the bytes of all arrays that are written one after the
    other, if there are several."""
    cdef fc_copy job
    address(x)
    address(y, True)
    walk(&job, x_view, y_view)
    job.factor = NULL
    cdef bint square = transposed(&job)
    job.far = lines(&job, address(y), max(together, <ptrdiff_t>y.nbytes), x.itemsize)
    cdef ptrdiff_t tiles = cut(&job, square)
    run(tiles_of(x).copy, &job, sizeof(job), tiles, (PACK_WORK if square else MEMORY_WORK) * <double>x_view.size)


def copy_scaled(x_view, x, factor, y):
    """y = x_view * factor, and 0 where x_view is 0; factor and y are whole arrays."""
    cdef fc_copy job
    address(x)
    address(y, True)
    walk(&job, x_view, y)
    job.factor, job.far = address(factor), False
    cdef ptrdiff_t tiles = cut(&job, False)
    run(tiles_of(x).copy_scaled, &job, sizeof(job), tiles, MEMORY_WORK * <double>y.size)


def spread(x, y, starts, steps, double value):
    """y = value, but at starts[a] + i * steps[a] of each axis x's cell i. A negative step counts down."""
    cdef fc_spread job
    cdef fc_spread_axis axis
    cdef fc_spread_axis* outer
    cdef int a, axes = 0
    cdef ptrdiff_t step = 1, offset = 0
    cdef ptrdiff_t x_steps[MOST_AXES]
    for a in range(x.ndim - 1, -1, -1):
        x_steps[a] = step
        step *= x.shape[a]
    for a in range(x.ndim):
        axis = fc_spread_axis(y.shape[a], starts[a], steps[a], x.shape[a], x_steps[a])
        if axis.step < 0:
            axis.low += (axis.count - 1) * axis.step
            offset += (axis.count - 1) * axis.x_step
            axis.step, axis.x_step = -axis.step, -axis.x_step
        if axis.count == 1:
            axis.step = 1
        if axis.size == 1:
            continue
        if axes and axis.low == 0 and axis.step == 1 and axis.count == axis.size:
            outer = &job.axis[axes - 1]
            if outer.step == 1 and (outer.count == 1 or outer.x_step == axis.count * axis.x_step):
                outer.size *= axis.size
                outer.low *= axis.size
                outer.count *= axis.size
                outer.x_step = axis.x_step
                continue
        if axes == FC_AXES:
            raise ValueError(f"At most {FC_AXES} axes can be told apart in padding; merge some of them.")
        job.axis[axes] = axis
        axes += 1
    while axes < 2:
        if axes:
            job.axis[1] = job.axis[0]
        job.axis[0] = fc_spread_axis(1, 0, 1, 1, 1)
        axes += 1
    job.axes, job.value = axes, value
    job.x = <char*>address(x) + offset * <ptrdiff_t>x.itemsize
    job.y = address(y, True)
    cdef ptrdiff_t columns = job.axis[axes - 1].size, rows = y.size // columns
    job.columns = min(columns, BLOCK)
    job.rows = max(1, BLOCK // columns)
    run(tiles_of(x).spread, &job, sizeof(job),
        (rows + job.rows - 1) // job.rows * ((columns + job.columns - 1) // job.columns), MEMORY_WORK * <double>y.size)


def fold(x, y, axes):
    """y = the sum of x over `axes`."""
    cdef fc_fold job
    cdef int a, kept = 0, copies = 0
    cdef ptrdiff_t step = 1, count
    cdef ptrdiff_t steps[MOST_AXES]
    for a in range(x.ndim - 1, -1, -1):
        steps[a] = step
        step *= x.shape[a]
    for a in range(x.ndim):
        count = x.shape[a]
        if a in axes:
            append(job.copy, &copies, count, steps[a], 0)
        else:
            append(job.axis, &kept, count, steps[a], 0)
    for a in range(kept):
        job.axis[a].y_step = 0
    job.axes, job.copies = fill_up(job.axis, kept, 1), fill_up(job.copy, copies, 2)
    job.x, job.y = address(x), address(y, True)
    cdef ptrdiff_t columns = job.axis[job.axes - 1].count, rows = y.size // columns, each = max(1, x.size // y.size)
    job.columns = min(columns, max(256, BLOCK // each))
    job.rows = max(1, BLOCK // each // columns)
    run(tiles_of(x).fold, &job, sizeof(job),
        (rows + job.rows - 1) // job.rows * ((columns + job.columns - 1) // job.columns), MEMORY_WORK * <double>x.size)


cdef int run_gather(fc_tile* tile, fc_gather* job, ptrdiff_t parts, ptrdiff_t rows, double work) except -1:
    return run(tile, job, sizeof(fc_gather), parts * ((rows + job.block - 1) // job.block), MEMORY_WORK * work)


cdef int gathering(fc_gather* job, index, ptrdiff_t outer, ptrdiff_t cells, ptrdiff_t inner) except -1:
    job.index, job.places = <const int64_t*>address(index), index.size
    job.outer, job.cells, job.inner = outer, cells, inner
    return 0


def gather_forward(x, index, y, ptrdiff_t outer, ptrdiff_t cells, ptrdiff_t inner):
    cdef fc_gather job
    gathering(&job, index, outer, cells, inner)
    job.x, job.y = address(x), address(y, True)
    job.block = max(1, BLOCK // inner)
    run_gather(tiles_of(x).gather_forward, &job, 1, outer * job.places, y.size)


def gather_backward(dy, index, dx, ptrdiff_t outer, ptrdiff_t cells, ptrdiff_t inner):
    cdef fc_gather job
    gathering(&job, index, outer, cells, inner)
    job.x, job.y = address(dy), address(dx, True)
    # Every tile looks through all places: few tiles, unless there is much to add at each of them.
    job.block = max(1, BLOCK // inner, (cells + 15) // 16)
    run_gather(tiles_of(dy).gather_backward, &job, outer, cells, dx.size + dy.size)


def one_hot(index, y):
    cdef fc_gather job
    gathering(&job, index, 1, y.shape[1], 1)
    job.x, job.y = NULL, address(y, True)
    job.block = max(1, BLOCK // job.cells)
    run_gather(tiles_of(y).one_hot, &job, 1, job.places, y.size)


cdef int run_resize(fc_tile* tile, fc_size* size, x, y, input, output, written) except -1:
    cdef fc_resize job
    cdef int axis
    job.x, job.y = address(x), address(y, True)
    job.batch, job.channels = x.shape[0], x.shape[3]
    job.input[0], job.input[1] = input
    job.output[0], job.output[1] = output
    for axis in range(2):
        divisor = gcd(input[axis], output[axis])
        job.scale[axis][0], job.scale[axis][1] = input[axis] // divisor, output[axis] // divisor
    cdef ptrdiff_t columns = written[1]
    job.columns = min(columns, max(1, RESIZE_BLOCK // job.channels))
    return run(tile, &job, sizeof(job), job.batch * <ptrdiff_t>written[0] * ((columns + job.columns - 1) // job.columns),
               MEMORY_WORK * 2.0 * max(x.size, y.size), False, size(&job))


def resize_forward(x, y):
    input, output = x.shape[1:3], y.shape[1:3]
    cdef const fc_tiles* tiles = tiles_of(x)
    run_resize(tiles.resize_forward, tiles.resize_forward_size, x, y, input, output, output)


def resize_backward(dy, dx):
    input, output = dx.shape[1:3], dy.shape[1:3]
    cdef const fc_tiles* tiles = tiles_of(dy)
    run_resize(tiles.resize_backward, tiles.resize_backward_size, dy, dx, input, output, input)


cdef int fill_warp(fc_warp* job, x, y, images, pixels, maps, places, int mode, bint nearest) except -1:
    """`images` is x or y, the one that has the images' size; `pixels` the other."""
    job.x, job.y = address(x), address(y, True)
    job.maps = job.places = NULL
    if maps is not None:
        job.maps = <const double*>address(maps)
    if places is not None:
        job.places = <const double*>address(places)
    job.batch, job.channels = x.shape[0], x.shape[3]
    job.input[0], job.input[1] = images.shape[1:3]
    job.output[0], job.output[1] = pixels.shape[1:3]
    job.mode, job.nearest, job.bytes, job.fill = mode, nearest, x.dtype.char == "B", 0
    job.block = max(1, BLOCK // (job.output[1] * job.channels))
    return 0


def warp_forward(x, y, maps, places, int mode, bint nearest, double fill):
    cdef fc_warp job
    fill_warp(&job, x, y, x, y, maps, places, mode, nearest)
    job.fill = fill
    run(tiles_of(x).warp_forward, &job, sizeof(job), job.batch * ((job.output[0] + job.block - 1) // job.block),
        WARP_WORK * <double>y.size, False, tiles_of(x).warp_size(&job))


def warp_backward(dy, dx, maps, places, int mode, bint nearest):
    cdef fc_warp job
    fill_warp(&job, dy, dx, dx, dy, maps, places, mode, nearest)
    run(tiles_of(dy).warp_backward, &job, sizeof(job), job.batch, WARP_WORK * <double>dy.size, False,
        tiles_of(dy).warp_size(&job))


def resample(x, start, weights, y):
    """x (outer, cells, inner), y (outer, places, inner)."""
    cdef fc_resample job
    job.x, job.weights, job.y, job.start = address(x), address(weights), address(y, True), <int64_t*>address(start)
    job.outer, job.cells, job.inner = x.shape
    job.places, job.taps = weights.shape
    job.block = max(1, BLOCK // job.inner)
    run(tiles_of(x).resample, &job, sizeof(job), job.outer * ((job.places + job.block - 1) // job.block),
        2 * <double>job.taps * y.size)


def colors(kind, x, y, table, double low, double high):
    """x (batch, pixels, channels); `kind` is a tile's name without "color_"."""
    cdef fc_colors job
    cdef const fc_tiles* tiles = tiles_of(x)
    cdef dict kinds = {"table": <size_t>tiles.color_table, "histogram": <size_t>tiles.color_histogram,
                       "scale": <size_t>tiles.color_scale, "matrix": <size_t>tiles.color_matrix,
                       "turn": <size_t>tiles.color_turn}
    cdef fc_tile* tile = <fc_tile*><size_t>kinds[kind]
    job.x, job.y, job.table = address(x), address(y, True), NULL if table is None else address(table)
    job.batch, job.pixels, job.channels = x.shape
    job.block = min(max(1, BLOCK // job.channels), job.pixels)
    job.low, job.high, job.bytes = low, high, x.dtype.char == "B"
    run(tile, &job, sizeof(job), job.batch * (1 if kind == "histogram" else (job.pixels + job.block - 1) // job.block),
        WARP_WORK / 4 * <double>x.size, False, tiles.color_scale_size(&job) if kind == "scale" else 0)
