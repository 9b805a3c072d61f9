/* step.c - one micro-batch: fetch, gradients, and after the last one of an
 * update, the optimizer.
 *
 * The whole of it is one play(), so that a device may capture it once and
 * replay it: nothing here depends on values that change from step to step
 * but through MtScalars, in device memory.  So several steps in a row can be
 * one play too, which spares a small model the gaps between them.
 */
#include <string.h>

#include "runtime/trainer.h"

int mt_tracked(const MtTrain *train, int32_t outputs[MT_MAX_OUTPUTS]) {
  int n = 0;
  for (; n < train->n_logs && n < MT_MAX_OUTPUTS - 1; n++) outputs[n] = (int32_t)train->logs[n].output;
  outputs[n++] = (int32_t)train->loss;
  return n;
}

typedef struct Recording {
  MtSession *s;
  MtStepPlan plan;
  int64_t count;
} Recording;

/* Averaged by rows: each micro-batch's gradient counts by its share of the update's rows. */
static void sum_gradients(MtSession *s, const MtStepPlan *plan) {
  MtRun *run = &s->run;
  int64_t count = s->program->param_count;
  if (plan->first) run->backend->zero(run, run->grads, (size_t)count * (size_t)run->real_size);
  run->backend->add_scaled(run, run->grads, s->micro_grads, count, (double)plan->rows / (double)plan->group_rows);
}

static void record_one(MtRun *run, const Recording *r) {
  MtSession *s = r->s;
  const MtTrain *train = s->program->train;
  void *grads = run->grads;
  mt_fetch(run, &s->train, r->plan.rows);
  run->grads = s->micro_grads;
  train->gradients(run, (const void *const *)s->train.batch, r->plan.rows);
  run->grads = grads;
  if (s->micro_grads != grads) sum_gradients(s, &r->plan);
  MtEnd end = {.rows = r->plan.rows,
               .loss = s->options->keep_going ? -1 : train->loss,
               .last = r->plan.last,
               .sums = s->sums};
  end.n_logs = mt_tracked(train, end.logs);
  if (end.last) {
    train->update(run, &end);
  } else {
    mt_check_gradients(run, &end, s->program->param_count);
    mt_finish(run, &end);
  }
}

static void record(MtRun *run, void *data) {
  const Recording *r = data;
  for (int64_t i = 0; i < r->count && !run->error[0]; i++) record_one(run, r);
}

bool mt_play_step(MtSession *s, MtStepPlan plan) {
  Recording r = {s, plan, 1};
  int64_t key = mt_session_key(s, MT_KEY_STEP, plan.rows, plan.group_rows, plan.first, plan.last);
  return s->run.backend->play(&s->run, key, record, &r);
}

bool mt_play_steps(MtSession *s, int64_t rows, int64_t count) {
  Recording r = {s, {rows, rows, true, true}, count};
  return s->run.backend->play(&s->run, mt_session_key(s, MT_KEY_STEPS, rows, count, 0, 0), record, &r);
}
