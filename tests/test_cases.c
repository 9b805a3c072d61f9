/* test_cases.c - how many of PyTorch's numbers there are: twenty cases of every
 * function and operator, in all files of tests/pytorch.  A new one brings its own.
 */
#include <check.h>
#include <ctype.h>
#include <glob.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "tests/shell.h"

enum { LEAST = 20, MOST_CASES = 16384, MOST_NAMES = 256 };

/* Functions without cases, and what says that they are right. */
static const struct { const char *name, *why; } exempt[] = {
    {"rand", "PyTorch's stream of draws is not matched: the twins of samples draw the same (pytorch/draws.py)"},
    {"randn", "as rand"},
    {"dropout", "as rand; its edges stand in edges.json"},
    {"pair", "a size, no value: every convolution calls it"},
};

/* ---- the cases: what is written in the model language ---- */

static const char *texts[MOST_CASES];
static int n_texts;

static void take_text(json_t *item, const char *key) {
  const char *text = json_string_value(json_object_get(item, key));
  if (!text) return;
  ck_assert_int_lt(n_texts, MOST_CASES);
  texts[n_texts++] = text;
}

/* Expressions of op cases, bodies of layers; lists in an object (bf16.json) count as one. */
static void take_cases(json_t *list) {
  const char *key;
  json_t *item;
  size_t i;
  json_object_foreach(list, key, item) take_cases(item);
  json_array_foreach(list, i, item) {
    take_text(item, "e");
    take_text(item, "body");
  }
}

/* The lists stay: the texts are theirs. */
static void load_texts(void) {
  glob_t found;
  ck_assert_int_eq(glob(TESTS_DIR "/pytorch/*.json", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    json_error_t why;
    json_t *list = json_load_file(found.gl_pathv[i], 0, &why);
    ck_assert_msg(list != NULL, "%s: %s", found.gl_pathv[i], why.text);
    take_cases(list);
  }
  globfree(&found);
  ck_assert_int_ge(n_texts, 4200);
}

static bool in_name(char c) { return isalnum((unsigned char)c) || c == '_' || c == '.'; }

/* Is `name(` called in the text? */
static bool calls(const char *text, const char *name) {
  size_t length = strlen(name);
  for (const char *at = strstr(text, name); at; at = strstr(at + 1, name))
    if (at[length] == '(' && (at == text || !in_name(at[-1]))) return true;
  return false;
}

/* ---- the functions: builtins.def, but for those that are answered with "not yet", and nn.mt ---- */

static char names[MOST_NAMES][32];
static int n_names;

static void take_names(const char *file, const char *pattern, const char *but) {
  char *text = read_text(file), *rest = NULL;
  ck_assert_msg(text != NULL, "%s cannot be read", file);
  for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    ck_assert_int_lt(n_names, MOST_NAMES);
    if (sscanf(line, pattern, names[n_names]) == 1 && !(but && strstr(line, but))) n_names++;
  }
  free(text);
}

static const char *exempted(const char *name) {
  for (size_t i = 0; i < sizeof exempt / sizeof exempt[0]; i++)
    if (!strcmp(exempt[i].name, name)) return exempt[i].why;
  return NULL;
}

static int count_calls(const char *name) {
  int n = 0;
  for (int i = 0; i < n_texts; i++) n += calls(texts[i], name);
  return n;
}

START_TEST(every_function_has_twenty_cases) {
  Text missing = {0};
  load_texts();
  take_names(SOURCE_DIR "/frontend/builtins.def", "BUILTIN(%31[a-z0-9_]", "later_call");
  take_names(SOURCE_DIR "/frontend/nn.mt", "fn %31[a-z0-9_]", NULL);
  ck_assert_int_ge(n_names, 115);
  for (int i = 0; i < n_names; i++) {
    int n = count_calls(names[i]);
    if (n < LEAST && !exempted(names[i])) text_add(&missing, " %s (%d)", names[i], n);
  }
  ck_assert_msg(missing.length == 0, "fewer than %d cases in tests/pytorch/*.json:%s", LEAST, missing.data);
}
END_TEST

/* An exemption that is no longer needed, or of a function that is gone. */
START_TEST(exemptions_are_needed) {
  load_texts();
  take_names(SOURCE_DIR "/frontend/builtins.def", "BUILTIN(%31[a-z0-9_]", "later_call");
  for (size_t i = 0; i < sizeof exempt / sizeof exempt[0]; i++) {
    int k = 0;
    while (k < n_names && strcmp(names[k], exempt[i].name)) k++;
    ck_assert_msg(k < n_names && count_calls(exempt[i].name) < LEAST, "%s needs no exemption", exempt[i].name);
  }
}
END_TEST

START_TEST(every_operator_has_twenty_cases) {
  static const char *const operators[] = {" + ", " - ", " * ", " / ", " // ", " % ", " ^ ", " @ ", " == ", " != ", " < ",
                                          " <= ", " > ", " >= ", " and ", " or ", "not ", "-x", "[i32(k)]", "[1:", " -> "};
  load_texts();
  for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
    int n = 0;
    for (int t = 0; t < n_texts; t++) n += strstr(texts[t], operators[i]) != NULL;
    ck_assert_msg(n >= LEAST, "%d cases of `%s`", n, operators[i]);
  }
}
END_TEST

Suite *cases_suite(void) {
  Suite *suite = suite_create("cases");
  TCase *counts = tcase_create("counts");
  tcase_add_test(counts, every_function_has_twenty_cases);
  tcase_add_test(counts, exemptions_are_needed);
  tcase_add_test(counts, every_operator_has_twenty_cases);
  suite_add_tcase(suite, counts);
  return suite;
}
