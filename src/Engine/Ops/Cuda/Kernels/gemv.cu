// y = W x for one to four rows of x: limited by the speed of reading W. A block owns OUTPUTS rows of W and splits the inputs over its threads,
// with DEPTH 16-byte streaming loads of each row in flight. It issues the first loads before it waits for the previous kernel, so that the
// memory pipe never drains between kernels (programmatic dependent launch).
// ROWS: rows of x. PACKS: 16-byte packs of a row of W. NORM: x is RMS-normalised on the way in: y = rsqrt(mean(x²) + epsilon) · Σ W · (x · normWeight).
// GATED: W holds gates above ups; y = silu(gate) · up. ROTARY: y is [q | k | v]; queries and keys are rotated (halves convention), and keys
// and values are also stored at their slots. With either a block owns OUTPUTS / 2 pairs. ADD: the result is added to y.
#define WARPS (THREADS / WARP)
#define ITERATIONS ((PACKS + THREADS - 1) / THREADS)
#define PAIRED (GATED || ROTARY)
#define OWNED (PAIRED ? OUTPUTS / 2 : OUTPUTS)
#if ROTARY
#define HALF (HEAD_DIM / 2)
#endif

// Column of the i-th result (or of the first of the i-th pair). secondOf: distance to the second of a pair.
__device__ __forceinline__ int columnOf(int i) {
#if ROTARY
  return i / HALF * HEAD_DIM + i % HALF;
#else
  return i;
#endif
}

__device__ __forceinline__ int secondOf(int count) {
#if ROTARY
  return HALF;
#else
  return count;
#endif
}

// outputs: rows of W. The last arguments are ROTARY's: cosines, sines: [rows, HALF] float32; keys, values: [slots, kvHeads, HEAD_DIM].
extern "C" __global__ void __launch_bounds__(THREADS) gemv(const uint4* __restrict__ weight, const T* __restrict__ bias, const T* x,
                                                           const T* __restrict__ normWeight, T* y, int outputs, float epsilon
#if ROTARY
                                                           , const float* cosines, const float* sines, const int* rotaryRows, const int* slots,
                                                           T* keys, T* values, int heads, int kvHeads
#endif
) {
  launchDependents();
  // The rows of W that this block owns. Beyond the end it reads the last row again and drops the result.
  const int count = PAIRED ? outputs / 2 : outputs;
  const uint4* rows[OUTPUTS];
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++) {
    const int i = min((int)blockIdx.x * OWNED + o % OWNED, count - 1);
    rows[o] = weight + (u64)(columnOf(i) + (o >= OWNED ? secondOf(count) : 0)) * PACKS + threadIdx.x;
  }

  Pack16 ring[DEPTH][OUTPUTS];
#pragma unroll
  for (int d = 0; d < DEPTH; d++)
    if (d < ITERATIONS && ((d + 1) * THREADS <= PACKS || d * THREADS + threadIdx.x < PACKS))
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) ring[d][o].raw = __ldcs(rows[o] + d * THREADS);
  waitForPrevious();

  float acc[OUTPUTS][ROWS] = {};
#if NORM
  float squares[ROWS] = {};
#endif
#pragma unroll
  for (int it = 0; it < ITERATIONS; it++) {
    const int i = it * THREADS + threadIdx.x;
    if ((it + 1) * THREADS > PACKS && i >= PACKS) break;
    Pack16 now[OUTPUTS];
#pragma unroll
    for (int o = 0; o < OUTPUTS; o++) now[o] = ring[it % DEPTH][o];
    if (it + DEPTH < ITERATIONS && ((it + DEPTH + 1) * THREADS <= PACKS || i + DEPTH * THREADS < PACKS))
#pragma unroll
      for (int o = 0; o < OUTPUTS; o++) ring[it % DEPTH][o].raw = __ldcs(rows[o] + (it + DEPTH) * THREADS);
#if NORM
    Pack16 norm;
    norm.raw = ((const uint4*)normWeight)[i];
#endif
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      Pack16 input;
      input.raw = ((const uint4*)x)[r * PACKS + i];
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

  if (threadIdx.x >= OWNED * ROWS) return;
  const int o = threadIdx.x % OWNED, r = threadIdx.x / OWNED, index = blockIdx.x * OWNED + o;
  if (index >= count) return;
  const int column = columnOf(index);
  float scale = 1;
#if NORM
  float total = 0;
  for (int w = 0; w < WARPS; w++) total += squareSums[r][w];
  scale = rsqrtf(total / (PACKS * PACK) + epsilon);
#endif
  float result = 0;
  for (int w = 0; w < WARPS; w++) result += sums[o][r][w];
  result *= scale;
  if (bias) result += toFloat(bias[column]);
#if PAIRED
  float second = 0;
  for (int w = 0; w < WARPS; w++) second += sums[o + OWNED][r][w];
  second *= scale;
  if (bias) second += toFloat(bias[column + secondOf(count)]);
#endif
#if GATED
  result = result / (1 + expf(-result)) * second;
#endif
#if ROTARY
  // Rounded before rotation, as the results of a separate projection would be.
  T* target = y + (u64)r * outputs + column;
  T a = fromFloat(result), b = fromFloat(second);
  const int head = index / HALF, d = index % HALF, slot = slots[r];
  if (head < heads + kvHeads) {
    const float c = cosines[(u64)rotaryRows[r] * HALF + d], s = sines[(u64)rotaryRows[r] * HALF + d], fa = toFloat(a), fb = toFloat(b);
    a = fromFloat(fa * c - fb * s);
    b = fromFloat(fb * c + fa * s);
  }
  target[0] = a;
  target[HALF] = b;
  if (head >= heads && slot >= 0) {
    const bool isKey = head < heads + kvHeads;
    T* cached = (isKey ? keys : values) + ((u64)slot * kvHeads + head - heads - (isKey ? 0 : kvHeads)) * HEAD_DIM + d;
    cached[0] = a;
    cached[HALF] = b;
  }
#else
  T* target = y + (u64)r * count + column;
#if ADD
  result += toFloat(*target);
#endif
  *target = fromFloat(result);
#endif
}
