// The choice of experts. Compiled for EXPERTS, PER_TOKEN, GROUPS and what is said of route.
// Larger of two candidates, the lower number where they are equal.
__device__ __forceinline__ void takeBest(float& value, int& index) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) {
    const float itsValue = __shfl_xor_sync(FULL_MASK, value, offset);
    const int itsIndex = __shfl_xor_sync(FULL_MASK, index, offset);
    if (itsValue > value || (itsValue == value && itsIndex < index)) {
      value = itsValue;
      index = itsIndex;
    }
  }
}

#define PER_LANE ((EXPERTS + WARP - 1) / WARP)
#define SIZE_OF_GROUP (EXPERTS / GROUPS)

// The two best of some candidates, none of which are NaN.
struct BestTwo {
  float first = NEGATIVE_INFINITY, second = NEGATIVE_INFINITY;
  __device__ __forceinline__ void add(float otherFirst, float otherSecond) {
    second = fmaxf(fminf(first, otherFirst), fmaxf(second, otherSecond));
    first = fmaxf(first, otherFirst);
  }
};

// What is compared of each group: the sum of its two best candidates, or its best. A lane has the candidates lane, lane + 32, ...
__device__ __forceinline__ void scoreGroups(const float (&candidate)[PER_LANE], float (&score)[GROUPS]) {
#if SIZE_OF_GROUP % WARP == 0
#pragma unroll
  for (int g = 0; g < GROUPS; g++) {
    BestTwo best;
#pragma unroll
    for (int i = g * (SIZE_OF_GROUP / WARP); i < (g + 1) * (SIZE_OF_GROUP / WARP); i++)
      best.add(fmaxf(candidate[i], NEGATIVE_INFINITY), NEGATIVE_INFINITY);
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset >>= 1)
      best.add(__shfl_xor_sync(FULL_MASK, best.first, offset), __shfl_xor_sync(FULL_MASK, best.second, offset));
    score[g] = BY_TWO ? best.first + best.second : best.first;
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
  for (int g = 0; g < GROUPS; g++) score[g] = groups[g];
#endif
}

// logits: [tokens, EXPERTS] float32; bias: [EXPERTS] float32 or null, for the choice alone. ids, weights: [tokens, PER_TOKEN + JOINED], best first; JOINED:
// last comes the expert of every token, whose number is EXPERTS, with a weight of 1.
// contextLengths: [tokens] or null; a padding row has 0 and gets no expert (-1), so that it makes none be read.
// SOFTMAX: scores sum to 1; otherwise each is a sigmoid. Of GROUPS groups the GROUPS_PER_TOKEN best are chosen from: by their two best candidates
// together (BY_TWO), or by their best. NORMALIZED: weights are divided by their sum. One warp a token.
extern "C" __global__ void __launch_bounds__(WARP) route(const float* logits, const float* bias, const int* contextLengths, int* ids, float* weights,
                                                         float weightScale) {
  launchDependents();
  const int lane = threadIdx.x;
  float candidate[PER_LANE], score[PER_LANE];
  // No kernel writes the bias.
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) candidate[i] = bias && i * WARP + lane < EXPERTS ? bias[i * WARP + lane] : 0;
  waitForPrevious();
  ids += (u64)blockIdx.x * (PER_TOKEN + JOINED);
  weights += (u64)blockIdx.x * (PER_TOKEN + JOINED);
  if (contextLengths && contextLengths[blockIdx.x] == 0) {
    for (int i = lane; i < PER_TOKEN + JOINED; i += WARP) {
      ids[i] = -1;
      weights[i] = 0;
    }
    return;
  }
  const float* row = logits + (u64)blockIdx.x * EXPERTS;
  float top = NEGATIVE_INFINITY, sum = 0;
#pragma unroll
  for (int i = 0; i < PER_LANE; i++) {
    score[i] = i * WARP + lane < EXPERTS ? row[i * WARP + lane] : NEGATIVE_INFINITY;
    top = fmaxf(top, score[i]);
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
    candidate[i] = i * WARP + lane < EXPERTS ? score[i] + candidate[i] : NEGATIVE_INFINITY;
  }

  if (GROUPS_PER_TOKEN < GROUPS) {
    float group[GROUPS];
    scoreGroups(candidate, group);
    u32 chosen[(GROUPS + 31) / 32] = {}; // bits, the same on all lanes
#pragma unroll 1
    for (int i = 0; i < GROUPS_PER_TOKEN; i++) {
      float value = NEGATIVE_INFINITY;
      int index = GROUPS;
#pragma unroll
      for (int g = 0; g < GROUPS; g++)
        if (!(chosen[g / 32] >> g % 32 & 1) && (group[g] > value || (group[g] == value && g < index))) {
          value = group[g];
          index = g;
        }
#pragma unroll
      for (int w = 0; w < (GROUPS + 31) / 32; w++)
        if (index < GROUPS && index / 32 == w) chosen[w] |= 1u << index % 32;
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

  float total = 0, own[(PER_TOKEN + WARP - 1) / WARP] = {};
  int ownId[(PER_TOKEN + WARP - 1) / WARP] = {};
#if PER_TOKEN <= 16
#pragma unroll
#else
#pragma unroll 1
#endif
  for (int i = 0; i < PER_TOKEN; i++) {
    float value = NEGATIVE_INFINITY, its = __int_as_float(0x7fffffff);
    int index = EXPERTS;
#pragma unroll
    for (int j = 0; j < PER_LANE; j++) {
      const int e = j * WARP + lane;
      if (candidate[j] > value || (candidate[j] == value && e < index)) {
        value = candidate[j];
        index = e;
        its = score[j];
      }
    }
    takeBest(value, index);
    index = min(index, EXPERTS - 1); // where all that is left is no number
    its = __shfl_sync(FULL_MASK, its, index % WARP);
    // What is taken becomes NaN, which is above nothing.
#pragma unroll
    for (int j = 0; j < PER_LANE; j++) candidate[j] = j * WARP + lane == index ? __int_as_float(0x7fffffff) : candidate[j];
    total += its;
    if (lane == i % WARP) {
      own[i / WARP] = its;
      ownId[i / WARP] = index;
    }
  }
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
