/* pool_max.h: max pooling for one type of index; pool.c includes it with INDEX and MAX_NAME defined.
 *
 * Forward: ties take the first tap, NaN wins and the first NaN stays. Backward gathers: an input takes the gradient of
 * each window that it won, in the windows' order, so dx is written once, needs no zeros and no atomics. Where windows
 * do not overlap, each is read once for all of its cells in the row.
 */
typedef INDEX MAX_NAME(index_vec) __attribute__((vector_size(LANES * sizeof(INDEX)), aligned(sizeof(INDEX)), may_alias));

void FC_NAME(MAX_NAME(max_pool_forward))(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_pool *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, oh = tile % H->output, od = tile / H->output % D->output;
    const ptrdiff_t n = tile / H->output / D->output;
    const ptrdiff_t d0 = first_tap(D, od), d1 = last_tap(D, od), h0 = first_tap(H, oh), h1 = last_tap(H, oh);
    const real *x_n = (const real *)j->x + n * D->input * H->input * W->input * C;
    real *y = (real *)j->y + tile * W->output * C;
    INDEX *index = (INDEX *)j->index + tile * W->output * C;

    if (sizeof(INDEX) == 1 && d1 - d0 == D->taps && h1 - h0 == H->taps && whole_rows(W)) {
        const ptrdiff_t id = od * D->stride + D->start, ih = oh * H->stride + H->start;
        pool_row(j, x_n + ((id * H->input + ih) * W->input + W->start) * C, y, (uint8_t *)index);
        return;
    }
    for (ptrdiff_t ow = 0; ow < W->output; ow++, y += C, index += C) {
        const ptrdiff_t w0 = first_tap(W, ow), w1 = last_tap(W, ow);
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            const ptrdiff_t lanes = min_(C - c, LANES);
            vec best = {0};
            ivec won = {0};
            int fresh = 1;
            for (ptrdiff_t td = d0; td < d1; td++)
                for (ptrdiff_t th = h0; th < h1; th++)
                    for (ptrdiff_t tw = w0; tw < w1; tw++) {
                        const ptrdiff_t id = od * D->stride + td + D->start, ih = oh * H->stride + th + H->start;
                        const ptrdiff_t iw = ow * W->stride + tw + W->start;
                        const vec v = load_part(x_n + ((id * H->input + ih) * W->input + iw) * C + c, lanes);
                        const ivec take = fresh ? ~(ivec){0} : (v > best) | ((v != v) & (best == best));
                        best = select(take, v, best);
                        won = choose(take, (ivec){0} + (lane)((td * H->taps + th) * W->taps + tw), won);
                        fresh = 0;
                    }
            store_part(y + c, best, lanes);
            if (sizeof(INDEX) == 1) {
                store_bytes((uint8_t *)index + c, won, lanes);
            } else {
                const MAX_NAME(index_vec) narrow = __builtin_convertvector(won, MAX_NAME(index_vec));
                memcpy(index + c, &narrow, lanes * sizeof(INDEX));
            }
        }
    }
}

FC_INLINE ivec MAX_NAME(winners)(const INDEX *index, ptrdiff_t lanes)
{
    MAX_NAME(index_vec) narrow = {0};
    if (lanes == LANES)
        narrow = *(const MAX_NAME(index_vec) *)index;
    else
        memcpy(&narrow, index, lanes * sizeof(INDEX));
    return __builtin_convertvector(narrow, ivec);
}

/* One row of dx from the row of windows over it, whose tap (0, 0) on this row is `first_tap_here`. */
static void MAX_NAME(spread)(const fc_axis *W, ptrdiff_t C, ptrdiff_t first_tap_here, const real *dy, const INDEX *index,
                             real *dx)
{
    if (W->taps == 2 && W->stride == 2 && W->start == 0 && W->input >= 2 * W->output) {
        for (ptrdiff_t ow = 0; ow < W->output; ow++, dy += C, index += C, dx += 2 * C)
            for (ptrdiff_t c = 0; c < C; c += LANES) {
                const ptrdiff_t lanes = min_(C - c, LANES);
                const vec g = load_part(dy + c, lanes);
                const ivec won = MAX_NAME(winners)(index + c, lanes) - (lane)first_tap_here;
                store_part(dx + c, (vec)((ivec)g & (won == 0)), lanes);
                store_part(dx + C + c, (vec)((ivec)g & (won == 1)), lanes);
            }
        memset(dx, 0, (W->input - 2 * W->output) * C * sizeof(real));
        return;
    }
    ptrdiff_t done = 0; /* cells written so far */
    for (ptrdiff_t ow = 0; ow < W->output; ow++, dy += C, index += C) {
        const ptrdiff_t cell = ow * W->stride + W->start, t0 = first_tap(W, ow), t1 = last_tap(W, ow);
        memset(dx + done * C, 0, (cell + t0 - done) * C * sizeof(real));
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            const ptrdiff_t lanes = min_(C - c, LANES);
            const vec g = load_part(dy + c, lanes);
            const ivec won = MAX_NAME(winners)(index + c, lanes);
            for (ptrdiff_t t = t0; t < t1; t++) {
                const ivec mine = won == (lane)(first_tap_here + t);
                store_part(dx + (cell + t) * C + c, select(mine, g, (vec){0}), lanes);
            }
        }
        done = cell + t1;
    }
    memset(dx + done * C, 0, (W->input - done) * C * sizeof(real));
}

void FC_NAME(MAX_NAME(max_pool_backward))(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_pool *j = job;
    const fc_axis *D = &j->axis[0], *H = &j->axis[1], *W = &j->axis[2];
    const ptrdiff_t C = j->channels, ih = tile % H->input, id = tile / H->input % D->input;
    const ptrdiff_t n = tile / H->input / D->input;
    const ptrdiff_t d0 = first_window(D, id), d1 = last_window(D, id);
    const ptrdiff_t h0 = first_window(H, ih), h1 = last_window(H, ih);
    real *dx = (real *)j->y + tile * W->input * C;

    if (D->stride >= D->taps && H->stride >= H->taps && W->stride >= W->taps) {
        if (d0 >= d1 || h0 >= h1) {
            memset(dx, 0, W->input * C * sizeof(real));
            return;
        }
        const ptrdiff_t td = id - d0 * D->stride - D->start, th = ih - h0 * H->stride - H->start;
        const ptrdiff_t at = ((n * D->output + d0) * H->output + h0) * W->output * C;
        MAX_NAME(spread)(W, C, (td * H->taps + th) * W->taps, (const real *)j->x + at, (const INDEX *)j->index + at, dx);
        return;
    }
    for (ptrdiff_t iw = 0; iw < W->input; iw++, dx += C) {
        const ptrdiff_t w0 = first_window(W, iw), w1 = last_window(W, iw);
        for (ptrdiff_t c = 0; c < C; c += LANES) {
            const ptrdiff_t lanes = min_(C - c, LANES);
            vec sum = {0};
            for (ptrdiff_t od = d0; od < d1; od++)
                for (ptrdiff_t oh = h0; oh < h1; oh++)
                    for (ptrdiff_t ow = w0; ow < w1; ow++) {
                        const ptrdiff_t td = id - od * D->stride - D->start, th = ih - oh * H->stride - H->start;
                        const ptrdiff_t tap = (td * H->taps + th) * W->taps + iw - ow * W->stride - W->start;
                        const ptrdiff_t at = (((n * D->output + od) * H->output + oh) * W->output + ow) * C + c;
                        const ivec mine = MAX_NAME(winners)((const INDEX *)j->index + at, lanes) == (lane)tap;
                        sum += select(mine, load_part((const real *)j->x + at, lanes), (vec){0});
                    }
            store_part(dx + c, sum, lanes);
        }
    }
}
