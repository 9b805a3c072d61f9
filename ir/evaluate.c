/* evaluate.c - what a program means: an interpreter in double precision.
 *
 * It is written to be believed, not to be fast: every op is a plain loop over
 * its result, nothing is fused, no code is shared with the targets.  Passes
 * and targets are tested against it.
 *
 * Values have the rows there are, not the capacity: with 3 rows the transpose
 * of [B, P] is [P, 3], and all strides follow.  Tensors are freed after their
 * last use.  Edge values are PyTorch's, as the heads of ops.def say: NaN wins
 * in max and min, the first NaN is the argmax, rounding is half to even,
 * floordiv and mod are Python's, the sum of nothing is 0 and its maximum -inf.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"
#include "ir/map.h"

/* ---- shapes at the rows there are --------------------------------------- */

typedef struct Shape {
  int rank;
  int64_t dim[MAX_RANK];
} Shape;

static Shape shape_of(const Type *t, int64_t rows) {
  Shape s = {.rank = t->rank};
  for (int i = 0; i < t->rank; i++)
    s.dim[i] = t->dim[i].rows ? t->dim[i].size / t->dim[i].rows->size * rows : t->dim[i].size;
  return s;
}

static int64_t shape_count(const Shape *s) {
  int64_t count = 1;
  for (int i = 0; i < s->rank; i++) count *= s->dim[i];
  return count;
}

static void shape_strides(const Shape *s, int64_t *stride) {
  int64_t next = 1;
  for (int i = s->rank - 1; i >= 0; i--) {
    stride[i] = next;
    next *= s->dim[i];
  }
}

/* Strides of an operand along the axes of a result it broadcasts to. */
static void broadcast_strides(const Shape *from, const Shape *to, int64_t *stride) {
  int64_t own[MAX_RANK];
  shape_strides(from, own);
  for (int i = 0; i < to->rank; i++) {
    int axis = i - (to->rank - from->rank);
    stride[i] = axis < 0 || (from->dim[axis] == 1 && to->dim[i] != 1) ? 0 : own[axis];
  }
}

/* Row-major walk over a shape, `offset` following `stride`. */
typedef struct Walk {
  Shape shape;
  int64_t at[MAX_RANK], stride[MAX_RANK], offset;
} Walk;

static void walk_next(Walk *w) {
  for (int i = w->shape.rank - 1; i >= 0; i--) {
    w->offset += w->stride[i];
    if (++w->at[i] < w->shape.dim[i]) return;
    w->offset -= w->stride[i] * w->shape.dim[i];
    w->at[i] = 0;
  }
}

/* ---- values ------------------------------------------------------------- */

/* A node's value; of a group, one tensor an output. */
typedef struct Value {
  int n;
  Tensor *tensor;
} Value;

typedef struct Context {
  const EvaluateOptions *options;
  const Binding *bindings;
  int n_bindings;
  const char *missing;
  const struct Turn *turns; /* of the loops around, innermost first */
} Context;

typedef struct Turn {
  const struct Turn *outer;
  const char *path; /* the loop's */
  int64_t at;
} Turn;

static void *checked_calloc(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  if (!memory) out_of_memory();
  return memory;
}

static Tensor tensor_new(const Context *c, const Type *type) {
  Tensor t = {.type = *type, .rows = type_rows(type) ? c->options->rows : 0};
  Shape s = shape_of(type, c->options->rows);
  t.count = shape_count(&s);
  t.data = checked_calloc((size_t)t.count, sizeof *t.data);
  return t;
}

static Tensor tensor_copy(const Context *c, const Tensor *from, const Type *type) {
  Tensor t = tensor_new(c, type);
  if (t.count != from->count) fault("evaluate: a view changes the number of elements");
  memcpy(t.data, from->data, (size_t)t.count * sizeof *t.data);
  return t;
}

void tensor_free(Tensor *tensor) {
  free(tensor->data);
  tensor->data = NULL;
}

static void value_free(Value *v) {
  for (int i = 0; i < v->n; i++) tensor_free(&v->tensor[i]);
  free(v->tensor);
  v->tensor = NULL;
  v->n = 0;
}

static double round_bf16(double x) {
  float f = (float)x;
  uint32_t bits;
  memcpy(&bits, &f, sizeof bits);
  if (isnan(f)) return NAN;
  bits += 0x7fff + (bits >> 16 & 1); /* half to even */
  bits &= 0xffff0000u;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* To an integer of `bits` bits as C on every target here does: toward zero, then modulo 2^bits. */
static double wrap(double x, int bits, bool is_signed) {
  if (!isfinite(x)) return is_signed ? -ldexp(1, bits - 1) : 0;
  double range = ldexp(1, bits), y = fmod(trunc(x), range) + 0.0; /* an integer zero has no sign */
  if (y < 0) y += range;
  return is_signed && y >= range / 2 ? y - range : y;
}

static double round_to(DType dtype, double x) {
  switch (dtype) {
  case F32: return (float)x;
  case BF16: return round_bf16(x);
  case I32: return wrap(x, 32, true);
  case U8: return wrap(x, 8, false);
  case BOOL: return x != 0;
  default: return x;
  }
}

/* ---- maps --------------------------------------------------------------- */

static double floor_mod(double a, double b) {
  double m = fmod(a, b);
  return m != 0 && (b < 0) != (m < 0) ? m + b : m;
}

static double floor_div(double a, double b) {
  if (b == 0) return a / b;
  double m = fmod(a, b), d = (a - m) / b;
  if (m != 0 && (b < 0) != (m < 0)) d -= 1;
  double f = floor(d);
  return d - f > 0.5 ? f + 1 : f;
}

static double larger(double a, double b) { return isnan(a) || isnan(b) ? NAN : a > b ? a : b; }
static double smaller(double a, double b) { return isnan(a) || isnan(b) ? NAN : a < b ? a : b; }

static double cast(DType to, DType from, double x) {
  if (to == BOOL) return x != 0;
  if (to == I32 && dtype_is_float(from)) return wrap(x, 32, true);
  if (to == U8) return wrap(x, 8, false);
  return x;
}

static double map_element(const Node *node, const double *x) {
  double a = x[0], b = x[1];
  switch (node->op) {
  case OP_copy:
  case OP_stop: return a;
  case OP_cast: return cast(node->type.dtype, node->in[0]->type.dtype, a);
  case OP_neg: return -a;
  case OP_abs: return fabs(a);
  case OP_sign: return (a > 0) - (a < 0);
  case OP_exp: return exp(a);
  case OP_expm1: return expm1(a);
  case OP_log: return log(a);
  case OP_log1p: return log1p(a);
  case OP_sqrt: return sqrt(a);
  case OP_rsqrt: return 1 / sqrt(a);
  case OP_sin: return sin(a);
  case OP_cos: return cos(a);
  case OP_tanh: return tanh(a);
  case OP_erf: return erf(a);
  case OP_sigmoid: return 1 / (1 + exp(-a));
  case OP_relu: return a < 0 ? 0 : a;
  case OP_floor: return floor(a);
  case OP_ceil: return ceil(a);
  case OP_round: return rint(a);
  case OP_clamp: return a < node->attrs.value ? node->attrs.value : a > node->attrs.high ? node->attrs.high : a;
  case OP_not: return a == 0;
  case OP_add: return a + b;
  case OP_sub: return a - b;
  case OP_mul: return a * b;
  case OP_div: return a / b;
  case OP_floordiv: return floor_div(a, b);
  case OP_mod: return floor_mod(a, b);
  case OP_pow: return pow(a, b);
  case OP_maximum: return larger(a, b);
  case OP_minimum: return smaller(a, b);
  case OP_eq: return a == b;
  case OP_ne: return a != b;
  case OP_lt: return a < b;
  case OP_le: return a <= b;
  case OP_gt: return a > b;
  case OP_ge: return a >= b;
  case OP_and: return a != 0 && b != 0;
  case OP_or: return a != 0 || b != 0;
  case OP_where: return a != 0 ? b : x[2];
  default: fault("evaluate: %s is no map", op_info[node->op].name);
  }
}

/* Shaken by more than 0, two unequal values that rounding could make equal are. */
static void shake_together(const Context *c, const Node *node, double *x) {
  bool compared = node->op >= OP_eq && node->op <= OP_ge;
  if (compared && x[0] != x[1] && fabs(x[0] - x[1]) <= 10 * c->options->shake * fabs(x[0])) x[1] = x[0];
}

static Tensor evaluate_map(const Context *c, const Node *node, const Tensor *const *in) {
  Tensor out = tensor_new(c, &node->type);
  Shape to = shape_of(&node->type, c->options->rows);
  Walk walk[3] = {0};
  double x[3] = {0};
  bool whole = !dtype_is_float(node->type.dtype); /* 3 - 5 of u8 is 254, true + true is true */
  for (int k = 0; k < node->n_in; k++) {
    Shape from = shape_of(&in[k]->type, c->options->rows);
    walk[k].shape = to;
    broadcast_strides(&from, &to, walk[k].stride);
  }
  for (int64_t i = 0; i < out.count; i++) {
    for (int k = 0; k < node->n_in; k++) {
      x[k] = in[k]->data[walk[k].offset];
      walk_next(&walk[k]);
    }
    if (c->options->shake) shake_together(c, node, x);
    out.data[i] = map_element(node, x);
    if (whole) out.data[i] = round_to(node->type.dtype, out.data[i]);
  }
  return out;
}

/* ---- views -------------------------------------------------------------- */

/* Transpose and broadcast read their operand along other strides. */
static Tensor evaluate_strided(const Context *c, const Node *node, const Tensor *x) {
  Tensor out = tensor_new(c, &node->type);
  Shape from = shape_of(&x->type, c->options->rows);
  Walk walk = {.shape = shape_of(&node->type, c->options->rows)};
  if (node->op == OP_broadcast) {
    broadcast_strides(&from, &walk.shape, walk.stride);
  } else {
    int64_t stride[MAX_RANK];
    shape_strides(&from, stride);
    for (int i = 0; i < node->type.rank; i++) walk.stride[i] = stride[node->attrs.axes[i]];
  }
  for (int64_t i = 0; i < out.count; i++, walk_next(&walk)) out.data[i] = x->data[walk.offset];
  return out;
}

/* Element `at` of the small side of a slice or pad, in the large one; -1: outside. */
static int64_t stepped(const Node *node, const Shape *large, const int64_t *at) {
  int64_t offset = 0;
  for (int i = 0; i < large->rank; i++) {
    int64_t k = node->attrs.start[i] + at[i] * node->attrs.step[i];
    if (k < 0 || k >= large->dim[i]) return -1;
    offset = offset * large->dim[i] + k;
  }
  return offset;
}

static Tensor evaluate_slice(const Context *c, const Node *node, const Tensor *x) {
  Tensor out = tensor_new(c, &node->type);
  Shape large = shape_of(&x->type, c->options->rows);
  Walk walk = {.shape = shape_of(&node->type, c->options->rows)};
  for (int64_t i = 0; i < out.count; i++, walk_next(&walk)) {
    int64_t from = stepped(node, &large, walk.at);
    out.data[i] = from < 0 ? NAN : x->data[from];
  }
  return out;
}

static Tensor evaluate_pad(const Context *c, const Node *node, const Tensor *x) {
  Tensor out = tensor_new(c, &node->type);
  Shape large = shape_of(&node->type, c->options->rows);
  Walk walk = {.shape = shape_of(&x->type, c->options->rows)};
  for (int64_t i = 0; i < x->count; i++, walk_next(&walk)) {
    int64_t to = stepped(node, &large, walk.at);
    if (to >= 0) out.data[to] = x->data[i];
  }
  return out;
}

/* Both go over the elements (o, k) of the skewed side; h is where each stands on the other. */
static Tensor evaluate_skew(const Context *c, const Node *node, const Tensor *x) {
  const Attrs *a = &node->attrs;
  Tensor out = tensor_new(c, &node->type);
  bool back = node->op == OP_unskew;
  Shape straight = shape_of(back ? &node->type : &x->type, c->options->rows);
  Walk walk = {.shape = shape_of(back ? &x->type : &node->type, c->options->rows)};
  int64_t stride[MAX_RANK], count = back ? x->count : out.count;
  shape_strides(&straight, stride);
  for (int64_t i = 0; i < count; i++, walk_next(&walk)) {
    int64_t at = 0, h = walk.at[a->axis] * a->stride + walk.at[a->window] * a->dilation - a->padding;
    if (h < 0 || h >= straight.dim[a->axis]) continue;
    for (int d = 0; d < straight.rank; d++) at += (d == a->axis ? h : walk.at[d]) * stride[d];
    if (back)
      out.data[at] = x->data[i];
    else
      out.data[i] = x->data[at];
  }
  return out;
}

/* ---- reductions --------------------------------------------------------- */

static double identity_of(Op op) { return op == OP_sum ? 0 : op == OP_max ? -INFINITY : INFINITY; }

static double reduce_step(Op op, double so_far, double x) {
  return op == OP_sum ? so_far + x : op == OP_max ? larger(so_far, x) : smaller(so_far, x);
}

/* Strides into the result along the operand's axes, 0 along the reduced. */
static void reduced_strides(const Node *node, const Shape *from, int64_t *stride) {
  int64_t next = 1;
  for (int i = from->rank - 1; i >= 0; i--) {
    bool reduced = false;
    for (int k = 0; k < node->attrs.n_axes; k++) reduced = reduced || node->attrs.axes[k] == i;
    stride[i] = reduced ? 0 : next;
    if (!reduced) next *= from->dim[i];
  }
}

static Tensor evaluate_reduce(const Context *c, const Node *node, const Tensor *x) {
  Tensor out = tensor_new(c, &node->type);
  Walk walk = {.shape = shape_of(&x->type, c->options->rows)};
  reduced_strides(node, &walk.shape, walk.stride);
  for (int64_t i = 0; i < out.count; i++) out.data[i] = identity_of(node->op);
  for (int64_t i = 0; i < x->count; i++, walk_next(&walk))
    out.data[walk.offset] = reduce_step(node->op, out.data[walk.offset], x->data[i]);
  return out;
}

/* The index, counted over the reduced axes, of the first best; the first NaN beats all. */
static Tensor evaluate_argmax(const Context *c, const Node *node, const Tensor *x) {
  Tensor out = tensor_new(c, &node->type), best = tensor_new(c, &node->type);
  Walk walk = {.shape = shape_of(&x->type, c->options->rows)};
  reduced_strides(node, &walk.shape, walk.stride);
  for (int64_t i = 0; i < out.count; i++) out.data[i] = -1;
  for (int64_t i = 0; i < x->count; i++, walk_next(&walk)) {
    double v = x->data[i], b = best.data[walk.offset];
    bool better = node->op == OP_argmax ? v > b : v < b;
    if (out.data[walk.offset] >= 0 && (isnan(b) || (!better && !isnan(v)))) continue;
    int64_t index = 0;
    for (int k = 0; k < node->attrs.n_axes; k++) {
      int axis = node->attrs.axes[k];
      index = index * walk.shape.dim[axis] + walk.at[axis];
    }
    best.data[walk.offset] = v;
    out.data[walk.offset] = (double)index;
  }
  tensor_free(&best);
  for (int64_t i = 0; i < out.count; i++) out.data[i] = out.data[i] < 0 ? 0 : out.data[i];
  return out;
}

/* ---- contractions and memory by index ----------------------------------- */

static Tensor evaluate_matmul(const Context *c, const Node *node, const Tensor *x, const Tensor *y) {
  Tensor out = tensor_new(c, &node->type);
  Shape a = shape_of(&x->type, c->options->rows), b = shape_of(&y->type, c->options->rows);
  bool ta = node->attrs.ta, tb = node->attrs.tb;
  int64_t am = a.dim[a.rank - 2], an = a.dim[a.rank - 1], bm = b.dim[b.rank - 2], bn = b.dim[b.rank - 1];
  int64_t m = ta ? an : am, k = ta ? am : an, n = tb ? bm : bn;
  int64_t batch = m > 0 && n > 0 ? out.count / (m * n) : 0;
  for (int64_t l = 0; l < batch; l++) {
    const double *p = x->data + l * am * an, *q = b.rank > 2 ? y->data + l * bm * bn : y->data;
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t h = 0; h < k; h++) sum += (ta ? p[h * an + i] : p[i * an + h]) * (tb ? q[j * bn + h] : q[h * bn + j]);
        out.data[(l * m + i) * n + j] = sum;
      }
  }
  return out;
}

static Tensor evaluate_gather(const Context *c, const Node *node, const Tensor *table, const Tensor *ids) {
  Tensor out = tensor_new(c, &node->type);
  Shape s = shape_of(&table->type, c->options->rows);
  int64_t width = 1;
  for (int i = 1; i < s.rank; i++) width *= s.dim[i];
  for (int64_t i = 0; i < out.count; i++) {
    double id = ids->data[i / width];
    out.data[i] = id >= 0 && id < (double)s.dim[0] ? table->data[(int64_t)id * width + i % width] : NAN;
  }
  return out;
}

static Tensor evaluate_scatter_add(const Context *c, const Node *node, const Tensor *rows, const Tensor *ids) {
  Tensor out = tensor_new(c, &node->type);
  Shape s = shape_of(&node->type, c->options->rows);
  int64_t width = 1;
  for (int i = 1; i < s.rank; i++) width *= s.dim[i];
  for (int64_t i = 0; i < rows->count; i++) {
    double id = ids->data[i / width];
    if (id >= 0 && id < (double)s.dim[0]) out.data[(int64_t)id * width + i % width] += rows->data[i];
  }
  return out;
}

/* ---- attention: row by row, each with its scores in memory ---------------- */

typedef struct Heads {
  const Node *node;
  int64_t n, rows, columns, width; /* heads; places that see, that are seen; features */
  const double *q, *k, *v, *lse, *g, *along;
  bool in_tiles; /* what is hidden has a weight of 0 and takes part with it, as in the tiles of a target */
} Heads;

static Heads heads_of(const Context *c, const Node *node, const Tensor *const *in) {
  Shape q = shape_of(&in[0]->type, c->options->rows), k = shape_of(&in[1]->type, c->options->rows);
  Heads h = {.node = node, .in_tiles = c->options->shake != 0, .n = 1};
  h.rows = q.dim[q.rank - 2], h.columns = k.dim[k.rank - 2], h.width = q.dim[q.rank - 1];
  for (int i = 0; i < q.rank - 2; i++) h.n *= q.dim[i];
  h.q = in[0]->data, h.k = in[1]->data, h.v = node->n_in > 2 ? in[2]->data : NULL;
  if (node->n_in == 6) h.lse = in[3]->data, h.g = in[4]->data, h.along = in[5]->data;
  return h;
}

static int64_t columns_seen(const Heads *h, int64_t row) {
  return h->node->attrs.causal && row + 1 < h->columns ? row + 1 : h->columns;
}

static int64_t columns_visited(const Heads *h, int64_t row) { return h->in_tiles ? h->columns : columns_seen(h, row); }

static double dot(const double *x, const double *y, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i] * y[i];
  return sum;
}

static void add_multiple(double *sum, double by, const double *x, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += by * x[i];
}

/* The logarithm of the sum of exp(score) over what row i of head l sees; the scores stay in `score`. */
static double weigh_row(const Heads *h, int64_t l, int64_t i, double *score) {
  int64_t n = columns_seen(h, i);
  double top = -INFINITY, sum = 0;
  for (int64_t j = 0; j < n; j++) {
    score[j] = h->node->attrs.scale * dot(h->q + (l * h->rows + i) * h->width, h->k + (l * h->columns + j) * h->width, h->width);
    top = larger(top, score[j]);
  }
  if (top == -INFINITY) return top;
  for (int64_t j = 0; j < n; j++) sum += exp(score[j] - top);
  return top + log(sum);
}

static void attend_row(const Heads *h, int64_t l, int64_t i, double *score, double *out) {
  int64_t at = l * h->rows + i;
  double lse = weigh_row(h, l, i, score);
  if (h->node->op == OP_attention_lse) out[at] = lse;
  for (int64_t j = 0; h->node->op == OP_attention && j < columns_visited(h, i); j++)
    add_multiple(out + at * h->width, j < columns_seen(h, i) ? exp(score[j] - lse) : 0, h->v + (l * h->columns + j) * h->width, h->width);
}

static void derive_row(const Heads *h, int64_t l, int64_t i, double *score, double *out) {
  int64_t at = l * h->rows + i, w = h->width, all = h->n * h->columns * w;
  const double *g = h->g + at * w;
  weigh_row(h, l, i, score);
  for (int64_t j = 0; j < columns_visited(h, i); j++) {
    int64_t to = (l * h->columns + j) * w;
    double p = j < columns_seen(h, i) ? exp(score[j] - h->lse[at]) : 0, ds = h->node->attrs.scale * p * (dot(g, h->v + to, w) - h->along[at]);
    if (h->node->op == OP_attention_dq) {
      add_multiple(out + at * w, ds, h->k + to, w);
    } else {
      add_multiple(out + to, ds, h->q + at * w, w);
      add_multiple(out + all + to, p, g, w);
    }
  }
}

static Tensor evaluate_attention(const Context *c, const Node *node, const Tensor *const *in) {
  Tensor out = tensor_new(c, &node->type);
  Heads h = heads_of(c, node, in);
  double *score = checked_calloc((size_t)h.columns, sizeof *score);
  for (int64_t l = 0; l < h.n; l++)
    for (int64_t i = 0; i < h.rows; i++) (h.g ? derive_row : attend_row)(&h, l, i, score, out.data);
  free(score);
  return out;
}

/* ---- leaves ------------------------------------------------------------- */

static Tensor evaluate_iota(const Context *c, const Node *node) {
  Tensor out = tensor_new(c, &node->type);
  Walk walk = {.shape = shape_of(&node->type, c->options->rows)};
  for (int64_t i = 0; i < out.count; i++, walk_next(&walk)) out.data[i] = (double)walk.at[node->attrs.axis];
  return out;
}

/* Elements are counted over the whole batch, by the strides of the capacity. */
static Tensor evaluate_random(const Context *c, const Node *node, const Tensor *const *in) {
  const EvaluateOptions *o = c->options;
  Tensor out = tensor_new(c, &node->type);
  Walk walk = {.shape = shape_of(&node->type, o->rows)};
  int64_t next = 1;
  for (int i = node->type.rank - 1; i >= 0; i--) {
    const Dim *d = &node->type.dim[i];
    walk.stride[i] = next;
    if (d->rows) walk.offset = (int64_t)o->first_row * (d->size / d->rows->size) * next;
    next *= d->size;
  }
  uint64_t site = random_site(node->attrs.path);
  for (int i = 0; i < node->n_in; i++) site = random_turn(site, (uint32_t)in[i]->data[0]);
  for (int64_t i = 0; i < out.count; i++, walk_next(&walk))
    out.data[i] = random_draw_at(o->seed, site, o->step, o->micro, (uint64_t)walk.offset, node->attrs.distribution);
  return out;
}

static const Binding *find_binding(const Context *c, const char *path) {
  for (int i = 0; path && i < c->n_bindings; i++)
    if (!strcmp(c->bindings[i].path, path)) return &c->bindings[i];
  return NULL;
}

/* `operands`: those of the group whose body this is, else NULL. */
static Tensor evaluate_leaf(Context *c, const Node *node, const Tensor *const *operands) {
  if (node->op == OP_iota) return evaluate_iota(c, node);
  if (node->op == OP_input && operands) return tensor_copy(c, operands[node->attrs.index], &node->type);
  Tensor out = tensor_new(c, &node->type);
  if (node->op == OP_const) {
    out.data[0] = node->attrs.value;
  } else if (node->op == OP_turn) {
    const Turn *turn = c->turns;
    while (turn && strcmp(turn->path, node->attrs.path)) turn = turn->outer;
    if (turn) out.data[0] = (double)turn->at;
    else c->missing = node->attrs.path;
  } else if (node->op == OP_rows) {
    out.data[0] = (double)c->options->rows;
  } else {
    const Binding *b = find_binding(c, node->attrs.path);
    if (b) memcpy(out.data, b->data, (size_t)out.count * sizeof *out.data);
    else c->missing = node->attrs.path ? node->attrs.path : node->name;
  }
  return out;
}

/* ---- nodes and graphs --------------------------------------------------- */

static Tensor evaluate_view(const Context *c, const Node *node, const Tensor *x) {
  switch (node->op) {
  case OP_reshape: return tensor_copy(c, x, &node->type);
  case OP_slice: return evaluate_slice(c, node, x);
  case OP_pad: return evaluate_pad(c, node, x);
  case OP_skew:
  case OP_unskew: return evaluate_skew(c, node, x);
  default: return evaluate_strided(c, node, x);
  }
}

static Tensor evaluate_node(Context *c, const Node *node, const Tensor *const *in, const Tensor *const *operands) {
  if (node->op == OP_grad) {
    c->missing = "grad";
    return tensor_new(c, &node->type);
  }
  switch (op_info[node->op].kind) {
  case LEAF: return evaluate_leaf(c, node, operands);
  case RANDOM: return evaluate_random(c, node, in);
  case VIEW: return evaluate_view(c, node, in[0]);
  case MAP: return evaluate_map(c, node, in);
  case REDUCE:
    return node->op == OP_argmax || node->op == OP_argmin ? evaluate_argmax(c, node, in[0])
                                                          : evaluate_reduce(c, node, in[0]);
  case MATMUL: return evaluate_matmul(c, node, in[0], in[1]);
  case GATHER: return evaluate_gather(c, node, in[0], in[1]);
  case SCATTER: return evaluate_scatter_add(c, node, in[0], in[1]);
  case ATTENTION: return evaluate_attention(c, node, in);
  default: fault("evaluate: no meaning for %s", op_info[node->op].name);
  }
}

static bool evaluate_graph(Context *c, const Graph *graph, const Tensor *const *operands, Tensor *outputs);

/* ---- loops -------------------------------------------------------------- */

/* Element t of a stacked value. */
static Tensor element_of(const Context *c, const Tensor *stack, const Type *type, int64_t t) {
  Tensor out = tensor_new(c, type);
  if (out.count) memcpy(out.data, stack->data + t * out.count, (size_t)out.count * sizeof *out.data);
  return out;
}

static const Type *input_type(const Graph *body, int index) {
  for (int i = 0; i < body->n_nodes; i++)
    if (body->nodes[i]->op == OP_input && body->nodes[i]->attrs.index == index) return &body->nodes[i]->type;
  return NULL; /* no turn reads it */
}

/* One turn: carried values are replaced, what is collected goes to its element of `results`. */
static bool evaluate_turn(Context *c, const Node *loop, const Tensor *const *x, Tensor *results, int64_t t) {
  int n = loop->body->n_outputs, carried = loop->attrs.carried;
  Tensor *elements = checked_calloc((size_t)loop->n_in, sizeof *elements), *out = checked_calloc((size_t)n, sizeof *out);
  const Tensor **seen = checked_calloc((size_t)loop->n_in, sizeof *seen);
  for (int i = 0; i < loop->n_in; i++) {
    const Type *type = input_type(loop->body, i);
    bool stacked = i >= carried && i < carried + loop->attrs.stacked;
    if (stacked && type) elements[i] = element_of(c, x[i], type, t);
    seen[i] = i < carried ? &results[i] : stacked ? &elements[i] : x[i];
  }
  Turn turn = {c->turns, loop->attrs.path, t};
  c->turns = &turn;
  bool ok = evaluate_graph(c, loop->body, seen, out);
  c->turns = turn.outer;
  for (int i = 0; i < n && ok; i++) {
    int64_t at = i < carried ? 0 : t * out[i].count;
    if (out[i].count) memcpy(results[i].data + at, out[i].data, (size_t)out[i].count * sizeof *out[i].data);
  }
  for (int i = 0; i < n && ok; i++) tensor_free(&out[i]);
  for (int i = 0; i < loop->n_in; i++) tensor_free(&elements[i]);
  free(seen);
  free(out);
  free(elements);
  return ok;
}

static bool evaluate_loop(Context *c, const Node *loop, const Tensor *const *x, Tensor *results) {
  int64_t turns = loop->attrs.space.dim[0].size;
  for (int i = 0; i < loop->body->n_outputs; i++) {
    Type type = result_type(loop, i);
    results[i] = i < loop->attrs.carried ? tensor_copy(c, x[i], &type) : tensor_new(c, &type);
  }
  bool ok = true;
  for (int64_t t = 0; t < turns && ok; t++) ok = evaluate_turn(c, loop, x, results, loop->attrs.reverse ? turns - 1 - t : t);
  return ok;
}

/* Targets compute these a few ulp off, and not by the same for equal operands: a vector's and a scalar's exp differ. */
static bool is_approximate(Op op) {
  switch (op) {
  case OP_exp: case OP_expm1: case OP_log: case OP_log1p: case OP_sin: case OP_cos: case OP_tanh: case OP_erf: case OP_sigmoid:
  case OP_pow: return true;
  default: return op_info[op].kind == ATTENTION; /* sums of exps */
  }
}

/* In [-1, 1), another for each element. */
static double uneven(int64_t i) { return (double)((uint64_t)(i + 1) * 0x9E3779B97F4A7C15u >> 11) * 0x1p-52 - 1; }

/* A group's or loop's value is its outputs; a `result` picks one. */
static Value evaluate_value(Context *c, const Node *node, Value *const *in, const Tensor *const *operands) {
  Value v = {1, NULL};
  if (node->body) v.n = node->body->n_outputs;
  v.tensor = checked_calloc((size_t)v.n, sizeof *v.tensor);
  const Tensor **x = checked_calloc((size_t)node->n_in, sizeof *x);
  for (int i = 0; i < node->n_in; i++) x[i] = in[i]->tensor;
  if (op_info[node->op].kind == LOOP) {
    evaluate_loop(c, node, x, v.tensor);
  } else if (node->body) {
    if (!evaluate_graph(c, node->body, x, v.tensor)) v.n = 0;
  } else if (node->op == OP_result) {
    v.tensor[0] = tensor_copy(c, &in[0]->tensor[node->attrs.index], &node->type);
  } else {
    v.tensor[0] = evaluate_node(c, node, x, operands);
    if (c->options->shake && is_approximate(node->op))
      for (int64_t i = 0; i < v.tensor[0].count; i++) v.tensor[0].data[i] *= 1 + c->options->shake * uneven(i);
    if (c->options->round)
      for (int64_t i = 0; i < v.tensor[0].count; i++)
        v.tensor[0].data[i] = round_to(node->type.dtype, v.tensor[0].data[i]);
  }
  free(x);
  return v;
}

/* last[i]: the position after which node i's value is needed no more. */
static void last_uses(const Graph *graph, Map *position, int *last) {
  for (int i = 0; i < graph->n_nodes; i++) {
    last[i] = i;
    for (int k = 0; k < graph->nodes[i]->n_in; k++) last[map_get_node(position, graph->nodes[i]->in[k])] = i;
  }
  for (int i = 0; i < graph->n_outputs; i++) last[map_get_node(position, graph->outputs[i].node)] = graph->n_nodes;
}

static void step_node(Context *c, const Graph *graph, int i, Map *position, const int *last, Value *values,
                      const Tensor *const *operands) {
  const Node *node = graph->nodes[i];
  Value **in = checked_calloc((size_t)node->n_in, sizeof *in);
  for (int k = 0; k < node->n_in; k++) in[k] = &values[map_get_node(position, node->in[k])];
  values[i] = evaluate_value(c, node, in, operands);
  for (int k = 0; k < node->n_in; k++)
    if (last[map_get_node(position, node->in[k])] == i) value_free(in[k]);
  if (last[i] == i) value_free(&values[i]);
  free(in);
}

static bool evaluate_graph(Context *c, const Graph *graph, const Tensor *const *operands, Tensor *outputs) {
  Value *values = checked_calloc((size_t)graph->n_nodes, sizeof *values);
  int *last = checked_calloc((size_t)graph->n_nodes, sizeof *last);
  Map *position = NULL;
  for (int i = 0; i < graph->n_nodes; i++) map_put_node(&position, graph->nodes[i], i);
  last_uses(graph, position, last);
  for (int i = 0; i < graph->n_nodes && !c->missing; i++) step_node(c, graph, i, position, last, values, operands);
  for (int i = 0; i < graph->n_outputs && !c->missing; i++) {
    const Tensor *value = values[map_get_node(position, graph->outputs[i].node)].tensor;
    outputs[i] = tensor_copy(c, value, &value->type);
  }
  for (int i = 0; i < graph->n_nodes; i++) value_free(&values[i]);
  map_free(&position);
  free(last);
  free(values);
  return !c->missing;
}

bool evaluate(const Graph *graph, const Binding *bindings, int n_bindings, const EvaluateOptions *options,
              Tensor *outputs, const char **missing) {
  Context c = {options, bindings, n_bindings, NULL, NULL};
  if (evaluate_graph(&c, graph, NULL, outputs)) return true;
  if (missing) *missing = c.missing;
  return false;
}

/* ---- scalars of the schedule -------------------------------------------- */

/* A node of the schedule stands in no list that is known here: collect what it needs, operands first. */
static void collect(const Node *node, Map **seen, Node ***order, int *n, int *room) {
  struct Frame { const Node *node; int next; } *stack = NULL;
  int depth = 0, deep = 0;
  for (const Node *push = node; push || depth;) { /* `push` is seen at most while its user is on the stack */
    if (push && map_get_node(*seen, push) < 0) {
      if (depth == deep && !(stack = realloc(stack, (size_t)(deep = 2 * deep + 16) * sizeof *stack)))
        out_of_memory();
      map_put_node(seen, push, 0);
      stack[depth++] = (struct Frame){push, 0};
    }
    push = NULL;
    struct Frame *top = &stack[depth - 1];
    if (top->next < top->node->n_in) {
      push = top->node->in[top->next++];
    } else {
      if (*n == *room && !(*order = realloc(*order, (size_t)(*room = 2 * *room + 16) * sizeof **order)))
        out_of_memory();
      (*order)[(*n)++] = (Node *)top->node;
      depth--;
    }
  }
  free(stack);
}

double evaluate_scalar(const Node *node, double step, double epoch, double total) {
  const Binding bindings[] = {{"step", &step}, {"epoch", &epoch}, {"total", &total}};
  const EvaluateOptions options = {0};
  Map *seen = NULL;
  Node **order = NULL;
  int n = 0, room = 0;
  collect(node, &seen, &order, &n, &room);
  Output output = {.role = OUT_VALUE, .node = (Node *)node};
  Graph graph = {.name = "schedule", .n_nodes = n, .nodes = order, .n_outputs = 1, .outputs = &output};
  Tensor result = {0};
  const char *missing = NULL;
  double value = evaluate(&graph, bindings, 3, &options, &result, &missing) ? result.data[0] : NAN;
  tensor_free(&result);
  free(order);
  map_free(&seen);
  return value;
}
