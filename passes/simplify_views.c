/* simplify_views.c - rewrites of views, reductions and matrix products.
 *
 * Views are free where a kernel can fold them into its indices and cost a copy
 * where it cannot: chains of them become one, and transposes go into the flags
 * of the product that reads them.
 */
#include <string.h>

#include "passes/simplify.h"

static bool is_one(const Dim *d) { return d->size == 1 && !d->rows; }

static Attrs to_shape(const Type *shape) { return (Attrs){.shape = *shape}; }

/* ---- reshape ------------------------------------------------------------------- */

static Node *view_whole(Rewriter *r, const Node *n) {
  return rewrite_fits(n, n->in[0]) && rewrite_ask(r, n) ? n->in[0] : NULL;
}

static Node *reshape_reshape(Rewriter *r, const Node *n) {
  if (n->in[0]->op != OP_reshape || !rewrite_ask(r, n)) return NULL;
  return rewrite_to(r, n, OP_reshape, n->in[0]->in, 1, &n->attrs);
}

/* Of one number everywhere. */
static Node *reshape_number(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if (x->op != OP_broadcast || x->in[0]->type.rank > 0 || !rewrite_ask(r, n)) return NULL;
  Attrs attrs = to_shape(&n->type);
  return rewrite_to(r, n, OP_broadcast, x->in, 1, &attrs);
}

/* A reduction drops its axes or leaves 1: what a reshape wanted of it, it can do itself. */
static Node *reshape_reduce(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if (op_info[x->op].kind != REDUCE || !rewrite_single_use(x)) return NULL;
  Attrs attrs = x->attrs;
  attrs.keep = !attrs.keep;
  Node other = {.op = x->op, .n_in = 1, .in = x->in, .attrs = attrs};
  if (!infer_candidate(&other, x->in, &other.type) || !type_same_shape(&other.type, &n->type) || !rewrite_ask(r, n))
    return NULL;
  return rewrite_to(r, n, x->op, x->in, 1, &attrs);
}

/* ---- transpose ------------------------------------------------------------------ */

static Node *transpose_none(Rewriter *r, const Node *n) {
  for (int i = 0; i < n->attrs.n_axes; i++)
    if (n->attrs.axes[i] != i) return NULL;
  return rewrite_ask(r, n) ? n->in[0] : NULL;
}

static Node *transpose_transpose(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if (x->op != OP_transpose || !rewrite_ask(r, n)) return NULL;
  Attrs attrs = n->attrs;
  for (int i = 0; i < attrs.n_axes; i++) attrs.axes[i] = x->attrs.axes[n->attrs.axes[i]];
  return rewrite_to(r, n, OP_transpose, x->in, 1, &attrs);
}

/* Moving axes of 1 about leaves the elements in order. */
static Node *transpose_ones(Rewriter *r, const Node *n) {
  int last = -1;
  for (int i = 0; i < n->attrs.n_axes; i++) {
    int from = n->attrs.axes[i];
    if (is_one(&n->in[0]->type.dim[from])) continue;
    if (from < last) return NULL;
    last = from;
  }
  Attrs attrs = to_shape(&n->type);
  return rewrite_ask(r, n) ? rewrite_to(r, n, OP_reshape, n->in, 1, &attrs) : NULL;
}

static bool swaps_last(const Node *transpose) {
  int rank = transpose->attrs.n_axes;
  for (int i = 0; i < rank - 2; i++)
    if (transpose->attrs.axes[i] != i) return false;
  return rank >= 2 && transpose->attrs.axes[rank - 1] == rank - 2;
}

/* (A B)' = B' A' */
static Node *transpose_matmul(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if (x->op != OP_matmul || !swaps_last(n) || !rewrite_single_use(x)) return NULL;
  if (x->in[0]->type.rank != x->in[1]->type.rank || !rewrite_ask(r, n)) return NULL;
  Attrs attrs = {.ta = !x->attrs.tb, .tb = !x->attrs.ta, .wide = x->attrs.wide};
  return rewrite_to(r, n, OP_matmul, (Node *[]){x->in[1], x->in[0]}, 2, &attrs);
}

static Node *matmul_transpose(Rewriter *r, const Node *n) {
  Node *in[2] = {n->in[0], n->in[1]};
  Attrs attrs = n->attrs;
  for (int k = 0; k < 2; k++)
    if (in[k]->op == OP_transpose && swaps_last(in[k]) && rewrite_ask(r, n)) {
      in[k] = in[k]->in[0];
      if (k == 0)
        attrs.ta = !attrs.ta;
      else
        attrs.tb = !attrs.tb;
      return rewrite_to(r, n, OP_matmul, in, 2, &attrs);
    }
  return NULL;
}

/* ---- broadcast ------------------------------------------------------------------- */

static Node *broadcast_broadcast(Rewriter *r, const Node *n) {
  if (n->in[0]->op != OP_broadcast || !rewrite_ask(r, n)) return NULL;
  return rewrite_to(r, n, OP_broadcast, n->in[0]->in, 1, &n->attrs);
}

/* The axes of 1 that a reshape put in front, broadcast adds by itself. */
static Node *broadcast_reshape(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if (x->op != OP_reshape) return NULL;
  const Type *from = &x->in[0]->type, *to = &x->type;
  int extra = to->rank - from->rank;
  for (int i = 0; i < to->rank; i++)
    if (i < extra ? !is_one(&to->dim[i]) : extra <= 0 || !dim_same(to->dim[i], from->dim[i - extra], false))
      return NULL;
  return extra > 0 && rewrite_ask(r, n) ? rewrite_to(r, n, OP_broadcast, x->in, 1, &n->attrs) : NULL;
}

static Node *broadcast_ones(Rewriter *r, const Node *n) {
  const Type *x = &n->in[0]->type;
  if (type_count(x) != type_count(&n->type) || type_rows(x) != type_rows(&n->type) || !type_count(x)) return NULL;
  for (int i = 0; i < n->type.rank; i++) {
    int from = i - (n->type.rank - x->rank);
    if (from < 0 ? !is_one(&n->type.dim[i]) : !dim_same(n->type.dim[i], x->dim[from], false)) return NULL;
  }
  Attrs attrs = to_shape(&n->type);
  return rewrite_ask(r, n) ? rewrite_to(r, n, OP_reshape, n->in, 1, &attrs) : NULL;
}

static Node *transpose_number(Rewriter *r, const Node *n) { return reshape_number(r, n); }

/* ---- slice and pad ------------------------------------------------------------------ */

/* Of its operand's own size it has all of it, turned round where a step is below 0. */
static Node *window_whole(Rewriter *r, const Node *n) {
  for (int i = 0; i < n->type.rank; i++)
    if (n->attrs.step[i] < 0 && n->type.dim[i].size > 1) return NULL;
  return view_whole(r, n);
}

/* out[i] = middle[start1 + i step1], middle[j] = in[start0 + j step0]; a pad is
 * the same seen from the other side. */
static Node *window_window(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if (x->op != n->op || !rewrite_ask(r, n)) return NULL;
  const Attrs *first = n->op == OP_slice ? &x->attrs : &n->attrs, *then = n->op == OP_slice ? &n->attrs : &x->attrs;
  const Type *least = n->op == OP_slice ? &n->type : &x->in[0]->type;
  Attrs attrs = n->attrs;
  for (int i = 0; i < n->type.rank; i++) {
    bool none = least->dim[i].size == 0; /* no elements lie anywhere: not past the end either */
    attrs.start[i] = none ? 0 : first->start[i] + then->start[i] * first->step[i];
    attrs.step[i] = none ? 1 : first->step[i] * then->step[i];
  }
  return rewrite_to(r, n, n->op, x->in, 1, &attrs);
}

/* A slice of exactly what was padded. */
static Node *slice_pad(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  if (x->op != OP_pad || !rewrite_fits(n, x->in[0])) return NULL;
  for (int i = 0; i < n->type.rank; i++)
    if (n->attrs.start[i] != x->attrs.start[i] || n->attrs.step[i] != x->attrs.step[i]) return NULL;
  return rewrite_ask(r, n) ? x->in[0] : NULL;
}

/* Of a choice by i < limit along an axis: the operand that all elements of the slice are from; 0: some from each. */
static int branch_shown(const Node *slice, const Node *where) {
  const Node *test = where->in[0], *iota = test->n_in ? test->in[0] : NULL;
  if (test->op != OP_lt || iota->op != OP_iota || test->in[1]->op != OP_const) return 0;
  int axis = iota->attrs.axis + where->type.rank - iota->type.rank;
  int64_t size = slice->type.dim[axis].size, first = slice->attrs.start[axis];
  if (size == 0 || iota->type.dim[iota->attrs.axis].size != where->type.dim[axis].size) return 0;
  int64_t last = first + (size - 1) * slice->attrs.step[axis], high = first > last ? first : last;
  double limit = test->in[1]->attrs.value;
  return (double)high < limit ? 1 : (double)(first + last - high) >= limit ? 2 : 0;
}

/* The gradient of one of several values that were joined. */
static Node *slice_where(Rewriter *r, const Node *n) {
  Node *x = n->in[0];
  int shown = x->op == OP_where ? branch_shown(n, x) : 0;
  if (!shown) return NULL;
  Node *y = x->in[shown];
  if (y->type.rank == 0) return rewrite_ask(r, n) ? rewrite_broadcast(r, n, y) : NULL;
  return rewrite_fits(x, y) && rewrite_ask(r, n) ? rewrite_to(r, n, OP_slice, &y, 1, &n->attrs) : NULL;
}

/* ---- reductions ---------------------------------------------------------------------- */

static Node *as_shape(Rewriter *r, const Node *n, Node *x) {
  Attrs shape = to_shape(&n->type);
  return rewrite_to(r, n, OP_reshape, &x, 1, &shape);
}

/* Axes of one element need no reducing.  A sum begins at 0, and 0 + -0 is 0: that much of it stays. */
static Node *reduce_ones(Rewriter *r, const Node *n) {
  const Type *x = &n->in[0]->type;
  if (n->op != OP_sum && n->op != OP_max && n->op != OP_min) return NULL;
  Attrs attrs = n->attrs;
  attrs.n_axes = 0;
  for (int i = 0; i < n->attrs.n_axes; i++)
    if (!is_one(&x->dim[n->attrs.axes[i]])) attrs.axes[attrs.n_axes++] = n->attrs.axes[i];
  if ((attrs.n_axes && attrs.n_axes == n->attrs.n_axes) || x->dtype != n->type.dtype || !rewrite_ask(r, n)) return NULL;
  if (attrs.n_axes && attrs.keep) return rewrite_to(r, n, n->op, n->in, 1, &attrs);
  if (attrs.n_axes) return as_shape(r, n, rewrite_part(r, n, "rest", n->op, n->in, 1, &attrs));
  if (n->op != OP_sum) return as_shape(r, n, n->in[0]);
  Node *zero = rewrite_const(r, n, x->dtype, 0);
  return as_shape(r, n, rewrite_part(r, n, "one", OP_add, (Node *[]){n->in[0], zero}, 2, NULL));
}

/* Of x, a part of something of rank `rank`: does it run along that axis? */
static bool runs_along(const Node *x, int rank, int axis) {
  int at = axis - (rank - x->type.rank);
  return at >= 0 && !is_one(&x->type.dim[at]);
}

/* The labels y of y == iota, the index along that axis; NULL when it is something else. */
static Node *labels_of(const Node *hit, int rank, int axis) {
  for (int k = 0; hit->op == OP_eq && k < 2; k++) {
    const Node *index = hit->in[k];
    Node *y = hit->in[1 - k];
    if (index->op != OP_iota || index->attrs.axis + rank - index->type.rank != axis) continue;
    if (runs_along(index, rank, axis) && !runs_along(y, rank, axis) && y->type.dtype == index->type.dtype) return y;
  }
  return NULL;
}

/* Over an axis along which at most one index equals y,
 *   sum(where(iota == y, v, 0)) = where(0 <= y < extent, v, 0) + 0
 * and the same of its negative; the sum begins at 0, which matters to a v of -0. */
static Node *sum_one_hot(Rewriter *r, const Node *n) {
  const Type *x = &n->in[0]->type;
  const Node *where = n->in[0]->op == OP_neg ? n->in[0]->in[0] : n->in[0];
  int axis = n->attrs.axes[0];
  if (n->attrs.n_axes != 1 || where->op != OP_where || x->dim[axis].rows) return NULL;
  Node *y = labels_of(where->in[0], x->rank, axis), *v = where->in[1], *zero = where->in[2];
  if (!y || zero->op != OP_const || zero->attrs.value != 0 || runs_along(v, x->rank, axis)) return NULL;
  Type picked;
  if (!infer_broadcast(&y->type, &v->type, false, &picked, NULL) || v->type.dtype != n->type.dtype) return NULL;
  if (type_count(&picked) != type_count(&n->type) || type_rows(&picked) != type_rows(&n->type) || !rewrite_ask(r, n))
    return NULL;
  Node *none = rewrite_const(r, n, y->type.dtype, 0);
  Node *extent = rewrite_const(r, n, y->type.dtype, (double)x->dim[axis].size);
  Node *low = rewrite_part(r, n, "low", OP_ge, (Node *[]){y, none}, 2, NULL);
  Node *high = rewrite_part(r, n, "high", OP_lt, (Node *[]){y, extent}, 2, NULL);
  Node *hit = rewrite_part(r, n, "hit", OP_and, (Node *[]){low, high}, 2, NULL);
  zero = rewrite_const(r, n, v->type.dtype, 0);
  if (where != n->in[0]) v = rewrite_part(r, n, "neg", OP_neg, &v, 1, NULL);
  Node *one = rewrite_part(r, n, "picked", OP_where, (Node *[]){hit, v, zero}, 3, NULL);
  if (v->op != OP_const || v->attrs.value == 0) one = rewrite_part(r, n, "one", OP_add, (Node *[]){one, zero}, 2, NULL);
  return as_shape(r, n, one);
}

const RewriteRow view_rewrites[] = {
    {"reshape.none", OP_reshape, view_whole},
    {"reshape.reshape", OP_reshape, reshape_reshape},
    {"reshape.number", OP_reshape, reshape_number},
    {"reshape.reduce", OP_reshape, reshape_reduce},
    {"transpose.none", OP_transpose, transpose_none},
    {"transpose.transpose", OP_transpose, transpose_transpose},
    {"transpose.number", OP_transpose, transpose_number},
    {"transpose.ones", OP_transpose, transpose_ones},
    {"transpose.matmul", OP_transpose, transpose_matmul},
    {"matmul.transpose", OP_matmul, matmul_transpose},
    {"broadcast.none", OP_broadcast, view_whole},
    {"broadcast.broadcast", OP_broadcast, broadcast_broadcast},
    {"broadcast.reshape", OP_broadcast, broadcast_reshape},
    {"broadcast.ones", OP_broadcast, broadcast_ones},
    {"slice.none", OP_slice, window_whole},
    {"slice.slice", OP_slice, window_window},
    {"slice.pad", OP_slice, slice_pad},
    {"slice.where", OP_slice, slice_where},
    {"pad.none", OP_pad, window_whole},
    {"pad.pad", OP_pad, window_window},
    {"reduce.ones", ANY_REDUCE, reduce_ones},
    {"sum.onehot", OP_sum, sum_one_hot},
    {NULL, 0, NULL},
};
