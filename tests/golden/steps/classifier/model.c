// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 7.1 KB, and its data files:
//   parameters 1.0 KB, gradients 2.0 KB, optimizer 2.0 KB, batches 448 B, results 8 B, step 1.5 KB
// Most values of a step at once: model.mt:7 768 B, model.mt:11 768 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt.h"
#include "mtrt_math.h"

#define real float
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

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

// model.mt:7  fc1.dropout.mul.2 = relu(fc1.mm + fc1.bias) * (f32(random >= 0.1) * 1.1111111111111112)
// d(fc1.add.le) = relu(fc1.mm + fc1.bias) <= 0
// reads 360 B, writes 400 B
static void fc1_dropout_map(real *restrict dropout_mul_2, bool *restrict d_fc1_add_le,
                            const real *restrict bias, const MtScalars *scalars, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < H; i++) {
      const real fc1_mm = dropout_mul_2[row * H + i];
      const real fc1_add = fc1_mm + bias[i];
      const real fc1_relu = fc1_add < 0 ? 0 : fc1_add;
      const real draw = mt_uniform(scalars, 0x14e7c59b8ba929b5u, row * H + i);  // net.fc1.dropout
      const real dropout_mul = (real)(draw >= (real)0.1) * (real)1.1111111111111112;
      dropout_mul_2[row * H + i] = fc1_relu * dropout_mul;
      d_fc1_add_le[row * H + i] = fc1_relu <= 0;
    }
  }
}

// model.mt:11  loss.cross_entropy.norm.sum.2 = sum(loss.cross_entropy.norm.arg1.where)
// fused 3 nodes of loss.cross_entropy.kept, loss.cross_entropy.norm.arg1 and loss.cross_entropy.norm: reads
//   32 B, writes 4 B; saves 120 B; recomputes 4
static void loss_cross_entropy_norm_rows(real *restrict norm_sum_2, const int32_t *restrict y, int64_t rows) {
  real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t row = 0; row < rows; row++) {
    const int32_t y_at = y[row];
    sum += y_at != -100 ? y_at >= 0 && y_at < 3 ? 1 : 0 : 0;
  }
  norm_sum_2[0] = sum;
}

// model.mt:11  loss.cross_entropy.nll.where.2 = where(y != -100, -sum(loss.cross_entropy.nll.where), 0)
// d(loss.cross_entropy.logp.log_softmax.sub.add) = d(loss.cross_entropy.nll.mul.where) +
//   d(loss.cross_entropy.logp.log_softmax.sub.mul)
// fused 21 nodes of net.fc2, loss.cross_entropy.logp.log_softmax, loss.cross_entropy.hit and 9 more: reads
//   144 B, writes 128 B; saves 2.5 KB; recomputes 5
static void loss_cross_entropy_nll_rows(real *restrict nll_where_2, real *restrict d_log_softmax_sub_add,
                                        const int32_t *restrict y, const real *restrict bias,
                                        const real *restrict norm_sum_2, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real log_softmax_exp[K];
    const int32_t y_at = y[row];
    const bool kept_ne = y_at != -100;
    const real d_nll_sum_neg = -(kept_ne ? 1 / norm_sum_2[0] : 0);
    const real d_one = (y_at >= 0 && y_at < 3 ? -d_nll_sum_neg : 0) + 0;
    real log_softmax_max = -INFINITY;
    for (int64_t i = 0; i < K; i++) {
      const real fc2_mm = d_log_softmax_sub_add[row * K + i];
      log_softmax_max = mt_maximum(log_softmax_max, fc2_mm + bias[i]);
    }
    real log_softmax_sum = 0;
#pragma omp simd reduction(+ : log_softmax_sum)
    for (int64_t i = 0; i < K; i++) {
      const real fc2_mm = d_log_softmax_sub_add[row * K + i];
      log_softmax_exp[i] = exp(fc2_mm + bias[i] - log_softmax_max);
      log_softmax_sum += log_softmax_exp[i];
    }
    const real log_softmax_log = log(log_softmax_sum);
    const real d_log_softmax_sum_div = d_one / log_softmax_sum;
    real nll_sum = 0;
#pragma omp simd reduction(+ : nll_sum)
    for (int64_t i = 0; i < K; i++) {
      const bool hit_eq = i == y_at;
      const real fc2_mm = d_log_softmax_sub_add[row * K + i];
      const real log_softmax_sub_2 = fc2_mm + bias[i] - log_softmax_max - log_softmax_log;
      nll_sum += hit_eq ? log_softmax_sub_2 : 0;
      const real d_log_softmax_sub_add_at = (hit_eq ? d_nll_sum_neg : 0) + d_log_softmax_sum_div * log_softmax_exp[i];
      d_log_softmax_sub_add[row * K + i] = d_log_softmax_sub_add_at;
    }
    nll_where_2[row] = kept_ne ? -nll_sum : 0;
  }
}

// model.mt:11  loss.cross_entropy.div = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// loss.cross_entropy.div.copy = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// fused 3 nodes of loss.cross_entropy: reads 36 B, writes 8 B; saves 12 B
static void loss_cross_entropy_rows(real *restrict cross_entropy_div, real *restrict cross_entropy_div_copy,
                                    const real *restrict nll_where_2, const real *restrict norm_sum_2,
                                    int64_t rows) {
  const real norm_sum_2_at = norm_sum_2[0];
  real cross_entropy_sum = 0;
#pragma omp simd reduction(+ : cross_entropy_sum)
  for (int64_t row = 0; row < rows; row++)
    cross_entropy_sum += nll_where_2[row];
  const real cross_entropy_div_at = cross_entropy_sum / norm_sum_2_at;
  cross_entropy_div[0] = cross_entropy_div_at;
  cross_entropy_div_copy[0] = cross_entropy_div_at;
}

// model.mt:7  d(fc2.bias.sum) = sum(d(loss.cross_entropy.logp.log_softmax.sub.add))
// net.fc2.bias: reads 96 B, writes 12 B
static void d_fc2_bias_columns(real *restrict d_bias_sum, const real *restrict d_log_softmax_sub_add,
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

// model.mt:7  d(fc1.add.where) = where(d(fc1.add.le), 0, d(fc1.dropout.mul.2.mm) * fc1.dropout.mul)
// reads 400 B, writes 320 B
static void d_fc1_map(real *restrict d_fc1_add_where, const bool *restrict d_fc1_add_le,
                      const MtScalars *scalars, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * H; i++) {
    const real d_mul_2_mm = d_fc1_add_where[i];
    const real draw = mt_uniform(scalars, 0x14e7c59b8ba929b5u, i);  // net.fc1.dropout
    const real dropout_mul = (real)(draw >= (real)0.1) * (real)1.1111111111111112;
    d_fc1_add_where[i] = d_fc1_add_le[i] ? 0 : d_mul_2_mm * dropout_mul;
  }
}

// model.mt:7  d(fc1.bias.sum) = sum(d(fc1.add.where))
// net.fc1.bias: reads 320 B, writes 40 B
static void d_fc1_bias_columns(real *restrict d_bias_sum, const real *restrict d_fc1_add_where, int64_t rows) {
  real sum[H] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < H; i++)
      sum[i] += d_fc1_add_where[row * H + i];
  }
#pragma omp simd
  for (int64_t i = 0; i < H; i++)
    d_bias_sum[i] = sum[i];
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];                               // (B, P)
  const int32_t *y = (const int32_t *)batch[1];                         // (B)
  real *fc1_mm = AT(real, 0);                                           // (B, H)
  real *fc1_dropout_mul_2 = AT(real, 0);                                // (B, H)
  bool *d_fc1_add_le = AT(bool, 512);                                   // (B, H)
  real *fc2_mm = AT(real, 768);                                         // (B, K)
  real *loss_cross_entropy_norm_sum_2 = AT(real, 1024);                 // ()
  real *loss_cross_entropy_nll_where_2 = AT(real, 1280);                // (B)
  real *d_loss_cross_entropy_logp_log_softmax_sub_add = AT(real, 768);  // (B, K)
  real *d_fc1_dropout_mul_2_mm = AT(real, 0);                           // (B, H)
  real *d_fc1_add_where = AT(real, 0);                                  // (B, H)
  real *loss_cross_entropy_div = (real *)run->outputs + 0;              // ()
  real *loss_cross_entropy_div_copy = (real *)run->outputs + 1;         // ()

  // model.mt:7
  STEP(mt_gemm(run, MT_NT, rows, H, P, x, p.fc1_weight, fc1_mm));
  STEP(fc1_dropout_map(fc1_dropout_mul_2, d_fc1_add_le, p.fc1_bias, run->scalars, rows));
  STEP(mt_gemm(run, MT_NT, rows, K, H, fc1_dropout_mul_2, p.fc2_weight, fc2_mm));

  // model.mt:11
  STEP(loss_cross_entropy_norm_rows(loss_cross_entropy_norm_sum_2, y, rows));
  STEP(loss_cross_entropy_nll_rows(loss_cross_entropy_nll_where_2,
                                   d_loss_cross_entropy_logp_log_softmax_sub_add, y, p.fc2_bias,
                                   loss_cross_entropy_norm_sum_2, rows));
  STEP(loss_cross_entropy_rows(loss_cross_entropy_div, loss_cross_entropy_div_copy,
                               loss_cross_entropy_nll_where_2, loss_cross_entropy_norm_sum_2, rows));

  // model.mt:7, backward
  STEP(d_fc2_bias_columns(d.fc2_bias, d_loss_cross_entropy_logp_log_softmax_sub_add, rows));
  STEP(mt_gemm(run, MT_TN, K, H, rows, d_loss_cross_entropy_logp_log_softmax_sub_add, fc1_dropout_mul_2,
               d.fc2_weight));
  STEP(mt_gemm(run, MT_NN, rows, H, K, d_loss_cross_entropy_logp_log_softmax_sub_add, p.fc2_weight,
               d_fc1_dropout_mul_2_mm));
  STEP(d_fc1_map(d_fc1_add_where, d_fc1_add_le, run->scalars, rows));
  STEP(d_fc1_bias_columns(d.fc1_bias, d_fc1_add_where, rows));
  STEP(mt_gemm(run, MT_TN, H, P, rows, d_fc1_add_where, x, d.fc1_weight));
}

#ifndef MT_DOUBLE

// model.mt:7  fc1.relu = relu(fc1.mm + fc1.bias)
// called 2 times
// reads 360 B, writes 320 B
static void fc1_map(real *restrict fc1_relu, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < H; i++) {
      const real fc1_mm = fc1_relu[row * H + i];
      const real fc1_add = fc1_mm + bias[i];
      fc1_relu[row * H + i] = fc1_add < 0 ? 0 : fc1_add;
    }
  }
}

// model.mt:16  accuracy.mean.cast = f32(argmax(fc2.mm + fc2.bias) == y)
// fused 4 nodes of net.fc2 and accuracy: reads 140 B, writes 32 B; saves 272 B
static void accuracy_mean_rows(real *restrict mean_cast, const real *restrict fc2_mm,
                               const real *restrict bias, const int32_t *restrict y, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    const int32_t y_at = y[row];
    real accuracy_argmax_best = -INFINITY;
    int32_t accuracy_argmax = 0;
    for (int64_t i = 0; i < K; i++) {
      const real fc2_add = fc2_mm[row * K + i] + bias[i];
      if (fc2_add > accuracy_argmax_best || (fc2_add != fc2_add && accuracy_argmax_best == accuracy_argmax_best))
        accuracy_argmax_best = fc2_add, accuracy_argmax = (int32_t)i;
    }
    mean_cast[row] = (real)(accuracy_argmax == y_at);
  }
}

// model.mt:16  accuracy.mean.sum = sum(accuracy.mean.cast)
// accuracy: reads 32 B, writes 4 B
static void accuracy_mean_rows_2(real *restrict mean_sum, const real *restrict mean_cast, int64_t rows) {
  real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t row = 0; row < rows; row++)
    sum += mean_cast[row];
  mean_sum[0] = sum;
}

// model.mt:16  accuracy.mean.div = acc.0 / f32(rows)
// accuracy: reads 4 B, writes 4 B
static void accuracy_mean_map(real *restrict mean_div, const real *restrict acc_0, int64_t rows) {
  mean_div[0] = acc_0[0] / (real)rows;
}

// model.mt:20  value.softmax.mul = exp(fc2.add - value.softmax.max) * (1 / sum(value.softmax.exp))
// fused 7 nodes of net.fc2 and value.softmax: reads 108 B, writes 96 B; saves 960 B
static void value_softmax_rows(real *restrict softmax_mul, const real *restrict fc2_mm,
                               const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real softmax_exp[K];
    real softmax_max = -INFINITY;
    for (int64_t i = 0; i < K; i++)
      softmax_max = mt_maximum(softmax_max, fc2_mm[row * K + i] + bias[i]);
    real softmax_sum = 0;
#pragma omp simd reduction(+ : softmax_sum)
    for (int64_t i = 0; i < K; i++) {
      softmax_exp[i] = exp(fc2_mm[row * K + i] + bias[i] - softmax_max);
      softmax_sum += softmax_exp[i];
    }
    const real softmax_div = 1 / softmax_sum;
#pragma omp simd
    for (int64_t i = 0; i < K; i++)
      softmax_mul[row * K + i] = softmax_exp[i] * softmax_div;
  }
}

// One batch of test_set: what is accumulated.
static void eval0_batch(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const real *x = (const real *)batch[0];              // (B, P)
  const int32_t *y = (const int32_t *)batch[1];        // (B)
  real *fc1_mm = AT(real, 0);                          // (B, H)
  real *fc1_relu = AT(real, 0);                        // (B, H)
  real *fc2_mm = AT(real, 512);                        // (B, K)
  real *accuracy_mean_cast = AT(real, 0);              // (B)
  real *accuracy_mean_sum = (real *)run->outputs + 0;  // ()

  // model.mt:7
  STEP(mt_gemm(run, MT_NT, rows, H, P, x, p.fc1_weight, fc1_mm));
  STEP(fc1_map(fc1_relu, p.fc1_bias, rows));
  STEP(mt_gemm(run, MT_NT, rows, K, H, fc1_relu, p.fc2_weight, fc2_mm));

  // model.mt:16
  STEP(accuracy_mean_rows(accuracy_mean_cast, fc2_mm, p.fc2_bias, y, rows));
  STEP(accuracy_mean_rows_2(accuracy_mean_sum, accuracy_mean_cast, rows));
}

// The logs, once, from what was accumulated.
static void eval0_finish(MtRun *run, const void *const *batch, int64_t rows) {
  const real *acc_0 = (const real *)batch[0];          // ()
  real *accuracy_mean_div = (real *)run->outputs + 0;  // ()

  // model.mt:16
  STEP(accuracy_mean_map(accuracy_mean_div, acc_0, rows));
}

// Inference.
static void predict_step(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const real *x = (const real *)batch[0];              // (B, P)
  real *fc1_mm = AT(real, 0);                          // (B, H)
  real *fc1_relu = AT(real, 0);                        // (B, H)
  real *fc2_mm = AT(real, 512);                        // (B, K)
  real *value_softmax_mul = (real *)run->outputs + 0;  // (B, K)

  // model.mt:7
  STEP(mt_gemm(run, MT_NT, rows, H, P, x, p.fc1_weight, fc1_mm));
  STEP(fc1_map(fc1_relu, p.fc1_bias, rows));
  STEP(mt_gemm(run, MT_NT, rows, K, H, fc1_relu, p.fc2_weight, fc2_mm));

  // model.mt:20
  STEP(value_softmax_rows(value_softmax_mul, fc2_mm, p.fc2_bias, rows));
}

// Hyper-parameters of the update at hand.
static void schedule(MtScalars *s) {
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
static void train_update(MtRun *run, const MtEnd *end) {
  mt_check_gradients(run, end, 0, 256);
  schedule(run->scalars);
  mt_clip_gradients(run, 0, 256, 1);
  // net using adamw:
  //   p = p * (1 - lr * decay)
  //   m = beta1 * m + (1 - beta1) * g
  //   v = beta2 * v + (1 - beta2) * g * g
  //   p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)
  mt_adamw(run, 0, 0, 158);
  // net.fc2.bias using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(run, 1, 192, 3);
  mt_finish(run, end);
}

static void train_gradients_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file

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
  {0,  "net.fc1.mm",                                               "model.mt:7",  MT_IN_ARENA,   0,    80, 10, 0},
  {1,  "net.fc1.dropout.mul.2",                                    "model.mt:7",  MT_IN_ARENA,   0,    80, 10, 0},
  {2,  "net.fc2.mm",                                               "model.mt:7",  MT_IN_ARENA,   768,  24, 3,  0},
  {3,  "loss.cross_entropy.norm.sum.2",                            "model.mt:11", MT_IN_ARENA,   1024, 1,  0,  MT_OF_DATA},
  {4,  "loss.cross_entropy.nll.where.2",                           "model.mt:11", MT_IN_ARENA,   1280, 8,  1,  0},
  {4,  "grad.update0.loss.cross_entropy.logp.log_softmax.sub.add", "model.mt:11", MT_IN_ARENA,   768,  24, 3,  0},
  {5,  "loss.cross_entropy.div",                                   "model.mt:11", MT_IN_OUTPUTS, 0,    1,  0,  0},
  {5,  "loss.cross_entropy.div.copy",                              "model.mt:11", MT_IN_OUTPUTS, 1,    1,  0,  0},
  {6,  "grad.update0.net.fc2.bias.sum",                            "model.mt:7",  MT_IN_GRADS,   192,  3,  0,  0},
  {7,  "grad.update0.net.fc2.weight.transpose",                    "model.mt:7",  MT_IN_GRADS,   128,  30, 0,  0},
  {8,  "grad.update0.net.fc1.dropout.mul.2.mm",                    "model.mt:7",  MT_IN_ARENA,   0,    80, 10, 0},
  {9,  "grad.update0.net.fc1.add.where",                           "model.mt:7",  MT_IN_ARENA,   0,    80, 10, 0},
  {10, "grad.update0.net.fc1.bias.sum",                            "model.mt:7",  MT_IN_GRADS,   64,   10, 0,  0},
  {11, "grad.update0.net.fc1.weight.transpose",                    "model.mt:7",  MT_IN_GRADS,   0,    60, 0,  0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, train_gradients_f64, train_update, 1, 0, 0, 256, 0, 1, 0, 2, 12, 14, train_values, 0, NULL},
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
  {"mt_adamw",                     1, 4424, 2.939e+04, 1.735e-07},
  {"fc1_dropout_map",              1, 760,  9120,      1.228e-07},
  {"d_fc1_map",                    1, 720,  8800,      1.22e-07},
  {"loss_cross_entropy_nll_rows",  1, 272,  1576,      1.041e-07},
  {"mt_check_gradients",           1, 1024, 0,         1.037e-07},
  {"mt_clip_gradients",            1, 1024, 0,         1.037e-07},
  {"gemm 8 x 10 x 6 f32",          1, 752,  960,       1.027e-07},
  {"gemm 10 x 6 x 8 f32",          1, 752,  960,       1.027e-07},
  {"gemm 8 x 3 x 10 f32",          1, 536,  480,       1.019e-07},
  {"gemm 3 x 10 x 8 f32",          1, 536,  480,       1.019e-07},
  {"gemm 8 x 10 x 3 f32",          1, 536,  480,       1.019e-07},
  {"d_fc1_bias_columns",           1, 360,  160,       1.013e-07},
  {"d_fc2_bias_columns",           1, 108,  48,        1.004e-07},
  {"loss_cross_entropy_norm_rows", 1, 36,   112,       1.003e-07},
  {"mt_sgd",                       1, 60,   60,        1.002e-07},
  {"loss_cross_entropy_rows",      1, 44,   58,        1.002e-07},
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
  16, train_costs,                   // what a step costs
  "two CPU cores with AVX-512",      // by the model of it
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
  &mt_cpu,                           // what it runs on
  4, 0, 2, 1,                        // parameters, states, data sets, evals
  256, 0,                            // elements of the two blocks
  params, NULL, data,                // their tables
  &train, evals, &predict, NULL,     // what it can do
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
#define fc1_dropout_map fc1_dropout_map_f64
#define loss_cross_entropy_norm_rows loss_cross_entropy_norm_rows_f64
#define loss_cross_entropy_nll_rows loss_cross_entropy_nll_rows_f64
#define loss_cross_entropy_rows loss_cross_entropy_rows_f64
#define d_fc2_bias_columns d_fc2_bias_columns_f64
#define d_fc1_map d_fc1_map_f64
#define d_fc1_bias_columns d_fc1_bias_columns_f64
#define train_gradients train_gradients_f64
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
#endif
