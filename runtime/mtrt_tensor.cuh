/* mtrt_tensor.cuh - tensor cores in generated CUDA programs, and what feeds them.
 *
 * Products of 16 by 8 numbers are laid out as mma.m16n8 has them: of sum[n][i],
 * lane l has row l / 4 + 8 (i / 2) and column 8 n + 2 (l % 4) + i % 2.  Four warps
 * together, with 16 rows each, have the same layout as wgmma.m64 has it.
 *
 * On a GPU without tensor cores, and under the emulator, shuffles do the same.
 * Those of Hopper (wgmma, which -arch=sm_90a has) read tiles right from shared
 * memory: of 64 numbers of bf16 a row, 128 bytes, where the eight chunks of 16
 * bytes of row r stand at c ^ (r % 8), so that neither they nor ldmatrix ever
 * meet in a bank.
 */
#ifndef MTRT_TENSOR_CUH
#define MTRT_TENSOR_CUH

#include "mtrt_bf16.h"
#include "mtrt_cuda.cuh"

#if defined __CUDA_ARCH__ && __CUDA_ARCH__ >= 800
#define MT_TENSOR_CORES
#endif
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define MT_WARPGROUPS
#endif

#ifndef SHARED_TILES
/* A part of the block's dynamic shared memory, from byte `at` on; where a tile begins is part of how its rows are mixed. */
extern __shared__ __align__(1024) unsigned char mt_tiles[];
#define SHARED_TILES(type, name, at, count) type *const name = (type *)(mt_tiles + (at))

/* What a launch is to ask for: more than 48 KiB has to be allowed first. */
#define MT_TILE_MEMORY(kernel, bytes) mt_tile_memory(kernel, bytes)
template <class Kernel> static int mt_tile_memory(Kernel kernel, int bytes) {
  if (bytes > 48 << 10) cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  return bytes;
}
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

/* Where number e of a row stands: rows of DEPTH numbers and 8 that nobody uses, or of 64, mixed as wgmma reads them. */
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

/* ---- Hopper: products of four warps, 64 by 64, with a tile of mixed rows ------------- */

#ifdef MT_WARPGROUPS
/* What was copied to shared memory is there for wgmma too; before a barrier. */
static __device__ __forceinline__ void mt_show_tiles() { asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory"); }

/* Pins operands to their registers here: what reads or writes them stays on its side of a wgmma. */
static __device__ __forceinline__ void mt_pin(float (&sum)[8][4]) {
#pragma unroll
  for (int i = 0; i < 32; i++) asm volatile("" : "+f"(sum[i / 4][i % 4])::"memory");
}
static __device__ __forceinline__ void mt_pin(uint32_t (&left)[4][4]) {
#pragma unroll
  for (int i = 0; i < 16; i++) asm volatile("" : "+r"(left[i / 4][i % 4])::"memory");
}

/* Between these two come products that run in the background... */
static __device__ __forceinline__ void mt_products_begin() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
static __device__ __forceinline__ void mt_products_end() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
/* ... until here: all, or all but the last `behind` groups. */
template <int behind> static __device__ __forceinline__ void mt_products_wait(float (&sum)[8][4]) {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(behind) : "memory");
  mt_pin(sum);
}

/* Eight rows of a tile are 1,024 bytes; 1 << 62: mixed as MtMixedRows says. */
static __device__ __forceinline__ uint64_t mt_describe(const MtBf16 *from) {
  const uint64_t at = (uint64_t)__cvta_generic_to_shared(from);
  return (at >> 4 & 0x3fff) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

#define MT_WGMMA_SUM                                                                       \
  "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "                                  \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
#define MT_FOUR(d, n, how) how(d[n][0]), how(d[n][1]), how(d[n][2]), how(d[n][3])
#define MT_SUM(d, how)                                                                                        \
  MT_FOUR(d, 0, how), MT_FOUR(d, 1, how), MT_FOUR(d, 2, how), MT_FOUR(d, 3, how), MT_FOUR(d, 4, how),         \
  MT_FOUR(d, 5, how), MT_FOUR(d, 6, how), MT_FOUR(d, 7, how)

/* sum = own tile', rows of both along 64 features.  The left operand stays in shared memory too: of registers that
 * are loaded before a loop and only read inside it, ptxas 13.0 made other use before the products had read them. */
static __device__ __forceinline__ void mt_wgmma_rows(float (&sum)[8][4], const MtBf16 *own, const MtBf16 *tile) {
  mt_products_begin();
  asm volatile(MT_WGMMA_SUM "%32, %33, 0, 1, 1, 0, 0;\n" : MT_SUM(sum, "=f") : "l"(mt_describe(own)), "l"(mt_describe(tile)));
#pragma unroll
  for (int e = 16; e < 64; e += 16)
    asm volatile(MT_WGMMA_SUM "%32, %33, 1, 1, 1, 0, 0;\n" : MT_SUM(sum, "+f") : "l"(mt_describe(own + e)), "l"(mt_describe(tile + e)));
  mt_products_end();
}
/* sum += left tile; left: 16 rows a warp by 64, as for mt_mma_bf16. */
static __device__ __forceinline__ void mt_wgmma_columns(float (&sum)[8][4], uint32_t (&left)[4][4], const MtBf16 *tile) {
  mt_pin(sum), mt_pin(left);
  mt_products_begin();
#pragma unroll
  for (int k = 0; k < 4; k++)
    asm volatile(MT_WGMMA_SUM "{%32, %33, %34, %35}, %36, 1, 1, 1, 1;\n"
                 : MT_SUM(sum, "+f")
                 : "r"(left[k][0]), "r"(left[k][1]), "r"(left[k][2]), "r"(left[k][3]),
                   "l"(mt_describe(tile + 16 * k * MtMixedRows::STRIDE)));
  mt_products_end();
}
#else
static __device__ __forceinline__ void mt_show_tiles() {}
#endif

#endif
