/* reduce.c - reductions over named or numbered axes, softmax and argmax. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

/* ---- which axes ---- */

static bool axis_by_dim(Lower *l, const Expr *e, const Type *type, int *axis) {
  Dim wanted;
  int found = -1, times = 0;
  if (!dim_of(l, e, &wanted)) return false;
  for (int i = 0; i < type->rank; i++) {
    const Dim *d = &type->dim[i];
    bool same = wanted.symbol ? d->symbol == wanted.symbol : !d->symbol && d->size == wanted.size && d->rows == wanted.rows;
    if (same) found = i, times++;
  }
  if (times == 1) return *axis = found, true;
  Text text = {0};
  type_print(&text, type, false);
  report(l->d, E0205, place(l, e->at), times ? "%s has the axis %s twice" : "%s has no axis %s", text.data, written_dim(l, e));
  report_help(l->d, "axes can be numbered too: over: 0 is the first, over: -1 the last");
  text_free(&text);
  return false;
}

static bool one_axis(Lower *l, const Expr *e, const Type *type, int *axis) {
  bool negative = e->kind == EXPR_UNARY && e->args[0]->kind == EXPR_NUMBER;
  if (e->kind != EXPR_NUMBER && !negative) return axis_by_dim(l, e, type, axis);
  double number = negative ? -e->args[0]->number : e->number;
  *axis = (int)number < 0 ? type->rank + (int)number : (int)number;
  if (*axis >= 0 && *axis < type->rank && number == floor(number)) return true;
  Text text = {0};
  type_print(&text, type, false);
  report(l->d, E0205, place(l, e->at), "%s has no axis %g", text.data, number);
  text_free(&text);
  return false;
}

static void sort_axes(int *axes, int n) {
  for (int i = 1; i < n; i++)
    for (int k = i; k > 0 && axes[k - 1] > axes[k]; k--) {
      int swap = axes[k];
      axes[k] = axes[k - 1], axes[k - 1] = swap;
    }
}

bool axes_of(Lower *l, const Expr *over, const Type *type, int *axes, int *n) {
  *n = 0;
  if (!over) {
    for (; *n < type->rank; ++*n) axes[*n] = *n;
    return true;
  }
  if (over->kind != EXPR_SHAPE) return *n = 1, one_axis(l, over, type, axes);
  for (int i = 0; i < over->n_args; i++) {
    if (over->args[i]->kind == EXPR_SPREAD) return not_yet(l, over->at, "*s in over:"), false;
    if (*n == MAX_RANK || !one_axis(l, over->args[i], type, &axes[*n])) return false;
    ++*n;
  }
  sort_axes(axes, *n);
  for (int i = 1; i < *n; i++)
    if (axes[i] == axes[i - 1]) return report(l->d, E0205, place(l, over->at), "an axis is named twice"), false;
  return true;
}

/* ---- reductions ---- */

typedef struct Reduction {
  Builder b;
  Node *x;
  int axes[MAX_RANK], n;
  bool keep;
} Reduction;

static bool start(Lower *l, Call *call, const Builtin *self, Reduction *r, bool keeps) {
  const Expr *over = take_key(call, "over"), *keep = keeps ? take_key(call, "keep") : NULL;
  if (call->n != 1) return report(l->d, E0104, place(l, call->e->at), "%s takes one tensor, %d are given", self->name, call->n), false;
  static const char *const names[] = {"over", "keep", "unbiased"};
  take_key(call, "unbiased");
  if (!check_keys(l, call, self->name, names, 3)) return false;
  r->x = as_tensor(l, call->value[0], F32, call->e);
  if (!r->x || !axes_of(l, over, &r->x->type, r->axes, &r->n)) return false;
  Value k = keep ? eval(l, keep) : truth_value(false);
  r->keep = k.number != 0;
  r->b = builder(l, call->e);
  return true;
}

static Value reduce(Lower *l, const Reduction *r, Op op, Node *x, bool keep, const Expr *e) {
  Attrs attrs = {.n_axes = r->n, .keep = keep};
  memcpy(attrs.axes, r->axes, sizeof attrs.axes);
  if (r->n == 0 && op != OP_sum) return tensor_value(x);
  return apply(l, op, 1, &x, &attrs, e);
}

static Node *total(Lower *l, const Reduction *r, Node *x, bool keep, const Expr *e) { return reduce(l, r, OP_sum, x, keep, e).node; }

static Node *mean_of(Lower *l, Reduction *r, Node *x, bool keep, const Expr *e) {
  Node *sum = total(l, r, x, keep, e);
  return b_binary(&r->b, OP_div, sum, b_count(&r->b, &x->type, r->n, r->axes, x->type.dtype));
}

static Node *variance(Lower *l, Reduction *r, bool unbiased, const Expr *e) {
  Node *centered = b_binary(&r->b, OP_sub, r->x, mean_of(l, r, r->x, true, e));
  Node *squares = total(l, r, b_binary(&r->b, OP_mul, centered, centered), r->keep, e);
  Node *count = b_count(&r->b, &r->x->type, r->n, r->axes, r->x->type.dtype);
  return b_binary(&r->b, OP_div, squares, unbiased ? b_scalar(&r->b, OP_sub, count, 1) : count);
}

/* sqrt with gradient 0 at 0: the branch not taken never sees 0. */
static Node *root(Reduction *r, Node *x) {
  Node *zero = b_scalar(&r->b, OP_le, x, 0), *safe = b_where(&r->b, zero, b_const(&r->b, x->type.dtype, 1), x);
  return b_where(&r->b, zero, b_const(&r->b, x->type.dtype, 0), b_unary(&r->b, OP_sqrt, safe));
}

static Node *log_sum_exp(Lower *l, Reduction *r, const Expr *e) {
  Node *top = b_unary(&r->b, OP_stop, reduce(l, r, OP_max, r->x, true, e).node);
  Node *finite = b_where(&r->b, b_scalar(&r->b, OP_lt, b_unary(&r->b, OP_abs, top), INFINITY), top, b_const(&r->b, top->type.dtype, 0));
  Node *sum = total(l, r, b_unary(&r->b, OP_exp, b_binary(&r->b, OP_sub, r->x, finite)), r->keep, e);
  return b_binary(&r->b, OP_add, b_unary(&r->b, OP_log, sum), b_reshape(&r->b, finite, &sum->type));
}

Value reduce_call(Lower *l, Call *call, const Builtin *self) {
  Reduction r;
  const Expr *unbiased_expr = take_key(call, "unbiased"), *e = call->e;
  if (!start(l, call, self, &r, true)) return poison();
  const char *name = self->name;
  if (!strcmp(name, "sum") || self->op != OP_sum) return reduce(l, &r, self->op, r.x, r.keep, e);
  if (r.x->type.dtype == BOOL && !strcmp(name, "mean")) r.x = b_cast(&r.b, r.x, F32);
  if (!dtype_is_float(r.x->type.dtype)) {
    report(l->d, E0208, place(l, e->at), "%s of integers: cast first, %s(f32(x))", name, name);
    return poison();
  }
  if (!strcmp(name, "mean")) return tensor_value(mean_of(l, &r, r.x, r.keep, e));
  if (!strcmp(name, "logsumexp")) return tensor_value(log_sum_exp(l, &r, e));
  if (!strcmp(name, "norm")) return tensor_value(root(&r, total(l, &r, b_binary(&r.b, OP_mul, r.x, r.x), r.keep, e)));
  Value unbiased = unbiased_expr ? eval(l, unbiased_expr) : truth_value(true);
  Node *v = variance(l, &r, unbiased.number != 0, e);
  return tensor_value(!strcmp(name, "std") ? root(&r, v) : v);
}

Value count_call(Lower *l, Call *call, const Builtin *self) {
  Reduction r;
  if (!start(l, call, self, &r, false)) return poison();
  return tensor_value(b_count(&r.b, &r.x->type, r.n, r.axes, F32));
}

Value argmax_call(Lower *l, Call *call, const Builtin *self) {
  Reduction r;
  if (!start(l, call, self, &r, true)) return poison();
  return reduce(l, &r, self->op, r.x, r.keep, call->e);
}

/* exp(x - max) times the reciprocal of its sum; the maximum only shifts, so no gradient runs through it. */
Value softmax_call(Lower *l, Call *call, const Builtin *self) {
  Reduction r;
  if (!start(l, call, self, &r, false)) return poison();
  if (!dtype_is_float(r.x->type.dtype)) return report(l->d, E0208, place(l, call->e->at), "%s of integers: cast first", self->name), poison();
  Builder *b = &r.b;
  Node *top = b_unary(b, OP_stop, reduce(l, &r, OP_max, r.x, true, call->e).node);
  Node *shifted = b_binary(b, OP_sub, r.x, top), *e = b_unary(b, OP_exp, shifted), *sum = total(l, &r, e, true, call->e);
  if (self->op == OP_log) return tensor_value(b_binary(b, OP_sub, shifted, b_unary(b, OP_log, sum)));
  Node *one = b_const(b, sum->type.dtype, 1);
  return tensor_value(b_binary(b, OP_mul, e, b_binary(b, OP_div, one, sum)));
}
