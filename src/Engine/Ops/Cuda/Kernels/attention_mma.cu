// Attention over one part of a context on tensor cores, for 16-bit types and a head_dim of 64 or 128. A warp processes one block of 16
// positions at a time: scores [16 positions, 8 heads] = K Qᵀ, then out [HEAD_DIM, 8 heads] += Vᵀ P, both as m16n8k16. Each lane loads the keys
// and values it needs straight from memory: the order of the summed dimension is free as long as both operands agree on it. The code that loads
// them and turns them into operands is in attention_operands.cu (16-bit elements) or attention_operands8.cu (8-bit floats).
#define TILES (HEAD_DIM / 16)       // tiles of 16 dimensions

// Transposes an [8, 8] matrix of 16-bit elements, two of them in each lane.
__device__ __forceinline__ u32 transposed(u32 x) {
  u32 y;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
  return y;
}

// Reduces over the 8 lanes that hold the same two heads.
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
  const int lastBlock = (part.end + BLOCK_SIZE - 1) / BLOCK_SIZE;
  int block = part.begin / BLOCK_SIZE + warp;
  Keys keys;
  Values values;
  int nextId = 0;
  if (block < lastBlock) {
    const int id = part.table[block];
    loadKeys(part, id, lane, keys);
    loadValues(part, id, lane, values);
    if (block + WARPS < lastBlock) nextId = part.table[block + WARPS];
  }

  Query query;
  loadQuery(queries, headCount, lane, query);

  // A lane holds the results of head 2 * (lane % 4) and the next one.
  float best[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, sum[2] = {}, acc[TILES][4] = {};
  for (; block < lastBlock; block += WARPS) {
    const bool more = block + WARPS < lastBlock;
    float scores[4] = {};
    multiplyKeys(keys, query, scores);
    if (more) loadKeys(part, nextId, lane, keys);

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
    // Slots outside the part may hold anything, and 0 times NaN is NaN.
    if (base < part.first || base + BLOCK_SIZE > part.end) {
#pragma unroll
      for (int p = 0; p < 4; p++) {
        const int position = base + valuePosition(lane, p);
        if (position < part.first || position >= part.end) blank(values, p);
      }
    }

    prepare(values);
    const u32 low = transposed(packed(scores[0], scores[1])), high = transposed(packed(scores[2], scores[3]));
#pragma unroll
    for (int m = 0; m < TILES; m++) {
      u32 tile[4];
      tileOf(values, m, tile);
      multiply(acc[m], tile[0], tile[1], tile[2], tile[3], low, high);
    }
    if (more) loadValues(part, nextId, lane, values);
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
      for (int i = 0; i < 2; i++) found.out[warp][head][lane / 4 * (HEAD_DIM / 8) + 2 * m + i] = acc[m][2 * i + h] * OUT_SCALE;
  }
}
