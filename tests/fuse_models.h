/* fuse_models.h - small graphs that the fuse, schedule and plan suites share. */
#ifndef MTC_TESTS_FUSE_MODELS_H
#define MTC_TESTS_FUSE_MODELS_H

#include "ir/ir.h"
#include "passes/internal.h"

Program *model_new(Arena *arena);      /* an empty train graph */
PassContext model_context(Program *program, Diagnostics *d, int level);
Node *model_input(Graph *g, const char *name, DType dtype, int rank, const int64_t *size);
Node *model_batch(Graph *g, const char *name, DType dtype, int rank, const int64_t *size); /* size[0] is the capacity */
Node *model_param(Graph *g, const char *path, int rank, const int64_t *size);
Node *model_softmax(Builder *b, Node *x);                      /* over the last axis */
Node *model_layernorm(Builder *b, Node *x, Node *weight, Node *bias);
Node *model_mlp(Graph *g, int layers, int64_t batch, int64_t width); /* x through `layers` of matmul, bias, relu */
int model_count(const Graph *g, Op op);

/* Every leaf bound to reproducible values; outputs in order. */
typedef struct ModelValues { int n; Tensor *at; } ModelValues;
ModelValues model_evaluate(const Graph *g, uint64_t seed, int64_t rows);
void model_free(ModelValues *values);
/* Same outputs within 1e-12 (relative to 1), NaN where NaN; else what differs. */
const char *model_differs(const ModelValues *a, const ModelValues *b, char *room, size_t size);

/* A random graph of maps, views, broadcasts, reductions, matmuls, gathers and draws; axes of 1 to 5 times `scale`. */
Program *model_random(Arena *arena, uint64_t seed, int64_t scale);
void model_add_gradients(Program *program); /* as `grad` nodes; pass_gradient makes them ordinary ones */

#endif
