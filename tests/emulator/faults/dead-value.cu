#include "fault.h"
struct Step { float *x; bool first; };
static __global__ void fill(float *x) { x[threadIdx.x] = 3; }
static __global__ void more(float *x) { x[threadIdx.x] += 1; }
/* The first step leaves a value in the arena; the second reads it, though no value outlives its step. */
static void record(MtRun *r, void *data) {
  Step *step = (Step *)data;
  if (step->first) LAUNCH(fill, 1, 32, 0, r)(step->x);
  else LAUNCH(more, 1, 32, 0, r)(step->x);
}
int main() {
  begin();
  Step step = {device_floats(32), true};
  run->arena = step.x;
  mt_cuda.play(run, 1, record, &step);
  step.first = false;
  mt_cuda.play(run, 2, record, &step);
  return end(step.x, 4);
}
