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

#include "runtime/mtrt_bf16.h"

/* op(A)(i, p) = a[i * a_row + p * a_k]; op(B)(p, j) = b[j * b_column + p * b_k]. */
typedef struct MtProduct {
  int64_t m, n, k;
  const void *a, *b;
  int64_t a_row, a_k, b_column, b_k;
  void *c;
  int64_t ldc;
} MtProduct;

enum { K_BLOCK = 384, M_BLOCK = 96, THREADED_WORK = 1 << 21 };

/* Room kept from call to call: for packed panels, 0 B's (of the calling thread) and 1 A's; 2 for sums. */
static void *gemm_room(int which, size_t bytes) {
  static _Thread_local void *room[3];
  static _Thread_local size_t size[3];
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

static inline float read_float(float x) { return x; }
static inline double read_double(double x) { return x; }
static inline float read_MtBf16(MtBf16 x) { return mt_bf16_value(x); }

#if defined __x86_64__
#define REAL float
#define STORED float
#define LANES 16
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) f32_avx512_##x
#include "runtime/gemm_kernel.h"
#define REAL double
#define STORED double
#define LANES 8
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) f64_avx512_##x
#include "runtime/gemm_kernel.h"
#define REAL float
#define STORED MtBf16
#define LANES 16
#define TARGET __attribute__((target("avx512f")))
#define NAME(x) bf16_avx512_##x
#include "runtime/gemm_kernel.h"
#define REAL float
#define STORED float
#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) f32_avx2_##x
#include "runtime/gemm_kernel.h"
#define REAL double
#define STORED double
#define LANES 4
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) f64_avx2_##x
#include "runtime/gemm_kernel.h"
#define REAL float
#define STORED MtBf16
#define LANES 8
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(x) bf16_avx2_##x
#include "runtime/gemm_kernel.h"
#endif
#define REAL float
#define STORED float
#define LANES 4
#define TARGET
#define NAME(x) f32_plain_##x
#include "runtime/gemm_kernel.h"
#define REAL double
#define STORED double
#define LANES 2
#define TARGET
#define NAME(x) f64_plain_##x
#include "runtime/gemm_kernel.h"
#define REAL float
#define STORED MtBf16
#define LANES 4
#define TARGET
#define NAME(x) bf16_plain_##x
#include "runtime/gemm_kernel.h"

typedef void (*Product)(const MtProduct *, int threads);

static int widest = 64; /* bytes of a vector */

void mt_cpu_gemm_limit(int bytes) { widest = bytes; }

#define PICK(set) (size == 4 ? f32_##set##_product : size == 8 ? f64_##set##_product : bf16_##set##_product)
static Product pick(int size) {
#if defined __x86_64__
  if (widest >= 64 && __builtin_cpu_supports("avx512f")) return PICK(avx512);
  if (widest >= 32 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return PICK(avx2);
#endif
  return PICK(plain);
}

static int threads_for(int64_t work) {
  return work < THREADED_WORK || omp_in_parallel() ? 1 : omp_get_max_threads();
}

/* Sums are complete in float before they are rounded. */
static void round_lines(MtBf16 *c, int64_t ldc, const float *sums, int64_t n, int64_t from, int64_t to) {
  for (int64_t i = from; i < to; i++)
    for (int64_t j = 0; j < n; j++) c[i * ldc + j] = mt_bf16_round(sums[i * n + j]);
}

static void round_all(MtBf16 *c, int64_t ldc, const float *sums, int64_t m, int64_t n, int threads) {
  if (threads == 1) {
    round_lines(c, ldc, sums, n, 0, m);
    return;
  }
#pragma omp parallel for num_threads(threads)
  for (int64_t i = 0; i < m; i += M_BLOCK) round_lines(c, ldc, sums, n, i, i + M_BLOCK < m ? i + M_BLOCK : m);
}

void mt_cpu_gemm(MtGemmTypes types, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                 const void *b, int64_t ldb, void *c, int64_t ldc) {
  bool ta = t == MT_TN || t == MT_TT, tb = t == MT_NT || t == MT_TT, narrow = types.out == 2;
  MtProduct g = {m, n, k, a, b, ta ? 1 : lda, ta ? lda : 1, tb ? ldb : 1, tb ? 1 : ldb, c, ldc};
  int threads = threads_for(m * n * k);
  if (m == 0 || n == 0) return;
  if (k == 0) {
    for (int64_t i = 0; i < m; i++) memset((char *)c + i * ldc * types.out, 0, (size_t)(n * types.out));
    return;
  }
  if (narrow) g.c = gemm_room(2, (size_t)(m * n) * sizeof(float)), g.ldc = n;
  pick(types.in)(&g, threads);
  if (narrow) round_all(c, ldc, g.c, m, n, threads);
}
