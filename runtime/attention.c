/* attention.c - attention on the CPU, block of rows by tile of columns.
 *
 * The scores of a block against a tile are all that is ever in memory: a row
 * keeps the highest score it has seen and the sums of weights relative to it,
 * which shrink when a higher one comes (online softmax).  The backward pass
 * makes the weights once more from the scores and lse.
 */
#include "runtime/mtrt_math.h"

#include "runtime/mtrt_attention.h"
#include "runtime/mtrt_bf16.h"

#include "runtime/cpu.h"

#ifdef __clang__ /* which warns that it has no exp in vectors */
#define VECTORS
#else
#define VECTORS _Pragma("omp simd")
#endif

enum { BLOCK = 16, TILE = 64, MOST_FEATURES = 128 };

typedef struct Attention {
  MtMask mask;
  int64_t heads, rows, columns, width;
  double scale;
} Attention;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t columns_seen(const Attention *a, int64_t row) {
  return a->mask == MT_CAUSAL ? least(row + 1, a->columns) : a->columns;
}

#define REAL float
#define STORED float
#define READ(x) (x)
#define WRITE(x) (x)
#define NAME(x) x##_float
#include "runtime/attention_loops.h"

#define REAL double
#define STORED double
#define READ(x) (x)
#define WRITE(x) (x)
#define NAME(x) x##_double
#include "runtime/attention_loops.h"

#define REAL float
#define STORED MtBf16
#define READ(x) mt_bf16_value(x)
#define WRITE(x) mt_bf16_round(x)
#define NAME(x) x##_bf16
#include "runtime/attention_loops.h"

/* Where real is double, so is what else is bf16. */
#define DISPATCH(function, ...)                                           \
  do {                                                                    \
    if (run->real_size == sizeof(double)) function##_double(__VA_ARGS__); \
    else if (type == MT_BF16) function##_bf16(__VA_ARGS__);               \
    else function##_float(__VA_ARGS__);                                   \
  } while (0)

void mt_attention(MtRun *run, MtType type, MtMask mask, int64_t heads, int64_t rows, int64_t columns, int64_t width, double scale,
                  const void *q, const void *k, const void *v, void *o) {
  const Attention a = {mask, heads, rows, columns, width, scale};
  DISPATCH(all_rows, &a, q, k, v, o, NULL);
}

void mt_attention_lse(MtRun *run, MtType type, MtMask mask, int64_t heads, int64_t rows, int64_t columns, int64_t width, double scale,
                      const void *q, const void *k, void *lse) {
  const Attention a = {mask, heads, rows, columns, width, scale};
  DISPATCH(all_rows, &a, q, k, NULL, NULL, lse);
}

void mt_attention_dq(MtRun *run, MtType type, MtMask mask, int64_t heads, int64_t rows, int64_t columns, int64_t width, double scale,
                     const void *q, const void *k, const void *v, const void *lse, const void *g, const void *along, void *dq) {
  const Attention a = {mask, heads, rows, columns, width, scale};
  DISPATCH(all_dq, &a, q, k, v, lse, g, along, dq);
}

void mt_attention_dkv(MtRun *run, MtType type, MtMask mask, int64_t heads, int64_t rows, int64_t columns, int64_t width, double scale,
                      const void *q, const void *k, const void *v, const void *lse, const void *g, const void *along, void *dk,
                      void *dv) {
  const Attention a = {mask, heads, rows, columns, width, scale};
  DISPATCH(all_dkv, &a, q, k, v, lse, g, along, dk, dv);
}
