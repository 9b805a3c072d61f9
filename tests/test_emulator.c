/* test_emulator.c - the emulator catches the faults planted for it, and the
 * emitted programs run under it as they do on the CPU, whatever the schedule. */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

static char built[256]; /* where the emulator's objects lie */

static void build_emulator(void) {
  snprintf(built, sizeof built, "%s", scratch_folder());
  free(shell_ok("cd %s && for c in g++ clang++; do mkdir $c && for f in fibers shared streams device; do "
                "$c -std=c++17 -O1 -g -Wall -Wextra -Werror -I" SOURCE_DIR " -include " TESTS_DIR
                "/emulator/emulator.h -c " TESTS_DIR "/emulator/$f.cc -o $c/$f.o || exit 1; done; done",
                built));
}

/* The command that builds `source` (a .cu, from anywhere) as `program`. */
static const char *build(const char *compiler, const char *flags, const char *source, const char *program) {
  static char line[2048];
  snprintf(line, sizeof line,
           "%s -std=c++17 -O1 -g -w %s -I" SOURCE_DIR " $(" MTC " --print=cflags) -include " TESTS_DIR
           "/emulator/emulator.h "
           "-x c++ %s -x none %s/%s/*.o -fopenmp $(" MTC " --print=libs) -lstdc++ -o %s",
           compiler, flags, source, built, compiler, program);
  return line;
}

/* ---- planted faults ---- */

static const struct {
  const char *name, *says;
} faults[] = {
    {"global-overrun",
     "emulator: kernel fill, block 2 0 0, thread 0 0 0: device memory of 256 bytes is used 1 past its end\n"},
    {"global-overrun-inside", ": device memory of 200 bytes was written 1 past its end\n"},
    {"shared-overrun", ": shared array part was written 1 bytes past its end\n"},
    {"divergent-barrier", ": __syncthreads is not reached by this thread, which has ended, but by others\n"},
    {"two-barriers", "emulator: kernel either, block 0 0 0, thread 32 0 0: __syncthreads: threads of the block are at "
                     "different ones\n"},
    {"absent-lane", ": __shfl_xor_sync names lanes ffff0000, which are not there\n"},
    {"ended-lane", "__shfl_xor_sync"},
    {"large-block",
     "emulator: kernel fill, block 0 0 0, thread 0 0 0: a block of 2048 x 1 x 1 threads; 1 to 1024 can be\n"},
    {"empty-grid", ": a grid of 0 x 1 x 1 blocks\n"},
    {"misaligned", ": 16 bytes at once at an address that is 4 past a multiple\n"},
    {"much-shared", ": 64000 bytes of shared memory; a block has 49152\n"},
    {"used-after-free", "emulator: kernel twice, block 0 0 0, thread"},
    {"used-after-free", ": device memory of 128 bytes is used after it was freed\n"},
};

START_TEST(a_planted_fault_is_caught) {
  const char *folder = scratch_folder();
  char source[512], program[512];
  snprintf(source, sizeof source, TESTS_DIR "/emulator/faults/%s.cu", faults[_i].name);
  snprintf(program, sizeof program, "%s/fault", folder);
  free(shell_ok("%s", build("g++", "", source, program)));
  Shell said = shell("%s", program);
  ck_assert_msg(strstr(said.output, faults[_i].says) != NULL, "%s: %s", faults[_i].name, said.output);
  ck_assert_int_eq(said.status, 3);
  free(said.output);
}
END_TEST

/* What is wrong only in some orders: in at least one of 8 schedules the values are not those of the right program. */
static const struct {
  const char *right, *wrong, *values;
} races[] = {
    {"barrier", "missing-barrier", "63 62 61 60 59 "},
    {"streams", "missing-dependency", "14 14 14 14 \n"},
    {"barrier", "dead-value", "63 62 61 60 59 "},
};

START_TEST(a_race_shows_in_some_schedule) {
  const char *folder = scratch_folder();
  char source[512], program[512];
  int wrong = 0;
  for (int bad = 0; bad < 2; bad++) {
    snprintf(source, sizeof source, TESTS_DIR "/emulator/faults/%s.cu", bad ? races[_i].wrong : races[_i].right);
    snprintf(program, sizeof program, "%s/race%d", folder, bad);
    free(shell_ok("%s", build("g++", "", source, program)));
    for (int seed = 0; seed < 8; seed++) {
      char *output = shell_ok("MTC_SCHEDULE=%d %s", seed, program);
      bool same = !strncmp(output, races[_i].values, strlen(races[_i].values));
      ck_assert_msg(bad || same, "seed %d: %s", seed, output);
      wrong += bad && !same;
      free(output);
    }
  }
  ck_assert_int_ge(wrong, 1);
}
END_TEST

/* ---- emitted programs ---- */

static const struct {
  const char *model, *compiler, *flags, *args;
  double within; /* how far losses may be from those of the C target, with 1 added; bf16 rounds at 4e-3 */
} programs[] = {
    {"samples/digits.mt", "g++", "", "--stop-after 30", 1e-5},
    {"samples/regression.mt", "clang++", "", "--stop-after 12", 1e-5},
    {"samples/benchmark/mlp_tiny.mt", "g++", "", "--stop-after 10", 1e-5},
    {"tests/emulator/shapes.mt", "clang++", "", "--stop-after 6", 1e-5},
    {"tests/emulator/windows.mt", "g++", "", "--stop-after 5", 1e-5},
    {"tests/emulator/axes.mt", "g++", "", "--stop-after 5", 1e-5},
    {"tests/emulator/attention.mt", "g++", "", "--stop-after 4", 1e-5},
    {"tests/emulator/runs.mt", "g++", "", "--stop-after 4", 1e-5},
    {"tests/emulator/heads.mt", "g++", "", "--stop-after 3", 2e-4},
    {"tests/emulator/windows.mt", "clang++", "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
     "--stop-after 3", 1e-5},
    {"tests/emulator/runs.mt", "clang++", "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
     "--stop-after 3", 1e-5},
    {"tests/emulator/axes.mt", "clang++", "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
     "--stop-after 3", 1e-5},
    {"tests/emulator/shapes.mt", "g++", "-fsanitize=address,undefined -fno-sanitize-recover=undefined",
     "--stop-after 3", 1e-5},
};

/* Four schedules end with the same bits; the losses are those of the C target. */
START_TEST(an_emitted_program_runs_as_on_the_cpu) {
  const char *folder = scratch_folder(), *args = programs[_i].args;
  char program[512], source[512];
  snprintf(source, sizeof source, "%s/model.cu", folder);
  snprintf(program, sizeof program, "%s/emulated", folder);
  free(shell_ok(MTC " %s -o %s && " MTC " build %s --target=c -o %s/native", programs[_i].model, source,
                programs[_i].model, folder));
  free(shell_ok("%s", build(programs[_i].compiler, programs[_i].flags, source, program)));
  free(shell_ok(
      "cd %s && export OMP_NUM_THREADS=1 ASAN_OPTIONS=detect_stack_use_after_return=0:detect_leaks=0 && "
      "for s in 1 2 3 4; do MTC_SCHEDULE=$s ./emulated --quiet --log-every 1 --save-dir s$s --data-dir " SOURCE_DIR
      "/samples %s || exit 1; done && ./native --quiet --log-every 1 --save-dir c --data-dir " SOURCE_DIR
      "/samples %s && "
      "for s in 2 3 4; do cmp s1/*.checkpoint.safetensors s$s/*.checkpoint.safetensors || exit 1; done",
      folder, args, args));
  free(shell_ok("cd %s && paste -d, s1/metrics.csv c/metrics.csv | awk -F, 'NR == 1 { n = NF / 2; for (i = 1; i <= n; "
                "i++) if ($i == \"loss\") k = i }"
                " NR > 1 { a = $k; b = $(k + n); d = a - b; if (d < 0) d = -d; m = b < 0 ? -b : b; if (d > %g * (m + "
                "1)) exit 1; lines++ }"
                " END { exit !(lines >= 3) }'",
                folder, programs[_i].within));
}
END_TEST

/* ---- bench --profile ---- */

static const char *const profiled[] = {"samples/digits.mt", "tests/emulator/attention.mt", "tests/golden/steps/blocks/model.mt",
                                       "tests/golden/steps/phases/model.mt"};

/* What the profile of a trainer measures is what its source says a step calls, by the same names, each of them once; the
 * check for values that are not finite is left out of a benchmark. */
START_TEST(a_profile_lists_every_kernel_once) {
  const char *folder = scratch_folder();
  char source[512], program[512];
  snprintf(source, sizeof source, "%s/model.cu", folder);
  snprintf(program, sizeof program, "%s/emulated", folder);
  free(shell_ok(MTC " %s -o %s && " MTC " %s -o %s/model.c && " MTC " build %s --target=c -o %s/native", profiled[_i], source,
                profiled[_i], folder, profiled[_i], folder));
  free(shell_ok("%s", build("g++", "", source, program)));
  free(shell_ok(
      "cd %s && for t in 'emulated cu' 'native c'; do set -- $t; "
      "OMP_NUM_THREADS=1 ./$1 bench --profile --steps 2 --json --data-dir " SOURCE_DIR "/samples >$1.json && "
      "grep -o '\"kernel\":\"[^\"]*\"' $1.json | cut -d'\"' -f4 | sort >measured && test -z \"$(uniq -d measured)\" && "
      "sed -n '/MtCost train_costs/,/^};/p' model.$2 | grep -o '{\"[^\"]*\"' | cut -d'\"' -f2 | "
      "grep -vx -e mt_check_gradients -e mt_measure | sort >known && grep -vx mt_measure measured | diff known - && "
      "test $(wc -l <known) -gt 5 && ! grep -E '\"(calls|model_ms)\":(0|-[0-9.e+-]*|null)[,}]' $1.json || exit 1; done",
      folder));
}
END_TEST

Suite *emulator_suite(void) {
  enum {
    N_FAULTS = sizeof faults / sizeof *faults,
    N_RACES = sizeof races / sizeof *races,
    N_PROGRAMS = sizeof programs / sizeof *programs
  };
  Suite *suite = suite_create("emulator");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 120);
  tcase_add_unchecked_fixture(all, build_emulator, NULL);
  tcase_add_loop_test(all, a_planted_fault_is_caught, 0, N_FAULTS);
  tcase_add_loop_test(all, a_race_shows_in_some_schedule, 0, N_RACES);
  tcase_add_loop_test(all, a_profile_lists_every_kernel_once, 0, sizeof profiled / sizeof *profiled);
  tcase_add_loop_test(all, an_emitted_program_runs_as_on_the_cpu, 0, N_PROGRAMS);
  suite_add_tcase(suite, all);
  return suite;
}
