/* combine.c: functions of two elements (maps.h) of arrays that are broadcast together.
 *
 * Work goes in segments, runs of the output. An operand that does not lie like the output is laid out in scratch for a
 * segment first, unless it is one number there; what stays the same from one segment to the next is kept. A vector is
 * read before it is written, so that the result may take the place of an operand of its shape.
 */
#include "maps.h"
#include "far.h"
#include "functions.h"

/* y = the function of a and b, which go on from element to element or, with `single`, do not. */
typedef void combine_function(const real *a, int a_single, const real *b, int b_single, real *y, ptrdiff_t count, int far);

#define COMBINE(name, formula)                                                                                       \
    FC_INLINE void name##_run(const real *a_, const int a_single, const real *b_, const int b_single, real *y,       \
                              ptrdiff_t count, int far)                                                              \
    {                                                                                                                \
        const vec a_all = splat(*a_), b_all = splat(*b_);                                                            \
        for (ptrdiff_t i = 0; i < count; i += LANES) {                                                               \
            const ptrdiff_t lanes = min_(count - i, LANES);                                                          \
            const vec a = a_single ? a_all : load_part(a_ + i, lanes), b = b_single ? b_all : load_part(b_ + i, lanes); \
            store_part_far(far && lanes == LANES, y + i, formula, lanes);                                            \
        }                                                                                                            \
    }                                                                                                                \
    static void name##_combine(const real *a, int a_single, const real *b, int b_single, real *y, ptrdiff_t count,   \
                               int far)                                                                              \
    {                                                                                                                \
        if (a_single && b_single)                                                                                    \
            name##_run(a, 1, b, 1, y, count, far);                                                                   \
        else if (a_single)                                                                                           \
            name##_run(a, 1, b, 0, y, count, far);                                                                   \
        else if (b_single)                                                                                           \
            name##_run(a, 0, b, 1, y, count, far);                                                                   \
        else                                                                                                         \
            name##_run(a, 0, b, 0, y, count, far);                                                                   \
    }
FC_COMBINES(COMBINE)

#define ROW(name, formula) name##_combine,
static combine_function *const functions[] = {FC_COMBINES(ROW)};

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

FC_INLINE operand operand_of(const fc_combine *j, const void *data, const real *number, const ptrdiff_t *step, void *room)
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

void FC_NAME(combine)(const void *job, ptrdiff_t tile, void *scratch)
{
    const fc_combine *j = job;
    const real number = (real)j->number;
    operand a = operand_of(j, j->a, &number, j->a_step, scratch);
    operand b = operand_of(j, j->b, &number, j->b_step, (real *)scratch + FC_COMBINE_ROOM + LANES);
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
        functions[j->function](elements(j, &a, a_offset, rows), a.single, elements(j, &b, b_offset, rows), b.single, y,
                               rows * j->width, j->far);
    }
    if (j->far) far_done();
}
