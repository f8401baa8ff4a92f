/* moves.c: data that moves and is not computed with: copies by strides, padding, gathering, and the gradients of copies,
 * which are sums.
 *
 * Everything that NumPy calls a view (slices, transposed and repeated axes) is a walk with steps, which a copy makes real.
 * The walks are merged and cut in _moves.pyx.
 */
#include "far.h"
#include "shuffle.h"

enum { WIDE = 4 }; /* vectors side by side */

/* A place on the outer axes of a walk. */
typedef struct {
    ptrdiff_t at[FC_AXES], x, y;
} place;

FC_INLINE void go_to(place *p, const fc_step *axis, ptrdiff_t axes, ptrdiff_t index)
{
    p->x = p->y = 0;
    for (ptrdiff_t a = axes - 1; a >= 0; a--) {
        p->at[a] = index % axis[a].count;
        index /= axis[a].count;
        p->x += p->at[a] * axis[a].x_step;
        p->y += p->at[a] * axis[a].y_step;
    }
}

FC_INLINE void go_on(place *p, const fc_step *axis, ptrdiff_t axes)
{
    for (ptrdiff_t a = axes - 1; a >= 0; a--) {
        p->x += axis[a].x_step;
        p->y += axis[a].y_step;
        if (++p->at[a] < axis[a].count) return;
        p->at[a] = 0;
        p->x -= axis[a].count * axis[a].x_step;
        p->y -= axis[a].count * axis[a].y_step;
    }
}

FC_INLINE ptrdiff_t cells(const fc_step *axis, ptrdiff_t axes)
{
    ptrdiff_t count = 1;
    for (ptrdiff_t a = 0; a < axes; a++) count *= axis[a].count;
    return count;
}

/* ---- copies ---- */

/* Fewer elements than a line has. */
FC_INLINE void copy_some(const real *x, real *y, ptrdiff_t count)
{
    for (; count >= LANES; count -= LANES, x += LANES, y += LANES) store(y, load(x));
    copy_few(x, y, count);
}

/* The last vector of a run starts early enough to be whole; past the caches, whole lines go alone. */
FC_INLINE void copy_run(const int far, const real *x, real *y, ptrdiff_t count)
{
    ptrdiff_t i = far ? before_line(y, count) : 0;
    if (far) copy_some(x, y, i);
    for (; i + WIDE * LANES <= count; i += WIDE * LANES) {
        vec v[WIDE];
    FC_UNROLL(4)
        for (int w = 0; w < WIDE; w++) v[w] = load(x + i + w * LANES);
        FC_UNROLL(4)
        for (int w = 0; w < WIDE; w++) store_part_far(far, y + i + w * LANES, v[w], LANES);
    }
    for (; i + LANES <= count; i += LANES) store_part_far(far, y + i, load(x + i), LANES);
    if (far)
        copy_some(x + i, y + i, count - i);
    else if (i < count && count >= LANES)
        store(y + count - LANES, load(x + count - LANES));
    else if (i < count)
        copy_few(x + i, y + i, count - i);
}

FC_INLINE void fill_run(real value, real *y, ptrdiff_t count)
{
    const vec v = (vec){0} + value;
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) store(y + i, v);
    for (; i < count; i++) y[i] = value;
}

FC_INLINE void transpose_block(const real *x, ptrdiff_t x_step, real *y, ptrdiff_t y_step)
{
    vec v[LANES];
    FC_UNROLL(16)
    for (int k = 0; k < LANES; k++) v[k] = load(x + k * x_step);
    transpose_vectors(v);
    FC_UNROLL(16)
    for (int k = 0; k < LANES; k++) store(y + k * y_step, v[k]);
}

/* Rows lie side by side in x, columns in y; there are a vector's lanes of both at least. */
static void transpose_plane(const real *x, ptrdiff_t x_step, real *y, ptrdiff_t y_step, ptrdiff_t rows,
                            ptrdiff_t columns)
{
    for (ptrdiff_t r = 0; r < rows; r += LANES) {
        const ptrdiff_t row = min_(r, rows - LANES);
        for (ptrdiff_t c = 0; c < columns; c += LANES) {
            const ptrdiff_t column = min_(c, columns - LANES);
            transpose_block(x + column * x_step + row, x_step, y + row * y_step + column, y_step);
        }
    }
}

FC_INLINE void copy_cells(const fc_step *R, const fc_step *C, const real *restrict x, real *restrict y, ptrdiff_t rows,
                          ptrdiff_t columns)
{
    for (ptrdiff_t r = 0; r < rows; r++) {
        const real *x_r = x + r * R->x_step;
        real *y_r = y + r * R->y_step;
        FC_UNROLL(4)
        for (ptrdiff_t c = 0; c < columns; c++) y_r[c * C->y_step] = x_r[c * C->x_step];
    }
}

FC_INLINE void copy_rows(const int far, const fc_step *R, const real *x, real *y, ptrdiff_t rows, ptrdiff_t columns)
{
    for (ptrdiff_t r = 0; r < rows; r++) copy_run(far, x + r * R->x_step, y + r * R->y_step, columns);
}

static void copy_plane(const fc_copy *j, const real *x, real *y, ptrdiff_t rows, ptrdiff_t columns)
{
    const fc_step R = j->axis[j->axes - 2], C = j->axis[j->axes - 1];
    const int runs = C.y_step == 1 && C.x_step == 1;
    if (j->far)
        copy_rows(1, &R, x, y, rows, columns);
    else if (columns == 2)
        copy_cells(&R, &C, x, y, rows, 2);
    else if (columns == 3)
        copy_cells(&R, &C, x, y, rows, 3);
    else if (columns == 4)
        copy_cells(&R, &C, x, y, rows, 4);
    else if (runs)
        copy_rows(0, &R, x, y, rows, columns);
    else if (R.x_step == 1 && C.y_step == 1 && rows >= LANES && columns >= LANES)
        transpose_plane(x, C.x_step, y, R.y_step, rows, columns);
    else if (C.x_step == 0 && C.y_step == 1)
        for (ptrdiff_t r = 0; r < rows; r++) fill_run(x[r * R.x_step], y + r * R.y_step, columns);
    else
        copy_cells(&R, &C, x, y, rows, columns);
}

/* y = factor * x, and 0 wherever x is 0, NaN and inf or not. */
FC_INLINE void scale_run(const real *x, ptrdiff_t x_step, const real *factor, real *y, ptrdiff_t count)
{
    ptrdiff_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        vec s = (vec){0} + *x;
        if (x_step) s = load(x + i);
        store(y + i, (vec)((ivec)(s * load(factor + i)) & (s != 0)));
    }
    for (; i < count; i++) y[i] = x[i * x_step] != 0 ? x[i * x_step] * factor[i] : 0;
}

static void scale_plane(const fc_copy *j, const real *x, const real *factor, real *y, ptrdiff_t rows, ptrdiff_t columns)
{
    const fc_step R = j->axis[j->axes - 2], C = j->axis[j->axes - 1];
    for (ptrdiff_t r = 0; r < rows; r++)
        scale_run(x + r * R.x_step, C.x_step, factor + r * R.y_step, y + r * R.y_step, columns);
}

FC_INLINE void each_plane(const int scaled, const fc_copy *j, ptrdiff_t tile)
{
    const ptrdiff_t outer = j->axes - 2;
    const fc_step *R = &j->axis[outer], *C = R + 1;
    const ptrdiff_t column_blocks = blocks(C->count, j->columns), row_blocks = blocks(R->count, j->rows);
    const ptrdiff_t column = tile % column_blocks * j->columns, row = tile / column_blocks % row_blocks * j->rows;
    const ptrdiff_t first = tile / column_blocks / row_blocks * j->planes;
    const ptrdiff_t last = min_(first + j->planes, cells(j->axis, outer));
    const ptrdiff_t rows = min_(j->rows, R->count - row), columns = min_(j->columns, C->count - column);
    const real *x = (const real *)j->x + row * R->x_step + column * C->x_step;
    const ptrdiff_t y_start = row * R->y_step + column * C->y_step;
    real *y = (real *)j->y + y_start;
    const real *factor = (const real *)j->factor + y_start;
    place p;
    go_to(&p, j->axis, outer, first);
    for (ptrdiff_t i = first; i < last; i++, go_on(&p, j->axis, outer))
        if (scaled)
            scale_plane(j, x + p.x, factor + p.y, y + p.y, rows, columns);
        else
            copy_plane(j, x + p.x, y + p.y, rows, columns);
    if (!scaled && j->far) far_done();
}

void FC_NAME(copy)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    each_plane(0, job, tile);
}

void FC_NAME(copy_scaled)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    each_plane(1, job, tile);
}

/* ---- x among equal values ---- */

/* The cell of x that cell `at` of y is, or -1. */
FC_INLINE ptrdiff_t source_of(const fc_spread_axis *A, ptrdiff_t at)
{
    const ptrdiff_t from = at - A->low, i = A->step == 1 ? from : from / A->step;
    return from >= 0 && i < A->count && i * A->step == from ? i : -1;
}

/* Columns `first` to `last` - 1 of a row that has cells of x. */
FC_INLINE void spread_row(fc_spread_axis A, const real *x, real *y, ptrdiff_t first, ptrdiff_t last, real value)
{
    const ptrdiff_t stop = A.low + (A.count - 1) * A.step + 1;
    if (last - first < 8 && A.step == 1) {
        for (ptrdiff_t c = first; c < last; c++) y[c] = c >= A.low && c < stop ? x[(c - A.low) * A.x_step] : value;
        return;
    }
    const ptrdiff_t begin = min_(max_(A.low, first), last), end = max_(min_(stop, last), begin);
    fill_run(value, y + first, begin - first);
    if (A.step == 1 && A.x_step == 1) {
        copy_run(0, x + begin - A.low, y + begin, end - begin);
    } else {
        ptrdiff_t i = blocks(begin - A.low, A.step), next = A.low + i * A.step;
        for (ptrdiff_t c = begin; c < end; c++) {
            y[c] = value;
            if (c == next) y[c] = x[i++ * A.x_step], next += A.step;
        }
    }
    fill_run(value, y + end, last - end);
}

void FC_NAME(spread)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_spread *j = job;
    const ptrdiff_t outer = j->axes - 2;
    const fc_spread_axis R = j->axis[outer], A = j->axis[outer + 1];
    const real value = (real)j->value;
    const ptrdiff_t column_blocks = blocks(A.size, j->columns);
    const ptrdiff_t first = tile % column_blocks * j->columns, last = min_(first + j->columns, A.size);
    ptrdiff_t rows = R.size;
    for (ptrdiff_t a = 0; a < outer; a++) rows *= j->axis[a].size;
    const ptrdiff_t stop = min_((tile / column_blocks + 1) * j->rows, rows);
    for (ptrdiff_t row = tile / column_blocks * j->rows; row < stop;) {
        ptrdiff_t plane = row / R.size, offset = 0, r = row % R.size;
        const ptrdiff_t end = min_(R.size, r + stop - row);
        int inside = 1;
        for (ptrdiff_t a = outer - 1; a >= 0; a--) {
            const fc_spread_axis *B = &j->axis[a];
            const ptrdiff_t i = source_of(B, plane % B->size);
            inside &= i >= 0;
            offset += i * B->x_step;
            plane /= B->size;
        }
        real *y = (real *)j->y + row * A.size;
        row += end - r;
        for (; r < end; r++, y += A.size) {
            const ptrdiff_t i = source_of(&R, r);
            if (inside && i >= 0)
                spread_row(A, (const real *)j->x + offset + i * R.x_step, y, first, last, value);
            else
                fill_run(value, y + first, last - first);
        }
    }
}

/* ---- sums over copies ---- */

/* The sum of `count` elements side by side: lane by lane first, then of the lanes. */
FC_INLINE real sum_run(const real *x, ptrdiff_t count)
{
    vec sum[WIDE] = {{0}};
    ptrdiff_t i = 0;
    for (; i + WIDE * LANES <= count; i += WIDE * LANES)
        FC_UNROLL(4)
        for (int w = 0; w < WIDE; w++) sum[w] += load(x + i + w * LANES);
    const vec all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    real total = 0;
    if (i)
        for (int k = 0; k < LANES; k++) total += all[k];
    for (; i < count; i++) total += x[i];
    return total;
}

FC_INLINE void fold_vectors(const fc_fold *j, const real *x, real *y, int vectors)
{
    const ptrdiff_t outer = j->copies - 2, count = cells(j->copy, outer);
    const fc_step *A = &j->copy[outer], *B = A + 1;
    vec sum[WIDE] = {{0}};
    place p;
    go_to(&p, j->copy, outer, 0);
    for (ptrdiff_t i = 0; i < count; i++, go_on(&p, j->copy, outer))
        for (ptrdiff_t a = 0; a < A->count; a++)
            for (ptrdiff_t b = 0; b < B->count; b++) {
                const real *from = x + p.x + a * A->x_step + b * B->x_step;
                FC_UNROLL(4)
                for (int v = 0; v < vectors; v++) sum[v] += load(from + v * LANES);
            }
    FC_UNROLL(4)
    for (int v = 0; v < vectors; v++) store(y + v * LANES, sum[v]);
}

FC_INLINE real fold_one(const fc_fold *j, const real *x)
{
    const ptrdiff_t outer = j->copies - 2, count = cells(j->copy, outer);
    const fc_step *A = &j->copy[outer], *B = A + 1;
    real total = 0;
    place p;
    go_to(&p, j->copy, outer, 0);
    for (ptrdiff_t i = 0; i < count; i++, go_on(&p, j->copy, outer))
        for (ptrdiff_t a = 0; a < A->count; a++) {
            const real *from = x + p.x + a * A->x_step;
            if (B->x_step == 1 && B->count >= LANES)
                total += sum_run(from, B->count);
            else
                for (ptrdiff_t b = 0; b < B->count; b++) total += from[b * B->x_step];
        }
    return total;
}

void FC_NAME(fold)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_fold *j = job;
    const ptrdiff_t outer = j->axes - 1, rows = cells(j->axis, outer);
    const fc_step *C = &j->axis[outer];
    const ptrdiff_t column_blocks = blocks(C->count, j->columns);
    const ptrdiff_t first = tile % column_blocks * j->columns, last = min_(first + j->columns, C->count);
    ptrdiff_t row = tile / column_blocks * j->rows;
    const ptrdiff_t stop = min_(row + j->rows, rows);
    place p;
    go_to(&p, j->axis, outer, row);
    for (; row < stop; row++, go_on(&p, j->axis, outer)) {
        const real *x = (const real *)j->x + p.x;
        real *y = (real *)j->y + row * C->count;
        ptrdiff_t c = first;
        if (C->x_step == 1) {
            for (; c + WIDE * LANES <= last; c += WIDE * LANES) fold_vectors(j, x + c, y + c, WIDE);
            for (; c + LANES <= last; c += LANES) fold_vectors(j, x + c, y + c, 1);
            if (c < last && last - first >= LANES) {
                fold_vectors(j, x + last - LANES, y + last - LANES, 1);
                c = last;
            }
        }
        for (; c < last; c++) y[c] = fold_one(j, x + c * C->x_step);
    }
}

/* ---- by numbers ---- */

void FC_NAME(gather_forward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_gather *j = job;
    const ptrdiff_t size = j->inner, stop = min_((tile + 1) * j->block, j->outer * j->places);
    for (ptrdiff_t row = tile * j->block; row < stop; row++) {
        const ptrdiff_t cell = row / j->places * j->cells + j->index[row % j->places];
        copy_run(0, (const real *)j->x + cell * size, (real *)j->y + row * size, size);
    }
}

void FC_NAME(gather_backward)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_gather *j = job;
    const ptrdiff_t parts = blocks(j->cells, j->block), size = j->inner, o = tile / parts;
    const ptrdiff_t first = tile % parts * j->block, last = min_(first + j->block, j->cells);
    real *y = (real *)j->y + o * j->cells * size;
    memset(y + first * size, 0, (last - first) * size * sizeof(real));
    for (ptrdiff_t place = 0; place < j->places; place++) {
        const ptrdiff_t cell = j->index[place];
        if (cell < first || cell >= last) continue;
        const real *restrict x = (const real *)j->x + (o * j->places + place) * size;
        real *restrict to = y + cell * size;
        ptrdiff_t i = 0;
        for (; i + LANES <= size; i += LANES) store(to + i, load(to + i) + load(x + i));
        for (; i < size; i++) to[i] += x[i];
    }
}

/* A number that is none of the cells gives a row of zeros. */
void FC_NAME(one_hot)(const void *job, ptrdiff_t tile, void *scratch)
{
    (void)scratch;
    const fc_gather *j = job;
    const ptrdiff_t first = tile * j->block, last = min_(first + j->block, j->places);
    real *y = j->y;
    memset(y + first * j->cells, 0, (last - first) * j->cells * sizeof(real));
    for (ptrdiff_t row = first; row < last; row++)
        if (j->index[row] >= 0 && j->index[row] < j->cells) y[row * j->cells + j->index[row]] = 1;
}
