// Activations as 8-bit floats (e4m3): a row's 128 inputs share a scale, their largest magnitude over 448, so that none is cut off.
#define BLOCK 128
#define LARGEST 448.f
#define SMALLEST 1e-30f
#define WARPS_OF_BLOCK 8

// x: [rows, xStride], of which the first inputs (a multiple of 4) are read; y: [rows, inputs]; scales: [⌈inputs / 128⌉, rows]. A warp has 128 inputs.
// grid (rows, blocks of 8 warps).
extern "C" __global__ void __launch_bounds__(WARPS_OF_BLOCK * WARP) quantise(const T* x, int xStride, u8* y, float* scales, int rows, int inputs) {
  launchDependents();
  waitForPrevious();
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, block = blockIdx.y * WARPS_OF_BLOCK + warp;
  const int row = blockIdx.x, column = block * BLOCK + lane * 4;
  if (block * BLOCK >= inputs) return;
  float value[4] = {};
  if (column < inputs) {
    union {
      uint2 raw;
      T element[4];
    } pack;
    pack.raw = *(const uint2*)(x + (u64)row * xStride + column);
#pragma unroll
    for (int i = 0; i < 4; i++) value[i] = toFloat(pack.element[i]);
  }
  float top = fmaxf(fmaxf(fabsf(value[0]), fabsf(value[1])), fmaxf(fabsf(value[2]), fabsf(value[3])));
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) top = fmaxf(top, __shfl_xor_sync(FULL_MASK, top, offset));
  // What is smaller has no finite inverse, and counts as nothing.
  const bool isNothing = top < SMALLEST;
  const float scale = isNothing ? 0 : top / LARGEST, inverse = isNothing ? 0 : LARGEST / top;
  if (lane == 0) scales[(u64)block * rows + row] = scale;
  if (column >= inputs) return;
  u16 low, high;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(low) : "f"(value[1] * inverse), "f"(value[0] * inverse));
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(high) : "f"(value[3] * inverse), "f"(value[2] * inverse));
  *(u32*)(y + (u64)row * inputs + column) = (u32)low | (u32)high << 16;
}
