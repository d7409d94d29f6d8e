// As latent_attention.cu, for many heads on Hopper: there the work is bound by arithmetic, which warpgroups do. A block has two of them and
// 64 heads of one row. Each computes the scores of half of a tile's positions and, of all of them, the results of half of the columns; what
// a tile weighs and the largest scores are exchanged through shared memory. The next tile is on its way meanwhile: latent_wide_rows.cu, or
// latent_wide_rows8.cu, has how.

// scores [HEADS, OWN_KEYS] of this group's positions of a tile; queued.
__device__ __forceinline__ void score(float (&scores)[SCORES], u32 queries, u32 tile, int group) {
  beginProducts();
#pragma unroll
  for (int s = 0; s < ROW / 16; s++)
    multiplyRows(scores, operandAt(queries + s / 4 * CHUNK_BYTES + s % 4 * 32, NO_CHUNKS),
                 operandAt(tile + s / 4 * CHUNK_BYTES + group * OWN_KEYS * 128 + s % 4 * 32, NO_CHUNKS), s > 0);
  commitProducts();
}

// acc [HEADS, RANK / GROUPS] += weights · values, of this group's columns; queued.
__device__ __forceinline__ void addValues(float (&acc)[VALUES], u32 weights, u32 tile, int group) {
  beginProducts();
#pragma unroll
  for (int s = 0; s < KEYS / 16; s++)
    multiplyChunks(acc, operandAt(weights + s * 32, NO_CHUNKS), operandAt(tile + group * OWN_CHUNKS * CHUNK_BYTES + s * 2 * GROUP_BYTES, CHUNK_BYTES), 1);
  commitProducts();
}

// Scales the scores, and puts the largest of this group's, and of those before, where the other group reads it.
__device__ __forceinline__ void findBest(float (&scores)[SCORES], const float (&best)[2], float* maxima, int begin, int end, float scale, int group, int headRow) {
  const int lane = threadIdx.x % WARP;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    float top = best[h];
#pragma unroll
    for (int n = 0; n < SCORES / 4; n++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int position = begin + group * OWN_KEYS + n * 8 + lane % 4 * 2 + i;
        float& own = scores[n * 4 + h * 2 + i];
        own = position < end ? own * scale : NEGATIVE_INFINITY;
        top = fmaxf(top, own);
      }
    top = fmaxf(top, __shfl_xor_sync(FULL_MASK, top, 1));
    top = fmaxf(top, __shfl_xor_sync(FULL_MASK, top, 2));
    if (lane % 4 == 0) maxima[group * HEADS + headRow + h * 8] = top;
  }
}

// Scores become weights; shrink: what earlier results weigh now.
__device__ __forceinline__ void weigh(float (&scores)[SCORES], float (&best)[2], float (&shrink)[2], float (&sum)[2], const float* maxima, int group,
                                      int headRow) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const float top = fmaxf(maxima[headRow + h * 8], maxima[HEADS + headRow + h * 8]);
    shrink[h] = exp2f(best[h] - top);
    best[h] = top;
    sum[h] *= shrink[h];
#pragma unroll
    for (int n = 0; n < SCORES / 4; n++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const float weight = exp2f(scores[n * 4 + h * 2 + i] - top);
        scores[n * 4 + h * 2 + i] = weight;
        sum[h] += weight;
      }
  }
}

__device__ __forceinline__ void storeWeights(const float (&scores)[SCORES], u8* weights, int group, int headRow) {
#pragma unroll
  for (int h = 0; h < 2; h++)
#pragma unroll
    for (int n = 0; n < SCORES / 4; n++)
      *(u32*)(weights + swizzled(headRow + h * 8, group * OWN_KEYS + n * 8 + threadIdx.x % 4 * 2)) = packed(scores[n * 4 + h * 2], scores[n * 4 + h * 2 + 1]);
}

// Parameters, partials and latentJoin as of latent_attention.cu. grid (rows, blocks of heads, splits).
extern "C" __global__ void __launch_bounds__(THREADS, 1) latentAttentionWide(
    const T* absorbed, const T* queries, const Cached* cache, const u8* scales, T* out, float* partials, const int* contextLengths,
    const int* tableStarts, const int* tables, int heads, float scale) {
  DYNAMIC_SHARED(memory);
  u8* shared = (u8*)memory + (GROUP_BYTES - sharedAddress(memory) % GROUP_BYTES) % GROUP_BYTES;
  u8* tiles = shared + TILE_BYTES;
  u8* weights = tiles + 2 * TILE_BYTES; // [HEADS, KEYS]
  float* maxima = (float*)(weights + CHUNK_BYTES); // [GROUPS, HEADS]
  float* sums = maxima + GROUPS * HEADS;
  launchDependents();
  waitForPrevious();

  const int row = blockIdx.x, splits = gridDim.z, firstHead = blockIdx.y * HEADS, context = contextLengths[row];
  const int group = threadIdx.x / GROUP_THREADS, warp = threadIdx.x % GROUP_THREADS / WARP, lane = threadIdx.x % WARP;
  const int share = ((context + splits - 1) / splits + KEYS - 1) / KEYS * KEYS;
  const int begin = min(context, (int)blockIdx.z * share), end = min(context, begin + share), count = (end - begin + KEYS - 1) / KEYS;
  const int* table = tables + tableStarts[row];
  for (int i = threadIdx.x; i < HEADS * (ROW / 8); i += THREADS) {
    const int head = i / (ROW / 8), pack = i % (ROW / 8);
    const u64 at = (u64)row * heads + firstHead + head;
    const bool wanted = firstHead + head < heads;
    const T* source = pack < RANK / 8 ? absorbed + at * RANK + pack * 8 : queries + at * (PLAIN + ROTARY) + PLAIN + pack * 8 - RANK;
    copyAsync(shared + packAt(head, pack), wanted ? source : absorbed, wanted);
  }
#if IS_WIDENED
  commitCopies();
  Raw raw;
  loadRaw(raw, cache, scales, table, begin, end);
  widenKeys(tiles, raw);
  loadRaw(raw, cache, scales, table, begin + KEYS, end);
  waitCopies<0>(); // of the queries
#else
  copyKeys(tiles, cache, table, begin, end);
  copyKeys(tiles + TILE_BYTES, cache, table, begin + KEYS, end);
#endif

  // Of heads 16 · warp + lane / 4 and the one 8 further.
  const int headRow = warp * 16 + lane / 4;
  float best[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, sum[2] = {}, acc[VALUES] = {}, scores[SCORES];
  const u32 queryAddress = sharedAddress(shared), weightAddress = sharedAddress(weights);
#pragma unroll 1
  for (int t = 0; t < count; t++) {
    u8* tile = tiles + t % 2 * TILE_BYTES;
#if !IS_WIDENED
    waitCopies<1>(); // the next tile is on its way all the time
#endif
    publishShared();
    __syncthreads();
    score(scores, queryAddress, sharedAddress(tile), group);
#if IS_WIDENED
    if (t + 1 < count) { // nobody reads the other tile any more
      widenKeys(tiles + (t + 1) % 2 * TILE_BYTES, raw);
      loadRaw(raw, cache, scales, table, begin + (t + 2) * KEYS, end);
    }
#endif
    waitProducts<0>();
    float shrink[2];
    findBest(scores, best, maxima, begin + t * KEYS, end, scale * OUT_SCALE, group, headRow);
    __syncthreads();
    weigh(scores, best, shrink, sum, maxima, group, headRow);
    storeWeights(scores, weights, group, headRow);
#pragma unroll
    for (int i = 0; i < VALUES; i++) acc[i] *= shrink[i / 2 % 2];
    publishShared();
    __syncthreads();
    addValues(acc, weightAddress, sharedAddress(tile), group);
    waitProducts<0>();
    __syncthreads(); // nobody reads this tile, its weights or the largest scores any more
#if !IS_WIDENED
    copyKeys(tile, cache, table, begin + (t + 2) * KEYS, end);
#endif
  }
  waitCopies<0>();

#pragma unroll
  for (int h = 0; h < 2; h++) {
    sum[h] += __shfl_xor_sync(FULL_MASK, sum[h], 1);
    sum[h] += __shfl_xor_sync(FULL_MASK, sum[h], 2);
    if (lane % 4 == 0) sums[group * HEADS + headRow + h * 8] = sum[h];
  }
  __syncthreads();
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int head = firstHead + headRow + h * 8, column = group * (RANK / GROUPS) + lane % 4 * 2;
    const float total = sums[headRow + h * 8] + sums[HEADS + headRow + h * 8];
    if (head >= heads) continue;
    if (splits == 1) {
      T* target = out + ((u64)row * heads + head) * RANK + column;
      const float factor = total == 0 ? 0 : OUT_SCALE / total;
#pragma unroll
      for (int n = 0; n < VALUES / 4; n++) *(u32*)(target + n * 8) = packed(acc[n * 4 + h * 2] * factor, acc[n * 4 + h * 2 + 1] * factor);
    } else {
      float* target = partials + (((u64)row * heads + head) * splits + blockIdx.z) * (RANK + 2);
#pragma unroll
      for (int n = 0; n < VALUES / 4; n++)
        *(float2*)(target + column + n * 8) = {acc[n * 4 + h * 2] * OUT_SCALE, acc[n * 4 + h * 2 + 1] * OUT_SCALE};
      if (group == 0 && lane % 4 == 0) *(float2*)(target + RANK) = {best[h], total};
    }
  }
}
