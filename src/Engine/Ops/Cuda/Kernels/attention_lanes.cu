// The walk over a part by lanes of float arithmetic: any head_dim and type. LANES lanes hold a head in accesses of VECTOR elements.
#define CHUNKS ((HEAD_DIM + VECTOR - 1) / VECTOR)          // accesses that make a head
#define CHUNKS_PER_LANE ((CHUNKS + LANES - 1) / LANES)
#define ELEMENTS (CHUNKS_PER_LANE * VECTOR)                // of a head, in one lane
#define GROUPS_PER_WARP (WARP / LANES)                     // positions that a warp takes at once
#define STRIDE (WARPS * GROUPS_PER_WARP)

struct __align__(VECTOR * sizeof(T)) Chunk { T element[VECTOR]; };

__device__ __forceinline__ void loadHead(const T* head, int lane, Chunk* chunks) {
#pragma unroll
  for (int c = 0; c < CHUNKS_PER_LANE; c++) {
    const int chunk = c * LANES + lane;
    if (chunk < CHUNKS) chunks[c] = ((const Chunk*)head)[chunk];
    else
#pragma unroll
      for (int e = 0; e < VECTOR; e++) chunks[c].element[e] = 0;
  }
}

// Key and value of one position.
__device__ __forceinline__ void loadPosition(const Part& part, int position, int lane, Chunk* key, Chunk* value) {
  const u64 offset = ((u64)part.table[position / BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE) * part.stride;
  loadHead(part.keys + offset, lane, key);
  loadHead(part.values + offset, lane, value);
}

__device__ __forceinline__ void attend(const T* queries, int headCount, float scale, const Part& part, Found& found) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % LANES, group = (threadIdx.x % WARP) / LANES;
  const int begin = max(part.begin, part.first), end = part.end;
  float query[HEADS_PER_BLOCK][ELEMENTS], acc[HEADS_PER_BLOCK][ELEMENTS], best[HEADS_PER_BLOCK], sum[HEADS_PER_BLOCK];
#pragma unroll
  for (int h = 0; h < HEADS_PER_BLOCK; h++) {
    best[h] = NEGATIVE_INFINITY;
    sum[h] = 0;
    Chunk chunks[CHUNKS_PER_LANE];
    loadHead(queries + (h < headCount ? h : 0) * HEAD_DIM, lane, chunks);
#pragma unroll
    for (int e = 0; e < ELEMENTS; e++) {
      query[h][e] = toFloat(chunks[e / VECTOR].element[e % VECTOR]) * scale;
      acc[h][e] = 0;
    }
  }

  // All lanes of a warp go round together: the sums below are shuffled over whole warps. The next positions are on their way meanwhile.
  Chunk nextKey[CHUNKS_PER_LANE], nextValue[CHUNKS_PER_LANE];
  int base = begin + warp * GROUPS_PER_WARP;
  if (base < end) loadPosition(part, min(base + group, end - 1), lane, nextKey, nextValue);
  for (; base < end; base += STRIDE) {
    const bool valid = base + group < end;
    Chunk key[CHUNKS_PER_LANE], value[CHUNKS_PER_LANE];
#pragma unroll
    for (int c = 0; c < CHUNKS_PER_LANE; c++) {
      key[c] = nextKey[c];
      value[c] = nextValue[c];
    }
    if (base + STRIDE < end) loadPosition(part, min(base + STRIDE + group, end - 1), lane, nextKey, nextValue);
#pragma unroll
    for (int h = 0; h < HEADS_PER_BLOCK; h++) {
      float score = 0;
#pragma unroll
      for (int e = 0; e < ELEMENTS; e++) score = fmaf(query[h][e], toFloat(key[e / VECTOR].element[e % VECTOR]), score);
#pragma unroll
      for (int off = LANES / 2; off > 0; off >>= 1) score += __shfl_xor_sync(FULL_MASK, score, off);
      if (valid && score > best[h]) {
        const float shrink = exp2f(best[h] - score);
        best[h] = score;
        sum[h] *= shrink;
#pragma unroll
        for (int e = 0; e < ELEMENTS; e++) acc[h][e] *= shrink;
      }
      const float weight = valid ? exp2f(score - best[h]) : 0;
      sum[h] += weight;
#pragma unroll
      for (int e = 0; e < ELEMENTS; e++) acc[h][e] = fmaf(weight, toFloat(value[e / VECTOR].element[e % VECTOR]), acc[h][e]);
    }
  }

  // The groups of a warp become one, then the warps of the block.
#pragma unroll
  for (int off = LANES; off < WARP; off <<= 1) {
#pragma unroll
    for (int h = 0; h < HEADS_PER_BLOCK; h++) {
      const float otherBest = __shfl_xor_sync(FULL_MASK, best[h], off), otherSum = __shfl_xor_sync(FULL_MASK, sum[h], off);
      const float top = fmaxf(best[h], otherBest);
      const float mine = best[h] == NEGATIVE_INFINITY ? 0 : exp2f(best[h] - top), theirs = otherBest == NEGATIVE_INFINITY ? 0 : exp2f(otherBest - top);
      best[h] = top;
      sum[h] = sum[h] * mine + otherSum * theirs;
#pragma unroll
      for (int e = 0; e < ELEMENTS; e++) acc[h][e] = acc[h][e] * mine + __shfl_xor_sync(FULL_MASK, acc[h][e], off) * theirs;
    }
  }
  if (threadIdx.x % WARP < LANES) {
#pragma unroll
    for (int h = 0; h < HEADS_PER_BLOCK; h++) {
      if (lane == 0) {
        found.best[warp][h] = best[h];
        found.sum[warp][h] = sum[h];
      }
#pragma unroll
      for (int e = 0; e < ELEMENTS; e++) {
        const int d = ((e / VECTOR) * LANES + lane) * VECTOR + e % VECTOR;
        if (d < HEAD_DIM) found.out[warp][h][d] = acc[h][e];
      }
    }
  }
}
