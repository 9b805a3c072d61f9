/* train.c - the training loop: its statements become a script, its expressions a graph. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

/* ---- targets of update and freeze ---- */

static bool path_of(Lower *l, const Expr *e, const char **out) {
  if (e->kind == EXPR_FIELD && path_of(l, e->args[0], out)) return *out = join(l, *out, e->name), true;
  if (e->kind != EXPR_NAME) return false;
  Entry *entry = lookup(l->scope, e->name, true);
  if (!entry || entry->value.kind != INSTANCE) return false;
  return *out = entry->value.instance->path, true;
}

static bool is_under(const char *path, const char *target) {
  size_t n = strlen(target);
  return !strncmp(path, target, n) && (path[n] == 0 || path[n] == '.');
}

static bool target_of(Lower *l, const Expr *e, const char **out) {
  if (!path_of(l, e, out)) {
    report(l->d, E0503, place(l, e->at), "update and freeze name an instance or one of its parts: net, net.fc1, net.fc1.weight");
    return false;
  }
  for (int i = 0; i < l->program->n_params; i++)
    if (is_under(l->program->params[i].path, *out)) return true;
  if (diagnostics_errors(l->d)) return false; /* its parameters were never made */
  const char *names[512];
  int n = 0;
  for (int i = 0; i < l->program->n_params && n < 512; i++) names[n++] = l->program->params[i].path;
  report(l->d, E0503, place(l, e->at), "%s has no parameters", *out);
  const char *guess = nearest(*out, names, n);
  if (guess) report_help(l->d, "did you mean %s?", guess);
  return false;
}

/* ---- update ---- */

static bool hyper_values(Lower *l, const Expr *e, UpdateGroup *group, double *clip) {
  const Expr *callee = e->kind == EXPR_CALL ? e->args[0] : e;
  const char *name = callee->kind == EXPR_NAME ? callee->name : "", *names[16], *allowed[MAX_HYPER + 1];
  int n = 0;
  for (int i = 0; i < n_optimizers; i++) names[n++] = optimizers[i].name;
  group->optimizer = optimizer_find(name);
  if (!group->optimizer) {
    const char *guess = nearest(name, names, n);
    static const char *const later[] = {"rmsprop", "adagrad", "lion", "adadelta"};
    for (int i = 0; i < 4; i++)
      if (!strcmp(name, later[i])) return not_yet(l, callee->at, name), false;
    report(l->d, E0501, callee->at, "%s is no optimizer: sgd, adam and adamw are", name);
    if (guess) report_help(l->d, "did you mean %s?", guess);
    return false;
  }
  const Optimizer *o = group->optimizer;
  bool ok = true, used[MAX_ARGS * 2] = {false};
  int position = 0;
  for (n = 0; n < MAX_HYPER && o->hyper[n]; n++) allowed[n] = o->hyper[n];
  allowed[n] = "clip";
  for (int i = 1; e->kind == EXPR_CALL && i < e->n_args; i++) {
    const char *key = e->keys[i] ? e->keys[i] : position < n ? o->hyper[position++] : NULL;
    int h = 0;
    while (key && h <= n && strcmp(allowed[h], key)) h++;
    if (!key || h > n) {
      const char *guess = key ? nearest(key, allowed, n + 1) : NULL;
      report(l->d, E0501, e->keys[i] ? e->key_at[i] : e->args[i]->at, key ? "%s has no option %s" : "%s has not that many options", o->name, key);
      if (guess) report_help(l->d, "did you mean %s?", guess);
      ok = false;
    } else if (used[h]) {
      report(l->d, E0501, e->args[i]->at, "%s is given twice", key);
      ok = false;
    } else if (h == n) {
      ok &= as_number(l, e->args[i], clip) && (*clip > 0 || (report(l->d, E0501, e->args[i]->at, "clip: must be positive"), false));
    } else {
      const Expr *value = e->args[i];
      l->prefix = arena_print(l->arena, "%s.%s", group->target, key);
      Value known = value->kind == EXPR_TRUE ? truth_value(true) : value->kind == EXPR_FALSE ? truth_value(false) : (Value){.kind = POISON};
      Builder b = {l->program->schedule, value->at, l->prefix};
      group->hyper[h] = known.kind == TRUTH ? b_const(&b, F64, known.number) : schedule_value(l, value);
      ok &= group->hyper[h] != NULL;
    }
    if (h <= n && key) used[h] = true;
  }
  for (int h = 0; h < n && ok; h++) {
    if (group->hyper[h]) continue;
    if (isnan(o->fallback[h])) return report(l->d, E0501, e->at, "%s needs %s:", o->name, o->hyper[h]), false;
    Builder b = {l->program->schedule, e->at, arena_print(l->arena, "%s.%s", group->target, o->hyper[h])};
    group->hyper[h] = b_const(&b, F64, o->fallback[h]);
  }
  return ok;
}

static bool is_frozen(const Lower *l, const char *path) {
  for (int i = 0; i < l->n_frozen; i++)
    if (is_under(path, l->frozen[i])) return true;
  return false;
}

/* Each parameter belongs to the last group that names it. */
static void assign_params(Lower *l, Update *update) {
  for (int p = 0; p < l->program->n_params; p++) {
    const char *path = l->program->params[p].path;
    int owner = -1;
    for (int g = 0; g < update->n_groups; g++)
      if (is_under(path, update->groups[g].target)) owner = g;
    if (owner < 0 || is_frozen(l, path)) continue;
    UpdateGroup *group = &update->groups[owner];
    LIST_PUSH(l->arena, group->params, group->n_params, p);
  }
}

static bool *reached_from(Lower *l, const Node *loss) {
  Graph *g = l->graph;
  graph_number(g);
  bool *reached = arena_alloc(l->arena, (size_t)g->n_nodes + 1);
  reached[loss->id] = true;
  for (int i = loss->id; i >= 0; i--) {
    const Node *node = g->nodes[i];
    bool passes = node->op != OP_stop && dtype_is_float(node->type.dtype) && node->op != OP_sign && node->op != OP_floor && node->op != OP_ceil && node->op != OP_round;
    for (int k = 0; k < node->n_in && reached[i] && passes; k++)
      if (dtype_is_float(node->in[k]->type.dtype)) reached[node->in[k]->id] = true;
  }
  return reached;
}

static void check_reach(Lower *l, const Update *update, const Node *loss) {
  bool *reached = reached_from(l, loss);
  for (int g = 0; g < update->n_groups; g++)
    for (int i = 0; i < update->groups[g].n_params; i++) {
      const Param *param = &l->program->params[update->groups[g].params[i]];
      bool found = false;
      for (int k = 0; k < l->graph->n_nodes && !found; k++) {
        const Node *node = l->graph->nodes[k];
        if (node->op == OP_param) found = reached[k] && !strcmp(node->attrs.path, param->path);
      }
      if (found) continue;
      report(l->d, E0603, update->span, "no gradient reaches the parameter %s", param->path);
      report_note(l->d, param->span, "declared here");
      report_help(l->d, "use it in the loss, or say `freeze %s`", param->path);
    }
}

static void lower_update(Lower *l, const Syntax *s, Stmt *stmt) {
  Train *t = &l->program->train;
  if (t->n_updates) { not_yet(l, s->at, "a second update"); return; }
  Update update = {.name = "update0", .span = s->at};
  const Expr *e = s->n_values ? s->values[0] : s->value;
  Value v = eval_named(l, e, "loss");
  Node *loss = as_tensor(l, v, F32, e);
  bool ok = loss != NULL;
  if (loss && loss->type.rank != 0) {
    report(l->d, E0602, place(l, e->at), "only a scalar can be minimized, this is %s", describe(l, &v));
    report_help(l->d, "take the mean: minimize mean(...)");
    ok = false;
  }
  for (int i = 0; i < s->n_clauses; i++) {
    UpdateGroup group = {.span = s->clause_target[i]->at};
    bool fits = target_of(l, s->clause_target[i], &group.target);
    if (!fits) group.target = "?";
    ok &= hyper_values(l, s->clause_optimizer[i], &group, &update.clip) && fits;
    LIST_PUSH(l->arena, update.groups, update.n_groups, group);
  }
  l->prefix = NULL;
  if (!ok) return;
  assign_params(l, &update);
  check_reach(l, &update, loss);
  graph_output(l->graph, OUT_LOSS, update.name, loss);
  stmt->index = t->n_updates;
  LIST_PUSH(l->arena, t->updates, t->n_updates, update);
}

/* ---- log, save, every, eval ---- */

static void lower_log(Lower *l, const Syntax *s, Stmt *stmt) {
  const Expr *e = s->value;
  stmt->name = s->name ? s->name : e && e->kind == EXPR_NAME ? e->name : NULL;
  if (!stmt->name) { report(l->d, E0504, s->at, "a log needs a name: log name = expression"); return; }
  Entry *entry = e ? NULL : lookup(l->scope, stmt->name, false);
  if (!e && !entry) { unknown_name(l, stmt->name, s->at, false); return; }
  static const Expr nothing = {.kind = EXPR_NAME};
  Expr here = nothing;
  here.at = s->at;
  Value v = e ? eval_named(l, e, stmt->name) : entry->value;
  Node *node = as_tensor(l, v, F32, e ? e : &here);
  if (!node) return;
  if (node->type.rank != 0) {
    report(l->d, E0504, place(l, s->at), "a log is a scalar, this is %s", describe(l, &v));
    report_help(l->d, "take the mean: log %s = mean(...)", stmt->name);
    return;
  }
  Builder b = {l->graph, place(l, s->at), stmt->name};
  graph_output(l->graph, OUT_LOG, stmt->name, b_cast(&b, node, F32));
}

static void lower_statements(Lower *l, int n, Syntax *const *body, int *n_out, Stmt **out, bool in_every);

static void lower_eval(Lower *l, const Syntax *s, Stmt *stmt) {
  Program *p = l->program;
  int data = data_index(l, s->value);
  if (data < 0) return;
  Graph *saved_graph = l->graph, *whole = graph_new(p, arena_print(l->arena, "eval%d", p->n_evals), NULL);
  Scope *saved = l->scope;
  bool training = l->training;
  Eval eval = {.variable = s->names[0], .data = data, .span = s->at};
  whole->rows = p->data[data].rows;
  l->graph = whole;
  l->training = false;
  l->scope = scope_new(l, saved);
  define(l, s->names[0], batch_value(s->names[0], p->data[data].n_fields, p->data[data].fields), s->at);
  lower_statements(l, s->n_body, s->body, &stmt->n_body, &stmt->body, true);
  warn_unused(l, l->scope);
  l->graph = saved_graph;
  l->scope = saved;
  l->training = training;
  if (diagnostics_errors(l->d)) return;
  split_eval(l, &eval, whole);
  stmt->index = p->n_evals;
  LIST_PUSH(l->arena, p->evals, p->n_evals, eval);
}

static void lower_statement(Lower *l, const Syntax *s, Stmt *stmt, bool in_every) {
  switch (s->kind) {
  case SYN_LOG: stmt->kind = STMT_LOG; lower_log(l, s, stmt); break;
  case SYN_UPDATE:
    stmt->kind = STMT_UPDATE;
    if (in_every) not_yet(l, s->at, "update inside every");
    else lower_update(l, s, stmt);
    break;
  case SYN_SAVE:
    stmt->kind = STMT_SAVE;
    stmt->name = s->name;
    stmt->highest = s->highest;
    break;
  case SYN_EVAL: stmt->kind = STMT_EVAL; lower_eval(l, s, stmt); break;
  case SYN_EVERY: {
    int64_t count = 0;
    stmt->kind = STMT_EVERY;
    if (whole_number(l, s->count, &count) && count < 1) report(l->d, E0507, s->count->at, "every needs a count of at least 1");
    stmt->every = count;
    stmt->unit = s->unit;
    lower_statements(l, s->n_body, s->body, &stmt->n_body, &stmt->body, true);
    break;
  }
  default: not_yet(l, s->at, "this statement"); break;
  }
}

static void check_saves(Lower *l, int n, const Stmt *body) {
  for (int i = 0; i < n; i++) {
    bool found = body[i].kind != STMT_SAVE || !body[i].name;
    for (int k = 0; k < n && !found; k++) found = body[k].kind == STMT_LOG && body[k].name && !strcmp(body[k].name, body[i].name);
    if (!found) report(l->d, E0506, body[i].span, "save watches %s, which is not logged beside it", body[i].name);
  }
}

static void lower_statements(Lower *l, int n, Syntax *const *body, int *n_out, Stmt **out, bool in_every) {
  for (int i = 0; i < n; i++) {
    const Syntax *s = body[i];
    if (s->kind == SYN_LET) do_let(l, s);
    if (s->kind == SYN_SAMPLE) not_yet(l, s->at, "sample");
    if (s->kind == SYN_LET || s->kind == SYN_ERROR || s->kind == SYN_SAMPLE || s->kind == SYN_FREEZE) continue;
    Stmt stmt = {.span = s->at};
    lower_statement(l, s, &stmt, in_every);
    LIST_PUSH(l->arena, *out, *n_out, stmt);
  }
  check_saves(l, *n_out, *out);
}

/* ---- train ---- */

static bool train_source(Lower *l, const Expr *e, Train *t) {
  bool shuffled = e->kind == EXPR_CALL && e->args[0]->kind == EXPR_NAME && !strcmp(e->args[0]->name, "shuffled");
  if (!shuffled) return (t->data = data_index(l, e)) >= 0;
  t->shuffled = true;
  for (int i = 1; i < e->n_args; i++) {
    if (!e->keys[i]) t->data = data_index(l, e->args[i]);
    else if (!strcmp(e->keys[i], "seed")) { if (!whole_number(l, e->args[i], &t->shuffle_seed)) return false; }
    else return report(l->d, E0507, e->key_at[i], "shuffled has no option %s; it has seed:", e->keys[i]), false;
  }
  return t->data >= 0;
}

static void train_options(Lower *l, const Syntax *s, Train *t) {
  static const char *const names[] = {"accumulate", "precision", "memory"};
  t->accumulate = 1;
  for (int i = 0; i < s->n_options; i++) {
    const char *key = s->option_keys[i];
    const Expr *e = s->option_values[i];
    const char *word = e->kind == EXPR_NAME ? e->name : "";
    if (!strcmp(key, "accumulate")) {
      if (whole_number(l, e, &t->accumulate) && t->accumulate < 1) report(l->d, E0507, e->at, "accumulate: must be at least 1");
    } else if (!strcmp(key, "precision")) {
      if (!strcmp(word, "bf16")) not_yet(l, e->at, "precision: bf16");
      else if (!strcmp(word, "tf32")) t->precision = PRECISION_TF32;
      else if (strcmp(word, "f32")) report(l->d, E0507, e->at, "precision: is f32, tf32 or bf16");
    } else if (!strcmp(key, "memory")) {
      not_yet(l, e->at, "memory:");
    } else {
      const char *guess = nearest(key, names, 3);
      report(l->d, E0507, s->option_at[i], "train has no option %s", key);
      if (guess) report_help(l->d, "did you mean %s?", guess);
    }
  }
}

void lower_train(Lower *l, const Syntax *s) {
  Program *p = l->program;
  Train *t = &p->train;
  if (p->has_train) { report(l->d, E0507, s->at, "there is one train block already"); report_note(l->d, t->span, "here"); return; }
  *t = (Train){.variable = s->names[0], .unit = s->unit, .span = s->at};
  train_options(l, s, t);
  if (!train_source(l, s->value, t) || !whole_number(l, s->count, &t->count)) return;
  if (t->count < 1) report(l->d, E0507, s->count->at, "train needs at least 1 %s", s->unit == EPOCHS ? "epoch" : "step");
  p->has_train = true;
  t->graph = graph_new(p, "train", NULL);
  t->graph->rows = p->data[t->data].rows;
  l->graph = t->graph;
  l->training = true;
  l->scope = scope_new(l, l->scope);
  define(l, s->names[0], batch_value(s->names[0], p->data[t->data].n_fields, p->data[t->data].fields), s->at);
  for (int i = 0; i < s->n_body; i++)
    for (int k = 0; s->body[i]->kind == SYN_FREEZE && k < s->body[i]->n_values; k++) {
      const char *target;
      if (path_of(l, s->body[i]->values[k], &target)) LIST_PUSH(l->arena, l->frozen, l->n_frozen, target);
      else report(l->d, E0503, s->body[i]->at, "freeze names an instance or one of its parts: net, net.fc1, net.fc1.weight");
    }
  lower_statements(l, s->n_body, s->body, &t->n_body, &t->body, false);
  if (!t->n_updates && !diagnostics_errors(l->d)) report(l->d, E0507, s->at, "nothing is trained: there is no update in this block");
  warn_unused(l, l->scope);
  l->scope = (Scope *)l->scope->parent;
  l->training = false;
  l->graph = NULL;
}
