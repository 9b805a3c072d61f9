/* body.c - statements inside modules and functions: let, param, if, return. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

/* Names that begin with an underscore are meant to be unused. */
void warn_unused(Lower *l, const Scope *scope) {
  if (diagnostics_errors(l->d)) return; /* what an error kept from being read is not unused */
  for (int i = 0; i < scope->n; i++) {
    const Entry *entry = scope->entries[i];
    if (!entry->used && entry->is_let && entry->at && entry->name[0] != '_' && entry->value.kind != POISON)
      report(l->d, W0101, entry->at, "%s is never used", entry->name);
  }
}

/* ---- let ---- */

static void define_let(Lower *l, const char *name, Value v, const Span *at) { define(l, name, v, at)->is_let = true; }

/* let q, k, v = x: a tuple, or the leading axis taken apart. */
static Value part_of(Lower *l, const Value *v, int i, int n, const Expr *e) {
  if (v->kind == TUPLE && v->n == n) return v->items[i];
  if (v->kind != TENSOR || v->node->type.rank == 0 || v->node->type.dim[0].size != n || v->node->type.dim[0].rows) {
    if (i == 0 && v->kind != POISON)
      report(l->d, E0209, place(l, e->at), "%d names, but the value is %s", n, describe(l, v));
    return poison();
  }
  Builder b = builder(l, e);
  Type cut = v->node->type, rest = {.dtype = cut.dtype, .rank = cut.rank - 1};
  int64_t start[MAX_RANK] = {i}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  cut.dim[0] = dim_literal(1);
  for (int a = 0; a < rest.rank; a++) rest.dim[a] = cut.dim[a + 1];
  return tensor_value(b_reshape(&b, b_slice(&b, v->node, &cut, start, step), &rest));
}

/* let net = MLP(): an instance under that name. */
static bool let_instance(Lower *l, const Syntax *s) {
  const Expr *e = s->value;
  if (s->n_names != 1 || e->kind != EXPR_CALL || e->args[0]->kind != EXPR_NAME) return false;
  Entry *entry = lookup(l->scope, e->args[0]->name, true);
  if (!entry || entry->value.kind != DEFINITION || entry->value.syntax->kind != SYN_MODULE) return false;
  Call call;
  Instance *instance = NULL;
  const char *path = join(l, l->instance ? l->instance->path : NULL, s->names[0]);
  if (collect_args(l, e, NULL, &call)) instance = make_instance(l, &entry->value, &call, path, e);
  Instance *owner = l->instance;
  for (int i = 0; owner && i < owner->n_children; i++)
    if (!strcmp(owner->children[i]->path, path) && instance != owner->children[i]) { /* the second call of the owner */
      if (instance) reconfigure(owner->children[i], instance);
      instance = owner->children[i];
    }
  bool known = owner && instance && instance->n_params;
  if (instance && !known && owner) LIST_PUSH(l->arena, owner->children, owner->n_children, instance);
  if (instance && !owner) LIST_PUSH(l->arena, l->roots, l->n_roots, instance);
  define(l, s->names[0], instance ? (Value){.kind = INSTANCE, .instance = instance} : poison(), s->names_at[0])->is_let = true;
  return true;
}

void do_let(Lower *l, const Syntax *s) {
  if (!s->rebinds && let_instance(l, s)) return;
  Value v = l->graph || s->value->kind != EXPR_CALL ? eval_named(l, s->value, s->names[0]) : eval(l, s->value);
  if (s->n_names == 1 && s->rebinds) {
    set_kept(l, s->names[0], v, s->names_at[0]);
    return;
  }
  if (s->n_names == 1) {
    define_let(l, s->names[0], v, s->names_at[0]);
    return;
  }
  const char *prefix = l->prefix;
  for (int i = 0; i < s->n_names; i++) {
    l->prefix = join(l, prefix, s->names[i]);
    Value part = part_of(l, &v, i, s->n_names, s->value);
    if (s->rebinds) set_kept(l, s->names[i], part, s->names_at[i]);
    else define_let(l, s->names[i], part, s->names_at[i]);
  }
  l->prefix = prefix;
}

/* ---- param ---- */

static const struct {
  const char *name;
  int least, most;
} inits[] = {{"zeros", 0, 0},   {"ones", 0, 0},    {"constant", 1, 1}, {"normal", 1, 2},
             {"uniform", 2, 2}, {"kaiming", 0, 1}, {"xavier", 0, 2}};

static bool init_number(Lower *l, Call *call, int i, const char *key, double *out) {
  const Expr *e = i < call->n ? call->expr[i] : take_key(call, key);
  return e && as_number(l, e, out);
}

bool init_of(Lower *l, const Expr *e, const char *what, Init *out) {
  const Expr *callee = e->kind == EXPR_CALL ? e->args[0] : e;
  const char *name = callee->kind == EXPR_NAME ? callee->name : "", *names[8];
  Call call;
  double a = 0, b = 0;
  int errors = diagnostics_errors(l->d);
  for (int i = 0; i < 7; i++) names[i] = inits[i].name;
  if (!collect_args(l, e, NULL, &call)) return false;
  if (!strcmp(name, "zeros"))
    *out = (Init){INIT_CONSTANT, 0, 0};
  else if (!strcmp(name, "ones"))
    *out = (Init){INIT_CONSTANT, 1, 0};
  else if (!strcmp(name, "constant") && init_number(l, &call, 0, "value", &a))
    *out = (Init){INIT_CONSTANT, a, 0};
  else if (!strcmp(name, "normal") && init_number(l, &call, 0, "std", &a))
    *out = (Init){INIT_NORMAL, 0, a};
  else if (!strcmp(name, "uniform") && init_number(l, &call, 0, "low", &a) && init_number(l, &call, 1, "high", &b))
    *out = (Init){INIT_UNIFORM, a, b};
  else if (!strcmp(name, "kaiming") && init_number(l, &call, 0, "fan", &a) && a > 0)
    *out = (Init){INIT_UNIFORM, -1 / sqrt(a), 1 / sqrt(a)};
  else if (!strcmp(name, "xavier") && init_number(l, &call, 0, "fan_in", &a) &&
           init_number(l, &call, 1, "fan_out", &b) && a + b > 0)
    *out = (Init){INIT_UNIFORM, -sqrt(6 / (a + b)), sqrt(6 / (a + b))};
  else {
    if (diagnostics_errors(l->d) > errors) return false; /* a number that is none */
    const char *guess = nearest(name, names, 7);
    report(l->d, E0106, place(l, e->at),
           "%s begins as zeros, ones, constant(c), normal(std), uniform(a, b), kaiming(fan: n) or "
           "xavier(fan_in:, fan_out:)",
           what);
    if (guess) report_help(l->d, "did you mean %s?", guess);
    return false;
  }
  return check_keys(l, &call, name, NULL, 0);
}

bool same_axes(const Type *a, const Type *b) {
  bool same = a->rank == b->rank;
  for (int i = 0; i < a->rank && same; i++) same = dim_same(a->dim[i], b->dim[i], true);
  return same;
}

/* Two calls seen from the nearest place where they differ: of a layer inside of a module, the module's calls. */
static void outer_calls(const Span **now, const Span **first) {
  while (*now && *first && (*now)->source == (*first)->source && (*now)->line == (*first)->line &&
         (*now)->column == (*first)->column && (*now)->caller && (*first)->caller)
    *now = (*now)->caller, *first = (*first)->caller;
}

bool add_stack_axes(Lower *l, const char *path, Type *type) {
  Dim stacks[MAX_RANK];
  int n = stack_axes(l, path, stacks);
  if (n + type->rank > MAX_RANK) return false;
  memmove(type->dim + n, type->dim, sizeof *type->dim * (size_t)type->rank);
  memcpy(type->dim, stacks, sizeof *stacks * (size_t)n);
  type->rank += n;
  return true;
}

/* Types as the file's names have them: of this call and of the first. */
void other_shape(Lower *l, const Syntax *s, const Type *type, const Type *known) {
  Text now = {0}, then = {0};
  type_print(&now, type, true);
  type_print(&then, known, true);
  const Span *here = l->caller ? l->caller : s->at, *first = l->instance->first_call;
  outer_calls(&here, &first);
  report(l->d, E0305, here, "%s is called with other shapes than before: its %s would be %s, but it is %s",
         l->instance->path, s->name, now.data, then.data);
  report_note(l->d, first, "bound by the first call here");
  report_help(l->d, "one instance called twice shares its weights; for a second layer write another label");
  text_free(&now);
  text_free(&then);
}

/* type: as the file's names have it. */
static Value reuse_param(Lower *l, const Syntax *s, const Param *param, const Type *type) {
  Type made = *type;
  add_stack_axes(l, param->path, &made);
  if (same_axes(&made, &param->type)) return param_value(l, param, param->span);
  other_shape(l, s, &made, &param->type);
  return poison();
}

static Value make_param(Lower *l, const Syntax *s, const Type *type) {
  Param param = {.path = join(l, l->instance->path, s->name), .type = *type, .span = place(l, s->at)};
  if (type_rows(type)) {
    report(l->d, E0211, place(l, s->at), "a parameter cannot have the batch as an axis: %s is %lld rows at most",
           type_rows(type)->name, (long long)type_rows(type)->size);
    return poison();
  }
  const Instance *unlabelled = l->instance->unlabelled;
  if (unlabelled) {
    report(l->d, E0301, unlabelled->first_call, "%s holds parameters, so it needs a label: x |> name: %s(...)",
           unlabelled->module->name, unlabelled->module->name);
    return poison();
  }
  if (!dtype_is_float(type->dtype) || type->dtype != F32)
    return report(l->d, E0208, place(l, s->at), "a parameter is f32, not %s", dtype_name(type->dtype)), poison();
  if (!init_of(l, s->value, "a parameter", &param.init)) return poison();
  if (!add_stack_axes(l, param.path, &param.type))
    return report(l->d, E0204, place(l, s->at), "%s has too many axes to be stacked", s->name), poison();
  param.pattern = stack_pattern(l, param.path);
  LIST_PUSH(l->arena, l->instance->params, l->instance->n_params, l->program->n_params);
  LIST_PUSH(l->arena, l->program->params, l->program->n_params, param);
  return param_value(l, &l->program->params[l->program->n_params - 1], param.span);
}

static void do_param(Lower *l, const Syntax *s) {
  Type type;
  Value v = poison();
  bool again = is_declared_here(l->scope, s->name); /* define says so */
  if (!l->instance) {
    report(l->d, E0304, place(l, s->at), "param stands only in modules");
  } else if (!again && in_graph(l, s->value) && shape_of(l, &s->results[0], &type)) {
    const Param *known = NULL;
    const char *path = join(l, l->instance->path, s->name);
    for (int i = 0; i < l->instance->n_params; i++)
      if (!strcmp(l->program->params[l->instance->params[i]].path, path))
        known = &l->program->params[l->instance->params[i]];
    Type outside = outermost_type(&type);
    v = known ? reuse_param(l, s, known, &outside) : make_param(l, s, &outside);
    v = renamed(l, v, &type, join(l, path, "own"), s->at);
  }
  define(l, s->name, v, s->name_at)->is_let = true;
}

/* ---- blocks ---- */

static Outcome run_block(Lower *l, int n, Syntax *const *body) {
  Scope *saved = l->scope;
  l->scope = scope_new(l, saved);
  Outcome o = run_body(l, n, body);
  l->scope = saved;
  return o;
}

static Outcome do_if(Lower *l, const Syntax *s) {
  Value c = eval(l, s->value);
  if (c.kind == NUMBER || c.kind == TRUTH || c.kind == DIM) {
    bool yes = c.kind == DIM ? c.dim.size != 0 : c.number != 0;
    return yes ? run_block(l, s->n_body, s->body) : run_block(l, s->n_otherwise, s->otherwise);
  }
  if (c.kind != POISON)
    report(l->d, E0106, place(l, s->value->at),
           "`if` chooses at compile time, by the configuration or `training`; this is %s", describe(l, &c));
  return (Outcome){true, poison()};
}

void note_open_end(Lower *l, int n, Syntax *const *body) {
  const Syntax *last = n ? body[n - 1] : NULL;
  if (!last || last->kind != SYN_IF) return;
  note_open_end(l, last->n_body, last->body);
  if (last->n_otherwise) note_open_end(l, last->n_otherwise, last->otherwise);
  else report_note(l->d, last->at, "there is no value when this does not hold");
}

static Value returned(Lower *l, const Syntax *s) {
  if (s->n_values <= 1) return eval(l, s->n_values ? s->values[0] : s->value);
  Value v = {.kind = TUPLE, .n = s->n_values, .items = arena_alloc(l->arena, sizeof(Value) * (size_t)s->n_values)};
  for (int i = 0; i < s->n_values; i++) v.items[i] = eval_at(l, s->values[i], arena_print(l->arena, "out%d", i + 1));
  return v;
}

Outcome run_body(Lower *l, int n, Syntax *const *body) {
  for (int i = 0; i < n; i++) {
    const Syntax *s = body[i];
    Outcome o = {0};
    switch (s->kind) {
    case SYN_LET: do_let(l, s); break;
    case SYN_PARAM: do_param(l, s); break;
    case SYN_IF: o = do_if(l, s); break;
    case SYN_RETURN: o = (Outcome){true, returned(l, s)}; break;
    case SYN_EXPR: o = (Outcome){true, eval(l, s->value)}; break;
    case SYN_STATE: do_state(l, s); break;
    case SYN_ASSIGN: do_assign(l, s); break;
    case SYN_FOR: do_for(l, s); break;
    default: return (Outcome){true, poison()}; /* the parser has said what stands where it may not */
    }
    if (!o.returned) continue;
    if (o.value.kind != POISON) warn_unused(l, l->scope);
    return o;
  }
  return (Outcome){0};
}
