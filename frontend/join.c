/* join.c - values joined and cut along an axis.
 *
 * concat is a choice by the index along its axis between operands padded to
 * the whole: a kernel reads of each operand what it holds and nothing else,
 * and what it reads comes through as it is, -0 and NaN too.
 */
#include <math.h>
#include <string.h>

#include "frontend/join.h"

const int64_t every[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};

bool no_batch(Lower *l, const Builtin *self, const Type *type, int n, const int *axes, const Expr *at) {
  for (int i = 0; i < n; i++)
    if (type->dim[axes[i]].rows)
      return report(l->d, E0211, place(l, at->at), "%s: %s is the batch axis: the last batch may be shorter", self->name,
                    type->dim[axes[i]].rows->name),
             false;
  return true;
}

bool fixed_axes(Lower *l, Call *call, const Builtin *self, const Type *type, int *axes, int *n) {
  const Expr *over = take_key(call, "over");
  if (!over) return report(l->d, E0104, place(l, call->e->at), "%s needs over: and an axis", self->name), false;
  return axes_of(l, over, type, axes, n) && no_batch(l, self, type, *n, axes, over);
}

bool fixed_axis(Lower *l, Call *call, const Builtin *self, const Type *type, int *axis) {
  int axes[MAX_RANK], n;
  if (!fixed_axes(l, call, self, type, axes, &n)) return false;
  *axis = axes[0];
  return n == 1 || (report(l->d, E0205, place(l, call->e->at), "%s takes one axis", self->name), false);
}

/* ---- concat and stack ---- */

static bool add_part(Lower *l, Parts *p, const Value *v, const Expr *e) {
  if (p->n == MAX_PARTS) return report(l->d, E0104, place(l, e->at), "more than %d values", MAX_PARTS), false;
  p->at[p->n] = e;
  return (p->x[p->n++] = as_tensor(l, *v, F32, e)) != NULL;
}

/* concat(a, b), concat([a, b]), and of a split's result concat(parts). */
static bool parts_of(Lower *l, const Call *call, const Builtin *self, Parts *p) {
  for (int i = 0; i < call->n; i++) {
    const Expr *e = call->expr[i] ? call->expr[i] : call->e;
    Value v = e->kind == EXPR_SHAPE ? eval(l, e) : call->value[i];
    if (v.kind != TUPLE && !add_part(l, p, &v, e)) return false;
    for (int k = 0; v.kind == TUPLE && k < v.n; k++)
      if (!add_part(l, p, &v.items[k], e->kind == EXPR_SHAPE ? e->args[k] : e)) return false;
  }
  if (p->n == 0) report(l->d, E0104, place(l, call->e->at), "%s takes at least 1 value, 0 are given", self->name);
  return p->n > 0;
}

static bool misfit(Lower *l, const Parts *p, int i, const char *why) {
  Value first = tensor_value(p->x[0]), other = tensor_value(p->x[i]);
  report(l->d, E0214, place(l, p->at[i]->at), "%s cannot be joined to %s: %s", describe(l, &other), describe(l, &first), why);
  report_note(l->d, place(l, p->at[0]->at), "this is %s", describe(l, &first));
  return false;
}

/* Equal but along the axis; -1: along all.  All become of the type that promotion gives. */
static bool check_parts(Lower *l, Builder *b, Parts *p, int axis) {
  const Type *first = &p->x[0]->type;
  DType dtype = first->dtype;
  for (int i = 1; i < p->n; i++) {
    const Type *t = &p->x[i]->type;
    if (t->rank != first->rank) return misfit(l, p, i, "they differ in their number of axes");
    for (int a = 0; a < t->rank; a++)
      if (a != axis && !dim_same(t->dim[a], first->dim[a], true))
        return misfit(l, p, i, arena_print(l->arena, "axis %d differs", a));
    dtype = dtype_promote(dtype, t->dtype);
  }
  for (int i = 0; i < p->n; i++) p->x[i] = b_cast(b, p->x[i], dtype);
  return true;
}

Node *before(Builder *b, const Type *type, int axis, int64_t n) {
  Type line = {.dtype = I32, .rank = type->rank - axis};
  for (int i = 0; i < line.rank; i++) line.dim[i] = i ? dim_literal(1) : type->dim[axis];
  return b_scalar(b, OP_lt, b_iota(b, &line, 0), (double)n);
}

Node *join_parts(Builder *b, const Parts *p, int axis, Dim all) {
  int64_t end = all.size;
  if (p->n == 1) return p->x[0];
  Node *joined = NULL;
  for (int i = p->n - 1; i >= 0; i--) {
    Type whole = p->x[i]->type;
    int64_t start[MAX_RANK] = {0};
    start[axis] = end - whole.dim[axis].size;
    whole.dim[axis] = all;
    Node *padded = b_pad(b, p->x[i], &whole, start, every);
    joined = joined ? b_where(b, before(b, &whole, axis, end), padded, joined) : padded;
    end = start[axis];
  }
  return joined;
}

static int64_t length(const Parts *p, int axis) {
  int64_t sum = 0;
  for (int i = 0; i < p->n; i++) sum += p->x[i]->type.dim[axis].size;
  return sum;
}

Value concat_call(Lower *l, Call *call, const Builtin *self) {
  Parts p = {0};
  int axis;
  if (!right_count(l, call, self) || !parts_of(l, call, self, &p)) return poison();
  if (p.x[0]->type.rank == 0) {
    report(l->d, E0204, place(l, p.at[0]->at), "a scalar has no axis to be joined along");
    report_help(l->d, "stack(a, b) makes an axis of scalars");
    return poison();
  }
  if (!fixed_axis(l, call, self, &p.x[0]->type, &axis)) return poison();
  Builder b = builders(l, call->e, self->name);
  return check_parts(l, &b, &p, axis) ? tensor_value(join_parts(&b, &p, axis, dim_literal(length(&p, axis)))) : poison();
}

/* A new axis in front, or at over:, and the values along it. */
Value stack_call(Lower *l, Call *call, const Builtin *self) {
  Parts p = {0};
  int64_t axis = 0;
  const Expr *over = take_key(call, "over");
  if (!right_count(l, call, self) || !parts_of(l, call, self, &p)) return poison();
  Builder b = builders(l, call->e, self->name);
  int rank = p.x[0]->type.rank + 1;
  if (!check_parts(l, &b, &p, -1) || (over && !whole_number(l, over, &axis))) return poison();
  if (rank > MAX_RANK) return report(l->d, E0204, place(l, call->e->at), "a value has at most %d axes", MAX_RANK), poison();
  if (axis < -rank || axis >= rank)
    return report(l->d, E0205, place(l, over->at), "the stack has %d axes, none is %lld", rank, (long long)axis), poison();
  if (axis < 0) axis += rank;
  for (int i = 0; i < p.n; i++) {
    Type one = p.x[i]->type;
    memmove(&one.dim[axis + 1], &one.dim[axis], sizeof *one.dim * (size_t)(one.rank++ - axis));
    one.dim[axis] = dim_literal(1);
    p.x[i] = b_reshape(&b, p.x[i], &one);
  }
  return tensor_value(join_parts(&b, &p, (int)axis, dim_literal(p.n)));
}

/* ---- split ---- */

/* The sizes of [H, 2 * H], or of as many equal parts as the number says. */
static bool sizes_of(Lower *l, const Call *call, Dim whole, int *n, Dim *sizes) {
  const Expr *e = call->expr[1];
  int64_t equal, sum = 0;
  if (e && e->kind == EXPR_SHAPE) {
    for (*n = 0; *n < e->n_args; ++*n) {
      if (*n == MAX_PARTS) return report(l->d, E0104, place(l, e->at), "more than %d parts", MAX_PARTS), false;
      if (!dim_of(l, e->args[*n], &sizes[*n])) return false;
      if (sizes[*n].rows)
        return report(l->d, E0211, place(l, e->args[*n]->at), "a part needs a fixed size: the last batch may be shorter"), false;
      sum += sizes[*n].size;
    }
    if (sum == whole.size && *n > 0) return true;
    report(l->d, E0214, place(l, e->at), "the parts have %lld elements together, the axis has %lld", (long long)sum,
           (long long)whole.size);
    return false;
  }
  if (!whole_number(l, e ? e : call->e, &equal)) return false;
  if (equal < 1 || equal > MAX_PARTS || whole.size % equal) {
    report(l->d, E0214, place(l, e->at), "an axis of %lld cannot be split into %lld equal parts", (long long)whole.size,
           (long long)equal);
    report_help(l->d, "the number is how many parts there are; for parts of given sizes write split(x, [2, 3], over: ...)");
    return false;
  }
  *n = (int)equal;
  for (int i = 0; i < *n; i++) sizes[i] = equal == 1 ? whole : dim_literal(whole.size / equal);
  return true;
}

Node *cut(Builder *b, Node *x, int axis, int64_t start, Dim size) {
  int64_t begin[MAX_RANK] = {0};
  Type part = x->type;
  bool all = size.size == part.dim[axis].size;
  begin[axis] = start;
  part.dim[axis] = size;
  return all ? b_reshape(b, x, &part) : b_slice(b, x, &part, begin, every);
}

Value split_call(Lower *l, Call *call, const Builtin *self) {
  Dim sizes[MAX_PARTS];
  int axis, n = 0;
  Node *x = right_count(l, call, self) ? as_tensor(l, call->value[0], F32, call->e) : NULL;
  if (!x || !fixed_axis(l, call, self, &x->type, &axis) || !sizes_of(l, call, x->type.dim[axis], &n, sizes)) return poison();
  Builder b = builders(l, call->e, self->name);
  Value parts = {.kind = TUPLE, .n = n, .items = arena_alloc(l->arena, sizeof(Value) * (size_t)n)};
  int64_t start = 0;
  for (int i = 0; i < n; start += sizes[i++].size) parts.items[i] = tensor_value(cut(&b, x, axis, start, sizes[i]));
  return parts;
}
