/* test_loop_states.c - states that loops read and change: a loop means what its
 * turns mean when they are written out one by one: by the evaluator to the bit,
 * and so are programs in C and CUDA, where no sum is grouped otherwise.
 */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "runtime/storage.h"
#include "tests/compiled.h"
#include "tests/shell.h"

#define TURN                                                                                                     \
  "module Turn()(x: [n, f]) -> [n, f] {\n  param w: [f] = constant(0.75)\n  state s: [f] = constant(0.25)\n"     \
  "  let y = x * w |> bn: BatchNorm() |> tanh\n  let z = x + y * (1 + s)\n  s <- 0.5 * s + 0.25 * mean(y * y, over: 0)\n" \
  "  return z - s\n}\n"

typedef struct Pair {
  const char *what, *loop, *flat;
  double within; /* of programs: sums of a loop and of its turns may be grouped otherwise; 0: to the bit */
  const struct Pair *judge; /* a net that an update before this one moves, and whose judgement is in the loss; or NULL */
} Pair;

static const Pair judge = {"two blocks", "for b in stack(Turn(), 2) carry r { r = b(r) }\n let r1 = r",
                           "let b0 = Turn()\n let b1 = Turn()\n let r1 = b1(b0(r))", 1e-5, NULL};

static const Pair pairs[] = {
    {"blocks, each with states of its own", "for b in stack(Turn(), 3) carry r { r = b(r) }\n let r1 = r",
     "let b0 = Turn()\n let b1 = Turn()\n let b2 = Turn()\n let r1 = b2(b1(b0(r)))", 0, NULL},
    {"one block that all turns share", "let one = Turn()\n for i in 0..3 carry r { r = one(r) }\n let r1 = r",
     "let one = Turn()\n let r1 = one(one(one(r)))", 1e-6, NULL},
    {"blocks in a loop over time",
     "for i in 0..2 carry r {\n for b in stack(Turn(), 2) carry r { r = b(r) }\n }\n let r1 = r",
     "let b0 = Turn()\n let b1 = Turn()\n let r1 = b1(b0(b1(b0(r))))", 0, NULL},
    {"a state of the module around the loop, changed before, in and behind it",
     "state c: [] = constant(0.5)\n c <- 0.5 * c + 0.25\n for i in 0..3 carry r collect y {\n  c <- c + 0.125 * mean(r)\n"
     "  r = sin(r * c)\n  y = c\n }\n c <- 0.25 * c + 0.125 * sum(y)\n let r1 = r + c",
     "state c: [] = constant(0.5)\n c <- 0.5 * c + 0.25\n c <- c + 0.125 * mean(r)\n let y0 = c\n let ra = sin(r * c)\n"
     " c <- c + 0.125 * mean(ra)\n let y1 = c\n let rb = sin(ra * c)\n c <- c + 0.125 * mean(rb)\n let y2 = c\n"
     " let rc = sin(rb * c)\n c <- 0.25 * c + 0.125 * (y0 + y1 + y2)\n let r1 = rc + c", 1e-5, NULL},
    {"a block twice a turn, computed again for its gradient",
     "for b in stack(Turn(), 2) carry r remat {\n  r = b(r)\n  r = b(sin(r))\n }\n let r1 = r",
     "let b0 = Turn()\n let b1 = Turn()\n let r0 = b0(sin(b0(r)))\n let r1 = b1(sin(b1(r0)))", 1e-5, NULL},
    {"read and never changed", "state c: [f] = constant(0.5)\n for i in 0..3 carry r { r = tanh(r) * c }\n let r1 = r",
     "state c: [f] = constant(0.5)\n let r1 = tanh(tanh(tanh(r) * c) * c) * c", 0, NULL},
    {"loops in a step of two updates", "for b in stack(Turn(), 3) carry r { r = b(r) }\n let r1 = r",
     "let b0 = Turn()\n let b1 = Turn()\n let b2 = Turn()\n let r1 = b2(b1(b0(r)))", 1e-5, &judge}};
static const int emulated[] = {0, 2, 6};
enum { PAIRS = sizeof pairs / sizeof *pairs, ROWS = 4, WIDTH = 5, MOST = 64 };

static const char *net(Arena *arena, const char *name, const char *body) {
  return arena_print(arena, "module %s()(x: [n, f]) -> [n, f] {\n param v: [f] = ones\n let r = x * v\n %s\n return r1\n}\n", name, body);
}

static const char *model(Arena *arena, const char *body, const char *other) {
  return arena_print(arena,
                     "use nn\ndim B = 6, P = 5\n"
                     "data d0 = random(rows: 20, seed: 1) -> { x: f32[B, P], y: f32[B, P] }\n" TURN "%s%s"
                     "let net = Net()\n%strain d in d0 for 9 steps {\n let out = net(d.x)\n%s"
                     " let loss = mean((out - d.y) ^ 2)%s\n"
                     " update net minimize loss using sgd(lr: 0.1)\n"
                     " every 1 epochs eval e in d0 { log l = mean(net(e.x) ^ 2) }\n}\n"
                     "predict p in { x: f32[B, P] } -> net(p.x)\n",
                     net(arena, "Net", body), other ? net(arena, "Judge", other) : "", other ? "let judge = Judge()\n" : "",
                     other ? " let right = mean((judge(stop(out)) - 1) ^ 2)\n update judge minimize right using sgd(lr: 0.1)\n" : "",
                     other ? " + 0.1 * mean(judge(out))" : "");
}

/* ---- by the evaluator ---- */

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* The loss of a step, then the new states, one beside the other in order of size: names and blocks do not count. */
static int step(const Program *p, Arena *arena, double *out) {
  Graph *g = p->train.graph;
  Binding bindings[32];
  int n = 0, count = 1;
  for (int i = 0; i < p->n_params + p->n_states; i++) {
    const Type *type = i < p->n_params ? &p->params[i].type : &p->states[i - p->n_params].type;
    const Init *init = i < p->n_params ? &p->params[i].init : &p->states[i - p->n_params].init;
    double *data = arena_alloc(arena, sizeof *data * (size_t)type_count(type));
    for (int64_t k = 0; k < type_count(type); k++) data[k] = init->a;
    bindings[n++] = (Binding){i < p->n_params ? p->params[i].path : p->states[i - p->n_params].path, data};
  }
  double x[ROWS * WIDTH], y[ROWS * WIDTH];
  for (int i = 0; i < ROWS * WIDTH; i++) x[i] = (i * 7 % 11) / 5.0 - 1, y[i] = (i * 5 % 13) / 6.0 - 1;
  bindings[n++] = (Binding){"d.x", x}, bindings[n++] = (Binding){"d.y", y};
  Tensor *outputs = calloc((size_t)g->n_outputs, sizeof *outputs);
  const char *missing = "?";
  ck_assert_msg(evaluate(g, bindings, n, &(EvaluateOptions){.rows = ROWS}, outputs, &missing), "no %s", missing);
  for (int i = 0; i < g->n_outputs; i++) {
    if (g->outputs[i].role == OUT_LOSS) out[0] = outputs[i].data[0];
    for (int64_t k = 0; g->outputs[i].role == OUT_STATE && k < outputs[i].count; k++) out[count++] = outputs[i].data[k];
    ck_assert_int_lt(count, MOST);
    tensor_free(&outputs[i]);
  }
  qsort(out + 1, (size_t)count - 1, sizeof *out, by_size);
  free(outputs);
  return count;
}

START_TEST(a_loop_means_its_turns) {
  Arena *arena = arena_new();
  double loop[MOST], flat[MOST];
  int n = step(compiled(arena, model(arena, pairs[_i].loop, NULL)), arena, loop);
  ck_assert_int_eq(n, step(compiled(arena, model(arena, pairs[_i].flat, NULL)), arena, flat));
  for (int i = 0; i < n; i++)
    ck_assert_msg(loop[i] == flat[i], "%s: %d of %d is %.17g and not %.17g", pairs[_i].what, i, n, loop[i], flat[i]);
  arena_free(arena);
}
END_TEST

/* ---- as programs ---- */

static void write_model(const char *folder, const char *name, const char *text) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s.mt", folder, name);
  FILE *out = fopen(path, "w");
  ck_assert_ptr_nonnull(out);
  fputs(text, out);
  ck_assert_int_eq(fclose(out), 0);
}

/* "b.0.bn.bias" of a stack is "b0.bn.bias" of a block alone. */
static const char *name_alone(const char *name) {
  static char alone[128];
  bool block = name[0] == 'b' && name[1] == '.' && name[2] >= '0' && name[2] <= '9';
  snprintf(alone, sizeof alone, "%s%s", block ? "b" : "", name + (block ? 2 : 0));
  return alone;
}

static const char *weights_of(const char *folder, const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s.run/net.safetensors", folder, name);
  return path;
}

/* All that training left behind. */
static void compare_weights(const char *folder, const Pair *pair) {
  MtArchive loop, flat;
  MtError error = {""};
  ck_assert_msg(mt_read_safetensors(weights_of(folder, "loop"), &loop, &error), "%s", error.text);
  ck_assert_msg(mt_read_safetensors(weights_of(folder, "flat"), &flat, &error), "%s", error.text);
  ck_assert_int_eq(loop.n_arrays, flat.n_arrays);
  for (int i = 0; i < loop.n_arrays; i++) {
    const MtArray *a = &loop.arrays[i], *b = NULL;
    for (int k = 0; k < flat.n_arrays && !b; k++)
      if (!strcmp(name_alone(a->name), flat.arrays[k].name)) b = &flat.arrays[k];
    ck_assert_msg(b && mt_array_count(a) == mt_array_count(b), "%s: no %s", pair->what, name_alone(a->name));
    for (int64_t k = 0; k < mt_array_count(a); k++) {
      double x = ((const float *)a->data)[k], y = ((const float *)b->data)[k];
      ck_assert_msg(x == y || fabs(x - y) <= pair->within * (1 + fabs(y)), "%s: %s[%d] is %.9g, and turn by turn %.9g",
                    pair->what, a->name, (int)k, x, y);
    }
  }
  mt_archive_free(&loop);
  mt_archive_free(&flat);
}

static const char *write_both(Arena *arena, int pair) {
  const char *folder = scratch_folder();
  write_model(folder, "loop", model(arena, pairs[pair].loop, pairs[pair].judge ? pairs[pair].judge->loop : NULL));
  write_model(folder, "flat", model(arena, pairs[pair].flat, pairs[pair].judge ? pairs[pair].judge->flat : NULL));
  return folder;
}

/* After nine steps, two of them short; and so does the loop after a stop on the way. */
START_TEST(programs_of_both_learn_the_same) {
  Arena *arena = arena_new();
  const char *folder = write_both(arena, _i);
  free(shell_ok("cd %s && for name in loop flat; do " MTC " $name.mt -o $name.c && "
                "cc -O1 -march=native -ffp-contract=off -fopenmp -w $name.c $(" MTC " --print=cflags) $(" MTC " --print=libs) "
                "-o $name && ./$name --quiet --save-dir $name.run || exit 1; done; "
                "./loop --quiet --stop-after 4 --save-dir parts && ./loop --quiet --resume --save-dir parts && "
                "cmp parts/net.safetensors loop.run/net.safetensors && "
                "./loop eval --save-dir loop.run --quiet >a && ./flat eval --save-dir flat.run --quiet >b && cmp a b",
                folder));
  compare_weights(folder, &pairs[_i]);
  arena_free(arena);
}
END_TEST

START_TEST(emulated_programs_of_both_learn_the_same) {
  Arena *arena = arena_new();
  const char *folder = write_both(arena, emulated[_i]);
  free(shell_ok("cd %s && for name in loop flat; do " MTC " $name.mt -o $name.cu && MTC=" MTC " CXXFLAGS=-O0 "
                TESTS_DIR "/emulator/run $name.cu --quiet --save-dir $PWD/$name.run || exit 1; done",
                folder));
  compare_weights(folder, &pairs[emulated[_i]]);
  arena_free(arena);
}
END_TEST

Suite *loop_states_suite(void) {
  Suite *suite = suite_create("loop_states");
  TCase *meaning = tcase_create("meaning"), *programs = tcase_create("programs"), *cuda = tcase_create("emulated");
  tcase_add_loop_test(meaning, a_loop_means_its_turns, 0, PAIRS - 1); /* a step of one update */
  tcase_add_loop_test(programs, programs_of_both_learn_the_same, 0, PAIRS);
  tcase_add_loop_test(cuda, emulated_programs_of_both_learn_the_same, 0, sizeof emulated / sizeof *emulated);
  tcase_set_timeout(programs, 240);
  tcase_set_timeout(cuda, 240);
  suite_add_tcase(suite, meaning);
  suite_add_tcase(suite, programs);
  suite_add_tcase(suite, cuda);
  return suite;
}
