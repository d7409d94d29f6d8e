// Rows of 16-bit elements for latent_attention.cu.
#define PADDED (ROW + 8)            // each row begins 16 bytes further in the banks
#define PACKS_OF_ROW (ROW / 8)
#define TILE_BYTES (TILE * PADDED * 2)
#define OUT_SCALE 1.f

typedef T Cached;

// Fragments of this warp's columns, for heads lane / 4 and lane / 4 + 8.
struct Queries {
  u32 steps[STEPS][4];
};

struct Scales {};

// The position, of 8, that a column of scores belongs to.
__device__ __forceinline__ int positionOf(int column) { return column; }

__device__ __forceinline__ Scales loadScales(const u8*, int, int) { return {}; }
__device__ __forceinline__ float keyScale(const Scales&, int, int) { return 1; }

// Heads that do not exist become zeros. at: index of the row's first head among all rows.
__device__ __forceinline__ void loadQueries(const T* absorbed, const T* queries, u64 at, int firstHead, int heads, int quarter, int lane,
                                            Queries& query) {
#pragma unroll
  for (int s = 0; s < STEPS; s++) {
    const int column = columnOf(quarter, s);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int head = firstHead + lane / 4 + i % 2 * 8;
      query.steps[s][i] =
          column >= 0 && head < heads ? *(const u32*)(queryAt(absorbed, queries, at + head, column) + lane % 4 * 2 + i / 2 * 8) : 0;
    }
  }
}

// Starts the copy of a tile's rows. Rows outside the part become zeros, because slots there may hold anything.
__device__ __forceinline__ void copyTile(u8* tile, const Cached* cache, const u8*, const BlockIds& ids, int begin, int end) {
  if (begin < end) {
    const int warp = threadIdx.x / WARP % WARPS, lane = threadIdx.x % WARP;
#pragma unroll 2
    for (int r = warp; r < TILE; r += WARPS) {
      const u64 slot = slotOf(ids, begin + r);
#pragma unroll
      for (int pack = lane; pack < PACKS_OF_ROW; pack += WARP)
        copyAsync(tile + (r * PADDED + pack * 8) * 2, cache + slot * ROW + pack * 8, begin + r < end);
    }
  }
  commitCopies();
}

// scores [16 heads, TILE positions], summed over this warp's columns only.
__device__ __forceinline__ void multiplyKeys(float (&scores)[TILE / 8][4], const u8* tile, const Queries& query, int quarter, int lane) {
#pragma unroll
  for (int s = 0; s < STEPS; s++) {
    const int column = columnOf(quarter, s);
    if (column < 0) continue;
#pragma unroll
    for (int n = 0; n < TILE / 16; n++) {
      // 16 columns of positions 16 n to 16 n + 7, then of the next 8.
      u32 keys[4];
      loadMatrices(keys, (const T*)tile + (n * 16 + lane / 16 * 8 + lane % 8) * PADDED + column + lane / 8 % 2 * 8);
      multiply(scores[2 * n], query.steps[s][0], query.steps[s][1], query.steps[s][2], query.steps[s][3], keys[0], keys[1]);
      multiply(scores[2 * n + 1], query.steps[s][0], query.steps[s][1], query.steps[s][2], query.steps[s][3], keys[2], keys[3]);
    }
  }
}

// acc += weights · values, for the k-th 16 positions.
__device__ __forceinline__ void addValues(float (&acc)[TILES][4], const u32 (&weights)[4], const u8* tile, const Scales&, int k,
                                          int quarter, int lane) {
#pragma unroll
  for (int m = 0; m < TILES / 2; m++) {
    // 16 positions of 16 columns: positions 0 to 7 and 8 to 15 of the first 8 columns, then of the next.
    u32 values[4];
    loadTransposed(values, (const T*)tile + (k * 16 + lane / 8 % 2 * 8 + lane % 8) * PADDED + quarter * COLUMNS + m * 16 + lane / 16 * 8);
    multiply(acc[2 * m], weights[0], weights[1], weights[2], weights[3], values[0], values[1]);
    multiply(acc[2 * m + 1], weights[0], weights[1], weights[2], weights[3], values[2], values[3]);
  }
}

// Gets a lane's p-th pair of adjacent results for the h-th of its heads; returns the first one's column, counted within the warp.
__device__ __forceinline__ int resultsOf(const float (&acc)[TILES][4], int h, int p, int lane, float2& results) {
  results = {acc[p][2 * h], acc[p][2 * h + 1]};
  return p * 8 + lane % 4 * 2;
}

// Stores the final values of two adjacent elements of a lane's m-th accumulator, for one head. row: the warp's columns of that head.
__device__ __forceinline__ void storePair(T* row, int m, int lane, float first, float second) {
  *(u32*)(row + m * 8 + lane % 4 * 2) = packed(first, second);
}
