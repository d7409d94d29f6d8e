// y = x Wᵀ of 8-bit floats (e4m3) for many rows on Hopper. The copy engine loads both operands: tiles of 64 rows of x as quantiseTiles
// lays them out, and W by tensor maps. Four threads issue the copies; GROUPS (2 or 3) warpgroups take turns at the tiles of x and multiply
// them by the same 128 outputs. After every 128 inputs the sums are scaled and added in float32, since tensor cores add 8-bit products with
// fewer bits (arXiv 2412.19437, 3.3.2); meanwhile another warpgroup multiplies.
// Blocks are persistent and process one item after another: up to TILES tiles (one or two for each warpgroup) of rows of one matrix. Up to
// STAGES stages are in flight.
// GATED, ADD, ROWS: product.cu; gates and ups of the same outputs are in one block. grid (any), (GROUPS + 1) * 128 threads.
#define ROWS_OF_TILE 64
#define INPUTS 128                  // of a chunk; they share a scale
#define WEIGHT_BYTES (NR * INPUTS)
#define TILE_BYTES (ROWS_OF_TILE * INPUTS)
#define STAGE_BYTES (WEIGHT_BYTES + TILES * TILE_BYTES)
#define SCALE_BYTES (ROWS_OF_TILE * 4)
#define PRODUCERS 4                 // warps that issue copies: one for the matrix, and each of the other three for every third tile
#define ASKED ((TILES + PRODUCERS - 2) / (PRODUCERS - 1))
#define OWNED (GATED ? NR / 2 : NR)
#define OWN_TILES (TILES / GROUPS)  // of a warpgroup
#define WARPS (GROUPS * 4)          // that multiply
#if GROUPS == 2
#define PRODUCER_REGISTERS "40"
#define CONSUMER_REGISTERS "232"
#else
#define PRODUCER_REGISTERS "32"
#define CONSUMER_REGISTERS "160"
#endif

// Copies 64 rows of a matrix, starting at the given row and column; rows beyond its end become zeros.
__device__ __forceinline__ void copyBox(u32 to, u64 map, int column, int row, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               :: "r"(to), "l"(map), "r"(column), "r"(row), "r"(barrier) : "memory");
}

// Copies contiguous bytes.
__device__ __forceinline__ void copyBytes(u32 to, const void* from, int bytes, u32 barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               :: "r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}

// Reads a float that the copy engine has written; volatile, so the compiler neither moves nor removes the read.
__device__ __forceinline__ float sharedFloat(u32 address) {
  float value;
  asm volatile("ld.shared.f32 %0, [%1];" : "=f"(value) : "r"(address));
  return value;
}

// What a block computes next: tiles of rows of one matrix by some outputs.
struct Item {
  int matrix, row, tile, tiles, output; // row, tile, output: the first one; row counts within the matrix, tile over all matrices
};

// Four lanes hold two elements each of four packs of eight. Afterwards each lane holds one whole pack. The same exchange is its own inverse.
__device__ __forceinline__ void exchange(const u32 (&mine)[4], u32 (&theirs)[4]) {
  const int lane = threadIdx.x % 4;
#pragma unroll
  for (int distance = 0; distance < 4; distance++) {
    const int other = lane ^ distance;
    u32 sent = mine[0];
#pragma unroll
    for (int i = 1; i < 4; i++) sent = other == i ? mine[i] : sent;
    const u32 received = __shfl_xor_sync(FULL_MASK, sent, distance);
#pragma unroll
    for (int i = 0; i < 4; i++) theirs[i] = other == i ? received : theirs[i];
  }
}

// maps: [matrices] tensor maps of boxes of 64 rows and INPUTS inputs. scales, scaleRows, scaleColumns: as in skinny.cu, but scales holds
// addresses; each scale column covers INPUTS inputs, and the outputs of half a block share a scale row. x: [tiles, inputs / INPUTS,
// TILE_BYTES] and xScales: [tiles, inputs / INPUTS, 64], both from quantiseTiles. rows: of x, where ROWS is 0. items, starts, order: from
// experts.cu. inputs: a multiple of INPUTS; outputs: a multiple of 8 (of 16 where GATED).
extern "C" __global__ void __launch_bounds__((GROUPS + 1) * 128, 1) bulkProducts(
    u64 maps, const u64* scales, const int* scaleRows, int scaleColumns, const T* bias, const u8* x, const float* xScales, T* y, int rows, int outputs, int inputs, int yStride, const int4* items, const int* starts, const int* order) {
  DYNAMIC_SHARED(memory);
  __shared__ u64 barriers[2 * STAGES];
  __shared__ float2 weightScalesOf[STAGES]; // for the first and for the second half of the outputs
  const u32 stages = kept(sharedAddress(memory) + (GROUP_BYTES - sharedAddress(memory) % GROUP_BYTES) % GROUP_BYTES);
  const u32 full = kept(sharedAddress(barriers)), empty = full + STAGES * 8, scalesAt = stages + STAGES * STAGE_BYTES;
  const u32 weightScalesAt = sharedAddress(weightScalesOf);
  launchDependents();
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; s++) {
      createBarrier(full + s * 8, PRODUCERS);
      createBarrier(empty + s * 8, WARPS);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  waitForPrevious();
  const int count = GATED ? outputs / 2 : outputs; // results of a row
  const int chunks = inputs / INPUTS, across = (count + OWNED - 1) / OWNED;
#if ROWS == 0
  const int groupsOfRows = (rows + TILES * ROWS_OF_TILE - 1) / (TILES * ROWS_OF_TILE), total = groupsOfRows * across;
#else
  const int total = items[0].x * across;
#endif
  // Items that share a matrix's block of outputs, or an expert's rows, run at the same time.
  auto itemAt = [&](int i) {
    Item item;
#if ROWS == 0
    item.matrix = 0;
    item.row = i % groupsOfRows * TILES * ROWS_OF_TILE;
    item.tile = i % groupsOfRows * TILES;
    item.tiles = min(TILES, (rows - item.row + ROWS_OF_TILE - 1) / ROWS_OF_TILE);
    item.output = i / groupsOfRows * OWNED;
#else
    const int4 entry = items[1 + i / across];
    item.matrix = entry.x;
    item.row = entry.y;
    item.tile = entry.z;
    item.tiles = entry.w;
    item.output = i % across * OWNED;
#endif
    return item;
  };

  int stage = 0, phase = 0;
  const int group = __shfl_sync(FULL_MASK, threadIdx.x / 128, 0), lane = threadIdx.x % WARP;
  if (group == GROUPS) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 " PRODUCER_REGISTERS ";");
    const int warp = threadIdx.x / WARP - WARPS;
    if (lane == 0) {
#pragma unroll 1
      for (int i = blockIdx.x; i < total; i += gridDim.x) {
        const Item item = itemAt(i);
        const u64 map = maps + (u64)item.matrix * 128;
        // The host wrote this map, possibly over an older one.
        if (warp == 0) asm volatile("fence.proxy.tensormap::generic.acquire.sys [%0], 128;" :: "l"(map) : "memory");
        const int first = warp == 0 ? TILES : warp - 1, tiles = max(0, item.tiles - first + PRODUCERS - 2) / (PRODUCERS - 1);
        const u8* from = x + (u64)(item.tile + first) * chunks * TILE_BYTES;
        const float* scalesFrom = xScales + (u64)(item.tile + first) * chunks * ROWS_OF_TILE;
        const int bytes = warp == 0 ? WEIGHT_BYTES : tiles * (TILE_BYTES + SCALE_BYTES);
        // Read here, one chunk ahead: the multiplying warpgroups would wait for memory in every chunk.
        const float* weightScales[2];
        float next[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int row = GATED ? min(item.output, count - 1) + h * count : min(item.output + h * (NR / 2), count - 1);
          weightScales[h] = (const float*)scales[item.matrix] + scaleRows[row] * scaleColumns;
          next[h] = __ldg(weightScales[h]);
        }
#pragma unroll 1
        for (int c = 0; c < chunks; c++) {
          const u32 at = stages + stage * STAGE_BYTES, barrier = full + stage * 8;
          waitBarrier(empty + stage * 8, phase ^ 1);
          if (warp == 0) {
            weightScalesOf[stage] = {next[0], next[1]};
#pragma unroll
            for (int h = 0; h < 2; h++) next[h] = __ldg(weightScales[h] + min(c + 1, chunks - 1));
          }
          expectBytes(barrier, bytes);
          if (warp == 0) {
            copyBox(at, map, c * INPUTS, item.output, barrier);
            copyBox(at + WEIGHT_BYTES / 2, map, c * INPUTS, item.output + (GATED ? count : NR / 2), barrier);
          } else {
#pragma unroll
            for (int n = 0; n < ASKED; n++) {
              if (n >= tiles) break;
              const int t = first + n * (PRODUCERS - 1);
              const u64 chunk = (u64)n * (PRODUCERS - 1) * chunks + c;
              copyBytes(at + WEIGHT_BYTES + t * TILE_BYTES, from + chunk * TILE_BYTES, TILE_BYTES, barrier);
              copyBytes(scalesAt + (stage * TILES + t) * SCALE_BYTES, scalesFrom + chunk * ROWS_OF_TILE, SCALE_BYTES, barrier);
            }
          }
          if (++stage == STAGES) {
            stage = 0;
            phase ^= 1;
          }
        }
      }
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 " CONSUMER_REGISTERS ";");
    const int ownRow = threadIdx.x % 128 / WARP * 16 + lane / 4; // first of the thread's two rows of a tile; the second is 8 further
    const u32 firstWeight = operandLow(stages), firstRows = operandLow(stages + WEIGHT_BYTES + group * TILE_BYTES);
    const int asking = kept(min(4, chunks - 1));
    // The compiler moves values that all threads share to uniform registers, which would wait for memory here. So each lane loads a part of
    // them instead.
#if ROWS
    auto entryOf = [&](int i) { return ((const int*)(items + 1 + min(i, total - 1) / across))[min(lane, 3)]; };
    int entry = entryOf(blockIdx.x);
#endif
#pragma unroll 1
    for (int i = blockIdx.x; i < total; i += gridDim.x) {
#if ROWS
      const Item item = {__shfl_sync(FULL_MASK, entry, 0), __shfl_sync(FULL_MASK, entry, 1), __shfl_sync(FULL_MASK, entry, 2),
                         __shfl_sync(FULL_MASK, entry, 3), i % across * OWNED};
      entry = entryOf(i + gridDim.x); // loads while this item is multiplied
      const int bounds = starts[item.matrix + min(lane, 1)]; // of the matrix's rows: the first, and the end
#else
      const Item item = itemAt(i);
#endif
      const int own = (item.tiles - group + GROUPS - 1) / GROUPS; // tiles
#if ROWS == 2
      int place[OWN_TILES][2]; // in y
#endif
      float acc[OWN_TILES][NR / 2] = {};
#pragma unroll 1
      for (int c = 0; c < chunks; c++) {
        const u32 weightAt = firstWeight + stage * (STAGE_BYTES >> 4), rowsAt = firstRows + stage * (STAGE_BYTES >> 4), barrier = empty + stage * 8;
        float ofRows[2], ofWeights[2];
#if ROWS == 2
        // Loaded while the item is multiplied, so that the end of the item does not wait for it.
        if (c == asking) {
          const int first = __shfl_sync(FULL_MASK, bounds, 0), end = __shfl_sync(FULL_MASK, bounds, 1);
#pragma unroll
          for (int t = 0; t < OWN_TILES; t++)
#pragma unroll
            for (int h = 0; h < 2; h++)
              place[t][h] = order[min(first + item.row + (group + t * GROUPS) * ROWS_OF_TILE + ownRow + h * 8, end - 1)];
        }
#endif
        waitBarrier(full + stage * 8, phase);
        if (own == 0 && lane == 0) arriveAt(barrier);
#pragma unroll
        for (int t = 0; t < OWN_TILES; t++) {
          if (t >= own) break;
          float parts[NR / 2];
          beginProducts();
#pragma unroll
          for (int s = 0; s < INPUTS / 32; s++)
            multiplyPacks(parts, operandOf(rowsAt + t * GROUPS * (TILE_BYTES >> 4) + s * 2), operandOf(weightAt + s * 2), s > 0);
          commitProducts();
#pragma unroll
          for (int r = 0; r < 2; r++)
            ofRows[r] = sharedFloat(scalesAt + (stage * TILES + group + t * GROUPS) * SCALE_BYTES + (ownRow + r * 8) * 4);
#pragma unroll
          for (int h = 0; h < 2; h++) ofWeights[h] = sharedFloat(weightScalesAt + stage * 8 + h * 4);
          waitProducts<0>();
          __syncwarp(); // every lane has read its scales
          if (t == own - 1 && lane == 0) arriveAt(barrier);
#pragma unroll
          for (int h = 0; h < 2; h++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
              const float factor = ofRows[r] * ofWeights[h];
#pragma unroll
              for (int n = 0; n < NR / 8; n++) {
                const int at = h * (NR / 4) + n / 2 * 4 + r * 2 + n % 2;
                acc[t][at] = fmaf(parts[at], factor, acc[t][at]);
              }
            }
        }
        if (++stage == STAGES) {
          stage = 0;
          phase ^= 1;
        }
      }

#if ROWS
      const int first = __shfl_sync(FULL_MASK, bounds, 0), end = __shfl_sync(FULL_MASK, bounds, 1);
#else
      const int first = 0, end = rows;
#endif
#pragma unroll
      for (int t = 0; t < OWN_TILES; t++) {
        if (t >= own) break;
        T* target[2]; // of this lane's pack of the first 32 results; null if the row does not exist
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int r = item.row + (group + t * GROUPS) * ROWS_OF_TILE + ownRow + h * 8;
#if ROWS == 2
          const int row = place[t][h];
#else
          const int row = first + r;
#endif
          target[h] = first + r < end ? y + (u64)row * yStride + item.output + lane % 4 * 8 : nullptr;
        }
        auto isWanted = [&](int h, int p) { return target[h] && item.output + p * 32 + lane % 4 * 8 < count; };
#if ADD
        uint4 before[2][OWNED / 32]; // all loads in flight at once
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
          for (int p = 0; p < OWNED / 32; p++) before[h][p] = isWanted(h, p) ? *(const uint4*)(target[h] + p * 32) : uint4{};
#endif
#pragma unroll
        for (int h = 0; h < 2; h++)
#pragma unroll
          for (int p = 0; p < OWNED / 32; p++) {
            u32 mine[4], pack[4];
#if ADD
            u32 added[4];
            exchange({before[h][p].x, before[h][p].y, before[h][p].z, before[h][p].w}, added);
#endif
#pragma unroll
            for (int n = 0; n < 4; n++) {
              const int at = (p * 4 + n) * 4 + h * 2;
              float value[2] = {acc[t][at], acc[t][at + 1]};
#if GATED
#pragma unroll
              for (int e = 0; e < 2; e++) value[e] = __fdividef(value[e], 1 + __expf(-value[e])) * acc[t][NR / 4 + at + e];
#else
              const int column = item.output + p * 32 + n * 8 + lane % 4 * 2;
#pragma unroll
              for (int e = 0; e < 2; e++)
                if (bias && column < count) value[e] += toFloat(bias[column + e]);
#endif
#if ADD
#pragma unroll
              for (int e = 0; e < 2; e++) value[e] += toFloat((T)(added[n] >> e * 16));
#endif
              mine[n] = packed(value[0], value[1]);
            }
            exchange(mine, pack);
            if (isWanted(h, p)) *(uint4*)(target[h] + p * 32) = {pack[0], pack[1], pack[2], pack[3]};
          }
      }
    }
  }
}
