/* bench.c - times training steps on one resident batch: forward, backward and
 * optimizer, as comparisons between frameworks do it.  Fetching rows, logs
 * and the check for values that are not finite are left out.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/trainer.h"

static void record_fetch(MtRun *run, void *data) {
  MtSession *s = data;
  mt_fetch(run, &s->train, mt_least(s->train.capacity, s->train.rows));
}

void mt_bench_phase(MtRun *run, MtSession *s, int phase, bool ends) {
  const MtTrain *train = s->program->train;
  const MtPhase *p = &train->phases[phase];
  p->gradients(run, (const void *const *)s->train.batch, mt_least(s->train.capacity, s->train.rows));
  MtEnd end = mt_end_of(train, phase, 0, NULL);
  end.loss = -1, end.ends = ends;
  if (p->update) mt_update_phase(run, phase, &end);
  else mt_finish(run, &end);
}

static void record_step(MtRun *run, MtSession *s, uint64_t phases) {
  for (int p = 0; p < s->program->train->n_phases; p++)
    if (phases >> p & 1) mt_bench_phase(run, s, p, phases >> p == 1);
}

typedef struct Recording {
  MtSession *s;
  uint64_t phases;
} Recording;

static void record_one(MtRun *run, void *data) {
  const Recording *r = data;
  record_step(run, r->s, r->phases);
}

static void record_several(MtRun *run, void *data) {
  for (int i = 0; i < MT_STEPS_A_PLAY; i++) record_one(run, data);
}

static bool is_always_the_same(const MtTrain *train) {
  bool same = true;
  for (int p = 0; p < train->n_phases; p++) same = same && train->phases[p].every == 1;
  return same;
}

/* Seconds for `steps` steps, several to a play where training does so; negative after a failure. */
static double time_steps(MtSession *s, int64_t steps) {
  const MtBackend *device = s->run.backend;
  const MtTrain *train = s->program->train;
  int64_t several = mt_session_key(s, MT_KEY_BENCH, MT_STEPS_A_PLAY, 0, 0, 0);
  bool small = train->accumulate == 1 && s->program->param_count < MT_SMALL_MODEL && is_always_the_same(train),
       ok = device->wait(&s->run);
  double begin = mt_now();
  for (int64_t i = 0; ok && i < steps;) {
    bool many = small && i + MT_STEPS_A_PLAY <= steps;
    Recording r = {s, mt_phases_at(train, i)};
    int64_t one = mt_session_key(s, MT_KEY_BENCH, 1, (int64_t)r.phases, 0, 0);
    ok = many ? device->play(&s->run, several, record_several, &r) : device->play(&s->run, one, record_one, &r);
    i += many ? MT_STEPS_A_PLAY : 1;
  }
  ok = ok && s->run.backend->wait(&s->run);
  return ok ? mt_now() - begin : -1;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

enum { ROUNDS = 15, WARM_STEPS = 3 * MT_STEPS_A_PLAY };
static const double round_seconds = 0.3;

/* So many steps that a round is long against the clock's and the system's noise. */
static int64_t steps_a_round(MtSession *s) {
  if (s->options->steps) return s->options->steps;
  int64_t steps = 1;
  for (double seconds = 0; (seconds = time_steps(s, steps)) >= 0 && seconds < round_seconds / 4;) steps *= 2;
  double seconds = time_steps(s, steps);
  int64_t wanted = seconds > 0 ? (int64_t)(round_seconds / seconds * (double)steps) + 1 : steps;
  return wanted > 0 ? wanted : 1;
}

static void print(const MtSession *s, const double *ms, int64_t steps) {
  double mib = (double)s->run.backend->peak(&s->run) / 1048576.0, median = ms[ROUNDS / 2];
  if (s->options->json) {
    printf("{\"model\":");
    mt_json_text(stdout, s->program->name);
    printf(",\"target\":\"%s\",\"ms\":%.6g,\"min\":%.6g,\"max\":%.6g,\"peak_MiB\":%.1f}\n", s->run.backend->target,
           median, ms[0], ms[ROUNDS - 1], mib);
    return;
  }
  printf("%s, target %s: %.4g ms a step (%.4g to %.4g; median of %d rounds of %lld steps), %.1f MiB at most\n",
         s->program->name, s->run.backend->target, median, ms[0], ms[ROUNDS - 1], ROUNDS, (long long)steps, mib);
}

/* For a driver that takes turns between programs: each line, a number of steps, is answered by the seconds they took and
 * the bytes allocated at most. */
static int serve(MtSession *s, double first) {
  char line[64], *end;
  printf("ready %.3f\n", first);
  while (fflush(stdout) == 0 && fgets(line, sizeof line, stdin)) {
    int64_t steps = strtoll(line, &end, 10);
    if (end == line || steps < 1) {
      line[strcspn(line, "\n")] = 0;
      snprintf(s->error.text, sizeof s->error.text, "bench --serve: a line of standard input is no number of steps: %s", line);
      return EXIT_FAILURE;
    }
    double seconds = time_steps(s, steps);
    if (seconds < 0) return EXIT_FAILURE;
    printf("%.9g %zu\n", seconds, s->run.backend->peak(&s->run));
  }
  return EXIT_SUCCESS;
}

int mt_bench(MtSession *s) {
  double ms[ROUNDS], begin = mt_now();
  int64_t steps;
  s->scalars.total = INT32_MAX; /* schedules stay near their beginning */
  bool ok = mt_push_scalars(s) && mt_begin_epoch(s, 0, 0) && s->run.backend->play(&s->run, 0, record_fetch, s) &&
            time_steps(s, WARM_STEPS) >= 0;
  if (ok && s->options->profile) return mt_profile(s) ? EXIT_SUCCESS : EXIT_FAILURE;
  if (ok && s->options->serve) return serve(s, mt_now() - begin);
  if (!ok || (steps = steps_a_round(s)) < 1) return EXIT_FAILURE;
  for (int i = 0; ok && i < ROUNDS; i++) {
    double seconds = time_steps(s, steps);
    ok = seconds >= 0;
    ms[i] = seconds * 1e3 / (double)steps;
  }
  if (!ok) return EXIT_FAILURE;
  qsort(ms, ROUNDS, sizeof ms[0], compare);
  print(s, ms, steps);
  return EXIT_SUCCESS;
}
