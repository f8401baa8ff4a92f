/* dense.c: matrix products y = a b (+ bias), and stacks of them: dense layers, matmul and their gradients.
 *
 * Four ways. product_tiles: register tiles of up to BLOCK rows x PANEL columns, for everything. product_stream: few rows,
 * which take b row by row as it lies, at the memory's rate. product_dots: both sides lie along the depth, one of them is
 * short. product_sum adds up what slices of the depth gave, in their order. _dense.pyx chooses and cuts.
 */
#include "far.h"
#include "shuffle.h"
#include "sizes.h"

/* Where matrix number `m` of a stack starts in a and b. */
typedef struct {
    const real *a, *b;
} operands;

FC_INLINE operands operands_of(const fc_product *j, ptrdiff_t m)
{
    operands found = {j->a, j->b};
    for (ptrdiff_t axis = j->axes - 1; axis >= 0; axis--) {
        const fc_stack *s = &j->stack[axis];
        found.a += m % s->count * s->a_step;
        found.b += m % s->count * s->b_step;
        m /= s->count;
    }
    return found;
}

/* Piece i of `count` things in `pieces`, which differ by one at most: its first, and one past its last with i + 1. */
FC_INLINE ptrdiff_t piece(ptrdiff_t count, ptrdiff_t pieces, ptrdiff_t i)
{
    return count / pieces * i + min_(i, count % pieces);
}

/* ---- register tiles ---- */

enum { AHEAD = 8 }; /* rows of b that are asked for before they are used */

/* What the register tiles of a block share. */
typedef struct {
    ptrdiff_t a_step, b_step, y_row, depth;
    int first, far; /* first: start from the bias, not from y */
} block_job;

/* Keeps a sum in its register from one turn of a loop to the next, where GCC would move it around. */
#if defined(__x86_64__) && !defined(__clang__) && (FC_BYTES < 64 || defined(__AVX512F__))
#define HOLD(v) __asm__("" : "+v"(v))
#else
#define HOLD(v) (void)0
#endif

/* `valid` columns. by_rows: a's rows are a_step apart and run along the depth; else its columns are, and run along the
 * rows. */
FC_INLINE void register_tile(const ptrdiff_t height, const ptrdiff_t vectors, const int by_rows, const block_job *k,
                             const real *restrict a, const real *restrict b, const real *restrict bias,
                             real *restrict y, ptrdiff_t valid)
{
    const ptrdiff_t step = k->a_step, b_step = k->b_step, last = valid - (vectors - 1) * LANES;
    vec acc[BLOCK][VECTORS];
    if (!k->first) {
    FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < height; m++)
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++)
                acc[m][v] = load_part(y + m * k->y_row + v * LANES, v < vectors - 1 ? LANES : last);
    } else {
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) {
            const vec start = bias ? load_part(bias + v * LANES, v < vectors - 1 ? LANES : last) : (vec){0};
            FC_UNROLL(16)
            for (ptrdiff_t m = 0; m < height; m++) acc[m][v] = start;
        }
    }
    for (ptrdiff_t t = k->depth; t > 0; t--, b += b_step, a += by_rows ? 1 : step) {
        vec b_t[VECTORS];
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++) {
            __builtin_prefetch(b + AHEAD * b_step + v * LANES, 0, 3);
            b_t[v] = load(b + v * LANES);
        }
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < height; m++) {
            const real a_m = a[by_rows ? m * step : m];
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) acc[m][v] += a_m * b_t[v];
        }
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < height; m++)
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) HOLD(acc[m][v]);
    }
    if (k->far) {
        FC_UNROLL(16)
        for (ptrdiff_t m = 0; m < height; m++)
            FC_UNROLL(2)
            for (ptrdiff_t v = 0; v < vectors; v++) store_far(y + m * k->y_row + v * LANES, acc[m][v]);
        return;
    }
    FC_UNROLL(16)
    for (ptrdiff_t m = 0; m < height; m++)
        FC_UNROLL(2)
        for (ptrdiff_t v = 0; v < vectors; v++)
            store_part(y + m * k->y_row + v * LANES, acc[m][v], v < vectors - 1 ? LANES : last);
}

typedef void tile_function(const block_job *, const real *, const real *, const real *, real *, ptrdiff_t, int);

#define TILE(height, vectors)                                                                                        \
    static void tile_##height##x##vectors(const block_job *k, const real *a, const real *b, const real *bias, real *y, \
                                          ptrdiff_t valid, int by_rows)                                              \
    {                                                                                                                \
        if (by_rows)                                                                                                 \
            register_tile(height, vectors, 1, k, a, b, bias, y, valid);                                              \
        else                                                                                                         \
            register_tile(height, vectors, 0, k, a, b, bias, y, valid);                                              \
    }
#include "tile_table.h"

/* `depth` rows of `columns` values of b, the first of them here, as panels; the last is filled up to whole vectors. */
static void pack_rows(const real *restrict b, ptrdiff_t b_step, ptrdiff_t depth, ptrdiff_t columns, real *restrict packed)
{
    for (ptrdiff_t t = 0; t < depth; t++, b += b_step) {
        ptrdiff_t n = 0;
        real *to = packed + t * PANEL;
        for (; n + PANEL <= columns; n += PANEL, to += depth * PANEL) {
            FC_UNROLL(2)
            for (int v = 0; v < VECTORS; v++) {
                __builtin_prefetch(b + AHEAD * b_step + n + v * LANES, 0, 2);
                store(to + v * LANES, load(b + n + v * LANES));
            }
        }
        if (n == columns) continue;
        const ptrdiff_t rest = columns - n, width = blocks(rest, LANES) * LANES;
        to = packed + n * depth + t * width;
        for (ptrdiff_t v = 0; v < width; v += LANES) store(to + v, load_part(b + n + v, min_(rest - v, LANES)));
    }
}

/* The same of a b whose columns lie along the depth, b_step apart. */
static void pack_columns(const real *restrict b, ptrdiff_t b_step, ptrdiff_t depth, ptrdiff_t columns,
                         real *restrict packed)
{
    for (ptrdiff_t n = 0; n < columns; n += LANES) {
        const ptrdiff_t panel = n / PANEL * PANEL, width = min_(blocks(columns - panel, LANES) * LANES, PANEL);
        real *to = packed + panel * depth + (n - panel);
        const ptrdiff_t valid = min_(columns - n, LANES);
        for (ptrdiff_t t = 0; t < depth; t += LANES) {
            const ptrdiff_t rest = min_(depth - t, LANES);
            vec v[LANES];
            if (valid == LANES && rest == LANES) {
                FC_UNROLL(16)
                for (int k = 0; k < LANES; k++) {
                    __builtin_prefetch(b + (n + k + LANES) * b_step + t, 0, 2);
                    v[k] = load(b + (n + k) * b_step + t);
                }
                transpose_vectors(v);
                FC_UNROLL(16)
                for (int k = 0; k < LANES; k++) store(to + (t + k) * width, v[k]);
                continue;
            }
            FC_UNROLL(16)
            for (int k = 0; k < LANES; k++) v[k] = k < valid ? load_part(b + (n + k) * b_step + t, rest) : (vec){0};
            transpose_vectors(v);
            FC_UNROLL(4)
            for (ptrdiff_t k = 0; k < min_(LANES, 4); k++)
                if (k < rest) store(to + (t + k) * width, v[k]);
            if (rest <= 4) continue;
            FC_UNROLL(16)
            for (ptrdiff_t k = 4; k < LANES; k++)
                if (k < rest) store(to + (t + k) * width, v[k]);
        }
    }
}

/* Runs of `count` values to runs `step` apart, whole vectors each. */
static void copy_runs(const real *restrict from, ptrdiff_t from_step, ptrdiff_t runs, ptrdiff_t count, real *restrict to,
                      ptrdiff_t step)
{
    for (ptrdiff_t r = 0; r < runs; r++)
        for (ptrdiff_t i = 0; i < count; i += LANES)
            store(to + r * step + i, load_part(from + r * from_step + i, min_(count - i, LANES)));
}

/* Packed weights, then copied runs of a. */
ptrdiff_t FC_NAME(product_tiles_size)(const void *job)
{
    const fc_product *j = job;
    const ptrdiff_t runs = j->a_by_rows ? blocks(j->rows, j->row_pieces) : j->block;
    return FC_PRODUCT(j->block, j->chunk, sizeof(real)) + FC_PRODUCT(runs, j->a_copy, sizeof(real));
}

void FC_NAME(product_tiles)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_product *j = job;
    const ptrdiff_t nc = index % j->column_pieces, mr = (index /= j->column_pieces) % j->row_pieces;
    const ptrdiff_t s = (index /= j->row_pieces) % j->slices, matrix = index / j->slices;
    const operands o = operands_of(j, matrix);
    const ptrdiff_t row = piece(j->rows, j->row_pieces, mr), rows = piece(j->rows, j->row_pieces, mr + 1) - row;
    const ptrdiff_t panels = blocks(j->columns, PANEL), left = piece(panels, j->column_pieces, nc) * PANEL;
    const ptrdiff_t right = min_(piece(panels, j->column_pieces, nc + 1) * PANEL, j->columns);
    const ptrdiff_t start = piece(j->depth, j->slices, s), end = piece(j->depth, j->slices, s + 1);
    const ptrdiff_t pieces = blocks(rows, BLOCK), a_copy = j->a_copy;
    const ptrdiff_t a_row = j->a_by_rows ? j->a_step : 1, a_depth = j->a_by_rows ? 1 : j->a_step;
    real *packed = scratch, *copy = packed + j->block * j->chunk;
    real *y = (real *)j->y + (matrix * j->slices + s) * j->rows * j->columns + row * j->columns;
    block_job k = {.y_row = j->columns, .first = 1, .far = j->far};

    for (ptrdiff_t t = start; k.first || t < end; t += k.depth, k.first = 0) {
        k.depth = min_(end - t, j->block);
        const real *a = o.a + row * a_row + t * a_depth;
        k.a_step = j->a_step;
        if (a_copy) {
            if (j->a_by_rows)
                copy_runs(a, j->a_step, rows, k.depth, copy, a_copy);
            else
                copy_runs(a, j->a_step, k.depth, rows, copy, a_copy);
            a = copy, k.a_step = a_copy;
        }
        for (ptrdiff_t n = left; n < right; n += j->chunk) {
            const ptrdiff_t columns = min_(j->chunk, right - n), whole = columns / PANEL * PANEL;
            const real *b = o.b + t * j->b_step + n;
            if (!j->b_by_rows)
                pack_columns(o.b + n * j->b_step + t, j->b_step, k.depth, columns, packed);
            else if (j->pack)
                pack_rows(b, j->b_step, k.depth, columns, packed);
            const int in_place = j->b_by_rows && !j->pack;
            /* Of the last panel whole vectors are loaded, past its columns; not of the rows where that would leave b. */
            const ptrdiff_t beyond = blocks(blocks(columns - whole, LANES) * LANES - (columns - whole), j->b_step);
            const ptrdiff_t safe = in_place ? max_(min_(k.depth, j->depth - t - beyond), 0) : k.depth;
            if (safe < k.depth) pack_rows(b + whole + safe * j->b_step, j->b_step, k.depth - safe, columns - whole, packed);
            for (ptrdiff_t i = 0; i < pieces; i++) {
                const ptrdiff_t m = piece(rows, pieces, i), height = piece(rows, pieces, i + 1) - m;
                const real *a_m = a + m * (j->a_by_rows ? k.a_step : 1);
                for (ptrdiff_t p = 0; p < columns; p += PANEL) {
                    const ptrdiff_t valid = min_(columns - p, PANEL), vectors = blocks(valid, LANES);
                    const real *bias = j->bias ? (const real *)j->bias + n + p : NULL;
                    real *y_m = y + m * k.y_row + n + p;
                    tile_function *tile = tile_functions[height - 1][vectors - 1];
                    k.b_step = in_place ? j->b_step : vectors * LANES;
                    if (safe == k.depth || p < whole) {
                        tile(&k, a_m, in_place ? b + p : packed + p * k.depth, bias, y_m, valid, j->a_by_rows);
                        continue;
                    }
                    block_job rest = k;
                    rest.depth = safe;
                    tile(&rest, a_m, b + p, bias, y_m, valid, j->a_by_rows);
                    rest.depth = k.depth - safe, rest.first = 0, rest.b_step = vectors * LANES;
                    tile(&rest, a_m + safe * (j->a_by_rows ? 1 : k.a_step), packed, NULL, y_m, valid, j->a_by_rows);
                }
            }
        }
    }
    if (k.far) far_done();
}

/* ---- few rows ---- */

enum { FEW = FC_FEW, TURNS = FC_BYTES == 64 ? 16 : 8 }; /* TURNS: values of a in registers */

/* y += a b over `turns` rows of b; with `first`, y = bias + a b. */
FC_INLINE void stream(const ptrdiff_t rows, const ptrdiff_t turns, const int ask, const fc_product *j, const real *restrict a,
                      ptrdiff_t a_row, ptrdiff_t a_step, const real *restrict b, const real *restrict bias,
                      real *restrict y, ptrdiff_t columns, int first)
{
    real a_t[FEW][8];
    FC_UNROLL(4)
    for (ptrdiff_t r = 0; r < rows; r++)
        FC_UNROLL(8)
        for (ptrdiff_t t = 0; t < turns; t++) a_t[r][t] = a[r * a_row + t * a_step];
    ptrdiff_t n = 0;
    for (; n + LANES <= columns; n += LANES) {
        vec sum[FEW];
        FC_UNROLL(4)
        for (ptrdiff_t r = 0; r < rows; r++)
            sum[r] = !first ? load(y + r * j->columns + n) : bias ? load(bias + n) : (vec){0};
        FC_UNROLL(8)
        for (ptrdiff_t t = 0; t < turns; t++) {
            if (ask) __builtin_prefetch(b + (t + turns) * j->b_step + n, 0, 2);
            const vec b_t = load(b + t * j->b_step + n);
            FC_UNROLL(4)
            for (ptrdiff_t r = 0; r < rows; r++) sum[r] += a_t[r][t] * b_t;
        }
        FC_UNROLL(4)
        for (ptrdiff_t r = 0; r < rows; r++) store(y + r * j->columns + n, sum[r]);
    }
    if (n == columns) return;
    vec sum[FEW], odd[FEW]; /* few columns wait for their own sums: two of them */
    FC_UNROLL(4)
    for (ptrdiff_t r = 0; r < rows; r++) {
        sum[r] = !first ? load_some(y + r * j->columns + n, columns - n)
               : bias   ? load_some(bias + n, columns - n)
                        : (vec){0};
        odd[r] = (vec){0};
    }
    FC_UNROLL(8)
    for (ptrdiff_t t = 0; t < turns; t++) {
        const vec b_t = load_some(b + t * j->b_step + n, columns - n);
        FC_UNROLL(4)
        for (ptrdiff_t r = 0; r < rows; r++)
            if (t % 2)
                odd[r] += a_t[r][t] * b_t;
            else
                sum[r] += a_t[r][t] * b_t;
    }
    FC_UNROLL(4)
    for (ptrdiff_t r = 0; r < rows; r++) store_some(y + r * j->columns + n, sum[r] + odd[r], columns - n);
}

FC_INLINE void stream_all(const ptrdiff_t rows, const fc_product *j, const real *a, const real *b, const real *bias,
                          real *y, ptrdiff_t columns, ptrdiff_t depth)
{
    const ptrdiff_t a_row = j->a_by_rows ? j->a_step : 1, a_step = j->a_by_rows ? 1 : j->a_step;
    const ptrdiff_t most = rows > 2 ? TURNS / 4 : TURNS / 2;
    for (ptrdiff_t t = 0, turns; t < depth || t == 0; t += turns, a += turns * a_step, b += turns * j->b_step) {
        turns = depth - t >= most ? most : min_(depth - t, 2);
        if (turns == most && j->ask)
            stream(rows, most, 1, j, a, a_row, a_step, b, bias, y, columns, t == 0);
        else if (turns == most)
            stream(rows, most, 0, j, a, a_row, a_step, b, bias, y, columns, t == 0);
        else if (turns == 2)
            stream(rows, 2, 0, j, a, a_row, a_step, b, bias, y, columns, t == 0);
        else
            stream(rows, 1, 0, j, a, a_row, a_step, b, bias, y, columns, t == 0);
    }
}

void FC_NAME(product_stream)(const void *job, ptrdiff_t index, void *scratch)
{
    (void)scratch;
    const fc_product *j = job;
    const ptrdiff_t nc = index % j->column_pieces, s = (index /= j->column_pieces) % j->slices, matrix = index / j->slices;
    const operands o = operands_of(j, matrix);
    const ptrdiff_t panels = blocks(j->columns, PANEL), left = piece(panels, j->column_pieces, nc) * PANEL;
    const ptrdiff_t columns = min_(piece(panels, j->column_pieces, nc + 1) * PANEL, j->columns) - left;
    const ptrdiff_t t = piece(j->depth, j->slices, s), depth = piece(j->depth, j->slices, s + 1) - t;
    real *y = (real *)j->y + (matrix * j->slices + s) * j->rows * j->columns + left;
    const real *a = o.a + t * (j->a_by_rows ? 1 : j->a_step), *b = o.b + t * j->b_step + left;

    const real *bias = j->bias ? (const real *)j->bias + left : NULL;
    switch (j->rows) {
    case 1: stream_all(1, j, a, b, bias, y, columns, depth); break;
    case 2: stream_all(2, j, a, b, bias, y, columns, depth); break;
    case 3: stream_all(3, j, a, b, bias, y, columns, depth); break;
    default: stream_all(4, j, a, b, bias, y, columns, depth);
    }
}

/* The sum over the slices of `lanes` values that begin at `from`. */
FC_INLINE vec sum_slices(const real *from, ptrdiff_t slices, ptrdiff_t size, ptrdiff_t lanes)
{
    vec sum = load_part(from, lanes);
    for (ptrdiff_t s = 1; s < slices; s++) sum += load_part(from + s * size, lanes);
    return sum;
}

void FC_NAME(product_sum)(const void *job, ptrdiff_t matrix, void *scratch)
{
    (void)scratch;
    const fc_product_sum *j = job;
    const ptrdiff_t size = j->rows * j->columns;
    const real *from = (const real *)j->x + matrix * j->slices * size;
    real *y = (real *)j->y + matrix * size;
    for (ptrdiff_t n = 0; n < j->columns; n += LANES) {
        const ptrdiff_t lanes = min_(j->columns - n, LANES);
        if (!j->turned) {
            const vec bias = j->bias ? load_part((const real *)j->bias + n, lanes) : (vec){0};
            for (ptrdiff_t r = 0; r < j->rows; r++)
                store_part(y + r * j->columns + n, bias + sum_slices(from + r * j->columns + n, j->slices, size, lanes), lanes);
            continue;
        }
        for (ptrdiff_t r = 0; r < j->rows; r += LANES) {
            const ptrdiff_t valid = min_(j->rows - r, LANES);
            vec v[LANES] = {{0}};
            for (ptrdiff_t k = 0; k < valid; k++) v[k] = sum_slices(from + (r + k) * j->columns + n, j->slices, size, lanes);
            transpose_vectors(v);
            for (ptrdiff_t k = 0; k < lanes; k++) store_part(y + (n + k) * j->rows + r, v[k], valid);
        }
    }
}

/* ---- sums along the depth ---- */

/* Half of the sums: lanes of vectors 2 i and 2 i + 1, by pairs of units of `d` lanes. In a quarter of 16 bytes shuffles
 * cost least, so units of single lanes come first, and then keep their place in a quarter. */
enum { QUARTER = 16 / sizeof(real) };
#define FC_IN(i, n, d) ((i) % (2 * (d)) < (d) ? (i) - (i) % (2 * (d)) + (i) % (d) : (n) + (i) - (i) % (2 * (d)) + (i) % (d))
#define FC_IN_HIGH(i, n, d) (FC_IN(i, n, d) + (d))
#define FC_OF(i, n, d) (2 * ((i) - (i) % QUARTER) + (i) % QUARTER)
#define FC_OF_HIGH(i, n, d) (FC_OF(i, n, d) + QUARTER)
#define HALVE(low, high, count, d)                                                                                   \
    FC_UNROLL(8)                                                                                                     \
    for (int i = 0; i < (count); i++)                                                                                \
        v[i] = FC_PICK(ivec, v[2 * i], v[2 * i + 1], FC_EACH_LANE(low, d))                                           \
             + FC_PICK(ivec, v[2 * i], v[2 * i + 1], FC_EACH_LANE(high, d));

/* Lane i: the sum of vector i's lanes. */
FC_INLINE vec sums_of(vec v[LANES])
{
    enum { TWO = QUARTER > 2 ? 2 : 1 };
    HALVE(FC_IN, FC_IN_HIGH, LANES / 2, 1)
    if (QUARTER > 2) { HALVE(FC_IN, FC_IN_HIGH, LANES / 4, TWO) }
    if (LANES / QUARTER > 1) { HALVE(FC_OF, FC_OF_HIGH, LANES / QUARTER / 2, 1) }
    if (LANES / QUARTER > 2) { HALVE(FC_OF, FC_OF_HIGH, LANES / QUARTER / 4, 1) }
    return v[0];
}

enum { MANY = LANES / 2 }; /* rows of a at a time */

/* The products of `many` rows of a with `few` columns of b; each is the sum of `turns` lanes. many * few * turns: as many as
 * a vector's lanes, or less. */
FC_INLINE void dots(const ptrdiff_t many, const ptrdiff_t few, const ptrdiff_t turns, const int ask, const fc_product *j,
                    const real *restrict a, const real *restrict b, const real *restrict bias, real *restrict y)
{
    const ptrdiff_t depth = j->depth, a_step = j->a_step, b_step = j->b_step;
    vec acc[LANES], b_t[4];
    FC_UNROLL(16)
    for (int i = 0; i < LANES; i++) acc[i] = (vec){0};
    ptrdiff_t t = 0;
    for (; t + turns * LANES <= depth; t += turns * LANES)
        FC_UNROLL(8)
        for (ptrdiff_t u = 0; u < turns; u++) {
            FC_UNROLL(4)
            for (ptrdiff_t n = 0; n < few; n++) b_t[n] = load(b + n * b_step + t + u * LANES);
            FC_UNROLL(8)
            for (ptrdiff_t m = 0; m < many; m++) {
                if (ask) __builtin_prefetch(a + (m + MANY) * a_step + t + u * LANES, 0, 2);
                const vec a_t = load(a + m * a_step + t + u * LANES);
                FC_UNROLL(4)
                for (ptrdiff_t n = 0; n < few; n++) acc[(m * few + n) * turns + u] += a_t * b_t[n];
            }
        }
    for (; turns > 1 && t + LANES <= depth; t += LANES)
        FC_UNROLL(8)
        for (ptrdiff_t m = 0; m < many; m++) {
            const vec a_t = load(a + m * a_step + t);
            FC_UNROLL(4)
            for (ptrdiff_t n = 0; n < few; n++) acc[(m * few + n) * turns] += a_t * load(b + n * b_step + t);
        }
    if (t < depth) {
        FC_UNROLL(4)
        for (ptrdiff_t n = 0; n < few; n++) b_t[n] = load_some(b + n * b_step + t, depth - t);
        FC_UNROLL(8)
        for (ptrdiff_t m = 0; m < many; m++) {
            const vec a_t = load_some(a + m * a_step + t, depth - t);
            FC_UNROLL(4)
            for (ptrdiff_t n = 0; n < few; n++) acc[(m * few + n) * turns] += a_t * b_t[n];
        }
    }
    const vec sums = sums_of(acc);
    if (turns == 1 && many * few == LANES && j->y_column == 1 && j->y_row == few && !bias) {
        store(y, sums);
        return;
    }
    real sum[LANES];
    store(sum, sums);
    FC_UNROLL(8)
    for (ptrdiff_t m = 0; m < many; m++)
        FC_UNROLL(4)
        for (ptrdiff_t n = 0; n < few; n++) {
            real total = bias ? bias[n] : 0;
            FC_UNROLL(8)
            for (ptrdiff_t u = 0; u < turns; u++) total += sum[(m * few + n) * turns + u];
            y[m * j->y_row + n * j->y_column] = total;
        }
}

typedef void dots_function(const fc_product *, const real *, const real *, const real *, real *);
#define DOTS(name, many, few, turns, ask)                                                                            \
    static void name(const fc_product *j, const real *a, const real *b, const real *bias, real *y)                   \
    {                                                                                                                \
        dots(many, few, turns, ask, j, a, b, bias, y);                                                               \
    }
#define DOTS_OF(many, few, turns) DOTS(dots_##few, many, few, turns, 0) DOTS(dots_##few##_ask, many, few, turns, 1)
DOTS_OF(MANY, 1, 2) DOTS_OF(MANY, 2, 1) DOTS_OF(MANY / 2, 3, 1) DOTS_OF(MANY / 2, 4, 1)
DOTS(dots_1_1, 1, 1, LANES < 8 ? LANES : 8, 0) DOTS(dots_1_4, 1, 4, LANES / 4, 0)

/* `rows` rows of a, MANY or fewer, times b's columns. */
FC_INLINE void dots_block(const fc_product *j, ptrdiff_t rows, const real *a, const real *b, real *y)
{
    static dots_function *const functions[2][4] = {
        {dots_1, dots_2, dots_3, dots_4}, {dots_1_ask, dots_2_ask, dots_3_ask, dots_4_ask}
    };
    const int four = LANES >= 4, whole = rows == MANY;
    for (ptrdiff_t n = 0, few, step; n < j->columns; n += few) {
        few = min_(j->columns - n, four ? 4 : 2);
        if (!whole && few < 4) few = 1;
        step = !whole ? 1 : few > 2 ? MANY / 2 : MANY;
        dots_function *function = whole ? functions[j->ask && n == 0][few - 1] : few == 4 ? dots_1_4 : dots_1_1;
        for (ptrdiff_t m = 0; m < rows; m += step)
            function(j, a + m * j->a_step, b + n * j->b_step, j->bias ? (const real *)j->bias + n : NULL,
                     y + m * j->y_row + n * j->y_column);
    }
}

/* A piece's last MANY rows, where it has as many, start early enough to be whole. */
ptrdiff_t FC_NAME(product_dots_size)(const void *job)
{
    const fc_product *j = job;
    return FC_PRODUCT(j->columns, j->a_copy, sizeof(real));
}

void FC_NAME(product_dots)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_product *j = job;
    const ptrdiff_t p = index % j->row_pieces, matrix = index / j->row_pieces;
    const ptrdiff_t first = piece(j->rows, j->row_pieces, p), end = piece(j->rows, j->row_pieces, p + 1);
    operands o = operands_of(j, matrix);
    fc_product k = *j;
    if (j->a_copy) {
        copy_runs(o.b, j->b_step, j->columns, j->depth, scratch, j->a_copy);
        o.b = scratch, k.b_step = j->a_copy;
    }
    for (ptrdiff_t r = first; r < end; r += MANY) {
        const ptrdiff_t row = max_(min_(r, end - MANY), first);
        dots_block(&k, min_(end - first, MANY), o.a + row * j->a_step, o.b,
                   (real *)j->y + matrix * j->rows * j->columns + row * j->y_row);
    }
}

/* b's few columns, laid along the depth. */
void FC_NAME(product_turn)(const void *job, ptrdiff_t index, void *scratch)
{
    const fc_product *j = job;
    const real *b = j->b;
    (void)scratch;
    for (ptrdiff_t t = index * j->block; t < min_(j->depth, (index + 1) * j->block); t += LANES) {
        const ptrdiff_t valid = min_(j->depth - t, LANES);
        for (ptrdiff_t n = 0; n < j->columns; n += LANES) {
            const ptrdiff_t lanes = min_(j->columns - n, LANES);
            vec v[LANES];
            FC_UNROLL(16)
            for (int k = 0; k < LANES; k++) v[k] = k < valid ? load_part(b + (t + k) * j->b_step + n, lanes) : (vec){0};
            transpose_vectors(v);
            FC_UNROLL(16)
            for (int k = 0; k < LANES; k++)
                if (k < lanes) store_part((real *)j->y + (n + k) * j->depth + t, v[k], valid);
        }
    }
}
