/* op.c - the op table and shape inference: one short function a shape rule.
 *
 * A rule takes the operands' types and gives the result's, or a message with
 * both operands in it, by name and size.  The frontend asks strictly: two bare
 * names match only when they are one symbol.  Passes and the reader ask by
 * size, since what they join has been checked; a capacity never matches
 * anything but itself, whoever asks.
 */
#include <string.h>

#include "ir/ir.h"

const OpInfo op_info[OP_COUNT] = {
#define OP(op, n, kind, attributes, shape, gradient, expression) [OP_##op] = {#op, n, kind, attributes, expression},
#include "ir/ops.def"
#undef OP
};

bool op_find(const char *name, Op *out) {
  for (int op = 0; op < OP_COUNT; op++)
    if (!strcmp(name, op_info[op].name)) return *out = (Op)op, true;
  return false;
}

/* What a shape rule gets, and where it puts its answer. */
typedef struct Inference {
  Op op;
  int n;
  const Type *const *in;
  const Attrs *attrs;
  bool strict;
  Type *out;
  TypeError *error;
} Inference;

static bool fail(TypeError *error, const char *kind, const char *format, ...) PRINTF_LIKE(3, 4);
static bool fail(TypeError *error, const char *kind, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (error) {
    vsnprintf(error->message, sizeof error->message, format, args);
    error->kind = kind;
  }
  va_end(args);
  return false;
}

/* "H (256)", "B (<=64)", "784": a dim as messages name it. */
typedef struct Phrase {
  char text[96];
} Phrase;
static Phrase dim_phrase(const Dim *d) {
  Phrase p;
  const char *name = d->symbol ? d->symbol->name : d->text;
  if (name)
    snprintf(p.text, sizeof p.text, "%.60s (%s%lld)", name, d->rows ? "<=" : "", (long long)d->size);
  else
    snprintf(p.text, sizeof p.text, "%lld", (long long)d->size);
  return p;
}

typedef struct TypePhrase {
  char text[160];
} TypePhrase;
static TypePhrase type_phrase(const Type *t) {
  TypePhrase p = {"["};
  size_t used = 1;
  for (int i = 0; i < t->rank && used < sizeof p.text - 48; i++) {
    const Dim *d = &t->dim[i];
    const char *name = d->symbol ? d->symbol->name : d->text, *comma = i ? ", " : "";
    used += (size_t)(name ? snprintf(p.text + used, sizeof p.text - used, "%s%.30s", comma, name)
                          : snprintf(p.text + used, sizeof p.text - used, "%s%lld", comma, (long long)d->size));
  }
  snprintf(p.text + used, sizeof p.text - used, "]");
  return p;
}

/* Text that lives as long as the expression it stands in. */
#define DIM(d)  dim_phrase(d).text
#define TYPE(t) type_phrase(t).text
#define NAME(f) op_info[(f)->op].name

/* ---- broadcasting ---- */

static bool is_one(const Dim *d) { return d->size == 1 && !d->rows && !d->symbol; }

/* Of two dims that match, the one that says more. */
static Dim merge(Dim a, Dim b) { return a.symbol || (a.text && !b.symbol) ? a : b.symbol || b.text ? b : a; }

static int times_in(const Type *t, const Symbol *symbol) {
  int n = 0;
  for (int i = 0; i < t->rank; i++) n += t->dim[i].symbol == symbol;
  return n;
}

/* [B, 1] - [B] would be [B, B]: nearly always a slip. */
static bool check_repeats(const Type *a, const Type *b, const Type *out, TypeError *error) {
  for (int i = 0; i < out->rank; i++) {
    const Symbol *s = out->dim[i].symbol;
    if (s && times_in(out, s) > 1 && times_in(a, s) < 2 && times_in(b, s) < 2)
      return fail(error, "repeat", "%s and %s would broadcast to %s, with %s twice", TYPE(a), TYPE(b), TYPE(out),
                  s->name);
  }
  return true;
}

bool infer_broadcast(const Type *a, const Type *b, bool strict, Type *out, TypeError *error) {
  int rank = a->rank > b->rank ? a->rank : b->rank;
  Type result = {.dtype = a->dtype, .rank = rank};
  for (int i = 1; i <= rank; i++) {
    const Dim *x = i <= a->rank ? &a->dim[a->rank - i] : NULL, *y = i <= b->rank ? &b->dim[b->rank - i] : NULL;
    Dim *to = &result.dim[rank - i];
    if (!x || !y)
      *to = x ? *x : *y;
    else if (dim_same(*x, *y, strict))
      *to = merge(*x, *y);
    else if (is_one(x))
      *to = *y;
    else if (is_one(y))
      *to = *x;
    else if (!strict && x->size == 1 && !x->rows)
      *to = *y;
    else if (!strict && y->size == 1 && !y->rows)
      *to = *x;
    else
      return fail(error, "broadcast", "shapes %s and %s do not fit: %s and %s differ", TYPE(a), TYPE(b), DIM(x),
                  DIM(y));
  }
  if (strict && !check_repeats(a, b, &result, error)) return false;
  *out = result;
  return true;
}

/* ---- leaves and structure ---- */

/* What is added up by index: rows[ids..., ...] into shape[V, ...]. */
static bool check_scatter(const Inference *f) {
  const Type *rows = f->in[0], *ids = f->in[1], *to = &f->attrs->shape;
  bool fits = to->rank >= 1 && rows->rank == ids->rank + to->rank - 1;
  for (int i = 0; fits && i < rows->rank; i++)
    fits = dim_same(rows->dim[i], i < ids->rank ? ids->dim[i] : to->dim[i - ids->rank + 1], false);
  if (!fits)
    return fail(f->error, "index", "scatter_add: rows %s at indices %s do not fit into %s", TYPE(rows), TYPE(ids),
                TYPE(to));
  if (dtype_is_float(ids->dtype) || ids->dtype == BOOL)
    return fail(f->error, "dtype", "scatter_add: indices must be integers, they are %s", dtype_name(ids->dtype));
  if (rows->dtype != to->dtype)
    return fail(f->error, "dtype", "scatter_add: rows of %s cannot be added into %s", dtype_name(rows->dtype),
                dtype_name(to->dtype));
  if (to->dtype == BF16) return fail(f->error, "dtype", "scatter_add: sums are made in f32, not in bf16");
  return true;
}

static bool shape_asked(const Inference *f) { /* as asked for */
  const Type *asked = &f->attrs->shape;
  if (f->op == OP_scatter_add && !check_scatter(f)) return false;
  if ((f->op == OP_const || f->op == OP_counter || f->op == OP_turn) && asked->rank != 0)
    return fail(f->error, "rank", "%s: a scalar, not %s", NAME(f), TYPE(asked));
  if (f->op == OP_iota && (f->attrs->axis < 0 || f->attrs->axis >= asked->rank))
    return fail(f->error, "axis", "iota: axis %d is not one of %s", f->attrs->axis, TYPE(asked));
  return *f->out = *asked, true;
}

/* Turns of loops, outermost first. */
static bool shape_draw(const Inference *f) { /* as asked for */
  for (int i = 0; i < f->n; i++)
    if (f->in[i]->rank != 0 || f->in[i]->dtype != I32)
      return fail(f->error, "rank", "random: its operands are turns of loops, not %s", TYPE(f->in[i]));
  return *f->out = f->attrs->shape, true;
}

static bool shape_rows(const Inference *f) { /* [], i32 */
  if (!f->attrs->symbol || !f->attrs->symbol->rows)
    return fail(f->error, "axis", "rows: only of a batch dim there are fewer or more");
  return *f->out = type_scalar(I32), true;
}

static bool shape_none(const Inference *f) { return *f->out = type_scalar(F32), true; } /* that of its results */
static bool shape_result(const Inference *f) { return *f->out = f->attrs->shape, true; } /* as asked for */

static bool shape_grad(const Inference *f) { /* operand 1's */
  if (f->in[0]->rank != 0)
    return fail(f->error, "rank", "grad: the first argument must be a scalar, it is %s", TYPE(f->in[0]));
  return *f->out = *f->in[1], true;
}

/* ---- maps ---- */

/* PyTorch's refusals: true + true is true, but true - true is an error. */
static bool check_number(const Inference *f) {
  static const Op refusing[] = {OP_sub,      OP_neg, OP_abs, OP_relu,  OP_floor, OP_ceil,
                                OP_floordiv, OP_mod, OP_pow, OP_round, OP_clamp};
  bool refuses = false;
  for (size_t i = 0; i < sizeof refusing / sizeof refusing[0]; i++) refuses |= f->op == refusing[i];
  for (int i = 0; i < f->n; i++) refuses &= f->in[i]->dtype == BOOL;
  if (refuses) return fail(f->error, "dtype", "%s: expected numbers, found bool", NAME(f));
  return true;
}

static bool shape_same(const Inference *f) { /* x's */
  if (!check_number(f)) return false;
  return *f->out = *f->in[0], true;
}

static bool shape_float(const Inference *f) { /* x's; whole numbers become f32 */
  *f->out = *f->in[0];
  if (!dtype_is_float(f->out->dtype)) f->out->dtype = F32;
  return true;
}

static bool shape_cast(const Inference *f) { /* x's, in the dtype asked for */
  *f->out = *f->in[0];
  f->out->dtype = f->attrs->shape.dtype;
  return true;
}

static bool broadcast_as(const Inference *f, DType dtype) {
  if (!infer_broadcast(f->in[0], f->in[1], f->strict, f->out, f->error)) return false;
  return f->out->dtype = dtype, true;
}

static bool shape_bcast(const Inference *f) { /* x and y broadcast, dtypes promoted */
  return check_number(f) && broadcast_as(f, dtype_promote(f->in[0]->dtype, f->in[1]->dtype));
}

static bool shape_divide(const Inference *f) { /* x and y broadcast; whole numbers become f32 */
  DType dtype = dtype_promote(f->in[0]->dtype, f->in[1]->dtype);
  return broadcast_as(f, dtype_is_float(dtype) ? dtype : F32);
}

static bool shape_compare(const Inference *f) { return broadcast_as(f, BOOL); } /* x and y broadcast, bool */

static bool shape_logic(const Inference *f) { /* of bools, broadcast: bool */
  for (int i = 0; i < f->n; i++)
    if (f->in[i]->dtype != BOOL)
      return fail(f->error, "dtype", "%s: expected bool, found %s", NAME(f), dtype_name(f->in[i]->dtype));
  if (f->n == 1) return shape_same(f);
  return broadcast_as(f, BOOL);
}

static bool shape_where(const Inference *f) { /* all three broadcast; dtypes of x and y promoted */
  Type branches;
  if (f->in[0]->dtype != BOOL)
    return fail(f->error, "dtype", "where: the condition must be bool, it is %s", dtype_name(f->in[0]->dtype));
  if (!infer_broadcast(f->in[1], f->in[2], f->strict, &branches, f->error)) return false;
  if (!infer_broadcast(f->in[0], &branches, f->strict, f->out, f->error)) return false;
  f->out->dtype = dtype_promote(f->in[1]->dtype, f->in[2]->dtype);
  return true;
}

/* ---- views ---- */

static bool with_dtype(const Inference *f, const Type *shape) {
  *f->out = *shape;
  f->out->dtype = f->in[0]->dtype;
  return true;
}

/* The next axis from *at on that scales with a batch; *outer: elements of the axes before it. */
static const Dim *next_rows(const Type *t, int *at, int64_t *outer) {
  while (*at < t->rank) {
    const Dim *d = &t->dim[(*at)++];
    if (d->rows) return d;
    *outer *= d->size;
  }
  return NULL;
}

/* Strides go by capacity, so a batch stays where it is: the same elements outside it, and it
 * outermost in its axis: [H, B, T] may become [H, B*T], never [H*B, T]. */
static bool keeps_rows(const Type *from, const Type *to) {
  int i = 0, k = 0;
  int64_t outer_from = 1, outer_to = 1;
  for (;;) {
    const Dim *a = next_rows(from, &i, &outer_from), *b = next_rows(to, &k, &outer_to);
    if (!a || !b) return !a && !b;
    if (a->rows != b->rows || outer_from != outer_to) return false;
    outer_from *= a->size / (a->rows->size ? a->rows->size : 1);
    outer_to *= b->size / (b->rows->size ? b->rows->size : 1);
  }
}

static bool shape_reshape(const Inference *f) { /* as asked for, of as many elements */
  const Type *from = f->in[0], *to = &f->attrs->shape;
  if (type_count(from) != type_count(to))
    return fail(f->error, "reshape", "reshape: %s has %lld elements, %s has %lld", TYPE(from),
                (long long)type_count(from), TYPE(to), (long long)type_count(to));
  if (!keeps_rows(from, to))
    return fail(f->error, "rows", "reshape: %s to %s loses or moves the batch axis", TYPE(from), TYPE(to));
  return with_dtype(f, to);
}

static bool shape_transpose(const Inference *f) { /* x's axes in another order */
  const Type *x = f->in[0];
  unsigned seen = 0;
  if (f->attrs->n_axes != x->rank)
    return fail(f->error, "axis", "transpose: %d axes named, %s has %d", f->attrs->n_axes, TYPE(x), x->rank);
  *f->out = *x;
  for (int i = 0; i < x->rank; i++) {
    int from = f->attrs->axes[i];
    if (from < 0 || from >= x->rank || seen >> from & 1)
      return fail(f->error, "axis", "transpose: the axes are no permutation");
    seen |= 1u << from;
    f->out->dim[i] = x->dim[from];
  }
  return true;
}

static bool shape_broadcast(const Inference *f) { /* as asked for */
  Type both;
  if (!infer_broadcast(f->in[0], &f->attrs->shape, f->strict, &both, f->error)) return false;
  if (!type_same_shape(&both, &f->attrs->shape))
    return fail(f->error, "broadcast", "broadcast: %s does not fit into %s", TYPE(f->in[0]), TYPE(&f->attrs->shape));
  return with_dtype(f, &f->attrs->shape);
}

/* A slice of `small` elements, `step` apart from `start`, inside `large`. */
static bool check_window(const Inference *f, const Type *small, const Type *large, const char *what) {
  if (small->rank != large->rank)
    return fail(f->error, "rank", "%s: %s and %s have different ranks", what, TYPE(small), TYPE(large));
  for (int i = 0; i < small->rank; i++) {
    int64_t start = f->attrs->start[i], step = f->attrs->step[i], n = small->dim[i].size;
    bool whole = dim_same(small->dim[i], large->dim[i], false) && start == 0 && step == 1;
    if (whole) continue;
    if (small->dim[i].rows || large->dim[i].rows)
      return fail(f->error, "rows", "%s: %s is the batch axis, which cannot be cut", what,
                  DIM(small->dim[i].rows ? &small->dim[i] : &large->dim[i]));
    int64_t size = large->dim[i].size;
    int64_t room = step < 0 ? start : size - 1 - start; /* steps below 0 go down to the first */
    bool fits = step != 0 && start >= 0 &&
                (n == 0 ? start <= size : start < size && (n - 1) <= room / (step < 0 ? -step : step));
    if (!fits)
      return fail(f->error, "index", "%s: axis %d: %lld elements from %lld in steps of %lld do not fit into %lld", what,
                  i, (long long)n, (long long)start, (long long)step, (long long)size);
  }
  return with_dtype(f, &f->attrs->shape);
}

static bool shape_slice(const Inference *f) { return check_window(f, &f->attrs->shape, f->in[0], "slice"); } /* as asked for */
static bool shape_pad(const Inference *f) { return check_window(f, f->in[0], &f->attrs->shape, "pad"); } /* as asked for */

/* Elements (o, k) and h = o * stride + k * dilation - padding of one axis pair; the batch is neither. */
static bool shape_skew(const Inference *f) { /* as asked for, one axis of another size */
  const Type *x = f->in[0], *to = &f->attrs->shape;
  const Attrs *a = f->attrs;
  if (x->rank != to->rank)
    return fail(f->error, "rank", "%s: %s and %s have different ranks", NAME(f), TYPE(x), TYPE(to));
  if (a->axis == a->window || a->axis < 0 || a->axis >= x->rank || a->window < 0 || a->window >= x->rank)
    return fail(f->error, "axis", "%s: axes %d and %d are no pair of axes of %s", NAME(f), a->axis, a->window, TYPE(x));
  if (a->stride < 1 || a->dilation < 1 || a->padding < 0)
    return fail(f->error, "index", "%s: stride %d, dilation %d and padding %d: at least 1, 1 and 0", NAME(f), a->stride,
                a->dilation, a->padding);
  for (int i = 0; i < x->rank; i++)
    if (i != a->axis && !dim_same(x->dim[i], to->dim[i], false))
      return fail(f->error, "index", "%s: axis %d of %s is %s in the result", NAME(f), i, TYPE(x), DIM(&to->dim[i]));
  int64_t positions = f->op == OP_skew ? to->dim[a->axis].size : x->dim[a->axis].size, by_position, by_place, last;
  for (int i = 0; i < 3; i++) {
    const Dim *d = i == 0 ? &x->dim[a->axis] : i == 1 ? &to->dim[a->axis] : &x->dim[a->window];
    if (d->rows)
      return fail(f->error, "rows", "%s: %s is the batch axis, over which no window slides", NAME(f), DIM(d));
  }
  if (__builtin_mul_overflow(positions, (int64_t)a->stride, &by_position) ||
      __builtin_mul_overflow(x->dim[a->window].size, (int64_t)a->dilation, &by_place) ||
      __builtin_add_overflow(by_position, by_place, &last))
    return fail(f->error, "index", "%s: the windows reach too far", NAME(f));
  return with_dtype(f, to);
}

/* ---- reductions ---- */

static bool reduce_axes(const Inference *f) {
  const Type *x = f->in[0];
  unsigned reduced = 0;
  for (int i = 0; i < f->attrs->n_axes; i++) {
    int axis = f->attrs->axes[i];
    if (axis < 0 || axis >= x->rank || reduced >> axis & 1)
      return fail(f->error, "axis", "%s: axis %d is %s %s", NAME(f), axis,
                  axis < 0 || axis >= x->rank ? "not one of" : "twice in", TYPE(x));
    reduced |= 1u << axis;
  }
  Type out = {.dtype = x->dtype};
  for (int i = 0; i < x->rank; i++) {
    if (reduced >> i & 1 && x->dim[i].size == 0 && f->op != OP_sum)
      return fail(f->error, "axis", "%s: %s has no element along axis %d", NAME(f), TYPE(x), i);
    if (!(reduced >> i & 1))
      out.dim[out.rank++] = x->dim[i];
    else if (f->attrs->keep)
      out.dim[out.rank++] = dim_literal(1);
  }
  *f->out = out;
  return true;
}

static bool shape_reduce(const Inference *f) { /* x's without the axes, or 1 there (keep); a sum of whole numbers is i32 */
  if (!reduce_axes(f)) return false;
  if (f->attrs->first && f->attrs->n_axes != 1)
    return fail(f->error, "axis", "%s: the first of equals is that along one axis, not %d", NAME(f), f->attrs->n_axes);
  if (f->op == OP_sum && !dtype_is_float(f->out->dtype)) f->out->dtype = I32;
  return true;
}

static bool shape_argmax(const Inference *f) { /* x's without the axis, i32 */
  if (f->attrs->n_axes != 1) return fail(f->error, "axis", "%s: exactly one axis can be searched", NAME(f));
  if (!reduce_axes(f)) return false;
  return f->out->dtype = I32, true;
}

/* ---- contractions and memory by index ---- */

static bool shape_matmul(const Inference *f) { /* [.., m, k] @ [.., k, n] is [.., m, n] */
  const Type *a = f->in[0], *b = f->in[1];
  if (a->rank < 2 || b->rank < 2)
    return fail(f->error, "rank", "matmul: both operands need two axes or more, they are %s and %s", TYPE(a), TYPE(b));
  bool ta = f->attrs->ta, tb = f->attrs->tb;
  Dim m = a->dim[a->rank - (ta ? 1 : 2)], k = a->dim[a->rank - (ta ? 2 : 1)];
  Dim k2 = b->dim[b->rank - (tb ? 1 : 2)], n = b->dim[b->rank - (tb ? 2 : 1)];
  if (!dim_same(k, k2, f->strict))
    return fail(f->error, "inner", "matmul: inner sizes differ, %s and %s", DIM(&k), DIM(&k2));
  if (b->rank != 2 && b->rank != a->rank)
    return fail(f->error, "rank", "matmul: leading axes of %s and %s differ", TYPE(a), TYPE(b));
  for (int i = 0; b->rank > 2 && i < a->rank - 2; i++)
    if (!dim_same(a->dim[i], b->dim[i], f->strict))
      return fail(f->error, "leading", "matmul: leading axes differ, %s and %s", DIM(&a->dim[i]), DIM(&b->dim[i]));
  *f->out = *a;
  f->out->dim[a->rank - 2] = m;
  f->out->dim[a->rank - 1] = n;
  if (!dtype_is_float(a->dtype) || a->dtype != b->dtype)
    return fail(f->error, "dtype", "matmul: expected floats of one type, found %s and %s", dtype_name(a->dtype),
                dtype_name(b->dtype));
  if (f->attrs->wide && a->dtype != BF16)
    return fail(f->error, "dtype", "matmul: only a product of bf16 can be wide, not one of %s", dtype_name(a->dtype));
  if (f->attrs->wide) f->out->dtype = F32;
  return true;
}

enum { MOST_FEATURES = 128 }; /* a tile of attention has room for */

/* k, v and what the derivatives read, beside q: a batch is the first axis, so that heads lie one behind the other. */
static bool check_attention(const Inference *f) {
  const Type *q = f->in[0], *k = f->in[1], *v = f->n > 2 ? f->in[2] : k;
  int n = q->rank;
  if (n < 2 || k->rank != n || v->rank != n || n == MAX_RANK)
    return fail(f->error, "rank", "%s: q, k and v need the same axes, from 2 to %d, they are %s, %s and %s", NAME(f), MAX_RANK - 1,
                TYPE(q), TYPE(k), TYPE(v));
  for (int i = 0; i < n - 2; i++)
    if (!dim_same(q->dim[i], k->dim[i], f->strict) || !dim_same(k->dim[i], v->dim[i], f->strict))
      return fail(f->error, "leading", "%s: leading axes of %s, %s and %s differ", NAME(f), TYPE(q), TYPE(k), TYPE(v));
  if (!dim_same(k->dim[n - 2], v->dim[n - 2], f->strict))
    return fail(f->error, "leading", "%s: there are %s keys and %s values", NAME(f), DIM(&k->dim[n - 2]), DIM(&v->dim[n - 2]));
  if (!dim_same(q->dim[n - 1], k->dim[n - 1], f->strict) || !dim_same(k->dim[n - 1], v->dim[n - 1], false))
    return fail(f->error, "inner", "%s: features of %s, %s and %s differ", NAME(f), TYPE(q), TYPE(k), TYPE(v));
  for (int i = 0; i < n; i++)
    if ((q->dim[i].rows || k->dim[i].rows) && (i > 0 || n == 2))
      return fail(f->error, "rows", "%s: a batch can only be the first axis of three or more, not in %s and %s", NAME(f), TYPE(q), TYPE(k));
  if (k->dim[n - 1].size > MOST_FEATURES)
    return fail(f->error, "axis", "%s: at most %d features, %s has more", NAME(f), MOST_FEATURES, TYPE(k));
  if (!k->dim[n - 2].size || !k->dim[n - 1].size)
    return fail(f->error, "axis", "%s: %s has no keys", NAME(f), TYPE(k));
  if (!dtype_is_float(q->dtype) || k->dtype != q->dtype || v->dtype != q->dtype)
    return fail(f->error, "dtype", "%s: expected floats of one type, found %s, %s and %s", NAME(f), dtype_name(q->dtype),
                dtype_name(k->dtype), dtype_name(v->dtype));
  return true;
}

static bool shape_attention(const Inference *f) { /* that of q; lse a number a row of q; dkv two of k, one behind the other */
  if (!check_attention(f)) return false;
  const Type *q = f->in[0], *k = f->in[1];
  Type line = *q, both = {.dtype = k->dtype, .rank = k->rank + 1, .dim = {dim_literal(2)}};
  line.rank--, line.dtype = q->dtype == BF16 ? F32 : q->dtype;
  for (int i = 0; i < k->rank; i++) both.dim[1 + i] = k->dim[i];
  if (f->n == 6) {
    const Type *lse = f->in[3], *g = f->in[4], *along = f->in[5];
    if (!type_same_shape(g, q) || !type_same_shape(lse, &line) || !type_same_shape(along, &line))
      return fail(f->error, "leading", "%s: lse %s, g %s and along %s do not fit q, %s", NAME(f), TYPE(lse), TYPE(g), TYPE(along), TYPE(q));
    if (g->dtype != q->dtype || lse->dtype != line.dtype || along->dtype != line.dtype)
      return fail(f->error, "dtype", "%s: expected lse, g and along of %s, %s and %s", NAME(f), dtype_name(line.dtype),
                  dtype_name(q->dtype), dtype_name(line.dtype));
  }
  *f->out = f->op == OP_attention_lse ? line : f->op == OP_attention_dkv ? both : *q;
  return true;
}

static bool shape_gather(const Inference *f) { /* the ids', then the table's but its first */
  const Type *table = f->in[0], *ids = f->in[1];
  if (table->rank < 1) return fail(f->error, "rank", "gather: a scalar cannot be indexed");
  if (dtype_is_float(ids->dtype) || ids->dtype == BOOL)
    return fail(f->error, "dtype", "gather: indices must be integers, they are %s", dtype_name(ids->dtype));
  if (ids->rank + table->rank - 1 > MAX_RANK)
    return fail(f->error, "rank", "gather: the result has more than %d axes", MAX_RANK);
  *f->out = *ids;
  f->out->dtype = table->dtype;
  for (int i = 1; i < table->rank; i++) f->out->dim[f->out->rank++] = table->dim[i];
  return true;
}

/* ---- the table ---- */

typedef bool (*ShapeRule)(const Inference *);
static const ShapeRule rules[OP_COUNT] = {
#define OP(op, n, kind, attributes, shape, gradient, expression) [OP_##op] = shape,
#include "ir/ops.def"
#undef OP
};

bool infer_type(Op op, int n, const Type *const *in, const Attrs *attrs, bool strict, Type *out, TypeError *error) {
  static const Attrs none;
  if (op_info[op].n_inputs >= 0 && n != op_info[op].n_inputs)
    return fail(error, "count", "%s takes %d operands, not %d", op_info[op].name, op_info[op].n_inputs, n);
  Inference f = {op, n, in, attrs ? attrs : &none, strict, out, error};
  return rules[op](&f);
}
