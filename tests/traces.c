/* traces.c - what each pass makes of random programs, by checksum.
 *
 * Values stay right when a pass misses a rewrite, or takes one that does not
 * pay; its trace and the text it leaves do not stay the same.  Programs of
 * huge sizes, never run, are there for the choices that depend on bytes.
 */
#include "tests/traces.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuse_models.h"
#include "tests/random/random.h"

enum { DOZEN = 12, MOST_PASSES = 16 };

typedef struct Trace {
  FILE *told;
  char *text; /* of `told` */
  size_t length, read; /* of it: by earlier passes */
  int n;
  const char *pass[MOST_PASSES];
  uint64_t hash[MOST_PASSES];
} Trace;

static uint64_t hash_text(uint64_t hash, const char *text) { /* FNV-1a */
  for (; text && *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return hash;
}

static void after_pass(const Pass *pass, const Program *program, void *data) {
  Trace *trace = data;
  Text text = {0};
  int at = 0;
  while (at < trace->n && strcmp(trace->pass[at], pass->name)) at++;
  if (at == trace->n) trace->pass[trace->n] = pass->name, trace->hash[trace->n++] = UINT64_C(14695981039346656037);
  program_print(&text, program);
  fflush(trace->told);
  trace->hash[at] = hash_text(hash_text(trace->hash[at], trace->text + trace->read), text.data);
  trace->read = trace->length;
  text_free(&text);
}

static void run(Trace *trace, Program *program, Diagnostics *d, int level) {
  PassContext context = {.program = program, .arena = program->arena, .diagnostics = d, .level = level,
                         .bisect_limit = LONG_MAX, .trace = trace->told};
  run_pipeline(&context, after_pass, trace);
}

/* So that node 0 is one of a kernel, which it seldom is. */
static void put_draws_first(Graph *graph) {
  Node **nodes = arena_alloc(graph->program->arena, (size_t)graph->n_nodes * sizeof *nodes);
  int n = 0;
  for (int draws = 1; draws >= 0; draws--)
    for (int i = 0; i < graph->n_nodes; i++)
      if ((graph->nodes[i]->op == OP_random) == draws) nodes[n++] = graph->nodes[i];
  memcpy(graph->nodes, nodes, (size_t)n * sizeof *nodes);
  graph_number(graph);
}

static void graph_of_all_ops(Trace *trace, uint64_t seed, int level) {
  Kit *kit = random_graph(seed);
  run(trace, kit->program, kit->diagnostics, level);
  kit_free(kit);
}

static void graph_of_draws(Trace *trace, uint64_t seed, int level) {
  Kit *kit = random_graph(seed);
  put_draws_first(kit->graph);
  run(trace, kit->program, kit->diagnostics, level);
  kit_free(kit);
}

static void model_of_size(Trace *trace, uint64_t seed, int level, int64_t scale) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *program = model_random(arena, seed, scale);
  if (seed % 2) model_add_gradients(program);
  if (seed % 4 < 2) put_draws_first(program->train.graph);
  run(trace, program, d, level);
  diagnostics_free(d);
  arena_free(arena);
}
static void small_model(Trace *trace, uint64_t seed, int level) { model_of_size(trace, seed, level, 1); }
static void large_model(Trace *trace, uint64_t seed, int level) { model_of_size(trace, seed, level, 24); }
static void huge_model(Trace *trace, uint64_t seed, int level) { model_of_size(trace, seed, level, 600); }

/* Whatever a rewrite may look for, x being [2, 1] or [3]. */
enum { N_OPERANDS = 16 };
static Node *operand(Kit *kit, int which, DType dtype, bool wide) {
  static const double numbers[] = {0, -0.0, 1, -1, 2, 0.5, 3, 0.3};
  Builder *b = &kit->b;
  if (which < 8) return b_const(b, dtype, dtype_is_float(dtype) ? numbers[which] : (double)(int)numbers[which]);
  Node *x = kit_param(kit, arena_print(kit->arena, "p%d", kit->n_leaves), kit_type(F32, wide ? 2 : 1, wide ? (int64_t[]){2, 1} : (int64_t[]){3}));
  if (dtype != F32) x = b_cast(b, x, dtype);
  switch (which) {
  case 8: return b_unary(b, OP_neg, x);
  case 9: return b_unary(b, OP_abs, x);
  case 10: return b_scalar(b, OP_mul, x, 3);
  case 11: return dtype_is_float(dtype) ? b_binary(b, OP_div, b_const(b, dtype, 5), x) : x;
  case 12: return b_unary(b, OP_copy, x);
  case 13: return b_unary(b, OP_neg, b_unary(b, OP_neg, x));
  case 14: return b_unary(b, OP_relu, x);
  default: return x;
  }
}
/* An op of every pair of them, and its negative. */
static void pairs_of(Trace *trace, uint64_t seed, int level) {
  static const Op ops[] = {OP_add, OP_sub, OP_mul, OP_div, OP_maximum, OP_minimum, OP_pow};
  enum { N_OPS = sizeof ops / sizeof *ops };
  static const DType dtypes[] = {F32, F64, I32};
  Kit *kit = kit_new(seed);
  Op op = ops[(seed - 1) % N_OPS];
  DType dtype = dtypes[(seed - 1) / N_OPS % 3];
  for (int i = 0; i < N_OPERANDS * N_OPERANDS && (dtype != I32 || (op != OP_div && op != OP_pow)); i++) {
    Node *x = operand(kit, i / N_OPERANDS, dtype, true), *y = operand(kit, i % N_OPERANDS, dtype, i % 3 == 0);
    Node *z = b_binary(&kit->b, op, x, y);
    if (i % 2) z = b_unary(&kit->b, i % 4 == 1 ? OP_neg : i % 8 == 3 ? OP_abs : OP_relu, z);
    graph_output(kit->graph, OUT_VALUE, arena_print(kit->arena, "y%d", i), z);
  }
  PassContext context = {.program = kit->program, .arena = kit->arena, .diagnostics = kit->diagnostics, .level = level,
                         .bisect_limit = LONG_MAX, .trace = trace->told, .stop_after = "simplify"};
  run_pipeline(&context, after_pass, trace);
  kit_free(kit);
}

/* One step, each way that axes are handled; x has MAX_RANK of them, and what comes out as well. */
static Node *handle_axes(Builder *b, Node *x, int way) {
  static const int backwards[] = {7, 6, 5, 4, 3, 2, 1, 0}, inner[] = {0, 2, 1, 3, 4, 5, 7, 6};
  int64_t start[MAX_RANK] = {0}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  Type type = x->type;
  switch (way) {
  case 0: return b_transpose(b, x, backwards);
  case 1: return b_transpose(b, x, inner);
  case 2: start[7] = 1, type.dim[7].size += 1; return b_pad(b, x, &type, start, step);
  case 3: start[0] = type.dim[0].size > 1, type.dim[0] = dim_literal(1); return b_slice(b, x, &type, start, step);
  case 4: type.dim[0] = x->type.dim[7], type.dim[7] = x->type.dim[0]; return b_reshape(b, x, &type);
  case 5: return b_binary(b, OP_mul, x, b_reduce(b, OP_sum, x, 1, (int[]){7}, true));
  case 6: return b_binary(b, OP_sub, x, b_reduce(b, OP_max, x, 2, (int[]){6, 7}, true));
  case 7: return b_binary(b, OP_add, x, b_reduce(b, OP_sum, x, MAX_RANK, (int[]){0, 1, 2, 3, 4, 5, 6, 7}, true));
  case 8: type.dtype = I32; return b_binary(b, OP_mul, x, b_cast(b, b_iota(b, &type, 7), F32));
  case 9: return b_binary(b, OP_add, x, b_reduce(b, OP_sum, x, 1, (int[]){0}, true));
  case 10:
    type.dim[0] = dim_literal(1);
    return b_binary(b, OP_sub, x, b_reshape(b, b_reduce(b, OP_sum, x, 1, (int[]){0}, false), &type));
  default: return b_unary(b, OP_exp, x);
  }
}
static void many_axes(Trace *trace, uint64_t seed, int level) {
  Kit *kit = kit_new(seed);
  Node *x = kit_param(kit, "x", kit_type(F32, MAX_RANK, (int64_t[]){2, 1, 3, 1, 2, 1, 3, 2})), *y = x;
  for (int i = 0; i < 6; i++) y = handle_axes(&kit->b, y, (int)kit_random(kit, 12));
  graph_output(kit->graph, OUT_VALUE, "y", y);
  graph_output(kit->graph, OUT_VALUE, "dx", kit_grad(kit, kit_sum(kit, b_unary(&kit->b, OP_sin, y)), x, "dx"));
  run(trace, kit->program, kit->diagnostics, level);
  kit_free(kit);
}

static const struct { const char *name; void (*one)(Trace *, uint64_t seed, int level); int level, dozens; } sets[] = {
    {"graphs", graph_of_all_ops, 2, 14}, {"graphs", graph_of_all_ops, 1, 4}, {"graphs", graph_of_all_ops, 0, 2},
    {"pairs", pairs_of, 1, 2}, {"eight axes", many_axes, 2, 6}, {"eight axes", many_axes, 0, 1}, {"graphs, draws first,", graph_of_draws, 2, 6}, {"small models", small_model, 2, 5}, {"large models", large_model, 2, 10}, {"large models", large_model, 1, 2},
    {"huge models", huge_model, 2, 10},
};

void traces_of_random_programs(Text *out) {
  for (size_t s = 0; s < sizeof sets / sizeof *sets; s++)
    for (int dozen = 0; dozen < sets[s].dozens; dozen++) {
      Trace trace = {0};
      trace.told = open_memstream(&trace.text, &trace.length);
      for (int i = 0; i < DOZEN; i++) sets[s].one(&trace, (uint64_t)(dozen * DOZEN + i + 1), sets[s].level);
      text_add(out, "%s %d to %d -O%d:", sets[s].name, dozen * DOZEN + 1, (dozen + 1) * DOZEN, sets[s].level);
      for (int k = 0; k < trace.n; k++) text_add(out, " %s %08x", trace.pass[k], (unsigned)(trace.hash[k] ^ trace.hash[k] >> 32));
      text_add(out, "\n");
      fclose(trace.told);
      free(trace.text);
    }
}
