/* test_pipeline.c - which passes run, in what order, and how often; a run that stops on the way ends as one that does
 * not; a broken program stops it. */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/graph_kit.h"

static int lines(const char *text) {
  int n = 0;
  for (; *text; text++) n += *text == '\n';
  return n;
}

static Kit *mlp(int layers, const char *until, long limit, char **trace) {
  Kit *kit = kit_new(4);
  kit_mlp(kit, layers, 3);
  size_t size;
  FILE *out = open_memstream(trace, &size);
  ck_assert(kit_run(kit, 2, until, limit, out));
  fclose(out);
  return kit;
}

/* Each number of rewrites is exactly that many, and gives the same values up to rounding. */
START_TEST(bisect_limit) {
  char *all, *some;
  Kit *kit = mlp(2, "split", LONG_MAX, &all);
  int n = lines(all);
  ck_assert_int_gt(n, 10);
  kit_free(kit);
  for (int limit = 0; limit <= n; limit++) {
    kit = mlp(2, "split", limit, &some);
    ck_assert_int_eq(lines(some), limit);
    ck_assert_msg(!strncmp(some, all, strlen(some)), "%d rewrites are not the first %d", limit, limit);
    const char *wrong = kit_check_update(kit);
    ck_assert_msg(!wrong, "after %d rewrites: %s", limit, wrong);
    kit_free(kit);
    free(some);
  }
  free(all);
}
END_TEST

static void assert_passes(const Kit *kit, const char *expected) {
  char names[256] = "";
  for (int i = 0; i < kit->program->n_passes; i++) strcat(strcat(names, i ? " " : ""), kit->program->passes[i]);
  ck_assert_str_eq(names, expected);
}

START_TEST(levels_choose_passes) {
  static const char *const expected[] = {"precision gradient", "attention precision gradient simplify narrow hoist rematerialize",
                                         "attention precision gradient simplify narrow hoist rematerialize split"};
  for (int level = 0; level < 3; level++) {
    Kit *kit = kit_new(1);
    kit_mlp(kit, 1, 3);
    ck_assert(kit_run(kit, level, "split", LONG_MAX, NULL));
    assert_passes(kit, expected[level]);
    kit_free(kit);
  }
}
END_TEST

/* Run in pieces, printed and read back between them, a program ends as in one run. */
static void assert_resumes(const char *stop) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  char *trace, *cut_trace;
  Kit *whole = mlp(2, NULL, LONG_MAX, &trace), *part = mlp(2, stop, LONG_MAX, &cut_trace);
  Text once = {0}, stopped = {0}, resumed = {0};
  program_print(&once, whole->program);
  program_print(&stopped, part->program);
  Source source = {.path = "part.ir", .text = stopped.data, .length = stopped.length};
  Program *program = program_read(&source, arena, d);
  ck_assert_msg(program, "the text after %s does not read back", stop);
  PassContext context = {
      .program = program, .arena = arena, .diagnostics = d, .level = 2, .bisect_limit = LONG_MAX, .verify_each = true};
  ck_assert(run_pipeline(&context, NULL, NULL));
  program_print(&resumed, program);
  ck_assert_str_eq(resumed.data, once.data);
  text_free(&once);
  text_free(&stopped);
  text_free(&resumed);
  kit_free(whole);
  kit_free(part);
  free(trace);
  free(cut_trace);
  diagnostics_free(d);
  arena_free(arena);
}

START_TEST(resumes) { assert_resumes(_i ? pipeline[_i - 1].name : "lower"); }
END_TEST

START_TEST(what_has_run_is_not_run_again) {
  Kit *kit = kit_new(1);
  kit_mlp(kit, 1, 3);
  ck_assert(kit_run(kit, 0, "fuse", LONG_MAX, NULL));
  assert_passes(kit, "precision gradient fuse");
  ck_assert(kit_run(kit, 2, "simplify", LONG_MAX, NULL));
  assert_passes(kit, "precision gradient fuse"); /* simplify would come too late */
  kit_free(kit);
}
END_TEST

START_TEST(missing_needs_are_reported) {
  Kit *kit = kit_new(1);
  kit_mlp(kit, 1, 3);
  LIST_PUSH(kit->arena, kit->program->passes, kit->program->n_passes, "simplify");
  ck_assert(!kit_run(kit, 2, NULL, LONG_MAX, NULL));
  ck_assert_int_eq(diagnostics_errors(kit->diagnostics), 1);
  kit_free(kit);
}
END_TEST

static double seconds(int layers) {
  Kit *kit = kit_new(1);
  kit_mlp(kit, layers, 3);
  clock_t start = clock();
  PassContext context = {.program = kit->program,
                         .arena = kit->arena,
                         .diagnostics = kit->diagnostics,
                         .level = 2,
                         .bisect_limit = LONG_MAX,
                         .stop_after = "split"};
  ck_assert(run_pipeline(&context, NULL, NULL));
  double spent = (double)(clock() - start) / CLOCKS_PER_SEC;
  kit_free(kit);
  return spent;
}

START_TEST(a_thousand_layers) {
  if (getenv("MTC_MUTANT")) return; /* on a busy machine it would seem to catch what it does not */
#if defined __OPTIMIZE__ && !defined __SANITIZE_ADDRESS__
  const double limit = 0.2;
#else
  const double limit = 2; /* built for debugging */
#endif
  double spent = seconds(1000);
  ck_assert_msg(spent < limit, "gradient, simplify and split of 1,000 layers took %.0f ms", spent * 1e3);
}
END_TEST

/* --verify-each: what a pass left, or got, is looked at. */
START_TEST(a_broken_program_stops_the_pipeline) {
  Kit *kit = kit_new(1);
  Node *x = kit_param(kit, "x", kit_type(F32, 1, (int64_t[]){3}));
  graph_output(kit->graph, OUT_VALUE, "y", b_unary(&kit->b, OP_neg, x));
  kit->graph->outputs[0].node->type.dim[0].size = 4;
  PassContext context = {.program = kit->program, .arena = kit->arena, .diagnostics = kit->diagnostics, .level = 2,
                         .bisect_limit = LONG_MAX, .stop_after = "lower", .verify_each = true};
  run_pipeline(&context, NULL, NULL);
}
END_TEST

Suite *pipeline_suite(void) {
  Suite *suite = suite_create("pipeline");
  TCase *pipe = tcase_create("pipeline");
  tcase_set_timeout(pipe, 60);
  tcase_add_test(pipe, bisect_limit);
  tcase_add_test(pipe, levels_choose_passes);
  tcase_add_loop_test(pipe, resumes, 0, n_passes + 1);
  tcase_add_test(pipe, what_has_run_is_not_run_again);
  tcase_add_test(pipe, missing_needs_are_reported);
  tcase_add_test(pipe, a_thousand_layers);
  tcase_add_exit_test(pipe, a_broken_program_stops_the_pipeline, 70);
  suite_add_tcase(suite, pipe);
  return suite;
}
