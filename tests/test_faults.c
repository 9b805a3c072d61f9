/* test_faults.c - what programs do when the system fails them.
 *
 * A shim (faults/shim.c) fails one call of a run: the first allocation, then
 * the second, and so on until a run no longer has so many; the same for every
 * open, read, write, fsync, close, rename and so on, with every error.  Each
 * run must end well or with a message and status 1, and must leave either the
 * old files or the new ones, whole; calls that a signal interrupts or that do
 * half of what was asked must make no difference.  After a run that failed, an
 * undisturbed one goes on from what it left and ends with the bits of a run
 * that nothing happened to.
 *
 * Runs have up to two thousand allocations, of which the suite fails some;
 * MTC_FAULTS=all fails each.
 */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/faults/harness.h"
#include "tests/shell.h"
#include "tests/small_trainer.h"

enum { AT_MOST = 20000 };

/* ---- what is run -------------------------------------------------------------------- */

typedef struct Scenario {
  const char *name;
  const char *folder; /* a copy of it is worked in */
  const char *argv[12];
  const char *recovery[12]; /* an undisturbed run after a failed one; none: only `results` are looked at */
  const char *results[4];   /* what a good run leaves, to the bit */
  bool prints;              /* its result is on standard output */
  bool small;               /* each of its allocations is failed */
} Scenario;

#define TRAINER "../trainer", "--quiet", "--data-dir", ".."
static const Scenario scenarios[] = {
    {"compile", "compile", {MTC, "m.mt", "-o", "out.c", NULL}, {NULL}, {"out.c"}, false, false},
    {"train",
     "empty",
     {TRAINER, "--save-dir", ".", "--export", "w.safetensors", NULL},
     {TRAINER, "--save-dir", ".", "--export", "w.safetensors", NULL},
     {"net.safetensors", "net.best.safetensors", "metrics.csv", "w.safetensors"},
     false,
     false},
    {"resume",
     "run",
     {TRAINER, "--save-dir", ".", "--resume", NULL},
     {TRAINER, "--save-dir", ".", "--resume", NULL},
     {"net.safetensors", "net.best.safetensors", "metrics.csv"},
     false,
     false},
    {"eval", "run", {TRAINER, "eval", "--json", "--save-dir", ".", NULL}, {NULL}, {"output"}, true, false},
    {"predict",
     "run",
     {TRAINER, "predict", "../x.npy", "-o", "out.npy", "--save-dir", ".", NULL},
     {NULL},
     {"out.npy"},
     false,
     false},
    {"checkpoint",
     "saved",
     {BUILD_DIR "/bin/checkpoint", "next", NULL},
     {NULL},
     {"m.checkpoint.safetensors", "w.safetensors"},
     false,
     true},
};
enum { N_SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static const struct {
  FaultCall call;
  const char *name;
  int how[5];
} calls[] = {
    {CALL_OPEN, "open", {EIO, ENOSPC, EMFILE, EINTR}},
    {CALL_READ, "read", {EIO, EINTR, FAULT_SHORT}},
    {CALL_WRITE, "write", {EIO, ENOSPC, EINTR, FAULT_SHORT, FAULT_NOTHING}},
    {CALL_FSYNC, "fsync", {EIO, ENOSPC, EINTR, EINVAL, EROFS}},
    {CALL_CLOSE, "close", {EIO, ENOSPC, EINTR}},
    {CALL_RENAME, "rename", {EIO, ENOSPC, EINTR}},
    {CALL_TRUNCATE, "ftruncate", {EIO, ENOSPC, EINTR}},
    {CALL_UNLINK, "unlink", {EIO}},
    {CALL_MKDIR, "mkdir", {EIO, ENOSPC}},
    {CALL_STAT, "fstat", {EIO}},
};
enum { N_CALLS = sizeof calls / sizeof calls[0] };

/* ---- folders ---- */

static char base[128]; /* the trainer, its data, and a folder for each state that a scenario begins with */

static void is_no_leftover(const char *folder, const char *name, void *what) {
  ck_assert_msg(!strstr(name, ".tmp"), "%s left %s/%s", (const char *)what, folder, name);
}

/* ---- one run ---- */

static void begin(const Scenario *s, FaultCall call, int64_t at, int how) {
  char from[256];
  empty_folder(".");
  snprintf(from, sizeof from, "../%s", s->folder);
  copy_files(from, ".");
  memset(faults, 0, sizeof *faults);
  faults->call = call;
  faults->at = at;
  faults->how = how;
}

/* What a good run leaves, kept in ../good-NAME. */
static void ck_results(const Scenario *s, const char *what) {
  for (int i = 0; i < 4 && s->results[i]; i++) {
    char good[256];
    snprintf(good, sizeof good, "../good-%s/%s", s->name, s->results[i]);
    ck_assert_msg(same_file(s->results[i], good), "%s: %s is not that of an undisturbed run", what, s->results[i]);
  }
}

static void ck_message(const Ended *e, const char *what) {
  static const char *const begins[] = {"m: ", "mtc: ", "m.mt:", "\nlibgomp: ", "out of memory: ", "m.mt: "};
  bool told = false;
  for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
    told |= !strncmp(e->output, begins[i], strlen(begins[i]));
  ck_assert_msg(told && strchr(e->output + 1, '\n'), "%s: status 1, said: `%s`", what, e->output);
}

/* Files are those of before or those of a good run. */
static void ck_old_or_new(const Scenario *s, const char *what) {
  for (int i = 0; i < 4 && s->results[i] && !s->prints; i++) {
    char good[256], old[256];
    snprintf(good, sizeof good, "../good-%s/%s", s->name, s->results[i]);
    snprintf(old, sizeof old, "../%s/%s", s->folder, s->results[i]);
    bool unchanged = access(s->results[i], F_OK) ? access(old, F_OK) != 0 : same_file(s->results[i], old);
    ck_assert_msg(unchanged || same_file(s->results[i], good), "%s: %s is neither the old nor the new one", what,
                  s->results[i]);
  }
}

/* An undisturbed run from what is there: on from a checkpoint, else from the start. */
static void recover(const Scenario *s, const char *what) {
  const char *argv[13] = {NULL};
  int n = 0;
  for (; s->recovery[n]; n++) argv[n] = s->recovery[n];
  bool saved = !access("m.checkpoint.safetensors", F_OK) || !access("m.previous.safetensors", F_OK);
  if (saved && strcmp(argv[n - 1], "--resume")) argv[n++] = "--resume";
  faults->at = 0;
  Ended e = run_shimmed(argv);
  ck_assert_msg(e.status == 0, "%s: the next run ended with %d: %s", what, e.status, e.output);
  free(e.output);
  ck_results(s, what);
}

/* One disturbed run; false when there was no such call to disturb. */
static bool disturb(const Scenario *s, FaultCall call, const char *name, int64_t at, int how) {
  char what[200];
  snprintf(what, sizeof what, "%s: %s %lld: %s", s->name, name, (long long)at,
           how == FAULT_SHORT ? "short" : how == FAULT_NOTHING ? "nothing" : strerror(how));
  begin(s, call, at, how);
  Ended e = run_shimmed(s->argv);
  bool fired = faults->fired > 0, harmless = how == FAULT_SHORT || how == EINTR;
  harmless = harmless || (call == CALL_FSYNC && (how == EINVAL || how == EROFS)); /* what cannot be synced */
  ck_assert_msg(e.status == 0 || (e.status == 1 && !harmless), "%s ended with %d: %s", what, e.status, e.output);
  if (e.status == 0) {
    ck_results(s, what);
  } else {
    ck_message(&e, what);
    if (s->small && call == CALL_MEMORY) /* not of a damaged file, say */
      ck_assert_msg(strstr(e.output, "out of memory") != NULL, "%s: said: `%s`", what, e.output);
    if (call != CALL_UNLINK) each_name(".", is_no_leftover, what);
    if (s->recovery[0])
      recover(s, what);
    else
      ck_old_or_new(s, what);
  }
  free(e.output);
  return fired;
}

/* ---- tests ---------------------------------------------------------------------------------------- */

/* Unchecked: once for the suite. */
static void build(void) {
  snprintf(base, sizeof base, "%s", scratch_folder());
  small_trainer(base, small_model);
  free(shell_ok("cd %s && export OMP_NUM_THREADS=1 && mkdir empty compile work && echo old >compile/out.c && "
                "./trainer --quiet --save-dir run --stop-after 6 && echo old >run/out.npy && "
                "mkdir saved && (cd saved && " BUILD_DIR "/bin/checkpoint first) && "
                "echo 'fn half(x) = x / 2' >compile/own.mt && (echo 'use \"own.mt\"' && cat m.mt) >compile/m.mt",
                base));
  open_faults(base);
}

/* A good run under the shim, and what it leaves. */
static void set_up(const Scenario *s) {
  char path[256];
  snprintf(path, sizeof path, "%s/work", base);
  ck_assert_int_eq(chdir(path), 0);
  begin(s, N_FAULT_CALLS, 0, 0);
  Ended e = run_shimmed(s->argv);
  ck_assert_msg(e.status == 0, "%s ended with %d: %s", s->name, e.status, e.output);
  free(e.output);
  snprintf(path, sizeof path, "../good-%s", s->name);
  ck_assert(!mkdir(path, 0777) || errno == EEXIST);
  copy_files(".", path);
}

/* Of n calls the suite fails some `most`, evenly spread. */
static int64_t step_for(int64_t n, int64_t most) {
  const char *all = getenv("MTC_FAULTS");
  return all && !strcmp(all, "all") ? 1 : n / most + 1;
}

START_TEST(no_allocation_is_taken_for_granted) {
  const Scenario *s = &scenarios[_i];
  set_up(s);
  int64_t n = faults->calls[CALL_MEMORY], step = s->small ? 1 : step_for(n, 80), at = 1;
  ck_assert_int_gt(n, 10);
  while (at < AT_MOST && disturb(s, CALL_MEMORY, "allocation", at, ENOMEM)) at += step;
  ck_assert_msg(at > n && at < AT_MOST, "%s: %lld of %lld allocations were failed", s->name, (long long)at,
                (long long)n);
}
END_TEST

START_TEST(no_call_is_taken_for_granted) {
  const Scenario *s = &scenarios[_i];
  set_up(s);
  int64_t counts[N_FAULT_CALLS];
  memcpy(counts, faults->calls, sizeof counts);
  for (int c = 0; c < N_CALLS; c++)
    for (int k = 0; k < 5 && calls[c].how[k]; k++) {
      int64_t at = 1, step = step_for(counts[calls[c].call], 30);
      /* printf cannot go on after EINTR; writes to a terminal or pipe are restarted by the system (SA_RESTART) */
      if (s->prints && calls[c].call == CALL_WRITE && calls[c].how[k] == EINTR) continue;
      while (at < AT_MOST && disturb(s, calls[c].call, calls[c].name, at, calls[c].how[k])) at += step;
      ck_assert_int_lt(at, AT_MOST);
    }
}
END_TEST

Suite *faults_suite(void) {
  Suite *suite = suite_create("faults");
  TCase *tests = tcase_create("faults");
  tcase_set_timeout(tests, 600);
  tcase_add_unchecked_fixture(tests, build, NULL);
  tcase_add_loop_test(tests, no_allocation_is_taken_for_granted, 0, N_SCENARIOS);
  tcase_add_loop_test(tests, no_call_is_taken_for_granted, 0, N_SCENARIOS);
  suite_add_tcase(suite, tests);
  return suite;
}
