/* cuda_gemm.cu - matrix products through cuBLASLt.
 *
 * cuBLASLt thinks in columns: a row-major C[m,n] = op(A) op(B) is its
 * column-major C'[n,m] = op(B)' op(A)', so the operands change places and the
 * transposes stay.  One plan a shape holds the descriptors and the algorithm.
 * Algorithms are limited to reductions that give the same bits every time;
 * without tuning the heuristic's first one is taken, with it candidates are
 * timed where the shape is first seen.  A choice travels as text: the shape,
 * then the algorithm's 64 bytes in hexadecimal, valid for one cuBLAS version.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cuda_device.h"

struct GemmShape {
  int64_t transpose, batch, m, n, k, lda, a_step, ldb, b_step, ldc, c_step, align, real_size, kind;
};
enum { SHAPE_WORDS = sizeof(GemmShape) / sizeof(int64_t), CANDIDATES = 24, TIMED_RUNS = 10 };

struct GemmPlan {
  GemmShape shape;
  cublasLtMatmulDesc_t product;
  cublasLtMatrixLayout_t a, b, c;
  cublasLtMatmulAlgo_t algorithm;
  bool ready; /* descriptors made; a plan loaded from text has only its algorithm */
};

static bool blas_check(MtRun *run, cublasStatus_t status, const char *what) {
  if (status == CUBLAS_STATUS_SUCCESS) return true;
  mt_fail(run, "%s: %s", what, cublasLtGetStatusString(status));
  return false;
}

bool mt_cuda_gemm_open(MtRun *run) {
  CudaDevice *device = device_of(run);
  if (!blas_check(run, cublasLtCreate(&device->blas), "cublasLtCreate") ||
      !mt_cuda_check(run, cudaMalloc(&device->workspace, WORKSPACE), "cudaMalloc of the cuBLAS workspace"))
    return false;
  device->bytes += WORKSPACE;
  device->peak = device->bytes;
  return true;
}

static void drop_descriptors(GemmPlan *plan) {
  if (plan->product) cublasLtMatmulDescDestroy(plan->product);
  if (plan->a) cublasLtMatrixLayoutDestroy(plan->a);
  if (plan->b) cublasLtMatrixLayoutDestroy(plan->b);
  if (plan->c) cublasLtMatrixLayoutDestroy(plan->c);
  plan->product = NULL;
  plan->a = plan->b = plan->c = NULL;
}

void mt_cuda_gemm_close(MtRun *run) {
  CudaDevice *device = device_of(run);
  for (int i = 0; i < device->n_plans; i++) drop_descriptors(&device->plans[i]);
  free(device->plans);
  cudaFree(device->workspace);
  if (device->blas) cublasLtDestroy(device->blas);
}

static GemmPlan *plan_of(CudaDevice *device, const GemmShape *shape) {
  for (int i = 0; i < device->n_plans; i++)
    if (!memcmp(&device->plans[i].shape, shape, sizeof *shape)) return &device->plans[i];
  GemmPlan *more = (GemmPlan *)realloc(device->plans, (size_t)(device->n_plans + 1) * sizeof *more);
  if (!more) return NULL;
  device->plans = more;
  GemmPlan *plan = &more[device->n_plans++];
  memset(plan, 0, sizeof *plan);
  plan->shape = *shape;
  return plan;
}

/* A stored matrix: `rows` x `columns` as cuBLAS sees it, `batch` of them `step` apart. */
static bool make_layout(MtRun *run, cublasLtMatrixLayout_t *layout, cudaDataType_t type, int64_t rows, int64_t columns,
                        int64_t ld, int64_t batch, int64_t step) {
  int32_t count = (int32_t)batch;
  return blas_check(run, cublasLtMatrixLayoutCreate(layout, type, (uint64_t)rows, (uint64_t)columns, ld), "cublasLtMatrixLayoutCreate") &&
         blas_check(run, cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count), "batch count") &&
         blas_check(run, cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step), "batch step");
}

/* What the operands and the result are made of, and what sums are: bf16 is multiplied on tensor cores and
 * summed in float; TF32 only when it was asked for. */
struct GemmTypes {
  cudaDataType_t in, out, scale;
  cublasComputeType_t compute;
};

static GemmTypes types_of(const GemmShape *s, bool tf32) {
  if (s->real_size == 8) return {CUDA_R_64F, CUDA_R_64F, CUDA_R_64F, CUBLAS_COMPUTE_64F};
  if (s->kind == MT_TO_BF16) return {CUDA_R_16BF, CUDA_R_16BF, CUDA_R_32F, CUBLAS_COMPUTE_32F};
  if (s->kind == MT_TO_REAL) return {CUDA_R_16BF, CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F};
  return {CUDA_R_32F, CUDA_R_32F, CUDA_R_32F, tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F};
}

static bool make_descriptors(MtRun *run, GemmPlan *plan) {
  const GemmShape *s = &plan->shape;
  const GemmTypes types = types_of(s, device_of(run)->tf32);
  bool ta = s->transpose == MT_TN || s->transpose == MT_TT, tb = s->transpose == MT_NT || s->transpose == MT_TT;
  cublasOperation_t left = tb ? CUBLAS_OP_T : CUBLAS_OP_N, right = ta ? CUBLAS_OP_T : CUBLAS_OP_N;
  return blas_check(run, cublasLtMatmulDescCreate(&plan->product, types.compute, types.scale), "cublasLtMatmulDescCreate") &&
         blas_check(run, cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_TRANSA, &left, sizeof left), "transpose") &&
         blas_check(run, cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_TRANSB, &right, sizeof right), "transpose") &&
         make_layout(run, &plan->b, types.in, tb ? s->k : s->n, tb ? s->n : s->k, s->ldb, s->batch, s->b_step) &&
         make_layout(run, &plan->a, types.in, ta ? s->m : s->k, ta ? s->k : s->m, s->lda, s->batch, s->a_step) &&
         make_layout(run, &plan->c, types.out, s->n, s->m, s->ldc, s->batch, s->c_step);
}

static cublasStatus_t multiply(MtRun *run, const GemmPlan *plan, const cublasLtMatmulAlgo_t *algorithm, const void *a, const void *b, void *c) {
  const double one = 1, zero = 0;
  const float one_f = 1, zero_f = 0;
  bool wide = plan->shape.real_size == 8;
  CudaDevice *device = device_of(run);
  return cublasLtMatmul(device->blas, plan->product, wide ? (const void *)&one : &one_f, b, plan->b, a, plan->a,
                        wide ? (const void *)&zero : &zero_f, c, plan->c, c, plan->c, algorithm, device->workspace, WORKSPACE, device->stream);
}

static int candidates(MtRun *run, const GemmPlan *plan, int most, cublasLtMatmulHeuristicResult_t *found) {
  cublasLtMatmulPreference_t wish = NULL;
  size_t workspace = WORKSPACE;
  uint32_t align = (uint32_t)plan->shape.align, reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
  if (plan->shape.kind != MT_TO_BF16) reductions |= CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE; /* parts of a sum are never bf16 */
  int n = 0;
  if (!blas_check(run, cublasLtMatmulPreferenceCreate(&wish), "cublasLtMatmulPreferenceCreate")) return 0;
  cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace);
  cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions);
  cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align, sizeof align);
  cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align, sizeof align);
  cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align, sizeof align);
  cublasLtMatmulPreferenceSetAttribute(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align, sizeof align);
  cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(device_of(run)->blas, plan->product, plan->b, plan->a, plan->c, plan->c, wish, most, found, &n);
  cublasLtMatmulPreferenceDestroy(wish);
  if (status != CUBLAS_STATUS_SUCCESS || n == 0)
    mt_fail(run, "cuBLAS has no algorithm for a product of %lld x %lld x %lld: %s", (long long)plan->shape.m,
            (long long)plan->shape.n, (long long)plan->shape.k, cublasLtGetStatusString(status));
  return n;
}

/* Milliseconds of TIMED_RUNS products, or a large number when the algorithm does not run. */
static float time_algorithm(MtRun *run, const GemmPlan *plan, const cublasLtMatmulAlgo_t *algorithm, const void *a, const void *b, void *c) {
  cudaStream_t stream = device_of(run)->stream;
  cudaEvent_t begin, end;
  float ms = 1e30f;
  if (multiply(run, plan, algorithm, a, b, c) != CUBLAS_STATUS_SUCCESS) return ms;
  if (cudaEventCreate(&begin) != cudaSuccess || cudaEventCreate(&end) != cudaSuccess) return ms;
  cudaEventRecord(begin, stream);
  for (int i = 0; i < TIMED_RUNS; i++) multiply(run, plan, algorithm, a, b, c);
  cudaEventRecord(end, stream);
  cudaEventSynchronize(end);
  cudaEventElapsedTime(&ms, begin, end);
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return ms;
}

static void pick_algorithm(MtRun *run, GemmPlan *plan, const void *a, const void *b, void *c) {
  cublasLtMatmulHeuristicResult_t found[CANDIDATES];
  CudaDevice *device = device_of(run);
  bool timed = device->tuning && !device->capturing;
  int n = candidates(run, plan, timed ? CANDIDATES : 1, found), best = 0;
  if (n == 0) return;
  float best_ms = 1e30f;
  for (int i = 0; timed && i < n; i++) {
    float ms = time_algorithm(run, plan, &found[i].algo, a, b, c);
    if (ms < best_ms) best_ms = ms, best = i;
  }
  plan->algorithm = found[best].algo;
}

/* The largest power of two, at most 256, that divides every address and step. */
static int64_t alignment(const void *a, const void *b, const void *c) {
  uintptr_t bits = (uintptr_t)a | (uintptr_t)b | (uintptr_t)c | 256;
  return (int64_t)(bits & (~bits + 1));
}

void mt_cuda_gemm(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                  int64_t a_step, const void *b, int64_t ldb, int64_t b_step, void *c, int64_t ldc, int64_t c_step) {
  if (batch == 0 || m == 0 || n == 0) return;
  CudaDevice *device = device_of(run);
  if (k == 0) {
    int64_t size = kind == MT_TO_BF16 ? 2 : run->real_size;
    for (int64_t i = 0; i < batch; i++)
      mt_cuda_check(run, cudaMemset2DAsync((char *)c + i * c_step * size, (size_t)(ldc * size), 0, (size_t)(n * size),
                                           (size_t)m, device->stream), "cudaMemset");
    return;
  }
  GemmShape shape = {t, batch, m, n, k, lda, a_step, ldb, b_step, ldc, c_step, alignment(a, b, c), run->real_size, kind};
  GemmPlan *plan = plan_of(device, &shape);
  if (!plan) return mt_fail(run, "out of memory");
  if (!plan->ready) {
    bool chosen = false;
    for (size_t i = 0; i < sizeof plan->algorithm.data / sizeof plan->algorithm.data[0]; i++) chosen |= plan->algorithm.data[i] != 0;
    if (!make_descriptors(run, plan)) return drop_descriptors(plan);
    if (!chosen) pick_algorithm(run, plan, a, b, c);
    if (run->error[0]) return drop_descriptors(plan);
    plan->ready = true;
  }
  blas_check(run, multiply(run, plan, &plan->algorithm, a, b, c), "cublasLtMatmul");
}

/* ---- choices as text: "cublas VERSION", then a line a shape ------------------ */

void mt_cuda_tune(MtRun *run, bool on) { device_of(run)->tuning = on; }

char *mt_cuda_choices(const MtRun *run) {
  const CudaDevice *device = (const CudaDevice *)run->device;
  size_t line = SHAPE_WORDS * 21 + 2 * sizeof(cublasLtMatmulAlgo_t) + 2, room = 512 + (size_t)device->n_plans * line, used;
  char *text = (char *)malloc(room);
  if (!text) return NULL;
  used = (size_t)snprintf(text, room, "cublas %zu on %s%s\n", cublasLtGetVersion(), device->name, device->tf32 ? " tf32" : "");
  for (int i = 0; i < device->n_plans; i++) {
    const GemmPlan *plan = &device->plans[i];
    const int64_t *words = &plan->shape.transpose;
    const unsigned char *bytes = (const unsigned char *)&plan->algorithm;
    for (int w = 0; w < SHAPE_WORDS; w++) used += (size_t)snprintf(text + used, room - used, "%lld ", (long long)words[w]);
    for (size_t j = 0; j < sizeof plan->algorithm; j++) used += (size_t)snprintf(text + used, room - used, "%02x", bytes[j]);
    used += (size_t)snprintf(text + used, room - used, "\n");
  }
  return text;
}

static bool read_choice(CudaDevice *device, const char **text) {
  GemmShape shape;
  int64_t *words = &shape.transpose;
  for (int w = 0; w < SHAPE_WORDS; w++) {
    char *end;
    words[w] = strtoll(*text, &end, 10);
    if (end == *text || *end != ' ') return false;
    *text = end + 1;
  }
  cublasLtMatmulAlgo_t algorithm;
  unsigned char *bytes = (unsigned char *)&algorithm;
  for (size_t j = 0; j < sizeof algorithm; j++) {
    unsigned value;
    if (sscanf(*text, "%2x", &value) != 1) return false;
    bytes[j] = (unsigned char)value;
    *text += 2;
  }
  GemmPlan *plan = plan_of(device, &shape);
  if (plan && !plan->ready) plan->algorithm = algorithm;
  return plan && *(*text)++ == '\n';
}

/* False when the text is of another cuBLAS, GPU or precision: its choices are then left aside. */
bool mt_cuda_choose(MtRun *run, const char *text) {
  CudaDevice *device = device_of(run);
  char head[256];
  int n = snprintf(head, sizeof head, "cublas %zu on %s%s\n", cublasLtGetVersion(), device->name, device->tf32 ? " tf32" : "");
  if (strncmp(text, head, (size_t)n)) return false;
  for (text += n; *text;)
    if (!read_choice(device, &text)) return false;
  return true;
}
