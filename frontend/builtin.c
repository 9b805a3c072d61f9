/* builtin.c - the functions the compiler knows: one table. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

static bool right_count(Lower *l, Call *call, const Builtin *self) {
  const char *keys[16];
  int n = 0;
  char *words = arena_copy(l->arena, self->keys ? self->keys : "", self->keys ? strlen(self->keys) : 0);
  for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) keys[n++] = word;
  if (call->n < self->least || call->n > self->most) {
    report(l->d, E0104, place(l, call->e->at), self->least == self->most ? "%s takes %d argument%s, %d are given" : "%s takes at least %d argument%s, %d are given",
           self->name, self->least, self->least == 1 ? "" : "s", call->n);
    return false;
  }
  for (int k = 0; k < call->n_keys; k++)
    for (int i = 0; i < n; i++)
      if (!strcmp(call->key[k], keys[i])) call->key_used[k] = true;
  return check_keys(l, call, self->name, keys, n);
}

static DType dtype_of_args(const Call *call) {
  for (int i = 0; i < call->n; i++)
    if (call->value[i].kind == TENSOR) return call->value[i].node->type.dtype;
  return F32;
}

static Node *arg(Lower *l, Call *call, int i) { return as_tensor(l, call->value[i], dtype_of_args(call), call->expr[i] ? call->expr[i] : call->e); }

/* ---- maps ---- */

static bool fold_unary(Op op, double x, double *out) {
  switch (op) {
  case OP_sqrt: *out = sqrt(x); return true;
  case OP_exp: *out = exp(x); return true;
  case OP_log: *out = log(x); return true;
  case OP_rsqrt: *out = 1 / sqrt(x); return true;
  case OP_abs: *out = fabs(x); return true;
  case OP_floor: *out = floor(x); return true;
  case OP_ceil: *out = ceil(x); return true;
  case OP_cos: *out = cos(x); return true;
  case OP_sin: *out = sin(x); return true;
  default: return false;
  }
}

static Value map_call(Lower *l, Call *call, const Builtin *self) {
  Node *in[3];
  double folded;
  if (!right_count(l, call, self)) return poison();
  const Value *v = &call->value[0];
  if (call->n == 1 && (v->kind == NUMBER || (v->kind == DIM && !v->dim.rows)) && fold_unary(self->op, v->kind == DIM ? (double)v->dim.size : v->number, &folded))
    return number_value(folded, true);
  if (call->n == 2) return binary(l, self->op, call->value[0], call->value[1], call->e);
  for (int i = 0; i < call->n; i++)
    if (!(in[i] = arg(l, call, i))) return poison();
  return apply(l, self->op, call->n, in, NULL, call->e);
}

static Value where_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  DType dtype = call->value[1].kind == TENSOR ? call->value[1].node->type.dtype : call->value[2].kind == TENSOR ? call->value[2].node->type.dtype : F32;
  Node *in[3] = {as_tensor(l, call->value[0], BOOL, call->e), as_tensor(l, call->value[1], dtype, call->e), as_tensor(l, call->value[2], dtype, call->e)};
  return in[0] && in[1] && in[2] ? apply(l, OP_where, 3, in, NULL, call->e) : poison();
}

static Value clamp_call(Lower *l, Call *call, const Builtin *self) {
  Attrs attrs = {.value = -INFINITY, .high = INFINITY};
  const Expr *low = take_key(call, "min"), *high = take_key(call, "max");
  Node *x = right_count(l, call, self) ? arg(l, call, 0) : NULL;
  if (!x || (low && !as_number(l, low, &attrs.value)) || (high && !as_number(l, high, &attrs.high))) return poison();
  if (!low && !high) return report(l->d, E0104, place(l, call->e->at), "clamp needs min: or max:"), poison();
  return apply(l, OP_clamp, 1, &x, &attrs, call->e);
}

static Value cast_call(Lower *l, Call *call, const Builtin *self) {
  DType dtype = F32;
  if (!right_count(l, call, self)) return poison();
  dtype_find(self->name, &dtype);
  Node *x = as_tensor(l, call->value[0], dtype, call->e);
  if (!x) return poison();
  if (x->type.dtype == dtype) return tensor_value(x);
  Attrs attrs = {.shape = type_scalar(dtype)};
  return apply(l, OP_cast, 1, &x, &attrs, call->e);
}

/* ---- shapes ---- */

static Value reshape_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  Node *x = arg(l, call, 0);
  const Expr *e = call->expr[1];
  if (!x) return poison();
  if (!e || e->kind != EXPR_SHAPE) return report(l->d, E0206, place(l, call->e->at), "reshape takes a shape in brackets: reshape(x, [B, 4])"), poison();
  TypeExpr written = {.at = e->at, .n_dims = e->n_args, .dims = e->args, .has_shape = true};
  Attrs attrs = {0};
  if (!shape_of(l, &written, &attrs.shape)) return poison();
  attrs.shape.dtype = x->type.dtype;
  return apply(l, OP_reshape, 1, &x, &attrs, call->e);
}

static Value transpose_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  Node *x = arg(l, call, 0);
  int rank = x ? x->type.rank : 0, a = rank - 2, b = rank - 1;
  if (!x) return poison();
  if (rank < 2) return report(l->d, E0204, place(l, call->e->at), "%s needs two axes or more, this is %s", self->name, describe(l, &call->value[0])), poison();
  if (call->n == 3) {
    int n;
    if (!axes_of(l, call->expr[1], &x->type, &a, &n) || !axes_of(l, call->expr[2], &x->type, &b, &n)) return poison();
  }
  Attrs attrs = {.n_axes = rank};
  for (int i = 0; i < rank; i++) attrs.axes[i] = i == a ? b : i == b ? a : i;
  return apply(l, OP_transpose, 1, &x, &attrs, call->e);
}

static Value size_call(Lower *l, Call *call, const Builtin *self) {
  int axes[MAX_RANK], n = 0;
  const Expr *over = take_key(call, "over");
  Node *x = right_count(l, call, self) ? arg(l, call, 0) : NULL;
  if (!x || !over || !axes_of(l, over, &x->type, axes, &n)) return poison();
  return (Value){.kind = DIM, .dim = x->type.dim[axes[0]]};
}

/* one_hot(y, over: K): [.., K] bools; labels taken straight from a data field must lie in [0, K). */
static void note_labels(Lower *l, const Node *ids, int64_t classes, const Expr *ignore) {
  double skip = 0;
  if (ids->op != OP_input || !ids->attrs.path) return;
  if (ignore && !as_number(l, ignore, &skip)) return;
  for (int d = 0; d < l->program->n_data; d++)
    for (int f = 0; f < l->program->data[d].n_fields; f++) {
      Field *field = &l->program->data[d].fields[f];
      const char *dot = strrchr(ids->attrs.path, '.');
      if (!dot || strcmp(dot + 1, field->name) || field->type.rank != ids->type.rank || dtype_is_float(field->type.dtype)) continue;
      field->high = classes;
      field->ignore = (int64_t)skip;
    }
}

static Value one_hot_call(Lower *l, Call *call, const Builtin *self) {
  const Expr *over = take_key(call, "over"), *like = take_key(call, "like"), *ignore = take_key(call, "ignore");
  Node *y = right_count(l, call, self) ? arg(l, call, 0) : NULL;
  Dim classes = dim_literal(0);
  if (!y) return poison();
  if (dtype_is_float(y->type.dtype) || y->type.dtype == BOOL) return report(l->d, E0208, place(l, call->e->at), "classes must be integers, they are %s", describe(l, &call->value[0])), poison();
  if (like) {
    Value v = eval(l, like);
    if (v.kind != TENSOR) return poison();
    if (v.node->type.rank != y->type.rank + 1) return report(l->d, E0204, place(l, call->e->at), "scores %s need classes with one axis less, they are %s", describe(l, &v), describe(l, &call->value[0])), poison();
    classes = v.node->type.dim[v.node->type.rank - 1];
  } else if (!over || !dim_of(l, over, &classes)) {
    if (!over) report(l->d, E0104, place(l, call->e->at), "one_hot needs over: and the number of classes");
    return poison();
  }
  note_labels(l, y, classes.size, ignore);
  Builder b = builder(l, call->e);
  Type column = y->type, row = type_shape(I32, 1, &classes);
  column.dim[column.rank++] = dim_literal(1);
  Node *in[2] = {b_iota(&b, &row, 0), b_reshape(&b, y, &column)};
  return apply(l, OP_eq, 2, in, NULL, call->e);
}

static Value iota_call(Lower *l, Call *call, const Builtin *self) {
  Dim dim;
  if (!right_count(l, call, self) || !call->expr[0] || !dim_of(l, call->expr[0], &dim)) return poison();
  Builder b = builder(l, call->e);
  Type t = type_shape(I32, 1, &dim);
  return tensor_value(b_iota(&b, &t, 0));
}

/* ---- randomness and gradients ---- */

static Node *draw(Lower *l, const Type *shape, const char *site, const Expr *e) {
  Attrs attrs = {.path = site, .shape = *shape};
  return node_new(l->graph, OP_random, NULL, 0, &attrs, join(l, l->prefix, "draw"), place(l, e->at));
}

static Value dropout_call(Lower *l, Call *call, const Builtin *self) {
  double p = 0.5;
  if (!right_count(l, call, self)) return poison();
  Node *x = arg(l, call, 0);
  if (!x || (call->n == 2 && !(call->value[1].kind == NUMBER || call->value[1].kind == DIM))) return x ? report(l->d, E0106, place(l, call->e->at), "the probability of dropout must be known at compile time"), poison() : poison();
  if (call->n == 2) p = call->value[1].number;
  if (p < 0 || p > 1) return report(l->d, E0106, place(l, call->e->at), "the probability of dropout lies in [0, 1], this is %g", p), poison();
  if (!l->training || p == 0) return tensor_value(x);
  Builder b = builder(l, call->e);
  Type shape = x->type;
  shape.dtype = F32;
  const char *site = arena_print(l->arena, "%s.dropout@%d:%d", b.prefix, call->e->at->line, call->e->at->column);
  Node *keep = b_cast(&b, b_scalar(&b, OP_ge, draw(l, &shape, site, call->e), p), F32);
  return tensor_value(b_binary(&b, OP_mul, x, p == 1 ? b_scalar(&b, OP_mul, keep, 0) : b_scalar(&b, OP_mul, keep, 1 / (1 - p))));
}

static Value grad_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  if (call->value[1].kind == INSTANCE) return not_yet(l, call->e->at, "grad with respect to an instance"), poison();
  Node *in[2] = {arg(l, call, 0), arg(l, call, 1)};
  if (!in[0] || !in[1]) return poison();
  if (in[0]->type.rank != 0) return report(l->d, E0602, place(l, call->e->at), "only a scalar can be differentiated, this is %s", describe(l, &call->value[0])), poison();
  return apply(l, OP_grad, 2, in, NULL, call->e);
}

/* outer(a - b): broadcasting that repeats a name is meant. */
static Value outer_call(Lower *l, Call *call, const Builtin *self) {
  (void)self;
  return not_yet(l, call->e->at, "outer"), poison();
}

static Value later_call(Lower *l, Call *call, const Builtin *self) {
  return not_yet(l, call->e->at, self->name), poison();
}

static const Builtin table[] = {
    {"exp", map_call, OP_exp, 1, 1, NULL}, {"expm1", map_call, OP_expm1, 1, 1, NULL}, {"log", map_call, OP_log, 1, 1, NULL},
    {"log1p", map_call, OP_log1p, 1, 1, NULL}, {"sqrt", map_call, OP_sqrt, 1, 1, NULL}, {"rsqrt", map_call, OP_rsqrt, 1, 1, NULL},
    {"sin", map_call, OP_sin, 1, 1, NULL}, {"cos", map_call, OP_cos, 1, 1, NULL}, {"tanh", map_call, OP_tanh, 1, 1, NULL},
    {"erf", map_call, OP_erf, 1, 1, NULL}, {"sigmoid", map_call, OP_sigmoid, 1, 1, NULL}, {"relu", map_call, OP_relu, 1, 1, NULL},
    {"abs", map_call, OP_abs, 1, 1, NULL}, {"sign", map_call, OP_sign, 1, 1, NULL}, {"floor", map_call, OP_floor, 1, 1, NULL},
    {"ceil", map_call, OP_ceil, 1, 1, NULL}, {"round", map_call, OP_round, 1, 1, NULL}, {"stop", map_call, OP_stop, 1, 1, NULL},
    {"maximum", map_call, OP_maximum, 2, 2, NULL}, {"minimum", map_call, OP_minimum, 2, 2, NULL}, {"pow", map_call, OP_pow, 2, 2, NULL},
    {"where", where_call, OP_where, 3, 3, NULL}, {"clamp", clamp_call, OP_clamp, 1, 1, "min max"},
    {"f32", cast_call, OP_cast, 1, 1, NULL}, {"f64", cast_call, OP_cast, 1, 1, NULL}, {"i32", cast_call, OP_cast, 1, 1, NULL},
    {"u8", cast_call, OP_cast, 1, 1, NULL}, {"bool", cast_call, OP_cast, 1, 1, NULL},
    {"reshape", reshape_call, OP_reshape, 2, 2, NULL}, {"transpose", transpose_call, OP_transpose, 3, 3, NULL}, {"t", transpose_call, OP_transpose, 1, 1, NULL},
    {"size", size_call, OP_iota, 1, 1, "over"}, {"one_hot", one_hot_call, OP_eq, 1, 1, "over like ignore"}, {"iota", iota_call, OP_iota, 1, 1, NULL},
    {"sum", reduce_call, OP_sum, 1, 1, "over keep"}, {"mean", reduce_call, OP_sum, 1, 1, "over keep"}, {"max", reduce_call, OP_max, 1, 1, "over keep"},
    {"min", reduce_call, OP_min, 1, 1, "over keep"}, {"var", reduce_call, OP_sum, 1, 1, "over keep unbiased"}, {"std", reduce_call, OP_sum, 1, 1, "over keep unbiased"},
    {"norm", reduce_call, OP_sum, 1, 1, "over keep"}, {"logsumexp", reduce_call, OP_sum, 1, 1, "over keep"}, {"count", count_call, OP_rows, 1, 1, "over"},
    {"argmax", argmax_call, OP_argmax, 1, 1, "over keep"}, {"argmin", argmax_call, OP_argmin, 1, 1, "over keep"},
    {"softmax", softmax_call, OP_exp, 1, 1, "over"}, {"log_softmax", softmax_call, OP_log, 1, 1, "over"},
    {"dropout", dropout_call, OP_random, 1, 2, NULL}, {"grad", grad_call, OP_grad, 2, 2, NULL}, {"outer", outer_call, OP_add, 1, 1, NULL},
    {"concat", later_call, OP_copy, 0, 16, ""}, {"split", later_call, OP_copy, 0, 16, ""}, {"pad", later_call, OP_copy, 0, 16, ""},
    {"einsum", later_call, OP_copy, 0, 16, ""}, {"stack", later_call, OP_copy, 0, 16, ""}, {"causal", later_call, OP_copy, 0, 16, ""},
    {"conv1d", later_call, OP_copy, 0, 16, ""}, {"conv2d", later_call, OP_copy, 0, 16, ""}, {"max_pool", later_call, OP_copy, 0, 16, ""},
};
enum { N_BUILTINS = sizeof table / sizeof table[0] };

const Builtin *builtin_find(const char *name) {
  for (int i = 0; i < N_BUILTINS; i++)
    if (!strcmp(table[i].name, name)) return &table[i];
  return NULL;
}

int builtin_names(const char **out, int room) {
  int n = 0;
  while (n < N_BUILTINS && n < room) out[n] = table[n].name, n++;
  return n;
}
