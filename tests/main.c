/* main.c - runs every suite of suites.def, or those named on the command line,
 * and ends with one line that counts what passed and failed.
 *
 * Each suite is a process of its own, one a core at a time, and what it says is
 * shown when it ends.  A suite alone, or all with MTC_JOBS=1, runs in this one.
 */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/shell.h"

#define SUITE(name) Suite *name##_suite(void);
#include "suites.def"
#undef SUITE

static const struct { const char *name; Suite *(*make)(void); } suites[] = {
#define SUITE(name) {#name, name##_suite},
#include "suites.def"
#undef SUITE
};
enum { N_SUITES = sizeof suites / sizeof suites[0] };

/* What the process of a suite leaves to the one that counts, in memory of both. */
typedef struct Outcome {
  int run, failed;
  bool ended;
} Outcome;

typedef struct Running {
  pid_t process;
  FILE *said;
  time_t start;
} Running;

static int wanted(const char *name, int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (!strcmp(argv[i], name)) return 1;
  return argc == 1;
}

static void run_suite(int i, Outcome *outcome) {
  SRunner *runner = srunner_create(suites[i].make());
  srunner_run_all(runner, CK_NORMAL);
  *outcome = (Outcome){srunner_ntests_run(runner), srunner_ntests_failed(runner), true};
  srunner_free(runner);
}

static void start_suite(int i, Running *running, Outcome *outcome) {
  *running = (Running){.said = tmpfile(), .start = time(NULL)};
  running->process = running->said ? fork() : -1;
  if (running->process < 0) perror(suites[i].name), exit(EXIT_FAILURE);
  if (running->process > 0) return;
  dup2(fileno(running->said), STDOUT_FILENO);
  dup2(fileno(running->said), STDERR_FILENO);
  setenv("OMP_WAIT_POLICY", "passive", 0); /* trainers share the cores: one that spins keeps another from its turn */
  run_suite(i, outcome);
  fflush(stdout);
  end_child(0);
}

/* Waits for any suite to end and shows what it said. */
static void end_suite(Running *running, Outcome *outcome) {
  int status, c, i = 0;
  struct rusage used;
  pid_t process = wait4(-1, &status, 0, &used);
  while (i < N_SUITES && running[i].process != process) i++;
  if (i == N_SUITES) return;
  rewind(running[i].said);
  while ((c = getc(running[i].said)) != EOF) putchar(c);
  fclose(running[i].said);
  if (!outcome[i].ended) outcome[i] = (Outcome){1, 1, true}, printf("%s ended early: status %d\n", suites[i].name, status);
  else
    printf("%s took %.0f s, %ld s of processor time\n", suites[i].name, difftime(time(NULL), running[i].start),
           (long)(used.ru_utime.tv_sec + used.ru_stime.tv_sec));
}

static void run_beside_each_other(int jobs, const int *list, int n, Outcome *outcome) {
  static Running running[N_SUITES];
  for (int started = 0, ended = 0; ended < n; ended++) {
    while (started < n && started - ended < jobs) {
      start_suite(list[started], &running[list[started]], &outcome[list[started]]);
      started++;
    }
    end_suite(running, outcome);
  }
}

int main(int argc, char **argv) {
  const char *asked = getenv("MTC_JOBS");
  int jobs = asked ? atoi(asked) : (int)sysconf(_SC_NPROCESSORS_ONLN), list[N_SUITES], n = 0, run = 0, failed = 0;
  Outcome *outcome = mmap(NULL, N_SUITES * sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (outcome == MAP_FAILED) perror("mmap"), exit(EXIT_FAILURE);
  for (int i = 0; i < N_SUITES; i++)
    if (wanted(suites[i].name, argc, argv)) list[n++] = i;
  scratch_start();
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (jobs > 1 && n > 1) run_beside_each_other(jobs, list, n, outcome);
  else
    for (int i = 0; i < n; i++) run_suite(list[i], &outcome[list[i]]);
  for (int i = 0; i < n; i++) run += outcome[list[i]].run, failed += outcome[list[i]].failed;
  printf("%d passed, %d failed\n", run - failed, failed);
  return failed || !run ? EXIT_FAILURE : EXIT_SUCCESS;
}
