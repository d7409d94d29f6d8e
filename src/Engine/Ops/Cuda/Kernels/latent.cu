// What latent attention (arXiv 2405.04434) does to a token's row and queries before attention. Compiled for RANK, PLAIN, ROTARY and INTERLEAVED:
// if set, rotated pairs are adjacent elements; otherwise they are half the rotated part apart.
// CACHE_FP8: the row is stored as 8-bit floats with one scale (float8.cu).
#define HALF (ROTARY / 2)
#define ROW (RANK + ROTARY)
#define THREADS 128
#define OWN ((RANK + THREADS - 1) / THREADS)       // elements of a latent vector per thread
#define OWN_PAIRS ((HALF + THREADS - 1) / THREADS) // rotated pairs per thread

#if CACHE_FP8
typedef u8 Cached;
#else
typedef T Cached;
#endif

__device__ __forceinline__ int firstOf(int pair) { return INTERLEAVED ? 2 * pair : pair; }
__device__ __forceinline__ int secondOf(int pair) { return INTERLEAVED ? 2 * pair + 1 : pair + HALF; }

#if CACHE_FP8
// Maximum over the block. Every thread gets it, and then sees what others wrote to shared memory before. scratch: [WARP].
__device__ __forceinline__ u32 blockMax(u32 x, u32* scratch) {
  x = warpMax(x);
  if (threadIdx.x % WARP == 0) scratch[threadIdx.x / WARP] = x;
  __syncthreads();
  u32 largest = 0;
  for (int w = 0; w < blockDim.x / WARP; w++) largest = max(largest, scratch[w]);
  return largest;
}
#endif

// queries: [tokens, heads, PLAIN + ROTARY], rotated in place. rows: [tokens, width]; from column on a row has a latent vector and the rotated
// part of a key. These are normalised, rotated and stored at the token's slot of cache [slots, ROW]; with CACHE_FP8 their scale goes to the
// same slot of scales [slots]. A padding row has a negative slot. cosines, sines: [positions, HALF] float32. grid (tokens, 1 + blocks of
// heads), THREADS.
extern "C" __global__ void __launch_bounds__(THREADS) rotateAndStore(
    T* queries, const T* rows, int width, int column, const T* normWeight, float epsilon, const float* cosines, const float* sines,
    const int* rotaryRows, const int* slots, Cached* cache, u8* scales, int heads) {
  __shared__ float scratch[WARP];
  launchDependents();
  const int token = blockIdx.x;
  float factor[OWN];
  if (blockIdx.y == 0) {
    // No kernel writes the weights, so they are loaded while the previous kernel still runs.
#pragma unroll
    for (int i = 0; i < OWN; i++) factor[i] = i * THREADS + threadIdx.x < RANK ? toFloat(normWeight[i * THREADS + threadIdx.x]) : 0;
  }
  waitForPrevious();
  const int slot = slots[token];
  const float* cosine = cosines + (u64)rotaryRows[token] * HALF;
  const float* sine = sines + (u64)rotaryRows[token] * HALF;
  if (blockIdx.y > 0) {
    const int blocks = gridDim.y - 1, perBlock = (heads + blocks - 1) / blocks, first = (blockIdx.y - 1) * perBlock;
    const int pairs = min(perBlock, heads - first) * HALF;
    for (int i = threadIdx.x; i < pairs; i += THREADS) {
      const int head = first + i / HALF, pair = i % HALF;
      T* query = queries + ((u64)token * heads + head) * (PLAIN + ROTARY) + PLAIN;
      const float a = toFloat(query[firstOf(pair)]), b = toFloat(query[secondOf(pair)]), c = cosine[pair], s = sine[pair];
      const T x = fromFloat(a * c - b * s), y = fromFloat(b * c + a * s);
      query[firstOf(pair)] = x;
      query[secondOf(pair)] = y;
    }
    return;
  }

  const T* row = rows + (u64)token * width + column;
  float latent[OWN], squares = 0;
#pragma unroll
  for (int i = 0; i < OWN; i++) latent[i] = i * THREADS + threadIdx.x < RANK ? toFloat(row[i * THREADS + threadIdx.x]) : 0;
  float first[OWN_PAIRS], second[OWN_PAIRS], c[OWN_PAIRS], s[OWN_PAIRS];
#pragma unroll
  for (int i = 0; i < OWN_PAIRS; i++) {
    const int pair = min(i * THREADS + (int)threadIdx.x, HALF - 1);
    first[i] = toFloat(row[RANK + firstOf(pair)]);
    second[i] = toFloat(row[RANK + secondOf(pair)]);
    c[i] = cosine[pair];
    s[i] = sine[pair];
  }
#pragma unroll
  for (int i = 0; i < OWN; i++) squares = fmaf(latent[i], latent[i], squares);
  const float scale = rsqrtf(blockSum(squares, scratch) / RANK + epsilon);
  if (slot < 0) return;
  Cached* target = cache + (u64)slot * ROW;
#if CACHE_FP8
  // Compared as bits of magnitudes; the bits of NaN are the largest.
  __shared__ float values[ROW];
  u32 largest = 0;
#define STORE(i, value) largest = max(largest, __float_as_uint(values[i] = value) & 0x7fffffffu)
#else
#define STORE(i, value) target[i] = fromFloat(value)
#endif
#pragma unroll
  for (int i = 0; i < OWN; i++)
    if (i * THREADS + threadIdx.x < RANK) STORE(i * THREADS + threadIdx.x, latent[i] * scale * factor[i]);
#pragma unroll
  for (int i = 0; i < OWN_PAIRS; i++) {
    const int pair = i * THREADS + threadIdx.x;
    if (pair >= HALF) break;
    STORE(RANK + firstOf(pair), first[i] * c[i] - second[i] * s[i]);
    STORE(RANK + secondOf(pair), second[i] * c[i] + first[i] * s[i]);
  }
#if CACHE_FP8
  const u32 rowScale = scaleOf(blockMax(largest, (u32*)scratch));
  const float inverse = inverseOf(rowScale);
  for (int i = threadIdx.x; i < ROW; i += THREADS) target[i] = toFloat8(values[i] * inverse);
  if (threadIdx.x == 0) scales[slot] = (u8)rowScale;
#endif
}
