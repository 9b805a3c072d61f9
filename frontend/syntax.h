/* syntax.h - the syntax tree: what the parser makes, fmt prints and lowering reads.
 *
 * Private to frontend/.  Trees live in an arena; every node has a span.  One
 * struct serves all expressions and one all statements: a kind, a name, a
 * list of children.  The comment beside each kind says which fields it uses.
 */
#ifndef MTC_FRONTEND_SYNTAX_H
#define MTC_FRONTEND_SYNTAX_H

#include "ir/ir.h"

typedef enum ExprKind {
  EXPR_NUMBER,   /* number; is_float when written with a point or exponent */
  EXPR_STRING,   /* name: the text without quotes, escapes resolved */
  EXPR_TRUE,
  EXPR_FALSE,
  EXPR_NAME,     /* name */
  EXPR_UNARY,    /* name: "-" or "not"; args[0] */
  EXPR_BINARY,   /* name: "+" ... "and", "==" ; args[0], args[1]; at: the operator */
  EXPR_PIPE,     /* args[0] |> args[1]; args[1] is a NAME, CALL, LABEL, FIELD or INDEX */
  EXPR_CALL,     /* args[0] the callee (NAME or FIELD); args[1..] arguments; keys[i] names args[i] or NULL */
  EXPR_LABEL,    /* name: args[0], as in  fc1: Linear(H); only right of |> */
  EXPR_FIELD,    /* args[0] . name */
  EXPR_INDEX,    /* args[0] [ args[1..] ]: each an expression or EXPR_SLICE */
  EXPR_SLICE,    /* args[0] : args[1], either may be NULL */
  EXPR_REARRANGE,/* args[0] .[ left -> right ]; `from` NULL when only one side is written */
  EXPR_SHAPE,    /* [B, 3 * D] in a position where a shape stands (over: [n, *s]); args */
  EXPR_SPREAD,   /* *s inside a shape: name */
  EXPR_RANGE,    /* args[0] .. args[1]; only as the source of a `for` */
  EXPR_IF        /* if args[0] { args[1] } else { args[2] }: a choice made by the configuration */
} ExprKind;

/* One axis of a rearrange pattern: a name, a number, or a bracketed product. */
typedef struct Axis {
  const char *name;   /* or NULL; "*s" for a run of axes */
  int64_t size;       /* a number, else -1 */
  int n_factors;      /* (3 H E): > 0, name NULL */
  struct Axis *factors;
  const Span *at;
} Axis;

typedef struct Expr Expr;
struct Expr {
  ExprKind kind;
  const Span *at;     /* the whole expression; of a BINARY the operator */
  const Span *first;  /* BINARY, PIPE: where the left operand begins; else at */
  const char *name;
  double number;
  bool is_float;
  bool bracketed;     /* written inside ( ) */
  int depth;          /* levels of operators, calls and brackets below and including this one */
  int n_args;
  Expr **args;
  const char **keys;  /* CALL: n_args entries, [0] unused */
  const Span **key_at;
  int n_from, n_to;   /* REARRANGE */
  Axis *from, *to;
};

/* A type as written: dtype (NULL: f32 by default), and a shape.  An axis is an
 * Expr over dims; EXPR_SPREAD for *s. */
typedef struct TypeExpr {
  const Span *at;
  bool has_dtype, has_shape;
  DType dtype;
  int n_dims;
  Expr **dims;
  const char *kind; /* a kind of configuration written as a type ("dim", "module"); moved into FieldDecl.kind */
} TypeExpr;

typedef struct FieldDecl { /* x: f32[B, P] ; a module input, a data field, a config parameter */
  const Span *at;
  const char *name;
  TypeExpr type;
  const char *kind;   /* config: "dim", "int", "float", "bool", "module", "fn"; NULL when the type is one */
  Expr *fallback;     /* default, or NULL */
} FieldDecl;

typedef enum StmtKindSyntax {
  SYN_USE,       /* name: file or "nn"; quoted when is_string */
  SYN_DIM,       /* names[i] = values[i] */
  SYN_DATA,      /* name = value (a call) -> fields */
  SYN_MODULE,    /* name (config) (inputs) -> results  body */
  SYN_FN,        /* name (fields) = value, or body whose last statement is an EXPR */
  SYN_LET,       /* names = value; rebinds: written without `let`, a loop's carried or collected names */
  SYN_PARAM,     /* name : type = value */
  SYN_STATE,     /* name : type = value */
  SYN_ASSIGN,    /* name <- value (target: the expression assigned to; name NULL when it is not a bare name) */
  SYN_IF,        /* value; body; otherwise (or NULL) */
  SYN_FOR,       /* names[0] in value; carry; collect; remat; body */
  SYN_RETURN,    /* value, or several in values */
  SYN_EXPR,      /* value: last line of a fn body */
  SYN_TRAIN,     /* names[0] in value for count unit with(options) body */
  SYN_UPDATE,    /* clauses: targets[i] minimize values[0] using optimizers[i] */
  SYN_FREEZE,    /* values: the targets */
  SYN_LOG,       /* name = value; name NULL for `log loss` */
  SYN_EVERY,     /* count unit body */
  SYN_EVAL,      /* names[0] in value body */
  SYN_SAVE,      /* highest name; name NULL for plain `save` */
  SYN_SAMPLE,    /* value */
  SYN_WEIGHTS,   /* name from value; keys/values the map */
  SYN_PREDICT,   /* names[0] in fields -> value */
  SYN_ERROR      /* a statement the parser gave up on (already reported) */
} StmtKindSyntax;

typedef struct Syntax Syntax;
struct Syntax {
  StmtKindSyntax kind;
  const Span *at;         /* the keyword, or the name where there is none */
  const char *name;
  const Span *name_at;
  bool is_string, is_result_tuple, highest, remat, rebinds;
  int n_names;
  const char **names;
  const Span **names_at;
  int n_values;
  Expr **values;
  Expr *value, *target;
  int n_fields, n_config, n_results, n_carry, n_collect;
  FieldDecl *fields, *config;
  TypeExpr *results;
  const char **carry, **collect;
  Expr *count;            /* FOR n UNIT */
  Unit unit;
  int n_options;          /* with (key: value) ; weights map */
  const char **option_keys;
  const Span **option_at;
  Expr **option_values;
  int n_clauses;          /* update */
  Expr **clause_target;
  Expr **clause_optimizer;
  int n_body, n_otherwise;
  Syntax **body, **otherwise;
  const Source *source;   /* top level: which file it came from */
};

typedef struct Token Token; /* parse.h: the words and signs themselves, for fmt */

/* A comment, for fmt: its line and column, and whether code stands before it. */
typedef struct Comment { int line, column; bool trailing; const char *text; } Comment;

typedef struct File {
  const Source *source;
  int n_statements;
  Syntax **statements;
  int n_comments;
  Comment *comments;
  int n_tokens;
  const Token *tokens; /* ends with the end-of-file token */
} File;

/* ---- parse.c, lexer.l, parser.y ---- */
/* Never NULL: what could be parsed, with every error reported. */
File *parse(const Source *source, Arena *arena, Diagnostics *d);

/* ---- format.c ---- */
void format_file(Text *out, const File *file);

#endif
