/* gemm.c - matrix products on the CPU: picks the instruction set and the
 * number of threads; the work is in gemm_kernel.h.
 *
 * Each element of C is summed along k by one thread in one order, so results
 * do not depend on the number of threads.  Small products stay on one thread:
 * starting others costs more than they save.
 */
#include "runtime/gemm.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* op(A)(i, p) = a[i * a_row + p * a_k]; op(B)(p, j) = b[j * b_column + p * b_k]. */
typedef struct MtProduct {
  int64_t m, n, k;
  const void *a, *b;
  int64_t a_row, a_k, b_column, b_k;
  void *c;
  int64_t ldc;
} MtProduct;

enum { K_BLOCK = 384, M_BLOCK = 96, THREADED_WORK = 1 << 21 };

/* Room for packed panels, kept from call to call: 0 is B's (of the calling thread), 1 is A's. */
static void *gemm_room(int which, size_t bytes) {
  static _Thread_local void *room[2];
  static _Thread_local size_t size[2];
  if (size[which] < bytes) {
    free(room[which]);
    size[which] = (bytes + 4095) / 4096 * 4096;
    room[which] = aligned_alloc(64, size[which]);
    if (!room[which]) {
      fprintf(stderr, "out of memory: a matrix product needs %zu bytes of room\n", size[which]);
      _Exit(EXIT_FAILURE); /* other threads run on */
    }
  }
  return room[which];
}

/* Until all threads of a product are here; a product on one thread may run inside someone else's team. */
static void team_wait(int threads) {
  if (threads == 1) return;
#pragma omp barrier
}

#if defined __x86_64__
#define REAL float
#define LANES 16
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) f32_avx512_##x
#include "runtime/gemm_kernel.h"
#define REAL double
#define LANES 8
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) f64_avx512_##x
#include "runtime/gemm_kernel.h"
#define REAL float
#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) f32_avx2_##x
#include "runtime/gemm_kernel.h"
#define REAL double
#define LANES 4
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) f64_avx2_##x
#include "runtime/gemm_kernel.h"
#endif
#define REAL float
#define LANES 4
#define TARGET
#define NAME(x) f32_plain_##x
#include "runtime/gemm_kernel.h"
#define REAL double
#define LANES 2
#define TARGET
#define NAME(x) f64_plain_##x
#include "runtime/gemm_kernel.h"

typedef void (*Product)(const MtProduct *, int threads);

static int widest = 64; /* bytes of a vector */

void mt_cpu_gemm_limit(int bytes) { widest = bytes; }

static Product pick(int size) {
#if defined __x86_64__
  if (widest >= 64 && __builtin_cpu_supports("avx512f")) return size == 4 ? f32_avx512_product : f64_avx512_product;
  if (widest >= 32 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    return size == 4 ? f32_avx2_product : f64_avx2_product;
#endif
  return size == 4 ? f32_plain_product : f64_plain_product;
}

static int threads_for(int64_t work) {
  return work < THREADED_WORK || omp_in_parallel() ? 1 : omp_get_max_threads();
}

void mt_cpu_gemm(int size, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda, const void *b,
                 int64_t ldb, void *c, int64_t ldc) {
  bool ta = t == MT_TN || t == MT_TT, tb = t == MT_NT || t == MT_TT;
  MtProduct g = {m, n, k, a, b, ta ? 1 : lda, ta ? lda : 1, tb ? ldb : 1, tb ? 1 : ldb, c, ldc};
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t i = 0; i < m; i++) memset((char *)c + i * ldc * size, 0, (size_t)(n * size));
    return;
  }
  pick(size)(&g, threads_for(m * n * k));
}
