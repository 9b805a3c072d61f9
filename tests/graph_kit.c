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
  kit->program->train.accumulate = 1;
  kit->program->train.graph = kit->graph;
  Data data = {.name = "rows", .kind = DATA_RANDOM};
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
  kit->leaves[kit->n_leaves++] = (Leaf){path, node, count, data};
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

Node *kit_batch(Kit *kit, const char *field, DType dtype, int64_t capacity, int64_t rows, int rank, const int64_t *size) {
  Data *data = &kit->program->data[0];
  if (!kit->rows) {
    kit->rows = arena_alloc(kit->arena, sizeof *kit->rows);
    *kit->rows = (Symbol){"B", capacity, true};
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
  PassContext context = {.program = kit->program, .arena = kit->arena, .diagnostics = kit->diagnostics, .level = level,
                         .bisect_limit = bisect_limit, .verify_each = true, .stop_after = stop, .trace = trace};
  return run_pipeline(&context, NULL, NULL);
}

/* ---- values ----------------------------------------------------------------- */

Values kit_evaluate(Kit *kit) {
  Binding bindings[MAX_LEAVES];
  for (int i = 0; i < kit->n_leaves; i++) bindings[i] = (Binding){kit->leaves[i].path, kit->leaves[i].data};
  Values values = {kit->graph->n_outputs, calloc((size_t)kit->graph->n_outputs + 1, sizeof *values.at)};
  const char *missing = NULL;
  EvaluateOptions options = {.rows = kit->n_rows, .seed = 7};
  if (!evaluate(kit->graph, bindings, kit->n_leaves, &options, values.at, &missing)) fault("%s has no value", missing);
  return values;
}

void values_free(Values *values) {
  for (int i = 0; i < values->n; i++) tensor_free(&values->at[i]);
  free(values->at);
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
  if (g->count != leaf->count) wrong = arena_print(kit->arena, "%s: %lld elements, its gradient has %lld", path, (long long)leaf->count, (long long)g->count);
  for (int64_t i = 0; i < leaf->count && !wrong; i++) {
    double expected = slope(kit, scalar, &leaf->data[i]);
    if (!(fabs(g->data[i] - expected) <= 1e-6 * fmax(1, fabs(expected))))
      wrong = arena_print(kit->arena, "d/d %s[%lld] is %.12g, differences say %.12g", path, (long long)i, g->data[i], expected);
  }
  values_free(&values);
  return wrong;
}

const char *kit_check_update(Kit *kit) {
  const char *wrong = NULL;
  int loss = kit_output(kit, OUT_LOSS, "update0");
  for (int i = 0; i < kit->graph->n_outputs && !wrong; i++)
    if (kit->graph->outputs[i].role == OUT_GRAD) wrong = kit_check_derivative(kit, loss, i, kit->graph->outputs[i].name);
  return wrong;
}
