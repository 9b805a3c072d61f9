/* gradient_rules.c - the derivative of each op, as ordinary nodes.
 *
 * Column `gradient` of ops.def.  The values at edges are PyTorch's: abs has
 * slope 0 at 0, relu too, clamp passes at its bounds, maximum shares ties
 * evenly, x^0 is flat and the slope of sqrt at 0 is infinite.  Where a
 * derivative can be said in terms of the result it is, so that the operand
 * need not be kept.
 */
#include <math.h>

#include "passes/gradient.h"

/* ---- short words for the rules ------------------------------------------ */

static Node *add(const Step *s, Node *a, Node *b) { return b_binary(s->b, OP_add, a, b); }
static Node *sub(const Step *s, Node *a, Node *b) { return b_binary(s->b, OP_sub, a, b); }
static Node *mul(const Step *s, Node *a, Node *b) { return b_binary(s->b, OP_mul, a, b); }
static Node *quotient(const Step *s, Node *a, Node *b) { return b_binary(s->b, OP_div, a, b); }
static Node *neg(const Step *s, Node *a) { return b_unary(s->b, OP_neg, a); }

/* A number of like's dtype.  All numbers of a graph share one name, since all
 * equal ones are one node. */
static Node *number(const Step *s, const Node *like, double value) {
  Builder b = {s->b->graph, s->b->span, "grad"};
  return b_const(&b, like->type.dtype, value);
}
static Node *compare(const Step *s, Op op, Node *a, double value) { return b_binary(s->b, op, a, number(s, a, value)); }

/* g where the condition holds, 0 elsewhere; and the other way round. */
static Node *pass_where(const Step *s, Node *condition, Node *g) {
  return b_where(s->b, condition, g, number(s, g, 0));
}
static Node *zero_where(const Step *s, Node *condition, Node *g) {
  return b_where(s->b, condition, number(s, g, 0), g);
}

/* ---- maps of one operand ------------------------------------------------- */

static Node *grad_copy(const Step *s) { return s->g; } /* dx = g */
/* A product of bf16 with its f32 sums, before they are rounded; sums of such, from what reads a weight twice. */
static Node *unrounded(const Step *s, Node *g) {
  if (g->type.dtype != BF16) return g;
  if (g->op == OP_add) return add(s, unrounded(s, g->in[0]), unrounded(s, g->in[1]));
  if (g->op == OP_matmul) return b_matmul_wide(s->b, g->in[0], g->in[1], g->attrs.ta, g->attrs.tb);
  if (op_info[g->op].kind != VIEW && g->op != OP_sum) return b_cast(s->b, g, F32);
  Attrs attrs = g->attrs;
  attrs.shape.dtype = F32;
  Node *x = unrounded(s, g->in[0]);
  return node_new(s->b->graph, g->op, &x, 1, &attrs, g->name, g->span);
}

/* The sweep casts it back.  The gradient of a parameter's bf16 copy, padded or not, is the parameter's, and stays f32;
 * so is that of what a loop's turns are given. */
static Node *grad_cast(const Step *s) { /* dx = g, in x's dtype */
  const Node *of = s->x;
  while (of->op == OP_pad) of = of->in[0];
  bool copy = (of->op == OP_param || of->mark == GIVEN) && of->type.dtype == F32 && s->g->type.dtype == BF16;
  return copy ? unrounded(s, s->g) : s->g;
}
static Node *grad_neg(const Step *s) { return neg(s, s->g); } /* dx = -g */
static Node *grad_abs(const Step *s) { return mul(s, s->g, b_unary(s->b, OP_sign, s->x)); } /* dx = g sign(x) */
static Node *grad_exp(const Step *s) { return mul(s, s->g, s->node); } /* dx = g z */
static Node *grad_expm1(const Step *s) { return mul(s, s->g, add(s, s->node, number(s, s->node, 1))); } /* dx = g (z + 1) */
static Node *grad_log(const Step *s) { return quotient(s, s->g, s->x); } /* dx = g / x */
static Node *grad_log1p(const Step *s) { return quotient(s, s->g, add(s, s->x, number(s, s->x, 1))); } /* dx = g / (x + 1) */
static Node *grad_sqrt(const Step *s) { return quotient(s, s->g, mul(s, s->node, number(s, s->node, 2))); } /* dx = g / (2 z) */
static Node *grad_sin(const Step *s) { return mul(s, s->g, b_unary(s->b, OP_cos, s->x)); } /* dx = g cos(x) */
static Node *grad_cos(const Step *s) { return neg(s, mul(s, s->g, b_unary(s->b, OP_sin, s->x))); } /* dx = -g sin(x) */

static Node *grad_rsqrt(const Step *s) { /* dx = -g z^3 / 2 */
  Node *cube = mul(s, mul(s, s->node, s->node), s->node);
  return mul(s, mul(s, s->g, number(s, s->g, -0.5)), cube);
}

static Node *grad_tanh(const Step *s) { return mul(s, s->g, sub(s, number(s, s->node, 1), mul(s, s->node, s->node))); } /* dx = g (1 - z^2) */

static Node *grad_sigmoid(const Step *s) { /* dx = g (1 - z) z */
  return mul(s, mul(s, s->g, sub(s, number(s, s->node, 1), s->node)), s->node);
}

static Node *grad_erf(const Step *s) { /* dx = g 2 / sqrt(pi) e^(-x^2) */
  Node *bell = b_unary(s->b, OP_exp, neg(s, mul(s, s->x, s->x)));
  return mul(s, mul(s, s->g, number(s, s->g, 1.1283791670955126)), bell);
}

/* The result is 0 or less exactly where the operand is; NaN is neither and passes. */
static Node *grad_relu(const Step *s) { return zero_where(s, compare(s, OP_le, s->node, 0), s->g); } /* dx = g, 0 where z <= 0 */

static Node *grad_clamp(const Step *s) { /* dx = g within the bounds and at them, else 0 */
  Node *above = compare(s, OP_ge, s->x, s->node->attrs.value), *below = compare(s, OP_le, s->x, s->node->attrs.high);
  return pass_where(s, b_binary(s->b, OP_and, above, below), s->g);
}

/* ---- maps of two --------------------------------------------------------- */

static Node *grad_add(const Step *s) { return s->g; } /* dx = dy = g */
static Node *grad_sub(const Step *s) { return s->k ? neg(s, s->g) : s->g; } /* dx = g, dy = -g */
static Node *grad_mul(const Step *s) { return mul(s, s->g, s->k ? s->x : s->y); } /* dx = g y, dy = g x */

static Node *grad_div(const Step *s) { /* dx = g / y, dy = -g / y z */
  Node *left = quotient(s, s->g, s->y);
  return s->k ? neg(s, mul(s, left, s->node)) : left;
}

static Node *grad_mod(const Step *s) { /* dx = g, dy = -g (x // y) */
  if (s->k == 0) return s->g;
  return neg(s, mul(s, s->g, b_binary(s->b, OP_floordiv, s->x, s->y)));
}

static Node *grad_pow(const Step *s) { /* dx = g y x^(y - 1), 0 where y = 0; dy = g z log(x), 0 where x = 0 and y >= 0 */
  if (s->k == 0) { /* y x^(y-1), but flat for y = 0 even at x = 0 */
    Node *y = dtype_is_float(s->y->type.dtype) ? s->y : b_cast(s->b, s->y, s->x->type.dtype); /* a bool less 1 */
    Node *less = sub(s, y, number(s, y, 1));
    Node *slope = mul(s, s->g, mul(s, y, b_binary(s->b, OP_pow, s->x, less)));
    return zero_where(s, compare(s, OP_eq, s->y, 0), slope);
  }
  Node *flat = b_binary(s->b, OP_and, compare(s, OP_eq, s->x, 0), compare(s, OP_ge, s->y, 0));
  return mul(s, s->g, zero_where(s, flat, mul(s, s->node, b_unary(s->b, OP_log, s->x))));
}

/* All to the one chosen, half each on a tie; NaN on either side compares false and passes to both. */
static Node *share(const Step *s, Op loses) {
  Node *self = s->k ? s->y : s->x, *other = s->k ? s->x : s->y;
  Node *half = mul(s, s->g, number(s, s->g, 0.5));
  Node *tied = b_where(s->b, b_binary(s->b, OP_eq, s->x, s->y), half, s->g);
  return zero_where(s, b_binary(s->b, loses, self, other), tied);
}
static Node *grad_maximum(const Step *s) { return share(s, OP_lt); } /* dx, dy = g for the larger, g / 2 on a tie, g for both at NaN */
static Node *grad_minimum(const Step *s) { return share(s, OP_gt); } /* dx, dy = g for the smaller, g / 2 on a tie, g for both at NaN */

static Node *grad_where(const Step *s) { return s->k == 1 ? pass_where(s, s->x, s->g) : zero_where(s, s->x, s->g); } /* dx = g where c holds, dy = g elsewhere, else 0 */

/* ---- views and reductions ------------------------------------------------ */

static Node *grad_reshape(const Step *s) { return b_reshape(s->b, s->g, &s->x->type); } /* dx = g in x's shape */
static Node *grad_broadcast(const Step *s) { return s->g; } /* dx = g, summed over what was repeated */

static Node *grad_transpose(const Step *s) { /* dx = g, transposed back */
  int back[MAX_RANK];
  for (int i = 0; i < s->node->attrs.n_axes; i++) back[s->node->attrs.axes[i]] = i;
  return b_transpose(s->b, s->g, back);
}

static Node *grad_slice(const Step *s) { /* dx = g padded with zeros */
  return b_pad(s->b, s->g, &s->x->type, s->node->attrs.start, s->node->attrs.step);
}
static Node *grad_pad(const Step *s) { /* dx = the slice of g */
  return b_slice(s->b, s->g, &s->x->type, s->node->attrs.start, s->node->attrs.step);
}

static Node *grad_skew(const Step *s) { /* dx = g, skewed back */
  Op back = s->node->op == OP_skew ? OP_unskew : OP_skew;
  return b_skew(s->b, back, s->g, s->x->type.dim[s->node->attrs.axis], &s->node->attrs);
}

/* A reduced value with 1 where an axis was, so that it broadcasts to the operand. */
static Node *kept(const Step *s, Node *reduced) {
  Type shape = s->x->type;
  for (int i = 0; i < s->node->attrs.n_axes; i++) shape.dim[s->node->attrs.axes[i]] = dim_literal(1);
  return b_reshape(s->b, reduced, &shape);
}

static Node *grad_sum(const Step *s) { return b_broadcast(s->b, kept(s, s->g), &s->x->type); } /* dx = g, repeated along the axes */

/* Of an operand where(shown, x, worst): the first place that is shown.  When all x are the worst too, the gradient is
 * theirs and not that of what is hidden, the padding of a pool. */
static Node *first_shown(const Step *s, double worst, int axis) {
  const Node *x = s->x;
  bool hides = x->op == OP_where && x->in[2]->op == OP_const && x->in[2]->attrs.value == worst;
  if (!hides) return NULL;
  Node *shown = b_broadcast(s->b, b_cast(s->b, x->in[0], F32), &x->type);
  return b_reduce(s->b, OP_argmax, shown, 1, &axis, true);
}

/* All to the first of equals; where there are NaNs, to the last: as a loop that keeps the best so far and takes what
 * is better or NaN. */
static Node *grad_first(const Step *s) {
  const Attrs *a = &s->node->attrs;
  int axis = a->axes[0];
  double worst = s->node->op == OP_max ? -INFINITY : INFINITY;
  Type places = {.rank = s->x->type.rank};
  for (int i = 0; i < places.rank; i++) places.dim[i] = i == axis ? s->x->type.dim[i] : dim_literal(1);
  Node *place = b_iota(s->b, &places, axis), *none = b_const(s->b, I32, 0);
  Node *best = b_reduce(s->b, s->node->op == OP_max ? OP_argmax : OP_argmin, s->x, 1, &axis, true);
  Node *is_nan = b_binary(s->b, OP_ne, s->x, s->x);
  Node *last = b_reduce(s->b, OP_max, b_where(s->b, is_nan, place, none), 1, &axis, true);
  Node *value = kept(s, s->node), *shown = first_shown(s, worst, axis);
  if (shown) best = b_where(s->b, compare(s, OP_eq, value, worst), shown, best);
  Node *chosen = b_where(s->b, b_binary(s->b, OP_ne, value, value), last, best);
  return pass_where(s, b_binary(s->b, OP_eq, place, chosen), kept(s, s->g));
}

/* Shared evenly among the equals of the result; a NaN result is equal to every NaN. */
static Node *grad_max(const Step *s) { /* dx = g, shared by equals or (first) all to the first */
  const Attrs *a = &s->node->attrs;
  if (a->first) return grad_first(s);
  Node *is_nan = b_binary(s->b, OP_ne, s->x, s->x);
  Node *chosen = b_binary(s->b, OP_or, b_binary(s->b, OP_eq, s->x, kept(s, s->node)), is_nan);
  Node *count = b_reduce(s->b, OP_sum, b_cast(s->b, chosen, s->g->type.dtype), a->n_axes, a->axes, true);
  return pass_where(s, chosen, quotient(s, kept(s, s->g), count));
}

/* ---- contractions and memory by index ------------------------------------ */

static Node *swap_last(const Step *s, Node *x) {
  int axes[MAX_RANK], rank = x->type.rank;
  for (int i = 0; i < rank; i++) axes[i] = i;
  axes[rank - 1] = rank - 2;
  axes[rank - 2] = rank - 1;
  return b_transpose(s->b, x, axes);
}

/* With A and B the operands as multiplied: dA = g B', dB = A' g.  Of a wide product g is f32; the
 * tensor cores get it as bf16, like all else. */
static Node *grad_left(const Step *s, bool ta, bool tb) {
  if (!ta) return b_matmul(s->b, s->g, s->y, false, !tb);
  if (s->y->type.rank == s->g->type.rank) return b_matmul(s->b, s->y, s->g, tb, true);
  return swap_last(s, b_matmul(s->b, s->g, s->y, false, !tb));
}

static Node *grad_right(const Step *s, bool ta, bool tb) {
  Node *x = s->x, *g = s->g;
  Type rows, columns;
  if (s->y->type.rank == 2 && x->type.rank > 2) { /* one matrix for the whole batch: contract the batch too */
    if (ta) x = swap_last(s, x);
    ta = false;
    Arena *arena = s->b->graph->program->arena;
    if (type_merge_leading(arena, &x->type, 1, &rows) && type_merge_leading(arena, &g->type, 1, &columns)) {
      x = b_reshape(s->b, x, &rows);
      g = b_reshape(s->b, g, &columns);
    }
  }
  return tb ? b_matmul(s->b, g, x, true, ta) : b_matmul(s->b, x, g, !ta, false);
}

static Node *grad_matmul(const Step *s) { /* dx = g @ t(y), dy = t(x) @ g */
  bool ta = s->node->attrs.ta, tb = s->node->attrs.tb;
  Step narrow = *s;
  narrow.g = b_cast(s->b, s->g, s->x->type.dtype);
  return s->k ? grad_right(&narrow, ta, tb) : grad_left(&narrow, ta, tb);
}

static Node *grad_gather(const Step *s) { /* d(table) = g added up by index */
  Attrs attrs = {.shape = s->x->type};
  Node *g = s->g->type.dtype == BF16 ? b_cast(s->b, s->g, F32) : s->g;
  attrs.shape.dtype = g->type.dtype;
  const char *name = arena_print(s->b->graph->program->arena, "%s.scatter_add", s->b->prefix);
  return node_new(s->b->graph, OP_scatter_add, (Node *[]){g, s->y}, 2, &attrs, name, s->b->span);
}
static Node *grad_scatter_add(const Step *s) { return b_binary(s->b, OP_gather, s->g, s->y); } /* d(rows) = g[ids] */

/* ---- the table ------------------------------------------------------------ */

#define none 0
const GradientRule gradient_rules[OP_COUNT] = {
#define OP(op, n, kind, attributes, shape, gradient, expression) [OP_##op] = gradient,
#include "ir/ops.def"
#undef OP
};
#undef none

bool gradient_flows(const Node *node, int k) {
  if (!gradient_rules[node->op] || !dtype_is_float(node->type.dtype)) return false;
  return dtype_is_float(node->in[k]->type.dtype); /* indices and conditions are integers and bools */
}
