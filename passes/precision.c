/* precision.c - bf16 where the train block asks for it.
 *
 * As under PyTorch's autocast, matrix products and attention take bf16 operands and
 * give a bf16 result (their sums are f32); everything else stays f32: maps, norms,
 * softmax, losses, and the parameters themselves, of which each step makes one
 * bf16 copy.  So a product's result crosses memory in 16 bits, is widened by
 * whichever kernel reads it, and what goes into the next product is rounded
 * once, at the end of the maps between them.
 *
 * A rounding changes places with what moves elements or leaves them as they
 * are, views and relu: then what they write is stored as bf16 too, for the
 * product and for the backward pass.
 *
 * Tensor cores want rows of 16 bytes: a product with a matrix of, say, 50,257
 * columns gets it with zeros up to 50,264, and what is more is cut off.
 *
 * The pass comes before `gradient`, so that an adjoint has the dtype of its
 * value: products of the backward pass are of bf16 as well, but for the
 * gradients of parameters, which stay f32.  The graphs of eval and predict get
 * the same.  needs: nothing.
 *
 * `narrow` comes after simplify and looks at the gradients of biases: sums over
 * rows of an adjoint that the products beside them read as bf16.  They read
 * that too, as under autocast, so that the f32 one need not be stored.
 * needs: gradient.
 */
#include "passes/internal.h"

enum {
  ALIGNED = 8,      /* numbers of bf16 in 16 bytes */
  MANY_COLUMNS = 64 /* fewer are not worth a copy */
};
enum { ASKED_FOR = 1 /* the x of some grad(y, x): y must go on depending on it */, SHARED = 2 /* read twice */ };

static Node *make(Graph *graph, const Node *like, Op op, Node *in, Attrs attrs, const char *suffix) {
  const char *name = arena_print(graph->program->arena, "%s_%s", like->name, suffix);
  return node_new(graph, op, &in, 1, &attrs, name, like->span);
}

static Node *cast_to(Graph *graph, Node *x, DType dtype) {
  return make(graph, x, OP_cast, x, (Attrs){.shape = type_scalar(dtype)}, dtype_name(dtype));
}

/* x rounded to bf16, as early as that changes nothing. */
static Node *narrow(Graph *graph, Node *x) {
  if (x->type.dtype == BF16) return x;
  if (!(x->mark & ASKED_FOR)) {
    Attrs attrs = x->attrs;
    if (op_info[x->op].kind == VIEW) attrs.shape.dtype = BF16;
    if (x->op == OP_cast && x->in[0]->type.dtype == BF16) return x->in[0];
    if (op_info[x->op].kind == VIEW) return make(graph, x, x->op, narrow(graph, x->in[0]), attrs, "bf16");
    if (x->op == OP_relu && !(x->mark & SHARED)) return make(graph, x, OP_relu, narrow(graph, x->in[0]), attrs, "bf16");
  }
  return cast_to(graph, x, BF16);
}

static bool is_f32_product(const Node *n) {
  return n->op == OP_matmul && n->in[0]->type.dtype == F32 && n->in[1]->type.dtype == F32;
}

/* The axis of the result's columns in a matrix that is the product's second operand. */
static int columns_axis(const Node *product) { return product->attrs.tb ? 0 : 1; }

static bool is_ragged(const Node *product) {
  const Type *matrix = &product->in[1]->type;
  if (matrix->rank != 2) return false;
  const Dim *columns = &matrix->dim[columns_axis(product)];
  return !columns->rows && columns->size % ALIGNED && columns->size >= MANY_COLUMNS;
}

/* A slice or pad of x along one axis, to a dim. */
static Node *resize(Graph *graph, Node *x, Op op, int axis, Dim to, const char *suffix) {
  Attrs attrs = {.shape = x->type};
  for (int a = 0; a < x->type.rank; a++) attrs.step[a] = 1;
  attrs.shape.dim[axis] = to;
  return make(graph, x, op, x, attrs, suffix);
}

/* Below a transpose, which then becomes a flag of the product, and a rounding, whose kernel pads too. */
static Node *pad_to(Graph *graph, Node *x, int axis, Dim to) {
  bool turns = x->op == OP_transpose;
  if (!turns && x->op != OP_cast) return resize(graph, x, OP_pad, axis, to, "padded");
  return make(graph, x, x->op, pad_to(graph, x->in[0], turns ? x->attrs.axes[axis] : axis, to), x->attrs, "padded");
}

static Node *product(PassContext *context, Graph *graph, const Node *old, Node **in) {
  bool ragged = is_ragged(old) && rewrite_allowed(context, "precision.align", old);
  int axis = columns_axis(old);
  Dim columns = old->in[1]->type.dim[axis];
  if (ragged) in[1] = pad_to(graph, in[1], axis, dim_literal((columns.size + ALIGNED - 1) / ALIGNED * ALIGNED));
  Node *node = node_new(graph, OP_matmul, in, 2, &old->attrs, old->name, old->span);
  return ragged ? resize(graph, node, OP_slice, node->type.rank - 1, columns, "cut") : node;
}

/* Its softmax is f32 as its sums are: both stay inside. */
static Node *attention(Graph *graph, const Node *old, Node **in) {
  for (int k = 0; k < old->n_in; k++) in[k] = narrow(graph, in[k]);
  return cast_to(graph, node_new(graph, old->op, in, old->n_in, &old->attrs, old->name, old->span), F32);
}

static Node *remake(PassContext *context, Graph *graph, const Node *old, Node **in) {
  bool rounds = is_f32_product(old) && rewrite_allowed(context, "precision.matmul", old);
  for (int k = 0; rounds && k < 2; k++) in[k] = narrow(graph, in[k]);
  if (rounds) return cast_to(graph, product(context, graph, old, in), F32);
  if (old->op == OP_attention && old->type.dtype == F32 && rewrite_allowed(context, "precision.attention", old))
    return attention(graph, old, in);
  Node *node = node_new(graph, old->op, in, old->n_in, &old->attrs, old->name, old->span);
  if (old->body) node->body = old->body; /* a loop's, which is rounded by itself */
  return node;
}

static void mark_asked(const Graph *graph, Arena *arena) {
  int *uses = graph_uses(graph, arena);
  for (int i = 0; i < graph->n_nodes; i++) graph->nodes[i]->mark = uses[i] > 1 ? SHARED : 0;
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == OP_grad) graph->nodes[i]->in[1]->mark |= ASKED_FOR;
}

static void round_graph(PassContext *context, Graph *graph) {
  Arena *scratch = arena_new();
  graph_number(graph);
  mark_asked(graph, scratch);
  Node **to = arena_alloc(scratch, sizeof *to * ((size_t)graph->n_nodes + 1));
  Graph *fresh = graph_new(graph->program, graph->name, graph->parent);
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *old = graph->nodes[i];
    Node **in = arena_alloc(scratch, sizeof *in * ((size_t)old->n_in + 1));
    for (int k = 0; k < old->n_in; k++) in[k] = to[old->in[k]->id];
    to[i] = remake(context, fresh, old, in);
    to[i]->mark |= old->mark;
    for (int k = 0; k < old->n_aliases; k++)
      LIST_PUSH(graph->program->arena, to[i]->aliases, to[i]->n_aliases, old->aliases[k]);
  }
  for (int i = 0; i < graph->n_outputs; i++) graph->outputs[i].node = to[graph->outputs[i].node->id];
  fresh->outputs = graph->outputs;
  fresh->n_outputs = graph->n_outputs;
  fresh->rows = graph->rows;
  graph_take(graph, fresh);
  graph_sweep(graph);
  graph_number(graph);
  arena_free(scratch);
}

void pass_precision(PassContext *context) {
  Program *program = context->program;
  if (!program->has_train || program->train.precision != PRECISION_BF16) return;
  Graph **graphs = program_graphs(program);
  for (int i = 0; graphs[i]; i++)
    if (graphs[i] != program->schedule) round_graph(context, graphs[i]);
}

/* ---- narrow -------------------------------------------------------------------- */

static Node *rounded_twin(const Graph *graph, const Node *x) {
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *n = graph->nodes[i];
    if (n->op == OP_cast && n->in[0] == x && n->type.dtype == BF16) return n;
  }
  return NULL;
}

/* Over rows of what a map makes: another kernel than the map's, which must store what it reads. */
static bool sums_rows(const Node *sum) {
  const Node *x = sum->in[0];
  bool last = sum->attrs.n_axes && sum->attrs.axes[sum->attrs.n_axes - 1] == x->type.rank - 1;
  return sum->attrs.n_axes && !last && x->type.dtype == F32 && op_info[x->op].kind == MAP && x->op != OP_cast;
}

/* By output of a loop's body: its result is a gradient, with no more than a reshape between them. */
static bool *gradients_of(const Graph *graph, const Node *loop, const bool *is_gradient, Arena *scratch) {
  bool *found = arena_alloc(scratch, (size_t)loop->body->n_outputs + 1);
  for (int i = 0; i < graph->n_outputs; i++) {
    const Node *node = graph->outputs[i].node;
    while (op_info[node->op].kind == VIEW && node->op != OP_result) node = node->in[0];
    if (is_gradient[i] && node->op == OP_result && node->in[0] == loop) found[node->attrs.index] = true;
  }
  return found;
}

static void narrow_sums(PassContext *context, Graph *graph, const bool *is_gradient, Arena *scratch) {
  bool changed = false;
  for (int i = 0; i < graph->n_nodes; i++)
    if (op_info[graph->nodes[i]->op].kind == LOOP)
      narrow_sums(context, graph->nodes[i]->body, gradients_of(graph, graph->nodes[i], is_gradient, scratch), scratch);
  for (int i = 0; i < graph->n_outputs; i++) {
    Node *sum = graph->outputs[i].node, *twin;
    if (!is_gradient[i] || sum->op != OP_sum || !sums_rows(sum)) continue;
    if (!(twin = rounded_twin(graph, sum->in[0])) || !rewrite_allowed(context, "narrow.sum", sum)) continue;
    sum->in[0] = cast_to(graph, twin, F32);
    changed = true;
  }
  if (!changed) return;
  graph_uncons(graph);
  graph_sort(graph);
  graph_sweep(graph);
  graph_number(graph);
}

void pass_narrow(PassContext *context) {
  Program *program = context->program;
  if (!program->has_train || program->train.precision != PRECISION_BF16) return;
  Graph *graph = program->train.graph;
  Arena *scratch = arena_new();
  bool *is_gradient = arena_alloc(scratch, (size_t)graph->n_outputs + 1);
  for (int i = 0; i < graph->n_outputs; i++) is_gradient[i] = graph->outputs[i].role == OUT_GRAD;
  narrow_sums(context, graph, is_gradient, scratch);
  arena_free(scratch);
}
