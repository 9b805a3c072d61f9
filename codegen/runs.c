/* runs.c - kernels of which a thread takes a run of neighbouring elements at a time.
 *
 * A memory is kept busy by bytes on their way: one wide load an operand brings
 * what eight threads would ask for one by one.  The elements of a run are
 * first + t, t being one loop more, and what does not depend on t (a row's
 * maximum, most of the index arithmetic) is computed once.
 * kernel.c builds the indices over the number of the run and t, and the index
 * algebra then shows how they depend on t: where no division has t in it, an
 * index is what it is at the first element plus a multiple of t.  If that is t
 * itself and the rest divides by the run, the run is one pack.
 */
#include "codegen/kernel.h"

enum {
  PACK_BYTES = 16, /* the widest access */
  LONGEST_RUN = 8,
  MOST_REGISTERS = 48, /* of a thread, for packs */
  NO_STEP = INT32_MIN
};

static int run_axis(const Kernel *k) { return k->by_runs; } /* the number of the run */
static int within_axis(const Kernel *k) { return k->n_loops - 1; } /* t */

/* ---- how an index moves along a run ----------------------------------------- */

/* What one step of t adds; NO_STEP where that differs. */
static int64_t step_of(const Kernel *k, const Index *x) {
  int64_t a = x->a ? step_of(k, x->a) : 0, b = x->b ? step_of(k, x->b) : 0;
  if (a == NO_STEP || b == NO_STEP) return NO_STEP;
  switch (x->kind) {
  case INDEX_CONST: return 0;
  case INDEX_AXIS: return x->axis == within_axis(k);
  case INDEX_ADD: return a + b;
  case INDEX_MUL: return a * x->value;
  case INDEX_DIV:
  case INDEX_MOD: break;
  }
  return a ? NO_STEP : 0;
}

/* Does the run divide x, t being 0, whatever the other axes are? */
static bool is_multiple(const Kernel *k, const Index *x) {
  switch (x->kind) {
  case INDEX_CONST: return x->value % k->run == 0;
  case INDEX_AXIS: return x->axis == within_axis(k);
  case INDEX_ADD: return is_multiple(k, x->a) && is_multiple(k, x->b);
  case INDEX_MUL: return x->value % k->run == 0 || is_multiple(k, x->a);
  case INDEX_DIV:
  case INDEX_MOD: break;
  }
  return false;
}

const Index *index_of_run(const Kernel *k, const Index *x) {
  return index_add(k->arena, x, index_mul(k->arena, index_axis(k->arena, within_axis(k), k->run), -step_of(k, x)));
}

/* ---- the number of the run, by its first element: first = number * run ------- */

static const Index *raw(Arena *arena, IndexKind kind, const Index *a, int64_t value) {
  if (value == 1 && kind != INDEX_MOD) return a;
  Index *index = arena_alloc(arena, sizeof *index);
  *index = (Index){.kind = kind, .a = a, .value = value};
  return index;
}

/* Is it simpler when multiplied by the run? */
static bool counts_runs(const Kernel *k, const Index *x) {
  switch (x->kind) {
  case INDEX_AXIS: return x->axis == run_axis(k);
  case INDEX_ADD: return counts_runs(k, x->a) || counts_runs(k, x->b);
  case INDEX_MUL: return x->value % k->run && counts_runs(k, x->a);
  case INDEX_MOD: return counts_runs(k, x->a);
  case INDEX_CONST:
  case INDEX_DIV: break;
  }
  return false;
}

/* factor * x, by first elements. */
static const Index *times(const Kernel *k, const Index *x, int64_t factor) {
  Arena *arena = k->arena;
  int run = k->run;
  bool runs = x->a && counts_runs(k, x->a);
  switch (x->kind) {
  case INDEX_CONST: return index_const(arena, x->value * factor);
  case INDEX_AXIS:
    if (x->axis != run_axis(k)) break;
    return factor % run ? raw(arena, INDEX_MUL, raw(arena, INDEX_DIV, x, run), factor)
                        : raw(arena, INDEX_MUL, x, factor / run);
  case INDEX_ADD: {
    Index *sum = arena_alloc(arena, sizeof *sum);
    *sum = (Index){.kind = INDEX_ADD, .a = times(k, x->a, factor), .b = times(k, x->b, factor)};
    return sum;
  }
  case INDEX_MUL: return times(k, x->a, x->value * factor);
  case INDEX_DIV: {
    const Index *a = times(k, x->a, runs ? run : 1);
    return raw(arena, INDEX_MUL, raw(arena, INDEX_DIV, a, runs ? x->value * run : x->value), factor);
  }
  case INDEX_MOD: {
    bool whole = runs && factor % run == 0;
    const Index *a = times(k, x->a, whole ? run : 1);
    return raw(arena, INDEX_MUL, raw(arena, INDEX_MOD, a, whole ? x->value * run : x->value),
               whole ? factor / run : factor);
  }
  }
  return raw(arena, INDEX_MUL, x, factor);
}

const Index *index_from_first(const Kernel *k, const Index *x) { return times(k, x, 1); }

/* ---- how long ----------------------------------------------------------------- */

static int64_t bytes_of(const Pointer *p) { return dtype_size(p->type->dtype); }

/* As many elements as fill a wide access of the widest array that is read or written throughout. */
static int fitting(const Kernel *k) {
  int64_t most = type_count(&k->space), widest = PACK_BYTES / LONGEST_RUN;
  for (int p = 0; p < k->n_pointers; p++)
    if (type_count(k->pointers[p].type) >= most / 2 && bytes_of(&k->pointers[p]) > widest)
      widest = bytes_of(&k->pointers[p]);
  return (int)(PACK_BYTES / widest);
}

/* Elements that are there or not as one: those behind the last axis that counts rows. */
static int64_t certain(const Kernel *k) {
  int64_t n = 1;
  for (int a = k->space.rank - 1; a >= 0 && !k->space.dim[a].rows; a--) n *= k->space.dim[a].size;
  return n;
}

int run_of_map(const Kernel *k, const KernelForm *form) {
  if (k->product || k->n_loops != 1 || k->loops[0].size == 0) return 1;
  int64_t n = k->loops[0].size;
  int run = fitting(k);
  while (run > 1 && (n / run < form->busy_threads || n % run || certain(k) % run)) run /= 2;
  return run;
}

int run_of_rows(const Kernel *k, int threads, bool exact) {
  const Loop *loop = &k->loops[k->n_loops - 1];
  for (int i = 0; i < loop->n; i++)
    if (k->space.dim[loop->member[i]].rows) return 1;
  for (int i = 0; i < k->n_values; i++)
    if (k->values[i]->node->op == OP_argmax || k->values[i]->node->op == OP_argmin) return 1;
  bool whole = exact || loop->n != 1; /* indices of several axes would go astray past the end */
  int run = fitting(k);
  while (run > 1 && (loop->size < threads * run || (whole && loop->size % (exact ? threads * run : run)))) run /= 2;
  return run;
}

int run_of_columns(const Kernel *k, const KernelForm *form) {
  enum { ROWS_AT_LEAST = 4, MOST = 4 };
  const Loop *loop = &k->loops[0];
  int64_t n = 1;
  for (int i = loop->n - 1; i >= 0 && !k->space.dim[loop->member[i]].rows; i--) n *= k->space.dim[loop->member[i]].size;
  int run = fitting(k) < MOST ? fitting(k) : MOST;
  while (run > 1 && (n % run || type_count(&k->space) / (run * ROWS_AT_LEAST) < form->busy_threads)) run /= 2;
  return run;
}

bool overhangs(const Kernel *k) { return k->run > 1 && k->loops[run_axis(k)].size % k->run; }

/* ---- what is packed ------------------------------------------------------------- */

static bool is_pack(const Kernel *k, int pointer, const Index *index) {
  const Pointer *p = &k->pointers[pointer];
  if (p->align % k->run || step_of(k, index) != 1 || !is_multiple(k, index)) return false;
  return !overhangs(k) || (index->low >= 0 && index->low + index->extent <= type_count(p->type));
}

static bool guard_moves(const Kernel *k, const Guard *guard) {
  for (; guard; guard = guard->up)
    if (step_of(k, guard->test) != 0) return true;
  return false;
}

/* Is every index a first one and a multiple of t?  Otherwise nothing is saved. */
static bool moves_evenly(const Kernel *k, const Value *v) {
  if (v->index && step_of(k, v->index) == NO_STEP) return false;
  for (const Guard *g = v->guard; g; g = g->up)
    if (step_of(k, g->test) == NO_STEP) return false;
  return true;
}

/* Is the row of a gather another for each element? */
static bool gathers(const Value *v) {
  for (int i = 0; i < v->n_in; i++)
    if (v->in[i]->full) return true;
  return false;
}

/* Columns: sums alone are kept for each of a run; what they read is loaded, or made where it is read. */
static bool keeps_sums_only(Kernel *k) {
  for (int i = 0; i < k->n_values; i++) {
    Value *v = k->values[i];
    if (v->kind == VALUE_REDUCE && v->node->op != OP_sum) return false;
    if (v->named && v->kind != VALUE_REDUCE && !v->packed) return false;
  }
  for (int i = 0; i < k->n_values; i++) k->values[i]->named &= !k->values[i]->packed;
  return true;
}

bool fits_runs(Kernel *k) {
  int64_t bytes = 0;
  for (int i = 0; i < k->n_values; i++) {
    Value *v = k->values[i];
    if (!moves_evenly(k, v)) return false;
    if (v->kind != VALUE_LOAD) continue;
    v->packed = is_pack(k, v->pointer, v->index) && !guard_moves(k, v->guard) && !gathers(v);
    if (v->packed) bytes += k->run * bytes_of(&k->pointers[v->pointer]);
  }
  for (int i = 0; i < k->n_stores; i++) {
    Store *s = &k->stores[i];
    if (!s->full) continue;
    s->packed = !overhangs(k) && is_pack(k, s->pointer, s->index);
    if (!s->packed) return false;
    bytes += k->run * bytes_of(&k->pointers[s->pointer]);
  }
  if (k->by_runs == 0 && kernel_reduces(k) && !k->loops[0].inner && !keeps_sums_only(k)) return false;
  return bytes > 0 && bytes <= 4 * MOST_REGISTERS;
}
