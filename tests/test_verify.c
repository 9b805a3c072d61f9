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
static void few_operands(Program *p) { find(p, "net.fc2.mm")->n_in = 1; }
static void other_size(Program *p) { find(p, "net.fc1.mm")->type.dim[1].size = 4; }
static void other_dtype(Program *p) { find(p, "net.fc1.div")->type.dtype = F64; }
static void other_flag(Program *p) { find(p, "net.fc1.mm")->attrs.tb = false; }
static void other_axes(Program *p) { find(p, "loss.sum")->attrs.axes[1] = 5; }
static void no_capacity(Program *p) { find(p, "d.x")->type.dim[0].rows = ir_symbol(p, "P"); }
static void other_capacity(Program *p) { p->train.graph->rows = NULL; }
static void group_as_operand(Program *p) { find(p, "net.fc2.mm")->in[0] = find(p, "net.fc1.relu"); }
static void result_of_nothing(Program *p) { find(p, "net.fc1.relu.2")->in[0] = find(p, "net.fc1.mm"); }
static void result_out_of_range(Program *p) { find(p, "net.fc1.relu.2")->attrs.index = 1; }
static void result_of_other_type(Program *p) { find(p, "net.fc1.relu.2")->type.dtype = F64; }
static void no_such_param(Program *p) { find(p, "net.fc1.bias")->attrs.path = "net.fc9.bias"; }
static void no_such_field(Program *p) { find(p, "d.x")->attrs.path = "d.z"; }
static void param_of_other_type(Program *p) { p->params[1].type.dtype = BF16; }
static void no_such_counter(Program *p) { p->schedule->nodes[0]->attrs.path = "hour"; }
static void no_such_accumulator(Program *p) { graph_find(p->evals[0].finish, "acc.0")->attrs.path = "acc.2"; }

/* ---- outputs ------------------------------------------------------------ */

static void foreign_output(Program *p) { p->train.graph->outputs[0].node = p->schedule->nodes[0]; }
static void wide_loss(Program *p) { p->train.graph->outputs[1].node = find(p, "net.fc1.mm"); }
static void gradient_of_nothing(Program *p) { p->train.graph->outputs[2].name = "net.fc9.bias"; }
static void gradient_of_other_shape(Program *p) { p->train.graph->outputs[2].name = "net.fc1.weight"; }
static void predict_nothing(Program *p) { p->predict.graph->n_outputs = 0; }
static void unnamed_output(Program *p) { p->train.graph->outputs[0].name = NULL; }

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
static Node *product(Builder *b, Node *x) { return b_matmul(b, x, x, false, true); }

static void group_other_axes(Program *p) { row_group(p, reduce_other_axes); }
static void group_not_full(Program *p) { row_group(p, reduce_not_full); }
static void group_elsewhere(Program *p) { row_group(p, read_elsewhere); }
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
static void matmul_computed(Program *p) { matmul_group(p, product_of_computed); }
static void matmul_elsewhere(Program *p) { matmul_group(p, product_elsewhere); }
static void matmul_none(Program *p) { matmul_group(p, no_product); }

/* ---- plans -------------------------------------------------------------- */

static void plan_unaligned(Program *p) { find(p, "net.fc2.mm")->offset = 16; }
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
static void params_overlap(Program *p) { p->params[2].offset = 64; }
static void params_past_end(Program *p) { p->param_elements = 130; }
static void params_unaligned(Program *p) { p->params[2].offset = 130; }

/* ---- declarations and script -------------------------------------------- */

static void param_twice(Program *p) { p->params[2].path = "net.fc1.bias"; }
static void param_with_rows(Program *p) { p->params[0].type.dim[0] = dim_symbol(ir_symbol(p, "B")); }
static void data_twice(Program *p) { p->data[1].name = "train_set"; }
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

static const struct { const char *name; void (*breaks)(Program *); const char *message; } rules[] = {
    {"late operand", late_operand, "train: %net.fc1.div: operand 0, %d.x, does not stand before it"},
    {"twice", twice, "train: %net.fc1.mm: a second node of that name"},
    {"nameless", nameless, "(matmul) has no name"},
    {"few operands", few_operands, "train: %net.fc2.mm: matmul takes 2 operands, it has 1"},
    {"other size", other_size, "train: %net.fc1.mm: its type is f32[B<=4, H=4], its op gives f32[B<=4, H=3]"},
    {"other dtype", other_dtype, "train: %net.fc1.div: its type is f64[B<=4, P=6], its op gives f32[B<=4, P=6]"},
    {"other flag", other_flag, "train: %net.fc1.mm: matmul: inner sizes differ"},
    {"other axes", other_axes, "train: %loss.sum: sum: axis 5"},
    {"no capacity", no_capacity, "train: %d.x: axis 0 is no multiple of a capacity"},
    {"other capacity", other_capacity, "train: %d.x: its capacity is B, that of the graph is none"},
    {"group as operand", group_as_operand, "train: %net.fc2.mm: uses %net.fc1.relu, a group, other than by a result"},
    {"result of nothing", result_of_nothing, "train: %net.fc1.relu.2: result of %net.fc1.mm, which has no body"},
    {"result out of range", result_out_of_range, "train: %net.fc1.relu.2: %net.fc1.relu has no output 1"},
    {"result of other type", result_of_other_type, "train: %net.fc1.relu.2: its type is f64[B<=4, H=3], output 0 of %net.fc1.relu is f32"},
    {"no such param", no_such_param, "train: %net.fc1.bias: there is no param net.fc9.bias"},
    {"no such field", no_such_field, "train: %d.x: there is no input d.z"},
    {"param of other type", param_of_other_type, "train: %net.fc1.bias: its type is f32[H=3], that of net.fc1.bias is bf16[H=3]"},
    {"no such counter", no_such_counter, "schedule: %step: hour is no counter"},
    {"no such accumulator", no_such_accumulator, "eval0.finish: %acc.0: there is no input acc.2"},
    {"foreign output", foreign_output, "train: output loss is no node of it"},
    {"wide loss", wide_loss, "train: %net.fc1.mm: update 0 is no scalar"},
    {"gradient of nothing", gradient_of_nothing, "train: %loss.sum.2: an output for net.fc9.bias, which is not declared"},
    {"gradient of other shape", gradient_of_other_shape, "train: %loss.sum.2: its type is f32[H=3], that of net.fc1.weight is f32[H=3, P=6]"},
    {"predict nothing", predict_nothing, "predict: it needs one output, a value"},
    {"unnamed output", unnamed_output, "train: %loss.sum: an output has no name"},
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

/* ---- what the plan's check allows --------------------------------------- */

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

Suite *verify_suite(void) {
  Suite *suite = suite_create("verify");
  TCase *tests = tcase_create("verify");
  tcase_add_test(tests, sound_programs_pass);
  tcase_add_loop_test(tests, a_broken_rule_is_named, 0, N_RULES);
  tcase_add_test(tests, in_place_is_for_the_same_element);
  suite_add_tcase(suite, tests);
  return suite;
}
