// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 346 KB:
//   parameters 8.2 KB, gradients 8.2 KB, optimizer 8.2 KB, batches 64 KB, data 256 KB, results 4 B, step 1.8 KB
// Most values of a step at once: model.mt:7 1.0 KB, model.mt:6 512 B, model.mt:11 256 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"

#define real float

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
static __global__ void norm_m_mean_rows(real *__restrict__ mean_div, real *__restrict__ norm_rsqrt,
                                        real *__restrict__ softmax_max, real *__restrict__ softmax_sum,
                                        real *__restrict__ softmax_div, const real *__restrict__ x,
                                        const real *__restrict__ weight, const real *__restrict__ bias,
                                        int rows) {
  const int row = blockIdx.x;
  real x_at[8];
  real norm_add_2[8];
  real mean_sum = 0;
#pragma unroll
  for (int t = 0; t < 8; t++) {
    const int i = threadIdx.x + t * 128;
    if (i < D) {
      x_at[t] = x[row * D + i];
      mean_sum += x_at[t];
    }
  }
  mean_sum = block_sum(mean_sum);
  const real mean_div_at = mean_sum / 1000;
  if (threadIdx.x == 0) mean_div[row] = mean_div_at;
  real sum = 0;
#pragma unroll
  for (int t = 0; t < 8; t++) {
    const int i = threadIdx.x + t * 128;
    if (i < D) {
      const real c_sub = x_at[t] - mean_div_at;
      sum += c_sub * c_sub;
    }
  }
  sum = block_sum(sum);
  const real norm_rsqrt_at = 1 / sqrt(sum / 1000 + (real)1e-05);
  if (threadIdx.x == 0) norm_rsqrt[row] = norm_rsqrt_at;
  real highest = -INFINITY;
#pragma unroll
  for (int t = 0; t < 8; t++) {
    const int i = threadIdx.x + t * 128;
    if (i < D) {
      const real norm_lhs_mul = (x_at[t] - mean_div_at) * norm_rsqrt_at * weight[i];
      norm_add_2[t] = norm_lhs_mul + bias[i];
      highest = mt_maximum(highest, norm_add_2[t]);
    }
  }
  highest = block_max(highest);
  if (threadIdx.x == 0) softmax_max[row] = highest;
  real sum_2 = 0;
#pragma unroll
  for (int t = 0; t < 8; t++) {
    const int i = threadIdx.x + t * 128;
    if (i < D)
      sum_2 += exp(norm_add_2[t] - highest);
  }
  sum_2 = block_sum(sum_2);
  if (threadIdx.x == 0) {
    softmax_sum[row] = sum_2;
    softmax_div[row] = 1 / sum_2;
  }
}

// model.mt:11  loss.mean.sum.rows = sum((x + gelu.mul.2 * softmax.mul) * (x + gelu.mul.2 * softmax.mul))
// d(softmax.sum.mul) = sum(d(softmax.div.mul)) / softmax.sum * (1 / softmax.sum)
// fused 14 nodes of net.gelu, net.softmax, net and 2 more: reads 72 KB, writes 128 B; saves 1.7 MB;
//   recomputes 10
static __global__ void loss_mean_rows(real *__restrict__ mean_sum_rows, real *__restrict__ d_softmax_sum_mul,
                                      const real *__restrict__ x, const real *__restrict__ mean_div,
                                      const real *__restrict__ norm_rsqrt, const real *__restrict__ weight,
                                      const real *__restrict__ bias, const real *__restrict__ softmax_max,
                                      const real *__restrict__ softmax_sum, int rows) {
  const int row = blockIdx.x;
  const real mean_div_at = mean_div[row];
  const real norm_rsqrt_at = norm_rsqrt[row];
  const real softmax_max_at = softmax_max[row];
  const real softmax_sum_at = softmax_sum[row];
  const real softmax_div = 1 / softmax_sum_at;
  const real d_mean_sum_div = 1 / ((real)rows * 1000);
  real sum = 0;
  real d_softmax_div_reshape = 0;
  for (int first = threadIdx.x * 4; first < D; first += 512) {
    const auto x_pack = mt_load<4>(x + row * D + first);
    const auto weight_pack = mt_load<4>(weight + first);
    const auto bias_pack = mt_load<4>(bias + first);
#pragma unroll
    for (int t = 0; t < 4; t++) {
      const real x_at = x_pack[t];
      const real norm_lhs_mul = (x_at - mean_div_at) * norm_rsqrt_at * weight_pack[t];
      const real norm_add_2 = norm_lhs_mul + bias_pack[t];
      const real gelu_mul_2 = 0.5f * norm_add_2 * (1 + erf(norm_add_2 * (real)0.7071067811865476));
      const real softmax_exp = exp(norm_add_2 - softmax_max_at);
      const real add = x_at + gelu_mul_2 * (softmax_exp * softmax_div);
      sum += add * add;
      const real d_softmax_div_mul = d_mean_sum_div * (2 * add) * gelu_mul_2 * softmax_exp;
      d_softmax_div_reshape += d_softmax_div_mul;
    }
  }
  sum = block_sum(sum);
  d_softmax_div_reshape = block_sum(d_softmax_div_reshape);
  const real d_softmax_sum_mul_at = d_softmax_div_reshape / softmax_sum_at * softmax_div;
  if (threadIdx.x == 0) {
    mean_sum_rows[row] = sum;
    d_softmax_sum_mul[row] = d_softmax_sum_mul_at;
  }
}

// model.mt:11  loss.mean.div = sum(loss.mean.sum.rows) / (f32(rows) * 1e+03)
// fused 2 nodes of loss: reads 64 B, writes 4 B; saves 8 B
static __global__ void loss_mean_rows_2(real *__restrict__ mean_div, const real *__restrict__ mean_sum_rows,
                                        int rows) {
  const real mean_mul = (real)rows * 1000;
  real mean_sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32)
    mean_sum += mean_sum_rows[i];
  mean_sum = warp_sum(mean_sum);
  if (threadIdx.x == 0) mean_div[0] = mean_sum / mean_mul;
}

// model.mt:6  d(norm.bias.sum) = sum(d(softmax.sub.mul) + d(norm.add.2.mul) + d(gelu.mul.mul) * 0.5)
// d(norm.weight.sum) = sum(d(norm.add.2.add.2) * norm.mul)
// fused 3 nodes of net.norm.bias and net.norm.weight: reads 72 KB, writes 8.0 KB; saves 248 KB; recomputes
//   32
static __global__ void d_norm_bias_columns(real *__restrict__ d_bias_sum, real *__restrict__ d_weight_sum,
                                           const real *__restrict__ x, const real *__restrict__ mean_div,
                                           const real *__restrict__ norm_rsqrt,
                                           const real *__restrict__ weight, const real *__restrict__ bias,
                                           const real *__restrict__ softmax_max,
                                           const real *__restrict__ softmax_div,
                                           const real *__restrict__ d_softmax_sum_mul, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < D ? own : D - 1;
  const real d_mean_sum_div = 1 / ((real)rows * 1000);
  const real weight_at = weight[column];
  const real bias_at = bias[column];
  real sum = 0;
  real sum_2 = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    const real x_at = x[row * D + column];
    const real norm_mul = (x_at - mean_div[row]) * norm_rsqrt[row];
    const real norm_add_2 = norm_mul * weight_at + bias_at;
    const real gelu_mul = 0.5f * norm_add_2;
    const real arg1_mul = norm_add_2 * (real)0.7071067811865476;
    const real gelu_add = 1 + erf(arg1_mul);
    const real gelu_mul_2 = gelu_mul * gelu_add;
    const real softmax_exp = exp(norm_add_2 - softmax_max[row]);
    const real softmax_div_at = softmax_div[row];
    const real softmax_mul = softmax_exp * softmax_div_at;
    const real d_add_mul_2 = d_mean_sum_div * (2 * (x_at + gelu_mul_2 * softmax_mul));
    const real d_softmax_exp_add = d_add_mul_2 * gelu_mul_2 * softmax_div_at - d_softmax_sum_mul[row];
    const real d_mul_2_mul = d_add_mul_2 * softmax_mul;
    const real d_mul_mul_2 = d_mul_2_mul * gelu_mul * (real)1.1283791670955126;
    const real d_add_2_mul = d_mul_mul_2 * exp(-(arg1_mul * arg1_mul)) * (real)0.7071067811865476;
    const real d_2_add_2 = d_softmax_exp_add * softmax_exp + d_add_2_mul + d_mul_2_mul * gelu_add * 0.5f;
    sum += d_2_add_2;
    sum_2 += d_2_add_2 * norm_mul;
  }
  sum = column_sum(sum);
  sum_2 = column_sum(sum_2);
  if (threadIdx.y == 0 && own == column) {
    d_bias_sum[column] = sum;
    d_weight_sum[column] = sum_2;
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
  LAUNCH(norm_m_mean_rows, rows, 128, 0, run)(norm_m_mean_div, norm_rsqrt, softmax_max, softmax_sum,
                                              softmax_div, x, p.norm_weight, p.norm_bias, rows);

  // model.mt:11
  LAUNCH(loss_mean_rows, rows, 128, 0, run)(loss_mean_sum_rows, d_softmax_sum_mul, x, norm_m_mean_div,
                                            norm_rsqrt, p.norm_weight, p.norm_bias, softmax_max,
                                            softmax_sum, rows);
  LAUNCH(loss_mean_rows_2, 1, 32, 0, run)(loss_mean_div, loss_mean_sum_rows, rows);

  // model.mt:6, backward
  LAUNCH(d_norm_bias_columns, mt_blocks(D, 32), dim3(32, 8), 0, run)(
      d.norm_bias, d.norm_weight, x, norm_m_mean_div, norm_rsqrt, p.norm_weight, p.norm_bias, softmax_max,
      softmax_div, d_softmax_sum_mul, rows);
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static __device__ void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.1 * s->lr_scale;   // lr
  s->hyper[0][1] = 0.9;                 // momentum
  s->hyper[0][2] = 0;                   // dampening
  s->hyper[0][3] = 0;                   // decay
  s->hyper[0][4] = 0;                   // nesterov
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static __global__ void __launch_bounds__(MT_UPDATE_THREADS) update(const MtUpdateData u) {
  SHARED(MtScalars, s, 1);  // this block's copy
  SHARED(MtRule, rule, 1);
  if (threadIdx.x == 0) {
    mt_begin(u, s);
    schedule(s);
    rule[0] = mt_sgd_rule(s, 0);
  }
  mt_check_gradients(u, s, 0, 2048);
  // net using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(u, s, rule[0], 0, 2024);
  mt_finish(u, s);
}

static void train_update(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  LAUNCH(update, 2, MT_UPDATE_THREADS, 0, run)(u);
}

namespace f64 { static void train_gradients(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file

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
  {train_gradients, f64::train_gradients, train_update, 1, 0, 0, 2048, 0, 0, 0, 1, 4, 10, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"loss_mean_rows",      1, 7.238e+04, 1.505e+06, 1.057e-06},
  {"norm_m_mean_rows",    1, 7.232e+04, 5.786e+05, 1.056e-06},
  {"d_norm_bias_columns", 1, 8.032e+04, 2.176e+06, 1.036e-06},
  {"update",              1, 4.048e+04, 4.048e+04, 1.014e-06},
  {"loss_mean_rows_2",    1, 68,        76,        1.001e-06},
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
  5, train_costs,                    // what a step costs
  "an NVIDIA H100",                  // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cuda,                          // what it runs on
  2, 0, 1, 0,                        // parameters, states, data sets, evals
  2048, 0,                           // elements of the two blocks
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
