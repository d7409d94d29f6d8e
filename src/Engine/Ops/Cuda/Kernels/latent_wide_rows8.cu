// Tiles of 8-bit floats for latent_attention_wide.cu: what is on its way lies in registers, and is widened into the tile. A row's scale is part of the
// product that widens it.
#define ROW_THREADS 4                              // have the packs of a chunk of a row
#define ROWS_AT_ONCE (GROUP_THREADS / ROW_THREADS)
#define OWN_ROWS (KEYS / ROWS_AT_ONCE)             // of a thread
#define CHUNKS (ROW / 64)
#define AHEAD 3                                    // chunks on their way; CHUNKS is a multiple
#define PRODUCER_REGISTERS "56"
#define CONSUMER_REGISTERS "224"

typedef u8 Cached;

// A thread's rows of a tile.
struct Rows {
  const Cached* packs[OWN_ROWS]; // the thread's, of the first chunk; null outside of the context, where slots may hold anything
  u32 scales[OWN_ROWS];
};

__device__ __forceinline__ void findBlocks(int (&blocks)[OWN_ROWS], const int* table, int first, int end) {
#pragma unroll
  for (int i = 0; i < OWN_ROWS; i++) {
    const u32 position = first + i * ROWS_AT_ONCE;
    blocks[i] = (int)position < end ? __ldg(table + position / BLOCK_SIZE) : -1;
  }
}

__device__ __forceinline__ void findRows(Rows& rows, const int (&blocks)[OWN_ROWS], const Cached* cache, const u8* scales, int first) {
#pragma unroll
  for (int i = 0; i < OWN_ROWS; i++) {
    const u64 slot = (u64)(u32)blocks[i] * BLOCK_SIZE + (u32)(first + i * ROWS_AT_ONCE) % BLOCK_SIZE;
    const bool wanted = blocks[i] >= 0;
    rows.packs[i] = wanted ? cache + slot * ROW + threadIdx.x % ROW_THREADS * 16 : nullptr;
    rows.scales[i] = wanted ? __ldcg(scales + slot) : 0;
  }
}

__device__ __forceinline__ void loadChunk(uint4 (&raw)[OWN_ROWS], const Rows& rows, int chunk) {
#pragma unroll
  for (int i = 0; i < OWN_ROWS; i++) raw[i] = rows.packs[i] ? __ldcg((const uint4*)(rows.packs[i] + chunk * 64)) : uint4{0, 0, 0, 0};
}

// Four adjacent elements, OUT_SCALE times too small.
__device__ __forceinline__ uint2 widened(u32 four, u32 factor) {
  const u32 x = __byte_perm(four, 0, 0x1302); // so that what is moved together is adjacent
  return {timesPair(movedOdd(x), factor), timesPair(movedEven(x), factor)};
}

__device__ __forceinline__ void storePack(u32 to, u32 low, u32 high, u32 factor) {
  const uint2 a = widened(low, factor), b = widened(high, factor);
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" :: "r"(to), "r"(a.x), "r"(a.y), "r"(b.x), "r"(b.y) : "memory");
}

// Which chunk of a group's tile comes as the c-th one: those of its own part first, then the other's.
__device__ __forceinline__ int chunkOf(int group, int c) {
  if (c == PART_CHUNKS) return RANK / 64;
  return c < PART_CHUNKS ? group * PART_CHUNKS + c : (group ^ 1) * PART_CHUNKS + c - PART_CHUNKS - 1;
}

// Brings tiles, of all threads of a warpgroup.
__device__ __forceinline__ void bringTiles(u32 shared, const Cached* cache, const u8* scales, const int* table, int begin, int end) {
  const int row = threadIdx.x % GROUP_THREADS / ROW_THREADS, pack = threadIdx.x % ROW_THREADS * 2;
  const u32 first16 = swizzled(row, pack * 8); // the place of a pack's first half; the second one is beside it
  int first = begin + row, blocks[OWN_ROWS];
  Rows rows;
  uint4 raw[AHEAD][OWN_ROWS];
  findBlocks(blocks, table, first, end);
  findRows(rows, blocks, cache, scales, first);
#pragma unroll
  for (int c = 0; c < AHEAD; c++) loadChunk(raw[c], rows, chunkOf(0, c));
  findBlocks(blocks, table, first + KEYS, end);
#pragma unroll 1
  for (int at = begin; at < end; at += KEYS) {
    const int i = (at - begin) / KEYS, group = i % GROUPS, parity = i / GROUPS % 2 ^ 1;
    u32 factors[OWN_ROWS];
#pragma unroll
    for (int r = 0; r < OWN_ROWS; r++) {
      const float mends = scaleValue(rows.scales[r]) * (MENDS / OUT_SCALE);
      factors[r] = packed(mends, mends);
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
      if (c == 0) waitBarrier(emptyBarrier(shared, group, OWN_PART), parity);
      if (c == PART_CHUNKS + 1) waitBarrier(emptyBarrier(shared, group, OTHER_PART), parity);
      const u32 to = shared + TILES_AT + group * TILE_BYTES + chunkOf(group, c) * CHUNK_BYTES;
#pragma unroll
      for (int r = 0; r < OWN_ROWS; r++) {
        const uint4 x = raw[c % AHEAD][r];
        storePack(to + first16 + r * ROWS_AT_ONCE * 128, x.x, x.y, factors[r]);
        storePack(to + (first16 ^ 16) + r * ROWS_AT_ONCE * 128, x.z, x.w, factors[r]);
      }
      if (c == CHUNKS - AHEAD) { // from here on the next tile's are on their way
        first += KEYS;
        findRows(rows, blocks, cache, scales, first);
        findBlocks(blocks, table, first + KEYS, end);
      }
      loadChunk(raw[c % AHEAD], rows, c + AHEAD < CHUNKS ? chunkOf(group, c + AHEAD) : chunkOf(group ^ 1, c + AHEAD - CHUNKS));
      if (c == PART_CHUNKS || c == CHUNKS - 1) {
        publishShared();
        arriveAt(fullBarrier(shared, group, c == PART_CHUNKS ? OWN_PART : OTHER_PART));
      }
    }
  }
}
