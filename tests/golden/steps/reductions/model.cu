// model.cu, by mtc 0.1 from model.mt.   nvcc -O3 model.cu $(mtc --print=cuda-flags) -o model
//
// Every kernel stands under the line of the model it computes; each step calls them in order.

#include "mtrt_cuda.cuh"

#define real float

enum { B = 6, T = 7, C = 4 };

// model.mt:6  net.best.max = max(x)
// net.best: reads 672 B, writes 96 B
static __global__ void net_best_columns(real *__restrict__ best_max, const real *__restrict__ x, int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * C ? own : rows * C - 1;
  real highest = -INFINITY;
  for (int row = threadIdx.y; row < 6; row += 8) {
    const real x_at = x[(column / C) * T * C + row * C + column % C + 4];
    highest = mt_maximum(highest, x_at);
  }
  highest = column_max(highest);
  if (threadIdx.y == 0 && own == column) best_max[column] = highest;
}

// model.mt:7  net.all.norm.where.2 = where(net.all.norm.sum <= 0, 0, sqrt(net.all.norm.where))
// fused 6 nodes of net.all.norm: reads 672 B, writes 16 B; saves 1.5 KB
static __global__ void net_all_norm_columns(real *__restrict__ norm_where_2, const real *__restrict__ x,
                                            int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < C ? own : C - 1;
  real norm_sum = 0;
  for (int row = threadIdx.y; row < rows * T; row += 8) {
    const real x_at = x[row * C + column];
    norm_sum += x_at * x_at;
  }
  norm_sum = column_sum(norm_sum);
  const bool norm_le = norm_sum <= 0;
  if (threadIdx.y == 0 && own == column) norm_where_2[column] = norm_le ? 0 : sqrt(norm_le ? 1 : norm_sum);
}

// model.mt:5  net.rows.std.where.2 = where(net.rows.std.div <= 0, 0, sqrt(net.rows.std.where))
// fused 10 nodes of net.rows.std: reads 672 B, writes 168 B; saves 5.7 KB
static __global__ void net_rows_std_rows(real *__restrict__ std_where_2, const real *__restrict__ x,
                                         int rows) {
  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (row >= rows * T) return;
  const int i = lane;
  real x_at = 0;
  real mean_sum = 0;
  if (i < C) {
    x_at = x[row * C + i];
    mean_sum += x_at;
  }
  mean_sum = warp_sum(mean_sum);
  const real mean_div = mean_sum * 0.25f;
  real std_sum = 0;
  if (i < C) {
    const real std_sub = x_at - mean_div;
    std_sum += std_sub * std_sub;
  }
  std_sum = warp_sum(std_sum);
  const real std_div = std_sum / 3;
  const bool std_le = std_div <= 0;
  if (lane == 0) std_where_2[row] = std_le ? 0 : sqrt(std_le ? 1 : std_div);
}

// model.mt:8  net.div = sum(net.rows.std.where.2) / f32(rows)
// fused 2 nodes of net: reads 168 B, writes 24 B; saves 48 B
static __global__ void net_columns(real *__restrict__ net_div, const real *__restrict__ std_where_2,
                                   int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows ? own : rows - 1;
  const real net_rhs_cast = (real)rows;
  real net_sum = 0;
  for (int row = threadIdx.y; row < T; row += 8)
    net_sum += std_where_2[column * T + row];
  net_sum = column_sum(net_sum);
  if (threadIdx.y == 0 && own == column) net_div[column] = net_sum / net_rhs_cast;
}

// model.mt:8  net.add.2 = sum(x) / 7 + (net.best.cast + net.best.max) * net.all.norm.where.2 + net.div
// fused 8 nodes of net.columns, net.best and net: reads 808 B, writes 96 B; saves 2.0 KB
static __global__ void net_columns_2(real *__restrict__ net_add_2, const real *__restrict__ x,
                                     const real *__restrict__ best_max,
                                     const real *__restrict__ norm_where_2, const real *__restrict__ net_div,
                                     int rows) {
  const int own = blockIdx.x * 32 + threadIdx.x, column = own < rows * C ? own : rows * C - 1;
  const real best_max_at = best_max[column];
  const real norm_where_2_at = norm_where_2[column % C];
  const real net_div_at = net_div[column / C];
  real mean_sum = 0;
  real best_argmax_best = -INFINITY;
  int best_argmax = 0;
  for (int row = threadIdx.y; row < T; row += 8) {
    const real x_at = x[(column / C) * T * C + row * C + column % C];
    mean_sum += x_at;
    if (x_at > best_argmax_best || (x_at != x_at && best_argmax_best == best_argmax_best))
      best_argmax_best = x_at, best_argmax = row;
  }
  mean_sum = column_sum(mean_sum);
  column_argmax(best_argmax_best, best_argmax);
  const real net_mul = ((real)best_argmax + best_max_at) * norm_where_2_at;
  if (threadIdx.y == 0 && own == column) net_add_2[column] = mean_sum / 7 + net_mul + net_div_at;
}

// Inference.
static void predict_step(MtRun *run, const void *const *batch, int64_t rows) {
  const real *x = (const real *)batch[0];      // (B, T, C)
  real *net_best_max = AT(real, 0);            // (B, C)
  real *net_all_norm_where_2 = AT(real, 256);  // (C)
  real *net_rows_std_where_2 = AT(real, 512);  // (B, T)
  real *net_div = AT(real, 768);               // (B)
  real *net_add_2 = (real *)run->outputs + 0;  // (B, C)

  // model.mt:6
  LAUNCH(net_best_columns, mt_blocks(rows * C, 32), dim3(32, 8), 0, run)(net_best_max, x, rows);

  // model.mt:7
  LAUNCH(net_all_norm_columns, mt_blocks(C, 32), dim3(32, 8), 0, run)(net_all_norm_where_2, x, rows);

  // model.mt:5
  LAUNCH(net_rows_std_rows, mt_blocks(rows * T, 4), 128, 0, run)(net_rows_std_where_2, x, rows);

  // model.mt:8
  LAUNCH(net_columns, mt_blocks(rows, 32), dim3(32, 8), 0, run)(net_div, net_rows_std_where_2, rows);
  LAUNCH(net_columns_2, mt_blocks(rows * C, 32), dim3(32, 8), 0, run)(
      net_add_2, x, net_best_max, net_all_norm_where_2, net_div, rows);
}

static const MtField predict_fields[] = {
  {"x", MT_F32, 2, {T, C}, 0, 0, 0},
};
static const MtPredict predict = {
  1, predict_fields,                 // what it is given
  6,                                 // rows a batch
  predict_step,                      // the step
  {1024, 24},                        // bytes of its arena, elements of its outputs
  1, {C},                            // rank and shape of a result
  true,                              // one result a row
};

static const MtProgram program = {
  "model", "model.mt",               // the model, and where it was read
  &mt_cuda,                          // what it runs on
  0, 0, 0, 0,                        // parameters, states, data sets, evals
  0, 0,                              // elements of the two blocks
  NULL, NULL, NULL,                  // their tables
  NULL, NULL, &predict, NULL,        // what it can do
  0, NULL,                           // weights to start from
};

int main(int argc, char **argv) { return mt_main(argc, argv, &program); }
