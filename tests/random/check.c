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

static bool has_powers(const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->op == OP_pow || (graph->nodes[i]->body && has_powers(graph->nodes[i]->body))) return true;
  return false;
}

/* Simplify changes no value, but for powers written as products; sums in another order round otherwise,
 * and where adjoints meet after precision is another place. */
static bool keeps_bits(const Kit *kit, const Pass *pass) {
  if (kit->program->train.precision == PRECISION_BF16 || has_powers(kit->graph)) return false;
  return !strcmp(pass->name, "gradient") || !strcmp(pass->name, "simplify");
}

/* Through the table of passes, looking after each.  NULL, or what differs from `want`. */
static const char *run_passes(Kit *kit, const Variant *v, const Values *want, const Values *shaken) {
  PassContext context = context_of(kit, v);
  bool has_gradients = false;
  for (int i = 0; i < n_passes; i++) {
    bool optional = pipeline[i].level > 0;
    if (pipeline[i].level > v->level || (optional && v->left_out >> i & 1)) continue;
    bool bits = keeps_bits(kit, &pipeline[i]);
    pipeline[i].run(&context);
    if (context.failed) return arena_print(kit->arena, "%s failed", pipeline[i].name);
    const char *wrong = program_verify(kit->program, kit->arena);
    if (wrong) return arena_print(kit->arena, "after %s: %s", pipeline[i].name, wrong);
    has_gradients |= !strcmp(pipeline[i].name, "gradient");
    if (!want || !has_gradients) continue;
    Values got = random_values(kit, NULL, 0);
    const char *differs = random_differs(kit, want, &got, bits ? 0 : 1e-11, bits ? NULL : shaken, 1e3, bits ? 0 : 1e-14);
    values_free(&got);
    if (differs)
      return arena_print(kit->arena, "after %s (-O%d, passes left out %x, %ld rewrites): %s", pipeline[i].name,
                         v->level, v->left_out, v->rewrites, differs);
  }
  return NULL;
}

/* The program after `gradient` alone, in that precision; NULL when it has none. */
static Kit *with_gradients(const Kit *kit, Precision precision) {
  Kit *plain = random_copy(kit, (Edit){0});
  if (plain) plain->program->train.precision = precision;
  if (plain && kit_run(plain, 0, "gradient", LONG_MAX, NULL)) return plain;
  if (plain) kit_free(plain);
  return NULL;
}

const char *random_check_passes(const Kit *kit, uint64_t seed) {
  enum { VARIANTS = 3 };
  Kit *plain = with_gradients(kit, PRECISION_F32);
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

enum { SCHEDULES = 4 };

/* ---- C and CUDA ------------------------------------------------------------------------------------ */

/* Normals are made in float whatever real is. */
static bool draws_normals(const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *node = graph->nodes[i];
    if ((node->op == OP_random && node->attrs.distribution) || (node->body && draws_normals(node->body))) return true;
  }
  return false;
}

typedef struct Built {
  const Kit *kit;    /* as made: where messages go */
  Kit *plain;        /* with gradients, and no more done to it */
  Kit *precise;      /* the same in the precision it asks for */
  Kit *planned;      /* what was built */
  int number;        /* of the set */
} Built;

/* One call of what was built, with reals of 8 bytes or 4. */
static const char *call_built(const Generated *set, const Built *built, bool emulated, int real_size,
                              const EvaluateOptions *options, Values *got) {
  Kit *planned = built->planned;
  Binding *bindings = calloc((size_t)planned->n_leaves + 1, sizeof *bindings);
  for (int i = 0; i < planned->n_leaves; i++) bindings[i] = (Binding){planned->leaves[i].path, planned->leaves[i].data};
  *got = (Values){planned->graph->n_outputs, calloc((size_t)planned->graph->n_outputs + 1, sizeof *got->at)};
  char *wrong = NULL;
  if (emulated) {
    wrong = generated_call_emulated(set, built->number, planned->program, real_size, SCHEDULES, bindings,
                                    planned->n_leaves, options, got->at);
  } else {
    const MtProgram *emitted = generated_program(set, built->number);
    generated_call(planned->program, emitted, planned->graph,
                   real_size == 8 ? emitted->train->phases[0].gradients_f64 : emitted->train->phases[0].gradients, real_size, bindings,
                   planned->n_leaves, options, got->at);
  }
  free(bindings);
  const char *said = wrong ? arena_copy(built->kit->arena, wrong, strlen(wrong)) : NULL;
  free(wrong);
  return said;
}

static bool has_bf16(const Graph *graph) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i]->type.dtype == BF16 || (graph->nodes[i]->body && has_bf16(graph->nodes[i]->body))) return true;
  return false;
}

/* With doubles nothing is rounded to bf16.  With floats a value in the middle of two bf16 may become either
 * (tests/test_bf16.c has the exact roundings). */
static const char *compare_built(const Generated *set, const Built *built, bool emulated) {
  const EvaluateOptions options = {.rows = built->kit->n_rows, .seed = 11, .step = 3};
  Values want = random_values(built->plain, &options, 0);
  const char *differs = NULL;
  for (int real_size = 8; real_size >= 4 && !differs; real_size -= 4) {
    bool exact = real_size == 8 && !draws_normals(built->plain->graph);
    EvaluateOptions rounded = options;
    rounded.round = !exact, rounded.shake = exact ? 1e-13 : 3e-7;
    double relative = exact ? 1e-10 : has_bf16(built->precise->graph) ? 2e-2 : 2e-5;
    Values shaken = random_values(built->precise, &rounded, rounded.shake), got;
    const char *failed = call_built(set, built, emulated, real_size, &options, &got);
    double margin = exact ? 100 : 30, least = exact ? 1e-14 : 1e-6;
    differs = failed ? failed : random_differs(built->plain, &want, &got, relative, &shaken, margin, least);
    if (differs && !failed) { /* the other way: near values stay apart */
      rounded.shake = -rounded.shake;
      Values turned = random_values(built->precise, &rounded, rounded.shake);
      differs = random_differs(built->plain, &want, &got, relative, &turned, margin, least);
      values_free(&turned);
    }
    if (differs && !failed && !exact) { /* at a tie rounding alone may take another side than rounding and shaking */
      rounded.shake = 0;
      Values rounding = random_values(built->precise, &rounded, 0);
      differs = random_differs(built->plain, &rounding, &got, relative, NULL, 0, 1e-6);
      values_free(&rounding);
    }
    if (differs)
      differs = arena_print(built->kit->arena, "%s, %d-byte reals: %s", emulated ? "CUDA, emulated" : "C", real_size, differs);
    values_free(&got), values_free(&shaken);
  }
  values_free(&want);
  return differs;
}

static const char *check_built(Kit *const *kits, int n, uint64_t seed, bool emulated, int *failed) {
  Generated *set = generated_new();
  Built *built = calloc((size_t)n + 1, sizeof *built);
  const char *differs = NULL;
  int number = 0;
  for (int i = 0; i < n && !differs; i++) {
    Built *b = &built[i];
    uint64_t own = seed + (uint64_t)i; /* alone it fails as it did among others */
    Variant v = variant_of(own, (int)(own % 4));
    *failed = i;
    b->kit = kits[i];
    if (!(b->plain = with_gradients(kits[i], PRECISION_F32))) continue;
    b->precise = with_gradients(kits[i], kits[i]->program->train.precision);
    b->planned = random_copy(kits[i], (Edit){0});
    differs = run_passes(b->planned, &v, NULL, NULL);
    b->number = number++;
    if (differs) differs = arena_copy(kits[i]->arena, differs, strlen(differs));
    else if (emulated) generated_add_cuda(set, b->planned->program);
    else generated_add(set, b->planned->program);
  }
  if (!differs && emulated) generated_build_emulated(set);
  else if (!differs) generated_build(set, "-O1 -march=native -ffp-contract=off");
  for (int i = 0; i < n && !differs; i++) {
    if (!built[i].planned) continue;
    *failed = i;
    differs = compare_built(set, &built[i], emulated);
  }
  for (int i = 0; i < n; i++) {
    if (built[i].plain) kit_free(built[i].plain), kit_free(built[i].precise);
    if (built[i].planned) kit_free(built[i].planned);
  }
  free(built);
  generated_free(set);
  return differs;
}

const char *random_check_c(Kit *const *kits, int n, uint64_t seed, int *failed) {
  return check_built(kits, n, seed, false, failed);
}
const char *random_check_emulated(Kit *const *kits, int n, uint64_t seed, int *failed) {
  return check_built(kits, n, seed, true, failed);
}
