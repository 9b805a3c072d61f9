/* verify.h - what the three files of the verifier share.  Internal to ir/. */
#ifndef MTC_IR_VERIFY_H
#define MTC_IR_VERIFY_H

#include "ir/ir.h"
#include "ir/map.h"

typedef struct Verifier {
  const Program *program;
  Arena *arena;
  Map *names, *position;  /* of the graph at hand: nodes by name, and where they stand */
  Map *params, *states;   /* by path: indices into the program */
  Broken *broken;         /* where the rule that is told of is broken; may be NULL */
} Verifier;

/* "train: %net.fc1.mm: ..."; graph and node may be NULL. */
const char *verify_wrong(const Verifier *v, const Graph *graph, const Node *node, const char *format, ...) PRINTF_LIKE(4, 5);

const char *verify_group(Verifier *v, const Graph *graph, const Node *group); /* verify_group.c: GroupPattern's rules */
bool verify_reads_in_place(Verifier *v, const Node *group, int operand);      /* only at the point that is written */
const char *verify_loop(Verifier *v, const Graph *graph, const Node *loop);   /* verify_loop.c: what LOOP promises */
const char *verify_params(Verifier *v);                                       /* verify_plan.c: the parameter block */
const char *verify_plan(Verifier *v, const Graph *graph);                     /* verify_plan.c: buffers that overlap while alive */

#endif
