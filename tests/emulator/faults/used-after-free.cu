#include "fault.h"
static __global__ void twice(float *y, const float *x) { y[threadIdx.x] = 2 * x[threadIdx.x]; }
int main() {
  begin();
  float *x = device_floats(32), *y = device_floats(32);
  mt_cuda.release(run, x);
  LAUNCH(twice, 1, 32, 0, run)(y, x);
  return end(y, 4);
}
