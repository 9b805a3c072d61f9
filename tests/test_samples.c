/* test_samples.c - the samples as a user meets them: compiled, built, trained. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/storage.h"
#include "tests/shell.h"

static const char *const samples[] = {"digits", "digits-cnn", "regression", "vae", "wgan-gp", "pinn", "sonnets", "glyphs-cnn", "names-rnn", "temperature-lstm", "gpt2", "resnet18", "benchmark/mlp_tiny", "benchmark/mlp_mnist", "benchmark/mlp_wide",
                                      "benchmark/ffn_bound", "benchmark/lenet", "benchmark/gpt_char", "benchmark/lstm", "benchmark/resnet18"};
enum { N_SAMPLES = sizeof samples / sizeof samples[0] };

START_TEST(compiles_to_c_without_warnings) {
  const char *folder = scratch_folder();
  static const char *const compilers[] = {"gcc", "clang"};
  for (int i = 0; i < 2; i++)
    free(shell_ok(MTC " samples/%s.mt -o %s/model.c && %s -std=c11 -O1 -Wall -Wextra -Wpedantic -Werror -Wno-unknown-pragmas -c %s/model.c "
                  "$(" MTC " --print=cflags) -o %s/model.o", samples[_i], folder, compilers[i], folder, folder));
}
END_TEST

START_TEST(compiles_to_cuda_without_warnings) {
  if (!has_nvcc()) return;
  const char *folder = scratch_folder();
  free(shell_ok(MTC " samples/%s.mt -o %s/model.cu && nvcc -arch=sm_90 -Werror all-warnings -Xcompiler -Wall -c %s/model.cu "
                "$(" MTC " --print=cflags) -o %s/model.o", samples[_i], folder, folder, folder));
}
END_TEST

START_TEST(without_a_gpu_the_cuda_trainer_says_so) {
  const char *folder = scratch_folder();
  if (!has_nvcc() || !access("/dev/nvidia0", F_OK)) return;
  free(shell_ok(MTC " build samples/benchmark/mlp_tiny.mt --target=cuda -o %s/tiny", folder));
  Shell said = shell("cd %s && ./tiny", folder);
  ck_assert_msg(strstr(said.output, "no CUDA device can be used: ") != NULL, "%s", said.output);
  ck_assert_int_eq(said.status, 1);
  free(said.output);
  free(shell_ok("cd %s && test \"$(ls)\" = tiny", folder));
}
END_TEST

START_TEST(is_laid_out_as_fmt_does) {
  const char *folder = scratch_folder();
  free(shell_ok(MTC " fmt samples/%s.mt -o %s/model.mt && diff samples/%s.mt %s/model.mt", samples[_i], folder, samples[_i], folder));
}
END_TEST

/* The last `accuracy` that metrics.csv or the console names. */
static double last_number_after(const char *text, const char *key) {
  double value = -1;
  for (const char *at = strstr(text, key); at; at = strstr(at + 1, key)) value = strtod(at + strlen(key), NULL);
  return value;
}

START_TEST(digits_are_learned) {
  const char *folder = scratch_folder();
  free(shell_ok(MTC " build samples/digits.mt --target=c -o %s/digits", folder));
  for (int seed = 1; seed <= 3; seed++) {
    char *output = shell_ok("cd %s && ./digits --seed %d --save-dir run%d --data-dir " SOURCE_DIR "/samples && ./digits eval --json --save-dir run%d "
                            "--init run%d/net.best.safetensors --data-dir " SOURCE_DIR "/samples", folder, seed, seed, seed, seed);
    double accuracy = last_number_after(output, "\"accuracy\":");
    ck_assert_msg(accuracy >= 0.96 && accuracy <= 1, "seed %d: accuracy %g\n%s", seed, accuracy, output);
    free(output);
  }
}
END_TEST

/* Pictures as pictures: a convolutional network makes half the mistakes. */
START_TEST(digits_are_learned_by_windows) {
  const char *folder = scratch_folder();
  free(shell_ok(MTC " build samples/digits-cnn.mt --target=c -o %s/cnn", folder));
  char *output = shell_ok("cd %s && ./cnn --data-dir " SOURCE_DIR "/samples --save-dir run && ./cnn eval --json --save-dir run "
                          "--init run/net.best.safetensors --data-dir " SOURCE_DIR "/samples", folder);
  double accuracy = last_number_after(output, "\"accuracy\":");
  ck_assert_msg(accuracy >= 0.985 && accuracy <= 1, "accuracy %g\n%s", accuracy, output);
  free(output);
}
END_TEST

/* What a sample of the list comes to: the last number after `key` in what it prints, a folder left with what it made. */
static double trained(const char *folder, const char *sample, const char *options, const char *key) {
  char *output = shell_ok(MTC " build samples/%s.mt --target=c -o %s/trainer && cd %s && ./trainer %s --data-dir " SOURCE_DIR
                          "/samples", sample, folder, folder, options);
  double value = last_number_after(output, key);
  free(output);
  return value;
}

/* Printed digits of families that were not among those learned. */
START_TEST(glyphs_are_learned) {
  double accuracy = trained(scratch_folder(), "glyphs-cnn", "", "accuracy ");
  ck_assert_msg(accuracy >= 0.98 && accuracy <= 1, "accuracy %g", accuracy);
}
END_TEST

/* Nats a letter of names that were kept back; counting pairs and triples of letters comes to 2.33 and 2.10. */
START_TEST(names_are_learned) {
  double nats = trained(scratch_folder(), "names-rnn", "--epochs 3", "nats ");
  ck_assert_msg(nats > 1.8 && nats < 2.08, "%g nats", nats);
}
END_TEST

/* In degrees, where "as now" is wrong by 3.32 and "as yesterday" by 4.05. */
START_TEST(temperatures_are_told) {
  const char *folder = scratch_folder();
  double rmse = trained(folder, "temperature-lstm", "--epochs 5", "rmse ");
  ck_assert_msg(rmse > 1.5 && rmse < 2.6, "rmse %g", rmse);
  char *output = shell_ok("cd %s && ./trainer eval --json --data-dir " SOURCE_DIR "/samples --init temperature-lstm.run/net.safetensors", folder);
  ck_assert_double_eq_tol(last_number_after(output, "\"now\":"), 3.323, 0.001);
  ck_assert_double_eq_tol(last_number_after(output, "\"yesterday\":"), 4.049, 0.001);
  free(output);
}
END_TEST

/* Small sizes of what is meant for a GPU; tokens that are not shipped become random ones. */
START_TEST(large_models_train_when_small) {
  const char *folder = scratch_folder();
  free(shell_ok("sed 's/tokens(\"data[^)]*)/random(rows: 16, seed: 1)/' samples/gpt2.mt >%s/gpt2.mt && " MTC
                " build %s/gpt2.mt --target=c -D L=2 -D D=32 -D H=4 -D T=16 -D V=64 -D B=2 -o %s/gpt2 && " MTC
                " build samples/resnet18.mt --target=c -D B=8 -D S=32 -o %s/resnet18", folder, folder, folder, folder));
  static const struct {
    const char *line;
    double first, last; /* uniform guesses cost log(64) = 4.16 and log(1000) = 6.91 */
  } runs[] = {{"gpt2 --steps 60 --lr 0.1", 4.16, 4.1}, {"resnet18 --steps 20", 6.91, 6}};
  for (int i = 0; i < 2; i++) {
    char *output = shell_ok("cd %s && ./%s --log-every 1", folder, runs[i].line);
    double first = strtod(strstr(output, "loss ") + 5, NULL), last = last_number_after(output, " loss ");
    ck_assert_msg(fabs(first - runs[i].first) < 1 && last > 0 && last < runs[i].last, "%s: loss %g, at last %g", runs[i].line, first, last);
    free(output);
  }
}
END_TEST

/* A line after each update makes each a play of its own; otherwise several go together. */
START_TEST(steps_played_together_are_those_played_alone) {
  const char *folder = scratch_folder();
  free(shell_ok(MTC " build samples/digits.mt --target=c -o %s/digits && cd %s && "
                "./digits --epochs 3 --save-dir together --data-dir " SOURCE_DIR "/samples && "
                "./digits --epochs 3 --log-every 1 --save-dir alone --data-dir " SOURCE_DIR "/samples && "
                "cmp together/net.safetensors alone/net.safetensors", folder, folder));
}
END_TEST

/* The driver of the benchmarks, without peers: what it prints of our own trainer. */
START_TEST(benchmarks_can_be_run) {
  if (system("command -v python3 >/dev/null 2>&1") != 0) return;
  char *output = shell_ok("bench/run --models mlp_tiny --peers '' --target c --rounds 2 --seconds 0.01 --mtc " MTC);
  double ms = last_number_after(output, "  mtc ");
  ck_assert_msg(!strncmp(output, "mlp_tiny\n", 9) && ms > 0 && ms < 1000, "%s", output);
  free(output);
}
END_TEST

START_TEST(regression_beats_the_mean) {
  const char *folder = scratch_folder();
  char *output = shell_ok(MTC " build samples/regression.mt --target=c -o %s/regression && cd %s && ./regression --data-dir " SOURCE_DIR "/samples", folder, folder);
  double rmse = last_number_after(output, "rmse ");
  ck_assert_msg(rmse > 40 && rmse < 62, "rmse %g (predicting the mean gives about 77)\n%s", rmse, output);
  free(output);
}
END_TEST

/* In nats; the whole training comes to 22.7. */
START_TEST(a_vae_codes_digits) {
  double bound = trained(scratch_folder(), "vae", "--epochs 30", "bound ");
  ck_assert_msg(bound > 15 && bound < 23.5, "bound %g nats", bound);
}
END_TEST

/* From the equation alone to within a percent of its known solution. */
START_TEST(a_network_solves_the_heat_equation) {
  double error = trained(scratch_folder(), "pinn", "--epochs 40", "error ");
  ck_assert_msg(error > 0 && error < 0.01, "relative error %g", error);
}
END_TEST

/* Critic and generator move, and noise becomes pictures. */
START_TEST(a_gan_draws) {
  const char *folder = scratch_folder();
  double distance = trained(folder, "wgan-gp", "--epochs 6", "distance ");
  ck_assert_msg(distance > 0 && distance < 4, "distance %g", distance);
  char path[600];
  float noise[3 * 16];
  for (int i = 0; i < 3 * 16; i++) noise[i] = sinf((float)(7 * i));
  MtArray codes = {.type = MT_WIDE_F32, .rank = 2, .shape = {3, 16}, .data = noise};
  MtError error = {""};
  snprintf(path, sizeof path, "%s/noise.npy", folder);
  ck_assert_msg(mt_write_npy(path, &codes, &error), "%s", error.text);
  free(shell_ok("cd %s && ./trainer predict noise.npy -o digits.png && od -An -tx1 -j16 -N8 digits.png | grep '00 00 00 43 00 00 00 43'",
                folder)); /* two by two tiles of 32 pixels, and lines between: 67 */
}
END_TEST

/* By heart, nearly: a guess of 128 characters costs log(128) = 4.85, six sonnets' letters alone 3.2.  Then the model
 * goes on from the end of one sonnet with the next. */
START_TEST(sonnets_are_learned) {
  const char *folder = scratch_folder();
  free(shell_ok(MTC " build samples/sonnets.mt --target=c -o %s/sonnets", folder));
  char *output = shell_ok("cd %s && OMP_NUM_THREADS=1 ./sonnets --data-dir " SOURCE_DIR "/samples --log-every 1", folder);
  double first = strtod(strstr(output, "loss ") + 5, NULL), last = last_number_after(output, "loss ");
  ck_assert_msg(first > 4.5 && first < 5.2 && last > 0.05 && last < 0.6, "loss %g, at last %g\n%s", first, last, output);
  free(output);
  output = shell_ok("cd %s && OMP_NUM_THREADS=1 ./sonnets sample --temperature 0 --length 80 --prompt 'So long lives this and "
                    "this gives life to thee.\n\nWhen, in disgrace '", folder);
  ck_assert_msg(strstr(output, "with fortune and men's eyes,\nI all alone beweep") != NULL, "%s", output);
  free(output);
}
END_TEST

Suite *samples_suite(void) {
  Suite *suite = suite_create("samples");
  TCase *compile = tcase_create("compile");
  tcase_set_timeout(compile, 240);
  tcase_add_loop_test(compile, compiles_to_c_without_warnings, 0, N_SAMPLES);
  tcase_add_loop_test(compile, compiles_to_cuda_without_warnings, 0, N_SAMPLES);
  tcase_add_loop_test(compile, is_laid_out_as_fmt_does, 0, N_SAMPLES);
  suite_add_tcase(suite, compile);
  TCase *train = tcase_create("train");
  tcase_set_timeout(train, 240);
  tcase_add_test(train, digits_are_learned);
  tcase_add_test(train, digits_are_learned_by_windows);
  tcase_add_test(train, without_a_gpu_the_cuda_trainer_says_so);
  tcase_add_test(train, steps_played_together_are_those_played_alone);
  tcase_add_test(train, benchmarks_can_be_run);
  tcase_add_test(train, regression_beats_the_mean);
  tcase_add_test(train, a_vae_codes_digits);
  tcase_add_test(train, a_network_solves_the_heat_equation);
  tcase_add_test(train, a_gan_draws);
  tcase_add_test(train, sonnets_are_learned);
  tcase_add_test(train, glyphs_are_learned);
  tcase_add_test(train, names_are_learned);
  tcase_add_test(train, temperatures_are_told);
  tcase_add_test(train, large_models_train_when_small);
  suite_add_tcase(suite, train);
  return suite;
}
