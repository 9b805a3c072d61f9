// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 7.9 KB:
//   parameters 1.0 KB, gradients 1.0 KB, optimizer 2.0 KB, batches 96 B, data 384 B, results 4 B, step 3.3 KB
// Most values of a step at once: model.mt:9 2.6 KB, model.mt:7 512 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt.h"
#include "mtrt_math.h"
#include "mtrt_attention.h"

#define real float
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

enum { B = 4, T = 5, V = 20, D = 6, K = 2 };
#endif

// Parameters: one block of 1,024 bytes; gradients lie the same way in another.
typedef struct {
  real *table;        // (V, D)
  real *head_weight;  // (K, D)
  real *head_bias;    // (K)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.table = at + 0;
  p.head_weight = at + 128;
  p.head_bias = at + 192;
  return p;
}

// model.mt:7  x.gather = table[ids]
// reads 560 B, writes 480 B
static void x_map(real *restrict x_gather, const int32_t *restrict ids, const real *restrict table,
                  int64_t rows) {
  for (int64_t i = 0; i < rows * T; i++) {
#pragma omp simd
    for (int64_t j = 0; j < D; j++)
      x_gather[i * D + j] = table[ids[i] * D + j];
  }
}

// model.mt:9  mean.div = sum(attention) / 5
// fused 2 nodes of net: reads 480 B, writes 96 B; saves 192 B
static void mean_columns(real *restrict mean_div, const real *restrict attention, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real mean_sum[D] = {0};
    for (int64_t j = 0; j < T; j++) {
#pragma omp simd
      for (int64_t i = 0; i < D; i++)
        mean_sum[i] += attention[row * T * D + j * D + i];
    }
#pragma omp simd
    for (int64_t i = 0; i < D; i++)
      mean_div[row * D + i] = mean_sum[i] / 5;
  }
}

// model.mt:13  loss.cross_entropy.norm.sum.2 = sum(loss.cross_entropy.norm.arg1.where)
// fused 3 nodes of loss.cross_entropy.kept, loss.cross_entropy.norm.arg1 and loss.cross_entropy.norm: reads
//   16 B, writes 4 B; saves 64 B; recomputes 4
static void loss_cross_entropy_norm_rows(real *restrict norm_sum_2, const int32_t *restrict y, int64_t rows) {
  real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t row = 0; row < rows; row++) {
    const int32_t y_at = y[row];
    sum += y_at != -100 ? y_at >= 0 && y_at < 2 ? 1 : 0 : 0;
  }
  norm_sum_2[0] = sum;
}

// model.mt:13  loss.cross_entropy.nll.where.2 = where(y != -100, -sum(loss.cross_entropy.nll.where), 0)
// d(loss.cross_entropy.logp.log_softmax.sub.add) = d(loss.cross_entropy.nll.mul.where) +
//   d(loss.cross_entropy.logp.log_softmax.sub.mul)
// fused 21 nodes of net.head, loss.cross_entropy.logp.log_softmax, loss.cross_entropy.hit and 9 more: reads
//   60 B, writes 48 B; saves 964 B; recomputes 5
static void loss_cross_entropy_nll_rows(real *restrict nll_where_2, real *restrict d_log_softmax_sub_add,
                                        const int32_t *restrict y, const real *restrict bias,
                                        const real *restrict norm_sum_2, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real log_softmax_exp[K];
    const int32_t y_at = y[row];
    const bool kept_ne = y_at != -100;
    const real d_nll_sum_neg = -(kept_ne ? 1 / norm_sum_2[0] : 0);
    const real d_one = (y_at >= 0 && y_at < 2 ? -d_nll_sum_neg : 0) + 0;
    real log_softmax_max = -INFINITY;
    for (int64_t i = 0; i < K; i++) {
      const real head_mm = d_log_softmax_sub_add[row * K + i];
      log_softmax_max = mt_maximum(log_softmax_max, head_mm + bias[i]);
    }
    real log_softmax_sum = 0;
#pragma omp simd reduction(+ : log_softmax_sum)
    for (int64_t i = 0; i < K; i++) {
      const real head_mm = d_log_softmax_sub_add[row * K + i];
      log_softmax_exp[i] = exp(head_mm + bias[i] - log_softmax_max);
      log_softmax_sum += log_softmax_exp[i];
    }
    const real log_softmax_log = log(log_softmax_sum);
    const real d_log_softmax_sum_div = d_one / log_softmax_sum;
    real nll_sum = 0;
#pragma omp simd reduction(+ : nll_sum)
    for (int64_t i = 0; i < K; i++) {
      const bool hit_eq = i == y_at;
      const real head_mm = d_log_softmax_sub_add[row * K + i];
      const real log_softmax_sub_2 = head_mm + bias[i] - log_softmax_max - log_softmax_log;
      nll_sum += hit_eq ? log_softmax_sub_2 : 0;
      const real d_log_softmax_sub_add_at = (hit_eq ? d_nll_sum_neg : 0) + d_log_softmax_sum_div * log_softmax_exp[i];
      d_log_softmax_sub_add[row * K + i] = d_log_softmax_sub_add_at;
    }
    nll_where_2[row] = kept_ne ? -nll_sum : 0;
  }
}

// model.mt:13  loss.cross_entropy.div = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// fused 2 nodes of loss.cross_entropy: reads 20 B, writes 4 B; saves 8 B
static void loss_cross_entropy_rows(real *restrict cross_entropy_div, const real *restrict nll_where_2,
                                    const real *restrict norm_sum_2, int64_t rows) {
  const real norm_sum_2_at = norm_sum_2[0];
  real cross_entropy_sum = 0;
#pragma omp simd reduction(+ : cross_entropy_sum)
  for (int64_t row = 0; row < rows; row++)
    cross_entropy_sum += nll_where_2[row];
  cross_entropy_div[0] = cross_entropy_sum / norm_sum_2_at;
}

// model.mt:9  d(head.bias.sum) = sum(d(loss.cross_entropy.logp.log_softmax.sub.add))
// net.head.bias: reads 32 B, writes 8 B
static void d_head_bias_columns(real *restrict d_bias_sum, const real *restrict d_log_softmax_sub_add,
                                int64_t rows) {
  real sum[K] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < K; i++)
      sum[i] += d_log_softmax_sub_add[row * K + i];
  }
#pragma omp simd
  for (int64_t i = 0; i < K; i++)
    d_bias_sum[i] = sum[i];
}

// model.mt:9  d(mean.sum.div) = d(mean.div.mm) / 5
// reads 96 B, writes 96 B
static void d_mean_map(real *restrict d_mean_sum_div, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * D; i++) {
    const real d_mean_div_mm = d_mean_sum_div[i];
    d_mean_sum_div[i] = d_mean_div_mm / 5;
  }
}

// model.mt:9  d(attention.sum) = sum(d(mean.sum.div) * attention)
// d(attention.broadcast.copy) = d(mean.sum.div)
// fused 3 nodes of net: reads 576 B, writes 560 B; saves 1.1 KB
static void d_attention_rows(real *restrict d_attention_sum, real *restrict d_attention_broadcast_copy,
                             const real *restrict d_mean_sum_div, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < T; i++) {
      real sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < D; j++) {
        const real d_mean_sum_div_at = d_mean_sum_div[row * D + j];
        const real attention = d_attention_broadcast_copy[row * T * D + i * D + j];
        sum += d_mean_sum_div_at * attention;
        d_attention_broadcast_copy[row * T * D + i * D + j] = d_mean_sum_div_at;
      }
      d_attention_sum[row * T + i] = sum;
    }
  }
}

// model.mt:9  d(x.gather.add.2) = d(attention.dq) + d(attention.dkv) + d(attention.dkv)
// fused 2 nodes of net.x: reads 1.4 KB, writes 480 B; saves 1.9 KB
static void d_x_map(real *restrict d_gather_add_2, const real *restrict d_dkv, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * D; i++) {
    const real d_dq = d_gather_add_2[i];
    d_gather_add_2[i] = d_dq + d_dkv[i] + d_dkv[i + 120];
  }
}

// model.mt:7  d(table.scatter_add) = scatter_add(d(x.gather.add.2), ids)
// reads 560 B, writes 480 B
static void d_table_scatter(real *restrict d_table_scatter_add, const real *restrict d_gather_add_2,
                            const int32_t *restrict ids, int64_t rows) {
  for (int64_t i = 0; i < V * D; i++) d_table_scatter_add[i] = 0;
  for (int64_t j = 0; j < rows * T; j++) {
    real *to = d_table_scatter_add + (int64_t)ids[j] * D;
#pragma omp simd
    for (int64_t i = 0; i < D; i++) to[i] += d_gather_add_2[j * D + i];
  }
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const int32_t *ids = (const int32_t *)batch[0];                        // (B, T)
  const int32_t *y = (const int32_t *)batch[1];                          // (B)
  real *x_gather = AT(real, 0);                                          // (B, T, D)
  real *attention_lse = AT(real, 512);                                   // (B, T)
  real *attention = AT(real, 768);                                       // (B, T, D)
  real *mean_div = AT(real, 1280);                                       // (B, D)
  real *head_mm = AT(real, 1536);                                        // (B, K)
  real *loss_cross_entropy_norm_sum_2 = AT(real, 1792);                  // ()
  real *loss_cross_entropy_nll_where_2 = AT(real, 2048);                 // (B)
  real *d_loss_cross_entropy_logp_log_softmax_sub_add = AT(real, 1536);  // (B, K)
  real *d_mean_div_mm = AT(real, 1280);                                  // (B, D)
  real *d_mean_sum_div = AT(real, 1280);                                 // (B, D)
  real *d_attention_sum = AT(real, 1536);                                // (B, T)
  real *d_attention_broadcast_copy = AT(real, 768);                      // (B, T, D)
  real *d_attention_dq = AT(real, 1792);                                 // (B, T, D)
  real *d_attention_dkv = AT(real, 2304);                                // (2, B, T, D)
  real *d_x_gather_add_2 = AT(real, 1792);                               // (B, T, D)
  real *loss_cross_entropy_div = (real *)run->outputs + 0;               // ()

  // model.mt:7
  STEP(x_map(x_gather, ids, p.table, rows));

  // model.mt:9
  STEP(mt_attention_lse(run, MT_F32, MT_FULL, rows, T, T, D, 0.4082482904638631, x_gather, x_gather,
                        attention_lse));
  STEP(mt_attention(run, MT_F32, MT_FULL, rows, T, T, D, 0.4082482904638631, x_gather, x_gather, x_gather,
                    attention));
  STEP(mean_columns(mean_div, attention, rows));
  STEP(mt_gemm(run, MT_NT, rows, K, D, mean_div, p.head_weight, head_mm));

  // model.mt:13
  STEP(loss_cross_entropy_norm_rows(loss_cross_entropy_norm_sum_2, y, rows));
  STEP(loss_cross_entropy_nll_rows(loss_cross_entropy_nll_where_2,
                                   d_loss_cross_entropy_logp_log_softmax_sub_add, y, p.head_bias,
                                   loss_cross_entropy_norm_sum_2, rows));
  STEP(loss_cross_entropy_rows(loss_cross_entropy_div, loss_cross_entropy_nll_where_2,
                               loss_cross_entropy_norm_sum_2, rows));

  // model.mt:9, backward
  STEP(d_head_bias_columns(d.head_bias, d_loss_cross_entropy_logp_log_softmax_sub_add, rows));
  STEP(mt_gemm(run, MT_TN, K, D, rows, d_loss_cross_entropy_logp_log_softmax_sub_add, mean_div,
               d.head_weight));
  STEP(mt_gemm(run, MT_NN, rows, D, K, d_loss_cross_entropy_logp_log_softmax_sub_add, p.head_weight,
               d_mean_div_mm));
  STEP(d_mean_map(d_mean_sum_div, rows));
  STEP(d_attention_rows(d_attention_sum, d_attention_broadcast_copy, d_mean_sum_div, rows));
  STEP(mt_attention_dq(run, MT_F32, MT_FULL, rows, T, T, D, 0.4082482904638631, x_gather, x_gather,
                       x_gather, attention_lse, d_attention_broadcast_copy, d_attention_sum,
                       d_attention_dq));
  STEP(mt_attention_dkv(run, MT_F32, MT_FULL, rows, T, T, D, 0.4082482904638631, x_gather, x_gather,
                        x_gather, attention_lse, d_attention_broadcast_copy, d_attention_sum,
                        d_attention_dkv, d_attention_dkv + B * T * D));
  STEP(d_x_map(d_x_gather_add_2, d_attention_dkv, rows));

  // model.mt:7, backward
  STEP(d_table_scatter(d.table, d_x_gather_add_2, ids, rows));
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.001 * s->lr_scale;  // lr
  s->hyper[0][1] = 0.9;                 // beta1
  s->hyper[0][2] = 0.999;               // beta2
  s->hyper[0][3] = 1e-08;               // eps
  s->hyper[0][4] = 0;                   // decay
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static void train_update(MtRun *run, const MtEnd *end) {
  mt_check_gradients(run, end, 0, 256);
  schedule(run->scalars);
  // net using adam:
  //   g = g + decay * p
  //   m = beta1 * m + (1 - beta1) * g
  //   v = beta2 * v + (1 - beta2) * g * g
  //   p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)
  mt_adam(run, 0, 0, 194);
  mt_finish(run, end);
}

static void train_gradients_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"net.table",       2, {V, D}, 0,   MT_NORMAL,  0,                   0.02,               "model.mt:6", NULL},
  {"net.head.weight", 2, {K, D}, 128, MT_UNIFORM, -0.4082482904638631, 0.4082482904638631, "model.mt:9", NULL},
  {"net.head.bias",   1, {K},    192, MT_UNIFORM, -0.4082482904638631, 0.4082482904638631, "model.mt:9", NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField d0_fields[] = {
  {"ids", MT_I32, 1, {T}, 0, 20, 0},
  {"y",   MT_I32, 0, {0}, 0, 2,  -100},
};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"d0", MT_RANDOM, 0, NULL, 2, d0_fields, 4, false, 16, 1, 0, "model.mt:4"},
};

// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"net", "adam", 2, {"m", "v"}, 0, 194, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {0,  "net.x.gather",                                             "model.mt:7",  MT_IN_ARENA,   0,    120, 30, 0},
  {1,  "net.attention.lse",                                        "model.mt:9",  MT_IN_ARENA,   512,  20,  5,  0},
  {2,  "net.attention",                                            "model.mt:9",  MT_IN_ARENA,   768,  120, 30, 0},
  {3,  "net.mean.div",                                             "model.mt:9",  MT_IN_ARENA,   1280, 24,  6,  0},
  {4,  "net.head.mm",                                              "model.mt:9",  MT_IN_ARENA,   1536, 8,   2,  0},
  {5,  "loss.cross_entropy.norm.sum.2",                            "model.mt:13", MT_IN_ARENA,   1792, 1,   0,  MT_OF_DATA},
  {6,  "loss.cross_entropy.nll.where.2",                           "model.mt:13", MT_IN_ARENA,   2048, 4,   1,  0},
  {6,  "grad.update0.loss.cross_entropy.logp.log_softmax.sub.add", "model.mt:13", MT_IN_ARENA,   1536, 8,   2,  0},
  {7,  "loss.cross_entropy.div",                                   "model.mt:13", MT_IN_OUTPUTS, 0,    1,   0,  0},
  {8,  "grad.update0.net.head.bias.sum",                           "model.mt:9",  MT_IN_GRADS,   192,  2,   0,  0},
  {9,  "grad.update0.net.head.weight.transpose",                   "model.mt:9",  MT_IN_GRADS,   128,  12,  0,  0},
  {10, "grad.update0.net.mean.div.mm",                             "model.mt:9",  MT_IN_ARENA,   1280, 24,  6,  0},
  {11, "grad.update0.net.mean.sum.div",                            "model.mt:9",  MT_IN_ARENA,   1280, 24,  6,  0},
  {12, "grad.update0.net.attention.sum",                           "model.mt:9",  MT_IN_ARENA,   1536, 20,  5,  0},
  {12, "grad.update0.net.attention.broadcast.copy",                "model.mt:9",  MT_IN_ARENA,   768,  120, 30, 0},
  {13, "grad.update0.net.attention.dq",                            "model.mt:9",  MT_IN_ARENA,   1792, 120, 30, 0},
  {15, "grad.update0.net.x.gather.add.2",                          "model.mt:9",  MT_IN_ARENA,   1792, 120, 30, 0},
  {16, "grad.update0.net.table.scatter_add",                       "model.mt:7",  MT_IN_GRADS,   0,    120, 0,  0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, train_gradients_f64, train_update, 1, 0, 0, 256, 0, 0, 0, 1, 17, 18, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"mt_adam",                      1, 5432, 3.57e+04, 1.892e-07},
  {"mt_attention_dkv",             1, 3040, 4800,     1.16e-07},
  {"mt_attention_dq",              1, 2560, 3600,     1.12e-07},
  {"mt_attention_lse",             1, 1040, 1200,     1.1e-07},
  {"mt_attention",                 1, 1920, 2400,     1.1e-07},
  {"d_x_map",                      1, 1920, 480,      1.069e-07},
  {"d_attention_rows",             1, 1136, 720,      1.041e-07},
  {"x_map",                        1, 1040, 960,      1.037e-07},
  {"d_table_scatter",              1, 1040, 240,      1.037e-07},
  {"mt_check_gradients",           1, 1024, 0,        1.037e-07},
  {"mean_columns",                 1, 576,  1200,     1.03e-07},
  {"d_mean_map",                   1, 192,  960,      1.024e-07},
  {"loss_cross_entropy_nll_rows",  1, 108,  656,      1.017e-07},
  {"gemm 4 x 2 x 6 tf32",          1, 176,  96,       1.006e-07},
  {"gemm 2 x 6 x 4 tf32",          1, 176,  96,       1.006e-07},
  {"gemm 4 x 6 x 2 tf32",          1, 176,  96,       1.006e-07},
  {"d_head_bias_columns",          1, 40,   16,       1.001e-07},
  {"loss_cross_entropy_norm_rows", 1, 20,   56,       1.001e-07},
  {"loss_cross_entropy_rows",      1, 24,   48,       1.001e-07},
};
static const MtTrain train = {
  0,                                 // data: d0
  false,                             // shuffled
  0,                                 // seed of the shuffling
  10, MT_STEPS,                      // how long
  1,                                 // micro-batches an update
  true,                              // matrix products in TF32
  1, train_phases,                   // a step, from update to update
  {3328, 1},                         // bytes of its arena, elements of its outputs
  0, NULL,                           // logs
  1, train_groups,                   // update groups
  0, NULL,                           // what happens every so often
  19, train_costs,                   // what a step costs
  "two CPU cores with AVX-512",      // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cpu,                           // what it runs on
  3, 0, 1, 0,                        // parameters, states, data sets, evals
  256, 0,                            // elements of the two blocks
  params, NULL, data,                // their tables
  &train, NULL, NULL, NULL,          // what it can do
  0, NULL,                           // weights to start from
};

int main(int argc, char **argv) { return mt_main(argc, argv, &program); }

// The gradient check runs in double precision: the file includes itself, with real = double and other names;
// what stands between #ifndef MT_DOUBLE and #endif is left out.
#define MT_DOUBLE
#undef real
#define real double
#define Params Params_f64
#define params_at params_at_f64
#define x_map x_map_f64
#define mean_columns mean_columns_f64
#define loss_cross_entropy_norm_rows loss_cross_entropy_norm_rows_f64
#define loss_cross_entropy_nll_rows loss_cross_entropy_nll_rows_f64
#define loss_cross_entropy_rows loss_cross_entropy_rows_f64
#define d_head_bias_columns d_head_bias_columns_f64
#define d_mean_map d_mean_map_f64
#define d_attention_rows d_attention_rows_f64
#define d_x_map d_x_map_f64
#define d_table_scatter d_table_scatter_f64
#define train_gradients train_gradients_f64
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
#endif
