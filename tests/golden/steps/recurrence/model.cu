// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 708 KB:
//   parameters 5.1 KB, gradients 5.1 KB, optimizer 5.1 KB, batches 28 KB, data 221 KB, results 8 B, step 443 KB
// Most values of a step at once: model.mt:10 209 KB, model.mt:11 102 KB, model.mt:14 102 KB, model.mt:19 2.0 KB

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"

#define real float

enum { B = 16, T = 50, D = 8, H = 32 };
#endif

// Parameters: one block of 5,120 bytes; gradients lie the same way in another.
typedef struct {
  real *w;  // (H, D)
  real *u;  // (H, H)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.w = at + 0;
  p.u = at + 256;
  return p;
}

// model.mt:9  h.broadcast.copy = 0
// called 2 times
// net.h: reads 0 B, writes 2.0 KB
static __global__ void h_map(real *__restrict__ h_broadcast_copy, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * H) return;
  h_broadcast_copy[i] = 0;
}

// model.mt:11  h.turns.transpose.copy = x
// called 2 times
// net.h.turns: reads 26 KB, writes 26 KB
static __global__ void h_turns_map(real *__restrict__ turns_transpose_copy, const real *__restrict__ x,
                                   int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (!(i / D % B < rows)) return;
  const real x_at = x[(i / D % B) * T * D + (i / (B * D)) * D + i % D];
  turns_transpose_copy[i] = x_at;
}

// model.mt:11  h.tanh = tanh(h.turns.transpose @ t(w) + h.arg1.rhs.mm)
// h.tanh.copy = tanh(h.turns.transpose @ t(w) + h.arg1.rhs.mm)
// h.copy = h
// computes the product net.h.mm and what follows it: reads 5.6 KB, writes 6.1 KB
static __global__ void h_product(real *__restrict__ h_tanh, real *__restrict__ h_tanh_copy,
                                 real *__restrict__ h_copy, const real *__restrict__ turns_transpose,
                                 const real *__restrict__ w, const real *__restrict__ arg1_rhs_mm,
                                 const real *__restrict__ h, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real h_mm = mt_product<MT_NT>(turns_transpose, w, rows, H, D);
  if (row >= rows) return;
  const real h_tanh_at = tanh(h_mm + arg1_rhs_mm[row * H + column]);
  h_tanh[row * H + column] = h_tanh_at;
  h_tanh_copy[row * H + column] = h_tanh_at;
  h_copy[row * H + column] = h[row * H + column];
}

// model.mt:19  loss.mse.mul = (h.last + sum(hs) / 50 - y) * (h.last + sum(hs) / 50 - y)
// d(loss.mse.e.sub.add) = d(loss.mse.e.sub.mul) + d(loss.mse.e.sub.mul)
// d(mean.sum.div) = (d(loss.mse.e.sub.mul) + d(loss.mse.e.sub.mul)) / 50
// fused 8 nodes of net, loss.mse.e and loss.mse: reads 106 KB, writes 6.1 KB; saves 25 KB
static __global__ void loss_mse_columns(real *__restrict__ mse_mul, real *__restrict__ d_e_sub_add,
                                        real *__restrict__ d_mean_sum_div, const real *__restrict__ last_,
                                        const real *__restrict__ hs, const real *__restrict__ y, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * H ? own : rows * H - 1;
  const real last__at = last_[column];
  const real y_at = y[column];
  const real d_mean_sum_div_at = 1 / ((real)rows * 32);
  real mean_sum = 0;
  for (int row = threadIdx.y; row < T; row += 8)
    mean_sum += hs[row * B * H + column];
  mean_sum = column_sum(mean_sum);
  const real e_sub = last__at + mean_sum / 50 - y_at;
  const real d_e_sub_mul = d_mean_sum_div_at * e_sub;
  const real d_e_sub_add_at = d_e_sub_mul + d_e_sub_mul;
  if (threadIdx.y == 0 && own == column) {
    mse_mul[column] = e_sub * e_sub;
    d_e_sub_add[column] = d_e_sub_add_at;
    d_mean_sum_div[column] = d_e_sub_add_at / 50;
  }
}

// model.mt:19  loss.mse.mean.div = sum(loss.mse.mul) / (f32(rows) * 32)
// loss.mse.mean.div.copy = sum(loss.mse.mul) / (f32(rows) * 32)
// fused 3 nodes of loss.mse: reads 2.0 KB, writes 8 B; saves 12 B
static __global__ void loss_mse_mean_rows(real *__restrict__ mean_div, real *__restrict__ mean_div_copy,
                                          const real *__restrict__ mse_mul, int rows) {
  const real mean_mul = (real)rows * 32;
  real mean_sum = 0;
  for (int i = threadIdx.x; i < rows * H; i += 128)
    mean_sum += mse_mul[i];
  mean_sum = block_sum(mean_sum);
  const real mean_div_at = mean_sum / mean_mul;
  if (threadIdx.x == 0) {
    mean_div[0] = mean_div_at;
    mean_div_copy[0] = mean_div_at;
  }
}

// model.mt:14  d(hs.broadcast.copy) = d(mean.sum.div)
// net.hs: reads 2.0 KB, writes 102 KB
static __global__ void d_hs_map(real *__restrict__ d_hs_broadcast_copy,
                                const real *__restrict__ d_mean_sum_div, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (!(i / H % B < rows)) return;
  d_hs_broadcast_copy[i] = d_mean_sum_div[i % (B * H)];
}

// model.mt:11  d(h.add.mul.2) = (d(h) + d(h.tanh)) * (1 - h.tanh.saved * h.tanh.saved)
// fused 4 nodes of net.h: reads 6.1 KB, writes 2.0 KB; saves 12 KB
static __global__ void d_h_map(real *__restrict__ d_add_mul_2, const real *__restrict__ d_h,
                               const real *__restrict__ d_h_tanh, const real *__restrict__ saved, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * H) return;
  const real saved_at = saved[i];
  const real d_add_mul_2_at = (d_h[i] + d_h_tanh[i]) * (1 - saved_at * saved_at);
  d_add_mul_2[i] = d_add_mul_2_at;
}

// model.mt:11  d(w.transpose.copy) = d(h.add.mul.2.turns)
// d(u.transpose.2.copy) = h.saved
// fused 2 nodes of net.w and net.u: reads 205 KB, writes 205 KB
static __global__ void d_w_map(real *__restrict__ d_w_transpose_copy, real *__restrict__ d_transpose_2_copy,
                               const real *__restrict__ d_turns, const real *__restrict__ saved, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * T * H) return;
  const real d_turns_at = d_turns[(i / H % T) * B * H + (i / (T * H)) * H + i % H];
  const real saved_at = saved[(i / H % T) * B * H + (i / (T * H)) * H + i % H];
  d_w_transpose_copy[i] = d_turns_at;
  d_transpose_2_copy[i] = saved_at;
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];                   // (B, T, D)
  const real *y = (const real *)batch[1];                   // (B, H)
  real *h_broadcast_copy = AT(real, 0);                     // (B, H)
  real *h_turns_transpose_copy = AT(real, 2048);            // (T, B, D)
  real *h_arg1_rhs_mm = AT(real, 27648);                    // (B, H)
  real *h_last = AT(real, 31744);                           // (B, H)
  real *h_last_second = AT(real, 29696);                    // (B, H)
  real *hs = AT(real, 33792);                               // (T, B, H)
  real *h_saved = AT(real, 136192);                         // (T, B, H)
  real *loss_mse_mul = AT(real, 0);                         // (B, H)
  real *d_loss_mse_e_sub_add = AT(real, 2048);              // (B, H)
  real *d_mean_sum_div = AT(real, 4096);                    // (B, H)
  real *d_hs_broadcast_copy = AT(real, 238592);             // (T, B, H)
  real *d_h_add_mul_2_turns = AT(real, 340992);             // (T, B, H)
  real *d_h_mm = AT(real, 4096);                            // (B, H)
  real *d_h_mm_second = AT(real, 0);                        // (B, H)
  real *d_w_transpose_copy = AT(real, 238592);              // (B, T, H)
  real *d_u_transpose_2_copy = AT(real, 0);                 // (B, T, H)
  real *loss_mse_mean_div = (real *)run->outputs + 0;       // ()
  real *loss_mse_mean_div_copy = (real *)run->outputs + 1;  // ()

  // model.mt:9
  LAUNCH(h_map, mt_blocks(rows * H, 256), 256, 0, run)(h_broadcast_copy, rows);

  // model.mt:11
  LAUNCH(h_turns_map, mt_blocks(T * B * D, 256), 256, 0, run)(h_turns_transpose_copy, x, rows);

  // model.mt:10
  const real *h = h_broadcast_copy;  // carried
  for (int64_t i = 0; i < T; i++) {
    real *h_tanh = i % 2 ? h_last : h_last_second;
    real *h_tanh_copy = hs + i * B * H;
    real *h_copy = h_saved + i * B * H;
    const real *h_turns_transpose = h_turns_transpose_copy + i * B * D;

    // model.mt:11
    STEP(mt_gemm(run, MT_NT, rows, H, H, h, p.u, h_arg1_rhs_mm));
    LAUNCH(h_product, dim3(mt_blocks(H, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
        h_tanh, h_tanh_copy, h_copy, h_turns_transpose, p.w, h_arg1_rhs_mm, h, rows);
    h = h_tanh;
  }

  // model.mt:19
  LAUNCH(loss_mse_columns, mt_blocks(rows * H, 32), dim3(32, 8), 0, run)(
      loss_mse_mul, d_loss_mse_e_sub_add, d_mean_sum_div, h_last, hs, y, rows);
  LAUNCH(loss_mse_mean_rows, 1, 128, 0, run)(loss_mse_mean_div, loss_mse_mean_div_copy, loss_mse_mul, rows);

  // model.mt:14, backward
  LAUNCH(d_hs_map, mt_blocks(T * B * H, 256), 256, 0, run)(d_hs_broadcast_copy, d_mean_sum_div, rows);

  // model.mt:10, backward
  const real *d_h = d_loss_mse_e_sub_add;  // carried
  for (int64_t i = T - 1; i >= 0; i--) {
    real *d_h_add_mul_2 = d_h_add_mul_2_turns + i * B * H;
    const real *d_h_tanh = d_hs_broadcast_copy + i * B * H;
    const real *h_tanh_saved = hs + i * B * H;
    real *d_h_mm_2 = i % 2 ? d_h_mm_second : d_h_mm;

    // model.mt:11, backward
    LAUNCH(d_h_map, mt_blocks(rows * H, 256), 256, 0, run)(d_h_add_mul_2, d_h, d_h_tanh, h_tanh_saved, rows);
    STEP(mt_gemm(run, MT_NN, rows, H, H, d_h_add_mul_2, p.u, d_h_mm_2));
    d_h = d_h_mm_2;
  }

  // model.mt:11, backward
  LAUNCH(d_w_map, mt_blocks(rows * T * H, 256), 256, 0, run)(
      d_w_transpose_copy, d_u_transpose_2_copy, d_h_add_mul_2_turns, h_saved, rows);
  STEP(mt_gemm(run, MT_TN, H, D, rows * 50, d_w_transpose_copy, x, d.w));
  STEP(mt_gemm(run, MT_TN, H, H, rows * 50, d_w_transpose_copy, d_u_transpose_2_copy, d.u));
}

#ifndef MT_DOUBLE

// model.mt:11  h.tanh = tanh(h.turns.transpose @ t(w) + h.arg1.rhs.mm)
// h.tanh.copy = tanh(h.turns.transpose @ t(w) + h.arg1.rhs.mm)
// computes the product net.h.mm and what follows it: reads 3.6 KB, writes 4.1 KB
static __global__ void h_product_2(real *__restrict__ h_tanh, real *__restrict__ h_tanh_copy,
                                   const real *__restrict__ turns_transpose, const real *__restrict__ w,
                                   const real *__restrict__ arg1_rhs_mm, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real h_mm = mt_product<MT_NT>(turns_transpose, w, rows, H, D);
  if (row >= rows) return;
  const real h_tanh_at = tanh(h_mm + arg1_rhs_mm[row * H + column]);
  h_tanh[row * H + column] = h_tanh_at;
  h_tanh_copy[row * H + column] = h_tanh_at;
}

// model.mt:14  add = h.last + sum(hs) / 50
// fused 3 nodes of net: reads 104 KB, writes 2.0 KB; saves 8.2 KB
static __global__ void add_columns(real *__restrict__ add, const real *__restrict__ last_,
                                   const real *__restrict__ hs, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * H ? own : rows * H - 1;
  const real last__at = last_[column];
  real mean_sum = 0;
  for (int row = threadIdx.y; row < T; row += 8)
    mean_sum += hs[row * B * H + column];
  mean_sum = column_sum(mean_sum);
  if (threadIdx.y == 0 && own == column) add[column] = last__at + mean_sum / 50;
}

// Inference.
static void predict_step(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const real *x = (const real *)batch[0];         // (B, T, D)
  real *h_broadcast_copy = AT(real, 0);           // (B, H)
  real *h_turns_transpose_copy = AT(real, 2048);  // (T, B, D)
  real *h_arg1_rhs_mm = AT(real, 27648);          // (B, H)
  real *h_last = AT(real, 31744);                 // (B, H)
  real *h_last_second = AT(real, 29696);          // (B, H)
  real *hs = AT(real, 33792);                     // (T, B, H)
  real *add = (real *)run->outputs + 0;           // (B, H)

  // model.mt:9
  LAUNCH(h_map, mt_blocks(rows * H, 256), 256, 0, run)(h_broadcast_copy, rows);

  // model.mt:11
  LAUNCH(h_turns_map, mt_blocks(T * B * D, 256), 256, 0, run)(h_turns_transpose_copy, x, rows);

  // model.mt:10
  const real *h = h_broadcast_copy;  // carried
  for (int64_t i = 0; i < T; i++) {
    real *h_tanh = i % 2 ? h_last : h_last_second;
    real *h_tanh_copy = hs + i * B * H;
    const real *h_turns_transpose = h_turns_transpose_copy + i * B * D;

    // model.mt:11
    STEP(mt_gemm(run, MT_NT, rows, H, H, h, p.u, h_arg1_rhs_mm));
    LAUNCH(h_product_2, dim3(mt_blocks(H, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
        h_tanh, h_tanh_copy, h_turns_transpose, p.w, h_arg1_rhs_mm, rows);
    h = h_tanh;
  }

  // model.mt:14
  LAUNCH(add_columns, mt_blocks(rows * H, 32), dim3(32, 8), 0, run)(add, h_last, hs, rows);
}

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
  mt_check_gradients(u, s, 0, 1280);
  // net using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(u, s, rule[0], 0, 1280);
  mt_finish(u, s);
}

static void train_update(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  LAUNCH(update, 2, MT_UPDATE_THREADS, 0, run)(u);
}

namespace f64 { static void train_gradients(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"net.w", 2, {H, D}, 0,   MT_UNIFORM, -0.17677669529663687, 0.17677669529663687, "model.mt:7", NULL},
  {"net.u", 2, {H, H}, 256, MT_UNIFORM, -0.17677669529663687, 0.17677669529663687, "model.mt:8", NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField series_fields[] = {
  {"x", MT_F32, 2, {T, D}, 0, 0, 0},
  {"y", MT_F32, 1, {H},    0, 0, 0},
};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"series", MT_RANDOM, 0, NULL, 2, series_fields, 16, false, 128, 1, 0, "model.mt:4"},
};

static const MtLog train_logs[] = {
  {"loss", 1},
};
// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"net", "sgd", 1, {"buf"}, 0, 1280, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {0,   "net.h.broadcast.copy",                "model.mt:9",  MT_IN_ARENA,   0,      512,   32,   MT_OF_DATA},
  {101, "net.h.last",                          "model.mt:10", MT_IN_ARENA,   31744,  512,   32,   0},
  {102, "loss.mse.mul",                        "model.mt:19", MT_IN_ARENA,   0,      512,   32,   0},
  {102, "grad.update0.loss.mse.e.sub.add",     "model.mt:19", MT_IN_ARENA,   2048,   512,   32,   0},
  {102, "grad.update0.net.mean.sum.div",       "model.mt:14", MT_IN_ARENA,   4096,   512,   32,   0},
  {103, "loss.mse.mean.div",                   "model.mt:19", MT_IN_OUTPUTS, 0,      1,     0,    0},
  {103, "loss.mse.mean.div.copy",              "model.mt:19", MT_IN_OUTPUTS, 1,      1,     0,    0},
  {204, "grad.update0.net.h.mm",               "model.mt:10", MT_IN_ARENA,   4096,   512,   32,   0},
  {205, "grad.update0.net.w.transpose.copy",   "model.mt:11", MT_IN_ARENA,   238592, 25600, 1600, 0},
  {205, "grad.update0.net.u.transpose.2.copy", "model.mt:11", MT_IN_ARENA,   0,      25600, 1600, 0},
  {206, "grad.update0.net.w.mm",               "model.mt:11", MT_IN_GRADS,   0,      256,   0,    0},
  {207, "grad.update0.net.u.mm",               "model.mt:11", MT_IN_GRADS,   256,    1024,  0,    0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, f64::train_gradients, train_update, 1, 0, 0, 1280, 0, 1, 0, 1, 208, 12, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"gemm 16 x 32 x 32 f32",  100, 8.192e+05, 3.277e+06, 0.0001003},
  {"h_product",              50,  5.888e+05, 1.331e+06, 5.021e-05},
  {"d_h_map",                50,  4.096e+05, 2.048e+05, 5.015e-05},
  {"d_w_map",                1,   4.096e+05, 1.024e+05, 1.146e-06},
  {"gemm 32 x 32 x 800 f32", 1,   2.089e+05, 1.638e+06, 1.075e-06},
  {"gemm 32 x 8 x 800 f32",  1,   1.29e+05,  4.096e+05, 1.046e-06},
  {"loss_mse_columns",       1,   1.126e+05, 9.732e+04, 1.04e-06},
  {"d_hs_map",               1,   1.044e+05, 5.12e+04,  1.037e-06},
  {"loss_mse_mean_rows",     1,   2056,      1070,      1.026e-06},
  {"h_turns_map",            1,   5.12e+04,  1.28e+04,  1.018e-06},
  {"update",                 1,   2.56e+04,  2.56e+04,  1.009e-06},
  {"h_map",                  1,   2048,      1024,      1.001e-06},
};
static const MtTrain train = {
  0,                                 // data: series
  false,                             // shuffled
  0,                                 // seed of the shuffling
  2, MT_EPOCHS,                      // how long
  1,                                 // micro-batches an update
  false,                             // matrix products in TF32
  1, train_phases,                   // a step, from update to update
  {443392, 2},                       // bytes of its arena, elements of its outputs
  1, train_logs,                     // logs
  1, train_groups,                   // update groups
  0, NULL,                           // what happens every so often
  12, train_costs,                   // what a step costs
  "an NVIDIA H100",                  // by the model of it
};

static const MtField predict_fields[] = {
  {"x", MT_F32, 2, {T, D}, 0, 0, 0},
};
static const MtPredict predict = {
  1, predict_fields,                 // what it is given
  16,                                // rows a batch
  predict_step,                      // the step
  {136192, 512},                     // bytes of its arena, elements of its outputs
  1, {H},                            // rank and shape of a result
  true,                              // one result a row
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cuda,                          // what it runs on
  2, 0, 1, 0,                        // parameters, states, data sets, evals
  1280, 0,                           // elements of the two blocks
  params, NULL, data,                // their tables
  &train, NULL, &predict, NULL,      // what it can do
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
