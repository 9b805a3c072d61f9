/* tree.c - constructors of expressions, types and lists: what the grammar's actions call.
 *
 * Each makes one node from its parts.  A few check what the grammar leaves
 * open because a rule for it would give a worse message: what can be called,
 * what a label names, the names of types.
 */
#include "frontend/parse.h"

#include <string.h>

/* A range as a span of one source line; of a longer one, its first line. */
const Span *span_of(Parser *p, Range at) {
  Span *s = arena_alloc(p->arena, sizeof *s);
  int end = at.end_line == at.line ? at.end_column : at.line <= p->n_lines && p->line_end ? p->line_end[at.line] : 0;
  *s = (Span){.source = p->source, .line = at.line, .column = at.column, .length = 1};
  if (end > at.column) s->length = end - at.column;
  return s;
}

/* ---- lists ---- */

Words *add_word(Parser *p, Words *list, Word word) {
  if (!list) list = arena_alloc(p->arena, sizeof *list);
  int n = list->n;
  LIST_PUSH(p->arena, list->names, n, word.name);
  LIST_PUSH(p->arena, list->at, list->n, span_of(p, word.at));
  return list;
}

static Exprs *push(Parser *p, Exprs *list, Expr *x, const char *key, const Span *key_at) {
  int n = list->n, m = list->n;
  LIST_PUSH(p->arena, list->keys, n, key);
  LIST_PUSH(p->arena, list->key_at, m, key_at);
  LIST_PUSH(p->arena, list->items, list->n, x);
  return list;
}

/* With x NULL: an empty list. */
Exprs *add_expr(Parser *p, Exprs *list, Expr *x) {
  if (!list) list = arena_alloc(p->arena, sizeof *list);
  return x ? push(p, list, x, NULL, NULL) : list;
}

Exprs *add_named(Parser *p, Exprs *list, Word key, Expr *x) {
  if (!list) list = arena_alloc(p->arena, sizeof *list);
  return push(p, list, x, key.name, span_of(p, key.at));
}

Axes *add_axis(Parser *p, Axes *list, Axis *axis) {
  if (!list) list = arena_alloc(p->arena, sizeof *list);
  LIST_PUSH(p->arena, list->items, list->n, *axis);
  return list;
}

Types *add_type(Parser *p, Types *list, TypeExpr *one) {
  if (!list) list = arena_alloc(p->arena, sizeof *list);
  LIST_PUSH(p->arena, list->items, list->n, *one);
  return list;
}

Fields *add_field(Parser *p, Fields *list, FieldDecl *one) {
  if (!list) list = arena_alloc(p->arena, sizeof *list);
  LIST_PUSH(p->arena, list->items, list->n, *one);
  return list;
}

/* A call gives inputs in their order: it can only leave out the last ones. */
Fields *add_input(Parser *p, Fields *list, FieldDecl *one) {
  const FieldDecl *before = &list->items[list->n - 1];
  if (before->fallback && !one->fallback) {
    report(p->d, WRONG_SYNTAX, one->at, "`%s` has no default, but `%s` before it has one", one->name, before->name);
    report_help(p->d, "inputs that may be left out come last");
  }
  return add_field(p, list, one);
}

Block *add_statement(Parser *p, Block *list, Syntax *statement) {
  if (!list) list = arena_alloc(p->arena, sizeof *list);
  if (statement) LIST_PUSH(p->arena, list->items, list->n, statement);
  return list;
}

Clauses *first_clause(Parser *p, Expr *target, Expr *loss, Expr *optimizer) {
  Clauses *list = arena_alloc(p->arena, sizeof *list);
  list->loss = loss;
  return add_clause(p, list, target, optimizer);
}

Clauses *add_clause(Parser *p, Clauses *list, Expr *target, Expr *optimizer) {
  int n = list->n;
  LIST_PUSH(p->arena, list->targets, n, target);
  LIST_PUSH(p->arena, list->optimizers, list->n, optimizer);
  return list;
}

Count *make_count(Parser *p, Expr *value, Unit unit) {
  Count *c = arena_alloc(p->arena, sizeof *c);
  *c = (Count){value, unit};
  return c;
}

static Words *join_words(Parser *p, Words *a, Words *b) {
  for (int i = 0; b && a && i < b->n; i++) {
    int n = a->n;
    LIST_PUSH(p->arena, a->names, n, b->names[i]);
    LIST_PUSH(p->arena, a->at, a->n, b->at[i]);
  }
  return a ? a : b;
}

Carried *make_carried(Parser *p, Carried *so_far, Words *carry, Words *collect, bool remat) {
  if (!so_far) so_far = arena_alloc(p->arena, sizeof *so_far);
  so_far->carry = join_words(p, so_far->carry, carry);
  so_far->collect = join_words(p, so_far->collect, collect);
  so_far->remat |= remat;
  return so_far;
}

Word join_path(Parser *p, Range at, Word path, Word name) {
  return (Word){arena_print(p->arena, "%s.%s", path.name, name.name), at};
}

/* ---- expressions ---- */

static Expr *new_expr(Parser *p, ExprKind kind, Range at, const char *name, int n_args, Expr *const *args) {
  Expr *x = arena_alloc(p->arena, sizeof *x);
  x->kind = kind;
  x->at = x->first = span_of(p, at);
  x->name = name;
  x->n_args = n_args;
  if (n_args) x->args = arena_alloc(p->arena, sizeof *x->args * (size_t)n_args);
  for (int i = 0; i < n_args; i++) {
    x->args[i] = args[i];
    if (args[i] && args[i]->depth > x->depth) x->depth = args[i]->depth;
  }
  if (++x->depth <= MAX_DEPTH) return x;
  if (!p->too_deep) {
    report(p->d, WRONG_SIZE, x->at, "this expression is more than %d levels deep", MAX_DEPTH);
    report_help(p->d, "give parts of it names: let a = ..., let b = a + ...");
  }
  p->too_deep = true; /* said; the tree stays shallow enough to be walked */
  x->kind = EXPR_NUMBER;
  x->n_args = 0;
  x->depth = 1;
  return x;
}

Expr *expr_number(Parser *p, const Token *t) {
  Expr *x = new_expr(p, EXPR_NUMBER, t->at, NULL, 0, NULL);
  x->number = t->number;
  x->is_float = t->is_float;
  return x;
}

Expr *expr_string(Parser *p, const Token *t) { return new_expr(p, EXPR_STRING, t->at, t->name, 0, NULL); }

Expr *expr_bool(Parser *p, Range at, bool value) {
  return new_expr(p, value ? EXPR_TRUE : EXPR_FALSE, at, NULL, 0, NULL);
}

Expr *expr_name(Parser *p, Word word) {
  bool yes = !strcmp(word.name, "True"), no = !strcmp(word.name, "False");
  if (!yes && !no) return new_expr(p, EXPR_NAME, word.at, word.name, 0, NULL);
  report(p->d, WRONG_WORD, span_of(p, word.at), "`%s` is written `%s`", word.name, yes ? "true" : "false");
  return expr_bool(p, word.at, yes);
}

/* Brackets leave no node: the expression inside grows to include them. */
Expr *expr_brackets(Parser *p, Range at, Expr *inside) {
  inside->bracketed = true;
  if (inside->kind != EXPR_BINARY) inside->at = span_of(p, at);
  inside->first = span_of(p, at);
  return inside;
}

Expr *expr_unary(Parser *p, Range at, const char *op, Expr *x) { return new_expr(p, EXPR_UNARY, at, op, 1, &x); }

Expr *expr_binary(Parser *p, Range op_at, const char *op, Expr *x, Expr *y) {
  Expr *e = new_expr(p, EXPR_BINARY, op_at, op, 2, (Expr *[]){x, y});
  e->first = x->first;
  return e;
}

Expr *expr_pipe(Parser *p, Range at, Expr *x, Expr *stage) {
  Expr *e = new_expr(p, EXPR_PIPE, at, NULL, 2, (Expr *[]){x, stage});
  e->first = x->first;
  return e;
}

Expr *expr_label(Parser *p, Range at, Word label, Expr *call) {
  Expr *x = new_expr(p, EXPR_LABEL, at, label.name, 1, &call);
  if (call->kind != EXPR_CALL) {
    report(p->d, WRONG_SYNTAX, call->at, "the label `%s` needs a module's call after it", label.name);
    if (call->kind == EXPR_NAME) report_help(p->d, "write %s: %s()", label.name, call->name);
  }
  return x;
}

Expr *expr_field(Parser *p, Range at, Expr *x, Word field) {
  return new_expr(p, EXPR_FIELD, at, field.name, 1, &x);
}

static bool can_be_called(const Expr *x) {
  return x->kind == EXPR_NAME || x->kind == EXPR_FIELD || x->kind == EXPR_CALL || x->kind == EXPR_INDEX;
}

Expr *expr_call(Parser *p, Range at, Expr *callee, Exprs *args) {
  int n = args ? args->n : 0;
  Exprs all = {0};
  push(p, &all, callee, NULL, NULL);
  for (int i = 0; i < n; i++) push(p, &all, args->items[i], args->keys[i], args->key_at[i]);
  if (!can_be_called(callee)) {
    report(p->d, WRONG_SYNTAX, callee->first, "this cannot be called: it is not a function or module");
    if (callee->kind == EXPR_NUMBER || callee->bracketed) report_help(p->d, "a product is written with `*`");
  }
  Expr *x = new_expr(p, EXPR_CALL, at, NULL, all.n, all.items);
  x->keys = all.keys;
  x->key_at = all.key_at;
  return x;
}

Expr *expr_index(Parser *p, Range at, Expr *x, Exprs *items) {
  Exprs all = {0};
  push(p, &all, x, NULL, NULL);
  for (int i = 0; i < items->n; i++) {
    Expr *item = items->items[i];
    push(p, &all, item, NULL, NULL);
    if (item->kind != EXPR_PIPE || item->bracketed || item->args[1]->kind != EXPR_LABEL) continue;
    report(p->d, WRONG_SYNTAX, item->at, "inside [ ] this could be a label or a slice");
    report_help(p->d, "put the `|>` in brackets: [(a |> f):b] is a slice, [(a |> f: F())] a label");
  }
  return new_expr(p, EXPR_INDEX, at, NULL, all.n, all.items);
}

Expr *expr_slice(Parser *p, Range at, Expr *from, Expr *to) {
  return new_expr(p, EXPR_SLICE, at, NULL, 2, (Expr *[]){from, to});
}

Expr *expr_rearrange(Parser *p, Range at, Expr *x, Axes *from, Axes *to) {
  Expr *e = new_expr(p, EXPR_REARRANGE, at, NULL, 1, &x);
  if (from) e->n_from = from->n, e->from = from->items;
  e->n_to = to->n;
  e->to = to->items;
  return e;
}

Expr *expr_shape(Parser *p, Range at, Exprs *axes) {
  return new_expr(p, EXPR_SHAPE, at, NULL, axes->n, axes->items);
}

Expr *expr_spread(Parser *p, Range at, Word name) { return new_expr(p, EXPR_SPREAD, at, name.name, 0, NULL); }

Expr *expr_range(Parser *p, Range at, Expr *from, Expr *to) {
  return new_expr(p, EXPR_RANGE, at, NULL, 2, (Expr *[]){from, to});
}

Expr *expr_if(Parser *p, Range at, Expr *condition, Expr *yes, Expr *no) {
  return new_expr(p, EXPR_IF, at, NULL, 3, (Expr *[]){condition, yes, no});
}

/* ---- axes of a rearrange pattern ---- */

static Axis *new_axis(Parser *p, Range at) {
  Axis *a = arena_alloc(p->arena, sizeof *a);
  a->size = -1;
  a->at = span_of(p, at);
  return a;
}

Axis *axis_name(Parser *p, Word name, bool spread) {
  Axis *a = new_axis(p, name.at);
  a->name = spread ? arena_print(p->arena, "*%s", name.name) : name.name;
  return a;
}

Axis *axis_number(Parser *p, const Token *t) {
  Axis *a = new_axis(p, t->at);
  a->size = t->is_float ? 1 : (int64_t)t->number;
  if (t->is_float) report(p->d, WRONG_NUMBER, a->at, "the size of an axis is a whole number");
  else if (a->size < 1) report(p->d, WRONG_NUMBER, a->at, "the size of an axis is at least 1");
  return a;
}

Axis *axis_product(Parser *p, Range at, Axes *factors) {
  Axis *a = new_axis(p, at);
  a->n_factors = factors->n;
  a->factors = factors->items;
  return a;
}

/* ---- types and fields ---- */

static const char *const kinds[] = {"dim", "int", "float", "bool", "module", "fn"};
static const char *const type_names[] = {"f32", "f64", "bf16",  "i32",    "u8", "bool",
                                         "dim", "int", "float", "module", "fn"};

/* What other languages call the types. */
static const struct { const char *other, *ours; } translations[] = {
    {"int", "i32"},      {"float", "f32"}, {"double", "f64"},    {"float32", "f32"}, {"float64", "f64"},
    {"bfloat16", "bf16"},{"int32", "i32"}, {"uint8", "u8"},      {"byte", "u8"},     {"boolean", "bool"},
    {"f16", "bf16"},     {"half", "bf16"}, {"float16", "bf16"},  {"i64", "i32"},     {"int64", "i32"}, {"long", "i32"},
};

static void unknown_type(Parser *p, const Word *word, bool has_shape) {
  const char *ours = NULL;
  for (size_t i = 0; i < sizeof translations / sizeof *translations; i++)
    if (!strcmp(translations[i].other, word->name)) ours = translations[i].ours;
  const char *format = has_shape ? "there are no arrays of `%s`" : "there is no type `%s`";
  report(p->d, ours ? WRONG_WORD : WRONG_TYPE, span_of(p, word->at), format, word->name);
  if (!ours) ours = nearest(word->name, type_names, (int)(sizeof type_names / sizeof *type_names));
  if (ours) report_help(p->d, "did you mean %s?", ours);
  else report_help(p->d, "the types are f32, f64, bf16, i32, u8 and bool");
}

TypeExpr *make_type(Parser *p, Range at, const Word *dtype, Exprs *dims) {
  TypeExpr *t = arena_alloc(p->arena, sizeof *t);
  t->at = span_of(p, at);
  t->has_shape = dims != NULL;
  if (dims) t->n_dims = dims->n, t->dims = dims->items;
  if (!dtype) return t;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !dims; i++)
    if (!strcmp(kinds[i], dtype->name)) t->kind = kinds[i];
  if (!t->kind && !(t->has_dtype = dtype_find(dtype->name, &t->dtype))) unknown_type(p, dtype, dims != NULL);
  return t;
}

FieldDecl *make_field(Parser *p, Word name, TypeExpr *type, Expr *fallback) {
  FieldDecl *f = arena_alloc(p->arena, sizeof *f);
  f->at = span_of(p, name.at);
  f->name = name.name;
  if (type) f->type = *type, f->kind = type->kind;
  f->fallback = fallback;
  return f;
}

/* A module's input or a data field: a value, so its shape is given. */
FieldDecl *make_typed_field(Parser *p, Word name, TypeExpr *type, Expr *fallback) {
  FieldDecl *f = make_field(p, name, type, fallback);
  if (type->kind && strcmp(type->kind, "bool")) {
    report(p->d, WRONG_SYNTAX, type->at, "`%s` cannot be `%s`: a value stands here", name.name, type->kind);
    report_help(p->d, "a module's configuration goes in its first list, its inputs in the second");
  } else if ((type->has_dtype || type->kind) && !type->has_shape) {
    const char *dtype = type->kind ? type->kind : dtype_name(type->dtype);
    report(p->d, WRONG_SYNTAX, type->at, "`%s` has a type but no shape", name.name);
    report_help(p->d, "write %s: %s[] for a single number", name.name, dtype);
  }
  return f;
}
