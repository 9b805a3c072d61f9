/* test_fuse.c - fusion: the values stay, the groups are as many as they should be. */
#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "passes/fuse.h"
#include "tests/fuse_models.h"

typedef struct Setup {
  Arena *arena;
  Diagnostics *d;
  Program *program;
  Graph *g;
  Builder b;
} Setup;

static Setup begin(void) {
  Setup s = {.arena = arena_new(), .d = diagnostics_new()};
  s.program = model_new(s.arena);
  s.g = s.program->train.graph;
  s.b = (Builder){.graph = s.g, .prefix = "v"};
  return s;
}

static void end(Setup *s) {
  diagnostics_free(s->d);
  arena_free(s->arena);
}

/* Nothing is stored that nobody reads. */
static void expect_no_waste(const Graph *g, const char *what) {
  Arena *arena = arena_new();
  int *uses = graph_uses(g, arena);
  for (int i = 0; i < g->n_nodes; i++)
    ck_assert_msg(g->nodes[i]->op != OP_result || uses[i], "%s: %s is stored for nobody", what, g->nodes[i]->name);
  arena_free(arena);
}

/* Fuse, and compare every output with what it was. */
static void fuse_and_compare(Program *program, Diagnostics *d, int level, long bisect, const char *what) {
  Graph *g = program->train.graph;
  int64_t rows = g->rows ? g->rows->size - 1 : 0; /* a short batch */
  ModelValues before = model_evaluate(g, 11, rows);
  PassContext context = model_context(program, d, level);
  context.bisect_limit = bisect;
  pass_fuse(&context);
  const char *wrong = program_verify(program, program->arena);
  ck_assert_msg(!wrong, "%s: %s", what, wrong);
  ModelValues after = model_evaluate(g, 11, rows);
  char room[200];
  const char *difference = model_differs(&before, &after, room, sizeof room);
  ck_assert_msg(!difference, "%s: %s", what, difference);
  expect_no_waste(g, what);
  model_free(&before);
  model_free(&after);
}

static void expect_groups(const Setup *s, int n, GroupPattern pattern) {
  int of_pattern = 0;
  for (int i = 0; i < s->g->n_nodes; i++)
    of_pattern += s->g->nodes[i]->op == OP_group && s->g->nodes[i]->attrs.pattern == (int)pattern;
  if (of_pattern == n) return;
  Text text = {0};
  program_print(&text, s->program);
  ck_abort_msg("%d groups of pattern %d, not %d:\n%s", of_pattern, pattern, n, text.data);
}

static const int64_t rows_columns[] = {64, 100}, columns[] = {100};

START_TEST(softmax_is_one_kernel) {
  Setup s = begin();
  Node *x = model_input(s.g, "x", F32, 2, rows_columns), *y = model_input(s.g, "y", F32, 2, rows_columns);
  Node *p = model_softmax(&s.b, b_scalar(&s.b, OP_mul, x, 0.5));
  graph_output(s.g, OUT_VALUE, "out", b_binary(&s.b, OP_add, b_unary(&s.b, OP_tanh, p), y));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "softmax");
  ck_assert_int_eq(model_count(s.g, OP_group), 1);
  expect_groups(&s, 1, PATTERN_ROW);
  const Node *group = s.g->outputs[0].node->in[0];
  ck_assert_int_eq(group->n_in, 2);
  ck_assert_ptr_nonnull(strstr(group->reason, "reads 51 KB, writes 26 KB; saves"));
  end(&s);
}
END_TEST

START_TEST(layernorm_is_one_kernel) {
  Setup s = begin();
  Node *x = model_input(s.g, "x", F32, 2, rows_columns);
  Node *w = model_param(s.g, "w", 1, columns), *bias = model_param(s.g, "b", 1, columns);
  graph_output(s.g, OUT_VALUE, "out", model_layernorm(&s.b, x, w, bias));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "layernorm");
  ck_assert_int_eq(model_count(s.g, OP_group), 1);
  expect_groups(&s, 1, PATTERN_ROW);
  ck_assert_int_eq(s.g->outputs[0].node->in[0]->n_in, 3);
  end(&s);
}
END_TEST

/* Forward and backward: one pass over the rows, and the mean of what it leaves. */
START_TEST(cross_entropy_is_one_kernel_and_a_mean) {
  Setup s = begin();
  int last = 1, first = 0;
  Node *z = model_batch(s.g, "z", F32, 2, rows_columns), *y = model_batch(s.g, "y", I32, 1, (int64_t[]){64});
  Node *centred = b_binary(&s.b, OP_sub, z, b_reduce(&s.b, OP_max, z, 1, &last, true));
  Node *e = b_unary(&s.b, OP_exp, centred), *sum = b_reduce(&s.b, OP_sum, e, 1, &last, true);
  Type column = y->type;
  column.dim[column.rank++] = dim_literal(1);
  Node *hit = b_binary(&s.b, OP_eq, b_iota(&s.b, &z->type, 1), b_reshape(&s.b, y, &column));
  Node *zero = b_const(&s.b, F32, 0);
  Node *picked = b_reduce(&s.b, OP_sum, b_where(&s.b, hit, centred, zero), 1, &last, false);
  Type flat = picked->type;
  Node *nll = b_binary(&s.b, OP_sub, b_reshape(&s.b, b_unary(&s.b, OP_log, sum), &flat), picked);
  graph_output(s.g, OUT_LOSS, "update0", b_scalar(&s.b, OP_div, b_reduce(&s.b, OP_sum, nll, 1, &first, false), 64));
  Node *p = b_binary(&s.b, OP_div, e, sum);
  Node *grad = b_scalar(&s.b, OP_div, b_binary(&s.b, OP_sub, p, b_cast(&s.b, hit, F32)), 64);
  graph_output(s.g, OUT_VALUE, "grad", grad);
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "cross entropy");
  ck_assert_int_eq(model_count(s.g, OP_group), 2);
  expect_groups(&s, 2, PATTERN_ROW);
  ck_assert_int_eq(s.g->outputs[1].node->in[0]->n_in, 2);
  end(&s);
}
END_TEST

START_TEST(bias_and_relu_are_one_map_a_layer) {
  Setup s = begin();
  graph_output(s.g, OUT_VALUE, "out", model_mlp(s.g, 3, 8, 256));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "mlp");
  ck_assert_int_eq(model_count(s.g, OP_group), 3);
  expect_groups(&s, 3, PATTERN_MAP);
  ck_assert_int_eq(model_count(s.g, OP_matmul), 3);
  end(&s);
}
END_TEST

/* Products that take less time than a launch are made by the map behind them. */
START_TEST(small_products_go_into_their_maps) {
  Setup s = begin();
  graph_output(s.g, OUT_VALUE, "out", model_mlp(s.g, 3, 8, 16));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "mlp");
  ck_assert_int_eq(model_count(s.g, OP_group), 3);
  expect_groups(&s, 3, PATTERN_MATMUL);
  ck_assert_int_eq(model_count(s.g, OP_matmul), 0);
  const Node *group = s.g->outputs[0].node->in[0];
  ck_assert_int_eq(group->n_in, 3);
  ck_assert_ptr_nonnull(strstr(group->reason, "computes the product net.fc2.mm and what follows it: reads "));
  end(&s);
}
END_TEST

static Node *product_and_relu(Builder *b, Node *x) { return b_unary(b, OP_relu, b_matmul(b, x, x, false, false)); }
static Node *product_and_operand(Builder *b, Node *x) { return b_binary(b, OP_mul, b_matmul(b, x, x, true, false), x); }
static Node *product_and_sign(Builder *b, Node *x) { return b_scalar(b, OP_gt, b_matmul(b, x, x, false, true), 0); }
static Node *product_and_turned(Builder *b, Node *x) {
  Node *mm = b_matmul(b, x, x, false, false);
  return b_binary(b, OP_add, mm, b_transpose(b, mm, (int[]){1, 0}));
}
static Node *product_twice(Builder *b, Node *x) {
  Node *mm = b_matmul(b, x, x, false, false);
  return b_matmul(b, b_unary(b, OP_relu, mm), mm, false, false);
}

/* What goes in: square products, by their operands once and twice read; what stays: results that others
 * read, or that are read elsewhere. */
START_TEST(which_products_go_into_maps) {
  static const struct {
    Node *(*make)(Builder *, Node *);
    int within, operands;
  } cases[] = {{product_and_relu, 1, 1}, {product_and_operand, 1, 1}, {product_and_sign, 1, 1},
               {product_and_turned, 0, 1}, {product_twice, 0, 1}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    Setup s = begin();
    Node *x = model_input(s.g, "x", F32, 2, (int64_t[]){20, 20}), *out = cases[i].make(&s.b, x);
    graph_output(s.g, OUT_VALUE, "out", out->type.dtype == BOOL ? b_unary(&s.b, OP_not, out) : out);
    fuse_and_compare(s.program, s.d, 2, LONG_MAX, "product");
    if (!cases[i].within) expect_groups(&s, 0, PATTERN_MATMUL);
    for (int n = 0; n < s.g->n_nodes; n++)
      if (s.g->nodes[n]->op == OP_group && cases[i].within) {
        ck_assert_int_eq(s.g->nodes[n]->attrs.pattern, PATTERN_MATMUL);
        ck_assert_int_eq(s.g->nodes[n]->n_in, cases[i].operands);
      }
    end(&s);
  }
}
END_TEST

/* Weight and bias gradients of a norm: one kernel that rebuilds the normalised
 * rows from x and two numbers a row, and does not read them. */
START_TEST(column_sums_share_a_kernel_and_recompute) {
  Setup s = begin();
  int first = 0, last = 1;
  Node *x = model_input(s.g, "x", F32, 2, (int64_t[]){8192, 512}), *g = model_input(s.g, "g", F32, 2, (int64_t[]){8192, 512});
  Node *mean = b_scalar(&s.b, OP_div, b_reduce(&s.b, OP_sum, x, 1, &last, true), 512);
  Node *centred = b_binary(&s.b, OP_sub, x, mean);
  Node *square = b_reduce(&s.b, OP_sum, b_binary(&s.b, OP_mul, centred, centred), 1, &last, true);
  Node *n = b_binary(&s.b, OP_mul, centred, b_unary(&s.b, OP_rsqrt, b_scalar(&s.b, OP_add, b_scalar(&s.b, OP_div, square, 512), 1e-5)));
  graph_output(s.g, OUT_VALUE, "out", b_unary(&s.b, OP_tanh, n));
  graph_output(s.g, OUT_VALUE, "dw", b_reduce(&s.b, OP_sum, b_binary(&s.b, OP_mul, g, n), 1, &first, false));
  graph_output(s.g, OUT_VALUE, "db", b_reduce(&s.b, OP_sum, g, 1, &first, false));
  PassContext context = model_context(s.program, s.d, 2);
  pass_fuse(&context);
  ck_assert_ptr_null(program_verify(s.program, s.arena));
  ck_assert_int_eq(model_count(s.g, OP_group), 2);
  expect_groups(&s, 1, PATTERN_ROW);
  expect_groups(&s, 1, PATTERN_COLUMN);
  const Node *row = s.g->outputs[0].node->in[0], *column = s.g->outputs[1].node->in[0];
  ck_assert_ptr_eq(column, s.g->outputs[2].node->in[0]);
  for (int i = 0; i < row->body->n_outputs; i++) /* full: tanh; the rest per row */
    ck_assert(type_count(&row->body->outputs[i].node->type) == (strcmp(row->body->outputs[i].name, s.g->outputs[0].node->name) ? 8192 : 8192 * 512));
  for (int i = 0; i < column->n_in; i++)
    ck_assert(column->in[i]->op == OP_state || type_count(&column->in[i]->type) == 8192);
  end(&s);
}
END_TEST

/* A variance over the batch needs the finished mean: two column kernels, then a map. */
START_TEST(column_kernels_do_not_read_their_own_sums) {
  Setup s = begin();
  int first = 0;
  Node *x = model_input(s.g, "x", F32, 2, rows_columns);
  Node *centred = b_binary(&s.b, OP_sub, x, b_scalar(&s.b, OP_div, b_reduce(&s.b, OP_sum, x, 1, &first, true), 64));
  Node *variance = b_scalar(&s.b, OP_div, b_reduce(&s.b, OP_sum, b_binary(&s.b, OP_mul, centred, centred), 1, &first, true), 64);
  Node *scale = b_unary(&s.b, OP_rsqrt, b_scalar(&s.b, OP_add, variance, 1e-5));
  graph_output(s.g, OUT_VALUE, "out", b_binary(&s.b, OP_mul, centred, scale));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "batch norm");
  expect_groups(&s, 2, PATTERN_COLUMN);
  expect_groups(&s, 1, PATTERN_MAP);
  ck_assert_int_eq(model_count(s.g, OP_group), 3);
  end(&s);
}
END_TEST

/* Four residual layers of norm, gelu and softmax, forward and backward, bound
 * by memory: each layer reads and writes its rows once a direction, the
 * weights' gradients read the rows and their adjoints once more. */
START_TEST(memory_bound_layers_move_rows_once) {
  Setup s = begin();
  const int64_t shape[] = {8192, 4096}, width = 4096;
  Node *x = model_input(s.g, "x", F32, 2, shape), *y = model_input(s.g, "y", F32, 2, shape), *params[8];
  for (int i = 0; i < 4; i++) {
    Builder b = {.graph = s.g, .prefix = arena_print(s.arena, "net.l%d", i)};
    params[2 * i] = model_param(s.g, arena_print(s.arena, "net.l%d.weight", i), 1, &width);
    params[2 * i + 1] = model_param(s.g, arena_print(s.arena, "net.l%d.bias", i), 1, &width);
    Node *h = model_layernorm(&b, x, params[2 * i], params[2 * i + 1]);
    Node *erf = b_scalar(&b, OP_add, b_unary(&b, OP_erf, b_scalar(&b, OP_mul, h, 0.7071067811865476)), 1);
    Node *gelu = b_binary(&b, OP_mul, b_scalar(&b, OP_mul, h, 0.5), erf);
    x = b_binary(&b, OP_add, x, b_binary(&b, OP_mul, gelu, model_softmax(&b, h)));
  }
  Node *difference = b_binary(&s.b, OP_sub, x, y);
  Node *loss = b_reduce(&s.b, OP_sum, b_binary(&s.b, OP_mul, difference, difference), 2, (int[]){0, 1}, false);
  graph_output(s.g, OUT_LOSS, "update0", loss);
  for (int i = 0; i < 8; i++) {
    Node *in[] = {loss, params[i]};
    graph_output(s.g, OUT_VALUE, params[i]->name, node_new(s.g, OP_grad, in, 2, &(Attrs){0}, arena_print(s.arena, "d.%s", params[i]->name), NULL));
  }
  PassContext context = model_context(s.program, s.d, 2);
  pass_gradient(&context);
  pass_simplify(&context);
  pass_split(&context);
  pass_fuse(&context);
  ck_assert_ptr_null(program_verify(s.program, s.arena));
  int moved = 0;
  for (int i = 0; i < s.g->n_nodes; i++) {
    const Node *group = s.g->nodes[i];
    for (int k = 0; group->op == OP_group && k < group->n_in; k++) moved += type_count(&group->in[k]->type) == 8192 * 4096;
    for (int k = 0; group->op == OP_group && k < group->body->n_outputs; k++)
      moved += type_count(&group->body->outputs[k].node->type) == 8192 * 4096;
  }
  ck_assert_int_le(moved, 28); /* of 134 MB each */
  ck_assert_int_le(model_count(s.g, OP_group), 12);
  end(&s);
}
END_TEST

START_TEST(outputs_and_operands_are_materialized) {
  Setup s = begin();
  Node *x = model_input(s.g, "x", F32, 2, (int64_t[]){4, 6});
  Type narrow = x->type;
  narrow.dim[1] = dim_literal(3);
  int64_t start[] = {0, 2}, step[] = {1, 1};
  Node *slice = b_slice(&s.b, x, &narrow, start, step);
  Node *mm = b_matmul(&s.b, slice, slice, false, true), *sum;
  int axes[] = {0, 1};
  sum = b_reduce(&s.b, OP_sum, mm, 2, axes, false);
  graph_output(s.g, OUT_VALUE, "leaf", x);
  graph_output(s.g, OUT_VALUE, "view", slice);
  graph_output(s.g, OUT_LOG, "log", b_cast(&s.b, sum, I32));
  graph_output(s.g, OUT_LOSS, "update0", sum);
  graph_output(s.g, OUT_LOG, "again", sum);
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "outputs");
  for (int i = 0; i < s.g->n_outputs; i++) {
    ck_assert_int_eq(s.g->outputs[i].node->op, OP_result);
    ck_assert_int_eq(s.g->outputs[i].node->type.dtype, F32);
    for (int e = 0; e < i; e++) ck_assert_ptr_ne(s.g->outputs[i].node, s.g->outputs[e].node);
  }
  end(&s);
}
END_TEST

/* A view that is put out is copied once, for a product that reads it too: here the reshaped half of a map. */
START_TEST(a_product_reads_what_is_put_out) {
  Setup s = begin();
  Node *x = model_input(s.g, "x", F32, 2, (int64_t[]){4, 6});
  Type narrow = {F32, 2, {dim_literal(2), dim_literal(6)}}, flat = {F32, 2, {dim_literal(3), dim_literal(4)}};
  Node *half = b_slice(&s.b, b_unary(&s.b, OP_exp, x), &narrow, (int64_t[]){2, 0}, (int64_t[]){1, 1});
  Node *view = b_reshape(&s.b, half, &flat);
  graph_output(s.g, OUT_VALUE, "view", view);
  graph_output(s.g, OUT_VALUE, "product", b_matmul(&s.b, view, view, false, true));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "a view, put out and multiplied");
  ck_assert_int_eq(model_count(s.g, OP_group), 1);
  end(&s);
}
END_TEST

/* Quarters of x + y, each read once by the gates of a cell: a sum for them alone is a kernel for nothing, but where it is
 * put out, or so large that its reading counts, it stays. */
static const struct { int64_t rows; bool put_out; int groups; } quarters[] = {{64, false, 1}, {64, true, 2}, {8192, false, 2}};
START_TEST(a_small_kernel_goes_into_its_reader) {
  Setup s = begin();
  const int64_t sizes[] = {quarters[_i].rows, 400};
  Node *sum = b_binary(&s.b, OP_add, model_input(s.g, "x", F32, 2, sizes), model_input(s.g, "y", F32, 2, sizes)), *gates = NULL;
  Type quarter = {F32, 2, {sum->type.dim[0], dim_literal(100)}};
  for (int k = 0; k < 4; k++) {
    Node *gate = b_unary(&s.b, OP_tanh, b_slice(&s.b, sum, &quarter, (int64_t[]){0, 100 * k}, (int64_t[]){1, 1}));
    gates = gates ? b_binary(&s.b, OP_mul, gates, gate) : gate;
  }
  graph_output(s.g, OUT_VALUE, "gates", gates);
  if (quarters[_i].put_out) graph_output(s.g, OUT_VALUE, "sum", sum);
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "quarters");
  expect_groups(&s, quarters[_i].groups, PATTERN_MAP);
  end(&s);
}
END_TEST

/* A small product is to go into the map behind it, which stays for that, though its readers could do its work. */
START_TEST(a_map_waits_for_its_product) {
  Setup s = begin();
  const int64_t sizes[] = {8, 8};
  Node *x = model_input(s.g, "x", F32, 2, sizes), *y = model_input(s.g, "y", F32, 2, sizes);
  Node *sum = b_binary(&s.b, OP_add, b_matmul(&s.b, x, x, false, false), y);
  graph_output(s.g, OUT_VALUE, "out", b_unary(&s.b, OP_exp, b_transpose(&s.b, sum, (int[]){1, 0})));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "a product and a sum, turned");
  expect_groups(&s, 1, PATTERN_MATMUL);
  end(&s);
}
END_TEST

START_TEST(level_0_keeps_each_node_apart) {
  Setup s = begin();
  Node *x = model_input(s.g, "x", F32, 2, rows_columns);
  graph_output(s.g, OUT_VALUE, "out", model_softmax(&s.b, x));
  fuse_and_compare(s.program, s.d, 0, LONG_MAX, "softmax at -O0");
  ck_assert_int_eq(model_count(s.g, OP_group), 6); /* max, stop, sub, exp, sum, div */
  end(&s);
}
END_TEST

START_TEST(any_number_of_rewrites_is_right) {
  int before = INT_MAX;
  for (long limit = 0; limit < 12; limit++) {
    Setup s = begin();
    Node *x = model_input(s.g, "x", F32, 2, (int64_t[]){4, 5});
    Node *w = model_param(s.g, "w", 1, (int64_t[]){5}), *bias = model_param(s.g, "b", 1, (int64_t[]){5});
    graph_output(s.g, OUT_VALUE, "out", model_softmax(&s.b, model_layernorm(&s.b, x, w, bias)));
    fuse_and_compare(s.program, s.d, 2, limit, "bisect");
    int groups = model_count(s.g, OP_group);
    ck_assert_int_le(groups, before);
    before = groups;
    end(&s);
  }
}
END_TEST

START_TEST(random_graphs_keep_their_values) {
  for (uint64_t seed = 0; seed < 300; seed++) {
    char what[32];
    snprintf(what, sizeof what, "seed %d", (int)seed);
    for (int level = 0; level <= 2; level += 2) {
      Setup s = begin();
      Program *program = model_random(s.arena, seed, 1);
      fuse_and_compare(program, s.d, level, LONG_MAX, what);
      end(&s);
    }
  }
}
END_TEST

/* Backward graphs read values from far away and sum over what was broadcast. */
START_TEST(random_gradients_keep_their_values) {
  for (uint64_t seed = 3000; seed < 3200; seed++) {
    char what[32];
    snprintf(what, sizeof what, "gradients of seed %d", (int)seed);
    Setup s = begin();
    Program *program = model_random(s.arena, seed, 1);
    model_add_gradients(program);
    PassContext context = model_context(program, s.d, 2);
    pass_gradient(&context);
    ck_assert(!context.failed);
    if (seed % 2) pass_simplify(&context), pass_split(&context);
    fuse_and_compare(program, s.d, 2, LONG_MAX, what);
    end(&s);
  }
}
END_TEST

/* The same model twice gives the same text. */
START_TEST(fusion_is_deterministic) {
  char *text[2];
  for (int i = 0; i < 2; i++) {
    Arena *arena = arena_new();
    Diagnostics *d = diagnostics_new();
    Program *program = model_random(arena, 41, 1);
    PassContext context = model_context(program, d, 2);
    pass_fuse(&context);
    Text out = {0};
    program_print(&out, program);
    text[i] = out.data;
    diagnostics_free(d);
    arena_free(arena);
  }
  ck_assert_str_eq(text[0], text[1]);
  free(text[0]);
  free(text[1]);
}
END_TEST

/* The reason names the model's places: their last words only where they say how, not which. */
static const struct { const char *name, *place; } places[] = {
    {"net.fc1.mul", "of net.fc1:"}, {"net.fc1.mul.2.lhs", "of net.fc1:"}, {"grad.update0.net.fc1.add.2", "of net.fc1:"},
    {"grad.y.net.fc1.add", "of net.fc1:"}, {"net.heads.mean.var", "of net.heads:"}, {"net.3.scalar", "of net:"},
    {"net.mullet.mul", "of net.mullet:"}, {"mul", "of mul:"}, {"x.mul", "of x:"}, {"grad.only", "of grad.only and 3:"},
    {"net.a_name_of_thirty_one_characters.mm", "of net.a_name_of_thirty_one_characters:"},
    {"net.a_word_that_is_too_long_for_any_role_there_is.mm", "of net.a_word_that_is_too_long_for_any_role_there_is:"},
};
START_TEST(reasons_name_places) {
  Setup s = begin();
  Node *x = model_input(s.g, "x", F32, 2, rows_columns), *one = b_unary(&s.b, OP_exp, x), *two = b_unary(&s.b, OP_sin, one);
  one->name = places[_i].name;
  two->name = arena_print(s.arena, "%s.3", places[_i].name);
  graph_output(s.g, OUT_VALUE, "out", two);
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "named");
  const char *reason = s.g->outputs[0].node->in[0]->reason;
  ck_assert_msg(strstr(reason, places[_i].place) != NULL, "`%s` of %s", reason, places[_i].name);
  end(&s);
}
END_TEST

/* ---- the model by which it chooses ------------------------------------------ */

/* Slots of the arithmetic units, and special instructions, an element: a change here is a new measurement. */
static const struct { Op op; int distribution; double flops, specials; } works[] = {
    {OP_exp, 0, 16, 1},   {OP_log, 0, 16, 1},   {OP_sqrt, 0, 16, 1},     {OP_div, 0, 40, 1}, {OP_rsqrt, 0, 40, 1},
    {OP_expm1, 0, 30, 1}, {OP_log1p, 0, 30, 1}, {OP_tanh, 0, 30, 2},     {OP_erf, 0, 40, 1}, {OP_sigmoid, 0, 30, 2},
    {OP_sin, 0, 50, 1},   {OP_cos, 0, 50, 1},   {OP_floordiv, 0, 24, 1}, {OP_mod, 0, 24, 1}, {OP_pow, 0, 80, 2},
    {OP_random, 0, 100, 0}, {OP_random, 1, 140, 4}, {OP_gather, 0, 8, 0}, {OP_add, 0, 2, 0}, {OP_sum, 0, 2, 0},
};
START_TEST(an_op_costs_what_was_measured) {
  Node node = {.op = works[_i].op, .attrs.distribution = works[_i].distribution}, *nodes[] = {&node};
  Fusion f = {.n = 1, .node = nodes};
  double flops = 1000, specials = 100;
  fuse_node_work(&f, 0, 10, &flops, &specials);
  ck_assert_double_eq(flops, 1000 + 10 * works[_i].flops);
  ck_assert_double_eq(specials, 100 + 10 * works[_i].specials);
}
END_TEST

static Type type_of(int rank, int64_t a, int64_t b) { return (Type){F32, rank, {dim_literal(a), dim_literal(b)}}; }

/* Seconds at 2.8 TB/s, of which one row's block moves 80 GB/s, after 1 us to start. */
static const struct {
  int64_t rows, row; /* the space; row kernels reduce `row` */
  GroupPattern pattern;
  double read, written, flops, specials, seconds;
} times[] = {
    {1, 4, PATTERN_MAP, 0, 0, 0, 0, 1e-6},
    {1, 4, PATTERN_MAP, 2.8e6, 5.6e6, 0, 0, 4e-6},
    {1, 4, PATTERN_MAP, 2.8e6, 0, 120e6, 0, 3e-6},      /* the arithmetic takes longer */
    {1, 4, PATTERN_MAP, 2.8e6, 0, 120e6, 3.7e7, 11e-6}, /* the exps longer still */
    {1, 4, PATTERN_MAP, 5.6e6, 0, 60e6, 3.7e6, 3e-6},
    {4, 100, PATTERN_ROW, 320e3, 0, 0, 0, 2e-6},
    {4, 100, PATTERN_COLUMN, 2.8e6, 0, 0, 0, 2e-6},
    {1, 100, PATTERN_ROW, 80e3, 0, 0, 0, 2e-6},
    {2, 100, PATTERN_ROW, 80e3, 80e3, 0, 0, 2e-6},
    {34, 100, PATTERN_ROW, 2.72e6, 0, 0, 0, 2e-6},
    {36, 100, PATTERN_ROW, 2.8e6, 0, 0, 0, 2e-6}, /* the machine is busy */
    {64, 16384, PATTERN_ROW, 2.8e6, 2.8e6, 0, 0, 3e-6},
    {64, 16385, PATTERN_ROW, 2.8e6, 2.8e6, 0, 0, 4e-6}, /* read again for each reduction */
    {64, 1, PATTERN_ROW, 2.8e6, 0, 0, 0, 2e-6},
    {3, 0, PATTERN_ROW, 80e3, 0, 0, 0, 2e-6},
    {0, 100, PATTERN_ROW, 80e3, 0, 0, 0, 2e-6},
};
START_TEST(a_kernel_takes_its_slowest_part) {
  Type space = type_of(2, times[_i].rows, times[_i].row);
  Kernel k = {.space = &space, .n_axes = times[_i].pattern != PATTERN_MAP, .axes = {1}, .pattern = times[_i].pattern};
  Traffic t = {.read = times[_i].read, .written = times[_i].written};
  ck_assert_double_eq_tol(fuse_time(&k, &t, times[_i].flops, times[_i].specials), times[_i].seconds, 1e-12);
}
END_TEST

/* How often a kernel over [6, 4], of whose axes the second is reduced, makes a value again. */
static const struct { int rank; int64_t a, b; int n_axes; double times; } elements[] = {
    {2, 6, 4, 1, 24}, {2, 6, 1, 1, 6}, {1, 6, 0, 1, 6}, {1, 4, 0, 1, 24}, {0, 0, 0, 1, 1},
    {1, 1, 0, 1, 1},  {1, 2, 0, 1, 24}, {1, 6, 0, 0, 24}, {0, 0, 0, 0, 1}, {1, 0, 0, 1, 1},
};
START_TEST(a_value_a_row_is_made_once_a_row) {
  Type space = type_of(2, 6, 4);
  Node node = {.type = type_of(elements[_i].rank, elements[_i].a, elements[_i].b)}, *nodes[] = {&node};
  Fusion f = {.n = 1, .node = nodes};
  Kernel k = {.space = &space, .n_axes = elements[_i].n_axes, .axes = {1}};
  ck_assert_double_eq(fuse_elements(&f, &k, 0), elements[_i].times);
}
END_TEST

/* A row's maximum, read along the columns: not where it is made, though its one axis that is not 1 is there. */
START_TEST(a_value_read_across_is_stored) {
  const int64_t square[] = {3, 3};
  Setup s = begin();
  Node *z = model_input(s.g, "z", F32, 2, square), *most = b_reduce(&s.b, OP_max, z, 1, (int[]){1}, true);
  graph_output(s.g, OUT_VALUE, "out", b_binary(&s.b, OP_sub, z, b_transpose(&s.b, most, (int[]){1, 0})));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "across");
  ck_assert_int_eq(model_count(s.g, OP_group), 2);
  end(&s);
}
END_TEST

/* What a product reads, and what follows it as well, is one input of their kernel. */
START_TEST(a_product_and_its_map_share_inputs) {
  const int64_t square[] = {16, 16};
  Setup s = begin();
  Node *x = model_input(s.g, "x", F32, 2, square), *w = model_input(s.g, "w", F32, 2, square);
  graph_output(s.g, OUT_VALUE, "out", b_unary(&s.b, OP_relu, b_binary(&s.b, OP_add, b_matmul(&s.b, x, w, false, false), x)));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "residual");
  const Node *group = s.g->outputs[0].node->in[0];
  ck_assert_int_eq(group->attrs.pattern, PATTERN_MATMUL);
  ck_assert_int_eq(group->n_in, 2);
  ck_assert_int_eq(model_count(group->body, OP_input), 2);
  end(&s);
}
END_TEST

/* More than are looked at when it is merged. */
START_TEST(a_value_may_have_many_readers) {
  Setup s = begin();
  Node *x = b_unary(&s.b, OP_exp, model_input(s.g, "x", F32, 2, rows_columns));
  for (int i = 0; i < 100; i++) graph_output(s.g, OUT_VALUE, arena_print(s.arena, "y%d", i), b_scalar(&s.b, OP_mul, x, i + 0.5));
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "many readers");
  ck_assert_int_eq(model_count(s.g, OP_group), 9); /* of twelve results at most */
  end(&s);
}
END_TEST

/* x[i] + x[i - 1], and of that y[i] + y[i - 2] ...: what a kernel makes of x doubles with each step, so three are as many as it has. */
START_TEST(a_chain_of_doublings_is_cut) {
  Setup s = begin();
  const int64_t wide[] = {3, 4096}, every[] = {1, 1};
  Node *x = model_input(s.g, "x", F32, 2, wide);
  const Type type = x->type;
  for (int64_t by = 1; by < 4096; by *= 2) {
    Type part = type;
    part.dim[1] = dim_literal(4096 - by);
    Node *front = b_slice(&s.b, x, &part, (int64_t[]){0, 0}, every);
    x = b_binary(&s.b, OP_add, x, b_pad(&s.b, front, &type, (int64_t[]){0, by}, every));
  }
  graph_output(s.g, OUT_VALUE, "out", x);
  fuse_and_compare(s.program, s.d, 2, LONG_MAX, "doublings");
  ck_assert_int_eq(model_count(s.g, OP_group), 4);
  end(&s);
}
END_TEST

/* Two chains of thirty, of two values: one kernel where each takes less than 3 us, by what it does most. */
static const struct { Op op; int64_t n; int groups; } chains[] = {
    {OP_neg, 690000, 1},  {OP_neg, 710000, 2}, /* moves bytes */
    {OP_sin, 78000, 1},   {OP_sin, 82000, 2},  /* adds and multiplies */
    {OP_tanh, 120000, 1}, {OP_tanh, 128000, 2}, /* special instructions */
};
START_TEST(small_kernels_go_side_by_side) {
  Setup s = begin();
  for (int k = 0; k < 2; k++) {
    Node *x = model_input(s.g, k ? "y" : "x", F32, 1, &chains[_i].n);
    for (int i = 0; i < 30; i++) x = b_unary(&s.b, chains[_i].op, x);
    graph_output(s.g, OUT_VALUE, k ? "b" : "a", x);
  }
  PassContext context = model_context(s.program, s.d, 2);
  pass_fuse(&context);
  ck_assert_int_eq(model_count(s.g, OP_group), chains[_i].groups);
  end(&s);
}
END_TEST

/* ---- how large a kernel may be ------------------------------------------------ */

static const int64_t square[] = {64, 64};

/* Graphs that are one kernel when `n` is what one may have, and two when it is one more. */
static void many_operands(Setup *s, Node *x, int n) {
  Node *sum = x;
  for (int i = 1; i < n; i++)
    sum = b_binary(&s->b, OP_add, sum, model_input(s->g, arena_print(s->arena, "x%d", i), F32, 2, square));
  graph_output(s->g, OUT_VALUE, "out", sum);
}
static void many_results(Setup *s, Node *x, int n) {
  for (int i = 0; i < n; i++) graph_output(s->g, OUT_VALUE, arena_print(s->arena, "y%d", i), b_scalar(&s->b, OP_mul, x, i + 0.5));
}
static void many_members(Setup *s, Node *x, int n) {
  for (int i = 0; i < n; i++) x = b_unary(&s->b, i % 2 ? OP_sin : OP_neg, x);
  graph_output(s->g, OUT_VALUE, "out", x);
}
/* A row kernel: x, and what it reads and writes besides at full size. */
static void many_full(Setup *s, Node *x, int n) {
  Node *y = model_softmax(&s->b, x);
  for (int i = 0; i < n - 1; i++)
    graph_output(s->g, OUT_VALUE, arena_print(s->arena, "y%d", i), b_scalar(&s->b, OP_mul, y, i + 0.5));
}
static const struct { void (*make)(Setup *s, Node *x, int n); int most; } limits[] = {
    {many_operands, MAX_LOADS}, {many_results, MAX_OUTPUTS}, {many_members, MAX_MEMBERS}, {many_full, MAX_FULL}};
START_TEST(a_kernel_has_its_limits) {
  for (int more = 0; more < 2; more++) {
    Setup s = begin();
    limits[_i].make(&s, model_input(s.g, "x", F32, 2, square), limits[_i].most + more);
    fuse_and_compare(s.program, s.d, 2, LONG_MAX, "large");
    ck_assert_int_eq(model_count(s.g, OP_group), 1 + more);
    end(&s);
  }
}
END_TEST

static double fuse_seconds(int layers) {
  Setup s = begin();
  graph_output(s.g, OUT_VALUE, "out", model_mlp(s.g, layers, 64, 64));
  PassContext context = model_context(s.program, s.d, 2);
  clock_t start = clock();
  pass_fuse(&context);
  double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
  ck_assert_int_eq(model_count(s.g, OP_group), layers);
  end(&s);
  return seconds;
}

START_TEST(time_grows_with_the_nodes) {
  if (getenv("MTC_MUTANT")) return; /* on a busy machine it would seem to catch what it does not */
  fuse_seconds(100);
  double small = fuse_seconds(500), large = fuse_seconds(4000);
  ck_assert_msg(large < 0.02 + 24 * small, "500 layers took %.1f ms, 4000 took %.1f ms", small * 1e3, large * 1e3);
}
END_TEST

Suite *fuse_suite(void) {
  Suite *suite = suite_create("fuse");
  TCase *tcase = tcase_create("fuse");
  tcase_set_timeout(tcase, 120);
  tcase_add_test(tcase, softmax_is_one_kernel);
  tcase_add_test(tcase, layernorm_is_one_kernel);
  tcase_add_test(tcase, cross_entropy_is_one_kernel_and_a_mean);
  tcase_add_test(tcase, bias_and_relu_are_one_map_a_layer);
  tcase_add_test(tcase, small_products_go_into_their_maps);
  tcase_add_test(tcase, which_products_go_into_maps);
  tcase_add_test(tcase, column_sums_share_a_kernel_and_recompute);
  tcase_add_test(tcase, column_kernels_do_not_read_their_own_sums);
  tcase_add_test(tcase, memory_bound_layers_move_rows_once);
  tcase_add_test(tcase, outputs_and_operands_are_materialized);
  tcase_add_test(tcase, level_0_keeps_each_node_apart);
  tcase_add_test(tcase, a_map_waits_for_its_product);
  tcase_add_test(tcase, a_product_reads_what_is_put_out);
  tcase_add_loop_test(tcase, a_small_kernel_goes_into_its_reader, 0, 3);
  tcase_add_test(tcase, any_number_of_rewrites_is_right);
  tcase_add_test(tcase, random_graphs_keep_their_values);
  tcase_add_test(tcase, random_gradients_keep_their_values);
  tcase_add_test(tcase, fusion_is_deterministic);
  tcase_add_loop_test(tcase, an_op_costs_what_was_measured, 0, sizeof works / sizeof works[0]);
  tcase_add_loop_test(tcase, a_kernel_takes_its_slowest_part, 0, sizeof times / sizeof times[0]);
  tcase_add_loop_test(tcase, a_value_a_row_is_made_once_a_row, 0, sizeof elements / sizeof elements[0]);
  tcase_add_test(tcase, a_value_read_across_is_stored);
  tcase_add_test(tcase, a_value_may_have_many_readers);
  tcase_add_test(tcase, a_chain_of_doublings_is_cut);
  tcase_add_test(tcase, a_product_and_its_map_share_inputs);
  tcase_add_loop_test(tcase, small_kernels_go_side_by_side, 0, sizeof chains / sizeof chains[0]);
  tcase_add_loop_test(tcase, a_kernel_has_its_limits, 0, sizeof limits / sizeof limits[0]);
  tcase_add_loop_test(tcase, reasons_name_places, 0, sizeof places / sizeof places[0]);
  tcase_add_test(tcase, time_grows_with_the_nodes);
  suite_add_tcase(suite, tcase);
  return suite;
}
