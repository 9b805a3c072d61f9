/* fuse_cost.c - the model by which fusion chooses.
 *
 * A kernel takes as long as the slowest of what it must do: move its bytes,
 * do its arithmetic, or evaluate its exps and logs; plus the cost of a kernel
 * node in a CUDA graph.  The rates are those measured on an H100
 * (bench/README.md has the commands); only their ratios matter to the choices.
 */
#include "passes/fuse.h"

#define BANDWIDTH 2.8e12  /* bytes a second, plain float4 copy */
#define ONE_BLOCK 80e9    /* what one block can move by itself */
#define FLOPS 60e12
#define SPECIALS 3.7e12   /* exp, log, division ... a second */
#define REGISTER_ROW 16384 /* longer rows are read again for each reduction */

typedef struct Work { double flops, specials; } Work;

/* In slots of the arithmetic units, of which a fused multiply-add fills two
 * and so does any lone operation.  The precise versions of exp, erf ... are
 * some special instruction or two and a polynomial. */
static Work op_work(const Node *n) {
  switch (n->op) {
  case OP_exp: case OP_log: case OP_sqrt: return (Work){16, 1};
  case OP_div: case OP_rsqrt: return (Work){40, 1}; /* exact division is a call */
  case OP_expm1: case OP_log1p: return (Work){30, 1};
  case OP_tanh: case OP_sigmoid: return (Work){30, 2};
  case OP_erf: return (Work){40, 1};
  case OP_sin: case OP_cos: return (Work){50, 1};
  case OP_pow: return (Work){80, 2};
  case OP_floordiv: case OP_mod: return (Work){24, 1};
  case OP_random: return n->attrs.distribution ? (Work){140, 4} : (Work){100, 0};
  case OP_gather: return (Work){8, 0};
  default: return (Work){2, 0};
  }
}

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

double fuse_elements(const Fusion *f, const Kernel *k, int id) {
  int64_t own = type_count(&f->node[id]->type), space = type_count(k->space);
  if (own <= 1) return 1;
  int64_t outer = space;
  for (int i = 0; i < k->n_axes; i++)
    if (k->space->dim[k->axes[i]].size > 0) outer /= k->space->dim[k->axes[i]].size;
  return (double)(k->n_axes && own == outer ? own : space);
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

/* A row kernel gives each row to a block: few rows leave most of the machine idle. */
static double bandwidth(const Kernel *k, double *again) {
  *again = 1;
  if (!k->n_axes || k->pattern != PATTERN_ROW) return BANDWIDTH;
  double row = 1, rows;
  for (int i = 0; i < k->n_axes; i++) row *= (double)k->space->dim[k->axes[i]].size;
  rows = row > 0 ? (double)type_count(k->space) / row : 1;
  if (row > REGISTER_ROW) *again = 2;
  return rows * ONE_BLOCK < BANDWIDTH ? (rows < 1 ? 1 : rows) * ONE_BLOCK : BANDWIDTH;
}

double fuse_work_time(double flops, double specials) {
  return flops / FLOPS > specials / SPECIALS ? flops / FLOPS : specials / SPECIALS;
}

double fuse_time(const Kernel *k, const Traffic *t, double flops, double specials) {
  double again, rate = bandwidth(k, &again), time = (t->read * again + t->written) / rate, work = fuse_work_time(flops, specials);
  return FUSE_LAUNCH + (work > time ? work : time);
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
