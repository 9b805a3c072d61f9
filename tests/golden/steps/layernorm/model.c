// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 346 KB:
//   parameters 8.2 KB, gradients 8.2 KB, optimizer 8.2 KB, batches 64 KB, data 256 KB, results 4 B, step 1.8 KB
// Most values of a step at once: model.mt:7 1.0 KB, model.mt:6 512 B, model.mt:11 256 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt.h"
#include "mtrt_math.h"

#define real float
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

enum { B = 16, D = 1000 };
#endif

// Parameters: one block of 8,192 bytes; gradients lie the same way in another.
typedef struct {
  real *norm_weight;  // (D)
  real *norm_bias;    // (D)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.norm_weight = at + 0;
  p.norm_bias = at + 1024;
  return p;
}

// model.mt:6  norm.m.mean.div = sum(x) / 1e+03
// norm.rsqrt = rsqrt(sum((x - norm.m.mean.div) * (x - norm.m.mean.div)) / 1e+03 + 1e-05)
// softmax.max = max((x - norm.m.mean.div) * rsqrt(norm.add) * norm.weight + norm.bias)
// and 2 more results
// fused 16 nodes of net.norm.m, net.norm.c, net.norm.v and 10 more: reads 72 KB, writes 320 B; saves 1.5 MB
static void norm_m_mean_rows(real *restrict mean_div, real *restrict norm_rsqrt, real *restrict softmax_max,
                             real *restrict softmax_sum, real *restrict softmax_div, const real *restrict x,
                             const real *restrict weight, const real *restrict bias, int64_t rows) {
#pragma omp parallel for
  for (int64_t row = 0; row < rows; row++) {
    real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
    for (int64_t i = 0; i < D; i++)
      mean_sum += x[row * D + i];
    const real mean_div_at = mean_sum / 1000;
    mean_div[row] = mean_div_at;
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < D; i++) {
      const real c_sub = x[row * D + i] - mean_div_at;
      sum += c_sub * c_sub;
    }
    const real norm_rsqrt_at = 1 / sqrt(sum / 1000 + (real)1e-05);
    norm_rsqrt[row] = norm_rsqrt_at;
    real highest = -INFINITY;
    for (int64_t i = 0; i < D; i++) {
      const real norm_lhs_mul = (x[row * D + i] - mean_div_at) * norm_rsqrt_at * weight[i];
      highest = mt_maximum(highest, norm_lhs_mul + bias[i]);
    }
    softmax_max[row] = highest;
    real sum_2 = 0;
#pragma omp simd reduction(+ : sum_2)
    for (int64_t i = 0; i < D; i++) {
      const real norm_lhs_mul = (x[row * D + i] - mean_div_at) * norm_rsqrt_at * weight[i];
      sum_2 += exp(norm_lhs_mul + bias[i] - highest);
    }
    softmax_sum[row] = sum_2;
    softmax_div[row] = 1 / sum_2;
  }
}

// model.mt:11  loss.mean.sum.rows = sum((x + gelu.mul.2 * softmax.mul) * (x + gelu.mul.2 * softmax.mul))
// d(softmax.sum.mul) = sum(d(softmax.div.mul)) / softmax.sum * (1 / softmax.sum)
// fused 14 nodes of net.gelu, net.softmax, net and 2 more: reads 72 KB, writes 128 B; saves 1.7 MB;
//   recomputes 10
static void loss_mean_rows(real *restrict mean_sum_rows, real *restrict d_softmax_sum_mul,
                           const real *restrict x, const real *restrict mean_div,
                           const real *restrict norm_rsqrt, const real *restrict weight,
                           const real *restrict bias, const real *restrict softmax_max,
                           const real *restrict softmax_sum, int64_t rows) {
#pragma omp parallel for
  for (int64_t row = 0; row < rows; row++) {
    const real mean_div_at = mean_div[row];
    const real norm_rsqrt_at = norm_rsqrt[row];
    const real softmax_max_at = softmax_max[row];
    const real softmax_sum_at = softmax_sum[row];
    const real softmax_div = 1 / softmax_sum_at;
    const real d_mean_sum_div = 1 / ((real)rows * 1000);
    real sum = 0;
    real d_softmax_div_reshape = 0;
#pragma omp simd reduction(+ : sum, d_softmax_div_reshape)
    for (int64_t i = 0; i < D; i++) {
      const real x_at = x[row * D + i];
      const real norm_add_2 = (x_at - mean_div_at) * norm_rsqrt_at * weight[i] + bias[i];
      const real gelu_mul_2 = 0.5f * norm_add_2 * (1 + erf(norm_add_2 * (real)0.7071067811865476));
      const real softmax_exp = exp(norm_add_2 - softmax_max_at);
      const real add = x_at + gelu_mul_2 * (softmax_exp * softmax_div);
      sum += add * add;
      const real d_softmax_div_mul = d_mean_sum_div * (2 * add) * gelu_mul_2 * softmax_exp;
      d_softmax_div_reshape += d_softmax_div_mul;
    }
    const real d_softmax_sum_mul_at = d_softmax_div_reshape / softmax_sum_at * softmax_div;
    mean_sum_rows[row] = sum;
    d_softmax_sum_mul[row] = d_softmax_sum_mul_at;
  }
}

// model.mt:11  loss.mean.div = sum(loss.mean.sum.rows) / (f32(rows) * 1e+03)
// fused 2 nodes of loss: reads 64 B, writes 4 B; saves 8 B
static void loss_mean_rows_2(real *restrict mean_div, const real *restrict mean_sum_rows, int64_t rows) {
  const real mean_mul = (real)rows * 1000;
  real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
  for (int64_t row = 0; row < rows; row++)
    mean_sum += mean_sum_rows[row];
  mean_div[0] = mean_sum / mean_mul;
}

// model.mt:6  d(norm.bias.sum) = sum(d(softmax.sub.mul) + d(norm.add.2.mul) + d(gelu.mul.mul) * 0.5)
// d(norm.weight.sum) = sum(d(norm.add.2.add.2) * norm.mul)
// fused 3 nodes of net.norm.bias and net.norm.weight: reads 72 KB, writes 8.0 KB; saves 248 KB; recomputes
//   32
static void d_norm_bias_columns(real *restrict d_bias_sum, real *restrict d_weight_sum,
                                const real *restrict x, const real *restrict mean_div,
                                const real *restrict norm_rsqrt, const real *restrict weight,
                                const real *restrict bias, const real *restrict softmax_max,
                                const real *restrict softmax_div, const real *restrict d_softmax_sum_mul,
                                int64_t rows) {
#pragma omp parallel for
  for (int64_t first = 0; first < D; first += 256) {
    const int64_t last = first + 256 < D ? first + 256 : D;
    real d_mean_sum_div[256];
    real weight_at[256];
    real bias_at[256];
    real sum[256] = {0};
    real sum_2[256] = {0};
#pragma omp simd
    for (int64_t i = first; i < last; i++) {
      d_mean_sum_div[i - first] = 1 / ((real)rows * 1000);
      weight_at[i - first] = weight[i];
      bias_at[i - first] = bias[i];
    }
    for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
      for (int64_t i = first; i < last; i++) {
        const real x_at = x[row * D + i];
        const real norm_mul = (x_at - mean_div[row]) * norm_rsqrt[row];
        const real norm_add_2 = norm_mul * weight_at[i - first] + bias_at[i - first];
        const real gelu_mul = 0.5f * norm_add_2;
        const real arg1_mul = norm_add_2 * (real)0.7071067811865476;
        const real gelu_add = 1 + erf(arg1_mul);
        const real gelu_mul_2 = gelu_mul * gelu_add;
        const real softmax_exp = exp(norm_add_2 - softmax_max[row]);
        const real softmax_div_at = softmax_div[row];
        const real softmax_mul = softmax_exp * softmax_div_at;
        const real d_add_mul_2 = d_mean_sum_div[i - first] * (2 * (x_at + gelu_mul_2 * softmax_mul));
        const real d_softmax_exp_add = d_add_mul_2 * gelu_mul_2 * softmax_div_at - d_softmax_sum_mul[row];
        const real d_mul_2_mul = d_add_mul_2 * softmax_mul;
        const real d_mul_mul_2 = d_mul_2_mul * gelu_mul * (real)1.1283791670955126;
        const real d_add_2_mul = d_mul_mul_2 * exp(-(arg1_mul * arg1_mul)) * (real)0.7071067811865476;
        const real d_2_add_2 = d_softmax_exp_add * softmax_exp + d_add_2_mul + d_mul_2_mul * gelu_add * 0.5f;
        sum[i - first] += d_2_add_2;
        sum_2[i - first] += d_2_add_2 * norm_mul;
      }
    }
#pragma omp simd
    for (int64_t i = first; i < last; i++) {
      d_bias_sum[i] = sum[i - first];
      d_weight_sum[i] = sum_2[i - first];
    }
  }
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];          // (B, D)
  real *norm_m_mean_div = AT(real, 0);             // (B, 1)
  real *norm_rsqrt = AT(real, 256);                // (B, 1)
  real *softmax_max = AT(real, 512);               // (B, 1)
  real *softmax_sum = AT(real, 768);               // (B, 1)
  real *softmax_div = AT(real, 1024);              // (B, 1)
  real *loss_mean_sum_rows = AT(real, 1280);       // (B)
  real *d_softmax_sum_mul = AT(real, 1536);        // (B, 1)
  real *loss_mean_div = (real *)run->outputs + 0;  // ()

  // model.mt:6
  STEP(norm_m_mean_rows(norm_m_mean_div, norm_rsqrt, softmax_max, softmax_sum, softmax_div, x,
                        p.norm_weight, p.norm_bias, rows));

  // model.mt:11
  STEP(loss_mean_rows(loss_mean_sum_rows, d_softmax_sum_mul, x, norm_m_mean_div, norm_rsqrt, p.norm_weight,
                      p.norm_bias, softmax_max, softmax_sum, rows));
  STEP(loss_mean_rows_2(loss_mean_div, loss_mean_sum_rows, rows));

  // model.mt:6, backward
  STEP(d_norm_bias_columns(d.norm_bias, d.norm_weight, x, norm_m_mean_div, norm_rsqrt, p.norm_weight,
                           p.norm_bias, softmax_max, softmax_div, d_softmax_sum_mul, rows));
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.1 * s->lr_scale;   // lr
  s->hyper[0][1] = 0.9;                 // momentum
  s->hyper[0][2] = 0;                   // dampening
  s->hyper[0][3] = 0;                   // decay
  s->hyper[0][4] = 0;                   // nesterov
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static void train_update(MtRun *run, const MtEnd *end) {
  mt_check_gradients(run, end, 0, 2048);
  schedule(run->scalars);
  // net using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(run, 0, 0, 2024);
  mt_finish(run, end);
}

static void train_gradients_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"net.norm.weight", 1, {D}, 0,    MT_CONSTANT, 1, 0, "model.mt:6", NULL},
  {"net.norm.bias",   1, {D}, 1024, MT_CONSTANT, 0, 0, "model.mt:6", NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField d0_fields[] = {
  {"x", MT_F32, 1, {D}, 0, 0, 0},
};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"d0", MT_RANDOM, 0, NULL, 1, d0_fields, 16, false, 64, 1, 0, "model.mt:4"},
};

// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"net", "sgd", 1, {"buf"}, 0, 2024, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {0, "net.norm.m.mean.div",              "model.mt:6",  MT_IN_ARENA,   0,    16,   1, MT_OF_DATA},
  {0, "net.norm.rsqrt",                   "model.mt:6",  MT_IN_ARENA,   256,  16,   1, MT_OF_DATA},
  {0, "net.softmax.max",                  "model.mt:7",  MT_IN_ARENA,   512,  16,   1, 0},
  {0, "net.softmax.sum",                  "model.mt:7",  MT_IN_ARENA,   768,  16,   1, 0},
  {0, "net.softmax.div",                  "model.mt:7",  MT_IN_ARENA,   1024, 16,   1, 0},
  {1, "loss.mean.sum.rows",               "model.mt:11", MT_IN_ARENA,   1280, 16,   1, 0},
  {1, "grad.update0.net.softmax.sum.mul", "model.mt:7",  MT_IN_ARENA,   1536, 16,   1, 0},
  {2, "loss.mean.div",                    "model.mt:11", MT_IN_OUTPUTS, 0,    1,    0, 0},
  {3, "grad.update0.net.norm.bias.sum",   "model.mt:6",  MT_IN_GRADS,   1024, 1000, 0, 0},
  {3, "grad.update0.net.norm.weight.sum", "model.mt:6",  MT_IN_GRADS,   0,    1000, 0, 0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, train_gradients_f64, train_update, 1, 0, 0, 2048, 0, 0, 0, 1, 4, 10, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"d_norm_bias_columns", 1, 8.032e+04, 2.176e+06, 5.54e-06},
  {"loss_mean_rows",      1, 7.238e+04, 1.505e+06, 3.863e-06},
  {"norm_m_mean_rows",    1, 7.232e+04, 5.786e+05, 1.706e-06},
  {"mt_sgd",              1, 4.048e+04, 4.048e+04, 2.446e-07},
  {"mt_check_gradients",  1, 8192,      0,         1.293e-07},
  {"loss_mean_rows_2",    1, 68,        76,        1.002e-07},
};
static const MtTrain train = {
  0,                                 // data: d0
  false,                             // shuffled
  0,                                 // seed of the shuffling
  10, MT_STEPS,                      // how long
  1,                                 // micro-batches an update
  false,                             // matrix products in TF32
  1, train_phases,                   // a step, from update to update
  {1792, 1},                         // bytes of its arena, elements of its outputs
  0, NULL,                           // logs
  1, train_groups,                   // update groups
  0, NULL,                           // what happens every so often
  6, train_costs,                    // what a step costs
  "two CPU cores with AVX-512",      // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cpu,                           // what it runs on
  2, 0, 1, 0,                        // parameters, states, data sets, evals
  2048, 0,                           // elements of the two blocks
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
#define norm_m_mean_rows norm_m_mean_rows_f64
#define loss_mean_rows loss_mean_rows_f64
#define loss_mean_rows_2 loss_mean_rows_2_f64
#define d_norm_bias_columns d_norm_bias_columns_f64
#define train_gradients train_gradients_f64
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
#endif
