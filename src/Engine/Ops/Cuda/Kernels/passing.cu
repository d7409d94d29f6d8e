// Passes data from one rank to another, in chunks through a ring in the receiver's memory: [GRID][2][CHUNK_BYTES]. A block works only with
// the same block of the other rank. arrivals (in the receiver's memory): [GRID] number of the last chunk that was written; credits (in the
// sender's memory): [GRID] number of the last chunk that was read.
__device__ __forceinline__ void copyBytes(unsigned char* target, const unsigned char* source, int bytes) {
  const int packs = bytes / 16;
  for (int i = threadIdx.x; i < packs; i += blockDim.x) ((uint4*)target)[i] = loadPeer((const uint4*)source + i);
  for (int i = 16 * packs + threadIdx.x; i < bytes; i += blockDim.x) target[i] = *(const volatile unsigned char*)(source + i);
}

extern "C" __global__ void __launch_bounds__(512) sendChunks(const unsigned char* source, unsigned char* ring, u32* arrivals, const u32* credits, u32* chunks,
                                                             const u32* abort, u64 bytes, int chunk) {
  __shared__ int dead;
  if (threadIdx.x == 0) dead = 0;
  waitForPrevious();
  u32 number = loadRelaxed(chunks + blockIdx.x);
  for (u64 start = (u64)blockIdx.x * chunk; start < bytes; start += (u64)gridDim.x * chunk) {
    number++;
    if (threadIdx.x == 0 && !waitForCount(credits + blockIdx.x, number - 2, abort)) dead = 1;
    __syncthreads();
    if (dead) break;
    copyBytes(ring + (u64)(blockIdx.x * 2 + (number & 1)) * CHUNK_BYTES, source + start, (int)min((u64)chunk, bytes - start));
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence_system();
      storeRelease(arrivals + blockIdx.x, number);
    }
  }
  launchDependents();
  __syncthreads();
  if (threadIdx.x == 0) chunks[blockIdx.x] = number;
}

extern "C" __global__ void __launch_bounds__(512) receiveChunks(unsigned char* target, const unsigned char* ring, const u32* arrivals, u32* credits, u32* chunks,
                                                                const u32* abort, u64 bytes, int chunk) {
  __shared__ int dead;
  if (threadIdx.x == 0) dead = 0;
  waitForPrevious();
  u32 number = loadRelaxed(chunks + blockIdx.x);
  for (u64 start = (u64)blockIdx.x * chunk; start < bytes; start += (u64)gridDim.x * chunk) {
    number++;
    if (threadIdx.x == 0 && !waitForCount(arrivals + blockIdx.x, number, abort)) dead = 1;
    __syncthreads();
    if (dead) break;
    copyBytes(target + start, ring + (u64)(blockIdx.x * 2 + (number & 1)) * CHUNK_BYTES, (int)min((u64)chunk, bytes - start));
    __syncthreads();
    if (threadIdx.x == 0) {
      __threadfence_system();
      storeRelease(credits + blockIdx.x, number);
    }
  }
  launchDependents();
  __syncthreads();
  if (threadIdx.x == 0) chunks[blockIdx.x] = number;
}
