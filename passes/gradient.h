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

/* What `mark` says of nodes while gradients are made. */
enum { OF_DERIVATIVE = 1, GIVEN = 2 /* in a loop's body: an operand that no turn changes, a weight */ };

/* Does a gradient flow from the result of `node` to its operand k? */
bool gradient_flows(const Node *node, int k);

/* gradient_attention.c */
Node *grad_attention(const Step *s);
void ask_for_lse(Graph *graph); /* beside attention, in loops too: before any gradient is made */

/* gradient.c: one walk backwards over a graph, or over the body of a loop. */
typedef struct Sweep {
  Graph *graph;
  const char *label; /* "grad.update0" */
  int n;             /* nodes before the sweep; those it makes come after */
  Arena *scratch;
  bool *wanted;  /* all by id, which is the position in the list */
  bool *reached; /* a gradient can flow from here to a wanted node */
  bool *used;    /* y depends on it, perhaps only through the steps of a derivative, where the slope is 0 */
  Node **adjoint;
} Sweep;
Sweep sweep_new(Graph *graph, const char *label, Arena *scratch); /* numbers the graph */
void sweep_reach(Sweep *s);               /* from `wanted` */
void sweep_back(Sweep *s, int from);      /* from node `from` on; some have an adjoint */
void sweep_add(Sweep *s, Node *x, Node *given, const Span *span); /* to x's adjoint */
Node *sweep_filled(const Sweep *s, const Node *x, double value);  /* the same number for all elements of x */
Builder sweep_builder(const Sweep *s, const Node *x, const Span *span);

/* gradient_loop.c */
bool *loop_reached(const Sweep *s, const Node *loop);    /* by output of its body: a gradient can flow from it to a wanted node */
void differentiate_loop(Sweep *s, Node *loop);           /* the adjoints of its results are known */

/* gradient_saves.c: of the first `n` nodes of `back`, copies of a loop's body, those that the turn saves for its
 * gradient: save[id].  The others are computed again, or are not needed. */
void choose_saves(Graph *back, int n, bool remat, int carried, bool *save, Arena *scratch);

#endif
