/* step.c - one micro-batch: fetch, gradients, and after the last one of an
 * update, the optimizer; of a step with several updates, phase by phase.
 *
 * The whole of it is one play(), so that a device may capture it once and
 * replay it: nothing here depends on values that change from step to step
 * but through MtScalars, in device memory.  So several steps in a row can be
 * one play too, which spares a small model the gaps between them.
 */
#include <string.h>

#include "runtime/trainer.h"

/* ---- what is logged ---- */

/* The sums: each phase's logs in order, the first loss before those of its phase. */
static int loss_phase(const MtTrain *train) {
  int p = 0;
  while (p + 1 < train->n_phases && train->phases[p].loss < 0) p++;
  return p;
}

int mt_loss_sum(const MtTrain *train) { return train->phases[loss_phase(train)].first_log; }
int mt_log_sum(const MtTrain *train, int log) { return log + (log >= mt_loss_sum(train)); }

int mt_phase_of_log(const MtTrain *train, int log) {
  int p = 0;
  while (log >= train->phases[p].first_log + train->phases[p].n_logs) p++;
  return p;
}

/* ---- phases ---- */

uint64_t mt_phases_at(const MtTrain *train, int64_t step) {
  uint64_t mask = 0;
  for (int p = 0; p < train->n_phases; p++)
    if ((step + 1) % train->phases[p].every == 0) mask |= (uint64_t)1 << p;
  return mask;
}

MtEnd mt_end_of(const MtTrain *train, int phase, int64_t rows, double *sums) {
  const MtPhase *p = &train->phases[phase];
  MtEnd end = {.rows = rows, .loss = p->loss, .last = true, .first_group = p->first_group, .n_groups = p->n_groups};
  int own_loss = phase == loss_phase(train), first = p->first_log + (phase > loss_phase(train));
  if (own_loss) end.logs[end.n_logs++] = (int32_t)p->loss;
  for (int i = 0; i < p->n_logs; i++) end.logs[end.n_logs++] = (int32_t)train->logs[p->first_log + i].output;
  end.sums = sums + first;
  if (!sums) end.n_logs = 0;
  return end;
}

/* By how many elements the slots of the phase's parameters lie behind their places in the block. */
static int64_t slots_behind(const MtTrain *train, const MtPhase *phase) {
  for (int g = phase->first_group; g < phase->first_group + phase->n_groups; g++)
    if (train->groups[g].count) return train->groups[g].slots_at - train->groups[g].begin;
  return 0;
}

void mt_update_phase(MtRun *run, int phase, const MtEnd *end) {
  const MtTrain *train = run->program->train;
  int64_t behind = slots_behind(train, &train->phases[phase]) * run->real_size;
  void *slots[MT_MAX_SLOTS];
  memcpy(slots, run->slots, sizeof slots);
  for (int i = 0; i < MT_MAX_SLOTS; i++)
    if (slots[i]) run->slots[i] = (char *)slots[i] + behind;
  train->phases[phase].update(run, end);
  memcpy(run->slots, slots, sizeof slots);
}

/* ---- one step ---- */

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

static void record_phase(MtSession *s, const MtStepPlan *plan, int phase, bool ends) {
  MtRun *run = &s->run;
  const MtPhase *p = &s->program->train->phases[phase];
  void *grads = run->grads;
  run->grads = s->micro_grads;
  p->gradients(run, (const void *const *)s->train.batch, plan->rows);
  run->grads = grads;
  if (s->micro_grads != grads) sum_gradients(s, plan);
  MtEnd end = mt_end_of(s->program->train, phase, plan->rows, s->sums);
  if (s->options->keep_going) end.loss = -1;
  end.last = plan->last, end.ends = ends;
  if (end.last && p->update) {
    mt_update_phase(run, phase, &end);
  } else {
    mt_check_gradients(run, &end, 0, s->program->param_count);
    mt_finish(run, &end);
  }
}

static void record_one(const Recording *r) {
  MtSession *s = r->s;
  uint64_t left = r->plan.phases;
  mt_fetch(&s->run, &s->train, r->plan.rows);
  for (int p = 0; left; p++) {
    uint64_t bit = (uint64_t)1 << p;
    if (!(left & bit)) continue;
    left &= ~bit;
    record_phase(s, &r->plan, p, left == 0);
  }
  if (!r->plan.phases) mt_finish(&s->run, &(MtEnd){.rows = r->plan.rows, .last = true, .ends = true});
}

static void record(MtRun *run, void *data) {
  const Recording *r = data;
  for (int64_t i = 0; i < r->count && !run->error[0]; i++) record_one(r);
}

bool mt_play_step(MtSession *s, MtStepPlan plan) {
  Recording r = {s, plan, 1};
  int64_t key = mt_session_key(s, MT_KEY_STEP, plan.rows, plan.group_rows, 2 * plan.first + plan.last, (int64_t)plan.phases);
  return s->run.backend->play(&s->run, key, record, &r);
}

bool mt_play_steps(MtSession *s, int64_t rows, int64_t count) {
  Recording r = {s, {rows, rows, true, true, mt_phases_at(s->program->train, 0)}, count};
  return s->run.backend->play(&s->run, mt_session_key(s, MT_KEY_STEPS, rows, count, 0, 0), record, &r);
}
