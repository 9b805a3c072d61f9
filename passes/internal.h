/* internal.h - the passes that pipeline.c lists, one function each. */
#ifndef MTC_PASSES_INTERNAL_H
#define MTC_PASSES_INTERNAL_H

#include "passes/passes.h"

void pass_attention(PassContext *context); /* attention.c: softmax(q k') v as one op */
void pass_precision(PassContext *context); /* precision.c: bf16 where the train block asks for it */
void pass_gradient(PassContext *context); /* gradient.c: grad(y, x) and the gradients of updates, as ordinary nodes */
void cut_phases(PassContext *context);    /* phases.c: the training step at its sequence points; of pass_gradient */
void note_stopped(Program *program);     /* stopped.c: parameters that reach a loss past a stop, of pass_gradient */
void order_update_groups(PassContext *context); /* update_groups.c: groups that can be stretches of one block; of pass_gradient */
void pass_simplify(PassContext *context); /* simplify.c: cheaper ways to the same values */
void pass_narrow(PassContext *context);   /* precision.c: gradients of biases from bf16 */
void pass_hoist(PassContext *context);     /* hoist.c: sums over the turns of a loop, made behind it */
void pass_rematerialize(PassContext *context); /* rematerialize.c: values computed again, to meet a budget of memory */
void mark_loops(PassContext *context);    /* rematerialize_loops.c: loops computed again, for the same; of pass_gradient */
void pass_split(PassContext *context);    /* split.c: large reductions in two steps */
void pass_fuse(PassContext *context);     /* fuse.c: groups that become one kernel each */
void pass_schedule(PassContext *context); /* schedule.c: the order of nodes */
void pass_plan(PassContext *context);     /* plan.c: a place in memory for every stored value */

/* fuse_uses.c: does every use of operand `index` read it at the very element the group is at? */
bool fuse_reads_at_the_point(const Node *group, int index, Arena *arena);

#endif
