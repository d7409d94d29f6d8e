// How latent_attention_wide.cu is cut: a block has 64 heads of one row and tiles of 64 positions; two warpgroups multiply, a third one brings tiles.
// Each of the two owns every other tile, and half of the columns of the results. Compiled for RANK 512 and ROTARY 64.
#define KEYS 64
#define HEADS 64
#define GROUPS 2
#define GROUP_THREADS 128
#define THREADS ((GROUPS + 1) * GROUP_THREADS)
#define ROW (RANK + ROTARY)
#define CHUNK_BYTES (KEYS * 128)
#define PART_CHUNKS (RANK / 64 / GROUPS)
#define PART_BYTES (PART_CHUNKS * CHUNK_BYTES)
#ifndef PIECES
#define PIECES 1
#endif
#define PIECE_CHUNKS (PART_CHUNKS / PIECES)
#define TILE_BYTES (ROW / 64 * CHUNK_BYTES)
#define QUERY_BYTES (RANK / 64 * CHUNK_BYTES)
#define VALUES (RANK / GROUPS / 2)  // of a thread: two rows
#define SCORES (KEYS / 2)
#define NR KEYS                     // of multiplyPacks
#define FP8 0
// In shared memory, from a multiple of GROUP_BYTES on.
#define TILES_AT QUERY_BYTES                     // [GROUPS, TILE_BYTES]: a tile lies in its owner's place
#define WEIGHTS_AT (TILES_AT + GROUPS * TILE_BYTES) // [GROUPS, HEADS, KEYS]
#define MAXIMA_AT (WEIGHTS_AT + GROUPS * CHUNK_BYTES) // [GROUPS, HEADS]
#define SUMS_AT (MAXIMA_AT + GROUPS * HEADS * 4) // [GROUPS, HEADS]
#define BARRIERS_AT (SUMS_AT + GROUPS * HEADS * 4) // [GROUPS, 2, PIECES], then [GROUPS, 2]
#define SHARED_BYTES (BARRIERS_AT + (PIECES + 1) * GROUPS * 2 * 8 + GROUP_BYTES)

// Parts of a tile, which come and are read one after the other: the columns whose results its owner has, with the rotated part, and the others.
#define OWN_PART 0
#define OTHER_PART 1

// The barriers of a part of a group's tile: a piece of it has come; all of it has been read.
__device__ __forceinline__ u32 fullBarrier(u32 shared, int group, int part, int piece) {
  return shared + BARRIERS_AT + ((group * 2 + part) * PIECES + piece) * 8;
}
__device__ __forceinline__ u32 emptyBarrier(u32 shared, int group, int part) { return shared + BARRIERS_AT + (GROUPS * 2 * PIECES + group * 2 + part) * 8; }
