/* test_optimizers.c - PyTorch's optimizers (pytorch/optimizers.json, clipped.json) in whole trainers, for C and, under
 * the emulator, for CUDA: each row of data is a step's gradient, a group or, where it clips, an update is one run of ten
 * steps.  (What each step of a run comes to, in double too, is compared by test_pytorch.c.)
 */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "runtime/storage.h"
#include "tests/shell.h"

enum { VECTOR = 4, N_STEPS = 10, PARTS = 2, MOST_RUNS = 64 };

/* The runs of a model: groups of one update, and those with one of their own. */
typedef struct Runs {
  json_t *lists[2];
  int n, n_grouped;
  json_t *at[MOST_RUNS];
} Runs;

/* Files of data hold neither NaN nor infinity. */
static bool is_finite(json_t *run) {
  json_t *step, *value;
  size_t s, i;
  json_array_foreach(json_object_get(run, "steps"), s, step)
      json_array_foreach(json_object_get(step, "g"), i, value) if (!json_is_number(value)) return false;
  return true;
}

static void take(Runs *runs, json_t *list, int part) {
  json_t *run;
  size_t i;
  json_array_foreach(list, i, run) {
    if ((int)(i % PARTS) != part || !is_finite(run)) continue;
    ck_assert_int_lt(runs->n, MOST_RUNS);
    runs->at[runs->n++] = run;
  }
}

static void load(Runs *runs, int part) {
  static const char *const paths[] = {TESTS_DIR "/pytorch/optimizers.json", TESTS_DIR "/pytorch/clipped.json"};
  *runs = (Runs){0};
  for (int i = 0; i < 2; i++) {
    json_error_t error;
    runs->lists[i] = json_load_file(paths[i], 0, &error);
    ck_assert_msg(runs->lists[i] != NULL, "%s: %s", paths[i], error.text);
    take(runs, runs->lists[i], part);
    if (i == 0) runs->n_grouped = runs->n;
  }
}

/* ---- the model ---- */

static void name_run(const Runs *runs, int run, char out[32]) { snprintf(out, 32, run < runs->n_grouped ? "net.r%d.w" : "r%d.w", run); }

static void add_options(Text *text, json_t *run) {
  const char *key, *before = "(";
  json_t *value, *clip = json_object_get(run, "clip");
  text_add(text, "%s", json_string_value(json_object_get(run, "optimizer")));
  json_object_foreach(json_object_get(run, "options"), key, value) {
    bool is_flag = !strcmp(key, "nesterov") || !strcmp(key, "centered");
    text_add(text, "%s%s: ", before, key);
    if (is_flag) text_add(text, json_number_value(value) != 0 ? "true" : "false");
    else text_number(text, json_number_value(value));
    before = ", ";
  }
  if (clip) text_add(text, "%sclip: %g", before, json_number_value(clip));
  text_add(text, ")");
}

static void write_model(const Runs *runs, const char *folder) {
  Text text = {0};
  text_add(&text,
           "dim B = 1, V = %d, N = %d\ndata rows = csv(\"g.csv\") -> { g: f32[B, N * V] }\n"
           "module One()(g: [V]) -> [] {\n  param w: [V] = zeros\n  return sum(w * g)\n}\n",
           VECTOR, runs->n);
  text_add(&text, "module All()(g: [N * V]) -> [] {\n  return ");
  for (int i = 0; i < runs->n_grouped; i++)
    text_add(&text, "%s(g[%d:%d] |> r%d: One())", i ? " +\n    " : "", VECTOR * i, VECTOR * (i + 1), i);
  text_add(&text, "\n}\nlet net = All()\n");
  for (int i = runs->n_grouped; i < runs->n; i++) text_add(&text, "let r%d = One()\n", i);
  text_add(&text, "train d in rows for %d steps {\n  let g = sum(d.g, over: 0)\n", N_STEPS);
  for (int i = 0; i < runs->n; i++) {
    if (i == 0) text_add(&text, "  update net.r0 minimize net(g) using ");
    else if (i < runs->n_grouped) text_add(&text, ",\n    net.r%d using ", i);
    else text_add(&text, "\n  update r%d minimize r%d(g[%d:%d]) using ", i, i, VECTOR * i, VECTOR * (i + 1));
    add_options(&text, runs->at[i]);
  }
  text_add(&text, "\n}\n");
  char path[600];
  snprintf(path, sizeof path, "%s/m.mt", folder);
  FILE *out = fopen(path, "w");
  ck_assert_ptr_nonnull(out);
  fputs(text.data, out);
  ck_assert_int_eq(fclose(out), 0);
  text_free(&text);
}

static json_t *step_of(const Runs *runs, int run, int step) {
  return json_array_get(json_object_get(runs->at[run], "steps"), (size_t)step);
}

/* A row a step. */
static void write_gradients(const Runs *runs, const char *folder) {
  char path[600];
  snprintf(path, sizeof path, "%s/g.csv", folder);
  FILE *out = fopen(path, "w");
  ck_assert_ptr_nonnull(out);
  for (int s = 0; s < N_STEPS; s++)
    for (int i = 0; i < VECTOR * runs->n; i++) {
      json_t *g = json_object_get(step_of(runs, i / VECTOR, s), "g");
      fprintf(out, "%s%.9g", i ? "," : s ? "\n" : "", json_number_value(json_array_get(g, (size_t)(i % VECTOR))));
    }
  fputs("\n", out);
  ck_assert_int_eq(fclose(out), 0);
}

static void write_starts(const Runs *runs, const char *folder) {
  MtArchive archive = {0};
  MtError error = {""};
  char name[600];
  for (int i = 0; i < runs->n; i++) {
    float w[VECTOR];
    json_t *start = json_object_get(runs->at[i], "start");
    for (int k = 0; k < VECTOR; k++) w[k] = (float)json_number_value(json_array_get(start, (size_t)k));
    name_run(runs, i, name);
    ck_assert(mt_archive_add(&archive, name, MT_WIDE_F32, 1, (int64_t[]){VECTOR}, w));
  }
  snprintf(name, sizeof name, "%s/start.safetensors", folder);
  ck_assert_msg(mt_write_safetensors(name, NULL, &archive, &error), "%s", error.text);
  mt_archive_free(&archive);
}

/* ---- the weights after ten steps ---- */

static void compare(const Runs *runs, const char *folder) {
  MtArchive got;
  MtError error = {""};
  char name[600];
  snprintf(name, sizeof name, "%s/out/m.checkpoint.safetensors", folder);
  ck_assert_msg(mt_read_safetensors(name, &got, &error), "%s", error.text);
  for (int i = 0; i < runs->n; i++) {
    json_t *want = json_object_get(step_of(runs, i, N_STEPS - 1), "p");
    name_run(runs, i, name);
    const MtArray *w = mt_archive_find(&got, name);
    ck_assert_ptr_nonnull(w);
    for (int k = 0; k < VECTOR; k++) {
      double p = json_number_value(json_array_get(want, (size_t)k)), q = (double)((const float *)w->data)[k];
      ck_assert_msg(fabs(p - q) <= 2e-6 * fmax(fabs(p), 1), "run %d, %s: PyTorch has %.9g, we have %.9g", i,
                    json_string_value(json_object_get(runs->at[i], "optimizer")), p, q);
    }
  }
  mt_archive_free(&got);
}

static void follow(int part, const char *command) {
  Runs runs;
  const char *folder = scratch_folder();
  load(&runs, part);
  ck_assert_int_ge(runs.n, 55);
  write_model(&runs, folder);
  write_gradients(&runs, folder);
  write_starts(&runs, folder);
  free(shell_ok("cd %s && %s --init start.safetensors --quiet --save-dir $PWD/out --data-dir $PWD", folder, command));
  compare(&runs, folder);
  for (int i = 0; i < 2; i++) json_decref(runs.lists[i]);
}

START_TEST(ten_steps_as_c) { follow(_i, MTC " build m.mt --target=c -o trainer && ./trainer"); }
END_TEST

START_TEST(ten_steps_as_cuda) {
  follow(_i, MTC " m.mt -o m.cu && MTC=" MTC " MTC_SCHEDULE=3 " TESTS_DIR "/emulator/run m.cu");
}
END_TEST

Suite *optimizers_suite(void) {
  Suite *suite = suite_create("optimizers");
  TCase *tcase = tcase_create("trainers");
  tcase_set_timeout(tcase, 240);
  tcase_add_loop_test(tcase, ten_steps_as_c, 0, PARTS);
  tcase_add_loop_test(tcase, ten_steps_as_cuda, 0, PARTS);
  suite_add_tcase(suite, tcase);
  return suite;
}
