# cython: language_level=3, binding=False, cdivision=True
"""Elementwise and row-wise kernels, recurrent layers and optimizer steps: fills the jobs of csrc/rows/rows.c,
csrc/rows/recurrence.c and csrc/elements/update*.c.

Arrays must be C-contiguous, aligned, of one dtype and not empty: kernels/rows.py, kernels/recurrence.py and
kernels/update.py see to that.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport uintptr_t

from numpy import dtype, ndarray

from ._memory cimport Block, product
from ._tiles cimport (
    FC_UPDATE_NUMBERS, FC_UPDATE_STATES, FC_UPDATE_adadelta, FC_UPDATE_adagrad, FC_UPDATE_adam,
    FC_UPDATE_adamax, FC_UPDATE_ftrl, FC_UPDATE_lion, FC_UPDATE_nadam, FC_UPDATE_none, FC_UPDATE_rmsprop, FC_UPDATE_sgd,
    FC_GRU, FC_GRU_BEFORE, FC_LSTM, FC_SIMPLE, MEMORY_WORK, PACK_WORK, address, fc_pack, fc_recurrence, fc_rows, fc_tile,
    fc_tiles, fc_update, run, tiles_of,
)

cdef enum:
    BLOCK = 16384      # elements of a tile
    SUM_ROWS = 512     # rows that one tile of a sum adds


FLOATS = dtype("float32"), dtype("float64")


cdef int run_rows(fc_tile* tile, a, b, y, ptrdiff_t width, double work, c=None, z=None) except -1:
    """Runs a tile over the rows of `width` elements of y; `work` is FLOPs an element."""
    cdef fc_rows job
    job.a = address(a)
    job.b = NULL if b is None else address(b)
    job.c = NULL if c is None else address(c)
    job.y = address(y, True)
    job.z = NULL if z is None else address(z, True)
    job.width = width
    job.rows = y.size // width
    job.block = max(1, BLOCK // width)
    return run(tile, &job, sizeof(job), (job.rows + job.block - 1) // job.block, work * y.size)


def relu_forward(x, y):
    run_rows(tiles_of(x).relu_forward, x, None, y, 1, MEMORY_WORK)


def relu_backward(dy, y, dx):
    run_rows(tiles_of(dy).relu_backward, dy, y, dx, 1, MEMORY_WORK)


def bias_forward(x, bias, y):
    run_rows(tiles_of(x).bias_forward, x, bias, y, y.shape[-1], MEMORY_WORK)


cdef int sum_rows(const fc_tiles* tiles, const void* rows, void* total, ptrdiff_t count, ptrdiff_t width,
                  ptrdiff_t itemsize, const void* index=NULL) except -1:
    """total (width) = the sum of `count` rows: of blocks of rows first, then of the blocks' sums, in their order.

    With `index`, a byte an element, those whose byte is FC_CUT stay out."""
    cdef fc_rows job
    job.width, job.rows = width, count
    job.block = max(SUM_ROWS, BLOCK // width)
    cdef ptrdiff_t blocks = (count + job.block - 1) // job.block
    cdef Block sums = Block(product(blocks, width, itemsize))
    job.a, job.b, job.y = rows, index, (sums.data if blocks > 1 else total)
    run(tiles.bias_backward if index is NULL else tiles.conv_pool_backward_bias, &job, sizeof(job), blocks,
        <double>MEMORY_WORK * count * width)
    if blocks > 1:
        job.a, job.y = sums.data, total
        job.rows = job.block = blocks
        run(tiles.bias_backward, &job, sizeof(job), 1, 0)
    return 0


def softmax_forward(x, y):
    run_rows(tiles_of(x).softmax_forward, x, None, y, y.shape[-1], 30)


def softmax_backward(dy, y, dx):
    run_rows(tiles_of(dy).softmax_backward, dy, y, dx, y.shape[-1], 6)


def log_softmax_forward(x, y):
    run_rows(tiles_of(x).log_softmax_forward, x, None, y, y.shape[-1], 30)


def log_softmax_backward(dy, y, dx):
    run_rows(tiles_of(dy).log_softmax_backward, dy, y, dx, y.shape[-1], 30)


def crossentropy_forward(logits, target, loss, probabilities):
    cdef const fc_tiles* tiles = tiles_of(logits)
    run_rows(tiles.label_crossentropy_forward if target.ndim == 1 else tiles.crossentropy_forward,
             logits, target, probabilities, logits.shape[1], 30, None, loss)


def crossentropy_backward(dloss, probabilities, target, dlogits):
    cdef const fc_tiles* tiles = tiles_of(dloss)
    run_rows(tiles.label_crossentropy_backward if target.ndim == 1 else tiles.crossentropy_backward,
             probabilities, target, dlogits, probabilities.shape[1], 6, dloss)


# kind of a recurrent layer -> (number, gates, how many planes of them backward reads)
RECURRENCES = {
    "simple": (FC_SIMPLE, 1, 1), "lstm": (FC_LSTM, 4, 4), "gru": (FC_GRU, 3, 4), "gru_before": (FC_GRU_BEFORE, 3, 3),
}


cdef Block pack_gates(const fc_tiles* tiles, kernel, ptrdiff_t units, ptrdiff_t gates, bint turned):
    """The recurrent kernel (units, gates * units) as panels of each gate, or of each gate transposed."""
    cdef ptrdiff_t lanes = (units + tiles.lanes - 1) // tiles.lanes * tiles.lanes, itemsize = kernel.itemsize
    cdef ptrdiff_t size = product(gates, lanes, units, itemsize)
    cdef Block packed = Block(size + product(gates, lanes, itemsize))  # and a bias, of zeros
    cdef fc_pack job
    cdef int i
    job.weights, job.bias, job.scale = address(kernel), NULL, NULL
    job.packed, job.packed_bias = packed.data, packed.data + size
    job.groups, job.channels, job.filters, job.group_step = gates, units, units, units
    job.channel_step, job.filter_step = 1 if turned else gates * units, gates * units if turned else 1
    for i in range(3):
        job.taps[i], job.tap_step[i] = 1, 0
    run(tiles.conv_pack, &job, sizeof(job), gates * ((units + tiles.panel - 1) // tiles.panel),
        <double>PACK_WORK * gates * units * units)
    return packed


cdef void* pointer(dict arrays, name, bint writable=False) except? NULL:
    array = arrays.get(name)
    return NULL if array is None else address(array, writable)


def recurrence(str kind, dict arrays, ptrdiff_t steps, int activation, int recurrent, bint sequences, bint backwards,
               bint zero_masked):
    """All steps of a recurrent layer, or if there is a `dy` their gradients; `arrays` are named as in fc_recurrence, but
    for the `kernel`."""
    cdef fc_recurrence job
    cdef bint backward = "dy" in arrays
    cdef int i
    kernel = arrays["kernel"]
    cdef const fc_tiles* tiles = tiles_of(kernel)
    cdef Block packed
    job.kind, job.gates, job.kept = RECURRENCES[kind]
    job.batch, job.units = arrays["h"].shape
    job.steps, job.activation, job.recurrent = steps, activation, recurrent
    job.sequences, job.backwards, job.zero_masked = sequences, backwards, zero_masked
    job.x, job.bias, job.mask = pointer(arrays, "x"), pointer(arrays, "bias"), pointer(arrays, "mask")
    job.y, job.dy, job.dx = pointer(arrays, "y", True), pointer(arrays, "dy"), pointer(arrays, "dx", True)
    for i, name in enumerate("hc"):
        job.start[i], job.last[i] = pointer(arrays, name), pointer(arrays, f"last_{name}", True)
        job.dlast[i], job.dstart[i] = pointer(arrays, f"dlast_{name}"), pointer(arrays, f"d{name}", True)
    job.saved, job.before = pointer(arrays, "saved", not backward), pointer(arrays, "before", not backward)
    job.cells, job.dproduct = pointer(arrays, "cells", not backward), pointer(arrays, "dproduct", True)
    packed = pack_gates(tiles, kernel, job.units, job.gates, backward)
    job.packed = packed.data
    # Some tiles for several threads, with rows enough to use each weight that is loaded; more where the caches are small.
    job.rows = min(max((job.batch + 3) // 4, <ptrdiff_t>2), 8 if kernel.nbytes <= 1 << 19 else 16)
    return run(tiles.recurrence_backward if backward else tiles.recurrence_forward, &job, sizeof(job),
               (job.batch + job.rows - 1) // job.rows,
               <double>job.batch * steps * job.gates * job.units * (2.0 * job.units + 4 * MEMORY_WORK), True,
               tiles.recurrence_size(&job))


cdef int point(void** table, arrays, list parameters, bint writable) except -1:
    """Writes where each piece of each array starts: pieces of BLOCK elements, the last of an array maybe less."""
    cdef ptrdiff_t size, start, i = 0
    cdef uintptr_t data
    kind = parameters[0].dtype
    if len(arrays) != len(parameters):
        raise ValueError("The lists must be of one length.")
    for array, parameter in zip(arrays, parameters):
        if not isinstance(array, ndarray) or array.shape != parameter.shape or array.dtype != kind:
            raise ValueError("The arrays must be of one dtype, and of their parameters' shapes.")
        data, size = <uintptr_t>address(array, writable), array.size
        if data % <size_t>array.itemsize:
            raise ValueError("The arrays must be aligned.")
        for start in range(0, size, BLOCK):
            table[i] = <char*>data + start * <ptrdiff_t>array.itemsize
            i += 1
    return 0


cdef int run_update(fc_tile* tile, fc_update* job, list parameters, gradients, states, averages=None, scales=None,
                    decays=None) except -1:
    """One call for all parameters, over tables of pointers to pieces. `states` are lists or None; `scales` and `decays`,
    lists of a number each, and `averages` may be None."""
    cdef ptrdiff_t pieces = 0, elements = 0, size, start, i = 0, row = 0
    cdef int place
    cdef double scale, decay
    for parameter in parameters:
        size = parameter.size
        pieces += (size + BLOCK - 1) // BLOCK
        elements += size
    cdef Block room = Block(product(pieces, (3 + FC_UPDATE_STATES) * sizeof(void*) + sizeof(ptrdiff_t)
                                    + 2 * sizeof(double)))
    cdef void** table = <void**>room.data
    cdef ptrdiff_t* counts = <ptrdiff_t*>(table + (3 + FC_UPDATE_STATES) * pieces)
    cdef double* factors = <double*>(counts + pieces)
    job.parameter, job.gradient, job.count = table, table + pieces, counts
    point(job.parameter, parameters, parameters, True)
    point(job.gradient, gradients, parameters, False)
    for place in range(FC_UPDATE_STATES):
        job.state[place] = NULL
        if place < len(states) and states[place] is not None:
            job.state[place] = table + (2 + place) * pieces
            point(job.state[place], states[place], parameters, True)
    job.average = NULL
    if averages is not None:
        job.average = table + (2 + FC_UPDATE_STATES) * pieces
        point(job.average, averages, parameters, True)
    job.scale = NULL if scales is None else factors
    job.decay = NULL if decays is None else factors + pieces
    for parameter in parameters:
        size = parameter.size
        scale = 1 if scales is None else scales[row]
        decay = 0 if decays is None else decays[row]
        for start in range(0, size, BLOCK):
            counts[i], factors[i], factors[pieces + i] = min(size - start, BLOCK), scale, decay
            i += 1
        row += 1
    return run(tile, job, sizeof(fc_update), pieces, 2.0 * MEMORY_WORK * elements)


cdef const fc_tiles* tiles_for(list parameters) except NULL:
    if not parameters or not isinstance(parameters[0], ndarray) or parameters[0].dtype not in FLOATS:
        raise ValueError("Parameters must be arrays of floats.")
    return tiles_of(parameters[0])


def sgd_step(list parameters, gradients, velocities, double rate, double momentum, bint nesterov):
    """Moves all parameters or, with a ValueError, none: where the arrays are not of one dtype, contiguous, aligned, not
    empty, of their parameters' shapes, and writable but for the gradients."""
    cdef fc_update job
    job.rate, job.number[0], job.nesterov = rate, momentum, nesterov
    run_update(tiles_for(parameters).sgd_step, &job, parameters, gradients, (velocities,))


def adam_step(list parameters, gradients, first, second, double rate, double beta_1, double beta_2, double epsilon):
    """As sgd_step; `rate` includes the bias correction of this step."""
    cdef fc_update job
    job.rate, job.number[0], job.number[1], job.number[2] = rate, 1 - beta_1, 1 - beta_2, epsilon
    run_update(tiles_for(parameters).adam_step, &job, parameters, gradients, (first, second))


KINDS = {
    "none": FC_UPDATE_none, "sgd": FC_UPDATE_sgd, "adam": FC_UPDATE_adam, "rmsprop": FC_UPDATE_rmsprop,
    "adagrad": FC_UPDATE_adagrad, "adadelta": FC_UPDATE_adadelta, "adamax": FC_UPDATE_adamax,
    "nadam": FC_UPDATE_nadam, "lion": FC_UPDATE_lion, "ftrl": FC_UPDATE_ftrl,
}


def update_step(list parameters, gradients, states, averages, scales, decays, int kind, double rate, numbers,
                bint nesterov, double limit, double keep):
    """As sgd_step, for any of KINDS and with all that goes around it: update_kinds.c."""
    cdef fc_update job
    cdef int place
    for place in range(FC_UPDATE_NUMBERS):
        job.number[place] = numbers[place] if place < len(numbers) else 0
    job.kind, job.rate, job.nesterov, job.limit, job.keep = kind, rate, nesterov, limit, keep
    run_update(tiles_for(parameters).update_step, &job, parameters, gradients, states, averages, scales, decays)
