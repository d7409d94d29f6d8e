// Absorbed attention over a paged cache of latent vectors (multi-head latent attention, arXiv 2405.04434) on tensor cores: keys are rows [RANK +
// ROTARY], values their first RANK columns, the same for all heads. A block computes one row (of a decode step, or any row of a prefill) for
// 16 · HEAD_GROUPS heads, over a part of the context. Four warps share a group of 16 heads: each owns a quarter of the columns, of scores and of
// results; their parts of the scores are exchanged through shared memory.
// Compiled for RANK (a multiple of 64), PLAIN (even), ROTARY (a multiple of 16) and HEAD_GROUPS. STAGES tiles of TILE (16 or 32) positions are on their
// way.
#define ROW (RANK + ROTARY)
#define PADDED (ROW + 8)            // rows begin 16 bytes further in the banks
#define WARPS (4 * HEAD_GROUPS)
#define THREADS (WARPS * WARP)
#define HEADS (16 * HEAD_GROUPS)
#define COLUMNS (RANK / 4)          // of a warp
#define LATENT_STEPS (COLUMNS / 16)
#define ROTARY_STEPS (ROTARY / 16)
#define OWN_ROTARY ((ROTARY_STEPS + 3) / 4)
#define STEPS (LATENT_STEPS + OWN_ROTARY)
#define TILES (COLUMNS / 8)         // of 8 result columns
#define PACKS_OF_ROW (ROW / 8)

#define SHARED_BYTES (STAGES * TILE * PADDED * 2 + 2 * WARPS * TILE / 2 * WARP * 4)

// First column of a warp's step; beyond RANK lies the rotated part, whose steps go round the warps. Negative: the warp has no such step.
__device__ __forceinline__ int columnOf(int quarter, int step) {
  if (step < LATENT_STEPS) return quarter * COLUMNS + step * 16;
  const int s = (step - LATENT_STEPS) * 4 + quarter;
  return s < ROTARY_STEPS ? RANK + s * 16 : -1;
}

// Starts the copy of a tile's rows; those outside of the part are zero, as slots there may hold anything.
__device__ __forceinline__ void copyTile(T* tile, const T* cache, const int* table, int begin, int end) {
  if (begin < end) {
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
#pragma unroll
    for (int r = warp; r < TILE; r += WARPS) {
      const int position = begin + r;
      const bool wanted = position < end;
      const u64 slot = wanted ? (u64)table[position / BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE : 0;
#pragma unroll
      for (int pack = lane; pack < PACKS_OF_ROW; pack += WARP) copyAsync(tile + r * PADDED + pack * 8, cache + slot * ROW + pack * 8, wanted);
    }
  }
  commitCopies();
}

__device__ __forceinline__ float rowMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
  return fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2));
}

__device__ __forceinline__ float rowSum(float x) {
  x += __shfl_xor_sync(FULL_MASK, x, 1);
  return x + __shfl_xor_sync(FULL_MASK, x, 2);
}

// absorbed: [rows, heads, RANK], the plain part of each query in the space of the latent vectors; queries: [rows, heads, PLAIN + ROTARY], of which the
// rotated part is read; cache: [blocks, BLOCK_SIZE, ROW]; out: [rows, heads, RANK]. contextLengths: [rows] positions that the row sees, itself
// included; 0: a padding row, whose result is 0. partials: [rows, heads, splits, RANK + 2]: with several splits the results go there,
// and latentJoin joins them. scale holds log2(e). grid (rows, blocks of heads, splits), THREADS, SHARED_BYTES.
extern "C" __global__ void __launch_bounds__(THREADS) latentAttention(
    const T* absorbed, const T* queries, const T* cache, T* out, float* partials, const int* contextLengths, const int* tableStarts, const int* tables, int heads, float scale) {
  DYNAMIC_SHARED(memory);
  T* tiles = (T*)memory;
  float* exchange = (float*)(tiles + STAGES * TILE * PADDED); // [2][WARPS][TILE / 8][WARP][4]
  launchDependents();
  waitForPrevious();

  const int row = blockIdx.x, splits = gridDim.z, warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, group = warp / 4, quarter = warp % 4;
  const int firstHead = blockIdx.y * HEADS + group * 16, context = contextLengths[row];
  const int share = ((context + splits - 1) / splits + TILE - 1) / TILE * TILE;
  const int begin = min(context, (int)blockIdx.z * share), end = min(context, begin + share);
  const int* table = tables + tableStarts[row];
  const int count = (end - begin + TILE - 1) / TILE;
#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) copyTile(tiles + s * TILE * PADDED, cache, table, begin + s * TILE, end);

  // Of heads lane / 4 and the one 8 further: fragments of this warp's columns.
  u32 query[STEPS][4];
#pragma unroll
  for (int s = 0; s < STEPS; s++) {
    const int column = columnOf(quarter, s);
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int head = firstHead + lane / 4 + i % 2 * 8;
      const u64 at = (u64)row * heads + head;
      const T* source = column < RANK ? absorbed + at * RANK + column : queries + at * (PLAIN + ROTARY) + PLAIN + column - RANK;
      query[s][i] = column >= 0 && head < heads ? *(const u32*)(source + lane % 4 * 2 + i / 2 * 8) : 0;
    }
  }

  float best[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, sum[2] = {}, acc[TILES][4] = {};
#pragma unroll 1
  for (int t = 0; t < count; t++) {
    const T* tile = tiles + t % STAGES * TILE * PADDED;
    waitCopies<STAGES - 2>();
    __syncthreads(); // everybody's copies have come, and nobody reads the tile that is overwritten next
    copyTile(tiles + (t + STAGES - 1) % STAGES * TILE * PADDED, cache, table, begin + (t + STAGES - 1) * TILE, end);

    // scores [16 heads, TILE positions], as far as this warp's columns go
    float scores[TILE / 8][4] = {};
#pragma unroll
    for (int s = 0; s < STEPS; s++) {
      const int column = columnOf(quarter, s);
      if (column < 0) continue;
#pragma unroll
      for (int n = 0; n < TILE / 16; n++) {
        // Positions 16 n to 16 n + 7, then the next 8; of each 16 columns.
        u32 keys[4];
        loadMatrices(keys, tile + (n * 16 + lane / 16 * 8 + lane % 8) * PADDED + column + lane / 8 % 2 * 8);
        multiply(scores[2 * n], query[s][0], query[s][1], query[s][2], query[s][3], keys[0], keys[1]);
        multiply(scores[2 * n + 1], query[s][0], query[s][1], query[s][2], query[s][3], keys[2], keys[3]);
      }
    }

    float4* own = (float4*)exchange + (t % 2 * WARPS + group * 4) * (TILE / 8) * WARP;
#pragma unroll
    for (int n = 0; n < TILE / 8; n++) own[(quarter * (TILE / 8) + n) * WARP + lane] = {scores[n][0], scores[n][1], scores[n][2], scores[n][3]};
    __syncthreads();
    // In the same order in all four warps, so that all of them weigh alike.
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
      const int position = begin + t * TILE + n * 8 + lane % 4 * 2;
#pragma unroll
      for (int i = 0; i < 4; i++) scores[n][i] = position + i % 2 < end ? total[i] * scale : NEGATIVE_INFINITY;
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
      const u32 a0 = packed(scores[2 * k][0], scores[2 * k][1]), a1 = packed(scores[2 * k][2], scores[2 * k][3]);
      const u32 a2 = packed(scores[2 * k + 1][0], scores[2 * k + 1][1]), a3 = packed(scores[2 * k + 1][2], scores[2 * k + 1][3]);
#pragma unroll
      for (int m = 0; m < TILES / 2; m++) {
        // 16 positions of 16 columns: positions 0 to 7 and 8 to 15 of the first 8 columns, then of the next.
        u32 values[4];
        loadTransposed(values, tile + (k * 16 + lane / 8 % 2 * 8 + lane % 8) * PADDED + quarter * COLUMNS + m * 16 + lane / 16 * 8);
        multiply(acc[2 * m], a0, a1, a2, a3, values[0], values[1]);
        multiply(acc[2 * m + 1], a0, a1, a2, a3, values[2], values[3]);
      }
    }
  }
  waitCopies<0>();

#pragma unroll
  for (int h = 0; h < 2; h++) {
    const float total = rowSum(sum[h]);
    const int head = firstHead + lane / 4 + h * 8;
    if (head >= heads) continue;
    const int column = quarter * COLUMNS + lane % 4 * 2;
    if (splits == 1) {
      T* target = out + ((u64)row * heads + head) * RANK + column;
      const float factor = total == 0 ? 0 : 1 / total;
#pragma unroll
      for (int m = 0; m < TILES; m++) *(u32*)(target + m * 8) = packed(acc[m][2 * h] * factor, acc[m][2 * h + 1] * factor);
    } else {
      float* target = partials + (((u64)row * heads + head) * splits + blockIdx.z) * (RANK + 2);
#pragma unroll
      for (int m = 0; m < TILES; m++) *(float2*)(target + column + m * 8) = {acc[m][2 * h], acc[m][2 * h + 1]};
      if (quarter == 0 && lane % 4 == 0) *(float2*)(target + RANK) = {best[h], total};
    }
  }
}

// Joins the parts of one head of one row. splits: at most 2 · WARP. grid (rows, heads), RANK / 4 threads, but a warp at least.
extern "C" __global__ void latentJoin(const float* partials, T* out, int heads, int splits) {
  __shared__ float factors[2 * WARP];
  launchDependents();
  waitForPrevious();
  const u64 at = (u64)blockIdx.x * heads + blockIdx.y;
  const float* parts = partials + at * splits * (RANK + 2);
  if (threadIdx.x < WARP) {
    // A part without positions has no largest score.
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
    // What no position was seen for may hold anything.
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
