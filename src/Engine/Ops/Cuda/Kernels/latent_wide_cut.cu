// How latent_attention_wide.cu splits the work: a block has 64 heads of one row and tiles of 64 positions. Two warpgroups multiply, a
// third loads tiles. Each of the two owns every other tile and half of the result columns. Compiled for RANK 512 and ROTARY 64.
#define KEYS 64
#define HEADS 64
#define GROUPS 2                                // warpgroups that multiply
#define GROUP_THREADS 128
#define THREADS ((GROUPS + 1) * GROUP_THREADS)
#define ROW (RANK + ROTARY)
#define CHUNK_BYTES (KEYS * 128)                // of 64 rows, swizzled
#define PART_CHUNKS (RANK / 64 / GROUPS)        // of a group's columns
#define PART_BYTES (PART_CHUNKS * CHUNK_BYTES)
#define TILE_BYTES (ROW / 64 * CHUNK_BYTES)
#define QUERY_BYTES (RANK / 64 * CHUNK_BYTES)
#define VALUES (RANK / GROUPS / 2)              // results per thread: two rows
#define SCORES (KEYS / 2)                       // scores per thread: two rows
#define NR KEYS                                 // for multiplyPacks
#define FP8 0                                   // for multiplyPacks: tiles are 16-bit, whatever the cache is

// Registers of a thread that loads tiles, and of one that multiplies, which holds 128 results. All threads start with 168.
#define PRODUCER_REGISTERS "56"
#define CONSUMER_REGISTERS "224"

// Offsets in shared memory, from a multiple of GROUP_BYTES on. CudaLatentOps.WideSharedBytes must add up to the same size.
#define TILES_AT QUERY_BYTES                              // [GROUPS, TILE_BYTES]: each group has room for one tile that it owns
#define WEIGHTS_AT (TILES_AT + GROUPS * TILE_BYTES)       // [GROUPS, HEADS, KEYS]
#define MAXIMA_AT (WEIGHTS_AT + GROUPS * CHUNK_BYTES)     // [GROUPS, HEADS]
#define SUMS_AT (MAXIMA_AT + GROUPS * HEADS * 4)          // [GROUPS, HEADS]
#define BARRIERS_AT (SUMS_AT + GROUPS * HEADS * 4)        // [2, GROUPS, 2]

// Parts of a tile, which arrive and become free separately. OWN_PART: the columns whose results the tile's owner computes, and the
// rotated ones. OTHER_PART: the remaining columns.
#define OWN_PART 0
#define OTHER_PART 1

// The barriers of a part of a group's tile. full: the part has arrived; empty: it has been read.
__device__ __forceinline__ u32 fullBarrier(u32 shared, int group, int part) { return shared + BARRIERS_AT + (group * 2 + part) * 8; }
__device__ __forceinline__ u32 emptyBarrier(u32 shared, int group, int part) { return fullBarrier(shared, GROUPS + group, part); }
