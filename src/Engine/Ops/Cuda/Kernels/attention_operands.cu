// Loads keys and values of 16-bit elements for attention_mma.cu, unchanged, with 16-byte accesses.
#define QUADS (HEAD_DIM / 32)       // accesses to a key by each of the 4 lanes that share it
#define CHUNKS (HEAD_DIM / 64)      // accesses to a value by each of the 8 lanes that share it
#define OUT_SCALE 1.f               // values are not scaled down here

union Quad {
  uint4 raw;
  u32 word[4];
};

struct Query {
  Quad quads[QUADS];
};

struct Keys {
  Quad quads[QUADS][2];
};

struct Values {
  Quad quads[4][CHUNKS];
};

// The position, within the block, of a lane's p-th value.
__device__ __forceinline__ int valuePosition(int lane, int p) { return lane % 4 * 2 + p % 2 + p / 2 * 8; }

// Heads from headCount on are loaded as zeros.
__device__ __forceinline__ void loadQuery(const T* queries, int headCount, int lane, Query& query) {
#pragma unroll
  for (int j = 0; j < QUADS; j++) {
    if (lane / 4 < headCount) query.quads[j].raw = *(const uint4*)(queries + lane / 4 * HEAD_DIM + j * 32 + lane % 4 * 8);
    else query.quads[j].raw = {0, 0, 0, 0};
  }
}

__device__ __forceinline__ void loadKeys(const Part& part, int block, int lane, Keys& keys) {
  const T* first = part.keys + block * ((u64)BLOCK_SIZE * part.stride);
#pragma unroll
  for (int j = 0; j < QUADS; j++)
#pragma unroll
    for (int p = 0; p < 2; p++) keys.quads[j][p].raw = __ldcg((const uint4*)(first + (lane / 4 + 8 * p) * part.stride + j * 32 + lane % 4 * 8));
}

__device__ __forceinline__ void loadValues(const Part& part, int block, int lane, Values& values) {
  const T* first = part.values + block * ((u64)BLOCK_SIZE * part.stride);
#pragma unroll
  for (int p = 0; p < 4; p++)
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
      values.quads[p][c].raw = __ldcg((const uint4*)(first + valuePosition(lane, p) * part.stride + lane / 4 * (HEAD_DIM / 8) + c * 8));
}

// scores += K Qᵀ.
__device__ __forceinline__ void multiplyKeys(const Keys& keys, const Query& query, float* scores) {
#pragma unroll
  for (int j = 0; j < QUADS; j++) {
    const u32 *low = keys.quads[j][0].word, *high = keys.quads[j][1].word, *q = query.quads[j].word;
    multiply(scores, low[0], high[0], low[1], high[1], q[0], q[1]);
    multiply(scores, low[2], high[2], low[3], high[3], q[2], q[3]);
  }
}

// Zeroes the values of the p-th position.
__device__ __forceinline__ void blank(Values& values, int p) {
#pragma unroll
  for (int c = 0; c < CHUNKS; c++) values.quads[p][c].raw = {0, 0, 0, 0};
}

// Preparation shared by all tiles: none is needed here.
__device__ __forceinline__ void prepare(Values& values) {}

// Tile m of Vᵀ: row i is dimension 2 m of lane group i; row i + 8 is the next dimension.
__device__ __forceinline__ void tileOf(const Values& values, int m, u32* tile) {
  u32 word[4];
#pragma unroll
  for (int p = 0; p < 4; p++) word[p] = values.quads[p][m / 4].word[m % 4];
  tile[0] = __byte_perm(word[0], word[1], 0x5410);
  tile[1] = __byte_perm(word[0], word[1], 0x7632);
  tile[2] = __byte_perm(word[2], word[3], 0x5410);
  tile[3] = __byte_perm(word[2], word[3], 0x7632);
}
