// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; train_gradients calls them in order.
// Training takes 68 KB:
//   parameters 2.6 KB, gradients 2.6 KB, optimizer 2.6 KB, batches 3.3 KB, data 10 KB, results 8 B, step 47 KB
// Most values of a step at once: model.mt:9 39 KB, model.mt:10 1.8 KB

#ifndef MT_DOUBLE  // this file is read twice: its end says why
#include "mtrt_cuda.cuh"
#include "mtrt_update.cuh"

#define real float

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
static __global__ void conv1_conv2d_map(real *__restrict__ conv2d_transpose_copy, const real *__restrict__ x,
                                        int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 7290) return;
  if (!(i / 81 % B < rows)) return;
  const real x_at = i / 1215 % 3 + i / 9 % 9 - 1 >= 0 && i / 1215 % 3 + i / 9 % 9 - 1 < 9 && i / 405 % 3 + i % 9 - 1 >= 0 && i / 405 % 3 + i % 9 - 1 < 9 ? x[(i / 81 % B) * 162 + (i / 3645) * 81 + (i / 1215 % 3) * 9 + i / 405 % 3 + i % 81 - 10] : 0;
  conv2d_transpose_copy[i] = x_at;
}

// model.mt:9  d(conv1.conv2d.transpose.2.le) = relu(conv1.conv2d.mm + conv1.bias) <= 0
// fused 2 nodes of net.conv1 and net.conv1.conv2d: reads 6.5 KB, writes 1.6 KB; saves 13 KB; recomputes 1
static __global__ void d_conv1_conv2d_map(bool *__restrict__ d_transpose_2_le,
                                          const real *__restrict__ conv2d_mm, const real *__restrict__ bias,
                                          int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * 324) return;
  const real conv2d_mm_at = conv2d_mm[(i / 81 % 4) * 405 + (i / 324) * 81 + i % 81];
  const real conv2d_add = conv2d_mm_at + bias[i / 81 % 4];
  d_transpose_2_le[i] = (conv2d_add < 0 ? 0 : conv2d_add) <= 0;
}

// model.mt:9  conv1.max_pool2d.max = max(relu(conv1.conv2d.mm + conv1.bias))
// d(conv1.max_pool2d.reshape.2.where.2) = where(d(conv1.max_pool2d.reshape.2.ne.2),
//   d(conv1.max_pool2d.reshape.2.max), d(conv1.max_pool2d.reshape.2.argmax))
// fused 7 nodes of net.conv1.max_pool2d: reads 6.5 KB, writes 2.6 KB; saves 33 KB; recomputes 2
static __global__ void conv1_max_pool2d_columns(real *__restrict__ max_pool2d_max,
                                                int32_t *__restrict__ d_2_where_2,
                                                const real *__restrict__ conv2d_mm,
                                                const real *__restrict__ bias, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * 64 ? own : rows * 64 - 1;
  const real bias_at = bias[column / 16 % 4];
  real highest = -INFINITY;
  int32_t d_reshape_2_max = INT32_MIN;
  real d_reshape_2_argmax_best = -INFINITY;
  int d_reshape_2_argmax = 0;
  for (int row = threadIdx.y; row < 4; row += 8) {
    const real conv2d_mm_at = conv2d_mm[(column / 16 % 4) * 405 + (column / 64) * 81 + (column / 4 % 4) * 18 + (row / 2) * 9 + (column % 4) * 2 + row % 2];
    const real conv2d_add = conv2d_mm_at + bias_at;
    const real conv1_relu = conv2d_add < 0 ? 0 : conv2d_add;
    highest = mt_maximum(highest, conv1_relu);
    d_reshape_2_max = mt_maximum(d_reshape_2_max, conv1_relu != conv1_relu ? row : 0);
    if (conv1_relu > d_reshape_2_argmax_best || (conv1_relu != conv1_relu && d_reshape_2_argmax_best == d_reshape_2_argmax_best))
      d_reshape_2_argmax_best = conv1_relu, d_reshape_2_argmax = row;
  }
  highest = column_max(highest);
  d_reshape_2_max = column_max(d_reshape_2_max);
  column_argmax(d_reshape_2_argmax_best, d_reshape_2_argmax);
  const int32_t d_2_where_2_at = highest != highest ? d_reshape_2_max : d_reshape_2_argmax;
  if (threadIdx.y == 0 && own == column) {
    max_pool2d_max[column] = highest;
    d_2_where_2[column] = d_2_where_2_at;
  }
}

// model.mt:10  depth.conv2d.add = sum(windows(conv1.max_pool2d.max) * depth.weight) + depth.bias
// called 2 times
// fused 3 nodes of net.depth.conv2d: reads 1.4 KB, writes 1.3 KB; saves 26 KB
static __global__ void depth_conv2d_columns(real *__restrict__ conv2d_add,
                                            const real *__restrict__ max_pool2d_max,
                                            const real *__restrict__ weight, const real *__restrict__ bias,
                                            int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * 64 ? own : rows * 64 - 1;
  const real bias_at = bias[column / 16 % 4];
  real conv2d_sum = 0;
  for (int row = threadIdx.y; row < 9; row += 8) {
    const real max_pool2d_max_at = row / 3 + column / 4 % 4 - 1 >= 0 && row / 3 + column / 4 % 4 - 1 < 4 && row % 3 + column % 4 - 1 >= 0 && row % 3 + column % 4 - 1 < 4 ? max_pool2d_max[(row / 3) * 4 + column + row % 3 - 5] : 0;
    const real conv2d_mul = max_pool2d_max_at * weight[(column / 16 % 4) * 9 + row];
    conv2d_sum += conv2d_mul;
  }
  conv2d_sum = column_sum(conv2d_sum);
  if (threadIdx.y == 0 && own == column) conv2d_add[column] = conv2d_sum + bias_at;
}

// model.mt:10  point.conv2d.transpose.2.copy = depth.conv2d.add
// called 2 times
// net.point.conv2d: reads 1.3 KB, writes 1.3 KB
static __global__ void point_conv2d_map(real *__restrict__ transpose_2_copy,
                                        const real *__restrict__ conv2d_add, int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 320) return;
  if (!(i / 16 % B < rows)) return;
  const real conv2d_add_at = conv2d_add[(i / 16 % B) * 64 + (i / 80) * 16 + i % 16];
  transpose_2_copy[i] = conv2d_add_at;
}

// model.mt:10  d(point.conv2d.transpose.3.le) = relu(point.conv2d.mm + point.bias) <= 0
// fused 2 nodes of net.point and net.point.conv2d: reads 1.9 KB, writes 480 B; saves 3.8 KB; recomputes 1
static __global__ void d_point_conv2d_map(bool *__restrict__ d_transpose_3_le,
                                          const real *__restrict__ conv2d_mm, const real *__restrict__ bias,
                                          int rows) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= rows * 96) return;
  const real conv2d_mm_at = conv2d_mm[(i / 16 % 6) * 80 + (i / 96) * 16 + i % 16];
  const real conv2d_add = conv2d_mm_at + bias[i / 16 % 6];
  d_transpose_3_le[i] = (conv2d_add < 0 ? 0 : conv2d_add) <= 0;
}

// model.mt:10  point.avg_pool2d.div = sum(relu(point.conv2d.mm + point.bias)) * 0.25
// called 2 times
// fused 2 nodes of net.point.avg_pool2d: reads 1.9 KB, writes 480 B; saves 936 B; recomputes 2
static __global__ void point_avg_pool2d_columns(real *__restrict__ avg_pool2d_div,
                                                const real *__restrict__ conv2d_mm,
                                                const real *__restrict__ bias, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * 24 ? own : rows * 24 - 1;
  const real bias_at = bias[column / 4 % 6];
  real avg_pool2d_sum = 0;
  for (int row = threadIdx.y; row < 4; row += 8) {
    const real conv2d_mm_at = conv2d_mm[(column / 4 % 6) * 80 + (column / 24) * 16 + (column / 2 % 2) * 8 + (row / 2) * 4 + (column % 2) * 2 + row % 2];
    const real conv2d_add = conv2d_mm_at + bias_at;
    avg_pool2d_sum += conv2d_add < 0 ? 0 : conv2d_add;
  }
  avg_pool2d_sum = column_sum(avg_pool2d_sum);
  if (threadIdx.y == 0 && own == column) avg_pool2d_div[column] = avg_pool2d_sum * 0.25f;
}

// model.mt:17  loss.cross_entropy.norm.sum.2 = sum(loss.cross_entropy.norm.arg1.where)
// fused 3 nodes of loss.cross_entropy.kept, loss.cross_entropy.norm.arg1 and loss.cross_entropy.norm: reads
//   20 B, writes 4 B; saves 78 B; recomputes 4
static __global__ void loss_cross_entropy_norm_rows(real *__restrict__ norm_sum_2,
                                                    const int32_t *__restrict__ y, int rows) {
  real sum = 0;
  for (int i = threadIdx.x; i < rows; i += 32) {
    const int32_t y_at = y[i];
    sum += y_at != -100 ? y_at >= 0 && y_at < 3 ? 1 : 0 : 0;
  }
  sum = warp_sum(sum);
  if (threadIdx.x == 0) norm_sum_2[0] = sum;
}

// model.mt:17  loss.cross_entropy.nll.where.2 = where(y != -100, -sum(loss.cross_entropy.nll.where), 0)
// d(loss.cross_entropy.logp.log_softmax.sub.add) = d(loss.cross_entropy.nll.mul.where) +
//   d(loss.cross_entropy.logp.log_softmax.sub.mul)
// fused 21 nodes of net.fc, loss.cross_entropy.logp.log_softmax, loss.cross_entropy.hit and 9 more: reads
//   96 B, writes 80 B; saves 1.6 KB; recomputes 5
static __global__ void loss_cross_entropy_nll_rows(real *__restrict__ nll_where_2,
                                                   real *__restrict__ d_log_softmax_sub_add,
                                                   const int32_t *__restrict__ y,
                                                   const real *__restrict__ bias,
                                                   const real *__restrict__ norm_sum_2, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  const int i = lane;
  real fc_mm = 0;
  real log_softmax_exp = 0;
  const int32_t y_at = y[row];
  const bool kept_ne = y_at != -100;
  const real d_nll_sum_neg = -(kept_ne ? 1 / norm_sum_2[0] : 0);
  const real d_one = (y_at >= 0 && y_at < 3 ? -d_nll_sum_neg : 0) + 0;
  real log_softmax_max = -INFINITY;
  if (i < K) {
    fc_mm = d_log_softmax_sub_add[row * K + i];
    log_softmax_max = mt_maximum(log_softmax_max, fc_mm + bias[i]);
  }
  log_softmax_max = warp_max(log_softmax_max);
  real log_softmax_sum = 0;
  if (i < K) {
    log_softmax_exp = exp(fc_mm + bias[i] - log_softmax_max);
    log_softmax_sum += log_softmax_exp;
  }
  log_softmax_sum = warp_sum(log_softmax_sum);
  const real log_softmax_log = log(log_softmax_sum);
  const real d_log_softmax_sum_div = d_one / log_softmax_sum;
  real nll_sum = 0;
  if (i < K) {
    const bool hit_eq = i == y_at;
    const real log_softmax_sub_2 = fc_mm + bias[i] - log_softmax_max - log_softmax_log;
    nll_sum += hit_eq ? log_softmax_sub_2 : 0;
    const real d_log_softmax_sub_add_at = (hit_eq ? d_nll_sum_neg : 0) + d_log_softmax_sum_div * log_softmax_exp;
    d_log_softmax_sub_add[row * K + i] = d_log_softmax_sub_add_at;
  }
  nll_sum = warp_sum(nll_sum);
  if (lane == 0) nll_where_2[row] = kept_ne ? -nll_sum : 0;
}

// model.mt:17  loss.cross_entropy.div = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// loss.cross_entropy.div.copy = loss.cross_entropy.sum / loss.cross_entropy.norm.sum.2
// fused 3 nodes of loss.cross_entropy: reads 24 B, writes 8 B; saves 12 B
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

// model.mt:11  d(fc.bias.sum) = sum(d(loss.cross_entropy.logp.log_softmax.sub.add))
// net.fc.bias: reads 60 B, writes 12 B
static __global__ void d_fc_bias_columns(real *__restrict__ d_bias_sum,
                                         const real *__restrict__ d_log_softmax_sub_add, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < K ? own : K - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_log_softmax_sub_add[row * K + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_bias_sum[column] = sum;
}

// model.mt:10  d(point.conv2d.reshape.5.sum) = sum(d(point.conv2d.transpose.3.where))
// d(point.conv2d.add.transpose.copy) = where(d(point.conv2d.transpose.3.le), 0,
//   d(point.avg_pool2d.sum.div))
// fused 2 nodes of net.point.conv2d: reads 960 B, writes 1.9 KB; saves 2.9 KB; recomputes 2
static __global__ void d_point_conv2d_rows(real *__restrict__ d_reshape_5_sum,
                                           real *__restrict__ d_add_transpose_copy,
                                           const bool *__restrict__ d_transpose_3_le,
                                           const real *__restrict__ d_reshape_mm, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= 6) return;
  real sum = 0;
  for (int i = lane; i < rows * 16; i += 32) {
    const bool d_transpose_3_le_at = d_transpose_3_le[(i / 16) * 96 + row * 16 + i % 16];
    const real d_reshape_mm_at = d_reshape_mm[(i / 16) * 24 + row * 4 + (i / 8 % 2) * 2 + i / 2 % 2];
    const real d_transpose_3_where = d_transpose_3_le_at ? 0 : d_reshape_mm_at * 0.25f;
    sum += d_transpose_3_where;
    d_add_transpose_copy[row * 80 + i] = d_transpose_3_where;
  }
  sum = warp_sum(sum);
  if (lane == 0) d_reshape_5_sum[row] = sum;
}

// model.mt:10  d(depth.conv2d.reshape.3.sum.rows) = sum(d(point.conv2d.reshape.2.mm))
// net.depth.conv2d: reads 1.3 KB, writes 80 B
static __global__ void d_depth_conv2d_rows(real *__restrict__ d_3_sum_rows,
                                           const real *__restrict__ d_reshape_2_mm, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows * 4) return;
  real sum = 0;
  for (int i = lane; i < 16; i += 32) {
    const real d_reshape_2_mm_at = d_reshape_2_mm[(row % 4) * 80 + (row / 4) * 16 + i];
    sum += d_reshape_2_mm_at;
  }
  sum = warp_sum(sum);
  if (lane == 0) d_3_sum_rows[row] = sum;
}

// model.mt:10  d(depth.conv2d.reshape.3.sum) = sum(d(depth.conv2d.reshape.3.sum.rows))
// net.depth.conv2d: reads 80 B, writes 16 B
static __global__ void d_depth_conv2d_columns(real *__restrict__ d_reshape_3_sum,
                                              const real *__restrict__ d_3_sum_rows, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 4 ? own : 4 - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_3_sum_rows[row * 4 + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_reshape_3_sum[column] = sum;
}

// model.mt:10  d(depth.conv2d.reshape.2.sum.rows) = sum(d(depth.conv2d.reshape.2.mul))
// fused 2 nodes of net.depth.conv2d: reads 2.6 KB, writes 720 B; saves 36 KB
static __global__ void d_depth_conv2d_rows_2(real *__restrict__ d_2_sum_rows,
                                             const real *__restrict__ d_reshape_2_mm,
                                             const real *__restrict__ max_pool2d_max, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows * 36) return;
  real sum = 0;
  for (int i = lane; i < 16; i += 32) {
    const real d_reshape_2_mm_at = d_reshape_2_mm[(row / 9 % 4) * 80 + (row / 36) * 16 + i];
    const real max_pool2d_max_at = i / 4 + row / 3 % 3 - 1 >= 0 && i / 4 + row / 3 % 3 - 1 < 4 && row % 3 + i % 4 - 1 >= 0 && row % 3 + i % 4 - 1 < 4 ? max_pool2d_max[(row / 9) * 16 + (row / 3 % 3) * 4 + i + row % 3 - 5] : 0;
    sum += d_reshape_2_mm_at * max_pool2d_max_at;
  }
  sum = warp_sum(sum);
  if (lane == 0) d_2_sum_rows[row] = sum;
}

// model.mt:10  d(depth.conv2d.reshape.2.sum) = sum(d(depth.conv2d.reshape.2.sum.rows))
// net.depth.conv2d: reads 720 B, writes 144 B
static __global__ void d_depth_conv2d_columns_2(real *__restrict__ d_reshape_2_sum,
                                                const real *__restrict__ d_2_sum_rows, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < 36 ? own : 36 - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < rows; row += 8)
    sum += d_2_sum_rows[row * 36 + column];
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_reshape_2_sum[column] = sum;
}

// model.mt:10  d(depth.conv2d.reshape.sum) = sum(fold(d(point.conv2d.reshape.2.mm) * depth.weight))
// net.depth.conv2d: reads 1.4 KB, writes 1.3 KB; saves 10 KB; recomputes 1
static __global__ void d_depth_conv2d_columns_3(real *__restrict__ d_conv2d_reshape_sum,
                                                const real *__restrict__ d_reshape_2_mm,
                                                const real *__restrict__ weight, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * 64 ? own : rows * 64 - 1;
  real sum = 0;
  for (int row = threadIdx.y; row < 9; row += 8) {
    const real d_reshape_2_mm_at = -(row % 3) + column % 4 + 1 >= 0 && -(row % 3) + column % 4 + 1 < 4 && -(row / 3) + column / 4 % 4 + 1 >= 0 && -(row / 3) + column / 4 % 4 + 1 < 4 ? d_reshape_2_mm[(column / 16 % 4) * 80 + (column / 64) * 16 + (row / 3) * -4 + -(row % 3) + column % 16 + 5] : 0;
    const real d_skew_2_mul = d_reshape_2_mm_at * weight[(column / 16 % 4) * 9 + row];
    const real d_conv2d_skew_unskew = -(row % 3) + column % 4 + 1 >= 0 && -(row % 3) + column % 4 + 1 < 4 && -(row / 3) + column / 4 % 4 + 1 >= 0 && -(row / 3) + column / 4 % 4 + 1 < 4 ? d_skew_2_mul : 0;
    sum += d_conv2d_skew_unskew;
  }
  sum = column_sum(sum);
  if (threadIdx.y == 0 && own == column) d_conv2d_reshape_sum[column] = sum;
}

// model.mt:9  d(conv1.conv2d.reshape.5.sum) = sum(d(conv1.conv2d.transpose.2.where))
// d(conv1.conv2d.add.transpose.copy) = where(d(conv1.conv2d.transpose.2.le), 0, d(conv1.relu.pad))
// fused 2 nodes of net.conv1.conv2d: reads 4.2 KB, writes 6.5 KB; saves 8.8 KB; recomputes 3
static __global__ void d_conv1_conv2d_rows(real *__restrict__ d_reshape_5_sum,
                                           real *__restrict__ d_add_transpose_copy,
                                           const bool *__restrict__ d_transpose_2_le,
                                           const int32_t *__restrict__ d_2_where_2,
                                           const real *__restrict__ d_conv2d_reshape_sum, int rows) {
  const int row = blockIdx.x;
  real sum = 0;
  for (int i = threadIdx.x; i < rows * 81; i += 128) {
    const bool d_transpose_2_le_at = d_transpose_2_le[(i / 81) * 324 + row * 81 + i % 81];
    const int32_t d_2_where_2_at = i % 9 < 8 && i / 9 % 9 < 8 ? d_2_where_2[(i / 81) * 64 + row * 16 + ((i / 9 % 9) / 2) * 4 + (i % 9) / 2] : 0;
    const bool d_reshape_2_eq = ((i / 9 % 9) % 2) * 2 + (i % 9) % 2 == d_2_where_2_at;
    const real d_conv2d_reshape_sum_at = i % 9 < 8 && i / 9 % 9 < 8 ? d_conv2d_reshape_sum[(i / 81) * 64 + row * 16 + ((i / 9 % 9) / 2) * 4 + (i % 9) / 2] : 0;
    const real d_conv1_relu_pad = i % 9 < 8 && i / 9 % 9 < 8 ? (d_reshape_2_eq ? d_conv2d_reshape_sum_at : 0) : 0;
    const real d_transpose_2_where = d_transpose_2_le_at ? 0 : d_conv1_relu_pad;
    sum += d_transpose_2_where;
    d_add_transpose_copy[row * 405 + i] = d_transpose_2_where;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) d_reshape_5_sum[row] = sum;
}

// model.mt:9  d(conv1.weight.reshape.copy) = d(conv1.conv2d.reshape.3.mm)
// net.conv1.weight: reads 288 B, writes 288 B
static __global__ void d_conv1_weight_map(real *__restrict__ d_weight_reshape_copy,
                                          const real *__restrict__ d_reshape_3_mm) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 72) return;
  d_weight_reshape_copy[i] = d_reshape_3_mm[i];
}

// model.mt:10  d(depth.weight.reshape.copy) = d(depth.conv2d.reshape.2.sum)
// net.depth.weight: reads 144 B, writes 144 B
static __global__ void d_depth_weight_map(real *__restrict__ d_weight_reshape_copy,
                                          const real *__restrict__ d_reshape_2_sum) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 36) return;
  d_weight_reshape_copy[i] = d_reshape_2_sum[i];
}

// model.mt:10  d(point.weight.reshape.copy) = d(point.conv2d.reshape.3.mm)
// net.point.weight: reads 96 B, writes 96 B
static __global__ void d_point_weight_map(real *__restrict__ d_weight_reshape_copy,
                                          const real *__restrict__ d_reshape_3_mm) {
  const int i = blockIdx.x * 256 + threadIdx.x;
  if (i >= 24) return;
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
  LAUNCH(conv1_conv2d_map, mt_blocks(7290, 256), 256, 0, run)(conv1_conv2d_transpose_copy, x, rows);
  STEP(mt_gemm_batched(run, MT_NN, 1, 4, rows * 81, 18, p.conv1_weight, 18, 0, conv1_conv2d_transpose_copy,
                       405, 0, conv1_conv2d_mm, 405, 0));

  // model.mt:9, backward
  LAUNCH(d_conv1_conv2d_map, mt_blocks(rows * 324, 256), 256, 0, run)(
      d_conv1_conv2d_transpose_2_le, conv1_conv2d_mm, p.conv1_bias, rows);

  // model.mt:9
  LAUNCH(conv1_max_pool2d_columns, mt_blocks(rows * 64, 32), dim3(32, 8), 0, run)(
      conv1_max_pool2d_max, d_conv1_max_pool2d_reshape_2_where_2, conv1_conv2d_mm, p.conv1_bias, rows);

  // model.mt:10
  LAUNCH(depth_conv2d_columns, mt_blocks(rows * 64, 32), dim3(32, 8), 0, run)(
      depth_conv2d_add, conv1_max_pool2d_max, p.depth_weight, p.depth_bias, rows);
  LAUNCH(point_conv2d_map, mt_blocks(320, 256), 256, 0, run)(
      point_conv2d_transpose_2_copy, depth_conv2d_add, rows);
  STEP(mt_gemm_batched(run, MT_NN, 1, 6, rows * 16, 4, p.point_weight, 4, 0, point_conv2d_transpose_2_copy,
                       80, 0, point_conv2d_mm, 80, 0));

  // model.mt:10, backward
  LAUNCH(d_point_conv2d_map, mt_blocks(rows * 96, 256), 256, 0, run)(
      d_point_conv2d_transpose_3_le, point_conv2d_mm, p.point_bias, rows);

  // model.mt:10
  LAUNCH(point_avg_pool2d_columns, mt_blocks(rows * 24, 32), dim3(32, 8), 0, run)(
      point_avg_pool2d_div, point_conv2d_mm, p.point_bias, rows);

  // model.mt:11
  STEP(mt_gemm(run, MT_NT, rows, K, 24, point_avg_pool2d_div, p.fc_weight, fc_mm));

  // model.mt:17
  LAUNCH(loss_cross_entropy_norm_rows, 1, 32, 0, run)(loss_cross_entropy_norm_sum_2, y, rows);
  LAUNCH(loss_cross_entropy_nll_rows, mt_blocks(rows, 4), 128, 0, run)(
      loss_cross_entropy_nll_where_2, d_loss_cross_entropy_logp_log_softmax_sub_add, y, p.fc_bias,
      loss_cross_entropy_norm_sum_2, rows);
  LAUNCH(loss_cross_entropy_rows, 1, 32, 0, run)(loss_cross_entropy_div, loss_cross_entropy_div_copy,
                                                 loss_cross_entropy_nll_where_2,
                                                 loss_cross_entropy_norm_sum_2, rows);

  // model.mt:11, backward
  LAUNCH(d_fc_bias_columns, mt_blocks(K, 32), dim3(32, 8), 0, run)(
      d.fc_bias, d_loss_cross_entropy_logp_log_softmax_sub_add, rows);
  STEP(mt_gemm(run, MT_NN, rows, 24, K, d_loss_cross_entropy_logp_log_softmax_sub_add, p.fc_weight,
               d_reshape_mm));
  STEP(mt_gemm(run, MT_TN, K, 24, rows, d_loss_cross_entropy_logp_log_softmax_sub_add,
               point_avg_pool2d_div, d.fc_weight));

  // model.mt:10, backward
  LAUNCH(d_point_conv2d_rows, mt_blocks(6, 4), 128, 0, run)(
      d.point_bias, d_point_conv2d_add_transpose_copy, d_point_conv2d_transpose_3_le, d_reshape_mm, rows);
  STEP(mt_gemm_batched(run, MT_NT, 1, 6, 4, rows * 16, d_point_conv2d_add_transpose_copy, 80, 0,
                       point_conv2d_transpose_2_copy, 80, 0, d_point_conv2d_reshape_3_mm, 4, 0));
  STEP(mt_gemm_batched(run, MT_TN, 1, 4, rows * 16, 6, p.point_weight, 4, 0,
                       d_point_conv2d_add_transpose_copy, 80, 0, d_point_conv2d_reshape_2_mm, 80, 0));
  LAUNCH(d_depth_conv2d_rows, mt_blocks(rows * 4, 4), 128, 0, run)(
      d_depth_conv2d_reshape_3_sum_rows, d_point_conv2d_reshape_2_mm, rows);
  LAUNCH(d_depth_conv2d_columns, mt_blocks(4, 32), dim3(32, 8), 0, run)(
      d.depth_bias, d_depth_conv2d_reshape_3_sum_rows, rows);
  LAUNCH(d_depth_conv2d_rows_2, mt_blocks(rows * 36, 4), 128, 0, run)(
      d_depth_conv2d_reshape_2_sum_rows, d_point_conv2d_reshape_2_mm, conv1_max_pool2d_max, rows);
  LAUNCH(d_depth_conv2d_columns_2, mt_blocks(36, 32), dim3(32, 8), 0, run)(
      d_depth_conv2d_reshape_2_sum, d_depth_conv2d_reshape_2_sum_rows, rows);
  LAUNCH(d_depth_conv2d_columns_3, mt_blocks(rows * 64, 32), dim3(32, 8), 0, run)(
      d_depth_conv2d_reshape_sum, d_point_conv2d_reshape_2_mm, p.depth_weight, rows);

  // model.mt:9, backward
  LAUNCH(d_conv1_conv2d_rows, 4, 128, 0, run)(d.conv1_bias, d_conv1_conv2d_add_transpose_copy,
                                              d_conv1_conv2d_transpose_2_le,
                                              d_conv1_max_pool2d_reshape_2_where_2,
                                              d_depth_conv2d_reshape_sum, rows);
  STEP(mt_gemm_batched(run, MT_NT, 1, 4, 18, rows * 81, d_conv1_conv2d_add_transpose_copy, 405, 0,
                       conv1_conv2d_transpose_copy, 405, 0, d_conv1_conv2d_reshape_3_mm, 18, 0));
  LAUNCH(d_conv1_weight_map, mt_blocks(72, 256), 256, 0, run)(d.conv1_weight, d_conv1_conv2d_reshape_3_mm);

  // model.mt:10, backward
  LAUNCH(d_depth_weight_map, mt_blocks(36, 256), 256, 0, run)(d.depth_weight, d_depth_conv2d_reshape_2_sum);
  LAUNCH(d_point_weight_map, mt_blocks(24, 256), 256, 0, run)(d.point_weight, d_point_conv2d_reshape_3_mm);
}

#ifndef MT_DOUBLE

// model.mt:9  conv1.max_pool2d.max = max(relu(conv1.conv2d.mm + conv1.bias))
// net.conv1.max_pool2d: reads 6.5 KB, writes 1.3 KB; recomputes 2
static __global__ void conv1_max_pool2d_columns_2(real *__restrict__ max_pool2d_max,
                                                  const real *__restrict__ conv2d_mm,
                                                  const real *__restrict__ bias, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * 64 ? own : rows * 64 - 1;
  const real bias_at = bias[column / 16 % 4];
  real highest = -INFINITY;
  for (int row = threadIdx.y; row < 4; row += 8) {
    const real conv2d_mm_at = conv2d_mm[(column / 16 % 4) * 405 + (column / 64) * 81 + (column / 4 % 4) * 18 + (row / 2) * 9 + (column % 4) * 2 + row % 2];
    const real conv2d_add = conv2d_mm_at + bias_at;
    highest = mt_maximum(highest, conv2d_add < 0 ? 0 : conv2d_add);
  }
  highest = column_max(highest);
  if (threadIdx.y == 0 && own == column) max_pool2d_max[column] = highest;
}

// model.mt:22  value.argmax.cast = f32(argmax(fc.mm + fc.bias))
// fused 3 nodes of net.fc and value: reads 72 B, writes 20 B; saves 160 B
static __global__ void value_rows(real *__restrict__ value_argmax_cast, const real *__restrict__ fc_mm,
                                  const real *__restrict__ bias, int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows) return;
  real value_argmax_best = -INFINITY;
  int value_argmax = 0;
  for (int i = lane; i < K; i += 32) {
    const real fc_add = fc_mm[row * K + i] + bias[i];
    if (fc_add > value_argmax_best || (fc_add != fc_add && value_argmax_best == value_argmax_best))
      value_argmax_best = fc_add, value_argmax = i;
  }
  warp_argmax(value_argmax_best, value_argmax);
  if (lane == 0) value_argmax_cast[row] = (real)value_argmax;
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
  LAUNCH(conv1_conv2d_map, mt_blocks(7290, 256), 256, 0, run)(conv1_conv2d_transpose_copy, x, rows);
  STEP(mt_gemm_batched(run, MT_NN, 1, 4, rows * 81, 18, p.conv1_weight, 18, 0, conv1_conv2d_transpose_copy,
                       405, 0, conv1_conv2d_mm, 405, 0));
  LAUNCH(conv1_max_pool2d_columns_2, mt_blocks(rows * 64, 32), dim3(32, 8), 0, run)(
      conv1_max_pool2d_max, conv1_conv2d_mm, p.conv1_bias, rows);

  // model.mt:10
  LAUNCH(depth_conv2d_columns, mt_blocks(rows * 64, 32), dim3(32, 8), 0, run)(
      depth_conv2d_add, conv1_max_pool2d_max, p.depth_weight, p.depth_bias, rows);
  LAUNCH(point_conv2d_map, mt_blocks(320, 256), 256, 0, run)(
      point_conv2d_transpose_2_copy, depth_conv2d_add, rows);
  STEP(mt_gemm_batched(run, MT_NN, 1, 6, rows * 16, 4, p.point_weight, 4, 0, point_conv2d_transpose_2_copy,
                       80, 0, point_conv2d_mm, 80, 0));
  LAUNCH(point_avg_pool2d_columns, mt_blocks(rows * 24, 32), dim3(32, 8), 0, run)(
      point_avg_pool2d_div, point_conv2d_mm, p.point_bias, rows);

  // model.mt:11
  STEP(mt_gemm(run, MT_NT, rows, K, 24, point_avg_pool2d_div, p.fc_weight, fc_mm));

  // model.mt:22
  LAUNCH(value_rows, mt_blocks(rows, 4), 128, 0, run)(value_argmax_cast, fc_mm, p.fc_bias, rows);
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
  mt_check_gradients(u, s, 0, 640);
  // net using sgd:
  //   g = g + decay * p
  //   buf = t == 1 ? g : momentum * buf + (1 - dampening) * g
  //   d = momentum == 0 ? g : nesterov == 0 ? buf : g + momentum * buf
  //   p = p - lr * d
  mt_sgd(u, s, rule[0], 0, 579);
  mt_finish(u, s);
}

static void train_update(MtRun *run, const MtEnd *end) {
  const MtUpdateData u = mt_update_data(run, end);
  LAUNCH(update, 1, MT_UPDATE_THREADS, 0, run)(u);
}

namespace f64 { static void train_gradients(MtRun *run, const void *const *batch, int64_t rows); }  // at the end of the file

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
  {train_gradients, f64::train_gradients, train_update, 1, 0, 0, 640, 0, 1, 0, 1, 29, 24, train_values, 0, NULL},
};
// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)
static const MtCost train_costs[] = {
  {"d_conv1_conv2d_rows",          1, 1.068e+04, 1.62e+04,  1.033e-06},
  {"gemm 4 x 405 x 18 f32",        1, 3.593e+04, 5.832e+04, 1.013e-06},
  {"gemm 4 x 18 x 405 f32",        1, 3.593e+04, 5.832e+04, 1.013e-06},
  {"conv1_conv2d_map",             1, 3.24e+04,  1.458e+04, 1.012e-06},
  {"d_point_conv2d_rows",          1, 2904,      3840,      1.006e-06},
  {"update",                       1, 1.158e+04, 1.158e+04, 1.004e-06},
  {"conv1_max_pool2d_columns",     1, 9056,      1.92e+04,  1.003e-06},
  {"d_conv1_conv2d_map",           1, 8116,      9720,      1.003e-06},
  {"gemm 6 x 80 x 4 f32",          1, 3296,      3840,      1.001e-06},
  {"gemm 6 x 4 x 80 f32",          1, 3296,      3840,      1.001e-06},
  {"gemm 4 x 80 x 6 f32",          1, 3296,      3840,      1.001e-06},
  {"d_depth_conv2d_rows_2",        1, 3280,      1.152e+04, 1.001e-06},
  {"depth_conv2d_columns",         1, 2720,      1.216e+04, 1.001e-06},
  {"d_depth_conv2d_columns_3",     1, 2704,      1.152e+04, 1.001e-06},
  {"point_conv2d_map",             1, 2560,      640,       1.001e-06},
  {"d_point_conv2d_map",           1, 2424,      2880,      1.001e-06},
  {"point_avg_pool2d_columns",     1, 2424,      3120,      1.001e-06},
  {"d_depth_conv2d_rows",          1, 1360,      640,       1.001e-06},
  {"loss_cross_entropy_nll_rows",  1, 176,       1000,      1e-06},
  {"loss_cross_entropy_rows",      1, 32,        52,        1e-06},
  {"d_depth_conv2d_columns_2",     1, 864,       360,       1e-06},
  {"loss_cross_entropy_norm_rows", 1, 24,        70,        1e-06},
  {"gemm 5 x 3 x 24 f32",          1, 828,       720,       1e-06},
  {"gemm 5 x 24 x 3 f32",          1, 828,       720,       1e-06},
  {"gemm 3 x 24 x 5 f32",          1, 828,       720,       1e-06},
  {"d_conv1_weight_map",           1, 576,       144,       1e-06},
  {"d_depth_weight_map",           1, 288,       72,        1e-06},
  {"d_point_weight_map",           1, 192,       48,        1e-06},
  {"d_depth_conv2d_columns",       1, 96,        40,        1e-06},
  {"d_fc_bias_columns",            1, 72,        30,        1e-06},
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
  30, train_costs,                   // what a step costs
  "an NVIDIA H100",                  // by the model of it
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
  &mt_cuda,                          // what it runs on
  8, 0, 1, 0,                        // parameters, states, data sets, evals
  640, 0,                            // elements of the two blocks
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
