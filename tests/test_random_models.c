/* test_random_models.c - random models train as the evaluator says, built for C
 * and, under the emulator, for CUDA.  `make random` goes on where this stops. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

static const struct {
  const char *target;
  int first, count;
} batches[] = {{"c", 1, 60}, {"emulator", 1, 30}, {"emulator", 31, 30}};

START_TEST(models_train_as_the_evaluator_says) {
  char wanted[128];
  snprintf(wanted, sizeof wanted, "%d models trained for %s from %d on, 0 failed\n", batches[_i].count,
           batches[_i].target, batches[_i].first);
  char *said = shell_ok(TESTS_DIR "/random/models " BUILD_DIR " %s %d %d", batches[_i].target, batches[_i].first,
                        batches[_i].count);
  ck_assert_str_eq(said, wanted);
  free(said);
}
END_TEST

/* What once failed. */
START_TEST(what_failed_trains) {
  const char *folder = scratch_folder();
  char *said = shell_ok("for model in " TESTS_DIR "/random/kept/*/; do rm -rf %s/m && cp -r $model %s/m && " TESTS_DIR
                        "/random/train " BUILD_DIR " c - %s/m; done",
                        folder, folder, folder);
  ck_assert_str_eq(said, "");
  free(said);
}
END_TEST

/* A trainer's answers, each changed a little: the check must say which. */
static const struct {
  const char *change, *says;
} damages[] = {
    {"true", ""},
    {"printf '\\315\\314\\214\\077' | dd of=of_c/grads.safetensors bs=1 seek=$(($(stat -c %s of_c/grads.safetensors) - 4)) "
     "conv=notrunc status=none",
     "gradient of net."},
    {"printf '\\315\\314\\214\\077' | dd of=of_c/out.npy bs=1 seek=$(($(stat -c %s of_c/out.npy) - 4)) conv=notrunc "
     "status=none",
     "predicted["},
    {"printf '\\315\\314\\214\\077' | dd of=of_c/m.checkpoint.safetensors bs=1 seek=$(($(stat -c %s "
     "of_c/m.checkpoint.safetensors) - 4)) conv=notrunc status=none",
     "optimizer."},
    {"sed -i '3s/,[^,]*,[^,]*$/,7.5,0/' of_c/metrics.csv", "loss[1] is 7.5"},
    {"sed -i 4d of_c/metrics.csv", "loss has 2 elements, not 3"},
    {"sed -i 's/^step,epoch,loss/step,epoch,lost/' of_c/metrics.csv", "there is no loss"},
    {"sed -i 's/lr: [0-9.e-]*/lr: 0.09/' m.mt", "[1] is "}, /* as if the trainer had used another rate */
};

START_TEST(damage_is_seen) {
  const char *folder = scratch_folder();
  free(shell_ok("cp -r " TESTS_DIR "/random/kept/dropout-in-micro-batches %s/m && " TESTS_DIR "/random/train " BUILD_DIR " c - %s/m",
                folder, folder));
  Shell said = shell("cd %s/m && %s && " BUILD_DIR "/bin/mtc_random check . of_c", folder, damages[_i].change);
  ck_assert_msg(!*damages[_i].says == !said.status, "%s: %s", damages[_i].change, said.output);
  ck_assert_msg(strstr(said.output, damages[_i].says) != NULL, "%s: %s", damages[_i].change, said.output);
  free(said.output);
}
END_TEST

/* A compiler that takes sines for tanh is seen, and a few lines with a tanh are kept of it. */
START_TEST(failures_are_reduced) {
  const char *folder = scratch_folder();
  char *said = shell_ok("mkdir %s/bin && cd %s/bin && ln -s " BUILD_DIR "/bin/mtc_random . && "
                        "printf '#!/bin/sh\n" BUILD_DIR "/bin/mtc \"$@\" && [ ! -e m.c ] || sed -i s/tanh/sin/ m.c\n' "
                        ">mtc && chmod +x mtc && ! KEEP=%s/kept " TESTS_DIR "/random/models .. c 23 2",
                        folder, folder, folder);
  ck_assert_msg(strstr(said, "kept: ") != NULL, "%s", said);
  free(said);
  said = shell_ok("for model in %s/kept/*/m.mt; do grep -q tanh $model && test $(wc -l <$model) -lt 24 || cat $model; done",
                  folder);
  ck_assert_str_eq(said, "");
  free(said);
}
END_TEST

Suite *random_models_suite(void) {
  Suite *suite = suite_create("random_models");
  TCase *tcase = tcase_create("random");
  tcase_set_timeout(tcase, 600);
  tcase_add_loop_test(tcase, models_train_as_the_evaluator_says, 0, sizeof batches / sizeof *batches);
  tcase_add_test(tcase, what_failed_trains);
  tcase_add_loop_test(tcase, damage_is_seen, 0, sizeof damages / sizeof *damages);
  tcase_add_test(tcase, failures_are_reduced);
  suite_add_tcase(suite, tcase);
  return suite;
}
