# cython: language_level=3, binding=False, cdivision=True
"""Functions of one and of two elements, and reductions: fills the jobs of csrc/elements/maps.c, combine.c and reduce.c, and
reads csrc/elements/maps.h, the table of the functions.

Arrays must be C-contiguous, aligned, of one dtype and not empty: kernels/maps.py sees to that. For small arrays its
checks would cost more than the work, so `simple_map` and `simple_combine` take what needs none of it at a glance.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uintptr_t
from libc.string cimport memset

from numpy import dtype, ndarray

from ._memory cimport Block
from ._tiles cimport (
    FC_COMBINE_AXES, FC_ROOM, FC_REDUCE_PIECE, LINE, MEMORY_WORK, address, fc_combine, fc_map, fc_reduce,
    fc_tiles, is_far, run, tiles_of,
)

cdef extern from *:
    """
    #include "elements/maps.h"
    typedef struct {
        const char *name;
        int saved, parameters;
    } fc_map_row;
    #define FC_ROW(name, saved, parameters, ...) {#name, saved, parameters},
    static const fc_map_row fc_map_rows[] = {FC_MAPS(FC_ROW)};
    #undef FC_ROW
    #define FC_ROW(name, ...) #name,
    static const char *const fc_combine_rows[] = {FC_COMBINES(FC_ROW)};
    #undef FC_ROW
    """
    ctypedef struct fc_map_row:
        const char* name
        int saved, parameters
    const fc_map_row* fc_map_rows
    const char* const* fc_combine_rows
    int FC_MAP_COUNT, FC_COMBINE_COUNT, FC_REDUCE_sum, FC_REDUCE_products, FC_REDUCE_max, FC_REDUCE_min

cdef enum:
    BLOCK = 16384  # elements of a tile
    RUN = 2048     # elements of a slice of a sum, where they are neighbours
    ROWS = 128     # rows of a slice at least, where they are not
    DIRECT = 256   # elements of a run from which on none is laid out

# name -> (number, what the gradient reads, parameters)
MAPS = {fc_map_rows[i].name.decode(): (i, (None, "input", "output")[fc_map_rows[i].saved], fc_map_rows[i].parameters)
        for i in range(FC_MAP_COUNT)}
# name -> number
COMBINES = {fc_combine_rows[i].decode(): i for i in range(FC_COMBINE_COUNT)}

SUM, PRODUCTS, MAX, MIN = FC_REDUCE_sum, FC_REDUCE_products, FC_REDUCE_max, FC_REDUCE_min


FLOAT32, FLOAT64 = dtype("float32"), dtype("float64")


cdef bint plain(array):
    """Whether it is an array of floats; most have one of these very dtypes, those from a pickle equal ones."""
    if type(array) is not ndarray:
        return False
    kind = array.dtype
    return kind is FLOAT32 or kind is FLOAT64 or kind == FLOAT32 or kind == FLOAT64


cdef object new_array(tuple shape, like, ptrdiff_t size, void** data):
    """kernels.empty, and where its data start."""
    cdef Block block = Block(size * <ptrdiff_t>like.itemsize)
    data[0] = block.data
    return ndarray(shape, like.dtype, block)


cdef int run_map(const fc_tiles* tiles, fc_map* job, ptrdiff_t size, ptrdiff_t itemsize) except -1:
    job.count, job.block = size, BLOCK
    job.far = is_far(job.y, size * itemsize, LINE)
    return run(tiles.map, job, sizeof(fc_map), (size + BLOCK - 1) // BLOCK, MEMORY_WORK * <double>size, False,
               tiles.map_size(job))


def map_elements(int function, dy, s, y, double a=0, double b=0):
    """y = the function of s, or its gradient from dy and s."""
    cdef fc_map job
    memset(&job, 0, sizeof(job))
    job.dy = NULL if dy is None else address(dy)
    job.s = NULL if s is None else address(s)
    job.y = address(y, True)
    job.a, job.b, job.function = a, b, function
    run_map(tiles_of(y), &job, y.size, y.itemsize)


def simple_map(row, dy, s, tuple parameters):
    """The result of map_elements on a new array, for a row of MAPS; None where something is to be checked first."""
    cdef fc_map job
    cdef void* data
    cdef ptrdiff_t size, itemsize
    like = s if dy is None else dy
    if row is None or not plain(like) or len(parameters) != row[2]:
        return None
    shape, size, itemsize = like.shape, like.size, like.itemsize
    memset(&job, 0, sizeof(job))
    try:
        if dy is not None:
            job.dy = address(dy)
            if row[1] is not None:
                if not plain(s) or s.shape != shape or s.itemsize != itemsize:
                    return None
                job.s = address(s)
        else:
            job.s = address(s)
    except (ValueError, BufferError):  # not contiguous
        return None
    if size == 0 or (<uintptr_t>job.s | <uintptr_t>job.dy) % <size_t>itemsize:
        return None
    job.function = row[0]
    if parameters:
        job.a, job.b = parameters[0], parameters[len(parameters) - 1]
    y = new_array(shape, like, size, &data)
    job.y = data
    run_map(tiles_of(like), &job, size, itemsize)
    return y


cdef bint merge_axes(fc_combine* job, tuple shape, tuple a, tuple b):
    """Fills the job's axes for operands of these shapes; False if they are too many."""
    cdef Py_ssize_t i, ndim = len(shape), a_missing = ndim - len(a), b_missing = ndim - len(b)
    cdef ptrdiff_t size, a_size, b_size, a_step = 1, b_step = 1
    cdef int k = -1
    for i in range(ndim - 1, -1, -1):
        size = shape[i]
        if size == 1:
            continue
        a_size = a[i - a_missing] if i >= a_missing else 1
        b_size = b[i - b_missing] if i >= b_missing else 1
        if k >= 0 and (a_size > 1) == (job.a_step[k] > 0) and (b_size > 1) == (job.b_step[k] > 0):
            job.size[k] *= size
        else:
            k += 1
            if k == FC_COMBINE_AXES:
                return False
            job.size[k] = size
            job.a_step[k] = a_step if a_size > 1 else 0
            job.b_step[k] = b_step if b_size > 1 else 0
        a_step *= a_size
        b_step *= b_size
    if k < 0:
        k, job.size[0] = 0, 1
    job.axes = k + 1
    return True


cdef int run_combine(const fc_tiles* tiles, fc_combine* job, ptrdiff_t size, ptrdiff_t itemsize) except -1:
    """Cuts a job whose axes and operands are filled."""
    job.width, job.rows = 1, min(job.size[0], <ptrdiff_t>BLOCK)
    if job.axes > 1 and job.size[0] < DIRECT:
        while job.axis + 1 < job.axes and job.width * job.size[job.axis] < FC_ROOM:
            job.width *= job.size[job.axis]
            job.axis += 1
        job.rows = min(job.size[job.axis], max(<ptrdiff_t>1, FC_ROOM // job.width))
    cdef ptrdiff_t all = job.size[job.axis]
    job.segments = size // (job.width * all) * ((all + job.rows - 1) // job.rows)
    job.block = max(<ptrdiff_t>1, BLOCK // (job.width * job.rows))
    cdef ptrdiff_t starts = job.rows if job.axes == job.axis + 1 else job.rows | all  # whole lines, if both are
    job.far = is_far(job.y, size * itemsize, job.width * starts * itemsize)
    return run(tiles.combine, job, sizeof(fc_combine), (job.segments + job.block - 1) // job.block,
               MEMORY_WORK * <double>size, False, tiles.combine_size(job))


def combine(int function, a, b, y, double number):
    """y = the function of a and b, one of which may be None: the number; False if their axes are too many."""
    cdef fc_combine job
    memset(&job, 0, sizeof(job))
    if not merge_axes(&job, y.shape, () if a is None else a.shape, () if b is None else b.shape):
        return False
    job.a = NULL if a is None else address(a)
    job.b = NULL if b is None else address(b)
    job.y = address(y, True)
    job.number, job.function = number, function
    run_combine(tiles_of(y), &job, y.size, y.itemsize)
    return True


cdef bint fits(tuple small, tuple shape):
    """Whether an array of shape `small` can be broadcast to `shape`."""
    cdef Py_ssize_t i, missing = len(shape) - len(small)
    cdef ptrdiff_t size
    if missing < 0:
        return False
    for i in range(len(small)):
        size = small[i]
        if size != 1 and size != <ptrdiff_t>shape[missing + i]:
            return False
    return True


def simple_combine(function, a, b, tuple shape):
    """The function's result, on a new array of `shape` (None: the larger operand's), for arrays and at most one float;
    None where something is to be checked first."""
    cdef fc_combine job
    cdef void* data
    cdef ptrdiff_t size = 1, length, itemsize
    cdef tuple a_shape = (), b_shape = ()
    memset(&job, 0, sizeof(job))
    like = b if type(a) is float else a
    if function is None or not plain(like):
        return None
    itemsize = like.itemsize
    try:
        if type(a) is float:
            job.number = a
        else:
            a_shape, job.a = a.shape, address(a)
        if type(b) is float:
            job.number = b
        elif like is b or plain(b) and b.itemsize == itemsize:
            b_shape, job.b = b.shape, address(b)
        else:
            return None
    except (ValueError, BufferError):  # not contiguous
        return None
    if shape is None:
        shape = b_shape
        if len(a_shape) > len(b_shape) or len(a_shape) == len(b_shape) and fits(b_shape, a_shape):
            shape = a_shape
    if (a_shape is not shape and not fits(a_shape, shape)) or (b_shape is not shape and not fits(b_shape, shape)):
        return None
    for length in shape:
        size *= length
    if size == 0 or (<uintptr_t>job.a | <uintptr_t>job.b) % <size_t>itemsize:
        return None
    if not merge_axes(&job, shape, a_shape, b_shape):
        return None
    job.function = function
    y = new_array(shape, like, size, &data)
    job.y = data
    run_combine(tiles_of(like), &job, size, itemsize)
    return y


cdef int run_reduce(const fc_tiles* tiles, int kind, const void* x, const void* b, void* y, ptrdiff_t itemsize,
                    ptrdiff_t outer, ptrdiff_t reduced, ptrdiff_t inner, double divisor) except -1:
    """y (outer, inner) = the middle axis of x (outer, reduced, inner) reduced: in slices, then the slices' results."""
    cdef fc_reduce job
    cdef ptrdiff_t slices, units, piece = min(inner, <ptrdiff_t>FC_REDUCE_PIECE)
    cdef Block room = None, before
    memset(&job, 0, sizeof(job))
    job.x, job.b, job.outer, job.inner, job.kind = x, b, outer, inner, kind
    while True:
        job.reduced = reduced
        job.length = RUN if inner == 1 else max(<ptrdiff_t>ROWS, BLOCK // inner)
        if reduced <= 2 * job.length:
            job.length = reduced
        slices = (reduced + job.length - 1) // job.length
        units = outer * slices * ((inner + FC_REDUCE_PIECE - 1) // FC_REDUCE_PIECE)
        job.block = max(<ptrdiff_t>1, BLOCK // (job.length * piece))
        job.divisor = divisor if slices == 1 else 1
        before = room  # what x points to, until the tiles have run
        if slices > 1:
            room = Block(outer * slices * inner * itemsize)
        job.y = y if slices == 1 else room.data
        run(tiles.reduce, &job, sizeof(job), (units + job.block - 1) // job.block,
            MEMORY_WORK * <double>outer * reduced * inner)
        if slices == 1:
            return 0
        reduced = slices
        job.x, job.b = room.data, NULL
        if kind == FC_REDUCE_products:
            job.kind = FC_REDUCE_sum


def reduce(int kind, x, b, tuple axes, double divisor):
    """A new array: x, or x * b, reduced over `axes`, which stay with size 1, the innermost of them first; None where
    something is to be checked first."""
    cdef ptrdiff_t groups[66]  # sizes of neighbouring axes that stay (0, 2, ...) and that are reduced (1, 3, ...)
    cdef ptrdiff_t axis = 0, length, outer, inner, reduced, size = 1, all = 1, itemsize
    cdef const fc_tiles* tiles
    cdef const void* source
    cdef const void* factor = NULL
    cdef void* data
    cdef Block room = None, before
    cdef int last = 0, i
    cdef list shape = []
    if not plain(x):
        return None
    itemsize = x.itemsize
    groups[0] = 1
    for length in x.shape:
        all *= length
        inside = axis in axes
        shape.append(1 if inside else length)
        size *= 1 if inside else length
        if length != 1:
            if inside != last % 2:
                last += 1
                groups[last] = 1
            groups[last] *= length
        axis += 1
    try:
        source = address(x)
        if b is not None:
            factor = address(b)
    except (ValueError, BufferError):  # not contiguous
        return None
    if all == 0 or (<uintptr_t>source | <uintptr_t>factor) % <size_t>itemsize:
        return None
    if last == 0:
        last, groups[1] = 1, 1
    tiles = tiles_of(x)
    y = new_array(tuple(shape), x, size, &data)
    while last > 0:
        inner = 1
        if last % 2 == 0:
            inner, last = groups[last], last - 1
        reduced, last, outer = groups[last], last - 1, 1
        for i in range(last + 1):
            outer *= groups[i]
        before = room
        if last > 0:
            room = Block(outer * inner * itemsize)
        run_reduce(tiles, kind, source, factor, room.data if last > 0 else data, itemsize, outer, reduced, inner,
                   divisor if last == 0 else 1)
        groups[last] *= inner
        if last > 0:
            source, factor = room.data, NULL
            kind = FC_REDUCE_sum if kind == FC_REDUCE_products else kind
    return y
