#include "fault.h"
static __global__ void fill(float *x) { x[threadIdx.x] = 1; }
int main() {
  begin();
  float *x = device_floats(2048);
  LAUNCH(fill, 1, 2048, 0, run)(x);
  return end(x, 4);
}
