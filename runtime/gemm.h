/* gemm.h - the CPU's matrix products. */
#ifndef MTRT_GEMM_H
#define MTRT_GEMM_H

#include "runtime/mtrt.h"

/* C[m,n] = op(A) op(B), row-major, leading dimensions in elements; size is
 * that of an element: 4 (float) or 8 (double).  The result is the same for
 * every number of threads. */
void mt_cpu_gemm(int size, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
                 int64_t ldb, void *c, int64_t ldc);
/* Use vectors of at most so many bytes (16, 32, 64), so that tests reach every kernel. */
void mt_cpu_gemm_limit(int bytes);

#endif
