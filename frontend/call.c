/* call.c - calls: functions, modules, instances, and the pipe. */
#include <string.h>

#include "frontend/lower.h"

enum { MAX_DEPTH = 200, MAX_CALLS = 100000 };

bool collect_args(Lower *l, const Expr *call, const Value *piped, Call *out) {
  *out = (Call){.e = call};
  if (piped) out->value[out->n++] = *piped;
  bool ok = !piped || piped->kind != POISON;
  for (int i = 1; call->kind == EXPR_CALL && i < call->n_args; i++) {
    if (out->n == MAX_ARGS || out->n_keys == MAX_ARGS)
      return report(l->d, E0104, place(l, call->at), "more than %d arguments", MAX_ARGS), false;
    if (call->keys[i]) {
      for (int k = 0; k < out->n_keys; k++)
        if (!strcmp(out->key[k], call->keys[i]))
          report(l->d, E0103, place(l, call->key_at[i]), "%s is given twice", call->keys[i]);
      out->key[out->n_keys] = call->keys[i];
      out->key_at[out->n_keys] = call->key_at[i];
      out->key_expr[out->n_keys++] = call->args[i];
      continue;
    }
    out->expr[out->n] = call->args[i];
    out->value[out->n] = call->args[i]->kind == EXPR_SHAPE
                             ? (Value){.kind = TUPLE}
                             : eval_at(l, call->args[i], arena_print(l->arena, "arg%d", out->n + 1));
    ok &= out->value[out->n++].kind != POISON;
  }
  return ok;
}

const Expr *take_key(Call *call, const char *name) {
  for (int k = 0; k < call->n_keys; k++)
    if (!strcmp(call->key[k], name)) return call->key_used[k] = true, call->key_expr[k];
  return NULL;
}

bool has_key(const Call *call, const char *name) {
  for (int k = 0; k < call->n_keys; k++)
    if (!strcmp(call->key[k], name)) return true;
  return false;
}

bool check_keys(Lower *l, Call *call, const char *what, const char *const *allowed, int n) {
  bool ok = true;
  for (int k = 0; k < call->n_keys; k++) {
    if (call->key_used[k]) continue;
    const char *guess = nearest(call->key[k], allowed, n);
    report(l->d, E0103, place(l, call->key_at[k]), "%s has no option %s", what, call->key[k]);
    if (guess) report_help(l->d, "did you mean %s?", guess);
    ok = false;
  }
  return ok;
}

/* ---- functions ---- */

static bool same_place(const Span *a, const Span *b) {
  return a->source == b->source && a->line == b->line && a->column == b->column;
}

/* Of nested calls the innermost that leads back to itself: what it calls besides is not to blame. */
static const Span *repeated(const Span *at) {
  for (const Span *c = at; c; c = c->caller)
    for (const Span *outer = c->caller; outer; outer = outer->caller)
      if (same_place(c, outer)) return c;
  return at;
}

bool enter(Lower *l, Frame *saved, const Scope *home, const Span *at, const char *prefix) {
  *saved = (Frame){l->scope, l->caller, l->instance, l->prefix, l->spot, l->n_locals, l->outer, l->locals};
  if (l->depth == MAX_DEPTH && l->n_calls <= MAX_CALLS) {
    report(l->d, E0302, repeated(at), "calls are nested more than %d deep: does something call itself?", MAX_DEPTH);
    report_help(l->d, "calls are expanded where they stand; a stack of equal blocks is a loop: for b in stack(Block(), L) ...");
    l->n_calls = MAX_CALLS + 1; /* once is enough */
  }
  if (l->n_calls++ == MAX_CALLS) report(l->d, E0302, at, "the model expands to more than %d calls", MAX_CALLS);
  if (l->n_calls > MAX_CALLS) return false;
  l->depth++;
  l->scope = scope_new(l, home);
  l->caller = at;
  l->prefix = prefix;
  l->spot = NULL;
  l->n_locals = l->outer = 0;
  l->locals = NULL;
  return true;
}

void leave(Lower *l, const Frame *saved) {
  l->depth--;
  l->scope = saved->scope;
  l->caller = saved->caller;
  l->instance = saved->instance;
  l->prefix = saved->prefix;
  l->spot = saved->spot;
  l->n_locals = saved->n_locals;
  l->outer = saved->outer;
  l->locals = saved->locals;
}

/* A default is read where its definition stands, among the arguments before it, as a call of its own: it may lead back
 * to itself. */
static Value default_value(Lower *l, const Call *call, int i, const FieldDecl *fields, const Value *before, const Scope *home) {
  Frame saved;
  if (!enter(l, &saved, home, place(l, call->e->at), l->prefix)) return poison();
  for (int j = 0; j < i; j++) define(l, fields[j].name, before[j], fields[j].at);
  Value v = eval(l, fields[i].fallback);
  leave(l, &saved);
  return v;
}

/* What a list in brackets is, a shape or numbers, is left to who asks (collect_args): here it is a tuple. */
static Value positional(Lower *l, const Call *call, int i) {
  const Expr *e = call->expr[i];
  return e && e->kind == EXPR_SHAPE ? eval(l, e) : call->value[i];
}

/* Positional arguments in order, then by name, then defaults (read where the definition stands). */
bool bind_fields(Lower *l, Call *call, int n, const FieldDecl *fields, const char *what, const Scope *home,
                 Value *out) {
  const char *names[64];
  bool ok = true;
  if (call->n > n) {
    report(l->d, E0104, place(l, call->e->at), "%s takes %d argument%s, %d %s given", what, n, n == 1 ? "" : "s",
           call->n, call->n == 1 ? "is" : "are");
    if (call->value[0].kind == TENSOR && !strncmp(what, "the module ", 11))
      report_help(l->d, "a module makes an instance, which takes values: x |> label: %s(...)", what + 11);
    return false;
  }
  for (int i = 0; i < n && i < 64; i++) {
    names[i] = fields[i].name;
    const Expr *given = take_key(call, fields[i].name);
    if (i < call->n)
      out[i] = positional(l, call, i);
    else if (given)
      out[i] = eval_at(l, given, fields[i].name);
    else if (fields[i].fallback)
      out[i] = default_value(l, call, i, fields, out, home);
    else {
      report(l->d, E0104, place(l, call->e->at), "%s: the argument %s is missing", what, fields[i].name);
      report_note(l->d, fields[i].at, "declared here");
      ok = false;
      out[i] = poison();
    }
    ok &= out[i].kind != POISON;
  }
  return check_keys(l, call, what, names, n < 64 ? n : 64) && ok;
}

/* exp(x) over its sum, as the compiler writes it or by hand. */
static bool is_softmax(const Node *node) {
  const Node *e = node->n_in == 2 ? node->in[0] : NULL, *part = e ? node->in[1] : NULL;
  if (!e || e->op != OP_exp) return false;
  if (node->op == OP_mul && part->op == OP_div && part->in[0]->op == OP_const) part = part->in[1];
  else if (node->op != OP_div) return false;
  return part->op == OP_sum && part->in[0] == e;
}

/* Back through what leaves the values as they are, or nearly: shapes, bounds, a small number added, dropout. */
static const Node *made_of(const Node *node) {
  for (;;) {
    if (is_softmax(node) || node->op == OP_sigmoid) return node;
    bool near = op_info[node->op].kind == VIEW || node->op == OP_clamp || node->op == OP_cast || node->op == OP_copy;
    near |= node->op == OP_add && node->in[1]->op == OP_const;
    near |= node->op == OP_mul && node->in[1]->op == OP_mul && node->in[1]->in[0]->op == OP_cast;
    if (!near) return NULL;
    node = node->in[0];
  }
}

/* Losses that take scores: of a softmax they would take the softmax again. */
static void warn_softmax(Lower *l, const Syntax *s, const Call *call, const Value *x) {
  bool is_cross = !strcmp(s->name, "cross_entropy"), is_binary = !strcmp(s->name, "bce_with_logits");
  if (!s->at->source->standard || !(is_cross || is_binary) || x->kind != TENSOR) return;
  const Node *made = made_of(x->node);
  if (!made || (made->op == OP_sigmoid) != is_binary) return;
  const char *name = is_binary ? "sigmoid" : "softmax";
  report(l->d, W0103, place(l, call->e->at),
         "%s takes scores, but these went through %s: it would be taken twice", s->name, name);
  report_note(l->d, made->span, "the %s", name);
  if (is_binary) report_help(l->d, "give bce_with_logits what sigmoid is given, or take bce");
  else report_help(l->d, "give cross_entropy what softmax is given");
}

/* Arguments that are declared a float, a bool ..: what does not fit is shown where it was given. */
static bool of_their_kinds(Lower *l, const Syntax *s, Call *call, Value *args) {
  bool ok = true;
  for (int i = 0; i < s->n_fields; i++) {
    const Expr *given = i < call->n ? call->expr[i] : take_key(call, s->fields[i].name);
    args[i] = configure(l, &s->fields[i], args[i], place(l, given ? given->at : call->e->at));
    ok &= args[i].kind != POISON;
  }
  return ok;
}

static Value call_fn(Lower *l, const Value *fn, Call *call) {
  const Syntax *s = fn->syntax;
  Value args[64], result;
  Frame saved;
  if (!bind_fields(l, call, s->n_fields, s->fields, s->name, fn->home, args)) return poison();
  if (!of_their_kinds(l, s, call, args)) return poison();
  warn_softmax(l, s, call, &args[0]);
  if (!enter(l, &saved, fn->home, place(l, call->e->at), claim(l, s->name))) return poison();
  for (int i = 0; i < s->n_fields; i++) define(l, s->fields[i].name, args[i], s->fields[i].at);
  if (s->value) {
    result = eval(l, s->value);
  } else {
    Outcome o = run_body(l, s->n_body, s->body);
    if (!o.returned) {
      report(l->d, E0303, s->at, "the function %s has no value: its last line must be an expression", s->name);
      note_open_end(l, s->n_body, s->body);
    }
    result = o.returned ? o.value : poison();
  }
  leave(l, &saved);
  return result;
}

/* ---- what is called ---- */

static Instance *child_at(Lower *l, const char *label) {
  int n = l->instance ? l->instance->n_children : l->n_roots;
  Instance **list = l->instance ? l->instance->children : l->roots;
  const char *path = join(l, l->instance ? l->instance->path : NULL, label);
  for (int i = 0; i < n; i++)
    if (!strcmp(list[i]->path, path)) return list[i];
  return NULL;
}

static void adopt(Lower *l, Instance *child) {
  if (l->instance)
    LIST_PUSH(l->arena, l->instance->children, l->instance->n_children, child);
  else
    LIST_PUSH(l->arena, l->roots, l->n_roots, child);
}

/* Apply a callee to arguments: what stands after |> or before ( ). */
static Value call_value(Lower *l, const Value *callee, Call *call, bool piped, const char *label,
                        const Expr *label_expr) {
  const Expr *e = call->e;
  if (callee->kind == BUILTIN) return callee->builtin->run(l, call, callee->builtin);
  if (callee->kind == INSTANCE) {
    if (!check_keys(l, call, callee->instance->path, NULL, 0)) return poison();
    return call_instance(l, callee->instance, call->n, call->value, place(l, e->at));
  }
  if (callee->kind != DEFINITION) {
    report(l->d, E0105, place(l, e->at), "%s cannot be called", describe(l, callee));
    help_callable(l, callee);
    return poison();
  }
  if (callee->syntax->kind == SYN_FN) return call_fn(l, callee, call);
  /* a module: with |> the arguments are its configuration */
  Call config = *call;
  if (piped) {
    config.n--;
    memmove(config.value, config.value + 1, sizeof *config.value * (size_t)config.n);
    memmove(config.expr, config.expr + 1, sizeof *config.expr * (size_t)config.n);
  }
  const char *name = label ? label : callee->syntax->name;
  Instance *instance = label ? child_at(l, label) : NULL;
  if (instance && instance->label != label_expr) {
    report(l->d, E0102, place(l, label_expr->at), "the label %s is used twice in this module", label);
    report_note(l->d, instance->label->at, "first used here");
    return poison();
  }
  if (instance) {
    const Instance *now = make_instance(l, callee, &config, instance->path, label_expr);
    if (!now) return poison();
    reconfigure(instance, now);
  } else {
    instance = make_instance(l, callee, &config, join(l, l->instance ? l->instance->path : NULL, name), label_expr);
    if (!instance) return poison();
    if (!label && !instance->unlabelled) instance->unlabelled = instance;
    if (label) adopt(l, instance);
  }
  Value made = {.kind = INSTANCE, .instance = instance};
  if (label) define(l, label, made, NULL);
  return piped ? call_instance(l, instance, 1, call->value, place(l, e->at)) : made;
}

static Value no_callee(Lower *l, const Expr *e) {
  Entry *entry = lookup(l->scope, e->name, false);
  if (!entry) return unknown_name(l, e->name, e->at, true);
  report(l->d, E0105, place(l, e->at), "%s is %s: it cannot be called", e->name, describe(l, &entry->value));
  if (entry->at) report_note(l->d, entry->at, "declared here");
  help_callable(l, &entry->value);
  return poison();
}

static bool callee_of(Lower *l, const Expr *e, Value *out) {
  if (e->kind != EXPR_NAME) return *out = eval(l, e), out->kind != POISON;
  Entry *entry = lookup(l->scope, e->name, true);
  const Builtin *found = entry ? NULL : builtin_find(e->name);
  *out = entry ? entry->value : found ? (Value){.kind = BUILTIN, .builtin = found} : no_callee(l, e);
  return out->kind != POISON;
}

Value eval_call(Lower *l, const Expr *e, const Value *piped) {
  Value callee;
  Call call;
  if (is_schedule(l, e->args[0])) return schedule_call(l, e);
  if (!callee_of(l, e->args[0], &callee)) return poison();
  bool is_outer = callee.kind == BUILTIN && !strcmp(callee.builtin->name, "outer");
  l->outer += is_outer;
  bool ok = collect_args(l, e, piped, &call);
  l->outer -= is_outer;
  return ok ? call_value(l, &callee, &call, piped != NULL, NULL, NULL) : poison();
}

static Value eval_stage(Lower *l, const Expr *stage, const Value *x) {
  Value callee;
  Call call;
  const Expr *inner = stage->kind == EXPR_LABEL ? stage->args[0] : stage;
  const char *label = stage->kind == EXPR_LABEL ? stage->name : NULL;
  if (inner->kind == EXPR_CALL && !label) return eval_call(l, inner, x);
  if (!callee_of(l, inner->kind == EXPR_CALL ? inner->args[0] : inner, &callee)) return poison();
  if (label && (callee.kind != DEFINITION || callee.syntax->kind != SYN_MODULE)) {
    report(l->d, E0301, place(l, stage->at), "only modules take a label; this is %s", describe(l, &callee));
    if (callee.kind == INSTANCE) report_help(l->d, "an instance has its name already: x |> %s", callee.instance->path);
    if (callee.kind == BUILTIN) report_help(l->d, "a function holds nothing to name: x |> %s", callee.builtin->name);
    return poison();
  }
  if (!collect_args(l, inner, x, &call)) return poison();
  return call_value(l, &callee, &call, true, label, stage);
}

/* a |> f |> g is a chain to the left: walked in a loop, since it may be long.
 * What follows a labelled stage is named by that label: net.fc1.relu. */
Value eval_pipe(Lower *l, const Expr *e) {
  int n = 0;
  const Expr **stages = NULL;
  for (; e->kind == EXPR_PIPE; e = e->args[0]) LIST_PUSH(l->arena, stages, n, e->args[1]);
  const char *prefix = l->prefix, *spot = l->spot;
  Value v = eval_at(l, e, "arg1");
  while (n > 0 && v.kind != POISON) {
    const Expr *stage = stages[--n];
    v = eval_stage(l, stage, &v);
    if (stage->kind == EXPR_LABEL)
      l->prefix = join(l, l->instance ? l->instance->path : prefix, stage->name), l->spot = NULL;
  }
  l->prefix = prefix;
  l->spot = spot;
  return v;
}
