#include "fault.h"
static __global__ void total(float *x) { x[threadIdx.x] = warp_sum(x[threadIdx.x]); }
int main() {
  begin();
  float *x = device_floats(16);
  LAUNCH(total, 1, 16, 0, run)(x); /* a warp of 16: half of it is not there */
  return end(x, 4);
}
