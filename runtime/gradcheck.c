/* gradcheck.c - are the gradients right?
 *
 * The program's gradients, compiled once more in double precision, against
 * differences of its loss: (-f(x+2h) + 8 f(x+h) - 8 f(x-h) + f(x-2h)) / 12h.
 * Of each parameter up to 64 elements are tried one by one, and then one
 * random direction in which all its elements move.  A kink (relu) that lies
 * within 2h of a value spoils a difference, rounding spoils a small h: so
 * several h are tried and the best counts; a wrong gradient is wrong for all.
 *
 * Where a loss reads a parameter past a stop, the model's stop() or the new value
 * of a state, differences see what the gradient is not to see.  The compiler says
 * which these are: they are tried like others, and if they differ, that says
 * nothing: they are told as not checked.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/mtrt_math.h"
#include "runtime/random.h"
#include "runtime/trainer.h"

enum { SAMPLES = 64 };
static const double limit = 1e-6;
static const double steps[] = {1e-3, 1e-4, 1e-5, 1e-6};

typedef struct Check {
  MtSession *s;
  int64_t rows;
  int phase;                    /* whose update is checked */
  void *batch[MT_MAX_OUTPUTS];  /* fields of real are double here */
  double *params, *grads;       /* host */
  long forward;                 /* kernels up to the loss; -1: not known */
  double unit;                  /* root mean square of all gradients: what counts as small */
} Check;

static void record(MtRun *run, void *data) {
  const Check *c = data;
  for (int p = 0; p <= c->phase; p++)
    run->program->train->phases[p].gradients_f64(run, (const void *const *)c->batch, c->rows);
}

static const MtPhase *phase_of(const Check *c) { return &c->s->program->train->phases[c->phase]; }

static double loss_now(Check *c) {
  MtRun *run = &c->s->run;
  double loss = NAN;
  run->budget = c->forward;
  bool ok = run->backend->play(run, 0, record, c) &&
            run->backend->read(run, &loss, (char *)run->outputs + phase_of(c)->loss * (int64_t)sizeof loss,
                               sizeof loss);
  run->budget = -1;
  return ok ? loss : NAN;
}

/* ---- differences ------------------------------------------------------------------ */

/* Elements [at, at + count) moved by h along `direction` (NULL: all by 1). */
static double loss_at(Check *c, int64_t at, int64_t count, const double *direction, double h, double *room) {
  MtRun *run = &c->s->run;
  double *to = (double *)run->params + at;
  for (int64_t i = 0; i < count; i++) room[i] = c->params[at + i] + h * (direction ? direction[i] : 1);
  return run->backend->write(run, to, room, (size_t)count * sizeof *room) ? loss_now(c) : NAN;
}

static double difference(Check *c, int64_t at, int64_t count, const double *direction, double h, double *room) {
  double far = loss_at(c, at, count, direction, -2 * h, room) - loss_at(c, at, count, direction, 2 * h, room);
  double near = loss_at(c, at, count, direction, h, room) - loss_at(c, at, count, direction, -h, room);
  return (far + 8 * near) / (12 * h);
}

/* How far the derivative `given` is from the closest difference. */
static double distance(Check *c, int64_t at, int64_t count, const double *direction, double given, double scale,
                       double *room) {
  double best = INFINITY;
  for (size_t i = 0; i < sizeof steps / sizeof steps[0] && !(best <= 1e-9 * scale); i++) {
    double d = fabs(difference(c, at, count, direction, steps[i], room) - given);
    if (d < best || isnan(d)) best = d;
    if (isnan(d)) break;
  }
  c->s->run.backend->write(&c->s->run, (double *)c->s->run.params + at, c->params + at, (size_t)count * sizeof *room);
  return best;
}

/* ---- one parameter ------------------------------------------------------------------ */

static double norm(const double *x, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i] * x[i];
  return sqrt(sum);
}

static double greater(double a, double b) { return a > b ? a : b; }

/* The relative error over sampled elements, or along the random direction if that is worse. */
static double check_param(Check *c, const MtTensor *p, int *samples, double *room) {
  int64_t n = mt_tensor_count(p);
  const double *g = c->grads + p->offset;
  double *direction = room + n, errors[SAMPLES], tried[SAMPLES], along = 0,
         typical = greater(norm(g, n) / sqrt((double)n), c->unit * 1e-2);
  *samples = (int)mt_least(n, SAMPLES);
  for (int i = 0; i < *samples; i++) {
    int64_t e = n <= SAMPLES
                    ? i
                    : (int64_t)(mt_word_uniform(
                                    mt_words(c->s->scalars.seed, mt_hash(p->name), (uint64_t)i, 0, 0x7ffffffd).v[0]) *
                                (double)n);
    tried[i] = g[e];
    errors[i] = distance(c, p->offset + e, 1, NULL, g[e], typical, room);
  }
  for (int64_t i = 0; i < n; i++)
    direction[i] = mt_words_normal(mt_words(c->s->scalars.seed, mt_hash(p->name), (uint64_t)i, 1, 0x7ffffffd));
  double length = norm(direction, n);
  for (int64_t i = 0; i < n; i++) along += g[i] * (direction[i] /= length);
  double single = norm(errors, *samples) / greater(norm(tried, *samples), typical * sqrt((double)*samples));
  double whole = distance(c, p->offset, n, direction, along, typical, room) / greater(fabs(along), typical);
  return isnan(single) || isnan(whole) ? NAN : greater(single, whole);
}

/* "m.mt:12", where a stop lies on a way of the parameter; NULL: on none. */
static const char *stopped_at(const MtPhase *phase, const MtTensor *p) {
  for (int i = 0; i < phase->n_stopped; i++)
    if (!strcmp(phase->stopped[i].param, p->name)) return phase->stopped[i].where;
  return NULL;
}

static void print_unchecked(const MtSession *s, const MtTensor *p, const char *stop) {
  if (s->options->json) {
    printf("{\"param\":");
    mt_json_text(stdout, p->name);
    printf(",\"stopped\":");
    mt_json_text(stdout, stop);
    printf(",\"ok\":null}\n");
  } else {
    printf("%-32s not checked: its gradient is stopped at %s, and differences of the loss see through that\n", p->name, stop);
  }
  fflush(stdout);
}

static void print_param(const MtSession *s, const MtTensor *p, int samples, double error) {
  bool good = error <= limit;
  if (s->options->json) {
    printf("{\"param\":");
    mt_json_text(stdout, p->name);
    printf(",\"error\":");
    mt_json_number(stdout, error);
    printf(",\"ok\":%s}\n", good ? "true" : "false");
  } else if (!good || !s->options->quiet) {
    printf("%-32s %4d of %8lld elements  relative error %.1e  %s\n", p->name, samples, (long long)mt_tensor_count(p),
           error, good ? "ok" : "WRONG");
  }
  fflush(stdout);
}

/* ---- the command ---------------------------------------------------------------------- */

static void record_fetch(MtRun *run, void *data) {
  Check *c = data;
  mt_fetch(run, &c->s->train, c->rows);
}

static bool widen_batch(Check *c) {
  MtSession *s = c->s;
  bool ok = mt_begin_epoch(s, 0, 0) && s->run.backend->play(&s->run, 0, record_fetch, c);
  for (int f = 0; ok && f < s->train.n_fields; f++) {
    c->batch[f] = s->train.batch[f];
    if (s->train.data->fields[f].type != MT_F32) continue;
    int64_t n = c->rows * mt_field_elements(&s->train.data->fields[f]);
    float *narrow = malloc((size_t)n * sizeof *narrow + 1);
    double *wide = malloc((size_t)n * sizeof *wide + 1);
    ok = (narrow && wide) || mt_error(&s->error, "out of memory");
    ok = ok && s->run.backend->read(&s->run, narrow, c->batch[f], (size_t)n * sizeof *narrow);
    for (int64_t i = 0; ok && i < n; i++) wide[i] = (double)narrow[i];
    ok = ok && s->run.backend->write(&s->run, c->batch[f], wide, (size_t)n * sizeof *wide);
    free(narrow);
    free(wide);
  }
  return ok;
}

static long kernels_to_loss(const Check *c) {
  const MtPhase *phase = phase_of(c);
  long before = 0;
  for (int p = 0; p < c->phase; p++) before += c->s->program->train->phases[p].n_kernels;
  for (int i = 0; i < phase->n_values; i++)
    if (phase->values[i].place == MT_IN_OUTPUTS && phase->values[i].offset <= phase->loss &&
        phase->loss < phase->values[i].offset + phase->values[i].count)
      return before + phase->values[i].kernel + 1;
  return -1;
}

/* All gradients, in host memory. */
static bool find_gradients(Check *c) {
  MtSession *s = c->s;
  int64_t n = s->program->param_count;
  size_t bytes = (size_t)n * sizeof(double);
  c->forward = -1;
  double loss = loss_now(c);
  if (s->run.error[0]) return false;
  if (!isfinite(loss)) return mt_error(&s->error, "gradcheck: the loss of the first batch is %g", loss);
  c->forward = kernels_to_loss(c);
  bool ok = s->run.backend->read(&s->run, c->params, s->run.params, bytes) &&
            s->run.backend->read(&s->run, c->grads, s->run.grads, bytes);
  c->unit = ok && n ? greater(norm(c->grads, n) / sqrt((double)n), 1e-300) : 1;
  return ok;
}

static bool in_a_group(const MtTrain *train, int first, int n, const MtTensor *p) {
  for (int g = first; g < first + n; g++)
    if (p->offset >= train->groups[g].begin && p->offset < train->groups[g].begin + train->groups[g].count) return true;
  return false;
}

typedef struct Verdict {
  int wrong, checked, unchecked;
  double worst;
} Verdict;

/* The parameters that the phase's update moves; those that are frozen are in no group. */
static bool check_phase(Check *c, double *room, Verdict *v) {
  MtSession *s = c->s;
  const MtProgram *p = s->program;
  const MtPhase *phase = phase_of(c);
  int samples;
  if (!phase->update) return true;
  bool ok = find_gradients(c);
  for (int i = 0; ok && i < p->n_params; i++) {
    if (!in_a_group(p->train, phase->first_group, phase->n_groups, &p->params[i])) continue;
    double error = check_param(c, &p->params[i], &samples, room);
    ok = !s->run.error[0];
    const char *stop = stopped_at(phase, &p->params[i]);
    if (stop && error > limit && ++v->unchecked) {
      print_unchecked(s, &p->params[i], stop);
      continue;
    }
    print_param(s, &p->params[i], samples, error);
    v->wrong += !(error <= limit);
    v->worst = error > v->worst || isnan(error) ? error : v->worst;
    v->checked++;
  }
  return ok;
}

int mt_gradcheck(MtSession *s) {
  Check c = {.s = s, .rows = mt_least(s->train.capacity, s->train.rows)};
  const MtProgram *p = s->program;
  Verdict v = {0};
  size_t bytes = (size_t)p->param_count * sizeof(double) + 1;
  double *room = malloc(2 * bytes);
  c.params = malloc(bytes), c.grads = malloc(bytes);
  bool ok = (room && c.params && c.grads) || mt_error(&s->error, "out of memory");
  if (ok && !p->train->phases[0].gradients_f64)
    ok = mt_error(&s->error, "gradcheck: this trainer holds no double-precision gradients");
  ok = ok && widen_batch(&c);
  for (; ok && c.phase < p->train->n_phases; c.phase++) ok = check_phase(&c, room, &v);
  if (ok && !s->options->json && !s->options->quiet) {
    printf("%d parameters, worst relative error %.1e: %s", v.checked, v.worst, v.wrong ? "WRONG" : "ok");
    if (v.unchecked) printf("; %d not checked", v.unchecked);
    printf("\n");
  }
  free(room);
  free(c.params);
  free(c.grads);
  return ok && !v.wrong ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- --dump-grads ------------------------------------------------------------------------- */

/* Each phase at the weights of now, without the updates between; NULL: the batch. */
typedef struct Dump {
  MtSession *s;
  int64_t rows;
  const MtPhase *phase;
  int n_losses;
  float first_loss;
  MtArchive archive;
  const char *suffix; /* of the gradients at hand */
} Dump;

static void record_phase(MtRun *run, void *data) {
  const Dump *d = data;
  if (d->phase) d->phase->gradients(run, (const void *const *)d->s->train.batch, d->rows);
  else mt_fetch(run, &d->s->train, d->rows);
}

static bool dump_phase(Dump *d, const MtPhase *phase) {
  d->phase = phase;
  return d->s->run.backend->play(&d->s->run, 0, record_phase, d);
}

/* "loss" and, of the second update on, "loss.1". */
static bool add_loss(Dump *d) {
  char name[32] = "loss";
  float loss;
  MtRun *run = &d->s->run;
  if (!run->backend->read(run, &loss, (float *)run->outputs + d->phase->loss, sizeof loss)) return false;
  if (d->n_losses) snprintf(name, sizeof name, "loss.%d", d->n_losses);
  else d->first_loss = loss;
  d->n_losses++;
  return mt_archive_add(&d->archive, name, MT_WIDE_F32, 0, NULL, &loss) || mt_error(&d->s->error, "out of memory");
}

static bool dump_tensor(void *data, const char *name, const MtTensor *tensor, float *values) {
  Dump *d = data;
  char whole[1100];
  snprintf(whole, sizeof whole, "%.1024s%s", name, d->suffix);
  return mt_archive_add(&d->archive, whole, MT_WIDE_F32, tensor->rank, tensor->shape, values) || mt_error(&d->s->error, "out of memory");
}

/* Of what an update moves that an earlier one moves too, "net.w.1". */
static bool add_gradients(Dump *d) {
  const MtProgram *p = d->s->program;
  const MtPhase *phase = d->phase;
  float *grads = d->s->host.params; /* the blocks' host copy serves as room */
  if (!d->s->run.backend->read(&d->s->run, grads, d->s->run.grads, (size_t)p->param_count * sizeof *grads)) return false;
  bool ok = true;
  char suffix[16];
  for (int i = 0; ok && i < p->n_params; i++) {
    const MtTensor *param = &p->params[i];
    int before = 0;
    if (!in_a_group(p->train, phase->first_group, phase->n_groups, param)) continue;
    for (int g = 0; g < phase->first_group; g++) before += in_a_group(p->train, g, 1, param);
    snprintf(suffix, sizeof suffix, ".%d", before);
    d->suffix = before ? suffix : "";
    ok = mt_each_block(param, "", grads + param->offset, dump_tensor, d);
  }
  return ok;
}

bool mt_dump_gradients(MtSession *s) {
  const MtTrain *train = s->program->train;
  Dump d = {.s = s, .rows = mt_least(s->train.capacity, s->train.rows)};
  bool ok = mt_begin_epoch(s, 0, 0) && dump_phase(&d, NULL);
  for (int p = 0; ok && p < train->n_phases; p++)
    ok = dump_phase(&d, &train->phases[p]) && (train->phases[p].loss < 0 || add_loss(&d)) && add_gradients(&d);
  ok = ok && mt_write_safetensors(s->options->dump_grads, NULL, &d.archive, &s->error);
  mt_archive_free(&d.archive);
  if (ok && !s->options->quiet && !s->options->json)
    printf("loss %.9g; gradients: %s\n", (double)d.first_loss, s->options->dump_grads);
  return ok;
}
