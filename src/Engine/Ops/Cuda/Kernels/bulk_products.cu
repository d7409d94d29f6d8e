// y = x Wᵀ of 8-bit floats (e4m3) for many rows on Hopper. The copy engine brings both operands: tiles of 64 rows of x as quantiseTiles lays them out, and
// W by tensor maps. One thread asks for them; GROUPS (2 or 3) warpgroups multiply, tiles of x in turn, by the same 128 outputs. Every 128 inputs the sums
// are scaled and added in float32, since tensor cores add 8-bit products with fewer bits (arXiv 2412.19437, 3.3.2); meanwhile another warpgroup multiplies.
// Blocks stay, and take one item after the other: up to TILES (one or two for each warpgroup) tiles of rows of one matrix. STAGES are on their way.
// GATED, ROWS: product.cu; gates and ups of the same outputs are in one block. grid (any), (GROUPS + 1) * 128 threads.
#define ROWS_OF_TILE 64
#define CHUNK 128                   // inputs that share a scale
#define WEIGHT_BYTES (NR * CHUNK)
#define TILE_BYTES (ROWS_OF_TILE * CHUNK)
#define STAGE_BYTES (WEIGHT_BYTES + TILES * TILE_BYTES)
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

// Brings 64 rows of a matrix, from a row and a column on; rows beyond its end are zeros.
__device__ __forceinline__ void copyBox(u32 to, u64 map, int column, int row, u32 barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               :: "r"(to), "l"(map), "r"(column), "r"(row), "r"(barrier) : "memory");
}

// Brings contiguous bytes.
__device__ __forceinline__ void copyBytes(u32 to, const void* from, int bytes, u32 barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];"
               :: "r"(to), "l"(from), "r"(bytes), "r"(barrier) : "memory");
}

// What a block computes next: tiles of rows of one matrix by some outputs.
struct Item {
  int matrix, row, tile, tiles, output; // row, output: the first one; row of the matrix' own, tile of all
};

// Of a chunk: of the two halves of the outputs, and of the two rows of each of a thread's tiles.
struct Scales {
  float weight[2], row[OWN_TILES][2];
};

// Stores four neighbouring packs of eight outputs of a row, of which each of four lanes has two elements of every pack: each stores one pack.
__device__ __forceinline__ void storePacks(const u32 (&mine)[4], T* row, int output, int count, bool wanted) {
  const int lane = threadIdx.x % 4;
  u32 pack[4];
#pragma unroll
  for (int distance = 0; distance < 4; distance++) {
    const int other = lane ^ distance; // gets its elements of this lane's pack, and has this lane's
    u32 sent = mine[0];
#pragma unroll
    for (int i = 1; i < 4; i++) sent = other == i ? mine[i] : sent;
    const u32 received = __shfl_xor_sync(FULL_MASK, sent, distance);
#pragma unroll
    for (int i = 0; i < 4; i++) pack[i] = other == i ? received : pack[i];
  }
  const int first = output + lane * 8;
  if (wanted && first < count) *(uint4*)(row + first) = {pack[0], pack[1], pack[2], pack[3]};
}

// maps: [matrices] tensor maps of boxes of 64 rows and CHUNK inputs. scales, scaleRows, scaleColumns: as in skinny.cu, scales by address; each of their
// columns is of CHUNK inputs, and the outputs of half a block share a row of them. x: [tiles, inputs / CHUNK, TILE_BYTES], xScales: [tiles, inputs / CHUNK,
// 64], of quantiseTiles. rows: of x, where ROWS is 0. items, starts, order: of experts.cu. inputs: a multiple of CHUNK; outputs: of 8 (of 16 where GATED).
extern "C" __global__ void __launch_bounds__((GROUPS + 1) * 128, 1) bulkProducts(
    u64 maps, const u64* scales, const int* scaleRows, int scaleColumns, const T* bias, const u8* x, const float* xScales, T* y, int rows, int outputs, int inputs, int yStride, const int4* items, const int* starts, const int* order) {
  DYNAMIC_SHARED(memory);
  __shared__ u64 barriers[2 * STAGES];
  const u32 stages = kept(sharedAddress(memory) + (GROUP_BYTES - sharedAddress(memory) % GROUP_BYTES) % GROUP_BYTES);
  const u32 full = kept(sharedAddress(barriers)), empty = full + STAGES * 8;
  launchDependents();
  if (threadIdx.x == 0) {
    for (int s = 0; s < STAGES; s++) {
      createBarrier(full + s * 8, 1);
      createBarrier(empty + s * 8, WARPS);
    }
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
  }
  __syncthreads();
  waitForPrevious();
  const int count = GATED ? outputs / 2 : outputs; // results of a row
  const int chunks = inputs / CHUNK, across = (count + OWNED - 1) / OWNED;
#if ROWS == 0
  const int groupsOfRows = (rows + TILES * ROWS_OF_TILE - 1) / (TILES * ROWS_OF_TILE), total = groupsOfRows * across;
#else
  const int total = items[0].x * across;
#endif
  // Those who share a matrix' block of outputs, or an expert's rows, run at the same time.
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
    if (threadIdx.x == GROUPS * 128) {
#pragma unroll 1
      for (int i = blockIdx.x; i < total; i += gridDim.x) {
        const Item item = itemAt(i);
        const u64 map = maps + (u64)item.matrix * 128;
        // The host wrote it, where another may have lain before.
        asm volatile("fence.proxy.tensormap::generic.acquire.sys [%0], 128;" :: "l"(map) : "memory");
        const u8* from = x + (u64)item.tile * chunks * TILE_BYTES;
#pragma unroll 1
        for (int c = 0; c < chunks; c++) {
          const u32 at = stages + stage * STAGE_BYTES, barrier = full + stage * 8;
          waitBarrier(empty + stage * 8, phase ^ 1);
          expectBytes(barrier, WEIGHT_BYTES + item.tiles * TILE_BYTES);
          copyBox(at, map, c * CHUNK, item.output, barrier);
          copyBox(at + WEIGHT_BYTES / 2, map, c * CHUNK, item.output + (GATED ? count : NR / 2), barrier);
          for (int t = 0; t < item.tiles; t++)
            copyBytes(at + WEIGHT_BYTES + t * TILE_BYTES, from + ((u64)t * chunks + c) * TILE_BYTES, TILE_BYTES, barrier);
          if (++stage == STAGES) {
            stage = 0;
            phase ^= 1;
          }
        }
      }
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 " CONSUMER_REGISTERS ";");
    const int ownRow = threadIdx.x % 128 / WARP * 16 + lane / 4; // of a tile; the other one is 8 further
    const u32 firstWeight = operandLow(stages), firstRows = operandLow(stages + WEIGHT_BYTES + group * TILE_BYTES);
#pragma unroll 1
    for (int i = blockIdx.x; i < total; i += gridDim.x) {
      const Item item = itemAt(i);
      const int own = (item.tiles - group + GROUPS - 1) / GROUPS; // tiles
      const float* matrixScales = (const float*)scales[item.matrix];
      const float* weightScales[2]; // of the block's first half and of its second
      const float* rowScales[OWN_TILES]; // of a thread's first row of its tiles
#pragma unroll
      for (int h = 0; h < 2; h++) {
        const int row = GATED ? min(item.output, count - 1) + h * count : min(item.output + h * (NR / 2), count - 1);
        weightScales[h] = matrixScales + scaleRows[row] * scaleColumns;
      }
#pragma unroll
      for (int t = 0; t < OWN_TILES; t++) {
        const int tile = min(group + t * GROUPS, item.tiles - 1); // what no warpgroup has is read, and not used
        rowScales[t] = xScales + ((u64)(item.tile + tile) * chunks * ROWS_OF_TILE + ownRow);
      }
      float acc[OWN_TILES][NR / 2] = {};
      Scales next;
      auto readScales = [&](int c) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
          next.weight[h] = __ldg(weightScales[h] + c);
#pragma unroll
          for (int t = 0; t < OWN_TILES; t++) next.row[t][h] = rowScales[t][c * ROWS_OF_TILE + h * 8];
        }
      };
      readScales(0);
#pragma unroll 1
      for (int c = 0; c < chunks; c++) {
        const u32 weightAt = firstWeight + stage * (STAGE_BYTES >> 4), rowsAt = firstRows + stage * (STAGE_BYTES >> 4), barrier = empty + stage * 8;
        const Scales scale = next;
        if (c + 1 < chunks) readScales(c + 1);
        waitBarrier(full + stage * 8, phase);
        if (own == 0 && lane == 0) arriveAt(barrier);
#pragma unroll
        for (int t = 0; t < OWN_TILES; t++) {
          if (t >= own) break;
          float parts[NR / 2];
          beginProducts();
#pragma unroll
          for (int s = 0; s < CHUNK / 32; s++)
            multiplyPacks(parts, operandOf(rowsAt + t * GROUPS * (TILE_BYTES >> 4) + s * 2), operandOf(weightAt + s * 2), s > 0);
          commitProducts();
          waitProducts<0>();
          if (t == own - 1 && lane == 0) arriveAt(barrier);
#pragma unroll
          for (int h = 0; h < 2; h++)
#pragma unroll
            for (int r = 0; r < 2; r++) {
              const float factor = scale.row[t][r] * scale.weight[h];
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

#if ROWS == 0
      const int first = 0, rowsOfMatrix = rows;
#else
      const int first = starts[item.matrix], rowsOfMatrix = starts[item.matrix + 1] - first;
#endif
#pragma unroll
      for (int t = 0; t < OWN_TILES; t++) {
        if (t >= own) break;
#pragma unroll
        for (int h = 0; h < 2; h++) {
          const int r = item.row + (group + t * GROUPS) * ROWS_OF_TILE + ownRow + h * 8;
          const bool wanted = r < rowsOfMatrix;
#if ROWS == 2
          T* row = y + (u64)(wanted ? order[first + r] : 0) * yStride;
#else
          T* row = y + (u64)(first + r) * yStride;
#endif
#pragma unroll
          for (int p = 0; p < OWNED / 32; p++) {
            u32 mine[4];
#pragma unroll
            for (int n = 0; n < 4; n++) {
              const int at = (p * 4 + n) * 4 + h * 2;
              float value[2] = {acc[t][at], acc[t][at + 1]};
#if GATED
#pragma unroll
              for (int e = 0; e < 2; e++) value[e] = value[e] / (1 + __expf(-value[e])) * acc[t][NR / 4 + at + e];
#else
              const int column = item.output + p * 32 + n * 8 + lane % 4 * 2;
#pragma unroll
              for (int e = 0; e < 2; e++)
                if (bias && column < count) value[e] += toFloat(bias[column + e]);
#endif
              mine[n] = packed(value[0], value[1]);
            }
            storePacks(mine, row, item.output + p * 32, count, wanted);
          }
        }
      }
    }
  }
}
