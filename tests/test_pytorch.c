/* test_pytorch.c - values, gradients and optimizer steps against what PyTorch
 * computed in float64 (the files of pytorch/; make.py says how a case is
 * written, and the scripts beside it made them).
 *
 * On the evaluator each case becomes a small model whose parameters are the
 * inputs, evaluated in double precision after the gradient pass alone, and
 * again after every pass: within 1e-10.  On the C target many cases stand in
 * one model, the loss being the sum of theirs; cases that differ in their
 * numbers only share a module and come one after the other.  There an upstream
 * gradient is a parameter too, and its gradient is the case's value.  What is
 * at the edges, and some of the rest, goes through emulated CUDA as well.
 */
#include <check.h>
#include <glob.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "passes/passes.h"
#include "runtime/mtrt_bf16.h"
#include "tests/compiled.h"
#include "tests/generated.h"

enum { MAX_INPUTS = 4, MAX_VALUES = 600 };

/* A case: {"e": expression, "x": [[name, shape, data, gradient or null], ...], "s": shape, "v": value, "u": upstream,
 * "f": float's error,
 * "row": which edge it is of, "training": true where the value is another outside of training}. */
enum { NAME, SHAPE, DATA, GRADIENT };
static json_t *part(json_t *input, size_t which) { return json_array_get(input, which); }
static const char *name_of(json_t *input) { return json_string_value(part(input, NAME)); }
static bool has_gradient(json_t *input) { return !json_is_null(part(input, GRADIENT)); }

static double number(json_t *value) {
  const char *text = json_string_value(value);
  if (!text) return json_number_value(value);
  return !strcmp(text, "nan") ? NAN : !strcmp(text, "inf") ? INFINITY : -INFINITY;
}

static int numbers(json_t *array, double *out) {
  int n = (int)json_array_size(array);
  ck_assert_int_le(n, MAX_VALUES);
  for (int i = 0; i < n; i++) out[i] = number(json_array_get(array, (size_t)i));
  return n;
}

static void add_shape(Text *out, json_t *shape) {
  text_add(out, "[");
  for (size_t i = 0; i < json_array_size(shape); i++)
    text_add(out, "%s%lld", i ? ", " : "", (long long)json_integer_value(json_array_get(shape, i)));
  text_add(out, "]");
}

/* The case as a model: `net` holds the inputs, `up` the upstream gradient. */
static char *model_of(json_t *item, const char *options, Arena *arena) {
  Text text = {0};
  json_t *inputs = json_object_get(item, "x"), *shape = json_object_get(item, "s");
  bool trains = false;
  text_add(&text,
           "use nn\ndim B = 1\ndata rows_of = random(rows: 1, seed: 1) -> { rows: f32[B] }\nmodule M()(rows: [B]) -> ");
  add_shape(&text, shape);
  text_add(&text, " {\n");
  for (size_t i = 0; i < json_array_size(inputs); i++) {
    json_t *input = json_array_get(inputs, i);
    trains |= has_gradient(input);
    text_add(&text, "  param %s: ", name_of(input));
    add_shape(&text, part(input, SHAPE));
    text_add(&text, " = zeros\n");
  }
  text_add(&text, "  return %s\n}\nlet net = M()\n", json_string_value(json_object_get(item, "e")));
  if (trains) {
    text_add(&text, "module Upstream()(y: ");
    add_shape(&text, shape);
    text_add(&text, ") -> [] {\n  param w: ");
    add_shape(&text, shape);
    text_add(&text, " = zeros\n  return sum(y * w)\n}\nlet up = Upstream()\ntrain d in rows_of for 1 steps%s {\n", options);
    for (size_t i = 0; i < json_array_size(inputs); i++) {
      json_t *input = json_array_get(inputs, i);
      if (!has_gradient(input)) text_add(&text, "  freeze net.%s\n", name_of(input));
    }
    text_add(&text, "  let loss = up(net(d.rows))\n  update net minimize loss using sgd(lr: 1)\n}\n");
  }
  text_add(&text, "predict p in { rows: f32[B] } -> net(p.rows)\n");
  return text_take(&text, arena);
}

static void compare(const char *expr, const char *what, const double *want, const double *got, int n) {
  for (int i = 0; i < n; i++) {
    bool same = isnan(want[i])   ? isnan(got[i])
                : isinf(want[i]) ? want[i] == got[i]
                                 : fabs(want[i] - got[i]) <= 1e-10 * fabs(want[i]) + 1e-12;
    ck_assert_msg(same, "%s: %s, element %d: PyTorch has %.17g, we have %.17g", expr, what, i, want[i], got[i]);
  }
}

typedef struct Bindings {
  int n;
  Binding list[MAX_INPUTS + 5];
  double values[MAX_INPUTS + 1][MAX_VALUES];
  char paths[MAX_INPUTS][32];
} Bindings;

static void bind_case(json_t *item, Bindings *b) {
  static const double z[MAX_VALUES] = {0};
  static double ones[MAX_VALUES];
  for (int i = 0; i < MAX_VALUES; i++) ones[i] = 1;
  json_t *inputs = json_object_get(item, "x");
  b->n = (int)json_array_size(inputs);
  for (int i = 0; i < b->n; i++) {
    json_t *input = json_array_get(inputs, (size_t)i);
    snprintf(b->paths[i], sizeof b->paths[i], "net.%s", name_of(input));
    numbers(part(input, DATA), b->values[i]);
    b->list[i] = (Binding){b->paths[i], b->values[i]};
  }
  numbers(json_object_get(item, "u"), b->values[MAX_INPUTS]);
  b->list[b->n++] = (Binding){"up.w", b->values[MAX_INPUTS]};
  b->list[b->n++] = (Binding){"net.ln.weight", ones}; /* where the case has a LayerNorm */
  b->list[b->n++] = (Binding){"net.ln.bias", z};
  b->list[b->n++] = (Binding){"d.rows", z};
  b->list[b->n++] = (Binding){"p.rows", z};
}

static Tensor *run_graph(const Graph *graph, const Bindings *b, bool round, Arena *arena) {
  EvaluateOptions options = {.rows = 1, .round = round};
  Tensor *outputs = arena_alloc(arena, sizeof *outputs * ((size_t)graph->n_outputs + 1));
  const char *missing = NULL;
  ck_assert_msg(evaluate(graph, b->list, b->n, &options, outputs, &missing), "leaf %s is unbound", missing);
  return outputs;
}

static void check_case(json_t *item, const char *stop_after) {
  Arena *arena = arena_new();
  const char *expr = json_string_value(json_object_get(item, "e"));
  Program *program = compiled_until(arena, model_of(item, "", arena), stop_after);
  static Bindings bindings;
  static double want[MAX_VALUES];
  bind_case(item, &bindings);
  int n = numbers(json_object_get(item, "v"), want);
  Tensor *value = run_graph(program->predict.graph, &bindings, false, arena);
  ck_assert_int_eq(value[0].count, n);
  if (!json_object_get(item, "training")) compare(expr, "value", want, value[0].data, n);
  tensor_free(&value[0]);
  if (program->has_train) {
    const Graph *graph = program->train.graph;
    Tensor *outputs = run_graph(graph, &bindings, false, arena);
    json_t *inputs = json_object_get(item, "x");
    for (size_t i = 0; i < json_array_size(inputs); i++) {
      json_t *grad = part(json_array_get(inputs, i), GRADIENT);
      if (json_is_null(grad)) continue;
      int o = 0;
      while (o < graph->n_outputs &&
             !(graph->outputs[o].role == OUT_GRAD && !strcmp(graph->outputs[o].name, bindings.paths[i])))
        o++;
      ck_assert_msg(o < graph->n_outputs, "%s: no gradient of %s", expr, bindings.paths[i]);
      n = numbers(grad, want);
      ck_assert_int_eq(outputs[o].count, n);
      compare(expr, bindings.paths[i], want, outputs[o].data, n);
    }
    for (int o = 0; o < graph->n_outputs; o++) tensor_free(&outputs[o]);
  }
  arena_free(arena);
}

static json_t *load(const char *name) {
  char path[512];
  json_error_t why;
  snprintf(path, sizeof path, TESTS_DIR "/pytorch/%s.json", name);
  json_t *list = json_load_file(path, 0, &why);
  ck_assert_msg(list != NULL, "%s: %s", path, why.text);
  return list;
}

/* Lists of cases are told from others by their expressions. */
static bool holds_cases(json_t *list) { return json_is_array(list) && json_object_get(json_array_get(list, 0), "e"); }

/* The cases of all files of the folder, as one list. */
static json_t *load_cases(void) {
  json_t *all = json_array();
  glob_t found;
  ck_assert_int_eq(glob(TESTS_DIR "/pytorch/*.json", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    json_error_t why;
    json_t *list = json_load_file(found.gl_pathv[i], 0, &why);
    ck_assert_msg(list != NULL, "%s: %s", found.gl_pathv[i], why.text);
    if (holds_cases(list)) ck_assert_int_eq(json_array_extend(all, list), 0);
    json_decref(list);
  }
  globfree(&found);
  ck_assert_uint_ge(json_array_size(all), 4200);
  return all;
}

/* In parts, so that a failure does not hide the rest. */
enum { PARTS = 50 };

static void check_part(int part, const char *stop_after) {
  json_t *list = load_cases();
  size_t n = json_array_size(list);
  for (size_t i = (size_t)part; i < n; i += PARTS) check_case(json_array_get(list, i), stop_after);
  json_decref(list);
}

START_TEST(ops_as_derived) { check_part(_i, "gradient"); }
END_TEST

START_TEST(ops_after_every_pass) { check_part(_i, NULL); }
END_TEST

/* ---- bf16 (bf16.json; bf16.py says what it holds) ------------------------------------------------ */

typedef void (*Compare)(const char *expr, const char *what, json_t *want, double error, const Tensor *got);

/* But that PyTorch's gradients of what is cast to bf16 are themselves bf16, and ours f32. */
static void same_bits(const char *expr, const char *what, json_t *want, double error, const Tensor *got) {
  (void)error;
  for (int64_t i = 0; i < got->count; i++) {
    double w = number(json_array_get(want, (size_t)i)), g = got->data[i];
    bool same = w == g || (strcmp(what, "value") && w == (double)mt_bf16_rounded((float)g));
    ck_assert_msg(same, "%s: %s, element %lld: PyTorch has %.9g, we have %.9g", expr, what, (long long)i, w, g);
  }
}

/* At most 1.5 times as far from float64 as PyTorch's autocast; how far a few numbers are, within a rounding, is chance. */
static void as_near(const char *expr, const char *what, json_t *want, double error, const Tensor *got) {
  double difference = 0, size = 0;
  for (int64_t i = 0; i < got->count; i++) {
    double w = number(json_array_get(want, (size_t)i)), d = got->data[i] - w;
    difference += d * d, size += w * w;
  }
  double off = sqrt(difference / size), most = fmax(1.5 * error + 1e-7, got->count < 16 ? 0x1p-8 : 0);
  ck_assert_msg(off <= most && off <= 2e-2, "%s: %s is off by %.2e, PyTorch by %.2e", expr, what, off, error);
}

static void check_bf16(json_t *item, const char *options, const char *stop_after, Compare compares) {
  Arena *arena = arena_new();
  const char *expr = json_string_value(json_object_get(item, "e"));
  Program *program = compiled_until(arena, model_of(item, options, arena), stop_after);
  const Graph *graphs[] = {program->predict.graph, program->train.graph};
  static Bindings bindings;
  bind_case(item, &bindings);
  for (int g = 0; g < 2; g++) {
    Tensor *outputs = run_graph(graphs[g], &bindings, true, arena);
    for (int o = 0; o < graphs[g]->n_outputs; o++) {
      const Output *output = &graphs[g]->outputs[o];
      json_t *inputs = json_object_get(item, "x"), *input;
      size_t i;
      if (output->role == OUT_VALUE)
        compares(expr, "value", json_object_get(item, "v"), json_number_value(json_object_get(item, "f")), &outputs[o]);
      json_array_foreach(inputs, i, input) if (output->role == OUT_GRAD && !strcmp(output->name, bindings.paths[i]))
          compares(expr, output->name, part(input, GRADIENT), json_number_value(part(input, GRADIENT + 1)), &outputs[o]);
      tensor_free(&outputs[o]);
    }
  }
  arena_free(arena);
}

START_TEST(bf16_is_pytorchs) {
  json_t *lists = load("bf16"), *item;
  size_t i, n_same = json_array_size(json_object_get(lists, "same")), n_cast = json_array_size(json_object_get(lists, "autocast"));
  const char *stop_after = _i ? NULL : "gradient";
  ck_assert_uint_ge(n_same, 60);
  ck_assert_uint_ge(n_cast, 32);
  json_array_foreach(json_object_get(lists, "same"), i, item) check_bf16(item, "", stop_after, same_bits);
  json_array_foreach(json_object_get(lists, "autocast"), i, item)
      check_bf16(item, " with (precision: bf16)", stop_after, as_near);
  json_decref(lists);
}
END_TEST

static const char *const run_lists[] = {"optimizers", "clipped"};

/* Times min(1, c / (norm + 1e-6)); a NaN norm makes all NaN. */
static void clip_to(json_t *clip, double *g, int n) {
  double squares = 0;
  for (int i = 0; i < n; i++) squares += g[i] * g[i];
  double factor = clip ? json_number_value(clip) / (sqrt(squares) + 1e-6) : 1;
  for (int i = 0; i < n; i++) g[i] *= factor > 1 ? 1 : factor;
}

START_TEST(optimizers_over_ten_steps) {
  json_t *list = load(run_lists[_i]), *item;
  size_t index;
  json_array_foreach(list, index, item) {
    const Optimizer *o = optimizer_find(json_string_value(json_object_get(item, "optimizer")));
    ck_assert_ptr_nonnull(o);
    json_t *options = json_object_get(item, "options"), *steps = json_object_get(item, "steps");
    double hyper[MAX_HYPER] = {0}, p[4], slots[4][MAX_SLOTS] = {{0}}, g[4], want[4];
    size_t used = 0;
    for (int h = 0; h < MAX_HYPER && o->hyper[h]; h++) {
      json_t *given = json_object_get(options, o->hyper[h]);
      hyper[h] = given ? number(given) : o->fallback[h];
      used += given != NULL;
    }
    ck_assert_uint_eq(used, json_object_size(options));
    numbers(json_object_get(item, "start"), p);
    for (size_t s = 0; s < json_array_size(steps); s++) {
      json_t *step = json_array_get(steps, s);
      numbers(json_object_get(step, "g"), g);
      numbers(json_object_get(step, "p"), want);
      clip_to(json_object_get(item, "clip"), g, 4);
      for (int i = 0; i < 4; i++) {
        p[i] = optimizer_apply(o, hyper, (double)s + 1, p[i], g[i], slots[i]);
        bool same = isnan(want[i]) ? isnan(p[i]) : fabs(p[i] - want[i]) <= 1e-10 * fabs(want[i]) + 1e-14;
        ck_assert_msg(same, "%s, run %zu, step %zu: PyTorch has %.17g, we have %.17g", o->name, index, s, want[i],
                      p[i]);
      }
    }
  }
  json_decref(list);
}
END_TEST

/* ---- the C target --------------------------------------------------------------- */

enum { BLOCK = 48, BUILDS = 5, PER_CASE = MAX_INPUTS + 1 };

/* Cases of one block; those of one model are different `round`s of a module. */
typedef struct Block {
  Arena *arena;
  int n_cases, n_modules, n_rounds;
  json_t *item[BLOCK];
  int module[BLOCK], round[BLOCK];
  Program *program;
} Block;

static bool same_model(json_t *a, json_t *b) {
  json_t *x = json_object_get(a, "x"), *y = json_object_get(b, "x");
  bool same = json_equal(json_object_get(a, "e"), json_object_get(b, "e")) &&
              json_equal(json_object_get(a, "s"), json_object_get(b, "s")) && json_array_size(x) == json_array_size(y);
  for (size_t i = 0; same && i < json_array_size(x); i++) {
    json_t *p = json_array_get(x, i), *q = json_array_get(y, i);
    same = !strcmp(name_of(p), name_of(q)) && json_equal(part(p, SHAPE), part(q, SHAPE)) &&
           has_gradient(p) == has_gradient(q);
  }
  return same;
}

static void add_param(Text *text, const char *name, json_t *shape) {
  text_add(text, "  param %s: ", name);
  add_shape(text, shape);
  text_add(text, " = zeros\n");
}

static void add_module(Text *text, json_t *item, int module) {
  json_t *inputs = json_object_get(item, "x"), *input;
  size_t i;
  text_add(text, "module C%d()(rows: [B]) -> [] {\n", module);
  json_array_foreach(inputs, i, input) add_param(text, name_of(input), part(input, SHAPE));
  add_param(text, "up", json_object_get(item, "s"));
  text_add(text, "  return sum((%s) * up)\n}\n", json_string_value(json_object_get(item, "e")));
}

/* All modules of a block: the loss is the sum of their results. */
static const char *block_model(const Block *b) {
  Text text = {0};
  text_add(&text, "use nn\ndim B = 1\ndata rows_of = random(rows: 1, seed: 1) -> { rows: f32[B] }\n");
  for (int c = 0; c < b->n_cases; c++)
    if (b->round[c] == 0) add_module(&text, b->item[c], b->module[c]);
  text_add(&text, "module All()(rows: [B]) -> [] {\n  return ");
  for (int m = 0; m < b->n_modules; m++) text_add(&text, "%s(rows |> c%d: C%d())", m ? " +\n    " : "", m, m);
  text_add(&text, "\n}\nlet net = All()\ntrain d in rows_of for 1 steps {\n");
  for (int c = 0; c < b->n_cases; c++) {
    json_t *input;
    size_t i;
    json_array_foreach(json_object_get(b->item[c], "x"), i, input) if (b->round[c] == 0 && !has_gradient(input))
        text_add(&text, "  freeze net.c%d.%s\n", b->module[c], name_of(input));
  }
  text_add(&text, "  let loss = net(d.rows)\n  update net minimize loss using sgd(lr: 1)\n}\n");
  return text_take(&text, b->arena);
}

static Block *block_new(json_t *list, size_t first) {
  Arena *arena = arena_new();
  Block *b = arena_alloc(arena, sizeof *b);
  b->arena = arena;
  for (size_t i = first; i < json_array_size(list) && b->n_cases < BLOCK; i++) {
    json_t *item = json_array_get(list, i);
    int c = b->n_cases++;
    b->item[c] = item;
    b->module[c] = -1;
    for (int o = 0; o < c; o++)
      if (same_model(b->item[o], item)) b->module[c] = b->module[o], b->round[c] = b->round[o] + 1;
    if (b->module[c] < 0) b->module[c] = b->n_modules++;
    if (b->round[c] >= b->n_rounds) b->n_rounds = b->round[c] + 1;
  }
  b->program = compiled_until(arena, block_model(b), NULL);
  return b;
}

/* ||ours - PyTorch's|| over what is finite; elsewhere the same NaN or infinity. */
static void compare_norm(json_t *item, const char *what, json_t *numbers_of, const Tensor *got, int real_size) {
  static double want[MAX_VALUES];
  const char *expr = json_string_value(json_object_get(item, "e"));
  double difference = 0, size = 0;
  int n = numbers(numbers_of, want);
  ck_assert_int_eq(got->count, n);
  for (int i = 0; i < n; i++) {
    double w = want[i], g = got->data[i];
    if (real_size == 4 && isfinite(w) && fabs(w) > 3e38) continue; /* no float */
    bool same = isnan(w) ? isnan(g) : isinf(w) || isinf(g) ? w == g : !isnan(g);
    ck_assert_msg(same, "%s: %s, element %d, %d-byte reals: PyTorch has %.17g, we have %.17g", expr, what, i, real_size,
                  w, g);
    if (!isfinite(w)) continue;
    difference += (w - g) * (w - g);
    size += w * w;
  }
  json_t *own = json_object_get(item, "f"); /* 1.5 times PyTorch's error in float, where that is larger */
  double limit = real_size == 8 ? 1e-10 : own ? json_number_value(own) : 1e-5;
  ck_assert_msg(sqrt(difference) <= limit * sqrt(size) + limit * 1e-3, "%s: %s, %d-byte reals: ||d|| is %g of %g", expr,
                what, real_size, sqrt(difference), sqrt(size));
}

/* Inputs that float does not hold are not asked of float. */
static bool is_exact(json_t *item) {
  json_t *input, *value;
  size_t i, k;
  json_array_foreach(json_object_get(item, "x"), i, input) json_array_foreach(part(input, DATA), k, value) {
    double v = number(value);
    if (isfinite(v) && (double)(float)v != v) return false;
  }
  return true;
}

static const Tensor *gradient_of(const Graph *g, const Tensor *outputs, const char *path) {
  for (int o = 0; o < g->n_outputs; o++)
    if (g->outputs[o].role == OUT_GRAD && !strcmp(g->outputs[o].name, path)) return &outputs[o];
  ck_abort_msg("no gradient of %s", path);
}

static void compare_case(const Block *b, int c, const Tensor *outputs, int real_size) {
  const Graph *graph = b->program->train.graph;
  json_t *item = b->item[c], *input;
  size_t i;
  if (real_size == 4 && !is_exact(item)) return;
  const char *up = arena_print(b->arena, "net.c%d.up", b->module[c]);
  compare_norm(item, "value", json_object_get(item, "v"), gradient_of(graph, outputs, up), real_size);
  json_array_foreach(json_object_get(item, "x"), i, input) {
    if (!has_gradient(input)) continue;
    const char *path = arena_print(b->arena, "net.c%d.%s", b->module[c], name_of(input));
    compare_norm(item, name_of(input), part(input, GRADIENT), gradient_of(graph, outputs, path), real_size);
  }
}

static void add_binding(const Block *b, Binding *list, int *n, const char *path, json_t *data) {
  double *values = arena_alloc(b->arena, MAX_VALUES * sizeof *values);
  numbers(data, values);
  list[(*n)++] = (Binding){path, values};
}

/* Program `number` of the set is the block's, as C or as CUDA. */
static void run_round(const Block *b, const Generated *set, int number, bool cuda, int round, int real_size) {
  Binding bindings[BLOCK * (PER_CASE + 2)];
  const Graph *graph = b->program->train.graph;
  int n = 0;
  double *ones = arena_alloc(b->arena, MAX_VALUES * sizeof *ones);
  for (int i = 0; i < MAX_VALUES; i++) ones[i] = 1;
  for (int c = 0; c < b->n_cases; c++) {
    json_t *input;
    size_t i;
    int m = b->module[c];
    if (b->round[c] != round) continue;
    json_array_foreach(json_object_get(b->item[c], "x"), i, input)
        add_binding(b, bindings, &n, arena_print(b->arena, "net.c%d.%s", m, name_of(input)), part(input, DATA));
    add_binding(b, bindings, &n, arena_print(b->arena, "net.c%d.up", m), json_object_get(b->item[c], "u"));
    bindings[n++] = (Binding){arena_print(b->arena, "net.c%d.ln.weight", m), ones};
  }
  Tensor *outputs = arena_alloc(b->arena, sizeof *outputs * ((size_t)graph->n_outputs + 1));
  if (cuda) {
    char *wrong = generated_call_emulated(set, number, b->program, real_size, 1, bindings, n, &(EvaluateOptions){.rows = 1}, outputs);
    ck_assert_msg(!wrong, "%s", wrong);
  } else {
    const MtProgram *emitted = generated_program(set, number);
    MtStep step = real_size == 8 ? emitted->train->phases[0].gradients_f64 : emitted->train->phases[0].gradients;
    generated_call(b->program, emitted, graph, step, real_size, bindings, n, &(EvaluateOptions){.rows = 1}, outputs);
  }
  for (int c = 0; c < b->n_cases; c++)
    if (b->round[c] == round) compare_case(b, c, outputs, real_size);
  for (int o = 0; o < graph->n_outputs; o++) tensor_free(&outputs[o]);
}

/* Blocks `part`, part + parts, ... of the list, built together, in double and in float. */
static void check_target(json_t *list, int part, int parts, bool cuda) {
  Generated *set = generated_new();
  Block *blocks[64];
  int n = 0;
  for (size_t first = (size_t)part * BLOCK; first < json_array_size(list); first += (size_t)parts * BLOCK) {
    ck_assert_int_lt(n, 64);
    blocks[n] = block_new(list, first);
    if (cuda) generated_add_cuda(set, blocks[n++]->program);
    else generated_add(set, blocks[n++]->program);
  }
  if (cuda) generated_build_emulated(set);
  else generated_build(set, "-O0");
  for (int k = 0; k < n; k++) {
    for (int round = 0; round < blocks[k]->n_rounds; round++)
      for (int real_size = 8; real_size >= 4; real_size -= 4) run_round(blocks[k], set, k, cuda, round, real_size);
    arena_free(blocks[k]->arena);
  }
  generated_free(set);
}

START_TEST(ops_on_the_c_target) {
  json_t *list = load_cases();
  check_target(list, _i, BUILDS, false);
  json_decref(list);
}
END_TEST

enum { CUDA_BUILDS = 4, ONE_IN = 24 };

/* CUDA under the emulator, which is slow: what is at the edges, and one case in so many of the others. */
START_TEST(ops_on_emulated_cuda) {
  json_t *list = load_cases(), *asked = json_array(), *item;
  size_t i, edges = 0;
  json_array_foreach(list, i, item) {
    bool edge = json_object_get(item, "row") != NULL;
    edges += edge;
    if (edge || i % ONE_IN == 0) json_array_append(asked, item);
  }
  ck_assert_uint_ge(edges, 150);
  check_target(asked, _i, CUDA_BUILDS, true);
  json_decref(asked);
  json_decref(list);
}
END_TEST

/* ---- optimizers on the C target: a group a run, from options in the model to the runtime's loops ---- */

enum { RUNS = 15, VECTOR = 4 };

static const char *optimizer_model(json_t *list, size_t first, int n, Arena *arena) {
  Text text = {0};
  text_add(&text,
           "use nn\ndim B = 1\ndata rows_of = random(rows: 1, seed: 1) -> { rows: f32[B] }\n"
           "module O()(rows: [B]) -> [] {\n  param w: [%d] = zeros\n  return sum(w)\n}\n"
           "module All()(rows: [B]) -> [] {\n  return ",
           VECTOR);
  for (int i = 0; i < n; i++) text_add(&text, "%s(rows |> o%d: O())", i ? " + " : "", i);
  text_add(&text, "\n}\nlet net = All()\ntrain d in rows_of for 10 steps {\n  let loss = net(d.rows)\n  update ");
  for (int i = 0; i < n; i++) {
    json_t *run = json_array_get(list, first + (size_t)i), *value;
    const char *key;
    text_add(&text, i ? ",\n    net.o%d using %s(" : "net.o%d minimize loss using %s(", i,
             json_string_value(json_object_get(run, "optimizer")));
    json_object_foreach(json_object_get(run, "options"), key, value) {
      text_add(&text, "%s: ", key);
      if (!strcmp(key, "nesterov") || !strcmp(key, "centered"))
        text_add(&text, "%s, ", number(value) != 0 ? "true" : "false");
      else
        text_number(&text, number(value)), text_add(&text, ", ");
    }
    text.data[text.length -= 2] = 0;
    if (json_object_get(run, "clip")) text_add(&text, ", clip: %g", number(json_object_get(run, "clip")));
    text_add(&text, ")");
  }
  text_add(&text, "\n}\n");
  return text_take(&text, arena);
}

static void put_real(void *block, int real_size, int64_t i, double value) {
  if (real_size == 8)
    ((double *)block)[i] = value;
  else
    ((float *)block)[i] = (float)value;
}

static double get_real(const void *block, int real_size, int64_t i) {
  return real_size == 8 ? ((const double *)block)[i] : (double)((const float *)block)[i];
}

/* Each parameter vector after each step; in float ten steps of rounding are allowed. */
static void follow_runs(const Program *program, const MtProgram *emitted, json_t *list, size_t first, int real_size) {
  MtScalars scalars = {.grad_scale = 1, .lr_scale = 1, .total = 10};
  MtRun run = {.backend = &mt_cpu, .program = emitted, .real_size = real_size, .budget = -1, .scalars = &scalars};
  void *blocks[6];
  double values[VECTOR], want[VECTOR];
  for (int i = 0; i < 6; i++) blocks[i] = calloc((size_t)program->param_elements + 1, 8);
  run.params = blocks[0], run.grads = blocks[1], run.outputs = blocks[2];
  for (int i = 0; i < 3; i++) run.slots[i] = blocks[3 + i];
  for (int k = 0; k < program->n_params; k++) {
    numbers(json_object_get(json_array_get(list, first + (size_t)k), "start"), values);
    for (int i = 0; i < VECTOR; i++) put_real(run.params, real_size, program->params[k].offset + i, values[i]);
  }
  for (int64_t t = 0; t < 10; t++) {
    json_t *step;
    for (int k = 0; k < program->n_params; k++) {
      step = json_array_get(json_object_get(json_array_get(list, first + (size_t)k), "steps"), (size_t)t);
      numbers(json_object_get(step, "g"), values);
      for (int i = 0; i < VECTOR; i++) put_real(run.grads, real_size, program->params[k].offset + i, values[i]);
    }
    emitted->train->phases[0].update(&run, &(MtEnd){.loss = -1, .last = true, .ends = true});
    ck_assert_int_eq(scalars.step, t + 1);
    for (int k = 0; k < program->n_params; k++) {
      step = json_array_get(json_object_get(json_array_get(list, first + (size_t)k), "steps"), (size_t)t);
      numbers(json_object_get(step, "p"), want);
      for (int i = 0; i < VECTOR; i++) {
        double got = get_real(run.params, real_size, program->params[k].offset + i);
        double limit = real_size == 4 ? 2e-6 * fmax(fabs(want[i]), 1) : 1e-10 * fabs(want[i]) + 1e-14;
        ck_assert_msg(isnan(want[i]) ? isnan(got) : fabs(got - want[i]) <= limit,
                      "run %zu, step %lld, %d-byte reals: PyTorch has %.17g, we have %.17g", first + (size_t)k,
                      (long long)t, real_size, want[i], got);
      }
    }
  }
  for (int i = 0; i < 6; i++) free(blocks[i]);
}

/* How many runs share a model: one that clips has the norm to itself. */
static int count_of(json_t *list, size_t first) {
  int n = 0;
  while (n < RUNS && first + (size_t)n < json_array_size(list)) {
    bool clips = json_object_get(json_array_get(list, first + (size_t)n), "clip") != NULL;
    if (clips && n > 0) break;
    n++;
    if (clips) break;
  }
  return n;
}

START_TEST(optimizers_on_the_c_target) {
  json_t *list = load(run_lists[_i]);
  Arena *arena = arena_new();
  Generated *set = generated_new();
  Program *programs[32];
  size_t starts[32];
  int n = 0;
  for (size_t first = 0; first < json_array_size(list); first += (size_t)count_of(list, first)) {
    const char *model = optimizer_model(list, first, count_of(list, first), arena);
    starts[n] = first;
    programs[n] = compiled_until(arena, model, NULL);
    generated_add(set, programs[n++]);
  }
  generated_build(set, "-O0");
  for (int k = 0; k < n; k++)
    for (int real_size = 8; real_size >= 4; real_size -= 4)
      follow_runs(programs[k], generated_program(set, k), list, starts[k], real_size);
  generated_free(set);
  arena_free(arena);
  json_decref(list);
}
END_TEST

Suite *pytorch_suite(void) {
  Suite *suite = suite_create("pytorch");
  TCase *ops = tcase_create("ops");
  tcase_set_timeout(ops, 240);
  tcase_add_loop_test(ops, ops_as_derived, 0, PARTS);
  tcase_add_loop_test(ops, ops_after_every_pass, 0, PARTS);
  tcase_add_loop_test(ops, ops_on_the_c_target, 0, BUILDS);
  tcase_add_loop_test(ops, ops_on_emulated_cuda, 0, CUDA_BUILDS);
  suite_add_tcase(suite, ops);
  TCase *bf16 = tcase_create("bf16");
  tcase_set_timeout(bf16, 120);
  tcase_add_loop_test(bf16, bf16_is_pytorchs, 0, 2);
  suite_add_tcase(suite, bf16);
  TCase *optimizers = tcase_create("optimizers"); /* CK_RUN_CASE=optimizers: these alone */
  tcase_set_timeout(optimizers, 240);
  tcase_add_loop_test(optimizers, optimizers_over_ten_steps, 0, 2);
  tcase_add_loop_test(optimizers, optimizers_on_the_c_target, 0, 2);
  suite_add_tcase(suite, optimizers);
  return suite;
}
