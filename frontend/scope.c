/* scope.c - names and what they stand for. */
#include <string.h>

#include "frontend/lower.h"

Value poison(void) { return (Value){.kind = POISON}; }
Value number_value(double number, bool is_float) {
  return (Value){.kind = NUMBER, .number = number, .is_float = is_float};
}
Value truth_value(bool truth) { return (Value){.kind = TRUTH, .number = truth}; }
Value tensor_value(Node *node) { return (Value){.kind = TENSOR, .node = node}; }

Scope *scope_new(Lower *l, const Scope *parent) {
  Scope *scope = arena_alloc(l->arena, sizeof *scope);
  scope->parent = parent;
  return scope;
}

static Entry *find_here(const Scope *scope, const char *name) {
  for (int i = scope->n - 1; i >= 0; i--)
    if (!strcmp(scope->entries[i]->name, name)) return scope->entries[i];
  return NULL;
}

bool is_declared_here(const Scope *scope, const char *name) {
  const Entry *entry = find_here(scope, name);
  return entry && entry->at;
}

static bool is_callable(const Value *v) {
  return v->kind == DEFINITION || v->kind == BUILTIN || v->kind == INSTANCE || v->kind == POISON;
}

/* step, epoch, total, training: there without a declaration. */
static bool is_given(const char *name) {
  const char *names[8] = {"training"};
  int n = 1 + counter_names(names + 1);
  for (int i = 0; i < n; i++)
    if (!strcmp(names[i], name)) return true;
  return false;
}

/* A name of the standard file hides nothing that its reader could mean. */
static void warn_shadow(Lower *l, const char *name, const Value *value, const Span *at) {
  for (const Scope *outer = l->scope->parent; outer && !at->source->standard; outer = outer->parent) {
    const Entry *old = find_here(outer, name);
    if (!old || !old->at || is_callable(&old->value) != is_callable(value)) continue;
    report(l->d, W0102, at, "%s hides another %s further out", name, name);
    report_note(l->d, old->at, "declared here");
    return;
  }
  if (at->source->standard || (is_callable(value) ? !builtin_find(name) : !is_given(name))) return;
  report(l->d, W0102, at, "%s hides the language's own %s", name, name);
}

Entry *define(Lower *l, const char *name, Value value, const Span *at) {
  Entry *old = find_here(l->scope, name);
  if (old && old->at && at && value.kind != INSTANCE) {
    report(l->d, E0102, place(l, at), "%s is declared twice in this block", name);
    report_note(l->d, old->at, "first declared here");
  } else if (old && at && (old->value.kind == DIM || old->value.kind == RUN)) {
    report(l->d, E0102, place(l, at), "%s is declared twice in this block: it is an axis in the signature", name);
    return old;
  } else if (at) {
    warn_shadow(l, name, &value, at);
  }
  Entry *entry = arena_alloc(l->arena, sizeof *entry);
  *entry = (Entry){.name = name, .value = value, .at = at, .graph = l->graph};
  LIST_PUSH(l->arena, l->scope->entries, l->scope->n, entry);
  return entry;
}

Entry *lookup(const Scope *scope, const char *name, bool callable) {
  for (; scope; scope = scope->parent) {
    Entry *entry = find_here(scope, name);
    if (entry && (!callable || is_callable(&entry->value))) return entry->used = true, entry;
  }
  return NULL;
}

/* Is it made of step, epoch, total and numbers? */
static bool counts_alone(Lower *l, Graph *graph, const Node *node) {
  graph_number(graph);
  bool *below = arena_alloc(l->arena, (size_t)graph->n_nodes + 1);
  below[node->id] = true;
  for (int i = node->id; i >= 0; i--) {
    const Node *at = graph->nodes[i];
    if (below[i] && (at->op == OP_input || at->op == OP_param || at->op == OP_random)) return false;
    for (int k = 0; k < at->n_in; k++) below[at->in[k]->id] |= below[i];
  }
  return true;
}

bool same_graph(Lower *l, const Entry *entry, const Expr *e) {
  ValueKind kind = entry->value.kind;
  bool is_made = kind == TENSOR || kind == TUPLE || kind == RECORD || kind == BATCH;
  if (!is_made || !entry->graph || entry->graph == l->graph) return true;
  Graph *train = l->program->train.graph;
  if (l->graph == l->program->schedule) {
    report(l->d, E0502, place(l, e->at),
           "an optimizer's options are computed from step, epoch and total alone, not from %s", e->name);
    report_note(l->d, entry->at, "made here");
    if (kind == TENSOR && entry->graph == train && counts_alone(l, train, entry->value.node))
      report_help(l->d, "write its expression here, in place of its name");
    else
      report_help(l->d, "such as cosine(1e-3) or where(step < 100, 1e-3, 1e-4)");
    return false;
  }
  report(l->d, E0106, place(l, e->at), "%s belongs to another block and has no value here", e->name);
  report_note(l->d, entry->at, "made here");
  report_help(l->d, l->graph == l->program->sample.graph ? "sample writes text of its own: compute it from the batch's field"
                                                         : "eval works on its own batches: compute it from them");
  return false;
}

/* A model that forgot `use nn`. */
static bool in_standard_file(Lower *l, const char *name) {
  const char *fn = arena_print(l->arena, "\nfn %s(", name), *module = arena_print(l->arena, "\nmodule %s(", name);
  return strstr(nn_mt, fn) || strstr(nn_mt, module);
}

Value unknown_name(Lower *l, const char *name, const Span *at, bool callable) {
  enum { ROOM = 512 };
  const char *names[ROOM] = {NULL};
  int n = callable ? builtin_names(names, ROOM) : 0;
  bool in_schedule = l->graph && l->graph == l->program->schedule;
  if (callable && in_schedule) n += schedule_names(names + n);
  if (!callable && (in_schedule || (l->graph && l->training))) n += counter_names(names + n);
  for (const Scope *scope = l->scope; scope; scope = scope->parent)
    for (int i = 0; i < scope->n && n < ROOM; i++)
      if (!callable || is_callable(&scope->entries[i]->value)) names[n++] = scope->entries[i]->name;
  const char *guess = nearest(name, names, n);
  if (callable && !guess && l->file_missing) return poison(); /* it may stand in the file that could not be read */
  report(l->d, E0101, place(l, at),
         callable ? "there is no function, module or instance called %s" : "nothing is called %s here", name);
  if (guess)
    report_help(l->d, "did you mean %s?", guess);
  else if (callable && in_standard_file(l, name))
    report_help(l->d, "it is in the standard file: write `use nn` at the top");
  return poison();
}

void help_callable(Lower *l, const Value *v) {
  switch (v->kind) {
  case TENSOR: report_help(l->d, "x[...] takes elements, x * y and x @ y multiply"); break;
  case TUPLE: report_help(l->d, "[0] takes the first of them"); break;
  case BATCH: report_help(l->d, "a field of it is %s.%s", v->name, v->fields[0].name); break;
  case SET: report_help(l->d, "its batches come one by one: train d in %s ...", v->name); break;
  default: break;
  }
}

const Span *place(Lower *l, const Span *at) {
  if (!l->caller || !at) return at;
  Span *span = arena_alloc(l->arena, sizeof *span);
  *span = *at;
  span->caller = l->caller;
  return span;
}

const char *join(Lower *l, const char *prefix, const char *name) {
  return prefix && *prefix ? arena_print(l->arena, "%s.%s", prefix, name) : name;
}

const char *describe(Lower *l, const Value *v) {
  Text text = {0};
  switch (v->kind) {
  case POISON: return "an error";
  case TENSOR: type_print(&text, &v->node->type, false); return text_take(&text, l->arena);
  case NUMBER:
    text_add(&text, "the number ");
    text_number(&text, v->number);
    return text_take(&text, l->arena);
  case TRUTH: return v->number != 0 ? "true" : "false";
  case DIM:
    if (v->dim.rows) return arena_print(l->arena, "the batch %s", v->dim.rows->name);
    return arena_print(l->arena, "the dim %lld", (long long)v->dim.size);
  case RUN: return "a run of axes";
  case TEXT: return "a text";
  case SET: return arena_print(l->arena, "the data set %s", v->name);
  case DEFINITION:
    return arena_print(l->arena, "the %s %s", v->syntax->kind == SYN_FN ? "function" : "module", v->syntax->name);
  case BUILTIN: return arena_print(l->arena, "the function %s", v->builtin->name);
  case INSTANCE: return arena_print(l->arena, "the instance %s", v->instance->path);
  case BATCH: return "a batch of data";
  case TUPLE: return v->n ? arena_print(l->arena, "%d values", v->n) : "a list";
  case RECORD: return "the gradients of an instance";
  }
  return "";
}
