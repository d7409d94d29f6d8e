// Applies a request's changes to its logits before a token is chosen, in the order of the host's LogitsProcessors: grammar mask and allowed
// tokens, banned tokens, biases, penalties. out: [rows, width] float32. A row that holds NaN, +infinity or nothing but -infinity becomes NaN.
// One block per row. data holds the lists; bias and count lists are ids, followed by as many values.
#define POSITIVE_INFINITY __int_as_float(0x7f800000)
#define LARGEST 3.402823466e+38f

struct Edits {
  int maskStart, maskWords;       // bits of allowed tokens; no words: no mask
  int allowedStart, allowedCount; // -1: every token is allowed
  int bannedStart, bannedCount;
  int biasStart, biasCount;
  int countsStart, countsCount;   // how often each token occurs in the output; 0: only in the prompt
  float repetition, frequency, presence;
};

__device__ __forceinline__ bool isMasked(const Edits& edits, const int* data, int id) {
  if (edits.maskWords == 0) return false;
  return id / 32 >= edits.maskWords || !((u32)data[edits.maskStart + id / 32] >> id % 32 & 1);
}

// A valid penalty or bias must not turn a finite logit into an infinity, nor a forbidden token's logit into a finite one.
__device__ __forceinline__ float rounded(double value, float before) {
  return before == NEGATIVE_INFINITY ? before : (float)fmin(fmax(value, -(double)LARGEST), (double)LARGEST);
}

extern "C" __global__ void __launch_bounds__(1024) processRows(const T* logits, float* out, const Edits* allEdits, const int* data, int width) {
  launchDependents();
  waitForPrevious();
  const Edits edits = allEdits[blockIdx.x];
  const T* row = logits + (u64)blockIdx.x * width;
  float* target = out + (u64)blockIdx.x * width;
  bool bad = false, some = false;
  for (int id = threadIdx.x; id < width; id += blockDim.x) {
    const float value = toFloat(row[id]);
    bad |= !(value < POSITIVE_INFINITY);
    some |= value > NEGATIVE_INFINITY;
    target[id] = edits.allowedCount >= 0 || isMasked(edits, data, id) ? NEGATIVE_INFINITY : value;
  }
  bad = __syncthreads_or(bad);
  some = __syncthreads_or(some);
  for (int i = threadIdx.x; i < edits.allowedCount; i += blockDim.x) {
    const int id = data[edits.allowedStart + i];
    if (!isMasked(edits, data, id)) target[id] = toFloat(row[id]);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < edits.bannedCount; i += blockDim.x) target[data[edits.bannedStart + i]] = NEGATIVE_INFINITY;
  __syncthreads();
  for (int i = threadIdx.x; i < edits.biasCount; i += blockDim.x) {
    float* logit = target + data[edits.biasStart + i];
    *logit = rounded(*logit + (double)__int_as_float(data[edits.biasStart + edits.biasCount + i]), *logit);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < edits.countsCount; i += blockDim.x) {
    const int id = data[edits.countsStart + i], count = data[edits.countsStart + edits.countsCount + i];
    // Ids in a prompt may lie beyond the end of a row that is narrower than the tokenizer's vocabulary.
    if ((u32)id >= (u32)width) continue;
    const float logit = target[id];
    double value = logit > 0 ? (double)logit / edits.repetition : (double)logit * edits.repetition;
    value -= (double)edits.frequency * count;
    if (count > 0) value -= edits.presence;
    target[id] = rounded(value, logit);
  }
  __syncthreads();
  if (threadIdx.x == 0 && (bad || !some)) target[0] = __int_as_float(0x7fffffff);
}
