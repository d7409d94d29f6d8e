// Access to memory that several ranks share: on one card, or over NVLink or PCIe. Strong accesses at system scope bypass the L1 cache.
__device__ __forceinline__ u32 loadAcquire(const u32* p) {
  u32 value;
  asm volatile("ld.acquire.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(p) : "memory");
  return value;
}

__device__ __forceinline__ u32 loadRelaxed(const u32* p) {
  u32 value;
  asm volatile("ld.relaxed.sys.global.u32 %0, [%1];" : "=r"(value) : "l"(p) : "memory");
  return value;
}

__device__ __forceinline__ void storeRelease(u32* p, u32 value) {
  asm volatile("st.release.sys.global.u32 [%0], %1;" ::"l"(p), "r"(value) : "memory");
}

__device__ __forceinline__ uint4 loadPeer(const uint4* p) {
  uint4 value;
  asm volatile("ld.relaxed.sys.global.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w) : "l"(p) : "memory");
  return value;
}

__device__ __forceinline__ float loadPeer(const float* p) { return __uint_as_float(loadRelaxed((const u32*)p)); }

__device__ __forceinline__ u16 loadPeer(const u16* p) {
  u16 value;
  asm volatile("ld.relaxed.sys.global.u16 %0, [%1];" : "=h"(value) : "l"(p) : "memory");
  return value;
}

// One turn of a loop that waits for a peer: sleeps if the wait takes long, and returns false once the group was aborted. The abort flag is in
// host memory and is read rarely: thousands of threads that poll it would keep the bus from the launches that they wait for.
__device__ __forceinline__ bool waitOn(u32& turns, const u32* abort) {
  turns++;
  if (turns > 256) __nanosleep(turns < 4096 ? 64 : 512);
  return turns % 2048 != 0 || loadRelaxed(abort) == 0;
}

// Waits until a peer's count has reached a number. Counts may wrap around after 32 bits.
__device__ __forceinline__ bool waitForCount(const u32* count, u32 number, const u32* abort) {
  for (u32 turns = 0; (int)(loadAcquire(count) - number) < 0;)
    if (!waitOn(turns, abort)) return false;
  return true;
}
