// As latent_attention.cu, for many heads on Hopper. With many heads the work is bound by arithmetic, which warpgroups do. A block computes
// 64 heads of one row. One of its warpgroups loads tiles (latent_wide_rows.cu, or latent_wide_rows8.cu); the other two multiply, and own
// tiles alternately (latent_wide_weights.cu). The owner of a tile computes its scores and turns them into weights. Both groups multiply the
// tile's values by these weights, each for half of the columns: the owner takes them from registers, the other group from shared memory.
// So the tensor cores have products of one group while the other computes weights, no score is computed twice, and half of each tile is
// free early. FlashMLA splits the work the same way ("seesaw", see its notes of April 2025).
//
// Weights are relative to the largest score of all tiles so far. Before a group uses the other group's weights, it adopts the other group's
// largest score and shrinks its own results accordingly. So a tile needs one hand-over, and stored weights need no correction.

// Adds up the groups' sums, and stores the results of a thread's two heads, or their parts.
__device__ __forceinline__ void finish(u8* shared, const float (&acc)[VALUES], const float (&best)[2], float (&sum)[2], int thread,
                                       int row, int firstHead, int heads, T* out, float* partials) {
  const int group = thread / GROUP_THREADS, lane = thread % WARP, splits = gridDim.z;
  const int headRow = thread % GROUP_THREADS / WARP * 16 + lane / 4;
  float* sums = (float*)(shared + SUMS_AT) + headRow;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    sum[h] += __shfl_xor_sync(FULL_MASK, sum[h], 1);
    sum[h] += __shfl_xor_sync(FULL_MASK, sum[h], 2);
    if (lane % 4 == 0) sums[group * HEADS + h * 8] = sum[h];
  }
  meetThreads(MEETING);
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int head = firstHead + headRow + h * 8, column = group * (RANK / GROUPS) + lane % 4 * 2;
    const float total = sums[h * 8] + sums[HEADS + h * 8];
    if (head >= heads) continue;
    if (splits == 1) {
      T* target = out + ((u64)row * heads + head) * RANK + column;
      const float share = total == 0 ? 0 : OUT_SCALE / total;
#pragma unroll
      for (int n = 0; n < VALUES / 4; n++) *(u32*)(target + n * 8) = packed(acc[n * 4 + h * 2] * share, acc[n * 4 + h * 2 + 1] * share);
    } else {
      float* target = partials + (((u64)row * heads + head) * splits + blockIdx.z) * (RANK + 2);
#pragma unroll
      for (int n = 0; n < VALUES / 4; n++)
        *(float2*)(target + column + n * 8) = {acc[n * 4 + h * 2] * OUT_SCALE, acc[n * 4 + h * 2 + 1] * OUT_SCALE};
      if (group == 0 && lane % 4 == 0) *(float2*)(target + RANK) = {best[h], total};
    }
  }
}

// Parameters, partials and latentJoin as in latent_attention.cu. grid (rows, blocks of heads, splits).
extern "C" __global__ void __launch_bounds__(THREADS, 1) latentAttentionWide(
    const T* absorbed, const T* queries, const Cached* cache, const u8* scales, T* out, float* partials, const int* contextLengths,
    const int* tableStarts, const int* tables, int heads, float scale) {
  DYNAMIC_SHARED(memory);
  u8* memoryBytes = (u8*)memory + (GROUP_BYTES - sharedAddress(memory) % GROUP_BYTES) % GROUP_BYTES;
  const u32 shared = sharedAddress(memoryBytes);
  launchDependents();
  if (threadIdx.x == 0) {
    for (int g = 0; g < GROUPS; g++)
      for (int part = OWN_PART; part <= OTHER_PART; part++) {
        createBarrier(fullBarrier(shared, g, part), GROUP_THREADS);
        createBarrier(emptyBarrier(shared, g, part), GROUP_THREADS / WARP); // the warps of the group that reads it last
      }
    publishShared(); // before copies arrive at the barriers
  }
  __syncthreads();
  waitForPrevious();

  // Blocks of the same row run side by side, so that its tiles are read from memory once.
  const int place = blockIdx.y * gridDim.x + blockIdx.x, row = place / gridDim.y, firstHead = place % gridDim.y * HEADS;
  const int splits = gridDim.z, context = contextLengths[row];
  const int share = ((context + splits - 1) / splits + KEYS - 1) / KEYS * KEYS;
  const int begin = min(context, (int)blockIdx.z * share), length = min(context, begin + share) - begin;
  const int group = __shfl_sync(FULL_MASK, threadIdx.x / GROUP_THREADS, 0);
  if (group == GROUPS) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 " PRODUCER_REGISTERS ";");
    bringTiles(shared, cache, scales, tables + tableStarts[row], begin, begin + length);
    return;
  }

  asm volatile("setmaxnreg.inc.sync.aligned.u32 " CONSUMER_REGISTERS ";");
  const int lane = threadIdx.x % WARP;
  const int warpRow = threadIdx.x % GROUP_THREADS / WARP * 16;
  const int headRow = warpRow + lane / 4; // the thread has this row and the one 8 further
  const float factor = scale * OUT_SCALE;
  const u32 ownWeights = shared + WEIGHTS_AT + group * CHUNK_BYTES + swizzled(warpRow + lane % 16, lane / 16 * 8);
  float* maxima = (float*)(memoryBytes + MAXIMA_AT) + headRow;
  copyQueries(memoryBytes, absorbed, (u64)row * heads, firstHead, heads);
  Rotated rotated;
  loadRotated(rotated, queries, (u64)row * heads, firstHead + headRow, heads);
  commitCopies(); // otherwise waitCopies would wait for none of them
  waitCopies<0>();
  publishShared();
  meetThreads(MEETING);

  Operands operands;
  operands.query = operandLow(shared);
  operands.ownTile = operandLow(shared + TILES_AT + group * TILE_BYTES);
  operands.values = (shared + TILES_AT + group * PART_BYTES) >> 4 | (CHUNK_BYTES >> 4) << 16;
  operands.otherWeights = operandLow(shared + WEIGHTS_AT + (group ^ 1) * CHUNK_BYTES);
  float best[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, sum[2] = {}, acc[VALUES] = {};
  if (group == 0) {
#pragma unroll 1
    for (int at = 0; at < length; at += GROUPS * KEYS) {
      float scores[SCORES], top[2], added[2], shrink[2];
      u32 weights[KEYS / 16][4];
      scoreTile<0>(scores, top, operands, rotated, shared, at / (GROUPS * KEYS) % 2, length - at, factor);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        top[h] = fmaxf(top[h], best[h]);
        if (lane % 4 == 0) maxima[h * 8] = top[h];
      }
      weigh(scores, top, added, factor);
      packWeights(weights, scores);
      storeWeights(ownWeights, weights); // the previous ones have been read, or this tile would not have arrived
      publishShared();
      arriveThreads(WEIGHED);
      raiseBest(best, top, shrink, sum);
      shrinkResults(acc, shrink);
      addOwn(acc, weights, operands, 0);
      waitProducts<0>();
      if (lane == 0) arriveAt(emptyBarrier(shared, 0, OWN_PART));
      meetThreads(WEIGHED + 1);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        top[h] = maxima[HEADS + h * 8];
        sum[h] += added[h];
      }
      raiseBest(best, top, shrink, sum);
      shrinkResults(acc, shrink);
      if (at + KEYS < length) {
        addOther(acc, operands, 1);
        waitProducts<0>();
        if (lane == 0) arriveAt(emptyBarrier(shared, 1, OTHER_PART));
      }
    }
  } else {
#pragma unroll 1
    for (int at = KEYS; at < length + KEYS; at += GROUPS * KEYS) {
      const bool owns = at < length; // with an odd number of tiles the first group alone has a last one
      float scores[SCORES], top[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, added[2] = {}, shrink[2];
      u32 weights[KEYS / 16][4];
      if (owns) scoreTile<1>(scores, top, operands, rotated, shared, at / (GROUPS * KEYS) % 2, length - at, factor);
      meetThreads(WEIGHED); // for the weights and their largest scores
      const float before[2] = {maxima[0], maxima[8]};
      raiseBest(best, before, shrink, sum); // before the other group's weights are used
      shrinkResults(acc, shrink);
      addOther(acc, operands, 0);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        top[h] = fmaxf(top[h], best[h]);
        if (lane % 4 == 0) maxima[HEADS + h * 8] = top[h];
      }
      if (owns) {
        weigh(scores, top, added, factor);
        packWeights(weights, scores);
        storeWeights(ownWeights, weights);
        publishShared();
      }
      arriveThreads(WEIGHED + 1); // while the other group's tile is multiplied
      waitProducts<0>();
      if (lane == 0) arriveAt(emptyBarrier(shared, 0, OTHER_PART));
      raiseBest(best, top, shrink, sum);
      shrinkResults(acc, shrink);
#pragma unroll
      for (int h = 0; h < 2; h++) sum[h] += added[h];
      if (owns) {
        addOwn(acc, weights, operands, 1);
        waitProducts<0>();
        if (lane == 0) arriveAt(emptyBarrier(shared, 1, OWN_PART));
      }
    }
  }

  // The index is read again instead of being kept in a register all along.
  int thread;
  asm volatile("mov.u32 %0, %tid.x;" : "=r"(thread));
  finish(memoryBytes, acc, best, sum, thread, row, firstHead, heads, out, partials);
}
