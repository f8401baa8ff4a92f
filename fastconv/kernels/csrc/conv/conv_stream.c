/* conv_stream.c: forward convolution of few outputs, whose time is that of reading the weights: each is read once, where it
 * lies, and nothing is packed.
 *
 * A tile has all outputs of some samples, for some channels and filters; their sums stay in cache. The weights pass by in
 * chunks of one tap: the inputs of the outputs that the tap reaches are laid out as a matrix, so that no product is of
 * padding and register tiles are full whatever the map's shape, and are multiplied with the chunk while the next chunk
 * is asked for. Channels are cut before filters: memory gives long rows faster than pieces of them.
 */
#include "pool/pool_window.h"
#include "sizes.h"

/* The outputs that a tap reaches: where their inputs and their sums start. */
typedef struct {
    const real *x;
    real *sum;
} reached;

/* Where things stand in scratch, in bytes: a chunk's inputs, its last columns, what a tap reaches. */
typedef struct {
    ptrdiff_t packed, reached, end;
} layout;

static layout layout_of(const fc_conv_stream *j)
{
    const ptrdiff_t outputs = FC_PRODUCT(j->samples, j->axis[0].output, j->axis[1].output, j->axis[2].output);
    layout l;
    l.packed = FC_PRODUCT(outputs, blocks(j->depth, LANES), sizeof(vec));
    l.reached = l.packed + FC_PRODUCT(j->depth, PANEL, sizeof(real));
    l.end = l.reached + FC_PRODUCT(outputs, sizeof(reached));
    return l;
}

ptrdiff_t FC_NAME(conv_stream_size)(const void *job) { return layout_of(job).end; }

/* The first tap from `tap` on, counted over all axes, that reaches an output; `taps` if there is none. */
static ptrdiff_t next_tap(const fc_axis axis[3], ptrdiff_t tap, ptrdiff_t taps)
{
    for (; tap < taps; tap++) {
        ptrdiff_t rest = tap, i = 2;
        for (; i >= 0; rest /= axis[i--].taps)
            if (first_output(&axis[i], rest % axis[i].taps) >= last_output(&axis[i], rest % axis[i].taps)) break;
        if (i < 0) break;
    }
    return tap;
}

/* Lists what `tap` reaches in `samples` samples from x on. */
static ptrdiff_t list_reached(const fc_conv_stream *j, ptrdiff_t tap, ptrdiff_t samples, const real *x, real *sums,
                              ptrdiff_t lanes, reached *to)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t tw = tap % W->taps, th = tap / W->taps % H->taps, td = tap / W->taps / H->taps;
    const ptrdiff_t w0 = first_output(W, tw), w1 = last_output(W, tw);
    ptrdiff_t count = 0;
    for (ptrdiff_t n = 0; n < samples; n++)
        for (ptrdiff_t d = first_output(D, td); d < last_output(D, td); d++)
            for (ptrdiff_t h = first_output(H, th); h < last_output(H, th); h++) {
                const ptrdiff_t id = d * D->stride + td * D->dilation + D->start;
                const ptrdiff_t ih = h * H->stride + th * H->dilation + H->start;
                const ptrdiff_t iw = tw * W->dilation + W->start;
                const real *x_row = x + (((n * D->input + id) * H->input + ih) * W->input + iw) * j->channels;
                real *row = sums + ((n * D->output + d) * H->output + h) * W->output * lanes;
                for (ptrdiff_t w = w0; w < w1; w++)
                    to[count++] = (reached){x_row + w * W->stride * j->channels, row + w * lanes};
            }
    return count;
}

/* Adds to the sums of `count` reached outputs their products with a chunk of weights, and asks for the chunk at `next`: all
 * of it in order, a share with each panel, as memory gives what lies together faster. */
static void add_chunk(const fc_conv_stream *j, const reached *r, ptrdiff_t count, ptrdiff_t depth, const real *w,
                      ptrdiff_t width, const real *next, real *a, real *packed)
{
    const ptrdiff_t a_row = blocks(j->depth, LANES) * LANES, pieces = blocks(count, BLOCK);
    const int in_order = width == j->filters;
    for (ptrdiff_t m = 0; m < count; m++)
        for (ptrdiff_t i = 0; i < depth; i += LANES)
            store(a + m * a_row + i, load_part(r[m].x + i, min_(depth - i, LANES)));
    for (ptrdiff_t k = 0; k < width; k += PANEL) {
        const ptrdiff_t valid = min_(width - k, PANEL), vectors = blocks(valid, LANES);
        fc_factors f = {.depth = depth, .a_row = a_row, .b_row = j->filters};
        const real *b = w + k;
        if (valid % LANES) { /* whole vectors would leave the row */
            for (ptrdiff_t i = 0; i < depth; i++)
                for (ptrdiff_t v = 0; v < vectors; v++)
                    store(packed + (i * vectors + v) * LANES,
                          load_part(b + i * j->filters + v * LANES, min_(valid - v * LANES, LANES)));
            b = packed, f.b_row = vectors * LANES;
        }
        for (ptrdiff_t i = 0, m = 0; i < pieces; i++) { /* pieces differ by one output at most */
            const ptrdiff_t rows = (count + i) / pieces;
            real products[BLOCK * PANEL];
            const real *ahead = in_order ? next + k * depth : next + k;
            f.next_row = in_order ? PANEL : j->filters;
            f.next[0] = ahead, f.next[1] = ahead + LANES;
            if (pieces > 1 && i < 2) { /* two share it, neither of which is then kept waiting */
                f.next[0] = f.next[1] = ahead + i * LANES * (in_order ? depth : 1);
                f.next_row = in_order ? LANES : j->filters;
            } else if (i > 1)
                f.next[0] = f.next[1] = b, f.next_row = f.b_row;
            FC_NAME(product_block)(&f, rows, vectors, a + m * a_row, b, products, PANEL);
            for (ptrdiff_t o = 0; o < rows; o++, m++)
                for (ptrdiff_t v = 0; v < vectors; v++) {
                    real *sum = r[m].sum + k + v * LANES;
                    store(sum, load(sum) + load(products + o * PANEL + v * LANES));
                }
        }
    }
}

void FC_NAME(conv_stream)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_conv_stream *j = job;
    const fc_axis *axis = j->axis;
    const ptrdiff_t C = j->channels, K = j->filters, lanes = blocks(K, LANES) * LANES;
    const ptrdiff_t parts = blocks(K, j->part), slices = blocks(C, j->depth);
    const ptrdiff_t first = index % parts * j->part, slice = (index /= parts) % slices;
    const ptrdiff_t c = slice * j->depth, n = index / slices * j->samples;
    const ptrdiff_t width = min_(K - first, j->part), depth = min_(C - c, j->depth),
                    samples = min_(j->batch - n, j->samples);
    const ptrdiff_t taps = axis[0].taps * axis[1].taps * axis[2].taps;
    const ptrdiff_t outputs = axis[0].output * axis[1].output * axis[2].output;
    const real *x = (const real *)j->x + n * axis[0].input * axis[1].input * axis[2].input * C + c;
    const real *w = (const real *)j->weights + c * K + first;
    real *sums = (real *)j->sums + (slice * j->batch + n) * outputs * lanes + first;
    const layout at = layout_of(j);
    real *inputs = scratch, *packed = (real *)((char *)scratch + at.packed);
    reached *r = (reached *)((char *)scratch + at.reached);

    for (ptrdiff_t o = 0; o < samples * outputs; o++)
        for (ptrdiff_t k = 0; k < width; k += LANES) store(sums + o * lanes + k, (vec){0});
    const ptrdiff_t start = next_tap(axis, 0, taps);
    for (ptrdiff_t tap = start, after; tap < taps; tap = after) {
        const ptrdiff_t count = list_reached(j, tap, samples, x, sums, lanes, r);
        after = next_tap(axis, tap + 1, taps);
        ptrdiff_t next = after * C; /* then the first chunk of the next slice */
        if (after == taps) next = c + depth < C ? start * C + depth : tap * C;
        add_chunk(j, r, count, depth, w + tap * C * K, width, w + next * K, inputs, packed);
    }
}

void FC_NAME(conv_stream_sum)(const void *job, ptrdiff_t n, void *scratch)
{
    (void)scratch;
    const fc_conv_stream *j = job;
    const ptrdiff_t *pool = j->pool, H = j->axis[1].output, W = j->axis[2].output, K = j->filters;
    const ptrdiff_t outputs = j->axis[0].output * H * W, lanes = blocks(K, LANES) * LANES;
    const ptrdiff_t slices = blocks(j->channels, j->depth), next = j->batch * outputs * lanes;
    real *sums = (real *)j->sums + n * outputs * lanes, *y = (real *)j->y + n * outputs * K;
    for (ptrdiff_t k = 0; k < K; k += LANES) {
        const ptrdiff_t valid = min_(K - k, LANES);
        vec scale = (vec){0} + 1;
        if (j->scale) scale = load_part((const real *)j->scale + k, valid);
        const vec bias = j->bias ? load_part((const real *)j->bias + k, valid) : (vec){0};
        for (ptrdiff_t o = 0; o < outputs; o++) {
            real *from = sums + o * lanes + k;
            vec sum = load(from);
            for (ptrdiff_t s = 1; s < slices; s++) sum += load(from + s * next);
            sum = sum * scale + bias;
            if (pool[0])
                store(from, sum);
            else
                store_part(y + o * K + k, finished(&j->finish, sum, (n * outputs + o) * K + k, valid), valid);
        }
    }
    if (j->finish.map) FC_NAME(map_rows)(&j->finish, y, outputs, K, K);
    if (!pool[0]) return;
    const ptrdiff_t step[3] = {H * W * lanes, W * lanes, lanes};
    const ptrdiff_t depths = j->axis[0].output / pool[0], rows = H / pool[1], columns = W / pool[2];
    for (ptrdiff_t d = 0; d < depths; d++)
        for (ptrdiff_t h = 0; h < rows; h++) {
            const ptrdiff_t at = ((n * depths + d) * rows + h) * columns * K;
            pool_columns(pool[0], pool[1], pool[2], columns, K, sums + d * pool[0] * step[0] + h * pool[1] * step[1],
                         step, j->finish.relu, K, (real *)j->y + at, (uint8_t *)j->index + at);
        }
}
