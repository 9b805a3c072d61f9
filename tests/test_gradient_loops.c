/* test_gradient_loops.c - gradients of loops against finite differences.
 *
 * What a turn reads may be carried, stacked or the same in all turns, and what
 * it puts out may be read or not: each loop here lacks something, or has two of
 * it, so that the way from the loss to the wanted operand is a particular one.
 */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "tests/graph_kit.h"

enum { TURNS = 3, WIDTH = 2 };

typedef struct Turn {
  Kit *kit;
  Node *loop;
  Builder b; /* in its body */
} Turn;

static Node *param(Kit *kit, const char *path, bool stacked) {
  const int64_t sizes[] = {TURNS, WIDTH};
  Node *leaf = kit_param(kit, path, stacked ? kit_type(F32, 2, sizes) : kit_type(F32, 1, sizes + 1));
  double *data = kit_data(kit, leaf);
  for (int i = 0; i < (stacked ? TURNS * WIDTH : WIDTH); i++) data[i] = 0.3 + 0.01 * (double)kit_random(kit, 100);
  return leaf;
}

static Turn turn_new(Kit *kit, int n, Node *const *in, int carried, int stacked) {
  const int64_t turns = TURNS;
  Attrs attrs = {.path = "l", .space = kit_type(F32, 1, &turns), .carried = carried, .stacked = stacked};
  Node *loop = node_new(kit->graph, OP_loop, in, n, &attrs, "l", NULL);
  loop->body = graph_new(kit->program, "l", kit->graph);
  loop->body->rows = kit->graph->rows;
  return (Turn){kit, loop, {loop->body, NULL, "t"}};
}

static Node *input(Turn *t, int index) {
  Type type = t->loop->in[index]->type;
  if (type.rank == 2) type = (Type){type.dtype, 1, {type.dim[1]}};
  return node_new(t->loop->body, OP_input, NULL, 0, &(Attrs){.index = index, .shape = type}, "in", NULL);
}

static void put_out(Turn *t, Node *value) { graph_output(t->loop->body, OUT_VALUE, NULL, value); }

static Node *result(Turn *t, int index) {
  Attrs attrs = {.index = index, .shape = result_type(t->loop, index)};
  return node_new(t->kit->graph, OP_result, &t->loop, 1, &attrs, "r", NULL);
}

/* Every element counts differently. */
static Node *weighted(Kit *kit, Node *x) {
  Type places = x->type;
  places.dtype = I32;
  Node *weight = b_scalar(&kit->b, OP_add, b_cast(&kit->b, b_iota(&kit->b, &places, 0), F32), 1.5);
  return kit_sum(kit, b_binary(&kit->b, OP_mul, weight, b_unary(&kit->b, OP_sin, x)));
}

/* ---- loops ------------------------------------------------------------------ */

static Node *carried_unread(Kit *kit) { /* each turn forgets what was */
  Node *in[] = {param(kit, "h", false), param(kit, "x", true)};
  Turn t = turn_new(kit, 2, in, 1, 1);
  put_out(&t, b_unary(&t.b, OP_exp, input(&t, 1)));
  return b_binary(&kit->b, OP_add, weighted(kit, result(&t, 0)), kit_sum(kit, in[0]));
}

static Node *carried_read_once(Kit *kit) { /* the first turn alone sees the start */
  Node *in[] = {param(kit, "h", false), param(kit, "x", true)};
  Turn t = turn_new(kit, 2, in, 1, 1);
  Node *h = input(&t, 0), *x = input(&t, 1);
  put_out(&t, b_broadcast(&t.b, b_const(&t.b, F32, 0.75), &h->type));
  put_out(&t, b_binary(&t.b, OP_mul, h, x));
  return weighted(kit, result(&t, 1));
}

/* What is last of the chain gets the value of the one before, a turn later: a way as long as the loop. */
static Node *chain(Kit *kit, bool falls) {
  Node *zero = b_broadcast(&kit->b, b_const(&kit->b, F32, 0.25), &(Type){F32, 1, {dim_literal(WIDTH)}});
  Node *start = param(kit, "h", false), *in[] = {falls ? start : zero, zero, falls ? zero : start};
  Turn t = turn_new(kit, 3, in, 3, 0);
  Node *h[] = {input(&t, 0), input(&t, 1), input(&t, 2)};
  for (int i = 0; i < 3; i++) {
    Node *before = falls ? (i ? h[i - 1] : h[0]) : (i < 2 ? h[i + 1] : h[2]);
    put_out(&t, b_scalar(&t.b, OP_mul, before, 1.5 + i));
  }
  return weighted(kit, result(&t, falls ? 2 : 0));
}
static Node *chain_up(Kit *kit) { return chain(kit, false); }
static Node *chain_down(Kit *kit) { return chain(kit, true); }

static Node *chain_from_stacked(Kit *kit) { /* the first carried value is reached by what is stacked, the second by the first */
  Node *zero = b_broadcast(&kit->b, b_const(&kit->b, F32, 0.25), &(Type){F32, 1, {dim_literal(WIDTH)}});
  Node *in[] = {zero, zero, param(kit, "x", true)};
  Turn t = turn_new(kit, 3, in, 2, 1);
  Node *first = input(&t, 0);
  put_out(&t, b_unary(&t.b, OP_exp, input(&t, 2)));
  put_out(&t, b_scalar(&t.b, OP_mul, first, 3));
  return weighted(kit, result(&t, 1));
}

static Node *stacked_alone(Kit *kit) { /* nothing is carried: operand 0 is stacked */
  Node *in[] = {param(kit, "x", true), param(kit, "w", false)};
  Turn t = turn_new(kit, 2, in, 0, 1);
  put_out(&t, b_binary(&t.b, OP_mul, b_unary(&t.b, OP_sin, input(&t, 0)), input(&t, 1)));
  return weighted(kit, result(&t, 0));
}

static Node *two_results_one_read(Kit *kit) { /* no adjoint comes for the second */
  Node *in[] = {param(kit, "h", false), param(kit, "x", true), param(kit, "w", false)};
  Turn t = turn_new(kit, 3, in, 1, 1);
  Node *next = b_binary(&t.b, OP_add, b_binary(&t.b, OP_mul, input(&t, 0), input(&t, 2)), input(&t, 1));
  put_out(&t, next);
  put_out(&t, b_unary(&t.b, OP_exp, next));
  put_out(&t, b_unary(&t.b, OP_cos, next));
  return weighted(kit, result(&t, 2));
}

static Node *counts_along(Kit *kit) { /* a whole number is carried beside */
  Type ids = {I32, 1, {dim_literal(WIDTH)}};
  Node *in[] = {b_iota(&kit->b, &ids, 0), param(kit, "h", false), param(kit, "x", true)};
  Turn t = turn_new(kit, 3, in, 2, 1);
  Node *count = input(&t, 0), *h = input(&t, 1);
  put_out(&t, b_binary(&t.b, OP_add, count, b_const(&t.b, I32, 1)));
  put_out(&t, b_binary(&t.b, OP_add, b_binary(&t.b, OP_mul, h, b_cast(&t.b, count, F32)), input(&t, 2)));
  return weighted(kit, result(&t, 1));
}

/* The extreme of a map, seen as it is or through a view: saved, not computed again. */
static Node *extreme(Kit *kit, Op op, bool through_view) {
  Node *in[] = {param(kit, "x", true)};
  Turn t = turn_new(kit, 1, in, 0, 1);
  Node *made = b_unary(&t.b, OP_exp, input(&t, 0)), *seen = made;
  if (through_view) seen = b_reshape(&t.b, made, &(Type){F32, 2, {dim_literal(WIDTH), dim_literal(1)}});
  put_out(&t, b_reduce(&t.b, op, seen, seen->type.rank, (int[]){0, 1}, false));
  made->name = "made";
  return weighted(kit, result(&t, 0));
}
static Node *maximum_of_a_map(Kit *kit) { return extreme(kit, OP_max, false); }
static Node *minimum_of_a_map(Kit *kit) { return extreme(kit, OP_min, false); }
static Node *maximum_of_a_view(Kit *kit) { return extreme(kit, OP_max, true); }

static const struct { const char *name; Node *(*make)(Kit *); bool saves; } loops[] = {
    {"carried, unread", carried_unread, false},
    {"carried, read once", carried_read_once, false},
    {"chain up", chain_up, false},
    {"chain down", chain_down, false},
    {"chain from stacked", chain_from_stacked, false},
    {"stacked alone", stacked_alone, false},
    {"two results, one read", two_results_one_read, false},
    {"counts along", counts_along, false},
    {"maximum of a map", maximum_of_a_map, true},
    {"minimum of a map", minimum_of_a_map, true},
    {"maximum of a view", maximum_of_a_view, true},
};
enum { N_LOOPS = sizeof loops / sizeof loops[0] };

static bool saves(const Graph *graph, const char *name) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if (node->op == OP_result && !strcmp(node->in[0]->body->outputs[node->attrs.index].node->name, name)) return true;
  }
  return false;
}

START_TEST(loops_against_differences) {
  Kit *kit = kit_new(7);
  kit_minimize(kit, loops[_i].make(kit));
  ck_assert_msg(kit_run(kit, 0, "gradient", LONG_MAX, NULL), "%s has no gradient", loops[_i].name);
  const char *wrong = kit_check_update(kit);
  ck_assert_msg(!wrong, "%s: %s", loops[_i].name, wrong);
  if (loops[_i].saves) ck_assert_msg(saves(kit->graph, "made"), "%s: it is computed again", loops[_i].name);
  kit_free(kit);
}
END_TEST

/* d2 loss / d operand of the same loops: of the sum of squares of their gradients. */
START_TEST(gradients_of_their_gradients) {
  Kit *kit = kit_new(7);
  Node *loss = loops[_i].make(kit), *squares = loss;
  for (int i = 0, n = kit->n_leaves; i < n; i++) {
    Node *g = kit_grad(kit, loss, kit->leaves[i].node, "g");
    squares = b_binary(&kit->b, OP_add, squares, kit_sum(kit, b_binary(&kit->b, OP_mul, g, g)));
  }
  kit_minimize(kit, squares);
  ck_assert_msg(kit_run(kit, 0, "gradient", LONG_MAX, NULL), "%s has no gradient", loops[_i].name);
  const char *wrong = kit_check_update(kit);
  ck_assert_msg(!wrong, "%s: %s", loops[_i].name, wrong);
  kit_free(kit);
}
END_TEST

Suite *gradient_loops_suite(void) {
  Suite *suite = suite_create("gradient_loops");
  TCase *tests = tcase_create("gradient_loops");
  tcase_add_loop_test(tests, loops_against_differences, 0, N_LOOPS);
  tcase_add_loop_test(tests, gradients_of_their_gradients, 0, N_LOOPS);
  suite_add_tcase(suite, tests);
  return suite;
}
