# cython: language_level=3, cdivision=True
"""Matrix products: chooses the tiles of csrc/dense.c, fills their job and cuts it.

Arrays must be C-contiguous, aligned and of one dtype: kernels/dense.py sees to that. How the work is cut depends on
shapes alone, never on the number of threads.
"""

from libc.stddef cimport ptrdiff_t

from ._conv cimport blocks
from ._memory cimport Block
from ._tiles cimport (
    FC_AXES, FC_FEW, MEMORY_WORK, address, fc_product, fc_product_sum, fc_stack, fc_tiles, is_far, run, tiles_of,
)  # fmt: skip

cdef enum:
    TILE_WORK = 1 << 20       # FLOPs of a tile, at least: some 10 us on one core
    TILES = 64                # at most: enough for many threads to share evenly
    DEPTH = 256               # of a block, so that a panel stays in the first cache
    SLAB = 64 * 1024          # elements of packed b, which stay in the second cache
    STREAM_BYTES = 128 * 1024 # of b in a tile, at least


cdef void swap(fc_product* job):
    """Writes the transposed result: the operands change places."""
    cdef ptrdiff_t i
    job.a, job.b = job.b, job.a
    for i in range(job.axes):
        job.stack[i].a_step, job.stack[i].b_step = job.stack[i].b_step, job.stack[i].a_step
    job.rows, job.columns = job.columns, job.rows
    job.a_step, job.b_step = job.b_step, job.a_step
    job.a_by_rows, job.b_by_rows = not job.b_by_rows, not job.a_by_rows
    job.y_row, job.y_column = job.y_column, job.y_row


cdef int multiply(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, ptrdiff_t itemsize) except -1:
    """Runs the job, which is filled but for the cut, in the way that suits its shape."""
    cdef ptrdiff_t lanes = tiles.lanes
    cdef bint both = job.a_by_rows and not job.b_by_rows  # lie along the depth
    cdef double work = 2.0 * matrices * job.rows * job.columns * job.depth
    job.y_row, job.y_column = job.columns, 1
    job.row_pieces = job.column_pieces = job.slices = 1
    if both and job.depth >= lanes and max(job.rows, job.columns) >= lanes and min(job.rows, job.columns) <= lanes:
        if job.rows < job.columns:
            swap(job)
        return run_dots(tiles, job, matrices, work)
    if job.a_by_rows and job.b_by_rows and job.columns <= max(lanes // 4, 1) and job.rows >= lanes and job.depth >= lanes:
        return run_turned(tiles, job, matrices, itemsize, work)
    if job.b_by_rows and job.rows <= FC_FEW:
        return run_stream(tiles, job, matrices, itemsize, work)
    if not job.a_by_rows and job.columns <= FC_FEW:
        swap(job)
        return run_stream(tiles, job, matrices, itemsize, work)
    return run_tiles(tiles, job, matrices, itemsize, work)


cdef ptrdiff_t pieces_of(double work, ptrdiff_t matrices, double least):
    """How many pieces each matrix is cut into so that they have this much work at least."""
    cdef double pieces = min(work / least, <double>TILES) / matrices
    return max(1, <ptrdiff_t>pieces)


cdef int run_dots(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, double work) except -1:
    job.row_pieces = min(pieces_of(max(work, 10.0 * matrices * job.rows * job.depth), matrices, TILE_WORK), job.rows // tiles.lanes)
    return run(tiles.product_dots, job, sizeof(fc_product), matrices * job.row_pieces, max(work, 10.0 * matrices * job.rows * job.depth))


cdef int run_turned(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, ptrdiff_t itemsize, double work) except -1:
    """Few columns: the same with b's laid along the depth first."""
    cdef fc_product turn = job[0]
    cdef Block turned
    cdef ptrdiff_t i
    if job.columns > 1:
        for i in range(job.axes):
            turn.axes = 0
        turned = Block(job.columns * job.depth * itemsize)
        turn.y = turned.data
        run(tiles.product_turn, &turn, sizeof(fc_product), 1, MEMORY_WORK * job.columns * job.depth)
        job.b = turned.data
    job.b_step, job.b_by_rows = job.depth, False
    return run_dots(tiles, job, matrices, work)


cdef int run_sliced(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, ptrdiff_t itemsize, double work,
                    bint stream, size_t scratch) except -1:
    """Runs the job, and adds up its slices where it has several, or where its result is to be transposed."""
    cdef ptrdiff_t size = job.rows * job.columns, count = matrices * job.slices * job.row_pieces * job.column_pieces
    cdef fc_product_sum total
    cdef Block sums
    if job.slices == 1 and job.y_column == 1:
        return run(tiles.product_stream if stream else tiles.product_tiles, job, sizeof(fc_product), count, work, False, scratch)
    sums = Block(matrices * job.slices * size * itemsize)
    total.x, total.y, total.bias = sums.data, job.y, job.bias
    total.rows, total.columns, total.slices = job.rows, job.columns, job.slices
    total.y_row, total.y_column = job.y_row, job.y_column
    job.y, job.bias = sums.data, NULL
    run(tiles.product_stream if stream else tiles.product_tiles, job, sizeof(fc_product), count, work, False, scratch)
    return run(tiles.product_sum, &total, sizeof(fc_product_sum), matrices, MEMORY_WORK * matrices * job.slices * size)


cdef int run_stream(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, ptrdiff_t itemsize, double work) except -1:
    """Few rows: pieces of the columns that are long runs of memory, and slices of the depth."""
    cdef ptrdiff_t size = job.columns * job.depth * itemsize, wide
    work = max(work, 10.0 * matrices * job.columns * job.depth)
    cdef ptrdiff_t pieces = pieces_of(<double>matrices * size, matrices, STREAM_BYTES)
    wide = 4096 if size > (8 << 20) else 1024
    job.column_pieces = max(1, min(pieces, job.columns * itemsize // wide))
    job.slices = max(1, min(pieces // job.column_pieces, job.depth // 64))
    return run_sliced(tiles, job, matrices, itemsize, work, True, 0)


cdef int run_tiles(const fc_tiles* tiles, fc_product* job, ptrdiff_t matrices, ptrdiff_t itemsize, double work) except -1:
    cdef ptrdiff_t pieces = pieces_of(work, matrices, TILE_WORK), panel = tiles.panel, block = tiles.block
    cdef ptrdiff_t rows, columns, high, wide
    cdef ptrdiff_t least = 8
    while job.row_pieces * job.column_pieces * job.slices < pieces:
        rows, columns = job.rows // job.row_pieces, job.columns // job.column_pieces
        high, wide = blocks(rows, block), blocks(columns, panel)
        if wide >= least and columns >= rows:
            job.column_pieces *= 2
        elif high >= least:
            job.row_pieces *= 2
        elif wide >= least:
            job.column_pieces *= 2
        elif job.depth // job.slices >= 4 * DEPTH:
            job.slices *= 2
        elif least > 2:
            least = least // 2
        else:
            break
    rows, columns = blocks(job.rows, job.row_pieces), blocks(blocks(job.columns, panel), job.column_pieces) * panel
    cdef ptrdiff_t depth = blocks(job.depth, job.slices)
    job.block = max(1, blocks(depth, blocks(max(depth, 1), DEPTH)))
    job.chunk = max(panel, min(columns, SLAB // job.block // panel * panel))
    job.pack = rows > block and columns > panel and job.columns * itemsize >= 512
    cdef bint packs = job.pack or not job.b_by_rows
    job.packed = job.block * (job.chunk if packs or True else panel)
    cdef ptrdiff_t run_ = job.block if job.a_by_rows else rows, runs = rows if job.a_by_rows else job.block
    if job.a_step * itemsize % 1024 == 0 and columns > 2 * panel and runs > 8:
        job.a_copy = (blocks(run_, 16) | 1) * 16
    else:
        job.a_copy = 0
    job.far = depth <= job.block and job.slices == 1 and is_far(job.y, matrices * job.rows * job.columns * itemsize, job.columns * itemsize)
    return run_sliced(tiles, job, matrices, itemsize, work, False, (job.packed + runs * job.a_copy) * itemsize)


cdef int fill(fc_product* job, a, b, y, bias, tuple stack) except -1:
    """The operands; returns nothing about them but where they are. `stack`: (count, a_step, b_step) an axis."""
    cdef ptrdiff_t i = 0
    job.y = address(y, True)
    job.a = address(a) if a.size else job.y
    job.b = address(b) if b.size else job.y
    job.bias = NULL if bias is None else address(bias)
    job.axes = 0
    for axis in stack:
        if job.axes == FC_AXES:
            raise ValueError(f"At most {FC_AXES} axes can stack matrices.")
        job.stack[job.axes] = fc_stack(axis[0], axis[1], axis[2])
        job.axes += 1
    return 0


def forward(x, w, bias, y, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, tuple stack=(), ptrdiff_t matrices=1):
    """y (rows, columns) = x (rows, depth) w (depth, columns) + bias (columns)."""
    cdef fc_product job
    fill(&job, x, w, y, bias, stack)
    job.rows, job.columns, job.depth = rows, columns, depth
    job.a_step, job.a_by_rows, job.b_step, job.b_by_rows = depth, True, columns, True
    multiply(tiles_of(y), &job, matrices, y.itemsize)


def backward_input(dy, w, dx, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, tuple stack=(), ptrdiff_t matrices=1):
    """dx (rows, columns) = dy (rows, depth) times the transpose of w (columns, depth)."""
    cdef fc_product job
    fill(&job, dy, w, dx, None, stack)
    job.rows, job.columns, job.depth = rows, columns, depth
    job.a_step, job.a_by_rows, job.b_step, job.b_by_rows = depth, True, depth, False
    multiply(tiles_of(dx), &job, matrices, dx.itemsize)


def backward_kernel(dy, x, dw, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t depth, tuple stack=(), ptrdiff_t matrices=1):
    """dw (rows, columns) = the transpose of x (depth, rows) times dy (depth, columns)."""
    cdef fc_product job
    fill(&job, x, dy, dw, None, stack)
    job.rows, job.columns, job.depth = rows, columns, depth
    job.a_step, job.a_by_rows, job.b_step, job.b_by_rows = rows, False, columns, True
    multiply(tiles_of(dw), &job, matrices, dw.itemsize)
