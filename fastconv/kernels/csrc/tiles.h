/* tiles.h: the contract between the OpenMP loops (Cython) and the tiles (C).
 *
 * A tile is one indivisible piece of a kernel's work: a pure function of a job, the tile's index and scratch memory
 * that no other thread touches. It allocates nothing, starts no thread, knows no Python and reports no error: the
 * job was checked above. Every tile has the type fc_tile, so that one loop runs them all.
 *
 * Shapes are channels last: x is (n, d, h, w, channels), a kernel (kd, kh, kw, channels / groups, filters). 1D and 2D
 * enter as 3D with leading axes of size 1. All sizes and steps count elements, not bytes. Data pointers are void:
 * the same jobs serve float and double, and the table that a tile came from says which.
 *
 * Words, each with one meaning in all files:
 *   job         what one kernel call computes: arrays, sizes, and how it is cut
 *   tile        an index of a job's work; `rows`, `columns`, `part`, `block`: how much of an axis one tile takes
 *   lane        an element of a vector; LANES of them, and `lanes` is a count filled up to whole vectors
 *   panel       filters that are packed side by side: VECTORS vectors, the last panel maybe fewer
 *   tap         one place of a window; a sum over taps and channels is an output
 *   register tile  up to BLOCK pixels times a panel, whose sums stay in registers through a product
 *   slice       a part of a long sum: slices are summed apart, then added in their order
 *   packed      weights or inputs in the order in which a product reads them
 *   scratch     a thread's own memory while it runs tiles of a job; what is in it is lost between tiles
 *   view        where a block of outputs reads its input: the input itself, or a copy with its padding
 *   far         stored past the caches (non-temporal), see far.h; `soon` and `ahead` prefetch
 */
#ifndef FC_TILES_H
#define FC_TILES_H

#include <stddef.h>
#include <stdint.h>

typedef void fc_tile(const void *job, ptrdiff_t index, void *scratch);

/* One spatial axis of a sliding window: tap t of output o reads input o * stride + t * dilation + start. */
typedef struct {
    ptrdiff_t input, output, taps, stride, dilation;
    ptrdiff_t start; /* minus the low padding; positive where the first cells are never read */
} fc_axis;

/* Packing: weights of any layout -> [group][panel][tap][channel][lane], padded with zeros to whole vectors.
 * A panel holds FC_PANEL filters, the last of a group maybe half of it. Tiles: groups * panels. */
typedef struct {
    const void *weights, *bias, *scale;  /* scale: of the filters, which multiplies the weights; both may be NULL */
    void *packed, *packed_bias;          /* packed_bias: [group][lanes]; NULL for none */
    ptrdiff_t groups, channels, filters; /* channels and filters of one group */
    ptrdiff_t taps[3], tap_step[3];      /* steps may be negative: a flipped kernel */
    ptrdiff_t channel_step, filter_step, group_step;
} fc_pack;

/* What becomes of a convolution's sums before they are stored: with `residual`, laid out as y, its values are added; with
 * `relu`, what is not above 0 becomes 0, and what is above `most` that. A NaN for `most`: no bound. Once a tile's outputs are
 * stored, the function `map` of maps.h is taken of them, with its parameters a and b, while they are in a near cache. */
typedef struct {
    const void *residual; /* NULL for none */
    double most, a, b;
    int relu, map; /* map: its number and 1; 0 for none */
} fc_finish;

/* Direct convolution by batch-reduce: y = bias + sum over taps and channels of x * packed.
 * Forward, and each stride phase of backward-input. Tiles: parts of the filters, which cut a group's panels evenly, *
 * batch * groups * depth * row blocks * column blocks. */
typedef struct {
    const void *x, *packed, *packed_bias;
    void *y;
    fc_axis axis[3]; /* depth, height, width */
    ptrdiff_t batch, groups, channels, filters;
    ptrdiff_t x_step[4], y_step[4]; /* between samples, depths, rows and columns */
    ptrdiff_t rows, columns, parts; /* rows, columns: outputs of one tile */
    int far;                        /* whether y goes past the caches, see far.h */
    fc_finish finish;
} fc_conv;

/* Outputs of one sample, group and depth, which conv_forward.c computes at once: those of the panels `panel` to `end`. */
typedef struct {
    ptrdiff_t n, g, od, row, rows, column, columns, panel, end;
} fc_block;

/* Forward convolution of few outputs (conv_stream.c). The weights are read once, where they lie: (taps, channels, filters).
 * conv_stream: sums[slice][output][lane] of every sample; a slice has `depth` channels. Tiles: blocks of `samples` samples
 * * slices * parts of `part` filters, a multiple of a panel but for the last. conv_stream_sum adds up the slices in their
 * order, and writes y. Tiles: samples. */
typedef struct {
    const void *x, *weights, *bias, *scale; /* scale: of the filters' sums; both may be NULL */
    void *sums, *y;
    fc_axis axis[3];
    ptrdiff_t batch, channels, filters;
    ptrdiff_t samples, part, depth;
    /* Where pool[0] is not 0, y is the map max-pooled in windows that do not overlap, and index the tap that won (uint8). */
    ptrdiff_t pool[3];
    void *index;
    fc_finish finish; /* of a pooled map ReLU alone, without a bound */
} fc_conv_stream;

/* Convolution, ReLU where `relu` is set, and max-pooling in windows that do not overlap; y is the pooled map and index
 * the tap that won (uint8). `conv` says everything but y. Tiles: batch * groups * depth * row blocks * column blocks of
 * the pooled map. */
typedef struct {
    fc_conv conv;
    void *y, *index;
    ptrdiff_t pool[3], output[3]; /* output: of the pooled map */
    ptrdiff_t rows, columns;      /* of the pooled map, in one tile */
    int relu;
} fc_conv_pool;

/* Gradients of a convolution whose output was max-pooled: at most one position of each window has a gradient, and only
 * those are touched. dy is the pooled map's gradient; index is FC_CUT where ReLU cut, so that no cell won. One group; the
 * taps of a kernel row are one run of the input. A chunk is some rows of windows of one sample and depth.
 * conv_pool_backward_kernel: partial[slice][filter][tap row][lanes of kw * channels]; tiles: slices * parts of the
 * filters; conv_pool_reduce_kernel adds the slices in their order; tiles: filters.
 * conv_pool_pack: packed[filter][tap row][lanes]; tiles: filters. conv_pool_backward_input: tiles: samples.
 * conv_pool_backward_bias takes an fc_rows, as bias_backward: a is dy, b the index. */
enum { FC_CUT = 255 };
typedef struct {
    const void *x, *dy, *index, *weights;
    void *partial, *packed, *dkernel, *dx;
    fc_axis axis[3];
    ptrdiff_t batch, channels, filters;
    ptrdiff_t pool[3], output[3]; /* output: of the pooled map */
    ptrdiff_t rows;               /* of windows, in a chunk */
    ptrdiff_t slices, part;       /* part: filters in one tile */
} fc_conv_pool_back;

/* Backward-input for few channels: dy times packed weights whose lanes are (tap, channel), added up in dx.
 * Tiles: batch * row blocks * column blocks of dx. */
typedef struct {
    const void *dy, *packed, *zeros; /* zeros: one a lane */
    const void *bias;                /* of the channels; may be NULL */
    void *dx;
    fc_axis axis[3];
    ptrdiff_t channels, filters;
    ptrdiff_t rows, columns; /* of dx in a tile */
    ptrdiff_t block;         /* pixels of dy whose products stand in scratch */
} fc_scatter;

enum { FC_FLAT_ROWS = 256 };

/* Kernel gradient: partial[slice] = sum over the slice's chunks of x (outer) dy.
 * A chunk is (sample, depth, row block, column block); slices cut the chunks evenly and are summed afterwards in
 * their order. Tiles: slices if whole, else slices * groups * kd * kh * panels * parts, where parts cut the
 * kw * channels rows.
 * partial: [slice][group][kd][kh][panel][kw * channels][lane]. */
typedef struct {
    const void *x, *dy;
    void *partial;
    fc_axis axis[3];
    ptrdiff_t batch, groups, channels, filters;
    ptrdiff_t x_step[4]; /* between samples, depths, rows and columns of x */
    ptrdiff_t rows, columns;
    ptrdiff_t slices, part; /* part: rows of kw * channels in one tile */
    int whole;              /* one tile does a whole slice, chunk by chunk: for partial sums that fit the cache */
    int merged;             /* the taps of a kernel row as one run of kw * channels; else each tap by itself */
    int flat;               /* the rows of all taps as one list of at most FC_FLAT_ROWS; then kd = kh = 1 above, kw has
                             * all taps, and a tile's part is all of them */
    void *dkernel;          /* written by the reduction, whose tiles are groups * kd * kh * panels * parts */
} fc_conv_kernel;

/* Winograd convolution with stride 1 (winograd.h): forward, and backward-input with steps that flip the kernel. A box of
 * outputs, one Winograd tile, is outputs[0] x [1] x [2] large; tiles along an axis that is dilated by d belong to one
 * of d interleaved phases. Tiles of winograd_weights: panels * blocks of WINOGRAD_CHANNELS channels; of winograd_inputs:
 * blocks of Winograd tiles * shares of `share` tiles; of winograd_forward: blocks of `block` Winograd tiles, which are
 * counted over samples and the three axes, * parts of `part` filters, a multiple of a panel but for the last. All that once for
 * each group, whose channels and filters the job counts; its filters stand behind the last group's in weights, bias and y.
 *
 * A row of more than WINOGRAD_TAPS taps, where the other axes have one, is cut into `pieces` of as many taps as a tile has
 * outputs. Each phase then has pieces - 1 tiles more, past the outputs, whose transformed inputs the last tiles read. */
enum { WINOGRAD_CHANNELS = 16, WINOGRAD_TAPS = 5 };
typedef struct {
    const void *x, *weights, *bias, *scale; /* scale: of the filters, which multiplies the weights; both may be NULL */
    /* [group][point][panel][piece][channel][lane], the points `plane` apart (winograd_tiles.h); NULL: each tile transforms the weights
     * that it needs, `depth` channels at a time. */
    void *transformed;
    void *inputs; /* [block][point][tile][channel], transformed, of one group; NULL: each tile transforms its own */
    void *y;
    fc_axis axis[3];
    ptrdiff_t batch, groups, channels, filters;
    ptrdiff_t outputs[3], tiles[3], pieces, block, share, part, depth;
    ptrdiff_t tap_step[3], channel_step, filter_step, group_step; /* in weights */
    /* Where pool[0] is not 0, y is the max-pooled map and index the tap that won (uint8). Windows do not overlap and
     * divide a Winograd tile; axis[].output then counts the outputs under whole windows. */
    ptrdiff_t pool[3];
    void *index;
    fc_finish finish; /* ReLU alone; of a pooled map without a bound */
} fc_winograd;

/* Its kernel gradient, over the range of `count` Winograd tiles from `first` on; both sides transformed,
 * [group][point][tile][lane], and the sums of their products, [group][point][piece][channel][lane]. Tiles of winograd_transform: blocks of `block` of the range's
 * Winograd tiles and those that their last pieces read; of winograd_multiply: points * pieces * parts of `part` channels; of
 * winograd_reduce: pieces * channels. All that once for each group. */
typedef struct {
    const void *x, *dy;
    void *inputs, *gradients, *sums, *dkernel;
    fc_axis axis[3];
    ptrdiff_t batch, groups, channels, filters;
    ptrdiff_t outputs[3], tiles[3], pieces;
    ptrdiff_t first, count, block, part;
} fc_winograd_kernel;

/* Depthwise convolution that reads x where it lies: forward, and backward-input without strides. Tiles: blocks of `rows`
 * of y's batch * depth * height. */
typedef struct {
    const void *x, *weights, *bias; /* bias may be NULL */
    void *y;
    fc_axis axis[3];
    ptrdiff_t batch, channels, rows;
    ptrdiff_t tap_step[3]; /* in weights; may be negative: a flipped kernel */
    fc_finish finish;
} fc_depthwise;

/* Convolution in groups of few channels, depthwise among them (grouped.c). Forward is one phase; the stride phases of
 * backward-input, where channels and filters change places, read the same x. Tiles: batch * depth * row blocks * column
 * blocks of `output`, the largest of all phases'. */
enum { FC_GROUP_CHANNELS = 8, FC_PHASES = 8 };
typedef struct {
    const void *weights;
    void *y;
    fc_axis axis[3];
    ptrdiff_t tap_step[3]; /* in weights; may be negative: a flipped kernel */
} fc_grouped_phase;
typedef struct {
    const void *x, *bias; /* bias may be NULL */
    fc_grouped_phase phase[FC_PHASES];
    ptrdiff_t phases, batch, groups;
    ptrdiff_t channels, filters;                     /* of a group; at most FC_GROUP_CHANNELS channels */
    ptrdiff_t channel_step, filter_step, group_step; /* in weights */
    ptrdiff_t y_step[4], output[3];
    ptrdiff_t rows, columns;             /* outputs of one tile */
    ptrdiff_t vectors;                   /* of output channels that pass over a tile in one go */
    ptrdiff_t depths, slots, left, wide; /* x in scratch: slots a depth tap; first column under output 0; columns */
} fc_grouped;

/* Its kernel gradient, partial[slice] (taps, channels, all filters), to be summed in their order. Tiles: slices. */
typedef struct {
    const void *x, *dy;
    void *partial;
    fc_axis axis[3];
    ptrdiff_t batch, groups, channels, filters, slices;
    ptrdiff_t columns;              /* outputs of a row that are taken at a time */
    ptrdiff_t vectors, slots, wide; /* as above */
} fc_grouped_kernel;

/* Pooling; an axis of stride 0 has bins (kernels/geometry.py). Tiles: blocks of `rows` of the batch * depth * height rows
 * of the array that is written. */
typedef struct {
    const void *x; /* forward: the input; backward: dy */
    void *y;       /* forward: the output; backward: dx */
    void *index;   /* max only: the tap that won, in C order over the window; bytes, or int32 in the _wide tiles */
    fc_axis axis[3];
    ptrdiff_t batch, channels, rows;
    int far; /* whether y goes past the caches, see far.h */
} fc_pool;

/* Elementwise and row-wise work on contiguous arrays. Tile i covers rows i * block to (i + 1) * block of `rows`. */
typedef struct {
    const void *a, *b, *c;
    void *y, *z;
    ptrdiff_t rows, block, width; /* width: elements a row */
} fc_rows;

/* Normalization: x is (samples, rows, channels). Its statistics are those of each sample's groups of `group` channels
 * (norm.c), or of each row, with one sample (norm_rows.c).
 * norm.c takes a sample's pixels in rows of `width` elements, several pixels where channels are few; at most
 * FC_NORM_WIDTH columns. Its tiles are pieces of `block` such rows and `columns` columns: samples * slices of the rows *
 * blocks of the columns; of the folds: samples * blocks of `part` groups; of
 * batch_norm_update and batch_norm_fold: one. norm_rows.c's are blocks of `block` rows. */
enum { FC_NORM_WIDTH = 1024 };
typedef struct {
    const void *x, *dy;
    const void *residual;                       /* forward: added before ReLU; NULL for none */
    const void *mask;                           /* backward: the forward's y, whose ReLU cuts dy; NULL for none */
    void *y, *cut;                              /* y: or dx; cut: dy where ReLU did not cut */
    const void *gamma, *beta;                   /* [channel]; NULL for ones and zeros */
    void *mean, *rest, *inverse_std, *variance; /* [sample][group] or [row]; rest: what mean lost in rounding */
    void *slope, *offset; /* [sample][group]: dx = dy * gamma / std + (x - mean) * slope + offset */
    void *dgamma, *dbeta; /* [sample][channel]; of rows: [tile][channel] */
    void *dmean, *dvariance;
    void *moving_mean, *moving_variance;
    double *sums;                   /* [sample][slice][2][channel] */
    double epsilon, momentum, most; /* most: where ReLU ends, and cuts dy; NaN: nowhere */
    ptrdiff_t samples, rows, channels, group;
    ptrdiff_t width, columns, block, slices, part;
    int relu, far;
} fc_norm;
/* Elements of a piece that stays in the innermost cache while it is worked on. */
enum { FC_ROOM = 1024 };

/* A function of one element (maps.h), or its gradient where there is a dy. Tile i covers elements i * block on. */
typedef struct {
    const void *dy, *s; /* s: x, or what the gradient reads; NULL for nothing */
    void *y;
    double a, b; /* the function's parameters */
    ptrdiff_t count, block;
    int function, far; /* far: whether y goes past the caches, see far.h */
} fc_map;

/* A function of two elements (maps.h), broadcast. Axes are the output's, innermost first, merged as far as both operands
 * allow; an operand's step is 0 where it has one entry for all. A segment is `rows` entries of axis `axis`, `width`
 * elements each, and at most FC_ROOM elements where something has to be laid out. Tiles: `block` segments each. */
enum { FC_COMBINE_AXES = 8 };
typedef struct {
    const void *a, *b; /* NULL: the number, with steps of 0 */
    void *y;
    double number;
    ptrdiff_t size[FC_COMBINE_AXES], a_step[FC_COMBINE_AXES], b_step[FC_COMBINE_AXES];
    ptrdiff_t width, rows, segments, block;
    int axes, axis, function, far;
} fc_combine;

/* A reduction (maps.h) of x (outer, reduced, inner) to y (outer, slices, inner) by slices of `length` entries, divided by
 * `divisor` at last. Units are slices' pieces of at most FC_REDUCE_PIECE inner elements. Tiles: `block` units each. */
enum { FC_REDUCE_PIECE = 2048 };
typedef struct {
    const void *x, *b; /* b: for sums of products */
    void *y;
    ptrdiff_t outer, reduced, inner, length, block;
    double divisor;
    int kind;
} fc_reduce;

/* Optimizer steps, in place. The tables have one entry a tile: a piece of a parameter. sgd_step and adam_step are the plain
 * steps of their kinds; update_step is any kind with all that goes around it. What `number` holds is said at each kind in
 * update_kinds.c. */
enum { FC_UPDATE_STATES = 3, FC_UPDATE_NUMBERS = 6 };
enum {
    FC_UPDATE_none,
    FC_UPDATE_sgd,
    FC_UPDATE_adam,
    FC_UPDATE_rmsprop,
    FC_UPDATE_adagrad,
    FC_UPDATE_adadelta,
    FC_UPDATE_adamax,
    FC_UPDATE_nadam,
    FC_UPDATE_lion,
    FC_UPDATE_ftrl
};
typedef struct {
    void **parameter, **gradient, **state[FC_UPDATE_STATES]; /* some may be NULL, see update_kinds.c */
    void **average;                                          /* of the parameter, or NULL */
    const ptrdiff_t *count;
    const double *scale, *decay; /* the gradient's factor, and the parameter's share that goes before; or NULL */
    double limit;                /* of the gradient's elements; 0 for none */
    double rate, keep;           /* keep: the average's share that stays */
    double number[FC_UPDATE_NUMBERS];
    int kind, nesterov;
} fc_update;

/* Copies by strides (moves.c). One axis of a walk over x and y: its cells, and the elements from one to the next, which
 * may be 0 or negative. The last two axes, rows and columns, are a plane. Tiles: blocks of `planes` planes * blocks of `rows`
 * * blocks of `columns`; several planes are whole ones. */
enum { FC_AXES = 16 };
typedef struct {
    ptrdiff_t count, x_step, y_step;
} fc_step;
typedef struct {
    const void *x, *factor; /* factor: of copy_scaled, laid out as y */
    void *y;
    fc_step axis[FC_AXES];
    ptrdiff_t axes, planes, rows, columns;
    int far; /* whether y goes past the caches, see far.h */
} fc_copy;

/* y = value, but for the cells low + i * step of every axis, i < count, which are x's; two axes or
 * more. Tiles: blocks of `rows` of y's rows * blocks of `columns`. */
typedef struct {
    ptrdiff_t size, low, step, count, x_step;
} fc_spread_axis;
typedef struct {
    const void *x;
    void *y;
    fc_spread_axis axis[FC_AXES];
    ptrdiff_t axes, rows, columns;
    double value;
} fc_spread;

/* Sums over copies: y has the cells of `axis`, and of x those of `copy` are added up. Tiles: blocks of `rows` of y's rows *
 * blocks of `columns`. */
typedef struct {
    const void *x;
    void *y;
    fc_step axis[FC_AXES], copy[FC_AXES];
    ptrdiff_t axes, copies, rows, columns; /* copies: axes of `copy`, two or more */
} fc_fold;

/* y (outer, places, inner) = x (outer, cells, inner) at index (places), all from 0 to cells - 1; tiles: blocks of `block` of
 * y's rows of `inner`. Backward: x and y change their shapes, and y is x added up in the order of places; tiles: outer *
 * blocks of `block` cells. one_hot: y (places, cells) has a 1 at each index; tiles: blocks of `block` places. */
typedef struct {
    const void *x;
    void *y;
    const int64_t *index;
    ptrdiff_t outer, cells, places, inner, block;
} fc_gather;

/* Linear interpolation between `input` and `output` cells a spatial axis (resize.c). Forward writes the output side, y, of
 * x; backward the input side, y, of x = dy. Tiles: batch * rows of y * blocks of `columns` of y. */
typedef struct {
    const void *x;
    void *y;
    ptrdiff_t batch, channels, columns;
    ptrdiff_t input[2], output[2]; /* rows and columns */
    ptrdiff_t scale[2][2];         /* input : output in lowest terms */
} fc_resize;

/* Images read at other places (warp.c): sample n's pixel (row, column) of y is x at the row (m3 c + m4 r + m5) / k and the
 * column (m0 c + m1 r + m2) / k, k = m6 c + m7 r + 1, of its eight numbers in `maps`; or, where that is NULL, at its own row and
 * column in `places`. Tiles: batch * blocks of `block` rows of y. Backward: x = dy, y = dx; tiles: batch. */
enum { FC_WARP_CONSTANT, FC_WARP_NEAREST, FC_WARP_WRAP, FC_WARP_MIRROR, FC_WARP_REFLECT };
typedef struct {
    const void *x;
    void *y;
    const double *maps, *places;
    double fill;
    ptrdiff_t batch, channels, block;
    ptrdiff_t input[2], output[2]; /* rows and columns of the images and of what is read from them */
    int nearest, mode, bytes;      /* bytes: x and y are uint8 */
} fc_warp;

/* y (outer, places, inner) = sums of `taps` cells of x (outer, cells, inner) from start[place] on, by weights (places, taps).
 * Tiles: outer * blocks of `block` places. */
typedef struct {
    const void *x, *weights;
    void *y;
    const int64_t *start;
    ptrdiff_t outer, cells, places, inner, taps, block;
} fc_resample;

/* Colours (colors.c): x and y (batch, pixels, channels), reals or `bytes`; `table` has a part a sample. Tiles: batch *
 * blocks of `block` pixels; of a histogram, batch. */
typedef struct {
    const void *x, *table;
    void *y;
    ptrdiff_t batch, pixels, channels, block;
    double low, high;
    int bytes;
} fc_colors;

/* Random numbers (random.c). The state: seed, stream, counter, and one reserved. A group is 16 Philox blocks, 64 numbers of
 * 32 bits or 32 of 64; group g of a draw is number state[2] + g. Tiles: blocks of `block` groups; random_advance: one. */
enum { FC_GROUP_WORDS = 64 };
typedef struct {
    uint64_t *state;
    const void *x; /* of dropout; NULL for ones */
    void *y;
    uint64_t *mask; /* of dropout: a bit an element, a word a group; NULL for none */
    ptrdiff_t count, block, groups;
    double scale, shift, most; /* uniform: u * scale + shift, at most `most`; normal: z * scale + shift */
    int32_t threshold;         /* dropout keeps numbers of 24 bits from this on, and multiplies them by `scale` */
} fc_random;

/* A stack of matrix products (dense.c): y (rows, columns) = a (rows, depth) times b (depth, columns) + bias (columns), the
 * operands of matrix m where the axes of the stack say. Rows of a, with a_by_rows, lie a_step apart and run along the
 * depth; else those of its transpose do. Rows of b, with b_by_rows, lie b_step apart and run along the columns; else its
 * columns do, along the depth. With slices of the depth, y is [matrix][slice][row][column].
 * product_tiles: tiles: matrices * slices * row_pieces * column_pieces; it takes the depth in blocks of `block`, and b in
 * chunks of `chunk` columns, which it packs into scratch, with `pack` even where b lies by rows; with a_copy, a is copied
 * into runs that far apart. product_stream: the same tiles, at most FC_FEW rows and one piece of them.
 * product_dots: b by columns, a by rows; y[r * y_row + n * y_column]; tiles: matrices * row_pieces; no slices; with a_copy,
 * b is copied. With `ask`, these two ask for what comes next of the long operand. product_turn: y [column][depth] is b, of
 * one matrix; tiles: blocks of `block` of the depth, a multiple of a vector's lanes. */
enum { FC_FEW = 4 };
typedef struct {
    ptrdiff_t count, a_step, b_step;
} fc_stack;
typedef struct {
    const void *a, *b, *bias; /* bias: NULL for none */
    void *y;
    fc_stack stack[FC_AXES];
    ptrdiff_t axes, rows, columns, depth, a_step, b_step, y_row, y_column;
    ptrdiff_t row_pieces, column_pieces, slices, block, chunk, a_copy;
    int a_by_rows, b_by_rows, pack, far, ask; /* far: whether y goes past the caches, see far.h */
} fc_product;

/* y (rows, columns), or if turned (columns, rows) and without bias, = bias + the sum of x [matrix][slice][row][column] over
 * the slices. Tiles: one a matrix. */
typedef struct {
    const void *x, *bias;
    void *y;
    ptrdiff_t rows, columns, slices;
    int turned;
} fc_product_sum;

/* A recurrent layer (recurrence.c), whose states are h and, of an LSTM, c. x is the inputs' product with their kernel, bias
 * and all, (batch, steps, gates, units), the gates in Keras' order; packed is the recurrent kernel as conv_pack lays it, a
 * group a gate; for backward each gate's matrix is transposed. saved is what backward reads of the gates, (batch, steps,
 * kept, units); before, h before each step; cells, c after it, or of FC_GRU_BEFORE the r * h that its kernel multiplies. Steps
 * of x, mask and these are in order of time, those of y and dy in the order in which they run. Tiles: blocks of `rows` of
 * the batch. */
enum { FC_SIMPLE, FC_LSTM, FC_GRU, FC_GRU_BEFORE };
typedef struct {
    const void *x, *packed, *bias; /* bias: of FC_GRU's recurrent products, or NULL */
    const void *mask;              /* (batch, steps), 0 where a step is left out; NULL for none */
    const void *start[2];          /* the states (batch, units) before the first step */
    void *y, *last[2]; /* y: (batch, steps, units) if `sequences`, else of the last step; last: states or NULL */
    void *saved, *before, *cells;    /* NULL where there is no gradient */
    const void *dy, *dlast[2];       /* dlast: NULL for zeros */
    void *dx, *dproduct, *dstart[2]; /* dproduct: of FC_GRU's recurrent products; dstart may be NULL */
    ptrdiff_t batch, steps, units, gates, kept, rows;
    int kind, activation, recurrent; /* functions of maps.h, see map_vectors */
    int sequences, backwards, zero_masked;
} fc_recurrence;

/* Every kind of tile. A new one is a row here, its C function and its caller. */
/* clang-format off */
#define FC_TILES(X)                                                                                                  \
    X(conv_pack) X(conv_forward) X(conv_stream) X(conv_stream_sum) X(conv_scatter) X(conv_backward_kernel) X(conv_reduce_kernel)                       \
    X(conv_pool_forward) X(conv_pool_backward_kernel) X(conv_pool_reduce_kernel)                                     \
    X(conv_pool_pack) X(conv_pool_backward_input) X(conv_pool_backward_bias)                                         \
    X(winograd_weights) X(winograd_inputs) X(winograd_forward) X(winograd_transform) X(winograd_multiply) X(winograd_reduce)            \
    X(product_tiles) X(product_stream) X(product_dots) X(product_turn) X(product_sum)                                \
    X(depthwise_forward) X(grouped_forward) X(grouped_backward_kernel)                                               \
    X(max_pool_forward) X(max_pool_forward_wide) X(max_pool_backward) X(max_pool_backward_wide)    \
    X(average_pool_forward) X(average_pool_backward)                                                                 \
    X(relu_forward) X(relu_backward) X(bias_forward) X(bias_backward)                                                \
    X(softmax_forward) X(softmax_backward) X(log_softmax_forward) X(log_softmax_backward)                            \
    X(label_crossentropy_forward) X(label_crossentropy_backward)                                                     \
    X(crossentropy_forward) X(crossentropy_backward)                                                                 \
    X(recurrence_forward) X(recurrence_backward)                                                                     \
    X(map) X(combine) X(reduce)                                                                                      \
    X(norm_statistics) X(norm_fold) X(norm_forward) X(norm_gradients) X(norm_backward_fold) X(norm_backward)         \
    X(norm_sample_forward) X(norm_sample_backward)                                                                   \
    X(batch_norm_update) X(batch_norm_fold) X(norm_rows_forward) X(norm_rows_backward)                               \
    X(sgd_step) X(adam_step) X(update_step)                                                                               \
    X(copy) X(copy_scaled) X(spread) X(fold) X(gather_forward) X(gather_backward) X(one_hot)                         \
    X(resize_forward) X(resize_backward) X(warp_forward) X(warp_backward) X(resample)                                \
    X(color_table) X(color_histogram) X(color_scale) X(color_matrix) X(color_turn)                                   \
    X(random_uniform) X(random_normal) X(random_advance) X(dropout_forward) X(dropout_backward)
/* clang-format on */

/* How many bytes of scratch the tile of this name needs for a job; of winograd_weights, winograd_inputs and
 * winograd_transform, and with _gradients and _sums: how many bytes they write; recurrence, norm_fold and warp: all their
 * tiles. grouped_rows and grouped_kernel_rows: how many bytes of it are one vector's rows of x. Only the tile's own file
 * knows how it lays them out. Negative: there is no such tile (FC_WINOGRAD in winograd.h). */
typedef ptrdiff_t fc_size(const void *job);
/* clang-format off */
#define FC_SIZES(X)                                                                                                  \
    X(conv_forward) X(conv_scatter) X(conv_backward_kernel) X(conv_stream)                                           \
    X(conv_pool_forward) X(conv_pool_backward_kernel) X(conv_pool_backward_input)                                    \
    X(grouped_forward) X(grouped_rows) X(grouped_backward_kernel) X(grouped_kernel_rows)                             \
    X(product_tiles) X(product_dots) X(recurrence) X(norm_fold) X(map) X(combine)                                    \
    X(resize_forward) X(resize_backward) X(warp) X(color_scale)                                                      \
    X(winograd_weights) X(winograd_inputs) X(winograd_forward) X(winograd_transform) X(winograd_gradients)           \
    X(winograd_sums)
/* clang-format on */

/* The tiles of one instruction set and element type. */
typedef struct {
    const char *isa;
    ptrdiff_t lanes, panel, block; /* elements in a vector; filters in a panel; pixels in a register tile */
#define FC_FIELD(name) fc_tile *name;
    FC_TILES(FC_FIELD)
#undef FC_FIELD
#define FC_FIELD(name) fc_size *name##_size;
    FC_SIZES(FC_FIELD)
#undef FC_FIELD
} fc_tiles;

/* isa.c: the table of an instruction set, weakest first; NULL past the last that was compiled. `real_double` picks
 * the element type. fc_supported: whether this CPU and its operating system run it. */
const fc_tiles *fc_table(int isa, int real_double);
int fc_supported(int isa);

/* Flush denormals to zero in this thread, since arithmetic on them is some 50 times slower; leave restores. */
unsigned fc_flush_enter(void);
void fc_flush_leave(unsigned before);

#endif
