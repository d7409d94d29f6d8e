// The best token of rows whose columns are split over ranks: each rank finds the maximum of its own columns, and bestOfRanks picks the best of
// these maxima. NaN counts as larger than anything, so that no rank's NaN is lost; among equals the lowest column wins.
struct Maximum { float value, column; };

// The upper half grows with the value, the lower half falls with the column: the largest key is the best. -0 equals 0.
__device__ __forceinline__ u64 keyOf(float value, int column) {
  const u32 bits = __float_as_uint(value + 0.0f);
  const u32 order = value != value ? 0xffffffffu : bits >> 31 ? ~bits : bits | 0x80000000u;
  return (u64)order << 32 | ~(u32)column;
}

__device__ __forceinline__ u64 larger(u64 a, u64 b) { return a > b ? a : b; }

// logits: [rows, width], a rank's share of the columns, which begins at column first; out: [rows]. One block of 32 warps per row.
extern "C" __global__ void __launch_bounds__(WARP * WARP) rowMaxima(const T* logits, Maximum* out, int width, int first) {
  __shared__ u64 best[WARP];
  launchDependents();
  waitForPrevious();
  const T* row = logits + (u64)blockIdx.x * width;
  u64 mine = 0;
  if (width % PACK == 0 && (u64)row % 16 == 0) {
#pragma unroll 4
    for (int i = threadIdx.x; i < width / PACK; i += WARP * WARP) {
      Pack16 pack;
      pack.raw = ((const uint4*)row)[i];
#pragma unroll
      for (int e = 0; e < PACK; e++) mine = larger(mine, keyOf(toFloat(pack.element[e]), i * PACK + e));
    }
  } else {
    for (int i = threadIdx.x; i < width; i += WARP * WARP) mine = larger(mine, keyOf(toFloat(row[i]), i));
  }
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) mine = larger(mine, __shfl_xor_sync(FULL_MASK, mine, offset));
  if (threadIdx.x % WARP == 0) best[threadIdx.x / WARP] = mine;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 0; w < WARP; w++) mine = larger(mine, best[w]);
  const int column = (int)~(u32)mine;
  out[blockIdx.x] = {toFloat(row[column]), (float)(first + column)};
}

// maxima: [ranks, rows]; ids: [rows], -1 where the best value is not finite. One thread per row.
extern "C" __global__ void bestOfRanks(const Maximum* maxima, int* ids, int rows, int ranks) {
  launchDependents();
  waitForPrevious();
  const int row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows) return;
  Maximum best = maxima[row];
  for (int rank = 1; rank < ranks; rank++) {
    const Maximum other = maxima[(u64)rank * rows + row];
    // Columns of later ranks are higher: one must be larger to win.
    if (best.value == best.value && !(other.value <= best.value)) best = other;
  }
  ids[row] = fabsf(best.value) <= 3.402823466e+38f ? (int)best.column : -1;
}
