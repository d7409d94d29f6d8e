// logits = x · Wᵀ in float32, by a float32 matrix: the scores of experts. Compiled for TILE rows at once and OUTPUTS outputs per block. The order of a
// result's additions depends only on the width, so a row gets the same bits alone and in any step.
#define THREADS 256
#define WARPS (THREADS / WARP)

// The 8 floats of each row of the matrix that a pack of 16-bit inputs is multiplied by.
struct Weights {
  float4 half[OUTPUTS][2];
};

__device__ __forceinline__ void loadWeights(Weights& w, const float* matrix, int outputs, int first, int width, int pack) {
#pragma unroll
  for (int o = 0; o < OUTPUTS; o++) {
    const float4* row = (const float4*)(matrix + (u64)min(first + o, outputs - 1) * width) + 2 * pack;
    w.half[o][0] = __ldg(row);
    w.half[o][1] = __ldg(row + 1);
  }
}

// matrix: [outputs, width] float32, x: [rows, width] of 16-bit elements, y: [rows, outputs] float32; the width is a multiple of 8. A thread loads at
// most EARLY packs of the matrix before it reads x. grid (blocks of outputs, tiles of rows).
extern "C" __global__ void __launch_bounds__(THREADS) routerLogits(const float* matrix, const T* x, float* y, int rows, int outputs, int width) {
  __shared__ float partial[WARPS][TILE * OUTPUTS];
  launchDependents();
  const int first = blockIdx.x * OUTPUTS, firstRow = blockIdx.y * TILE, packs = width / 8;
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
  // No kernel writes the matrix, so as much of it as fits is loaded while the previous kernel still runs.
  Weights w[EARLY];
#pragma unroll
  for (int i = 0; i < EARLY; i++)
    if (i * THREADS + threadIdx.x < packs) loadWeights(w[i], matrix, outputs, first, width, i * THREADS + threadIdx.x);
  waitForPrevious();
  float sum[TILE][OUTPUTS] = {};
  auto add = [&](const Pack16 (&input)[TILE], const Weights& of) {
#pragma unroll
    for (int o = 0; o < OUTPUTS; o++) {
      const float4 a = of.half[o][0], b = of.half[o][1];
      const float factor[8] = {a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w};
#pragma unroll
      for (int r = 0; r < TILE; r++)
#pragma unroll
        for (int e = 0; e < 8; e++) sum[r][o] = fmaf(toFloat(input[r].element[e]), factor[e], sum[r][o]);
    }
  };
  auto load = [&](Pack16 (&input)[TILE], int pack) {
#pragma unroll
    for (int r = 0; r < TILE; r++) input[r].raw = *((const uint4*)(x + (u64)min(firstRow + r, rows - 1) * width) + pack);
  };
  int pack = threadIdx.x;
#if TILE <= 2
  Pack16 early[EARLY][TILE];
#pragma unroll
  for (int i = 0; i < EARLY; i++)
    if (i * THREADS + threadIdx.x < packs) load(early[i], i * THREADS + threadIdx.x);
#endif
#pragma unroll
  for (int i = 0; i < EARLY; i++, pack += THREADS) {
    if (pack >= packs) break;
#if TILE <= 2
    add(early[i], w[i]);
#else
    Pack16 input[TILE];
    load(input, pack);
    add(input, w[i]);
#endif
  }
#pragma unroll 1
  for (; pack < packs; pack += THREADS) {
    Pack16 input[TILE];
    loadWeights(w[0], matrix, outputs, first, width, pack);
    load(input, pack);
    add(input, w[0]);
  }
#pragma unroll
  for (int r = 0; r < TILE; r++)
#pragma unroll
    for (int o = 0; o < OUTPUTS; o++) {
      const float all = warpSum(sum[r][o]);
      if (lane == 0) partial[warp][r * OUTPUTS + o] = all;
    }
  __syncthreads();
  for (int i = threadIdx.x; i < TILE * OUTPUTS; i += THREADS) {
    const int row = firstRow + i / OUTPUTS, output = first + i % OUTPUTS;
    if (row >= rows || output >= outputs) continue;
    float all = 0;
#pragma unroll
    for (int other = 0; other < WARPS; other++) all += partial[other][i];
    y[(u64)row * outputs + output] = all;
  }
}
