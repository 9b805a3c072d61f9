/* mtrt_attention.cuh - attention in generated CUDA programs.
 *
 * Of `heads` independent heads, each q [rows, E] against k and v [columns, E],
 * all contiguous: o = softmax(scale q k') v; under MT_CAUSAL row i sees columns 0
 * to i.  A warp has 16 places of one side, four warps make a block, and tiles of
 * the other side go through shared memory, the next on its way while one is
 * worked on.  Scores live in registers only: a row keeps its highest score so far
 * and sums relative to it (online softmax); the backward pass makes weights once
 * more from scores and lse, by rows for dq and by columns for dk and dv.  No sum
 * is shared between blocks, so equal inputs give equal bits.
 *
 * Products of 16 by 8 numbers are laid out as mma.m16n8 has them: of sum[n][i],
 * lane l has row l / 4 + 8 (i / 2) and column 8 n + 2 (l % 4) + i % 2.  They are
 * made on tensor cores from bf16 or from floats rounded to tf32, or by ordinary
 * multiply-adds of float or double.
 */
#ifndef MTRT_ATTENTION_CUH
#define MTRT_ATTENTION_CUH

#include "mtrt_cuda.cuh"
#include "mtrt_bf16.h"

#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 800
#define MT_TENSOR_CORES
#endif

enum MtMask { MT_FULL, MT_CAUSAL };
enum MtProducts { MT_EXACT, MT_TF32 }; /* of floats */
enum { MT_WARP_ROWS = 16, MT_ATTENTION_WARPS = 4, MT_ATTENTION_ROWS = MT_WARP_ROWS * MT_ATTENTION_WARPS };

static __device__ __forceinline__ int mt_lane() { return threadIdx.x % 32; }
static __device__ __forceinline__ float mt_exp2(float x) { return exp2f(x); }
static __device__ __forceinline__ double mt_exp2(double x) { return exp2(x); }
static __device__ __forceinline__ float mt_log2(float x) { return log2f(x); }
static __device__ __forceinline__ double mt_log2(double x) { return log2(x); }
static __device__ __forceinline__ float mt_higher(float a, float b) { return fmaxf(a, b); } /* NaN loses */
static __device__ __forceinline__ double mt_higher(double a, double b) { return fmax(a, b); }

/* ---- 16 bytes to shared memory, in the background where the GPU can ------------- */

static __device__ __forceinline__ void mt_copy16(void *to, const void *from, bool there) {
#ifdef MT_TENSOR_CORES
  const unsigned at = (unsigned)__cvta_generic_to_shared(to);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(at), "l"(from), "r"(there ? 16 : 0));
#else
  *(float4 *)to = there ? *(const float4 *)from : float4{0, 0, 0, 0};
#endif
}
static __device__ __forceinline__ void mt_copies_end() {
#ifdef MT_TENSOR_CORES
  asm volatile("cp.async.commit_group;\n" ::);
#endif
}
/* All have arrived, or all but the last group. */
template <bool but_last> static __device__ __forceinline__ void mt_copies_wait() {
#ifdef MT_TENSOR_CORES
  if (but_last)
    asm volatile("cp.async.wait_group 1;\n" ::: "memory");
  else
    asm volatile("cp.async.wait_group 0;\n" ::: "memory");
#endif
}

/* ---- tensor cores, and the same by shuffles for GPUs that have none --------------- */

static __device__ __forceinline__ float mt_tf32(float x) { /* rounded to 10 bits behind the point */
  uint32_t bits;
#ifdef MT_TENSOR_CORES
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(bits) : "f"(x));
#else
  memcpy(&bits, &x, sizeof bits);
  if (x - x == 0) bits += 0x1000;
  bits &= 0xffffe000u;
#endif
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* sum += a b, a 16 by 8 and b 8 by 8. */
static __device__ __forceinline__ void mt_mma_tf32(float (&sum)[4], const float (&a)[4], float b0, float b1) {
#ifdef MT_TENSOR_CORES
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])), "r"(__float_as_uint(a[3])),
        "r"(__float_as_uint(b0)), "r"(__float_as_uint(b1)));
#else
  const int row = mt_lane() / 4 * 4, column = mt_lane() % 4 * 8;
  for (int half = 0; half < 2; half++)
    for (int p = 0; p < 4; p++) {
      const float low = __shfl_sync(0xffffffffu, a[2 * half], row + p), high = __shfl_sync(0xffffffffu, a[2 * half + 1], row + p);
      const float left = __shfl_sync(0xffffffffu, half ? b1 : b0, column + p);
      const float right = __shfl_sync(0xffffffffu, half ? b1 : b0, column + 4 + p);
      sum[0] += low * left, sum[1] += low * right, sum[2] += high * left, sum[3] += high * right;
    }
#endif
}

/* The two bf16 of a word, the lower first. */
static __device__ __forceinline__ uint32_t mt_pack(float low, float high) {
  const MtBf16 both[2] = {mt_to_bf16(low), mt_to_bf16(high)};
  uint32_t bits;
  memcpy(&bits, both, sizeof bits);
  return bits;
}

/* sum += a b, a 16 by 16 and b 16 by 8. */
static __device__ __forceinline__ void mt_mma_bf16(float (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
#ifdef MT_TENSOR_CORES
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  const int row = mt_lane() / 4 * 4, column = mt_lane() % 4 * 8;
  for (int half = 0; half < 2; half++)
    for (int p = 0; p < 4; p++) {
      const uint32_t word[4] = {__shfl_sync(0xffffffffu, a[2 * half], row + p), __shfl_sync(0xffffffffu, a[2 * half + 1], row + p),
                                __shfl_sync(0xffffffffu, half ? b1 : b0, column + p),
                                __shfl_sync(0xffffffffu, half ? b1 : b0, column + 4 + p)};
      MtBf16 x[4][2];
      memcpy(x, word, sizeof x);
      for (int i = 0; i < 4; i++)
        for (int h = 0; h < 2; h++) sum[i] += from_bf16(x[i / 2][h]) * from_bf16(x[2 + i % 2][h]);
    }
#endif
}

/* Right operands of two products side by side, 16 by 16 of a tile from `at` on: its rows are their columns. */
static __device__ __forceinline__ void mt_read_rows(uint32_t (&b)[4], const MtBf16 *at, int stride) {
#ifdef MT_TENSOR_CORES
  const int matrix = mt_lane() / 8, row = mt_lane() % 8 + matrix / 2 * 8, column = matrix % 2 * 8;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"((unsigned)__cvta_generic_to_shared(at + row * stride + column)));
#else
  for (int i = 0; i < 4; i++)
    memcpy(&b[i], at + (mt_lane() / 4 + i / 2 * 8) * stride + mt_lane() % 4 * 2 + i % 2 * 8, sizeof b[i]);
#endif
}
/* ... its rows are their rows. */
static __device__ __forceinline__ void mt_read_columns(uint32_t (&b)[4], const MtBf16 *at, int stride) {
#ifdef MT_TENSOR_CORES
  const int matrix = mt_lane() / 8, row = mt_lane() % 8 + matrix % 2 * 8, column = matrix / 2 * 8;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"((unsigned)__cvta_generic_to_shared(at + row * stride + column)));
#else
  for (int i = 0; i < 4; i++) {
    const MtBf16 *from = at + (mt_lane() % 4 * 2 + i % 2 * 8) * stride + mt_lane() / 4 + i / 2 * 8;
    const MtBf16 both[2] = {from[0], from[stride]};
    memcpy(&b[i], both, sizeof b[i]);
  }
#endif
}

/* ---- how products are made: WIDTH features, with zeros up to DEPTH, in tiles of TILE places ---- */

/* By multiply-adds.  A warp's own places are read from global memory, which its cache has. */
template <class T, int E> struct MtExactMath {
  typedef T Stored;
  typedef T Real;
  enum { WIDTH = E, DEPTH = (E + 15) / 16 * 16, TILE = (DEPTH <= 64 ? 128 : 64) / sizeof(T), STRIDE = DEPTH + 16 / sizeof(T) };
  enum { LINE = TILE + 16 / sizeof(T), SCRATCH = MT_WARP_ROWS * LINE };
  struct Own {
    const T *row[2];
  };
  static __device__ __forceinline__ void bring(Own &own, const T *from, int row, int rows) {
    for (int h = 0; h < 2; h++) own.row[h] = from + (int64_t)(row + 8 * h < rows ? row + 8 * h : rows - 1) * E;
  }
  /* sum += own tile' */
  static __device__ __forceinline__ void add_scores(Real (&sum)[TILE / 8][4], const Own &own, const T *tile) {
    const T *right = tile + mt_lane() % 4 * 2 * STRIDE;
    for (int e = 0; e < E; e++) {
      const T low = own.row[0][e], high = own.row[1][e];
#pragma unroll
      for (int n = 0; n < TILE / 8; n++) {
        const T b0 = right[8 * n * STRIDE + e], b1 = right[(8 * n + 1) * STRIDE + e];
        sum[n][0] += low * b0, sum[n][1] += low * b1, sum[n][2] += high * b0, sum[n][3] += high * b1;
      }
    }
  }
  /* sum += weights tile; the weights of a row are in four lanes: they meet in `scratch`. */
  static __device__ __forceinline__ void add_weighted(Real (&sum)[DEPTH / 8][4], const Real (&weight)[TILE / 8][4], const T *tile,
                                                      Real *scratch) {
    const int row = mt_lane() / 4, column = mt_lane() % 4 * 2;
    __syncwarp(); /* the weights before are done with */
#pragma unroll
    for (int n = 0; n < TILE / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) scratch[(row + i / 2 * 8) * LINE + 8 * n + column + i % 2] = weight[n][i];
    __syncwarp();
    const Real *left = scratch + row * LINE;
    for (int p = 0; p < TILE; p++) {
      const Real low = left[p], high = left[8 * LINE + p];
#pragma unroll
      for (int n = 0; n < DEPTH / 8; n++) {
        const T b0 = tile[p * STRIDE + 8 * n + column], b1 = tile[p * STRIDE + 8 * n + column + 1];
        sum[n][0] += low * b0, sum[n][1] += low * b1, sum[n][2] += high * b0, sum[n][3] += high * b1;
      }
    }
  }
};

template <int E> struct MtTf32Math {
  typedef float Stored;
  typedef float Real;
  enum { WIDTH = E, DEPTH = (E + 15) / 16 * 16, TILE = DEPTH <= 64 ? 32 : 16, STRIDE = DEPTH + 4, SCRATCH = 0 };
  struct Own {
    float left[DEPTH / 8][4];
  };
  static __device__ __forceinline__ void bring(Own &own, const float *from, int row, int rows) {
    for (int k = 0; k < DEPTH / 8; k++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int r = row + i % 2 * 8, e = 8 * k + mt_lane() % 4 + i / 2 * 4;
        own.left[k][i] = r < rows && e < E ? mt_tf32(from[(int64_t)r * E + e]) : 0;
      }
  }
  static __device__ __forceinline__ void add_scores(float (&sum)[TILE / 8][4], const Own &own, const float *tile) {
    const float *right = tile + mt_lane() / 4 * STRIDE + mt_lane() % 4;
#pragma unroll
    for (int k = 0; k < DEPTH / 8; k++)
#pragma unroll
      for (int n = 0; n < TILE / 8; n++) {
        const float *at = right + 8 * n * STRIDE + 8 * k;
        mt_mma_tf32(sum[n], own.left[k], mt_tf32(at[0]), mt_tf32(at[4]));
      }
  }
  /* The k-th of 8 weights that a product takes is column 2 k, or 2 (k - 4) + 1: where they are already. */
  static __device__ __forceinline__ void add_weighted(float (&sum)[DEPTH / 8][4], const float (&weight)[TILE / 8][4], const float *tile,
                                                      float *) {
    const float *right = tile + mt_lane() % 4 * 2 * STRIDE + mt_lane() / 4;
#pragma unroll
    for (int k = 0; k < TILE / 8; k++) {
      const float left[4] = {mt_tf32(weight[k][0]), mt_tf32(weight[k][2]), mt_tf32(weight[k][1]), mt_tf32(weight[k][3])};
#pragma unroll
      for (int n = 0; n < DEPTH / 8; n++) {
        const float *at = right + 8 * k * STRIDE + 8 * n;
        mt_mma_tf32(sum[n], left, mt_tf32(at[0]), mt_tf32(at[STRIDE]));
      }
    }
  }
};

template <int E> struct MtBf16Math {
  typedef MtBf16 Stored;
  typedef float Real;
  enum { WIDTH = E, DEPTH = (E + 15) / 16 * 16, TILE = DEPTH <= 64 ? 64 : 32, STRIDE = DEPTH + 8, SCRATCH = 0 };
  struct Own {
    uint32_t left[DEPTH / 16][4];
  };
  static __device__ __forceinline__ void bring(Own &own, const MtBf16 *from, int row, int rows) {
    for (int k = 0; k < DEPTH / 16; k++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int r = row + i % 2 * 8, e = 16 * k + mt_lane() % 4 * 2 + i / 2 * 8;
        const MtBf16 *at = from + (int64_t)r * E + e, none = mt_to_bf16(0.0f);
        const MtBf16 both[2] = {r < rows && e < E ? at[0] : none, r < rows && e + 1 < E ? at[1] : none};
        memcpy(&own.left[k][i], both, sizeof own.left[k][i]);
      }
  }
  static __device__ __forceinline__ void add_scores(float (&sum)[TILE / 8][4], const Own &own, const MtBf16 *tile) {
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++)
#pragma unroll
      for (int n = 0; n < TILE / 16; n++) {
        uint32_t right[4];
        mt_read_rows(right, tile + 16 * n * STRIDE + 16 * k, STRIDE);
        mt_mma_bf16(sum[2 * n], own.left[k], right[0], right[1]);
        mt_mma_bf16(sum[2 * n + 1], own.left[k], right[2], right[3]);
      }
  }
  /* Sums of two products side by side lie as the left operand of the next does. */
  static __device__ __forceinline__ void add_weighted(float (&sum)[DEPTH / 8][4], const float (&weight)[TILE / 8][4], const MtBf16 *tile,
                                                      float *) {
#pragma unroll
    for (int k = 0; k < TILE / 16; k++) {
      const float(&a)[4] = weight[2 * k], (&b)[4] = weight[2 * k + 1];
      const uint32_t left[4] = {mt_pack(a[0], a[1]), mt_pack(a[2], a[3]), mt_pack(b[0], b[1]), mt_pack(b[2], b[3])};
#pragma unroll
      for (int n = 0; n < DEPTH / 16; n++) {
        uint32_t right[4];
        mt_read_columns(right, tile + 16 * k * STRIDE + 16 * n, STRIDE);
        mt_mma_bf16(sum[2 * n], left, right[0], right[1]);
        mt_mma_bf16(sum[2 * n + 1], left, right[2], right[3]);
      }
    }
  }
};

template <class T, int E, MtProducts products> struct MtMathOf {
  typedef MtExactMath<T, E> Type;
};
template <int E> struct MtMathOf<float, E, MT_TF32> {
  typedef MtTf32Math<E> Type;
};
template <int E, MtProducts products> struct MtMathOf<MtBf16, E, products> {
  typedef MtBf16Math<E> Type;
};

/* ---- tiles: two of them, of two tensors each ----------------------------------------------- */

/* `count` places from `from` on, then zeros. */
template <class Math> static __device__ __forceinline__ void mt_bring_tile(typename Math::Stored *tile, const typename Math::Stored *from, int count) {
  typedef typename Math::Stored T;
  enum { EACH = 16 / sizeof(T), PARTS = Math::WIDTH / EACH, E = Math::WIDTH };
  if (E % EACH == 0) {
    for (int i = threadIdx.x; i < Math::TILE * PARTS; i += 32 * MT_ATTENTION_WARPS) {
      const int row = i / PARTS, e = i % PARTS * EACH;
      mt_copy16(tile + row * Math::STRIDE + e, from + (row < count ? (int64_t)row * E + e : 0), row < count);
    }
  } else {
    for (int i = threadIdx.x; i < Math::TILE * E; i += 32 * MT_ATTENTION_WARPS) {
      T zero;
      memset(&zero, 0, sizeof zero);
      tile[i / E * Math::STRIDE + i % E] = i / E < count ? from[i] : zero;
    }
  }
}

/* Features up to DEPTH: zeros that no tile overwrites. */
template <class Math> static __device__ __forceinline__ void mt_pad_tiles(typename Math::Stored *tiles, int rows) {
  enum { MORE = Math::DEPTH > Math::WIDTH ? Math::DEPTH - Math::WIDTH : 1 }; /* called where there are any */
  for (int i = threadIdx.x; i < rows * MORE; i += 32 * MT_ATTENTION_WARPS)
    memset(&tiles[i / MORE * Math::STRIDE + Math::WIDTH + i % MORE], 0, sizeof *tiles);
}
template <class Math> static __device__ __forceinline__ void mt_begin_tiles(typename Math::Stored *a, typename Math::Stored *b) {
  if (Math::DEPTH == Math::WIDTH) return;
  mt_pad_tiles<Math>(a, 2 * Math::TILE);
  mt_pad_tiles<Math>(b, 2 * Math::TILE);
}

/* One head: tensors from its begin on, places that see and that are seen. */
template <class T> struct MtHead {
  const T *q, *k, *v;
  int rows, columns;
};

/* A tile of the rows of two tensors, or of the first. */
template <class Math, bool both> static __device__ __forceinline__ void mt_bring_tiles(typename Math::Stored *a, typename Math::Stored *b, const typename Math::Stored *from_a,
                                                      const typename Math::Stored *from_b, int first, int all, int buffer) {
  const int count = all - first < Math::TILE ? all - first : Math::TILE, at = buffer * Math::TILE * Math::STRIDE;
  mt_bring_tile<Math>(a + at, from_a + (int64_t)first * Math::WIDTH, count);
  if (both) mt_bring_tile<Math>(b + at, from_b + (int64_t)first * Math::WIDTH, count);
  mt_copies_end();
}

template <class T> static __device__ __forceinline__ T mt_log2e() { return (T)1.4426950408889634; }
static __device__ __forceinline__ void mt_store(float *to, float x) { *to = x; }
static __device__ __forceinline__ void mt_store(double *to, double x) { *to = x; }
static __device__ __forceinline__ void mt_store(MtBf16 *to, float x) { *to = mt_to_bf16(x); }

/* Sums of 16 rows of which `row` is this lane's first, times a number for each of its two. */
template <class Math> static __device__ __forceinline__ void mt_store_rows(typename Math::Stored *to, const typename Math::Real (&sum)[Math::DEPTH / 8][4], int row, int rows,
                                                     typename Math::Real low, typename Math::Real high) {
#pragma unroll
  for (int n = 0; n < Math::DEPTH / 8; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int r = row + i / 2 * 8, e = 8 * n + mt_lane() % 4 * 2 + i % 2;
      if (r < rows && e < Math::WIDTH) mt_store(to + (int64_t)r * Math::WIDTH + e, sum[n][i] * (i / 2 ? high : low));
    }
}

/* ---- forward: o, or without values lse ------------------------------------------------------- */

template <class Real> struct MtSoftmax {
  Real highest[2], total[2]; /* of this lane's two rows; total: of its own columns */
};

/* Scores of a tile become weights; sums so far shrink to the new highest score. */
template <class Math> static __device__ __forceinline__ void mt_weigh(MtSoftmax<typename Math::Real> &s, typename Math::Real (&score)[Math::TILE / 8][4],
                                                typename Math::Real (&sum)[Math::DEPTH / 8][4], bool has_values) {
  typedef typename Math::Real Real;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    Real highest = s.highest[h];
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++) highest = mt_higher(highest, mt_higher(score[n][2 * h], score[n][2 * h + 1]));
    highest = mt_higher(highest, mt_shuffle(highest, 1));
    highest = mt_higher(highest, mt_shuffle(highest, 2));
    const Real base = highest == -INFINITY ? 0 : highest, shrink = mt_exp2(s.highest[h] - base);
    s.highest[h] = highest;
    s.total[h] *= shrink;
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
      for (int i = 2 * h; i < 2 * h + 2; i++) s.total[h] += score[n][i] = mt_exp2(score[n][i] - base);
    if (has_values)
#pragma unroll
      for (int n = 0; n < Math::DEPTH / 8; n++) sum[n][2 * h] *= shrink, sum[n][2 * h + 1] *= shrink;
  }
}

template <class Math, MtMask mask, bool has_values>
static __global__ void __launch_bounds__(32 * MT_ATTENTION_WARPS)
mt_attention_rows(typename Math::Stored *o, typename Math::Real *lse, const typename Math::Stored *q, const typename Math::Stored *k,
                  const typename Math::Stored *v, int rows, int columns, typename Math::Real unit) {
  typedef typename Math::Stored T;
  typedef typename Math::Real Real;
  SHARED(T, keys, 2 * Math::TILE * Math::STRIDE);
  SHARED(T, values, has_values ? 2 * Math::TILE * Math::STRIDE : 1);
  SHARED(Real, scratch, has_values && Math::SCRATCH ? MT_ATTENTION_WARPS * Math::SCRATCH : 1);
  const int warp = threadIdx.x / 32, block = (gridDim.y - 1 - blockIdx.y) * MT_ATTENTION_ROWS; /* those that see most first */
  const int first = block + warp * MT_WARP_ROWS, row = first + mt_lane() / 4;
  const int end = mask == MT_CAUSAL && block + MT_ATTENTION_ROWS < columns ? block + MT_ATTENTION_ROWS : columns;
  const int64_t head = blockIdx.x, at = head * rows, other = head * columns * Math::WIDTH;
  typename Math::Own own;
  MtSoftmax<Real> s = {{-INFINITY, -INFINITY}, {0, 0}};
  Real sum[Math::DEPTH / 8][4] = {};
  mt_begin_tiles<Math>(keys, has_values ? values : keys);
  mt_bring_tiles<Math, has_values>(keys, values, k + other, v + other, 0, columns, 0);
  Math::bring(own, q + at * Math::WIDTH, row, rows);
  for (int column = 0, buffer = 0; column < end; column += Math::TILE, buffer = 1 - buffer) {
    const int next = column + Math::TILE;
    if (next < end) {
      mt_bring_tiles<Math, has_values>(keys, values, k + other, v + other, next, columns, 1 - buffer);
      mt_copies_wait<true>();
    } else {
      mt_copies_wait<false>();
    }
    __syncthreads();
    const bool hides = next > columns || (mask == MT_CAUSAL && next > first + 1);
    Real score[Math::TILE / 8][4] = {};
    Math::add_scores(score, own, keys + buffer * Math::TILE * Math::STRIDE);
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int c = column + 8 * n + mt_lane() % 4 * 2 + i % 2;
        score[n][i] *= unit;
        if (hides && (c >= columns || (mask == MT_CAUSAL && c > row + i / 2 * 8))) score[n][i] = -INFINITY;
      }
    mt_weigh<Math>(s, score, sum, has_values);
    if (has_values) Math::add_weighted(sum, score, values + buffer * Math::TILE * Math::STRIDE, scratch + warp * Math::SCRATCH);
    __syncthreads();
  }
  for (int h = 0; h < 2; h++) {
    s.total[h] += mt_shuffle(s.total[h], 1);
    s.total[h] += mt_shuffle(s.total[h], 2);
    if (!has_values && mt_lane() % 4 == 0 && row + 8 * h < rows)
      lse[at + row + 8 * h] = (s.highest[h] + mt_log2(s.total[h])) / mt_log2e<Real>();
  }
  if (has_values) mt_store_rows<Math>(o + at * Math::WIDTH, sum, row, rows, 1 / s.total[0], 1 / s.total[1]);
}

/* ---- backward, by rows: dq -------------------------------------------------------------------- */

template <class Math, MtMask mask>
static __global__ void __launch_bounds__(32 * MT_ATTENTION_WARPS)
mt_attention_by_rows(typename Math::Stored *dq, const typename Math::Stored *q, const typename Math::Stored *k,
                     const typename Math::Stored *v, const typename Math::Real *lse, const typename Math::Stored *g,
                     const typename Math::Real *along, int rows, int columns, typename Math::Real scale) {
  typedef typename Math::Stored T;
  typedef typename Math::Real Real;
  SHARED(T, keys, 2 * Math::TILE * Math::STRIDE);
  SHARED(T, values, 2 * Math::TILE * Math::STRIDE);
  SHARED(Real, scratch, Math::SCRATCH ? MT_ATTENTION_WARPS * Math::SCRATCH : 1);
  const int warp = threadIdx.x / 32, block = (gridDim.y - 1 - blockIdx.y) * MT_ATTENTION_ROWS;
  const int first = block + warp * MT_WARP_ROWS, row = first + mt_lane() / 4;
  const int end = mask == MT_CAUSAL && block + MT_ATTENTION_ROWS < columns ? block + MT_ATTENTION_ROWS : columns;
  const int64_t head = blockIdx.x, at = head * rows, other = head * columns * Math::WIDTH;
  const Real unit = scale * mt_log2e<Real>();
  typename Math::Own own_q, own_g;
  Real sum[Math::DEPTH / 8][4] = {}, row_lse[2], row_along[2];
  mt_begin_tiles<Math>(keys, values);
  mt_bring_tiles<Math, true>(keys, values, k + other, v + other, 0, columns, 0);
  Math::bring(own_q, q + at * Math::WIDTH, row, rows);
  Math::bring(own_g, g + at * Math::WIDTH, row, rows);
  for (int h = 0; h < 2; h++) {
    const bool there = row + 8 * h < rows;
    row_lse[h] = there ? lse[at + row + 8 * h] * mt_log2e<Real>() : 0;
    row_along[h] = there ? along[at + row + 8 * h] : 0;
  }
  for (int column = 0, buffer = 0; column < end; column += Math::TILE, buffer = 1 - buffer) {
    const int next = column + Math::TILE;
    if (next < end) {
      mt_bring_tiles<Math, true>(keys, values, k + other, v + other, next, columns, 1 - buffer);
      mt_copies_wait<true>();
    } else {
      mt_copies_wait<false>();
    }
    __syncthreads();
    const bool hides = next > columns || (mask == MT_CAUSAL && next > first + 1);
    const T *key = keys + buffer * Math::TILE * Math::STRIDE, *value = values + buffer * Math::TILE * Math::STRIDE;
    Real score[Math::TILE / 8][4] = {}, adjoint[Math::TILE / 8][4] = {};
    Math::add_scores(score, own_q, key);
    Math::add_scores(adjoint, own_g, value);
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int c = column + 8 * n + mt_lane() % 4 * 2 + i % 2;
        const bool hidden = hides && (c >= columns || (mask == MT_CAUSAL && c > row + i / 2 * 8));
        adjoint[n][i] = hidden ? 0 : mt_exp2(score[n][i] * unit - row_lse[i / 2]) * (adjoint[n][i] - row_along[i / 2]);
      }
    Math::add_weighted(sum, adjoint, key, scratch + warp * Math::SCRATCH);
    __syncthreads();
  }
  mt_store_rows<Math>(dq + at * Math::WIDTH, sum, row, rows, scale, scale);
}

/* ---- backward, by columns: dk and dv ------------------------------------------------------------ */

/* Scores and adjoints stand turned here: a warp's rows are columns of the head. */
template <class Math, MtMask mask>
static __global__ void __launch_bounds__(32 * MT_ATTENTION_WARPS)
mt_attention_by_columns(typename Math::Stored *dk, typename Math::Stored *dv, const typename Math::Stored *q,
                        const typename Math::Stored *k, const typename Math::Stored *v, const typename Math::Real *lse,
                        const typename Math::Stored *g, const typename Math::Real *along, int rows, int columns,
                        typename Math::Real scale) {
  typedef typename Math::Stored T;
  typedef typename Math::Real Real;
  SHARED(T, queries, 2 * Math::TILE * Math::STRIDE);
  SHARED(T, adjoints, 2 * Math::TILE * Math::STRIDE);
  SHARED(Real, scratch, Math::SCRATCH ? MT_ATTENTION_WARPS * Math::SCRATCH : 1);
  const int warp = threadIdx.x / 32, block = blockIdx.y * MT_ATTENTION_ROWS;
  const int first = block + warp * MT_WARP_ROWS, own = first + mt_lane() / 4;
  const int begin = mask == MT_CAUSAL ? block : 0; /* rows before it see none of these columns */
  const int64_t head = blockIdx.x, at = head * columns * Math::WIDTH, other = head * rows * Math::WIDTH;
  const Real unit = scale * mt_log2e<Real>();
  typename Math::Own own_k, own_v;
  Real sum_k[Math::DEPTH / 8][4] = {}, sum_v[Math::DEPTH / 8][4] = {};
  mt_begin_tiles<Math>(queries, adjoints);
  if (begin < rows) mt_bring_tiles<Math, true>(queries, adjoints, q + other, g + other, begin, rows, 0);
  Math::bring(own_k, k + at, own, columns);
  Math::bring(own_v, v + at, own, columns);
  for (int row = begin, buffer = 0; row < rows; row += Math::TILE, buffer = 1 - buffer) {
    const int next = row + Math::TILE;
    if (next < rows) {
      mt_bring_tiles<Math, true>(queries, adjoints, q + other, g + other, next, rows, 1 - buffer);
      mt_copies_wait<true>();
    } else {
      mt_copies_wait<false>();
    }
    __syncthreads();
    const bool hides = next > rows || (mask == MT_CAUSAL && row < first + MT_WARP_ROWS - 1);
    const T *query = queries + buffer * Math::TILE * Math::STRIDE, *adjoint_of = adjoints + buffer * Math::TILE * Math::STRIDE;
    Real score[Math::TILE / 8][4] = {}, adjoint[Math::TILE / 8][4] = {};
    Math::add_scores(score, own_k, query);
    Math::add_scores(adjoint, own_v, adjoint_of);
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
      for (int j = 0; j < 2; j++) {
        const int r = row + 8 * n + mt_lane() % 4 * 2 + j;
        const bool there = r < rows;
        const Real row_lse = there ? lse[head * rows + r] * mt_log2e<Real>() : 0, row_along = there ? along[head * rows + r] : 0;
#pragma unroll
        for (int i = j; i < 4; i += 2) {
          const bool hidden = hides && (!there || (mask == MT_CAUSAL && own + i / 2 * 8 > r));
          score[n][i] = hidden ? 0 : mt_exp2(score[n][i] * unit - row_lse);
          adjoint[n][i] = hidden ? 0 : score[n][i] * (adjoint[n][i] - row_along);
        }
      }
    Math::add_weighted(sum_v, score, adjoint_of, scratch + warp * Math::SCRATCH);
    Math::add_weighted(sum_k, adjoint, query, scratch + warp * Math::SCRATCH);
    __syncthreads();
  }
  mt_store_rows<Math>(dk + at, sum_k, own, columns, scale, scale);
  mt_store_rows<Math>(dv + at, sum_v, own, columns, 1, 1);
}

/* ---- what programs call ---------------------------------------------------------------------------- */

/* lse: the logarithm of each row's sum of exp(scores); g: the adjoint of o; along: the sum of g o over the
 * features.  lse and along are float where the rest is bf16. */

static inline dim3 mt_attention_grid(int64_t heads, int64_t places) {
  return dim3((unsigned)heads, mt_blocks(places, MT_ATTENTION_ROWS));
}

template <int E, MtMask mask, MtProducts products = MT_EXACT, class T>
static void mt_attention(MtRun *run, int64_t heads, int64_t rows, int64_t columns, double scale, const T *q, const T *k, const T *v, T *o) {
  typedef typename MtMathOf<T, E, products>::Type Math;
  typedef typename Math::Real Real;
  LAUNCH((mt_attention_rows<Math, mask, true>), mt_attention_grid(heads, rows), 32 * MT_ATTENTION_WARPS, 0, run)
  (o, nullptr, q, k, v, (int)rows, (int)columns, (Real)(scale * 1.4426950408889634));
}

template <int E, MtMask mask, MtProducts products = MT_EXACT, class T, class Real>
static void mt_attention_lse(MtRun *run, int64_t heads, int64_t rows, int64_t columns, double scale, const T *q, const T *k, Real *lse) {
  typedef typename MtMathOf<T, E, products>::Type Math;
  LAUNCH((mt_attention_rows<Math, mask, false>), mt_attention_grid(heads, rows), 32 * MT_ATTENTION_WARPS, 0, run)
  (nullptr, lse, q, k, k, (int)rows, (int)columns, (Real)(scale * 1.4426950408889634));
}

template <int E, MtMask mask, MtProducts products = MT_EXACT, class T, class Real>
static void mt_attention_dq(MtRun *run, int64_t heads, int64_t rows, int64_t columns, double scale, const T *q, const T *k, const T *v,
                            const Real *lse, const T *g, const Real *along, T *dq) {
  typedef typename MtMathOf<T, E, products>::Type Math;
  LAUNCH((mt_attention_by_rows<Math, mask>), mt_attention_grid(heads, rows), 32 * MT_ATTENTION_WARPS, 0, run)
  (dq, q, k, v, lse, g, along, (int)rows, (int)columns, (Real)scale);
}

template <int E, MtMask mask, MtProducts products = MT_EXACT, class T, class Real>
static void mt_attention_dkv(MtRun *run, int64_t heads, int64_t rows, int64_t columns, double scale, const T *q, const T *k, const T *v,
                             const Real *lse, const T *g, const Real *along, T *dk, T *dv) {
  typedef typename MtMathOf<T, E, products>::Type Math;
  LAUNCH((mt_attention_by_columns<Math, mask>), mt_attention_grid(heads, columns), 32 * MT_ATTENTION_WARPS, 0, run)
  (dk, dv, q, k, v, lse, g, along, (int)rows, (int)columns, (Real)scale);
}

#endif
