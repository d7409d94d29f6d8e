// One-shot all-reduce of a few rows: every rank writes its part into the memory of every other rank and adds up what it receives in the
// order of the ranks, so all ranks get the same bits. A word holds 4 bytes of data and the message number; both are written and read
// together, so no fence and no flag is needed (NCCL's LL protocol). Two areas alternate. A rank that writes message n has received all of
// message n - 1, and its peers sent that only after they had read message n - 2 from the area that is now overwritten.
// RANKS; RANK: this rank; CAPACITY: words of a message; GRID: largest grid; ADD: residual += sum, else part = sum; NORM: normed = RMS norm
// of the new residual, and each block handles whole rows.
#define ITEM (8 / (int)sizeof(T))

// Message numbers wrap after 2³² messages. To keep words of such an old message from passing for current ones, the areas are wiped four
// times per cycle.
#define WIPE_MASK 0x3fffffffu

union Item {
  uint2 raw;
  T element[ITEM];
};

__device__ __forceinline__ void sendItem(u64* words, uint2 data, u32 message) {
  const u64 first = (u64)message << 32 | data.x, second = (u64)message << 32 | data.y;
  asm volatile("st.relaxed.sys.global.v2.u64 [%0], {%1, %2};" ::"l"(words), "l"(first), "l"(second) : "memory");
}

__device__ __forceinline__ bool receiveItem(const u64* words, u32 message, uint2& data) {
  u64 first, second;
  asm volatile("ld.relaxed.sys.global.v2.u64 {%0, %1}, [%2];" : "=l"(first), "=l"(second) : "l"(words) : "memory");
  data = make_uint2((u32)first, (u32)second);
  return (u32)(first >> 32) == message && (u32)(second >> 32) == message;
}

__device__ __forceinline__ void add(float (&sums)[ITEM], uint2 data) {
  Item item;
  item.raw = data;
#pragma unroll
  for (int e = 0; e < ITEM; e++) sums[e] += toFloat(item.element[e]);
}

// Number 0 marks words that were never written. 1 is skipped too, so that the areas keep alternating.
__device__ __forceinline__ u32 after(u32 message) { return message == 0xffffffffu ? 2 : message + 1; }

__device__ __noinline__ void wipe(u64* area) {
  for (u64 i = blockIdx.x * blockDim.x + threadIdx.x; i < (u64)RANKS * CAPACITY; i += gridDim.x * blockDim.x) area[i] = 0;
  __threadfence_system();
  __syncthreads();
}

// boxes: [RANKS] addresses of the ranks' words, [2 areas][RANKS senders][CAPACITY]. messages: [GRID] number of the last message.
// Items (8 bytes each) are grouped in segments; a block handles every gridDim-th segment.
extern "C" __global__ void __launch_bounds__(1024) allReduce(T* part, T* residual, const T* normWeight, T* normed, const u64* boxes, u32* messages,
                                                             const u32* abort, int items, int segmentItems, float epsilon) {
#if NORM
  __shared__ float scratch[WARP];
#endif
  u64* peers[RANKS];
#pragma unroll
  for (int r = 0; r < RANKS; r++) peers[r] = (u64*)boxes[r];
  u64* own = (u64*)boxes[RANK];
  waitForPrevious();

  const u32 message = after(loadRelaxed(messages + blockIdx.x));
  const int area = message & 1, segments = (items + segmentItems - 1) / segmentItems;
  if ((message & WIPE_MASK) >> 1 == 1) wipe(own + (u64)(area ^ 1) * RANKS * CAPACITY);

  for (int segment = blockIdx.x; segment < segments; segment += gridDim.x) {
    for (int i = threadIdx.x; i < segmentItems; i += blockDim.x) {
      const int item = segment * segmentItems + i;
      if (item >= items) break;
      const uint2 mine = ((const uint2*)part)[item];
#pragma unroll
      for (int r = 0; r < RANKS; r++)
        if (r != RANK) sendItem(peers[r] + (u64)(area * RANKS + RANK) * CAPACITY + 2 * item, mine, message);
    }
  }

  const u64* inbox = own + (u64)area * RANKS * CAPACITY;
  bool alive = true;
  u32 turns = 0;
  for (int segment = blockIdx.x; segment < segments; segment += gridDim.x) {
    float squares = 0;
    for (int i = threadIdx.x; alive && i < segmentItems; i += blockDim.x) {
      const int item = segment * segmentItems + i;
      if (item >= items) break;
      uint2 parts[RANKS];
      bool complete;
      do {
        complete = true;
#pragma unroll
        for (int r = 0; r < RANKS; r++) {
          if (r == RANK) parts[r] = ((const uint2*)part)[item];
          else complete &= receiveItem(inbox + (u64)r * CAPACITY + 2 * item, message, parts[r]);
        }
      } while (!complete && (alive = waitOn(turns, abort)));

      Item result;
      float sums[ITEM] = {};
#pragma unroll
      for (int r = 0; r < RANKS; r++) add(sums, parts[r]);
#if ADD
      add(sums, ((const uint2*)residual)[item]);
#endif
#pragma unroll
      for (int e = 0; e < ITEM; e++) {
        result.element[e] = fromFloat(sums[e]);
        squares = fmaf(toFloat(result.element[e]), toFloat(result.element[e]), squares);
      }
      ((uint2*)(ADD ? residual : part))[item] = result.raw;
    }
#if NORM
    const float scale = rsqrtf(blockSum(squares, scratch) / (segmentItems * ITEM) + epsilon);
    for (int i = threadIdx.x; i < segmentItems; i += blockDim.x) {
      Item value, factor;
      value.raw = ((const uint2*)residual)[segment * segmentItems + i];
      factor.raw = ((const uint2*)normWeight)[i];
#pragma unroll
      for (int e = 0; e < ITEM; e++) value.element[e] = fromFloat(toFloat(value.element[e]) * scale * toFloat(factor.element[e]));
      ((uint2*)normed)[segment * segmentItems + i] = value.raw;
    }
#endif
  }

  // Only after all peers have arrived: kernels that begin early could fill a card on which a peer still has to run.
  launchDependents();
  __syncthreads();
  if (threadIdx.x == 0)
    for (int b = blockIdx.x; b < GRID; b += gridDim.x) messages[b] = message;
}
