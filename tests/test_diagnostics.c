/* test_diagnostics.c - messages, to the letter. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

static Diagnostics *d;
static char printed[20000];

static void set_up(void) { d = diagnostics_new(); }
static void tear_down(void) { diagnostics_free(d); }

static const char *print(bool color) {
  memset(printed, 0, sizeof printed);
  FILE *f = fmemopen(printed, sizeof printed - 1, "w");
  diagnostics_print(d, f, color);
  fclose(f);
  return printed;
}

static Source source_of(const char *path, const char *text) { return (Source){.path = path, .text = text, .length = strlen(text)}; }

static const char model[] =
    "module MLP()(x: [B, P]) -> [B, K] {\n"
    "  return x |> fc: Linear(H) |> relu |> fc |> fc2: Linear(K)\n"
    "}\n";
static const char layers[] = "# layers\n  return x @ t(weight) + bias\n";

START_TEST(shows_both_operands) {
  Source mlp = source_of("mlp.mt", model), nn = source_of("nn.mt", layers);
  Span call = {&mlp, 2, 40, 2, NULL}, product = {&nn, 2, 10, 13, &call};
  report(d, E0203, &call, "matmul: inner sizes differ, %s and %s", "H (256)", "P (784)");
  report_caret(d, "fc is called here with %s", "[B, H]");
  report_note(d, &product, "in Linear: weight is [H, P], bound by the first call at mlp.mt:2:15");
  report_help(d, "one instance called twice shares its weights; for a second layer write fc3: Linear(H)");
  ck_assert_str_eq(print(false),
                   "mlp.mt:2:40: error[E0203]: matmul: inner sizes differ, H (256) and P (784)\n"
                   "  2 |   return x |> fc: Linear(H) |> relu |> fc |> fc2: Linear(K)\n"
                   "    |                                        ^^ fc is called here with [B, H]\n"
                   "nn.mt\n"
                   "  2 |   return x @ t(weight) + bias\n"
                   "    |          ^^^^^^^^^^^^^ in Linear: weight is [H, P], bound by the first call at mlp.mt:2:15\n"
                   "help: one instance called twice shares its weights; for a second layer write fc3: Linear(H)\n");
}
END_TEST

START_TEST(colors_like_a_compiler) {
  Source s = source_of("a.mt", "let a = b\n");
  Span at = {&s, 1, 9, 1, NULL}, name = {&s, 1, 5, 1, NULL};
  report(d, E0101, &at, "there is no b");
  report_help(d, "did you mean a?");
  report(d, W0101, &name, "a is not used");
  ck_assert_str_eq(print(true),
                   "\033[1ma.mt:1:5: \033[1;35mwarning[W0101]:\033[0m\033[1m a is not used\033[0m\n"
                   "  1 | let a = b\n"
                   "    |     \033[1;32m^\033[0m\n"
                   "\033[1ma.mt:1:9: \033[1;31merror[E0101]:\033[0m\033[1m there is no b\033[0m\n"
                   "  1 | let a = b\n"
                   "    |         \033[1;32m^\033[0m\n"
                   "\033[1;36mhelp:\033[0m did you mean a?\n");
}
END_TEST

START_TEST(names_the_calls_that_led_there) {
  Source mlp = source_of("mlp.mt", model), nn = source_of("nn.mt", layers);
  Span outer = {&mlp, 1, 1, 6, NULL}, call = {&mlp, 2, 12, 2, &outer}, at = {&nn, 2, 14, 1, &call};
  report(d, E0203, &at, "wrong");
  ck_assert_str_eq(print(false),
                   "nn.mt:2:14: error[E0203]: wrong\n"
                   "  2 |   return x @ t(weight) + bias\n"
                   "    |              ^\n"
                   "    = called at mlp.mt:2:12\n"
                   "    = called at mlp.mt:1:1\n");
}
END_TEST

START_TEST(survives_odd_places) {
  Source tabs = source_of("t.mt", "\tlet\ta\033[31m = 1\n"), wide = source_of("u.mt", "let größe = \"日本\" + é\n"),
         none = {"d.ir", NULL, 0, false};
  Source crlf = source_of("w.mt", "a\r\nbc\r\n");
  Span in_tabs = {&tabs, 1, 6, 1, NULL}, in_wide = {&wide, 1, 26, 99, NULL}, nothing = {&none, 7, 3, 2, NULL};
  Span name = {&wide, 1, 5, 7, NULL}, end = {&crlf, 2, 3, 1, NULL}, past = {&crlf, 9, 1, 1, NULL},
       zero = {&crlf, 1, 0, 0, NULL}, far = {&crlf, 1, 500, INT32_MAX, NULL};
  report(d, E0005, &in_tabs, "tab");
  report(d, E0005, &in_wide, "clipped");
  report(d, E0101, &name, "counted in characters");
  report(d, E0701, &nothing, "no text");
  report_caret(d, "said anyway");
  report(d, E0005, &end, "end of line");
  report(d, E0005, &past, "past the end");
  report(d, E0005, &zero, "no column");
  report(d, E0006, &far, "beyond the line");
  report(d, E0508, NULL, "no place");
  ck_assert_str_eq(print(false),
                   "t.mt:1:6: error[E0005]: tab\n"
                   "  1 |  let a [31m = 1\n"
                   "    |      ^\n"
                   "u.mt:1:5: error[E0101]: counted in characters\n"
                   "  1 | let größe = \"日本\" + é\n"
                   "    |     ^^^^^\n"
                   "u.mt:1:26: error[E0005]: clipped\n"
                   "  1 | let größe = \"日本\" + é\n"
                   "    |                    ^\n"
                   "d.ir:7:3: error[E0701]: no text\n"
                   "      said anyway\n"
                   "w.mt:1:0: error[E0005]: no column\n"
                   "  1 | a\n"
                   "    | ^\n"
                   "w.mt:1:500: error[E0006]: beyond the line\n"
                   "  1 | a\n"
                   "    |  ^\n"
                   "w.mt:2:3: error[E0005]: end of line\n"
                   "  2 | bc\n"
                   "    |   ^\n"
                   "w.mt:9:1: error[E0005]: past the end\n"
                   "mtc:1:1: error[E0508]: no place\n");
}
END_TEST

/* Of a line of 1,000 characters some 160 around the column are shown, and the caret is under its character. */
START_TEST(cuts_long_lines) {
  char text[1001];
  for (int i = 0; i < 1000; i++) text[i] = (char)('0' + i % 10);
  text[1000] = 0;
  text[499] = 'X';
  Source s = source_of("long.mt", text);
  Span at = {&s, 1, 500, 1, NULL};
  report(d, E0005, &at, "far right");
  print(false);
  const char *line = strstr(printed, "  1 | ..."), *marks = line ? strstr(line, "\n    | ") : NULL;
  ck_assert_ptr_nonnull(marks);
  ck_assert_int_eq(marks - line, 6 + 3 + 160 + 3);
  ck_assert_int_eq(strchr(line, 'X') - line, strchr(marks, '^') - marks - 1);
}
END_TEST

START_TEST(cuts_between_characters) {
  Text text = {0};
  text_add(&text, "a");
  for (int i = 0; i < 400; i++) text_add(&text, "é");
  Source s = source_of("long.mt", text.data);
  for (int column = 2; column < 700; column += 2) {
    Span at = {&s, 1, column, 2, NULL};
    Diagnostics *one = diagnostics_new();
    report(one, E0005, &at, "x");
    memset(printed, 0, sizeof printed);
    FILE *f = fmemopen(printed, sizeof printed - 1, "w");
    diagnostics_print(one, f, false);
    fclose(f);
    diagnostics_free(one);
    for (const unsigned char *c = (unsigned char *)strchr(printed, '|'); *c; c++) {
      if (*c < 0x80) continue;
      ck_assert_int_eq(*c, 0xc3);
      ck_assert_int_eq(*++c, 0xa9);
    }
  }
  text_free(&text);
}
END_TEST

START_TEST(aligns_high_line_numbers) {
  Text text = {0};
  for (int i = 1; i < 12345; i++) text_add(&text, "\n");
  text_add(&text, "let x = y\n");
  Source s = source_of("tall.mt", text.data);
  Span at = {&s, 12345, 9, 1, NULL};
  report(d, E0101, &at, "there is no y");
  ck_assert_str_eq(print(false), "tall.mt:12345:9: error[E0101]: there is no y\n"
                                 "12345 | let x = y\n"
                                 "      |         ^\n");
  text_free(&text);
}
END_TEST

START_TEST(says_each_thing_once) {
  Source s = source_of("a.mt", "x y\n");
  Span x = {&s, 1, 1, 1, NULL}, y = {&s, 1, 3, 1, NULL};
  report(d, E0101, &x, "there is no x");
  report(d, E0101, &x, "there is no x");
  report_help(d, "belongs to what was dropped");
  report_note(d, &y, "so does this");
  report(d, E0101, &y, "there is no y");
  report(d, E0005, &y, "another code at that place");
  ck_assert_int_eq(diagnostics_errors(d), 3);
  ck_assert_str_eq(print(false),
                   "a.mt:1:1: error[E0101]: there is no x\n  1 | x y\n    | ^\n"
                   "a.mt:1:3: error[E0101]: there is no y\n  1 | x y\n    |   ^\n"
                   "a.mt:1:3: error[E0005]: another code at that place\n  1 | x y\n    |   ^\n");
}
END_TEST

START_TEST(stops_after_twenty) {
  Source s = source_of("a.mt", "");
  for (int line = 23; line > 0; line--) {
    Span at = {&s, line, 1, 1, NULL};
    report(d, E0005, &at, "number %d", line);
    report_help(d, "help %d", line);
  }
  ck_assert_int_eq(diagnostics_errors(d), 23);
  print(false);
  ck_assert_ptr_nonnull(strstr(printed, "number 4\n"));
  ck_assert_ptr_null(strstr(printed, "number 3\n"));
  ck_assert_ptr_null(strstr(printed, "help 3\n"));
  ck_assert(strstr(printed, "number 4\n") < strstr(printed, "number 5\n"));
  ck_assert_ptr_nonnull(strstr(printed, "mtc: 3 more errors are not shown\n"));
}
END_TEST

START_TEST(warnings_can_be_errors) {
  Source s = source_of("a.mt", "x\n");
  Span at = {&s, 1, 1, 1, NULL};
  report(d, W0101, &at, "x is not used");
  ck_assert_int_eq(diagnostics_errors(d), 0);
  ck_assert_int_eq(diagnostics_warnings(d), 1);
  diagnostics_warnings_are_errors(d);
  report(d, W0102, &at, "x hides another");
  ck_assert_int_eq(diagnostics_errors(d), 1);
  ck_assert_ptr_nonnull(strstr(print(false), "a.mt:1:1: error[W0102]: x hides another\n"));
}
END_TEST

/* ---- the long stories ---- */

static const char *const codes[] = {
#define ERROR(code, kind, story) #code,
#include "ir/errors.def"
#undef ERROR
};

START_TEST(every_code_has_a_story) {
  const char *code = codes[_i];
  memset(printed, 0, sizeof printed);
  FILE *f = fmemopen(printed, sizeof printed - 1, "w");
  ck_assert(explain(code, f));
  fclose(f);
  ck_assert_msg(!strncmp(printed, code, 5), "%s", printed);
  ck_assert_msg(strstr(printed, code[0] == 'W' ? "(warning)\n" : code[0] == 'N' ? "(note)\n" : "(error)\n") != NULL, "%s", printed);
  int lines = 0;
  for (char *line = strtok(strchr(printed, '\n'), "\n"); line; line = strtok(NULL, "\n"), lines++) {
    size_t length = strlen(line);
    ck_assert_msg(length <= 100 && line[length - 1] != ' ', "%s: %s", code, line);
  }
  ck_assert_msg(lines >= 3 && lines <= 12, "%s has %d lines", code, lines);
}
END_TEST

START_TEST(codes_are_in_order) {
  for (size_t i = 1; i < sizeof codes / sizeof *codes; i++) ck_assert_str_lt(codes[i - 1], codes[i]);
  memset(printed, 0, sizeof printed);
  FILE *f = fmemopen(printed, sizeof printed - 1, "w");
  ck_assert(!explain("E9999", f));
  fclose(f);
  ck_assert_str_eq(printed, "");
}
END_TEST

/* ---- suggestions and faults ---- */

START_TEST(suggests_the_nearest) {
  static const char *const names[] = {"softmax", "relu", "lr", NULL, "Linear", "K"};
  static const struct { const char *word, *meant; } rows[] = {
      {"sofmax", "softmax"}, {"sotfmax", "softmax"}, {"reul", "relu"}, {"ReLU", "relu"},  {"linaer", "Linear"},
      {"rl", "lr"},          {"k", "K"},             {"x", NULL},      {"relu", NULL},    {"convolution", NULL},
      {"", NULL},            {"lt", "lr"},           {"Lin", NULL},    {"softmx", "softmax"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *found = nearest(rows[i].word, names, 6);
    ck_assert_msg(found == rows[i].meant || (found && rows[i].meant && !strcmp(found, rows[i].meant)), "%s: %s",
                  rows[i].word, found ? found : "nothing");
  }
  char longer[300];
  memset(longer, 'a', sizeof longer - 1);
  longer[299] = 0;
  ck_assert_ptr_null(nearest(longer, names, 6));
}
END_TEST

START_TEST(faults_are_our_own) { fault("lost %d nodes", 3); }
END_TEST

Suite *diagnostics_suite(void) {
  Suite *suite = suite_create("diagnostics");
  TCase *tests = tcase_create("diagnostics");
  tcase_add_checked_fixture(tests, set_up, tear_down);
  tcase_add_test(tests, shows_both_operands);
  tcase_add_test(tests, colors_like_a_compiler);
  tcase_add_test(tests, names_the_calls_that_led_there);
  tcase_add_test(tests, survives_odd_places);
  tcase_add_test(tests, cuts_long_lines);
  tcase_add_test(tests, cuts_between_characters);
  tcase_add_test(tests, aligns_high_line_numbers);
  tcase_add_test(tests, says_each_thing_once);
  tcase_add_test(tests, stops_after_twenty);
  tcase_add_test(tests, warnings_can_be_errors);
  tcase_add_loop_test(tests, every_code_has_a_story, 0, (int)(sizeof codes / sizeof *codes));
  tcase_add_test(tests, codes_are_in_order);
  tcase_add_test(tests, suggests_the_nearest);
  tcase_add_exit_test(tests, faults_are_our_own, 70);
  suite_add_tcase(suite, tests);
  return suite;
}
