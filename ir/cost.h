/* cost.h - how long a kernel takes, by a model: what fuse chooses by, what `mtc --cost` and a trainer's profile say.
 *
 * A call takes as long as the slowest of what it must do: move its bytes, do
 * its arithmetic, or evaluate its exps and logs; plus what starting it costs.
 */
#ifndef MTC_IR_COST_H
#define MTC_IR_COST_H

#include "ir/ir.h"

/* What a device does in a second. */
typedef struct Rates {
  const char *device;
  double bandwidth;         /* bytes */
  double one_block;         /* what one block can move by itself; 0: all there is */
  double cache, cached;     /* calls that move up to so many bytes move them at that rate; 0: none do */
  double flops;             /* single-precision arithmetic */
  double specials;          /* exp, log, division ... */
  double launch;            /* seconds a call */
  double product[PRECISION_BF16 + 1], attention[PRECISION_BF16 + 1]; /* operations of matrix products, by precision */
} Rates;
extern const Rates gpu_rates, cpu_rates;

/* In slots of the arithmetic units, of which a fused multiply-add fills two
 * and so does any lone operation. */
typedef struct Work { double flops, specials; } Work;
Work op_work(const Node *n); /* of one element */
double work_time(const Rates *r, double flops, double specials);

/* What groups may look like while fuse still makes them. */
typedef struct Walk {
  const Type *space;
  GroupPattern pattern;
  int n_axes;               /* reduced ones */
  const int *axes;
} Walk;
double walk_elements(const Walk *w, const Type *type); /* how often a value of that type is computed */
double walk_time(const Rates *r, const Walk *w, double read, double written, double flops, double specials); /* launch included */

typedef enum Bound { BY_LAUNCHES, BY_MEMORY, BY_OPERATIONS } Bound; /* what takes most of the time */
typedef struct Cost {
  double read, written;     /* bytes */
  double flops, specials;   /* flops: of products, 2 m n k; else as in Work */
  double seconds;
  Bound bound;
} Cost;
/* One call of a GROUP, MATMUL, ATTENTION or SCATTER of a planned graph. */
Cost node_cost(const Rates *r, const Node *node, Precision precision);
Cost plain_cost(const Rates *r, double read, double written, double flops); /* of a pass over memory */
Precision node_precision(const Node *product, Precision asked); /* what a matmul or attention multiplies in */
const char *precision_name(Precision p); /* "tf32" */

#endif
