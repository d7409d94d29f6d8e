// As latent_attention.cu, for many heads on Hopper: there the work is bound by arithmetic, which warpgroups do. A block has 64 heads of one row. One of its
// warpgroups brings tiles (latent_wide_rows.cu, or latent_wide_rows8.cu), and two take them in turn: the one that owns a tile has its scores and makes
// weights of them, and both multiply its values by these, for half of the columns each. So one multiplies while the other one weighs (as in FlashMLA, whose
// order is another one). The largest scores so far go from one to the other with the weights.

// The barriers of threads (bar.sync): weights of a group's tile are in shared memory; all who multiply meet.
#define WEIGHED 1
#define MEETING (WEIGHED + GROUPS)

__device__ __forceinline__ void meetThreads(int barrier) { asm volatile("bar.sync %0, %1;" :: "r"(barrier), "n"(GROUPS * GROUP_THREADS) : "memory"); }
__device__ __forceinline__ void arriveThreads(int barrier) { asm volatile("bar.arrive %0, %1;" :: "r"(barrier), "n"(GROUPS * GROUP_THREADS) : "memory"); }

__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Stores four matrices [8, 8], of which lane l has elements 2 (l % 4) and the next of row l / 4; lane l names row l % 8 of matrix l / 8.
__device__ __forceinline__ void storeMatrices(u32 row, const u32 (&matrices)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared::cta.b16 [%0], {%1, %2, %3, %4};"
               :: "r"(row), "r"(matrices[0]), "r"(matrices[1]), "r"(matrices[2]), "r"(matrices[3]) : "memory");
}

// The rotated part of a warp's 16 queries: fragments of the left operand.
struct Rotated {
  u32 steps[ROTARY / 16][4];
};

// Starts the copies of the plain parts of the queries, of all threads that multiply; zeros where there is no such head. at: the row's first head.
__device__ __forceinline__ void copyQueries(u8* shared, const T* absorbed, u64 at, int firstHead, int heads) {
#pragma unroll 4
  for (int i = threadIdx.x; i < HEADS * (RANK / 8); i += GROUPS * GROUP_THREADS) {
    const int head = i / (RANK / 8), pack = i % (RANK / 8);
    const bool wanted = firstHead + head < heads;
    copyAsync(shared + pack / 8 * CHUNK_BYTES + swizzled(head, pack % 8 * 8), absorbed + (wanted ? (at + firstHead + head) * RANK + pack * 8 : 0), wanted);
  }
}

__device__ __forceinline__ void loadRotated(Rotated& rotated, const T* queries, u64 at, int head, int heads) {
#pragma unroll
  for (int s = 0; s < ROTARY / 16; s++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int own = head + i % 2 * 8;
      rotated.steps[s][i] =
          own < heads ? *(const u32*)(queries + (at + own) * (PLAIN + ROTARY) + PLAIN + s * 16 + i / 2 * 8 + threadIdx.x % 4 * 2) : 0;
    }
}

// scores (+)= queries · keys, of a part of the columns. queries, keys: where the part begins (operandLow).
__device__ __forceinline__ void scorePart(float (&scores)[SCORES], u32 queries, u32 keys, bool adds) {
#pragma unroll
  for (int s = 0; s < PART_CHUNKS * 4; s++) {
    const u32 at = s / 4 * (CHUNK_BYTES >> 4) + s % 4 * 2;
    multiplyPacks(scores, operandOf(queries + at), operandOf(keys + at), adds || s > 0);
  }
}

// Scores outside of the part of the context count for nothing. first: where the thread's first score is in it.
__device__ __forceinline__ void cutScores(float (&scores)[SCORES], int first, int end) {
#pragma unroll
  for (int n = 0; n < SCORES / 4; n++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (first + n * 8 + i % 2 >= end) scores[n * 4 + i] = NEGATIVE_INFINITY;
}

// The largest so far becomes another one: sums and results shrink accordingly, which few tiles do to any. Waits for products only where they do.
__device__ __forceinline__ void raiseBest(float (&best)[2], const float (&top)[2], float (&sum)[2], float (&acc)[VALUES]) {
  float shrink[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    shrink[h] = power2(best[h] - top[h]);
    best[h] = top[h];
    sum[h] *= shrink[h];
  }
  if (__any_sync(FULL_MASK, !(shrink[0] >= 1 && shrink[1] >= 1))) {
    waitProducts<0>();
#pragma unroll
    for (int i = 0; i < VALUES; i++) acc[i] *= shrink[i / 2 % 2];
  }
}

// Parameters, partials and latentJoin as of latent_attention.cu. grid (rows, blocks of heads, splits).
extern "C" __global__ void __launch_bounds__(THREADS, 1) latentAttentionWide(
    const T* absorbed, const T* queries, const Cached* cache, const u8* scales, T* out, float* partials, const int* contextLengths,
    const int* tableStarts, const int* tables, int heads, float scale) {
  DYNAMIC_SHARED(memory);
  u8* memoryBytes = (u8*)memory + (GROUP_BYTES - sharedAddress(memory) % GROUP_BYTES) % GROUP_BYTES;
  const u32 shared = sharedAddress(memoryBytes);
  launchDependents();
  if (threadIdx.x == 0) {
    for (int g = 0; g < GROUPS; g++)
      for (int part = 0; part < 2; part++) {
        createBarrier(fullBarrier(shared, g, part), GROUP_THREADS);
        createBarrier(emptyBarrier(shared, g, part), GROUP_THREADS / WARP); // of the one group that reads it last
      }
  }
  __syncthreads();
  waitForPrevious();

  // Blocks of the same row run side by side, so that its tiles come from memory once.
#if ASIDE
  const int row = blockIdx.x, firstHead = blockIdx.y * HEADS;
#else
  const int place = blockIdx.y * gridDim.x + blockIdx.x, row = place / gridDim.y, firstHead = place % gridDim.y * HEADS;
#endif
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
  const int lane = threadIdx.x % WARP, other = group ^ 1;
  const int headRow = threadIdx.x % GROUP_THREADS / WARP * 16 + lane / 4; // and the one 8 further are the thread's
  const float factor = scale * OUT_SCALE;
  const u32 ownWeights = shared + WEIGHTS_AT + group * CHUNK_BYTES + swizzled(threadIdx.x % GROUP_THREADS / WARP * 16 + lane % 16, lane / 16 * 8);
  float* maxima = (float*)(memoryBytes + MAXIMA_AT) + headRow;
  copyQueries(memoryBytes, absorbed, (u64)row * heads, firstHead, heads);
  Rotated rotated;
  loadRotated(rotated, queries, (u64)row * heads, firstHead + headRow, heads);
  waitCopies<0>();
  publishShared();
  meetThreads(MEETING);

  // Descriptions of operands whose rows are contiguous, and of those whose chunks are.
  const u32 ownPart = group * (PART_BYTES >> 4), otherPart = other * (PART_BYTES >> 4);
  const u32 query = operandLow(shared), tile = operandLow(shared + TILES_AT + group * TILE_BYTES);
  const u32 values = (shared + TILES_AT + group * PART_BYTES) >> 4 | (CHUNK_BYTES >> 4) << 16, foreignWeights = operandLow(shared + WEIGHTS_AT + other * CHUNK_BYTES);
  float best[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, sum[2] = {}, acc[VALUES] = {};
#pragma unroll 1
  for (int at = group * KEYS; at < length + KEYS; at += GROUPS * KEYS) {
    const bool owns = at < length, follows = at > 0; // a tile, and the other group's tile before it
    const int parity = at / (GROUPS * KEYS) % 2;
    float scores[SCORES], top[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY};
    u32 weights[KEYS / 16][4];
    if (owns) {
      waitBarrier(fullBarrier(shared, group, OWN_PART), parity);
      publishShared(); // copies are ordinary stores to tensor cores
      beginProducts();
      scorePart(scores, query + ownPart, tile + ownPart, false);
#pragma unroll
      for (int s = 0; s < ROTARY / 16; s++) multiplyHeldRows(scores, rotated.steps[s], operandOf(tile + RANK / 64 * (CHUNK_BYTES >> 4) + s * 2));
      waitBarrier(fullBarrier(shared, group, OTHER_PART), parity);
      publishShared();
      scorePart(scores, query + otherPart, tile + otherPart, true);
      commitProducts();
      waitProducts<0>();
      if (at + KEYS > length) cutScores(scores, at + lane % 4 * 2, length);
#pragma unroll
      for (int h = 0; h < 2; h++) {
#pragma unroll
        for (int n = 0; n < SCORES / 4; n++) top[h] = fmaxf(top[h], fmaxf(scores[n * 4 + h * 2], scores[n * 4 + h * 2 + 1]));
        top[h] = fmaxf(top[h], __shfl_xor_sync(FULL_MASK, top[h], 1));
        top[h] = fmaxf(top[h], __shfl_xor_sync(FULL_MASK, top[h], 2)) * factor;
      }
    }
    if (follows) {
      meetThreads(WEIGHED + other);
      const float before[2] = {maxima[other * HEADS], maxima[other * HEADS + 8]};
      raiseBest(best, before, sum, acc);
      beginProducts();
#pragma unroll
      for (int s = 0; s < KEYS / 16; s++)
        multiplyChunks(acc, operandOf(foreignWeights + s * 2), operandOf(values + other * (TILE_BYTES >> 4) + s * (2 * GROUP_BYTES >> 4)));
      commitProducts();
    }
    if (owns) {
      float added[2] = {};
#pragma unroll
      for (int h = 0; h < 2; h++) {
        top[h] = fmaxf(best[h], top[h]);
#pragma unroll
        for (int n = 0; n < SCORES / 4; n++) {
          const float a = power2(fmaf(scores[n * 4 + h * 2], factor, -top[h])), b = power2(fmaf(scores[n * 4 + h * 2 + 1], factor, -top[h]));
          added[h] += a + b;
          weights[n / 2][n % 2 * 2 + h] = packed(a, b);
        }
        if (lane % 4 == 0) maxima[group * HEADS + h * 8] = top[h];
      }
#pragma unroll
      for (int s = 0; s < KEYS / 16; s++) storeMatrices(ownWeights ^ s * 32, weights[s]);
      publishShared();
      arriveThreads(WEIGHED + group);
#if !JOINED
      waitProducts<0>();
      if (follows && lane == 0) arriveAt(emptyBarrier(shared, other, OTHER_PART));
#endif
      raiseBest(best, top, sum, acc);
      sum[0] += added[0];
      sum[1] += added[1];
      beginProducts();
#pragma unroll
      for (int s = 0; s < KEYS / 16; s++)
        multiplyHeldChunks(acc, weights[s], operandOf(values + group * (TILE_BYTES >> 4) + s * (2 * GROUP_BYTES >> 4)));
      commitProducts();
#if JOINED
      waitProducts<1>();
      if (follows && lane == 0) arriveAt(emptyBarrier(shared, other, OTHER_PART));
#endif
    }
    waitProducts<0>();
    if (owns && lane == 0) arriveAt(emptyBarrier(shared, group, OWN_PART));
  }

  float* sums = (float*)(memoryBytes + SUMS_AT);
#pragma unroll
  for (int h = 0; h < 2; h++) {
    sum[h] += __shfl_xor_sync(FULL_MASK, sum[h], 1);
    sum[h] += __shfl_xor_sync(FULL_MASK, sum[h], 2);
    if (lane % 4 == 0) sums[group * HEADS + headRow + h * 8] = sum[h];
  }
  meetThreads(MEETING);
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const int head = firstHead + headRow + h * 8, column = group * (RANK / GROUPS) + lane % 4 * 2;
    const float total = sums[headRow + h * 8] + sums[HEADS + headRow + h * 8];
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
