// Loads tiles of 16-bit rows for latent_attention_wide.cu, by asynchronous copies.
#define OUT_SCALE 1.f                              // results are not scaled down
#define ROW_THREADS 8                              // threads that share a chunk of a row, one pack each
#define ROWS_AT_ONCE (GROUP_THREADS / ROW_THREADS)
#define OWN_ROWS (KEYS / ROWS_AT_ONCE)             // per thread

typedef T Cached;

// Tensor cores see copies only once they are published, like ordinary stores. The threads that started the copies do not run when these
// arrive, so the threads that multiply publish them.
__device__ __forceinline__ void publishTile() { publishShared(); }

// Ids of the cache blocks that hold a thread's rows of a pair of tiles.
struct Blocks {
  int ids[GROUPS][OWN_ROWS];
};

// first: the position of a thread's first row.
__device__ __forceinline__ void findBlocks(Blocks& blocks, const int* table, int first, int end) {
#pragma unroll
  for (int i = 0; i < GROUPS * OWN_ROWS; i++) {
    const u32 position = first + i * ROWS_AT_ONCE;
    blocks.ids[i / OWN_ROWS][i % OWN_ROWS] = (int)position < end ? __ldg(table + position / BLOCK_SIZE) : 0;
  }
}

// Starts the copies of some chunks. Rows outside the context become zeros: slots there may hold anything, and 0 times NaN is NaN.
__device__ __forceinline__ void copyChunks(u32 tile, const Cached* cache, const int (&blocks)[OWN_ROWS], int chunk, int chunks, int first,
                                           int end) {
#pragma unroll
  for (int i = 0; i < OWN_ROWS; i++) {
    const int position = first + i * ROWS_AT_ONCE;
    const u64 slot = (u64)blocks[i] * BLOCK_SIZE + (u32)position % BLOCK_SIZE;
    const Cached* from = cache + slot * ROW + threadIdx.x % ROW_THREADS * 8 + chunk * 64;
    const u32 to = tile + chunk * CHUNK_BYTES + i * ROWS_AT_ONCE * 128;
#pragma unroll
    for (int c = 0; c < chunks; c++)
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                   :: "r"(to + c * CHUNK_BYTES), "l"(from + c * 64), "r"(position < end ? 16 : 0) : "memory");
  }
}

// Arrives when all copies that the thread has started are complete. The barrier was created with a count that includes this arrival.
__device__ __forceinline__ void arriveWithCopies(u32 barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" :: "r"(barrier) : "memory");
}

// Loads the tiles of positions [begin, end), part by part in the order in which their places become free. Called by a whole warpgroup.
__device__ __forceinline__ void bringTiles(u32 shared, const Cached* cache, const u8*, const int* table, int begin, int end) {
  const int row = threadIdx.x % GROUP_THREADS / ROW_THREADS;
  const u32 tiles = shared + TILES_AT + swizzled(row, threadIdx.x % ROW_THREADS * 8);
  Blocks blocks, next;
  findBlocks(next, table, begin + row, end);
  int parity = 1; // places are free at first
#pragma unroll 1
  for (int first = begin + row; first - row < end; first += GROUPS * KEYS) {
    blocks = next;
    findBlocks(next, table, first + GROUPS * KEYS, end);
#pragma unroll
    for (int group = 0; group < GROUPS; group++)
#pragma unroll
      for (int part = OWN_PART; part <= OTHER_PART; part++) {
        if (first - row + group * KEYS >= end) continue; // an odd last tile
        const u32 tile = tiles + group * TILE_BYTES;
        waitBarrier(emptyBarrier(shared, group, part), parity);
        copyChunks(tile, cache, blocks.ids[group], (group ^ part) * PART_CHUNKS, PART_CHUNKS, first + group * KEYS, end);
        if (part == OWN_PART) copyChunks(tile, cache, blocks.ids[group], RANK / 64, 1, first + group * KEYS, end);
        arriveWithCopies(fullBarrier(shared, group, part));
      }
    parity ^= 1;
  }
  commitCopies();
  waitCopies<0>();
}
