/* mtrt_cuda.cuh - what generated CUDA programs include.
 *
 * Launches and shared memory go through two macros, so that the same program
 * also compiles for a host that imitates a GPU (define them before including
 * this file).  Reductions over a warp, a block, or the rows of a block are
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

/* LAUNCH(kernel, grid, block, bytes of dynamic shared memory, run)(arguments); */
#define LAUNCH(kernel, grid, block, shared, run) \
  for (bool mt_next = mt_go(run); mt_next; mt_next = mt_launched(run, #kernel)) \
  kernel<<<grid, block, shared, (cudaStream_t)(run)->stream>>>

/* A kernel's failure to start becomes the step's error; always false. */
static inline bool mt_launched(MtRun *run, const char *kernel) {
  cudaError_t status = cudaGetLastError();
  if (status != cudaSuccess) mt_fail(run, "kernel %s: %s", kernel, cudaGetErrorString(status));
  return false;
}
#endif

#ifndef SHARED
/* Shared memory of a block: SHARED(float, sums, 32). */
#define SHARED(type, name, count) __shared__ type name[count]
#endif

/* A call that is no launch: STEP(mt_gemm(run, ...)); */
#define STEP(call) do { if (mt_go(run)) call; } while (0)

/* An array of the arena; offsets are in bytes for floats. */
#define AT(type, offset) (type *)((char *)run->arena + (int64_t)(offset) * (int64_t)(sizeof(real) / sizeof(float)))

/* Blocks of `size` threads for n elements. */
static inline unsigned mt_blocks(int64_t n, int64_t size) { return (unsigned)((n + size - 1) / size); }

/* ---- how two parts of a reduction become one ---------------------------------- */

struct MtSum {
  template <class T> __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
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

/* ---- over threadIdx.y of a block 32 wide ------------------------------------------- */

template <class Join, class T> static __device__ __forceinline__ T column_join(T value, Join join) {
  T *mine = (T *)mt_parts<sizeof(T), 32 * 32>() + threadIdx.x;
  __syncthreads();
  mine[32 * threadIdx.y] = value;
  for (int half = blockDim.y / 2; half > 0; half /= 2) {
    __syncthreads();
    if ((int)threadIdx.y < half) mine[32 * threadIdx.y] = join(mine[32 * threadIdx.y], mine[32 * (threadIdx.y + half)]);
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

#endif
