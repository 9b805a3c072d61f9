/* statement.c - constructors of statements: what the grammar's actions call.
 *
 * syntax.h says which fields each kind of statement uses.
 */
#include "frontend/parse.h"

#include <string.h>

static Syntax *new_statement(Parser *p, StmtKindSyntax kind, Range at) {
  Syntax *s = arena_alloc(p->arena, sizeof *s);
  s->kind = kind;
  s->at = span_of(p, at);
  s->source = p->source;
  return s;
}

static void set_name(Parser *p, Syntax *s, Word name) {
  s->name = name.name;
  s->name_at = span_of(p, name.at);
}

static void set_names(Syntax *s, const Words *words) {
  s->n_names = words->n;
  s->names = words->names;
  s->names_at = words->at;
}

static void set_variable(Parser *p, Syntax *s, Word name) { set_names(s, add_word(p, NULL, name)); }

static void set_values(Syntax *s, const Exprs *values) {
  s->n_values = values->n;
  s->values = values->items;
}

static void set_options(Syntax *s, const Exprs *options) {
  if (!options) return;
  s->n_options = options->n;
  s->option_keys = options->keys;
  s->option_at = options->key_at;
  s->option_values = options->items;
}

static void set_fields(Syntax *s, const Fields *fields) {
  if (fields) s->n_fields = fields->n, s->fields = fields->items;
}

static void set_body(Syntax *s, const Block *body) {
  if (body) s->n_body = body->n, s->body = body->items;
}

Syntax *statement_error(Parser *p, Range at) { return new_statement(p, SYN_ERROR, at); }

Syntax *statement_use(Parser *p, Range at, const char *name, bool quoted, Range name_at) {
  Syntax *s = new_statement(p, SYN_USE, at);
  set_name(p, s, (Word){name, name_at});
  s->is_string = quoted;
  return s;
}

Syntax *statement_dim(Parser *p, Range at, Exprs *bindings) {
  Syntax *s = new_statement(p, SYN_DIM, at);
  set_values(s, bindings);
  s->n_names = bindings->n;
  s->names = bindings->keys;
  s->names_at = bindings->key_at;
  return s;
}

Syntax *statement_data(Parser *p, Range at, Word name, Expr *value, Fields *fields) {
  Syntax *s = new_statement(p, SYN_DATA, at);
  set_name(p, s, name);
  s->value = value;
  set_fields(s, fields);
  return s;
}

static void need_value_type(Parser *p, const TypeExpr *type) {
  if (type->kind && strcmp(type->kind, "bool")) {
    report(p->d, WRONG_SYNTAX, type->at, "`%s` is not a type of values", type->kind);
  } else if ((type->has_dtype || type->kind) && !type->has_shape) {
    report(p->d, WRONG_SYNTAX, type->at, "this type has no shape");
    report_help(p->d, "write %s[] for a single number", type->kind ? type->kind : dtype_name(type->dtype));
  }
}

Syntax *statement_module(Parser *p, Range at, Word name, Fields *config, Fields *inputs, Types *results, Block *body) {
  Syntax *s = new_statement(p, SYN_MODULE, at);
  set_name(p, s, name);
  if (config) s->n_config = config->n, s->config = config->items;
  set_fields(s, inputs);
  s->n_results = results->n;
  s->results = results->items;
  s->is_result_tuple = results->tuple;
  for (int i = 0; i < results->n; i++) need_value_type(p, &results->items[i]);
  set_body(s, body);
  return s;
}

Syntax *statement_fn(Parser *p, Range at, Word name, Fields *inputs, Expr *value, Block *body) {
  Syntax *s = new_statement(p, SYN_FN, at);
  set_name(p, s, name);
  set_fields(s, inputs);
  s->value = value;
  set_body(s, body);
  return s;
}

Syntax *statement_let(Parser *p, Range at, Words *names, Expr *value) {
  Syntax *s = new_statement(p, SYN_LET, at);
  set_names(s, names);
  s->value = value;
  return s;
}

Syntax *statement_stored(Parser *p, StmtKindSyntax kind, Range at, Word name, TypeExpr *type, Expr *value) {
  Syntax *s = new_statement(p, kind, at);
  set_name(p, s, name);
  need_value_type(p, type);
  s->n_results = 1;
  s->results = type;
  s->value = value;
  return s;
}

Syntax *statement_if(Parser *p, Range at, Expr *condition, Block *body, Block *otherwise) {
  Syntax *s = new_statement(p, SYN_IF, at);
  s->value = condition;
  set_body(s, body);
  if (otherwise) s->n_otherwise = otherwise->n, s->otherwise = otherwise->items;
  return s;
}

Syntax *statement_for(Parser *p, Range at, Word name, Expr *source, Carried *carried, Block *body) {
  Syntax *s = new_statement(p, SYN_FOR, at);
  set_variable(p, s, name);
  s->value = source;
  if (carried->carry) s->n_carry = carried->carry->n, s->carry = carried->carry->names;
  if (carried->collect) s->n_collect = carried->collect->n, s->collect = carried->collect->names;
  s->remat = carried->remat;
  set_body(s, body);
  return s;
}

Syntax *statement_return(Parser *p, Range at, Exprs *values) {
  Syntax *s = new_statement(p, SYN_RETURN, at);
  set_values(s, values);
  s->value = values->items[0];
  return s;
}

Syntax *statement_train(Parser *p, Range at, Word name, Expr *source, Count *count, Exprs *options, Block *body) {
  Syntax *s = new_statement(p, SYN_TRAIN, at);
  set_variable(p, s, name);
  s->value = source;
  s->count = count->value;
  s->unit = count->unit;
  set_options(s, options);
  set_body(s, body);
  return s;
}

Syntax *statement_update(Parser *p, Range at, Clauses *clauses) {
  Syntax *s = new_statement(p, SYN_UPDATE, at);
  set_values(s, add_expr(p, NULL, clauses->loss));
  s->value = clauses->loss;
  s->n_clauses = clauses->n;
  s->clause_target = clauses->targets;
  s->clause_optimizer = clauses->optimizers;
  return s;
}

Syntax *statement_freeze(Parser *p, Range at, Exprs *targets) {
  Syntax *s = new_statement(p, SYN_FREEZE, at);
  set_values(s, targets);
  return s;
}

Syntax *statement_log(Parser *p, Range at, const Word *name, Expr *value) {
  Syntax *s = new_statement(p, SYN_LOG, at);
  if (name) set_name(p, s, *name);
  s->value = value;
  return s;
}

Syntax *statement_every(Parser *p, Range at, Count *count, Block *body) {
  Syntax *s = new_statement(p, SYN_EVERY, at);
  s->count = count->value;
  s->unit = count->unit;
  set_body(s, body);
  return s;
}

Syntax *statement_eval(Parser *p, Range at, Word name, Expr *source, Block *body) {
  Syntax *s = new_statement(p, SYN_EVAL, at);
  set_variable(p, s, name);
  s->value = source;
  set_body(s, body);
  return s;
}

Syntax *statement_save(Parser *p, Range at, bool highest, const Word *name) {
  Syntax *s = new_statement(p, SYN_SAVE, at);
  s->highest = highest;
  if (name) set_name(p, s, *name);
  return s;
}

Syntax *statement_sample(Parser *p, Range at, Expr *value) {
  Syntax *s = new_statement(p, SYN_SAMPLE, at);
  s->value = value;
  return s;
}

Syntax *statement_weights(Parser *p, Range at, Word name, const Token *path, Exprs *map) {
  Syntax *s = new_statement(p, SYN_WEIGHTS, at);
  set_name(p, s, name);
  s->value = expr_string(p, path);
  set_options(s, map);
  return s;
}

Syntax *statement_predict(Parser *p, Range at, Word name, Fields *fields, Expr *value) {
  Syntax *s = new_statement(p, SYN_PREDICT, at);
  set_variable(p, s, name);
  set_fields(s, fields);
  s->value = value;
  return s;
}

/* ---- statements that begin with an expression ---- */

Syntax *statement_exprs(Parser *p, Range at, Exprs *values) {
  Syntax *s = new_statement(p, SYN_EXPR, at);
  s->value = values->items[0];
  if (values->n > 1) {
    report(p->d, WRONG_SYNTAX, values->items[1]->first, "one expression ends a block, not a list of %d", values->n);
    report_help(p->d, "`return a, b` gives several results of a module");
  }
  return s;
}

Syntax *statement_rebind(Parser *p, Range at, Exprs *targets, Expr *value) {
  Words *words = NULL;
  for (int i = 0; i < targets->n; i++) {
    const Expr *x = targets->items[i];
    if (x->kind == EXPR_NAME) {
      Range place = {x->at->line, x->at->column, x->at->line, x->at->column + x->at->length};
      words = add_word(p, words, (Word){x->name, place});
      continue;
    }
    bool compares = x->kind == EXPR_BINARY;
    report(p->d, WRONG_SYNTAX, x->first, "`=` gives a value to a name, and this is not a name");
    report_help(p->d, compares ? "`==` compares" : "a state is assigned with `<-`");
    return statement_error(p, at);
  }
  Syntax *s = statement_let(p, at, words, value);
  s->rebinds = true;
  return s;
}

Syntax *statement_assign(Parser *p, Range at, Expr *target, Expr *value) {
  Syntax *s = new_statement(p, SYN_ASSIGN, at);
  s->target = target;
  s->value = value;
  if (target->kind == EXPR_NAME) s->name = target->name, s->name_at = target->at;
  if (target->kind == EXPR_NAME || target->kind == EXPR_FIELD || target->kind == EXPR_INDEX) return s;
  report(p->d, WRONG_SYNTAX, target->first, "`<-` assigns to a state, and this is not a name");
  return statement_error(p, at);
}
