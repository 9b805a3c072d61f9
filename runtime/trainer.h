/* trainer.h - the parts of a trainer: options, the session, its commands.
 *
 * Read main.c first.  A session is one run of one command: the device, the
 * model's blocks in its memory, the data sets the command needs.  Commands
 * use the device through backend.h only, so the same code drives the CPU and
 * a GPU.  Failures are values: functions return false and the reason stands
 * in session->error or, from the device, in session->run.error.
 */
#ifndef MTRT_TRAINER_H
#define MTRT_TRAINER_H

#include <stdio.h>

#include "runtime/backend.h"
#include "runtime/storage.h"

#define MT_VERSION "0.1"

/* ---- options.c: the command line ---- */
typedef enum MtCommand {
  MT_COMMAND_TRAIN,
  MT_COMMAND_EVAL,
  MT_COMMAND_PREDICT,
  MT_COMMAND_SAMPLE,
  MT_COMMAND_GRADCHECK,
  MT_COMMAND_BENCH,
  MT_N_COMMANDS
} MtCommand;
typedef struct MtOptions {
  MtCommand command;
  int64_t epochs, steps, stop_after, log_every; /* 0: not given */
  double lr;                                    /* 0: not given */
  int64_t length, top_k;                        /* sample; 0: not given */
  double temperature;
  bool temperature_given;
  const char *prompt;
  uint64_t seed;
  bool seed_given, resume, no_shuffle, keep_going, tune, serve, profile, quiet, json;
  const char *save_dir, *data_dir, *dump_grads, *output;
  const char *init[MT_MAX_GROUPS], *export[MT_MAX_GROUPS]; /* FILE or INSTANCE=FILE */
  int n_init, n_export, n_inputs;
  char **inputs;                                /* predict: files */
  int argc;
  char **argv;                                  /* as given: how to resume */
} MtOptions;
/* Fills *out.  Returns -1 to go on, else the exit status (after --help, or a message). */
int mt_parse_options(MtOptions *out, int argc, char **argv, const MtProgram *program);

/* ---- session.c: device, blocks, data ---- */
enum { MT_MAX_ROOTS = 256, MT_PATH = 3072 };

typedef struct MtTable {      /* a data set in device memory */
  const MtData *data;
  int64_t rows, capacity;     /* rows a pass visits; rows a batch */
  int n_fields;
  void **fields, **batch;     /* whole columns; the rows of one batch */
  size_t *row_bytes;
  int32_t *order;             /* rows in the order they are visited */
} MtTable;

typedef struct MtSession {
  const MtProgram *program;
  const MtOptions *options;
  MtRun run;
  MtError error;
  bool error_is_located;      /* the message begins with FILE:LINE */
  MtScalars scalars;          /* host copy of *run.scalars, as last written or read */
  char save_dir[2048];
  MtTable *tables;            /* of program->data; rows 0: not loaded */
  MtTable train;              /* its own order over the training set */
  int32_t *identity, *host_order;
  MtBlocks host;              /* copies of the blocks on their way to and from files */
  void *micro_grads;          /* gradients of one micro-batch; run.grads sums them */
  double *sums;               /* weighted sums of what is logged */
  double *eval_sums;
  void *eval_values;
  int64_t (*keys)[5];         /* what has been played: its index + 1 is the key */
  int n_keys;
  struct MtSampler *sampler;  /* once it was asked for */
  int n_roots;                /* instances: first parts of parameter names */
  char roots[MT_MAX_ROOTS][128];
} MtSession;

typedef enum MtNeeds { MT_NEED_TRAIN = 1, MT_NEED_EVALS = 2, MT_NEED_PREDICT = 4, MT_NEED_UPDATES = 8, MT_NEED_SAMPLE = 16 } MtNeeds;
bool mt_session_open(MtSession *s, const MtProgram *program, const MtOptions *options, int needs, int real_size);
void mt_session_close(MtSession *s);
void mt_data_folder(const MtSession *s, char out[2048]); /* which paths of the model start from */
/* Device memory under a name that a message can use. */
bool mt_session_alloc(MtSession *s, void **out, size_t bytes, const char *what);
bool mt_push_scalars(MtSession *s);
bool mt_pull_scalars(MtSession *s);
/* The key under which the device keeps what is recorded for these numbers. */
int64_t mt_session_key(MtSession *s, int64_t what, int64_t a, int64_t b, int64_t c, int64_t d);
enum { MT_KEY_STEP, MT_KEY_STEPS, MT_KEY_BENCH, MT_KEY_EVAL, MT_KEY_FINISH, MT_KEY_PREDICT, MT_KEY_SAMPLE };
/* Set the order of the training rows for an epoch, and the place in it. */
bool mt_begin_epoch(MtSession *s, int64_t epoch, int64_t row);
void mt_fetch(MtRun *run, const MtTable *table, int64_t rows);
static inline int64_t mt_least(int64_t a, int64_t b) { return a < b ? a : b; }

/* ---- weights.c: blocks from and to files ---- */
bool mt_init_blocks(MtSession *s);
int64_t mt_slot_count(const MtProgram *program); /* elements of a block of optimizer slots */
int64_t mt_parameters(const MtProgram *program); /* the block may be longer: it is padded */
bool mt_push_blocks(MtSession *s, bool slots);
bool mt_pull_blocks(MtSession *s, bool slots);
bool mt_take_init(MtSession *s);      /* --init */
bool mt_take_weights(MtSession *s);   /* `weights NET from FILE`, where --init gives none */
bool mt_give_export(MtSession *s, FILE *say); /* --export */
/* SAVE_DIR/INSTANCE.best.safetensors (tag "best") or INSTANCE.safetensors (tag ""). */
bool mt_save_instances(MtSession *s, const char *tag);
/* What eval and predict use: --init, else the best weights, else the last checkpoint. */
bool mt_load_trained(MtSession *s, char source[MT_PATH]);
bool mt_make_folder(MtSession *s, const char *folder);
bool mt_can_write(MtSession *s, const char *path);

/* ---- step.c: one micro-batch ---- */
typedef struct MtStepPlan {
  int64_t rows, group_rows;   /* of the micro-batch; of all that share this update */
  bool first, last;           /* of them */
  uint64_t phases;            /* bit i: phase i runs */
} MtStepPlan;
bool mt_play_step(MtSession *s, MtStepPlan plan);
/* Updates of `rows` rows each, in a row; equal to as many single steps, bit for bit. */
enum { MT_STEPS_A_PLAY = 8, MT_SMALL_MODEL = 1 << 20 };
bool mt_play_steps(MtSession *s, int64_t rows, int64_t count);
uint64_t mt_phases_at(const MtTrain *train, int64_t step); /* those that run in the step after `step` others */
/* phases[phase].update, with the slots of its own optimizers. */
void mt_update_phase(MtRun *run, int phase, const MtEnd *end);
MtEnd mt_end_of(const MtTrain *train, int phase, int64_t rows, double *sums);
/* Where the weighted sum of a log stands, and that of the first loss: n_logs + 1 sums in all. */
int mt_log_sum(const MtTrain *train, int log);
int mt_loss_sum(const MtTrain *train);
int mt_phase_of_log(const MtTrain *train, int log);

/* ---- the commands: exit statuses ---- */
int mt_train(MtSession *s);           /* trainer.c */
int mt_eval_command(MtSession *s);    /* evaluation.c */
int mt_predict_command(MtSession *s); /* predict.c */
int mt_sample_command(MtSession *s);  /* sample.c */
int mt_gradcheck(MtSession *s);       /* gradcheck.c */
int mt_bench(MtSession *s);           /* bench.c */
void mt_bench_phase(MtRun *run, MtSession *s, int phase, bool ends); /* gradients and update */
bool mt_profile(MtSession *s);        /* profile.c: bench --profile, once warm */

enum { MT_SHOWN_TOKENS = 200 }; /* of a text that training shows */
typedef struct MtSampling {
  const char *prompt;                 /* NULL: a line end */
  int64_t length;                     /* tokens to draw */
  double temperature;                 /* scores are divided by it; 0: always the highest */
  int64_t top_k;                      /* draw from so many of the highest; 0: from all */
  uint64_t seed;
} MtSampling;
/* What gives the scores: the program's `sample`, or a `predict` from one window of tokens; NULL: neither. */
const MtPredict *mt_scores(const MtProgram *program);
/* Allocates what sampling of `most` tokens, prompt included, takes on the device and here. */
bool mt_sampler_open(MtSession *s, int64_t most);
void mt_sampler_close(MtSession *s);
/* For `sample` in the script: prints what the model writes now from the first token of its data on. */
bool mt_show_sample(MtSession *s, int64_t step);

bool mt_evaluate(MtSession *s, int eval, double *logs);           /* evaluation.c */
bool mt_dump_gradients(MtSession *s);                             /* gradcheck.c */
/* Always false: s->error names the first value that is not finite. */
bool mt_explain_nonfinite(MtSession *s, int64_t rows);            /* finite.c */
bool mt_scale_rate(MtSession *s);                                 /* rate.c: --lr */

/* ---- console.c: lines, bar, metrics.csv ---- */
typedef struct MtConsole MtConsole;
typedef struct MtMoment {             /* where a run is */
  int64_t step, total, epoch, epochs; /* epochs 0: training goes by steps */
  bool ends_epoch;
} MtMoment;
MtConsole *mt_console_open(MtSession *s, int64_t step); /* step: updates done, when resumed */
void mt_console_close(MtConsole *c);
int mt_eval_column(const MtProgram *program, int eval, int log); /* training's logs come first */
void mt_console_set(MtConsole *c, int column, double value);
void mt_console_note(MtConsole *c, const char *text); /* stands behind the next line */
bool mt_console_line(MtConsole *c, const MtMoment *at);
bool mt_console_wants_bar(MtConsole *c);              /* there is a bar, and it is time to draw again */
void mt_console_bar(MtConsole *c, const MtMoment *at, double loss);
void mt_console_clear(MtConsole *c);
double mt_now(void);
char *mt_grouped(char out[32], int64_t n);            /* 38440 as 38,440 */
void mt_json_number(FILE *out, double value);
void mt_json_text(FILE *out, const char *text);

#endif
