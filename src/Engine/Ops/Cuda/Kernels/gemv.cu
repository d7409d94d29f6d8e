// y = W x for one to four rows of x: bound by the reading of W. A block owns OUTPUTS rows of W and splits the inputs over its threads;
// 16-byte streaming loads with the next ones in flight. The first weights are loaded before the wait on the kernel before, so that the
// memory pipe never drains between kernels (programmatic dependent launch).
// ROWS: rows of x. NORM: x is RMS-normalised on the way in: y = rsqrt(mean(x²) + epsilon) · Σ W · (x · normWeight).
// GATED: W holds gates above ups; y = silu(gate) · up, and a block owns OUTPUTS / 2 of each. ADD: the result is added to y.
#define WARPS (THREADS / WARP)

extern "C" __global__ void __launch_bounds__(THREADS) gemv(const uint4* __restrict__ weight, const T* __restrict__ bias, const T* x,
                                                           const T* __restrict__ normWeight, T* y, int outputs, int packs, float epsilon) {
  // The rows of W that this block owns; beyond the end the last one is read again and its result dropped.
  const uint4* rows[OUTPUTS];
  int output[OUTPUTS];
#if GATED
  const int width = outputs / 2;
#else
  const int width = outputs;
#endif
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++) {
#if GATED
    const int column = blockIdx.x * (OUTPUTS / 2) + o % (OUTPUTS / 2);
    output[o] = min(column, width - 1) + (o >= OUTPUTS / 2 ? width : 0);
#else
    const int column = blockIdx.x * OUTPUTS + o;
    output[o] = min(column, width - 1);
#endif
    rows[o] = weight + (u64)output[o] * packs;
  }

  float acc[OUTPUTS][ROWS] = {};
#if NORM
  float squares[ROWS] = {};
#endif
  Pack16 now[OUTPUTS];
  int i = threadIdx.x;
  bool has = i < packs;
  if (has)
#pragma unroll
    for (int o = 0; o < OUTPUTS; o++) now[o].raw = __ldcs(rows[o] + i);
  waitForPrevious();
  while (has) {
    const int following = i + THREADS;
    const bool more = following < packs;
    Pack16 next[OUTPUTS];
    if (more)
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) next[o].raw = __ldcs(rows[o] + following);
#if NORM
    Pack16 norm;
    norm.raw = ((const uint4*)normWeight)[i];
#endif
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      Pack16 input;
      input.raw = ((const uint4*)x)[(u64)r * packs + i];
#pragma unroll
      for (int e = 0; e < PACK; e++) {
        float value = toFloat(input.element[e]);
#if NORM
        squares[r] = fmaf(value, value, squares[r]);
        value *= toFloat(norm.element[e]);
#endif
#pragma unroll
        for (int o = 0; o < OUTPUTS; o++) acc[o][r] = fmaf(toFloat(now[o].element[e]), value, acc[o][r]);
      }
    }
    i = following;
    has = more;
#pragma unroll
    for (int o = 0; o < OUTPUTS; o++) now[o].raw = next[o].raw;
  }

  __shared__ float sums[OUTPUTS][ROWS][WARPS];
#if NORM
  __shared__ float squareSums[ROWS][WARPS];
#endif
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
#pragma unroll
  for (int r = 0; r < ROWS; r++) {
#pragma unroll
    for (int o = 0; o < OUTPUTS; o++) {
      const float sum = warpSum(acc[o][r]);
      if (lane == 0) sums[o][r][warp] = sum;
    }
#if NORM
    const float sum = warpSum(squares[r]);
    if (lane == 0) squareSums[r][warp] = sum;
#endif
  }
  __syncthreads();

#if GATED
  const int owned = OUTPUTS / 2;
#else
  const int owned = OUTPUTS;
#endif
  if (threadIdx.x >= owned * ROWS) return;
  const int o = threadIdx.x % owned, r = threadIdx.x / owned, column = blockIdx.x * owned + o;
  if (column >= width) return;
  float scale = 1;
#if NORM
  float total = 0;
  for (int w = 0; w < WARPS; w++) total += squareSums[r][w];
  scale = rsqrtf(total / (packs * PACK) + epsilon);
#endif
  float result = 0;
  for (int w = 0; w < WARPS; w++) result += sums[o][r][w];
  result *= scale;
  if (bias) result += toFloat(bias[column]);
#if GATED
  float up = 0;
  for (int w = 0; w < WARPS; w++) up += sums[o + owned][r][w];
  up *= scale;
  if (bias) up += toFloat(bias[column + width]);
  result = result / (1 + expf(-result)) * up;
#endif
  T* target = y + (u64)r * width + column;
#if ADD
  result += toFloat(*target);
#endif
  *target = fromFloat(result);
}
