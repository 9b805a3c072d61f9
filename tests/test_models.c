/* test_models.c - bad models and exactly what mtc says of them.
 *
 * golden/bad/CODE.txt holds the models of one message, each as
 *   ### what is wrong            (ends in "(.ir)" when it is no .mt but a dump)
 *   the model
 *   >>>
 *   what `mtc check` prints
 * golden/mistakes/TOPIC.txt holds, in the same form, what else can be wrong with a part of the language.
 * MTC_REGOLD=1 writes what is printed now; read the diff.
 */
#include <check.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "tests/shell.h"

enum { LEAST_MODELS = 275, MOST_OF_A_CODE = 5 };

typedef struct Case {
  char *title, *model, *wanted;
} Case;

static char *cut(const char *from, const char *to) {
  char *text = calloc(1, (size_t)(to - from) + 1);
  memcpy(text, from, (size_t)(to - from));
  return text;
}

/* The next case of a catalogue; *at moves behind it.  False at the end. */
static bool next_case(const char **at, Case *out) {
  if (strncmp(*at, "### ", 4)) return false;
  const char *line = strchr(*at, '\n') + 1, *says = strstr(line, "\n>>>\n");
  ck_assert_msg(says != NULL, "a case without >>>: %.60s", *at);
  const char *end = strstr(says, "\n### ");
  out->title = cut(*at + 4, line - 1);
  out->model = cut(line, says + 1);
  *at = end ? end + 1 : says + strlen(says);
  out->wanted = cut(says + 5, *at);
  return true;
}

static void case_free(Case *c) {
  free(c->title);
  free(c->model);
  free(c->wanted);
}

static Shell checked(const Case *c, const char *folder) {
  bool is_dump = strstr(c->title, "(.ir)") != NULL;
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, is_dump ? "m.ir" : "m.mt");
  FILE *out = fopen(path, "w");
  ck_assert_ptr_nonnull(out);
  fputs(c->model, out);
  ck_assert_int_eq(fclose(out), 0);
  const char *compiler = getenv("MTC"); /* one with a fault in it: tests/mutants */
  return shell("cd %s && %s check %s", folder, compiler ? compiler : MTC, is_dump ? "m.ir" : "m.mt");
}

/* Every message of the file has the code; "": any code. */
static int check_catalogue(const char *path, const char *folder, const char *code) {
  const char *name = strrchr(path, '/') + 1;
  char *text = read_text(path), *now = NULL;
  size_t size = 0;
  const char *at = text;
  FILE *out = open_memstream(&now, &size);
  int n = 0;
  for (Case c; next_case(&at, &c); case_free(&c), n++) {
    Shell said = checked(&c, folder);
    fprintf(out, "### %s\n%s>>>\n%s", c.title, c.model, said.output);
    bool fails = strstr(said.output, " error[") != NULL;
    ck_assert_msg(strstr(said.output, code) != NULL, "%s, %s: no %s in\n%s", name, c.title, code, said.output);
    ck_assert_msg(said.status == (fails ? 1 : 0), "%s, %s: exit status %d", name, c.title, said.status);
    if (!getenv("MTC_REGOLD"))
      ck_assert_msg(!strcmp(said.output, c.wanted), "%s, %s:\nexpected:\n%s\nfound:\n%s", name, c.title, c.wanted,
                    said.output);
    free(said.output);
  }
  fclose(out);
  if (getenv("MTC_REGOLD")) {
    out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(now, out);
    ck_assert_int_eq(fclose(out), 0);
  }
  free(now);
  free(text);
  return n;
}

START_TEST(bad_models_get_exactly_these_messages) {
  glob_t found;
  int n = 0;
  const char *folder = scratch_folder();
  ck_assert_int_eq(glob(TESTS_DIR "/golden/bad/*.txt", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    char code[8];
    snprintf(code, sizeof code, "[%.5s]", strrchr(found.gl_pathv[i], '/') + 1);
    int of_code = check_catalogue(found.gl_pathv[i], folder, code);
    ck_assert_msg(of_code >= 1 && of_code <= MOST_OF_A_CODE, "%s: %d models", code, of_code);
    n += of_code;
  }
  globfree(&found);
  ck_assert_int_ge(n, LEAST_MODELS);
}
END_TEST

static glob_t mistakes;

START_TEST(mistakes_get_exactly_these_messages) {
  check_catalogue(mistakes.gl_pathv[_i], scratch_folder(), "[");
}
END_TEST

START_TEST(every_message_has_a_model) {
  static const char *const codes[] = {
#define ERROR(code, kind, story) #code,
#include "ir/errors.def"
#undef ERROR
  };
  for (int i = 0; i < ERROR_CODE_COUNT; i++) {
    char path[512];
    snprintf(path, sizeof path, TESTS_DIR "/golden/bad/%s.txt", codes[i]);
    char *text = read_text(path);
    ck_assert_msg(text != NULL, "no model shows %s", codes[i]);
    free(text);
  }
}
END_TEST

Suite *models_suite(void) {
  Suite *suite = suite_create("models");
  TCase *bad = tcase_create("bad");
  tcase_set_timeout(bad, 120);
  tcase_add_test(bad, bad_models_get_exactly_these_messages);
  tcase_add_test(bad, every_message_has_a_model);
  if (!glob(TESTS_DIR "/golden/mistakes/*.txt", 0, NULL, &mistakes))
    tcase_add_loop_test(bad, mistakes_get_exactly_these_messages, 0, (int)mistakes.gl_pathc);
  suite_add_tcase(suite, bad);
  return suite;
}
