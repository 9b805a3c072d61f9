/* writer.c - statements of passes and sections.
 *
 * Each store and reduction is one statement; what it reads stands inline
 * unless it is used again, would make the line long, or is named twice by an
 * operator's text.  Then it becomes a variable of its own, before the line.
 */
#include <stdlib.h>
#include <string.h>

#include "codegen/writer.h"

enum { LONGEST_INLINE = 64, LONGEST_LINE = 110 };

/* ---- lines ------------------------------------------------------------------ */

void write_line(Writer *w, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  int n = vsnprintf(NULL, 0, format, arguments);
  char *line = arena_alloc(w->arena, (size_t)n + 1);
  vsnprintf(line, (size_t)n + 1, format, again);
  va_end(again);
  va_end(arguments);
  text_add(w->out, "%*s%s\n", *line == '#' ? 0 : 2 * w->indent, "", line);
}

/* More than one statement: more than one line, but for a head and what it guards. */
static bool needs_braces(const char *body) {
  int lines = 0;
  for (const char *c = body; *c; c++) lines += *c == '\n';
  const char *end = strchr(body, '\n');
  size_t indent = strspn(body, " ");
  bool guards = lines == 2 && end[-1] != '{' && strspn(end + 1, " ") > indent;
  return lines != 1 && !guards;
}

void write_block(Writer *w, const char *head, Text *body) {
  if (!body->data) text_add(body, "%s", "");
  bool braces = needs_braces(body->data);
  write_line(w, braces ? "%s {" : "%s", head);
  text_add_bytes(w->out, body->data, body->length);
  if (braces) write_line(w, "}");
  text_free(body);
}

/* The same for an if whose one statement may stand on its line. */
static void write_if(Writer *w, const char *condition, Text *body) {
  const char *head = arena_print(w->arena, "if (%s)", condition), *end = body->data ? strchr(body->data, '\n') : NULL;
  size_t indent = body->data ? strspn(body->data, " ") : 0;
  if (!end || end[1] || (size_t)(end - body->data) - indent + strlen(head) + 2 * (size_t)w->indent > LONGEST_LINE - 2) {
    write_block(w, head, body);
    return;
  }
  write_line(w, "%s %.*s", head, (int)(end - body->data - (long)indent), body->data + indent);
  text_free(body);
}

Text *writer_divert(Writer *w, Text *to, int deeper) {
  Text *before = w->out;
  w->out = to;
  w->indent += deeper;
  return before;
}

void writer_begin(Writer *w) {
  w->names = names_new(w->arena, w->globals);
  for (int i = 0; i < w->k->n_values; i++) w->k->values[i]->name = NULL;
  for (int p = 0; p < w->k->n_pointers; p++) {
    Pointer *pointer = &w->k->pointers[p];
    pointer->name = w->canonical ? arena_print(w->arena, "p%d", p) : names_take(w->names, name_short(w->roots, pointer->node->name));
  }
}

static const char *parameter(Writer *w, int p) {
  const Pointer *pointer = &w->k->pointers[p];
  const char *type = c_type(pointer->type->dtype), *restricted = w->cuda ? "__restrict__ " : "restrict ";
  return arena_print(w->arena, "%s%s *%s%s", pointer->output < 0 ? "const " : "", type, restricted, pointer->name);
}

/* The parameters, broken into lines under the first. */
void write_signature(Writer *w, const char *before) {
  Text line = {0};
  const char *parts[MAX_POINTERS + 2];
  int n = 0;
  const Kernel *k = w->k;
  for (int p = 0; p < k->n_pointers; p++) parts[n++] = parameter(w, p);
  if (k->uses_scalars) parts[n++] = "const MtScalars *scalars";
  if (k->uses_rows) parts[n++] = w->cuda && !k->wide ? "int rows" : "int64_t rows";
  text_add(&line, "%s%s(", before, w->name);
  size_t column = line.length, used = column;
  for (int i = 0; i < n; i++) {
    size_t length = strlen(parts[i]);
    if (i > 0 && used + length + 4 > LONGEST_LINE) text_add(&line, ",\n%*s", (int)column, ""), used = column;
    else if (i > 0) text_add(&line, ", "), used += 2;
    text_add(&line, "%s", parts[i]);
    used += length;
  }
  text_add(&line, "%s) {\n", n || w->cuda ? "" : "void");
  text_add_bytes(w->out, line.data, line.length);
  text_free(&line);
}

/* ---- sizes --------------------------------------------------------------------- */

Expr program_dim(const Program *program, const Roots *roots, const Dim *dim) {
  for (int i = 0; roots && dim->symbol && i < program->n_symbols; i++) {
    const Symbol *s = program->symbols[i];
    if (s == dim->symbol || (s->size == dim->size && !strcmp(s->name, dim->symbol->name))) return expr_atom(roots->dims[i]);
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
Expr axes_text(Writer *w, const Type *type, int from, int to) { return extent_of(w, type->dim + from, NULL, to - from); }

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

static Expr operand(Writer *w, Value *v);

static Expr index_expr(Writer *w, const Index *x, const Type *type) {
  Expr a, b;
  switch (x->kind) {
  case INDEX_CONST: return (Expr){arena_print(w->arena, "%lld", (long long)x->value), x->value < 0 ? BIND_UNARY : BIND_ATOM, true};
  case INDEX_AXIS:
    if (x->axis < DYNAMIC_AXIS) return expr_atom(w->k->loops[x->axis].name);
    a = operand(w, w->k->dynamic[x->axis - DYNAMIC_AXIS]);
    return w->k->wide ? (Expr){arena_print(w->arena, "(int64_t)%s", expr_within(w->arena, a, BIND_UNARY)), BIND_UNARY, true} : a;
  case INDEX_ADD:
    a = index_expr(w, x->a, type);
    if (x->b->kind == INDEX_CONST && x->b->value < 0)
      return (Expr){arena_print(w->arena, "%s - %lld", expr_within(w->arena, a, BIND_ADD), -(long long)x->b->value), BIND_ADD, true};
    b = index_expr(w, x->b, type);
    return (Expr){arena_print(w->arena, "%s + %s", expr_within(w->arena, a, BIND_ADD), expr_within(w->arena, b, BIND_MUL)), BIND_ADD, true};
  case INDEX_MUL:
    a = index_expr(w, x->a, type);
    if (x->value == -1) return (Expr){arena_print(w->arena, "-%s", expr_within(w->arena, a, BIND_ATOM)), BIND_UNARY, true};
    return (Expr){arena_print(w->arena, "%s * %s", expr_within(w->arena, a, x->a->kind == INDEX_MUL ? BIND_MUL : BIND_UNARY),
                              stride_text(w, x->value, type).text), BIND_MUL, true};
  case INDEX_DIV: case INDEX_MOD:
    a = index_expr(w, x->a, type);
    return (Expr){arena_print(w->arena, "%s %c %s", expr_within(w->arena, a, x->a->kind == INDEX_DIV ? BIND_MUL : BIND_UNARY),
                              x->kind == INDEX_DIV ? '/' : '%', expr_within(w->arena, stride_text(w, x->value, type), BIND_ATOM)),
                  BIND_MUL, true};
  }
  return expr_atom("0");
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

/* ---- values ---------------------------------------------------------------------- */

static bool is_in_place(const Writer *w, const Value *v) {
  return v->kind == VALUE_LOAD && w->k->pointers[v->pointer].output >= 0;
}

/* A value is called as in the model; one that has an array's name, or is
 * loaded from it, is that array "at" this element; a sum is a sum. */
static const char *wanted_name(const Writer *w, const Value *v) {
  if (is_in_place(w, v)) return name_short(w->roots, w->k->group->in[w->k->pointers[v->pointer].input]->name);
  if (v->kind == VALUE_LOAD) return arena_print(w->arena, "%s_at", w->k->pointers[v->pointer].name);
  const char *name = name_short(w->roots, v->node->name);
  if (!names_has(w->names, name)) return name;
  if (v->kind != VALUE_REDUCE) return arena_print(w->arena, "%s_at", name);
  switch (v->node->op) {
  case OP_max: return "highest";
  case OP_min: return "lowest";
  case OP_sum: return "sum";
  default: return "position";
  }
}

const char *value_name(Writer *w, Value *v) {
  if (!v->name) v->name = w->canonical ? arena_print(w->arena, "v%d", v->id) : names_take(w->names, wanted_name(w, v));
  return v->name;
}

const char *best_name(Writer *w, Value *v) { return arena_print(w->arena, "%s_best", value_name(w, v)); }

static const char *guard_text(Writer *w, const Guard *guard) {
  Text text = {0};
  for (const Guard *g = guard; g; g = g->up) {
    Expr x = index_expr(w, g->test, NULL);
    const char *at = expr_within(w->arena, x, BIND_ADD);
    int64_t end = g->limit * g->by;
    if (g->test->low < 0) text_add(&text, "%s%s >= 0", text.length ? " && " : "", at);
    if (g->test->low + g->test->extent > end) text_add(&text, "%s%s < %lld", text.length ? " && " : "", at, (long long)end);
    if (g->by > 1) text_add(&text, "%s%s %% %lld == 0", text.length ? " && " : "", expr_within(w->arena, x, BIND_UNARY), (long long)g->by);
  }
  return text.length ? text_take(&text, w->arena) : NULL;
}

static Expr guarded(Writer *w, const Guard *guard, Expr e, DType dtype) {
  const char *condition = guard ? guard_text(w, guard) : NULL;
  if (!condition) return e;
  const char *zero = dtype == BOOL ? "false" : "0";
  return (Expr){arena_print(w->arena, "%s ? %s : %s", condition, expr_within(w->arena, e, BIND_OR), zero), BIND_TERNARY, e.integer};
}

static Expr variable(Writer *w, Value *v) {
  const char *name = value_name(w, v), *at = v->kept ? w->row_at : !v->full && v->named ? w->column_at : NULL;
  return (Expr){at ? arena_print(w->arena, "%s[%s]", name, at) : name, BIND_ATOM, !dtype_is_float(v->dtype)};
}

/* Is v a variable by now?  Else its text stands inline, or it is declared first. */
static bool is_declared(const Writer *w, const Value *v) { return v->declared || (v->full && v->kept && v->stage < w->pass); }

static uint64_t site_hash(const char *text) { /* FNV-1a */
  uint64_t hash = 14695981039346656037u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
  return hash;
}

static Expr text_of(Writer *w, Value *v) {
  Arena *arena = w->arena;
  switch (v->kind) {
  case VALUE_CONST: return expr_const(arena, v->node->attrs.value, v->dtype);
  case VALUE_ROWS: return (Expr){"rows", BIND_ATOM, true};
  case VALUE_COUNTER: return (Expr){arena_print(arena, "(%s)scalars->%s", c_type(v->dtype), v->node->attrs.path), BIND_UNARY, false};
  case VALUE_INDEX: {
    Expr e = index_expr(w, v->index, NULL);
    e.integer = true;
    return e;
  }
  case VALUE_LOAD: {
    const Pointer *p = &w->k->pointers[v->pointer];
    Expr e = {arena_print(arena, "%s[%s]", p->name, index_text(w, v->index, p->type)), BIND_ATOM, !dtype_is_float(v->dtype)};
    return guarded(w, v->guard, e, v->dtype);
  }
  case VALUE_RANDOM:
    return expr_atom(arena_print(arena, "%s(scalars, 0x%016llxu, %s)", v->node->attrs.distribution ? "mt_normal" : "mt_uniform",
                                 (unsigned long long)site_hash(v->node->attrs.path), index_text(w, v->index, &v->node->type)));
  case VALUE_GUARD: return guarded(w, v->guard, operand(w, v->in[0]), v->dtype);
  case VALUE_MAP: {
    Expr in[3];
    DType dtypes[3];
    for (int i = 0; i < v->n_in && i < 3; i++) {
      in[i] = operand(w, v->in[i]);
      dtypes[i] = v->in[i]->dtype;
    }
    return expr_map(arena, v->node, dtypes, in);
  }
  case VALUE_REDUCE: break;
  }
  return variable(w, v);
}

static Expr declare(Writer *w, Value *v, Expr e) {
  const char *comment = v->kind == VALUE_RANDOM && !w->canonical ? arena_print(w->arena, "  // %s", v->node->attrs.path) : "";
  if (v->kept || (v->named && w->column_at)) write_line(w, "%s = %s;%s", variable(w, v).text, e.text, comment);
  else write_line(w, "const %s %s = %s;%s", c_type(v->dtype), value_name(w, v), e.text, comment);
  v->declared = true;
  return variable(w, v);
}

static bool is_simple(const Value *v) {
  return v->kind == VALUE_CONST || v->kind == VALUE_ROWS || v->kind == VALUE_INDEX || v->kind == VALUE_COUNTER;
}

static Expr operand(Writer *w, Value *v) {
  if (is_declared(w, v)) return variable(w, v);
  Expr e = text_of(w, v);
  if (is_simple(v)) return e;
  bool keep_now = v->kept && v->stage == w->pass, name_now = !v->full && v->named && w->pass == 0;
  bool again = v->uses > 1 || v->kind == VALUE_RANDOM || is_in_place(w, v);
  if (again || keep_now || name_now || strlen(e.text) > LONGEST_INLINE) return declare(w, v, e);
  return e;
}

/* ---- passes and sections ------------------------------------------------------------ */

/* Uses of each value by the statements being printed; an op that names an
 * operand twice uses it twice. */
static void count_uses(Writer *w, Value *v, int times) {
  if (is_declared(w, v)) return;
  bool first = v->uses == 0;
  v->uses += times;
  if (!first || (v->kind == VALUE_REDUCE)) return;
  for (int i = 0; i < v->n_in; i++) {
    bool repeated = v->kind == VALUE_MAP && i < 3 && expr_repeats(v->node, i) > 1;
    count_uses(w, v->in[i], repeated && v->in[i]->kind != VALUE_LOAD ? 2 : 1);
  }
}

static bool is_stored_in(const Store *s, int pass, int section) {
  return pass > 0 ? s->full && s->stage == pass : !s->full && s->stage == section;
}

static void write_stores(Writer *w, int pass, int section) {
  const char *lines[MAX_POINTERS];
  int n = 0;
  for (int i = 0; i < w->k->n_stores; i++) {
    const Store *s = &w->k->stores[i];
    if (!is_stored_in(s, pass, section)) continue;
    const Pointer *p = &w->k->pointers[s->pointer];
    Expr e = operand(w, s->value);
    lines[n++] = arena_print(w->arena, "%s[%s] = %s;", p->name, index_text(w, s->index, p->type), e.text);
  }
  if (pass > 0 || !w->store_if || n == 0) {
    for (int i = 0; i < n; i++) write_line(w, "%s", lines[i]);
    return;
  }
  Text body = {0}, *before = writer_divert(w, &body, 1);
  for (int i = 0; i < n; i++) write_line(w, "%s", lines[i]);
  writer_divert(w, before, -1);
  write_if(w, w->store_if, &body);
}

static void begin_unit(Writer *w, int pass, int section) {
  w->pass = pass;
  for (int i = 0; i < w->k->n_values; i++) {
    Value *v = w->k->values[i];
    v->uses = 0;
    if (w->flat && !v->kept && !v->named) v->name = NULL;
    v->declared = !v->full && v->named && (pass > 0 ? true : v->stage < section || v->kind == VALUE_REDUCE);
  }
}

Value *pass_reduction(const Kernel *k, int pass, int n) {
  for (int i = 0; i < k->n_values; i++)
    if (k->values[i]->kind == VALUE_REDUCE && k->values[i]->stage == pass && n-- == 0) return k->values[i];
  return NULL;
}

bool reduces_position(const Value *v) { return v->node->op == OP_argmax || v->node->op == OP_argmin; }

const char *reduction_start(const Value *v) {
  bool floats = dtype_is_float(v->in[0]->dtype);
  switch (v->node->op) {
  case OP_max: case OP_argmax: return floats ? "-INFINITY" : "INT32_MIN";
  case OP_min: case OP_argmin: return floats ? "INFINITY" : "INT32_MAX";
  default: return "0";
  }
}

/* Positions: the first of equals; a NaN wins, the first of them. */
static void write_position(Writer *w, Value *v, Expr e) {
  const char *name = variable(w, v).text, *best = best_name(w, v), *x = e.text;
  if (w->column_at) best = arena_print(w->arena, "%s[%s]", best, w->column_at);
  const char *position = "0";
  for (int l = 0; l < w->k->n_loops; l++)
    if (w->k->loops[l].inner) position = w->k->loops[l].name;
  const char *better = arena_print(w->arena, "%s %s %s", x, v->node->op == OP_argmax ? ">" : "<", best);
  if (dtype_is_float(v->in[0]->dtype)) better = arena_print(w->arena, "%s || (%s != %s && %s == %s)", better, x, x, best, best);
  const char *update = arena_print(w->arena, "%s = %s, %s = %s%s;", best, x, name, w->cuda ? "" : "(int32_t)", position);
  bool fits = strlen(better) + strlen(update) + (size_t)(2 * w->indent) + 6 <= LONGEST_LINE;
  if (fits) write_line(w, "if (%s) %s", better, update);
  else write_line(w, "if (%s)\n%*s%s", better, 2 * w->indent + 2, "", update);
}

static void write_reduction(Writer *w, Value *v) {
  Expr e = operand(w, v->in[0]);
  const char *name = variable(w, v).text;
  if (e.integer && dtype_is_float(v->dtype) && v->node->op != OP_sum) e.text = arena_print(w->arena, "(real)(%s)", e.text);
  if (v->node->op == OP_sum) write_line(w, "%s += %s;", name, e.text);
  else if (reduces_position(v)) write_position(w, v, e);
  else write_line(w, "%s = %s(%s, %s);", name, v->node->op == OP_max ? "mt_maximum" : "mt_minimum", name, e.text);
}

void write_pass(Writer *w, int pass) {
  Kernel *k = w->k;
  begin_unit(w, pass, 0);
  for (int i = 0; i < k->n_values; i++) {
    Value *v = k->values[i];
    if (v->kind == VALUE_REDUCE && v->stage == pass) count_uses(w, v->in[0], reduces_position(v) ? 2 : 1);
    if (v->kept && v->stage == pass) count_uses(w, v, 1);
  }
  for (int i = 0; i < k->n_stores; i++)
    if (is_stored_in(&k->stores[i], pass, 0)) count_uses(w, k->stores[i].value, 1);
  for (int i = 0; i < k->n_values; i++) {
    if (k->values[i]->kept && k->values[i]->stage == pass) operand(w, k->values[i]);
    else if (k->values[i]->kind == VALUE_REDUCE && k->values[i]->stage == pass) write_reduction(w, k->values[i]);
  }
  write_stores(w, pass, 0);
}

static bool is_section_variable(const Value *v, int section) {
  return v->named && !v->full && v->kind != VALUE_REDUCE && v->stage == section;
}

void write_section(Writer *w, int section) {
  Kernel *k = w->k;
  begin_unit(w, 0, section);
  for (int i = 0; i < k->n_values; i++)
    if (is_section_variable(k->values[i], section)) count_uses(w, k->values[i], 1);
  for (int i = 0; i < k->n_stores; i++)
    if (is_stored_in(&k->stores[i], 0, section)) count_uses(w, k->stores[i].value, 1);
  for (int i = 0; i < k->n_values; i++)
    if (is_section_variable(k->values[i], section)) operand(w, k->values[i]);
  write_stores(w, 0, section);
}

bool section_is_empty(const Kernel *k, int section) {
  for (int i = 0; i < k->n_values; i++)
    if (is_section_variable(k->values[i], section)) return false;
  for (int i = 0; i < k->n_stores; i++)
    if (!k->stores[i].full && k->stores[i].stage == section) return false;
  return true;
}

bool pass_is_empty(const Kernel *k, int pass) {
  for (int i = 0; i < k->n_stores; i++)
    if (k->stores[i].full && k->stores[i].stage == pass) return false;
  return !pass_reduction(k, pass, 0);
}
