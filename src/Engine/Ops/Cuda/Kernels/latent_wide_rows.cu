// Tiles of 16-bit rows for latent_attention_wide.cu: two are on their way by asynchronous copies.
#define IS_WIDENED 0
#define OUT_SCALE 1.f

typedef T Cached;

// Starts the copy of a tile.
__device__ __forceinline__ void copyKeys(u8* tile, const Cached* cache, const int* table, int begin, int end) {
  if (begin < end) {
    for (int i = threadIdx.x; i < KEYS * (ROW / 8); i += THREADS) {
      const int r = i / (ROW / 8), pack = i % (ROW / 8), position = begin + r;
      // Slots outside of the part may hold anything, and 0 times NaN is no 0.
      const bool wanted = position < end;
      const u64 slot = wanted ? (u64)table[position / BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE : 0;
      copyAsync(tile + packAt(r, pack), cache + slot * ROW + pack * 8, wanted);
    }
  }
  commitCopies();
}
