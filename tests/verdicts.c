/* verdicts.c - programs damaged in many small ways, and what the verifier says.
 *
 * Not every damage is a fault: an operand of the same type that stands before
 * is as good as another.  What counts is that each verdict stays, refusals
 * with their message and consents, so they are kept as a golden file by
 * checksum: a verifier that forgets a rule, or has one too many, is seen.
 */
#include "tests/verdicts.h"

#include <string.h>

enum { TRIES = 150, MAX_NODES = 2000 };

typedef struct Damage {
  Program *program;
  uint64_t state;
  int n;
  Graph *of[MAX_NODES]; /* of each node, bodies included */
  Node *node[MAX_NODES];
} Damage;

static uint64_t draw(Damage *d, uint64_t n) { /* splitmix64 */
  uint64_t x = d->state += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return (x ^ x >> 31) % n;
}
static int one_off(Damage *d) { return draw(d, 2) ? 1 : -1; }
static Node *any(Damage *d, const Graph *graph) { return graph->nodes[draw(d, (uint64_t)graph->n_nodes)]; }

/* One of a kind, NULL if there is none. */
static Node *any_of(Damage *d, bool (*is)(const Node *)) {
  int n = 0;
  for (int i = 0; i < d->n; i++) n += is(d->node[i]);
  int64_t left = n ? (int64_t)draw(d, (uint64_t)n) : -1;
  for (int i = 0; i < d->n; i++)
    if (is(d->node[i]) && !left--) return d->node[i];
  return NULL;
}

static void collect(Damage *d, Graph *graph) {
  for (int i = 0; i < graph->n_nodes && d->n < MAX_NODES; i++) {
    d->of[d->n] = graph;
    d->node[d->n++] = graph->nodes[i];
    if (graph->nodes[i]->body) collect(d, graph->nodes[i]->body);
  }
}

/* ---- ways to damage a node ----------------------------------------------- */

/* Arrays are not shared with what is restored afterwards. */
static Node **own_operands(Damage *d, Node *x, int more) {
  Node **in = arena_alloc(d->program->arena, sizeof *in * (size_t)(x->n_in + more));
  if (x->n_in) memcpy(in, x->in, sizeof *in * (size_t)x->n_in);
  return x->in = in;
}
static void operand(Damage *d, Graph *g, Node *x) {
  if (x->n_in) own_operands(d, x, 0)[draw(d, (uint64_t)x->n_in)] = any(d, g);
}
static void operand_that_fits(Damage *d, Graph *g, Node *x) {
  if (!x->n_in) return;
  int k = (int)draw(d, (uint64_t)x->n_in);
  Node *other = any(d, g);
  for (int i = 0; i < 50 && !(other->id < x->id && type_same_shape(&other->type, &x->in[k]->type) &&
                              other->type.dtype == x->in[k]->type.dtype); i++)
    other = any(d, g);
  own_operands(d, x, 0)[k] = other;
}
static void operand_more(Damage *d, Graph *g, Node *x) { own_operands(d, x, 1)[x->n_in] = any(d, g), x->n_in++; }
static void operand_less(Damage *d, Graph *g, Node *x) { (void)d, (void)g, x->n_in -= x->n_in > 0; }
static void op(Damage *d, Graph *g, Node *x) { (void)g, x->op = (Op)draw(d, OP_COUNT); }
static void op_of_as_many(Damage *d, Graph *g, Node *x) {
  Op old = x->op;
  for (int i = 0; i < 50 && (x->op == old || op_info[x->op].n_inputs != op_info[old].n_inputs); i++) op(d, g, x);
}
static void dtype(Damage *d, Graph *g, Node *x) { (void)g, x->type.dtype = (DType)draw(d, DTYPE_COUNT); }
static void rank(Damage *d, Graph *g, Node *x) { (void)g, x->type.rank += one_off(d); }
static void size(Damage *d, Graph *g, Node *x) {
  (void)g;
  if (x->type.rank) x->type.dim[draw(d, (uint64_t)x->type.rank)].size += one_off(d);
}
static void literal(Damage *d, Graph *g, Node *x) { /* a capacity that became a number */
  (void)g;
  Dim *dim = &x->type.dim[0];
  (void)d, *dim = dim_literal(dim->size);
}
static void shape(Damage *d, Graph *g, Node *x) { x->type = x->attrs.shape = any(d, g)->type; }
static void indices(Damage *d, Graph *g, Node *x) {
  (void)g;
  if (draw(d, 2)) x->attrs.index += one_off(d);
  else x->attrs.axis += one_off(d);
}
static void axes(Damage *d, Graph *g, Node *x) {
  (void)g;
  if (draw(d, 2)) x->attrs.n_axes += one_off(d);
  else x->attrs.axes[draw(d, 2)] += one_off(d);
}
static void flags(Damage *d, Graph *g, Node *x) {
  (void)g;
  bool *flag[] = {&x->attrs.keep, &x->attrs.ta, &x->attrs.tb};
  int i = (int)draw(d, 3);
  *flag[i] = !*flag[i];
}
static void strides(Damage *d, Graph *g, Node *x) {
  (void)g;
  int64_t *at = draw(d, 2) ? x->attrs.start : x->attrs.step;
  at[draw(d, 2)] += one_off(d);
}
static void path(Damage *d, Graph *g, Node *x) { x->attrs.path = draw(d, 8) ? any(d, g)->attrs.path : NULL; }
static void name(Damage *d, Graph *g, Node *x) { x->name = any(d, g)->name; }
static void home(Damage *d, Graph *g, Node *x) { (void)g, x->home = (Home)draw(d, HOME_ALIAS + 2); }
static void offset(Damage *d, Graph *g, Node *x) { (void)g, x->offset += one_off(d) * (draw(d, 3) ? 256 : 64); }
static void place(Damage *d, Graph *g, Node *x) {
  const Node *other = any(d, g);
  for (int i = 0; i < 50 && other->home != x->home; i++) other = any(d, g);
  x->home = other->home, x->offset = other->offset;
}

/* ---- ways to damage a group ---------------------------------------------- */

static bool has_body(const Node *x) { return x->body != NULL; }
static void pattern(Damage *d, Graph *g, Node *x) { (void)g, x->attrs.pattern = (int)draw(d, 6) - 1; }
static void space(Damage *d, Graph *g, Node *x) {
  if (draw(d, 2)) x->attrs.space = any(d, g)->type;
  else x->attrs.space.rank += one_off(d);
}
static void reduced(Damage *d, Graph *g, Node *x) {
  pattern(d, g, x);
  x->attrs.n_axes = (int)draw(d, 3);
  for (int i = 0; i < 2; i++) x->attrs.axes[i] = (int)draw(d, 4) - 1;
}
static void result(Damage *d, Graph *g, Node *x) {
  (void)g;
  Output *o = &x->body->outputs[draw(d, (uint64_t)x->body->n_outputs)];
  o->node = any(d, x->body);
}

/* ---- ways to damage a loop, and what stands in loops ------------------------ */

static bool is_loop(const Node *x) { return op_info[x->op].kind == LOOP; }
static bool is_turn(const Node *x) { return x->op == OP_turn; }

static void loop_counts(Damage *d, Graph *g, Node *x) {
  (void)g;
  switch (draw(d, 4)) {
  case 0: x->attrs.carried += one_off(d); break;
  case 1: x->attrs.stacked += one_off(d); break;
  case 2: x->attrs.carried = (int)draw(d, 6) - 1; break;
  default: x->attrs.space.dim[0].size = (int64_t)draw(d, 4) - 1;
  }
}
static void loop_path(Damage *d, Graph *g, Node *x) {
  (void)g;
  const Node *other = any_of(d, is_loop);
  x->attrs.path = draw(d, 4) ? other->attrs.path : draw(d, 2) ? "no loop" : NULL;
}

/* ---- ways to damage a graph ----------------------------------------------- */

static void order(Damage *d, Graph *g, Node *x) {
  (void)x;
  uint64_t i = draw(d, (uint64_t)g->n_nodes), k = i + 1 + draw(d, 3);
  if (k >= (uint64_t)g->n_nodes) return;
  Node *swap = g->nodes[i];
  g->nodes[i] = g->nodes[k], g->nodes[k] = swap;
}
static void outputs(Damage *d, Graph *g, Node *x) {
  (void)x;
  if (!g->n_outputs) return;
  Output *o = &g->outputs[draw(d, (uint64_t)g->n_outputs)];
  switch (draw(d, 4)) {
  case 0: o->role = (OutputRole)draw(d, OUT_STATE + 1); break;
  case 1: o->node = any(d, g); break;
  case 2: o->name = draw(d, 4) ? g->outputs[draw(d, (uint64_t)g->n_outputs)].name : NULL; break;
  default: g->n_outputs--;
  }
}
static void ends(Damage *d, Graph *g, Node *x) {
  (void)x;
  switch (draw(d, 4)) {
  case 0: g->n_nodes--; break;
  case 1: g->arena_bytes -= 1 + (int64_t)draw(d, 256); break;
  case 2: g->rows = g->rows ? NULL : d->program->symbols[0]; break;
  default: g->parent = g->parent ? NULL : d->node[0]->body;
  }
}

/* ---- ways to damage a program ---------------------------------------------- */

static void parts(Damage *d, Graph *g, Node *x) {
  (void)g, (void)x;
  Program *p = d->program;
  switch (draw(d, 4)) {
  case 0: p->has_train = false; break;
  case 1: p->has_sample = false; break;
  case 2: p->sample.n_fields = 0; break;
  default: p->sample.graph = p->predict.graph;
  }
}

static bool is_any(const Node *x) { return x != NULL; }
static const struct { const char *name; void (*damage)(Damage *, Graph *, Node *); bool (*of)(const Node *); } ways[] = {
    {"operand", operand, is_any}, {"operand that fits", operand_that_fits, is_any}, {"operand more", operand_more, is_any},
    {"operand less", operand_less, is_any}, {"op", op, is_any}, {"op of as many", op_of_as_many, is_any},
    {"dtype", dtype, is_any}, {"rank", rank, is_any}, {"size", size, is_any}, {"literal", literal, is_any},
    {"shape", shape, is_any}, {"indices", indices, is_any}, {"axes", axes, is_any}, {"flags", flags, is_any},
    {"strides", strides, is_any}, {"path", path, is_any}, {"name", name, is_any}, {"home", home, is_any},
    {"offset", offset, is_any}, {"place", place, is_any}, {"order", order, is_any}, {"outputs", outputs, is_any},
    {"ends", ends, is_any}, {"pattern", pattern, has_body}, {"space", space, has_body}, {"reduced", reduced, has_body},
    {"group's axes", axes, has_body}, {"group's operand", operand_that_fits, has_body}, {"result", result, has_body},
    {"loop's counts", loop_counts, is_loop}, {"loop's path", loop_path, is_loop}, {"turn's path", loop_path, is_turn},
    {"parts", parts, is_any},
};

/* ---- one damage, its verdict, and all as before ---------------------------- */

typedef struct Before {
  Program program;
  Graph graph, body;
  Node node;
  Node *nodes[MAX_NODES];
  Output outputs[64], results[64];
} Before;

static void keep(Before *b, const Graph *g, const Node *x) {
  b->graph = *g, b->node = *x;
  memcpy(b->nodes, g->nodes, sizeof *g->nodes * (size_t)g->n_nodes);
  if (g->n_outputs) memcpy(b->outputs, g->outputs, sizeof *g->outputs * (size_t)g->n_outputs);
  if (!x->body) return;
  b->body = *x->body;
  memcpy(b->results, x->body->outputs, sizeof *x->body->outputs * (size_t)x->body->n_outputs);
}

static void restore(const Before *b, Graph *g, Node *x) {
  *g = b->graph, *x = b->node;
  memcpy(g->nodes, b->nodes, sizeof *g->nodes * (size_t)g->n_nodes);
  if (g->n_outputs) memcpy(g->outputs, b->outputs, sizeof *g->outputs * (size_t)g->n_outputs);
  if (!x->body) return;
  *x->body = b->body;
  memcpy(x->body->outputs, b->results, sizeof *x->body->outputs * (size_t)x->body->n_outputs);
}

static uint64_t hash_text(uint64_t hash, const char *text) { /* FNV-1a */
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return (hash ^ '\n') * UINT64_C(1099511628211);
}

void verdicts_of(Text *out, const char *name, Program *program) {
  static Damage d;
  static Before before;
  d = (Damage){.program = program, .state = 1};
  Graph **graphs = program_graphs(program);
  for (int i = 0; graphs[i]; i++) graph_number(graphs[i]), collect(&d, graphs[i]);
  for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
    uint64_t hash = UINT64_C(14695981039346656037);
    int refused = 0;
    for (int t = 0; t < TRIES; t++) {
      Node *x = any_of(&d, ways[way].of);
      Graph *g = d.of[0];
      if (!x) break;
      for (int i = 0; i < d.n; i++)
        if (d.node[i] == x) g = d.of[i];
      before.program = *program;
      keep(&before, g, x);
      ways[way].damage(&d, g, x);
      Arena *arena = arena_new();
      const char *wrong = program_verify(program, arena);
      refused += wrong != NULL;
      hash = hash_text(hash, wrong ? wrong : "sound");
      arena_free(arena);
      restore(&before, g, x);
      *program = before.program;
    }
    if (any_of(&d, ways[way].of))
      text_add(out, "%s, %s: %d refused, %d sound, %08x\n", name, ways[way].name, refused, TRIES - refused, (unsigned)(hash ^ hash >> 32));
  }
}
