/* checkpoint.c - goes on from a checkpoint, writes the next one, and weights: small enough for each of its calls to
 * be failed.  `checkpoint first` makes the one that `checkpoint next` goes on from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

static const MtTensor params[] = {{"net.w", 2, {2, 2}, 0, MT_CONSTANT, 0, 0, "m.mt:3", NULL},
                                  {"other.b", 1, {3}, 64, MT_CONSTANT, 0, 0, "m.mt:4", NULL}};
static const MtTensor states[] = {{"net.mean", 1, {2}, 0, MT_CONSTANT, 0, 0, "m.mt:5", NULL}};
static const MtGroup groups[] = {{"net", "adamw", 2, {"m", "v"}, 0, 64, 0}}; /* other.b stays as it is */
static const MtTrain train = {.n_groups = 1, .groups = groups};
static const MtProgram program = {.name = "m",
                                  .n_params = 2,
                                  .param_count = 128,
                                  .params = params,
                                  .n_states = 1,
                                  .state_count = 64,
                                  .states = states,
                                  .train = &train};
static float p[128], s[64], m[128], v[128];
static MtBlocks blocks = {p, s, {m, v}};

static bool first(MtError *error) {
  const char *names[] = {"accuracy"};
  double best[] = {0.5};
  char choices[] = "1 2";
  MtProgress progress = {.step = 1, .n_best = 1, .best_names = names, .best_values = best, .gemm = choices};
  for (int i = 0; i < 128; i++) p[i] = m[i] = v[i] = (float)i;
  return mt_save_checkpoint(".", &program, &blocks, &progress, error);
}

static bool next(MtError *error) {
  const char *names[] = {"accuracy"};
  double best[] = {0};
  MtProgress progress = {.n_best = 1, .best_names = names, .best_values = best};
  char note[512], *bytes = NULL;
  size_t length;
  if (!mt_load_checkpoint(".", &program, &blocks, &progress, note, error)) return false;
  progress.step++;
  p[0] = 7;
  bool ok = mt_save_checkpoint(".", &program, &blocks, &progress, error) &&
            mt_save_weights("w.safetensors", &program, "net", &blocks, error) &&
            mt_load_weights("w.safetensors", &program, "net", NULL, &blocks, error) &&
            mt_save_weights("/dev/null", &program, "net", &blocks, error) && /* nothing to put in place of it */
            mt_read_file("/proc/self/environ", &bytes, &length, error);       /* longer than its size, 0, says */
  if (ok && (length < 100000 || p[0] != 7 || best[0] != 0.5)) ok = mt_error(error, "read back otherwise");
  free(bytes);
  free(progress.gemm);
  return ok;
}

int main(int argc, char **argv) {
  MtError error = {""};
  bool ok = argc == 2 && (strcmp(argv[1], "first") ? next(&error) : first(&error));
  if (!ok) printf("m: %s\n", error.text);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
