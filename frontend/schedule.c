/* schedule.c - learning rates and other options as scalars of step, epoch and total.
 *
 * With s the step (from 0), w the warmup and n the updates planned:
 *   warmup            a min(1, (s + 1) / w)
 *   cosine(a)         a/2 (1 + cos(pi (s - w) / (n - w)))   after w
 *   linear(a, to: b)  a + (b - a) (s - w) / (n - w)         after w
 *   step_decay(a, every: e, by: f)   a f^floor(s / e)
 *   one_cycle(a)      PyTorch's OneCycleLR: from a/25 up to a over the first 30%, then down to a/250000,
 *                     both along a cosine
 */
#include <string.h>

#include "frontend/lower.h"

static Node *counter(Builder *b, const char *name) {
  Attrs attrs = {.path = name, .shape = type_scalar(F64)};
  return node_new(b->graph, OP_counter, NULL, 0, &attrs, name, b->span);
}

static Node *option(Lower *l, Call *call, const char *key, double otherwise, Builder *b) {
  const Expr *e = take_key(call, key);
  return e ? schedule_value(l, e) : b_const(b, F64, otherwise);
}

/* (s - w) / max(n - w, 1) */
static Node *progress(Builder *b, Node *w) {
  Node *left = b_binary(b, OP_sub, counter(b, "total"), w);
  return b_binary(b, OP_div, b_binary(b, OP_sub, counter(b, "step"), w), b_scalar(b, OP_maximum, left, 1));
}

static Node *half_cosine(Builder *b, Node *x) { /* from 1 at 0 to 0 at 1 */
  return b_scalar(b, OP_mul, b_scalar(b, OP_add, b_unary(b, OP_cos, b_scalar(b, OP_mul, x, 3.141592653589793)), 1),
                  0.5);
}

static Node *warmed(Builder *b, Node *a, Node *w, Node *after) {
  Node *step = counter(b, "step");
  Node *rising =
      b_binary(b, OP_mul, a, b_binary(b, OP_div, b_scalar(b, OP_add, step, 1), b_scalar(b, OP_maximum, w, 1)));
  return b_where(b, b_binary(b, OP_lt, step, w), rising, after);
}

static Node *one_cycle(Builder *b, Node *a) {
  Node *step = counter(b, "step"), *last = b_scalar(b, OP_sub, counter(b, "total"), 1);
  Node *top = b_scalar(b, OP_sub, b_scalar(b, OP_mul, counter(b, "total"), 0.3), 1);
  Node *up = b_binary(b, OP_div, step, b_scalar(b, OP_maximum, top, 1e-9));
  Node *down = b_binary(b, OP_div, b_binary(b, OP_sub, step, top),
                        b_scalar(b, OP_maximum, b_binary(b, OP_sub, last, top), 1e-9));
  Node *first = b_scalar(b, OP_mul, a, 1.0 / 25), *end = b_scalar(b, OP_mul, first, 1e-4);
  Node *rise = b_binary(b, OP_add, a, b_binary(b, OP_mul, b_binary(b, OP_sub, first, a), half_cosine(b, up)));
  Node *fall = b_binary(b, OP_add, end, b_binary(b, OP_mul, b_binary(b, OP_sub, a, end), half_cosine(b, down)));
  return b_where(b, b_binary(b, OP_le, step, top), rise, fall);
}

static const struct {
  const char *name, *keys[3];
  int n_keys;
} schedules[] = {{"cosine", {"warmup"}, 1},
                 {"linear", {"warmup", "to"}, 2},
                 {"step_decay", {"warmup", "every", "by"}, 3},
                 {"one_cycle", {NULL}, 0}};
enum { N_SCHEDULES = sizeof schedules / sizeof schedules[0] };

static int schedule_find(const char *name) {
  for (int i = 0; i < N_SCHEDULES; i++)
    if (!strcmp(name, schedules[i].name)) return i;
  return -1;
}

int schedule_names(const char **out) {
  for (int i = 0; i < N_SCHEDULES; i++) out[i] = schedules[i].name;
  return N_SCHEDULES;
}

bool is_schedule(const Lower *l, const Expr *e) {
  return e->kind == EXPR_NAME && schedule_find(e->name) >= 0 && !lookup(l->scope, e->name, true);
}

static bool is_below(const Node *node, double least) { return node->op == OP_const && node->attrs.value < least; }

/* A number of updates: 0.1 is the habit of those who count in parts of the run. */
static Node *updates_option(Lower *l, Call *call, const char *key, double otherwise, double least, Builder *b) {
  const Expr *e = take_key(call, key);
  Node *node = e ? schedule_value(l, e) : b_const(b, F64, otherwise);
  if (!e || !node || !(is_below(node, least) || (is_below(node, 1) && node->attrs.value != 0))) return node;
  report(l->d, E0502, e->at, "%s: counts updates, and %g is less than one", key, node->attrs.value);
  if (node->attrs.value > 0) report_help(l->d, "a part of the run is written %s: %g * total", key, node->attrs.value);
  return NULL;
}

static Node *decayed(Lower *l, Call *call, Node *a, Builder *b) {
  Node *every = updates_option(l, call, "every", 1, 1, b), *by = option(l, call, "by", 0.1, b);
  if (!every || !by) return NULL;
  Node *times = b_unary(b, OP_floor, b_binary(b, OP_div, counter(b, "step"), every));
  return b_binary(b, OP_mul, a, b_binary(b, OP_pow, by, times));
}

/* What follows the warmup; NULL after a report. */
static Node *falling(Lower *l, Call *call, const char *name, Node *a, Node *w, Builder *b) {
  if (!strcmp(name, "cosine")) return b_binary(b, OP_mul, a, half_cosine(b, progress(b, w)));
  if (!strcmp(name, "step_decay")) return decayed(l, call, a, b);
  Node *to = option(l, call, "to", 0, b);
  return to ? b_binary(b, OP_add, a, b_binary(b, OP_mul, b_binary(b, OP_sub, to, a), progress(b, w))) : NULL;
}

Value schedule_call(Lower *l, const Expr *e) {
  const char *name = e->args[0]->name;
  int k = schedule_find(name);
  if (l->graph != l->program->schedule) {
    report(l->d, E0502, place(l, e->at), "%s is a schedule, which has its place in the options of an optimizer", name);
    report_help(l->d, "write: update net minimize loss using adamw(lr: %s(...))", name);
    return poison();
  }
  Builder b = builder(l, e);
  Call call;
  if (!collect_args(l, e, NULL, &call)) return poison();
  if (call.n != 1)
    return report(l->d, E0502, e->at, "%s takes the rate it starts from, then options by name", name), poison();
  if (!strcmp(name, "step_decay") && !has_key(&call, "every"))
    return report(l->d, E0104, e->at, "step_decay needs every: the updates from one step down to the next"), poison();
  Node *a = as_tensor(l, call.value[0], F64, e), *out = NULL;
  if (a && !strcmp(name, "one_cycle")) {
    out = one_cycle(&b, a);
  } else if (a) {
    Node *w = updates_option(l, &call, "warmup", 0, 0, &b), *after = w ? falling(l, &call, name, a, w, &b) : NULL;
    out = after ? warmed(&b, a, w, after) : NULL;
  }
  return check_keys(l, &call, name, schedules[k].keys, schedules[k].n_keys) && out ? tensor_value(out) : poison();
}

/* What is no one number: for each the way to what was meant. */
static Node *no_scalar(Lower *l, const Value *v, const Expr *e) {
  if (v->kind == TENSOR && v->node->type.dtype == BOOL) {
    report(l->d, E0502, e->at, "an option of an optimizer is a number, this is true or false");
    report_help(l->d, "to choose by the step write where(step < 100, 0.1, 0.01)");
  } else if (v->kind == TENSOR) {
    report(l->d, E0502, e->at, "an option of an optimizer is one number, this is %s", describe(l, v));
  } else if (v->kind == TUPLE) {
    report(l->d, E0502, e->at, "an option of an optimizer is one number, this is a list of %d", v->n);
    report_help(l->d, "parts with rates of their own: "
                      "update net minimize loss using sgd(lr: 0.1), net.fc using sgd(lr: 0.01)");
  } else {
    report(l->d, E0502, e->at, "an option of an optimizer is a number or a schedule, this is %s", describe(l, v));
    if (v->kind == TEXT && schedule_find(v->name) >= 0) report_help(l->d, "write lr: %s(1e-3)", v->name);
  }
  return NULL;
}

static Node *scalar_option(Lower *l, const Expr *e) {
  Value v = eval(l, e);
  if (v.kind == POISON) return NULL;
  if (v.kind == TUPLE || v.kind == TEXT || v.kind == TRUTH) return no_scalar(l, &v, e);
  Node *out = as_tensor(l, v, F64, e);
  if (!out) return NULL;
  if (out->type.rank != 0 || type_rows(&out->type) || out->type.dtype == BOOL) return no_scalar(l, &v, e);
  Builder b = builder(l, e);
  return out->type.dtype == F64 ? out : b_cast(&b, out, F64);
}

Node *schedule_value(Lower *l, const Expr *e) {
  Graph *saved_graph = l->graph;
  const char *saved_prefix = l->prefix;
  l->graph = l->program->schedule;
  Node *out = scalar_option(l, e);
  l->graph = saved_graph;
  l->prefix = saved_prefix;
  return out;
}
