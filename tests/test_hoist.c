/* test_hoist.c - sums over turns that leave their loop, and lookalikes that must stay.
 *
 * Each program is evaluated before and after the pass, and the rewrites are
 * counted: a condition that is not asked for lets a lookalike go, whose value
 * then differs, or whose count does.
 */
#include <check.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/graph_kit.h"

enum { TURNS = 3, ROWS = 2, WIDE = 4, TALL = 3 };

typedef struct Turn {
  Kit *kit;
  Graph *outside;
  Node *loop;
  Builder b; /* in its body */
} Turn;

static Type shaped(int rank, const int64_t *size) { return kit_type(F32, rank, size); }
#define SHAPE(...) shaped(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static Node *param(Kit *kit, const char *path, Type type) {
  Node *leaf = kit_param(kit, path, type);
  double *data = kit_data(kit, leaf);
  for (int64_t i = 0; i < type_count(&type); i++) data[i] = (double)kit_random(kit, 200) / 100 - 1;
  return leaf;
}
static Node *filled(Builder *b, double value, Type type) { return b_broadcast(b, b_const(b, F32, value), &type); }

static Turn turn_new(Kit *kit, Graph *outside, const char *path, int n, Node *const *in, int carried, int stacked) {
  Attrs attrs = {.path = path, .space = SHAPE(TURNS), .carried = carried, .stacked = stacked};
  Node *loop = node_new(outside, OP_loop, in, n, &attrs, path, NULL);
  loop->body = graph_new(kit->program, path, outside);
  loop->body->rows = kit->graph->rows;
  return (Turn){kit, outside, loop, {loop->body, NULL, "t"}};
}

static Node *input(Turn *t, int index) {
  const Attrs *a = &t->loop->attrs;
  Type type = t->loop->in[index]->type;
  if (index >= a->carried && index < a->carried + a->stacked) {
    type.rank--;
    memmove(type.dim, type.dim + 1, (size_t)type.rank * sizeof *type.dim);
  }
  return node_new(t->loop->body, OP_input, NULL, 0, &(Attrs){.index = index, .shape = type}, "in", NULL);
}
static void put_out(Turn *t, Node *value) { graph_output(t->loop->body, OUT_VALUE, NULL, value); }
static Node *result(Turn *t, int index) {
  Attrs attrs = {.index = index, .shape = result_type(t->loop, index)};
  return node_new(t->outside, OP_result, &t->loop, 1, &attrs, "r", NULL);
}
static Node *sum_to(Turn *t, Node *carried, Node *term) { return b_binary(&t->b, OP_add, carried, term); }

/* s, then a and b of each turn, then w of all of them; s begins with zeros. */
static Turn of_rows(Kit *kit, Type sum, Node *start) {
  Node *in[] = {start ? start : filled(&kit->b, 0, sum), param(kit, "a", SHAPE(TURNS, ROWS, TALL)),
                param(kit, "b", SHAPE(TURNS, ROWS, WIDE)), param(kit, "w", SHAPE(ROWS, WIDE))};
  return turn_new(kit, kit->graph, "l", 4, in, 1, 2);
}
static Turn of_weight(Kit *kit) { return of_rows(kit, SHAPE(TALL, WIDE), NULL); }
static Node *product(Turn *t) { return b_matmul(&t->b, input(t, 1), input(t, 2), true, false); }
static Node *added(Turn *t, Node *term) { return put_out(t, sum_to(t, input(t, 0), term)), result(t, 0); }

/* ---- sums that leave ----------------------------------------------------------- */

static Node *a_product(Kit *kit) {
  Turn t = of_weight(kit);
  return added(&t, product(&t));
}

static Node *from_something(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(TALL, WIDE), param(kit, "s", SHAPE(TALL, WIDE)));
  return added(&t, product(&t));
}

static Node *last_turn_first(Kit *kit) {
  Turn t = of_weight(kit);
  t.loop->attrs.reverse = true;
  return added(&t, product(&t));
}

/* What is contracted stands in whichever axis. */
static Node *contracted(Kit *kit, bool ta, bool tb) {
  Node *in[] = {filled(&kit->b, 0, SHAPE(TALL, WIDE)), param(kit, "a", ta ? SHAPE(TURNS, ROWS, TALL) : SHAPE(TURNS, TALL, ROWS)),
                param(kit, "b", tb ? SHAPE(TURNS, WIDE, ROWS) : SHAPE(TURNS, ROWS, WIDE))};
  Turn t = turn_new(kit, kit->graph, "l", 3, in, 1, 2);
  return added(&t, b_matmul(&t.b, input(&t, 1), input(&t, 2), ta, tb));
}
static Node *rows_of_both(Kit *kit) { return contracted(kit, true, false); }
static Node *columns_of_both(Kit *kit) { return contracted(kit, false, true); }
static Node *columns_of_the_left(Kit *kit) { return contracted(kit, false, false); }
static Node *columns_of_the_right(Kit *kit) { return contracted(kit, true, true); }

static Node *term_first(Kit *kit) {
  Turn t = of_weight(kit);
  put_out(&t, sum_to(&t, product(&t), input(&t, 0)));
  return result(&t, 0);
}

static Node *two_terms(Kit *kit) {
  Turn t = of_weight(kit);
  Node *twice = b_matmul(&t.b, input(&t, 1), b_unary(&t.b, OP_sin, input(&t, 2)), true, false);
  put_out(&t, sum_to(&t, sum_to(&t, input(&t, 0), product(&t)), twice));
  return result(&t, 0);
}

static Node *a_sum_of_terms(Kit *kit) {
  Turn t = of_weight(kit);
  Node *other = b_matmul(&t.b, b_unary(&t.b, OP_sin, input(&t, 1)), input(&t, 2), true, false);
  return added(&t, b_binary(&t.b, OP_add, product(&t), other));
}

static Node *a_sum_of_unequal_terms(Kit *kit) { /* [TALL, WIDE] and [WIDE] */
  Turn t = of_weight(kit);
  return added(&t, b_binary(&t.b, OP_add, b_reduce(&t.b, OP_sum, input(&t, 2), 1, (int[]){0}, false), product(&t)));
}

static Node *views_of_a_product(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(WIDE + 1, TALL), NULL);
  Node *turned = b_transpose(&t.b, product(&t), (int[]){1, 0});
  Type larger = SHAPE(WIDE + 1, TALL);
  return added(&t, b_pad(&t.b, turned, &larger, (int64_t[]){1, 0}, (int64_t[]){1, 1}));
}

/* Operands seen through views, and through a cast. */
static Node *product_of_views(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(ROWS, 2), NULL);
  Type flat = SHAPE(ROWS * WIDE / 2, 2), part = SHAPE(ROWS * WIDE / 2, ROWS);
  Node *a = b_cast(&t.b, b_slice(&t.b, b_reshape(&t.b, input(&t, 2), &part), &part, (int64_t[]){0, 0}, (int64_t[]){1, 1}), F64);
  Node *b = b_cast(&t.b, b_reshape(&t.b, input(&t, 2), &flat), F64);
  return added(&t, b_cast(&t.b, b_matmul(&t.b, b_transpose(&t.b, b_transpose(&t.b, a, (int[]){1, 0}), (int[]){1, 0}), b, true, false), F32));
}

static Node *over_rows(Kit *kit, bool keep) {
  Turn t = of_rows(kit, keep ? SHAPE(1, TALL) : SHAPE(TALL), NULL);
  return added(&t, b_reduce(&t.b, OP_sum, input(&t, 1), 1, (int[]){0}, keep));
}
static Node *a_sum_over_rows(Kit *kit) { return over_rows(kit, false); }
static Node *a_sum_over_rows_kept(Kit *kit) { return over_rows(kit, true); }

static Node *what_is_stacked(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(ROWS, TALL), NULL);
  return added(&t, input(&t, 1));
}

static Node *what_is_collected(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(ROWS, TALL), NULL);
  Node *made = b_unary(&t.b, OP_exp, input(&t, 1));
  put_out(&t, sum_to(&t, input(&t, 0), made));
  put_out(&t, made);
  return b_binary(&kit->b, OP_add, result(&t, 0), b_reduce(&kit->b, OP_sum, result(&t, 1), 1, (int[]){0}, false));
}

static Node *rows_by_index(Kit *kit) {
  Type table = SHAPE(WIDE, TALL), all = SHAPE(TURNS, ROWS);
  all.dtype = I32;
  Node *ids = b_binary(&kit->b, OP_add, b_iota(&kit->b, &all, 0), b_iota(&kit->b, &all, 1)); /* some twice */
  Node *in[] = {filled(&kit->b, 0, table), param(kit, "a", SHAPE(TURNS, ROWS, TALL)), ids};
  Turn t = turn_new(kit, kit->graph, "l", 3, in, 1, 2);
  return added(&t, node_new(t.loop->body, OP_scatter_add, (Node *[]){input(&t, 1), input(&t, 2)}, 2, &(Attrs){.shape = table}, "s", NULL));
}

/* Beside one that stays, whose values of each turn are contracted. */
static Node *beside_another(Kit *kit) {
  Node *in[] = {filled(&kit->b, 0, SHAPE(TALL, TALL)), param(kit, "h", SHAPE(ROWS, TALL)), filled(&kit->b, 0, SHAPE(TALL)),
                param(kit, "x", SHAPE(TURNS, ROWS, TALL)), param(kit, "unread", SHAPE(TURNS, ROWS)), param(kit, "u", SHAPE(TALL, TALL))};
  Turn t = turn_new(kit, kit->graph, "l", 6, in, 3, 2);
  Node *h = input(&t, 1), *x = input(&t, 3);
  Node *next = b_unary(&t.b, OP_tanh, b_binary(&t.b, OP_add, x, b_matmul(&t.b, h, input(&t, 5), false, false)));
  put_out(&t, sum_to(&t, input(&t, 0), b_matmul(&t.b, h, next, true, false)));
  put_out(&t, next);
  put_out(&t, sum_to(&t, input(&t, 2), b_reduce(&t.b, OP_sum, next, 1, (int[]){0}, false)));
  put_out(&t, b_unary(&t.b, OP_sin, next));
  Node *sum = b_binary(&kit->b, OP_add, result(&t, 0), result(&t, 2));
  Node *last = b_matmul(&kit->b, result(&t, 1), result(&t, 1), true, false);
  Node *all = b_reduce(&kit->b, OP_sum, result(&t, 3), 2, (int[]){0, 1}, false);
  return b_binary(&kit->b, OP_add, b_binary(&kit->b, OP_add, sum, last), all);
}

static Node *the_same_for_two(Kit *kit) {
  Node *zero = filled(&kit->b, 0, SHAPE(TALL)), *in[] = {zero, zero, param(kit, "a", SHAPE(TURNS, ROWS, TALL))};
  Turn t = turn_new(kit, kit->graph, "l", 3, in, 2, 1);
  Node *sum = b_reduce(&t.b, OP_sum, input(&t, 2), 1, (int[]){0}, false);
  for (int k = 0; k < 2; k++) put_out(&t, sum_to(&t, input(&t, k), sum));
  return b_binary(&kit->b, OP_sub, b_scalar(&kit->b, OP_mul, result(&t, 0), 3), result(&t, 1));
}

static Node *never_changed(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(TALL), param(kit, "s", SHAPE(TALL)));
  put_out(&t, input(&t, 0));
  return result(&t, 0);
}

static Node *zeros_throughout(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(TALL), NULL);
  put_out(&t, input(&t, 0));
  return result(&t, 0);
}

/* The sum of a loop within leaves that loop, and then the one around it. */
static Node *out_of_two_loops(Kit *kit) {
  Node *outer[] = {filled(&kit->b, 0, SHAPE(TALL, WIDE)), param(kit, "a", SHAPE(TURNS, TURNS, ROWS, TALL)),
                   param(kit, "b", SHAPE(TURNS, TURNS, ROWS, WIDE))};
  Turn t = turn_new(kit, kit->graph, "l", 3, outer, 1, 2);
  Node *inner[] = {filled(&t.b, 0, SHAPE(TALL, WIDE)), input(&t, 1), input(&t, 2)};
  Turn u = turn_new(kit, t.loop->body, "l.m", 3, inner, 1, 2);
  return added(&t, added(&u, product(&u)));
}

/* Each turn rounds its product to bf16; the sum of all does not. */
static Node *of_bf16(Kit *kit, bool product) {
  Node *a = b_cast(&kit->b, param(kit, "a", SHAPE(TURNS, ROWS, TALL)), BF16), *b = b_cast(&kit->b, param(kit, "b", SHAPE(TURNS, ROWS, WIDE)), BF16);
  Node *in[] = {filled(&kit->b, 0, product ? SHAPE(TALL, WIDE) : SHAPE(TALL)), a, b};
  Turn t = turn_new(kit, kit->graph, "l", 3, in, 1, 2);
  Node *term = product ? b_matmul(&t.b, input(&t, 1), input(&t, 2), true, false) : b_reduce(&t.b, OP_sum, input(&t, 1), 1, (int[]){0}, false);
  return added(&t, b_cast(&t.b, term, F32));
}
static Node *a_bf16_product(Kit *kit) { return of_bf16(kit, true); }
static Node *a_bf16_sum(Kit *kit) { return of_bf16(kit, false); }

/* Nothing is stacked anew. */
static Node *marked_but_free(Kit *kit) {
  Node *sum = a_product(kit);
  sum->in[0]->attrs.remat = true;
  return sum;
}

/* ---- lookalikes that stay ---------------------------------------------------------- */

static Node *sum_is_collected(Kit *kit) {
  Turn t = of_weight(kit);
  Node *next = sum_to(&t, input(&t, 0), product(&t));
  put_out(&t, next), put_out(&t, next);
  return b_binary(&kit->b, OP_add, result(&t, 0), b_reduce(&kit->b, OP_sum, result(&t, 1), 1, (int[]){0}, false));
}

static Node *sum_is_read(Kit *kit) {
  Turn t = of_weight(kit);
  Node *s = input(&t, 0);
  put_out(&t, sum_to(&t, s, product(&t))), put_out(&t, b_unary(&t.b, OP_sin, s));
  return b_binary(&kit->b, OP_add, result(&t, 0), b_reduce(&kit->b, OP_sum, result(&t, 1), 1, (int[]){0}, false));
}

static Node *sum_so_far_is_read(Kit *kit) { /* of the first term alone */
  Turn t = of_weight(kit);
  Node *first = sum_to(&t, input(&t, 0), product(&t));
  put_out(&t, sum_to(&t, first, b_matmul(&t.b, b_unary(&t.b, OP_sin, input(&t, 1)), input(&t, 2), true, false)));
  put_out(&t, b_unary(&t.b, OP_sin, first));
  return b_binary(&kit->b, OP_add, result(&t, 0), b_reduce(&kit->b, OP_sum, result(&t, 1), 1, (int[]){0}, false));
}

static Node *twice_what_it_was(Kit *kit) {
  Turn t = of_weight(kit);
  Node *s = input(&t, 0);
  put_out(&t, sum_to(&t, sum_to(&t, s, product(&t)), s));
  return result(&t, 0);
}

static Node *a_factor_of_it(Kit *kit) {
  Turn t = of_weight(kit);
  put_out(&t, sum_to(&t, b_scalar(&t.b, OP_mul, input(&t, 0), 0.5), product(&t)));
  return result(&t, 0);
}

static Node *a_product_with_it(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(ROWS, TALL), NULL);
  Node *s = input(&t, 0);
  return added(&t, b_matmul(&t.b, b_matmul(&t.b, input(&t, 2), input(&t, 2), false, true), s, false, false));
}

static Node *a_map(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(ROWS, TALL), NULL);
  return added(&t, b_unary(&t.b, OP_exp, input(&t, 1)));
}

static Node *a_map_of_a_product(Kit *kit) {
  Turn t = of_weight(kit);
  return added(&t, b_unary(&t.b, OP_sin, product(&t)));
}

static Node *a_maximum(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(TALL), NULL);
  return added(&t, b_reduce(&t.b, OP_max, input(&t, 1), 1, (int[]){0}, false));
}

static Node *largest_so_far(Kit *kit) {
  Turn t = of_weight(kit);
  put_out(&t, b_binary(&t.b, OP_maximum, input(&t, 0), product(&t)));
  return result(&t, 0);
}

static Node *product_is_read(Kit *kit) { /* it is made in each turn nevertheless */
  Turn t = of_weight(kit);
  Node *made = product(&t);
  put_out(&t, sum_to(&t, input(&t, 0), made));
  put_out(&t, b_reduce(&t.b, OP_sum, b_unary(&t.b, OP_sin, made), 1, (int[]){0}, false));
  return b_binary(&kit->b, OP_add, result(&t, 0), b_reduce(&kit->b, OP_sum, result(&t, 1), 1, (int[]){0}, false));
}

static Node *the_same_operand(Kit *kit) { /* in all turns: it has no stack */
  Turn t = of_weight(kit);
  return added(&t, b_matmul(&t.b, input(&t, 1), input(&t, 3), true, false));
}

static Node *a_broadcast_term(Kit *kit) {
  Turn t = of_rows(kit, SHAPE(TURNS, TALL), NULL);
  return added(&t, b_reduce(&t.b, OP_sum, input(&t, 1), 1, (int[]){0}, false));
}

static Node *several_products(Kit *kit) { /* of more than two axes */
  Node *in[] = {filled(&kit->b, 0, SHAPE(2, TALL, WIDE)), param(kit, "a", SHAPE(TURNS, 2, ROWS, TALL)), param(kit, "b", SHAPE(TURNS, 2, ROWS, WIDE))};
  Turn t = turn_new(kit, kit->graph, "l", 3, in, 1, 2);
  return added(&t, product(&t));
}

static Node *whole_numbers(Kit *kit) {
  Type ids = SHAPE(TURNS, ROWS), one = SHAPE(ROWS);
  ids.dtype = one.dtype = I32;
  Node *in[] = {b_broadcast(&kit->b, b_const(&kit->b, I32, 0), &one), b_iota(&kit->b, &ids, 0)};
  Turn t = turn_new(kit, kit->graph, "l", 2, in, 1, 1);
  return b_cast(&kit->b, added(&t, input(&t, 1)), F32);
}

static Node *whole_numbers_cast(Kit *kit) { /* their sum may not be a whole number of so many bits */
  Type ids = SHAPE(TURNS, ROWS);
  ids.dtype = I32;
  Node *in[] = {filled(&kit->b, 0, SHAPE(ROWS)), b_iota(&kit->b, &ids, 0)};
  Turn t = turn_new(kit, kit->graph, "l", 2, in, 1, 1);
  return added(&t, b_cast(&t.b, input(&t, 1), F32));
}

static Node *more_stacks_than_there_are(Kit *kit) { /* [8, 8] of each turn for a sum of [8] */
  Node *in[] = {filled(&kit->b, 0, SHAPE(8)), param(kit, "a", SHAPE(TURNS, 8, 1)), param(kit, "b", SHAPE(8))};
  Turn t = turn_new(kit, kit->graph, "l", 3, in, 1, 1);
  return added(&t, b_reduce(&t.b, OP_sum, b_binary(&t.b, OP_mul, input(&t, 1), input(&t, 2)), 1, (int[]){0}, false));
}

static Node *more_bytes_than_it_saves(Kit *kit) { /* 1.6 MB a turn, written and read */
  Node *in[] = {filled(&kit->b, 0, SHAPE(4)), param(kit, "a", SHAPE(TURNS, 100000, 4))};
  Turn t = turn_new(kit, kit->graph, "l", 2, in, 1, 1);
  return added(&t, b_reduce(&t.b, OP_sum, b_unary(&t.b, OP_sin, input(&t, 1)), 1, (int[]){0}, false));
}

static Node *too_many_axes(Kit *kit) { /* to be stacked */
  Turn t = of_rows(kit, SHAPE(TALL), NULL);
  Type deep = SHAPE(ROWS, 1, 1, 1, 1, 1, 1, TALL);
  return added(&t, b_reduce(&t.b, OP_sum, b_unary(&t.b, OP_exp, b_reshape(&t.b, input(&t, 1), &deep)), 7, (int[]){0, 1, 2, 3, 4, 5, 6}, false));
}

static Node *marked(Kit *kit) { /* a new stack is what `remat` is to spare */
  Turn t = of_weight(kit);
  t.loop->attrs.remat = true;
  return added(&t, b_matmul(&t.b, input(&t, 1), b_unary(&t.b, OP_sin, input(&t, 2)), true, false));
}

static Node *marked_and_turned(Kit *kit) { /* copies are stacks too */
  Node *sum = columns_of_both(kit);
  sum->in[0]->attrs.remat = true;
  return sum;
}

static const struct {
  const char *name;
  Node *(*make)(Kit *);
  int sums; /* that leave */
} programs[] = {
    {"a product", a_product, 1},
    {"from something", from_something, 1},
    {"last turn first", last_turn_first, 1},
    {"rows of both", rows_of_both, 1},
    {"columns of both", columns_of_both, 1},
    {"columns of the left", columns_of_the_left, 1},
    {"columns of the right", columns_of_the_right, 1},
    {"term first", term_first, 1},
    {"two terms", two_terms, 1},
    {"a sum of terms", a_sum_of_terms, 1},
    {"a sum of unequal terms", a_sum_of_unequal_terms, 1},
    {"views of a product", views_of_a_product, 1},
    {"product of views", product_of_views, 1},
    {"a sum over rows", a_sum_over_rows, 1},
    {"a sum over rows, kept", a_sum_over_rows_kept, 1},
    {"what is stacked", what_is_stacked, 1},
    {"what is collected", what_is_collected, 1},
    {"rows by index", rows_by_index, 1},
    {"beside another", beside_another, 2},
    {"the same for two", the_same_for_two, 2},
    {"never changed", never_changed, 1},
    {"zeros throughout", zeros_throughout, 1},
    {"out of two loops", out_of_two_loops, 2},
    {"a bf16 product", a_bf16_product, 1},
    {"a bf16 sum", a_bf16_sum, 1},
    {"marked, but free", marked_but_free, 1},
    {"sum is collected", sum_is_collected, 0},
    {"sum is read", sum_is_read, 0},
    {"sum so far is read", sum_so_far_is_read, 0},
    {"twice what it was", twice_what_it_was, 0},
    {"a factor of it", a_factor_of_it, 0},
    {"a product with it", a_product_with_it, 0},
    {"a map", a_map, 0},
    {"a map of a product", a_map_of_a_product, 0},
    {"a maximum", a_maximum, 0},
    {"largest so far", largest_so_far, 0},
    {"product is read", product_is_read, 0},
    {"the same operand", the_same_operand, 0},
    {"a broadcast term", a_broadcast_term, 0},
    {"several products", several_products, 0},
    {"whole numbers", whole_numbers, 0},
    {"whole numbers, cast", whole_numbers_cast, 0},
    {"more stacks than there are", more_stacks_than_there_are, 0},
    {"more bytes than it saves", more_bytes_than_it_saves, 0},
    {"too many axes", too_many_axes, 0},
    {"marked", marked, 0},
    {"marked and turned", marked_and_turned, 0},
};
enum { N_PROGRAMS = sizeof programs / sizeof programs[0] };

/* Every element counts differently. */
static Node *weighted(Kit *kit, Node *x) {
  Type places = x->type;
  places.dtype = I32;
  Node *weight = b_const(&kit->b, F32, 1.5);
  for (int axis = 0; axis < x->type.rank; axis++)
    weight = b_binary(&kit->b, OP_add, b_scalar(&kit->b, OP_mul, weight, 1.25), b_cast(&kit->b, b_iota(&kit->b, &places, axis), F32));
  return kit_sum(kit, b_binary(&kit->b, OP_mul, weight, x));
}

static Kit *program_of(int i, const char *stop, long limit, int *sums) {
  Kit *kit = kit_new(7);
  graph_output(kit->graph, OUT_LOG, "r", weighted(kit, programs[i].make(kit)));
  char *text = NULL;
  size_t size = 0;
  FILE *trace = open_memstream(&text, &size);
  ck_assert_msg(kit_run(kit, 1, stop, limit, trace), "%s does not compile", programs[i].name);
  ck_assert_int_eq(fclose(trace), 0);
  *sums = 0;
  for (const char *at = text; (at = strstr(at, "hoist.sum ")); at++) ++*sums;
  free(text);
  return kit;
}

static void assert_near(const Kit *kit, const Values *x, const Values *y, const char *what) {
  ck_assert_int_eq(x->n, y->n);
  for (int i = 0; i < x->n; i++)
    for (int64_t k = 0; k < x->at[i].count; k++) {
      double a = x->at[i].data[k], b = y->at[i].data[k];
      ck_assert_msg(fabs(a - b) <= 1e-12 * (1 + fabs(b)), "%s: %s[%d] is %.17g, and was %.17g", what, kit->graph->outputs[i].name, (int)k, a, b);
    }
}

START_TEST(sums_leave_and_lookalikes_stay) {
  int sums;
  Kit *before = program_of(_i, "narrow", LONG_MAX, &sums), *after = program_of(_i, "hoist", LONG_MAX, &sums);
  ck_assert_msg(sums == programs[_i].sums, "%s: %d sums leave", programs[_i].name, sums);
  Values x = kit_evaluate(after), y = kit_evaluate(before);
  assert_near(after, &x, &y, programs[_i].name);
  for (int i = 0; i < after->graph->n_nodes; i++) /* sums of bf16 are f32 */
    ck_assert(after->graph->nodes[i]->op != OP_matmul || after->graph->nodes[i]->type.dtype != BF16);
  values_free(&x), values_free(&y);
  kit_free(before), kit_free(after);
}
END_TEST

static int carried_in(const Graph *graph) {
  int carried = 0;
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == OP_loop) carried += graph->nodes[i]->attrs.carried + carried_in(graph->nodes[i]->body);
  return carried;
}

/* What is left of a loop whose sum has gone: nothing, or what others need. */
START_TEST(loops_keep_what_is_needed) {
  int sums;
  for (int i = 0; i < N_PROGRAMS; i++) {
    Kit *before = program_of(i, "narrow", LONG_MAX, &sums), *after = program_of(i, "hoist", LONG_MAX, &sums);
    ck_assert_msg(carried_in(before->graph) - carried_in(after->graph) == programs[i].sums, "%s", programs[i].name);
    for (int k = 0; k < after->graph->n_nodes; k++) {
      const Node *loop = after->graph->nodes[k];
      if (loop->op != OP_loop || !programs[i].sums) continue;
      ck_assert_int_ge(loop->body->n_outputs, 1);
      for (int o = 0; o < loop->n_in; o++) ck_assert_str_ne(loop->in[o]->name, "unread");
    }
    kit_free(before), kit_free(after);
  }
}
END_TEST

/* ---- gradients of a recurrence ---------------------------------------------------- */

typedef struct Net {
  const char *name;
  int64_t rows;        /* there are, of five */
  Precision precision;
  bool remat, twice;   /* twice: the loss is made of gradients */
  int64_t memory;
  int sums;
} Net;
static const Net nets[] = {
    {"a full batch", 5, PRECISION_F32, false, false, 0, 3},
    {"a short one", 3, PRECISION_F32, false, false, 0, 3},
    {"no rows but one", 1, PRECISION_F32, false, false, 0, 3},
    {"bf16", 3, PRECISION_BF16, false, false, 0, 3},
    {"computed again", 3, PRECISION_F32, true, false, 0, 0},
    {"gradients of gradients", 3, PRECISION_F32, false, true, 0, -1},
    {"within much memory", 3, PRECISION_F32, false, false, 1 << 30, 3},
    {"within little", 3, PRECISION_F32, false, false, 1 << 10, 0},
};
enum { N_NETS = sizeof nets / sizeof nets[0] };

static Node *recurrence(Kit *kit, const Net *net) {
  Node *x = kit_batch(kit, "x", F32, 5, net->rows, 2, (int64_t[]){TURNS, WIDE});
  for (int64_t i = 0; i < net->rows * TURNS * WIDE; i++) kit_data(kit, x)[i] = (double)kit_random(kit, 200) / 100 - 1;
  Type state = {.dtype = F32, .rank = 2, .dim = {dim_symbol(kit->rows), dim_literal(TALL)}};
  Node *in[] = {filled(&kit->b, 0, state), b_transpose(&kit->b, x, (int[]){1, 0, 2}), param(kit, "w", SHAPE(WIDE, TALL)),
                param(kit, "u", SHAPE(TALL, TALL)), param(kit, "bias", SHAPE(TALL))};
  Turn t = turn_new(kit, kit->graph, "l", 5, in, 1, 1);
  t.loop->attrs.remat = net->remat;
  Node *sum = b_binary(&t.b, OP_add, b_matmul(&t.b, input(&t, 1), input(&t, 2), false, false), b_matmul(&t.b, input(&t, 0), input(&t, 3), false, false));
  put_out(&t, b_unary(&t.b, OP_tanh, b_binary(&t.b, OP_add, sum, input(&t, 4))));
  return kit_sum(kit, b_unary(&kit->b, OP_exp, result(&t, 0)));
}

START_TEST(gradients_of_a_recurrence) {
  const Net *net = &nets[_i];
  Kit *kit = kit_new(3);
  Node *loss = recurrence(kit, net);
  if (net->twice) {
    Node *g = kit_grad(kit, loss, kit->leaves[2].node, "g");
    loss = b_binary(&kit->b, OP_add, loss, kit_sum(kit, b_binary(&kit->b, OP_mul, g, g)));
  }
  kit_minimize(kit, loss);
  kit->program->train.precision = net->precision;
  kit->program->train.memory = net->memory;
  char *text = NULL;
  size_t size = 0;
  FILE *trace = open_memstream(&text, &size);
  ck_assert_msg(kit_run(kit, 1, "hoist", LONG_MAX, trace), "%s does not compile", net->name);
  ck_assert_int_eq(fclose(trace), 0);
  int sums = 0;
  for (const char *at = text; (at = strstr(at, "hoist.sum ")); at++) sums++;
  ck_assert_msg(net->sums < 0 ? sums > 3 : sums == net->sums, "%s: %d sums leave", net->name, sums);
  const char *wrong = kit_check_update(kit);
  ck_assert_msg(!wrong, "%s: %s", net->name, wrong);
  for (int i = 0; i < kit->graph->n_nodes; i++) { /* x was turned for the loop: nothing is turned there and back */
    const Node *node = kit->graph->nodes[i];
    ck_assert(node->op != OP_transpose || node->in[0]->op != OP_transpose);
  }
  free(text);
  kit_free(kit);
}
END_TEST

Suite *hoist_suite(void) {
  Suite *suite = suite_create("hoist");
  TCase *tests = tcase_create("hoist");
  tcase_add_loop_test(tests, sums_leave_and_lookalikes_stay, 0, N_PROGRAMS);
  tcase_add_test(tests, loops_keep_what_is_needed);
  tcase_add_loop_test(tests, gradients_of_a_recurrence, 0, N_NETS);
  suite_add_tcase(suite, tests);
  return suite;
}
