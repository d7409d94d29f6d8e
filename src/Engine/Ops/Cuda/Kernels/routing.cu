// The choice of experts. Compiled for EXPERTS, PER_TOKEN, GROUPS and the options described at route.
// keyOf maps values to unsigned numbers of the same order, so that one instruction finds the largest in a warp. NaN becomes 0, below all others.
__device__ __forceinline__ u32 keyOf(float value) {
  const u32 bits = __float_as_uint(value + 0.f); // -0 as 0
  return value != value ? 0 : bits ^ ((int)bits < 0 ? 0xffffffffu : 0x80000000u);
}
__device__ __forceinline__ float valueOf(u32 key) { return __uint_as_float(key ^ ((int)key < 0 ? 0x80000000u : 0xffffffffu)); }

#define PER_LANE ((EXPERTS + WARP - 1) / WARP)
#define SIZE_OF_GROUP (EXPERTS / GROUPS)

// The two best of some candidates, none of which is NaN.
struct BestTwo {
  float first = NEGATIVE_INFINITY, second = NEGATIVE_INFINITY;
  __device__ __forceinline__ void add(float otherFirst, float otherSecond) {
    second = fmaxf(fminf(first, otherFirst), fmaxf(second, otherSecond));
    first = fmaxf(first, otherFirst);
  }
};

// Keys by which groups are compared: the sum of a group's two best candidates, or its best. A lane has the candidates lane, lane + 32, ...
__device__ __forceinline__ void scoreGroups(const float (&candidate)[PER_LANE], u32 (&score)[GROUPS]) {
#if SIZE_OF_GROUP % WARP == 0
#pragma unroll
  for (int g = 0; g < GROUPS; g++) {
    BestTwo best;
#pragma unroll
    for (int i = g * (SIZE_OF_GROUP / WARP); i < (g + 1) * (SIZE_OF_GROUP / WARP); i++)
      best.add(fmaxf(candidate[i], NEGATIVE_INFINITY), NEGATIVE_INFINITY);
    const u32 own = keyOf(best.first), first = warpMax(own);
    const bool isFirst = __ffs(__ballot_sync(FULL_MASK, own == first)) - 1 == threadIdx.x % WARP;
    score[g] = BY_TWO ? keyOf(valueOf(first) + valueOf(warpMax(isFirst ? keyOf(best.second) : own))) : first;
  }
#else
  __shared__ float all[EXPERTS], groups[GROUPS];
  const int lane = threadIdx.x;
#pragma unroll
  for (int i = 0; i < PER_LANE; i++)
    if (i * WARP + lane < EXPERTS) all[i * WARP + lane] = candidate[i];
  __syncwarp();
  for (int g = lane; g < GROUPS; g += WARP) {
    BestTwo best;
    for (int e = g * SIZE_OF_GROUP; e < (g + 1) * SIZE_OF_GROUP; e++) best.add(fmaxf(all[e], NEGATIVE_INFINITY), NEGATIVE_INFINITY);
    groups[g] = BY_TWO ? best.first + best.second : best.first;
  }
  __syncwarp();
#pragma unroll
  for (int g = 0; g < GROUPS; g++) score[g] = keyOf(groups[g]);
#endif
}

// logits: [tokens, EXPERTS] float32; bias: [EXPERTS] float32 or null, used only for the choice. ids, weights: [tokens, PER_TOKEN + JOINED], best first.
// JOINED: one more expert, which every token uses, comes last; its number is EXPERTS and its weight 1.
// contextLengths: [tokens] or null; a padding row has 0 and gets no expert (-1), so that no expert is read for it.
// SOFTMAX: scores sum to 1; otherwise each is a sigmoid. Experts are chosen from the GROUPS_PER_TOKEN best of GROUPS groups, compared by the sum of
// their two best candidates (BY_TWO) or by their best. NORMALIZED: weights are divided by their sum. One warp per token.
extern "C" __global__ void __launch_bounds__(WARP) route(const float* logits, const float* bias, const int* contextLengths, int* ids, float* weights,
                                                         float weightScale) {
  launchDependents();
  const int lane = threadIdx.x;
  float added[PER_LANE], candidate[PER_LANE], score[PER_LANE];
  // No kernel writes the bias, so it is loaded before the wait.
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) added[i] = bias && i * WARP + lane < EXPERTS ? bias[i * WARP + lane] : 0;
  ids += (u64)blockIdx.x * (PER_TOKEN + JOINED);
  weights += (u64)blockIdx.x * (PER_TOKEN + JOINED);
  const float* row = logits + (u64)blockIdx.x * EXPERTS;
  // The first turn runs on arbitrary values while the previous kernel still runs: it loads the instructions, which the weights of a step
  // have evicted from the caches.
#pragma unroll 1
  for (int turn = 0; turn < 2; turn++) {
    if (turn == 1) waitForPrevious();
    const bool isPadding = turn == 1 && contextLengths && contextLengths[blockIdx.x] == 0;
    float top = NEGATIVE_INFINITY, sum = 0;
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
      score[i] = i * WARP + lane < EXPERTS ? turn == 1 ? row[i * WARP + lane] : added[i] : NEGATIVE_INFINITY;
      top = fmaxf(top, score[i]);
    }
    if (isPadding) {
      for (int i = lane; i < PER_TOKEN + JOINED; i += WARP) {
        ids[i] = -1;
        weights[i] = 0;
      }
      return;
    }
    if (SOFTMAX) {
#pragma unroll
      for (int offset = WARP / 2; offset > 0; offset >>= 1) top = fmaxf(top, __shfl_xor_sync(FULL_MASK, top, offset));
    }
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
      const bool exists = i * WARP + lane < EXPERTS;
      score[i] = SOFTMAX ? expf(score[i] - top) : 1 / (1 + expf(-score[i]));
      if (exists) sum += score[i];
    }
    if (SOFTMAX) sum = warpSum(sum);
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) {
      if (SOFTMAX) score[i] /= sum;
      candidate[i] = i * WARP + lane < EXPERTS ? score[i] + added[i] : NEGATIVE_INFINITY;
    }

    if (GROUPS_PER_TOKEN < GROUPS) {
      u32 group[GROUPS];
      scoreGroups(candidate, group);
      u32 chosen[(GROUPS + 31) / 32]; // bits, the same on all lanes
#pragma unroll
      for (int w = 0; w < (GROUPS + 31) / 32; w++) {
        // Each lane counts the groups that rank above its own.
        u32 own = 0;
        int before = 0;
#pragma unroll
        for (int g = w * 32; g < min(GROUPS, w * 32 + 32); g++) own = g == w * 32 + lane ? group[g] : own;
#pragma unroll
        for (int g = 0; g < GROUPS; g++) before += group[g] > own || (group[g] == own && g < w * 32 + lane);
        chosen[w] = __ballot_sync(FULL_MASK, own != 0 && before < GROUPS_PER_TOKEN);
      }
#pragma unroll
      for (int i = 0; i < PER_LANE; i++) {
        const int g = min((i * WARP + lane) / SIZE_OF_GROUP, GROUPS - 1);
        bool isChosen = false;
#pragma unroll
        for (int w = 0; w < (GROUPS + 31) / 32; w++) isChosen |= g / 32 == w && chosen[w] >> g % 32 & 1;
        if (!isChosen) candidate[i] = NEGATIVE_INFINITY;
      }
    }

    u32 key[PER_LANE];
#pragma unroll
    for (int i = 0; i < PER_LANE; i++) key[i] = keyOf(candidate[i]);
    float total = 0, own[(PER_TOKEN + WARP - 1) / WARP] = {};
    int ownId[(PER_TOKEN + WARP - 1) / WARP] = {};
#pragma unroll 1
    for (int i = 0; i < PER_TOKEN; i++) {
      u32 best = 0, number = EXPERTS;
#pragma unroll
      for (int j = 0; j < PER_LANE; j++) best = max(best, key[j]);
      best = warpMax(best);
      // Among equals the lowest number wins. If only NaN is left, the last expert is taken.
#pragma unroll
      for (int j = PER_LANE - 1; j >= 0; j--) number = key[j] == best ? j * WARP + lane : number;
      const int index = best == 0 ? EXPERTS - 1 : (int)~warpMax(~number);
      float its = __int_as_float(0x7fffffff);
#pragma unroll
      for (int j = 0; j < PER_LANE; j++)
        if (best != 0 && j * WARP + lane == index) {
          its = score[j];
          key[j] = 0;
        }
      its = __shfl_sync(FULL_MASK, its, index % WARP);
      total += its;
      if (lane == i % WARP) {
        own[i / WARP] = its;
        ownId[i / WARP] = index;
      }
    }
    if (turn == 0) continue;
    const float factor = NORMALIZED ? weightScale / (total + 1e-20f) : weightScale;
#pragma unroll
    for (int i = 0; i < (PER_TOKEN + WARP - 1) / WARP; i++)
      if (i * WARP + lane < PER_TOKEN) {
        ids[i * WARP + lane] = ownId[i];
        weights[i * WARP + lane] = own[i] * factor;
      }
    if (JOINED && lane == 0) {
      ids[PER_TOKEN] = EXPERTS;
      weights[PER_TOKEN] = 1;
    }
  }
}
