// Products of a warpgroup (four warps) on Hopper's tensor cores, with operands in shared memory; only sm_90a has them. Matrices lie in chunks of 64
// columns, with rows of 128 bytes. Eight rows (1024 bytes) form a swizzled group: its 16-byte packs are at pack ^ (row % 8).
#if TYPE == 1
#define HALF_TYPE "bf16"
#else
#define HALF_TYPE "f16"
#endif
#define GROUP_BYTES 1024

// Byte offset of an element within a chunk; for the offset of a pack, column % 8 is 0.
__device__ __forceinline__ int swizzled(int row, int column) { return row * 128 + ((column / 8 ^ row % 8) * 16) + column % 8 * 2; }

// Descriptor of an operand that begins at an address of shared memory. Groups of eight rows are GROUP_BYTES apart, chunks chunkBytes.
__device__ __forceinline__ u64 operandAt(u32 address, int chunkBytes) {
  return (u64)(address >> 4 & 0x3fff) | (u64)(chunkBytes >> 4) << 16 | (u64)(GROUP_BYTES >> 4) << 32 | 1ull << 62;
}

// The lower half of the descriptor (operandAt) of an operand with contiguous rows. Offsets in shared memory, divided by 16, can be added to it.
__device__ __forceinline__ u32 operandLow(u32 address) { return address >> 4 | 1 << 16; }
__device__ __forceinline__ u64 operandOf(u32 low) { return (u64)low | (u64)(GROUP_BYTES >> 4 | 1 << 30) << 32; }

// Returns the number unchanged, and makes the compiler keep it instead of computing it again.
__device__ __forceinline__ u32 kept(u32 number) {
  asm volatile("" : "+r"(number));
  return number;
}

// Makes ordinary stores and copies to shared memory visible to the tensor cores after the next barrier.
__device__ __forceinline__ void publishShared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Registers of results may be used before this call. From then on they belong to the tensor cores until waitProducts.
__device__ __forceinline__ void beginProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int MAX> __device__ __forceinline__ void waitProducts() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(MAX) : "memory"); }

// Waits for all blocks of the cluster. What they wrote to their shared memory before the call can be read after it.
__device__ __forceinline__ void meetCluster() {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}
