// Barriers in shared memory (mbarrier), by which threads and the copy engine say what has come and what has been read. A phase is over when
// as many have arrived as the barrier was created for; then the next one begins.
__device__ __forceinline__ void createBarrier(u32 barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barrier), "r"(arrivals) : "memory");
}

// Waits until a barrier's phase of this parity is over.
__device__ __forceinline__ void waitBarrier(u32 barrier, int parity) {
  asm volatile("{ .reg .pred p;\nWAIT: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra WAIT; }"
               :: "r"(barrier), "r"(parity) : "memory");
}

// Arrives, and lets the phase last until these bytes have come as well.
__device__ __forceinline__ void expectBytes(u32 barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
}

// Arrives.
__device__ __forceinline__ void arriveAt(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory");
}
