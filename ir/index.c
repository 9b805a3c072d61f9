/* index.c - index expressions: from an element of a result to elements of operands.
 *
 * An expression is a sum of factors times atoms; an atom is an axis, or a
 * floor division or remainder that a reshape left over.  Sums are kept in one
 * order (largest factor first, as row-major offsets read), so that equal
 * expressions look equal.  Everything is simplified as it is built, by the
 * ranges of the parts.  The four identities that matter, for 0 <= r < g:
 *
 *   (d*y + x) / d        = y + x / d            (d*y + x) % d = x % d
 *   (g*y + r) / (g*k)    = y / k                (g*y + r) % (g*k) = g*(y % k) + r
 *   (x % (d*k)) / d      = x / d % k            (y + x / d) / k   = (d*y + x) / (d*k)
 *   d*(x / d) + x % d    = x                    d*(x / d % k) + x % d = x % (d*k)
 *
 * so splitting an axis and merging it again gives back the plain axis.
 */
#include <stdlib.h>

#include "ir/ir.h"

static const Index *make(Arena *arena, Index value) {
  Index *index = arena_alloc(arena, sizeof *index);
  *index = value;
  return index;
}

const Index *index_const(Arena *arena, int64_t value) {
  return make(arena, (Index){.kind = INDEX_CONST, .value = value, .low = value, .extent = 1});
}

const Index *index_axis(Arena *arena, int axis, int64_t extent) {
  if (extent == 1) return index_const(arena, 0);
  return make(arena, (Index){.kind = INDEX_AXIS, .axis = axis, .extent = extent});
}

/* An operation whose values are known to lie in low..high. */
static const Index *ranged(Arena *arena, IndexKind kind, const Index *a, int64_t value, int64_t low, int64_t top) {
  return make(arena, (Index){.kind = kind, .a = a, .value = value, .low = low, .extent = top - low + 1});
}

static int64_t high(const Index *x) { return x->low + x->extent - 1; }

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); } /* b > 0 */

static int64_t gcd(int64_t a, int64_t b) {
  a = a < 0 ? -a : a;
  while (b) {
    int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

static int by_size(int64_t a, int64_t b) { return (a > b) - (a < b); }

static int compare(const Index *a, const Index *b) {
  int c;
  if (a == b) return 0;
  if ((c = by_size(a->kind, b->kind)) || (c = by_size(a->axis, b->axis)) || (c = by_size(a->value, b->value))) return c;
  if (a->a && (c = compare(a->a, b->a))) return c;
  return a->b ? compare(a->b, b->b) : 0;
}

bool index_equal(const Index *a, const Index *b) { return compare(a, b) == 0; }

/* ---- sums of terms ---- */

typedef struct Term {
  const Index *atom;
  int64_t factor;
} Term;

typedef struct Sum {
  Arena *arena;
  int n;
  Term *terms;
  int64_t constant;
} Sum;

static void add_term(Sum *s, const Index *atom, int64_t factor) {
  Term term = {atom, factor};
  for (int i = 0; i < s->n; i++) {
    if (!index_equal(s->terms[i].atom, atom)) continue;
    s->terms[i].factor += factor;
    if (s->terms[i].factor == 0) s->terms[i] = s->terms[--s->n];
    return;
  }
  LIST_PUSH(s->arena, s->terms, s->n, term);
}

static void add_index(Sum *s, const Index *x, int64_t factor) {
  if (x->kind == INDEX_CONST) {
    s->constant += x->value * factor;
  } else if (x->kind == INDEX_MUL) {
    add_index(s, x->a, x->value * factor);
  } else if (x->kind == INDEX_ADD) {
    add_index(s, x->a, factor);
    add_index(s, x->b, factor);
  } else {
    add_term(s, x, factor);
  }
}

static Sum sum_of(Arena *arena, const Index *x) {
  Sum s = {.arena = arena};
  add_index(&s, x, 1);
  return s;
}

/* Terms i and k together, when i is c * (x % d) and k is c*d * (x / d) or c*d * (x / d % m). */
static const Index *rejoin(Arena *arena, const Term *rest, const Term *part) {
  if (rest->atom->kind != INDEX_MOD || part->factor != rest->factor * rest->atom->value) return NULL;
  const Index *x = rest->atom->a, *quotient = index_div(arena, x, rest->atom->value);
  if (index_equal(part->atom, quotient)) return x;
  if (part->atom->kind != INDEX_MOD || !index_equal(part->atom, index_mod(arena, quotient, part->atom->value)))
    return NULL;
  return index_mod(arena, x, rest->atom->value * part->atom->value);
}

static bool rejoin_any(Sum *s) {
  for (int i = 0; i < s->n; i++)
    for (int k = 0; k < s->n; k++) {
      const Index *whole = i == k ? NULL : rejoin(s->arena, &s->terms[i], &s->terms[k]);
      if (!whole) continue;
      int64_t factor = s->terms[i].factor;
      int first = i < k ? i : k, second = i < k ? k : i;
      s->terms[second] = s->terms[--s->n];
      s->terms[first] = s->terms[--s->n];
      add_index(s, whole, factor);
      return true;
    }
  return false;
}

static int by_factor(const void *a, const void *b) {
  const Term *x = a, *y = b;
  int c = by_size(llabs(y->factor), llabs(x->factor));
  return c ? c : compare(x->atom, y->atom);
}

static const Index *term_index(Arena *arena, const Term *t) {
  if (t->factor == 1) return t->atom;
  int64_t ends[2] = {t->atom->low * t->factor, high(t->atom) * t->factor};
  return ranged(arena, INDEX_MUL, t->atom, t->factor, ends[t->factor < 0], ends[t->factor > 0]);
}

static const Index *plus(Arena *arena, const Index *a, const Index *b) {
  return make(arena,
              (Index){.kind = INDEX_ADD, .a = a, .b = b, .low = a->low + b->low, .extent = a->extent + b->extent - 1});
}

static const Index *sum_index(Sum *s) {
  while (rejoin_any(s)) continue;
  if (s->n == 0) return index_const(s->arena, s->constant);
  qsort(s->terms, (size_t)s->n, sizeof *s->terms, by_factor);
  const Index *x = term_index(s->arena, &s->terms[0]);
  for (int i = 1; i < s->n; i++) x = plus(s->arena, x, term_index(s->arena, &s->terms[i]));
  return s->constant ? plus(s->arena, x, index_const(s->arena, s->constant)) : x;
}

const Index *index_add(Arena *arena, const Index *a, const Index *b) {
  Sum s = sum_of(arena, a);
  add_index(&s, b, 1);
  return sum_index(&s);
}

const Index *index_mul(Arena *arena, const Index *a, int64_t factor) {
  Sum s = {.arena = arena};
  if (factor != 0) add_index(&s, a, factor);
  return sum_index(&s);
}

/* ---- division and remainder ---- */

/* x = whole * by + rest, every factor of whole * by being a multiple of `by`. */
static void split(Arena *arena, const Index *x, int64_t by, const Index **whole, const Index **rest) {
  Sum s = sum_of(arena, x), w = {.arena = arena}, r = {.arena = arena};
  w.constant = floor_div(s.constant, by);
  r.constant = s.constant - w.constant * by;
  for (int i = 0; i < s.n; i++) {
    bool multiple = s.terms[i].factor % by == 0;
    add_term(multiple ? &w : &r, s.terms[i].atom, multiple ? s.terms[i].factor / by : s.terms[i].factor);
  }
  *whole = sum_index(&w);
  *rest = sum_index(&r);
}

static bool inside(const Index *x, int64_t divisor) { return x->low >= 0 && high(x) < divisor; }

/* The largest g > 1 that divides the divisor, with x = g * y + r and 0 <= r < g. */
static int64_t split_common(Arena *arena, const Index *x, int64_t divisor, const Index **y, const Index **r) {
  Sum s = sum_of(arena, x);
  int64_t best = 1;
  for (int i = 0; i < s.n; i++) {
    int64_t g = gcd(s.terms[i].factor, divisor);
    const Index *whole, *rest;
    if (g <= best) continue;
    split(arena, x, g, &whole, &rest);
    if (!inside(rest, g)) continue;
    best = g;
    *y = whole;
    *r = rest;
  }
  return best;
}

/* y + z / m is (m*y + z) / m: one division where there were two, or NULL. */
static const Index *unnest(Arena *arena, const Index *x, int64_t *m) {
  Sum s = sum_of(arena, x), over = {.arena = arena};
  int at = 0;
  while (at < s.n && (s.terms[at].factor != 1 || s.terms[at].atom->kind != INDEX_DIV)) at++;
  if (at == s.n) return NULL;
  *m = s.terms[at].atom->value;
  over.constant = s.constant * *m;
  for (int i = 0; i < s.n; i++)
    add_index(&over, i == at ? s.terms[i].atom->a : s.terms[i].atom, i == at ? 1 : s.terms[i].factor * *m);
  return sum_index(&over);
}

/* Of 0 <= x without multiples of the divisor. */
static const Index *div_rest(Arena *arena, const Index *x, int64_t divisor) {
  if (inside(x, divisor)) return index_const(arena, 0);
  const Index *y, *r;
  int64_t m, g = split_common(arena, x, divisor, &y, &r);
  if (g > 1) return index_div(arena, y, divisor / g);
  if ((y = unnest(arena, x, &m))) return index_div(arena, y, divisor * m);
  if (x->kind == INDEX_MOD && x->value % divisor == 0)
    return index_mod(arena, index_div(arena, x->a, divisor), x->value / divisor);
  return ranged(arena, INDEX_DIV, x, divisor, x->low / divisor, high(x) / divisor);
}

static const Index *mod_rest(Arena *arena, const Index *x, int64_t divisor) {
  if (inside(x, divisor)) return x;
  const Index *y, *r;
  int64_t g = split_common(arena, x, divisor, &y, &r);
  if (g > 1) return index_add(arena, index_mul(arena, index_mod(arena, y, divisor / g), g), r);
  if (x->kind == INDEX_MOD && x->value % divisor == 0) return index_mod(arena, x->a, divisor);
  return ranged(arena, INDEX_MOD, x, divisor, 0, divisor - 1);
}

const Index *index_div(Arena *arena, const Index *a, int64_t divisor) {
  if (divisor == 1) return a;
  const Index *whole, *rest;
  split(arena, a, divisor, &whole, &rest);
  if (rest->low >= 0) return index_add(arena, whole, div_rest(arena, rest, divisor));
  return ranged(arena, INDEX_DIV, a, divisor, floor_div(a->low, divisor), floor_div(high(a), divisor));
}

const Index *index_mod(Arena *arena, const Index *a, int64_t divisor) {
  if (divisor == 1) return index_const(arena, 0);
  const Index *whole, *rest;
  split(arena, a, divisor, &whole, &rest);
  if (rest->low >= 0) return mod_rest(arena, rest, divisor);
  return ranged(arena, INDEX_MOD, a, divisor, 0, divisor - 1);
}

/* ---- through ops ---- */

void index_broadcast(Arena *arena, const Type *result, const Index *const *out, const Type *in,
                     const Index **in_index) {
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

/* Axes [i, i_end) of the operand have the elements of axes [k, k_end) of the result. */
static void reshape_part(Arena *arena, const Type *from, int i, int i_end, const Type *to, int k, int k_end,
                         const Index *const *out, const Index **in) {
  const Index *flat = index_const(arena, 0);
  int64_t stride = 1;
  for (int axis = k_end - 1; axis >= k; axis--) {
    flat = index_add(arena, index_mul(arena, out[axis], stride), flat);
    stride *= to->dim[axis].size;
  }
  stride = 1;
  for (int axis = i_end - 1; axis >= i; axis--) {
    int64_t size = from->dim[axis].size;
    const Index *q = index_div(arena, flat, stride);
    in[axis] = axis == i || size == 0 ? q : index_mod(arena, q, size);
    stride *= size ? size : 1;
  }
}

/* Axes part by part, as few as have the same elements on both sides: an axis that stays gets the index it had, which
 * matters where that may lie outside (a skew's). */
static void index_reshape(Arena *arena, const Type *from, const Type *to, const Index *const *out, const Index **in) {
  bool empty = type_count(from) == 0;
  for (int i = 0, k = 0; i < from->rank || k < to->rank;) {
    int i_end = i, k_end = k;
    int64_t a = 1, b = 1;
    if (empty) i_end = from->rank, k_end = to->rank;
    else if (i < from->rank && from->dim[i].size == 1) i_end++;
    else if (k < to->rank && to->dim[k].size == 1) k_end++;
    else
      do {
        if (a <= b) a *= from->dim[i_end++].size;
        else b *= to->dim[k_end++].size;
      } while (a != b);
    reshape_part(arena, from, i, i_end, to, k, k_end, out, in);
    i = i_end, k = k_end;
  }
}

/* One condition more, unless it always holds. */
static void add_test(IndexTests *tests, const Index *test, int64_t limit, int64_t by) {
  if (by == 1 && inside(test, limit)) return;
  tests->test[tests->n] = test;
  tests->limit[tests->n] = limit;
  tests->by[tests->n++] = by;
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
    if (step < 0) moved = index_mul(arena, moved, -1), step = -step;
    add_test(tests, moved, size, step);
    in[i] = index_div(arena, moved, step);
  }
}

/* h = o * stride + k * dilation - padding: read at (o, k) a skew asks for h, read at (h, k) an unskew for o. */
static void index_skew(Arena *arena, const Node *view, const Index *const *out, const Index **in, IndexTests *tests) {
  const Type *from = &view->in[0]->type;
  const Attrs *a = &view->attrs;
  bool back = view->op == OP_unskew;
  for (int i = 0; i < from->rank; i++) in[i] = out[i];
  const Index *place = index_mul(arena, out[a->window], back ? -a->dilation : a->dilation);
  const Index *at = index_add(arena, index_mul(arena, out[a->axis], back ? 1 : a->stride), place);
  at = index_add(arena, at, index_const(arena, back ? a->padding : -a->padding));
  add_test(tests, at, from->dim[a->axis].size, back ? a->stride : 1);
  in[a->axis] = back ? index_div(arena, at, a->stride) : at;
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
    for (int i = 0; i < from->rank; i++)
      in[i] = index_add(arena, index_mul(arena, out[i], view->attrs.step[i]), index_const(arena, view->attrs.start[i]));
    break;
  case OP_pad: index_pad(arena, view, out, in, tests); break;
  case OP_skew:
  case OP_unskew: index_skew(arena, view, out, in, tests); break;
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
  case INDEX_MUL:
  case INDEX_DIV:
  case INDEX_MOD:
    print_at(out, x->a, names, x->a->kind == INDEX_MUL && x->kind == INDEX_MUL ? 2 : 3);
    text_add(out, " %c %lld", x->kind == INDEX_MUL ? '*' : x->kind == INDEX_DIV ? '/' : '%', (long long)x->value);
    break;
  }
  if (brackets) text_add(out, ")");
}

void index_print(Text *out, const Index *index, const char *const *axis_names) { print_at(out, index, axis_names, 0); }
