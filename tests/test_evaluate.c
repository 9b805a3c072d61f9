/* test_evaluate.c - the evaluator against values worked out by hand, edge
 * values against PyTorch's, optimizers against PyTorch's own trajectories (in
 * float64), random draws against the published answers of Philox. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ir_models.h"

enum { MAX_BINDINGS = 4 };

/* A graph with one node to try, its leaves and their values. */
typedef struct Trial {
  Arena *arena;
  Program *program;
  Graph *graph;
  Builder b;
  int n;
  Binding bindings[MAX_BINDINGS];
  EvaluateOptions options;
} Trial;

static Trial trial(void) {
  Trial t = {.arena = arena_new()};
  t.program = ir_model_empty(t.arena); /* B<=4, P=6, H=3, K=2 */
  t.graph = t.program->train.graph;
  t.b = (Builder){t.graph, NULL, "v"};
  t.options.rows = 4;
  return t;
}

static Node *leaf(Trial *t, DType dtype, const char *dims, const double *data) {
  static const char *const names[] = {"a", "b", "c", "d"};
  t->bindings[t->n] = (Binding){names[t->n], data};
  Node *node = ir_leaf(t->graph, OP_input, names[t->n], ir_type(t->program, dtype, dims));
  t->n++;
  return node;
}

static bool same(double a, double b) { return isnan(a) ? isnan(b) : a == b || fabs(a - b) <= 1e-14 * fabs(b); }

/* Evaluates `node`, expects these values (NaN equal to NaN), and ends the trial. */
static void expect(Trial *t, Node *node, int count, const double *values) {
  Tensor out = {0};
  const char *missing = NULL;
  graph_output(t->graph, OUT_VALUE, "out", node);
  bool done = evaluate(t->graph, t->bindings, t->n, &t->options, &out, &missing);
  ck_assert_msg(done, "%s: missing %s", node->name, missing);
  ck_assert_int_eq(out.count, count);
  for (int i = 0; i < count; i++)
    ck_assert_msg(same(out.data[i], values[i]), "%s[%d] is %.17g, not %.17g", node->name, i, out.data[i], values[i]);
  tensor_free(&out);
  arena_free(t->arena);
}

#define VALUES(...) (int)(sizeof(double[]){__VA_ARGS__} / sizeof(double)), (const double[]){__VA_ARGS__}

/* ---- maps --------------------------------------------------------------- */

static const double nan_ = NAN, inf = INFINITY;

START_TEST(maps_have_the_edge_values_of_pytorch) {
  const struct { Op op; double a, b, result; } rows[] = {
      {OP_relu, nan_, 0, nan_}, {OP_relu, -2, 0, 0}, {OP_relu, 2, 0, 2}, {OP_sign, nan_, 0, 0}, {OP_sign, -3, 0, -1},
      {OP_sign, 0, 0, 0}, {OP_round, 0.5, 0, 0}, {OP_round, 1.5, 0, 2}, {OP_round, -2.5, 0, -2}, {OP_abs, -inf, 0, inf},
      {OP_sqrt, -1, 0, nan_}, {OP_rsqrt, 0, 0, inf}, {OP_log, 0, 0, -inf}, {OP_log, -1, 0, nan_}, {OP_log1p, -1, 0, -inf},
      {OP_expm1, 1e-20, 0, 1e-20}, {OP_exp, -inf, 0, 0}, {OP_sigmoid, -1000, 0, 0}, {OP_sigmoid, 0, 0, 0.5},
      {OP_tanh, inf, 0, 1}, {OP_erf, 0.5, 0, 0.5204998778130465}, {OP_sin, 0, 0, 0}, {OP_cos, 0, 0, 1},
      {OP_floor, -0.5, 0, -1}, {OP_ceil, 1.2, 0, 2}, {OP_neg, 1, 0, -1}, {OP_copy, 3, 0, 3}, {OP_stop, 3, 0, 3},
      {OP_add, 1, 2, 3}, {OP_sub, inf, inf, nan_}, {OP_mul, inf, 0, nan_}, {OP_div, 1, 0, inf}, {OP_div, 0, 0, nan_},
      {OP_floordiv, 7, 2, 3}, {OP_floordiv, -7, 2, -4}, {OP_floordiv, 7, -2, -4}, {OP_floordiv, 1, 0, inf},
      {OP_mod, 7, 3, 1}, {OP_mod, -7, 3, 2}, {OP_mod, 7, -3, -2}, {OP_mod, -6, 3, 0}, {OP_mod, 5.5, 2, 1.5}, {OP_mod, 1, 0, nan_},
      {OP_pow, 0, 0, 1}, {OP_pow, 0, -1, inf}, {OP_pow, -8, 3, -512}, {OP_pow, 2, 0.5, 1.4142135623730951},
      {OP_maximum, nan_, 1, nan_}, {OP_maximum, 1, nan_, nan_}, {OP_maximum, 1, 2, 2}, {OP_minimum, nan_, 1, nan_},
      {OP_minimum, 1, nan_, nan_}, {OP_minimum, 1, 2, 1}, {OP_eq, nan_, nan_, 0}, {OP_ne, nan_, nan_, 1}, {OP_lt, nan_, 1, 0},
      {OP_le, 1, 1, 1}, {OP_gt, 2, 1, 1}, {OP_gt, 1, nan_, 0}, {OP_ge, 1, 2, 0}, {OP_lt, 1, 2, 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    Trial t = trial();
    Node *in[2] = {leaf(&t, F64, "", &rows[i].a), leaf(&t, F64, "", &rows[i].b)};
    expect(&t, node_new(t.graph, rows[i].op, in, op_info[rows[i].op].n_inputs, NULL, op_info[rows[i].op].name, NULL), 1,
           &rows[i].result);
  }
}
END_TEST

START_TEST(logic_and_choice) {
  static const double yes[] = {1, 1, 0, 0}, other[] = {1, 0, 1, 0};
  Trial t = trial();
  expect(&t, b_binary(&t.b, OP_and, leaf(&t, BOOL, "B", yes), leaf(&t, BOOL, "B", other)), VALUES(1, 0, 0, 0));
  t = trial();
  expect(&t, b_binary(&t.b, OP_or, leaf(&t, BOOL, "B", yes), leaf(&t, BOOL, "B", other)), VALUES(1, 1, 1, 0));
  t = trial();
  expect(&t, b_unary(&t.b, OP_not, leaf(&t, BOOL, "B", yes)), VALUES(0, 0, 1, 1));
  t = trial();
  static const double a[] = {10, 20, NAN, 40}, b[] = {-1};
  Node *condition = leaf(&t, BOOL, "B", other), *x = leaf(&t, F64, "B", a);
  expect(&t, b_where(&t.b, condition, x, leaf(&t, F64, "1", b)), VALUES(10, -1, nan_, -1));
  t = trial();
  static const double c[] = {-2, 0.5, NAN, 7};
  expect(&t, b_clamp(&t.b, leaf(&t, F64, "B", c), -1, 1), VALUES(-1, 0.5, nan_, 1));
}
END_TEST

START_TEST(casts_truncate) {
  static const double x[] = {-1.7, 1.7, 0, 300};
  Trial t = trial();
  expect(&t, b_cast(&t.b, leaf(&t, F32, "B", x), I32), VALUES(-1, 1, 0, 300));
  t = trial();
  expect(&t, b_cast(&t.b, leaf(&t, F32, "B", x), BOOL), VALUES(1, 1, 0, 1));
  t = trial();
  expect(&t, b_cast(&t.b, leaf(&t, I32, "B", x), F64), VALUES(-1.7, 1.7, 0, 300));
}
END_TEST

START_TEST(shapes_broadcast) {
  static const double column[] = {10, 20, 30}, row[] = {1, 2};
  Trial t = trial();
  expect(&t, b_binary(&t.b, OP_add, leaf(&t, F64, "H 1", column), leaf(&t, F64, "K", row)), VALUES(11, 12, 21, 22, 31, 32));
}
END_TEST

START_TEST(rounding_goes_to_the_dtype) {
  static const double third[] = {1.0 / 3}, big[] = {2147483647};
  Trial t = trial();
  t.options.round = true;
  expect(&t, b_unary(&t.b, OP_copy, leaf(&t, F32, "", third)), VALUES((float)(1.0 / 3)));
  t = trial();
  t.options.round = true;
  expect(&t, b_cast(&t.b, leaf(&t, F32, "", third), BF16), VALUES(0.333984375));
  t = trial();
  t.options.round = true;
  static const double half_even[] = {1.00390625}; /* between 1 and 1.0078125: to even, 1 */
  expect(&t, b_cast(&t.b, leaf(&t, F32, "", half_even), BF16), VALUES(1));
  t = trial();
  t.options.round = true;
  expect(&t, b_scalar(&t.b, OP_add, leaf(&t, I32, "", big), 1), VALUES(-2147483648.0));
  t = trial();
  expect(&t, b_unary(&t.b, OP_copy, leaf(&t, F32, "", third)), VALUES(1.0 / 3)); /* not unless asked */
}
END_TEST

/* ---- views -------------------------------------------------------------- */

static const double count_to_24[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* Three rows of four: the transpose is [6, 3], and nothing of the fourth is seen. */
START_TEST(views_follow_the_rows_there_are) {
  Trial t = trial();
  t.options.rows = 3;
  Node *x = leaf(&t, F64, "B P", count_to_24);
  expect(&t, b_transpose(&t.b, x, (int[]){1, 0}), VALUES(0, 6, 12, 1, 7, 13, 2, 8, 14, 3, 9, 15, 4, 10, 16, 5, 11, 17));
  t = trial();
  t.options.rows = 2;
  Type flat = ir_type(t.program, F64, "24");
  flat.dim[0] = (Dim){.size = 24, .text = "B * P", .rows = ir_symbol(t.program, "B")};
  expect(&t, b_reshape(&t.b, leaf(&t, F64, "B P", count_to_24), &flat), 12, count_to_24);
  t = trial();
  t.options.rows = 2;
  Node *sum = b_reduce(&t.b, OP_sum, leaf(&t, F64, "B P", count_to_24), 1, (int[]){0}, false);
  expect(&t, sum, VALUES(6, 8, 10, 12, 14, 16));
  t = trial();
  t.options.rows = 2;
  expect(&t, b_rows(&t.b, ir_symbol(t.program, "B")), VALUES(2));
  t = trial();
  t.options.rows = 0;
  expect(&t, b_reduce(&t.b, OP_sum, leaf(&t, F64, "B P", count_to_24), 2, (int[]){0, 1}, false), VALUES(0));
}
END_TEST

START_TEST(transpose_of_three_axes) {
  Trial t = trial();
  Node *x = leaf(&t, F64, "2 H 2", count_to_24); /* out[i, j, k] = x[k, i, j] by axes 1, 2, 0 */
  expect(&t, b_transpose(&t.b, x, (int[]){1, 2, 0}), VALUES(0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11));
}
END_TEST

START_TEST(slice_pad_broadcast_iota) {
  static const double x[] = {1, 2, 3, 4, 5, 6};
  const int64_t start[] = {0, 1}, step[] = {1, 2};
  Trial t = trial();
  Type to = ir_type(t.program, F64, "1 H");
  expect(&t, b_slice(&t.b, leaf(&t, F64, "1 P", x), &to, start, step), VALUES(2, 4, 6));
  t = trial();
  to = ir_type(t.program, F64, "1 7");
  expect(&t, b_pad(&t.b, leaf(&t, F64, "1 H", x), &to, start, step), VALUES(0, 1, 0, 2, 0, 3, 0));
  t = trial();
  to = ir_type(t.program, F64, "K H");
  expect(&t, b_broadcast(&t.b, leaf(&t, F64, "H", x), &to), VALUES(1, 2, 3, 1, 2, 3));
  t = trial();
  to = ir_type(t.program, I32, "K H");
  expect(&t, b_iota(&t.b, &to, 1), VALUES(0, 1, 2, 0, 1, 2));
  t = trial();
  expect(&t, b_iota(&t.b, &to, 0), VALUES(0, 0, 0, 1, 1, 1));
}
END_TEST

/* ---- reductions --------------------------------------------------------- */

START_TEST(reductions_have_the_edge_values_of_pytorch) {
  static const double x[] = {1, 5, 5, NAN, 7, NAN}, empty[1];
  Trial t = trial();
  expect(&t, b_reduce(&t.b, OP_sum, leaf(&t, F64, "K H", x), 1, (int[]){1}, false), VALUES(11, nan_));
  t = trial();
  expect(&t, b_reduce(&t.b, OP_max, leaf(&t, F64, "K H", x), 1, (int[]){1}, true), VALUES(5, nan_));
  t = trial();
  expect(&t, b_reduce(&t.b, OP_min, leaf(&t, F64, "K H", x), 1, (int[]){0}, false), VALUES(nan_, 5, nan_));
  t = trial();
  expect(&t, b_reduce(&t.b, OP_argmax, leaf(&t, F64, "K H", x), 1, (int[]){1}, false), VALUES(1, 0)); /* first of equals, first NaN */
  t = trial();
  expect(&t, b_reduce(&t.b, OP_argmin, leaf(&t, F64, "K H", x), 1, (int[]){1}, false), VALUES(0, 0));
  t = trial();
  static const double infinite[] = {-INFINITY, -INFINITY, INFINITY, 3};
  expect(&t, b_reduce(&t.b, OP_argmin, leaf(&t, F64, "4", infinite), 1, (int[]){0}, false), VALUES(0));
  t = trial();
  expect(&t, b_reduce(&t.b, OP_argmax, leaf(&t, F64, "4", infinite), 1, (int[]){0}, false), VALUES(2));
  const struct { Op op; double result; } rows[] = {{OP_sum, 0}, {OP_max, -inf}, {OP_min, inf}};
  for (int i = 0; i < 3; i++) {
    t = trial();
    t.options.rows = 0;
    expect(&t, b_reduce(&t.b, rows[i].op, leaf(&t, F64, "B", empty), 1, (int[]){0}, false), 1, &rows[i].result);
  }
  t = trial();
  t.options.rows = 0;
  Node *sum = b_reduce(&t.b, OP_sum, leaf(&t, F64, "B", empty), 1, (int[]){0}, false);
  expect(&t, b_scalar(&t.b, OP_div, sum, 0), VALUES(nan_)); /* the mean of nothing */
}
END_TEST

START_TEST(reducing_the_middle_axis) {
  Trial t = trial();
  Node *x = leaf(&t, F64, "2 H 2", count_to_24);
  expect(&t, b_reduce(&t.b, OP_sum, x, 1, (int[]){1}, false), VALUES(0 + 2 + 4, 1 + 3 + 5, 6 + 8 + 10, 7 + 9 + 11));
}
END_TEST

/* ---- contractions and memory by index ----------------------------------- */

START_TEST(products_with_each_flag) {
  static const double a[] = {1, 2, 3, 4, 5, 6}, at[] = {1, 4, 2, 5, 3, 6}, b[] = {7, 8, 9, 10, 11, 12}, bt[] = {7, 9, 11, 8, 10, 12};
  for (int flags = 0; flags < 4; flags++) {
    Trial t = trial();
    bool ta = flags & 1, tb = flags & 2;
    Node *x = leaf(&t, F64, ta ? "H K" : "K H", ta ? at : a), *y = leaf(&t, F64, tb ? "K H" : "H K", tb ? bt : b);
    expect(&t, b_matmul(&t.b, x, y, ta, tb), VALUES(58, 64, 139, 154));
  }
  Trial t = trial();
  static const double batch[] = {1, 0, 0, 1, 2, 0, 0, 2}, y[] = {1, 2, 3, 4, 5, 6, 7, 8};
  Node *p = leaf(&t, F64, "2 2 2", batch), *q = leaf(&t, F64, "2 2 2", y);
  expect(&t, b_matmul(&t.b, p, q, false, false), VALUES(1, 2, 3, 4, 10, 12, 14, 16));
  t = trial();
  p = leaf(&t, F64, "2 2 2", batch), q = leaf(&t, F64, "2 2", y); /* one matrix for the whole batch */
  expect(&t, b_matmul(&t.b, p, q, false, true), VALUES(1, 3, 2, 4, 2, 6, 4, 8));
  t = trial();
  t.options.rows = 2; /* the inner size is the rows there are */
  static const double x[] = {1, 2, 3, 4}, g[] = {5, 6};
  expect(&t, b_matmul(&t.b, leaf(&t, F64, "B K", x), leaf(&t, F64, "B 1", g), true, false), VALUES(1 * 5 + 3 * 6, 2 * 5 + 4 * 6));
  t = trial();
  static const double none[1];
  p = leaf(&t, F64, "2 0", none), q = leaf(&t, F64, "0 2", none);
  expect(&t, b_matmul(&t.b, p, q, false, false), VALUES(0, 0, 0, 0));
}
END_TEST

START_TEST(gather_and_its_adjoint) {
  static const double table[] = {1, 2, 3, 4, 5, 6}, ids[] = {2, 0, 2, 3}, rows[] = {1, 10, 2, 20, 3, 30, 4, 40};
  Trial t = trial();
  Node *in[2] = {leaf(&t, F64, "H K", table), leaf(&t, I32, "B", ids)};
  expect(&t, node_new(t.graph, OP_gather, in, 2, NULL, "rows", NULL), VALUES(5, 6, 1, 2, 5, 6, nan_, nan_)); /* 3 is outside */
  t = trial();
  Node *add[2] = {leaf(&t, F64, "B K", rows), leaf(&t, I32, "B", ids)};
  Attrs attrs = {.shape = ir_type(t.program, F64, "H K")};
  expect(&t, node_new(t.graph, OP_scatter_add, add, 2, &attrs, "sums", NULL), VALUES(2, 20, 0, 0, 1 + 3, 10 + 30));
}
END_TEST

/* ---- structure ---------------------------------------------------------- */

START_TEST(groups_put_out_what_their_bodies_do) {
  Trial t = trial();
  static const double x[] = {1, 5, 3, 2, 2, 8};
  Node *in = leaf(&t, F64, "K H", x);
  Node *group = ir_group(t.graph, PATTERN_ROW, &in->type, 1, &in, "g");
  group->attrs.n_axes = 1, group->attrs.axes[0] = 1;
  Builder b = {group->body, NULL, "g"};
  Node *operand = ir_group_input(group, 0), *most = b_reduce(&b, OP_max, operand, 1, (int[]){1}, true);
  graph_output(group->body, OUT_VALUE, NULL, b_binary(&b, OP_sub, operand, most));
  graph_output(group->body, OUT_VALUE, NULL, most);
  Node *rest = ir_group_result(t.graph, group, 0), *top = ir_group_result(t.graph, group, 1);
  expect(&t, b_binary(&t.b, OP_mul, rest, top), VALUES(-20, 0, -10, -48, -48, 0));
}
END_TEST

START_TEST(what_is_missing_is_named) {
  const char *missing = NULL;
  Trial t = trial();
  Tensor out = {0};
  leaf(&t, F64, "", count_to_24);
  graph_output(t.graph, OUT_VALUE, "out", ir_leaf(t.graph, OP_param, "net.w", type_scalar(F32)));
  ck_assert(!evaluate(t.graph, t.bindings, t.n, &t.options, &out, &missing));
  ck_assert_str_eq(missing, "net.w");
  arena_free(t.arena);
  t = trial();
  Node *y[2] = {leaf(&t, F64, "", count_to_24), NULL};
  y[1] = y[0];
  graph_output(t.graph, OUT_VALUE, "out", node_new(t.graph, OP_grad, y, 2, NULL, "grad", NULL));
  ck_assert(!evaluate(t.graph, t.bindings, t.n, &t.options, &out, &missing));
  ck_assert_str_eq(missing, "grad");
  arena_free(t.arena);
}
END_TEST

/* A chain of a hundred thousand nodes: no recursion, and only what is alive in memory. */
START_TEST(long_chains_are_fine) {
  static const double zero[1];
  Trial t = trial();
  Node *x = leaf(&t, F64, "", zero), *one = b_const(&t.b, F64, 1);
  for (int i = 0; i < 100000; i++) x = node_new(t.graph, OP_add, (Node *[]){x, one}, 2, NULL, "x", NULL);
  expect(&t, x, VALUES(100000));
}
END_TEST

START_TEST(schedules_are_scalars) {
  Arena *arena = arena_new();
  Program *p = ir_model_empty(arena);
  Graph *g = graph_new(p, "schedule", NULL);
  Builder b = {g, NULL, "lr"};
  Node *step = ir_leaf(g, OP_counter, "step", type_scalar(F64)), *total = ir_leaf(g, OP_counter, "total", type_scalar(F64));
  Node *epoch = ir_leaf(g, OP_counter, "epoch", type_scalar(F64));
  Node *turn = b_scalar(&b, OP_mul, b_binary(&b, OP_div, step, total), acos(-1));
  Node *lr = b_scalar(&b, OP_mul, b_scalar(&b, OP_add, b_unary(&b, OP_cos, turn), 1), 0.05);
  ck_assert_double_eq(evaluate_scalar(lr, 0, 0, 10), 0.1);
  ck_assert_double_eq_tol(evaluate_scalar(lr, 5, 0, 10), 0.05, 1e-17);
  ck_assert_double_eq(evaluate_scalar(b_binary(&b, OP_add, epoch, step), 3, 2, 10), 5);
  for (int i = 0; i < 100000; i++) step = node_new(g, OP_add, (Node *[]){step, epoch}, 2, NULL, "s", NULL);
  ck_assert_double_eq(evaluate_scalar(step, 7, 1, 10), 100007);
  arena_free(arena);
}
END_TEST

/* ---- random draws ------------------------------------------------------- */

/* FNV-1a of "a" is af63dc4c8601ec8c: seeds that make the keys of Random123's known answers. */
START_TEST(draws_are_philox) {
  const uint64_t hash = 0xaf63dc4c8601ec8cu;
  const double unit = 1.0 / 16777216;
  ck_assert_double_eq(random_draw(hash, "a", 0, 0, 0, 0), 0x6627e8 * unit);
  ck_assert_double_eq(random_draw(~hash, "a", 0xffffffff, 0xffffffff, UINT64_MAX, 0), 0x408f27 * unit);
  ck_assert_double_eq(random_draw(hash ^ 0x299f31d0a4093822u, "a", 0x13198a2e, 0x03707344, 0x85a308d3243f6a88u, 0), 0xd16cfe * unit);
  double normal = sqrt(-2 * log((0x6627e8 + 1) * unit)) * cos(2 * acos(-1) * (0xe169c5 * unit));
  ck_assert_double_eq_tol(random_draw(hash, "a", 0, 0, 0, 1), normal, 1e-15);
}
END_TEST

START_TEST(draws_are_uniform_and_normal) {
  enum { N = 20000 };
  for (int distribution = 0; distribution < 2; distribution++) {
    double sum = 0, squares = 0, low = 1, high = 0;
    for (uint64_t i = 0; i < N; i++) {
      double x = random_draw(1, "net.drop", 2, 0, i, distribution);
      sum += x, squares += x * x, low = fmin(low, x), high = fmax(high, x);
    }
    double mean = sum / N, variance = squares / N - mean * mean;
    ck_assert_double_eq_tol(mean, distribution ? 0 : 0.5, 4 / sqrt(N));
    ck_assert_double_eq_tol(variance, distribution ? 1 : 1.0 / 12, 4 * sqrt(2.0 / N));
    if (!distribution) ck_assert(low >= 0 && high < 1);
  }
}
END_TEST

/* Rows 2 and 3 are drawn alike whether they come with rows 0 and 1 or after them. */
START_TEST(draws_belong_to_elements_of_the_whole_batch) {
  double whole[24];
  for (int first = 0; first < 4; first += 2) {
    Trial t = trial();
    Attrs attrs = {.path = "site", .shape = ir_type(t.program, F32, "B P")};
    Node *draw = node_new(t.graph, OP_random, NULL, 0, &attrs, "draw", NULL);
    t.options = (EvaluateOptions){.rows = first ? 2 : 4, .seed = 3, .step = 5, .first_row = (uint64_t)first};
    if (!first) {
      for (int i = 0; i < 24; i++) whole[i] = random_draw(3, "site", 5, 0, (uint64_t)i, 0);
    }
    expect(&t, draw, first ? 12 : 24, whole + 6 * first);
  }
}
END_TEST

/* ---- optimizers --------------------------------------------------------- */

/* p = 1.5, then four steps with these gradients, by torch.optim (1.13) in float64. */
static const double gradients[] = {0.3, -0.2, 0.05, 0.0};
static const struct { const char *name; double hyper[5], p[4]; } trajectories[] = {
    {"sgd", {0.1, 0, 0, 0, 0}, {1.47, 1.49, 1.485, 1.485}},
    {"sgd", {0.1, 0.9, 0, 0, 0}, {1.47, 1.463, 1.4517, 1.44153}},
    {"sgd", {0.1, 0.9, 0.5, 0.01, 0}, {1.4685, 1.44941575, 1.429015217125, 1.4099402299289374}},
    {"sgd", {0.1, 0.9, 0, 0.01, 1}, {1.44015, 1.449898715, 1.4297138859415, 1.414635992249061}},
    {"adam", {0.001, 0.9, 0.999, 1e-8, 0}, {1.4990000000333332, 1.4988554795092859, 1.498657004726644, 1.4984944262627178}},
    {"adam", {0.01, 0.8, 0.99, 1e-3, 0.1}, {1.4900221729490022, 1.4846650799490448, 1.4782679409826192, 1.4716409043049608}},
    {"adamw", {0.001, 0.9, 0.999, 1e-8, 0.01}, {1.4989850000333333, 1.4988254896592856, 1.4986120266217473, 1.498434462037555}},
    {"adamw", {0.01, 0.8, 0.99, 1e-3, 0.1}, {1.4885332225913621, 1.4861756305916716, 1.4830926425782525, 1.4803881463819188}},
};

START_TEST(optimizers_follow_pytorch) {
  for (size_t i = 0; i < sizeof trajectories / sizeof trajectories[0]; i++) {
    const Optimizer *o = optimizer_find(trajectories[i].name);
    ck_assert_ptr_nonnull(o);
    double p = 1.5, slots[MAX_SLOTS] = {0};
    for (int k = 0; k < 4; k++) {
      p = optimizer_apply(o, trajectories[i].hyper, k + 1, p, gradients[k], slots);
      ck_assert_msg(fabs(p - trajectories[i].p[k]) < 1e-15, "%s %d, step %d: %.17g", o->name, (int)i, k + 1, p);
    }
  }
}
END_TEST

START_TEST(optimizers_have_the_defaults_of_pytorch) {
  const Optimizer *sgd = optimizer_find("sgd"), *adam = optimizer_find("adam"), *adamw = optimizer_find("adamw");
  ck_assert(isnan(sgd->fallback[0])); /* lr must be given */
  for (int i = 1; i < 5; i++) ck_assert_double_eq(sgd->fallback[i], 0);
  ck_assert_str_eq(adamw->hyper[4], "decay");
  ck_assert_double_eq(adam->fallback[4], 0);
  ck_assert_double_eq(adamw->fallback[4], 0.01);
  ck_assert_double_eq(adam->fallback[1], 0.9);
  ck_assert_double_eq(adam->fallback[2], 0.999);
  ck_assert_double_eq(adam->fallback[3], 1e-8);
  ck_assert_ptr_null(optimizer_find("adagrab"));
}
END_TEST

/* p = 3, g = 2, t = 1, lr = 0.5, m = 7. */
static const struct { const char *rule; double p; } rules[] = {
    {"p = p - g * 2", -1},
    {"p = -p ^ g", -9},
    {"p = p ^ -1", 1.0 / 3},
    {"p = p ^ g ^ g", 81},
    {"p = (p + g) / lr - t", 9},
    {"p = min(p, g)", 2},
    {"p = min(g, p)", 2},
    {"p = max(p, g)", 3},
    {"p = max(g, p)", 3},
    {"p = min(sqrt(-1), g)", NAN},
    {"p = min(g, sqrt(-1))", NAN},
    {"p = max(sqrt(-1), g)", NAN},
    {"p = max(g, sqrt(-1))", NAN},
    {"p = sign(p)", 1},
    {"p = sign(-p)", -1},
    {"p = sign(p - 3)", 0},
    {"p = abs(g - p)", 1},
    {"p = sqrt(p + 1)", 2},
    {"p = p == 3 ? 1 : 2", 1},
    {"p = p == g ? 1 : 2", 2},
    {"p = p != g ? 1 : 2", 1},
    {"p = p <= g ? 1 : 2", 2},
    {"p = p >= g ? 1 : 2", 1},
    {"p = p < g ? 1 : 2", 2},
    {"p = p > g ? 1 : p < g ? 2 : 3", 1},
    {"a_1 = g * g; a_2 = a_1 * m; p = a_2", 28},
    {"m = m + 1; p = m", 8},
};
enum { N_RULES = sizeof rules / sizeof rules[0] };

static double apply(const char *rule, double *m) {
  Optimizer o = {.name = "tried", .hyper = {"lr"}, .n_slots = 1, .slot = {"m"}, .rule = rule};
  return optimizer_apply(&o, (double[]){0.5}, 1, 3, 2, m);
}

START_TEST(rules_are_arithmetic) {
  double m = 7, p = apply(rules[_i].rule, &m);
  bool same = isnan(rules[_i].p) ? isnan(p) : p == rules[_i].p;
  ck_assert_msg(same, "%s: %g instead of %g", rules[_i].rule, p, rules[_i].p);
  ck_assert_double_eq(m, strstr(rules[_i].rule, "m = m") ? 8 : 7);
}
END_TEST

START_TEST(a_rule_may_use_every_option) {
  Optimizer o = {.name = "tried", .hyper = {"a", "b", "c", "d", "e", "f", "h", "i"}, .rule = "p = a + b * h - i"};
  ck_assert_double_eq(optimizer_apply(&o, (double[]){1, 2, 3, 4, 5, 6, 7, 8}, 1, 3, 2, NULL), 7);
}
END_TEST

static const char *const wrong_rules[] = {
    "p", "p = (p", "p = ", "p = cbrt(p)", "p = sqrt(p", "p = tan(p)", "p = sine(p)", "p = p > 1 ? 2",
    "a = 1; b = 1; c = 1; d = 1; e = 1; f = 1; h = 1; i = 1; j = 1; k = 1; l = 1; n = 1; o = 1; q = 1; p = 1",
};
enum { N_WRONG_RULES = sizeof wrong_rules / sizeof wrong_rules[0] };

START_TEST(a_wrong_rule_is_our_own_fault) {
  double m = 7;
  apply(wrong_rules[_i], &m);
}
END_TEST

Suite *evaluate_suite(void) {
  Suite *suite = suite_create("evaluate");
  TCase *tests = tcase_create("evaluate");
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, maps_have_the_edge_values_of_pytorch);
  tcase_add_test(tests, logic_and_choice);
  tcase_add_test(tests, casts_truncate);
  tcase_add_test(tests, shapes_broadcast);
  tcase_add_test(tests, rounding_goes_to_the_dtype);
  tcase_add_test(tests, views_follow_the_rows_there_are);
  tcase_add_test(tests, transpose_of_three_axes);
  tcase_add_test(tests, slice_pad_broadcast_iota);
  tcase_add_test(tests, reductions_have_the_edge_values_of_pytorch);
  tcase_add_test(tests, reducing_the_middle_axis);
  tcase_add_test(tests, products_with_each_flag);
  tcase_add_test(tests, gather_and_its_adjoint);
  tcase_add_test(tests, groups_put_out_what_their_bodies_do);
  tcase_add_test(tests, what_is_missing_is_named);
  tcase_add_test(tests, long_chains_are_fine);
  tcase_add_test(tests, schedules_are_scalars);
  tcase_add_test(tests, draws_are_philox);
  tcase_add_test(tests, draws_are_uniform_and_normal);
  tcase_add_test(tests, draws_belong_to_elements_of_the_whole_batch);
  tcase_add_test(tests, optimizers_follow_pytorch);
  tcase_add_test(tests, optimizers_have_the_defaults_of_pytorch);
  tcase_add_loop_test(tests, rules_are_arithmetic, 0, N_RULES);
  tcase_add_test(tests, a_rule_may_use_every_option);
  tcase_add_loop_exit_test(tests, a_wrong_rule_is_our_own_fault, 70, 0, N_WRONG_RULES);
  suite_add_tcase(suite, tests);
  return suite;
}
