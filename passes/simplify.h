/* simplify.h - between the driver of simplify and its rewrites. */
#ifndef MTC_PASSES_SIMPLIFY_H
#define MTC_PASSES_SIMPLIFY_H

#include "passes/internal.h"

/* A graph is rebuilt node by node, operands first.  A rewrite sees each node
 * before it is made: a candidate whose operands are in the new graph already.
 * It returns what to put in the candidate's place, or NULL. */
typedef struct Rewriter {
  PassContext *context;
  Graph *graph;        /* the new one */
  const char *rewrite; /* the one that is being tried */
  long done;           /* rewrites made in this round */
} Rewriter;

typedef Node *(*Rewrite)(Rewriter *r, const Node *n);
enum { ANY_MAP = OP_COUNT, ANY_REDUCE };
typedef struct RewriteRow {
  const char *name;
  int op; /* which candidates: an Op, ANY_MAP or ANY_REDUCE */
  Rewrite apply;
} RewriteRow;

/* Tables that end with a NULL name; tried in order, the first that applies wins. */
extern const RewriteRow map_rewrites[];           /* simplify_maps.c */
extern const RewriteRow view_rewrites[];          /* simplify_views.c: views, reductions, matmul */
Node *fold_constants(Rewriter *r, const Node *n); /* fold.c */

/* simplify.c: ask first, then build. */
bool rewrite_ask(Rewriter *r, const Node *n);
Node *rewrite_to(Rewriter *r, const Node *n, Op op, Node *const *in, int n_in,
                 const Attrs *attrs); /* takes over n's name */
Node *rewrite_part(Rewriter *r, const Node *n, const char *role, Op op, Node *const *in, int n_in, const Attrs *attrs);
Node *rewrite_const(Rewriter *r, const Node *n, DType dtype, double value);
Node *rewrite_broadcast(Rewriter *r, const Node *n, Node *x); /* x as n's shape; x itself when it has it */
bool rewrite_fits(const Node *n, const Node *x);              /* same dtype and shape */
bool rewrite_single_use(const Node *x);
bool infer_candidate(const Node *n, Node *const *in, Type *out); /* n's op on other operands */

#endif
