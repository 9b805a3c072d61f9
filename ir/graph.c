/* graph.c - programs, graphs and nodes.
 *
 * A graph is a list of nodes, operands before uses.  Two tables hang off it
 * while it is built: one finds an equal pure node (hash-consing), one keeps
 * names unique.  Edits that go behind their back call graph_uncons; the
 * tables are filled again when the next node is asked for.  Whole-graph edits
 * take time in proportion to the graph and never recurse.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

Program *program_new(Arena *arena, const char *name, const char *source) {
  Program *program = arena_alloc(arena, sizeof *program);
  program->arena = arena;
  program->name = name;
  program->source = source;
  return program;
}

Graph *graph_new(Program *program, const char *name, Graph *parent) {
  Graph *graph = arena_alloc(program->arena, sizeof *graph);
  graph->program = program;
  graph->name = name;
  graph->parent = parent;
  return graph;
}

static int64_t in_arena(int64_t bytes) { return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN; }

int64_t loop_second(const Node *loop, int index) {
  int64_t offset = in_arena(loop->body->arena_bytes);
  for (int i = 0; i < index && loop->attrs.space.dim[0].size > 1; i++)
    offset += in_arena(type_bytes(&loop->body->outputs[i].node->type));
  return offset;
}

int64_t loop_bytes(const Node *loop) { return loop_second(loop, loop->attrs.carried); }

typedef struct GraphList {
  int n;
  Graph **at;
} GraphList;

static void list_graph(GraphList *list, Graph *graph) {
  if (!graph) return;
  for (int i = 0; i < graph->n_nodes; i++)
    if (op_info[graph->nodes[i]->op].kind == LOOP) list_graph(list, graph->nodes[i]->body);
  LIST_PUSH(graph->program->arena, list->at, list->n, graph);
}

Graph **program_graphs(Program *program) {
  GraphList list = {0};
  if (program->has_train) list_graph(&list, program->train.graph);
  for (int i = 1; program->has_train && i < program->train.n_phases; i++) list_graph(&list, program->train.phases[i].graph);
  for (int i = 0; i < program->n_evals; i++) {
    list_graph(&list, program->evals[i].batch);
    list_graph(&list, program->evals[i].finish);
  }
  if (program->has_predict) list_graph(&list, program->predict.graph);
  if (program->has_sample) list_graph(&list, program->sample.graph);
  list_graph(&list, program->schedule);
  int n = list.n;
  LIST_PUSH(program->arena, list.at, n, NULL);
  return list.at;
}

Type result_type(const Node *owner, int index) {
  Type type = owner->body->outputs[index].node->type, stacked = {.dtype = type.dtype, .rank = type.rank + 1};
  if (op_info[owner->op].kind != LOOP || index < owner->attrs.carried) return type;
  stacked.dim[0] = owner->attrs.space.dim[0];
  for (int i = 0; i < type.rank; i++) stacked.dim[i + 1] = type.dim[i];
  return stacked;
}

bool attention_has_lse(const Node *attention, const Node *lse) {
  return attention->op == OP_attention && lse->op == OP_attention_lse && attention->in[0] == lse->in[0] &&
         attention->in[1] == lse->in[1] && attention->attrs.scale == lse->attrs.scale &&
         attention->attrs.causal == lse->attrs.causal;
}

bool is_train_graph(const Program *program, const Graph *graph) {
  if (!program->has_train || !graph) return false;
  for (int i = 0; i < program->train.n_phases; i++)
    if (program->train.phases[i].graph == graph) return true;
  return program->train.graph == graph;
}

/* ---- equality and hashing ---- */

bool op_pure(Op op) {
  Kind kind = op_info[op].kind;
  return kind != GROUP && kind != LOOP;
}

static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 29;
}

static uint64_t hash_string(const char *text) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (; text && *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
  return hash;
}

static uint64_t hash_node(Op op, Node *const *in, int n_in, const Attrs *a) {
  uint64_t hash = mix(0, (uint64_t)op), bits;
  for (int i = 0; i < n_in; i++) hash = mix(hash, (uint64_t)(uintptr_t)in[i]);
  memcpy(&bits, &a->value, sizeof bits);
  hash = mix(mix(hash, bits), hash_string(a->path));
  memcpy(&bits, &a->scale, sizeof bits);
  hash = mix(hash, bits + a->causal + 2u * a->said);
  hash = mix(hash, (uint64_t)(a->axis * 64 + a->index * 8 + a->keep * 4 + a->ta * 2 + a->tb + a->wide * 512));
  hash = mix(hash, (uint64_t)a->stride * 8 + (uint64_t)a->window + ((uint64_t)a->dilation << 32) + (uint64_t)a->padding * 64);
  for (int i = 0; i < a->n_axes; i++) hash = mix(hash, (uint64_t)a->axes[i] + 1);
  for (int i = 0; i < a->shape.rank; i++)
    hash = mix(hash, (uint64_t)(a->shape.dim[i].size * 31 + a->start[i] * 7 + a->step[i]));
  return mix(hash, (uint64_t)a->shape.dtype);
}

static bool same_text(const char *a, const char *b) { return a == b || (a && b && !strcmp(a, b)); }
static bool same_bits(double a, double b) { return !memcmp(&a, &b, sizeof a); }

static bool same_type(const Type *a, const Type *b) {
  if (a->dtype != b->dtype || a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++) {
    const Dim *x = &a->dim[i], *y = &b->dim[i];
    if (x->size != y->size || x->symbol != y->symbol || x->rows != y->rows || !same_text(x->text, y->text))
      return false;
  }
  return true;
}

static bool same_attrs(const Attrs *a, const Attrs *b) {
  return same_bits(a->value, b->value) && same_bits(a->high, b->high) && same_bits(a->scale, b->scale) && a->causal == b->causal && a->said == b->said && same_text(a->path, b->path) &&
         a->symbol == b->symbol && a->axis == b->axis && a->index == b->index && a->n_axes == b->n_axes &&
         !memcmp(a->axes, b->axes, sizeof a->axes[0] * (size_t)a->n_axes) && a->keep == b->keep && a->first == b->first &&
         a->window == b->window && a->stride == b->stride && a->dilation == b->dilation && a->padding == b->padding &&
         a->ta == b->ta && a->tb == b->tb && a->wide == b->wide && !memcmp(a->start, b->start, sizeof a->start) && !memcmp(a->step, b->step, sizeof a->step) &&
         a->distribution == b->distribution && a->pattern == b->pattern && same_type(&a->shape, &b->shape);
}

/* ---- the two tables ---- */

typedef struct NameEntry {
  const char *name;
  int next; /* the suffix to try next */
} NameEntry;

typedef struct Cons {
  bool stale; /* to be filled again, in the room it has */
  int n_nodes, node_room;
  Node **nodes; /* open addressing, a power of two */
  uint64_t *hashes;
  int n_names, name_room;
  NameEntry *names;
} Cons;

static void put_node(Cons *cons, Node *node, uint64_t hash) {
  int mask = cons->node_room - 1, at = (int)(hash & (uint64_t)mask);
  while (cons->nodes[at]) at = (at + 1) & mask;
  cons->nodes[at] = node;
  cons->hashes[at] = hash;
  cons->n_nodes++;
}

static void grow_nodes(Arena *arena, Cons *cons) {
  if (cons->n_nodes * 2 < cons->node_room) return;
  Cons old = *cons;
  cons->node_room = old.node_room ? old.node_room * 4 : 64;
  cons->nodes = arena_alloc(arena, sizeof *cons->nodes * (size_t)cons->node_room);
  cons->hashes = arena_alloc(arena, sizeof *cons->hashes * (size_t)cons->node_room);
  cons->n_nodes = 0;
  for (int i = 0; i < old.node_room; i++)
    if (old.nodes[i]) put_node(cons, old.nodes[i], old.hashes[i]);
}

static NameEntry *find_name(Cons *cons, const char *name) {
  int mask = cons->name_room - 1, at = (int)(hash_string(name) & (uint64_t)mask);
  while (cons->names[at].name && strcmp(cons->names[at].name, name)) at = (at + 1) & mask;
  return &cons->names[at];
}

static void grow_names(Arena *arena, Cons *cons) {
  if (cons->n_names * 2 < cons->name_room) return;
  Cons old = *cons;
  cons->name_room = old.name_room ? old.name_room * 4 : 64;
  cons->names = arena_alloc(arena, sizeof *cons->names * (size_t)cons->name_room);
  for (int i = 0; i < old.name_room; i++)
    if (old.names[i].name) *find_name(cons, old.names[i].name) = old.names[i];
}

static void put_name(Arena *arena, Cons *cons, const char *name) {
  grow_names(arena, cons);
  NameEntry *entry = find_name(cons, name);
  if (entry->name) return;
  *entry = (NameEntry){name, 2};
  cons->n_names++;
}

/* "x", or "x.2", "x.3" ... when it is taken. */
static const char *unique_name(Arena *arena, Cons *cons, const char *name) {
  grow_names(arena, cons);
  NameEntry *entry = find_name(cons, name);
  const char *wanted = name;
  while (entry->name) {
    int suffix = entry->next++;
    wanted = arena_print(arena, "%s.%d", name, suffix);
    if (!find_name(cons, wanted)->name) break;
  }
  put_name(arena, cons, wanted);
  return wanted;
}

static void clear(Cons *cons) {
  cons->stale = false;
  cons->n_nodes = cons->n_names = 0;
  if (cons->node_room) memset(cons->nodes, 0, sizeof *cons->nodes * (size_t)cons->node_room);
  if (cons->name_room) memset(cons->names, 0, sizeof *cons->names * (size_t)cons->name_room);
}

static Cons *cons_of(Graph *graph) {
  Arena *arena = graph->program->arena;
  Cons *cons = graph->cons ? graph->cons : arena_alloc(arena, sizeof *cons);
  if (graph->cons && !cons->stale) return cons;
  clear(cons);
  grow_nodes(arena, cons);
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    put_name(arena, cons, node->name);
    for (int k = 0; k < node->n_aliases; k++) put_name(arena, cons, node->aliases[k]);
    if (!op_pure(node->op) || node->again) continue;
    grow_nodes(arena, cons);
    put_node(cons, node, hash_node(node->op, node->in, node->n_in, &node->attrs));
  }
  return graph->cons = cons;
}

void graph_uncons(Graph *graph) {
  Cons *cons = graph->cons;
  if (cons) cons->stale = true;
}

static Node *find_equal(Cons *cons, uint64_t hash, Op op, Node *const *in, int n_in, const Attrs *attrs) {
  int mask = cons->node_room - 1;
  for (int at = (int)(hash & (uint64_t)mask); cons->nodes[at]; at = (at + 1) & mask) {
    Node *node = cons->nodes[at];
    if (cons->hashes[at] != hash || node->op != op || node->n_in != n_in || !same_attrs(&node->attrs, attrs)) continue;
    bool same = true;
    for (int i = 0; i < n_in; i++) same &= node->in[i] == in[i];
    if (same) return node;
  }
  return NULL;
}

/* A name stands for one node, as name or alias.  A constant is its value: it needs no other names. */
static void add_alias(Arena *arena, Cons *cons, Node *node, const char *name) {
  if (node->op == OP_const || find_name(cons, name)->name) return;
  put_name(arena, cons, name);
  LIST_PUSH(arena, node->aliases, node->n_aliases, name);
}

/* ---- nodes ---- */

Node *node_new(Graph *graph, Op op, Node *const *in, int n_in, const Attrs *attrs, const char *name, const Span *span) {
  static const Attrs none;
  Arena *arena = graph->program->arena;
  Cons *cons = cons_of(graph);
  attrs = attrs ? attrs : &none;
  uint64_t hash = hash_node(op, in, n_in, attrs);
  Node *equal = op_pure(op) ? find_equal(cons, hash, op, in, n_in, attrs) : NULL;
  if (equal) return add_alias(arena, cons, equal, name), equal;
  Node *node = arena_alloc(arena, sizeof *node);
  const Type *few[4], **types = n_in <= 4 ? few : arena_alloc(arena, sizeof *types * (size_t)n_in);
  node->op = op;
  node->n_in = n_in;
  node->in = arena_alloc(arena, sizeof *node->in * ((size_t)n_in + 1));
  for (int i = 0; i < n_in; i++) {
    node->in[i] = in[i];
    types[i] = &in[i]->type;
  }
  node->attrs = *attrs;
  node->span = span;
  TypeError error;
  if (!infer_type(op, n_in, types, attrs, false, &node->type, &error))
    fault("%s in %s: %s", name, graph->name, error.message);
  node->name = unique_name(arena, cons, name);
  node->id = graph->n_nodes;
  LIST_PUSH(arena, graph->nodes, graph->n_nodes, node);
  if (op_pure(op)) {
    grow_nodes(arena, cons);
    put_node(cons, node, hash);
  }
  return node;
}

Node *node_again(Graph *graph, const Node *of, Node *const *in) {
  Arena *arena = graph->program->arena;
  Node *node = arena_alloc(arena, sizeof *node);
  *node = *of;
  node->in = arena_alloc(arena, sizeof *node->in * ((size_t)of->n_in + 1));
  for (int k = 0; k < of->n_in; k++) node->in[k] = in[k];
  node->name = unique_name(arena, cons_of(graph), arena_print(arena, "%s.again", of->name));
  node->n_aliases = 0;
  node->aliases = NULL;
  node->again = true;
  node->id = graph->n_nodes;
  LIST_PUSH(arena, graph->nodes, graph->n_nodes, node);
  return node;
}

void graph_output(Graph *graph, OutputRole role, const char *name, Node *node) {
  Output output = {.role = role, .name = name, .node = node};
  LIST_PUSH(graph->program->arena, graph->outputs, graph->n_outputs, output);
}

Node *graph_find(const Graph *graph, const char *name) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (!strcmp(graph->nodes[i]->name, name)) return graph->nodes[i];
  return NULL;
}

void graph_number(Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) graph->nodes[i]->id = i;
}

/* ---- whole-graph edits ---- */

/* Merges nothing: the copy of node i of `from` is the i-th that is added. */
void graph_copy(Graph *to, const Graph *from, Node **map) {
  Arena *arena = to->program->arena;
  for (int i = 0; i < from->n_nodes; i++) {
    Node *copy = arena_alloc(arena, sizeof *copy);
    *copy = *from->nodes[i];
    copy->in = arena_alloc(arena, sizeof *copy->in * ((size_t)copy->n_in + 1));
    for (int k = 0; k < copy->n_in; k++) copy->in[k] = map[from->nodes[i]->in[k]->id];
    copy->id = to->n_nodes;
    if (copy->body) {
      copy->body = graph_new(to->program, from->nodes[i]->body->name, to);
      copy->body->rows = from->nodes[i]->body->rows;
      graph_copy_whole(copy->body, from->nodes[i]->body);
    }
    map[i] = copy;
    LIST_PUSH(arena, to->nodes, to->n_nodes, copy);
  }
  graph_uncons(to);
}

void graph_copy_whole(Graph *to, Graph *from) {
  Arena *scratch = arena_new();
  Node **map = arena_alloc(scratch, sizeof *map * ((size_t)from->n_nodes + 1));
  graph_number(from);
  graph_copy(to, from, map);
  for (int i = 0; i < from->n_outputs; i++) {
    Output output = from->outputs[i];
    output.node = map[output.node->id];
    LIST_PUSH(to->program->arena, to->outputs, to->n_outputs, output);
  }
  arena_free(scratch);
}

void graph_take(Graph *graph, Graph *from) {
  graph->n_nodes = from->n_nodes;
  graph->nodes = from->nodes;
  graph->n_outputs = from->n_outputs;
  graph->outputs = from->outputs;
  graph->cons = from->cons;
  from->n_nodes = from->n_outputs = 0;
  from->nodes = NULL;
  from->outputs = NULL;
  from->cons = NULL;
}

/* `to` itself may be made of `from`: that use stays. */
void graph_replace(Graph *graph, Node *from, Node *to) {
  for (int i = 0; i < graph->n_nodes; i++)
    for (int k = 0; k < graph->nodes[i]->n_in; k++)
      if (graph->nodes[i]->in[k] == from && graph->nodes[i] != to) graph->nodes[i]->in[k] = to;
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->outputs[i].node == from) graph->outputs[i].node = to;
  graph_uncons(graph);
}

/* The end of a chain; the chain is shortened to it. */
static Node *chain_end(Node *node, Node **to) {
  Node *end = node;
  while (to[end->id]) end = to[end->id];
  while (node != end) {
    Node *next = to[node->id];
    to[node->id] = end;
    node = next;
  }
  return end;
}

void graph_replace_all(Graph *graph, Node **to) {
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *node = graph->nodes[i];
    for (int k = 0; k < node->n_in; k++) {
      Node *end = chain_end(node->in[k], to);
      if (end != node) node->in[k] = end;
    }
  }
  for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i].node = chain_end(graph->outputs[i].node, to);
  graph_uncons(graph);
}

static void mark_needed(Graph *graph, Arena *scratch, bool *needed) {
  Node **stack = NULL;
  int depth = 0;
  for (int i = 0; i < graph->n_outputs; i++) LIST_PUSH(scratch, stack, depth, graph->outputs[i].node);
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == OP_input && graph->nodes[i]->id == i) needed[i] = true;
  while (depth > 0) {
    Node *node = stack[--depth];
    if (needed[node->id] && node->op != OP_input) continue;
    needed[node->id] = true;
    for (int k = 0; k < node->n_in; k++)
      if (!needed[node->in[k]->id]) LIST_PUSH(scratch, stack, depth, node->in[k]);
  }
}

void graph_sweep(Graph *graph) {
  Arena *scratch = arena_new();
  graph_number(graph);
  bool *needed = arena_alloc(scratch, (size_t)graph->n_nodes + 1);
  mark_needed(graph, scratch, needed);
  int n = 0;
  for (int i = 0; i < graph->n_nodes; i++)
    if (needed[i]) graph->nodes[n++] = graph->nodes[i];
  if (n != graph->n_nodes) graph_uncons(graph);
  graph->n_nodes = n;
  graph_number(graph);
  arena_free(scratch);
}

/* Depth-first from each node in list order, with a stack of our own: (node, next operand). */
void graph_sort(Graph *graph) {
  Arena *scratch = arena_new();
  int n = graph->n_nodes, done = 0, depth;
  graph_number(graph);
  char *state = arena_alloc(scratch, (size_t)n + 1);
  int *stack = arena_alloc(scratch, sizeof *stack * ((size_t)n + 1)),
      *next = arena_alloc(scratch, sizeof *next * ((size_t)n + 1));
  Node **order = arena_alloc(scratch, sizeof *order * ((size_t)n + 1)), **nodes = graph->nodes;
  for (int i = 0; i < n; i++) {
    if (state[i]) continue;
    stack[0] = i;
    state[i] = 1;
    for (depth = 1; depth > 0;) {
      int at = stack[depth - 1];
      if (next[at] == nodes[at]->n_in) {
        order[done++] = nodes[at];
        state[at] = 2;
        depth--;
        continue;
      }
      int operand = nodes[at]->in[next[at]++]->id;
      if (state[operand] == 1) fault("%s: %s depends on itself", graph->name, nodes[operand]->name);
      if (state[operand]) continue;
      state[operand] = 1;
      stack[depth++] = operand;
    }
  }
  /* the list grows by powers of two: keep its room */
  if (n) memcpy(graph->nodes, order, sizeof *order * (size_t)n);
  graph_number(graph);
  arena_free(scratch);
}

int *graph_uses(const Graph *graph, Arena *arena) {
  int *uses = arena_alloc(arena, sizeof *uses * ((size_t)graph->n_nodes + 1));
  for (int i = 0; i < graph->n_nodes; i++)
    for (int k = 0; k < graph->nodes[i]->n_in; k++) uses[graph->nodes[i]->in[k]->id]++;
  for (int i = 0; i < graph->n_outputs; i++) uses[graph->outputs[i].node->id]++;
  return uses;
}
