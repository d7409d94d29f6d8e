// Absorbed attention over a paged cache of latent vectors (multi-head latent attention, arXiv 2405.04434) on tensor cores. A block computes
// one row (of a decode step, or any row of a prefill) for 16 heads, over a part of the context; latent_cut.cu describes how the work is
// split. The four warps of a group exchange their parts of the scores through shared memory. The code that depends on the format of the
// cached rows is in latent_operands.cu, or, for 8-bit floats, in latent_operands8.cu.
#define EXCHANGED (WARPS * (TILE / 8) * WARP) // float4 per group
#define SHARED_BYTES (PARTS * (STAGES * TILE_BYTES + EXCHANGED * 16))

__device__ __forceinline__ float rowMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
  return fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2));
}

__device__ __forceinline__ float rowSum(float x) {
  x += __shfl_xor_sync(FULL_MASK, x, 1);
  return x + __shfl_xor_sync(FULL_MASK, x, 2);
}

// absorbed: [rows, heads, RANK], the plain part of each query in the space of the latent vectors; queries: [rows, heads, PLAIN + ROTARY],
// of which only the rotated part is read; cache: [blocks, BLOCK_SIZE, ROW]; scales: [blocks, BLOCK_SIZE], for 8-bit floats only; out:
// [rows, heads, RANK]. contextLengths: [rows] number of positions that the row attends to, itself included; 0: a padding row, whose
// result is 0. scale holds log2(e). grid (rows, blocks of heads, splits), THREADS, SHARED_BYTES.
// CLUSTER == 1: PARTS is 1. With several splits the results go to partials, [rows, heads, splits, RANK + 2], and latentJoin joins them.
// Otherwise the splits are clusters, and each cluster joins its own results. A row uses one cluster for every minShare positions, up to the
// size of the grid. With several, the results go to partials, and the last to finish joins them (latent_cluster.cu, which uses counters).
extern "C" __global__ void CLUSTER_OF_BLOCKS __launch_bounds__(THREADS) latentAttention(
    const T* absorbed, const T* queries, const Cached* cache, const u8* scales, T* out, float* partials, const int* contextLengths,
    const int* tableStarts, const int* tables, int heads, float scale, u32* counters, int minShare) {
  DYNAMIC_SHARED(memory);
  launchDependents();
  const int row = blockIdx.x, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, group = warp / WARPS, quarter = warp % WARPS;
  u8* tiles = (u8*)memory + group * STAGES * TILE_BYTES;
  float4* own = (float4*)((u8*)memory + PARTS * STAGES * TILE_BYTES) + group * EXCHANGED; // [WARPS][TILE / 8][WARP]
  // No kernel writes these: the host copies them before the first kernel of a step begins.
  const int context = contextLengths[row];
  const int* table = tables + tableStarts[row];
#if CLUSTER > 1
  beginMeeting();
  const int used = min((int)gridDim.z / CLUSTER, max(1, (context + minShare - 1) / minShare)), cluster = blockIdx.z / CLUSTER;
  if (cluster >= used) return; // all blocks of the cluster return together
  const int splits = used * CLUSTER;
#else
  const int splits = gridDim.z;
#endif
  const int firstHead = blockIdx.y * HEADS;
  const int share = ((context + splits * PARTS - 1) / (splits * PARTS) + TILE - 1) / TILE * TILE;
  const int begin = min(context, ((int)blockIdx.z * PARTS + group) * share), end = min(context, begin + share);
  const int count = (end - begin + TILE - 1) / TILE;
  BlockIds ids = loadIds(table, begin, end, lane);
  waitForPrevious();
#pragma unroll 1
  for (int s = 0; s < STAGES; s++) copyTile(tiles + s * TILE_BYTES, cache, scales, ids, begin + s * TILE, end);
  Queries query;
  loadQueries(absorbed, queries, (u64)row * heads, firstHead, heads, quarter, lane, query);

  float best[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, sum[2] = {}, acc[TILES][4] = {};
#pragma unroll 1
  for (int t = 0; t < count; t++) {
    u8* tile = tiles + t % STAGES * TILE_BYTES;
    waitCopies<STAGES - 1>();
    meetGroup(group); // all copies have arrived, and no warp still reads the previous exchange

    float scores[TILE / 8][4] = {};
    multiplyKeys(scores, tile, query, quarter, lane);
    const Scales tileScales = loadScales(tile, end - begin - t * TILE, lane);
#pragma unroll
    for (int n = 0; n < TILE / 8; n++)
      own[(quarter * (TILE / 8) + n) * WARP + lane] = {scores[n][0], scores[n][1], scores[n][2], scores[n][3]};
    meetGroup(group);
    // Added in the same order in all four warps, so that all compute the same weights.
    float shrink[2];
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) {
      float total[4] = {};
#pragma unroll
      for (int q = 0; q < 4; q++) {
        const float4 part = own[(q * (TILE / 8) + n) * WARP + lane];
        total[0] += part.x;
        total[1] += part.y;
        total[2] += part.z;
        total[3] += part.w;
      }
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int position = begin + t * TILE + n * 8 + positionOf(lane % 4 * 2 + i % 2);
        scores[n][i] = position < end ? total[i] * keyScale(tileScales, n, i % 2) * scale : NEGATIVE_INFINITY;
      }
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
      float top = best[h];
#pragma unroll
      for (int n = 0; n < TILE / 8; n++) top = fmaxf(top, fmaxf(scores[n][2 * h], scores[n][2 * h + 1]));
      top = rowMax(top);
      shrink[h] = exp2f(best[h] - top);
      best[h] = top;
      sum[h] *= shrink[h];
#pragma unroll
      for (int n = 0; n < TILE / 8; n++)
#pragma unroll
        for (int i = 0; i < 2; i++) {
          const float weight = exp2f(scores[n][2 * h + i] - top);
          scores[n][2 * h + i] = weight;
          sum[h] += weight;
        }
    }
    if (__any_sync(FULL_MASK, shrink[0] < 1 || shrink[1] < 1)) {
#pragma unroll
      for (int m = 0; m < TILES; m++)
#pragma unroll
        for (int i = 0; i < 4; i++) acc[m][i] *= shrink[i / 2];
    }

#pragma unroll
    for (int k = 0; k < TILE / 16; k++) {
      const u32 weights[4] = {packed(scores[2 * k][0], scores[2 * k][1]), packed(scores[2 * k][2], scores[2 * k][3]),
                              packed(scores[2 * k + 1][0], scores[2 * k + 1][1]), packed(scores[2 * k + 1][2], scores[2 * k + 1][3])};
      addValues(acc, weights, tile, tileScales, k, quarter, lane);
    }
    const int next = begin + (t + STAGES) * TILE;
    if (next < end) {
      meetGroup(group); // no warp reads this tile any more
      if ((next - begin) % IDS_POSITIONS == 0) ids = loadIds(table, next, end, lane);
    }
    copyTile(tile, cache, scales, ids, next, end);
  }
  waitCopies<0>();

#pragma unroll
  for (int h = 0; h < 2; h++) {
    sum[h] = rowSum(sum[h]);
    // NaN never compares as the largest score, so a part of nothing but NaN would look empty.
    if (sum[h] != sum[h]) best[h] = -NEGATIVE_INFINITY;
  }
#if CLUSTER > 1
  joinCluster(acc, best, sum, (float4*)memory, out, partials, counters, row, firstHead, heads, cluster, used);
#else
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const float total = sum[h];
    const int head = firstHead + lane / 4 + h * 8;
    if (head >= heads) continue;
    if (splits == 1) {
      T* target = out + ((u64)row * heads + head) * RANK + quarter * COLUMNS;
      const float factor = total == 0 ? 0 : OUT_SCALE / total;
#pragma unroll
      for (int p = 0; p < TILES; p++) {
        float2 pair;
        const int column = resultsOf(acc, h, p, lane, pair);
        *(u32*)(target + column) = packed(pair.x * factor, pair.y * factor);
      }
    } else {
      float* target = partials + (((u64)row * heads + head) * splits + blockIdx.z) * (RANK + 2);
#pragma unroll
      for (int p = 0; p < TILES; p++) {
        float2 pair;
        const int column = resultsOf(acc, h, p, lane, pair);
        *(float2*)(target + quarter * COLUMNS + column) = {pair.x * OUT_SCALE, pair.y * OUT_SCALE};
      }
      if (quarter == 0 && lane % 4 == 0) *(float2*)(target + RANK) = {best[h], total};
    }
  }
#endif
}

// Joins the parts of one head of one row. splits: at most 2 · WARP. grid (rows, heads), RANK / 4 threads, but at least a warp.
extern "C" __global__ void latentJoin(const float* partials, T* out, int heads, int splits) {
  __shared__ float factors[2 * WARP];
  launchDependents();
  waitForPrevious();
  const u64 at = (u64)blockIdx.x * heads + blockIdx.y;
  const float* parts = partials + at * splits * (RANK + 2);
  if (threadIdx.x < WARP) {
    // A part without positions has negative infinity as its largest score.
    float2 own[2];
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const int s = i * WARP + threadIdx.x;
      own[i] = s < splits ? __ldcg((const float2*)(parts + s * (RANK + 2) + RANK)) : float2{NEGATIVE_INFINITY, 0};
    }
    float top = fmaxf(own[0].x, own[1].x);
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset >>= 1) top = fmaxf(top, __shfl_xor_sync(FULL_MASK, top, offset));
    float factor[2], total = 0;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      factor[i] = own[i].x == NEGATIVE_INFINITY ? 0 : exp2f(own[i].x - top);
      total += own[i].y * factor[i];
    }
    total = warpSum(total);
#pragma unroll
    for (int i = 0; i < 2; i++) factors[i * WARP + threadIdx.x] = total == 0 ? 0 : factor[i] / total;
  }
  __syncthreads();
  if (threadIdx.x * 4 >= RANK) return;
  float result[4] = {};
#pragma unroll 8
  for (int s = 0; s < splits; s++) {
    // Parts without positions may hold anything.
    const float factor = factors[s];
    if (factor == 0) continue;
#pragma unroll
    for (int i = 0; i < 2; i++) {
      const float2 pair = __ldcg((const float2*)(parts + s * (RANK + 2) + threadIdx.x * 4) + i);
      result[2 * i] += pair.x * factor;
      result[2 * i + 1] += pair.y * factor;
    }
  }
  *(uint2*)(out + at * RANK + threadIdx.x * 4) = {packed(result[0], result[1]), packed(result[2], result[3])};
}
