# cython: language_level=3, binding=False, cdivision=True
"""Pooling: fills the job of csrc/pool/pool.c and runs its tiles. Arrays as in _conv.pyx; kernels/pool.py checks them."""

from libc.stddef cimport ptrdiff_t

from ._tiles cimport MEMORY_WORK, address, fc_pool, fc_tile, fc_tiles, is_far, run, tiles_of, window_axis


cdef enum:
    BLOCK = 4096  # elements that a tile writes, at least one row


cdef int run_pool(fc_tile* tile, x, y, index, window, bint backward) except -1:
    cdef fc_pool job
    cdef int i
    job.x = address(x)
    job.y = address(y, True)
    job.index = NULL if index is None else address(index)
    job.batch, job.channels = x.shape[0], x.shape[-1]
    for i in range(3):
        job.axis[i] = window_axis(window, i)
    cdef ptrdiff_t rows = job.batch
    for i in range(2):
        rows *= job.axis[i].input if backward else job.axis[i].output
    job.far = is_far(job.y, y.nbytes, job.channels * y.itemsize)
    job.rows = max(1, BLOCK // (y.size // rows))
    return run(tile, &job, sizeof(job), (rows + job.rows - 1) // job.rows, MEMORY_WORK * max(x.size, y.size))


def max_pool_forward(x, y, index, window):
    cdef const fc_tiles* tiles = tiles_of(x)
    run_pool(tiles.max_pool_forward if index.itemsize == 1 else tiles.max_pool_forward_wide, x, y, index, window, False)


def max_pool_backward(dy, index, dx, window):
    cdef const fc_tiles* tiles = tiles_of(dy)
    run_pool(tiles.max_pool_backward if index.itemsize == 1 else tiles.max_pool_backward_wide, dy, dx, index, window,
             True)


def average_pool_forward(x, y, window):
    run_pool(tiles_of(x).average_pool_forward, x, y, None, window, False)


def average_pool_backward(dy, dx, window):
    run_pool(tiles_of(dy).average_pool_backward, dy, dx, None, window, True)
