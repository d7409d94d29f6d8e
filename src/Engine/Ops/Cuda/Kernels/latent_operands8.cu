// Rows of 8-bit floats with one scale per row, for latent_attention.cu. Rows lie in shared memory as they are stored in the cache, and
// each warp widens in registers what it multiplies: once as keys, where adjacent bytes of a row form operands, and once as values, where
// bytes of adjacent positions do. A position's scale multiplies its scores, and is part of the factor that widens its values. The order
// of columns (the same for queries and keys) and of positions (the same for scores and values) is free; it is chosen such that 16-byte
// accesses of 8 lanes have no bank conflicts.
#define PADDED (ROW + 32)
#define PACKS_OF_ROW (ROW / 16)
#define THREADS_OF_ROW (GROUP_THREADS / TILE)
#define TILE_BYTES (TILE * (PADDED + 1)) // rows, then their scales
#define IS_WIDE (COLUMNS % 128 == 0)     // then a lane reads 16 adjacent bytes of keys and of values

typedef u8 Cached;

union Quad {
  uint4 raw;
  u32 word[4];
};

// For heads lane / 4 and lane / 4 + 8: of every four columns the even ones of both heads, then the odd ones.
struct Queries {
  u32 steps[STEPS][4];
};

// Factors for the positions of this lane's scores and values: one for each score, and pairs for the values.
struct Scales {
  float keys[TILE / 8][2];
  u32 values[TILE / 8];
};

// The position, of 8, that a column of scores belongs to: 0, 6, 1, 7, 2, 4, 3, 5. Adjacent lanes read values of the four even columns,
// whose rows are evenly spread over the banks. So are the rows of the two columns whose keys eight lanes read.
__device__ __forceinline__ int positionOf(int column) { return column % 2 == 0 ? column / 2 : 4 + (column / 2 + 2) % 4; }

// First of the four columns that a lane multiplies in a step; negative: the warp has no such step.
__device__ __forceinline__ int wordOf(int quarter, int step, int lane) {
  if (IS_WIDE && step < LATENT_STEPS) return quarter * COLUMNS + step / 4 * 64 + lane % 4 * 16 + step % 4 * 4;
  const int column = columnOf(quarter, step);
  return column < 0 ? column : column + lane % 4 * 4;
}

// count: number of the tile's positions within the part. The rows of other positions are zeros; a factor of 0 keeps them so.
__device__ __forceinline__ Scales loadScales(const u8* tile, int count, int lane) {
  Scales scales;
#pragma unroll
  for (int n = 0; n < TILE / 8; n++) {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int position = n * 8 + positionOf(lane % 4 * 2 + i);
      scales.keys[n][i] = position < count ? scaleValue(tile[TILE * PADDED + position]) : 0;
    }
    scales.values[n] = packed(scales.keys[n][0] * (MENDS / OUT_SCALE), scales.keys[n][1] * (MENDS / OUT_SCALE));
  }
  return scales;
}

__device__ __forceinline__ float keyScale(const Scales& scales, int n, int i) { return scales.keys[n][i]; }

// Heads that do not exist become zeros. at: index of the row's first head among all rows.
__device__ __forceinline__ void loadQueries(const T* absorbed, const T* queries, u64 at, int firstHead, int heads, int quarter, int lane,
                                            Queries& query) {
#pragma unroll
  for (int s = 0; s < STEPS; s++) {
    const int column = wordOf(quarter, s, lane);
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int head = firstHead + lane / 4 + h * 8;
      const uint2 four = column >= 0 && head < heads ? *(const uint2*)queryAt(absorbed, queries, at + head, column) : uint2{0, 0};
      query.steps[s][h] = __byte_perm(four.x, four.y, 0x5410);
      query.steps[s][2 + h] = __byte_perm(four.x, four.y, 0x7632);
    }
  }
}

// Starts the copy of a tile's rows and scales. Those outside the part become zeros, because slots there may hold anything. Adjacent threads
// share a row; they take the rows in the order of the columns of scores, to avoid bank conflicts.
__device__ __forceinline__ void copyTile(u8* tile, const Cached* cache, const u8* scales, const BlockIds& ids, int begin, int end) {
  if (begin < end) {
    const int thread = threadIdx.x % GROUP_THREADS, i = thread / THREADS_OF_ROW, first = thread % THREADS_OF_ROW;
    const int r = i / 8 * 8 + positionOf(i % 8), position = begin + thread % (TILE / BLOCK_SIZE) * BLOCK_SIZE;
    const u8* source = cache + slotOf(ids, begin + r) * ROW;
    const u64 scaleSlot = slotOf(ids, position);
#pragma unroll
    for (int p = 0; p < PACKS_OF_ROW; p += THREADS_OF_ROW)
      if (PACKS_OF_ROW % THREADS_OF_ROW == 0 || first + p < PACKS_OF_ROW)
        copyAsync(tile + r * PADDED + (first + p) * 16, source + (first + p) * 16, begin + r < end);
    if (thread < TILE / BLOCK_SIZE)
      copyAsync(tile + TILE * PADDED + thread * BLOCK_SIZE, scales + scaleSlot, position < end);
  }
  commitCopies();
}

// scores [16 heads, 8 positions] += products over four columns in each of four lanes.
__device__ __forceinline__ void multiplyWord(float (&scores)[4], const u32 (&query)[4], u32 keys) {
  multiply(scores, query[0], query[1], query[2], query[3], timesPair(movedEven(keys), MENDS_PAIR), timesPair(movedOdd(keys), MENDS_PAIR));
}

// scores [16 heads, TILE positions], summed over this warp's columns only, and without the keys' scales.
__device__ __forceinline__ void multiplyKeys(float (&scores)[TILE / 8][4], const u8* tile, const Queries& query, int quarter, int lane) {
  const u8* own = tile + positionOf(lane / 4) * PADDED;
#if IS_WIDE
#pragma unroll
  for (int s = 0; s < LATENT_STEPS; s += 4) {
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) {
      Quad keys;
      keys.raw = *(const uint4*)(own + n * 8 * PADDED + wordOf(quarter, s, lane));
#pragma unroll
      for (int w = 0; w < 4; w++) multiplyWord(scores[n], query.steps[s + w], keys.word[w]);
    }
  }
#endif
#pragma unroll
  for (int s = IS_WIDE ? LATENT_STEPS : 0; s < STEPS; s++) {
    const int column = wordOf(quarter, s, lane);
    if (column < 0) continue;
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) multiplyWord(scores[n], query.steps[s], *(const u32*)(own + n * 8 * PADDED + column));
  }
}

// acc += weights · values of two columns and 16 positions. In first and in second, bytes 1 and 3 are of the first column at two positions,
// bytes 0 and 2 of the next column.
__device__ __forceinline__ void addColumns(float (&acc)[TILES][4], int m, const u32 (&w)[4], u32 first, u32 second, u32 firstScales,
                                           u32 secondScales) {
  multiply(acc[m], w[0], w[1], w[2], w[3], timesPair(movedOdd(first), firstScales), timesPair(movedOdd(second), secondScales));
  multiply(acc[m + 1], w[0], w[1], w[2], w[3], timesPair(movedEven(first), firstScales), timesPair(movedEven(second), secondScales));
}

// acc += weights · values, for the k-th 16 positions, OUT_SCALE times too small. The four lanes with the same lane / 4 read the same
// columns: with IS_WIDE 16 adjacent ones, the m-th of which goes to tile m; otherwise 2 of every 16.
__device__ __forceinline__ void addValues(float (&acc)[TILES][4], const u32 (&weights)[4], const u8* tile, const Scales& scales, int k,
                                          int quarter, int lane) {
  const u32 firstScales = scales.values[2 * k], secondScales = scales.values[2 * k + 1];
  const u8* rows[4];
#pragma unroll
  for (int p = 0; p < 4; p++) rows[p] = tile + (k * 16 + p / 2 * 8 + positionOf(lane % 4 * 2 + p % 2)) * PADDED + quarter * COLUMNS;
#if IS_WIDE
#pragma unroll
  for (int c = 0; c < COLUMNS / 128; c++) {
    Quad values[4];
#pragma unroll
    for (int p = 0; p < 4; p++) values[p].raw = *(const uint4*)(rows[p] + c * 128 + lane / 4 * 16);
#pragma unroll
    for (int w = 0; w < 4; w++)
#pragma unroll
      for (int half = 0; half < 2; half++)
        addColumns(acc, c * 16 + w * 4 + half * 2, weights, __byte_perm(values[0].word[w], values[1].word[w], half ? 0x6723 : 0x4501),
                   __byte_perm(values[2].word[w], values[3].word[w], half ? 0x6723 : 0x4501), firstScales, secondScales);
  }
#else
#pragma unroll
  for (int c = 0; c < COLUMNS / 16; c++) {
    u32 values[4];
#pragma unroll
    for (int p = 0; p < 4; p++) values[p] = *(const u16*)(rows[p] + c * 16 + lane / 4 * 2);
    addColumns(acc, c * 2, weights, __byte_perm(values[0], values[1], 0x4501), __byte_perm(values[2], values[3], 0x4501), firstScales,
               secondScales);
  }
#endif
}

// Gets a lane's p-th pair of adjacent results for the h-th of its heads; returns the first one's column, counted within the warp.
__device__ __forceinline__ int resultsOf(const float (&acc)[TILES][4], int h, int p, int lane, float2& results) {
  const int i = p / (TILES / 2), m = p % (TILES / 2) * 2, group = lane % 4 * 2 + i;
  results = {acc[m][2 * h + i], acc[m + 1][2 * h + i]};
  return IS_WIDE ? m / 16 * 128 + group * 16 + m % 16 : m * 8 + group * 2;
}

// Stores the final values of two elements of a lane's m-th accumulator, for one head; their columns are not adjacent. row: the warp's
// columns of that head.
__device__ __forceinline__ void storePair(T* row, int m, int lane, float first, float second) {
  const int group = lane % 4 * 2, apart = IS_WIDE ? 16 : 2;
  T* target = row + (IS_WIDE ? m / 16 * 128 + m % 16 : m / 2 * 16 + m % 2) + group * apart;
  target[0] = fromFloat(first);
  target[apart] = fromFloat(second);
}
