/* join.h - values along an axis: what joining, cutting and padding share.  Private to frontend/. */
#ifndef MTC_FRONTEND_JOIN_H
#define MTC_FRONTEND_JOIN_H

#include "frontend/lower.h"

enum { MAX_PARTS = 64 };

typedef struct Parts {
  int n;
  Node *x[MAX_PARTS];
  const Expr *at[MAX_PARTS];
} Parts;

/* ---- join.c ---- */
extern const int64_t every[MAX_RANK]; /* the steps of a slice or pad that goes forward */
bool no_batch(Lower *l, const Builtin *self, const Type *type, int n, const int *axes, const Expr *at); /* reports */
/* The one axis of over:, which cannot be the batch; reports. */
bool fixed_axis(Lower *l, Call *call, const Builtin *self, const Type *type, int *axis);
/* The axes of over:, none of them the batch; without over: a report. */
bool fixed_axes(Lower *l, Call *call, const Builtin *self, const Type *type, int *axes, int *n);
Node *before(Builder *b, const Type *type, int axis, int64_t n); /* i < n along the axis, as a value that broadcasts to the type */
Node *cut(Builder *b, Node *x, int axis, int64_t start, Dim size); /* elements of the axis, one after the other */
/* Values of one dtype, equal but along the axis, which becomes `all`. */
Node *join_parts(Builder *b, const Parts *p, int axis, Dim all);

/* ---- gather.c ----
 * Generated code reads and adds rows at any index it is given, so that those outside of the table are kept from it. */
Node *index_inside(Lower *l, Builder *b, Node *ids, int64_t size); /* which are in [0, size); NULL: all, by their making or as the data are read */
/* table[ids], NaN (of integers 0) where the index is not inside; NULL after a report. */
Node *gathered(Lower *l, Builder *b, Node *table, Node *ids, Node *inside, const Expr *e);

#endif
