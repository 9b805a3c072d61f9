/* lower.h - from the syntax tree to the IR: what the files of lowering share.
 *
 * Lowering walks the tree and builds nodes as it goes; a module or function
 * is walked again for each call, with its names bound to that call's values.
 * A value that is wrong is reported once and becomes POISON, which every use
 * passes on silently.  Private to frontend/.
 */
#ifndef MTC_FRONTEND_LOWER_H
#define MTC_FRONTEND_LOWER_H

#include "frontend/frontend.h"
#include "frontend/syntax.h"

typedef enum ValueKind {
  POISON,    /* wrong, and already reported */
  TENSOR,    /* node */
  NUMBER,    /* known at compile time: a literal takes the dtype of what it meets */
  TRUTH,     /* number is 0 or 1, known at compile time */
  DIM,       /* dim; in an expression it is a number */
  RUN,       /* dims[n]: what *s stands for */
  TEXT,      /* name */
  DEFINITION,/* syntax: a module or fn of file */
  BUILTIN,   /* builtin */
  INSTANCE,  /* instance */
  BATCH,     /* fields of name */
  TUPLE      /* items */
} ValueKind;

typedef struct Value Value;
typedef struct Instance Instance;
typedef struct Scope Scope;
typedef struct Builtin Builtin;

struct Value {
  ValueKind kind;
  Node *node;
  double number;
  bool is_float;             /* NUMBER: written with a point */
  Dim dim;
  int n;                     /* RUN, TUPLE, BATCH */
  Dim *dims;
  Value *items;
  const char *name;
  const Syntax *syntax;
  const Scope *home;         /* DEFINITION: the names its body sees */
  const Builtin *builtin;
  Instance *instance;
  Field *fields;
};

typedef struct Entry {
  const char *name;
  Value value;
  const Span *at;
  bool used, is_let;
} Entry;

struct Scope {
  const Scope *parent;
  int n, room;
  Entry **entries;
};

/* A module with its configuration; its parameters are made when it is first called. */
struct Instance {
  const char *path;          /* "net.fc1" */
  const Syntax *module;
  const Scope *home;
  const Scope *config;       /* the configuration by name */
  const Span *first_call;
  const Expr *label;         /* the place of the label that made it */
  int n_params;
  int *params;               /* indices into Program.params */
  int n_children;
  Instance **children;
  bool anonymous;            /* used without a label: may hold no parameters */
};

typedef struct Lower {
  Program *program;
  Arena *arena;
  Diagnostics *d;
  const FrontendOptions *options;
  Graph *graph;              /* where nodes go; NULL at file level */
  bool training;
  Scope *scope;
  Instance *instance;        /* whose body is walked, or NULL */
  const Span *caller;        /* the call that is walked */
  const char *prefix;        /* of node names */
  int depth;
  int n_roots;
  Instance **roots;          /* instances made at file level */
  int n_frozen;
  const char **frozen;
} Lower;

/* ---- scope.c ---- */
Scope *scope_new(Lower *l, const Scope *parent);
Entry *define(Lower *l, const char *name, Value value, const Span *at); /* reports a second one in the same scope */
Entry *lookup(const Scope *scope, const char *name, bool callable);
Value unknown_name(Lower *l, const char *name, const Span *at, bool callable);
const Span *place(Lower *l, const Span *at);          /* at, with the callers of now */
const char *join(Lower *l, const char *prefix, const char *name);
Value poison(void);
Value number_value(double number, bool is_float);
Value truth_value(bool truth);
Value tensor_value(Node *node);
const char *describe(Lower *l, const Value *v);       /* "[B, H]", "the number 3", "the module Linear" */

/* ---- dims.c ---- */
bool dim_of(Lower *l, const Expr *e, Dim *out);       /* reports */
bool shape_of(Lower *l, const TypeExpr *t, Type *out);
bool whole_number(Lower *l, const Expr *e, int64_t *out); /* a compile-time integer */
const char *written_dim(Lower *l, const Expr *e);
bool bind_shape(Lower *l, Scope *scope, const FieldDecl *field, const Type *type, const Span *call);

/* ---- expression.c ---- */
Value eval(Lower *l, const Expr *e);
Value eval_named(Lower *l, const Expr *e, const char *role); /* with role added to the prefix */
Node *as_tensor(Lower *l, Value v, DType wish, const Expr *e); /* NULL after a report */
bool as_number(Lower *l, const Expr *e, double *out);
Value apply(Lower *l, Op op, int n, Node *const *in, const Attrs *attrs, const Expr *e); /* checks strictly, reports */
Value binary(Lower *l, Op op, Value x, Value y, const Expr *e);
Builder builder(Lower *l, const Expr *e);
void report_type(Lower *l, const TypeError *error, const Expr *e);

/* ---- rearrange.c ---- */
Value eval_rearrange(Lower *l, const Expr *e);
Value eval_index(Lower *l, const Expr *e);

/* ---- call.c ---- */
enum { MAX_ARGS = 16 };
typedef struct Call {
  const Expr *e;             /* the whole call, for messages */
  int n;                     /* positional, the piped one first */
  Value value[MAX_ARGS];
  const Expr *expr[MAX_ARGS];/* NULL for the piped one */
  int n_keys;
  const char *key[MAX_ARGS];
  const Expr *key_expr[MAX_ARGS];
  const Span *key_at[MAX_ARGS];
  bool key_used[MAX_ARGS];
} Call;
bool collect_args(Lower *l, const Expr *call, const Value *piped, Call *out);
Value eval_call(Lower *l, const Expr *e, const Value *piped);
Value eval_pipe(Lower *l, const Expr *e);
Instance *make_instance(Lower *l, const Value *module, const Call *config, const char *path, const Expr *label);
Value call_instance(Lower *l, Instance *instance, int n, const Value *args, const Span *at);
const Expr *take_key(Call *call, const char *name);
bool check_keys(Lower *l, Call *call, const char *what, const char *const *allowed, int n);

/* ---- body.c ---- */
typedef struct Outcome { bool returned; Value value; } Outcome;
Outcome run_body(Lower *l, int n, Syntax *const *body);
void do_let(Lower *l, const Syntax *s);
void not_yet(Lower *l, const Span *at, const char *what);
void warn_unused(Lower *l, const Scope *scope);

/* ---- builtin.c, reduce.c ---- */
struct Builtin {
  const char *name;
  Value (*run)(Lower *l, Call *call, const Builtin *self);
  Op op;
  int least, most;           /* positional arguments */
  const char *keys;          /* options, separated by spaces */
};
const Builtin *builtin_find(const char *name);
int builtin_names(const char **out, int room);
Value reduce_call(Lower *l, Call *call, const Builtin *self);
Value softmax_call(Lower *l, Call *call, const Builtin *self);
Value argmax_call(Lower *l, Call *call, const Builtin *self);
Value count_call(Lower *l, Call *call, const Builtin *self);
bool axes_of(Lower *l, const Expr *over, const Type *type, int *axes, int *n);

/* ---- schedule.c ---- */
Node *schedule_value(Lower *l, const Expr *e);       /* a scalar f64 node of Program.schedule; NULL after a report */

/* ---- data.c, train.c, evaluation.c ---- */
void lower_data(Lower *l, const Syntax *s);
Value batch_value(const char *variable, int n_fields, Field *fields);
int data_index(Lower *l, const Expr *e);              /* -1 after a report */
void lower_train(Lower *l, const Syntax *s);
void lower_predict(Lower *l, const Syntax *s);
void split_eval(Lower *l, Eval *eval, Graph *whole);

#endif
