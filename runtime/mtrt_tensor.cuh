/* mtrt_tensor.cuh - tensor cores in generated CUDA programs, and what feeds them.
 *
 * Products of 16 by 8 numbers are laid out as mma.m16n8 has them: of sum[n][i],
 * lane l has row l / 4 + 8 (i / 2) and column 8 n + 2 (l % 4) + i % 2.
 *
 * On a GPU without tensor cores, and under the emulator, shuffles do the same.
 * In a tile of 64 numbers of bf16 a row, 128 bytes, the eight chunks of 16 bytes
 * of row r stand at c ^ (r % 8), so that ldmatrix never meets itself in a bank.
 */
#ifndef MTRT_TENSOR_CUH
#define MTRT_TENSOR_CUH

#include "mtrt_bf16.h"
#include "mtrt_cuda.cuh"

#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 800
#define MT_TENSOR_CORES
#endif

#ifndef SHARED_TILES
/* Shared memory of 16 bytes at a time. */
#define SHARED_TILES(type, name, count) __shared__ __align__(16) type name[count]
#endif

static __device__ __forceinline__ int mt_lane() { return threadIdx.x % 32; }

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

/* ---- tiles of bf16 in shared memory ------------------------------------------------ */

/* Where number e of a row stands: rows of DEPTH numbers and 8 that nobody uses, or of 64, mixed. */
template <int DEPTH> struct MtPaddedRows {
  enum { STRIDE = DEPTH + 8 };
  static __device__ __forceinline__ int place(int row, int e) { return row * STRIDE + e; }
};
struct MtMixedRows {
  enum { STRIDE = 64 };
  static __device__ __forceinline__ int place(int row, int e) { return row * STRIDE + ((e / 8) ^ (row % 8)) * 8 + e % 8; }
};

/* Right operands of two products side by side, 16 by 16 of a tile from (row, e) on: its rows are their columns. */
template <class Rows> static __device__ __forceinline__ void mt_read_rows(uint32_t (&b)[4], const MtBf16 *tile, int row, int e) {
#ifdef MT_TENSOR_CORES
  const int matrix = mt_lane() / 8, at = Rows::place(row + mt_lane() % 8 + matrix / 2 * 8, e + matrix % 2 * 8);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"((unsigned)__cvta_generic_to_shared(tile + at)));
#else
  for (int i = 0; i < 4; i++)
    memcpy(&b[i], tile + Rows::place(row + mt_lane() / 4 + i / 2 * 8, e + mt_lane() % 4 * 2 + i % 2 * 8), sizeof b[i]);
#endif
}
/* ... its rows are their rows. */
template <class Rows> static __device__ __forceinline__ void mt_read_columns(uint32_t (&b)[4], const MtBf16 *tile, int row, int e) {
#ifdef MT_TENSOR_CORES
  const int matrix = mt_lane() / 8, at = Rows::place(row + mt_lane() % 8 + matrix % 2 * 8, e + matrix / 2 * 8);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(b[0]), "=r"(b[1]), "=r"(b[2]), "=r"(b[3])
               : "r"((unsigned)__cvta_generic_to_shared(tile + at)));
#else
  for (int i = 0; i < 4; i++) {
    const int from = row + mt_lane() % 4 * 2 + i % 2 * 8, column = e + mt_lane() / 4 + i / 2 * 8;
    const MtBf16 both[2] = {tile[Rows::place(from, column)], tile[Rows::place(from + 1, column)]};
    memcpy(&b[i], both, sizeof b[i]);
  }
#endif
}

#endif
