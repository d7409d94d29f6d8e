// As latent_attention.cu, for many heads on Hopper: there the work is bound by arithmetic, which warpgroups do. A block has 64 heads of one row. One of its
// warpgroups brings tiles (latent_wide_rows.cu, or latent_wide_rows8.cu); two multiply, tiles by turns. Who owns a tile has its scores and makes weights of
// them; both multiply its values by these, for half of the columns each: the owner from registers, the other one from shared memory. The first one's tile
// of a pair counts by the largest score until then, and once the second one knows the largest of both, its weights shrink on their way to the second one.
// So one multiplies while the other one weighs, and half of each tile is free early. The order is that of FlashMLA ("seesaw", see its notes of April 2025).

// What threads wait for (bar.sync): the first one's largest scores, each one's weights in shared memory, all who multiply.
#define RAISED 1
#define WEIGHED (RAISED + 1)
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

// Scores of positions from left on, counted from the thread's first one, count for nothing.
__device__ __forceinline__ void cutScores(float (&scores)[SCORES], int left) {
#pragma unroll
  for (int n = 0; n < SCORES / 4; n++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (n * 8 + i % 2 >= left) scores[n * 4 + i] = NEGATIVE_INFINITY;
}

// Where operands lie, as descriptions (operandLow) to which places are added. Rows contiguous, but for values.
struct Operands {
  u32 query, ownTile, values, otherWeights; // values: of the first tile, from this group's columns on
};

// scores (+)= queries · keys, of a part's columns as they come.
template <int GROUP, int PART> __device__ __forceinline__ void scorePart(float (&scores)[SCORES], const Operands& at, u32 shared, int parity) {
#pragma unroll
  for (int s = 0; s < PART_CHUNKS * 4; s++) {
    if (s % (PIECE_CHUNKS * 4) == 0) {
      waitBarrier(fullBarrier(shared, GROUP, PART, s / 4 / PIECE_CHUNKS), parity);
#if CONSUMERS_PUBLISH
      publishShared(); // copies are ordinary stores to tensor cores
#endif
      if (PART == OWN_PART && s == 0) beginProducts();
    }
    const u32 place = ((GROUP ^ PART) * PART_CHUNKS + s / 4) * (CHUNK_BYTES >> 4) + s % 4 * 2;
    multiplyPacks(scores, operandOf(at.query + place), operandOf(at.ownTile + place), PART != OWN_PART || s > 0);
  }
}

// scores of a group's tile, as its parts come; best: the largest of a thread's two rows, scaled. left: how many positions begin with the tile.
template <int GROUP> __device__ __forceinline__ void scoreTile(
    float (&scores)[SCORES], float (&best)[2], const Operands& at, const Rotated& rotated, u32 shared, int parity, int left, float factor) {
  scorePart<GROUP, OWN_PART>(scores, at, shared, parity);
#pragma unroll
  for (int s = 0; s < ROTARY / 16; s++) multiplyHeldRows(scores, rotated.steps[s], operandOf(at.ownTile + RANK / 64 * (CHUNK_BYTES >> 4) + s * 2));
  scorePart<GROUP, OTHER_PART>(scores, at, shared, parity);
  commitProducts();
  waitProducts<0>();
  if (left < KEYS) cutScores(scores, left - (int)threadIdx.x % 4 * 2);
#pragma unroll
  for (int h = 0; h < 2; h++) {
    best[h] = NEGATIVE_INFINITY;
#pragma unroll
    for (int n = 0; n < SCORES / 4; n++) best[h] = fmaxf(best[h], fmaxf(scores[n * 4 + h * 2], scores[n * 4 + h * 2 + 1]));
    best[h] = fmaxf(best[h], __shfl_xor_sync(FULL_MASK, best[h], 1));
    best[h] = fmaxf(best[h], __shfl_xor_sync(FULL_MASK, best[h], 2)) * factor;
  }
}

// Whether a warp's results or weights become smaller, which few tiles make any; or are no numbers any more.
__device__ __forceinline__ bool shrinksAny(const float (&shrink)[2]) { return __any_sync(FULL_MASK, !(shrink[0] >= 1 && shrink[1] >= 1)); }

// Scores become weights; adds them up.
__device__ __forceinline__ void weigh(float (&scores)[SCORES], const float (&best)[2], float (&added)[2], float factor) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    added[h] = 0;
#pragma unroll
    for (int n = 0; n < SCORES / 4; n++)
#pragma unroll
      for (int i = 0; i < 2; i++) {
        float& own = scores[n * 4 + h * 2 + i];
        own = power2(fmaf(own, factor, -best[h]));
        added[h] += own;
      }
  }
}

// Weights as fragments of a left operand.
__device__ __forceinline__ void packWeights(u32 (&weights)[KEYS / 16][4], const float (&scores)[SCORES]) {
#pragma unroll
  for (int s = 0; s < KEYS / 16; s++)
#pragma unroll
    for (int i = 0; i < 4; i++) weights[s][i] = packed(scores[s * 8 + i * 2], scores[s * 8 + i * 2 + 1]);
}

// Stores them where both groups' tensor cores read them. row: of storeMatrices, of the first 16 positions.
__device__ __forceinline__ void storeWeights(u32 row, const u32 (&weights)[KEYS / 16][4]) {
#pragma unroll
  for (int s = 0; s < KEYS / 16; s++) storeMatrices(row ^ s * 32, weights[s]);
}

// Stored weights of a warp shrink, where any does.
__device__ __forceinline__ void shrinkWeights(u32 row, const float (&shrink)[2]) {
  if (!shrinksAny(shrink)) return;
#pragma unroll 1
  for (int s = 0; s < KEYS / 16; s++) {
    u32 stored[4];
    __syncwarp();
    loadMatrices(stored, __cvta_shared_to_generic(row ^ s * 32));
#pragma unroll
    for (int i = 0; i < 4; i++) stored[i] = packed(toFloat((T)stored[i]) * shrink[i % 2], toFloat((T)(stored[i] >> 16)) * shrink[i % 2]);
    __syncwarp();
    storeMatrices(row ^ s * 32, stored);
  }
  publishShared();
}

// The largest so far becomes another one: sums and results shrink accordingly, which few tiles do to any.
__device__ __forceinline__ void raiseBest(float (&best)[2], const float (&top)[2], float (&shrink)[2], float (&sum)[2]) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    shrink[h] = power2(best[h] - top[h]);
    best[h] = top[h];
    sum[h] *= shrink[h];
  }
}

__device__ __forceinline__ void shrinkResults(float (&acc)[VALUES], const float (&shrink)[2]) {
  if (!shrinksAny(shrink)) return;
#pragma unroll
  for (int i = 0; i < VALUES; i++) acc[i] *= shrink[i / 2 % 2];
}

// acc += weights · values of a group's tile: this group's own weights, or the other one's.
__device__ __forceinline__ void addOwn(float (&acc)[VALUES], const u32 (&weights)[KEYS / 16][4], const Operands& at, int group) {
  beginProducts();
#pragma unroll
  for (int s = 0; s < KEYS / 16; s++) multiplyHeldChunks(acc, weights[s], operandOf(at.values + group * (TILE_BYTES >> 4) + s * (2 * GROUP_BYTES >> 4)));
  commitProducts();
}

__device__ __forceinline__ void addOther(float (&acc)[VALUES], const Operands& at, int group) {
  beginProducts();
#pragma unroll
  for (int s = 0; s < KEYS / 16; s++)
    multiplyChunks(acc, operandOf(at.otherWeights + s * 2), operandOf(at.values + group * (TILE_BYTES >> 4) + s * (2 * GROUP_BYTES >> 4)));
  commitProducts();
}

// Adds the groups' sums up, and stores the results of a thread's two heads, or their parts.
__device__ __forceinline__ void finish(u8* shared, const float (&acc)[VALUES], const float (&best)[2], float (&sum)[2], int thread, int row, int firstHead,
                                       int heads, T* out, float* partials) {
  const int group = thread / GROUP_THREADS, lane = thread % WARP, headRow = thread % GROUP_THREADS / WARP * 16 + lane / 4, splits = gridDim.z;
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

// Parameters, partials and latentJoin as of latent_attention.cu. grid (rows, blocks of heads, splits).
extern "C" __global__ void __launch_bounds__(THREADS, 1) latentAttentionWide(
    const T* absorbed, const T* queries, const Cached* cache, const u8* scales, T* out, float* partials, const int* contextLengths,
    const int* tableStarts, const int* tables, int heads, float scale
#if TMA
    , u64 map
#endif
    ) {
#if !TMA
  const u64 map = 0;
#endif
  DYNAMIC_SHARED(memory);
  u8* memoryBytes = (u8*)memory + (GROUP_BYTES - sharedAddress(memory) % GROUP_BYTES) % GROUP_BYTES;
  const u32 shared = sharedAddress(memoryBytes);
  launchDependents();
  if (threadIdx.x == 0) {
    for (int g = 0; g < GROUPS; g++)
      for (int part = 0; part < 2; part++) {
        for (int piece = 0; piece < PIECES; piece++) createBarrier(fullBarrier(shared, g, part, piece), GROUP_THREADS);
        createBarrier(emptyBarrier(shared, g, part), GROUP_THREADS / WARP); // of the one group that reads it last
      }
    publishShared(); // to the copy engine
  }
  __syncthreads();
  waitForPrevious();

  // Blocks of the same row run side by side, so that its tiles come from memory once.
#if ASIDE
  const int place = blockIdx.x * gridDim.y + blockIdx.y, row = place / gridDim.y, firstHead = place % gridDim.y * HEADS;
#else
  const int place = blockIdx.y * gridDim.x + blockIdx.x, row = place / gridDim.y, firstHead = place % gridDim.y * HEADS;
#endif
  const int splits = gridDim.z, context = contextLengths[row];
  const int share = ((context + splits - 1) / splits + KEYS - 1) / KEYS * KEYS;
  const int begin = min(context, (int)blockIdx.z * share), length = min(context, begin + share) - begin;
  const int group = __shfl_sync(FULL_MASK, threadIdx.x / GROUP_THREADS, 0);
  if (group == GROUPS) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 " PRODUCER_REGISTERS ";");
    bringTiles(shared, cache, scales, tables + tableStarts[row], begin, begin + length, place % gridDim.y, gridDim.y, map);
    return;
  }

  asm volatile("setmaxnreg.inc.sync.aligned.u32 " CONSUMER_REGISTERS ";");
  const int lane = threadIdx.x % WARP;
  const int headRow = threadIdx.x % GROUP_THREADS / WARP * 16 + lane / 4; // and the one 8 further are the thread's
  const float factor = scale * OUT_SCALE;
  const u32 ownWeights = shared + WEIGHTS_AT + group * CHUNK_BYTES + swizzled(threadIdx.x % GROUP_THREADS / WARP * 16 + lane % 16, lane / 16 * 8);
  float* maxima = (float*)(memoryBytes + MAXIMA_AT) + headRow;
  copyQueries(memoryBytes, absorbed, (u64)row * heads, firstHead, heads);
  Rotated rotated;
  loadRotated(rotated, queries, (u64)row * heads, firstHead + headRow, heads);
#if !UNCOMMITTED
  commitCopies(); // or waitCopies would wait for none of them
#endif
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
#if MID
      weigh(scores, top, added, factor);
      packWeights(weights, scores);
      storeWeights(ownWeights, weights); // nobody reads the ones before any more, or the tile would not have come
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
#else
      arriveThreads(RAISED);
      weigh(scores, top, added, factor);
      packWeights(weights, scores);
      storeWeights(ownWeights, weights); // nobody reads the ones before any more, or the tile would not have come
      publishShared();
      raiseBest(best, top, shrink, sum);
      shrinkResults(acc, shrink);
      addOwn(acc, weights, operands, 0);
      waitProducts<0>();
#if !LATE
      if (lane == 0) arriveAt(emptyBarrier(shared, 0, OWN_PART));
#endif
      meetThreads(WEIGHED + 1);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        top[h] = maxima[HEADS + h * 8];
        sum[h] += added[h];
      }
      raiseBest(best, top, shrink, sum);
      shrinkWeights(ownWeights, shrink);
      arriveThreads(WEIGHED);
      shrinkResults(acc, shrink);
#endif
      if (at + KEYS < length) {
        addOther(acc, operands, 1);
        waitProducts<0>();
        if (lane == 0) arriveAt(emptyBarrier(shared, 1, OTHER_PART));
      }
#if LATE && !MID
      if (lane == 0) arriveAt(emptyBarrier(shared, 0, OWN_PART));
#endif
    }
  } else {
#pragma unroll 1
    for (int at = KEYS; at < length + KEYS; at += GROUPS * KEYS) {
      const bool owns = at < length; // an odd last tile is the first one's alone
      float scores[SCORES], top[2] = {NEGATIVE_INFINITY, NEGATIVE_INFINITY}, added[2] = {}, shrink[2];
      u32 weights[KEYS / 16][4];
      if (owns) scoreTile<1>(scores, top, operands, rotated, shared, at / (GROUPS * KEYS) % 2, length - at, factor);
#if MID
      meetThreads(WEIGHED);
      const float before[2] = {maxima[0], maxima[8]};
      raiseBest(best, before, shrink, sum);
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
      arriveThreads(WEIGHED + 1);
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
#else
      meetThreads(RAISED);
#pragma unroll
      for (int h = 0; h < 2; h++) {
        top[h] = fmaxf(top[h], maxima[h * 8]);
        if (lane % 4 == 0) maxima[HEADS + h * 8] = top[h];
      }
      if (owns) {
        weigh(scores, top, added, factor);
        packWeights(weights, scores);
        storeWeights(ownWeights, weights);
        publishShared();
      }
      arriveThreads(WEIGHED + 1);
      raiseBest(best, top, shrink, sum);
      shrinkResults(acc, shrink);
#pragma unroll
      for (int h = 0; h < 2; h++) sum[h] += added[h];
      if (owns) addOwn(acc, weights, operands, 1);
      meetThreads(WEIGHED);
      addOther(acc, operands, 0);
#if LATE
      waitProducts<0>();
#else
      waitProducts<1>();
#endif
      if (owns && lane == 0) arriveAt(emptyBarrier(shared, 1, OWN_PART));
      waitProducts<0>();
      if (lane == 0) arriveAt(emptyBarrier(shared, 0, OTHER_PART));
#endif
    }
  }

  // Found anew, instead of kept in registers meanwhile.
  int thread;
  asm volatile("mov.u32 %0, %tid.x;" : "=r"(thread));
  finish(memoryBytes, acc, best, sum, thread, row, firstHead, heads, out, partials);
}
