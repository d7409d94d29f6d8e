// How latent_attention_wide.cu is cut: a block has two warpgroups and 64 heads of one row, and tiles of 64 positions. Compiled for RANK 512
// and ROTARY 64.
#define KEYS 64
#define HEADS 64
#define GROUPS 2
#define GROUP_THREADS 128
#define THREADS (GROUPS * GROUP_THREADS)
#define ROW (RANK + ROTARY)
#define CHUNK_BYTES (KEYS * 128)
#define CHUNKS (ROW / 64)
#define TILE_BYTES (CHUNKS * CHUNK_BYTES)
#define OWN_KEYS (KEYS / GROUPS)
#define OWN_CHUNKS (RANK / 64 / GROUPS)
#define VALUES (RANK / GROUPS / 2)  // of a thread: two rows
#define SCORES (OWN_KEYS / 2)
#define SHARED_BYTES (3 * TILE_BYTES + CHUNK_BYTES + 2 * GROUPS * HEADS * 4 + GROUP_BYTES)
#define NO_CHUNKS 16                // rows that are contiguous have no second distance

// The i-th 16-byte pack of a tile.
__device__ __forceinline__ int packAt(int row, int pack) { return pack / 8 * CHUNK_BYTES + swizzled(row, pack % 8 * 8); }
