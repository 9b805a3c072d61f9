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

extern const char nn_mt[]; /* the standard file, and its length */
extern const size_t nn_mt_length;

typedef enum ValueKind {
  POISON,     /* wrong, and already reported */
  TENSOR,     /* node */
  NUMBER,     /* known at compile time: a literal takes the dtype of what it meets */
  TRUTH,      /* number is 0 or 1, known at compile time */
  DIM,        /* dim; in an expression it is a number */
  RUN,        /* dims[n]: what *s stands for */
  TEXT,       /* name */
  SET,        /* name: a data set */
  DEFINITION, /* syntax: a module or fn of file */
  BUILTIN,    /* builtin */
  INSTANCE,   /* instance */
  BATCH,      /* fields of name */
  TUPLE,      /* items */
  RECORD      /* items by the paths in names, from name on: the gradients of an instance */
} ValueKind;

typedef struct Value Value;
typedef struct Augment Augment;
typedef struct Instance Instance;
typedef struct Scope Scope;
typedef struct Builtin Builtin;

struct Value {
  ValueKind kind;
  Node *node;
  double number;
  bool is_float; /* NUMBER: written with a point */
  Dim dim;
  int n; /* RUN, TUPLE, BATCH, RECORD */
  Dim *dims;
  Value *items;
  const char **names;
  const char *name;
  const Syntax *syntax;
  const Scope *home; /* DEFINITION: the names its body sees */
  const Builtin *builtin;
  Instance *instance;
  Field *fields;
  const Augment *augment; /* BATCH: how its training moves the pictures, or NULL */
};

typedef struct Entry {
  const char *name;
  Value value;
  const Span *at;
  const Graph *graph; /* where its tensors live; NULL at file level */
  bool used, is_let;
  const char *state; /* its path, if it is one: `<-` changes the value */
  Type state_type;   /* in the names of the body */
} Entry;

struct Scope {
  const Scope *parent;
  int n, room;
  Entry **entries;
};

/* A module with its configuration; its parameters are made when it is first called. */
struct Instance {
  const char *path; /* "net.fc1" */
  const Syntax *module;
  const Scope *home;
  const Scope *config; /* the configuration by name */
  const Span *first_call;
  const Expr *label; /* the place of the label that made it */
  int n_params;
  int *params; /* indices into Program.params */
  int n_children;
  Instance **children;
  const Instance *unlabelled; /* itself, or one around it, when used without a label: may hold no parameters */
};

typedef struct Claim Claim;         /* name.c */
typedef struct LoopFrame LoopFrame; /* loop.c */

/* A file that is being read, and the one that uses it. */
typedef struct Reading {
  const Source *source;
  const struct Reading *user;
} Reading;

/* A data field as a graph sees it: what is learned of the value belongs to the field. */
typedef struct FieldLeaf {
  const Node *leaf, *value; /* the same, unless it is augmented */
  Field *field;
} FieldLeaf;

typedef struct AugmentStep {
  const char *word; /* "flip" */
  int64_t pixels;   /* crop, shift: at most so many each way; 0: flip */
  const Span *at;
} AugmentStep;

/* Of a data set. */
struct Augment {
  int n;
  AugmentStep *steps;
  bool *moved; /* by field */
};

typedef struct Lower {
  Program *program;
  Arena *arena;
  Diagnostics *d;
  const FrontendOptions *options;
  Graph *graph; /* where nodes go; NULL at file level */
  bool training;
  const LoopFrame *frame; /* the loop whose body is walked, or NULL */
  Scope *scope;
  Instance *instance; /* whose body is walked, or NULL */
  const Span *caller; /* the call that is walked */
  const char *prefix; /* of node names: the call path and binding */
  const char *spot;   /* the operator's place in the expression, "lhs.rhs", or NULL */
  Claim *claims;      /* node names taken in this graph */
  int n_locals;       /* names of the signature that this call bound */
  Symbol **locals;
  int n_leaves;
  FieldLeaf *leaves;
  int n_augments;
  const Augment **augments; /* of each data set, or NULL */
  int depth, n_calls, n_files;
  const Reading *reading;
  bool file_missing; /* a used file could not be read: names may be its */
  int outer; /* inside outer( ): a name may come to stand twice */
  int n_roots;
  Instance **roots; /* instances made at file level */
  int phase; /* of the train block: sequence points so far */
  int n_frozen;
  const char **frozen;
} Lower;

/* ---- scope.c ---- */
Scope *scope_new(Lower *l, const Scope *parent);
Entry *define(Lower *l, const char *name, Value value, const Span *at); /* reports a second one in the same scope */
bool is_declared_here(const Scope *scope, const char *name);
Entry *lookup(const Scope *scope, const char *name, bool callable);
Value unknown_name(Lower *l, const char *name, const Span *at, bool callable);
void help_uncalled(Lower *l, const Instance *instance); /* parameters are made by the first call */
void help_callable(Lower *l, const Value *v); /* what was meant by a call of what cannot be called */
bool same_graph(Lower *l, const Entry *entry, const Expr *e); /* reports a value of another block */
const Span *place(Lower *l, const Span *at);                  /* at, with the callers of now */
const char *join(Lower *l, const char *prefix, const char *name);
Value poison(void);
Value number_value(double number, bool is_float);
Value truth_value(bool truth);
Value tensor_value(Node *node);
const char *describe(Lower *l, const Value *v); /* "[B, H]", "the number 3", "the module Linear" */

/* ---- name.c ---- */
const char *claim(Lower *l, const char *role); /* prefix.role, or prefix.spot.role when that is taken */
const char *
claim_path(Lower *l,
           const char *path);  /* an instance's own path at its first call in a graph, then by the place of the call */
Claim *claims_start(Lower *l); /* for a new graph; returns those of before */
void claims_end(Lower *l, Claim *before);
Builder builder(Lower *l, const Expr *e);                    /* for one node: prefix.spot.role */
Builder builders(Lower *l, const Expr *e, const char *name); /* for the nodes of a composite, prefix.name.* */
Value eval_at(Lower *l, const Expr *e, const char *spot);    /* deeper in the expression */
Value eval_named(Lower *l, const Expr *e, const char *name); /* under a binding of its own */

/* ---- rigid.c ---- */
const Symbol *own_name(Lower *l, const char *name, Dim stands_for); /* a name of the signature, for this call */
Value renamed(Lower *l, Value v, const Type *type, const char *name,
              const Span *at);                       /* the same values, axes called so */
Type callers_type(const Lower *l, const Type *type); /* this call's names as the caller knows them */
Type outermost_type(const Type *type);               /* only names of the file left */
Dim outermost(Dim d);
void forget_own_names(Graph *graph); /* at the end of a graph: names of the file only */

/* ---- dims.c ---- */
bool dim_of(Lower *l, const Expr *e, Dim *out); /* reports */
bool shape_of(Lower *l, const TypeExpr *t, Type *out);
bool whole_number(Lower *l, const Expr *e, int64_t *out); /* a compile-time integer */
const char *written_dim(Lower *l, const Expr *e);
bool bind_shape(Lower *l, const Scope *home, const FieldDecl *field, const Type *type, const Span *call);

/* ---- expression.c ---- */
Value eval(Lower *l, const Expr *e);
Node *as_tensor(Lower *l, Value v, DType wish, const Expr *e); /* NULL after a report */
bool own_batch(Lower *l, Dim dim, const Expr *e);               /* the reporter of batches that have no rows here */
bool as_number(Lower *l, const Expr *e, double *out);
Value apply(Lower *l, Op op, int n, Node *const *in, const Attrs *attrs, const Expr *e); /* checks strictly, reports */
Value binary(Lower *l, Op op, Value x, Value y, const Expr *e);
bool in_graph(Lower *l, const Expr *e); /* reports a tensor computed at file level */
void report_type(Lower *l, const TypeError *error, const Expr *e);

/* ---- rearrange.c ---- */
Value eval_rearrange(Lower *l, const Expr *e);
Value eval_index(Lower *l, const Expr *e);

/* ---- call.c ---- */
enum { MAX_ARGS = 16 };
typedef struct Call {
  const Expr *e; /* the whole call, for messages */
  int n;         /* positional, the piped one first */
  Value value[MAX_ARGS];
  const Expr *expr[MAX_ARGS]; /* NULL for the piped one */
  int n_keys;
  const char *key[MAX_ARGS];
  const Expr *key_expr[MAX_ARGS];
  const Span *key_at[MAX_ARGS];
  bool key_used[MAX_ARGS];
} Call;
bool collect_args(Lower *l, const Expr *call, const Value *piped, Call *out);
/* What a call sets aside and its end puts back. */
typedef struct Frame {
  Scope *scope;
  const Span *caller;
  Instance *instance;
  const char *prefix, *spot;
  int n_locals, outer;
  Symbol **locals;
} Frame;
bool enter(Lower *l, Frame *saved, const Scope *home, const Span *at, const char *prefix);
void leave(Lower *l, const Frame *saved);
/* Positional arguments in order, then by name, then defaults, which are read where the definition stands. */
bool bind_fields(Lower *l, Call *call, int n, const FieldDecl *fields, const char *what, const Scope *home, Value *out);
const Expr *take_key(Call *call, const char *name);
bool has_key(const Call *call, const char *name);
bool check_keys(Lower *l, Call *call, const char *what, const char *const *allowed, int n);
Value eval_call(Lower *l, const Expr *e, const Value *piped);
Value eval_pipe(Lower *l, const Expr *e);

/* ---- instance.c ---- */
Value configure(Lower *l, const FieldDecl *field, Value v, const Span *at); /* as its declared kind wants it */
Instance *make_instance(Lower *l, const Value *module, const Call *config, const char *path, const Expr *label);
/* A second call of the body that makes it: dims are those of this call, instances stay. */
void reconfigure(Instance *instance, const Instance *now);
Value call_instance(Lower *l, Instance *instance, int n, const Value *args, const Span *at);

/* ---- body.c ---- */
typedef struct Outcome {
  bool returned;
  Value value;
} Outcome;
Outcome run_body(Lower *l, int n, Syntax *const *body);
void note_open_end(Lower *l, int n, Syntax *const *body); /* where a body that returned nothing came to its end */
void do_let(Lower *l, const Syntax *s);
bool init_of(Lower *l, const Expr *e, const char *what, Init *out);
bool same_axes(const Type *a, const Type *b);
bool add_stack_axes(Lower *l, const char *path, Type *type); /* in front; false: too many */
void other_shape(Lower *l, const Syntax *s, const Type *type, const Type *known); /* reports a second call that does not fit */
void warn_unused(Lower *l, const Scope *scope);

/* ---- state.c ---- */
void do_state(Lower *l, const Syntax *s);
void do_assign(Lower *l, const Syntax *s);
Value state_value(Lower *l, const char *path); /* as it is at this place; POISON when there is none */
Value state_of_entry(Lower *l, const Entry *entry); /* the same, in the names of its declaration */
Node *state_of_graph(Lower *l, Graph *graph, const char *path); /* outside of loops */
void put_state(Lower *l, const char *path, Node *value);        /* outside of loops: from here on */
void refresh_state(Lower *l, const char *path, Node *value);    /* for its names that are in sight */

/* ---- loop.c ---- */
void do_for(Lower *l, const Syntax *s);
void set_kept(Lower *l, const char *name, Value v, const Span *at); /* a name that the loop carries or collects */
bool is_around(const Lower *l, const Graph *graph);                  /* does a loop here stand in it? */
Value import_value(Lower *l, Value v, const Graph *from);            /* into the loops between, as their operand */
Value param_value(Lower *l, const Param *param, const Span *at);
int stack_axes(const Lower *l, const char *path, Dim *out);          /* leading axes of a parameter: the stacks it is in */
const char *stack_pattern(Lower *l, const char *path);               /* "net.b.#.weight", or NULL in no stack */
Node *state_of_turn(Lower *l, const char *path, const Span *at);     /* as it is at this place, in loops or not */
void change_state(Lower *l, const char *path, Node *value);          /* from here on */
int turns_of_loops(Lower *l, Node **out);                            /* of those around, outermost first */
Node *element_of_turn(Lower *l, Node *x, int axis, const Node *index, const Expr *e); /* x[index]; NULL: not that simple */
bool is_turn(const Lower *l, const Node *index);                       /* the number of the turn of a loop around */
bool turns_fit(Lower *l, const Node *x, int axis, const Node *index, const Expr *e);    /* reports an x[index] of a loop that counts further than x goes */

/* ---- builtin.c, reduce.c ---- */
struct Builtin {
  const char *name;
  Value (*run)(Lower *l, Call *call, const Builtin *self);
  Op op;
  int least, most;  /* positional arguments */
  const char *keys; /* options, separated by spaces */
};
const Builtin *builtin_find(const char *name);
int builtin_names(const char **out, int room);
bool right_count(Lower *l, Call *call, const Builtin *self); /* arguments and options are such as self takes */
Value reduce_call(Lower *l, Call *call, const Builtin *self);
Value softmax_call(Lower *l, Call *call, const Builtin *self);
Value argmax_call(Lower *l, Call *call, const Builtin *self);
Value count_call(Lower *l, Call *call, const Builtin *self);
Value convolution_call(Lower *l, Call *call, const Builtin *self);  /* convolve.c */
Value pool_call(Lower *l, Call *call, const Builtin *self);         /* pool.c */
Value adaptive_pool_call(Lower *l, Call *call, const Builtin *self);
Value pair_call(Lower *l, Call *call, const Builtin *self);         /* slide.c */
bool flag(Lower *l, const Expr *e, bool otherwise); /* a truth known at compile time */
bool axes_of(Lower *l, const Expr *over, const Type *type, int *axes, int *n);

/* ---- join.c, pad.c, einsum.c, scan.c, gather.c ---- */
Value concat_call(Lower *l, Call *call, const Builtin *self);
Value stack_call(Lower *l, Call *call, const Builtin *self);
Value split_call(Lower *l, Call *call, const Builtin *self);
Value pad_call(Lower *l, Call *call, const Builtin *self);
Value flip_call(Lower *l, Call *call, const Builtin *self);
Value roll_call(Lower *l, Call *call, const Builtin *self);
Value triangle_call(Lower *l, Call *call, const Builtin *self);
Value einsum_call(Lower *l, Call *call, const Builtin *self);
Value scan_call(Lower *l, Call *call, const Builtin *self);
Value prod_call(Lower *l, Call *call, const Builtin *self);
Value gather_call(Lower *l, Call *call, const Builtin *self);
Value scatter_add_call(Lower *l, Call *call, const Builtin *self);
Value topk_call(Lower *l, Call *call, const Builtin *self);

/* ---- schedule.c ---- */
int counter_names(const char **out); /* step, epoch, total */
bool is_schedule(const Lower *l, const Expr *e); /* the name of one: cosine, linear ... */
Value schedule_call(Lower *l, const Expr *e);
int schedule_names(const char **out);
Node *schedule_value(Lower *l, const Expr *e); /* a scalar f64 node of Program.schedule; NULL after a report */

/* ---- augment.c ---- */
const Augment *augment_of(Lower *l, const Expr *e, const Data *data); /* e: augment(...); NULL after a report */
Node *augmented(Lower *l, const Augment *augment, const char *variable, Node *x);

/* ---- data.c, train.c, update.c ---- */
void lower_data(Lower *l, const Syntax *s);
Value batch_value(const char *variable, int n_fields, Field *fields);
bool note_labels(Lower *l, const Node *ids, int64_t classes, int64_t ignore);
int data_index(Lower *l, const Expr *e);                 /* -1 after a report */
bool path_of(Lower *l, const Expr *e, const char **out); /* net.fc1, without a report */
bool target_of(Lower *l, const Expr *e, const char **out); /* the same, with parameters under it; reports */
void lower_update(Lower *l, const Syntax *s, Stmt *stmt);
void begin_phase(Lower *l, int64_t every); /* of the train block: what comes runs in every so-manyth step */
int times_moved(const Lower *l, int param); /* by updates that stand before */
void lower_train(Lower *l, const Syntax *s);
void lower_predict(Lower *l, const Syntax *s);
void lower_sample(Lower *l, const Syntax *s);                  /* sample.c */
void lower_weights(Lower *l, const Syntax *s);                 /* weights.c */
bool is_under(const char *path, const char *target); /* net.fc1.weight is under net.fc1 */

/* ---- reach.c ---- */
bool *reached_from(Lower *l, const Node *y);                   /* by id: gradients of y flow there; numbers the graph */
bool is_used_by(Lower *l, const Node *y, const Node *x);       /* is y computed from x, with a slope or without? */
const Node *note_end(Lower *l, const Node *x, const Node *y);  /* notes and gives what stops the gradient of y towards x */
const Span *readers_place(const Span *at);                     /* the call of a standard layer, not a line of it */
void check_reach(Lower *l, const Update *update, const Node *loss);
bool check_fresh(Lower *l, const Span *at, const Node *loss); /* no gradient runs through weights that have changed since */

/* ---- evaluation.c ---- */
void split_eval(Lower *l, Eval *eval, Graph *whole);

#endif
