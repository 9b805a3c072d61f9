/* stopped.c - which parameters reach a loss past a stop?
 *
 * There the gradient is not the derivative, and means to be none: the check of
 * gradients by differences (runtime/gradcheck.c) sees through a stop, and must
 * know where.  Only stops that the model speaks of count, stop() and the new
 * value of a state (said): one that a softmax takes its largest by changes
 * no derivative.  Runs before the gradient pass, behind which no stop is left.
 */
#include <string.h>

#include "passes/internal.h"

/* Of nodes by id, from the loss back: is it reached, and past which stop; of loops the same by result. */
typedef struct Reach {
  bool *seen;
  const Span **past; /* of one way; NULL: of none */
} Reach;

static Reach reach_new(Arena *arena, int n) {
  return (Reach){arena_alloc(arena, (size_t)n + 1), arena_alloc(arena, ((size_t)n + 1) * sizeof(Span *))};
}

static bool reach_add(Reach *to, int at, bool seen, const Span *past) {
  bool more = (seen && !to->seen[at]) || (past && !to->past[at]);
  to->seen[at] |= seen;
  if (!to->past[at]) to->past[at] = past;
  return more;
}

/* What is flat in its operand has no derivative that a difference could see. */
static bool is_flat(const Node *n, const Node *in) {
  return n->op == OP_sign || n->op == OP_floor || n->op == OP_ceil || n->op == OP_round || n->op == OP_floordiv ||
         !dtype_is_float(in->type.dtype) || (!n->body && n->op != OP_result && !dtype_is_float(n->type.dtype));
}

static Reach walk(Arena *arena, Graph *graph, Reach outputs);

static void walk_loop(Arena *arena, const Node *loop, Reach *results, Reach *outside) {
  for (bool more = true; more;) {
    Reach body = walk(arena, loop->body, *results);
    more = false;
    for (int i = 0; i < loop->body->n_nodes; i++) {
      const Node *n = loop->body->nodes[i];
      if (n->op != OP_input || n->attrs.index >= loop->n_in) continue;
      reach_add(outside, loop->in[n->attrs.index]->id, body.seen[i], body.past[i]);
      if (n->attrs.index < loop->attrs.carried) more |= reach_add(results, n->attrs.index, body.seen[i], body.past[i]);
    }
  }
}

/* `outputs`: by output of the graph. */
static Reach walk(Arena *arena, Graph *graph, Reach outputs) {
  graph_number(graph);
  Reach r = reach_new(arena, graph->n_nodes);
  Reach *results = arena_alloc(arena, ((size_t)graph->n_nodes + 1) * sizeof *results);
  for (int o = 0; o < graph->n_outputs; o++) reach_add(&r, graph->outputs[o].node->id, outputs.seen[o], outputs.past[o]);
  for (int i = graph->n_nodes - 1; i >= 0; i--) {
    const Node *n = graph->nodes[i];
    if (op_info[n->op].kind == LOOP && results[i].seen) walk_loop(arena, n, &results[i], &r);
    if (op_info[n->op].kind == LOOP || !r.seen[i]) continue;
    if (n->op == OP_result) {
      Reach *of = &results[n->in[0]->id];
      if (!of->seen) *of = reach_new(arena, n->in[0]->body->n_outputs);
      reach_add(of, n->attrs.index, true, r.past[i]);
      continue;
    }
    const Span *past = n->op == OP_stop && n->attrs.said ? n->span : r.past[i];
    for (int k = 0; k < n->n_in; k++)
      if (!is_flat(n, n->in[k])) reach_add(&r, n->in[k]->id, true, past);
  }
  return r;
}

static bool moves(const Update *update, int param) {
  for (int g = 0; g < update->n_groups; g++)
    for (int i = 0; i < update->groups[g].n_params; i++)
      if (update->groups[g].params[i] == param) return true;
  return false;
}

/* A step may read a parameter before an update and behind it: two nodes, one of which is enough. */
static const Span *past_of(const Graph *graph, const Reach *r, const char *path) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (r->past[i] && graph->nodes[i]->op == OP_param && !strcmp(graph->nodes[i]->attrs.path, path)) return r->past[i];
  return NULL;
}

void note_stopped(Program *program) {
  Graph *graph = program->train.graph;
  Arena *scratch = arena_new();
  for (int u = 0; u < program->train.n_updates; u++) {
    Update *update = &program->train.updates[u];
    Reach outputs = reach_new(scratch, graph->n_outputs);
    for (int o = 0; o < graph->n_outputs; o++)
      outputs.seen[o] = graph->outputs[o].role == OUT_LOSS && !strcmp(graph->outputs[o].name, update->name);
    Reach r = walk(scratch, graph, outputs);
    for (int p = 0; p < program->n_params; p++) {
      Stopped stopped = {p, moves(update, p) ? past_of(graph, &r, program->params[p].path) : NULL};
      if (stopped.past) LIST_PUSH(program->arena, update->stopped, update->n_stopped, stopped);
    }
  }
  arena_free(scratch);
}
