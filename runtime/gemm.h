/* gemm.h - the CPU's matrix products. */
#ifndef MTRT_GEMM_H
#define MTRT_GEMM_H

#include "runtime/mtrt.h"

/* Bytes of an element of the operands and of the result: 4 (float), 8 (double), or 2 (bf16, summed
 * in float), whose result is 2 or 4. */
typedef struct MtGemmTypes {
  int in, out;
} MtGemmTypes;

/* C[m,n] = op(A) op(B), row-major, leading dimensions in elements.  The result
 * is the same for every number of threads. */
void mt_cpu_gemm(MtGemmTypes types, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
                 int64_t ldb, void *c, int64_t ldc);
/* Use vectors of at most so many bytes (16, 32, 64), so that tests reach every kernel. */
void mt_cpu_gemm_limit(int bytes);

#endif
