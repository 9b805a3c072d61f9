/* check.c - the ways a program is run, against the evaluator on the program as it was written. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/generated.h"
#include "tests/random/random.h"

/* ---- passes: all, some, or with some rewrites left out ------------------------------------ */

typedef struct Variant {
  int level;
  unsigned left_out; /* bit i: pass i, when it is one that can be */
  long rewrites;
} Variant;

static Variant variant_of(uint64_t seed, int i) {
  Kit dice = {.seed = seed * 31 + (uint64_t)i};
  Variant v = {.level = i == 0 ? 2 : (int)kit_random(&dice, 3), .rewrites = LONG_MAX};
  if (i && !kit_random(&dice, 2)) v.left_out = (unsigned)kit_random(&dice, 1u << n_passes);
  if (i && !kit_random(&dice, 2)) v.rewrites = (long)kit_random(&dice, 60);
  return v;
}

static PassContext context_of(const Kit *kit, const Variant *v) {
  return (PassContext){.program = kit->program,
                       .arena = kit->arena,
                       .diagnostics = kit->diagnostics,
                       .level = v->level,
                       .bisect_limit = v->rewrites};
}

/* Simplify changes no value, but for powers written as products; sums in another order round otherwise. */
static bool keeps_bits(const Kit *kit, const Pass *pass) {
  for (int i = 0; i < kit->graph->n_nodes; i++)
    if (kit->graph->nodes[i]->op == OP_pow) return false;
  return !strcmp(pass->name, "gradient") || !strcmp(pass->name, "simplify");
}

/* Through the table of passes, looking after each.  NULL, or what differs from `want`. */
static const char *run_passes(Kit *kit, const Variant *v, const Values *want, const Values *shaken) {
  PassContext context = context_of(kit, v);
  for (int i = 0; i < n_passes; i++) {
    bool optional = pipeline[i].level > 0;
    if (pipeline[i].level > v->level || (optional && v->left_out >> i & 1)) continue;
    bool bits = keeps_bits(kit, &pipeline[i]);
    pipeline[i].run(&context);
    if (context.failed) return arena_print(kit->arena, "%s failed", pipeline[i].name);
    const char *wrong = program_verify(kit->program, kit->arena);
    if (wrong) return arena_print(kit->arena, "after %s: %s", pipeline[i].name, wrong);
    if (!want) continue;
    Values got = random_values(kit, NULL, 0);
    const char *differs = random_differs(kit, want, &got, bits ? 0 : 1e-11, bits ? NULL : shaken, 1e3, bits ? 0 : 1e-14);
    values_free(&got);
    if (differs)
      return arena_print(kit->arena, "after %s (-O%d, passes left out %x, %ld rewrites): %s", pipeline[i].name,
                         v->level, v->left_out, v->rewrites, differs);
  }
  return NULL;
}

/* The program after `gradient` alone; NULL when it has none. */
static Kit *with_gradients(const Kit *kit) {
  Kit *plain = random_copy(kit, (Edit){0});
  if (plain && kit_run(plain, 0, "gradient", LONG_MAX, NULL)) return plain;
  if (plain) kit_free(plain);
  return NULL;
}

const char *random_check_passes(const Kit *kit, uint64_t seed) {
  enum { VARIANTS = 3 };
  Kit *plain = with_gradients(kit);
  if (!plain) return NULL;
  Values want = random_values(plain, NULL, 0), shaken = random_values(plain, NULL, 1e-14);
  const char *differs = NULL;
  for (int i = 0; i < VARIANTS && !differs; i++) {
    Kit *run = random_copy(kit, (Edit){0});
    Variant v = variant_of(seed, i);
    differs = run_passes(run, &v, &want, &shaken);
    if (differs) differs = arena_copy(kit->arena, differs, strlen(differs));
    kit_free(run);
  }
  values_free(&want), values_free(&shaken);
  kit_free(plain);
  return differs;
}

/* ---- C ------------------------------------------------------------------------------------ */

/* Normals are made in float whatever real is. */
static bool draws_normals(const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == OP_random && graph->nodes[i]->attrs.distribution) return true;
  return false;
}

static const char *compare_c(const Kit *kit, Kit *plain, Kit *planned, const MtProgram *emitted) {
  const EvaluateOptions options = {.rows = kit->n_rows, .seed = 11, .step = 3};
  Values want = random_values(plain, &options, 0);
  Binding *bindings = calloc((size_t)planned->n_leaves + 1, sizeof *bindings);
  for (int i = 0; i < planned->n_leaves; i++) bindings[i] = (Binding){planned->leaves[i].path, planned->leaves[i].data};
  const char *differs = NULL;
  for (int real_size = 8; real_size >= 4 && !differs; real_size -= 4) {
    bool twice = real_size == 8, exact = twice && !draws_normals(plain->graph);
    EvaluateOptions rounded = options;
    rounded.round = !exact;
    Values shaken = random_values(plain, &rounded, exact ? 1e-13 : 3e-7);
    Values got = {planned->graph->n_outputs, calloc((size_t)planned->graph->n_outputs + 1, sizeof *got.at)};
    generated_call(planned->program, emitted, planned->graph,
                   twice ? emitted->train->gradients_f64 : emitted->train->gradients, real_size, bindings,
                   planned->n_leaves, &options, got.at);
    differs = random_differs(plain, &want, &got, exact ? 1e-10 : 2e-5, &shaken, exact ? 100 : 30, exact ? 1e-14 : 1e-6);
    if (differs) differs = arena_print(kit->arena, "C, %d-byte reals: %s", real_size, differs);
    values_free(&got), values_free(&shaken);
  }
  free(bindings);
  values_free(&want);
  return differs;
}

const char *random_check_c(Kit *const *kits, int n, uint64_t seed, int *failed) {
  Generated *set = generated_new();
  Kit **plain = calloc((size_t)n + 1, sizeof *plain), **planned = calloc((size_t)n + 1, sizeof *planned);
  const char *differs = NULL;
  for (int i = 0; i < n && !differs; i++) {
    Variant v = variant_of(seed, i);
    *failed = i;
    if (!(plain[i] = with_gradients(kits[i]))) continue;
    planned[i] = random_copy(kits[i], (Edit){0});
    differs = run_passes(planned[i], &v, NULL, NULL);
    if (differs) differs = arena_copy(kits[i]->arena, differs, strlen(differs));
    else generated_add(set, planned[i]->program);
  }
  if (!differs) generated_build(set, "-O1 -march=native -ffp-contract=off");
  for (int i = 0, built = 0; i < n && !differs; i++) {
    if (!planned[i]) continue;
    *failed = i;
    differs = compare_c(kits[i], plain[i], planned[i], generated_program(set, built++));
  }
  for (int i = 0; i < n; i++) {
    if (plain[i]) kit_free(plain[i]);
    if (planned[i]) kit_free(planned[i]);
  }
  free(plain), free(planned);
  generated_free(set);
  return differs;
}
