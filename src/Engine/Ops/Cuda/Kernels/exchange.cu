// Sums or gathers messages of any size in chunks: a rank writes its chunk to its own memory, signals the other ranks, and reads their
// chunks. A block works only with the same block of every other rank. A block's two chunk buffers alternate: a rank that signals chunk n
// has read chunk n - 1 of all ranks.
// RANKS; RANK: this rank; GRID: largest grid; CHUNK_BYTES: largest chunk; ADD: target += sum; GATHER: target [rows][total] = the parts
// side by side, else part = sum. SCATTER: of the sum, only ownWidth elements from element width on belong to this rank; they are written to the
// beginning of target. PACKED: counts and (GATHER, SCATTER) widths are whole packs of 16 bytes.
#if PACKED
typedef Pack16 Unit;
#define UNIT PACK
__device__ __forceinline__ Unit loadUnit(const T* p) { Unit unit; unit.raw = *(const uint4*)p; return unit; }
__device__ __forceinline__ Unit loadPeerUnit(const T* p) { Unit unit; unit.raw = loadPeer((const uint4*)p); return unit; }
__device__ __forceinline__ void storeUnit(T* p, Unit unit) { *(uint4*)p = unit.raw; }
#else
struct Unit { T element[1]; };
#define UNIT 1
__device__ __forceinline__ Unit loadUnit(const T* p) { return {{*p}}; }
__device__ __forceinline__ Unit loadPeerUnit(const T* p) { return {{loadPeer(p)}}; }
__device__ __forceinline__ void storeUnit(T* p, Unit unit) { *p = unit.element[0]; }
#endif

// stages: [RANKS] addresses of the ranks' chunks, [GRID][2][CHUNK_BYTES]. arrivals: [RANKS] addresses of the ranks' counts,
// [GRID][RANKS]: the number of the last chunk that a peer has written. chunks: [GRID] number of this rank's last chunk. count: elements
// of part. GATHER: a rank has ownWidth of the total columns, which is width except on the last rank; count assumes full widths.
extern "C" __global__ void __launch_bounds__(512) exchange(T* part, T* target, const u64* stages, const u64* arrivals, u32* chunks, const u32* abort,
                                                           int count, int width, int ownWidth, int total, int chunk) {
  __shared__ int dead;
  const T* peers[RANKS];
  const u64 slot = (u64)blockIdx.x * 2 * CHUNK_BYTES;
#pragma unroll
  for (int r = 0; r < RANKS; r++) peers[r] = (const T*)(stages[r] + slot);
  T* own = (T*)(stages[RANK] + slot);
  const int peer = threadIdx.x;
  const bool signals = peer < RANKS && peer != RANK;
  u32* there = signals ? (u32*)arrivals[peer] + blockIdx.x * RANKS + RANK : 0;
  const u32* here = (const u32*)arrivals[RANK] + blockIdx.x * RANKS + peer;
  if (threadIdx.x == 0) dead = 0;
  waitForPrevious();

  u32 number = loadRelaxed(chunks + blockIdx.x);
  for (u32 start = blockIdx.x * (u32)chunk; start < (u32)count; start += gridDim.x * (u32)chunk) {
    number++;
    const int length = min(chunk, count - (int)start), turn = number & 1 ? CHUNK_BYTES / (int)sizeof(T) : 0;
    for (int i = threadIdx.x * UNIT; i < length; i += blockDim.x * UNIT) {
#if GATHER
      const int row = (int)(start + i) / width, column = (int)(start + i) - row * width;
      if (column < ownWidth) storeUnit(own + turn + i, loadUnit(part + (u64)row * ownWidth + column));
#else
      storeUnit(own + turn + i, loadUnit(part + start + i));
#endif
    }
    __syncthreads();
    if (signals) {
      __threadfence_system();
      storeRelease(there, number);
      if (!waitForCount(here, number, abort)) dead = 1;
    }
    __syncthreads();
    if (dead) break;

    for (int i = threadIdx.x * UNIT; i < length; i += blockDim.x * UNIT) {
#if SCATTER
      const int at = (int)start + i - width;
      if (at < 0 || at >= ownWidth) continue;
#endif
      Unit parts[RANKS];
#pragma unroll
      for (int r = 0; r < RANKS; r++) parts[r] = loadPeerUnit(peers[r] + turn + i);
#if GATHER
      const int row = (int)(start + i) / width, column = (int)(start + i) - row * width;
#pragma unroll
      for (int r = 0; r < RANKS; r++)
        if (r * width + column < total) storeUnit(target + (u64)row * total + r * width + column, parts[r]);
#else
#if SCATTER
      T* place = target + at;
#else
      T* place = (ADD ? target : part) + start + i;
#endif
      Unit result;
#if ADD
      const Unit old = loadUnit(place);
#endif
#pragma unroll
      for (int e = 0; e < UNIT; e++) {
        float sum = 0;
#pragma unroll
        for (int r = 0; r < RANKS; r++) sum += toFloat(parts[r].element[e]);
#if ADD
        sum += toFloat(old.element[e]);
#endif
        result.element[e] = fromFloat(sum);
      }
      storeUnit(place, result);
#endif
    }
  }

  // As in allReduce: only after all peers have arrived.
  launchDependents();
  __syncthreads();
  if (threadIdx.x == 0) chunks[blockIdx.x] = number;
}
