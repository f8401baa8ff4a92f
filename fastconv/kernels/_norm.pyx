# cython: language_level=3, binding=False, cdivision=True
"""Normalization: fills the jobs of csrc/rows/norm.c and csrc/rows/norm_rows.c, cuts them and runs their tiles in their order.

Arrays must be C-contiguous, aligned, of one dtype and not empty: kernels/norm.py sees to that, and says what each is.
"""

from libc.stddef cimport ptrdiff_t
from libc.math cimport NAN
from libc.string cimport memset

from ._memory cimport Block
from ._rows cimport sum_rows
from ._tiles cimport LINE, MEMORY_WORK, address, fc_norm, fc_tile, fc_tiles, is_far, run, tiles_of

cdef enum:
    NARROW = 64      # below so many channels a row holds several pixels,
    WIDE = 128       # until it has this many elements
    LONG = 100       # columns of a row from which on it gains that it goes past the caches, wherever its lines begin
    LANES = 16       # or more, so that it ends with a whole vector
    COLUMNS = 256    # of a piece, at most, where a row is a pixel
    PIECE = 16384    # elements of a piece, at least, where there are as many,
    PIECES = 128     # and more where there would be more pieces than this
    PART = 64        # channels of a fold's tile
    SAMPLES = 16     # or more, of SAMPLE bytes at most, are tiles by themselves: the second pass finds them in the cache
    SAMPLE = 1 << 20
    ROWS = 512       # of a row kernel's tile, at most: it adds dgamma's terms one by one


cdef ptrdiff_t blocks(ptrdiff_t count, ptrdiff_t size):
    return (count + size - 1) // size


cdef void* data(array, bint writable=False) except? NULL:
    return NULL if array is None else address(array, writable)


cdef fc_norm norm_job(x, y, gamma, beta, ptrdiff_t samples, ptrdiff_t channels, ptrdiff_t groups) except *:
    """The job of norm.c for x, or another array of its shape, cut by shape alone."""
    cdef fc_norm job
    cdef ptrdiff_t several = 1, parts, rows, columns, common = LANES
    memset(&job, 0, sizeof(job))
    job.most = NAN
    job.x, job.y, job.gamma, job.beta = data(x), data(y, True), data(gamma), data(beta)
    job.samples, job.channels, job.group = samples, channels, channels // groups
    job.rows = x.size // samples // channels
    if channels < NARROW:
        while channels % common:
            common //= 2
        several = LANES // common * blocks(WIDE, LANES // common * channels)
    job.width = job.columns = several * channels
    if several == 1:
        parts = blocks(channels, COLUMNS)
        job.columns = blocks(blocks(channels, parts), LANES) * LANES
    parts = blocks(job.width, job.columns)
    rows = blocks(job.rows * channels, job.width)
    job.block = max(blocks(PIECE, job.columns), blocks(rows, max(1, PIECES // (samples * parts))))
    job.slices = blocks(rows, job.block)
    job.block = blocks(rows, job.slices)
    job.slices = blocks(rows, job.block)
    job.part = max(1, PART // job.group)
    columns = job.columns if parts > 1 else job.width
    job.far = y is not None and is_far(job.y, y.nbytes, LINE if columns >= LONG else columns * x.itemsize)
    return job


cdef int run_pieces(fc_tile* tile, fc_norm* job, double work) except -1:
    cdef ptrdiff_t pieces = job.samples * job.slices * blocks(job.width, job.columns)
    return run(tile, job, sizeof(fc_norm), pieces, work * MEMORY_WORK * job.samples * job.rows * job.channels, True)


cdef bint by_samples(const fc_norm* job, ptrdiff_t itemsize):
    return job.samples >= SAMPLES and job.rows * job.channels * itemsize <= SAMPLE


cdef int run_samples(const fc_tiles* tiles, fc_tile* tile, fc_norm* job, double work) except -1:
    return run(tile, job, sizeof(fc_norm), job.samples, work * MEMORY_WORK * job.samples * job.rows * job.channels, True,
               tiles.norm_fold_size(job))


cdef int run_fold(const fc_tiles* tiles, fc_tile* tile, fc_norm* job) except -1:
    cdef ptrdiff_t channels = job.part * job.group
    return run(tile, job, sizeof(fc_norm), job.samples * blocks(job.channels, channels),
               4.0 * MEMORY_WORK * job.samples * job.slices * job.channels, True,
               tiles.norm_fold_size(job))


cdef Block room_for_sums(fc_norm* job):
    cdef Block room = Block(job.samples * job.slices * 2 * job.channels * <ptrdiff_t>sizeof(double))
    job.sums = <double*>room.data
    return room


def group_forward(x, gamma, beta, residual, y, mean, inverse_std, variance, ptrdiff_t samples, double epsilon,
                  bint relu, most=None):
    """Fills y, and (samples, groups) statistics of groups of channels."""
    cdef const fc_tiles* tiles = tiles_of(x)
    cdef fc_norm job = norm_job(x, y, gamma, beta, samples, x.shape[-1], mean.size // samples)
    cdef Block sums = room_for_sums(&job), rest = Block(mean.nbytes)
    job.residual, job.relu, job.epsilon, job.rest = data(residual), relu, epsilon, rest.data
    job.mean, job.inverse_std, job.variance = data(mean, True), data(inverse_std, True), data(variance, True)
    if most is not None:
        job.most = most
    if by_samples(&job, x.itemsize):
        run_samples(tiles, tiles.norm_sample_forward, &job, 3)
        return
    run_pieces(tiles.norm_statistics, &job, 1)
    run_fold(tiles, tiles.norm_fold, &job)
    run_pieces(tiles.norm_forward, &job, 2)


def scale_forward(x, mean, scale, gamma, shift, residual, y, bint relu, most=None):
    """y = (x - mean) * scale * gamma + shift, where mean, gamma, shift and residual may be None."""
    cdef fc_norm job = norm_job(x, y, gamma, shift, 1, x.shape[-1], x.shape[-1])
    job.mean, job.inverse_std, job.residual, job.relu = data(mean), data(scale), data(residual), relu
    if most is not None:
        job.most = most
    run_pieces(tiles_of(x).norm_forward, &job, 2)


def inverse_std(variance, inverse, double epsilon):
    """Fills inverse = 1 / sqrt(variance + epsilon)."""
    cdef fc_norm job = norm_job(variance, None, None, None, 1, variance.size, variance.size)
    job.variance, job.inverse_std, job.epsilon = data(variance), data(inverse, True), epsilon
    run_fold(tiles_of(variance), tiles_of(variance).norm_fold, &job)


def group_backward(dy, x, gamma, mean, inverse_std, mask, dx, dgamma, dbeta, cut, dmean, dvariance, ptrdiff_t samples,
                   bint own, most=None):
    """Fills the gradients that are not None. `own`: the statistics are x's own, so that dx flows through them too."""
    cdef const fc_tiles* tiles = tiles_of(x)
    cdef ptrdiff_t values = mean.size, channels = x.shape[-1]
    cdef size_t size = x.itemsize
    cdef fc_norm job = norm_job(x, dx, gamma, None, samples, channels, values // samples)
    cdef Block sums = room_for_sums(&job), coefficients = Block(2 * values * size)
    cdef Block weights = Block(2 * samples * channels * size if samples > 1 else 0)
    job.dy, job.mask, job.cut = data(dy), data(mask), data(cut, True)
    if most is not None:
        job.most = most
    job.mean, job.inverse_std = data(mean), data(inverse_std)
    job.dgamma, job.dbeta, job.dmean, job.dvariance = \
        data(dgamma, True), data(dbeta, True), data(dmean, True), data(dvariance, True)
    if own and dx is not None:
        job.slope, job.offset = coefficients.data, coefficients.data + values * size
    if samples > 1:
        job.dgamma, job.dbeta = weights.data, weights.data + samples * channels * size
    cdef bint at_once = job.slope != NULL and by_samples(&job, 2 * size)
    cdef bint summed = job.slope != NULL or any([a is not None for a in (dgamma, dbeta, dmean, dvariance, cut)])
    if at_once:
        run_samples(tiles, tiles.norm_sample_backward, &job, 5)
    elif summed:
        run_pieces(tiles.norm_gradients, &job, 2)
        run_fold(tiles, tiles.norm_backward_fold, &job)
    if samples > 1 and dgamma is not None:
        sum_rows(tiles, job.dgamma, data(dgamma, True), samples, channels, size)
    if samples > 1 and dbeta is not None:
        sum_rows(tiles, job.dbeta, data(dbeta, True), samples, channels, size)
    if dx is not None and not at_once:
        if cut is not None:
            job.dy, job.mask = job.cut, NULL
        run_pieces(tiles.norm_backward, &job, 3)


def batch_norm_update(moving_mean, moving_variance, mean, variance, double momentum):
    """Moves the moving statistics in place."""
    cdef fc_norm job = norm_job(mean, None, None, None, 1, mean.size, mean.size)
    job.moving_mean, job.moving_variance = data(moving_mean, True), data(moving_variance, True)
    job.mean, job.variance, job.momentum = data(mean), data(variance), momentum
    run(tiles_of(mean).batch_norm_update, &job, sizeof(job), 1, MEMORY_WORK * job.channels, True)


def batch_norm_fold(gamma, beta, mean, variance, scale, shift, double epsilon):
    """Fills scale = gamma / sqrt(variance + epsilon) and shift = beta - mean * scale."""
    cdef fc_norm job = norm_job(mean, scale, gamma, beta, 1, mean.size, mean.size)
    job.cut, job.mean, job.variance, job.epsilon = data(shift, True), data(mean), data(variance), epsilon
    run(tiles_of(mean).batch_norm_fold, &job, sizeof(job), 1, MEMORY_WORK * job.channels, True)


cdef fc_norm rows_job(x, y, gamma, beta, mean, inverse_std, bint writable) except *:
    """The job of norm_rows.c. A tile has some rows where there are many, since it writes a row of dgamma."""
    cdef fc_norm job
    memset(&job, 0, sizeof(job))
    job.x, job.y, job.gamma, job.beta = data(x), data(y, True), data(gamma), data(beta)
    job.mean, job.inverse_std = data(mean, writable), data(inverse_std, writable)
    job.rows = inverse_std.size
    job.channels = x.size // job.rows
    job.block = min(ROWS, max(PIECE // job.channels, blocks(job.rows, PIECES), min(8, blocks(job.rows, 8))))
    job.far = y is not None and is_far(job.y, y.nbytes, job.channels * x.itemsize)
    return job


def rows_forward(x, gamma, beta, y, mean, inverse_std, double epsilon):
    """Fills y and one statistic a row; without a mean it is RMS normalization."""
    cdef fc_norm job = rows_job(x, y, gamma, beta, mean, inverse_std, True)
    job.epsilon = epsilon
    run(tiles_of(x).norm_rows_forward, &job, sizeof(job), blocks(job.rows, job.block), 3.0 * MEMORY_WORK * x.size, True)


def rows_backward(dy, x, gamma, mean, inverse_std, dx, dgamma, dbeta):
    """Fills the gradients that are not None."""
    cdef const fc_tiles* tiles = tiles_of(x)
    cdef fc_norm job = rows_job(x, dx, gamma, None, mean, inverse_std, False)
    cdef ptrdiff_t count = blocks(job.rows, job.block)
    cdef bint weights = dgamma is not None or dbeta is not None
    cdef size_t size = x.itemsize
    cdef Block room = Block(2 * count * job.channels * size if weights else 0)
    job.dy = data(dy)
    if weights:
        job.dgamma, job.dbeta = room.data, room.data + count * job.channels * size
    run(tiles.norm_rows_backward, &job, sizeof(job), count, 5.0 * MEMORY_WORK * x.size, True)
    if dgamma is not None:
        sum_rows(tiles, job.dgamma, data(dgamma, True), count, job.channels, size)
    if dbeta is not None:
        sum_rows(tiles, job.dbeta, data(dbeta, True), count, job.channels, size)
