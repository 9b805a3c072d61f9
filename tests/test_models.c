/* test_models.c - bad models and their exact messages: golden/bad/NAME.mt and
 * NAME.err.  MTC_REGOLD=1 rewrites the .err files; read the diff. */
#include <check.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/shell.h"

static void check_one(const char *model) {
  char golden[512];
  const char *name = strrchr(model, '/') + 1;
  snprintf(golden, sizeof golden, "%.*s.err", (int)(strlen(model) - 3), model);
  Shell said = shell("cd tests/golden/bad && " MTC " check %s", name);
  if (getenv("MTC_REGOLD")) {
    FILE *out = fopen(golden, "w");
    ck_assert_ptr_nonnull(out);
    fputs(said.output, out);
    fclose(out);
  }
  char *wanted = read_text(golden);
  ck_assert_msg(wanted != NULL, "%s is missing: run `make regold`", golden);
  ck_assert_msg(!strcmp(said.output, wanted), "%s:\nexpected:\n%s\nfound:\n%s", name, wanted, said.output);
  bool has_error = strstr(wanted, ": error[") != NULL;
  ck_assert_msg(said.status == (has_error ? 1 : 0), "%s: exit status %d", name, said.status);
  free(wanted);
  free(said.output);
}

START_TEST(bad_models_get_exactly_these_messages) {
  glob_t found;
  ck_assert_int_eq(glob(TESTS_DIR "/golden/bad/*.mt", 0, NULL, &found), 0);
  ck_assert_uint_ge(found.gl_pathc, 25);
  for (size_t i = 0; i < found.gl_pathc; i++) check_one(found.gl_pathv[i]);
  globfree(&found);
}
END_TEST

Suite *models_suite(void) {
  Suite *suite = suite_create("models");
  TCase *bad = tcase_create("bad");
  tcase_set_timeout(bad, 60);
  tcase_add_test(bad, bad_models_get_exactly_these_messages);
  suite_add_tcase(suite, bad);
  return suite;
}
