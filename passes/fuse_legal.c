/* fuse_legal.c - may two kernels be one?
 *
 * One kernel walks one iteration space.  Each member is full (an element for
 * each point of the space) or reduced (the space less the reduced axes), and
 * reads the other members where it stands itself: an elementwise value at the
 * same point, a reduced one at the outer index.  A row kernel finishes its
 * reductions row by row, so full values may depend on them; a column kernel
 * only has them at the end.  And no value may leave the kernel, pass through
 * another one and come back.
 */
#include <string.h>

#include "passes/fuse.h"

typedef enum Place { PLACE_NONE, PLACE_FULL, PLACE_REDUCED } Place;
typedef struct Placed {
  Place place;
  int8_t axis[MAX_RANK]; /* of the value: the axis of the space */
} Placed;

static bool is_reduced_axis(const Kernel *k, int axis) {
  for (int i = 0; i < k->n_axes; i++)
    if (k->axes[i] == axis) return true;
  return false;
}

static bool same_dim(const Dim *a, const Dim *b) { return a->size == b->size && a->rows == b->rows; }

static Placed place_of(const Kernel *k, const Type *t) {
  Placed p = {PLACE_NONE, {0}};
  const Type *space = k->space;
  if (type_same_shape(t, space)) {
    for (int a = 0; a < t->rank; a++) p.axis[a] = (int8_t)a;
    p.place = PLACE_FULL;
    return p;
  }
  if (!k->n_axes) return p;
  bool kept = t->rank == space->rank, dropped = t->rank == space->rank - k->n_axes;
  for (int a = 0, outer = 0; a < space->rank && (kept || dropped); a++) {
    bool reduced = is_reduced_axis(k, a);
    if (kept) kept = reduced ? t->dim[a].size == 1 && !t->dim[a].rows : same_dim(&t->dim[a], &space->dim[a]);
    if (dropped && !reduced) dropped = same_dim(&t->dim[outer], &space->dim[a]);
    outer += !reduced;
  }
  if (kept)
    for (int a = 0; a < t->rank; a++) p.axis[a] = (int8_t)a;
  else if (dropped)
    for (int a = 0, outer = 0; a < space->rank; a++)
      if (!is_reduced_axis(k, a)) p.axis[outer++] = (int8_t)a;
  if (kept || dropped) p.place = PLACE_REDUCED;
  return p;
}

bool fuse_join_space(const Kernel *a, const Kernel *b, Kernel *joined) {
  const Kernel *wide = a->n_axes ? a : b, *other = a->n_axes ? b : a;
  *joined = (Kernel){.space = wide->space, .n_axes = wide->n_axes, .pattern = wide->pattern};
  memcpy(joined->axes, wide->axes, sizeof joined->axes);
  if (other->n_axes)
    return type_same_shape(a->space, b->space) && a->n_axes == b->n_axes &&
           !memcmp(a->axes, b->axes, (size_t)a->n_axes * sizeof *a->axes);
  return place_of(joined, other->space).place != PLACE_NONE;
}

/* Members and clones of the kernel that a and b would make. */
enum { MAX_BODY = 2 * MAX_MEMBERS };
typedef struct Joined {
  Fusion *f;
  const Kernel *k;
  int n;
  int id[MAX_BODY];
  Placed placed[MAX_BODY];
  bool clone[MAX_BODY], loose[MAX_BODY]; /* loose: read elsewhere than where the kernel stands */
  int phase[MAX_BODY];                   /* reductions that must be finished first */
} Joined;

/* Four ascending lists into one; members win over clones. */
static bool gather_body(Joined *j, const Kernel *a, const Kernel *b) {
  const Ints *lists[4] = {&a->members, &b->members, &a->clones, &b->clones};
  int at[4] = {0};
  for (;;) {
    int next = -1, from = 0;
    for (int l = 0; l < 4; l++)
      if (at[l] < lists[l]->n && (next < 0 || lists[l]->at[at[l]] < next)) next = lists[l]->at[at[l]], from = l;
    if (next < 0) return true;
    for (int l = 0; l < 4; l++)
      if (at[l] < lists[l]->n && lists[l]->at[at[l]] == next) at[l]++;
    if (j->n == MAX_BODY) return false;
    j->id[j->n] = next;
    j->clone[j->n] = from >= 2;
    j->loose[j->n] = false;
    j->placed[j->n] = place_of(j->k, &j->f->node[next]->type);
    j->n++;
  }
}

static int position(const Joined *j, int id) { return j->f->stamp[id] == j->f->now ? j->f->mark[id] : -1; }

/* Does reader i find the base of this use where it stands itself? */
static bool is_aligned(const Joined *j, int i, const Use *use, int base) {
  const Node *reader = j->f->node[j->id[i]], *value = j->f->node[use->base];
  bool reduces = op_info[reader->op].kind == REDUCE;
  if (use->padded || j->placed[base].place == PLACE_NONE) return false;
  for (int a = 0; a < value->type.rank; a++) {
    if (value->type.dim[a].size == 1) continue;
    int reader_axis = use->axis[a];
    if (reader_axis < 0) return false;
    int space_axis = reduces ? reader_axis : j->placed[i].axis[reader_axis];
    if (space_axis != j->placed[base].axis[a]) return false;
  }
  return true;
}

/* Consumers before producers: whatever is read elsewhere must be recomputed
 * there from memory alone. */
static const char *check_alignment(Joined *j) {
  for (int i = j->n - 1; i >= 0; i--) {
    if (j->placed[i].place == PLACE_NONE) {
      if (!j->clone[i]) return "the iteration spaces differ";
      j->loose[i] = true;
    }
    for (int u = 0; u < j->f->n_uses[j->id[i]]; u++) {
      const Use *use = &j->f->uses[j->id[i]][u];
      int base = position(j, use->base);
      if (base >= 0 && fuse_must_load(j->f, j->f->node[j->id[i]], use->base)) return "a value must be read from memory";
      if (base < 0 || (!j->loose[i] && is_aligned(j, i, use, base))) continue;
      if (!j->clone[base]) return "a value is read at another index than it is made";
      j->loose[base] = true;
    }
  }
  return NULL;
}

/* A long chain of reductions holds many values of a row at once, each in a few
 * registers of every thread, until one block fills a multiprocessor and nothing
 * hides its barriers.  Making a chain longer is worth it where at least two
 * full values need not be stored; for less, one pass over the row more costs
 * less (measured on chains of norms). */
static int phases_allowed(Fusion *f, int a, int b) {
  int saved = fuse_traffic(f, a, -1).full_stores + fuse_traffic(f, b, -1).full_stores - fuse_traffic(f, a, b).full_stores;
  if (saved >= 2) return MAX_PHASES;
  int longer = f->kernels[a].phases > f->kernels[b].phases ? f->kernels[a].phases : f->kernels[b].phases;
  return longer > GOOD_PHASES ? longer : GOOD_PHASES;
}

static const char *check_phases(Joined *j, int most) {
  bool column = j->k->n_axes && j->k->pattern == PATTERN_COLUMN;
  int phases = 0;
  for (int i = 0; i < j->n; i++) {
    bool reduces = op_info[j->f->node[j->id[i]]->op].kind == REDUCE;
    j->phase[i] = 0;
    for (int u = 0; u < j->f->n_uses[j->id[i]]; u++) {
      int base = position(j, j->f->uses[j->id[i]][u].base);
      if (base >= 0 && j->phase[base] > j->phase[i]) j->phase[i] = j->phase[base];
    }
    if (column && j->phase[i] > 0 && (reduces || j->placed[i].place == PLACE_FULL))
      return "a column's reduction is finished only at the end";
    j->phase[i] += reduces;
    if (j->phase[i] > phases) phases = j->phase[i];
  }
  j->f->phases = phases;
  return phases > most ? "too many reductions in sequence" : NULL;
}

static const char *check_limits(Joined *j, int a, int b) {
  Traffic t = fuse_traffic(j->f, a, b);
  int members = j->f->kernels[a].members.n + j->f->kernels[b].members.n;
  if (members > MAX_MEMBERS) return "too many nodes";
  if (t.stores > MAX_OUTPUTS) return "too many outputs";
  if (t.loads > MAX_LOADS) return "too many inputs";
  if (!j->k->n_axes) return NULL;
  if (j->k->pattern == PATTERN_COLUMN && t.full_stores) return "a column kernel stores reduced values only";
  if (t.full_loads + t.full_stores > MAX_FULL) return "too many full-size inputs and outputs";
  return NULL;
}

/* What is computed again is so late that its first result need not be kept: together with what came long before it,
 * it would be there too early. */
static bool is_too_early(const Fusion *f, const Kernel *a, const Kernel *b) {
  if (a->run == b->run) return false;
  if (a->run && b->run) return true;
  const Kernel *late = a->run ? a : b, *other = a->run ? b : a;
  return other->members.n > 0 && other->members.at[0] < f->run_begin[late->run];
}

const char *fuse_illegal(Fusion *f, int a, int b) {
  Kernel space;
  if (is_too_early(f, &f->kernels[a], &f->kernels[b])) return "one is computed again later";
  if (!fuse_join_space(&f->kernels[a], &f->kernels[b], &space)) return "the iteration spaces differ";
  Joined joined, *j = &joined; /* large: only what is used is set */
  j->f = f, j->k = &space, j->n = 0;
  const char *why = check_limits(j, a, b);
  if (why) return why;
  if (!gather_body(j, &f->kernels[a], &f->kernels[b])) return "too many nodes";
  f->now++;
  for (int i = 0; i < j->n; i++) f->stamp[j->id[i]] = f->now, f->mark[j->id[i]] = i;
  why = check_alignment(j);
  return why ? why : check_phases(j, phases_allowed(f, a, b));
}

/* -- cycles ----------------------------------------------------------------- */

enum { SEARCH_LIMIT = 400 };

typedef struct Search {
  int n;
  int at[SEARCH_LIMIT];
} Search;

/* Kernels that read what k makes and could lead to `target`; false: found it, or gave up. */
static bool visit_readers(Fusion *f, Search *search, int k, int target, bool direct_allowed) {
  const Ints *members = &f->kernels[k].members;
  for (int m = 0; m < members->n; m++) {
    const Ints *readers = &f->readers[members->at[m]];
    for (int r = 0; r < readers->n; r++) {
      int reader = fuse_owner(f, readers->at[r]);
      if (reader == k || f->stamp[reader] == f->now) continue;
      if (!ints_have(&f->kernels[reader].loads, members->at[m])) continue;
      if (reader == target) {
        if (direct_allowed) continue;
        return false;
      }
      if (f->kernels[reader].label >= f->kernels[target].label) continue;
      if (search->n == SEARCH_LIMIT) return false;
      f->stamp[reader] = f->now;
      search->at[search->n++] = reader;
    }
  }
  return true;
}

/* Would merging a and b close a cycle: is there a way from one to the other
 * through a third?  Labels grow along every edge, so only kernels labelled
 * between the two can lie on it.  A search that grows long is given up and
 * answered yes, which keeps the pass linear. */
bool fuse_makes_cycle(Fusion *f, int a, int b) {
  if (f->kernels[a].label > f->kernels[b].label) {
    int swap = a;
    a = b, b = swap;
  }
  Search search = {.n = 0};
  f->now++;
  f->stamp[a] = f->now;
  if (!visit_readers(f, &search, a, b, true)) return true;
  for (int i = 0; i < search.n; i++)
    if (!visit_readers(f, &search, search.at[i], b, false)) return true;
  return false;
}
