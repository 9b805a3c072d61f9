/* gather.c - elements by their index along an axis: gather, scatter_add and topk.
 *
 * gather(x, ids, over: k)[i, j] is x[i, ids[i, j]] where k is the second axis.  x is read as one long row, with the
 * index along k taken from ids and the others from where the result stands; so it is one gather, and its gradient
 * one scatter_add, whatever the axis.
 */
#include <math.h>
#include <string.h>

#include "frontend/join.h"

typedef struct Taking {
  Builder b;
  Node *x, *ids, *inside; /* inside: as index_inside */
  int axis;
} Taking;

/* Is every index by its making one of `size`? */
static bool stays_inside(const Node *ids, int64_t size) {
  while (ids->op == OP_reshape || ids->op == OP_broadcast || ids->op == OP_transpose || ids->op == OP_cast) ids = ids->in[0];
  if (ids->op == OP_iota) return ids->type.dim[ids->attrs.axis].size <= size;
  if (ids->op == OP_argmax || ids->op == OP_argmin) return ids->in[0]->type.dim[ids->attrs.axes[0]].size <= size;
  if (ids->op == OP_const) return ids->attrs.value >= 0 && ids->attrs.value < (double)size;
  if (ids->op != OP_mod || dtype_is_float(ids->type.dtype)) return false;
  const Node *by = ids->in[1];
  while (by->op == OP_reshape || by->op == OP_broadcast || by->op == OP_cast) by = by->in[0];
  return by->op == OP_const && by->attrs.value >= 1 && by->attrs.value <= (double)size;
}

static Type as_row(const Type *type) {
  Type row = {.dtype = type->dtype, .rank = 1, .dim = {{.size = 1}}};
  for (int i = 0; i < type->rank; i++) {
    row.dim[0].size *= type->dim[i].size;
    if (type->dim[i].rows) row.dim[0].rows = type->dim[i].rows;
  }
  return row;
}

static bool check_ids(Lower *l, Call *call, const Builtin *self, const Taking *t) {
  Value x = tensor_value(t->x), ids = tensor_value(t->ids);
  const Expr *at = call->expr[1] ? call->expr[1] : call->e;
  const Type *type = &t->ids->type;
  if (dtype_is_float(type->dtype) || type->dtype == BOOL)
    return report(l->d, E0208, place(l, at->at), "%s: indices must be integers, they are %s", self->name,
                  describe(l, &ids)),
           false;
  bool fits = type->rank == t->x->type.rank;
  for (int i = 0; fits && i < type->rank; i++) fits = i == t->axis || dim_same(type->dim[i], t->x->type.dim[i], true);
  if (!fits) {
    report(l->d, E0216, place(l, at->at), "%s: indices %s do not fit %s along axis %d", self->name, describe(l, &ids),
           describe(l, &x), t->axis);
    report_help(l->d, "all axes but that one are those of x; whole rows and columns are x[ids], x[:, ids]");
    return false;
  }
  if (t->x->type.dim[t->axis].size == 0)
    return report(l->d, E0216, place(l, at->at), "%s: %s has nothing along axis %d", self->name, describe(l, &x), t->axis), false;
  Type row = as_row(&t->x->type);
  for (int i = 1; i < t->x->type.rank; i++)
    if (t->x->type.dim[i].rows)
      return report(l->d, E0211, place(l, call->e->at), "%s: the batch axis must come first", self->name), false;
  return row.dim[0].size <= INT32_MAX ||
         (report(l->d, E0216, place(l, call->e->at), "%s: more elements than an i32 can count", self->name), false);
}

/* x, ids and over: of a call. */
static bool taking(Lower *l, Call *call, const Builtin *self, Taking *t) {
  if (!right_count(l, call, self)) return false;
  t->x = as_tensor(l, call->value[0], F32, call->e);
  t->ids = as_tensor(l, call->value[1], I32, call->e);
  if (!t->x || !t->ids || !fixed_axis(l, call, self, &t->x->type, &t->axis) || !check_ids(l, call, self, t))
    return false;
  t->b = builders(l, call->e, self->name);
  t->inside = index_inside(l, &t->b, t->ids, t->x->type.dim[t->axis].size);
  return true;
}

Node *index_inside(Lower *l, Builder *b, Node *ids, int64_t size) {
  if (dtype_is_float(ids->type.dtype) || ids->type.dtype == BOOL) return NULL; /* a report follows */
  bool checked = note_labels(l, ids, size, 0);
  if (checked || is_turn(l, ids) || stays_inside(ids, size)) return NULL;
  return b_binary(b, OP_and, b_scalar(b, OP_ge, ids, 0), b_scalar(b, OP_lt, ids, (double)size));
}

Node *gathered(Lower *l, Builder *b, Node *table, Node *ids, Node *inside, const Expr *e) {
  if (inside) ids = b_where(b, inside, ids, b_const(b, ids->type.dtype, 0));
  Node *taken = apply(l, OP_gather, 2, (Node *[]){table, ids}, NULL, e).node;
  if (!taken || !inside) return taken;
  Type shape = inside->type;
  while (shape.rank < taken->type.rank) shape.dim[shape.rank++] = dim_literal(1);
  DType dtype = taken->type.dtype;
  return b_where(b, b_reshape(b, inside, &shape), taken, b_const(b, dtype, dtype_is_float(dtype) ? NAN : 0));
}

/* Where in the row the element is that each index means. */
static Node *places(Taking *t) {
  const Type *type = &t->x->type;
  Node *sum = NULL;
  int64_t stride = 1;
  for (int i = type->rank - 1; i >= 0; stride *= type->dim[i--].size) {
    Type line = {.dtype = I32, .rank = type->rank};
    for (int k = 0; k < line.rank; k++) line.dim[k] = k == i ? type->dim[k] : dim_literal(1);
    Node *index = i == t->axis ? b_cast(&t->b, t->ids, I32) : b_iota(&t->b, &line, i);
    Node *far = stride == 1 ? index : b_scalar(&t->b, OP_mul, index, (double)stride);
    sum = sum ? b_binary(&t->b, OP_add, sum, far) : far;
  }
  return sum;
}

Value gather_call(Lower *l, Call *call, const Builtin *self) {
  Taking t;
  if (!taking(l, call, self, &t)) return poison();
  Type row = as_row(&t.x->type);
  Node *taken = gathered(l, &t.b, b_reshape(&t.b, t.x, &row), places(&t), t.inside, call->e);
  return taken ? tensor_value(taken) : poison();
}

/* scatter_add(x, ids, y, over: k): x, and y[i, j] added at [i, ids[i, j]]; outside of x nothing is. */
Value scatter_add_call(Lower *l, Call *call, const Builtin *self) {
  Taking t;
  if (!taking(l, call, self, &t)) return poison();
  const Expr *at = call->expr[2] ? call->expr[2] : call->e;
  Node *y = as_tensor(l, call->value[2], t.x->type.dtype, at);
  if (!y) return poison();
  Value value = tensor_value(y), ids = tensor_value(t.ids);
  bool fits = y->type.rank == t.ids->type.rank;
  for (int i = 0; fits && i < y->type.rank; i++) fits = dim_same(y->type.dim[i], t.ids->type.dim[i], true);
  if (!fits)
    return report(l->d, E0216, place(l, at->at), "scatter_add: %s are not a value for each of the indices %s",
                  describe(l, &value), describe(l, &ids)),
           poison();
  DType dtype = dtype_promote(t.x->type.dtype, y->type.dtype), sums = dtype == BF16 ? F32 : dtype;
  Node *x = b_cast(&t.b, t.x, sums);
  Attrs attrs = {.shape = as_row(&x->type)};
  Node *in[2] = {b_cast(&t.b, y, sums), places(&t)};
  for (int i = 0; i < 2 && t.inside; i++) in[i] = b_where(&t.b, t.inside, in[i], b_const(&t.b, in[i]->type.dtype, 0));
  Value added = apply(l, OP_scatter_add, 2, in, &attrs, call->e);
  return added.node
             ? tensor_value(b_cast(&t.b, b_binary(&t.b, OP_add, x, b_reshape(&t.b, added.node, &x->type)), dtype))
             : added;
}

/* ---- topk: no sort, but k times the largest of what is left, for small k ---- */

typedef struct Top {
  Builder b;
  Node *x, *index, *taken; /* taken: NULL at first */
  int axis;
} Top;

static Node *along(Top *t, Op op, Node *x) { return b_reduce(&t->b, op, x, 1, &t->axis, true); }

/* Where the largest stands that is not taken.  Among nothing but -inf it is not the first of all, but the first left.
 */
static Node *next_place(Top *t) {
  Builder *b = &t->b;
  if (!t->taken) return along(t, OP_argmax, b_unary(b, OP_stop, t->x));
  Node *left = b_unary(b, OP_stop, b_where(b, t->taken, b_const(b, t->x->type.dtype, -INFINITY), t->x));
  Node *more = b_cast(b, b_unary(b, OP_not, b_scalar(b, OP_eq, left, -INFINITY)), I32);
  Node *first_left = along(t, OP_argmin, b_cast(b, t->taken, I32));
  return b_where(b, b_scalar(b, OP_gt, along(t, OP_max, more), 0), along(t, OP_argmax, left), first_left);
}

/* The value there, which is taken from now on. */
static Node *take(Top *t, Node *place) {
  Node *here = b_binary(&t->b, OP_eq, t->index, place), *none = b_const(&t->b, t->x->type.dtype, 0);
  t->taken = t->taken ? b_binary(&t->b, OP_or, t->taken, here) : here;
  return along(t, OP_sum, b_where(&t->b, here, t->x, none));
}

/* Can there be k of them? */
static bool check_k(Lower *l, Call *call, const Type *type, int axis, int64_t k) {
  const Expr *at = call->expr[1] ? call->expr[1] : call->e;
  if (!dtype_is_float(type->dtype))
    return report(l->d, E0208, place(l, call->e->at), "topk of integers: cast first, topk(f32(x), ...)"), false;
  if (k >= 1 && k <= MAX_PARTS && k <= type->dim[axis].size) return true;
  report(l->d, E0216, place(l, at->at), "topk: %lld of an axis of %lld; it takes 1 to %d, and no more than there are",
         (long long)k, (long long)type->dim[axis].size, MAX_PARTS);
  return false;
}

/* topk(x, k, over: axis): the k largest, largest first, and where they stand; of equals the first. */
Value topk_call(Lower *l, Call *call, const Builtin *self) {
  int64_t k;
  Top t = {.x = right_count(l, call, self) ? as_tensor(l, call->value[0], F32, call->e) : NULL};
  if (!t.x || !whole_number(l, call->expr[1] ? call->expr[1] : call->e, &k) ||
      !fixed_axis(l, call, self, &t.x->type, &t.axis) || !check_k(l, call, &t.x->type, t.axis, k))
    return poison();
  t.b = builders(l, call->e, self->name);
  Type line = {.dtype = I32, .rank = t.x->type.rank};
  for (int i = 0; i < line.rank; i++) line.dim[i] = i == t.axis ? t.x->type.dim[i] : dim_literal(1);
  t.index = b_iota(&t.b, &line, t.axis);
  Parts values = {.n = (int)k}, ids = {.n = (int)k};
  for (int i = 0; i < k; i++) {
    ids.x[i] = next_place(&t);
    values.x[i] = take(&t, ids.x[i]);
  }
  Value both = {.kind = TUPLE, .n = 2, .items = arena_alloc(l->arena, 2 * sizeof(Value))};
  both.items[0] = tensor_value(join_parts(&t.b, &values, t.axis, dim_literal(k)));
  both.items[1] = tensor_value(join_parts(&t.b, &ids, t.axis, dim_literal(k)));
  return both;
}
