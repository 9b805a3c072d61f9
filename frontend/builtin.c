/* builtin.c - the functions that the compiler knows; builtins.def lists them. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

bool right_count(Lower *l, Call *call, const Builtin *self) {
  const char *keys[16];
  int n = 0;
  char *words = arena_copy(l->arena, self->keys, strlen(self->keys));
  for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) keys[n++] = word;
  if (call->n < self->least || call->n > self->most) {
    report(l->d, E0104, place(l, call->e->at),
           self->least == self->most ? "%s takes %d argument%s, %d %s given"
                                     : "%s takes at least %d argument%s, %d %s given",
           self->name, self->least, self->least == 1 ? "" : "s", call->n, call->n == 1 ? "is" : "are");
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

static Node *arg(Lower *l, Call *call, int i) {
  return as_tensor(l, call->value[i], dtype_of_args(call), call->expr[i] ? call->expr[i] : call->e);
}

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
  if (call->n == 1 && (v->kind == NUMBER || (v->kind == DIM && !v->dim.rows)) &&
      fold_unary(self->op, v->kind == DIM ? (double)v->dim.size : v->number, &folded))
    return number_value(folded, true);
  if (call->n == 2) return binary(l, self->op, call->value[0], call->value[1], call->e);
  for (int i = 0; i < call->n; i++)
    if (!(in[i] = arg(l, call, i))) return poison();
  /* those of nn.mt only give a value another slope than its own, or shift: differences agree */
  Attrs attrs = {.said = self->op == OP_stop && !call->e->at->source->standard};
  return apply(l, self->op, call->n, in, &attrs, call->e);
}

static Value where_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  DType dtype = call->value[1].kind == TENSOR   ? call->value[1].node->type.dtype
                : call->value[2].kind == TENSOR ? call->value[2].node->type.dtype
                                                : F32;
  Node *in[3] = {as_tensor(l, call->value[0], BOOL, call->e), as_tensor(l, call->value[1], dtype, call->e),
                 as_tensor(l, call->value[2], dtype, call->e)};
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

/* zeros([B, H]), ones([B, H]) */
/* The shape that argument k writes in brackets; says what is wrong with it. */
static bool asked_shape(Lower *l, Call *call, const Builtin *self, int k, const char *example, Type *out) {
  const Expr *e = call->expr[k];
  if (!e || e->kind != EXPR_SHAPE) {
    report(l->d, E0206, place(l, call->e->at), "%s takes a shape in brackets: %s(%s)", self->name, self->name, example);
    return false;
  }
  TypeExpr written = {.at = e->at, .n_dims = e->n_args, .dims = e->args, .has_shape = true};
  if (!shape_of(l, &written, out)) return false;
  for (int i = 0; i < out->rank; i++)
    if (!own_batch(l, out->dim[i], e)) return false;
  return true;
}

static Value filled_call(Lower *l, Call *call, const Builtin *self) {
  Attrs attrs = {0};
  if (!right_count(l, call, self) || !in_graph(l, call->e) || !asked_shape(l, call, self, 0, "[B, 4]", &attrs.shape)) return poison();
  attrs.shape.dtype = F32;
  Builder b = builder(l, call->e);
  Node *number = b_const(&b, F32, !strcmp(self->name, "ones"));
  return attrs.shape.rank ? apply(l, OP_broadcast, 1, &number, &attrs, call->e) : tensor_value(number);
}

static Node *draw(Lower *l, Builder *b, const char *name, const Type *shape, bool normal) {
  Attrs attrs = {.path = b->prefix, .shape = *shape, .distribution = normal};
  attrs.shape.dtype = F32;
  Node *turns[MAX_RANK];
  int n_turns = turns_of_loops(l, turns);
  return node_new(l->graph, OP_random, turns, n_turns, &attrs, name, b->span);
}

/* In training and elsewhere alike. */
static Value drawn_call(Lower *l, Call *call, const Builtin *self) {
  Type shape = {0};
  if (!right_count(l, call, self) || !in_graph(l, call->e) || !asked_shape(l, call, self, 0, "[B, 4]", &shape)) return poison();
  Builder b = builders(l, call->e, self->name);
  return tensor_value(draw(l, &b, b.prefix, &shape, !strcmp(self->name, "randn")));
}

static Value reshape_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  Node *x = arg(l, call, 0);
  Attrs attrs = {0};
  if (!x || !asked_shape(l, call, self, 1, "x, [B, 4]", &attrs.shape)) return poison();
  attrs.shape.dtype = x->type.dtype;
  return apply(l, OP_reshape, 1, &x, &attrs, call->e);
}

static Value transpose_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  Node *x = arg(l, call, 0);
  int rank = x ? x->type.rank : 0, a = rank - 2, b = rank - 1;
  if (!x) return poison();
  if (rank < 2)
    return report(l->d, E0204, place(l, call->e->at), "%s needs two axes or more, this is %s", self->name,
                  describe(l, &call->value[0])),
           poison();
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
  if (x && !over) report(l->d, E0104, place(l, call->e->at), "size needs over: and an axis");
  if (!x || !over || !axes_of(l, over, &x->type, axes, &n)) return poison();
  return (Value){.kind = DIM, .dim = x->type.dim[axes[0]]};
}

/* one_hot(y, over: K): [.., K] bools; labels taken straight from a data field must lie in [0, K). */
static Value one_hot_call(Lower *l, Call *call, const Builtin *self) {
  const Expr *over = take_key(call, "over"), *like = take_key(call, "like"), *ignore = take_key(call, "ignore");
  Node *y = right_count(l, call, self) ? arg(l, call, 0) : NULL;
  Dim classes = dim_literal(0);
  if (!y) return poison();
  if (dtype_is_float(y->type.dtype) || y->type.dtype == BOOL)
    return report(l->d, E0208, place(l, call->e->at), "classes must be integers, they are %s",
                  describe(l, &call->value[0])),
           poison();
  if (like) {
    Value v = eval(l, like);
    if (v.kind != TENSOR) {
      if (v.kind != POISON) report(l->d, E0106, place(l, like->at), "like: takes the scores, this is %s", describe(l, &v));
      return poison();
    }
    if (v.node->type.rank != y->type.rank + 1) {
      report(l->d, E0204, place(l, call->e->at), "scores %s need classes with one axis less, they are %s",
             describe(l, &v), describe(l, &call->value[0]));
      if (y->type.rank > 1 && y->type.dim[y->type.rank - 1].size == 1) report_help(l->d, "take the last axis away: y[:, 0]");
      return poison();
    }
    classes = v.node->type.dim[v.node->type.rank - 1];
  } else if (!over || !dim_of(l, over, &classes)) {
    if (!over) report(l->d, E0104, place(l, call->e->at), "one_hot needs over: and the number of classes");
    return poison();
  }
  int64_t skip = 0;
  if (!ignore || whole_number(l, ignore, &skip)) note_labels(l, y, classes.size, skip);
  Builder b = builders(l, call->e, self->name);
  Type column = y->type, row = type_shape(I32, 1, &classes);
  column.dim[column.rank++] = dim_literal(1);
  Node *in[2] = {b_iota(&b, &row, 0), b_reshape(&b, y, &column)};
  return apply(l, OP_eq, 2, in, NULL, call->e);
}

static Value iota_call(Lower *l, Call *call, const Builtin *self) {
  Dim dim;
  if (!right_count(l, call, self) || !in_graph(l, call->e) || !call->expr[0] || !dim_of(l, call->expr[0], &dim) ||
      !own_batch(l, dim, call->e))
    return poison();
  Builder b = builder(l, call->e);
  Type t = type_shape(I32, 1, &dim);
  return tensor_value(b_iota(&b, &t, 0));
}

/* ---- randomness and gradients ---- */

static bool probability(Lower *l, const Call *call, double *p) {
  const Value *v = &call->value[1];
  if (call->n < 2) return *p = 0.5, true;
  if (v->kind != NUMBER && !(v->kind == DIM && !v->dim.rows))
    return report(l->d, E0106, place(l, call->e->at),
                  "the probability of dropout must be known at compile time, this is %s", describe(l, v)),
           false;
  *p = v->kind == DIM ? (double)v->dim.size : v->number;
  if (*p < 0 || *p > 1)
    return report(l->d, E0106, place(l, call->e->at), "the probability of dropout lies in [0, 1], this is %g", *p),
           false;
  return true;
}

/* Drawn by the element's place and the name of this call, which no other call has. */
static Value dropout_call(Lower *l, Call *call, const Builtin *self) {
  double p;
  if (!right_count(l, call, self)) return poison();
  Node *x = arg(l, call, 0);
  if (!x || !probability(l, call, &p)) return poison();
  if (!l->training || p == 0) return tensor_value(x);
  Builder b = builders(l, call->e, self->name);
  Node *drawn = draw(l, &b, join(l, b.prefix, "draw"), &x->type, false);
  Node *keep = b_cast(&b, b_scalar(&b, OP_ge, drawn, p), F32);
  return tensor_value(b_binary(&b, OP_mul, x, b_scalar(&b, OP_mul, keep, p == 1 ? 0 : 1 / (1 - p))));
}

/* "net.fc.weight"; of an operation the place is its sign alone. */
static const char *as_written(Lower *l, const Expr *e) {
  const char *line = e->at->source->text;
  if (!line || e->kind == EXPR_BINARY || e->kind == EXPR_PIPE) return "the second argument";
  for (int i = 1; i < e->at->line; i++) line = strchr(line, '\n') + 1;
  return arena_copy(l->arena, line + e->at->column - 1, (size_t)e->at->length);
}

/* Why y has no slope in x, and the way out. */
static void help_grad(Lower *l, const Node *y, const Node *x, const char *what) {
  if (!dtype_is_float(x->type.dtype))
    report_help(l->d, "%s is %s: only floats have a slope", what, dtype_name(x->type.dtype));
  else if (is_used_by(l, y, x) && note_end(l, x, y))
    report_help(l->d, "comparisons, argmax, rounding and stop() let no gradient through");
  else if (is_used_by(l, x, y))
    report_help(l->d, "%s is computed from the first argument: grad(y, x) is the slope of y in x", what);
  else if (x->op == OP_input || x->op == OP_param)
    report_help(l->d, "the first argument is not computed from %s", what);
  else
    report_help(l->d, "the first argument is not computed from %s: name the value first, then compute with the name",
                what);
}

/* After an update: y may have been made of the weights as they were. */
static Node *as_y_has_it(const Lower *l, Node *x, const bool *reached) {
  for (int i = 0; x->op == OP_param && !reached[x->id] && i < l->graph->n_nodes; i++) {
    Node *other = l->graph->nodes[i];
    if (other->op == OP_param && reached[i] && !strcmp(other->attrs.path, x->attrs.path)) return other;
  }
  return x;
}

static Value grad_of(Lower *l, Call *call, Node *y, Node *x, const bool *reached, const char *what) {
  x = as_y_has_it(l, x, reached);
  if (reached[x->id]) return apply(l, OP_grad, 2, (Node *[]){y, x}, NULL, call->e);
  report(l->d, E0601, place(l, call->e->at), "no gradient reaches %s: it would be zero everywhere", what);
  help_grad(l, y, x, what);
  return poison();
}

/* The gradients of all parameters of an instance, by path. */
static Value grad_of_instance(Lower *l, Call *call, Node *y, const Instance *instance) {
  Value record = {.kind = RECORD, .name = instance->path};
  for (int i = 0; i < l->program->n_params; i++) {
    const Param *param = &l->program->params[i];
    int n = record.n;
    if (!is_under(param->path, instance->path)) continue;
    Node *leaf = param_value(l, param, param->span).node;
    Value g = grad_of(l, call, y, leaf, reached_from(l, y), arena_print(l->arena, "the parameter %s", param->path));
    if (g.kind == POISON) return g;
    LIST_PUSH(l->arena, record.names, record.n, param->path);
    LIST_PUSH(l->arena, record.items, n, g);
  }
  if (record.n) return record;
  report(l->d, E0503, place(l, call->e->at), "%s has no parameters", instance->path);
  help_uncalled(l, instance);
  return poison();
}

static Value grad_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  Node *y = arg(l, call, 0);
  if (!y) return poison();
  const Value *of = &call->value[1];
  if (y->type.rank != 0) {
    report(l->d, E0602, place(l, call->expr[0] ? call->expr[0]->at : call->e->at),
           "only a scalar can be differentiated, this is %s", describe(l, &call->value[0]));
    report_help(l->d, of->kind == TENSOR && of->node->type.rank == 0
                          ? "the scalar comes first: grad(y, x) is the slope of y in x"
                          : "take the sum, for slopes row by row, or the mean: grad(sum(y), x)");
    return poison();
  }
  if (of->kind == INSTANCE) return grad_of_instance(l, call, y, of->instance);
  if (of->kind == TUPLE) {
    report(l->d, E0106, place(l, call->expr[1]->at), "grad takes one value, parameter or instance, this is a list");
    report_help(l->d, "write a grad(y, x) for each x");
    return poison();
  }
  Node *x = arg(l, call, 1);
  const Expr *e = call->expr[1];
  return x ? grad_of(l, call, y, x, reached_from(l, y), e ? as_written(l, e) : "the piped value") : poison();
}

/* outer(a - b): broadcasting that repeats a name is meant; eval_call has let it pass. */
static Value outer_call(Lower *l, Call *call, const Builtin *self) {
  return right_count(l, call, self) ? call->value[0] : poison();
}

static const Builtin table[] = {
#define BUILTIN(name, run, op, least, most, keys) {#name, run, OP_##op, least, most, keys},
#include "frontend/builtins.def"
#undef BUILTIN
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
