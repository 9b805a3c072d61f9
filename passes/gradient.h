/* gradient.h - between the reverse sweep and the rules it applies. */
#ifndef MTC_PASSES_GRADIENT_H
#define MTC_PASSES_GRADIENT_H

#include "passes/internal.h"

/* One question to a rule: given g, the adjoint of `node`, what is the adjoint
 * of its operand k?  The answer may still have the shape of the result where
 * the operand was broadcast: the sweep sums it. */
typedef struct Step {
  Builder *b;
  Node *node, *g;
  Node *x, *y; /* its first two operands */
  int k;
} Step;
typedef Node *(*GradientRule)(const Step *);

extern const GradientRule gradient_rules[OP_COUNT]; /* NULL: no gradient flows */

/* Does a gradient flow from the result of `node` to its operand k? */
bool gradient_flows(const Node *node, int k);

#endif
