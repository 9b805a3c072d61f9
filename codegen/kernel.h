/* kernel.h - a group as a loop nest that no target owns yet.
 *
 * A group of the IR says *what* to compute over an iteration space.  A Kernel
 * says how: loops over the outer axes, and for each outer element a sequence
 *
 *   section 0, pass 1, section 1, pass 2, section 2 ...
 *
 * A pass walks the inner (reduced) axes: it computes full values, feeds
 * reductions and stores full outputs.  The section after it works on what is
 * known once the pass is over: results of its reductions and scalars made of
 * them.  A softmax is: pass 1 max; pass 2 exp and its sum; pass 3 the
 * quotient.  A map has no inner axes and is section 0 alone.
 *
 * Values are found from the outputs backwards; views and broadcasts disappear
 * into the index expressions of loads.  c_kernel.c and cuda_kernel.c print
 * the result.
 */
#ifndef MTC_CODEGEN_KERNEL_H
#define MTC_CODEGEN_KERNEL_H

#include "ir/ir.h"

enum { MAX_TURNS = 8 /* loops around a kernel */, MAX_POINTERS = 64, MAX_DYNAMIC = 32, DYNAMIC_AXIS = 64 };

/* Arrays of at most so many elements are indexed by int on a GPU: a little less than 2^31. */
static const int64_t INT_ELEMENTS = ((int64_t)1 << 31) - (1 << 20);

/* One loop.  `member` are the axes of the space that it walks, as one number. */
typedef struct Loop {
  int n;
  int member[MAX_RANK];
  int64_t size;       /* at capacity */
  const Symbol *rows; /* its first member counts rows */
  bool inner;
  const char *name; /* "row", "i" */
} Loop;

/* Elements outside a pad are zero: all conditions of the chain must hold. */
typedef struct Guard {
  const struct Guard *up;
  const Index *test;
  int64_t limit, by;
} Guard;

typedef enum ValueKind {
  VALUE_CONST,
  VALUE_LOAD,
  VALUE_INDEX,
  VALUE_ROWS,
  VALUE_COUNTER,
  VALUE_TURN,
  VALUE_RANDOM,
  VALUE_MAP,
  VALUE_REDUCE,
  VALUE_PRODUCT,
  VALUE_GUARD
} ValueKind;

typedef struct Value Value;
struct Value {
  ValueKind kind;
  int id;           /* position in Kernel.values: operands come first */
  const Node *node; /* the op, the name */
  DType dtype;
  int n_in;
  Value **in;         /* operands; of a load, the values its index is made of */
  int pointer;        /* load: which Pointer */
  const Index *index; /* load: flat element; index, random: its number */
  const Guard *guard; /* load, guard */
  bool full;          /* differs between inner elements */
  bool outer;         /* differs between outer elements */
  int stage;          /* full: its pass, from 1; else its section, from 0 */
  bool packed;        /* load: one of a run of neighbours, which one wide load brings */
  const char *pack;   /* what holds the run, while printing */
  bool kept;          /* full: stays in a row array after its pass */
  bool named;         /* not full: a variable */
  const char *name;   /* of its variable, when it has one */
  int uses;           /* in the pass or section being printed */
  bool declared;      /* in the pass or section being printed */
};

/* An array the kernel is given. */
typedef struct Pointer {
  const Type *type;
  int input, output; /* operand and output of the group, -1: none; both: in place */
  const Node *node;  /* it is called after */
  int align;         /* it begins at a multiple of so many elements: a power of 2 */
  const char *name;
} Pointer;

typedef struct Store {
  Value *value;
  int pointer;
  const Index *index;
  bool full;
  int stage;
  bool packed; /* as of a load */
  const char *pack;
} Store;

/* Where the arrays of a group lie. */
typedef struct Placement {
  const int *in_place;              /* the operand whose memory each output takes over, or -1 */
  const int *in_align, *out_align;  /* as Pointer.align */
} Placement;

typedef struct Kernel {
  const Node *group;
  GroupPattern pattern;
  bool column; /* the last axis of the space is not reduced: neighbours in memory are different columns */
  Type space;
  bool reduced[MAX_RANK];
  int run;     /* neighbouring elements a thread takes at a time: the last loop is over them ... */
  int by_runs; /* ... and this one goes by so many */
  int n_loops; /* outer loops first */
  Loop loops[MAX_RANK + 1];
  const Index *coordinate[MAX_RANK]; /* of each axis of the space, over the loops */
  int n_pointers;
  Pointer pointers[MAX_POINTERS];
  int n_values;
  Value **values;
  int n_stores;
  Store stores[MAX_POINTERS];
  int n_dynamic; /* index axes that stand for a value: a gather's row */
  Value *dynamic[MAX_DYNAMIC];
  int n_passes;
  bool uses_rows, uses_scalars;
  int n_turns; /* loops around it that it is to know the turn of, by path */
  const char *turns[MAX_TURNS], *turn_names[MAX_TURNS];
  bool scatter; /* no nest: scatter_add of pointers 1 (rows) and 2 (ids) into pointer 0 */
  bool wide;    /* an index may pass 2^31 */
  const Placement *placement;
  const Guard *map_guard; /* while walking: of the map whose operands are walked */
  Value *product; /* of a matmul group: its element, loops being its rows and columns; else NULL */
  int product_in[2]; /* pointers */
  Arena *arena;
} Kernel;

/* How a target wants loops and row arrays. */
typedef struct KernelForm {
  bool linear;         /* one loop for all outer axes, one for all inner ones */
  int64_t longest_row; /* keep row arrays in rows of at most so many elements */
  bool keep_loads;     /* loads that a later pass needs again are kept as well */
  int keep_cost;       /* what a value must cost at least to be kept rather than computed again */
  /* The longest run worth trying for a kernel, which is without runs; 1: none.  NULL: there are no threads. */
  int (*run)(const struct Kernel *k, const struct KernelForm *form);
  int64_t busy_threads; /* with fewer, more threads are worth more than runs of elements */
} KernelForm;

/* kernel.c: the nest. */
Kernel *kernel_build(Arena *arena, const Node *group, const KernelForm *form, const Placement *placement);
int64_t kernel_outer(const Kernel *k); /* elements, at capacity */
int64_t kernel_inner(const Kernel *k);
bool kernel_reduces(const Kernel *k); /* it has passes: the last loops are inner */

/* runs.c */
int run_of_map(const Kernel *k, const KernelForm *form); /* as KernelForm.run */
/* Where so many threads share a row; exact: each is to have as much of it. */
int run_of_rows(const Kernel *k, int threads, bool exact);
int run_of_columns(const Kernel *k, const KernelForm *form);
bool fits_runs(Kernel *k);          /* of one in runs; marks loads and stores that are packed */
bool overhangs(const Kernel *k);    /* a row ends within a run */
const Index *index_from_first(const Kernel *k, const Index *x); /* over a run's first element, not its number */
const Index *index_of_run(const Kernel *k, const Index *x);     /* of the element that the run begins with */

/* wrap.c */
Node *kernel_wrap(Arena *arena, Node *node);             /* a group of one node */
Kernel *kernel_scatter(Arena *arena, const Node *group); /* of a scatter_add */
Type scatter_layout(const Type *to); /* a row of it, whole: a batch behind the first axis lies at its capacity */
/* A matmul group in two: *product by itself, and what is returned, a map that reads it. */
Node *kernel_split(Arena *arena, const Node *group, Node **product);

/* stages.c: passes and sections, what is kept, what gets a variable. */
void kernel_stage(Kernel *k, const KernelForm *form);
int op_cost(const Node *node); /* 1 for an addition, 10 for an exp */

#endif
