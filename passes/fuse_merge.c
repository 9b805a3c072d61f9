/* fuse_merge.c - merge kernels while the model says it pays.
 *
 * First along the edges from producer to consumer, the greatest saving first:
 * that grows a softmax or a norm together before it looks at the neighbours.
 * (A mean's division, a norm's rsqrt save next to nothing by themselves, but
 * until they are one with their sum they stand between it and what reads it:
 * they go before all else.)  Then kernels that read the same values side by
 * side.  Every merge asks rewrite_allowed, so --bisect-limit can stop at any
 * of them, and what was not taken is traced with its figures.
 */
#include <string.h>

#include "passes/fuse.h"

/* Raise the labels of whatever reads k until they grow along every edge again. */
static void raise_readers(Fusion *f, int k) {
  Ints stack = {0};
  ints_push(f->arena, &stack, k);
  while (stack.n) {
    int from = stack.at[--stack.n];
    const Ints *members = &f->kernels[from].members;
    for (int m = 0; m < members->n; m++) {
      const Ints *readers = &f->readers[members->at[m]];
      for (int r = 0; r < readers->n; r++) {
        int reader = fuse_owner(f, readers->at[r]);
        if (reader == from || f->kernels[reader].label > f->kernels[from].label) continue;
        if (!ints_have(&f->kernels[reader].loads, members->at[m])) continue;
        f->kernels[reader].label = f->kernels[from].label + 1;
        ints_push(f->arena, &stack, reader);
      }
    }
  }
}

static Ints without(Arena *arena, const Ints *list, const Ints *gone) {
  Ints result = {0};
  for (int i = 0; i < list->n; i++)
    if (!ints_have(gone, list->at[i])) ints_push(arena, &result, list->at[i]);
  return result;
}

static int merge(Fusion *f, int a, int b) {
  Kernel *ka = &f->kernels[a], *kb = &f->kernels[b], joined;
  fuse_join_space(ka, kb, &joined);
  joined.members = ints_union(f->arena, &ka->members, &kb->members);
  Ints clones = ints_union(f->arena, &ka->clones, &kb->clones), loads = ints_union(f->arena, &ka->loads, &kb->loads);
  joined.clones = without(f->arena, &clones, &joined.members);
  joined.loads = without(f->arena, &loads, &joined.members);
  joined.flops = ka->flops + kb->flops;
  joined.specials = ka->specials + kb->specials;
  joined.alone = ka->alone + kb->alone;
  joined.phases = f->phases;
  joined.run = ka->run > kb->run ? ka->run : kb->run;
  joined.label = ka->label > kb->label ? ka->label : kb->label;
  joined.version = (ka->version > kb->version ? ka->version : kb->version) + 1;
  int root = a < b ? a : b, other = a < b ? b : a;
  f->owner[other] = root;
  f->kernels[root] = joined;
  for (int i = 0; i < joined.loads.n; i++) ints_push(f->arena, &f->readers[joined.loads.at[i]], root);
  raise_readers(f, root);
  return root;
}

static const Node *face(const Fusion *f, int k) { return f->node[f->kernels[k].members.at[f->kernels[k].members.n - 1]]; }

static void trace_refusal(const Fusion *f, int a, int b, double gain, const char *why) {
  if (!f->context->trace) return;
  fprintf(f->context->trace, "fuse: not taken: %s with %s (%d and %d nodes, %+.2f us): %s\n", face(f, a)->name, face(f, b)->name,
          f->kernels[a].members.n, f->kernels[b].members.n, -gain * 1e6, why);
}

static bool try_merge(Fusion *f, int a, int b, double gain, int *root) {
  const char *why = gain > 0 ? fuse_illegal(f, a, b) : "no faster";
  if (!why && fuse_makes_cycle(f, a, b)) why = "a third kernel stands between them";
  if (why) {
    trace_refusal(f, a, b, gain, why);
    return false;
  }
  if (!rewrite_allowed(f->context, "fuse", face(f, b))) return false;
  *root = merge(f, a, b);
  return true;
}

/* -- along edges: a heap of candidates --------------------------------------- */

typedef struct Candidate {
  double gain;
  bool first;   /* per-row arithmetic on a reduction's result goes with it before all else */
  int a, b, version_a, version_b;
} Candidate;

typedef struct Heap {
  Arena *arena;
  int n, room;
  Candidate *at;
} Heap;

static bool is_better(const Candidate *x, const Candidate *y) {
  if (x->first != y->first) return x->first;
  if (x->gain != y->gain) return x->gain > y->gain;
  if (x->a != y->a) return x->a < y->a;
  return x->b < y->b;
}

static void heap_push(Heap *heap, Candidate candidate) {
  heap->at = arena_room(heap->arena, heap->at, heap->n, &heap->room, sizeof *heap->at);
  int i = heap->n++;
  for (; i > 0 && is_better(&candidate, &heap->at[(i - 1) / 2]); i = (i - 1) / 2) heap->at[i] = heap->at[(i - 1) / 2];
  heap->at[i] = candidate;
}

static Candidate heap_pop(Heap *heap) {
  Candidate top = heap->at[0], last = heap->at[--heap->n];
  int i = 0;
  for (int child; (child = 2 * i + 1) < heap->n; i = child) {
    if (child + 1 < heap->n && is_better(&heap->at[child + 1], &heap->at[child])) child++;
    if (!is_better(&heap->at[child], &last)) break;
    heap->at[i] = heap->at[child];
  }
  heap->at[i] = last;
  return top;
}

static void push_pair(Fusion *f, Heap *heap, int a, int b) {
  if (a == b || f->kernels[a].fixed || f->kernels[b].fixed) return;
  double gain = fuse_gain(f, a, b);
  bool first = f->kernels[a].n_axes && !f->kernels[b].n_axes && type_count(f->kernels[b].space) < type_count(f->kernels[a].space);
  if (gain > 0) heap_push(heap, (Candidate){gain, first, a, b, f->kernels[a].version, f->kernels[b].version});
}

static void push_producers(Fusion *f, Heap *heap, int k) {
  const Ints *loads = &f->kernels[k].loads;
  int seen[MAX_LOADS], n = 0;
  for (int i = 0; i < loads->n; i++) {
    if (!fuse_is_member(f, loads->at[i])) continue;
    int producer = fuse_owner(f, loads->at[i]);
    bool again = false;
    for (int s = 0; s < n; s++) again |= seen[s] == producer;
    if (again) continue;
    if (n < MAX_LOADS) seen[n++] = producer;
    push_pair(f, heap, producer, k);
  }
}

static void push_consumers(Fusion *f, Heap *heap, int k) {
  const Ints *members = &f->kernels[k].members;
  enum { MOST = 64 }; /* of a value that everything reads, the first readers */
  int seen[MOST], n = 0;
  for (int m = 0; m < members->n; m++) {
    const Ints *readers = &f->readers[members->at[m]];
    for (int r = 0; r < readers->n && n < MOST; r++) {
      int reader = fuse_owner(f, readers->at[r]);
      bool again = reader == k || !ints_have(&f->kernels[reader].loads, members->at[m]);
      for (int s = 0; s < n && !again; s++) again |= seen[s] == reader;
      if (again) continue;
      seen[n++] = reader;
      push_pair(f, heap, k, reader);
    }
  }
}

void fuse_merge_edges(Fusion *f) {
  Heap heap = {.arena = f->arena};
  for (int i = 0; i < f->n; i++)
    if (fuse_is_member(f, i) && fuse_owner(f, i) == i && !f->kernels[i].fixed) push_producers(f, &heap, i);
  while (heap.n) {
    Candidate c = heap_pop(&heap);
    if (fuse_owner(f, c.a) != c.a || fuse_owner(f, c.b) != c.b) continue;
    if (f->kernels[c.a].version != c.version_a || f->kernels[c.b].version != c.version_b) continue;
    int root;
    if (!try_merge(f, c.a, c.b, c.gain, &root)) continue;
    push_producers(f, &heap, root);
    push_consumers(f, &heap, root);
  }
}

/* -- siblings ------------------------------------------------------------------ */

static double shared_bytes(Fusion *f, int a, int b) {
  double shared = 0;
  const Ints *loads = &f->kernels[a].loads;
  for (int i = 0; i < loads->n; i++)
    if (ints_have(&f->kernels[b].loads, loads->at[i])) shared += fuse_node_bytes(f, loads->at[i]);
  return shared;
}

/* Worth it where much of the reading is shared, or where both are mostly launch; but then what the first one reads is
 * kept until the other's turn. */
static bool are_siblings(Fusion *f, int a, int b) {
  if (!f->apart && fuse_cost(f, a) < FUSE_SMALL && fuse_cost(f, b) < FUSE_SMALL) return true;
  double read_a = fuse_traffic(f, a, -1).read, read_b = fuse_traffic(f, b, -1).read;
  return shared_bytes(f, a, b) >= 0.25 * (read_a < read_b ? read_a : read_b);
}

enum { N_BUCKETS = 1024, WINDOW = 8 };
typedef struct Bucket {
  int n;
  int kernel[WINDOW]; /* the latest ones with this space */
} Bucket;

static unsigned space_hash(const Type *space) {
  uint64_t hash = (uint64_t)space->rank + 1;
  for (int a = 0; a < space->rank; a++) hash = hash * 0x9e3779b97f4a7c15u + (uint64_t)space->dim[a].size;
  return (unsigned)((hash ^ hash >> 29) % N_BUCKETS);
}

static void place_sibling(Fusion *f, Bucket *bucket, int k) {
  for (int i = bucket->n - 1; i >= 0; i--) {
    int other = fuse_owner(f, bucket->kernel[i]), root;
    if (other == k || !f->kernels[other].members.n || !type_same_shape(f->kernels[other].space, f->kernels[k].space)) continue;
    double gain = fuse_gain(f, other, k);
    if (gain <= 0 || fuse_makes_cycle(f, other, k) || !are_siblings(f, other, k)) continue;
    if (!try_merge(f, other, k, gain, &root)) continue;
    bucket->kernel[i] = root;
    return;
  }
  if (bucket->n == WINDOW) memmove(bucket->kernel, bucket->kernel + 1, (size_t)--bucket->n * sizeof *bucket->kernel);
  bucket->kernel[bucket->n++] = k;
}

void fuse_merge_siblings(Fusion *f) {
  Bucket *buckets = arena_alloc(f->arena, N_BUCKETS * sizeof *buckets);
  for (int i = 0; i < f->n; i++)
    if (fuse_is_member(f, i) && fuse_owner(f, i) == i && !f->kernels[i].fixed && f->kernels[i].members.n)
      place_sibling(f, &buckets[space_hash(f->kernels[i].space)], i);
}
