// model.c, by mtc 0.1 from model.mt.
// cc -O3 -march=native -fopenmp model.c $(mtc --print=cflags) $(mtc --print=libs) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 68 KB:
//   parameters 2.6 KB, gradients 2.6 KB, optimizer 2.6 KB, batches 3.3 KB, data 10 KB, results 8 B, step 47 KB
// Most values of a step at once: model.mt:9 39 KB, model.mt:10 1.8 KB

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt.h"
#include "mtrt_math.h"

#define real float
// An array of the arena; offsets are in bytes for floats.
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

enum { B = 5, K = 3 };
#endif

// Parameters: one block of 2,560 bytes; gradients lie the same way in another.
typedef struct {
  real *conv1_weight;  // (4, 2, 3, 3)
  real *conv1_bias;    // (4)
  real *depth_weight;  // (4, 1, 3, 3)
  real *depth_bias;    // (4)
  real *point_weight;  // (6, 4, 1, 1)
  real *point_bias;    // (6)
  real *fc_weight;     // (K, 24)
  real *fc_bias;       // (K)
} Params;

static inline Params params_at(void *block) {
  real *at = (real *)block;
  Params p;
  p.conv1_weight = at + 0;
  p.conv1_bias = at + 128;
  p.depth_weight = at + 192;
  p.depth_bias = at + 256;
  p.point_weight = at + 320;
  p.point_bias = at + 384;
  p.fc_weight = at + 448;
  p.fc_bias = at + 576;
  return p;
}

// model.mt:9  conv1.conv2d.transpose.copy = windows(x)
// called 2 times
// net.conv1.conv2d: reads 3.2 KB, writes 29 KB
static void conv1_conv2d_map(real *restrict conv2d_transpose_copy, const real *restrict x, int64_t rows) {
  for (int64_t i = 0; i < 2; i++) {
    for (int64_t j = 0; j < 3; j++) {
      for (int64_t k = 0; k < 3; k++) {
        for (int64_t row = 0; row < rows; row++) {
          for (int64_t l = 0; l < 9; l++) {
#pragma omp simd
            for (int64_t m = 0; m < 9; m++) {
              const real x_at = j + l - 1 >= 0 && j + l - 1 < 9 && k + m - 1 >= 0 && k + m - 1 < 9 ? x[row * 162 + i * 81 + j * 9 + l * 9 + k + m - 10] : 0;
              conv2d_transpose_copy[i * 3645 + j * 1215 + k * 405 + row * 81 + l * 9 + m] = x_at;
            }
          }
        }
      }
    }
  }
}

// model.mt:9  d(conv1.conv2d.transpose.2.le) = relu(conv1.conv2d.mm + conv1.bias) <= 0
// fused 2 nodes of net.conv1 and net.conv1.conv2d: reads 6.5 KB, writes 1.6 KB; saves 13 KB; recomputes 1
static void d_conv1_conv2d_map(bool *restrict d_transpose_2_le, const real *restrict conv2d_mm,
                               const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 4; i++) {
#pragma omp simd
      for (int64_t j = 0; j < 81; j++) {
        const real conv2d_add = conv2d_mm[i * 405 + row * 81 + j] + bias[i];
        d_transpose_2_le[row * 324 + i * 81 + j] = (conv2d_add < 0 ? 0 : conv2d_add) <= 0;
      }
    }
  }
}

// model.mt:9  conv1.max_pool2d.max = max(relu(conv1.conv2d.mm + conv1.bias))
// d(conv1.max_pool2d.reshape.2.where.2) = where(d(conv1.max_pool2d.reshape.2.ne.2),
//   d(conv1.max_pool2d.reshape.2.max), d(conv1.max_pool2d.reshape.2.argmax))
// fused 7 nodes of net.conv1.max_pool2d: reads 6.5 KB, writes 2.6 KB; saves 33 KB; recomputes 2
static void conv1_max_pool2d_columns(real *restrict max_pool2d_max, int32_t *restrict d_2_where_2,
                                     const real *restrict conv2d_mm, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 4; i++) {
      for (int64_t j = 0; j < 4; j++) {
        real bias_at[4];
        real highest[4];
        for (int64_t k = 0; k < 4; k++)
          highest[k] = -INFINITY;
        int32_t d_reshape_2_max[4];
        for (int64_t k = 0; k < 4; k++)
          d_reshape_2_max[k] = INT32_MIN;
        int32_t d_reshape_2_argmax[4] = {0};
        real d_reshape_2_argmax_best[4];
        for (int64_t k = 0; k < 4; k++)
          d_reshape_2_argmax_best[k] = -INFINITY;
#pragma omp simd
        for (int64_t k = 0; k < 4; k++)
          bias_at[k] = bias[i];
        for (int64_t l = 0; l < 4; l++) {
          for (int64_t k = 0; k < 4; k++) {
            const real conv2d_mm_at = conv2d_mm[i * 405 + row * 81 + j * 18 + (l / 2) * 9 + k * 2 + l % 2];
            const real conv2d_add = conv2d_mm_at + bias_at[k];
            const real conv1_relu = conv2d_add < 0 ? 0 : conv2d_add;
            highest[k] = mt_maximum(highest[k], conv1_relu);
            d_reshape_2_max[k] = mt_maximum(d_reshape_2_max[k], conv1_relu != conv1_relu ? l : 0);
            if (conv1_relu > d_reshape_2_argmax_best[k] || (conv1_relu != conv1_relu && d_reshape_2_argmax_best[k] == d_reshape_2_argmax_best[k]))
              d_reshape_2_argmax_best[k] = conv1_relu, d_reshape_2_argmax[k] = (int32_t)l;
          }
        }
#pragma omp simd
        for (int64_t k = 0; k < 4; k++) {
          const int32_t d_2_where_2_at = highest[k] != highest[k] ? d_reshape_2_max[k] : d_reshape_2_argmax[k];
          max_pool2d_max[row * 64 + i * 16 + j * 4 + k] = highest[k];
          d_2_where_2[row * 64 + i * 16 + j * 4 + k] = d_2_where_2_at;
        }
      }
    }
  }
}

// model.mt:10  depth.conv2d.add = sum(windows(conv1.max_pool2d.max) * depth.weight) + depth.bias
// called 2 times
// fused 3 nodes of net.depth.conv2d: reads 1.4 KB, writes 1.3 KB; saves 26 KB
static void depth_conv2d_columns(real *restrict conv2d_add, const real *restrict max_pool2d_max,
                                 const real *restrict weight, const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 4; i++) {
      for (int64_t j = 0; j < 4; j++) {
        real conv2d_sum[4] = {0};
        real bias_at[4];
#pragma omp simd
        for (int64_t k = 0; k < 4; k++)
          bias_at[k] = bias[i];
        for (int64_t l = 0; l < 3; l++) {
          for (int64_t m = 0; m < 3; m++) {
#pragma omp simd
            for (int64_t k = 0; k < 4; k++) {
              const real max_pool2d_max_at = j + l - 1 >= 0 && j + l - 1 < 4 && k + m - 1 >= 0 && k + m - 1 < 4 ? max_pool2d_max[row * 64 + i * 16 + j * 4 + l * 4 + k + m - 5] : 0;
              conv2d_sum[k] += max_pool2d_max_at * weight[i * 9 + l * 3 + m];
            }
          }
        }
#pragma omp simd
        for (int64_t k = 0; k < 4; k++)
          conv2d_add[row * 64 + i * 16 + j * 4 + k] = conv2d_sum[k] + bias_at[k];
      }
    }
  }
}

// model.mt:10  point.conv2d.transpose.2.copy = depth.conv2d.add
// called 2 times
// net.point.conv2d: reads 1.3 KB, writes 1.3 KB
static void point_conv2d_map(real *restrict transpose_2_copy, const real *restrict conv2d_add, int64_t rows) {
  for (int64_t i = 0; i < 4; i++) {
    for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
      for (int64_t j = 0; j < 16; j++)
        transpose_2_copy[i * 80 + row * 16 + j] = conv2d_add[row * 64 + i * 16 + j];
    }
  }
}

// model.mt:10  d(point.conv2d.transpose.3.le) = relu(point.conv2d.mm + point.bias) <= 0
// fused 2 nodes of net.point and net.point.conv2d: reads 1.9 KB, writes 480 B; saves 3.8 KB; recomputes 1
static void d_point_conv2d_map(bool *restrict d_transpose_3_le, const real *restrict conv2d_mm,
                               const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 6; i++) {
#pragma omp simd
      for (int64_t j = 0; j < 16; j++) {
        const real conv2d_add = conv2d_mm[i * 80 + row * 16 + j] + bias[i];
        d_transpose_3_le[row * 96 + i * 16 + j] = (conv2d_add < 0 ? 0 : conv2d_add) <= 0;
      }
    }
  }
}

// model.mt:10  point.avg_pool2d.div = sum(relu(point.conv2d.mm + point.bias)) * 0.25
// called 2 times
// fused 2 nodes of net.point.avg_pool2d: reads 1.9 KB, writes 480 B; saves 936 B; recomputes 2
static void point_avg_pool2d_columns(real *restrict avg_pool2d_div, const real *restrict conv2d_mm,
                                     const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 6; i++) {
      for (int64_t j = 0; j < 2; j++) {
        real bias_at[2];
        real avg_pool2d_sum[2] = {0};
#pragma omp simd
        for (int64_t k = 0; k < 2; k++)
          bias_at[k] = bias[i];
        for (int64_t l = 0; l < 2; l++) {
          for (int64_t m = 0; m < 2; m++) {
#pragma omp simd
            for (int64_t k = 0; k < 2; k++) {
              const real conv2d_mm_at = conv2d_mm[i * 80 + row * 16 + j * 8 + l * 4 + k * 2 + m];
              const real conv2d_add = conv2d_mm_at + bias_at[k];
              avg_pool2d_sum[k] += conv2d_add < 0 ? 0 : conv2d_add;
            }
          }
        }
#pragma omp simd
        for (int64_t k = 0; k < 2; k++)
          avg_pool2d_div[row * 24 + i * 4 + j * 2 + k] = avg_pool2d_sum[k] * 0.25f;
      }
    }
  }
}

// model.mt:17  loss.cross_entropy.norm.sum.2 = sum(loss.cross_entropy.norm.arg1.where)
// fused 3 nodes of loss.cross_entropy.kept, loss.cross_entropy.norm.arg1 and loss.cross_entropy.norm: reads
//   20 B, writes 4 B; saves 78 B; recomputes 4
static void loss_cross_entropy_norm_rows(real *restrict norm_sum_2, const int32_t *restrict y, int64_t rows) {
  real sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t row = 0; row < rows; row++) {
    const int32_t y_at = y[row];
    sum += y_at != -100 ? y_at >= 0 && y_at < 3 ? 1 : 0 : 0;
  }
  norm_sum_2[0] = sum;
}

// model.mt:17  loss.cross_entropy.nll.where.2 = where(y != -100, -sum(loss.cross_entropy.nll.where), 0)
// d(loss.cross_entropy.logp.log_softmax.sub.add) = d(loss.cross_entropy.nll.mul.where) +
//   d(loss.cross_entropy.logp.log_softmax.sub.mul)
// fused 21 nodes of net.fc, loss.cross_entropy.logp.log_softmax, loss.cross_entropy.hit and 9 more: reads
//   96 B, writes 80 B; saves 1.6 KB; recomputes 5
static void loss_cross_entropy_nll_rows(real *restrict nll_where_2, real *restrict d_log_softmax_sub_add,
                                        const int32_t *restrict y, const real *restrict bias,
                                        const real *restrict norm_sum_2, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real log_softmax_exp[K];
    const int32_t y_at = y[row];
    const bool kept_ne = y_at != -100;
    const real d_nll_sum_neg = -(kept_ne ? 1 / norm_sum_2[0] : 0);
    const real d_one = (y_at >= 0 && y_at < 3 ? -d_nll_sum_neg : 0) + 0;
    real log_softmax_max = -INFINITY;
    for (int64_t i = 0; i < K; i++) {
      const real fc_mm = d_log_softmax_sub_add[row * K + i];
      log_softmax_max = mt_maximum(log_softmax_max, fc_mm + bias[i]);
    }
    real log_softmax_sum = 0;
#pragma omp simd reduction(+ : log_softmax_sum)
    for (int64_t i = 0; i < K; i++) {
      const real fc_mm = d_log_softmax_sub_add[row * K + i];
      log_softmax_exp[i] = exp(fc_mm + bias[i] - log_softmax_max);
      log_softmax_sum += log_softmax_exp[i];
    }
    const real log_softmax_log = log(log_softmax_sum);
    const real d_log_softmax_sum_div = d_one / log_softmax_sum;
    real nll_sum = 0;
#pragma omp simd reduction(+ : nll_sum)
    for (int64_t i = 0; i < K; i++) {
      const bool hit_eq = i == y_at;
      const real fc_mm = d_log_softmax_sub_add[row * K + i];
      const real log_softmax_sub_2 = fc_mm + bias[i] - log_softmax_max - log_softmax_log;
      nll_sum += hit_eq ? log_softmax_sub_2 : 0;
      const real d_log_softmax_sub_add_at = (hit_eq ? d_nll_sum_neg : 0) + d_log_softmax_sum_div * log_softmax_exp[i];
      d_log_softmax_sub_add[row * K + i] = d_log_softmax_sub_add_at;
    }
    nll_where_2[row] = kept_ne ? -nll_sum : 0;
  }
}

// model.mt:17  loss.cross_entropy.div = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// loss.cross_entropy.div.copy = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// fused 3 nodes of loss.cross_entropy: reads 24 B, writes 8 B; saves 12 B
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

// model.mt:11  d(fc.bias.sum) = sum(d(loss.cross_entropy.logp.log_softmax.sub.add))
// net.fc.bias: reads 60 B, writes 12 B
static void d_fc_bias_columns(real *restrict d_bias_sum, const real *restrict d_log_softmax_sub_add,
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

// model.mt:10  d(point.conv2d.reshape.5.sum) = sum(d(point.conv2d.transpose.3.where))
// d(point.conv2d.add.transpose.copy) = where(d(point.conv2d.transpose.3.le), 0,
//   d(point.avg_pool2d.sum.div))
// fused 2 nodes of net.point.conv2d: reads 960 B, writes 1.9 KB; saves 2.9 KB; recomputes 2
static void d_point_conv2d_rows(real *restrict d_reshape_5_sum, real *restrict d_add_transpose_copy,
                                const bool *restrict d_transpose_3_le, const real *restrict d_reshape_mm,
                                int64_t rows) {
  for (int64_t i = 0; i < 6; i++) {
    real sum = 0;
    for (int64_t row = 0; row < rows; row++) {
      for (int64_t j = 0; j < 4; j++) {
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < 4; k++) {
          const real d_reshape_mm_at = d_reshape_mm[row * 24 + i * 4 + (j / 2) * 2 + k / 2];
          const real d_transpose_3_where = d_transpose_3_le[row * 96 + i * 16 + j * 4 + k] ? 0 : d_reshape_mm_at * 0.25f;
          sum += d_transpose_3_where;
          d_add_transpose_copy[i * 80 + row * 16 + j * 4 + k] = d_transpose_3_where;
        }
      }
    }
    d_reshape_5_sum[i] = sum;
  }
}

// model.mt:10  d(depth.conv2d.reshape.3.sum.rows) = sum(d(point.conv2d.reshape.2.mm))
// net.depth.conv2d: reads 1.3 KB, writes 80 B
static void d_depth_conv2d_rows(real *restrict d_3_sum_rows, const real *restrict d_reshape_2_mm,
                                int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 4; i++) {
      real sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t j = 0; j < 16; j++)
        sum += d_reshape_2_mm[i * 80 + row * 16 + j];
      d_3_sum_rows[row * 4 + i] = sum;
    }
  }
}

// model.mt:10  d(depth.conv2d.reshape.3.sum) = sum(d(depth.conv2d.reshape.3.sum.rows))
// net.depth.conv2d: reads 80 B, writes 16 B
static void d_depth_conv2d_columns(real *restrict d_reshape_3_sum, const real *restrict d_3_sum_rows,
                                   int64_t rows) {
  real sum[4] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 4; i++)
      sum[i] += d_3_sum_rows[row * 4 + i];
  }
#pragma omp simd
  for (int64_t i = 0; i < 4; i++)
    d_reshape_3_sum[i] = sum[i];
}

// model.mt:10  d(depth.conv2d.reshape.2.sum.rows) = sum(d(depth.conv2d.reshape.2.mul))
// fused 2 nodes of net.depth.conv2d: reads 2.6 KB, writes 720 B; saves 36 KB
static void d_depth_conv2d_rows_2(real *restrict d_2_sum_rows, const real *restrict d_reshape_2_mm,
                                  const real *restrict max_pool2d_max, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 4; i++) {
      for (int64_t j = 0; j < 3; j++) {
        for (int64_t k = 0; k < 3; k++) {
          real sum = 0;
          for (int64_t l = 0; l < 4; l++) {
#pragma omp simd reduction(+ : sum)
            for (int64_t m = 0; m < 4; m++) {
              const real max_pool2d_max_at = j + l - 1 >= 0 && j + l - 1 < 4 && k + m - 1 >= 0 && k + m - 1 < 4 ? max_pool2d_max[row * 64 + i * 16 + j * 4 + l * 4 + k + m - 5] : 0;
              const real d_reshape_2_mul = d_reshape_2_mm[i * 80 + row * 16 + l * 4 + m] * max_pool2d_max_at;
              sum += d_reshape_2_mul;
            }
          }
          d_2_sum_rows[row * 36 + i * 9 + j * 3 + k] = sum;
        }
      }
    }
  }
}

// model.mt:10  d(depth.conv2d.reshape.2.sum) = sum(d(depth.conv2d.reshape.2.sum.rows))
// net.depth.conv2d: reads 720 B, writes 144 B
static void d_depth_conv2d_columns_2(real *restrict d_reshape_2_sum, const real *restrict d_2_sum_rows,
                                     int64_t rows) {
  real sum[36] = {0};
  for (int64_t row = 0; row < rows; row++) {
#pragma omp simd
    for (int64_t i = 0; i < 36; i++)
      sum[i] += d_2_sum_rows[row * 36 + i];
  }
#pragma omp simd
  for (int64_t i = 0; i < 36; i++)
    d_reshape_2_sum[i] = sum[i];
}

// model.mt:10  d(depth.conv2d.reshape.sum) = sum(fold(d(point.conv2d.reshape.2.mm) * depth.weight))
// net.depth.conv2d: reads 1.4 KB, writes 1.3 KB; saves 10 KB; recomputes 1
static void d_depth_conv2d_columns_3(real *restrict d_conv2d_reshape_sum,
                                     const real *restrict d_reshape_2_mm, const real *restrict weight,
                                     int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 4; i++) {
      for (int64_t j = 0; j < 4; j++) {
        real sum[4] = {0};
        for (int64_t l = 0; l < 3; l++) {
          for (int64_t m = 0; m < 3; m++) {
#pragma omp simd
            for (int64_t k = 0; k < 4; k++) {
              const real d_reshape_2_mm_at = k + -m + 1 >= 0 && k + -m + 1 < 4 && j + -l + 1 >= 0 && j + -l + 1 < 4 ? d_reshape_2_mm[i * 80 + row * 16 + j * 4 + l * -4 + k + -m + 5] : 0;
              const real d_conv2d_skew_unskew = k + -m + 1 >= 0 && k + -m + 1 < 4 && j + -l + 1 >= 0 && j + -l + 1 < 4 ? d_reshape_2_mm_at * weight[i * 9 + l * 3 + m] : 0;
              sum[k] += d_conv2d_skew_unskew;
            }
          }
        }
#pragma omp simd
        for (int64_t k = 0; k < 4; k++)
          d_conv2d_reshape_sum[row * 64 + i * 16 + j * 4 + k] = sum[k];
      }
    }
  }
}

// model.mt:9  d(conv1.conv2d.reshape.5.sum) = sum(d(conv1.conv2d.transpose.2.where))
// d(conv1.conv2d.add.transpose.copy) = where(d(conv1.conv2d.transpose.2.le), 0, d(conv1.relu.pad))
// fused 2 nodes of net.conv1.conv2d: reads 4.2 KB, writes 6.5 KB; saves 8.8 KB; recomputes 3
static void d_conv1_conv2d_rows(real *restrict d_reshape_5_sum, real *restrict d_add_transpose_copy,
                                const bool *restrict d_transpose_2_le, const int32_t *restrict d_2_where_2,
                                const real *restrict d_conv2d_reshape_sum, int64_t rows) {
  for (int64_t i = 0; i < 4; i++) {
    real sum = 0;
    for (int64_t row = 0; row < rows; row++) {
      for (int64_t j = 0; j < 9; j++) {
#pragma omp simd reduction(+ : sum)
        for (int64_t k = 0; k < 9; k++) {
          const int32_t d_2_where_2_at = k < 8 && j < 8 ? d_2_where_2[row * 64 + i * 16 + (j / 2) * 4 + k / 2] : 0;
          const real d_conv2d_reshape_sum_at = k < 8 && j < 8 ? d_conv2d_reshape_sum[row * 64 + i * 16 + (j / 2) * 4 + k / 2] : 0;
          const real d_2_where_3 = (j % 2) * 2 + k % 2 == d_2_where_2_at ? d_conv2d_reshape_sum_at : 0;
          const real d_transpose_2_where = d_transpose_2_le[row * 324 + i * 81 + j * 9 + k] ? 0 : k < 8 && j < 8 ? d_2_where_3 : 0;
          sum += d_transpose_2_where;
          d_add_transpose_copy[i * 405 + row * 81 + j * 9 + k] = d_transpose_2_where;
        }
      }
    }
    d_reshape_5_sum[i] = sum;
  }
}

// model.mt:9  d(conv1.weight.reshape.copy) = d(conv1.conv2d.reshape.3.mm)
// net.conv1.weight: reads 288 B, writes 288 B
static void d_conv1_weight_map(real *restrict d_weight_reshape_copy, const real *restrict d_reshape_3_mm) {
#pragma omp simd
  for (int64_t i = 0; i < 72; i++)
    d_weight_reshape_copy[i] = d_reshape_3_mm[i];
}

// model.mt:10  d(depth.weight.reshape.copy) = d(depth.conv2d.reshape.2.sum)
// net.depth.weight: reads 144 B, writes 144 B
static void d_depth_weight_map(real *restrict d_weight_reshape_copy, const real *restrict d_reshape_2_sum) {
#pragma omp simd
  for (int64_t i = 0; i < 36; i++)
    d_weight_reshape_copy[i] = d_reshape_2_sum[i];
}

// model.mt:10  d(point.weight.reshape.copy) = d(point.conv2d.reshape.3.mm)
// net.point.weight: reads 96 B, writes 96 B
static void d_point_weight_map(real *restrict d_weight_reshape_copy, const real *restrict d_reshape_3_mm) {
#pragma omp simd
  for (int64_t i = 0; i < 24; i++)
    d_weight_reshape_copy[i] = d_reshape_3_mm[i];
}

// Forward and backward: loss, logs and gradients of one batch.
static void train_gradients(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const Params d = params_at(run->grads);
  const real *x = (const real *)batch[0];                                 // (B, 2, 9, 9)
  const int32_t *y = (const int32_t *)batch[1];                           // (B)
  real *conv1_conv2d_transpose_copy = AT(real, 0);                        // (2, 3, 3, B, 9, 9)
  real *conv1_conv2d_mm = AT(real, 29184);                                // (4, 405)
  bool *d_conv1_conv2d_transpose_2_le = AT(bool, 35840);                  // (B, 4, 9, 9)
  real *conv1_max_pool2d_max = AT(real, 37632);                           // (B, 4, 4, 4)
  int32_t *d_conv1_max_pool2d_reshape_2_where_2 = AT(int32_t, 38912);     // (B, 4, 1, 4, 4)
  real *depth_conv2d_add = AT(real, 29184);                               // (B, 4, 4, 4)
  real *point_conv2d_transpose_2_copy = AT(real, 30464);                  // (4, 1, 1, B, 4, 4)
  real *point_conv2d_mm = AT(real, 31744);                                // (6, 80)
  bool *d_point_conv2d_transpose_3_le = AT(bool, 29184);                  // (B, 6, 4, 4)
  real *point_avg_pool2d_div = AT(real, 29696);                           // (B, 6, 2, 2)
  real *fc_mm = AT(real, 30208);                                          // (B, K)
  real *loss_cross_entropy_norm_sum_2 = AT(real, 31744);                  // ()
  real *loss_cross_entropy_nll_where_2 = AT(real, 32000);                 // (B)
  real *d_loss_cross_entropy_logp_log_softmax_sub_add = AT(real, 30208);  // (B, K)
  real *d_reshape_mm = AT(real, 31744);                                   // (B, 24)
  real *d_point_conv2d_add_transpose_copy = AT(real, 32256);              // (6, B, 4, 4)
  real *d_point_conv2d_reshape_3_mm = AT(real, 31744);                    // (6, 4)
  real *d_point_conv2d_reshape_2_mm = AT(real, 34304);                    // (4, 80)
  real *d_depth_conv2d_reshape_3_sum_rows = AT(real, 35584);              // (B, 4)
  real *d_depth_conv2d_reshape_2_sum_rows = AT(real, 32000);              // (B, 4, 3, 3)
  real *d_depth_conv2d_reshape_2_sum = AT(real, 35584);                   // (4, 3, 3)
  real *d_depth_conv2d_reshape_sum = AT(real, 37632);                     // (B, 4, 4, 4)
  real *d_conv1_conv2d_add_transpose_copy = AT(real, 40192);              // (4, B, 9, 9)
  real *d_conv1_conv2d_reshape_3_mm = AT(real, 29184);                    // (4, 18)
  real *loss_cross_entropy_div = (real *)run->outputs + 0;                // ()
  real *loss_cross_entropy_div_copy = (real *)run->outputs + 1;           // ()

  // model.mt:9
  STEP(conv1_conv2d_map(conv1_conv2d_transpose_copy, x, rows));
  STEP(mt_gemm_batched(run, MT_NN, 1, 4, rows * 81, 18, p.conv1_weight, 18, 0, conv1_conv2d_transpose_copy,
                       405, 0, conv1_conv2d_mm, 405, 0));

  // model.mt:9, backward
  STEP(d_conv1_conv2d_map(d_conv1_conv2d_transpose_2_le, conv1_conv2d_mm, p.conv1_bias, rows));

  // model.mt:9
  STEP(conv1_max_pool2d_columns(conv1_max_pool2d_max, d_conv1_max_pool2d_reshape_2_where_2,
                                conv1_conv2d_mm, p.conv1_bias, rows));

  // model.mt:10
  STEP(depth_conv2d_columns(depth_conv2d_add, conv1_max_pool2d_max, p.depth_weight, p.depth_bias, rows));
  STEP(point_conv2d_map(point_conv2d_transpose_2_copy, depth_conv2d_add, rows));
  STEP(mt_gemm_batched(run, MT_NN, 1, 6, rows * 16, 4, p.point_weight, 4, 0, point_conv2d_transpose_2_copy,
                       80, 0, point_conv2d_mm, 80, 0));

  // model.mt:10, backward
  STEP(d_point_conv2d_map(d_point_conv2d_transpose_3_le, point_conv2d_mm, p.point_bias, rows));

  // model.mt:10
  STEP(point_avg_pool2d_columns(point_avg_pool2d_div, point_conv2d_mm, p.point_bias, rows));

  // model.mt:11
  STEP(mt_gemm(run, MT_NT, rows, K, 24, point_avg_pool2d_div, p.fc_weight, fc_mm));

  // model.mt:17
  STEP(loss_cross_entropy_norm_rows(loss_cross_entropy_norm_sum_2, y, rows));
  STEP(loss_cross_entropy_nll_rows(loss_cross_entropy_nll_where_2,
                                   d_loss_cross_entropy_logp_log_softmax_sub_add, y, p.fc_bias,
                                   loss_cross_entropy_norm_sum_2, rows));
  STEP(loss_cross_entropy_rows(loss_cross_entropy_div, loss_cross_entropy_div_copy,
                               loss_cross_entropy_nll_where_2, loss_cross_entropy_norm_sum_2, rows));

  // model.mt:11, backward
  STEP(d_fc_bias_columns(d.fc_bias, d_loss_cross_entropy_logp_log_softmax_sub_add, rows));
  STEP(mt_gemm(run, MT_NN, rows, 24, K, d_loss_cross_entropy_logp_log_softmax_sub_add, p.fc_weight,
               d_reshape_mm));
  STEP(mt_gemm(run, MT_TN, K, 24, rows, d_loss_cross_entropy_logp_log_softmax_sub_add,
               point_avg_pool2d_div, d.fc_weight));

  // model.mt:10, backward
  STEP(d_point_conv2d_rows(d.point_bias, d_point_conv2d_add_transpose_copy, d_point_conv2d_transpose_3_le,
                           d_reshape_mm, rows));
  STEP(mt_gemm_batched(run, MT_NT, 1, 6, 4, rows * 16, d_point_conv2d_add_transpose_copy, 80, 0,
                       point_conv2d_transpose_2_copy, 80, 0, d_point_conv2d_reshape_3_mm, 4, 0));
  STEP(mt_gemm_batched(run, MT_TN, 1, 4, rows * 16, 6, p.point_weight, 4, 0,
                       d_point_conv2d_add_transpose_copy, 80, 0, d_point_conv2d_reshape_2_mm, 80, 0));
  STEP(d_depth_conv2d_rows(d_depth_conv2d_reshape_3_sum_rows, d_point_conv2d_reshape_2_mm, rows));
  STEP(d_depth_conv2d_columns(d.depth_bias, d_depth_conv2d_reshape_3_sum_rows, rows));
  STEP(d_depth_conv2d_rows_2(d_depth_conv2d_reshape_2_sum_rows, d_point_conv2d_reshape_2_mm,
                             conv1_max_pool2d_max, rows));
  STEP(d_depth_conv2d_columns_2(d_depth_conv2d_reshape_2_sum, d_depth_conv2d_reshape_2_sum_rows, rows));
  STEP(d_depth_conv2d_columns_3(d_depth_conv2d_reshape_sum, d_point_conv2d_reshape_2_mm, p.depth_weight,
                                rows));

  // model.mt:9, backward
  STEP(d_conv1_conv2d_rows(d.conv1_bias, d_conv1_conv2d_add_transpose_copy, d_conv1_conv2d_transpose_2_le,
                           d_conv1_max_pool2d_reshape_2_where_2, d_depth_conv2d_reshape_sum, rows));
  STEP(mt_gemm_batched(run, MT_NT, 1, 4, 18, rows * 81, d_conv1_conv2d_add_transpose_copy, 405, 0,
                       conv1_conv2d_transpose_copy, 405, 0, d_conv1_conv2d_reshape_3_mm, 18, 0));
  STEP(d_conv1_weight_map(d.conv1_weight, d_conv1_conv2d_reshape_3_mm));

  // model.mt:10, backward
  STEP(d_depth_weight_map(d.depth_weight, d_depth_conv2d_reshape_2_sum));
  STEP(d_point_weight_map(d.point_weight, d_point_conv2d_reshape_3_mm));
}

#ifndef MT_DOUBLE

// model.mt:9  conv1.max_pool2d.max = max(relu(conv1.conv2d.mm + conv1.bias))
// net.conv1.max_pool2d: reads 6.5 KB, writes 1.3 KB; recomputes 2
static void conv1_max_pool2d_columns_2(real *restrict max_pool2d_max, const real *restrict conv2d_mm,
                                       const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    for (int64_t i = 0; i < 4; i++) {
      for (int64_t j = 0; j < 4; j++) {
        real bias_at[4];
        real highest[4];
        for (int64_t k = 0; k < 4; k++)
          highest[k] = -INFINITY;
#pragma omp simd
        for (int64_t k = 0; k < 4; k++)
          bias_at[k] = bias[i];
        for (int64_t l = 0; l < 4; l++) {
#pragma omp simd
          for (int64_t k = 0; k < 4; k++) {
            const real conv2d_mm_at = conv2d_mm[i * 405 + row * 81 + j * 18 + (l / 2) * 9 + k * 2 + l % 2];
            const real conv2d_add = conv2d_mm_at + bias_at[k];
            highest[k] = mt_maximum(highest[k], conv2d_add < 0 ? 0 : conv2d_add);
          }
        }
#pragma omp simd
        for (int64_t k = 0; k < 4; k++)
          max_pool2d_max[row * 64 + i * 16 + j * 4 + k] = highest[k];
      }
    }
  }
}

// model.mt:22  value.argmax.cast = f32(argmax(fc.mm + fc.bias))
// fused 3 nodes of net.fc and value: reads 72 B, writes 20 B; saves 160 B
static void value_rows(real *restrict value_argmax_cast, const real *restrict fc_mm,
                       const real *restrict bias, int64_t rows) {
  for (int64_t row = 0; row < rows; row++) {
    real value_argmax_best = -INFINITY;
    int32_t value_argmax = 0;
    for (int64_t i = 0; i < K; i++) {
      const real fc_add = fc_mm[row * K + i] + bias[i];
      if (fc_add > value_argmax_best || (fc_add != fc_add && value_argmax_best == value_argmax_best))
        value_argmax_best = fc_add, value_argmax = (int32_t)i;
    }
    value_argmax_cast[row] = (real)value_argmax;
  }
}

// Inference.
static void predict_step(MtRun *run, const void *const *batch, int64_t rows) {
  const Params p = params_at(run->params);
  const real *x = (const real *)batch[0];              // (B, 2, 9, 9)
  real *conv1_conv2d_transpose_copy = AT(real, 0);     // (2, 3, 3, B, 9, 9)
  real *conv1_conv2d_mm = AT(real, 29184);             // (4, 405)
  real *conv1_max_pool2d_max = AT(real, 0);            // (B, 4, 4, 4)
  real *depth_conv2d_add = AT(real, 1280);             // (B, 4, 4, 4)
  real *point_conv2d_transpose_2_copy = AT(real, 0);   // (4, 1, 1, B, 4, 4)
  real *point_conv2d_mm = AT(real, 1280);              // (6, 80)
  real *point_avg_pool2d_div = AT(real, 0);            // (B, 6, 2, 2)
  real *fc_mm = AT(real, 512);                         // (B, K)
  real *value_argmax_cast = (real *)run->outputs + 0;  // (B)

  // model.mt:9
  STEP(conv1_conv2d_map(conv1_conv2d_transpose_copy, x, rows));
  STEP(mt_gemm_batched(run, MT_NN, 1, 4, rows * 81, 18, p.conv1_weight, 18, 0, conv1_conv2d_transpose_copy,
                       405, 0, conv1_conv2d_mm, 405, 0));
  STEP(conv1_max_pool2d_columns_2(conv1_max_pool2d_max, conv1_conv2d_mm, p.conv1_bias, rows));

  // model.mt:10
  STEP(depth_conv2d_columns(depth_conv2d_add, conv1_max_pool2d_max, p.depth_weight, p.depth_bias, rows));
  STEP(point_conv2d_map(point_conv2d_transpose_2_copy, depth_conv2d_add, rows));
  STEP(mt_gemm_batched(run, MT_NN, 1, 6, rows * 16, 4, p.point_weight, 4, 0, point_conv2d_transpose_2_copy,
                       80, 0, point_conv2d_mm, 80, 0));
  STEP(point_avg_pool2d_columns(point_avg_pool2d_div, point_conv2d_mm, p.point_bias, rows));

  // model.mt:11
  STEP(mt_gemm(run, MT_NT, rows, K, 24, point_avg_pool2d_div, p.fc_weight, fc_mm));

  // model.mt:22
  STEP(value_rows(value_argmax_cast, fc_mm, p.fc_bias, rows));
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
  mt_check_gradients(run, end, 0, 640);
  schedule(run->scalars);
  // net using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(run, 0, 0, 579);
  mt_finish(run, end);
}

static void train_gradients_f64(MtRun *run, const void *const *batch, int64_t rows);  // at the end of the file

// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block
static const MtTensor params[] = {
  {"net.conv1.weight", 4, {4, 2, 3, 3}, 0,   MT_UNIFORM, -0.23570226039551587, 0.23570226039551587, "model.mt:9",  NULL},
  {"net.conv1.bias",   1, {4},          128, MT_UNIFORM, -0.23570226039551587, 0.23570226039551587, "model.mt:9",  NULL},
  {"net.depth.weight", 4, {4, 1, 3, 3}, 192, MT_UNIFORM, -0.3333333333333333,  0.3333333333333333,  "model.mt:10", NULL},
  {"net.depth.bias",   1, {4},          256, MT_UNIFORM, -0.3333333333333333,  0.3333333333333333,  "model.mt:10", NULL},
  {"net.point.weight", 4, {6, 4, 1, 1}, 320, MT_UNIFORM, -0.5,                 0.5,                 "model.mt:10", NULL},
  {"net.point.bias",   1, {6},          384, MT_UNIFORM, -0.5,                 0.5,                 "model.mt:10", NULL},
  {"net.fc.weight",    2, {K, 24},      448, MT_UNIFORM, -0.20412414523193154, 0.20412414523193154, "model.mt:11", NULL},
  {"net.fc.bias",      1, {K},          576, MT_UNIFORM, -0.20412414523193154, 0.20412414523193154, "model.mt:11", NULL},
};

// name, type, rank and shape of a row, labels from, to and besides
static const MtField train_set_fields[] = {
  {"x", MT_F32, 3, {2, 9, 9}, 0, 0, 0},
  {"y", MT_I32, 0, {0},       0, 3, -100},
};
// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as there are), seed,
// from row to row of a text (0: a window), where
static const MtData data[] = {
  {"train_set", MT_RANDOM, 0, NULL, 2, train_set_fields, 5, false, 16, 1, 0, "model.mt:6"},
};

static const MtLog train_logs[] = {
  {"loss", 1},
};
// what, optimizer, its slots, elements moved from, how many, slots from
static const MtGroup train_groups[] = {
  {"net", "sgd", 1, {"buf"}, 0, 579, 0},
};
// call, value, where, place, offset, elements, elements a row, infinities that are no fault
static const MtValue train_values[] = {
  {3,  "net.conv1.max_pool2d.max",                                 "model.mt:9",  MT_IN_ARENA,   37632, 320, 64, 0},
  {4,  "net.depth.conv2d.add",                                     "model.mt:10", MT_IN_ARENA,   29184, 320, 64, 0},
  {8,  "net.point.avg_pool2d.div",                                 "model.mt:10", MT_IN_ARENA,   29696, 120, 24, 0},
  {9,  "net.fc.mm",                                                "model.mt:11", MT_IN_ARENA,   30208, 15,  3,  0},
  {10, "loss.cross_entropy.norm.sum.2",                            "model.mt:17", MT_IN_ARENA,   31744, 1,   0,  MT_OF_DATA},
  {11, "loss.cross_entropy.nll.where.2",                           "model.mt:17", MT_IN_ARENA,   32000, 5,   1,  0},
  {11, "grad.update0.loss.cross_entropy.logp.log_softmax.sub.add", "model.mt:17", MT_IN_ARENA,   30208, 15,  3,  0},
  {12, "loss.cross_entropy.div",                                   "model.mt:17", MT_IN_OUTPUTS, 0,     1,   0,  0},
  {12, "loss.cross_entropy.div.copy",                              "model.mt:17", MT_IN_OUTPUTS, 1,     1,   0,  0},
  {13, "grad.update0.net.fc.bias.sum",                             "model.mt:11", MT_IN_GRADS,   576,   3,   0,  0},
  {14, "grad.update0.net.reshape.mm",                              "model.mt:11", MT_IN_ARENA,   31744, 120, 24, 0},
  {15, "grad.update0.net.fc.weight.transpose",                     "model.mt:11", MT_IN_GRADS,   448,   72,  0,  0},
  {16, "grad.update0.net.point.conv2d.reshape.5.sum",              "model.mt:10", MT_IN_GRADS,   384,   6,   0,  0},
  {17, "grad.update0.net.point.conv2d.reshape.3.mm",               "model.mt:10", MT_IN_ARENA,   31744, 24,  0,  0},
  {19, "grad.update0.net.depth.conv2d.reshape.3.sum.rows",         "model.mt:10", MT_IN_ARENA,   35584, 20,  4,  0},
  {20, "grad.update0.net.depth.conv2d.reshape.3.sum",              "model.mt:10", MT_IN_GRADS,   256,   4,   0,  0},
  {21, "grad.update0.net.depth.conv2d.reshape.2.sum.rows",         "model.mt:10", MT_IN_ARENA,   32000, 180, 36, 0},
  {22, "grad.update0.net.depth.conv2d.reshape.2.sum",              "model.mt:10", MT_IN_ARENA,   35584, 36,  0,  0},
  {23, "grad.update0.net.depth.conv2d.reshape.sum",                "model.mt:10", MT_IN_ARENA,   37632, 320, 64, 0},
  {24, "grad.update0.net.conv1.conv2d.reshape.5.sum",              "model.mt:9",  MT_IN_GRADS,   128,   4,   0,  0},
  {25, "grad.update0.net.conv1.conv2d.reshape.3.mm",               "model.mt:9",  MT_IN_ARENA,   29184, 72,  0,  0},
  {26, "grad.update0.net.conv1.weight.reshape.copy",               "model.mt:9",  MT_IN_GRADS,   0,     72,  0,  0},
  {27, "grad.update0.net.depth.weight.reshape.copy",               "model.mt:10", MT_IN_GRADS,   192,   36,  0,  0},
  {28, "grad.update0.net.point.weight.reshape.copy",               "model.mt:10", MT_IN_GRADS,   320,   24,  0,  0},
};
// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: none),
// elements moved from, how many, logs from, how many, groups from, how many, calls, values,
// parameters past a stop
static const MtPhase train_phases[] = {
  {train_gradients, train_gradients_f64, train_update, 1, 0, 0, 640, 0, 1, 0, 1, 29, 24, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"gemm 4 x 405 x 18 f32",        1, 3.593e+04, 5.832e+04, 2.335e-07},
  {"gemm 4 x 18 x 405 f32",        1, 3.593e+04, 5.832e+04, 2.335e-07},
  {"conv1_conv2d_map",             1, 3.24e+04,  1.458e+04, 2.157e-07},
  {"conv1_max_pool2d_columns",     1, 9056,      1.92e+04,  1.48e-07},
  {"mt_sgd",                       1, 1.158e+04, 1.158e+04, 1.414e-07},
  {"d_conv1_conv2d_rows",          1, 1.068e+04, 1.62e+04,  1.405e-07},
  {"depth_conv2d_columns",         1, 2720,      1.216e+04, 1.304e-07},
  {"d_conv1_conv2d_map",           1, 8116,      9720,      1.29e-07},
  {"d_depth_conv2d_rows_2",        1, 3280,      1.152e+04, 1.288e-07},
  {"d_depth_conv2d_columns_3",     1, 2704,      1.152e+04, 1.288e-07},
  {"gemm 6 x 80 x 4 f32",          1, 3296,      3840,      1.118e-07},
  {"gemm 6 x 4 x 80 f32",          1, 3296,      3840,      1.118e-07},
  {"gemm 4 x 80 x 6 f32",          1, 3296,      3840,      1.118e-07},
  {"d_point_conv2d_rows",          1, 2904,      3840,      1.104e-07},
  {"point_conv2d_map",             1, 2560,      640,       1.091e-07},
  {"mt_check_gradients",           1, 2560,      0,         1.091e-07},
  {"d_point_conv2d_map",           1, 2424,      2880,      1.087e-07},
  {"point_avg_pool2d_columns",     1, 2424,      3120,      1.087e-07},
  {"d_depth_conv2d_rows",          1, 1360,      640,       1.049e-07},
  {"d_depth_conv2d_columns_2",     1, 864,       360,       1.031e-07},
  {"gemm 5 x 3 x 24 f32",          1, 828,       720,       1.03e-07},
  {"gemm 5 x 24 x 3 f32",          1, 828,       720,       1.03e-07},
  {"gemm 3 x 24 x 5 f32",          1, 828,       720,       1.03e-07},
  {"loss_cross_entropy_nll_rows",  1, 176,       1000,      1.026e-07},
  {"d_conv1_weight_map",           1, 576,       144,       1.021e-07},
  {"d_depth_weight_map",           1, 288,       72,        1.01e-07},
  {"d_point_weight_map",           1, 192,       48,        1.007e-07},
  {"d_depth_conv2d_columns",       1, 96,        40,        1.003e-07},
  {"d_fc_bias_columns",            1, 72,        30,        1.003e-07},
  {"loss_cross_entropy_norm_rows", 1, 24,        70,        1.002e-07},
  {"loss_cross_entropy_rows",      1, 32,        52,        1.001e-07},
};
static const MtTrain train = {
  0,                                 // data: train_set
  false,                             // shuffled
  0,                                 // seed of the shuffling
  10, MT_STEPS,                      // how long
  1,                                 // micro-batches an update
  false,                             // matrix products in TF32
  1, train_phases,                   // a step, from update to update
  {46848, 2},                        // bytes of its arena, elements of its outputs
  1, train_logs,                     // logs
  1, train_groups,                   // update groups
  0, NULL,                           // what happens every so often
  31, train_costs,                   // what a step costs
  "two CPU cores with AVX-512",      // by the model of it
};

static const MtField predict_fields[] = {
  {"x", MT_F32, 3, {2, 9, 9}, 0, 0, 0},
};
static const MtPredict predict = {
  1, predict_fields,                 // what it is given
  5,                                 // rows a batch
  predict_step,                      // the step
  {35840, 5},                        // bytes of its arena, elements of its outputs
  0, {0},                            // rank and shape of a result
  true,                              // one result a row
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cpu,                           // what it runs on
  8, 0, 1, 0,                        // parameters, states, data sets, evals
  640, 0,                            // elements of the two blocks
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
#define conv1_conv2d_map conv1_conv2d_map_f64
#define d_conv1_conv2d_map d_conv1_conv2d_map_f64
#define conv1_max_pool2d_columns conv1_max_pool2d_columns_f64
#define depth_conv2d_columns depth_conv2d_columns_f64
#define point_conv2d_map point_conv2d_map_f64
#define d_point_conv2d_map d_point_conv2d_map_f64
#define point_avg_pool2d_columns point_avg_pool2d_columns_f64
#define loss_cross_entropy_norm_rows loss_cross_entropy_norm_rows_f64
#define loss_cross_entropy_nll_rows loss_cross_entropy_nll_rows_f64
#define loss_cross_entropy_rows loss_cross_entropy_rows_f64
#define d_fc_bias_columns d_fc_bias_columns_f64
#define d_point_conv2d_rows d_point_conv2d_rows_f64
#define d_depth_conv2d_rows d_depth_conv2d_rows_f64
#define d_depth_conv2d_columns d_depth_conv2d_columns_f64
#define d_depth_conv2d_rows_2 d_depth_conv2d_rows_2_f64
#define d_depth_conv2d_columns_2 d_depth_conv2d_columns_2_f64
#define d_depth_conv2d_columns_3 d_depth_conv2d_columns_3_f64
#define d_conv1_conv2d_rows d_conv1_conv2d_rows_f64
#define d_conv1_weight_map d_conv1_weight_map_f64
#define d_depth_weight_map d_depth_weight_map_f64
#define d_point_weight_map d_point_weight_map_f64
#define train_gradients train_gradients_f64
#ifdef __FILE_NAME__
#include __FILE_NAME__
#else
#include __FILE__
#endif
#endif
