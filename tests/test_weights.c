/* test_weights.c - weights that PyTorch saved, read with --init or by a list of
 * names: predictions equal to PyTorch's, and what is saved again has PyTorch's
 * names, shapes and types.  tests/weights/roundtrip.py made the files. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"
#include "tests/shell.h"

#define WEIGHTS TESTS_DIR "/weights/"

static const struct {
  const char *name, *model, *fields; /* fields: whose letters stand in the names of input files */
  int rows, columns;
} cases[] = {{"digits", "samples/digits.mt", "x", 37, 10},
             {"norm", "tests/weights/norm.mt", "x", 37, 5},
             {"layers", "tests/weights/layers.mt", "xz", 37, 5}, /* one of every layer that holds something */
             {"gpt2", "tests/weights/gpt2.mt", "x", 37, 8 * 32}};
enum { N_CASES = sizeof cases / sizeof cases[0], N_OWN_NAMES = 3 }; /* the last has Hugging Face's names */

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

/* The input files of a case, one a field. */
static const char *inputs(int which) {
  static char text[1024];
  text[0] = 0;
  for (const char *field = cases[which].fields; *field; field++)
    snprintf(text + strlen(text), sizeof text - strlen(text), " " WEIGHTS "%s-%c.npy", cases[which].name, *field);
  return text;
}

static const char *build(int which) {
  const char *folder = scratch_folder();
  free(shell_ok(MTC " build %s --target=c -o %s/trainer", cases[which].model, folder));
  return folder;
}

static void compare_floats(const char *ours_path, const char *theirs_path, int count) {
  float *ours = read_floats(ours_path, count), *theirs = read_floats(theirs_path, count);
  for (int i = 0; i < count; i++)
    ck_assert_msg(fabsf(ours[i] - theirs[i]) <= 1e-5f, "output %d is %.9g, PyTorch has %.9g", i, ours[i], theirs[i]);
  free(ours);
  free(theirs);
}

START_TEST(predictions_are_those_of_pytorch) {
  const char *folder = build(_i), *name = cases[_i].name;
  char ours[512], theirs[512], init[600] = "";
  if (_i < N_OWN_NAMES) snprintf(init, sizeof init, "--init " WEIGHTS "%s.safetensors", name);
  free(shell_ok("cd %s && ./trainer predict%s -o y.npy --data-dir " WEIGHTS " %s", folder, inputs(_i), init));
  snprintf(ours, sizeof ours, "%s/y.npy", folder);
  snprintf(theirs, sizeof theirs, WEIGHTS "%s-y.npy", name);
  compare_floats(ours, theirs, cases[_i].rows * cases[_i].columns);
}
END_TEST

/* What is exported reads back to the same bytes of every tensor; so small a rate changes no weight. */
START_TEST(an_export_comes_back) {
  const char *folder = build(_i), *name = cases[_i].name, *in = inputs(_i);
  free(shell_ok("cd %s && ./trainer --quiet --steps 1 --lr 1e-30 --data-dir " SOURCE_DIR "/samples --init " WEIGHTS "%s.safetensors --export out.safetensors && "
                "./trainer --quiet --steps 1 --lr 1e-30 --data-dir " SOURCE_DIR "/samples --init out.safetensors --export again.safetensors",
                folder, name));
  if (!strcmp(name, "layers")) return; /* a BatchNorm has moved on */
  free(shell_ok("cd %s && cmp out.safetensors again.safetensors && ./trainer predict%s -o a.npy --init out.safetensors && "
                "./trainer predict%s -o b.npy --init " WEIGHTS "%s.safetensors && cmp a.npy b.npy", folder, in, in, name));
}
END_TEST

static MtArchive read_archive(const char *path) {
  MtArchive archive;
  MtError error = {""};
  ck_assert_msg(mt_read_safetensors(path, &archive, &error), "%s", error.text);
  return archive;
}

/* Of one name: type, shape and bytes, but for what a step of training moves. */
static void compare_tensor(const MtArray *ours, const MtArray *theirs) {
  const char *name = theirs->name;
  ck_assert_msg(ours != NULL, "%s is not saved", name);
  ck_assert_msg(ours->type == theirs->type && ours->rank == theirs->rank, "%s: another type or rank", name);
  for (int a = 0; a < theirs->rank; a++) ck_assert_msg(ours->shape[a] == theirs->shape[a], "%s: another shape", name);
  if (strstr(name, "num_batches_tracked")) {
    ck_assert_int_eq(theirs->type, MT_WIDE_I64);
    ck_assert_msg(*(int64_t *)ours->data == *(int64_t *)theirs->data + 1, "%s: one batch was seen", name);
  } else if (!strstr(name, "running_")) {
    size_t bytes = (size_t)mt_array_count(theirs) * mt_wide_size(theirs->type);
    ck_assert_msg(!memcmp(ours->data, theirs->data, bytes), "%s: other values", name);
  }
}

/* What load_state_dict(strict=True) asks for: every key, none besides, in PyTorch's types and shapes. */
START_TEST(what_is_saved_is_a_state_dict) {
  const char *folder = build(_i), *name = cases[_i].name;
  char path[512];
  free(shell_ok("cd %s && ./trainer --quiet --steps 1 --lr 1e-30 --data-dir " SOURCE_DIR "/samples --init " WEIGHTS "%s.safetensors --export out.safetensors",
                folder, name));
  snprintf(path, sizeof path, "%s/out.safetensors", folder);
  MtArchive ours = read_archive(path);
  snprintf(path, sizeof path, WEIGHTS "%s.safetensors", name);
  MtArchive theirs = read_archive(path);
  ck_assert_int_eq(ours.n_arrays, theirs.n_arrays);
  for (int i = 0; i < theirs.n_arrays; i++) compare_tensor(mt_archive_find(&ours, theirs.arrays[i].name), &theirs.arrays[i]);
  ck_assert_str_eq(mt_archive_note(&ours, "format"), "pt");
  mt_archive_free(&ours);
  mt_archive_free(&theirs);
}
END_TEST

/* A state_dict has no order: the same tensors, last first, are the same weights. */
START_TEST(the_order_of_tensors_does_not_matter) {
  enum { LAYERS = 2 };
  const char *folder = build(LAYERS), *in = inputs(LAYERS);
  char path[512];
  MtArchive theirs = read_archive(WEIGHTS "layers.safetensors"), turned = {0};
  MtError error = {""};
  for (int i = theirs.n_arrays - 1; i >= 0; i--) {
    const MtArray *a = &theirs.arrays[i];
    ck_assert(mt_archive_add(&turned, a->name, a->type, a->rank, a->shape, a->data));
  }
  snprintf(path, sizeof path, "%s/turned.safetensors", folder);
  ck_assert_msg(mt_write_safetensors(path, NULL, &turned, &error), "%s", error.text);
  free(shell_ok("cd %s && ./trainer predict%s -o a.npy --init turned.safetensors && ./trainer predict%s -o b.npy --init " WEIGHTS
                "layers.safetensors && cmp a.npy b.npy && ! cmp -s turned.safetensors " WEIGHTS "layers.safetensors", folder, in, in));
  mt_archive_free(&theirs);
  mt_archive_free(&turned);
}
END_TEST

/* Every tensor is needed, and every one is known. */
START_TEST(a_state_dict_is_read_strictly) {
  enum { LAYERS = 2 };
  const char *folder = build(LAYERS);
  char path[512];
  MtArchive theirs = read_archive(WEIGHTS "layers.safetensors");
  snprintf(path, sizeof path, "%s/other.safetensors", folder);
  for (int left_out = 0; left_out < theirs.n_arrays; left_out++) {
    MtArchive other = {0};
    MtError error = {""};
    for (int i = 0; i < theirs.n_arrays; i++) {
      const MtArray *a = &theirs.arrays[i];
      ck_assert(i == left_out || mt_archive_add(&other, a->name, a->type, a->rank, a->shape, a->data));
    }
    ck_assert_msg(mt_write_safetensors(path, NULL, &other, &error), "%s", error.text);
    Shell said = shell("cd %s && ./trainer predict%s -o y.npy --init other.safetensors", folder, inputs(LAYERS));
    char wanted[300];
    snprintf(wanted, sizeof wanted, "tensor %s is missing", theirs.arrays[left_out].name);
    ck_assert_msg(said.status == 1 && strstr(said.output, wanted), "%s: %s", wanted, said.output);
    free(said.output);
    mt_archive_free(&other);
  }
  mt_archive_free(&theirs);
}
END_TEST

Suite *weights_suite(void) {
  Suite *suite = suite_create("weights");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 120);
  tcase_add_loop_test(all, predictions_are_those_of_pytorch, 0, N_CASES);
  tcase_add_loop_test(all, an_export_comes_back, 0, N_OWN_NAMES);
  tcase_add_loop_test(all, what_is_saved_is_a_state_dict, 0, N_OWN_NAMES);
  tcase_add_test(all, the_order_of_tensors_does_not_matter);
  tcase_add_test(all, a_state_dict_is_read_strictly);
  suite_add_tcase(suite, all);
  return suite;
}
