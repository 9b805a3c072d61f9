/* fuse.h - what the files of the fuse pass share.
 *
 * While fuse decides, a graph is looked at as a set of groups: each MAP,
 * REDUCE, RANDOM and GATHER starts as the only member of one, each matmul
 * stands alone for ever, and leaves and views belong to none.  A member of one
 * group may also be recomputed by another (a clone there).  What a group reads
 * from memory (loads) and writes to it (stores) follows from that.
 */
#ifndef MTC_PASSES_FUSE_H
#define MTC_PASSES_FUSE_H

#include "passes/internal.h"

/* Where a reader at element i of its space finds an axis of the value it reads. */
enum { AXIS_ONE = -1 /* size 1 */, AXIS_OTHER = -2 /* not at one axis of the reader */ };

/* One path from a node, through views, to a value it reads. */
typedef struct Use {
  int base;               /* id of the value */
  bool padded;            /* through a pad or a skew: some elements are not read at all */
  int8_t axis[MAX_RANK];  /* for each axis of the value: the reader's axis, or AXIS_* */
} Use;

typedef struct Ints {
  int n, room;
  int *at;
} Ints;

typedef struct Kernel {   /* a group in the making */
  bool fixed;             /* a matmul, a scatter: never merged */
  int version;            /* counts changes, so that old candidates are recognised */
  int64_t label;          /* a producer's is less than its consumers' */
  const Type *space;
  int n_axes;             /* reduced ones; 0: a map */
  int axes[MAX_RANK];
  GroupPattern pattern;
  int phases;             /* reductions in sequence */
  int run;                /* which run of nodes computed again it has members of; 0: none */
  Ints members;           /* ids, ascending */
  Ints clones;            /* ids of other groups' members it recomputes, ascending */
  Ints loads;             /* ids of values read from memory */
  double flops, specials; /* specials: exp, log ... */
  double alone;           /* bytes its members would move, each in a kernel of its own */
} Kernel;

typedef struct Fusion {
  PassContext *context;
  Graph *graph;
  Arena *arena;           /* scratch, freed with the pass */
  int n;
  Node **node;
  int *run;               /* nodes computed again stand in runs, each before the node that needs it first; 0: of none */
  int *run_begin;         /* by run: its first id */
  bool *trivial;          /* scalars of constants: recomputed wherever they are read */
  bool *must_store;       /* outputs, operands of matmuls */
  bool *table;            /* read at indices that are data */
  bool *by_bits;          /* compared with a maximum or minimum of itself: made once, and loaded */
  Use **uses;
  int *n_uses;
  int *owner;             /* union-find over node ids: which kernel a node is a member of */
  Kernel *kernels;        /* by id of the root */
  Ints *readers;          /* ids of kernels that load a value; may be stale, see fuse_owner */
  int *stamp, *mark, *moved, *order; /* scratch by node id */
  int now;
  bool apart;             /* only what shares its reading goes side by side */
  int phases;             /* of the kernel that fuse_illegal last found legal */
} Fusion;

/* fuse.c */
int fuse_owner(Fusion *f, int id);            /* root kernel of a member, or of a merged kernel */
bool fuse_is_member(const Fusion *f, int id); /* MAP, REDUCE, RANDOM, GATHER, or a fixed kernel's node */
void ints_push(Arena *arena, Ints *list, int value);
bool ints_have(const Ints *list, int value);
Ints ints_union(Arena *arena, const Ints *a, const Ints *b); /* of ascending lists */

/* fuse_prepare.c: give every value that must be in memory a node that can be stored. */
void fuse_prepare(PassContext *context, Graph *graph);
bool fuse_is_materialized(const Node *n);     /* a leaf in memory, or one after reshapes */
const Node *fuse_alias_root(const Node *n);   /* through reshapes */

/* fuse_uses.c: who reads what, and where. */
void fuse_find_uses(Fusion *f);
bool fuse_must_load(const Fusion *f, const Node *reader, int base); /* may not compute it inside */
Ints fuse_stores(Fusion *f, int root);                       /* members that must be in memory */
bool fuse_is_known(const Node *n);
bool fuse_is_inside(const Fusion *f, const Kernel *k, int id); /* computed in k, not loaded */
int fuse_body(Fusion *f, const Kernel *k, const Ints *stores, int *order); /* ids it needs, loads included; their number */

/* fuse_legal.c: may two kernels be one? */
enum { MAX_MEMBERS = 200, MAX_OUTPUTS = 12, MAX_LOADS = 24, MAX_FULL = 8, GOOD_PHASES = 4, MAX_PHASES = 7 };
const char *fuse_illegal(Fusion *f, int a, int b);        /* NULL: legal; else why not; cycles apart */
bool fuse_makes_cycle(Fusion *f, int a, int b);
bool fuse_join_space(const Kernel *a, const Kernel *b, Kernel *joined);

/* fuse_cost.c: the model.  Seconds and bytes. */
#define FUSE_SMALL 3e-6  /* of a kernel that is mostly launch */
typedef struct Traffic {
  double read, written;
  int loads, stores;        /* values */
  int full_loads, full_stores;
} Traffic;
double fuse_node_bytes(const Fusion *f, int id);
void fuse_node_work(const Fusion *f, int id, double elements, double *flops, double *specials);
double fuse_elements(const Fusion *f, const Kernel *k, int id); /* times a node is evaluated when recomputed in k */
bool fuse_is_stored(Fusion *f, int id, int but_a, int but_b);   /* must be in memory for others than kernels a and b */
Traffic fuse_traffic(Fusion *f, int a, int b);                  /* of a and b as one kernel; b = -1: of a */
double fuse_time(const Kernel *k, const Traffic *t, double flops, double specials);
double fuse_work_time(double flops, double specials);           /* of arithmetic alone */
double fuse_gain(Fusion *f, int a, int b);                      /* seconds saved by merging */
double fuse_cost(Fusion *f, int a);                             /* seconds */

/* fuse_merge.c */
void fuse_merge_edges(Fusion *f);
void fuse_merge_siblings(Fusion *f);

/* fuse_recompute.c */
void fuse_recompute(Fusion *f);

/* fuse_form.c: write the decision into the graph. */
void fuse_form(Fusion *f);
bool fuse_is_bare(const Fusion *f, const Kernel *k); /* no group: reads its operands from memory */

/* fuse_epilogue.c: small products go into the maps behind them. */
void fuse_epilogues(PassContext *context, Graph *graph);
bool fuse_is_small_product(const Node *n);

#endif
