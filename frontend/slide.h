/* slide.h - windows that slide over axes: what convolutions and pools share.  Private to frontend/. */
#ifndef MTC_FRONTEND_SLIDE_H
#define MTC_FRONTEND_SLIDE_H

#include "frontend/lower.h"

enum { MAX_SPATIAL = 3 };

/* One axis of `size` elements, over which windows of `kernel` elements slide. */
typedef struct Slide {
  int64_t size, kernel, stride, dilation;
  int64_t before;    /* zeros in front; behind there are as many as the last window needs */
  int64_t positions; /* windows */
} Slide;

/* ---- slide.c ---- */
/* The values of an option, one an axis: a whole number for all, or a list.  Absent: *out stays. */
bool slide_numbers(Lower *l, Call *call, const char *key, int n, int64_t least, int64_t *out);
bool slide_kernel(Lower *l, Call *call, int n, int64_t *out); /* the second argument */
bool slide_flag(Lower *l, Call *call, const char *key, bool *out);
/* Channels and n axes behind any others, floats, the batch in front if anywhere. */
bool slide_input(Lower *l, Call *call, int n, Node *x);
bool slide_fits(Lower *l, Call *call, const Slide *s, int64_t after); /* the first window lies inside the padded axis */
Dim slide_dim(Dim from, const Slide *s);             /* of the positions */
/* The axes [from, to) of t as one. */
Dim slide_joined(Lower *l, const Type *t, int from, int to);
/* [..., A, B] to [..., kernel A, kernel B, positions A, positions B], and the sum of windows laid back: its adjoint. */
Node *slide_windows(Builder *b, Node *x, int n, const Slide *slides);
Node *slide_fold(Builder *b, Node *windows, int places, int n, const Slide *slides); /* places: the first kernel axis */

#endif
