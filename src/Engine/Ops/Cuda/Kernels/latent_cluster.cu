// How the blocks of a cluster join their results for one row and 16 heads through each other's shared memory; Hopper only. Sums lie in
// memory as threads hold them, [TILES][GROUP_THREADS] of four, which avoids bank conflicts. The r-th block joins the r-th accumulator of
// each thread, and every CLUSTER-th from there.
#if CLUSTER > 1
#define CLUSTER_OF_BLOCKS __cluster_dims__(1, 1, CLUSTER)
#define SUMS (TILES * GROUP_THREADS)                  // float4
#define PARTIAL (SUMS * 4 + CLUSTER * HEADS * 2)      // floats: sums, then each block's own copy of the heads' ends

// Arrive at the cluster's barrier, and wait for it. After the first wait all blocks have started, and their shared memory may be written.
__device__ __forceinline__ void beginMeeting() { asm volatile("barrier.cluster.arrive.aligned;" ::: "memory"); }
__device__ __forceinline__ void endMeeting() { asm volatile("barrier.cluster.wait.aligned;" ::: "memory"); }

// The address in another block's shared memory that corresponds to an address in this block's.
__device__ __forceinline__ u32 ofBlock(const void* own, int block) {
  u32 address;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(address) : "r"(sharedAddress(own)), "r"(block));
  return address;
}

__device__ __forceinline__ float4 loadOther(u32 address) {
  float4 value;
  asm volatile("ld.shared::cluster.v4.f32 {%0, %1, %2, %3}, [%4];"
               : "=f"(value.x), "=f"(value.y), "=f"(value.z), "=f"(value.w) : "r"(address) : "memory");
  return value;
}

__device__ __forceinline__ void storeOther(u32 address, float2 value) {
  asm volatile("st.shared::cluster.v2.f32 [%0], {%1, %2};" :: "r"(address), "f"(value.x), "f"(value.y) : "memory");
}

// The factor for results whose largest score was best when the overall largest is top; 0 if they had no positions.
__device__ __forceinline__ float worth(float best, float top) { return best == NEGATIVE_INFINITY ? 0 : exp2f(best - top); }

// Joins the ends of two shares of the positions. An end is the largest score and the sum of the weights.
__device__ __forceinline__ float2 joinEnds(float2 a, float2 b) {
  const float top = fmaxf(a.x, b.x);
  return {top, a.y * worth(a.x, top) + b.y * worth(b.x, top)};
}

// sum += part, with one factor for each of two heads. A part with factor 0 is skipped, because it may hold anything.
__device__ __forceinline__ void addPart(float4& sum, const float4& part, float first, float second) {
  if (first != 0) {
    sum.x = fmaf(part.x, first, sum.x);
    sum.y = fmaf(part.y, first, sum.y);
  }
  if (second != 0) {
    sum.z = fmaf(part.z, second, sum.z);
    sum.w = fmaf(part.w, second, sum.w);
  }
}

// acc, best, sum: of this thread's heads, lane / 4 and the one 8 further, over its group's positions; sums: the block's shared memory,
// whose tiles are not needed after the first barrier; used: number of clusters that have positions of this row.
__device__ __forceinline__ void joinCluster(float (&acc)[TILES][4], float (&best)[2], const float (&sum)[2], float4* sums, T* out,
                                            float* partials, u32* counters, int row, int firstHead, int heads, int cluster, int used) {
  __shared__ float2 ownEnds[PARTS][HEADS], ends[CLUSTER][HEADS];
  __shared__ bool isLast;
  const int thread = threadIdx.x % GROUP_THREADS, group = threadIdx.x / GROUP_THREADS, lane = threadIdx.x % WARP, head = lane / 4;
  const int quarter = thread / WARP, rank = blockIdx.z % CLUSTER;
  if (quarter == 0 && lane % 4 == 0) {
    ownEnds[group][head] = {best[0], sum[0]};
    ownEnds[group][head + 8] = {best[1], sum[1]};
  }
  __syncthreads();
#if PARTS == 1
#pragma unroll
  for (int m = 0; m < TILES; m++) sums[m * GROUP_THREADS + thread] = {acc[m][0], acc[m][1], acc[m][2], acc[m][3]};
#else
  // Each group hands one half of its results to the other group and adds up the other half.
  float factor[2];
#pragma unroll
  for (int h = 0; h < 2; h++) factor[h] = worth(best[h], fmaxf(best[h], ownEnds[1 - group][head + h * 8].x));
#pragma unroll
  for (int m = 0; m < TILES; m++) {
#pragma unroll
    for (int i = 0; i < 4; i++) acc[m][i] *= factor[i / 2];
    if (m < TILES / 2 == (group == 1)) sums[m * GROUP_THREADS + thread] = {acc[m][0], acc[m][1], acc[m][2], acc[m][3]};
  }
  __syncthreads();
#pragma unroll
  for (int m = 0; m < TILES; m++)
    if (m < TILES / 2 == (group == 0)) {
      float4& both = sums[m * GROUP_THREADS + thread];
      both = {both.x + acc[m][0], both.y + acc[m][1], both.z + acc[m][2], both.w + acc[m][3]};
    }
#endif
  endMeeting();
  for (int i = threadIdx.x; i < CLUSTER * HEADS; i += THREADS) {
    float2 all = ownEnds[0][i % HEADS];
    if (PARTS == 2) all = joinEnds(all, ownEnds[PARTS - 1][i % HEADS]);
    storeOther(ofBlock(&ends[rank][i % HEADS], i / HEADS), all);
  }
  beginMeeting();
  endMeeting();

  float* partial = partials + (((u64)row * gridDim.y + blockIdx.y) * (gridDim.z / CLUSTER) + cluster) * PARTIAL;
  int m = rank + group * CLUSTER;
  float top[2], total[2] = {}, weight[CLUSTER][2];
  auto store = [&](int m, const float4& all, const float (&sums)[2]) {
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int which = firstHead + head + h * 8;
      const float scaled = sums[h] == 0 ? 0 : OUT_SCALE / sums[h];
      if (which < heads)
        storePair(out + ((u64)row * heads + which) * RANK + quarter * COLUMNS, m, lane, (h ? all.z : all.x) * scaled,
                  (h ? all.w : all.y) * scaled);
    }
  };
  // Compact code matters more than early reads: a step's weights have evicted it from the caches.
#pragma unroll 1
  for (bool isFirst = true; m < TILES; m += CLUSTER * PARTS, isFirst = false) {
    float4 parts[CLUSTER];
#pragma unroll
    for (int s = 0; s < CLUSTER; s++) parts[s] = loadOther(ofBlock(sums + m * GROUP_THREADS + thread, s));
    if (isFirst) {
#pragma unroll
      for (int h = 0; h < 2; h++) {
        top[h] = NEGATIVE_INFINITY;
#pragma unroll
        for (int s = 0; s < CLUSTER; s++) top[h] = fmaxf(top[h], ends[s][head + h * 8].x);
#pragma unroll
        for (int s = 0; s < CLUSTER; s++) {
          const float2 one = ends[s][head + h * 8];
          weight[s][h] = worth(one.x, top[h]);
          total[h] = fmaf(one.y, weight[s][h], total[h]);
        }
      }
    }
    float4 all = {};
#pragma unroll
    for (int s = 0; s < CLUSTER; s++) addPart(all, parts[s], weight[s][0], weight[s][1]);
    if (used == 1)
      store(m, all, total);
    else
      *((float4*)partial + m * GROUP_THREADS + thread) = all;
  }
  beginMeeting(); // other blocks may still read this block's sums
  if (used > 1) {
    if (threadIdx.x < GROUP_THREADS && quarter == 0 && lane % 4 == 0)
#pragma unroll
      for (int h = 0; h < 2; h++) *((float2*)(partial + SUMS * 4) + rank * HEADS + head + h * 8) = {top[h], total[h]};
    // Whether this block is the last to finish of those with these columns.
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
      isLast = atomicInc(counters + ((u64)row * gridDim.y + blockIdx.y) * CLUSTER + rank, used - 1) == used - 1;
    __syncthreads();
    if (isLast) {
      __threadfence();
      partial -= (u64)cluster * PARTIAL;
      float2 all[2] = {{NEGATIVE_INFINITY, 0}, {NEGATIVE_INFINITY, 0}};
      auto endOf = [&](int s, int h) {
        return __ldcg((const float2*)(partial + (u64)s * PARTIAL + SUMS * 4) + rank * HEADS + head + h * 8);
      };
#pragma unroll
      for (int h = 0; h < 2; h++)
        for (int s = 0; s < used; s++) all[h] = joinEnds(all[h], endOf(s, h));
      const float weights[2] = {all[0].y, all[1].y};
      for (m = rank + group * CLUSTER; m < TILES; m += CLUSTER * PARTS) {
        float4 sum = {};
#pragma unroll 4
        for (int s = 0; s < used; s++) {
          const float4 part = __ldcg((const float4*)(partial + (u64)s * PARTIAL) + m * GROUP_THREADS + thread);
          addPart(sum, part, worth(endOf(s, 0).x, all[0].x), worth(endOf(s, 1).x, all[1].x));
        }
        store(m, sum, weights);
      }
    }
  }
  endMeeting();
}
#else
#define CLUSTER_OF_BLOCKS
#endif
