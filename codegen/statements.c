/* statements.c - what a pass or a section computes, as statements.
 *
 * Each store and reduction is one statement; what it reads stands inline
 * unless it is used again, would make the line long, or is named twice by an
 * operator's text.  Then it becomes a variable of its own, before the line.
 */
#include <string.h>

#include "codegen/writer.h"

enum { LONGEST_INLINE = 48 };

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

const char *guard_text(Writer *w, const Guard *guard) {
  Text text = {0};
  for (const Guard *g = guard; g; g = g->up) {
    Expr x = index_expr(w, g->test, NULL);
    const char *at = expr_within(w->arena, x, BIND_ADD);
    int64_t end = g->limit * g->by;
    if (g->test->low < 0) text_add(&text, "%s%s >= 0", text.length ? " && " : "", at);
    if (g->test->low + g->test->extent > end)
      text_add(&text, "%s%s < %lld", text.length ? " && " : "", at, (long long)end);
    if (g->by > 1)
      text_add(&text, "%s%s %% %lld == 0", text.length ? " && " : "", expr_within(w->arena, x, BIND_UNARY),
               (long long)g->by);
  }
  return text.length ? text_take(&text, w->arena) : NULL;
}

static Expr guarded(Writer *w, const Guard *guard, Expr e, DType dtype) {
  const char *condition = guard ? guard_text(w, guard) : NULL;
  if (!condition) return e;
  const char *zero = dtype == BOOL ? "false" : "0";
  return (Expr){arena_print(w->arena, "%s ? %s : %s", condition, expr_within(w->arena, e, BIND_OR), zero), BIND_TERNARY,
                e.integer};
}

static Expr variable(Writer *w, Value *v) {
  const char *name = value_name(w, v), *at = v->kept ? w->row_at : !v->full && v->named ? w->column_at : NULL;
  return (Expr){at ? arena_print(w->arena, "%s[%s]", name, at) : name, BIND_ATOM, !dtype_is_float(v->dtype)};
}

/* Is v a variable by now?  Else its text stands inline, or it is declared first. */
static bool is_declared(const Writer *w, const Value *v) {
  return v->declared || (v->full && v->kept && v->stage < w->pass);
}

static uint64_t site_hash(const char *text) { /* FNV-1a */
  uint64_t hash = 14695981039346656037u;
  for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
  return hash;
}

static const char *turn_name(const Writer *w, const char *path) {
  for (int i = 0; i < w->k->n_turns; i++)
    if (!strcmp(w->k->turns[i], path)) return w->k->turn_names[i];
  fault("the kernel %s does not know the turn of %s", w->name, path);
}

/* The site of a draw, in this turn of the loops around it. */
static const char *site_text(Writer *w, Value *v) {
  const char *text = arena_print(w->arena, "0x%016llxu", (unsigned long long)site_hash(v->node->attrs.path));
  for (int i = 0; i < v->n_in; i++) text = arena_print(w->arena, "mt_turn(%s, %s)", text, write_operand(w, v->in[i]).text);
  return text;
}

static DType operand_dtypes(const Value *v, DType *dtypes) {
  for (int i = 0; i < v->n_in && i < 3; i++) dtypes[i] = v->in[i]->dtype;
  return v->dtype;
}

/* A bf16 value is rounded where it is made; what memory holds, or a choice among such values, is so already. */
static bool must_round(const Value *v) {
  DType dtypes[3] = {0};
  if (operand_dtypes(v, dtypes) != BF16) return false;
  switch (v->kind) {
  case VALUE_LOAD:
  case VALUE_GUARD:
  case VALUE_PRODUCT: return false;
  case VALUE_REDUCE: return v->node->op == OP_sum;
  case VALUE_MAP: return !expr_is_bf16(v->node, dtypes);
  case VALUE_CONST: return !const_is_bf16(v->node->attrs.value);
  default: return true;
  }
}

static Expr exact_text(Writer *w, Value *v) {
  Arena *arena = w->arena;
  switch (v->kind) {
  case VALUE_CONST: return expr_const(arena, v->node->attrs.value, v->dtype);
  case VALUE_ROWS: return (Expr){"rows", BIND_ATOM, true};
  case VALUE_COUNTER:
    return (Expr){arena_print(arena, "(%s)scalars->%s", c_type(v->dtype), v->node->attrs.path), BIND_UNARY, false};
  case VALUE_TURN: return (Expr){turn_name(w, v->node->attrs.path), BIND_ATOM, true};
  case VALUE_INDEX: {
    Expr e = index_expr(w, v->index, NULL);
    e.integer = true;
    return e;
  }
  case VALUE_LOAD: {
    const Pointer *p = &w->k->pointers[v->pointer];
    const char *format = v->dtype == BF16 ? "from_bf16(%s[%s])" : "%s[%s]",
               *at = v->packed ? "t" : index_text(w, v->index, p->type);
    Text text = {0};
    text_add(&text, format, v->packed ? v->pack : p->name, at);
    Expr e = {text_take(&text, arena), BIND_ATOM, !dtype_is_float(v->dtype)};
    return v->packed ? e : guarded(w, v->guard, e, v->dtype); /* a pack is zero outside as a whole */
  }
  case VALUE_RANDOM:
    return expr_atom(
        arena_print(arena, "%s(scalars, %s, %s)", v->node->attrs.distribution ? "mt_normal" : "mt_uniform",
                    site_text(w, v), index_text(w, v->index, &v->node->type)));
  case VALUE_GUARD: return guarded(w, v->guard, write_operand(w, v->in[0]), v->dtype);
  case VALUE_MAP: {
    Expr in[3];
    DType dtypes[3];
    operand_dtypes(v, dtypes);
    for (int i = 0; i < v->n_in && i < 3; i++) in[i] = write_operand(w, v->in[i]);
    return expr_map(arena, v->node, dtypes, in);
  }
  case VALUE_REDUCE:
  case VALUE_PRODUCT: break;
  }
  return variable(w, v);
}

static Expr text_of(Writer *w, Value *v) {
  Expr e = exact_text(w, v);
  return must_round(v) ? expr_rounded(w->arena, e) : e;
}

static Expr declare(Writer *w, Value *v, Expr e) {
  const char *comment =
      v->kind == VALUE_RANDOM && !w->canonical ? arena_print(w->arena, "  // %s", v->node->attrs.path) : "";
  if (v->kept || (v->named && w->column_at))
    write_line(w, "%s = %s;%s", variable(w, v).text, e.text, comment);
  else
    write_line(w, "const %s %s = %s;%s", c_type(v->dtype), value_name(w, v), e.text, comment);
  v->declared = true;
  return variable(w, v);
}

static bool is_simple(const Value *v) {
  return v->kind == VALUE_CONST || v->kind == VALUE_ROWS || v->kind == VALUE_INDEX ||
         v->kind == VALUE_COUNTER || v->kind == VALUE_TURN;
}

Expr write_operand(Writer *w, Value *v) {
  if (is_declared(w, v)) /* a sum is rounded when it is complete: where it is read */
    return v->kind == VALUE_REDUCE && must_round(v) ? expr_rounded(w->arena, variable(w, v)) : variable(w, v);
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
    Expr e = write_operand(w, s->value);
    if (p->type->dtype == BF16) e = expr_stored(w->arena, e);
    const char *at = s->packed ? "t" : index_text(w, s->index, p->type);
    lines[n++] = arena_print(w->arena, "%s[%s] = %s;", s->packed ? s->pack : p->name, at, e.text);
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
    v->declared |= v->kind == VALUE_PRODUCT;
  }
}

Value *pass_reduction(const Kernel *k, int pass, int n) {
  for (int i = 0; i < k->n_values; i++)
    if (k->values[i]->kind == VALUE_REDUCE && k->values[i]->stage == pass && n-- == 0) return k->values[i];
  return NULL;
}

bool reduces_position(const Value *v) { return v->node->op == OP_argmax || v->node->op == OP_argmin; }

const char *reduction_start(const Value *v) {
  static const char *const lowest[DTYPE_COUNT] = {[I32] = "INT32_MIN", [U8] = "0", [BOOL] = "false"},
                           *const highest[DTYPE_COUNT] = {[I32] = "INT32_MAX", [U8] = "UINT8_MAX", [BOOL] = "true"};
  DType dtype = v->in[0]->dtype;
  switch (v->node->op) {
  case OP_max:
  case OP_argmax: return lowest[dtype] ? lowest[dtype] : "-INFINITY";
  case OP_min:
  case OP_argmin: return highest[dtype] ? highest[dtype] : "INFINITY";
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
  if (dtype_is_float(v->in[0]->dtype))
    better = arena_print(w->arena, "%s || (%s != %s && %s == %s)", better, x, x, best, best);
  const char *update =
      arena_print(w->arena, "%s = %s, %s = %s%s;", best, x, name, w->cuda ? "" : "(int32_t)", position);
  bool fits = strlen(better) + strlen(update) + (size_t)(2 * w->indent) + 6 <= LONGEST_LINE;
  if (fits)
    write_line(w, "if (%s) %s", better, update);
  else
    write_line(w, "if (%s)\n%*s%s", better, 2 * w->indent + 2, "", update);
}

static void write_reduction(Writer *w, Value *v) {
  Expr e = write_operand(w, v->in[0]);
  const char *name = variable(w, v).text;
  if (e.integer && dtype_is_float(v->dtype) && v->node->op != OP_sum)
    e.text = arena_print(w->arena, "(real)(%s)", e.text);
  if (v->node->op == OP_sum)
    write_line(w, "%s += %s;", name, e.text);
  else if (reduces_position(v))
    write_position(w, v, e);
  else
    write_line(w, "%s = %s(%s, %s);", name, v->node->op == OP_max ? "mt_maximum" : "mt_minimum", name, e.text);
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
    if (k->values[i]->kept && k->values[i]->stage == pass)
      write_operand(w, k->values[i]);
    else if (k->values[i]->kind == VALUE_REDUCE && k->values[i]->stage == pass)
      write_reduction(w, k->values[i]);
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
    if (is_section_variable(k->values[i], section)) write_operand(w, k->values[i]);
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
