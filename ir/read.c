/* read.c - text back to a program: a hand-written recursive-descent reader.
 *
 * The grammar is at the head of text.c; each read_X here answers a write_X
 * there.  The small pieces are in read_words.c, graphs in read_graph.c.
 *
 * A .ir file may come from anywhere, so nothing in it is believed: numbers are
 * range-checked where they are read, sizes cannot overflow, depth is capped,
 * every type is inferred again and compared with what the line says, and the
 * whole must pass program_verify.  The first error ends the reading: it is
 * reported at its place in the .ir text, and longjmp leaves the descent (all
 * memory is in the arena, but for the maps, freed at the one exit).
 */
#include <limits.h>
#include <string.h>

#include "ir/text.h"

/* ---- what a model declares ---------------------------------------------- */

static void read_dim_line(Reader *r) {
  const char *start = r->at;
  if (r->n_locals) read_fail(r, E0701, start, "dims stand before all else");
  Symbol *symbol = arena_alloc(r->arena, sizeof *symbol);
  symbol->name = read_symbol_name(r);
  symbol->rows = read_accept(r, "<=");
  if (!symbol->rows) read_expect(r, "=");
  symbol->size = read_integer(r, symbol->rows, MAX_ELEMENTS);
  const char *key = symbol->name;
  for (int n = 2; map_get_name(r->symbols, key) >= 0; n++) {
    if (n > 1000) read_fail(r, E0705, start, "too many dims of one name");
    key = arena_print(r->arena, "%s'%d", symbol->name, n);
  }
  map_put_name(&r->symbols, key, r->program->n_symbols);
  LIST_PUSH(r->arena, r->program->symbols, r->program->n_symbols, symbol);
}

static void read_fields(Reader *r, int *n, Field **fields) {
  read_expect(r, "{");
  if (read_accept(r, "}")) return;
  do {
    Field f = {.name = read_name(r, "a field's name")};
    read_expect(r, ":");
    f.type = read_type(r);
    if (read_accept(r, "in")) {
      f.low = read_integer(r, INT64_MIN, INT64_MAX);
      read_expect(r, "..");
      f.high = read_integer(r, INT64_MIN, INT64_MAX);
    }
    if (read_accept(r, "ignore")) f.ignore = read_integer(r, INT64_MIN, INT64_MAX);
    LIST_PUSH(r->arena, *fields, *n, f);
  } while (read_accept(r, ","));
  read_expect(r, "}");
}

static void read_data(Reader *r) {
  Data d = {.name = read_name(r, "a data set's name")};
  read_expect(r, "=");
  d.kind = (DataKind)read_word(r, data_words, 7, "a kind of data");
  read_expect(r, "(");
  if (!read_accept(r, ")")) {
    do {
      const char *path = read_name(r, "a path");
      LIST_PUSH(r->arena, d.paths, d.n_paths, path);
    } while (read_accept(r, ","));
    read_expect(r, ")");
  }
  read_fields(r, &d.n_fields, &d.fields);
  if (read_accept(r, "rows")) d.rows = read_symbol(r);
  d.drop = read_accept(r, "drop");
  if (read_accept(r, "limit")) d.n_rows = read_integer(r, 0, INT64_MAX);
  if (read_accept(r, "seed")) d.seed = read_integer(r, INT64_MIN, INT64_MAX);
  if (read_accept(r, "window")) d.window = read_integer(r, 0, INT64_MAX);
  if (read_accept(r, "stride")) d.stride = read_integer(r, 0, INT64_MAX);
  d.span = read_span(r);
  LIST_PUSH(r->arena, r->program->data, r->program->n_data, d);
}

/* "net.b.#.weight": an axis for each #. */
static const char *read_pattern(Reader *r, const Type *type) {
  const char *start = r->at, *pattern = read_name(r, "the name of one block");
  int n = 0;
  for (const char *c = pattern; *c; c++) n += *c == '#';
  if (!n || n > type->rank) read_fail(r, E0703, start, "`%s` has %d of `#`, the whole has %d axes", pattern, n, type->rank);
  return pattern;
}

static Param read_stored(Reader *r, Map **names, int count) {
  const char *start = r->at;
  Param p = {.path = read_name(r, "a path")};
  if (map_get_name(*names, p.path) >= 0) read_fail(r, E0702, start, "`%s` is declared twice", p.path);
  map_put_name(names, p.path, count);
  read_expect(r, ":");
  p.type = read_type(r);
  read_expect(r, "=");
  p.init.kind = (InitKind)read_word(r, init_words, 3, "an initializer");
  read_expect(r, "(");
  p.init.a = read_number(r);
  if (p.init.kind != INIT_CONSTANT) {
    read_expect(r, ",");
    p.init.b = read_number(r);
  }
  read_expect(r, ")");
  if (read_accept(r, "blocks")) p.pattern = read_pattern(r, &p.type);
  if (read_accept(r, "at")) p.offset = read_integer(r, 0, MAX_ELEMENTS);
  p.span = read_span(r);
  return p;
}

static void read_param(Reader *r) {
  Param p = read_stored(r, &r->params, r->program->n_params);
  LIST_PUSH(r->arena, r->program->params, r->program->n_params, p);
}

static void read_state(Reader *r) {
  Param p = read_stored(r, &r->states, r->program->n_states);
  State s = {p.path, p.type, p.init, p.span, p.offset, p.pattern};
  LIST_PUSH(r->arena, r->program->states, r->program->n_states, s);
}

static void read_top_graph(Reader *r) {
  const char *start = r->at;
  Graph *graph = read_graph(r, NULL);
  for (int i = 0; i < r->n_graphs; i++)
    if (!strcmp(r->graphs[i]->name, graph->name)) read_fail(r, E0702, start, "a second graph `%s`", graph->name);
  LIST_PUSH(r->arena, r->graphs, r->n_graphs, graph);
  if (!strcmp(graph->name, "schedule")) r->program->schedule = graph;
}

/* ---- the script --------------------------------------------------------- */

static int find_data(Reader *r) {
  const char *start = r->at, *name = read_name(r, "a data set's name");
  for (int i = 0; i < r->program->n_data; i++)
    if (!strcmp(r->program->data[i].name, name)) return i;
  read_fail(r, E0702, start, "no data set `%s` is declared above", name);
}

/* `keyword NAME`, a graph read before that nothing else has; NULL when the keyword is not there. */
static Graph *read_graph_name(Reader *r, const char *keyword) {
  if (!read_accept(r, keyword)) return NULL;
  const char *start = r->at, *name = read_name(r, "a graph's name");
  for (int i = 0; i < r->n_graphs; i++) {
    Graph *graph = r->graphs[i];
    if (strcmp(graph->name, name)) continue;
    if (graph == r->program->schedule) break;
    return graph;
  }
  read_fail(r, E0702, start, "no graph `%s` stands above", name);
}

static void read_hyper(Reader *r, UpdateGroup *g, Map *names) {
  const Optimizer *o = g->optimizer;
  read_expect(r, "(");
  for (int i = 0; i < MAX_HYPER && o->hyper[i]; i++) {
    if (i) read_expect(r, ",");
    read_expect(r, o->hyper[i]);
    read_expect(r, "=");
    if (!read_accept(r, "none")) g->hyper[i] = read_reference(r, r->program->schedule, names);
  }
  read_expect(r, ")");
}

static int read_known_param(Reader *r) {
  const char *start = r->at, *path = read_name(r, "a parameter");
  int index = map_get_name(r->params, path);
  if (index < 0) read_fail(r, E0702, start, "no parameter `%s` is declared above", path);
  return index;
}

static UpdateGroup read_update_group(Reader *r, Map *names) {
  UpdateGroup g = {.target = read_name(r, "a target")};
  read_expect(r, "using");
  const char *start = r->at, *optimizer = read_name(r, "an optimizer");
  g.optimizer = optimizer_find(optimizer);
  if (!g.optimizer) read_fail(r, E0702, start, "no optimizer is called `%s`", optimizer);
  read_hyper(r, &g, names);
  read_expect(r, "on");
  read_expect(r, "(");
  if (!read_accept(r, ")")) {
    do {
      int index = read_known_param(r);
      LIST_PUSH(r->arena, g.params, g.n_params, index);
    } while (read_accept(r, ","));
    read_expect(r, ")");
  }
  g.span = read_span(r);
  return g;
}

static void read_stopped(Reader *r, Update *u) {
  read_expect(r, "(");
  do {
    int param = read_known_param(r);
    Stopped stopped = {param, read_span(r)};
    LIST_PUSH(r->arena, u->stopped, u->n_stopped, stopped);
  } while (read_accept(r, ","));
  read_expect(r, ")");
}

static void read_update(Reader *r) {
  Update u = {.name = read_name(r, "an update's name")};
  if (read_accept(r, "clip")) u.clip = read_number(r);
  if (read_accept(r, "stopped")) read_stopped(r, &u);
  u.span = read_span(r);
  const Graph *schedule = r->program->schedule;
  Map **names = &r->names[0];
  map_free(names);
  for (int i = 0; schedule && i < schedule->n_nodes; i++) map_put_name(names, schedule->nodes[i]->name, i);
  read_expect(r, "{");
  for (read_line_end(r); !read_accept(r, "}"); read_line_end(r)) {
    UpdateGroup g = read_update_group(r, *names);
    LIST_PUSH(r->arena, u.groups, u.n_groups, g);
  }
  LIST_PUSH(r->arena, r->program->train.updates, r->program->train.n_updates, u);
}

static void read_statements(Reader *r, int *n, Stmt **body);

static Stmt read_statement(Reader *r) {
  Stmt s = {0};
  if (read_accept(r, "update")) {
    s.kind = STMT_UPDATE;
    s.index = (int)read_integer(r, 0, INT_MAX);
  } else if (read_accept(r, "log")) {
    s.kind = STMT_LOG;
    s.name = read_name(r, "a log's name");
  } else if (read_accept(r, "every")) {
    s.kind = STMT_EVERY;
    s.every = read_integer(r, 1, INT64_MAX);
    s.unit = (Unit)read_word(r, unit_words, 2, "a unit");
  } else if (read_accept(r, "eval")) {
    s.kind = STMT_EVAL;
    s.index = (int)read_integer(r, 0, INT_MAX);
  } else if (read_accept(r, "sample")) {
    s.kind = STMT_SAMPLE;
  } else if (read_accept(r, "save")) {
    s.kind = STMT_SAVE;
    s.highest = read_accept(r, "highest");
    if (s.highest || read_accept(r, "lowest")) s.name = read_name(r, "a log's name");
  } else {
    read_fail(r, E0701, r->at, "expected `update`, `log`, `every`, `eval`, `save`, `sample` or `}` here");
  }
  s.span = read_span(r);
  if (s.kind == STMT_EVERY || s.kind == STMT_EVAL) read_statements(r, &s.n_body, &s.body);
  return s;
}

static void read_statements(Reader *r, int *n, Stmt **body) {
  if (++r->depth == MAX_READ_DEPTH) read_fail(r, E0705, r->at, "statements are nested too deep");
  read_expect(r, "{");
  for (read_line_end(r); !read_accept(r, "}"); read_line_end(r)) {
    Stmt s = read_statement(r);
    LIST_PUSH(r->arena, *body, *n, s);
  }
  r->depth--;
}

static void read_eval(Reader *r) {
  Eval e = {.variable = read_name(r, "a variable")};
  read_expect(r, "in");
  e.data = find_data(r);
  e.batch = read_graph_name(r, "batch");
  e.finish = read_graph_name(r, "finish");
  e.span = read_span(r);
  LIST_PUSH(r->arena, r->program->evals, r->program->n_evals, e);
}

static void read_phase(Reader *r, Train *t) {
  Phase phase = {.every = read_integer(r, 1, INT64_MAX)};
  phase.update = (int)read_integer(r, -1, t->n_updates - 1);
  if (read_peek(r) == 'g') phase.graph = read_graph_name(r, "graph");
  LIST_PUSH(r->arena, t->phases, t->n_phases, phase);
  read_accept(r, ",");
}

static void read_train(Reader *r) {
  Train *t = &r->program->train;
  if (r->program->has_train) read_fail(r, E0701, r->at, "a second `train`");
  r->program->has_train = true;
  t->variable = read_name(r, "a variable");
  read_expect(r, "in");
  t->data = find_data(r);
  t->shuffled = read_accept(r, "shuffled");
  if (t->shuffled) t->shuffle_seed = read_integer(r, INT64_MIN, INT64_MAX);
  read_expect(r, "for");
  t->count = read_integer(r, 0, INT64_MAX);
  t->unit = (Unit)read_word(r, unit_words, 2, "a unit");
  read_expect(r, "accumulate");
  t->accumulate = read_integer(r, 1, INT64_MAX);
  read_expect(r, "precision");
  t->precision = (Precision)read_word(r, precision_words, 3, "a precision");
  if (read_accept(r, "memory")) t->memory = read_integer(r, 1, INT64_MAX), t->apart = read_accept(r, "apart");
  t->graph = read_graph_name(r, "graph");
  while (read_accept(r, "phase")) read_phase(r, t);
  if (read_accept(r, "carry")) t->carry_bytes = read_integer(r, 1, MAX_ELEMENTS);
  t->span = read_span(r);
  read_statements(r, &t->n_body, &t->body);
}

static void read_entry(Reader *r, const char *keyword, bool *there, Predict *p) {
  if (*there) read_fail(r, E0701, r->at, "a second `%s`", keyword);
  *there = true;
  p->variable = read_name(r, "a variable");
  read_fields(r, &p->n_fields, &p->fields);
  p->graph = read_graph_name(r, "graph");
  p->span = read_span(r);
}

static void read_predict(Reader *r) { read_entry(r, "predict", &r->program->has_predict, &r->program->predict); }
static void read_sample(Reader *r) { read_entry(r, "sample", &r->program->has_sample, &r->program->sample); }

static Mapping read_mapping(Reader *r) {
  Mapping m = {0};
  if (!read_accept(r, "_")) m.path = read_name(r, "a part of a name");
  read_expect(r, ":");
  const char *start = r->at;
  if (m.path && read_accept(r, "none")) return m;
  m.name = read_name(r, "a name of the file");
  if (!*m.name || (m.path && !*m.path)) read_fail(r, E0701, start, "a name without letters");
  m.transpose = m.path && read_accept(r, "transpose");
  return m;
}

static void read_weights(Reader *r) {
  Weights w = {.instance = read_name(r, "an instance")};
  read_expect(r, "from");
  if (read_peek(r) != '"') read_fail(r, E0701, r->at, "expected a file name in quotes here");
  w.path = read_quoted(r);
  read_expect(r, "{");
  while (!read_accept(r, "}")) {
    Mapping m = read_mapping(r);
    LIST_PUSH(r->arena, w.maps, w.n_maps, m);
    if (read_peek(r) != '}') read_expect(r, ",");
  }
  w.span = read_span(r);
  LIST_PUSH(r->arena, r->program->weights, r->program->n_weights, w);
}

/* ---- the whole ---------------------------------------------------------- */

static void read_block(Reader *r) { r->program->param_elements = read_integer(r, 1, MAX_ELEMENTS); }

static const struct { const char *word; void (*read)(Reader *); } lines[] = {
    {"dim", read_dim_line}, {"data", read_data},   {"block", read_block}, {"param", read_param}, {"state", read_state},
    {"graph", read_top_graph}, {"update", read_update}, {"eval", read_eval}, {"train", read_train},
    {"predict", read_predict}, {"weights", read_weights}, {"sample", read_sample},
};
enum { N_LINES = sizeof lines / sizeof lines[0] };

static void read_head(Reader *r) {
  read_spaces(r);
  if (!read_accept(r, "mtc-ir")) read_fail(r, E0701, r->at, "not IR text: it begins with `mtc-ir 1`");
  const char *start = r->at;
  if (read_integer(r, 0, INT_MAX) != 1) read_fail(r, E0701, start, "this mtc reads version 1 of IR text only");
  const char *name = read_name(r, "the program's name");
  read_expect(r, "from");
  if (read_peek(r) != '"') read_fail(r, E0701, r->at, "expected a file name in quotes here");
  r->program = program_new(r->arena, name, read_quoted(r));
  r->program->schedule = NULL;
  read_expect(r, "passes");
  read_expect(r, "(");
  if (!read_accept(r, ")")) {
    do {
      const char *pass = read_name(r, "a pass's name");
      LIST_PUSH(r->arena, r->program->passes, r->program->n_passes, pass);
    } while (read_accept(r, ","));
    read_expect(r, ")");
  }
  read_line_end(r);
}

static void fail_at(Reader *r, const void *thing, const char *message) NORETURN;

/* At the node or the graph that was read there; of the program as a whole, at the head. */
static void fail_at(Reader *r, const void *thing, const char *message) {
  Place place = {NULL, r->source->text, r->source->text, 1};
  for (int i = 0; i < r->n_places; i++)
    if (r->places[i].thing == thing) place = r->places[i];
  r->line = place.line;
  r->line_start = place.line_start;
  read_fail(r, E0704, place.at, "%s", message);
}

static void verify_all(Reader *r) {
  Broken broken = {0};
  const char *wrong = program_verify_at(r->program, r->arena, &broken);
  if (wrong) fail_at(r, broken.node ? (const void *)broken.node : broken.graph, wrong);
}

static const Node *find_group(const Graph *graph) {
  const Node *found = NULL;
  for (int i = 0; i < graph->n_nodes && !found; i++) {
    const Node *node = graph->nodes[i];
    found = node->op == OP_group ? node : node->body ? find_group(node->body) : NULL;
  }
  return found;
}

/* Passes before `fuse` trust that there are no groups. */
static void check_passes(Reader *r) {
  for (int i = 0; i < r->program->n_passes; i++)
    if (!strcmp(r->program->passes[i], "fuse")) return;
  for (int g = 0; g < r->n_graphs; g++) {
    const Node *group = find_group(r->graphs[g]);
    if (group) fail_at(r, group, "fuse makes the groups, but passes(...) in the first line does not name it");
  }
}

static void read_all(Reader *r) {
  read_head(r);
  while (r->at < r->end) {
    int i = 0;
    while (i < N_LINES && !read_accept(r, lines[i].word)) i++;
    if (i == N_LINES) read_fail(r, E0701, r->at, "expected `dim`, `data`, `param`, `graph`, `train` ... here");
    lines[i].read(r);
    read_line_end(r);
  }
  verify_all(r);
  check_passes(r);
}

Program *program_read(const Source *source, Arena *arena, Diagnostics *d) {
  Reader *r = arena_alloc(arena, sizeof *r);
  *r = (Reader){.source = source, .at = source->text, .end = source->text + source->length,
                .line_start = source->text, .line = 1, .arena = arena, .diagnostics = d};
  bool done = false;
  if (!setjmp(r->escape)) {
    read_all(r);
    done = true;
  }
  map_free(&r->symbols);
  map_free(&r->params);
  map_free(&r->states);
  map_free(&r->sources);
  for (int i = 0; i < MAX_READ_DEPTH; i++) map_free(&r->names[i]);
  return done ? r->program : NULL;
}
