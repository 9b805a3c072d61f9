/* fuse_cost.c - the model of ir/cost.h, by which fusion chooses, on groups in the making. */
#include "ir/cost.h"
#include "passes/fuse.h"

void fuse_node_work(const Fusion *f, int id, double elements, double *flops, double *specials) {
  Work work = op_work(f->node[id]);
  *flops += work.flops * elements;
  *specials += work.specials * elements;
}

double fuse_node_bytes(const Fusion *f, int id) { return (double)type_bytes(&f->node[id]->type); }

/* What reading a value costs a kernel: each byte once; of a table, the rows asked for. */
static double load_bytes(const Fusion *f, const Kernel *k, int id) {
  double bytes = fuse_node_bytes(f, id);
  if (!f->table[id] || k->fixed) return bytes;
  double rows = (double)type_count(k->space) * (double)dtype_size(f->node[id]->type.dtype);
  return rows < bytes ? rows : bytes;
}

static Walk walk_of(const Kernel *k) { return (Walk){k->space, k->pattern, k->n_axes, k->axes}; }

double fuse_elements(const Fusion *f, const Kernel *k, int id) {
  Walk w = walk_of(k);
  return walk_elements(&w, &f->node[id]->type);
}

bool fuse_is_stored(Fusion *f, int id, int but_a, int but_b) {
  if (f->must_store[id]) return true;
  const Ints *readers = &f->readers[id];
  for (int i = 0; i < readers->n; i++) {
    int reader = fuse_owner(f, readers->at[i]);
    if (reader != but_a && reader != but_b && ints_have(&f->kernels[reader].loads, id)) return true;
  }
  return false;
}

static bool is_full(const Fusion *f, const Kernel *k, int id) {
  return type_count(&f->node[id]->type) >= type_count(k->space);
}

static void count_kernel(Fusion *f, Traffic *t, const Kernel *k, const Kernel *wide, int a, int b) {
  const Kernel *other = b < 0 ? NULL : k == &f->kernels[a] ? &f->kernels[b] : &f->kernels[a];
  bool second = other && k == &f->kernels[b];
  for (int i = 0; i < k->loads.n; i++) {
    int id = k->loads.at[i];
    if (other && ints_have(&other->members, id)) continue;
    if (second && ints_have(&other->loads, id)) continue; /* counted with the first */
    t->read += load_bytes(f, k, id);
    t->loads++;
    t->full_loads += is_full(f, wide, id);
  }
  for (int i = 0; i < k->members.n; i++) {
    int id = k->members.at[i];
    if (!fuse_is_stored(f, id, a, b)) continue;
    t->written += fuse_node_bytes(f, id);
    t->stores++;
    t->full_stores += is_full(f, wide, id);
  }
}

Traffic fuse_traffic(Fusion *f, int a, int b) {
  Traffic t = {0};
  const Kernel *wide = &f->kernels[a];
  if (b >= 0 && !wide->n_axes) wide = &f->kernels[b];
  count_kernel(f, &t, &f->kernels[a], wide, a, b);
  if (b >= 0) count_kernel(f, &t, &f->kernels[b], wide, a, b);
  return t;
}

double fuse_work_time(double flops, double specials) { return work_time(&gpu_rates, flops, specials); }

double fuse_time(const Kernel *k, const Traffic *t, double flops, double specials) {
  Walk w = walk_of(k);
  return walk_time(&gpu_rates, &w, t->read, t->written, flops, specials);
}

double fuse_cost(Fusion *f, int a) {
  Traffic t = fuse_traffic(f, a, -1);
  return fuse_time(&f->kernels[a], &t, f->kernels[a].flops, f->kernels[a].specials);
}

double fuse_gain(Fusion *f, int a, int b) {
  Kernel joined;
  if (!fuse_join_space(&f->kernels[a], &f->kernels[b], &joined)) return 0;
  Traffic t = fuse_traffic(f, a, b);
  double flops = f->kernels[a].flops + f->kernels[b].flops, specials = f->kernels[a].specials + f->kernels[b].specials;
  return fuse_cost(f, a) + fuse_cost(f, b) - fuse_time(&joined, &t, flops, specials);
}
