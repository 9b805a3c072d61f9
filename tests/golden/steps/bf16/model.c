// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 28 KB:
//   parameters 1.5 KB, gradients 1.5 KB, optimizer 1.5 KB, batches 1.5 KB, data 12 KB, results 4 B, step 9.7 KB
// Most values of a step at once: model.mt:11 2.6 KB, model.mt:13 2.6 KB, model.mt:6 1.8 KB, model.mt:12 1.5 KB, model.mt:7 768 B, model.mt:10 512 B

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt.h"
#include "mtrt_math.h"
#include "mtrt_attention.h"
#include "mtrt_bf16.h"

#define real float
#define bf16 MtBf16  // 2 bytes
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(bf16) / 2))

enum { B = 8, T = 4, D = 6, H = 10 };
#endif

// Parameters: one block of 1,536 bytes; gradients lie the same way in another.
typedef struct {
  real *w;               // (H, D)
  real *ln_weight;       // (D)
  real *ln_bias;         // (D)
  real *att_qkv_weight;  // (18, D)
  real *att_qkv_bias;    // (18)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.w = at + 0;
  p.ln_weight = at + 64;
  p.ln_bias = at + 128;
  p.att_qkv_weight = at + 192;
  p.att_qkv_bias = at + 320;
  return p;
}

// model.mt:11  ln.mul = (x - sum(x) / 6) * rsqrt(sum(ln.c.sub * ln.c.sub) / 6 + 1e-05)
// ln.add.2_bf16 = bf16((x - ln.m.mean.div) * rsqrt(ln.add) * ln.weight + ln.bias)
// fused 12 nodes of net.ln.m, net.ln.c, net.ln.v and 6 more: reads 816 B, writes 1.2 KB; saves 10 KB
static void ln_rows(real *restrict ln_mul, bf16 *restrict ln_add_2_bf16, const real *restrict x,
                    const real *restrict weight, const real *restrict bias, int64_t rows) {
  for (int64_t i = 0; i < rows * T; i++) {
    real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
    for (int64_t j = 0; j < D; j++)
      mean_sum += x[i * D + j];
    const real mean_div = mean_sum / 6;
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < D; j++) {
      const real c_sub = x[i * D + j] - mean_div;
      sum += c_sub * c_sub;
    }
    const real ln_rsqrt = 1 / sqrt(sum / 6 + (real)1e-05);
#pragma omp simd
    for (int64_t j = 0; j < D; j++) {
      const real ln_mul_at = (x[i * D + j] - mean_div) * ln_rsqrt;
      ln_mul[i * D + j] = ln_mul_at;
      ln_add_2_bf16[i * D + j] = to_bf16(ln_mul_at * weight[j] + bias[j]);
    }
  }
}

// model.mt:6  att.qkv.weight_bf16 = bf16(att.qkv.weight)
// called 2 times
// net.att.qkv.weight_bf16: reads 432 B, writes 216 B
static void att_qkv_weight_bf16_map(bf16 *restrict weight_bf16, const real *restrict weight) {
#pragma omp simd
  for (int64_t i = 0; i < 108; i++)
    weight_bf16[i] = to_bf16(weight[i]);
}

// model.mt:6  att.q.reshape.2_bf16.copy = bf16(att.qkv.mm + att.qkv.bias)
// att.k.reshape_bf16.copy = bf16(att.qkv.mm + att.qkv.bias)
// att.v.reshape_bf16.copy = bf16(att.qkv.mm + att.qkv.bias)
// called 2 times
// fused 3 nodes of net.att.q.reshape.2_bf16, net.att.k.reshape_bf16 and net.att.v.reshape_bf16: reads 1.2
//   KB, writes 1.2 KB; saves 2.2 KB; recomputes 3
static void att_q_map(bf16 *restrict reshape_2_bf16_copy, bf16 *restrict reshape_bf16_copy,
                      bf16 *restrict reshape_bf16_copy_2, const bf16 *restrict qkv_mm,
                      const real *restrict bias, int64_t rows) {
  for (int64_t i = 0; i < rows * T; i++) {
#pragma omp simd
    for (int64_t j = 0; j < D; j++) {
      const real add_bf16 = as_bf16(from_bf16(qkv_mm[i * 18 + j + 6]) + bias[j + 6]);
      const real qkv_add = from_bf16(qkv_mm[i * 18 + j + 12]) + bias[j + 12];
      reshape_2_bf16_copy[i * D + j] = to_bf16(from_bf16(qkv_mm[i * 18 + j]) + bias[j]);
      reshape_bf16_copy[i * D + j] = to_bf16(add_bf16);
      reshape_bf16_copy_2[i * D + j] = to_bf16(qkv_add);
    }
  }
}

// model.mt:11  a.add = x + att.mm.2.attention
// a.add_bf16 = bf16(x + att.mm.2.attention)
// fused 3 nodes of net.att.mm.2.attention_f32, net.a and net.a.add_bf16: reads 1.2 KB, writes 1.2 KB; saves
//   2.3 KB
static void a_map(real *restrict a_add, bf16 *restrict add_bf16, const real *restrict x,
                  const bf16 *restrict mm_2_attention, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * D; i++) {
    const real a_add_at = x[i] + from_bf16(mm_2_attention[i]);
    a_add[i] = a_add_at;
    add_bf16[i] = to_bf16(a_add_at);
  }
}

// model.mt:10  w_bf16 = bf16(w)
// called 2 times
// net.w_bf16: reads 240 B, writes 120 B
static void w_bf16_map(bf16 *restrict w_bf16, const real *restrict w) {
#pragma omp simd
  for (int64_t i = 0; i < H * D; i++)
    w_bf16[i] = to_bf16(w[i]);
}

// model.mt:12  h.gelu.mul.2_bf16 = bf16(0.5 * h.mm * (1 + erf(h.mm * 0.7071067811865476)))
// fused 7 nodes of net.h.mm_f32, net.h.gelu, net.h.gelu.rhs.rhs.arg1 and 1 more: reads 640 B, writes 640 B;
//   saves 17 KB
static void h_gelu_map(bf16 *restrict gelu_mul_2_bf16, const bf16 *restrict h_mm, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * H; i++) {
    const real mm_f32 = from_bf16(h_mm[i]);
    const real gelu_mul_2 = 0.5f * mm_f32 * (1 + erf(mm_f32 * (real)0.7071067811865476));
    gelu_mul_2_bf16[i] = to_bf16(gelu_mul_2);
  }
}

// model.mt:13  cast = bf16(relu(mm))
// d(mm_f32.le) = relu(mm) <= 0
// fused 4 nodes of net.mm_f32 and net: reads 384 B, writes 576 B; saves 3.8 KB
static void cast_map(bf16 *restrict cast, bool *restrict d_mm_f32_le, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * D; i++) {
    const real mm = from_bf16(cast[i]);
    const real mm_f32 = mm;
    const real relu = mm_f32 < 0 ? 0 : mm_f32;
    cast[i] = to_bf16(relu);
    d_mm_f32_le[i] = relu <= 0;
  }
}

// model.mt:17  loss.mse.mean.div = sum((add - y) * (add - y)) / (f32(rows) * 24)
// d(rhs.mm.cast) = bf16(d(loss.mse.e.sub.mul) + d(loss.mse.e.sub.mul))
// fused 9 nodes of net.rhs.mm_f32, net, loss.mse.e and 3 more: reads 1.9 KB, writes 388 B; saves 10 KB
static void loss_mse_mean_rows(real *restrict mean_div, bf16 *restrict d_rhs_mm_cast,
                               const real *restrict a_add, const bf16 *restrict rhs_mm,
                               const real *restrict y, int64_t rows) {
  const real mean_mul = (real)rows * 24;
  const real d_mean_sum_div = 1 / mean_mul;
  real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
  for (int64_t i = 0; i < rows * T * D; i++) {
    const real e_sub = a_add[i] + from_bf16(rhs_mm[i]) - y[i];
    mean_sum += e_sub * e_sub;
    const real d_e_sub_mul = d_mean_sum_div * e_sub;
    d_rhs_mm_cast[i] = to_bf16(d_e_sub_mul + d_e_sub_mul);
  }
  mean_div[0] = mean_sum / mean_mul;
}

// model.mt:13  d(mm.cast) = bf16(where(d(mm_f32.le), 0, d(cast.mm)))
// fused 3 nodes of net and net.mm_f32: reads 576 B, writes 384 B; saves 3.1 KB
static void d_mm_map(bf16 *restrict d_mm_cast, const bool *restrict d_mm_f32_le, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * D; i++) {
    const real d_cast_mm = from_bf16(d_mm_cast[i]);
    d_mm_cast[i] = to_bf16(d_mm_f32_le[i] ? 0 : d_cast_mm);
  }
}

// model.mt:12  d(h.mm.cast) = bf16(d(h.mm_f32.mul) + d(h.mm_f32.mul.2))
// fused 12 nodes of net.h.gelu, net.h.gelu.rhs.rhs.arg1, net.h.mm_f32 and 1 more: reads 1.3 KB, writes 640
//   B; saves 33 KB; recomputes 5
static void d_h_map(bf16 *restrict d_h_mm_cast, const bf16 *restrict d_mul_2_bf16_mm, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * H; i++) {
    const real d_mul_2_cast = from_bf16(d_mul_2_bf16_mm[i]);
    const real h_mm = from_bf16(d_h_mm_cast[i]);
    const real mm_f32 = h_mm;
    const real d_mul_mul_2 = d_mul_2_cast * (0.5f * mm_f32) * (real)1.1283791670955126;
    const real arg1_mul = mm_f32 * (real)0.7071067811865476;
    const real d_mm_f32_mul = d_mul_mul_2 * exp(-(arg1_mul * arg1_mul)) * (real)0.7071067811865476;
    const real d_mm_f32_add = d_mm_f32_mul + d_mul_2_cast * (1 + erf(arg1_mul)) * 0.5f;
    d_h_mm_cast[i] = to_bf16(d_mm_f32_add);
  }
}

// model.mt:10  d(w.add.3) = d(w.mm.4) + d(w_bf16.transpose.3) + d(w.mm.2) + d(w_bf16.transpose.2.2)
// fused 3 nodes of net.w: reads 960 B, writes 240 B; saves 960 B
static void d_w_map(real *restrict d_w_add_3, const real *restrict d_w_mm_4,
                    const real *restrict d_w_bf16_transpose_3, const real *restrict d_w_mm_2,
                    const real *restrict d_transpose_2_2) {
#pragma omp simd
  for (int64_t i = 0; i < H * D; i++) {
    const real d_w_add_2 = d_w_mm_4[i] + d_w_bf16_transpose_3[i] + d_w_mm_2[i];
    d_w_add_3[i] = d_w_add_2 + d_transpose_2_2[i];
  }
}

// model.mt:7  d(att.mm.2.attention.cast) = bf16(d(loss.mse.e.sub.add) + d(a.add.cast))
// d(att.mm.2.attention.sum) = sum(bf16(d(a.add.add)) * att.mm.2.attention)
// fused 6 nodes of net.a and net.att: reads 2.7 KB, writes 512 B; saves 5.8 KB; recomputes 6
static void d_att_rows(bf16 *restrict d_2_attention_cast, real *restrict d_2_attention_sum,
                       const real *restrict a_add, const bf16 *restrict rhs_mm, const real *restrict y,
                       const bf16 *restrict d_add_bf16_mm, int64_t rows) {
  for (int64_t i = 0; i < rows * T; i++) {
    const real d_mean_sum_div = 1 / ((real)rows * 24);
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < D; j++) {
      const real e_sub = a_add[i * D + j] + from_bf16(rhs_mm[i * D + j]) - y[i * D + j];
      const real d_e_sub_mul = d_mean_sum_div * e_sub;
      const real d_a_add_add = d_e_sub_mul + d_e_sub_mul + from_bf16(d_add_bf16_mm[i * D + j]);
      const real d_2_attention_cast_at = as_bf16(d_a_add_add);
      const real mm_2_attention = from_bf16(d_2_attention_cast[i * D + j]);
      sum += d_2_attention_cast_at * mm_2_attention;
      d_2_attention_cast[i * D + j] = to_bf16(d_2_attention_cast_at);
    }
    d_2_attention_sum[i] = sum;
  }
}

// model.mt:6  d(att.qkv.bias.sum) = sum(d(att.q.transpose_bf16.add) + d(att.q.transpose_bf16.pad.3))
// fused 2 nodes of net.att.qkv and net.att.qkv.bias: reads 1.2 KB, writes 72 B; saves 4.6 KB; recomputes 2
static void d_att_qkv_bias_columns(real *restrict d_bias_sum, const bf16 *restrict d_dkv,
                                   const bf16 *restrict d_dq, int64_t rows) {
  real sum[18] = {0};
  for (int64_t j = 0; j < rows * T; j++) {
#pragma omp simd
    for (int64_t i = 0; i < 18; i++) {
      const real d_dkv_at = i / 6 - 2 >= 0 ? from_bf16(d_dkv[(i / D) * B * T * D + j * D + i % D - 192]) : 0;
      const real d_dkv_at_2 = i / 6 - 1 >= 0 && i / 6 - 1 < 1 ? from_bf16(d_dkv[(i / D) * B * T * D + j * D + i % D - 192]) : 0;
      const real d_transpose_bf16_add_2 = as_bf16(as_bf16(d_dkv_at + d_dkv_at_2) + (i / 6 < 1 ? from_bf16(d_dq[j * D + i % D]) : 0));
      sum[i] += d_transpose_bf16_add_2;
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < 18; i++)
    d_bias_sum[i] = sum[i];
}

// model.mt:6  d(att.q.reshape_bf16.transpose.copy) = d(att.q.transpose_bf16.add) +
//   d(att.q.transpose_bf16.pad.3)
// net.att.q.reshape_bf16: reads 1.2 KB, writes 1.2 KB; recomputes 2
static void d_att_q_reshape_bf16_map(bf16 *restrict d_reshape_bf16_transpose_copy,
                                     const bf16 *restrict d_dkv, const bf16 *restrict d_dq, int64_t rows) {
  for (int64_t i = 0; i < rows * T; i++) {
    for (int64_t j = 0; j < 3; j++) {
#pragma omp simd
      for (int64_t k = 0; k < D; k++) {
        const real d_dkv_at = j - 2 >= 0 ? from_bf16(d_dkv[j * B * T * D + i * D + k - 192]) : 0;
        const real d_dkv_at_2 = j - 1 >= 0 && j - 1 < 1 ? from_bf16(d_dkv[j * B * T * D + i * D + k - 192]) : 0;
        const real d_transpose_bf16_add_2 = as_bf16(as_bf16(d_dkv_at + d_dkv_at_2) + (j < 1 ? from_bf16(d_dq[i * D + k]) : 0));
        d_reshape_bf16_transpose_copy[i * 18 + j * D + k] = to_bf16(d_transpose_bf16_add_2);
      }
    }
  }
}

// model.mt:11  d(ln.bias.sum) = sum(d(ln.add.2_bf16.mm))
// d(ln.weight.sum) = sum(d(ln.add.2_bf16.mm) * ln.mul)
// fused 3 nodes of net.ln.bias and net.ln.weight: reads 1.2 KB, writes 48 B; saves 2.7 KB; recomputes 1
static void d_ln_bias_columns(real *restrict d_bias_sum, real *restrict d_weight_sum,
                              const bf16 *restrict d_add_2_bf16_mm, const real *restrict ln_mul,
                              int64_t rows) {
  real sum[D] = {0};
  real sum_2[D] = {0};
  for (int64_t j = 0; j < rows * T; j++) {
#pragma omp simd
    for (int64_t i = 0; i < D; i++) {
      const real d_add_2_cast = from_bf16(d_add_2_bf16_mm[j * D + i]);
      sum[i] += d_add_2_cast;
      sum_2[i] += d_add_2_cast * ln_mul[j * D + i];
    }
  }
#pragma omp simd
  for (int64_t i = 0; i < D; i++) {
    d_bias_sum[i] = sum[i];
    d_weight_sum[i] = sum_2[i];
  }
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];                      // (B, T, D)
  const real *y = (const real *)batch[1];                      // (B, T, D)
  real *ln_mul = AT(real, 0);                                  // (B, T, D)
  bf16 *ln_add_2_bf16 = AT(bf16, 768);                         // (B, T, D)
  bf16 *att_qkv_weight_bf16 = AT(bf16, 1280);                  // (18, D)
  bf16 *att_qkv_mm = AT(bf16, 1536);                           // (B, T, 18)
  bf16 *att_q_reshape_2_bf16_copy = AT(bf16, 2816);            // (B, T, D)
  bf16 *att_k_reshape_bf16_copy = AT(bf16, 3328);              // (B, T, D)
  bf16 *att_v_reshape_bf16_copy = AT(bf16, 3840);              // (B, T, D)
  real *att_mm_2_attention_lse = AT(real, 1536);               // (B, T)
  bf16 *att_mm_2_attention = AT(bf16, 1792);                   // (B, T, D)
  real *a_add = AT(real, 4352);                                // (B, T, D)
  bf16 *a_add_bf16 = AT(bf16, 2304);                           // (B, T, D)
  bf16 *w_bf16 = AT(bf16, 5120);                               // (H, D)
  bf16 *h_mm = AT(bf16, 5376);                                 // (B, T, H)
  bf16 *h_gelu_mul_2_bf16 = AT(bf16, 6144);                    // (B, T, H)
  bf16 *mm = AT(bf16, 6912);                                   // (B, T, D)
  bf16 *cast = AT(bf16, 6912);                                 // (B, T, D)
  bool *d_mm_f32_le = AT(bool, 7424);                          // (B, T, D)
  bf16 *rhs_lhs_arg1_mm = AT(bf16, 7680);                      // (B, T, H)
  bf16 *rhs_mm = AT(bf16, 8448);                               // (B, T, D)
  bf16 *d_rhs_mm_cast = AT(bf16, 8960);                        // (B, T, D)
  real *d_w_mm_4 = AT(real, 9472);                             // (H, D)
  bf16 *d_rhs_lhs_arg1_mm_mm = AT(bf16, 7680);                 // (B, T, H)
  real *d_w_bf16_transpose_3 = AT(real, 8960);                 // (H, D)
  bf16 *d_cast_mm = AT(bf16, 6912);                            // (B, T, D)
  bf16 *d_mm_cast = AT(bf16, 6912);                            // (B, T, D)
  real *d_w_mm_2 = AT(real, 9216);                             // (H, D)
  bf16 *d_h_gelu_mul_2_bf16_mm = AT(bf16, 6144);               // (B, T, H)
  bf16 *d_h_mm_cast = AT(bf16, 5376);                          // (B, T, H)
  real *d_w_bf16_transpose_2_2 = AT(real, 6144);               // (H, D)
  bf16 *d_a_add_bf16_mm = AT(bf16, 2304);                      // (B, T, D)
  bf16 *d_att_mm_2_attention_cast = AT(bf16, 1792);            // (B, T, D)
  real *d_att_mm_2_attention_sum = AT(real, 8960);             // (B, T)
  bf16 *d_att_mm_2_attention_dq = AT(bf16, 2304);              // (B, T, D)
  bf16 *d_att_mm_2_attention_dkv = AT(bf16, 4352);             // (2, B, T, D)
  bf16 *d_att_q_reshape_bf16_transpose_copy = AT(bf16, 2816);  // (B, T, 3, D)
  bf16 *d_ln_add_2_bf16_mm = AT(bf16, 768);                    // (B, T, D)
  real *loss_mse_mean_div = (real *)run->outputs + 0;          // ()

  // model.mt:11
  STEP(ln_rows(ln_mul, ln_add_2_bf16, x, p.ln_weight, p.ln_bias, rows));

  // model.mt:6
  STEP(att_qkv_weight_bf16_map(att_qkv_weight_bf16, p.att_qkv_weight));
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NT, rows * T, 18, D, ln_add_2_bf16, att_qkv_weight_bf16,
                    att_qkv_mm));
  STEP(att_q_map(att_q_reshape_2_bf16_copy, att_k_reshape_bf16_copy, att_v_reshape_bf16_copy, att_qkv_mm,
                 p.att_qkv_bias, rows));

  // model.mt:7
  STEP(mt_attention_lse(run, MT_BF16, MT_FULL, rows, T, T, D, 0.4082482904638631,
                        att_q_reshape_2_bf16_copy, att_k_reshape_bf16_copy, att_mm_2_attention_lse));
  STEP(mt_attention(run, MT_BF16, MT_FULL, rows, T, T, D, 0.4082482904638631, att_q_reshape_2_bf16_copy,
                    att_k_reshape_bf16_copy, att_v_reshape_bf16_copy, att_mm_2_attention));

  // model.mt:11
  STEP(a_map(a_add, a_add_bf16, x, att_mm_2_attention, rows));

  // model.mt:10
  STEP(w_bf16_map(w_bf16, p.w));

  // model.mt:12
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NT, rows * T, H, D, a_add_bf16, w_bf16, h_mm));
  STEP(h_gelu_map(h_gelu_mul_2_bf16, h_mm, rows));

  // model.mt:13
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NN, rows * T, D, H, h_gelu_mul_2_bf16, w_bf16, mm));
  STEP(cast_map(cast, d_mm_f32_le, rows));
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NT, rows * T, H, D, cast, w_bf16, rhs_lhs_arg1_mm));
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NN, rows * T, D, H, rhs_lhs_arg1_mm, w_bf16, rhs_mm));

  // model.mt:17
  STEP(loss_mse_mean_rows(loss_mse_mean_div, d_rhs_mm_cast, a_add, rhs_mm, y, rows));

  // model.mt:10, backward
  STEP(mt_gemm_bf16(run, MT_TO_REAL, MT_TN, H, D, rows * 4, rhs_lhs_arg1_mm, d_rhs_mm_cast, d_w_mm_4));

  // model.mt:13, backward
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NT, rows * T, H, D, d_rhs_mm_cast, w_bf16, d_rhs_lhs_arg1_mm_mm));
  STEP(mt_gemm_bf16(run, MT_TO_REAL, MT_TN, H, D, rows * 4, d_rhs_lhs_arg1_mm_mm, cast,
                    d_w_bf16_transpose_3));
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NN, rows * T, D, H, d_rhs_lhs_arg1_mm_mm, w_bf16, d_cast_mm));
  STEP(d_mm_map(d_mm_cast, d_mm_f32_le, rows));

  // model.mt:10, backward
  STEP(mt_gemm_bf16(run, MT_TO_REAL, MT_TN, H, D, rows * 4, h_gelu_mul_2_bf16, d_mm_cast, d_w_mm_2));

  // model.mt:13, backward
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NT, rows * T, H, D, d_mm_cast, w_bf16, d_h_gelu_mul_2_bf16_mm));

  // model.mt:12, backward
  STEP(d_h_map(d_h_mm_cast, d_h_gelu_mul_2_bf16_mm, rows));
  STEP(mt_gemm_bf16(run, MT_TO_REAL, MT_TN, H, D, rows * 4, d_h_mm_cast, a_add_bf16,
                    d_w_bf16_transpose_2_2));

  // model.mt:10, backward
  STEP(d_w_map(d.w, d_w_mm_4, d_w_bf16_transpose_3, d_w_mm_2, d_w_bf16_transpose_2_2));

  // model.mt:12, backward
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NN, rows * T, D, H, d_h_mm_cast, w_bf16, d_a_add_bf16_mm));

  // model.mt:7, backward
  STEP(d_att_rows(d_att_mm_2_attention_cast, d_att_mm_2_attention_sum, a_add, rhs_mm, y, d_a_add_bf16_mm,
                  rows));
  STEP(mt_attention_dq(run, MT_BF16, MT_FULL, rows, T, T, D, 0.4082482904638631, att_q_reshape_2_bf16_copy,
                       att_k_reshape_bf16_copy, att_v_reshape_bf16_copy, att_mm_2_attention_lse,
                       d_att_mm_2_attention_cast, d_att_mm_2_attention_sum, d_att_mm_2_attention_dq));
  STEP(mt_attention_dkv(run, MT_BF16, MT_FULL, rows, T, T, D, 0.4082482904638631,
                        att_q_reshape_2_bf16_copy, att_k_reshape_bf16_copy, att_v_reshape_bf16_copy,
                        att_mm_2_attention_lse, d_att_mm_2_attention_cast, d_att_mm_2_attention_sum,
                        d_att_mm_2_attention_dkv, d_att_mm_2_attention_dkv + B * T * D));

  // model.mt:6, backward
  STEP(d_att_qkv_bias_columns(d.att_qkv_bias, d_att_mm_2_attention_dkv, d_att_mm_2_attention_dq, rows));
  STEP(d_att_q_reshape_bf16_map(d_att_q_reshape_bf16_transpose_copy, d_att_mm_2_attention_dkv,
                                d_att_mm_2_attention_dq, rows));
  STEP(mt_gemm_bf16(run, MT_TO_REAL, MT_TN, 18, D, rows * 4, d_att_q_reshape_bf16_transpose_copy,
                    ln_add_2_bf16, d.att_qkv_weight));
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NN, rows * T, D, 18, d_att_q_reshape_bf16_transpose_copy,
                    att_qkv_weight_bf16, d_ln_add_2_bf16_mm));

  // model.mt:11, backward
  STEP(d_ln_bias_columns(d.ln_bias, d.ln_weight, d_ln_add_2_bf16_mm, ln_mul, rows));
}

#ifndef MT_DOUBLE

// model.mt:11  ln.add.2_bf16 = bf16((x - ln.m.mean.div) * rsqrt(ln.add) * ln.weight + ln.bias)
// fused 12 nodes of net.ln.m, net.ln.c, net.ln.v and 6 more: reads 816 B, writes 384 B; saves 11 KB
static void ln_rows_2(bf16 *restrict ln_add_2_bf16, const real *restrict x, const real *restrict weight,
                      const real *restrict bias, int64_t rows) {
  for (int64_t i = 0; i < rows * T; i++) {
    real mean_sum = 0;
#pragma omp simd reduction(+ : mean_sum)
    for (int64_t j = 0; j < D; j++)
      mean_sum += x[i * D + j];
    const real mean_div = mean_sum / 6;
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < D; j++) {
      const real c_sub = x[i * D + j] - mean_div;
      sum += c_sub * c_sub;
    }
    const real ln_rsqrt = 1 / sqrt(sum / 6 + (real)1e-05);
#pragma omp simd
    for (int64_t j = 0; j < D; j++) {
      const real ln_add_2 = (x[i * D + j] - mean_div) * ln_rsqrt * weight[j] + bias[j];
      ln_add_2_bf16[i * D + j] = to_bf16(ln_add_2);
    }
  }
}

// model.mt:11  a.add_bf16 = bf16(x + att.mm.2.attention)
// fused 3 nodes of net.att.mm.2.attention_f32, net.a and net.a.add_bf16: reads 1.2 KB, writes 384 B; saves
//   3.1 KB
static void a_add_bf16_map(bf16 *restrict add_bf16, const real *restrict x,
                           const bf16 *restrict mm_2_attention, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * D; i++)
    add_bf16[i] = to_bf16(x[i] + from_bf16(mm_2_attention[i]));
}

// model.mt:12  h.gelu.mul.2_bf16 = bf16(0.5 * h.mm * (1 + erf(h.mm * 0.7071067811865476)))
// fused 7 nodes of net.h.mm_f32, net.h.gelu, net.h.gelu.rhs.rhs.arg1 and 1 more: reads 640 B, writes 640 B;
//   saves 17 KB
static void h_gelu_map_2(bf16 *restrict gelu_mul_2_bf16, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * H; i++) {
    const real h_mm = from_bf16(gelu_mul_2_bf16[i]);
    const real mm_f32 = h_mm;
    const real gelu_mul_2 = 0.5f * mm_f32 * (1 + erf(mm_f32 * (real)0.7071067811865476));
    gelu_mul_2_bf16[i] = to_bf16(gelu_mul_2);
  }
}

// model.mt:13  cast = bf16(relu(mm))
// fused 3 nodes of net.mm_f32 and net: reads 384 B, writes 384 B; saves 3.1 KB
static void cast_map_2(bf16 *restrict cast, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * D; i++) {
    const real mm = from_bf16(cast[i]);
    const real mm_f32 = mm;
    cast[i] = to_bf16(mm_f32 < 0 ? 0 : mm_f32);
  }
}

// model.mt:13  add = x + att.mm.2.attention + rhs.mm
// fused 2 nodes of net.rhs.mm_f32 and net: reads 1.5 KB, writes 768 B; saves 1.2 KB; recomputes 2
static void add_map(real *restrict add, const real *restrict x, const bf16 *restrict mm_2_attention,
                    const bf16 *restrict rhs_mm, int64_t rows) {
#pragma omp simd
  for (int64_t i = 0; i < rows * T * D; i++) {
    const real add_at = x[i] + from_bf16(mm_2_attention[i]) + from_bf16(rhs_mm[i]);
    add[i] = add_at;
  }
}

// Inference.
static void predict_step(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const real *x = (const real *)batch[0];          // (B, T, D)
  bf16 *ln_add_2_bf16 = AT(bf16, 0);               // (B, T, D)
  bf16 *att_qkv_weight_bf16 = AT(bf16, 512);       // (18, D)
  bf16 *att_qkv_mm = AT(bf16, 768);                // (B, T, 18)
  bf16 *att_q_reshape_2_bf16_copy = AT(bf16, 0);   // (B, T, D)
  bf16 *att_k_reshape_bf16_copy = AT(bf16, 2048);  // (B, T, D)
  bf16 *att_v_reshape_bf16_copy = AT(bf16, 2560);  // (B, T, D)
  bf16 *att_mm_2_attention = AT(bf16, 512);        // (B, T, D)
  bf16 *a_add_bf16 = AT(bf16, 0);                  // (B, T, D)
  bf16 *w_bf16 = AT(bf16, 1024);                   // (H, D)
  bf16 *h_mm = AT(bf16, 1280);                     // (B, T, H)
  bf16 *h_gelu_mul_2_bf16 = AT(bf16, 1280);        // (B, T, H)
  bf16 *mm = AT(bf16, 0);                          // (B, T, D)
  bf16 *cast = AT(bf16, 0);                        // (B, T, D)
  bf16 *rhs_lhs_arg1_mm = AT(bf16, 1280);          // (B, T, H)
  bf16 *rhs_mm = AT(bf16, 0);                      // (B, T, D)
  real *add = (real *)run->outputs + 0;            // (B, T, D)

  // model.mt:11
  STEP(ln_rows_2(ln_add_2_bf16, x, p.ln_weight, p.ln_bias, rows));

  // model.mt:6
  STEP(att_qkv_weight_bf16_map(att_qkv_weight_bf16, p.att_qkv_weight));
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NT, rows * T, 18, D, ln_add_2_bf16, att_qkv_weight_bf16,
                    att_qkv_mm));
  STEP(att_q_map(att_q_reshape_2_bf16_copy, att_k_reshape_bf16_copy, att_v_reshape_bf16_copy, att_qkv_mm,
                 p.att_qkv_bias, rows));

  // model.mt:7
  STEP(mt_attention(run, MT_BF16, MT_FULL, rows, T, T, D, 0.4082482904638631, att_q_reshape_2_bf16_copy,
                    att_k_reshape_bf16_copy, att_v_reshape_bf16_copy, att_mm_2_attention));

  // model.mt:11
  STEP(a_add_bf16_map(a_add_bf16, x, att_mm_2_attention, rows));

  // model.mt:10
  STEP(w_bf16_map(w_bf16, p.w));

  // model.mt:12
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NT, rows * T, H, D, a_add_bf16, w_bf16, h_mm));
  STEP(h_gelu_map_2(h_gelu_mul_2_bf16, rows));

  // model.mt:13
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NN, rows * T, D, H, h_gelu_mul_2_bf16, w_bf16, mm));
  STEP(cast_map_2(cast, rows));
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NT, rows * T, H, D, cast, w_bf16, rhs_lhs_arg1_mm));
  STEP(mt_gemm_bf16(run, MT_TO_BF16, MT_NN, rows * T, D, H, rhs_lhs_arg1_mm, w_bf16, rhs_mm));
  STEP(add_map(add, x, att_mm_2_attention, rhs_mm, rows));
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
  mt_check_gradients(run, end, 0, 384);
  schedule(run->scalars);
  // net using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(run, 0, 0, 338);
  mt_finish(run, end);
}

static void train_gradients_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"net.w",              2, {H, D},  0,   MT_NORMAL,   0,                   0.1,                "model.mt:10", NULL},
  {"net.ln.weight",      1, {D},     64,  MT_CONSTANT, 1,                   0,                  "model.mt:11", NULL},
  {"net.ln.bias",        1, {D},     128, MT_CONSTANT, 0,                   0,                  "model.mt:11", NULL},
  {"net.att.qkv.weight", 2, {18, D}, 192, MT_UNIFORM,  -0.4082482904638631, 0.4082482904638631, "model.mt:6",  NULL},
  {"net.att.qkv.bias",   1, {18},    320, MT_UNIFORM,  -0.4082482904638631, 0.4082482904638631, "model.mt:6",  NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField samples_fields[] = {
  {"x", MT_F32, 2, {T, D}, 0, 0, 0},
  {"y", MT_F32, 2, {T, D}, 0, 0, 0},
};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"samples", MT_RANDOM, 0, NULL, 2, samples_fields, 8, false, 64, 1, 0, "model.mt:4"},
};

// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"net", "sgd", 1, {"buf"}, 0, 338, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {0,  "net.ln.mul",                                         "model.mt:11", MT_IN_ARENA,      0,    192, 24, MT_OF_DATA},
  {0,  "net.ln.add.2_bf16",                                  "model.mt:11", MT_IN_ARENA_BF16, 768,  192, 24, 0},
  {1,  "net.att.qkv.weight_bf16",                            "model.mt:6",  MT_IN_ARENA_BF16, 1280, 108, 0,  0},
  {2,  "net.att.qkv.mm",                                     "model.mt:6",  MT_IN_ARENA_BF16, 1536, 576, 72, 0},
  {3,  "net.att.q.reshape.2_bf16.copy",                      "model.mt:6",  MT_IN_ARENA_BF16, 2816, 192, 24, 0},
  {3,  "net.att.k.reshape_bf16.copy",                        "model.mt:6",  MT_IN_ARENA_BF16, 3328, 192, 24, 0},
  {3,  "net.att.v.reshape_bf16.copy",                        "model.mt:6",  MT_IN_ARENA_BF16, 3840, 192, 24, 0},
  {4,  "net.att.mm.2.attention.lse",                         "model.mt:7",  MT_IN_ARENA,      1536, 32,  4,  0},
  {5,  "net.att.mm.2.attention",                             "model.mt:7",  MT_IN_ARENA_BF16, 1792, 192, 24, 0},
  {6,  "net.a.add",                                          "model.mt:11", MT_IN_ARENA,      4352, 192, 24, 0},
  {6,  "net.a.add_bf16",                                     "model.mt:11", MT_IN_ARENA_BF16, 2304, 192, 24, 0},
  {7,  "net.w_bf16",                                         "model.mt:10", MT_IN_ARENA_BF16, 5120, 60,  0,  0},
  {8,  "net.h.mm",                                           "model.mt:12", MT_IN_ARENA_BF16, 5376, 320, 40, 0},
  {9,  "net.h.gelu.mul.2_bf16",                              "model.mt:12", MT_IN_ARENA_BF16, 6144, 320, 40, 0},
  {10, "net.mm",                                             "model.mt:13", MT_IN_ARENA_BF16, 6912, 192, 24, 0},
  {11, "net.cast",                                           "model.mt:13", MT_IN_ARENA_BF16, 6912, 192, 24, 0},
  {12, "net.rhs.lhs.arg1.mm",                                "model.mt:13", MT_IN_ARENA_BF16, 7680, 320, 40, 0},
  {13, "net.rhs.mm",                                         "model.mt:13", MT_IN_ARENA_BF16, 8448, 192, 24, 0},
  {14, "loss.mse.mean.div",                                  "model.mt:17", MT_IN_OUTPUTS,    0,    1,   0,  0},
  {14, "grad.update0.net.rhs.mm.cast",                       "model.mt:13", MT_IN_ARENA_BF16, 8960, 192, 24, 0},
  {15, "grad.update0.net.w.mm.4",                            "model.mt:10", MT_IN_ARENA,      9472, 60,  0,  0},
  {16, "grad.update0.net.rhs.lhs.arg1.mm.mm",                "model.mt:13", MT_IN_ARENA_BF16, 7680, 320, 40, 0},
  {17, "grad.update0.net.w_bf16.transpose.3",                "model.mt:13", MT_IN_ARENA,      8960, 60,  0,  0},
  {18, "grad.update0.net.cast.mm",                           "model.mt:13", MT_IN_ARENA_BF16, 6912, 192, 24, 0},
  {19, "grad.update0.net.mm.cast",                           "model.mt:13", MT_IN_ARENA_BF16, 6912, 192, 24, 0},
  {20, "grad.update0.net.w.mm.2",                            "model.mt:10", MT_IN_ARENA,      9216, 60,  0,  0},
  {21, "grad.update0.net.h.gelu.mul.2_bf16.mm",              "model.mt:13", MT_IN_ARENA_BF16, 6144, 320, 40, 0},
  {22, "grad.update0.net.h.mm.cast",                         "model.mt:12", MT_IN_ARENA_BF16, 5376, 320, 40, 0},
  {23, "grad.update0.net.w_bf16.transpose.2.2",              "model.mt:12", MT_IN_ARENA,      6144, 60,  0,  0},
  {24, "grad.update0.net.w.add.3",                           "model.mt:10", MT_IN_GRADS,      0,    60,  0,  0},
  {25, "grad.update0.net.a.add_bf16.mm",                     "model.mt:12", MT_IN_ARENA_BF16, 2304, 192, 24, 0},
  {26, "grad.update0.net.att.mm.2.attention.cast",           "model.mt:7",  MT_IN_ARENA_BF16, 1792, 192, 24, 0},
  {26, "grad.update0.net.att.mm.2.attention.sum",            "model.mt:7",  MT_IN_ARENA,      8960, 32,  4,  0},
  {27, "grad.update0.net.att.mm.2.attention.dq",             "model.mt:7",  MT_IN_ARENA_BF16, 2304, 192, 24, 0},
  {29, "grad.update0.net.att.qkv.bias.sum",                  "model.mt:6",  MT_IN_GRADS,      320,  18,  0,  0},
  {30, "grad.update0.net.att.q.reshape_bf16.transpose.copy", "model.mt:6",  MT_IN_ARENA_BF16, 2816, 576, 72, 0},
  {31, "grad.update0.net.att.qkv.weight_bf16.transpose.2",   "model.mt:6",  MT_IN_GRADS,      192,  108, 0,  0},
  {32, "grad.update0.net.ln.add.2_bf16.mm",                  "model.mt:6",  MT_IN_ARENA_BF16, 768,  192, 24, 0},
  {33, "grad.update0.net.ln.bias.sum",                       "model.mt:11", MT_IN_GRADS,      128,  6,   0,  0},
  {33, "grad.update0.net.ln.weight.sum",                     "model.mt:11", MT_IN_GRADS,      64,   6,   0,  0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, train_gradients_f64, train_update, 1, 0, 0, 384, 0, 0, 0, 1, 34, 40, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"gemm 32 x 10 x 6 bf16",    4, 4576, 1.536e+04, 4.351e-07},
  {"gemm 32 x 6 x 10 bf16",    4, 4576, 1.536e+04, 4.351e-07},
  {"gemm 10 x 6 x 32 bf16",    4, 5056, 1.536e+04, 4.351e-07},
  {"d_h_map",                  1, 1920, 2.752e+04, 1.688e-07},
  {"h_gelu_map",               1, 1280, 1.664e+04, 1.416e-07},
  {"mt_sgd",                   1, 6760, 6760,      1.241e-07},
  {"mt_attention_dkv",         1, 2560, 6144,      1.205e-07},
  {"ln_rows",                  1, 1968, 6976,      1.174e-07},
  {"gemm 32 x 18 x 6 bf16",    1, 1752, 6912,      1.158e-07},
  {"gemm 18 x 6 x 32 bf16",    1, 1968, 6912,      1.158e-07},
  {"gemm 32 x 6 x 18 bf16",    1, 1752, 6912,      1.158e-07},
  {"mt_attention_dq",          1, 2176, 4608,      1.154e-07},
  {"mt_attention_lse",         1, 896,  1536,      1.128e-07},
  {"mt_attention",             1, 1536, 3072,      1.128e-07},
  {"d_att_rows",               1, 3200, 4652,      1.116e-07},
  {"d_att_qkv_bias_columns",   1, 1224, 4608,      1.115e-07},
  {"d_att_q_reshape_bf16_map", 1, 2304, 3456,      1.086e-07},
  {"att_q_map",                1, 2376, 2304,      1.085e-07},
  {"loss_mse_mean_rows",       1, 2308, 3156,      1.082e-07},
  {"a_map",                    1, 2304, 1152,      1.082e-07},
  {"mt_check_gradients",       1, 1536, 0,         1.055e-07},
  {"d_w_map",                  1, 1200, 360,       1.043e-07},
  {"d_ln_bias_columns",        1, 1200, 1536,      1.043e-07},
  {"cast_map",                 1, 960,  1536,      1.038e-07},
  {"d_mm_map",                 1, 960,  1152,      1.034e-07},
  {"att_qkv_weight_bf16_map",  1, 648,  216,       1.023e-07},
  {"w_bf16_map",               1, 360,  120,       1.013e-07},
};
static const MtTrain train = {
  0,                                 // data: samples
  false,                             // shuffled
  0,                                 // seed of the shuffling
  10, MT_STEPS,                      // how long
  1,                                 // micro-batches an update
  false,                             // matrix products in TF32
  1, train_phases,                   // a step, from update to update
  {9728, 1},                         // bytes of its arena, elements of its outputs
  0, NULL,                           // logs
  1, train_groups,                   // update groups
  0, NULL,                           // what happens every so often
  27, train_costs,                   // what a step costs
  "two CPU cores with AVX-512",      // by the model of it
};

static const MtField predict_fields[] = {
  {"x", MT_F32, 2, {T, D}, 0, 0, 0},
};
static const MtPredict predict = {
  1, predict_fields,                 // what it is given
  8,                                 // rows a batch
  predict_step,                      // the step
  {3072, 192},                       // bytes of its arena, elements of its outputs
  2, {T, D},                         // rank and shape of a result
  true,                              // one result a row
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cpu,                           // what it runs on
  5, 0, 1, 0,                        // parameters, states, data sets, evals
  384, 0,                            // elements of the two blocks
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
#undef bf16
#define bf16 double
#define Params Params_f64
#define params_at params_at_f64
#define ln_rows ln_rows_f64
#define att_qkv_weight_bf16_map att_qkv_weight_bf16_map_f64
#define att_q_map att_q_map_f64
#define a_map a_map_f64
#define w_bf16_map w_bf16_map_f64
#define h_gelu_map h_gelu_map_f64
#define cast_map cast_map_f64
#define loss_mse_mean_rows loss_mse_mean_rows_f64
#define d_mm_map d_mm_map_f64
#define d_h_map d_h_map_f64
#define d_w_map d_w_map_f64
#define d_att_rows d_att_rows_f64
#define d_att_qkv_bias_columns d_att_qkv_bias_columns_f64
#define d_att_q_reshape_bf16_map d_att_q_reshape_bf16_map_f64
#define d_ln_bias_columns d_ln_bias_columns_f64
#define train_gradients train_gradients_f64
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
#endif
