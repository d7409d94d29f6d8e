// Chooses one token for each row of logits. Greedy (inverseTemperature 0): the largest logit, the lowest id among equals. Otherwise one draw
// from softmax(logits * inverseTemperature): the inverse of the cumulative distribution in the order of ids, at a uniform number drawn by the
// host; weights are float32, sums double. A row with NaN or +infinity gives -1, a row of nothing but -infinity NOTHING_LEFT. CUTS: only the
// tokens that their row's cut keeps take part in a draw. places: index in ids for each row's token; null: in row order. One block per row.
#define WARPS 32
#define POSITIVE_INFINITY __int_as_float(0x7f800000)

#if CUTS
#define KEPT(value, id) ((value) > cut.threshold || ((value) == cut.threshold && (id) <= cut.lastTie))
#else
#define KEPT(value, id) true
#endif

struct Best { float value; int id; };

__device__ __forceinline__ Best better(Best a, Best b) { return b.value > a.value || (b.value == a.value && b.id < a.id) ? b : a; }

__device__ __forceinline__ double warpSumDouble(double x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) x += __shfl_xor_sync(FULL_MASK, x, offset);
  return x;
}

// Splits [begin, end) over the block's warps, adds the weights of each part, and finds the part in which the running sum passes target.
// Every thread gets that part in begin and end, and target minus the sum before it. scaleTarget: target is a share of the whole sum.
__device__ __forceinline__ void narrow(const T* row, float top, float scale, int& begin, int& end, double& target, bool scaleTarget, const Cut& cut, double* sums) {
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  const int share = ((end - begin + WARPS - 1) / WARPS + PACK - 1) / PACK * PACK;
  const int first = min(end, begin + warp * share), last = min(end, first + share);
  double sum = 0;
  if ((first | last) % PACK == 0 && (u64)row % 16 == 0) {
    for (int i = first / PACK + lane; i < last / PACK; i += WARP) {
      Pack16 pack;
      pack.raw = ((const uint4*)row)[i];
      float part = 0;
#pragma unroll
      for (int e = 0; e < PACK; e++) {
        const float value = toFloat(pack.element[e]);
        part += KEPT(value, i * PACK + e) ? expf((value - top) * scale) : 0;
      }
      sum += part;
    }
  } else {
    for (int i = first + lane; i < last; i += WARP) {
      const float value = toFloat(row[i]);
      sum += KEPT(value, i) ? expf((value - top) * scale) : 0;
    }
  }
  sum = warpSumDouble(sum);
  __syncthreads();
  if (lane == 0) sums[warp] = sum;
  __syncthreads();
  if (scaleTarget) {
    double total = 0;
    for (int w = 0; w < WARPS; w++) total += sums[w];
    target *= total;
  }
  // If rounding keeps the sum below target, the last part with any weight is chosen.
  int chosen = 0;
  double before = 0, running = 0;
  for (int w = 0; w < WARPS; w++) {
    if (sums[w] > 0) {
      chosen = w;
      before = running;
      running += sums[w];
      if (target < running) break;
    }
  }
  target -= before;
  const int from = begin;
  begin = min(end, from + chosen * share);
  end = min(end, begin + share);
}

// Draws of few rows are passed as a launch argument.
#define MAX_GIVEN 64
struct GivenDraws { Draw of[MAX_GIVEN]; };

// draws: null, or the draws of more rows than given holds. hostIds: a second copy of the ids for the host, or null.
extern "C" __global__ void __launch_bounds__(WARPS * WARP) sampleRows(
    const T* logits, const Draw* draws, const Cut* cuts, const int* places, int* ids, int* hostIds, int width, const __grid_constant__ GivenDraws given) {
  __shared__ Best best[WARPS];
  __shared__ double sums[WARPS];
  launchDependents();
  waitForPrevious();
  const T* row = logits + (u64)blockIdx.x * width;
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  Best mine = {NEGATIVE_INFINITY, width};
  bool bad = false;
  if (width % PACK == 0) {
#pragma unroll 4
    for (int i = threadIdx.x; i < width / PACK; i += WARPS * WARP) {
      Pack16 pack;
      pack.raw = ((const uint4*)row)[i];
#pragma unroll
      for (int e = 0; e < PACK; e++) {
        const float value = toFloat(pack.element[e]);
        bad |= !(value < POSITIVE_INFINITY);
        if (value > mine.value) mine = {value, i * PACK + e};
      }
    }
  } else {
    for (int i = threadIdx.x; i < width; i += WARPS * WARP) {
      const float value = toFloat(row[i]);
      bad |= !(value < POSITIVE_INFINITY);
      if (value > mine.value) mine = {value, i};
    }
  }
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1)
    mine = better(mine, {__shfl_xor_sync(FULL_MASK, mine.value, offset), __shfl_xor_sync(FULL_MASK, mine.id, offset)});
  if (lane == 0) best[warp] = mine;
  bad = __syncthreads_or(bad);
  mine = best[0];
  for (int w = 1; w < WARPS; w++) mine = better(mine, best[w]);

  const int place = places ? places[blockIdx.x] : blockIdx.x;
  auto choose = [&](int token) {
    ids[place] = token;
    if (hostIds) hostIds[place] = token;
  };
  const Draw& draw = draws ? draws[blockIdx.x] : given.of[blockIdx.x % MAX_GIVEN];
  const float scale = (float)draw.inverseTemperature;
  if (bad || mine.id == width || scale == 0) {
    if (threadIdx.x == 0) choose(bad ? -1 : mine.id == width ? NOTHING_LEFT : mine.id);
    return;
  }

  Cut cut = {};
#if CUTS
  cut = cuts[blockIdx.x];
#endif

  // The block narrows the range twice; one warp then searches the rest.
  int begin = 0, end = width;
  double target = draw.uniform;
  narrow(row, mine.value, scale, begin, end, target, true, cut, sums);
  narrow(row, mine.value, scale, begin, end, target, false, cut, sums);
  if (warp != 0) return;
  int chosen = -1;
  double running = 0;
  for (int base = begin; base < end; base += WARP) {
    const int i = base + lane;
    const float value = i < end ? toFloat(row[i]) : NEGATIVE_INFINITY;
    double sum = KEPT(value, i) ? expf((value - mine.value) * scale) : 0;
    const bool weighs = sum > 0;
#pragma unroll
    for (int offset = 1; offset < WARP; offset <<= 1) {
      const double lower = __shfl_up_sync(FULL_MASK, sum, offset);
      if (lane >= offset) sum += lower;
    }
    const u32 passed = __ballot_sync(FULL_MASK, weighs && target < running + sum), weighty = __ballot_sync(FULL_MASK, weighs);
    if (passed) {
      chosen = base + __ffs(passed) - 1;
      break;
    }
    if (weighty) chosen = base + 31 - __clz(weighty);
    running += __shfl_sync(FULL_MASK, sum, WARP - 1);
  }
  if (lane == 0) choose(chosen < 0 ? mine.id : chosen);
}
