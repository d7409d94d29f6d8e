// The order of a step's few assignments, at most FEW, by counting what is below each. One block of FEW_THREADS.
#define FEW 128
#define FEW_THREADS 512

// As of sortByExpert (experts.cu), for this rank's experts first to first + experts; choices: [assignments] ids in shared memory, of which
// the thread of each has been told.
__device__ __forceinline__ void sortChoices(const int* choices, int assignments, int first, int experts, int* starts, int* order,
                                            int* active, int rowsOfTile, int2* tiles, int maxTiles, u64* usage, int total) {
  __shared__ int own[FEW]; // the expert; the number of experts: another rank's
  __shared__ int4 seen[FEW]; // the expert, again if this is its first assignment (else their number), and its tiles
  const int t = threadIdx.x;
  if (t < assignments) {
    const int id = choices[t], place = id - first;
    own[t] = id >= 0 && place >= 0 && place < experts ? place : experts;
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
    if (expert < experts) order[place] = t;
    seen[t] = {expert, earlier == 0 ? expert : experts, (all + rowsOfTile - 1) / rowsOfTile, 0};
  }
  __syncthreads();
  int live = 0, used = 0;
  for (int i = 0; i < assignments; i++)
    if (seen[i].y < experts) {
      live++;
      used += seen[i].z;
    }
  for (int e = t; e < experts; e += FEW_THREADS) {
    int begin = 0, rank = 0, tile = 0, count = 0, tilesOfOne = 0;
    for (int i = 0; i < assignments; i++) {
      const int4 one = seen[i];
      begin += one.x < e;
      count += one.x == e;
      if (one.y < e) {
        rank++;
        tile += one.z;
      }
      if (one.y == e) tilesOfOne = one.z;
    }
    starts[e] = begin;
    if (e == experts - 1) starts[experts] = begin + count;
    if (count > 0) active[rank] = e;
    for (int i = 0; i < tilesOfOne; i++) tiles[tile + i] = {e, i};
  }
  for (int i = live + t; i < experts; i += FEW_THREADS) active[i] = -1;
  for (int i = used + t; i < maxTiles; i += FEW_THREADS) tiles[i] = {-1, 0};
}

// ids: [assignments].
extern "C" __global__ void __launch_bounds__(FEW_THREADS) sortFew(const int* ids, int assignments, int first, int experts, int* starts,
                                                                  int* order, int* active, int rowsOfTile, int2* tiles, int maxTiles,
                                                                  u64* usage, int total) {
  __shared__ int choices[FEW];
  launchDependents();
  waitForPrevious();
  if (threadIdx.x < assignments) choices[threadIdx.x] = ids[threadIdx.x]; // each thread reads its own back
  sortChoices(choices, assignments, first, experts, starts, order, active, rowsOfTile, tiles, maxTiles, usage, total);
}
