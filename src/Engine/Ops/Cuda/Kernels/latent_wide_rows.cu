// Tiles of 16-bit rows for latent_attention_wide.cu, by asynchronous copies.
#define OUT_SCALE 1.f
#define ROW_THREADS 8                              // have the packs of a chunk of a row
#define ROWS_AT_ONCE (GROUP_THREADS / ROW_THREADS)
#define OWN_ROWS (KEYS / ROWS_AT_ONCE)             // of a thread
#define PRODUCER_REGISTERS "56"
#define CONSUMER_REGISTERS "224"
#ifndef CONSUMERS_PUBLISH
#define CONSUMERS_PUBLISH (!TMA && !OWN_WAIT) // nobody else does once copies have come
#endif
#if COPY_BYTES == 256
#define COPY_AHEAD ".L2::256B"
#elif COPY_BYTES == 128
#define COPY_AHEAD ".L2::128B"
#else
#define COPY_AHEAD ""
#endif

typedef T Cached;

// The blocks of the cache that have a thread's rows of a pair of tiles. first: the position of its first one.
struct Blocks {
  int ids[GROUPS][OWN_ROWS];
};

__device__ __forceinline__ void findBlocks(Blocks& blocks, const int* table, int first, int end) {
#pragma unroll
  for (int i = 0; i < GROUPS * OWN_ROWS; i++) {
    const u32 position = first + i * ROWS_AT_ONCE;
    blocks.ids[i / OWN_ROWS][i % OWN_ROWS] = (int)position < end ? __ldg(table + position / BLOCK_SIZE) : 0;
  }
}

// Starts the copies of chunks from a column on. Slots outside of the context may hold anything, and 0 times NaN is no 0: those rows are zeros.
__device__ __forceinline__ void copyChunks(u32 tile, const Cached* cache, const int (&blocks)[OWN_ROWS], int chunk, int chunks, int first, int end) {
#pragma unroll
  for (int i = 0; i < OWN_ROWS; i++) {
    const int position = first + i * ROWS_AT_ONCE;
    const Cached* from = cache + ((u64)blocks[i] * BLOCK_SIZE + (u32)position % BLOCK_SIZE) * ROW + threadIdx.x % ROW_THREADS * 8 + chunk * 64;
#pragma unroll
    for (int c = 0; c < chunks; c++)
      asm volatile("cp.async.cg.shared.global" COPY_AHEAD " [%0], [%1], 16, %2;"
                   :: "r"(tile + (chunk + c) * CHUNK_BYTES + i * ROWS_AT_ONCE * 128), "l"(from + c * 64), "r"(position < end ? 16 : 0) : "memory");
  }
}

// Arrives when all copies that the thread has started have come; the barrier counts it among its arrivals from the beginning.
__device__ __forceinline__ void arriveWithCopies(u32 barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" :: "r"(barrier) : "memory");
}

#if TMA
__device__ __forceinline__ void copyBox(u32 to, u64 map, int column, int row, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               :: "r"(to), "l"(map), "r"(column), "r"(row), "r"(barrier) : "memory");
}
#endif

// Brings tiles, of all threads of a warpgroup: of each pair the parts in the order in which their places become free.
__device__ __forceinline__ void bringTiles(u32 shared, const Cached* cache, const u8*, const int* table, int begin, int end, int share, int shares, u64 map) {
  const int row = threadIdx.x % GROUP_THREADS / ROW_THREADS;
#if TMA
  asm volatile("fence.proxy.tensormap::generic.acquire.sys [%0], 128;" :: "l"(map) : "memory");
#endif
  const u32 tiles = shared + TILES_AT + swizzled(row, threadIdx.x % ROW_THREADS * 8);
  Blocks blocks, next;
  findBlocks(next, table, begin + row, end);
#if PREFETCH
  // A thread has a row of the next pair: blocks of the same row have it brought to the chip by turns.
  const int ahead = threadIdx.x % GROUP_THREADS + GROUPS * KEYS;
  int aheadBlock = begin + ahead < end ? __ldg(table + (u32)(begin + ahead) / BLOCK_SIZE) : -1;
#endif
  int parity = 1;
#pragma unroll 1
  for (int first = begin + row; first - row < end; first += GROUPS * KEYS) {
    blocks = next;
    findBlocks(next, table, first + GROUPS * KEYS, end);
#if PREFETCH
    if (aheadBlock >= 0 && ahead % shares == share) {
      const Cached* from = cache + ((u64)aheadBlock * BLOCK_SIZE + (u32)(first - row + ahead) % BLOCK_SIZE) * ROW;
      asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" :: "l"(from), "n"(ROW * 2) : "memory");
    }
    const int further = first - row + ahead + GROUPS * KEYS;
    aheadBlock = further < end ? __ldg(table + (u32)further / BLOCK_SIZE) : -1;
#endif
#pragma unroll
    for (int i = 0; i < 2; i++)
#pragma unroll
      for (int k = 0; k < GROUPS; k++) {
#if BY_TILE
        const int g = i, part = k;
#else
        const int g = k, part = i;
#endif
        if (first - row + g * KEYS >= end) continue;
        const u32 tile = tiles + g * TILE_BYTES;
        waitBarrier(emptyBarrier(shared, g, part), parity);
#if TMA
        if (first - row + (g + 1) * KEYS <= end) {
#pragma unroll
          for (int piece = 0; piece < PIECES; piece++) {
            const int chunks = PIECE_CHUNKS + (part == OWN_PART && piece == PIECES - 1);
            const u32 barrier = fullBarrier(shared, g, part, piece);
            if (threadIdx.x % GROUP_THREADS == 0) {
              expectBytes(barrier, chunks * CHUNK_BYTES);
#pragma unroll
              for (int c = 0; c < chunks; c++) {
                const int chunk = c == PIECE_CHUNKS ? RANK / 64 : (g ^ part) * PART_CHUNKS + piece * PIECE_CHUNKS + c;
#pragma unroll
                for (int r = 0; r < OWN_ROWS; r++)
                  copyBox(shared + TILES_AT + g * TILE_BYTES + chunk * CHUNK_BYTES + r * ROWS_AT_ONCE * 128, map, chunk * 64, blocks.ids[g][r] * BLOCK_SIZE, barrier);
              }
            } else
              arriveAt(barrier);
          }
          continue;
        }
#endif
#pragma unroll
        for (int piece = 0; piece < PIECES; piece++) {
          copyChunks(tile, cache, blocks.ids[g], (g ^ part) * PART_CHUNKS + piece * PIECE_CHUNKS, PIECE_CHUNKS, first + g * KEYS, end);
          if (part == OWN_PART && piece == PIECES - 1) copyChunks(tile, cache, blocks.ids[g], RANK / 64, 1, first + g * KEYS, end);
#if !TMA && !OWN_WAIT
          arriveWithCopies(fullBarrier(shared, g, part, piece));
#endif
        }
#if TMA || OWN_WAIT
        commitCopies();
        waitCopies<0>();
        publishShared();
#pragma unroll
        for (int piece = 0; piece < PIECES; piece++) arriveAt(fullBarrier(shared, g, part, piece));
#endif
      }
    parity ^= 1;
  }
  commitCopies();
  waitCopies<0>();
}
