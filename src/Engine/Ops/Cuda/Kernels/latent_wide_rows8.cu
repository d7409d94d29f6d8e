// Loads tiles of 8-bit floats for latent_attention_wide.cu into registers, and widens them from there into the tile. A row's scale is part
// of the factor that widens it.
#define ROW_THREADS 4                              // threads that share a chunk of a row, one pack each
#define ROWS_AT_ONCE (GROUP_THREADS / ROW_THREADS)
#define OWN_ROWS (KEYS / ROWS_AT_ONCE)             // per thread
#define CHUNKS (ROW / 64)
#define AHEAD 3                                    // chunks in flight; GROUPS * CHUNKS must be a multiple of it

typedef u8 Cached;

// Does nothing: the threads that store a tile publish it before they arrive at its barrier.
__device__ __forceinline__ void publishTile() {}

// Slots of a thread's rows of a pair of tiles. Rows outside the context have NO_SLOT, because slots there may hold anything.
struct Slots {
  u32 ids[GROUPS][OWN_ROWS];
};
#define NO_SLOT 0xffffffffu

// Scales of the same rows, in their stored form.
struct RowScales {
  u32 bytes[GROUPS][OWN_ROWS];
};

// Loads the ids of cache blocks. slotsOf turns them into slots when they have arrived. first: the position of a thread's first row.
__device__ __forceinline__ void findBlocks(Slots& blocks, const int* table, int first, int end) {
#pragma unroll
  for (int i = 0; i < GROUPS * OWN_ROWS; i++) {
    const u32 position = first + i * ROWS_AT_ONCE;
    blocks.ids[i / OWN_ROWS][i % OWN_ROWS] = (int)position < end ? __ldg(table + position / BLOCK_SIZE) : NO_SLOT;
  }
}

__device__ __forceinline__ Slots slotsOf(const Slots& blocks, int first) {
  Slots slots;
#pragma unroll
  for (int i = 0; i < GROUPS * OWN_ROWS; i++) {
    const u32 block = blocks.ids[i / OWN_ROWS][i % OWN_ROWS], position = first + i * ROWS_AT_ONCE;
    slots.ids[i / OWN_ROWS][i % OWN_ROWS] = block == NO_SLOT ? NO_SLOT : block * BLOCK_SIZE + position % BLOCK_SIZE;
  }
  return slots;
}

__device__ __forceinline__ RowScales loadScales(const u8* scales, const Slots& slots) {
  RowScales loaded;
#pragma unroll
  for (int i = 0; i < GROUPS * OWN_ROWS; i++) {
    const u32 slot = slots.ids[i / OWN_ROWS][i % OWN_ROWS];
    loaded.bytes[i / OWN_ROWS][i % OWN_ROWS] = slot == NO_SLOT ? 0 : __ldcg(scales + slot);
  }
  return loaded;
}

// Parts of a pair of tiles are loaded in the order in which their places become free. For the c-th chunk: the group that owns its tile,
// its part, and its place within the part. The rotated columns are the last chunk of OWN_PART.
__device__ __forceinline__ constexpr int groupOf(int c) { return c / CHUNKS; }
__device__ __forceinline__ constexpr int partOf(int c) { return c % CHUNKS <= PART_CHUNKS ? OWN_PART : OTHER_PART; }
__device__ __forceinline__ constexpr int placeOf(int c) { return c % CHUNKS % (PART_CHUNKS + 1); }
__device__ __forceinline__ constexpr bool endsPart(int c) { return placeOf(c) == (partOf(c) == OWN_PART ? PART_CHUNKS : PART_CHUNKS - 1); }
__device__ __forceinline__ constexpr int chunkOf(int c) {
  return placeOf(c) == PART_CHUNKS ? RANK / 64 : (groupOf(c) ^ partOf(c)) * PART_CHUNKS + placeOf(c);
}

__device__ __forceinline__ void loadChunk(uint4 (&raw)[OWN_ROWS], const Cached* cache, const Slots& slots, int c) {
#pragma unroll
  for (int i = 0; i < OWN_ROWS; i++) {
    const u32 slot = slots.ids[groupOf(c)][i];
    raw[i] = {0, 0, 0, 0};
    if (slot != NO_SLOT) raw[i] = __ldcg((const uint4*)(cache + (u64)slot * ROW + chunkOf(c) * 64) + threadIdx.x % ROW_THREADS);
  }
}

// Widens four adjacent elements; the results are OUT_SCALE times too small.
__device__ __forceinline__ uint2 widened(u32 four, u32 factor) {
  const u32 x = __byte_perm(four, 0, 0x1302); // so that adjacent elements are moved together
  return {timesPair(movedOdd(x), factor), timesPair(movedEven(x), factor)};
}

__device__ __forceinline__ void storePack(u32 to, u32 low, u32 high, u32 factor) {
  const uint2 a = widened(low, factor), b = widened(high, factor);
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" :: "r"(to), "r"(a.x), "r"(a.y), "r"(b.x), "r"(b.y) : "memory");
}

// Loads the tiles of positions [begin, end). Called by a whole warpgroup.
__device__ __forceinline__ void bringTiles(u32 shared, const Cached* cache, const u8* scales, const int* table, int begin, int end) {
  const int row = threadIdx.x % GROUP_THREADS / ROW_THREADS, pack = threadIdx.x % ROW_THREADS * 2;
  const u32 tiles = shared + TILES_AT, low = swizzled(row, pack * 8), high = swizzled(row, pack * 8 + 8); // the places of a pack's halves
  int first = begin + row, parity = 1; // places are free at first
  Slots blocks, slots;
  uint4 raw[AHEAD][OWN_ROWS];
  findBlocks(blocks, table, first, end);
  slots = slotsOf(blocks, first);
  RowScales rowScales = loadScales(scales, slots);
#pragma unroll
  for (int c = 0; c < AHEAD; c++) loadChunk(raw[c], cache, slots, c);
  findBlocks(blocks, table, first + GROUPS * KEYS, end);
#pragma unroll 1
  for (; first - row < end; first += GROUPS * KEYS) {
    u32 factors[GROUPS][OWN_ROWS];
#pragma unroll
    for (int i = 0; i < GROUPS * OWN_ROWS; i++) {
      const float mends = scaleValue(rowScales.bytes[i / OWN_ROWS][i % OWN_ROWS]) * (MENDS / OUT_SCALE);
      factors[i / OWN_ROWS][i % OWN_ROWS] = packed(mends, mends);
    }
#pragma unroll
    for (int c = 0; c < GROUPS * CHUNKS; c++) {
      const int group = groupOf(c), part = partOf(c);
      // If the second tile of a pair is beyond the end, no thread reads it; storing it still waits for the readers of the tile before.
      if (placeOf(c) == 0) waitBarrier(emptyBarrier(shared, group, part), parity);
      const u32 to = tiles + group * TILE_BYTES + chunkOf(c) * CHUNK_BYTES;
#pragma unroll
      for (int r = 0; r < OWN_ROWS; r++) {
        const uint4 x = raw[c % AHEAD][r];
        storePack(to + low + r * ROWS_AT_ONCE * 128, x.x, x.y, factors[group][r]);
        storePack(to + high + r * ROWS_AT_ONCE * 128, x.z, x.w, factors[group][r]);
      }
      if (c == GROUPS * CHUNKS - AHEAD) { // from here on chunks of the next pair are loaded
        slots = slotsOf(blocks, first + GROUPS * KEYS);
        rowScales = loadScales(scales, slots);
        findBlocks(blocks, table, first + 2 * GROUPS * KEYS, end);
      }
      loadChunk(raw[c % AHEAD], cache, slots, (c + AHEAD) % (GROUPS * CHUNKS));
      if (endsPart(c)) {
        publishShared();
        arriveAt(fullBarrier(shared, group, part));
      }
    }
    parity ^= 1;
  }
}
