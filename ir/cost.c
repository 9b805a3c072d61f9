/* cost.c - the model of what kernels cost.
 *
 * Each byte of a value counts once, however often a kernel reads it: of a
 * table the rows asked for, of a value that is sliced the slices.  Products
 * run at the rate that cuBLAS reaches when they are large, so times are what
 * can be had, not what to expect of small or odd shapes.
 */
#include "ir/cost.h"

/* Measured on an H100 (docs/performance.md); attention: PyTorch's best on an H200, forward at 1,024 places.  Fusion
 * looks at the ratios only. */
const Rates gpu_rates = {
    .device = "an NVIDIA H100",
    .bandwidth = 2.8e12, /* plain float4 copy */
    .one_block = 80e9,
    .flops = 60e12,
    .specials = 3.7e12,
    .launch = 1e-6, /* a kernel in a graph */
    .product = {[PRECISION_F32] = 60e12, [PRECISION_TF32] = 375e12, [PRECISION_BF16] = 700e12},
    .attention = {[PRECISION_F32] = 30e12, [PRECISION_TF32] = 150e12, [PRECISION_BF16] = 300e12},
};

/* Measured on two cores of an AMD EPYC with AVX-512.  Products are always of floats. */
const Rates cpu_rates = {
    .device = "two CPU cores with AVX-512",
    .bandwidth = 20e9,
    .cache = 16e6,
    .cached = 280e9,
    .flops = 400e9,
    .specials = 10e9,
    .launch = 1e-7,
    .product = {437e9, 437e9, 437e9},
    .attention = {300e9, 300e9, 300e9},
};

enum { REGISTER_ROW = 16384 /* longer rows are read again for each reduction */ };

/* The precise versions of exp, erf ... are some special instruction or two and a polynomial. */
Work op_work(const Node *n) {
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

double work_time(const Rates *r, double flops, double specials) {
  return flops / r->flops > specials / r->specials ? flops / r->flops : specials / r->specials;
}

/* ---- walks: a group's way through its space ---------------------------------------- */

double walk_elements(const Walk *w, const Type *type) {
  int64_t own = type_count(type), space = type_count(w->space), outer = space;
  if (own <= 1) return 1;
  for (int i = 0; i < w->n_axes; i++)
    if (w->space->dim[w->axes[i]].size > 0) outer /= w->space->dim[w->axes[i]].size;
  return (double)(w->n_axes && own == outer ? own : space);
}

/* Rows go to blocks, one each: few of them leave most of a GPU idle. */
static double bandwidth(const Rates *r, const Walk *w, double *again) {
  *again = 1;
  if (!w->n_axes || w->pattern != PATTERN_ROW || !r->one_block) return r->bandwidth;
  double row = 1, rows;
  for (int i = 0; i < w->n_axes; i++) row *= (double)w->space->dim[w->axes[i]].size;
  rows = row > 0 ? (double)type_count(w->space) / row : 1;
  if (row > REGISTER_ROW) *again = 2;
  return rows * r->one_block < r->bandwidth ? (rows < 1 ? 1 : rows) * r->one_block : r->bandwidth;
}

static double move_time(const Rates *r, const Walk *w, double read, double written) {
  double again, rate = bandwidth(r, w, &again);
  if (r->cache > 0 && read + written <= r->cache) rate = r->cached;
  return (read * again + written) / rate;
}

double walk_time(const Rates *r, const Walk *w, double read, double written, double flops, double specials) {
  double move = move_time(r, w, read, written), work = work_time(r, flops, specials);
  return r->launch + (work > move ? work : move);
}

/* ---- calls ---------------------------------------------------------------------------- */

static Cost with_time(const Rates *r, Cost c, double move, double work) {
  double busy = work > move ? work : move;
  c.seconds = r->launch + busy;
  c.bound = r->launch >= busy ? BY_LAUNCHES : work > move ? BY_OPERATIONS : BY_MEMORY;
  return c;
}

static const Walk everywhere = {.space = NULL, .pattern = PATTERN_MAP};

Cost plain_cost(const Rates *r, double read, double written, double flops) {
  Cost c = {.read = read, .written = written, .flops = flops};
  return with_time(r, c, move_time(r, &everywhere, read, written), work_time(r, flops, 0));
}

/* What a body reads of its input: slices and rows of a table, or all of it. */
static double bytes_read(const Graph *body, const Node *input) {
  double whole = (double)type_bytes(&input->type), size = (double)dtype_size(input->type.dtype), part = 0;
  for (int i = 0; i < body->n_nodes; i++) {
    const Node *n = body->nodes[i];
    for (int k = 0; k < n->n_in; k++) {
      if (n->in[k] != input) continue;
      bool some = n->op == OP_slice || (n->op == OP_gather && k == 0);
      part += some ? (double)type_count(&n->type) * size : whole;
    }
  }
  for (int o = 0; o < body->n_outputs; o++)
    if (body->outputs[o].node == input) part = whole;
  return part < whole ? part : whole;
}

static double product_flops(const Node *n) {
  const Type *a = &n->in[0]->type;
  return 2 * (double)type_count(&n->type) * (double)a->dim[n->attrs.ta ? a->rank - 2 : a->rank - 1].size;
}

static void add_work(Cost *c, const Walk *w, const Node *n) {
  Kind kind = op_info[n->op].kind;
  if (kind == MATMUL) c->flops += product_flops(n);
  if (kind != MAP && kind != REDUCE && kind != RANDOM && kind != GATHER) return;
  Work work = op_work(n);
  double elements = walk_elements(w, kind == REDUCE ? &n->in[0]->type : &n->type);
  c->flops += work.flops * elements;
  c->specials += work.specials * elements;
}

static Cost group_cost(const Rates *r, const Node *group) {
  const Attrs *a = &group->attrs;
  Walk w = {&a->space, (GroupPattern)a->pattern, a->n_axes, a->axes};
  Cost c = {0};
  for (int i = 0; i < group->body->n_nodes; i++) {
    const Node *n = group->body->nodes[i];
    if (n->op == OP_input) c.read += bytes_read(group->body, n);
    add_work(&c, &w, n);
  }
  for (int o = 0; o < group->body->n_outputs; o++) c.written += (double)type_bytes(&group->body->outputs[o].node->type);
  return with_time(r, c, move_time(r, &w, c.read, c.written), work_time(r, c.flops, c.specials));
}

/* How many pairs of places see each other, of all heads. */
static double attention_pairs(const Node *n) {
  const Type *q = &n->in[0]->type, *k = &n->in[1]->type;
  double rows = (double)q->dim[q->rank - 2].size, columns = (double)k->dim[k->rank - 2].size, heads = 1;
  for (int a = 0; a < q->rank - 2; a++) heads *= (double)q->dim[a].size;
  if (!n->attrs.causal) return heads * rows * columns;
  double full = rows < columns ? rows : columns; /* rows that see one more than the row before */
  return heads * (full * (full + 1) / 2 + (rows - full) * columns);
}

/* Products of a place with another, over all features. */
static double attention_products(Op op) {
  switch (op) {
  case OP_attention: return 2;     /* scores; their weights by v */
  case OP_attention_lse: return 1;
  case OP_attention_dq: return 3;  /* scores; g by v; by k */
  default: return 4;               /* scores; g by v; by q; by g */
  }
}

Precision node_precision(const Node *product, Precision asked) {
  return product->in[0]->type.dtype == BF16 ? PRECISION_BF16 : asked == PRECISION_TF32 ? PRECISION_TF32 : PRECISION_F32;
}

const char *precision_name(Precision p) {
  static const char *const names[] = {[PRECISION_F32] = "f32", [PRECISION_TF32] = "tf32", [PRECISION_BF16] = "bf16"};
  return names[p];
}

Cost node_cost(const Rates *r, const Node *node, Precision precision) {
  if (node->op == OP_group) return group_cost(r, node);
  Cost c = {.written = (double)type_bytes(&node->type)};
  Precision p = node->n_in ? node_precision(node, precision) : PRECISION_F32;
  double work;
  for (int i = 0; i < node->n_in; i++) c.read += (double)type_bytes(&node->in[i]->type);
  if (op_info[node->op].kind == ATTENTION) {
    c.specials = attention_pairs(node);
    c.flops = 2 * attention_products(node->op) * c.specials * (double)node->in[0]->type.dim[node->in[0]->type.rank - 1].size;
    work = c.flops / r->attention[p];
    if (c.specials / r->specials > work) work = c.specials / r->specials;
  } else if (node->op == OP_matmul) {
    c.flops = product_flops(node);
    work = c.flops / r->product[p];
  } else { /* scatter_add: each row is added once */
    c.flops = 2 * (double)type_count(&node->in[0]->type);
    work = work_time(r, c.flops, 0);
  }
  return with_time(r, c, move_time(r, &everywhere, c.read, c.written), work);
}
