// 8-bit floats of a cache (e4m3), of which a token's head shares a scale: a power of two, its exponent plus 127 in a byte, 255 for NaN. NaN is in
// the scale of a row and never in an element. Arithmetic on bits: cards before Ada have no conversions.

// The value of an element: its bits moved to where a float has them, which is the value times 2^-120, subnormals included.
__device__ __forceinline__ float fromFloat8(u32 x) { return __uint_as_float((x & 0x80) << 24 | (x & 0x7f) << 20) * __uint_as_float((120 + 127) << 23); }

// What elements are multiplied by.
__device__ __forceinline__ float scaleValue(u32 scale) { return __uint_as_float(scale == 255 ? 0x7fffffffu : scale << 23); }

// The scale of a row by the bits of its largest magnitude, so that the largest element comes to between 224 and 448 (1.75 times 2^8).
__device__ __forceinline__ u32 scaleOf(u32 largest) {
  if (largest > 0x7f800000u) return 255;
  return min(max((int)(largest + 0x1fffffu >> 23) - 8, 1), 254);
}

// What elements are multiplied by before they are stored.
__device__ __forceinline__ float inverseOf(u32 scale) { return scale == 255 ? 0 : __uint_as_float(254 - scale << 23); }

// To the nearest, of two the even one, and beyond 448 that.
__device__ __forceinline__ u8 toFloat8(float x) {
  const u32 sign = __float_as_uint(x) >> 24 & 0x80;
  const float magnitude = fminf(fabsf(x), 448.f);
  const u32 bits = __float_as_uint(magnitude);
  // Three bits of mantissa, and an exponent whose bias is less by 120; below 2^-6 in steps of 2^-9, which is what a float of 2^14 is
  // rounded to.
  const u32 normal = (bits + 0x7ffffu + (bits >> 20 & 1) >> 20) - (120 << 3);
  const u32 subnormal = __float_as_uint(magnitude + 16384.f) - __float_as_uint(16384.f);
  return (u8)(sign | (magnitude < 0.015625f ? subnormal : normal));
}

// For 16-bit types: what mends a value whose bits were moved. Where a scale is part of that product, the largest power of two has no room
// in it, so that values come out OUT_SCALE times too small.
#if TYPE == 1
#define MENDS 0x1p120f
#define MENDS_PAIR 0x7b807b80u
#define OUT_SCALE 0x1p64f           // rows of up to 2^79 have a finite product
#define MOVED 4
#define MAGNITUDES 0x07f007f0u
#elif TYPE == 2
#define MENDS 0x1p8f
#define MENDS_PAIR 0x5c005c00u
#define OUT_SCALE 2.f               // all rows have one
#define MOVED 1
#define MAGNITUDES 0x3f803f80u
#endif

#if TYPE != 0
// Bytes 1 and 3 of a word, and bytes 0 and 2, as 16-bit floats that are MENDS times too small.
__device__ __forceinline__ u32 movedOdd(u32 x) { return (x & 0x80008000u) | (x >> MOVED & MAGNITUDES); }
__device__ __forceinline__ u32 movedEven(u32 x) { return (x << 8 & 0x80008000u) | (x << (8 - MOVED) & MAGNITUDES); }
#endif
