/* test_checkpoint.c - checkpoints and weights: what they hold, and whose they are. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/in_folder.h"
#include "tests/shell.h"

static const MtTensor params[] = {{"net.w", 2, {2, 2}, 0, MT_CONSTANT, 0, 0, "m.mt:3", NULL},
                                  {"net.b", 1, {2}, 64, MT_CONSTANT, 0, 0, "m.mt:4", NULL}};
static const MtGroup groups[] = {{"net", "adamw", 2, {"m", "v"}, 0, 128, 0}};
static const MtTrain train = {.n_groups = 1, .groups = groups};
static const MtProgram program = {
    .name = "model", .n_params = 2, .param_count = 128, .params = params, .train = &train};

static void fill(float *block, float from) {
  for (int i = 0; i < 128; i++) block[i] = from + (float)i;
}

START_TEST(checkpoint_holds_everything) {
  static float p[128], m[128], v[128], p2[128], m2[128], v2[128];
  fill(p, 0), fill(m, 1000), fill(v, 2000);
  const char *names[] = {"accuracy"};
  double best[] = {0.5}, best2[] = {-INFINITY};
  MtBlocks blocks = {p, NULL, {m, v, NULL}}, back = {p2, NULL, {m2, v2, NULL}};
  MtProgress progress = {7, 2, 64, 1, UINT64_MAX, 1, names, best, NULL, false},
             read = {.n_best = 1, .best_names = names, .best_values = best2};
  MtError error = {""};
  char note[512];
  ck_assert_msg(mt_save_checkpoint(folder, &program, &blocks, &progress, &error), "%s", error.text);
  ck_assert_msg(mt_load_checkpoint(folder, &program, &back, &read, note, &error), "%s", error.text);
  ck_assert(read.step == 7 && read.epoch == 2 && read.row == 64 && read.micro == 1 && read.seed == UINT64_MAX &&
            best2[0] == 0.5);
  ck_assert(p2[3] == 3 && p2[65] == 65 && m2[65] == 1065 && v2[0] == 2000 && note[0] == 0);
}
END_TEST

START_TEST(damaged_checkpoint_falls_back_to_the_one_before) {
  static float p[128], m[128], v[128];
  MtBlocks blocks = {p, NULL, {m, v, NULL}};
  MtProgress progress = {.step = 1}, read = {0};
  MtError error = {""};
  char note[512];
  fill(p, 5);
  ck_assert(mt_save_checkpoint(folder, &program, &blocks, &progress, &error));
  progress.step = 2;
  ck_assert(mt_save_checkpoint(folder, &program, &blocks, &progress, &error));
  free(shell_ok("truncate -s -3 %s/model.checkpoint.safetensors", folder));
  ck_assert(mt_load_checkpoint(folder, &program, &blocks, &read, note, &error));
  ck_assert_int_eq(read.step, 1);
  ck_assert_ptr_nonnull(strstr(note, "cut short"));
  free(shell_ok("rm %s/model.previous.safetensors", folder));
  ck_assert(!mt_load_checkpoint(folder, &program, &blocks, &read, note, &error));
  ck_assert_ptr_nonnull(strstr(error.text, "model.checkpoint.safetensors: cut short"));
}
END_TEST

START_TEST(checkpoint_of_another_model_is_refused) {
  static float p[128], m[128], v[128];
  MtBlocks blocks = {p, NULL, {m, v, NULL}};
  MtProgress progress = {0};
  MtError error = {""};
  char note[512];
  ck_assert(mt_save_checkpoint(folder, &program, &blocks, &progress, &error));
  static const MtTensor other[] = {{"net.w", 2, {2, 3}, 0, MT_CONSTANT, 0, 0, "m.mt:3", NULL},
                                   {"net.b", 1, {2}, 64, MT_CONSTANT, 0, 0, "m.mt:4", NULL}};
  MtProgram changed = program;
  changed.params = other;
  p[0] = 42;
  ck_assert(!mt_load_checkpoint(folder, &changed, &blocks, &progress, note, &error));
  ck_assert_str_eq(said(&error),
                   "model.checkpoint.safetensors: tensor net.w is [2, 2], the model (m.mt:3) needs [2, 3]");
  ck_assert(p[0] == 42);
  error.text[0] = 0;
  changed.name = "other";
  free(shell_ok("cp %s/model.checkpoint.safetensors %s/other.checkpoint.safetensors", folder, folder));
  ck_assert(!mt_load_checkpoint(folder, &changed, &blocks, &progress, note, &error));
  ck_assert_str_eq(said(&error), "other.checkpoint.safetensors: a checkpoint of another model: model, this is other");
}
END_TEST

START_TEST(weights_are_strict) {
  static float p[128];
  MtBlocks blocks = {p, NULL, {NULL, NULL}};
  MtError error = {""};
  fill(p, 1);
  ck_assert(mt_save_weights(path, &program, "net", &blocks, &error));
  fill(p, 9);
  ck_assert_msg(mt_load_weights(path, &program, "net", NULL, &blocks, &error), "%s", error.text);
  ck_assert(p[0] == 1 && p[65] == 66);
  ck_assert(!mt_load_weights(path, &program, "", NULL, &blocks, &error));
  ck_assert_str_eq(said(&error), "file: tensor net.w is missing; the model (m.mt:3) needs it as [2, 2]");
  error.text[0] = 0;
  MtProgram smaller = program;
  smaller.n_params = 1;
  ck_assert(!mt_load_weights(path, &smaller, "net", NULL, &blocks, &error));
  ck_assert_str_eq(said(&error), "file: tensor b is not one of this model's");
}
END_TEST

/* ---- running statistics, best values and tuned choices ---- */

START_TEST(checkpoint_holds_states_and_choices) {
  static const MtTensor states[] = {{"net.mean", 1, {3}, 0, MT_CONSTANT, 0, 0, "m.mt:5", NULL}};
  static float p[128], m[128], v[128], mean[64] = {7, 8, 9}, back[64];
  char choices[] = "1 2 3";
  MtProgram with_states = program;
  with_states.n_states = 1;
  with_states.state_count = 64;
  with_states.states = states;
  MtBlocks blocks = {p, mean, {m, v, NULL}}, other = {p, back, {m, v, NULL}};
  MtProgress progress = {.step = 4, .gemm = choices}, read = {0};
  MtError error = {""};
  char note[512];
  ck_assert_msg(mt_save_checkpoint(folder, &with_states, &blocks, &progress, &error), "%s", error.text);
  ck_assert_msg(mt_load_checkpoint(folder, &with_states, &other, &read, note, &error), "%s", error.text);
  ck_assert(back[0] == 7 && back[2] == 9 && read.gemm && !strcmp(read.gemm, choices));
  free(read.gemm);
  ck_assert(!mt_load_checkpoint(folder, &program, &blocks, &read, note, &error));
  ck_assert_str_eq(said(&error), "model.checkpoint.safetensors: tensor net.mean is not one of this model's");
}
END_TEST

/* ---- which tensors a file holds ---- */

/* What the program's optimizers do not move has no slots: a parameter before the group's, one behind, all of them. */
START_TEST(frozen_parameters_have_no_slots) {
  static const MtTensor three[] = {{"net.a", 1, {1}, 0, MT_CONSTANT, 0, 0, "m.mt:3", NULL},
                                   {"net.b", 1, {1}, 64, MT_CONSTANT, 0, 0, "m.mt:4", NULL},
                                   {"net.c", 1, {1}, 128, MT_CONSTANT, 0, 0, "m.mt:5", NULL}};
  static const MtGroup middle[] = {{"net.b", "sgd", 1, {"momentum"}, 64, 64, 64}};
  static const MtTrain moves_one = {.n_groups = 1, .groups = middle};
  static float p[192] = {[0] = 1, [64] = 2, [128] = 3}, m[192] = {[0] = 4, [64] = 5, [128] = 6}, p2[192], m2[192];
  MtProgram partly = {.name = "model", .n_params = 3, .param_count = 192, .params = three, .train = &moves_one};
  MtBlocks blocks = {p, NULL, {m}}, back = {p2, NULL, {m2}};
  MtProgress progress = {.step = 3}, read = {0};
  MtArchive archive;
  MtError error = {""};
  char note[512], saved[300];
  snprintf(saved, sizeof saved, "%s/model.checkpoint.safetensors", folder);
  ck_assert_msg(mt_save_checkpoint(folder, &partly, &blocks, &progress, &error), "%s", error.text);
  ck_assert_msg(mt_read_safetensors(saved, &archive, &error), "%s", error.text);
  ck_assert_int_eq(archive.n_arrays, 4);
  ck_assert_ptr_nonnull(mt_archive_find(&archive, "optimizer.momentum.net.b"));
  mt_archive_free(&archive);
  ck_assert_msg(mt_load_checkpoint(folder, &partly, &back, &read, note, &error), "%s", error.text);
  ck_assert(p2[0] == 1 && p2[64] == 2 && p2[128] == 3 && m2[0] == 0 && m2[64] == 5 && m2[128] == 0);
  partly.train = NULL;
  ck_assert(!mt_load_checkpoint(folder, &partly, &back, &read, note, &error));
  ck_assert_str_eq(said(&error),
                   "model.checkpoint.safetensors: tensor optimizer.momentum.net.b is not one of this model's");
  error.text[0] = 0;
  ck_assert_msg(mt_save_checkpoint(folder, &partly, &blocks, &progress, &error), "%s", error.text);
  p2[128] = 0;
  ck_assert_msg(mt_load_checkpoint(folder, &partly, &back, &read, note, &error), "%s", error.text);
  ck_assert(p2[128] == 3);
}
END_TEST

START_TEST(a_missing_state_is_named) {
  static const MtTensor states[] = {{"net.mean", 1, {3}, 0, MT_CONSTANT, 0, 0, "m.mt:5", NULL}};
  static float p[128], m[128], v[128], mean[64];
  MtProgram with_states = program;
  with_states.n_states = 1;
  with_states.states = states;
  MtBlocks blocks = {p, mean, {m, v}};
  MtProgress progress = {.step = 4};
  MtError error = {""};
  char note[512];
  ck_assert_msg(mt_save_checkpoint(folder, &program, &blocks, &progress, &error), "%s", error.text);
  ck_assert(!mt_load_checkpoint(folder, &with_states, &blocks, &progress, note, &error));
  ck_assert_str_eq(said(&error),
                   "model.checkpoint.safetensors: tensor net.mean is missing; the model (m.mt:5) needs it as [3]");
}
END_TEST

/* Weights of one instance are told from those of another; all of them keep their full names. */
START_TEST(weights_of_one_instance) {
  static const MtTensor two[] = {{"left.w", 1, {2}, 0, MT_CONSTANT, 0, 0, "m.mt:3", NULL},
                                 {"right.w", 1, {2}, 64, MT_CONSTANT, 0, 0, "m.mt:4", NULL}};
  const MtProgram pair = {.name = "model", .n_params = 2, .param_count = 128, .params = two};
  static float p[128] = {[0] = 1, [64] = 2};
  MtBlocks blocks = {p, NULL, {NULL}};
  MtError error = {""};
  ck_assert_msg(mt_save_weights(path, &pair, "right", &blocks, &error), "%s", error.text);
  ck_assert_msg(mt_load_weights(path, &pair, "left", NULL, &blocks, &error), "%s", error.text);
  ck_assert(p[0] == 2 && p[64] == 2);
  p[0] = 1;
  ck_assert_msg(mt_save_weights(path, &pair, "", &blocks, &error), "%s", error.text);
  p[0] = p[64] = 0;
  ck_assert_msg(mt_load_weights(path, &pair, "", NULL, &blocks, &error), "%s", error.text);
  ck_assert(p[0] == 1 && p[64] == 2);
  ck_assert(!mt_load_weights(path, &pair, "left", NULL, &blocks, &error));
  ck_assert_str_eq(said(&error), "file: tensor w is missing; the model (m.mt:3) needs it as [2]");
}
END_TEST

START_TEST(weights_of_other_floats_are_converted) {
  static const MtTensor one[] = {{"w", 1, {2}, 0, MT_CONSTANT, 0, 0, "m.mt:3", NULL}};
  const MtProgram small = {.name = "model", .n_params = 1, .param_count = 64, .params = one};
  static const uint16_t halves[] = {0x3f80, 0xc020};
  static const double doubles[] = {0.1, -3};
  static float p[64];
  const int64_t shape[] = {2};
  MtBlocks blocks = {p, NULL, {NULL}};
  MtError error = {""};
  for (int wide = 0; wide < 2; wide++) {
    MtArchive archive = {0};
    ck_assert(mt_archive_add(&archive, "w", wide ? MT_WIDE_F64 : MT_WIDE_BF16, 1, shape,
                             wide ? (const void *)doubles : (const void *)halves));
    ck_assert_msg(mt_write_safetensors(path, NULL, &archive, &error), "%s", error.text);
    mt_archive_free(&archive);
    ck_assert_msg(mt_load_weights(path, &small, "", NULL, &blocks, &error), "%s", error.text);
    ck_assert(wide ? p[0] == 0.1f && p[1] == -3 : p[0] == 1 && p[1] == -2.5f);
  }
}
END_TEST

START_TEST(a_full_device_is_told) {
  static float p[128];
  MtBlocks blocks = {p, NULL, {NULL}};
  MtError error = {""};
  ck_assert(!mt_save_weights("/dev/full", &program, "", &blocks, &error));
  ck_assert_str_eq(error.text, "/dev/full: cannot write: No space left on device");
  ck_assert_int_eq(access("/dev/full", F_OK), 0);
}
END_TEST

Suite *checkpoint_suite(void) {
  Suite *suite = suite_create("checkpoint");
  TCase *files = tcase_create("files");
  tcase_add_checked_fixture(files, set_up_folder, NULL);
  tcase_add_test(files, checkpoint_holds_everything);
  tcase_add_test(files, damaged_checkpoint_falls_back_to_the_one_before);
  tcase_add_test(files, checkpoint_of_another_model_is_refused);
  tcase_add_test(files, weights_are_strict);
  tcase_add_test(files, checkpoint_holds_states_and_choices);
  tcase_add_test(files, frozen_parameters_have_no_slots);
  tcase_add_test(files, a_missing_state_is_named);
  tcase_add_test(files, weights_of_one_instance);
  tcase_add_test(files, weights_of_other_floats_are_converted);
  tcase_add_test(files, a_full_device_is_told);
  suite_add_tcase(suite, files);
  return suite;
}
