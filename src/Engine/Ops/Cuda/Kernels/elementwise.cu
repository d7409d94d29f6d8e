// out[r] = table[rows[r]]: embedding lookup, and selecting rows of a matrix. A row -1 - s stands for sampled[s]. One block per row.
extern "C" __global__ void gatherRows(const T* table, const int* rows, const int* sampled, T* out, int width, int tableRows) {
  launchDependents();
  waitForPrevious();
  int row = rows[blockIdx.x];
  if (row < 0 && sampled) row = sampled[-1 - row];
  if (row < 0 || row >= tableRows) return;
  const T* source = table + (u64)row * width;
  T* target = out + (u64)blockIdx.x * width;
  if (width % PACK == 0) {
    for (int i = threadIdx.x; i < width / PACK; i += blockDim.x) ((uint4*)target)[i] = ((const uint4*)source)[i];
  } else {
    for (int i = threadIdx.x; i < width; i += blockDim.x) target[i] = source[i];
  }
}

// As gatherRows, for a table that begins at row first of a larger one; rows outside it become zeros. One block per row.
extern "C" __global__ void gatherShard(const T* table, const int* rows, const int* sampled, T* out, int width, int tableRows, int first) {
  launchDependents();
  waitForPrevious();
  int row = rows[blockIdx.x];
  if (row < 0 && sampled) row = sampled[-1 - row];
  row -= first;
  const bool isHere = row >= 0 && row < tableRows;
  const T* source = table + (u64)(isHere ? row : 0) * width;
  T* target = out + (u64)blockIdx.x * width;
  for (int i = threadIdx.x; i < width; i += blockDim.x) target[i] = isHere ? source[i] : fromFloat(0);
}

// out = x / rms(x) * weight, one block per row. x: [rows, width], rows stride elements apart; out: contiguous.
extern "C" __global__ void rmsNorm(const T* x, int stride, const T* weight, T* out, int width, float epsilon) {
  __shared__ float scratch[WARP];
  launchDependents();
  waitForPrevious();
  const T* row = x + (u64)blockIdx.x * stride;
  T* target = out + (u64)blockIdx.x * width;
  const bool packed = width % PACK == 0 && stride % PACK == 0 && (u64)x % 16 == 0;
  float squares = 0;
  if (packed) {
    for (int i = threadIdx.x; i < width / PACK; i += blockDim.x) {
      Pack16 pack;
      pack.raw = ((const uint4*)row)[i];
#pragma unroll
      for (int e = 0; e < PACK; e++) squares = fmaf(toFloat(pack.element[e]), toFloat(pack.element[e]), squares);
    }
  } else {
    for (int i = threadIdx.x; i < width; i += blockDim.x) squares = fmaf(toFloat(row[i]), toFloat(row[i]), squares);
  }
  const float scale = rsqrtf(blockSum(squares, scratch) / width + epsilon);
  if (packed) {
    for (int i = threadIdx.x; i < width / PACK; i += blockDim.x) {
      Pack16 pack, factor;
      pack.raw = ((const uint4*)row)[i];
      factor.raw = ((const uint4*)weight)[i];
#pragma unroll
      for (int e = 0; e < PACK; e++) pack.element[e] = fromFloat(toFloat(pack.element[e]) * scale * toFloat(factor.element[e]));
      ((uint4*)target)[i] = pack.raw;
    }
  } else {
    for (int i = threadIdx.x; i < width; i += blockDim.x) target[i] = fromFloat(toFloat(row[i]) * scale * toFloat(weight[i]));
  }
}

// RMSNorm of single heads inside a fused projection, in place. One warp per head: grid (tokens, heads), block 32.
extern "C" __global__ void rmsNormHeads(T* qkv, const T* weight, int rowWidth, int firstColumn, int headDim, float epsilon) {
  launchDependents();
  waitForPrevious();
  T* head = qkv + (u64)blockIdx.x * rowWidth + firstColumn + blockIdx.y * headDim;
  float squares = 0;
  for (int i = threadIdx.x; i < headDim; i += WARP) squares = fmaf(toFloat(head[i]), toFloat(head[i]), squares);
  const float scale = rsqrtf(warpSum(squares) / headDim + epsilon);
  for (int i = threadIdx.x; i < headDim; i += WARP) head[i] = fromFloat(toFloat(head[i]) * scale * toFloat(weight[i]));
}

__device__ __forceinline__ T gated(T gate, T up) {
  const float g = toFloat(gate);
  return fromFloat(g / (1 + expf(-g)) * toFloat(up));
}

// out = silu(gate) * up. gateUp: [rows, 2 * width], gate first. grid (rows, parts of a row).
extern "C" __global__ void siluAndMul(const T* gateUp, T* out, int width) {
  launchDependents();
  waitForPrevious();
  const T* gate = gateUp + (u64)blockIdx.x * 2 * width;
  T* target = out + (u64)blockIdx.x * width;
  const int first = blockIdx.y * blockDim.x + threadIdx.x, step = gridDim.y * blockDim.x;
  if (width % PACK == 0) {
    for (int i = first; i < width / PACK; i += step) {
      Pack16 g, u;
      g.raw = ((const uint4*)gate)[i];
      u.raw = ((const uint4*)(gate + width))[i];
#pragma unroll
      for (int e = 0; e < PACK; e++) g.element[e] = gated(g.element[e], u.element[e]);
      ((uint4*)target)[i] = g.raw;
    }
  } else {
    for (int i = first; i < width; i += step) target[i] = gated(gate[i], gate[width + i]);
  }
}

// Rotates queries and keys of [q | k | v] in place (halves convention) and stores keys and values at their slots; tokens with a negative
// slot are not stored. One block per token. cos, sin: [rows, headDim / 2] float32. keys, values: [slots, kvHeads, headDim].
extern "C" __global__ void rotaryAndCache(T* qkv, const float* cosines, const float* sines, const int* rotaryRows, const int* slots,
                                          T* keys, T* values, int heads, int kvHeads, int headDim) {
  launchDependents();
  waitForPrevious();
  const int token = blockIdx.x, half = headDim / 2, slot = slots[token];
  T* row = qkv + (u64)token * (heads + 2 * kvHeads) * headDim;
  const float* cosine = cosines + (u64)rotaryRows[token] * half;
  const float* sine = sines + (u64)rotaryRows[token] * half;
  const u64 target = (u64)slot * kvHeads * headDim;
  for (int i = threadIdx.x; i < (heads + kvHeads) * half; i += blockDim.x) {
    const int head = i / half, d = i - head * half;
    T* x = row + head * headDim + d;
    const float first = toFloat(x[0]), second = toFloat(x[half]), c = cosine[d], s = sine[d];
    const T a = fromFloat(first * c - second * s), b = fromFloat(second * c + first * s);
    x[0] = a;
    x[half] = b;
    if (head >= heads && slot >= 0) {
      T* key = keys + target + (head - heads) * headDim + d;
      key[0] = a;
      key[half] = b;
    }
  }
  if (slot < 0) return;
  const T* value = row + (heads + kvHeads) * headDim;
  for (int i = threadIdx.x; i < kvHeads * headDim; i += blockDim.x) values[target + i] = value[i];
}

// Copies keys and values of whole sequences from their blocks into contiguous rows. One block per position: grid (longest, sequences).
// starts: [sequences + 1] first row of each sequence in the result. tableStarts: [sequences].
extern "C" __global__ void gatherCache(const T* keys, const T* values, T* outKeys, T* outValues, const int* starts, const int* tableStarts,
                                       const int* tables, int width) {
  launchDependents();
  waitForPrevious();
  const int sequence = blockIdx.y, position = blockIdx.x, start = starts[sequence];
  if (position >= starts[sequence + 1] - start) return;
  const u64 source = ((u64)tables[tableStarts[sequence] + position / BLOCK_SIZE] * BLOCK_SIZE + position % BLOCK_SIZE) * width;
  const u64 target = (u64)(start + position) * width;
  if (width % PACK == 0) {
    for (int i = threadIdx.x; i < width / PACK; i += blockDim.x) {
      ((uint4*)(outKeys + target))[i] = ((const uint4*)(keys + source))[i];
      ((uint4*)(outValues + target))[i] = ((const uint4*)(values + source))[i];
    }
  } else {
    for (int i = threadIdx.x; i < width; i += blockDim.x) {
      outKeys[target + i] = keys[source + i];
      outValues[target + i] = values[source + i];
    }
  }
}

// Copies the last width elements (a multiple of PACK) of row i to the end of row i of every head. rows: [count, rowWidth]; keys: [heads,
// keyRows, keyWidth]. grid (count · width / PACK threads, any).
extern "C" __global__ void spreadLast(const T* rows, T* keys, int count, int rowWidth, int keyRows, int keyWidth, int width, int heads) {
  launchDependents();
  waitForPrevious();
  const int i = blockIdx.x * blockDim.x + threadIdx.x, packs = width / PACK, row = i / packs, pack = i % packs;
  if (row >= count) return;
  const uint4 part = ((const uint4*)(rows + (u64)(row + 1) * rowWidth - width))[pack];
  for (int head = blockIdx.y; head < heads; head += gridDim.y)
    ((uint4*)(keys + ((u64)head * keyRows + row + 1) * keyWidth - width))[pack] = part;
}
