// Building blocks of kernels on tensor cores, for 16-bit types: products of tiles, and loading their operands from shared memory. Turing (below 8.0)
// has products of half the depth, for float16 only, and no asynchronous copies.

#if __CUDA_ARCH__ < 800
// d += a b. a: [16, 8], b: [8, 8], d: [16, 8]; fragments as in the PTX manual for mma.m16n8k8.
__device__ __forceinline__ void multiplyHalf(float* d, u32 a0, u32 a1, u32 b0) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(b0));
}
#endif

// d += a b. a: [16, 16], b: [16, 8], d: [16, 8]; fragments as in the PTX manual for mma.m16n8k16.
__device__ __forceinline__ void multiply(float* d, u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
#if __CUDA_ARCH__ < 800
  // The first half of a's columns is in a0 and a1, the first half of b's rows in b0.
  multiplyHalf(d, a0, a1, b0);
  multiplyHalf(d, a2, a3, b1);
#else
#if TYPE == 1
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#else
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
#endif
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
#endif
}

// Multiplies both halves of a and b with one instruction; each product is rounded once.
__device__ __forceinline__ u32 timesPair(u32 a, u32 b) {
  u32 product;
#if TYPE == 1
  asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(a), "r"(b), "r"(0x80008000u)); // sm_80 has no plain multiplication
#else
  asm("mul.rn.f16x2 %0, %1, %2;" : "=r"(product) : "r"(a), "r"(b));
#endif
  return product;
}

__device__ __forceinline__ u32 packed(float low, float high) { return (u32)fromFloat(low) | (u32)fromFloat(high) << 16; }

__device__ __forceinline__ u32 sharedAddress(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// Loads four matrices [8, 8] from shared memory. Lane l gives the address of row l % 8 of matrix l / 8 (16 bytes), and gets elements 2 (l % 4)
// and 2 (l % 4) + 1 of row l / 4 of each matrix.
__device__ __forceinline__ void loadMatrices(u32* matrices, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3]) : "r"(sharedAddress(row)) : "memory");
}

// As loadMatrices, with each matrix transposed.
__device__ __forceinline__ void loadTransposed(u32* matrices, const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3]) : "r"(sharedAddress(row)) : "memory");
}

// Starts a copy of 16 bytes to shared memory; stores zeros if it is not wanted.
__device__ __forceinline__ void copyAsync(void* to, const void* from, bool wanted) {
#if __CUDA_ARCH__ < 800
  *(uint4*)to = wanted ? __ldcg((const uint4*)from) : uint4{0, 0, 0, 0};
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(sharedAddress(to)), "l"(from), "r"(wanted ? 16 : 0) : "memory");
#endif
}

// Makes the copies since the last call one group.
__device__ __forceinline__ void commitCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until all but the newest MAX groups are complete.
template <int MAX> __device__ __forceinline__ void waitCopies() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" :: "n"(MAX) : "memory");
#endif
}
