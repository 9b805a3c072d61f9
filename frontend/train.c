/* train.c - the training loop: its statements become a script, its expressions a graph. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/lower.h"

/* ---- log, save, every, eval ---- */

/* NULL: `log mean(x)` has none. */
static const char *log_name(const Syntax *s) {
  return s->name ? s->name : s->value && s->value->kind == EXPR_NAME ? s->value->name : NULL;
}

static void no_name(Lower *l, const Syntax *s) {
  const Expr *e = s->value;
  report(l->d, E0504, e->at, "a log needs a name: log name = expression");
  if (e->kind == EXPR_FIELD) report_help(l->d, "write: log %s = ...", e->name);
  if (e->kind == EXPR_STRING) report_help(l->d, "names stand without quotes: log loss = ...");
}

static void no_number(Lower *l, const Value *v, const char *name, const Expr *e) {
  report(l->d, E0504, place(l, e->at), "a log is one number, this is %s", describe(l, v));
  switch (v->kind) {
  case TENSOR: break;
  case TUPLE: report_help(l->d, "log each under a name of its own"); return;
  case RECORD: report_help(l->d, "their common length is log %s = norm(...)", name); return;
  case BATCH: report_help(l->d, "take a field of it: log %s = mean(%s.%s)", name, v->name, v->fields[0].name); return;
  default: return;
  }
  const Type *t = &v->node->type;
  bool one = true;
  for (int i = 0; i < t->rank; i++) one &= t->dim[i].size == 1 && !t->dim[i].rows;
  if (one) report_help(l->d, "its one element is sum(...), or the reduction without keep:");
  else report_help(l->d, "take the mean: log %s = mean(...)", name);
}

/* Says so. */
static bool is_logged(Lower *l, const Syntax *s, const char *name) {
  for (int i = 0; i < l->graph->n_outputs; i++) {
    const Output *output = &l->graph->outputs[i];
    if (output->role != OUT_LOG || strcmp(output->name, name)) continue;
    report(l->d, E0509, s->at, "%s is logged already", name);
    report_note(l->d, readers_place(output->node->span), "as this value");
    report_help(l->d, "give this one another name: log %s2 = ...", name);
    return true;
  }
  return false;
}

static void lower_log(Lower *l, const Syntax *s, Stmt *stmt) {
  const Expr *e = s->value;
  stmt->name = log_name(s);
  if (!stmt->name) {
    no_name(l, s);
    return;
  }
  Value v = eval_named(l, e, stmt->name);
  if (v.kind == POISON) return;
  bool is_number = v.kind == TENSOR || v.kind == NUMBER || v.kind == TRUTH || v.kind == DIM;
  Node *node = is_number ? as_tensor(l, v, F32, e) : NULL;
  if (!node || node->type.rank != 0) {
    no_number(l, &v, stmt->name, e);
    return;
  }
  if (is_logged(l, s, stmt->name)) return;
  Builder b = {l->graph, place(l, s->at), stmt->name};
  graph_output(l->graph, OUT_LOG, stmt->name, b_cast(&b, node, F32));
  l->graph->outputs[l->graph->n_outputs - 1].index = l->training ? l->phase : 0;
}

static void lower_statements(Lower *l, int n, Syntax *const *body, int *n_out, Stmt **out, bool in_every);

static void lower_eval(Lower *l, const Syntax *s, Stmt *stmt) {
  Program *p = l->program;
  int data = data_index(l, s->value);
  if (data < 0) return;
  Graph *saved_graph = l->graph, *whole = graph_new(p, arena_print(l->arena, "eval%d", p->n_evals), NULL);
  Scope *saved = l->scope;
  bool training = l->training;
  int phase = l->phase;
  Eval eval = {.variable = s->names[0], .data = data, .span = s->at};
  whole->rows = p->data[data].rows;
  l->graph = whole;
  l->training = false;
  l->phase = 0;
  l->scope = scope_new(l, saved);
  define(l, s->names[0], batch_value(s->names[0], p->data[data].n_fields, p->data[data].fields),
         s->names_at[0]);
  Claim *claims = claims_start(l);
  lower_statements(l, s->n_body, s->body, &stmt->n_body, &stmt->body, true);
  claims_end(l, claims);
  warn_unused(l, l->scope);
  l->graph = saved_graph;
  l->scope = saved;
  l->training = training;
  l->phase = phase;
  if (diagnostics_errors(l->d)) return;
  forget_own_names(whole);
  split_eval(l, &eval, whole);
  stmt->index = p->n_evals;
  LIST_PUSH(l->arena, p->evals, p->n_evals, eval);
}

static void not_every(Lower *l, const Syntax *s, const char *what) {
  report(l->d, E0304, s->at, "%s stands in every: how often is it meant?", what);
  report_help(l->d, "write: every 1 epochs { %s ... }", what);
}

static bool has_update(Lower *l, const Syntax *every) {
  for (int i = 0; i < every->n_body; i++) {
    if (every->body[i]->kind != SYN_UPDATE) continue;
    if (every->unit == STEPS) return true;
    report(l->d, E0507, every->body[i]->at, "an update acts in steps, and this stands in every ... epochs");
    report_help(l->d, "write: every N steps { update ... }");
    return false;
  }
  return false;
}

static void lower_statement(Lower *l, const Syntax *s, Stmt *stmt, bool in_every) {
  switch (s->kind) {
  case SYN_LOG:
    stmt->kind = STMT_LOG;
    lower_log(l, s, stmt);
    break;
  case SYN_UPDATE:
    stmt->kind = STMT_UPDATE;
    lower_update(l, s, stmt);
    break;
  case SYN_SAVE:
    if (!in_every) not_every(l, s, "save");
    stmt->kind = STMT_SAVE;
    stmt->name = s->name;
    stmt->highest = s->highest;
    break;
  case SYN_SAMPLE:
    if (!in_every) not_every(l, s, "sample");
    stmt->kind = STMT_SAMPLE;
    lower_sample(l, s);
    break;
  case SYN_EVAL:
    if (!in_every) not_every(l, s, "eval");
    stmt->kind = STMT_EVAL;
    lower_eval(l, s, stmt);
    break;
  case SYN_EVERY: {
    int64_t count = 0;
    stmt->kind = STMT_EVERY;
    if (whole_number(l, s->count, &count) && count < 1)
      report(l->d, E0507, s->count->at, "every needs a count of at least 1");
    stmt->every = count;
    stmt->unit = s->unit;
    bool updates = has_update(l, s);
    if (updates) begin_phase(l, count);
    lower_statements(l, s->n_body, s->body, &stmt->n_body, &stmt->body, true);
    if (updates) begin_phase(l, 1);
    break;
  }
  default: fault("statement %d in a train block", s->kind);
  }
}

enum { MOST_LOGS = 64 };

static int logs_of(int n, Syntax *const *body, const char **out) {
  int n_logs = 0;
  for (int i = 0; i < n && n_logs < MOST_LOGS; i++) {
    const char *name = body[i]->kind == SYN_LOG ? log_name(body[i]) : NULL;
    if (name) out[n_logs++] = name;
  }
  return n_logs;
}

static bool is_one_of(const char *name, int n, const char *const *names) {
  for (int i = 0; i < n; i++)
    if (!strcmp(names[i], name)) return true;
  return false;
}

static bool training_logs(const Lower *l, const char *name) {
  const Graph *g = l->program->train.graph;
  for (int i = 0; g && i < g->n_outputs; i++)
    if (g->outputs[i].role == OUT_LOG && !strcmp(g->outputs[i].name, name)) return true;
  return false;
}

static bool is_made_here(const Lower *l, const char *name) {
  const Entry *entry = lookup(l->scope, name, false);
  return entry && entry->value.kind == TENSOR && entry->graph == l->graph;
}

/* The way from a name that is not logged here to one that is. */
static void help_save(Lower *l, const char *name, int n_logs, const char *const *logs) {
  const char *guess = nearest(name, logs, n_logs);
  Text list = {0};
  for (int i = 0; i < n_logs; i++) text_add(&list, "%s%s", i ? ", " : "", logs[i]);
  if (guess) report_help(l->d, "did you mean %s?", guess);
  else if (is_made_here(l, name)) report_help(l->d, "log it first: log %s", name);
  else if (training_logs(l, name))
    report_help(l->d, "that is logged of the training's batches; log one of this eval's: log %s = ...", name);
  else if (n_logs) report_help(l->d, "logged here: %s", list.data);
  else report_help(l->d, "log it first: log %s = ...", name);
  text_free(&list);
}

/* Outside of eval there is nothing that `highest` and `lowest` could compare. */
static void no_eval(Lower *l, const Syntax *save, int n, Syntax *const *body) {
  const char *logs[MOST_LOGS], *word = save->highest ? "highest" : "lowest";
  report(l->d, E0506, save->name_at, "save %s compares evaluations, and this stands in no eval", word);
  for (int i = 0; i < n; i++) {
    if (body[i]->kind != SYN_EVAL) continue;
    if (!is_one_of(save->name, logs_of(body[i]->n_body, body[i]->body, logs), logs)) continue;
    report_note(l->d, body[i]->at, "%s is logged in this block", save->name);
    report_help(l->d, "write it as that block's last line");
    return;
  }
  report_help(l->d, "write: eval e in DATA { log %s = ...; save %s %s }; `save` alone keeps the weights of now",
              save->name, word, save->name);
}

static void check_saves(Lower *l, int n, Syntax *const *body) {
  const char *logs[MOST_LOGS];
  int n_logs = logs_of(n, body, logs);
  for (int i = 0; i < n; i++) {
    const Syntax *s = body[i];
    if (s->kind != SYN_SAVE || !s->name) continue;
    if (l->training) {
      no_eval(l, s, n, body);
    } else if (!is_one_of(s->name, n_logs, logs)) {
      report(l->d, E0506, s->name_at, "save watches %s, which is not logged beside it", s->name);
      help_save(l, s->name, n_logs, logs);
    }
  }
}

static void lower_statements(Lower *l, int n, Syntax *const *body, int *n_out, Stmt **out, bool in_every) {
  for (int i = 0; i < n; i++) {
    const Syntax *s = body[i];
    if (s->kind == SYN_LET) do_let(l, s);
    if (s->kind == SYN_LET || s->kind == SYN_ERROR || s->kind == SYN_FREEZE) continue;
    Stmt stmt = {.span = s->at};
    lower_statement(l, s, &stmt, in_every);
    LIST_PUSH(l->arena, *out, *n_out, stmt);
  }
  if (in_every) check_saves(l, n, body);
}

/* ---- train ---- */

static bool train_source(Lower *l, const Expr *e, Train *t) {
  bool shuffled = e->kind == EXPR_CALL && e->args[0]->kind == EXPR_NAME && !strcmp(e->args[0]->name, "shuffled");
  if (!shuffled) return (t->data = data_index(l, e)) >= 0;
  t->shuffled = true;
  t->data = -1;
  for (int i = 1; i < e->n_args; i++) {
    if (!e->keys[i])
      t->data = data_index(l, e->args[i]);
    else if (!strcmp(e->keys[i], "seed")) {
      if (!whole_number(l, e->args[i], &t->shuffle_seed)) return false;
    } else
      return report(l->d, E0507, e->key_at[i], "shuffled has no option %s; it has seed:", e->keys[i]), false;
  }
  if (e->n_args < 2) report(l->d, E0104, e->at, "shuffled takes the data set to shuffle");
  return t->data >= 0;
}

static void wrong_precision(Lower *l, const Span *at, const char *word) {
  static const char *const names[] = {"f32", "tf32", "bf16"};
  bool half = !strcmp(word, "f16") || !strcmp(word, "fp16") || !strcmp(word, "half") || !strcmp(word, "float16");
  const char *guess = half ? "bf16" : *word ? nearest(word, names, 3) : NULL;
  report(l->d, E0507, at, "precision: is f32, tf32 or bf16");
  if (guess) report_help(l->d, "did you mean %s?%s", guess, half ? " f16 would need a scaled loss" : "");
}

typedef struct MemoryUnit {
  const char *name;
  double bytes;
} MemoryUnit;
static const MemoryUnit memory_units[] = {{"B", 1},    {"KB", 1e3},    {"MB", 1e6},       {"GB", 1e9},
                                          {"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30}};
enum { N_MEMORY_UNITS = sizeof memory_units / sizeof memory_units[0] };

/* What stands before the unit, "8" or "1.5"; its length, 0 when it is no number. */
static size_t amount_length(const char *text) {
  size_t whole = strspn(text, "0123456789"), part = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
  return !whole || (text[whole] == '.' && !part) ? 0 : part ? whole + 1 + part : whole;
}

static void wrong_memory(Lower *l, const Expr *e, const char *unit) {
  const char *names[N_MEMORY_UNITS];
  for (int i = 0; i < N_MEMORY_UNITS; i++) names[i] = memory_units[i].name;
  const char *guess = unit ? nearest(unit, names, N_MEMORY_UNITS) : NULL;
  report(l->d, E0512, place(l, e->at), "memory: is how many bytes training may take, such as \"8GiB\"");
  if (guess) report_help(l->d, "did you mean %.*s%s?", (int)amount_length(e->name), e->name, guess);
  else report_help(l->d, "the units are KiB, MiB, GiB (of 1024), KB, MB, GB (of 1000) and B");
}

/* "8GiB", "1.5 GB"; a number without a unit counts bytes. */
static void memory_budget(Lower *l, const Expr *e, int64_t *out) {
  enum { MOST_BITS = 60 };
  double bytes = 0;
  if (e->kind == EXPR_STRING) {
    size_t length = amount_length(e->name);
    const char *unit = e->name + length + strspn(e->name + length, " ");
    int u = 0;
    while (*unit && u < N_MEMORY_UNITS && strcmp(memory_units[u].name, unit)) u++;
    if (!length || u == N_MEMORY_UNITS) {
      wrong_memory(l, e, length ? unit : NULL);
      return;
    }
    bytes = floor(strtod(e->name, NULL) * memory_units[u].bytes);
  } else {
    int64_t number;
    if (!whole_number(l, e, &number)) return;
    bytes = (double)number;
  }
  if (bytes >= 1 && bytes < ldexp(1, MOST_BITS)) *out = (int64_t)bytes;
  else report(l->d, E0512, place(l, e->at), "memory: must be at least 1 byte and less than 2^%d", MOST_BITS);
}

static void train_options(Lower *l, const Syntax *s, Train *t) {
  static const char *const names[] = {"accumulate", "precision", "memory"};
  t->accumulate = 1;
  for (int i = 0; i < s->n_options; i++) {
    const char *key = s->option_keys[i];
    const Expr *e = s->option_values[i];
    const char *word = e->kind == EXPR_NAME ? e->name : "";
    if (!strcmp(key, "accumulate")) {
      if (whole_number(l, e, &t->accumulate) && t->accumulate < 1)
        report(l->d, E0507, e->at, "accumulate: must be at least 1");
    } else if (!strcmp(key, "precision")) {
      if (!strcmp(word, "bf16"))
        t->precision = PRECISION_BF16;
      else if (!strcmp(word, "tf32"))
        t->precision = PRECISION_TF32;
      else if (strcmp(word, "f32"))
        wrong_precision(l, e->at, word);
    } else if (!strcmp(key, "memory")) {
      memory_budget(l, e, &t->memory);
    } else {
      const char *guess = nearest(key, names, 3);
      report(l->d, E0507, s->option_at[i], "train has no option %s", key);
      if (guess) report_help(l->d, "did you mean %s?", guess);
    }
  }
}

/* freeze counts wherever it stands in the block. */
static void find_frozen(Lower *l, const Syntax *s) {
  for (int i = 0; i < s->n_body; i++)
    for (int k = 0; s->body[i]->kind == SYN_FREEZE && k < s->body[i]->n_values; k++) {
      const char *target;
      if (path_of(l, s->body[i]->values[k], &target)) LIST_PUSH(l->arena, l->frozen, l->n_frozen, target);
    }
}

/* Afterwards: only now all parameters are made. */
static void check_frozen(Lower *l, const Syntax *s) {
  const char *target;
  for (int i = 0; i < s->n_body; i++)
    for (int k = 0; s->body[i]->kind == SYN_FREEZE && k < s->body[i]->n_values; k++)
      target_of(l, s->body[i]->values[k], &target);
}

void lower_train(Lower *l, const Syntax *s) {
  Program *p = l->program;
  Train *t = &p->train;
  if (p->has_train) {
    report(l->d, E0507, s->at, "there is one train block already");
    report_note(l->d, t->span, "here");
    return;
  }
  *t = (Train){.variable = s->names[0], .unit = s->unit, .span = s->at};
  train_options(l, s, t);
  if (!train_source(l, s->value, t) || !whole_number(l, s->count, &t->count)) return;
  if (t->count < 1)
    report(l->d, E0507, s->count->at, "train needs at least 1 %s", s->unit == EPOCHS ? "epoch" : "step");
  p->has_train = true;
  t->graph = graph_new(p, "train", NULL);
  t->graph->rows = p->data[t->data].rows;
  l->graph = t->graph;
  l->training = true;
  l->scope = scope_new(l, l->scope);
  begin_phase(l, 1);
  Claim *claims = claims_start(l);
  Value batch = batch_value(s->names[0], p->data[t->data].n_fields, p->data[t->data].fields);
  batch.augment = l->augments[t->data];
  define(l, s->names[0], batch, s->names_at[0]);
  find_frozen(l, s);
  lower_statements(l, s->n_body, s->body, &t->n_body, &t->body, false);
  check_frozen(l, s);
  if (!t->n_updates && !diagnostics_errors(l->d))
    report(l->d, E0507, s->at, "nothing is trained: there is no update in this block");
  warn_unused(l, l->scope);
  claims_end(l, claims);
  if (!diagnostics_errors(l->d)) forget_own_names(t->graph);
  l->scope = (Scope *)l->scope->parent;
  l->training = false;
  l->phase = 0;
  l->graph = NULL;
}
