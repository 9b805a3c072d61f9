/* test_codegen.c - generated C against the evaluator, in double and in float.
 *
 * Programs are compiled by the pipeline, emitted, and built by cc into one
 * shared object: each behind a wrapper that gives its main a name of its own
 * and catches the MtProgram it hands to mt_main.  Its step is then called on
 * the values that the evaluator, which shares no code with the emitters, gets.
 * The double version of a step must agree to rounding; the float version to
 * float's.  CUDA texts go through nvcc where there is one.
 */
#include <check.h>
#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "ir/ir.h"
#include "passes/passes.h"
#include "runtime/mtrt.h"
#include "tests/fuse_models.h"
#include "tests/graph_kit.h"
#include "tests/shell.h"

/* ---- what a generated step calls, plainly ------------------------------------------ */

static double at(const void *x, int64_t i, int size) {
  return size == 8 ? ((const double *)x)[i] : (double)((const float *)x)[i];
}

static void plain_gemm_batched(MtRun *run, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a,
                               int64_t lda, int64_t a_step, const void *b, int64_t ldb, int64_t b_step, void *c,
                               int64_t ldc, int64_t c_step) {
  bool ta = t == MT_TN || t == MT_TT, tb = t == MT_NT || t == MT_TT;
  for (int64_t z = 0; z < batch; z++)
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t p = 0; p < k; p++)
          sum += at(a, z * a_step + (ta ? p * lda + i : i * lda + p), run->real_size) *
                 at(b, z * b_step + (tb ? j * ldb + p : p * ldb + j), run->real_size);
        int64_t to = z * c_step + i * ldc + j;
        if (run->real_size == 8)
          ((double *)c)[to] = sum;
        else
          ((float *)c)[to] = (float)sum;
      }
}

static void plain_gemm(MtRun *run, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, const void *b,
                       void *c) {
  bool ta = t == MT_TN || t == MT_TT, tb = t == MT_NT || t == MT_TT;
  plain_gemm_batched(run, t, 1, m, n, k, a, ta ? m : k, 0, b, tb ? k : n, 0, c, n, 0);
}

/* The functions of the runtime that a generated file links, as the shared object gets them. */
static const char shim[] =
    "#include \"mtrt.h\"\n"
    "const MtProgram *caught;\n"
    "int catch_program(int argc, char **argv, const MtProgram *p) { (void)argc; (void)argv; caught = p; return 0; }\n"
    "void (*gemm)(MtRun *, MtTranspose, int64_t, int64_t, int64_t, const void *, const void *, void *);\n"
    "void (*gemm_batched)(MtRun *, MtTranspose, int64_t, int64_t, int64_t, int64_t, const void *, int64_t, int64_t, "
    "const void *,\n"
    "                     int64_t, int64_t, void *, int64_t, int64_t);\n"
    "void mt_profile_begin(MtRun *r, const char *call) { (void)r; (void)call; }\n"
    "void mt_profile_end(MtRun *r) { (void)r; }\n"
    "void mt_gemm(MtRun *r, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, const void *b, void *c) { "
    "gemm(r, t, m, n, k, a, b, c); }\n"
    "void mt_gemm_batched(MtRun *r, MtTranspose t, int64_t z, int64_t m, int64_t n, int64_t k, const void *a, int64_t "
    "la, int64_t sa,\n"
    "                     const void *b, int64_t lb, int64_t sb, void *c, int64_t lc, int64_t sc) {\n"
    "  gemm_batched(r, t, z, m, n, k, a, la, sa, b, lb, sb, c, lc, sc);\n"
    "}\n"
    "struct MtBackend { int none; };\n"
    "const struct MtBackend mt_cpu;\n";

/* ---- a set of programs in one shared object ------------------------------------------- */

enum { MAX_PROGRAMS = 64 };
typedef struct Set {
  Arena *arena;
  Diagnostics *diagnostics;
  const char *folder;
  int n;
  Program *program[MAX_PROGRAMS];
  const MtProgram *emitted[MAX_PROGRAMS];
  void *library;
} Set;

static Set set_new(void) {
  return (Set){.arena = arena_new(), .diagnostics = diagnostics_new(), .folder = scratch_folder()};
}

static void set_free(Set *set) {
  if (set->library) dlclose(set->library);
  diagnostics_free(set->diagnostics);
  arena_free(set->arena);
}

static void write_text(const char *folder, const char *name, const char *text) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  fputs(text, file);
  ck_assert_int_eq(fclose(file), 0);
}

static void set_add(Set *set, Program *program, int level) {
  PassContext context = {.program = program,
                         .arena = program->arena,
                         .diagnostics = set->diagnostics,
                         .level = level,
                         .bisect_limit = LONG_MAX};
  ck_assert(run_pipeline(&context, NULL, NULL));
  ck_assert_int_lt(set->n, MAX_PROGRAMS);
  Text c = {0};
  emit_c(&c, program, program->arena);
  char name[64], wrapper[256];
  snprintf(name, sizeof name, "model%d.c", set->n);
  write_text(set->folder, name, c.data);
  snprintf(wrapper, sizeof wrapper, "#define main main%d\n#define mt_main catch_program\n#include \"model%d.c\"\n",
           set->n, set->n);
  snprintf(name, sizeof name, "wrapper%d.c", set->n);
  write_text(set->folder, name, wrapper);
  text_free(&c);
  set->program[set->n++] = program;
}

static void set_build(Set *set) {
  write_text(set->folder, "shim.c", shim);
  free(shell_ok("cd %s && gcc -std=c11 -O1 -fopenmp -Wall -Wextra -Wpedantic -Werror -fPIC -shared -I" SOURCE_DIR
                "/runtime wrapper*.c shim.c "
                "-o models.so -lm",
                set->folder));
  char path[4096];
  snprintf(path, sizeof path, "%s/models.so", set->folder);
  set->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  ck_assert_msg(set->library != NULL, "%s", dlerror());
  typedef void (*Gemm)(MtRun *, MtTranspose, int64_t, int64_t, int64_t, const void *, const void *, void *);
  typedef void (*GemmBatched)(MtRun *, MtTranspose, int64_t, int64_t, int64_t, int64_t, const void *, int64_t, int64_t,
                              const void *, int64_t, int64_t, void *, int64_t, int64_t);
  *(Gemm *)dlsym(set->library, "gemm") = plain_gemm;
  *(GemmBatched *)dlsym(set->library, "gemm_batched") = plain_gemm_batched;
  const MtProgram **caught = dlsym(set->library, "caught");
  for (int i = 0; i < set->n; i++) {
    char name[32];
    snprintf(name, sizeof name, "main%d", i);
    int (*start)(int, char **);
    *(void **)&start = dlsym(set->library, name);
    start(0, NULL);
    set->emitted[i] = *caught;
  }
}

/* ---- one step against the evaluator ------------------------------------------------------ */

static uint64_t next(uint64_t *state) { /* splitmix64 */
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static const double edges[] = {0, -0.0, 1, -1, 0.5, -0.5, 2, -3, 20.5, -20.5, 1e-3, NAN, INFINITY, -INFINITY};

/* Values of a leaf: ids are below 2, floats small multiples that float holds exactly. */
static double leaf_value(const char *path, DType dtype, int64_t i, uint64_t seed, bool edge) {
  uint64_t state = seed + 1000003 * (uint64_t)i;
  for (const char *c = path; *c; c++) state = state * 31 + (unsigned char)*c;
  uint64_t bits = next(&state);
  if (dtype == BOOL) return (double)(bits % 2);
  if (dtype == I32) return (double)(bits % 2);
  if (edge && bits % 3 == 0) return edges[bits / 3 % (sizeof edges / sizeof edges[0])];
  return (double)(bits % 4097) / 1024 - 2;
}

static void put(void *to, int64_t i, DType dtype, int real_size, double value) {
  if (dtype == I32)
    ((int32_t *)to)[i] = (int32_t)value;
  else if (dtype == BOOL)
    ((bool *)to)[i] = value != 0;
  else if (real_size == 8)
    ((double *)to)[i] = value;
  else
    ((float *)to)[i] = (float)value;
}

typedef struct Case {
  const Program *program;
  const MtProgram *emitted;
  int64_t rows;
  uint64_t seed;
  bool edge;
  double tolerance; /* relative to 1 or the value */
} Case;

/* Rows beyond `rows` hold a value that would be seen at once. */
static void fill(void *to, const Type *type, const char *path, const Case *c, int real_size) {
  int64_t count = type_count(type), live = type_rows(type) ? count / type_rows(type)->size * c->rows : count;
  for (int64_t i = 0; i < count; i++)
    put(to, i, type->dtype, real_size,
        i < live             ? leaf_value(path, type->dtype, i, c->seed, c->edge)
        : type->dtype == I32 ? 1 << 30
                             : 1e30);
}

static Tensor *expected(const Case *c) {
  const Graph *g = c->program->train.graph;
  Binding *bindings = calloc((size_t)g->n_nodes + 1, sizeof *bindings);
  int n = 0;
  for (int i = 0; i < g->n_nodes; i++) {
    const Node *leaf = g->nodes[i];
    if (leaf->op != OP_input && leaf->op != OP_param && leaf->op != OP_state) continue;
    int64_t count = type_count(&leaf->type);
    double *data = malloc((size_t)(count + 1) * sizeof *data);
    for (int64_t e = 0; e < count; e++) data[e] = leaf_value(leaf->attrs.path, leaf->type.dtype, e, c->seed, c->edge);
    bindings[n++] = (Binding){leaf->attrs.path, data};
  }
  Tensor *outputs = calloc((size_t)g->n_outputs + 1, sizeof *outputs);
  EvaluateOptions options = {.rows = c->rows, .seed = 11, .step = 3};
  const char *missing = NULL;
  ck_assert_msg(evaluate(g, bindings, n, &options, outputs, &missing), "unbound: %s", missing);
  for (int i = 0; i < n; i++) free((void *)(uintptr_t)bindings[i].data);
  free(bindings);
  return outputs;
}

static bool close_to(double x, double y, double tolerance) {
  if (isnan(x) || isnan(y)) return isnan(x) && isnan(y);
  return x == y || fabs(x - y) <= tolerance * fmax(1, fmax(fabs(x), fabs(y)));
}

static void compare(const Case *c, const Tensor *reference, const MtRun *run) {
  const Graph *g = c->program->train.graph;
  for (int o = 0; o < g->n_outputs; o++) {
    const Output *output = &g->outputs[o];
    const void *block = output->role == OUT_GRAD ? run->grads : run->outputs;
    for (int64_t i = 0; i < reference[o].count; i++) {
      double want = reference[o].data[i], got = at(block, output->node->offset + i, run->real_size);
      if (run->real_size == 4 && fabs(want) > 1e30) continue; /* may overflow float on the way */
      ck_assert_msg(close_to(want, got, c->tolerance),
                    "seed %llu, %d-byte reals, output %s[%lld]: %.17g, evaluated %.17g", (unsigned long long)c->seed,
                    run->real_size, output->name, (long long)i, got, want);
    }
  }
}

static void run_case(const Case *c, int real_size) {
  const Program *p = c->program;
  const MtTrain *train = c->emitted->train;
  size_t scale = (size_t)real_size / 4;
  MtScalars scalars = {.seed = 11, .step = 3, .grad_scale = 1, .lr_scale = 1};
  MtRun run = {.real_size = real_size, .budget = -1, .scalars = &scalars};
  run.params = calloc((size_t)p->param_elements + 1, 8);
  run.grads = calloc((size_t)p->param_elements + 1, 8);
  run.states = calloc((size_t)c->emitted->state_count + 1, 8);
  run.arena = aligned_alloc(64, (train->size.arena * scale + 127) / 64 * 64);
  run.outputs = calloc((size_t)train->size.outputs + 1, 8);
  memset(run.arena, 0xff, train->size.arena * scale); /* NaN until written */
  for (int i = 0; i < p->n_params; i++)
    fill((char *)run.params + p->params[i].offset * real_size, &p->params[i].type, p->params[i].path, c, real_size);
  for (int i = 0; i < p->n_states; i++)
    fill((char *)run.states + p->states[i].offset * real_size, &p->states[i].type, p->states[i].path, c, real_size);
  const void *batch[8] = {0};
  const Data *data = &p->data[p->train.data];
  for (int i = 0; i < data->n_fields; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s.%s", p->train.variable, data->fields[i].name);
    void *field = calloc((size_t)type_count(&data->fields[i].type) + 1, 8);
    fill(field, &data->fields[i].type, path, c, real_size);
    batch[i] = field;
  }
  (real_size == 8 ? train->phases[0].gradients_f64 : train->phases[0].gradients)(&run, batch, c->rows);
  Tensor *reference = expected(c);
  compare(c, reference, &run);
  for (int o = 0; o < p->train.graph->n_outputs; o++) tensor_free(&reference[o]);
  free(reference);
  for (int i = 0; i < data->n_fields; i++) free((void *)(uintptr_t)batch[i]);
  free(run.params), free(run.grads), free(run.states), free(run.arena), free(run.outputs);
}

/* Normal draws are floats everywhere, doubles in the evaluator. */
static bool draws_normals(const Graph *g) {
  bool found = false;
  for (int i = 0; i < g->n_nodes && !found; i++)
    found = g->nodes[i]->body ? draws_normals(g->nodes[i]->body)
                              : g->nodes[i]->op == OP_random && g->nodes[i]->attrs.distribution == 1;
  return found;
}

static void check_set(Set *set, int64_t rows, bool edge, double wide, double narrow) {
  set_build(set);
  for (int i = 0; i < set->n; i++) {
    Case c = {.program = set->program[i],
              .emitted = set->emitted[i],
              .rows = rows,
              .seed = (uint64_t)i + 1,
              .edge = edge,
              .tolerance = wide};
    if (draws_normals(c.program->train.graph) && wide < 1e-5) c.tolerance = 1e-5;
    run_case(&c, 8);
    c.tolerance = narrow;
    if (narrow > 0) run_case(&c, 4);
  }
  set_free(set);
}

/* ---- random programs ------------------------------------------------------------------------ */

START_TEST(random_programs_agree) {
  Set set = set_new();
  for (int seed = 1; seed <= 10; seed++)
    for (int level = 0; level <= 2; level += 2)
      set_add(&set, model_random(set.arena, (uint64_t)(seed + 100 * _i), 1), level);
  check_set(&set, 0, false, 1e-9, 0);
}
END_TEST

START_TEST(gradients_of_random_programs_agree) {
  Set set = set_new();
  for (int seed = 1; seed <= 12; seed++) {
    Program *program = model_random(set.arena, (uint64_t)(seed + 500), 1);
    model_add_gradients(program);
    set_add(&set, program, 2);
  }
  check_set(&set, 0, false, 1e-8, 0);
}
END_TEST

/* ---- every op ---------------------------------------------------------------------------------- */

static void add_output(Graph *g, const char *name, Node *node) { graph_output(g, OUT_VALUE, name, node); }

static void add_maps(Graph *g, Builder *b) {
  static const int64_t size[] = {13, 11};
  Node *x = model_input(g, "x", F32, 2, size), *y = model_input(g, "y", F32, 2, size),
       *k = model_input(g, "k", I32, 2, size);
  for (int op = 0; op < OP_COUNT; op++) {
    const char *name = op_info[op].name;
    if (op_info[op].kind != MAP || op == OP_grad || op == OP_cast || op == OP_clamp || op == OP_where) continue;
    bool logic = op == OP_not || op == OP_and || op == OP_or;
    Node *p = logic ? b_scalar(b, OP_gt, x, 0) : x, *q = logic ? b_scalar(b, OP_lt, y, 0.5) : y;
    add_output(g, name, op_info[op].n_inputs == 1 ? b_unary(b, (Op)op, p) : b_binary(b, (Op)op, p, q));
  }
  add_output(g, "clamp", b_clamp(b, x, -0.75, 0.1));
  add_output(g, "clamp_low", b_clamp(b, x, 0.3, INFINITY));
  add_output(g, "clamp_high", b_clamp(b, x, -INFINITY, -0.3));
  add_output(g, "where", b_where(b, b_binary(b, OP_lt, x, y), x, b_scalar(b, OP_mul, y, 0.1)));
  add_output(g, "constants",
             b_scalar(b, OP_div, b_where(b, b_scalar(b, OP_gt, x, 0), b_const(b, F32, 1), b_const(b, F32, 3)), 2));
  add_output(g, "sign_half", b_scalar(b, OP_div, b_unary(b, OP_sign, x), 2));
  add_output(g, "exp_of_sign", b_unary(b, OP_exp, b_unary(b, OP_sign, x)));
  add_output(g, "minus_minus",
             b_binary(b, OP_sub, x, b_unary(b, OP_neg, b_binary(b, OP_sub, y, b_binary(b, OP_sub, x, y)))));
  add_output(g, "quotients", b_binary(b, OP_div, x, b_binary(b, OP_div, y, b_binary(b, OP_mul, x, y))));
  add_output(g, "integers", b_cast(b, b_binary(b, OP_add, k, b_binary(b, OP_mul, k, k)), F32));
  add_output(g, "integer_quotient", b_binary(b, OP_div, b_scalar(b, OP_add, k, 1), b_scalar(b, OP_add, k, 2)));
  add_output(g, "integer_floor",
             b_cast(b, b_binary(b, OP_floordiv, b_scalar(b, OP_sub, k, 5), b_scalar(b, OP_add, k, 2)), F32));
  add_output(g, "integer_mod",
             b_cast(b, b_binary(b, OP_mod, b_scalar(b, OP_sub, k, 5), b_scalar(b, OP_add, k, 2)), F32));
  add_output(g, "truth", b_cast(b, b_scalar(b, OP_ge, y, 0.25), F32));
  add_output(g, "equal_truths", b_cast(b, b_binary(b, OP_eq, b_scalar(b, OP_gt, x, 0), b_scalar(b, OP_gt, y, 0)), F32));
  add_output(g, "either",
             b_binary(b, OP_or, b_binary(b, OP_and, b_scalar(b, OP_gt, x, 0), b_scalar(b, OP_gt, y, 0)),
                      b_scalar(b, OP_gt, x, 1)));
  Type shape = x->type;
  add_output(g, "index", b_binary(b, OP_mul, x, b_cast(b, b_iota(b, &shape, 1), F32)));
}

START_TEST(maps_agree) {
  Set set = set_new();
  for (int level = 0; level <= 2; level += 2) {
    Program *program = model_new(set.arena);
    Builder b = {.graph = program->train.graph, .prefix = "v"};
    add_maps(program->train.graph, &b);
    set_add(&set, program, level);
  }
  check_set(&set, 0, true, 1e-12, 3e-6);
}
END_TEST

/* Reductions of a [4, 300, 3] value over every set of axes, and what follows them. */
static void add_reductions(Graph *g, Builder *b, const int64_t *size) {
  static const Op ops[] = {OP_sum, OP_max, OP_min, OP_argmax, OP_argmin};
  Node *x = model_input(g, "x", F32, 3, size);
  Arena *arena = g->program->arena;
  for (int set = 1; set < 8; set++) {
    int axes[3], n = 0;
    for (int a = 0; a < 3; a++)
      if (set >> a & 1) axes[n++] = a;
    for (int o = 0; o < 5; o++) {
      if (o >= 3 && n > 1) continue;
      Node *r = b_reduce(b, ops[o], b_unary(b, OP_tanh, x), n, axes, set % 2);
      add_output(g, arena_print(arena, "%s%d", op_info[ops[o]].name, set), o >= 3 ? b_cast(b, r, F32) : r);
    }
    Node *total = b_reduce(b, OP_sum, b_unary(b, OP_exp, x), n, axes, true);
    add_output(g, arena_print(arena, "share%d", set), b_binary(b, OP_div, b_unary(b, OP_exp, x), total));
  }
  add_output(g, "softmax", model_softmax(b, x));
}

START_TEST(reductions_agree) {
  static const int64_t sizes[][3] = {{4, 300, 3}, {1, 1, 1}, {2, 1, 33}, {5, 7, 1}, {1, 20000, 2}};
  Set set = set_new();
  for (int i = 0; i < 5; i++)
    for (int level = 0; level <= 2; level += 2) {
      Program *program = model_new(set.arena);
      Builder b = {.graph = program->train.graph, .prefix = "v"};
      add_reductions(program->train.graph, &b, sizes[i]);
      set_add(&set, program, level);
    }
  check_set(&set, 0, false, 1e-10, 2e-4);
}
END_TEST

START_TEST(reductions_of_nan_agree) {
  static const int64_t size[] = {3, 5, 4};
  Set set = set_new();
  Program *program = model_new(set.arena);
  Builder b = {.graph = program->train.graph, .prefix = "v"};
  add_reductions(program->train.graph, &b, size);
  set_add(&set, program, 2);
  check_set(&set, 0, true, 1e-10, 2e-4);
}
END_TEST

/* Loops large enough for threads, blocks of columns, and rows too long for a local array. */
START_TEST(large_loops_agree) {
  static const int64_t sizes[][3] = {{60, 2, 700}, {1, 2, 40000}, {20000, 1, 9}};
  Set set = set_new();
  for (int i = 0; i < 3; i++) {
    Program *program = model_new(set.arena);
    Builder b = {.graph = program->train.graph, .prefix = "v"};
    add_reductions(program->train.graph, &b, sizes[i]);
    set_add(&set, program, 2);
  }
  check_set(&set, 0, false, 1e-10, 2e-2);
}
END_TEST

static void add_indexing(Graph *g, Builder *b) {
  Node *table = model_input(g, "table", F32, 3, (int64_t[]){7, 3, 2}),
       *ids = model_input(g, "ids", I32, 2, (int64_t[]){5, 4});
  Node *rows = model_input(g, "rows", F32, 3, (int64_t[]){5, 4, 6}),
       *wide = model_input(g, "wide", F32, 3, (int64_t[]){5, 4, 160});
  Node *gathered = node_new(g, OP_gather, (Node *[]){table, ids}, 2, &(Attrs){0}, "gathered", NULL);
  add_output(g, "gather", gathered);
  add_output(g, "gather_sum", b_reduce(b, OP_sum, b_unary(b, OP_exp, gathered), 1, (int[]){1}, false));
  Type to = type_shape(F32, 2, (Dim[]){dim_literal(3), dim_literal(6)}),
       to_wide = type_shape(F32, 2, (Dim[]){dim_literal(2), dim_literal(160)});
  add_output(g, "scatter",
             node_new(g, OP_scatter_add, (Node *[]){rows, ids}, 2, &(Attrs){.shape = to}, "scattered", NULL));
  add_output(g, "scatter_wide",
             node_new(g, OP_scatter_add, (Node *[]){wide, ids}, 2, &(Attrs){.shape = to_wide}, "scattered_wide", NULL));
  Type sliced = type_shape(F32, 3, (Dim[]){dim_literal(3), dim_literal(3), dim_literal(3)});
  Node *slice = b_slice(b, rows, &sliced, (int64_t[]){0, 1, 0}, (int64_t[]){2, 1, 2});
  add_output(g, "slice", slice);
  add_output(
      g, "pad",
      b_unary(b, OP_exp, b_pad(b, b_unary(b, OP_exp, slice), &rows->type, (int64_t[]){0, 1, 0}, (int64_t[]){2, 1, 2})));
  Type flat = type_shape(F32, 2, (Dim[]){dim_literal(10), dim_literal(12)});
  Node *turned = b_transpose(b, rows, (int[]){2, 0, 1});
  add_output(g, "transpose", b_scalar(b, OP_mul, turned, 3));
  add_output(g, "reshape_transposed", b_scalar(b, OP_add, b_reshape(b, turned, &flat), 1));
  for (int t = 0; t < 4; t++) {
    Node *square = b_reshape(b,
                             b_slice(b, wide, &(Type){F32, 3, {dim_literal(4), dim_literal(4), dim_literal(4)}},
                                     (int64_t[]){t % 2, 0, 7 * t}, (int64_t[]){1, 1, 1}),
                             &(Type){F32, 2, {dim_literal(8), dim_literal(8)}});
    add_output(g, arena_print(g->program->arena, "product%d", t),
               b_matmul(b, square, b_scalar(b, OP_mul, square, 0.5), t & 1, t >> 1));
  }
  add_output(g, "products", b_matmul(b, rows, b_transpose(b, rows, (int[]){0, 2, 1}), false, false));
}

START_TEST(indexing_agrees) {
  Set set = set_new();
  for (int level = 0; level <= 2; level += 2) {
    Program *program = model_new(set.arena);
    Builder b = {.graph = program->train.graph, .prefix = "v"};
    add_indexing(program->train.graph, &b);
    set_add(&set, program, level);
  }
  check_set(&set, 0, false, 1e-12, 1e-5);
}
END_TEST

/* ---- short batches ---------------------------------------------------------------------------------- */

/* Layer norm, softmax and its cross entropy, sums over the batch, and a batch
 * axis that does not lead. */
static void add_batch(Graph *g, Builder *b) {
  Node *x = model_batch(g, "x", F32, 2, (int64_t[]){9, 12}), *y = model_batch(g, "y", I32, 1, (int64_t[]){9});
  Node *weight = model_param(g, "net.weight", 1, (int64_t[]){12}),
       *bias = model_param(g, "net.bias", 1, (int64_t[]){12});
  Node *matrix = model_param(g, "net.matrix", 2, (int64_t[]){6, 12});
  Node *h = model_layernorm(b, x, weight, bias), *z = b_matmul(b, h, matrix, false, true), *p = model_softmax(b, z);
  Type wide = p->type;
  Type column = y->type;
  column.dim[1] = dim_literal(1), column.rank = 2;
  Node *hot = b_binary(b, OP_eq, b_iota(b, &wide, 1), b_reshape(b, y, &column));
  Node *picked = b_reduce(b, OP_sum, b_where(b, hot, b_unary(b, OP_log, p), b_const(b, F32, 0)), 1, (int[]){1}, false);
  Node *rows = b_cast(b, b_rows(b, g->rows), F32);
  Node *loss = b_unary(b, OP_neg, b_binary(b, OP_div, b_reduce(b, OP_sum, picked, 1, (int[]){0}, false), rows));
  add_output(g, "loss", loss);
  add_output(g, "columns", b_reduce(b, OP_sum, h, 1, (int[]){0}, false));
  add_output(g, "highest", b_reduce(b, OP_max, h, 1, (int[]){0}, false));
  Node *turned = b_transpose(b, z, (int[]){1, 0});
  add_output(g, "turned_sum", b_reduce(b, OP_sum, b_unary(b, OP_exp, turned), 1, (int[]){1}, false));
  add_output(g, "gram", b_matmul(b, z, h, true, false));
  add_output(g, "matrix", b_matmul(b, z, z, true, false));
  static const char *const params[] = {"net.weight", "net.bias", "net.matrix"};
  for (int i = 0; i < 3; i++) {
    Node *in[] = {loss, graph_find(g, params[i])};
    graph_output(g, OUT_GRAD, params[i],
                 node_new(g, OP_grad, in, 2, &(Attrs){0}, arena_print(g->program->arena, "d%d", i), NULL));
  }
}

START_TEST(short_batches_agree) {
  Set set = set_new();
  for (int level = 0; level <= 2; level++) {
    Program *program = model_new(set.arena);
    Builder b = {.graph = program->train.graph, .prefix = "v"};
    add_batch(program->train.graph, &b);
    set_add(&set, program, level);
  }
  static const int64_t rows[] = {9, 1, 4};
  check_set(&set, rows[_i], false, 1e-10, 1e-4);
}
END_TEST

/* ---- the text ------------------------------------------------------------------------------------------ */

static char *emit(const Program *program, bool cuda) {
  Text text = {0};
  if (cuda)
    emit_cuda(&text, program, program->arena);
  else
    emit_c(&text, program, program->arena);
  return text.data;
}

static int occurrences(const char *text, const char *word) {
  int n = 0;
  for (const char *c = strstr(text, word); c; c = strstr(c + 1, word)) n++;
  return n;
}

START_TEST(equal_layers_share_their_kernels) {
  Set set = set_new();
  Program *program = model_new(set.arena);
  graph_output(program->train.graph, OUT_VALUE, "out", model_mlp(program->train.graph, 12, 4, 8));
  PassContext context = model_context(program, set.diagnostics, 2);
  ck_assert(run_pipeline(&context, NULL, NULL));
  char *c = emit(program, false), *cuda = emit(program, true), *again = emit(program, false);
  ck_assert_int_eq(occurrences(c, "static void"), 3); /* a layer behind its product, the step and its double */
  ck_assert_int_eq(occurrences(cuda, "__global__ void"), 1); /* a layer with its product */
  ck_assert_int_eq(occurrences(c, "STEP(mt_gemm("), 12);
  ck_assert_str_eq(c, again);
  free(c), free(cuda), free(again);
  set_free(&set);
}
END_TEST

/* The file includes itself by whatever path it is compiled. */
START_TEST(compiles_from_another_folder) {
  Set set = set_new();
  Program *program = model_random(set.arena, 3, 1);
  PassContext context = model_context(program, set.diagnostics, 2);
  ck_assert(run_pipeline(&context, NULL, NULL));
  char *text = emit(program, false);
  const char *slash = strrchr(set.folder, '/');
  write_text(set.folder, "model.c", text);
  free(text);
  free(shell_ok("cd %s/.. && for cc in gcc clang; do $cc -std=c11 -fsyntax-only -I" SOURCE_DIR
                "/runtime %s/model.c || exit 1; done",
                set.folder, slash + 1));
  set_free(&set);
}
END_TEST

/* What follows the gradients, in the order given, with nothing missing. */
static void in_order(const char *text, const char *const *lines, int n) {
  for (int i = 0; i < n; i++) {
    const char *found = strstr(text, lines[i]);
    ck_assert_msg(found != NULL, "no '%s'", lines[i]);
    text = found + strlen(lines[i]);
  }
}

START_TEST(an_update_looks_before_it_writes) {
  Kit *kit = kit_new(1);
  kit_mlp(kit, 1, 5);
  kit->program->train.updates[0].clip = 0.5;
  ck_assert(kit_run(kit, 2, NULL, LONG_MAX, NULL));
  char *c = emit(kit->program, false), *cuda = emit(kit->program, true);
  in_order(c, (const char *[]){"train_update(MtRun *run, const MtEnd *end) {", "mt_check_gradients(run, end, 0, 256);",
                               "schedule(run->scalars);", "mt_clip_gradients(run, 0, 256, 0.5);", "mt_sgd(run, 0, ",
                               "mt_finish(run, end);"}, 6);
  in_order(cuda, (const char *[]){"update(const MtUpdateData u) {", "mt_begin(u, s);", "schedule(s);",
                                  "rule[0] = mt_sgd_rule(s, 0);", "mt_clip_gradients(u, s, 0, 256, 0.5);",
                                  "mt_sgd(u, s, rule[0], ", "mt_finish(u, s);", "LAUNCH(update, 1, "}, 8);
  ck_assert_int_eq(occurrences(cuda, "LAUNCH(mt_measure"), 0);
  free(c), free(cuda);
  kit_free(kit);
}
END_TEST

/* Too many gradients for every block to look at: a kernel before the update does. */
START_TEST(many_gradients_are_measured_first) {
  Kit *kit = kit_new(1);
  kit_mlp(kit, 1, 5);
  ck_assert(kit_run(kit, 2, NULL, LONG_MAX, NULL));
  kit->program->param_elements = 40000;
  char *cuda = emit(kit->program, true);
  in_order(cuda, (const char *[]){"mt_check_parts(u, s);", "if (end->loss >= 0) LAUNCH(mt_measure<false>, ", "LAUNCH(update, "}, 3);
  free(cuda);
  kit->program->train.updates[0].clip = 2;
  cuda = emit(kit->program, true);
  in_order(cuda, (const char *[]){"mt_clip_parts(u, s, 2);", "  LAUNCH(mt_measure<true>, ", "LAUNCH(update, "}, 3);
  free(cuda);
  kit_free(kit);
}
END_TEST

/* Indices are 64 bits wide where 2^31 elements are reached, and not before. */
static const struct {
  const char *dims, *expr, *line;
} widths[] = {
    {"B = 65536, P = 65536", "relu(p.x) + 1", "  const int64_t first = ((int64_t)blockIdx.x * 256 + threadIdx.x) * 4;\n"},
    {"B = 4096, P = 4096", "relu(p.x) + 1", "  const int first = (blockIdx.x * 256 + threadIdx.x) * 4;\n"},
    {"B = 65537, P = 65537", "relu(p.x) + 1", "  const int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x;\n"},
    {"B = 64, P = 64", "relu(p.x) + 1", "  const int i = blockIdx.x * 256 + threadIdx.x;\n"},
    {"B = 33554432, P = 128", "t(p.x)", "  const int64_t i = (int64_t)blockIdx.x * 256 + threadIdx.x;\n"},
    {"B = 65536, P = 65536", "softmax(p.x, over: P)", "  const int64_t row = blockIdx.x;\n"},
    {"B = 64, P = 4096", "softmax(p.x, over: P)", "  const int row = blockIdx.x;\n"},
    {"B = 67108864, P = 64", "softmax(p.x, over: P)",
     "  const int64_t row = (int64_t)blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;\n"},
    {"B = 4096, P = 64", "softmax(p.x, over: P)",
     "  const int row = blockIdx.x * 4 + threadIdx.x / 32, lane = threadIdx.x % 32;\n"},
    {"B = 65536, P = 65536", "sum(p.x * p.x, over: B)",
     "  const int64_t first = ((int64_t)blockIdx.x * 8 + threadIdx.x) * 4;\n"},
    {"B = 65536, P = 65567", "sum(p.x * p.x, over: B)", "  const int64_t own = (int64_t)blockIdx.x * 32 + threadIdx.x, column = own"},
    {"B = 64, P = 4096", "sum(p.x * p.x, over: B)", "  const int column = blockIdx.x * 32 + threadIdx.x;\n"},
};

START_TEST(indices_are_as_wide_as_needed) {
  const char *folder = scratch_folder();
  char *cuda = shell_ok("cd %s && printf 'use nn\ndim %s\npredict p in { x: f32[B, P] } -> %s\n' >m.mt && " MTC
                        " m.mt -o - --emit=cu",
                        folder, widths[_i].dims, widths[_i].expr);
  ck_assert_msg(strstr(cuda, widths[_i].line) != NULL, "%s: no `%s` in:\n%s", widths[_i].expr, widths[_i].line, cuda);
  free(cuda);
}
END_TEST

START_TEST(cuda_compiles) {
  if (!has_nvcc()) return;
  Set set = set_new();
  for (int i = 0; i < 6; i++) {
    Program *program = i < 4 ? model_new(set.arena) : model_random(set.arena, (uint64_t)i + 40, 1);
    Graph *g = program->train.graph;
    Builder b = {.graph = g, .prefix = "v"};
    if (i == 0) add_maps(g, &b);
    if (i == 1) add_reductions(g, &b, (int64_t[]){4, 300, 33});
    if (i == 2) add_indexing(g, &b);
    if (i == 3) add_batch(g, &b);
    PassContext context = model_context(program, set.diagnostics, 2);
    ck_assert(run_pipeline(&context, NULL, NULL));
    char *text = emit(program, true), name[32];
    snprintf(name, sizeof name, "model%d.cu", i);
    write_text(set.folder, name, text);
    free(text);
  }
  free(shell_ok("cd %s && nvcc -arch=sm_90 -Werror all-warnings -Xcompiler -Wall -I" SOURCE_DIR "/runtime -c model*.cu",
                set.folder));
  set_free(&set);
}
END_TEST

Suite *codegen_suite(void) {
  Suite *suite = suite_create("codegen");
  TCase *values = tcase_create("values");
  tcase_set_timeout(values, 240);
  tcase_add_loop_test(values, random_programs_agree, 0, 2);
  tcase_add_test(values, gradients_of_random_programs_agree);
  tcase_add_test(values, maps_agree);
  tcase_add_test(values, reductions_agree);
  tcase_add_test(values, reductions_of_nan_agree);
  tcase_add_test(values, large_loops_agree);
  tcase_add_test(values, indexing_agrees);
  tcase_add_loop_test(values, short_batches_agree, 0, 3);
  suite_add_tcase(suite, values);
  TCase *text = tcase_create("text");
  tcase_set_timeout(text, 240);
  tcase_add_test(text, equal_layers_share_their_kernels);
  tcase_add_test(text, compiles_from_another_folder);
  tcase_add_test(text, an_update_looks_before_it_writes);
  tcase_add_test(text, many_gradients_are_measured_first);
  tcase_add_loop_test(text, indices_are_as_wide_as_needed, 0, sizeof widths / sizeof widths[0]);
  tcase_add_test(text, cuda_compiles);
  suite_add_tcase(suite, text);
  return suite;
}
