/* pool_max.h: max pooling for one type of index; pool.c includes it with INDEX and MAX_NAME defined.
 *
 * Forward: ties take the first tap, NaN wins and the first NaN stays. Backward: a cell takes the gradient of each
 * window that it won, in the windows' order.
 */
typedef INDEX MAX_NAME(index_vec)
    __attribute__((vector_size(LANES * sizeof(INDEX)), aligned(sizeof(INDEX)), may_alias));

FC_INLINE void MAX_NAME(store_index)(INDEX *index, const ivec *won, int vectors, ptrdiff_t lanes)
{
    if (sizeof(INDEX) == 1 && vectors == WIDE && pack_bytes((uint8_t *)index, won)) return;
    for (int v = 0; v < vectors; v++) {
        const MAX_NAME(index_vec) narrow = __builtin_convertvector(won[v], MAX_NAME(index_vec));
        if (lanes == LANES)
            *(MAX_NAME(index_vec) *)(index + v * LANES) = narrow;
        else
            memcpy(index, &narrow, lanes * sizeof(INDEX));
    }
}

FC_INLINE ivec MAX_NAME(winners)(const INDEX *index, ptrdiff_t lanes)
{
    MAX_NAME(index_vec) narrow = {0};
    if (lanes == LANES && sizeof(INDEX) == 1) return unpack_bytes((const uint8_t *)index);
    if (lanes == LANES)
        narrow = *(const MAX_NAME(index_vec) *)index;
    else
        memcpy(&narrow, index, lanes * sizeof(INDEX));
    return __builtin_convertvector(narrow, ivec);
}

/* `first` is the number of the first tap inside, `depth_taps` and `row_taps` lie between depths and rows. */
FC_INLINE void MAX_NAME(max_window)(ptrdiff_t c, int vectors, ptrdiff_t lanes, part p, lane first, lane depth_taps,
                                    lane row_taps, ptrdiff_t next, const real *x, real *y, INDEX *index)
{
    x += c, y += c, index += c;
    vec best[WIDE];
    ivec won[WIDE];
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        best[v] = load_part(x + v * LANES, lanes);
        won[v] = (ivec){0} + first;
    }
    for (ptrdiff_t d = 0; d < p.depths; d++)
        for (ptrdiff_t h = 0; h < p.rows; h++)
            for (ptrdiff_t w = 0; w < p.columns; w++) {
                const real *x_tap = x + d * p.depth_step + h * p.row_step + w * p.pixel;
                soon(0, x_tap + next, vectors);
                if (d + h + w == 0) continue;
                const ivec tap = (ivec){0} + (lane)(first + (lane)d * depth_taps + (lane)h * row_taps + (lane)w);
                FC_UNROLL(4)
                for (int v = 0; v < vectors; v++)
                    keep_greater(load_part(x_tap + v * LANES, lanes), tap, &best[v], &won[v]);
            }
    soon(1, y + PAGE, vectors);
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) store_part(y + v * LANES, best[v], lanes);
    MAX_NAME(store_index)(index, won, vectors, lanes);
}

/* `count` windows side by side, `x_step` between their first cells, with so many taps inside. */
FC_INLINE void MAX_NAME(max_columns)(const ptrdiff_t depths, const ptrdiff_t rows, const ptrdiff_t columns,
                                     const part *steps, lane first, lane depth_taps, lane row_taps, ptrdiff_t next,
                                     ptrdiff_t count, ptrdiff_t x_step, const real *x, real *y, INDEX *index)
{
    const ptrdiff_t C = steps->pixel;
    const part p = {depths, rows, columns, steps->depth_step, steps->row_step, C};
    for (const real *end = y + count * C; y < end; x += x_step, y += C, index += C)
        FOR_CHANNELS(C, MAX_NAME(max_window), p, first, depth_taps, row_taps, next, x, y, index);
}

static void MAX_NAME(max_forward_row)(const fc_pool *j, ptrdiff_t row)
{
    const fc_axis *W = &j->axis[2];
    const ptrdiff_t C = j->channels;
    const place o = place_of(row, j->axis[0].output, j->axis[1].output);
    const taps td = window_taps(&j->axis[0], o.d), th = window_taps(&j->axis[1], o.h);
    const part all = part_of(j, td.last - td.first, th.last - th.first);
    const real *x_row = (const real *)j->x + o.n * j->axis[0].input * all.depth_step
                      + (td.at + td.first) * all.depth_step + (th.at + th.first) * all.row_step;
    real *y = (real *)j->y + row * W->output * C;
    INDEX *index = (INDEX *)j->index + row * W->output * C;
    const fc_axis *H = &j->axis[1];
    const ptrdiff_t next = min_(H->stride, H->input) * all.row_step; /* to what the next row of windows reads */
    const lane row_taps = (lane)W->taps, depth_taps = (lane)j->axis[1].taps * row_taps;
    for (ptrdiff_t ow = 0; ow < W->output;) {
        const taps tw = window_taps(W, ow);
        const ptrdiff_t columns = tw.last - tw.first, stop = alike(W, ow);
        const lane first = (lane)td.first * depth_taps + (lane)th.first * row_taps + (lane)tw.first;
        FOR_TAPS(all.depths, all.rows, columns, MAX_NAME(max_columns), &all, first, depth_taps, row_taps, next,
                 stop - ow, W->stride * C, x_row + (tw.at + tw.first) * C, y + ow * C, index + ow * C);
        ow = stop;
    }
}

void FC_NAME(MAX_NAME(max_pool_forward))(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    each_row(job, tile, output_rows(job), MAX_NAME(max_forward_row));
}

FC_INLINE void MAX_NAME(max_spread)(ptrdiff_t c, int vectors, ptrdiff_t lanes, const int far, ptrdiff_t C, lane first,
                                    ptrdiff_t columns, const real *dy, const INDEX *index, real *dx)
{
    dy += c, index += c, dx += c;
    soon(0, dy + PAGE, vectors);
    for (ptrdiff_t w = 0; !far && w < columns; w++) soon(1, dx + PAGE + w * C, vectors);
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) {
        const ivec g = (ivec)load_part(dy + v * LANES, lanes), won = MAX_NAME(winners)(index + v * LANES, lanes);
        for (ptrdiff_t w = 0; w < columns; w++)
            store_part_far(far, dx + w * C + v * LANES, (vec)(g & (won == (lane)(first + (lane)w))), lanes);
    }
}

/* `count` windows side by side, `dx_step` between their first cells; what lies between them becomes 0. */
FC_INLINE void MAX_NAME(max_spread_columns)(const ptrdiff_t depths, const ptrdiff_t rows, const ptrdiff_t columns,
                                            const int far, ptrdiff_t C, lane first, ptrdiff_t count, ptrdiff_t dx_step,
                                            const real *dy, const INDEX *index, real *dx)
{
    (void)depths, (void)rows;
    for (const real *end = dy + count * C; dy < end; dx += dx_step, dy += C, index += C) {
        FOR_CHANNELS(C, MAX_NAME(max_spread), far, C, first, columns, dy, index, dx);
        if (dy + C < end) zeros(dx + columns * C, dx_step - columns * C);
    }
}

/* One row of dx from the row of windows over it, whose tap (0, 0) on this row is `here`; no cell has two windows. */
FC_INLINE void MAX_NAME(max_spread_row)(const int far, const fc_axis *W, ptrdiff_t C, lane here, const real *dy,
                                        const INDEX *index, real *dx_row)
{
    ptrdiff_t done = 0; /* cells written so far */
    for (ptrdiff_t ow = 0; ow < W->output;) {
        const taps tw = window_taps(W, ow);
        const ptrdiff_t columns = tw.last - tw.first, stop = alike(W, ow), from = tw.at + tw.first;
        zeros(dx_row + done * C, (from - done) * C);
        FOR_TAPS(1, 1, columns, MAX_NAME(max_spread_columns), far, C, here + (lane)tw.first, stop - ow, W->stride * C,
                 dy + ow * C, index + ow * C, dx_row + from * C);
        ow = stop;
        done = (ow - 1) * W->stride + W->start + tw.first + columns;
    }
    zeros(dx_row + done * C, (W->input - done) * C);
}

/* Cell `i` (depth, height, width) from the windows over it. */
FC_INLINE void MAX_NAME(max_gather)(ptrdiff_t c, int vectors, ptrdiff_t lanes, const int kind, const fc_pool *j,
                                    const real *dy_n, const INDEX *index_n, windows d, windows h, windows w,
                                    const ptrdiff_t i[3], real *dx)
{
    dy_n += c, index_n += c, dx += c;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    vec sum[WIDE] = {{0}};
    for (ptrdiff_t od = d.first; od < d.last; od++)
        for (ptrdiff_t oh = h.first; oh < h.last; oh++) {
            const ptrdiff_t at = ((od * H->output + oh) * W->output + w.first) * j->channels;
            const real *dy = dy_n + at;
            const INDEX *index = index_n + at;
            const ptrdiff_t td = i[0] - first_cell(kind, D, od), th = i[1] - first_cell(kind, H, oh);
            const ptrdiff_t row = (td * H->taps + th) * W->taps + i[2];
            for (ptrdiff_t ow = w.first; ow < w.last; ow++, dy += j->channels, index += j->channels) {
                const ptrdiff_t tap = row - first_cell(kind, W, ow);
                FC_UNROLL(4)
                for (int v = 0; v < vectors; v++) {
                    const ivec mine = MAX_NAME(winners)(index + v * LANES, lanes) == (lane)tap;
                    sum[v] += (vec)(mine & (ivec)load_part(dy + v * LANES, lanes));
                }
            }
        }
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) store_part(dx + v * LANES, sum[v], lanes);
}

FC_INLINE void MAX_NAME(max_gather_row)(const int kind, const fc_pool *j, const real *dy_n, const INDEX *index_n,
                                        windows d, windows h, place at, real *dx)
{
    const ptrdiff_t C = j->channels;
    for (ptrdiff_t iw = 0; iw < j->axis[2].input; iw++, dx += C) {
        const windows w = windows_over(kind, &j->axis[2], iw);
        const ptrdiff_t cell[3] = {at.d, at.h, iw};
        FOR_CHANNELS(C, MAX_NAME(max_gather), kind, j, dy_n, index_n, d, h, w, cell, dx);
    }
}

static void MAX_NAME(max_backward_row)(const fc_pool *j, ptrdiff_t row)
{
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels;
    const place i = place_of(row, D->input, H->input);
    const windows d = windows_over(ANY, D, i.d), h = windows_over(ANY, H, i.h);
    const ptrdiff_t sample = i.n * D->output * H->output * W->output * C;
    const real *dy_n = (const real *)j->x + sample;
    const INDEX *index_n = (const INDEX *)j->index + sample;
    real *dx = (real *)j->y + row * W->input * C;
    if (d.first >= d.last || h.first >= h.last) {
        zeros(dx, W->input * C);
    } else if (!overlapping(j)) {
        const ptrdiff_t at = (d.first * H->output + h.first) * W->output * C;
        const ptrdiff_t td = i.d - first_cell(ANY, D, d.first), th = i.h - first_cell(ANY, H, h.first);
        const lane here = (lane)((td * H->taps + th) * W->taps);
        if (j->far)
            MAX_NAME(max_spread_row)(1, W, C, here, dy_n + at, index_n + at, dx);
        else
            MAX_NAME(max_spread_row)(0, W, C, here, dy_n + at, index_n + at, dx);
    } else if (kind_of(j) == STRIDED) {
        MAX_NAME(max_gather_row)(STRIDED, j, dy_n, index_n, d, h, i, dx);
    } else {
        MAX_NAME(max_gather_row)(ANY, j, dy_n, index_n, d, h, i, dx);
    }
}

void FC_NAME(MAX_NAME(max_pool_backward))(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    each_row(job, tile, input_rows(job), MAX_NAME(max_backward_row));
}
