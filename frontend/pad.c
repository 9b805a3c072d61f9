/* pad.c - values padded, turned round and masked, by where an element stands. */
#include <math.h>
#include <string.h>

#include "frontend/join.h"

/* ---- pad ---- */

typedef enum PadMode { PAD_VALUE, PAD_REFLECT, PAD_REPLICATE, PAD_CIRCULAR, PAD_MODES } PadMode;
static const char *const mode_names[PAD_MODES] = {"constant", "reflect", "replicate", "circular"};

typedef struct Padding {
  int n, axes[MAX_RANK];
  int64_t front, back; /* of each of the axes */
  PadMode mode;
} Padding;

static bool read_mode(Lower *l, Call *call, PadMode *mode) {
  const Expr *e = take_key(call, "mode");
  Value v = e ? eval(l, e) : (Value){.kind = TEXT, .name = mode_names[PAD_VALUE]};
  for (*mode = 0; v.kind == TEXT && *mode < PAD_MODES; ++*mode)
    if (!strcmp(v.name, mode_names[*mode])) return true;
  if (v.kind != POISON)
    report(l->d, E0106, place(l, e->at), "mode is \"constant\", \"reflect\", \"replicate\" or \"circular\", this is %s",
           v.kind == TEXT ? arena_print(l->arena, "\"%s\"", v.name) : describe(l, &v));
  return false;
}

/* pad(x, 1, ...): on both sides; pad(x, 0, 1, ...): behind only. */
static bool read_sizes(Lower *l, const Call *call, Padding *p) {
  int64_t *const size[] = {&p->front, &p->back};
  for (int i = 0; i < 2; i++) {
    const Expr *e = call->expr[i + 1 < call->n ? i + 1 : call->n - 1];
    if (!whole_number(l, e ? e : call->e, size[i])) return false;
    if (*size[i] >= 0 && *size[i] < 1 << 30) continue;
    report(l->d, E0214, place(l, e->at), "an axis is padded by 0 elements or more, not by %lld", (long long)*size[i]);
    report_help(l->d, "to take elements away write a slice: x[:, 1:]");
    return false;
  }
  return true;
}

/* What stands in the padding is taken from the axis, which must have as much. */
static bool has_enough(Lower *l, const Call *call, const Padding *p, const Type *type) {
  int64_t most = p->front > p->back ? p->front : p->back;
  int64_t least = p->mode == PAD_REFLECT ? most + 1 : p->mode == PAD_CIRCULAR ? most : most > 0;
  for (int i = 0; i < p->n && p->mode != PAD_VALUE; i++) {
    int64_t size = type->dim[p->axes[i]].size;
    if (size >= least || most == 0) continue;
    report(l->d, E0214, place(l, call->e->at), "pad: \"%s\" by %lld takes an axis of %lld at least, axis %d has %lld",
           mode_names[p->mode], (long long)most, (long long)least, p->axes[i], (long long)size);
    return false;
  }
  return true;
}

/* Is an element of the padded value one of x's? */
static Node *is_inside(Builder *b, const Type *whole, int axis, int64_t start, int64_t size) {
  Node *below = before(b, whole, axis, start + size);
  return start ? b_binary(b, OP_and, b_unary(b, OP_not, before(b, whole, axis, start)), below) : below;
}

/* One value in all of the padding. */
static Node *pad_value(Builder *b, Node *x, const Padding *p, Node *value) {
  int64_t start[MAX_RANK] = {0};
  Type whole = x->type;
  Node *inside = NULL;
  for (int i = 0; i < p->n; i++) {
    start[p->axes[i]] = p->front;
    whole.dim[p->axes[i]] = dim_literal(whole.dim[p->axes[i]].size + p->front + p->back);
  }
  Node *padded = b_pad(b, x, &whole, start, every);
  for (int i = 0; i < p->n && value; i++) {
    Node *here = is_inside(b, &whole, p->axes[i], p->front, x->type.dim[p->axes[i]].size);
    inside = inside ? b_binary(b, OP_and, inside, here) : here;
  }
  return inside ? b_where(b, inside, padded, value) : padded;
}

/* `size` elements of the axis from start on, backwards. */
static Node *backwards(Builder *b, Node *x, int axis, int64_t start, int64_t size) {
  int64_t begin[MAX_RANK] = {0}, step[MAX_RANK];
  Type part = x->type;
  memcpy(step, every, sizeof step);
  begin[axis] = size ? start : 0;
  step[axis] = size > 1 ? -1 : 1;
  part.dim[axis] = dim_literal(size);
  return b_slice(b, x, &part, begin, step);
}

static Node *repeated(Builder *b, Node *x, int axis, int64_t at, int64_t times) {
  Node *one = cut(b, x, axis, at, dim_literal(1));
  Type many = one->type;
  many.dim[axis] = dim_literal(times);
  return b_broadcast(b, one, &many);
}

/* What stands in front of an axis or, at_end, behind it. */
static Node *border(Builder *b, Node *x, int axis, const Padding *p, bool at_end) {
  int64_t size = x->type.dim[axis].size, n = at_end ? p->back : p->front;
  switch (p->mode) {
  case PAD_REFLECT: return backwards(b, x, axis, at_end ? size - 2 : n, n);
  case PAD_REPLICATE: return repeated(b, x, axis, at_end ? size - 1 : 0, n);
  default: return cut(b, x, axis, at_end ? 0 : size - n, dim_literal(n));
  }
}

static Node *pad_with_own(Builder *b, Node *x, const Padding *p) {
  for (int i = 0; i < p->n; i++) {
    Parts parts = {0};
    if (p->front) parts.x[parts.n++] = border(b, x, p->axes[i], p, false);
    parts.x[parts.n++] = x;
    if (p->back) parts.x[parts.n++] = border(b, x, p->axes[i], p, true);
    x = join_parts(b, &parts, p->axes[i], dim_literal(x->type.dim[p->axes[i]].size + p->front + p->back));
  }
  return x;
}

/* pad(x, 1, over: 0), pad(x, 0, 1, over: [1, 2], value: 2.5), pad(x, 2, over: [1, 2], mode: "reflect") */
Value pad_call(Lower *l, Call *call, const Builtin *self) {
  Padding p = {0};
  const Expr *with = take_key(call, "value");
  Node *x = right_count(l, call, self) ? as_tensor(l, call->value[0], F32, call->e) : NULL;
  if (!x || !read_sizes(l, call, &p) || !read_mode(l, call, &p.mode)) return poison();
  if (!fixed_axes(l, call, self, &x->type, p.axes, &p.n) || !has_enough(l, call, &p, &x->type)) return poison();
  if (with && p.mode != PAD_VALUE)
    return report(l->d, E0104, place(l, with->at), "value: is of mode: \"constant\", this is mode: \"%s\"", mode_names[p.mode]),
           poison();
  Value value = with ? eval_at(l, with, "value") : number_value(0, false);
  Node *rest = as_tensor(l, value, x->type.dtype, with ? with : call->e);
  if (!rest) return poison();
  if (rest->type.rank)
    return report(l->d, E0204, place(l, with->at), "pad takes one value for all new elements, this is %s", describe(l, &value)),
           poison();
  Builder b = builders(l, call->e, self->name);
  bool zero = value.kind == NUMBER && value.number == 0 && !signbit(value.number);
  if (p.front == 0 && p.back == 0) return tensor_value(x);
  return tensor_value(p.mode == PAD_VALUE ? pad_value(&b, x, &p, zero ? NULL : rest) : pad_with_own(&b, x, &p));
}

/* ---- flip and roll ---- */

Value flip_call(Lower *l, Call *call, const Builtin *self) {
  int axes[MAX_RANK], n;
  int64_t start[MAX_RANK] = {0}, step[MAX_RANK];
  Node *x = right_count(l, call, self) ? as_tensor(l, call->value[0], F32, call->e) : NULL;
  if (!x || !fixed_axes(l, call, self, &x->type, axes, &n)) return poison();
  memcpy(step, every, sizeof step);
  for (int i = 0; i < n; i++) {
    if (x->type.dim[axes[i]].size < 2) continue;
    start[axes[i]] = x->type.dim[axes[i]].size - 1;
    step[axes[i]] = -1;
  }
  Builder b = builder(l, call->e);
  return tensor_value(b_slice(&b, x, &x->type, start, step));
}

/* roll(x, 2, over: T): each element two further on, the last two in front. */
Value roll_call(Lower *l, Call *call, const Builtin *self) {
  int axis;
  int64_t by;
  Node *x = right_count(l, call, self) ? as_tensor(l, call->value[0], F32, call->e) : NULL;
  if (!x || !whole_number(l, call->expr[1], &by) || !fixed_axis(l, call, self, &x->type, &axis)) return poison();
  int64_t size = x->type.dim[axis].size;
  by = size ? (by % size + size) % size : 0;
  if (by == 0) return tensor_value(x);
  Builder b = builders(l, call->e, self->name);
  Parts halves = {.n = 2, .x = {cut(&b, x, axis, size - by, dim_literal(by)), cut(&b, x, axis, 0, dim_literal(size - by))}};
  return tensor_value(join_parts(&b, &halves, axis, x->type.dim[axis]));
}

/* ---- triangles of the last two axes ---- */

/* Column - row, [.., R, C]. */
static Node *offsets(Builder *b, const Type *t) {
  Type column = type_shape(I32, 2, (Dim[]){t->dim[t->rank - 2], dim_literal(1)});
  Type row = type_shape(I32, 1, &t->dim[t->rank - 1]);
  return b_binary(b, OP_sub, b_iota(b, &row, 0), b_iota(b, &column, 0));
}

/* tril(x) keeps what lies on the diagonal and below, triu(x) above, causal(x) is tril with -inf for the rest. */
Value triangle_call(Lower *l, Call *call, const Builtin *self) {
  const Expr *diagonal = take_key(call, "diagonal");
  bool is_causal = !strcmp(self->name, "causal");
  int64_t k = 0;
  Node *x = right_count(l, call, self) ? as_tensor(l, call->value[0], F32, call->e) : NULL;
  if (!x || (diagonal && !whole_number(l, diagonal, &k))) return poison();
  if (x->type.rank < 2)
    return report(l->d, E0204, place(l, call->e->at), "%s needs two axes or more, this is %s", self->name,
                  describe(l, &call->value[0])),
           poison();
  if (is_causal && !dtype_is_float(x->type.dtype))
    return report(l->d, E0208, place(l, call->e->at), "causal of %s, which has no -inf: cast first, causal(f32(x))",
                  dtype_name(x->type.dtype)),
           poison();
  Builder b = builders(l, call->e, self->name);
  Node *kept = b_scalar(&b, self->op, offsets(&b, &x->type), (double)k);
  return tensor_value(b_where(&b, kept, x, b_const(&b, x->type.dtype, is_causal ? -INFINITY : 0)));
}
