// Attention over one part of a context in float arithmetic, for any head_dim and type. LANES lanes share a head; each access loads VECTOR
// elements.
#define CHUNKS ((HEAD_DIM + VECTOR - 1) / VECTOR)          // accesses per head
#define CHUNKS_PER_LANE ((CHUNKS + LANES - 1) / LANES)
#define ELEMENTS (CHUNKS_PER_LANE * VECTOR)                // of a head, per lane
#define GROUPS_PER_WARP (WARP / LANES)                     // positions that a warp processes at once
#define STRIDE (WARPS * GROUPS_PER_WARP)

template <typename E> struct __align__(VECTOR * sizeof(E)) Chunk { E element[VECTOR]; };

#if CACHE_FP8
__device__ __forceinline__ float valueOf(u8 x) { return fromFloat8(x); }
#else
__device__ __forceinline__ float valueOf(T x) { return toFloat(x); }
#endif

template <typename E> __device__ __forceinline__ void loadHead(const E* head, int lane, Chunk<E>* chunks) {
#pragma unroll
  for (int c = 0; c < CHUNKS_PER_LANE; c++) {
    const int chunk = c * LANES + lane;
    if (chunk < CHUNKS) chunks[c] = ((const Chunk<E>*)head)[chunk];
    else
#pragma unroll
      for (int e = 0; e < VECTOR; e++) chunks[c].element[e] = 0;
  }
}

// Key and value of one position, and their scales.
struct Position {
  Chunk<Cached> key[CHUNKS_PER_LANE], value[CHUNKS_PER_LANE];
  float keyScale, valueScale;
};

__device__ __forceinline__ void loadPosition(const Part& part, int position, int lane, Position& loaded) {
  const u64 block = part.table[position / BLOCK_SIZE], offset = (block * BLOCK_SIZE + position % BLOCK_SIZE) * part.stride;
  loadHead(part.keys + offset, lane, loaded.key);
  loadHead(part.values + offset, lane, loaded.value);
#if CACHE_FP8
  const u64 scale = block * part.scaleStride + position % BLOCK_SIZE;
  loaded.keyScale = scaleValue(part.keyScales[scale]);
  loaded.valueScale = scaleValue(part.valueScales[scale]);
#else
  loaded.keyScale = loaded.valueScale = 1;
#endif
}

__device__ __forceinline__ void attend(const T* queries, int headCount, float scale, const Part& part, Found& found) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % LANES, group = (threadIdx.x % WARP) / LANES;
  const int begin = max(part.begin, part.first), end = part.end;
  float query[HEADS_PER_BLOCK][ELEMENTS], acc[HEADS_PER_BLOCK][ELEMENTS], best[HEADS_PER_BLOCK], sum[HEADS_PER_BLOCK];
#pragma unroll
  for (int h = 0; h < HEADS_PER_BLOCK; h++) {
    best[h] = NEGATIVE_INFINITY;
    sum[h] = 0;
    Chunk<T> chunks[CHUNKS_PER_LANE];
    loadHead(queries + (h < headCount ? h : 0) * HEAD_DIM, lane, chunks);
#pragma unroll
    for (int e = 0; e < ELEMENTS; e++) {
      query[h][e] = toFloat(chunks[e / VECTOR].element[e % VECTOR]) * scale;
      acc[h][e] = 0;
    }
  }

  // All lanes of a warp iterate together, because the sums below are shuffled over whole warps. The next positions load meanwhile.
  Position next;
  int base = begin + warp * GROUPS_PER_WARP;
  if (base < end) loadPosition(part, min(base + group, end - 1), lane, next);
  for (; base < end; base += STRIDE) {
    const bool valid = base + group < end;
    const Position here = next;
    if (base + STRIDE < end) loadPosition(part, min(base + STRIDE + group, end - 1), lane, next);
#pragma unroll
    for (int h = 0; h < HEADS_PER_BLOCK; h++) {
      float score = 0;
#pragma unroll
      for (int e = 0; e < ELEMENTS; e++) score = fmaf(query[h][e], valueOf(here.key[e / VECTOR].element[e % VECTOR]), score);
#pragma unroll
      for (int off = LANES / 2; off > 0; off >>= 1) score += __shfl_xor_sync(FULL_MASK, score, off);
      score *= here.keyScale;
      if (valid && score > best[h]) {
        const float shrink = exp2f(best[h] - score);
        best[h] = score;
        sum[h] *= shrink;
#pragma unroll
        for (int e = 0; e < ELEMENTS; e++) acc[h][e] *= shrink;
      }
      const float weight = valid ? exp2f(score - best[h]) : 0, factor = weight * here.valueScale;
      sum[h] += weight;
#pragma unroll
      for (int e = 0; e < ELEMENTS; e++) acc[h][e] = fmaf(factor, valueOf(here.value[e / VECTOR].element[e % VECTOR]), acc[h][e]);
    }
  }

  // Merge the groups of a warp; pagedAttention then merges the warps of the block.
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
