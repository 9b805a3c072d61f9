/* cuda_device.h - what cuda.cu and cuda_gemm.cu share. */
#ifndef MTRT_CUDA_DEVICE_H
#define MTRT_CUDA_DEVICE_H

#include <cublasLt.h>
#include <cuda_runtime.h>

#include "runtime/backend.h"

enum { THREADS = 256, WORKSPACE = 32 << 20 };

struct CudaGraph {
  int64_t key;
  cudaGraphExec_t graph; /* NULL until the step was recorded once */
  bool seen;
};

struct GemmPlan;

/* MtRun.device of the CUDA backend. */
struct CudaDevice {
  char name[256];
  int processors;
  cudaStream_t stream;
  bool tf32, capturing, tuning;
  size_t bytes, peak;    /* allocated now, at most */
  int n_graphs;
  CudaGraph *graphs;
  cublasLtHandle_t blas;
  void *workspace;
  int n_plans;
  GemmPlan *plans;
  cudaEvent_t *events;   /* of a profile: MT_TIMED pairs; NULL before one runs */
  double beside;         /* ... what the events of a pair take by themselves, in seconds */
};

static inline CudaDevice *device_of(MtRun *run) { return (CudaDevice *)run->device; }
static inline int blocks(int64_t threads) { return (int)((threads + THREADS - 1) / THREADS); }

/* Record a failure in run->error; `what` was being done. */
bool mt_cuda_check(MtRun *run, cudaError_t status, const char *what);

/* ---- cuda_gemm.cu ---- */
bool mt_cuda_gemm_open(MtRun *run);
void mt_cuda_gemm_close(MtRun *run);
void mt_cuda_gemm(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                  int64_t a_step, const void *b, int64_t ldb, int64_t b_step, void *c, int64_t ldc, int64_t c_step);
void mt_cuda_tune(MtRun *run, bool on);
char *mt_cuda_choices(const MtRun *run);
bool mt_cuda_choose(MtRun *run, const char *text);

/* ---- cuda_profile.cu ---- */
void mt_cuda_time_begin(MtRun *run, int i);
void mt_cuda_time_end(MtRun *run, int i);
bool mt_cuda_times(MtRun *run, int n, double *seconds);
void mt_cuda_profile_close(MtRun *run);

#endif
