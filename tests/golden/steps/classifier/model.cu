// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 7.1 KB, and its data files:
//   parameters 1.0 KB, gradients 2.0 KB, optimizer 2.0 KB, batches 448 B, results 8 B, step 1.5 KB
// Most values of a step at once: model.mt:7 768 B, model.mt:11 768 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"

#define real float

enum { B = 8, P = 6, H = 10, K = 3 };
#endif

// Parameters: one block of 1,024 bytes; gradients lie the same way in another.
typedef struct {
  real *fc1_weight;  // (H, P)
  real *fc1_bias;    // (H)
  real *fc2_weight;  // (K, H)
  real *fc2_bias;    // (K)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.fc1_weight = at + 0;
  p.fc1_bias = at + 64;
  p.fc2_weight = at + 128;
  p.fc2_bias = at + 192;
  return p;
}

// model.mt:7  fc1.dropout.mul.2 = relu(fc1.mm + fc1.bias) * (f32(fc1.dropout.ge) * 1.1111111111111112)
// d(fc1.add.le) = relu(x @ t(fc1.weight) + fc1.bias) <= 0
// computes the product net.fc1.mm and what follows it: reads 472 B, writes 400 B
static __global__ void fc1_dropout_product(real *__restrict__ dropout_mul_2, bool *__restrict__ d_fc1_add_le,
                                           const real *__restrict__ x, const real *__restrict__ weight,
                                           const real *__restrict__ bias, const MtScalars *scalars, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real fc1_mm = mt_product<MT_NT>(x, weight, rows, H, P);
  if (row >= rows || column >= H) return;
  const real fc1_add = fc1_mm + bias[column];
  const real fc1_relu = fc1_add < 0 ? 0 : fc1_add;
  const real draw = mt_uniform(scalars, 0x14e7c59b8ba929b5u, row * H + column);  // net.fc1.dropout
  const real dropout_mul = (real)(draw >= (real)0.1) * (real)1.1111111111111112;
  dropout_mul_2[row * H + column] = fc1_relu * dropout_mul;
  d_fc1_add_le[row * H + column] = fc1_relu <= 0;
}

// model.mt:11  loss.cross_entropy.norm.sum.2 = sum(loss.cross_entropy.norm.arg1.where)
// fused 3 nodes of loss.cross_entropy.kept, loss.cross_entropy.norm.arg1 and loss.cross_entropy.norm: reads
//   32 B, writes 4 B; saves 120 B; recomputes 4
static __global__ void loss_cross_entropy_norm_rows(real *__restrict__ norm_sum_2,
                                                    const int32_t *__restrict__ y, int rows) {
  real sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32) {
    const int32_t y_at = y[i];
    sum += y_at != -100 ? y_at >= 0 && y_at < 3 ? 1 : 0 : 0;
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) norm_sum_2[0] = sum;
}

// model.mt:11  loss.cross_entropy.nll.where.2 = where(y != -100, -sum(loss.cross_entropy.nll.where), 0)
// d(loss.cross_entropy.logp.log_softmax.sub.add) = d(loss.cross_entropy.nll.mul.where) +
//   d(loss.cross_entropy.logp.log_softmax.sub.mul)
// fused 21 nodes of net.fc2, loss.cross_entropy.logp.log_softmax, loss.cross_entropy.hit and 9 more: reads
//   144 B, writes 128 B; saves 2.5 KB; recomputes 5
static __global__ void loss_cross_entropy_nll_rows(real *__restrict__ nll_where_2,
                                                   real *__restrict__ d_log_softmax_sub_add,
                                                   const int32_t *__restrict__ y,
                                                   const real *__restrict__ bias,
                                                   const real *__restrict__ norm_sum_2, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const int i = lane;
  real fc2_mm = 0;
  real log_softmax_exp = 0;
  const int32_t y_at = y[row];
  const bool kept_ne = y_at != -100;
  const real d_nll_sum_neg = -(kept_ne ? 1 / norm_sum_2[0] : 0);
  const real d_one = (y_at >= 0 && y_at < 3 ? -d_nll_sum_neg : 0) + 0;
  real log_softmax_max = -INFINITY;
  if (i < K) {
    fc2_mm = d_log_softmax_sub_add[row * K + i];
    log_softmax_max = mt_maximum(log_softmax_max, fc2_mm + bias[i]);
  }
  log_softmax_max = warp_max(log_softmax_max);
  real log_softmax_sum = 0;
  if (i < K) {
    log_softmax_exp = exp(fc2_mm + bias[i] - log_softmax_max);
    log_softmax_sum += log_softmax_exp;
  }
  log_softmax_sum = warp_sum(log_softmax_sum);
  const real log_softmax_log = log(log_softmax_sum);
  const real d_log_softmax_sum_div = d_one / log_softmax_sum;
  real nll_sum = 0;
  if (i < K) {
    const bool hit_eq = i == y_at;
    const real log_softmax_sub_2 = fc2_mm + bias[i] - log_softmax_max - log_softmax_log;
    nll_sum += hit_eq ? log_softmax_sub_2 : 0;
    const real d_log_softmax_sub_add_at = (hit_eq ? d_nll_sum_neg : 0) + d_log_softmax_sum_div * log_softmax_exp;
    d_log_softmax_sub_add[row * K + i] = d_log_softmax_sub_add_at;
  }
  nll_sum = warp_sum(nll_sum);
  if (lane == 0) nll_where_2[row] = kept_ne ? -nll_sum : 0;
}

// model.mt:11  loss.cross_entropy.div = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// loss.cross_entropy.div.copy = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// fused 3 nodes of loss.cross_entropy: reads 36 B, writes 8 B; saves 12 B
static __global__ void loss_cross_entropy_rows(real *__restrict__ cross_entropy_div,
                                               real *__restrict__ cross_entropy_div_copy,
                                               const real *__restrict__ nll_where_2,
                                               const real *__restrict__ norm_sum_2, int rows) {
  const real norm_sum_2_at = norm_sum_2[0];
  real cross_entropy_sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32)
    cross_entropy_sum += nll_where_2[i];
  cross_entropy_sum = warp_sum(cross_entropy_sum);
  const real cross_entropy_div_at = cross_entropy_sum / norm_sum_2_at;
  if (threadIdx.x == 0) {
    cross_entropy_div[0] = cross_entropy_div_at;
    cross_entropy_div_copy[0] = cross_entropy_div_at;
  }
}

// model.mt:7  d(fc2.bias.sum) = sum(d(loss.cross_entropy.logp.log_softmax.sub.add))
// net.fc2.bias: reads 96 B, writes 12 B
static __global__ void d_fc2_bias_columns(real *__restrict__ d_bias_sum,
                                          const real *__restrict__ d_log_softmax_sub_add, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < K ? own : K - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_log_softmax_sub_add[row * K + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_bias_sum[column] = sum;
}

// model.mt:7  d(fc1.add.where) = where(d(fc1.add.le), 0, d(fc1.dropout.mul.2.mm) * fc1.dropout.mul)
// computes the product grad.update0.net.fc1.dropout.mul.2.mm and what follows it: reads 296 B, writes 320 B
static __global__ void d_fc1_product(real *__restrict__ d_fc1_add_where,
                                     const bool *__restrict__ d_fc1_add_le,
                                     const real *__restrict__ d_log_softmax_sub_add,
                                     const real *__restrict__ weight, const MtScalars *scalars, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_mul_2_mm = mt_product<MT_NN>(d_log_softmax_sub_add, weight, rows, H, K);
  if (row >= rows || column >= H) return;
  const real draw = mt_uniform(scalars, 0x14e7c59b8ba929b5u, row * H + column);  // net.fc1.dropout
  const real dropout_mul = (real)(draw >= (real)0.1) * (real)1.1111111111111112;
  const real d_fc1_add_where_at = d_fc1_add_le[row * H + column] ? 0 : d_mul_2_mm * dropout_mul;
  d_fc1_add_where[row * H + column] = d_fc1_add_where_at;
}

// model.mt:7  d(fc1.bias.sum) = sum(d(fc1.add.where))
// net.fc1.bias: reads 320 B, writes 40 B
static __global__ void d_fc1_bias_columns(real *__restrict__ d_bias_sum,
                                          const real *__restrict__ d_fc1_add_where, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < H ? own : H - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_fc1_add_where[row * H + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_bias_sum[column] = sum;
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];                               // (B, P)
  const int32_t *y = (const int32_t *)batch[1];                         // (B)
  real *fc1_dropout_mul_2 = AT(real, 0);                                // (B, H)
  bool *d_fc1_add_le = AT(bool, 512);                                   // (B, H)
  real *fc2_mm = AT(real, 768);                                         // (B, K)
  real *loss_cross_entropy_norm_sum_2 = AT(real, 1024);                 // ()
  real *loss_cross_entropy_nll_where_2 = AT(real, 1280);                // (B)
  real *d_loss_cross_entropy_logp_log_softmax_sub_add = AT(real, 768);  // (B, K)
  real *d_fc1_add_where = AT(real, 0);                                  // (B, H)
  real *loss_cross_entropy_div = (real *)run->outputs + 0;              // ()
  real *loss_cross_entropy_div_copy = (real *)run->outputs + 1;         // ()

  // model.mt:7
  LAUNCH(fc1_dropout_product, dim3(mt_blocks(H, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      fc1_dropout_mul_2, d_fc1_add_le, x, p.fc1_weight, p.fc1_bias, run->scalars, rows);
  STEP(mt_gemm(run, MT_NT, rows, K, H, fc1_dropout_mul_2, p.fc2_weight, fc2_mm));

  // model.mt:11
  LAUNCH(loss_cross_entropy_norm_rows, 1, 32, 0, run)(loss_cross_entropy_norm_sum_2, y, rows);
  LAUNCH(loss_cross_entropy_nll_rows, mt_blocks(rows, 4), 128, 0, run)(
      loss_cross_entropy_nll_where_2, d_loss_cross_entropy_logp_log_softmax_sub_add, y, p.fc2_bias,
      loss_cross_entropy_norm_sum_2, rows);
  LAUNCH(loss_cross_entropy_rows, 1, 32, 0, run)(loss_cross_entropy_div, loss_cross_entropy_div_copy,
                                                 loss_cross_entropy_nll_where_2,
                                                 loss_cross_entropy_norm_sum_2, rows);

  // model.mt:7, backward
  LAUNCH(d_fc2_bias_columns, mt_blocks(K, 32), dim3(32, 8), 0, run)(
      d.fc2_bias, d_loss_cross_entropy_logp_log_softmax_sub_add, rows);
  STEP(mt_gemm(run, MT_TN, K, H, rows, d_loss_cross_entropy_logp_log_softmax_sub_add, fc1_dropout_mul_2,
               d.fc2_weight));
  LAUNCH(d_fc1_product, dim3(mt_blocks(H, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      d_fc1_add_where, d_fc1_add_le, d_loss_cross_entropy_logp_log_softmax_sub_add, p.fc2_weight,
      run->scalars, rows);
  LAUNCH(d_fc1_bias_columns, mt_blocks(H, 32), dim3(32, 8), 0, run)(d.fc1_bias, d_fc1_add_where, rows);
  STEP(mt_gemm(run, MT_TN, H, P, rows, d_fc1_add_where, x, d.fc1_weight));
}

#ifndef MT_DOUBLE

// model.mt:7  fc1.relu = relu(x @ t(fc1.weight) + fc1.bias)
// called 2 times
// computes the product net.fc1.mm and what follows it: reads 472 B, writes 320 B
static __global__ void fc1_product(real *__restrict__ fc1_relu, const real *__restrict__ x,
                                   const real *__restrict__ weight, const real *__restrict__ bias, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real fc1_mm = mt_product<MT_NT>(x, weight, rows, H, P);
  if (row >= rows || column >= H) return;
  const real fc1_add = fc1_mm + bias[column];
  fc1_relu[row * H + column] = fc1_add < 0 ? 0 : fc1_add;
}

// model.mt:16  accuracy.mean.cast = f32(argmax(fc2.mm + fc2.bias) == y)
// fused 4 nodes of net.fc2 and accuracy: reads 140 B, writes 32 B; saves 272 B
static __global__ void accuracy_mean_rows(real *__restrict__ mean_cast, const real *__restrict__ fc2_mm,
                                          const real *__restrict__ bias, const int32_t *__restrict__ y,
                                          int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const int32_t y_at = y[row];
  real accuracy_argmax_best = -INFINITY;
  int accuracy_argmax = 0;
  for (int i = lane; i < K; i += 32) {
    const real fc2_add = fc2_mm[row * K + i] + bias[i];
    if (fc2_add > accuracy_argmax_best || (fc2_add != fc2_add && accuracy_argmax_best == accuracy_argmax_best))
      accuracy_argmax_best = fc2_add, accuracy_argmax = i;
  }
  warp_argmax(accuracy_argmax_best, accuracy_argmax);
  if (lane == 0) mean_cast[row] = (real)(accuracy_argmax == y_at);
}

// model.mt:16  accuracy.mean.sum = sum(accuracy.mean.cast)
// accuracy: reads 32 B, writes 4 B
static __global__ void accuracy_mean_rows_2(real *__restrict__ mean_sum, const real *__restrict__ mean_cast,
                                            int rows) {
  real sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32)
    sum += mean_cast[i];
  sum = warp_sum(sum);
  if (threadIdx.x == 0) mean_sum[0] = sum;
}

// model.mt:16  accuracy.mean.div = acc.0 / f32(rows)
// accuracy: reads 4 B, writes 4 B
static __global__ void accuracy_mean_map(real *__restrict__ mean_div, const real *__restrict__ acc_0,
                                         int rows) {
  mean_div[0] = acc_0[0] / (real)rows;
}

// model.mt:20  value.softmax.mul = exp(fc2.add - value.softmax.max) * (1 / sum(value.softmax.exp))
// fused 7 nodes of net.fc2 and value.softmax: reads 108 B, writes 96 B; saves 960 B
static __global__ void value_softmax_rows(real *__restrict__ softmax_mul, const real *__restrict__ fc2_mm,
                                          const real *__restrict__ bias, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const int i = lane;
  real fc2_mm_at = 0;
  real softmax_exp = 0;
  real softmax_max = -INFINITY;
  if (i < K) {
    fc2_mm_at = fc2_mm[row * K + i];
    softmax_max = mt_maximum(softmax_max, fc2_mm_at + bias[i]);
  }
  softmax_max = warp_max(softmax_max);
  real softmax_sum = 0;
  if (i < K) {
    softmax_exp = exp(fc2_mm_at + bias[i] - softmax_max);
    softmax_sum += softmax_exp;
  }
  softmax_sum = warp_sum(softmax_sum);
  const real softmax_div = 1 / softmax_sum;
  if (i < K)
    softmax_mul[row * K + i] = softmax_exp * softmax_div;
}

// One batch of test_set: what is accumulated.
static void eval0_batch(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const real *x = (const real *)batch[0];              // (B, P)
  const int32_t *y = (const int32_t *)batch[1];        // (B)
  real *fc1_relu = AT(real, 0);                        // (B, H)
  real *fc2_mm = AT(real, 512);                        // (B, K)
  real *accuracy_mean_cast = AT(real, 0);              // (B)
  real *accuracy_mean_sum = (real *)run->outputs + 0;  // ()

  // model.mt:7
  LAUNCH(fc1_product, dim3(mt_blocks(H, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      fc1_relu, x, p.fc1_weight, p.fc1_bias, rows);
  STEP(mt_gemm(run, MT_NT, rows, K, H, fc1_relu, p.fc2_weight, fc2_mm));

  // model.mt:16
  LAUNCH(accuracy_mean_rows, mt_blocks(rows, 4), 128, 0, run)(
      accuracy_mean_cast, fc2_mm, p.fc2_bias, y, rows);
  LAUNCH(accuracy_mean_rows_2, 1, 32, 0, run)(accuracy_mean_sum, accuracy_mean_cast, rows);
}

// The logs, once, from what was accumulated.
static void eval0_finish(MtRun *run, const void *const *batch, int64_t rows) {
  const real *acc_0 = (const real *)batch[0];          // ()
  real *accuracy_mean_div = (real *)run->outputs + 0;  // ()

  // model.mt:16
  LAUNCH(accuracy_mean_map, 1, 1, 0, run)(accuracy_mean_div, acc_0, rows);
}

// Inference.
static void predict_step(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const real *x = (const real *)batch[0];              // (B, P)
  real *fc1_relu = AT(real, 0);                        // (B, H)
  real *fc2_mm = AT(real, 512);                        // (B, K)
  real *value_softmax_mul = (real *)run->outputs + 0;  // (B, K)

  // model.mt:7
  LAUNCH(fc1_product, dim3(mt_blocks(H, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      fc1_relu, x, p.fc1_weight, p.fc1_bias, rows);
  STEP(mt_gemm(run, MT_NT, rows, K, H, fc1_relu, p.fc2_weight, fc2_mm));

  // model.mt:20
  LAUNCH(value_softmax_rows, mt_blocks(rows, 4), 128, 0, run)(value_softmax_mul, fc2_mm, p.fc2_bias, rows);
}

// Hyper-parameters of the update at hand.
static __device__ void schedule(MtScalars *s) {
  s->done = s->step;
  const double step = (double)s->step;
  const double total = (double)s->total;
  const double lr_mul = (step - 5) / mt_maximum(total - 5, 1.0) * 3.141592653589793;
  s->hyper[0][0] = (step < 5 ? 0.01 * ((step + 1) / mt_maximum(5.0, 1.0)) : 0.01 * ((cos(lr_mul) + 1) * 0.5)) * s->lr_scale;  // lr
  s->hyper[0][1] = 0.9;                 // beta1
  s->hyper[0][2] = 0.999;               // beta2
  s->hyper[0][3] = 1e-08;               // eps
  s->hyper[0][4] = 0.1;                 // decay
  s->hyper[1][0] = 0.1 * s->lr_scale;   // lr
  s->hyper[1][1] = 0;                   // momentum
  s->hyper[1][2] = 0;                   // dampening
  s->hyper[1][3] = 0;                   // decay
  s->hyper[1][4] = 0;                   // nesterov
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static __global__ void __launch_bounds__(MT_UPDATE_THREADS) update(const MtUpdateData u) {
  SHARED(MtScalars, s, 1);  // this block's copy
  SHARED(MtRule, rule, 2);
  if (threadIdx.x == 0) {
    mt_begin(u, s);
    schedule(s);
    rule[0] = mt_adamw_rule(s, 0);
    rule[1] = mt_sgd_rule(s, 1);
  }
  mt_clip_gradients(u, s, 0, 256, 1);
  // net using adamw:
  //   p = p * (1 - lr * decay)
  //   m = beta1 * m + (1 - beta1) * g
  //   v = beta2 * v + (1 - beta2) * g * g
  //   p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)
  mt_adamw(u, s, rule[0], 0, 158);
  // net.fc2.bias using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(u, s, rule[1], 192, 3);
  mt_finish(u, s);
}

static void train_update(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  LAUNCH(update, 1, MT_UPDATE_THREADS, 0, run)(u);
}

namespace f64 { static void train_gradients(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"net.fc1.weight", 2, {H, P}, 0,   MT_UNIFORM, -0.4082482904638631,  0.4082482904638631,  "model.mt:7", NULL},
  {"net.fc1.bias",   1, {H},    64,  MT_UNIFORM, -0.4082482904638631,  0.4082482904638631,  "model.mt:7", NULL},
  {"net.fc2.weight", 2, {K, H}, 128, MT_UNIFORM, -0.31622776601683794, 0.31622776601683794, "model.mt:7", NULL},
  {"net.fc2.bias",   1, {K},    192, MT_UNIFORM, -0.31622776601683794, 0.31622776601683794, "model.mt:7", NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField train_set_fields[] = {
  {"x", MT_F32, 1, {P}, 0, 0, 0},
  {"y", MT_I32, 0, {0}, 0, 3, -100},
};
static const char *const train_set_files[] = {"train.csv"};
static const MtField test_set_fields[] = {
  {"x", MT_F32, 1, {P}, 0, 0, 0},
  {"y", MT_I32, 0, {0}, 0, 3, -100},
};
static const char *const test_set_files[] = {"test.csv"};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"train_set", MT_CSV, 1, train_set_files, 2, train_set_fields, 8, false, 0, 0, 0, "model.mt:4"},
  {"test_set",  MT_CSV, 1, test_set_files,  2, test_set_fields,  8, false, 0, 0, 0, "model.mt:5"},
};

static const MtAccumulator eval0_accumulators[] = {
  {'+', 0, 1},
};
static const MtLog eval0_logs[] = {
  {"accuracy", 0},
};
// data, batch step and its size, accumulators, finishing step and its size, logs
static const MtEval evals[] = {
  {1, eval0_batch, {768, 1}, 1, eval0_accumulators, eval0_finish, {0, 1}, 1, eval0_logs},
};

static const MtLog train_logs[] = {
  {"loss", 1},
};
// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"net",          "adamw", 2, {"m", "v"}, 0,   158, 0},
  {"net.fc2.bias", "sgd",   1, {"buf"},    192, 3,   192},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {0, "net.fc1.dropout.mul.2",                                    "model.mt:7",  MT_IN_ARENA,   0,    80, 10, 0},
  {1, "net.fc2.mm",                                               "model.mt:7",  MT_IN_ARENA,   768,  24, 3,  0},
  {2, "loss.cross_entropy.norm.sum.2",                            "model.mt:11", MT_IN_ARENA,   1024, 1,  0,  MT_OF_DATA},
  {3, "loss.cross_entropy.nll.where.2",                           "model.mt:11", MT_IN_ARENA,   1280, 8,  1,  0},
  {3, "grad.update0.loss.cross_entropy.logp.log_softmax.sub.add", "model.mt:11", MT_IN_ARENA,   768,  24, 3,  0},
  {4, "loss.cross_entropy.div",                                   "model.mt:11", MT_IN_OUTPUTS, 0,    1,  0,  0},
  {4, "loss.cross_entropy.div.copy",                              "model.mt:11", MT_IN_OUTPUTS, 1,    1,  0,  0},
  {5, "grad.update0.net.fc2.bias.sum",                            "model.mt:7",  MT_IN_GRADS,   192,  3,  0,  0},
  {6, "grad.update0.net.fc2.weight.transpose",                    "model.mt:7",  MT_IN_GRADS,   128,  30, 0,  0},
  {7, "grad.update0.net.fc1.add.where",                           "model.mt:7",  MT_IN_ARENA,   0,    80, 10, 0},
  {8, "grad.update0.net.fc1.bias.sum",                            "model.mt:7",  MT_IN_GRADS,   64,   10, 0,  0},
  {9, "grad.update0.net.fc1.weight.transpose",                    "model.mt:7",  MT_IN_GRADS,   0,    60, 0,  0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, f64::train_gradients, train_update, 1, 0, 0, 256, 0, 1, 0, 2, 10, 12, train_values, 0, NULL},
};
static const MtAction every0_actions[] = {
  {'e', 0, NULL},
  {'h', 0, "accuracy"},
};
static const MtEvery train_every[] = {
  {1, MT_EPOCHS, 2, every0_actions},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"update",                       1, 4484, 2.945e+04, 1.002e-06},
  {"loss_cross_entropy_rows",      1, 44,   58,        1.001e-06},
  {"loss_cross_entropy_norm_rows", 1, 36,   112,       1e-06},
  {"loss_cross_entropy_nll_rows",  1, 272,  1576,      1e-06},
  {"fc1_dropout_product",          1, 872,  1.008e+04, 1e-06},
  {"gemm 10 x 6 x 8 f32",          1, 752,  960,       1e-06},
  {"d_fc1_product",                1, 616,  9280,      1e-06},
  {"gemm 8 x 3 x 10 f32",          1, 536,  480,       1e-06},
  {"gemm 3 x 10 x 8 f32",          1, 536,  480,       1e-06},
  {"d_fc1_bias_columns",           1, 360,  160,       1e-06},
  {"d_fc2_bias_columns",           1, 108,  48,        1e-06},
};
static const MtTrain train = {
  0,                                 // data: train_set
  true,                              // shuffled
  1,                                 // seed of the shuffling
  5, MT_EPOCHS,                      // how long
  2,                                 // micro-batches an update
  false,                             // matrix products in TF32
  1, train_phases,                   // a step, from update to update
  {1536, 2},                         // bytes of its arena, elements of its outputs
  1, train_logs,                     // logs
  2, train_groups,                   // update groups
  1, train_every,                    // what happens every so often
  11, train_costs,                   // what a step costs
  "an NVIDIA H100",                  // by the model of it
};

static const MtField predict_fields[] = {
  {"x", MT_F32, 1, {P}, 0, 0, 0},
};
static const MtPredict predict = {
  1, predict_fields,                 // what it is given
  8,                                 // rows a batch
  predict_step,                      // the step
  {768, 24},                         // bytes of its arena, elements of its outputs
  1, {K},                            // rank and shape of a result
  true,                              // one result a row
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cuda,                          // what it runs on
  4, 0, 2, 1,                        // parameters, states, data sets, evals
  256, 0,                            // elements of the two blocks
  params, NULL, data,                // their tables
  &train, evals, &predict, NULL,     // what it can do
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
