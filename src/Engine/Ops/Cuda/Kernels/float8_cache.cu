// Kernels that write a cache of 8-bit floats, and that widen it for attention over 16-bit keys and values. Scales: [blocks, kvHeads, BLOCK_SIZE].
#define HEADS_OF_BLOCK 4

// Rotates queries and keys of [q | k | v] in place (halves convention) and stores keys and values at their slots as 8-bit floats; tokens with a
// negative slot are not stored. One warp per head: grid (tokens, blocks of heads), block 32 * HEADS_OF_BLOCK. cos, sin: [rows, headDim / 2]
// float32. keys, values: [slots, kvHeads, headDim].
extern "C" __global__ void __launch_bounds__(WARP * HEADS_OF_BLOCK) rotaryAndStore(
    T* qkv, const float* cosines, const float* sines, const int* rotaryRows, const int* slots, u8* keys, u8* values, u8* keyScales,
    u8* valueScales, int heads, int kvHeads, int headDim) {
  launchDependents();
  waitForPrevious();
  const int token = blockIdx.x, lane = threadIdx.x % WARP, head = blockIdx.y * HEADS_OF_BLOCK + threadIdx.x / WARP;
  if (head >= heads + 2 * kvHeads) return;
  const int half = headDim / 2, slot = slots[token];
  T* row = qkv + ((u64)token * (heads + 2 * kvHeads) + head) * headDim;
  if (head < heads + kvHeads) {
    const float* cosine = cosines + (u64)rotaryRows[token] * half;
    const float* sine = sines + (u64)rotaryRows[token] * half;
    for (int d = lane; d < half; d += WARP) {
      const float first = toFloat(row[d]), second = toFloat(row[d + half]), c = cosine[d], s = sine[d];
      row[d] = fromFloat(first * c - second * s);
      row[d + half] = fromFloat(second * c + first * s);
    }
  }
  if (head < heads || slot < 0) return;
  __syncwarp(); // from here on a lane may read elements that another lane wrote

  // Compared as bits of magnitudes; the bits of NaN are the largest.
  u32 largest = 0;
  for (int d = lane; d < headDim; d += WARP) largest = max(largest, __float_as_uint(toFloat(row[d])) & 0x7fffffffu);
  largest = warpMax(largest);
  const u32 scale = scaleOf(largest);
  const float inverse = inverseOf(scale);
  const bool isKey = head < heads + kvHeads;
  const int kvHead = head - heads - (isKey ? 0 : kvHeads);
  u8* target = (isKey ? keys : values) + ((u64)slot * kvHeads + kvHead) * headDim;
  for (int d = lane; d < headDim; d += WARP) target[d] = toFloat8(toFloat(row[d]) * inverse);
  if (lane == 0) (isKey ? keyScales : valueScales)[((u64)(slot / BLOCK_SIZE) * kvHeads + kvHead) * BLOCK_SIZE + slot % BLOCK_SIZE] = (u8)scale;
}

union __align__(PACK) Bytes {
  u8 element[PACK];
};

// Widens PACK adjacent elements of a head, which share a scale.
__device__ __forceinline__ void widen(const u8* elements, float scale, T* target) {
  const Bytes bytes = *(const Bytes*)elements;
  Pack16 pack;
#pragma unroll
  for (int e = 0; e < PACK; e++) pack.element[e] = fromFloat(fromFloat8(bytes.element[e]) * scale);
  *(uint4*)target = pack.raw;
}

// Copies keys and values of whole sequences from their blocks into contiguous rows, widened. One block per position: grid (longest, sequences).
// starts: [sequences + 1] first row of each sequence in the result. tableStarts: [sequences]. headDim: a multiple of PACK.
extern "C" __global__ void gatherWidened(const u8* keys, const u8* values, const u8* keyScales, const u8* valueScales, T* outKeys, T* outValues,
                                         const int* starts, const int* tableStarts, const int* tables, int kvHeads, int headDim) {
  launchDependents();
  waitForPrevious();
  const int sequence = blockIdx.y, position = blockIdx.x, start = starts[sequence], width = kvHeads * headDim;
  if (position >= starts[sequence + 1] - start) return;
  const u64 block = tables[tableStarts[sequence] + position / BLOCK_SIZE];
  const u64 source = (block * BLOCK_SIZE + position % BLOCK_SIZE) * width, target = (u64)(start + position) * width;
  for (int i = threadIdx.x * PACK; i < width; i += blockDim.x * PACK) {
    const u64 scale = (block * kvHeads + i / headDim) * BLOCK_SIZE + position % BLOCK_SIZE;
    widen(keys + source + i, scaleValue(keyScales[scale]), outKeys + target + i);
    widen(values + source + i, scaleValue(valueScales[scale]), outValues + target + i);
  }
}
