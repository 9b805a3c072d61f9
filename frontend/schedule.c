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

static const char *const keys[] = {"warmup", "to", "every", "by"};

static Node *schedule_call(Lower *l, const Expr *e, const char *name) {
  Builder b = builder(l, e);
  Call call;
  if (!collect_args(l, e, NULL, &call)) return NULL;
  if (call.n != 1)
    return report(l->d, E0502, e->at, "%s takes the rate it starts from, then options by name", name), NULL;
  Node *a = as_tensor(l, call.value[0], F64, e), *w = option(l, &call, "warmup", 0, &b), *out = NULL;
  if (!a || !w) return NULL;
  if (!strcmp(name, "cosine"))
    out = warmed(&b, a, w, b_binary(&b, OP_mul, a, half_cosine(&b, progress(&b, w))));
  else if (!strcmp(name, "linear")) {
    Node *to = option(l, &call, "to", 0, &b);
    if (to)
      out =
          warmed(&b, a, w, b_binary(&b, OP_add, a, b_binary(&b, OP_mul, b_binary(&b, OP_sub, to, a), progress(&b, w))));
  } else if (!strcmp(name, "step_decay")) {
    Node *every = option(l, &call, "every", 1, &b), *by = option(l, &call, "by", 0.1, &b);
    if (every && by)
      out = warmed(
          &b, a, w,
          b_binary(&b, OP_mul, a,
                   b_binary(&b, OP_pow, by, b_unary(&b, OP_floor, b_binary(&b, OP_div, counter(&b, "step"), every)))));
  } else {
    out = one_cycle(&b, a);
  }
  return check_keys(l, &call, name, keys, 4) ? out : NULL;
}

Node *schedule_value(Lower *l, const Expr *e) {
  static const char *const names[] = {"cosine", "linear", "step_decay", "one_cycle"};
  Graph *saved_graph = l->graph;
  const char *saved_prefix = l->prefix;
  Node *out = NULL;
  bool is_schedule = false;
  l->graph = l->program->schedule;
  if (e->kind == EXPR_CALL && e->args[0]->kind == EXPR_NAME && !lookup(l->scope, e->args[0]->name, true))
    for (int i = 0; i < 4; i++)
      if (!strcmp(e->args[0]->name, names[i])) is_schedule = true, out = schedule_call(l, e, names[i]);
  if (!is_schedule) {
    out = as_tensor(l, eval(l, e), F64, e);
    if (out && (out->type.rank != 0 || type_rows(&out->type)))
      out = (report(l->d, E0502, e->at, "an option of an optimizer is a scalar in step, epoch and total"), NULL);
    if (out && out->type.dtype != F64) {
      Builder b = builder(l, e);
      out = b_cast(&b, out, F64);
    }
  }
  l->graph = saved_graph;
  l->prefix = saved_prefix;
  return out;
}
