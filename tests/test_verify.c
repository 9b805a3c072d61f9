/* test_verify.c - for each rule one program that breaks it: the verifier must
 * say so, and name the node. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ir_models.h"

static Node *find(Program *p, const char *name) {
  Node *node = graph_find(p->train.graph, name);
  ck_assert_msg(node != NULL, "no node %s", name);
  return node;
}

static void expect_wrong(const Program *p, const char *message) {
  const char *wrong = program_verify(p, p->arena);
  ck_assert_msg(wrong && strstr(wrong, message), "`%s` instead of `%s`", wrong ? wrong : "nothing", message);
}

START_TEST(sound_programs_pass) {
  Arena *arena = arena_new();
  const char *wrong = program_verify(ir_model(arena), arena);
  ck_assert_msg(!wrong, "%s", wrong);
  for (int op = 0; op < OP_COUNT; op++) {
    wrong = program_verify(ir_model_of_op(arena, (Op)op), arena);
    ck_assert_msg(!wrong, "%s: %s", op_info[op].name, wrong);
  }
  arena_free(arena);
}
END_TEST

/* ---- nodes, types, names ------------------------------------------------ */

static void late_operand(Program *p) {
  Graph *g = p->train.graph;
  Node *swap = g->nodes[0];
  g->nodes[0] = find(p, "net.fc1.div");
  for (int i = 1; i < g->n_nodes; i++)
    if (g->nodes[i] == g->nodes[0]) g->nodes[i] = swap;
}
static void twice(Program *p) { find(p, "net.fc2.mm")->name = "net.fc1.mm"; }
static void nameless(Program *p) { find(p, "net.fc2.mm")->name = NULL; }
static void empty_name(Program *p) { find(p, "net.fc2.mm")->name = ""; }
static void no_op(Program *p) { p->train.graph->nodes[1]->op = OP_COUNT; }
static void no_dtype(Program *p) { find(p, "net.fc1.mm")->type.dtype = DTYPE_COUNT; }
static void many_axes(Program *p) { find(p, "net.fc1.mm")->type.rank = MAX_RANK + 1; }
static void less_than_no_axes(Program *p) { find(p, "net.fc1.mm")->type.rank = -1; }
static void negative_size(Program *p) { find(p, "net.fc1.mm")->type.dim[1].size = -3; }
static void other_rank(Program *p) { find(p, "net.fc1.mm")->type.rank = 1; }
static void few_operands(Program *p) { find(p, "net.fc2.mm")->n_in = 1; }
static void other_size(Program *p) { find(p, "net.fc1.mm")->type.dim[1].size = 4; }
static void other_dtype(Program *p) { find(p, "net.fc1.div")->type.dtype = F64; }
static void other_flag(Program *p) { find(p, "net.fc1.mm")->attrs.tb = false; }
static void other_axes(Program *p) { find(p, "loss.sum")->attrs.axes[1] = 5; }
static void no_capacity(Program *p) { find(p, "d.x")->type.dim[0].rows = ir_symbol(p, "P"); }
static void other_capacity(Program *p) { p->train.graph->rows = NULL; }
static Symbol strange = {.name = "S", .size = 4, .rows = true};
static void capacity_of_another_graph(Program *p) { p->train.graph->rows = &strange; }
static void undeclared_capacity(Program *p) { find(p, "d.x")->type.dim[0].rows = &strange; }
static void part_of_a_capacity(Program *p) { find(p, "d.x")->type.dim[0].size = 6; }
static void empty_capacity(Program *p) { p->symbols[0]->size = 0; }
static void group_as_operand(Program *p) { find(p, "net.fc2.mm")->in[0] = find(p, "net.fc1.relu"); }
static void result_of_nothing(Program *p) { find(p, "net.fc1.relu.2")->in[0] = find(p, "net.fc1.mm"); }
static void result_out_of_range(Program *p) { find(p, "net.fc1.relu.2")->attrs.index = 1; }
static void result_below_range(Program *p) { find(p, "net.fc1.relu.2")->attrs.index = -1; }
static void result_of_other_shape(Program *p) { find(p, "net.fc1.relu.2")->type.rank = 1; }
static void result_of_other_type(Program *p) { find(p, "net.fc1.relu.2")->type.dtype = F64; }
static void no_such_param(Program *p) { find(p, "net.fc1.bias")->attrs.path = "net.fc9.bias"; }
static void no_such_field(Program *p) { find(p, "d.x")->attrs.path = "d.z"; }
static void other_variable(Program *p) { find(p, "d.x")->attrs.path = "e.x"; }
static void no_dot(Program *p) { find(p, "d.x")->attrs.path = "d_x"; }
static void no_variable(Program *p) { p->train.variable = NULL; }
static void no_path(Program *p) { find(p, "net.fc1.bias")->attrs.path = NULL; }
static void input_of_other_shape(Program *p) { p->data[0].fields[0].type.dim[1].size = 7; }
static void no_such_state(Program *p) { ir_leaf(p->train.graph, OP_state, "net.mean", ir_type(p, F32, "H")); }
static void input_of_the_schedule(Program *p) { ir_leaf(p->schedule, OP_input, "d.x", type_scalar(F32)); }
static void param_of_other_type(Program *p) { p->params[1].type.dtype = BF16; }
static void no_such_counter(Program *p) { p->schedule->nodes[0]->attrs.path = "hour"; }
static void wide_counter(Program *p) {
  Node *step = ir_leaf(p->train.graph, OP_counter, "total", type_scalar(F64));
  step->attrs.shape = step->type = ir_type(p, F64, "H");
}
static void draw_without_site(Program *p) {
  Node *draw = ir_leaf(p->train.graph, OP_random, "site", ir_type(p, F32, "H"));
  draw->attrs.path = NULL;
}
static void draw_of_nothing(Program *p) {
  ir_leaf(p->train.graph, OP_random, "site", ir_type(p, F32, "H"))->attrs.distribution = 2;
}
static void draw_of_less(Program *p) {
  ir_leaf(p->train.graph, OP_random, "site", ir_type(p, F32, "H"))->attrs.distribution = -1;
}
static void output_before_the_accumulators(Program *p) {
  p->evals[0].batch->outputs[0].role = OUT_LOG; /* the maximum is acc.0 now, and there is no acc.1 */
  graph_find(p->evals[0].finish, "acc.0")->attrs.path = "acc.1";
}
static void other_accumulator(Program *p) { graph_find(p->evals[0].finish, "acc.0")->attrs.path = "sum.0"; }
static void no_such_accumulator(Program *p) { graph_find(p->evals[0].finish, "acc.0")->attrs.path = "acc.2"; }

/* ---- outputs ------------------------------------------------------------ */

static void foreign_output(Program *p) { p->train.graph->outputs[0].node = p->schedule->nodes[0]; }
static void wide_loss(Program *p) { p->train.graph->outputs[1].node = find(p, "net.fc1.mm"); }
static void gradient_of_nothing(Program *p) { p->train.graph->outputs[2].name = "net.fc9.bias"; }
static void gradient_of_other_shape(Program *p) { p->train.graph->outputs[2].name = "net.fc1.weight"; }
static void predict_nothing(Program *p) { p->predict.graph->n_outputs = 0; }
static void unnamed_output(Program *p) { p->train.graph->outputs[0].name = NULL; }
static void output_of_nothing(Program *p) { p->train.graph->outputs[0] = (Output){.role = OUT_LOG}; }
static void group_as_output(Program *p) { p->train.graph->outputs[0].node = find(p, "net.fc1.relu"); }
static void two_predictions(Program *p) {
  Graph *g = p->predict.graph;
  graph_output(g, OUT_VALUE, "again", g->outputs[0].node);
}
static void predict_a_log(Program *p) { p->predict.graph->outputs[0].role = OUT_LOG; }
static void new_state(Program *p, const char *path, const char *dims) {
  Builder b = {p->train.graph, NULL, "new"};
  Type type = ir_type(p, F32, dims);
  Node *x = ir_leaf(p->train.graph, OP_param, "net.fc1.bias", ir_type(p, F32, "H"));
  graph_output(p->train.graph, OUT_STATE, path, type.rank == 1 ? x : b_broadcast(&b, x, &type));
}
static void state_of_nothing(Program *p) { new_state(p, "net.mean", "H"); }
static void state_of_other_shape(Program *p) { new_state(p, "net.running mean", "P H"); }

/* ---- groups ------------------------------------------------------------- */

static Node *group_of(Program *p) { return find(p, "net.fc1.relu"); }
static void group_empty(Program *p) { group_of(p)->body->n_outputs = 0; }
static void group_input_range(Program *p) { graph_find(group_of(p)->body, "net.fc1.mm")->attrs.index = 2; }
static void group_input_type(Program *p) { graph_find(group_of(p)->body, "net.fc1.mm")->attrs.index = 1; }
static void group_axes(Program *p) { group_of(p)->attrs.n_axes = 1; }
static void group_row_axes(Program *p) {
  group_of(p)->attrs.pattern = PATTERN_ROW;
  group_of(p)->attrs.n_axes = 1;
  group_of(p)->attrs.axes[0] = 0;
}
static void group_column_full(Program *p) {
  group_row_axes(p);
  group_of(p)->attrs.pattern = PATTERN_COLUMN;
}
static void group_space(Program *p) { group_of(p)->attrs.space.dim[1] = dim_literal(7); }
static void group_parent(Program *p) { group_of(p)->body->parent = NULL; }
static void group_role(Program *p) { group_of(p)->body->outputs[0].role = OUT_LOG, group_of(p)->body->outputs[0].name = "x", group_of(p)->body->outputs[0].node->type.rank = 0; }

static void group_bodiless(Program *p) { group_of(p)->body = NULL; }
static void group_negative_space(Program *p) { group_of(p)->attrs.space.dim[0].size = -4; }
static void group_input_below(Program *p) { graph_find(group_of(p)->body, "net.fc1.mm")->attrs.index = -1; }
static void group_patternless(Program *p) { group_of(p)->attrs.pattern = PATTERN_MATMUL + 1; }
static void group_below_patterns(Program *p) { group_of(p)->attrs.pattern = -1; }
static void group_less_than_no_axes(Program *p) { group_of(p)->attrs.n_axes = -1; }
static void group_reduces(Program *p, int n, int first, int second) {
  Attrs *a = &group_of(p)->attrs;
  a->pattern = PATTERN_COLUMN;
  a->n_axes = n;
  a->axes[0] = first;
  a->axes[1] = second;
}
static void group_three_axes(Program *p) { group_reduces(p, 3, 0, 1); }
static void group_negative_axis(Program *p) { group_reduces(p, 1, -1, 0); }
static void group_third_axis(Program *p) { group_reduces(p, 1, 2, 0); }
static void group_falling_axes(Program *p) { group_reduces(p, 2, 1, 0); }

/* Puts `make`'s node into a new group over [H, P] of pattern ROW, as its output. */
static Node *row_group(Program *p, Node *(*make)(Builder *b, Node *x)) {
  Graph *g = p->train.graph;
  Node *x = find(p, "net.fc1.weight");
  Node *group = ir_group(g, PATTERN_ROW, &x->type, 1, &x, "tried");
  group->attrs.n_axes = 1;
  group->attrs.axes[0] = 1;
  Builder b = {group->body, NULL, "t"};
  Node *out = make(&b, ir_group_input(group, 0));
  graph_output(group->body, OUT_VALUE, NULL, out);
  return group;
}

static Node *reduce_other_axes(Builder *b, Node *x) {
  return b_binary(b, OP_sub, x, b_reduce(b, OP_sum, x, 1, (int[]){0}, true));
}
static Node *reduce_not_full(Builder *b, Node *x) {
  Node *most = b_reduce(b, OP_max, x, 1, (int[]){1}, true);
  return b_binary(b, OP_sub, x, b_reduce(b, OP_sum, most, 1, (int[]){1}, true));
}
/* A row's maximum, read by other rows: the maxima of the three rows, twice over, stand along the six columns. */
static Node *read_elsewhere(Builder *b, Node *x) {
  Program *p = b->graph->program;
  Type twice = ir_type(p, F32, "K H"), line = ir_type(p, F32, "P");
  Node *most = b_reduce(b, OP_max, x, 1, (int[]){1}, false);
  return b_binary(b, OP_sub, x, b_reshape(b, b_broadcast(b, most, &twice), &line));
}
static Node *sum_elsewhere(Builder *b, Node *x) { return b_reduce(b, OP_sum, read_elsewhere(b, x), 1, (int[]){1}, true); }
static Node *product(Builder *b, Node *x) { return b_matmul(b, x, x, false, true); }
static Node *gradient(Builder *b, Node *x) {
  return b_binary(b, OP_grad, b_reduce(b, OP_sum, b_reduce(b, OP_sum, x, 1, (int[]){1}, false), 1, (int[]){0}, false), x);
}
static Node *parameter(Builder *b, Node *x) {
  return b_binary(b, OP_add, x, ir_leaf(b->graph, OP_param, "net.fc1.weight", x->type));
}
static Node *running_mean(Builder *b, Node *x) {
  Node *mean = ir_leaf(b->graph, OP_state, "net.running mean", ir_type(b->graph->program, F32, "H"));
  return b_binary(b, OP_add, x, b_reshape(b, mean, &(Type){F32, 2, {dim_literal(3), dim_literal(1)}}));
}
static Node *computed_table(Builder *b, Node *x) {
  Type ids = ir_type(b->graph->program, I32, "H");
  return node_new(b->graph, OP_gather, (Node *[]){b_unary(b, OP_neg, x), b_iota(b, &ids, 0)}, 2, NULL, "t.gather", NULL);
}
static Node *scattered(Builder *b, Node *x) {
  Type ids = ir_type(b->graph->program, I32, "H");
  Node *in[] = {x, b_iota(b, &ids, 0)};
  return node_new(b->graph, OP_scatter_add, in, 2, &(Attrs){.shape = x->type}, "t.scatter", NULL);
}
/* Each is read at one place, but there are too many of them. */
static Node *long_body(Builder *b, Node *x) {
  for (int i = 0; i < 20000; i++) x = b_unary(b, i % 2 ? OP_abs : OP_neg, x);
  return x;
}
static void group_of_groups(Program *p) {
  Node *outer = row_group(p, reduce_other_axes);
  Node *x = outer->body->nodes[0];
  Node *inner = ir_group(outer->body, PATTERN_MAP, &x->type, 1, &x, "inner");
  Builder b = {inner->body, NULL, "i"};
  graph_output(inner->body, OUT_VALUE, NULL, b_unary(&b, OP_neg, ir_group_input(inner, 0)));
}
static void group_logs(Program *p) {
  Node *group = group_of(p);
  Builder b = {group->body, NULL, "t"};
  graph_output(group->body, OUT_LOG, "x", b_const(&b, F32, 1));
}
static void map_reduces(Program *p) {
  Node *group = row_group(p, reduce_not_full);
  group->attrs.pattern = PATTERN_MAP;
  group->attrs.n_axes = 0;
}
static Node *widened(Builder *b, Node *x) { return b_cast(b, x, F64); }
static void group_input_dtype(Program *p) {
  Node *input = row_group(p, widened)->body->nodes[0];
  input->type.dtype = input->attrs.shape.dtype = BF16;
}
static void group_gradient(Program *p) { row_group(p, gradient); }
static void group_parameter(Program *p) { row_group(p, parameter); }
static void group_state(Program *p) { row_group(p, running_mean); }
static void group_table(Program *p) { row_group(p, computed_table); }
static void group_scatters(Program *p) { row_group(p, scattered); }
static void group_long(Program *p) { row_group(p, long_body); }

static void group_other_axes(Program *p) { row_group(p, reduce_other_axes); }
static void group_not_full(Program *p) { row_group(p, reduce_not_full); }
static void group_elsewhere(Program *p) { row_group(p, read_elsewhere); }
static void group_sums_elsewhere(Program *p) { row_group(p, sum_elsewhere); }
static void group_product(Program *p) { row_group(p, product); }

/* The same over [H, H], of pattern MATMUL. */
static void matmul_group(Program *p, Node *(*make)(Builder *b, Node *x)) {
  Node *x = find(p, "net.fc1.weight");
  Type space = ir_type(p, F32, "H H");
  Node *group = ir_group(p->train.graph, PATTERN_MATMUL, &space, 1, &x, "tried");
  Builder b = {group->body, NULL, "t"};
  graph_output(group->body, OUT_VALUE, NULL, make(&b, ir_group_input(group, 0)));
}
static Node *product_of_computed(Builder *b, Node *x) { return b_matmul(b, b_unary(b, OP_neg, x), x, false, true); }
static Node *product_elsewhere(Builder *b, Node *x) {
  Node *mm = product(b, x);
  return b_binary(b, OP_add, mm, b_transpose(b, mm, (int[]){1, 0}));
}
static Node *no_product(Builder *b, Node *x) {
  (void)x;
  Type space = ir_type(b->graph->program, I32, "H H");
  return b_cast(b, b_iota(b, &space, 0), F32);
}
static Node *part_of_product(Builder *b, Node *x) {
  Node *wide = b_matmul(b, x, x, true, false);
  Type space = ir_type(b->graph->program, F32, "H H");
  return b_slice(b, wide, &space, (int64_t[]){0, 0}, (int64_t[]){1, 1});
}
static void matmul_part(Program *p) { matmul_group(p, part_of_product); }
static void matmul_computed(Program *p) { matmul_group(p, product_of_computed); }
static void matmul_elsewhere(Program *p) { matmul_group(p, product_elsewhere); }
static void matmul_none(Program *p) { matmul_group(p, no_product); }

/* ---- plans -------------------------------------------------------------- */

static void plan_unaligned(Program *p) { find(p, "net.fc2.mm")->offset = 16; }
static void plan_before_start(Program *p) { find(p, "net.fc2.mm")->offset = -256; }
static void plan_nowhere(Program *p) { find(p, "net.fc2.mm")->home = (Home)(HOME_RESULT + 1); }
static Node *state_leaf(Program *p) {
  return ir_leaf(p->train.graph, OP_state, "net.running mean", ir_type(p, F32, "H"));
}
static void plan_state(Program *p) { state_leaf(p)->home = HOME_STATE; } /* its offset is 0, not 64 */
static void plan_no_state(Program *p) { find(p, "net.fc2.weight")->home = HOME_STATE; }
static void plan_no_param(Program *p) { find(p, "net.fc2.mm")->home = HOME_PARAM; }
static void plan_partly_over(Program *p) { /* a map may write over its operand, but not beside it */
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type wide = ir_type(p, F32, "6 6 6");
  Node *x = b_unary(&b, OP_exp, b_iota(&b, &wide, 0)), *y = b_unary(&b, OP_neg, x);
  graph_output(g, OUT_VALUE, "v", y);
  x->home = y->home = HOME_ARENA;
  y->offset = 256;
  g->arena_bytes = 2048;
  find(p, "net.fc2.mm")->home = find(p, "net.fc1.relu.2")->home = HOME_NONE;
}
static void plan_past_end(Program *p) { find(p, "net.fc2.mm")->offset = 512; }
static void plan_overlap(Program *p) { find(p, "net.fc1.relu.2")->offset = 0; } /* read again by loss.sum.2 */
static void plan_overlap_by_alias(Program *p) {
  Node *late = find(p, "loss.mul"); /* written while loss.reshape, an alias of net.fc2.mm, is still to be read */
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "late"};
  graph_output(g, OUT_VALUE, "late", b_unary(&b, OP_neg, find(p, "loss.reshape")));
  late->home = HOME_ARENA;
}
static void plan_alias(Program *p) { find(p, "loss.mul")->home = HOME_ALIAS; }
static void plan_input(Program *p) { find(p, "loss.mul")->home = HOME_INPUT; }
static void plan_param(Program *p) { find(p, "net.fc2.weight")->home = HOME_PARAM; } /* its offset is 128, not 0 */
static void plan_grad(Program *p) { find(p, "loss.sum.2")->home = HOME_GRAD; }       /* its parameter's is 64 */
static void plan_output(Program *p) { find(p, "net.fc1.mm")->home = HOME_OUTPUT; }
static void plan_over_the_first_of_two(Program *p) {
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type square = {F32, 2, {dim_literal(3), dim_literal(3)}};
  Node *x[3] = {b_unary(&b, OP_exp, b_iota(&b, &square, 0))};
  x[1] = b_unary(&b, OP_sin, x[0]);
  x[2] = b_unary(&b, OP_cos, x[0]);
  for (int i = 0; i < 3; i++) graph_output(g, OUT_VALUE, NULL, x[i]), x[i]->home = HOME_ARENA, x[i]->offset = 512;
  x[1]->offset = 768;
  g->arena_bytes = 1024;
}
static void params_overlap(Program *p) { p->params[2].offset = 64; }
static void params_past_end(Program *p) { p->param_elements = 130; }
static void params_unaligned(Program *p) { p->params[2].offset = 130; }
static void params_before_start(Program *p) { p->params[0].offset = -64; }

static void params_one_past_end(Program *p) { p->param_elements = 128 + 6 - 1; }
static void plan_one_past_end(Program *p) { p->train.graph->arena_bytes = 256 + 48 - 1; }
static void plan_gradient(Program *p) {
  Node *gradient = find(p, "loss.sum.2");
  gradient->home = HOME_GRAD;
  gradient->offset = 64;
}
static void plan_gradient_of_less(Program *p) { /* its output, the last of them, has gone */
  plan_gradient(p);
  p->train.graph->n_outputs--;
}

/* ---- declarations and script -------------------------------------------- */

static void param_twice(Program *p) { p->params[2].path = "net.fc1.bias"; }
static void first_param_twice(Program *p) { p->params[1].path = p->params[0].path; }
static void operand_of_another_graph(Program *p) { p->evals[0].batch->nodes[1]->in[0] = find(p, "d.x"); }
static void param_with_rows(Program *p) { p->params[0].type.dim[0] = dim_symbol(ir_symbol(p, "B")); }
static void data_twice(Program *p) { p->data[1].name = "train_set"; }
static void state_twice(Program *p) {
  State again = p->states[0];
  LIST_PUSH(p->arena, p->states, p->n_states, again);
}
static void data_of_scalars(Program *p) { p->data[1].fields[0].type.rank = 0; }
static UpdateGroup *bias_group(Program *p) { return &p->train.updates[0].groups[1]; }
static void no_optimizer(Program *p) { bias_group(p)->optimizer = NULL; }
static void updates_nothing(Program *p) { bias_group(p)->params[0] = 3; }
static void updates_less(Program *p) { bias_group(p)->params[0] = -1; }
static void no_hyper(Program *p) { bias_group(p)->hyper[2] = NULL; }
static void no_schedule(Program *p) { p->schedule = NULL; }
static void hyper_wide(Program *p) { /* one number a label */
  bias_group(p)->hyper[2] = ir_leaf(p->schedule, OP_random, "w", ir_type(p, F64, "H"));
}
static void update_below(Program *p) { p->train.body[0].index = -1; }
static void eval_below(Program *p) { p->train.body[2].body[0].index = -1; }
static void nameless_log(Program *p) { p->train.body[1].name = NULL; }
static void data_below(Program *p) { p->train.data = -1; }
static void no_train_graph(Program *p) { p->train.graph = NULL; }
static void accumulates_nothing(Program *p) { p->train.accumulate = 0; }
static void updates_without_train(Program *p) { p->has_train = false; }
static void evals_without_train(Program *p) { p->has_train = false, p->train.n_updates = 0; }
static void nothing_to_do(Program *p) { p->has_train = p->has_predict = false; }
static void no_predict_graph(Program *p) { p->predict.graph = NULL; }
static void eval_of_nothing(Program *p) { p->evals[0].data = 2; }
static void eval_of_less(Program *p) { p->evals[0].data = -1; }
static void eval_without_batch(Program *p) { p->evals[0].batch = NULL; }
static void data_without_batch(Program *p) { p->data[1].fields[0].type.dim[0] = dim_literal(4); }
static void updated_twice(Program *p) { p->train.updates[0].groups[1].params[0] = 2; }
static void hyper_elsewhere(Program *p) { p->train.updates[0].groups[1].hyper[2] = find(p, "loss.sum"); }
static void hyper_dtype(Program *p) {
  Builder b = {p->schedule, NULL, "x"};
  p->train.updates[0].groups[1].hyper[2] = b_const(&b, F32, 1);
}
static void no_such_update(Program *p) { p->train.body[0].index = 1; }
static void no_such_eval(Program *p) { p->train.body[2].body[0].index = 1; }
static void every_zero(Program *p) { p->train.body[2].every = 0; }
static void no_data(Program *p) { p->train.data = 2; }
static void no_finish(Program *p) { p->evals[0].finish = NULL; }
static void graph_twice(Program *p) { p->evals[0].finish = p->evals[0].batch; }

/* What a list held last is no part of it any more, although its memory is still there. */
static void capacity_that_went(Program *p) {
  Symbol *b = p->symbols[0];
  p->symbols[0] = p->symbols[p->n_symbols - 1];
  p->symbols[--p->n_symbols] = b;
}
static void eval_that_went(Program *p) {
  p->n_evals = 0;
  p->evals[0].batch = p->schedule;
  p->evals[0].data = 1;
  p->data[1].rows = NULL;
  p->data[1].fields[0].type = ir_type(p, F32, "P P");
  ir_leaf(p->schedule, OP_input, "e.odd name", ir_type(p, F32, "P P"));
}
static void hyper_that_went(Program *p) {
  bias_group(p)->hyper[2] = ir_leaf(p->schedule, OP_counter, "total", type_scalar(F64));
  p->schedule->n_nodes--;
}
static void first_data_without_batch(Program *p) { p->data[0].fields[0].type.dim[0] = dim_literal(4); }

static const struct { const char *name; void (*breaks)(Program *); const char *message; } rules[] = {
    {"params one past end", params_one_past_end, "parameter net.fc2.weight overlaps the end of the block"},
    {"plan one past end", plan_one_past_end, "train: %net.fc1.relu.2: it ends past the arena"},
    {"plan gradient of less", plan_gradient_of_less, "train: %loss.sum.2: its home is not that of a gradient it is"},
    {"capacity that went", capacity_that_went, "train: %d.x: its capacity B is no dim of the program"},
    {"eval that went", eval_that_went, "schedule: %e.odd name: there is no input e.odd name"},
    {"hyper that went", hyper_that_went, "update 0: dampening of net.fc1.bias is no node of the schedule"},
    {"first data without batch", first_data_without_batch, "data train_set: the first axis of x is not the batch"},
    {"group sums what is elsewhere", group_sums_elsewhere, "tried: %t.max: it is read at other places than the outer index"},
    {"late operand", late_operand, "train: %net.fc1.div: operand 0, %d.x, does not stand before it"},
    {"twice", twice, "train: %net.fc1.mm: a second node of that name"},
    {"nameless", nameless, "(matmul) has no name"},
    {"empty name", empty_name, "(matmul) has no name"},
    {"no op", no_op, "train: node 1 has no op"},
    {"no dtype", no_dtype, "train: %net.fc1.mm: its type has no dtype"},
    {"many axes", many_axes, "train: %net.fc1.mm: its type has 9 axes"},
    {"less than no axes", less_than_no_axes, "train: %net.fc1.mm: its type has -1 axes"},
    {"negative size", negative_size, "train: %net.fc1.mm: axis 1 has a negative size"},
    {"other rank", other_rank, "train: %net.fc1.mm: its type is f32[B<=4], its op gives f32[B<=4, H=3]"},
    {"few operands", few_operands, "train: %net.fc2.mm: matmul takes 2 operands, it has 1"},
    {"other size", other_size, "train: %net.fc1.mm: its type is f32[B<=4, H=4], its op gives f32[B<=4, H=3]"},
    {"other dtype", other_dtype, "train: %net.fc1.div: its type is f64[B<=4, P=6], its op gives f32[B<=4, P=6]"},
    {"other flag", other_flag, "train: %net.fc1.mm: matmul: inner sizes differ"},
    {"other axes", other_axes, "train: %loss.sum: sum: axis 5"},
    {"no capacity", no_capacity, "train: %d.x: axis 0 is no multiple of a capacity"},
    {"other capacity", other_capacity, "train: %d.x: its capacity is B, that of the graph is none"},
    {"capacity of another graph", capacity_of_another_graph, "train: %d.x: its capacity is B, that of the graph is S"},
    {"undeclared capacity", undeclared_capacity, "train: %d.x: its capacity S is no dim of the program"},
    {"part of a capacity", part_of_a_capacity, "train: %d.x: axis 0 is no multiple of a capacity"},
    {"empty capacity", empty_capacity, "train: %d.x: axis 0 is no multiple of a capacity"},
    {"group as operand", group_as_operand, "train: %net.fc2.mm: uses %net.fc1.relu, a group, other than by a result"},
    {"result of nothing", result_of_nothing, "train: %net.fc1.relu.2: result of %net.fc1.mm, which has no body"},
    {"result out of range", result_out_of_range, "train: %net.fc1.relu.2: %net.fc1.relu has no output 1"},
    {"result below range", result_below_range, "train: %net.fc1.relu.2: %net.fc1.relu has no output -1"},
    {"result of other shape", result_of_other_shape, "train: %net.fc1.relu.2: its type is f32[B<=4], output 0 of %net.fc1.relu is f32[B<=4, H=3]"},
    {"result of other type", result_of_other_type, "train: %net.fc1.relu.2: its type is f64[B<=4, H=3], output 0 of %net.fc1.relu is f32"},
    {"no such param", no_such_param, "train: %net.fc1.bias: there is no param net.fc9.bias"},
    {"no such field", no_such_field, "train: %d.x: there is no input d.z"},
    {"other variable", other_variable, "train: %d.x: there is no input e.x"},
    {"no dot", no_dot, "train: %d.x: there is no input d_x"},
    {"no variable", no_variable, "train: %d.x: there is no input d.x"},
    {"no path", no_path, "train: %net.fc1.bias: it has no path"},
    {"input of other shape", input_of_other_shape, "train: %d.x: its type is f32[B<=4, P=6], that of d.x is f32[B<=4, P=7]"},
    {"no such state", no_such_state, "train: %net.mean: there is no state net.mean"},
    {"input of the schedule", input_of_the_schedule, "schedule: %d.x: there is no input d.x"},
    {"param of other type", param_of_other_type, "train: %net.fc1.bias: its type is f32[H=3], that of net.fc1.bias is bf16[H=3]"},
    {"no such counter", no_such_counter, "schedule: %step: hour is no counter"},
    {"wide counter", wide_counter, "train: %total: counter: a scalar, not [H]"},
    {"draw without site", draw_without_site, "train: %site: a random draw needs a site and a distribution"},
    {"draw of nothing", draw_of_nothing, "train: %site: a random draw needs a site and a distribution"},
    {"draw of less", draw_of_less, "train: %site: a random draw needs a site and a distribution"},
    {"output before the accumulators", output_before_the_accumulators, "eval0.finish: %acc.0: there is no input acc.1"},
    {"other accumulator", other_accumulator, "eval0.finish: %acc.0: there is no input sum.0"},
    {"no such accumulator", no_such_accumulator, "eval0.finish: %acc.0: there is no input acc.2"},
    {"foreign output", foreign_output, "train: output loss is no node of it"},
    {"wide loss", wide_loss, "train: %net.fc1.mm: update 0 is no scalar"},
    {"gradient of nothing", gradient_of_nothing, "train: %loss.sum.2: an output for net.fc9.bias, which is not declared"},
    {"gradient of other shape", gradient_of_other_shape, "train: %loss.sum.2: its type is f32[H=3], that of net.fc1.weight is f32[H=3, P=6]"},
    {"predict nothing", predict_nothing, "predict: it needs one output, a value"},
    {"unnamed output", unnamed_output, "train: %loss.sum: an output has no name"},
    {"output of nothing", output_of_nothing, "train: output  is no node of it"},
    {"group as output", group_as_output, "train: %net.fc1.relu: an output is a group"},
    {"two predictions", two_predictions, "predict: it needs one output, a value"},
    {"predict a log", predict_a_log, "predict: it needs one output, a value"},
    {"state of nothing", state_of_nothing, "an output for net.mean, which is not declared"},
    {"state of other shape", state_of_other_shape, "that of net.running mean is f32[H=3]"},
    {"group bodiless", group_bodiless, "train: %net.fc1.relu: a group without a body"},
    {"group negative space", group_negative_space, "train: %net.fc1.relu: axis 0 has a negative size"},
    {"group input below", group_input_below, "net.fc1.relu: %net.fc1.mm: the group has no operand -1"},
    {"group input dtype", group_input_dtype, "tried: %net.fc1.weight: its type is not that of operand 0, %net.fc1.weight"},
    {"group patternless", group_patternless, "net.fc1.relu: it has no pattern"},
    {"group below patterns", group_below_patterns, "net.fc1.relu: it has no pattern"},
    {"group less than no axes", group_less_than_no_axes, "net.fc1.relu: it reduces more axes than its space has"},
    {"group three axes", group_three_axes, "net.fc1.relu: it reduces more axes than its space has"},
    {"group negative axis", group_negative_axis, "net.fc1.relu: the axes it reduces are not ascending axes of its space"},
    {"group third axis", group_third_axis, "net.fc1.relu: the axes it reduces are not ascending axes of its space"},
    {"group falling axes", group_falling_axes, "net.fc1.relu: the axes it reduces are not ascending axes of its space"},
    {"group of groups", group_of_groups, "tried: %inner: group has no place in a group"},
    {"group logs", group_logs, "net.fc1.relu: %t.const: an output of a group is no value"},
    {"map reduces", map_reduces, "tried: %t.max: a map group has a reduction"},
    {"group gradient", group_gradient, "tried: %t.grad: grad has no place in a group"},
    {"group parameter", group_parameter, "tried: %net.fc1.weight.2: param has no place in a group"},
    {"group state", group_state, "tried: %net.running mean: state has no place in a group"},
    {"group table", group_table, "tried: %t.gather: the table it reads from is computed in the group"},
    {"group scatters", group_scatters, "tried: %t.scatter: scatter_add has no place in a group"},
    {"group long", group_long, "the body reads at too many places"},
    {"matmul part", matmul_part, "tried: %t.mm: the product has not the shape of the space"},
    {"plan before start", plan_before_start, "train: %net.fc2.mm: its offset is not aligned"},
    {"plan nowhere", plan_nowhere, "train: %net.fc2.mm: its home is none that there is"},
    {"plan state", plan_state, "train: %net.running mean: its home is not that of its state"},
    {"plan no state", plan_no_state, "train: %net.fc2.weight: its home is not that of its state"},
    {"plan no param", plan_no_param, "train: %net.fc2.mm: its home is not that of its parameter"},
    {"plan over the first of two", plan_over_the_first_of_two, "train: %v.cos: its bytes in the arena are those of %v.exp, which is still alive"},
    {"plan partly over", plan_partly_over, "train: %v.neg: its bytes in the arena are those of %v.exp, which is still alive"},
    {"params before start", params_before_start, "parameter net.fc1.weight is not aligned in its block"},
    {"state twice", state_twice, "state net.running mean is declared twice"},
    {"data of scalars", data_of_scalars, "data noise: the first axis of odd name is not the batch"},
    {"no optimizer", no_optimizer, "update 0: net.fc1.bias has no optimizer"},
    {"updates nothing", updates_nothing, "update 0: net.fc1.bias names no parameter"},
    {"updates less", updates_less, "update 0: net.fc1.bias names no parameter"},
    {"no hyper", no_hyper, "update 0: dampening of net.fc1.bias is no node of the schedule"},
    {"no schedule", no_schedule, "update 0: lr of net is no node of the schedule"},
    {"hyper wide", hyper_wide, "update 0: dampening of net.fc1.bias is no f64 scalar"},
    {"update below", update_below, "the script runs update -1, which is not there"},
    {"eval below", eval_below, "the script runs eval -1, which is not there"},
    {"nameless log", nameless_log, "a log without a name"},
    {"data below", data_below, "train has no data set"},
    {"no train graph", no_train_graph, "train has no graph"},
    {"accumulates nothing", accumulates_nothing, "train accumulates nothing"},
    {"updates without train", updates_without_train, "updates or evals without a train"},
    {"nothing to do", nothing_to_do, "it neither trains nor predicts"},
    {"evals without train", evals_without_train, "updates or evals without a train"},
    {"no predict graph", no_predict_graph, "predict has no graph"},
    {"eval of nothing", eval_of_nothing, "eval 0 lacks its data set or a graph"},
    {"eval of less", eval_of_less, "eval 0 lacks its data set or a graph"},
    {"eval without batch", eval_without_batch, "eval 0 lacks its data set or a graph"},
    {"group empty", group_empty, "train: %net.fc1.relu: a group without outputs"},
    {"group input range", group_input_range, "net.fc1.relu: %net.fc1.mm: the group has no operand 2"},
    {"group input type", group_input_type, "net.fc1.relu: %net.fc1.mm: its type is not that of operand 1, %net.fc1.bias"},
    {"group axes", group_axes, "net.fc1.relu: its axes do not go with its pattern"},
    {"group row axes", group_row_axes, "net.fc1.relu: a row group reduces axes that are not the last"},
    {"group column full", group_column_full, "net.fc1.relu: %net.fc1.relu: a column group has a full output"},
    {"group space", group_space, "net.fc1.relu: %net.fc1.relu: it is an output, but has not the shape of the space"},
    {"group parent", group_parent, "train: %net.fc1.relu: its body belongs to another graph"},
    {"group role", group_role, "net.fc1.relu"},
    {"group other axes", group_other_axes, "tried: %t.sum: it reduces other axes than the group"},
    {"group not full", group_not_full, "tried: %t.sum: it reduces what has not the shape of the space"},
    {"group elsewhere", group_elsewhere, "tried: %t.max: it is read at other places than the outer index"},
    {"group product", group_product, "tried: %t.mm: matmul has no place in a group"},
    {"matmul computed", matmul_computed, "tried: %t.mm: an operand of the product is computed in the group"},
    {"matmul elsewhere", matmul_elsewhere, "tried: %t.mm: it is read at other places than the point"},
    {"matmul none", matmul_none, "tried: a matmul group has one product, others none"},
    {"plan unaligned", plan_unaligned, "train: %net.fc2.mm: its offset is not aligned"},
    {"plan past end", plan_past_end, "train: %net.fc2.mm: it ends past the arena"},
    {"plan overlap", plan_overlap, "train: %net.fc2.mm: its bytes in the arena are those of %net.fc1.relu.2, which is still alive"},
    {"plan overlap by alias", plan_overlap_by_alias, "train: %loss.mul: its bytes in the arena are those of %net.fc2.mm, which is still alive"},
    {"plan alias", plan_alias, "train: %loss.mul: it shares its operand's bytes, but is no view"},
    {"plan input", plan_input, "train: %loss.mul: its home is the batch, but it is no input"},
    {"plan param", plan_param, "train: %net.fc2.weight: its home is not that of its parameter"},
    {"plan grad", plan_grad, "train: %loss.sum.2: its home is not that of a gradient it is"},
    {"plan output", plan_output, "train: %net.fc1.mm: its home is an output, but it is none"},
    {"params overlap", params_overlap, "parameter net.fc1.bias overlaps net.fc2.weight"},
    {"params past end", params_past_end, "parameter net.fc2.weight overlaps the end of the block"},
    {"params unaligned", params_unaligned, "parameter net.fc2.weight is not aligned in its block"},
    {"first param twice", first_param_twice, "parameter net.fc1.weight is declared twice"},
    {"operand of another graph", operand_of_another_graph, "eval0: %accuracy.sum: operand 0, %d.x, does not stand before it"},
    {"param twice", param_twice, "parameter net.fc1.bias is declared twice"},
    {"param with rows", param_with_rows, "parameter net.fc1.weight has a batch axis"},
    {"data twice", data_twice, "data train_set is declared twice"},
    {"data without batch", data_without_batch, "data noise: the first axis of odd name is not the batch"},
    {"updated twice", updated_twice, "update 0: net.fc2.weight is updated twice"},
    {"hyper elsewhere", hyper_elsewhere, "update 0: dampening of net.fc1.bias is no node of the schedule"},
    {"hyper dtype", hyper_dtype, "update 0: dampening of net.fc1.bias is no f64 scalar"},
    {"no such update", no_such_update, "the script runs update 1, which is not there"},
    {"no such eval", no_such_eval, "the script runs eval 1, which is not there"},
    {"every zero", every_zero, "`every 0` never acts"},
    {"no data", no_data, "train has no data set"},
    {"no finish", no_finish, "eval 0 lacks its data set or a graph"},
    {"graph twice", graph_twice, "eval0: it serves twice"},
};
enum { N_RULES = sizeof rules / sizeof rules[0] };

START_TEST(a_broken_rule_is_named) {
  Arena *arena = arena_new();
  Program *p = ir_model(arena);
  rules[_i].breaks(p);
  expect_wrong(p, rules[_i].message);
  arena_free(arena);
}
END_TEST

/* ---- one op, broken ------------------------------------------------------ */

static void no_rows(Program *p, Node *node) { (void)p, node->attrs.symbol = NULL; }
static void rows_of_a_dim(Program *p, Node *node) { node->attrs.symbol = ir_symbol(p, "H"); }
static void iota_of_no_axis(Program *p, Node *node) { (void)p, node->attrs.axis = 2; }
static void wide_const(Program *p, Node *node) { node->attrs.shape = node->type = ir_type(p, F32, "H"); }
static void scatter_other_dtype(Program *p, Node *node) { (void)p, node->attrs.shape.dtype = node->type.dtype = BF16; }
static void scatter_elsewhere(Program *p, Node *node) { node->attrs.shape = node->type = ir_type(p, F32, "H K"); }

static const struct { Op op; void (*breaks)(Program *, Node *); const char *message; } op_rules[] = {
    {OP_rows, no_rows, "train: %sample: rows: only of a batch dim there are fewer or more"},
    {OP_rows, rows_of_a_dim, "train: %sample: rows: only of a batch dim there are fewer or more"},
    {OP_iota, iota_of_no_axis, "train: %sample: iota: axis 2 is not one of [B, P]"},
    {OP_const, wide_const, "train: %sample: const: a scalar, not [H]"},
    {OP_scatter_add, scatter_other_dtype, "train: %sample: scatter_add: rows of f32 cannot be added into bf16"},
    {OP_scatter_add, scatter_elsewhere, "train: %sample: scatter_add: rows [B, P] at indices [B] do not fit into [H, K]"},
};
enum { N_OP_RULES = sizeof op_rules / sizeof op_rules[0] };

START_TEST(a_broken_op_is_named) {
  Arena *arena = arena_new();
  Program *p = ir_model_of_op(arena, op_rules[_i].op);
  op_rules[_i].breaks(p, find(p, "sample"));
  expect_wrong(p, op_rules[_i].message);
  arena_free(arena);
}
END_TEST

/* ---- odd, but sound ------------------------------------------------------- */

static void only_predicts(Program *p) {
  p->has_train = false;
  p->n_evals = 0;
  p->train = (Train){0};
}
static void only_trains(Program *p) { p->has_predict = false, p->predict = (Predict){0}; }
static void data_of_no_batch(Program *p) { p->data[1].rows = NULL, p->data[1].fields[0].type.rank = 0; }
static void eight_hypers(Program *p) {
  static const Optimizer many = {.name = "many", .hyper = {"a", "b", "c", "d", "e", "f", "g", "h"}, .fallback = {1}};
  UpdateGroup *group = bias_group(p);
  group->optimizer = &many;
  for (int i = 0; i < MAX_HYPER; i++) group->hyper[i] = p->train.updates[0].groups[0].hyper[0];
}
static void new_value_of_a_state(Program *p) { new_state(p, "net.running mean", "H"); }
static void planned_state(Program *p) {
  Node *mean = state_leaf(p);
  mean->home = HOME_STATE;
  mean->offset = p->states[0].offset;
}
static void counts_epochs(Program *p) { ir_leaf(p->schedule, OP_counter, "total", type_scalar(F64)); }
static void nothing_reduced(Program *p) { /* rows of no element: no place is read */
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type none = ir_type(p, I32, "0 6");
  Node *x = b_cast(&b, b_iota(&b, &none, 1), F32);
  Node *group = ir_group(g, PATTERN_ROW, &x->type, 1, &x, "none");
  group->attrs.n_axes = 1;
  group->attrs.axes[0] = 1;
  Builder inside = {group->body, NULL, "n"};
  Node *in = ir_group_input(group, 0), *sum = b_reduce(&inside, OP_sum, in, 1, (int[]){1}, true);
  graph_output(group->body, OUT_VALUE, NULL, b_binary(&inside, OP_sub, in, sum));
  Node *out = ir_group_result(g, group, 0);
  x->home = out->home = HOME_ARENA; /* both at 0, where neither has a byte */
}
static void product_of_nothing(Program *p) { /* read at other places than the point, where it has no element */
  Type none = {F32, 2, {dim_literal(0), dim_literal(0)}}, ids = none;
  Builder b = {p->train.graph, NULL, "v"};
  ids.dtype = I32;
  Node *x = b_cast(&b, b_iota(&b, &ids, 1), F32), *group = ir_group(p->train.graph, PATTERN_MATMUL, &none, 1, &x, "none");
  Builder inside = {group->body, NULL, "n"};
  graph_output(group->body, OUT_VALUE, NULL, product_elsewhere(&inside, ir_group_input(group, 0)));
}
static void capacity_of_one(Program *p) { p->symbols[0]->size = 1; }
static void first_of_the_schedule(Program *p) { bias_group(p)->hyper[2] = p->schedule->nodes[0]; }
static void params_to_the_end(Program *p) { p->param_elements = 128 + 6; }
static void plan_to_the_end(Program *p) { p->train.graph->arena_bytes = 256 + 48; }
static void row_group_of_a_sum(Program *p) {
  Node *group = row_group(p, reduce_not_full);
  Graph *body = group->body;
  Builder b = {body, NULL, "s"};
  body->outputs[0].node = b_reduce(&b, OP_sum, body->nodes[0], 1, (int[]){1}, false);
  body->n_nodes = 0;
  LIST_PUSH(p->arena, body->nodes, body->n_nodes, body->outputs[0].node->in[0]);
  LIST_PUSH(p->arena, body->nodes, body->n_nodes, body->outputs[0].node);
}

static void view_of_its_own(Program *p) { /* it lives on where its operand's bytes are written again */
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type square = {F32, 2, {dim_literal(3), dim_literal(3)}};
  Node *x = b_unary(&b, OP_exp, b_iota(&b, &square, 0)), *turned = b_transpose(&b, x, (int[]){1, 0});
  Node *again = b_unary(&b, OP_sin, b_iota(&b, &square, 1)), *out = b_binary(&b, OP_add, turned, again);
  graph_output(g, OUT_VALUE, "out", out);
  x->home = turned->home = again->home = HOME_ARENA;
  x->offset = again->offset = 512;
  turned->offset = 768;
  g->arena_bytes = 1024;
}
static void axes_that_went(Program *p) { find(p, "net.fc1.mm")->type.dim[2].size = -5; }
static void as_many_axes_as_may_be(Program *p) {
  Type eight = {I32, MAX_RANK, {{0}}};
  for (int i = 0; i < MAX_RANK; i++) eight.dim[i] = dim_literal(2);
  Builder b = {p->train.graph, NULL, "v"};
  Node *x = b_iota(&b, &eight, 7), *group = ir_group(p->train.graph, PATTERN_MAP, &eight, 1, &x, "wide");
  Builder inside = {group->body, NULL, "n"};
  graph_output(group->body, OUT_VALUE, NULL, b_unary(&inside, OP_neg, ir_group_input(group, 0)));
}
static void params_in_another_order(Program *p) { p->params[0].offset = 64, p->params[1].offset = 0; }

static const struct { const char *name; void (*make)(Program *); } sound[] = {
    {"axes that went", axes_that_went},
    {"as many axes as may be", as_many_axes_as_may_be},
    {"params in another order", params_in_another_order},
    {"view of its own", view_of_its_own},
    {"planned gradient", plan_gradient},
    {"product of nothing", product_of_nothing},
    {"capacity of one", capacity_of_one},
    {"first of the schedule", first_of_the_schedule},
    {"params to the end", params_to_the_end},
    {"plan to the end", plan_to_the_end},
    {"only predicts", only_predicts},
    {"only trains", only_trains},
    {"data of no batch", data_of_no_batch},
    {"eight hypers", eight_hypers},
    {"new value of a state", new_value_of_a_state},
    {"planned state", planned_state},
    {"counts epochs", counts_epochs},
    {"nothing reduced", nothing_reduced},
    {"row group of a sum", row_group_of_a_sum},
};
enum { N_SOUND = sizeof sound / sizeof sound[0] };

START_TEST(odd_programs_pass) {
  Arena *arena = arena_new();
  Program *p = ir_model(arena);
  sound[_i].make(p);
  const char *wrong = program_verify(p, arena);
  ck_assert_msg(!wrong, "%s: %s", sound[_i].name, wrong);
  arena_free(arena);
}
END_TEST

Suite *verify_suite(void) {
  Suite *suite = suite_create("verify");
  TCase *tests = tcase_create("verify");
  tcase_add_test(tests, sound_programs_pass);
  tcase_add_loop_test(tests, a_broken_rule_is_named, 0, N_RULES);
  tcase_add_loop_test(tests, a_broken_op_is_named, 0, N_OP_RULES);
  tcase_add_loop_test(tests, odd_programs_pass, 0, N_SOUND);
  suite_add_tcase(suite, tests);
  return suite;
}
