// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; each step calls them in order.

#include "mtrt.h"
#include "mtrt_math.h"

#define real float
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

enum { B = 6, T = 7, C = 4 };

// model.mt:6  net.best.max = max(x)
// net.best: reads 672 B, writes 96 B
static void net_best_columns(real *restrict best_max, const real *restrict x, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real highest[C];
    for (int64_t i = 0; i < C; i++)
      highest[i] = -INFINITY;
    for (int64_t j = 0; j < 6; j++) {
#pragma omp simd
      for (int64_t i = 0; i < C; i++)
        highest[i] = mt_maximum(highest[i], x[row * T * C + j * C + i + 4]);
    }
#pragma omp simd
    for (int64_t i = 0; i < C; i++)
      best_max[row * C + i] = highest[i];
  }
}

// model.mt:7  net.all.norm.where.2 = where(net.all.norm.sum <= 0, 0, sqrt(net.all.norm.where))
// fused 6 nodes of net.all.norm: reads 672 B, writes 16 B; saves 1.5 KB
static void net_all_norm_columns(real *restrict norm_where_2, const real *restrict x, int64_t rows) {
  real norm_sum[C] = {0};
  for (int64_t j = 0; j < rows * T; j++) {
#pragma omp simd
    for (int64_t i = 0; i < C; i++) {
      const real x_at = x[j * C + i];
      norm_sum[i] += x_at * x_at;
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < C; i++) {
    const bool norm_le = norm_sum[i] <= 0;
    norm_where_2[i] = norm_le ? 0 : sqrt(norm_le ? 1 : norm_sum[i]);
  }
}

// model.mt:5  net.rows.std.where.2 = where(net.rows.std.div <= 0, 0, sqrt(net.rows.std.where))
// fused 10 nodes of net.rows.std: reads 672 B, writes 168 B; saves 5.7 KB
static void net_rows_std_rows(real *restrict std_where_2, const real *restrict x, int64_t rows) {
  for (int64_t i = 0; i < rows * T; i++) {
    real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
    for (int64_t j = 0; j < C; j++)
      mean_sum += x[i * C + j];
    const real mean_div = mean_sum * 0.25f;
    real std_sum = 0;
#pragma omp simd reduction(+ : std_sum)
    for (int64_t j = 0; j < C; j++) {
      const real std_sub = x[i * C + j] - mean_div;
      std_sum += std_sub * std_sub;
    }
    const real std_div = std_sum / 3;
    const bool std_le = std_div <= 0;
    std_where_2[i] = std_le ? 0 : sqrt(std_le ? 1 : std_div);
  }
}

// model.mt:8  net.div = sum(net.rows.std.where.2) / f32(rows)
// fused 2 nodes of net: reads 168 B, writes 24 B; saves 48 B
static void net_columns(real *restrict net_div, const real *restrict std_where_2, int64_t rows) {
  real net_sum[B] = {0};
  real net_rhs_cast[B];
#pragma omp simd
  for (int64_t row = 0; row < rows; row++)
    net_rhs_cast[row] = (real)rows;
  for (int64_t i = 0; i < T; i++) {
#pragma omp simd
    for (int64_t row = 0; row < rows; row++)
      net_sum[row] += std_where_2[row * T + i];
  }
#pragma omp simd
  for (int64_t row = 0; row < rows; row++)
    net_div[row] = net_sum[row] / net_rhs_cast[row];
}

// model.mt:8  net.add.2 = sum(x) / 7 + (net.best.cast + net.best.max) * net.all.norm.where.2 + net.div
// fused 8 nodes of net.columns, net.best and net: reads 808 B, writes 96 B; saves 2.0 KB
static void net_columns_2(real *restrict net_add_2, const real *restrict x, const real *restrict best_max,
                          const real *restrict norm_where_2, const real *restrict net_div, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real mean_sum[C] = {0};
    int32_t best_argmax[C] = {0};
    real best_argmax_best[C];
    for (int64_t i = 0; i < C; i++)
      best_argmax_best[i] = -INFINITY;
    real best_max_at[C];
    real norm_where_2_at[C];
    real net_div_at[C];
#pragma omp simd
    for (int64_t i = 0; i < C; i++) {
      best_max_at[i] = best_max[row * C + i];
      norm_where_2_at[i] = norm_where_2[i];
      net_div_at[i] = net_div[row];
    }
    for (int64_t j = 0; j < T; j++) {
      for (int64_t i = 0; i < C; i++) {
        const real x_at = x[row * T * C + j * C + i];
        mean_sum[i] += x_at;
        if (x_at > best_argmax_best[i] || (x_at != x_at && best_argmax_best[i] == best_argmax_best[i]))
          best_argmax_best[i] = x_at, best_argmax[i] = (int32_t)j;
      }
    }
#pragma omp simd
    for (int64_t i = 0; i < C; i++) {
      const real net_mul = ((real)best_argmax[i] + best_max_at[i]) * norm_where_2_at[i];
      net_add_2[row * C + i] = mean_sum[i] / 7 + net_mul + net_div_at[i];
    }
  }
}

// Inference.
static void predict_step(MtRun *run, const void *const *batch, int64_t rows) {
  const real *x = (const real *)batch[0];      // (B, T, C)
  real *net_best_max = AT(real, 0);            // (B, C)
  real *net_all_norm_where_2 = AT(real, 256);  // (C)
  real *net_rows_std_where_2 = AT(real, 512);  // (B, T)
  real *net_div = AT(real, 768);               // (B)
  real *net_add_2 = (real *)run->outputs + 0;  // (B, C)

  // model.mt:6
  STEP(net_best_columns(net_best_max, x, rows));

  // model.mt:7
  STEP(net_all_norm_columns(net_all_norm_where_2, x, rows));

  // model.mt:5
  STEP(net_rows_std_rows(net_rows_std_where_2, x, rows));

  // model.mt:8
  STEP(net_columns(net_div, net_rows_std_where_2, rows));
  STEP(net_columns_2(net_add_2, x, net_best_max, net_all_norm_where_2, net_div, rows));
}

static const MtField predict_fields[] = {
  {"x", MT_F32, 2, {T, C}, 0, 0, 0},
};
static const MtPredict predict = {
  1, predict_fields,                 // what it is given
  6,                                 // rows a batch
  predict_step,                      // the step
  {1024, 24},                        // bytes of its arena, elements of its outputs
  1, {C},                            // rank and shape of a result
  true,                              // one result a row
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cpu,                           // what it runs on
  0, 0, 0, 0,                        // parameters, states, data sets, evals
  0, 0,                              // elements of the two blocks
  NULL, NULL, NULL,                  // their tables
  NULL, NULL, &predict, NULL,        // what it can do
  0, NULL,                           // weights to start from
};

int main(int argc, char **argv) { return mt_main(argc, argv, &program); }
