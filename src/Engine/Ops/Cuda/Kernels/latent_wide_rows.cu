// Tiles of 16-bit rows for latent_attention_wide.cu, by asynchronous copies.
#define OUT_SCALE 1.f
#define ROW_THREADS 8                              // have the packs of a chunk of a row
#define ROWS_AT_ONCE (GROUP_THREADS / ROW_THREADS)
#define OWN_ROWS (KEYS / ROWS_AT_ONCE)             // of a thread
#define PRODUCER_REGISTERS "40"
#define CONSUMER_REGISTERS "232"
#ifndef COPY_AHEAD
#define COPY_AHEAD ""
#endif

typedef T Cached;

// The blocks of the cache that have a thread's rows of a tile. first: the position of its first one.
struct Blocks {
  int ids[OWN_ROWS];
};

__device__ __forceinline__ void findBlocks(Blocks& blocks, const int* table, int first, int end) {
#pragma unroll
  for (int i = 0; i < OWN_ROWS; i++) {
    const u32 position = first + i * ROWS_AT_ONCE;
    blocks.ids[i] = (int)position < end ? __ldg(table + position / BLOCK_SIZE) : 0;
  }
}

// Starts the copies of chunks. Slots outside of the context may hold anything, and 0 times NaN is no 0: those rows are zeros.
__device__ __forceinline__ void copyChunks(u32 to, const Cached* const (&rows)[OWN_ROWS], int column, int chunks, int first, int end) {
  const Cached* from[OWN_ROWS];
#pragma unroll
  for (int i = 0; i < OWN_ROWS; i++) from[i] = rows[i] + column;
#pragma unroll
  for (int c = 0; c < chunks; c++)
#pragma unroll
    for (int i = 0; i < OWN_ROWS; i++)
      asm volatile("cp.async.cg.shared.global" COPY_AHEAD " [%0], [%1], 16, %2;"
                   :: "r"(to + c * CHUNK_BYTES + i * ROWS_AT_ONCE * 128), "l"(from[i] + c * 64), "r"(first + i * ROWS_AT_ONCE < end ? 16 : 0) : "memory");
}

// Arrives when all copies that the thread has started have come; the barrier counts it among its arrivals from the beginning.
__device__ __forceinline__ void arriveWithCopies(u32 barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" :: "r"(barrier) : "memory");
}

// Brings tiles, of all threads of a warpgroup.
__device__ __forceinline__ void bringTiles(u32 shared, const Cached* cache, const u8*, const int* table, int begin, int end) {
  const int row = threadIdx.x % GROUP_THREADS / ROW_THREADS, pack = threadIdx.x % ROW_THREADS;
  int first = begin + row;
  Blocks blocks;
  findBlocks(blocks, table, first, end);
#pragma unroll 1
  for (int at = begin; at < end; at += KEYS) {
    const int i = (at - begin) / KEYS, group = i % GROUPS, parity = i / GROUPS % 2 ^ 1;
    const u32 tile = shared + TILES_AT + group * TILE_BYTES + swizzled(row, pack * 8);
    const Cached* rows[OWN_ROWS];
#pragma unroll
    for (int r = 0; r < OWN_ROWS; r++)
      rows[r] = cache + ((u64)blocks.ids[r] * BLOCK_SIZE + (u32)(first + r * ROWS_AT_ONCE) % BLOCK_SIZE) * ROW + pack * 8;
    findBlocks(blocks, table, first + KEYS, end);
    waitBarrier(emptyBarrier(shared, group, OWN_PART), parity);
    copyChunks(tile + group * PART_BYTES, rows, group * PART_CHUNKS * 64, PART_CHUNKS, first, end);
    copyChunks(tile + QUERY_BYTES, rows, RANK, 1, first, end);
    arriveWithCopies(fullBarrier(shared, group, OWN_PART));
    waitBarrier(emptyBarrier(shared, group, OTHER_PART), parity);
    copyChunks(tile + (group ^ 1) * PART_BYTES, rows, (group ^ 1) * PART_CHUNKS * 64, PART_CHUNKS, first, end);
    arriveWithCopies(fullBarrier(shared, group, OTHER_PART));
    first += KEYS;
  }
  waitCopies<0>();
}
