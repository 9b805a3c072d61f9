/* reduce.c - reductions over named or numbered axes, softmax and argmax. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

/* ---- which axes ---- */

static bool no_axis(Lower *l, const Expr *e, const Type *type, const char *written, bool twice) {
  Text text = {0};
  type_print(&text, type, false);
  report(l->d, E0205, place(l, e->at), twice ? "%s has the axis %s twice" : "%s has no axis %s", text.data, written);
  report_help(l->d, "axes can be numbered too: over: 0 is the first, over: -1 the last");
  text_free(&text);
  return false;
}

static bool axis_by_dim(Lower *l, const Expr *e, const Type *type, int *axis) {
  Dim wanted;
  int found = -1, times = 0;
  if (!dim_of(l, e, &wanted)) return false;
  for (int i = 0; i < type->rank; i++) {
    const Dim *d = &type->dim[i];
    bool same =
        wanted.symbol ? d->symbol == wanted.symbol : !d->symbol && d->size == wanted.size && d->rows == wanted.rows;
    if (same) found = i, times++;
  }
  return times == 1 ? *axis = found, true : no_axis(l, e, type, written_dim(l, e), times > 1);
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

/* *s: all the axes that it stands for. */
static bool axes_of_run(Lower *l, const Expr *e, const Type *type, int *axes, int *n) {
  const Entry *run = lookup(l->scope, e->name, false);
  if (!run || run->value.kind != RUN) return unknown_name(l, e->name, e->at, false), false;
  for (int k = 0; k < run->value.n; k++) {
    int found = -1;
    for (int i = 0; i < type->rank; i++)
      if (type->dim[i].symbol == run->value.dims[k].symbol) found = i;
    if (found < 0 || *n == MAX_RANK) return no_axis(l, e, type, run->value.dims[k].symbol->name, false);
    axes[(*n)++] = found;
  }
  return true;
}

bool axes_of(Lower *l, const Expr *over, const Type *type, int *axes, int *n) {
  *n = 0;
  if (!over) {
    for (; *n < type->rank; ++*n) axes[*n] = *n;
    return true;
  }
  if (over->kind != EXPR_SHAPE) return *n = 1, one_axis(l, over, type, axes);
  for (int i = 0; i < over->n_args; i++) {
    if (over->args[i]->kind == EXPR_SPREAD) {
      if (!axes_of_run(l, over->args[i], type, axes, n)) return false;
      continue;
    }
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

bool flag(Lower *l, const Expr *e, bool otherwise) {
  Value v = e ? eval(l, e) : truth_value(otherwise);
  if (v.kind == TRUTH || v.kind == POISON) return v.number != 0;
  report(l->d, E0106, place(l, e->at), "true or false is needed here, this is %s", describe(l, &v));
  return otherwise;
}

static bool start(Lower *l, Call *call, const Builtin *self, Reduction *r) {
  if (!right_count(l, call, self)) return false;
  r->x = as_tensor(l, call->value[0], F32, call->e);
  if (!r->x || !axes_of(l, take_key(call, "over"), &r->x->type, r->axes, &r->n)) return false;
  r->keep = flag(l, take_key(call, "keep"), false);
  return true;
}

static Value reduce(Lower *l, const Reduction *r, Op op, const Expr *e) {
  Attrs attrs = {.n_axes = r->n, .keep = r->keep};
  memcpy(attrs.axes, r->axes, sizeof attrs.axes);
  return r->n == 0 && op != OP_sum ? tensor_value(r->x) : apply(l, op, 1, &((Reduction *)r)->x, &attrs, e);
}

static Node *total(Reduction *r, Node *x, bool keep) { return b_reduce(&r->b, OP_sum, x, r->n, r->axes, keep); }

/* Whether any is not 0, whether none is: by their count, which is 0 of no elements too. */
static Value any_or_all(Reduction *r, bool any) {
  Node *hit = r->x;
  if (hit->type.dtype != BOOL)
    hit = b_scalar(&r->b, any ? OP_ne : OP_eq, hit, 0);
  else if (!any)
    hit = b_unary(&r->b, OP_not, hit);
  return tensor_value(b_scalar(&r->b, any ? OP_ne : OP_eq, total(r, b_cast(&r->b, hit, I32), r->keep), 0));
}

static Node *mean_of(Reduction *r, bool keep) {
  return b_binary(&r->b, OP_div, total(r, r->x, keep), b_count(&r->b, &r->x->type, r->n, r->axes, r->x->type.dtype));
}

/* Over an axis without elements. */
static bool is_empty(const Reduction *r) {
  for (int i = 0; i < r->n; i++)
    if (r->x->type.dim[r->axes[i]].size == 0) return true;
  return false;
}

static Node *variance(Lower *l, Reduction *r, bool unbiased) {
  Builder whole = r->b;
  r->b.prefix = join(l, whole.prefix, "mean");
  Node *mean = mean_of(r, true);
  r->b = whole;
  Node *centered = b_binary(&r->b, OP_sub, r->x, mean);
  Node *squares = total(r, b_binary(&r->b, OP_mul, centered, centered), r->keep);
  Node *count = b_count(&r->b, &r->x->type, r->n, r->axes, r->x->type.dtype);
  if (unbiased && !is_empty(r)) count = b_scalar(&r->b, OP_sub, count, 1); /* 0 / 0 there, not 0 / -1 */
  return b_binary(&r->b, OP_div, squares, count);
}

/* sqrt with gradient 0 at 0: the branch not taken never sees 0. */
static Node *root(Builder *b, Node *x) {
  Node *zero = b_scalar(b, OP_le, x, 0), *safe = b_where(b, zero, b_const(b, x->type.dtype, 1), x);
  return b_where(b, zero, b_const(b, x->type.dtype, 0), b_unary(b, OP_sqrt, safe));
}

/* The largest element along the axes; it only shifts, so no gradient runs through it.  NULL after a report. */
static Node *shift(Lower *l, Reduction *r, const Expr *e) {
  if (r->n == 0) return b_unary(&r->b, OP_stop, r->x);
  Attrs attrs = {.n_axes = r->n, .keep = true};
  const Type *type = &r->x->type;
  Type out;
  TypeError error;
  memcpy(attrs.axes, r->axes, sizeof attrs.axes);
  if (!infer_type(OP_max, 1, &type, &attrs, true, &out, &error)) return report_type(l, &error, e), NULL;
  return b_unary(&r->b, OP_stop, b_reduce(&r->b, OP_max, r->x, r->n, r->axes, true));
}

static Value log_sum_exp(Lower *l, Reduction *r, const Expr *e) {
  if (is_empty(r)) return tensor_value(b_unary(&r->b, OP_log, total(r, b_unary(&r->b, OP_exp, r->x), r->keep)));
  Node *top = shift(l, r, e);
  if (!top) return poison();
  Node *finite = b_where(&r->b, b_scalar(&r->b, OP_lt, b_unary(&r->b, OP_abs, top), INFINITY), top,
                         b_const(&r->b, top->type.dtype, 0));
  Node *sum = total(r, b_unary(&r->b, OP_exp, b_binary(&r->b, OP_sub, r->x, finite)), r->keep);
  return tensor_value(b_binary(&r->b, OP_add, b_unary(&r->b, OP_log, sum), b_reshape(&r->b, finite, &sum->type)));
}

/* The norm of all gradients of an instance together, as clipping takes it. */
static Value norm_of_record(Lower *l, const Value *record, const Expr *e) {
  Builder b = builders(l, e, "norm");
  Node *sum = NULL;
  for (int i = 0; i < record->n; i++) {
    Node *g = record->items[i].node, *part;
    int axes[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
    part = b_reduce(&b, OP_sum, b_binary(&b, OP_mul, g, g), g->type.rank, axes, false);
    sum = sum ? b_binary(&b, OP_add, sum, part) : part;
  }
  return tensor_value(root(&b, sum));
}

Value reduce_call(Lower *l, Call *call, const Builtin *self) {
  Reduction r;
  const Expr *e = call->e;
  const char *name = self->name;
  if (call->n == 1 && call->value[0].kind == RECORD && !strcmp(name, "norm") && !call->n_keys)
    return norm_of_record(l, &call->value[0], e);
  if (!start(l, call, self, &r)) return poison();
  if (!strcmp(name, "sum") || self->op == OP_max || self->op == OP_min) return reduce(l, &r, self->op, e);
  r.b = builders(l, e, name);
  if (!strcmp(name, "any") || !strcmp(name, "all")) return any_or_all(&r, !strcmp(name, "any"));
  if (r.x->type.dtype == BOOL && !strcmp(name, "mean")) r.x = b_cast(&r.b, r.x, F32);
  if (!dtype_is_float(r.x->type.dtype)) {
    report(l->d, E0208, place(l, e->at), "%s of integers: cast first, %s(f32(x))", name, name);
    return poison();
  }
  if (!strcmp(name, "mean")) return tensor_value(mean_of(&r, r.keep));
  if (!strcmp(name, "logsumexp")) return log_sum_exp(l, &r, e);
  if (!strcmp(name, "norm")) return tensor_value(root(&r.b, total(&r, b_binary(&r.b, OP_mul, r.x, r.x), r.keep)));
  Node *v = variance(l, &r, flag(l, take_key(call, "unbiased"), true));
  return tensor_value(!strcmp(name, "std") ? root(&r.b, v) : v);
}

Value count_call(Lower *l, Call *call, const Builtin *self) {
  Reduction r;
  if (!start(l, call, self, &r)) return poison();
  r.b = builders(l, call->e, self->name);
  return tensor_value(b_count(&r.b, &r.x->type, r.n, r.axes, F32));
}

Value argmax_call(Lower *l, Call *call, const Builtin *self) {
  Reduction r;
  if (!start(l, call, self, &r)) return poison();
  return reduce(l, &r, self->op, call->e);
}

/* exp(x - max) times the reciprocal of its sum. */
Value softmax_call(Lower *l, Call *call, const Builtin *self) {
  Reduction r;
  if (!start(l, call, self, &r)) return poison();
  if (!take_key(call, "over"))
    return report(l->d, E0104, place(l, call->e->at),
                  "%s needs over: the axis whose elements are weighed against each other", self->name),
           poison();
  if (!dtype_is_float(r.x->type.dtype))
    return report(l->d, E0208, place(l, call->e->at), "%s of integers: cast first, %s(f32(x), ...)", self->name,
                  self->name),
           poison();
  r.b = builders(l, call->e, self->name);
  Builder *b = &r.b;
  Node *top = shift(l, &r, call->e);
  if (!top) return poison();
  Node *shifted = b_binary(b, OP_sub, r.x, top), *e = b_unary(b, OP_exp, shifted), *sum = total(&r, e, true);
  if (self->op == OP_log) return tensor_value(b_binary(b, OP_sub, shifted, b_unary(b, OP_log, sum)));
  return tensor_value(b_binary(b, OP_mul, e, b_binary(b, OP_div, b_const(b, sum->type.dtype, 1), sum)));
}
