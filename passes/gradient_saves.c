/* gradient_saves.c - what a turn of a loop saves for its gradient.
 *
 * The gradient of a turn needs values that the turn has made.  Each is saved,
 * or computed again from others that are: products, reductions and gathers are
 * made once; maps, views and draws cost less to repeat than to move through
 * memory.  Fewest bytes are saved by a minimum cut of the body: every way from
 * what is made once, or carried in, to what the gradient reads is cut at the
 * values that are saved.  (Ford and Fulkerson's flow along shortest paths; each
 * value is an edge of its bytes between its two ends.)
 *
 * A value whose maximum is taken is not computed again: the gradient of the
 * maximum asks where they are equal, to the bit.
 */
#include <string.h>

#include "passes/gradient.h"

static const int64_t ENDLESS = INT64_MAX / 4;

typedef struct Edge {
  int to, next; /* of the list that leaves the same end; -1 ends it */
  int64_t room;
} Edge;

typedef struct Flow {
  Arena *arena;
  int n_ends, n_edges, *first;
  Edge *edges; /* an edge and the way back: e and e ^ 1 */
  int *by;     /* the edge by which the search came */
} Flow;

static void add_edge(Flow *f, int from, int to, int64_t room) {
  Edge there = {to, f->first[from], room}, back = {from, f->first[to], 0};
  f->first[from] = f->n_edges;
  LIST_PUSH(f->arena, f->edges, f->n_edges, there);
  f->first[to] = f->n_edges;
  LIST_PUSH(f->arena, f->edges, f->n_edges, back);
}

/* Breadth first over edges with room, forwards or backwards; by[] tells how, -1: not found. */
static void search(Flow *f, int from, bool backwards) {
  int *queue = arena_alloc(f->arena, (size_t)f->n_ends * sizeof *queue), n = 1;
  memset(f->by, -1, (size_t)f->n_ends * sizeof *f->by);
  queue[0] = from, f->by[from] = -2;
  for (int i = 0; i < n; i++)
    for (int e = f->first[queue[i]]; e >= 0; e = f->edges[e].next)
      if (f->edges[e ^ backwards].room > 0 && f->by[f->edges[e].to] == -1) f->by[f->edges[e].to] = e, queue[n++] = f->edges[e].to;
}

static void fill(Flow *f, int source, int sink) {
  for (search(f, source, false); f->by[sink] != -1; search(f, source, false)) {
    int64_t room = ENDLESS;
    for (int at = sink; at != source; at = f->edges[f->by[at] ^ 1].to)
      if (f->edges[f->by[at]].room < room) room = f->edges[f->by[at]].room;
    if (room == ENDLESS) fault("gradient: what a loop needs can be neither saved nor made again");
    for (int at = sink; at != source; at = f->edges[f->by[at] ^ 1].to)
      f->edges[f->by[at]].room -= room, f->edges[f->by[at] ^ 1].room += room;
  }
}

/* ---- the body as a network -------------------------------------------------- */

/* In the turn of the adjoint loop as well, by itself. */
static bool is_there(const Node *node, int carried) {
  if (op_info[node->op].kind != LEAF || node->op == OP_result) return false;
  return node->op != OP_input || node->attrs.index >= carried;
}

static const Node *behind_views(const Node *x) {
  while (op_info[x->op].kind == VIEW) x = x->in[0];
  return x;
}

static void find_compared(const Graph *back, int n, bool *compared) {
  for (int i = 0; i < n; i++) {
    const Node *node = back->nodes[i];
    bool extreme = node->op == OP_max || node->op == OP_min || node->op == OP_argmax || node->op == OP_argmin;
    if (extreme) compared[behind_views(node->in[0])->id] = true;
  }
}

/* Made once: not to be computed again. */
static bool is_made_once(const Node *node) {
  switch (op_info[node->op].kind) {
  case LEAF: return node->op == OP_result;
  case VIEW:
  case MAP:
  case RANDOM:
  case LOOP: return false; /* of a loop within, only results are kept: it runs again when its own gradient asks for more */
  default: return true;
  }
}

static int64_t bytes_of(const Node *node) {
  if (op_info[node->op].kind == LOOP) return ENDLESS;
  int64_t bytes = type_bytes(&node->type);
  return bytes ? bytes : 1;
}

/* Read by the gradient: by a node past the first n, or as an output. */
static void find_needed(const Graph *back, int n, bool *needed) {
  for (int i = n; i < back->n_nodes; i++)
    for (int k = 0; k < back->nodes[i]->n_in; k++) {
      int id = back->nodes[i]->in[k]->id;
      if (id < n) needed[id] = true;
    }
  for (int i = 0; i < back->n_outputs; i++)
    if (back->outputs[i].node->id < n) needed[back->outputs[i].node->id] = true;
}

void choose_saves(Graph *back, int n, bool remat, int carried, bool *save, Arena *scratch) {
  graph_number(back);
  bool *needed = arena_alloc(scratch, (size_t)n), *compared = arena_alloc(scratch, (size_t)n);
  find_needed(back, n, needed);
  find_compared(back, n, compared);
  int source = 2 * n, sink = 2 * n + 1;
  Flow f = {.arena = scratch, .n_ends = 2 * n + 2};
  f.first = arena_alloc(scratch, (size_t)f.n_ends * sizeof *f.first);
  f.by = arena_alloc(scratch, (size_t)f.n_ends * sizeof *f.by);
  memset(f.first, -1, (size_t)f.n_ends * sizeof *f.first);
  for (int i = 0; i < n; i++) {
    const Node *node = back->nodes[i];
    if (is_there(node, carried)) continue;
    add_edge(&f, 2 * i, 2 * i + 1, bytes_of(node));
    if (node->op == OP_input || (!remat && (is_made_once(node) || compared[i]))) add_edge(&f, source, 2 * i, ENDLESS);
    if (needed[i]) add_edge(&f, 2 * i + 1, sink, ENDLESS);
    for (int k = 0; k < node->n_in; k++) add_edge(&f, 2 * node->in[k]->id + 1, 2 * i, ENDLESS);
  }
  fill(&f, source, sink);
  search(&f, sink, true); /* of cuts of as many bytes the one nearest to the gradient: the least is computed again */
  for (int i = 0; i < n; i++) save[i] = !is_there(back->nodes[i], carried) && f.by[2 * i] == -1 && f.by[2 * i + 1] != -1;
}
