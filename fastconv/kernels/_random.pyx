# cython: language_level=3, binding=False, cdivision=True
"""Random numbers and dropout: fills the job of csrc/elements/random.c. A draw is two runs: the numbers, then the state's advance,
so that a plan that repeats them draws new ones. Arrays as in _moves.pyx; kernels/random.py checks them."""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, uint64_t

from ._tiles cimport FC_GROUP_WORDS, address, fc_random, fc_tile, run, tiles_of

cdef enum:
    BLOCK = 128  # groups of a tile
    WORK = 30    # of a number


cdef int draw(fc_tile* tile, fc_tile* advance, fc_random* job, state, ptrdiff_t count, ptrdiff_t group) except -1:
    """Runs a tile over `count` elements in groups, and advances the state behind it unless `advance` is NULL."""
    job.state = NULL if state is None else <uint64_t*>address(state, advance is not NULL)
    job.count, job.groups, job.block = count, (count + group - 1) // group, BLOCK
    run(tile, job, sizeof(fc_random), (job.groups + BLOCK - 1) // BLOCK, WORK * <double>count)
    if advance is not NULL:
        run(advance, job, sizeof(fc_random), 1, 0)
    return 0


cdef int draw_numbers(fc_tile* tile, y, state, fc_random* job, bint advance) except -1:
    job.x, job.y, job.mask = NULL, address(y, True), NULL
    return draw(tile, tiles_of(y).random_advance if advance else NULL, job, state, y.size,
                FC_GROUP_WORDS * 4 // y.itemsize)


def random_uniform(y, state, double scale, double shift, double most, bint advance):
    cdef fc_random job
    job.scale, job.shift, job.most, job.threshold = scale, shift, most, 0
    draw_numbers(tiles_of(y).random_uniform, y, state, &job, advance)


def random_normal(y, state, double scale, double shift, bint advance):
    cdef fc_random job
    job.scale, job.shift, job.most, job.threshold = scale, shift, 0, 0
    draw_numbers(tiles_of(y).random_normal, y, state, &job, advance)


def dropout_forward(x, y, mask, state, double scale, int32_t threshold, bint advance):
    """`x` may be None for ones, `mask` None if nobody wants it."""
    cdef fc_random job
    job.scale, job.threshold, job.shift, job.most = scale, threshold, 0, 0
    job.x = NULL if x is None else address(x)
    job.y = address(y, True)
    job.mask = NULL if mask is None else <uint64_t*>address(mask, True)
    draw(tiles_of(y).dropout_forward, tiles_of(y).random_advance if advance else NULL, &job, state, y.size,
         FC_GROUP_WORDS)


def dropout_backward(dy, dx, mask, double scale):
    cdef fc_random job
    job.scale, job.threshold, job.shift, job.most = scale, 0, 0, 0
    job.x, job.y, job.mask = address(dy), address(dx, True), <uint64_t*>address(mask)
    draw(tiles_of(dy).dropout_backward, NULL, &job, None, dy.size, FC_GROUP_WORDS)
