// Rows of 8-bit floats, which share a scale, for the walk of latent_attention.cu: they lie in shared memory as they are stored, and each
// warp widens what it multiplies in its registers: once as keys, where bytes beside each other are operands, and once as values, where
// bytes of adjacent positions are. A position's scale multiplies its scores, and is part of the product that widens its values. The order
// of columns, of queries as of keys, and that of positions, of scores as of values, are free; these are such that 16-byte accesses of 8
// lanes meet in no bank.
#define PADDED (ROW + 32)
#define PACKS_OF_ROW (ROW / 16)
#define THREADS_OF_ROW (GROUP_THREADS / TILE)
#define TILE_BYTES (TILE * (PADDED + 1)) // rows, then their scales
#define IS_WIDE (COLUMNS % 128 == 0)     // so that a lane has 16 adjacent bytes of keys and of values

typedef u8 Cached;

union Quad {
  uint4 raw;
  u32 word[4];
};

// Of heads lane / 4 and the one 8 further: of each four columns the even ones of both heads, then the odd ones.
struct Queries {
  u32 steps[STEPS][4];
};

// Of the positions that this lane's scores and values are of: what multiplies the scores, and pairs of factors of values.
struct Scales {
  float keys[TILE / 8][2];
  u32 values[TILE / 8];
};

// Which of 8 positions a column of scores is of: 0, 6, 1, 7, 2, 4, 3, 5. Even columns, which lanes beside each other read values of, are as
// far apart as there are banks for four, and so are the two columns that eight lanes read keys of.
__device__ __forceinline__ int positionOf(int column) { return column % 2 == 0 ? column / 2 : 4 + (column / 2 + 2) % 4; }

// First of the four columns of a step that a lane multiplies; negative: the warp has no such step.
__device__ __forceinline__ int wordOf(int quarter, int step, int lane) {
  if (IS_WIDE && step < LATENT_STEPS) return quarter * COLUMNS + step / 4 * 64 + lane % 4 * 16 + step % 4 * 4;
  const int column = columnOf(quarter, step);
  return column < 0 ? column : column + lane % 4 * 4;
}

// count: positions of the tile that are in the part. Others have rows of zeros, and get a factor that keeps these.
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

// Zeros where there is no such head. at: the row's first head.
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

// Starts the copy of a tile's rows and scales; those outside of the part are zero, as slots there may hold anything. Threads beside each
// other have a row; their rows are in the order of the columns of scores, for the banks' sake.
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

// scores [16 heads, 8 positions] += four columns of each of four lanes.
__device__ __forceinline__ void multiplyWord(float (&scores)[4], const u32 (&query)[4], u32 keys) {
  multiply(scores, query[0], query[1], query[2], query[3], timesPair(movedEven(keys), MENDS_PAIR), timesPair(movedOdd(keys), MENDS_PAIR));
}

// scores [16 heads, TILE positions], as far as this warp's columns go, and without the scales of keys.
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

// acc += weights · values of two columns and 16 positions. first, second: bytes 1 and 3 are the first column's of two positions, 0 and 2
// the next one's.
__device__ __forceinline__ void addColumns(float (&acc)[TILES][4], int m, const u32 (&w)[4], u32 first, u32 second, u32 firstScales,
                                           u32 secondScales) {
  multiply(acc[m], w[0], w[1], w[2], w[3], timesPair(movedOdd(first), firstScales), timesPair(movedOdd(second), secondScales));
  multiply(acc[m + 1], w[0], w[1], w[2], w[3], timesPair(movedEven(first), firstScales), timesPair(movedEven(second), secondScales));
}

// acc += weights · values, of the k-th 16 positions, OUT_SCALE times too small. A lane reads columns for lanes of its own group of four:
// with IS_WIDE 16 adjacent ones, the m-th of which goes to tile m; else 2 of each 16.
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

// The p-th two adjacent results that a lane has of the h-th of its heads; returns the first one's column of the warp's.
__device__ __forceinline__ int resultsOf(const float (&acc)[TILES][4], int h, int p, int lane, float2& results) {
  const int i = p / (TILES / 2), m = p % (TILES / 2) * 2, group = lane % 4 * 2 + i;
  results = {acc[m][2 * h + i], acc[m + 1][2 * h + i]};
  return IS_WIDE ? m / 16 * 128 + group * 16 + m % 16 : m * 8 + group * 2;
}

// Stores what two elements of the m-th accumulator of a lane became, of one head; they are not adjacent. row: the warp's columns of it.
__device__ __forceinline__ void storePair(T* row, int m, int lane, float first, float second) {
  const int group = lane % 4 * 2, apart = IS_WIDE ? 16 : 2;
  T* target = row + (IS_WIDE ? m / 16 * 128 + m % 16 : m / 2 * 16 + m % 2) + group * apart;
  target[0] = fromFloat(first);
  target[apart] = fromFloat(second);
}
