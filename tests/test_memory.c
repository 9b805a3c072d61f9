/* test_memory.c - budgets of memory, from generous to impossible.
 *
 * With `memory:` a program takes no more than that, as it is planned and as it
 * is emitted, and means what it meant: losses, logs and gradients are those
 * without a budget, to the bit, in the evaluator.  What is refused is possible
 * with what the message asks for.
 */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "frontend/frontend.h"
#include "passes/passes.h"
#include "tests/fuse_models.h"
#include "tests/shell.h"

/* ---- models: %s is the budget ------------------------------------------------------ */

static const char mlp[] =
    "use nn\ndim B = 256, P = 24, H = 64, K = 5\n"
    "data rows = random(rows: 256, seed: 1) -> { x: f32[B, P], y: i32[B] }\n"
    "module M()(x: [B, P]) -> [B, K] {\n"
    "  return x |> a: Linear(H) |> gelu |> b: Linear(H) |> gelu |> c: Linear(H) |> gelu |> d: Linear(H) |> tanh\n"
    "    |> e: Linear(H) |> gelu |> f: Linear(H) |> gelu |> g: Linear(H) |> gelu |> h: Linear(K)\n}\n"
    "let net = M()\ntrain d in rows for 3 steps%s {\n  let loss = cross_entropy(net(d.x), d.y)\n"
    "  update net minimize loss using sgd(lr: 0.1)\n  log loss\n  log size = mean(d.x ^ 2)\n}\n";
static const char conv[] =
    "use nn\ndim B = 16, K = 5\n"
    "data rows = random(rows: 16, seed: 2) -> { x: f32[B, 3, 8, 8], y: i32[B] }\n"
    "module M()(x: [B, 3, 8, 8]) -> [B, K] {\n"
    "  let h = x |> c1: Conv2d(8, 3, padding: \"same\", bias: false) |> b1: BatchNorm() |> relu\n"
    "    |> c2: Conv2d(8, 3, padding: \"same\") |> gelu |> max_pool2d(2)\n"
    "    |> c3: Conv2d(16, 3, padding: \"same\", bias: false) |> b2: BatchNorm() |> relu |> dropout(0.25)\n"
    "  return reshape(h, [B, 256]) |> fc: Linear(K)\n}\n"
    "let net = M()\ntrain d in rows for 3 steps%s {\n  let loss = cross_entropy(net(d.x), d.y)\n"
    "  update net minimize loss using adamw(lr: 0.01)\n  log loss\n}\n";
static const char gpt[] =
    "use nn\ndim B = 8, T = 16, V = 11, D = 16, H = 2, L = 3\n"
    "data rows = random(rows: 16, seed: 3) -> { x: i32[B, T], y: i32[B, T] }\n"
    "module Attention()(x: [B, T, D]) -> [B, T, D] {\n"
    "  let q, k, v = (x |> qkv: Linear(3 * D)).[B, T, (3 H e) -> 3, B, H, T, e]\n"
    "  let seen = scaled_dot_product_attention(q, k, v, causal: true)\n"
    "  return seen.[B, H, T, e -> B, T, (H e)] |> proj: Linear(D) |> dropout(0.1)\n}\n"
    "module Block()(x: [B, T, D]) -> [B, T, D] {\n"
    "  let a = x + (x |> ln1: LayerNorm() |> att: Attention())\n"
    "  return a + (a |> ln2: LayerNorm() |> up: Linear(4 * D) |> gelu_tanh |> down: Linear(D) |> dropout(0.1))\n}\n"
    "module GPT()(ids: i32[B, T]) -> [B, T, V] {\n  param wte: [V, D] = normal(0.02)\n  param wpe: [T, D] = normal(0.02)\n"
    "  let x = wte[ids] + wpe\n  for b in stack(Block(), L) carry x { x = b(x) }\n"
    "  return (x |> lnf: LayerNorm()) @ t(wte)\n}\n"
    "let net = GPT()\ntrain d in rows for 3 steps%s {\n  let loss = cross_entropy(net(d.x), d.y)\n"
    "  update net minimize loss using adamw(lr: 0.001)\n  log loss\n}\n";
static const char *const models[] = {mlp, conv, gpt};
enum { N_MODELS = sizeof models / sizeof models[0] };

/* ---- compiling ------------------------------------------------------------------------- */

typedef struct Built {
  Program *program; /* NULL: refused */
  char *said;       /* malloc'd */
} Built;

static char *model_text(Arena *arena, const char *model, int64_t budget) {
  const char *with = budget ? arena_print(arena, " with (memory: %lld)", (long long)budget) : "";
  Text text = {0};
  const char *hole = strstr(model, "%s");
  text_add_bytes(&text, model, (size_t)(hole - model));
  text_add(&text, "%s%s", with, hole + 2);
  return text_take(&text, arena);
}

static Built build(Arena *arena, const char *model, int64_t budget, int level, long limit, FILE *trace) {
  Source *source = arena_alloc(arena, sizeof *source);
  char *text = model_text(arena, model, budget);
  *source = (Source){.path = "m.mt", .text = text, .length = strlen(text)};
  Diagnostics *d = diagnostics_new();
  Built b = {compile(source, &(FrontendOptions){0}, arena, d), NULL};
  PassContext context = {.program = b.program, .arena = arena, .diagnostics = d, .level = level, .bisect_limit = limit,
                         .verify_each = true, .trace = trace};
  bool ok = b.program && run_pipeline(&context, NULL, NULL) && !diagnostics_errors(d);
  size_t size = 0;
  FILE *out = open_memstream(&b.said, &size);
  diagnostics_print(d, out, false);
  fclose(out);
  diagnostics_free(d);
  if (!ok) b.program = NULL;
  return b;
}

static int64_t total_of(Program *program, Arena *arena) { return program_memory(program, arena).total; }

/* Outputs to the bit. */
static void check_values(Program *want, Program *got, const char *what) {
  ModelValues a = model_evaluate(want->train.graph, 5, 0), b = model_evaluate(got->train.graph, 5, 0);
  ck_assert_int_eq(a.n, b.n);
  for (int i = 0; i < a.n; i++) {
    ck_assert_int_eq(a.at[i].count, b.at[i].count);
    ck_assert_msg(!memcmp(a.at[i].data, b.at[i].data, sizeof(double) * (size_t)a.at[i].count), "%s: %s is another", what,
                  want->train.graph->outputs[i].name);
  }
  model_free(&a);
  model_free(&b);
}

/* The arena that the emitted program allocates is the one that was counted. */
static void check_emitted(Program *program, Arena *arena) {
  Memory m = program_memory(program, arena);
  Text text = {0};
  char wanted[64];
  snprintf(wanted, sizeof wanted, "{%lld, ", (long long)m.arena);
  emit_c(&text, program, arena);
  ck_assert_msg(strstr(text.data, wanted) != NULL, "no arena of %lld bytes is emitted", (long long)m.arena);
  text_free(&text);
  int64_t lines = 0;
  for (int i = 0; i < m.n_lines; i++) lines += m.lines[i].bytes;
  ck_assert_int_gt(lines, 0);
  ck_assert_int_le(lines, m.arena);
}

static void check_reads_back(const Program *program, Arena *arena) {
  Text text = {0}, again = {0};
  program_print(&text, program);
  Diagnostics *d = diagnostics_new();
  Program *read = program_read(&(Source){.path = "m.ir", .text = text.data, .length = text.length}, arena, d);
  ck_assert_ptr_nonnull(read);
  program_print(&again, read);
  ck_assert_str_eq(text.data, again.data);
  ck_assert_int_eq(read->train.memory, program->train.memory);
  diagnostics_free(d);
  text_free(&text);
  text_free(&again);
}

/* ---- tests ------------------------------------------------------------------------------- */

/* Refused: with as much as the message says it is possible. */
static void check_refusal(const char *model, const Built *b, int64_t budget, int level) {
  const char *at = strstr(b->said, "error[E0513]: training takes ");
  ck_assert_msg(at != NULL, "refused otherwise:\n%s", b->said);
  long long least = strtoll(at + strlen("error[E0513]: training takes "), NULL, 10);
  ck_assert_int_gt(least, budget);
  ck_assert_msg(strstr(b->said, "bytes are alive here when most are") != NULL, "no lines:\n%s", b->said);
  Arena *arena = arena_new();
  Built now = build(arena, model, least, level, LONG_MAX, NULL);
  ck_assert_msg(now.program != NULL, "%lld bytes are not enough after all:\n%s", least, now.said);
  ck_assert_int_le(total_of(now.program, arena), least);
  free(now.said);
  arena_free(arena);
}

static void check_budgets(const char *model, int level) {
  static const int percent[] = {200, 100, 97, 93, 88, 84, 80, 76, 72, 65, 50, 20};
  Arena *arena = arena_new();
  Built free_one = build(arena, model, 0, level, LONG_MAX, NULL);
  ck_assert_ptr_nonnull(free_one.program);
  int64_t whole = total_of(free_one.program, arena);
  int met = 0, refused = 0;
  for (size_t i = 0; i < sizeof percent / sizeof percent[0]; i++) {
    int64_t budget = whole * percent[i] / 100;
    Built b = build(arena, model, budget, level, LONG_MAX, NULL);
    if (!b.program) {
      refused++;
      check_refusal(model, &b, budget, level);
    } else {
      int64_t total = total_of(b.program, arena);
      ck_assert_msg(total <= budget, "%lld bytes are planned, %lld allowed", (long long)total, (long long)budget);
      ck_assert_msg((strstr(b.said, "note[N0501]") != NULL) == (percent[i] < 100), "%d%%: said\n%s", percent[i], b.said);
      if (percent[i] >= 100) ck_assert_int_eq(total, whole);
      else met++;
      check_values(free_one.program, b.program, "with a budget");
      check_emitted(b.program, arena);
      check_reads_back(b.program, arena);
    }
    free(b.said);
  }
  ck_assert_int_ge(met, 2);
  ck_assert_int_ge(refused, 1);
  free(free_one.said);
  arena_free(arena);
}

START_TEST(budgets_are_met_and_change_no_value) { check_budgets(models[_i], 2); }
END_TEST
START_TEST(budgets_are_met_without_the_last_rewrites) { check_budgets(models[_i], 1); }
END_TEST

/* Where nothing shares bytes there is nothing to save. */
START_TEST(unoptimized_programs_have_no_budget) {
  Arena *arena = arena_new();
  Built b = build(arena, mlp, 1000, 0, LONG_MAX, NULL);
  ck_assert_msg(b.program != NULL, "%s", b.said);
  ck_assert_str_eq(b.said, "");
  free(b.said);
  arena_free(arena);
}
END_TEST

/* Each rewrite has a name and can be left out. */
START_TEST(rewrites_can_be_counted) {
  Arena *arena = arena_new();
  Built whole = build(arena, mlp, 0, 2, LONG_MAX, NULL);
  int64_t budget = total_of(whole.program, arena) * 72 / 100;
  char *trace = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&trace, &size);
  Built b = build(arena, mlp, budget, 2, LONG_MAX, out);
  fclose(out);
  ck_assert_ptr_nonnull(b.program);
  ck_assert_ptr_nonnull(strstr(trace, "\nrematerialize.product net."));
  ck_assert_ptr_nonnull(strstr(trace, "\nrematerialize.map net."));
  ck_assert_ptr_nonnull(strstr(trace, "\nrematerialize: it fits: "));
  long before = 0; /* rewrites up to the first and the last of these */
  long last = 0, n = 0;
  for (char *line = trace; line && *line; line = strchr(line, '\n'), line += line != NULL) {
    if (!strncmp(line, "fuse: ", 6) || !strncmp(line, "rematerialize: ", 15)) continue;
    n++;
    if (strncmp(line, "rematerialize.", 14)) continue;
    if (!before) before = n;
    last = n;
  }
  for (long limit = before - 1; limit <= last; limit += (last - before) / 4 + 1) {
    Built some = build(arena, mlp, budget, 2, limit, NULL);
    ck_assert_msg(some.program != NULL, "limit %ld: %s", limit, some.said);
    Built plain = build(arena, mlp, 0, 2, limit < before ? limit : before - 1, NULL);
    check_values(plain.program, some.program, "some rewrites");
    free(some.said);
    free(plain.said);
  }
  free(trace);
  free(whole.said);
  free(b.said);
  arena_free(arena);
}
END_TEST

/* What is computed again stands behind the forward part. */
START_TEST(products_are_computed_twice) {
  Arena *arena = arena_new();
  Built whole = build(arena, mlp, 0, 2, LONG_MAX, NULL);
  Built b = build(arena, mlp, total_of(whole.program, arena) * 72 / 100, 2, LONG_MAX, NULL);
  const Graph *g = b.program->train.graph;
  int again = 0, first = -1, loss = -1;
  for (int i = 0; i < g->n_nodes; i++) {
    const Node *n = g->nodes[i];
    if (n->op == OP_matmul && n->again && ++again == 1) first = i;
    if (n->op == OP_matmul && n->again) ck_assert_str_eq(n->name + strlen(n->name) - 6, ".again");
    if (!strcmp(n->name, "net.h.mm")) loss = i;
  }
  ck_assert_int_ge(again, 1);
  ck_assert_int_gt(first, loss);
  free(whole.said);
  free(b.said);
  arena_free(arena);
}
END_TEST

/* By finite differences in double, as a trainer checks itself. */
START_TEST(trainers_within_a_budget_check_their_gradients) {
  Arena *arena = arena_new();
  const char *folder = scratch_folder();
  Built whole = build(arena, conv, 0, 2, LONG_MAX, NULL);
  int64_t budget = total_of(whole.program, arena) * 9 / 10;
  char path[512];
  snprintf(path, sizeof path, "%s/m.mt", folder);
  FILE *out = fopen(path, "w");
  ck_assert_ptr_nonnull(out);
  fputs(model_text(arena, conv, budget), out);
  ck_assert_int_eq(fclose(out), 0);
  free(shell_ok("cd %s && '" MTC "' build m.mt --target=c -o m && ./m gradcheck", folder));
  free(whole.said);
  arena_free(arena);
}
END_TEST

/* check -v and the header of the emitted file say the same. */
START_TEST(the_peak_is_told) {
  char *said = shell_ok("'" MTC "' check -v samples/digits.mt");
  ck_assert_msg(strstr(said, "samples/digits.mt: training takes 248328 bytes\n") != NULL, "%s", said);
  ck_assert_msg(strstr(said, "most values of a step at once, 60416 bytes:\n       40960  samples/digits.mt:21\n") != NULL, "%s", said);
  free(said);
  char *text = shell_ok("'" MTC "' samples/digits.mt -o - --emit=cu | head -8");
  ck_assert_msg(strstr(text, "// Training takes 248 KB, and its data files:\n") != NULL, "%s", text);
  ck_assert_msg(strstr(text, "// Most values of a step at once: digits.mt:21 41 KB, digits.mt:20 16 KB") != NULL, "%s", text);
  free(text);
}
END_TEST

Suite *memory_suite(void) {
  Suite *suite = suite_create("memory");
  TCase *budgets = tcase_create("budgets");
  tcase_set_timeout(budgets, 120);
  tcase_add_loop_test(budgets, budgets_are_met_and_change_no_value, 0, N_MODELS);
  tcase_add_loop_test(budgets, budgets_are_met_without_the_last_rewrites, 0, N_MODELS);
  tcase_add_test(budgets, unoptimized_programs_have_no_budget);
  tcase_add_test(budgets, rewrites_can_be_counted);
  tcase_add_test(budgets, products_are_computed_twice);
  suite_add_tcase(suite, budgets);
  TCase *whole = tcase_create("whole");
  tcase_set_timeout(whole, 240);
  tcase_add_test(whole, trainers_within_a_budget_check_their_gradients);
  tcase_add_test(whole, the_peak_is_told);
  suite_add_tcase(suite, whole);
  return suite;
}
