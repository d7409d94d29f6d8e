// Barriers in shared memory (mbarrier), with which threads and the copy engine signal what has arrived and what has been read. A phase ends
// after as many arrivals as the barrier was created for; then the next phase begins.
__device__ __forceinline__ void createBarrier(u32 barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(barrier), "r"(arrivals) : "memory");
}

// Waits until the barrier's phase of this parity has ended.
__device__ __forceinline__ void waitBarrier(u32 barrier, int parity) {
  asm volatile("{ .reg .pred p;\nWAIT: mbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n@!p bra WAIT; }"
               :: "r"(barrier), "r"(parity) : "memory");
}

// Arrives, and extends the phase until this many bytes have arrived as well.
__device__ __forceinline__ void expectBytes(u32 barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(barrier), "r"(bytes) : "memory");
}

// Arrives at the barrier.
__device__ __forceinline__ void arriveAt(u32 barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(barrier) : "memory");
}
