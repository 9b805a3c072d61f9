#include "fault.h"
static __global__ void fill(float *x, int n) { /* the overrun stays within the last page */
  if ((int)threadIdx.x <= n) x[threadIdx.x] = 1;
}
int main() {
  begin();
  float *x = device_floats(50);
  LAUNCH(fill, 1, 64, 0, run)(x, 50);
  return end(x, 4);
}
