// The kernels between the products of all experts of a step. No count has to return to the host. Compiled for EXPERTS and PER_TOKEN.

// For experts that change ranks: maps the expert of each assignment to its place on this rank, or to -1 if another rank computes the token.
// table: [experts of the layer][width]: how many ranks hold the expert, then for each of these ranks its number and, for this rank, the
// expert's place. The rank with index (token modulo their number) computes the token. ids, places: [assignments]. loads: [experts of the
// layer] and usage: [ranks]: incremented for each assignment. One thread per assignment.
extern "C" __global__ void placeChoices(const int* ids, int assignments, const int* table, int width, int rank, int* places, u64* loads, u64* usage) {
  launchDependents();
  waitForPrevious();
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= assignments) return;
  const int id = ids[i];
  int place = -1;
  if (id >= 0) {
    const int* row = table + (u64)id * width;
    const int* copy = row + 1 + 2 * (i / PER_TOKEN % row[0]);
    if (copy[0] == rank) place = copy[1];
    atomicAdd(loads + id, 1ull);
    atomicAdd(usage + copy[0], 1ull);
  }
  places[i] = place;
}

#define SORT_BLOCKS 32
#define SORT_WARPS 16
#define AHEAD 4                     // reads of a warp in flight at once

// Assignments of a warp with the same expert: their lanes, and how many come before this one. inRange: whether the expert is within [begin, end).
struct Same {
  u32 lanes;
  int before;
  bool inRange;
};

__device__ __forceinline__ Same sameOf(int id, int begin, int end) {
  Same same;
  same.inRange = id >= begin && id < end;
  same.lanes = __match_any_sync(FULL_MASK, same.inRange ? id : -1);
  same.before = __popc(same.lanes & ((1u << threadIdx.x % WARP) - 1));
  return same;
}

// Lists the experts' tiles of rowsOfTile rows, in the order of the experts: {expert, which of its tiles}; then -1. Called by one warp.
__device__ __forceinline__ void writeTiles(const int* starts, int rowsOfTile, int2* tiles, int maxTiles) {
  const int lane = threadIdx.x % WARP;
  int place = 0;
  for (int base = 0; base < EXPERTS; base += WARP) {
    const int e = base + lane, count = e < EXPERTS ? (starts[e + 1] - starts[e] + rowsOfTile - 1) / rowsOfTile : 0;
    int sum = count;
#pragma unroll
    for (int offset = 1; offset < WARP; offset <<= 1) {
      const int other = __shfl_up_sync(FULL_MASK, sum, offset);
      if (lane >= offset) sum += other;
    }
    for (int i = 0; i < count; i++) tiles[place + sum - count + i] = {e, i};
    place += __shfl_sync(FULL_MASK, sum, WARP - 1);
  }
  for (int i = place + lane; i < maxTiles; i += WARP) tiles[i] = {-1, 0};
}

// Sorts assignments by expert, within an expert in the order of the tokens; a token's i-th expert is assignment token · PER_TOKEN + i. This
// rank has experts first to first + EXPERTS; assignments of other experts, and of -1, are left out. ids: [assignments]. starts: [EXPERTS + 1];
// order: [assignments]; active: [EXPERTS], the experts with assignments, then -1. Each block sorts its share of the experts. With several
// blocks (SORT_BLOCKS) active lists every expert, and listTiles lists the tiles (of writeTiles). usage: [total] or null: assignments of each
// of the layer's experts, on any rank, since it was set to 0. 512 threads.
extern "C" __global__ void __launch_bounds__(512) sortByExpert(const int* ids, int assignments, int first, int* starts, int* order, int* active,
                                                               int rowsOfTile, int2* tiles, int maxTiles, u64* usage, int total) {
  // With several blocks, warps share the assignments; otherwise the experts.
  __shared__ int counts[EXPERTS + SORT_WARPS * ((EXPERTS + SORT_BLOCKS - 1) / SORT_BLOCKS)], places[EXPERTS], below[SORT_WARPS];
  launchDependents();
  waitForPrevious();
  const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP, blocks = gridDim.x;
  if (usage)
    for (int i = blockIdx.x * 512 + threadIdx.x; i < assignments; i += blocks * 512)
      if (ids[i] >= 0 && ids[i] < total) atomicAdd(usage + ids[i], 1ull);
  const int share = (EXPERTS + blocks - 1) / blocks, from = min(EXPERTS, (int)blockIdx.x * share), to = min(EXPERTS, from + share);
  const int parts = blocks > 1 ? SORT_WARPS : 1, part = warp % parts, groups = SORT_WARPS / parts, group = warp / parts;
  const int perGroup = (to - from + groups - 1) / groups, begin = min(to, from + group * perGroup), end = min(to, begin + perGroup);
  const int perPart = (assignments + parts * WARP - 1) / (parts * WARP) * WARP, begun = part * perPart, last = min(assignments, begun + perPart);
  int* own = counts + part * share - from; // count of each expert in this part
  for (int e = begin + lane; e < end; e += WARP) own[e] = 0;
  __syncwarp();
  int before = 0; // assignments to experts of earlier blocks
  for (int base = begun; base < last; base += AHEAD * WARP) {
    int id[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++) id[i] = base + i * WARP + lane < last ? ids[base + i * WARP + lane] - first : -1;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      if (group == 0) before += __popc(__ballot_sync(FULL_MASK, id[i] >= 0 && id[i] < from));
      const Same same = sameOf(id[i], begin, end);
      if (same.inRange && same.before == 0) own[id[i]] += __popc(same.lanes);
      __syncwarp();
    }
  }
  if (group == 0 && lane == 0) below[part] = before;
  __syncthreads();
  if (warp == 0) {
    int place = 0, live = 0;
    for (int p = 0; p < parts; p++) place += below[p];
    for (int base = from; base < to; base += WARP) {
      const int e = base + lane;
      int count = 0;
      // Assignments of earlier parts come first.
      for (int p = 0; p < parts && e < to; p++) {
        int* of = counts + p * share - from + e;
        const int one = *of;
        *of = count;
        count += one;
      }
      int sum = count;
#pragma unroll
      for (int offset = 1; offset < WARP; offset <<= 1) {
        const int other = __shfl_up_sync(FULL_MASK, sum, offset);
        if (lane >= offset) sum += other;
      }
      if (e < to) {
        places[e] = place + sum - count;
        starts[e] = place + sum - count;
      }
      place += __shfl_sync(FULL_MASK, sum, WARP - 1);
      const u32 busy = __ballot_sync(FULL_MASK, count > 0);
      if (blocks > 1) {
        if (e < to) active[e] = e;
      } else if (count > 0) {
        active[live + __popc(busy & ((1u << lane) - 1))] = e;
      }
      live += __popc(busy);
    }
    if (to == EXPERTS && lane == 0) starts[EXPERTS] = place;
    if (blocks == 1) {
      for (int i = live + lane; i < EXPERTS; i += WARP) active[i] = -1;
      __syncwarp();
      writeTiles(starts, rowsOfTile, tiles, maxTiles);
    }
  }
  __syncthreads();
  for (int base = begun; base < last; base += AHEAD * WARP) {
    int id[AHEAD];
#pragma unroll
    for (int i = 0; i < AHEAD; i++) id[i] = base + i * WARP + lane < last ? ids[base + i * WARP + lane] - first : -1;
#pragma unroll
    for (int i = 0; i < AHEAD; i++) {
      const Same same = sameOf(id[i], begin, end);
      if (same.inRange) order[places[id[i]] + own[id[i]] + same.before] = base + i * WARP + lane;
      __syncwarp();
      if (same.inRange && same.before == 0) own[id[i]] += __popc(same.lanes);
      __syncwarp();
    }
  }
}

#define FEW 128
#define FEW_THREADS 512

// As sortByExpert, for at most FEW assignments: each finds its place by counting those that come before it. One block.
extern "C" __global__ void __launch_bounds__(FEW_THREADS) sortFew(const int* ids, int assignments, int first, int* starts, int* order, int* active,
                                                                  int rowsOfTile, int2* tiles, int maxTiles, u64* usage, int total) {
  __shared__ int own[FEW]; // the expert; EXPERTS if another rank has it
  __shared__ int4 seen[FEW]; // the expert, the expert again if this is its first assignment (else EXPERTS), and its number of tiles
  launchDependents();
  waitForPrevious();
  const int t = threadIdx.x;
  if (t < assignments) {
    const int id = ids[t], place = id - first;
    own[t] = id >= 0 && place >= 0 && place < EXPERTS ? place : EXPERTS;
    if (usage && id >= 0 && id < total) atomicAdd(usage + id, 1ull);
  }
  __syncthreads();
  if (t < assignments) {
    const int expert = own[t];
    int place = 0, earlier = 0, all = 0;
    for (int i = 0; i < assignments; i++) {
      const int other = own[i];
      place += other < expert || (other == expert && i < t);
      earlier += other == expert && i < t;
      all += other == expert;
    }
    if (expert < EXPERTS) order[place] = t;
    seen[t] = {expert, earlier == 0 ? expert : EXPERTS, (all + rowsOfTile - 1) / rowsOfTile, 0};
  }
  __syncthreads();
  int live = 0, used = 0;
  for (int i = 0; i < assignments; i++)
    if (seen[i].y < EXPERTS) {
      live++;
      used += seen[i].z;
    }
  for (int e = t; e < EXPERTS; e += FEW_THREADS) {
    int begin = 0, rank = 0, tile = 0, count = 0, own = 0;
    for (int i = 0; i < assignments; i++) {
      const int4 one = seen[i];
      begin += one.x < e;
      count += one.x == e;
      if (one.y < e) {
        rank++;
        tile += one.z;
      }
      if (one.y == e) own = one.z;
    }
    starts[e] = begin;
    if (e == EXPERTS - 1) starts[EXPERTS] = begin + count;
    if (count > 0) active[rank] = e;
    for (int i = 0; i < own; i++) tiles[tile + i] = {e, i};
  }
  for (int i = live + t; i < EXPERTS; i += FEW_THREADS) active[i] = -1;
  for (int i = used + t; i < maxTiles; i += FEW_THREADS) tiles[i] = {-1, 0};
}

// One warp.
extern "C" __global__ void listTiles(const int* starts, int rowsOfTile, int2* tiles, int maxTiles) {
  launchDependents();
  waitForPrevious();
  writeTiles(starts, rowsOfTile, tiles, maxTiles);
}

// For products of many rows: lists tiles of 64 rows (writeTiles) and items of up to tilesOfItem tiles of one expert (bulk_products.cu):
// {number of items}, then {expert, first row within the expert, first tile among all, number of tiles}. One warp.
extern "C" __global__ void listItems(const int* starts, int2* tiles, int maxTiles, int4* items, int tilesOfItem) {
  launchDependents();
  waitForPrevious();
  writeTiles(starts, 64, tiles, maxTiles);
  const int lane = threadIdx.x;
  int place = 1, tile = 0;
  for (int base = 0; base < EXPERTS; base += WARP) {
    const int e = base + lane, own = e < EXPERTS ? (starts[e + 1] - starts[e] + 63) / 64 : 0, ownItems = (own + tilesOfItem - 1) / tilesOfItem;
    int ownTile = own, ownPlace = ownItems;
#pragma unroll
    for (int offset = 1; offset < WARP; offset <<= 1) {
      const int otherTile = __shfl_up_sync(FULL_MASK, ownTile, offset), otherPlace = __shfl_up_sync(FULL_MASK, ownPlace, offset);
      if (lane >= offset) {
        ownTile += otherTile;
        ownPlace += otherPlace;
      }
    }
    for (int i = 0; i < ownItems; i++) {
      const int first = i * tilesOfItem;
      items[place + ownPlace - ownItems + i] = {e, first * 64, tile + ownTile - own + first, min(tilesOfItem, own - first)};
    }
    tile += __shfl_sync(FULL_MASK, ownTile, WARP - 1);
    place += __shfl_sync(FULL_MASK, ownPlace, WARP - 1);
  }
  if (lane == 0) items[0] = {place - 1, 0, 0, 0};
}

// y[token] = Σ weight · result over the token's experts on this rank (first to first + EXPERTS), in the order in which they were chosen, then
// + shared[token]; add: then + y[token]. All sums are in float32 and rounded once, at the end. results: [assignments, width]; shared: [tokens,
// width] or null; y: [tokens, width]. grid (tokens, parts of the width).
extern "C" __global__ void __launch_bounds__(128, 4) combine(
    const T* results, const int* ids, const float* weights, const T* shared, T* y, int width, int first, int add) {
  launchDependents();
  waitForPrevious();
  const u64 token = blockIdx.x;
  for (int pack = blockIdx.y * blockDim.x + threadIdx.x; pack < width / PACK; pack += gridDim.y * blockDim.x) {
    float sum[PACK] = {};
    // All loads are issued before the first result is used. So results that no expert of this rank has written are read too, and ignored.
    Pack16 result[PER_TOKEN];
    float weight[PER_TOKEN];
    bool isOwn[PER_TOKEN];
#pragma unroll
    for (int i = 0; i < PER_TOKEN; i++) {
      result[i].raw = __ldcg((const uint4*)(results + (token * PER_TOKEN + i) * width) + pack);
      const int id = ids[token * PER_TOKEN + i] - first;
      isOwn[i] = id >= 0 && id < EXPERTS;
      weight[i] = weights[token * PER_TOKEN + i];
    }
#pragma unroll
    for (int i = 0; i < PER_TOKEN; i++)
#pragma unroll
      for (int e = 0; e < PACK; e++) sum[e] = isOwn[i] ? fmaf(toFloat(result[i].element[e]), weight[i], sum[e]) : sum[e];
    uint4* target = (uint4*)(y + token * width) + pack;
    Pack16 other;
    if (shared) {
      other.raw = __ldcg((const uint4*)(shared + token * width) + pack);
#pragma unroll
      for (int e = 0; e < PACK; e++) sum[e] += toFloat(other.element[e]);
    }
    if (add) {
      other.raw = *target;
#pragma unroll
      for (int e = 0; e < PACK; e++) sum[e] += toFloat(other.element[e]);
    }
#pragma unroll
    for (int e = 0; e < PACK; e++) other.element[e] = fromFloat(sum[e]);
    *target = other.raw;
  }
}
