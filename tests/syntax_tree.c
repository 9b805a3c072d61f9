/* syntax_tree.c - a syntax tree as text: (kind parts ...), every field of every
 * node that the kind uses, so that two trees print alike only if they are alike. */
#include "tests/syntax_tree.h"

static void print_axes(Text *out, int n, const Axis *axes) {
  text_add(out, "[");
  for (int i = 0; i < n; i++) {
    text_add(out, "%s", i ? " " : "");
    if (axes[i].n_factors) print_axes(out, axes[i].n_factors, axes[i].factors);
    else if (axes[i].name) text_add(out, "%s", axes[i].name);
    else text_add(out, "%d", (int)axes[i].size);
  }
  text_add(out, "]");
}

static void print_args(Text *out, const Expr *x) {
  for (int i = 0; i < x->n_args; i++) {
    text_add(out, " ");
    if (x->keys && x->keys[i]) text_add(out, "%s:", x->keys[i]);
    print_expr(out, x->args[i]);
  }
}

static void print_node(Text *out, const char *head, const char *name, const Expr *x) {
  text_add(out, "(%s%s%s", head, name ? " " : "", name ? name : "");
  print_args(out, x);
  text_add(out, ")");
}

void print_expr(Text *out, const Expr *x) {
  if (!x) {
    text_add(out, "_");
    return;
  }
  switch (x->kind) {
  case EXPR_NUMBER:
    if (x->is_float) text_number(out, x->number), text_add(out, "f");
    else text_add(out, "%lld", (long long)x->number);
    break;
  case EXPR_STRING: text_add(out, "\"%s\"", x->name); break;
  case EXPR_TRUE: text_add(out, "true"); break;
  case EXPR_FALSE: text_add(out, "false"); break;
  case EXPR_NAME: text_add(out, "%s", x->name); break;
  case EXPR_UNARY: case EXPR_BINARY: print_node(out, x->name, NULL, x); break;
  case EXPR_PIPE: print_node(out, "|>", NULL, x); break;
  case EXPR_CALL: print_node(out, "call", NULL, x); break;
  case EXPR_LABEL: print_node(out, "label", x->name, x); break;
  case EXPR_FIELD: print_node(out, ".", x->name, x); break;
  case EXPR_INDEX: print_node(out, "index", NULL, x); break;
  case EXPR_SLICE: print_node(out, "slice", NULL, x); break;
  case EXPR_SHAPE: print_node(out, "shape", NULL, x); break;
  case EXPR_SPREAD: text_add(out, "*%s", x->name); break;
  case EXPR_RANGE: print_node(out, "range", NULL, x); break;
  case EXPR_IF: print_node(out, "if", NULL, x); break;
  case EXPR_REARRANGE:
    text_add(out, "(rearrange ");
    print_expr(out, x->args[0]);
    text_add(out, " ");
    if (x->from) print_axes(out, x->n_from, x->from), text_add(out, "->");
    print_axes(out, x->n_to, x->to);
    text_add(out, ")");
  }
}

static void print_type(Text *out, const TypeExpr *t) {
  if (t->has_dtype) text_add(out, "%s", dtype_name(t->dtype));
  if (!t->has_shape) return;
  text_add(out, "[");
  for (int i = 0; i < t->n_dims; i++) {
    text_add(out, "%s", i ? " " : "");
    print_expr(out, t->dims[i]);
  }
  text_add(out, "]");
}

static void print_fields(Text *out, int n, const FieldDecl *fields) {
  text_add(out, " {");
  for (int i = 0; i < n; i++) {
    text_add(out, "%s%s", i ? " " : "", fields[i].name);
    if (fields[i].kind || fields[i].type.has_dtype || fields[i].type.has_shape) text_add(out, ":");
    if (fields[i].kind) text_add(out, "%s", fields[i].kind);
    else print_type(out, &fields[i].type);
    if (fields[i].fallback) text_add(out, "="), print_expr(out, fields[i].fallback);
  }
  text_add(out, "}");
}

static void print_names(Text *out, const char *before, int n, const char **names) {
  text_add(out, "%s", before);
  for (int i = 0; i < n; i++) text_add(out, " %s", names[i]);
}

static void print_body(Text *out, int n, Syntax *const *body) {
  text_add(out, " {");
  for (int i = 0; i < n; i++) {
    text_add(out, "%s", i ? " " : "");
    print_statement(out, body[i]);
  }
  text_add(out, "}");
}

static void print_value(Text *out, const Expr *x) {
  text_add(out, " ");
  print_expr(out, x);
}

static void print_count(Text *out, const Syntax *s) {
  print_value(out, s->count);
  text_add(out, s->unit == STEPS ? " steps" : " epochs");
}

static void print_options(Text *out, const Syntax *s) {
  for (int i = 0; i < s->n_options; i++) {
    text_add(out, " %s:", s->option_keys[i]);
    print_expr(out, s->option_values[i]);
  }
}

static void print_module(Text *out, const Syntax *s) {
  print_fields(out, s->n_config, s->config);
  print_fields(out, s->n_fields, s->fields);
  text_add(out, s->is_result_tuple ? " -> tuple" : " ->");
  for (int i = 0; i < s->n_results; i++) text_add(out, " "), print_type(out, &s->results[i]);
  print_body(out, s->n_body, s->body);
}

static void print_for(Text *out, const Syntax *s) {
  print_names(out, "", s->n_names, s->names);
  print_value(out, s->value);
  if (s->n_carry) print_names(out, " carry", s->n_carry, s->carry);
  if (s->n_collect) print_names(out, " collect", s->n_collect, s->collect);
  if (s->remat) text_add(out, " remat");
  print_body(out, s->n_body, s->body);
}

static void print_update(Text *out, const Syntax *s) {
  print_value(out, s->values[0]);
  for (int i = 0; i < s->n_clauses; i++) {
    print_value(out, s->clause_target[i]);
    print_value(out, s->clause_optimizer[i]);
  }
}

static const char *const heads[] = {"use",    "dim",   "data",   "module", "fn",     "let",    "param", "state",
                                    "<-",     "if",    "for",    "return", "expr",   "train",  "update", "freeze",
                                    "log",    "every", "eval",   "save",   "sample", "weights", "predict", "error"};

void print_statement(Text *out, const Syntax *s) {
  text_add(out, "(%s", s->rebinds ? "set" : heads[s->kind]);
  if (s->name) text_add(out, s->is_string ? " \"%s\"" : " %s", s->name);
  switch (s->kind) {
  case SYN_DIM:
    for (int i = 0; i < s->n_names; i++) text_add(out, " %s=", s->names[i]), print_expr(out, s->values[i]);
    break;
  case SYN_DATA:
    print_value(out, s->value);
    if (s->n_fields) print_fields(out, s->n_fields, s->fields);
    break;
  case SYN_MODULE: print_module(out, s); break;
  case SYN_FN:
    print_fields(out, s->n_fields, s->fields);
    if (s->value) print_value(out, s->value);
    else print_body(out, s->n_body, s->body);
    break;
  case SYN_LET:
    print_names(out, "", s->n_names, s->names);
    print_value(out, s->value);
    break;
  case SYN_PARAM: case SYN_STATE:
    text_add(out, " ");
    print_type(out, &s->results[0]);
    print_value(out, s->value);
    break;
  case SYN_ASSIGN:
    if (!s->name) print_value(out, s->target);
    print_value(out, s->value);
    break;
  case SYN_IF:
    print_value(out, s->value);
    print_body(out, s->n_body, s->body);
    if (s->otherwise) print_body(out, s->n_otherwise, s->otherwise);
    break;
  case SYN_FOR: print_for(out, s); break;
  case SYN_RETURN: case SYN_FREEZE:
    for (int i = 0; i < s->n_values; i++) print_value(out, s->values[i]);
    break;
  case SYN_EXPR: case SYN_LOG: case SYN_SAMPLE: print_value(out, s->value); break;
  case SYN_TRAIN:
    print_names(out, "", s->n_names, s->names);
    print_value(out, s->value);
    print_count(out, s);
    print_options(out, s);
    print_body(out, s->n_body, s->body);
    break;
  case SYN_UPDATE: print_update(out, s); break;
  case SYN_EVERY:
    print_count(out, s);
    print_body(out, s->n_body, s->body);
    break;
  case SYN_EVAL:
    print_names(out, "", s->n_names, s->names);
    print_value(out, s->value);
    print_body(out, s->n_body, s->body);
    break;
  case SYN_SAVE:
    if (s->name) text_add(out, s->highest ? " highest" : " lowest");
    break;
  case SYN_WEIGHTS:
    print_value(out, s->value);
    print_options(out, s);
    break;
  case SYN_PREDICT:
    print_names(out, "", s->n_names, s->names);
    print_fields(out, s->n_fields, s->fields);
    print_value(out, s->value);
    break;
  case SYN_USE: case SYN_ERROR: break;
  }
  text_add(out, ")");
}

void print_file(Text *out, const File *file) {
  for (int i = 0; i < file->n_statements; i++) {
    print_statement(out, file->statements[i]);
    text_add(out, "\n");
  }
}
