// y = x Wᵀ on Hopper's warpgroups, for any number of rows of x. Each warpgroup multiplies 64 outputs by NR rows. W is operand a, so that few rows waste
// nothing. FP8: both are 8-bit floats (e4m3) with scales: W has one per block, x one per row and 128 inputs (quantise.cu). After every 128 inputs the
// sums are scaled and added in float32, since tensor cores add 8-bit products with fewer bits (arXiv 2412.19437, 3.3.2). Otherwise both are of TYPE.
// GROUPS: warpgroups. DEEP: chunks of 128 bytes of a row in a stage; up to STAGES stages are in flight. SPLITS: blocks of a cluster, which share the
// inputs of the same outputs and add their sums in order. GATED, ADD, ROWS: product.cu; gates and ups of the same outputs are in one block.
// grid (tiles of rows, blocks of outputs, SPLITS), THREADS, SHARED_BYTES.
#define TILE (GROUPS * 64)
#define THREADS (GROUPS * 128)
#define OWNED (GATED ? TILE / 2 : TILE)
#define ELEMENT (FP8 ? 1 : 2)
#define CHUNK_BYTES 128
#define CHUNK (CHUNK_BYTES / ELEMENT)
#define PACKS_OF_ROW (DEEP * 8)
#define WEIGHT_BYTES (TILE * CHUNK_BYTES)
#define INPUT_BYTES (NR * CHUNK_BYTES)
#define STAGE_BYTES (DEEP * (WEIGHT_BYTES + INPUT_BYTES))
#define STAGE_SCALES (FP8 ? DEEP * (TILE + NR) : 0)
#define WEIGHT_PACKS (TILE * PACKS_OF_ROW / THREADS) // per thread
#define INPUT_PACKS ((NR * PACKS_OF_ROW + THREADS - 1) / THREADS)
#define INPUT_SCALES ((NR * DEEP + THREADS - 1) / THREADS)
#define NO_CHUNKS 16                // for contiguous rows, which have no distance between chunks
#define SHARED_BYTES (STAGES * (STAGE_BYTES + STAGE_SCALES * 4) + GROUP_BYTES)
#if SPLITS > 1
#define CLUSTER __cluster_dims__(1, 1, SPLITS)
#else
#define CLUSTER
#endif
// Sums of a step's chunks before they are scaled. Without scales products are added to the final sums at once.
#if FP8
typedef float Parts[DEEP][NR / 2];
#else
typedef float Parts[1][1];
#endif

// Starts a copy of 4 bytes to shared memory; stores zeros if it is not wanted.
__device__ __forceinline__ void copyScale(void* to, const void* from, bool wanted) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(sharedAddress(to)), "l"(from), "r"(wanted ? 4 : 0) : "memory");
}

// In steps of few tokens weights are evicted from the L2 cache before anything else. So it still holds what the kernels between products read,
// including their instructions.
__device__ __forceinline__ u64 policyOf(bool evictsFirst) {
  u64 policy;
  if (evictsFirst) asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  else asm volatile("createpolicy.fractional.L2::evict_normal.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

// copyAsync of weights.
__device__ __forceinline__ void copyOnce(void* to, const void* from, bool wanted, u64 policy) {
  asm volatile("cp.async.cg.shared.global.L2::cache_hint [%0], [%1], 16, %2, %3;"
               :: "r"(sharedAddress(to)), "l"(from), "r"(wanted ? 16 : 0), "l"(policy) : "memory");
}

// The float at the same place in the shared memory of another block of the cluster.
__device__ __forceinline__ float ofBlock(const float* own, int block) {
  float value;
  asm volatile("{ .reg .u32 a; mapa.shared::cluster.u32 a, %1, %2; ld.shared::cluster.f32 %0, [a]; }"
               : "=f"(value) : "r"(sharedAddress(own)), "r"(block) : "memory");
  return value;
}

// The output that a row of the block's tile stands for. Beyond the end the last output is computed again and dropped.
__device__ __forceinline__ int outputOf(int r, int count) {
  const int output = min((int)blockIdx.y * OWNED + r % OWNED, count - 1);
  return GATED && r >= OWNED ? output + count : output;
}

// outputs, inputs, scales, scaleRows, scaleColumns: as in skinny.cu; scaleBlock and scaleOffset are multiples of CHUNK. xScales:
// [⌈inputs / 128⌉, xRows] float32 where FP8. x and y: rows of xStride and yStride elements. rows: of x, where ROWS is 0; then blockIdx.x counts rowTiles tiles of
// each of several batches, which are weightBatch, xBatch and yBatch elements apart. tiles: from experts.cu: {expert, which NR of its rows}, then -1.
// starts, order: from experts.cu.
extern "C" __global__ void CLUSTER __launch_bounds__(THREADS, MIN_BLOCKS) products(
    const void* weight, const void* scales, const int* scaleRows, int scaleColumns, int scaleBlock, int scaleOffset, const T* bias, const u8* x,
    const float* xScales, int xRows, T* y, int rows, int outputs, int inputs, int xStride, int yStride, int rowTiles, u64 weightBatch, int xBatch,
    int yBatch, const int2* tiles, const int* starts, const int* order, int perToken, int evictsFirst) {
  DYNAMIC_SHARED(memory);
  u8* stages = (u8*)memory + (GROUP_BYTES - sharedAddress(memory) % GROUP_BYTES) % GROUP_BYTES; // [STAGES][DEEP chunks of W, DEEP chunks of x]
  float* stageScales = (float*)(stages + STAGES * STAGE_BYTES); // [STAGES][DEEP][TILE of W, NR of x]
  launchDependents();
  const int count = GATED ? outputs / 2 : outputs; // results of a row
  Product p;
#if ROWS == 0
  const int base = blockIdx.x % rowTiles * NR, batch = blockIdx.x / rowTiles;
  p = {(const u8*)weight + batch * weightBatch * ELEMENT, (const float*)scales, nullptr, nullptr, y + batch * yBatch, rows, 0};
  x += (u64)batch * xBatch * ELEMENT;
#else
  waitForPrevious();
  const int2 tile = tiles[blockIdx.x];
  if (tile.x < 0) return;
  const int base = tile.y * NR;
  p = {(const u8*)((const u64*)weight)[tile.x], FP8 ? (const float*)((const u64*)scales)[tile.x] : nullptr, order + starts[tile.x], nullptr, y,
       starts[tile.x + 1] - starts[tile.x], starts[tile.x]};
#endif
  const int chunks = (inputs + CHUNK - 1) / CHUNK;
  const int firstChunk = chunks * (int)blockIdx.z / SPLITS, endChunk = chunks * ((int)blockIdx.z + 1) / SPLITS;
  const int steps = max(1, (endChunk - firstChunk + DEEP - 1) / DEEP), limit = min(inputs, endChunk * CHUNK);
  const int group = threadIdx.x / 128, warp = threadIdx.x % 128 / WARP, lane = threadIdx.x % WARP;
  const int ownRow = group * 64 + warp * 16 + lane / 4; // first of the thread's two rows of the tile; the second is 8 further
  // This thread copies pack ownPack of every rowsApart-th row from firstOwn on.
  const int firstOwn = threadIdx.x / PACKS_OF_ROW, ownPack = threadIdx.x % PACKS_OF_ROW, ownColumn = firstChunk * CHUNK + ownPack * (16 / ELEMENT);
  const int rowsApart = THREADS / PACKS_OF_ROW;

  const u8* weightAt[WEIGHT_PACKS];
#pragma unroll
  for (int i = 0; i < WEIGHT_PACKS; i++)
    weightAt[i] = p.weight + ((u64)outputOf(firstOwn + i * rowsApart, count) * inputs + ownColumn) * ELEMENT;
#if FP8
  const float* scalesOfRow = threadIdx.x < TILE ? p.scales + scaleRows[outputOf(threadIdx.x, count)] * scaleColumns : nullptr;
#endif

  const u64 policy = policyOf(evictsFirst);
  auto copyWeights = [&](int step) {
    u8* stage = stages + step % STAGES * STAGE_BYTES + ownPack / 8 * WEIGHT_BYTES;
    const int offset = step * DEEP * CHUNK;
    const bool wanted = ownColumn + offset < limit;
#pragma unroll
    for (int i = 0; i < WEIGHT_PACKS; i++)
      copyOnce(stage + swizzled(firstOwn + i * rowsApart, ownPack % 8 * 8), weightAt[i] + (wanted ? offset * ELEMENT : 0), wanted, policy);
#if FP8
    if (threadIdx.x < TILE)
#pragma unroll
      for (int c = 0; c < DEEP; c++) {
        const int column = (firstChunk + step * DEEP + c) * CHUNK;
        copyScale(stageScales + step % STAGES * STAGE_SCALES + c * (TILE + NR) + threadIdx.x,
                  scalesOfRow + (column < limit ? (scaleOffset + column) / scaleBlock : 0), column < limit);
      }
#endif
  };

#pragma unroll 1
  for (int s = 0; s < STAGES - 1 && s < steps; s++) copyWeights(s);
#if ROWS == 0
  waitForPrevious();
#endif
  auto sourceOf = [&](int i) { return base + i < p.count ? inputRow(p, base + i, perToken) : -1; };
  int inputAt[INPUT_PACKS]; // rows of x whose packs this thread copies; negative: none
#pragma unroll
  for (int i = 0; i < INPUT_PACKS; i++) inputAt[i] = firstOwn + i * rowsApart < NR ? sourceOf(firstOwn + i * rowsApart) : -1;
#if FP8
  int scaleOf[INPUT_SCALES]; // rows of x whose scales this thread copies; negative: none
#pragma unroll
  for (int i = 0; i < INPUT_SCALES; i++) scaleOf[i] = sourceOf((i * THREADS + threadIdx.x) % NR);
#endif
  auto copyInputs = [&](int step) {
    u8* stage = stages + step % STAGES * STAGE_BYTES + DEEP * WEIGHT_BYTES + ownPack / 8 * INPUT_BYTES;
    const int column = ownColumn + step * DEEP * CHUNK;
#pragma unroll
    for (int i = 0; i < INPUT_PACKS; i++) {
      if (NR * PACKS_OF_ROW % THREADS != 0 && firstOwn + i * rowsApart >= NR) break;
      const bool wanted = inputAt[i] >= 0 && column < limit;
      copyAsync(stage + swizzled(firstOwn + i * rowsApart, ownPack % 8 * 8), x + (wanted ? ((u64)inputAt[i] * xStride + column) * ELEMENT : 0), wanted);
    }
#if FP8
#pragma unroll
    for (int i = 0; i < INPUT_SCALES; i++) {
      const int at = i * THREADS + threadIdx.x, c = at / NR, chunk = firstChunk + step * DEEP + c;
      if (DEEP * NR % THREADS != 0 && c >= DEEP) break;
      const bool wanted = scaleOf[i] >= 0 && chunk < endChunk;
      copyScale(stageScales + step % STAGES * STAGE_SCALES + c * (TILE + NR) + TILE + at % NR, xScales + (wanted ? (u64)chunk * xRows + scaleOf[i] : 0), wanted);
    }
#endif
  };
#pragma unroll 1
  for (int s = 0; s < STAGES - 1; s++) {
    if (s < steps) copyInputs(s);
    commitCopies();
  }

  float acc[NR / 2] = {};
  Parts parts[2];
  auto multiply = [&](int step, Parts& to) {
    const u32 stage = sharedAddress(stages + step % STAGES * STAGE_BYTES);
    beginProducts();
#pragma unroll
    for (int c = 0; c < DEEP; c++)
#pragma unroll
      for (int s = 0; s < CHUNK_BYTES / 32; s++) {
        const u64 a = operandAt(stage + c * WEIGHT_BYTES + group * 64 * CHUNK_BYTES + s * 32, NO_CHUNKS);
        const u64 b = operandAt(stage + DEEP * WEIGHT_BYTES + c * INPUT_BYTES + s * 32, NO_CHUNKS);
#if FP8
        multiplyPacks(to[c], a, b, s > 0);
#else
        multiplyPacks(acc, a, b, 1);
#endif
      }
    commitProducts();
  };
  auto add = [&](int step, Parts& from) {
#if FP8
#pragma unroll
    for (int c = 0; c < DEEP; c++) {
      // Chunks beyond the end hold zeros, and their scales are zero.
      const float* of = stageScales + step % STAGES * STAGE_SCALES + c * (TILE + NR);
      const float scale[2] = {of[ownRow], of[ownRow + 8]};
#pragma unroll
      for (int n = 0; n < NR / 8; n++) {
        const float2 input = *(const float2*)(of + TILE + n * 8 + lane % 4 * 2);
#pragma unroll
        for (int h = 0; h < 2; h++) {
          acc[n * 4 + h * 2] = fmaf(from[c][n * 4 + h * 2], scale[h] * input.x, acc[n * 4 + h * 2]);
          acc[n * 4 + h * 2 + 1] = fmaf(from[c][n * 4 + h * 2 + 1], scale[h] * input.y, acc[n * 4 + h * 2 + 1]);
        }
      }
    }
#endif
  };
  // The tensor cores compute the next step while the sums of this one are scaled.
  auto advance = [&](int step, Parts& now, Parts& next) {
    waitCopies<STAGES - 3>();
    publishShared();
    __syncthreads(); // all copies have arrived, and no warpgroup still multiplies the stage that is overwritten next
    multiply(step + 1, next);
    if (step + STAGES - 1 < steps) {
      copyWeights(step + STAGES - 1);
      copyInputs(step + STAGES - 1);
    }
    commitCopies();
    waitProducts<1>();
    add(step, now);
  };
  waitCopies<STAGES - 2>();
  publishShared();
  __syncthreads();
  multiply(0, parts[0]);
  int step = 0;
#pragma unroll 1
  for (; step + 2 < steps; step += 2) {
    advance(step, parts[0], parts[1]);
    advance(step + 1, parts[1], parts[0]);
  }
  if (step + 1 < steps) {
    advance(step, parts[0], parts[1]);
    waitProducts<0>();
    add(step + 1, parts[1]);
  } else {
    waitProducts<0>();
    add(step, parts[0]);
  }
  waitCopies<0>();
  __syncthreads();

  float* sums = (float*)stages; // [TILE][NR + 1]
#pragma unroll
  for (int n = 0; n < NR / 8; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) sums[(ownRow + i / 2 * 8) * (NR + 1) + n * 8 + lane % 4 * 2 + i % 2] = acc[n * 4 + i];
#if SPLITS > 1
  meetCluster();
#else
  __syncthreads();
#endif
  // Each block finishes its share of the results.
  const int results = min(NR, p.count - base) * OWNED;
#pragma unroll 1
  for (int i = results * (int)blockIdx.z / SPLITS + threadIdx.x; i < results * ((int)blockIdx.z + 1) / SPLITS; i += THREADS) {
    const int o = i % OWNED, r = i / OWNED, output = blockIdx.y * OWNED + o;
    if (output >= count) continue;
    float result[2] = {};
#pragma unroll
    for (int h = 0; h < (GATED ? 2 : 1); h++) {
      const float* own = sums + (o + h * OWNED) * (NR + 1) + r;
#if SPLITS > 1
#pragma unroll
      for (int s = 0; s < SPLITS; s++) result[h] += ofBlock(own, s);
#else
      result[h] = *own;
#endif
    }
    finish(p, bias, result, outputRow(p, base + r), output, count, yStride);
  }
#if SPLITS > 1
  meetCluster(); // other blocks may still read this block's sums
#endif
}
