/* test_verify_plan.c - whose bytes a value may be written over: what the verifier lets pass in a planned program, and
 * what it names. */
#include <check.h>
#include <string.h>

#include "tests/ir_models.h"

/* relu writes over its operand, which dies there; not so where a transpose reads it. */
static const char *plan_in_place(Arena *arena, bool through_view) {
  Program *p = ir_model_empty(arena);
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type square = ir_type(p, F32, "6 6");
  Param w = {.path = "w", .type = square};
  LIST_PUSH(arena, p->params, p->n_params, w);
  Node *x = b_unary(&b, OP_exp, ir_leaf(g, OP_param, "w", square));
  Node *group = ir_group(g, PATTERN_MAP, &square, 1, &x, "g");
  Builder inside = {group->body, NULL, "g"};
  Node *in = ir_group_input(group, 0);
  graph_output(group->body, OUT_VALUE, NULL, b_unary(&inside, OP_relu, through_view ? b_transpose(&inside, in, (int[]){1, 0}) : in));
  Node *out = ir_group_result(g, group, 0);
  graph_output(g, OUT_VALUE, "out", out);
  x->home = out->home = HOME_ARENA;
  g->arena_bytes = 256;
  return program_verify(p, arena);
}

START_TEST(in_place_is_for_the_same_element) {
  Arena *arena = arena_new();
  const char *wrong = plan_in_place(arena, false);
  ck_assert_msg(!wrong, "%s", wrong);
  wrong = plan_in_place(arena, true);
  ck_assert_ptr_nonnull(wrong);
  ck_assert_str_eq(wrong, "train: %g.relu: its bytes in the arena are those of %v.exp, which is still alive");
  arena_free(arena);
}
END_TEST

/* Who writes over which operand: `make` gives the writer of what stands in x's place, x: exp of [H, H]. */
static Node *group_over(Builder *b, Node *x, GroupPattern pattern, int n_in, Node *const *in) {
  Node *group = ir_group(b->graph, pattern, &x->type, n_in, in, "g");
  Builder inside = {group->body, NULL, "g"};
  Node *first = ir_group_input(group, 0), *out = first;
  if (n_in == 2) out = b_binary(&inside, OP_add, first, ir_group_input(group, 1));
  if (pattern == PATTERN_ROW) {
    group->attrs.n_axes = group->attrs.axes[0] = 1;
    out = b_binary(&inside, OP_add, ir_group_input(group, 1), b_reduce(&inside, OP_sum, first, 1, (int[]){1}, true));
  }
  graph_output(group->body, OUT_VALUE, NULL, b_unary(&inside, OP_neg, out));
  return ir_group_result(b->graph, group, 0);
}
static Node *other_input(Builder *b, Node *x) { return b_unary(b, OP_exp, b_unary(b, OP_sin, b_iota(b, &x->type, 1))); }
static Node *map_of_it(Builder *b, Node *x) { return b_unary(b, OP_neg, x); }
static Node *map_of_two(Builder *b, Node *x) { return b_binary(b, OP_add, other_input(b, x), x); }
static Node *group_of_two(Builder *b, Node *x) { return group_over(b, x, PATTERN_MAP, 2, (Node *[]){x, other_input(b, x)}); }
static Node *map_of_a_view(Builder *b, Node *x) { return b_unary(b, OP_neg, b_transpose(b, x, (int[]){1, 0})); }
static Node *group_of_both(Builder *b, Node *x, bool turned_first) { /* at the point, and across it */
  Node *group = ir_group(b->graph, PATTERN_MAP, &x->type, 1, &x, "g");
  Builder inside = {group->body, NULL, "g"};
  Node *in = ir_group_input(group, 0), *turned = b_transpose(&inside, in, (int[]){1, 0});
  graph_output(group->body, OUT_VALUE, NULL, turned_first ? b_binary(&inside, OP_sub, turned, in) : b_binary(&inside, OP_sub, in, turned));
  return ir_group_result(b->graph, group, 0);
}
static Node *group_of_it_and_turned(Builder *b, Node *x) { return group_of_both(b, x, false); }
static Node *group_of_turned_and_it(Builder *b, Node *x) { return group_of_both(b, x, true); }
static Node *map_of_an_alias(Builder *b, Node *x) {
  Node *same = b_reshape(b, x, &(Type){F32, 3, {dim_literal(3), dim_literal(3), dim_literal(1)}});
  same->home = HOME_ALIAS;
  return b_unary(b, OP_neg, same);
}
static Node *map_to_a_wider_shape(Builder *b, Node *x) { /* as many bytes from the same place on, and more behind them */
  Node *wide = b_iota(b, &(Type){F32, 3, {dim_literal(2), dim_literal(3), dim_literal(3)}}, 0);
  return b_binary(b, OP_add, x, wide);
}
static Node *map_to_another_dtype(Builder *b, Node *x) { return b_cast(b, x, I32); }
static Node *product_of_it(Builder *b, Node *x) { return b_matmul(b, x, x, false, false); }
static Node *group_of_product(Builder *b, Node *x) {
  Node *group = ir_group(b->graph, PATTERN_MATMUL, &x->type, 1, &x, "g");
  Builder inside = {group->body, NULL, "g"};
  Node *in = ir_group_input(group, 0);
  graph_output(group->body, OUT_VALUE, NULL, b_matmul(&inside, in, in, false, false));
  return ir_group_result(b->graph, group, 0);
}
static Node *rows_column(Builder *b, Node *x) { /* a column of numbers, one a row: read by the whole row */
  Type column = {F32, 2, {dim_literal(3), dim_literal(1)}};
  (void)x;
  return b_unary(b, OP_exp, b_iota(b, &column, 0));
}

static const struct { const char *name; Node *(*make)(Builder *, Node *); bool fits; } in_places[] = {
    {"map", map_of_it, true},
    {"map of two", map_of_two, true},
    {"group of two", group_of_two, true},
    {"map of an alias", map_of_an_alias, true},
    {"map of a view", map_of_a_view, false},
    {"map to a wider shape", map_to_a_wider_shape, false},
    {"map to another dtype", map_to_another_dtype, false},
    {"product", product_of_it, false},
    {"group of product", group_of_product, false},
    {"group of it and turned", group_of_it_and_turned, false},
    {"group of turned and it", group_of_turned_and_it, false},
};
enum { N_IN_PLACES = sizeof in_places / sizeof in_places[0] };

START_TEST(only_maps_write_over_their_operand) {
  Arena *arena = arena_new();
  Program *p = ir_model_empty(arena);
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type square = {F32, 2, {dim_literal(3), dim_literal(3)}};
  Node *x = b_unary(&b, OP_exp, b_iota(&b, &square, 0)), *out = in_places[_i].make(&b, x);
  graph_output(g, OUT_VALUE, "out", out);
  x->home = out->home = HOME_ARENA;
  g->arena_bytes = 256;
  const char *wrong = program_verify(p, arena);
  if (in_places[_i].fits)
    ck_assert_msg(!wrong, "%s: %s", in_places[_i].name, wrong);
  else
    ck_assert_msg(wrong && strstr(wrong, "its bytes in the arena are those of %v.exp, which is still alive"), "%s: %s",
                  in_places[_i].name, wrong ? wrong : "nothing");
  arena_free(arena);
}
END_TEST

/* A row group that reads a column of numbers, one a row, and puts out a column: what one row writes, it has read. */
START_TEST(a_column_is_not_the_space) {
  Arena *arena = arena_new();
  Program *p = ir_model_empty(arena);
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type square = {F32, 2, {dim_literal(3), dim_literal(3)}};
  Node *x = b_unary(&b, OP_sin, b_iota(&b, &square, 0)), *column = rows_column(&b, x);
  Node *out = group_over(&b, x, PATTERN_ROW, 2, (Node *[]){x, column});
  graph_output(g, OUT_VALUE, "out", out);
  column->home = out->home = HOME_ARENA;
  g->arena_bytes = 256;
  const char *wrong = program_verify(p, arena);
  ck_assert_ptr_nonnull(wrong);
  ck_assert_str_eq(wrong, "train: %g.neg: its bytes in the arena are those of %v.exp, which is still alive");
  arena_free(arena);
}
END_TEST

/* Both are written by the group, the later one of the list first: their bytes must be apart whatever the order, and
 * though nobody reads them. */
START_TEST(results_of_one_group_are_apart) {
  bool read = _i == 0;
  for (int second = 0; second <= 512; second += 256) {
    Arena *arena = arena_new();
    Program *p = ir_model_empty(arena);
    Graph *g = p->train.graph;
    Builder b = {g, NULL, "v"};
    Type square = {F32, 2, {dim_literal(3), dim_literal(3)}};
    Node *x = b_iota(&b, &square, 0), *group = ir_group(g, PATTERN_MAP, &square, 1, &x, "g");
    Node *between = b_unary(&b, OP_exp, x);
    Builder inside = {group->body, NULL, "g"};
    Node *in = ir_group_input(group, 0);
    graph_output(group->body, OUT_VALUE, NULL, b_unary(&inside, OP_sin, in));
    graph_output(group->body, OUT_VALUE, NULL, b_unary(&inside, OP_cos, in));
    Node *one = ir_group_result(g, group, 0), *two = ir_group_result(g, group, 1);
    if (read) graph_output(g, OUT_VALUE, "one", one);
    if (read) graph_output(g, OUT_VALUE, "two", two);
    graph_output(g, OUT_VALUE, "between", between);
    one->home = two->home = between->home = HOME_ARENA;
    one->offset = 256;
    two->offset = second;
    between->offset = 768;
    g->arena_bytes = 1024;
    const char *wrong = program_verify(p, arena);
    ck_assert_msg(second == 256 ? wrong && strstr(wrong, "its bytes in the arena are those of %g.") : !wrong,
                  "second at %d: %s", second, wrong ? wrong : "nothing");
    arena_free(arena);
  }
}
END_TEST

/* The first node, or output 0, is told over like any other. */
static const struct { bool read_later; const char *message; } firsts[] = {
    {true, "train: %v.iota.2: its bytes in the arena are those of %v.iota, which is still alive"},
    {false, "train: %v.iota.2: its bytes in the arena are those of %v.iota, which is still alive"},
};
START_TEST(the_first_is_alive_too) {
  Arena *arena = arena_new();
  Program *p = ir_model_empty(arena);
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type square = {I32, 2, {dim_literal(3), dim_literal(3)}};
  Node *x = b_iota(&b, &square, 0), *y = b_iota(&b, &square, 1);
  graph_output(g, OUT_VALUE, "first", firsts[_i].read_later ? b_binary(&b, OP_add, x, y) : x);
  graph_output(g, OUT_VALUE, "second", y);
  x->home = y->home = HOME_ARENA;
  g->arena_bytes = 256;
  const char *wrong = program_verify(p, arena);
  ck_assert_ptr_nonnull(wrong);
  ck_assert_str_eq(wrong, firsts[_i].message);
  arena_free(arena);
}
END_TEST

/* A result is written by its group, before what stands between the two. */
START_TEST(a_result_is_as_old_as_its_group) {
  Arena *arena = arena_new();
  Program *p = ir_model_empty(arena);
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type square = {F32, 2, {dim_literal(3), dim_literal(3)}};
  Node *x = b_iota(&b, &square, 0), *group = ir_group(g, PATTERN_MAP, &square, 1, &x, "g"), *between = b_unary(&b, OP_exp, x);
  Builder inside = {group->body, NULL, "g"};
  graph_output(group->body, OUT_VALUE, NULL, b_unary(&inside, OP_sin, ir_group_input(group, 0)));
  Node *result = ir_group_result(g, group, 0);
  graph_output(g, OUT_VALUE, "result", result);
  graph_output(g, OUT_VALUE, "between", between);
  result->home = between->home = HOME_ARENA;
  g->arena_bytes = 256;
  const char *wrong = program_verify(p, arena);
  ck_assert_ptr_nonnull(wrong);
  ck_assert_str_eq(wrong, "train: %v.exp: its bytes in the arena are those of %g.sin, which is still alive");
  arena_free(arena);
}
END_TEST

Suite *verify_plan_suite(void) {
  Suite *suite = suite_create("verify_plan");
  TCase *tests = tcase_create("verify_plan");
  tcase_add_test(tests, in_place_is_for_the_same_element);
  tcase_add_loop_test(tests, only_maps_write_over_their_operand, 0, N_IN_PLACES);
  tcase_add_test(tests, a_column_is_not_the_space);
  tcase_add_loop_test(tests, results_of_one_group_are_apart, 0, 2);
  tcase_add_loop_test(tests, the_first_is_alive_too, 0, sizeof firsts / sizeof firsts[0]);
  tcase_add_test(tests, a_result_is_as_old_as_its_group);
  suite_add_tcase(suite, tests);
  return suite;
}
