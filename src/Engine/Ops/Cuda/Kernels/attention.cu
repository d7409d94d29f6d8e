// Paged attention of single query rows (decode, and any row of a prefill), split over the context (Dao et al., "Flash-Decoding", 2023).
// Compiled for one shape: HEAD_DIM; HEADS_PER_BLOCK query heads of one kv head share the loads of its keys and values; a block has WARPS
// warps; a part of a context has at least LEAST_SHARE positions.
#define CHUNKS ((HEAD_DIM + VECTOR - 1) / VECTOR)          // accesses that make a head
#define CHUNKS_PER_LANE ((CHUNKS + LANES - 1) / LANES)     // LANES lanes hold a head
#define ELEMENTS (CHUNKS_PER_LANE * VECTOR)                // of a head, in one lane
#define GROUPS_PER_WARP (WARP / LANES)                     // positions that a warp takes at once
#define ELEMENTS_PER_THREAD ((HEADS_PER_BLOCK * HEAD_DIM + WARPS * WARP - 1) / (WARPS * WARP))
#define MOST_SPLITS WARP                                 // one lane each when the parts are joined
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
__device__ __forceinline__ void loadPosition(const T* keys, const T* values, const int* table, int position, int kvHeads, int kvHead, int lane,
                                             Chunk* key, Chunk* value) {
  const u64 offset = (((u64)table[position / BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE) * kvHeads + kvHead) * HEAD_DIM;
  loadHead(keys + offset, lane, key);
  loadHead(values + offset, lane, value);
}

// qkv: [rows, qkvWidth]; keys, values: [blocks, BLOCK_SIZE, kvHeads, HEAD_DIM]; out: [rows, heads * HEAD_DIM].
// contextLengths: [rows] positions that the row sees, itself included; 0: a padding row, whose result is 0.
// partials: [rows, heads, splits, HEAD_DIM + 2] and counters: [rows, blocks of heads], zero before and after; unused with one split.
// grid (rows, kvHeads * headBlocks, splits), block 32 * WARPS. scale holds log2(e).
extern "C" __global__ void __launch_bounds__(WARPS * WARP) pagedAttention(
    const T* qkv, const T* keys, const T* values, T* out, float* partials, u32* counters, const int* contextLengths, const int* tableStarts,
    const int* tables, int qkvWidth, int heads, int kvHeads, float scale, int window) {
  __shared__ float sharedMax[WARPS][HEADS_PER_BLOCK], sharedSum[WARPS][HEADS_PER_BLOCK];
  __shared__ float sharedOut[WARPS][HEADS_PER_BLOCK][HEAD_DIM];
  __shared__ bool isLast;
  waitForPrevious();

  const int splits = gridDim.z, split = blockIdx.z, row = blockIdx.x;
  const int perKvHead = heads / kvHeads, headBlocks = (perKvHead + HEADS_PER_BLOCK - 1) / HEADS_PER_BLOCK;
  const int kvHead = blockIdx.y / headBlocks, firstOfGroup = (blockIdx.y % headBlocks) * HEADS_PER_BLOCK;
  const int firstHead = kvHead * perKvHead + firstOfGroup;
  const int headCount = min(HEADS_PER_BLOCK, perKvHead - firstOfGroup);
  const int context = contextLengths[row];
  const int first = window > 0 ? max(0, context - window) : 0;
  const int share = max(LEAST_SHARE, (context - first + splits - 1) / splits);
  // A short context takes fewer parts than there are; the other blocks have nothing to do.
  const int used = max(1, (context - first + share - 1) / share);
  if (split >= used) return;
  const int begin = first + split * share, end = min(context, begin + share);
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % LANES, group = (threadIdx.x % WARP) / LANES;
  const int* table = tables + tableStarts[row];

  float query[HEADS_PER_BLOCK][ELEMENTS], acc[HEADS_PER_BLOCK][ELEMENTS], best[HEADS_PER_BLOCK], sum[HEADS_PER_BLOCK];
#pragma unroll
  for (int h = 0; h < HEADS_PER_BLOCK; h++) {
    best[h] = NEGATIVE_INFINITY;
    sum[h] = 0;
    Chunk chunks[CHUNKS_PER_LANE];
    loadHead(qkv + (u64)row * qkvWidth + (firstHead + (h < headCount ? h : 0)) * HEAD_DIM, lane, chunks);
#pragma unroll
    for (int e = 0; e < ELEMENTS; e++) {
      query[h][e] = toFloat(chunks[e / VECTOR].element[e % VECTOR]) * scale;
      acc[h][e] = 0;
    }
  }

  // All lanes of a warp go round together: the sums below are shuffled over whole warps. The next positions are on their way meanwhile.
  Chunk nextKey[CHUNKS_PER_LANE], nextValue[CHUNKS_PER_LANE];
  int base = begin + warp * GROUPS_PER_WARP;
  if (base < end) loadPosition(keys, values, table, min(base + group, end - 1), kvHeads, kvHead, lane, nextKey, nextValue);
  for (; base < end; base += STRIDE) {
    const bool valid = base + group < end;
    Chunk key[CHUNKS_PER_LANE], value[CHUNKS_PER_LANE];
#pragma unroll
    for (int c = 0; c < CHUNKS_PER_LANE; c++) {
      key[c] = nextKey[c];
      value[c] = nextValue[c];
    }
    if (base + STRIDE < end) loadPosition(keys, values, table, min(base + STRIDE + group, end - 1), kvHeads, kvHead, lane, nextKey, nextValue);
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
        sharedMax[warp][h] = best[h];
        sharedSum[warp][h] = sum[h];
      }
#pragma unroll
      for (int e = 0; e < ELEMENTS; e++) {
        const int d = ((e / VECTOR) * LANES + lane) * VECTOR + e % VECTOR;
        if (d < HEAD_DIM) sharedOut[warp][h][d] = acc[h][e];
      }
    }
  }
  __syncthreads();

  for (int i = threadIdx.x; i < headCount * HEAD_DIM; i += WARPS * WARP) {
    const int h = i / HEAD_DIM, d = i % HEAD_DIM;
    float top = NEGATIVE_INFINITY, total = 0, result = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) top = fmaxf(top, sharedMax[w][h]);
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      const float factor = sharedMax[w][h] == NEGATIVE_INFINITY ? 0 : exp2f(sharedMax[w][h] - top);
      total += sharedSum[w][h] * factor;
      result += factor == 0 ? 0 : sharedOut[w][h][d] * factor;
    }
    if (used == 1) {
      out[((u64)row * heads + firstHead + h) * HEAD_DIM + d] = fromFloat(total == 0 ? 0 : result / total);
    } else {
      float* partial = partials + (((u64)row * heads + firstHead + h) * splits + split) * (HEAD_DIM + 2);
      partial[d] = result;
      if (d == 0) {
        partial[HEAD_DIM] = top;
        partial[HEAD_DIM + 1] = total;
      }
    }
  }
  if (used == 1) return;

  // The block that ends last joins the parts.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) isLast = atomicInc(counters + row * gridDim.y + blockIdx.y, used - 1) == used - 1;
  __syncthreads();
  if (!isLast) return;
  __threadfence();
  // What each part weighs in the whole, once for all elements of a head.
  __shared__ float factors[HEADS_PER_BLOCK][MOST_SPLITS];
  const float* partial = partials + ((u64)row * heads + firstHead) * splits * (HEAD_DIM + 2);
  for (int h = warp; h < headCount; h += WARPS) {
    const int s = threadIdx.x % WARP;
    const float* part = partial + (h * splits + s) * (HEAD_DIM + 2);
    const float itsBest = s < used ? __ldcg(part + HEAD_DIM) : NEGATIVE_INFINITY;
    const float itsSum = s < used ? __ldcg(part + HEAD_DIM + 1) : 0;
    float top = itsBest;
#pragma unroll
    for (int off = WARP / 2; off > 0; off >>= 1) top = fmaxf(top, __shfl_xor_sync(FULL_MASK, top, off));
    const float factor = itsBest == NEGATIVE_INFINITY ? 0 : exp2f(itsBest - top);
    const float total = warpSum(itsSum * factor);
    if (s < used) factors[h][s] = total == 0 ? 0 : factor / total;
  }
  __syncthreads();
  // A thread adds all its elements at once, so that many loads are on their way.
  float results[ELEMENTS_PER_THREAD] = {};
#pragma unroll 8
  for (int s = 0; s < used; s++) {
#pragma unroll
    for (int e = 0; e < ELEMENTS_PER_THREAD; e++) {
      const int i = e * WARPS * WARP + threadIdx.x;
      if (i >= headCount * HEAD_DIM) continue;
      const int h = i / HEAD_DIM;
      const float factor = factors[h][s], element = __ldcg(partial + (h * splits + s) * (HEAD_DIM + 2) + i % HEAD_DIM);
      results[e] += factor == 0 ? 0 : element * factor;
    }
  }
#pragma unroll
  for (int e = 0; e < ELEMENTS_PER_THREAD; e++) {
    const int i = e * WARPS * WARP + threadIdx.x;
    if (i < headCount * HEAD_DIM) out[((u64)row * heads + firstHead) * HEAD_DIM + i] = fromFloat(results[e]);
  }
}
