/* data.c - data sources and the batches they give. */
#include <string.h>

#include "frontend/lower.h"

/* How many file names a source takes: none, one, or one for each field. */
typedef enum Files { NO_FILE, ONE_FILE, FILE_A_FIELD } Files;
static const struct {
  const char *name;
  DataKind kind;
  Files files;
} sources[] = {{"csv", DATA_CSV, ONE_FILE},       {"npy", DATA_NPY, FILE_A_FIELD},  {"npz", DATA_NPZ, ONE_FILE},
               {"idx", DATA_IDX, FILE_A_FIELD},   {"bytes", DATA_BYTES, ONE_FILE}, {"tokens", DATA_TOKENS, ONE_FILE},
               {"random", DATA_RANDOM, NO_FILE}};
enum { N_SOURCES = sizeof sources / sizeof sources[0] };

static bool is_sequence(const Data *data) { return data->kind == DATA_BYTES || data->kind == DATA_TOKENS; }

static void no_batch(Lower *l, const FieldDecl *field, const Entry *entry) {
  const Expr *first = field->type.n_dims ? field->type.dims[0] : NULL;
  report(l->d, E0402, first ? first->at : field->at, "the first axis of field %s must be the batch: a dim by name",
         field->name);
  if (!first) report_help(l->d, "write %s: %s[B], one for each row", field->name, dtype_name(field->type.dtype));
  else if (first->kind == EXPR_NAME && !entry) report_help(l->d, "declare it at the top: dim %s = 64", first->name);
  else report_help(l->d, "declare the rows of a batch at the top, dim B = 64, and begin each field with B");
}

static void two_batches(Lower *l, const FieldDecl *field, const FieldDecl *before, const Symbol *now,
                        const Symbol *then) {
  report(l->d, E0402, field->type.dims[0]->at, "field %s begins with %s, the fields before it with %s", field->name,
         now->name, then->name);
  report_note(l->d, before->type.dims[0]->at, "as here");
  report_help(l->d, "a batch has one row of each: all fields begin with the same dim");
}

/* A batch, this one or that of another data set, where the size of a row should stand. */
static bool rows_fit(Lower *l, const FieldDecl *field, const Type *type, const Symbol *batch) {
  for (int k = 1; k < type->rank; k++) {
    const Symbol *rows = type->dim[k].rows;
    if (!rows) continue;
    report(l->d, E0402, k < field->type.n_dims ? field->type.dims[k]->at : field->at,
           rows == batch ? "%s is the batch, and only the first axis of field %s can be that"
                         : "%s is the batch of other data, and cannot be an axis of a row of field %s",
           rows->name, field->name);
    report_help(l->d, "the size of a row is a dim of its own, even when it is the same number");
    return false;
  }
  return true;
}

/* Data files hold no bf16: it is a way to compute, not what data are. */
static void bf16_field(Lower *l, const FieldDecl *field) {
  report(l->d, E0405, field->type.at, "data are not read as bf16, as field %s would be", field->name);
  report_help(l->d, "declare it f32; train ... with (precision: bf16) computes in bf16");
}

/* The fields' types; the first axis of all is the batch, which becomes a capacity. */
static bool lower_fields(Lower *l, const Span *at, int n, const FieldDecl *decls, Field **out, const Symbol **rows) {
  *out = arena_alloc(l->arena, sizeof **out * (size_t)(n + 1));
  *rows = NULL;
  for (int i = 0; i < n; i++) {
    Field *f = &(*out)[i];
    f->name = decls[i].name;
    const TypeExpr *t = &decls[i].type;
    Entry *entry = t->n_dims && t->dims[0]->kind == EXPR_NAME ? lookup(l->scope, t->dims[0]->name, false) : NULL;
    if (entry && entry->value.kind == POISON) return false;
    if (!entry || entry->value.kind != DIM || !entry->value.dim.symbol) return no_batch(l, &decls[i], entry), false;
    Symbol *batch = (Symbol *)entry->value.dim.symbol;
    if (*rows && *rows != batch) return two_batches(l, &decls[i], &decls[0], batch, *rows), false;
    *rows = batch;
    batch->rows = true;
    entry->value.dim = dim_symbol(batch);
    if (batch->size < 1)
      return report(l->d, E0402, decls[i].at, "the batch %s must hold at least one row", batch->name), false;
    if (!shape_of(l, t, &f->type)) return false;
    for (int k = 0; k < i; k++)
      if (!strcmp((*out)[k].name, f->name)) report(l->d, E0102, decls[i].at, "field %s is declared twice", f->name);
    if (f->type.dtype == BF16) return bf16_field(l, &decls[i]), false;
  }
  for (int i = 0; i < n && !diagnostics_errors(l->d); i++)
    if (!rows_fit(l, &decls[i], &(*out)[i].type, *rows)) return false;
  if (!n) report(l->d, E0401, at, "there are no fields: write what a row holds, { x: f32[B, P], y: i32[B] }");
  return n > 0;
}

/* Each field of bytes and tokens is a window, and all are of one length. */
static bool windows_fit(Lower *l, const Syntax *s, const char *source, const Data *data, const Expr *window) {
  const Type *first = &data->fields[0].type;
  for (int i = 0; i < data->n_fields; i++) {
    const FieldDecl *decl = &s->fields[i];
    const Type *t = &data->fields[i].type;
    if (t->rank != 2) {
      report(l->d, E0403, decl->at, "a field of %s is a window of the text, one axis behind the batch", source);
      report_help(l->d, "write %s: i32[%s, T], with dim T = 64 or as long as the windows are to be", decl->name, data->rows->name);
      return false;
    }
    if (t->dim[1].size == first->dim[1].size) continue;
    report(l->d, E0403, decl->type.dims[1]->at, "field %s is a window of %lld, %s one of %lld", decl->name,
           (long long)t->dim[1].size, data->fields[0].name, (long long)first->dim[1].size);
    report_help(l->d, "the fields of a row are the same window, each one place further on: all are as long");
    return false;
  }
  if (data->window && data->window != first->dim[1].size) {
    report(l->d, E0403, window->at, "window: is %lld, but a row of field %s holds %lld", (long long)data->window,
           data->fields[0].name, (long long)first->dim[1].size);
    report_help(l->d, "write one dim in both places, or leave window: out");
    return false;
  }
  if (first->dim[1].size >= 1) return true;
  return report(l->d, E0403, s->fields[0].type.dims[1]->at, "a window holds at least 1 %s", data->kind == DATA_BYTES ? "byte" : "token"), false;
}

/* window: is that of the fields, which may leave it out; stride: is as long where it is not given. */
static bool take_window(Lower *l, const Syntax *s, const char *source, Call *call, Data *data) {
  const Expr *window = take_key(call, "window"), *stride = take_key(call, "stride"), *either = window ? window : stride;
  if (!is_sequence(data)) {
    if (!either) return true;
    report(l->d, E0403, either->at, "%s: belongs to text, and %s gives rows as they are", window ? "window" : "stride", source);
    report_help(l->d, "bytes(\"text.txt\", window: T) cuts a text into rows");
    return false;
  }
  if (window && !whole_number(l, window, &data->window)) return false;
  if (stride && !whole_number(l, stride, &data->stride)) return false;
  if (stride && data->stride < 1) return report(l->d, E0403, stride->at, "stride: must be at least 1"), false;
  if (!windows_fit(l, s, source, data, window)) return false;
  data->window = data->fields[0].type.dim[1].size;
  return true;
}

static bool take_options(Lower *l, Call *call, Data *data) {
  static const char *const keys[] = {"rows", "drop", "seed", "window", "stride"};
  const Expr *rows = take_key(call, "rows"), *drop = take_key(call, "drop"), *seed = take_key(call, "seed");
  if (rows && !whole_number(l, rows, &data->n_rows)) return false;
  if (rows && data->n_rows < 1) return report(l->d, E0401, rows->at, "rows: must be at least 1"), false;
  if (seed && !whole_number(l, seed, &data->seed)) return false;
  if (drop) data->drop = eval(l, drop).number != 0;
  return check_keys(l, call, data->name, keys, is_sequence(data) ? 5 : 3);
}

static bool is_augment(const Expr *e) {
  return e->kind == EXPR_CALL && e->args[0]->kind == EXPR_NAME && !strcmp(e->args[0]->name, "augment");
}

/* Which source the call names; -1 after a report. */
static int source_of(Lower *l, const Expr *e, const char *data) {
  const char *name = e->kind == EXPR_CALL && e->args[0]->kind == EXPR_NAME ? e->args[0]->name : "", *names[N_SOURCES];
  for (int i = 0; i < N_SOURCES; i++) {
    names[i] = sources[i].name;
    if (!strcmp(name, names[i])) return i;
  }
  if (e->kind == EXPR_PIPE && is_augment(e->args[1])) {
    report(l->d, E0404, e->args[1]->at, "augment stands among the arguments of the source");
    report_help(l->d, "write csv(\"d.csv\", augment(...))");
    return -1;
  }
  report(l->d, E0401, e->at, "%s is no data source: csv, npy, npz, idx, bytes, tokens and random are", *name ? name : "this");
  const char *guess = *name ? nearest(name, names, N_SOURCES) : NULL;
  if (e->kind == EXPR_NAME) report_help(l->d, "write data %s = csv(\"file.csv\") -> { ... }", data);
  else if (guess) report_help(l->d, "did you mean %s?", guess);
  return -1;
}

static bool take_paths(Lower *l, const Expr *e, int source, const Call *call, Data *data) {
  static const int counts[] = {[NO_FILE] = 0, [ONE_FILE] = 1};
  int paths = sources[source].files == FILE_A_FIELD ? data->n_fields : counts[sources[source].files];
  if (call->n != paths)
    return report(l->d, E0401, e->at, "%s needs %d file name%s here, %d %s given", sources[source].name, paths,
                  paths == 1 ? "" : "s", call->n, call->n == 1 ? "is" : "are"),
           false;
  for (int i = 0; i < call->n; i++) {
    if (call->value[i].kind != TEXT)
      return report(l->d, E0401, e->at, "a file name in quotes is needed, this is %s", describe(l, &call->value[i])), false;
    if (strpbrk(call->value[i].name, "\n\t")) {
      report(l->d, E0003, call->expr[i]->at, "`\\n` is a line end and `\\t` a tab, which no file name holds");
      report_help(l->d, "folders of a path are parted by /");
      return false;
    }
    LIST_PUSH(l->arena, data->paths, data->n_paths, call->value[i].name);
  }
  return data->kind != DATA_RANDOM || data->n_rows ||
         (report(l->d, E0401, e->at, "random needs rows: how many to make"), false);
}

/* The call of the source alone: augment(...) among its arguments is no file. */
static Expr without_augment(Lower *l, const Expr *e, const Expr **augment) {
  Expr rest = *e;
  rest.args = arena_alloc(l->arena, sizeof *rest.args * (size_t)e->n_args);
  rest.keys = arena_alloc(l->arena, sizeof *rest.keys * (size_t)e->n_args);
  rest.key_at = arena_alloc(l->arena, sizeof *rest.key_at * (size_t)e->n_args);
  rest.n_args = 0;
  for (int i = 0; i < e->n_args; i++) {
    if (i && !e->keys[i] && is_augment(e->args[i])) {
      if (*augment) report(l->d, E0404, e->args[i]->at, "augment is given twice: its steps stand in one, in their order");
      *augment = e->args[i];
      continue;
    }
    rest.args[rest.n_args] = e->args[i];
    rest.keys[rest.n_args] = e->keys[i];
    rest.key_at[rest.n_args++] = e->key_at[i];
  }
  return rest;
}

void lower_data(Lower *l, const Syntax *s) {
  Data data = {.name = s->name, .span = s->at};
  const Expr *e = s->value, *augment = NULL;
  Call call;
  define(l, s->name, (Value){.kind = SET, .name = s->name}, s->name_at)->is_let = true;
  int source = source_of(l, e, s->name);
  if (source < 0) return;
  data.kind = sources[source].kind;
  const Expr source_call = without_augment(l, e, &augment);
  if (!collect_args(l, &source_call, NULL, &call) || !lower_fields(l, s->at, s->n_fields, s->fields, &data.fields, &data.rows)) return;
  data.n_fields = s->n_fields;
  if (!take_window(l, s, sources[source].name, &call, &data) || !take_options(l, &call, &data) ||
      !take_paths(l, e, source, &call, &data))
    return;
  const Augment *moves = augment ? augment_of(l, augment, &data) : NULL;
  if (augment && !moves) return;
  LIST_PUSH(l->arena, l->program->data, l->program->n_data, data);
  LIST_PUSH(l->arena, l->augments, l->n_augments, moves);
}

Value batch_value(const char *variable, int n_fields, Field *fields) {
  return (Value){.kind = BATCH, .name = variable, .n = n_fields, .fields = fields};
}

/* `ids` count classes: where they come straight from the data, each must lie in [0, classes) or be `ignore` (0: none),
 * which every use of them has to allow.  True where they do come from there. */
bool note_labels(Lower *l, const Node *ids, int64_t classes, int64_t ignore) {
  bool noted = false;
  while (ids->op == OP_reshape) ids = ids->in[0];
  for (int i = 0; i < l->n_leaves; i++) {
    Field *field = l->leaves[i].field;
    if (l->leaves[i].value != ids || dtype_is_float(field->type.dtype)) continue;
    bool first = !field->high;
    if (first || classes < field->high) field->high = classes;
    if (first || !ignore) field->ignore = ignore;
    noted = true;
  }
  return noted;
}

int data_index(Lower *l, const Expr *e) {
  const char *names[64];
  int n = 0;
  for (int i = 0; i < l->program->n_data; i++) {
    if (e->kind == EXPR_NAME && !strcmp(l->program->data[i].name, e->name)) return lookup(l->scope, e->name, false), i;
    if (n < 64) names[n++] = l->program->data[i].name;
  }
  if (e->kind == EXPR_NAME && lookup(l->scope, e->name, false) && diagnostics_errors(l->d)) return -1;
  report(l->d, E0401, e->at, "a data set is needed here");
  const char *guess = e->kind == EXPR_NAME ? nearest(e->name, names, n) : NULL;
  if (guess) report_help(l->d, "did you mean %s?", guess);
  return -1;
}

void lower_predict(Lower *l, const Syntax *s) {
  Predict *p = &l->program->predict;
  const Symbol *rows;
  *p = (Predict){.variable = s->names[0], .n_fields = s->n_fields, .span = s->at};
  if (!lower_fields(l, s->at, s->n_fields, s->fields, &p->fields, &rows)) return;
  p->graph = graph_new(l->program, "predict", NULL);
  p->graph->rows = rows;
  l->graph = p->graph;
  l->scope = scope_new(l, l->scope);
  Claim *claims = claims_start(l);
  l->prefix = "value";
  define(l, s->names[0], batch_value(s->names[0], p->n_fields, p->fields), s->names_at[0]);
  Node *node = as_tensor(l, eval(l, s->value), F32, s->value);
  claims_end(l, claims);
  l->scope = (Scope *)l->scope->parent;
  l->graph = NULL;
  l->prefix = NULL;
  if (!node) return;
  graph_output(p->graph, OUT_VALUE, "value", node);
  forget_own_names(p->graph);
  l->program->has_predict = true;
}
