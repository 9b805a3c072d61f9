/* simplify.c - cheaper ways to the same values.
 *
 * Each graph is rebuilt node by node, which merges equal nodes for free, and
 * before a node is made the tables of rewrites are asked for something better.
 * Rounds follow until nothing changes; a round is linear in the nodes, and two
 * or three do.
 *
 * A rewrite keeps the value of every element, infinities, NaN and -0 included:
 * x * 0 stays, x + 0 stays (it turns -0 into 0).  Three round differently, in
 * the last place: constants are folded in double precision, x^2 and x^3 become
 * products.
 *
 * needs: gradient (stop() is forgotten here).  Schedules are left as written.
 */
#include <string.h>

#include "passes/simplify.h"

enum { MAX_ROUNDS = 12 };

/* ---- for the rewrites ------------------------------------------------------ */

bool rewrite_ask(Rewriter *r, const Node *n) {
  if (!rewrite_allowed(r->context, r->rewrite, n)) return false;
  r->done++;
  return true;
}

bool rewrite_fits(const Node *n, const Node *x) {
  return n->type.dtype == x->type.dtype && type_same_shape(&n->type, &x->type);
}

/* While a graph is rebuilt, mark holds how often a node was read before; 0: it is new. */
bool rewrite_single_use(const Node *x) { return x->mark <= 1; }

bool infer_candidate(const Node *n, Node *const *in, Type *out) {
  enum { MOST = 8 }; /* operands of any op that has no body: such have no type to infer */
  const Type *types[MOST];
  if (n->n_in > MOST) return *out = type_scalar(F32), true;
  for (int k = 0; k < n->n_in; k++) types[k] = &in[k]->type;
  return infer_type(n->op, n->n_in, types, &n->attrs, false, out, NULL);
}

static bool matches(const RewriteRow *row, const Node *n) {
  if (row->op == ANY_MAP) return op_info[n->op].kind == MAP;
  if (row->op == ANY_REDUCE) return op_info[n->op].kind == REDUCE;
  return row->op == (int)n->op;
}

static Node *improved(Rewriter *r, const Node *n, const RewriteRow *row) {
  for (; row->name; row++) {
    if (!matches(row, n)) continue;
    r->rewrite = row->name;
    Node *better = row->apply(r, n);
    if (!better) continue;
    if (!rewrite_fits(n, better)) fault("%s changes the type of %s", row->name, n->name);
    return better;
  }
  return NULL;
}

/* The node for a candidate, or something better. */
static Node *make(Rewriter *r, const Node *n) {
  Node *better = improved(r, n, op_info[n->op].kind == MAP ? map_rewrites : view_rewrites);
  if (better) return better;
  Node *made = node_new(r->graph, n->op, n->in, n->n_in, &n->attrs, n->name, n->span);
  if (n->body) made->body = n->body;
  return made;
}

static Node *make_candidate(Rewriter *r, const char *name, const Span *span, Op op, Node *const *in, int n_in,
                            const Attrs *attrs) {
  static const Attrs none;
  Node *operands[3];
  for (int k = 0; k < n_in; k++) operands[k] = in[k];
  Node candidate = {.op = op, .name = name, .span = span, .n_in = n_in, .in = operands, .attrs = attrs ? *attrs : none};
  if (!infer_candidate(&candidate, in, &candidate.type))
    fault("%s makes a %s that cannot be", r->rewrite, op_info[op].name);
  return make(r, &candidate);
}

Node *rewrite_to(Rewriter *r, const Node *n, Op op, Node *const *in, int n_in, const Attrs *attrs) {
  return make_candidate(r, n->name, n->span, op, in, n_in, attrs);
}

Node *rewrite_part(Rewriter *r, const Node *n, const char *role, Op op, Node *const *in, int n_in, const Attrs *attrs) {
  return make_candidate(r, arena_print(r->graph->program->arena, "%s.%s", n->name, role), n->span, op, in, n_in, attrs);
}

/* Named alike everywhere, since equal constants are one node. */
Node *rewrite_const(Rewriter *r, const Node *n, DType dtype, double value) {
  Builder b = {r->graph, n->span, "simplify"};
  return b_const(&b, dtype, value);
}

Node *rewrite_broadcast(Rewriter *r, const Node *n, Node *x) {
  if (type_same_shape(&n->type, &x->type)) return x;
  Attrs attrs = {.shape = n->type};
  attrs.shape.dtype = x->type.dtype;
  return rewrite_to(r, n, OP_broadcast, &x, 1, &attrs);
}

/* ---- rebuilding a graph ----------------------------------------------------- */

static void add_alias(Arena *arena, Node *node, const char *name) {
  if (!strcmp(node->name, name)) return;
  for (int i = 0; i < node->n_aliases; i++)
    if (!strcmp(node->aliases[i], name)) return;
  LIST_PUSH(arena, node->aliases, node->n_aliases, name);
}

/* The names under which the old node was known lead to the new one. */
static void keep_names(Arena *arena, Node *node, const Node *old) {
  if (node->op == OP_const) return;
  add_alias(arena, node, old->name);
  for (int i = 0; i < old->n_aliases; i++) add_alias(arena, node, old->aliases[i]);
}

static long rebuild(PassContext *context, Graph *graph) {
  Arena *scratch = arena_new();
  graph_sweep(graph);
  int *uses = graph_uses(graph, scratch);
  Node **to = arena_alloc(scratch, sizeof *to * (size_t)graph->n_nodes);
  Graph *fresh = graph_new(graph->program, graph->name, graph->parent);
  Rewriter r = {.context = context, .graph = fresh};
  for (int i = 0; i < graph->n_nodes; i++) {
    Node candidate = *graph->nodes[i];
    candidate.in = arena_alloc(scratch, sizeof *candidate.in * (size_t)candidate.n_in);
    for (int k = 0; k < candidate.n_in; k++) candidate.in[k] = to[graph->nodes[i]->in[k]->id];
    if (!infer_candidate(&candidate, candidate.in, &candidate.type))
      fault("simplify: %s cannot be rebuilt", candidate.name);
    to[i] = make(&r, &candidate);
    to[i]->mark += uses[i];
    keep_names(graph->program->arena, to[i], graph->nodes[i]);
  }
  for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i].node = to[graph->outputs[i].node->id];
  fresh->outputs = graph->outputs;
  fresh->n_outputs = graph->n_outputs;
  fresh->rows = graph->rows;
  *graph = *fresh;
  arena_free(scratch);
  return r.done;
}

void pass_simplify(PassContext *context) {
  Graph **graphs = program_graphs(context->program);
  for (int i = 0; graphs[i]; i++) {
    if (graphs[i] == context->program->schedule) continue;
    for (int round = 0; round < MAX_ROUNDS && rebuild(context, graphs[i]) > 0; round++) continue;
    graph_sweep(graphs[i]);
  }
}
