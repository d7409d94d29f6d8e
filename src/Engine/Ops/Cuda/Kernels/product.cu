// Shared by the kernels that multiply many matrices by rows of their own: which rows a matrix has, and how a sum becomes a result.
// GATED: W holds gates above ups; y = silu(gate) · up. ADD: the result is added to y.
// ROWS: 0: the rows of x and y are those of the batch or tile. 1: the rows of x are those of an expert's tokens, the rows of y follow the order of the
// experts. 2: the other way round.
struct Product {
  const u8* weight;                 // [outputs, inputs]
  const float* scales;              // [blocks of rows, scaleColumns]
  const int* order;                 // assignments of this expert's rows
  const T* x;
  T* y;
  int count;                        // rows
  int first;                        // index of the first row among all experts' rows
};

// The row of x (inputRow) and of y (outputRow) that the i-th row of a product stands for.
__device__ __forceinline__ int inputRow(const Product& p, int i, int perToken) {
#if ROWS == 1
  return p.order[i] / perToken;
#else
  return p.first + i;
#endif
}

__device__ __forceinline__ int outputRow(const Product& p, int i) {
#if ROWS == 2
  return p.order[i];
#else
  return p.first + i;
#endif
}

// Turns the sums of one result (gate and up, or a single sum) into an element of y.
__device__ __forceinline__ void finish(const Product& p, const T* bias, float* sums, int row, int output, int count, int yStride) {
  if (bias) {
    sums[0] += toFloat(bias[output]);
    if (GATED) sums[1] += toFloat(bias[output + count]);
  }
  float value = GATED ? sums[0] / (1 + __expf(-sums[0])) * sums[1] : sums[0];
  T* target = p.y + (u64)row * yStride + output;
#if ADD
  value += toFloat(*target);
#endif
  *target = fromFloat(value);
}
