/* build.c - short constructors for gradient rules and rewrites.
 *
 * They fold nothing: an operation that would change nothing (a cast to the
 * same dtype, a reshape to the same shape) gives its operand back, the rest
 * is for simplify to find.
 */
#include <string.h>

#include "ir/ir.h"

static Node *make(Builder *b, Op op, const char *role, int n, Node *const *in, const Attrs *attrs) {
  const char *name = arena_print(b->graph->program->arena, "%s.%s", b->prefix, role ? role : op_info[op].name);
  return node_new(b->graph, op, in, n, attrs, name, b->span);
}

Node *b_const(Builder *b, DType dtype, double value) {
  Attrs attrs = {.value = value, .shape = type_scalar(dtype)};
  return make(b, OP_const, NULL, 0, NULL, &attrs);
}

Node *b_unary(Builder *b, Op op, Node *x) { return make(b, op, NULL, 1, &x, NULL); }
Node *b_stop(Builder *b, Node *x) { return make(b, OP_stop, NULL, 1, &x, &(Attrs){.said = true}); }
Node *b_binary(Builder *b, Op op, Node *x, Node *y) { return make(b, op, NULL, 2, (Node *[]){x, y}, NULL); }
Node *b_scalar(Builder *b, Op op, Node *x, double value) {
  return b_binary(b, op, x, b_const(b, x->type.dtype, value));
}
Node *b_where(Builder *b, Node *condition, Node *yes, Node *no) {
  return make(b, OP_where, NULL, 3, (Node *[]){condition, yes, no}, NULL);
}

Node *b_cast(Builder *b, Node *x, DType dtype) {
  if (x->type.dtype == dtype) return x;
  Attrs attrs = {.shape = type_scalar(dtype)};
  return make(b, OP_cast, NULL, 1, &x, &attrs);
}

Node *b_clamp(Builder *b, Node *x, double low, double high) {
  Attrs attrs = {.value = low, .high = high};
  return make(b, OP_clamp, NULL, 1, &x, &attrs);
}

Node *b_reduce(Builder *b, Op op, Node *x, int n_axes, const int *axes, bool keep) {
  Attrs attrs = {.n_axes = n_axes, .keep = keep};
  for (int i = 0; i < n_axes; i++) attrs.axes[i] = axes[i];
  return make(b, op, NULL, 1, &x, &attrs);
}

/* Sum over the axes that broadcasting added or stretched; the reshape puts stretched ones back as 1. */
Node *b_sum_to(Builder *b, Node *x, const Type *shape) {
  int axes[MAX_RANK], n = 0, extra = x->type.rank - shape->rank;
  for (int i = 0; i < x->type.rank; i++)
    if (i < extra || !dim_same(x->type.dim[i], shape->dim[i - extra], false)) axes[n++] = i;
  return b_reshape(b, n ? b_reduce(b, OP_sum, x, n, axes, false) : x, shape);
}

static Node *shaped(Builder *b, Op op, Node *x, const Type *shape, const int64_t *start, const int64_t *step) {
  Attrs attrs = {.shape = *shape};
  attrs.shape.dtype = x->type.dtype;
  for (int i = 0; i < shape->rank; i++) {
    attrs.start[i] = start ? start[i] : 0;
    attrs.step[i] = step ? step[i] : 0;
  }
  return make(b, op, NULL, 1, &x, &attrs);
}

Node *b_reshape(Builder *b, Node *x, const Type *shape) {
  return type_same_shape(&x->type, shape) ? x : shaped(b, OP_reshape, x, shape, NULL, NULL);
}
Node *b_broadcast(Builder *b, Node *x, const Type *shape) {
  return type_same_shape(&x->type, shape) ? x : shaped(b, OP_broadcast, x, shape, NULL, NULL);
}
Node *b_slice(Builder *b, Node *x, const Type *shape, const int64_t *start, const int64_t *step) {
  return shaped(b, OP_slice, x, shape, start, step);
}
Node *b_pad(Builder *b, Node *x, const Type *shape, const int64_t *start, const int64_t *step) {
  return shaped(b, OP_pad, x, shape, start, step);
}

Node *b_skew(Builder *b, Op op, Node *x, Dim positions, const Attrs *attrs) {
  Attrs own = {.axis = attrs->axis, .window = attrs->window, .stride = attrs->stride, .dilation = attrs->dilation,
               .padding = attrs->padding, .shape = x->type};
  own.shape.dim[own.axis] = positions;
  return make(b, op, NULL, 1, &x, &own);
}

Node *b_transpose(Builder *b, Node *x, const int *axes) {
  Attrs attrs = {.n_axes = x->type.rank};
  bool moved = false;
  for (int i = 0; i < x->type.rank; i++) {
    attrs.axes[i] = axes[i];
    moved |= axes[i] != i;
  }
  return moved ? make(b, OP_transpose, NULL, 1, &x, &attrs) : x;
}

static Node *matmul(Builder *b, Node *x, Node *y, bool ta, bool tb, bool wide) {
  Attrs attrs = {.ta = ta, .tb = tb, .wide = wide};
  return make(b, OP_matmul, "mm", 2, (Node *[]){x, y}, &attrs);
}
Node *b_matmul(Builder *b, Node *x, Node *y, bool ta, bool tb) { return matmul(b, x, y, ta, tb, false); }
Node *b_matmul_wide(Builder *b, Node *x, Node *y, bool ta, bool tb) { return matmul(b, x, y, ta, tb, true); }

Node *b_attention(Builder *b, Op op, int n, Node *const *in, double scale, bool causal) {
  Attrs attrs = {.scale = scale, .causal = causal};
  const char *role = strchr(op_info[op].name, '_'); /* of a result's name: attention.lse */
  return make(b, op, role ? role + 1 : NULL, n, in, &attrs);
}

Node *b_iota(Builder *b, const Type *shape, int axis) {
  Attrs attrs = {.shape = *shape, .axis = axis};
  attrs.shape.dtype = I32;
  return make(b, OP_iota, NULL, 0, NULL, &attrs);
}

Node *b_rows(Builder *b, const Symbol *symbol) {
  Attrs attrs = {.symbol = symbol};
  return make(b, OP_rows, NULL, 0, NULL, &attrs);
}

/* Elements over the axes: a constant, times the rows there are for each that is a batch. */
Node *b_count(Builder *b, const Type *t, int n_axes, const int *axes, DType dtype) {
  double fixed = 1;
  Node *count = NULL;
  for (int i = 0; i < n_axes; i++) {
    const Dim *d = &t->dim[axes[i]];
    fixed *= (double)(d->rows && d->rows->size ? d->size / d->rows->size : d->size);
    if (!d->rows) continue;
    Node *rows = b_cast(b, b_rows(b, d->rows), dtype);
    count = count ? b_binary(b, OP_mul, count, rows) : rows;
  }
  if (!count) return b_const(b, dtype, fixed);
  return fixed == 1 ? count : b_scalar(b, OP_mul, count, fixed);
}
