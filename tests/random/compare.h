/* compare.h - are two runs of numbers the same? */
#ifndef MTC_TESTS_RANDOM_COMPARE_H
#define MTC_TESTS_RANDOM_COMPARE_H

#include "ir/ir.h"

/* `got` is `want`: within `relative` of each value and of the largest of all, and `margin` times what `shaken` (NULL:
 * nothing) says that rounding does to it.  NaN and infinities stand where they stood, except where rounding alone makes
 * or unmakes them; `least` is allowed anywhere, for what cancels to 0; 0, NULL and 0 ask for the same bits.  NULL, or what differs, in the arena. */
const char *series_differ(Arena *arena, const char *name, int64_t n, const double *want, int64_t n_got,
                          const double *got, double relative, const double *shaken, double margin, double least);

#endif
