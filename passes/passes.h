/* passes.h - IR to IR: what the driver and the tests call. */
#ifndef MTC_PASSES_PASSES_H
#define MTC_PASSES_PASSES_H

#include "ir/ir.h"

typedef struct PassContext {
  Program *program;
  Arena *arena;          /* scratch and results: the program's */
  Diagnostics *diagnostics;
  int level;             /* -O0, 1, 2 */
  long bisect_limit;     /* rewrites still allowed; LONG_MAX: all */
  bool verify_each;
  const char *stop_after; /* run no pass after this one; "lower": none; NULL: all */
  FILE *trace;           /* --dump=rewrites: one line a rewrite, or NULL */
  bool failed;
  bool tries;            /* a copy is compiled, to see what memory it takes: nothing is said */
} PassContext;

/* Ask before each rewrite: counts it against --bisect-limit and names it in
 * the trace.  False: leave the program as it is. */
bool rewrite_allowed(PassContext *context, const char *rewrite, const Node *at);

typedef struct Pass {
  const char *name;
  void (*run)(PassContext *context);
  int level;             /* the lowest -O at which it runs */
  const char *needs;     /* passes that must have run */
  const char *breaks;    /* passes whose result it undoes */
} Pass;
extern const Pass pipeline[];
extern const int n_passes;

/* Called after each pass (dumps); changed tells whether the text differs. */
typedef void (*AfterPass)(const Pass *pass, const Program *program, void *data);

/* Run what the program has not run yet.  False when a pass reported an error. */
bool run_pipeline(PassContext *context, AfterPass after, void *data);

#endif
