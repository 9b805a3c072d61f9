/* optimizer.c - optimizers on the CPU: one pass over a range of the parameter block.
 *
 * The formulas are torch.optim's.  Constants that depend on the step are
 * worked out in double once a call; the pass over the elements is in real.
 * Elements are independent of each other, so threads change no bits.
 */
#include "runtime/mtrt_math.h"

#include "runtime/cpu.h"

/* Constants of one update, before they are narrowed to real. */
typedef struct Rule {
  double scale;                                     /* of the gradient: clipping */
  double lr, momentum, undamped, decay;             /* sgd */
  bool nesterov, first;
  double keep, l2, beta1, new1, beta2, new2, eps;   /* adam, adamw */
  double step_size, root;
} Rule;

/* hyper: lr, momentum, dampening, decay, nesterov. */
static Rule sgd_rule(const MtScalars *s, const double *h) {
  return (Rule){.scale = s->grad_scale,
                .lr = h[0],
                .momentum = h[1],
                .undamped = 1 - h[2],
                .decay = h[3],
                .nesterov = h[4] != 0,
                .first = s->done == 0};
}

/* hyper: lr, beta1, beta2, eps, decay.  Adam adds decay to the gradient, AdamW shrinks the parameter. */
static Rule adam_rule(const MtScalars *s, const double *h, bool decoupled) {
  double t = (double)s->done + 1;
  return (Rule){.scale = s->grad_scale, .beta1 = h[1], .new1 = 1 - h[1], .beta2 = h[2], .new2 = 1 - h[2], .eps = h[3],
                .keep = decoupled ? 1 - h[0] * h[4] : 1, .l2 = decoupled ? 0 : h[4],
                .step_size = h[0] / (1 - pow(h[1], t)), .root = sqrt(1 - pow(h[2], t))};
}

#define REAL float
#define NAME(x) x##_f32
#include "runtime/optimizer_loops.h"
#define REAL double
#define NAME(x) x##_f64
#include "runtime/optimizer_loops.h"

typedef struct Pass {
  const MtRun *run;
  MtOptimizerKind kind;
  int64_t begin;
  Rule rule;
} Pass;

static void pass_piece(void *data, int64_t from, int64_t count) {
  const Pass *pass = data;
  const MtRun *run = pass->run;
  int64_t at = pass->begin + from;
  if (run->real_size == 8) {
    double *p = (double *)run->params + at, *g = (double *)run->grads + at, *a = (double *)run->slots[0] + at;
    if (pass->kind == MT_SGD) sgd_f64(&pass->rule, p, g, a, count);
    else adam_f64(&pass->rule, p, g, a, (double *)run->slots[1] + at, count);
  } else {
    float *p = (float *)run->params + at, *g = (float *)run->grads + at, *a = (float *)run->slots[0] + at;
    if (pass->kind == MT_SGD) sgd_f32(&pass->rule, p, g, a, count);
    else adam_f32(&pass->rule, p, g, a, (float *)run->slots[1] + at, count);
  }
}

void mt_cpu_optimize(MtRun *run, MtOptimizerKind kind, int group, int64_t begin, int64_t count) {
  const MtScalars *s = run->scalars;
  if (s->stop) return;
  Pass pass = {run, kind, begin,
               kind == MT_SGD ? sgd_rule(s, s->hyper[group]) : adam_rule(s, s->hyper[group], kind == MT_ADAMW)};
  mt_in_pieces(count, MT_PIECE, count >= MT_THREADED, pass_piece, &pass);
}

/* ---- clipping --------------------------------------------------------------- */

/* The sum of squares is taken in SHARES shares, each by one thread, and the
 * shares are added in order: the same bits for every number of threads. */
enum { SHARES = 64 };

typedef struct Squares {
  const MtRun *run;
  int64_t begin, count;
  double share[SHARES];
} Squares;

static void add_squares(void *data, int64_t from, int64_t count) {
  Squares *sum = data;
  for (int64_t i = from; i < from + count; i++) {
    int64_t from_begin = sum->count * i / SHARES, n = sum->count * (i + 1) / SHARES - from_begin, first = sum->begin + from_begin;
    sum->share[i] = sum->run->real_size == 8 ? squares_f64((const double *)sum->run->grads + first, n)
                                             : squares_f32((const float *)sum->run->grads + first, n);
  }
}

void mt_cpu_clip(MtRun *run, int64_t begin, int64_t count, double max_norm) {
  MtScalars *s = run->scalars;
  if (s->stop) return;
  Squares squares = {.run = run, .begin = begin, .count = count};
  double sum = 0;
  mt_in_pieces(SHARES, 1, count >= MT_THREADED, add_squares, &squares);
  for (int i = 0; i < SHARES; i++) sum += squares.share[i];
  double scale = max_norm / (sqrt(sum) * s->grad_scale + 1e-6);
  if (!(scale >= 1)) s->grad_scale *= scale; /* NaN too: a NaN norm gives NaN gradients */
}
