/* slide.c - windows that slide over axes.
 *
 * A window is the view `skew` of a value spread out along a new axis of
 * places, so nothing is copied until a product asks for it, and gradients
 * follow from the rules of the two views.  Windows that neither overlap nor
 * leave the axis need not even that: they are a reshape.
 */
#include <math.h>
#include <string.h>

#include "frontend/slide.h"

/* ---- options ---- */

static bool whole(const Value *v, int64_t *out) {
  if (v->kind == DIM && !v->dim.rows) return *out = v->dim.size, true;
  if (v->kind != NUMBER || v->is_float || v->number != floor(v->number) || fabs(v->number) > 1e9) return false;
  return *out = (int64_t)v->number, true;
}

static bool read_numbers(Lower *l, const Value *v, const Expr *at, const char *what, int n, int64_t least, int64_t *out) {
  bool fits = v->kind != TUPLE || v->n == n;
  for (int i = 0; i < n && fits; i++) fits = whole(v->kind == TUPLE ? &v->items[i] : v, &out[i]) && out[i] >= least;
  if (fits || v->kind == POISON) return fits;
  Text list = {0};
  for (int i = 0; n > 1 && i < n; i++) text_add(&list, "%s%d", i ? ", " : ", or one an axis: [", 2 + i);
  report(l->d, E0106, place(l, at->at), "%s is a whole number of at least %lld%s%s; this is %s", what, (long long)least,
         list.data ? list.data : "", n > 1 ? "]" : "", describe(l, v));
  text_free(&list);
  return false;
}

Value pair_call(Lower *l, Call *call, const Builtin *self) {
  int64_t sizes[2];
  if (!right_count(l, call, self)) return poison();
  const Expr *e = call->expr[0];
  Value v = e && e->kind == EXPR_SHAPE ? eval(l, e) : call->value[0];
  if (!read_numbers(l, &v, e ? e : call->e, "a size", 2, 0, sizes)) return poison();
  Value both = {.kind = TUPLE, .n = 2, .items = arena_alloc(l->arena, 2 * sizeof(Value))};
  for (int i = 0; i < 2; i++) both.items[i] = number_value((double)sizes[i], false);
  return both;
}

bool slide_numbers(Lower *l, Call *call, const char *key, int n, int64_t least, int64_t *out) {
  const Expr *e = take_key(call, key);
  if (!e) return true;
  Value v = eval(l, e);
  return read_numbers(l, &v, e, key, n, least, out);
}

bool slide_kernel(Lower *l, Call *call, int n, int64_t *out) {
  const Expr *e = call->expr[1];
  Value v = e && e->kind == EXPR_SHAPE ? eval(l, e) : call->value[1];
  return read_numbers(l, &v, e ? e : call->e, "the size of a window", n, 1, out);
}

bool slide_flag(Lower *l, Call *call, const char *key, bool *out) {
  const Expr *e = take_key(call, key);
  if (!e) return true;
  Value v = eval(l, e);
  if (v.kind == TRUTH) return *out = v.number != 0, true;
  if (v.kind != POISON) report(l->d, E0106, place(l, e->at), "%s is true or false, this is %s", key, describe(l, &v));
  return false;
}

bool slide_input(Lower *l, Call *call, int n, Node *x) {
  const Type *t = &x->type;
  const char *name = call->e->args[0]->name;
  if (t->rank < n + 1 || t->rank + n > MAX_RANK) {
    report(l->d, E0204, place(l, call->e->at), "%s needs %s, this is %s", name,
           t->rank < n + 1 ? n == 1 ? "channels and an axis, [.., c, w]" : "channels and two axes, [.., c, h, w]"
                           : "fewer axes: its windows have a rank above 8",
           describe(l, &call->value[0]));
    if (t->rank == n) report_help(l->d, "one channel is an axis too: give it a size of 1");
    return false;
  }
  if (!dtype_is_float(t->dtype))
    return report(l->d, E0208, place(l, call->e->at), "%s of %s: cast first, f32(x)", name, dtype_name(t->dtype)), false;
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i].rows && (i > 0 || t->rank == n + 1))
      return report(l->d, E0211, place(l, call->e->at), "%s: the batch %s must be the first axis, before the channels",
                    name, t->dim[i].rows->name),
             false;
  return true;
}

bool slide_fits(Lower *l, Call *call, const Slide *s, int64_t after) {
  int64_t reach = s->dilation * (s->kernel - 1) + 1, room = s->size + s->before + after;
  if (reach <= room) return true;
  Text text = {0};
  text_add(&text, "a window of %lld", (long long)s->kernel);
  if (s->dilation > 1) text_add(&text, " (over %lld, dilated)", (long long)reach);
  text_add(&text, " is larger than its axis of %lld", (long long)s->size);
  if (room > s->size) text_add(&text, ", with padding %lld", (long long)room);
  report(l->d, E0213, place(l, call->e->at), "%s: %s", call->e->args[0]->name, text.data);
  text_free(&text);
  return false;
}

/* ---- shapes ---- */

Dim slide_dim(Dim from, const Slide *s) {
  return s->positions == from.size && s->stride == 1 ? from : dim_literal(s->positions);
}

Dim slide_joined(Lower *l, const Type *t, int from, int to) {
  Dim first = from < to ? t->dim[from] : dim_literal(1);
  int64_t rest = 1;
  for (int i = from + 1; i < to; i++) rest *= t->dim[i].size;
  if (rest == 1) return first;
  Dim all = {.size = first.size * rest, .rows = first.rows}, known = outermost(first);
  const char *name = known.symbol ? known.symbol->name : known.text;
  if (first.rows && name)
    all.text = arena_print(l->arena, strpbrk(name, "+-/%") ? "(%s) * %lld" : "%s * %lld", name, (long long)rest);
  return all;
}

static void insert(Type *t, int at, Dim dim) {
  memmove(&t->dim[at + 1], &t->dim[at], sizeof t->dim[0] * (size_t)(t->rank - at));
  t->dim[at] = dim;
  t->rank++;
}

/* ---- windows ---- */

static bool is_tiled(const Slide *s) {
  return s->kernel == s->stride && s->before == 0 && (s->dilation == 1 || s->kernel == 1) &&
         s->positions * s->kernel <= s->size;
}

static bool all_tiled(int n, const Slide *slides) {
  for (int i = 0; i < n; i++)
    if (!is_tiled(&slides[i])) return false;
  return true;
}

/* [.., O, K, P, L] and [.., K, L, O, P]: axes[i] is where axis i of the second stands in the first. */
static void tile_order(int rank, int lead, int n, int *axes) {
  for (int i = 0; i < rank; i++) axes[i] = i;
  for (int i = 0; i < n; i++) axes[lead + i] = lead + 2 * i + 1, axes[lead + n + i] = lead + 2 * i;
}

/* What the tiles cover, then each axis as (position, place). */
static Node *tiles(Builder *b, Node *x, int n, const Slide *slides) {
  int lead = x->type.rank - n, axes[MAX_RANK];
  int64_t start[MAX_RANK] = {0}, step[MAX_RANK];
  Type covered = x->type, apart = x->type;
  bool is_cut = false;
  apart.rank = lead;
  for (int i = 0; i < MAX_RANK; i++) step[i] = 1;
  for (int i = 0; i < n; i++) {
    const Slide *s = &slides[i];
    Dim all = covered.dim[lead + i];
    if (s->positions * s->kernel != s->size) covered.dim[lead + i] = dim_literal(s->positions * s->kernel), is_cut = true;
    apart.dim[apart.rank++] = s->kernel == 1 ? slide_dim(all, s) : dim_literal(s->positions);
    apart.dim[apart.rank++] = dim_literal(s->kernel);
  }
  if (is_cut) x = b_slice(b, x, &covered, start, step);
  tile_order(apart.rank, lead, n, axes);
  return b_transpose(b, b_reshape(b, x, &apart), axes);
}

static Attrs skew_attrs(const Slide *s, int axis, int window) {
  return (Attrs){.axis = axis, .window = window, .stride = (int)s->stride, .dilation = (int)s->dilation,
                 .padding = (int)s->before};
}

Node *slide_windows(Builder *b, Node *x, int n, const Slide *slides) {
  int lead = x->type.rank - n;
  if (all_tiled(n, slides)) return tiles(b, x, n, slides);
  Type ones = x->type, wide;
  for (int i = 0; i < n; i++) insert(&ones, lead + i, dim_literal(1));
  wide = ones;
  for (int i = 0; i < n; i++) wide.dim[lead + i] = dim_literal(slides[i].kernel);
  Node *windows = b_broadcast(b, b_reshape(b, x, &ones), &wide);
  for (int i = 0; i < n; i++) {
    Attrs attrs = skew_attrs(&slides[i], lead + n + i, lead + i);
    if (is_tiled(&slides[i]) && slides[i].kernel == 1 && slides[i].positions == slides[i].size) continue;
    windows = b_skew(b, OP_skew, windows, slide_dim(x->type.dim[lead + i], &slides[i]), &attrs);
  }
  return windows;
}

/* [.., K, L, (more,) O, P] to [.., (more,) A, B], the sum over places. */
Node *slide_fold(Builder *b, Node *windows, int places, int n, const Slide *slides) {
  int rank = windows->type.rank, axes[MAX_RANK];
  for (int i = 0; i < n; i++) {
    Attrs attrs = skew_attrs(&slides[i], rank - n + i, places + i);
    Dim straight = slides[i].size == slides[i].positions ? windows->type.dim[rank - n + i] : dim_literal(slides[i].size);
    windows = b_skew(b, OP_unskew, windows, straight, &attrs);
    axes[i] = places + i;
  }
  return b_reduce(b, OP_sum, windows, n, axes, false);
}
