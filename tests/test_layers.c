/* test_layers.c - layers trained for a few steps, against what PyTorch computed
 * in float64 (pytorch/layers.json; layers.py made it and says how a case is
 * written): values, gradients, and what the layer holds after each step, with
 * batches of other lengths in between.  The evaluator runs the program after
 * the gradient pass alone and after every pass; layers that are more than an
 * expression also run as C, in double and in float, and as CUDA under the emulator.
 */
#include <check.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "tests/compiled.h"
#include "tests/generated.h"
#include "tests/shell.h"

enum { MOST_HELD = 16, PARTS = 4 };

/* A parameter or state: its path and values of now. */
typedef struct Held {
  const char *path;
  int64_t count;
  double *data;
} Held;

/* Where a step runs. */
typedef enum Machine { EVALUATOR, NATIVE, EMULATED } Machine;

typedef struct Layer {
  const char *expression;
  Arena *arena;
  Program *program;
  Machine machine;
  const Generated *set; /* where it is not the evaluator: program `number` of this */
  int number, real_size;
  int n;
  Held at[MOST_HELD];
} Layer;

static double *numbers(const Layer *l, json_t *array) {
  double *out = arena_alloc(l->arena, sizeof *out * (json_array_size(array) + 1));
  for (size_t i = 0; i < json_array_size(array); i++) out[i] = json_number_value(json_array_get(array, i));
  return out;
}

static void add_shape(Text *out, json_t *axes) {
  text_add(out, "f32[B");
  for (size_t i = 0; i < json_array_size(axes); i++)
    text_add(out, ", %lld", (long long)json_integer_value(json_array_get(axes, i)));
  text_add(out, "]");
}

static int64_t elements(json_t *axes) {
  int64_t n = 1;
  for (size_t i = 0; i < json_array_size(axes); i++) n *= json_integer_value(json_array_get(axes, i));
  return n;
}

static const char *model_of(json_t *item, Arena *arena) {
  Text text = {0}, shape = {0}, out = {0};
  json_t *body = json_object_get(item, "body"), *axes = json_object_get(item, "shape");
  add_shape(&shape, axes);
  add_shape(&out, body ? json_object_get(item, "out") : axes);
  text_add(&text,
           "use nn\ndim B = 4\ndata rows_of = random(rows: 8, seed: 1) -> { x: %s, u: %s, v: %s }\n"
           "module Net()(x: %s) -> %s {\n  param one: [] = ones\n  ",
           shape.data, out.data, shape.data, body ? strchr(shape.data, '[') : "[n, *s]", body ? strchr(out.data, '[') : "[n, *s]");
  if (body) text_add(&text, "%s", json_string_value(body));
  else text_add(&text, "return (x |> l: %s) * one", json_string_value(json_object_get(item, "layer")));
  text_add(&text,
           "\n}\nlet net = Net()\n"
           "train d in rows_of for 1 steps {\n  let loss = sum(net(d.x) * d.u)\n  log gx = sum(grad(loss, d.x) * d.v)\n"
           "  update net minimize loss using sgd(lr: 0.1)\n}\npredict p in { x: %s } -> net(p.x)\n",
           shape.data);
  text_free(&shape);
  text_free(&out);
  return text_take(&text, arena);
}

static Held *find(Layer *l, const char *path) {
  for (int i = 0; i < l->n; i++)
    if (!strcmp(l->at[i].path, path)) return &l->at[i];
  ck_abort_msg("%s holds no %s", l->expression, path);
}

static const char *path_of(const Layer *l, const char *name) { return arena_print(l->arena, "net.l.%s", name); }

static void start(Layer *l, json_t *values) {
  static double one = 1;
  const char *name;
  json_t *array;
  l->at[l->n++] = (Held){"net.one", 1, &one};
  json_object_foreach(values, name, array) {
    if (json_array_size(array) == 0) continue;
    ck_assert_int_lt(l->n, MOST_HELD);
    l->at[l->n++] = (Held){path_of(l, name), (int64_t)json_array_size(array), numbers(l, array)};
  }
  ck_assert_int_eq(l->n, l->program->n_params + l->program->n_states);
}

/* In float what is compared is as large as the largest. */
static void compare(const Layer *l, const char *what, int64_t step, const double *want, const double *got, int64_t n) {
  double largest = 1;
  for (int64_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
  for (int64_t i = 0; i < n; i++)
    ck_assert_msg(fabs(want[i] - got[i]) <= (l->real_size == 4 ? 1e-5 * largest : 1e-10 * fabs(want[i]) + 1e-11),
                  "%s, step %lld, %s[%lld]: PyTorch has %.17g, we have %.17g", l->expression, (long long)step, what,
                  (long long)i, want[i], got[i]);
}

static Tensor *run(Layer *l, const Graph *graph, char variable, json_t *batch, int64_t rows) {
  static const char *const fields[] = {"x", "u", "v"};
  Binding bindings[MOST_HELD + 3];
  int n = 0;
  for (; n < l->n; n++) bindings[n] = (Binding){l->at[n].path, l->at[n].data};
  for (int f = 0; f < 3; f++)
    bindings[n++] = (Binding){arena_print(l->arena, "%c.%s", variable, fields[f]),
                              numbers(l, json_object_get(batch, fields[f]))};
  Tensor *outputs = calloc((size_t)graph->n_outputs + 1, sizeof *outputs);
  EvaluateOptions options = {.rows = rows};
  const char *missing = NULL;
  if (l->machine == EVALUATOR) {
    ck_assert_msg(evaluate(graph, bindings, n, &options, outputs, &missing), "%s", missing);
  } else if (l->machine == EMULATED) {
    char *wrong = generated_call_emulated(l->set, l->number, l->program, l->real_size, 2, bindings, n, &options, outputs);
    ck_assert_msg(!wrong, "%s: %s", l->expression, wrong);
  } else {
    const MtProgram *emitted = generated_program(l->set, l->number);
    bool trains = graph == l->program->train.graph, single = l->real_size == 4;
    MtStep gradients = single ? emitted->train->phases[0].gradients : emitted->train->phases[0].gradients_f64;
    generated_call(l->program, emitted, graph, trains ? gradients : emitted->predict->step, l->real_size, bindings, n, &options, outputs);
  }
  return outputs;
}

static void take(Layer *l, const Output *output, const Tensor *value, json_t *wanted, int64_t step) {
  double number;
  switch (output->role) {
  case OUT_LOSS: number = json_number_value(json_object_get(wanted, "loss")); break;
  case OUT_LOG: number = json_number_value(json_object_get(wanted, "gx")); break;
  case OUT_GRAD: {
    Held *param = find(l, output->name);
    for (int64_t i = 0; i < param->count && strcmp(output->name, "net.one"); i++) param->data[i] -= 0.1 * value->data[i];
    return;
  }
  default: {
    Held *state = find(l, output->name);
    memcpy(state->data, value->data, sizeof *state->data * (size_t)state->count);
    return;
  }
  }
  compare(l, output->name, step, &number, value->data, 1);
}

static void train(Layer *l, json_t *batch, int64_t each, int64_t step) {
  const Graph *graph = l->program->train.graph;
  json_t *after = json_object_get(batch, "after"), *array;
  const char *name;
  Tensor *outputs = run(l, graph, 'd', batch, (int64_t)json_array_size(json_object_get(batch, "x")) / each);
  for (int i = 0; i < graph->n_outputs; i++) {
    take(l, &graph->outputs[i], &outputs[i], batch, step);
    tensor_free(&outputs[i]);
  }
  free(outputs);
  json_object_foreach(after, name, array) if (json_array_size(array))
      compare(l, name, step, numbers(l, array), find(l, path_of(l, name))->data, (int64_t)json_array_size(array));
}

static void follow(Layer *l, json_t *item) {
  json_t *batch, *asked = json_object_get(item, "asked");
  size_t step;
  int64_t each = elements(json_object_get(item, "shape"));
  start(l, json_object_get(item, "start"));
  json_array_foreach(json_object_get(item, "steps"), step, batch) train(l, batch, each, (int64_t)step);
  if (l->machine == EMULATED || (l->machine == NATIVE && l->real_size == 8)) return; /* a target predicts in float */
  Tensor *y = run(l, l->program->predict.graph, 'p', asked, (int64_t)json_array_size(json_object_get(asked, "x")) / each);
  compare(l, "predicted", (int64_t)step, numbers(l, json_object_get(asked, "y")), y->data, y->count);
  tensor_free(y);
  free(y);
}

static void check_layer(json_t *item, const char *stop_after) {
  Layer l = {.expression = json_string_value(json_object_get(item, "layer")), .arena = arena_new(), .real_size = 8};
  l.program = compiled_until(l.arena, model_of(item, l.arena), stop_after);
  follow(&l, item);
  arena_free(l.arena);
}

static json_t *load(void) {
  json_error_t error;
  json_t *list = json_load_file(TESTS_DIR "/pytorch/layers.json", 0, &error);
  ck_assert_msg(list != NULL, "layers.json:%d: %s", error.line, error.text);
  return list;
}

START_TEST(layers_train_as_pytorch_has_it) {
  json_t *list = load(), *item;
  size_t i;
  json_array_foreach(list, i, item) {
    if ((int)(i % PARTS) != _i) continue;
    check_layer(item, "gradient");
    check_layer(item, NULL);
  }
  json_decref(list);
}
END_TEST

enum { BUILDS = 4, MOST_PROGRAMS = 64 };

/* Layers that are more than an expression: with a body of their own, or with states. */
static bool is_asked(json_t *item) {
  return json_object_get(item, "body") || !strncmp(json_string_value(json_object_get(item, "layer")), "BatchNorm(", 10);
}

/* In some builds of many; of those for the emulator, which is slow, one in two. */
static void on_target(Machine machine, int part) {
  json_t *list = load(), *item, *items[MOST_PROGRAMS];
  Arena *arena = arena_new();
  Generated *set = generated_new();
  Program *programs[MOST_PROGRAMS];
  int n = 0;
  size_t i, seen = 0;
  json_array_foreach(list, i, item) {
    if (!is_asked(item) || (int)(seen++ % BUILDS) != part || (machine == EMULATED && seen % 8 >= 4)) continue;
    ck_assert_int_lt(n, MOST_PROGRAMS);
    items[n] = item;
    programs[n] = compiled_until(arena, model_of(item, arena), NULL);
    if (machine == NATIVE) generated_add(set, programs[n++]);
    else generated_add_cuda(set, programs[n++]);
  }
  if (machine == NATIVE) generated_build(set, "-O0");
  else generated_build_emulated(set);
  for (int k = 0; k < n; k++)
    for (int real_size = 8; real_size >= 4; real_size -= 4) {
      Layer l = {.expression = json_string_value(json_object_get(items[k], "layer")), .arena = arena, .program = programs[k],
                 .machine = machine, .set = set, .number = k, .real_size = real_size};
      follow(&l, items[k]);
    }
  generated_free(set);
  arena_free(arena);
  json_decref(list);
}

START_TEST(layers_train_the_same_as_c) { on_target(NATIVE, _i); }
END_TEST

START_TEST(layers_train_the_same_as_cuda) { on_target(EMULATED, _i); }
END_TEST

static bool has(json_t *item, const char *layer) {
  const char *name = json_string_value(json_object_get(item, "layer")), *body = json_string_value(json_object_get(item, "body"));
  return !strncmp(name, layer, strlen(layer)) || (body && strstr(body, layer));
}

/* As many as a change of layers.py must not lose. */
START_TEST(there_are_cases_of_every_layer) {
  static const struct {
    const char *layer;
    int least;
  } layers[] = {{"BatchNorm(", 20}, {"GroupNorm(", 20}, {"InstanceNorm(", 20}, {"RMSNorm(", 20}, {"RNN(", 30}, {"LSTM(", 20},
                {"LSTMStates(", 10}, {"GRU(", 30}, {"RNNCell(", 5}, {"LSTMCell(", 5}, {"GRUCell(", 5}, {"MultiheadAttention(", 20},
                {"scaled_dot_product_attention(", 40}, {"rotary_embedding(", 15}};
  json_t *list = load(), *item;
  size_t i;
  for (size_t k = 0; k < sizeof layers / sizeof *layers; k++) {
    int n = 0;
    json_array_foreach(list, i, item) n += has(item, layers[k].layer);
    ck_assert_msg(n >= layers[k].least, "%d cases of %s...)", n, layers[k].layer);
  }
  json_decref(list);
}
END_TEST

Suite *layers_suite(void) {
  Suite *suite = suite_create("layers");
  TCase *tcase = tcase_create("layers");
  tcase_set_timeout(tcase, 120);
  tcase_add_loop_test(tcase, layers_train_as_pytorch_has_it, 0, PARTS);
  tcase_add_test(tcase, there_are_cases_of_every_layer);
  tcase_add_loop_test(tcase, layers_train_the_same_as_c, 0, BUILDS);
  tcase_add_loop_test(tcase, layers_train_the_same_as_cuda, 0, BUILDS);
  suite_add_tcase(suite, tcase);
  return suite;
}
