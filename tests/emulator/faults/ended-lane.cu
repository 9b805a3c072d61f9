#include "fault.h"
static __global__ void total(float *x, int n) {
  if ((int)threadIdx.x >= n) return;
  x[threadIdx.x] = warp_sum(x[threadIdx.x]);
}
int main() {
  begin();
  float *x = device_floats(32);
  LAUNCH(total, 1, 32, 0, run)(x, 20);
  return end(x, 4);
}
