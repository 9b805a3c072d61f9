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
 * Scores and sums are laid out as mtrt_tensor.cuh says.  Products are made on
 * tensor cores from bf16 or from floats rounded to tf32, or by ordinary
 * multiply-adds of float or double.
 */
#ifndef MTRT_ATTENTION_CUH
#define MTRT_ATTENTION_CUH

#include "mtrt_tensor.cuh"

enum MtMask { MT_FULL, MT_CAUSAL };
enum MtProducts { MT_EXACT, MT_TF32 }; /* of floats */
enum { MT_LINES = 4, MT_WARP_ROWS = 16, MT_ATTENTION_WARPS = 4, MT_ATTENTION_ROWS = MT_WARP_ROWS * MT_ATTENTION_WARPS };

static __device__ __forceinline__ float mt_exp2(float x) { return exp2f(x); }
static __device__ __forceinline__ double mt_exp2(double x) { return exp2(x); }
/* To within 2 units in the last place, less than 2^-126 as 0: for what is rounded to bf16. */
static __device__ __forceinline__ float mt_exp2_near(float x) {
#ifdef MT_TENSOR_CORES
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
  return y;
#else
  return exp2f(x);
#endif
}
static __device__ __forceinline__ float mt_log2(float x) { return log2f(x); }
static __device__ __forceinline__ double mt_log2(double x) { return log2(x); }
static __device__ __forceinline__ float mt_higher(float a, float b) { return fmaxf(a, b); } /* NaN loses */
static __device__ __forceinline__ double mt_higher(double a, double b) { return fmax(a, b); }

/* ---- how products are made: WIDTH features, with zeros up to DEPTH, in tiles of TILE places ----
 *
 * GROUPED: four warps together, whose own places stand in tiles of OWN numbers; BY_ROWS, BY_COLUMNS: as many blocks
 * of the backward kernels are to share a processor, which bounds their registers (0: no bound). */

/* The first of the two rows that this lane has of a block's; the other is 8 further. */
static __device__ __forceinline__ int mt_own_row(int block) { return block + threadIdx.x / 32 * MT_WARP_ROWS + mt_lane() / 4; }

template <class Real, int N> static __device__ __forceinline__ void mt_clear(Real (&sum)[N][4]) {
#pragma unroll
  for (int i = 0; i < 4 * N; i++) sum[i / 4][i % 4] = 0;
}

/* By multiply-adds.  A warp's own places are read from global memory, which its cache has. */
template <class T, int E> struct MtExactMath {
  typedef T Stored;
  typedef T Real;
  enum { WIDTH = E, DEPTH = (E + 15) / 16 * 16, TILE = (DEPTH <= 64 ? 128 : 64) / sizeof(T), STRIDE = DEPTH + 16 / sizeof(T) };
  enum { LINE = TILE + 16 / sizeof(T), SCRATCH = MT_WARP_ROWS * LINE };
  enum { GROUPED = 0, OWN = 0, BY_ROWS = 0, BY_COLUMNS = 0 };
  static __device__ __forceinline__ int place(int row, int e) { return row * STRIDE + e; }
  static __device__ __forceinline__ Real power(Real x) { return mt_exp2(x); }
  template <int behind, int N> static __device__ __forceinline__ void wait(Real (&)[N][4]) {} /* sums are complete at once */
  struct Own {
    const T *row[2];
  };
  static __device__ __forceinline__ void bring(Own &own, const T *from, int row, int rows) {
    for (int h = 0; h < 2; h++) own.row[h] = from + (int64_t)(row + 8 * h < rows ? row + 8 * h : rows - 1) * E;
  }
  /* sum = own tile' */
  static __device__ __forceinline__ void scores(Real (&sum)[TILE / 8][4], const Own &own, const T *tile) {
    const T *right = tile + mt_lane() % 4 * 2 * STRIDE;
    mt_clear(sum);
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
  enum { GROUPED = 0, OWN = 0, BY_ROWS = 0, BY_COLUMNS = 0 };
  static __device__ __forceinline__ int place(int row, int e) { return row * STRIDE + e; }
  static __device__ __forceinline__ float power(float x) { return mt_exp2(x); }
  template <int behind, int N> static __device__ __forceinline__ void wait(float (&)[N][4]) {} /* sums are complete at once */
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
  static __device__ __forceinline__ void scores(float (&sum)[TILE / 8][4], const Own &own, const float *tile) {
    const float *right = tile + mt_lane() / 4 * STRIDE + mt_lane() % 4;
    mt_clear(sum);
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

template <class A, class B, bool first> struct MtOneOf {
  typedef A Type;
};
template <class A, class B> struct MtOneOf<A, B, false> {
  typedef B Type;
};

/* Two bf16 as a word, zeros for what is not there; aligned: both are, or none. */
static __device__ __forceinline__ uint32_t mt_load_pair(const MtBf16 *at, bool aligned, bool first, bool second) {
  const MtBf16 none = mt_to_bf16(0.0f);
  if (aligned) return first ? *(const uint32_t *)__builtin_assume_aligned(at, 4) : 0;
  const MtBf16 both[2] = {first ? at[0] : none, second ? at[1] : none};
  uint32_t word;
  memcpy(&word, both, sizeof word);
  return word;
}

/* 64 features: tiles that wgmma reads, a block's own places in one too.  Others padded: so ldmatrix reads each bank once. */
template <int E> struct MtBf16Math {
  typedef MtBf16 Stored;
  typedef float Real;
  enum { WIDTH = E, DEPTH = (E + 15) / 16 * 16, TILE = DEPTH <= 64 ? 64 : 32, SCRATCH = 0 };
#ifdef MT_WARPGROUPS
  enum { GROUPED = E == 64 };
#else
  enum { GROUPED = 0 };
#endif
  typedef typename MtOneOf<MtMixedRows, MtPaddedRows<DEPTH>, E == 64>::Type Rows;
  enum { STRIDE = Rows::STRIDE, OWN = E == 64 ? MT_ATTENTION_ROWS * STRIDE : 0 };
  enum { BY_ROWS = E == 64 ? 4 : 0, BY_COLUMNS = E == 64 ? 3 : 0 };
  static __device__ __forceinline__ int place(int row, int e) { return Rows::place(row, e); }
  struct Own { /* one or the other */
    uint32_t left[DEPTH / 16][4];
    const MtBf16 *tile;
  };
  static __device__ __forceinline__ void bring(Own &own, const MtBf16 *from, int row, int rows) {
#pragma unroll
    for (int k = 0; k < DEPTH / 16; k++)
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int r = row + i % 2 * 8, e = 16 * k + mt_lane() % 4 * 2 + i / 2 * 8;
        own.left[k][i] = mt_load_pair(from + (int64_t)r * E + e, E % 2 == 0, r < rows && e < E, r < rows && e + 1 < E);
      }
  }
  static __device__ __forceinline__ void scores(float (&sum)[TILE / 8][4], const Own &own, const MtBf16 *tile) {
    if constexpr (GROUPED) {
#ifdef MT_WARPGROUPS
      mt_wgmma_rows(sum, own.tile, tile);
#endif
    } else {
      mt_clear(sum);
#pragma unroll
      for (int k = 0; k < DEPTH / 16; k++)
#pragma unroll
        for (int n = 0; n < TILE / 16; n++) {
          uint32_t right[4];
          mt_read_rows<Rows>(right, tile, 16 * n, 16 * k);
          mt_mma_bf16(sum[2 * n], own.left[k], right[0], right[1]);
          mt_mma_bf16(sum[2 * n + 1], own.left[k], right[2], right[3]);
        }
    }
  }
  /* Sums of two products side by side lie as the left operand of the next does. */
  static __device__ __forceinline__ void add_weighted(float (&sum)[DEPTH / 8][4], const float (&weight)[TILE / 8][4], const MtBf16 *tile,
                                                      float *) {
    uint32_t left[TILE / 16][4];
#pragma unroll
    for (int k = 0; k < TILE / 16; k++)
#pragma unroll
      for (int i = 0; i < 4; i++) left[k][i] = mt_pack(weight[2 * k + i / 2][i % 2 * 2], weight[2 * k + i / 2][i % 2 * 2 + 1]);
    if constexpr (GROUPED) {
#ifdef MT_WARPGROUPS
      mt_wgmma_columns(sum, left, tile);
#endif
    } else {
#pragma unroll
      for (int k = 0; k < TILE / 16; k++)
#pragma unroll
        for (int n = 0; n < DEPTH / 16; n++) {
          uint32_t right[4];
          mt_read_columns<Rows>(right, tile, 16 * k, 16 * n);
          mt_mma_bf16(sum[2 * n], left[k], right[0], right[1]);
          mt_mma_bf16(sum[2 * n + 1], left[k], right[2], right[3]);
        }
    }
  }
  /* Sums are complete, while the last `behind` products may still be on their way. */
  template <int behind, int N> static __device__ __forceinline__ void wait(float (&sum)[N][4]) {
#ifdef MT_WARPGROUPS
    if constexpr (GROUPED) mt_products_wait<behind>(sum);
#endif
  }
  static __device__ __forceinline__ float power(float x) { return mt_exp2_near(x); }
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

/* ---- tiles: of a block's own places, and two of each of two tensors ------------------------ */

/* Bytes of shared memory of so many tensors' own places, and of pairs of tiles. */
template <class Math> static __host__ __device__ constexpr int mt_bytes_of(int own, int tensors) {
  return (own * Math::OWN + tensors * 2 * Math::TILE * Math::STRIDE) * (int)sizeof(typename Math::Stored);
}

/* `count` places from `from` on, then zeros. */
template <class Math>
static __device__ __forceinline__ void mt_bring_tile(typename Math::Stored *tile, const typename Math::Stored *from, int count) {
  typedef typename Math::Stored T;
  enum { EACH = 16 / sizeof(T), PARTS = Math::WIDTH / EACH, E = Math::WIDTH, THREADS = 32 * MT_ATTENTION_WARPS };
  if (E % EACH == 0) {
#pragma unroll
    for (int j = 0; j < (Math::TILE * PARTS + THREADS - 1) / THREADS; j++) {
      const int i = j * THREADS + threadIdx.x, row = i / PARTS, e = i % PARTS * EACH;
      if (Math::TILE * PARTS % THREADS == 0 || row < Math::TILE) mt_copy16(tile + Math::place(row, e), from + row * E + e, row < count);
    }
  } else {
    for (int i = threadIdx.x; i < Math::TILE * E; i += THREADS) {
      T zero;
      memset(&zero, 0, sizeof zero);
      tile[Math::place(i / E, i % E)] = i / E < count ? from[i] : zero;
    }
  }
}

/* Features up to DEPTH: zeros that no tile overwrites. */
template <class Math> static __device__ __forceinline__ void mt_pad_tiles(typename Math::Stored *tiles, int rows) {
  enum { MORE = Math::DEPTH > Math::WIDTH ? Math::DEPTH - Math::WIDTH : 1 }; /* called where there are any */
  for (int i = threadIdx.x; i < rows * MORE; i += 32 * MT_ATTENTION_WARPS)
    memset(&tiles[Math::place(i / MORE, Math::WIDTH + i % MORE)], 0, sizeof *tiles);
}
template <class Math> static __device__ __forceinline__ void mt_begin_tiles(typename Math::Stored *a, typename Math::Stored *b) {
  if (Math::DEPTH == Math::WIDTH) return;
  mt_pad_tiles<Math>(a, 2 * Math::TILE);
  mt_pad_tiles<Math>(b, 2 * Math::TILE);
}

/* A tile of the rows of two tensors, or of the first. */
template <class Math, bool both>
static __device__ __forceinline__ void mt_bring_tiles(typename Math::Stored *a, typename Math::Stored *b,
                                                      const typename Math::Stored *from_a, const typename Math::Stored *from_b,
                                                      int first, int all, int buffer) {
  const int count = all - first < Math::TILE ? all - first : Math::TILE, at = buffer * Math::TILE * Math::STRIDE;
  mt_bring_tile<Math>(a + at, from_a + (int64_t)first * Math::WIDTH, count);
  if (both) mt_bring_tile<Math>(b + at, from_b + (int64_t)first * Math::WIDTH, count);
  mt_copies_end();
}

/* A block's own places, before the first tiles: where wgmma reads them, or each lane's. */
template <class Math>
static __device__ __forceinline__ void mt_bring_own(typename Math::Own &own, typename Math::Stored *tile,
                                                    const typename Math::Stored *from, int block, int all) {
  if constexpr (Math::GROUPED) {
    mt_bring_tile<Math>(tile, from + (int64_t)block * Math::WIDTH, all - block);
    own.tile = tile;
  } else {
    Math::bring(own, from, mt_own_row(block), all);
  }
}

template <class T> static __device__ __forceinline__ T mt_log2e() { return (T)1.4426950408889634; }
template <class T, class Real> static __device__ __forceinline__ T mt_stored(Real x) { return (T)x; }
template <> __device__ __forceinline__ MtBf16 mt_stored<MtBf16, float>(float x) { return mt_to_bf16(x); }
template <class T> struct alignas(2 * sizeof(T)) MtPair {
  T x, y;
};

/* Sums of 16 rows of which `row` is this lane's first, times a number for each of its two. */
template <class Math>
static __device__ __forceinline__ void mt_store_rows(typename Math::Stored *to, const typename Math::Real (&sum)[Math::DEPTH / 8][4],
                                                     int row, int rows, typename Math::Real low, typename Math::Real high) {
  typedef typename Math::Stored T;
#pragma unroll
  for (int n = 0; n < Math::DEPTH / 8; n++)
#pragma unroll
    for (int h = 0; h < 2; h++) {
      const int r = row + 8 * h, e = 8 * n + mt_lane() % 4 * 2;
      if (r >= rows) continue;
      T *at = to + (int64_t)r * Math::WIDTH + e;
      const MtPair<T> pair = {mt_stored<T>(sum[n][2 * h] * (h ? high : low)), mt_stored<T>(sum[n][2 * h + 1] * (h ? high : low))};
      if (Math::WIDTH % 2 == 0 && e < Math::WIDTH) *(MtPair<T> *)at = pair;
      if (Math::WIDTH % 2 && e < Math::WIDTH) at[0] = pair.x;
      if (Math::WIDTH % 2 && e + 1 < Math::WIDTH) at[1] = pair.y;
    }
}

/* ---- forward: o and lse, or without values lse ------------------------------------------------------- */

template <class Real> struct MtSoftmax {
  Real highest[2], total[2]; /* of this lane's two rows; highest: before the scale; total: of its own columns */
};

/* Scores of a tile become weights; sums so far shrink to the new highest score. */
template <class Math>
static __device__ __forceinline__ void mt_weigh(MtSoftmax<typename Math::Real> &s, typename Math::Real (&score)[Math::TILE / 8][4],
                                                typename Math::Real (&sum)[Math::DEPTH / 8][4], typename Math::Real unit, bool has_values) {
  typedef typename Math::Real Real;
#pragma unroll
  for (int h = 0; h < 2; h++) {
    Real highest = s.highest[h];
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++) highest = mt_higher(highest, mt_higher(score[n][2 * h], score[n][2 * h + 1]));
    highest = mt_higher(highest, mt_shuffle(highest, 1));
    highest = mt_higher(highest, mt_shuffle(highest, 2));
    const Real base = highest == -INFINITY ? 0 : highest * unit, shrink = Math::power(s.highest[h] * unit - base);
    s.highest[h] = highest;
    s.total[h] *= shrink;
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
      for (int i = 2 * h; i < 2 * h + 2; i++) s.total[h] += score[n][i] = Math::power(score[n][i] * unit - base);
    if (has_values)
#pragma unroll
      for (int n = 0; n < Math::DEPTH / 8; n++) sum[n][2 * h] *= shrink, sum[n][2 * h + 1] *= shrink;
  }
}

template <class Math, MtMask mask, bool has_values>
static __global__ void __launch_bounds__(32 * MT_ATTENTION_WARPS)
mt_attention_rows(typename Math::Stored *o, typename Math::Real *lse, const typename Math::Stored *q, const typename Math::Stored *k,
                  const typename Math::Stored *v, int rows, int columns, typename Math::Real unit, typename Math::Real sign) {
  typedef typename Math::Stored T;
  typedef typename Math::Real Real;
  SHARED_TILES(T, own_tile, 0, Math::OWN);
  SHARED_TILES(T, keys, mt_bytes_of<Math>(1, 0), 2 * Math::TILE * Math::STRIDE);
  SHARED_TILES(T, values, mt_bytes_of<Math>(1, has_values), has_values ? 2 * Math::TILE * Math::STRIDE : 1);
  SHARED(Real, scratch, has_values && Math::SCRATCH ? MT_ATTENTION_WARPS * Math::SCRATCH : 1);
  const int warp = threadIdx.x / 32, block = (gridDim.y - 1 - blockIdx.y) * MT_ATTENTION_ROWS; /* those that see most first */
  const int first = block + warp * MT_WARP_ROWS, row = mt_own_row(block);
  const int end = mask == MT_CAUSAL && block + MT_ATTENTION_ROWS < columns ? block + MT_ATTENTION_ROWS : columns;
  const int64_t head = blockIdx.x, at = head * rows, other = head * columns * Math::WIDTH;
  typename Math::Own own;
  MtSoftmax<Real> s = {{-INFINITY, -INFINITY}, {0, 0}};
  Real sum[Math::DEPTH / 8][4] = {};
  mt_begin_tiles<Math>(keys, has_values ? values : keys);
  mt_bring_own<Math>(own, own_tile, q + at * Math::WIDTH, block, rows);
  mt_bring_tiles<Math, has_values>(keys, values, k + other, v + other, 0, columns, 0);
  for (int column = 0, buffer = 0; column < end; column += Math::TILE, buffer = 1 - buffer) {
    const int next = column + Math::TILE;
    if (next < end) {
      mt_bring_tiles<Math, has_values>(keys, values, k + other, v + other, next, columns, 1 - buffer);
      mt_copies_wait<true>();
    } else {
      mt_copies_wait<false>();
    }
    mt_show_tiles();
    __syncthreads();
    const bool hides = next > columns || (mask == MT_CAUSAL && next > first + 1);
    Real score[Math::TILE / 8][4];
    Math::scores(score, own, keys + buffer * Math::TILE * Math::STRIDE);
    Math::template wait<0>(score);
    if (sign < 0)
#pragma unroll
      for (int i = 0; i < Math::TILE / 2; i++) score[i / 4][i % 4] = -score[i / 4][i % 4];
    if (hides)
#pragma unroll
      for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int c = column + 8 * n + mt_lane() % 4 * 2 + i % 2;
          if (c >= columns || (mask == MT_CAUSAL && c > row + i / 2 * 8)) score[n][i] = -INFINITY;
        }
    mt_weigh<Math>(s, score, sum, unit, has_values);
    if (has_values) Math::add_weighted(sum, score, values + buffer * Math::TILE * Math::STRIDE, scratch + warp * Math::SCRATCH);
    if (has_values) Math::template wait<0>(sum);
    __syncthreads();
  }
  for (int h = 0; h < 2; h++) {
    s.total[h] += mt_shuffle(s.total[h], 1);
    s.total[h] += mt_shuffle(s.total[h], 2);
    if (lse && mt_lane() % 4 == 0 && row + 8 * h < rows)
      lse[at + row + 8 * h] = (s.highest[h] * unit + mt_log2(s.total[h])) / mt_log2e<Real>();
  }
  if (has_values) mt_store_rows<Math>(o + at * Math::WIDTH, sum, row, rows, 1 / s.total[0], 1 / s.total[1]);
}

/* ---- backward, by rows: dq -------------------------------------------------------------------- */

template <class Math, MtMask mask>
static __global__ void __launch_bounds__(32 * MT_ATTENTION_WARPS, Math::BY_ROWS)
mt_attention_by_rows(typename Math::Stored *dq, const typename Math::Stored *q, const typename Math::Stored *k,
                     const typename Math::Stored *v, const typename Math::Real *lse, const typename Math::Stored *g,
                     const typename Math::Real *along, int rows, int columns, typename Math::Real scale) {
  typedef typename Math::Stored T;
  typedef typename Math::Real Real;
  SHARED_TILES(T, own_tiles, 0, 2 * Math::OWN);
  SHARED_TILES(T, keys, mt_bytes_of<Math>(2, 0), 2 * Math::TILE * Math::STRIDE);
  SHARED_TILES(T, values, mt_bytes_of<Math>(2, 1), 2 * Math::TILE * Math::STRIDE);
  SHARED(Real, scratch, Math::SCRATCH ? MT_ATTENTION_WARPS * Math::SCRATCH : 1);
  const int warp = threadIdx.x / 32, block = (gridDim.y - 1 - blockIdx.y) * MT_ATTENTION_ROWS;
  const int first = block + warp * MT_WARP_ROWS, row = mt_own_row(block);
  const int end = mask == MT_CAUSAL && block + MT_ATTENTION_ROWS < columns ? block + MT_ATTENTION_ROWS : columns;
  const int64_t head = blockIdx.x, at = head * rows, other = head * columns * Math::WIDTH;
  const Real unit = scale * mt_log2e<Real>();
  typename Math::Own own_q, own_g;
  Real sum[Math::DEPTH / 8][4] = {}, row_lse[2], row_along[2];
  mt_begin_tiles<Math>(keys, values);
  mt_bring_own<Math>(own_q, own_tiles, q + at * Math::WIDTH, block, rows);
  mt_bring_own<Math>(own_g, own_tiles + Math::OWN, g + at * Math::WIDTH, block, rows);
  mt_bring_tiles<Math, true>(keys, values, k + other, v + other, 0, columns, 0);
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
    mt_show_tiles();
    __syncthreads();
    const bool hides = next > columns || (mask == MT_CAUSAL && next > first + 1);
    const T *key = keys + buffer * Math::TILE * Math::STRIDE, *value = values + buffer * Math::TILE * Math::STRIDE;
    Real score[Math::TILE / 8][4], adjoint[Math::TILE / 8][4];
    Math::scores(score, own_q, key);
    Math::scores(adjoint, own_g, value);
    Math::template wait<1>(score);
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) score[n][i] = Math::power(score[n][i] * unit - row_lse[i / 2]);
    if (hides)
#pragma unroll
      for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int c = column + 8 * n + mt_lane() % 4 * 2 + i % 2;
          if (c >= columns || (mask == MT_CAUSAL && c > row + i / 2 * 8)) score[n][i] = 0;
        }
    Math::template wait<0>(adjoint);
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
      for (int i = 0; i < 4; i++) adjoint[n][i] = score[n][i] * (adjoint[n][i] - row_along[i / 2]);
    Math::add_weighted(sum, adjoint, key, scratch + warp * Math::SCRATCH);
    Math::template wait<0>(sum);
    __syncthreads();
  }
  mt_store_rows<Math>(dq + at * Math::WIDTH, sum, row, rows, scale, scale);
}

/* ---- backward, by columns: dk and dv ------------------------------------------------------------ */

/* What the rows of a tile have: lse in powers of 2, then along; zeros where there is no row. */
template <class Math>
static __device__ __forceinline__ void mt_bring_lines(typename Math::Real *lines, const typename Math::Real *lse,
                                                      const typename Math::Real *along, int first, int all, int buffer) {
  enum { THREADS = 32 * MT_ATTENTION_WARPS };
#pragma unroll
  for (int j = 0; j < (2 * Math::TILE + THREADS - 1) / THREADS; j++) {
    const int i = j * THREADS + threadIdx.x, row = first + i % Math::TILE;
    const typename Math::Real x = row < all ? (i < Math::TILE ? lse[row] * mt_log2e<typename Math::Real>() : along[row]) : 0;
    if (2 * Math::TILE % THREADS == 0 || i < 2 * Math::TILE) lines[2 * buffer * Math::TILE + i] = x;
  }
}

/* Scores and adjoints stand turned here: a warp's rows are columns of the head. */
template <class Math, MtMask mask>
static __global__ void __launch_bounds__(32 * MT_ATTENTION_WARPS, Math::BY_COLUMNS)
mt_attention_by_columns(typename Math::Stored *dk, typename Math::Stored *dv, const typename Math::Stored *q,
                        const typename Math::Stored *k, const typename Math::Stored *v, const typename Math::Real *lse,
                        const typename Math::Stored *g, const typename Math::Real *along, int rows, int columns,
                        typename Math::Real scale) {
  typedef typename Math::Stored T;
  typedef typename Math::Real Real;
  SHARED_TILES(T, own_tiles, 0, 2 * Math::OWN);
  SHARED_TILES(T, queries, mt_bytes_of<Math>(2, 0), 2 * Math::TILE * Math::STRIDE);
  SHARED_TILES(T, adjoints, mt_bytes_of<Math>(2, 1), 2 * Math::TILE * Math::STRIDE);
  SHARED_TILES(Real, lines, mt_bytes_of<Math>(2, 2), MT_LINES * Math::TILE); /* of a tile's rows, twice as they are: lse, along */
  SHARED(Real, scratch, Math::SCRATCH ? MT_ATTENTION_WARPS * Math::SCRATCH : 1);
  const int warp = threadIdx.x / 32, block = blockIdx.y * MT_ATTENTION_ROWS;
  const int first = block + warp * MT_WARP_ROWS, own = mt_own_row(block);
  const int begin = mask == MT_CAUSAL ? block : 0; /* rows before it see none of these columns */
  const int64_t head = blockIdx.x, at = head * columns * Math::WIDTH, other = head * rows * Math::WIDTH;
  const Real unit = scale * mt_log2e<Real>();
  typename Math::Own own_k, own_v;
  Real sum_k[Math::DEPTH / 8][4] = {}, sum_v[Math::DEPTH / 8][4] = {};
  mt_begin_tiles<Math>(queries, adjoints);
  mt_bring_own<Math>(own_k, own_tiles, k + at, block, columns);
  mt_bring_own<Math>(own_v, own_tiles + Math::OWN, v + at, block, columns);
  if (begin < rows) {
    mt_bring_tiles<Math, true>(queries, adjoints, q + other, g + other, begin, rows, 0);
    mt_bring_lines<Math>(lines, lse + head * rows, along + head * rows, begin, rows, 0);
  }
  for (int row = begin, buffer = 0; row < rows; row += Math::TILE, buffer = 1 - buffer) {
    const int next = row + Math::TILE;
    if (next < rows) {
      mt_bring_tiles<Math, true>(queries, adjoints, q + other, g + other, next, rows, 1 - buffer);
      mt_bring_lines<Math>(lines, lse + head * rows, along + head * rows, next, rows, 1 - buffer);
      mt_copies_wait<true>();
    } else {
      mt_copies_wait<false>();
    }
    mt_show_tiles();
    __syncthreads();
    const bool hides = next > rows || (mask == MT_CAUSAL && row < first + MT_WARP_ROWS - 1);
    const T *query = queries + buffer * Math::TILE * Math::STRIDE, *adjoint_of = adjoints + buffer * Math::TILE * Math::STRIDE;
    const Real *line = lines + 2 * buffer * Math::TILE;
    Real score[Math::TILE / 8][4], adjoint[Math::TILE / 8][4];
    Math::scores(score, own_k, query);
    Math::scores(adjoint, own_v, adjoint_of);
    Math::template wait<1>(score);
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++) {
      const MtPair<Real> row_lse = *(const MtPair<Real> *)&line[8 * n + mt_lane() % 4 * 2];
#pragma unroll
      for (int i = 0; i < 4; i++) score[n][i] = Math::power(score[n][i] * unit - (i % 2 ? row_lse.y : row_lse.x));
    }
    if (hides)
#pragma unroll
      for (int n = 0; n < Math::TILE / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int r = row + 8 * n + mt_lane() % 4 * 2 + i % 2;
          if (r >= rows || (mask == MT_CAUSAL && own + i / 2 * 8 > r)) score[n][i] = 0;
        }
    Math::add_weighted(sum_v, score, adjoint_of, scratch + warp * Math::SCRATCH);
    Math::template wait<1>(adjoint);
#pragma unroll
    for (int n = 0; n < Math::TILE / 8; n++) {
      const MtPair<Real> row_along = *(const MtPair<Real> *)&line[Math::TILE + 8 * n + mt_lane() % 4 * 2];
#pragma unroll
      for (int i = 0; i < 4; i++) adjoint[n][i] = score[n][i] * (adjoint[n][i] - (i % 2 ? row_along.y : row_along.x));
    }
    Math::add_weighted(sum_k, adjoint, query, scratch + warp * Math::SCRATCH);
    Math::template wait<0>(sum_k);
    Math::template wait<0>(sum_v);
    __syncthreads();
  }
  mt_store_rows<Math>(dk + at, sum_k, own, columns, scale, scale);
  mt_store_rows<Math>(dv + at, sum_v, own, columns, 1, 1);
}

/* ---- what programs call ---------------------------------------------------------------------------- */

/* lse: the logarithm of each row's sum of exp(scores); g: the adjoint of o; along: the sum of g o over the
 * features.  lse and along are float where the rest is bf16. */

/* What scores are multiplied by, for powers of 2; a scale of 0 leaves what is hidden hidden. */
template <class Real> static Real mt_unit(double scale) {
  const double unit = (scale < 0 ? -scale : scale) * 1.4426950408889634;
  return (Real)(unit > 1e-30 ? unit : 1e-30);
}

/* A block for each 64 of a head's places; own, tensors, lines: what it has in shared memory. */
#define MT_LAUNCH_ATTENTION(kernel, heads, places, own, tensors, lines)                      \
  LAUNCH(kernel, mt_attention_grid(heads, places), 32 * MT_ATTENTION_WARPS,                  \
         MT_TILE_MEMORY(kernel, mt_bytes_of<Math>(own, tensors) + (lines) * Math::TILE * (int)sizeof(Real)), run)
static inline dim3 mt_attention_grid(int64_t heads, int64_t places) {
  return dim3((unsigned)heads, mt_blocks(places, MT_ATTENTION_ROWS));
}

template <int E, MtMask mask, MtProducts products = MT_EXACT, class T>
static void mt_attention(MtRun *run, int64_t heads, int64_t rows, int64_t columns, double scale, const T *q, const T *k, const T *v, T *o,
                         typename MtMathOf<T, E, products>::Type::Real *lse = nullptr) {
  typedef typename MtMathOf<T, E, products>::Type Math;
  typedef typename Math::Real Real;
  MT_LAUNCH_ATTENTION((mt_attention_rows<Math, mask, true>), heads, rows, 1, 2, 0)
  (o, lse, q, k, v, (int)rows, (int)columns, mt_unit<Real>(scale), (Real)(scale < 0 ? -1 : 1));
}

template <int E, MtMask mask, MtProducts products = MT_EXACT, class T, class Real>
static void mt_attention_lse(MtRun *run, int64_t heads, int64_t rows, int64_t columns, double scale, const T *q, const T *k, Real *lse) {
  typedef typename MtMathOf<T, E, products>::Type Math;
  MT_LAUNCH_ATTENTION((mt_attention_rows<Math, mask, false>), heads, rows, 1, 1, 0)
  (nullptr, lse, q, k, k, (int)rows, (int)columns, mt_unit<Real>(scale), (Real)(scale < 0 ? -1 : 1));
}

template <int E, MtMask mask, MtProducts products = MT_EXACT, class T, class Real>
static void mt_attention_dq(MtRun *run, int64_t heads, int64_t rows, int64_t columns, double scale, const T *q, const T *k, const T *v,
                            const Real *lse, const T *g, const Real *along, T *dq) {
  typedef typename MtMathOf<T, E, products>::Type Math;
  MT_LAUNCH_ATTENTION((mt_attention_by_rows<Math, mask>), heads, rows, 2, 2, 0)
  (dq, q, k, v, lse, g, along, (int)rows, (int)columns, (Real)scale);
}

template <int E, MtMask mask, MtProducts products = MT_EXACT, class T, class Real>
static void mt_attention_dkv(MtRun *run, int64_t heads, int64_t rows, int64_t columns, double scale, const T *q, const T *k, const T *v,
                             const Real *lse, const T *g, const Real *along, T *dk, T *dv) {
  typedef typename MtMathOf<T, E, products>::Type Math;
  MT_LAUNCH_ATTENTION((mt_attention_by_columns<Math, mask>), heads, columns, 2, 2, MT_LINES)
  (dk, dv, q, k, v, lse, g, along, (int)rows, (int)columns, (Real)scale);
}

#endif
