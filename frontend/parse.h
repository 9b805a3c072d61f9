/* parse.h - what the lexer, the layout filter, the grammar and fmt share.
 *
 * A file becomes a tree in three steps, each simple because of the one before:
 *   lexer.l    characters -> raw tokens: words, numbers, strings, signs, line ends
 *   layout.c   raw tokens -> tokens: which line ends end a statement, which
 *              words are keywords here, where a bracket was left open
 *   parser.y   tokens -> tree, through the constructors of tree.c and statement.c
 * parse.c runs them; complain.c words what the grammar rejects; place.c checks
 * that statements stand where they may.  Private to these files and format.c.
 */
#ifndef MTC_FRONTEND_PARSE_H
#define MTC_FRONTEND_PARSE_H

#include "frontend/syntax.h"

enum {
  MAX_NESTING = 256,       /* brackets and blocks open at once */
  MAX_DEPTH = 4096,        /* levels of one expression, |> chains included */
  MAX_NAME = 255,          /* bytes of a name */
  MAX_STRING = 65536,      /* bytes of a text in quotes */
  MAX_FILE = 1024 * 1024   /* bytes of a file */
};

/* From (line, column) up to, not including, (end_line, end_column); columns count bytes from 1. */
typedef struct Range {
  int line, column, end_line, end_column;
} Range;

struct Token {
  int kind;          /* bison's token number */
  int offset, length;/* bytes of the source; 0 long for tokens the layout made */
  Range at;
  const char *name;  /* NAME: the word; STRING: the text, escapes resolved; keywords: the word */
  double number;
  bool is_float;
  bool leads;        /* nothing stands before it on its line */
  int block;         /* blocks open around it */
  int open;          /* index of the innermost bracket open before it, or -1 */
  int first;         /* index of the first token of its statement */
};

typedef struct TokenList {
  int n;
  Token *items;
} TokenList;

typedef struct Parser {
  const Source *source;
  Arena *arena;
  Diagnostics *d;
  File *file;
  TokenList tokens;
  int next, read;            /* the token the grammar reads next, and the one it read last */
  int recover_block;         /* after an error: skip to the end of a statement in this many blocks, or -1 */
  int n_lines, *line_end;    /* column just past the last token of each line */
  bool too_deep;             /* said once */
  int offset, line, column;  /* the lexer's place */
  bool leads;
  int open_text;             /* line of the last text that was not closed */
} Parser;

/* The messages of the parser, by errors.def's codes. */
#define WRONG_CHARACTER E0002
#define WRONG_STRING E0003
#define WRONG_NUMBER E0004
#define WRONG_SYNTAX E0005
#define WRONG_SIZE E0006
#define WRONG_ARROW E0007
#define WRONG_BRACKET E0008
#define WRONG_WORD E0009
#define WRONG_TYPE E0101
#define WRONG_PLACE E0304

/* ---- lexer.l, layout.c ---- */
void lex_source(Parser *p, TokenList *raw);
void lay_out(Parser *p, const TokenList *raw);
const char *token_text(const Parser *p, const Token *t); /* as written; long ones are cut */
bool is_opener(int kind);
bool is_closer(int kind);

/* ---- parser.y ---- */
void parse_tokens(Parser *p);

/* ---- complain.c ---- */
/* A token that does not fit; `expected` are bison's names for what would. */
void complain(Parser *p, const Token *found, const char *const *expected, int n);
void complain_bracket(Parser *p, const Token *at, const Token *open);
void complain_character(Parser *p, const Span *at, const char *text, int length);
void complain_arrow(Parser *p, const Token *left, const Token *arrow, const Token *right);

/* ---- tree.c, statement.c: one constructor for each rule ---- */

typedef struct Word { /* a name and where it stands */
  const char *name;
  Range at;
} Word;
typedef struct Words { int n; const char **names; const Span **at; } Words;
typedef struct Exprs { int n; Expr **items; const char **keys; const Span **key_at; } Exprs;
typedef struct Types { int n; TypeExpr *items; bool tuple; } Types;
typedef struct Fields { int n; FieldDecl *items; } Fields;
typedef struct Axes { int n; Axis *items; } Axes;
typedef struct Block { int n; Syntax **items; } Block;
typedef struct Count { Expr *value; Unit unit; } Count;
typedef struct Carried { Words *carry, *collect; bool remat; } Carried;
typedef struct Clauses { Expr *loss; int n; Expr **targets, **optimizers; } Clauses;

const Span *span_of(Parser *p, Range at);

Expr *expr_number(Parser *p, const Token *t);
Expr *expr_string(Parser *p, const Token *t);
Expr *expr_bool(Parser *p, Range at, bool value);
Expr *expr_name(Parser *p, Word word);
Expr *expr_brackets(Parser *p, Range at, Expr *inside);
Expr *expr_unary(Parser *p, Range at, const char *op, Expr *x);
Expr *expr_binary(Parser *p, Range op_at, const char *op, Expr *x, Expr *y);
Expr *expr_pipe(Parser *p, Range at, Expr *x, Expr *stage);
Expr *expr_label(Parser *p, Range at, Word label, Expr *call);
Expr *expr_field(Parser *p, Range at, Expr *x, Word field);
Expr *expr_call(Parser *p, Range at, Expr *callee, Exprs *args);
Expr *expr_index(Parser *p, Range at, Expr *x, Exprs *items);
Expr *expr_slice(Parser *p, Range at, Expr *from, Expr *to);
Expr *expr_rearrange(Parser *p, Range at, Expr *x, Axes *from, Axes *to);
Expr *expr_shape(Parser *p, Range at, Exprs *axes);
Expr *expr_spread(Parser *p, Range at, Word name);
Expr *expr_range(Parser *p, Range at, Expr *from, Expr *to);
Expr *expr_if(Parser *p, Range at, Expr *condition, Expr *yes, Expr *no);

Words *add_word(Parser *p, Words *list, Word word);
Exprs *add_expr(Parser *p, Exprs *list, Expr *x);
Exprs *add_named(Parser *p, Exprs *list, Word key, Expr *x);
Axes *add_axis(Parser *p, Axes *list, Axis *axis);
Axis *axis_name(Parser *p, Word name, bool spread);
Axis *axis_number(Parser *p, const Token *t);
Axis *axis_product(Parser *p, Range at, Axes *factors);
TypeExpr *make_type(Parser *p, Range at, const Word *dtype, Exprs *dims);
Types *add_type(Parser *p, Types *list, TypeExpr *one);
FieldDecl *make_field(Parser *p, Word name, TypeExpr *type, Expr *fallback);
FieldDecl *make_typed_field(Parser *p, Word name, TypeExpr *type, Expr *fallback);
Fields *add_field(Parser *p, Fields *list, FieldDecl *one);
Fields *add_input(Parser *p, Fields *list, FieldDecl *one);
Block *add_statement(Parser *p, Block *list, Syntax *statement);
Clauses *first_clause(Parser *p, Expr *target, Expr *loss, Expr *optimizer);
Clauses *add_clause(Parser *p, Clauses *list, Expr *target, Expr *optimizer);
Count *make_count(Parser *p, Expr *value, Unit unit);
Carried *make_carried(Parser *p, Carried *so_far, Words *carry, Words *collect, bool remat);
Word join_path(Parser *p, Range at, Word path, Word name);

Syntax *statement_error(Parser *p, Range at);
Syntax *statement_use(Parser *p, Range at, const char *name, bool quoted, Range name_at);
Syntax *statement_dim(Parser *p, Range at, Exprs *bindings);
Syntax *statement_data(Parser *p, Range at, Word name, Expr *value, Fields *fields);
Syntax *statement_module(Parser *p, Range at, Word name, Fields *config, Fields *inputs, Types *results, Block *body);
Syntax *statement_fn(Parser *p, Range at, Word name, Fields *inputs, Expr *value, Block *body);
Syntax *statement_let(Parser *p, Range at, Words *names, Expr *value);
Syntax *statement_stored(Parser *p, StmtKindSyntax kind, Range at, Word name, TypeExpr *type, Expr *value);
Syntax *statement_if(Parser *p, Range at, Expr *condition, Block *body, Block *otherwise);
Syntax *statement_for(Parser *p, Range at, Word name, Expr *source, Carried *carried, Block *body);
Syntax *statement_return(Parser *p, Range at, Exprs *values);
Syntax *statement_train(Parser *p, Range at, Word name, Expr *source, Count *count, Exprs *options, Block *body);
Syntax *statement_update(Parser *p, Range at, Clauses *clauses);
Syntax *statement_freeze(Parser *p, Range at, Exprs *targets);
Syntax *statement_log(Parser *p, Range at, const Word *name, Expr *value);
Syntax *statement_every(Parser *p, Range at, Count *count, Block *body);
Syntax *statement_eval(Parser *p, Range at, Word name, Expr *source, Block *body);
Syntax *statement_save(Parser *p, Range at, bool highest, const Word *name);
Syntax *statement_sample(Parser *p, Range at, Expr *value);
Syntax *statement_weights(Parser *p, Range at, Word name, const Token *path, Exprs *map);
Syntax *statement_predict(Parser *p, Range at, Word name, Fields *fields, Expr *value);
Syntax *statement_exprs(Parser *p, Range at, Exprs *values);
Syntax *statement_rebind(Parser *p, Range at, Exprs *targets, Expr *value);
Syntax *statement_assign(Parser *p, Range at, Expr *target, Expr *value);

/* ---- place.c ---- */
/* Report statements where they cannot stand: `param` at top level, `module` in a block ... */
void check_places(Parser *p, const File *file);

#endif
