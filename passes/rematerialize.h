/* rematerialize.h - between the files of the pass: what is computed again, and what that comes to. */
#ifndef MTC_PASSES_REMATERIALIZE_H
#define MTC_PASSES_REMATERIALIZE_H

#include "passes/internal.h"

/* How much of a step is computed again. */
enum { PARTS = 32 };
typedef struct Choice {
  bool apart;   /* nothing, but kernels that share no reading stay apart: what they read dies sooner */
  bool cheap;   /* maps, views, draws, reductions and gathers, where that keeps fewer bytes */
  int segments; /* and all else, products too, in segments of the forward part, about so many; 0: nothing else */
  int part;     /* of PARTS, from the beginning of the step on */
} Choice;

/* What a choice repeats, for one line of the model after the other. */
typedef struct Again {
  const Span *span;
  int values;
  int64_t bytes;  /* of values that the gradient reads and that need not be kept */
  double flops;   /* repeated in every step */
} Again;
typedef struct Repeated {
  Arena *arena;
  int n;
  Again *at;
} Repeated;

/* rematerialize_choose.c: by id, `again`: a reader of the backward part gets it computed again.  The graph is numbered;
 * forward[id]: it is needed for the losses, logs and states, and not for gradients only. */
typedef struct Forward {
  const Graph *graph;
  Arena *arena;
  bool *forward, *needed;  /* needed: the backward part reads it, perhaps through views */
  bool *copied;            /* a view, of which fuse makes copies for readers of both parts */
  bool *again;
} Forward;
void forward_find(Forward *f, const Graph *graph, Arena *arena);
void forward_choose(Forward *f, const Choice *choice);
int64_t forward_bytes(const Forward *f, int id); /* what keeping a value takes */
bool forward_is_leaf(const Node *node);          /* made of nothing, so there at any time */

/* rematerialize_again.c: a graph as the choice has it. */
void compute_again(PassContext *context, Graph *graph, const Choice *choice, Repeated *out);

double node_flops(const Node *node);                      /* operations, but for loops */
const char *work_text(Arena *arena, double flops);        /* rematerialize.c: "1.2 million operations" */

/* rematerialize_trial.c: what a program comes to when the passes are through with it, tried on a copy. */
typedef struct Trial {
  int64_t fixed;   /* bytes of all but the arena */
  int64_t train;   /* of the arena: what the training step needs of it */
  int64_t others;  /* what evaluation and samples need */
  Memory memory;
  Program *program; /* in the trial's arena */
  bool failed;
} Trial;
/* `change` is made to the copy first.  Without `others` only the training step is compiled. */
typedef void (*Change)(PassContext *context, void *data);
Trial trial_run(PassContext *context, Arena *arena, bool others, const char *done, Change change, void *data);
int64_t trial_total(const Trial *trial);

#endif
