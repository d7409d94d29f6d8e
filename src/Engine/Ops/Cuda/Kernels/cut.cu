// Finds what min_p, top_k and top_p keep of a row, without sorting: all tokens above a threshold, and of those equal to it the ones up to an
// id. Values are read as unsigned keys of the same order and resolved 11, 11 and 10 bits at a time. Weights are added in fixed point, so that
// the order of the additions does not matter. top_k keeps every token equal to the k-th. top_p keeps the smallest set of the largest values
// whose weights reach the target, lower ids first among equals. One block per row.
#define THREADS 1024
#define WARPS (THREADS / WARP)
#define BINS 2048
#define LEVELS 3
#define FIXED_ONE 1099511627776.0f  // 2^40: 2^24 weights of at most 1 fit

__device__ __forceinline__ u32 keyOf(T x) {
  const u32 bits = __float_as_uint(toFloat(x) + 0.0f);  // -0 equals 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float valueOf(u32 key) { return __uint_as_float(key & 0x80000000u ? key & 0x7fffffffu : ~key); }

__device__ __forceinline__ int shiftOf(int level) { return level == 0 ? 21 : level == 1 ? 10 : 0; }

__device__ __forceinline__ bool matches(u32 key, u32 prefix, int level) { return level == 0 || key >> shiftOf(level - 1) == prefix >> shiftOf(level - 1); }

__device__ __forceinline__ u64 fixedWeight(float value, float top, float scale) { return (u64)(expf((value - top) * scale) * FIXED_ONE + 0.5f); }

// Sum over the block; every thread gets it.
__device__ __forceinline__ u64 blockTotal(u64 x, u64* scratch) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) x += __shfl_xor_sync(FULL_MASK, x, offset);
  __syncthreads();
  if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = x;
  __syncthreads();
  u64 sum = 0;
  for (int w = 0; w < WARPS; w++) sum += scratch[w];
  return sum;
}

// Finds the bin, from the highest down, in which the running sum, starting at before, reaches target; if none does, the last non-empty bin.
// Every thread gets the bin; before becomes the sum above it. Two bins per thread.
__device__ __forceinline__ int reach(const u64* bins, u64 target, u64& before, u64* scratch) {
  __shared__ int found;
  __shared__ u64 above;
  // Thread t handles the bins 2047 - 2 t and 2046 - 2 t.
  const int high = BINS - 1 - 2 * threadIdx.x;
  const u64 first = bins[high], second = bins[high - 1];
  u64 sum = first + second;
#pragma unroll
  for (int offset = 1; offset < WARP; offset <<= 1) {
    const u64 lower = __shfl_up_sync(FULL_MASK, sum, offset);
    if (threadIdx.x % WARP >= offset) sum += lower;
  }
  __syncthreads();
  if (threadIdx.x % WARP == WARP - 1) scratch[threadIdx.x / WARP] = sum;
  if (threadIdx.x == 0) found = -1;
  __syncthreads();
  for (int w = 0; w < (int)threadIdx.x / WARP; w++) sum += scratch[w];
  const u64 start = before + sum - first - second;
  if (first > 0 && start < target && start + first >= target) {
    found = high;
    above = start;
  }
  if (second > 0 && start + first < target && start + first + second >= target) {
    found = high - 1;
    above = start + first;
  }
  __syncthreads();
  if (found < 0 && threadIdx.x == 0) {
    u64 all = before;
    for (int bin = BINS - 1; bin >= 0; bin--)
      if (bins[bin] > 0) {
        found = bin;
        above = all;
        all += bins[bin];
      }
  }
  __syncthreads();
  before = above;
  return found;
}

// The largest key k, among keys of at least least, for which the elements with keys of at least k add up to target: by count, or by weight
// where weighted. before: the sum of the elements above that key.
__device__ __forceinline__ u32 select(const T* row, int width, u32 least, bool weighted, float top, float scale, u64 target, u64& before, u64* bins, u64* scratch) {
  u32 prefix = 0;
  before = 0;
  for (int level = 0; level < LEVELS; level++) {
    for (int bin = threadIdx.x; bin < BINS; bin += THREADS) bins[bin] = 0;
    __syncthreads();
    for (int i = threadIdx.x; i < width; i += THREADS) {
      const u32 key = keyOf(row[i]);
      if (key < least || !matches(key, prefix, level)) continue;
      atomicAdd(bins + (key >> shiftOf(level) & (level == 2 ? 1023 : BINS - 1)), weighted ? fixedWeight(toFloat(row[i]), top, scale) : 1ull);
    }
    __syncthreads();
    prefix |= (u32)reach(bins, target, before, scratch) << shiftOf(level);
    __syncthreads();
  }
  return prefix;
}

// The id of the count-th element, by ascending id, that has the key. Every thread gets it.
__device__ __forceinline__ int idOfTie(const T* row, int width, u32 key, u64 count, u64* scratch) {
  __shared__ int id;
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, share = ((width + WARPS - 1) / WARPS + WARP - 1) / WARP * WARP;
  const int first = min(width, warp * share), last = min(width, first + share);
  u64 mine = 0;
  for (int i = first + lane; i < last; i += WARP) mine += keyOf(row[i]) == key;
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) mine += __shfl_xor_sync(FULL_MASK, mine, offset);
  __syncthreads();
  if (lane == 0) scratch[warp] = mine;
  if (threadIdx.x == 0) id = 0x7fffffff;
  __syncthreads();
  u64 before = 0;
  for (int w = 0; w < warp; w++) before += scratch[w];
  if (before < count && before + mine >= count) {
    for (int base = first; base < last; base += WARP) {
      const u32 same = __ballot_sync(FULL_MASK, base + lane < last && keyOf(row[min(base + lane, width - 1)]) == key);
      if (before + __popc(same) >= count) {
        u32 rest = same;
        for (u64 n = before + 1; n < count; n++) rest &= rest - 1;
        if (lane == 0) id = base + __ffs(rest) - 1;
        break;
      }
      before += __popc(same);
    }
  }
  __syncthreads();
  return id;
}

extern "C" __global__ void __launch_bounds__(THREADS) cutRows(const T* logits, const Draw* draws, Cut* cuts, int width) {
  __shared__ u64 bins[BINS], scratch[WARPS];
  __shared__ float tops[WARPS];
  launchDependents();
  waitForPrevious();
  const Draw draw = draws[blockIdx.x];
  const T* row = logits + (u64)blockIdx.x * width;
  Cut cut = {NEGATIVE_INFINITY, 0x7fffffff};
  const bool cuts_ = draw.inverseTemperature > 0 && (draw.topK > 0 || draw.topP < 1 || draw.minPOffset > NEGATIVE_INFINITY);
  float top = NEGATIVE_INFINITY;
  if (cuts_) {
    for (int i = threadIdx.x; i < width; i += THREADS) top = fmaxf(top, toFloat(row[i]));
#pragma unroll
    for (int offset = WARP / 2; offset > 0; offset >>= 1) top = fmaxf(top, __shfl_xor_sync(FULL_MASK, top, offset));
    if (threadIdx.x % WARP == 0) tops[threadIdx.x / WARP] = top;
    __syncthreads();
    for (int w = 0; w < WARPS; w++) top = fmaxf(top, tops[w]);
  }
  // sampleRows refuses rows without a finite logit.
  if (cuts_ && top > NEGATIVE_INFINITY) {
    const float scale = (float)draw.inverseTemperature;
    u64 before;
    cut.threshold = (float)(top + draw.minPOffset);
    if (draw.topK > 0) cut.threshold = fmaxf(cut.threshold, valueOf(select(row, width, 0, false, top, scale, draw.topK, before, bins, scratch)));
    if (draw.topP < 1) {
      const u32 least = __float_as_uint(cut.threshold + 0.0f) & 0x80000000u ? ~__float_as_uint(cut.threshold + 0.0f) : __float_as_uint(cut.threshold + 0.0f) | 0x80000000u;
      u64 mine = 0;
      for (int i = threadIdx.x; i < width; i += THREADS)
        if (keyOf(row[i]) >= least) mine += fixedWeight(toFloat(row[i]), top, scale);
      const u64 total = blockTotal(mine, scratch);
      const u64 target = max((u64)1, (u64)ceil(draw.topP * (double)total));
      const u32 key = select(row, width, least, true, top, scale, target, before, bins, scratch);
      cut.threshold = valueOf(key);
      const u64 weight = fixedWeight(cut.threshold, top, scale);
      if (weight > 0) cut.lastTie = idOfTie(row, width, key, max((u64)1, (target - before + weight - 1) / weight), scratch);
    }
  }
  if (threadIdx.x == 0) cuts[blockIdx.x] = cut;
}
