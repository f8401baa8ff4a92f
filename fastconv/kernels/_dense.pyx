# cython: language_level=3, binding=False, cdivision=True
"""Matrix products: chooses the tiles of csrc/dense/dense.c, fills their job, cuts it, and makes the result.

`forward`, `backward_input` and `backward_kernel` take any arguments, and return None unless these are arrays that C can
read as they are and whose shapes fit: small products take less time than Python's checks, which come after
(kernels/dense.py). How the work is cut depends on shapes alone, never on the number of threads.
"""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBuffer_Release, PyObject_GetBuffer
from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uintptr_t

from numpy import dtype, ndarray

from ._conv cimport blocks
from ._memory cimport Block
from ._tiles cimport (
    FC_AXES, FC_FEW, MEMORY_WORK, address, fc_product, fc_product_sum, fc_stack, fc_tile, fc_tiles, is_far, run, tiles_for,
)  # fmt: skip

cdef enum:
    TILE_WORK = 1 << 20       # FLOPs of a tile, at least: some 10 us on one core
    TILES = 64                # at most: enough for many threads to share evenly
    DEPTH = 256               # of a block, so that a panel stays in the first cache
    SLAB = 64 * 1024          # elements of packed b, which stay in the second cache
    STREAM_BYTES = 128 * 1024 # of b in a tile, at least
    LARGE = 256 * 1024        # bytes that the second cache does not surely hold
    TURN = 5                  # what it costs to turn a vector round, in products of vectors
    SUMS = 60                 # and to add up the lanes of as many vectors as one has
    RUN = 1000                # and of running one more kind of tiles

cdef object FLOAT32 = dtype("float32"), FLOAT64 = dtype("float64"), ARRAY = ndarray


# ---- which way ----

cdef void swap(fc_product* job):
    """Writes the transposed result: the operands change places."""
    cdef ptrdiff_t i
    job.a, job.b = job.b, job.a
    for i in range(job.axes):
        job.stack[i].a_step, job.stack[i].b_step = job.stack[i].b_step, job.stack[i].a_step
    job.rows, job.columns = job.columns, job.rows
    job.a_step, job.b_step = job.b_step, job.a_step
    job.a_by_rows, job.b_by_rows = not job.b_by_rows, not job.a_by_rows


cdef int multiply(fc_product* job, ptrdiff_t matrices, bint wide) except -1:
    """Runs the job, which is filled but for the cut, the way that costs least; `wide`: it is in float64.

    Costs count products of vectors, of one matrix."""
    cdef const fc_tiles* tiles = tiles_for(wide)
    cdef ptrdiff_t lanes = tiles.lanes, few = min(job.rows, job.columns)
    cdef double work = 2.0 * matrices * job.rows * job.columns * job.depth
    cdef double as_turned, strips = blocks(job.columns, lanes), depth = blocks(job.depth, lanes) * lanes
    cdef double as_tiles = strips * job.depth * max(job.rows, <ptrdiff_t>FC_FEW), as_dots = <double>job.rows * job.columns / lanes * (depth + SUMS)
    if job.rows == 1:  # an operand that lies both ways goes the better one
        job.a_step, job.a_by_rows = job.depth, True
    if job.columns == 1:
        job.b_step, job.b_by_rows = job.depth, False
    if job.depth == 1:
        job.b_step, job.b_by_rows = job.columns, True
    job.row_pieces = job.column_pieces = job.slices = 1
    job.y_row, job.y_column = job.columns, 1
    if job.a_by_rows and not job.b_by_rows:
        if few <= 2 * lanes and as_dots < as_tiles + TURN * strips * depth:
            if job.rows < job.columns:
                swap(job)
                job.y_row, job.y_column = 1, job.rows
            return run_dots(tiles, job, matrices, wide, work)
    elif job.a_by_rows:
        if matrices == 1 and job.columns <= 2 * lanes and as_dots + (TURN + 1) * strips * depth + RUN < as_tiles:
            return run_turned(tiles, job, wide, work)
    else:
        as_turned = blocks(job.rows, lanes) * <double>max(job.columns, <ptrdiff_t>FC_FEW) * (job.depth + 2 * TURN)
        if job.columns == 1 or as_turned + RUN < as_tiles:
            swap(job)
            job.y_column = job.rows == 1
    few = job.columns if job.rows == 1 else 0
    if job.b_by_rows and (few > 2 * lanes or job.rows <= FC_FEW and is_large(job.columns * job.depth, wide)):
        return run_stream(tiles, job, matrices, wide, work)
    return run_tiles(tiles, job, matrices, wide, work)


# ---- how it is cut ----

cdef ptrdiff_t pieces_of(double work, ptrdiff_t matrices, double least):
    """How many pieces each matrix is cut into, so that they have this much work at least."""
    return max(1, <ptrdiff_t>(min(work / least, <double>TILES) / matrices))


cdef bint is_large(ptrdiff_t size, bint wide):
    """Whether so many elements are not at hand, so that long runs of them are better, asked for early."""
    return size * (8 if wide else 4) > LARGE


cdef bint collides(ptrdiff_t step):
    """Whether places that lie this many bytes apart crowd one set of a cache."""
    return step % 4096 == 0


cdef ptrdiff_t apart(ptrdiff_t count):
    """Elements from one run of `count` to the next, so that they do not."""
    return (blocks(count, 16) | 1) * 16


cdef int run_dots(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, bint wide, double work) except -1:
    """Both operands lie along the depth: rows of a, one after another, times few columns."""
    cdef size_t itemsize = 8 if wide else 4
    work = max(work, <double>MEMORY_WORK * matrices * job.rows * job.depth)
    job.row_pieces = min(pieces_of(work, matrices, TILE_WORK), max(1, job.rows // tiles.lanes))
    job.ask = is_large(job.rows * job.depth // 16, wide)
    job.a_copy = apart(job.depth) if collides(job.b_step * itemsize) and job.columns > 1 else 0
    return run(tiles.product_dots, job, sizeof(fc_product), matrices * job.row_pieces, work, False,
               tiles.product_dots_size(job))


cdef int run_turned(const fc_tiles* tiles, fc_product* job, bint wide, double work) except -1:
    """The same where b's few columns are laid along the depth first."""
    cdef fc_product turn = job[0]
    cdef Block turned
    turned = Block(job.columns * job.depth * (8 if wide else 4))
    job.b = turn.y = turned.data
    turn.block = 256
    run(tiles.product_turn, &turn, sizeof(fc_product), blocks(job.depth, turn.block), MEMORY_WORK * job.columns * job.depth)
    job.b_step, job.b_by_rows = job.depth, False
    return run_dots(tiles, job, 1, wide, work)


cdef int run_stream(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, bint wide, double work) except -1:
    """Few rows: pieces of the columns that are long runs of memory, and slices of the depth."""
    cdef ptrdiff_t itemsize = 8 if wide else 4, size = job.columns * job.depth * itemsize
    cdef ptrdiff_t pieces = pieces_of(<double>matrices * size, matrices, STREAM_BYTES)
    work = max(work, <double>MEMORY_WORK * matrices * job.columns * job.depth)
    job.ask = is_large(job.columns * job.depth // 16, wide)
    job.column_pieces = max(1, min(pieces, job.columns * itemsize // (16384 if size > 32 * LARGE else 1024)))
    job.slices = max(1, min(pieces // job.column_pieces, job.depth // 64))
    return run_slices(tiles.product_stream, tiles, job, matrices, itemsize, work, 0)


cdef void cut(fc_product* job, const fc_tiles* tiles, ptrdiff_t pieces, ptrdiff_t least):
    """Halves the longest side until there are so many pieces, of at least `least` register tiles each way."""
    cdef ptrdiff_t rows, columns, high, wide
    while job.row_pieces * job.column_pieces * job.slices < pieces:
        rows, columns = job.rows // job.row_pieces, job.columns // job.column_pieces
        high, wide = rows // (2 * tiles.block), columns // (2 * tiles.panel)
        if wide >= least and (columns >= rows or high < least):
            job.column_pieces *= 2
        elif high >= least:
            job.row_pieces *= 2
        elif job.depth // job.slices >= 4 * DEPTH and job.slices < 8:
            job.slices *= 2
        else:
            break


cdef int run_tiles(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, bint wide, double work) except -1:
    """Register tiles, in large pieces, which copy less, where there are enough of them."""
    cdef ptrdiff_t panel = tiles.panel, itemsize = 8 if wide else 4, rows, columns, depth, runs, length
    cut(job, tiles, pieces_of(work, matrices, 4 * TILE_WORK), 8)
    cut(job, tiles, min(pieces_of(work, matrices, TILE_WORK), 8), 4)
    cut(job, tiles, min(pieces_of(work, matrices, TILE_WORK), 4), 1)
    rows, depth = blocks(job.rows, job.row_pieces), blocks(job.depth, job.slices)
    columns = blocks(blocks(job.columns, panel), job.column_pieces) * panel
    job.block = max(1, blocks(depth, blocks(max(depth, 1), DEPTH if rows > 2 * tiles.block else DEPTH // 4)))
    job.chunk = max(panel, min(columns, SLAB // job.block // panel * panel))
    if columns <= panel:
        job.pack = job.columns % tiles.lanes > 0 and 16 * blocks(rows, tiles.block) > job.depth
    else:
        job.pack = (rows > 2 * tiles.block or collides(job.b_step * itemsize)
                    or job.b_step * itemsize >= 1024 and is_large(columns * depth, wide))
    runs, length = (rows, job.block) if job.a_by_rows else (job.block, rows)
    job.a_copy = 0
    if runs > 8 and (collides(job.a_step * itemsize) or columns >= 8 * panel and collides(2 * job.a_step * itemsize)):
        job.a_copy = apart(length)
    job.far = (depth <= job.block and job.slices == 1 and job.y_column == 1
               and is_far(job.y, matrices * job.rows * job.columns * itemsize, job.columns * itemsize))
    return run_slices(tiles.product_tiles, tiles, job, matrices, itemsize, work, tiles.product_tiles_size(job))


cdef int run_slices(fc_tile* tile, const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, ptrdiff_t itemsize, double work,
                    size_t scratch) except -1:
    """Runs the job; adds up its slices where it has several, and turns its result where y_column is 0."""
    cdef ptrdiff_t size = job.rows * job.columns, count = matrices * job.slices * job.row_pieces * job.column_pieces
    cdef fc_product_sum total
    cdef Block sums
    if job.slices == 1 and job.y_column:
        return run(tile, job, sizeof(fc_product), count, work, False, scratch)
    sums = Block(matrices * job.slices * size * itemsize)
    total = fc_product_sum(sums.data, job.bias, job.y, job.rows, job.columns, job.slices, not job.y_column)
    job.y, job.bias = sums.data, NULL
    run(tile, job, sizeof(fc_product), count, work, False, scratch)
    return run(tiles.product_sum, &total, sizeof(fc_product_sum), matrices, MEMORY_WORK * matrices * job.slices * size)


# ---- operands and results ----

cdef class Operand:
    """An array that C can read as it is: its memory, held, and its last axis and the product of the others."""
    cdef Py_buffer buffer
    cdef bint held, wide
    cdef ptrdiff_t rows, columns

    def __dealloc__(self):
        if self.held:
            PyBuffer_Release(&self.buffer)


cdef Operand operand(array):
    """None where `array` is none, or is empty."""
    cdef Operand found
    if type(array) is not ARRAY:
        return None
    found = Operand.__new__(Operand)
    try:
        PyObject_GetBuffer(array, &found.buffer, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
    except (BufferError, ValueError):
        return None
    found.held = True
    cdef Py_buffer* buffer = &found.buffer
    if buffer.ndim < 1 or buffer.len == 0 or not (buffer.format[0] == c"f" or buffer.format[0] == c"d") or buffer.format[1] \
            or <uintptr_t>buffer.buf % <size_t>buffer.itemsize:
        return None
    found.wide = buffer.itemsize == 8
    found.columns = buffer.shape[buffer.ndim - 1]
    found.rows = buffer.len // buffer.itemsize // found.columns
    return found


cdef result(fc_product* job, shape, ptrdiff_t matrices, bint wide):
    """Runs the job on a new array of this shape."""
    cdef double size = <double>matrices * job.rows * job.columns
    if size >= <double>(1 << 56):
        return None
    cdef Block block = Block(matrices * job.rows * job.columns * (8 if wide else 4))
    job.y = block.data
    multiply(job, matrices, wide)
    return ndarray(shape, FLOAT64 if wide else FLOAT32, block)


cdef tuple with_last(array, ptrdiff_t last):
    """The shape of `array` with another last axis."""
    cdef tuple shape = array.shape
    return (shape[0], last) if len(shape) == 2 else (*shape[:-1], last)


def forward(x, w, bias):
    """y (..., K) = x (..., C) w (C, K) + bias (K,), or None."""
    cdef Operand a = operand(x), b = operand(w), c = None
    cdef fc_product job
    if a is None or b is None or b.buffer.ndim != 2 or a.wide != b.wide or a.columns != b.rows:
        return None
    job.bias = NULL
    if bias is not None:
        c = operand(bias)
        if c is None or c.wide != a.wide or c.buffer.ndim != 1 or c.columns != b.columns:
            return None
        job.bias = c.buffer.buf
    job.a, job.b, job.axes = a.buffer.buf, b.buffer.buf, 0
    job.rows, job.columns, job.depth = a.rows, b.columns, a.columns
    job.a_step, job.a_by_rows, job.b_step, job.b_by_rows = a.columns, True, b.columns, True
    return result(&job, with_last(x, b.columns), 1, a.wide)


def backward_input(dy, w):
    """dx (..., C) = dy (..., K) times the transpose of w (C, K), or None."""
    cdef Operand a = operand(dy), b = operand(w)
    cdef fc_product job
    if a is None or b is None or b.buffer.ndim != 2 or a.wide != b.wide or a.columns != b.columns:
        return None
    job.a, job.b, job.bias, job.axes = a.buffer.buf, b.buffer.buf, NULL, 0
    job.rows, job.columns, job.depth = a.rows, b.rows, a.columns
    job.a_step, job.a_by_rows, job.b_step, job.b_by_rows = a.columns, True, b.columns, False
    return result(&job, with_last(dy, b.rows), 1, a.wide)


def backward_kernel(dy, x):
    """dw (C, K) = the transpose of x (..., C) times dy (..., K), or None."""
    cdef Operand a = operand(x), b = operand(dy)
    cdef fc_product job
    cdef ptrdiff_t i
    if a is None or b is None or a.buffer.ndim != b.buffer.ndim or a.wide != b.wide:
        return None
    for i in range(a.buffer.ndim - 1):
        if a.buffer.shape[i] != b.buffer.shape[i]:
            return None
    job.a, job.b, job.bias, job.axes = a.buffer.buf, b.buffer.buf, NULL, 0
    job.rows, job.columns, job.depth = a.columns, b.columns, a.rows
    job.a_step, job.a_by_rows, job.b_step, job.b_by_rows = a.columns, False, b.columns, True
    return result(&job, (a.columns, b.columns), 1, a.wide)


def stacked(a, b, bint a_by_rows, bint b_by_rows, tuple shape, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, list stack):
    """Matrices of this shape, the products of those of a and b, which C can read as they are. Along each axis
    (count, a_step, b_step) of the stack, a's and b's matrices lie so many elements apart."""
    cdef fc_product job
    cdef ptrdiff_t matrices = 1
    job.axes = 0
    for count, a_step, b_step in stack:
        if job.axes == FC_AXES:
            raise ValueError(f"At most {FC_AXES} axes can stack matrices.")
        job.stack[job.axes] = fc_stack(count, a_step, b_step)
        job.axes += 1
        matrices *= count
    job.a, job.b, job.bias = address(a), address(b), NULL
    job.rows, job.columns, job.depth = rows, columns, depth
    job.a_step, job.a_by_rows = depth if a_by_rows else rows, a_by_rows
    job.b_step, job.b_by_rows = columns if b_by_rows else depth, b_by_rows
    return result(&job, shape, matrices, a.itemsize == 8)
