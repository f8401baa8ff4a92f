/* tile_table.h: one function for each size of register tile, from the including file's TILE(height, vectors), and
 * their table. The sizes are constants to the compiler, so that accumulators stay in registers.
 */
#if FC_BLOCK != 6 && FC_BLOCK != 14
#error "FC_BLOCK must be 6 or 14"
#endif
/* clang-format off */
#define TILES(height) TILE(height, 1) TILE(height, 2)
TILES(1) TILES(2) TILES(3) TILES(4) TILES(5) TILES(6)
#if FC_BLOCK == 14
TILES(7) TILES(8) TILES(9) TILES(10) TILES(11) TILES(12) TILES(13) TILES(14)
#endif

#define ROW(height) {tile_##height##x1, tile_##height##x2}
static tile_function *const tile_functions[BLOCK][VECTORS] = {
    ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6),
#if FC_BLOCK == 14
    ROW(7), ROW(8), ROW(9), ROW(10), ROW(11), ROW(12), ROW(13), ROW(14),
#endif
};
/* clang-format on */
