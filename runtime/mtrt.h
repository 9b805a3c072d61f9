/* mtrt.h - what a generated program and its library agree on.
 *
 * A generated trainer holds its kernels, the functions that call them, and
 * one table, MtProgram, that describes the model; mt_main does the rest: the
 * command line, data, training loop, console, checkpoints.  `real` is float;
 * the gradient check compiles the same text once more with real = double.
 *
 * Layout: all parameters stand in one block (elements of real, each parameter
 * row-major at its offset); gradients and optimizer slots are blocks of the
 * same layout.  Shapes are row-major.  The leading axis of a batch is a
 * capacity: `rows` says how many of its rows there are.
 */
#ifndef MTRT_H
#define MTRT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what a step works on ---------------------------------------------- */

enum { MT_MAX_RANK = 8, MT_MAX_GROUPS = 64, MT_MAX_HYPER = 8, MT_MAX_SLOTS = 3, MT_MAX_OUTPUTS = 64, MT_PARTS = 1024 };

/* Scalars that change from step to step, in device memory, so that a captured
 * step needs no new arguments. */
typedef struct MtScalars {
  int64_t step;       /* steps done */
  int64_t done;       /* how often the update at hand has been made; filled by schedule() */
  int64_t epoch, total; /* epochs done; updates planned */
  int64_t micro;      /* micro-batch of this update */
  int64_t position;   /* row of the epoch's order where the batch begins */
  uint64_t seed;
  double grad_scale;  /* gradients are multiplied by it on use: clipping, and the mean over micro-batches */
  double lr_scale;    /* --lr: factor on every learning rate */
  int32_t stop;       /* set when a loss or gradient is not finite: later updates do nothing */
  uint32_t tickets;   /* blocks of an update kernel that are done (CUDA); 0 between updates */
  double hyper[MT_MAX_GROUPS][MT_MAX_HYPER]; /* one row an update group, filled by schedule() */
} MtScalars;

struct MtBackend;
struct MtProgram;
struct MtProfile;

/* What a generated function gets: blocks in device memory (host memory for
 * the C target).  `real_size` is 4, or 8 in the gradient check. */
typedef struct MtRun {
  const struct MtBackend *backend;
  const struct MtProgram *program;
  int real_size;
  void *params, *grads, *slots[MT_MAX_SLOTS];
  void *states, *new_states; /* as they are when a step begins; what it makes of them */
  int64_t state_count;       /* elements of each that a step's end moves over */
  void *arena;        /* of the function that runs */
  void *outputs;      /* real: logs, loss, accumulators or the prediction */
  MtScalars *scalars;
  void *stream;       /* cudaStream_t */
  void *device;       /* the backend's own */
  void *parts;        /* MT_PARTS doubles: parts of a sum over all gradients (CUDA) */
  struct MtProfile *profile; /* what `bench --profile` has seen so far; NULL: none runs */
  long budget;        /* kernels still allowed to run; negative: all (the search for a non-finite value) */
  char error[512];    /* first failure inside a step, "" when none */
} MtRun;

/* One call of a generated step.  batch[i] points to field i: real, int32_t,
 * uint8_t ... by its dtype. */
typedef void (*MtStep)(MtRun *run, const void *const *batch, int64_t rows);

/* What ends a micro-batch: the check of its values, the update after the last
 * one of several, and the moving on. */
typedef struct MtEnd {
  int64_t rows;       /* of the batch */
  int64_t loss;       /* element of outputs: stop when it or a gradient is not finite; negative: do not look */
  bool last;          /* of its update */
  bool ends;          /* no phase of the step comes behind it: the scalars move on */
  int first_group, n_groups; /* of the update: their hyper-parameters are kept */
  int n_logs;
  double *sums;       /* sums[i] += rows * outputs[logs[i]] */
  int32_t logs[MT_MAX_OUTPUTS];
} MtEnd;
typedef void (*MtUpdate)(MtRun *run, const MtEnd *end);

/* True when the next kernel may run.  Generated code asks before each. */
static inline bool mt_go(MtRun *run) { return run->budget < 0 || (run->budget > 0 && run->budget-- > 0); }
/* Around each call of a step while a profile runs; `call` is its text as far as the name goes. */
void mt_profile_begin(MtRun *run, const char *call);
void mt_profile_end(MtRun *run);
static inline void mt_before(MtRun *run, const char *call) { if (run->profile) mt_profile_begin(run, call); }
static inline void mt_after(MtRun *run) { if (run->profile) mt_profile_end(run); }
/* A call that is no launch: STEP(mt_gemm(run, ...)); */
#define STEP(call)                                                          \
  do {                                                                      \
    if (mt_go(run)) { mt_before(run, #call); call; mt_after(run); }         \
  } while (0)
/* Record the first failure of a step (printf form). */
void mt_fail(MtRun *run, const char *format, ...);

/* ---- what generated steps call ----------------------------------------- */

/* C[m,n] = op(A) op(B), row-major and contiguous.  MT_NT: B is stored [n,k];
 * MT_TN: A is stored [k,m].  real by run->real_size. */
typedef enum MtTranspose { MT_NN, MT_NT, MT_TN, MT_TT } MtTranspose;
void mt_gemm(MtRun *run, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a, const void *b, void *c);
/* The same, `batch` times: ld are the strides of rows, step those from one
 * product to the next (elements; 0 repeats an operand). */
void mt_gemm_batched(MtRun *run, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k,
                     const void *a, int64_t lda, int64_t a_step,
                     const void *b, int64_t ldb, int64_t b_step,
                     void *c, int64_t ldc, int64_t c_step);

/* Products of bf16, summed in f32; the result is bf16 or stays real.  Where real is double, so is all else. */
typedef enum MtGemmKind { MT_OF_REAL, MT_TO_BF16, MT_TO_REAL } MtGemmKind;
void mt_gemm_bf16(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t m, int64_t n, int64_t k, const void *a,
                  const void *b, void *c);
void mt_gemm_bf16_batched(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k,
                          const void *a, int64_t lda, int64_t a_step,
                          const void *b, int64_t ldb, int64_t b_step,
                          void *c, int64_t ldc, int64_t c_step);

/* Gradients [begin, begin + count) are those of another update: here they count as 0. */
void mt_zero_gradients(MtRun *run, int64_t begin, int64_t count);
/* Set scalars->stop when the loss, one of the gradients [begin, begin + count) or a new state is not finite. */
void mt_check_gradients(MtRun *run, const MtEnd *end, int64_t begin, int64_t count);
/* Scale gradients to a global norm of at most max_norm (times min(1, max_norm / (norm + 1e-6))). */
void mt_clip_gradients(MtRun *run, int64_t begin, int64_t count, double max_norm);
/* One optimizer pass over elements [begin, begin + count) of the block, with
 * hyper-parameters of row `group`; formulas beside their definitions. */
#define MT_OPTIMIZERS(OPTIMIZER)                                                                                        \
  OPTIMIZER(sgd) OPTIMIZER(adam) OPTIMIZER(adamw) OPTIMIZER(rmsprop) OPTIMIZER(adagrad) OPTIMIZER(adadelta)             \
  OPTIMIZER(adamax) OPTIMIZER(lion)
#define MT_DECLARE(name) void mt_##name(MtRun *run, int group, int64_t begin, int64_t count);
MT_OPTIMIZERS(MT_DECLARE)
#undef MT_DECLARE
/* Add the logs to their sums, keep the new states and move the scalars on to the next micro-batch. */
void mt_finish(MtRun *run, const MtEnd *end);

/* ---- what a program says of itself ------------------------------------- */

typedef enum MtType { MT_F32, MT_F64, MT_BF16, MT_I32, MT_U8, MT_BOOL } MtType;
typedef enum MtInitKind { MT_CONSTANT, MT_UNIFORM, MT_NORMAL } MtInitKind;

typedef struct MtTensor {   /* a parameter or a state */
  const char *name;         /* "net.fc1.weight" */
  int rank;
  int64_t shape[MT_MAX_RANK];
  int64_t offset;           /* elements into its block */
  MtInitKind init;
  double a, b;              /* constant a; uniform [a, b); normal mean a, deviation b */
  const char *where;        /* "nn.mt:6" */
  const char *pattern;      /* of stacked blocks: "net.b.#.weight", a leading axis for each #; in files
                             * each block stands by itself, net.b.0.weight; NULL: of none */
} MtTensor;

/* `weights net from "file" { path: "name" }`: how names of a file differ from the model's. */
typedef struct MtMapping {
  const char *path;         /* "b.#.ln": what a tensor's name begins with, relative to the instance; #: any number.
                             * NULL: `name` begins the names of tensors that the file holds and the model does not */
  const char *name;         /* "h.#.ln_1": what stands there in the file; NULL: initialized as without a file */
  bool transpose;           /* the last two axes, where there are two */
} MtMapping;
typedef struct MtWeights {
  const char *instance;     /* "net" */
  const char *path;         /* relative to the model's folder */
  int n_mappings;
  const MtMapping *mappings;
} MtWeights;

typedef struct MtField {
  const char *name;
  MtType type;
  int rank;                 /* of one row: the shape without the batch axis */
  int64_t shape[MT_MAX_RANK];
  int64_t low, high;        /* labels lie in [low, high); high 0: not a label */
  int64_t ignore;           /* one label value allowed besides; 0: none */
} MtField;

typedef enum MtDataKind { MT_CSV, MT_NPY, MT_NPZ, MT_IDX, MT_BYTES, MT_TOKENS, MT_RANDOM } MtDataKind;
typedef struct MtData {
  const char *name;         /* "train_set" */
  MtDataKind kind;
  int n_paths;
  const char *const *paths; /* relative to the model's folder */
  int n_fields;
  const MtField *fields;
  int64_t capacity;         /* rows a batch */
  bool drop;                /* leave out a short last batch */
  int64_t rows;             /* random: rows to make; files: at most so many; 0: all */
  int64_t seed;             /* random */
  int64_t stride;           /* text and tokens: from the beginning of a row to that of the next; 0: a window */
  const char *where;
} MtData;

typedef struct MtSize {     /* what a generated function needs */
  size_t arena;             /* bytes at real = float; mt_arena_bytes says how many for double */
  int64_t outputs;          /* elements of real */
} MtSize;

/* With doubles for reals four times as much, for a bf16 becomes a double too. */
static inline size_t mt_arena_bytes(MtSize size, int real_size) { return real_size == 8 ? 4 * size.arena : size.arena; }

/* A value that a kernel writes, in the order kernels run: the search for the
 * first non-finite value walks these. */
typedef enum MtPlace { MT_IN_ARENA, MT_IN_GRADS, MT_IN_STATES, MT_IN_OUTPUTS, MT_IN_ARENA_BF16 } MtPlace;
typedef enum MtForeseen {   /* infinities that are no fault, and whether the value is made of data and draws alone */
  MT_PLUS_INF = 1, MT_MINUS_INF = 2, MT_OF_DATA = 4
} MtForeseen;
typedef struct MtValue {
  int kernel;               /* the how-manyth kernel of the step writes it, from 0 */
  const char *name;         /* "net.fc1.mm" */
  const char *where;        /* "digits.mt:11" */
  MtPlace place;
  int64_t offset;           /* bytes at real = float in the arena; elements elsewhere */
  int64_t count;            /* elements at capacity */
  int64_t row_elements;     /* elements a row when the leading axis is the batch, else 0 */
  int foreseen;             /* bits of MtForeseen */
} MtValue;

typedef struct MtLog {
  const char *name;         /* "loss" */
  int64_t output;           /* its element of outputs */
} MtLog;

typedef struct MtAccumulator {
  char combine;             /* '+', '<' (min), '>' (max) */
  int64_t output, count;    /* elements of the batch function's outputs */
} MtAccumulator;

typedef struct MtEval {
  int data;
  MtStep batch;             /* writes the accumulators of one batch */
  MtSize batch_size;
  int n_accumulators;
  const MtAccumulator *accumulators;
  MtStep finish;            /* batch[i] is accumulator i as real; rows: of the whole set; writes the logs */
  MtSize finish_size;
  int n_logs;
  const MtLog *logs;
} MtEval;

typedef enum MtUnit { MT_STEPS, MT_EPOCHS } MtUnit;
typedef struct MtAction {   /* one line inside `every` */
  char kind;                /* 'e' eval, 's' save, 'h' save highest, 'l' save lowest, 't' sample a text */
  int eval;
  const char *log;          /* of 'h' and 'l': the eval log watched */
} MtAction;
typedef struct MtEvery {
  int64_t count;
  MtUnit unit;
  int n_actions;
  const MtAction *actions;
} MtEvery;

typedef struct MtGroup {    /* an update group, for --help and checkpoints */
  const char *target, *optimizer;
  int n_slots;
  const char *slots[MT_MAX_SLOTS]; /* "m", "v" */
  int64_t begin, count;     /* elements of the block */
  int64_t slots_at;         /* where the slots of `begin` lie in their blocks: elsewhere when an earlier update moves the same */
} MtGroup;

/* A parameter that reaches the loss past a stop, too, where its gradient is not the derivative. */
typedef struct MtStopped {
  const char *param, *where; /* "net.w", "digits.mt:11" */
} MtStopped;

/* A stretch of the step up to an update, which later phases see. */
typedef struct MtPhase {
  MtStep gradients;         /* forward and backward: outputs, grads */
  MtStep gradients_f64;     /* the same in double precision */
  MtUpdate update;          /* check, schedule, clipping, optimizers, logs, bookkeeping; NULL: it ends without */
  int64_t every;            /* it runs in every so-manyth step */
  int64_t loss;             /* element of outputs; negative: none */
  int64_t begin, count;     /* elements of the block that it moves */
  int first_log, n_logs;    /* of the train block's */
  int first_group, n_groups;
  int n_kernels, n_values;
  const MtValue *values;
  int n_stopped;
  const MtStopped *stopped;
} MtPhase;

/* All calls of one kernel in a step, by the compiler's model; the name is that of the function or launch, or
 * "gemm M x N x K PRECISION", "gemm BATCH of M x N x K PRECISION". */
typedef struct MtCost {
  const char *kernel;
  double calls;             /* a step; a phase of every fifth step counts a fifth */
  double bytes, operations;
  double seconds;
} MtCost;

typedef struct MtTrain {
  int data;
  bool shuffled;
  int64_t shuffle_seed;
  int64_t count;
  MtUnit unit;
  int64_t accumulate;
  bool tf32;
  int n_phases;
  const MtPhase *phases;
  MtSize size;
  int n_logs;
  const MtLog *logs;
  int n_groups;
  const MtGroup *groups;
  int n_every;
  const MtEvery *every;
  int n_costs;
  const MtCost *costs;
  const char *modelled;     /* "an NVIDIA H100": whose costs these are */
} MtTrain;

typedef struct MtPredict {
  int n_fields;
  const MtField *fields;
  int64_t capacity;
  MtStep step;              /* writes its result to outputs */
  MtSize size;
  int rank;                 /* of one row of the result */
  int64_t shape[MT_MAX_RANK];
  bool batched;             /* the result has a row for each input row */
} MtPredict;

typedef struct MtProgram {
  const char *name;         /* "digits" */
  const char *source;       /* "digits.mt" */
  const struct MtBackend *backend;
  int n_params, n_states, n_data, n_evals;
  int64_t param_count, state_count; /* elements of the blocks */
  const MtTensor *params, *states;
  const MtData *data;
  const MtTrain *train;     /* NULL when the model has no train block */
  const MtEval *evals;
  const MtPredict *predict; /* NULL: none */
  const MtPredict *sample;  /* from a window of tokens to scores of the next; NULL: predict may do the same */
  int n_weights;
  const MtWeights *weights; /* files to start from */
} MtProgram;

/* The trainer's whole life.  Returns its exit status. */
int mt_main(int argc, char **argv, const MtProgram *program);

extern const struct MtBackend mt_cpu;  /* libmtrt.a */
extern const struct MtBackend mt_cuda; /* libmtrt_cuda.a */

#ifdef __cplusplus
}
#endif

#endif
