/* test_pytorch.c - values, gradients and optimizer steps against what PyTorch
 * computed in float64 (pytorch/ops.json, pytorch/optimizers.json; make.py made
 * them).  Each case becomes a small model whose parameters are the inputs; it
 * is evaluated in double precision after the gradient pass alone, and again
 * after every pass. */
#include <check.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/ir.h"
#include "passes/passes.h"

enum { MAX_INPUTS = 4, MAX_VALUES = 512 };

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
  for (size_t i = 0; i < json_array_size(shape); i++) text_add(out, "%s%lld", i ? ", " : "", (long long)json_integer_value(json_array_get(shape, i)));
  text_add(out, "]");
}

/* The case as a model: `net` holds the inputs, `up` the upstream gradient. */
static char *model_of(json_t *item, Arena *arena) {
  Text text = {0};
  json_t *inputs = json_object_get(item, "inputs"), *shape = json_object_get(item, "shape");
  bool trains = false;
  text_add(&text, "use nn\ndim B = 1\ndata rows_of = random(rows: 1, seed: 1) -> { z: f32[B] }\nmodule M()(z: [B]) -> ");
  add_shape(&text, shape);
  text_add(&text, " {\n");
  for (size_t i = 0; i < json_array_size(inputs); i++) {
    json_t *input = json_array_get(inputs, i);
    trains |= !json_is_null(json_object_get(input, "grad"));
    text_add(&text, "  param %s: ", json_string_value(json_object_get(input, "name")));
    add_shape(&text, json_object_get(input, "shape"));
    text_add(&text, " = zeros\n");
  }
  text_add(&text, "  return %s\n}\nlet net = M()\n", json_string_value(json_object_get(item, "expr")));
  if (trains) {
    text_add(&text, "module Upstream()(y: ");
    add_shape(&text, shape);
    text_add(&text, ") -> [] {\n  param w: ");
    add_shape(&text, shape);
    text_add(&text, " = zeros\n  return sum(y * w)\n}\nlet up = Upstream()\ntrain d in rows_of for 1 steps {\n");
    for (size_t i = 0; i < json_array_size(inputs); i++) {
      json_t *input = json_array_get(inputs, i);
      if (json_is_null(json_object_get(input, "grad"))) text_add(&text, "  freeze net.%s\n", json_string_value(json_object_get(input, "name")));
    }
    text_add(&text, "  let loss = up(net(d.z))\n  update net minimize loss using sgd(lr: 1)\n}\n");
  }
  text_add(&text, "predict p in { z: f32[B] } -> net(p.z)\n");
  return text_take(&text, arena);
}

static Program *compile_case(const char *model, const char *stop_after, Arena *arena) {
  Source source = {.path = "case.mt", .text = model, .length = strlen(model)};
  Diagnostics *d = diagnostics_new();
  FrontendOptions none = {0};
  Program *program = compile(&source, &none, arena, d);
  if (program) {
    PassContext context = {.program = program, .arena = arena, .diagnostics = d, .level = 2, .bisect_limit = LONG_MAX, .verify_each = true, .stop_after = stop_after};
    if (!run_pipeline(&context, NULL, NULL)) program = NULL;
  }
  if (!program) {
    diagnostics_print(d, stderr, false);
    ck_abort_msg("does not compile:\n%s", model);
  }
  diagnostics_free(d);
  return program;
}

static void compare(const char *expr, const char *what, const double *want, const double *got, int n) {
  for (int i = 0; i < n; i++) {
    bool same = isnan(want[i]) ? isnan(got[i]) : isinf(want[i]) ? want[i] == got[i] : fabs(want[i] - got[i]) <= 1e-10 * fabs(want[i]) + 1e-12;
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
  json_t *inputs = json_object_get(item, "inputs");
  b->n = (int)json_array_size(inputs);
  for (int i = 0; i < b->n; i++) {
    json_t *input = json_array_get(inputs, (size_t)i);
    snprintf(b->paths[i], sizeof b->paths[i], "net.%s", json_string_value(json_object_get(input, "name")));
    numbers(json_object_get(input, "data"), b->values[i]);
    b->list[i] = (Binding){b->paths[i], b->values[i]};
  }
  numbers(json_object_get(item, "upstream"), b->values[MAX_INPUTS]);
  b->list[b->n++] = (Binding){"up.w", b->values[MAX_INPUTS]};
  b->list[b->n++] = (Binding){"net.ln.weight", ones}; /* where the case has a LayerNorm */
  b->list[b->n++] = (Binding){"net.ln.bias", z};
  b->list[b->n++] = (Binding){"d.z", z};
  b->list[b->n++] = (Binding){"p.z", z};
}

static Tensor *run_graph(const Graph *graph, const Bindings *b, Arena *arena) {
  EvaluateOptions options = {.rows = 1};
  Tensor *outputs = arena_alloc(arena, sizeof *outputs * ((size_t)graph->n_outputs + 1));
  const char *missing = NULL;
  ck_assert_msg(evaluate(graph, b->list, b->n, &options, outputs, &missing), "leaf %s is unbound", missing);
  return outputs;
}

static void check_case(json_t *item, const char *stop_after) {
  Arena *arena = arena_new();
  const char *expr = json_string_value(json_object_get(item, "expr"));
  Program *program = compile_case(model_of(item, arena), stop_after, arena);
  static Bindings bindings;
  static double want[MAX_VALUES];
  bind_case(item, &bindings);
  int n = numbers(json_object_get(item, "value"), want);
  Tensor *value = run_graph(program->predict.graph, &bindings, arena);
  ck_assert_int_eq(value[0].count, n);
  compare(expr, "value", want, value[0].data, n);
  tensor_free(&value[0]);
  if (program->has_train) {
    const Graph *graph = program->train.graph;
    Tensor *outputs = run_graph(graph, &bindings, arena);
    json_t *inputs = json_object_get(item, "inputs");
    for (size_t i = 0; i < json_array_size(inputs); i++) {
      json_t *grad = json_object_get(json_array_get(inputs, i), "grad");
      if (json_is_null(grad)) continue;
      int o = 0;
      while (o < graph->n_outputs && !(graph->outputs[o].role == OUT_GRAD && !strcmp(graph->outputs[o].name, bindings.paths[i]))) o++;
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

/* In parts, so that a failure does not hide the rest. */
enum { PARTS = 50 };

static void check_part(int part, const char *stop_after) {
  json_t *list = load("ops");
  size_t n = json_array_size(list);
  ck_assert_uint_ge(n, 700);
  for (size_t i = (size_t)part; i < n; i += PARTS) check_case(json_array_get(list, i), stop_after);
  json_decref(list);
}

START_TEST(ops_as_derived) { check_part(_i, "gradient"); }
END_TEST

START_TEST(ops_after_every_pass) { check_part(_i, NULL); }
END_TEST

START_TEST(optimizers_over_ten_steps) {
  json_t *list = load("optimizers"), *item;
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
      for (int i = 0; i < 4; i++) {
        p[i] = optimizer_apply(o, hyper, (double)s + 1, p[i], g[i], slots[i]);
        ck_assert_msg(fabs(p[i] - want[i]) <= 1e-10 * fabs(want[i]) + 1e-14, "%s, run %zu, step %zu: PyTorch has %.17g, we have %.17g", o->name, index, s, want[i], p[i]);
      }
    }
  }
  json_decref(list);
}
END_TEST

Suite *pytorch_suite(void) {
  Suite *suite = suite_create("pytorch");
  TCase *ops = tcase_create("ops");
  tcase_set_timeout(ops, 120);
  tcase_add_loop_test(ops, ops_as_derived, 0, PARTS);
  tcase_add_loop_test(ops, ops_after_every_pass, 0, PARTS);
  tcase_add_test(ops, optimizers_over_ten_steps);
  suite_add_tcase(suite, ops);
  return suite;
}
