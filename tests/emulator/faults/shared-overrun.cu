#include "fault.h"
static __global__ void stage(float *x) {
  SHARED(float, part, 32);
  part[threadIdx.x + 1] = x[threadIdx.x]; /* one too far */
  __syncthreads();
  x[threadIdx.x] = part[threadIdx.x];
}
int main() {
  begin();
  float *x = device_floats(32);
  LAUNCH(stage, 1, 32, 0, run)(x);
  return end(x, 4);
}
