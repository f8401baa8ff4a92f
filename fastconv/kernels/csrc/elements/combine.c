/* combine.c: functions of two elements (maps.h) of arrays that are broadcast together.
 *
 * Work goes in segments, runs of the output. An operand that does not lie like the output is laid out in scratch for a
 * segment first, unless it is one number there; what stays the same from one segment to the next is kept. A vector is
 * read before it is written, so that the result may take the place of an operand of its shape.
 */
#include "maps.h"
#include "far.h"
#include "functions.h"

/* y = the function of a and b, one of which at most is a single number for all; of whole vectors. */
typedef void combine_function(const real *a, int a_single, const real *b, int b_single, real *y, ptrdiff_t count);

#define COMBINE(name, formula)                                                                                     \
    FC_INLINE vec name##_vec(vec a, vec b) { return formula; }                                                     \
    FC_INLINE void name##_run(const real *a, const int a_single, const real *b, const int b_single, real *y,       \
                              ptrdiff_t count)                                                                     \
    {                                                                                                              \
        const vec a_all = splat(*a), b_all = splat(*b);                                                            \
        for (ptrdiff_t i = 0; i < count; i += LANES)                                                               \
            store(y + i, name##_vec(a_single ? a_all : load(a + i), b_single ? b_all : load(b + i)));              \
    }                                                                                                              \
    static void name##_combine(const real *a, int a_single, const real *b, int b_single, real *y, ptrdiff_t count) \
    {                                                                                                              \
        if (a_single)                                                                                              \
            name##_run(a, 1, b, 0, y, count);                                                                      \
        else if (b_single)                                                                                         \
            name##_run(a, 0, b, 1, y, count);                                                                      \
        else                                                                                                       \
            name##_run(a, 0, b, 0, y, count);                                                                      \
    }
FC_COMBINES(COMBINE)

#define ROW(name, formula) name##_combine,
static combine_function *const functions[] = {FC_COMBINES(ROW)};

/* The same of any number of elements, to y or, with `room`, past the caches by way of it. */
static void run(const fc_combine *j, const real *a, int a_single, const real *b, int b_single, real *y, ptrdiff_t count,
                real *room)
{
    combine_function *f = functions[j->function];
    real few[3][LANES] = {{0}};
    if (a_single && b_single) {
        store(few[1], splat(*b));
        f(a, 1, few[1], 0, few[2], LANES);
        for (ptrdiff_t i = 0; i < count; i++) y[i] = few[2][0];
        return;
    }
    const ptrdiff_t whole = count / LANES * LANES, rest = count - whole, step = j->far ? FC_ROOM : max_(whole, 1);
    for (ptrdiff_t i = 0; i < whole; i += step) {
        const ptrdiff_t part = min_(whole - i, step);
        f(a + (a_single ? 0 : i), a_single, b + (b_single ? 0 : i), b_single, j->far ? room : y + i, part);
        if (j->far) store_all_far(y + i, room, part);
    }
    if (rest == 0) return;
    memcpy(few[0], a + (a_single ? 0 : whole), (a_single ? 1 : rest) * sizeof(real));
    memcpy(few[1], b + (b_single ? 0 : whole), (b_single ? 1 : rest) * sizeof(real));
    f(few[0], a_single, few[1], b_single, few[2], LANES);
    memcpy(y + whole, few[2], rest * sizeof(real));
}

/* `rows` times `width` copies of one number, the numbers `step` apart. Whole vectors go past the end of their copies. */
FC_INLINE void spread(const real *from, ptrdiff_t step, ptrdiff_t rows, ptrdiff_t width, real *to)
{
    for (ptrdiff_t r = 0; r < rows; r++, to += width)
        for (ptrdiff_t c = 0; c < width; c += LANES) store(to + c, splat(from[r * step]));
}

/* `rows` entries of an axis of an operand, with all inner axes, as they stand in the output. There is room for a vector
 * past them. */
static void lay_out(const fc_combine *j, const ptrdiff_t *step, int axis, ptrdiff_t rows, const real *from, real *to)
{
    ptrdiff_t width = 1, done = 1; /* entries that stand */
    for (int k = 0; k < axis; k++) width *= j->size[k];
    if (axis == 1 && step[0] == 0 && step[1] != 0) {
        spread(from, step[1], rows, width, to);
        return;
    }
    if (axis)
        lay_out(j, step, axis - 1, j->size[axis - 1], from, to);
    else
        *to = *from;
    if (step[axis] == 0)
        for (; done < rows; done *= 2) memcpy(to + done * width, to, min_(done, rows - done) * width * sizeof(real));
    else if (axis == 0)
        memcpy(to, from, rows * sizeof(real));
    else
        for (; done < rows; done++)
            lay_out(j, step, axis - 1, j->size[axis - 1], from + done * step[axis], to + done * width);
}

typedef struct {
    const real *data, *last; /* last: where the entries in scratch came from */
    real *room;
    const ptrdiff_t *step;
    ptrdiff_t rows; /* in scratch */
    int in_place, single;
} operand;

FC_INLINE operand operand_of(const fc_combine *j, const void *data, const real *number, const ptrdiff_t *step,
                             void *room)
{
    operand o = {data ? data : number, NULL, room, step, 0, 1, j->axis == 0 && step[0] == 0};
    for (ptrdiff_t k = 0, width = 1; k <= j->axis; width *= j->size[k++]) o.in_place &= step[k] == width;
    return o;
}

/* Where a segment's elements stand, `offset` from the operand's start. */
FC_INLINE const real *elements(const fc_combine *j, operand *o, ptrdiff_t offset, ptrdiff_t rows)
{
    const real *from = o->data + offset;
    if (o->in_place || o->single) return from;
    if (from != o->last || rows > o->rows) {
        lay_out(j, o->step, j->axis, rows, from, o->room);
        o->last = from;
        o->rows = rows;
    }
    return o->room;
}

/* A read waits for a write just before it if their addresses end in the same 12 bits, as those of y and of what is laid
 * out for it would, whole pages long: so rooms begin half a page past the address of y. */
enum { PAGE = 4096 / sizeof(real), APART = FC_ROOM + LANES };

/* Room for both operands and the values on their way past the caches, with a vector more each. */
ptrdiff_t FC_NAME(combine_size)(const void *job)
{
    (void)job;
    return (3 * APART + PAGE) * sizeof(real);
}

void FC_NAME(combine)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_combine *j = job;
    const real number = (real)j->number;
    const size_t ahead = ((uintptr_t)j->y - (uintptr_t)scratch) / sizeof(real) + PAGE / 2;
    real *const rooms = (real *)scratch + ahead % PAGE / LANES * LANES;
    operand a = operand_of(j, j->a, &number, j->a_step, rooms);
    operand b = operand_of(j, j->b, &number, j->b_step, rooms + APART);
    const ptrdiff_t all = j->size[j->axis], pieces = blocks(all, j->rows);
    for (ptrdiff_t s = tile * j->block, last = min_(s + j->block, j->segments); s < last; s++) {
        ptrdiff_t outer = s / pieces;
        const ptrdiff_t first = s % pieces * j->rows, rows = min_(all - first, j->rows);
        real *y = (real *)j->y + (outer * all + first) * j->width;
        ptrdiff_t a_offset = first * j->a_step[j->axis], b_offset = first * j->b_step[j->axis];
        for (int k = j->axis + 1; k < j->axes; outer /= j->size[k++]) {
            a_offset += outer % j->size[k] * j->a_step[k];
            b_offset += outer % j->size[k] * j->b_step[k];
        }
        run(j, elements(j, &a, a_offset, rows), a.single, elements(j, &b, b_offset, rows), b.single, y, rows * j->width,
            rooms + 2 * APART);
    }
    if (j->far) far_done();
}
