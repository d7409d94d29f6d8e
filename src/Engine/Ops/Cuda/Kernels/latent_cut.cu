// How absorbed latent attention is split for tensor cores of single warps. Keys are rows [RANK + ROTARY], values their first RANK columns,
// the same for all heads. A block has 16 heads and PARTS (1 or 2) groups of four warps, each with its own positions. Each warp of a group
// owns a quarter of the columns, for scores and for results. Compiled for RANK (a multiple of 64), PLAIN (a multiple of 8) and ROTARY (a
// multiple of 16). A group has STAGES tiles of TILE (16 or 32) positions in flight. CLUSTER: number of blocks that join their results
// through each other's shared memory (latent_cluster.cu); 1: none do.
#define ROW (RANK + ROTARY)
#define WARPS 4                     // per group
#define GROUP_THREADS (WARPS * WARP)
#define THREADS (PARTS * GROUP_THREADS)
#define HEADS 16
#define COLUMNS (RANK / 4)          // per warp
#define LATENT_STEPS (COLUMNS / 16)
#define ROTARY_STEPS (ROTARY / 16)
#define OWN_ROTARY ((ROTARY_STEPS + 3) / 4)
#define STEPS (LATENT_STEPS + OWN_ROTARY)
#define TILES (COLUMNS / 8)         // of 8 result columns

// First of a warp's 16 columns in a step. From RANK on lies the rotated part, whose steps are dealt to the warps in turn. Negative: the
// warp has no such step.
__device__ __forceinline__ int columnOf(int quarter, int step) {
  if (step < LATENT_STEPS) return quarter * COLUMNS + step * 16;
  const int s = (step - LATENT_STEPS) * 4 + quarter;
  return s < ROTARY_STEPS ? RANK + s * 16 : -1;
}

// Ids of the cache blocks that a group reads next: lane l of each warp holds the l-th from first on, so no tile waits for the table.
struct BlockIds {
  int id, first;
};

#define IDS_POSITIONS (WARP * BLOCK_SIZE)

// begin: a multiple of BLOCK_SIZE if it is below end.
__device__ __forceinline__ BlockIds loadIds(const int* table, int begin, int end, int lane) {
  const int position = begin + lane * BLOCK_SIZE;
  return {position < end ? table[position / BLOCK_SIZE] : 0, begin / BLOCK_SIZE};
}

// Index of a position's row in the cache; called by whole warps.
__device__ __forceinline__ u64 slotOf(const BlockIds& ids, int position) {
  return (u64)__shfl_sync(FULL_MASK, ids.id, position / BLOCK_SIZE - ids.first) * BLOCK_SIZE + position % BLOCK_SIZE;
}

// Waits for the group's other warps.
__device__ __forceinline__ void meetGroup(int group) {
  asm volatile("bar.sync %0, %1;" :: "r"(group + 1), "n"(GROUP_THREADS) : "memory");
}

// A head's query from the given column on: in the absorbed part or in the rotated one.
__device__ __forceinline__ const T* queryAt(const T* absorbed, const T* queries, u64 head, int column) {
  return column < RANK ? absorbed + head * RANK + column : queries + head * (PLAIN + ROTARY) + PLAIN + column - RANK;
}
