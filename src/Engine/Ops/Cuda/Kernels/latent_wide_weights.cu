// What a warpgroup of latent_attention_wide.cu computes from a tile: scores, their weights, and results. A thread has two of a group's 64
// heads, 8 apart, and two of every 8 columns, as mma.m16n8k16 lays out its results.

// Barriers of the threads that multiply (bar.sync; __syncthreads uses 0). WEIGHED + g: group g's weights are in shared memory. MEETING: all
// of these threads meet.
#define WEIGHED 1
#define MEETING (WEIGHED + GROUPS)

__device__ __forceinline__ void meetThreads(int barrier) {
  asm volatile("bar.sync %0, %1;" :: "r"(barrier), "n"(GROUPS * GROUP_THREADS) : "memory");
}
__device__ __forceinline__ void arriveThreads(int barrier) {
  asm volatile("bar.arrive %0, %1;" :: "r"(barrier), "n"(GROUPS * GROUP_THREADS) : "memory");
}

__device__ __forceinline__ float power2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Stores four matrices [8, 8]. Lane l holds elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4, and gives the address of row l % 8 of matrix
// l / 8.
__device__ __forceinline__ void storeMatrices(u32 row, const u32 (&matrices)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared::cta.b16 [%0], {%1, %2, %3, %4};"
               :: "r"(row), "r"(matrices[0]), "r"(matrices[1]), "r"(matrices[2]), "r"(matrices[3]) : "memory");
}

// The rotated part of a warp's 16 queries: fragments of the left operand.
struct Rotated {
  u32 steps[ROTARY / 16][4];
};

// Starts the copies of the plain parts of the queries; called by all threads that multiply. Heads that do not exist become zeros. at: index
// of the row's first head among all rows.
__device__ __forceinline__ void copyQueries(u8* shared, const T* absorbed, u64 at, int firstHead, int heads) {
#pragma unroll 4
  for (int i = threadIdx.x; i < HEADS * (RANK / 8); i += GROUPS * GROUP_THREADS) {
    const int head = i / (RANK / 8), pack = i % (RANK / 8);
    const bool wanted = firstHead + head < heads;
    copyAsync(shared + pack / 8 * CHUNK_BYTES + swizzled(head, pack % 8 * 8),
              absorbed + (wanted ? (at + firstHead + head) * RANK + pack * 8 : 0), wanted);
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

// Excludes the scores of positions from left on, counted from the thread's first position.
__device__ __forceinline__ void cutScores(float (&scores)[SCORES], int left) {
#pragma unroll
  for (int n = 0; n < SCORES / 4; n++)
#pragma unroll
    for (int i = 0; i < 4; i++)
      if (n * 8 + i % 2 >= left) scores[n * 4 + i] = NEGATIVE_INFINITY;
}

// Addresses of operands, as lower halves of descriptors to which offsets are added. All but values have contiguous rows (operandLow).
struct Operands {
  u32 query, ownTile, values, otherWeights; // values: of the first tile, from this group's columns on
};

// scores (+)= queries · keys, over the columns of a part once it has arrived.
template <int GROUP, int PART>
__device__ __forceinline__ void scorePart(float (&scores)[SCORES], const Operands& at, u32 shared, int parity) {
  waitBarrier(fullBarrier(shared, GROUP, PART), parity);
  publishTile();
  if (PART == OWN_PART) beginProducts();
#pragma unroll
  for (int s = 0; s < PART_CHUNKS * 4; s++) {
    const u32 place = ((GROUP ^ PART) * PART_CHUNKS + s / 4) * (CHUNK_BYTES >> 4) + s % 4 * 2;
    multiplyPacks(scores, operandOf(at.query + place), operandOf(at.ownTile + place), PART != OWN_PART || s > 0);
  }
}

// Scores of a group's tile [HEADS, KEYS], computed as its parts arrive. best: the largest scaled score in each of a thread's two rows.
// left: number of positions from the beginning of the tile on.
template <int GROUP> __device__ __forceinline__ void scoreTile(
    float (&scores)[SCORES], float (&best)[2], const Operands& at, const Rotated& rotated, u32 shared, int parity, int left, float factor) {
  scorePart<GROUP, OWN_PART>(scores, at, shared, parity);
#pragma unroll
  for (int s = 0; s < ROTARY / 16; s++)
    multiplyHeldRows(scores, rotated.steps[s], operandOf(at.ownTile + RANK / 64 * (CHUNK_BYTES >> 4) + s * 2));
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

// Whether any of a warp's results shrink, which few tiles cause, or become NaN.
__device__ __forceinline__ bool shrinksAny(const float (&shrink)[2]) { return __any_sync(FULL_MASK, !(shrink[0] >= 1 && shrink[1] >= 1)); }

// Turns scores into weights, relative to the largest scores (best). added: the sums of the weights.
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

// Stores the weights where the other group's tensor cores read them. row: as in storeMatrices, for the first 16 positions.
__device__ __forceinline__ void storeWeights(u32 row, const u32 (&weights)[KEYS / 16][4]) {
#pragma unroll
  for (int s = 0; s < KEYS / 16; s++) storeMatrices(row ^ s * 32, weights[s]);
}

// Replaces the largest scores so far by top and shrinks the sums accordingly. shrink: the factors by which results must be multiplied.
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

// acc [HEADS, RANK / GROUPS] += weights · values of a group's tile. addOwn uses this group's weights, from registers; addOther uses the
// other group's, from shared memory. Neither waits for the products.
__device__ __forceinline__ void addOwn(float (&acc)[VALUES], const u32 (&weights)[KEYS / 16][4], const Operands& at, int group) {
  beginProducts();
#pragma unroll
  for (int s = 0; s < KEYS / 16; s++)
    multiplyHeldChunks(acc, weights[s], operandOf(at.values + group * (TILE_BYTES >> 4) + s * (2 * GROUP_BYTES >> 4)));
  commitProducts();
}

__device__ __forceinline__ void addOther(float (&acc)[VALUES], const Operands& at, int group) {
  beginProducts();
#pragma unroll
  for (int s = 0; s < KEYS / 16; s++)
    multiplyChunks(acc, operandOf(at.otherWeights + s * 2), operandOf(at.values + group * (TILE_BYTES >> 4) + s * (2 * GROUP_BYTES >> 4)));
  commitProducts();
}
