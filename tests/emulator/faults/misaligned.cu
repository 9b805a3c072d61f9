#include "fault.h"
static __global__ void shift(float *x) {
  const auto four = mt_load<4>(x + 4 * threadIdx.x);
  mt_store(x + 4 * threadIdx.x + 1, four); /* 16 bytes, but 4 past a multiple */
}
int main() {
  begin();
  float *x = device_floats(64);
  LAUNCH(shift, 1, 8, 0, run)(x);
  return end(x, 8);
}
