// 8-bit floats of a cache (e4m3), of which a token's head shares a scale: a power of two, its exponent plus 127 in a byte, 255 for NaN. NaN is in
// the scale of a row and never in an element. Arithmetic on bits: cards before Ada have no conversions.

// The value of an element: its bits moved to where a float has them, which is the value times 2^-120, subnormals included.
__device__ __forceinline__ float fromFloat8(u32 x) { return __uint_as_float((x & 0x80) << 24 | (x & 0x7f) << 20) * __uint_as_float((120 + 127) << 23); }

// What elements are multiplied by.
__device__ __forceinline__ float scaleValue(u32 scale) { return __uint_as_float(scale == 255 ? 0x7fffffffu : scale << 23); }
