/* test_dumps.c - every dump of the pipeline is a program: it reads back to the
 * same text, and compiling on from it ends where the compilation itself did. */
#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "passes/passes.h"
#include "tests/fuse_models.h"

enum { MAX_DUMPS = 16 };

typedef struct Dumps {
  int n;
  char *text[MAX_DUMPS];
} Dumps;

static char *print_program(const Program *program) {
  Text text = {0};
  program_print(&text, program);
  return text.data;
}

static void keep_dump(const Pass *pass, const Program *program, void *data) {
  Dumps *dumps = data;
  (void)pass;
  ck_assert_int_lt(dumps->n, MAX_DUMPS);
  dumps->text[dumps->n++] = print_program(program);
}

static int first_difference(const char *a, const char *b) {
  int i = 0;
  while (a[i] && a[i] == b[i]) i++;
  while (i && a[i - 1] != '\n') i--;
  return i;
}

static void expect_same(const char *a, const char *b, const char *what, int seed, int dump) {
  int i = first_difference(a, b);
  ck_assert_msg(!strcmp(a, b), "%s, seed %d, dump %d:\n%.600s\n---\n%.600s", what, seed, dump, a + i, b + i);
}

/* Reads dump `k`, prints it again, runs the passes that are left. */
static void resume(const Dumps *dumps, int k, int level, int seed) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Source source = {.path = "dump.ir", .text = dumps->text[k], .length = strlen(dumps->text[k])};
  Program *program = program_read(&source, arena, d);
  if (!program) diagnostics_print(d, stderr, false);
  ck_assert_msg(program != NULL, "seed %d, dump %d is refused", seed, k);
  char *again = print_program(program);
  expect_same(dumps->text[k], again, "it reads back to another program", seed, k);
  PassContext context = {.program = program, .arena = arena, .diagnostics = d, .level = level, .bisect_limit = LONG_MAX};
  ck_assert(run_pipeline(&context, NULL, NULL));
  char *end = print_program(program);
  expect_same(dumps->text[dumps->n - 1], end, "compiling on ends elsewhere", seed, k);
  free(again);
  free(end);
  diagnostics_free(d);
  arena_free(arena);
}

/* False for a random program that asks for a gradient which no derivative reaches: it does not compile. */
static bool dump_and_resume(int seed, int level) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *program = model_random(arena, (uint64_t)seed, 1);
  if (seed % 2) model_add_gradients(program);
  Dumps dumps = {.n = 1, .text = {print_program(program)}};
  PassContext context = {.program = program, .arena = arena, .diagnostics = d, .level = level, .bisect_limit = LONG_MAX, .verify_each = true};
  bool done = run_pipeline(&context, keep_dump, &dumps);
  for (int k = 0; done && k < dumps.n; k++) resume(&dumps, k, level, seed);
  for (int k = 0; k < dumps.n; k++) free(dumps.text[k]);
  diagnostics_free(d);
  arena_free(arena);
  return done;
}

START_TEST(every_dump_reads_back_and_compiles_on) {
  int done = 0;
  for (int seed = 0; seed < 60; seed++) done += dump_and_resume(seed, _i);
  ck_assert_int_gt(done, 40);
}
END_TEST

Suite *dumps_suite(void) {
  Suite *suite = suite_create("dumps");
  TCase *tests = tcase_create("dumps");
  tcase_set_timeout(tests, 120);
  tcase_add_loop_test(tests, every_dump_reads_back_and_compiles_on, 0, 3);
  suite_add_tcase(suite, tests);
  return suite;
}
