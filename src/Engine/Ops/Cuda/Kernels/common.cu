// Prepended to every kernel source. TYPE: 0 float32, 1 bfloat16, 2 float16. Includes no headers: NVRTC alone must be enough.
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WARP 32
#define DYNAMIC_SHARED(name) extern __shared__ uint4 name[]
#define FULL_MASK 0xffffffffu
#define NEGATIVE_INFINITY __int_as_float(0xff800000)

#if TYPE == 0
typedef float T;
__device__ __forceinline__ float toFloat(T x) { return x; }
__device__ __forceinline__ T fromFloat(float x) { return x; }
#elif TYPE == 1
typedef u16 T;
__device__ __forceinline__ float toFloat(T x) { return __uint_as_float((u32)x << 16); }
__device__ __forceinline__ T fromFloat(float x) { T r; asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r) : "f"(x)); return r; }
#else
typedef u16 T;
__device__ __forceinline__ float toFloat(T x) { float r; asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x)); return r; }
__device__ __forceinline__ T fromFloat(float x) { T r; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x)); return r; }
#endif

// Elements of one 16-byte access.
#define PACK (16 / (int)sizeof(T))

union Pack16 {
  uint4 raw;
  T element[PACK];
};

// Lets the next kernel in the stream start its prologue as soon as there is room for it. The next kernel's waitForPrevious waits for
// the end of this one, so whatever follows that wait is in order, however early this kernel calls launchDependents.
__device__ __forceinline__ void launchDependents() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;");
#endif
}

// Waits for the previous kernel in the stream. Before this call a kernel may not read what another one writes, nor write anything.
__device__ __forceinline__ void waitForPrevious() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

__device__ __forceinline__ float warpSum(float x) {
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) x += __shfl_xor_sync(FULL_MASK, x, offset);
  return x;
}

__device__ __forceinline__ u32 warpMax(u32 x) {
#if __CUDA_ARCH__ >= 800
  return __reduce_max_sync(FULL_MASK, x);
#else
#pragma unroll
  for (int offset = WARP / 2; offset > 0; offset >>= 1) x = max(x, __shfl_xor_sync(FULL_MASK, x, offset));
  return x;
#endif
}

// Sum over the block; every thread gets it. scratch: [32].
__device__ __forceinline__ float blockSum(float x, float* scratch) {
  x = warpSum(x);
  if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = x;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < (int)(blockDim.x + 31) / WARP; w++) sum += scratch[w];
  __syncthreads();
  return sum;
}
