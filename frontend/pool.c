/* pool.c - the largest and the mean of windows, and the same over as many windows as asked for.
 *
 * As in PyTorch: padding is never the largest, the first of equals takes the
 * gradient and of NaNs the last; a mean counts padding unless told not to,
 * but never what lies behind the padded axis.
 */
#include <math.h>
#include <string.h>

#include "frontend/slide.h"

typedef struct Pooling {
  Lower *l;
  Call *call;
  Builder b;
  const char *name;
  int n;
  bool largest, counts_padding;
  Node *x;
  Slide slides[MAX_SPATIAL];
} Pooling;

static int first_axis(const Pooling *p) { return p->x->type.rank - p->n; }
static const Dim *axis_dim(const Pooling *p, int i) { return &p->x->type.dim[first_axis(p) + i]; }

/* ---- arguments ---- */

/* The last window begins inside the axis or the padding before it. */
static int64_t positions(const Slide *s, bool ceil_mode) {
  int64_t room = s->size + 2 * s->before - s->dilation * (s->kernel - 1) - 1;
  int64_t n = (room + (ceil_mode ? s->stride - 1 : 0)) / s->stride + 1;
  return ceil_mode && (n - 1) * s->stride >= s->size + s->before ? n - 1 : n;
}

static bool read_stride(Pooling *p, const int64_t *kernel, int64_t *stride) {
  const Expr *e = take_key(p->call, "stride");
  Value v = e ? eval(p->l, e) : (Value){.kind = TEXT, .name = "kernel"};
  if (v.kind == TEXT && !strcmp(v.name, "kernel")) return memcpy(stride, kernel, sizeof *stride * (size_t)p->n), true;
  return slide_numbers(p->l, p->call, "stride", p->n, 1, stride);
}

static bool read_slides(Pooling *p) {
  int64_t kernel[MAX_SPATIAL], stride[MAX_SPATIAL], padding[MAX_SPATIAL] = {0}, dilation[MAX_SPATIAL] = {1, 1, 1};
  bool ceil_mode = false;
  p->counts_padding = true;
  if (!slide_kernel(p->l, p->call, p->n, kernel) || !read_stride(p, kernel, stride)) return false;
  if (!slide_numbers(p->l, p->call, "padding", p->n, 0, padding)) return false;
  if (p->largest && !slide_numbers(p->l, p->call, "dilation", p->n, 1, dilation)) return false;
  if (!slide_flag(p->l, p->call, "ceil_mode", &ceil_mode)) return false;
  if (!p->largest && !slide_flag(p->l, p->call, "count_include_pad", &p->counts_padding)) return false;
  for (int i = 0; i < p->n; i++) {
    Slide *s = &p->slides[i];
    *s = (Slide){axis_dim(p, i)->size, kernel[i], stride[i], dilation[i], padding[i], 0};
    if (2 * s->before > s->kernel)
      return report(p->l->d, E0213, place(p->l, p->call->e->at),
                    "%s: padding %lld is more than half of a window of %lld: some windows would hold nothing else", p->name,
                    (long long)s->before, (long long)s->kernel),
             false;
    if (!slide_fits(p->l, p->call, s, s->before)) return false;
    s->positions = positions(s, ceil_mode);
  }
  return true;
}

static bool start(Pooling *p, Lower *l, Call *call, const Builtin *self) {
  *p = (Pooling){.l = l, .call = call, .name = self->name, .n = self->name[strlen(self->name) - 2] - '0'};
  p->largest = strstr(self->name, "max") != NULL;
  if (!right_count(l, call, self)) return false;
  p->x = as_tensor(l, call->value[0], F32, call->e);
  if (!p->x || !slide_input(l, call, p->n, p->x)) return false;
  p->b = builders(l, call->e, self->name);
  return true;
}

/* ---- the largest ---- */

static bool leaves_axis(const Slide *s) {
  return s->before > 0 || (s->positions - 1) * s->stride + (s->kernel - 1) * s->dilation >= s->size;
}

/* [.., K, L, O, P] with the places of a window as one axis, [.., K * L, O, P]. */
static Node *flat_places(Pooling *p, Node *windows, int at) {
  Type flat = windows->type;
  int64_t places = 1;
  for (int i = 0; i < p->n; i++) places *= p->slides[i].kernel;
  flat.dim[at] = dim_literal(places);
  for (int i = at + p->n; i < windows->type.rank; i++) flat.dim[i - p->n + 1] = flat.dim[i];
  flat.rank = windows->type.rank - p->n + 1;
  return b_reshape(&p->b, windows, &flat);
}

/* -inf where windows leave the axis. */
static Node *hide_padding(Pooling *p, Node *windows) {
  bool leaves = false;
  Type inside = {.dtype = BOOL};
  for (int i = 0; i < p->n; i++) leaves |= leaves_axis(&p->slides[i]), inside.dim[inside.rank++] = *axis_dim(p, i);
  if (!leaves) return windows;
  Node *there = slide_windows(&p->b, b_broadcast(&p->b, b_const(&p->b, BOOL, 1), &inside), p->n, p->slides);
  return b_where(&p->b, flat_places(p, there, 0), windows, b_const(&p->b, windows->type.dtype, -INFINITY));
}

/* The largest along one axis; the first of equals. */
static Node *largest(Pooling *p, Node *x, int axis) {
  Attrs attrs = {.n_axes = 1, .axes = {axis}, .first = true};
  return node_new(p->l->graph, OP_max, &x, 1, &attrs, join(p->l, p->b.prefix, "max"), p->b.span);
}

static Node *largest_of_windows(Pooling *p) {
  int at = first_axis(p);
  return largest(p, hide_padding(p, flat_places(p, slide_windows(&p->b, p->x, p->n, p->slides), at)), at);
}

/* ---- the mean ---- */

/* Elements a window at o has along an axis: from max(o s - p, low) to min(o s - p + k, high). */
static Node *counted(Pooling *p, const Slide *s, int64_t low, int64_t high) {
  Type t = type_shape(I32, 1, &(Dim){.size = s->positions});
  Node *begin = b_scalar(&p->b, OP_sub, b_scalar(&p->b, OP_mul, b_iota(&p->b, &t, 0), (double)s->stride), (double)s->before);
  Node *end = b_scalar(&p->b, OP_minimum, b_scalar(&p->b, OP_add, begin, (double)s->kernel), (double)high);
  return b_cast(&p->b, b_binary(&p->b, OP_sub, end, b_scalar(&p->b, OP_maximum, begin, (double)low)), p->x->type.dtype);
}

static Node *mean_of_windows(Pooling *p) {
  Node *windows = slide_windows(&p->b, p->x, p->n, p->slides), *divisor = NULL;
  int axes[MAX_SPATIAL];
  double fixed = 1;
  for (int i = 0; i < p->n; i++) {
    const Slide *s = &p->slides[i];
    int64_t outside = p->counts_padding ? s->before : 0;
    bool even = (outside == s->before) && (s->positions - 1) * s->stride + s->kernel <= s->size + 2 * outside;
    axes[i] = first_axis(p) + i;
    if (even) {
      fixed *= (double)s->kernel;
      continue;
    }
    Node *count = counted(p, s, -outside, s->size + outside);
    Type column = {.dtype = count->type.dtype, .rank = p->n - i, .dim = {count->type.dim[0]}};
    for (int k = 1; k < column.rank; k++) column.dim[k] = dim_literal(1);
    count = b_reshape(&p->b, count, &column);
    divisor = divisor ? b_binary(&p->b, OP_mul, divisor, count) : count;
  }
  Node *sum = b_reduce(&p->b, OP_sum, windows, p->n, axes, false);
  if (fixed != 1 || !divisor) sum = b_scalar(&p->b, OP_div, sum, fixed);
  return divisor ? b_binary(&p->b, OP_div, sum, divisor) : sum;
}

static Value pooled(Pooling *p) { return tensor_value(p->largest ? largest_of_windows(p) : mean_of_windows(p)); }

Value pool_call(Lower *l, Call *call, const Builtin *self) {
  Pooling p;
  return start(&p, l, call, self) && read_slides(&p) ? pooled(&p) : poison();
}

/* ---- as many windows as asked for ---- */

/* Window o of n over an axis of `size`: from floor(o size / n) to ceil((o + 1) size / n). */
static Node *bound(Pooling *p, const Type *t, int64_t size, int64_t n, bool end) {
  Node *scaled = b_scalar(&p->b, OP_mul, b_iota(&p->b, t, 0), (double)size);
  return b_scalar(&p->b, OP_floordiv, b_scalar(&p->b, OP_add, scaled, (double)(end ? size + n - 1 : 0)), (double)n);
}

/* One axis whose windows differ in length: [.., a, rest] to [.., n, rest], each of n looking at all of a. */
static Node *uneven(Pooling *p, Node *x, int axis, int64_t n) {
  int64_t size = x->type.dim[axis].size;
  int behind = x->type.rank - axis - 1;
  Type row = type_shape(I32, 1, &(Dim){.size = size}), column = {.dtype = I32, .rank = 2, .dim = {dim_literal(n), dim_literal(1)}};
  Node *at = b_iota(&p->b, &row, 0), *low = bound(p, &column, size, n, false), *high = bound(p, &column, size, n, true);
  Node *inside = b_binary(&p->b, OP_and, b_binary(&p->b, OP_ge, at, low), b_binary(&p->b, OP_lt, at, high));
  Type mask = inside->type, spread = x->type, divisor = {.dtype = x->type.dtype, .rank = 1 + behind, .dim = {dim_literal(n)}};
  for (int i = 0; i < behind; i++) mask.dim[mask.rank++] = divisor.dim[1 + i] = dim_literal(1);
  memmove(&spread.dim[axis + 1], &spread.dim[axis], sizeof spread.dim[0] * (size_t)(behind + 1));
  spread.dim[axis] = dim_literal(1);
  spread.rank++;
  Node *none = b_const(&p->b, x->type.dtype, p->largest ? -INFINITY : 0);
  Node *windows = b_where(&p->b, b_reshape(&p->b, inside, &mask), b_reshape(&p->b, x, &spread), none);
  int over = axis + 1;
  if (p->largest) return largest(p, windows, over);
  Node *count = b_cast(&p->b, b_binary(&p->b, OP_sub, high, low), x->type.dtype);
  return b_binary(&p->b, OP_div, b_reduce(&p->b, OP_sum, windows, 1, &over, false), b_reshape(&p->b, count, &divisor));
}

Value adaptive_pool_call(Lower *l, Call *call, const Builtin *self) {
  Pooling p;
  int64_t n[MAX_SPATIAL];
  bool even = true;
  if (!start(&p, l, call, self) || !slide_kernel(l, call, p.n, n)) return poison();
  for (int i = 0; i < p.n; i++) {
    int64_t size = axis_dim(&p, i)->size;
    if (size < 1)
      return report(l->d, E0213, place(l, call->e->at), "%s of an axis without elements", p.name), poison();
    p.slides[i] = (Slide){size, size / n[i], size / n[i], 1, 0, n[i]};
    even &= size % n[i] == 0;
  }
  if (even) return p.counts_padding = true, pooled(&p);
  Node *x = p.x;
  for (int i = p.n - 1; i >= 0; i--)
    if (x->type.dim[first_axis(&p) + i].size != n[i]) x = uneven(&p, x, first_axis(&p) + i, n[i]);
  return tensor_value(x);
}
