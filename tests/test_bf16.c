/* test_bf16.c - bf16: its roundings, the products, and what the precision pass does.
 *
 * Operations that float rounds correctly give the same bits on the evaluator
 * (EvaluateOptions.round), on the C target and on CUDA under the emulator,
 * whether their operands come from memory or from a register; the others, and
 * sums, are within one bf16 of each other.
 */
#include <check.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"
#include "runtime/gemm.h"
#include "runtime/mtrt_bf16.h"
#include "tests/compiled.h"
#include "tests/fuse_models.h"
#include "tests/generated.h"
#include "tests/graph_kit.h"
#include "tests/shell.h"

/* ---- a page: nodes to look at ---------------------------------------------------------- */

enum { MAX_LEAVES = 400, MAX_OUTPUTS = 400, CAPACITY = 5, ROWS = 3 };
typedef struct Page {
  Program *program;
  Graph *g;
  Builder b;
  uint64_t seed;
  int n_leaves;
  Binding leaves[MAX_LEAVES];
  double off[MAX_OUTPUTS]; /* by output: how many bf16 it may be off; negative: that part of the largest value */
} Page;
typedef void (*Make)(Page *p);

static double next(Page *p) { /* in [-2, 2), exact as bf16 */
  p->seed = p->seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(int)(p->seed >> 56) / 64 - 2;
}

static Node *bound(Page *p, Node *leaf, int64_t n, const double *values) {
  double *data = arena_alloc(p->program->arena, sizeof *data * (size_t)(n + 1));
  for (int64_t i = 0; i < n; i++) data[i] = values ? values[i] : next(p);
  ck_assert_int_lt(p->n_leaves, MAX_LEAVES);
  p->leaves[p->n_leaves++] = (Binding){leaf->attrs.path, data};
  return leaf;
}

/* A leaf of f32, of the values or of random ones; size[0] = -1 is the batch. */
static Node *wide_leaf(Page *p, int rank, const int64_t *size, const double *values) {
  const char *name = arena_print(p->program->arena, "x%d", p->n_leaves);
  int64_t sizes[4], n = 1;
  for (int i = 0; i < rank; i++) n *= sizes[i] = size[i] < 0 ? CAPACITY : size[i];
  bool batch = rank && size[0] < 0;
  Node *leaf = batch ? model_batch(p->g, name, F32, rank, sizes) : model_input(p->g, name, F32, rank, sizes);
  return bound(p, leaf, n, values);
}
static Node *leaf(Page *p, int rank, const int64_t *size, const double *values) {
  return b_cast(&p->b, wide_leaf(p, rank, size, values), BF16);
}

static void look_at(Page *p, Node *node, double off) {
  ck_assert_int_lt(p->g->n_outputs, MAX_OUTPUTS);
  p->off[p->g->n_outputs] = off;
  graph_output(p->g, OUT_VALUE, arena_print(p->program->arena, "%s.%d", op_info[node->op].name, p->g->n_outputs),
               b_cast(&p->b, node, F32));
}

static Page *page_new(Arena *arena, Make make) {
  Page *p = arena_alloc(arena, sizeof *p);
  p->program = model_new(arena);
  p->g = p->program->train.graph;
  p->b = (Builder){.graph = p->g, .prefix = "v"};
  make(p);
  return p;
}

/* All rewrites, or none: then every node is a kernel, and its value goes through memory. */
static Page *planned(Arena *arena, Diagnostics *d, Make make, bool fused) {
  Page *p = page_new(arena, make);
  PassContext context = model_context(p->program, d, fused ? 2 : 0);
  if (!fused) context.bisect_limit = 0;
  context.verify_each = true;
  ck_assert(run_pipeline(&context, NULL, NULL));
  return p;
}

static const EvaluateOptions rounded = {.rows = ROWS, .seed = 11, .step = 3, .round = true};

static Tensor *evaluated(Page *p) {
  Tensor *values = arena_alloc(p->program->arena, sizeof *values * ((size_t)p->g->n_outputs + 1));
  const char *missing = NULL;
  ck_assert_msg(evaluate(p->g, p->leaves, p->n_leaves, &rounded, values, &missing), "unbound: %s", missing);
  return values;
}

/* From a bf16 to the next. */
static double spacing(double x) {
  int exponent;
  frexp(x, &exponent);
  return ldexp(1, (x == 0 || exponent < -125 ? -125 : exponent) - 8);
}

static double largest(const Tensor *t) {
  double most = 0;
  for (int64_t i = 0; i < t->count; i++)
    if (isfinite(t->data[i])) most = fmax(most, fabs(t->data[i]));
  return most;
}

static void compare(const Page *p, const Tensor *want, const Tensor *got, const char *how) {
  for (int o = 0; o < p->g->n_outputs; o++) {
    ck_assert_int_eq(want[o].count, got[o].count);
    for (int64_t i = 0; i < want[o].count; i++) {
      double w = want[o].data[i], g = got[o].data[i], off = p->off[o];
      double most = off < 0 ? -off * largest(&want[o]) : off * spacing(w);
      bool finite = isfinite(w) && isfinite(g), same = w == g && !signbit(w) == !signbit(g);
      bool near = off != 0 && finite && fabs(w - g) <= most;
      ck_assert_msg(same || near || (isnan(w) && isnan(g)), "%s: %s[%lld] is %.9g, evaluated %.9g", how,
                    p->g->outputs[o].name, (long long)i, g, w);
    }
  }
}

/* The evaluator against C and emulated CUDA, fused and not. */
static void check_page(Make make) {
  static const char *const ways[2][2] = {{"C, apart", "C, fused"}, {"CUDA, apart", "CUDA, fused"}};
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Page *meaning = page_new(arena, make);
  Tensor *want = evaluated(meaning), *got = arena_alloc(arena, sizeof *got * ((size_t)meaning->g->n_outputs + 1));
  for (int cuda = 0; cuda < 2; cuda++) {
    Generated *set = generated_new();
    Page *pages[2];
    for (int fused = 0; fused < 2; fused++) {
      pages[fused] = planned(arena, d, make, fused);
      if (cuda) generated_add_cuda(set, pages[fused]->program);
      else generated_add(set, pages[fused]->program);
    }
    if (cuda) generated_build_emulated(set);
    else generated_build(set, "-O2 -march=native -ffp-contract=off -Wall -Wextra -Werror -Wno-unknown-pragmas");
    for (int fused = 0; fused < 2; fused++) {
      Page *p = pages[fused];
      char *wrong = NULL;
      if (cuda) wrong = generated_call_emulated(set, fused, p->program, 4, 3, p->leaves, p->n_leaves, &rounded, got);
      else generated_call(p->program, generated_program(set, fused), p->g, generated_program(set, fused)->train->phases[0].gradients, 4, p->leaves, p->n_leaves, &rounded, got);
      ck_assert_msg(!wrong, "%s: %s", ways[cuda][fused], wrong);
      compare(meaning, want, got, ways[cuda][fused]);
      for (int o = 0; o < p->g->n_outputs; o++) tensor_free(&got[o]);
    }
    generated_free(set);
  }
  for (int o = 0; o < meaning->g->n_outputs; o++) tensor_free(&want[o]);
  diagnostics_free(d);
  arena_free(arena);
}

/* ---- roundings ---------------------------------------------------------------------------- */

#define MOST 0x1.fep127 /* the largest bf16 */
static const double table[][2] = {
    {0, 0},
    {-0.0, -0.0},
    {1, 1},
    {-3, -3},
    {0x1.01p0, 0x1p0},           /* in the middle: to even, down */
    {0x1.03p0, 0x1.04p0},        /* and up */
    {0x1.010002p0, 0x1.02p0},    /* a little more than the middle */
    {0x1.00fffep0, 0x1p0},       /* a little less */
    {-0x1.03p0, -0x1.04p0},
    {0x1.ffp0, 0x1p1},           /* into the next power of two */
    {0.1f, 0x1.9ap-4},
    {3.14159274f, 3.140625},
    {MOST, MOST},
    {0x1.fefffep127, MOST},      /* just below the middle to 2^128 */
    {0x1.ffp127, INFINITY},      /* in it */
    {FLT_MAX, INFINITY},
    {-FLT_MAX, -INFINITY},
    {INFINITY, INFINITY},
    {-INFINITY, -INFINITY},
    {NAN, NAN},
    {0x1p-126, 0x1p-126},        /* the least normal */
    {0x1.fcp-127, 0x1.fcp-127},  /* the largest subnormal */
    {0x1.fep-127, 0x1p-126},     /* half way up from it */
    {0x1p-133, 0x1p-133},        /* the least */
    {0x1p-134, 0},               /* half of it: to even */
    {0x1.0002p-134, 0x1p-133},
    {-0x1.8p-133, -0x1p-132},
    {0x1p-149, 0},
    {-0x1p-149, -0.0},
};
enum { N_TABLE = sizeof table / sizeof table[0] };

static void make_roundings(Page *p) {
  double values[N_TABLE];
  for (int i = 0; i < N_TABLE; i++) values[i] = table[i][0];
  look_at(p, leaf(p, 1, (int64_t[]){N_TABLE}, values), 0);
}

START_TEST(the_evaluator_rounds_as_the_table_says) {
  Arena *arena = arena_new();
  Tensor *got = evaluated(page_new(arena, make_roundings));
  for (int i = 0; i < N_TABLE; i++) {
    double w = table[i][1], g = got->data[i];
    ck_assert_msg((w == g && !signbit(w) == !signbit(g)) || (isnan(w) && isnan(g)), "%a becomes %a, not %a", table[i][0], g, w);
  }
  tensor_free(got);
  arena_free(arena);
}
END_TEST

START_TEST(the_runtime_rounds_as_the_table_says) {
  for (int i = 0; i < N_TABLE; i++) {
    float w = (float)table[i][1], g = mt_bf16_value(mt_bf16_round((float)table[i][0]));
    ck_assert_msg(!memcmp(&w, &g, sizeof w) || (isnan(w) && isnan(g)), "%a becomes %a", table[i][0], (double)g);
  }
  for (uint32_t bits = 0; bits < 65536; bits++) { /* every bf16 is itself */
    MtBf16 x = {(uint16_t)bits}, again = mt_bf16_round(mt_bf16_value(x));
    bool nan = (bits & 0x7f80) == 0x7f80 && bits & 0x7f;
    ck_assert_msg(again.bits == (nan ? bits | 0x40 : bits), "%04x becomes %04x", (unsigned)bits, (unsigned)again.bits);
  }
}
END_TEST

START_TEST(targets_round_as_the_evaluator) { check_page(make_roundings); }
END_TEST

/* ---- operators ----------------------------------------------------------------------------- */

static const double operands[] = {0,   -0.0, 1,  -1, 0.5, -0.5, 1.5,   -2.5,    3,        0.1f,     -7.25,    20.5,
                                  -60, 88.5, 90, 3e-5f, 1e-3f, -1e5f, 1e30f, 3e38f, -3e38f, 0x1p-126, 0x1p-133, INFINITY, -INFINITY, NAN};
enum { N_OPERANDS = sizeof operands / sizeof operands[0] };

/* Others are one float operation, correctly rounded. */
static bool is_inexact(Op op) {
  static const Op inexact[] = {OP_exp, OP_expm1, OP_log, OP_log1p,   OP_sin,  OP_cos,
                               OP_tanh, OP_erf, OP_sigmoid, OP_rsqrt, OP_pow, OP_floordiv};
  for (size_t i = 0; i < sizeof inexact / sizeof inexact[0]; i++)
    if (op == inexact[i]) return true;
  return false;
}

static void make_maps(Page *p) {
  for (int op = 0; op < OP_COUNT; op++) {
    int n = op_info[op].n_inputs;
    if (op_info[op].kind != MAP || op == OP_grad || op == OP_cast || n > 2) continue;
    if (op == OP_not || op == OP_and || op == OP_or) continue; /* of bools */
    Node *in[2] = {leaf(p, 2, (int64_t[]){N_OPERANDS, 1}, operands), leaf(p, 1, (int64_t[]){N_OPERANDS}, operands)};
    Attrs attrs = {.value = -0.7, .high = 0.3}; /* of clamp: neither is a bf16 */
    look_at(p, node_new(p->g, (Op)op, in, n, op == OP_clamp ? &attrs : NULL, op_info[op].name, NULL),
            is_inexact((Op)op) ? 1 : 0);
  }
}

START_TEST(every_map_rounds_once) { check_page(make_maps); }
END_TEST

static void make_mixed(Page *p) {
  Builder *b = &p->b;
  int64_t n[] = {N_OPERANDS};
  Node *x = leaf(p, 1, n, operands), *y = leaf(p, 1, n, NULL), *f = wide_leaf(p, 1, n, NULL);
  Node *i = b_cast(b, b_clamp(b, f, -2, 2), I32), *truth = b_binary(b, OP_lt, y, b_const(b, BF16, 0.25));
  look_at(p, b_scalar(b, OP_mul, x, 0.1), 0); /* a literal is rounded too */
  look_at(p, b_scalar(b, OP_add, y, 1000), 0);
  look_at(p, b_binary(b, OP_mul, y, i), 0); /* bf16 and int: bf16 */
  look_at(p, b_binary(b, OP_mul, y, f), 0); /* bf16 and f32: f32 */
  look_at(p, b_where(b, truth, x, y), 0);
  look_at(p, b_where(b, truth, b_const(b, BF16, 0.1), y), 0);
  look_at(p, b_where(b, truth, y, b_scalar(b, OP_mul, i, 1001)), 0); /* integers that are no bf16 */
  look_at(p, b_cast(b, b_cast(b, b_scalar(b, OP_mul, y, 100), I32), BF16), 0);
  look_at(p, b_cast(b, b_scalar(b, OP_mul, i, 1001), BF16), 0);
  look_at(p, b_cast(b, b_cast(b, f, F64), BF16), 0);
  look_at(p, b_cast(b, truth, BF16), 0);
  Type square = kit_type(BF16, 2, (int64_t[]){3, N_OPERANDS}), padded = kit_type(BF16, 1, (int64_t[]){N_OPERANDS + 3});
  look_at(p, b_unary(b, OP_neg, b_broadcast(b, b_const(b, BF16, 0.3), &square)), 0);
  look_at(p, b_scalar(b, OP_add, b_pad(b, y, &padded, (int64_t[]){2}, (int64_t[]){1}), 0.7), 0);
  look_at(p, node_new(p->g, OP_gather, (Node *[]){leaf(p, 2, (int64_t[]){3, 5}, NULL), b_unary(b, OP_abs, i)}, 2, NULL, "rows", NULL), 0);
  Attrs draw = {.path = "site", .shape = kit_type(BF16, 1, n)};
  look_at(p, node_new(p->g, OP_random, NULL, 0, &draw, "draw", NULL), 0);
}

START_TEST(mixed_operands_and_literals) { check_page(make_mixed); }
END_TEST

/* Chains of correctly rounded operators, all values looked at: fusing changes no bit. */
static void make_chains(Page *p) {
  static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_div, OP_maximum, OP_minimum, OP_neg, OP_abs, OP_sqrt, OP_relu};
  Node *at[60];
  int n = 0;
  for (; n < 4; n++) at[n] = leaf(p, 2, n % 2 ? (int64_t[]){7, 33} : (int64_t[]){1, 33}, NULL);
  while (n < 60) {
    uint64_t dice = (uint64_t)(64 * next(p) + 128) * 7919 + (uint64_t)(64 * next(p) + 128);
    Op op = ops[dice % 10];
    Node *in[2] = {at[dice / 10 % (uint64_t)n], at[dice / 1000 % (uint64_t)n]};
    at[n++] = node_new(p->g, op, in, op_info[op].n_inputs, NULL, op_info[op].name, NULL);
    if (n % 3 == 0) look_at(p, at[n - 1], 0);
  }
}

START_TEST(fusing_changes_no_bit) { check_page(make_chains); }
END_TEST

static void make_reductions(Page *p) {
  static const Op ops[] = {OP_sum, OP_max, OP_min, OP_argmax, OP_argmin};
  static const int64_t shapes[][3] = {{3, 33, 5}, {-1, 7, 2}, {1, 300, 2}, {40, 9, 64}};
  for (int s = 0; s < 4; s++) {
    Node *x = leaf(p, 3, shapes[s], NULL);
    for (int set = 1; set < 8; set++)
      for (int o = 0; o < 5; o++) {
        Attrs attrs = {.keep = set % 2};
        for (int axis = 0; axis < 3; axis++)
          if (set >> axis & 1) attrs.axes[attrs.n_axes++] = axis;
        if (o > 2 && attrs.n_axes != 1) continue;
        Node *r = node_new(p->g, ops[o], &x, 1, &attrs, op_info[ops[o]].name, NULL);
        look_at(p, r, o ? 0 : 1);
        if (o == 0 && s == 0) look_at(p, b_scalar(&p->b, OP_mul, r, 3), 4); /* what reads a sum reads it rounded */
      }
  }
}

START_TEST(reductions_round_their_result) { check_page(make_reductions); }
END_TEST

/* ---- products -------------------------------------------------------------------------------- */

static void look_at_product(Page *p, Node *x, Node *y, bool ta, bool tb) {
  look_at(p, b_matmul(&p->b, x, y, ta, tb), 1);
  look_at(p, b_matmul_wide(&p->b, x, y, ta, tb), -1e-5);
}

static void make_products(Page *p) {
  static const int64_t sizes[][3] = {{1, 1, 1}, {3, 4, 5}, {17, 33, 18}, {5, 0, 3}, {64, 40, 9}};
  for (int s = 0; s < 5; s++)
    for (int t = 0; t < 4; t++) {
      int64_t m = sizes[s][0], k = sizes[s][1], n = sizes[s][2];
      look_at_product(p, leaf(p, 2, t & 1 ? (int64_t[]){k, m} : (int64_t[]){m, k}, NULL),
                      leaf(p, 2, t & 2 ? (int64_t[]){n, k} : (int64_t[]){k, n}, NULL), t & 1, t >> 1);
    }
  look_at_product(p, leaf(p, 3, (int64_t[]){3, 4, 5}, NULL), leaf(p, 3, (int64_t[]){3, 5, 2}, NULL), false, false);
  look_at_product(p, leaf(p, 3, (int64_t[]){3, 4, 5}, NULL), leaf(p, 2, (int64_t[]){2, 5}, NULL), false, true);
  look_at_product(p, leaf(p, 2, (int64_t[]){-1, 6}, NULL), leaf(p, 2, (int64_t[]){4, 6}, NULL), false, true);
  look_at_product(p, leaf(p, 2, (int64_t[]){-1, 6}, NULL), leaf(p, 2, (int64_t[]){-1, 3}, NULL), true, false);
  look_at_product(p, leaf(p, 3, (int64_t[]){-1, 2, 6}, NULL), leaf(p, 3, (int64_t[]){-1, 6, 3}, NULL), false, false);
}

START_TEST(products_are_summed_in_float) { check_page(make_products); }
END_TEST

/* The CPU's kernels, by the width of their vectors: over the edges of all blocks, in padded rows. */
START_TEST(cpu_products) {
  enum { M = 101, N = 71, K = 801, LDA = K + 3, LDB = N + 2, LDC = N + 5 };
  MtBf16 *a = malloc(sizeof *a * M * LDA), *b = malloc(sizeof *b * K * LDB), *narrow = calloc(M * LDC, sizeof *narrow);
  float *wide = calloc(M * LDC, sizeof *wide);
  uint64_t seed = 5;
  for (int i = 0; i < M * LDA; i++) a[i] = mt_bf16_round((float)((seed = seed * 6364136223846793005u + 1) >> 40) / 8388608 - 1);
  for (int i = 0; i < K * LDB; i++) b[i] = mt_bf16_round((float)((seed = seed * 6364136223846793005u + 1) >> 40) / 8388608 - 1);
  mt_cpu_gemm_limit(16 << _i);
  mt_cpu_gemm((MtGemmTypes){2, 4}, MT_NN, M, N, K, a, LDA, b, LDB, wide, LDC);
  mt_cpu_gemm((MtGemmTypes){2, 2}, MT_NN, M, N, K, a, LDA, b, LDB, narrow, LDC);
  mt_cpu_gemm_limit(64);
  for (int i = 0; i < M; i++)
    for (int j = 0; j < LDC; j++) {
      double sum = 0;
      for (int k = 0; k < K && j < N; k++) sum += (double)mt_bf16_value(a[i * LDA + k]) * (double)mt_bf16_value(b[k * LDB + j]);
      ck_assert_msg(fabs((double)wide[i * LDC + j] - sum) <= 1e-4, "[%d, %d] is %g, not %g", i, j, (double)wide[i * LDC + j], sum);
      ck_assert_int_eq(narrow[i * LDC + j].bits, mt_bf16_round(wide[i * LDC + j]).bits); /* beyond the rows: 0 */
    }
  free(a), free(b), free(narrow), free(wide);
}
END_TEST

/* ---- the pass ----------------------------------------------------------------------------------- */

static Kit *mlp(Precision precision, const char *stop, long limit, char **trace) {
  Kit *kit = kit_new(3);
  size_t length;
  FILE *file = open_memstream(trace, &length);
  kit_mlp(kit, 2, 5);
  kit->program->train.precision = precision;
  ck_assert(kit_run(kit, 2, stop, limit, file));
  fclose(file);
  return kit;
}

static int count_lines(const char *text, const char *word) {
  int n = 0;
  for (const char *at = text; (at = strstr(at, word)); at++) n++;
  return n;
}

static int count_narrow(const Graph *g, Op op) {
  int n = 0;
  for (int i = 0; i < g->n_nodes; i++) n += g->nodes[i]->op == op && g->nodes[i]->type.dtype == BF16;
  return n;
}

START_TEST(products_become_narrow_and_nothing_else) {
  char *trace;
  Kit *kit = mlp(PRECISION_BF16, "precision", LONG_MAX, &trace);
  ck_assert_int_eq(count_lines(trace, "precision.matmul"), 3);
  ck_assert_int_eq(count_narrow(kit->graph, OP_matmul), 3);
  ck_assert_int_eq(count_narrow(kit->graph, OP_cast), 6); /* three values, three weights */
  for (int i = 0; i < kit->graph->n_nodes; i++) {
    const Node *n = kit->graph->nodes[i];
    bool may = n->op == OP_matmul || n->op == OP_cast || op_info[n->op].kind == VIEW;
    ck_assert_msg(n->type.dtype != BF16 || may, "%s is bf16", n->name);
  }
  kit_free(kit);
  free(trace);
}
END_TEST

START_TEST(gradients_of_parameters_stay_f32) {
  char *trace;
  Kit *kit = mlp(PRECISION_BF16, "simplify", LONG_MAX, &trace);
  int wide = 0;
  for (int i = 0; i < kit->graph->n_outputs; i++) {
    const Node *n = kit->graph->outputs[i].node;
    if (kit->graph->outputs[i].role != OUT_GRAD) continue;
    ck_assert_msg(n->type.dtype == F32 && (n->op == OP_matmul || n->op == OP_sum), "%s", n->name);
    wide += n->op == OP_matmul && n->attrs.wide;
  }
  ck_assert_int_eq(wide, 3);
  ck_assert_int_eq(count_narrow(kit->graph, OP_matmul), 3 + 2); /* forward, and back through all but the first */
  kit_free(kit);
  free(trace);
}
END_TEST

START_TEST(gradients_of_biases_read_what_products_read) {
  char *trace;
  Kit *kit = mlp(PRECISION_BF16, "narrow", LONG_MAX, &trace);
  ck_assert_int_eq(count_lines(trace, "narrow.sum"), 3);
  for (int i = 0; i < kit->graph->n_outputs; i++) {
    const Node *n = kit->graph->outputs[i].node;
    if (kit->graph->outputs[i].role != OUT_GRAD || n->op != OP_sum) continue;
    ck_assert_msg(n->in[0]->op == OP_cast && n->in[0]->in[0]->type.dtype == BF16, "%s", n->name);
  }
  kit_free(kit);
  free(trace);
}
END_TEST

/* Of stacked blocks as of one: each turn's gradients of weights are f32 products, and those of biases sum what these read. */
START_TEST(gradients_of_blocks_stay_f32) {
  Arena *arena = arena_new();
  const Program *p = compiled_until(arena,
      "use nn\ndim B = 8, D = 16\ndata d = random(rows: 16, seed: 1) -> { x: f32[B, D], y: f32[B, D] }\n"
      "module Block()(x: [n, D]) -> [n, D] { return x |> fc: Linear(D) |> tanh }\n"
      "module Net()(x: [n, D]) -> [n, D] { for b in stack(Block(), 3) carry x { x = b(x) }\nreturn x }\n"
      "let net = Net()\ntrain r in d for 2 steps with (precision: bf16) {\nlet loss = mse(net(r.x), r.y)\n"
      "update net minimize loss using sgd(lr: 0.1)\nlog loss\n}\n", "narrow");
  const Graph *graph = p->train.graph, *back = NULL;
  int wide = 0, sums = 0;
  for (int i = 0; i < graph->n_nodes; i++)
    if (op_info[graph->nodes[i]->op].kind == LOOP) back = graph->nodes[i]->body; /* the last */
  ck_assert_ptr_nonnull(back);
  for (int i = 0; i < back->n_outputs; i++) {
    const Node *node = back->outputs[i].node;
    while (op_info[node->op].kind == VIEW) node = node->in[0];
    wide += node->op == OP_matmul && node->type.dtype == F32 && node->in[0]->type.dtype == BF16;
    sums += node->op == OP_sum && node->in[0]->op == OP_cast && node->in[0]->in[0]->type.dtype == BF16;
  }
  ck_assert_int_eq(wide, 1);
  ck_assert_int_eq(sums, 1);
  arena_free(arena);
}
END_TEST

START_TEST(rewrites_can_be_left_out) {
  for (int limit = 0; limit <= 3; limit++) {
    char *trace;
    Kit *kit = mlp(PRECISION_BF16, "precision", limit, &trace);
    ck_assert_int_eq(count_narrow(kit->graph, OP_matmul), limit);
    kit_free(kit);
    free(trace);
  }
}
END_TEST

START_TEST(other_precisions_change_nothing) {
  for (int precision = 0; precision < 2; precision++) {
    char *trace;
    Kit *kit = mlp((Precision)precision, "precision", LONG_MAX, &trace), *plain = mlp((Precision)precision, "lower", LONG_MAX, &trace);
    ck_assert_int_eq(kit->graph->n_nodes, plain->graph->n_nodes);
    ck_assert_int_eq(count_narrow(kit->graph, OP_cast), 0);
    kit_free(kit), kit_free(plain);
    free(trace);
  }
}
END_TEST

/* ||a - b|| / ||b|| over all outputs of a role. */
static double distance(const Kit *kit, OutputRole role, const Values *a, const Values *b) {
  double difference = 0, size = 0;
  for (int o = 0; o < a->n; o++)
    for (int64_t i = 0; i < a->at[o].count && kit->graph->outputs[o].role == role; i++) {
      double d = a->at[o].data[i] - b->at[o].data[i];
      difference += d * d, size += b->at[o].data[i] * b->at[o].data[i];
    }
  return sqrt(difference / size);
}

static Values values_of(Kit *kit, bool round) {
  Binding *bindings = calloc((size_t)kit->n_leaves + 1, sizeof *bindings);
  for (int i = 0; i < kit->n_leaves; i++) bindings[i] = (Binding){kit->leaves[i].path, kit->leaves[i].data};
  EvaluateOptions options = {.rows = kit->n_rows, .round = round};
  Values v = {kit->graph->n_outputs, calloc((size_t)kit->graph->n_outputs, sizeof *v.at)};
  const char *missing = NULL;
  ck_assert_msg(evaluate(kit->graph, bindings, kit->n_leaves, &options, v.at, &missing), "unbound: %s", missing);
  free(bindings);
  return v;
}

START_TEST(gradients_are_near_those_of_f32) {
  for (int level = 0; level < 3; level++)
    for (int layers = 1; layers < 5; layers++) {
      Kit *kits[2];
      Values values[2], exact;
      for (int k = 0; k < 2; k++) {
        kits[k] = kit_new((uint64_t)layers);
        kit_mlp(kits[k], layers, 5);
        kits[k]->program->train.precision = k ? PRECISION_BF16 : PRECISION_F32;
        ck_assert(kit_run(kits[k], level, "plan", LONG_MAX, NULL));
        values[k] = values_of(kits[k], k == 1);
      }
      exact = values_of(kits[1], false);
      double off = distance(kits[0], OUT_GRAD, &values[1], &values[0]);
      ck_assert_msg(off <= 2e-2 && off > 1e-5, "-O%d, %d layers: gradients differ by %g", level, layers, off);
      ck_assert_double_le(distance(kits[0], OUT_GRAD, &exact, &values[0]), 1e-12);
      for (int k = 0; k < 2; k++) values_free(&values[k]), kit_free(kits[k]);
      values_free(&exact);
    }
}
END_TEST

/* x @ t(w) + x @ v with 67 columns each, and a product with 10. */
static Kit *ragged(Precision precision, const char *stop, FILE *trace) {
  Kit *kit = kit_new(7);
  Node *x = kit_state(kit, "x", kit_type(F32, 2, (int64_t[]){6, 5})), *w = kit_param(kit, "w", kit_type(F32, 2, (int64_t[]){67, 5})),
       *v = kit_param(kit, "v", kit_type(F32, 2, (int64_t[]){5, 67})), *u = kit_param(kit, "u", kit_type(F32, 2, (int64_t[]){67, 10}));
  for (int i = 0; i < kit->n_leaves; i++)
    for (int64_t k = 0; k < kit->leaves[i].count; k++) kit->leaves[i].data[k] = (double)kit_random(kit, 200) / 100 - 1;
  Node *h = b_binary(&kit->b, OP_add, b_matmul(&kit->b, x, w, false, true), b_matmul(&kit->b, x, v, false, false));
  Node *y = b_unary(&kit->b, OP_tanh, b_matmul(&kit->b, h, u, false, false));
  kit_minimize(kit, b_reduce(&kit->b, OP_sum, y, 2, (int[]){0, 1}, false));
  kit->program->train.precision = precision;
  ck_assert(kit_run(kit, 2, stop, LONG_MAX, trace));
  return kit;
}

/* Their rows get 72 numbers, of which nothing is seen but in the sizes of the products. */
START_TEST(ragged_products_are_padded) {
  char *trace;
  size_t length;
  FILE *file = open_memstream(&trace, &length);
  Kit *plain = ragged(PRECISION_F32, "simplify", NULL), *kit = ragged(PRECISION_BF16, "simplify", file);
  fclose(file);
  ck_assert_int_eq(count_lines(trace, "precision.align"), 2);
  int padded = 0, wide = 0;
  for (int i = 0; i < kit->graph->n_nodes; i++) {
    const Node *n = kit->graph->nodes[i];
    if (n->op == OP_matmul) padded += n->type.dim[0].size == 72 || n->type.dim[1].size == 72, wide += n->attrs.wide;
  }
  ck_assert_int_eq(padded, 4); /* two forward, two gradients of what was padded */
  ck_assert_int_eq(wide, 3);
  Values ours = values_of(kit, false), theirs = values_of(plain, false);
  ck_assert_double_le(distance(plain, OUT_GRAD, &ours, &theirs), 1e-12);
  ck_assert_double_le(distance(plain, OUT_LOSS, &ours, &theirs), 1e-12);
  values_free(&ours), values_free(&theirs);
  kit_free(plain), kit_free(kit);
  free(trace);
}
END_TEST

/* relu changes places with the rounding unless its f32 value is read too. */
START_TEST(relu_of_a_product_is_narrow) {
  for (int read_twice = 0; read_twice < 2; read_twice++) {
    Kit *kit = kit_new(4);
    Node *x = kit_param(kit, "x", kit_type(F32, 2, (int64_t[]){4, 4})), *h = b_unary(&kit->b, OP_relu, b_matmul(&kit->b, x, x, false, true));
    Node *loss = kit_sum(kit, b_matmul(&kit->b, h, x, false, false));
    kit_minimize(kit, read_twice ? b_binary(&kit->b, OP_add, loss, kit_sum(kit, h)) : loss);
    kit->program->train.precision = PRECISION_BF16;
    ck_assert(kit_run(kit, 0, "precision", LONG_MAX, NULL));
    ck_assert_int_eq(count_narrow(kit->graph, OP_relu), !read_twice);
    kit_free(kit);
  }
}
END_TEST

/* Sums over columns are made where their values are: they gain nothing. */
START_TEST(sums_along_rows_stay_f32) {
  static const int64_t shapes[][2] = {{1, 3}, {4, 1}, {1, 1}};
  static const int expected[] = {1, 0, 0};
  for (int s = 0; s < 3; s++) {
    Kit *kit = kit_new(4);
    char *trace;
    size_t length;
    FILE *file = open_memstream(&trace, &length);
    Node *x = kit_param(kit, "x", kit_type(F32, 2, (int64_t[]){4, 5})), *w = kit_param(kit, "w", kit_type(F32, 2, (int64_t[]){5, 3})),
         *c = kit_param(kit, "c", kit_type(F32, 2, shapes[s]));
    Node *z = b_binary(&kit->b, OP_add, b_matmul(&kit->b, x, w, false, false), c);
    kit_minimize(kit, kit_sum(kit, b_unary(&kit->b, OP_tanh, z)));
    kit->program->train.precision = PRECISION_BF16;
    ck_assert(kit_run(kit, 1, "narrow", LONG_MAX, file));
    fclose(file);
    ck_assert_msg(count_lines(trace, "narrow.sum") == expected[s], "%d: %s", s, trace);
    free(trace);
    kit_free(kit);
  }
}
END_TEST

/* y must go on depending on the x of grad(y, x), whatever changes places with a rounding. */
START_TEST(what_a_gradient_is_asked_of_stays) {
  for (int which = 0; which < 4; which++) {
    double results[2];
    for (int k = 0; k < 2; k++) {
      Kit *kit = kit_new(9);
      Builder *b = &kit->b;
      Node *x = kit_param(kit, "x", kit_type(F32, 2, (int64_t[]){4, 6})), *w = kit_param(kit, "w", kit_type(F32, 2, (int64_t[]){6, 4}));
      for (int i = 0; i < 24; i++) kit_data(kit, x)[i] = i % 7 - 3, kit_data(kit, w)[i] = (i % 5 - 2) * 0.25;
      Node *mm = b_matmul(b, x, w, false, false), *flat = b_transpose(b, mm, (int[]){1, 0}), *h = b_unary(b, OP_relu, flat);
      Node *y = kit_sum(kit, b_unary(b, OP_tanh, b_matmul(b, h, w, false, true)));
      if (which == 3) h = x;
      Node *g = kit_grad(kit, y, which == 0 ? mm : which == 1 ? flat : h, "g");
      kit_minimize(kit, kit_sum(kit, b_binary(b, OP_mul, g, g)));
      kit->program->train.precision = k ? PRECISION_BF16 : PRECISION_F32;
      ck_assert_msg(kit_run(kit, 0, "gradient", LONG_MAX, NULL), "gradient of %d", which);
      Values v = values_of(kit, false);
      results[k] = v.at[kit_output(kit, OUT_LOSS, "update0")].data[0];
      values_free(&v);
      kit_free(kit);
    }
    ck_assert(results[0] > 0);
    ck_assert_double_le(fabs(results[0] - results[1]), 1e-12 * results[0]);
  }
}
END_TEST

/* ---- whole models ----------------------------------------------------------------------------------- */

START_TEST(digits_are_learned) {
  const char *folder = scratch_folder();
  char *output = shell_ok("sed 's/for 30 epochs/for 30 epochs with (precision: bf16)/' samples/digits.mt >%s/digits.mt && cd %s && "
                          MTC " build digits.mt --target=c -o digits && ./digits --data-dir " SOURCE_DIR "/samples --quiet && "
                          "./digits gradcheck --data-dir " SOURCE_DIR "/samples && "
                          "./digits eval --json --init digits.run/net.best.safetensors --data-dir " SOURCE_DIR "/samples",
                          folder, folder);
  const char *at = strstr(output, "\"accuracy\":");
  ck_assert_msg(at && strtod(at + 11, NULL) >= 0.985, "%s", output);
  free(output);
}
END_TEST

START_TEST(a_value_beyond_bf16_is_named) {
  const char *folder = scratch_folder();
  Shell said = shell("cd %s && printf 'use nn\\ndim B = 4, P = 3\\ndata s = random(rows: 8, seed: 1) -> { x: f32[B, P] }\\n"
                     "module M()(x: [B, P]) -> [B, P] {\\n  param w: [P, P] = ones\\n  return (x * x * 1e30) @ (w * 1e30)\\n}\\n"
                     "let net = M()\\ntrain d in s for 2 steps with (precision: bf16) {\\n  let loss = mean(net(d.x))\\n"
                     "  update net minimize loss using sgd(lr: 1e-3)\\n}\\n' >m.mt && " MTC " build m.mt --target=c -o m && ./m", folder);
  ck_assert_msg(said.status == 1 && strstr(said.output, "m.mt:6: net.mm is not finite (inf at row 0) at step 0"), "%s", said.output);
  free(said.output);
}
END_TEST

Suite *bf16_suite(void) {
  Suite *suite = suite_create("bf16");
  TCase *rounding = tcase_create("rounding"), *pass = tcase_create("pass"), *models = tcase_create("models");
  tcase_set_timeout(rounding, 240);
  tcase_add_test(rounding, the_evaluator_rounds_as_the_table_says);
  tcase_add_test(rounding, the_runtime_rounds_as_the_table_says);
  tcase_add_test(rounding, targets_round_as_the_evaluator);
  tcase_add_test(rounding, every_map_rounds_once);
  tcase_add_test(rounding, mixed_operands_and_literals);
  tcase_add_test(rounding, fusing_changes_no_bit);
  tcase_add_test(rounding, reductions_round_their_result);
  tcase_add_test(rounding, products_are_summed_in_float);
  tcase_add_loop_test(rounding, cpu_products, 0, 3);
  suite_add_tcase(suite, rounding);
  tcase_add_test(pass, products_become_narrow_and_nothing_else);
  tcase_add_test(pass, gradients_of_parameters_stay_f32);
  tcase_add_test(pass, gradients_of_biases_read_what_products_read);
  tcase_add_test(pass, gradients_of_blocks_stay_f32);
  tcase_add_test(pass, rewrites_can_be_left_out);
  tcase_add_test(pass, other_precisions_change_nothing);
  tcase_add_test(pass, gradients_are_near_those_of_f32);
  tcase_add_test(pass, ragged_products_are_padded);
  tcase_add_test(pass, relu_of_a_product_is_narrow);
  tcase_add_test(pass, sums_along_rows_stay_f32);
  tcase_add_test(pass, what_a_gradient_is_asked_of_stays);
  suite_add_tcase(suite, pass);
  tcase_set_timeout(models, 120);
  tcase_add_test(models, digits_are_learned);
  tcase_add_test(models, a_value_beyond_bf16_is_named);
  suite_add_tcase(suite, models);
  return suite;
}
