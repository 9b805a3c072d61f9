/* test_golden.c - models and what becomes of them, to the letter.
 *
 * golden/ir/NAME.mt -> NAME.ir: what the front end makes of each part of the
 * language.  golden/steps/NAME/: one model through everything: 0-lower.ir,
 * then what each pass makes of the file before it, then the last one as C and
 * as CUDA, and of some what --cost says.  By checksum, golden/texts/checksums: what is made of many programs; golden/traces: what each pass does to
 * random ones; golden/verdicts: what the verifier says of damaged ones.  docs/ops.md: the tables of
 * ops and functions.  MTC_REGOLD=1 (`make regold`) writes them anew; read the diff.
 */
#include <check.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"
#include "tests/ir_models.h"
#include "tests/ops_page.h"
#include "tests/shell.h"
#include "tests/traces.h"
#include "tests/verdicts.h"

/* The compiler that is tested; MTC=PATH: another, MTC_FAST=PATH: for many programs yet another (tests/mutants). */
static const char *compiler(void) { return getenv("MTC") ? getenv("MTC") : MTC; }
static const char *fast_compiler(void) { return getenv("MTC_FAST") ? getenv("MTC_FAST") : compiler(); }

/* Is `printed`, which `command` wrote, what the file holds?  Frees it. */
static void compare_text(const char *folder, const char *file, const char *command, char *printed) {
  char path[512];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  if (getenv("MTC_REGOLD")) {
    FILE *out = fopen(path, "w");
    ck_assert_ptr_nonnull(out);
    fputs(printed, out);
    ck_assert_int_eq(fclose(out), 0);
  }
  char *wanted = read_text(path);
  ck_assert_msg(wanted != NULL, "%s is missing: run `make regold`", path);
  if (strcmp(printed, wanted)) {
    char now[512];
    snprintf(now, sizeof now, "%s/now", scratch_folder());
    FILE *out = fopen(now, "w");
    ck_assert_ptr_nonnull(out);
    fputs(printed, out);
    ck_assert_int_eq(fclose(out), 0);
    ck_abort_msg("%s is not what `%s` prints:\n%.3000s", path, command, shell("diff %s %s", path, now).output);
  }
  free(printed);
  free(wanted);
}

static void compare(const char *folder, const char *file, const char *command) {
  compare_text(folder, file, command, shell_ok("cd %s && %s", folder, command));
}

static char *stem_of(const char *path) {
  const char *name = strrchr(path, '/') + 1;
  return strndup(name, strlen(name) - strlen(strrchr(name, '.')));
}

START_TEST(the_front_end_lowers_every_part_of_the_language) {
  glob_t found;
  ck_assert_int_eq(glob(TESTS_DIR "/golden/ir/*.mt", 0, NULL, &found), 0);
  ck_assert_uint_ge(found.gl_pathc, 17);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    char file[128], command[512], *stem = stem_of(found.gl_pathv[i]);
    snprintf(file, sizeof file, "%s.ir", stem);
    snprintf(command, sizeof command, "%s %s.mt -o - --emit=ir --stop-after=lower", compiler(), stem);
    compare(TESTS_DIR "/golden/ir", file, command);
    snprintf(command, sizeof command, "%s fmt %s.mt -o -", compiler(), stem);
    char *laid_out = shell_ok("cd " TESTS_DIR "/golden/ir && %s | diff %s.mt -", command, stem);
    free(laid_out);
    free(stem);
  }
  globfree(&found);
}
END_TEST

static const char *const models[] = {"classifier", "layernorm", "embedding", "gradients", "reductions", "lenet",
                                     "blocks", "recurrence", "bf16", "phases"};

/* What the front end makes reads back as it was printed, and becomes C that a compiler takes without a word. */
START_TEST(every_part_of_the_language_becomes_code) {
  glob_t found;
  ck_assert_int_eq(glob(TESTS_DIR "/golden/ir/*.ir", 0, NULL, &found), 0);
  for (size_t i = 0; i < found.gl_pathc; i++) {
    const char *path = found.gl_pathv[i], *to = scratch_folder();
    free(shell_ok("%s %s -o - --emit=ir --stop-after=lower | diff %s -", compiler(), path, path));
    free(shell_ok("for kind in c cu dot; do %s %s -o %s/m.$kind || exit 1; done", compiler(), path, to));
    free(shell_ok("cc -std=gnu11 -fopenmp -Wall -Wextra -Werror -fsyntax-only -I" SOURCE_DIR "/runtime %s/m.c", to));
  }
  globfree(&found);
}
END_TEST

START_TEST(each_pass_makes_the_next_file) {
  char folder[256], file[64], before[64] = "model.mt", command[512];
  snprintf(folder, sizeof folder, TESTS_DIR "/golden/steps/%s", models[_i]);
  for (int k = 0; k <= n_passes; k++) {
    const char *pass = k ? pipeline[k - 1].name : "lower";
    snprintf(file, sizeof file, "%d-%s.ir", k, pass);
    snprintf(command, sizeof command, "%s %s -o - --emit=ir --stop-after=%s", compiler(), before, pass);
    compare(folder, file, command);
    memcpy(before, file, sizeof file);
  }
}
END_TEST

START_TEST(the_planned_program_as_c_and_cuda) {
  static const char *const kinds[] = {"c", "cu"};
  char folder[256], file[64], command[512];
  snprintf(folder, sizeof folder, TESTS_DIR "/golden/steps/%s", models[_i]);
  for (int k = 0; k < 2; k++) {
    snprintf(file, sizeof file, "model.%s", kinds[k]);
    snprintf(command, sizeof command, "%s %d-%s.ir -o - --emit=%s", compiler(), n_passes, pipeline[n_passes - 1].name, kinds[k]);
    compare(folder, file, command);
  }
}
END_TEST

static const char *const costs[] = {"classifier", "blocks", "lenet"};

START_TEST(what_a_step_costs) {
  char folder[256];
  snprintf(folder, sizeof folder, TESTS_DIR "/golden/steps/%s", costs[_i]);
  char command[512];
  snprintf(command, sizeof command, "%s --cost model.mt", compiler());
  compare(folder, "cost.txt", command);
  snprintf(command, sizeof command, "%s --cost %d-%s.ir | diff cost.txt -", compiler(), n_passes, pipeline[n_passes - 1].name);
  free(shell_ok("cd %s && %s", folder, command));
}
END_TEST

START_TEST(a_dump_gives_the_same_program_as_the_model) {
  char folder[256];
  snprintf(folder, sizeof folder, TESTS_DIR "/golden/steps/%s", models[_i]);
  free(shell_ok("cd %s && %s model.mt -o - --emit=cu | diff model.cu -", folder, compiler()));
}
END_TEST

/* Many programs by checksum: that nothing changes which nobody meant to change. */
START_TEST(texts_are_what_they_were) {
  char command[512];
  snprintf(command, sizeof command, "./list %s " BUILD_DIR "/bin/mtc_random %s", fast_compiler(), scratch_folder());
  compare(TESTS_DIR "/golden/texts", "checksums", command);
}
END_TEST

static void verdicts_of_file(Text *out, const char *name, const char *path, Arena *arena) {
  char *text = read_text(path);
  ck_assert_ptr_nonnull(text);
  Diagnostics *d = diagnostics_new();
  Program *program = program_read(&(Source){.path = path, .text = text, .length = strlen(text)}, arena, d);
  ck_assert_msg(program != NULL, "%s does not read", path);
  verdicts_of(out, name, program);
  diagnostics_free(d);
  free(text);
}

/* Of the planned programs, of one built by hand that has what they lack, of one whose loops ask for their turn, and of
 * one that writes text. */
START_TEST(damaged_programs_are_judged_as_they_were) {
  Text out = {0};
  Arena *arena = arena_new();
  verdicts_of(&out, "model by hand", ir_model(arena));
  for (size_t i = 0; i < sizeof models / sizeof *models; i++) {
    char path[256];
    snprintf(path, sizeof path, TESTS_DIR "/golden/steps/%s/%d-%s.ir", models[i], n_passes, pipeline[n_passes - 1].name);
    verdicts_of_file(&out, models[i], path, arena);
  }
  verdicts_of_file(&out, "turns", TESTS_DIR "/golden/steps/recurrence/0-lower.ir", arena);
  verdicts_of_file(&out, "sample", TESTS_DIR "/golden/ir/sample.ir", arena);
  arena_free(arena);
  compare_text(TESTS_DIR "/golden", "verdicts", "mtc_tests golden", out.data);
}
END_TEST

START_TEST(passes_choose_what_they_chose) {
  Text out = {0};
  traces_of_random_programs(&out);
  compare_text(TESTS_DIR "/golden", "traces", "mtc_tests golden", out.data);
}
END_TEST

/* docs/ops.md, made anew; that nothing lacks its description. */
START_TEST(the_page_of_ops_is_what_the_tables_say) {
  Text out = {0};
  ops_page(&out);
  compare_text(SOURCE_DIR "/docs", "ops.md", "mtc_tests golden", out.data);
}
END_TEST

Suite *golden_suite(void) {
  enum { N_MODELS = sizeof models / sizeof models[0] };
  Suite *suite = suite_create("golden");
  TCase *all = tcase_create("all");
  tcase_set_timeout(all, 120);
  tcase_add_test(all, every_part_of_the_language_becomes_code);
  tcase_add_test(all, the_front_end_lowers_every_part_of_the_language);
  tcase_add_loop_test(all, each_pass_makes_the_next_file, 0, N_MODELS);
  tcase_add_loop_test(all, the_planned_program_as_c_and_cuda, 0, N_MODELS);
  tcase_add_loop_test(all, what_a_step_costs, 0, sizeof costs / sizeof costs[0]);
  tcase_add_loop_test(all, a_dump_gives_the_same_program_as_the_model, 0, N_MODELS);
  tcase_add_test(all, texts_are_what_they_were);
  suite_add_tcase(suite, all);
  TCase *page = tcase_create("page"); /* CK_RUN_CASE=page MTC_REGOLD=1: docs/ops.md alone */
  tcase_add_test(page, the_page_of_ops_is_what_the_tables_say);
  suite_add_tcase(suite, page);
  TCase *verdicts = tcase_create("verdicts"); /* CK_RUN_CASE=verdicts: alone */
  tcase_set_timeout(verdicts, 60);
  tcase_add_test(verdicts, damaged_programs_are_judged_as_they_were);
  suite_add_tcase(suite, verdicts);
  TCase *traces = tcase_create("traces");
  tcase_set_timeout(traces, 60);
  tcase_add_test(traces, passes_choose_what_they_chose);
  suite_add_tcase(suite, traces);
  return suite;
}
