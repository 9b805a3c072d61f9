/* cpu_loops.h - the loops of cpu.c for one type; included with REAL, BITS (an
 * integer as wide), EXPONENT (its exponent's bits) and NAME(x) defined. */

MT_CLONES static void NAME(add_scaled)(REAL *restrict sum, const REAL *restrict x, int64_t count, REAL scale) {
  for (int64_t i = 0; i < count; i++) sum[i] += scale * x[i];
}

/* Infinities and NaNs are those whose exponent bits are all set. */
MT_CLONES static bool NAME(finite)(const REAL *x, int64_t count) {
  BITS bad = 0;
  for (int64_t i = 0; i < count; i++) {
    BITS bits;
    memcpy(&bits, &x[i], sizeof bits);
    bad |= (bits & EXPONENT) == EXPONENT;
  }
  return !bad;
}

#undef REAL
#undef BITS
#undef EXPONENT
#undef NAME
