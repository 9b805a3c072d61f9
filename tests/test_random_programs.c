/* test_random_programs.c - random programs run alike everywhere.
 *
 * MTC_RANDOM=N runs N of them through the passes, N/10 through C and N/33 through emulated CUDA, from
 * MTC_SEED on.
 */
#include <check.h>
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/random/random.h"
#include "tests/shell.h"

enum { PARTS = 8, A_LIBRARY = 50 };

static uint64_t setting(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}
static uint64_t count(void) { return setting("MTC_RANDOM", 2000); }
static uint64_t first(void) { return setting("MTC_SEED", 1); }

/* With KEEP=FOLDER (`make random`) it is made smaller first, and kept there. */
static void tell(Kit *kit, RandomCheck check, uint64_t share, uint64_t seed, const char *said) {
  const char *folder = getenv("KEEP");
  if (!folder) ck_abort_msg("%s\n`make random N=%" PRIu64 " SEED=%" PRIu64 "` makes it smaller", said, share, seed);
  char path[512], *first_said = strdup(said);
  kit = random_reduce(kit, check, seed);
  char *text = random_text(kit), *now = random_apart(check, kit, seed);
  snprintf(path, sizeof path, "%s/%" PRIu64 ".ir", folder, seed);
  FILE *file = fopen(path, "w");
  if (file) fputs(text, file), fclose(file);
  ck_abort_msg("seed %" PRIu64 ": %s\nreduced to %s:\n%.2000s\n%s", seed, first_said, path, text, now ? now : "(nothing)");
}

START_TEST(passes_change_nothing) {
  for (uint64_t i = (uint64_t)_i; i < count(); i += PARTS) {
    uint64_t seed = first() + i;
    Kit *kit = random_graph(seed);
    const char *said = getenv("KEEP") ? random_apart(random_check_passes, kit, seed) : random_check_passes(kit, seed);
    if (said) tell(kit, random_check_passes, 1, seed, said);
    kit_free(kit);
  }
}
END_TEST

static const char *check_one_c(const Kit *kit, uint64_t seed) {
  int failed;
  return random_check_c(&(Kit *){(Kit *)(uintptr_t)kit}, 1, seed, &failed);
}
static const char *check_one_emulated(const Kit *kit, uint64_t seed) {
  int failed;
  return random_check_emulated(&(Kit *){(Kit *)(uintptr_t)kit}, 1, seed, &failed);
}

static const struct Target {
  const char *(*check)(Kit *const *kits, int n, uint64_t seed, int *failed);
  RandomCheck one;
  uint64_t share; /* one of so many programs */
  int part, of;   /* tests between which they are divided */
} targets[] = {
    {random_check_c, check_one_c, 10, 0, 4},
    {random_check_c, check_one_c, 10, 1, 4},
    {random_check_c, check_one_c, 10, 2, 4},
    {random_check_c, check_one_c, 10, 3, 4},
    {random_check_emulated, check_one_emulated, 33, 0, 2},
    {random_check_emulated, check_one_emulated, 33, 1, 2},
};

START_TEST(targets_give_the_same) {
  const struct Target *t = &targets[_i];
  Kit *kits[A_LIBRARY];
  uint64_t total = count() / t->share, size = total / (uint64_t)t->of + 1 < A_LIBRARY ? total / (uint64_t)t->of + 1 : A_LIBRARY;
  for (uint64_t from = (uint64_t)t->part * size; from < total; from += (uint64_t)t->of * size) {
    int n = total - from < size ? (int)(total - from) : (int)size, failed = 0;
    for (int i = 0; i < n; i++) kits[i] = random_graph(first() + from + (uint64_t)i);
    const char *said = t->check(kits, n, first() + from, &failed);
    if (said) tell(kits[failed], t->one, t->share, first() + from + (uint64_t)failed, said);
    for (int i = 0; i < n; i++) kit_free(kits[i]);
  }
}
END_TEST

/* What once failed. */
START_TEST(corpus_runs_alike) {
  struct dirent **files;
  Kit *kits[A_LIBRARY];
  char *texts[A_LIBRARY];
  int n = scandir(TESTS_DIR "/random/corpus", &files, NULL, alphasort), read = 0, failed = 0;
  ck_assert_int_gt(n, 0);
  for (int i = 0; i < n; i++) {
    char path[512];
    snprintf(path, sizeof path, TESTS_DIR "/random/corpus/%s", files[i]->d_name);
    free(files[i]);
    if (!strstr(path, ".ir")) continue;
    ck_assert_int_lt(read, A_LIBRARY);
    char *text = texts[read] = read_text(path);
    Kit *kit = kits[read++] = random_read(&(Source){.path = path, .text = text, .length = strlen(text)});
    ck_assert_msg(kit != NULL, "%s does not read", path);
    for (uint64_t seed = 0; seed < 8; seed++) {
      const char *said = random_check_passes(kit, seed);
      ck_assert_msg(!said, "%s: %s", path, said);
    }
  }
  free(files);
  ck_assert_int_ge(read, 10);
  const char *said = random_check_c(kits, read, 0, &failed);
  ck_assert_msg(!said, "%.2000s\n%s", texts[failed], said);
  said = random_check_emulated(kits, read, 0, &failed);
  ck_assert_msg(!said, "%.2000s\n%s", texts[failed], said);
  for (int i = 0; i < read; i++) kit_free(kits[i]), free(texts[i]);
}
END_TEST

/* ---- negative controls: what compares must see what is wrong ------------------------------- */

static bool is_worth_damage(const Tensor *t) {
  double most = 0;
  for (int64_t i = 0; i < t->count; i++) most = isfinite(t->data[i]) ? fmax(most, fabs(t->data[i])) : NAN;
  return most > 1e-3 && fabs(t->data[t->count - 1]) > 1e-2 * most;
}

static Node *zero_tail(Builder *b, Node *x) {
  Type flat = kit_type(x->type.dtype, 1, (int64_t[]){type_count(&x->type)}), less = flat;
  less.dim[0] = dim_literal(flat.dim[0].size - 1);
  Node *kept = b_slice(b, b_reshape(b, x, &flat), &less, (int64_t[]){0}, (int64_t[]){1});
  return b_reshape(b, b_pad(b, kept, &flat, (int64_t[]){0}, (int64_t[]){1}), &x->type);
}

/* One term of a sum in the backward graph is lost. */
static bool drop_term(Kit *kit, int output) {
  for (Node *x = kit->graph->outputs[output].node; x->n_in; x = x->in[0]) {
    if (x->op != OP_add || !type_same_shape(&x->type, &x->in[0]->type)) continue;
    graph_replace(kit->graph, x, x->in[0]);
    return true;
  }
  return false;
}

static bool damage(Kit *kit, int how, int output) {
  Builder *b = &kit->b;
  Node **gradient = &kit->graph->outputs[output].node;
  switch (how) {
  case 0: *gradient = b_unary(b, OP_neg, *gradient); return true;
  case 1: *gradient = b_scalar(b, OP_mul, *gradient, 2); return true;
  case 2: *gradient = zero_tail(b, *gradient); return true;
  default: return drop_term(kit, output);
  }
}

static const char *const damages[] = {"flipped sign", "doubled term", "zeroed tail", "dropped term"};

/* With the widest tolerance of all, that of float. */
START_TEST(damage_is_seen) {
  int seen = 0, tried = 0;
  for (uint64_t seed = 1; tried < 60; seed++) {
    Kit *kit = random_graph(seed);
    ck_assert(kit_run(kit, 0, "gradient", LONG_MAX, NULL));
    Values want = random_values(kit, NULL, 0), shaken = random_values(kit, NULL, 3e-7);
    int output = 0;
    while (output < want.n && (kit->graph->outputs[output].role != OUT_GRAD || !is_worth_damage(&want.at[output]))) output++;
    if (output < want.n && !random_differs(kit, &want, &shaken, 2e-5, NULL, 0, 0) && damage(kit, _i, output)) {
      Values got = random_values(kit, NULL, 0);
      seen += random_differs(kit, &want, &got, 2e-5, &shaken, 30, 0) != NULL;
      tried++;
      values_free(&got);
    }
    values_free(&want), values_free(&shaken);
    kit_free(kit);
  }
  ck_assert_msg(_i == 3 ? seen >= tried * 8 / 10 : seen == tried, "%s: %d of %d were seen", damages[_i], seen, tried);
}
END_TEST

/* Finite differences see the same. */
START_TEST(differences_see_damage) {
  Kit *kit = kit_new(5);
  kit_mlp(kit, 2, 4);
  ck_assert(kit_run(kit, 0, "gradient", LONG_MAX, NULL));
  ck_assert_ptr_null(kit_check_update(kit));
  int first = 0;
  while (kit->graph->outputs[first].role != OUT_GRAD) first++;
  ck_assert(damage(kit, _i, first + (_i == 3)));
  ck_assert_msg(kit_check_update(kit) != NULL, "%s was not seen", damages[_i]);
  kit_free(kit);
}
END_TEST

/* Every op of the table is met, and what is compared is not all NaN. */
START_TEST(programs_are_of_everything) {
  int met[OP_COUNT] = {0};
  long finite = 0, all = 0;
  for (uint64_t seed = 1; seed <= 400; seed++) {
    Kit *kit = random_graph(seed);
    Graph **graphs = program_graphs(kit->program); /* the bodies of loops too */
    for (int g = 0; graphs[g]; g++)
      for (int i = 0; i < graphs[g]->n_nodes; i++) met[graphs[g]->nodes[i]->op]++;
    ck_assert_msg(kit_run(kit, 0, "gradient", LONG_MAX, NULL), "seed %" PRIu64 " has no gradient", seed);
    Values values = random_values(kit, NULL, 0);
    for (int i = 0; i < values.n; i++)
      for (int64_t k = 0; k < values.at[i].count; k++) finite += isfinite(values.at[i].data[k]) != 0, all++;
    values_free(&values);
    kit_free(kit);
  }
  for (int op = 0; op < OP_COUNT; op++)
    ck_assert_msg(!random_graph_makes((Op)op) || met[op] >= 10, "%s stands in %d graphs only", op_info[op].name, met[op]);
  ck_assert_msg(finite * 2 > all, "%ld of %ld values are finite", finite, all);
}
END_TEST

/* CK_RUN_CASE=emulated runs that one alone. */
static TCase *add_case(Suite *suite, const char *name) {
  TCase *tcase = tcase_create(name);
  tcase_set_timeout(tcase, 3600);
  suite_add_tcase(suite, tcase);
  return tcase;
}

Suite *random_programs_suite(void) {
  Suite *suite = suite_create("random_programs");
  TCase *tcase = add_case(suite, "itself");
  tcase_add_test(tcase, corpus_runs_alike);
  tcase_add_test(tcase, programs_are_of_everything);
  tcase_add_loop_test(tcase, damage_is_seen, 0, 4);
  tcase_add_loop_test(tcase, differences_see_damage, 0, 3);
  tcase_add_loop_test(add_case(suite, "passes"), passes_change_nothing, 0, PARTS);
  tcase_add_loop_test(add_case(suite, "c"), targets_give_the_same, 0, 4);
  tcase_add_loop_test(add_case(suite, "emulated"), targets_give_the_same, 4, sizeof targets / sizeof *targets);
  return suite;
}
