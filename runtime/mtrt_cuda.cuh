/* mtrt_cuda.cuh - what generated CUDA programs include.
 *
 * Launches, shared memory and wide accesses go through macros, so that the same
 * program also compiles for a host that imitates a GPU (define them before
 * including this file).  Reductions over a warp, a block, or the rows of a block are
 * fixed trees: equal inputs give equal bits.
 */
#ifndef MTRT_CUDA_CUH
#define MTRT_CUDA_CUH

#ifndef LAUNCH
#include <cuda_runtime.h>
#endif

#include "mtrt.h"
#include "mtrt_math.h"

#ifndef LAUNCH

/* LAUNCH(kernel, grid, block, bytes of dynamic shared memory, run)(arguments);  The name stands in brackets: else a kernel of
 * f64 that takes no reals could as well be its namesake outside, which MtScalars leads to. */
#define LAUNCH(kernel, grid, block, shared, run) \
  for (bool mt_next = mt_may_launch(run, #kernel); mt_next; mt_next = mt_launched(run, #kernel)) \
  (kernel)<<<grid, block, shared, (cudaStream_t)(run)->stream>>>

static inline bool mt_may_launch(MtRun *run, const char *kernel) {
  const bool go = mt_go(run);
  if (go) mt_before(run, kernel);
  return go;
}

/* A kernel's failure to start becomes the step's error; always false. */
static inline bool mt_launched(MtRun *run, const char *kernel) {
  cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) mt_fail(run, "kernel %s: %s", kernel, cudaGetErrorString(status));
  mt_after(run);
  return false;
}
#endif

#ifndef SHARED
/* Shared memory of a block: SHARED(float, sums, 32). */
#define SHARED(type, name, count) __shared__ type name[count]
#endif

#ifndef MT_WIDE
/* An address of memory that is read or written so many bytes at a time: a multiple of them. */
#define MT_WIDE(address, bytes) (address)
#endif

/* An array of the arena; offsets are in bytes for floats. */
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (sizeof(real) == sizeof(float) ? 1 : 4))

/* Blocks of `size` threads for n elements. */
static inline unsigned mt_blocks(int64_t n, int64_t size) { return (unsigned)((n + size - 1) / size); }

/* ---- neighbours in memory, in registers ----------------------------------------- */

/* n elements that one wide access moves, or several of 16 bytes: auto x = mt_load<4>(a + i); mt_store(b + i, x); */
template <class T, int n> struct alignas(n * sizeof(T) < 16 ? n * sizeof(T) : 16) MtPack {
  T at[n];
  __device__ __forceinline__ T &operator[](int i) { return at[i]; }
  __device__ __forceinline__ const T &operator[](int i) const { return at[i]; }
};
template <int n, class T> static __device__ __forceinline__ MtPack<T, n> mt_load(const T *from) {
  typedef MtPack<T, n> Pack;
  return *(const Pack *)MT_WIDE(from, alignof(Pack));
}
template <int n, class T> static __device__ __forceinline__ void mt_store(T *to, const MtPack<T, n> &pack) {
  typedef MtPack<T, n> Pack;
  *(Pack *)MT_WIDE(to, alignof(Pack)) = pack;
}

/* ---- how two parts of a reduction become one ---------------------------------- */

struct MtSum {
  template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
  template <class T, int n> __device__ __forceinline__ MtPack<T, n> operator()(MtPack<T, n> a, MtPack<T, n> b) const {
#pragma unroll
    for (int i = 0; i < n; i++) a[i] += b[i];
    return a;
  }
};
struct MtMax {
  template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return mt_maximum(a, b); }
};
struct MtMin {
  template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return mt_minimum(a, b); }
};

/* A value and where it stands: the larger one, a NaN before numbers, the first of equals. */
template <class T, class Index> struct MtFound {
  T value;
  Index at;
};
template <bool largest> struct MtArg {
  template <class F> __device__ __forceinline__ F operator()(F a, F b) const {
    const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
    if (a_nan != b_nan) return a_nan ? a : b;
    if (a_nan || a.value == b.value) return a.at <= b.at ? a : b;
    return (a.value > b.value) == largest ? a : b;
  }
};

/* ---- over the 32 threads of a warp ---------------------------------------------- */

template <class T> static __device__ __forceinline__ T mt_shuffle(T value, int distance) {
  return __shfl_xor_sync(0xffffffffu, value, distance);
}
template <class T, class Index>
static __device__ __forceinline__ MtFound<T, Index> mt_shuffle(MtFound<T, Index> found, int distance) {
  found.value = __shfl_xor_sync(0xffffffffu, found.value, distance);
  found.at = __shfl_xor_sync(0xffffffffu, found.at, distance);
  return found;
}

template <class Join, class T> static __device__ __forceinline__ T warp_join(T value, Join join) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) value = join(value, mt_shuffle(value, distance));
  return value;
}

/* The same over the first `n` lanes, a power of two; every n lanes hold the same values. */
template <class Join, class T> static __device__ __forceinline__ T lanes_join(T value, Join join, int n) {
  for (int distance = n / 2; distance > 0; distance /= 2) value = join(value, mt_shuffle(value, distance));
  return value;
}

/* Shared memory for `count` parts of so many bytes: one array for all reductions that need no more. */
template <int bytes, int count> static __device__ __forceinline__ void *mt_parts() {
  SHARED(double2, parts, (bytes * count + 15) / 16);
  return parts;
}

/* ---- over a block of one dimension ------------------------------------------------ */

/* Of 2^k warps each joins its own; then every warp joins the parts, so that all threads have the result. */
template <class Join, class T> static __device__ __forceinline__ T block_join(T value, Join join) {
  T *part = (T *)mt_parts<sizeof(T), 32>();
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  value = warp_join(value, join);
  if (warps == 1) return value;
  __syncthreads(); /* whoever used `part` before is done with it */
  if (lane == 0) part[warp] = value;
  __syncthreads();
  return lanes_join(part[lane % warps], join, warps);
}

/* ---- over threadIdx.y of a block of at most 1024 ------------------------------------ */

template <class Join, class T> static __device__ __forceinline__ T column_join(T value, Join join) {
  const int width = blockDim.x, y = threadIdx.y;
  T *mine = (T *)mt_parts<sizeof(T), 32 * 32>() + threadIdx.x;
  __syncthreads();
  mine[width * y] = value;
  for (int half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();
    if (y < half) mine[width * y] = join(mine[width * y], mine[width * (y + half)]);
  }
  __syncthreads();
  return mine[0];
}

/* ---- what kernels call: warp_sum, block_max, column_argmin ... ------------------------ */

#define MT_REDUCTIONS(across)                                                                                       \
  template <class T> static __device__ __forceinline__ T across##_sum(T x) { return across##_join(x, MtSum()); }    \
  template <class T> static __device__ __forceinline__ T across##_max(T x) { return across##_join(x, MtMax()); }    \
  template <class T> static __device__ __forceinline__ T across##_min(T x) { return across##_join(x, MtMin()); }    \
  template <class T, class I> static __device__ __forceinline__ void across##_argmax(T &value, I &at) {             \
    const MtFound<T, I> found = across##_join(MtFound<T, I>{value, at}, MtArg<true>());                             \
    value = found.value, at = found.at;                                                                             \
  }                                                                                                                 \
  template <class T, class I> static __device__ __forceinline__ void across##_argmin(T &value, I &at) {             \
    const MtFound<T, I> found = across##_join(MtFound<T, I>{value, at}, MtArg<false>());                            \
    value = found.value, at = found.at;                                                                             \
  }
MT_REDUCTIONS(warp)
MT_REDUCTIONS(block)
MT_REDUCTIONS(column)
#undef MT_REDUCTIONS

/* ---- small matrix products ----------------------------------------------------------- */

enum { MT_TILE = 16, MT_PANEL = 64, MT_STRIDE = MT_PANEL + 4, MT_EACH = MT_TILE * MT_PANEL / (MT_TILE * MT_TILE) };

/* Elements of a panel of 16 lines by 64 that thread `at` of 256 brings: those of
 * an operand that has `lines` lines of `depth`, or depth of lines when `across`. */
template <bool across, class T>
static __device__ __forceinline__ void mt_bring(T *mine, const T *from, int at, int line, int lines, int p, int depth) {
#pragma unroll
  for (int e = 0; e < MT_EACH; e++, at += MT_TILE * MT_TILE) {
    const int l = line + (across ? at % MT_TILE : at / MT_PANEL), q = p + (across ? at / MT_TILE : at % MT_PANEL);
    mine[e] = l < lines && q < depth ? from[across ? (int64_t)q * lines + l : (int64_t)l * depth + q] : (T)0;
  }
}
template <bool across, class T> static __device__ __forceinline__ void mt_put(T *panel, const T *mine, int at) {
#pragma unroll
  for (int e = 0; e < MT_EACH; e++, at += MT_TILE * MT_TILE)
    panel[across ? at % MT_TILE * MT_STRIDE + at / MT_TILE : at / MT_PANEL * MT_STRIDE + at % MT_PANEL] = mine[e];
}

/* Element (blockIdx.y * 16 + threadIdx.y, blockIdx.x * 16 + threadIdx.x) of
 * C[m,n] = op(A) op(B), stored as for mt_gemm; all threads of a block of 16 by
 * 16 call it.  Panels of both operands go through shared memory, the next on
 * its way while one is worked on. */
template <MtTranspose t, class T>
static __device__ __forceinline__ T mt_product(const T *a, const T *b, int m, int n, int k) {
  const bool ta = t == MT_TN || t == MT_TT, tb = t == MT_NT || t == MT_TT;
  SHARED(T, rows, MT_TILE *MT_STRIDE);
  SHARED(T, columns, MT_TILE *MT_STRIDE);
  const int at = threadIdx.y * MT_TILE + threadIdx.x, row = blockIdx.y * MT_TILE, column = blockIdx.x * MT_TILE;
  T next_a[MT_EACH], next_b[MT_EACH], sum[4] = {0, 0, 0, 0};
  mt_bring<ta>(next_a, a, at, row, m, 0, k);
  mt_bring<!tb>(next_b, b, at, column, n, 0, k);
  for (int p = 0; p < k; p += MT_PANEL) {
    __syncthreads(); /* the panel before is done with */
    mt_put<ta>(rows, next_a, at);
    mt_put<!tb>(columns, next_b, at);
    __syncthreads();
    if (p + MT_PANEL < k) {
      mt_bring<ta>(next_a, a, at, row, m, p + MT_PANEL, k);
      mt_bring<!tb>(next_b, b, at, column, n, p + MT_PANEL, k);
    }
    const T *x = rows + threadIdx.y * MT_STRIDE, *y = columns + threadIdx.x * MT_STRIDE;
    const int end = k - p < MT_PANEL ? k - p : MT_PANEL; /* beyond it the panels are zero */
#pragma unroll 4
    for (int q = 0; q < end; q += 4)
#pragma unroll
      for (int i = 0; i < 4; i++) sum[i] += x[q + i] * y[q + i];
  }
  return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* ---- sums by index ---------------------------------------------------------------------- */

enum { MT_SCATTER_WARPS = 8, MT_SCATTER_IDS = 4096, MT_SCATTER_OWN = MT_SCATTER_IDS / MT_SCATTER_WARPS };

/* How many of these lanes come before this one. */
static __device__ __forceinline__ int mt_rank(unsigned lanes) { return __popc(lanes & ((1u << threadIdx.x % 32) - 1)); }

/* out[id] = sum of from[i] over all i with ids[i] == id, in order of i; rows of
 * `width`.  A warp has one id and, in each of its lanes, `each` columns.  The
 * eight warps of a block look through a tile of the ids together, each through
 * its part, and list where one of their eight stands; then each takes its own
 * from the list and adds those rows, several on their way at once.
 * Blocks: (rows of out / 8, width / 32 / each), of 256 threads. */
template <int each, class T>
static __device__ __forceinline__ void mt_scatter_add(T *__restrict__ out, const T *__restrict__ from,
                                                      const int *__restrict__ ids, int64_t n, int64_t out_rows, int64_t width) {
  enum { AT_ONCE = each < 8 ? 4 : 1 }; /* a wide row fills the memory's pipes by itself, and more would leave no registers */
  SHARED(int, counts, MT_SCATTER_WARPS);
  SHARED(short, place, MT_SCATTER_IDS);  /* the list: where in the tile, */
  SHARED(char, owner, MT_SCATTER_IDS);   /* and which warp's */
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int64_t base = (int64_t)blockIdx.x * MT_SCATTER_WARPS, id = base + warp, first = (int64_t)blockIdx.y * 32 * each + lane;
  T sum[each];
#pragma unroll
  for (int e = 0; e < each; e++) sum[e] = 0;
  for (int64_t begin = 0; begin < n; begin += MT_SCATTER_IDS) {
    int whose[MT_SCATTER_OWN / 32];
    unsigned lanes[MT_SCATTER_OWN / 32];
    int at = 0, listed = 0;
#pragma unroll
    for (int j = 0; j < MT_SCATTER_OWN / 32; j++) {
      const int64_t i = begin + warp * MT_SCATTER_OWN + j * 32 + lane;
      whose[j] = i < n ? (int)(ids[i] - base) : -1;
      lanes[j] = __ballot_sync(0xffffffffu, whose[j] >= 0 && whose[j] < MT_SCATTER_WARPS);
      at += __popc(lanes[j]);
    }
    if (lane == 0) counts[warp] = at;
    __syncthreads(); /* and the list before is done with */
    at = 0;
    for (int w = 0; w < MT_SCATTER_WARPS; w++) at += w < warp ? counts[w] : 0, listed += counts[w];
#pragma unroll
    for (int j = 0; j < MT_SCATTER_OWN / 32; j++) {
      if (lanes[j] >> lane & 1) {
        place[at + mt_rank(lanes[j])] = (short)(warp * MT_SCATTER_OWN + j * 32 + lane);
        owner[at + mt_rank(lanes[j])] = (char)whose[j];
      }
      at += __popc(lanes[j]);
    }
    __syncthreads();
    for (int i = 0; i < listed; i += 32) {
      unsigned own = __ballot_sync(0xffffffffu, i + lane < listed && owner[i + lane] == warp);
      const int here = i + lane < listed ? place[i + lane] : 0;
      while (own) {
        T row[AT_ONCE][each];
#pragma unroll
        for (int r = 0; r < AT_ONCE; r++, own &= own - 1) {
          const int at_row = __shfl_sync(0xffffffffu, here, own ? __ffs(own) - 1 : 0);
#pragma unroll
          for (int e = 0; e < each; e++) /* past the last: 0, which changes no sum that began with 0 */
            row[r][e] = own && first + 32 * e < width ? from[(begin + at_row) * width + first + 32 * e] : (T)0;
        }
#pragma unroll
        for (int r = 0; r < AT_ONCE; r++)
#pragma unroll
          for (int e = 0; e < each; e++) sum[e] += row[r][e];
      }
    }
  }
  if (id < out_rows)
#pragma unroll
    for (int e = 0; e < each; e++)
      if (first + 32 * e < width) out[id * width + first + 32 * e] = sum[e];
}

#endif
