/* mtrt_math.h - the functions that generated expressions call, in C and in CUDA C++.
 *
 * C gets its math functions by argument type (tgmath.h), as CUDA C++ has them,
 * so that one text serves float and double.  Under gcc on x86-64 they are
 * declared a second time with what glibc's libmvec offers: vector versions,
 * within 4 ulp, so that a `#pragma omp simd` loop over expf or tanhf runs in
 * vectors without -ffast-math.
 */
#ifndef MTRT_MATH_H
#define MTRT_MATH_H

#include <math.h>
#include <stdint.h>

#define R123_USE_SSE 0 /* Philox has no use for the headers of intrinsics, most of what a program would have to read */
#include <Random123/philox.h>

#include "mtrt.h"

#ifdef __CUDACC__
#define MT_ANYWHERE static __host__ __device__ inline
#else
#define MT_ANYWHERE static inline
#endif

/* ---- vector versions of libm ------------------------------------------- */

#ifndef __cplusplus
#if defined __GNUC__ && !defined __clang__ && defined __x86_64__ && defined __GLIBC__
/* `const`: nobody reads errno after them, and vector code may only use such functions. */
#define MT_VECTOR(name) \
  double name(double) __attribute__((simd("notinbranch"), const)); \
  float name##f(float) __attribute__((simd("notinbranch"), const));
#define MT_CONST(name) \
  double name(double) __attribute__((const)); \
  float name##f(float) __attribute__((const));
MT_VECTOR(exp) MT_VECTOR(log) MT_VECTOR(sin) MT_VECTOR(cos)
double pow(double, double) __attribute__((simd("notinbranch"), const));
float powf(float, float) __attribute__((simd("notinbranch"), const));
#if __GLIBC_PREREQ(2, 35)
MT_VECTOR(expm1) MT_VECTOR(log1p) MT_VECTOR(tanh) MT_VECTOR(erf)
#endif
MT_CONST(sqrt)
#undef MT_VECTOR
#undef MT_CONST
#endif
#endif

/* ---- maxima in which NaN wins, division that floors --------------------- */

/* The remainder takes the divisor's sign, as in Python and PyTorch; the
 * quotient is (a - mod) / b, whole but for rounding. */
#define MT_DEFINE_REAL(type, name, fmod, floor) \
  MT_ANYWHERE type mt_maximum_##name(type a, type b) { return ((a > b) | (a != a)) ? a : b; } \
  MT_ANYWHERE type mt_minimum_##name(type a, type b) { return ((a < b) | (a != a)) ? a : b; } \
  MT_ANYWHERE type mt_mod_##name(type a, type b) { \
    type m = fmod(a, b); \
    return m != 0 && (b < 0) != (m < 0) ? m + b : m; \
  } \
  MT_ANYWHERE type mt_floordiv_##name(type a, type b) { \
    if (b == 0) return a / b; \
    type m = fmod(a, b), quotient = (a - m) / b - (m != 0 && (b < 0) != (m < 0)), whole = floor(quotient); \
    return quotient - whole > (type)0.5 ? whole + 1 : whole; \
  }
/* Integers divided by 0 or overflowing have no answer; they must not stop the process. */
#define MT_DEFINE_INTEGER(type, name) \
  MT_ANYWHERE type mt_maximum_##name(type a, type b) { return a > b ? a : b; } \
  MT_ANYWHERE type mt_minimum_##name(type a, type b) { return a < b ? a : b; } \
  MT_ANYWHERE type mt_mod_##name(type a, type b) { \
    type m = b == 0 || b == -1 ? 0 : a % b; \
    return m != 0 && (b < 0) != (m < 0) ? m + b : m; \
  } \
  MT_ANYWHERE type mt_floordiv_##name(type a, type b) { \
    return b == 0 ? 0 : b == -1 ? (type)(0 - (uint64_t)a) : (a - mt_mod_##name(a, b)) / b; \
  }
MT_DEFINE_REAL(float, f32, fmodf, floorf)
MT_DEFINE_REAL(double, f64, fmod, floor)
MT_DEFINE_INTEGER(int32_t, i32)
MT_DEFINE_INTEGER(int64_t, i64)

/* One name for all types: that of a + b decides. */
#ifdef __cplusplus
#define MT_DEFINE_GENERIC(f) \
  MT_ANYWHERE float f##_of(float a, float b) { return f##_f32(a, b); } \
  MT_ANYWHERE double f##_of(double a, double b) { return f##_f64(a, b); } \
  MT_ANYWHERE int32_t f##_of(int32_t a, int32_t b) { return f##_i32(a, b); } \
  MT_ANYWHERE int64_t f##_of(int64_t a, int64_t b) { return f##_i64(a, b); } \
  template <class A, class B> MT_ANYWHERE auto f(A a, B b)->decltype(a + b) { \
    return f##_of((decltype(a + b))a, (decltype(a + b))b); \
  }
MT_DEFINE_GENERIC(mt_maximum)
MT_DEFINE_GENERIC(mt_minimum)
MT_DEFINE_GENERIC(mt_mod)
MT_DEFINE_GENERIC(mt_floordiv)
#undef MT_DEFINE_GENERIC
#else
#define MT_GENERIC(f, a, b) \
  _Generic((a) + (b), float : f##_f32, double : f##_f64, int64_t : f##_i64, default : f##_i32)((a), (b))
#define mt_maximum(a, b) MT_GENERIC(mt_maximum, a, b)
#define mt_minimum(a, b) MT_GENERIC(mt_minimum, a, b)
#define mt_mod(a, b) MT_GENERIC(mt_mod, a, b)
#define mt_floordiv(a, b) MT_GENERIC(mt_floordiv, a, b)
#endif
#undef MT_DEFINE_REAL
#undef MT_DEFINE_INTEGER

/* ---- random draws --------------------------------------------------------
 *
 * Philox4x32-10 as a function of the place, never of the moment: the key is
 * the seed mixed with the site (a hash of the draw's path in the model), the
 * counter is the element of the whole batch, the step and the micro-batch.
 */
MT_ANYWHERE philox4x32_ctr_t mt_words(uint64_t seed, uint64_t site, uint64_t element, uint32_t step, uint32_t micro) {
  uint64_t mixed = seed ^ site;
  philox4x32_key_t key = {{(uint32_t)mixed, (uint32_t)(mixed >> 32)}};
  philox4x32_ctr_t counter = {{(uint32_t)element, (uint32_t)(element >> 32), step, micro}};
  return philox4x32(counter, key);
}

/* The site of a draw in that turn of a loop: its hash (FNV-1a) goes on over the turn's four bytes. */
MT_ANYWHERE uint64_t mt_turn(uint64_t site, uint32_t turn) {
  for (int i = 0; i < 4; i++, turn >>= 8) site = (site ^ (turn & 255)) * 1099511628211u;
  return site;
}

/* In [0, 1), steps of 2^-24: the same bits everywhere. */
MT_ANYWHERE float mt_word_uniform(uint32_t word) { return (float)(word >> 8) * (1.0f / 16777216); }

/* Box-Muller, in double so that targets agree; first + 2^-24 is in (0, 1]. */
MT_ANYWHERE double mt_words_normal(philox4x32_ctr_t words) {
  const double unit = 1.0 / 16777216, two_pi = 6.283185307179586476925;
  return sqrt(-2 * log((words.v[0] >> 8) * unit + unit)) * cos(two_pi * ((words.v[1] >> 8) * unit));
}

MT_ANYWHERE float mt_uniform(const MtScalars *scalars, uint64_t site, uint64_t element) {
  return mt_word_uniform(
      mt_words(scalars->seed, site, element, (uint32_t)scalars->step, (uint32_t)scalars->micro).v[0]);
}

MT_ANYWHERE float mt_normal(const MtScalars *scalars, uint64_t site, uint64_t element) {
  return (float)mt_words_normal(
      mt_words(scalars->seed, site, element, (uint32_t)scalars->step, (uint32_t)scalars->micro));
}

/* Last, for its macros: from here on exp(x) is expf for a float x. */
#ifndef __cplusplus
#include <tgmath.h>
#endif

#endif
