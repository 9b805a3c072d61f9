/* graph_kit.c - see the header. */
#include "tests/graph_kit.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Kit *kit_new(uint64_t seed) {
  Kit *kit = calloc(1, sizeof *kit);
  kit->arena = arena_new();
  kit->diagnostics = diagnostics_new();
  kit->program = program_new(kit->arena, "test", "test.mt");
  kit->graph = graph_new(kit->program, "train", NULL);
  kit->b = (Builder){kit->graph, NULL, "t"};
  kit->seed = seed * 0x9e3779b97f4a7c15u + 1;
  kit->program->has_train = true;
  kit->program->train.variable = "d";
  kit->program->train.accumulate = kit->program->train.count = 1;
  kit->program->train.graph = kit->graph;
  Data data = {.name = "rows", .kind = DATA_RANDOM, .n_rows = 1};
  LIST_PUSH(kit->arena, kit->program->data, kit->program->n_data, data);
  return kit;
}

void kit_free(Kit *kit) {
  for (int i = 0; i < kit->n_leaves; i++) free(kit->leaves[i].data);
  diagnostics_free(kit->diagnostics);
  arena_free(kit->arena);
  free(kit);
}

uint64_t kit_random(Kit *kit, uint64_t below) { /* splitmix64 */
  uint64_t z = (kit->seed += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return below ? (z ^ z >> 31) % below : 0;
}

Type kit_type(DType dtype, int rank, const int64_t *size) {
  Type type = {.dtype = dtype, .rank = rank};
  for (int i = 0; i < rank; i++) type.dim[i] = dim_literal(size[i]);
  return type;
}

/* ---- leaves ----------------------------------------------------------------- */

static Node *add_leaf(Kit *kit, Op op, const char *path, Type type, int64_t count) {
  Node *node = node_new(kit->graph, op, NULL, 0, &(Attrs){.path = path, .shape = type}, path, NULL);
  double *data = calloc((size_t)count + 1, sizeof *data);
  LIST_PUSH(kit->arena, kit->leaves, kit->n_leaves, ((Leaf){path, node, count, data}));
  return node;
}

Node *kit_param(Kit *kit, const char *path, Type type) {
  Param param = {.path = path, .type = type};
  LIST_PUSH(kit->arena, kit->program->params, kit->program->n_params, param);
  return add_leaf(kit, OP_param, path, type, type_count(&type));
}

Node *kit_state(Kit *kit, const char *path, Type type) {
  State state = {.path = path, .type = type};
  LIST_PUSH(kit->arena, kit->program->states, kit->program->n_states, state);
  return add_leaf(kit, OP_state, path, type, type_count(&type));
}

Node *kit_batch(Kit *kit, const char *field, DType dtype, int64_t capacity, int64_t rows, int rank,
                const int64_t *size) {
  Data *data = &kit->program->data[0];
  if (!kit->rows) {
    kit->rows = arena_alloc(kit->arena, sizeof *kit->rows);
    *kit->rows = (Symbol){.name = "B", .size = capacity, .rows = true};
    LIST_PUSH(kit->arena, kit->program->symbols, kit->program->n_symbols, kit->rows);
    kit->graph->rows = data->rows = kit->rows;
    kit->n_rows = rows;
  }
  Type type = {.dtype = dtype, .rank = 1 + rank, .dim = {dim_symbol(kit->rows)}};
  int64_t each = 1;
  for (int i = 0; i < rank; i++) {
    type.dim[1 + i] = dim_literal(size[i]);
    each *= size[i];
  }
  Field f = {.name = field, .type = type};
  LIST_PUSH(kit->arena, data->fields, data->n_fields, f);
  return add_leaf(kit, OP_input, arena_print(kit->arena, "d.%s", field), type, rows * each);
}

static Leaf *find_leaf(Kit *kit, const char *path) {
  for (int i = 0; i < kit->n_leaves; i++)
    if (!strcmp(kit->leaves[i].path, path)) return &kit->leaves[i];
  return NULL;
}

double *kit_data(Kit *kit, const Node *leaf) { return find_leaf(kit, leaf->attrs.path)->data; }

/* ---- nodes ------------------------------------------------------------------ */

Node *kit_grad(Kit *kit, Node *y, Node *x, const char *name) {
  return node_new(kit->graph, OP_grad, (Node *[]){y, x}, 2, NULL, name, NULL);
}

Node *kit_sum(Kit *kit, Node *x) {
  int axes[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
  return b_reduce(&kit->b, OP_sum, x, x->type.rank, axes, false);
}

Node *kit_op(Kit *kit, Op op, int n, Node *const *in, Attrs attrs) {
  return node_new(kit->graph, op, in, n, &attrs, op_info[op].name, NULL);
}

static Node *linear(Kit *kit, Node *x, const char *name, int64_t out) {
  Builder *b = &kit->b;
  int64_t in = x->type.dim[x->type.rank - 1].size;
  b->prefix = name;
  Node *w = kit_param(kit, arena_print(kit->arena, "%s.weight", name), kit_type(F32, 2, (int64_t[]){out, in}));
  Node *bias = kit_param(kit, arena_print(kit->arena, "%s.bias", name), kit_type(F32, 1, (int64_t[]){out}));
  for (int64_t i = 0; i < out * in; i++) kit_data(kit, w)[i] = (double)kit_random(kit, 200) / 100 - 1;
  return b_binary(b, OP_add, b_matmul(b, x, b_transpose(b, w, (int[]){1, 0}), false, false), bias);
}

/* mean over the rows there are of -log softmax(x)[y] */
static Node *cross_entropy(Kit *kit, Node *x, Node *y) {
  Builder *b = &kit->b;
  Type column = y->type;
  column.dim[column.rank++] = dim_literal(1);
  b->prefix = "loss";
  Node *shifted = b_binary(b, OP_sub, x, b_unary(b, OP_stop, b_reduce(b, OP_max, x, 1, (int[]){1}, true)));
  Node *sum = b_reduce(b, OP_sum, b_unary(b, OP_exp, shifted), 1, (int[]){1}, true);
  Node *p = b_binary(b, OP_sub, shifted, b_unary(b, OP_log, sum));
  Node *hit = b_binary(b, OP_eq, b_iota(b, &p->type, 1), b_reshape(b, y, &column));
  Node *picked = b_reduce(b, OP_sum, b_where(b, hit, p, b_const(b, F32, 0)), 1, (int[]){1}, false);
  return b_unary(b, OP_neg, b_binary(b, OP_div, kit_sum(kit, picked), b_count(b, &y->type, 1, (int[]){0}, F32)));
}

void kit_mlp(Kit *kit, int layers, int64_t rows) {
  enum { WIDTH = 4, CLASSES = 3 };
  Node *x = kit_batch(kit, "x", F32, 5, rows, 1, (int64_t[]){WIDTH}), *y = kit_batch(kit, "y", I32, 5, rows, 0, NULL);
  for (int64_t i = 0; i < rows * WIDTH; i++) kit_data(kit, x)[i] = (double)kit_random(kit, 400) / 100 - 2;
  for (int64_t i = 0; i < rows; i++) kit_data(kit, y)[i] = (double)kit_random(kit, CLASSES);
  for (int i = 0; i < layers; i++)
    x = b_unary(&kit->b, OP_tanh, linear(kit, x, arena_print(kit->arena, "net.fc%d", i), WIDTH));
  kit_minimize(kit, cross_entropy(kit, linear(kit, x, "net.out", CLASSES), y));
}

void kit_minimize(Kit *kit, Node *loss) {
  Program *p = kit->program;
  Train *train = &p->train;
  UpdateGroup *group = arena_alloc(kit->arena, sizeof *group);
  *group = (UpdateGroup){.target = "t", .optimizer = optimizer_find("sgd")};
  for (int i = 0; i < p->n_params; i++) LIST_PUSH(kit->arena, group->params, group->n_params, i);
  p->schedule = graph_new(p, "schedule", NULL);
  Builder b = {p->schedule, NULL, "lr"};
  for (int i = 0; i < MAX_HYPER && group->optimizer->hyper[i]; i++) group->hyper[i] = b_const(&b, F64, i ? 0 : 0.1);
  Update update = {.name = arena_print(kit->arena, "update%d", train->n_updates), .n_groups = 1, .groups = group};
  Stmt stmt = {.kind = STMT_UPDATE, .index = train->n_updates};
  LIST_PUSH(kit->arena, train->body, train->n_body, stmt);
  LIST_PUSH(kit->arena, train->updates, train->n_updates, update);
  graph_output(kit->graph, OUT_LOSS, update.name, loss);
}

bool kit_run(Kit *kit, int level, const char *stop, long bisect_limit, FILE *trace) {
  PassContext context = {.program = kit->program,
                         .arena = kit->arena,
                         .diagnostics = kit->diagnostics,
                         .level = level,
                         .bisect_limit = bisect_limit,
                         .verify_each = true,
                         .stop_after = stop,
                         .trace = trace};
  return run_pipeline(&context, NULL, NULL);
}

/* ---- values ----------------------------------------------------------------- */

Values kit_evaluate(Kit *kit) {
  Binding *bindings = calloc((size_t)kit->n_leaves + 1, sizeof *bindings);
  for (int i = 0; i < kit->n_leaves; i++) bindings[i] = (Binding){kit->leaves[i].path, kit->leaves[i].data};
  Values values = {kit->graph->n_outputs, calloc((size_t)kit->graph->n_outputs + 1, sizeof *values.at)};
  const char *missing = NULL;
  EvaluateOptions options = {.rows = kit->n_rows, .seed = 7};
  if (!evaluate(kit->graph, bindings, kit->n_leaves, &options, values.at, &missing)) fault("%s has no value", missing);
  free(bindings);
  return values;
}

void values_free(Values *values) {
  for (int i = 0; i < values->n; i++) tensor_free(&values->at[i]);
  free(values->at);
}

bool values_equal(const Values *a, const Values *b) {
  if (a->n != b->n) return false;
  for (int i = 0; i < a->n; i++) {
    if (a->at[i].count != b->at[i].count) return false;
    for (int64_t k = 0; k < a->at[i].count; k++) {
      double x = a->at[i].data[k], y = b->at[i].data[k];
      if (!(isnan(x) && isnan(y)) && memcmp(&x, &y, sizeof x)) return false;
    }
  }
  return true;
}

int kit_output(const Kit *kit, OutputRole role, const char *name) {
  for (int i = 0; i < kit->graph->n_outputs; i++)
    if (kit->graph->outputs[i].role == role && !strcmp(kit->graph->outputs[i].name, name)) return i;
  return -1;
}

/* ---- finite differences --------------------------------------------------------- */

static double scalar_at(Kit *kit, int output, double *x, double value) {
  double was = *x;
  *x = value;
  Values values = kit_evaluate(kit);
  double y = values.at[output].data[0];
  *x = was;
  values_free(&values);
  return y;
}

static double slope(Kit *kit, int output, double *x) {
  const double h = 5e-4, at = *x;
  double near = scalar_at(kit, output, x, at + h) - scalar_at(kit, output, x, at - h);
  double far = scalar_at(kit, output, x, at + 2 * h) - scalar_at(kit, output, x, at - 2 * h);
  return (8 * near - far) / (12 * h);
}

const char *kit_check_derivative(Kit *kit, int scalar, int gradient, const char *path) {
  Leaf *leaf = find_leaf(kit, path);
  Values values = kit_evaluate(kit);
  const Tensor *g = &values.at[gradient];
  const char *wrong = NULL;
  if (g->count != leaf->count)
    wrong = arena_print(kit->arena, "%s: %lld elements, its gradient has %lld", path, (long long)leaf->count,
                        (long long)g->count);
  for (int64_t i = 0; i < leaf->count && !wrong; i++) {
    double expected = slope(kit, scalar, &leaf->data[i]);
    if (!(fabs(g->data[i] - expected) <= 1e-6 * fmax(1, fabs(expected))))
      wrong = arena_print(kit->arena, "d/d %s[%lld] is %.12g, differences say %.12g", path, (long long)i, g->data[i],
                          expected);
  }
  values_free(&values);
  return wrong;
}

const char *kit_check_update(Kit *kit) {
  const char *wrong = NULL;
  int loss = kit_output(kit, OUT_LOSS, "update0");
  for (int i = 0; i < kit->graph->n_outputs && !wrong; i++)
    if (kit->graph->outputs[i].role == OUT_GRAD)
      wrong = kit_check_derivative(kit, loss, i, kit->graph->outputs[i].name);
  return wrong;
}

bool kit_printed(const Kit *kit, const char *what) {
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  diagnostics_print(kit->diagnostics, out, false);
  fclose(out);
  bool found = strstr(text, what) != NULL;
  free(text);
  return found;
}
