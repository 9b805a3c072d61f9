/* target.h - the parts of a generated program, and what differs between C and CUDA. */
#ifndef MTC_CODEGEN_TARGET_H
#define MTC_CODEGEN_TARGET_H

#include "codegen/formula.h"
#include "codegen/writer.h"
#include "ir/cost.h"

/* A printed kernel: its definition, and how a launch is shaped (CUDA). */
typedef struct KernelText {
  const char *text;
  const char *grid, *block;
} KernelText;

typedef struct Target {
  bool cuda;
  KernelForm form;
  void (*kernel)(Writer *w, KernelText *out); /* prints w->k under w->name */
  /* out[ids[i]] += rows[i] in order of i; `row` elements a row, `n` ids. */
  void (*scatter)(Writer *w, KernelText *out);
} Target;

extern const Target c_target, cuda_target;

/* A kernel that is emitted once, and all the calls that want it. */
typedef struct UniqueKernel {
  struct UniqueKernel *next; /* of equal hash */
  const char *key;           /* canonical text */
  Kernel *kernel;            /* the first call's */
  int n_paths;
  const char **paths; /* names of all the groups */
  bool in_train;      /* also needed in double precision */
  const char *name;
  KernelText text;
} UniqueKernel;

/* One call of a step: a kernel, a matrix product, or a loop of calls. */
typedef struct Call {
  const Node *node;  /* GROUP, MATMUL, ATTENTION, SCATTER, LOOP, or a node by itself */
  const Node *group; /* of a kernel */
  const Node *lse;   /* what attention makes besides, or NULL */
  Kernel *kernel;
  UniqueKernel *unique;
  struct Step *inner; /* of a loop: what a turn calls */
} Call;

/* A function that makes calls, from one graph; or the turn of a loop in one. */
typedef struct Step {
  const Graph *graph;
  const char *name; /* "train_gradients", "eval0_batch" */
  const char *comment;
  int n_calls;
  Call *calls;
  int n_products; /* taken out of groups: their ids are past those of the graph */
  const char **pointer; /* by node id: its expression in the function; NULL before it is asked for */
  struct Step *outer;   /* of a loop: the step it stands in */
  const Call *loop;     /* of a loop: its call there */
  const char *turn;     /* ... its variable */
  const char **carried, **next, **places; /* ... by carried value: where this turn finds it, where it puts the next, which of two */
  int n_lines;
  const char **lines;   /* ... what a turn declares */
} Step;

enum { HASH_SIZE = 4096 };

/* A program on its way to text. */
typedef struct Emit {
  const Program *program;
  const Target *target;
  Arena *arena;
  Text *out;
  bool bf16;      /* some value is of that type */
  bool attention; /* ... or made by such an op */
  Names *globals;
  Roots roots;
  const char **param_names; /* fields of Params */
  int n_kernels;
  UniqueKernel **kernels; /* in order of first call */
  UniqueKernel *hash[HASH_SIZE];
  int n_steps;
  Step **steps;
} Emit;

/* calls.c: steps and the kernels they share. */
Step *step_new(Emit *e, const Graph *graph, const char *name, const char *comment, bool train);
void name_kernels(Emit *e);
void emit_kernel(Emit *e, UniqueKernel *u);
const Node *call_output(const Step *step, const Call *call, int n); /* the n-th value it writes, or NULL */

/* step.c: the text of a step. */
void emit_step(Emit *e, Step *step);
const char *shape_text(Emit *e, const Type *type); /* "(B, H)" */
const Node *first_result(const Call *call); /* a fused call stands where that does */
bool is_backward(const Node *n);
/* One product of contiguous matrices: nothing in the way of reading the leading axes as more rows. */
bool is_single_product(const Node *n);

/* update.c: the schedule and the optimizers. */
void emit_update(Emit *e);
bool update_measures(const Emit *e, int phase); /* CUDA: a kernel looks at the gradients before the update */
int64_t state_elements(const Program *p);

/* cost.c: the calls of a training step, by the model of ir/cost.h. */
typedef struct StepCost {
  const char *kernel, *line; /* "fc1_relu_map", "gemm 64 x 128 x 64 f32"; "digits.mt:20", NULL where lines are put together */
  bool backward;
  double calls; /* a step; a phase that runs in every fifth step counts a fifth */
  Cost all;     /* of these; bound: of one of them */
  int order;    /* of its first call */
} StepCost;
const Rates *step_rates(const Emit *e);
StepCost *step_costs(Emit *e, bool by_line, int *n); /* most seconds first */

/* infinite.c: by the node's id in the graph of a phase, what it may hold though all is well: bits, of which FORESEEN are of use. */
enum { FORESEEN_PLUS = 1, FORESEEN_MINUS = 2, FORESEEN_OF_DATA = 4, FORESEEN = 7 };
const unsigned char *foreseen_infinities(Arena *arena, const Program *program, int phase);

/* program.c: the phases of the training step; one that was never cut is all of it. */
int phase_count(const Program *program);
Phase phase_at(const Program *program, int i);
const char *phase_name(const Emit *e, const char *name, int i); /* "train_update", of the second phase "train_update_1" */
Stretch phase_stretch(const Program *program, int i);          /* of the block, in which its update moves something */
int first_group(const Program *program, int update);           /* updates' groups are numbered together */

/* tables.c: what the program says of itself, and main. */
void emit_tables(Emit *e);

/* program.c */
Emit *emit_new(Text *out, const Program *program, Arena *arena, const Target *target); /* steps made, kernels named */
void emit_program(Text *out, const Program *program, Arena *arena, const Target *target);

#endif
