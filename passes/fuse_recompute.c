/* fuse_recompute.c - make a value again instead of storing it.
 *
 * A value made by one kernel and read by another crosses memory twice.  Where
 * the reader holds what the value is made of, or can load it for less, it is
 * cheaper to repeat the arithmetic: the backward of layer norm rebuilds the
 * normalised row from x and two numbers a row.  Values are taken last to
 * first, so that what a recomputed value needs is decided after it.
 *
 * For each value two plans are costed: stop at whatever is in memory now
 * (shallow), or walk back to what must be there anyway (deep).  Reductions,
 * matmuls and gathers are never repeated; a per-row statistic that only the
 * producer held becomes one more, small, output of it.  A value that is read
 * at several places (x[i], x[i - 1]) is made for each of them, and so is what
 * it is made of: a chain of such steps doubles with each, and is cut in time.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/cost.h"
#include "passes/fuse.h"

enum { MAX_CLONES = 48, MAX_COPIES = 4 };

/* How kernel `k` would make value `value` for itself. */
typedef struct Remake {
  int k;
  bool deep;
  int n_clones, n_loads, n_stores;
  int clone[MAX_CLONES], load[MAX_CLONES], store[MAX_CLONES]; /* store: values that only now must be in memory */
} Remake;

static bool have(const int *list, int n, int id) {
  for (int i = 0; i < n; i++)
    if (list[i] == id) return true;
  return false;
}

static bool add_load(Fusion *f, Remake *r, int id) {
  if (ints_have(&f->kernels[r->k].loads, id) || have(r->load, r->n_loads, id)) return true;
  if (r->n_loads == MAX_CLONES) return false;
  r->load[r->n_loads++] = id;
  if (!fuse_is_member(f, id) || fuse_is_stored(f, id, -1, -1)) return true;
  if (r->n_stores == MAX_CLONES) return false;
  r->store[r->n_stores++] = id;
  return true;
}

/* A value a row: reading it is next to nothing, and its maker has it. */
static bool is_statistic(const Fusion *f, const Kernel *k, const Node *x) {
  return f->n_uses[x->id] > 0 && type_count(&x->type) * 16 <= type_count(k->space);
}

static bool remake(Fusion *f, Remake *r, const Node *x, bool top) {
  int id = x->id;
  Kind kind = op_info[x->op].kind;
  const Kernel *k = &f->kernels[r->k];
  if (fuse_is_known(x)) return true;
  if (kind == LEAF) return add_load(f, r, id);
  if (kind != VIEW && !f->trivial[id]) {
    if (!top && (ints_have(&k->loads, id) || ints_have(&k->clones, id) || have(r->clone, r->n_clones, id))) return true;
    if (ints_have(&k->members, id)) return false; /* cannot be upstream of itself */
    if (kind != MAP && kind != RANDOM) return add_load(f, r, id);
    bool here = r->deep ? f->must_store[id] : fuse_is_stored(f, id, -1, -1);
    if (!top && (here || is_statistic(f, k, x))) return add_load(f, r, id);
    if (r->n_clones == MAX_CLONES) return false;
    r->clone[r->n_clones++] = id;
  }
  for (int i = 0; i < x->n_in; i++)
    if (!remake(f, r, x->in[i], false)) return false;
  return true;
}

static void insert(Fusion *f, Ints *list, int id) {
  if (ints_have(list, id)) return;
  ints_push(f->arena, list, id);
  for (int i = list->n - 1; i > 0 && list->at[i - 1] > list->at[i]; i--) {
    int swap = list->at[i];
    list->at[i] = list->at[i - 1], list->at[i - 1] = swap;
  }
}

static bool moves(const Node *view) {
  return view->op == OP_slice || view->op == OP_pad || view->op == OP_transpose || view->op == OP_skew || view->op == OP_unskew;
}

static int last_first(const void *a, const void *b) { return *(const int *)b - *(const int *)a; }

/* At how many places x is made: once for all readers at its own place, and once more for each view that moves. */
static int copies_of(const Fusion *f, int id) {
  int copies = f->mark[id] + f->moved[id];
  return copies ? copies : 1;
}

/* Is a value that the kernel clones, or would, made at too many places of it? */
static bool too_often(Fusion *f, const Remake *r) {
  Kernel k = f->kernels[r->k];
  Ints stores = fuse_stores(f, r->k), none = {0};
  k.clones = ints_union(f->arena, &k.clones, &none);
  for (int i = 0; i < r->n_clones; i++) insert(f, &k.clones, r->clone[i]);
  int n = fuse_body(f, &k, &stores, f->order);
  qsort(f->order, (size_t)n, sizeof *f->order, last_first); /* readers before what they read */
  for (int i = 0; i < n; i++) f->mark[f->order[i]] = f->moved[f->order[i]] = 0;
  for (int i = 0; i < n; i++) {
    const Node *x = f->node[f->order[i]];
    int copies = copies_of(f, x->id);
    if (!fuse_is_inside(f, &k, x->id)) continue;
    if (copies > MAX_COPIES && ints_have(&k.clones, x->id)) return true;
    for (int o = 0; o < x->n_in; o++) {
      int in = x->in[o]->id;
      if (moves(x)) f->moved[in] += copies;
      else if (f->mark[in] < copies) f->mark[in] = copies;
    }
  }
  return false;
}

/* The model hides arithmetic behind memory traffic, which is right for work
 * that must be done.  Work that could be saved is counted in full: a row
 * kernel repeats some of it in each of its passes, and its barriers keep the
 * two from overlapping quite. */

/* Seconds kernel r->k takes more (less: negative) when it makes `value`
 * itself; the stores this adds elsewhere are counted too. */
static bool remake_cost(Fusion *f, Remake *r, int value, double *seconds) {
  const Kernel *k = &f->kernels[r->k];
  Traffic before = fuse_traffic(f, r->k, -1), after = before;
  double flops = k->flops, specials = k->specials;
  int64_t space = type_count(k->space);
  after.read -= fuse_node_bytes(f, value);
  after.loads--;
  after.full_loads -= type_count(&f->node[value]->type) >= space;
  for (int i = 0; i < r->n_loads; i++) {
    after.read += fuse_node_bytes(f, r->load[i]);
    after.loads++;
    after.full_loads += type_count(&f->node[r->load[i]]->type) >= space;
  }
  for (int i = 0; i < r->n_clones; i++)
    fuse_node_work(f, r->clone[i], fuse_elements(f, k, r->clone[i]), &flops, &specials);
  if (k->members.n + k->clones.n + r->n_clones > MAX_MEMBERS || after.loads > MAX_LOADS) return false;
  if (k->n_axes && after.full_loads > before.full_loads && after.full_loads + after.full_stores > MAX_FULL) return false;
  *seconds = fuse_time(k, &after, 0, 0) - fuse_time(k, &before, 0, 0) + fuse_work_time(flops - k->flops, specials - k->specials);
  for (int i = 0; i < r->n_stores; i++) {
    int owner = fuse_owner(f, r->store[i]);
    Traffic t = fuse_traffic(f, owner, -1), more = t;
    if (t.stores + r->n_stores > MAX_OUTPUTS) return false;
    more.written += fuse_node_bytes(f, r->store[i]);
    const Kernel *o = &f->kernels[owner];
    *seconds += fuse_time(o, &more, 0, 0) - fuse_time(o, &t, 0, 0);
  }
  return true;
}

/* Does a plan store something more of kernel `owner`? */
static bool stores_more(Fusion *f, const Remake *readers, int n, int owner) {
  for (int i = 0; i < n; i++)
    for (int s = 0; s < readers[i].n_stores; s++)
      if (fuse_owner(f, readers[i].store[s]) == owner) return true;
  return false;
}

/* A map that a small product would move into is there to stay (fuse_epilogue.c). */
static bool takes_product(const Fusion *f, const Kernel *k) {
  for (int i = 0; i < k->loads.n; i++)
    if (fuse_is_small_product(f->node[k->loads.at[i]])) return true;
  return false;
}

/* What the producer saves when nobody reads the value any more.  One that is mostly launch and stores nothing else need
 * not begin; of a large one what it reads counts for more, which its readers may read in an order that memory likes less. */
static double store_cost(Fusion *f, int value, const Remake *readers, int n) {
  if (f->must_store[value]) return 0;
  int owner = fuse_owner(f, value);
  const Kernel *k = &f->kernels[owner];
  Traffic t = fuse_traffic(f, owner, -1), less = t;
  less.written -= fuse_node_bytes(f, value);
  double saved = fuse_time(k, &t, 0, 0) - fuse_time(k, &less, 0, 0);
  bool goes = t.stores == 1 && fuse_cost(f, owner) < FUSE_SMALL && !takes_product(f, k) && !stores_more(f, readers, n, owner);
  return goes ? saved + gpu_rates.launch : saved;
}

static void apply(Fusion *f, const Remake *r, int value) {
  Kernel *k = &f->kernels[r->k];
  for (int i = 0; i < k->loads.n; i++)
    if (k->loads.at[i] == value) {
      memmove(k->loads.at + i, k->loads.at + i + 1, (size_t)(k->loads.n - i - 1) * sizeof *k->loads.at);
      k->loads.n--;
      break;
    }
  for (int i = 0; i < r->n_clones; i++) {
    insert(f, &k->clones, r->clone[i]);
    fuse_node_work(f, r->clone[i], fuse_elements(f, k, r->clone[i]), &k->flops, &k->specials);
  }
  for (int i = 0; i < r->n_loads; i++) {
    insert(f, &k->loads, r->load[i]);
    ints_push(f->arena, &f->readers[r->load[i]], r->k);
  }
  k->version++;
}

/* A kernel whose reductions are all gone is a map, where its values have one shape. */
static void settle_pattern(Fusion *f, Kernel *k, const Ints *stores) {
  for (int i = 0; i < k->members.n; i++)
    if (op_info[f->node[k->members.at[i]]->op].kind == REDUCE) return;
  for (int i = 0; i < stores->n; i++)
    if (!type_same_shape(&f->node[stores->at[i]]->type, &f->node[stores->at[0]]->type)) return;
  if (!k->n_axes || !stores->n) return;
  k->space = &f->node[stores->at[0]]->type;
  k->n_axes = 0;
  k->pattern = PATTERN_MAP;
}

/* A value is stored no more: drop from its kernel what only it needed, and
 * from the kernels above what only that needed. */
static void refresh(Fusion *f, int root) {
  Kernel *k = &f->kernels[root];
  if (k->fixed) return;
  Ints stores = fuse_stores(f, root), loads = k->loads, members = {0}, clones = {0};
  fuse_body(f, k, &stores, f->order);
  k->loads = (Ints){0};
  k->flops = k->specials = 0;
  for (int i = 0; i < loads.n; i++)
    if (f->stamp[loads.at[i]] == f->now) ints_push(f->arena, &k->loads, loads.at[i]);
  for (int i = 0; i < k->members.n; i++) {
    int id = k->members.at[i];
    if (f->stamp[id] != f->now) continue;
    ints_push(f->arena, &members, id);
    const Type *space = op_info[f->node[id]->op].kind == REDUCE ? k->space : &f->node[id]->type;
    fuse_node_work(f, id, (double)type_count(space), &k->flops, &k->specials);
  }
  for (int i = 0; i < k->clones.n; i++) {
    if (f->stamp[k->clones.at[i]] != f->now) continue;
    ints_push(f->arena, &clones, k->clones.at[i]);
    fuse_node_work(f, k->clones.at[i], fuse_elements(f, k, k->clones.at[i]), &k->flops, &k->specials);
  }
  k->members = members;
  k->clones = clones;
  settle_pattern(f, k, &stores);
  k->version++;
  for (int i = 0; i < loads.n; i++)
    if (!ints_have(&k->loads, loads.at[i]) && fuse_is_member(f, loads.at[i])) refresh(f, fuse_owner(f, loads.at[i]));
}

/* The kernels that read a value, each once. */
static int find_readers(Fusion *f, int value, Remake *list, int most) {
  int n = 0;
  const Ints *readers = &f->readers[value];
  for (int i = 0; i < readers->n; i++) {
    int k = fuse_owner(f, readers->at[i]);
    bool again = false;
    for (int r = 0; r < n; r++) again |= list[r].k == k;
    if (again || !ints_have(&f->kernels[k].loads, value)) continue;
    if (n == most) return most + 1;
    list[n++] = (Remake){.k = k};
  }
  return n;
}

/* The better plan of the two for one reader. */
static bool plan_reader(Fusion *f, Remake *r, int value, double *seconds) {
  Remake deep = {.k = r->k, .deep = true};
  double deep_seconds = 0;
  if (fuse_is_bare(f, &f->kernels[r->k])) return false;
  bool ok = remake(f, r, f->node[value], true) && !too_often(f, r) && remake_cost(f, r, value, seconds);
  bool deep_ok = remake(f, &deep, f->node[value], true) && !too_often(f, &deep) && remake_cost(f, &deep, value, &deep_seconds);
  if (deep_ok && (!ok || deep_seconds < *seconds)) *r = deep, *seconds = deep_seconds;
  return ok || deep_ok;
}

static void trace_choice(const Fusion *f, int value, int readers, double seconds, bool taken) {
  if (!f->context->trace) return;
  fprintf(f->context->trace, "fuse: %srecompute %s in %d kernel%s (%+.2f us)\n", taken ? "" : "not taken: ", f->node[value]->name,
          readers, readers == 1 ? "" : "s", seconds * 1e6);
}

/* Equal times, as in small models where all is launch: fewer bytes decide,
 * through a gain too small to turn any other choice. */
#define EPSILON 1e-12

static void consider(Fusion *f, int value) {
  enum { MOST = 16 };
  Remake readers[MOST + 1] = {0};
  double seconds[MOST], total = 0;
  int n = find_readers(f, value, readers, MOST), able = 0;
  if (n == 0 || n > MOST) return;
  for (int i = 0; i < n; i++) {
    if (plan_reader(f, &readers[i], value, &seconds[i])) able++, total += seconds[i];
    else readers[i].k = -1;
  }
  total -= store_cost(f, value, readers, n);
  bool all = able == n && total < -EPSILON;
  if (all && rewrite_allowed(f->context, "fuse.recompute", f->node[value])) {
    for (int i = 0; i < n; i++) apply(f, &readers[i], value);
    refresh(f, fuse_owner(f, value));
    trace_choice(f, value, n, total, true);
    return;
  }
  for (int i = 0; i < n; i++) {
    if (readers[i].k < 0) continue;
    bool taken = seconds[i] < -EPSILON && rewrite_allowed(f->context, "fuse.recompute", f->node[value]);
    if (taken) apply(f, &readers[i], value);
    trace_choice(f, value, 1, all ? total : seconds[i], taken);
  }
}

void fuse_recompute(Fusion *f) {
  for (int id = f->n - 1; id >= 0; id--) {
    Kind kind = op_info[f->node[id]->op].kind;
    if ((kind != MAP && kind != RANDOM) || f->trivial[id] || f->table[id] || f->by_bits[id]) continue;
    if (fuse_is_stored(f, id, fuse_owner(f, id), -1)) consider(f, id);
  }
}
