#include "fault.h"
static __global__ void fill(float *x, int n) {
  int i = blockIdx.x * 32 + threadIdx.x;
  if (i <= n) x[i] = 1; /* < is meant */
}
int main() {
  begin();
  float *x = device_floats(64);
  LAUNCH(fill, 3, 32, 0, run)(x, 64);
  return end(x, 4);
}
