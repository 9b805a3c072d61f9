/* test_wellformed.c - the verifier's rules about steps of several phases, loops,
 * samples, files of weights and plans of all these: of each kind a program that
 * keeps them, and one for each rule that breaks it. */
#include <check.h>
#include <string.h>

#include "tests/ir_models.h"

/* ---- a step of three phases ------------------------------------------------ */

/* The first hands on a product, the second a sum of two of them and has a value of its own, the third reads both. */
static Graph *later_phase(Program *p, const char *name, int64_t every) {
  Graph *g = graph_new(p, name, NULL);
  g->rows = ir_symbol(p, "B");
  LIST_PUSH(p->arena, p->train.phases, p->train.n_phases, ((Phase){g, -1, every}));
  return g;
}

static Node *carry(Graph *g, const char *name, Node *node, int64_t offset) {
  graph_output(g, OUT_CARRY, name, node);
  node->home = HOME_ARENA, node->offset = offset;
  return node;
}
static Node *carried(Graph *g, const char *name, Type type, int64_t offset) {
  Node *leaf = ir_leaf(g, OP_input, name, type);
  leaf->home = HOME_ARENA, leaf->offset = offset;
  return leaf;
}

static Node *find(Graph *g, const char *name) {
  Node *node = graph_find(g, name);
  ck_assert_msg(node != NULL, "no node %s", name);
  return node;
}

enum { FRONT = 512 };

static void step_of_phases(Program *p) {
  Type mm = ir_type(p, F32, "B H");
  Graph *first = p->train.graph;
  LIST_PUSH(p->arena, p->train.phases, p->train.n_phases, ((Phase){first, 0, 1}));
  find(first, "net.fc2.mm")->home = find(first, "net.fc1.relu.2")->home = find(first, "loss.reshape")->home = HOME_NONE;
  carry(first, "carry.0", find(first, "net.fc1.mm"), 0);
  Graph *second = later_phase(p, "train.1", 1), *third = later_phase(p, "train.2", 3);
  Builder b = {second, NULL, "s"};
  Node *x = carried(second, "carry.0", mm, 0);
  carry(second, "carry.1", b_binary(&b, OP_add, x, x), 256);
  Node *own = b_unary(&b, OP_exp, ir_leaf(second, OP_input, "d.x", ir_type(p, F32, "B P")));
  own->home = HOME_ARENA, own->offset = FRONT;
  graph_output(second, OUT_VALUE, "own", own);
  b = (Builder){third, NULL, "t"};
  graph_output(third, OUT_VALUE, "all", b_binary(&b, OP_mul, carried(third, "carry.0", mm, 0), carried(third, "carry.1", mm, 256)));
  first->arena_bytes = second->arena_bytes = third->arena_bytes = 1024;
  p->train.carry_bytes = FRONT;
}

static Graph *phase(Program *p, int i) { return p->train.phases[i].graph; }

static void not_cut_yet(Program *p) {
  p->train.carry_bytes = 0;
  p->train.phases[1].graph = p->train.phases[2].graph = NULL;
}
static void phase_that_went(Program *p) { /* its node has a bad type, but it is no phase any more */
  find(phase(p, 2), "t.mul")->type.rank = 1;
  p->train.n_phases--;
}
static void carry_that_went(Program *p) { /* of a value that lies behind the front */
  graph_output(phase(p, 1), OUT_CARRY, "carry.2", find(phase(p, 1), "s.exp"));
  phase(p, 1)->n_outputs--;
}
static void phase_never(Program *p) { p->train.phases[0].every = 0; }
static void phase_updates_less(Program *p) { p->train.phases[2].update = -2; }
static void phase_updates_more(Program *p) { p->train.phases[2].update = 1; }
static void phase_first_elsewhere(Program *p) { p->train.phases[0].graph = phase(p, 1); }
static void phase_first_again(Program *p) { p->train.phases[2].graph = p->train.graph; }
static void phase_twice(Program *p) { p->train.phases[2].graph = phase(p, 1); }
static void phase_broken(Program *p) { find(phase(p, 1), "s.add")->type.rank = 1; }
static void carry_read_before(Program *p) { ir_leaf(p->train.graph, OP_input, "carry.1", ir_type(p, F32, "B H")); }
static void carry_of_nothing(Program *p) { phase(p, 1)->n_outputs = 0, p->train.carry_bytes = 0; }
static void last_carry_of_nothing(Program *p) { p->train.graph->n_outputs--, p->train.carry_bytes = 0; }
static void carry_of_other_type(Program *p) { find(phase(p, 2), "carry.1")->type.rank = find(phase(p, 2), "carry.1")->attrs.shape.rank = 1; }
static void carry_elsewhere(Program *p) { find(phase(p, 2), "carry.1")->offset = 0; }
static void carry_past_the_front(Program *p) { p->train.carry_bytes = 256 + 4 * 3 * 4 - 1; }
static void own_in_front(Program *p) { find(phase(p, 1), "s.exp")->offset = 256; }
static void eval_serves_train(Program *p) { p->evals[0].finish = p->train.graph; }

/* ---- loops ------------------------------------------------------------------ */

static Node *new_loop(Graph *g, const char *path, int n_in, Node *const *in, int carried, int stacked, int64_t turns) {
  Type space = {.rank = 1, .dim = {dim_literal(turns)}};
  Attrs attrs = {.path = path, .space = space, .carried = carried, .stacked = stacked};
  Node *loop = node_new(g, OP_loop, in, n_in, &attrs, path, NULL);
  loop->body = graph_new(g->program, path, g);
  loop->body->rows = g->rows;
  return loop;
}

static Node *loop_input(Node *loop, int index, Type type, const char *name) {
  return node_new(loop->body, OP_input, NULL, 0, &(Attrs){.index = index, .shape = type}, name, NULL);
}
static Node *turn_of(Graph *body, const char *path, const char *name) {
  return node_new(body, OP_turn, NULL, 0, &(Attrs){.path = path, .shape = type_scalar(I32)}, name, NULL);
}

/* total += part * whole, three times: one of each kind of operand. */
static Node *add_loop(Program *p) {
  Graph *g = p->train.graph;
  Type row = ir_type(p, F32, "P"), rows = ir_type(p, F32, "3 P");
  Builder b = {g, NULL, "l"};
  Node *whole = b_cast(&b, b_iota(&b, &(Type){I32, 1, {rows.dim[1]}}, 0), F32), *start = b_unary(&b, OP_neg, whole);
  Node *parts = b_broadcast(&b, whole, &rows);
  Node *loop = new_loop(g, "net.l", 3, (Node *[]){start, parts, whole}, 1, 1, 3);
  Builder in = {loop->body, NULL, "in"};
  Node *total = loop_input(loop, 0, row, "total"), *part = loop_input(loop, 1, row, "part"), *all = loop_input(loop, 2, row, "all");
  Node *next = b_binary(&in, OP_add, total, b_binary(&in, OP_mul, part, all));
  graph_output(loop->body, OUT_VALUE, NULL, next);
  graph_output(loop->body, OUT_VALUE, NULL, b_unary(&in, OP_exp, next));
  Node *result = node_new(g, OP_result, &loop, 1, &(Attrs){.index = 1, .shape = result_type(loop, 1)}, "seen", NULL);
  graph_output(g, OUT_VALUE, "seen", result);
  return loop;
}

/* Two loops in one another, the outer one node 0 of its graph and the inner one of its body; the inner one asks for
 * both turns.  They stand in a graph of their own, that of predict. */
static Node *add_nest(Program *p) {
  Graph *g = graph_new(p, "predict", NULL);
  p->predict.graph = g;
  Node *outer = new_loop(g, "net.outer", 0, NULL, 0, 0, 2), *inner = new_loop(outer->body, "net.inner", 0, NULL, 0, 0, 2);
  Builder in = {inner->body, NULL, "in"}, out = {outer->body, NULL, "out"};
  Node *sum = b_binary(&in, OP_add, turn_of(inner->body, "net.outer", "i"), turn_of(inner->body, "net.inner", "k"));
  graph_output(inner->body, OUT_VALUE, NULL, b_cast(&in, sum, F32));
  Node *sums = node_new(outer->body, OP_result, &inner, 1, &(Attrs){.shape = result_type(inner, 0)}, "sums", NULL);
  graph_output(outer->body, OUT_VALUE, NULL, b_unary(&out, OP_neg, sums));
  Node *all = node_new(g, OP_result, &outer, 1, &(Attrs){.shape = result_type(outer, 0)}, "all", NULL);
  Builder b = {g, NULL, "b"};
  graph_output(g, OUT_VALUE, "all", b_unary(&b, OP_exp, all));
  return outer;
}
static void loop_sound(Program *p) { add_loop(p); }
static void loop_nest(Program *p) { add_nest(p); }
static void loop_of_one_turn(Program *p) {
  add_nest(p)->attrs.space.dim[0] = dim_literal(1);
  find(p->predict.graph, "all")->type.dim[0] = find(p->predict.graph, "b.exp")->type.dim[0] = dim_literal(1);
}
static void loop_of_most_axes(Program *p) { /* the elements of what is stacked have one axis less */
  Graph *g = p->train.graph;
  Type wide = {.dtype = I32, .rank = MAX_RANK};
  for (int i = 0; i < MAX_RANK; i++) wide.dim[i] = dim_literal(2);
  Type element = wide;
  element.rank--;
  Builder b = {g, NULL, "w"};
  Node *x = b_iota(&b, &wide, 0), *loop = new_loop(g, "net.wide", 1, &x, 0, 1, 2);
  graph_output(loop->body, OUT_VALUE, NULL, loop_input(loop, 0, element, "part"));
}
static void loop_without_path(Program *p) { add_loop(p)->attrs.path = NULL; }
static void loop_of_no_turn(Program *p) { add_nest(p)->attrs.space.dim[0].size = 0; }
static void loop_stacks_more(Program *p) { add_loop(p)->attrs.stacked = 3; }
static void loop_carries_more(Program *p) {
  Node *loop = add_loop(p);
  loop->attrs.carried = 3, loop->attrs.stacked = 0;
}
static void loop_in_its_own(Program *p) { add_nest(p)->body->nodes[0]->attrs.path = "net.outer"; }
static void loop_logs(Program *p) {
  Output *seen = &add_loop(p)->body->outputs[1];
  seen->role = OUT_ACC, seen->name = "acc.0";
}
static void loop_collects_wide(Program *p) {
  Node *loop = add_loop(p);
  Type wide = {.dtype = I32, .rank = MAX_RANK};
  for (int i = 0; i < MAX_RANK; i++) wide.dim[i] = dim_literal(1);
  Builder b = {loop->body, NULL, "w"};
  graph_output(loop->body, OUT_VALUE, NULL, b_iota(&b, &wide, 0));
}
static void loop_carries_other(Program *p) {
  Node *loop = add_loop(p);
  Builder b = {loop->body, NULL, "w"};
  loop->body->outputs[0].node = b_cast(&b, find(loop->body, "total"), F64);
}
static void loop_turn_of_none(Program *p) { turn_of(add_loop(p)->body, "net.outer", "t"); }
static void loop_turn_of_none_in_two(Program *p) { turn_of(add_nest(p)->body->nodes[0]->body, "net.l", "t"); }
static void loop_turn_nowhere(Program *p) { turn_of(add_loop(p)->body, NULL, "t"); }
static void loop_operand_more(Program *p) { find(add_loop(p)->body, "total")->attrs.index = 3; }
static void loop_operand_wide(Program *p) {
  loop_input(add_loop(p), 1, ir_type(p, F32, "3 P"), "wide");
}
static void loop_parameter(Program *p) { ir_leaf(add_loop(p)->body, OP_param, "net.fc1.bias", ir_type(p, F32, "H")); }
static void loop_state(Program *p) { ir_leaf(add_loop(p)->body, OP_state, "net.running mean", ir_type(p, F32, "H")); }
static void loop_broken_inside(Program *p) { find(add_loop(p)->body, "in.exp")->type.rank = 0; }

/* ---- groups ----------------------------------------------------------------- */

/* A group over x that reduces its last axis. */
static Node *row_group(Program *p, Node *x) {
  Node *group = ir_group(p->train.graph, PATTERN_ROW, &x->type, 1, &x, "tried");
  group->attrs.n_axes = 1;
  group->attrs.axes[0] = x->type.rank - 1;
  return group;
}
static void group_broken_inside(Program *p) { find(find(p->train.graph, "net.fc1.relu")->body, "net.fc1.add")->type.rank = 1; }
static void group_of_most_axes(Program *p) {
  Type wide = {.dtype = I32, .rank = MAX_RANK};
  for (int i = 0; i < MAX_RANK; i++) wide.dim[i] = dim_literal(2);
  Builder b = {p->train.graph, NULL, "w"};
  Node *group = row_group(p, b_cast(&b, b_iota(&b, &wide, 0), F32));
  Builder in = {group->body, NULL, "in"};
  graph_output(group->body, OUT_VALUE, NULL, b_reduce(&in, OP_sum, ir_group_input(group, 0), 1, (int[]){MAX_RANK - 1}, true));
}
static void group_row_stood_up(Program *p) { /* the sums [H], as [H, 1] */
  Node *group = row_group(p, find(p->train.graph, "net.fc1.weight"));
  Builder in = {group->body, NULL, "in"};
  Node *sum = b_reduce(&in, OP_sum, ir_group_input(group, 0), 1, (int[]){1}, false);
  graph_output(group->body, OUT_VALUE, NULL, b_reshape(&in, sum, &(Type){F32, 2, {sum->type.dim[0], dim_literal(1)}}));
}
static void group_gathers_elsewhere(Program *p) { /* at indices that are made of other rows' sums */
  Node *group = row_group(p, find(p->train.graph, "net.fc1.weight"));
  Builder in = {group->body, NULL, "in"};
  Type twice = ir_type(p, F32, "K H"), line = ir_type(p, F32, "P"), first = ir_type(p, F32, "H P 1"), full = ir_type(p, F32, "H P");
  Node *x = ir_group_input(group, 0), *sum = b_reduce(&in, OP_sum, x, 1, (int[]){1}, false);
  Node *others = b_broadcast(&in, b_reshape(&in, b_broadcast(&in, sum, &twice), &line), &full);
  Node *rows = node_new(group->body, OP_gather, (Node *[]){x, b_cast(&in, others, I32)}, 2, NULL, "in.gather", NULL);
  Node *taken = b_slice(&in, rows, &first, (int64_t[]){0, 0, 0}, (int64_t[]){1, 1, 1});
  graph_output(group->body, OUT_VALUE, NULL, b_reshape(&in, taken, &full));
}

/* A group writes over an operand of [n, n] that it reads both where it writes and, turned, elsewhere. */
static void group_over_turned(Program *p, int64_t n) {
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "v"};
  Type square = {F32, 2, {dim_literal(n), dim_literal(n)}}, ids = square;
  ids.dtype = I32;
  Node *x = b_cast(&b, b_iota(&b, &ids, 0), F32), *group = ir_group(g, PATTERN_MAP, &square, 1, &x, "tried");
  Builder in = {group->body, NULL, "in"};
  Node *at = ir_group_input(group, 0);
  graph_output(group->body, OUT_VALUE, NULL, b_binary(&in, OP_sub, b_unary(&in, OP_neg, at), b_transpose(&in, at, (int[]){1, 0})));
  Node *out = ir_group_result(g, group, 0);
  graph_output(g, OUT_VALUE, "out", out);
  x->home = out->home = HOME_ARENA;
  x->offset = out->offset = 1024;
  g->arena_bytes = 2048;
}
static void group_over_turned_two(Program *p) { group_over_turned(p, 2); }
static void group_over_turned_three(Program *p) { group_over_turned(p, 3); }

/* ---- everything in its place ------------------------------------------------- */

static void place(Graph *g);

static void place_node(Graph *g, Node *n) {
  const Program *p = g->program;
  int64_t bytes = op_info[n->op].kind == LOOP ? 0 : type_bytes(&n->type);
  n->home = HOME_NONE;
  if (n->op == OP_input) n->home = g->parent ? HOME_OPERAND : HOME_INPUT;
  if (n->op == OP_param) n->home = HOME_PARAM;
  for (int i = 0; n->op == OP_param && i < p->n_params; i++)
    if (!strcmp(p->params[i].path, n->attrs.path)) n->offset = p->params[i].offset;
  if (n->op == OP_state) n->home = HOME_STATE, n->offset = p->states[0].offset;
  if (op_info[n->op].kind == LOOP) place(n->body), bytes = loop_bytes(n);
  bool made = op_info[n->op].kind != GROUP && (op_info[n->op].kind != LEAF || n->op == OP_result);
  if (!made || !bytes) return;
  n->home = HOME_ARENA, n->offset = g->arena_bytes;
  g->arena_bytes += (bytes + 255) / 256 * 256;
}

static void place(Graph *g) {
  g->arena_bytes = 0;
  for (int i = 0; i < g->n_nodes; i++) place_node(g, g->nodes[i]);
  for (int i = 0; g->parent && i < g->n_outputs; i++)
    if (g->outputs[i].node->op != OP_input) g->outputs[i].node->home = HOME_RESULT, g->outputs[i].node->offset = i;
}

static void place_all(Program *p) {
  p->n_passes = 0;
  LIST_PUSH(p->arena, p->passes, p->n_passes, "plan");
  ir_leaf(p->train.graph, OP_state, "net.running mean", ir_type(p, F32, "H"));
  Graph *all[] = {p->train.graph, p->evals[0].batch, p->evals[0].finish, p->predict.graph};
  for (int i = 0; i < 4; i++) place(all[i]);
}
static Node *placed_loop(Program *p) {
  Node *loop = add_loop(p);
  place_all(p);
  return loop;
}
static void placed_with_loop(Program *p) { placed_loop(p); }
static void placed_with_nest(Program *p) { add_nest(p), place_all(p); }
static void placed_without_bytes(Program *p) { loop_of_most_axes(p), place_all(p); }
static Node *placed(Program *p, const char *name) {
  place_all(p);
  return find(p->train.graph, name);
}
static void nowhere_input(Program *p) { placed(p, "d.x")->home = HOME_NONE; }
static void nowhere_param(Program *p) { placed(p, "net.fc1.weight")->home = HOME_NONE; }
static void nowhere_state(Program *p) { placed(p, "net.running mean")->home = HOME_NONE; }
static void nowhere_result(Program *p) { placed(p, "net.fc1.relu.2")->home = HOME_NONE; }
static void nowhere_map(Program *p) { placed(p, "loss.mul")->home = HOME_NONE; }
static void nowhere_loop(Program *p) { placed_loop(p)->home = HOME_NONE; }
static void first_elsewhere(Program *p) { placed(p, "d.x")->home = HOME_PARAM; }
static void operand_at_top(Program *p) { placed(p, "d.x")->home = HOME_OPERAND; }
static void batch_inside(Program *p) { find(placed_loop(p)->body, "part")->home = HOME_INPUT; }
static void operand_no_input(Program *p) { find(placed_loop(p)->body, "in.mul")->home = HOME_OPERAND; }
static void result_at_top(Program *p) {
  Node *loss = placed(p, "loss.sum"); /* output 0 */
  loss->home = HOME_RESULT, loss->offset = 0;
}
static void result_of_more(Program *p) { placed_loop(p)->body->n_outputs--; } /* in.exp was the last */
static void result_of_less(Program *p) { find(placed_loop(p)->body, "in.exp")->offset = -1; }
static void result_of_another(Program *p) { find(placed_loop(p)->body, "in.exp")->offset = 0; }

/* The new value of a state, output 0 of its graph. */
static Node *new_state(Program *p) {
  Graph *g = p->train.graph;
  Builder b = {g, NULL, "new"};
  Node *mean = b_unary(&b, OP_neg, ir_leaf(g, OP_param, "net.fc1.bias", ir_type(p, F32, "H")));
  g->n_outputs = 0;
  graph_output(g, OUT_STATE, "net.running mean", mean);
  mean->home = HOME_NEXT, mean->offset = p->states[0].offset;
  return mean;
}
static void next_sound(Program *p) { new_state(p); }
static void next_elsewhere(Program *p) { new_state(p)->offset = 0; }
static void next_of_another(Program *p) {
  Node *mm = find(p->train.graph, "net.fc1.mm");
  mm->home = HOME_NEXT, mm->offset = new_state(p)->offset;
}
static void next_that_went(Program *p) { new_state(p), p->train.graph->n_outputs = 0; }
static void gradient_first(Program *p) {
  Graph *g = p->train.graph;
  g->outputs[0] = g->outputs[2], g->n_outputs = 1;
  g->outputs[0].node->home = HOME_GRAD, g->outputs[0].node->offset = 64;
}

/* ---- names, samples, weights, the script --------------------------------------- */

static void name_of_the_first(Program *p) { p->train.graph->nodes[2]->name = p->train.graph->nodes[0]->name; }
static void leaf_with_operand(Program *p) {
  Node *bias = find(p->train.graph, "net.fc1.bias");
  LIST_PUSH(p->arena, bias->in, bias->n_in, p->train.graph->nodes[0]);
}
static void one_accumulator(Program *p) { p->evals[0].batch->n_outputs = 1; }
static void accumulator_that_went(Program *p) {
  p->evals[0].batch->n_outputs = 1;
  find(p->evals[0].finish, "acc.0")->attrs.path = "acc.1";
}
static void output_again(Program *p, OutputRole role, const char *name, int index) {
  Graph *g = p->train.graph;
  graph_output(g, role, name, find(g, "loss.sum.2"));
  g->outputs[g->n_outputs - 1].index = index;
}
static void gradient_of_two_updates(Program *p) { output_again(p, OUT_GRAD, "net.fc1.bias", 1); }
static void gradient_twice(Program *p) { output_again(p, OUT_GRAD, "net.fc1.bias", 0); }
static void state_after_gradient(Program *p) { output_again(p, OUT_STATE, "net.running mean", 0); }
static void state_twice(Program *p) { state_after_gradient(p), state_after_gradient(p); }
static void every_step(Program *p) { p->train.body[2].every = 1; }
static void script_samples(Program *p) { p->train.body[1].kind = STMT_SAMPLE; }

static void add_sample(Program *p) {
  Graph *g = graph_new(p, "sample", NULL);
  Field text = {.name = "x", .type = ir_type(p, F32, "P")};
  p->has_sample = true;
  p->sample = (Predict){.variable = "s", .graph = g};
  LIST_PUSH(p->arena, p->sample.fields, p->sample.n_fields, text);
  Builder b = {g, NULL, "s"};
  graph_output(g, OUT_VALUE, "out", b_unary(&b, OP_exp, ir_leaf(g, OP_input, "s.x", text.type)));
  p->train.body[1].kind = STMT_SAMPLE;
}
static void sample_of_two(Program *p) {
  add_sample(p);
  Field more = {.name = "y", .type = ir_type(p, F32, "P")};
  LIST_PUSH(p->arena, p->sample.fields, p->sample.n_fields, more);
}
static void sample_without_train(Program *p) {
  add_sample(p);
  p->has_train = false, p->n_evals = 0, p->train = (Train){0};
}
static void sample_of_nothing(Program *p) { add_sample(p), p->sample.graph->n_outputs = 0; }
static void sample_broken(Program *p) { add_sample(p), find(p->sample.graph, "s.exp")->type.rank = 0; }
static void predict_broken(Program *p) { find(p->predict.graph, "net.sigmoid")->type.rank = 0; }

static void add_weights(Program *p, const char *instance) {
  Weights file = {.instance = instance, .path = "w.safetensors"};
  LIST_PUSH(p->arena, p->weights, p->n_weights, file);
}
static void weights_of_two(Program *p) { add_weights(p, "net"), add_weights(p, "head"); }
static void weights_twice(Program *p) { add_weights(p, "net"), add_weights(p, "net"); }
static void weights_that_went(Program *p) { weights_twice(p), p->n_weights--; }

/* ---- all of them ---------------------------------------------------------------- */

/* Each of a program of tests/ir_models.h; those whose name begins with a step's phases, of one with three. */
static const struct { const char *name; void (*make)(Program *); const char *message; } tries[] = {
    {"step", NULL, NULL},
    {"step not cut yet", not_cut_yet, NULL},
    {"step whose phase went", phase_that_went, NULL},
    {"step whose carry went", carry_that_went, NULL},
    {"step never", phase_never, "phase 0 of the step runs no update there is"},
    {"step updates less", phase_updates_less, "phase 2 of the step runs no update there is"},
    {"step updates more", phase_updates_more, "phase 2 of the step runs no update there is"},
    {"step first elsewhere", phase_first_elsewhere, "train.1: it is not that of phase 0"},
    {"step first again", phase_first_again, "train: it is not that of phase 2"},
    {"step twice", phase_twice, "train.1: it serves twice"},
    {"step broken", phase_broken, "train.1: %s.add: its type is f32[B<=4]"},
    {"step reads what is not yet", carry_read_before, "train: %carry.1: there is no input carry.1"},
    {"step carries nothing", carry_of_nothing, "train.2: %carry.1: there is no input carry.1"},
    {"step carries nothing first", last_carry_of_nothing, "train.1: %carry.0: there is no input carry.0"},
    {"step carries another", carry_of_other_type, "train.2: %carry.1: its type is f32[B<=4], that of carry.1 is f32[B<=4, H=3]"},
    {"step carries elsewhere", carry_elsewhere, "train.2: %carry.1: it does not lie where it is handed on"},
    {"step carries too much", carry_past_the_front, "train.1: %s.add: it does not lie where it is handed on"},
    {"step in front", own_in_front, "train.1: %s.exp: it lies where phases hand values on"},
    {"eval serves train", eval_serves_train, "train: it serves twice"},
    {"loop", loop_sound, NULL},
    {"nest", loop_nest, NULL},
    {"loop of one turn", loop_of_one_turn, NULL},
    {"loop of most axes", loop_of_most_axes, NULL},
    {"loop without path", loop_without_path, "train: %net.l: a loop needs a path"},
    {"loop of no turn", loop_of_no_turn, "predict: %net.outer: a loop has one or more turns"},
    {"loop stacks more", loop_stacks_more, "train: %net.l: it carries 1 and takes 3 stacked of 3 operands"},
    {"loop carries more", loop_carries_more, "train: %net.l: it carries 3 and takes 0 stacked of 3 operands"},
    {"loop in its own", loop_in_its_own, "net.outer: %net.inner: a loop around it has its path, net.outer"},
    {"loop logs", loop_logs, "net.l: %in.exp: an output of a loop is no value"},
    {"loop collects wide", loop_collects_wide, "net.l: %w.iota: it has too many axes to be collected"},
    {"loop carries other", loop_carries_other, "net.l: %w.cast: it is carried, but has not the type of operand 0, %l.neg"},
    {"loop turn of none", loop_turn_of_none, "net.l: %t: no loop around it has the path net.outer"},
    {"loop turn of none in two", loop_turn_of_none_in_two, "net.inner: %t: no loop around it has the path net.l"},
    {"loop turn nowhere", loop_turn_nowhere, "net.l: %t: no loop around it has the path none"},
    {"loop operand more", loop_operand_more, "net.l: %total: the loop has no such operand"},
    {"loop operand wide", loop_operand_wide, "net.l: %wide: its type is not that of operand 1, %l.broadcast, in a turn"},
    {"loop parameter", loop_parameter, "net.l: %net.fc1.bias: a loop is given its parameters and states as operands"},
    {"loop state", loop_state, "net.l: %net.running mean: a loop is given its parameters and states as operands"},
    {"loop broken inside", loop_broken_inside, "net.l: %in.exp: its type is f32[]"},
    {"group broken inside", group_broken_inside, "net.fc1.relu: %net.fc1.add: its type is f32[B<=4]"},
    {"group of most axes", group_of_most_axes, NULL},
    {"group row stood up", group_row_stood_up, NULL},
    {"group gathers elsewhere", group_gathers_elsewhere, "tried: %in.sum: it is read at other places than the outer index"},
    {"group over two turned", group_over_turned_two, "its bytes in the arena are those of %v.cast, which is still alive"},
    {"group over three turned", group_over_turned_three, "its bytes in the arena are those of %v.cast, which is still alive"},
    {"placed", place_all, NULL},
    {"placed with loop", placed_with_loop, NULL},
    {"placed with nest", placed_with_nest, NULL},
    {"placed without bytes", placed_without_bytes, NULL},
    {"nowhere input", nowhere_input, "train: %d.x: it has no place in memory"},
    {"nowhere param", nowhere_param, "train: %net.fc1.weight: it has no place in memory"},
    {"nowhere state", nowhere_state, "train: %net.running mean: it has no place in memory"},
    {"nowhere result", nowhere_result, "train: %net.fc1.relu.2: it has no place in memory"},
    {"nowhere map", nowhere_map, "train: %loss.mul: it has no place in memory"},
    {"nowhere loop", nowhere_loop, "train: %net.l: it has no place in memory"},
    {"first elsewhere", first_elsewhere, "train: %d.x: its home is not that of its parameter"},
    {"operand at top", operand_at_top, "train: %d.x: its home is an operand, but it is no input of a loop's body"},
    {"batch inside", batch_inside, "net.l: %part: its home is the batch, but it is no input"},
    {"operand no input", operand_no_input, "net.l: %in.mul: its home is an operand, but it is no input of a loop's body"},
    {"result at top", result_at_top, "train: %loss.sum: its home is a result of the loop, but not one that it is"},
    {"result of more", result_of_more, "net.l: %in.exp: its home is a result of the loop, but not one that it is"},
    {"result of less", result_of_less, "net.l: %in.exp: its home is a result of the loop, but not one that it is"},
    {"result of another", result_of_another, "net.l: %in.exp: its home is a result of the loop, but not one that it is"},
    {"next", next_sound, NULL},
    {"next elsewhere", next_elsewhere, "train: %new.neg: its home is not that of a state whose new value it is"},
    {"next of another", next_of_another, "train: %net.fc1.mm: its home is not that of a state whose new value it is"},
    {"next that went", next_that_went, "train: %new.neg: its home is not that of a state whose new value it is"},
    {"gradient first", gradient_first, NULL},
    {"name of the first", name_of_the_first, "a second node of that name"},
    {"leaf with operand", leaf_with_operand, "train: %net.fc1.bias: param takes 0 operands, it has 1"},
    {"one accumulator", one_accumulator, NULL},
    {"accumulator that went", accumulator_that_went, "eval0.finish: %acc.0: there is no input acc.1"},
    {"gradient of two updates", gradient_of_two_updates, NULL},
    {"gradient twice", gradient_twice, "train: %loss.sum.2: net.fc1.bias has two gradients"},
    {"state after gradient", state_after_gradient, NULL},
    {"state twice", state_twice, "train: %loss.sum.2: net.running mean has two new values"},
    {"every step", every_step, NULL},
    {"script samples", script_samples, "the script samples, and there is nothing to sample from"},
    {"sample", add_sample, NULL},
    {"sample of two", sample_of_two, "sample needs a train and one field"},
    {"sample without train", sample_without_train, "sample needs a train and one field"},
    {"sample of nothing", sample_of_nothing, "sample: it needs one output, a value"},
    {"sample broken", sample_broken, "sample: %s.exp: its type is f32[]"},
    {"predict broken", predict_broken, "predict: %net.sigmoid: its type is f32[]"},
    {"weights of two", weights_of_two, NULL},
    {"weights twice", weights_twice, "two files of weights for net"},
    {"weights that went", weights_that_went, NULL},
};
enum { N_TRIES = sizeof tries / sizeof tries[0] };

START_TEST(each_rule_is_kept) {
  Arena *arena = arena_new();
  Program *p = ir_model(arena);
  if (!strncmp(tries[_i].name, "step", 4)) step_of_phases(p);
  if (tries[_i].make) tries[_i].make(p);
  const char *wrong = program_verify(p, arena), *wanted = tries[_i].message;
  ck_assert_msg(wanted ? wrong && strstr(wrong, wanted) : !wrong, "%s: `%s` instead of `%s`", tries[_i].name,
                wrong ? wrong : "nothing", wanted ? wanted : "nothing");
  arena_free(arena);
}
END_TEST

Suite *wellformed_suite(void) {
  Suite *suite = suite_create("wellformed");
  TCase *tests = tcase_create("wellformed");
  tcase_add_loop_test(tests, each_rule_is_kept, 0, N_TRIES);
  suite_add_tcase(suite, tests);
  return suite;
}
