/* test_mutants.c - do the tests notice a fault in the compiler?
 *
 * mtc_mutants is this program over gradient rules, passes and verifier with
 * some three thousand faults in them, of which MTC_MUTANT switches one on.
 * Fifty, spread over all, are tried here; docs/trust.md has the last long run
 * (`tests/mutants/run build 3`).  The sample moves with every edit of a pass,
 * so the bounds leave room for it.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/shell.h"

enum { TRIED = 50 };

/* "passes: 27 of 33 caught" */
static void check_share(const char *said, const char *folder, double least) {
  char begin[32];
  snprintf(begin, sizeof begin, "\n%s", folder);
  const char *line = strstr(said, begin);
  int caught = 0, all = 0;
  ck_assert_msg(line && sscanf(line + strlen(begin), "%d of %d", &caught, &all) == 2, "%s", said);
  ck_assert_msg(caught >= least * all, "%s", said);
}

START_TEST(faults_are_noticed) {
  if (access(BUILD_DIR "/bin/mtc_mutants", X_OK)) return; /* a build that counts branches has none */
  char *said = shell_ok("list=" BUILD_DIR "/generated/mutants/list.txt; "
                        "tests/mutants/run " BUILD_DIR " $(($(wc -l <$list) / %d)) 7", TRIED);
  check_share(said, "verifier: ", 0.75);
  check_share(said, "gradient: ", 0.75);
  check_share(said, "passes: ", 0.6);
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
