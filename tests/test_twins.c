/* test_twins.c - samples beside their twins in PyTorch: the same first weights,
 * rows and draws, so the same losses, update after update (pytorch/samples.json;
 * samples.py made it and says what it holds).
 */
#include <check.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

static const char *text_of(json_t *item, const char *key) { return json_string_value(json_object_get(item, key)); }

static json_t *load(void) {
  json_error_t why;
  json_t *list = json_load_file(TESTS_DIR "/pytorch/samples.json", 0, &why);
  ck_assert_msg(list != NULL, "samples.json:%d: %s", why.line, why.text);
  return list;
}

/* Which column of the header's line bears the name. */
static int column_of(const char *csv, const char *name) {
  size_t length = strlen(name);
  int column = 0;
  for (const char *at = csv; at && *at != '\n'; column++) {
    if (!strncmp(at, name, length) && strchr(",\r\n", at[length])) return column;
    at += strcspn(at, ",\n");
    at += *at == ',';
  }
  ck_abort_msg("metrics.csv has no column %s", name);
}

static double cell(const char *line, int column) {
  for (; column > 0; column--) line += strcspn(line, ",\n") + 1;
  return strtod(line, NULL);
}

/* A row of metrics.csv an update, off by 2e-5 of itself at most: PyTorch's own floats are by up to 6e-6. */
static void compare_log(const char *sample, const char *csv, const char *name, json_t *values, size_t updates) {
  int column = column_of(csv, name);
  const char *line = csv;
  ck_assert_uint_ge(json_array_size(values), updates);
  for (size_t i = 0; i < updates; i++) {
    line = strchr(line, '\n');
    ck_assert_msg(line && (size_t)cell(++line, 0) == i + 1, "%s: update %zu is missing", sample, i + 1);
    double ours = cell(line, column), theirs = json_number_value(json_array_get(values, i));
    ck_assert_msg(fabs(ours - theirs) <= 2e-5 * fabs(theirs), "%s, update %zu: %s is %.9g, PyTorch has %.9g", sample, i + 1, name, ours, theirs);
  }
}

static void compare_logs(json_t *item, const char *csv, size_t updates) {
  const char *name;
  json_t *values;
  ck_assert_uint_gt(json_object_size(json_object_get(item, "logs")), 0);
  json_object_foreach(json_object_get(item, "logs"), name, values) compare_log(text_of(item, "sample"), csv, name, values, updates);
}

static size_t updates_of(json_t *item) {
  return json_array_size(json_object_iter_value(json_object_iter(json_object_get(item, "logs"))));
}

/* FOLDER/model.mt is the sample, edited; the options of its trainer's run. */
static const char *prepare(const char *folder, json_t *item, size_t updates) {
  static char run[400];
  free(shell_ok("sed '%s' samples/%s.mt >%s/model.mt", text_of(item, "edit"), text_of(item, "sample"), folder));
  snprintf(run, sizeof run, "%s --quiet --no-shuffle --stop-after %zu --log-every 1 --data-dir " SOURCE_DIR "/samples --save-dir %s/run", text_of(item, "run"),
           updates, folder);
  return run;
}

START_TEST(samples_train_as_pytorch_does) {
  const char *folder = scratch_folder();
  json_t *list = load(), *item = json_array_get(list, (size_t)_i);
  size_t updates = updates_of(item);
  ck_assert_uint_ge(updates, 5);
  const char *run = prepare(folder, item, updates);
  char *csv = shell_ok("cd %s && " MTC " build model.mt --target=c %s -o trainer && OMP_NUM_THREADS=1 ./trainer %s >log && cat run/metrics.csv", folder,
                       text_of(item, "options"), run);
  compare_logs(item, csv, updates);
  free(csv);
  json_decref(list);
}
END_TEST

static const char *const emulated[] = {"digits", "vae", "benchmark/lstm"};
enum { N_EMULATED = sizeof emulated / sizeof emulated[0], EMULATED_UPDATES = 3 };

/* CUDA under the emulator, which is slow. */
START_TEST(emulated_cuda_trains_as_pytorch_does) {
  const char *folder = scratch_folder();
  json_t *list = load(), *item;
  size_t i;
  json_array_foreach(list, i, item) {
    if (strcmp(text_of(item, "sample"), emulated[_i])) continue;
    const char *run = prepare(folder, item, EMULATED_UPDATES);
    char *csv = shell_ok("cd %s && " MTC " model.mt %s -o model.cu && MTC=" MTC " CXXFLAGS=-O0 " TESTS_DIR "/emulator/run model.cu %s >log && cat run/metrics.csv",
                         folder, text_of(item, "options"), run);
    compare_logs(item, csv, EMULATED_UPDATES);
    free(csv);
    json_decref(list);
    return;
  }
  ck_abort_msg("there is no twin of %s", emulated[_i]);
}
END_TEST

enum { N_TWINS = 15 };

START_TEST(there_is_a_case_of_every_one) {
  json_t *list = load();
  ck_assert_uint_eq(json_array_size(list), N_TWINS);
  json_decref(list);
}
END_TEST

Suite *twins_suite(void) {
  Suite *suite = suite_create("twins");
  TCase *twins = tcase_create("twins");
  tcase_set_timeout(twins, 120);
  tcase_add_test(twins, there_is_a_case_of_every_one);
  tcase_add_loop_test(twins, samples_train_as_pytorch_does, 0, N_TWINS);
  tcase_add_loop_test(twins, emulated_cuda_trains_as_pytorch_does, 0, N_EMULATED);
  suite_add_tcase(suite, twins);
  return suite;
}
