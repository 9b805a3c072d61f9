/* rematerialize_again.c - a graph in which values are computed again.
 *
 * The forward part comes first, then the backward part as it stood; what is
 * computed again stands right before the node that needs it first, and every
 * reader of the backward part reads it there.  Such nodes are marked `again`:
 * they are not merged with their equals, and fuse keeps them away from what
 * came before.
 */
#include <string.h>

#include "passes/rematerialize.h"

enum { NEVER = INT32_MAX };

typedef struct Rewrite {
  PassContext *context;
  Graph *graph;
  Forward f;
  int n;
  int *anchor;  /* by id: before which backward node it is computed again; NEVER: nobody asks */
  Node **now;   /* by id: what backward readers read */
  Repeated *repeated;
} Rewrite;

static void ask(Rewrite *r, const Node *x, int at) {
  if (r->f.again[x->id] && at < r->anchor[x->id]) r->anchor[x->id] = at;
}

static void find_anchors(Rewrite *r) {
  for (int i = 0; i < r->n; i++) r->anchor[i] = NEVER;
  for (int i = 0; i < r->n; i++)
    for (int k = 0; !r->f.forward[i] && k < r->graph->nodes[i]->n_in; k++) ask(r, r->graph->nodes[i]->in[k], i);
  for (int i = r->n - 1; i >= 0; i--)
    for (int k = 0; r->f.again[i] && r->anchor[i] != NEVER && k < r->graph->nodes[i]->n_in; k++)
      ask(r, r->graph->nodes[i]->in[k], r->anchor[i]);
}

/* ---- what it comes to ---------------------------------------------------------------- */

static const Span *line_of(const Span *span) {
  while (span && span->source && span->source->standard && span->caller) span = span->caller;
  return span;
}

double node_flops(const Node *n) {
  double count = (double)type_count(&n->type);
  switch (op_info[n->op].kind) {
  case MATMUL: return 2 * count * (double)n->in[0]->type.dim[n->in[0]->type.rank - (n->attrs.ta ? 2 : 1)].size;
  case REDUCE: return (double)type_count(&n->in[0]->type);
  case VIEW: return 0;
  default: return count;
  }
}

static void count(Rewrite *r, const Node *n) {
  Repeated *all = r->repeated;
  const Span *span = line_of(n->span);
  int i = 0;
  while (i < all->n && !(all->at[i].span == span || (all->at[i].span && span && all->at[i].span->line == span->line &&
                                                     all->at[i].span->source == span->source)))
    i++;
  if (i == all->n) {
    Again line = {.span = span};
    LIST_PUSH(all->arena, all->at, all->n, line);
  }
  Again *line = &all->at[i];
  line->values += op_info[n->op].kind != VIEW || r->f.copied[n->id];
  line->bytes += forward_bytes(&r->f, n->id);
  line->flops += node_flops(n);
}

/* ---- the rewrite ----------------------------------------------------------------------- */

static const char *rewrite_name(const Node *n) {
  switch (op_info[n->op].kind) {
  case MATMUL: return "rematerialize.product";
  case REDUCE: return "rematerialize.reduction";
  case GATHER: return "rematerialize.gather";
  case VIEW: return "rematerialize.view";
  default: return "rematerialize.map";
  }
}

static void make_again(Rewrite *r, Node *n, Arena *scratch) {
  if (!rewrite_allowed(r->context, rewrite_name(n), n)) return;
  Node **in = arena_alloc(scratch, sizeof *in * ((size_t)n->n_in + 1));
  for (int k = 0; k < n->n_in; k++) in[k] = r->now[n->in[k]->id];
  r->now[n->id] = node_again(r->graph, n, in);
  count(r, n);
}

/* By anchor, those that are computed again: a list for each. */
static void place_nodes(Rewrite *r, Arena *scratch) {
  int total = r->graph->n_nodes, at = 0;
  Node **old = arena_alloc(scratch, sizeof *old * ((size_t)total + 1));
  int *first = arena_alloc(scratch, sizeof *first * ((size_t)r->n + 1)), *next = arena_alloc(scratch, sizeof *next * ((size_t)r->n + 1));
  memcpy(old, r->graph->nodes, sizeof *old * (size_t)total);
  for (int i = 0; i < r->n; i++) first[i] = -1;
  for (int i = r->n - 1; i >= 0; i--)
    if (r->now[i] != old[i]) next[i] = first[r->anchor[i]], first[r->anchor[i]] = i;
  for (int i = 0; i < r->n; i++)
    if (r->f.forward[i]) r->graph->nodes[at++] = old[i];
  for (int i = 0; i < r->n; i++) {
    if (r->f.forward[i]) continue;
    for (int a = first[i]; a >= 0; a = next[a]) r->graph->nodes[at++] = r->now[a];
    for (int k = 0; k < old[i]->n_in; k++) old[i]->in[k] = r->now[old[i]->in[k]->id];
    r->graph->nodes[at++] = old[i];
  }
  if (at != total) fault("rematerialize: %s lost a node", r->graph->name);
}

void compute_again(PassContext *context, Graph *graph, const Choice *choice, Repeated *out) {
  Arena *scratch = arena_new();
  graph_number(graph);
  Rewrite r = {.context = context, .graph = graph, .n = graph->n_nodes, .repeated = out};
  forward_find(&r.f, graph, scratch);
  forward_choose(&r.f, choice);
  r.anchor = arena_alloc(scratch, sizeof *r.anchor * ((size_t)r.n + 1));
  r.now = arena_alloc(scratch, sizeof *r.now * ((size_t)r.n + 1));
  find_anchors(&r);
  for (int i = 0; i < r.n; i++) r.now[i] = graph->nodes[i];
  for (int i = 0; i < r.n; i++)
    if (r.f.again[i] && r.anchor[i] != NEVER) make_again(&r, graph->nodes[i], scratch);
  if (graph->n_nodes > r.n) place_nodes(&r, scratch);
  graph_uncons(graph);
  graph_number(graph);
  graph_sweep(graph);
  arena_free(scratch);
}
