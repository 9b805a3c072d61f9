#include "fault.h"
static __global__ void half(float *x) {
  if (threadIdx.x < 16) __syncthreads(); /* the other half never comes */
  x[threadIdx.x] = 1;
}
int main() {
  begin();
  float *x = device_floats(32);
  LAUNCH(half, 1, 32, 0, run)(x);
  return end(x, 4);
}
