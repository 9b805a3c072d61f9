/* fault.h - what each planted fault needs around it: a run, memory, and its values printed. */
#include <stdio.h>

#define real float
#include "mtrt_cuda.cuh"
#include "runtime/backend.h"

static MtRun the_run, *run = &the_run;

static void begin(void) {
  run->budget = -1;
  run->real_size = 4;
  mt_cuda.open(run, false);
}
static float *device_floats(int n) { return (float *)mt_cuda.alloc(run, sizeof(float) * (size_t)n); }
static int end(const float *x, int n) {
  float host[64];
  mt_cuda.read(run, host, x, sizeof(float) * (size_t)n);
  for (int i = 0; i < n; i++) printf("%g ", host[i]);
  printf("\n");
  mt_cuda.close(run);
  return 0;
}
