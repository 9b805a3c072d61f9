/* test_augment.c - augment(...): what training sees of pictures whose every
 * pixel is known is one of the pictures that the steps allow, all of them come
 * as often as they should, and nothing else sees any of it.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "tests/compiled.h"
#include "tests/shell.h"

enum { ROWS = 5, COLORS = 2, H = 4, W = 5, PIXELS = H * W, TIMES = 400, MOST_WAYS = 64 };

static Program *model(Arena *arena, const char *augment, const char *fields, const char *loss) {
  const char *text = arena_print(arena,
                                 "use nn\ndim B = 8, C = 2, H = 4, W = 5\n"
                                 "data train_set = random(rows: 20, seed: 1%s%s) -> { %s }\n"
                                 "module Net()(x: [n, *s]) -> [n] { return sum(x, over: [*s]) |> fc: Scale() }\n"
                                 "module Scale()(x: [n]) -> [n] {\n  param w: [] = ones\n  return x * w\n}\nlet net = Net()\n"
                                 "train d in train_set for 10 steps {\n  let loss = mean(net(%s) ^ 2)\n"
                                 "  update net minimize loss using sgd(lr: 0.1)\n"
                                 "  every 1 epochs { eval e in train_set { log sum = mean(net(e.x)) } }\n}\n"
                                 "predict p in { x: f32[B, C, H, W] } -> net(p.x)\n",
                                 *augment ? ", " : "", augment, fields, loss);
  return compiled(arena, text);
}

/* The value that training has in the place of a field, as an output of its graph. */
static void watch(Program *p, const char *field) {
  char name[64];
  Node *value = NULL;
  for (int i = 0; i < 2 && !value; i++) {
    snprintf(name, sizeof name, "d.%s.augmented.%s", field, i ? "gather" : "where");
    value = graph_find(p->train.graph, name);
  }
  ck_assert_msg(value != NULL, "no %s", field);
  graph_output(p->train.graph, OUT_VALUE, field, value);
}

/* No pixel like another, in any row. */
static void fill(double *x, int n) {
  for (int i = 0; i < n; i++) x[i] = i + 1;
}

/* ---- what the steps allow ---- */

typedef struct Way { /* one way to go: flip, then the offsets of the crops */
  int code;
  double picture[PIXELS];
} Way;

static void flip(double *to, const double *from) {
  for (int i = 0; i < PIXELS; i++) to[i] = from[i / W * W + W - 1 - i % W];
}

static void crop(double *to, const double *from, int down, int right) {
  for (int i = 0; i < PIXELS; i++) {
    int y = i / W + down, x = i % W + right;
    to[i] = y >= 0 && y < H && x >= 0 && x < W ? from[y * W + x] : 0;
  }
}

/* steps: "f12" is flip, crop(1), crop(2). */
static int ways(const char *steps, const double *picture, int code, Way *out) {
  double next[PIXELS];
  int n = 0, most = *steps - '0';
  if (!*steps) {
    out->code = code;
    memcpy(out->picture, picture, sizeof out->picture);
    return 1;
  }
  for (int turned = 0; turned < 2 && *steps == 'f'; turned++) {
    flip(next, picture);
    n += ways(steps + 1, turned ? next : picture, 2 * code + turned, out + n);
  }
  for (int down = -most; down <= most && *steps != 'f'; down++)
    for (int right = -most; right <= most; right++) {
      crop(next, picture, down, right);
      n += ways(steps + 1, next, code * (2 * most + 1) * (2 * most + 1) + (down + most) * (2 * most + 1) + right + most, out + n);
    }
  return n;
}

static int way_of(const char *steps, const double *before, const double *after) {
  static Way all[1 << 11];
  int n = ways(steps, before, 0, all);
  for (int i = 0; i < n; i++)
    if (!memcmp(all[i].picture, after, sizeof all[i].picture)) return all[i].code;
  return -1;
}

/* ---- what comes ---- */

static const struct {
  const char *augment, *steps;
  int ways; /* 0: as many that some look alike */
} cases[] = {{"augment(flip)", "f", 2},         {"augment(crop(1))", "1", 9},  {"augment(shift(2))", "2", 25},
             {"augment(flip, crop(1))", "f1", 18}, {"augment(crop(1), flip)", "1f", 18}, {"augment(crop(1), crop(2))", "12", 0}};

/* Each about as often as the others: 4.5 deviations either way. */
static void check_counts(const int *count, int n) {
  double mean = (double)(TIMES * ROWS) / n, most = 4.5 * 4.5 * mean;
  for (int i = 0; i < n; i++)
    ck_assert_msg((count[i] - mean) * (count[i] - mean) < most, "way %d of %d came %d times", i, n, count[i]);
}

START_TEST(rows_are_moved_as_the_steps_allow) {
  Arena *arena = arena_new();
  Program *p = model(arena, cases[_i].augment, "x: f32[B, C, H, W]", "d.x");
  double x[ROWS * COLORS * PIXELS], one = 1;
  int count[MOST_WAYS] = {0}, alike = 0;
  fill(x, ROWS * COLORS * PIXELS);
  watch(p, "x");
  Graph *g = p->train.graph;
  Binding bindings[] = {{"d.x", x}, {"net.fc.w", &one}};
  Tensor *outputs = calloc((size_t)g->n_outputs, sizeof *outputs);
  for (int step = 0; step < TIMES; step++) {
    EvaluateOptions options = {.rows = ROWS, .seed = 7, .step = (uint64_t)step, .round = step % 2};
    const char *missing = "?";
    int first = -1, same = 0;
    ck_assert_msg(evaluate(g, bindings, 2, &options, outputs, &missing), "no %s", missing);
    for (int r = 0; r < ROWS; r++) {
      const double *after = outputs[g->n_outputs - 1].data + r * COLORS * PIXELS, *before = x + r * COLORS * PIXELS;
      int way = way_of(cases[_i].steps, before, after);
      ck_assert_msg(way >= 0, "row %d of step %d is none of those that %s makes", r, step, cases[_i].augment);
      ck_assert_int_eq(way, way_of(cases[_i].steps, before + PIXELS, after + PIXELS)); /* the other colour */
      if (way < MOST_WAYS) count[way]++;
      if (r == 0) first = way;
      same += way == first;
    }
    alike += same == ROWS;
    for (int i = 0; i < g->n_outputs; i++) tensor_free(&outputs[i]);
  }
  if (cases[_i].ways) check_counts(count, cases[_i].ways);
  ck_assert_int_lt(alike, cases[_i].ways == 2 ? TIMES / 8 : TIMES / 40); /* each row by itself: 2 ^ -4 of the first */
  free(outputs);
  arena_free(arena);
}
END_TEST

/* A picture and its mask, of other dtype and other axes, go together; what is not named stays. */
START_TEST(named_fields_are_moved_alike) {
  Arena *arena = arena_new();
  Program *p = model(arena, "augment(x, mask, flip, crop(2))", "x: f32[B, C, H, W], mask: u8[B, H, W], v: f32[B, 2, 2]",
                     "d.x + reshape(f32(d.mask), [B, 1, H, W]) + sum(d.v)");
  double x[ROWS * COLORS * PIXELS], mask[ROWS * PIXELS], v[ROWS * 4] = {0}, one = 1;
  fill(x, ROWS * COLORS * PIXELS), fill(mask, ROWS * PIXELS);
  watch(p, "x"), watch(p, "mask");
  ck_assert_ptr_null(graph_find(p->train.graph, "d.v.augmented.where"));
  Graph *g = p->train.graph;
  Binding bindings[] = {{"d.x", x}, {"d.mask", mask}, {"d.v", v}, {"net.fc.w", &one}};
  Tensor *outputs = calloc((size_t)g->n_outputs, sizeof *outputs);
  for (int step = 0; step < 40; step++) {
    EvaluateOptions options = {.rows = ROWS, .step = (uint64_t)step};
    const char *missing = "?";
    ck_assert_msg(evaluate(g, bindings, 4, &options, outputs, &missing), "no %s", missing);
    for (int r = 0; r < ROWS; r++) {
      int way = way_of("f2", x + r * COLORS * PIXELS, outputs[g->n_outputs - 2].data + r * COLORS * PIXELS);
      ck_assert_int_ge(way, 0);
      ck_assert_int_eq(way, way_of("f2", mask + r * PIXELS, outputs[g->n_outputs - 1].data + r * PIXELS));
    }
    for (int i = 0; i < g->n_outputs; i++) tensor_free(&outputs[i]);
  }
  free(outputs);
  arena_free(arena);
}
END_TEST

static const char *printed(Arena *arena, const Program *p, const char *from, const char *to) {
  Text text = {0};
  program_print(&text, p);
  const char *all = text_take(&text, arena), *start = strstr(all, from), *end = start ? strstr(start, to) : NULL;
  ck_assert_msg(end != NULL, "%s to %s in %s", from, to, all);
  return arena_copy(arena, start, (size_t)(end - start));
}

/* The same data set evaluated, and what predicts: to the letter what they are without. */
START_TEST(only_training_is_augmented) {
  Arena *arena = arena_new();
  Program *with = model(arena, "augment(flip, crop(1))", "x: f32[B, C, H, W]", "d.x"),
          *without = model(arena, "", "x: f32[B, C, H, W]", "d.x");
  const char *parts[][2] = {{"graph eval0", "\ngraph predict"}, {"graph predict", "\n}"}};
  for (int i = 0; i < 2; i++) {
    const char *text = printed(arena, with, parts[i][0], parts[i][1]);
    ck_assert_ptr_null(strstr(text, "random"));
    ck_assert_ptr_null(strstr(text, "gather"));
    ck_assert_str_eq(text, printed(arena, without, parts[i][0], parts[i][1]));
  }
  ck_assert_ptr_nonnull(strstr(printed(arena, with, "graph train", "graph eval0"), "random d.flip1.turned"));
  ck_assert_ptr_null(strstr(printed(arena, without, "graph train", "graph eval0"), "random d."));
  arena_free(arena);
}
END_TEST

/* A trainer that stops and goes on draws what it would have drawn. */
START_TEST(resuming_repeats_the_draws) {
  const char *folder = scratch_folder();
  char *said = shell_ok(
      "cd %s && cat >m.mt <<'END'\n"
      "use nn\ndim B = 4\n"
      "data d0 = random(rows: 10, seed: 3, augment(flip, crop(1))) -> { x: f32[B, 3, 6, 6], y: f32[B] }\n"
      "module Net()(x: [B, 3, 6, 6]) -> [B] { return reshape(reshape(x, [B, 108]) |> fc: Linear(1), [B]) }\nlet net = Net()\n"
      "train d in shuffled(d0, seed: 1) for 8 steps {\n"
      "  update net minimize mean((net(d.x) - d.y) ^ 2) using adam(lr: 0.01)\n}\n"
      "END\n"
      MTC " build m.mt --target=c -o m && ./m --quiet --save-dir whole && ./m --quiet --stop-after 3 --save-dir parts && "
      "./m --quiet --resume --save-dir parts && cmp whole/net.safetensors parts/net.safetensors && "
      "./m --quiet --seed 1 --save-dir other && ! cmp -s whole/net.safetensors other/net.safetensors && "
      "./m gradcheck >checked && grep -q 'of      108 elements' checked && ./m bench --steps 2 >timed",
      folder);
  ck_assert_str_eq(said, "");
  free(said);
}
END_TEST

Suite *augment_suite(void) {
  Suite *suite = suite_create("augment");
  TCase *tcase = tcase_create("meaning");
  tcase_set_timeout(tcase, 120);
  tcase_add_loop_test(tcase, rows_are_moved_as_the_steps_allow, 0, sizeof cases / sizeof *cases);
  tcase_add_test(tcase, named_fields_are_moved_alike);
  tcase_add_test(tcase, only_training_is_augmented);
  tcase_add_test(tcase, resuming_repeats_the_draws);
  suite_add_tcase(suite, tcase);
  return suite;
}
