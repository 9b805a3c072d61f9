/* rematerialize_loops.c - loops whose turns are computed again, to meet a budget.
 *
 * A loop saves for its gradient what its turns make; one marked `remat` saves
 * what it carries only.  Marks are made before the gradient is taken: the
 * loops with the largest stacks first, as few as are enough.
 */
#include <string.h>

#include "passes/rematerialize.h"

typedef struct Loops {
  Arena *arena;
  int n;
  Node **at;
  int64_t *stacked; /* by loop: bytes of what its turns, and those of its gradient, hand out */
  int *order;       /* by stacked bytes, most first */
} Loops;

static void find_loops(Loops *l, const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *n = graph->nodes[i];
    if (op_info[n->op].kind != LOOP) continue;
    LIST_PUSH(l->arena, l->at, l->n, n);
    find_loops(l, n->body);
  }
}

typedef struct Marks {
  const Loops *loops;
  int n;      /* the first so many in order are marked */
  bool cheap; /* what is cheap is computed again too */
} Marks;

/* The copy's loops come in the same order. */
static void mark(PassContext *context, void *data) {
  const Marks *marks = data;
  Loops copy = {.arena = context->arena};
  find_loops(&copy, context->program->train.graph);
  for (int i = 0; i < marks->n; i++) copy.at[marks->loops->order[i]]->attrs.remat = true;
  if (!marks->cheap) context->program->train.memory = 0;
}

static int64_t stacked_bytes(const Graph *graph, const char *path) {
  int64_t bytes = 0;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *n = graph->nodes[i];
    if (op_info[n->op].kind == LOOP) bytes += stacked_bytes(n->body, path);
    if (n->op != OP_result || op_info[n->in[0]->op].kind != LOOP || strcmp(n->in[0]->attrs.path, path)) continue;
    if (n->attrs.index >= n->in[0]->attrs.carried) bytes += type_bytes(&n->type);
  }
  return bytes;
}

static void sort_loops(Loops *l, const Trial *base) {
  l->stacked = arena_alloc(l->arena, sizeof *l->stacked * ((size_t)l->n + 1));
  l->order = arena_alloc(l->arena, sizeof *l->order * ((size_t)l->n + 1));
  for (int i = 0; i < l->n; i++) {
    l->stacked[i] = stacked_bytes(base->program->train.graph, l->at[i]->attrs.path);
    int k = i;
    for (; k > 0 && l->stacked[l->order[k - 1]] < l->stacked[i]; k--) l->order[k] = l->order[k - 1];
    l->order[k] = i;
  }
}

static bool fits(PassContext *context, const Loops *l, int n, bool cheap, Arena *arena, Trial *out) {
  Marks marks = {l, n, cheap};
  *out = trial_run(context, arena, true, NULL, mark, &marks);
  return out->failed || trial_total(out) <= context->program->train.memory;
}

/* As few of the first loops as are enough; all, when all are not. */
static int loops_wanted(PassContext *context, const Loops *l) {
  int low = 0, high = l->n;
  for (bool first = true; high - low > 1 || first; first = false) {
    int middle = first ? high : (low + high) / 2;
    Arena *arena = arena_new();
    Trial trial;
    bool enough = fits(context, l, middle, true, arena, &trial);
    arena_free(arena);
    if (first && !enough) return high;
    *(enough ? &high : &low) = middle;
  }
  return high;
}

static double work_of(const Graph *body) {
  double flops = 0;
  for (int i = 0; i < body->n_nodes; i++) {
    const Node *n = body->nodes[i];
    flops += op_info[n->op].kind == LOOP ? work_of(n->body) * (double)n->attrs.space.dim[0].size : node_flops(n);
  }
  return flops;
}

static void mark_and_say(PassContext *context, Loops *l, int n, const Trial *base) {
  Arena *arena = arena_new();
  Marks marks = {l, n, false};
  Trial now = trial_run(context, arena, true, NULL, mark, &marks);
  for (int i = 0; i < n && !now.failed; i++) {
    Node *loop = l->at[l->order[i]];
    int64_t saved = stacked_bytes(base->program->train.graph, loop->attrs.path) - stacked_bytes(now.program->train.graph, loop->attrs.path);
    if (loop->attrs.remat || !rewrite_allowed(context, "rematerialize.loop", loop)) continue;
    loop->attrs.remat = true;
    Text size = {0};
    text_add_size(&size, (double)saved);
    report(context->diagnostics, N0501, loop->span, "the turns of this loop are computed again, %s a step: %s need not be kept",
           work_text(context->arena, work_of(loop->body) * (double)loop->attrs.space.dim[0].size), text_take(&size, context->arena));
  }
  arena_free(arena);
}

void mark_loops(PassContext *context) {
  const Program *p = context->program;
  if (!p->has_train || !p->train.memory || context->tries || context->level == 0) return;
  Arena *arena = arena_new(), *more = arena_new();
  Loops l = {.arena = arena};
  Trial base, cheap;
  find_loops(&l, p->train.graph);
  if (l.n && !fits(context, &l, 0, false, arena, &base) && !fits(context, &l, 0, true, more, &cheap)) {
    sort_loops(&l, &base);
    mark_and_say(context, &l, loops_wanted(context, &l), &base);
  }
  arena_free(more);
  arena_free(arena);
}
