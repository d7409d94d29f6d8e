// Quantises activations to 8-bit floats (e4m3): 128 inputs of a row share a scale, their largest magnitude over 448, so that none is clipped.
#define BLOCK 128
#define LARGEST 448.f
#define SMALLEST 1e-30f
#define WARPS_OF_BLOCK 8

#define ROWS_OF_TILE 64
#define TILE_BYTES (ROWS_OF_TILE * BLOCK)
#define ROWS_OF_WARP (ROWS_OF_TILE / WARPS_OF_BLOCK)

// Quantises four inputs in each lane of a warp to 8-bit floats, and computes their common scale.
__device__ __forceinline__ u32 quantised(const float (&value)[4], float& scale) {
  float top = fmaxf(fmaxf(fabsf(value[0]), fabsf(value[1])), fmaxf(fabsf(value[2]), fabsf(value[3])));
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) top = fmaxf(top, __shfl_xor_sync(FULL_MASK, top, offset));
  // Anything smaller has no finite inverse and counts as zero.
  const bool isNothing = top < SMALLEST;
  const float inverse = isNothing ? 0 : LARGEST / top;
  scale = isNothing ? 0 : top / LARGEST;
  u16 low, high;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(low) : "f"(value[1] * inverse), "f"(value[0] * inverse));
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(high) : "f"(value[3] * inverse), "f"(value[2] * inverse));
  return (u32)low | (u32)high << 16;
}

// Reads four adjacent inputs; zeros if they are not wanted.
__device__ __forceinline__ void readFour(float (&value)[4], const T* from, bool wanted) {
  union {
    uint2 raw;
    T element[4];
  } pack;
  pack.raw = wanted ? *(const uint2*)from : uint2{0, 0};
#pragma unroll
  for (int i = 0; i < 4; i++) value[i] = toFloat(pack.element[i]);
}

// x: [rows, xStride], of which the first inputs columns (a multiple of 4) are read; y: [rows, inputs]; scales: [⌈inputs / 128⌉, rows]. A warp
// quantises 128 inputs. grid (rows, blocks of 8 warps).
extern "C" __global__ void __launch_bounds__(WARPS_OF_BLOCK * WARP) quantise(const T* x, int xStride, u8* y, float* scales, int rows, int inputs) {
  launchDependents();
  waitForPrevious();
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, block = blockIdx.y * WARPS_OF_BLOCK + warp;
  const int row = blockIdx.x, column = block * BLOCK + lane * 4;
  if (block * BLOCK >= inputs) return;
  float value[4], scale;
  readFour(value, x + (u64)row * xStride + column, column < inputs);
  const u32 pack = quantised(value, scale);
  if (lane == 0) scales[(u64)block * rows + row] = scale;
  if (column < inputs) *(u32*)(y + (u64)row * inputs + column) = pack;
}

#ifdef NORM_WARPS
// As quantise, for rows that are first RMS-normalised and rounded to T, as a separate norm would round them. weight: [inputs]; normed: [rows of
// x, inputs] or null: the normalised rows. A block processes one row, each of its NORM_WARPS warps NORM_CHUNKS times 128 inputs. TILED: y and
// scales as in quantiseTiles; inputs is then a multiple of 128.
extern "C" __global__ void __launch_bounds__(NORM_WARPS * WARP) quantiseNormed(
    const T* x, int xStride, const T* weight, float epsilon, T* normed, u8* y, float* scales, int rows, int inputs) {
  __shared__ float partial[NORM_WARPS];
  launchDependents();
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, row = blockIdx.x;
  float value[NORM_CHUNKS][4], factor[NORM_CHUNKS][4], squares = 0;
  // No kernel writes the weights, so they are loaded while the previous kernel still runs.
#pragma unroll
  for (int i = 0; i < NORM_CHUNKS; i++) {
    const int column = (i * NORM_WARPS + warp) * BLOCK + lane * 4;
    readFour(factor[i], weight + column, column < inputs);
  }
  waitForPrevious();
#pragma unroll
  for (int i = 0; i < NORM_CHUNKS; i++) {
    const int column = (i * NORM_WARPS + warp) * BLOCK + lane * 4;
    readFour(value[i], x + (u64)row * xStride + column, column < inputs);
  }
#pragma unroll
  for (int i = 0; i < NORM_CHUNKS; i++)
#pragma unroll
    for (int e = 0; e < 4; e++) squares = fmaf(value[i][e], value[i][e], squares);
  squares = warpSum(squares);
  if (lane == 0) partial[warp] = squares;
  __syncthreads();
  const float scale = rsqrtf(warpSum(lane < NORM_WARPS ? partial[lane] : 0) / inputs + epsilon);
#pragma unroll
  for (int i = 0; i < NORM_CHUNKS; i++) {
    const int block = i * NORM_WARPS + warp, column = block * BLOCK + lane * 4;
    if (block * BLOCK >= inputs) break;
    union {
      uint2 raw;
      T element[4];
    } pack;
#pragma unroll
    for (int e = 0; e < 4; e++) {
      pack.element[e] = fromFloat(value[i][e] * scale * factor[i][e]);
      value[i][e] = toFloat(pack.element[e]);
    }
    float largest;
    const u32 bytes = quantised(value[i], largest);
#if TILED
    const u64 place = ((u64)(row / ROWS_OF_TILE) * (inputs / BLOCK) + block) * ROWS_OF_TILE + row % ROWS_OF_TILE;
    if (lane == 0) scales[place] = largest;
    *(u32*)(y + place * BLOCK + (lane / 4 ^ row % 8) * 16 + lane % 4 * 4) = bytes;
#else
    if (lane == 0) scales[(u64)block * rows + row] = largest;
    if (column >= inputs) continue;
    *(u32*)(y + (u64)row * inputs + column) = bytes;
#endif
    if (normed) *(uint2*)(normed + (u64)row * inputs + column) = pack.raw;
  }
}
#endif

#ifdef ROWS
// For bulkProducts: 64 rows of 128 inputs are contiguous, their 16-byte packs swizzled (warpgroup.cu). ROWS: as in product.cu. y: [tiles,
// inputs / 128, 64 rows, 128], scales: [tiles, inputs / 128, 64]. tiles, starts, order: from experts.cu; a tile is 64 rows of an expert.
#if ROWS == 1
#define TILE_THREADS (WARPS_OF_BLOCK * WARP)
#define PACKS (BLOCK / 16)          // per row
#define STEP (TILE_THREADS / PACKS) // rows per pass

// Copies each token's quantised row to the rows of its experts. x, xScales: y and scales as written by quantise; rows: their number of rows.
// Rows beyond the end of an expert's own repeat its last one. grid (tiles, any).
extern "C" __global__ void __launch_bounds__(TILE_THREADS) gatherTiles(
    const u8* x, const float* xScales, u8* y, float* scales, int rows, int inputs, const int2* tiles, const int* starts, const int* order,
    int perToken) {
  launchDependents();
  waitForPrevious();
  const int2 tile = tiles[blockIdx.x];
  if (tile.x < 0) return;
  const int first = starts[tile.x] + tile.y * ROWS_OF_TILE, end = starts[tile.x + 1];
  const int pack = threadIdx.x % PACKS, r = threadIdx.x / PACKS, chunks = inputs / BLOCK;
  int source[ROWS_OF_TILE / STEP];
#pragma unroll
  for (int i = 0; i < ROWS_OF_TILE / STEP; i++) source[i] = order[min(first + r + i * STEP, end - 1)] / perToken;
#pragma unroll 2
  for (int chunk = blockIdx.y; chunk < chunks; chunk += gridDim.y) {
    const u64 place = (u64)blockIdx.x * chunks + chunk;
#pragma unroll
    for (int i = 0; i < ROWS_OF_TILE / STEP; i++) {
      const int row = r + i * STEP;
      const u8* from = x + (u64)source[i] * inputs + chunk * BLOCK + pack * 16;
      *(uint4*)(y + place * TILE_BYTES + row * BLOCK + (pack ^ row % 8) * 16) = *(const uint4*)from;
      if (pack == 0) scales[place * ROWS_OF_TILE + row] = xScales[(u64)chunk * rows + source[i]];
    }
  }
}
#else
// Rows beyond the end of a matrix's own become zeros. grid (tiles, inputs / 128).
extern "C" __global__ void __launch_bounds__(WARPS_OF_BLOCK * WARP) quantiseTiles(
    const T* x, int xStride, u8* y, float* scales, int rows, int inputs, const int2* tiles, const int* starts) {
  launchDependents();
  waitForPrevious();
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, chunk = blockIdx.y, chunks = inputs / BLOCK;
#if ROWS == 0
  const int first = blockIdx.x * ROWS_OF_TILE, end = min(rows, first + ROWS_OF_TILE);
#else
  const int2 tile = tiles[blockIdx.x];
  if (tile.x < 0) return;
  const int first = starts[tile.x] + tile.y * ROWS_OF_TILE, end = min(starts[tile.x + 1], first + ROWS_OF_TILE);
#endif
  const u64 place = (u64)blockIdx.x * chunks + chunk;
  u8* target = y + place * TILE_BYTES + lane % 4 * 4;
#pragma unroll
  for (int i = 0; i < ROWS_OF_WARP; i++) {
    const int r = warp * ROWS_OF_WARP + i, row = min(first + r, end - 1);
    float value[4], scale;
    readFour(value, x + (u64)row * xStride + chunk * BLOCK + lane * 4, first + r < end);
    *(u32*)(target + r * BLOCK + (lane / 4 ^ r % 8) * 16) = quantised(value, scale);
    if (lane == 0) scales[place * ROWS_OF_TILE + r] = scale;
  }
}
#endif
#endif
