/* finite.c - which value was the first that is not finite, and should be?
 *
 * The step that failed left parameters and its place as they were.  Its batch
 * is run again: once up to the first kernel, once up to the second and so on,
 * each time looking at what the last kernel wrote, before a later one may
 * reuse the memory.  Slow, but it happens once, and it names the culprit.
 *
 * NaN is always a fault.  An infinity is none where the compiler foresaw it, as
 * what a mask hides, or where it is usual: another batch of the data has one of
 * the same sign in the same value, and goes well, its loss and gradients are
 * finite at the weights of now.  Of a batch whose step was made earlier that need
 * not be so for what is made of data and draws alone: it went well then.
 * Parameters, losses, gradients and states have to be finite.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/mtrt_bf16.h"
#include "runtime/random.h"
#include "runtime/trainer.h"

static const char *word_for(float x) { return isnan(x) ? "nan" : x > 0 ? "inf" : "-inf"; }

static int sign_of(float x) { return x > 0 ? MT_PLUS_INF : MT_MINUS_INF; }

/* The first that is NaN, or an infinity of a sign not among `may_hold`. */
static int64_t first_bad(const float *x, int64_t count, int may_hold) {
  for (int64_t i = 0; i < count; i++)
    if (isnan(x[i]) || (isinf(x[i]) && !(may_hold & sign_of(x[i])))) return i;
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

/* ---- an earlier batch ------------------------------------------------------------------------- */

/* The batch that failed, and another. */
typedef struct Search {
  MtSession *s;
  int64_t rows, position;
  int64_t other_rows, other; /* 0 rows: there is none */
  bool went_well;            /* the other, in a step before */
  int goes_well;             /* ... at the weights of now; -1: not tried yet */
  float *room;               /* for the largest value */
  long kernels;              /* have just been run of the batch at hand; -1: others, or of another */
} Search;

/* Rows that were visited have been in a step that went well: those before this batch, and all in later epochs. */
static Search begin_search(MtSession *s, int64_t rows) {
  const MtTable *t = &s->train;
  Search f = {.s = s, .rows = rows, .position = s->scalars.position, .goes_well = -1, .kernels = -1};
  f.went_well = f.position > 0 || s->scalars.epoch > 0;
  if (f.position == 0 && t->capacity < t->rows) f.other = t->capacity;
  if (f.went_well || f.other > 0) f.other_rows = mt_least(t->capacity, t->rows - f.other);
  return f;
}

static bool go_to(Search *f, int64_t position) {
  f->s->scalars.position = position;
  f->kernels = -1;
  return mt_push_scalars(f->s);
}

static bool all_finite(MtSession *s, const char *from, int64_t count) {
  float *values = malloc((size_t)count * sizeof *values + 1);
  bool ok = values && s->run.backend->read(&s->run, values, from, (size_t)count * sizeof *values) &&
            first_bad(values, count, 0) < 0;
  free(values);
  return ok;
}

/* At the other batch: are all losses and gradients finite? */
static bool goes_well(Search *f) {
  MtSession *s = f->s;
  const MtTrain *train = s->program->train;
  bool ok = true;
  long kernels = 0;
  f->kernels = -1;
  for (int p = 0; p < train->n_phases && ok; p++) {
    const MtPhase *phase = &train->phases[p];
    if (!runs(s, p)) continue;
    ok = replay(s, f->other_rows, kernels += phase->n_kernels) &&
         all_finite(s, (char *)s->micro_grads + phase->begin * 4, phase->count) &&
         (phase->loss < 0 || all_finite(s, (char *)s->run.outputs + phase->loss * 4, 1));
  }
  return ok;
}

/* Does what the other batch holds count? */
static bool counts(Search *f, bool is_of_data) {
  if (f->went_well && is_of_data) return true;
  if (f->goes_well < 0) f->goes_well = goes_well(f);
  return f->goes_well > 0;
}

static const char *place_of(const MtSession *s, const MtValue *value) {
  return value->place == MT_IN_GRADS     ? (char *)s->micro_grads + value->offset * 4
         : value->place == MT_IN_STATES  ? (char *)s->run.new_states + value->offset * 4
         : value->place == MT_IN_OUTPUTS ? (char *)s->run.outputs + value->offset * 4
                                         : (char *)s->run.arena + value->offset;
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

static int64_t elements_in(const MtValue *value, int64_t rows) {
  return value->row_elements ? rows * value->row_elements : value->count;
}

/* What the value holds after the step's first `kernels` kernels, into f->room. */
static bool take(Search *f, const MtValue *value, int64_t rows, long kernels) {
  MtSession *s = f->s;
  int64_t count = elements_in(value, rows);
  if (f->kernels != kernels && !replay(s, rows, kernels)) return false;
  f->kernels = kernels;
  if (!s->run.backend->read(&s->run, f->room, place_of(s, value), (size_t)count * element_bytes(value))) return false;
  if (value->place == MT_IN_ARENA_BF16) widen(f->room, count);
  return true;
}

static bool holds(const float *x, int64_t count, int sign) {
  for (int64_t i = 0; i < count; i++)
    if (isinf(x[i]) && sign_of(x[i]) == sign) return true;
  return false;
}

/* Does the value hold such an infinity at the other batch, too? */
static bool is_usual(Search *f, const MtValue *value, int sign, long kernels) {
  if (!f->other_rows || !go_to(f, f->other)) return false;
  bool usual = take(f, value, f->other_rows, kernels) && holds(f->room, elements_in(value, f->other_rows), sign) &&
               counts(f, value->foreseen & MT_OF_DATA);
  return go_to(f, f->position) && usual;
}

/* ---- this batch -------------------------------------------------------------------------------- */

/* One value has no unbiased variance: what BatchNorm keeps of a batch of one row. */
static void blame_the_row(MtSession *s) {
  size_t used = strlen(s->error.text);
  snprintf(s->error.text + used, sizeof s->error.text - used,
           "; this batch has one row, and a variance takes more: `drop: true` in `data %s` leaves out a short last batch",
           s->train.data->name);
}

static bool must_be_finite(const MtPhase *phase, const MtValue *value) {
  bool is_loss = value->place == MT_IN_OUTPUTS && value->offset <= phase->loss && phase->loss < value->offset + value->count;
  return value->place == MT_IN_GRADS || value->place == MT_IN_STATES || is_loss;
}

/* True: found, and told. */
static bool look_at(Search *f, const MtPhase *phase, const MtValue *value, long kernels) {
  bool strict = must_be_finite(phase, value), by_row = value->row_elements > 0;
  int may_hold = strict ? 0 : value->foreseen;
  for (;;) {
    if (!take(f, value, f->rows, kernels)) return false;
    int64_t bad = first_bad(f->room, elements_in(value, f->rows), may_hold);
    if (bad < 0) return false;
    float x = f->room[bad];
    if (!strict && isinf(x) && is_usual(f, value, sign_of(x), kernels)) {
      may_hold |= sign_of(x);
      continue;
    }
    say(f->s, value->where, value->name, x, by_row ? "row" : "element", by_row ? bad / value->row_elements : bad, "at");
    if (value->place == MT_IN_STATES && f->rows == 1) blame_the_row(f->s);
    return true;
  }
}

static bool params_are_bad(MtSession *s) {
  const MtProgram *p = s->program;
  if (!s->run.backend->read(&s->run, s->host.params, s->run.params, (size_t)p->param_count * sizeof(float)))
    return false;
  for (int i = 0; i < p->n_params; i++) {
    const float *values = s->host.params + p->params[i].offset;
    int64_t bad = first_bad(values, mt_tensor_count(&p->params[i]), 0);
    if (bad >= 0) return say(s, p->params[i].where, p->params[i].name, values[bad], "element", bad, "before"), true;
  }
  return false;
}

/* A field of the batch, in new memory; NULL: it is not of floats. */
static float *take_field(Search *f, int field, int64_t rows) {
  const MtTable *t = &f->s->train;
  size_t bytes = (size_t)(rows * mt_field_elements(&t->data->fields[field])) * sizeof(float);
  float *values = t->data->fields[field].type == MT_F32 ? malloc(bytes + 1) : NULL;
  if (values && replay(f->s, rows, 0) && f->s->run.backend->read(&f->s->run, values, t->batch[field], bytes)) return values;
  free(values);
  return NULL;
}

static bool field_is_usual(Search *f, int field, int sign) {
  if (!f->other_rows || !go_to(f, f->other)) return false;
  float *values = take_field(f, field, f->other_rows);
  bool usual = values && holds(values, f->other_rows * mt_field_elements(&f->s->train.data->fields[field]), sign) && counts(f, true);
  free(values);
  return go_to(f, f->position) && usual;
}

/* Rows of the batch, by their place in the file. */
static bool field_is_bad(Search *f, int field) {
  MtSession *s = f->s;
  const MtData *data = s->train.data;
  int64_t n = mt_field_elements(&data->fields[field]), bad;
  int32_t row = 0;
  int may_hold = 0;
  float *values = take_field(f, field, f->rows);
  if (!values) return false;
  while ((bad = first_bad(values, f->rows * n, may_hold)) >= 0 && isinf(values[bad]) &&
         field_is_usual(f, field, sign_of(values[bad])))
    may_hold |= sign_of(values[bad]);
  if (bad >= 0 && s->run.backend->read(&s->run, &row, s->train.order + s->scalars.position + bad / n, sizeof row)) {
    s->error_is_located = true;
    mt_error(&s->error, "%s: field %s of %s holds %s in row %d, at step %lld", data->where, data->fields[field].name,
             data->name, word_for(values[bad]), row, (long long)s->scalars.step);
  }
  free(values);
  return bad >= 0;
}

static bool batch_is_bad(Search *f) {
  for (int i = 0; i < f->s->train.n_fields; i++)
    if (field_is_bad(f, i)) return true;
  return false;
}

static bool gradients_are_bad(MtSession *s) {
  const MtProgram *p = s->program;
  if (!s->run.backend->read(&s->run, s->host.params, s->micro_grads, (size_t)p->param_count * sizeof(float)))
    return false;
  for (int i = 0; i < p->n_params; i++) {
    const float *values = s->host.params + p->params[i].offset;
    int64_t bad = first_bad(values, mt_tensor_count(&p->params[i]), 0);
    char what[300];
    snprintf(what, sizeof what, "the gradient of %.280s", p->params[i].name);
    if (bad >= 0) return say(s, p->params[i].where, what, values[bad], "element", bad, "at"), true;
  }
  return false;
}

/* `before`: kernels of the phases in front of it. */
static bool phase_is_bad(Search *f, const MtPhase *phase, long before) {
  int64_t most = 1;
  for (int i = 0; i < phase->n_values; i++)
    if (phase->values[i].count > most) most = phase->values[i].count;
  f->room = malloc((size_t)most * sizeof *f->room);
  bool found = false;
  for (int i = 0; f->room && !found && i < phase->n_values; i++) /* in the order of their kernels */
    found = look_at(f, phase, &phase->values[i], before + phase->values[i].kernel + 1);
  free(f->room);
  return found;
}

static bool value_is_bad(Search *f) {
  const MtTrain *train = f->s->program->train;
  bool found = false;
  long before = 0;
  for (int p = 0; p < train->n_phases && !found; p++) {
    if (!runs(f->s, p)) continue;
    found = phase_is_bad(f, &train->phases[p], before);
    before += train->phases[p].n_kernels;
  }
  return found;
}

bool mt_explain_nonfinite(MtSession *s, int64_t rows) {
  if (!mt_pull_scalars(s) || params_are_bad(s)) return false;
  Search f = begin_search(s, rows);
  if (batch_is_bad(&f) || value_is_bad(&f)) return false;
  if (!replay(s, rows, -1) || gradients_are_bad(s)) return false;
  s->error_is_located = true;
  return mt_error(&s->error,
                  "%s: the loss or a gradient is not finite at step %lld: %s", s->program->source,
                  (long long)s->scalars.step,
                  s->program->train->n_phases > 1 ? "before an earlier update of the step changed the weights"
                                                  : "the sum over micro-batches overflows");
}
