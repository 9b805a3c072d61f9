/* fuse.c - which nodes become one kernel.
 *
 * A kernel that only adds two arrays spends its time moving them; so a chain
 * of elementwise work should move its ends only, and a softmax or a layer norm
 * with all around it should read each row once.  This pass gathers MAP, VIEW,
 * REDUCE, RANDOM and GATHER nodes into groups with one iteration space each:
 *
 *   prepare    what must be in memory gets a node that can be stored
 *   uses       who reads what, and at which index
 *   merge      along edges, then side by side, greatest modelled saving first
 *   recompute  values made again by their readers instead of stored
 *   form       the groups are written into the graph, each with its reason
 *   epilogues  small matrix products move into the maps that read them
 *
 * After it only leaves, reshapes (aliases), matmuls, gathers, scatters, groups,
 * loops and their results stand in a graph; the bodies of loops are graphs of
 * their own.  At -O0 each node keeps its own group.
 * The schedule graph is left alone: it is scalar text for the host.
 */
#include <string.h>

#include "passes/fuse.h"

void ints_push(Arena *arena, Ints *list, int value) {
  list->at = arena_room(arena, list->at, list->n, &list->room, sizeof *list->at);
  list->at[list->n++] = value;
}

bool ints_have(const Ints *list, int value) {
  int low = 0, high = list->n;
  while (low < high) {
    int middle = (low + high) / 2;
    if (list->at[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low < list->n && list->at[low] == value;
}

Ints ints_union(Arena *arena, const Ints *a, const Ints *b) {
  Ints result = {.room = a->n + b->n};
  if (!result.room) return result;
  result.at = arena_alloc(arena, (size_t)result.room * sizeof *result.at);
  for (int i = 0, j = 0; i < a->n || j < b->n;) {
    if (j == b->n || (i < a->n && a->at[i] < b->at[j])) result.at[result.n++] = a->at[i++];
    else if (i == a->n || b->at[j] < a->at[i]) result.at[result.n++] = b->at[j++];
    else result.at[result.n++] = a->at[i++], j++;
  }
  return result;
}

int fuse_owner(Fusion *f, int id) {
  while (f->owner[id] != id) id = f->owner[id] = f->owner[f->owner[id]];
  return id;
}

bool fuse_is_member(const Fusion *f, int id) {
  Kind kind = op_info[f->node[id]->op].kind;
  return kind != LEAF && kind != VIEW && !f->trivial[id];
}

static bool is_trailing(const Node *reduce) {
  int rank = reduce->in[0]->type.rank, n = reduce->attrs.n_axes;
  for (int i = 0; i < n; i++)
    if (reduce->attrs.axes[i] != rank - n + i) return false;
  return true;
}

/* A kernel of one node. */
static void start_kernel(Fusion *f, int id) {
  Node *n = f->node[id];
  Kernel *k = &f->kernels[id];
  Kind kind = op_info[n->op].kind;
  k->fixed = kind != MAP && kind != REDUCE && kind != RANDOM && kind != GATHER;
  k->label = (int64_t)id << 24; /* room to raise a label without touching the next ones */
  k->space = kind == REDUCE ? &n->in[0]->type : &n->type;
  k->pattern = PATTERN_MAP;
  k->run = f->run[id];
  if (kind == REDUCE) {
    k->n_axes = n->attrs.n_axes;
    memcpy(k->axes, n->attrs.axes, sizeof k->axes);
    k->pattern = is_trailing(n) ? PATTERN_ROW : PATTERN_COLUMN;
    k->phases = 1;
  }
  ints_push(f->arena, &k->members, id);
  for (int i = 0; i < f->n_uses[id]; i++) {
    int base = f->uses[id][i].base;
    Ints one = {.n = 1, .at = &base};
    if (ints_have(&k->loads, base)) continue;
    k->loads = ints_union(f->arena, &k->loads, &one);
    ints_push(f->arena, &f->readers[base], id);
    k->alone += fuse_node_bytes(f, base);
  }
  k->alone += fuse_node_bytes(f, id);
  if (!k->fixed) fuse_node_work(f, id, (double)type_count(k->space), &k->flops, &k->specials);
}

/* Leaves and views may stand anywhere. */
static void find_runs(Fusion *f) {
  int runs = 0;
  bool inside = false;
  for (int i = 0; i < f->n; i++) {
    Kind kind = op_info[f->node[i]->op].kind;
    if (kind == LEAF || kind == VIEW) continue;
    if (f->node[i]->again && !inside) f->run_begin[++runs] = i;
    inside = f->node[i]->again;
    f->run[i] = inside ? runs : 0;
  }
}

static Fusion *start(PassContext *context, Graph *graph) {
  Arena *arena = arena_new();
  Fusion *f = arena_alloc(arena, sizeof *f);
  size_t n = (size_t)graph->n_nodes;
  *f = (Fusion){.context = context, .graph = graph, .arena = arena, .n = graph->n_nodes, .node = graph->nodes};
  f->apart = graph->program->train.apart && is_train_graph(graph->program, graph);
  f->run = arena_alloc(arena, n * sizeof *f->run);
  f->run_begin = arena_alloc(arena, (n + 1) * sizeof *f->run_begin);
  f->trivial = arena_alloc(arena, n * sizeof *f->trivial);
  f->must_store = arena_alloc(arena, n * sizeof *f->must_store);
  f->table = arena_alloc(arena, n * sizeof *f->table);
  f->by_bits = arena_alloc(arena, n * sizeof *f->by_bits);
  f->uses = arena_alloc(arena, n * sizeof *f->uses);
  f->n_uses = arena_alloc(arena, n * sizeof *f->n_uses);
  f->owner = arena_alloc(arena, n * sizeof *f->owner);
  f->kernels = arena_alloc(arena, n * sizeof *f->kernels);
  f->readers = arena_alloc(arena, n * sizeof *f->readers);
  f->stamp = arena_alloc(arena, n * sizeof *f->stamp);
  f->mark = arena_alloc(arena, n * sizeof *f->mark);
  f->moved = arena_alloc(arena, n * sizeof *f->moved);
  f->order = arena_alloc(arena, n * sizeof *f->order);
  find_runs(f);
  fuse_find_uses(f);
  for (int i = 0; i < f->n; i++) {
    f->owner[i] = i;
    if (fuse_is_member(f, i)) start_kernel(f, i);
    if (f->node[i]->op == OP_result) ints_push(f->arena, &f->kernels[f->node[i]->in[0]->id].members, i); /* a loop's */
  }
  return f;
}

static void fuse_graph(PassContext *context, Graph *graph) {
  fuse_prepare(context, graph);
  Fusion *f = start(context, graph);
  if (context->level > 0) {
    fuse_merge_edges(f);
    fuse_merge_siblings(f);
    fuse_recompute(f);
    fuse_merge_edges(f); /* values no longer stored may have stood between */
    fuse_merge_siblings(f);
  }
  fuse_form(f);
  arena_free(f->arena);
  if (context->level > 1) fuse_epilogues(context, graph);
}

void pass_fuse(PassContext *context) {
  Graph **graphs = program_graphs(context->program);
  for (int i = 0; graphs[i]; i++)
    if (graphs[i] != context->program->schedule) fuse_graph(context, graphs[i]);
}
