/* runs.c - maps of which a thread makes a run of neighbouring elements.
 *
 * A memory is kept busy by bytes on their way: one wide load an operand brings
 * what eight threads would ask for one by one.  The elements of a run are
 * first + t, so a run is a loop nest of two: section 0 has what all of them
 * share (a row's maximum, most of the index arithmetic), and a pass goes over t.
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
  RUN_AXIS = 0,
  WITHIN_AXIS = 1,
  NO_STEP = INT32_MIN
};

/* ---- how an index moves along a run ----------------------------------------- */

/* What one step of t adds; NO_STEP where that differs. */
static int64_t step_of(const Index *x) {
  int64_t a = x->a ? step_of(x->a) : 0, b = x->b ? step_of(x->b) : 0;
  if (a == NO_STEP || b == NO_STEP) return NO_STEP;
  switch (x->kind) {
  case INDEX_CONST: return 0;
  case INDEX_AXIS: return x->axis == WITHIN_AXIS;
  case INDEX_ADD: return a + b;
  case INDEX_MUL: return a * x->value;
  case INDEX_DIV:
  case INDEX_MOD: break;
  }
  return a ? NO_STEP : 0;
}

/* Does `by` divide x, t being 0, whatever the other axes are? */
static bool is_multiple(const Index *x, int64_t by) {
  switch (x->kind) {
  case INDEX_CONST: return x->value % by == 0;
  case INDEX_AXIS: return x->axis == WITHIN_AXIS;
  case INDEX_ADD: return is_multiple(x->a, by) && is_multiple(x->b, by);
  case INDEX_MUL: return x->value % by == 0 || is_multiple(x->a, by);
  case INDEX_DIV:
  case INDEX_MOD: break;
  }
  return false;
}

const Index *index_of_run(Arena *arena, const Index *x, int run) {
  return index_add(arena, x, index_mul(arena, index_axis(arena, WITHIN_AXIS, run), -step_of(x)));
}

/* ---- the number of the run, by its first element: first = number * run ------- */

static const Index *raw(Arena *arena, IndexKind kind, const Index *a, int64_t value) {
  if (value == 1 && kind != INDEX_MOD) return a;
  Index *index = arena_alloc(arena, sizeof *index);
  *index = (Index){.kind = kind, .a = a, .value = value};
  return index;
}

/* Is it simpler when multiplied by the run? */
static bool counts_runs(const Index *x, int run) {
  switch (x->kind) {
  case INDEX_AXIS: return x->axis == RUN_AXIS;
  case INDEX_ADD: return counts_runs(x->a, run) || counts_runs(x->b, run);
  case INDEX_MUL: return x->value % run && counts_runs(x->a, run);
  case INDEX_MOD: return counts_runs(x->a, run);
  case INDEX_CONST:
  case INDEX_DIV: break;
  }
  return false;
}

/* factor * x, by first elements. */
static const Index *times(Arena *arena, const Index *x, int64_t factor, int run) {
  bool runs = x->a && counts_runs(x->a, run);
  switch (x->kind) {
  case INDEX_CONST: return index_const(arena, x->value * factor);
  case INDEX_AXIS:
    if (x->axis != RUN_AXIS) break;
    return factor % run ? raw(arena, INDEX_MUL, raw(arena, INDEX_DIV, x, run), factor)
                        : raw(arena, INDEX_MUL, x, factor / run);
  case INDEX_ADD: {
    Index *sum = arena_alloc(arena, sizeof *sum);
    *sum = (Index){.kind = INDEX_ADD, .a = times(arena, x->a, factor, run), .b = times(arena, x->b, factor, run)};
    return sum;
  }
  case INDEX_MUL: return times(arena, x->a, x->value * factor, run);
  case INDEX_DIV: {
    const Index *a = times(arena, x->a, runs ? run : 1, run);
    return raw(arena, INDEX_MUL, raw(arena, INDEX_DIV, a, runs ? x->value * run : x->value), factor);
  }
  case INDEX_MOD: {
    bool whole = runs && factor % run == 0;
    const Index *a = times(arena, x->a, whole ? run : 1, run);
    return raw(arena, INDEX_MUL, raw(arena, INDEX_MOD, a, whole ? x->value * run : x->value), whole ? factor / run : factor);
  }
  }
  return raw(arena, INDEX_MUL, x, factor);
}

const Index *index_from_first(Arena *arena, const Index *x, int run) { return times(arena, x, 1, run); }

/* ---- which maps ----------------------------------------------------------------- */

static int64_t bytes_of(const Pointer *p) { return dtype_size(p->type->dtype); }

/* Elements that are there or not as one: those behind the last axis that counts rows. */
static int64_t certain(const Kernel *k) {
  int64_t n = 1;
  for (int a = k->space.rank - 1; a >= 0 && !k->space.dim[a].rows; a--) n *= k->space.dim[a].size;
  return n;
}

/* As many elements as fill a wide load of the widest array that is read or written throughout. */
int longest_run(const Kernel *k, const KernelForm *form) {
  if (kernel_reduces(k) || k->product || k->n_loops != 1 || k->loops[0].size == 0) return 1;
  int64_t n = k->loops[0].size, widest = PACK_BYTES / LONGEST_RUN;
  for (int p = 0; p < k->n_pointers; p++)
    if (type_count(k->pointers[p].type) >= n / 2 && bytes_of(&k->pointers[p]) > widest) widest = bytes_of(&k->pointers[p]);
  int run = (int)(PACK_BYTES / widest);
  while (run > 1 && (n / run < form->busy_threads || n % run || certain(k) % run)) run /= 2;
  return run;
}

static bool is_pack(const Kernel *k, int pointer, const Index *index) {
  return k->pointers[pointer].align % k->run == 0 && step_of(index) == 1 && is_multiple(index, k->run);
}

static bool guard_moves(const Guard *guard) {
  for (; guard; guard = guard->up)
    if (step_of(guard->test) != 0) return true;
  return false;
}

/* Is every index a first one and a multiple of t?  Otherwise nothing is saved. */
static bool moves_evenly(const Value *v) {
  if (v->index && step_of(v->index) == NO_STEP) return false;
  for (const Guard *g = v->guard; g; g = g->up)
    if (step_of(g->test) == NO_STEP) return false;
  return true;
}

/* Is the row of a gather another for each element? */
static bool gathers(const Value *v) {
  for (int i = 0; i < v->n_in; i++)
    if (v->in[i]->full) return true;
  return false;
}

bool fits_runs(Kernel *k) {
  int64_t bytes = 0;
  for (int i = 0; i < k->n_values; i++) {
    Value *v = k->values[i];
    if (!moves_evenly(v)) return false;
    if (v->kind != VALUE_LOAD) continue;
    v->packed = is_pack(k, v->pointer, v->index) && !guard_moves(v->guard) && !gathers(v);
    if (v->packed) bytes += k->run * bytes_of(&k->pointers[v->pointer]);
  }
  for (int i = 0; i < k->n_stores; i++) {
    Store *s = &k->stores[i];
    s->packed = is_pack(k, s->pointer, s->index);
    if (!s->packed) return false;
    bytes += k->run * bytes_of(&k->pointers[s->pointer]);
  }
  return bytes <= 4 * MOST_REGISTERS;
}
