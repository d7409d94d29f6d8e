// Products of a warpgroup for latent_attention_wide.cu. Their left operand may be in registers, as fragments of mma.m16n8k16; warp w holds
// rows 16 w to 16 w + 15. Registers of operands must not change until the product has been waited for.
#define RESULTS_4(d, i) "+f"((d)[i]), "+f"((d)[(i) + 1]), "+f"((d)[(i) + 2]), "+f"((d)[(i) + 3])
#define RESULTS_16(d, i) RESULTS_4(d, i), RESULTS_4(d, (i) + 4), RESULTS_4(d, (i) + 8), RESULTS_4(d, (i) + 12)
#define RESULTS_32(d) RESULTS_16(d, 0), RESULTS_16(d, 16)
#define RESULTS_128(d)                                                                                                 \
  RESULTS_16(d, 0), RESULTS_16(d, 16), RESULTS_16(d, 32), RESULTS_16(d, 48), RESULTS_16(d, 64), RESULTS_16(d, 80), RESULTS_16(d, 96), RESULTS_16(d, 112)
#define NAMES_32 \
  "%0, %1, %2, %3, %4, %5, %6, %7, " \
  "%8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define NAMES_128 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, " \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, " \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, " \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, " \
  "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, " \
  "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, " \
  "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, " \
  "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// d [64, 64] += a bT. a: [64, 16], a warp's fragment; b: [64, 16], rows contiguous.
__device__ __forceinline__ void multiplyHeldRows(float (&d)[32], const u32* a, u64 b) {
  asm volatile("{ .reg .pred p; setp.eq.b32 p, 0, 0;\n"
               "wgmma.mma_async.sync.aligned.m64n64k16.f32." HALF_TYPE "." HALF_TYPE " {" NAMES_32 "}, {%32, %33, %34, %35}, %36, p, 1, 1, 0; }"
               : RESULTS_32(d) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// d [64, 256] += a b. a: [64, 16]; b: [16, 256] in four chunks; the rows of both contiguous.
__device__ __forceinline__ void multiplyChunks(float (&d)[128], u64 a, u64 b) {
  asm volatile("{ .reg .pred p; setp.eq.b32 p, 0, 0;\n"
               "wgmma.mma_async.sync.aligned.m64n256k16.f32." HALF_TYPE "." HALF_TYPE " {" NAMES_128 "}, %128, %129, p, 1, 1, 0, 1; }"
               : RESULTS_128(d) : "l"(a), "l"(b));
}

// As multiplyChunks, where a is a warp's fragment.
__device__ __forceinline__ void multiplyHeldChunks(float (&d)[128], const u32* a, u64 b) {
  asm volatile("{ .reg .pred p; setp.eq.b32 p, 0, 0;\n"
               "wgmma.mma_async.sync.aligned.m64n256k16.f32." HALF_TYPE "." HALF_TYPE " {" NAMES_128 "}, {%128, %129, %130, %131}, %132, p, 1, 1, 1; }"
               : RESULTS_128(d) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
