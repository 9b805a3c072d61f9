#include "fault.h"
static __global__ void stage(float *x) {
  SHARED(float, part, 16000);
  part[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = part[threadIdx.x];
}
int main() {
  begin();
  float *x = device_floats(32);
  LAUNCH(stage, 1, 32, 0, run)(x);
  return end(x, 4);
}
