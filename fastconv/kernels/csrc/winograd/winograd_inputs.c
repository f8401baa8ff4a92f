/* winograd_inputs.c: Winograd's list of combinations, and the transform of inputs, which all passes begin with. */
#include "winograd_tiles.h"

FC_INLINE void transform_inputs(const int fd, const int fh, const int fw, const fc_axis axis[3],
                                const ptrdiff_t tiles[3], ptrdiff_t channels, ptrdiff_t pixel, const void *x,
                                ptrdiff_t block, ptrdiff_t first, ptrdiff_t count, real *restrict to)
{
    const ptrdiff_t outputs[3] = {OUTPUTS[fd], OUTPUTS[fh], OUTPUTS[fw]};
    const ptrdiff_t size[3] = {axis[0].input, axis[1].input, axis[2].input};
    const ptrdiff_t step[3] = {axis[0].dilation, axis[1].dilation, axis[2].dilation};
    const ptrdiff_t width = blocks(channels, LANES) * LANES, next = plane(block, channels);
    const ptrdiff_t x_step[3] = {step[0] * size[1] * size[2] * pixel, step[1] * size[2] * pixel, step[2] * pixel};
    for (ptrdiff_t t = 0; t < count; t++) {
        const place p = place_of(axis, tiles, outputs, first + t);
        const ptrdiff_t start[3] = {p.at[0] + axis[0].start, p.at[1] + axis[1].start, p.at[2] + axis[2].start};
        const real *x_n = (const real *)x + p.n * size[0] * size[1] * size[2] * pixel;
        const real *x_t = x_n + ((start[0] * size[1] + start[1]) * size[2] + start[2]) * pixel;
        const int inside = box_inside(size, start, step, POINTS[fd], POINTS[fh], POINTS[fw]);
        for (ptrdiff_t c = 0; c < channels; c += LANES) {
            const ptrdiff_t lanes = min_(channels - c, LANES);
            vec border[MAX_POINTS];
            box from = {(real *)x_t + c, {x_step[0], x_step[1], x_step[2]}};
            if (!inside || lanes < LANES) {
                load_box(POINTS[fd], POINTS[fh], POINTS[fw], size, start, step, pixel, x_n + c, lanes, border);
                from = dense_box(border, POINTS[fh], POINTS[fw]);
            }
            const box out = {to + t * width + c, {POINTS[fh] * POINTS[fw] * next, POINTS[fw] * next, next}};
            transform_boxes(INPUT, fd, fh, fw, from, out, (vec){0});
        }
    }
}

#define FUNCTION(d, h, w)                                                                                              \
    static void inputs_##d##h##w(const fc_axis axis[3], const ptrdiff_t tiles[3], ptrdiff_t channels, ptrdiff_t pixel, \
                                 const void *x, ptrdiff_t block, ptrdiff_t first, ptrdiff_t count, real *to)           \
    {                                                                                                                  \
        transform_inputs(d, h, w, axis, tiles, channels, pixel, x, block, first, count, to);                           \
    }
FC_WINOGRAD(FUNCTION)
#define VARIANT(d, h, w) {{d, h, w}, inputs_##d##h##w},
const variant FC_NAME(winograd_variants)[] = {FC_WINOGRAD(VARIANT)};

/* Whether these filters have the axes' taps and the asked numbers of outputs; of a row in pieces, a piece's taps. */
FC_INLINE int is_variant(const int filters[3], const fc_axis axis[3], const ptrdiff_t outputs[3], ptrdiff_t pieces)
{
    for (int i = 0; i < 3; i++) {
        const ptrdiff_t taps = i == 2 && pieces > 1 ? outputs[2] : axis[i].taps;
        if (TAPS[filters[i]] != taps || OUTPUTS[filters[i]] != outputs[i]) return 0;
    }
    return axis[2].taps <= pieces * TAPS[filters[2]];
}

int FC_NAME(winograd_variant)(const fc_axis axis[3], const ptrdiff_t outputs[3], ptrdiff_t pieces)
{
    const variant *all = FC_NAME(winograd_variants);
    for (int i = 0; i < (int)(sizeof FC_NAME(winograd_variants) / sizeof *all); i++)
        if (is_variant(all[i].filters, axis, outputs, pieces)) return i;
    return -1;
}
