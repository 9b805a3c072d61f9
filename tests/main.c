/* main.c - runs every suite of suites.def, or those named on the command line,
 * and ends with one line that counts what passed and failed. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

#define SUITE(name) Suite *name##_suite(void);
#include "suites.def"
#undef SUITE

static const struct { const char *name; Suite *(*make)(void); } suites[] = {
#define SUITE(name) {#name, name##_suite},
#include "suites.def"
#undef SUITE
};

static int wanted(const char *name, int argc, char **argv) {
  for (int i = 1; i < argc; i++)
    if (!strcmp(argv[i], name)) return 1;
  return argc == 1;
}

int main(int argc, char **argv) {
  int run = 0, failed = 0;
  scratch_start();
  setvbuf(stdout, NULL, _IOLBF, 0);
  for (size_t i = 0; i < sizeof suites / sizeof suites[0]; i++) {
    if (!wanted(suites[i].name, argc, argv)) continue;
    SRunner *runner = srunner_create(suites[i].make());
    srunner_run_all(runner, CK_NORMAL);
    run += srunner_ntests_run(runner);
    failed += srunner_ntests_failed(runner);
    srunner_free(runner);
  }
  printf("%d passed, %d failed\n", run - failed, failed);
  return failed || !run ? EXIT_FAILURE : EXIT_SUCCESS;
}
