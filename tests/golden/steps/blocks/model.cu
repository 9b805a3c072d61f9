// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 3.5 MB:
//   parameters 808 KB, gradients 808 KB, optimizer 1.6 MB, batches 2.2 KB, data 17 KB, results 8 B, step 214 KB
// Most values of a step at once: model.mt:7 156 KB, model.mt:11 16 KB, model.mt:12 8.2 KB

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"

#define real float

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

// model.mt:10  first.add = x @ t(first.weight) + first.bias
// computes the product net.first.mm and what follows it: reads 6.4 KB, writes 8.2 KB
static __global__ void first_product(real *__restrict__ first_add, const real *__restrict__ x,
                                     const real *__restrict__ weight, const real *__restrict__ bias,
                                     int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real first_mm = mt_product<MT_NT>(x, weight, rows, H, P);
  if (row >= rows) return;
  first_add[row * H + column] = first_mm + bias[column];
}

// model.mt:7  b.ln.c.sub = h - sum(h) * 0.015625
// b.ln.add.2 = (h - b.ln.m.mean.div) * rsqrt(b.ln.add) * b.ln.weight + b.ln.bias
// fused 11 nodes of net.b.ln.m, net.b.ln.c, net.b.ln.v and 5 more: reads 8.7 KB, writes 16 KB; saves 75 KB
static __global__ void b_ln_c_rows(real *__restrict__ c_sub, real *__restrict__ ln_add_2,
                                   const real *__restrict__ h, const real *__restrict__ weight,
                                   const real *__restrict__ bias, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  real h_at[2];
  real mean_sum = 0;
#pragma unroll
  for (int s = 0; s < 1; s++) {
    const int first = (lane + s * 32) * 2;
    const auto h_pack = mt_load<2>(h + row * H + first);
#pragma unroll
    for (int t = 0; t < 2; t++) {
      h_at[s * 2 + t] = h_pack[t];
      mean_sum += h_at[s * 2 + t];
    }
  }
  mean_sum = warp_sum(mean_sum);
  const real mean_div = mean_sum * 0.015625f;
  real sum = 0;
#pragma unroll
  for (int s = 0; s < 1; s++) {
    const int first = (lane + s * 32) * 2;
    MtPack<real, 2> c_sub_pack;
#pragma unroll
    for (int t = 0; t < 2; t++) {
      const real c_sub_at = h_at[s * 2 + t] - mean_div;
      sum += c_sub_at * c_sub_at;
      c_sub_pack[t] = c_sub_at;
    }
    mt_store(c_sub + row * H + first, c_sub_pack);
  }
  sum = warp_sum(sum);
  const real ln_rsqrt = 1 / sqrt(sum * 0.015625f + (real)1e-05);
#pragma unroll
  for (int s = 0; s < 1; s++) {
    const int first = (lane + s * 32) * 2;
    const auto weight_pack = mt_load<2>(weight + first);
    const auto bias_pack = mt_load<2>(bias + first);
    MtPack<real, 2> ln_add_2_pack;
#pragma unroll
    for (int t = 0; t < 2; t++) {
      const real ln_lhs_mul = (h_at[s * 2 + t] - mean_div) * ln_rsqrt * weight_pack[t];
      ln_add_2_pack[t] = ln_lhs_mul + bias_pack[t];
    }
    mt_store(ln_add_2 + row * H + first, ln_add_2_pack);
  }
}

// model.mt:7  b.up.gelu.mul.2 = 0.5 * (b.up.mm + b.up.bias) * (1 + erf(b.up.gelu.rhs.rhs.arg1.mul))
// computes the product net.b.up.mm and what follows it: reads 41 KB, writes 16 KB
static __global__ void b_up_gelu_product(real *__restrict__ gelu_mul_2, const real *__restrict__ ln_add_2,
                                         const real *__restrict__ weight, const real *__restrict__ bias,
                                         int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real up_mm = mt_product<MT_NT>(ln_add_2, weight, rows, 128, H);
  if (row >= rows) return;
  const real up_add = up_mm + bias[column];
  const real gelu_mul_2_at = 0.5f * up_add * (1 + erf(up_add * (real)0.7071067811865476));
  gelu_mul_2[row * 128 + column] = gelu_mul_2_at;
}

// model.mt:7  h.b.add = h + (b.up.gelu.mul.2 @ t(b.down.weight) + b.down.bias)
// computes the product net.b.down.mm and what follows it: reads 58 KB, writes 8.2 KB
static __global__ void h_b_product(real *__restrict__ b_add, const real *__restrict__ h,
                                   const real *__restrict__ gelu_mul_2, const real *__restrict__ weight,
                                   const real *__restrict__ bias, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real down_mm = mt_product<MT_NT>(gelu_mul_2, weight, rows, H, 128);
  if (row >= rows) return;
  b_add[row * H + column] = h[row * H + column] + (down_mm + bias[column]);
}

// model.mt:17  loss.cross_entropy.norm.sum.2 = sum(loss.cross_entropy.norm.arg1.where)
// fused 3 nodes of loss.cross_entropy.kept, loss.cross_entropy.norm.arg1 and loss.cross_entropy.norm: reads
//   128 B, writes 4 B; saves 456 B; recomputes 4
static __global__ void loss_cross_entropy_norm_rows(real *__restrict__ norm_sum_2,
                                                    const int32_t *__restrict__ y, int rows) {
  real sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32) {
    const int32_t y_at = y[i];
    sum += y_at != -100 ? y_at >= 0 && y_at < 5 ? 1 : 0 : 0;
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) norm_sum_2[0] = sum;
}

// model.mt:17  loss.cross_entropy.nll.where.2 = where(y != -100, -sum(loss.cross_entropy.nll.where), 0)
// d(loss.cross_entropy.logp.log_softmax.sub.add) = d(loss.cross_entropy.nll.mul.where) +
//   d(loss.cross_entropy.logp.log_softmax.sub.mul)
// fused 21 nodes of net.last, loss.cross_entropy.logp.log_softmax, loss.cross_entropy.hit and 9 more: reads
//   792 B, writes 768 B; saves 15 KB; recomputes 5
static __global__ void loss_cross_entropy_nll_rows(real *__restrict__ nll_where_2,
                                                   real *__restrict__ d_log_softmax_sub_add,
                                                   const int32_t *__restrict__ y,
                                                   const real *__restrict__ bias,
                                                   const real *__restrict__ norm_sum_2, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const int i = lane;
  real last_mm = 0;
  real log_softmax_exp = 0;
  const int32_t y_at = y[row];
  const bool kept_ne = y_at != -100;
  const real d_nll_sum_neg = -(kept_ne ? 1 / norm_sum_2[0] : 0);
  const real d_one = (y_at >= 0 && y_at < 5 ? -d_nll_sum_neg : 0) + 0;
  real log_softmax_max = -INFINITY;
  if (i < K) {
    last_mm = d_log_softmax_sub_add[row * K + i];
    log_softmax_max = mt_maximum(log_softmax_max, last_mm + bias[i]);
  }
  log_softmax_max = warp_max(log_softmax_max);
  real log_softmax_sum = 0;
  if (i < K) {
    log_softmax_exp = exp(last_mm + bias[i] - log_softmax_max);
    log_softmax_sum += log_softmax_exp;
  }
  log_softmax_sum = warp_sum(log_softmax_sum);
  const real log_softmax_log = log(log_softmax_sum);
  const real d_log_softmax_sum_div = d_one / log_softmax_sum;
  real nll_sum = 0;
  if (i < K) {
    const bool hit_eq = i == y_at;
    const real log_softmax_sub_2 = last_mm + bias[i] - log_softmax_max - log_softmax_log;
    nll_sum += hit_eq ? log_softmax_sub_2 : 0;
    const real d_log_softmax_sub_add_at = (hit_eq ? d_nll_sum_neg : 0) + d_log_softmax_sum_div * log_softmax_exp;
    d_log_softmax_sub_add[row * K + i] = d_log_softmax_sub_add_at;
  }
  nll_sum = warp_sum(nll_sum);
  if (lane == 0) nll_where_2[row] = kept_ne ? -nll_sum : 0;
}

// model.mt:17  loss.cross_entropy.div = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// loss.cross_entropy.div.copy = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// fused 3 nodes of loss.cross_entropy: reads 132 B, writes 8 B; saves 12 B
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

// model.mt:12  d(last.bias.sum) = sum(d(loss.cross_entropy.logp.log_softmax.sub.add))
// net.last.bias: reads 640 B, writes 20 B
static __global__ void d_last_bias_columns(real *__restrict__ d_bias_sum,
                                           const real *__restrict__ d_log_softmax_sub_add, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < K ? own : K - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_log_softmax_sub_add[row * K + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_bias_sum[column] = sum;
}

// model.mt:7  b.ln.rsqrt = rsqrt(sum(b.ln.c.sub.saved * b.ln.c.sub.saved) * 0.015625 + 1e-05)
// b.ln.add.2 = b.ln.c.sub.saved * rsqrt(b.ln.v.mean.div + 1e-05) * b.ln.weight + b.ln.bias
// d(b.ln.add.mul.2) = rsqrt(b.ln.add) * rsqrt(b.ln.add) * rsqrt(b.ln.v.mean.div + 1e-05)
// fused 10 nodes of net.b.ln.v and net.b.ln: reads 8.7 KB, writes 8.4 KB; saves 59 KB
static __global__ void b_ln_rows(real *__restrict__ ln_rsqrt, real *__restrict__ ln_add_2,
                                 real *__restrict__ d_add_mul_2, const real *__restrict__ saved,
                                 const real *__restrict__ weight, const real *__restrict__ bias, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  real saved_at[2];
  real mean_sum = 0;
#pragma unroll
  for (int s = 0; s < 1; s++) {
    const int first = (lane + s * 32) * 2;
    const auto saved_pack = mt_load<2>(saved + row * H + first);
#pragma unroll
    for (int t = 0; t < 2; t++) {
      saved_at[s * 2 + t] = saved_pack[t];
      mean_sum += saved_at[s * 2 + t] * saved_at[s * 2 + t];
    }
  }
  mean_sum = warp_sum(mean_sum);
  const real ln_rsqrt_at = 1 / sqrt(mean_sum * 0.015625f + (real)1e-05);
  if (lane == 0) {
    ln_rsqrt[row] = ln_rsqrt_at;
    d_add_mul_2[row] = ln_rsqrt_at * ln_rsqrt_at * ln_rsqrt_at;
  }
#pragma unroll
  for (int s = 0; s < 1; s++) {
    const int first = (lane + s * 32) * 2;
    const auto weight_pack = mt_load<2>(weight + first);
    const auto bias_pack = mt_load<2>(bias + first);
    MtPack<real, 2> ln_add_2_pack;
#pragma unroll
    for (int t = 0; t < 2; t++) {
      const real ln_lhs_mul = saved_at[s * 2 + t] * ln_rsqrt_at * weight_pack[t];
      ln_add_2_pack[t] = ln_lhs_mul + bias_pack[t];
    }
    mt_store(ln_add_2 + row * H + first, ln_add_2_pack);
  }
}

// model.mt:7  b.up.gelu.mul.2 = 0.5 * (b.up.mm + b.up.bias) * (1 + erf(b.up.gelu.rhs.rhs.arg1.mul))
// d(b.up.add.add) = d(b.up.add.mul) + d(b.up.add.mul.2)
// computes the product net.b.up.mm and what follows it: reads 58 KB, writes 33 KB
static __global__ void b_up_gelu_product_2(real *__restrict__ gelu_mul_2, real *__restrict__ d_up_add_add,
                                           const real *__restrict__ ln_add_2,
                                           const real *__restrict__ weight, const real *__restrict__ bias,
                                           const real *__restrict__ d_mul_2_mm, int rows) {
  const int row = blockIdx.y * 16 + threadIdx.y, column = blockIdx.x * 16 + threadIdx.x;
  const real up_mm = mt_product<MT_NT>(ln_add_2, weight, rows, 128, H);
  if (row >= rows) return;
  const real up_add = up_mm + bias[column];
  const real gelu_mul = 0.5f * up_add;
  const real arg1_mul = up_add * (real)0.7071067811865476;
  const real gelu_add = 1 + erf(arg1_mul);
  const real d_mul_2_mm_at = d_mul_2_mm[row * 128 + column];
  const real d_mul_mul_2 = d_mul_2_mm_at * gelu_mul * (real)1.1283791670955126;
  const real d_up_add_mul = d_mul_mul_2 * exp(-(arg1_mul * arg1_mul)) * (real)0.7071067811865476;
  gelu_mul_2[row * 128 + column] = gelu_mul * gelu_add;
  d_up_add_add[row * 128 + column] = d_up_add_mul + d_mul_2_mm_at * gelu_add * 0.5f;
}

// model.mt:7  d(b.up.bias.sum) = sum(d(b.up.add.add))
// net.b.up.bias: reads 16 KB, writes 512 B
static __global__ void d_b_up_bias_columns(real *__restrict__ d_bias_sum,
                                           const real *__restrict__ d_up_add_add, int rows) {
  const int column = blockIdx.x * 32 + threadIdx.x;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_up_add_add[row * 128 + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0) d_bias_sum[column] = sum;
}

// model.mt:7  d(h.add.2) = d(h) + d(b.ln.c.sub.add.2) + d(b.ln.m.mean.div.reshape) * 0.015625
// fused 15 nodes of net.b.ln, net.b.ln.c, net.b.ln.v and 5 more: reads 25 KB, writes 8.2 KB; saves 165 KB
static __global__ void d_h_rows(real *__restrict__ d_h_add_2, const real *__restrict__ d_h,
                                const real *__restrict__ d_add_2_mm, const real *__restrict__ weight,
                                const real *__restrict__ ln_rsqrt, const real *__restrict__ saved,
                                const real *__restrict__ d_add_mul_2, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  real d_add_2_mm_at[2];
  real saved_at[2];
  real d_sub_add_2[2];
  const real ln_rsqrt_at = ln_rsqrt[row];
  const real d_add_mul_2_at = d_add_mul_2[row];
  real d_ln_rsqrt_reshape = 0;
#pragma unroll
  for (int s = 0; s < 1; s++) {
    const int first = (lane + s * 32) * 2;
    const auto d_add_2_mm_pack = mt_load<2>(d_add_2_mm + row * H + first);
    const auto weight_pack = mt_load<2>(weight + first);
    const auto saved_pack = mt_load<2>(saved + row * H + first);
#pragma unroll
    for (int t = 0; t < 2; t++) {
      d_add_2_mm_at[s * 2 + t] = d_add_2_mm_pack[t];
      saved_at[s * 2 + t] = saved_pack[t];
      const real d_ln_rsqrt_mul = d_add_2_mm_at[s * 2 + t] * weight_pack[t] * saved_at[s * 2 + t];
      d_ln_rsqrt_reshape += d_ln_rsqrt_mul;
    }
  }
  d_ln_rsqrt_reshape = warp_sum(d_ln_rsqrt_reshape);
  const real d_mean_sum_div = d_ln_rsqrt_reshape * -0.5f * d_add_mul_2_at * 0.015625f;
  real d_mean_div_reshape = 0;
#pragma unroll
  for (int s = 0; s < 1; s++) {
    const int first = (lane + s * 32) * 2;
    const auto weight_pack = mt_load<2>(weight + first);
#pragma unroll
    for (int t = 0; t < 2; t++) {
      const real d_c_sub_mul = d_add_2_mm_at[s * 2 + t] * weight_pack[t] * ln_rsqrt_at;
      const real d_sub_mul_2 = d_mean_sum_div * saved_at[s * 2 + t];
      d_sub_add_2[s * 2 + t] = d_c_sub_mul + d_sub_mul_2 + d_sub_mul_2;
      d_mean_div_reshape += -d_sub_add_2[s * 2 + t];
    }
  }
  d_mean_div_reshape = warp_sum(d_mean_div_reshape);
  const real d_mean_sum_div_at = d_mean_div_reshape * 0.015625f;
#pragma unroll
  for (int s = 0; s < 1; s++) {
    const int first = (lane + s * 32) * 2;
    const auto d_h_pack = mt_load<2>(d_h + row * H + first);
    MtPack<real, 2> d_h_add_2_pack;
#pragma unroll
    for (int t = 0; t < 2; t++) {
      const real d_h_add_2_at = d_h_pack[t] + d_sub_add_2[s * 2 + t] + d_mean_sum_div_at;
      d_h_add_2_pack[t] = d_h_add_2_at;
    }
    mt_store(d_h_add_2 + row * H + first, d_h_add_2_pack);
  }
}

// model.mt:7  d(b.down.bias.sum) = sum(d(h))
// d(b.ln.bias.sum) = sum(d(b.ln.add.2.mm))
// d(b.ln.weight.sum) = sum(d(b.ln.add.2.mm) * (b.ln.c.sub.saved * b.ln.rsqrt))
// fused 4 nodes of net.b.down.bias, net.b.ln.bias and net.b.ln.weight: reads 25 KB, writes 768 B; saves 24
//   KB; recomputes 1
static __global__ void d_b_down_bias_columns(real *__restrict__ d_bias_sum, real *__restrict__ d_bias_sum_2,
                                             real *__restrict__ d_weight_sum, const real *__restrict__ d_h,
                                             const real *__restrict__ d_add_2_mm,
                                             const real *__restrict__ saved,
                                             const real *__restrict__ ln_rsqrt, int rows) {
  const int column = blockIdx.x * 32 + threadIdx.x;
  real sum = 0;
  real sum_2 = 0;
  real sum_3 = 0;
  for (int row = threadIdx.y; row < rows; row += 8) {
    sum += d_h[row * H + column];
    const real d_add_2_mm_at = d_add_2_mm[row * H + column];
    sum_2 += d_add_2_mm_at;
    const real d_weight_mul = d_add_2_mm_at * (saved[row * H + column] * ln_rsqrt[row]);
    sum_3 += d_weight_mul;
  }
  sum = column_sum(sum);
  sum_2 = column_sum(sum_2);
  sum_3 = column_sum(sum_3);
  if (threadIdx.y == 0) {
    d_bias_sum[column] = sum;
    d_bias_sum_2[column] = sum_2;
    d_weight_sum[column] = sum_3;
  }
}

// model.mt:10  d(first.bias.sum) = sum(d(first.add))
// net.first.bias: reads 8.2 KB, writes 256 B
static __global__ void d_first_bias_columns(real *__restrict__ d_bias_sum,
                                            const real *__restrict__ d_first_add, int rows) {
  const int column = blockIdx.x * 32 + threadIdx.x;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_first_add[row * H + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0) d_bias_sum[column] = sum;
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];                             // (B, P)
  const int32_t *y = (const int32_t *)batch[1];                       // (B)
  real *first_add = AT(real, 0);                                      // (B, H)
  real *b_ln_c_sub_saved = AT(real, 49152);                           // (L, B, H)
  real *b_ln_add_2 = AT(real, 8192);                                  // (B, H)
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
  real *b_up_gelu_mul_2_2 = AT(real, 172544);                         // (B, 128)
  real *d_b_up_add_add = AT(real, 188928);                            // (B, 128)
  real *d_b_ln_add_2_mm = AT(real, 147712);                           // (B, H)
  real *d_first_add = AT(real, 8960);                                 // (B, H)
  real *d_first_add_second = AT(real, 205312);                        // (B, H)
  real *loss_cross_entropy_div = (real *)run->outputs + 0;            // ()
  real *loss_cross_entropy_div_copy = (real *)run->outputs + 1;       // ()

  // model.mt:10
  LAUNCH(first_product, dim3(mt_blocks(H, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
      first_add, x, p.first_weight, p.first_bias, rows);

  // model.mt:11
  const real *h = first_add;  // carried
  for (int64_t b = 0; b < L; b++) {
    real *b_ln_c_sub = b_ln_c_sub_saved + b * B * H;
    const real *b_ln_weight = p.b_ln_weight + b * H;
    const real *b_ln_bias = p.b_ln_bias + b * H;
    const real *b_up_weight = p.b_up_weight + b * 128 * H;
    const real *b_up_bias = p.b_up_bias + b * 128;
    real *h_b_add = b % 2 ? h_last : h_last_second;
    const real *b_down_weight = p.b_down_weight + b * H * 128;
    const real *b_down_bias = p.b_down_bias + b * H;

    // model.mt:7
    LAUNCH(b_ln_c_rows, mt_blocks(rows, 4), 128, 0, run)(b_ln_c_sub, b_ln_add_2, h, b_ln_weight, b_ln_bias,
                                                         rows);
    LAUNCH(b_up_gelu_product, dim3(mt_blocks(128, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
        b_up_gelu_mul_2, b_ln_add_2, b_up_weight, b_up_bias, rows);
    LAUNCH(h_b_product, dim3(mt_blocks(H, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
        h_b_add, h, b_up_gelu_mul_2, b_down_weight, b_down_bias, rows);
    h = h_b_add;
  }

  // model.mt:12
  STEP(mt_gemm(run, MT_NT, rows, K, H, h_last, p.last_weight, last_mm));

  // model.mt:17
  LAUNCH(loss_cross_entropy_norm_rows, 1, 32, 0, run)(loss_cross_entropy_norm_sum_2, y, rows);
  LAUNCH(loss_cross_entropy_nll_rows, mt_blocks(rows, 4), 128, 0, run)(
      loss_cross_entropy_nll_where_2, d_loss_cross_entropy_logp_log_softmax_sub_add, y, p.last_bias,
      loss_cross_entropy_norm_sum_2, rows);
  LAUNCH(loss_cross_entropy_rows, 1, 32, 0, run)(loss_cross_entropy_div, loss_cross_entropy_div_copy,
                                                 loss_cross_entropy_nll_where_2,
                                                 loss_cross_entropy_norm_sum_2, rows);

  // model.mt:12, backward
  LAUNCH(d_last_bias_columns, mt_blocks(K, 32), dim3(32, 8), 0, run)(
      d.last_bias, d_loss_cross_entropy_logp_log_softmax_sub_add, rows);
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
    LAUNCH(b_ln_rows, mt_blocks(rows, 4), 128, 0, run)(b_ln_rsqrt, b_ln_add_2_2, d_b_ln_add_mul_2,
                                                       b_ln_c_sub_saved_2, b_ln_weight_2, b_ln_bias_2, rows);

    // model.mt:7, backward
    STEP(mt_gemm(run, MT_NN, rows, 128, H, d_h, b_down_weight_2, d_b_up_gelu_mul_2_mm));

    // model.mt:7
    LAUNCH(b_up_gelu_product_2, dim3(mt_blocks(128, 16), mt_blocks(rows, 16)), dim3(16, 16), 0, run)(
        b_up_gelu_mul_2_2, d_b_up_add_add, b_ln_add_2_2, b_up_weight_2, b_up_bias_2, d_b_up_gelu_mul_2_mm,
        rows);

    // model.mt:7, backward
    STEP(mt_gemm(run, MT_TN, H, 128, rows, d_h, b_up_gelu_mul_2_2, d_b_down_weight_transpose));
    STEP(mt_gemm(run, MT_TN, 128, H, rows, d_b_up_add_add, b_ln_add_2_2, d_b_up_weight_transpose));
    LAUNCH(d_b_up_bias_columns, mt_blocks(128, 32), dim3(32, 8), 0, run)(d_b_up_bias_sum, d_b_up_add_add,
                                                                         rows);
    STEP(mt_gemm(run, MT_NN, rows, H, 128, d_b_up_add_add, b_up_weight_2, d_b_ln_add_2_mm));
    LAUNCH(d_h_rows, mt_blocks(rows, 4), 128, 0, run)(d_h_add_2, d_h, d_b_ln_add_2_mm, b_ln_weight_2,
                                                      b_ln_rsqrt, b_ln_c_sub_saved_2, d_b_ln_add_mul_2, rows);
    LAUNCH(d_b_down_bias_columns, mt_blocks(H, 32), dim3(32, 8), 0, run)(
        d_b_down_bias_sum, d_b_ln_bias_sum, d_b_ln_weight_sum, d_h, d_b_ln_add_2_mm, b_ln_c_sub_saved_2,
        b_ln_rsqrt, rows);
    d_h = d_h_add_2;
  }

  // model.mt:10, backward
  LAUNCH(d_first_bias_columns, mt_blocks(H, 32), dim3(32, 8), 0, run)(d.first_bias, d_first_add, rows);
  STEP(mt_gemm(run, MT_TN, H, P, rows, d_first_add, x, d.first_weight));
}

#ifndef MT_DOUBLE

// Hyper-parameters of the update at hand.
static __device__ void schedule(MtScalars *s) {
  s->done = s->step;
  s->hyper[0][0] = 0.001 * s->lr_scale;  // lr
  s->hyper[0][1] = 0.9;                 // beta1
  s->hyper[0][2] = 0.999;               // beta2
  s->hyper[0][3] = 1e-08;               // eps
  s->hyper[0][4] = 0.01;                // decay
}

// One step of the optimizers on the gradients at hand; t counts updates from 1.
static __global__ void __launch_bounds__(MT_UPDATE_THREADS) update(const MtUpdateData u) {
  SHARED(MtScalars, s, 1);  // this block's copy
  SHARED(MtRule, rule, 1);
  if (threadIdx.x == 0) {
    mt_begin(u, s);
    schedule(s);
    rule[0] = mt_adamw_rule(s, 0);
  }
  mt_check_parts(u, s);
  // net using adamw:
  //   p = p * (1 - lr * decay)
  //   m = beta1 * m + (1 - beta1) * g
  //   v = beta2 * v + (1 - beta2) * g * g
  //   p = p - lr / (1 - beta1 ^ t) * m / (sqrt(v) / sqrt(1 - beta2 ^ t) + eps)
  mt_adamw(u, s, rule[0], 0, 201861);
  mt_finish(u, s);
}

static void train_update(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  if (end->loss >= 0) LAUNCH(mt_measure<false>, MT_PARTS, MT_UPDATE_THREADS, 0, run)(u, 0, 201920);
  LAUNCH(update, 198, MT_UPDATE_THREADS, 0, run)(u);
}

namespace f64 { static void train_gradients(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file

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
  {0,   "net.first.add",                                            "model.mt:10", MT_IN_ARENA,   0,      2048,  64, 0},
  {36,  "net.h.last",                                               "model.mt:11", MT_IN_ARENA,   40960,  2048,  64, 0},
  {37,  "net.last.mm",                                              "model.mt:12", MT_IN_ARENA,   0,      160,   5,  0},
  {38,  "loss.cross_entropy.norm.sum.2",                            "model.mt:17", MT_IN_ARENA,   768,    1,     0,  MT_OF_DATA},
  {39,  "loss.cross_entropy.nll.where.2",                           "model.mt:17", MT_IN_ARENA,   1024,   32,    1,  0},
  {39,  "grad.update0.loss.cross_entropy.logp.log_softmax.sub.add", "model.mt:17", MT_IN_ARENA,   0,      160,   5,  0},
  {40,  "loss.cross_entropy.div",                                   "model.mt:17", MT_IN_OUTPUTS, 0,      1,     0,  0},
  {40,  "loss.cross_entropy.div.copy",                              "model.mt:17", MT_IN_OUTPUTS, 1,      1,     0,  0},
  {41,  "grad.update0.net.last.bias.sum",                           "model.mt:12", MT_IN_GRADS,   201856, 5,     0,  0},
  {42,  "grad.update0.net.h.last.mm",                               "model.mt:12", MT_IN_ARENA,   768,    2048,  64, 0},
  {43,  "grad.update0.net.last.weight.transpose",                   "model.mt:12", MT_IN_GRADS,   201536, 320,   0,  0},
  {151, "grad.update0.net.first.add",                               "model.mt:11", MT_IN_ARENA,   8960,   2048,  64, 0},
  {151, "grad.update0.net.b.ln.weight",                             "model.mt:11", MT_IN_GRADS,   1088,   768,   0,  0},
  {151, "grad.update0.net.b.ln.bias",                               "model.mt:11", MT_IN_GRADS,   1856,   768,   0,  0},
  {151, "grad.update0.net.b.up.weight",                             "model.mt:11", MT_IN_GRADS,   2624,   98304, 0,  0},
  {151, "grad.update0.net.b.up.bias",                               "model.mt:11", MT_IN_GRADS,   100928, 1536,  0,  0},
  {151, "grad.update0.net.b.down.weight",                           "model.mt:11", MT_IN_GRADS,   102464, 98304, 0,  0},
  {151, "grad.update0.net.b.down.bias",                             "model.mt:11", MT_IN_GRADS,   200768, 768,   0,  0},
  {152, "grad.update0.net.first.bias.sum",                          "model.mt:10", MT_IN_GRADS,   1024,   64,    0,  0},
  {153, "grad.update0.net.first.weight.transpose",                  "model.mt:10", MT_IN_GRADS,   0,      1024,  0,  0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, f64::train_gradients, train_update, 1, 0, 0, 201920, 0, 1, 0, 1, 154, 20, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"b_up_gelu_product_2",          12, 1.087e+06, 1.042e+07, 1.239e-05},
  {"h_b_product",                  12, 7.895e+05, 6.39e+06,  1.228e-05},
  {"b_up_gelu_product",            12, 6.943e+05, 8.749e+06, 1.225e-05},
  {"gemm 32 x 128 x 64 f32",       12, 6.881e+05, 6.291e+06, 1.225e-05},
  {"gemm 64 x 128 x 32 f32",       12, 6.881e+05, 6.291e+06, 1.225e-05},
  {"gemm 128 x 64 x 32 f32",       12, 6.881e+05, 6.291e+06, 1.225e-05},
  {"gemm 32 x 64 x 128 f32",       12, 6.881e+05, 6.291e+06, 1.225e-05},
  {"d_h_rows",                     12, 3.994e+05, 5.437e+05, 1.216e-05},
  {"b_ln_c_rows",                  12, 3.011e+05, 3.617e+05, 1.212e-05},
  {"d_b_down_bias_columns",        12, 3.057e+05, 2.458e+05, 1.211e-05},
  {"b_ln_rows",                    12, 2.058e+05, 2.642e+05, 1.208e-05},
  {"d_b_up_bias_columns",          12, 2.028e+05, 9.83e+04,  1.207e-05},
  {"update",                       1,  5.652e+06, 3.755e+07, 3.019e-06},
  {"mt_measure",                   1,  8.077e+05, 0,         1.288e-06},
  {"first_product",                1,  1.459e+04, 6.963e+04, 1.005e-06},
  {"gemm 64 x 16 x 32 f32",        1,  1.434e+04, 6.554e+04, 1.005e-06},
  {"gemm 32 x 5 x 64 f32",         1,  1.011e+04, 2.048e+04, 1.004e-06},
  {"gemm 32 x 64 x 5 f32",         1,  1.011e+04, 2.048e+04, 1.004e-06},
  {"gemm 5 x 64 x 32 f32",         1,  1.011e+04, 2.048e+04, 1.004e-06},
  {"d_first_bias_columns",         1,  8448,      4096,      1.003e-06},
  {"loss_cross_entropy_rows",      1,  140,       106,       1.002e-06},
  {"loss_cross_entropy_norm_rows", 1,  132,       448,       1.002e-06},
  {"loss_cross_entropy_nll_rows",  1,  1560,      8616,      1.001e-06},
  {"d_last_bias_columns",          1,  660,       320,       1e-06},
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
  24, train_costs,                   // what a step costs
  "an NVIDIA H100",                  // by the model of it
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cuda,                          // what it runs on
  10, 0, 1, 0,                       // parameters, states, data sets, evals
  201920, 0,                         // elements of the two blocks
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
