// How latent_attention_wide.cu is cut: a block has 64 heads of one row and tiles of 64 positions; two warpgroups multiply, a third one
// brings tiles. Each of the two owns every other tile, and half of the columns of the results. Compiled for RANK 512 and ROTARY 64.
#define KEYS 64
#define HEADS 64
#define GROUPS 2                                // that multiply
#define GROUP_THREADS 128
#define THREADS ((GROUPS + 1) * GROUP_THREADS)
#define ROW (RANK + ROTARY)
#define CHUNK_BYTES (KEYS * 128)                // of 64 rows, swizzled
#define PART_CHUNKS (RANK / 64 / GROUPS)        // of a group's columns
#define PART_BYTES (PART_CHUNKS * CHUNK_BYTES)
#define TILE_BYTES (ROW / 64 * CHUNK_BYTES)
#define QUERY_BYTES (RANK / 64 * CHUNK_BYTES)
#define VALUES (RANK / GROUPS / 2)              // results of a thread: two rows
#define SCORES (KEYS / 2)                       // of a thread: two rows
#define NR KEYS                                 // of multiplyPacks
#define FP8 0                                   // of multiplyPacks: tiles are 16-bit, whatever the cache is

// Of a thread that brings tiles, and of one that multiplies, which has 128 results; all begin with 168.
#define PRODUCER_REGISTERS "56"
#define CONSUMER_REGISTERS "224"

// In shared memory, from a multiple of GROUP_BYTES on. CudaLatentOps.WideSharedBytes counts the same.
#define TILES_AT QUERY_BYTES                              // [GROUPS, TILE_BYTES]: a tile lies in its owner's place
#define WEIGHTS_AT (TILES_AT + GROUPS * TILE_BYTES)       // [GROUPS, HEADS, KEYS]
#define MAXIMA_AT (WEIGHTS_AT + GROUPS * CHUNK_BYTES)     // [GROUPS, HEADS]
#define SUMS_AT (MAXIMA_AT + GROUPS * HEADS * 4)          // [GROUPS, HEADS]
#define BARRIERS_AT (SUMS_AT + GROUPS * HEADS * 4)        // [2, GROUPS, 2]

// Parts of a tile, which come and are free one after the other: the columns whose results its owner has, with the rotated part, and the
// others.
#define OWN_PART 0
#define OTHER_PART 1

// The barriers of a part of a group's tile: it has come; it has been read.
__device__ __forceinline__ u32 fullBarrier(u32 shared, int group, int part) { return shared + BARRIERS_AT + (group * 2 + part) * 8; }
__device__ __forceinline__ u32 emptyBarrier(u32 shared, int group, int part) { return fullBarrier(shared, GROUPS + group, part); }
