/* table.c: the tiles of one instruction set and element type, as a row of function pointers. */
#include "vector.h"

#define DECLARE(name) fc_tile FC_NAME(name);
FC_TILES(DECLARE)
#define DECLARE_SIZE(name) fc_size FC_NAME(name##_size);
FC_SIZES(DECLARE_SIZE)

#define FIELD(name) .name = FC_NAME(name),
#define SIZE(name) .name##_size = FC_NAME(name##_size),
const fc_tiles FC_NAME(fc_tiles) = {
    .isa = FC_ISA, .lanes = LANES, .panel = PANEL, .block = BLOCK, FC_TILES(FIELD) FC_SIZES(SIZE)};
