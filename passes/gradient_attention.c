/* gradient_attention.c - the derivative of attention.
 *
 * With p = softmax(scale q k'), o = p v and g the adjoint of o:
 *
 *   dv = p' g      ds = p (g v' - along)      dq = scale ds k      dk = scale ds' q
 *
 * where along = sum(g o) over the features.  Ops of their own compute these
 * tile by tile, p from the scores once more and lse, so that no p is stored.
 * lse is asked for where o is made, which has it at hand: schedule puts the two
 * side by side, and CUDA makes them in one call.
 * These ops have no rules: where a derivative may be derived again, in a graph
 * with grad(y, x), it is said in ordinary nodes, p and all.
 */
#include <math.h>
#include <string.h>

#include "passes/gradient.h"

/* ---- tile by tile ---------------------------------------------------------- */

static bool may_be_derived_again(const Graph *graph) {
  for (; graph; graph = graph->parent)
    for (int i = 0; i < graph->n_nodes; i++)
      if (graph->nodes[i]->op == OP_grad) return true;
  return false;
}

static Node *along(const Step *s) {
  int last = s->node->type.rank - 1;
  DType wide = s->node->type.dtype == BF16 ? F32 : s->node->type.dtype;
  Node *product = b_binary(s->b, OP_mul, b_cast(s->b, s->g, wide), b_cast(s->b, s->node, wide));
  return b_reduce(s->b, OP_sum, product, 1, &last, false);
}

/* The adjoints of k and v are one node: a half of it. */
static Node *half(const Step *s, Node *both, int at) {
  Type part = both->type;
  int64_t start[MAX_RANK] = {at}, step[MAX_RANK];
  for (int i = 0; i < MAX_RANK; i++) step[i] = 1;
  part.dim[0] = dim_literal(1);
  return b_reshape(s->b, b_slice(s->b, both, &part, start, step), &s->node->in[1]->type);
}

/* What all adjoints share is named after the attention, not after one operand. */
static Builder builder_of(const Step *s) {
  size_t label = strlen(s->b->prefix) - strlen(s->node->in[s->k]->name);
  Arena *arena = s->b->graph->program->arena;
  return (Builder){s->b->graph, s->b->span, arena_print(arena, "%.*s%s", (int)label, s->b->prefix, s->node->name)};
}

/* As good as none where no gradient reads it: the sweep of the graph takes it away. */
void ask_for_lse(Graph *graph) {
  if (may_be_derived_again(graph)) return;
  for (int i = 0, n = graph->n_nodes; i < n; i++) {
    const Node *node = graph->nodes[i];
    if (op_info[node->op].kind == LOOP) ask_for_lse(node->body);
    if (node->op != OP_attention) continue;
    Builder b = {graph, node->span, node->name};
    b_attention(&b, OP_attention_lse, 2, node->in, node->attrs.scale, node->attrs.causal);
  }
}

static Node *tiled(const Step *of) {
  Builder b = builder_of(of);
  Step own = *of, *s = &own;
  s->b = &b;
  const Attrs *a = &s->node->attrs;
  Node *const *qkv = s->node->in;
  Node *lse = b_attention(s->b, OP_attention_lse, 2, qkv, a->scale, a->causal);
  Node *in[] = {qkv[0], qkv[1], qkv[2], lse, s->g, along(s)};
  Node *made = b_attention(s->b, s->k ? OP_attention_dkv : OP_attention_dq, 6, in, a->scale, a->causal);
  return s->k ? half(s, made, s->k - 1) : made;
}

/* ---- in ordinary nodes ------------------------------------------------------ */

/* Which columns a row sees, [t, s]; NULL: all. */
static Node *seen(const Step *s, const Type *scores) {
  if (!s->node->attrs.causal) return NULL;
  Type rows = {.dtype = I32, .rank = 2, .dim = {scores->dim[scores->rank - 2], dim_literal(1)}}, columns = rows;
  columns.dim[0] = dim_literal(1), columns.dim[1] = scores->dim[scores->rank - 1];
  return b_binary(s->b, OP_ge, b_iota(s->b, &rows, 0), b_iota(s->b, &columns, 1));
}

static Node *where_seen(const Step *s, Node *visible, Node *x, double otherwise) {
  return visible ? b_where(s->b, visible, x, b_const(s->b, x->type.dtype, otherwise)) : x;
}

static Node *weights(const Step *s, Node *q, Node *k, Node **visible) {
  Node *scores = b_scalar(s->b, OP_mul, b_matmul(s->b, q, k, false, true), s->node->attrs.scale);
  int last = scores->type.rank - 1;
  *visible = seen(s, &scores->type);
  scores = where_seen(s, *visible, scores, -INFINITY);
  Node *top = b_unary(s->b, OP_stop, b_reduce(s->b, OP_max, scores, 1, &last, true));
  Node *e = b_unary(s->b, OP_exp, b_binary(s->b, OP_sub, scores, top));
  return b_binary(s->b, OP_div, e, b_reduce(s->b, OP_sum, e, 1, &last, true));
}

static Node *plain(const Step *s) {
  DType dtype = s->node->type.dtype == BF16 ? F32 : s->node->type.dtype;
  Node *in[3], *g = b_cast(s->b, s->g, dtype), *visible;
  for (int i = 0; i < 3; i++) in[i] = b_cast(s->b, s->node->in[i], dtype);
  Node *p = weights(s, in[0], in[1], &visible);
  if (s->k == 2) return b_matmul(s->b, p, g, true, false);
  Node *dp = where_seen(s, visible, b_matmul(s->b, g, in[2], false, true), 0);
  int last = dp->type.rank - 1;
  Node *mean = b_reduce(s->b, OP_sum, b_binary(s->b, OP_mul, p, dp), 1, &last, true);
  Node *ds = b_scalar(s->b, OP_mul, b_binary(s->b, OP_mul, p, b_binary(s->b, OP_sub, dp, mean)), s->node->attrs.scale);
  return b_matmul(s->b, ds, in[1 - s->k], s->k == 1, false);
}

Node *grad_attention(const Step *s) { /* attention_dq to q, attention_dkv to k and v */
  return (may_be_derived_again(s->b->graph) ? plain : tiled)(s);
}
