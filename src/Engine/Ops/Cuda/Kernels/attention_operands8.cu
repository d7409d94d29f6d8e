// Loads keys and values of 8-bit floats for attention_mma.cu and widens them to the type of the queries: the bits are moved to where a format with an
// exponent of 8 or 5 bits has them, and an exact multiplication corrects the exponent's bias. Scores are multiplied by their keys' scales. For values
// the correcting factor includes the scale. With the largest scales that factor would overflow, so values come out OUT_SCALE times too small.
#define KEY_QUADS (HEAD_DIM / 64)   // 16-byte accesses to a key by each of the 4 lanes that share it
#define VALUE_WORDS (HEAD_DIM / 32) // of a value in each of the 8 lanes that share it: one access

union Quad {
  uint4 raw;
  u32 word[4];
};

union Access {
#if VALUE_WORDS == 4
  uint4 raw;
#else
  uint2 raw;
#endif
  u32 word[VALUE_WORDS];
};

// The even and the odd ones of every four dimensions, matching the way in which the bytes of a word are widened.
struct Query {
  u32 even[KEY_QUADS * 4], odd[KEY_QUADS * 4];
};

struct Keys {
  Quad quads[KEY_QUADS][2];
  u8 scales[2];
};

struct Values {
  Access positions[4];
  u32 scales[2]; // each for two adjacent positions: two bytes, and after prepare two factors
};

// The position, within the block, of a lane's p-th value.
__device__ __forceinline__ int valuePosition(int lane, int p) { return lane % 4 * 2 + p % 2 + p / 2 * 8; }

// Heads from headCount on are loaded as zeros.
__device__ __forceinline__ void loadQuery(const T* queries, int headCount, int lane, Query& query) {
#pragma unroll
  for (int i = 0; i < KEY_QUADS * 2; i++) { // eight dimensions
    Quad quad;
    if (lane / 4 < headCount) quad.raw = *(const uint4*)(queries + lane / 4 * HEAD_DIM + i / 2 * 64 + lane % 4 * 16 + i % 2 * 8);
    else quad.raw = {0, 0, 0, 0};
#pragma unroll
    for (int w = 0; w < 2; w++) {
      query.even[2 * i + w] = __byte_perm(quad.word[2 * w], quad.word[2 * w + 1], 0x5410);
      query.odd[2 * i + w] = __byte_perm(quad.word[2 * w], quad.word[2 * w + 1], 0x7632);
    }
  }
}

__device__ __forceinline__ void loadKeys(const Part& part, int block, int lane, Keys& keys) {
  const u8* first = part.keys + block * ((u64)BLOCK_SIZE * part.stride);
  const u8* scales = part.keyScales + block * (u64)part.scaleStride;
#pragma unroll
  for (int p = 0; p < 2; p++) {
#pragma unroll
    for (int j = 0; j < KEY_QUADS; j++) keys.quads[j][p].raw = __ldcg((const uint4*)(first + (lane / 4 + 8 * p) * part.stride + j * 64 + lane % 4 * 16));
    keys.scales[p] = __ldcg(scales + lane / 4 + 8 * p);
  }
}

__device__ __forceinline__ void loadValues(const Part& part, int block, int lane, Values& values) {
  const u8* first = part.values + block * ((u64)BLOCK_SIZE * part.stride);
  const u8* scales = part.valueScales + block * (u64)part.scaleStride;
#pragma unroll
  for (int p = 0; p < 4; p++)
    values.positions[p].raw = __ldcg((const decltype(Access::raw)*)(first + valuePosition(lane, p) * part.stride + lane / 4 * (HEAD_DIM / 8)));
#pragma unroll
  for (int h = 0; h < 2; h++) values.scales[h] = __ldcg((const u16*)(scales + valuePosition(lane, 2 * h)));
}

// scores += K Qᵀ; scores must be 0 before.
__device__ __forceinline__ void multiplyKeys(const Keys& keys, const Query& query, float* scores) {
#pragma unroll
  for (int i = 0; i < KEY_QUADS * 4; i++) {
    const u32 low = keys.quads[i / 4][0].word[i % 4], high = keys.quads[i / 4][1].word[i % 4];
    multiply(scores, timesPair(movedEven(low), MENDS_PAIR), timesPair(movedEven(high), MENDS_PAIR), timesPair(movedOdd(low), MENDS_PAIR),
             timesPair(movedOdd(high), MENDS_PAIR), query.even[i], query.odd[i]);
  }
#pragma unroll
  for (int i = 0; i < 4; i++) scores[i] *= scaleValue(keys.scales[i / 2]);
}

// Zeroes the values of the p-th position: a scale of 0 is enough, since no element is NaN.
__device__ __forceinline__ void blank(Values& values, int p) { values.scales[p / 2] &= p % 2 ? 0x00ffu : 0xff00u; }

// Preparation shared by all tiles: turns the scales into factors.
__device__ __forceinline__ void prepare(Values& values) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    const u32 pair = values.scales[h];
    values.scales[h] = packed(scaleValue(pair & 0xff) * (MENDS / OUT_SCALE), scaleValue(pair >> 8) * (MENDS / OUT_SCALE));
  }
}

// Tile m of Vᵀ: row i is dimension 2 m of lane group i; row i + 8 is the next dimension.
__device__ __forceinline__ void tileOf(const Values& values, int m, u32* tile) {
#pragma unroll
  for (int h = 0; h < 2; h++) {
    // Two dimensions of two positions: the first dimension in bytes 1 and 3, the second in bytes 0 and 2.
    const u32 x = __byte_perm(values.positions[2 * h].word[m / 2], values.positions[2 * h + 1].word[m / 2], m % 2 ? 0x6723 : 0x4501);
    tile[2 * h] = timesPair(movedOdd(x), values.scales[h]);
    tile[2 * h + 1] = timesPair(movedEven(x), values.scales[h]);
  }
}
