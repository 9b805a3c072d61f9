/* test_targets.c - every op of ops.def through the C target, against the evaluator.
 *
 * The table is walked: maps by their number of operands, whatever they are,
 * other kinds by a case of their own; an op without one fails the test.  Each
 * op is met in several shapes (a scalar, one element, ranks 1 to 4, nothing at
 * all, a short batch), in every dtype its shape rule accepts, at special values
 * (zeros of both signs, ties, denormals, huge values, infinities, NaN), and
 * with its gradient.  The graphs go through the pipeline at -O0 and -O2, are
 * built, and run with real = float and double.
 *
 * The reference is the evaluator on the graph as built, after `gradient` alone.
 * Tolerances: a map that is one correctly rounded operation must be exactly the
 * rounded double; other maps are within 4 ulp (8: erf, tanh, pow); sums within
 * 8 eps sqrt(n) sum|terms|, where sum|terms| is the same graph over absolute
 * values; gradients by ||d||/||ref||.  NaN and infinity positions are exact.
 */
#include <check.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"
#include "tests/fuse_models.h"
#include "tests/generated.h"

/* ---- a page: some ops in one program ------------------------------------------------- */

typedef enum Measure { ULPS, TERMS, NORM } Measure;
typedef struct Check {
  const char *what;
  Measure measure;
  double ulps;     /* ULPS */
  double terms;    /* TERMS: how many a sum has */
  bool zero_signs; /* -0 and 0 differ */
  bool single;     /* float, even where real is double */
} Check;

enum { MAX_LEAVES = 3000, MAX_CHECKS = 4000 };
typedef struct Page {
  Program *program;
  Graph *g;
  Builder b;
  bool absolute; /* leaves by absolute value: sum|terms| */
  uint64_t seed;
  const char *what; /* op and variant, for messages */
  int n_leaves;
  Binding leaves[MAX_LEAVES];
  int n_checks;
  Check checks[MAX_CHECKS];
} Page;

enum { CAPACITY = 5, ROWS = 3 };

static Page *page_new(Arena *arena, bool absolute) {
  Page *p = arena_alloc(arena, sizeof *p);
  p->program = model_new(arena);
  p->g = p->program->train.graph;
  p->b = (Builder){.graph = p->g, .prefix = "v"};
  p->absolute = absolute;
  return p;
}

/* ---- values -------------------------------------------------------------------------- */

typedef enum Fill { SPECIAL, EDGES, NORMAL, WHOLE, IDS, TRUTH } Fill;

static const double special[] = {0,       -0.0,     1,         -1,       0.5,       -0.5,       1.5,     2.5,
                                 -2.5,    3,        -3,        0.1f,     7.25,      20.5,       -20.5,   60,
                                 -60,     88.5f,    -87.5f,    1e-3f,    3e-5f,     -3e-5f,     1e5f,    -1e5f,
                                 8388609, 0x1p-126, -0x1p-126, 0x1p-149, -0x1p-140, 0x1.8p-130, FLT_MAX, -FLT_MAX,
                                 1e30f,   NAN,      INFINITY,  -INFINITY};
static const double edges[] = {0, -0.0, 1, -1, 0.5, -0.5, 2.5, -2.5, 3, -3, 1, 12, -12, NAN, INFINITY, -INFINITY};
enum { N_SPECIAL = sizeof special / sizeof special[0], N_EDGES = sizeof edges / sizeof edges[0] };

static uint64_t next(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* All exact as float. */
static double value(Fill fill, int64_t i, uint64_t *state) {
  uint64_t bits = next(state);
  switch (fill) {
  case SPECIAL: return special[i % N_SPECIAL];
  case EDGES: return edges[i % N_EDGES];
  case WHOLE: return (double)(bits % 12) + 1;
  case IDS: return (double)(bits % 3);
  case TRUTH: return (double)(bits % 2);
  default: return ((double)(bits % 32768) + 0.5) / 8192 - 2;
  }
}

static Node *bind(Page *p, Node *leaf, Fill fill) {
  int64_t count = type_count(&leaf->type);
  double *data = arena_alloc(p->program->arena, (size_t)(count + 1) * sizeof *data);
  uint64_t state = p->seed += 977;
  for (int64_t i = 0; i < count; i++) {
    data[i] = value(fill, i, &state);
    if (p->absolute && leaf->type.dtype == F32) data[i] = fabs(data[i]);
    if (leaf->type.dtype == BOOL) data[i] = data[i] != 0;
  }
  ck_assert_int_lt(p->n_leaves, MAX_LEAVES);
  p->leaves[p->n_leaves++] = (Binding){leaf->attrs.path, data};
  return leaf;
}

/* A leaf; size[0] = -1 asks for the batch axis.  F64 is a cast, for states are real. */
static Node *leaf(Page *p, DType dtype, int rank, const int64_t *size, Fill fill) {
  const char *name = arena_print(p->program->arena, "x%d", p->n_leaves);
  DType stored = dtype == F64 || dtype == BF16 ? F32 : dtype;
  Node *x;
  if (rank && size[0] == -1) {
    int64_t sizes[MAX_RANK] = {CAPACITY};
    for (int i = 1; i < rank; i++) sizes[i] = size[i];
    x = model_batch(p->g, name, stored, rank, sizes);
  } else {
    x = model_input(p->g, name, stored, rank, size);
  }
  bind(p, x, fill);
  return stored == dtype ? x : b_cast(&p->b, x, dtype);
}

/* ---- what is looked at ------------------------------------------------------------------ */

static const struct {
  Op op;
  double ulps;
} inexact[] = {{OP_exp, 4}, {OP_expm1, 4},  {OP_log, 4},     {OP_log1p, 4},   {OP_sin, 4},
               {OP_cos, 4}, {OP_tanh, 8},   {OP_erf, 8},     {OP_sigmoid, 4}, {OP_rsqrt, 4},
               {OP_pow, 8}, {OP_random, 4}, {OP_floordiv, 1}};

static double ulps_of(Op op) {
  for (size_t i = 0; i < sizeof inexact / sizeof inexact[0]; i++)
    if (inexact[i].op == op) return inexact[i].ulps;
  return 0;
}

static void add_check(Page *p, Node *node, Check check) {
  ck_assert_int_lt(p->n_checks, MAX_CHECKS);
  if (node->type.dtype != F32 && node->type.dtype != BOOL) node = b_cast(&p->b, node, F32);
  check.what = p->what;
  p->checks[p->n_checks++] = check;
  graph_output(p->g, OUT_VALUE, arena_print(p->program->arena, "out%d", p->n_checks), node);
}

static void check_value(Page *p, Op op, Node *node) {
  bool signs = op_info[op].kind == MAP && dtype_is_float(node->type.dtype) && op != OP_maximum && op != OP_minimum &&
               op != OP_cast;
  add_check(
      p, node,
      (Check){
          .measure = ULPS, .ulps = ulps_of(op), .zero_signs = signs && ulps_of(op) == 0, .single = op == OP_random});
}

static bool has_gradient(Op op) {
  static const char *const rules[] = {
#define OP(op, n, kind, attributes, shape, gradient, expression) #gradient,
#include "ir/ops.def"
#undef OP
  };
  return strcmp(rules[op], "none") != 0;
}

static Node *total(Page *p, Node *x) {
  int axes[MAX_RANK] = {0, 1, 2, 3, 4, 5, 6, 7};
  return x->type.rank ? b_reduce(&p->b, OP_sum, x, x->type.rank, axes, false) : x;
}

/* Gradients of sum(y * w), to each float operand.  What no gradient flows
 * through gets a way around, and must add nothing to it. */
static void check_gradients(Page *p, Op op, Node *y, int n, Node *const *in) {
  Builder *b = &p->b;
  if (!dtype_is_float(y->type.dtype) && has_gradient(op)) return;
  int64_t size[MAX_RANK];
  for (int i = 0; i < y->type.rank; i++) size[i] = y->type.dim[i].rows ? -1 : y->type.dim[i].size;
  bool batch_inside = false; /* the batch, but not in front */
  for (int i = 1; i < y->type.rank; i++) batch_inside |= y->type.dim[i].rows != NULL;
  if (batch_inside) return;
  Node *loss = total(p, b_binary(b, OP_mul, b_cast(b, y, F32), leaf(p, F32, y->type.rank, size, NORMAL)));
  if (!has_gradient(op))
    for (int i = 0; i < n; i++)
      if (dtype_is_float(in[i]->type.dtype)) loss = b_binary(b, OP_add, loss, total(p, b_cast(b, in[i], F32)));
  for (int i = 0; i < n; i++) {
    if (!dtype_is_float(in[i]->type.dtype) || (i && in[i] == in[0])) continue;
    Node *pair[] = {loss, in[i]};
    Node *d = node_new(p->g, OP_grad, pair, 2, &(Attrs){0}, arena_print(p->program->arena, "d%d", p->n_checks), NULL);
    p->what = arena_print(p->program->arena, "gradient of %s to operand %d", p->what, i);
    add_check(p, d, (Check){.measure = NORM});
  }
}

/* ---- maps: by the number of operands -------------------------------------------------------- */

static const DType dtypes[] = {F32, F64, I32, U8, BOOL};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0] };

static Attrs attrs_of(Op op, int variant) {
  static const double low[] = {-0.75, 0.3, -INFINITY, -2.5}, high[] = {0.1, INFINITY, -0.3, 2.5};
  if (op == OP_clamp) return (Attrs){.value = low[variant % 4], .high = high[variant % 4]};
  if (op == OP_cast) return (Attrs){.shape = {.dtype = dtypes[variant % N_DTYPES]}};
  return (Attrs){0};
}

static int n_variants(Op op) { return op == OP_clamp ? 4 : op == OP_cast ? N_DTYPES : 1; }

/* The op on these operands, or NULL when it does not take such. */
static Node *apply(Page *p, Op op, int n, Node *const *in, const Attrs *attrs) {
  Type out;
  const Type *types[6] = {0};
  for (int i = 0; i < n; i++) types[i] = &in[i]->type;
  if (!infer_type(op, n, types, attrs, false, &out, &(TypeError){0})) return NULL;
  p->what = arena_print(p->program->arena, "%s of", op_info[op].name);
  for (int i = 0; i < n; i++) {
    Text text = {0};
    type_print(&text, types[i], false);
    p->what = arena_print(p->program->arena, "%s %s", p->what, text.data);
    text_free(&text);
  }
  return node_new(p->g, op, in, n, attrs, op_info[op].name, NULL);
}

static Fill filling(DType dtype, Fill wanted) { return dtype == BOOL ? TRUTH : dtype_is_float(dtype) ? wanted : WHOLE; }

typedef struct Shape {
  int rank;
  int64_t size[4]; /* -1: the batch */
} Shape;

/* One op on fresh operands; false when these dtypes are not taken. */
static bool check_map(Page *p, Op op, int variant, int n, const DType *dtype, const Shape *shape, Fill fill,
                      bool gradients) {
  Node *in[3] = {0};
  Attrs attrs = attrs_of(op, variant);
  bool divides = op == OP_floordiv || op == OP_mod; /* integers by 0 have no answer */
  for (int i = 0; i < n; i++)
    in[i] = leaf(p, dtype[i], shape[i].rank, shape[i].size,
                 divides && i && dtype[i] == BOOL                 ? WHOLE
                 : op == OP_pow && i && !dtype_is_float(dtype[i]) ? IDS
                                                                  : filling(dtype[i], fill));
  Node *y = apply(p, op, n, in, &attrs);
  if (!y) return false;
  const char *what = p->what;
  if (gradients) check_gradients(p, op, y, n, in);
  p->what = what;
  check_value(p, op, y);
  return true;
}

static const Shape shapes1[] = {{0, {0}},    {1, {1}},     {3, {3, 5, 7}},   {1, {0}},
                                {2, {2, 0}}, {2, {-1, 3}}, {4, {2, 1, 3, 2}}};
enum { N_SHAPES1 = sizeof shapes1 / sizeof shapes1[0] };

static void check_unary(Page *p, Op op) {
  int taken = 0;
  for (int v = 0; v < n_variants(op); v++)
    for (int d = 0; d < N_DTYPES; d++) {
      Fill fill = op == OP_cast && !dtype_is_float(dtypes[v]) ? NORMAL : SPECIAL; /* C casts what fits */
      for (int s = 0; s < N_SHAPES1; s += d ? 2 : 1)
        taken += check_map(p, op, v, 1, &dtypes[d], &shapes1[s], NORMAL, d == 0 && s != 3);
      check_map(p, op, v, 1, &dtypes[d], &(Shape){1, {N_SPECIAL}}, fill, false);
      check_map(p, op, v, 1, &dtypes[d], &(Shape){1, {N_EDGES}}, op == OP_cast ? NORMAL : EDGES, d == 0);
    }
  ck_assert_msg(taken > 0, "%s: no dtype of the walk is taken", op_info[op].name);
}

/* Left and right operands that broadcast. */
static const Shape shapes2[][2] = {
    {{0, {0}}, {0, {0}}},       {{1, {1}}, {1, {4}}},          {{2, {3, 5}}, {1, {5}}},     {{1, {4}}, {3, {2, 3, 4}}},
    {{2, {3, 1}}, {2, {1, 6}}}, {{3, {2, 1, 4}}, {2, {3, 1}}}, {{1, {7}}, {0, {0}}},        {{0, {0}}, {2, {2, 3}}},
    {{2, {2, 0}}, {2, {1, 0}}}, {{2, {-1, 3}}, {1, {3}}},      {{2, {1, 3}}, {2, {-1, 3}}},
};
enum { N_SHAPES2 = sizeof shapes2 / sizeof shapes2[0] };

static void check_binary(Page *p, Op op) {
  int taken = 0;
  for (int d = 0; d < N_DTYPES; d++)
    for (int e = 0; e < N_DTYPES; e++) {
      DType pair[] = {dtypes[d], dtypes[e]};
      for (int s = 0; s < N_SHAPES2; s += d != e ? N_SHAPES2 : d ? 4 : 1)
        taken += check_map(p, op, 0, 2, pair, shapes2[s], NORMAL, d + e == 0);
    }
  DType real[] = {F32, F32};
  check_map(p, op, 0, 2, real, (Shape[]){{2, {N_SPECIAL, 1}}, {1, {N_SPECIAL}}}, SPECIAL, false);
  check_map(p, op, 0, 2, real, (Shape[]){{2, {N_EDGES, 1}}, {1, {N_EDGES}}}, EDGES, true);
  ck_assert_msg(taken > 0, "%s: no dtypes of the walk are taken", op_info[op].name);
}

static void check_ternary(Page *p, Op op) {
  static const Shape shapes[][3] = {
      {{0, {0}}, {0, {0}}, {0, {0}}},          {{2, {3, 5}}, {2, {3, 5}}, {2, {3, 5}}},
      {{1, {5}}, {2, {3, 5}}, {0, {0}}},       {{3, {2, 1, 4}}, {1, {4}}, {2, {3, 1}}},
      {{2, {0, 2}}, {2, {0, 2}}, {2, {0, 2}}}, {{2, {-1, 3}}, {2, {-1, 3}}, {1, {3}}},
  };
  int taken = 0;
  for (int d = 0; d < N_DTYPES; d++)
    for (int e = 0; e < N_DTYPES; e++)
      for (int s = 0; s < 6; s += d != e ? 6 : d ? 4 : 1) {
        DType triple[] = {BOOL, dtypes[d], dtypes[e]};
        taken += check_map(p, op, 0, 3, triple, shapes[s], NORMAL, d + e == 0);
      }
  DType triple[] = {BOOL, F32, F32};
  check_map(p, op, 0, 3, triple, (Shape[]){{2, {7, N_EDGES}}, {2, {7, 1}}, {1, {N_EDGES}}}, EDGES, true);
  ck_assert_msg(taken > 0, "%s: no dtypes of the walk are taken", op_info[op].name);
}

/* ---- other kinds ------------------------------------------------------------------------------- */

static Type shape_of(DType dtype, int rank, const int64_t *size) {
  Dim dim[MAX_RANK];
  for (int i = 0; i < rank; i++) dim[i] = dim_literal(size[i]);
  return type_shape(dtype, rank, dim);
}

static void check_leaf(Page *p, Op op) {
  static const double constants[] = {0, -0.0, 1, -3, 0.1, 0.5, 1e-45, 3e38, 16777217, 1e10, NAN, INFINITY, -INFINITY};
  Builder *b = &p->b;
  Type shape = shape_of(F32, 3, (int64_t[]){2, 3, 4});
  p->what = op_info[op].name;
  switch (op) {
  case OP_input: check_value(p, op, leaf(p, F32, 2, (int64_t[]){-1, 4}, NORMAL)); break;
  case OP_state: check_value(p, op, leaf(p, F32, 1, (int64_t[]){N_SPECIAL}, SPECIAL)); break;
  case OP_param: check_value(p, op, bind(p, model_param(p->g, "w", 2, (int64_t[]){3, 5}), NORMAL)); break;
  case OP_rows:
    leaf(p, F32, 1, (int64_t[]){-1}, NORMAL);
    check_value(p, op, b_rows(b, p->g->rows));
    break;
  case OP_const:
    for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
      check_value(p, op, b_const(b, F32, constants[i]));
      if ((double)(float)constants[i] == constants[i] || !isfinite(constants[i]))
        check_value(p, op, b_binary(b, OP_add, b_const(b, F32, constants[i]), leaf(p, F32, 1, (int64_t[]){3}, NORMAL)));
    }
    break;
  case OP_iota:
    for (int axis = 0; axis < 3; axis++) check_value(p, op, b_iota(b, &shape, axis));
    shape.dtype = I32;
    check_value(p, op, b_iota(b, &shape, 1));
    break;
  case OP_counter: break; /* of schedules: test_samples.c, test_trainer.c */
  case OP_result: break;  /* a group's: counted in check_groups */
  case OP_turn: break;    /* a loop's: tests/random/kept/loop-* */
  default: ck_abort_msg("leaf %s has no case in the walk", op_info[op].name);
  }
}

static void check_view_of(Page *p, Op op, Node *x, const Attrs *attrs) {
  Node *y = apply(p, op, 1, &x, attrs);
  ck_assert_msg(y != NULL, "%s is not taken", op_info[op].name);
  const char *what = p->what;
  check_value(p, op, y);
  if (x->type.dtype != F32) return;
  Node *after = b_unary(&p->b, OP_abs, y), *before = b_unary(&p->b, OP_neg, x);
  check_value(p, op, after);
  check_value(p, op, node_new(p->g, op, &before, 1, attrs, "view", NULL));
  p->what = what;
  check_gradients(p, op, y, 1, &x);
}

static void check_view(Page *p, Op op, DType dtype) {
  static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  Node *x = leaf(p, dtype, 3, (int64_t[]){4, 3, 5}, filling(dtype, NORMAL)),
       *empty = leaf(p, dtype, 2, (int64_t[]){0, 3}, filling(dtype, NORMAL)),
       *batch = leaf(p, dtype, 3, (int64_t[]){-1, 2, 3}, filling(dtype, NORMAL));
  Type shape = batch->type;
  switch (op) {
  case OP_reshape:
    check_view_of(p, op, x, &(Attrs){.shape = shape_of(dtype, 2, (int64_t[]){6, 10})});
    check_view_of(p, op, x, &(Attrs){.shape = shape_of(dtype, 4, (int64_t[]){1, 12, 1, 5})});
    check_view_of(p, op, empty, &(Attrs){.shape = shape_of(dtype, 3, (int64_t[]){5, 0, 7})});
    shape.rank = 2, shape.dim[1] = dim_literal(6);
    check_view_of(p, op, batch, &(Attrs){.shape = shape});
    break;
  case OP_transpose:
    for (int i = 0; i < 6; i++) {
      Attrs attrs = {.n_axes = 3};
      for (int k = 0; k < 3; k++) attrs.axes[k] = orders[i][k];
      check_view_of(p, op, x, &attrs);
      check_view_of(p, op, batch, &attrs);
    }
    check_view_of(p, op, empty, &(Attrs){.n_axes = 2, .axes = {1, 0}});
    break;
  case OP_broadcast:
    check_view_of(p, op, x, &(Attrs){.shape = shape_of(dtype, 4, (int64_t[]){2, 4, 3, 5})});
    check_view_of(p, op, leaf(p, dtype, 3, (int64_t[]){4, 1, 1}, filling(dtype, NORMAL)), &(Attrs){.shape = x->type});
    check_view_of(p, op, leaf(p, dtype, 0, NULL, filling(dtype, NORMAL)), &(Attrs){.shape = x->type});
    check_view_of(p, op, leaf(p, dtype, 2, (int64_t[]){1, 3}, filling(dtype, NORMAL)), &(Attrs){.shape = empty->type});
    check_view_of(p, op, leaf(p, dtype, 1, (int64_t[]){3}, filling(dtype, NORMAL)), &(Attrs){.shape = batch->type});
    break;
  case OP_slice:
    check_view_of(p, op, x,
                  &(Attrs){.shape = shape_of(dtype, 3, (int64_t[]){2, 3, 3}), .start = {1, 0, 0}, .step = {1, 1, 2}});
    check_view_of(p, op, x,
                  &(Attrs){.shape = shape_of(dtype, 3, (int64_t[]){2, 1, 2}), .start = {0, 2, 1}, .step = {3, 1, 3}});
    check_view_of(p, op, x,
                  &(Attrs){.shape = shape_of(dtype, 3, (int64_t[]){4, 0, 5}), .start = {0, 3, 0}, .step = {1, 1, 1}});
    shape.dim[1] = dim_literal(1);
    check_view_of(p, op, batch, &(Attrs){.shape = shape, .start = {0, 1, 0}, .step = {1, 1, 1}});
    break;
  case OP_pad:
    check_view_of(p, op, x,
                  &(Attrs){.shape = shape_of(dtype, 3, (int64_t[]){6, 3, 9}), .start = {1, 0, 0}, .step = {1, 1, 2}});
    check_view_of(p, op, x,
                  &(Attrs){.shape = shape_of(dtype, 3, (int64_t[]){11, 8, 16}), .start = {1, 2, 0}, .step = {3, 2, 3}});
    check_view_of(p, op, empty,
                  &(Attrs){.shape = shape_of(dtype, 2, (int64_t[]){2, 4}), .start = {1, 0}, .step = {1, 1}});
    shape.dim[1] = dim_literal(4);
    check_view_of(p, op, batch, &(Attrs){.shape = shape, .start = {0, 1, 0}, .step = {1, 1, 1}});
    break;
  case OP_skew:
  case OP_unskew:
    for (int i = 0; i < 12; i++) { /* stride, dilation, padding, and each order of the two axes */
      Attrs attrs = {.stride = 1 + i % 3, .dilation = 1 + i / 3 % 2, .padding = i % 4, .axis = i % 3};
      attrs.window = (attrs.axis + 1 + i / 6) % 3;
      attrs.shape = x->type;
      attrs.shape.dim[attrs.axis] = dim_literal(1 + i);
      check_view_of(p, op, x, &attrs);
      if (attrs.axis == 0 || attrs.window == 0) continue;
      attrs.shape = batch->type;
      attrs.shape.dim[attrs.axis] = dim_literal(i);
      check_view_of(p, op, batch, &attrs);
    }
    check_view_of(p, op, empty,
                  &(Attrs){.shape = shape_of(dtype, 2, (int64_t[]){2, 3}), .window = 1, .stride = 1, .dilation = 1});
    break;
  default: ck_abort_msg("view %s has no case in the walk", op_info[op].name);
  }
}

static void check_reduce_of(Page *p, Op op, Node *x, int n, const int *axes, bool keep) {
  Attrs attrs = {.n_axes = n, .keep = keep};
  int64_t terms = 1;
  for (int i = 0; i < n; i++) attrs.axes[i] = axes[i], terms *= x->type.dim[axes[i]].size;
  Node *y = apply(p, op, 1, &x, &attrs);
  if (!y) return;
  const char *what = p->what;
  if (x->type.dtype == F32) check_gradients(p, op, y, 1, &x);
  p->what = what;
  if (op == OP_sum && dtype_is_float(x->type.dtype))
    add_check(p, y, (Check){.measure = TERMS, .terms = (double)terms});
  else
    check_value(p, op, y);
}

static void check_reduce(Page *p, Op op) {
  static const int64_t sizes[][4] = {{4}, {1, 1, 1}, {3, 33, 5}, {-1, 7, 2}, {2, 0, 3}, {1, 300, 2}};
  static const int ranks[] = {1, 3, 3, 3, 3, 3};
  int before = p->n_checks;
  for (int s = 0; s < 6; s++)
    for (int set = 1; set < 1 << ranks[s]; set++) {
      int axes[3], n = 0;
      for (int a = 0; a < ranks[s]; a++)
        if (set >> a & 1) axes[n++] = a;
      check_reduce_of(p, op, leaf(p, F32, ranks[s], sizes[s], NORMAL), n, axes, set % 2);
    }
  for (int d = 0; d < N_DTYPES; d++)
    for (int axis = 0; axis < 2; axis++) {
      check_reduce_of(p, op, leaf(p, dtypes[d], 2, (int64_t[]){6, 9}, filling(dtypes[d], NORMAL)), 1, &axis, false);
      check_reduce_of(p, op, leaf(p, dtypes[d], 2, (int64_t[]){N_EDGES, 5}, filling(dtypes[d], EDGES)), 1, &axis, true);
    }
  check_reduce_of(p, op, leaf(p, F32, 2, (int64_t[]){11, 7}, IDS), 1, (int[]){1}, false); /* ties */
  check_reduce_of(p, op, leaf(p, F32, 2, (int64_t[]){11, 7}, IDS), 1, (int[]){0}, false);
  ck_assert_int_gt(p->n_checks, before);
}

static void check_matmul_of(Page *p, Node *x, Node *y, bool ta, bool tb) {
  Node *in[] = {x, y};
  Node *z = apply(p, OP_matmul, 2, in, &(Attrs){.ta = ta, .tb = tb});
  ck_assert_msg(z != NULL, "matmul is not taken");
  const char *what = p->what;
  check_gradients(p, OP_matmul, z, 2, in);
  p->what = what;
  add_check(p, z, (Check){.measure = TERMS, .terms = (double)x->type.dim[x->type.rank - (ta ? 2 : 1)].size});
}

static void check_matmul(Page *p) {
  static const int64_t sizes[][3] = {{1, 1, 1}, {3, 4, 5}, {1, 9, 1}, {17, 33, 18}, {8, 8, 8}, {5, 0, 3}, {0, 3, 2}};
  for (int s = 0; s < 7; s++)
    for (int t = 0; t < 4; t++) {
      int64_t m = sizes[s][0], k = sizes[s][1], n = sizes[s][2];
      check_matmul_of(p, leaf(p, F32, 2, t & 1 ? (int64_t[]){k, m} : (int64_t[]){m, k}, NORMAL),
                      leaf(p, F32, 2, t & 2 ? (int64_t[]){n, k} : (int64_t[]){k, n}, NORMAL), t & 1, t >> 1);
    }
  for (int t = 0; t < 4; t++) {
    const int64_t *x = t & 1 ? (int64_t[]){3, 5, 4} : (int64_t[]){3, 4, 5},
                  *y = t & 2 ? (int64_t[]){3, 2, 5} : (int64_t[]){3, 5, 2};
    check_matmul_of(p, leaf(p, F32, 3, x, NORMAL), leaf(p, F32, 3, y, NORMAL), t & 1, t >> 1);
    check_matmul_of(p, leaf(p, F32, 3, x, NORMAL), leaf(p, F32, 2, y + 1, NORMAL), t & 1, t >> 1);
  }
  check_matmul_of(p, leaf(p, F32, 2, (int64_t[]){-1, 6}, NORMAL), leaf(p, F32, 2, (int64_t[]){4, 6}, NORMAL), false,
                  true);
  check_matmul_of(p, leaf(p, F32, 2, (int64_t[]){-1, 6}, NORMAL), leaf(p, F32, 2, (int64_t[]){-1, 3}, NORMAL), true,
                  false);
  check_matmul_of(p, leaf(p, F32, 3, (int64_t[]){-1, 2, 6}, NORMAL), leaf(p, F32, 3, (int64_t[]){-1, 6, 3}, NORMAL),
                  false, false);
  check_matmul_of(p, leaf(p, F32, 2, (int64_t[]){4, N_EDGES}, EDGES), leaf(p, F32, 2, (int64_t[]){N_EDGES, 3}, NORMAL),
                  false, false);
}

static void check_gather_of(Page *p, DType dtype, int table_rank, const int64_t *table, int rank, const int64_t *ids) {
  Node *in[] = {leaf(p, dtype, table_rank, table, filling(dtype, NORMAL)), leaf(p, I32, rank, ids, IDS)};
  Node *y = apply(p, OP_gather, 2, in, &(Attrs){0});
  ck_assert_msg(y != NULL, "gather is not taken");
  const char *what = p->what;
  check_value(p, OP_gather, y);
  if (dtype != F32) return;
  check_gradients(p, OP_gather, y, 2, in);
  p->what = what;
  check_value(
      p, OP_gather,
      b_unary(&p->b, OP_abs,
              node_new(p->g, OP_gather, (Node *[]){b_unary(&p->b, OP_neg, in[0]), in[1]}, 2, NULL, "of_neg", NULL)));
}

static void check_gather(Page *p) {
  check_gather_of(p, F32, 1, (int64_t[]){3}, 1, (int64_t[]){7});
  check_gather_of(p, F32, 2, (int64_t[]){3, 4}, 0, NULL);
  check_gather_of(p, F32, 2, (int64_t[]){4, 5}, 2, (int64_t[]){3, 2});
  check_gather_of(p, F32, 3, (int64_t[]){3, 2, 70}, 1, (int64_t[]){9});
  check_gather_of(p, F32, 2, (int64_t[]){3, 4}, 1, (int64_t[]){0});
  check_gather_of(p, F32, 2, (int64_t[]){3, 0}, 1, (int64_t[]){4});
  check_gather_of(p, F32, 2, (int64_t[]){3, 4}, 2, (int64_t[]){-1, 2});
  for (int d = 0; d < N_DTYPES; d++) check_gather_of(p, dtypes[d], 2, (int64_t[]){3, 4}, 1, (int64_t[]){5});
}

static void check_scatter_of(Page *p, int rank, const int64_t *rows, int id_rank, const int64_t *ids, int to_rank,
                             const int64_t *to) {
  Node *in[] = {leaf(p, F32, rank, rows, NORMAL), leaf(p, I32, id_rank, ids, IDS)};
  Node *y = apply(p, OP_scatter_add, 2, in, &(Attrs){.shape = shape_of(F32, to_rank, to)});
  ck_assert_msg(y != NULL, "scatter_add is not taken");
  const char *what = p->what;
  check_gradients(p, OP_scatter_add, y, 2, in);
  p->what = what;
  add_check(p, y, (Check){.measure = TERMS, .terms = (double)type_count(&in[1]->type)});
}

static void check_scatter(Page *p) {
  check_scatter_of(p, 1, (int64_t[]){7}, 1, (int64_t[]){7}, 1, (int64_t[]){3});
  check_scatter_of(p, 3, (int64_t[]){4, 2, 5}, 2, (int64_t[]){4, 2}, 2, (int64_t[]){5, 5});
  check_scatter_of(p, 2, (int64_t[]){9, 200}, 1, (int64_t[]){9}, 2, (int64_t[]){3, 200});
  check_scatter_of(p, 2, (int64_t[]){0, 4}, 1, (int64_t[]){0}, 2, (int64_t[]){3, 4});
  check_scatter_of(p, 1, (int64_t[]){6}, 0, NULL, 2, (int64_t[]){3, 6});
  check_scatter_of(p, 2, (int64_t[]){-1, 4}, 1, (int64_t[]){-1}, 2, (int64_t[]){3, 4});
}

static void check_random(Page *p) {
  static const int64_t sizes[][3] = {{7}, {3, 4, 5}, {0, 2}};
  static const int ranks[] = {1, 3, 2};
  for (int s = 0; s < 4; s++)
    for (int distribution = 0; distribution < 2; distribution++) {
      Type shape = s < 3 ? shape_of(F32, ranks[s], sizes[s]) : leaf(p, F32, 2, (int64_t[]){-1, 3}, NORMAL)->type;
      Attrs attrs = {.path = arena_print(p->program->arena, "site%d.%d", s, distribution),
                     .distribution = distribution,
                     .shape = shape};
      p->what = distribution ? "random normal" : "random uniform";
      Node *draw = node_new(p->g, OP_random, NULL, 0, &attrs, "draw", NULL);
      check_value(p, distribution ? OP_random : OP_copy, draw);
      check_value(p, distribution ? OP_random : OP_copy, b_unary(&p->b, OP_neg, draw));
    }
}

/* Tiles that are full, short and single; features that are a multiple of 16, of 4 and of nothing; more rows or columns. */
static void check_attention(Page *p, Op op) {
  static const int64_t sizes[][4] = {{2, 70, 70, 16}, {3, 5, 9, 20}, {1, 67, 3, 7}, {1, 9, 130, 32}, {2, 1, 1, 1}, {1, 40, 33, 128}, {-1, 33, 65, 8}};
  for (int s = 0; s < 7; s++)
    for (int causal = 0; causal < 2; causal++) {
      int64_t rows[] = {sizes[s][0], sizes[s][1], sizes[s][3]}, columns[] = {sizes[s][0], sizes[s][2], sizes[s][3]};
      Node *q = leaf(p, F32, 3, rows, NORMAL), *k = leaf(p, F32, 3, columns, NORMAL), *v = leaf(p, F32, 3, columns, NORMAL);
      Node *in[] = {q, k, v, leaf(p, F32, 2, rows, NORMAL), leaf(p, F32, 3, rows, NORMAL), leaf(p, F32, 2, rows, NORMAL)};
      Node *y = apply(p, op, op_info[op].n_inputs, in, &(Attrs){.scale = 0.3, .causal = causal});
      ck_assert_msg(y != NULL, "%s is not taken", op_info[op].name);
      const char *what = p->what;
      if (op == OP_attention && s < 3) check_gradients(p, op, y, 3, in);
      p->what = what;
      if (op == OP_attention_dkv) y = b_transpose(&p->b, y, (int[]){1, 0, 2, 3}); /* the batch in front */
      add_check(p, y, (Check){.measure = NORM});
    }
}

static uint64_t seed_of(Op op) {
  uint64_t seed = 1000003;
  for (const char *c = op_info[op].name; *c; c++) seed = seed * 31 + (unsigned char)*c;
  return seed;
}

/* A case for each op: by kind, so that a new map has one at once and a new kind fails. */
static void check_op(Page *p, Op op) {
  p->seed = seed_of(op); /* not by its number: new ops leave the others' values alone */
  if (op == OP_grad || op == OP_group) return; /* every gradient here is one; groups: check_groups */
  if (op == OP_loop) return; /* whole models: tests/random/kept/loop-* */
  switch (op_info[op].kind) {
  case LEAF: check_leaf(p, op); break;
  case VIEW: check_view(p, op, F32), check_view(p, op, I32), check_view(p, op, BOOL); break;
  case MAP:
    if (op_info[op].n_inputs == 1)
      check_unary(p, op);
    else if (op_info[op].n_inputs == 2)
      check_binary(p, op);
    else
      check_ternary(p, op);
    break;
  case REDUCE: check_reduce(p, op); break;
  case MATMUL: check_matmul(p); break;
  case ATTENTION: check_attention(p, op); break;
  case GATHER: check_gather(p); break;
  case SCATTER: check_scatter(p); break;
  case RANDOM: check_random(p); break;
  default: ck_abort_msg("%s: its kind has no case in the walk", op_info[op].name);
  }
}

/* ---- comparing ------------------------------------------------------------------------------------- */

static double spacing(double x, int real_size) {
  if (real_size == 8) return nextafter(fabs(x), INFINITY) - fabs(x);
  float f = fabsf((float)x);
  return (double)(nextafterf(f, INFINITY) - f);
}

/* Beyond float's range, where the double result has no float. */
static bool overflows(double want, int real_size) { return real_size == 4 && isfinite(want) && fabs(want) > FLT_MAX; }

static bool within(double want, double got, double tolerance, int real_size) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  if (overflows(want, real_size)) return got == copysign(INFINITY, want) || fabs(got) > FLT_MAX * 0.999999;
  if (isinf(want) || isinf(got)) return want == got;
  return fabs(want - got) <= tolerance;
}

static void compare_elements(const Check *c, const Tensor *want, const Tensor *terms, const Tensor *got, int real_size,
                             int level) {
  double eps = real_size == 4 ? FLT_EPSILON : DBL_EPSILON;
  for (int64_t i = 0; i < want->count; i++) {
    double w = want->data[i], g = got->data[i], tolerance;
    if (c->measure == TERMS)
      tolerance = 8 * eps * sqrt(c->terms) * terms->data[i];
    else if (c->ulps > 0)
      tolerance = (c->ulps + (real_size == 8)) * spacing(w, c->single ? 4 : real_size); /* the evaluator rounds too */
    else
      tolerance = 0, w = real_size == 4 && !overflows(w, 4) ? (float)w : w;
    bool signs = !c->zero_signs || w != 0 || !signbit(w) == !signbit(g);
    ck_assert_msg(within(w, g, tolerance, real_size) && signs, "-O%d, %d-byte reals: %s [%lld]: %.17g, evaluated %.17g",
                  level, real_size, c->what, (long long)i, g, want->data[i]);
  }
}

static void compare_norm(const Check *c, const Tensor *want, const Tensor *got, int real_size, int level) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < want->count; i++) {
    double w = want->data[i], g = got->data[i];
    ck_assert_msg(within(w, g, INFINITY, real_size), "-O%d, %d-byte reals: %s [%lld]: %.17g, evaluated %.17g", level,
                  real_size, c->what, (long long)i, g, w);
    if (!isfinite(w) || !isfinite(g)) continue;
    difference += (w - g) * (w - g);
    size += w * w;
  }
  double limit = real_size == 4 ? 1e-5 : 1e-13;
  ck_assert_msg(sqrt(difference) <= limit * sqrt(size), "-O%d, %d-byte reals: %s: ||d|| %g of ||ref|| %g", level,
                real_size, c->what, sqrt(difference), sqrt(size));
}

/* ---- a test: a page of ops at two levels, in one shared object --------------------------------------- */

static Page *make_page(Arena *arena, int first, int step, bool absolute) {
  Page *p = page_new(arena, absolute);
  for (int op = first; op < OP_COUNT; op += step) check_op(p, (Op)op);
  return p;
}

static void run_passes(Page *p, Diagnostics *d, int level, const char *stop) {
  PassContext context = {.program = p->program,
                         .arena = p->program->arena,
                         .diagnostics = d,
                         .level = level,
                         .bisect_limit = LONG_MAX,
                         .verify_each = true,
                         .stop_after = stop};
  ck_assert(run_pipeline(&context, NULL, NULL));
}

static const EvaluateOptions options = {.rows = ROWS, .seed = 11, .step = 3};

static Tensor *reference(Page *p, Diagnostics *d) {
  run_passes(p, d, 0, "gradient");
  Tensor *values = arena_alloc(p->program->arena, sizeof *values * ((size_t)p->g->n_outputs + 1));
  const char *missing = NULL;
  ck_assert_msg(evaluate(p->g, p->leaves, p->n_leaves, &options, values, &missing), "unbound: %s", missing);
  return values;
}

static void free_values(const Page *p, Tensor *values) {
  for (int i = 0; i < p->g->n_outputs; i++) tensor_free(&values[i]);
}

static void compare_page(const Page *p, const MtProgram *emitted, const Tensor *want, const Tensor *terms,
                         int real_size, int level) {
  Tensor *got = arena_alloc(p->program->arena, sizeof *got * ((size_t)p->g->n_outputs + 1));
  generated_call(p->program, emitted, p->g, real_size == 8 ? emitted->train->phases[0].gradients_f64 : emitted->train->phases[0].gradients,
                 real_size, p->leaves, p->n_leaves, &options, got);
  for (int i = 0; i < p->n_checks; i++) {
    ck_assert_int_eq(want[i].count, got[i].count);
    if (p->checks[i].measure == NORM)
      compare_norm(&p->checks[i], &want[i], &got[i], real_size, level);
    else
      compare_elements(&p->checks[i], &want[i], &terms[i], &got[i], real_size, level);
  }
  free_values(p, got);
}

enum { PAGES = 12 };

START_TEST(ops_agree) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Page *meaning = make_page(arena, _i, PAGES, false), *sizes = make_page(arena, _i, PAGES, true);
  Tensor *want = reference(meaning, d), *terms = reference(sizes, d);
  Generated *set = generated_new();
  Page *pages[2];
  for (int k = 0; k < 2; k++) {
    pages[k] = make_page(arena, _i, PAGES, false);
    run_passes(pages[k], d, 2 * k, NULL);
    generated_add(set, pages[k]->program);
  }
  generated_build(set, "-O1 -march=native");
  for (int k = 0; k < 2; k++)
    for (int real_size = 4; real_size <= 8; real_size += 4)
      compare_page(pages[k], generated_program(set, k), want, terms, real_size, 2 * k);
  free_values(meaning, want), free_values(sizes, terms);
  generated_free(set);
  diagnostics_free(d);
  arena_free(arena);
}
END_TEST

/* Elementwise ops as the driver builds them: long loops in vectors, with vector math functions. */
START_TEST(vector_loops_agree) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Page *pages[3];
  for (int k = 0; k < 3; k++) {
    Page *p = pages[k] = page_new(arena, false);
    for (int op = 0; op < OP_COUNT; op++) {
      Shape shapes[] = {{1, {50 * N_SPECIAL}}, {1, {50 * N_SPECIAL}}};
      int n = op_info[op].n_inputs;
      if (op_info[op].kind != MAP || op == OP_grad || n > 2) continue;
      p->seed = 77u * (unsigned)op;
      check_map(p, (Op)op, 0, n, (DType[]){F32, F32}, shapes, n == 1 ? SPECIAL : NORMAL, false);
      check_map(p, (Op)op, 0, n, (DType[]){F32, F32}, shapes, NORMAL, false);
    }
  }
  Tensor *want = reference(pages[0], d), *terms = reference(pages[1], d);
  Generated *set = generated_new();
  run_passes(pages[2], d, 2, NULL);
  generated_add(set, pages[2]->program);
  generated_build(set, "-O3 -march=native");
  for (int real_size = 4; real_size <= 8; real_size += 4)
    compare_page(pages[2], generated_program(set, 0), want, terms, real_size, 2);
  free_values(pages[0], want), free_values(pages[1], terms);
  generated_free(set);
  diagnostics_free(d);
  arena_free(arena);
}
END_TEST

Suite *targets_suite(void) {
  Suite *suite = suite_create("targets");
  TCase *ops = tcase_create("ops");
  tcase_set_timeout(ops, 240);
  tcase_add_loop_test(ops, ops_agree, 0, PAGES);
  tcase_add_test(ops, vector_loops_agree);
  suite_add_tcase(suite, ops);
  return suite;
}
