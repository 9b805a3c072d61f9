/* test_weights.c - weights that PyTorch saved, read with --init: predictions
 * equal to PyTorch's.  tests/weights/roundtrip.py made the files. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

static const struct {
  const char *name, *model;
  int rows, columns;
} cases[] = {{"digits", "samples/digits.mt", 37, 10}, {"norm", "tests/weights/norm.mt", 37, 5}};

/* The floats of an .npy file of one shape; malloc'd. */
static float *read_floats(const char *path, int count) {
  FILE *in = fopen(path, "rb");
  ck_assert_msg(in != NULL, "%s cannot be read", path);
  unsigned char head[10];
  ck_assert_uint_eq(fread(head, 1, sizeof head, in), sizeof head);
  ck_assert_int_eq(fseek(in, 10 + head[8] + 256 * head[9], SEEK_SET), 0);
  float *data = malloc(sizeof *data * (size_t)(count + 1));
  ck_assert_msg(fread(data, sizeof *data, (size_t)count + 1, in) == (size_t)count, "%s holds other than %d floats",
                path, count);
  fclose(in);
  return data;
}

START_TEST(predictions_are_those_of_pytorch) {
  const char *folder = scratch_folder(), *name = cases[_i].name;
  int count = cases[_i].rows * cases[_i].columns;
  char path[512];
  free(shell_ok(MTC " build %s --target=c -o %s/trainer", cases[_i].model, folder));
  free(shell_ok("%s/trainer predict tests/weights/%s-x.npy -o %s/y.npy --init tests/weights/%s.safetensors", folder,
                name, folder, name));
  snprintf(path, sizeof path, "%s/y.npy", folder);
  float *ours = read_floats(path, count);
  snprintf(path, sizeof path, TESTS_DIR "/weights/%s-y.npy", name);
  float *theirs = read_floats(path, count);
  for (int i = 0; i < count; i++)
    ck_assert_msg(fabsf(ours[i] - theirs[i]) <= 1e-5f, "output %d is %.9g, PyTorch has %.9g", i, ours[i], theirs[i]);
  free(ours);
  free(theirs);
}
END_TEST

/* What is exported reads back to the same bytes of every tensor; so small a rate changes no weight. */
START_TEST(an_export_comes_back) {
  const char *folder = scratch_folder(), *name = cases[_i].name;
  free(shell_ok(MTC
                " build %s --target=c -o %s/trainer && cd %s && ./trainer --quiet --steps 1 --lr 1e-30 --data-dir " SOURCE_DIR
                "/samples --init " TESTS_DIR
                "/weights/%s.safetensors --export out.safetensors && ./trainer --quiet --steps 1 --lr 1e-30 "
                "--data-dir " SOURCE_DIR
                "/samples --init out.safetensors --export again.safetensors && cmp out.safetensors again.safetensors",
                cases[_i].model, folder, folder, name));
  free(shell_ok("cd %s && ./trainer predict " TESTS_DIR
                "/weights/%s-x.npy -o a.npy --init out.safetensors && ./trainer predict " TESTS_DIR
                "/weights/%s-x.npy -o b.npy --init " TESTS_DIR "/weights/%s.safetensors && cmp a.npy b.npy",
                folder, name, name, name));
}
END_TEST

Suite *weights_suite(void) {
  Suite *suite = suite_create("weights");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 60);
  tcase_add_loop_test(all, predictions_are_those_of_pytorch, 0, 2);
  tcase_add_loop_test(all, an_export_comes_back, 0, 2);
  suite_add_tcase(suite, all);
  return suite;
}
