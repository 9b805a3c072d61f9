/* update.c - what an update moves, by which optimizer, and whether gradients get there. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

/* ---- targets of update and freeze ---- */

bool path_of(Lower *l, const Expr *e, const char **out) {
  if (e->kind == EXPR_FIELD && path_of(l, e->args[0], out)) return *out = join(l, *out, e->name), true;
  if (e->kind != EXPR_NAME) return false;
  Entry *entry = lookup(l->scope, e->name, true);
  if (!entry || entry->value.kind != INSTANCE) return false;
  return *out = entry->value.instance->path, true;
}

bool is_under(const char *path, const char *target) {
  size_t n = strlen(target);
  return !strncmp(path, target, n) && (path[n] == 0 || path[n] == '.');
}

bool target_of(Lower *l, const Expr *e, const char **out) {
  if (!path_of(l, e, out)) {
    report(l->d, E0503, place(l, e->at),
           "update and freeze name an instance or one of its parts: net, net.fc1, net.fc1.weight");
    return false;
  }
  for (int i = 0; i < l->program->n_params; i++)
    if (is_under(l->program->params[i].path, *out)) return true;
  if (diagnostics_errors(l->d)) return false; /* its parameters were never made */
  const char *names[512];
  int n = 0;
  for (int i = 0; i < l->program->n_params; i++)
    for (const char *dot = l->program->params[i].path; dot && n < 512; dot = strchr(dot, '.')) {
      const char *path = l->program->params[i].path;
      if (dot != path) names[n++] = arena_copy(l->arena, path, (size_t)(dot - path));
      dot++;
    }
  report(l->d, E0503, place(l, e->at), "there are no parameters under %s", *out);
  const char *guess = nearest(*out, names, n);
  Entry *entry = e->kind == EXPR_NAME ? lookup(l->scope, e->name, true) : NULL;
  if (entry && entry->value.kind == INSTANCE && !entry->value.instance->first_call)
    help_uncalled(l, entry->value.instance);
  else if (guess)
    report_help(l->d, "did you mean %s?", guess);
  return false;
}

/* ---- phases ---- */

void begin_phase(Lower *l, int64_t every) {
  Train *t = &l->program->train;
  Phase phase = {.update = -1, .every = every};
  LIST_PUSH(l->arena, t->phases, t->n_phases, phase);
  l->phase = t->n_phases - 1;
}

static bool moves(const Update *update, int param) {
  for (int g = 0; g < update->n_groups; g++)
    for (int i = 0; i < update->groups[g].n_params; i++)
      if (update->groups[g].params[i] == param) return true;
  return false;
}

int times_moved(const Lower *l, int param) {
  int n = 0;
  for (int u = 0; u < l->program->train.n_updates; u++) n += moves(&l->program->train.updates[u], param);
  return n;
}

static bool moves_any(Lower *l, const Syntax *s, const Update *update) {
  for (int g = 0; g < update->n_groups; g++)
    if (update->groups[g].n_params) return true;
  report(l->d, E0503, s->at, "this update moves nothing: all of %s is frozen", update->groups[0].target);
  return false;
}

/* ---- update ---- */

static bool optimizer_of(Lower *l, const Expr *callee, UpdateGroup *group) {
  const char *name = callee->kind == EXPR_NAME ? callee->name : "", *names[16];
  int n = 0;
  for (int i = 0; i < n_optimizers; i++) names[n++] = optimizers[i].name;
  if ((group->optimizer = optimizer_find(name))) return true;
  const char *guess = nearest(name, names, n);
  report(l->d, E0501, callee->at, "%s is no optimizer: sgd, adam, adamw, rmsprop, adagrad, adadelta, adamax and lion are",
         *name ? name : "this");
  if (guess) report_help(l->d, "did you mean %s?", guess);
  return false;
}

/* An option by name, or the next one by position: its place in the table, after those clip:, or -1. */
static int option_place(Lower *l, const Expr *e, int i, const Optimizer *o, int *position) {
  const char *allowed[MAX_HYPER + 1];
  int n = 0;
  while (n < MAX_HYPER && o->hyper[n]) allowed[n] = o->hyper[n], n++;
  allowed[n] = "clip";
  const char *key = e->keys[i] ? e->keys[i] : *position < n ? allowed[(*position)++] : NULL;
  for (int h = 0; key && h <= n; h++)
    if (!strcmp(allowed[h], key)) return h;
  report(l->d, E0501, key ? e->key_at[i] : e->args[i]->at, key ? "%s has no option %s" : "%s has not that many options",
         o->name, key);
  const char *guess = key ? nearest(key, allowed, n + 1) : NULL;
  if (guess) report_help(l->d, "did you mean %s?", guess);
  return -1;
}

static Node *option_value(Lower *l, const UpdateGroup *group, const char *key, const Expr *e) {
  const char *saved = l->prefix;
  l->prefix = join(l, group->target, key);
  Builder b = {l->program->schedule, e->at, l->prefix};
  bool is_flag = (!strcmp(key, "nesterov") || !strcmp(key, "centered")) && (e->kind == EXPR_TRUE || e->kind == EXPR_FALSE);
  Node *value = is_flag ? b_const(&b, F64, e->kind == EXPR_TRUE) : schedule_value(l, e);
  l->prefix = saved;
  if (!value || value->op != OP_const || value->attrs.value >= 0) return value;
  report(l->d, E0501, e->at, "%s: cannot be negative", key);
  if (!strcmp(key, "lr")) report_help(l->d, "to climb instead of to descend, minimize the negative: minimize -gain");
  return NULL;
}

static bool clip_of(Lower *l, const Expr *e, double *clip) {
  if (!as_number(l, e, clip)) return false;
  return *clip > 0 || (report(l->d, E0501, e->at, "clip: must be positive"), false);
}

static bool given_options(Lower *l, const Expr *e, UpdateGroup *group, double *clip) {
  const Optimizer *o = group->optimizer;
  bool ok = true, used[MAX_HYPER + 1] = {false};
  int position = 0;
  for (int i = 1; e->kind == EXPR_CALL && i < e->n_args; i++) {
    int h = option_place(l, e, i, o, &position);
    if (h < 0) {
      ok = false;
      continue;
    }
    bool is_clip = h == MAX_HYPER || !o->hyper[h];
    if (used[h]) report(l->d, E0501, e->args[i]->at, "%s is given twice", is_clip ? "clip" : o->hyper[h]);
    ok &= !used[h];
    used[h] = true;
    if (is_clip)
      ok &= clip_of(l, e->args[i], clip);
    else
      ok &= (group->hyper[h] = option_value(l, group, o->hyper[h], e->args[i])) != NULL;
  }
  return ok;
}

static bool hyper_values(Lower *l, const Expr *e, UpdateGroup *group, double *clip) {
  if (!optimizer_of(l, e->kind == EXPR_CALL ? e->args[0] : e, group) || !given_options(l, e, group, clip)) return false;
  const Optimizer *o = group->optimizer;
  for (int h = 0; h < MAX_HYPER && o->hyper[h]; h++) {
    if (group->hyper[h]) continue;
    if (isnan(o->fallback[h])) return report(l->d, E0501, e->at, "%s needs %s:", o->name, o->hyper[h]), false;
    Builder b = {l->program->schedule, e->at, join(l, group->target, o->hyper[h])};
    group->hyper[h] = b_const(&b, F64, o->fallback[h]);
  }
  return true;
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

/* Which term of a sum is to blame: loss + 1e-4 * w ^ 2. */
static bool note_term(Lower *l, const Node *sum) {
  if (sum->op != OP_add && sum->op != OP_sub) return false;
  if (!sum->in[0]->type.rank == !sum->in[1]->type.rank) return false;
  Value term = tensor_value(sum->in[sum->in[0]->type.rank == 0]);
  report_note(l->d, readers_place(term.node->span), "this term is %s", describe(l, &term));
  return true;
}

static void help_scalar(Lower *l, const Node *loss) {
  int64_t elements = 1;
  for (int i = 0; i < loss->type.rank; i++) elements *= loss->type.dim[i].rows ? 2 : loss->type.dim[i].size;
  if (note_term(l, loss)) report_help(l->d, "take the sum or the mean of it");
  else if (elements == 1) report_help(l->d, "its one element is sum(...), or the reduction without keep:");
  else report_help(l->d, "take the mean: minimize mean(...)");
}

static Node *loss_of(Lower *l, const Expr *e) {
  Value v = eval_named(l, e, "loss");
  if (v.kind == TUPLE) {
    report(l->d, E0602, place(l, e->at), "one scalar can be minimized, this is %s", describe(l, &v));
    report_help(l->d, "add them, each with its weight: minimize a + 0.1 * b");
    return NULL;
  }
  Node *loss = as_tensor(l, v, F32, e);
  if (!loss || loss->type.rank == 0) return loss;
  report(l->d, E0602, place(l, e->at), "only a scalar can be minimized, this is %s", describe(l, &v));
  help_scalar(l, loss);
  return NULL;
}

/* Whatever the next one needs in any case is computed between two that do not always run. */
static void end_phase(Lower *l) {
  Train *t = &l->program->train;
  int64_t every = t->phases[l->phase].every;
  t->phases[l->phase].update = t->n_updates - 1;
  begin_phase(l, 1);
  if (every > 1) begin_phase(l, every);
}

void lower_update(Lower *l, const Syntax *s, Stmt *stmt) {
  Train *t = &l->program->train;
  Update update = {.name = arena_print(l->arena, "update%d", t->n_updates), .span = s->at};
  const Expr *e = s->n_values ? s->values[0] : s->value;
  Node *loss = loss_of(l, e);
  bool ok = loss != NULL;
  for (int i = 0; i < s->n_clauses; i++) {
    UpdateGroup group = {.span = s->clause_target[i]->at};
    bool fits = target_of(l, s->clause_target[i], &group.target);
    if (!fits) group.target = "?";
    ok &= hyper_values(l, s->clause_optimizer[i], &group, &update.clip) && fits;
    LIST_PUSH(l->arena, update.groups, update.n_groups, group);
  }
  if (!ok) return;
  assign_params(l, &update);
  if (!moves_any(l, s, &update)) return;
  if (check_fresh(l, e->at, loss)) check_reach(l, &update, loss);
  graph_output(l->graph, OUT_LOSS, update.name, loss);
  stmt->index = t->n_updates;
  LIST_PUSH(l->arena, t->updates, t->n_updates, update);
  end_phase(l);
}
