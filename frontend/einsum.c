/* einsum.c - einsum("bik,bkj->bij", x, y): sums of products by the letters of their axes.
 *
 * PyTorch's notation: a term of letters a value, `...` for the axes that have none (aligned from the right, as in
 * broadcasting), a letter twice in a term for a diagonal, without `->` the letters that occur once, in ASCII order.
 * Values are joined from left to right.  Two that share letters which are summed over, and have others each, are a
 * matrix product; what is left is a product element by element, and a sum.
 */
#include <ctype.h>
#include <string.h>

#include "frontend/join.h"

enum {
  MAX_TERMS = MAX_ARGS - 1,
  MAX_LETTERS = 26,
  ELLIPSIS = '0'
}; /* ELLIPSIS + i: the i-th of its axes from the right */

typedef struct Term {
  int n;
  char axes[MAX_RANK];
} Term;

typedef struct Einsum {
  Lower *l;
  Call *call;
  Builder b;
  int n;
  Term terms[MAX_TERMS], result;
  Node *x[MAX_TERMS];
  const Expr *at[MAX_TERMS];
  bool known[128];
  Dim dim[128]; /* by letter */
} Einsum;

static int place_of(const Term *t, char axis) {
  for (int i = 0; i < t->n; i++)
    if (t->axes[i] == axis) return i;
  return -1;
}

static bool has(const Term *t, char axis) { return place_of(t, axis) >= 0; }
static void add(Term *t, char axis) { t->axes[t->n++] = axis; }

/* ---- the equation ---- */

static bool wrong(Einsum *e, const char *why) {
  report(e->l->d, E0215, place(e->l, e->call->expr[0] ? e->call->expr[0]->at : e->call->e->at), "einsum: %s", why);
  return false;
}

static bool too_wide(Einsum *e) { return wrong(e, arena_print(e->l->arena, "a value has at most %d axes", MAX_RANK)); }

/* The letters up to a comma or the arrow; `rest` axes stand for an ellipsis, -1: for none. */
static bool read_term(Einsum *e, const char **text, int rest, Term *t) {
  Arena *arena = e->l->arena;
  for (const char *s = *text;; s++) {
    if (*s == ' ') continue;
    if (*s == '\0' || *s == ',' || *s == '-') return *text = s, true;
    bool dots = !strncmp(s, "...", 3);
    if (!dots && !isalpha((unsigned char)*s)) {
      bool shown = *s > ' ' && *s < 127;
      return wrong(e, shown ? arena_print(arena, "`%c` is no letter; a term is letters and perhaps ...", *s)
                            : "an axis is one letter from a to z or A to Z");
    }
    if (dots && rest < 0) return wrong(e, "... stands twice, or on the right only");
    if (t->n + (dots ? rest : 1) > MAX_RANK) return too_wide(e);
    if (!dots) {
      add(t, *s);
      continue;
    }
    for (; rest > 0; rest--) add(t, (char)(ELLIPSIS + rest - 1));
    rest = -1, s += 2;
  }
}

/* How many letters a term has, and whether an ellipsis; what is no letter either counts, and is told later. */
static int count_letters(const char *s, bool *dots) {
  int n = 0;
  for (*dots = false; *s && *s != ',' && *s != '-'; s++) n += *s != ' ' && *s != '.', *dots |= *s == '.';
  return n;
}

static int count_terms(const char *s) {
  int n = 1;
  for (; *s && *s != '-'; s++) n += *s == ',';
  return n;
}

static bool read_operand(Einsum *e, int i, const char **text, int *widest) {
  const Type *type = &e->x[i]->type;
  Value v = tensor_value(e->x[i]);
  bool dots;
  int letters = count_letters(*text, &dots), rest = type->rank - letters;
  if (rest < 0 || (rest > 0 && !dots)) {
    wrong(e, arena_print(e->l->arena, "term %d has %d letter%s, its value is %s", i + 1, letters,
                         letters == 1 ? "" : "s", describe(e->l, &v)));
    report_note(e->l->d, place(e->l, e->at[i]->at), "this is %s", describe(e->l, &v));
    return false;
  }
  if (dots && rest > *widest) *widest = rest;
  return read_term(e, text, dots ? rest : -1, &e->terms[i]);
}

static int occurs(const Einsum *e, char axis) {
  int times = 0;
  for (int i = 0; i < e->n; i++)
    for (int k = 0; k < e->terms[i].n; k++) times += e->terms[i].axes[k] == axis;
  return times;
}

/* Without an arrow: the axes of the ellipsis, and the letters that occur once. */
static bool implied_result(Einsum *e, int widest) {
  for (; widest > 0; widest--) add(&e->result, (char)(ELLIPSIS + widest - 1));
  for (char c = 'A'; c <= 'z'; c++) {
    if (occurs(e, c) != 1) continue;
    if (e->result.n == MAX_RANK) return too_wide(e);
    add(&e->result, c);
  }
  return true;
}

static bool read_result(Einsum *e, const char *text, int widest) {
  if (!*text) return implied_result(e, widest);
  if (strncmp(text, "->", 2)) return wrong(e, "a minus sign is half of an arrow ->");
  text += 2;
  if (!read_term(e, &text, widest, &e->result)) return false;
  if (*text) return wrong(e, "there is one result");
  for (int i = 0; i < e->result.n; i++) {
    char c = e->result.axes[i];
    if (!occurs(e, c)) return wrong(e, arena_print(e->l->arena, "`%c` is in the result and in no term", c));
    if (place_of(&e->result, c) < i) return wrong(e, arena_print(e->l->arena, "`%c` stands twice in the result", c));
  }
  for (int i = 0; i < widest; i++)
    if (!has(&e->result, (char)(ELLIPSIS + i))) return wrong(e, "the terms have ..., the result has not");
  return true;
}

static bool read_equation(Einsum *e, const char *text) {
  int widest = 0, terms = count_terms(text);
  if (terms != e->n)
    return wrong(e, arena_print(e->l->arena, "the equation has %d term%s, %d value%s given", terms,
                                terms == 1 ? "" : "s", e->n, e->n == 1 ? " is" : "s are"));
  for (int i = 0; i < e->n; i++, text += *text == ',')
    if (!read_operand(e, i, &text, &widest)) return false;
  return read_result(e, text, widest);
}

/* ---- sizes ---- */

static bool is_one(Dim d) { return !d.symbol && !d.rows && d.size == 1; }

static const char *size_text(const Einsum *e, Dim d) {
  const char *name = d.symbol ? d.symbol->name : d.text;
  return arena_print(e->l->arena, name ? "%s (%lld)" : "%s%lld", name ? name : "", (long long)d.size);
}

/* A letter is one size everywhere; only a 1 gives way. */
static bool learn_sizes(Einsum *e) {
  for (int i = 0; i < e->n; i++)
    for (int k = 0; k < e->terms[i].n; k++) {
      int c = e->terms[i].axes[k];
      Dim d = e->x[i]->type.dim[k];
      if (!e->known[c] || is_one(e->dim[c])) e->dim[c] = d, e->known[c] = true;
      if (dim_same(d, e->dim[c], true) || is_one(d)) continue;
      Value v = tensor_value(e->x[i]);
      const char *name = c < 'A' ? "an axis of ..." : arena_print(e->l->arena, "`%c`", c);
      wrong(e, arena_print(e->l->arena, "%s is %s in term %d and %s before", name, size_text(e, d), i + 1,
                           size_text(e, e->dim[c])));
      report_note(e->l->d, place(e->l, e->at[i]->at), "this is %s", describe(e->l, &v));
      return false;
    }
  return true;
}

/* ---- one value ---- */

static void remove_axis(Term *t, int at) { memmove(&t->axes[at], &t->axes[at + 1], (size_t)(--t->n - at)); }

static Type type_of(const Einsum *e, DType dtype, const Term *t) {
  Type type = {.dtype = dtype, .rank = t->n};
  for (int i = 0; i < t->n; i++) type.dim[i] = e->dim[(int)t->axes[i]];
  return type;
}

/* In another order. */
static void arrange(Einsum *e, Node **x, Term *t, const Term *order) {
  int axes[MAX_RANK];
  for (int i = 0; i < t->n; i++) axes[i] = place_of(t, order->axes[i]);
  *x = b_transpose(&e->b, *x, axes);
  *t = *order;
}

/* Two axes to the end, as one of n * n, of which every (n + 1)-th element stays. */
static bool take_diagonal(Einsum *e, int i, char c) {
  Term *t = &e->terms[i], left = {0};
  Dim d = e->dim[(int)c];
  if (d.rows) return report(e->l->d, E0211, place(e->l, e->at[i]->at), "einsum: the batch has no diagonal"), false;
  int axes[MAX_RANK], n = 0, last = t->n - 2;
  for (int k = 0; k < t->n; k++)
    if (t->axes[k] != c) axes[n++] = k, add(&left, t->axes[k]);
  for (int k = 0; k < t->n; k++)
    if (t->axes[k] == c) axes[n++] = k;
  while (left.n <= last) add(&left, c);
  Node *x = b_transpose(&e->b, e->x[i], axes);
  Type flat = x->type;
  flat.dim[last] = dim_literal(d.size * d.size), flat.rank = last + 1;
  Type diagonal = flat;
  diagonal.dim[last] = d;
  int64_t start[MAX_RANK] = {0}, step[MAX_RANK];
  memcpy(step, every, sizeof step);
  step[last] = d.size + 1;
  e->x[i] = b_slice(&e->b, b_reshape(&e->b, x, &flat), &diagonal, start, step);
  *t = left;
  return true;
}

/* Letters that stand once in a term, and no axis of 1 where another value has more. */
static bool prepare(Einsum *e, int i) {
  Term *t = &e->terms[i];
  for (int k = 0; k < t->n; k++) {
    if (!is_one(e->x[i]->type.dim[k]) || is_one(e->dim[(int)t->axes[k]])) continue;
    Type less = e->x[i]->type;
    memmove(&less.dim[k], &less.dim[k + 1], sizeof *less.dim * (size_t)(--less.rank - k));
    e->x[i] = b_reshape(&e->b, e->x[i], &less);
    remove_axis(t, k--);
  }
  for (int k = 0; k < t->n; k++)
    if (place_of(t, t->axes[k]) < k) return take_diagonal(e, i, t->axes[k]) && prepare(e, i);
  return true;
}

static bool needed_behind(const Einsum *e, int i, char c) {
  for (int k = i + 1; k < e->n; k++)
    if (has(&e->terms[k], c)) return true;
  return has(&e->result, c);
}

/* Sum over the letters that no value from `from` on has, nor the result, nor `beside`. */
static void sum_others(Einsum *e, Node **x, Term *t, int from, const Term *beside) {
  int axes[MAX_RANK], n = 0;
  Term left = {0};
  for (int k = 0; k < t->n; k++)
    if (needed_behind(e, from, t->axes[k]) || (beside && has(beside, t->axes[k])))
      add(&left, t->axes[k]);
    else
      axes[n++] = k;
  if (n) *x = b_reduce(&e->b, OP_sum, *x, n, axes, false);
  *t = left;
}

/* ---- two values ---- */

/* Letters of a that b has or has not, and that are needed or not; the batch first, so that they can be one axis. */
static bool choose(Einsum *e, const Term *a, const Term *b, bool shared, int needed, int behind, Term *out) {
  *out = (Term){0};
  int batches = 0;
  for (int pass = 0; pass < 2; pass++)
    for (int k = 0; k < a->n; k++) {
      char c = a->axes[k];
      bool rows = e->dim[(int)c].rows != NULL;
      if (has(b, c) != shared || (needed >= 0 && needed_behind(e, behind, c) != needed) || rows == pass) continue;
      batches += rows;
      add(out, c);
    }
  return batches < 2;
}

static Dim merged(const Einsum *e, const Term *t) {
  if (t->n == 1) return e->dim[(int)t->axes[0]];
  Dim d = {.size = 1};
  Text text = {0};
  for (int i = 0; i < t->n; i++) {
    const Dim *factor = &e->dim[(int)t->axes[i]];
    d.size *= factor->size;
    if (factor->rows) d.rows = factor->rows;
    if (factor->symbol)
      text_add(&text, "%s%s", i ? " * " : "", factor->symbol->name);
    else
      text_add(&text, "%s%lld", i ? " * " : "", (long long)factor->size);
  }
  d.text = text_take(&text, e->l->arena);
  return d;
}

static Term joined(const Term *a, const Term *b, const Term *c) {
  Term all = *a;
  for (int i = 0; b && i < b->n; i++) add(&all, b->axes[i]);
  for (int i = 0; c && i < c->n; i++) add(&all, c->axes[i]);
  return all;
}

/* [batch.., rows, columns] of a value with these groups of letters. */
static Node *matrix(Einsum *e, Node *x, Term t, const Term *batch, const Term *rows, const Term *columns) {
  Term order = joined(batch, rows, columns);
  arrange(e, &x, &t, &order);
  Type type = type_of(e, x->type.dtype, batch);
  type.dim[type.rank++] = merged(e, rows);
  type.dim[type.rank++] = merged(e, columns);
  return b_reshape(&e->b, x, &type);
}

/* With the letters of `all`, an axis of 1 for each that it lacks. */
static Node *aligned(Einsum *e, Node *x, Term t, const Term *all) {
  Term order = {0};
  Type type = {.dtype = x->type.dtype, .rank = all->n};
  for (int i = 0; i < all->n; i++) {
    bool here = has(&t, all->axes[i]);
    if (here) add(&order, all->axes[i]);
    type.dim[i] = here ? e->dim[(int)all->axes[i]] : dim_literal(1);
  }
  arrange(e, &x, &t, &order);
  return b_reshape(&e->b, x, &type);
}

static bool stands_so(const Term *t, const Term *a, const Term *b, const Term *c) {
  Term order = joined(a, b, c);
  return t->n == order.n && !memcmp(t->axes, order.axes, (size_t)t->n);
}

/* The groups of letters of two values. */
typedef struct Groups {
  Term batch, inner, mine, its; /* of both and kept, of both and summed, of one alone */
  bool is_product;              /* of matrices; else element by element */
} Groups;

static bool find_groups(Einsum *e, const Term *t, const Term *u, int i, DType dtype, Groups *g) {
  choose(e, t, u, true, 1, i, &g->batch);
  bool fits = choose(e, t, u, true, 0, i, &g->inner);
  fits &= choose(e, t, u, false, -1, i, &g->mine);
  fits &= choose(e, u, t, false, -1, i, &g->its);
  g->is_product = g->inner.n && g->mine.n && g->its.n && fits && dtype_is_float(dtype);
  int kept = g->batch.n + g->mine.n + g->its.n;
  if (g->is_product ? kept <= MAX_RANK && g->batch.n <= MAX_RANK - 2 : kept + g->inner.n <= MAX_RANK) return true;
  return report(e->l->d, E0204, place(e->l, e->at[i]->at), "einsum: a value has at most %d axes", MAX_RANK), false;
}

/* An operand that stands the other way round is not moved, but read so. */
static Node *product(Einsum *e, Node *x, Term t, Node *y, Term u, const Groups *g) {
  bool ta = stands_so(&t, &g->batch, &g->inner, &g->mine), tb = stands_so(&u, &g->batch, &g->its, &g->inner);
  Node *a = ta ? matrix(e, x, t, &g->batch, &g->inner, &g->mine) : matrix(e, x, t, &g->batch, &g->mine, &g->inner);
  Node *b = tb ? matrix(e, y, u, &g->batch, &g->its, &g->inner) : matrix(e, y, u, &g->batch, &g->inner, &g->its);
  return b_matmul(&e->b, a, b, ta, tb);
}

/* x and the i-th value become one in x. */
static bool combine(Einsum *e, Node **x, Term *t, int i) {
  Node *y = e->x[i];
  Term u = e->terms[i];
  Groups g;
  sum_others(e, x, t, i - 1, NULL);
  sum_others(e, &y, &u, i, t);
  DType dtype = dtype_promote((*x)->type.dtype, y->type.dtype);
  *x = b_cast(&e->b, *x, dtype), y = b_cast(&e->b, y, dtype);
  if (!find_groups(e, t, &u, i, dtype, &g)) return false;
  Term all = joined(&g.batch, &g.mine, &g.its);
  if (g.is_product) {
    Type type = type_of(e, dtype, &all);
    *x = b_reshape(&e->b, product(e, *x, *t, y, u, &g), &type);
    return *t = all, true;
  }
  all = joined(&all, &g.inner, NULL);
  *x = b_binary(&e->b, OP_mul, aligned(e, *x, *t, &all), aligned(e, y, u, &all));
  *t = all;
  return sum_others(e, x, t, i, NULL), true;
}

static bool read_values(Einsum *e) {
  const Value *equation = &e->call->value[0];
  if (equation->kind == POISON) return false;
  if (equation->kind != TEXT) return wrong(e, "the equation comes first, in quotes: einsum(\"ij,jk->ik\", x, y)");
  for (int i = 0; i < e->n; i++) {
    e->at[i] = e->call->expr[i + 1] ? e->call->expr[i + 1] : e->call->e;
    e->x[i] = as_tensor(e->l, e->call->value[i + 1], F32, e->at[i]);
    if (!e->x[i]) return false;
  }
  return read_equation(e, equation->name) && learn_sizes(e);
}

Value einsum_call(Lower *l, Call *call, const Builtin *self) {
  if (!right_count(l, call, self)) return poison();
  Einsum e = {.l = l, .call = call, .b = builders(l, call->e, self->name), .n = call->n - 1};
  if (!read_values(&e)) return poison();
  for (int i = 0; i < e.n; i++)
    if (!prepare(&e, i)) return poison();
  Node *x = e.x[0];
  Term t = e.terms[0];
  for (int i = 1; i < e.n; i++)
    if (!combine(&e, &x, &t, i)) return poison();
  sum_others(&e, &x, &t, e.n - 1, NULL);
  arrange(&e, &x, &t, &e.result);
  return tensor_value(x);
}
