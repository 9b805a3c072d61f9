/* fuse_prepare.c - give every value that must be in memory a node that can be
 * stored.
 *
 * An output, of a graph or of a loop's body, needs a slot of its own, so a leaf, a view, or a node that
 * already answers another output gets a `copy`; the slots hold f32, so other
 * dtypes get a `cast`.  A matmul reads whole contiguous values, so an operand
 * that is a slice, a broadcast or a constant gets a `copy` too; a reshape of
 * something in memory is the same bytes and stays.  The copies are ordinary
 * MAPs: fusion puts them where the value is made.  Sums of nothing go.
 */
#include <string.h>

#include "passes/fuse.h"

const Node *fuse_alias_root(const Node *n) {
  while (n->op == OP_reshape) n = n->in[0];
  return n;
}

bool fuse_is_materialized(const Node *n) {
  n = fuse_alias_root(n);
  switch (op_info[n->op].kind) {
  case LEAF: return n->op == OP_input || n->op == OP_param || n->op == OP_state || n->op == OP_result;
  case VIEW: return false;
  default: return true;
  }
}

static Node *add_map(Graph *graph, Op op, Node *in, const Attrs *attrs, const char *role) {
  Node *node = node_new(graph, op, &in, 1, attrs, arena_print(graph->program->arena, "%s.%s", in->name, role), in->span);
  node->again = in->again;
  return node;
}

static Node *add_copy(Graph *graph, Node *in) { return add_map(graph, OP_copy, in, &(Attrs){0}, "copy"); }

/* In memory, read by a product: the copy is made in the axes that there are before a last reshape, whose bytes it is. */
static Node *add_operand(Graph *graph, Node *in) {
  if (in->op != OP_reshape) return add_copy(graph, in);
  Node *copy = add_operand(graph, in->in[0]);
  return node_new(graph, OP_reshape, &copy, 1, &in->attrs, arena_print(graph->program->arena, "%s.whole", in->name), in->span);
}

/* The slots of the outputs block are f32, those of logs and losses scalars. */
static Node *as_slot(Graph *graph, const Output *output, Node *node) {
  if (output->role == OUT_GRAD || output->role == OUT_STATE || output->role == OUT_CARRY || graph->parent) return node; /* a loop's have any dtype */
  bool scalar = output->role == OUT_LOG || output->role == OUT_LOSS;
  if (scalar && node->type.rank > 0) node = add_map(graph, OP_reshape, node, &(Attrs){.shape = type_scalar(node->type.dtype)}, "scalar");
  if (node->type.dtype != F32) {
    Attrs attrs = {.shape = node->type};
    attrs.shape.dtype = F32;
    node = add_map(graph, OP_cast, node, &attrs, "cast");
  }
  return node;
}

static bool is_taken(const Graph *graph, int before, const Node *node) {
  for (int i = 0; i < before; i++)
    if (graph->outputs[i].node == node) return true;
  return false;
}

static void prepare_outputs(Graph *graph) {
  for (int i = 0; i < graph->n_outputs; i++) {
    Output *output = &graph->outputs[i];
    Node *node = as_slot(graph, output, output->node);
    Kind kind = op_info[node->op].kind;
    if ((kind == LEAF && node->op != OP_result) || kind == VIEW) node = add_copy(graph, node);
    while (is_taken(graph, i, node)) node = add_copy(graph, node);
    output->node = node;
  }
}

/* The copy of a view that an output has. */
static Node *copy_put_out(const Graph *graph, const Node *in) {
  for (int i = 0; i < graph->n_outputs; i++)
    if (graph->outputs[i].node->op == OP_copy && graph->outputs[i].node->in[0] == in) return graph->outputs[i].node;
  return NULL;
}

static Node *prepared(Graph *graph, const Node *reader, Node *in) {
  Node *copy = copy_put_out(graph, in);
  if (copy) return copy;
  return reader->op == OP_matmul ? add_operand(graph, in) : add_copy(graph, in);
}

static void prepare_operands(Graph *graph) {
  for (int i = 0, n = graph->n_nodes; i < n; i++) {
    Node *node = graph->nodes[i];
    Kind kind = op_info[node->op].kind;
    if (kind == LEAF || kind == VIEW || kind == MAP || kind == REDUCE || kind == RANDOM || kind == GROUP) continue;
    for (int k = 0; k < node->n_in; k++) {
      if (!fuse_is_materialized(node->in[k])) node->in[k] = prepared(graph, node, node->in[k]);
    }
  }
}

/* A reduction over no axes is the value itself: at position 0, and as a sum begun at 0, which has no -0. */
static void prepare_reductions(Graph *graph) {
  for (int i = 0, n = graph->n_nodes; i < n; i++) {
    Node *node = graph->nodes[i];
    if (op_info[node->op].kind != REDUCE || node->attrs.n_axes > 0) continue;
    Builder b = {graph, node->span, node->name};
    bool position = node->op == OP_argmax || node->op == OP_argmin;
    Node *zero = node->op == OP_sum || position ? b_const(&b, node->type.dtype, 0) : NULL;
    node->op = node->op == OP_sum ? OP_add : position ? OP_broadcast : OP_copy;
    node->attrs = (Attrs){0};
    if (node->op == OP_add) {
      Node **in = arena_alloc(graph->program->arena, 2 * sizeof *in);
      in[0] = node->in[0], in[1] = zero;
      node->in = in, node->n_in = 2;
    } else if (position) {
      node->in[0] = zero;
      node->attrs.shape = node->type;
    }
  }
}

/* A sum without terms is zeros: no group then walks over nothing to make something. */
static void prepare_empty_sums(Graph *graph) {
  for (int i = 0, n = graph->n_nodes; i < n; i++) {
    Node *node = graph->nodes[i];
    bool sums = node->op == OP_sum || node->op == OP_scatter_add;
    if (!sums || type_count(&node->in[0]->type) > 0 || type_count(&node->type) == 0) continue;
    Builder b = {graph, node->span, node->name};
    Node *zero = b_const(&b, node->type.dtype, 0);
    node->op = OP_broadcast;
    node->attrs = (Attrs){.shape = node->type};
    node->n_in = 1;
    node->in[0] = zero;
  }
}

void fuse_prepare(PassContext *context, Graph *graph) {
  (void)context;
  prepare_empty_sums(graph);
  prepare_reductions(graph);
  graph_uncons(graph);
  prepare_outputs(graph);
  prepare_operands(graph);
  graph_uncons(graph);
  graph_sort(graph);
  graph_sweep(graph);
}
