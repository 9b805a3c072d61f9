/* verify_loop.c - does a loop's body keep what ir.h promises?
 *
 * Types of operands and inputs fit, carried values keep theirs from turn to
 * turn, and the body knows nothing outside but what it may.
 */
#include "ir/verify.h"

#define WRONG(node, ...) return verify_wrong(v, loop->body, (node), __VA_ARGS__)
#define TRY(check)                    \
  do {                                \
    const char *wrong_ = (check);     \
    if (wrong_) return wrong_;        \
  } while (0)

static bool same_type(const Type *a, const Type *b) { return a->dtype == b->dtype && type_same_shape(a, b); }

/* The type in the body of operand `index`. */
static Type type_inside(const Node *loop, int index) {
  Type type = loop->in[index]->type;
  bool stacked = index >= loop->attrs.carried && index < loop->attrs.carried + loop->attrs.stacked;
  if (!stacked) return type;
  Type element = {.dtype = type.dtype, .rank = type.rank - 1};
  for (int i = 0; i < element.rank; i++) element.dim[i] = type.dim[i + 1];
  return element;
}

static const char *check_head(Verifier *v, const Graph *graph, const Node *loop) {
  const Attrs *a = &loop->attrs;
  if (!a->path) return verify_wrong(v, graph, loop, "a loop needs a path");
  if (a->space.rank != 1 || a->space.dim[0].rows || a->space.dim[0].size < 1)
    return verify_wrong(v, graph, loop, "a loop has one or more turns, and its space is their number");
  if (a->carried < 0 || a->stacked < 0 || a->stacked > loop->n_in - a->carried || a->carried > loop->body->n_outputs)
    return verify_wrong(v, graph, loop, "it carries %d and takes %d stacked of %d operands", a->carried, a->stacked, loop->n_in);
  for (int i = a->carried; i < a->carried + a->stacked; i++) {
    const Type *t = &loop->in[i]->type;
    if (!t->rank || t->dim[0].rows || t->dim[0].size != a->space.dim[0].size)
      return verify_wrong(v, graph, loop, "operand %d, %%%s, has not an element for each turn", i, loop->in[i]->name);
  }
  for (const Graph *g = graph; g && g->parent; g = g->parent)
    for (int i = 0; i < g->parent->n_nodes; i++)
      if (g->parent->nodes[i]->body == g && g->parent->nodes[i]->attrs.path && !strcmp(g->parent->nodes[i]->attrs.path, a->path))
        return verify_wrong(v, graph, loop, "a loop around it has its path, %s", a->path);
  return NULL;
}

static const char *check_outputs(Verifier *v, const Node *loop) {
  for (int i = 0; i < loop->body->n_outputs; i++) {
    const Output *o = &loop->body->outputs[i];
    if (o->role != OUT_VALUE) WRONG(o->node, "an output of a loop is no value");
    if (o->node->type.rank == MAX_RANK) WRONG(o->node, "it has too many axes to be collected");
    if (i < loop->attrs.carried && !same_type(&o->node->type, &loop->in[i]->type))
      WRONG(o->node, "it is carried, but has not the type of operand %d, %%%s", i, loop->in[i]->name);
  }
  return NULL;
}

/* The loop of that path whose body, or a body in it, this is. */
static bool is_around(const Node *loop, const Graph *graph, const char *path) {
  if (!strcmp(loop->attrs.path, path)) return true;
  for (const Graph *g = graph; g && g->parent; g = g->parent)
    for (int i = 0; i < g->parent->n_nodes; i++) {
      const Node *n = g->parent->nodes[i];
      if (n->body == g && op_info[n->op].kind == LOOP && n->attrs.path && !strcmp(n->attrs.path, path)) return true;
    }
  return false;
}

static const char *check_leaf(Verifier *v, const Graph *graph, const Node *loop, const Node *node) {
  if (node->op == OP_param || node->op == OP_state) WRONG(node, "a loop is given its parameters and states as operands");
  if (node->op == OP_turn && (!node->attrs.path || !is_around(loop, graph, node->attrs.path)))
    WRONG(node, "no loop around it has the path %s", node->attrs.path ? node->attrs.path : "none");
  if (node->op != OP_input) return NULL;
  if (node->attrs.path || node->attrs.index < 0 || node->attrs.index >= loop->n_in)
    WRONG(node, "the loop has no such operand");
  Type inside = type_inside(loop, node->attrs.index);
  if (!same_type(&node->type, &inside))
    WRONG(node, "its type is not that of operand %d, %%%s, in a turn", node->attrs.index, loop->in[node->attrs.index]->name);
  return NULL;
}

const char *verify_loop(Verifier *v, const Graph *graph, const Node *loop) {
  TRY(check_head(v, graph, loop));
  TRY(check_outputs(v, loop));
  for (int i = 0; i < loop->body->n_nodes; i++) TRY(check_leaf(v, graph, loop, loop->body->nodes[i]));
  return verify_plan(v, loop->body);
}
