/* index.c - index expressions: from an element of a result to elements of operands.
 *
 * Expressions are sums of axes times factors, with floor divisions and
 * remainders where a reshape does not follow the axes.  They are simplified as
 * they are built, by the ranges of their parts: splitting an axis and merging
 * it again gives back the plain axis.
 */
#include <string.h>

#include "ir/ir.h"

static const Index *make(Arena *arena, Index value) {
  Index *index = arena_alloc(arena, sizeof *index);
  *index = value;
  return index;
}

const Index *index_const(Arena *arena, int64_t value) { return make(arena, (Index){.kind = INDEX_CONST, .value = value, .low = value, .extent = 1}); }

const Index *index_axis(Arena *arena, int axis, int64_t extent) {
  if (extent == 1) return index_const(arena, 0);
  return make(arena, (Index){.kind = INDEX_AXIS, .axis = axis, .extent = extent});
}

static int64_t high(const Index *x) { return x->low + x->extent - 1; }

bool index_equal(const Index *a, const Index *b) {
  if (a == b) return true;
  if (a->kind != b->kind || a->value != b->value || a->axis != b->axis) return false;
  return (!a->a || index_equal(a->a, b->a)) && (!a->b || index_equal(a->b, b->b));
}

/* Is (q of x, factor*q) the pair x / factor, x % factor of one expression? */
static const Index *rejoin(const Index *a, const Index *b) {
  const Index *product = a->kind == INDEX_MUL ? a : b, *rest = a->kind == INDEX_MUL ? b : a;
  if (product->kind != INDEX_MUL || rest->kind != INDEX_MOD || product->a->kind != INDEX_DIV) return NULL;
  bool fits = product->value == rest->value && product->a->value == rest->value && index_equal(product->a->a, rest->a);
  return fits ? rest->a : NULL;
}

const Index *index_add(Arena *arena, const Index *a, const Index *b) {
  if (a->kind == INDEX_CONST && a->value == 0) return b;
  if (b->kind == INDEX_CONST && b->value == 0) return a;
  if (a->kind == INDEX_CONST && b->kind == INDEX_CONST) return index_const(arena, a->value + b->value);
  if (a->kind == INDEX_CONST) return index_add(arena, b, a);
  if (a->kind == INDEX_ADD && a->b->kind == INDEX_CONST) {
    if (b->kind == INDEX_CONST) return index_add(arena, a->a, index_const(arena, a->b->value + b->value));
    return index_add(arena, index_add(arena, a->a, b), a->b);
  }
  if (b->kind == INDEX_ADD) return index_add(arena, index_add(arena, a, b->a), b->b);
  const Index *whole = rejoin(a, b);
  if (whole) return whole;
  if (a->kind == INDEX_ADD && (whole = rejoin(a->b, b))) return index_add(arena, a->a, whole);
  return make(arena, (Index){.kind = INDEX_ADD, .a = a, .b = b, .low = a->low + b->low, .extent = a->extent + b->extent - 1});
}

const Index *index_mul(Arena *arena, const Index *a, int64_t factor) {
  if (factor == 1) return a;
  if (factor == 0) return index_const(arena, 0);
  if (a->kind == INDEX_CONST) return index_const(arena, a->value * factor);
  if (a->kind == INDEX_MUL) return index_mul(arena, a->a, a->value * factor);
  if (a->kind == INDEX_ADD) return index_add(arena, index_mul(arena, a->a, factor), index_mul(arena, a->b, factor));
  int64_t low = factor > 0 ? a->low * factor : high(a) * factor, span = (a->extent - 1) * (factor > 0 ? factor : -factor) + 1;
  return make(arena, (Index){.kind = INDEX_MUL, .a = a, .value = factor, .low = low, .extent = span});
}

/* Split a sum into multiples of `divisor` and the rest: x = whole * divisor + rest. */
static void split(Arena *arena, const Index *x, int64_t divisor, const Index **whole, const Index **rest) {
  const Index *w1, *r1, *w2, *r2;
  *whole = index_const(arena, 0);
  *rest = x;
  if (x->kind == INDEX_ADD) {
    split(arena, x->a, divisor, &w1, &r1);
    split(arena, x->b, divisor, &w2, &r2);
    *whole = index_add(arena, w1, w2);
    *rest = index_add(arena, r1, r2);
  } else if (x->kind == INDEX_MUL && x->value % divisor == 0) {
    *whole = index_mul(arena, x->a, x->value / divisor);
    *rest = index_const(arena, 0);
  } else if (x->kind == INDEX_CONST) {
    int64_t q = x->value / divisor;
    if (x->value % divisor < 0) q--;
    *whole = index_const(arena, q);
    *rest = index_const(arena, x->value - q * divisor);
  }
}

static bool is_zero(const Index *x) { return x->kind == INDEX_CONST && x->value == 0; }
static bool inside(const Index *x, int64_t divisor) { return x->low >= 0 && high(x) < divisor; }

const Index *index_div(Arena *arena, const Index *a, int64_t divisor) {
  if (divisor == 1) return a;
  if (inside(a, divisor)) return index_const(arena, 0);
  if (a->kind == INDEX_DIV && a->low >= 0) return index_div(arena, a->a, a->value * divisor);
  if (a->kind == INDEX_MUL && a->value > 0 && divisor % a->value == 0) return index_div(arena, a->a, divisor / a->value);
  const Index *whole, *rest;
  split(arena, a, divisor, &whole, &rest);
  if (!is_zero(whole) && rest->low >= 0) return index_add(arena, whole, index_div(arena, rest, divisor));
  return make(arena, (Index){.kind = INDEX_DIV, .a = a, .value = divisor, .low = a->low / divisor, .extent = high(a) / divisor - a->low / divisor + 1});
}

const Index *index_mod(Arena *arena, const Index *a, int64_t divisor) {
  if (divisor == 1) return index_const(arena, 0);
  if (inside(a, divisor)) return a;
  const Index *whole, *rest;
  split(arena, a, divisor, &whole, &rest);
  if (!is_zero(whole) && rest->low >= 0) return index_mod(arena, rest, divisor);
  if (a->kind == INDEX_MOD && a->value % divisor == 0) return index_mod(arena, a->a, divisor);
  return make(arena, (Index){.kind = INDEX_MOD, .a = a, .value = divisor, .low = 0, .extent = divisor});
}

/* ---- through ops ---- */

void index_broadcast(Arena *arena, const Type *result, const Index *const *out, const Type *in, const Index **in_index) {
  int extra = result->rank - in->rank;
  for (int i = 0; i < in->rank; i++) {
    bool stretched = in->dim[i].size == 1 && !in->dim[i].rows;
    in_index[i] = stretched ? index_const(arena, 0) : out[i + extra];
  }
}

const Index *index_flat(Arena *arena, const Type *t, const Index *const *in) {
  const Index *flat = index_const(arena, 0);
  int64_t stride = 1;
  for (int i = t->rank - 1; i >= 0; i--) {
    flat = index_add(arena, index_mul(arena, in[i], stride), flat);
    stride *= t->dim[i].size;
  }
  return flat;
}

static void index_reshape(Arena *arena, const Type *from, const Type *to, const Index *const *out, const Index **in) {
  const Index *flat = index_flat(arena, to, out);
  int64_t stride = 1;
  for (int i = from->rank - 1; i >= 0; i--) {
    int64_t size = from->dim[i].size;
    const Index *q = index_div(arena, flat, stride);
    in[i] = i == 0 || size == 0 ? q : index_mod(arena, q, size);
    stride *= size ? size : 1;
  }
  if (from->rank > 0 && from->dim[0].size == 1) in[0] = index_const(arena, 0);
}

/* Element out[i] of a pad stands where (out[i] - start) is a multiple of step inside the operand. */
static void index_pad(Arena *arena, const Node *pad, const Index *const *out, const Index **in, IndexTests *tests) {
  const Type *from = &pad->in[0]->type;
  for (int i = 0; i < from->rank; i++) {
    int64_t start = pad->attrs.start[i], step = pad->attrs.step[i], size = from->dim[i].size;
    if (start == 0 && step == 1 && size == pad->type.dim[i].size) {
      in[i] = out[i];
      continue;
    }
    const Index *moved = index_add(arena, out[i], index_const(arena, -start));
    tests->test[tests->n] = moved;
    tests->limit[tests->n] = size;
    tests->by[tests->n++] = step;
    in[i] = index_div(arena, moved, step);
  }
}

void index_view(Arena *arena, const Node *view, const Index *const *out, const Index **in, IndexTests *tests) {
  const Type *from = &view->in[0]->type;
  tests->n = 0;
  switch (view->op) {
  case OP_transpose:
    for (int i = 0; i < from->rank; i++) in[view->attrs.axes[i]] = out[i];
    break;
  case OP_broadcast: index_broadcast(arena, &view->type, out, from, in); break;
  case OP_slice:
    for (int i = 0; i < from->rank; i++) in[i] = index_add(arena, index_mul(arena, out[i], view->attrs.step[i]), index_const(arena, view->attrs.start[i]));
    break;
  case OP_pad: index_pad(arena, view, out, in, tests); break;
  case OP_reshape: index_reshape(arena, from, &view->type, out, in); break;
  default: fault("%s is no view", op_info[view->op].name);
  }
}

/* ---- printing: binds as C does ---- */

static void print_at(Text *out, const Index *x, const char *const *names, int level) {
  int own = x->kind == INDEX_ADD ? 1 : x->kind == INDEX_MUL || x->kind == INDEX_DIV || x->kind == INDEX_MOD ? 2 : 3;
  bool brackets = own < level || (x->kind == INDEX_CONST && x->value < 0 && level > 1);
  if (brackets) text_add(out, "(");
  switch (x->kind) {
  case INDEX_CONST: text_add(out, "%lld", (long long)x->value); break;
  case INDEX_AXIS: text_add(out, "%s", names[x->axis]); break;
  case INDEX_ADD:
    print_at(out, x->a, names, 1);
    if (x->b->kind == INDEX_CONST && x->b->value < 0) {
      text_add(out, " - %lld", -(long long)x->b->value);
    } else {
      text_add(out, " + ");
      print_at(out, x->b, names, 1);
    }
    break;
  case INDEX_MUL: case INDEX_DIV: case INDEX_MOD:
    print_at(out, x->a, names, x->a->kind == INDEX_MUL && x->kind == INDEX_MUL ? 2 : 3);
    text_add(out, " %c %lld", x->kind == INDEX_MUL ? '*' : x->kind == INDEX_DIV ? '/' : '%', (long long)x->value);
    break;
  }
  if (brackets) text_add(out, ")");
}

void index_print(Text *out, const Index *index, const char *const *axis_names) { print_at(out, index, axis_names, 0); }
