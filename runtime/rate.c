/* rate.c - `--lr X`: what the factor on all learning rates must be.
 *
 * X names the highest learning rate of the first update group over the run,
 * which is the number people write: the 1e-2 of cosine(1e-2, warmup: 50).  The
 * schedule is compiled into the program's update, so it is asked: with `stop`
 * set an update fills in its hyper-parameters and changes nothing.
 */
#include <math.h>

#include "runtime/trainer.h"

static void record_update(MtRun *run, void *data) {
  (void)data;
  const MtTrain *train = run->program->train;
  int first = 0;
  while (!train->phases[first].update) first++;
  MtEnd end = mt_end_of(train, first, 0, NULL);
  end.loss = -1, end.ends = true;
  mt_update_phase(run, first, &end);
}

/* The first group's learning rate at `step`; NaN after a failure. */
static double rate_at(MtSession *s, const MtScalars *base, int64_t step) {
  s->scalars = *base;
  s->scalars.step = step;
  s->scalars.stop = 1;
  bool ok = mt_push_scalars(s) && s->run.backend->play(&s->run, 0, record_update, NULL) && mt_pull_scalars(s);
  return ok ? s->scalars.hyper[0][0] : NAN;
}

enum { PROBES = 64 };

/* The highest of a grid of steps, then of a finer one around it, down to single steps. */
static double highest_rate(MtSession *s, const MtScalars *base) {
  double best = -INFINITY;
  int64_t first = 0, last = base->total > 0 ? base->total - 1 : 0;
  for (;;) {
    int64_t stride = (last - first) / PROBES + 1, at = first;
    for (int64_t step = first; step <= last; step += stride) {
      double rate = rate_at(s, base, step);
      if (isnan(rate)) return rate;
      if (rate > best) best = rate, at = step;
    }
    if (stride == 1) return best;
    int64_t low = at - stride + 1, high = at + stride - 1;
    if (low > first) first = low;
    if (high < last) last = high;
  }
}

bool mt_scale_rate(MtSession *s) {
  if (s->options->lr == 0) return true;
  MtScalars base = s->scalars;
  double highest = highest_rate(s, &base);
  if (s->run.error[0]) return false;
  if (!(highest > 0) || isinf(highest))
    return mt_error(&s->error, "--lr: the highest learning rate of the model is %g; it cannot be scaled to %g", highest,
                    s->options->lr);
  s->scalars = base;
  s->scalars.lr_scale = s->options->lr / highest;
  return mt_push_scalars(s);
}
