// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 3.5 MB:
//   parameters 808 KB, gradients 808 KB, optimizer 1.6 MB, batches 2.2 KB, data 17 KB, results 8 B, step 214 KB
// Most values of a step at once: model.mt:7 156 KB, model.mt:11 16 KB, model.mt:12 8.2 KB

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt.h"
#include "mtrt_math.h"

#define real float
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

enum { B = 32, P = 16, H = 64, K = 5, L = 12 };
#endif

// Parameters: one block of 807,680 bytes; gradients lie the same way in another.
typedef struct {
  real *first_weight;   // (H, P)
  real *first_bias;     // (H)
  real *b_ln_weight;    // (L, H)
  real *b_ln_bias;      // (L, H)
  real *b_up_weight;    // (L, 128, H)
  real *b_up_bias;      // (L, 128)
  real *b_down_weight;  // (L, H, 128)
  real *b_down_bias;    // (L, H)
  real *last_weight;    // (K, H)
  real *last_bias;      // (K)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.first_weight = at + 0;
  p.first_bias = at + 1024;
  p.b_ln_weight = at + 1088;
  p.b_ln_bias = at + 1856;
  p.b_up_weight = at + 2624;
  p.b_up_bias = at + 100928;
  p.b_down_weight = at + 102464;
  p.b_down_bias = at + 200768;
  p.last_weight = at + 201536;
  p.last_bias = at + 201856;
  return p;
}

// model.mt:10  first.add = first.mm + first.bias
// reads 8.4 KB, writes 8.2 KB
static void first_map(real *restrict first_add, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < H; i++) {
      const real first_mm = first_add[row * H + i];
      first_add[row * H + i] = first_mm + bias[i];
    }
  }
}

// model.mt:7  b.ln.c.sub = h - sum(h) * 0.015625
// b.ln.add.2 = (h - b.ln.m.mean.div) * rsqrt(b.ln.add) * b.ln.weight + b.ln.bias
// fused 11 nodes of net.b.ln.m, net.b.ln.c, net.b.ln.v and 5 more: reads 8.7 KB, writes 16 KB; saves 75 KB
static void b_ln_c_rows(real *restrict c_sub, real *restrict ln_add_2, const real *restrict h,
                        const real *restrict weight, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
    for (int64_t i = 0; i < H; i++)
      mean_sum += h[row * H + i];
    const real mean_div = mean_sum * 0.015625f;
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < H; i++) {
      const real c_sub_at = h[row * H + i] - mean_div;
      sum += c_sub_at * c_sub_at;
      c_sub[row * H + i] = c_sub_at;
    }
    const real ln_rsqrt = 1 / sqrt(sum * 0.015625f + (real)1e-05);
#pragma omp simd
    for (int64_t i = 0; i < H; i++) {
      const real ln_lhs_mul = (h[row * H + i] - mean_div) * ln_rsqrt * weight[i];
      ln_add_2[row * H + i] = ln_lhs_mul + bias[i];
    }
  }
}

// model.mt:7  b.up.gelu.mul.2 = 0.5 * (b.up.mm + b.up.bias) * (1 + erf(b.up.add * 0.7071067811865476))
// reads 17 KB, writes 16 KB
static void b_up_gelu_map(real *restrict gelu_mul_2, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 128; i++) {
      const real up_mm = gelu_mul_2[row * 128 + i];
      const real up_add = up_mm + bias[i];
      const real gelu_mul_2_at = 0.5f * up_add * (1 + erf(up_add * (real)0.7071067811865476));
      gelu_mul_2[row * 128 + i] = gelu_mul_2_at;
    }
  }
}

// model.mt:7  h.b.add = h + (b.down.mm + b.down.bias)
// reads 17 KB, writes 8.2 KB
static void h_b_map(real *restrict b_add, const real *restrict h, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < H; i++) {
      const real down_mm = b_add[row * H + i];
      b_add[row * H + i] = h[row * H + i] + (down_mm + bias[i]);
    }
  }
}

// model.mt:17  loss.cross_entropy.norm.sum.2 = sum(loss.cross_entropy.norm.arg1.where)
// fused 3 nodes of loss.cross_entropy.kept, loss.cross_entropy.norm.arg1 and loss.cross_entropy.norm: reads
//   128 B, writes 4 B; saves 456 B; recomputes 4
static void loss_cross_entropy_norm_rows(real *restrict norm_sum_2, const int32_t *restrict y, int64_t rows) {
  real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t row = 0; row < rows; row++) {
    const int32_t y_at = y[row];
    sum += y_at != -100 ? y_at >= 0 && y_at < 5 ? 1 : 0 : 0;
  }
  norm_sum_2[0] = sum;
}

// model.mt:17  loss.cross_entropy.nll.where.2 = where(y != -100, -sum(loss.cross_entropy.nll.where), 0)
// d(loss.cross_entropy.logp.log_softmax.sub.add) = d(loss.cross_entropy.nll.mul.where) +
//   d(loss.cross_entropy.logp.log_softmax.sub.mul)
// fused 21 nodes of net.last, loss.cross_entropy.logp.log_softmax, loss.cross_entropy.hit and 9 more: reads
//   792 B, writes 768 B; saves 15 KB; recomputes 5
static void loss_cross_entropy_nll_rows(real *restrict nll_where_2, real *restrict d_log_softmax_sub_add,
                                        const int32_t *restrict y, const real *restrict bias,
                                        const real *restrict norm_sum_2, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real log_softmax_exp[K];
    const int32_t y_at = y[row];
    const bool kept_ne = y_at != -100;
    const real d_nll_sum_neg = -(kept_ne ? 1 / norm_sum_2[0] : 0);
    const real d_one = (y_at >= 0 && y_at < 5 ? -d_nll_sum_neg : 0) + 0;
    real log_softmax_max = -INFINITY;
    for (int64_t i = 0; i < K; i++) {
      const real last_mm = d_log_softmax_sub_add[row * K + i];
      log_softmax_max = mt_maximum(log_softmax_max, last_mm + bias[i]);
    }
    real log_softmax_sum = 0;
#pragma omp simd reduction(+ : log_softmax_sum)
    for (int64_t i = 0; i < K; i++) {
      const real last_mm = d_log_softmax_sub_add[row * K + i];
      log_softmax_exp[i] = exp(last_mm + bias[i] - log_softmax_max);
      log_softmax_sum += log_softmax_exp[i];
    }
    const real log_softmax_log = log(log_softmax_sum);
    const real d_log_softmax_sum_div = d_one / log_softmax_sum;
    real nll_sum = 0;
#pragma omp simd reduction(+ : nll_sum)
    for (int64_t i = 0; i < K; i++) {
      const bool hit_eq = i == y_at;
      const real last_mm = d_log_softmax_sub_add[row * K + i];
      const real log_softmax_sub_2 = last_mm + bias[i] - log_softmax_max - log_softmax_log;
      nll_sum += hit_eq ? log_softmax_sub_2 : 0;
      const real d_log_softmax_sub_add_at = (hit_eq ? d_nll_sum_neg : 0) + d_log_softmax_sum_div * log_softmax_exp[i];
      d_log_softmax_sub_add[row * K + i] = d_log_softmax_sub_add_at;
    }
    nll_where_2[row] = kept_ne ? -nll_sum : 0;
  }
}

// model.mt:17  loss.cross_entropy.div = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// loss.cross_entropy.div.copy = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// fused 3 nodes of loss.cross_entropy: reads 132 B, writes 8 B; saves 12 B
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

// model.mt:12  d(last.bias.sum) = sum(d(loss.cross_entropy.logp.log_softmax.sub.add))
// net.last.bias: reads 640 B, writes 20 B
static void d_last_bias_columns(real *restrict d_bias_sum, const real *restrict d_log_softmax_sub_add,
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

// model.mt:7  b.ln.rsqrt = rsqrt(sum(b.ln.c.sub.saved * b.ln.c.sub.saved) * 0.015625 + 1e-05)
// b.ln.add.2 = b.ln.c.sub.saved * rsqrt(b.ln.v.mean.div + 1e-05) * b.ln.weight + b.ln.bias
// d(b.ln.add.mul.2) = rsqrt(b.ln.add) * rsqrt(b.ln.add) * rsqrt(b.ln.v.mean.div + 1e-05)
// fused 10 nodes of net.b.ln.v and net.b.ln: reads 8.7 KB, writes 8.4 KB; saves 59 KB
static void b_ln_rows(real *restrict ln_rsqrt, real *restrict ln_add_2, real *restrict d_add_mul_2,
                      const real *restrict saved, const real *restrict weight, const real *restrict bias,
                      int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
    for (int64_t i = 0; i < H; i++) {
      const real saved_at = saved[row * H + i];
      mean_sum += saved_at * saved_at;
    }
    const real ln_rsqrt_at = 1 / sqrt(mean_sum * 0.015625f + (real)1e-05);
    ln_rsqrt[row] = ln_rsqrt_at;
    d_add_mul_2[row] = ln_rsqrt_at * ln_rsqrt_at * ln_rsqrt_at;
#pragma omp simd
    for (int64_t i = 0; i < H; i++) {
      const real ln_add_2_at = saved[row * H + i] * ln_rsqrt_at * weight[i] + bias[i];
      ln_add_2[row * H + i] = ln_add_2_at;
    }
  }
}

// model.mt:7  b.up.gelu.mul.2 = 0.5 * (b.up.mm + b.up.bias) * (1 + erf(b.up.add * 0.7071067811865476))
// d(b.up.add.add) = d(b.up.add.mul) + d(b.up.add.mul.2)
// reads 33 KB, writes 33 KB
static void b_up_gelu_map_2(real *restrict gelu_mul_2, real *restrict d_up_add_add,
                            const real *restrict bias, const real *restrict d_mul_2_mm, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 128; i++) {
      const real up_mm = gelu_mul_2[row * 128 + i];
      const real up_add = up_mm + bias[i];
      const real gelu_mul = 0.5f * up_add;
      const real arg1_mul = up_add * (real)0.7071067811865476;
      const real gelu_add = 1 + erf(arg1_mul);
      const real d_mul_2_mm_at = d_mul_2_mm[row * 128 + i];
      const real d_mul_mul_2 = d_mul_2_mm_at * gelu_mul * (real)1.1283791670955126;
      const real d_up_add_mul = d_mul_mul_2 * exp(-(arg1_mul * arg1_mul)) * (real)0.7071067811865476;
      gelu_mul_2[row * 128 + i] = gelu_mul * gelu_add;
      d_up_add_add[row * 128 + i] = d_up_add_mul + d_mul_2_mm_at * gelu_add * 0.5f;
    }
  }
}

// model.mt:7  d(b.up.bias.sum) = sum(d(b.up.add.add))
// net.b.up.bias: reads 16 KB, writes 512 B
static void d_b_up_bias_columns(real *restrict d_bias_sum, const real *restrict d_up_add_add, int64_t rows) {
  real sum[128] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 128; i++)
      sum[i] += d_up_add_add[row * 128 + i];
  }
#pragma omp simd
  for (int64_t i = 0; i < 128; i++)
    d_bias_sum[i] = sum[i];
}

// model.mt:7  d(h.add.2) = d(h) + d(b.ln.c.sub.add.2) + d(b.ln.m.mean.div.reshape) * 0.015625
// fused 15 nodes of net.b.ln, net.b.ln.c, net.b.ln.v and 5 more: reads 25 KB, writes 8.2 KB; saves 165 KB
static void d_h_rows(real *restrict d_h_add_2, const real *restrict d_h, const real *restrict d_add_2_mm,
                     const real *restrict weight, const real *restrict ln_rsqrt, const real *restrict saved,
                     const real *restrict d_add_mul_2, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real d_sub_add_2[H];
    const real ln_rsqrt_at = ln_rsqrt[row];
    const real d_add_mul_2_at = d_add_mul_2[row];
    real d_ln_rsqrt_reshape = 0;
#pragma omp simd reduction(+ : d_ln_rsqrt_reshape)
    for (int64_t i = 0; i < H; i++) {
      const real d_ln_rsqrt_mul = d_add_2_mm[row * H + i] * weight[i] * saved[row * H + i];
      d_ln_rsqrt_reshape += d_ln_rsqrt_mul;
    }
    const real d_mean_sum_div = d_ln_rsqrt_reshape * -0.5f * d_add_mul_2_at * 0.015625f;
    real d_mean_div_reshape = 0;
#pragma omp simd reduction(+ : d_mean_div_reshape)
    for (int64_t i = 0; i < H; i++) {
      const real d_c_sub_mul = d_add_2_mm[row * H + i] * weight[i] * ln_rsqrt_at;
      const real d_sub_mul_2 = d_mean_sum_div * saved[row * H + i];
      d_sub_add_2[i] = d_c_sub_mul + d_sub_mul_2 + d_sub_mul_2;
      d_mean_div_reshape += -d_sub_add_2[i];
    }
    const real d_mean_sum_div_at = d_mean_div_reshape * 0.015625f;
#pragma omp simd
    for (int64_t i = 0; i < H; i++) {
      const real d_h_add_2_at = d_h[row * H + i] + d_sub_add_2[i] + d_mean_sum_div_at;
      d_h_add_2[row * H + i] = d_h_add_2_at;
    }
  }
}

// model.mt:7  d(b.down.bias.sum) = sum(d(h))
// d(b.ln.bias.sum) = sum(d(b.ln.add.2.mm))
// d(b.ln.weight.sum) = sum(d(b.ln.add.2.mm) * (b.ln.c.sub.saved * b.ln.rsqrt))
// fused 4 nodes of net.b.down.bias, net.b.ln.bias and net.b.ln.weight: reads 25 KB, writes 768 B; saves 24
//   KB; recomputes 1
static void d_b_down_bias_columns(real *restrict d_bias_sum, real *restrict d_bias_sum_2,
                                  real *restrict d_weight_sum, const real *restrict d_h,
                                  const real *restrict d_add_2_mm, const real *restrict saved,
                                  const real *restrict ln_rsqrt, int64_t rows) {
  real sum[H] = {0};
  real sum_2[H] = {0};
  real sum_3[H] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < H; i++) {
      sum[i] += d_h[row * H + i];
      const real d_add_2_mm_at = d_add_2_mm[row * H + i];
      sum_2[i] += d_add_2_mm_at;
      const real d_weight_mul = d_add_2_mm_at * (saved[row * H + i] * ln_rsqrt[row]);
      sum_3[i] += d_weight_mul;
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < H; i++) {
    d_bias_sum[i] = sum[i];
    d_bias_sum_2[i] = sum_2[i];
    d_weight_sum[i] = sum_3[i];
  }
}

// model.mt:10  d(first.bias.sum) = sum(d(first.add))
// net.first.bias: reads 8.2 KB, writes 256 B
static void d_first_bias_columns(real *restrict d_bias_sum, const real *restrict d_first_add, int64_t rows) {
  real sum[H] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < H; i++)
      sum[i] += d_first_add[row * H + i];
  }
#pragma omp simd
  for (int64_t i = 0; i < H; i++)
    d_bias_sum[i] = sum[i];
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];                             // (B, P)
  const int32_t *y = (const int32_t *)batch[1];                       // (B)
  real *first_mm = AT(real, 0);                                       // (B, H)
  real *first_add = AT(real, 0);                                      // (B, H)
  real *b_ln_c_sub_saved = AT(real, 49152);                           // (L, B, H)
  real *b_ln_add_2 = AT(real, 8192);                                  // (B, H)
  real *b_up_mm = AT(real, 16384);                                    // (B, 128)
  real *b_up_gelu_mul_2 = AT(real, 16384);                            // (B, 128)
  real *h_last = AT(real, 40960);                                     // (B, H)
  real *h_last_second = AT(real, 32768);                              // (B, H)
  real *last_mm = AT(real, 0);                                        // (B, K)
  real *loss_cross_entropy_norm_sum_2 = AT(real, 768);                // ()
  real *loss_cross_entropy_nll_where_2 = AT(real, 1024);              // (B)
  real *d_loss_cross_entropy_logp_log_softmax_sub_add = AT(real, 0);  // (B, K)
  real *d_h_last_mm = AT(real, 768);                                  // (B, H)
  real *b_ln_rsqrt = AT(real, 147456);                                // (B, 1)
  real *b_ln_add_2_2 = AT(real, 147712);                              // (B, H)
  real *d_b_ln_add_mul_2 = AT(real, 155904);                          // (B, 1)
  real *d_b_up_gelu_mul_2_mm = AT(real, 156160);                      // (B, 128)
  real *b_up_mm_2 = AT(real, 172544);                                 // (B, 128)
  real *b_up_gelu_mul_2_2 = AT(real, 172544);                         // (B, 128)
  real *d_b_up_add_add = AT(real, 188928);                            // (B, 128)
  real *d_b_ln_add_2_mm = AT(real, 147712);                           // (B, H)
  real *d_first_add = AT(real, 8960);                                 // (B, H)
  real *d_first_add_second = AT(real, 205312);                        // (B, H)
  real *loss_cross_entropy_div = (real *)run->outputs + 0;            // ()
  real *loss_cross_entropy_div_copy = (real *)run->outputs + 1;       // ()

  // model.mt:10
  STEP(mt_gemm(run, MT_NT, rows, H, P, x, p.first_weight, first_mm));
  STEP(first_map(first_add, p.first_bias, rows));

  // model.mt:11
  const real *h = first_add;  // carried
  for (int64_t b = 0; b < L; b++) {
    real *b_ln_c_sub = b_ln_c_sub_saved + b * B * H;
    const real *b_ln_weight = p.b_ln_weight + b * H;
    const real *b_ln_bias = p.b_ln_bias + b * H;
    const real *b_up_weight = p.b_up_weight + b * 128 * H;
    const real *b_up_bias = p.b_up_bias + b * 128;
    const real *b_down_weight = p.b_down_weight + b * H * 128;
    real *b_down_mm = b % 2 ? h_last : h_last_second;
    real *h_b_add = b % 2 ? h_last : h_last_second;
    const real *b_down_bias = p.b_down_bias + b * H;

    // model.mt:7
    STEP(b_ln_c_rows(b_ln_c_sub, b_ln_add_2, h, b_ln_weight, b_ln_bias, rows));
    STEP(mt_gemm(run, MT_NT, rows, 128, H, b_ln_add_2, b_up_weight, b_up_mm));
    STEP(b_up_gelu_map(b_up_gelu_mul_2, b_up_bias, rows));
    STEP(mt_gemm(run, MT_NT, rows, H, 128, b_up_gelu_mul_2, b_down_weight, b_down_mm));
    STEP(h_b_map(h_b_add, h, b_down_bias, rows));
    h = h_b_add;
  }

  // model.mt:12
  STEP(mt_gemm(run, MT_NT, rows, K, H, h_last, p.last_weight, last_mm));

  // model.mt:17
  STEP(loss_cross_entropy_norm_rows(loss_cross_entropy_norm_sum_2, y, rows));
  STEP(loss_cross_entropy_nll_rows(loss_cross_entropy_nll_where_2,
                                   d_loss_cross_entropy_logp_log_softmax_sub_add, y, p.last_bias,
                                   loss_cross_entropy_norm_sum_2, rows));
  STEP(loss_cross_entropy_rows(loss_cross_entropy_div, loss_cross_entropy_div_copy,
                               loss_cross_entropy_nll_where_2, loss_cross_entropy_norm_sum_2, rows));

  // model.mt:12, backward
  STEP(d_last_bias_columns(d.last_bias, d_loss_cross_entropy_logp_log_softmax_sub_add, rows));
  STEP(mt_gemm(run, MT_NN, rows, H, K, d_loss_cross_entropy_logp_log_softmax_sub_add, p.last_weight,
               d_h_last_mm));
  STEP(mt_gemm(run, MT_TN, K, H, rows, d_loss_cross_entropy_logp_log_softmax_sub_add, h_last,
               d.last_weight));

  // model.mt:11, backward
  const real *d_h = d_h_last_mm;  // carried
  for (int64_t b = L - 1; b >= 0; b--) {
    const real *b_ln_c_sub_saved_2 = b_ln_c_sub_saved + b * B * H;
    const real *b_ln_weight_2 = p.b_ln_weight + b * H;
    const real *b_ln_bias_2 = p.b_ln_bias + b * H;
    const real *b_down_weight_2 = p.b_down_weight + b * H * 128;
    const real *b_up_weight_2 = p.b_up_weight + b * 128 * H;
    const real *b_up_bias_2 = p.b_up_bias + b * 128;
    real *d_b_down_weight_transpose = d.b_down_weight + b * H * 128;
    real *d_b_up_weight_transpose = d.b_up_weight + b * 128 * H;
    real *d_b_up_bias_sum = d.b_up_bias + b * 128;
    real *d_h_add_2 = b % 2 ? d_first_add_second : d_first_add;
    real *d_b_down_bias_sum = d.b_down_bias + b * H;
    real *d_b_ln_bias_sum = d.b_ln_bias + b * H;
    real *d_b_ln_weight_sum = d.b_ln_weight + b * H;

    // model.mt:7
    STEP(b_ln_rows(b_ln_rsqrt, b_ln_add_2_2, d_b_ln_add_mul_2, b_ln_c_sub_saved_2, b_ln_weight_2,
                   b_ln_bias_2, rows));

    // model.mt:7, backward
    STEP(mt_gemm(run, MT_NN, rows, 128, H, d_h, b_down_weight_2, d_b_up_gelu_mul_2_mm));

    // model.mt:7
    STEP(mt_gemm(run, MT_NT, rows, 128, H, b_ln_add_2_2, b_up_weight_2, b_up_mm_2));
    STEP(b_up_gelu_map_2(b_up_gelu_mul_2_2, d_b_up_add_add, b_up_bias_2, d_b_up_gelu_mul_2_mm, rows));

    // model.mt:7, backward
    STEP(mt_gemm(run, MT_TN, H, 128, rows, d_h, b_up_gelu_mul_2_2, d_b_down_weight_transpose));
    STEP(mt_gemm(run, MT_TN, 128, H, rows, d_b_up_add_add, b_ln_add_2_2, d_b_up_weight_transpose));
    STEP(d_b_up_bias_columns(d_b_up_bias_sum, d_b_up_add_add, rows));
    STEP(mt_gemm(run, MT_NN, rows, H, 128, d_b_up_add_add, b_up_weight_2, d_b_ln_add_2_mm));
    STEP(d_h_rows(d_h_add_2, d_h, d_b_ln_add_2_mm, b_ln_weight_2, b_ln_rsqrt, b_ln_c_sub_saved_2,
                  d_b_ln_add_mul_2, rows));
    STEP(d_b_down_bias_columns(d_b_down_bias_sum, d_b_ln_bias_sum, d_b_ln_weight_sum, d_h, d_b_ln_add_2_mm,
                               b_ln_c_sub_saved_2, b_ln_rsqrt, rows));
    d_h = d_h_add_2;
  }

  // model.mt:10, backward
  STEP(d_first_bias_columns(d.first_bias, d_first_add, rows));
  STEP(mt_gemm(run, MT_TN, H, P, rows, d_first_add, x, d.first_weight));
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.001 * s->lr_scale;  // lr
  s->hyper[0][1] = 0.9;                 // beta1
  s->hyper[0][2] = 0.999;               // beta2
  s->hyper[0][3] = 1e-08;               // eps
  s->hyper[0][4] = 0.01;                // decay
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static void train_update(MtRun *run, const MtEnd *end) {
  mt_check_gradients(run, end, 0, 201920);
  schedule(run->scalars);
  // net using adamw:
  //   p = p * (1 - lr * decay)
  //   m = beta1 * m + (1 - beta1) * g
  //   v = beta2 * v + (1 - beta2) * g * g
  //   p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)
  mt_adamw(run, 0, 0, 201861);
  mt_finish(run, end);
}

static void train_gradients_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"net.first.weight",  2, {H, P},      0,      MT_UNIFORM,  -0.25,                0.25,                "model.mt:10", NULL},
  {"net.first.bias",    1, {H},         1024,   MT_UNIFORM,  -0.25,                0.25,                "model.mt:10", NULL},
  {"net.b.ln.weight",   2, {L, H},      1088,   MT_CONSTANT, 1,                    0,                   "model.mt:7",  "net.b.#.ln.weight"},
  {"net.b.ln.bias",     2, {L, H},      1856,   MT_CONSTANT, 0,                    0,                   "model.mt:7",  "net.b.#.ln.bias"},
  {"net.b.up.weight",   3, {L, 128, H}, 2624,   MT_UNIFORM,  -0.125,               0.125,               "model.mt:7",  "net.b.#.up.weight"},
  {"net.b.up.bias",     2, {L, 128},    100928, MT_UNIFORM,  -0.125,               0.125,               "model.mt:7",  "net.b.#.up.bias"},
  {"net.b.down.weight", 3, {L, H, 128}, 102464, MT_UNIFORM,  -0.08838834764831843, 0.08838834764831843, "model.mt:7",  "net.b.#.down.weight"},
  {"net.b.down.bias",   2, {L, H},      200768, MT_UNIFORM,  -0.08838834764831843, 0.08838834764831843, "model.mt:7",  "net.b.#.down.bias"},
  {"net.last.weight",   2, {K, H},      201536, MT_UNIFORM,  -0.125,               0.125,               "model.mt:12", NULL},
  {"net.last.bias",     1, {K},         201856, MT_UNIFORM,  -0.125,               0.125,               "model.mt:12", NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField points_fields[] = {
  {"x", MT_F32, 1, {P}, 0, 0, 0},
  {"y", MT_I32, 0, {0}, 0, 5, -100},
};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"points", MT_RANDOM, 0, NULL, 2, points_fields, 32, false, 256, 1, 0, "model.mt:4"},
};

static const MtLog train_logs[] = {
  {"loss", 1},
};
// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"net", "adamw", 2, {"m", "v"}, 0, 201861, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {0,   "net.first.mm",                                             "model.mt:10", MT_IN_ARENA,   0,      2048,  64, 0},
  {1,   "net.first.add",                                            "model.mt:10", MT_IN_ARENA,   0,      2048,  64, 0},
  {61,  "net.h.last",                                               "model.mt:11", MT_IN_ARENA,   40960,  2048,  64, 0},
  {62,  "net.last.mm",                                              "model.mt:12", MT_IN_ARENA,   0,      160,   5,  0},
  {63,  "loss.cross_entropy.norm.sum.2",                            "model.mt:17", MT_IN_ARENA,   768,    1,     0,  MT_OF_DATA},
  {64,  "loss.cross_entropy.nll.where.2",                           "model.mt:17", MT_IN_ARENA,   1024,   32,    1,  0},
  {64,  "grad.update0.loss.cross_entropy.logp.log_softmax.sub.add", "model.mt:17", MT_IN_ARENA,   0,      160,   5,  0},
  {65,  "loss.cross_entropy.div",                                   "model.mt:17", MT_IN_OUTPUTS, 0,      1,     0,  0},
  {65,  "loss.cross_entropy.div.copy",                              "model.mt:17", MT_IN_OUTPUTS, 1,      1,     0,  0},
  {66,  "grad.update0.net.last.bias.sum",                           "model.mt:12", MT_IN_GRADS,   201856, 5,     0,  0},
  {67,  "grad.update0.net.h.last.mm",                               "model.mt:12", MT_IN_ARENA,   768,    2048,  64, 0},
  {68,  "grad.update0.net.last.weight.transpose",                   "model.mt:12", MT_IN_GRADS,   201536, 320,   0,  0},
  {188, "grad.update0.net.first.add",                               "model.mt:11", MT_IN_ARENA,   8960,   2048,  64, 0},
  {188, "grad.update0.net.b.ln.weight",                             "model.mt:11", MT_IN_GRADS,   1088,   768,   0,  0},
  {188, "grad.update0.net.b.ln.bias",                               "model.mt:11", MT_IN_GRADS,   1856,   768,   0,  0},
  {188, "grad.update0.net.b.up.weight",                             "model.mt:11", MT_IN_GRADS,   2624,   98304, 0,  0},
  {188, "grad.update0.net.b.up.bias",                               "model.mt:11", MT_IN_GRADS,   100928, 1536,  0,  0},
  {188, "grad.update0.net.b.down.weight",                           "model.mt:11", MT_IN_GRADS,   102464, 98304, 0,  0},
  {188, "grad.update0.net.b.down.bias",                             "model.mt:11", MT_IN_GRADS,   200768, 768,   0,  0},
  {189, "grad.update0.net.first.bias.sum",                          "model.mt:10", MT_IN_GRADS,   1024,   64,    0,  0},
  {190, "grad.update0.net.first.weight.transpose",                  "model.mt:10", MT_IN_GRADS,   0,      1024,  0,  0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, train_gradients_f64, train_update, 1, 0, 0, 201920, 0, 1, 0, 1, 191, 21, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"mt_adamw",                     1,  5.652e+06, 3.755e+07, 9.397e-05},
  {"gemm 32 x 128 x 64 f32",       36, 2.064e+06, 1.887e+07, 4.679e-05},
  {"gemm 32 x 64 x 128 f32",       24, 1.376e+06, 1.258e+07, 3.119e-05},
  {"gemm 64 x 128 x 32 f32",       12, 6.881e+05, 6.291e+06, 1.56e-05},
  {"gemm 128 x 64 x 32 f32",       12, 6.881e+05, 6.291e+06, 1.56e-05},
  {"b_up_gelu_map_2",              12, 7.926e+05, 4.129e+06, 1.152e-05},
  {"b_up_gelu_map",                12, 3.994e+05, 2.458e+06, 7.344e-06},
  {"mt_check_gradients",           1,  8.077e+05, 0,         2.985e-06},
  {"d_h_rows",                     12, 3.994e+05, 5.437e+05, 2.626e-06},
  {"d_b_down_bias_columns",        12, 3.057e+05, 2.458e+05, 2.292e-06},
  {"b_ln_c_rows",                  12, 3.011e+05, 3.617e+05, 2.275e-06},
  {"h_b_map",                      12, 2.98e+05,  9.83e+04,  2.264e-06},
  {"b_ln_rows",                    12, 2.058e+05, 2.642e+05, 1.935e-06},
  {"d_b_up_bias_columns",          12, 2.028e+05, 9.83e+04,  1.924e-06},
  {"gemm 32 x 64 x 16 f32",        1,  1.434e+04, 6.554e+04, 2.5e-07},
  {"gemm 64 x 16 x 32 f32",        1,  1.434e+04, 6.554e+04, 2.5e-07},
  {"first_map",                    1,  1.664e+04, 4096,      1.594e-07},
  {"gemm 32 x 5 x 64 f32",         1,  1.011e+04, 2.048e+04, 1.469e-07},
  {"gemm 32 x 64 x 5 f32",         1,  1.011e+04, 2.048e+04, 1.469e-07},
  {"gemm 5 x 64 x 32 f32",         1,  1.011e+04, 2.048e+04, 1.469e-07},
  {"d_first_bias_columns",         1,  8448,      4096,      1.302e-07},
  {"loss_cross_entropy_nll_rows",  1,  1560,      8616,      1.225e-07},
  {"d_last_bias_columns",          1,  660,       320,       1.024e-07},
  {"loss_cross_entropy_norm_rows", 1,  132,       448,       1.011e-07},
  {"loss_cross_entropy_rows",      1,  140,       106,       1.005e-07},
};
static const MtTrain train = {
  0,                                 // data: points
  false,                             // shuffled
  0,                                 // seed of the shuffling
  2, MT_EPOCHS,                      // how long
  1,                                 // micro-batches an update
  false,                             // matrix products in TF32
  1, train_phases,                   // a step, from update to update
  {213504, 2},                       // bytes of its arena, elements of its outputs
  1, train_logs,                     // logs
  1, train_groups,                   // update groups
  0, NULL,                           // what happens every so often
  25, train_costs,                   // what a step costs
  "two CPU cores with AVX-512",      // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cpu,                           // what it runs on
  10, 0, 1, 0,                       // parameters, states, data sets, evals
  201920, 0,                         // elements of the two blocks
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
#define first_map first_map_f64
#define b_ln_c_rows b_ln_c_rows_f64
#define b_up_gelu_map b_up_gelu_map_f64
#define h_b_map h_b_map_f64
#define loss_cross_entropy_norm_rows loss_cross_entropy_norm_rows_f64
#define loss_cross_entropy_nll_rows loss_cross_entropy_nll_rows_f64
#define loss_cross_entropy_rows loss_cross_entropy_rows_f64
#define d_last_bias_columns d_last_bias_columns_f64
#define b_ln_rows b_ln_rows_f64
#define b_up_gelu_map_2 b_up_gelu_map_2_f64
#define d_b_up_bias_columns d_b_up_bias_columns_f64
#define d_h_rows d_h_rows_f64
#define d_b_down_bias_columns d_b_down_bias_columns_f64
#define d_first_bias_columns d_first_bias_columns_f64
#define train_gradients train_gradients_f64
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
#endif
