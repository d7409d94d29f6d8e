// How absorbed latent attention is cut for tensor cores of single warps. Keys are rows [RANK + ROTARY], values their first RANK columns,
// the same for all heads. Four warps share a group of 16 heads: each owns a quarter of the columns, of scores and of results. Compiled for
// RANK (a multiple of 64), PLAIN (a multiple of 8), ROTARY (a multiple of 16) and HEAD_GROUPS. STAGES tiles of TILE (16 or 32) positions
// are on their way.
#define ROW (RANK + ROTARY)
#define WARPS (4 * HEAD_GROUPS)
#define THREADS (WARPS * WARP)
#define HEADS (16 * HEAD_GROUPS)
#define COLUMNS (RANK / 4)          // of a warp
#define LATENT_STEPS (COLUMNS / 16)
#define ROTARY_STEPS (ROTARY / 16)
#define OWN_ROTARY ((ROTARY_STEPS + 3) / 4)
#define STEPS (LATENT_STEPS + OWN_ROTARY)
#define TILES (COLUMNS / 8)         // of 8 result columns

// First of a warp's 16 columns of a step; beyond RANK lies the rotated part, whose steps go round the warps. Negative: the warp has no such
// step.
__device__ __forceinline__ int columnOf(int quarter, int step) {
  if (step < LATENT_STEPS) return quarter * COLUMNS + step * 16;
  const int s = (step - LATENT_STEPS) * 4 + quarter;
  return s < ROTARY_STEPS ? RANK + s * 16 : -1;
}

// Where a position's row begins in the cache, counted in rows; slots outside of a part may hold anything, and are not read.
__device__ __forceinline__ u64 slotOf(const int* table, int position) {
  return (u64)table[position / BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE;
}

// Of the columns of a head, those from a step's column on: of the absorbed part, or of the rotated one.
__device__ __forceinline__ const T* queryAt(const T* absorbed, const T* queries, u64 head, int column) {
  return column < RANK ? absorbed + head * RANK + column : queries + head * (PLAIN + ROTARY) + PLAIN + column - RANK;
}
