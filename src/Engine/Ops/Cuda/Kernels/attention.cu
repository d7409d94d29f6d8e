// Paged attention of single query rows (decode, and any row of a prefill), split over the context (Dao et al., "Flash-Decoding", 2023).
// Compiled for one shape: HEAD_DIM; CACHE_FP8: keys and values are 8-bit floats (float8.cu); HEADS_PER_BLOCK query heads of one kv head
// share the loads of its keys and values; a block has WARPS warps, and MIN_BLOCKS blocks fit on a multiprocessor; a part of a context has
// at least LEAST_SHARE positions, a multiple of BLOCK_SIZE. attend, which processes one part, is in attention_mma.cu (tensor cores) or
// attention_lanes.cu (any shape and type).
#define ELEMENTS_PER_THREAD ((HEADS_PER_BLOCK * HEAD_DIM + WARPS * WARP - 1) / (WARPS * WARP))
#define MOST_SPLITS WARP                                 // one lane each when the parts are joined

// Each warp's results: its largest score, the sum of exp2(score - largest), and the sum of the values times these weights.
struct Found {
  float best[WARPS][HEADS_PER_BLOCK], sum[WARPS][HEADS_PER_BLOCK];
  float out[WARPS][HEADS_PER_BLOCK][HEAD_DIM];
};

#if CACHE_FP8
typedef u8 Cached;
#else
typedef T Cached;
#endif

// One part of one row: keys and values of a single kv head.
struct Part {
  const Cached* keys;   // of the kv head at slot 0; slots are stride elements apart
  const Cached* values;
  const u8* keyScales;  // of the kv head in block 0; blocks are scaleStride bytes apart; null without 8-bit floats
  const u8* valueScales;
  const int* table;
  int stride, scaleStride;
  int first, begin, end; // positions begin to end, excluding those before first; begin is a multiple of BLOCK_SIZE
};

// query: [headCount, HEAD_DIM]. Fills in this warp's entries of found.
__device__ __forceinline__ void attend(const T* query, int headCount, float scale, const Part& part, Found& found);

// qkv: [rows, qkvWidth]; keys, values: [blocks, BLOCK_SIZE, kvHeads, HEAD_DIM]; their scales: [blocks, kvHeads, BLOCK_SIZE], null without
// 8-bit floats; out: [rows, heads * HEAD_DIM].
// contextLengths: [rows] number of positions that the row attends to, itself included; 0 marks a padding row, whose result is 0.
// partials: [rows, heads, splits, HEAD_DIM + 2]; counters: [rows, blocks of heads], zero before and after. Both unused with one split.
// grid (rows, kvHeads * headBlocks, splits), block 32 * WARPS. scale holds log2(e).
extern "C" __global__ void __launch_bounds__(WARPS * WARP, MIN_BLOCKS) pagedAttention(
    const T* qkv, const Cached* keys, const Cached* values, const u8* keyScales, const u8* valueScales, T* out, float* partials, u32* counters,
    const int* contextLengths, const int* tableStarts, const int* tables, int qkvWidth, int heads, int kvHeads, float scale, int window) {
  __shared__ Found found;
  __shared__ bool isLast;
  launchDependents();
  waitForPrevious();

  const int splits = gridDim.z, split = blockIdx.z, row = blockIdx.x;
  const int perKvHead = heads / kvHeads, headBlocks = (perKvHead + HEADS_PER_BLOCK - 1) / HEADS_PER_BLOCK;
  const int kvHead = blockIdx.y / headBlocks, firstOfGroup = (blockIdx.y % headBlocks) * HEADS_PER_BLOCK;
  const int firstHead = kvHead * perKvHead + firstOfGroup;
  const int headCount = min(HEADS_PER_BLOCK, perKvHead - firstOfGroup);
  const int context = contextLengths[row];
  const int first = window > 0 ? max(0, context - window) : 0;
  const int start = first / BLOCK_SIZE * BLOCK_SIZE;
  const int share = (max(LEAST_SHARE, (context - start + splits - 1) / splits) + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
  // A short context has fewer parts than the grid has splits; the blocks of the remaining splits do nothing.
  const int used = max(1, (context - start + share - 1) / share);
  if (split >= used) return;
  const int begin = start + split * share, warp = threadIdx.x / WARP;
  const int offset = kvHead * HEAD_DIM, scaleOffset = kvHead * BLOCK_SIZE;
  attend(qkv + (u64)row * qkvWidth + firstHead * HEAD_DIM, headCount, scale,
         {keys + offset, values + offset, keyScales + scaleOffset, valueScales + scaleOffset, tables + tableStarts[row], kvHeads * HEAD_DIM,
          kvHeads * BLOCK_SIZE, first, begin, min(context, begin + share)},
         found);
  __syncthreads();

  for (int i = threadIdx.x; i < headCount * HEAD_DIM; i += WARPS * WARP) {
    const int h = i / HEAD_DIM, d = i % HEAD_DIM;
    float top = NEGATIVE_INFINITY, total = 0, result = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) top = fmaxf(top, found.best[w][h]);
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      const float factor = found.best[w][h] == NEGATIVE_INFINITY ? 0 : exp2f(found.best[w][h] - top);
      total += found.sum[w][h] * factor;
      result += factor == 0 ? 0 : found.out[w][h][d] * factor;
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

  // The block that finishes last joins the parts.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) isLast = atomicInc(counters + row * gridDim.y + blockIdx.y, used - 1) == used - 1;
  __syncthreads();
  if (!isLast) return;
  __threadfence();
  // The weight of each part in the result, computed once for all elements of a head.
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
  // A thread sums all its elements together, which keeps many loads in flight.
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
