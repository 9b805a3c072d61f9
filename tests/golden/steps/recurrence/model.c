// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 708 KB:
//   parameters 5.1 KB, gradients 5.1 KB, optimizer 5.1 KB, batches 28 KB, data 221 KB, results 8 B, step 443 KB
// Most values of a step at once: model.mt:10 209 KB, model.mt:11 102 KB, model.mt:14 102 KB, model.mt:19 2.0 KB

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt.h"
#include "mtrt_math.h"

#define real float
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

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
static void h_map(real *restrict h_broadcast_copy, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * H; i++)
    h_broadcast_copy[i] = 0;
}

// model.mt:11  h.turns.transpose.copy = x
// called 2 times
// net.h.turns: reads 26 KB, writes 26 KB
static void h_turns_map(real *restrict turns_transpose_copy, const real *restrict x, int64_t rows) {
  for (int64_t i = 0; i < T; i++) {
    for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
      for (int64_t j = 0; j < D; j++)
        turns_transpose_copy[i * B * D + row * D + j] = x[row * T * D + i * D + j];
    }
  }
}

// model.mt:11  h.tanh = tanh(h.mm + h.arg1.rhs.mm)
// h.tanh.copy = tanh(h.mm + h.arg1.rhs.mm)
// h.copy = h
// reads 6.1 KB, writes 6.1 KB
static void h_map_2(real *restrict h_tanh, real *restrict h_tanh_copy, real *restrict h_copy,
                    const real *restrict arg1_rhs_mm, const real *restrict h, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * H; i++) {
    const real h_mm = h_tanh[i];
    const real h_tanh_at = tanh(h_mm + arg1_rhs_mm[i]);
    h_tanh[i] = h_tanh_at;
    h_tanh_copy[i] = h_tanh_at;
    h_copy[i] = h[i];
  }
}

// model.mt:19  loss.mse.mul = (h.last + sum(hs) / 50 - y) * (h.last + sum(hs) / 50 - y)
// d(loss.mse.e.sub.add) = d(loss.mse.e.sub.mul) + d(loss.mse.e.sub.mul)
// d(mean.sum.div) = (d(loss.mse.e.sub.mul) + d(loss.mse.e.sub.mul)) / 50
// fused 8 nodes of net, loss.mse.e and loss.mse: reads 106 KB, writes 6.1 KB; saves 25 KB
static void loss_mse_columns(real *restrict mse_mul, real *restrict d_e_sub_add,
                             real *restrict d_mean_sum_div, const real *restrict last_,
                             const real *restrict hs, const real *restrict y, int64_t rows) {
#pragma omp parallel for
  for (int64_t first = 0; first < rows * H; first += 256) {
    const int64_t last = first + 256 < rows * H ? first + 256 : rows * H;
    real last__at[256];
    real mean_sum[256] = {0};
    real y_at[256];
    real d_mean_sum_div_at[256];
#pragma omp simd
    for (int64_t i = first; i < last; i++) {
      last__at[i - first] = last_[i];
      y_at[i - first] = y[i];
      d_mean_sum_div_at[i - first] = 1 / ((real)rows * 32);
    }
    for (int64_t j = 0; j < T; j++) {
#pragma omp simd
      for (int64_t i = first; i < last; i++)
        mean_sum[i - first] += hs[j * B * H + i];
    }
#pragma omp simd
    for (int64_t i = first; i < last; i++) {
      const real e_sub = last__at[i - first] + mean_sum[i - first] / 50 - y_at[i - first];
      const real d_e_sub_mul = d_mean_sum_div_at[i - first] * e_sub;
      const real d_e_sub_add_at = d_e_sub_mul + d_e_sub_mul;
      mse_mul[i] = e_sub * e_sub;
      d_e_sub_add[i] = d_e_sub_add_at;
      d_mean_sum_div[i] = d_e_sub_add_at / 50;
    }
  }
}

// model.mt:19  loss.mse.mean.div = sum(loss.mse.mul) / (f32(rows) * 32)
// loss.mse.mean.div.copy = sum(loss.mse.mul) / (f32(rows) * 32)
// fused 3 nodes of loss.mse: reads 2.0 KB, writes 8 B; saves 12 B
static void loss_mse_mean_rows(real *restrict mean_div, real *restrict mean_div_copy,
                               const real *restrict mse_mul, int64_t rows) {
  const real mean_mul = (real)rows * 32;
  real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
  for (int64_t i = 0; i < rows * H; i++)
    mean_sum += mse_mul[i];
  const real mean_div_at = mean_sum / mean_mul;
  mean_div[0] = mean_div_at;
  mean_div_copy[0] = mean_div_at;
}

// model.mt:14  d(hs.broadcast.copy) = d(mean.sum.div)
// net.hs: reads 2.0 KB, writes 102 KB
static void d_hs_map(real *restrict d_hs_broadcast_copy, const real *restrict d_mean_sum_div, int64_t rows) {
  for (int64_t i = 0; i < T; i++) {
#pragma omp simd
    for (int64_t j = 0; j < rows * H; j++)
      d_hs_broadcast_copy[i * B * H + j] = d_mean_sum_div[j];
  }
}

// model.mt:11  d(h.add.mul.2) = (d(h) + d(h.tanh)) * (1 - h.tanh.saved * h.tanh.saved)
// fused 4 nodes of net.h: reads 6.1 KB, writes 2.0 KB; saves 12 KB
static void d_h_map(real *restrict d_add_mul_2, const real *restrict d_h, const real *restrict d_h_tanh,
                    const real *restrict saved, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * H; i++) {
    const real saved_at = saved[i];
    const real d_add_mul_2_at = (d_h[i] + d_h_tanh[i]) * (1 - saved_at * saved_at);
    d_add_mul_2[i] = d_add_mul_2_at;
  }
}

// model.mt:11  d(w.transpose.copy) = d(h.add.mul.2.turns)
// d(u.transpose.2.copy) = h.saved
// fused 2 nodes of net.w and net.u: reads 205 KB, writes 205 KB
static void d_w_map(real *restrict d_w_transpose_copy, real *restrict d_transpose_2_copy,
                    const real *restrict d_turns, const real *restrict saved, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < T; i++) {
#pragma omp simd
      for (int64_t j = 0; j < H; j++) {
        d_w_transpose_copy[row * T * H + i * H + j] = d_turns[i * B * H + row * H + j];
        d_transpose_2_copy[row * T * H + i * H + j] = saved[i * B * H + row * H + j];
      }
    }
  }
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
  STEP(h_map(h_broadcast_copy, rows));

  // model.mt:11
  STEP(h_turns_map(h_turns_transpose_copy, x, rows));

  // model.mt:10
  const real *h = h_broadcast_copy;  // carried
  for (int64_t i = 0; i < T; i++) {
    const real *h_turns_transpose = h_turns_transpose_copy + i * B * D;
    real *h_mm = i % 2 ? h_last : h_last_second;
    real *h_tanh = i % 2 ? h_last : h_last_second;
    real *h_tanh_copy = hs + i * B * H;
    real *h_copy = h_saved + i * B * H;

    // model.mt:11
    STEP(mt_gemm(run, MT_NT, rows, H, H, h, p.u, h_arg1_rhs_mm));
    STEP(mt_gemm(run, MT_NT, rows, H, D, h_turns_transpose, p.w, h_mm));
    STEP(h_map_2(h_tanh, h_tanh_copy, h_copy, h_arg1_rhs_mm, h, rows));
    h = h_tanh;
  }

  // model.mt:19
  STEP(loss_mse_columns(loss_mse_mul, d_loss_mse_e_sub_add, d_mean_sum_div, h_last, hs, y, rows));
  STEP(loss_mse_mean_rows(loss_mse_mean_div, loss_mse_mean_div_copy, loss_mse_mul, rows));

  // model.mt:14, backward
  STEP(d_hs_map(d_hs_broadcast_copy, d_mean_sum_div, rows));

  // model.mt:10, backward
  const real *d_h = d_loss_mse_e_sub_add;  // carried
  for (int64_t i = T - 1; i >= 0; i--) {
    real *d_h_add_mul_2 = d_h_add_mul_2_turns + i * B * H;
    const real *d_h_tanh = d_hs_broadcast_copy + i * B * H;
    const real *h_tanh_saved = hs + i * B * H;
    real *d_h_mm_2 = i % 2 ? d_h_mm_second : d_h_mm;

    // model.mt:11, backward
    STEP(d_h_map(d_h_add_mul_2, d_h, d_h_tanh, h_tanh_saved, rows));
    STEP(mt_gemm(run, MT_NN, rows, H, H, d_h_add_mul_2, p.u, d_h_mm_2));
    d_h = d_h_mm_2;
  }

  // model.mt:11, backward
  STEP(d_w_map(d_w_transpose_copy, d_u_transpose_2_copy, d_h_add_mul_2_turns, h_saved, rows));
  STEP(mt_gemm(run, MT_TN, H, D, rows * 50, d_w_transpose_copy, x, d.w));
  STEP(mt_gemm(run, MT_TN, H, H, rows * 50, d_w_transpose_copy, d_u_transpose_2_copy, d.u));
}

#ifndef MT_DOUBLE

// model.mt:11  h.tanh = tanh(h.mm + h.arg1.rhs.mm)
// h.tanh.copy = tanh(h.mm + h.arg1.rhs.mm)
// reads 4.1 KB, writes 4.1 KB
static void h_map_3(real *restrict h_tanh, real *restrict h_tanh_copy, const real *restrict arg1_rhs_mm,
                    int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * H; i++) {
    const real h_mm = h_tanh[i];
    const real h_tanh_at = tanh(h_mm + arg1_rhs_mm[i]);
    h_tanh[i] = h_tanh_at;
    h_tanh_copy[i] = h_tanh_at;
  }
}

// model.mt:14  add = h.last + sum(hs) / 50
// fused 3 nodes of net: reads 104 KB, writes 2.0 KB; saves 8.2 KB
static void add_columns(real *restrict add, const real *restrict last_, const real *restrict hs,
                        int64_t rows) {
  real last__at[B * H];
  real mean_sum[B * H] = {0};
#pragma omp simd
  for (int64_t i = 0; i < rows * H; i++)
    last__at[i] = last_[i];
  for (int64_t j = 0; j < T; j++) {
#pragma omp simd
    for (int64_t i = 0; i < rows * H; i++)
      mean_sum[i] += hs[j * B * H + i];
  }
#pragma omp simd
  for (int64_t i = 0; i < rows * H; i++)
    add[i] = last__at[i] + mean_sum[i] / 50;
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
  STEP(h_map(h_broadcast_copy, rows));

  // model.mt:11
  STEP(h_turns_map(h_turns_transpose_copy, x, rows));

  // model.mt:10
  const real *h = h_broadcast_copy;  // carried
  for (int64_t i = 0; i < T; i++) {
    const real *h_turns_transpose = h_turns_transpose_copy + i * B * D;
    real *h_mm = i % 2 ? h_last : h_last_second;
    real *h_tanh = i % 2 ? h_last : h_last_second;
    real *h_tanh_copy = hs + i * B * H;

    // model.mt:11
    STEP(mt_gemm(run, MT_NT, rows, H, H, h, p.u, h_arg1_rhs_mm));
    STEP(mt_gemm(run, MT_NT, rows, H, D, h_turns_transpose, p.w, h_mm));
    STEP(h_map_3(h_tanh, h_tanh_copy, h_arg1_rhs_mm, rows));
    h = h_tanh;
  }

  // model.mt:14
  STEP(add_columns(add, h_last, hs, rows));
}

// Hyper-parameters of the update at hand.
static void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.1 * s->lr_scale;   // lr
  s->hyper[0][1] = 0;                   // momentum
  s->hyper[0][2] = 0;                   // dampening
  s->hyper[0][3] = 0;                   // decay
  s->hyper[0][4] = 0;                   // nesterov
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static void train_update(MtRun *run, const MtEnd *end) {
  mt_check_gradients(run, end, 0, 1280);
  schedule(run->scalars);
  // net using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(run, 0, 0, 1280);
  mt_finish(run, end);
}

static void train_gradients_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file

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
  {151, "net.h.last",                          "model.mt:10", MT_IN_ARENA,   31744,  512,   32,   0},
  {152, "loss.mse.mul",                        "model.mt:19", MT_IN_ARENA,   0,      512,   32,   0},
  {152, "grad.update0.loss.mse.e.sub.add",     "model.mt:19", MT_IN_ARENA,   2048,   512,   32,   0},
  {152, "grad.update0.net.mean.sum.div",       "model.mt:14", MT_IN_ARENA,   4096,   512,   32,   0},
  {153, "loss.mse.mean.div",                   "model.mt:19", MT_IN_OUTPUTS, 0,      1,     0,    0},
  {153, "loss.mse.mean.div.copy",              "model.mt:19", MT_IN_OUTPUTS, 1,      1,     0,    0},
  {254, "grad.update0.net.h.mm",               "model.mt:10", MT_IN_ARENA,   4096,   512,   32,   0},
  {255, "grad.update0.net.w.transpose.copy",   "model.mt:11", MT_IN_ARENA,   238592, 25600, 1600, 0},
  {255, "grad.update0.net.u.transpose.2.copy", "model.mt:11", MT_IN_ARENA,   0,      25600, 1600, 0},
  {256, "grad.update0.net.w.mm",               "model.mt:11", MT_IN_GRADS,   0,      256,   0,    0},
  {257, "grad.update0.net.u.mm",               "model.mt:11", MT_IN_GRADS,   256,    1024,  0,    0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, train_gradients_f64, train_update, 1, 0, 0, 1280, 0, 1, 0, 1, 258, 12, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"gemm 16 x 32 x 32 f32",  100, 8.192e+05, 3.277e+06, 1.75e-05},
  {"h_map_2",                50,  6.144e+05, 9.216e+05, 1.012e-05},
  {"d_h_map",                50,  4.096e+05, 2.048e+05, 6.463e-06},
  {"gemm 16 x 32 x 8 f32",   50,  1.792e+05, 4.096e+05, 5.937e-06},
  {"gemm 32 x 32 x 800 f32", 1,   2.089e+05, 1.638e+06, 3.849e-06},
  {"d_w_map",                1,   4.096e+05, 1.024e+05, 1.563e-06},
  {"gemm 32 x 8 x 800 f32",  1,   1.29e+05,  4.096e+05, 1.037e-06},
  {"loss_mse_columns",       1,   1.126e+05, 9.732e+04, 5.023e-07},
  {"d_hs_map",               1,   1.044e+05, 5.12e+04,  4.73e-07},
  {"h_turns_map",            1,   5.12e+04,  1.28e+04,  2.829e-07},
  {"mt_sgd",                 1,   2.56e+04,  2.56e+04,  1.914e-07},
  {"mt_check_gradients",     1,   5120,      0,         1.183e-07},
  {"loss_mse_mean_rows",     1,   2056,      1070,      1.073e-07},
  {"h_map",                  1,   2048,      1024,      1.073e-07},
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
  14, train_costs,                   // what a step costs
  "two CPU cores with AVX-512",      // by the model of it
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
  &mt_cpu,                           // what it runs on
  2, 0, 1, 0,                        // parameters, states, data sets, evals
  1280, 0,                           // elements of the two blocks
  params, NULL, data,                // their tables
  &train, NULL, &predict, NULL,      // what it can do
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
#define h_map h_map_f64
#define h_turns_map h_turns_map_f64
#define h_map_2 h_map_2_f64
#define loss_mse_columns loss_mse_columns_f64
#define loss_mse_mean_rows loss_mse_mean_rows_f64
#define d_hs_map d_hs_map_f64
#define d_h_map d_h_map_f64
#define d_w_map d_w_map_f64
#define train_gradients train_gradients_f64
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
#endif
