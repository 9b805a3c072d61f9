/* ir_models.c - the programs that the tests of ir/ print, break and evaluate. */
#include "tests/ir_models.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const Source model_source = {.path = "digits.mt"}, nn_source = {.path = "nn.mt"},
                    odd_source = {.path = "my <models>/a.mt"};
static const Span call = {&model_source, 11, 8, 15, NULL};
static const Span inner = {&nn_source, 7, 10, 11, &call};
static const Span odd = {&odd_source, 1, 1, 1, NULL};

/* ---- pieces ------------------------------------------------------------- */

static void add_symbol(Program *p, const char *name, int64_t size, bool rows) {
  Symbol *s = arena_alloc(p->arena, sizeof *s);
  *s = (Symbol){.name = name, .size = size, .rows = rows};
  LIST_PUSH(p->arena, p->symbols, p->n_symbols, s);
}

const Symbol *ir_symbol(const Program *program, const char *name) {
  for (int i = 0; i < program->n_symbols; i++)
    if (!strcmp(program->symbols[i]->name, name)) return program->symbols[i];
  fault("no symbol %s", name);
}

Type ir_type(const Program *program, DType dtype, const char *dims) {
  Type t = {.dtype = dtype};
  while (*dims) {
    char word[32] = {0};
    size_t length = strcspn(dims, " ");
    memcpy(word, dims, length);
    bool literal = isdigit((unsigned char)*word);
    t.dim[t.rank++] = literal ? dim_literal(atoll(word)) : dim_symbol(ir_symbol(program, word));
    dims += length + (dims[length] == ' ');
  }
  return t;
}

Node *ir_leaf(Graph *graph, Op op, const char *path, Type type) {
  return node_new(graph, op, NULL, 0, &(Attrs){.path = path, .shape = type}, path, &inner);
}

Node *ir_group(Graph *graph, GroupPattern pattern, const Type *space, int n_in, Node *const *in, const char *name) {
  Attrs attrs = {.pattern = pattern, .space = *space};
  Node *group = node_new(graph, OP_group, in, n_in, &attrs, name, &inner);
  group->body = graph_new(graph->program, name, graph);
  return group;
}

Node *ir_group_input(Node *group, int index) {
  Attrs attrs = {.index = index, .shape = group->in[index]->type};
  return node_new(group->body, OP_input, NULL, 0, &attrs, group->in[index]->name, NULL);
}

Node *ir_group_result(Graph *graph, Node *group, int index) {
  const Output *o = &group->body->outputs[index];
  Attrs attrs = {.index = index, .shape = o->node->type};
  return node_new(graph, OP_result, &group, 1, &attrs, o->node->name, o->node->span);
}

Program *ir_model_empty(Arena *arena) {
  Program *p = program_new(arena, "digits", "digits.mt");
  add_symbol(p, "B", 4, true);
  add_symbol(p, "P", 6, false);
  add_symbol(p, "H", 3, false);
  add_symbol(p, "K", 2, false);
  Data data = {.name = "train_set", .kind = DATA_CSV, .rows = ir_symbol(p, "B"), .span = &call};
  LIST_PUSH(arena, data.paths, data.n_paths, "data/\"odd\"\n\x01.csv");
  Field x = {.name = "x", .type = ir_type(p, F32, "B P")};
  Field y = {.name = "y", .type = ir_type(p, I32, "B"), .high = 3, .ignore = -100};
  LIST_PUSH(arena, data.fields, data.n_fields, x);
  LIST_PUSH(arena, data.fields, data.n_fields, y);
  LIST_PUSH(arena, p->data, p->n_data, data);
  p->has_train = true;
  p->train = (Train){.variable = "d", .count = 30, .unit = EPOCHS, .accumulate = 1, .graph = graph_new(p, "train", NULL)};
  p->train.graph->rows = ir_symbol(p, "B");
  return p;
}

static Node *add_param(Program *p, const char *path, const char *dims, double bound, int64_t offset) {
  Param param = {path, ir_type(p, F32, dims), {INIT_UNIFORM, -bound, bound}, &inner, offset, NULL};
  LIST_PUSH(p->arena, p->params, p->n_params, param);
  return ir_leaf(p->train.graph, OP_param, path, param.type);
}

/* ---- the whole model ---------------------------------------------------- */

static void add_head(Program *p) {
  LIST_PUSH(p->arena, p->passes, p->n_passes, "gradient");
  LIST_PUSH(p->arena, p->passes, p->n_passes, "fuse");
  add_symbol(p, "H", 5, false); /* another file's */
  Data random = {.name = "noise", .kind = DATA_RANDOM, .rows = ir_symbol(p, "B"), .drop = true, .n_rows = 100, .seed = -7,
                 .window = 8};
  Field z = {.name = "odd name", .type = ir_type(p, F32, "B"), .low = -3, .high = 9};
  LIST_PUSH(p->arena, random.fields, random.n_fields, z);
  LIST_PUSH(p->arena, p->data, p->n_data, random);
  State state = {"net.running mean", ir_type(p, F32, "H"), {INIT_CONSTANT, 0.1, 0}, &odd, 64, NULL};
  LIST_PUSH(p->arena, p->states, p->n_states, state);
  p->param_elements = 192;
}

/* relu(z + bias) as a fused map that also puts out the sum before. */
static Node *add_relu_group(Graph *g, Node *z, Node *bias) {
  Node *group = ir_group(g, PATTERN_MAP, &z->type, 2, (Node *[]){z, bias}, "net.fc1.relu");
  group->reason = "two \"maps\" over [B, H]";
  Builder b = {group->body, &inner, "net.fc1"};
  Node *sum = b_binary(&b, OP_add, ir_group_input(group, 0), ir_group_input(group, 1));
  graph_output(group->body, OUT_VALUE, NULL, b_unary(&b, OP_relu, sum));
  return ir_group_result(g, group, 0);
}

static void add_train_graph(Program *p) {
  Graph *g = p->train.graph;
  Builder b = {g, &inner, "net.fc1"};
  Node *x = ir_leaf(g, OP_input, "d.x", ir_type(p, F32, "B P"));
  Node *w1 = add_param(p, "net.fc1.weight", "H P", 0.125, 0), *b1 = add_param(p, "net.fc1.bias", "H", 1e-3, 64);
  Node *w2 = add_param(p, "net.fc2.weight", "K H", 1.0 / 3, 128);
  Node *h = add_relu_group(g, b_matmul(&b, b_scalar(&b, OP_div, x, 16), w1, false, true), b1);
  b.prefix = "net.fc2";
  Node *logits = b_matmul(&b, h, w2, false, true);
  LIST_PUSH(p->arena, logits->aliases, logits->n_aliases, "net.out");
  LIST_PUSH(p->arena, logits->aliases, logits->n_aliases, "strange name");
  b.prefix = "loss";
  Type twice = ir_type(p, F32, "B K");
  twice.dim[0] = (Dim){.size = 8, .text = "B * K", .rows = ir_symbol(p, "B")};
  twice.rank = 1;
  Symbol *own = arena_alloc(p->arena, sizeof *own);
  *own = (Symbol){.name = "i", .size = 1};
  twice.dim[twice.rank++] = dim_symbol(own);
  Node *flat = b_reshape(&b, logits, &twice);
  Node *sum = b_reduce(&b, OP_sum, b_binary(&b, OP_mul, flat, flat), 2, (int[]){0, 1}, false);
  graph_output(g, OUT_LOG, "loss", sum);
  graph_output(g, OUT_LOSS, "update 0", sum);
  graph_output(g, OUT_GRAD, "net.fc1.bias", b_reduce(&b, OP_sum, h, 1, (int[]){0}, false));
  logits->home = HOME_ARENA;
  h->home = HOME_ARENA;
  h->offset = 256;
  flat->home = HOME_ALIAS;
  g->arena_bytes = 512;
}

static void add_eval(Program *p) {
  Eval e = {.variable = "e", .data = 0, .batch = graph_new(p, "eval0", NULL), .finish = graph_new(p, "eval0.finish", NULL), .span = &call};
  e.batch->rows = e.finish->rows = ir_symbol(p, "B");
  Builder b = {e.batch, &inner, "accuracy"};
  Node *x = ir_leaf(e.batch, OP_input, "e.x", ir_type(p, F32, "B P"));
  graph_output(e.batch, OUT_ACC, "acc.0", b_reduce(&b, OP_sum, x, 2, (int[]){0, 1}, false));
  graph_output(e.batch, OUT_ACC, "acc.1", b_reduce(&b, OP_max, x, 2, (int[]){0, 1}, false));
  e.batch->outputs[1].combine = COMBINE_MAX;
  b.graph = e.finish;
  Node *acc = ir_leaf(e.finish, OP_input, "acc.0", type_scalar(F32));
  Node *rows = b_cast(&b, b_rows(&b, ir_symbol(p, "B")), F32);
  graph_output(e.finish, OUT_LOG, "accuracy", b_binary(&b, OP_div, acc, rows));
  LIST_PUSH(p->arena, p->evals, p->n_evals, e);
}

static UpdateGroup update_group(Program *p, const char *target, const char *optimizer, int n, const int *params) {
  UpdateGroup g = {.target = target, .optimizer = optimizer_find(optimizer), .span = &call};
  Builder b = {p->schedule, &call, target};
  Node *step = node_new(p->schedule, OP_counter, NULL, 0, &(Attrs){.path = "step", .shape = type_scalar(F64)}, "step", NULL);
  for (int i = 0; i < n; i++) LIST_PUSH(p->arena, g.params, g.n_params, params[i]);
  for (int i = 0; i < MAX_HYPER && g.optimizer->hyper[i]; i++) {
    double value = isnan(g.optimizer->fallback[i]) ? 0.1 : g.optimizer->fallback[i];
    g.hyper[i] = i ? b_const(&b, F64, value) : b_binary(&b, OP_mul, step, b_const(&b, F64, value));
  }
  return g;
}

static void add_script(Program *p) {
  Train *t = &p->train;
  p->schedule = graph_new(p, "schedule", NULL);
  Update u = {.name = "update 0", .clip = 0.5, .span = &inner};
  UpdateGroup all = update_group(p, "net", "adamw", 2, (int[]){0, 2}), bias = update_group(p, "net.fc1.bias", "sgd", 1, (int[]){1});
  LIST_PUSH(p->arena, u.groups, u.n_groups, all);
  LIST_PUSH(p->arena, u.groups, u.n_groups, bias);
  LIST_PUSH(p->arena, t->updates, t->n_updates, u);
  Stmt update = {.kind = STMT_UPDATE, .span = &call}, log = {.kind = STMT_LOG, .name = "loss"};
  Stmt eval = {.kind = STMT_EVAL}, save = {.kind = STMT_SAVE, .name = "accuracy", .highest = true};
  Stmt every = {.kind = STMT_EVERY, .every = 2, .unit = EPOCHS, .span = &call};
  LIST_PUSH(p->arena, eval.body, eval.n_body, save);
  LIST_PUSH(p->arena, every.body, every.n_body, eval);
  LIST_PUSH(p->arena, t->body, t->n_body, update);
  LIST_PUSH(p->arena, t->body, t->n_body, log);
  LIST_PUSH(p->arena, t->body, t->n_body, every);
  t->shuffled = true;
  t->shuffle_seed = 1;
  t->precision = PRECISION_TF32;
  t->span = &call;
}

static void add_predict(Program *p) {
  p->has_predict = true;
  p->predict = (Predict){.variable = "p", .graph = graph_new(p, "predict", NULL), .span = &odd};
  Field x = {.name = "x", .type = ir_type(p, F32, "B P")};
  LIST_PUSH(p->arena, p->predict.fields, p->predict.n_fields, x);
  Graph *g = p->predict.graph;
  g->rows = ir_symbol(p, "B");
  Builder b = {g, &inner, "net"};
  graph_output(g, OUT_VALUE, "out", b_unary(&b, OP_sigmoid, ir_leaf(g, OP_input, "p.x", x.type)));
}

Program *ir_model(Arena *arena) {
  Program *p = ir_model_empty(arena);
  add_head(p);
  add_train_graph(p);
  add_eval(p);
  add_script(p);
  add_predict(p);
  return p;
}

/* ---- one op ------------------------------------------------------------- */

static Node *sample_leaf(Program *p, Graph *g, Op op) {
  Type t = ir_type(p, F32, "B P");
  Attrs attrs = {.path = "d.x", .shape = t};
  if (op == OP_state) {
    State state = {"net.mean", ir_type(p, F32, "H"), {INIT_NORMAL, 0, 0.02}, NULL, 0, NULL};
    LIST_PUSH(p->arena, p->states, p->n_states, state);
    attrs = (Attrs){.path = state.path, .shape = state.type};
  }
  if (op == OP_param) return add_param(p, "net.w", "H P", 0.5, 0);
  if (op == OP_const) attrs = (Attrs){.value = -1.0 / 3, .shape = type_scalar(F32)};
  if (op == OP_rows) attrs = (Attrs){.symbol = ir_symbol(p, "B")};
  if (op == OP_counter) attrs = (Attrs){.path = "epoch", .shape = type_scalar(F64)};
  if (op == OP_iota) attrs = (Attrs){.axis = 1, .shape = ir_type(p, I32, "B P")};
  if (op == OP_random) attrs = (Attrs){.path = "net.drop.0", .distribution = 1, .shape = t};
  return node_new(g, op, NULL, 0, &attrs, "sample", &inner);
}

static Node *sample_view(Program *p, Builder *b, Op op, Node *x) {
  Type flat = ir_type(p, F32, "24"), wide = ir_type(p, F32, "H B P"), part = ir_type(p, F32, "B 2"), padded = ir_type(p, F32, "B 14"), ones, places;
  flat.dim[0] = (Dim){.size = 24, .text = "B * P", .rows = ir_symbol(p, "B")};
  const int64_t start[] = {0, 1}, step[] = {1, 2};
  switch (op) {
  case OP_reshape: return b_reshape(b, x, &flat);
  case OP_transpose: return b_transpose(b, x, (int[]){1, 0});
  case OP_broadcast: return b_broadcast(b, x, &wide);
  case OP_slice: return b_slice(b, x, &part, start, step);
  case OP_skew:
  case OP_unskew:
    ones = ir_type(p, F32, "B P 1"), places = ir_type(p, F32, "B P 3");
    x = b_broadcast(b, b_reshape(b, x, &ones), &places);
    return b_skew(b, op, x, dim_literal(9), &(Attrs){.axis = 1, .window = 2, .stride = 2, .dilation = 3, .padding = 4});
  default: return b_pad(b, x, &padded, start, step);
  }
}

static Node *sample_map(Builder *b, Op op, Node *x) {
  Node *positive = b_scalar(b, OP_gt, x, 0), *small = b_scalar(b, OP_lt, x, 1);
  if (op == OP_cast) return b_cast(b, x, BF16);
  if (op == OP_clamp) return b_clamp(b, x, -INFINITY, 0.1);
  if (op == OP_not) return b_unary(b, op, positive);
  if (op == OP_and || op == OP_or) return b_binary(b, op, positive, small);
  if (op == OP_where) return b_where(b, positive, x, b_unary(b, OP_neg, x));
  if (op == OP_grad) return b_binary(b, op, b_reduce(b, OP_sum, x, 2, (int[]){0, 1}, false), x);
  return op_info[op].n_inputs == 1 ? b_unary(b, op, x) : b_binary(b, op, x, b_unary(b, OP_exp, x));
}

static Node *sample_group(Graph *g, Node *x) {
  Node *group = ir_group(g, PATTERN_ROW, &x->type, 1, &x, "sample.group");
  group->attrs.n_axes = 1;
  group->attrs.axes[0] = 1;
  Builder b = {group->body, &inner, "sample"};
  Node *in = ir_group_input(group, 0), *most = b_reduce(&b, OP_max, in, 1, (int[]){1}, true);
  graph_output(group->body, OUT_VALUE, "rest", b_binary(&b, OP_sub, in, most));
  graph_output(group->body, OUT_VALUE, "most", most);
  return ir_group_result(g, group, 1);
}

/* Three turns: total += element of x, and each turn's total is collected. */
static Node *sample_loop(Program *p, Graph *g, Op op) {
  Node *start = ir_leaf(g, OP_input, "d.x", ir_type(p, F32, "B P")), *each = add_param(p, "net.w", "H P", 0.5, 0);
  Attrs attrs = {.path = "net.t", .space = ir_type(p, F32, "H"), .carried = 1, .stacked = 1, .reverse = true};
  Node *loop = node_new(g, OP_loop, (Node *[]){start, each, start}, 3, &attrs, "sample.loop", &inner);
  loop->body = graph_new(p, "sample.loop", g);
  loop->body->rows = g->rows;
  Type element = ir_type(p, F32, "P");
  Node *total = node_new(loop->body, OP_input, NULL, 0, &(Attrs){.shape = start->type}, "total", &inner);
  Node *part = node_new(loop->body, OP_input, NULL, 0, &(Attrs){.index = 1, .shape = element}, "part", &inner);
  Node *turn = node_new(loop->body, OP_turn, NULL, 0, &(Attrs){.path = "net.t", .shape = type_scalar(I32)}, "sample", &inner);
  Builder b = {loop->body, &inner, "sample"};
  Node *next = b_binary(&b, OP_add, total, b_binary(&b, OP_mul, part, b_cast(&b, turn, F32)));
  graph_output(loop->body, OUT_VALUE, "next", next);
  graph_output(loop->body, OUT_VALUE, "seen", op == OP_turn ? b_cast(&b, turn, F32) : b_unary(&b, OP_exp, next));
  attrs = (Attrs){.index = 1, .shape = result_type(loop, 1)};
  return node_new(g, OP_result, &loop, 1, &attrs, "sample", &inner);
}

static Node *sample_attention(Program *p, Builder *b, Op op) {
  Node *q = add_param(p, "net.q", "H K P", 0.5, 0), *k = add_param(p, "net.k", "H P P", 0.5, 0), *line = add_param(p, "net.line", "H K", 0.5, 0);
  return b_attention(b, op, op_info[op].n_inputs, (Node *[]){q, k, k, line, q, line}, 0.25, op != OP_attention_lse);
}

static Node *sample(Program *p, Graph *g, Op op) {
  Builder b = {g, &inner, "sample"};
  Kind kind = op_info[op].kind;
  if (op == OP_group || op == OP_result) return sample_group(g, ir_leaf(g, OP_input, "d.x", ir_type(p, F32, "B P")));
  if (op == OP_loop || op == OP_turn) return sample_loop(p, g, op);
  if (kind == LEAF || kind == RANDOM) return sample_leaf(p, g, op);
  Node *x = ir_leaf(g, OP_input, "d.x", ir_type(p, F32, "B P"));
  if (kind == VIEW) return sample_view(p, &b, op, x);
  if (kind == MAP) return sample_map(&b, op, x);
  if (kind == REDUCE) return b_reduce(&b, op, x, 1, (int[]){1}, op != OP_min);
  if (kind == MATMUL) return b_matmul(&b, x, x, true, false);
  if (kind == ATTENTION) return sample_attention(p, &b, op);
  Node *ids = ir_leaf(g, OP_input, "d.y", ir_type(p, I32, "B"));
  if (kind == GATHER) return node_new(g, op, (Node *[]){add_param(p, "net.w", "H P", 0.5, 0), ids}, 2, NULL, "sample", &inner);
  if (kind == SCATTER) return node_new(g, op, (Node *[]){x, ids}, 2, &(Attrs){.shape = ir_type(p, F32, "H P")}, "sample", &inner);
  fault("no sample of %s", op_info[op].name);
}

Program *ir_model_of_op(Arena *arena, Op op) {
  Program *p = ir_model_empty(arena);
  graph_output(p->train.graph, OUT_VALUE, "sample", sample(p, p->train.graph, op));
  return p;
}
