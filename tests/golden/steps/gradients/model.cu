// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 5.1 KB:
//   parameters 1.0 KB, gradients 1.0 KB, optimizer 1.0 KB, batches 48 B, data 192 B, results 4 B, step 1.8 KB
// Most values of a step at once: model.mt:6 1.5 KB, model.mt:12 256 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"

#define real float

enum { B = 4, P = 3 };
#endif

// Parameters: one block of 1,024 bytes; gradients lie the same way in another.
typedef struct {
  real *fc_weight;   // (8, P)
  real *fc_bias;     // (8)
  real *out_weight;  // (1, 8)
  real *out_bias;    // (1)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.fc_weight = at + 0;
  p.fc_bias = at + 64;
  p.out_weight = at + 128;
  p.out_bias = at + 192;
  return p;
}

// model.mt:6  d(grad.net.out.add.reshape.copy) = 1
// grad.net.out: reads 0 B, writes 16 B
static __global__ void d_grad_net_out_map(real *__restrict__ d_add_reshape_copy, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows) return;
  d_add_reshape_copy[i] = 1;
}

// model.mt:6  d(grad.net.fc.add.mul.2) = d(grad.net.fc.tanh.mm) * (1 - tanh(fc.add) * tanh(fc.add))
// fused 5 nodes of net.fc and grad.net.fc: reads 288 B, writes 128 B; saves 1.0 KB
static __global__ void d_grad_net_fc_map(real *__restrict__ d_add_mul_2,
                                         const real *__restrict__ d_fc_tanh_mm,
                                         const real *__restrict__ fc_mm, const real *__restrict__ bias,
                                         int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * 8) return;
  const real fc_tanh = tanh(fc_mm[i] + bias[i % 8]);
  d_add_mul_2[i] = d_fc_tanh_mm[i] * (1 - fc_tanh * fc_tanh);
}

// model.mt:12  loss.pow = (loss.norm.where.2 - 1) * (loss.norm.where.2 - 1)
// d(grad.slope.grad.d.x.mm.add) = d(grad.slope.grad.d.x.mm.mul) + d(grad.slope.grad.d.x.mm.mul)
// fused 16 nodes of loss.norm, loss and grad.slope.grad.d.x: reads 48 B, writes 64 B; saves 660 B
static __global__ void loss_rows(real *__restrict__ loss_pow, real *__restrict__ d_x_mm_add, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const int i = lane;
  real d_x_mm = 0;
  const real d_mean_sum_div = 1 / (real)rows;
  real norm_sum = 0;
  if (i < P) {
    d_x_mm = d_x_mm_add[row * P + i];
    norm_sum += d_x_mm * d_x_mm;
  }
  norm_sum = warp_sum(norm_sum);
  const bool norm_le = norm_sum <= 0;
  const real norm_sqrt = sqrt(norm_le ? 1 : norm_sum);
  const real loss_sub = (norm_le ? 0 : norm_sqrt) - 1;
  const real d_norm_where_div = (norm_le ? 0 : d_mean_sum_div * (2 * loss_sub)) / (norm_sqrt * 2);
  const real d_norm_sum_where = norm_le ? 0 : d_norm_where_div;
  if (lane == 0) loss_pow[row] = loss_sub * loss_sub;
  if (i < P) {
    const real d_x_mm_mul = d_norm_sum_where * d_x_mm;
    d_x_mm_add[row * P + i] = d_x_mm_mul + d_x_mm_mul;
  }
}

// model.mt:12  loss.mean.div = sum(loss.pow) / f32(rows)
// fused 2 nodes of loss: reads 16 B, writes 4 B; saves 8 B
static __global__ void loss_mean_rows(real *__restrict__ mean_div, const real *__restrict__ loss_pow,
                                      int rows) {
  const real mean_cast = (real)rows;
  real mean_sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32)
    mean_sum += loss_pow[i];
  mean_sum = warp_sum(mean_sum);
  if (threadIdx.x == 0) mean_div[0] = mean_sum / mean_cast;
}

// model.mt:6  d(grad.slope.grad.net.fc.tanh.mm.mul) = d(grad.slope.grad.net.fc.add.mul.2.mm) *
//   d(grad.net.fc.add.sub)
// d(fc.add.mul.2) = (d(fc.tanh.mul) + d(fc.tanh.mul)) * (1 - d(grad.net.fc.add.mul))
// computes the product grad.update0.grad.slope.grad.net.fc.add.mul.2.mm and what follows it: reads 432 B,
//   writes 256 B
static __global__ void d_slope_grad_net_fc_product(real *__restrict__ d_tanh_mm_mul,
                                                   real *__restrict__ d_add_mul_2,
                                                   const real *__restrict__ d_x_mm_add,
                                                   const real *__restrict__ weight,
                                                   const real *__restrict__ fc_mm,
                                                   const real *__restrict__ bias,
                                                   const real *__restrict__ d_fc_tanh_mm, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_mul_2_mm = mt_product<MT_NT>(d_x_mm_add, weight, rows, 8, P);
  if (row >= rows || column >= 8) return;
  const real fc_tanh = tanh(fc_mm[row * 8 + column] + bias[column]);
  const real d_fc_add_sub = 1 - fc_tanh * fc_tanh;
  const real d_fc_tanh_mul = -(d_mul_2_mm * d_fc_tanh_mm[row * 8 + column]) * fc_tanh;
  d_tanh_mm_mul[row * 8 + column] = d_mul_2_mm * d_fc_add_sub;
  d_add_mul_2[row * 8 + column] = (d_fc_tanh_mul + d_fc_tanh_mul) * d_fc_add_sub;
}

// model.mt:6  d(fc.bias.sum) = sum(d(fc.add.mul.2))
// net.fc.bias: reads 128 B, writes 32 B
static __global__ void d_fc_bias_columns(real *__restrict__ d_bias_sum, const real *__restrict__ d_add_mul_2,
                                         int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 8 ? own : 8 - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_add_mul_2[row * 8 + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_bias_sum[column] = sum;
}

// model.mt:6  d(fc.transpose.add) = d(fc.transpose.mm) + d(fc.transpose.mm.2)
// computes the product grad.update0.net.fc.transpose.mm and what follows it: reads 272 B, writes 96 B
static __global__ void d_fc_product(real *__restrict__ d_fc_transpose_add,
                                    const real *__restrict__ d_x_mm_add,
                                    const real *__restrict__ d_add_mul_2,
                                    const real *__restrict__ d_transpose_mm_2, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_fc_transpose_mm = mt_product<MT_TN>(d_x_mm_add, d_add_mul_2, P, 8, rows);
  if (row >= P || column >= 8) return;
  const real d_fc_transpose_add_at = d_fc_transpose_mm + d_transpose_mm_2[row * 8 + column];
  d_fc_transpose_add[row * 8 + column] = d_fc_transpose_add_at;
}

// model.mt:6  d(fc.weight.transpose.copy) = d(fc.transpose.add)
// net.fc.weight: reads 96 B, writes 96 B
static __global__ void d_fc_weight_map(real *__restrict__ d_weight_transpose_copy,
                                       const real *__restrict__ d_fc_transpose_add) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 24) return;
  d_weight_transpose_copy[i] = d_fc_transpose_add[(i % P) * 8 + i / P];
}

// model.mt:6  d(out.weight.transpose.copy) = d(out.transpose.mm)
// net.out.weight: reads 32 B, writes 32 B
static __global__ void d_out_weight_map(real *__restrict__ d_weight_transpose_copy,
                                        const real *__restrict__ d_out_transpose_mm) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 8) return;
  d_weight_transpose_copy[i] = d_out_transpose_mm[i];
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];                       // (B, P)
  real *fc_mm = AT(real, 0);                                    // (B, 8)
  real *d_grad_net_out_add_reshape_copy = AT(real, 256);        // (B, 1)
  real *d_grad_net_fc_tanh_mm = AT(real, 512);                  // (B, 8)
  real *d_grad_net_fc_add_mul_2 = AT(real, 768);                // (B, 8)
  real *d_grad_d_x_mm = AT(real, 1024);                         // (B, P)
  real *loss_pow = AT(real, 1280);                              // (B)
  real *d_grad_slope_grad_d_x_mm_add = AT(real, 1024);          // (B, P)
  real *d_grad_slope_grad_net_fc_tanh_mm_mul = AT(real, 1280);  // (B, 8)
  real *d_fc_add_mul_2 = AT(real, 1536);                        // (B, 8)
  real *d_out_transpose_mm = AT(real, 0);                       // (8, 1)
  real *d_fc_transpose_mm_2 = AT(real, 1280);                   // (P, 8)
  real *d_fc_transpose_add = AT(real, 1536);                    // (P, 8)
  real *loss_mean_div = (real *)run->outputs + 0;               // ()

  // model.mt:6
  STEP(mt_gemm(run, MT_NT, rows, 8, P, x, p.fc_weight, fc_mm));

  // model.mt:6, backward
  LAUNCH(d_grad_net_out_map, mt_blocks(rows, 256), 256, 0, run)(d_grad_net_out_add_reshape_copy, rows);
  STEP(mt_gemm(run, MT_NT, rows, 8, 1, d_grad_net_out_add_reshape_copy, p.out_weight,
               d_grad_net_fc_tanh_mm));
  LAUNCH(d_grad_net_fc_map, mt_blocks(rows * 8, 256), 256, 0, run)(
      d_grad_net_fc_add_mul_2, d_grad_net_fc_tanh_mm, fc_mm, p.fc_bias, rows);
  STEP(mt_gemm(run, MT_NN, rows, P, 8, d_grad_net_fc_add_mul_2, p.fc_weight, d_grad_d_x_mm));

  // model.mt:12
  LAUNCH(loss_rows, mt_blocks(rows, 4), 128, 0, run)(loss_pow, d_grad_slope_grad_d_x_mm_add, rows);
  LAUNCH(loss_mean_rows, 1, 32, 0, run)(loss_mean_div, loss_pow, rows);

  // model.mt:6, backward
  LAUNCH(d_slope_grad_net_fc_product, dim3(mt_blocks(8, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      d_grad_slope_grad_net_fc_tanh_mm_mul, d_fc_add_mul_2, d_grad_slope_grad_d_x_mm_add, p.fc_weight,
      fc_mm, p.fc_bias, d_grad_net_fc_tanh_mm, rows);
  STEP(mt_gemm(run, MT_TN, 8, 1, rows, d_grad_slope_grad_net_fc_tanh_mm_mul,
               d_grad_net_out_add_reshape_copy, d_out_transpose_mm));
  LAUNCH(d_fc_bias_columns, mt_blocks(8, 32), dim3(32, 8), 0, run)(d.fc_bias, d_fc_add_mul_2, rows);
  STEP(mt_gemm(run, MT_TN, P, 8, rows, x, d_fc_add_mul_2, d_fc_transpose_mm_2));
  LAUNCH(d_fc_product, dim3(mt_blocks(8, 16), mt_blocks(P, 16)), dim3(16, 16), 0, run)(
      d_fc_transpose_add, d_grad_slope_grad_d_x_mm_add, d_grad_net_fc_add_mul_2, d_fc_transpose_mm_2, rows);
  LAUNCH(d_fc_weight_map, mt_blocks(24, 256), 256, 0, run)(d.fc_weight, d_fc_transpose_add);
  LAUNCH(d_out_weight_map, mt_blocks(8, 256), 256, 0, run)(d.out_weight, d_out_transpose_mm);
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static __device__ void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.1 * s->lr_scale;   // lr
  s->hyper[0][1] = 0;                   // momentum
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
  mt_check_gradients(u, s, 0, 256);
  // net using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(u, s, rule[0], 0, 136);
  mt_finish(u, s);
}

static void train_update(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  LAUNCH(update, 1, MT_UPDATE_THREADS, 0, run)(u);
}

namespace f64 { static void train_gradients(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"net.fc.weight",  2, {8, P}, 0,   MT_UNIFORM, -0.5773502691896258,  0.5773502691896258,  "model.mt:6", NULL},
  {"net.fc.bias",    1, {8},    64,  MT_UNIFORM, -0.5773502691896258,  0.5773502691896258,  "model.mt:6", NULL},
  {"net.out.weight", 2, {1, 8}, 128, MT_UNIFORM, -0.35355339059327373, 0.35355339059327373, "model.mt:6", NULL},
  {"net.out.bias",   1, {1},    192, MT_UNIFORM, -0.35355339059327373, 0.35355339059327373, "model.mt:6", NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField d0_fields[] = {
  {"x", MT_F32, 1, {P}, 0, 0, 0},
};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"d0", MT_RANDOM, 0, NULL, 1, d0_fields, 4, false, 16, 1, 0, "model.mt:4"},
};

// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"net", "sgd", 1, {"buf"}, 0, 136, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {0,  "net.fc.mm",                                       "model.mt:6",  MT_IN_ARENA,   0,    32, 8, 0},
  {1,  "grad.slope.grad.net.out.add.reshape.copy",        "model.mt:6",  MT_IN_ARENA,   256,  4,  1, MT_OF_DATA},
  {2,  "grad.slope.grad.net.fc.tanh.mm",                  "model.mt:6",  MT_IN_ARENA,   512,  32, 8, 0},
  {3,  "grad.slope.grad.net.fc.add.mul.2",                "model.mt:6",  MT_IN_ARENA,   768,  32, 8, 0},
  {4,  "grad.slope.grad.d.x.mm",                          "model.mt:6",  MT_IN_ARENA,   1024, 12, 3, 0},
  {5,  "loss.pow",                                        "model.mt:12", MT_IN_ARENA,   1280, 4,  1, 0},
  {5,  "grad.update0.grad.slope.grad.d.x.mm.add",         "model.mt:12", MT_IN_ARENA,   1024, 12, 3, 0},
  {6,  "loss.mean.div",                                   "model.mt:12", MT_IN_OUTPUTS, 0,    1,  0, 0},
  {7,  "grad.update0.grad.slope.grad.net.fc.tanh.mm.mul", "model.mt:6",  MT_IN_ARENA,   1280, 32, 8, 0},
  {7,  "grad.update0.net.fc.add.mul.2",                   "model.mt:6",  MT_IN_ARENA,   1536, 32, 8, 0},
  {8,  "grad.update0.net.out.transpose.mm",               "model.mt:6",  MT_IN_ARENA,   0,    8,  0, 0},
  {9,  "grad.update0.net.fc.bias.sum",                    "model.mt:6",  MT_IN_GRADS,   64,   8,  0, 0},
  {10, "grad.update0.net.fc.transpose.mm.2",              "model.mt:6",  MT_IN_ARENA,   1280, 24, 0, 0},
  {11, "grad.update0.net.fc.transpose.add",               "model.mt:6",  MT_IN_ARENA,   1536, 24, 0, 0},
  {12, "grad.update0.net.fc.weight.transpose.copy",       "model.mt:6",  MT_IN_GRADS,   0,    24, 0, 0},
  {13, "grad.update0.net.out.weight.transpose.copy",      "model.mt:6",  MT_IN_GRADS,   128,  8,  0, 0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, f64::train_gradients, train_update, 1, 0, 0, 256, 0, 0, 0, 1, 14, 16, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"update",                      1, 2720, 2720, 1.001e-06},
  {"loss_rows",                   1, 112,  442,  1e-06},
  {"loss_mean_rows",              1, 20,   50,   1e-06},
  {"d_slope_grad_net_fc_product", 1, 688,  1728, 1e-06},
  {"d_grad_net_fc_map",           1, 416,  1216, 1e-06},
  {"d_fc_product",                1, 368,  240,  1e-06},
  {"gemm 4 x 8 x 3 f32",          1, 272,  192,  1e-06},
  {"gemm 4 x 3 x 8 f32",          1, 272,  192,  1e-06},
  {"gemm 3 x 8 x 4 f32",          1, 272,  192,  1e-06},
  {"d_fc_weight_map",             1, 192,  48,   1e-06},
  {"gemm 4 x 8 x 1 f32",          1, 176,  64,   1e-06},
  {"gemm 8 x 1 x 4 f32",          1, 176,  64,   1e-06},
  {"d_fc_bias_columns",           1, 160,  64,   1e-06},
  {"d_out_weight_map",            1, 64,   16,   1e-06},
  {"d_grad_net_out_map",          1, 16,   8,    1e-06},
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
  15, train_costs,                   // what a step costs
  "an NVIDIA H100",                  // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cuda,                          // what it runs on
  4, 0, 1, 0,                        // parameters, states, data sets, evals
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
