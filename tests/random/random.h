/* random.h - random programs, the same wherever they run, and smaller ones
 * that still fail.
 *
 * A graph is made op by op from a seed: shapes of ranks 0 to 5, sizes 0, 1,
 * odd and prime, a batch with rows missing, values used many times, gradients
 * of gradients, special values.  Whoever finds that two ways of running one
 * disagree hands it to random_reduce, which takes away what the disagreement
 * does not need.
 */
#ifndef MTC_TESTS_RANDOM_H
#define MTC_TESTS_RANDOM_H

#include "tests/graph_kit.h"

/* ---- graph.c ---- */
Kit *random_graph(uint64_t seed);
bool random_graph_makes(Op op); /* it is one of the ops that random graphs are made of */

/* ---- copy.c: graphs that differ by one edit ---- */
typedef enum EditKind { EDIT_NOTHING, EDIT_DROP_OUTPUT, EDIT_TAKE_OPERAND, EDIT_MAKE_LEAF, EDIT_RESIZE } EditKind;
typedef struct Edit {
  EditKind kind;
  int at;           /* output or node */
  int operand;      /* take: which, of the node's type */
  int64_t from, to; /* resize: every axis of that size */
} Edit;
/* Before any pass has run.  NULL: the edit gives no program. */
Kit *random_copy(const Kit *kit, Edit edit);

/* ---- compare.c ---- */
/* What a kit's graph means; `options` NULL: seed 7, all else zero.  Leaves are moved by `noise` times their value. */
Values random_values(Kit *kit, const EvaluateOptions *options, double noise);
/* The outputs of `got` are those of `want`, as series_differ (compare.h) has it. */
const char *random_differs(const Kit *kit, const Values *want, const Values *got, double relative,
                           const Values *shaken, double margin, double least);

/* ---- check.c: one program, many ways to run it; NULL, or what differs ---- */
const char *random_check_passes(const Kit *kit, uint64_t seed); /* the evaluator after any passes */
/* C with real = double and float, `n` programs in one library; *failed is the one that differs. */
const char *random_check_c(Kit *const *kits, int n, uint64_t seed, int *failed);
/* The same of emulated CUDA, under four schedules that must agree bit for bit. */
const char *random_check_emulated(Kit *const *kits, int n, uint64_t seed, int *failed);

/* ---- reduce.c ---- */
typedef const char *(*RandomCheck)(const Kit *kit, uint64_t seed);
/* Runs the check in a process of its own, so that a crash is an answer too.  malloc'd, or NULL. */
char *random_apart(RandomCheck check, const Kit *kit, uint64_t seed);
/* The smallest graph found for which the check still answers; takes over `kit`. */
Kit *random_reduce(Kit *kit, RandomCheck check, uint64_t seed);

/* ---- text.c ---- */
/* IR, with the rows there are and the leaves' values as comments; malloc'd. */
char *random_text(const Kit *kit);
Kit *random_read(const Source *source); /* NULL when it does not parse */

#endif
