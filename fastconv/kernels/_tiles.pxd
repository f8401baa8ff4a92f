# _tiles.pxd: what the kernels' bindings need of _tiles.pyx, and csrc/tiles.h as Cython sees it.

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int32_t, int64_t, uint64_t

cdef extern from "tiles.h" nogil:
    ctypedef void fc_tile(const void* job, ptrdiff_t index, void* scratch) noexcept nogil
    ctypedef ptrdiff_t fc_size(const void* job) noexcept nogil

    enum:
        FC_FLAT_ROWS
        FC_CUT

    ctypedef struct fc_axis:
        ptrdiff_t input, output, taps, stride, dilation, start

    ctypedef struct fc_pack:
        const void* weights
        const void* bias
        const void* scale
        void* packed
        void* packed_bias
        ptrdiff_t groups, channels, filters
        ptrdiff_t taps[3]
        ptrdiff_t tap_step[3]
        ptrdiff_t channel_step, filter_step, group_step

    ctypedef struct fc_finish:
        const void* residual
        double most, a, b
        int relu, map

    ctypedef struct fc_conv:
        const void* x
        const void* packed
        const void* packed_bias
        void* y
        fc_axis axis[3]
        ptrdiff_t batch, groups, channels, filters
        ptrdiff_t x_step[4]
        ptrdiff_t y_step[4]
        ptrdiff_t rows, columns, parts
        int far
        fc_finish finish

    ctypedef struct fc_conv_stream:
        const void* x
        const void* weights
        const void* bias
        const void* scale
        void* sums
        void* y
        fc_axis axis[3]
        ptrdiff_t batch, channels, filters, samples, part, depth
        ptrdiff_t pool[3]
        void* index
        fc_finish finish

    ctypedef struct fc_conv_pool:
        fc_conv conv
        void* y
        void* index
        ptrdiff_t pool[3]
        ptrdiff_t output[3]
        ptrdiff_t rows, columns
        int relu

    ctypedef struct fc_conv_pool_back:
        const void* x
        const void* dy
        const void* index
        const void* weights
        void* partial
        void* packed
        void* dkernel
        void* dx
        fc_axis axis[3]
        ptrdiff_t batch, channels, filters
        ptrdiff_t pool[3]
        ptrdiff_t output[3]
        ptrdiff_t rows
        ptrdiff_t slices, part

    ctypedef struct fc_scatter:
        const void* dy
        const void* packed
        const void* zeros
        const void* bias
        void* dx
        fc_axis axis[3]
        ptrdiff_t channels, filters
        ptrdiff_t rows, columns
        ptrdiff_t block

    ctypedef struct fc_conv_kernel:
        const void* x
        const void* dy
        void* partial
        fc_axis axis[3]
        ptrdiff_t batch, groups, channels, filters
        ptrdiff_t x_step[4]
        ptrdiff_t rows, columns
        ptrdiff_t slices, part
        int whole, merged, flat
        void* dkernel

    enum:
        WINOGRAD_CHANNELS
        WINOGRAD_TAPS

    ctypedef struct fc_winograd:
        const void* x
        const void* weights
        const void* bias
        const void* scale
        void* transformed
        void* inputs
        void* y
        fc_axis axis[3]
        ptrdiff_t batch, groups, channels, filters
        ptrdiff_t outputs[3]
        ptrdiff_t tiles[3]
        ptrdiff_t pieces, block, share, part, depth
        ptrdiff_t tap_step[3]
        ptrdiff_t channel_step, filter_step, group_step
        ptrdiff_t pool[3]
        void* index
        fc_finish finish

    ctypedef struct fc_winograd_kernel:
        const void* x
        const void* dy
        void* inputs
        void* gradients
        void* sums
        void* dkernel
        fc_axis axis[3]
        ptrdiff_t batch, groups, channels, filters
        ptrdiff_t outputs[3]
        ptrdiff_t tiles[3]
        ptrdiff_t pieces, first, count, block, part

    enum:
        FC_GROUP_CHANNELS
        FC_PHASES

    ctypedef struct fc_depthwise:
        const void* x
        const void* weights
        const void* bias
        void* y
        fc_axis axis[3]
        ptrdiff_t batch, channels, rows
        ptrdiff_t tap_step[3]
        fc_finish finish

    ctypedef struct fc_grouped_phase:
        const void* weights
        void* y
        fc_axis axis[3]
        ptrdiff_t tap_step[3]

    ctypedef struct fc_grouped:
        const void* x
        const void* bias
        fc_grouped_phase phase[FC_PHASES]
        ptrdiff_t phases, batch, groups, channels, filters
        ptrdiff_t channel_step, filter_step, group_step
        ptrdiff_t y_step[4]
        ptrdiff_t output[3]
        ptrdiff_t rows, columns
        ptrdiff_t vectors
        ptrdiff_t depths, slots, left, wide

    ctypedef struct fc_grouped_kernel:
        const void* x
        const void* dy
        void* partial
        fc_axis axis[3]
        ptrdiff_t batch, groups, channels, filters, slices
        ptrdiff_t columns
        ptrdiff_t vectors, slots, wide

    ctypedef struct fc_pool:
        const void* x
        void* y
        void* index
        fc_axis axis[3]
        ptrdiff_t batch, channels, rows
        int far

    ctypedef struct fc_rows:
        const void* a
        const void* b
        const void* c
        void* y
        void* z
        ptrdiff_t rows, block, width

    ctypedef struct fc_norm:
        const void* x
        const void* dy
        const void* residual
        const void* mask
        void* y
        void* cut
        const void* gamma
        const void* beta
        void* mean
        void* rest
        void* inverse_std
        void* variance
        void* slope
        void* offset
        void* dgamma
        void* dbeta
        void* dmean
        void* dvariance
        void* moving_mean
        void* moving_variance
        double* sums
        double epsilon, momentum, most
        ptrdiff_t samples, rows, channels, group
        ptrdiff_t width, columns, block, slices, part
        int relu, far
    ctypedef struct fc_map:
        const void* dy
        const void* s
        void* y
        double a, b
        ptrdiff_t count, block
        int function, far

    enum:
        FC_COMBINE_AXES
        FC_ROOM

    ctypedef struct fc_combine:
        const void* a
        const void* b
        void* y
        double number
        ptrdiff_t size[FC_COMBINE_AXES]
        ptrdiff_t a_step[FC_COMBINE_AXES]
        ptrdiff_t b_step[FC_COMBINE_AXES]
        ptrdiff_t width, rows, segments, block
        int axes, axis, function, far

    enum:
        FC_REDUCE_PIECE

    ctypedef struct fc_reduce:
        const void* x
        const void* b
        void* y
        ptrdiff_t outer, reduced, inner, length, block
        double divisor
        int kind

    enum:
        FC_UPDATE_STATES
        FC_UPDATE_NUMBERS
        FC_UPDATE_none
        FC_UPDATE_sgd
        FC_UPDATE_adam
        FC_UPDATE_rmsprop
        FC_UPDATE_adagrad
        FC_UPDATE_adadelta
        FC_UPDATE_adamax
        FC_UPDATE_nadam
        FC_UPDATE_lion
        FC_UPDATE_ftrl

    ctypedef struct fc_update:
        void** parameter
        void** gradient
        void** state[3]
        void** average
        const ptrdiff_t* count
        const double* scale
        const double* decay
        double limit, rate, keep
        double number[6]
        int kind, nesterov

    enum:
        FC_AXES
        FC_GROUP_WORDS

    ctypedef struct fc_step:
        ptrdiff_t count, x_step, y_step

    ctypedef struct fc_copy:
        const void* x
        const void* factor
        void* y
        fc_step axis[FC_AXES]
        ptrdiff_t axes, planes, rows, columns
        int far

    ctypedef struct fc_spread_axis:
        ptrdiff_t size, low, step, count, x_step

    ctypedef struct fc_spread:
        const void* x
        void* y
        fc_spread_axis axis[FC_AXES]
        ptrdiff_t axes, rows, columns
        double value

    ctypedef struct fc_fold:
        const void* x
        void* y
        fc_step axis[FC_AXES]
        fc_step copy[FC_AXES]
        ptrdiff_t axes, copies, rows, columns

    ctypedef struct fc_gather:
        const void* x
        void* y
        const int64_t* index
        ptrdiff_t outer, cells, places, inner, block

    ctypedef struct fc_resize:
        const void* x
        void* y
        ptrdiff_t batch, channels, columns
        ptrdiff_t input[2]
        ptrdiff_t output[2]
        ptrdiff_t scale[2][2]

    ctypedef struct fc_warp:
        const void* x
        void* y
        const double* maps
        const double* places
        double fill
        ptrdiff_t batch, channels, block
        ptrdiff_t input[2]
        ptrdiff_t output[2]
        int nearest, mode, bytes

    ctypedef struct fc_resample:
        const void* x
        const void* weights
        void* y
        const int64_t* start
        ptrdiff_t outer, cells, places, inner, taps, block

    ctypedef struct fc_colors:
        const void* x
        const void* table
        void* y
        ptrdiff_t batch, pixels, channels, block
        double low, high
        int bytes

    ctypedef struct fc_random:
        uint64_t* state
        const void* x
        void* y
        uint64_t* mask
        ptrdiff_t count, block, groups
        double scale, shift, most
        int32_t threshold

    enum:
        FC_FEW

    ctypedef struct fc_stack:
        ptrdiff_t count, a_step, b_step

    ctypedef struct fc_product:
        const void* a
        const void* b
        const void* bias
        void* y
        fc_stack stack[FC_AXES]
        ptrdiff_t axes, rows, columns, depth, a_step, b_step, y_row, y_column
        ptrdiff_t row_pieces, column_pieces, slices, block, chunk, a_copy
        int a_by_rows, b_by_rows, pack, far, ask

    ctypedef struct fc_product_sum:
        const void* x
        const void* bias
        void* y
        ptrdiff_t rows, columns, slices
        int turned

    enum:
        FC_SIMPLE, FC_LSTM, FC_GRU, FC_GRU_BEFORE

    ctypedef struct fc_recurrence:
        const void* x
        const void* packed
        const void* bias
        const void* mask
        const void* start[2]
        void* y
        void* last[2]
        void* saved
        void* before
        void* cells
        const void* dy
        const void* dlast[2]
        void* dx
        void* dproduct
        void* dstart[2]
        ptrdiff_t batch, steps, units, gates, kept, rows
        int kind, activation, recurrent
        int sequences, backwards, zero_masked

    ctypedef struct fc_tiles:
        const char* isa
        ptrdiff_t lanes, panel, block
        fc_tile* conv_pack
        fc_tile* conv_forward
        fc_tile* conv_stream
        fc_tile* conv_stream_sum
        fc_tile* conv_scatter
        fc_tile* conv_backward_kernel
        fc_tile* conv_reduce_kernel
        fc_tile* conv_pool_forward
        fc_tile* conv_pool_backward_kernel
        fc_tile* conv_pool_reduce_kernel
        fc_tile* conv_pool_pack
        fc_tile* conv_pool_backward_input
        fc_tile* conv_pool_backward_bias
        fc_tile* winograd_weights
        fc_tile* winograd_inputs
        fc_tile* winograd_forward
        fc_tile* winograd_transform
        fc_tile* winograd_multiply
        fc_tile* winograd_reduce
        fc_tile* product_tiles
        fc_tile* product_stream
        fc_tile* product_dots
        fc_tile* product_turn
        fc_tile* product_sum
        fc_tile* depthwise_forward
        fc_tile* grouped_forward
        fc_tile* grouped_backward_kernel
        fc_tile* max_pool_forward
        fc_tile* max_pool_forward_wide
        fc_tile* max_pool_backward
        fc_tile* max_pool_backward_wide
        fc_tile* average_pool_forward
        fc_tile* average_pool_backward
        fc_tile* relu_forward
        fc_tile* relu_backward
        fc_tile* bias_forward
        fc_tile* bias_backward
        fc_tile* softmax_forward
        fc_tile* softmax_backward
        fc_tile* log_softmax_forward
        fc_tile* log_softmax_backward
        fc_tile* label_crossentropy_forward
        fc_tile* label_crossentropy_backward
        fc_tile* crossentropy_forward
        fc_tile* crossentropy_backward
        fc_tile* norm_statistics
        fc_tile* norm_fold
        fc_tile* norm_forward
        fc_tile* norm_gradients
        fc_tile* norm_backward_fold
        fc_tile* norm_backward
        fc_tile* norm_sample_forward
        fc_tile* norm_sample_backward
        fc_tile* batch_norm_update
        fc_tile* batch_norm_fold
        fc_tile* norm_rows_forward
        fc_tile* norm_rows_backward
        fc_tile* recurrence_forward
        fc_tile* recurrence_backward
        fc_tile* map
        fc_tile* combine
        fc_tile* reduce
        fc_tile* sgd_step
        fc_tile* adam_step
        fc_tile* update_step
        fc_tile* copy
        fc_tile* copy_scaled
        fc_tile* spread
        fc_tile* fold
        fc_tile* gather_forward
        fc_tile* gather_backward
        fc_tile* one_hot
        fc_tile* resize_forward
        fc_tile* resize_backward
        fc_tile* warp_forward
        fc_tile* warp_backward
        fc_tile* resample
        fc_tile* color_table
        fc_tile* color_histogram
        fc_tile* color_scale
        fc_tile* color_matrix
        fc_tile* color_turn
        fc_tile* random_uniform
        fc_tile* random_normal
        fc_tile* random_advance
        fc_tile* dropout_forward
        fc_tile* dropout_backward
        fc_size* conv_forward_size
        fc_size* conv_scatter_size
        fc_size* conv_backward_kernel_size
        fc_size* conv_stream_size
        fc_size* conv_pool_forward_size
        fc_size* conv_pool_backward_kernel_size
        fc_size* conv_pool_backward_input_size
        fc_size* grouped_forward_size
        fc_size* grouped_rows_size
        fc_size* grouped_backward_kernel_size
        fc_size* grouped_kernel_rows_size
        fc_size* product_tiles_size
        fc_size* product_dots_size
        fc_size* recurrence_size
        fc_size* norm_fold_size
        fc_size* map_size
        fc_size* combine_size
        fc_size* resize_forward_size
        fc_size* resize_backward_size
        fc_size* warp_size
        fc_size* color_scale_size
        fc_size* winograd_weights_size
        fc_size* winograd_inputs_size
        fc_size* winograd_forward_size
        fc_size* winograd_transform_size
        fc_size* winograd_gradients_size
        fc_size* winograd_sums_size

    const fc_tiles* fc_table(int isa, int real_double)
    int fc_supported(int isa)
    unsigned fc_flush_enter()
    void fc_flush_leave(unsigned before)


# The work of `run`, in FLOPs of the time that it takes, where arithmetic does not bound it: of an element that passes
# through a cache, and of one that is packed or unpacked with strides.
cdef enum:
    MEMORY_WORK = 10
    PACK_WORK = 50

cdef enum:
    LINE = 64  # bytes of the caches'

cdef const fc_tiles* tiles_for(bint real_double) except NULL
cdef const fc_tiles* tiles_of(array) except NULL
cdef bint is_far(const void* data, ptrdiff_t size, ptrdiff_t pixel)
cdef void* address(array, bint writable=*) except NULL
cdef fc_axis window_axis(window, int axis)
cdef int run(fc_tile* tile, const void* job, size_t size, ptrdiff_t count, double work, bint flush=*,
             size_t scratch=*) except -1
