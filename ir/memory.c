/* memory.c - what training takes in memory, and which lines of the model hold it.
 *
 * Of a planned program everything that a trainer keeps on the device is known
 * before it runs: the blocks of parameters, gradients, optimizer values and
 * states, the slots of results, the batches, and one arena for the values of a
 * step, as large as the largest graph needs.  Data sets lie on the device too;
 * their length is known where the model says it.  (What comes on top: sets of
 * files, and the work space and context of CUDA's own libraries.)
 *
 * The lines alive at the peak are found by a walk over the graph with the
 * largest arena: where most bytes are alive at once, each value counts for the
 * line of the model that made it.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

static int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

enum { REAL = 4 /* bytes: blocks hold f32 */, BLOCK_ALIGN = 64 /* elements */ };

/* ---- the blocks --------------------------------------------------------------- */

static int64_t most_slots(const Train *t) {
  int n = 1; /* there is one block in any case */
  for (int u = 0; u < t->n_updates; u++)
    for (int g = 0; g < t->updates[u].n_groups; g++)
      if (t->updates[u].groups[g].optimizer->n_slots > n) n = t->updates[u].groups[g].optimizer->n_slots;
  return n;
}

static int64_t state_bytes(const Program *p) {
  int64_t n = 0;
  for (int i = 0; i < p->n_states; i++) {
    int64_t count = type_count(&p->states[i].type);
    n = larger(n, p->states[i].offset + round_up(count ? count : 1, BLOCK_ALIGN));
  }
  return n * REAL;
}

static int64_t output_bytes(const Graph *graph) {
  int64_t n = 0;
  for (int i = 0; i < graph->n_outputs; i++) {
    OutputRole role = graph->outputs[i].role;
    if (role != OUT_GRAD && role != OUT_STATE && role != OUT_CARRY) n += type_count(&graph->outputs[i].node->type);
  }
  return n * REAL;
}

/* A batch, and the set itself where the model says how many rows it has, at most. */
static void add_data(Memory *m, const Data *data) {
  int64_t row = 0;
  for (int f = 0; f < data->n_fields; f++) {
    const Type *t = &data->fields[f].type;
    m->batches += type_bytes(t);
    if (t->rank && t->dim[0].size) row += type_bytes(t) / t->dim[0].size;
  }
  m->sets += data->n_rows * row;
  m->has_files |= !data->n_rows;
}

static void add_graph(Memory *m, const Graph *graph) {
  if (graph->arena_bytes <= m->arena && m->graph) return;
  m->arena = graph->arena_bytes;
  m->graph = graph;
}

static void add_steps(Memory *m, const Program *p) {
  int64_t train = output_bytes(p->train.graph), most = 0;
  add_graph(m, p->train.graph);
  for (int i = 1; i < p->train.n_phases; i++) {
    train += output_bytes(p->train.phases[i].graph);
    add_graph(m, p->train.phases[i].graph);
  }
  for (int i = 0; i < p->n_evals; i++) {
    const Graph *graphs[] = {p->evals[i].batch, p->evals[i].finish};
    for (int k = 0; k < 2; k++) add_graph(m, graphs[k]), most = larger(most, output_bytes(graphs[k]));
  }
  if (p->has_sample) add_graph(m, p->sample.graph), most = larger(most, output_bytes(p->sample.graph));
  m->outputs = larger(train, most);
}

static bool is_evaluated(const Program *p, int data) {
  bool found = false;
  for (int i = 0; i < p->n_evals; i++) found |= p->evals[i].data == data;
  return found;
}

/* ---- who is alive at the peak ------------------------------------------------- */

/* The model's own line: of what the standard file makes, the call that led there. */
static const Span *line_of(const Span *span) {
  while (span && span->caller && (!span->source || !strcmp(span->source->path, STANDARD_FILE))) span = span->caller;
  return span;
}

static bool same_line(const Span *a, const Span *b) {
  return a && b && a->line == b->line && !strcmp(a->source->path, b->source->path);
}

static void add_line(Arena *arena, Memory *m, const Span *span, int64_t bytes) {
  span = line_of(span);
  if (!bytes) return;
  for (int i = 0; i < m->n_lines; i++)
    if (m->lines[i].span == span || same_line(m->lines[i].span, span)) {
      m->lines[i].bytes += bytes;
      return;
    }
  LIST_PUSH(arena, m->lines, m->n_lines, ((MemoryLine){span, bytes}));
}

typedef struct Lives {
  const Graph *graph;
  int *root, *death; /* by id: whose bytes a node stands for; the position of a root's last reader */
} Lives;

static int birth(const Node *node) { return node->op == OP_result ? node->in[0]->id : node->id; }

static int64_t held(const Node *node) {
  if (node->home != HOME_ARENA || node->op == OP_input) return 0;
  return op_info[node->op].kind == LOOP ? loop_bytes(node) : round_up(type_bytes(&node->type), ARENA_ALIGN);
}

static Lives find_lives(const Graph *graph, Arena *scratch) {
  size_t n = (size_t)graph->n_nodes + 1;
  Lives l = {graph, arena_alloc(scratch, n * sizeof(int)), arena_alloc(scratch, n * sizeof(int))};
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    l.root[i] = node->home == HOME_ALIAS ? l.root[node->in[0]->id] : i;
    l.death[i] = i;
    for (int k = 0; k < node->n_in; k++)
      if (node->op != OP_result && node->home != HOME_ALIAS) l.death[l.root[node->in[k]->id]] = i;
  }
  for (int i = 0; i < graph->n_outputs; i++) l.death[l.root[graph->outputs[i].node->id]] = graph->n_nodes;
  return l;
}

/* What is written at `at` over bytes of this value, which dies there, counts once. */
static bool is_taken_over(const Lives *l, const Node *old, int at) {
  if (l->death[old->id] != at || birth(old) == at) return false;
  for (int r = at; r < l->graph->n_nodes && (r == at || l->graph->nodes[r]->op == OP_result); r++) {
    const Node *n = l->graph->nodes[r];
    if (n->home == HOME_ARENA && birth(n) == at && n->offset == old->offset && held(n)) return true;
  }
  return false;
}

/* The position at which most bytes are alive. */
static int find_peak(const Lives *l, Arena *scratch) {
  int n = l->graph->n_nodes, best = 0;
  int64_t *change = arena_alloc(scratch, ((size_t)n + 2) * sizeof *change), live = 0, most = -1;
  for (int i = 0; i < n; i++) {
    const Node *node = l->graph->nodes[i];
    int end = l->death[i] + 1 - is_taken_over(l, node, l->death[i]);
    change[birth(node)] += held(node);
    change[end > n ? n + 1 : end] -= held(node);
  }
  for (int i = 0; i < n; i++)
    if ((live += change[i]) > most) most = live, best = i;
  return best;
}

static void add_alive(Arena *arena, Arena *scratch, Memory *m, const Graph *graph) {
  Lives l = find_lives(graph, scratch);
  int at = find_peak(&l, scratch);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    bool alive = birth(node) <= at && l.death[i] >= at && !is_taken_over(&l, node, at);
    if (!alive || !held(node)) continue;
    if (op_info[node->op].kind != LOOP) {
      add_line(arena, m, node->span, held(node));
      continue;
    }
    add_alive(arena, scratch, m, node->body);
    add_line(arena, m, node->span, loop_bytes(node) - loop_second(node, 0)); /* what a turn hands to the next */
  }
}

static int by_bytes(const void *a, const void *b) {
  const MemoryLine *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  int line = x->span && y->span ? x->span->line - y->span->line : 0;
  return line;
}

/* ---- the whole ----------------------------------------------------------------- */

Memory program_memory(const Program *p, Arena *arena) {
  Memory m = {0};
  if (!p->has_train) return m;
  const Train *t = &p->train;
  m.params = p->param_elements * REAL;
  m.gradients = m.params * (t->accumulate > 1 ? 2 : 1);
  m.optimizer = slot_elements(p) * REAL * most_slots(t);
  m.states = 2 * state_bytes(p);
  for (int i = 0; i < p->n_data; i++)
    if (i == t->data || is_evaluated(p, i)) add_data(&m, &p->data[i]);
  add_steps(&m, p);
  m.total = m.params + m.gradients + m.optimizer + m.states + m.outputs + m.batches + m.sets + m.arena;
  Arena *scratch = arena_new();
  add_alive(arena, scratch, &m, m.graph);
  if (t->carry_bytes && is_train_graph(p, m.graph)) add_line(arena, &m, t->span, t->carry_bytes);
  if (m.n_lines) qsort(m.lines, (size_t)m.n_lines, sizeof *m.lines, by_bytes);
  arena_free(scratch);
  return m;
}

/* "parameters 38 KB, gradients 38 KB": what there is of each kind. */
void memory_parts(Text *out, const Memory *m) {
  const struct { const char *name; int64_t bytes; } parts[] = {
      {"parameters", m->params}, {"gradients", m->gradients}, {"optimizer", m->optimizer}, {"states", m->states},
      {"batches", m->batches},   {"data", m->sets},           {"results", m->outputs},     {"step", m->arena}};
  int n = 0;
  for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
    if (!parts[i].bytes) continue;
    text_add(out, "%s%s ", n++ ? ", " : "", parts[i].name);
    text_add_size(out, (double)parts[i].bytes);
  }
}
