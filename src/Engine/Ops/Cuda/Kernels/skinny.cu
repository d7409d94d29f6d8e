// y = x Wᵀ for few rows of x on tensor cores: limited by the speed of reading W, each byte of which is read once. Matrices are 16-bit (the type of
// x) or 8-bit floats (FP8: e4m3, widened to the type of x after loading, sums scaled by block). Fragments come straight from memory, 16 bytes per
// lane: the order of the summed dimension is free as long as both operands agree on it.
// NT: tiles of 8 rows of x that are computed at once. MT: tiles of 16 rows of W per warp. A block has MG · KG warps: MG of them split W's rows, KG
// the inputs; each keeps DEPTH chunks of inputs in flight. grid (blocks of outputs, experts or batches, splits of the inputs).
// GATED: W holds gates above ups; y = silu(gate) · up, and a tile has 8 pairs. ADD: the result is added to y.
// ROWS: 0: the batches of blockIdx.y have matrices, inputs and outputs at fixed strides. 1: blockIdx.y counts the experts that have rows; the
// rows of x are those of their tokens, the rows of y follow the order of the experts. 2: the other way round.
#define WARPS (MG * KG)
#define THREADS (WARPS * WARP)
#define ROWS_AT_ONCE (NT * 8)
#define TILE_OUTPUTS (GATED ? 8 : 16)
#define OWNED (MG * MT * TILE_OUTPUTS)
#if FP8
#define CHUNK 64                    // inputs that the four lanes of a row read at once
#define STEPS 4                     // products of 16 inputs
#else
#define CHUNK 32
#define STEPS 2
#endif
#define PER_LANE (CHUNK / 4)

union Words {
  uint4 raw;
  u32 word[4];
};

// Widens two of four 8-bit floats: their bits are moved to where a format with an exponent of 8 or 5 bits has them, and an exact multiplication
// corrects the exponent's bias, for subnormal numbers too.
__device__ __forceinline__ u32 widened(u32 four, u32 selector) {
  const u32 high = __byte_perm(four, 0, selector); // each in the upper half of 16 bits
#if TYPE == 1
  return timesPair((high & 0x80008000u) | (high >> 4 & 0x07f007f0u), 0x7b807b80u);
#else
  return timesPair((high & 0x80008000u) | (high >> 1 & 0x3f803f80u), 0x5c005c00u);
#endif
}

// rows: of x, where ROWS is 0. weight: the matrix, or a table of addresses of the experts' matrices (scales is then a table, too). Strides, in
// elements: between rows of x and of y, and between batches. scaleRows: [outputs] the row of scales of each output; scaleOffset: how many inputs of
// the first block lie before the first input; a multiple of CHUNK, like scaleBlock. active: [experts] those with rows, then -1; starts: [experts + 1]
// where their rows begin in order; all from experts.cu. partials: [splits, rows of y, outputs] float32; counters: zero before and after. Both are
// unused with one split.
extern "C" __global__ void __launch_bounds__(THREADS) skinny(
    const void* weight, const void* scales, const int* scaleRows, int scaleColumns, int scaleBlock, int scaleOffset, const T* bias, const T* x, T* y,
    int rows, int outputs, int inputs, int xStride, int yStride, u64 weightBatch, int xBatch, int yBatch, const int* active, const int* starts,
    const int* order, int perToken, float* partials, u32* counters) {
  __shared__ float sums[KG][OWNED * (GATED ? 2 : 1)][ROWS_AT_ONCE + 1];
  __shared__ bool isLast;
  launchDependents();
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, mg = warp % MG, kg = warp / MG;
  const int count = GATED ? outputs / 2 : outputs; // results of a row
  Product p;
#if ROWS == 0
  p = {(const u8*)weight + blockIdx.y * weightBatch * (FP8 ? 1 : 2), (const float*)scales, nullptr, x + (u64)blockIdx.y * xBatch,
       y + (u64)blockIdx.y * yBatch, rows, 0};
#else
  waitForPrevious();
  const int expert = active[blockIdx.y];
  if (expert < 0) return;
  p = {(const u8*)((const u64*)weight)[expert], FP8 ? (const float*)((const u64*)scales)[expert] : nullptr, order + starts[expert], x, y,
       starts[expert + 1] - starts[expert], starts[expert]};
#endif

  // This warp's share of the inputs, in chunks.
  const int chunks = (inputs + CHUNK - 1) / CHUNK, splits = gridDim.z;
  const int firstChunk = (int)((u64)chunks * blockIdx.z / splits), endChunk = (int)((u64)chunks * (blockIdx.z + 1) / splits);
  const u8* lines[MT][2];
  int blocks[MT][2];
#pragma unroll
  for (int m = 0; m < MT; m++)
#pragma unroll
    for (int h = 0; h < 2; h++) {
      // Beyond the end the last output is computed again and dropped.
      const int i = blockIdx.x * OWNED + (mg * MT + m) * TILE_OUTPUTS + lane / 4 + (GATED ? 0 : h * 8);
      const int output = min(i, count - 1) + (GATED ? h * count : 0);
      lines[m][h] = p.weight + ((u64)output * inputs + lane % 4 * PER_LANE) * (FP8 ? 1 : 2);
      blocks[m][h] = FP8 ? scaleRows[output] * scaleColumns : 0;
    }

  for (int base = 0; base < p.count; base += ROWS_AT_ONCE) {
    Words ring[DEPTH][MT][2];
#pragma unroll
    for (int d = 0; d < DEPTH; d++) {
      const int k = (firstChunk + kg + d * KG) * CHUNK;
      if (k < endChunk * CHUNK && k + lane % 4 * PER_LANE < inputs)
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int h = 0; h < 2; h++) ring[d][m][h].raw = __ldcs((const uint4*)(lines[m][h] + (u64)k * (FP8 ? 1 : 2)));
    }
#if ROWS == 0
    if (base == 0) waitForPrevious();
#endif
    const T* inputsOf[NT];
#pragma unroll
    for (int n = 0; n < NT; n++) {
      const int i = base + n * 8 + lane / 4;
      inputsOf[n] = i < p.count ? p.x + (u64)inputRow(p, i, perToken) * xStride + lane % 4 * PER_LANE : nullptr;
    }

    float acc[MT][NT][4] = {};

#pragma unroll 1
    for (int chunk = firstChunk + kg; chunk < endChunk; chunk += KG * DEPTH) {
#pragma unroll
      for (int d = 0; d < DEPTH; d++) {
        const int k = (chunk + d * KG) * CHUNK;
        if (k >= endChunk * CHUNK) break;
        const bool inside = k + lane % 4 * PER_LANE < inputs;
        Words now[MT][2];
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int h = 0; h < 2; h++) {
            now[m][h] = ring[d][m][h];
            if (!inside) now[m][h].raw = {0, 0, 0, 0};
          }
        const int next = k + KG * DEPTH * CHUNK;
        if (next < endChunk * CHUNK && next + lane % 4 * PER_LANE < inputs)
#pragma unroll
          for (int m = 0; m < MT; m++)
#pragma unroll
            for (int h = 0; h < 2; h++) ring[d][m][h].raw = __ldcs((const uint4*)(lines[m][h] + (u64)next * (FP8 ? 1 : 2)));

#if FP8
        float scale[MT][2];
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int h = 0; h < 2; h++) scale[m][h] = p.scales[blocks[m][h] + (scaleOffset + k) / scaleBlock];
        u32 wide[MT][STEPS][4];
#pragma unroll
        for (int m = 0; m < MT; m++)
#pragma unroll
          for (int s = 0; s < STEPS; s++) {
            wide[m][s][0] = widened(now[m][0].word[s], 0x1404);
            wide[m][s][1] = widened(now[m][1].word[s], 0x1404);
            wide[m][s][2] = widened(now[m][0].word[s], 0x3424);
            wide[m][s][3] = widened(now[m][1].word[s], 0x3424);
          }
#endif
#pragma unroll
        for (int n = 0; n < NT; n++) {
          Words input[STEPS / 2];
#pragma unroll
          for (int j = 0; j < STEPS / 2; j++) {
            if (inside && inputsOf[n]) input[j].raw = *(const uint4*)(inputsOf[n] + k + j * 8);
            else input[j].raw = {0, 0, 0, 0};
          }
#pragma unroll
          for (int m = 0; m < MT; m++) {
#if FP8
            float part[4] = {};
#pragma unroll
            for (int s = 0; s < STEPS; s++)
              multiply(part, wide[m][s][0], wide[m][s][1], wide[m][s][2], wide[m][s][3], input[s / 2].word[s % 2 * 2], input[s / 2].word[s % 2 * 2 + 1]);
#pragma unroll
            for (int i = 0; i < 4; i++) acc[m][n][i] = fmaf(part[i], scale[m][i / 2], acc[m][n][i]);
#else
#pragma unroll
            for (int s = 0; s < STEPS; s++)
              multiply(acc[m][n], now[m][0].word[2 * s], now[m][1].word[2 * s], now[m][0].word[2 * s + 1], now[m][1].word[2 * s + 1],
                       input[0].word[2 * s], input[0].word[2 * s + 1]);
#endif
          }
        }
      }
    }

    if (base > 0) __syncthreads();
#pragma unroll
    for (int m = 0; m < MT; m++)
#pragma unroll
      for (int n = 0; n < NT; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          // With GATED the gates of all tiles come first.
          const int o = (mg * MT + m) * TILE_OUTPUTS + lane / 4 + (i / 2) * (GATED ? OWNED : 8);
          sums[kg][o][n * 8 + lane % 4 * 2 + i % 2] = acc[m][n][i];
        }
    __syncthreads();

    const int rowsNow = min(ROWS_AT_ONCE, p.count - base);
    for (int i = threadIdx.x; i < rowsNow * OWNED; i += THREADS) {
      const int o = i % OWNED, r = i / OWNED, output = blockIdx.x * OWNED + o;
      if (output >= count) continue;
      float result[2] = {};
#pragma unroll
      for (int h = 0; h < (GATED ? 2 : 1); h++)
#pragma unroll
        for (int g = 0; g < KG; g++) result[h] += sums[g][o + h * OWNED][r];
      const int row = outputRow(p, base + r);
      if (splits > 1) {
#pragma unroll
        for (int h = 0; h < (GATED ? 2 : 1); h++) partials[((u64)blockIdx.z * rows + row) * outputs + output + h * count] = result[h];
        continue;
      }
      finish(p, bias, result, row, output, count, yStride);
    }
  }
  if (splits == 1) return;

  // The block that finishes last adds the parts, in their order.
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) isLast = atomicInc(counters + blockIdx.y * gridDim.x + blockIdx.x, splits - 1) == splits - 1;
  __syncthreads();
  if (!isLast) return;
  __threadfence();
  for (int i = threadIdx.x; i < p.count * OWNED; i += THREADS) {
    const int o = i % OWNED, row = outputRow(p, i / OWNED), output = blockIdx.x * OWNED + o;
    if (output >= count) continue;
    float result[2] = {};
    for (int s = 0; s < splits; s++)
#pragma unroll
      for (int h = 0; h < (GATED ? 2 : 1); h++) result[h] += __ldcg(partials + ((u64)s * rows + row) * outputs + output + h * count);
    finish(p, bias, result, row, output, count, yStride);
  }
}
