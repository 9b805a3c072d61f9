#include "fault.h"
static __global__ void fill(float *x) { x[threadIdx.x] = 7; }
static __global__ void twice(float *y, const float *x) { y[threadIdx.x] = 2 * x[threadIdx.x]; }
int main() {
  begin();
  float *x = device_floats(32), *y = device_floats(32);
  cudaStream_t side;
  cudaEvent_t filled;
  cudaStreamCreate(&side);
  cudaEventCreate(&filled);
  MtRun other = *run;
  other.stream = side;
  LAUNCH(fill, 1, 32, 0, &other)(x);
#ifndef NO_EVENT
  cudaEventRecord(filled, side);
  cudaStreamWaitEvent((cudaStream_t)run->stream, filled, 0);
#endif
  LAUNCH(twice, 1, 32, 0, run)(y, x);
  return end(y, 4);
}
