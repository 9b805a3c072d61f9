/* attention.c - softmax(scale q k') v as one op.
 *
 * The two products and the softmax between them become `attention`, which the
 * targets compute tile by tile: the scores, a number for each pair of places,
 * are never in memory.  All spellings of the language come to this:
 *
 *   scores   q @ t(k), times or over a number, plus 0
 *   mask     none; or where(i >= j, scores, w) for places i and j, w -1e9 or less
 *   weights  exp(scores - max) by its sum, and 0 where the mask hides
 *   result   weights @ v, the only reader of the weights
 *
 * Heads that share k and v may stand among the places while they are multiplied,
 * [.., heads places, features], as einsum puts them: then the scores are taken
 * apart for the mask, and the weights put together again.
 *
 * What the mask hides had a weight of 0, and times an infinity or NaN in a row
 * of v that is NaN: now so in some places only, those of one tile.  Scores near
 * w would have given hidden places some weight; now they have none.
 *
 * The pass comes before `precision`, so that rounding sees one op, and before
 * `gradient`, so that the backward pass gets ops of its own.  needs: nothing.
 */
#include <string.h>

#include "passes/internal.h"

static const double HIDES = -1e9;

/* What was found on the way down from a product. */
typedef struct Found {
  Node *q, *k, *v;
  const Type *apart;  /* of the scores, [.., heads, places, places], where the products have [.., heads places, places]; or NULL */
  bool k_is_turned; /* stands as [features, places] */
  double scale;
  bool causal;
} Found;

static bool is_number(const Node *n, double *value) {
  while (n->op == OP_reshape || n->op == OP_broadcast || n->op == OP_copy) n = n->in[0];
  return n->op == OP_const ? *value = n->attrs.value, true : false;
}

/* ---- is a condition `row >= column`? ------------------------------------------- */

/* row * i + column * j + fixed, of row i and column j; which of them each axis is, is given beside it. */
typedef struct Line {
  double row, column, fixed;
} Line;
typedef enum Axis { NEITHER, ROW, COLUMN } Axis;

static bool line_of(const Node *n, const Axis *axis, Line *line);

/* Axes of an operand that broadcasts, from the last on; stretched ones stand still. */
static void operand_axes(const Type *operand, const Type *result, const Axis *axis, Axis *out) {
  int extra = result->rank - operand->rank;
  for (int a = 0; a < operand->rank; a++) out[a] = operand->dim[a].size == 1 ? NEITHER : axis[a + extra];
}

/* Only axes of 1 come and go. */
static bool reshaped_axes(const Type *operand, const Type *result, const Axis *axis, Axis *out) {
  int b = 0;
  for (int a = 0; a < operand->rank; a++) {
    out[a] = NEITHER;
    if (operand->dim[a].size == 1) continue;
    while (b < result->rank && result->dim[b].size == 1) b++;
    if (b == result->rank || result->dim[b].size != operand->dim[a].size) return false;
    out[a] = axis[b++];
  }
  return true;
}

static bool combine(const Node *n, const Axis *axis, Line *line) {
  Axis left[MAX_RANK], right[MAX_RANK];
  Line a, b;
  double sign = n->op == OP_sub ? -1 : 1;
  operand_axes(&n->in[0]->type, &n->type, axis, left);
  operand_axes(&n->in[1]->type, &n->type, axis, right);
  if (!line_of(n->in[0], left, &a) || !line_of(n->in[1], right, &b)) return false;
  *line = (Line){a.row + sign * b.row, a.column + sign * b.column, a.fixed + sign * b.fixed};
  return true;
}

static bool line_of(const Node *n, const Axis *axis, Line *line) {
  Axis inner[MAX_RANK];
  switch (n->op) {
  case OP_const: return *line = (Line){0, 0, n->attrs.value}, true;
  case OP_iota:
    *line = (Line){axis[n->attrs.axis] == ROW, axis[n->attrs.axis] == COLUMN, 0};
    return axis[n->attrs.axis] != NEITHER || n->type.dim[n->attrs.axis].size == 1;
  case OP_add:
  case OP_sub: return combine(n, axis, line);
  case OP_broadcast: operand_axes(&n->in[0]->type, &n->type, axis, inner); return line_of(n->in[0], inner, line);
  case OP_reshape: return reshaped_axes(&n->in[0]->type, &n->type, axis, inner) && line_of(n->in[0], inner, line);
  case OP_transpose:
    for (int a = 0; a < n->type.rank; a++) inner[n->attrs.axes[a]] = axis[a];
    return line_of(n->in[0], inner, line);
  default: return false;
  }
}

/* Other conditions that hold where all do: `true and c`, views of c. */
static const Node *bare_condition(const Node *c) {
  double value;
  if (c->op != OP_and) return c;
  if (is_number(c->in[0], &value) && value) return bare_condition(c->in[1]);
  if (is_number(c->in[1], &value) && value) return bare_condition(c->in[0]);
  return c;
}

/* left >= right where row >= column, for whole numbers. */
static bool is_past(const Node *c) {
  static const struct {
    Op op;
    double sign, fixed; /* sign * (left - right) = row - column + fixed */
  } ways[] = {{OP_ge, 1, 0}, {OP_gt, 1, 1}, {OP_le, -1, 0}, {OP_lt, -1, 1}};
  Axis axis[MAX_RANK] = {NEITHER};
  Line line;
  int rank = c->type.rank;
  if (rank < 2 || c->n_in != 2 || c->in[0]->type.dtype != I32 || c->in[1]->type.dtype != I32) return false;
  axis[rank - 2] = ROW, axis[rank - 1] = COLUMN;
  Node difference = {.op = OP_sub, .type = c->type, .n_in = 2, .in = c->in};
  for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
    if (c->op == ways[i].op && combine(&difference, axis, &line))
      return ways[i].sign * line.row == 1 && ways[i].sign * line.column == -1 && ways[i].sign * line.fixed == ways[i].fixed;
  return false;
}

static bool holds_everywhere(const Node *c) {
  double value;
  return is_number(c, &value) && value;
}

/* ---- from the result down ---------------------------------------------------------- */

static bool swaps_last(const Node *n) {
  int rank = n->type.rank;
  if (n->op != OP_transpose) return false;
  for (int a = 0; a < rank - 2; a++)
    if (n->attrs.axes[a] != a) return false;
  return n->attrs.axes[rank - 1] == rank - 2;
}

/* [.., m, n, s] and [.., m n, s]. */
static bool is_joined(const Type *apart, const Type *joined) {
  int rank = joined->rank;
  if (apart->rank != rank + 1 || rank < 3 || !dim_same(apart->dim[rank], joined->dim[rank - 1], false)) return false;
  for (int a = 0; a < rank - 2; a++)
    if (!dim_same(apart->dim[a], joined->dim[a], false)) return false;
  return true;
}

static bool match_scores(Node *x, Found *f) {
  double value;
  bool taken_apart = false;
  f->scale = 1;
  for (Node *rest; x->op != OP_matmul; x = rest) {
    if (x->op == OP_reshape && f->apart && !taken_apart) {
      rest = x->in[0], taken_apart = true;
      if (!type_same_shape(&x->type, f->apart) || !is_joined(&x->type, &rest->type)) return false;
      continue;
    }
    if (x->n_in != 2) return false;
    bool behind = is_number(x->in[1], &value);
    rest = x->in[behind ? 0 : 1];
    bool before = !behind && (x->op == OP_mul || x->op == OP_add) && is_number(x->in[0], &value);
    if ((!behind && !before) || !type_same_shape(&x->type, &rest->type)) return false;
    if (x->op == OP_mul) f->scale *= value;
    else if (x->op == OP_div) f->scale /= value;
    else if (x->op != OP_add || value != 0) return false;
  }
  if (x->attrs.ta || x->in[0]->type.rank != x->in[1]->type.rank || taken_apart != (f->apart != NULL)) return false;
  bool turned = !x->attrs.tb, from_transpose = turned && swaps_last(x->in[1]);
  f->q = x->in[0];
  f->k = from_transpose ? x->in[1]->in[0] : x->in[1];
  f->k_is_turned = turned && !from_transpose;
  return true;
}

/* where(condition, scores, w) or the scores; *condition: NULL where none is hidden. */
static bool match_masked(Node *x, Found *f, const Node **condition) {
  double value;
  *condition = NULL;
  if (x->op == OP_where) {
    if (!is_number(x->in[2], &value) || value > HIDES || !type_same_shape(&x->type, &x->in[1]->type)) return false;
    *condition = bare_condition(x->in[0]);
    if (holds_everywhere(*condition)) *condition = NULL;
    else if (!is_past(*condition)) return false;
    x = x->in[1];
  }
  f->causal = *condition != NULL;
  return match_scores(x, f);
}

static bool is_last_axis(const Node *reduce, Op op) {
  return reduce->op == op && reduce->attrs.keep && reduce->attrs.n_axes == 1 &&
         reduce->attrs.axes[0] == reduce->type.rank - 1;
}

/* e times 1 / sum(e), or e / sum(e). */
static Node *match_quotient(Node *x) {
  double one;
  if (x->op != OP_mul && x->op != OP_div) return NULL;
  Node *e = x->in[0], *sum = x->in[1];
  if (x->op == OP_mul && (sum->op != OP_div || !is_number(sum->in[0], &one) || one != 1)) return NULL;
  if (x->op == OP_mul) sum = sum->in[1];
  return e->op == OP_exp && is_last_axis(sum, OP_sum) && sum->in[0] == e ? e : NULL;
}

static Node *match_softmax(Node *x) {
  Node *e = match_quotient(x);
  if (!e || e->in[0]->op != OP_sub) return NULL;
  Node *scores = e->in[0]->in[0], *top = e->in[0]->in[1];
  if (top->op == OP_stop) top = top->in[0];
  return is_last_axis(top, OP_max) && top->in[0] == scores && !top->attrs.first ? scores : NULL;
}

static bool match(const Node *product, const int *uses, Found *f) {
  Node *p = product->in[0];
  const Node *hidden = NULL, *condition;
  double value;
  f->v = product->in[1], f->apart = NULL;
  if (product->attrs.ta || product->attrs.tb || uses[p->id] != 1 || p->type.rank != f->v->type.rank) return false;
  if (p->op == OP_reshape) {
    f->apart = &p->in[0]->type;
    if (!is_joined(f->apart, &p->type) || uses[p->in[0]->id] != 1) return false;
    p = p->in[0];
  }
  if (p->op == OP_where) {
    if (!is_number(p->in[2], &value) || value != 0) return false;
    hidden = bare_condition(p->in[0]);
    p = p->in[1];
  }
  Node *scores = match_softmax(p);
  if (!scores || !match_masked(scores, f, &condition)) return false;
  return !hidden || hidden == condition || holds_everywhere(hidden);
}

/* ---- the rewrite ------------------------------------------------------------------------ */

static Type swapped(const Type *k) {
  Type t = *k;
  t.dim[k->rank - 2] = k->dim[k->rank - 1], t.dim[k->rank - 1] = k->dim[k->rank - 2];
  return t;
}

/* An axis of heads in front of places and features. */
static Type with_heads(const Type *x, Dim heads) {
  Type t = *x;
  t.dim[t.rank] = t.dim[t.rank - 1], t.dim[t.rank - 1] = t.dim[t.rank - 2], t.dim[t.rank - 2] = heads;
  t.rank++;
  return t;
}

/* Of q, which has heads and places in one axis. */
static Type taken_apart(const Found *f) {
  int rank = f->apart->rank;
  Type t = with_heads(&f->q->type, f->apart->dim[rank - 3]);
  t.dim[rank - 2] = f->apart->dim[rank - 2];
  return t;
}

/* Under a mask heads stand apart; without one they may stay among the places. */
static bool stands_apart(const Found *f) { return f->apart && f->causal; }

/* Heads narrow enough, whose batch is the first axis. */
static bool is_fit(const Found *f) {
  Attrs attrs = {.scale = f->scale, .causal = f->causal};
  Type q = f->q->type, k = f->k_is_turned ? swapped(&f->k->type) : f->k->type, v = f->v->type, out;
  if (stands_apart(f)) {
    if (q.rank == MAX_RANK) return false;
    Dim heads = f->apart->dim[f->apart->rank - 3];
    q = taken_apart(f), k = with_heads(&k, heads), v = with_heads(&v, heads);
  }
  const Type *in[] = {&q, &k, &v};
  return infer_type(OP_attention, 3, in, &attrs, false, &out, NULL);
}

static Node *turn(Builder *b, Node *k) {
  int axes[MAX_RANK], rank = k->type.rank;
  for (int a = 0; a < rank; a++) axes[a] = a;
  axes[rank - 2] = rank - 1, axes[rank - 1] = rank - 2;
  return b_transpose(b, k, axes);
}

/* The same for each head. */
static Node *for_heads(Builder *b, Node *x, Dim heads) {
  Type one = with_heads(&x->type, dim_literal(1)), all = with_heads(&x->type, heads);
  return b_broadcast(b, b_reshape(b, x, &one), &all);
}

static Node *made(Builder *b, const Found *f) {
  Node *in[] = {f->q, f->k_is_turned ? turn(b, f->k) : f->k, f->v};
  if (!stands_apart(f)) return b_attention(b, OP_attention, 3, in, f->scale, f->causal);
  Type apart = taken_apart(f), joined = f->q->type;
  Dim heads = apart.dim[apart.rank - 3];
  in[0] = b_reshape(b, in[0], &apart);
  for (int i = 1; i < 3; i++) in[i] = for_heads(b, in[i], heads);
  joined.dim[joined.rank - 1] = f->v->type.dim[f->v->type.rank - 1];
  return b_reshape(b, b_attention(b, OP_attention, 3, in, f->scale, f->causal), &joined);
}

static Node *rewrite(PassContext *context, Graph *graph, const Node *product, const int *uses) {
  Found f;
  if (product->op != OP_matmul || product->type.dtype != F32 || !match(product, uses, &f) || !is_fit(&f)) return NULL;
  if (!rewrite_allowed(context, "attention", product)) return NULL;
  size_t length = strlen(product->name), cut = length > 3 && !strcmp(product->name + length - 3, ".mm") ? length - 3 : length;
  Builder b = {graph, product->span, arena_copy(graph->program->arena, product->name, cut)};
  return made(&b, &f);
}

enum { MOST_NODES = 9 }; /* that a rewrite leaves, its product counted */

static void find_attention(PassContext *context, Graph *graph) {
  Arena *scratch = arena_new();
  graph_number(graph);
  int n = graph->n_nodes;
  const int *uses = graph_uses(graph, scratch);
  Node **to = arena_alloc(scratch, sizeof *to * (size_t)(MOST_NODES * n + 2));
  bool found = false;
  for (int i = 0; i < n; i++) found |= (to[i] = rewrite(context, graph, graph->nodes[i], uses)) != NULL;
  if (found) {
    graph_number(graph);
    graph_replace_all(graph, to);
    graph_sort(graph);
    graph_sweep(graph);
    graph_number(graph);
  }
  arena_free(scratch);
}

void pass_attention(PassContext *context) {
  Graph **graphs = program_graphs(context->program);
  for (int i = 0; graphs[i]; i++)
    if (graphs[i] != context->program->schedule) find_attention(context, graphs[i]);
}
