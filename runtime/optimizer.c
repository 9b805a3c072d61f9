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
  double keep, l2, beta1, new1, beta2, new2, eps;   /* adam, adamw; rmsprop's alpha and adadelta's rho are beta2 */
  double step_size, root;
  bool centered;                                    /* rmsprop */
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

/* hyper: lr, alpha, eps, momentum, decay, centered. */
static Rule rmsprop_rule(const MtScalars *s, const double *h) {
  return (Rule){.scale = s->grad_scale, .lr = h[0], .beta2 = h[1], .new2 = 1 - h[1], .eps = h[2], .momentum = h[3],
                .l2 = h[4], .centered = h[5] != 0};
}

/* hyper: lr, lr_decay, decay, eps. */
static Rule adagrad_rule(const MtScalars *s, const double *h) {
  return (Rule){.scale = s->grad_scale, .lr = h[0] / (1 + (double)s->done * h[1]), .l2 = h[2], .eps = h[3]};
}

/* hyper: lr, rho, eps, decay. */
static Rule adadelta_rule(const MtScalars *s, const double *h) {
  return (Rule){.scale = s->grad_scale, .lr = h[0], .beta2 = h[1], .new2 = 1 - h[1], .eps = h[2], .l2 = h[3]};
}

/* hyper: lr, beta1, beta2, decay. */
static Rule lion_rule(const MtScalars *s, const double *h) {
  return (Rule){.scale = s->grad_scale, .lr = h[0], .beta1 = h[1], .new1 = 1 - h[1], .beta2 = h[2], .new2 = 1 - h[2],
                .keep = 1 - h[0] * h[3]};
}

static Rule rule_of(MtOptimizerKind kind, const MtScalars *s, const double *h) {
  switch (kind) {
  case MT_IS_sgd: return sgd_rule(s, h);
  case MT_IS_adamw: return adam_rule(s, h, true);
  case MT_IS_rmsprop: return rmsprop_rule(s, h);
  case MT_IS_adagrad: return adagrad_rule(s, h);
  case MT_IS_adadelta: return adadelta_rule(s, h);
  case MT_IS_lion: return lion_rule(s, h);
  default: return adam_rule(s, h, false); /* and adamax */
  }
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
  if (pass->run->real_size == 8) apply_f64(pass->run, pass->kind, &pass->rule, pass->begin + from, count);
  else apply_f32(pass->run, pass->kind, &pass->rule, pass->begin + from, count);
}

void mt_cpu_optimize(MtRun *run, MtOptimizerKind kind, int group, int64_t begin, int64_t count) {
  const MtScalars *s = run->scalars;
  if (s->stop) return;
  Pass pass = {run, kind, begin, rule_of(kind, s, s->hyper[group])};
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
