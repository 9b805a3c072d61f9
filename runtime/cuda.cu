/* cuda.cu - the CUDA device: memory, captured steps, and the small fixed
 * kernels around the generated ones (batch fetch, optimizers, bookkeeping).
 * Matrix products are in cuda_gemm.cu.
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
         mt_cuda_check(run, cudaMalloc(&device->partial, PARTIALS * sizeof(double)), "cudaMalloc");
}

static void cuda_close(MtRun *run) {
  CudaDevice *device = (CudaDevice *)run->device;
  if (!device) return;
  for (int i = 0; i < device->n_graphs; i++)
    if (device->graphs[i].graph) cudaGraphExecDestroy(device->graphs[i].graph);
  mt_cuda_gemm_close(run);
  cudaFree(device->partial);
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

/* ---- clipping ------------------------------------------------------------------ */

/* Sum of a value a thread over the block, the same in every run: a tree in shared memory. */
static __device__ double block_total(double value) {
  __shared__ double sums[THREADS];
  sums[threadIdx.x] = value;
  for (int half = THREADS / 2; half > 0; half /= 2) {
    __syncthreads();
    if ((int)threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
  }
  __syncthreads();
  return sums[0];
}

template <class real> __global__ void sum_squares(double *partial, const real *x, int64_t count) {
  double sum = 0;
  for (int64_t i = blockIdx.x * (int64_t)THREADS + threadIdx.x; i < count; i += (int64_t)THREADS * gridDim.x)
    sum += (double)x[i] * (double)x[i];
  sum = block_total(sum);
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

__global__ void clip_scale(MtScalars *scalars, const double *partial, int n_partial, double max_norm) {
  double sum = block_total((int)threadIdx.x < n_partial ? partial[threadIdx.x] : 0);
  if (threadIdx.x != 0) return;
  double scale = max_norm / (sqrt(sum) * scalars->grad_scale + 1e-6);
  if (!(scale >= 1)) scalars->grad_scale *= scale; /* NaN too: a NaN norm gives NaN gradients */
}

static void cuda_clip(MtRun *run, int64_t count, double max_norm) {
  CudaDevice *device = device_of(run);
  int n = blocks(count) < PARTIALS ? blocks(count) : PARTIALS;
  if (run->real_size == 8) sum_squares<<<n, THREADS, 0, device->stream>>>(device->partial, (const double *)run->grads, count);
  else sum_squares<<<n, THREADS, 0, device->stream>>>(device->partial, (const float *)run->grads, count);
  clip_scale<<<1, THREADS, 0, device->stream>>>(run->scalars, device->partial, n, max_norm);
  launched(run, "clip_gradients");
}

/* ---- optimizers: one pass over a range of the parameter block ------------------- */

struct Hyper { double lr, a, b, c, d; }; /* hyper-parameters of the group, in table order */

/* p: parameter, g: gradient (times grad_scale). PyTorch's torch.optim.SGD. */
template <class real> struct Sgd {
  static const int slots = 1;
  real lr, momentum, fresh, decay; /* fresh: 1 - dampening, subtracted in double */
  bool nesterov, first;
  __device__ Sgd(const Hyper &h, int64_t step)
      : lr((real)h.lr), momentum((real)h.a), fresh((real)(1 - h.b)), decay((real)h.c), nesterov(h.d != 0), first(step == 0) {}
  __device__ void operator()(real &p, real g, real &buffer, real &) const {
    g += decay * p;
    if (momentum != 0) {
      buffer = first ? g : momentum * buffer + fresh * g;
      g = nesterov ? g + momentum * buffer : buffer;
    }
    p -= lr * g;
  }
};

/* torch.optim.Adam: decay is added to the gradient. */
template <class real> struct Adam {
  static const int slots = 2;
  real beta1, beta2, rest1, rest2; /* rest: 1 - beta, subtracted in double */
  real eps, decay, step_size, root; /* root: sqrt of the second bias correction */
  __device__ Adam(const Hyper &h, int64_t step)
      : beta1((real)h.a), beta2((real)h.b), rest1((real)(1 - h.a)), rest2((real)(1 - h.b)), eps((real)h.c), decay((real)h.d),
        step_size((real)(h.lr / (1 - pow(h.a, step + 1.0)))), root((real)sqrt(1 - pow(h.b, step + 1.0))) {}
  __device__ void moments(real &p, real g, real &m, real &v) const {
    m = beta1 * m + rest1 * g;
    v = beta2 * v + rest2 * g * g;
    p -= step_size * m / (sqrt(v) / root + eps);
  }
  __device__ void operator()(real &p, real g, real &m, real &v) const { moments(p, g + decay * p, m, v); }
};

/* torch.optim.AdamW: decay shrinks the parameter first. */
template <class real> struct AdamW : Adam<real> {
  real keep;
  __device__ AdamW(const Hyper &h, int64_t step) : Adam<real>(h, step), keep((real)(1 - h.lr * h.d)) {}
  __device__ void operator()(real &p, real g, real &m, real &v) const {
    p *= keep;
    this->moments(p, g, m, v);
  }
};

/* Four neighbours a thread; the block's first thread computes what all share. */
template <class real, template <class> class Rule>
__global__ void optimize(real *p, const real *g, real *slot0, real *slot1, const MtScalars *scalars, int group, int64_t count) {
  __shared__ alignas(16) char storage[sizeof(Rule<real>)];
  if (scalars->stop) return;
  if (threadIdx.x == 0) {
    const double *h = scalars->hyper[group];
    new (storage) Rule<real>(Hyper{h[0], h[1], h[2], h[3], h[4]}, scalars->step);
  }
  __syncthreads();
  const Rule<real> rule = *reinterpret_cast<const Rule<real> *>(storage);
  const real scale = (real)scalars->grad_scale;
  int64_t first = (blockIdx.x * (int64_t)blockDim.x + threadIdx.x) * 4;
  if (first + 4 <= count) {
    struct alignas(4 * sizeof(real)) Four { real at[4]; };
    Four p4 = *(const Four *)(p + first), g4 = *(const Four *)(g + first), a4 = *(const Four *)(slot0 + first), b4 = a4;
    if (Rule<real>::slots > 1) b4 = *(const Four *)(slot1 + first);
#pragma unroll
    for (int i = 0; i < 4; i++) rule(p4.at[i], g4.at[i] * scale, a4.at[i], b4.at[i]);
    *(Four *)(p + first) = p4;
    *(Four *)(slot0 + first) = a4;
    if (Rule<real>::slots > 1) *(Four *)(slot1 + first) = b4;
  } else {
    real none = 0;
    for (int64_t i = first; i < count; i++) rule(p[i], g[i] * scale, slot0[i], Rule<real>::slots > 1 ? slot1[i] : none);
  }
}

template <class real, template <class> class Rule> static void launch_rule(MtRun *run, int group, int64_t begin, int64_t count) {
  real *p = (real *)run->params + begin, *slot0 = (real *)run->slots[0] + begin;
  real *slot1 = run->slots[1] ? (real *)run->slots[1] + begin : NULL;
  optimize<real, Rule><<<blocks((count + 3) / 4), THREADS, 0, device_of(run)->stream>>>(
      p, (const real *)run->grads + begin, slot0, slot1, run->scalars, group, count);
}

static void cuda_optimize(MtRun *run, MtOptimizerKind kind, int group, int64_t begin, int64_t count) {
  if (count == 0) return;
  bool wide = run->real_size == 8;
  switch (kind) {
  case MT_SGD: wide ? launch_rule<double, Sgd>(run, group, begin, count) : launch_rule<float, Sgd>(run, group, begin, count); break;
  case MT_ADAM: wide ? launch_rule<double, Adam>(run, group, begin, count) : launch_rule<float, Adam>(run, group, begin, count); break;
  case MT_ADAMW: wide ? launch_rule<double, AdamW>(run, group, begin, count) : launch_rule<float, AdamW>(run, group, begin, count); break;
  }
  launched(run, "optimize");
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
template <class real> __global__ void guard(MtScalars *scalars, const real *loss, const real *grads, int64_t count) {
  int64_t first = blockIdx.x * (int64_t)blockDim.x + threadIdx.x, stride = (int64_t)blockDim.x * gridDim.x;
  bool finite = first != 0 || isfinite(*loss);
  for (int64_t i = first; i < count; i += stride) finite = finite && isfinite(grads[i]);
  if (!finite) scalars->stop = 1;
}

static void cuda_guard(MtRun *run, const void *loss, int64_t count) {
  CudaDevice *device = device_of(run);
  int n = blocks(count > 0 ? count : 1), most = device->processors * 8;
  if (n > most) n = most;
  if (run->real_size == 8) guard<<<n, THREADS, 0, device->stream>>>(run->scalars, (const double *)loss, (const double *)run->grads, count);
  else guard<<<n, THREADS, 0, device->stream>>>(run->scalars, (const float *)loss, (const float *)run->grads, count);
  launched(run, "guard");
}

__global__ void advance(MtScalars *scalars, int64_t steps, int64_t rows) {
  if (scalars->stop) return;
  scalars->step += steps;
  scalars->micro = steps ? 0 : scalars->micro + 1;
  scalars->position += rows;
  scalars->grad_scale = 1;
}

static void cuda_advance(MtRun *run, int64_t steps, int64_t rows) {
  advance<<<1, 1, 0, device_of(run)->stream>>>(run->scalars, steps, rows);
  launched(run, "advance");
}

extern "C" const MtBackend mt_cuda = {
    "cuda", cuda_describe, cuda_open, cuda_close, cuda_alloc, cuda_release, cuda_write, cuda_read, cuda_zero, cuda_wait,
    cuda_peak, cuda_play, cuda_fetch, mt_cuda_gemm, cuda_clip, cuda_optimize, cuda_add_scaled, cuda_accumulate,
    cuda_narrow, cuda_guard, cuda_advance, mt_cuda_tune, mt_cuda_choices, mt_cuda_choose};
