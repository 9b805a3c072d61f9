#include "fault.h"
static __global__ void fill(float *x) { x[threadIdx.x] = 1; }
int main() {
  begin();
  float *x = device_floats(32);
  LAUNCH(fill, mt_blocks(0, 32), 32, 0, run)(x);
  return end(x, 4);
}
