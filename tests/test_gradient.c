/* test_gradient.c - every derivative against finite differences in double.
 *
 * The op table is walked: each op with a rule is put into random shapes, its
 * operands broadcast in random ways, its result weighted and summed, and the
 * gradients that the pass derives are compared with fourth-order differences
 * of the evaluator.  Then the values at edges, as data; composites; gradients
 * of gradients; and checks that a wrong gradient would have been noticed.
 */
#include <check.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/graph_kit.h"

static const struct {
  Op op;
  int n;
  Kind kind;
  const char *rule;
} table[] = {
#define OP(op, n, kind, attributes, shape, gradient, expression) {OP_##op, n, kind, #gradient},
#include "ir/ops.def"
#undef OP
};
enum { OPS = sizeof table / sizeof table[0], SHAPES = 200 };

static bool has_rule(int op) { return strcmp(table[op].rule, "none") != 0; }

/* ---- random operands --------------------------------------------------------- */

/* Where an op is smooth: operands are drawn from here. */
static const struct Domain {
  Op op;
  double low[3], high[3];
} domains[] = {
    {OP_log, {0.2}, {3}},        {OP_log1p, {-0.7}, {3}},     {OP_sqrt, {0.2}, {3}},        {OP_rsqrt, {0.2}, {3}},
    {OP_div, {-2, 0.4}, {2, 2}}, {OP_pow, {0.3, -2}, {2, 2}}, {OP_mod, {0.1, 2.1}, {2, 4}},
};

static void domain_of(Op op, int k, double *low, double *high) {
  *low = -2;
  *high = 2;
  for (size_t i = 0; i < sizeof domains / sizeof domains[0]; i++)
    if (domains[i].op == op) {
      *low = domains[i].low[k];
      *high = domains[i].high[k];
    }
}

/* Distinct values on a grid that stays clear of 0, of round numbers and of the
 * other operand's grid, so that no kink lies within the differences' reach. */
static void fill(Kit *kit, const Node *leaf, double low, double high, int k) {
  int64_t n = type_count(&leaf->type), steps = (int64_t)((high - low) / 0.01) - 2;
  double *data = kit_data(kit, leaf);
  int64_t most = steps / (n + 1) > 1 ? steps / (n + 1) - 1 : 1, at = (int64_t)kit_random(kit, (uint64_t)steps);
  for (int64_t i = 0; i < n; i++, at = (at + 1 + (int64_t)kit_random(kit, (uint64_t)most)) % steps)
    data[i] = low + 0.01 * (double)at + (k ? 0.008 : 0.005);
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = (int64_t)kit_random(kit, (uint64_t)i + 1);
    double t = data[i];
    data[i] = data[j];
    data[j] = t;
  }
}

static Type random_type(Kit *kit, int low_rank, int high_rank) {
  int64_t size[MAX_RANK];
  int rank = low_rank + (int)kit_random(kit, (uint64_t)(high_rank - low_rank + 1));
  for (int i = 0; i < rank; i++) size[i] = kit_random(kit, 24) ? 1 + (int64_t)kit_random(kit, 3) : 0;
  return kit_type(F32, rank, size);
}

/* Some shape that broadcasts to this one. */
static Type narrower(Kit *kit, Type type) {
  int drop = (int)kit_random(kit, (uint64_t)type.rank + 1);
  if (kit_random(kit, 2)) drop = 0;
  Type out = kit_type(F32, 0, NULL);
  for (int i = drop; i < type.rank; i++) out.dim[out.rank++] = kit_random(kit, 3) ? type.dim[i] : dim_literal(1);
  return out;
}

static Node *operand(Kit *kit, Op op, int k, Type type) {
  static const char *const paths[] = {"a", "b", "c"};
  double low, high;
  domain_of(op, k, &low, &high);
  Node *leaf = kit_param(kit, paths[k], type);
  fill(kit, leaf, low, high, k);
  return leaf;
}

static Node *make(Kit *kit, Op op, int n, Node *const *in, const Attrs *attrs) {
  return node_new(kit->graph, op, in, n, attrs, op_info[op].name, NULL);
}

/* ---- one case an op: the op itself on random operands --------------------------- */

static Node *map_case(Kit *kit, Op op, int n) {
  Type type = random_type(kit, 0, 4);
  Node *in[3];
  if (op == OP_where) {
    Node *choice = kit_state(kit, "choice", narrower(kit, type));
    fill(kit, choice, -1, 1, 0);
    Node *condition = b_scalar(&kit->b, OP_gt, choice, 0);
    return b_where(&kit->b, condition, operand(kit, op, 0, narrower(kit, type)),
                   operand(kit, op, 1, narrower(kit, type)));
  }
  for (int k = 0; k < n; k++) in[k] = operand(kit, op, k, n > 1 ? narrower(kit, type) : type);
  Attrs attrs = {0};
  if (op == OP_clamp) attrs = (Attrs){.value = -0.5, .high = 0.7};
  if (op == OP_cast) attrs.shape = type_scalar(kit_random(kit, 2) ? F64 : BF16);
  return make(kit, op, n, in, &attrs);
}

static Node *view_case(Kit *kit, Op op) {
  Type type = random_type(kit, 0, 4), small = type;
  Attrs attrs = {.n_axes = type.rank, .shape = type};
  for (int i = 0; i < type.rank; i++) attrs.axes[i] = i;
  switch (op) {
  case OP_reshape: /* an axis of 1 in front, the rest flat */
    attrs.shape = kit_type(F32, 2, (int64_t[]){1, type_count(&type)});
    attrs.n_axes = 0;
    break;
  case OP_transpose:
    attrs.shape = (Type){0};
    for (int i = type.rank - 1; i > 0; i--) {
      int j = (int)kit_random(kit, (uint64_t)i + 1), t = attrs.axes[i];
      attrs.axes[i] = attrs.axes[j];
      attrs.axes[j] = t;
    }
    break;
  case OP_broadcast:
    small = narrower(kit, type);
    attrs.n_axes = 0;
    break;
  case OP_slice:
  case OP_pad:
    attrs.n_axes = 0;
    for (int i = 0; i < type.rank; i++) {
      int64_t n = type.dim[i].size, step = attrs.step[i] = 1 + (int64_t)kit_random(kit, 2);
      int64_t start = attrs.start[i] = (int64_t)kit_random(kit, 3), after = (int64_t)kit_random(kit, 2);
      Type *large = op == OP_slice ? &type : &attrs.shape;
      large->dim[i] = dim_literal(start + (n ? (n - 1) * step + 1 : 0) + after);
      if (n && kit_random(kit, 2)) attrs.start[i] += (n - 1) * step, attrs.step[i] = -step;
    }
    if (op == OP_slice) attrs.shape = small;
    small = type;
    break;
  case OP_skew:
  case OP_unskew:
    while (small.rank < 2) small.dim[small.rank++] = dim_literal((int64_t)kit_random(kit, 4));
    attrs = (Attrs){.axis = (int)kit_random(kit, (uint64_t)small.rank), .stride = 1 + (int)kit_random(kit, 3)};
    attrs.window = (attrs.axis + 1 + (int)kit_random(kit, (uint64_t)small.rank - 1)) % small.rank;
    attrs.dilation = 1 + (int)kit_random(kit, 2), attrs.padding = (int)kit_random(kit, 3);
    attrs.shape = small;
    attrs.shape.dim[attrs.axis] = dim_literal((int64_t)kit_random(kit, 6));
    break;
  default: ck_abort_msg("no case for the view %s", op_info[op].name);
  }
  for (int i = attrs.n_axes; i < MAX_RANK; i++) attrs.axes[i] = 0;
  Node *x = operand(kit, op, 0, small);
  return make(kit, op, 1, &x, &attrs);
}

static Node *reduce_case(Kit *kit, Op op) {
  Node *x = operand(kit, op, 0, random_type(kit, 0, 4));
  Attrs attrs = {.keep = kit_random(kit, 2)};
  for (int i = 0; i < x->type.rank; i++)
    if (kit_random(kit, 2) && (op == OP_sum || x->type.dim[i].size > 0))
      attrs.axes[attrs.n_axes++] = i; /* nothing has no maximum */
  attrs.first = op != OP_sum && attrs.n_axes == 1 && kit_random(kit, 2);
  return make(kit, op, 1, &x, &attrs);
}

static Node *matmul_case(Kit *kit, Op op) {
  Type lead = random_type(kit, 0, 2), a = lead, b = lead;
  int64_t m = 1 + (int64_t)kit_random(kit, 3), k = (int64_t)kit_random(kit, 4), n = 1 + (int64_t)kit_random(kit, 3);
  Attrs attrs = {.ta = kit_random(kit, 2), .tb = kit_random(kit, 2)};
  if (kit_random(kit, 2)) b.rank = 0;
  a.dim[a.rank++] = dim_literal(attrs.ta ? k : m);
  a.dim[a.rank++] = dim_literal(attrs.ta ? m : k);
  b.dim[b.rank++] = dim_literal(attrs.tb ? n : k);
  b.dim[b.rank++] = dim_literal(attrs.tb ? k : n);
  return make(kit, op, 2, (Node *[]){operand(kit, op, 0, a), operand(kit, op, 1, b)}, &attrs);
}

static Node *attention_case(Kit *kit, Op op) {
  Type q = random_type(kit, 0, 2), k;
  int64_t width = 1 + (int64_t)kit_random(kit, 3);
  Attrs attrs = {.scale = 0.25 * (double)kit_random(kit, 4), .causal = kit_random(kit, 2)};
  q.dim[q.rank] = dim_literal(1 + (int64_t)kit_random(kit, 4)), q.dim[q.rank + 1] = dim_literal(width);
  q.rank += 2, k = q;
  k.dim[k.rank - 2] = dim_literal(1 + (int64_t)kit_random(kit, 4));
  return make(kit, op, 3, (Node *[]){operand(kit, op, 0, q), operand(kit, op, 1, k), operand(kit, op, 2, k)}, &attrs);
}

static Node *indexed_case(Kit *kit, Op op) {
  Type row = random_type(kit, 0, 2), ids_type = random_type(kit, 0, 2), all = row;
  ids_type.dtype = I32;
  int64_t n = 1 + (int64_t)kit_random(kit, 4);
  Node *ids = kit_state(kit, "ids", ids_type);
  for (int64_t i = 0; i < type_count(&ids_type); i++) kit_data(kit, ids)[i] = (double)kit_random(kit, (uint64_t)n);
  all.dim[0] = dim_literal(n);
  for (int i = 0; i < row.rank; i++) all.dim[1 + i] = row.dim[i];
  all.rank = row.rank + 1;
  if (op == OP_gather) return b_binary(&kit->b, op, operand(kit, op, 0, all), ids);
  Type rows = ids_type;
  rows.dtype = F32;
  for (int i = 0; i < row.rank; i++) rows.dim[rows.rank++] = row.dim[i];
  return make(kit, op, 2, (Node *[]){operand(kit, op, 0, rows), ids}, &(Attrs){.shape = all});
}

static Node *op_case(Kit *kit, int op) {
  switch (table[op].kind) {
  case MAP: return map_case(kit, (Op)op, table[op].n);
  case VIEW: return view_case(kit, (Op)op);
  case REDUCE: return reduce_case(kit, (Op)op);
  case MATMUL: return matmul_case(kit, (Op)op);
  case ATTENTION: return attention_case(kit, (Op)op);
  case GATHER:
  case SCATTER: return indexed_case(kit, (Op)op);
  default: ck_abort_msg("no case for %s", op_info[op].name);
  }
}

/* The weighted sum of the op's result as the loss, and its gradients. */
static Kit *derived(int op, uint64_t seed) {
  Kit *kit = kit_new(seed * 1000 + (uint64_t)op);
  Node *y = op_case(kit, op);
  Type type = y->type;
  type.dtype = F32;
  Node *weight = kit_state(kit, "weight", type);
  fill(kit, weight, -1, 1, 1);
  kit_minimize(kit, kit_sum(kit, b_binary(&kit->b, OP_mul, y, weight)));
  ck_assert_msg(kit_run(kit, 2, "gradient", LONG_MAX, NULL), "%s: no gradient", op_info[op].name);
  return kit;
}

START_TEST(every_op_against_differences) {
  if (!has_rule(_i)) return;
  for (uint64_t seed = 0; seed < SHAPES; seed++) {
    Kit *kit = derived(_i, seed);
    const char *wrong = kit_check_update(kit);
    ck_assert_msg(!wrong, "%s, shape %d: %s", op_info[_i].name, (int)seed, wrong);
    kit_free(kit);
  }
}
END_TEST

/* ---- would a wrong gradient be noticed? --------------------------------------------- */

static bool is_noticed(Kit *kit, int output, bool negate) {
  Output *o = &kit->graph->outputs[output];
  Node *right = o->node;
  o->node = negate ? b_unary(&kit->b, OP_neg, right) : b_scalar(&kit->b, OP_mul, right, 2);
  bool noticed = kit_check_update(kit) != NULL;
  o->node = right;
  return noticed;
}

static bool is_all_zero(Kit *kit, int output) {
  Values values = kit_evaluate(kit);
  bool zero = true;
  for (int64_t i = 0; i < values.at[output].count; i++) zero &= fabs(values.at[output].data[i]) < 1e-3;
  values_free(&values);
  return zero;
}

START_TEST(wrong_gradients_are_noticed) {
  if (!has_rule(_i)) return;
  int tried = 0;
  for (uint64_t seed = 0; seed < SHAPES && tried < 4; seed++) {
    Kit *kit = derived(_i, seed);
    for (int i = 0; i < kit->graph->n_outputs; i++) {
      if (kit->graph->outputs[i].role != OUT_GRAD || is_all_zero(kit, i)) continue;
      ck_assert_msg(is_noticed(kit, i, false), "%s: twice the gradient passes", op_info[_i].name);
      ck_assert_msg(is_noticed(kit, i, true), "%s: the negated gradient passes", op_info[_i].name);
      tried++;
    }
    kit_free(kit);
  }
  ck_assert_int_gt(tried, 0);
}
END_TEST

/* ---- the values at edges ---------------------------------------------------------------- */

#define INF INFINITY
static const struct Edge {
  Op op;
  double x, y, g, dx, dy, low, high;
} edges[] = {
    {OP_relu, 0, 0, 3, 0, 0, 0, 0},        {OP_relu, -0.0, 0, 3, 0, 0, 0, 0},
    {OP_relu, NAN, 0, 3, 3, 0, 0, 0},      {OP_relu, -1, 0, INF, 0, 0, 0, 0},
    {OP_relu, INF, 0, 3, 3, 0, 0, 0},      {OP_abs, 0, 0, 3, 0, 0, 0, 0},
    {OP_abs, -2, 0, 3, -3, 0, 0, 0},       {OP_abs, NAN, 0, 3, 0, 0, 0, 0},
    {OP_clamp, -1, 0, 3, 3, 0, -1, 1},     {OP_clamp, 1, 0, 3, 3, 0, -1, 1},
    {OP_clamp, 1.5, 0, 3, 0, 0, -1, 1},    {OP_clamp, NAN, 0, 3, 0, 0, -1, 1},
    {OP_clamp, 0, 0, 3, 3, 0, 0, INF},     {OP_clamp, -1, 0, 3, 0, 0, 0, INF},
    {OP_sqrt, 0, 0, 1, INF, 0, 0, 0},      {OP_sqrt, -1, 0, 1, NAN, 0, 0, 0},
    {OP_rsqrt, 4, 0, 1, -0.0625, 0, 0, 0}, {OP_log, 0, 0, 1, INF, 0, 0, 0},
    {OP_log, -2, 0, 1, -0.5, 0, 0, 0},     {OP_log1p, -1, 0, 1, INF, 0, 0, 0},
    {OP_exp, -INF, 0, 1, 0, 0, 0, 0},      {OP_tanh, 40, 0, 1, 0, 0, 0, 0},
    {OP_sigmoid, 0, 0, 1, 0.25, 0, 0, 0},  {OP_maximum, 2, 2, 3, 1.5, 1.5, 0, 0},
    {OP_maximum, 1, 2, 3, 0, 3, 0, 0},     {OP_maximum, NAN, 2, 3, 3, 3, 0, 0},
    {OP_maximum, 2, NAN, 3, 3, 3, 0, 0},   {OP_minimum, 2, 2, 3, 1.5, 1.5, 0, 0},
    {OP_minimum, 1, 2, 3, 3, 0, 0, 0},     {OP_pow, 0, 0, 1, 0, 0, 0, 0},
    {OP_pow, 0, 1, 1, 1, 0, 0, 0},         {OP_pow, 0, 0.5, 1, INF, 0, 0, 0},
    {OP_pow, 0, -1, 1, -INF, -INF, 0, 0},  {OP_pow, 5, 0, 1, 0, 1.6094379124341003, 0, 0},
    {OP_pow, NAN, 0, 1, 0, NAN, 0, 0},     {OP_pow, -2, 3, 1, 12, NAN, 0, 0},
    {OP_pow, 0, 2, 1, 0, 0, 0, 0},         {OP_div, 1, 0, 1, INF, -INF, 0, 0},
    {OP_div, 0, 0, 1, INF, NAN, 0, 0},     {OP_div, 3, 2, 1, 0.5, -0.75, 0, 0},
    {OP_mod, 7, 3, 1, 1, -2, 0, 0},        {OP_mod, -7, 3, 1, 1, 3, 0, 0},
    {OP_mul, 0, INF, 1, INF, 0, 0, 0},     {OP_erf, 0, 0, 1, 1.1283791670955126, 0, 0, 0},
};

static bool is_close(double a, double b) {
  if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
  return a == b || fabs(a - b) <= 1e-14 * fabs(b);
}

static double gradient_of(Kit *kit, const char *path, int64_t element) {
  int output = kit_output(kit, OUT_GRAD, path);
  ck_assert_msg(output >= 0, "no gradient for %s", path);
  Values values = kit_evaluate(kit);
  double g = values.at[output].data[element];
  values_free(&values);
  return g;
}

START_TEST(edge_values) {
  const struct Edge *e = &edges[_i];
  static const char *const until[] = {"gradient", "split"}; /* derived, and simplified */
  for (int level = 0; level < 2; level++) {
    Kit *kit = kit_new(1);
    int n = table[e->op].n;
    Node *in[2] = {kit_param(kit, "x", type_scalar(F64)), n > 1 ? kit_param(kit, "y", type_scalar(F64)) : NULL};
    kit_data(kit, in[0])[0] = e->x;
    if (n > 1) kit_data(kit, in[1])[0] = e->y;
    Node *g = kit_state(kit, "g", type_scalar(F64));
    kit_data(kit, g)[0] = e->g;
    Node *y = make(kit, e->op, n, in, &(Attrs){.value = e->low, .high = e->high});
    kit_minimize(kit, b_binary(&kit->b, OP_mul, y, g));
    ck_assert(kit_run(kit, 2, until[level], LONG_MAX, NULL));
    double dx = gradient_of(kit, "x", 0), dy = n > 1 ? gradient_of(kit, "y", 0) : 0;
    ck_assert_msg(is_close(dx, e->dx), "%s(%g, %g): d/dx is %.17g, not %.17g", op_info[e->op].name, e->x, e->y, dx,
                  e->dx);
    ck_assert_msg(n < 2 || is_close(dy, e->dy), "%s(%g, %g): d/dy is %.17g, not %.17g", op_info[e->op].name, e->x, e->y,
                  dy, e->dy);
    kit_free(kit);
  }
}
END_TEST

/* Reductions: ties share evenly; every NaN of a NaN result shares. */
static const struct Extreme {
  Op op;
  double x[3], dx[3];
} extremes[] = {
    {OP_max, {2, 1, 2}, {1.5, 0, 1.5}},      {OP_max, {1, 1, 1}, {1, 1, 1}},
    {OP_max, {1, 5, 2}, {0, 3, 0}},          {OP_max, {NAN, 1, 2}, {3, 0, 0}},
    {OP_max, {NAN, 1, NAN}, {1.5, 0, 1.5}},  {OP_max, {-INF, -INF, -INF}, {1, 1, 1}},
    {OP_max, {INF, 1, INF}, {1.5, 0, 1.5}},  {OP_min, {2, 1, 1}, {0, 1.5, 1.5}},
    {OP_min, {0.0, -0.0, 1}, {1.5, 1.5, 0}}, {OP_sum, {INF, NAN, 1}, {3, 3, 3}},
};

START_TEST(extremes_share) {
  const struct Extreme *e = &extremes[_i];
  Kit *kit = kit_new(1);
  Node *x = kit_param(kit, "x", kit_type(F64, 1, (int64_t[]){3}));
  memcpy(kit_data(kit, x), e->x, sizeof e->x);
  kit_minimize(kit, b_scalar(&kit->b, OP_mul, b_reduce(&kit->b, e->op, x, 1, (int[]){0}, false), 3));
  ck_assert(kit_run(kit, 2, "split", LONG_MAX, NULL));
  for (int i = 0; i < 3; i++) {
    double dx = gradient_of(kit, "x", i);
    ck_assert_msg(is_close(dx, e->dx[i]), "%s: d/dx[%d] is %g, not %g", op_info[e->op].name, i, dx, e->dx[i]);
  }
  kit_free(kit);
}
END_TEST

/* where(x > 0, sqrt x, 0 x): at 0 the branch not taken hands on 0 * inf. */
START_TEST(where_leaks) {
  Kit *kit = kit_new(1);
  Builder *b = &kit->b;
  Node *x = kit_param(kit, "x", type_scalar(F32));
  Node *positive = b_scalar(b, OP_gt, x, 0);
  kit_minimize(kit, b_where(b, positive, b_unary(b, OP_sqrt, x), b_scalar(b, OP_mul, x, 0)));
  ck_assert(kit_run(kit, 2, "split", LONG_MAX, NULL));
  ck_assert(isnan(gradient_of(kit, "x", 0)));
  kit_free(kit);
}
END_TEST

/* ---- composites -------------------------------------------------------------------------- */

static Node *mean_last(Builder *b, Node *x) {
  int last = x->type.rank - 1;
  return b_binary(b, OP_div, b_reduce(b, OP_sum, x, 1, &last, true), b_count(b, &x->type, 1, &last, F32));
}

static Node *layer_norm(Builder *b, Node *x) {
  Node *centred = b_binary(b, OP_sub, x, mean_last(b, x));
  Node *variance = mean_last(b, b_binary(b, OP_mul, centred, centred));
  return b_binary(b, OP_mul, centred, b_unary(b, OP_rsqrt, b_scalar(b, OP_add, variance, 1e-5)));
}

static Node *log_softmax(Builder *b, Node *x) {
  int last = x->type.rank - 1;
  Node *shifted = b_binary(b, OP_sub, x, b_unary(b, OP_stop, b_reduce(b, OP_max, x, 1, &last, true)));
  Node *sum = b_reduce(b, OP_sum, b_unary(b, OP_exp, shifted), 1, &last, true);
  return b_binary(b, OP_sub, shifted, b_unary(b, OP_log, sum));
}

/* mean over the batch of -log p[label], rows there are */
static Node *cross_entropy(Kit *kit, Node *scores, Node *labels) {
  Builder *b = &kit->b;
  Type column = labels->type;
  column.dim[column.rank++] = dim_literal(1);
  Node *hit = b_binary(b, OP_eq, b_iota(b, &scores->type, 1), b_reshape(b, labels, &column));
  Node *picked = kit_sum(kit, b_where(b, hit, log_softmax(b, scores), b_const(b, F32, 0)));
  return b_unary(b, OP_neg, b_binary(b, OP_div, picked, b_count(b, &labels->type, 1, (int[]){0}, F32)));
}

static Node *linear(Kit *kit, Node *x, const char *name, int64_t out) {
  Builder *b = &kit->b;
  int64_t in = x->type.dim[x->type.rank - 1].size;
  Node *w = kit_param(kit, arena_print(kit->arena, "%s.weight", name), kit_type(F32, 2, (int64_t[]){out, in}));
  Node *bias = kit_param(kit, arena_print(kit->arena, "%s.bias", name), kit_type(F32, 1, (int64_t[]){out}));
  fill(kit, w, -1, 1, 0);
  fill(kit, bias, -1, 1, 1);
  return b_binary(b, OP_add, b_matmul(b, x, b_transpose(b, w, (int[]){1, 0}), false, false), bias);
}

enum { CAPACITY = 5, FEATURES = 4, CLASSES = 3 };
static Node *batch(Kit *kit, int64_t rows) {
  Node *x = kit_batch(kit, "x", F32, CAPACITY, rows, 1, (int64_t[]){FEATURES});
  for (int64_t i = 0; i < rows * FEATURES; i++) kit_data(kit, x)[i] = (double)kit_random(kit, 400) / 100 - 2;
  return x;
}

static Node *batch_labels(Kit *kit, int64_t rows) {
  Node *y = kit_batch(kit, "y", I32, CAPACITY, rows, 0, NULL);
  for (int64_t i = 0; i < rows; i++) kit_data(kit, y)[i] = (double)kit_random(kit, CLASSES);
  return y;
}

/* A classifier on a batch that is full or short: derived, and after every pass on the way. */
START_TEST(classifier) {
  static const char *const until[] = {"gradient", "simplify", "split"};
  for (int64_t rows = 1; rows <= CAPACITY; rows += 2) {
    Kit *kit = kit_new((uint64_t)rows);
    Node *h = b_unary(&kit->b, OP_tanh, layer_norm(&kit->b, linear(kit, batch(kit, rows), "fc1", 6)));
    kit_minimize(kit, cross_entropy(kit, linear(kit, h, "fc2", CLASSES), batch_labels(kit, rows)));
    for (int i = 0; i < 3; i++) {
      ck_assert(kit_run(kit, 2, until[i], LONG_MAX, NULL));
      const char *wrong = kit_check_update(kit);
      ck_assert_msg(!wrong, "after %s, %d rows: %s", until[i], (int)rows, wrong);
    }
    kit_free(kit);
  }
}
END_TEST

/* A batch of sequences through one matrix: [B, T, D] @ [D, E], with T after B and B after T. */
START_TEST(batched_matmul_with_rows) {
  Kit *kit = kit_new(3);
  Builder *b = &kit->b;
  Node *x = kit_batch(kit, "x", F32, 4, 3, 2, (int64_t[]){2, 3});
  for (int i = 0; i < 3 * 2 * 3; i++) kit_data(kit, x)[i] = (double)kit_random(kit, 400) / 100 - 2;
  Node *w = kit_param(kit, "w", kit_type(F32, 2, (int64_t[]){3, 2}));
  fill(kit, w, -1, 1, 0);
  Node *plain = b_matmul(b, x, w, false, false);
  Node *turned = b_matmul(b, b_transpose(b, x, (int[]){1, 0, 2}), w, false, false);
  Node *loss = b_binary(b, OP_add, kit_sum(kit, b_unary(b, OP_sin, plain)), kit_sum(kit, b_unary(b, OP_exp, turned)));
  kit_minimize(kit, loss);
  ck_assert(kit_run(kit, 2, "split", LONG_MAX, NULL));
  const char *wrong = kit_check_update(kit);
  ck_assert_msg(!wrong, "%s", wrong);
  kit_free(kit);
}
END_TEST

/* ---- gradients of gradients ------------------------------------------------------------------ */

static Node *weighted(Kit *kit, Node *x, int i) {
  Node *w = kit_state(kit, arena_print(kit->arena, "weight%d", i), x->type);
  fill(kit, w, -1, 1, i & 1);
  return kit_sum(kit, b_binary(&kit->b, OP_mul, x, w));
}

/* A smooth function of x with every kind of node in it. */
static Node *smooth(Kit *kit, Node *x) {
  Builder *b = &kit->b;
  Node *h = b_unary(b, OP_tanh, linear(kit, x, "fc1", 4));
  Node *p = log_softmax(b, layer_norm(b, b_binary(b, OP_mul, h, b_unary(b, OP_sigmoid, h))));
  return weighted(kit, b_binary(b, OP_add, p, b_unary(b, OP_sin, b_scalar(b, OP_pow, h, 3))), 0);
}

START_TEST(higher_orders) {
  Kit *kit = kit_new(11);
  Node *x = kit_param(kit, "x", kit_type(F32, 2, (int64_t[]){2, 3}));
  fill(kit, x, -1, 1, 0);
  Node *y = smooth(kit, x);
  for (int order = 1; order < _i; order++) y = weighted(kit, kit_grad(kit, y, x, "g"), order);
  kit_minimize(kit, y);
  for (int i = 0; i < 2; i++) {
    ck_assert(kit_run(kit, 2, i ? "split" : "gradient", LONG_MAX, NULL));
    const char *wrong = kit_check_update(kit);
    ck_assert_msg(!wrong, "order %d: %s", _i, wrong);
  }
  kit_free(kit);
}
END_TEST

/* (|df/dx| - 1)^2, x a value between: as a gradient penalty has it. */
START_TEST(penalty_by_a_value_between) {
  Kit *kit = kit_new(5);
  Builder *b = &kit->b;
  Node *x = b_unary(b, OP_sin, batch(kit, 3));
  Node *f = linear(kit, b_unary(b, OP_tanh, linear(kit, x, "fc1", 4)), "fc2", 1);
  Node *g = kit_grad(kit, kit_sum(kit, f), x, "g");
  Node *norm = b_unary(b, OP_sqrt, b_reduce(b, OP_sum, b_binary(b, OP_mul, g, g), 1, (int[]){1}, false));
  Node *penalty = kit_sum(kit, b_scalar(b, OP_pow, b_scalar(b, OP_sub, norm, 1), 2));
  kit_minimize(kit, b_binary(b, OP_add, penalty, kit_sum(kit, f)));
  ck_assert(kit_run(kit, 2, "split", LONG_MAX, NULL));
  const char *wrong = kit_check_update(kit);
  ck_assert_msg(!wrong, "%s", wrong);
  kit_free(kit);
}
END_TEST

/* Two gradients of one value in one sweep, one x above the other; grad(y, y) is 1. */
START_TEST(several_x_of_one_y) {
  Kit *kit = kit_new(9);
  Builder *b = &kit->b;
  Node *x = kit_param(kit, "x", kit_type(F32, 1, (int64_t[]){3}));
  fill(kit, x, 0.5, 1.5, 0);
  Node *square = b_binary(b, OP_mul, x, x), *y = kit_sum(kit, b_binary(b, OP_mul, square, x));
  Node *by_x = kit_grad(kit, y, x, "by_x"), *by_square = kit_grad(kit, y, square, "by_square"),
       *by_y = kit_grad(kit, y, y, "by_y");
  graph_output(kit->graph, OUT_LOG, "by_x", kit_sum(kit, by_x));
  graph_output(kit->graph, OUT_LOG, "by_square", kit_sum(kit, by_square));
  graph_output(kit->graph, OUT_LOG, "by_y", by_y);
  kit_minimize(kit, b_binary(b, OP_add, kit_sum(kit, by_x), y));
  ck_assert(kit_run(kit, 2, "gradient", LONG_MAX, NULL));
  Values values = kit_evaluate(kit);
  double cubes = 0, sum = 0;
  for (int i = 0; i < 3; i++) {
    double v = kit_data(kit, x)[i];
    cubes += 3 * v * v;
    sum += v;
  }
  ck_assert_double_eq_tol(values.at[0].data[0], cubes, 1e-12);
  ck_assert_double_eq_tol(values.at[1].data[0], sum, 1e-12);
  ck_assert_double_eq(values.at[2].data[0], 1);
  values_free(&values);
  const char *wrong = kit_check_update(kit);
  ck_assert_msg(!wrong, "%s", wrong);
  kit_free(kit);
}
END_TEST

/* The second derivative of relu is 0, no error: the mask is no path for a gradient, but x is used. */
START_TEST(flat_is_zero) {
  Kit *kit = kit_new(2);
  Node *x = kit_param(kit, "x", kit_type(F32, 1, (int64_t[]){4}));
  fill(kit, x, -1, 1, 0);
  kit_minimize(kit, weighted(kit, kit_grad(kit, kit_sum(kit, b_unary(&kit->b, OP_relu, x)), x, "g"), 0));
  ck_assert(kit_run(kit, 2, "gradient", LONG_MAX, NULL));
  for (int i = 0; i < 4; i++) ck_assert_double_eq(gradient_of(kit, "x", i), 0);
  kit_free(kit);
}
END_TEST

/* As a pool with padding sees it: x where shown, elsewhere the worst there is.  Where all that is shown is as bad, the
 * first of it takes the gradient, and none is lost to what is hidden. */
START_TEST(hidden_places_take_nothing) {
  double worst = _i ? INFINITY : -INFINITY;
  for (int better = 0; better < 2; better++) {
    Kit *kit = kit_new(1);
    Type three = kit_type(F32, 1, (int64_t[]){3}), places = three;
    places.dtype = I32;
    Node *x = kit_param(kit, "x", three);
    Node *shown = b_binary(&kit->b, OP_gt, b_iota(&kit->b, &places, 0), b_const(&kit->b, I32, 0));
    Node *seen = b_where(&kit->b, shown, x, b_const(&kit->b, F32, worst));
    kit_minimize(kit, kit_op(kit, _i ? OP_min : OP_max, 1, &seen, (Attrs){.n_axes = 1, .first = true}));
    for (int i = 0; i < 3; i++) kit_data(kit, x)[i] = i == 2 && better ? 4 : worst;
    ck_assert(kit_run(kit, 2, "gradient", LONG_MAX, NULL));
    for (int i = 0; i < 3; i++) ck_assert_double_eq(gradient_of(kit, "x", i), i == 1 + better);
    kit_free(kit);
  }
}
END_TEST

/* ---- what cannot be differentiated ---------------------------------------------------------------- */

START_TEST(unreached_is_an_error) {
  static const Op cuts[] = {OP_stop, OP_floor, OP_sign, OP_round};
  for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
    Kit *kit = kit_new(1);
    Node *x = kit_param(kit, "x", kit_type(F32, 1, (int64_t[]){2}));
    Node *g = kit_grad(kit, kit_sum(kit, b_unary(&kit->b, cuts[i], x)), x, "g");
    kit_minimize(kit, kit_sum(kit, b_binary(&kit->b, OP_mul, g, x)));
    for (int k = 0; k < kit->graph->n_nodes; k++) kit->graph->nodes[k]->mark = 1; /* what a pass before may leave */
    ck_assert(!kit_run(kit, 2, "gradient", LONG_MAX, NULL));
    ck_assert_msg(kit_printed(kit, "E0601") && kit_printed(kit, "does not depend on x"), "%s lets a gradient through",
                  op_info[cuts[i]].name);
    kit_free(kit);
  }
}
END_TEST

START_TEST(unreached_parameter_is_an_error) {
  Kit *kit = kit_new(1);
  Node *x = kit_param(kit, "x", kit_type(F32, 1, (int64_t[]){2})),
       *y = kit_param(kit, "y", kit_type(F32, 1, (int64_t[]){2}));
  Node *argmax = b_reduce(&kit->b, OP_argmax, y, 1, (int[]){0}, false);
  kit_minimize(kit, b_binary(&kit->b, OP_add, kit_sum(kit, x), b_cast(&kit->b, argmax, F32)));
  ck_assert(!kit_run(kit, 2, "gradient", LONG_MAX, NULL));
  ck_assert(kit_printed(kit, "E0603"));
  ck_assert(kit_printed(kit, "no gradient reaches y"));
  ck_assert(kit_printed(kit, "use it in the loss, or leave it out: freeze y"));
  kit_free(kit);
}
END_TEST

/* Not even a leaf of it stands in the graph. */
START_TEST(unused_parameter_is_an_error) {
  Kit *kit = kit_new(1);
  Node *x = kit_param(kit, "x", kit_type(F32, 1, (int64_t[]){2}));
  kit_param(kit, "y", kit_type(F32, 1, (int64_t[]){2}));
  kit->graph->n_nodes--;
  kit_minimize(kit, kit_sum(kit, x));
  ck_assert(!kit_run(kit, 2, "gradient", LONG_MAX, NULL));
  ck_assert(kit_printed(kit, "E0603"));
  ck_assert(kit_printed(kit, "no gradient reaches y"));
  kit_free(kit);
}
END_TEST

START_TEST(a_missing_loss_is_an_error) {
  Kit *kit = kit_new(1);
  kit_minimize(kit, kit_sum(kit, kit_param(kit, "x", kit_type(F32, 1, (int64_t[]){2}))));
  kit->graph->outputs[0].role = OUT_LOG;
  ck_assert(!kit_run(kit, 2, "gradient", LONG_MAX, NULL));
  ck_assert(kit_printed(kit, "there is no loss for update0"));
  kit_free(kit);
}
END_TEST

Suite *gradient_suite(void) {
  Suite *suite = suite_create("gradient");
  TCase *ops = tcase_create("ops");
  tcase_set_timeout(ops, 60);
  tcase_add_loop_test(ops, every_op_against_differences, 0, OPS);
  tcase_add_loop_test(ops, wrong_gradients_are_noticed, 0, OPS);
  suite_add_tcase(suite, ops);
  TCase *edge = tcase_create("edges");
  tcase_add_loop_test(edge, edge_values, 0, sizeof edges / sizeof edges[0]);
  tcase_add_loop_test(edge, extremes_share, 0, sizeof extremes / sizeof extremes[0]);
  tcase_add_test(edge, where_leaks);
  tcase_add_loop_test(edge, hidden_places_take_nothing, 0, 2);
  suite_add_tcase(suite, edge);
  TCase *programs = tcase_create("programs");
  tcase_set_timeout(programs, 60);
  tcase_add_test(programs, classifier);
  tcase_add_test(programs, batched_matmul_with_rows);
  tcase_add_loop_test(programs, higher_orders, 1, 4);
  tcase_add_test(programs, penalty_by_a_value_between);
  tcase_add_test(programs, several_x_of_one_y);
  tcase_add_test(programs, flat_is_zero);
  tcase_add_test(programs, unreached_is_an_error);
  tcase_add_test(programs, unreached_parameter_is_an_error);
  tcase_add_test(programs, unused_parameter_is_an_error);
  tcase_add_test(programs, a_missing_loss_is_an_error);
  suite_add_tcase(suite, programs);
  return suite;
}
