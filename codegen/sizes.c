/* sizes.c - sizes, strides and index expressions by the names of dims.
 *
 * An index knows numbers only.  A stride is named after the dims whose product
 * it is: first those at the end of the array it walks, then any run of the
 * space's.  Whichever names are found, their product is that number.
 */
#include <string.h>

#include "codegen/writer.h"

Expr program_dim(const Program *program, const Roots *roots, const Dim *dim) {
  for (int i = 0; roots && dim->symbol && i < program->n_symbols; i++) {
    const Symbol *s = program->symbols[i];
    if (s == dim->symbol || (s->size == dim->size && !strcmp(s->name, dim->symbol->name)))
      return expr_atom(roots->dims[i]);
  }
  return expr_atom(arena_print(program->arena, "%lld", (long long)dim->size));
}

Expr dim_text(const Writer *w, const Dim *dim) { return program_dim(w->program, w->canonical ? NULL : w->roots, dim); }

static Expr product(Writer *w, const char *a, Expr b) {
  return (Expr){arena_print(w->arena, "%s * %s", a, expr_within(w->arena, b, BIND_UNARY)), BIND_MUL, true};
}

/* Names when every factor has one or is the only one; else the number. */
static Expr dims_product(Writer *w, const Dim *dims, const int *axes, int n) {
  int64_t size = 1;
  bool named = !w->canonical;
  Expr e = {NULL, BIND_ATOM, true};
  for (int i = 0; i < n; i++) {
    const Dim *dim = &dims[axes ? axes[i] : i];
    if (dim->size == 1) continue;
    Expr d = dim_text(w, dim);
    named = named && (d.text[0] < '0' || d.text[0] > '9');
    e = e.text ? product(w, e.text, d) : d;
    size *= dim->size;
  }
  if (!e.text || !named || size >= ((int64_t)1 << 31)) return expr_atom(arena_print(w->arena, "%lld", (long long)size));
  return e;
}

Expr size_text(Writer *w, const Loop *loop) { return dims_product(w, w->k->space.dim, loop->member, loop->n); }

/* rows times what one row has; the axes are dims[axes[0]] ... or dims[0] ... */
static Expr extent_of(Writer *w, const Dim *dims, const int *axes, int n) {
  const Dim *first = n ? &dims[axes ? axes[0] : 0] : NULL;
  if (!first || !first->rows) return dims_product(w, dims, axes, n);
  w->k->uses_rows = true;
  int64_t factor = first->rows->size ? first->size / first->rows->size : 1;
  Expr e = expr_atom("rows");
  if (factor != 1) e = product(w, e.text, expr_atom(arena_print(w->arena, "%lld", (long long)factor)));
  Expr rest = axes ? dims_product(w, dims, axes + 1, n - 1) : dims_product(w, dims + 1, NULL, n - 1);
  return strcmp(rest.text, "1") ? (Expr){arena_print(w->arena, "%s * %s", e.text, rest.text), BIND_MUL, true} : e;
}

Expr extent_text(Writer *w, const Loop *loop) { return extent_of(w, w->k->space.dim, loop->member, loop->n); }
Expr axes_text(Writer *w, const Type *type, int from, int to) {
  return extent_of(w, type->dim + from, NULL, to - from);
}

/* A stride by its names: a run of the type's last axes, else one of the space's. */
static Expr stride_text(Writer *w, int64_t value, const Type *type) {
  if (!w->canonical) {
    const Type *types[] = {type, &w->k->space};
    for (int which = 0; which < 2; which++) {
      const Type *t = types[which];
      for (int end = t ? t->rank : 0; end > 0; end--) {
        int64_t size = 1;
        for (int from = end - 1; from >= 0; from--) {
          size *= t->dim[from].size;
          if (size == value && t->dim[from].size != 1) return dims_product(w, t->dim + from, NULL, end - from);
          if (size > value) break;
        }
      }
    }
  }
  return expr_atom(arena_print(w->arena, "%lld", (long long)value));
}

static Expr index_over(Writer *w, const Index *x, const Type *type) {
  Expr a, b;
  switch (x->kind) {
  case INDEX_CONST:
    return (Expr){arena_print(w->arena, "%lld", (long long)x->value), x->value < 0 ? BIND_UNARY : BIND_ATOM, true};
  case INDEX_AXIS:
    if (x->axis < DYNAMIC_AXIS) return expr_atom(w->k->loops[x->axis].name);
    a = write_operand(w, w->k->dynamic[x->axis - DYNAMIC_AXIS]);
    return w->k->wide
               ? (Expr){arena_print(w->arena, "(int64_t)%s", expr_within(w->arena, a, BIND_UNARY)), BIND_UNARY, true}
               : a;
  case INDEX_ADD:
    a = index_over(w, x->a, type);
    if (x->b->kind == INDEX_CONST && x->b->value < 0)
      return (Expr){arena_print(w->arena, "%s - %lld", expr_within(w->arena, a, BIND_ADD), -(long long)x->b->value),
                    BIND_ADD, true};
    b = index_over(w, x->b, type);
    return (Expr){
        arena_print(w->arena, "%s + %s", expr_within(w->arena, a, BIND_ADD), expr_within(w->arena, b, BIND_MUL)),
        BIND_ADD, true};
  case INDEX_MUL:
    a = index_over(w, x->a, type);
    if (x->value == -1)
      return (Expr){arena_print(w->arena, "-%s", expr_within(w->arena, a, BIND_ATOM)), BIND_UNARY, true};
    return (Expr){arena_print(w->arena, "%s * %s",
                              expr_within(w->arena, a, x->a->kind == INDEX_MUL ? BIND_MUL : BIND_UNARY),
                              stride_text(w, x->value, type).text),
                  BIND_MUL, true};
  case INDEX_DIV:
  case INDEX_MOD:
    a = index_over(w, x->a, type);
    return (Expr){
        arena_print(w->arena, "%s %c %s", expr_within(w->arena, a, x->a->kind == INDEX_DIV ? BIND_MUL : BIND_UNARY),
                    x->kind == INDEX_DIV ? '/' : '%', expr_within(w->arena, stride_text(w, x->value, type), BIND_ATOM)),
        BIND_MUL, true};
  }
  return expr_atom("0");
}

Expr index_expr(Writer *w, const Index *x, const Type *type) {
  return index_over(w, w->k->run > 1 ? index_from_first(w->k, x) : x, type);
}

const char *index_text(Writer *w, const Index *index, const Type *type) { return index_expr(w, index, type).text; }

const char *rows_condition(Writer *w, const Loop *loop) {
  Text text = {0};
  for (int i = 1; i < loop->n; i++) {
    const Dim *dim = &w->k->space.dim[loop->member[i]];
    if (!dim->rows) continue;
    w->k->uses_rows = true;
    int64_t factor = dim->rows->size ? dim->size / dim->rows->size : 1;
    const char *at = expr_within(w->arena, index_expr(w, w->k->coordinate[loop->member[i]], NULL), BIND_ADD);
    text_add(&text, "%s%s < rows", text.length ? " && " : "", at);
    if (factor != 1) text_add(&text, " * %lld", (long long)factor);
  }
  return text.length ? text_take(&text, w->arena) : NULL;
}
