/* ir_models.h - programs built by hand for the tests of ir/. */
#ifndef MTC_TESTS_IR_MODELS_H
#define MTC_TESTS_IR_MODELS_H

#include "ir/ir.h"

/* A multilayer perceptron with everything a Program can hold: data of two
 * fields, parameters in a planned block, a state, an eval in two graphs, a
 * schedule, an update of two groups, a script, a predict entry, odd names,
 * callers, aliases, a group with its body and its reason. */
Program *ir_model(Arena *arena);

/* A program whose train graph has one node of `op`, with operands that fit, as
 * output "sample"; for `group` the output is its result. */
Program *ir_model_of_op(Arena *arena, Op op);

/* Pieces of them. */
Program *ir_model_empty(Arena *arena);                  /* B<=4, P=6, H=3, K=2, data, a train without nodes */
const Symbol *ir_symbol(const Program *program, const char *name);
Type ir_type(const Program *program, DType dtype, const char *dims); /* "B P" ; digits are literals */
Node *ir_leaf(Graph *graph, Op op, const char *path, Type type);
Node *ir_group(Graph *graph, GroupPattern pattern, const Type *space, int n_in, Node *const *in, const char *name);
Node *ir_group_input(Node *group, int index);
Node *ir_group_result(Graph *graph, Node *group, int index);

#endif
