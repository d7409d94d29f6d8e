// 8-bit floats (e4m3) of a KV cache. The elements of a token's head share a scale: a power of two, stored as its exponent plus 127 in one byte;
// 255 is NaN. NaN occurs only in the scale of a row, never in an element. Conversions work on the bits: cards before Ada have no instructions.

// The value of an element: moving its bits to where a float has them gives the value times 2^-120, for subnormals too.
__device__ __forceinline__ float fromFloat8(u32 x) { return __uint_as_float((x & 0x80) << 24 | (x & 0x7f) << 20) * __uint_as_float((120 + 127) << 23); }

// The factor by which stored elements are multiplied.
__device__ __forceinline__ float scaleValue(u32 scale) { return __uint_as_float(scale == 255 ? 0x7fffffffu : scale << 23); }

// The scale of a row, from the bits of its largest magnitude. It brings the largest element to between 224 and 448 (1.75 times 2^8).
__device__ __forceinline__ u32 scaleOf(u32 largest) {
  if (largest > 0x7f800000u) return 255;
  return min(max((int)(largest + 0x1fffffu >> 23) - 8, 1), 254);
}

// The factor by which elements are multiplied before they are stored.
__device__ __forceinline__ float inverseOf(u32 scale) { return scale == 255 ? 0 : __uint_as_float(254 - scale << 23); }

// Rounds to nearest, ties to even; magnitudes beyond 448 become 448.
__device__ __forceinline__ u8 toFloat8(float x) {
  const u32 sign = __float_as_uint(x) >> 24 & 0x80;
  const float magnitude = fminf(fabsf(x), 448.f);
  const u32 bits = __float_as_uint(magnitude);
  // The result keeps three bits of mantissa, and an exponent whose bias is smaller by 120. Below 2^-6 it is a multiple of 2^-9; adding 2^14
  // rounds a float to such a multiple.
  const u32 normal = (bits + 0x7ffffu + (bits >> 20 & 1) >> 20) - (120 << 3);
  const u32 subnormal = __float_as_uint(magnitude + 16384.f) - __float_as_uint(16384.f);
  return (u8)(sign | (magnitude < 0.015625f ? subnormal : normal));
}

// For 16-bit types: MENDS is the factor that corrects a value whose bits were moved. Where the factor includes a scale, the largest powers of
// two would overflow it, so values come out OUT_SCALE times too small.
#if TYPE == 1
#define MENDS 0x1p120f
#define MENDS_PAIR 0x7b807b80u
#define OUT_SCALE 0x1p64f           // the factor is finite for rows of up to 2^79
#define MOVED 4
#define MAGNITUDES 0x07f007f0u
#elif TYPE == 2
#define MENDS 0x1p8f
#define MENDS_PAIR 0x5c005c00u
#define OUT_SCALE 2.f               // the factor is finite for all rows
#define MOVED 1
#define MAGNITUDES 0x3f803f80u
#endif

#if TYPE != 0
// Bytes 1 and 3 of a word, and bytes 0 and 2, as 16-bit floats that are MENDS times too small.
__device__ __forceinline__ u32 movedOdd(u32 x) { return (x & 0x80008000u) | (x >> MOVED & MAGNITUDES); }
__device__ __forceinline__ u32 movedEven(u32 x) { return (x << 8 & 0x80008000u) | (x << (8 - MOVED) & MAGNITUDES); }
#endif
