/* fuse_models.c - the graphs: layers as the standard file composes them, and
 * random ones from a seed. */
#include "tests/fuse_models.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Program *model_new(Arena *arena) {
  Program *program = program_new(arena, "model", "model.mt");
  program->has_train = true;
  program->train.variable = "d";
  program->train.accumulate = 1;
  Data data = {.name = "rows", .kind = DATA_RANDOM};
  LIST_PUSH(arena, program->data, program->n_data, data);
  program->train.graph = graph_new(program, "train", NULL);
  return program;
}

PassContext model_context(Program *program, Diagnostics *d, int level) {
  return (PassContext){.program = program, .arena = program->arena, .diagnostics = d, .level = level, .bisect_limit = LONG_MAX};
}

static Type type_of(DType dtype, int rank, const int64_t *size) {
  Dim dim[MAX_RANK];
  for (int i = 0; i < rank; i++) dim[i] = dim_literal(size[i]);
  return type_shape(dtype, rank, dim);
}

static Node *leaf(Graph *g, Op op, const char *path, Type type) {
  return node_new(g, op, NULL, 0, &(Attrs){.path = path, .shape = type}, path, NULL);
}

/* A state: any shape will do, where a data field's first axis must be the batch. */
Node *model_input(Graph *g, const char *name, DType dtype, int rank, const int64_t *size) {
  Program *p = g->program;
  State state = {.path = name, .type = type_of(dtype, rank, size)};
  LIST_PUSH(p->arena, p->states, p->n_states, state);
  return leaf(g, OP_state, name, state.type);
}

Node *model_batch(Graph *g, const char *name, DType dtype, int rank, const int64_t *size) {
  Data *data = &g->program->data[0];
  Field field = {.name = name, .type = type_of(dtype, rank, size)};
  if (!data->rows) {
    Symbol *rows = arena_alloc(g->program->arena, sizeof *rows);
    *rows = (Symbol){.name = "B", .size = size[0], .rows = true};
    LIST_PUSH(g->program->arena, g->program->symbols, g->program->n_symbols, rows);
    g->rows = data->rows = rows;
  }
  field.type.dim[0] = dim_symbol(data->rows);
  LIST_PUSH(g->program->arena, data->fields, data->n_fields, field);
  return leaf(g, OP_input, arena_print(g->program->arena, "d.%s", name), field.type);
}

Node *model_param(Graph *g, const char *path, int rank, const int64_t *size) {
  Program *p = g->program;
  Param param = {.path = path, .type = type_of(F32, rank, size)};
  LIST_PUSH(p->arena, p->params, p->n_params, param);
  return leaf(g, OP_param, path, param.type);
}

Node *model_softmax(Builder *b, Node *x) {
  int last = x->type.rank - 1;
  Node *e = b_unary(b, OP_exp, b_binary(b, OP_sub, x, b_unary(b, OP_stop, b_reduce(b, OP_max, x, 1, &last, true))));
  return b_binary(b, OP_div, e, b_reduce(b, OP_sum, e, 1, &last, true));
}

static Node *mean(Builder *b, Node *x) {
  int last = x->type.rank - 1;
  return b_scalar(b, OP_div, b_reduce(b, OP_sum, x, 1, &last, true), (double)x->type.dim[last].size);
}

Node *model_layernorm(Builder *b, Node *x, Node *weight, Node *bias) {
  Node *centred = b_binary(b, OP_sub, x, mean(b, x));
  Node *variance = mean(b, b_binary(b, OP_mul, centred, centred));
  Node *n = b_binary(b, OP_mul, centred, b_unary(b, OP_rsqrt, b_scalar(b, OP_add, variance, 1e-5)));
  return b_binary(b, OP_add, b_binary(b, OP_mul, n, weight), bias);
}

Node *model_mlp(Graph *g, int layers, int64_t batch, int64_t width) {
  Arena *arena = g->program->arena;
  Node *x = model_input(g, "x", F32, 2, (int64_t[]){batch, width});
  for (int i = 0; i < layers; i++) {
    const char *prefix = arena_print(arena, "net.fc%d", i);
    Builder b = {.graph = g, .prefix = prefix};
    Node *weight = model_param(g, arena_print(arena, "%s.weight", prefix), 2, (int64_t[]){width, width});
    Node *bias = model_param(g, arena_print(arena, "%s.bias", prefix), 1, (int64_t[]){width});
    x = b_unary(&b, OP_relu, b_binary(&b, OP_add, b_matmul(&b, x, weight, false, true), bias));
  }
  return x;
}

int model_count(const Graph *g, Op op) {
  int n = 0;
  for (int i = 0; i < g->n_nodes; i++) n += g->nodes[i]->op == op;
  return n;
}

/* -- values --------------------------------------------------------------------- */

static uint64_t next(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static double *leaf_values(const Node *n, uint64_t seed) {
  int64_t count = type_count(&n->type);
  double *data = malloc((size_t)(count ? count : 1) * sizeof *data);
  uint64_t state = seed;
  for (const char *c = n->attrs.path; *c; c++) state = state * 31 + (unsigned char)*c;
  for (int64_t i = 0; i < count; i++) {
    uint64_t bits = next(&state);
    data[i] = n->type.dtype == I32 ? (double)(bits % 2) : (double)(bits % 4001) / 1000 - 2;
  }
  return data;
}

ModelValues model_evaluate(const Graph *g, uint64_t seed, int64_t rows) {
  Binding *bindings = calloc((size_t)g->n_nodes + 1, sizeof *bindings);
  int n = 0;
  for (int i = 0; i < g->n_nodes; i++) {
    Op op = g->nodes[i]->op;
    if (op == OP_input || op == OP_param || op == OP_state)
      bindings[n++] = (Binding){g->nodes[i]->attrs.path, leaf_values(g->nodes[i], seed)};
  }
  ModelValues values = {g->n_outputs, calloc((size_t)g->n_outputs + 1, sizeof *values.at)};
  EvaluateOptions options = {.rows = rows, .seed = seed, .step = 3};
  const char *missing = NULL;
  if (!evaluate(g, bindings, n, &options, values.at, &missing)) fault("test: %s is unbound", missing);
  for (int i = 0; i < n; i++) free((void *)(uintptr_t)bindings[i].data);
  free(bindings);
  return values;
}

void model_free(ModelValues *values) {
  for (int i = 0; i < values->n; i++) tensor_free(&values->at[i]);
  free(values->at);
}

const char *model_differs(const ModelValues *a, const ModelValues *b, char *room, size_t size) {
  if (a->n != b->n) return "the number of outputs";
  for (int i = 0; i < a->n; i++) {
    if (a->at[i].count != b->at[i].count) {
      snprintf(room, size, "output %d has %lld and %lld elements", i, (long long)a->at[i].count, (long long)b->at[i].count);
      return room;
    }
    for (int64_t e = 0; e < a->at[i].count; e++) {
      double x = a->at[i].data[e], y = b->at[i].data[e];
      if ((isnan(x) && isnan(y)) || x == y || fabs(x - y) <= 1e-12 * fmax(1, fabs(x))) continue;
      snprintf(room, size, "output %d, element %lld: %.17g and %.17g", i, (long long)e, x, y);
      return room;
    }
  }
  return NULL;
}

/* -- random graphs ---------------------------------------------------------------- */

enum { MAX_VALUES = 64 };
typedef struct Maker {
  uint64_t state;
  Builder b;
  int n;
  Node *value[MAX_VALUES];
} Maker;

static int pick(Maker *m, int n) { return (int)(next(&m->state) % (uint64_t)n); }
static Node *any(Maker *m) { return m->value[pick(m, m->n)]; }
static Node *any_float(Maker *m) {
  for (int i = 0; i < 20; i++) {
    Node *x = any(m);
    if (dtype_is_float(x->type.dtype)) return x;
  }
  return m->value[0];
}

static Node *make_unary(Maker *m) {
  static const Op ops[] = {OP_neg, OP_exp, OP_tanh, OP_relu, OP_sin, OP_abs, OP_sigmoid};
  Node *x = any_float(m);
  if (pick(m, 4)) return b_unary(&m->b, ops[pick(m, 7)], x);
  return b_scalar(&m->b, pick(m, 2) ? OP_mul : OP_add, x, 0.5 + pick(m, 3));
}

static Node *make_binary(Maker *m) {
  static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_maximum, OP_minimum};
  for (int i = 0; i < 30; i++) {
    Node *x = any_float(m), *y = any_float(m);
    Type t;
    if (infer_broadcast(&x->type, &y->type, false, &t, &(TypeError){0})) return b_binary(&m->b, ops[pick(m, 5)], x, y);
  }
  return make_unary(m);
}

static Node *make_where(Maker *m) {
  Node *x = any_float(m);
  Node *positive = b_scalar(&m->b, OP_gt, x, 0);
  return b_where(&m->b, positive, b_scalar(&m->b, OP_mul, x, 0.5), b_unary(&m->b, OP_sin, x));
}

static Node *make_reduce(Maker *m) {
  static const Op ops[] = {OP_sum, OP_max, OP_min, OP_sum};
  Node *x = any_float(m);
  int axes[MAX_RANK], n = 0;
  if (x->type.rank == 0) return make_unary(m);
  bool last = pick(m, 2);
  for (int a = 0; a < x->type.rank; a++)
    if (last ? a == x->type.rank - 1 : pick(m, 2)) axes[n++] = a;
  if (n == 0) axes[n++] = 0;
  if (n == 1 && pick(m, 5) == 0) return b_cast(&m->b, b_reduce(&m->b, OP_argmax, x, n, axes, pick(m, 2)), F32);
  return b_reduce(&m->b, ops[pick(m, 4)], x, n, axes, pick(m, 2));
}

static Node *make_reshape(Maker *m) {
  Node *x = any_float(m);
  Type t = x->type;
  if (t.rank == 0 || (t.rank < 3 && pick(m, 2))) { /* a new axis of 1 somewhere */
    int at = pick(m, t.rank + 1);
    for (int a = t.rank; a > at; a--) t.dim[a] = t.dim[a - 1];
    t.dim[at] = dim_literal(1);
    t.rank++;
  } else if (t.rank > 1) { /* the first two as one */
    t.dim[0] = dim_literal(t.dim[0].size * t.dim[1].size);
    for (int a = 1; a + 1 < t.rank; a++) t.dim[a] = t.dim[a + 1];
    t.rank--;
  }
  return b_reshape(&m->b, x, &t);
}

static Node *make_view(Maker *m) {
  Node *x = any_float(m);
  Type t = x->type;
  int64_t start[MAX_RANK] = {0}, step[MAX_RANK];
  int axes[MAX_RANK], axis = t.rank ? pick(m, t.rank) : 0;
  for (int a = 0; a < MAX_RANK; a++) step[a] = 1, axes[a] = a;
  if (t.rank == 0) return make_reshape(m);
  switch (pick(m, 5)) {
  case 0: /* transpose two axes */
    axes[axis] = t.rank - 1, axes[t.rank - 1] = axis;
    return b_transpose(&m->b, x, axes);
  case 1: /* leave out the first */
    if (t.dim[axis].size < 2) return make_reshape(m);
    t.dim[axis] = dim_literal(t.dim[axis].size - 1);
    start[axis] = 1;
    return b_slice(&m->b, x, &t, start, step);
  case 2: /* a zero in front: slice's adjoint */
    t.dim[axis] = dim_literal(t.dim[axis].size + 1);
    start[axis] = 1;
    return b_pad(&m->b, x, &t, start, step);
  case 3: /* repeat in front */
    if (t.rank == 3) return make_reshape(m);
    for (int a = t.rank; a > 0; a--) t.dim[a] = t.dim[a - 1];
    t.dim[0] = dim_literal(2 + pick(m, 3));
    t.rank++;
    return b_broadcast(&m->b, x, &t);
  default: return make_reshape(m);
  }
}

static Node *make_matmul(Maker *m) {
  Node *x = any_float(m);
  if (x->type.rank != 2 || x->type.dtype != F32) return make_binary(m);
  return pick(m, 2) ? b_matmul(&m->b, x, x, false, true) : b_matmul(&m->b, x, x, true, false);
}

static Node *make_gather(Maker *m) {
  Node *table = any_float(m), *ids = m->value[1];
  if (table->type.rank == 0 || table->type.dim[0].size < 2 || table->type.rank > 2) return make_unary(m);
  Node *in[] = {table, ids};
  return node_new(m->b.graph, OP_gather, in, 2, &(Attrs){0}, "gather", NULL);
}

static Node *make_random(Maker *m) {
  Node *x = any_float(m);
  Attrs attrs = {.path = arena_print(m->b.graph->program->arena, "site%d", m->n), .shape = x->type, .distribution = pick(m, 2)};
  return b_binary(&m->b, OP_mul, x, node_new(m->b.graph, OP_random, NULL, 0, &attrs, "draw", NULL));
}

static Node *make_any(Maker *m) {
  Node *x;
  switch (pick(m, 16)) {
  case 0: case 1: case 2: return make_unary(m);
  case 3: case 4: case 5: case 6: return make_binary(m);
  case 7: case 8: return make_reduce(m);
  case 9: case 10: case 11: return make_view(m);
  case 12: return make_where(m);
  case 13: return pick(m, 2) ? make_matmul(m) : make_gather(m);
  case 14: return make_random(m);
  default:
    x = any_float(m);
    return x->type.rank ? model_softmax(&m->b, x) : make_unary(m);
  }
}

Program *model_random(Arena *arena, uint64_t seed, int64_t scale) {
  static const int64_t sizes[] = {1, 2, 3, 5};
  Program *program = model_new(arena);
  Graph *g = program->train.graph;
  Maker m = {.state = seed * 77 + 5, .b = {.graph = g, .prefix = "v"}};
  int64_t a = scale * sizes[pick(&m, 4)], b = scale * sizes[pick(&m, 4)], c = scale * sizes[pick(&m, 4)];
  m.value[m.n++] = model_input(g, "x", F32, 2, (int64_t[]){a, b});
  m.value[m.n++] = model_input(g, "ids", I32, 1, (int64_t[]){a});
  m.value[m.n++] = model_input(g, "y", F32, 3, (int64_t[]){c, a, b});
  m.value[m.n++] = model_param(g, "w", 1, (int64_t[]){b});
  m.value[m.n++] = model_param(g, "s", 0, NULL);
  for (int i = 8 + pick(&m, 30); i > 0; i--) {
    Node *made = make_any(&m);
    if (type_count(&made->type) <= 4000 * scale * scale * scale) m.value[m.n++] = made;
  }
  for (int i = 0, n = 1 + pick(&m, 4); i < n; i++) {
    Node *out = i == 0 ? m.value[m.n - 1] : any_float(&m);
    graph_output(g, OUT_VALUE, arena_print(arena, "out%d", i), out);
  }
  return program;
}

static bool reaches(const Node *y, const Node *x) {
  bool found = y == x;
  for (int i = 0; i < y->n_in && !found; i++) found = reaches(y->in[i], x);
  return found;
}

/* Gradients of the sum of the first output, as far as it depends on anything. */
void model_add_gradients(Program *program) {
  static const char *const leaves[] = {"x", "y", "w", "s"};
  Graph *g = program->train.graph;
  Builder b = {.graph = g, .prefix = "total"};
  int axes[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
  Node *y = b_unary(&b, OP_tanh, g->outputs[0].node);
  if (y->type.rank) y = b_reduce(&b, OP_sum, y, y->type.rank, axes, false);
  for (int i = 0; i < 4; i++) {
    Node *in[] = {y, graph_find(g, leaves[i])};
    if (reaches(y, in[1]))
      graph_output(g, OUT_VALUE, leaves[i], node_new(g, OP_grad, in, 2, &(Attrs){0}, arena_print(program->arena, "d%s", leaves[i]), NULL));
  }
}
