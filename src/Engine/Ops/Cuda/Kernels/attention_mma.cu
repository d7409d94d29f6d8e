// The walk over a part on tensor cores, for 16-bit types and a head_dim that is a multiple of 64. A warp takes a block of 16 positions at a
// time: scores [16 positions, 8 heads] = K Qᵀ, then out [HEAD_DIM, 8 heads] += Vᵀ P, both as m16n8k16. Keys and values come straight from
// memory to the lanes that need them, 16 bytes an access: the order of what is summed over is free, as long as both operands agree on it.
#define QUADS (HEAD_DIM / 32)       // 16-byte accesses of a key, for each of the 4 lanes that share it
#define CHUNKS (HEAD_DIM / 64)      // 16-byte accesses of a value, for each of the 8 lanes that share it
#define TILES (HEAD_DIM / 16)       // tiles of 16 dimensions

// [8, 8] elements of two bytes, two a lane: rows become columns.
__device__ __forceinline__ u32 transposed(u32 x) {
  u32 y;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

union Quad {
  uint4 raw;
  u32 word[4];
};

__device__ __forceinline__ void loadKeys(const T* keys, int stride, int lane, Quad (*quads)[2]) {
#pragma unroll
  for (int j = 0; j < QUADS; j++)
#pragma unroll
    for (int p = 0; p < 2; p++) quads[j][p].raw = __ldcg((const uint4*)(keys + (lane / 4 + 8 * p) * stride + j * 32 + lane % 4 * 8));
}

__device__ __forceinline__ int valuePosition(int lane, int p) { return lane % 4 * 2 + p % 2 + p / 2 * 8; }

__device__ __forceinline__ void loadValues(const T* values, int stride, int lane, Quad (*quads)[CHUNKS]) {
#pragma unroll
  for (int p = 0; p < 4; p++)
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
      quads[p][c].raw = __ldcg((const uint4*)(values + valuePosition(lane, p) * stride + lane / 4 * (HEAD_DIM / 8) + c * 8));
}

// Over the 8 lanes that hold the same two heads.
__device__ __forceinline__ float columnMax(float x) {
#pragma unroll
  for (int offset = 4; offset < WARP; offset <<= 1) x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, offset));
  return x;
}

__device__ __forceinline__ float columnSum(float x) {
#pragma unroll
  for (int offset = 4; offset < WARP; offset <<= 1) x += __shfl_xor_sync(FULL_MASK, x, offset);
  return x;
}

__device__ __forceinline__ void attend(const T* queries, int headCount, float scale, const Part& part, Found& found) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  const u64 blockStride = (u64)BLOCK_SIZE * part.stride;
  const int lastBlock = (part.end + BLOCK_SIZE - 1) / BLOCK_SIZE;
  int block = part.begin / BLOCK_SIZE + warp;
  Quad keys[QUADS][2], values[4][CHUNKS];
  int nextId = 0;
  if (block < lastBlock) {
    const u64 at = part.table[block] * blockStride;
    loadKeys(part.keys + at, part.stride, lane, keys);
    loadValues(part.values + at, part.stride, lane, values);
    if (block + WARPS < lastBlock) nextId = part.table[block + WARPS];
  }

  Quad query[QUADS];
#pragma unroll
  for (int j = 0; j < QUADS; j++) {
    if (lane / 4 < headCount) query[j].raw = *(const uint4*)(queries + lane / 4 * HEAD_DIM + j * 32 + lane % 4 * 8);
    else query[j].raw = {0, 0, 0, 0};
  }

  // A lane's results are of heads 2 * (lane % 4) and the one after.
  float best[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, sum[2] = {}, acc[TILES][4] = {};
  for (; block < lastBlock; block += WARPS) {
    const bool more = block + WARPS < lastBlock;
    const u64 next = nextId * blockStride;
    float scores[4] = {};
#pragma unroll
    for (int j = 0; j < QUADS; j++) {
      multiply(scores, keys[j][0].word[0], keys[j][1].word[0], keys[j][0].word[1], keys[j][1].word[1], query[j].word[0], query[j].word[1]);
      multiply(scores, keys[j][0].word[2], keys[j][1].word[2], keys[j][0].word[3], keys[j][1].word[3], query[j].word[2], query[j].word[3]);
    }
    if (more) loadKeys(part.keys + next, part.stride, lane, keys);

    const int base = block * BLOCK_SIZE;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int position = base + lane / 4 + i / 2 * 8;
      scores[i] = position >= part.first && position < part.end ? scores[i] * scale : NEGATIVE_INFINITY;
    }
    bool grew = false;
    float shrink[2];
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const float top = fmaxf(best[h], columnMax(fmaxf(scores[h], scores[h + 2])));
      shrink[h] = exp2f(best[h] - top);
      grew |= top > best[h];
      best[h] = top;
      scores[h] = exp2f(scores[h] - top);
      scores[h + 2] = exp2f(scores[h + 2] - top);
      sum[h] = sum[h] * shrink[h] + scores[h] + scores[h + 2];
    }
    if (__any_sync(FULL_MASK, grew)) {
#pragma unroll
      for (int m = 0; m < TILES; m++)
#pragma unroll
        for (int i = 0; i < 4; i++) acc[m][i] *= shrink[i % 2];
    }
    // Slots outside of the part may hold anything, and 0 times NaN is no 0.
    if (base < part.first || base + BLOCK_SIZE > part.end) {
#pragma unroll
      for (int p = 0; p < 4; p++) {
        const int position = base + valuePosition(lane, p);
        if (position < part.first || position >= part.end)
#pragma unroll
          for (int c = 0; c < CHUNKS; c++) values[p][c].raw = {0, 0, 0, 0};
      }
    }

    const u32 low = transposed(packed(scores[0], scores[1])), high = transposed(packed(scores[2], scores[3]));
#pragma unroll
    for (int m = 0; m < TILES; m++) {
      u32 word[4];
#pragma unroll
      for (int p = 0; p < 4; p++) word[p] = values[p][m / 4].word[m % 4];
      // Row i of a tile is dimension 2 m of lane group i, row i + 8 the one after.
      multiply(acc[m], __byte_perm(word[0], word[1], 0x5410), __byte_perm(word[0], word[1], 0x7632), __byte_perm(word[2], word[3], 0x5410),
               __byte_perm(word[2], word[3], 0x7632), low, high);
    }
    if (more) loadValues(part.values + next, part.stride, lane, values);
    if (block + 2 * WARPS < lastBlock) nextId = part.table[block + 2 * WARPS];
  }

#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int head = lane % 4 * 2 + h;
    const float total = columnSum(sum[h]);
    if (head >= HEADS_PER_BLOCK) continue;
    if (lane / 4 == 0) {
      found.best[warp][head] = best[h];
      found.sum[warp][head] = total;
    }
#pragma unroll
    for (int m = 0; m < TILES; m++)
#pragma unroll
      for (int i = 0; i < 2; i++) found.out[warp][head][lane / 4 * (HEAD_DIM / 8) + 2 * m + i] = acc[m][2 * i + h];
  }
}
