/* compare.c - are two runs of a program the same? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/random/compare.h"
#include "tests/random/random.h"

/* In [-1, 1), and no sum of such is 0: noise must not cancel. */
static double uneven(int64_t k) { return (double)((uint64_t)(k + 1) * 2654435761u >> 8 & 255) / 128 - 1; }

Values random_values(Kit *kit, const EvaluateOptions *options, double noise) {
  Binding *bindings = calloc((size_t)kit->n_leaves + 1, sizeof *bindings);
  for (int i = 0; i < kit->n_leaves; i++) {
    const Leaf *leaf = &kit->leaves[i];
    double *data = malloc(((size_t)leaf->count + 1) * sizeof *data);
    bool moves = noise != 0 && dtype_is_float(leaf->node->type.dtype);
    for (int64_t k = 0; k < leaf->count; k++) data[k] = leaf->data[k] * (moves ? 1 + noise * uneven(k) : 1);
    bindings[i] = (Binding){leaf->path, data};
  }
  Values values = {kit->graph->n_outputs, calloc((size_t)kit->graph->n_outputs + 1, sizeof *values.at)};
  const char *missing = NULL;
  EvaluateOptions plain = {.seed = 7};
  plain = options ? *options : plain;
  plain.rows = kit->n_rows;
  if (!evaluate(kit->graph, bindings, kit->n_leaves, &plain, values.at, &missing)) fault("%s has no value", missing);
  for (int i = 0; i < kit->n_leaves; i++) free((void *)(uintptr_t)bindings[i].data);
  free(bindings);
  return values;
}

static double largest(int64_t n, const double *x) {
  double most = 0;
  for (int64_t i = 0; i < n; i++)
    if (isfinite(x[i])) most = fmax(most, fabs(x[i]));
  return most;
}

/* How far rounding may move an element: the worst of the tensor, for it need not be the same element that moves. */
static double play(int64_t n, const double *want, const double *shaken) {
  double most = 0;
  for (int64_t i = 0; i < n; i++) {
    double move = fabs(want[i] - shaken[i]);
    if (isfinite(want[i]) != isfinite(shaken[i])) return INFINITY;
    if (isfinite(move)) most = fmax(most, move);
  }
  return most;
}

static bool agrees(double want, double got, double tolerance) {
  if (isnan(want) || isnan(got)) return isnan(want) && isnan(got);
  if (isinf(want) || isinf(got)) return want == got;
  if (tolerance == 0) return want == got && !signbit(want) == !signbit(got);
  return fabs(want - got) <= tolerance;
}

const char *series_differ(Arena *arena, const char *name, int64_t n, const double *want, int64_t n_got,
                          const double *got, double relative, const double *shaken, double margin, double least) {
  if (n != n_got) return arena_print(arena, "%s has %lld elements, not %lld", name, (long long)n_got, (long long)n);
  double moved = shaken ? play(n, want, shaken) : 0, all = largest(n, want);
  if (isinf(moved)) return NULL; /* it hangs on the last bit: nothing can be said */
  for (int64_t k = 0; k < n; k++)
    if (!agrees(want[k], got[k], relative * (fabs(want[k]) + all) + margin * moved + least))
      return arena_print(arena, "%s[%lld] is %.17g, should be %.17g", name, (long long)k, got[k], want[k]);
  return NULL;
}

const char *random_differs(const Kit *kit, const Values *want, const Values *got, double relative,
                           const Values *shaken, double margin, double least) {
  if (want->n != got->n) return arena_print(kit->arena, "%d outputs, not %d", got->n, want->n);
  const char *differs = NULL;
  for (int i = 0; i < want->n && !differs; i++)
    differs = series_differ(kit->arena, kit->graph->outputs[i].name, want->at[i].count, want->at[i].data,
                            got->at[i].count, got->at[i].data, relative, shaken ? shaken->at[i].data : NULL, margin, least);
  return differs;
}
