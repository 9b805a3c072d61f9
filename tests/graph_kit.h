/* graph_kit.h - small programs built by hand, their values, and finite
 * differences of them.  For tests of passes. */
#ifndef MTC_TESTS_GRAPH_KIT_H
#define MTC_TESTS_GRAPH_KIT_H

#include "ir/ir.h"
#include "passes/passes.h"

typedef struct Leaf {
  const char *path;
  Node *node;
  int64_t count;
  double *data;
} Leaf;

typedef struct Kit {
  Arena *arena;
  Diagnostics *diagnostics;
  Program *program;
  Graph *graph; /* train */
  Builder b;
  uint64_t seed;  /* of kit_random */
  Symbol *rows;   /* the batch, once kit_batch was asked for one */
  int64_t n_rows; /* rows there are */
  int n_leaves;
  Leaf *leaves;
} Kit;

Kit *kit_new(uint64_t seed);
void kit_free(Kit *kit);
uint64_t kit_random(Kit *kit, uint64_t below);

Type kit_type(DType dtype, int rank, const int64_t *size);
Node *kit_param(Kit *kit, const char *path, Type type); /* data filled by kit_fill or by hand */
Node *kit_state(Kit *kit, const char *path, Type type);
Node *kit_batch(Kit *kit, const char *field, DType dtype, int64_t capacity, int64_t rows, int rank,
                const int64_t *size); /* [capacity, size...] */
double *kit_data(Kit *kit, const Node *leaf);
Node *kit_grad(Kit *kit, Node *y, Node *x, const char *name);
Node *kit_sum(Kit *kit, Node *x); /* over all axes */
Node *kit_op(Kit *kit, Op op, int n, Node *const *in, Attrs attrs);
void kit_mlp(Kit *kit, int layers, int64_t rows); /* a classifier on a batch, with its update */
void kit_minimize(Kit *kit, Node *loss);          /* an update of all parameters */

/* Passes up to and with `stop`, verified after each; trace may be NULL. */
bool kit_run(Kit *kit, int level, const char *stop, long bisect_limit, FILE *trace);

bool kit_printed(const Kit *kit, const char *text); /* is it in a message? */

typedef struct Values {
  int n;
  Tensor *at; /* as the graph's outputs */
} Values;
Values kit_evaluate(Kit *kit);
void values_free(Values *values);
bool values_equal(const Values *a, const Values *b);               /* bit for bit, but any NaN equals any */
int kit_output(const Kit *kit, OutputRole role, const char *name); /* its position; -1: none */

/* Is output `gradient` the derivative of output `scalar` by the leaf?  Fourth
 * order differences in double; NULL, or what differs, in the arena. */
const char *kit_check_derivative(Kit *kit, int scalar, int gradient, const char *path);
/* All OUT_GRAD of update 0 against OUT_LOSS. */
const char *kit_check_update(Kit *kit);

#endif
