#include "fault.h"
#ifndef BARRIER
#define BARRIER __syncthreads()
#endif
static __global__ void turn(float *x) { /* back to front, through shared memory */
  SHARED(float, part, 64);
  part[threadIdx.x] = x[threadIdx.x] + threadIdx.x;
  BARRIER;
  x[threadIdx.x] = part[63 - threadIdx.x];
}
int main() {
  begin();
  float *x = device_floats(64);
  LAUNCH(turn, 1, 64, 0, run)(x);
  return end(x, 64);
}
