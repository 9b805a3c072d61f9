/* test_mutants.c - do the tests notice a fault in the compiler?
 *
 * mtc_mutants is this program over gradient rules, passes and verifier with
 * some three thousand faults in them, of which MTC_MUTANT switches one on.
 * Fifty are tried here, and each must be caught, or explained in
 * tests/mutants/survivors.txt; docs/trust.md has the last long run.  A fault is
 * drawn by its name, which stays when lines move: an edit of a pass changes
 * the sample by the faults on the lines that were edited, not more.
 */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/shell.h"

enum { TRIED = 50, MOST = 6000 };
#define SEED UINT64_C(20261123)
#define LIST BUILD_DIR "/generated/mutants/list.txt"

typedef struct Fault {
  uint64_t draw;
  int number;
} Fault;

/* FNV-1a over the name, then mixed: names that differ at their end alone are to be far apart. */
static uint64_t draw(const char *name) {
  uint64_t x = UINT64_C(14695981039346656037) ^ SEED;
  for (; *name; name++) x = (x ^ (unsigned char)*name) * UINT64_C(1099511628211);
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static int by_draw(const void *a, const void *b) {
  const Fault *x = a, *y = b;
  return (x->draw > y->draw) - (x->draw < y->draw);
}

/* A line of the list: number, place, name. */
static int read_faults(char *list, Fault *faults) {
  int n = 0;
  for (char *line = strtok(list, "\n"); line; line = strtok(NULL, "\n")) {
    const char *name = strrchr(line, '\t');
    ck_assert_msg(n < MOST && name, "%s", line);
    faults[n++] = (Fault){draw(name + 1), atoi(line)};
  }
  return n;
}

/* The file that tests/mutants/run reads. */
static const char *write_sample(void) {
  static Fault faults[MOST];
  static char path[256];
  char *list = read_text(LIST);
  ck_assert_ptr_nonnull(list);
  int n = read_faults(list, faults);
  ck_assert_int_gt(n, 1000);
  qsort(faults, (size_t)n, sizeof *faults, by_draw);
  snprintf(path, sizeof path, "%s/sample", scratch_folder());
  FILE *file = fopen(path, "w");
  ck_assert_ptr_nonnull(file);
  for (int i = 0; i < TRIED; i++) fprintf(file, "%d\n", faults[i].number);
  ck_assert_int_eq(fclose(file), 0);
  free(list);
  return path;
}

/* Of a line a folder, "gradient: 5 of 5 caught, 0 more change nothing, 0 survive": all that were tried. */
static int tried(const char *said) {
  int all = 0, some;
  for (const char *at = said; (at = strstr(at, " of ")); at++)
    if (sscanf(at, " of %d caught", &some) == 1) all += some;
  return all;
}

/* run itself fails when a suite fails without a fault, and when an explanation is of none, or of one that is caught. */
START_TEST(faults_are_noticed) {
  if (access(BUILD_DIR "/bin/mtc_mutants", X_OK)) return; /* a build that counts branches has none */
  const char *sample = write_sample();
  char *said = shell_ok("tests/mutants/run " BUILD_DIR " these %s >%s.said; status=$?; grep -v ' caught by ' %s.said; "
                        "exit $status", sample, sample, sample);
  ck_assert_msg(tried(said) == TRIED && !strstr(said, " SURVIVED: "), "seed %" PRIu64 ":\n%s", SEED, said);
  free(said);
}
END_TEST

Suite *mutants_suite(void) {
  Suite *suite = suite_create("mutants");
  TCase *tcase = tcase_create("mutants");
  tcase_set_timeout(tcase, 1800);
  tcase_add_test(tcase, faults_are_noticed);
  suite_add_tcase(suite, tcase);
  return suite;
}
