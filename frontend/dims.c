/* dims.c - dims as numbers, shapes as written, and signatures against arguments. */
#include <math.h>
#include <string.h>

#include "frontend/lower.h"

/* As written, but a module's own names as the caller's: 4 * d may become 4 * H. */
static void print_name(Lower *l, Text *out, const Expr *e) {
  const Entry *entry = lookup(l->scope, e->name, false);
  Dim dim = entry && entry->value.kind == DIM ? outermost(entry->value.dim) : (Dim){0};
  if (entry && entry->value.kind == NUMBER)
    text_number(out, entry->value.number);
  else if (!entry || entry->value.kind != DIM)
    text_add(out, "%s", e->name);
  else if (dim.symbol || dim.text)
    text_add(out, dim.symbol ? "%s" : "(%s)", dim.symbol ? dim.symbol->name : dim.text);
  else
    text_number(out, (double)dim.size);
}

static void print_dim(Lower *l, Text *out, const Expr *e, int level) {
  static const struct {
    const char *sign;
    int level;
  } signs[] = {{"+", 1}, {"-", 1}, {"*", 2}, {"/", 2}, {"//", 2}, {"%", 2}, {"^", 3}};
  if (e->kind == EXPR_NUMBER)
    text_number(out, e->number);
  else if (e->kind == EXPR_NAME)
    print_name(l, out, e);
  else if (e->kind == EXPR_BINARY) {
    int own = 0;
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
      if (!strcmp(signs[i].sign, e->name)) own = signs[i].level;
    if (own < level) text_add(out, "(");
    print_dim(l, out, e->args[0], own);
    text_add(out, " %s ", e->name);
    print_dim(l, out, e->args[1], own + 1);
    if (own < level) text_add(out, ")");
  } else
    text_add(out, "?");
}

const char *written_dim(Lower *l, const Expr *e) {
  Text text = {0};
  print_dim(l, &text, e, 0);
  return text_take(&text, l->arena);
}

static bool not_a_dim(Lower *l, const Expr *e, const Value *v) {
  report(l->d, E0207, place(l, e->at), "a dim is needed here, this is %s", describe(l, v));
  return false;
}

/* "3 * P (12)": as written, with what that comes to. */
static const char *dim_and_size(Lower *l, const Expr *e, int64_t size) {
  const char *text = written_dim(l, e);
  return e->kind == EXPR_NUMBER ? text : arena_print(l->arena, "%s (%lld)", text, (long long)size);
}

static bool power(int64_t a, int64_t b, int64_t *out) {
  for (*out = 1; b > 0; b--)
    if (__builtin_mul_overflow(*out, a, out)) return false;
  return true;
}

static bool combine(Lower *l, const Expr *e, const Dim *x, const Dim *y, Dim *out) {
  const char *op = e->name;
  int64_t a = x->size, b = y->size, size = 0;
  bool fits = true;
  if (!strcmp(op, "+"))
    fits = !__builtin_add_overflow(a, b, &size);
  else if (!strcmp(op, "-"))
    size = a - b;
  else if (!strcmp(op, "*"))
    fits = !__builtin_mul_overflow(a, b, &size);
  else if (!strcmp(op, "^"))
    fits = power(a, b, &size);
  else if (!strcmp(op, "/") || !strcmp(op, "//") || !strcmp(op, "%")) {
    if (b == 0) return report(l->d, E0207, place(l, e->at), "division of a dim by 0"), false;
    if (op[0] == '/' && !op[1] && a % b) {
      report(l->d, E0207, place(l, e->at), "%s does not divide by %s: %lld is left over", dim_and_size(l, e->args[0], a),
             dim_and_size(l, e->args[1], b), (long long)(a % b));
      report_help(l->d, "// rounds down");
      return false;
    }
    size = op[0] == '%' ? a % b : a / b;
  } else {
    return report(l->d, E0207, place(l, e->at), "%s has no meaning for dims", op), false;
  }
  if (!fits || size < 0)
    return report(l->d, E0207, place(l, e->at), fits ? "this dim would be negative: %lld" : "this dim is too large",
                  (long long)size),
           false;
  const Symbol *rows = x->rows ? x->rows : y->rows;
  if (rows && ((x->rows && y->rows) || strcmp(op, "*"))) {
    report(l->d, E0211, place(l, e->at),
           "the batch dim %s can only be multiplied in a shape: the last batch may be shorter", rows->name);
    return false;
  }
  *out = (Dim){.size = size, .text = written_dim(l, e), .rows = rows};
  return true;
}

static bool is_size(const Expr *e) {
  return e->kind == EXPR_CALL && e->args[0]->kind == EXPR_NAME && !strcmp(e->args[0]->name, "size");
}

bool dim_of(Lower *l, const Expr *e, Dim *out) {
  Dim x, y;
  if (is_size(e)) {
    Value v = eval(l, e);
    return v.kind == DIM && (*out = v.dim, true);
  }
  if (e->kind == EXPR_NUMBER) {
    if (e->is_float || e->number < 0 || e->number > 9e15)
      return report(l->d, E0207, place(l, e->at), "a dim is a whole number of at least 0"), false;
    return *out = dim_literal((int64_t)e->number), true;
  }
  if (e->kind == EXPR_BINARY)
    return dim_of(l, e->args[0], &x) && dim_of(l, e->args[1], &y) && combine(l, e, &x, &y, out);
  if (e->kind != EXPR_NAME)
    return report(l->d, E0207, place(l, e->at), "a dim is a name, a number, or arithmetic of them"), false;
  Entry *entry = lookup(l->scope, e->name, false);
  if (!entry) return unknown_name(l, e->name, e->at, false), false;
  const Value *v = &entry->value;
  if (v->kind == DIM) return *out = v->dim, true;
  if (v->kind == NUMBER && v->number == floor(v->number) && v->number >= 0 && v->number <= 9e15)
    return *out = dim_literal((int64_t)v->number), true;
  return v->kind == POISON ? false : not_a_dim(l, e, v);
}

bool shape_of(Lower *l, const TypeExpr *t, Type *out) {
  *out = type_scalar(t->has_dtype ? t->dtype : F32);
  for (int i = 0; i < t->n_dims; i++) {
    const Expr *e = t->dims[i];
    Entry *run = e->kind == EXPR_SPREAD ? lookup(l->scope, e->name, false) : NULL;
    if (e->kind == EXPR_SPREAD && (!run || run->value.kind != RUN))
      return unknown_name(l, e->name, e->at, false), false;
    int n = run ? run->value.n : 1;
    if (out->rank + n > MAX_RANK)
      return report(l->d, E0204, place(l, t->at), "a shape has at most %d axes", MAX_RANK), false;
    if (run)
      for (int k = 0; k < n; k++) out->dim[out->rank++] = run->value.dims[k];
    else if (!dim_of(l, e, &out->dim[out->rank++]))
      return false;
  }
  return true;
}

bool whole_number(Lower *l, const Expr *e, int64_t *out) {
  double number;
  if (!as_number(l, e, &number)) return false;
  if (number != floor(number) || fabs(number) > 9e15)
    return report(l->d, E0106, place(l, e->at), "a whole number is needed here"), false;
  return *out = (int64_t)number, true;
}

/* ---- signatures ---- */

static bool misfit(Lower *l, const FieldDecl *field, const Type *type, const Span *call, const char *why) {
  Text text = {0};
  type_print(&text, type, false);
  report(l->d, E0212, call, "argument %s does not fit: it is %s, %s", field->name, text.data, why);
  report_note(l->d, field->at, "declared here");
  text_free(&text);
  return false;
}

/* What *s stands for: each of its axes gets a name of its own. */
static void bind_run(Lower *l, const Expr *e, int n, const Dim *given) {
  Dim *dims = arena_alloc(l->arena, sizeof *dims * (size_t)(n + 1));
  for (int k = 0; k < n; k++) {
    const char *name = n == 1 ? e->name : arena_print(l->arena, "%s%d", e->name, k);
    dims[k] = (Dim){.size = given[k].size, .symbol = own_name(l, name, given[k]), .rows = given[k].rows};
  }
  define(l, e->name, (Value){.kind = RUN, .n = n, .dims = dims}, NULL);
}

static bool same_run(const Value *run, int n, const Dim *given) {
  bool same = run->n == n;
  for (int k = 0; k < n && same; k++) same = dim_same(*run->dims[k].symbol->stands_for, given[k], true);
  return same;
}

/* An axis that the signature only names: bound by the first argument that has it, matched by the others. */
static bool bind_axis(Lower *l, const Scope *home, const Expr *e, Dim given, Dim *wanted) {
  Entry *known = e->kind == EXPR_NAME ? lookup(l->scope, e->name, false) : NULL;
  if (e->kind == EXPR_NAME && !known && !lookup(home, e->name, false)) {
    Dim own = {.size = given.size, .symbol = own_name(l, e->name, given), .rows = given.rows};
    define(l, e->name, (Value){.kind = DIM, .dim = own}, NULL);
    return *wanted = given, true;
  }
  if (!dim_of(l, e, wanted)) return false;
  for (int k = 0; k < l->n_locals; k++)
    if (wanted->symbol == l->locals[k]) *wanted = *wanted->symbol->stands_for;
  return true;
}

/* Bind the names of one input's shape to the argument's axes; names known before must match. */
bool bind_shape(Lower *l, const Scope *home, const FieldDecl *field, const Type *type, const Span *call) {
  const TypeExpr *t = &field->type;
  if (t->has_dtype && t->dtype != type->dtype)
    return misfit(l, field, type, call, arena_print(l->arena, "%s is declared", dtype_name(t->dtype)));
  if (!t->has_shape) return true;
  int spread = -1;
  for (int i = 0; i < t->n_dims; i++) {
    if (t->dims[i]->kind != EXPR_SPREAD) continue;
    if (spread >= 0)
      return report(l->d, E0212, t->dims[i]->at, "one run of axes is as much as a shape can hold: *%s is the second",
                    t->dims[i]->name),
             false;
    spread = i;
  }
  int fixed = t->n_dims - (spread >= 0), run = type->rank - fixed;
  if (run < 0 || (spread < 0 && run != 0))
    return misfit(l, field, type, call,
                  arena_print(l->arena, "%s%d ax%s declared", spread >= 0 ? "at least " : "", fixed,
                              fixed == 1 ? "is is" : "es are"));
  for (int i = 0, axis = 0; i < t->n_dims; i++) {
    const Expr *e = t->dims[i];
    Dim wanted;
    if (i == spread) {
      const Entry *known = lookup(l->scope, e->name, false);
      if (!known)
        bind_run(l, e, run, &type->dim[axis]);
      else if (known->value.kind != RUN || !same_run(&known->value, run, &type->dim[axis]))
        return misfit(l, field, type, call, arena_print(l->arena, "*%s stands for other axes already", e->name));
      axis += run;
      continue;
    }
    if (!bind_axis(l, home, e, type->dim[axis], &wanted)) return false;
    if (!dim_same(type->dim[axis++], wanted, true))
      return misfit(
          l, field, type, call,
          arena_print(l->arena, "axis %d must be %s (%lld)", axis - 1, written_dim(l, e), (long long)wanted.size));
  }
  return true;
}
