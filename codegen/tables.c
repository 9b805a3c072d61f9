/* tables.c - what a generated program says of itself, and its main.
 *
 * Constant tables in the order of the structs of mtrt.h; each row is written
 * out in columns, so that a reader finds a parameter's offset or a data set's
 * file without knowing the compiler.
 */
#include <string.h>

#include "codegen/target.h"

/* ---- rows in columns --------------------------------------------------------------- */

enum { MAX_CELLS = 16 };
typedef struct Table {
  Emit *e;
  int n_rows;
  const char *(*rows)[MAX_CELLS];
  int n_cells;
} Table;

static void add_row(Table *t, int n, ...) {
  va_list cells;
  if (n > MAX_CELLS) fault("a table row has %d cells", n);
  t->rows = arena_grow(t->e->arena, t->rows, t->n_rows, sizeof *t->rows);
  va_start(cells, n);
  for (int i = 0; i < n; i++) t->rows[t->n_rows][i] = va_arg(cells, const char *);
  va_end(cells);
  t->n_rows++;
  t->n_cells = n;
}

/* `declaration[] = {` and the rows, each cell as wide as its column's widest. */
static void emit_table(Table *t, const char *declaration) {
  Text *out = t->e->out;
  size_t width[MAX_CELLS] = {0};
  for (int r = 0; r < t->n_rows; r++)
    for (int c = 0; c < t->n_cells; c++)
      if (strlen(t->rows[r][c]) > width[c]) width[c] = strlen(t->rows[r][c]);
  text_add(out, "static const %s[] = {\n", declaration);
  for (int r = 0; r < t->n_rows; r++) {
    text_add(out, "  {");
    for (int c = 0; c < t->n_cells; c++) {
      bool last = c + 1 == t->n_cells;
      text_add(out, last ? "%s" : "%s,%*s", t->rows[r][c], last ? 0 : (int)(width[c] - strlen(t->rows[r][c])) + 1, "");
    }
    text_add(out, "},\n");
  }
  text_add(out, "};\n");
}

static const char *quote(Emit *e, const char *text) {
  Text out = {0};
  text_add(&out, "\"");
  for (; *text; text++) {
    if (*text == '"' || *text == '\\')
      text_add(&out, "\\%c", *text);
    else if ((unsigned char)*text < 32 || (unsigned char)*text == 127 || (*text == '?' && text[1] == '?'))
      text_add(&out, "\\%03o", (unsigned char)*text);
    else
      text_add_bytes(&out, text, 1);
  }
  text_add(&out, "\"");
  return text_take(&out, e->arena);
}

static const char *number(Emit *e, int64_t value) {
  return arena_print(e->arena, value > INT32_MAX || value < INT32_MIN ? "%lldLL" : "%lld", (long long)value);
}

static const char *real_number(Emit *e, double value) {
  Text text = {0};
  text_number(&text, value);
  return text_take(&text, e->arena);
}

/* "{P, H}" from axis `from` on; "{0}" for a scalar. */
static const char *shape_cell(Emit *e, const Type *type, int from) {
  Text text = {0};
  for (int a = from; a < type->rank; a++)
    text_add(&text, "%s%s", a > from ? ", " : "{", program_dim(e->program, &e->roots, &type->dim[a]).text);
  text_add(&text, type->rank > from ? "}" : "{0}");
  return text_take(&text, e->arena);
}

static const char *rank_cell(Emit *e, const Type *type, int from) {
  return number(e, type->rank > from ? type->rank - from : 0);
}

/* ---- parameters, data ---------------------------------------------------------------- */

static const char *const inits[] = {"MT_CONSTANT", "MT_UNIFORM", "MT_NORMAL"};

static void tensor_row(Table *t, const char *path, const Type *type, int64_t offset, const Init *init, const Span *span,
                       const char *pattern) {
  Emit *e = t->e;
  add_row(t, 9, quote(e, path), rank_cell(e, type, 0), shape_cell(e, type, 0), number(e, offset),
          inits[init->kind], real_number(e, init->a), real_number(e, init->b), quote(e, model_line(e->arena, span)),
          pattern ? quote(e, pattern) : "NULL");
}

static void emit_tensors(Emit *e) {
  const Program *p = e->program;
  Table params = {.e = e}, states = {.e = e};
  for (int i = 0; i < p->n_params; i++)
    tensor_row(&params, p->params[i].path, &p->params[i].type, p->params[i].offset, &p->params[i].init,
               p->params[i].span, p->params[i].pattern);
  for (int i = 0; i < p->n_states; i++)
    tensor_row(&states, p->states[i].path, &p->states[i].type, p->states[i].offset, &p->states[i].init,
               p->states[i].span, p->states[i].pattern);
  if (p->n_params) {
    text_add(e->out, "// name, rank, shape, offset, initial distribution, where it is declared, name in files of a stacked block\n");
    emit_table(&params, "MtTensor params");
    text_add(e->out, "\n");
  }
  if (p->n_states) {
    emit_table(&states, "MtTensor states");
    text_add(e->out, "\n");
  }
}

static void emit_fields(Emit *e, const Field *fields, int n, const char *name) {
  static const char *const types[DTYPE_COUNT] = {"MT_F32", "MT_F64", "MT_BF16", "MT_I32", "MT_U8", "MT_BOOL"};
  Table t = {.e = e};
  for (int i = 0; i < n; i++)
    add_row(&t, 7, quote(e, fields[i].name), types[fields[i].type.dtype], rank_cell(e, &fields[i].type, 1),
            shape_cell(e, &fields[i].type, 1), number(e, fields[i].low), number(e, fields[i].high),
            number(e, fields[i].ignore));
  emit_table(&t, arena_print(e->arena, "MtField %s", name));
}

static void emit_data(Emit *e) {
  static const char *const kinds[] = {"MT_CSV", "MT_NPY", "MT_NPZ", "MT_IDX",
                                      "MT_BYTES", "MT_TOKENS", "MT_RANDOM"};
  const Program *p = e->program;
  Table t = {.e = e};
  if (p->n_data) text_add(e->out, "// name, type, rank and shape of a row, labels from, to and besides\n");
  for (int i = 0; i < p->n_data; i++) {
    const Data *d = &p->data[i];
    const char *fields = "NULL", *paths = "NULL";
    if (d->n_fields) fields = names_take(e->globals, arena_print(e->arena, "%s_fields", d->name));
    if (d->n_fields) emit_fields(e, d->fields, d->n_fields, fields);
    if (d->n_paths) {
      paths = names_take(e->globals, arena_print(e->arena, "%s_files", d->name));
      text_add(e->out, "static const char *const %s[] = {", paths);
      for (int k = 0; k < d->n_paths; k++) text_add(e->out, "%s%s", k ? ", " : "", quote(e, d->paths[k]));
      text_add(e->out, "};\n");
    }
    add_row(&t, 12, quote(e, d->name), kinds[d->kind], number(e, d->n_paths), paths, number(e, d->n_fields), fields,
            number(e, d->rows ? d->rows->size : 1), d->drop ? "true" : "false", number(e, d->n_rows),
            number(e, d->seed), number(e, d->stride), quote(e, model_line(e->arena, d->span)));
  }
  if (!p->n_data) return;
  text_add(e->out, "// name, kind, files, fields, rows a batch, drop a short last one, rows in all (0: as many as "
                   "there are), seed,\n// from row to row of a text (0: a window), where\n");
  emit_table(&t, "MtData data");
  text_add(e->out, "\n");
}

/* ---- what steps write ------------------------------------------------------------------ */

static int64_t output_elements(const Graph *graph) {
  int64_t n = 0;
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->outputs[i].role != OUT_GRAD && graph->outputs[i].role != OUT_STATE &&
        graph->outputs[i].role != OUT_CARRY)
      n += type_count(&graph->outputs[i].node->type);
  return n;
}

static const char *size_cell(Emit *e, const Graph *graph) {
  return arena_print(e->arena, "{%lld, %lld}", (long long)graph->arena_bytes, (long long)output_elements(graph));
}

static void log_row(Table *t, const Output *log) {
  add_row(t, 2, quote(t->e, log->name), number(t->e, log->node->offset));
}

static int emit_logs(Emit *e, const Graph *graph, const char *name) {
  Table t = {.e = e};
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->outputs[i].role == OUT_LOG)
      log_row(&t, &graph->outputs[i]);
  if (t.n_rows) emit_table(&t, arena_print(e->arena, "MtLog %s", name));
  return t.n_rows;
}

/* Of all phases, in order; n[i] of phase i. */
static int emit_train_logs(Emit *e, int *n) {
  Table t = {.e = e};
  for (int p = 0; p < phase_count(e->program); p++) {
    const Graph *graph = phase_at(e->program, p).graph;
    int before = t.n_rows;
    for (int i = 0; i < graph->n_outputs; i++)
      if (graph->outputs[i].role == OUT_LOG) log_row(&t, &graph->outputs[i]);
    n[p] = t.n_rows - before;
  }
  if (t.n_rows) emit_table(&t, "MtLog train_logs");
  return t.n_rows;
}

static const char *const foreseen[] = {"0", "MT_PLUS_INF", "MT_MINUS_INF", "MT_PLUS_INF | MT_MINUS_INF",
                                       "MT_OF_DATA", "MT_OF_DATA | MT_PLUS_INF", "MT_OF_DATA | MT_MINUS_INF",
                                       "MT_OF_DATA | MT_PLUS_INF | MT_MINUS_INF"};

/* `may_hold`: bits of foreseen_infinities. */
static void value_row(Table *t, int64_t kernel, const Node *n, int may_hold) {
  Emit *e = t->e;
  const char *place = n->type.dtype == BF16   ? "MT_IN_ARENA_BF16"
                      : n->home == HOME_ARENA ? "MT_IN_ARENA"
                      : n->home == HOME_GRAD  ? "MT_IN_GRADS"
                      : n->home == HOME_NEXT  ? "MT_IN_STATES"
                                              : "MT_IN_OUTPUTS";
  bool batched = n->type.rank && n->type.dim[0].rows && n->type.dim[0].rows->size;
  int64_t count = type_count(&n->type);
  if (!dtype_is_float(n->type.dtype)) return;
  for (int a = 1; a < n->type.rank; a++)
    if (n->type.dim[a].rows) return; /* stacked: rows that are not there lie between those that are */
  add_row(t, 8, number(e, kernel), quote(e, n->name), quote(e, model_line(e->arena, n->span)), place, number(e, n->offset),
          number(e, count), number(e, batched ? count / n->type.dim[0].rows->size : 0), foreseen[may_hold]);
}

/* How many kernels and products a call is, and those of a step. */
static int64_t calls_in(const Call *call) {
  if (!call->inner) return 1;
  int64_t turn = 0;
  for (int i = 0; i < call->inner->n_calls; i++) turn += calls_in(&call->inner->calls[i]);
  return turn * call->node->attrs.space.dim[0].size;
}

static const Step *step_of(const Emit *e, const Graph *graph) {
  for (int i = 0; i < e->n_steps; i++)
    if (e->steps[i]->graph == graph) return e->steps[i];
  return NULL;
}

/* What each call of the training step writes, in order; what a loop leaves, as written by its last. */
static int emit_values(Emit *e, int phase, const char *name) {
  const Step *step = step_of(e, phase_at(e->program, phase).graph);
  const unsigned char *may_hold = foreseen_infinities(e->arena, e->program, phase);
  Table t = {.e = e};
  int64_t done = 0;
  for (int i = 0; i < step->n_calls; i++) {
    const Node *n;
    done += calls_in(&step->calls[i]);
    for (int o = 0; (n = call_output(step, &step->calls[i], o)); o++)
      value_row(&t, done - 1, n, n->id < step->graph->n_nodes ? may_hold[n->id] & FORESEEN : 0); /* a product out of a group: nothing */
  }
  if (!t.n_rows) return 0;
  text_add(e->out, "// call, value, where, place, offset, elements, elements a row, infinities that are no fault\n");
  emit_table(&t, arena_print(e->arena, "MtValue %s", name));
  return t.n_rows;
}

/* ---- evals ------------------------------------------------------------------------------ */

static int emit_accumulators(Emit *e, const Graph *graph, const char *name) {
  static const char *const combines[] = {"'+'", "'<'", "'>'"};
  Table t = {.e = e};
  for (int i = 0; i < graph->n_outputs; i++) {
    const Output *o = &graph->outputs[i];
    if (o->role == OUT_ACC)
      add_row(&t, 3, combines[o->combine], number(e, o->node->offset), number(e, type_count(&o->node->type)));
  }
  if (t.n_rows) emit_table(&t, arena_print(e->arena, "MtAccumulator %s", name));
  return t.n_rows;
}

static void emit_evals(Emit *e) {
  const Program *p = e->program;
  Table t = {.e = e};
  for (int i = 0; i < p->n_evals; i++) {
    const Eval *v = &p->evals[i];
    const char *accumulators = arena_print(e->arena, "eval%d_accumulators", i),
               *logs = arena_print(e->arena, "eval%d_logs", i);
    int n_accumulators = emit_accumulators(e, v->batch, accumulators), n_logs = emit_logs(e, v->finish, logs);
    add_row(&t, 9, number(e, v->data), arena_print(e->arena, "eval%d_batch", i), size_cell(e, v->batch),
            number(e, n_accumulators), n_accumulators ? accumulators : "NULL",
            arena_print(e->arena, "eval%d_finish", i), size_cell(e, v->finish), number(e, n_logs),
            n_logs ? logs : "NULL");
  }
  if (!p->n_evals) return;
  text_add(e->out, "// data, batch step and its size, accumulators, finishing step and its size, logs\n");
  emit_table(&t, "MtEval evals");
  text_add(e->out, "\n");
}

/* ---- train ------------------------------------------------------------------------------- */

/* A save inside an eval watches its logs. */
static void action_rows(Table *t, const Stmt *body, int n, int eval) {
  for (int i = 0; i < n; i++) {
    const Stmt *s = &body[i];
    if (s->kind == STMT_SAMPLE) {
      add_row(t, 3, "'t'", "0", "NULL");
    } else if (s->kind == STMT_EVAL) {
      add_row(t, 3, "'e'", number(t->e, s->index), "NULL");
      action_rows(t, s->body, s->n_body, s->index);
    } else if (s->kind == STMT_SAVE) {
      add_row(t, 3,
              !s->name     ? "'s'"
              : s->highest ? "'h'"
                           : "'l'",
              number(t->e, eval), s->name ? quote(t->e, s->name) : "NULL");
    }
  }
}

static int emit_every(Emit *e, const Train *train) {
  Table t = {.e = e};
  for (int i = 0; i < train->n_body; i++) {
    const Stmt *s = &train->body[i];
    if (s->kind != STMT_EVERY) continue;
    Table actions = {.e = e};
    action_rows(&actions, s->body, s->n_body, 0);
    if (!actions.n_rows) continue;
    const char *name = arena_print(e->arena, "every%d_actions", t.n_rows);
    emit_table(&actions, arena_print(e->arena, "MtAction %s", name));
    add_row(&t, 4, number(e, s->every), s->unit == STEPS ? "MT_STEPS" : "MT_EPOCHS", number(e, actions.n_rows), name);
  }
  if (t.n_rows) emit_table(&t, "MtEvery train_every");
  return t.n_rows;
}

static void group_row(Table *t, const Update *update, const UpdateGroup *group, int64_t slots) {
  Emit *e = t->e;
  Stretch all = group_stretch(e->program, group);
  int64_t from = slots + all.begin - update_stretch(e->program, update).begin;
  Text names = {0};
  for (int s = 0; s < group->optimizer->n_slots; s++)
    text_add(&names, "%s%s", s ? ", " : "{", quote(e, group->optimizer->slot[s]));
  text_add(&names, group->optimizer->n_slots ? "}" : "{NULL}");
  add_row(t, 7, quote(e, group->target), quote(e, group->optimizer->name), number(e, group->optimizer->n_slots),
          text_take(&names, e->arena), number(e, all.begin), number(e, all.count), number(e, all.count ? from : 0));
}

static int emit_groups(Emit *e, const Train *train) {
  Table t = {.e = e};
  for (int u = 0; u < train->n_updates; u++) {
    const Update *update = &train->updates[u];
    int64_t slots = update_slots(e->program, u);
    for (int g = 0; g < update->n_groups; g++) group_row(&t, update, &update->groups[g], slots);
  }
  if (t.n_rows) text_add(e->out, "// what, optimizer, its slots, elements moved from, how many, slots from\n");
  if (t.n_rows) emit_table(&t, "MtGroup train_groups");
  return t.n_rows;
}

static int64_t loss_output(const Graph *graph) {
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->outputs[i].role == OUT_LOSS) return graph->outputs[i].node->offset;
  return -1;
}

/* One initializer a line, its meaning beside it. */
static void emit_member(Emit *e, const char *value, const char *meaning) {
  const char *cell = arena_print(e->arena, "%s,", value);
  text_add(e->out, "  %-34s // %s\n", cell, meaning);
}

static int64_t calls_of(const Step *step) {
  int64_t n = 0;
  for (int i = 0; i < step->n_calls; i++) n += calls_in(&step->calls[i]);
  return n;
}

static int emit_stopped(Emit *e, int phase) {
  Phase p = phase_at(e->program, phase);
  Table t = {.e = e};
  for (int i = 0; p.update >= 0 && i < e->program->train.updates[p.update].n_stopped; i++) {
    const Stopped *s = &e->program->train.updates[p.update].stopped[i];
    add_row(&t, 2, quote(e, e->program->params[s->param].path), quote(e, model_line(e->arena, s->past)));
  }
  if (!t.n_rows) return 0;
  text_add(e->out, "// reaches the loss past a stop, which is where (gradcheck)\n");
  emit_table(&t, arena_print(e->arena, "MtStopped %s", phase_name(e, "train_stopped", phase)));
  return t.n_rows;
}

static void phase_row(Table *t, int i, int first_log, int n_logs, int n_values, int n_stopped) {
  Emit *e = t->e;
  Phase p = phase_at(e->program, i);
  const char *gradients = phase_name(e, "train_gradients", i), *values = phase_name(e, "train_values", i);
  Stretch all = phase_stretch(e->program, i);
  int group = p.update < 0 ? 0 : first_group(e->program, p.update),
      n_groups = p.update < 0 ? 0 : e->program->train.updates[p.update].n_groups;
  add_row(t, 16, gradients, arena_print(e->arena, e->target->cuda ? "f64::%s" : "%s_f64", gradients),
          p.update < 0 ? "NULL" : phase_name(e, "train_update", i), number(e, p.every), number(e, loss_output(p.graph)),
          number(e, all.begin), number(e, all.count), number(e, first_log), number(e, n_logs), number(e, group),
          number(e, n_groups), number(e, calls_of(step_of(e, p.graph))), number(e, n_values), n_values ? values : "NULL",
          number(e, n_stopped), n_stopped ? phase_name(e, "train_stopped", i) : "NULL");
}

static void emit_phases(Emit *e, const int *n_logs) {
  Table t = {.e = e};
  int first_log = 0;
  for (int i = 0; i < phase_count(e->program); i++) {
    int n = emit_values(e, i, phase_name(e, "train_values", i));
    phase_row(&t, i, first_log, n_logs[i], n, emit_stopped(e, i));
    first_log += n_logs[i];
  }
  text_add(e->out, "// loss and gradients, the same in double, update, every so many steps, the loss in the outputs (-1: "
                   "none),\n// elements moved from, how many, logs from, how many, groups from, how many, calls, values,\n// parameters past a stop\n");
  emit_table(&t, "MtPhase train_phases");
}

static const char *rounded(Emit *e, double value) { return arena_print(e->arena, "%.4g", value); }

static int emit_costs(Emit *e) {
  int n;
  const StepCost *rows = step_costs(e, false, &n);
  Table t = {.e = e};
  for (int i = 0; i < n; i++) {
    const Cost *all = &rows[i].all;
    add_row(&t, 5, quote(e, rows[i].kernel), rounded(e, rows[i].calls), rounded(e, all->read + all->written),
            rounded(e, all->flops), rounded(e, all->seconds));
  }
  if (!n) return 0;
  text_add(e->out, "// a kernel, its calls in a step; bytes, operations and modelled seconds of all of them (bench --profile)\n");
  emit_table(&t, "MtCost train_costs");
  return n;
}

/* What all phases need at once. */
static const char *train_size(Emit *e) {
  int64_t arena = 0, outputs = 0;
  for (int i = 0; i < phase_count(e->program); i++) {
    const Graph *graph = phase_at(e->program, i).graph;
    if (graph->arena_bytes > arena) arena = graph->arena_bytes;
    outputs += output_elements(graph);
  }
  return arena_print(e->arena, "{%lld, %lld}", (long long)arena, (long long)outputs);
}

static void emit_train(Emit *e) {
  const Train *train = &e->program->train;
  int *n = arena_alloc(e->arena, sizeof *n * (size_t)phase_count(e->program)), n_logs = emit_train_logs(e, n);
  int n_groups = emit_groups(e, train);
  emit_phases(e, n);
  int n_every = emit_every(e, train), n_costs = emit_costs(e);
  text_add(e->out, "static const MtTrain train = {\n");
  emit_member(e, number(e, train->data), arena_print(e->arena, "data: %s", e->program->data[train->data].name));
  emit_member(e, train->shuffled ? "true" : "false", "shuffled");
  emit_member(e, number(e, train->shuffle_seed), "seed of the shuffling");
  emit_member(
      e, arena_print(e->arena, "%lld, %s", (long long)train->count, train->unit == STEPS ? "MT_STEPS" : "MT_EPOCHS"),
      "how long");
  emit_member(e, number(e, train->accumulate), "micro-batches an update");
  emit_member(e, train->precision == PRECISION_TF32 ? "true" : "false", "matrix products in TF32");
  emit_member(e, arena_print(e->arena, "%d, train_phases", phase_count(e->program)), "a step, from update to update");
  emit_member(e, train_size(e), "bytes of its arena, elements of its outputs");
  emit_member(e, arena_print(e->arena, "%d, %s", n_logs, n_logs ? "train_logs" : "NULL"), "logs");
  emit_member(e, arena_print(e->arena, "%d, %s", n_groups, n_groups ? "train_groups" : "NULL"), "update groups");
  emit_member(e, arena_print(e->arena, "%d, %s", n_every, n_every ? "train_every" : "NULL"),
              "what happens every so often");
  emit_member(e, arena_print(e->arena, "%d, %s", n_costs, n_costs ? "train_costs" : "NULL"), "what a step costs");
  emit_member(e, quote(e, step_rates(e)->device), "by the model of it");
  text_add(e->out, "};\n\n");
}

/* predict or sample: an entry by its keyword. */
static void emit_entry(Emit *e, const char *keyword, const Predict *p) {
  const Type *type = &p->graph->outputs[0].node->type;
  bool batched = type->rank && type->dim[0].rows;
  int64_t capacity = p->n_fields && p->fields[0].type.rank ? p->fields[0].type.dim[0].size : 1;
  emit_fields(e, p->fields, p->n_fields, arena_print(e->arena, "%s_fields", keyword));
  text_add(e->out, "static const MtPredict %s = {\n", keyword);
  emit_member(e, arena_print(e->arena, "%d, %s_fields", p->n_fields, keyword), "what it is given");
  emit_member(e, number(e, capacity), "rows a batch");
  emit_member(e, arena_print(e->arena, "%s_step", keyword), "the step");
  emit_member(e, size_cell(e, p->graph), "bytes of its arena, elements of its outputs");
  emit_member(e, arena_print(e->arena, "%s, %s", rank_cell(e, type, batched), shape_cell(e, type, batched)),
              "rank and shape of a result");
  emit_member(e, batched ? "true" : "false", "one result a row");
  text_add(e->out, "};\n\n");
}

/* ---- weights to start from --------------------------------------------------------------------- */

static void emit_mappings(Emit *e, const Weights *w, const char *name) {
  Table t = {.e = e};
  for (int i = 0; i < w->n_maps; i++)
    add_row(&t, 3, w->maps[i].path ? quote(e, w->maps[i].path) : "NULL", w->maps[i].name ? quote(e, w->maps[i].name) : "NULL",
            w->maps[i].transpose ? "true" : "false");
  text_add(e->out, "// begin of a name, what it is in the file, transposed there\n");
  emit_table(&t, arena_print(e->arena, "MtMapping %s", name));
}

static void emit_weights(Emit *e) {
  const Program *p = e->program;
  Table t = {.e = e};
  for (int i = 0; i < p->n_weights; i++) {
    const Weights *w = &p->weights[i];
    const char *maps = w->n_maps ? names_take(e->globals, arena_print(e->arena, "%s_names", w->instance)) : "NULL";
    if (w->n_maps) emit_mappings(e, w, maps);
    add_row(&t, 4, quote(e, w->instance), quote(e, w->path), number(e, w->n_maps), maps);
  }
  if (!p->n_weights) return;
  text_add(e->out, "// instance, file, how its names differ\n");
  emit_table(&t, "MtWeights weights");
  text_add(e->out, "\n");
}

/* ---- the program --------------------------------------------------------------------------- */

void emit_tables(Emit *e) {
  const Program *p = e->program;
  int64_t states = 0;
  for (int i = 0; i < p->n_states; i++) states = p->states[i].offset + type_count(&p->states[i].type);
  emit_tensors(e);
  emit_data(e);
  emit_evals(e);
  if (p->has_train) emit_train(e);
  if (p->has_predict) emit_entry(e, "predict", &p->predict);
  if (p->has_sample) emit_entry(e, "sample", &p->sample);
  emit_weights(e);
  text_add(e->out, "static const MtProgram program = {\n");
  emit_member(e, arena_print(e->arena, "%s, %s", quote(e, p->name), quote(e, p->source)),
              "the model, and where it was read");
  emit_member(e, e->target->cuda ? "&mt_cuda" : "&mt_cpu", "what it runs on");
  emit_member(e, arena_print(e->arena, "%d, %d, %d, %d", p->n_params, p->n_states, p->n_data, p->n_evals),
              "parameters, states, data sets, evals");
  emit_member(e, arena_print(e->arena, "%lld, %lld", (long long)p->param_elements, (long long)states),
              "elements of the two blocks");
  emit_member(e,
              arena_print(e->arena, "%s, %s, %s", p->n_params ? "params" : "NULL", p->n_states ? "states" : "NULL",
                          p->n_data ? "data" : "NULL"),
              "their tables");
  emit_member(e,
              arena_print(e->arena, "%s, %s, %s, %s", p->has_train ? "&train" : "NULL", p->n_evals ? "evals" : "NULL",
                          p->has_predict ? "&predict" : "NULL", p->has_sample ? "&sample" : "NULL"),
              "what it can do");
  emit_member(e, arena_print(e->arena, "%d, %s", p->n_weights, p->n_weights ? "weights" : "NULL"), "weights to start from");
  text_add(e->out, "};\n\nint main(int argc, char **argv) { return mt_main(argc, argv, &program); }\n");
}
