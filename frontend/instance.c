/* instance.c - modules: an instance from a configuration, and a call of it.
 *
 * A body is walked once for each call, with the signature's names bound to the
 * axes of the arguments; parameters are made by the first call.
 */
#include <string.h>

#include "frontend/lower.h"

/* ---- configuration ---- */

/* A configuration value as its declared kind wants it. */
Value configure(Lower *l, const FieldDecl *field, Value v, const Span *at) {
  bool fits = true;
  if (!field->kind || v.kind == POISON) return v;
  if (!strcmp(field->kind, "dim"))
    fits = v.kind == DIM || (v.kind == NUMBER && !v.is_float && v.number >= 0 && v.number <= 9e15);
  else if (!strcmp(field->kind, "int"))
    fits = (v.kind == NUMBER && !v.is_float) || v.kind == DIM;
  else if (!strcmp(field->kind, "float"))
    fits = v.kind == NUMBER || v.kind == DIM;
  else if (!strcmp(field->kind, "bool"))
    fits = v.kind == TRUTH;
  else
    fits = v.kind == DEFINITION || v.kind == BUILTIN || v.kind == INSTANCE;
  if (!fits) {
    report(l->d, E0106, at, "%s must be %s %s, it is %s", field->name, strcmp(field->kind, "int") ? "a" : "an", field->kind,
           describe(l, &v));
    if (v.kind == TENSOR && strcmp(field->kind, "module") && strcmp(field->kind, "fn"))
      report_help(l->d, "%s is fixed when the model is compiled: %s", field->name,
                  strcmp(field->kind, "bool") ? "give a number, a dim or arithmetic of them" : "give true or false");
    return poison();
  }
  if (!strcmp(field->kind, "dim") && v.kind == NUMBER)
    return (Value){.kind = DIM, .dim = dim_literal((int64_t)v.number)};
  return v;
}

/* `dim` arguments may be arithmetic, Linear(3 * D): read them as dims, so that names and the batch survive. */
static void dims_of_config(Lower *l, const Syntax *s, Call *call, Value *args) {
  for (int i = 0; i < s->n_config; i++) {
    if (!s->config[i].kind || strcmp(s->config[i].kind, "dim")) continue;
    const Expr *e = i < call->n ? call->expr[i] : take_key(call, s->config[i].name);
    Dim dim;
    if (e && e->kind == EXPR_BINARY && dim_of(l, e, &dim)) args[i] = (Value){.kind = DIM, .dim = dim};
  }
}

/* Made in place and not called yet: it and what it was given are called after their place. */
static void rename_instance(Lower *l, Instance *instance, const char *path) {
  size_t old = strlen(instance->path);
  for (int i = 0; i < instance->n_children; i++)
    rename_instance(l, instance->children[i], arena_print(l->arena, "%s%s", path, instance->children[i]->path + old));
  instance->path = path;
}

/* Residual(Linear(H)): what was made for it alone is a part of it, under the name of the argument. */
static void take_in(Lower *l, Instance *owner, const FieldDecl *field, const Value *v) {
  Instance *part = v->kind == INSTANCE ? v->instance : NULL;
  if (!part || part->unlabelled != part || part->first_call) return;
  rename_instance(l, part, join(l, owner->path, field->name));
  part->unlabelled = owner->unlabelled;
  LIST_PUSH(l->arena, owner->children, owner->n_children, part);
}

Instance *make_instance(Lower *l, const Value *module, const Call *config, const char *path, const Expr *label) {
  const Syntax *s = module->syntax;
  Value args[64];
  Call call = *config;
  const char *what = arena_print(l->arena, "the module %s", s->name);
  if (!bind_fields(l, &call, s->n_config, s->config, what, module->home, args)) return NULL;
  dims_of_config(l, s, &call, args);
  Scope *saved = l->scope, *scope = scope_new(l, module->home);
  l->scope = scope;
  bool ok = true;
  for (int i = 0; i < s->n_config; i++) {
    Value v = configure(l, &s->config[i], args[i], place(l, config->e->at));
    ok &= v.kind != POISON;
    define(l, s->config[i].name, v, s->config[i].at);
  }
  l->scope = saved;
  if (!ok) return NULL;
  Instance *instance = arena_alloc(l->arena, sizeof *instance);
  *instance = (Instance){.path = path, .module = s, .home = module->home, .config = scope, .label = label};
  instance->unlabelled = l->instance ? l->instance->unlabelled : NULL;
  for (int i = 0; i < s->n_config; i++) take_in(l, instance, &s->config[i], &scope->entries[i]->value);
  return instance;
}

/* A run of axes that no input has stands for those the body made: -> [n, o, *t]. */
static void bind_result_run(Lower *l, const TypeExpr *promise, const Type *got) {
  int run = got->rank, at = 0;
  for (int i = 0; i < promise->n_dims; i++) {
    const Expr *e = promise->dims[i];
    const Entry *known = e->kind == EXPR_SPREAD ? lookup(l->scope, e->name, false) : NULL;
    run -= e->kind != EXPR_SPREAD ? 1 : known && known->value.kind == RUN ? known->value.n : 0;
  }
  for (int i = 0; i < promise->n_dims && run >= 0; i++) {
    const Expr *e = promise->dims[i];
    const Entry *known = e->kind == EXPR_SPREAD ? lookup(l->scope, e->name, false) : NULL;
    if (e->kind == EXPR_SPREAD && !known) {
      Dim *dims = arena_alloc(l->arena, sizeof *dims * ((size_t)run + 1));
      memcpy(dims, &got->dim[at], sizeof *dims * (size_t)run);
      define(l, e->name, (Value){.kind = RUN, .n = run, .dims = dims}, NULL);
      return;
    }
    at += known && known->value.kind == RUN ? known->value.n : 1;
  }
}

void reconfigure(Instance *instance, const Instance *now) {
  for (int i = 0; i < now->config->n && i < instance->config->n; i++)
    if (now->config->entries[i]->value.kind == INSTANCE)
      now->config->entries[i]->value = instance->config->entries[i]->value;
  instance->config = now->config;
}

/* One result against its promise; on the way out it takes the caller's names. */
static bool leave_result(Lower *l, const Syntax *s, const TypeExpr *promise, Value *v) {
  Type wanted, joined;
  TypeError error;
  if (v->kind == POISON) return false;
  if (v->kind != TENSOR)
    return report(l->d, E0209, promise->at, "%s returns %s, not a tensor", s->name, describe(l, v)), false;
  bind_result_run(l, promise, &v->node->type);
  if (!shape_of(l, promise, &wanted)) return false;
  const Type *got = &v->node->type;
  bool fits =
      got->rank == wanted.rank && got->dtype == wanted.dtype && infer_broadcast(got, &wanted, true, &joined, &error);
  for (int a = 0; fits && a < wanted.rank; a++) fits = dim_same(got->dim[a], wanted.dim[a], true);
  if (!fits) {
    Text text = {0}, found = {0};
    type_print(&text, &wanted, true);
    type_print(&found, got, true);
    report(l->d, E0209, place(l, promise->at), "%s promises %s and returns %s", s->name, text.data, found.data);
    if (v->node->span) report_note(l->d, v->node->span, "the value returned");
    if (got->dtype != wanted.dtype && type_same_shape(got, &wanted))
      report_help(l->d, "cast it, %s(...), or promise %s[...]", dtype_name(wanted.dtype), dtype_name(got->dtype));
    text_free(&text);
    text_free(&found);
    return false;
  }
  Type outside = callers_type(l, &wanted);
  *v = renamed(l, *v, &outside, join(l, l->prefix, "result.own"), v->node->span);
  return true;
}

static bool leave_results(Lower *l, const Syntax *s, Value *result) {
  int n = result->kind == TUPLE ? result->n : 1;
  bool ok = result->kind != POISON;
  if (ok && s->n_results > 0 && n != s->n_results)
    return report(l->d, E0209, s->at, "%s promises %d value%s and returns %d", s->name, s->n_results,
                  s->n_results == 1 ? "" : "s", n),
           false;
  for (int i = 0; i < n && ok; i++) {
    Value *v = result->kind == TUPLE ? &result->items[i] : result;
    if (s->n_results) {
      ok = leave_result(l, s, &s->results[i], v);
    } else if (v->kind == TENSOR) {
      Type outside = callers_type(l, &v->node->type);
      *v = renamed(l, *v, &outside, join(l, l->prefix, "result.own"), v->node->span);
    }
  }
  return ok;
}

/* The argument under the names of the signature. */
static void define_input(Lower *l, const FieldDecl *field, Value v) {
  Type own = v.node->type;
  if (field->type.has_shape && !shape_of(l, &field->type, &own)) return;
  define(l, field->name,
         renamed(l, v, &own, join(l, l->prefix, arena_print(l->arena, "%s.own", field->name)), field->at), field->at);
}

static bool enter_inputs(Lower *l, const Instance *instance, int n, const Value *args, const Span *at) {
  const FieldDecl *fields = instance->module->fields;
  for (int i = 0; i < n; i++) {
    if (args[i].kind == POISON) return false;
    if (args[i].kind != TENSOR)
      return report(l->d, E0106, at, "the input %s must be a tensor, it is %s", fields[i].name, describe(l, &args[i])), false;
    if (!bind_shape(l, instance->config, &fields[i], &args[i].node->type, at)) return false;
  }
  for (int i = 0; i < n; i++) define_input(l, &fields[i], args[i]);
  return true;
}

/* A number stands for a tensor of it. */
static Node *filled(Lower *l, const FieldDecl *field, Node *number, const Expr *e) {
  Type shape;
  if (number->type.rank || !field->type.has_shape || !shape_of(l, &field->type, &shape) || !shape.rank) return number;
  Builder b = builder(l, e);
  return b_broadcast(&b, number, &shape);
}

/* What the call leaves out: the default is read among the inputs before it. */
static bool default_inputs(Lower *l, const Instance *instance, int n) {
  const Syntax *s = instance->module;
  for (int i = n; i < s->n_fields; i++) {
    const FieldDecl *field = &s->fields[i];
    DType wish = field->type.has_dtype ? field->type.dtype : F32;
    Node *node = as_tensor(l, eval_named(l, field->fallback, field->name), wish, field->fallback);
    if (!node) return false;
    node = filled(l, field, node, field->fallback);
    Type type = callers_type(l, &node->type);
    if (!bind_shape(l, instance->config, field, &type, field->fallback->at)) return false;
    define_input(l, field, tensor_value(node));
  }
  return true;
}

static bool right_inputs(Lower *l, const Syntax *s, int n, const Span *at) {
  int least = s->n_fields;
  while (least > 0 && s->fields[least - 1].fallback) least--;
  if (n >= least && n <= s->n_fields) return true;
  const char *range = least < s->n_fields ? arena_print(l->arena, "%d to ", least) : "";
  report(l->d, E0104, at, "%s takes %s%d input%s, %d %s given", s->name, range, s->n_fields, s->n_fields == 1 ? "" : "s", n,
         n == 1 ? "is" : "are");
  report_note(l->d, s->at, "declared here");
  return false;
}

Value call_instance(Lower *l, Instance *instance, int n, const Value *args, const Span *at) {
  const Syntax *s = instance->module;
  Frame saved;
  Value result = poison();
  if (!right_inputs(l, s, n, at)) return poison();
  if (!enter(l, &saved, instance->config, at, claim_path(l, instance->path))) return poison();
  l->instance = instance;
  bool ok = enter_inputs(l, instance, n, args, at) && default_inputs(l, instance, n);
  if (ok && !instance->first_call) instance->first_call = at;
  if (ok) {
    Outcome o = run_body(l, s->n_body, s->body);
    if (!o.returned && !diagnostics_errors(l->d)) {
      report(l->d, E0303, s->at, "the module %s does not return a value", s->name);
      note_open_end(l, s->n_body, s->body);
    }
    result = o.returned ? o.value : poison();
    if (!leave_results(l, s, &result)) result = poison();
  }
  leave(l, &saved);
  return result;
}
