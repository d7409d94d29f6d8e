// y = x Wᵀ where both are 8-bit floats (e4m3) with scales: W's one for a block, x's one for a row and 128 inputs (quantise.cu). Warpgroups of Hopper
// multiply 64 outputs each by NR rows of x; every 128 inputs the sums are scaled and added in float32, since tensor cores add 8-bit products with fewer
// bits (DeepSeek-V3, arXiv 2412.19437, 3.3.2). W is operand a, so that few rows of x waste nothing.
// GROUPS: warpgroups. DEEP: chunks of 128 inputs of a stage; STAGES are on their way. GATED, ADD, ROWS: product.cu; gates and ups of the same outputs
// are in one block. grid (blocks of outputs, tiles of rows or experts, splits of the inputs), THREADS, SHARED_BYTES.
#define TILE (GROUPS * 64)
#define THREADS (GROUPS * 128)
#define OWNED (GATED ? TILE / 2 : TILE)
#define CHUNK 128
#define PACKS_OF_ROW (DEEP * 8)
#define WEIGHT_BYTES (TILE * CHUNK)
#define INPUT_BYTES (NR * CHUNK)
#define STAGE_BYTES (DEEP * (WEIGHT_BYTES + INPUT_BYTES))
#define STAGE_SCALES (DEEP * (TILE + NR))
#define WEIGHT_PACKS (TILE * PACKS_OF_ROW / THREADS) // of a thread
#define INPUT_PACKS ((NR * PACKS_OF_ROW + THREADS - 1) / THREADS)
#define INPUT_SCALES ((NR * DEEP + THREADS - 1) / THREADS)
#define NO_CHUNKS 16                // rows that are contiguous have no second distance
#define SHARED_BYTES (STAGES * (STAGE_BYTES + STAGE_SCALES * 4) + GROUP_BYTES)

// d (+)= a bT. a: [64, 32], b: [NR, 32] e4m3, rows of both contiguous.
__device__ __forceinline__ void multiplyBytes(float (&d)[NR / 2], u64 a, u64 b, int adds) {
#if NR == 8
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %6, 0; wgmma.mma_async.sync.aligned.m64n8k32.f32.e4m3.e4m3 {"
               "%0, %1, %2, %3}, "
               "%4, %5, p, 1, 1; }"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "l"(a), "l"(b), "r"(adds));
#elif NR == 16
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %10, 0; wgmma.mma_async.sync.aligned.m64n16k32.f32.e4m3.e4m3 {"
               "%0, %1, %2, %3, %4, %5, %6, %7}, "
               "%8, %9, p, 1, 1; }"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7])
               : "l"(a), "l"(b), "r"(adds));
#elif NR == 32
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %18, 0; wgmma.mma_async.sync.aligned.m64n32k32.f32.e4m3.e4m3 {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
               "%16, %17, p, 1, 1; }"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
                 "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15])
               : "l"(a), "l"(b), "r"(adds));
#elif NR == 64
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %34, 0; wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
               "%32, %33, p, 1, 1; }"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
                 "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
                 "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
                 "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
               : "l"(a), "l"(b), "r"(adds));
#elif NR == 128
  asm volatile("{ .reg .pred p; setp.ne.b32 p, %66, 0; wgmma.mma_async.sync.aligned.m64n128k32.f32.e4m3.e4m3 {"
               "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
               "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
               "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
               "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
               "%64, %65, p, 1, 1; }"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
                 "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
                 "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
                 "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]),
                 "+f"(d[32]), "+f"(d[33]), "+f"(d[34]), "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]),
                 "+f"(d[40]), "+f"(d[41]), "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]),
                 "+f"(d[48]), "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
                 "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]), "+f"(d[63])
               : "l"(a), "l"(b), "r"(adds));
#endif
}

// Starts a copy of 4 bytes to shared memory; zeros where it is not wanted.
__device__ __forceinline__ void copyScale(void* to, const void* from, bool wanted) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(sharedAddress(to)), "l"(from), "r"(wanted ? 4 : 0) : "memory");
}

struct Stages {
  u8* memory;                       // [STAGES][DEEP chunks of W, DEEP chunks of x]
  float* scales;                    // [STAGES][DEEP][TILE of W, NR of x]
};

// Which output a row of the block's tile is; beyond the end the last one is read again and its result dropped.
__device__ __forceinline__ int outputOf(int r, int count) {
  const int output = min((int)blockIdx.x * OWNED + r % OWNED, count - 1);
  return GATED && r >= OWNED ? output + count : output;
}

// rows, outputs, inputs, yStride, active, starts, order, perToken, partials, counters, scaleRows, scaleColumns, scaleBlock, scaleOffset: as in skinny.cu, but
// scaleBlock and scaleOffset are multiples of 128. x: [rows of x, inputs] e4m3, xScales: [⌈inputs / 128⌉, xRows] float32.
extern "C" __global__ void __launch_bounds__(THREADS) fp8Products(
    const void* weight, const void* scales, const int* scaleRows, int scaleColumns, int scaleBlock, int scaleOffset, const T* bias, const u8* x,
    const float* xScales, int xRows, T* y, int rows, int outputs, int inputs, int yStride, const int* active, const int* starts, const int* order,
    int perToken, float* partials, u32* counters) {
  DYNAMIC_SHARED(memory);
  __shared__ bool isLast;
  Stages stages;
  stages.memory = (u8*)memory + (GROUP_BYTES - sharedAddress(memory) % GROUP_BYTES) % GROUP_BYTES;
  stages.scales = (float*)(stages.memory + STAGES * STAGE_BYTES);
  launchDependents();
  const int count = GATED ? outputs / 2 : outputs; // results of a row
  Product p;
#if ROWS == 0
  const int firstRow = blockIdx.y * NR;
  p = {(const u8*)weight, (const float*)scales, nullptr, nullptr, y, min(NR, rows - firstRow), firstRow};
#else
  waitForPrevious();
  const int expert = active[blockIdx.y];
  if (expert < 0) return;
  p = {(const u8*)((const u64*)weight)[expert], (const float*)((const u64*)scales)[expert], order + starts[expert], nullptr, y,
       starts[expert + 1] - starts[expert], starts[expert]};
#endif
  const int chunks = (inputs + CHUNK - 1) / CHUNK, splits = gridDim.z;
  const int firstChunk = (int)((u64)chunks * blockIdx.z / splits), endChunk = (int)((u64)chunks * (blockIdx.z + 1) / splits);
  const int steps = (endChunk - firstChunk + DEEP - 1) / DEEP;
  const int group = threadIdx.x / 128, warp = threadIdx.x % 128 / WARP, lane = threadIdx.x % WARP;
  const int ownRow = group * 64 + warp * 16 + lane / 4; // of the tile; the other one is 8 further

  u32 weightAt[WEIGHT_PACKS]; // this thread's packs of a stage
#pragma unroll
  for (int i = 0; i < WEIGHT_PACKS; i++) {
    const int at = i * THREADS + threadIdx.x;
    weightAt[i] = (u32)outputOf(at / PACKS_OF_ROW, count) * inputs + at % PACKS_OF_ROW * 16;
  }
  const float* scalesOfRow = threadIdx.x < TILE ? p.scales + scaleRows[outputOf(threadIdx.x, count)] * scaleColumns : nullptr;

  auto copyWeights = [&](int step) {
    u8* stage = stages.memory + step % STAGES * STAGE_BYTES;
    float* stageScales = stages.scales + step % STAGES * STAGE_SCALES;
    const int k = (firstChunk + step * DEEP) * CHUNK;
#pragma unroll
    for (int i = 0; i < WEIGHT_PACKS; i++) {
      const int at = i * THREADS + threadIdx.x, r = at / PACKS_OF_ROW, pack = at % PACKS_OF_ROW, column = k + pack * 16;
      const bool wanted = column < inputs && column < endChunk * CHUNK;
      copyAsync(stage + pack / 8 * WEIGHT_BYTES + swizzled(r, pack % 8 * 8), p.weight + (wanted ? weightAt[i] + (u32)k : 0), wanted);
    }
    if (threadIdx.x < TILE)
#pragma unroll
      for (int c = 0; c < DEEP; c++) {
        const int column = k + c * CHUNK;
        const bool wanted = column < endChunk * CHUNK;
        copyScale(stageScales + c * (TILE + NR) + threadIdx.x, scalesOfRow + (wanted ? (scaleOffset + column) / scaleBlock : 0), wanted);
      }
  };

  for (int base = 0; base < p.count; base += NR) {
    int inputAt[INPUT_PACKS], scaleOf[INPUT_SCALES]; // rows of x that this thread copies packs and scales of; negative: there is none
    auto sourceOf = [&](int i) {
#if ROWS == 1
      return i < p.count ? p.order[i] / perToken : -1;
#else
      return i < p.count ? p.first + i : -1;
#endif
    };
    auto copyInputs = [&](int step) {
      u8* stage = stages.memory + step % STAGES * STAGE_BYTES + DEEP * WEIGHT_BYTES;
      float* stageScales = stages.scales + step % STAGES * STAGE_SCALES + TILE;
      const int k = (firstChunk + step * DEEP) * CHUNK;
#pragma unroll
      for (int i = 0; i < INPUT_PACKS; i++) {
        const int at = i * THREADS + threadIdx.x, r = at / PACKS_OF_ROW, pack = at % PACKS_OF_ROW, column = k + pack * 16;
        if (NR * PACKS_OF_ROW % THREADS != 0 && r >= NR) break;
        const bool wanted = inputAt[i] >= 0 && column < inputs && column < endChunk * CHUNK;
        copyAsync(stage + pack / 8 * INPUT_BYTES + swizzled(r, pack % 8 * 8), x + (wanted ? (u64)inputAt[i] * inputs + column : 0), wanted);
      }
#pragma unroll
      for (int i = 0; i < INPUT_SCALES; i++) {
        const int at = i * THREADS + threadIdx.x, c = at / NR, chunk = k / CHUNK + c;
        if (DEEP * NR % THREADS != 0 && c >= DEEP) break;
        const bool wanted = scaleOf[i] >= 0 && chunk < endChunk;
        copyScale(stageScales + c * (TILE + NR) + at % NR, xScales + (wanted ? (u64)chunk * xRows + scaleOf[i] : 0), wanted);
      }
    };

#pragma unroll
    for (int s = 0; s < STAGES - 1; s++)
      if (s < steps) copyWeights(s);
#if ROWS == 0
    waitForPrevious();
#endif
#pragma unroll
    for (int i = 0; i < INPUT_PACKS; i++) inputAt[i] = sourceOf(base + (i * THREADS + threadIdx.x) / PACKS_OF_ROW);
#pragma unroll
    for (int i = 0; i < INPUT_SCALES; i++) scaleOf[i] = sourceOf(base + (i * THREADS + threadIdx.x) % NR);
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) {
      if (s < steps) copyInputs(s);
      commitCopies();
    }

    float acc[NR / 2] = {}, parts[DEEP][NR / 2];
#pragma unroll 1
    for (int step = 0; step < steps; step++) {
      waitCopies<STAGES - 2>();
      publishShared();
      __syncthreads(); // everybody's copies have come, and nobody reads the stage that is overwritten next
      if (step + STAGES - 1 < steps) {
        copyWeights(step + STAGES - 1);
        copyInputs(step + STAGES - 1);
      }
      commitCopies();
      const u32 stage = sharedAddress(stages.memory + step % STAGES * STAGE_BYTES);
      const float* stageScales = stages.scales + step % STAGES * STAGE_SCALES;
      beginProducts();
#pragma unroll
      for (int c = 0; c < DEEP; c++) {
#pragma unroll
        for (int s = 0; s < CHUNK / 32; s++)
          multiplyBytes(parts[c], operandAt(stage + c * WEIGHT_BYTES + group * 64 * CHUNK + s * 32, NO_CHUNKS),
                        operandAt(stage + DEEP * WEIGHT_BYTES + c * INPUT_BYTES + s * 32, NO_CHUNKS), s > 0);
        commitProducts();
      }
      waitProducts<0>();
#pragma unroll
      for (int c = 0; c < DEEP; c++) {
        // Chunks beyond the end are zeros with scales of zero.
        const float* of = stageScales + c * (TILE + NR);
        const float scale[2] = {of[ownRow], of[ownRow + 8]};
#pragma unroll
        for (int n = 0; n < NR / 8; n++) {
          const float2 input = *(const float2*)(of + TILE + n * 8 + lane % 4 * 2);
#pragma unroll
          for (int h = 0; h < 2; h++) {
            acc[n * 4 + h * 2] = fmaf(parts[c][n * 4 + h * 2], scale[h] * input.x, acc[n * 4 + h * 2]);
            acc[n * 4 + h * 2 + 1] = fmaf(parts[c][n * 4 + h * 2 + 1], scale[h] * input.y, acc[n * 4 + h * 2 + 1]);
          }
        }
      }
    }
    waitCopies<0>();
    __syncthreads();

    float* sums = (float*)stages.memory; // [TILE][NR + 1]
#pragma unroll
    for (int n = 0; n < NR / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) sums[(ownRow + i / 2 * 8) * (NR + 1) + n * 8 + lane % 4 * 2 + i % 2] = acc[n * 4 + i];
    __syncthreads();
    const int rowsNow = min(NR, p.count - base);
    for (int i = threadIdx.x; i < rowsNow * OWNED; i += THREADS) {
      const int o = i % OWNED, r = i / OWNED, output = blockIdx.x * OWNED + o;
      if (output >= count) continue;
      float result[2] = {sums[o * (NR + 1) + r], GATED ? sums[(o + OWNED) % TILE * (NR + 1) + r] : 0};
      const int row = outputRow(p, base + r);
      if (splits > 1) {
#pragma unroll
        for (int h = 0; h < (GATED ? 2 : 1); h++) partials[((u64)blockIdx.z * rows + row) * outputs + output + h * count] = result[h];
        continue;
      }
      finish(p, bias, result, row, output, count, yStride);
    }
    __syncthreads(); // nobody reads the sums any more
  }
  if (splits == 1) return;

  // The block that ends last adds the parts, in their order.
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
