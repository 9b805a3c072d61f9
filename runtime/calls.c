/* calls.c - what generated steps call, handed on to the device. */
#include <stdarg.h>
#include <stdio.h>

#include "runtime/backend.h"

void mt_fail(MtRun *run, const char *format, ...) {
  if (run->error[0]) return;
  va_list args;
  va_start(args, format);
  vsnprintf(run->error, sizeof run->error, format, args);
  va_end(args);
}

/* Every product of a step. */
static void product(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k,
                    const void *a, int64_t lda, int64_t a_step, const void *b, int64_t ldb, int64_t b_step, void *c,
                    int64_t ldc, int64_t c_step) {
  if (run->profile) mt_profile_product(run, kind, batch, m, n, k);
  run->backend->gemm(run, kind, t, batch, m, n, k, a, lda, a_step, b, ldb, b_step, c, ldc, c_step);
}

void mt_gemm(MtRun *run, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, const void *b, void *c) {
  bool ta = t == MT_TN || t == MT_TT, tb = t == MT_NT || t == MT_TT;
  product(run, MT_OF_REAL, t, 1, m, n, k, a, ta ? m : k, 0, b, tb ? k : n, 0, c, n, 0);
}

void mt_gemm_batched(MtRun *run, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a,
                     int64_t lda, int64_t a_step, const void *b, int64_t ldb, int64_t b_step, void *c, int64_t ldc,
                     int64_t c_step) {
  product(run, MT_OF_REAL, t, batch, m, n, k, a, lda, a_step, b, ldb, b_step, c, ldc, c_step);
}

/* The gradient check's reals are double, and so is all it has of bf16. */
static MtGemmKind kind_of(const MtRun *run, MtGemmKind kind) { return run->real_size == 8 ? MT_OF_REAL : kind; }

void mt_gemm_bf16(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a,
                  const void *b, void *c) {
  bool ta = t == MT_TN || t == MT_TT, tb = t == MT_NT || t == MT_TT;
  product(run, kind_of(run, kind), t, 1, m, n, k, a, ta ? m : k, 0, b, tb ? k : n, 0, c, n, 0);
}

void mt_gemm_bf16_batched(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k,
                          const void *a, int64_t lda, int64_t a_step, const void *b, int64_t ldb, int64_t b_step,
                          void *c, int64_t ldc, int64_t c_step) {
  product(run, kind_of(run, kind), t, batch, m, n, k, a, lda, a_step, b, ldb, b_step, c, ldc, c_step);
}

void mt_zero_gradients(MtRun *run, int64_t begin, int64_t count) {
  size_t real = (size_t)run->real_size;
  run->backend->zero(run, (char *)run->grads + (size_t)begin * real, (size_t)count * real);
}

void mt_clip_gradients(MtRun *run, int64_t begin, int64_t count, double max_norm) {
  mt_before(run, "mt_clip_gradients");
  run->backend->clip(run, begin, count, max_norm);
  mt_after(run);
}

#define MT_DEFINE(name)                                                                                                \
  void mt_##name(MtRun *run, int group, int64_t begin, int64_t count) {                                                \
    mt_before(run, "mt_" #name);                                                                                       \
    run->backend->optimize(run, MT_IS_##name, group, begin, count);                                                    \
    mt_after(run);                                                                                                     \
  }
MT_OPTIMIZERS(MT_DEFINE)
#undef MT_DEFINE

/* ---- the end of a micro-batch ----------------------------------------------------- */

static const char *output_at(const MtRun *run, int64_t element) {
  return (const char *)run->outputs + element * run->real_size;
}

void mt_check_gradients(MtRun *run, const MtEnd *end, int64_t begin, int64_t count) {
  if (end->loss >= 0) run->backend->guard(run, output_at(run, end->loss), begin, count);
}

/* Logs that stand side by side go in one call. */
void mt_finish(MtRun *run, const MtEnd *end) {
  for (int first = 0, last; first < end->n_logs; first = last) {
    for (last = first + 1; last < end->n_logs && end->logs[last] == end->logs[last - 1] + 1; last++) continue;
    run->backend->accumulate(run, end->sums + first, output_at(run, end->logs[first]), last - first, '+',
                             (double)end->rows);
  }
  if (run->state_count) run->backend->keep(run);
  run->backend->advance(run, end->ends ? end->last : -1, end->rows);
}
