/* table.c: the tiles of one instruction set and element type, as a row of function pointers. */
#include "vector.h"

#define DECLARE(name) fc_tile FC_NAME(name);
FC_TILES(DECLARE)

#define FIELD(name) .name = FC_NAME(name),
const fc_tiles FC_NAME(fc_tiles) = {.isa = FC_ISA, .lanes = LANES, .panel = PANEL, .block = BLOCK, FC_TILES(FIELD)};
