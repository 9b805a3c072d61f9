/* finite.c - which value was the first that is not finite?
 *
 * The step that failed left parameters and its place as they were.  Its batch
 * is run again: once up to the first kernel, once up to the second and so on,
 * each time looking at what the last kernel wrote, before a later one may
 * reuse the memory.  Slow, but it happens once, and it names the culprit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/mtrt_bf16.h"
#include "runtime/random.h"
#include "runtime/trainer.h"

static const char *word_for(float x) { return isnan(x) ? "nan" : x > 0 ? "inf" : "-inf"; }

static int64_t first_bad(const float *x, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    if (!isfinite(x[i])) return i;
  return -1;
}

/* A step of several updates is replayed with the weights that the earlier ones have left. */
typedef struct Replay {
  MtSession *s;
  int64_t rows;
} Replay;

static bool runs(const MtSession *s, int phase) {
  return mt_phases_at(s->program->train, s->scalars.step) >> phase & 1;
}

static void record(MtRun *run, void *data) {
  const Replay *r = data;
  mt_fetch(run, &r->s->train, r->rows);
  void *grads = run->grads;
  run->grads = r->s->micro_grads;
  const MtTrain *train = run->program->train;
  for (int p = 0; p < train->n_phases; p++)
    if (runs(r->s, p)) train->phases[p].gradients(run, (const void *const *)r->s->train.batch, r->rows);
  run->grads = grads;
}

/* Runs the step's first `kernels` kernels. */
static bool replay(MtSession *s, int64_t rows, long kernels) {
  Replay r = {s, rows};
  s->run.budget = kernels;
  bool ok = s->run.backend->play(&s->run, 0, record, &r) && s->run.backend->wait(&s->run);
  s->run.budget = -1;
  return ok;
}

static bool say(MtSession *s, const char *where, const char *what, float value, const char *unit, int64_t at,
                const char *when) {
  s->error_is_located = true;
  return mt_error(&s->error, "%s: %s is not finite (%s at %s %lld) %s step %lld", where, what, word_for(value), unit,
                  (long long)at, when, (long long)s->scalars.step);
}

static size_t element_bytes(const MtValue *value) { return value->place == MT_IN_ARENA_BF16 ? 2 : 4; }

/* bf16 in the first half of the room becomes float in all of it, from the end. */
static void widen(float *room, int64_t count) {
  MtBf16 narrow;
  for (int64_t i = count - 1; i >= 0; i--) {
    memcpy(&narrow, (char *)room + 2 * i, sizeof narrow);
    room[i] = mt_bf16_value(narrow);
  }
}

/* One value has no unbiased variance: what BatchNorm keeps of a batch of one row. */
static void blame_the_row(MtSession *s) {
  size_t used = strlen(s->error.text);
  snprintf(s->error.text + used, sizeof s->error.text - used,
           "; this batch has one row, and a variance takes more: `drop: true` in `data %s` leaves out a short last batch",
           s->train.data->name);
}

/* True: found, and told. */
static bool look_at(MtSession *s, const MtValue *value, int64_t rows, float *room) {
  int64_t count = value->row_elements ? rows * value->row_elements : value->count;
  const char *from = value->place == MT_IN_GRADS     ? (char *)s->micro_grads + value->offset * 4
                     : value->place == MT_IN_STATES  ? (char *)s->run.new_states + value->offset * 4
                     : value->place == MT_IN_OUTPUTS ? (char *)s->run.outputs + value->offset * 4
                                                     : (char *)s->run.arena + value->offset;
  if (!s->run.backend->read(&s->run, room, from, (size_t)count * element_bytes(value))) return false;
  if (value->place == MT_IN_ARENA_BF16) widen(room, count);
  int64_t bad = first_bad(room, count);
  if (bad < 0) return false;
  bool by_row = value->row_elements > 0;
  say(s, value->where, value->name, room[bad], by_row ? "row" : "element", by_row ? bad / value->row_elements : bad,
      "at");
  if (value->place == MT_IN_STATES && rows == 1) blame_the_row(s);
  return true;
}

static bool params_are_bad(MtSession *s) {
  const MtProgram *p = s->program;
  if (!s->run.backend->read(&s->run, s->host.params, s->run.params, (size_t)p->param_count * sizeof(float)))
    return false;
  for (int i = 0; i < p->n_params; i++) {
    const float *values = s->host.params + p->params[i].offset;
    int64_t bad = first_bad(values, mt_tensor_count(&p->params[i]));
    if (bad >= 0) return say(s, p->params[i].where, p->params[i].name, values[bad], "element", bad, "before"), true;
  }
  return false;
}

/* Rows of the batch, by their place in the file. */
static bool batch_is_bad(MtSession *s, int64_t rows) {
  const MtData *data = s->train.data;
  int32_t row = 0;
  for (int f = 0; f < s->train.n_fields; f++) {
    int64_t n = mt_field_elements(&data->fields[f]);
    float *values = data->fields[f].type == MT_F32 ? malloc((size_t)(rows * n) * sizeof *values + 1) : NULL;
    int64_t bad =
        values && s->run.backend->read(&s->run, values, s->train.batch[f], (size_t)(rows * n) * sizeof *values)
            ? first_bad(values, rows * n)
            : -1;
    if (bad >= 0 && s->run.backend->read(&s->run, &row, s->train.order + s->scalars.position + bad / n, sizeof row)) {
      s->error_is_located = true;
      mt_error(&s->error, "%s: field %s of %s holds %s in row %d, at step %lld", data->where, data->fields[f].name,
               data->name, word_for(values[bad]), row, (long long)s->scalars.step);
    }
    free(values);
    if (bad >= 0) return true;
  }
  return false;
}

static bool gradients_are_bad(MtSession *s) {
  const MtProgram *p = s->program;
  if (!s->run.backend->read(&s->run, s->host.params, s->micro_grads, (size_t)p->param_count * sizeof(float)))
    return false;
  for (int i = 0; i < p->n_params; i++) {
    const float *values = s->host.params + p->params[i].offset;
    int64_t bad = first_bad(values, mt_tensor_count(&p->params[i]));
    char what[300];
    snprintf(what, sizeof what, "the gradient of %.280s", p->params[i].name);
    if (bad >= 0) return say(s, p->params[i].where, what, values[bad], "element", bad, "at"), true;
  }
  return false;
}

static int last_kernel(const MtPhase *phase) {
  int last = -1;
  for (int i = 0; i < phase->n_values; i++)
    if (phase->values[i].kernel > last) last = phase->values[i].kernel;
  return last;
}

/* `before`: kernels of the phases in front of it. */
static bool phase_is_bad(MtSession *s, const MtPhase *phase, long before, int64_t rows) {
  int64_t most = 1;
  for (int i = 0; i < phase->n_values; i++)
    if (phase->values[i].count > most) most = phase->values[i].count;
  float *room = malloc((size_t)most * sizeof *room);
  bool found = false;
  for (int k = 0; room && !found && k <= last_kernel(phase); k++) {
    if (!replay(s, rows, before + k + 1)) break;
    for (int i = 0; !found && i < phase->n_values; i++)
      if (phase->values[i].kernel == k) found = look_at(s, &phase->values[i], rows, room);
  }
  free(room);
  return found;
}

static bool value_is_bad(MtSession *s, int64_t rows) {
  const MtTrain *train = s->program->train;
  bool found = false;
  long before = 0;
  for (int p = 0; p < train->n_phases && !found; p++) {
    if (!runs(s, p)) continue;
    found = phase_is_bad(s, &train->phases[p], before, rows);
    before += train->phases[p].n_kernels;
  }
  return found;
}

bool mt_explain_nonfinite(MtSession *s, int64_t rows) {
  if (!mt_pull_scalars(s) || params_are_bad(s) || !replay(s, rows, 0) || batch_is_bad(s, rows) || value_is_bad(s, rows))
    return false;
  if (!replay(s, rows, -1) || gradients_are_bad(s)) return false;
  s->error_is_located = true;
  return mt_error(&s->error,
                  "%s: the loss or a gradient is not finite at step %lld: %s", s->program->source,
                  (long long)s->scalars.step,
                  s->program->train->n_phases > 1 ? "before an earlier update of the step changed the weights"
                                                  : "the sum over micro-batches overflows");
}
