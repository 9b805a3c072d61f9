/* cuda.cu - the CUDA device: memory, captured steps, and the small fixed
 * kernels around the generated ones (batch fetch, sums, bookkeeping).  Matrix
 * products are in cuda_gemm.cu; an update is a kernel of the program's own.
 *
 * Everything runs on one stream.  A step is recorded twice: the first time it
 * runs as it is recorded, so that libraries load and GEMM algorithms are
 * picked outside a capture; the second time it is captured as a CUDA graph,
 * which is replayed from then on.
 */
#include <cuda_runtime.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cuda_device.h"

bool mt_cuda_check(MtRun *run, cudaError_t status, const char *what) {
  if (status == cudaSuccess) return true;
  mt_fail(run, "%s: %s", what, cudaGetErrorString(status));
  return false;
}

static void launched(MtRun *run, const char *kernel) { mt_cuda_check(run, cudaGetLastError(), kernel); }

/* ---- device and memory --------------------------------------------------- */

static bool cuda_open(MtRun *run, bool tf32) {
  CudaDevice *device = (CudaDevice *)calloc(1, sizeof *device);
  if (!device) return mt_fail(run, "out of memory"), false;
  run->device = device;
  device->tf32 = tf32;
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0) {
    mt_fail(run, "no CUDA device can be used: %s", status != cudaSuccess ? cudaGetErrorString(status) : "there is none");
    return false;
  }
  cudaDeviceProp properties;
  if (!mt_cuda_check(run, cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties")) return false;
  snprintf(device->name, sizeof device->name, "%s", properties.name);
  device->processors = properties.multiProcessorCount;
  if (!mt_cuda_check(run, cudaStreamCreateWithFlags(&device->stream, cudaStreamNonBlocking), "cudaStreamCreate")) return false;
  run->stream = device->stream;
  return mt_cuda_gemm_open(run) &&
         mt_cuda_check(run, cudaMalloc(&run->parts, MT_PARTS * sizeof(double)), "cudaMalloc");
}

static void cuda_close(MtRun *run) {
  CudaDevice *device = (CudaDevice *)run->device;
  if (!device) return;
  for (int i = 0; i < device->n_graphs; i++)
    if (device->graphs[i].graph) cudaGraphExecDestroy(device->graphs[i].graph);
  mt_cuda_gemm_close(run);
  mt_cuda_profile_close(run);
  cudaFree(run->parts);
  if (device->stream) cudaStreamDestroy(device->stream);
  free(device->graphs);
  free(device);
  run->device = NULL;
}

static const char *cuda_describe(MtRun *run) { return device_of(run)->name; }

/* Each block carries its size before it, 256 bytes ahead, so that release() can count. */
enum { HEADER = 256 };

static void *cuda_alloc(MtRun *run, size_t bytes) {
  CudaDevice *device = device_of(run);
  char *memory = NULL;
  cudaError_t status = cudaMalloc((void **)&memory, bytes + HEADER);
  if (status != cudaSuccess) {
    size_t free_bytes = 0, total = 0;
    cudaGetLastError();
    cudaMemGetInfo(&free_bytes, &total);
    mt_fail(run, "cannot allocate %.1f MiB on %s: %s (%.1f of %.1f MiB are free)", bytes / 1048576.0, device->name,
            cudaGetErrorString(status), free_bytes / 1048576.0, total / 1048576.0);
    return NULL;
  }
  if (!mt_cuda_check(run, cudaMemsetAsync(memory, 0, bytes + HEADER, device->stream), "cudaMemset") ||
      !mt_cuda_check(run, cudaMemcpyAsync(memory, &bytes, sizeof bytes, cudaMemcpyHostToDevice, device->stream), "cudaMemcpy") ||
      !mt_cuda_check(run, cudaStreamSynchronize(device->stream), "cudaMemcpy"))
    return cudaFree(memory), (void *)NULL;
  device->bytes += bytes + HEADER;
  if (device->bytes > device->peak) device->peak = device->bytes;
  return memory + HEADER;
}

static void cuda_release(MtRun *run, void *memory) {
  if (!memory) return;
  CudaDevice *device = device_of(run);
  size_t bytes = 0;
  cudaStreamSynchronize(device->stream);
  cudaMemcpy(&bytes, (char *)memory - HEADER, sizeof bytes, cudaMemcpyDeviceToHost);
  device->bytes -= bytes + HEADER;
  cudaFree((char *)memory - HEADER);
}

static bool cuda_wait(MtRun *run) {
  mt_cuda_check(run, cudaStreamSynchronize(device_of(run)->stream), "a kernel of this step");
  return !run->error[0];
}

static bool cuda_write(MtRun *run, void *to, const void *from, size_t bytes) {
  cudaStream_t stream = device_of(run)->stream;
  return mt_cuda_check(run, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, stream), "copy to the device") &&
         mt_cuda_check(run, cudaStreamSynchronize(stream), "copy to the device");
}

static bool cuda_read(MtRun *run, void *to, const void *from, size_t bytes) {
  cudaStream_t stream = device_of(run)->stream;
  return mt_cuda_check(run, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream), "copy from the device") &&
         mt_cuda_check(run, cudaStreamSynchronize(stream), "copy from the device");
}

static bool cuda_zero(MtRun *run, void *memory, size_t bytes) {
  return mt_cuda_check(run, cudaMemsetAsync(memory, 0, bytes, device_of(run)->stream), "cudaMemset");
}

static size_t cuda_peak(const MtRun *run) { return ((const CudaDevice *)run->device)->peak; }

/* ---- captured steps -------------------------------------------------------- */

static CudaGraph *graph_of(MtRun *run, int64_t key) {
  CudaDevice *device = device_of(run);
  for (int i = 0; i < device->n_graphs; i++)
    if (device->graphs[i].key == key) return &device->graphs[i];
  CudaGraph *more = (CudaGraph *)realloc(device->graphs, (size_t)(device->n_graphs + 1) * sizeof *more);
  if (!more) return NULL;
  device->graphs = more;
  more[device->n_graphs] = CudaGraph{key, NULL, false};
  return &more[device->n_graphs++];
}

static bool capture(MtRun *run, CudaGraph *entry, void (*record)(MtRun *, void *), void *data) {
  CudaDevice *device = device_of(run);
  cudaGraph_t graph = NULL;
  if (!mt_cuda_check(run, cudaStreamBeginCapture(device->stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture"))
    return false;
  device->capturing = true;
  record(run, data);
  device->capturing = false;
  bool ok = mt_cuda_check(run, cudaStreamEndCapture(device->stream, &graph), "cudaStreamEndCapture") && !run->error[0] &&
            mt_cuda_check(run, cudaGraphInstantiate(&entry->graph, graph, 0), "cudaGraphInstantiate");
  if (graph) cudaGraphDestroy(graph);
  return ok;
}

static bool cuda_play(MtRun *run, int64_t key, void (*record)(MtRun *run, void *data), void *data) {
  CudaGraph *entry = key > 0 && run->budget < 0 ? graph_of(run, key) : NULL;
  if (!entry || !entry->seen) {
    record(run, data);
    if (entry) entry->seen = true;
    return !run->error[0];
  }
  if (!entry->graph && !capture(run, entry, record, data)) return false;
  return mt_cuda_check(run, cudaGraphLaunch(entry->graph, device_of(run)->stream), "cudaGraphLaunch") && !run->error[0];
}

/* ---- batch fetch ------------------------------------------------------------- */

template <class Word>
__global__ void fetch_rows(Word *batch, const Word *set, const int32_t *order, const MtScalars *scalars, int64_t rows, int64_t words) {
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  if (i < rows * words) batch[i] = set[order[scalars->position + i / words] * words + i % words];
}

template <class Word>
static void fetch_words(MtRun *run, void *batch, const void *set, const int32_t *order, int64_t rows, size_t row_bytes) {
  int64_t words = (int64_t)(row_bytes / sizeof(Word));
  fetch_rows<<<blocks(rows * words), THREADS, 0, device_of(run)->stream>>>((Word *)batch, (const Word *)set, order, run->scalars, rows, words);
}

static void cuda_fetch(MtRun *run, void *batch, const void *set, const int32_t *order, int64_t rows, size_t row_bytes) {
  if (rows == 0 || row_bytes == 0) return;
  if (row_bytes % 16 == 0) fetch_words<uint4>(run, batch, set, order, rows, row_bytes);
  else if (row_bytes % 4 == 0) fetch_words<uint32_t>(run, batch, set, order, rows, row_bytes);
  else fetch_words<uint8_t>(run, batch, set, order, rows, row_bytes);
  launched(run, "fetch_rows");
}

/* ---- sums and bookkeeping --------------------------------------------------------- */

template <class real> __global__ void add_scaled(real *sum, const real *x, int64_t count, real scale) {
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  if (i < count) sum[i] += scale * x[i];
}

static void cuda_add_scaled(MtRun *run, void *sum, const void *x, int64_t count, double scale) {
  if (count == 0) return;
  cudaStream_t stream = device_of(run)->stream;
  if (run->real_size == 8) add_scaled<<<blocks(count), THREADS, 0, stream>>>((double *)sum, (const double *)x, count, scale);
  else add_scaled<<<blocks(count), THREADS, 0, stream>>>((float *)sum, (const float *)x, count, (float)scale);
  launched(run, "add_scaled");
}

template <class real> __global__ void accumulate(double *sum, const real *x, int64_t count, char combine, double weight) {
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  if (i >= count) return;
  double value = (double)x[i];
  if (combine == '+') sum[i] += value * weight;
  else if (value != value || (combine == '<' ? value < sum[i] : value > sum[i])) sum[i] = value;
}

static void cuda_accumulate(MtRun *run, double *sum, const void *x, int64_t count, char combine, double weight) {
  if (count == 0) return;
  cudaStream_t stream = device_of(run)->stream;
  if (run->real_size == 8) accumulate<<<blocks(count), THREADS, 0, stream>>>(sum, (const double *)x, count, combine, weight);
  else accumulate<<<blocks(count), THREADS, 0, stream>>>(sum, (const float *)x, count, combine, weight);
  launched(run, "accumulate");
}

template <class real> __global__ void narrow(real *x, const double *sum, int64_t count) {
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  if (i < count) x[i] = (real)sum[i];
}

static void cuda_narrow(MtRun *run, void *x, const double *sum, int64_t count) {
  if (count == 0) return;
  cudaStream_t stream = device_of(run)->stream;
  if (run->real_size == 8) narrow<<<blocks(count), THREADS, 0, stream>>>((double *)x, sum, count);
  else narrow<<<blocks(count), THREADS, 0, stream>>>((float *)x, sum, count);
  launched(run, "narrow");
}

/* Every writer stores the same 1, so the order of threads does not matter. */
template <class real>
__global__ void guard(MtScalars *scalars, const real *loss, const real *grads, int64_t count, const real *states, int64_t n_states) {
  int64_t first = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, stride = (int64_t)blockDim.x * gridDim.x;
  bool finite = first != 0 || isfinite(*loss);
  for (int64_t i = first; i < count; i += stride) finite = finite && isfinite(grads[i]);
  for (int64_t i = first; i < n_states; i += stride) finite = finite && isfinite(states[i]);
  if (!finite) scalars->stop = 1;
}

static void cuda_guard(MtRun *run, const void *loss, int64_t begin, int64_t count) {
  CudaDevice *device = device_of(run);
  int n = blocks(count > 0 ? count : 1), most = device->processors * 8;
  if (n > most) n = most;
  if (run->real_size == 8) guard<<<n, THREADS, 0, device->stream>>>(run->scalars, (const double *)loss, (const double *)run->grads + begin, count, (const double *)run->new_states, run->state_count);
  else guard<<<n, THREADS, 0, device->stream>>>(run->scalars, (const float *)loss, (const float *)run->grads + begin, count, (const float *)run->new_states, run->state_count);
  launched(run, "guard");
}

template <class real> __global__ void keep(const MtScalars *scalars, real *states, const real *new_states, int64_t count) {
  int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
  if (i < count && !scalars->stop) states[i] = new_states[i];
}

static void cuda_keep(MtRun *run) {
  cudaStream_t stream = device_of(run)->stream;
  int64_t n = run->state_count;
  if (run->real_size == 8) keep<<<blocks(n), THREADS, 0, stream>>>(run->scalars, (double *)run->states, (const double *)run->new_states, n);
  else keep<<<blocks(n), THREADS, 0, stream>>>(run->scalars, (float *)run->states, (const float *)run->new_states, n);
  launched(run, "keep");
}

__global__ void advance(MtScalars *scalars, int64_t steps, int64_t rows) {
  if (scalars->stop) return;
  scalars->grad_scale = 1;
  if (steps < 0) return;
  scalars->step += steps;
  scalars->micro = steps ? 0 : scalars->micro + 1;
  scalars->position += rows;
}

static void cuda_advance(MtRun *run, int64_t steps, int64_t rows) {
  advance<<<1, 1, 0, device_of(run)->stream>>>(run->scalars, steps, rows);
  launched(run, "advance");
}

extern "C" const MtBackend mt_cuda = {
    "cuda", cuda_describe, cuda_open, cuda_close, cuda_alloc, cuda_release, cuda_write, cuda_read, cuda_zero, cuda_wait,
    cuda_peak, cuda_play, cuda_fetch, mt_cuda_gemm, NULL, NULL, cuda_add_scaled, cuda_accumulate,
    cuda_narrow, cuda_guard, cuda_keep, cuda_advance, mt_cuda_tune, mt_cuda_choices, mt_cuda_choose,
    mt_cuda_time_begin, mt_cuda_time_end, mt_cuda_times};
