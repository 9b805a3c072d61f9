// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 7.9 KB:
//   parameters 1.0 KB, gradients 1.0 KB, optimizer 2.0 KB, batches 96 B, data 384 B, results 4 B, step 3.3 KB
// Most values of a step at once: model.mt:9 2.6 KB, model.mt:7 512 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"
#include "mtrt_attention.cuh"

#define real float

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
static __global__ void x_map(real *__restrict__ x_gather, const int32_t *__restrict__ ids,
                             const real *__restrict__ table, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * T * D) return;
  x_gather[i] = table[ids[i / D] * D + i % D];
}

// model.mt:9  mean.div = sum(attention) / 5
// fused 2 nodes of net: reads 480 B, writes 96 B; saves 192 B
static __global__ void mean_columns(real *__restrict__ mean_div, const real *__restrict__ attention,
                                    int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * D ? own : rows * D - 1;
  real mean_sum = 0;
  for (int row = threadIdx.y; row < T; row += 8) {
    const real attention_at = attention[(column / D) * T * D + row * D + column % D];
    mean_sum += attention_at;
  }
  mean_sum = column_sum(mean_sum);
  if (threadIdx.y == 0 && own == column) mean_div[column] = mean_sum / 5;
}

// model.mt:13  loss.cross_entropy.norm.sum.2 = sum(loss.cross_entropy.norm.arg1.where)
// fused 3 nodes of loss.cross_entropy.kept, loss.cross_entropy.norm.arg1 and loss.cross_entropy.norm: reads
//   16 B, writes 4 B; saves 64 B; recomputes 4
static __global__ void loss_cross_entropy_norm_rows(real *__restrict__ norm_sum_2,
                                                    const int32_t *__restrict__ y, int rows) {
  real sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32) {
    const int32_t y_at = y[i];
    sum += y_at != -100 ? y_at >= 0 && y_at < 2 ? 1 : 0 : 0;
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) norm_sum_2[0] = sum;
}

// model.mt:13  loss.cross_entropy.nll.where.2 = where(y != -100, -sum(loss.cross_entropy.nll.where), 0)
// d(loss.cross_entropy.logp.log_softmax.sub.add) = d(loss.cross_entropy.nll.mul.where) +
//   d(loss.cross_entropy.logp.log_softmax.sub.mul)
// fused 21 nodes of net.head, loss.cross_entropy.logp.log_softmax, loss.cross_entropy.hit and 9 more: reads
//   60 B, writes 48 B; saves 964 B; recomputes 5
static __global__ void loss_cross_entropy_nll_rows(real *__restrict__ nll_where_2,
                                                   real *__restrict__ d_log_softmax_sub_add,
                                                   const int32_t *__restrict__ y,
                                                   const real *__restrict__ bias,
                                                   const real *__restrict__ norm_sum_2, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const int i = lane;
  real head_mm = 0;
  real log_softmax_exp = 0;
  const int32_t y_at = y[row];
  const bool kept_ne = y_at != -100;
  const real d_nll_sum_neg = -(kept_ne ? 1 / norm_sum_2[0] : 0);
  const real d_one = (y_at >= 0 && y_at < 2 ? -d_nll_sum_neg : 0) + 0;
  real log_softmax_max = -INFINITY;
  if (i < K) {
    head_mm = d_log_softmax_sub_add[row * K + i];
    log_softmax_max = mt_maximum(log_softmax_max, head_mm + bias[i]);
  }
  log_softmax_max = warp_max(log_softmax_max);
  real log_softmax_sum = 0;
  if (i < K) {
    log_softmax_exp = exp(head_mm + bias[i] - log_softmax_max);
    log_softmax_sum += log_softmax_exp;
  }
  log_softmax_sum = warp_sum(log_softmax_sum);
  const real log_softmax_log = log(log_softmax_sum);
  const real d_log_softmax_sum_div = d_one / log_softmax_sum;
  real nll_sum = 0;
  if (i < K) {
    const bool hit_eq = i == y_at;
    const real log_softmax_sub_2 = head_mm + bias[i] - log_softmax_max - log_softmax_log;
    nll_sum += hit_eq ? log_softmax_sub_2 : 0;
    const real d_log_softmax_sub_add_at = (hit_eq ? d_nll_sum_neg : 0) + d_log_softmax_sum_div * log_softmax_exp;
    d_log_softmax_sub_add[row * K + i] = d_log_softmax_sub_add_at;
  }
  nll_sum = warp_sum(nll_sum);
  if (lane == 0) nll_where_2[row] = kept_ne ? -nll_sum : 0;
}

// model.mt:13  loss.cross_entropy.div = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// fused 2 nodes of loss.cross_entropy: reads 20 B, writes 4 B; saves 8 B
static __global__ void loss_cross_entropy_rows(real *__restrict__ cross_entropy_div,
                                               const real *__restrict__ nll_where_2,
                                               const real *__restrict__ norm_sum_2, int rows) {
  const real norm_sum_2_at = norm_sum_2[0];
  real cross_entropy_sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32)
    cross_entropy_sum += nll_where_2[i];
  cross_entropy_sum = warp_sum(cross_entropy_sum);
  if (threadIdx.x == 0) cross_entropy_div[0] = cross_entropy_sum / norm_sum_2_at;
}

// model.mt:9  d(head.bias.sum) = sum(d(loss.cross_entropy.logp.log_softmax.sub.add))
// net.head.bias: reads 32 B, writes 8 B
static __global__ void d_head_bias_columns(real *__restrict__ d_bias_sum,
                                           const real *__restrict__ d_log_softmax_sub_add, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < K ? own : K - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_log_softmax_sub_add[row * K + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_bias_sum[column] = sum;
}

// model.mt:9  d(mean.sum.div) = d(loss.cross_entropy.logp.log_softmax.sub.add) @ head.weight / 5
// computes the product grad.update0.net.mean.div.mm and what follows it: reads 80 B, writes 96 B
static __global__ void d_mean_product(real *__restrict__ d_mean_sum_div,
                                      const real *__restrict__ d_log_softmax_sub_add,
                                      const real *__restrict__ weight, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_mean_div_mm = mt_product<MT_NN>(d_log_softmax_sub_add, weight, rows, D, K);
  if (row >= rows || column >= D) return;
  d_mean_sum_div[row * D + column] = d_mean_div_mm / 5;
}

// model.mt:9  d(attention.sum) = sum(d(mean.sum.div) * attention)
// d(attention.broadcast.copy) = d(mean.sum.div)
// fused 3 nodes of net: reads 576 B, writes 560 B; saves 1.1 KB
static __global__ void d_attention_rows(real *__restrict__ d_attention_sum,
                                        real *__restrict__ d_attention_broadcast_copy,
                                        const real *__restrict__ d_mean_sum_div, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows * T) return;
  real sum = 0;
  for (int i = lane; i < D; i += 32) {
    const real d_mean_sum_div_at = d_mean_sum_div[(row / T) * D + i];
    const real attention = d_attention_broadcast_copy[row * D + i];
    sum += d_mean_sum_div_at * attention;
    d_attention_broadcast_copy[row * D + i] = d_mean_sum_div_at;
  }
  sum = warp_sum(sum);
  if (lane == 0) d_attention_sum[row] = sum;
}

// model.mt:9  d(x.gather.add.2) = d(attention.dq) + d(attention.dkv) + d(attention.dkv)
// fused 2 nodes of net.x: reads 1.4 KB, writes 480 B; saves 1.9 KB
static __global__ void d_x_map(real *__restrict__ d_gather_add_2, const real *__restrict__ d_dkv, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * T * D) return;
  const real d_dq = d_gather_add_2[i];
  d_gather_add_2[i] = d_dq + d_dkv[i] + d_dkv[i + 120];
}

// model.mt:7  d(table.scatter_add) = scatter_add(d(x.gather.add.2), ids)
// reads 560 B, writes 480 B
static __global__ void d_table_scatter(real *__restrict__ d_table_scatter_add,
                                       const real *__restrict__ d_gather_add_2,
                                       const int32_t *__restrict__ ids, int rows) {
  mt_scatter_add<1>(d_table_scatter_add, d_gather_add_2, ids, rows * T, V, D);
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const int32_t *ids = (const int32_t *)batch[0];                        // (B, T)
  const int32_t *y = (const int32_t *)batch[1];                          // (B)
  real *x_gather = AT(real, 0);                                          // (B, T, D)
  real *attention = AT(real, 768);                                       // (B, T, D)
  real *attention_lse = AT(real, 512);                                   // (B, T)
  real *mean_div = AT(real, 1280);                                       // (B, D)
  real *head_mm = AT(real, 1536);                                        // (B, K)
  real *loss_cross_entropy_norm_sum_2 = AT(real, 1792);                  // ()
  real *loss_cross_entropy_nll_where_2 = AT(real, 2048);                 // (B)
  real *d_loss_cross_entropy_logp_log_softmax_sub_add = AT(real, 1536);  // (B, K)
  real *d_mean_sum_div = AT(real, 1280);                                 // (B, D)
  real *d_attention_sum = AT(real, 1536);                                // (B, T)
  real *d_attention_broadcast_copy = AT(real, 768);                      // (B, T, D)
  real *d_attention_dq = AT(real, 1792);                                 // (B, T, D)
  real *d_attention_dkv = AT(real, 2304);                                // (2, B, T, D)
  real *d_x_gather_add_2 = AT(real, 1792);                               // (B, T, D)
  real *loss_cross_entropy_div = (real *)run->outputs + 0;               // ()

  // model.mt:7
  LAUNCH(x_map, mt_blocks(rows * T * D, 256), 256, 0, run)(x_gather, ids, p.table, rows);

  // model.mt:9
  mt_attention<D, MT_FULL, MT_TF32>(run, rows, T, T, 0.4082482904638631, x_gather, x_gather, x_gather,
                                    attention, attention_lse);
  LAUNCH(mean_columns, mt_blocks(rows * D, 32), dim3(32, 8), 0, run)(mean_div, attention, rows);
  STEP(mt_gemm(run, MT_NT, rows, K, D, mean_div, p.head_weight, head_mm));

  // model.mt:13
  LAUNCH(loss_cross_entropy_norm_rows, 1, 32, 0, run)(loss_cross_entropy_norm_sum_2, y, rows);
  LAUNCH(loss_cross_entropy_nll_rows, mt_blocks(rows, 4), 128, 0, run)(
      loss_cross_entropy_nll_where_2, d_loss_cross_entropy_logp_log_softmax_sub_add, y, p.head_bias,
      loss_cross_entropy_norm_sum_2, rows);
  LAUNCH(loss_cross_entropy_rows, 1, 32, 0, run)(loss_cross_entropy_div, loss_cross_entropy_nll_where_2,
                                                 loss_cross_entropy_norm_sum_2, rows);

  // model.mt:9, backward
  LAUNCH(d_head_bias_columns, mt_blocks(K, 32), dim3(32, 8), 0, run)(
      d.head_bias, d_loss_cross_entropy_logp_log_softmax_sub_add, rows);
  STEP(mt_gemm(run, MT_TN, K, D, rows, d_loss_cross_entropy_logp_log_softmax_sub_add, mean_div,
               d.head_weight));
  LAUNCH(d_mean_product, dim3(mt_blocks(D, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      d_mean_sum_div, d_loss_cross_entropy_logp_log_softmax_sub_add, p.head_weight, rows);
  LAUNCH(d_attention_rows, mt_blocks(rows * T, 4), 128, 0, run)(
      d_attention_sum, d_attention_broadcast_copy, d_mean_sum_div, rows);
  mt_attention_dq<D, MT_FULL, MT_TF32>(run, rows, T, T, 0.4082482904638631, x_gather, x_gather, x_gather,
                                       attention_lse, d_attention_broadcast_copy, d_attention_sum,
                                       d_attention_dq);
  mt_attention_dkv<D, MT_FULL, MT_TF32>(run, rows, T, T, 0.4082482904638631, x_gather, x_gather, x_gather,
                                        attention_lse, d_attention_broadcast_copy, d_attention_sum,
                                        d_attention_dkv, d_attention_dkv + B * T * D);
  LAUNCH(d_x_map, mt_blocks(rows * T * D, 256), 256, 0, run)(d_x_gather_add_2, d_attention_dkv, rows);

  // model.mt:7, backward
  LAUNCH(d_table_scatter, dim3(mt_blocks(V, 8), mt_blocks(D, 32)), 256, 0, run)(
      d.table, d_x_gather_add_2, ids, rows);
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static __device__ void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.001 * s->lr_scale;  // lr
  s->hyper[0][1] = 0.9;                 // beta1
  s->hyper[0][2] = 0.999;               // beta2
  s->hyper[0][3] = 1e-08;               // eps
  s->hyper[0][4] = 0;                   // decay
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static __global__ void __launch_bounds__(MT_UPDATE_THREADS) update(const MtUpdateData u) {
  SHARED(MtScalars, s, 1);  // this block's copy
  SHARED(MtRule, rule, 1);
  if (threadIdx.x == 0) {
    mt_begin(u, s);
    schedule(s);
    rule[0] = mt_adam_rule(s, 0);
  }
  mt_check_gradients(u, s, 0, 256);
  // net using adam:
  //   g = g + decay * p
  //   m = beta1 * m + (1 - beta1) * g
  //   v = beta2 * v + (1 - beta2) * g * g
  //   p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)
  mt_adam(u, s, rule[0], 0, 194);
  mt_finish(u, s);
}

static void train_update(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  LAUNCH(update, 1, MT_UPDATE_THREADS, 0, run)(u);
}

namespace f64 { static void train_gradients(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file

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
  {1,  "net.attention",                                            "model.mt:9",  MT_IN_ARENA,   768,  120, 30, 0},
  {1,  "net.attention.lse",                                        "model.mt:9",  MT_IN_ARENA,   512,  20,  5,  0},
  {2,  "net.mean.div",                                             "model.mt:9",  MT_IN_ARENA,   1280, 24,  6,  0},
  {3,  "net.head.mm",                                              "model.mt:9",  MT_IN_ARENA,   1536, 8,   2,  0},
  {4,  "loss.cross_entropy.norm.sum.2",                            "model.mt:13", MT_IN_ARENA,   1792, 1,   0,  MT_OF_DATA},
  {5,  "loss.cross_entropy.nll.where.2",                           "model.mt:13", MT_IN_ARENA,   2048, 4,   1,  0},
  {5,  "grad.update0.loss.cross_entropy.logp.log_softmax.sub.add", "model.mt:13", MT_IN_ARENA,   1536, 8,   2,  0},
  {6,  "loss.cross_entropy.div",                                   "model.mt:13", MT_IN_OUTPUTS, 0,    1,   0,  0},
  {7,  "grad.update0.net.head.bias.sum",                           "model.mt:9",  MT_IN_GRADS,   192,  2,   0,  0},
  {8,  "grad.update0.net.head.weight.transpose",                   "model.mt:9",  MT_IN_GRADS,   128,  12,  0,  0},
  {9,  "grad.update0.net.mean.sum.div",                            "model.mt:9",  MT_IN_ARENA,   1280, 24,  6,  0},
  {10, "grad.update0.net.attention.sum",                           "model.mt:9",  MT_IN_ARENA,   1536, 20,  5,  0},
  {10, "grad.update0.net.attention.broadcast.copy",                "model.mt:9",  MT_IN_ARENA,   768,  120, 30, 0},
  {11, "grad.update0.net.attention.dq",                            "model.mt:9",  MT_IN_ARENA,   1792, 120, 30, 0},
  {13, "grad.update0.net.x.gather.add.2",                          "model.mt:9",  MT_IN_ARENA,   1792, 120, 30, 0},
  {14, "grad.update0.net.table.scatter_add",                       "model.mt:7",  MT_IN_GRADS,   0,    120, 0,  0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, f64::train_gradients, train_update, 1, 0, 0, 256, 0, 0, 0, 1, 15, 17, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"update",                       1, 5432, 3.57e+04, 1.002e-06},
  {"mt_attention_by_columns",      1, 3040, 4800,     1.001e-06},
  {"mt_attention_by_rows",         1, 2560, 3600,     1.001e-06},
  {"d_attention_rows",             1, 1136, 720,      1.001e-06},
  {"mt_attention_rows",            1, 1920, 2400,     1.001e-06},
  {"d_x_map",                      1, 1920, 480,      1.001e-06},
  {"x_map",                        1, 1040, 960,      1e-06},
  {"d_table_scatter",              1, 1040, 240,      1e-06},
  {"loss_cross_entropy_nll_rows",  1, 108,  656,      1e-06},
  {"loss_cross_entropy_rows",      1, 24,   48,       1e-06},
  {"loss_cross_entropy_norm_rows", 1, 20,   56,       1e-06},
  {"mean_columns",                 1, 576,  1200,     1e-06},
  {"gemm 4 x 2 x 6 tf32",          1, 176,  96,       1e-06},
  {"gemm 2 x 6 x 4 tf32",          1, 176,  96,       1e-06},
  {"d_mean_product",               1, 176,  1056,     1e-06},
  {"d_head_bias_columns",          1, 40,   16,       1e-06},
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
  16, train_costs,                   // what a step costs
  "an NVIDIA H100",                  // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cuda,                          // what it runs on
  3, 0, 1, 0,                        // parameters, states, data sets, evals
  256, 0,                            // elements of the two blocks
  params, NULL, data,                // their tables
  &train, NULL, NULL, NULL,          // what it can do
  0, NULL,                           // weights to start from
};

int main(int argc, char **argv) { return mt_main(argc, argv, &program); }

// The gradient check runs in double precision: the file includes itself, with real = double and in a namespace;
// what stands between #ifndef MT_DOUBLE and #endif is left out.
#define MT_DOUBLE
#undef real
#define real double
namespace f64 {
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
}
#endif
