/* norm.c: batch and group normalization and their gradients; statistics of columns. Rows' are norm_rows.c's.
 *
 * x is (samples, rows, channels), and a group is a run of channels: batch normalization is one sample whose groups are
 * single channels. Two passes over the map each way: sums of pieces, then the result; a fold of the pieces' sums in
 * between. Sums run in `real` over a few rows, around a center near their mean, and in double from there on: a mean
 * far above the deviation costs no digits. NaN reaches every output that depends on it.
 */
#include "far.h"
#include "sizes.h"

#include <math.h>

/* What a tile works on: `rows` whole rows of `count` elements, and one of `tail` where a sample ends within a row of
 * several pixels. `channel` is the first element's; the row repeats its channels after `period` elements. */
typedef struct {
    ptrdiff_t sample, slice, start, channel, count, period, rows, tail;
} piece;

FC_INLINE piece piece_of(const fc_norm *j, ptrdiff_t tile)
{
    const ptrdiff_t parts = blocks(j->width, j->columns), size = j->rows * j->channels, whole = size / j->width;
    piece p = {.sample = tile / parts / j->slices, .slice = tile / parts % j->slices};
    const ptrdiff_t first = p.slice * j->block;
    p.channel = tile % parts * j->columns;
    p.count = min_(j->width - p.channel, j->columns);
    p.period = min_(p.count, j->channels);
    p.start = p.sample * size + first * j->width + p.channel;
    p.rows = min_(whole - first, j->block);
    p.tail = first + j->block > whole ? size % j->width : 0;
    return p;
}

/* The pixels of a slice. */
FC_INLINE ptrdiff_t pixels(const fc_norm *j, ptrdiff_t slice)
{
    const ptrdiff_t most = j->block * (j->width / j->channels);
    return min_(j->rows - slice * most, most);
}

/* The rows of a piece are summed RUN at a time. */
enum { RUN = 64 };
typedef struct {
    ptrdiff_t at, rows, count;
} run;

FC_INLINE ptrdiff_t runs(piece p) { return blocks(p.rows, RUN) + (p.tail > 0); }
FC_INLINE run run_of(const fc_norm *j, piece p, ptrdiff_t i)
{
    const ptrdiff_t rows = min_(p.rows - i * RUN, RUN);
    return rows > 0 ? (run){i * RUN * j->width, rows, p.count} : (run){p.rows * j->width, 1, p.tail};
}

/* One value a column of a piece. No whole number of pages, so that a load waits for no store to the same place of
 * another one. */
enum { ROOM = FC_NORM_WIDTH + 48 };
typedef struct {
    real of[ROOM] __attribute__((aligned(64)));
} columns;
typedef struct {
    double of[ROOM] __attribute__((aligned(64)));
} totals;

/* Repeats the first `period` columns. */
FC_INLINE void spread(columns *row, piece p)
{
    for (ptrdiff_t have = p.period; have < p.count; have *= 2)
        memcpy(row->of + have, row->of, min_(have, p.count - have) * sizeof(real));
}

/* The value of each column's group in values[sample][group]. */
FC_INLINE void spread_groups(columns *row, const fc_norm *j, piece p, const void *values)
{
    const real *v = (const real *)values + p.sample * (j->channels / j->group);
    if (j->group == 1)
        memcpy(row->of, v + p.channel, p.period * sizeof(real));
    else
        for (ptrdiff_t c = 0, g = p.channel / j->group, next; c < p.period; c = next, g++) {
            next = min_((g + 1) * j->group - p.channel, p.period);
            for (; c < next; c++) row->of[c] = v[g];
        }
    spread(row, p);
}

/* ---- the sums of a piece ---- */

FC_INLINE void add_run(const run r, columns *first, columns *second, totals *firsts, totals *seconds)
{
    for (ptrdiff_t c = 0; c < r.count; c++) {
        firsts->of[c] += first->of[c];
        seconds->of[c] += second->of[c];
    }
}

/* The sums of a piece's columns as those of its channels. */
FC_INLINE void fold_columns(totals *sums, piece p)
{
    for (ptrdiff_t at = p.period; at < p.count; at += p.period)
        for (ptrdiff_t c = 0; c < p.period; c++) sums->of[c] += sums->of[at + c];
}

/* sums += x - center, squares += its squares. Four rows are added to one another first. */
FC_INLINE void add_deviations(const real *restrict x, const run r, ptrdiff_t width, const columns *restrict center,
                              columns *restrict sums, columns *restrict squares)
{
    ptrdiff_t row = 0;
    for (; row + 4 <= r.rows; row += 4, x += 4 * width)
        for (ptrdiff_t c = 0; c < r.count; c++) {
            const real k = center->of[c], a = x[c] - k, b = x[c + width] - k, d = x[c + 2 * width] - k,
                       e = x[c + 3 * width] - k;
            sums->of[c] += (a + b) + (d + e);
            squares->of[c] += (a * a + b * b) + (d * d + e * e);
        }
    for (; row < r.rows; row++, x += width)
        for (ptrdiff_t c = 0; c < r.count; c++) {
            const real a = x[c] - center->of[c];
            sums->of[c] += a;
            squares->of[c] += a * a;
        }
}

/* The sum of each channel of a piece, and of the squares of its deviations from the piece's mean, to
 * sums[sample][slice][2][channel]. The center is the mean of the first run. */
void FC_NAME(norm_statistics)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_norm *j = job;
    const piece p = piece_of(j, tile);
    const real *x = (const real *)j->x + p.start;
    columns center, first, second;
    totals firsts, seconds;
    memcpy(center.of, x, p.period * sizeof(real));
    spread(&center, p);
    for (ptrdiff_t i = -1; i < runs(p); i++) { /* -1: the first run, for the center */
        const run r = run_of(j, p, max_(i, 0));
        if (i <= 0) {
            memset(firsts.of, 0, p.count * sizeof(double));
            memset(seconds.of, 0, p.count * sizeof(double));
        }
        memset(first.of, 0, r.count * sizeof(real));
        memset(second.of, 0, r.count * sizeof(real));
        add_deviations(x + r.at, r, j->width, &center, &first, &second);
        add_run(r, &first, &second, &firsts, &seconds);
        if (i < 0) {
            fold_columns(&firsts, p);
            const double count = (double)(r.rows * r.count / p.period);
            for (ptrdiff_t c = 0; c < p.period; c++) center.of[c] = (real)(center.of[c] + firsts.of[c] / count);
            spread(&center, p);
        }
    }
    fold_columns(&firsts, p);
    fold_columns(&seconds, p);
    const double count = (double)pixels(j, p.slice);
    double *sums = j->sums + (p.sample * j->slices + p.slice) * 2 * j->channels + p.channel;
    for (ptrdiff_t c = 0; c < p.period; c++) {
        const double square = seconds.of[c] - firsts.of[c] * firsts.of[c] / count;
        sums[c] = count * center.of[c] + firsts.of[c];
        sums[j->channels + c] = square < 0 ? 0 : square;
    }
}

/* dy where ReLU did not cut. */
FC_INLINE real uncut(real dy, real y, real most) { return (y <= 0) | (y >= most) ? 0 : dy; }

/* first += dy, second += dy * (x - center), with dy cut where the forward's `y` is, and written to `cut`. */
FC_INLINE void add_gradients(const int masked, const int writes, const real *restrict dy, const real *restrict x,
                             const real *restrict y, real *restrict cut, const run r, ptrdiff_t width,
                             const columns *restrict center, columns *restrict first, columns *restrict second,
                             const real most)
{
#define CUT(at) (masked ? uncut(dy[at], y[at], most) : dy[at])
    ptrdiff_t row = 0;
    for (; row + 2 <= r.rows; row += 2)
        for (ptrdiff_t c = 0; c < r.count; c++) {
            const ptrdiff_t at = row * width + c, below = at + width;
            const real k = center->of[c], a = CUT(at), b = CUT(below);
            first->of[c] += a + b;
            second->of[c] += a * (x[at] - k) + b * (x[below] - k);
            if (writes) {
                cut[at] = a;
                cut[below] = b;
            }
        }
    if (row < r.rows)
        for (ptrdiff_t c = 0; c < r.count; c++) {
            const ptrdiff_t at = row * width + c;
            const real a = CUT(at);
            first->of[c] += a;
            second->of[c] += a * (x[at] - center->of[c]);
            if (writes) cut[at] = a;
        }
#undef CUT
}

/* The sums of dy and dy * (x - mean) of each channel of a piece, to sums[sample][slice][2][channel]. */
void FC_NAME(norm_gradients)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_norm *j = job;
    const piece p = piece_of(j, tile);
    columns center, first, second;
    totals firsts, seconds;
    spread_groups(&center, j, p, j->mean);
    memset(firsts.of, 0, p.count * sizeof(double));
    memset(seconds.of, 0, p.count * sizeof(double));
    for (ptrdiff_t i = 0; i < runs(p); i++) {
        const run r = run_of(j, p, i);
        const ptrdiff_t at = p.start + r.at;
        const real *dy = (const real *)j->dy + at, *x = (const real *)j->x + at;
        memset(first.of, 0, r.count * sizeof(real));
        memset(second.of, 0, r.count * sizeof(real));
#define ADD(masked, writes, y, cut) \
    add_gradients(masked, writes, dy, x, y, cut, r, j->width, &center, &first, &second, (real)j->most)
        if (j->mask && j->cut)
            ADD(1, 1, (const real *)j->mask + at, (real *)j->cut + at);
        else if (j->mask)
            ADD(1, 0, (const real *)j->mask + at, NULL);
        else
            ADD(0, 0, NULL, NULL);
#undef ADD
        add_run(r, &first, &second, &firsts, &seconds);
    }
    fold_columns(&firsts, p);
    fold_columns(&seconds, p);
    double *sums = j->sums + (p.sample * j->slices + p.slice) * 2 * j->channels + p.channel;
    memcpy(sums, firsts.of, p.period * sizeof(double));
    memcpy(sums + j->channels, seconds.of, p.period * sizeof(double));
}

/* ---- what the sums of the pieces say of a group ---- */

/* The groups of a fold's tile: `groups` of them, from `group` on, all samples' counted; `channel` is the first one's in
 * its sample. */
typedef struct {
    ptrdiff_t sample, group, groups, channel, channels;
} share;

FC_INLINE share share_of(const fc_norm *j, ptrdiff_t tile)
{
    const ptrdiff_t all = j->channels / j->group, parts = blocks(all, j->part), first = tile % parts * j->part;
    share s = {tile / parts, tile / parts * all + first, min_(all - first, j->part), first * j->group, 0};
    s.channels = s.groups * j->group;
    return s;
}

/* Two sums a channel, of norm_backward_fold and of the tiles of whole samples too. */
ptrdiff_t FC_NAME(norm_fold_size)(const void *job)
{
    const fc_norm *j = job;
    return FC_PRODUCT(2, j->part, j->group, sizeof(double));
}

/* mean, rest, inverse_std and variance of each group; where no sums are given, inverse_std from the variance alone. */
void FC_NAME(norm_fold)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_norm *j = job;
    const share s = share_of(j, tile);
    real *mean = (real *)j->mean + s.group, *rest = (real *)j->rest + s.group;
    real *variance = (real *)j->variance + s.group, *inverse_std = (real *)j->inverse_std + s.group;
    if (!j->sums) {
        for (ptrdiff_t g = 0; g < s.groups; g++) inverse_std[g] = (real)(1 / sqrt(variance[g] + j->epsilon));
        return;
    }
    double *restrict means = scratch, *restrict squares = means + s.channels;
    memset(scratch, 0, 2 * s.channels * sizeof(double));
    const double *const sums = j->sums + s.sample * j->slices * 2 * j->channels + s.channel;
    for (ptrdiff_t slice = 0; slice < j->slices; slice++)
        for (ptrdiff_t c = 0; c < s.channels; c++) means[c] += sums[slice * 2 * j->channels + c];
    for (ptrdiff_t c = 0; c < s.channels; c++) means[c] /= (double)j->rows;
    for (ptrdiff_t slice = 0; slice < j->slices; slice++) {
        const double *restrict sum = sums + slice * 2 * j->channels, *restrict square = sum + j->channels;
        const double count = (double)pixels(j, slice);
        for (ptrdiff_t c = 0; c < s.channels; c++) {
            const double off = sum[c] / count - means[c];
            squares[c] += square[c] + count * off * off;
        }
    }
    for (ptrdiff_t g = 0; g < s.groups; g++) {
        const ptrdiff_t first = g * j->group, last = first + j->group;
        double m = 0, v = 0;
        for (ptrdiff_t c = first; c < last; c++) m += means[c];
        m /= (double)j->group;
        for (ptrdiff_t c = first; c < last; c++) v += squares[c] + (double)j->rows * (means[c] - m) * (means[c] - m);
        v /= (double)j->rows * (double)j->group;
        mean[g] = (real)m;
        rest[g] = (real)(m - (double)mean[g]);
        variance[g] = (real)v;
        inverse_std[g] = (real)(1 / sqrt(v + j->epsilon));
    }
}

/* dgamma and dbeta of each sample's channels, and what dx needs of its groups: slope and offset where the statistics
 * come from x itself; dmean and dvariance where they do not. */
void FC_NAME(norm_backward_fold)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_norm *j = job;
    const share s = share_of(j, tile);
    double *restrict firsts = scratch, *restrict seconds = firsts + s.channels;
    memset(scratch, 0, 2 * s.channels * sizeof(double));
    const double *const sums = j->sums + s.sample * j->slices * 2 * j->channels + s.channel;
    for (ptrdiff_t slice = 0; slice < j->slices; slice++) {
        const double *restrict first = sums + slice * 2 * j->channels, *restrict second = first + j->channels;
        for (ptrdiff_t c = 0; c < s.channels; c++) {
            firsts[c] += first[c];
            seconds[c] += second[c];
        }
    }
    const real *inverse_std = (const real *)j->inverse_std + s.group, *gamma = j->gamma;
    const double values = (double)j->rows * (double)j->group;
    for (ptrdiff_t g = 0; g < s.groups; g++) {
        const double inverse = inverse_std[g];
        double sum = 0, product = 0; /* of gamma * dy, and of its products with the normalized x */
        for (ptrdiff_t i = g * j->group; i < (g + 1) * j->group; i++) {
            const ptrdiff_t c = s.channel + i, to = s.sample * j->channels + c;
            const double weight = gamma ? (double)gamma[c] : 1;
            if (j->dgamma) ((real *)j->dgamma)[to] = (real)(seconds[i] * inverse);
            if (j->dbeta) ((real *)j->dbeta)[to] = (real)firsts[i];
            sum += weight * firsts[i];
            product += weight * (seconds[i] * inverse);
        }
        if (j->slope) {
            ((real *)j->slope)[s.group + g] = (real)(-inverse * inverse * (product / values));
            ((real *)j->offset)[s.group + g] = (real)(-inverse * (sum / values));
        }
        if (j->dmean) ((real *)j->dmean)[s.group + g] = (real)(-inverse * sum);
        if (j->dvariance) ((real *)j->dvariance)[s.group + g] = (real)(-0.5 * inverse * inverse * product);
    }
}

/* ---- the result of a piece ---- */

/* By column, gamma / std. */
FC_INLINE void scale_columns(columns *row, const fc_norm *j, piece p)
{
    spread_groups(row, j, p, j->inverse_std);
    if (!j->gamma) return;
    const real *gamma = (const real *)j->gamma + p.channel;
    for (ptrdiff_t c = 0; c < p.period; c++) row->of[c] *= gamma[c];
    spread(row, p);
}

FC_INLINE vec cut_vec(vec dy, vec y, real most) { return (vec)((ivec)dy & ~(ivec)((y <= 0) | (y >= most))); }
FC_INLINE vec relu_of(vec v, real most) { return at_most((vec)((ivec)v & ~(ivec)(v <= 0)), most); }

/* y = (x - center) * scale + shift, plus a residual, then ReLU. */
FC_INLINE void scale_run(const fc_norm *j, const int far, const int residual, const int relu, ptrdiff_t at, const run r,
                         const columns *center, const columns *scale, const columns *shift)
{
    for (ptrdiff_t row = 0; row < r.rows; row++, at += j->width) {
        const real *restrict x = (const real *)j->x + at, *restrict add = residual ? (const real *)j->residual + at : x;
        real *restrict y = (real *)j->y + at;
        const real most = (real)j->most;
        ptrdiff_t c = 0;
#define ONE_BY_ONE(end)                                                \
    for (; c < (end); c++) {                                           \
        real v = (x[c] - center->of[c]) * scale->of[c] + shift->of[c]; \
        if (residual) v += add[c];                                     \
        y[c] = !relu ? v : v <= 0 ? 0 : v > most ? most : v;           \
    }
        if (far) ONE_BY_ONE(before_line(y, r.count))
        for (; c + LANES <= r.count; c += LANES) {
            vec v = (load(x + c) - load(center->of + c)) * load(scale->of + c) + load(shift->of + c);
            if (residual) v += load(add + c);
            store_part_far(far, y + c, relu ? relu_of(v, most) : v, LANES);
        }
        ONE_BY_ONE(r.count)
#undef ONE_BY_ONE
    }
}

void FC_NAME(norm_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_norm *j = job;
    const piece p = piece_of(j, tile);
    columns center, scale, shift;
    scale_columns(&scale, j, p);
    if (j->mean)
        spread_groups(&center, j, p, j->mean);
    else
        memset(center.of, 0, p.count * sizeof(real));
    if (j->rest)
        spread_groups(&shift, j, p, j->rest);
    else
        memset(shift.of, 0, p.count * sizeof(real));
    const real *beta = j->beta ? (const real *)j->beta + p.channel : NULL;
    for (ptrdiff_t c = 0; c < p.period; c++) shift.of[c] = (beta ? beta[c] : 0) - shift.of[c] * scale.of[c];
    spread(&shift, p);
    for (ptrdiff_t i = 0; i < runs(p); i++) {
        const run r = run_of(j, p, i);
#define SCALE(far, residual, relu) scale_run(j, far, residual, relu, p.start + r.at, r, &center, &scale, &shift)
#define SCALE_FAR(residual, relu)     \
    do {                              \
        if (j->far)                   \
            SCALE(1, residual, relu); \
        else                          \
            SCALE(0, residual, relu); \
    } while (0)
        if (j->residual && j->relu)
            SCALE_FAR(1, 1);
        else if (j->residual)
            SCALE_FAR(1, 0);
        else if (j->relu)
            SCALE_FAR(0, 1);
        else
            SCALE_FAR(0, 0);
#undef SCALE_FAR
#undef SCALE
    }
    if (j->far) far_done();
}

/* dx = dy * scale, plus (x - center) * slope + offset where the statistics come from x; dy cut where `mask` is. */
FC_INLINE void gradient_run(const fc_norm *j, const int far, const int masked, const int own, ptrdiff_t at, const run r,
                            const columns *center, const columns *scale, const columns *slope, const columns *offset)
{
    for (ptrdiff_t row = 0; row < r.rows; row++, at += j->width) {
        const real *restrict dy = (const real *)j->dy + at, *restrict x = own ? (const real *)j->x + at : dy;
        const real *restrict y = masked ? (const real *)j->mask + at : dy;
        real *restrict dx = (real *)j->y + at;
        const real most = (real)j->most;
        ptrdiff_t c = 0;
#define ONE_BY_ONE(end)                                                      \
    for (; c < (end); c++) {                                                 \
        real v = (masked ? uncut(dy[c], y[c], most) : dy[c]) * scale->of[c]; \
        if (own) v += (x[c] - center->of[c]) * slope->of[c] + offset->of[c]; \
        dx[c] = v;                                                           \
    }
        if (far) ONE_BY_ONE(before_line(dx, r.count))
        for (; c + LANES <= r.count; c += LANES) {
            const vec g = masked ? cut_vec(load(dy + c), load(y + c), most) : load(dy + c);
            vec v = g * load(scale->of + c);
            if (own) v += (load(x + c) - load(center->of + c)) * load(slope->of + c) + load(offset->of + c);
            store_part_far(far, dx + c, v, LANES);
        }
        ONE_BY_ONE(r.count)
#undef ONE_BY_ONE
    }
}

void FC_NAME(norm_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_norm *j = job;
    const piece p = piece_of(j, tile);
    columns center, scale, slope, offset;
    scale_columns(&scale, j, p);
    if (j->slope) {
        spread_groups(&center, j, p, j->mean);
        spread_groups(&slope, j, p, j->slope);
        spread_groups(&offset, j, p, j->offset);
    }
    for (ptrdiff_t i = 0; i < runs(p); i++) {
        const run r = run_of(j, p, i);
#define GRADIENT(far, masked, own) \
    gradient_run(j, far, masked, own, p.start + r.at, r, &center, &scale, &slope, &offset)
#define GRADIENT_FAR(masked, own)     \
    do {                              \
        if (j->far)                   \
            GRADIENT(1, masked, own); \
        else                          \
            GRADIENT(0, masked, own); \
    } while (0)
        if (j->mask && j->slope)
            GRADIENT_FAR(1, 1);
        else if (j->mask)
            GRADIENT_FAR(1, 0);
        else if (j->slope)
            GRADIENT_FAR(0, 1);
        else
            GRADIENT_FAR(0, 0);
#undef GRADIENT_FAR
#undef GRADIENT
    }
    if (j->far) far_done();
}

/* ---- all passes over one sample, which stays in the cache between them: the last begins where the first ended, so
 * that what it writes drives out what it has read already ---- */

FC_INLINE void sample_tiles(fc_tile *tile, const fc_norm *j, ptrdiff_t sample, ptrdiff_t count, void *scratch)
{
    for (ptrdiff_t i = 0; i < count; i++) tile(j, sample * count + i, scratch);
}
FC_INLINE void sample_tiles_back(fc_tile *tile, const fc_norm *j, ptrdiff_t sample, ptrdiff_t count, void *scratch)
{
    for (ptrdiff_t i = count - 1; i >= 0; i--) tile(j, sample * count + i, scratch);
}
FC_INLINE ptrdiff_t pieces_of(const fc_norm *j) { return j->slices * blocks(j->width, j->columns); }
FC_INLINE ptrdiff_t folds_of(const fc_norm *j) { return blocks(j->channels / j->group, j->part); }

void FC_NAME(norm_sample_forward)(const void *job, ptrdiff_t sample, void *scratch)
{
    const fc_norm *j = job;
    sample_tiles(FC_NAME(norm_statistics), j, sample, pieces_of(j), scratch);
    sample_tiles(FC_NAME(norm_fold), j, sample, folds_of(j), scratch);
    sample_tiles_back(FC_NAME(norm_forward), j, sample, pieces_of(j), scratch);
}

void FC_NAME(norm_sample_backward)(const void *job, ptrdiff_t sample, void *scratch)
{
    const fc_norm *j = job;
    sample_tiles(FC_NAME(norm_gradients), j, sample, pieces_of(j), scratch);
    sample_tiles(FC_NAME(norm_backward_fold), j, sample, folds_of(j), scratch);
    sample_tiles_back(FC_NAME(norm_backward), j, sample, pieces_of(j), scratch);
}

/* ---- batch normalization's own, on one value a channel ---- */

/* moving = moving * momentum + new * (1 - momentum), in place. */
void FC_NAME(batch_norm_update)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)tile, (void)scratch;
    const fc_norm *j = job;
    const real keep = (real)j->momentum, take = (real)(1 - j->momentum);
    const real *restrict mean = j->mean, *restrict variance = j->variance;
    real *restrict moving_mean = j->moving_mean, *restrict moving_variance = j->moving_variance;
    for (ptrdiff_t c = 0; c < j->channels; c++) {
        moving_mean[c] = moving_mean[c] * keep + mean[c] * take;
        moving_variance[c] = moving_variance[c] * keep + variance[c] * take;
    }
}

/* y = scale = gamma / std and cut = shift = beta - mean * scale. */
void FC_NAME(batch_norm_fold)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)tile, (void)scratch;
    const fc_norm *j = job;
    const real *gamma = j->gamma, *beta = j->beta, *mean = j->mean, *variance = j->variance;
    for (ptrdiff_t c = 0; c < j->channels; c++) {
        const double scale = (gamma ? (double)gamma[c] : 1) / sqrt(variance[c] + j->epsilon);
        ((real *)j->y)[c] = (real)scale;
        ((real *)j->cut)[c] = (real)((beta ? (double)beta[c] : 0) - mean[c] * scale);
    }
}
