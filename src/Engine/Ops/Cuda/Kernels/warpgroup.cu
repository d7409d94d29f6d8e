// Products of a warpgroup (four warps) on Hopper's tensor cores, whose operands lie in shared memory; sm_90a alone has them. Matrices lie in chunks of
// 64 columns: rows of 128 bytes, eight rows (1024 bytes) a swizzled group: its 16-byte packs are at pack ^ (row % 8).
#if TYPE == 1
#define HALF_TYPE "bf16"
#else
#define HALF_TYPE "f16"
#endif
#define GROUP_BYTES 1024

// Byte of an element of a chunk; column % 8 == 0 where a pack is meant.
__device__ __forceinline__ int swizzled(int row, int column) { return row * 128 + ((column / 8 ^ row % 8) * 16) + column % 8 * 2; }

// Describes an operand that begins at an address of shared memory: groups of eight rows, or along the other dimension chunks, are apart by these bytes.
__device__ __forceinline__ u64 operandAt(u32 address, int chunkBytes) {
  return (u64)(address >> 4 & 0x3fff) | (u64)(chunkBytes >> 4) << 16 | (u64)(GROUP_BYTES >> 4) << 32 | 1ull << 62;
}

// The lower half of an operand's description (operandAt), whose rows are contiguous: places in shared memory add up in it.
__device__ __forceinline__ u32 operandLow(u32 address) { return address >> 4 | 1 << 16; }
__device__ __forceinline__ u64 operandOf(u32 low) { return (u64)low | (u64)(GROUP_BYTES >> 4 | 1 << 30) << 32; }

// The same number, which the compiler keeps instead of finding it anew.
__device__ __forceinline__ u32 kept(u32 number) {
  asm volatile("" : "+r"(number));
  return number;
}

// What was written to shared memory by ordinary stores or copies may be read by the tensor cores after the next barrier.
__device__ __forceinline__ void publishShared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

// Registers of results may have been touched before, and are the tensor cores' until waited for.
__device__ __forceinline__ void beginProducts() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
__device__ __forceinline__ void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int MAX> __device__ __forceinline__ void waitProducts() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(MAX) : "memory"); }

// Waits for all blocks of the cluster; what they wrote to their shared memory before can be read after.
__device__ __forceinline__ void meetCluster() {
  asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}
