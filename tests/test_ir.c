/* test_ir.c - memory, text, and graphs: hash-consing, names, whole-graph edits, builders. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

static Arena *arena;
static Program *program;
static Graph *g;
static Builder b;
static Symbol batch = {.name = "B", .size = 64, .rows = true}, hidden = {.name = "H", .size = 128};

static void set_up(void) {
  arena = arena_new();
  program = program_new(arena, "t", "t.mt");
  g = graph_new(program, "train", NULL);
  b = (Builder){g, NULL, "v"};
}
static void tear_down(void) { arena_free(arena); }

static Type shape2(Dim a, Dim c) { return type_shape(F32, 2, (Dim[]){a, c}); }

static Node *input(const char *name) {
  Attrs attrs = {.path = name, .shape = shape2(dim_symbol(&batch), dim_symbol(&hidden))};
  return node_new(g, OP_input, NULL, 0, &attrs, name, NULL);
}

static Node *map(Op op, Node *x, const char *name) { return node_new(g, op, &x, 1, NULL, name, NULL); }

static void check_order(const char *const *names) {
  int n = 0;
  for (; names[n]; n++) {
    ck_assert_int_lt(n, g->n_nodes);
    ck_assert_str_eq(g->nodes[n]->name, names[n]);
    ck_assert_int_eq(g->nodes[n]->id, n);
  }
  ck_assert_int_eq(n, g->n_nodes);
}

/* ---- arena and text ---- */

START_TEST(arena_is_zeroed_and_aligned) {
  for (size_t size = 0; size < 300000; size = size * 3 + 1) {
    unsigned char *bytes = arena_alloc(arena, size);
    ck_assert_uint_eq((uintptr_t)bytes % _Alignof(max_align_t), 0);
    for (size_t i = 0; i < size; i++) ck_assert_uint_eq(bytes[i], 0);
    memset(bytes, 0xff, size);
  }
  int *numbers = NULL, n = 0;
  for (int i = 0; i < 1000; i++) LIST_PUSH(arena, numbers, n, i);
  for (int i = 0; i < 1000; i++) ck_assert_int_eq(numbers[i], i);
  ck_assert_str_eq(arena_print(arena, "%s-%d", "x", 3), "x-3");
  ck_assert_str_eq(arena_copy(arena, "abcdef", 3), "abc");
}
END_TEST

START_TEST(text_grows) {
  Text text = {0};
  for (int i = 0; i < 1000; i++) text_add(&text, "%03d,", i);
  ck_assert_uint_eq(text.length, 4000);
  ck_assert_uint_eq(strlen(text.data), 4000);
  char *taken = text_take(&text, arena);
  ck_assert_str_eq(taken + 3996, "999,");
  ck_assert_ptr_null(text.data);
  ck_assert_str_eq(text_take(&text, arena), "");
}
END_TEST

START_TEST(numbers_read_back) {
  static const struct { double value; const char *text;
  } rows[] = {
      {0, "0"},
      {-0.0, "-0"},
      {1, "1"},
      {20, "20"},
      {-300, "-300"},
      {128, "128"},
      {0.1, "0.1"},
      {1.0 / 3, "0.3333333333333333"},
      {(double)0.1f, "0.10000000149011612"},
      {INFINITY, "inf"},
      {-INFINITY, "-inf"},
      {NAN, "nan"},
      {1e300, "1e+300"},
      {5e-324, "5e-324"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    Text text = {0};
    text_number(&text, rows[i].value);
    ck_assert_str_eq(text.data, rows[i].text);
    text_free(&text);
  }
  uint64_t bits = 1;
  for (int i = 0; i < 20000; i++) {
    double value;
    bits = bits * 6364136223846793005u + 1442695040888963407u;
    memcpy(&value, &bits, sizeof value);
    Text text = {0};
    text_number(&text, value);
    double back = strtod(text.data, NULL);
    ck_assert_msg(isnan(value) ? isnan(back) : !memcmp(&back, &value, sizeof back), "%s", text.data);
    text_free(&text);
  }
}
END_TEST

/* ---- hash-consing and names ---- */

START_TEST(equal_nodes_are_one) {
  Node *x = input("x"), *y = map(OP_relu, x, "y");
  ck_assert_ptr_eq(map(OP_relu, x, "z"), y);
  ck_assert_ptr_eq(map(OP_relu, x, "z"), y);
  ck_assert_ptr_eq(map(OP_relu, x, "y"), y);
  ck_assert_int_eq(y->n_aliases, 1);
  ck_assert_str_eq(y->aliases[0], "z");
  ck_assert_ptr_ne(map(OP_exp, x, "e"), y);
  Attrs a = {.n_axes = 1, .axes = {1}}, keep = {.n_axes = 1, .axes = {1}, .keep = true},
        other = {.n_axes = 1, .axes = {0}};
  Node *sum = node_new(g, OP_sum, &x, 1, &a, "s", NULL);
  ck_assert_ptr_eq(node_new(g, OP_sum, &x, 1, &a, "s", NULL), sum);
  ck_assert_ptr_ne(node_new(g, OP_sum, &x, 1, &keep, "s", NULL), sum);
  ck_assert_ptr_ne(node_new(g, OP_sum, &x, 1, &other, "s", NULL), sum);
}
END_TEST

START_TEST(constants_by_their_bits) {
  Node *zero = b_const(&b, F32, 0);
  ck_assert_ptr_eq(b_const(&b, F32, 0), zero);
  ck_assert_ptr_ne(b_const(&b, F32, -0.0), zero);
  ck_assert_ptr_ne(b_const(&b, F64, 0), zero);
  ck_assert_ptr_eq(b_const(&b, F32, NAN), b_const(&b, F32, NAN));
  b.prefix = "elsewhere";
  ck_assert_ptr_eq(b_const(&b, F32, 0), zero);
  ck_assert_int_eq(zero->n_aliases, 0);
}
END_TEST

/* The hash leaves out some attributes and adds up others: nodes that differ in these alone are still two. */
START_TEST(equal_hashes_are_not_equal_nodes) {
  Symbol four = {.name = "F", .size = 4};
  char product[] = "2 * 2", again[] = "2 * 2";
  enum { N = 15 };
  Attrs a[N];
  Node *nodes[N];
  for (int i = 0; i < N; i++) a[i] = (Attrs){.path = "d.x", .shape = shape2(dim_literal(4), dim_literal(6))};
  a[1].high = 1;
  a[2].symbol = &batch;
  a[3].axis = 1;
  a[4].index = 8;
  a[5].start[0] = 1;
  a[6].step[0] = 7;
  a[7].distribution = 1;
  a[8].pattern = 2;
  a[9].shape.dim[0].symbol = &four;
  a[10].shape.dim[0].rows = &batch;
  a[11].shape.dim[0].text = product;
  a[12].shape.dim[0].text = "4 * 1";
  a[13].path = NULL;
  a[14].path = "";
  for (int i = 0; i < N; i++) nodes[i] = node_new(g, OP_input, NULL, 0, &a[i], "x", NULL);
  for (int i = 0; i < N; i++)
    for (int k = 0; k < i; k++) ck_assert_msg(nodes[i] != nodes[k], "%d and %d are one", i, k);
  a[11].shape.dim[0].text = again;
  for (int i = 0; i < N; i++) ck_assert_ptr_eq(node_new(g, OP_input, NULL, 0, &a[i], "x", NULL), nodes[i]);
}
END_TEST

START_TEST(draws_by_their_site) {
  Attrs a = {.path = "net.drop", .shape = type_scalar(F32)}, c = {.path = "net.drop2", .shape = type_scalar(F32)};
  Node *first = node_new(g, OP_random, NULL, 0, &a, "r", NULL);
  ck_assert_ptr_eq(node_new(g, OP_random, NULL, 0, &a, "r", NULL), first);
  ck_assert_ptr_ne(node_new(g, OP_random, NULL, 0, &c, "r", NULL), first);
}
END_TEST

START_TEST(groups_stay_apart) {
  Attrs attrs = {.space = type_scalar(F32)};
  Node *x = input("x"), *one = node_new(g, OP_group, &x, 1, &attrs, "group", NULL),
       *two = node_new(g, OP_group, &x, 1, &attrs, "group", NULL);
  ck_assert_ptr_ne(one, two);
  ck_assert_str_eq(two->name, "group.2");
}
END_TEST

START_TEST(names_are_unique) {
  Node *x = input("x"), *y = map(OP_relu, x, "y");
  ck_assert_ptr_eq(map(OP_relu, x, "also"), y);
  ck_assert_str_eq(map(OP_exp, x, "y")->name, "y.2");
  ck_assert_str_eq(map(OP_abs, x, "y")->name, "y.3");
  ck_assert_str_eq(map(OP_sin, x, "also")->name, "also.2");
  ck_assert_str_eq(map(OP_cos, x, "y.2")->name, "y.2.2");
  graph_uncons(g);
  ck_assert_str_eq(map(OP_neg, x, "y")->name, "y.4");
  ck_assert_str_eq(map(OP_sign, x, "also")->name, "also.3");
  ck_assert_ptr_eq(graph_find(g, "y.3"), g->nodes[3]);
  ck_assert_ptr_null(graph_find(g, "nobody"));
}
END_TEST

START_TEST(new_types_must_fit) {
  Node *x = input("x"), *y = b_reduce(&b, OP_sum, x, 1, (int[]){1}, false);
  b_binary(&b, OP_add, x, y);
}
END_TEST

/* ---- whole-graph edits ---- */

START_TEST(sorts_operands_first) {
  Node *x = input("x"), *a = map(OP_relu, x, "a"), *c = map(OP_exp, a, "c"), *d = map(OP_log, c, "d");
  check_order((const char *[]){"x", "a", "c", "d", NULL});
  graph_sort(g);
  check_order((const char *[]){"x", "a", "c", "d", NULL});
  g->nodes[0] = d, g->nodes[1] = c, g->nodes[2] = x, g->nodes[3] = a;
  graph_sort(g);
  check_order((const char *[]){"x", "a", "c", "d", NULL});
}
END_TEST

START_TEST(refuses_cycles) {
  Node *x = input("x"), *a = map(OP_relu, x, "a"), *c = map(OP_exp, a, "c");
  a->in[0] = c;
  graph_sort(g);
}
END_TEST

START_TEST(sweeps_what_nobody_needs) {
  Node *x = input("x"), *unused = input("unused"), *a = map(OP_relu, x, "a");
  map(OP_exp, unused, "dead");
  map(OP_log, a, "dead2");
  graph_output(g, OUT_LOG, "a", a);
  graph_sweep(g);
  check_order((const char *[]){"x", "unused", "a", NULL});
  ck_assert_ptr_ne(map(OP_exp, unused, "dead"), NULL);
  ck_assert_str_eq(g->nodes[3]->name, "dead");
}
END_TEST

START_TEST(replaces_every_use) {
  Node *x = input("x"), *a = map(OP_relu, x, "a"), *c = map(OP_exp, a, "c"), *two = b_binary(&b, OP_add, a, a),
       *n = map(OP_abs, x, "n");
  graph_output(g, OUT_VALUE, "a", a);
  graph_replace(g, a, n);
  ck_assert(c->in[0] == n && two->in[0] == n && two->in[1] == n && g->outputs[0].node == n);
  ck_assert_ptr_eq(map(OP_exp, n, "c2"), c);
  Node *copy = map(OP_copy, n, "copy");
  graph_replace(g, n, copy);
  ck_assert(copy->in[0] == n && c->in[0] == copy && g->outputs[0].node == copy);
}
END_TEST

START_TEST(replaces_along_chains) {
  Node *x = input("x"), *a = map(OP_relu, x, "a"), *c = map(OP_exp, x, "c"), *d = map(OP_log, x, "d"),
       *use = map(OP_neg, a, "use");
  graph_output(g, OUT_VALUE, "a", a);
  Node *wrapped = map(OP_copy, d, "wrapped");
  Node **to = arena_alloc(arena, sizeof *to * (size_t)g->n_nodes);
  to[a->id] = c, to[c->id] = d, to[d->id] = wrapped;
  graph_replace_all(g, to);
  ck_assert(use->in[0] == wrapped && g->outputs[0].node == wrapped && wrapped->in[0] == d);
}
END_TEST

START_TEST(counts_uses) {
  Node *x = input("x"), *a = map(OP_relu, x, "a"), *two = b_binary(&b, OP_mul, a, a);
  graph_output(g, OUT_VALUE, "v", two);
  graph_output(g, OUT_LOG, "a", a);
  int *uses = graph_uses(g, arena);
  ck_assert(uses[x->id] == 1 && uses[a->id] == 3 && uses[two->id] == 1);
}
END_TEST

/* A chain as long as no recursion and no quadratic step would bear. */
START_TEST(is_linear_on_long_graphs) {
  enum { N = 100000 };
  Node *x = input("x"), *last = x;
  for (int i = 0; i < N; i++) {
    last = map(i % 2 ? OP_relu : OP_neg, last, "step");
    ck_assert_ptr_eq(map(OP_abs, x, arena_print(arena, "alias%d", i)), g->nodes[2]);
  }
  ck_assert_int_eq(g->n_nodes, N + 2);
  ck_assert_str_eq(last->name, "step.100000");
  graph_output(g, OUT_VALUE, "last", last);
  for (int i = 0; i < g->n_nodes / 2; i++) {
    Node *kept = g->nodes[i];
    g->nodes[i] = g->nodes[g->n_nodes - 1 - i];
    g->nodes[g->n_nodes - 1 - i] = kept;
  }
  graph_sort(g);
  for (int i = 0; i < g->n_nodes; i++)
    for (int k = 0; k < g->nodes[i]->n_in; k++) ck_assert_int_lt(g->nodes[i]->in[k]->id, i);
  graph_sweep(g);
  ck_assert_int_eq(g->n_nodes, N + 1);
  Node **to = arena_alloc(arena, sizeof *to * (size_t)g->n_nodes);
  for (int i = 1; i < g->n_nodes; i++) to[g->nodes[i]->id] = g->nodes[i]->in[0];
  graph_replace_all(g, to);
  ck_assert_ptr_eq(g->outputs[0].node, x);
  graph_sweep(g);
  ck_assert_int_eq(g->n_nodes, 1);
}
END_TEST

START_TEST(tables_keep_their_room) {
  Node *x = input("x"), *a = map(OP_relu, x, "a");
  for (int i = 0; i < 2000; i++) {
    graph_replace(g, a, a);
    ck_assert_ptr_eq(map(OP_relu, x, "a"), a);
  }
  void *table = g->cons;
  graph_uncons(g);
  map(OP_exp, x, "e");
  ck_assert_ptr_eq(g->cons, table);
}
END_TEST

START_TEST(lists_graphs_in_order) {
  ck_assert_ptr_null(program_graphs(program)[0]);
  Eval evals[2] = {{.batch = graph_new(program, "eval0", NULL), .finish = graph_new(program, "eval0.finish", NULL)},
                   {.batch = graph_new(program, "eval1", NULL)}};
  program->has_train = program->has_predict = true;
  program->train.graph = g;
  program->n_evals = 2;
  program->evals = evals;
  program->predict.graph = graph_new(program, "predict", NULL);
  program->schedule = graph_new(program, "schedule", NULL);
  static const char *const names[] = {"train", "eval0", "eval0.finish", "eval1", "predict", "schedule"};
  Graph **graphs = program_graphs(program);
  for (int i = 0; i < 6; i++) ck_assert_str_eq(graphs[i]->name, names[i]);
  ck_assert_ptr_null(graphs[6]);
}
END_TEST

/* ---- builders ---- */

START_TEST(builders_skip_what_changes_nothing) {
  Node *x = input("x");
  ck_assert_ptr_eq(b_cast(&b, x, F32), x);
  ck_assert_ptr_eq(b_reshape(&b, x, &x->type), x);
  ck_assert_ptr_eq(b_broadcast(&b, x, &x->type), x);
  ck_assert_ptr_eq(b_transpose(&b, x, (int[]){0, 1}), x);
  ck_assert_ptr_eq(b_sum_to(&b, x, &x->type), x);
  ck_assert_int_eq(g->n_nodes, 1);
  ck_assert_int_eq(b_cast(&b, x, I32)->type.dtype, I32);
  ck_assert_str_eq(b_transpose(&b, x, (int[]){1, 0})->name, "v.transpose");
  Node *scaled = b_scalar(&b, OP_mul, b_cast(&b, x, BF16), 2);
  ck_assert_int_eq(scaled->in[1]->type.dtype, BF16);
  ck_assert_int_eq(scaled->type.dtype, BF16);
}
END_TEST

START_TEST(sums_back_to_a_shape) {
  Node *x = input("x");
  Type column = shape2(dim_symbol(&batch), dim_literal(1)), vector = type_shape(F32, 1, (Dim[]){dim_symbol(&hidden)}),
       scalar = type_scalar(F32);
  Node *to_column = b_sum_to(&b, x, &column), *to_vector = b_sum_to(&b, x, &vector),
       *to_scalar = b_sum_to(&b, x, &scalar);
  ck_assert(to_column->op == OP_reshape && to_column->in[0]->op == OP_sum && to_column->in[0]->attrs.axes[0] == 1);
  ck_assert(to_vector->op == OP_sum && to_vector->attrs.n_axes == 1 && to_vector->attrs.axes[0] == 0);
  ck_assert(to_scalar->op == OP_sum && to_scalar->attrs.n_axes == 2 && to_scalar->type.rank == 0);
  ck_assert(type_same_shape(&to_column->type, &column) && type_same_shape(&to_vector->type, &vector));
}
END_TEST

/* What a count is at 5 rows. */
static double count_at(const Type *t, int n_axes, const int *axes, DType dtype) {
  Node *count = b_count(&b, t, n_axes, axes, dtype);
  ck_assert_int_eq(count->type.dtype, dtype);
  ck_assert_int_eq(count->type.rank, 0);
  graph_output(g, OUT_VALUE, "count", count);
  g->rows = &batch;
  Tensor *out = calloc((size_t)g->n_outputs, sizeof *out);
  const char *missing = NULL;
  ck_assert(evaluate(g, NULL, 0, &(EvaluateOptions){.rows = 5}, out, &missing));
  double value = out[g->n_outputs - 1].data[0];
  for (int i = 0; i < g->n_outputs; i++) tensor_free(&out[i]);
  free(out);
  return value;
}

START_TEST(counts_rows_there_are) {
  Dim merged = {.size = 64 * 8, .text = "B * 8", .rows = &batch};
  Type t = type_shape(F32, 3, (Dim[]){dim_symbol(&batch), dim_literal(3), dim_symbol(&hidden)}),
       m = shape2(merged, dim_literal(3));
  Type square = shape2(dim_symbol(&batch), dim_symbol(&batch));
  ck_assert_double_eq(count_at(&t, 2, (int[]){1, 2}, F32), 3 * 128);
  ck_assert_double_eq(count_at(&t, 2, (int[]){0, 1}, F32), 5 * 3);
  ck_assert_double_eq(count_at(&t, 1, (int[]){0}, I32), 5);
  ck_assert_double_eq(count_at(&m, 2, (int[]){0, 1}, F64), 5 * 8 * 3);
  ck_assert_double_eq(count_at(&square, 2, (int[]){0, 1}, F32), 25);
  ck_assert_double_eq(count_at(&t, 0, NULL, F32), 1);
}
END_TEST

Suite *ir_suite(void) {
  Suite *suite = suite_create("ir");
  TCase *tests = tcase_create("ir");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_set_timeout(tests, 60);
  tcase_add_test(tests, arena_is_zeroed_and_aligned);
  tcase_add_test(tests, text_grows);
  tcase_add_test(tests, numbers_read_back);
  tcase_add_test(tests, equal_nodes_are_one);
  tcase_add_test(tests, constants_by_their_bits);
  tcase_add_test(tests, equal_hashes_are_not_equal_nodes);
  tcase_add_test(tests, draws_by_their_site);
  tcase_add_test(tests, groups_stay_apart);
  tcase_add_test(tests, names_are_unique);
  tcase_add_exit_test(tests, new_types_must_fit, 70);
  tcase_add_test(tests, sorts_operands_first);
  tcase_add_exit_test(tests, refuses_cycles, 70);
  tcase_add_test(tests, sweeps_what_nobody_needs);
  tcase_add_test(tests, replaces_every_use);
  tcase_add_test(tests, replaces_along_chains);
  tcase_add_test(tests, counts_uses);
  tcase_add_test(tests, is_linear_on_long_graphs);
  tcase_add_test(tests, tables_keep_their_room);
  tcase_add_test(tests, lists_graphs_in_order);
  tcase_add_test(tests, builders_skip_what_changes_nothing);
  tcase_add_test(tests, sums_back_to_a_shape);
  tcase_add_test(tests, counts_rows_there_are);
  suite_add_tcase(suite, tests);
  return suite;
}
