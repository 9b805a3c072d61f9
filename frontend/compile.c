/* compile.c - a model file to a Program: the statements at file level, in order. */
#include <stdlib.h>
#include <string.h>

#include "frontend/lower.h"

static void lower_file(Lower *l, const File *file);

/* What a path that cannot be read was meant to be. */
static void help_with_path(Lower *l, const char *name) {
  const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
  if (!strcmp(name, "nn.mt") || !strcmp(name, "nn"))
    report_help(l->d, "the standard file is used without quotes: use nn");
  else if (!*name || name[strspn(name, "./")] == 0)
    report_help(l->d, "name a file: use \"layers.mt\"");
  else if (name[0] == '~')
    report_help(l->d, "`~` stands for itself here; a path is relative to this file's folder, or begins with /");
  else if (!dot || (slash && dot < slash))
    report_help(l->d, "a path has its ending: use \"%s.mt\"", name);
  else
    report_help(l->d, "a path is relative to the folder of the file that uses it");
}

static void use_file(Lower *l, const Syntax *s) {
  Source *source = arena_alloc(l->arena, sizeof *source);
  if (!s->is_string && strcmp(s->name, "nn")) {
    report(l->d, E0101, s->name_at,
           "there is no standard file %s; `use nn` is the one, `use \"%s.mt\"` a file of your own", s->name, s->name);
    l->file_missing = true;
    return;
  }
  if (s->is_string) {
    const char *slash = strrchr(s->source->path, '/');
    source->path = slash && s->name[0] != '/'
                       ? arena_print(l->arena, "%.*s/%s", (int)(slash - s->source->path), s->source->path, s->name)
                       : s->name;
    Text text = {0};
    int why = file_read(source->path, &text);
    source->length = why ? 0 : text.length;
    source->text = !why && text.data ? text_take(&text, l->arena) : "";
    text_free(&text);
    if (why) {
      report(l->d, E0001, s->name_at, "cannot read \"%s\": %s", source->path, strerror(why));
      help_with_path(l, s->name);
      l->file_missing = true;
      return;
    }
  } else {
    *source = (Source){STANDARD_FILE, nn_mt, nn_mt_length, true};
  }
  for (const Reading *r = l->reading; r; r = r->user)
    if (r->source->length == source->length && !memcmp(r->source->text, source->text, source->length)) {
      report(l->d, E0302, s->name_at, r == l->reading ? "%s uses itself" : "%s is used by a file that it uses", source->path);
      l->file_missing = true;
      return;
    }
  /* what a used file declares stands beside our own names, but it sees only its own */
  enum { MAX_FILE_DEPTH = 50, MAX_FILES = 1000 };
  if (l->depth > MAX_FILE_DEPTH || l->n_files++ >= MAX_FILES) {
    report(l->d, E0302, s->at, "files use each other without end");
    return;
  }
  Scope *own = l->scope;
  Reading reading = {source, l->reading};
  l->reading = &reading;
  l->scope = scope_new(l, NULL);
  l->depth++;
  File *file = parse(source, l->arena, l->d);
  if (diagnostics_errors(l->d)) l->file_missing = true;
  else lower_file(l, file);
  l->depth--;
  l->reading = reading.user;
  for (int i = 0; i < l->scope->n; i++) {
    Entry *entry = l->scope->entries[i];
    if (entry->value.kind == DEFINITION) LIST_PUSH(l->arena, own->entries, own->n, entry);
  }
  l->scope = own;
}

static const DimOverride *override_of(const Lower *l, const char *name) {
  for (int i = 0; i < l->options->n_dims; i++)
    if (!strcmp(l->options->dims[i].name, name)) return &l->options->dims[i];
  return NULL;
}

static void lower_dim(Lower *l, const Syntax *s) {
  for (int i = 0; i < s->n_names; i++) {
    const DimOverride *given = override_of(l, s->names[i]);
    Dim value;
    if (!dim_of(l, s->values[i], &value)) {
      define(l, s->names[i], poison(), s->names_at[i]);
      continue;
    }
    Symbol *symbol = arena_alloc(l->arena, sizeof *symbol);
    *symbol = (Symbol){.name = s->names[i], .size = given ? given->size : value.size};
    LIST_PUSH(l->arena, l->program->symbols, l->program->n_symbols, symbol);
    define(l, s->names[i], (Value){.kind = DIM, .dim = dim_symbol(symbol)}, s->names_at[i])->is_let = true;
  }
}

/* A dim that a data set counts rows by becomes a capacity: before any shape is made of it. */
static void mark_batches(Lower *l, const File *file) {
  for (int i = 0; i < file->n_statements; i++) {
    const Syntax *s = file->statements[i];
    for (int f = 0; (s->kind == SYN_DATA || s->kind == SYN_PREDICT) && f < s->n_fields; f++) {
      const TypeExpr *t = &s->fields[f].type;
      Entry *entry = t->n_dims && t->dims[0]->kind == EXPR_NAME ? lookup(l->scope, t->dims[0]->name, false) : NULL;
      if (!entry || entry->value.kind != DIM || !entry->value.dim.symbol) continue;
      ((Symbol *)entry->value.dim.symbol)->rows = true;
      entry->value.dim = dim_symbol(entry->value.dim.symbol);
    }
  }
}

/* Calls every instance in the order of the program: parameters exist before train names them. */
static void lower_statement(Lower *l, const Syntax *s) {
  switch (s->kind) {
  case SYN_DATA: lower_data(l, s); break;
  case SYN_LET: do_let(l, s); break;
  case SYN_TRAIN: lower_train(l, s); break;
  case SYN_PREDICT:
    if (l->program->has_predict) {
      report(l->d, E0508, s->at, "there is one predict entry already");
      report_note(l->d, l->program->predict.span, "here");
    } else {
      lower_predict(l, s);
    }
    break;
  default: break;
  }
}

static void lower_file(Lower *l, const File *file) {
  for (int i = 0; i < file->n_statements; i++) {
    const Syntax *s = file->statements[i];
    if (s->kind == SYN_USE) use_file(l, s);
    if (s->kind == SYN_DIM) lower_dim(l, s);
    if (s->kind == SYN_MODULE || s->kind == SYN_FN)
      define(l, s->name, (Value){.kind = DEFINITION, .syntax = s, .home = l->scope}, s->name_at);
  }
  mark_batches(l, file);
  for (int i = 0; i < file->n_statements; i++) lower_statement(l, file->statements[i]);
  for (int i = 0; i < file->n_statements; i++)
    if (file->statements[i]->kind == SYN_WEIGHTS) lower_weights(l, file->statements[i]);
}

static void check_overrides(Lower *l, const Source *source) {
  Span *start = arena_alloc(l->arena, sizeof *start);
  *start = (Span){.source = source, .line = 1, .column = 1, .length = 1};
  for (int i = 0; i < l->options->n_dims; i++) {
    const char *names[256];
    int n = 0;
    bool found = false;
    for (int k = 0; k < l->program->n_symbols; k++) {
      found |= !strcmp(l->program->symbols[k]->name, l->options->dims[i].name);
      if (n < 256) names[n++] = l->program->symbols[k]->name;
    }
    if (found) continue;
    const char *guess = nearest(l->options->dims[i].name, names, n);
    report(l->d, E0101, start, "-D %s: the model has no dim of that name", l->options->dims[i].name);
    if (guess) report_help(l->d, "did you mean %s?", guess);
  }
}

static char *program_name(Arena *arena, const char *path) {
  const char *slash = strrchr(path, '/'), *start = slash ? slash + 1 : path, *dot = strrchr(start, '.');
  return arena_copy(arena, start, dot && dot > start ? (size_t)(dot - start) : strlen(start));
}

/* At what stands there without use, if there is such a thing. */
static void nothing_to_build(Lower *l, const Source *source) {
  const char *set = "DATA";
  Span *start = arena_alloc(l->arena, sizeof *start);
  *start = (Span){.source = source, .line = 1, .column = 1, .length = 1};
  const Entry *instance = NULL, *data = NULL, *definition = NULL;
  for (int i = 0; i < l->scope->n; i++) {
    const Entry *entry = l->scope->entries[i];
    if (entry->value.kind == INSTANCE) instance = entry;
    if (entry->value.kind == SET) data = data ? data : entry;
    if (entry->value.kind == DEFINITION && entry->at->source == source) definition = entry;
  }
  if (data) set = data->name;
  if (instance) {
    report(l->d, E0508, instance->at, "there is nothing to build: %s is neither trained nor asked to predict",
           instance->name);
    report_help(l->d, "train d in %s for 10 epochs { ... } trains it, predict p in { ... } -> %s(p.x) asks it", set,
                instance->name);
  } else if (data) {
    report(l->d, E0508, data->at, "there is nothing to build: nothing is trained on %s", data->name);
    report_help(l->d, "train d in %s for 10 epochs { ... } takes its batches", data->name);
  } else {
    report(l->d, E0508, start, "there is nothing to build: no train block and no predict entry");
    if (definition) report_help(l->d, "other files take what is declared here by use \"%s\"", source->path);
  }
}

Program *compile(const Source *source, const FrontendOptions *options, Arena *arena, Diagnostics *d) {
  File *file = parse(source, arena, d);
  if (diagnostics_errors(d)) return NULL;
  Program *program = program_new(arena, program_name(arena, source->path), source->path);
  program->schedule = graph_new(program, "schedule", NULL);
  Reading reading = {source, NULL};
  Lower l = {.program = program, .arena = arena, .d = d, .options = options, .reading = &reading};
  l.scope = scope_new(&l, NULL);
  lower_file(&l, file);
  check_overrides(&l, source);
  if (!diagnostics_errors(d) && !program->has_train && !program->has_predict) nothing_to_build(&l, source);
  warn_unused(&l, l.scope);
  return diagnostics_errors(d) ? NULL : program;
}
