/* compare.c - are two runs of a program the same? */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/random/random.h"

Values random_values(Kit *kit, const EvaluateOptions *options, double noise) {
  Binding *bindings = calloc((size_t)kit->n_leaves + 1, sizeof *bindings);
  for (int i = 0; i < kit->n_leaves; i++) {
    const Leaf *leaf = &kit->leaves[i];
    double *data = malloc(((size_t)leaf->count + 1) * sizeof *data);
    bool moves = noise != 0 && dtype_is_float(leaf->node->type.dtype);
    for (int64_t k = 0; k < leaf->count; k++) data[k] = leaf->data[k] * (moves ? 1 + (k % 2 ? noise : -noise) : 1);
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

static double largest(const Tensor *t) {
  double most = 0;
  for (int64_t i = 0; i < t->count; i++)
    if (isfinite(t->data[i])) most = fmax(most, fabs(t->data[i]));
  return most;
}

/* How far rounding may move an element: the worst of the tensor, for it need not be the same element that moves. */
static double play(const Tensor *want, const Tensor *shaken) {
  double most = 0;
  for (int64_t i = 0; i < want->count; i++) {
    double move = fabs(want->data[i] - shaken->data[i]);
    if (isfinite(want->data[i]) != isfinite(shaken->data[i])) return INFINITY;
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

const char *random_differs(const Kit *kit, const Values *want, const Values *got, double relative,
                           const Values *shaken, double margin) {
  if (want->n != got->n) return arena_print(kit->arena, "%d outputs, and %d", want->n, got->n);
  for (int i = 0; i < want->n; i++) {
    const Tensor *w = &want->at[i], *g = &got->at[i];
    const char *name = kit->graph->outputs[i].name;
    if (w->count != g->count)
      return arena_print(kit->arena, "%s has %lld elements, and %lld", name, (long long)w->count, (long long)g->count);
    double moved = shaken ? play(w, &shaken->at[i]) : 0, all = largest(w);
    if (isinf(moved)) continue; /* it hangs on the last bit: nothing can be said */
    for (int64_t k = 0; k < w->count; k++)
      if (!agrees(w->data[k], g->data[k], relative * (fabs(w->data[k]) + all) + margin * moved))
        return arena_print(kit->arena, "%s[%lld] is %.17g, should be %.17g", name, (long long)k, g->data[k],
                           w->data[k]);
  }
  return NULL;
}
