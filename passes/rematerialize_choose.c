/* rematerialize_choose.c - which values of the forward part are computed again.
 *
 * A node is of the forward part when a loss, a log or a new state needs it; the
 * rest is there for gradients only.  What the backward part reads of the
 * forward part is kept in between, and here each such value is asked whether
 * it had better be made again:
 *
 *  - cheap ones, all but products, when what they are made of is kept anyway
 *    or takes fewer bytes: of gelu(z) and z one is enough;
 *  - in a segment of the forward part everything, from the values that stand
 *    on its border.  Segments take about as many kept bytes each, and begin
 *    where few bytes pass from one to the next: between the layers.
 *
 * A value that is compared with its own maximum is kept: made twice, in two
 * kernels, it may differ in the last bit, and nothing would be equal.  Loops
 * and their results are kept too; they have saves of their own.
 */
#include <string.h>

#include "passes/rematerialize.h"

enum {
  SMALL = 256, /* of the bytes kept, values of less than this part are not worth a kernel */
  DEEP = 16    /* of kept values made of each other no more than so many are made again in a row */
};

bool forward_is_leaf(const Node *node) { return op_info[node->op].kind == LEAF && node->n_in == 0; }

static const Node *behind_views(const Node *x) {
  while (op_info[x->op].kind == VIEW) x = x->in[0];
  return x;
}

static bool reads_whole(const Node *node) {
  Kind kind = op_info[node->op].kind;
  return kind == MATMUL || kind == SCATTER || kind == GATHER;
}

/* The view that fuse makes a copy of, for a node that reads whole values; NULL: none. */
static const Node *copied_view(const Node *operand) {
  while (operand->op == OP_reshape) operand = operand->in[0];
  return op_info[operand->op].kind == VIEW ? operand : NULL;
}

/* ---- what there is ------------------------------------------------------------------ */

typedef struct Choosing {
  Forward *f;
  const Choice *choice;
  int n;
  bool *compared;
  int *last;           /* by value: the last forward node that reads it */
  int *segment;        /* by id */
  int n_segments, n_again, n_cheap; /* segments that are computed again; nodes that are asked whether they are cheap */
  int64_t least;       /* bytes of the smallest value worth it */
  int64_t *price;      /* bytes that must be kept besides to have it */
  int *depth;
} Choosing;

static void find_forward(Forward *f) {
  const Graph *g = f->graph;
  for (int i = 0; i < g->n_outputs; i++)
    if (g->outputs[i].role != OUT_GRAD) f->forward[g->outputs[i].node->id] = true;
  for (int i = g->n_nodes - 1; i >= 0; i--) {
    const Node *node = g->nodes[i];
    if (forward_is_leaf(node)) f->forward[i] = true;
    for (int k = 0; f->forward[i] && k < node->n_in; k++) f->forward[node->in[k]->id] = true;
  }
}

void forward_find(Forward *f, const Graph *graph, Arena *arena) {
  size_t n = (size_t)graph->n_nodes + 1;
  *f = (Forward){.graph = graph, .arena = arena};
  f->forward = arena_alloc(arena, n), f->needed = arena_alloc(arena, n), f->again = arena_alloc(arena, n);
  find_forward(f);
  for (int i = 0; i < graph->n_nodes; i++)
    for (int k = 0; !f->forward[i] && k < graph->nodes[i]->n_in; k++) {
      const Node *x = graph->nodes[i]->in[k];
      for (; f->forward[x->id] && op_info[x->op].kind == VIEW; x = x->in[0]) f->needed[x->id] = true;
      if (f->forward[x->id]) f->needed[x->id] = true;
    }
}

static bool is_extreme(const Node *n) { return n->op == OP_max || n->op == OP_min; }
static bool is_comparison(const Node *n) { return n->op >= OP_eq && n->op <= OP_ge; }

static void find_compared(Choosing *c) {
  for (int i = 0; i < c->n; i++) {
    const Node *n = c->f->graph->nodes[i];
    for (int k = 0; is_comparison(n) && k < 2; k++) {
      const Node *x = behind_views(n->in[k]), *y = behind_views(n->in[1 - k]);
      while (y->op == OP_copy || y->op == OP_stop) y = behind_views(y->in[0]);
      if (is_extreme(y) && c->f->forward[x->id]) c->compared[x->id] = true;
    }
  }
}

static void find_copied(Choosing *c) {
  bool *forward = arena_alloc(c->f->arena, (size_t)c->n), *backward = arena_alloc(c->f->arena, (size_t)c->n);
  for (int i = 0; i < c->n; i++) {
    const Node *n = c->f->graph->nodes[i];
    for (int k = 0; reads_whole(n) && k < n->n_in; k++) {
      const Node *view = copied_view(n->in[k]);
      if (view) (c->f->forward[i] ? forward : backward)[view->id] = true;
    }
  }
  for (int i = 0; i < c->n; i++) c->f->copied[i] = forward[i] && backward[i] && c->f->forward[i];
}

static int64_t bytes_of(const Choosing *c, int id) {
  Kind kind = op_info[c->f->graph->nodes[id]->op].kind;
  if (kind == VIEW ? !c->f->copied[id] : kind == LOOP || kind == GROUP || forward_is_leaf(c->f->graph->nodes[id])) return 0;
  return type_bytes(&c->f->graph->nodes[id]->type);
}

int64_t forward_bytes(const Forward *f, int id) {
  const Node *n = f->graph->nodes[id];
  bool kept = f->needed[id] && !forward_is_leaf(n) && (op_info[n->op].kind != VIEW || f->copied[id]);
  return kept ? type_bytes(&n->type) : 0;
}

/* ---- segments ------------------------------------------------------------------------ */

static void find_last(Choosing *c) {
  for (int i = 0; i < c->n; i++) {
    const Node *n = c->f->graph->nodes[i];
    for (int k = 0; c->f->forward[i] && k < n->n_in; k++) c->last[behind_views(n->in[k])->id] = i;
  }
}

/* By position: bytes of values made up to there and read after by the forward part. */
static int64_t *find_widths(const Choosing *c) {
  int64_t *width = arena_alloc(c->f->arena, ((size_t)c->n + 1) * sizeof *width);
  for (int i = 0; i < c->n; i++) {
    const Node *n = c->f->graph->nodes[i];
    if (!c->f->forward[i] || forward_is_leaf(n) || op_info[n->op].kind == VIEW || c->last[i] <= i) continue;
    width[i] += type_bytes(&n->type);
    width[c->last[i]] -= type_bytes(&n->type);
  }
  for (int i = 1; i < c->n; i++) width[i] += width[i - 1];
  return width;
}

/* Each of about `room` kept bytes, cut where it is narrowest in its second half. */
static void cut_segments(Choosing *c, int64_t room) {
  const int64_t *width = find_widths(c);
  int64_t held = 0;
  int best = -1, begin = 0;
  c->n_segments = 1;
  for (int i = 0; i < c->n; i++) {
    c->segment[i] = c->n_segments - 1;
    if (!c->f->forward[i]) continue;
    if (c->f->needed[i]) held += bytes_of(c, i);
    bool ends = !forward_is_leaf(c->f->graph->nodes[i]) && held >= room / 2;
    if (ends && (best < 0 || width[i] <= width[best])) best = i;
    if (held < room || best < begin) continue;
    c->n_segments++;
    begin = i = best + 1;
    i--; /* what stands behind the cut is looked at once more, as the next segment */
    best = -1, held = 0;
  }
}

static bool crosses(const Choosing *c, int id) { return c->segment[c->last[id]] > c->segment[id]; }

/* ---- the choice ------------------------------------------------------------------------ */

static bool can_be_again(const Choosing *c, int id) {
  const Node *n = c->f->graph->nodes[id];
  switch (op_info[n->op].kind) {
  case MAP: case REDUCE: case RANDOM: case GATHER: case MATMUL: return !c->compared[id] && bytes_of(c, id) >= c->least;
  default: return false;
  }
}

static bool in_segment(const Choosing *c, int id) { return c->segment[id] < c->n_again; }

static void choose_view(Choosing *c, int i) {
  const Node *n = c->f->graph->nodes[i];
  int from = n->in[0]->id;
  c->f->again[i] = c->f->again[from] || (c->f->copied[i] && i < c->n_cheap && bytes_of(c, i) >= c->least);
  c->price[i] = c->price[from];
  c->depth[i] = c->depth[from];
}

static void choose_value(Choosing *c, int i) {
  const Node *n = c->f->graph->nodes[i];
  int64_t price = 0;
  int depth = 0;
  for (int k = 0; k < n->n_in; k++) {
    int x = n->in[k]->id;
    bool twice = k > 0 && n->in[0] == n->in[k];
    if (!twice) price += c->price[x];
    if (c->f->again[x] && c->depth[x] > depth) depth = c->depth[x];
  }
  bool able = can_be_again(c, i), cheap = i < c->n_cheap && op_info[n->op].kind != MATMUL && price < bytes_of(c, i);
  bool inside = in_segment(c, i);
  c->f->again[i] = able && (inside ? !crosses(c, i) : cheap && depth < DEEP);
  if (c->f->needed[i] || (c->f->again[i] && inside)) c->price[i] = 0;
  else c->price[i] = c->f->again[i] ? price : bytes_of(c, i);
  c->depth[i] = c->f->again[i] ? depth + c->f->needed[i] : 0;
}

void forward_choose(Forward *f, const Choice *choice) {
  const Graph *g = f->graph;
  Choosing c = {.f = f, .choice = choice, .n = g->n_nodes};
  size_t n = (size_t)c.n + 1;
  c.compared = arena_alloc(f->arena, n);
  f->copied = arena_alloc(f->arena, n);
  c.last = arena_alloc(f->arena, n * sizeof *c.last), c.segment = arena_alloc(f->arena, n * sizeof *c.segment);
  c.price = arena_alloc(f->arena, n * sizeof *c.price), c.depth = arena_alloc(f->arena, n * sizeof *c.depth);
  find_compared(&c);
  find_copied(&c);
  find_last(&c);
  int64_t kept = 0;
  for (int i = 0; i < c.n; i++)
    if (f->forward[i] && f->needed[i]) kept += bytes_of(&c, i);
  c.least = kept / SMALL > ARENA_ALIGN ? kept / SMALL : ARENA_ALIGN;
  if (choice->segments) {
    cut_segments(&c, kept / choice->segments + 1);
    c.n_again = (int)((int64_t)(c.n_segments - 1) * choice->part / PARTS); /* the last one is read at once */
  }
  if (choice->cheap) c.n_cheap = choice->segments ? c.n : (int)((int64_t)c.n * choice->part / PARTS);
  for (int i = 0; i < c.n; i++) {
    f->again[i] = false;
    if (!f->forward[i] || forward_is_leaf(g->nodes[i])) continue;
    if (op_info[g->nodes[i]->op].kind == VIEW) choose_view(&c, i);
    else choose_value(&c, i);
  }
}
