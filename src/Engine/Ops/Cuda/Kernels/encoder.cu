// VECTOR: elements that a thread processes at once; ROUNDS: how many times it does so.
#ifdef WIDTH
#define VECTOR (WIDTH % PACK == 0 ? PACK : 1)
#define ROUNDS ((WIDTH + VECTOR * THREADS - 1) / (VECTOR * THREADS))

// out = layer norm of x + residual, with a weight and a bias. One block of THREADS per row; the row stays in registers. x, residual, out: [rows, WIDTH]; out may be either.
extern "C" __global__ void addLayerNorm(const T* x, const T* residual, const T* weight, const T* bias, T* out, float epsilon) {
  __shared__ float scratch[WARP];
  launchDependents();
  waitForPrevious();
  const u64 row = (u64)blockIdx.x * WIDTH;
  float kept[ROUNDS][VECTOR];
  float sum = 0;
#pragma unroll
  for (int round = 0; round < ROUNDS; round++) {
    const int at = (round * THREADS + threadIdx.x) * VECTOR;
    if (at >= WIDTH) continue;
    if (VECTOR == 1) {
      kept[round][0] = toFloat(x[row + at]) + toFloat(residual[row + at]);
      sum += kept[round][0];
    } else {
      Pack16 a, b;
      a.raw = *(const uint4*)(x + row + at);
      b.raw = *(const uint4*)(residual + row + at);
#pragma unroll
      for (int e = 0; e < VECTOR; e++) {
        kept[round][e] = toFloat(a.element[e]) + toFloat(b.element[e]);
        sum += kept[round][e];
      }
    }
  }
  const float mean = blockSum(sum, scratch) / WIDTH;
  float squares = 0;
#pragma unroll
  for (int round = 0; round < ROUNDS; round++) {
    if ((round * THREADS + threadIdx.x) * VECTOR >= WIDTH) continue;
#pragma unroll
    for (int e = 0; e < VECTOR; e++) {
      kept[round][e] -= mean;
      squares = fmaf(kept[round][e], kept[round][e], squares);
    }
  }
  const float scale = rsqrtf(blockSum(squares, scratch) / WIDTH + epsilon);
#pragma unroll
  for (int round = 0; round < ROUNDS; round++) {
    const int at = (round * THREADS + threadIdx.x) * VECTOR;
    if (at >= WIDTH) continue;
    if (VECTOR == 1) {
      out[row + at] = fromFloat(fmaf(kept[round][0] * scale, toFloat(weight[at]), toFloat(bias[at])));
    } else {
      Pack16 w, b;
      w.raw = *(const uint4*)(weight + at);
      b.raw = *(const uint4*)(bias + at);
#pragma unroll
      for (int e = 0; e < VECTOR; e++) w.element[e] = fromFloat(fmaf(kept[round][e] * scale, toFloat(w.element[e]), toFloat(b.element[e])));
      *(uint4*)(out + row + at) = w.raw;
    }
  }
}
#endif

__device__ __forceinline__ T geluOf(T x) {
  const float value = toFloat(x), half = 0.5f * value;
  return fromFloat(fmaf(half, erff(value * 0.70710678f), half));
}

// Packs per thread, all loaded before the first is used.
#define DEPTH 4

// x = gelu(x), exact (with the error function), in place. A thread processes DEPTH packs, blockDim.x packs apart; the first block also processes the incomplete last pack.
extern "C" __global__ void gelu(T* x, u64 count) {
  launchDependents();
  waitForPrevious();
  const u64 packs = count / PACK, first = (u64)blockIdx.x * blockDim.x * DEPTH + threadIdx.x;
  Pack16 pack[DEPTH];
#pragma unroll
  for (int d = 0; d < DEPTH; d++)
    if (first + d * blockDim.x < packs) pack[d].raw = ((const uint4*)x)[first + d * blockDim.x];
#pragma unroll
  for (int d = 0; d < DEPTH; d++) {
#pragma unroll
    for (int e = 0; e < PACK; e++) pack[d].element[e] = geluOf(pack[d].element[e]);
    if (first + d * blockDim.x < packs) ((uint4*)x)[first + d * blockDim.x] = pack[d].raw;
  }
  if (blockIdx.x == 0 && threadIdx.x < count % PACK) x[packs * PACK + threadIdx.x] = geluOf(x[packs * PACK + threadIdx.x]);
}
