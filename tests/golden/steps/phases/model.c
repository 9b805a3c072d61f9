// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 21 KB:
//   parameters 2.6 KB, gradients 2.6 KB, optimizer 7.7 KB, states 1.5 KB, batches 80 B, data 320 B, results 20 B, step 6.7 KB
// Most values of a step at once: model.mt:5 3.1 KB, model.mt:9 2.8 KB, model.mt:16 512 B, model.mt:6 256 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt.h"
#include "mtrt_math.h"

#define real float
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

enum { B = 4, P = 3, Z = 2 };
#endif

// Parameters: one block of 2,560 bytes; gradients lie the same way in another.
typedef struct {
  real *G_fc1_weight;  // (5, Z)
  real *G_fc1_bias;    // (5)
  real *G_bn_weight;   // (5)
  real *G_bn_bias;     // (5)
  real *G_fc2_weight;  // (P, 5)
  real *G_fc2_bias;    // (P)
  real *D_fc1_weight;  // (5, P)
  real *D_fc1_bias;    // (5)
  real *D_fc2_weight;  // (1, 5)
  real *D_fc2_bias;    // (1)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.G_fc1_weight = at + 256;
  p.G_fc1_bias = at + 320;
  p.G_bn_weight = at + 384;
  p.G_bn_bias = at + 448;
  p.G_fc2_weight = at + 512;
  p.G_fc2_bias = at + 576;
  p.D_fc1_weight = at + 0;
  p.D_fc1_bias = at + 64;
  p.D_fc2_weight = at + 128;
  p.D_fc2_bias = at + 192;
  return p;
}

// model.mt:5  G.bn.m.mean.div = sum(G.fc1.mm + G.fc1.bias) / f32(rows)
// G.bn.v.var.mean.div = sum(G.fc1.mm + G.fc1.bias) / f32(rows)
// G.bn.running_mean.add = 0.9 * G.bn.running_mean + 0.1 * G.bn.m.mean.div
// fused 7 nodes of G.bn.m, G.bn.v and G.bn.running_mean: reads 120 B, writes 60 B; saves 240 B; recomputes
//   1
static void G_bn_m_mean_columns(real *restrict mean_div, real *restrict mean_div_2,
                                real *restrict running_mean_add, const real *restrict fc1_mm,
                                const real *restrict bias, const real *restrict running_mean, int64_t rows) {
  real bias_at[5];
  real mean_sum[5] = {0};
  real mean_cast[5];
  real sum[5] = {0};
  real running_mean_mul[5];
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    bias_at[i] = bias[i];
    mean_cast[i] = (real)rows;
    running_mean_mul[i] = (real)0.9 * running_mean[i];
  }
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real fc1_add = fc1_mm[row * 5 + i] + bias_at[i];
      mean_sum[i] += fc1_add;
      sum[i] += fc1_add;
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    const real mean_div_at = mean_sum[i] / mean_cast[i];
    mean_div[i] = mean_div_at;
    mean_div_2[i] = sum[i] / mean_cast[i];
    running_mean_add[i] = running_mean_mul[i] + (real)0.1 * mean_div_at;
  }
}

// model.mt:5  G.bn.v.var.sub = G.fc1.mm + G.fc1.bias - G.bn.v.var.mean.div
// G.bn.v: reads 120 B, writes 80 B; recomputes 1
static void G_bn_v_var_map(real *restrict var_sub, const real *restrict fc1_mm, const real *restrict bias,
                           const real *restrict mean_div, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++)
      var_sub[row * 5 + i] = fc1_mm[row * 5 + i] + bias[i] - mean_div[i];
  }
}

// model.mt:5  G.bn.running_var.add = G.bn.running_var.mul + G.bn.running_var.rhs.mul
// G.bn.y.rsqrt = rsqrt(sum(G.bn.v.var.sub * G.bn.v.var.sub) / f32(rows) + 1e-05)
// fused 9 nodes of G.bn.v, G.bn.running_var and G.bn.y: reads 100 B, writes 40 B; saves 420 B
static void G_bn_running_var_columns(real *restrict running_var_add, real *restrict y_rsqrt,
                                     const real *restrict running_var, const real *restrict var_sub,
                                     int64_t rows) {
  real running_var_mul[5];
  real var_sum[5] = {0};
  real mean_cast[5];
  real running_var_div[5];
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    running_var_mul[i] = (real)0.9 * running_var[i];
    mean_cast[i] = (real)rows;
    running_var_div[i] = mean_cast[i] / mt_maximum(mean_cast[i] - 1, (real)1);
  }
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real var_sub_at = var_sub[row * 5 + i];
      var_sum[i] += var_sub_at * var_sub_at;
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    const real var_div = var_sum[i] / mean_cast[i];
    const real running_var_add_at = running_var_mul[i] + (real)0.1 * var_div * running_var_div[i];
    running_var_add[i] = running_var_add_at;
    y_rsqrt[i] = 1 / sqrt(var_div + (real)1e-05);
  }
}

// model.mt:5  G.bn.y.sub = G.fc1.mm + G.fc1.bias - G.bn.m.mean.div
// G.bn.y.mul = (G.fc1.mm + G.fc1.bias - G.bn.m.mean.div) * G.bn.y.rsqrt
// G.bn.tanh = tanh((G.fc1.add - G.bn.m.mean.div) * G.bn.y.rsqrt * G.bn.weight + G.bn.bias)
// and 1 more results
// reads 280 B, writes 320 B
static void G_bn_y_map(real *restrict y_sub, real *restrict y_mul, real *restrict bn_tanh,
                       real *restrict fc1_tanh, const real *restrict fc1_mm, const real *restrict bias,
                       const real *restrict mean_div, const real *restrict y_rsqrt,
                       const real *restrict weight, const real *restrict bias_2, const real *restrict bias_3,
                       int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real y_sub_at = fc1_mm[row * 5 + i] + bias[i] - mean_div[i];
      const real y_mul_at = y_sub_at * y_rsqrt[i];
      const real fc1_mm_2 = y_sub[row * 5 + i];
      y_sub[row * 5 + i] = y_sub_at;
      y_mul[row * 5 + i] = y_mul_at;
      bn_tanh[row * 5 + i] = tanh(y_mul_at * weight[i] + bias_2[i]);
      fc1_tanh[row * 5 + i] = tanh(fc1_mm_2 + bias_3[i]);
    }
  }
}

// model.mt:5  G.fc2.add = G.fc2.mm + G.fc2.bias
// reads 60 B, writes 48 B
static void G_fc2_map(real *restrict fc2_add, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < P; i++) {
      const real fc2_mm = fc2_add[row * P + i];
      fc2_add[row * P + i] = fc2_mm + bias[i];
    }
  }
}

// model.mt:6  D.fc1.tanh.2 = tanh(loss.D.fc1.mm + D.fc1.bias)
// called 2 times
// reads 100 B, writes 80 B
static void D_fc1_map(real *restrict fc1_tanh_2, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real fc1_mm = fc1_tanh_2[row * 5 + i];
      fc1_tanh_2[row * 5 + i] = tanh(fc1_mm + bias[i]);
    }
  }
}

// model.mt:13  loss.rhs.arg1.softplus.add = maximum(D.fc1.fc2.add, 0) + log1p(loss.rhs.arg1.softplus.exp)
// d(D.fc1.fc2.add.add) = d(D.fc1.fc2.add.mul) + d(D.fc1.fc2.add.where.2)
// d(D.fc2.add.neg) = -(d(loss.neg.mul) + d(loss.neg.where.2))
// fused 35 nodes of D.fc2, loss, loss.softplus and 18 more: reads 36 B, writes 48 B; saves 1.1 KB
static void loss_rhs_arg1_softplus_map(real *restrict softplus_add, real *restrict d_fc2_add_add,
                                       real *restrict d_fc2_add_neg, const real *restrict bias,
                                       const real *restrict fc2_mm, int64_t rows) {
#pragma omp simd
  for (int64_t row = 0; row < rows; row++) {
    const real fc2_mm_2 = softplus_add[row];
    const real bias_at = bias[0];
    const real fc2_add = fc2_mm_2 + bias_at;
    const real softplus_exp = exp(-fabs(fc2_add));
    const real softplus_add_at = mt_maximum(fc2_add, (real)0) + log1p(softplus_exp);
    const real d_mean_sum_div = 1 / (real)rows;
    const real d_softplus_neg_mul = d_mean_sum_div / (softplus_exp + 1) * softplus_exp;
    const real d_fc2_add_mul = -d_softplus_neg_mul * ((fc2_add > 0) - (fc2_add < 0));
    const real d_small = d_mean_sum_div * 0.5f;
    const real d_add_where_2 = fc2_add < 0 ? 0 : fc2_add == 0 ? d_small : d_mean_sum_div;
    const real fc2_add_at = fc2_mm[row] + bias_at;
    const real softplus_exp_at = exp(-fabs(fc2_add_at));
    const real d_softplus_neg_mul_at = d_mean_sum_div / (softplus_exp_at + 1) * softplus_exp_at;
    const real loss_neg = -fc2_add_at;
    const real d_loss_neg_mul = -d_softplus_neg_mul_at * ((loss_neg > 0) - (loss_neg < 0));
    const real d_neg_where_2 = loss_neg < 0 ? 0 : loss_neg == 0 ? d_small : d_mean_sum_div;
    softplus_add[row] = softplus_add_at;
    d_fc2_add_add[row] = d_fc2_add_mul + d_add_where_2;
    d_fc2_add_neg[row] = -(d_loss_neg_mul + d_neg_where_2);
  }
}

// model.mt:13  loss.mean.sum.rest = sum(maximum(-D.fc2.add, 0) + log1p(exp(loss.softplus.neg)))
// loss.rhs.mean.sum.rest = sum(loss.rhs.arg1.softplus.add)
// d(D.fc2.bias.add) = sum(d(D.fc1.fc2.add.add)) + sum(-d(loss.neg.add))
// fused 8 nodes of loss.softplus, loss.mean.sum.rest, loss.rhs.mean.sum.rest and 3 more: reads 52 B, writes
//   12 B; saves 140 B; recomputes 17
static void loss_mean_sum_rest_rows(real *restrict rest, real *restrict rest_2, real *restrict d_bias_add,
                                    const real *restrict fc2_mm, const real *restrict bias,
                                    const real *restrict softplus_add, const real *restrict d_fc2_add_add,
                                    int64_t rows) {
  const real bias_at = bias[0];
  const real d_mean_sum_div = 1 / (real)rows;
  const real d_small = d_mean_sum_div * 0.5f;
  real sum = 0;
  real sum_2 = 0;
  real d_bias_sum = 0;
  real d_bias_sum_2 = 0;
#pragma omp simd reduction(+ : sum, sum_2, d_bias_sum, d_bias_sum_2)
  for (int64_t row = 0; row < rows; row++) {
    const real fc2_add = fc2_mm[row] + bias_at;
    const real loss_neg = -fc2_add;
    const real softplus_exp = exp(-fabs(fc2_add));
    const real softplus_add_at = mt_maximum(loss_neg, (real)0) + log1p(softplus_exp);
    sum += softplus_add_at;
    sum_2 += softplus_add[row];
    d_bias_sum += d_fc2_add_add[row];
    const real d_softplus_neg_mul = d_mean_sum_div / (softplus_exp + 1) * softplus_exp;
    const real d_loss_neg_mul = -d_softplus_neg_mul * ((loss_neg > 0) - (loss_neg < 0));
    const real d_neg_where_2 = loss_neg < 0 ? 0 : loss_neg == 0 ? d_small : d_mean_sum_div;
    d_bias_sum_2 += -(d_loss_neg_mul + d_neg_where_2);
  }
  rest[0] = sum;
  rest_2[0] = sum_2;
  d_bias_add[0] = d_bias_sum + d_bias_sum_2;
}

// model.mt:5  G.bn.num_batches_tracked.add = G.bn.num_batches_tracked + 1
// loss.add = loss.mean.div + loss.rhs.mean.div
// fused 4 nodes of G.bn.num_batches_tracked and loss: reads 12 B, writes 8 B; saves 16 B
static void G_bn_num_batches_tracked_map(real *restrict num_batches_tracked_add, real *restrict loss_add,
                                         const real *restrict num_batches_tracked, const real *restrict rest,
                                         const real *restrict rest_2, int64_t rows) {
  const real mean_cast = (real)rows;
  num_batches_tracked_add[0] = num_batches_tracked[0] + 1;
  loss_add[0] = rest[0] / mean_cast + rest_2[0] / mean_cast;
}

// model.mt:6  d(loss.D.fc1.add.mul.2) = d(D.fc1.tanh.2.mm) * (1 - D.fc1.tanh.2 * D.fc1.tanh.2)
// d(D.fc1.add.mul.2) = d(D.fc1.tanh.mm) * (1 - D.fc1.tanh * D.fc1.tanh)
// called 2 times
// reads 320 B, writes 160 B
static void d_add_map(real *restrict d_add_mul_2, real *restrict d_add_mul_2_2,
                      const real *restrict fc1_tanh_2, const real *restrict d_fc1_tanh_mm,
                      const real *restrict fc1_tanh, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * 5; i++) {
    const real d_tanh_2_mm = d_add_mul_2[i];
    const real fc1_tanh_2_at = fc1_tanh_2[i];
    const real d_add_mul_2_at = d_tanh_2_mm * (1 - fc1_tanh_2_at * fc1_tanh_2_at);
    const real fc1_tanh_at = fc1_tanh[i];
    const real d_add_mul_2_at_2 = d_fc1_tanh_mm[i] * (1 - fc1_tanh_at * fc1_tanh_at);
    d_add_mul_2[i] = d_add_mul_2_at;
    d_add_mul_2_2[i] = d_add_mul_2_at_2;
  }
}

// model.mt:6  d(D.fc2.weight.transpose.copy) = d(D.fc2.transpose.mm) + d(D.fc2.transpose.mm.2)
// D.fc2.weight: reads 40 B, writes 20 B; recomputes 1
static void d_D_fc2_weight_map(real *restrict d_weight_transpose_copy,
                               const real *restrict d_fc2_transpose_mm,
                               const real *restrict d_transpose_mm_2) {
#pragma omp simd
  for (int64_t i = 0; i < 5; i++)
    d_weight_transpose_copy[i] = d_fc2_transpose_mm[i] + d_transpose_mm_2[i];
}

// model.mt:6  d(D.fc1.bias.add) = sum(d(loss.D.fc1.add.mul.2)) + sum(d(D.fc1.add.mul.2))
// called 2 times
// fused 3 nodes of D.fc1.bias: reads 160 B, writes 20 B; saves 80 B
static void d_fc1_bias_columns(real *restrict d_bias_add, const real *restrict d_add_mul_2,
                               const real *restrict d_add_mul_2_2, int64_t rows) {
  real d_bias_sum[5] = {0};
  real d_bias_sum_2[5] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      d_bias_sum[i] += d_add_mul_2[row * 5 + i];
      d_bias_sum_2[i] += d_add_mul_2_2[row * 5 + i];
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 5; i++)
    d_bias_add[i] = d_bias_sum[i] + d_bias_sum_2[i];
}

// model.mt:6  d(D.fc1.transpose.add) = d(D.fc1.transpose.mm) + d(D.fc1.transpose.mm.2)
// called 2 times
// reads 120 B, writes 60 B
static void d_transpose_map(real *restrict d_fc1_transpose_add, const real *restrict d_transpose_mm_2) {
#pragma omp simd
  for (int64_t i = 0; i < 15; i++) {
    const real d_fc1_transpose_mm = d_fc1_transpose_add[i];
    d_fc1_transpose_add[i] = d_fc1_transpose_mm + d_transpose_mm_2[i];
  }
}

// model.mt:12  before.pow = D.fc1.weight * D.fc1.weight
// d(D.fc1.weight.transpose.copy) = d(D.fc1.transpose.add)
// fused 2 nodes of before and D.fc1.weight: reads 120 B, writes 120 B
static void before_map(real *restrict before_pow, real *restrict d_weight_transpose_copy,
                       const real *restrict weight, const real *restrict d_fc1_transpose_add) {
  for (int64_t i = 0; i < 5; i++) {
#pragma omp simd
    for (int64_t j = 0; j < P; j++) {
      const real weight_at = weight[i * P + j];
      before_pow[i * P + j] = weight_at * weight_at;
      d_weight_transpose_copy[i * P + j] = d_fc1_transpose_add[j * 5 + i];
    }
  }
}

// model.mt:19  moved.sub = sum(D.fc1.weight.2 * D.fc1.weight.2) - sum(before.pow)
// fused 4 nodes of before and moved: reads 120 B, writes 4 B; saves 136 B
static void moved_rows(real *restrict moved_sub, const real *restrict weight_2,
                       const real *restrict before_pow) {
  real moved_sum = 0;
  real before_sum = 0;
#pragma omp simd reduction(+ : moved_sum, before_sum)
  for (int64_t i = 0; i < 15; i++) {
    const real weight_2_at = weight_2[i];
    moved_sum += weight_2_at * weight_2_at;
    before_sum += before_pow[i];
  }
  moved_sub[0] = moved_sum - before_sum;
}

// model.mt:15  fooled.neg = -(D.fc1.fc2.2.mm + D.fc2.bias.2)
// fooled.softplus.exp = exp(-abs(D.fc1.fc2.2.mm + D.fc2.bias.2))
// fused 5 nodes of D.fc1.fc2, fooled and fooled.softplus: reads 20 B, writes 32 B; saves 112 B
static void fooled_map(real *restrict fooled_neg, real *restrict softplus_exp, const real *restrict fc2_2_mm,
                       const real *restrict bias_2, int64_t rows) {
#pragma omp simd
  for (int64_t row = 0; row < rows; row++) {
    const real fc2_2_add = fc2_2_mm[row] + bias_2[0];
    fooled_neg[row] = -fc2_2_add;
    softplus_exp[row] = exp(-fabs(fc2_2_add));
  }
}

// model.mt:15  fooled.mean.sum.rest = sum(maximum(fooled.neg, 0) + log1p(fooled.softplus.exp))
// fused 4 nodes of fooled.softplus and fooled.mean.sum.rest: reads 32 B, writes 4 B; saves 96 B
static void fooled_mean_sum_rest_rows(real *restrict rest, const real *restrict fooled_neg,
                                      const real *restrict softplus_exp, int64_t rows) {
  real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t row = 0; row < rows; row++) {
    const real softplus_add = mt_maximum(fooled_neg[row], (real)0) + log1p(softplus_exp[row]);
    sum += softplus_add;
  }
  rest[0] = sum;
}

// model.mt:15  fooled.mean.div = fooled.mean.sum.rest / f32(rows)
// fooled: reads 4 B, writes 4 B
static void fooled_mean_map(real *restrict mean_div, const real *restrict rest, int64_t rows) {
  mean_div[0] = rest[0] / (real)rows;
}

// model.mt:16  loss.rhs.rhs.arg1.lhs.arg1.add = z + 1
// loss.rhs.rhs.arg1.lhs.arg1: reads 32 B, writes 32 B
static void rhs_arg1_lhs_arg1_map(real *restrict arg1_add, const real *restrict z, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * Z; i++)
    arg1_add[i] = z[i] + 1;
}

// model.mt:5  loss.G.fc1.add = loss.G.fc1.mm + G.fc1.bias
// reads 100 B, writes 80 B
static void loss_G_fc1_map(real *restrict fc1_add, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real fc1_mm = fc1_add[row * 5 + i];
      fc1_add[row * 5 + i] = fc1_mm + bias[i];
    }
  }
}

// model.mt:5  G.fc1.bn.m.mean.div = sum(loss.G.fc1.add) / f32(rows)
// G.fc1.bn.v.var.mean.div = sum(loss.G.fc1.add) / f32(rows)
// G.fc1.bn.running_mean.add = 0.9 * G.bn.running_mean.2 + 0.1 * G.fc1.bn.m.mean.div
// fused 7 nodes of G.fc1.bn.m, G.fc1.bn.v and G.fc1.bn.running_mean: reads 100 B, writes 60 B; saves 260 B
static void fc1_bn_m_mean_columns(real *restrict mean_div, real *restrict mean_div_2,
                                  real *restrict running_mean_add, const real *restrict fc1_add,
                                  const real *restrict running_mean_2, int64_t rows) {
  real mean_sum[5] = {0};
  real mean_cast[5];
  real sum[5] = {0};
  real running_mean_mul[5];
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    mean_cast[i] = (real)rows;
    running_mean_mul[i] = (real)0.9 * running_mean_2[i];
  }
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real fc1_add_at = fc1_add[row * 5 + i];
      mean_sum[i] += fc1_add_at;
      sum[i] += fc1_add_at;
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    const real mean_div_at = mean_sum[i] / mean_cast[i];
    mean_div[i] = mean_div_at;
    mean_div_2[i] = sum[i] / mean_cast[i];
    running_mean_add[i] = running_mean_mul[i] + (real)0.1 * mean_div_at;
  }
}

// model.mt:5  G.fc1.bn.running_var.add = G.fc1.bn.running_var.mul + G.fc1.bn.running_var.rhs.mul
// G.fc1.bn.y.rsqrt = rsqrt(sum(G.fc1.bn.v.var.sub * G.fc1.bn.v.var.sub) / f32(rows) + 1e-05)
// fused 9 nodes of G.fc1.bn.v, G.fc1.bn.running_var and G.fc1.bn.y: reads 120 B, writes 40 B; saves 500 B;
//   recomputes 1
static void G_fc1_bn_running_var_columns(real *restrict running_var_add, real *restrict y_rsqrt,
                                         const real *restrict running_var_2, const real *restrict fc1_add,
                                         const real *restrict mean_div, int64_t rows) {
  real running_var_mul[5];
  real mean_div_at[5];
  real var_sum[5] = {0};
  real mean_cast[5];
  real running_var_div[5];
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    running_var_mul[i] = (real)0.9 * running_var_2[i];
    mean_div_at[i] = mean_div[i];
    mean_cast[i] = (real)rows;
    running_var_div[i] = mean_cast[i] / mt_maximum(mean_cast[i] - 1, (real)1);
  }
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real var_sub = fc1_add[row * 5 + i] - mean_div_at[i];
      var_sum[i] += var_sub * var_sub;
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    const real var_div = var_sum[i] / mean_cast[i];
    const real running_var_add_at = running_var_mul[i] + (real)0.1 * var_div * running_var_div[i];
    running_var_add[i] = running_var_add_at;
    y_rsqrt[i] = 1 / sqrt(var_div + (real)1e-05);
  }
}

// model.mt:5  G.fc1.bn.num_batches_tracked.add = G.bn.num_batches_tracked.2 + 1
// G.fc1.bn.num_batches_tracked: reads 4 B, writes 4 B
static void G_fc1_bn_num_batches_tracked_map(real *restrict num_batches_tracked_add,
                                             const real *restrict num_batches_tracked_2) {
  num_batches_tracked_add[0] = num_batches_tracked_2[0] + 1;
}

// model.mt:5  G.bn.tanh.2 = tanh(G.fc1.bn.y.sub * G.fc1.bn.y.rsqrt * G.bn.weight + G.bn.bias)
// fused 5 nodes of G.fc1.bn.y, G.fc1.bn and G.bn: reads 160 B, writes 80 B; saves 640 B
static void G_bn_map(real *restrict bn_tanh_2, const real *restrict fc1_add, const real *restrict mean_div,
                     const real *restrict y_rsqrt, const real *restrict weight, const real *restrict bias,
                     int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real y_mul = (fc1_add[row * 5 + i] - mean_div[i]) * y_rsqrt[i];
      bn_tanh_2[row * 5 + i] = tanh(y_mul * weight[i] + bias[i]);
    }
  }
}

// model.mt:16  loss.add.2 = fooled.mean.div + 0.1 * (sum(G.bn.fc2.add * G.bn.fc2.add) / (f32(rows) * 3))
// d(G.bn.fc2.add.mul.2) = 0.1 / (f32(rows) * 3) * (2 * (G.bn.fc2.mm + G.fc2.bias))
// fused 8 nodes of G.bn.fc2 and loss: reads 64 B, writes 52 B; saves 360 B
static void loss_rows(real *restrict loss_add_2, real *restrict d_add_mul_2, const real *restrict mean_div,
                      const real *restrict bias, int64_t rows) {
  const real mean_div_at = mean_div[0];
  const real mean_mul = (real)rows * 3;
  const real d_mean_sum_div = (real)0.1 / mean_mul;
  real mean_sum = 0;
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd reduction(+ : mean_sum)
    for (int64_t i = 0; i < P; i++) {
      const real fc2_mm = d_add_mul_2[row * P + i];
      const real fc2_add = fc2_mm + bias[i];
      mean_sum += fc2_add * fc2_add;
      d_add_mul_2[row * P + i] = d_mean_sum_div * (2 * fc2_add);
    }
  }
  loss_add_2[0] = mean_div_at + (real)0.1 * (mean_sum / mean_mul);
}

// model.mt:15  d(D.fc1.fc2.2.add.neg) = -(d(fooled.neg.mul) + d(fooled.neg.where.2))
// fused 12 nodes of fooled.softplus, fooled and D.fc1.fc2: reads 32 B, writes 16 B; saves 352 B
static void d_D_fc1_fc2_map(real *restrict d_2_add_neg, const real *restrict softplus_exp,
                            const real *restrict fooled_neg, int64_t rows) {
#pragma omp simd
  for (int64_t row = 0; row < rows; row++) {
    const real d_mean_sum_div = 1 / (real)rows;
    const real softplus_exp_at = softplus_exp[row];
    const real d_softplus_neg_mul = d_mean_sum_div / (softplus_exp_at + 1) * softplus_exp_at;
    const real fooled_neg_at = fooled_neg[row];
    const real d_fooled_neg_mul = -d_softplus_neg_mul * ((fooled_neg_at > 0) - (fooled_neg_at < 0));
    const real d_fooled_neg_where = fooled_neg_at == 0 ? d_mean_sum_div * 0.5f : d_mean_sum_div;
    const real d_fooled_neg_add = d_fooled_neg_mul + (fooled_neg_at < 0 ? 0 : d_fooled_neg_where);
    d_2_add_neg[row] = -d_fooled_neg_add;
  }
}

// model.mt:5  d(G.fc2.bias.add) = sum(d(G.bn.fc2.add.mul.2)) + sum(d(G.fc2.add.mm))
// fused 3 nodes of G.fc2.bias: reads 96 B, writes 12 B; saves 48 B
static void d_G_fc2_bias_columns(real *restrict d_bias_add, const real *restrict d_add_mul_2,
                                 const real *restrict d_fc2_add_mm, int64_t rows) {
  real d_bias_sum[P] = {0};
  real d_bias_sum_2[P] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < P; i++) {
      d_bias_sum[i] += d_add_mul_2[row * P + i];
      d_bias_sum_2[i] += d_fc2_add_mm[row * P + i];
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < P; i++)
    d_bias_add[i] = d_bias_sum[i] + d_bias_sum_2[i];
}

// model.mt:5  d(G.bn.add.mul.2) = d(G.bn.tanh.mm) * (1 - G.bn.tanh * G.bn.tanh)
// reads 160 B, writes 80 B
static void d_G_bn_map(real *restrict d_add_mul_2, const real *restrict bn_tanh, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * 5; i++) {
    const real d_bn_tanh_mm = d_add_mul_2[i];
    const real bn_tanh_at = bn_tanh[i];
    d_add_mul_2[i] = d_bn_tanh_mm * (1 - bn_tanh_at * bn_tanh_at);
  }
}

// model.mt:5  d(G.fc1.bn.v.var.sum.div) = d(G.fc1.bn.y.add.mul.3) * d(G.fc1.bn.y.add.mul.2) / f32(rows)
// d(G.fc1.bn.m.mean.sum.div) = sum(-(d(G.fc1.bn.y.mul.mul) * G.fc1.bn.y.rsqrt)) / f32(rows)
// d(G.bn.bias.add) = sum(d(G.fc1.bn.add.mul.2)) + sum(d(G.bn.add.mul.2))
// and 1 more results
// fused 16 nodes of G.bn.bias, G.bn.weight, G.fc1.bn.y and 4 more: reads 380 B, writes 80 B; saves 1.3 KB;
//   recomputes 6
static void d_fc1_bn_v_var_columns(real *restrict d_var_sum_div, real *restrict d_mean_sum_div,
                                   real *restrict d_bias_add, real *restrict d_weight_add,
                                   const real *restrict d_add_mul_2, const real *restrict weight,
                                   const real *restrict fc1_add, const real *restrict mean_div,
                                   const real *restrict y_rsqrt, const real *restrict d_add_mul_2_2,
                                   const real *restrict y_mul, int64_t rows) {
  real weight_at[5];
  real mean_div_at[5];
  real d_y_rsqrt_sum[5] = {0};
  real y_rsqrt_at[5];
  real d_add_mul_2_at[5];
  real mean_cast[5];
  real d_mean_div_sum[5] = {0};
  real d_bias_sum[5] = {0};
  real d_bias_sum_2[5] = {0};
  real d_weight_sum[5] = {0};
  real d_weight_sum_2[5] = {0};
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    weight_at[i] = weight[i];
    mean_div_at[i] = mean_div[i];
    y_rsqrt_at[i] = y_rsqrt[i];
    d_add_mul_2_at[i] = y_rsqrt_at[i] * y_rsqrt_at[i] * y_rsqrt_at[i];
    mean_cast[i] = (real)rows;
  }
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real d_add_mul_2_at_2 = d_add_mul_2[row * 5 + i];
      const real d_y_mul_mul = d_add_mul_2_at_2 * weight_at[i];
      const real y_sub = fc1_add[row * 5 + i] - mean_div_at[i];
      d_y_rsqrt_sum[i] += d_y_mul_mul * y_sub;
      d_mean_div_sum[i] += -(d_y_mul_mul * y_rsqrt_at[i]);
      d_bias_sum[i] += d_add_mul_2_at_2;
      const real d_add_mul_2_2_at = d_add_mul_2_2[row * 5 + i];
      d_bias_sum_2[i] += d_add_mul_2_2_at;
      d_weight_sum[i] += d_add_mul_2_at_2 * (y_sub * y_rsqrt_at[i]);
      d_weight_sum_2[i] += d_add_mul_2_2_at * y_mul[row * 5 + i];
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    const real d_var_sum_div_at = d_y_rsqrt_sum[i] * -0.5f * d_add_mul_2_at[i] / mean_cast[i];
    d_var_sum_div[i] = d_var_sum_div_at;
    d_mean_sum_div[i] = d_mean_div_sum[i] / mean_cast[i];
    d_bias_add[i] = d_bias_sum[i] + d_bias_sum_2[i];
    d_weight_add[i] = d_weight_sum[i] + d_weight_sum_2[i];
  }
}

// model.mt:5  d(G.fc1.bn.v.var.mean.sum.div) = sum(-d(G.fc1.bn.v.var.sub.add)) / f32(rows)
// d(G.bn.v.var.sum.div) = d(G.bn.y.add.mul.3) * d(G.bn.y.add.mul.2) / f32(rows)
// d(G.bn.m.mean.sum.div) = sum(-(d(G.bn.add.mul.2) * G.bn.weight * G.bn.y.rsqrt)) / f32(rows)
// fused 13 nodes of G.fc1.bn.v, G.bn.y, G.bn.m and 1 more: reads 320 B, writes 60 B; saves 800 B;
//   recomputes 5
static void d_bn_v_var_mean_columns(real *restrict d_mean_sum_div, real *restrict d_var_sum_div,
                                    real *restrict d_mean_sum_div_2, const real *restrict d_var_sum_div_2,
                                    const real *restrict fc1_add, const real *restrict mean_div,
                                    const real *restrict d_add_mul_2, const real *restrict weight,
                                    const real *restrict y_sub, const real *restrict y_rsqrt, int64_t rows) {
  real d_var_sum_div_2_at[5];
  real mean_div_at[5];
  real d_mean_div_reshape[5] = {0};
  real mean_cast[5];
  real weight_at[5];
  real d_y_rsqrt_sum[5] = {0};
  real y_rsqrt_at[5];
  real d_add_mul_2_at[5];
  real d_mean_div_sum[5] = {0};
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    d_var_sum_div_2_at[i] = d_var_sum_div_2[i];
    mean_div_at[i] = mean_div[i];
    mean_cast[i] = (real)rows;
    weight_at[i] = weight[i];
    y_rsqrt_at[i] = y_rsqrt[i];
    d_add_mul_2_at[i] = y_rsqrt_at[i] * y_rsqrt_at[i] * y_rsqrt_at[i];
  }
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real d_var_sub_mul = d_var_sum_div_2_at[i] * (fc1_add[row * 5 + i] - mean_div_at[i]);
      d_mean_div_reshape[i] += -(d_var_sub_mul + d_var_sub_mul);
      const real d_y_mul_mul = d_add_mul_2[row * 5 + i] * weight_at[i];
      d_y_rsqrt_sum[i] += d_y_mul_mul * y_sub[row * 5 + i];
      d_mean_div_sum[i] += -(d_y_mul_mul * y_rsqrt_at[i]);
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    const real d_var_sum_div_at = d_y_rsqrt_sum[i] * -0.5f * d_add_mul_2_at[i] / mean_cast[i];
    d_mean_sum_div[i] = d_mean_div_reshape[i] / mean_cast[i];
    d_var_sum_div[i] = d_var_sum_div_at;
    d_mean_sum_div_2[i] = d_mean_div_sum[i] / mean_cast[i];
  }
}

// model.mt:5  d(G.bn.v.var.mean.sum.div) = sum(-d(G.bn.v.var.sub.add)) / f32(rows)
// fused 3 nodes of G.bn.v: reads 100 B, writes 20 B; saves 180 B; recomputes 2
static void d_bn_v_var_mean_columns_2(real *restrict d_mean_sum_div, const real *restrict d_var_sum_div,
                                      const real *restrict var_sub, int64_t rows) {
  real d_var_sum_div_at[5];
  real d_mean_div_reshape[5] = {0};
  real mean_cast[5];
#pragma omp simd
  for (int64_t i = 0; i < 5; i++) {
    d_var_sum_div_at[i] = d_var_sum_div[i];
    mean_cast[i] = (real)rows;
  }
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real d_var_sub_mul = d_var_sum_div_at[i] * var_sub[row * 5 + i];
      d_mean_div_reshape[i] += -(d_var_sub_mul + d_var_sub_mul);
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 5; i++)
    d_mean_sum_div[i] = d_mean_div_reshape[i] / mean_cast[i];
}

// model.mt:5  d(loss.G.fc1.add.add.3) = d(loss.G.fc1.add.add.2) + d(G.fc1.bn.m.mean.sum.div)
// d(G.fc1.add.add.3) = d(G.fc1.add.add) + d(G.bn.v.var.mean.sum.div) + d(G.bn.m.mean.sum.div)
// fused 6 nodes of loss.G.fc1 and G.fc1: reads 520 B, writes 160 B; saves 860 B; recomputes 9
static void d_loss_G_fc1_map(real *restrict d_add_add_3, real *restrict d_add_add_3_2,
                             const real *restrict weight, const real *restrict y_rsqrt,
                             const real *restrict d_var_sum_div, const real *restrict mean_div,
                             const real *restrict d_mean_sum_div, const real *restrict d_mean_sum_div_2,
                             const real *restrict d_add_mul_2, const real *restrict y_rsqrt_2,
                             const real *restrict d_var_sum_div_2, const real *restrict var_sub,
                             const real *restrict d_mean_sum_div_3, const real *restrict d_mean_sum_div_4,
                             int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 5; i++) {
      const real d_add_mul_2_2 = d_add_add_3_2[row * 5 + i];
      const real weight_at = weight[i];
      const real fc1_add = d_add_add_3[row * 5 + i];
      const real d_var_sub_mul = d_var_sum_div[i] * (fc1_add - mean_div[i]);
      const real d_fc1_add_add = d_add_mul_2_2 * weight_at * y_rsqrt[i] + (d_var_sub_mul + d_var_sub_mul);
      const real d_add_add_3_at = d_fc1_add_add + d_mean_sum_div[i] + d_mean_sum_div_2[i];
      const real d_y_sub_mul = d_add_mul_2[row * 5 + i] * weight_at * y_rsqrt_2[i];
      const real d_var_sub_mul_at = d_var_sum_div_2[i] * var_sub[row * 5 + i];
      const real d_fc1_add_add_at = d_y_sub_mul + (d_var_sub_mul_at + d_var_sub_mul_at);
      const real d_add_add_3_at_2 = d_fc1_add_add_at + d_mean_sum_div_3[i] + d_mean_sum_div_4[i];
      d_add_add_3[row * 5 + i] = d_add_add_3_at;
      d_add_add_3_2[row * 5 + i] = d_add_add_3_at_2;
    }
  }
}

// model.mt:5  d(G.fc1.transpose.add) = d(G.fc1.transpose.mm) + d(G.fc1.transpose.mm.2)
// reads 80 B, writes 40 B
static void d_G_fc1_map(real *restrict d_fc1_transpose_add, const real *restrict d_transpose_mm_2) {
#pragma omp simd
  for (int64_t i = 0; i < 10; i++) {
    const real d_fc1_transpose_mm = d_fc1_transpose_add[i];
    d_fc1_transpose_add[i] = d_fc1_transpose_mm + d_transpose_mm_2[i];
  }
}

// model.mt:5  d(G.fc1.weight.transpose.copy) = d(G.fc1.transpose.add)
// G.fc1.weight: reads 40 B, writes 40 B
static void d_G_fc1_weight_map(real *restrict d_weight_transpose_copy,
                               const real *restrict d_fc1_transpose_add) {
  for (int64_t i = 0; i < 5; i++) {
#pragma omp simd
    for (int64_t j = 0; j < Z; j++)
      d_weight_transpose_copy[i * Z + j] = d_fc1_transpose_add[j * 5 + i];
  }
}

// model.mt:5  d(G.fc2.weight.transpose.copy) = d(G.fc2.transpose.add)
// G.fc2.weight: reads 60 B, writes 60 B
static void d_G_fc2_weight_map(real *restrict d_weight_transpose_copy,
                               const real *restrict d_fc2_transpose_add) {
  for (int64_t i = 0; i < P; i++) {
#pragma omp simd
    for (int64_t j = 0; j < 5; j++)
      d_weight_transpose_copy[i * 5 + j] = d_fc2_transpose_add[j * P + i];
  }
}

// model.mt:20  spread.mean.div = sum(G.bn.running_var.3) / 5
// fused 2 nodes of spread: reads 20 B, writes 4 B; saves 8 B
static void spread_mean_rows(real *restrict mean_div, const real *restrict running_var_3) {
  real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
  for (int64_t i = 0; i < 5; i++)
    mean_sum += running_var_3[i];
  mean_div[0] = mean_sum / 5;
}

// model.mt:20  spread.sub = spread.mean.div - sum(G.fc2.bias.2) / 3
// fused 3 nodes of spread: reads 16 B, writes 4 B; saves 16 B
static void spread_rows(real *restrict spread_sub, const real *restrict mean_div,
                        const real *restrict bias_2) {
  const real mean_div_at = mean_div[0];
  real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
  for (int64_t i = 0; i < P; i++)
    mean_sum += bias_2[i];
  spread_sub[0] = mean_div_at - mean_sum / 3;
}

// model.mt:15  fooled.mean.div.copy = fooled.mean.div
// fooled: reads 4 B, writes 4 B
static void fooled_mean_map_2(real *restrict mean_div_copy, const real *restrict mean_div) {
  mean_div_copy[0] = mean_div[0];
}

// Forward and backward of update 1: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *z = (const real *)batch[1];                                        // (B, Z)
  real *G_bn_running_mean = (real *)((real *)run->states + 0);                   // (5)
  real *G_bn_running_var = (real *)((real *)run->states + 64);                   // (5)
  const real *x = (const real *)batch[0];                                        // (B, P)
  real *G_bn_num_batches_tracked = (real *)((real *)run->states + 128);          // ()
  real *G_fc1_mm = AT(real, 2816);                                               // (B, 5)
  real *G_bn_m_mean_div = AT(real, 3072);                                        // (5)
  real *G_bn_v_var_mean_div = AT(real, 3328);                                    // (1, 5)
  real *G_bn_v_var_sub = AT(real, 1536);                                         // (B, 5)
  real *G_bn_y_rsqrt = AT(real, 1024);                                           // (5)
  real *D_fc1_mm = AT(real, 1280);                                               // (B, 5)
  real *G_bn_y_sub = AT(real, 1280);                                             // (B, 5)
  real *G_bn_y_mul = AT(real, 768);                                              // (B, 5)
  real *G_bn_tanh = AT(real, 512);                                               // (B, 5)
  real *D_fc1_tanh = AT(real, 3328);                                             // (B, 5)
  real *G_fc2_mm = AT(real, 256);                                                // (B, P)
  real *G_fc2_add = AT(real, 256);                                               // (B, P)
  real *D_fc2_mm = AT(real, 2816);                                               // (B, 1)
  real *loss_D_fc1_mm = AT(real, 3072);                                          // (B, 5)
  real *D_fc1_tanh_2 = AT(real, 3072);                                           // (B, 5)
  real *D_fc1_fc2_mm = AT(real, 3584);                                           // (B, 1)
  real *loss_rhs_arg1_softplus_add = AT(real, 3584);                             // (B, 1)
  real *d_D_fc1_fc2_add_add = AT(real, 3840);                                    // (B, 1)
  real *d_D_fc2_add_neg = AT(real, 4096);                                        // (B, 1)
  real *loss_mean_sum_rest = AT(real, 4352);                                     // (1)
  real *loss_rhs_mean_sum_rest = AT(real, 4608);                                 // (1)
  real *d_D_fc1_tanh_mm = AT(real, 2816);                                        // (B, 5)
  real *d_D_fc1_tanh_2_mm = AT(real, 3584);                                      // (B, 5)
  real *d_loss_D_fc1_add_mul_2 = AT(real, 3584);                                 // (B, 5)
  real *d_D_fc1_add_mul_2 = AT(real, 4352);                                      // (B, 5)
  real *d_D_fc2_transpose_mm = AT(real, 2816);                                   // (5, 1)
  real *d_D_fc2_transpose_mm_2 = AT(real, 3072);                                 // (5, 1)
  real *d_D_fc1_transpose_mm_2 = AT(real, 4608);                                 // (P, 5)
  real *d_D_fc1_transpose_mm = AT(real, 2816);                                   // (P, 5)
  real *d_D_fc1_transpose_add = AT(real, 2816);                                  // (P, 5)
  real *before_pow = AT(real, 0);                                                // (5, P)
  real *G_bn_running_mean_add = (real *)((real *)run->new_states + 0);           // (5)
  real *G_bn_running_var_add = (real *)((real *)run->new_states + 64);           // (5)
  real *G_bn_num_batches_tracked_add = (real *)((real *)run->new_states + 128);  // ()
  real *loss_add = (real *)run->outputs + 0;                                     // ()

  // model.mt:5
  STEP(mt_gemm(run, MT_NT, rows, 5, Z, z, p.G_fc1_weight, G_fc1_mm));
  STEP(G_bn_m_mean_columns(G_bn_m_mean_div, G_bn_v_var_mean_div, G_bn_running_mean_add, G_fc1_mm,
                           p.G_fc1_bias, G_bn_running_mean, rows));
  STEP(G_bn_v_var_map(G_bn_v_var_sub, G_fc1_mm, p.G_fc1_bias, G_bn_v_var_mean_div, rows));
  STEP(G_bn_running_var_columns(G_bn_running_var_add, G_bn_y_rsqrt, G_bn_running_var, G_bn_v_var_sub, rows));

  // model.mt:6
  STEP(mt_gemm(run, MT_NT, rows, 5, P, x, p.D_fc1_weight, D_fc1_mm));

  // model.mt:5
  STEP(G_bn_y_map(G_bn_y_sub, G_bn_y_mul, G_bn_tanh, D_fc1_tanh, G_fc1_mm, p.G_fc1_bias, G_bn_m_mean_div,
                  G_bn_y_rsqrt, p.G_bn_weight, p.G_bn_bias, p.D_fc1_bias, rows));
  STEP(mt_gemm(run, MT_NT, rows, P, 5, G_bn_tanh, p.G_fc2_weight, G_fc2_mm));
  STEP(G_fc2_map(G_fc2_add, p.G_fc2_bias, rows));

  // model.mt:6
  STEP(mt_gemm(run, MT_NN, rows, 1, 5, D_fc1_tanh, p.D_fc2_weight, D_fc2_mm));
  STEP(mt_gemm(run, MT_NT, rows, 5, P, G_fc2_add, p.D_fc1_weight, loss_D_fc1_mm));
  STEP(D_fc1_map(D_fc1_tanh_2, p.D_fc1_bias, rows));
  STEP(mt_gemm(run, MT_NN, rows, 1, 5, D_fc1_tanh_2, p.D_fc2_weight, D_fc1_fc2_mm));

  // model.mt:13
  STEP(loss_rhs_arg1_softplus_map(loss_rhs_arg1_softplus_add, d_D_fc1_fc2_add_add, d_D_fc2_add_neg,
                                  p.D_fc2_bias, D_fc2_mm, rows));
  STEP(loss_mean_sum_rest_rows(loss_mean_sum_rest, loss_rhs_mean_sum_rest, d.D_fc2_bias, D_fc2_mm,
                               p.D_fc2_bias, loss_rhs_arg1_softplus_add, d_D_fc1_fc2_add_add, rows));

  // model.mt:5
  STEP(G_bn_num_batches_tracked_map(G_bn_num_batches_tracked_add, loss_add, G_bn_num_batches_tracked,
                                    loss_mean_sum_rest, loss_rhs_mean_sum_rest, rows));

  // model.mt:6, backward
  STEP(mt_gemm(run, MT_NT, rows, 5, 1, d_D_fc2_add_neg, p.D_fc2_weight, d_D_fc1_tanh_mm));
  STEP(mt_gemm(run, MT_NT, rows, 5, 1, d_D_fc1_fc2_add_add, p.D_fc2_weight, d_D_fc1_tanh_2_mm));
  STEP(d_add_map(d_loss_D_fc1_add_mul_2, d_D_fc1_add_mul_2, D_fc1_tanh_2, d_D_fc1_tanh_mm, D_fc1_tanh,
                 rows));
  STEP(mt_gemm(run, MT_TN, 5, 1, rows, D_fc1_tanh_2, d_D_fc1_fc2_add_add, d_D_fc2_transpose_mm));
  STEP(mt_gemm(run, MT_TN, 5, 1, rows, D_fc1_tanh, d_D_fc2_add_neg, d_D_fc2_transpose_mm_2));
  STEP(d_D_fc2_weight_map(d.D_fc2_weight, d_D_fc2_transpose_mm, d_D_fc2_transpose_mm_2));
  STEP(d_fc1_bias_columns(d.D_fc1_bias, d_loss_D_fc1_add_mul_2, d_D_fc1_add_mul_2, rows));
  STEP(mt_gemm(run, MT_TN, P, 5, rows, x, d_D_fc1_add_mul_2, d_D_fc1_transpose_mm_2));
  STEP(mt_gemm(run, MT_TN, P, 5, rows, G_fc2_add, d_loss_D_fc1_add_mul_2, d_D_fc1_transpose_mm));
  STEP(d_transpose_map(d_D_fc1_transpose_add, d_D_fc1_transpose_mm_2));

  // model.mt:12
  STEP(before_map(before_pow, d.D_fc1_weight, p.D_fc1_weight, d_D_fc1_transpose_add));
}

// What stands between updates.
static void train_gradients_1(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  real *before_pow = AT(real, 0);               // (5, P)
  real *G_fc2_add = AT(real, 256);              // (B, P)
  real *fooled_D_fc1_mm = AT(real, 2560);       // (B, 5)
  real *D_fc1_tanh_3 = AT(real, 2560);          // (B, 5)
  real *D_fc1_fc2_2_mm = AT(real, 2816);        // (B, 1)
  real *fooled_neg = AT(real, 2304);            // (B, 1)
  real *fooled_softplus_exp = AT(real, 2048);   // (B, 1)
  real *fooled_mean_sum_rest = AT(real, 2816);  // (1)
  real *fooled_mean_div = AT(real, 1792);       // ()
  real *moved_sub = (real *)run->outputs + 1;   // ()
  (void)batch;

  // model.mt:19
  STEP(moved_rows(moved_sub, p.D_fc1_weight, before_pow));

  // model.mt:6
  STEP(mt_gemm(run, MT_NT, rows, 5, P, G_fc2_add, p.D_fc1_weight, fooled_D_fc1_mm));
  STEP(D_fc1_map(D_fc1_tanh_3, p.D_fc1_bias, rows));
  STEP(mt_gemm(run, MT_NN, rows, 1, 5, D_fc1_tanh_3, p.D_fc2_weight, D_fc1_fc2_2_mm));

  // model.mt:15
  STEP(fooled_map(fooled_neg, fooled_softplus_exp, D_fc1_fc2_2_mm, p.D_fc2_bias, rows));
  STEP(fooled_mean_sum_rest_rows(fooled_mean_sum_rest, fooled_neg, fooled_softplus_exp, rows));
  STEP(fooled_mean_map(fooled_mean_div, fooled_mean_sum_rest, rows));
}

// Forward and backward of update 2, every 2 steps: loss, logs and gradients of one batch.
static void train_gradients_2(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *z = (const real *)batch[1];                                   // (B, Z)
  real *G_bn_running_mean_2 = (real *)((real *)run->states + 0);            // (5)
  real *G_bn_running_var_2 = (real *)((real *)run->states + 64);            // (5)
  real *G_bn_num_batches_tracked_2 = (real *)((real *)run->states + 128);   // ()
  real *loss_rhs_rhs_arg1_lhs_arg1_add = AT(real, 2816);                    // (B, Z)
  real *loss_G_fc1_mm = AT(real, 3072);                                     // (B, 5)
  real *loss_G_fc1_add = AT(real, 3072);                                    // (B, 5)
  real *G_fc1_bn_m_mean_div = AT(real, 3328);                               // (5)
  real *G_fc1_bn_v_var_mean_div = AT(real, 3584);                           // (1, 5)
  real *G_fc1_bn_y_rsqrt = AT(real, 3840);                                  // (5)
  real *G_bn_tanh_2 = AT(real, 4096);                                       // (B, 5)
  real *G_bn_fc2_mm = AT(real, 4352);                                       // (B, P)
  real *d_G_bn_fc2_add_mul_2 = AT(real, 4352);                              // (B, P)
  real *fooled_mean_div = AT(real, 1792);                                   // ()
  real *d_D_fc1_fc2_2_add_neg = AT(real, 4608);                             // (B, 1)
  real *fooled_softplus_exp = AT(real, 2048);                               // (B, 1)
  real *fooled_neg = AT(real, 2304);                                        // (B, 1)
  real *d_D_fc1_tanh_3_mm = AT(real, 4864);                                 // (B, 5)
  real *d_G_bn_tanh_2_mm = AT(real, 5120);                                  // (B, 5)
  real *d_G_fc1_bn_add_mul_2 = AT(real, 5120);                              // (B, 5)
  real *d_fooled_D_fc1_add_mul_2 = AT(real, 4608);                          // (B, 5)
  real *D_fc1_tanh_3 = AT(real, 2560);                                      // (B, 5)
  real *d_G_fc2_add_mm = AT(real, 4864);                                    // (B, P)
  real *d_G_bn_tanh_mm = AT(real, 4608);                                    // (B, 5)
  real *d_G_bn_add_mul_2 = AT(real, 4608);                                  // (B, 5)
  real *G_bn_tanh = AT(real, 512);                                          // (B, 5)
  real *d_G_fc1_bn_v_var_sum_div = AT(real, 5376);                          // (5)
  real *d_G_fc1_bn_m_mean_sum_div = AT(real, 5632);                         // (5)
  real *G_bn_y_mul = AT(real, 768);                                         // (B, 5)
  real *d_G_fc1_bn_v_var_mean_sum_div = AT(real, 3328);                     // (1, 5)
  real *d_G_bn_v_var_sum_div = AT(real, 5888);                              // (5)
  real *d_G_bn_m_mean_sum_div = AT(real, 6144);                             // (5)
  real *G_bn_y_sub = AT(real, 1280);                                        // (B, 5)
  real *G_bn_y_rsqrt = AT(real, 1024);                                      // (5)
  real *d_G_bn_v_var_mean_sum_div = AT(real, 6400);                         // (1, 5)
  real *G_bn_v_var_sub = AT(real, 1536);                                    // (B, 5)
  real *d_loss_G_fc1_add_add_3 = AT(real, 3072);                            // (B, 5)
  real *d_G_fc1_add_add_3 = AT(real, 5120);                                 // (B, 5)
  real *d_G_fc2_transpose_mm_2 = AT(real, 4608);                            // (5, P)
  real *d_G_fc2_transpose_mm = AT(real, 4864);                              // (5, P)
  real *d_G_fc2_transpose_add = AT(real, 4864);                             // (5, P)
  real *d_G_fc1_transpose_mm_2 = AT(real, 5376);                            // (Z, 5)
  real *d_G_fc1_transpose_mm = AT(real, 5120);                              // (Z, 5)
  real *d_G_fc1_transpose_add = AT(real, 5120);                             // (Z, 5)
  real *G_fc1_bn_running_mean_add = (real *)((real *)run->new_states + 0);  // (5)
  real *G_fc1_bn_running_var_add = (real *)((real *)run->new_states + 64);  // (5)
  real *G_fc1_bn_num_batches_tracked_add = (real *)((real *)run->new_states + 128);  // ()
  real *loss_add_2 = (real *)run->outputs + 2;                              // ()

  // model.mt:16
  STEP(rhs_arg1_lhs_arg1_map(loss_rhs_rhs_arg1_lhs_arg1_add, z, rows));

  // model.mt:5
  STEP(mt_gemm(run, MT_NT, rows, 5, Z, loss_rhs_rhs_arg1_lhs_arg1_add, p.G_fc1_weight, loss_G_fc1_mm));
  STEP(loss_G_fc1_map(loss_G_fc1_add, p.G_fc1_bias, rows));
  STEP(fc1_bn_m_mean_columns(G_fc1_bn_m_mean_div, G_fc1_bn_v_var_mean_div, G_fc1_bn_running_mean_add,
                             loss_G_fc1_add, G_bn_running_mean_2, rows));
  STEP(G_fc1_bn_running_var_columns(G_fc1_bn_running_var_add, G_fc1_bn_y_rsqrt, G_bn_running_var_2,
                                    loss_G_fc1_add, G_fc1_bn_v_var_mean_div, rows));
  STEP(G_fc1_bn_num_batches_tracked_map(G_fc1_bn_num_batches_tracked_add, G_bn_num_batches_tracked_2));
  STEP(G_bn_map(G_bn_tanh_2, loss_G_fc1_add, G_fc1_bn_m_mean_div, G_fc1_bn_y_rsqrt, p.G_bn_weight,
                p.G_bn_bias, rows));
  STEP(mt_gemm(run, MT_NT, rows, P, 5, G_bn_tanh_2, p.G_fc2_weight, G_bn_fc2_mm));

  // model.mt:16
  STEP(loss_rows(loss_add_2, d_G_bn_fc2_add_mul_2, fooled_mean_div, p.G_fc2_bias, rows));

  // model.mt:15, backward
  STEP(d_D_fc1_fc2_map(d_D_fc1_fc2_2_add_neg, fooled_softplus_exp, fooled_neg, rows));

  // model.mt:6, backward
  STEP(mt_gemm(run, MT_NT, rows, 5, 1, d_D_fc1_fc2_2_add_neg, p.D_fc2_weight, d_D_fc1_tanh_3_mm));

  // model.mt:5, backward
  STEP(mt_gemm(run, MT_NN, rows, 5, P, d_G_bn_fc2_add_mul_2, p.G_fc2_weight, d_G_bn_tanh_2_mm));
  STEP(d_add_map(d_G_fc1_bn_add_mul_2, d_fooled_D_fc1_add_mul_2, G_bn_tanh_2, d_D_fc1_tanh_3_mm,
                 D_fc1_tanh_3, rows));

  // model.mt:6, backward
  STEP(mt_gemm(run, MT_NN, rows, P, 5, d_fooled_D_fc1_add_mul_2, p.D_fc1_weight, d_G_fc2_add_mm));

  // model.mt:5, backward
  STEP(d_G_fc2_bias_columns(d.G_fc2_bias, d_G_bn_fc2_add_mul_2, d_G_fc2_add_mm, rows));
  STEP(mt_gemm(run, MT_NN, rows, 5, P, d_G_fc2_add_mm, p.G_fc2_weight, d_G_bn_tanh_mm));
  STEP(d_G_bn_map(d_G_bn_add_mul_2, G_bn_tanh, rows));
  STEP(d_fc1_bn_v_var_columns(d_G_fc1_bn_v_var_sum_div, d_G_fc1_bn_m_mean_sum_div, d.G_bn_bias,
                              d.G_bn_weight, d_G_fc1_bn_add_mul_2, p.G_bn_weight, loss_G_fc1_add,
                              G_fc1_bn_m_mean_div, G_fc1_bn_y_rsqrt, d_G_bn_add_mul_2, G_bn_y_mul, rows));
  STEP(d_bn_v_var_mean_columns(d_G_fc1_bn_v_var_mean_sum_div, d_G_bn_v_var_sum_div, d_G_bn_m_mean_sum_div,
                               d_G_fc1_bn_v_var_sum_div, loss_G_fc1_add, G_fc1_bn_v_var_mean_div,
                               d_G_bn_add_mul_2, p.G_bn_weight, G_bn_y_sub, G_bn_y_rsqrt, rows));
  STEP(d_bn_v_var_mean_columns_2(d_G_bn_v_var_mean_sum_div, d_G_bn_v_var_sum_div, G_bn_v_var_sub, rows));
  STEP(d_loss_G_fc1_map(d_loss_G_fc1_add_add_3, d_G_fc1_add_add_3, p.G_bn_weight, G_fc1_bn_y_rsqrt,
                        d_G_fc1_bn_v_var_sum_div, G_fc1_bn_v_var_mean_div, d_G_fc1_bn_v_var_mean_sum_div,
                        d_G_fc1_bn_m_mean_sum_div, d_G_bn_add_mul_2, G_bn_y_rsqrt, d_G_bn_v_var_sum_div,
                        G_bn_v_var_sub, d_G_bn_v_var_mean_sum_div, d_G_bn_m_mean_sum_div, rows));
  STEP(d_fc1_bias_columns(d.G_fc1_bias, d_loss_G_fc1_add_add_3, d_G_fc1_add_add_3, rows));
  STEP(mt_gemm(run, MT_TN, 5, P, rows, G_bn_tanh, d_G_fc2_add_mm, d_G_fc2_transpose_mm_2));
  STEP(mt_gemm(run, MT_TN, 5, P, rows, G_bn_tanh_2, d_G_bn_fc2_add_mul_2, d_G_fc2_transpose_mm));
  STEP(d_transpose_map(d_G_fc2_transpose_add, d_G_fc2_transpose_mm_2));
  STEP(mt_gemm(run, MT_TN, Z, 5, rows, z, d_G_fc1_add_add_3, d_G_fc1_transpose_mm_2));
  STEP(mt_gemm(run, MT_TN, Z, 5, rows, loss_rhs_rhs_arg1_lhs_arg1_add, d_loss_G_fc1_add_add_3,
               d_G_fc1_transpose_mm));
  STEP(d_G_fc1_map(d_G_fc1_transpose_add, d_G_fc1_transpose_mm_2));
  STEP(d_G_fc1_weight_map(d.G_fc1_weight, d_G_fc1_transpose_add));
  STEP(d_G_fc2_weight_map(d.G_fc2_weight, d_G_fc2_transpose_add));
}

// What stands between updates.
static void train_gradients_3(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  real *G_bn_running_var_3 = (real *)((real *)run->states + 64);  // (5)
  real *spread_mean_div = AT(real, 2816);                         // ()
  real *spread_sub = (real *)run->outputs + 3;                    // ()
  (void)batch;
  (void)rows;

  // model.mt:20
  STEP(spread_mean_rows(spread_mean_div, G_bn_running_var_3));
  STEP(spread_rows(spread_sub, spread_mean_div, p.G_fc2_bias));
}

// What stands between updates, every 2 steps.
static void train_gradients_4(MtRun *run, const void *const *batch, int64_t rows) {
  real *fooled_mean_div = AT(real, 1792);                 // ()
  real *fooled_mean_div_copy = (real *)run->outputs + 4;  // ()
  (void)batch;
  (void)rows;

  // model.mt:15
  STEP(fooled_mean_map_2(fooled_mean_div_copy, fooled_mean_div));
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.02 * s->lr_scale;  // lr
  s->hyper[0][1] = 0.9;                 // beta1
  s->hyper[0][2] = 0.999;               // beta2
  s->hyper[0][3] = 1e-08;               // eps
  s->hyper[0][4] = 0;                   // decay
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static void train_update(MtRun *run, const MtEnd *end) {
  mt_check_gradients(run, end, 0, 193);
  schedule(run->scalars);
  mt_clip_gradients(run, 0, 193, 0.5);
  // D using adam:
  //   g = g + decay * p
  //   m = beta1 * m + (1 - beta1) * g
  //   v = beta2 * v + (1 - beta2) * g * g
  //   p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)
  mt_adam(run, 0, 0, 193);
  mt_finish(run, end);
}

// Hyper-parameters of the update at hand.
static void schedule_2(MtScalars *s) {
  s->done = (s->step + 1) / 2 - 1;
  s->hyper[1][0] = 0.01 * s->lr_scale;  // lr
  s->hyper[1][1] = 0.99;                // alpha
  s->hyper[1][2] = 1e-08;               // eps
  s->hyper[1][3] = 0;                   // momentum
  s->hyper[1][4] = 0;                   // decay
  s->hyper[1][5] = 0;                   // centered
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static void train_update_2(MtRun *run, const MtEnd *end) {
  mt_check_gradients(run, end, 256, 323);
  schedule_2(run->scalars);
  // G using rmsprop:
  //   g = g + decay * p
  //   v = alpha * v + (1 - alpha) * g * g
  //   mean = centered == 0 ? mean : alpha * mean + (1 - alpha) * g
  //   d = g / (sqrt(v - mean * mean) + eps)
  //   buf = momentum == 0 ? buf : momentum * buf + d
  //   p = p - lr * (momentum == 0 ? d : buf)
  mt_rmsprop(run, 1, 256, 323);
  mt_finish(run, end);
}

static void train_gradients_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file
static void train_gradients_1_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file
static void train_gradients_2_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file
static void train_gradients_3_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file
static void train_gradients_4_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"G.fc1.weight", 2, {5, Z}, 256, MT_UNIFORM,  -0.7071067811865475, 0.7071067811865475, "model.mt:5", NULL},
  {"G.fc1.bias",   1, {5},    320, MT_UNIFORM,  -0.7071067811865475, 0.7071067811865475, "model.mt:5", NULL},
  {"G.bn.weight",  1, {5},    384, MT_CONSTANT, 1,                   0,                  "model.mt:5", NULL},
  {"G.bn.bias",    1, {5},    448, MT_CONSTANT, 0,                   0,                  "model.mt:5", NULL},
  {"G.fc2.weight", 2, {P, 5}, 512, MT_UNIFORM,  -0.4472135954999579, 0.4472135954999579, "model.mt:5", NULL},
  {"G.fc2.bias",   1, {P},    576, MT_UNIFORM,  -0.4472135954999579, 0.4472135954999579, "model.mt:5", NULL},
  {"D.fc1.weight", 2, {5, P}, 0,   MT_UNIFORM,  -0.5773502691896258, 0.5773502691896258, "model.mt:6", NULL},
  {"D.fc1.bias",   1, {5},    64,  MT_UNIFORM,  -0.5773502691896258, 0.5773502691896258, "model.mt:6", NULL},
  {"D.fc2.weight", 2, {1, 5}, 128, MT_UNIFORM,  -0.4472135954999579, 0.4472135954999579, "model.mt:6", NULL},
  {"D.fc2.bias",   1, {1},    192, MT_UNIFORM,  -0.4472135954999579, 0.4472135954999579, "model.mt:6", NULL},
};

static const MtTensor states[] = {
  {"G.bn.running_mean",        1, {5}, 0,   MT_CONSTANT, 0, 0, "model.mt:5", NULL},
  {"G.bn.running_var",         1, {5}, 64,  MT_CONSTANT, 1, 0, "model.mt:5", NULL},
  {"G.bn.num_batches_tracked", 0, {0}, 128, MT_CONSTANT, 0, 0, "model.mt:5", NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField rows_fields[] = {
  {"x", MT_F32, 1, {P}, 0, 0, 0},
  {"z", MT_F32, 1, {Z}, 0, 0, 0},
};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"rows", MT_RANDOM, 0, NULL, 2, rows_fields, 4, false, 16, 1, 0, "model.mt:4"},
};

static const MtLog train_logs[] = {
  {"moved",  1},
  {"spread", 3},
  {"fooled", 4},
};
// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"D", "adam",    2, {"m", "v"},           0,   193, 0},
  {"G", "rmsprop", 3, {"v", "mean", "buf"}, 256, 323, 256},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {0,  "G.fc1.mm",                                 "model.mt:5",  MT_IN_ARENA,   2816, 20, 5, 0},
  {1,  "G.bn.m.mean.div",                          "model.mt:5",  MT_IN_ARENA,   3072, 5,  0, 0},
  {1,  "G.bn.v.var.mean.div",                      "model.mt:5",  MT_IN_ARENA,   3328, 5,  0, 0},
  {1,  "G.bn.running_mean.add",                    "model.mt:5",  MT_IN_STATES,  0,    5,  0, 0},
  {2,  "G.bn.v.var.sub",                           "model.mt:5",  MT_IN_ARENA,   1536, 20, 5, 0},
  {3,  "G.bn.running_var.add",                     "model.mt:5",  MT_IN_STATES,  64,   5,  0, 0},
  {3,  "G.bn.y.rsqrt",                             "model.mt:5",  MT_IN_ARENA,   1024, 5,  0, 0},
  {4,  "D.fc1.mm",                                 "model.mt:6",  MT_IN_ARENA,   1280, 20, 5, 0},
  {5,  "G.bn.y.sub",                               "model.mt:5",  MT_IN_ARENA,   1280, 20, 5, 0},
  {5,  "G.bn.y.mul",                               "model.mt:5",  MT_IN_ARENA,   768,  20, 5, 0},
  {5,  "G.bn.tanh",                                "model.mt:5",  MT_IN_ARENA,   512,  20, 5, 0},
  {5,  "D.fc1.tanh",                               "model.mt:6",  MT_IN_ARENA,   3328, 20, 5, 0},
  {6,  "G.fc2.mm",                                 "model.mt:5",  MT_IN_ARENA,   256,  12, 3, 0},
  {7,  "G.fc2.add",                                "model.mt:5",  MT_IN_ARENA,   256,  12, 3, 0},
  {8,  "D.fc2.mm",                                 "model.mt:6",  MT_IN_ARENA,   2816, 4,  1, 0},
  {9,  "loss.D.fc1.mm",                            "model.mt:6",  MT_IN_ARENA,   3072, 20, 5, 0},
  {10, "D.fc1.tanh.2",                             "model.mt:6",  MT_IN_ARENA,   3072, 20, 5, 0},
  {11, "D.fc1.fc2.mm",                             "model.mt:6",  MT_IN_ARENA,   3584, 4,  1, 0},
  {12, "loss.rhs.arg1.softplus.add",               "model.mt:13", MT_IN_ARENA,   3584, 4,  1, 0},
  {12, "grad.update0.D.fc1.fc2.add.add",           "model.mt:13", MT_IN_ARENA,   3840, 4,  1, 0},
  {12, "grad.update0.D.fc2.add.neg",               "model.mt:13", MT_IN_ARENA,   4096, 4,  1, 0},
  {13, "loss.mean.sum.rest",                       "model.mt:13", MT_IN_ARENA,   4352, 1,  0, 0},
  {13, "loss.rhs.mean.sum.rest",                   "model.mt:13", MT_IN_ARENA,   4608, 1,  0, 0},
  {13, "grad.update0.D.fc2.bias.add",              "model.mt:6",  MT_IN_GRADS,   192,  1,  0, 0},
  {14, "G.bn.num_batches_tracked.add",             "model.mt:5",  MT_IN_STATES,  128,  1,  0, 0},
  {14, "loss.add",                                 "model.mt:13", MT_IN_OUTPUTS, 0,    1,  0, 0},
  {15, "grad.update0.D.fc1.tanh.mm",               "model.mt:6",  MT_IN_ARENA,   2816, 20, 5, 0},
  {16, "grad.update0.D.fc1.tanh.2.mm",             "model.mt:6",  MT_IN_ARENA,   3584, 20, 5, 0},
  {17, "grad.update0.loss.D.fc1.add.mul.2",        "model.mt:6",  MT_IN_ARENA,   3584, 20, 5, 0},
  {17, "grad.update0.D.fc1.add.mul.2",             "model.mt:6",  MT_IN_ARENA,   4352, 20, 5, 0},
  {18, "grad.update0.D.fc2.transpose.mm",          "model.mt:6",  MT_IN_ARENA,   2816, 5,  0, 0},
  {19, "grad.update0.D.fc2.transpose.mm.2",        "model.mt:6",  MT_IN_ARENA,   3072, 5,  0, 0},
  {20, "grad.update0.D.fc2.weight.transpose.copy", "model.mt:6",  MT_IN_GRADS,   128,  5,  0, 0},
  {21, "grad.update0.D.fc1.bias.add",              "model.mt:6",  MT_IN_GRADS,   64,   5,  0, 0},
  {22, "grad.update0.D.fc1.transpose.mm.2",        "model.mt:6",  MT_IN_ARENA,   4608, 15, 0, 0},
  {23, "grad.update0.D.fc1.transpose.mm",          "model.mt:6",  MT_IN_ARENA,   2816, 15, 0, 0},
  {24, "grad.update0.D.fc1.transpose.add",         "model.mt:6",  MT_IN_ARENA,   2816, 15, 0, 0},
  {25, "before.pow",                               "model.mt:12", MT_IN_ARENA,   0,    15, 0, 0},
  {25, "grad.update0.D.fc1.weight.transpose.copy", "model.mt:6",  MT_IN_GRADS,   0,    15, 0, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values_1[] = {
  {0, "moved.sub",            "model.mt:19", MT_IN_OUTPUTS, 1,    1,  0, 0},
  {1, "fooled.D.fc1.mm",      "model.mt:6",  MT_IN_ARENA,   2560, 20, 5, 0},
  {2, "D.fc1.tanh.3",         "model.mt:6",  MT_IN_ARENA,   2560, 20, 5, 0},
  {3, "D.fc1.fc2.2.mm",       "model.mt:6",  MT_IN_ARENA,   2816, 4,  1, 0},
  {4, "fooled.neg",           "model.mt:15", MT_IN_ARENA,   2304, 4,  1, 0},
  {4, "fooled.softplus.exp",  "model.mt:15", MT_IN_ARENA,   2048, 4,  1, 0},
  {5, "fooled.mean.sum.rest", "model.mt:15", MT_IN_ARENA,   2816, 1,  0, 0},
  {6, "fooled.mean.div",      "model.mt:15", MT_IN_ARENA,   1792, 1,  0, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values_2[] = {
  {0,  "loss.rhs.rhs.arg1.lhs.arg1.add",           "model.mt:16", MT_IN_ARENA,   2816, 8,  2, MT_OF_DATA},
  {1,  "loss.G.fc1.mm",                            "model.mt:5",  MT_IN_ARENA,   3072, 20, 5, 0},
  {2,  "loss.G.fc1.add",                           "model.mt:5",  MT_IN_ARENA,   3072, 20, 5, 0},
  {3,  "G.fc1.bn.m.mean.div",                      "model.mt:5",  MT_IN_ARENA,   3328, 5,  0, 0},
  {3,  "G.fc1.bn.v.var.mean.div",                  "model.mt:5",  MT_IN_ARENA,   3584, 5,  0, 0},
  {3,  "G.fc1.bn.running_mean.add",                "model.mt:5",  MT_IN_STATES,  0,    5,  0, 0},
  {4,  "G.fc1.bn.running_var.add",                 "model.mt:5",  MT_IN_STATES,  64,   5,  0, 0},
  {4,  "G.fc1.bn.y.rsqrt",                         "model.mt:5",  MT_IN_ARENA,   3840, 5,  0, 0},
  {5,  "G.fc1.bn.num_batches_tracked.add",         "model.mt:5",  MT_IN_STATES,  128,  1,  0, 0},
  {6,  "G.bn.tanh.2",                              "model.mt:5",  MT_IN_ARENA,   4096, 20, 5, 0},
  {7,  "G.bn.fc2.mm",                              "model.mt:5",  MT_IN_ARENA,   4352, 12, 3, 0},
  {8,  "loss.add.2",                               "model.mt:16", MT_IN_OUTPUTS, 2,    1,  0, 0},
  {8,  "grad.update1.G.bn.fc2.add.mul.2",          "model.mt:16", MT_IN_ARENA,   4352, 12, 3, 0},
  {9,  "grad.update1.D.fc1.fc2.2.add.neg",         "model.mt:15", MT_IN_ARENA,   4608, 4,  1, 0},
  {10, "grad.update1.D.fc1.tanh.3.mm",             "model.mt:6",  MT_IN_ARENA,   4864, 20, 5, 0},
  {11, "grad.update1.G.bn.tanh.2.mm",              "model.mt:5",  MT_IN_ARENA,   5120, 20, 5, 0},
  {12, "grad.update1.G.fc1.bn.add.mul.2",          "model.mt:5",  MT_IN_ARENA,   5120, 20, 5, 0},
  {12, "grad.update1.fooled.D.fc1.add.mul.2",      "model.mt:6",  MT_IN_ARENA,   4608, 20, 5, 0},
  {13, "grad.update1.G.fc2.add.mm",                "model.mt:6",  MT_IN_ARENA,   4864, 12, 3, 0},
  {14, "grad.update1.G.fc2.bias.add",              "model.mt:5",  MT_IN_GRADS,   576,  3,  0, 0},
  {15, "grad.update1.G.bn.tanh.mm",                "model.mt:5",  MT_IN_ARENA,   4608, 20, 5, 0},
  {16, "grad.update1.G.bn.add.mul.2",              "model.mt:5",  MT_IN_ARENA,   4608, 20, 5, 0},
  {17, "grad.update1.G.fc1.bn.v.var.sum.div",      "model.mt:5",  MT_IN_ARENA,   5376, 5,  0, 0},
  {17, "grad.update1.G.fc1.bn.m.mean.sum.div",     "model.mt:5",  MT_IN_ARENA,   5632, 5,  0, 0},
  {17, "grad.update1.G.bn.bias.add",               "model.mt:5",  MT_IN_GRADS,   448,  5,  0, 0},
  {17, "grad.update1.G.bn.weight.add",             "model.mt:5",  MT_IN_GRADS,   384,  5,  0, 0},
  {18, "grad.update1.G.fc1.bn.v.var.mean.sum.div", "model.mt:5",  MT_IN_ARENA,   3328, 5,  0, 0},
  {18, "grad.update1.G.bn.v.var.sum.div",          "model.mt:5",  MT_IN_ARENA,   5888, 5,  0, 0},
  {18, "grad.update1.G.bn.m.mean.sum.div",         "model.mt:5",  MT_IN_ARENA,   6144, 5,  0, 0},
  {19, "grad.update1.G.bn.v.var.mean.sum.div",     "model.mt:5",  MT_IN_ARENA,   6400, 5,  0, 0},
  {20, "grad.update1.loss.G.fc1.add.add.3",        "model.mt:5",  MT_IN_ARENA,   3072, 20, 5, 0},
  {20, "grad.update1.G.fc1.add.add.3",             "model.mt:5",  MT_IN_ARENA,   5120, 20, 5, 0},
  {21, "grad.update1.G.fc1.bias.add",              "model.mt:5",  MT_IN_GRADS,   320,  5,  0, 0},
  {22, "grad.update1.G.fc2.transpose.mm.2",        "model.mt:5",  MT_IN_ARENA,   4608, 15, 0, 0},
  {23, "grad.update1.G.fc2.transpose.mm",          "model.mt:5",  MT_IN_ARENA,   4864, 15, 0, 0},
  {24, "grad.update1.G.fc2.transpose.add",         "model.mt:5",  MT_IN_ARENA,   4864, 15, 0, 0},
  {25, "grad.update1.G.fc1.transpose.mm.2",        "model.mt:5",  MT_IN_ARENA,   5376, 10, 0, 0},
  {26, "grad.update1.G.fc1.transpose.mm",          "model.mt:5",  MT_IN_ARENA,   5120, 10, 0, 0},
  {27, "grad.update1.G.fc1.transpose.add",         "model.mt:5",  MT_IN_ARENA,   5120, 10, 0, 0},
  {28, "grad.update1.G.fc1.weight.transpose.copy", "model.mt:5",  MT_IN_GRADS,   256,  10, 0, 0},
  {29, "grad.update1.G.fc2.weight.transpose.copy", "model.mt:5",  MT_IN_GRADS,   512,  15, 0, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values_3[] = {
  {0, "spread.mean.div", "model.mt:20", MT_IN_ARENA,   2816, 1, 0, 0},
  {1, "spread.sub",      "model.mt:20", MT_IN_OUTPUTS, 3,    1, 0, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values_4[] = {
  {0, "fooled.mean.div.copy", "model.mt:15", MT_IN_OUTPUTS, 4, 1, 0, 0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients,   train_gradients_f64,   train_update,   1, 0,  0,   193, 0, 0, 0, 1, 26, 39, train_values,   0, NULL},
  {train_gradients_1, train_gradients_1_f64, NULL,           1, -1, 0,   640, 0, 1, 0, 0, 7,  8,  train_values_1, 0, NULL},
  {train_gradients_2, train_gradients_2_f64, train_update_2, 2, 2,  256, 323, 1, 0, 1, 1, 30, 41, train_values_2, 0, NULL},
  {train_gradients_3, train_gradients_3_f64, NULL,           1, -1, 0,   640, 1, 1, 0, 0, 2,  2,  train_values_3, 0, NULL},
  {train_gradients_4, train_gradients_4_f64, NULL,           2, -1, 0,   640, 2, 1, 0, 0, 1,  1,  train_values_4, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"gemm 4 x 5 x 3 f32",               4,   752,  480,       4.027e-07},
  {"gemm 4 x 1 x 5 f32",               3,   348,  120,       3.012e-07},
  {"gemm 4 x 5 x 1 f32",               2.5, 290,  100,       2.51e-07},
  {"D_fc1_map",                        2,   360,  1280,      2.08e-07},
  {"gemm 4 x 3 x 5 f32",               2,   376,  240,       2.013e-07},
  {"gemm 3 x 5 x 4 f32",               2,   376,  240,       2.013e-07},
  {"gemm 5 x 1 x 4 f32",               2,   232,  80,        2.008e-07},
  {"mt_adam",                          1,   5404, 3.551e+04, 1.888e-07},
  {"mt_check_gradients",               1.5, 1418, 0,         1.551e-07},
  {"d_add_map",                        1.5, 720,  360,       1.526e-07},
  {"d_fc1_bias_columns",               1.5, 270,  135,       1.51e-07},
  {"d_transpose_map",                  1.5, 270,  45,        1.51e-07},
  {"gemm 4 x 5 x 2 f32",               1.5, 228,  120,       1.508e-07},
  {"G_bn_y_map",                       1,   600,  1440,      1.08e-07},
  {"mt_clip_gradients",                1,   772,  0,         1.028e-07},
  {"loss_rhs_arg1_softplus_map",       1,   84,   852,       1.021e-07},
  {"G_bn_running_var_columns",         1,   140,  576,       1.014e-07},
  {"loss_mean_sum_rest_rows",          1,   64,   558,       1.014e-07},
  {"G_bn_m_mean_columns",              1,   180,  552,       1.014e-07},
  {"before_map",                       1,   240,  60,        1.009e-07},
  {"G_bn_v_var_map",                   1,   200,  80,        1.007e-07},
  {"gemm 5 x 3 x 4 f32",               1,   188,  120,       1.007e-07},
  {"gemm 2 x 5 x 4 f32",               1,   152,  80,        1.005e-07},
  {"moved_rows",                       1,   124,  92,        1.004e-07},
  {"fooled_map",                       1,   52,   96,        1.004e-07},
  {"fooled_mean_sum_rest_rows",        1,   36,   144,       1.004e-07},
  {"G_fc2_map",                        1,   108,  24,        1.004e-07},
  {"G_bn_num_batches_tracked_map",     1,   20,   86,        1.002e-07},
  {"d_D_fc2_weight_map",               1,   60,   20,        1.002e-07},
  {"spread_mean_rows",                 1,   24,   50,        1.001e-07},
  {"spread_rows",                      1,   20,   48,        1.001e-07},
  {"fooled_mean_map",                  1,   8,    42,        1.001e-07},
  {"mt_rmsprop",                       0.5, 5814, 1.486e+04, 8.715e-08},
  {"G_bn_map",                         0.5, 120,  380,       5.2e-08},
  {"d_bn_v_var_mean_columns",          0.5, 190,  541,       5.135e-08},
  {"d_fc1_bn_v_var_columns",           0.5, 230,  511,       5.128e-08},
  {"d_loss_G_fc1_map",                 0.5, 340,  300,       5.121e-08},
  {"G_fc1_bn_running_var_columns",     0.5, 80,   308,       5.077e-08},
  {"fc1_bn_m_mean_columns",            0.5, 80,   256,       5.064e-08},
  {"d_bn_v_var_mean_columns_2",        0.5, 60,   181,       5.045e-08},
  {"d_G_bn_map",                       0.5, 120,  60,        5.043e-08},
  {"d_D_fc1_fc2_map",                  0.5, 24,   146,       5.036e-08},
  {"loss_G_fc1_map",                   0.5, 90,   20,        5.032e-08},
  {"loss_rows",                        0.5, 58,   104,       5.026e-08},
  {"d_G_fc1_map",                      0.5, 60,   10,        5.021e-08},
  {"d_G_fc2_weight_map",               0.5, 60,   15,        5.021e-08},
  {"d_G_fc2_bias_columns",             0.5, 54,   27,        5.019e-08},
  {"d_G_fc1_weight_map",               0.5, 40,   10,        5.014e-08},
  {"rhs_arg1_lhs_arg1_map",            0.5, 32,   8,         5.011e-08},
  {"G_fc1_bn_num_batches_tracked_map", 0.5, 4,    1,         5.001e-08},
  {"fooled_mean_map_2",                0.5, 4,    1,         5.001e-08},
};
static const MtTrain train = {
  0,                                 // data: rows
  false,                             // shuffled
  0,                                 // seed of the shuffling
  6, MT_STEPS,                       // how long
  1,                                 // micro-batches an update
  false,                             // matrix products in TF32
  5, train_phases,                   // a step, from update to update
  {6656, 5},                         // bytes of its arena, elements of its outputs
  3, train_logs,                     // logs
  2, train_groups,                   // update groups
  0, NULL,                           // what happens every so often
  51, train_costs,                   // what a step costs
  "two CPU cores with AVX-512",      // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cpu,                           // what it runs on
  10, 3, 1, 0,                       // parameters, states, data sets, evals
  640, 129,                          // elements of the two blocks
  params, states, data,              // their tables
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
#define G_bn_m_mean_columns G_bn_m_mean_columns_f64
#define G_bn_v_var_map G_bn_v_var_map_f64
#define G_bn_running_var_columns G_bn_running_var_columns_f64
#define G_bn_y_map G_bn_y_map_f64
#define G_fc2_map G_fc2_map_f64
#define D_fc1_map D_fc1_map_f64
#define loss_rhs_arg1_softplus_map loss_rhs_arg1_softplus_map_f64
#define loss_mean_sum_rest_rows loss_mean_sum_rest_rows_f64
#define G_bn_num_batches_tracked_map G_bn_num_batches_tracked_map_f64
#define d_add_map d_add_map_f64
#define d_D_fc2_weight_map d_D_fc2_weight_map_f64
#define d_fc1_bias_columns d_fc1_bias_columns_f64
#define d_transpose_map d_transpose_map_f64
#define before_map before_map_f64
#define moved_rows moved_rows_f64
#define fooled_map fooled_map_f64
#define fooled_mean_sum_rest_rows fooled_mean_sum_rest_rows_f64
#define fooled_mean_map fooled_mean_map_f64
#define rhs_arg1_lhs_arg1_map rhs_arg1_lhs_arg1_map_f64
#define loss_G_fc1_map loss_G_fc1_map_f64
#define fc1_bn_m_mean_columns fc1_bn_m_mean_columns_f64
#define G_fc1_bn_running_var_columns G_fc1_bn_running_var_columns_f64
#define G_fc1_bn_num_batches_tracked_map G_fc1_bn_num_batches_tracked_map_f64
#define G_bn_map G_bn_map_f64
#define loss_rows loss_rows_f64
#define d_D_fc1_fc2_map d_D_fc1_fc2_map_f64
#define d_G_fc2_bias_columns d_G_fc2_bias_columns_f64
#define d_G_bn_map d_G_bn_map_f64
#define d_fc1_bn_v_var_columns d_fc1_bn_v_var_columns_f64
#define d_bn_v_var_mean_columns d_bn_v_var_mean_columns_f64
#define d_bn_v_var_mean_columns_2 d_bn_v_var_mean_columns_2_f64
#define d_loss_G_fc1_map d_loss_G_fc1_map_f64
#define d_G_fc1_map d_G_fc1_map_f64
#define d_G_fc1_weight_map d_G_fc1_weight_map_f64
#define d_G_fc2_weight_map d_G_fc2_weight_map_f64
#define spread_mean_rows spread_mean_rows_f64
#define spread_rows spread_rows_f64
#define fooled_mean_map_2 fooled_mean_map_2_f64
#define train_gradients train_gradients_f64
#define train_gradients_1 train_gradients_1_f64
#define train_gradients_2 train_gradients_2_f64
#define train_gradients_3 train_gradients_3_f64
#define train_gradients_4 train_gradients_4_f64
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
#endif
