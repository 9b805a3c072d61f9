/* cuda_profile.cu - how long calls take on the GPU, one by one.
 *
 * An event stands before and behind each call.  So that none of them waits for
 * the host, a kernel that does nothing but let time pass goes ahead: while it
 * runs, the host puts the next MT_TIMED calls into the queue.  Events cost time
 * of their own; it is taken off so that an empty kernel takes what it takes in
 * a graph, where no events are.
 */
#include <stdlib.h>

#include "runtime/cuda_device.h"

static const long long AHEAD = 5 * 1000 * 1000; /* nanoseconds: longer than the host needs for MT_TIMED calls */
static const double IN_A_GRAPH = 1e-6;          /* seconds: an empty kernel */
enum { EMPTY_RUNS = 64 };

__global__ void let_pass(long long nanoseconds) {
  long long begin, now;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin));
  do asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
  while (now - begin < nanoseconds);
}

__global__ void do_nothing() {}

static void put_event(MtRun *run, int which) {
  CudaDevice *device = device_of(run);
  if (device->events) mt_cuda_check(run, cudaEventRecord(device->events[which], device->stream), "cudaEventRecord");
}

static void let_time_pass(MtRun *run) {
  let_pass<<<1, 1, 0, device_of(run)->stream>>>(AHEAD);
  mt_cuda_check(run, cudaGetLastError(), "let_pass");
}

static bool read_times(MtRun *run, int n, double *seconds) {
  CudaDevice *device = device_of(run);
  if (run->error[0] || !mt_cuda_check(run, cudaStreamSynchronize(device->stream), "a kernel of this step")) return false;
  for (int i = 0; i < n; i++) {
    float ms = 0;
    if (!mt_cuda_check(run, cudaEventElapsedTime(&ms, device->events[2 * i], device->events[2 * i + 1]), "cudaEventElapsedTime"))
      return false;
    seconds[i] = ms * 1e-3;
  }
  return true;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* What a pair of events reads around an empty kernel, beyond that kernel. */
static void measure_events(MtRun *run) {
  double seconds[EMPTY_RUNS];
  CudaDevice *device = device_of(run);
  do_nothing<<<1, 1, 0, device->stream>>>(); /* is loaded before it is measured */
  let_time_pass(run);
  for (int i = 0; i < EMPTY_RUNS; i++) {
    put_event(run, 2 * i);
    do_nothing<<<1, 1, 0, device->stream>>>();
    put_event(run, 2 * i + 1);
  }
  if (!read_times(run, EMPTY_RUNS, seconds)) return;
  qsort(seconds, EMPTY_RUNS, sizeof seconds[0], ascending);
  if (seconds[EMPTY_RUNS / 2] > IN_A_GRAPH) device->beside = seconds[EMPTY_RUNS / 2] - IN_A_GRAPH;
}

static bool make_events(MtRun *run) {
  CudaDevice *device = device_of(run);
  device->events = (cudaEvent_t *)calloc(2 * MT_TIMED, sizeof *device->events);
  if (!device->events) return mt_fail(run, "out of memory"), false;
  for (int i = 0; i < 2 * MT_TIMED; i++)
    if (!mt_cuda_check(run, cudaEventCreate(&device->events[i]), "cudaEventCreate")) return false;
  measure_events(run);
  return !run->error[0];
}

void mt_cuda_time_begin(MtRun *run, int i) {
  if (!device_of(run)->events && !make_events(run)) return;
  if (i == 0) let_time_pass(run);
  put_event(run, 2 * i);
}

void mt_cuda_time_end(MtRun *run, int i) { put_event(run, 2 * i + 1); }

bool mt_cuda_times(MtRun *run, int n, double *seconds) {
  const double beside = device_of(run)->beside;
  if (!read_times(run, n, seconds)) return false;
  for (int i = 0; i < n; i++) seconds[i] = seconds[i] > beside ? seconds[i] - beside : 0;
  return true;
}

void mt_cuda_profile_close(MtRun *run) {
  CudaDevice *device = device_of(run);
  for (int i = 0; device->events && i < 2 * MT_TIMED; i++)
    if (device->events[i]) cudaEventDestroy(device->events[i]);
  free(device->events);
  device->events = NULL;
}
