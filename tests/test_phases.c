/* test_phases.c - steps of several updates, or of several batches: a generator
 * and its critic, updates that move some of the same, losses over alignments;
 * built for C and, under the emulator, for CUDA, trained to PyTorch's weights
 * (pytorch/phases.py made them), stopped and resumed, and checked for gradients.
 * Of one with BatchNorms also what it makes of other rows by its running values.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"
#include "tests/shell.h"

#define TRAIN "--init G=G.safetensors --init D=D.safetensors --quiet"

typedef struct Model {
  const char *folder, *train;
  int held; /* parameters and states */
} Model;
static const Model models[] = {
    {"gan", TRAIN, 13},
    {"twice", "--init net=net.safetensors --init head=head.safetensors --quiet", 8},
    {"speech", "--init net=net.safetensors --init head=head.safetensors --quiet", 8},
    {"parts", "--init net=net.safetensors --quiet", 4},
    {"norms", "--init net=net.safetensors --quiet", 16},
};
enum { N_MODELS = sizeof models / sizeof *models };

static const char *build(const Model *model) {
  const char *folder = scratch_folder();
  free(shell_ok("cp -r " TESTS_DIR "/pytorch/%s %s/ && cd %s/%s && " MTC " build model.mt --target=c -o trainer", model->folder,
                folder, folder, model->folder));
  return folder;
}

static const char *build_c(void) { return build(&models[0]); }

/* Floats against doubles that were narrowed: the first layer's bias has no gradient but rounding, which Adam enlarges. */
static void compare_weights(const char *folder, const Model *model) {
  MtArchive want, got;
  MtError error = {""};
  char path[600];
  snprintf(path, sizeof path, TESTS_DIR "/pytorch/%s/trained.safetensors", model->folder);
  ck_assert_msg(mt_read_safetensors(path, &want, &error), "%s", error.text);
  snprintf(path, sizeof path, "%s/%s/out/model.checkpoint.safetensors", folder, model->folder);
  ck_assert_msg(mt_read_safetensors(path, &got, &error), "%s", error.text);
  ck_assert_int_eq(want.n_arrays, model->held);
  for (int i = 0; i < want.n_arrays; i++) {
    const MtArray *w = &want.arrays[i], *g = mt_archive_find(&got, w->name);
    ck_assert_msg(g != NULL, "no %s", w->name);
    for (int64_t k = 0; k < mt_array_count(w); k++) {
      float a = ((const float *)w->data)[k], b = ((const float *)g->data)[k];
      ck_assert_msg(fabsf(a - b) <= 2e-5f, "%s[%lld]: PyTorch has %.9g, we have %.9g", w->name, (long long)k, (double)a,
                    (double)b);
    }
  }
  mt_archive_free(&want);
  mt_archive_free(&got);
}

START_TEST(weights_are_those_of_pytorch) {
  const Model *m = &models[_i];
  const char *folder = build(m);
  free(shell_ok("cd %s/%s && ./trainer %s --save-dir out", folder, m->folder, m->train));
  compare_weights(folder, m);
}
END_TEST

START_TEST(the_emulated_gpu_does_the_same) {
  const Model *m = &models[_i];
  const char *folder = build(m);
  free(shell_ok("cd %s/%s && " MTC " model.mt -o model.cu && for schedule in 1 2; do MTC=" MTC
                " MTC_SCHEDULE=$schedule " TESTS_DIR "/emulator/run model.cu %s --save-dir $PWD/out --data-dir $PWD && "
                "cp out/model.checkpoint.safetensors $schedule; done; cmp 1 2",
                folder, m->folder, m->train));
  compare_weights(folder, m);
}
END_TEST

enum { OTHERS = 9, SCORES = 2 * OTHERS };

/* The numbers of an .npy file, floats or doubles as they are. */
static void read_npy(const char *path, size_t size, void *out) {
  unsigned char head[10];
  FILE *file = fopen(path, "rb");
  ck_assert_msg(file && fread(head, 1, sizeof head, file) == sizeof head, "%s", path);
  ck_assert_int_eq(fseek(file, 10 + head[8] + 256 * head[9], SEEK_SET), 0);
  ck_assert_uint_eq(fread(out, size, SCORES, file), SCORES);
  ck_assert_int_eq(fgetc(file), EOF);
  fclose(file);
}

/* `trainer`: how it is run in the folder.  The ninth row makes a batch of its own, which has no variance. */
static void compare_evaluation(const char *trainer) {
  const char *folder = scratch_folder();
  char path[600];
  double want[SCORES], loss;
  float got[SCORES];
  char *said = shell_ok("cp -r " TESTS_DIR "/pytorch/norms %s/ && cd %s/norms && " MTC " model.mt -o model.c && " MTC " model.mt -o model.cu && "
                        "MTC=" MTC " && export MTC CXXFLAGS=-O0 && %s eval --json --init $PWD/evaluated.safetensors --data-dir $PWD && "
                        "%s predict $PWD/others.npy -o $PWD/p.npy --init $PWD/evaluated.safetensors", folder, folder, trainer, trainer);
  char *wanted = read_text(TESTS_DIR "/pytorch/norms/loss"), *found = strstr(said, "\"others\":");
  ck_assert_msg(wanted && found, "%s", said);
  loss = strtod(wanted, NULL);
  ck_assert_msg(fabs(strtod(found + 9, NULL) - loss) <= 1e-6 * loss, "PyTorch has %s in %s", wanted, said);
  read_npy(TESTS_DIR "/pytorch/norms/predicted.npy", sizeof(double), want);
  snprintf(path, sizeof path, "%s/norms/p.npy", folder);
  read_npy(path, sizeof(float), got);
  for (int i = 0; i < SCORES; i++)
    ck_assert_msg(fabs((double)got[i] - want[i]) <= 2e-6, "score %d: PyTorch has %.9g, we have %.9g", i, want[i], (double)got[i]);
  free(said);
  free(wanted);
}

START_TEST(running_values_are_used_as_by_pytorch) {
  compare_evaluation("cc -std=gnu11 -fopenmp -O1 $($MTC --print=cflags) model.c $($MTC --print=libs) -o m && ./m");
}
END_TEST

START_TEST(running_values_are_used_on_the_emulated_gpu) { compare_evaluation(TESTS_DIR "/emulator/run model.cu"); }
END_TEST

/* PyTorch counts batches in 64-bit integers. */
static void count_in_integers(const char *path, int64_t count) {
  MtArchive from, to = {0};
  MtError error = {""};
  ck_assert_msg(mt_read_safetensors(path, &from, &error), "%s", error.text);
  for (int i = 0; i < from.n_arrays; i++) {
    const MtArray *a = &from.arrays[i];
    bool counts = !strcmp(a->name, "bn.num_batches_tracked");
    ck_assert(mt_archive_add(&to, a->name, counts ? MT_WIDE_I64 : a->type, a->rank, a->shape, counts ? &count : a->data));
  }
  ck_assert_msg(mt_write_safetensors(path, NULL, &to, &error), "%s", error.text);
  mt_archive_free(&from);
  mt_archive_free(&to);
}

START_TEST(counts_of_pytorch_are_read) {
  const char *folder = build_c();
  MtArchive got;
  MtError error = {""};
  char path[600];
  snprintf(path, sizeof path, "%s/gan/G.safetensors", folder);
  count_in_integers(path, 7);
  free(shell_ok("cd %s/gan && ./trainer " TRAIN " --save-dir out", folder));
  snprintf(path, sizeof path, "%s/gan/out/G.safetensors", folder);
  ck_assert_msg(mt_read_safetensors(path, &got, &error), "%s", error.text);
  const MtArray *count = mt_archive_find(&got, "bn.num_batches_tracked");
  ck_assert(count && count->type == MT_WIDE_I64 && *(const int64_t *)count->data == 7 + 9); /* six steps, and a second call in three of them */
  mt_archive_free(&got);
}
END_TEST

/* Between two generator updates, too. */
START_TEST(a_resumed_run_has_the_same_bits) {
  const Model *m = &models[_i];
  const char *folder = build(m);
  free(shell_ok("cd %s/%s && ./trainer %s --save-dir out && ./trainer %s --save-dir parts --stop-after 1 && "
                "./trainer --quiet --save-dir parts --resume --stop-after 2 && ./trainer --quiet --save-dir parts --resume && "
                "cmp out/model.checkpoint.safetensors parts/model.checkpoint.safetensors",
                folder, m->folder, m->train, m->train));
}
END_TEST

static void expect_array(const char *path, const char *name, bool there) {
  MtArchive archive;
  MtError error = {""};
  ck_assert_msg(mt_read_safetensors(path, &archive, &error), "%s", error.text);
  ck_assert_msg((mt_archive_find(&archive, name) != NULL) == there, "%s: %s %s", path, there ? "no" : "there is a", name);
  mt_archive_free(&archive);
}

/* Each optimizer keeps its own numbers of what several move, and each loss its gradients. */
START_TEST(what_several_updates_move_is_told_apart) {
  const Model *m = &models[1];
  const char *folder = build(m);
  char *said = shell_ok("cd %s/twice && ./trainer gradcheck && ./trainer --help && ./trainer --quiet && "
                        "./trainer --quiet --dump-grads g.safetensors", folder), path[600];
  ck_assert_ptr_nonnull(strstr(said, "15 parameters, worst relative error")); /* 4 of net, 3 of net and 4 of head, 4 of net */
  ck_assert_ptr_nonnull(strstr(said, "  update net using adamw\n  update net.fc1 using sgd\n  update net.fc2 using adam\n"
                                     "  update head using rmsprop\n  update net.fc1.weight using adam\n  update net using sgd\n"));
  free(said);
  snprintf(path, sizeof path, "%s/twice/model.run/model.checkpoint.safetensors", folder);
  expect_array(path, "optimizer.m.net.fc2.bias", true);
  expect_array(path, "optimizer.2.m.net.fc2.bias", true);
  expect_array(path, "optimizer.3.buf.net.fc2.bias", true);
  expect_array(path, "optimizer.2.buf.net.fc1.bias", true);
  expect_array(path, "optimizer.3.buf.net.fc1.bias", false);
  expect_array(path, "optimizer.v.head.fc1.bias", true);
  snprintf(path, sizeof path, "%s/twice/g.safetensors", folder);
  expect_array(path, "loss.2", true);
  expect_array(path, "net.fc1.weight", true);
  expect_array(path, "net.fc1.weight.2", true);
  expect_array(path, "net.fc1.bias.2", false);
}
END_TEST

START_TEST(each_update_has_its_gradients_checked) {
  const char *folder = build_c();
  char *said = shell_ok("cd %s/gan && ./trainer gradcheck && ./trainer --dump-grads g.safetensors", folder);
  MtArchive grads;
  MtError error = {""};
  char path[600];
  ck_assert_ptr_nonnull(strstr(said, "10 parameters, worst relative error"));
  snprintf(path, sizeof path, "%s/gan/g.safetensors", folder);
  ck_assert_msg(mt_read_safetensors(path, &grads, &error), "%s", error.text);
  ck_assert_int_eq(grads.n_arrays, 12);
  ck_assert_ptr_nonnull(mt_archive_find(&grads, "loss"));
  ck_assert_ptr_nonnull(mt_archive_find(&grads, "loss.1"));
  ck_assert_ptr_nonnull(mt_archive_find(&grads, "G.fc1.weight"));
  mt_archive_free(&grads);
  free(said);
}
END_TEST

/* What an `every` computes is averaged over the steps in which it ran, and left out of lines in which it did not. */
START_TEST(logs_of_phases_that_did_not_run_stay_empty) {
  const char *folder = build_c();
  free(shell_ok("cd %s/gan && ./trainer " TRAIN " --save-dir out --log-every 1 && ./trainer " TRAIN
                " --save-dir two --log-every 2",
                folder));
  free(shell_ok("cd %s/gan && test $(grep -c ',$' out/metrics.csv) = 3 && test $(grep -c ',$' two/metrics.csv) = 0 && "
                "cut -d, -f1,4 out/metrics.csv | grep '[246],' >a && cut -d, -f1,4 two/metrics.csv | grep '[246],' >b && cmp a b",
                folder));
}
END_TEST

Suite *phases_suite(void) {
  Suite *suite = suite_create("phases");
  TCase *tcase = tcase_create("phases");
  tcase_set_timeout(tcase, 240);
  tcase_add_loop_test(tcase, weights_are_those_of_pytorch, 0, N_MODELS);
  tcase_add_loop_test(tcase, the_emulated_gpu_does_the_same, 0, N_MODELS);
  tcase_add_test(tcase, running_values_are_used_as_by_pytorch);
  tcase_add_test(tcase, running_values_are_used_on_the_emulated_gpu);
  tcase_add_test(tcase, counts_of_pytorch_are_read);
  tcase_add_loop_test(tcase, a_resumed_run_has_the_same_bits, 0, N_MODELS);
  tcase_add_test(tcase, what_several_updates_move_is_told_apart);
  tcase_add_test(tcase, each_update_has_its_gradients_checked);
  tcase_add_test(tcase, logs_of_phases_that_did_not_run_stay_empty);
  suite_add_tcase(suite, tcase);
  return suite;
}
