#include "fault.h"
static __global__ void either(float *x) {
  if (threadIdx.x < 32) {
    x[threadIdx.x] = 1;
    __syncthreads();
  } else {
    __syncthreads(); /* another one */
    x[threadIdx.x] = 2;
  }
}
int main() {
  begin();
  float *x = device_floats(64);
  LAUNCH(either, 1, 64, 0, run)(x);
  return end(x, 4);
}
