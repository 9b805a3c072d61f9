// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 21 KB:
//   parameters 2.6 KB, gradients 2.6 KB, optimizer 7.7 KB, states 1.5 KB, batches 80 B, data 320 B, results 20 B, step 6.7 KB
// Most values of a step at once: model.mt:5 3.1 KB, model.mt:9 2.8 KB, model.mt:16 512 B, model.mt:6 256 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"

#define real float

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
static __global__ void G_bn_m_mean_columns(real *__restrict__ mean_div, real *__restrict__ mean_div_2,
                                           real *__restrict__ running_mean_add,
                                           const real *__restrict__ fc1_mm, const real *__restrict__ bias,
                                           const real *__restrict__ running_mean, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 5 ? own : 5 - 1;
  const real bias_at = bias[column];
  const real mean_cast = (real)rows;
  const real running_mean_mul = (real)0.9 * running_mean[column];
  real mean_sum = 0;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    const real fc1_add = fc1_mm[row * 5 + column] + bias_at;
    mean_sum += fc1_add;
    sum += fc1_add;
  }
  mean_sum = column_sum(mean_sum);
  sum = column_sum(sum);
  const real mean_div_at = mean_sum / mean_cast;
  if (threadIdx.y == 0 && own == column) {
    mean_div[column] = mean_div_at;
    mean_div_2[column] = sum / mean_cast;
    running_mean_add[column] = running_mean_mul + (real)0.1 * mean_div_at;
  }
}

// model.mt:5  G.bn.v.var.sub = G.fc1.mm + G.fc1.bias - G.bn.v.var.mean.div
// G.bn.v: reads 120 B, writes 80 B; recomputes 1
static __global__ void G_bn_v_var_map(real *__restrict__ var_sub, const real *__restrict__ fc1_mm,
                                      const real *__restrict__ bias, const real *__restrict__ mean_div,
                                      int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * 5) return;
  var_sub[i] = fc1_mm[i] + bias[i % 5] - mean_div[i % 5];
}

// model.mt:5  G.bn.running_var.add = G.bn.running_var.mul + G.bn.running_var.rhs.mul
// G.bn.y.rsqrt = rsqrt(sum(G.bn.v.var.sub * G.bn.v.var.sub) / f32(rows) + 1e-05)
// fused 9 nodes of G.bn.v, G.bn.running_var and G.bn.y: reads 100 B, writes 40 B; saves 420 B
static __global__ void G_bn_running_var_columns(real *__restrict__ running_var_add,
                                                real *__restrict__ y_rsqrt,
                                                const real *__restrict__ running_var,
                                                const real *__restrict__ var_sub, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 5 ? own : 5 - 1;
  const real running_var_mul = (real)0.9 * running_var[column];
  const real mean_cast = (real)rows;
  const real running_var_div = mean_cast / mt_maximum(mean_cast - 1, (real)1);
  real var_sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    const real var_sub_at = var_sub[row * 5 + column];
    var_sum += var_sub_at * var_sub_at;
  }
  var_sum = column_sum(var_sum);
  const real var_div = var_sum / mean_cast;
  const real running_var_add_at = running_var_mul + (real)0.1 * var_div * running_var_div;
  if (threadIdx.y == 0 && own == column) {
    running_var_add[column] = running_var_add_at;
    y_rsqrt[column] = 1 / sqrt(var_div + (real)1e-05);
  }
}

// model.mt:5  G.bn.y.sub = G.fc1.mm + G.fc1.bias - G.bn.m.mean.div
// G.bn.y.mul = (G.fc1.mm + G.fc1.bias - G.bn.m.mean.div) * G.bn.y.rsqrt
// G.bn.tanh = tanh((G.fc1.add - G.bn.m.mean.div) * G.bn.y.rsqrt * G.bn.weight + G.bn.bias)
// and 1 more results
// computes the product D.fc1.mm and what follows it: reads 308 B, writes 320 B
static __global__ void G_bn_y_product(real *__restrict__ y_sub, real *__restrict__ y_mul,
                                      real *__restrict__ bn_tanh, real *__restrict__ fc1_tanh,
                                      const real *__restrict__ fc1_mm, const real *__restrict__ bias,
                                      const real *__restrict__ mean_div, const real *__restrict__ y_rsqrt,
                                      const real *__restrict__ weight, const real *__restrict__ bias_2,
                                      const real *__restrict__ x, const real *__restrict__ weight_2,
                                      const real *__restrict__ bias_3, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real fc1_mm_at = mt_product<MT_NT>(x, weight_2, rows, 5, P);
  if (row >= rows || column >= 5) return;
  const real y_sub_at = fc1_mm[row * 5 + column] + bias[column] - mean_div[column];
  const real y_mul_at = y_sub_at * y_rsqrt[column];
  y_sub[row * 5 + column] = y_sub_at;
  y_mul[row * 5 + column] = y_mul_at;
  bn_tanh[row * 5 + column] = tanh(y_mul_at * weight[column] + bias_2[column]);
  fc1_tanh[row * 5 + column] = tanh(fc1_mm_at + bias_3[column]);
}

// model.mt:5  G.fc2.add = G.bn.tanh @ t(G.fc2.weight) + G.fc2.bias
// computes the product G.fc2.mm and what follows it: reads 152 B, writes 48 B
static __global__ void G_fc2_product(real *__restrict__ fc2_add, const real *__restrict__ bn_tanh,
                                     const real *__restrict__ weight, const real *__restrict__ bias,
                                     int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real fc2_mm = mt_product<MT_NT>(bn_tanh, weight, rows, P, 5);
  if (row >= rows || column >= P) return;
  fc2_add[row * P + column] = fc2_mm + bias[column];
}

// model.mt:6  D.fc1.tanh.2 = tanh(G.fc2.add @ t(D.fc1.weight) + D.fc1.bias)
// called 2 times
// computes the product loss.D.fc1.mm and what follows it: reads 128 B, writes 80 B
static __global__ void D_fc1_product(real *__restrict__ fc1_tanh_2, const real *__restrict__ fc2_add,
                                     const real *__restrict__ weight, const real *__restrict__ bias,
                                     int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real fc1_mm = mt_product<MT_NT>(fc2_add, weight, rows, 5, P);
  if (row >= rows || column >= 5) return;
  fc1_tanh_2[row * 5 + column] = tanh(fc1_mm + bias[column]);
}

// model.mt:13  loss.rhs.arg1.softplus.add = maximum(D.fc1.fc2.add, 0) + log1p(loss.rhs.arg1.softplus.exp)
// d(D.fc1.fc2.add.add) = d(D.fc1.fc2.add.mul) + d(D.fc1.fc2.add.where.2)
// d(D.fc2.add.neg) = -(d(loss.neg.mul) + d(loss.neg.where.2))
// fused 35 nodes of D.fc2, loss, loss.softplus and 18 more: reads 36 B, writes 48 B; saves 1.1 KB
static __global__ void loss_rhs_arg1_softplus_map(real *__restrict__ softplus_add,
                                                  real *__restrict__ d_fc2_add_add,
                                                  real *__restrict__ d_fc2_add_neg,
                                                  const real *__restrict__ bias,
                                                  const real *__restrict__ fc2_mm, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows) return;
  const real fc2_mm_2 = softplus_add[i];
  const real bias_at = bias[0];
  const real fc2_add = fc2_mm_2 + bias_at;
  const real softplus_exp = exp(-fabs(fc2_add));
  const real softplus_add_at = mt_maximum(fc2_add, (real)0) + log1p(softplus_exp);
  const real d_mean_sum_div = 1 / (real)rows;
  const real d_softplus_neg_mul = d_mean_sum_div / (softplus_exp + 1) * softplus_exp;
  const real d_fc2_add_mul = -d_softplus_neg_mul * ((fc2_add > 0) - (fc2_add < 0));
  const real d_small = d_mean_sum_div * 0.5f;
  const real d_add_where_2 = fc2_add < 0 ? 0 : fc2_add == 0 ? d_small : d_mean_sum_div;
  const real fc2_add_at = fc2_mm[i] + bias_at;
  const real softplus_exp_at = exp(-fabs(fc2_add_at));
  const real d_softplus_neg_mul_at = d_mean_sum_div / (softplus_exp_at + 1) * softplus_exp_at;
  const real loss_neg = -fc2_add_at;
  const real d_loss_neg_mul = -d_softplus_neg_mul_at * ((loss_neg > 0) - (loss_neg < 0));
  const real d_neg_where_2 = loss_neg < 0 ? 0 : loss_neg == 0 ? d_small : d_mean_sum_div;
  softplus_add[i] = softplus_add_at;
  d_fc2_add_add[i] = d_fc2_add_mul + d_add_where_2;
  d_fc2_add_neg[i] = -(d_loss_neg_mul + d_neg_where_2);
}

// model.mt:13  loss.mean.sum.rest = sum(maximum(-D.fc2.add, 0) + log1p(exp(loss.softplus.neg)))
// loss.rhs.mean.sum.rest = sum(loss.rhs.arg1.softplus.add)
// d(D.fc2.bias.add) = sum(d(D.fc1.fc2.add.add)) + sum(-d(loss.neg.add))
// fused 8 nodes of loss.softplus, loss.mean.sum.rest, loss.rhs.mean.sum.rest and 3 more: reads 52 B, writes
//   12 B; saves 140 B; recomputes 17
static __global__ void loss_mean_sum_rest_rows(real *__restrict__ rest, real *__restrict__ rest_2,
                                               real *__restrict__ d_bias_add,
                                               const real *__restrict__ fc2_mm,
                                               const real *__restrict__ bias,
                                               const real *__restrict__ softplus_add,
                                               const real *__restrict__ d_fc2_add_add, int rows) {
  const real bias_at = bias[0];
  const real d_mean_sum_div = 1 / (real)rows;
  const real d_small = d_mean_sum_div * 0.5f;
  real sum = 0;
  real sum_2 = 0;
  real d_bias_sum = 0;
  real d_bias_sum_2 = 0;
  for (int i = threadIdx.x; i < rows; i += 32) {
    const real fc2_add = fc2_mm[i] + bias_at;
    const real loss_neg = -fc2_add;
    const real softplus_exp = exp(-fabs(fc2_add));
    const real softplus_add_at = mt_maximum(loss_neg, (real)0) + log1p(softplus_exp);
    sum += softplus_add_at;
    sum_2 += softplus_add[i];
    d_bias_sum += d_fc2_add_add[i];
    const real d_softplus_neg_mul = d_mean_sum_div / (softplus_exp + 1) * softplus_exp;
    const real d_loss_neg_mul = -d_softplus_neg_mul * ((loss_neg > 0) - (loss_neg < 0));
    const real d_neg_where_2 = loss_neg < 0 ? 0 : loss_neg == 0 ? d_small : d_mean_sum_div;
    d_bias_sum_2 += -(d_loss_neg_mul + d_neg_where_2);
  }
  sum = warp_sum(sum);
  sum_2 = warp_sum(sum_2);
  d_bias_sum = warp_sum(d_bias_sum);
  d_bias_sum_2 = warp_sum(d_bias_sum_2);
  if (threadIdx.x == 0) {
    rest[0] = sum;
    rest_2[0] = sum_2;
    d_bias_add[0] = d_bias_sum + d_bias_sum_2;
  }
}

// model.mt:5  G.bn.num_batches_tracked.add = G.bn.num_batches_tracked + 1
// loss.add = loss.mean.div + loss.rhs.mean.div
// fused 4 nodes of G.bn.num_batches_tracked and loss: reads 12 B, writes 8 B; saves 16 B
static __global__ void G_bn_num_batches_tracked_map(real *__restrict__ num_batches_tracked_add,
                                                    real *__restrict__ loss_add,
                                                    const real *__restrict__ num_batches_tracked,
                                                    const real *__restrict__ rest,
                                                    const real *__restrict__ rest_2, int rows) {
  const real mean_cast = (real)rows;
  num_batches_tracked_add[0] = num_batches_tracked[0] + 1;
  loss_add[0] = rest[0] / mean_cast + rest_2[0] / mean_cast;
}

// model.mt:6  d(loss.D.fc1.add.mul.2) = d(D.fc1.tanh.2.mm) * d(loss.D.fc1.add.sub)
// d(D.fc1.add.mul.2) = d(D.fc1.tanh.mm) * (1 - D.fc1.tanh * D.fc1.tanh)
// computes the product grad.update0.D.fc1.tanh.2.mm and what follows it: reads 276 B, writes 160 B
static __global__ void d_loss_D_fc1_product(real *__restrict__ d_add_mul_2, real *__restrict__ d_add_mul_2_2,
                                            const real *__restrict__ d_fc2_add_add,
                                            const real *__restrict__ fc2_transpose,
                                            const real *__restrict__ fc1_tanh_2,
                                            const real *__restrict__ d_fc1_tanh_mm,
                                            const real *__restrict__ fc1_tanh, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_tanh_2_mm = mt_product<MT_NT>(d_fc2_add_add, fc2_transpose, rows, 5, 1);
  if (row >= rows || column >= 5) return;
  const real fc1_tanh_2_at = fc1_tanh_2[row * 5 + column];
  const real d_add_mul_2_at = d_tanh_2_mm * (1 - fc1_tanh_2_at * fc1_tanh_2_at);
  const real fc1_tanh_at = fc1_tanh[row * 5 + column];
  const real d_add_mul_2_at_2 = d_fc1_tanh_mm[row * 5 + column] * (1 - fc1_tanh_at * fc1_tanh_at);
  d_add_mul_2[row * 5 + column] = d_add_mul_2_at;
  d_add_mul_2_2[row * 5 + column] = d_add_mul_2_at_2;
}

// model.mt:6  d(D.fc2.weight.transpose.copy) = d(D.fc2.transpose.mm) + d(D.fc2.transpose.mm.2)
// D.fc2.weight: reads 40 B, writes 20 B; recomputes 1
static __global__ void d_D_fc2_weight_map(real *__restrict__ d_weight_transpose_copy,
                                          const real *__restrict__ d_fc2_transpose_mm,
                                          const real *__restrict__ d_transpose_mm_2) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 5) return;
  d_weight_transpose_copy[i] = d_fc2_transpose_mm[i] + d_transpose_mm_2[i];
}

// model.mt:6  d(D.fc1.bias.add) = sum(d(loss.D.fc1.add.mul.2)) + sum(d(D.fc1.add.mul.2))
// called 2 times
// fused 3 nodes of D.fc1.bias: reads 160 B, writes 20 B; saves 80 B
static __global__ void d_fc1_bias_columns(real *__restrict__ d_bias_add,
                                          const real *__restrict__ d_add_mul_2,
                                          const real *__restrict__ d_add_mul_2_2, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 5 ? own : 5 - 1;
  real d_bias_sum = 0;
  real d_bias_sum_2 = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    d_bias_sum += d_add_mul_2[row * 5 + column];
    d_bias_sum_2 += d_add_mul_2_2[row * 5 + column];
  }
  d_bias_sum = column_sum(d_bias_sum);
  d_bias_sum_2 = column_sum(d_bias_sum_2);
  if (threadIdx.y == 0 && own == column) d_bias_add[column] = d_bias_sum + d_bias_sum_2;
}

// model.mt:6  d(D.fc1.transpose.add) = t(G.fc2.add) @ d(loss.D.fc1.add.mul.2) + d(D.fc1.transpose.mm.2)
// computes the product grad.update0.D.fc1.transpose.mm and what follows it: reads 188 B, writes 60 B
static __global__ void d_D_fc1_product(real *__restrict__ d_fc1_transpose_add,
                                       const real *__restrict__ fc2_add,
                                       const real *__restrict__ d_add_mul_2,
                                       const real *__restrict__ d_transpose_mm_2, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_fc1_transpose_mm = mt_product<MT_TN>(fc2_add, d_add_mul_2, P, 5, rows);
  if (row >= P || column >= 5) return;
  const real d_fc1_transpose_add_at = d_fc1_transpose_mm + d_transpose_mm_2[row * 5 + column];
  d_fc1_transpose_add[row * 5 + column] = d_fc1_transpose_add_at;
}

// model.mt:12  before.pow = D.fc1.weight * D.fc1.weight
// d(D.fc1.weight.transpose.copy) = d(D.fc1.transpose.add)
// fused 2 nodes of before and D.fc1.weight: reads 120 B, writes 120 B
static __global__ void before_map(real *__restrict__ before_pow, real *__restrict__ d_weight_transpose_copy,
                                  const real *__restrict__ weight,
                                  const real *__restrict__ d_fc1_transpose_add) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 15) return;
  const real weight_at = weight[i];
  before_pow[i] = weight_at * weight_at;
  d_weight_transpose_copy[i] = d_fc1_transpose_add[(i % P) * 5 + i / P];
}

// model.mt:19  moved.sub = sum(D.fc1.weight.2 * D.fc1.weight.2) - sum(before.pow)
// fused 4 nodes of before and moved: reads 120 B, writes 4 B; saves 136 B
static __global__ void moved_rows(real *__restrict__ moved_sub, const real *__restrict__ weight_2,
                                  const real *__restrict__ before_pow) {
  real moved_sum = 0;
  real before_sum = 0;
  for (int i = threadIdx.x; i < 15; i += 32) {
    const real weight_2_at = weight_2[i];
    moved_sum += weight_2_at * weight_2_at;
    before_sum += before_pow[i];
  }
  moved_sum = warp_sum(moved_sum);
  before_sum = warp_sum(before_sum);
  if (threadIdx.x == 0) moved_sub[0] = moved_sum - before_sum;
}

// model.mt:15  fooled.neg = -(D.fc1.fc2.2.mm + D.fc2.bias.2)
// fooled.softplus.exp = exp(-abs(D.fc1.fc2.2.mm + D.fc2.bias.2))
// fused 5 nodes of D.fc1.fc2, fooled and fooled.softplus: reads 20 B, writes 32 B; saves 112 B
static __global__ void fooled_map(real *__restrict__ fooled_neg, real *__restrict__ softplus_exp,
                                  const real *__restrict__ fc2_2_mm, const real *__restrict__ bias_2,
                                  int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows) return;
  const real fc2_2_add = fc2_2_mm[i] + bias_2[0];
  fooled_neg[i] = -fc2_2_add;
  softplus_exp[i] = exp(-fabs(fc2_2_add));
}

// model.mt:15  fooled.mean.sum.rest = sum(maximum(fooled.neg, 0) + log1p(fooled.softplus.exp))
// fused 4 nodes of fooled.softplus and fooled.mean.sum.rest: reads 32 B, writes 4 B; saves 96 B
static __global__ void fooled_mean_sum_rest_rows(real *__restrict__ rest,
                                                 const real *__restrict__ fooled_neg,
                                                 const real *__restrict__ softplus_exp, int rows) {
  real sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32) {
    const real softplus_add = mt_maximum(fooled_neg[i], (real)0) + log1p(softplus_exp[i]);
    sum += softplus_add;
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) rest[0] = sum;
}

// model.mt:15  fooled.mean.div = fooled.mean.sum.rest / f32(rows)
// fooled: reads 4 B, writes 4 B
static __global__ void fooled_mean_map(real *__restrict__ mean_div, const real *__restrict__ rest, int rows) {
  mean_div[0] = rest[0] / (real)rows;
}

// model.mt:16  loss.rhs.rhs.arg1.lhs.arg1.add = z + 1
// loss.rhs.rhs.arg1.lhs.arg1: reads 32 B, writes 32 B
static __global__ void rhs_arg1_lhs_arg1_map(real *__restrict__ arg1_add, const real *__restrict__ z,
                                             int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * Z) return;
  arg1_add[i] = z[i] + 1;
}

// model.mt:5  loss.G.fc1.add = loss.rhs.rhs.arg1.lhs.arg1.add @ t(G.fc1.weight) + G.fc1.bias
// computes the product loss.G.fc1.mm and what follows it: reads 92 B, writes 80 B
static __global__ void loss_G_fc1_product(real *__restrict__ fc1_add, const real *__restrict__ arg1_add,
                                          const real *__restrict__ weight, const real *__restrict__ bias,
                                          int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real fc1_mm = mt_product<MT_NT>(arg1_add, weight, rows, 5, Z);
  if (row >= rows || column >= 5) return;
  fc1_add[row * 5 + column] = fc1_mm + bias[column];
}

// model.mt:5  G.fc1.bn.m.mean.div = sum(loss.G.fc1.add) / f32(rows)
// G.fc1.bn.v.var.mean.div = sum(loss.G.fc1.add) / f32(rows)
// G.fc1.bn.running_mean.add = 0.9 * G.bn.running_mean.2 + 0.1 * G.fc1.bn.m.mean.div
// fused 7 nodes of G.fc1.bn.m, G.fc1.bn.v and G.fc1.bn.running_mean: reads 100 B, writes 60 B; saves 260 B
static __global__ void fc1_bn_m_mean_columns(real *__restrict__ mean_div, real *__restrict__ mean_div_2,
                                             real *__restrict__ running_mean_add,
                                             const real *__restrict__ fc1_add,
                                             const real *__restrict__ running_mean_2, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 5 ? own : 5 - 1;
  const real mean_cast = (real)rows;
  const real running_mean_mul = (real)0.9 * running_mean_2[column];
  real mean_sum = 0;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    const real fc1_add_at = fc1_add[row * 5 + column];
    mean_sum += fc1_add_at;
    sum += fc1_add_at;
  }
  mean_sum = column_sum(mean_sum);
  sum = column_sum(sum);
  const real mean_div_at = mean_sum / mean_cast;
  if (threadIdx.y == 0 && own == column) {
    mean_div[column] = mean_div_at;
    mean_div_2[column] = sum / mean_cast;
    running_mean_add[column] = running_mean_mul + (real)0.1 * mean_div_at;
  }
}

// model.mt:5  G.fc1.bn.running_var.add = G.fc1.bn.running_var.mul + G.fc1.bn.running_var.rhs.mul
// G.fc1.bn.y.rsqrt = rsqrt(sum(G.fc1.bn.v.var.sub * G.fc1.bn.v.var.sub) / f32(rows) + 1e-05)
// fused 9 nodes of G.fc1.bn.v, G.fc1.bn.running_var and G.fc1.bn.y: reads 120 B, writes 40 B; saves 500 B;
//   recomputes 1
static __global__ void G_fc1_bn_running_var_columns(real *__restrict__ running_var_add,
                                                    real *__restrict__ y_rsqrt,
                                                    const real *__restrict__ running_var_2,
                                                    const real *__restrict__ fc1_add,
                                                    const real *__restrict__ mean_div, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 5 ? own : 5 - 1;
  const real running_var_mul = (real)0.9 * running_var_2[column];
  const real mean_div_at = mean_div[column];
  const real mean_cast = (real)rows;
  const real running_var_div = mean_cast / mt_maximum(mean_cast - 1, (real)1);
  real var_sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    const real var_sub = fc1_add[row * 5 + column] - mean_div_at;
    var_sum += var_sub * var_sub;
  }
  var_sum = column_sum(var_sum);
  const real var_div = var_sum / mean_cast;
  const real running_var_add_at = running_var_mul + (real)0.1 * var_div * running_var_div;
  if (threadIdx.y == 0 && own == column) {
    running_var_add[column] = running_var_add_at;
    y_rsqrt[column] = 1 / sqrt(var_div + (real)1e-05);
  }
}

// model.mt:5  G.fc1.bn.num_batches_tracked.add = G.bn.num_batches_tracked.2 + 1
// G.fc1.bn.num_batches_tracked: reads 4 B, writes 4 B
static __global__ void G_fc1_bn_num_batches_tracked_map(real *__restrict__ num_batches_tracked_add,
                                                        const real *__restrict__ num_batches_tracked_2) {
  num_batches_tracked_add[0] = num_batches_tracked_2[0] + 1;
}

// model.mt:5  G.bn.tanh.2 = tanh(G.fc1.bn.y.sub * G.fc1.bn.y.rsqrt * G.bn.weight + G.bn.bias)
// fused 5 nodes of G.fc1.bn.y, G.fc1.bn and G.bn: reads 160 B, writes 80 B; saves 640 B
static __global__ void G_bn_map(real *__restrict__ bn_tanh_2, const real *__restrict__ fc1_add,
                                const real *__restrict__ mean_div, const real *__restrict__ y_rsqrt,
                                const real *__restrict__ weight, const real *__restrict__ bias, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * 5) return;
  const real bn_mul = (fc1_add[i] - mean_div[i % 5]) * y_rsqrt[i % 5] * weight[i % 5];
  bn_tanh_2[i] = tanh(bn_mul + bias[i % 5]);
}

// model.mt:16  loss.add.2 = fooled.mean.div + 0.1 * (sum(G.bn.fc2.add * G.bn.fc2.add) / (f32(rows) * 3))
// d(G.bn.fc2.add.mul.2) = 0.1 / (f32(rows) * 3) * (2 * (G.bn.fc2.mm + G.fc2.bias))
// fused 8 nodes of G.bn.fc2 and loss: reads 64 B, writes 52 B; saves 360 B
static __global__ void loss_rows(real *__restrict__ loss_add_2, real *__restrict__ d_add_mul_2,
                                 const real *__restrict__ mean_div, const real *__restrict__ bias, int rows) {
  const real mean_div_at = mean_div[0];
  const real mean_mul = (real)rows * 3;
  const real d_mean_sum_div = (real)0.1 / mean_mul;
  real mean_sum = 0;
  for (int i = threadIdx.x; i < rows * P; i += 32) {
    const real fc2_mm = d_add_mul_2[i];
    const real fc2_add = fc2_mm + bias[i % P];
    mean_sum += fc2_add * fc2_add;
    d_add_mul_2[i] = d_mean_sum_div * (2 * fc2_add);
  }
  mean_sum = warp_sum(mean_sum);
  if (threadIdx.x == 0) loss_add_2[0] = mean_div_at + (real)0.1 * (mean_sum / mean_mul);
}

// model.mt:15  d(D.fc1.fc2.2.add.neg) = -(d(fooled.neg.mul) + d(fooled.neg.where.2))
// fused 12 nodes of fooled.softplus, fooled and D.fc1.fc2: reads 32 B, writes 16 B; saves 352 B
static __global__ void d_D_fc1_fc2_map(real *__restrict__ d_2_add_neg, const real *__restrict__ softplus_exp,
                                       const real *__restrict__ fooled_neg, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows) return;
  const real d_mean_sum_div = 1 / (real)rows;
  const real softplus_exp_at = softplus_exp[i];
  const real d_softplus_neg_mul = d_mean_sum_div / (softplus_exp_at + 1) * softplus_exp_at;
  const real fooled_neg_at = fooled_neg[i];
  const real d_fooled_neg_mul = -d_softplus_neg_mul * ((fooled_neg_at > 0) - (fooled_neg_at < 0));
  const real d_fooled_neg_where = fooled_neg_at == 0 ? d_mean_sum_div * 0.5f : d_mean_sum_div;
  const real d_fooled_neg_add = d_fooled_neg_mul + (fooled_neg_at < 0 ? 0 : d_fooled_neg_where);
  d_2_add_neg[i] = -d_fooled_neg_add;
}

// model.mt:5  d(G.fc1.bn.add.mul.2) = d(G.bn.fc2.add.mul.2) @ G.fc2.weight * (1 - d(G.fc1.bn.add.mul))
// d(fooled.D.fc1.add.mul.2) = d(D.fc1.tanh.3.mm) * (1 - D.fc1.tanh.3 * D.fc1.tanh.3)
// computes the product grad.update1.G.bn.tanh.2.mm and what follows it: reads 348 B, writes 160 B
static __global__ void d_G_fc1_bn_product(real *__restrict__ d_add_mul_2, real *__restrict__ d_add_mul_2_2,
                                          const real *__restrict__ d_add_mul_2_3,
                                          const real *__restrict__ weight,
                                          const real *__restrict__ bn_tanh_2,
                                          const real *__restrict__ d_tanh_3_mm,
                                          const real *__restrict__ fc1_tanh_3, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_tanh_2_mm = mt_product<MT_NN>(d_add_mul_2_3, weight, rows, 5, P);
  if (row >= rows || column >= 5) return;
  const real bn_tanh_2_at = bn_tanh_2[row * 5 + column];
  const real fc1_tanh_3_at = fc1_tanh_3[row * 5 + column];
  const real d_add_mul_2_at = d_tanh_3_mm[row * 5 + column] * (1 - fc1_tanh_3_at * fc1_tanh_3_at);
  d_add_mul_2[row * 5 + column] = d_tanh_2_mm * (1 - bn_tanh_2_at * bn_tanh_2_at);
  d_add_mul_2_2[row * 5 + column] = d_add_mul_2_at;
}

// model.mt:5  d(G.fc2.bias.add) = sum(d(G.bn.fc2.add.mul.2)) + sum(d(G.fc2.add.mm))
// fused 3 nodes of G.fc2.bias: reads 96 B, writes 12 B; saves 48 B
static __global__ void d_G_fc2_bias_columns(real *__restrict__ d_bias_add,
                                            const real *__restrict__ d_add_mul_2,
                                            const real *__restrict__ d_fc2_add_mm, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < P ? own : P - 1;
  real d_bias_sum = 0;
  real d_bias_sum_2 = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    d_bias_sum += d_add_mul_2[row * P + column];
    d_bias_sum_2 += d_fc2_add_mm[row * P + column];
  }
  d_bias_sum = column_sum(d_bias_sum);
  d_bias_sum_2 = column_sum(d_bias_sum_2);
  if (threadIdx.y == 0 && own == column) d_bias_add[column] = d_bias_sum + d_bias_sum_2;
}

// model.mt:5  d(G.bn.add.mul.2) = d(G.fc2.add.mm) @ G.fc2.weight * (1 - G.bn.tanh * G.bn.tanh)
// computes the product grad.update1.G.bn.tanh.mm and what follows it: reads 188 B, writes 80 B
static __global__ void d_G_bn_product(real *__restrict__ d_add_mul_2, const real *__restrict__ d_fc2_add_mm,
                                      const real *__restrict__ weight, const real *__restrict__ bn_tanh,
                                      int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_bn_tanh_mm = mt_product<MT_NN>(d_fc2_add_mm, weight, rows, 5, P);
  if (row >= rows || column >= 5) return;
  const real bn_tanh_at = bn_tanh[row * 5 + column];
  d_add_mul_2[row * 5 + column] = d_bn_tanh_mm * (1 - bn_tanh_at * bn_tanh_at);
}

// model.mt:5  d(G.fc1.bn.v.var.sum.div) = d(G.fc1.bn.y.add.mul.3) * d(G.fc1.bn.y.add.mul.2) / f32(rows)
// d(G.fc1.bn.m.mean.sum.div) = sum(-(d(G.fc1.bn.y.mul.mul) * G.fc1.bn.y.rsqrt)) / f32(rows)
// d(G.bn.bias.add) = sum(d(G.fc1.bn.add.mul.2)) + sum(d(G.bn.add.mul.2))
// and 1 more results
// fused 16 nodes of G.bn.bias, G.bn.weight, G.fc1.bn.y and 4 more: reads 380 B, writes 80 B; saves 1.3 KB;
//   recomputes 6
static __global__ void d_fc1_bn_v_var_columns(real *__restrict__ d_var_sum_div,
                                              real *__restrict__ d_mean_sum_div,
                                              real *__restrict__ d_bias_add, real *__restrict__ d_weight_add,
                                              const real *__restrict__ d_add_mul_2,
                                              const real *__restrict__ weight,
                                              const real *__restrict__ fc1_add,
                                              const real *__restrict__ mean_div,
                                              const real *__restrict__ y_rsqrt,
                                              const real *__restrict__ d_add_mul_2_2,
                                              const real *__restrict__ y_mul, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 5 ? own : 5 - 1;
  const real weight_at = weight[column];
  const real mean_div_at = mean_div[column];
  const real y_rsqrt_at = y_rsqrt[column];
  const real d_add_mul_2_at = y_rsqrt_at * y_rsqrt_at * y_rsqrt_at;
  const real mean_cast = (real)rows;
  real d_y_rsqrt_sum = 0;
  real d_mean_div_sum = 0;
  real d_bias_sum = 0;
  real d_bias_sum_2 = 0;
  real d_weight_sum = 0;
  real d_weight_sum_2 = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    const real d_add_mul_2_at_2 = d_add_mul_2[row * 5 + column];
    const real d_y_mul_mul = d_add_mul_2_at_2 * weight_at;
    const real y_sub = fc1_add[row * 5 + column] - mean_div_at;
    d_y_rsqrt_sum += d_y_mul_mul * y_sub;
    d_mean_div_sum += -(d_y_mul_mul * y_rsqrt_at);
    d_bias_sum += d_add_mul_2_at_2;
    const real d_add_mul_2_2_at = d_add_mul_2_2[row * 5 + column];
    d_bias_sum_2 += d_add_mul_2_2_at;
    d_weight_sum += d_add_mul_2_at_2 * (y_sub * y_rsqrt_at);
    d_weight_sum_2 += d_add_mul_2_2_at * y_mul[row * 5 + column];
  }
  d_y_rsqrt_sum = column_sum(d_y_rsqrt_sum);
  d_mean_div_sum = column_sum(d_mean_div_sum);
  d_bias_sum = column_sum(d_bias_sum);
  d_bias_sum_2 = column_sum(d_bias_sum_2);
  d_weight_sum = column_sum(d_weight_sum);
  d_weight_sum_2 = column_sum(d_weight_sum_2);
  const real d_var_sum_div_at = d_y_rsqrt_sum * -0.5f * d_add_mul_2_at / mean_cast;
  if (threadIdx.y == 0 && own == column) {
    d_var_sum_div[column] = d_var_sum_div_at;
    d_mean_sum_div[column] = d_mean_div_sum / mean_cast;
    d_bias_add[column] = d_bias_sum + d_bias_sum_2;
    d_weight_add[column] = d_weight_sum + d_weight_sum_2;
  }
}

// model.mt:5  d(G.fc1.bn.v.var.mean.sum.div) = sum(-d(G.fc1.bn.v.var.sub.add)) / f32(rows)
// d(G.bn.v.var.sum.div) = d(G.bn.y.add.mul.3) * d(G.bn.y.add.mul.2) / f32(rows)
// d(G.bn.m.mean.sum.div) = sum(-(d(G.bn.add.mul.2) * G.bn.weight * G.bn.y.rsqrt)) / f32(rows)
// fused 13 nodes of G.fc1.bn.v, G.bn.y, G.bn.m and 1 more: reads 320 B, writes 60 B; saves 800 B;
//   recomputes 5
static __global__ void d_bn_v_var_mean_columns(real *__restrict__ d_mean_sum_div,
                                               real *__restrict__ d_var_sum_div,
                                               real *__restrict__ d_mean_sum_div_2,
                                               const real *__restrict__ d_var_sum_div_2,
                                               const real *__restrict__ fc1_add,
                                               const real *__restrict__ mean_div,
                                               const real *__restrict__ d_add_mul_2,
                                               const real *__restrict__ weight,
                                               const real *__restrict__ y_sub,
                                               const real *__restrict__ y_rsqrt, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 5 ? own : 5 - 1;
  const real d_var_sum_div_2_at = d_var_sum_div_2[column];
  const real mean_div_at = mean_div[column];
  const real mean_cast = (real)rows;
  const real weight_at = weight[column];
  const real y_rsqrt_at = y_rsqrt[column];
  const real d_add_mul_2_at = y_rsqrt_at * y_rsqrt_at * y_rsqrt_at;
  real d_mean_div_reshape = 0;
  real d_y_rsqrt_sum = 0;
  real d_mean_div_sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    const real d_var_sub_mul = d_var_sum_div_2_at * (fc1_add[row * 5 + column] - mean_div_at);
    d_mean_div_reshape += -(d_var_sub_mul + d_var_sub_mul);
    const real d_y_mul_mul = d_add_mul_2[row * 5 + column] * weight_at;
    d_y_rsqrt_sum += d_y_mul_mul * y_sub[row * 5 + column];
    d_mean_div_sum += -(d_y_mul_mul * y_rsqrt_at);
  }
  d_mean_div_reshape = column_sum(d_mean_div_reshape);
  d_y_rsqrt_sum = column_sum(d_y_rsqrt_sum);
  d_mean_div_sum = column_sum(d_mean_div_sum);
  const real d_var_sum_div_at = d_y_rsqrt_sum * -0.5f * d_add_mul_2_at / mean_cast;
  if (threadIdx.y == 0 && own == column) {
    d_mean_sum_div[column] = d_mean_div_reshape / mean_cast;
    d_var_sum_div[column] = d_var_sum_div_at;
    d_mean_sum_div_2[column] = d_mean_div_sum / mean_cast;
  }
}

// model.mt:5  d(G.bn.v.var.mean.sum.div) = sum(-d(G.bn.v.var.sub.add)) / f32(rows)
// fused 3 nodes of G.bn.v: reads 100 B, writes 20 B; saves 180 B; recomputes 2
static __global__ void d_bn_v_var_mean_columns_2(real *__restrict__ d_mean_sum_div,
                                                 const real *__restrict__ d_var_sum_div,
                                                 const real *__restrict__ var_sub, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 5 ? own : 5 - 1;
  const real d_var_sum_div_at = d_var_sum_div[column];
  const real mean_cast = (real)rows;
  real d_mean_div_reshape = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    const real d_var_sub_mul = d_var_sum_div_at * var_sub[row * 5 + column];
    d_mean_div_reshape += -(d_var_sub_mul + d_var_sub_mul);
  }
  d_mean_div_reshape = column_sum(d_mean_div_reshape);
  if (threadIdx.y == 0 && own == column) d_mean_sum_div[column] = d_mean_div_reshape / mean_cast;
}

// model.mt:5  d(loss.G.fc1.add.add.3) = d(loss.G.fc1.add.add.2) + d(G.fc1.bn.m.mean.sum.div)
// d(G.fc1.add.add.3) = d(G.fc1.add.add) + d(G.bn.v.var.mean.sum.div) + d(G.bn.m.mean.sum.div)
// fused 6 nodes of loss.G.fc1 and G.fc1: reads 520 B, writes 160 B; saves 860 B; recomputes 9
static __global__ void d_loss_G_fc1_map(real *__restrict__ d_add_add_3, real *__restrict__ d_add_add_3_2,
                                        const real *__restrict__ weight, const real *__restrict__ y_rsqrt,
                                        const real *__restrict__ d_var_sum_div,
                                        const real *__restrict__ mean_div,
                                        const real *__restrict__ d_mean_sum_div,
                                        const real *__restrict__ d_mean_sum_div_2,
                                        const real *__restrict__ d_add_mul_2,
                                        const real *__restrict__ y_rsqrt_2,
                                        const real *__restrict__ d_var_sum_div_2,
                                        const real *__restrict__ var_sub,
                                        const real *__restrict__ d_mean_sum_div_3,
                                        const real *__restrict__ d_mean_sum_div_4, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * 5) return;
  const real d_add_mul_2_2 = d_add_add_3_2[i];
  const real weight_at = weight[i % 5];
  const real fc1_add = d_add_add_3[i];
  const real d_var_sub_mul = d_var_sum_div[i % 5] * (fc1_add - mean_div[i % 5]);
  const real d_fc1_add_add = d_add_mul_2_2 * weight_at * y_rsqrt[i % 5] + (d_var_sub_mul + d_var_sub_mul);
  const real d_add_add_3_at = d_fc1_add_add + d_mean_sum_div[i % 5] + d_mean_sum_div_2[i % 5];
  const real d_var_sub_mul_at = d_var_sum_div_2[i % 5] * var_sub[i];
  const real d_fc1_add_add_at = d_add_mul_2[i] * weight_at * y_rsqrt_2[i % 5] + (d_var_sub_mul_at + d_var_sub_mul_at);
  const real d_add_add_3_at_2 = d_fc1_add_add_at + d_mean_sum_div_3[i % 5] + d_mean_sum_div_4[i % 5];
  d_add_add_3[i] = d_add_add_3_at;
  d_add_add_3_2[i] = d_add_add_3_at_2;
}

// model.mt:5  d(G.fc2.transpose.add) = t(G.bn.tanh.2) @ d(G.bn.fc2.add.mul.2) + d(G.fc2.transpose.mm.2)
// computes the product grad.update1.G.fc2.transpose.mm and what follows it: reads 188 B, writes 60 B
static __global__ void d_G_fc2_product(real *__restrict__ d_fc2_transpose_add,
                                       const real *__restrict__ bn_tanh_2,
                                       const real *__restrict__ d_add_mul_2,
                                       const real *__restrict__ d_transpose_mm_2, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_fc2_transpose_mm = mt_product<MT_TN>(bn_tanh_2, d_add_mul_2, 5, P, rows);
  if (row >= 5 || column >= P) return;
  const real d_fc2_transpose_add_at = d_fc2_transpose_mm + d_transpose_mm_2[row * P + column];
  d_fc2_transpose_add[row * P + column] = d_fc2_transpose_add_at;
}

// model.mt:5  d(G.fc1.transpose.add) = d(G.fc1.transpose.mm) + d(G.fc1.transpose.mm.2)
// computes the product grad.update1.G.fc1.transpose.mm and what follows it: reads 152 B, writes 40 B
static __global__ void d_G_fc1_product(real *__restrict__ d_fc1_transpose_add,
                                       const real *__restrict__ arg1_add,
                                       const real *__restrict__ d_add_add_3,
                                       const real *__restrict__ d_transpose_mm_2, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real d_fc1_transpose_mm = mt_product<MT_TN>(arg1_add, d_add_add_3, Z, 5, rows);
  if (row >= Z || column >= 5) return;
  const real d_fc1_transpose_add_at = d_fc1_transpose_mm + d_transpose_mm_2[row * 5 + column];
  d_fc1_transpose_add[row * 5 + column] = d_fc1_transpose_add_at;
}

// model.mt:5  d(G.fc1.weight.transpose.copy) = d(G.fc1.transpose.add)
// G.fc1.weight: reads 40 B, writes 40 B
static __global__ void d_G_fc1_weight_map(real *__restrict__ d_weight_transpose_copy,
                                          const real *__restrict__ d_fc1_transpose_add) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 10) return;
  d_weight_transpose_copy[i] = d_fc1_transpose_add[(i % Z) * 5 + i / Z];
}

// model.mt:5  d(G.fc2.weight.transpose.copy) = d(G.fc2.transpose.add)
// G.fc2.weight: reads 60 B, writes 60 B
static __global__ void d_G_fc2_weight_map(real *__restrict__ d_weight_transpose_copy,
                                          const real *__restrict__ d_fc2_transpose_add) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 15) return;
  d_weight_transpose_copy[i] = d_fc2_transpose_add[(i % 5) * P + i / 5];
}

// model.mt:20  spread.mean.div = sum(G.bn.running_var.3) / 5
// fused 2 nodes of spread: reads 20 B, writes 4 B; saves 8 B
static __global__ void spread_mean_rows(real *__restrict__ mean_div, const real *__restrict__ running_var_3) {
  real mean_sum = 0;
  for (int i = threadIdx.x; i < 5; i += 32)
    mean_sum += running_var_3[i];
  mean_sum = warp_sum(mean_sum);
  if (threadIdx.x == 0) mean_div[0] = mean_sum / 5;
}

// model.mt:20  spread.sub = spread.mean.div - sum(G.fc2.bias.2) / 3
// fused 3 nodes of spread: reads 16 B, writes 4 B; saves 16 B
static __global__ void spread_rows(real *__restrict__ spread_sub, const real *__restrict__ mean_div,
                                   const real *__restrict__ bias_2) {
  const real mean_div_at = mean_div[0];
  real mean_sum = 0;
  for (int i = threadIdx.x; i < P; i += 32)
    mean_sum += bias_2[i];
  mean_sum = warp_sum(mean_sum);
  if (threadIdx.x == 0) spread_sub[0] = mean_div_at - mean_sum / 3;
}

// model.mt:15  fooled.mean.div.copy = fooled.mean.div
// fooled: reads 4 B, writes 4 B
static __global__ void fooled_mean_map_2(real *__restrict__ mean_div_copy, const real *__restrict__ mean_div) {
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
  real *G_bn_y_sub = AT(real, 1280);                                             // (B, 5)
  real *G_bn_y_mul = AT(real, 768);                                              // (B, 5)
  real *G_bn_tanh = AT(real, 512);                                               // (B, 5)
  real *D_fc1_tanh = AT(real, 3328);                                             // (B, 5)
  real *G_fc2_add = AT(real, 256);                                               // (B, P)
  real *D_fc2_mm = AT(real, 2816);                                               // (B, 1)
  real *D_fc1_tanh_2 = AT(real, 3072);                                           // (B, 5)
  real *D_fc1_fc2_mm = AT(real, 3584);                                           // (B, 1)
  real *loss_rhs_arg1_softplus_add = AT(real, 3584);                             // (B, 1)
  real *d_D_fc1_fc2_add_add = AT(real, 3840);                                    // (B, 1)
  real *d_D_fc2_add_neg = AT(real, 4096);                                        // (B, 1)
  real *loss_mean_sum_rest = AT(real, 4352);                                     // (1)
  real *loss_rhs_mean_sum_rest = AT(real, 4608);                                 // (1)
  real *d_D_fc1_tanh_mm = AT(real, 2816);                                        // (B, 5)
  real *d_loss_D_fc1_add_mul_2 = AT(real, 3584);                                 // (B, 5)
  real *d_D_fc1_add_mul_2 = AT(real, 4352);                                      // (B, 5)
  real *d_D_fc2_transpose_mm = AT(real, 2816);                                   // (5, 1)
  real *d_D_fc2_transpose_mm_2 = AT(real, 3072);                                 // (5, 1)
  real *d_D_fc1_transpose_mm_2 = AT(real, 4608);                                 // (P, 5)
  real *d_D_fc1_transpose_add = AT(real, 2816);                                  // (P, 5)
  real *before_pow = AT(real, 0);                                                // (5, P)
  real *G_bn_running_mean_add = (real *)((real *)run->new_states + 0);           // (5)
  real *G_bn_running_var_add = (real *)((real *)run->new_states + 64);           // (5)
  real *G_bn_num_batches_tracked_add = (real *)((real *)run->new_states + 128);  // ()
  real *loss_add = (real *)run->outputs + 0;                                     // ()

  // model.mt:5
  STEP(mt_gemm(run, MT_NT, rows, 5, Z, z, p.G_fc1_weight, G_fc1_mm));
  LAUNCH(G_bn_m_mean_columns, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      G_bn_m_mean_div, G_bn_v_var_mean_div, G_bn_running_mean_add, G_fc1_mm, p.G_fc1_bias,
      G_bn_running_mean, rows);
  LAUNCH(G_bn_v_var_map, mt_blocks(rows * 5, 256), 256, 0, run)(
      G_bn_v_var_sub, G_fc1_mm, p.G_fc1_bias, G_bn_v_var_mean_div, rows);
  LAUNCH(G_bn_running_var_columns, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      G_bn_running_var_add, G_bn_y_rsqrt, G_bn_running_var, G_bn_v_var_sub, rows);
  LAUNCH(G_bn_y_product, dim3(mt_blocks(5, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      G_bn_y_sub, G_bn_y_mul, G_bn_tanh, D_fc1_tanh, G_fc1_mm, p.G_fc1_bias, G_bn_m_mean_div, G_bn_y_rsqrt,
      p.G_bn_weight, p.G_bn_bias, x, p.D_fc1_weight, p.D_fc1_bias, rows);
  LAUNCH(G_fc2_product, dim3(mt_blocks(P, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      G_fc2_add, G_bn_tanh, p.G_fc2_weight, p.G_fc2_bias, rows);

  // model.mt:6
  STEP(mt_gemm(run, MT_NN, rows, 1, 5, D_fc1_tanh, p.D_fc2_weight, D_fc2_mm));
  LAUNCH(D_fc1_product, dim3(mt_blocks(5, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      D_fc1_tanh_2, G_fc2_add, p.D_fc1_weight, p.D_fc1_bias, rows);
  STEP(mt_gemm(run, MT_NN, rows, 1, 5, D_fc1_tanh_2, p.D_fc2_weight, D_fc1_fc2_mm));

  // model.mt:13
  LAUNCH(loss_rhs_arg1_softplus_map, mt_blocks(rows, 256), 256, 0, run)(
      loss_rhs_arg1_softplus_add, d_D_fc1_fc2_add_add, d_D_fc2_add_neg, p.D_fc2_bias, D_fc2_mm, rows);
  LAUNCH(loss_mean_sum_rest_rows, 1, 32, 0, run)(loss_mean_sum_rest, loss_rhs_mean_sum_rest, d.D_fc2_bias,
                                                 D_fc2_mm, p.D_fc2_bias, loss_rhs_arg1_softplus_add,
                                                 d_D_fc1_fc2_add_add, rows);

  // model.mt:5
  LAUNCH(G_bn_num_batches_tracked_map, 1, 1, 0, run)(G_bn_num_batches_tracked_add, loss_add,
                                                     G_bn_num_batches_tracked, loss_mean_sum_rest,
                                                     loss_rhs_mean_sum_rest, rows);

  // model.mt:6, backward
  STEP(mt_gemm(run, MT_NT, rows, 5, 1, d_D_fc2_add_neg, p.D_fc2_weight, d_D_fc1_tanh_mm));
  LAUNCH(d_loss_D_fc1_product, dim3(mt_blocks(5, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      d_loss_D_fc1_add_mul_2, d_D_fc1_add_mul_2, d_D_fc1_fc2_add_add, p.D_fc2_weight, D_fc1_tanh_2,
      d_D_fc1_tanh_mm, D_fc1_tanh, rows);
  STEP(mt_gemm(run, MT_TN, 5, 1, rows, D_fc1_tanh_2, d_D_fc1_fc2_add_add, d_D_fc2_transpose_mm));
  STEP(mt_gemm(run, MT_TN, 5, 1, rows, D_fc1_tanh, d_D_fc2_add_neg, d_D_fc2_transpose_mm_2));
  LAUNCH(d_D_fc2_weight_map, mt_blocks(5, 256), 256, 0, run)(
      d.D_fc2_weight, d_D_fc2_transpose_mm, d_D_fc2_transpose_mm_2);
  LAUNCH(d_fc1_bias_columns, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      d.D_fc1_bias, d_loss_D_fc1_add_mul_2, d_D_fc1_add_mul_2, rows);
  STEP(mt_gemm(run, MT_TN, P, 5, rows, x, d_D_fc1_add_mul_2, d_D_fc1_transpose_mm_2));
  LAUNCH(d_D_fc1_product, dim3(mt_blocks(5, 16), mt_blocks(P, 16)), dim3(16, 16), 0, run)(
      d_D_fc1_transpose_add, G_fc2_add, d_loss_D_fc1_add_mul_2, d_D_fc1_transpose_mm_2, rows);

  // model.mt:12
  LAUNCH(before_map, mt_blocks(15, 256), 256, 0, run)(before_pow, d.D_fc1_weight, p.D_fc1_weight,
                                                      d_D_fc1_transpose_add);
}

// What stands between updates.
static void train_gradients_1(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  real *before_pow = AT(real, 0);               // (5, P)
  real *D_fc1_tanh_3 = AT(real, 2560);          // (B, 5)
  real *G_fc2_add = AT(real, 256);              // (B, P)
  real *D_fc1_fc2_2_mm = AT(real, 2816);        // (B, 1)
  real *fooled_neg = AT(real, 2304);            // (B, 1)
  real *fooled_softplus_exp = AT(real, 2048);   // (B, 1)
  real *fooled_mean_sum_rest = AT(real, 2816);  // (1)
  real *fooled_mean_div = AT(real, 1792);       // ()
  real *moved_sub = (real *)run->outputs + 1;   // ()
  (void)batch;

  // model.mt:19
  LAUNCH(moved_rows, 1, 32, 0, run)(moved_sub, p.D_fc1_weight, before_pow);

  // model.mt:6
  LAUNCH(D_fc1_product, dim3(mt_blocks(5, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      D_fc1_tanh_3, G_fc2_add, p.D_fc1_weight, p.D_fc1_bias, rows);
  STEP(mt_gemm(run, MT_NN, rows, 1, 5, D_fc1_tanh_3, p.D_fc2_weight, D_fc1_fc2_2_mm));

  // model.mt:15
  LAUNCH(fooled_map, mt_blocks(rows, 256), 256, 0, run)(
      fooled_neg, fooled_softplus_exp, D_fc1_fc2_2_mm, p.D_fc2_bias, rows);
  LAUNCH(fooled_mean_sum_rest_rows, 1, 32, 0, run)(fooled_mean_sum_rest, fooled_neg, fooled_softplus_exp,
                                                   rows);
  LAUNCH(fooled_mean_map, 1, 1, 0, run)(fooled_mean_div, fooled_mean_sum_rest, rows);
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
  real *d_G_fc1_bn_add_mul_2 = AT(real, 5120);                              // (B, 5)
  real *d_fooled_D_fc1_add_mul_2 = AT(real, 4608);                          // (B, 5)
  real *D_fc1_tanh_3 = AT(real, 2560);                                      // (B, 5)
  real *d_G_fc2_add_mm = AT(real, 4864);                                    // (B, P)
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
  real *d_G_fc2_transpose_add = AT(real, 4864);                             // (5, P)
  real *d_G_fc1_transpose_mm_2 = AT(real, 5376);                            // (Z, 5)
  real *d_G_fc1_transpose_add = AT(real, 5120);                             // (Z, 5)
  real *G_fc1_bn_running_mean_add = (real *)((real *)run->new_states + 0);  // (5)
  real *G_fc1_bn_running_var_add = (real *)((real *)run->new_states + 64);  // (5)
  real *G_fc1_bn_num_batches_tracked_add = (real *)((real *)run->new_states + 128);  // ()
  real *loss_add_2 = (real *)run->outputs + 2;                              // ()

  // model.mt:16
  LAUNCH(rhs_arg1_lhs_arg1_map, mt_blocks(rows * Z, 256), 256, 0, run)(
      loss_rhs_rhs_arg1_lhs_arg1_add, z, rows);

  // model.mt:5
  LAUNCH(loss_G_fc1_product, dim3(mt_blocks(5, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      loss_G_fc1_add, loss_rhs_rhs_arg1_lhs_arg1_add, p.G_fc1_weight, p.G_fc1_bias, rows);
  LAUNCH(fc1_bn_m_mean_columns, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      G_fc1_bn_m_mean_div, G_fc1_bn_v_var_mean_div, G_fc1_bn_running_mean_add, loss_G_fc1_add,
      G_bn_running_mean_2, rows);
  LAUNCH(G_fc1_bn_running_var_columns, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      G_fc1_bn_running_var_add, G_fc1_bn_y_rsqrt, G_bn_running_var_2, loss_G_fc1_add,
      G_fc1_bn_v_var_mean_div, rows);
  LAUNCH(G_fc1_bn_num_batches_tracked_map, 1, 1, 0, run)(
      G_fc1_bn_num_batches_tracked_add, G_bn_num_batches_tracked_2);
  LAUNCH(G_bn_map, mt_blocks(rows * 5, 256), 256, 0, run)(
      G_bn_tanh_2, loss_G_fc1_add, G_fc1_bn_m_mean_div, G_fc1_bn_y_rsqrt, p.G_bn_weight, p.G_bn_bias, rows);
  STEP(mt_gemm(run, MT_NT, rows, P, 5, G_bn_tanh_2, p.G_fc2_weight, G_bn_fc2_mm));

  // model.mt:16
  LAUNCH(loss_rows, 1, 32, 0, run)(loss_add_2, d_G_bn_fc2_add_mul_2, fooled_mean_div, p.G_fc2_bias, rows);

  // model.mt:15, backward
  LAUNCH(d_D_fc1_fc2_map, mt_blocks(rows, 256), 256, 0, run)(
      d_D_fc1_fc2_2_add_neg, fooled_softplus_exp, fooled_neg, rows);

  // model.mt:6, backward
  STEP(mt_gemm(run, MT_NT, rows, 5, 1, d_D_fc1_fc2_2_add_neg, p.D_fc2_weight, d_D_fc1_tanh_3_mm));

  // model.mt:5, backward
  LAUNCH(d_G_fc1_bn_product, dim3(mt_blocks(5, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      d_G_fc1_bn_add_mul_2, d_fooled_D_fc1_add_mul_2, d_G_bn_fc2_add_mul_2, p.G_fc2_weight, G_bn_tanh_2,
      d_D_fc1_tanh_3_mm, D_fc1_tanh_3, rows);

  // model.mt:6, backward
  STEP(mt_gemm(run, MT_NN, rows, P, 5, d_fooled_D_fc1_add_mul_2, p.D_fc1_weight, d_G_fc2_add_mm));

  // model.mt:5, backward
  LAUNCH(d_G_fc2_bias_columns, mt_blocks(P, 32), dim3(32, 8), 0, run)(
      d.G_fc2_bias, d_G_bn_fc2_add_mul_2, d_G_fc2_add_mm, rows);
  LAUNCH(d_G_bn_product, dim3(mt_blocks(5, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      d_G_bn_add_mul_2, d_G_fc2_add_mm, p.G_fc2_weight, G_bn_tanh, rows);
  LAUNCH(d_fc1_bn_v_var_columns, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      d_G_fc1_bn_v_var_sum_div, d_G_fc1_bn_m_mean_sum_div, d.G_bn_bias, d.G_bn_weight,
      d_G_fc1_bn_add_mul_2, p.G_bn_weight, loss_G_fc1_add, G_fc1_bn_m_mean_div, G_fc1_bn_y_rsqrt,
      d_G_bn_add_mul_2, G_bn_y_mul, rows);
  LAUNCH(d_bn_v_var_mean_columns, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      d_G_fc1_bn_v_var_mean_sum_div, d_G_bn_v_var_sum_div, d_G_bn_m_mean_sum_div, d_G_fc1_bn_v_var_sum_div,
      loss_G_fc1_add, G_fc1_bn_v_var_mean_div, d_G_bn_add_mul_2, p.G_bn_weight, G_bn_y_sub, G_bn_y_rsqrt,
      rows);
  LAUNCH(d_bn_v_var_mean_columns_2, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      d_G_bn_v_var_mean_sum_div, d_G_bn_v_var_sum_div, G_bn_v_var_sub, rows);
  LAUNCH(d_loss_G_fc1_map, mt_blocks(rows * 5, 256), 256, 0, run)(
      d_loss_G_fc1_add_add_3, d_G_fc1_add_add_3, p.G_bn_weight, G_fc1_bn_y_rsqrt, d_G_fc1_bn_v_var_sum_div,
      G_fc1_bn_v_var_mean_div, d_G_fc1_bn_v_var_mean_sum_div, d_G_fc1_bn_m_mean_sum_div, d_G_bn_add_mul_2,
      G_bn_y_rsqrt, d_G_bn_v_var_sum_div, G_bn_v_var_sub, d_G_bn_v_var_mean_sum_div, d_G_bn_m_mean_sum_div,
      rows);
  LAUNCH(d_fc1_bias_columns, mt_blocks(5, 32), dim3(32, 8), 0, run)(
      d.G_fc1_bias, d_loss_G_fc1_add_add_3, d_G_fc1_add_add_3, rows);
  STEP(mt_gemm(run, MT_TN, 5, P, rows, G_bn_tanh, d_G_fc2_add_mm, d_G_fc2_transpose_mm_2));
  LAUNCH(d_G_fc2_product, dim3(mt_blocks(P, 16), mt_blocks(5, 16)), dim3(16, 16), 0, run)(
      d_G_fc2_transpose_add, G_bn_tanh_2, d_G_bn_fc2_add_mul_2, d_G_fc2_transpose_mm_2, rows);
  STEP(mt_gemm(run, MT_TN, Z, 5, rows, z, d_G_fc1_add_add_3, d_G_fc1_transpose_mm_2));
  LAUNCH(d_G_fc1_product, dim3(mt_blocks(5, 16), mt_blocks(Z, 16)), dim3(16, 16), 0, run)(
      d_G_fc1_transpose_add, loss_rhs_rhs_arg1_lhs_arg1_add, d_loss_G_fc1_add_add_3,
      d_G_fc1_transpose_mm_2, rows);
  LAUNCH(d_G_fc1_weight_map, mt_blocks(10, 256), 256, 0, run)(d.G_fc1_weight, d_G_fc1_transpose_add);
  LAUNCH(d_G_fc2_weight_map, mt_blocks(15, 256), 256, 0, run)(d.G_fc2_weight, d_G_fc2_transpose_add);
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
  LAUNCH(spread_mean_rows, 1, 32, 0, run)(spread_mean_div, G_bn_running_var_3);
  LAUNCH(spread_rows, 1, 32, 0, run)(spread_sub, spread_mean_div, p.G_fc2_bias);
}

// What stands between updates, every 2 steps.
static void train_gradients_4(MtRun *run, const void *const *batch, int64_t rows) {
  real *fooled_mean_div = AT(real, 1792);                 // ()
  real *fooled_mean_div_copy = (real *)run->outputs + 4;  // ()
  (void)batch;
  (void)rows;

  // model.mt:15
  LAUNCH(fooled_mean_map_2, 1, 1, 0, run)(fooled_mean_div_copy, fooled_mean_div);
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static __device__ void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.02 * s->lr_scale;  // lr
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
  mt_clip_gradients(u, s, 0, 193, 0.5);
  // D using adam:
  //   g = g + decay * p
  //   m = beta1 * m + (1 - beta1) * g
  //   v = beta2 * v + (1 - beta2) * g * g
  //   p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)
  mt_adam(u, s, rule[0], 0, 193);
  mt_finish(u, s);
}

static void train_update(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  LAUNCH(update, 1, MT_UPDATE_THREADS, 0, run)(u);
}

// Hyper-parameters of the update at hand.
static __device__ void schedule_2(MtScalars *s) {
  s->done = (s->step + 1) / 2 - 1;
  s->hyper[1][0] = 0.01 * s->lr_scale;  // lr
  s->hyper[1][1] = 0.99;                // alpha
  s->hyper[1][2] = 1e-08;               // eps
  s->hyper[1][3] = 0;                   // momentum
  s->hyper[1][4] = 0;                   // decay
  s->hyper[1][5] = 0;                   // centered
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static __global__ void __launch_bounds__(MT_UPDATE_THREADS) update_2(const MtUpdateData u) {
  SHARED(MtScalars, s, 1);  // this block's copy
  SHARED(MtRule, rule, 1);
  if (threadIdx.x == 0) {
    mt_begin(u, s);
    schedule_2(s);
    rule[0] = mt_rmsprop_rule(s, 1);
  }
  mt_check_gradients(u, s, 256, 323);
  // G using rmsprop:
  //   g = g + decay * p
  //   v = alpha * v + (1 - alpha) * g * g
  //   mean = centered == 0 ? mean : alpha * mean + (1 - alpha) * g
  //   d = g / (sqrt(v - mean * mean) + eps)
  //   buf = momentum == 0 ? buf : momentum * buf + d
  //   p = p - lr * (momentum == 0 ? d : buf)
  mt_rmsprop(u, s, rule[0], 256, 323);
  mt_finish(u, s);
}

static void train_update_2(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  LAUNCH(update_2, 1, MT_UPDATE_THREADS, 0, run)(u);
}

namespace f64 { static void train_gradients(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file
namespace f64 { static void train_gradients_1(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file
namespace f64 { static void train_gradients_2(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file
namespace f64 { static void train_gradients_3(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file
namespace f64 { static void train_gradients_4(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file

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
  {4,  "G.bn.y.sub",                               "model.mt:5",  MT_IN_ARENA,   1280, 20, 5, 0},
  {4,  "G.bn.y.mul",                               "model.mt:5",  MT_IN_ARENA,   768,  20, 5, 0},
  {4,  "G.bn.tanh",                                "model.mt:5",  MT_IN_ARENA,   512,  20, 5, 0},
  {4,  "D.fc1.tanh",                               "model.mt:6",  MT_IN_ARENA,   3328, 20, 5, 0},
  {5,  "G.fc2.add",                                "model.mt:5",  MT_IN_ARENA,   256,  12, 3, 0},
  {6,  "D.fc2.mm",                                 "model.mt:6",  MT_IN_ARENA,   2816, 4,  1, 0},
  {7,  "D.fc1.tanh.2",                             "model.mt:6",  MT_IN_ARENA,   3072, 20, 5, 0},
  {8,  "D.fc1.fc2.mm",                             "model.mt:6",  MT_IN_ARENA,   3584, 4,  1, 0},
  {9,  "loss.rhs.arg1.softplus.add",               "model.mt:13", MT_IN_ARENA,   3584, 4,  1, 0},
  {9,  "grad.update0.D.fc1.fc2.add.add",           "model.mt:13", MT_IN_ARENA,   3840, 4,  1, 0},
  {9,  "grad.update0.D.fc2.add.neg",               "model.mt:13", MT_IN_ARENA,   4096, 4,  1, 0},
  {10, "loss.mean.sum.rest",                       "model.mt:13", MT_IN_ARENA,   4352, 1,  0, 0},
  {10, "loss.rhs.mean.sum.rest",                   "model.mt:13", MT_IN_ARENA,   4608, 1,  0, 0},
  {10, "grad.update0.D.fc2.bias.add",              "model.mt:6",  MT_IN_GRADS,   192,  1,  0, 0},
  {11, "G.bn.num_batches_tracked.add",             "model.mt:5",  MT_IN_STATES,  128,  1,  0, 0},
  {11, "loss.add",                                 "model.mt:13", MT_IN_OUTPUTS, 0,    1,  0, 0},
  {12, "grad.update0.D.fc1.tanh.mm",               "model.mt:6",  MT_IN_ARENA,   2816, 20, 5, 0},
  {13, "grad.update0.loss.D.fc1.add.mul.2",        "model.mt:6",  MT_IN_ARENA,   3584, 20, 5, 0},
  {13, "grad.update0.D.fc1.add.mul.2",             "model.mt:6",  MT_IN_ARENA,   4352, 20, 5, 0},
  {14, "grad.update0.D.fc2.transpose.mm",          "model.mt:6",  MT_IN_ARENA,   2816, 5,  0, 0},
  {15, "grad.update0.D.fc2.transpose.mm.2",        "model.mt:6",  MT_IN_ARENA,   3072, 5,  0, 0},
  {16, "grad.update0.D.fc2.weight.transpose.copy", "model.mt:6",  MT_IN_GRADS,   128,  5,  0, 0},
  {17, "grad.update0.D.fc1.bias.add",              "model.mt:6",  MT_IN_GRADS,   64,   5,  0, 0},
  {18, "grad.update0.D.fc1.transpose.mm.2",        "model.mt:6",  MT_IN_ARENA,   4608, 15, 0, 0},
  {19, "grad.update0.D.fc1.transpose.add",         "model.mt:6",  MT_IN_ARENA,   2816, 15, 0, 0},
  {20, "before.pow",                               "model.mt:12", MT_IN_ARENA,   0,    15, 0, 0},
  {20, "grad.update0.D.fc1.weight.transpose.copy", "model.mt:6",  MT_IN_GRADS,   0,    15, 0, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values_1[] = {
  {0, "moved.sub",            "model.mt:19", MT_IN_OUTPUTS, 1,    1,  0, 0},
  {1, "D.fc1.tanh.3",         "model.mt:6",  MT_IN_ARENA,   2560, 20, 5, 0},
  {2, "D.fc1.fc2.2.mm",       "model.mt:6",  MT_IN_ARENA,   2816, 4,  1, 0},
  {3, "fooled.neg",           "model.mt:15", MT_IN_ARENA,   2304, 4,  1, 0},
  {3, "fooled.softplus.exp",  "model.mt:15", MT_IN_ARENA,   2048, 4,  1, 0},
  {4, "fooled.mean.sum.rest", "model.mt:15", MT_IN_ARENA,   2816, 1,  0, 0},
  {5, "fooled.mean.div",      "model.mt:15", MT_IN_ARENA,   1792, 1,  0, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values_2[] = {
  {0,  "loss.rhs.rhs.arg1.lhs.arg1.add",           "model.mt:16", MT_IN_ARENA,   2816, 8,  2, MT_OF_DATA},
  {1,  "loss.G.fc1.add",                           "model.mt:5",  MT_IN_ARENA,   3072, 20, 5, 0},
  {2,  "G.fc1.bn.m.mean.div",                      "model.mt:5",  MT_IN_ARENA,   3328, 5,  0, 0},
  {2,  "G.fc1.bn.v.var.mean.div",                  "model.mt:5",  MT_IN_ARENA,   3584, 5,  0, 0},
  {2,  "G.fc1.bn.running_mean.add",                "model.mt:5",  MT_IN_STATES,  0,    5,  0, 0},
  {3,  "G.fc1.bn.running_var.add",                 "model.mt:5",  MT_IN_STATES,  64,   5,  0, 0},
  {3,  "G.fc1.bn.y.rsqrt",                         "model.mt:5",  MT_IN_ARENA,   3840, 5,  0, 0},
  {4,  "G.fc1.bn.num_batches_tracked.add",         "model.mt:5",  MT_IN_STATES,  128,  1,  0, 0},
  {5,  "G.bn.tanh.2",                              "model.mt:5",  MT_IN_ARENA,   4096, 20, 5, 0},
  {6,  "G.bn.fc2.mm",                              "model.mt:5",  MT_IN_ARENA,   4352, 12, 3, 0},
  {7,  "loss.add.2",                               "model.mt:16", MT_IN_OUTPUTS, 2,    1,  0, 0},
  {7,  "grad.update1.G.bn.fc2.add.mul.2",          "model.mt:16", MT_IN_ARENA,   4352, 12, 3, 0},
  {8,  "grad.update1.D.fc1.fc2.2.add.neg",         "model.mt:15", MT_IN_ARENA,   4608, 4,  1, 0},
  {9,  "grad.update1.D.fc1.tanh.3.mm",             "model.mt:6",  MT_IN_ARENA,   4864, 20, 5, 0},
  {10, "grad.update1.G.fc1.bn.add.mul.2",          "model.mt:5",  MT_IN_ARENA,   5120, 20, 5, 0},
  {10, "grad.update1.fooled.D.fc1.add.mul.2",      "model.mt:6",  MT_IN_ARENA,   4608, 20, 5, 0},
  {11, "grad.update1.G.fc2.add.mm",                "model.mt:6",  MT_IN_ARENA,   4864, 12, 3, 0},
  {12, "grad.update1.G.fc2.bias.add",              "model.mt:5",  MT_IN_GRADS,   576,  3,  0, 0},
  {13, "grad.update1.G.bn.add.mul.2",              "model.mt:5",  MT_IN_ARENA,   4608, 20, 5, 0},
  {14, "grad.update1.G.fc1.bn.v.var.sum.div",      "model.mt:5",  MT_IN_ARENA,   5376, 5,  0, 0},
  {14, "grad.update1.G.fc1.bn.m.mean.sum.div",     "model.mt:5",  MT_IN_ARENA,   5632, 5,  0, 0},
  {14, "grad.update1.G.bn.bias.add",               "model.mt:5",  MT_IN_GRADS,   448,  5,  0, 0},
  {14, "grad.update1.G.bn.weight.add",             "model.mt:5",  MT_IN_GRADS,   384,  5,  0, 0},
  {15, "grad.update1.G.fc1.bn.v.var.mean.sum.div", "model.mt:5",  MT_IN_ARENA,   3328, 5,  0, 0},
  {15, "grad.update1.G.bn.v.var.sum.div",          "model.mt:5",  MT_IN_ARENA,   5888, 5,  0, 0},
  {15, "grad.update1.G.bn.m.mean.sum.div",         "model.mt:5",  MT_IN_ARENA,   6144, 5,  0, 0},
  {16, "grad.update1.G.bn.v.var.mean.sum.div",     "model.mt:5",  MT_IN_ARENA,   6400, 5,  0, 0},
  {17, "grad.update1.loss.G.fc1.add.add.3",        "model.mt:5",  MT_IN_ARENA,   3072, 20, 5, 0},
  {17, "grad.update1.G.fc1.add.add.3",             "model.mt:5",  MT_IN_ARENA,   5120, 20, 5, 0},
  {18, "grad.update1.G.fc1.bias.add",              "model.mt:5",  MT_IN_GRADS,   320,  5,  0, 0},
  {19, "grad.update1.G.fc2.transpose.mm.2",        "model.mt:5",  MT_IN_ARENA,   4608, 15, 0, 0},
  {20, "grad.update1.G.fc2.transpose.add",         "model.mt:5",  MT_IN_ARENA,   4864, 15, 0, 0},
  {21, "grad.update1.G.fc1.transpose.mm.2",        "model.mt:5",  MT_IN_ARENA,   5376, 10, 0, 0},
  {22, "grad.update1.G.fc1.transpose.add",         "model.mt:5",  MT_IN_ARENA,   5120, 10, 0, 0},
  {23, "grad.update1.G.fc1.weight.transpose.copy", "model.mt:5",  MT_IN_GRADS,   256,  10, 0, 0},
  {24, "grad.update1.G.fc2.weight.transpose.copy", "model.mt:5",  MT_IN_GRADS,   512,  15, 0, 0},
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
  {train_gradients,   f64::train_gradients,   train_update,   1, 0,  0,   193, 0, 0, 0, 1, 21, 34, train_values,   0, NULL},
  {train_gradients_1, f64::train_gradients_1, NULL,           1, -1, 0,   640, 0, 1, 0, 0, 6,  7,  train_values_1, 0, NULL},
  {train_gradients_2, f64::train_gradients_2, train_update_2, 2, 2,  256, 323, 1, 0, 1, 1, 25, 36, train_values_2, 0, NULL},
  {train_gradients_3, f64::train_gradients_3, NULL,           1, -1, 0,   640, 1, 1, 0, 0, 2,  2,  train_values_3, 0, NULL},
  {train_gradients_4, f64::train_gradients_4, NULL,           2, -1, 0,   640, 2, 1, 0, 0, 1,  1,  train_values_4, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"gemm 4 x 1 x 5 f32",               3,   348,  120,       3e-06},
  {"D_fc1_product",                    2,   416,  1520,      2e-06},
  {"gemm 5 x 1 x 4 f32",               2,   232,  80,        2e-06},
  {"d_fc1_bias_columns",               1.5, 270,  135,       1.5e-06},
  {"gemm 4 x 5 x 1 f32",               1.5, 174,  60,        1.5e-06},
  {"update",                           1,   5492, 3.551e+04, 1.002e-06},
  {"moved_rows",                       1,   124,  92,        1.002e-06},
  {"spread_mean_rows",                 1,   24,   50,        1e-06},
  {"spread_rows",                      1,   20,   48,        1e-06},
  {"G_bn_y_product",                   1,   628,  1560,      1e-06},
  {"d_loss_D_fc1_product",             1,   436,  280,       1e-06},
  {"d_D_fc1_product",                  1,   248,  150,       1e-06},
  {"before_map",                       1,   240,  60,        1e-06},
  {"G_bn_v_var_map",                   1,   200,  80,        1e-06},
  {"G_fc2_product",                    1,   200,  144,       1e-06},
  {"gemm 3 x 5 x 4 f32",               1,   188,  120,       1e-06},
  {"gemm 4 x 3 x 5 f32",               1,   188,  120,       1e-06},
  {"G_bn_m_mean_columns",              1,   180,  552,       1e-06},
  {"gemm 4 x 5 x 2 f32",               1,   152,  80,        1e-06},
  {"G_bn_running_var_columns",         1,   140,  576,       1e-06},
  {"loss_rhs_arg1_softplus_map",       1,   84,   852,       1e-06},
  {"loss_mean_sum_rest_rows",          1,   64,   558,       1e-06},
  {"d_D_fc2_weight_map",               1,   60,   20,        1e-06},
  {"fooled_map",                       1,   52,   96,        1e-06},
  {"fooled_mean_sum_rest_rows",        1,   36,   144,       1e-06},
  {"G_bn_num_batches_tracked_map",     1,   20,   86,        1e-06},
  {"fooled_mean_map",                  1,   8,    42,        1e-06},
  {"update_2",                         0.5, 5858, 1.486e+04, 5.021e-07},
  {"loss_rows",                        0.5, 58,   104,       5.007e-07},
  {"d_loss_G_fc1_map",                 0.5, 340,  300,       5.001e-07},
  {"d_G_fc1_bn_product",               0.5, 254,  180,       5.001e-07},
  {"d_fc1_bn_v_var_columns",           0.5, 230,  511,       5.001e-07},
  {"d_bn_v_var_mean_columns",          0.5, 190,  541,       5.001e-07},
  {"d_G_bn_product",                   0.5, 134,  120,       5e-07},
  {"d_G_fc2_product",                  0.5, 124,  75,        5e-07},
  {"G_bn_map",                         0.5, 120,  380,       5e-07},
  {"d_G_fc1_product",                  0.5, 96,   50,        5e-07},
  {"gemm 5 x 3 x 4 f32",               0.5, 94,   60,        5e-07},
  {"loss_G_fc1_product",               0.5, 86,   60,        5e-07},
  {"fc1_bn_m_mean_columns",            0.5, 80,   256,       5e-07},
  {"G_fc1_bn_running_var_columns",     0.5, 80,   308,       5e-07},
  {"gemm 2 x 5 x 4 f32",               0.5, 76,   40,        5e-07},
  {"d_bn_v_var_mean_columns_2",        0.5, 60,   181,       5e-07},
  {"d_G_fc2_weight_map",               0.5, 60,   15,        5e-07},
  {"d_G_fc2_bias_columns",             0.5, 54,   27,        5e-07},
  {"d_G_fc1_weight_map",               0.5, 40,   10,        5e-07},
  {"rhs_arg1_lhs_arg1_map",            0.5, 32,   8,         5e-07},
  {"d_D_fc1_fc2_map",                  0.5, 24,   146,       5e-07},
  {"G_fc1_bn_num_batches_tracked_map", 0.5, 4,    1,         5e-07},
  {"fooled_mean_map_2",                0.5, 4,    1,         5e-07},
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
  50, train_costs,                   // what a step costs
  "an NVIDIA H100",                  // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cuda,                          // what it runs on
  10, 3, 1, 0,                       // parameters, states, data sets, evals
  640, 129,                          // elements of the two blocks
  params, states, data,              // their tables
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
