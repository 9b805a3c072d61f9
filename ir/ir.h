/* ir.h - the program between the stages.
 *
 * The frontend makes a Program, every pass rewrites one, every target prints
 * one, and they know nothing else of each other.  This header is the whole
 * interface of ir/; prototypes are grouped under the file that defines them.
 *
 * Ownership: everything a Program points to lives in its arena and goes with
 * it, so nodes are never freed one by one.
 */
#ifndef MTC_IR_IR_H
#define MTC_IR_IR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { MAX_RANK = 8 };

#if defined __GNUC__
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define NORETURN __attribute__((noreturn))
#else
#define PRINTF_LIKE(f, a)
#define NORETURN
#endif

/* ---- arena.c: memory that is freed all at once ------------------------- */

typedef struct Arena Arena;
Arena *arena_new(void);
void arena_free(Arena *arena);
void *arena_alloc(Arena *arena, size_t size); /* zeroed, aligned for any type; never NULL (exits 70 when memory is gone) */
char *arena_copy(Arena *arena, const char *text, size_t length); /* a NUL is added */
char *arena_print(Arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

/* A growing array of pointers in an arena: `LIST_PUSH(arena, g->nodes, g->n_nodes, node)`. */
void *arena_grow(Arena *arena, void *items, int count, size_t item_size); /* room for one more */
#define LIST_PUSH(arena, items, count, item) \
  ((items) = arena_grow((arena), (items), (count), sizeof *(items)), (items)[(count)++] = (item))

/* The same for an array that shrinks too, and so has its room beside it. */
void *arena_room(Arena *arena, void *items, int count, int *room, size_t item_size);

/* A string under construction, malloc'd; text_take hands it to an arena and clears it. */
typedef struct Text {
  char *data; /* NUL-terminated once anything was added, else NULL */
  size_t length, room;
} Text;
void text_add(Text *text, const char *format, ...) PRINTF_LIKE(2, 3);
void text_add_bytes(Text *text, const char *bytes, size_t length);
void text_add_size(Text *text, double bytes); /* "1.2 MB"; units of 1000 */
void text_free(Text *text);
char *text_take(Text *text, Arena *arena);
/* Appends the bytes of a file (file.c); 0, or why it cannot be read: an errno. */
int file_read(const char *path, Text *out);
void text_number(Text *text, double value); /* shortest decimal that reads back to the same double; inf, -inf, nan */

/* ---- diagnostics.c: messages with source lines ------------------------- */

#define STANDARD_FILE "nn.mt" /* the path of the file that comes with mtc */

typedef struct Source {
  const char *path; /* as the user wrote it; "nn.mt" for the standard file */
  const char *text; /* whole file, NUL-terminated */
  size_t length;
  bool standard;    /* not the user's: a message about it stands at the call that led there */
} Source;

/* A range of one source line.  `caller` is the call that instantiated the
 * module or function it stands in, NULL at top level, so that
 * nn.mt:7:10<digits.mt:11:8 can be printed.  A Span read from .ir text has a
 * Source with text NULL. */
typedef struct Span Span;
struct Span {
  const Source *source;
  int line, column; /* from 1 */
  int length;       /* columns, at least 1 */
  const Span *caller;
};

/* Every message has a row in errors.def: code, kind, title, long story. */
typedef enum ErrorCode {
#define ERROR(code, kind, story) code,
#include "ir/errors.def"
#undef ERROR
  ERROR_CODE_COUNT
} ErrorCode;

typedef struct Diagnostics Diagnostics;
Diagnostics *diagnostics_new(void);
void diagnostics_free(Diagnostics *d);
/* Report: a head line and its source line; then notes with source lines of
 * their own (caret text `note` may be ""), then one help.  Same code at same
 * span is reported once; after 20 errors the rest is dropped with one line
 * that says so.  `note` and `help` belong to the latest report. */
void report(Diagnostics *d, ErrorCode code, const Span *at, const char *format, ...) PRINTF_LIKE(4, 5);
void report_note(Diagnostics *d, const Span *at, const char *format, ...) PRINTF_LIKE(3, 4);
void report_caret(Diagnostics *d, const char *format, ...) PRINTF_LIKE(2, 3); /* text after the ^^^ of the head's own line */
void report_help(Diagnostics *d, const char *format, ...) PRINTF_LIKE(2, 3);
int diagnostics_errors(const Diagnostics *d);
int diagnostics_warnings(const Diagnostics *d);
void diagnostics_warnings_are_errors(Diagnostics *d);
void diagnostics_print(const Diagnostics *d, FILE *out, bool color); /* in order of file and line */
bool explain(const char *code, FILE *out);                            /* false for an unknown code */
/* The candidate nearest to `word` by edit distance (at most a third of its length), or NULL. */
const char *nearest(const char *word, const char *const *candidates, int count);
/* A fault of mtc's own: says where, how to report it, and exits 70. */
void fault(const char *format, ...) NORETURN PRINTF_LIKE(1, 2);
void out_of_memory(void) NORETURN; /* says so and exits 1: the machine's fault, not mtc's */

/* ---- type.c: dtypes, dims, shapes -------------------------------------- */

typedef enum DType { F32, F64, BF16, I32, U8, BOOL, DTYPE_COUNT } DType;
const char *dtype_name(DType t);                /* "f32" */
bool dtype_find(const char *name, DType *out);
size_t dtype_size(DType t);                     /* bytes */
bool dtype_is_float(DType t);
DType dtype_promote(DType a, DType b);          /* PyTorch's table */

/* A named dim.  Symbols are compared by address: two modules' `i` differ.
 * A `rows` symbol is a capacity: the rows there are at run time may be fewer. */
typedef struct Symbol {
  const char *name;
  int64_t size;
  bool rows;
  const struct Dim *stands_for; /* while lowering, a module's own name: the caller's dim; NULL in a finished program */
} Symbol;

/* One axis: a bare name (symbol set), a literal (neither), or arithmetic
 * (`text` set: "3 * D").  `size` is always known.  When `rows` is set the
 * run-time extent is size / rows->size * (rows there are); rows only scales
 * the outermost factor. */
typedef struct Dim {
  int64_t size;
  const Symbol *symbol;
  const char *text;
  const Symbol *rows;
} Dim;

typedef struct Type {
  DType dtype;
  int rank;
  Dim dim[MAX_RANK];
} Type;

Dim dim_literal(int64_t size);
Dim dim_symbol(const Symbol *symbol);
bool dim_same(Dim a, Dim b, bool strict);  /* strict: two bare names match by identity; else, and for the rest, by size and rows */
Type type_scalar(DType dtype);
Type type_shape(DType dtype, int rank, const Dim *dim);
bool type_same_shape(const Type *a, const Type *b);  /* sizes and rows, not names */
int64_t type_count(const Type *t);                   /* elements at capacity */
int64_t type_bytes(const Type *t);
const Symbol *type_rows(const Type *t);              /* the capacity that occurs in it, or NULL */
/* The axes before the last `tail` as one; false when a batch is among them and not the first. */
bool type_merge_leading(Arena *arena, const Type *t, int tail, Type *out);
void type_print(Text *out, const Type *t, bool sizes); /* f32[B<=64, 3*D=384]; sizes: with `=size` */

/* ---- op.c: the op table and shape inference ---------------------------- */

typedef enum Kind { LEAF, VIEW, MAP, REDUCE, SCAN, MATMUL, CONV, POOL, GATHER, SCATTER, ATTENTION, RANDOM, LOOP, GROUP } Kind;

typedef enum Op {
#define OP(op, n, kind, attributes, shape, gradient, expression) OP_##op,
#include "ir/ops.def"
#undef OP
  OP_COUNT
} Op;

/* Attributes of a node.  Which ones an op has is in its row; the others are
 * zero.  attrs.c prints and reads them by name from one table. */
typedef struct Attrs {
  double value;              /* const; clamp's lower bound */
  double high;               /* clamp's upper bound */
  const char *path;          /* leaf: "d.x", "net.fc1.weight", "step"; random: its site; loop, turn: the loop's */
  const Symbol *symbol;      /* rows: whose rows */
  int axis;                  /* iota; skew, unskew: the axis of positions */
  int window;                /* skew, unskew: the axis of places in a window */
  int stride, dilation, padding; /* skew: out[o, k] = in[o*stride + k*dilation - padding, k]; unskew is its transpose */
  int index;                 /* result: which output; input of a group body: which operand; param, state: how often it has changed in this step */
  int n_axes;                /* reduce: axes, ascending; transpose: the permutation (out axis a is in axis axes[a]) */
  int axes[MAX_RANK];
  bool keep;                 /* reduce: leave 1 where an axis was */
  bool first;                /* max, min: of equals the first takes the gradient, of NaNs the last */
  bool ta, tb;               /* matmul: the last two axes of operand 0, 1 are swapped */
  bool wide;                 /* matmul: of bf16, the result stays f32 */
  double scale;              /* attention: of the scores */
  bool said;                 /* stop: by the model's own word, not as a shift that changes nothing */
  bool causal;               /* attention: a place sees none behind it */
  int64_t start[MAX_RANK];   /* slice, pad: out[i] = in[start + i*step], steps below 0 turn round; pad is its transpose, zero elsewhere */
  int64_t step[MAX_RANK];
  int distribution;          /* random: 0 uniform in [0,1), 1 standard normal */
  int pattern;               /* group: GroupPattern */
  Type space;                /* group: iteration space (dtype unused); axes = the axes it reduces; loop: [turns] */
  int carried, stacked;      /* loop: how many operands are carried, then stacked */
  bool reverse;              /* loop: from the last turn to the first */
  bool remat;                /* loop: its gradient keeps the carried values only and computes the rest again */
  Type shape;                /* reshape, broadcast, slice, pad, skew, unskew, iota, random, leaf, cast (dtype): the result type asked for */
} Attrs;

typedef struct OpInfo {
  const char *name;
  int n_inputs; /* -1: any */
  Kind kind;
  const char *attributes; /* space-separated names */
  const char *expression; /* C and CUDA text of a MAP, %0 %1 %2 its operands; NULL otherwise */
} OpInfo;
extern const OpInfo op_info[OP_COUNT];
bool op_find(const char *name, Op *out);

/* The result type of an op, or false with a message that names both operands
 * ("matmul: inner sizes differ, H (256) and P (784)").  strict: names must
 * match by identity (the frontend's rule); passes and the reader match sizes. */
typedef struct TypeError {
  char message[320];
  const char *kind; /* "broadcast", "repeat", "inner", "leading", "rank", "axis", "reshape", "rows" (a batch axis lost,
                     * moved or cut), "index", "dtype", "count": picks the error code */
} TypeError;
bool infer_type(Op op, int n, const Type *const *in, const Attrs *attrs, bool strict, Type *out, TypeError *error);
/* NumPy broadcasting on its own: also used for sum_to and by the frontend. */
bool infer_broadcast(const Type *a, const Type *b, bool strict, Type *out, TypeError *error);

/* ---- graph.c: nodes, graphs, programs ---------------------------------- */

typedef struct Node Node;
typedef struct Graph Graph;
typedef struct Program Program;

/* Where a materialized value lives once `plan` has run. */
typedef enum Home {
  HOME_NONE,   /* not planned, or never in memory (inside a group, const) */
  HOME_INPUT,  /* a data field: the batch holds it */
  HOME_PARAM,  /* the parameter block; offset is that parameter's */
  HOME_STATE,
  HOME_ARENA,  /* the graph's arena; offset in bytes, 256-aligned */
  HOME_GRAD,   /* the gradient block, laid out as the parameter block */
  HOME_NEXT,   /* the block of new states, laid out as that of the states */
  HOME_OUTPUT, /* the output slot `offset` (log, loss, accumulator, predict) */
  HOME_ALIAS,  /* a VIEW that shares its operand's bytes */
  HOME_OPERAND, /* an input of a loop's body: in what the loop was given */
  HOME_RESULT  /* output `offset` of a loop's body: where the turn is to put it */
} Home;

struct Node {
  Op op;
  int id;            /* position in its graph's node list; renumbered by graph_number */
  const char *name;  /* stable: source path and role, "net.fc1.mm"; unique in its graph */
  int n_aliases;
  const char **aliases; /* names of nodes that were merged into this one */
  Type type;         /* of a group or loop: dtype F32, rank 0, unused */
  int n_in;
  Node **in;
  Attrs attrs;
  Graph *body;       /* GROUP, LOOP */
  const char *reason; /* GROUP: why fuse made it so, one line; NULL */
  bool again;        /* computes once more what another node has, later: the two are never merged */
  const Span *span;
  Home home;
  int64_t offset;
  int mark;          /* scratch for passes */
};

typedef enum OutputRole {
  OUT_VALUE,  /* a group's or predict's result */
  OUT_LOG,    /* name = the log's; before the phases are cut apart, index = its phase, as of OUT_STATE */
  OUT_LOSS,   /* name = the update's ("update0") */
  OUT_GRAD,   /* name = a parameter's path; index = the update */
  OUT_ACC,    /* eval: accumulated over batches; combine */
  OUT_STATE,  /* name = a state's path: its new value */
  OUT_CARRY   /* name = "carry.0": an input of later phases */
} OutputRole;
typedef enum Combine { COMBINE_SUM, COMBINE_MIN, COMBINE_MAX } Combine;

typedef struct Output {
  OutputRole role;
  const char *name;
  Node *node;
  int index;
  Combine combine;
} Output;

/* A list of nodes in SSA form, operands before uses. */
struct Graph {
  Program *program;
  const char *name;     /* "train", "eval0", "eval0.finish", "predict", "schedule" */
  Graph *parent;        /* of a body */
  int n_nodes;
  Node **nodes;
  int n_outputs;
  Output *outputs;
  const Symbol *rows;   /* the capacity its batch is counted by, or NULL */
  int64_t arena_bytes;  /* set by plan: exact peak */
  void *cons;           /* hash-consing table */
};

/* -- what a model declares -- */

typedef enum InitKind { INIT_CONSTANT, INIT_UNIFORM, INIT_NORMAL } InitKind;
typedef struct Init {
  InitKind kind;
  double a, b; /* constant a; uniform in [a, b); normal of mean a and deviation b */
} Init;

typedef struct Param {
  const char *path;   /* "net.fc1.weight" */
  Type type;
  Init init;
  const Span *span;
  int64_t offset;     /* elements into the parameter block (plan); 64-element aligned */
  const char *pattern; /* of stacked blocks: "net.b.#.weight", a leading axis for each #; NULL: of none */
} Param;

typedef struct State {
  const char *path;
  Type type;
  Init init;
  const Span *span;
  int64_t offset;
  const char *pattern; /* as a parameter's */
} State;

typedef struct Field {
  const char *name;   /* "x" */
  Type type;          /* dim[0] is the batch capacity */
  int64_t low, high;  /* labels must be in [low, high); high = 0: not a label */
  int64_t ignore;     /* a label value allowed besides (cross_entropy's ignore); 0: none */
} Field;

typedef enum DataKind { DATA_CSV, DATA_NPY, DATA_NPZ, DATA_IDX, DATA_BYTES, DATA_TOKENS, DATA_RANDOM } DataKind;
typedef struct Data {
  const char *name;   /* "train_set" */
  DataKind kind;
  int n_paths;
  const char **paths; /* relative to the .mt file */
  int n_fields;
  Field *fields;
  const Symbol *rows; /* the batch capacity */
  bool drop;          /* leave out a short last batch */
  int64_t n_rows;     /* random: rows made; csv etc.: `rows:` at most; 0: all */
  int64_t seed;       /* random */
  int64_t window;     /* bytes, tokens */
  int64_t stride;     /* of the same: from row to row; 0: a window */
  const Span *span;
} Data;

/* -- optimizers: rows of one table (optimizer.c) -- */

enum { MAX_HYPER = 8, MAX_SLOTS = 3, MAX_GROUPS = 64, MAX_CUTS = 64 }; /* as many as mtrt.h has room for */
typedef struct Optimizer {
  const char *name;                   /* "adamw" */
  const char *hyper[MAX_HYPER];       /* option names in order; hyper[0] is "lr" */
  double fallback[MAX_HYPER];         /* PyTorch's defaults; NAN: must be given */
  int n_slots;
  const char *slot[MAX_SLOTS];        /* "m", "v": state tensors of a parameter's size, zero at first */
  /* The update as text of assignments in order, over p (parameter), g
   * (gradient), t (1 at the first update), the hyper names and the slot names:
   * evaluated in double by evaluate.c, the reference for the runtime. */
  const char *rule;
} Optimizer;
extern const Optimizer optimizers[];
extern const int n_optimizers;
const Optimizer *optimizer_find(const char *name);
/* One element, one step of `rule`: slots are read and written. */
double optimizer_apply(const Optimizer *o, const double *hyper, double t, double p, double g, double *slots);

/* -- the script: what runs when -- */

typedef struct UpdateGroup {
  const char *target;        /* "net", "net.norm": as written */
  int n_params;
  int *params;               /* indices into Program.params */
  const Optimizer *optimizer;
  Node *hyper[MAX_HYPER];    /* rank-0 f64 nodes of Program.schedule */
  const Span *span;
} UpdateGroup;

/* A parameter that reaches the loss past a stop, too: there its gradient is not the derivative. */
typedef struct Stopped {
  int param;
  const Span *past;
} Stopped;

typedef struct Update {
  const char *name;          /* "update0" */
  int n_groups;
  UpdateGroup *groups;
  double clip;               /* global norm; 0: none */
  int n_stopped;             /* known behind the gradient pass */
  Stopped *stopped;
  const Span *span;
} Update;

typedef enum Unit { STEPS, EPOCHS } Unit;
typedef enum StmtKind { STMT_UPDATE, STMT_LOG, STMT_EVERY, STMT_EVAL, STMT_SAVE, STMT_SAMPLE } StmtKind;
typedef struct Stmt {
  StmtKind kind;
  int index;                 /* update: which; eval: which; */
  const char *name;          /* log: its name; save: the log it watches */
  bool highest;              /* save */
  int64_t every;             /* every */
  Unit unit;
  int n_body;
  struct Stmt *body;         /* every, eval */
  const Span *span;
} Stmt;

typedef struct Eval {
  const char *variable;      /* "e" */
  int data;                  /* index into Program.data */
  Graph *batch;              /* per batch: outputs OUT_ACC */
  Graph *finish;             /* once: inputs "acc.0" ...; its `rows` leaf is the total; outputs OUT_LOG */
  const Span *span;
} Eval;

/* Sequence points divide a step.  The first phase's graph is the train graph;
 * until the gradient pass has cut them apart it is that of all. */
typedef struct Phase {
  Graph *graph;              /* NULL: not cut yet */
  int update;                /* at its end; -1: none */
  int64_t every;             /* it runs in every so-manyth step */
} Phase;

typedef enum Precision { PRECISION_F32, PRECISION_TF32, PRECISION_BF16 } Precision;
typedef struct Train {
  const char *variable;      /* "d" */
  int data;
  bool shuffled;
  int64_t shuffle_seed;
  int64_t count;
  Unit unit;
  int64_t accumulate;        /* micro-batches an update, at least 1 */
  Precision precision;
  int64_t memory;            /* bytes that training may take; 0: no limit */
  bool apart;                /* to save memory, kernels that read nothing in common are not fused side by side */
  Graph *graph;              /* outputs OUT_LOSS, OUT_LOG; gradient adds OUT_GRAD */
  int n_phases;              /* 0: the graph is the only one, and all updates are at its end */
  Phase *phases;
  int64_t carry_bytes;       /* plan: the front of the arena, which all phases share */
  int n_updates;
  Update *updates;
  int n_body;
  Stmt *body;
  const Span *span;
} Train;

typedef struct Predict {
  const char *variable;      /* "p" */
  int n_fields;
  Field *fields;
  Graph *graph;              /* one OUT_VALUE */
  const Span *span;
} Predict;

/* A part of an instance's names and what stands there in a file of weights. */
typedef struct Mapping {
  const char *path;          /* "b.#.ln", where # is any number; NULL: the file has `name` and the model has not */
  const char *name;          /* NULL: not from the file */
  bool transpose;
} Mapping;

typedef struct Weights {
  const char *instance;      /* "net" */
  const char *path;          /* relative to the .mt file */
  int n_maps;
  Mapping *maps;
  const Span *span;
} Weights;

struct Program {
  Arena *arena;
  const char *name;          /* "digits" */
  const char *source;        /* "digits.mt" as given */
  int n_passes;
  const char **passes;       /* already run, in order: the first line of its text */
  int n_symbols;
  Symbol **symbols;          /* file-level dims */
  int n_params;
  Param *params;
  int64_t param_elements;    /* size of the block once planned */
  int n_states;
  State *states;
  int n_data;
  Data *data;
  bool has_train, has_predict, has_sample;
  Train train;
  Predict predict;
  Predict sample;            /* a window of tokens to the scores of the next: what `sample` in the script draws from */
  int n_evals;
  Eval *evals;
  int n_weights;
  Weights *weights;          /* files to start from */
  Graph *schedule;           /* hyper-parameters: scalar f64 nodes over the leaves counter step, epoch, total */
};

bool is_train_graph(const Program *program, const Graph *graph);
Program *program_new(Arena *arena, const char *name, const char *source);
Graph *graph_new(Program *program, const char *name, Graph *parent);
/* All graphs of a program in order (train, evals, predict, schedule), each after the bodies of its loops;
 * NULL-terminated, in its arena. */
Graph **program_graphs(Program *program);
/* Append a node; type inferred (fault() when it cannot be).  Pure nodes are
 * hash-consed: an equal one is returned instead, the new name kept as alias.
 * `name` may be wanted twice: a suffix ".2", ".3" makes it unique. */
Node *node_new(Graph *graph, Op op, Node *const *in, int n_in, const Attrs *attrs, const char *name, const Span *span);
/* The same as `of` on other operands, once more: a node of its own however equal they are. */
Node *node_again(Graph *graph, const Node *of, Node *const *in);
void graph_output(Graph *graph, OutputRole role, const char *name, Node *node);
void graph_number(Graph *graph);                         /* ids = positions */
void graph_replace(Graph *graph, Node *from, Node *to);  /* every use, outputs included */
void graph_replace_all(Graph *graph, Node **to);            /* to[id]: its replacement or NULL; chains are followed; one scan */
void graph_sweep(Graph *graph);                          /* drop nodes no output needs (leaves of kind input stay) */
void graph_sort(Graph *graph);                           /* operands before uses, otherwise stable */
void graph_uncons(Graph *graph);                         /* forget the hash table after direct edits */
int *graph_uses(const Graph *graph, Arena *arena);       /* uses[id], outputs counted */
Node *graph_find(const Graph *graph, const char *name);
enum { ARENA_ALIGN = 256 };                              /* bytes: where a value in an arena begins */
/* A planned loop has a block of its parent's arena, from its offset on: the
 * arena of its body, then for each carried value the second of the two places
 * that turns write by turns; the last turn writes where the result is. */
int64_t loop_bytes(const Node *loop);
int64_t loop_second(const Node *loop, int index);        /* where in the block that of carried value `index` is */
Type result_type(const Node *owner, int index);          /* of output `index` of a group or loop */
bool attention_has_lse(const Node *attention, const Node *lse); /* of the same scores */
void graph_copy(Graph *to, const Graph *from, Node **map); /* its nodes, which are numbered, behind those of `to`: map[id] */
void graph_copy_whole(Graph *to, Graph *from);           /* nodes and outputs; `to` is empty */
void graph_take(Graph *graph, Graph *from);              /* its nodes and outputs become those of `from`, made beside it */
bool op_pure(Op op);

/* ---- build.c: short constructors for rules and rewrites ---------------- */

/* Where new nodes go and what they are called: names are prefix.role. */
typedef struct Builder {
  Graph *graph;
  const Span *span;
  const char *prefix;
} Builder;
Node *b_const(Builder *b, DType dtype, double value);
Node *b_unary(Builder *b, Op op, Node *x);
Node *b_stop(Builder *b, Node *x);                        /* by the model's own word */
Node *b_binary(Builder *b, Op op, Node *x, Node *y);      /* broadcasts */
Node *b_scalar(Builder *b, Op op, Node *x, double value); /* x op value, value of x's dtype */
Node *b_where(Builder *b, Node *condition, Node *yes, Node *no);
Node *b_cast(Builder *b, Node *x, DType dtype);
Node *b_clamp(Builder *b, Node *x, double low, double high);
Node *b_reduce(Builder *b, Op op, Node *x, int n_axes, const int *axes, bool keep);
Node *b_sum_to(Builder *b, Node *x, const Type *shape);   /* the adjoint of broadcasting shape to x's */
Node *b_reshape(Builder *b, Node *x, const Type *shape);
Node *b_broadcast(Builder *b, Node *x, const Type *shape);
Node *b_transpose(Builder *b, Node *x, const int *axes);
Node *b_slice(Builder *b, Node *x, const Type *shape, const int64_t *start, const int64_t *step);
Node *b_pad(Builder *b, Node *x, const Type *shape, const int64_t *start, const int64_t *step);
Node *b_skew(Builder *b, Op op, Node *x, Dim positions, const Attrs *attrs); /* skew or unskew; attrs: axis to padding */
Node *b_matmul(Builder *b, Node *x, Node *y, bool ta, bool tb);
Node *b_matmul_wide(Builder *b, Node *x, Node *y, bool ta, bool tb); /* of bf16, in f32 */
Node *b_attention(Builder *b, Op op, int n, Node *const *in, double scale, bool causal);
Node *b_iota(Builder *b, const Type *shape, int axis);
Node *b_rows(Builder *b, const Symbol *symbol);           /* i32 scalar: the rows there are */
Node *b_count(Builder *b, const Type *t, int n_axes, const int *axes, DType dtype); /* elements over axes as a scalar: a constant, or one times rows */

/* ---- index.c: from an element of a result to elements of operands ------ */

/* An index expression over the axes of an iteration space, simplified as it
 * is built (extents are known).  Codegen prints them; fuse asks whether two
 * are equal.  Compared with index_equal. */
typedef enum IndexKind { INDEX_CONST, INDEX_AXIS, INDEX_ADD, INDEX_MUL, INDEX_DIV, INDEX_MOD } IndexKind;
typedef struct Index {
  IndexKind kind;
  int64_t value;              /* const; factor of mul; divisor of div, mod */
  int axis;                   /* which axis of the space */
  int64_t extent;             /* values are in [low, low + extent) at capacity */
  int64_t low;
  const struct Index *a, *b;  /* operands */
} Index;
const Index *index_const(Arena *arena, int64_t value);
const Index *index_axis(Arena *arena, int axis, int64_t extent);
const Index *index_add(Arena *arena, const Index *a, const Index *b);
const Index *index_mul(Arena *arena, const Index *a, int64_t factor);
const Index *index_div(Arena *arena, const Index *a, int64_t divisor); /* floor, of values known to be >= 0 */
const Index *index_mod(Arena *arena, const Index *a, int64_t divisor);
bool index_equal(const Index *a, const Index *b);
/* Element out[] of broadcast operand `in` of a MAP whose result has type `result`. */
void index_broadcast(Arena *arena, const Type *result, const Index *const *out, const Type *in, const Index **in_index);
/* Element out[] of a VIEW's result in its operand.  For pad, skew and unskew, elements outside
 * are zero: *n_tests conditions `0 <= test[i] < limit[i]` (and divisible by
 * by[i], 1 for none) must all hold, the index counted after division. */
typedef struct IndexTests {
  int n;
  const Index *test[MAX_RANK];
  int64_t limit[MAX_RANK], by[MAX_RANK];
} IndexTests;
void index_view(Arena *arena, const Node *view, const Index *const *out, const Index **in, IndexTests *tests);
/* Row-major offset of element in[] of a value of type t (strides by capacity). */
const Index *index_flat(Arena *arena, const Type *t, const Index *const *in);
void index_print(Text *out, const Index *index, const char *const *axis_names);

/* ---- text.c, read.c: print and read back ------------------------------- */

void program_print(Text *out, const Program *program);
void node_print(Text *out, const Node *node);  /* one line, as in program_print */
/* NULL after reporting; spans in the messages point into the .ir text. */
Program *program_read(const Source *source, Arena *arena, Diagnostics *d);
void program_dot(Text *out, const Program *program); /* Graphviz */

/* ---- verify.c ----------------------------------------------------------- */

/* Everything a well-formed program keeps: operands before uses, types as
 * inferred, names unique, outputs in range, group bodies as GroupPattern says,
 * planned buffers that do not overlap while alive.  NULL, or what is wrong. */
const char *program_verify(const Program *program, Arena *arena);

/* The same, and where: either may be NULL. */
typedef struct Broken {
  const Graph *graph;
  const Node *node;
} Broken;
const char *program_verify_at(const Program *program, Arena *arena, Broken *broken);

/* A group computes its outputs over one iteration space, attrs.space, and
 * reduces attrs.axes of it (none for PATTERN_MAP).  In its body
 *  - an OUT_VALUE has the shape of the space (full) or the space less the
 *    reduced axes, kept as 1 or dropped (reduced);
 *  - a REDUCE's operand is full and its axes are the group's, and every use of
 *    its result is at the outer index, views followed by index_view;
 *  - other nodes are LEAF (input with attrs.index, const, rows, iota,
 *    counter), VIEW, MAP, RANDOM or GATHER, and under PATTERN_MATMUL one MATMUL.  RANDOM and iota are full or
 *    read at an index expression of the space. */
typedef enum GroupPattern {
  PATTERN_MAP,    /* elementwise: no reduction */
  PATTERN_ROW,    /* reduces the trailing axes */
  PATTERN_COLUMN, /* reduces other axes: usually the leading ones; outputs reduced only */
  PATTERN_MATMUL  /* elementwise on a matrix product of two inputs, which has the shape of the space */
} GroupPattern;

/* A loop runs its body attrs.space.dim[0] times, turn 0 first, or last when it
 * is reversed.  Its operands are the carried values as they begin, then
 * stacked values, of which turn t sees element t of the first axis, then
 * values that each turn sees whole; in the body they are `input`s by index.
 * Outputs of the body are the carried values as the next turn sees them, then
 * collected ones: results are the carried values after the last turn, and
 * the collected stacked, that of turn t as element t.  Body nodes are any; a
 * body knows nothing outside but its inputs, rows, counters and turns. */

/* ---- blocks.c: stretches of the parameter block ------------------------- */

typedef struct Stretch {
  int64_t begin, count; /* elements */
} Stretch;
int updates_of(const Program *program, int param, int before);               /* how many of the first `before` updates move it */
Stretch group_stretch(const Program *program, const UpdateGroup *group);     /* all of it is the group's once the plan is made */
Stretch update_stretch(const Program *program, const Update *update);        /* from its first element to its last */
int update_gaps(const Program *program, const Update *update, Stretch **out, Arena *arena); /* of its stretch what others move */
int64_t update_slots(const Program *program, int update); /* where the slots of its stretch begin in a block of slots */
int64_t slot_elements(const Program *program);            /* of a block of slots */

/* ---- memory.c: what training takes in memory ---------------------------- */

/* Bytes that the values of one line of the model take at the peak; span NULL: of none. */
typedef struct MemoryLine {
  const Span *span;
  int64_t bytes;
} MemoryLine;
typedef struct Memory {
  int64_t params, gradients, optimizer, states, outputs, batches;
  int64_t sets;        /* data sets of known length */
  bool has_files;      /* there are sets of unknown length, which are not counted */
  int64_t arena;       /* the values of a step: exact peak over all graphs that run while training */
  int64_t total;       /* of all these */
  const Graph *graph;  /* which needs that arena */
  int n_lines;
  MemoryLine *lines;   /* alive at its peak, most bytes first */
} Memory;
Memory program_memory(const Program *program, Arena *arena); /* of a planned program */
void memory_parts(Text *out, const Memory *memory);          /* "parameters 38 KB, gradients 38 KB, ..." */

/* ---- evaluate.c: what a program means, in double precision ------------- */

/* Values are row-major doubles at *rows* there are (not capacity): a batch of
 * r rows of f32[B, P] is r*P doubles. Integers and bools are exact doubles. */
typedef struct Tensor {
  Type type;
  int64_t rows;      /* rows there are where type has a capacity, else 0 */
  int64_t count;
  double *data;      /* malloc'd */
} Tensor;
typedef struct Binding {
  const char *path;  /* of a leaf: "d.x", "net.fc1.weight", "step", "acc.0" */
  const double *data;
} Binding;
typedef struct EvaluateOptions {
  int64_t rows;      /* of the graph's capacity */
  uint64_t seed, step, micro, first_row; /* keys of random draws; first_row: where these rows begin in their micro-batch, 0 when they are all of it */
  bool round;        /* round each value to its node's dtype, as a target would */
  /* As targets may: move what a math library computes by up to so much of itself, each element by its own; what
   * attention hides takes part with a weight of 0.  Above 0, values as near to each other compare as equal. */
  double shake;
} EvaluateOptions;
/* outputs[i] answers graph->outputs[i]; free with tensor_free.  False when a
 * leaf is unbound: *missing names it. */
bool evaluate(const Graph *graph, const Binding *bindings, int n_bindings, const EvaluateOptions *options,
              Tensor *outputs, const char **missing);
void tensor_free(Tensor *tensor);
double evaluate_scalar(const Node *node, double step, double epoch, double total); /* a schedule node */
/* The reference of runtime/random: uniform in [0,1) as f32 steps of 2^-24, or a normal. */
double random_draw(uint64_t seed, const char *site, uint64_t step, uint64_t micro, uint64_t element, int distribution);
uint64_t random_site(const char *path);                 /* a site as a number */
uint64_t random_turn(uint64_t site, uint32_t turn);     /* the site in that turn of a loop; of loops in loops, outermost first */
double random_draw_at(uint64_t seed, uint64_t site, uint64_t step, uint64_t micro, uint64_t element, int distribution);

#endif
