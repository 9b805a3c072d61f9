/* mtrt_bf16.h - bfloat16 in generated programs: 16 bits in memory, a real in registers.
 *
 * A bf16 is the upper half of a float: 8 exponent bits and 8 significant ones.
 * Kernels compute in `real`; from_bf16 reads what memory holds, to_bf16 makes
 * what it gets, rounded to nearest even (NaN stays NaN), and as_bf16 rounds a
 * value that stays in a register, so that an operation in bf16 gives the same
 * bits whether or not memory comes between it and the next.
 *
 * In the gradient check, where real is double, nothing is rounded and `bf16`
 * is double too: it checks the gradients of the model without its roundings.
 */
#ifndef MTRT_BF16_H
#define MTRT_BF16_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus

#ifdef __CUDACC__
#include <cuda_bf16.h>
#endif

typedef __nv_bfloat16 MtBf16;
static __device__ __forceinline__ float from_bf16(MtBf16 x) { return __bfloat162float(x); }
static __device__ __forceinline__ double from_bf16(double x) { return x; }
static __device__ __forceinline__ MtBf16 mt_to_bf16(float x) { return __float2bfloat16_rn(x); }
static __device__ __forceinline__ double mt_to_bf16(double x) { return x; }
static __device__ __forceinline__ float mt_as_bf16(float x) { return __bfloat162float(__float2bfloat16_rn(x)); }
static __device__ __forceinline__ double mt_as_bf16(double x) { return x; }
#define to_bf16(x) mt_to_bf16((real)(x))
#define as_bf16(x) mt_as_bf16((real)(x))

#else

typedef struct MtBf16 {
  uint16_t bits;
} MtBf16;

static inline float mt_bf16_value(MtBf16 x) {
  uint32_t bits = (uint32_t)x.bits << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* What is beyond the middle of the largest bf16 and 2^128 becomes infinite, as it does in float. */
static inline MtBf16 mt_bf16_round(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
  return (MtBf16){(uint16_t)(x != x ? quiet : rounded)};
}

static inline float mt_bf16_rounded(float x) { return mt_bf16_value(mt_bf16_round(x)); }
static inline double mt_bf16_same(double x) { return x; }

#define from_bf16(x) _Generic((x), MtBf16 : mt_bf16_value, double : mt_bf16_same)(x)
#define to_bf16(x) _Generic((real)0, float : mt_bf16_round, double : mt_bf16_same)((real)(x))
#define as_bf16(x) _Generic((real)0, float : mt_bf16_rounded, double : mt_bf16_same)((real)(x))

#endif
#endif
