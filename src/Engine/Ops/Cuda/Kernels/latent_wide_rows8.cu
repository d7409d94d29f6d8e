// Tiles of 8-bit floats for latent_attention_wide.cu. There is no room for them as they are stored beside two tiles that tensor cores read,
// so a tile that is on its way lies in registers, and is widened when the tensor cores have the scores of the one before. Each row's scale
// is part of the product that widens it.
#define IS_WIDENED 1
#define THREADS_OF_ROW (THREADS / KEYS)
#define PACKS (ROW / 16 / THREADS_OF_ROW) // of 16 bytes, of a thread: adjacent threads have adjacent ones of a row

typedef u8 Cached;

// A quarter of a row.
struct Raw {
  uint4 packs[PACKS];
  u32 scale;
};

// Starts the loads of a tile; zeros outside of the part, as slots there may hold anything.
__device__ __forceinline__ void loadRaw(Raw& raw, const Cached* cache, const u8* scales, const int* table, int begin, int end) {
  const int position = begin + threadIdx.x / THREADS_OF_ROW;
  if (position < end) {
    const u64 slot = (u64)table[position / BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE;
    const uint4* source = (const uint4*)(cache + slot * ROW) + threadIdx.x % THREADS_OF_ROW;
#pragma unroll
    for (int i = 0; i < PACKS; i++) raw.packs[i] = __ldcg(source + i * THREADS_OF_ROW);
    raw.scale = __ldcg(scales + slot);
  } else {
#pragma unroll
    for (int i = 0; i < PACKS; i++) raw.packs[i] = {0, 0, 0, 0};
    raw.scale = 0;
  }
}

// Four adjacent elements, OUT_SCALE times too small.
__device__ __forceinline__ uint2 widened(u32 four, u32 factor) {
  const u32 x = __byte_perm(four, 0, 0x1302); // so that what is moved together is adjacent
  return {timesPair(movedOdd(x), factor), timesPair(movedEven(x), factor)};
}

__device__ __forceinline__ void widenKeys(u8* tile, const Raw& raw) {
  const float mends = scaleValue(raw.scale) * (MENDS / OUT_SCALE);
  const u32 factor = packed(mends, mends);
  const int row = threadIdx.x / THREADS_OF_ROW;
#pragma unroll
  for (int i = 0; i < PACKS; i++) {
    const int pack = 2 * (i * THREADS_OF_ROW + threadIdx.x % THREADS_OF_ROW);
    const uint2 a = widened(raw.packs[i].x, factor), b = widened(raw.packs[i].y, factor);
    const uint2 c = widened(raw.packs[i].z, factor), d = widened(raw.packs[i].w, factor);
    *(uint4*)(tile + packAt(row, pack)) = {a.x, a.y, b.x, b.y};
    *(uint4*)(tile + packAt(row, pack + 1)) = {c.x, c.y, d.x, d.y};
  }
}
