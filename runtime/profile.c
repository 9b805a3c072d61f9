/* profile.c - `bench --profile`: what each kernel of a step takes, beside what the compiler's model says.
 *
 * Steps run launch by launch; STEP and LAUNCH tell of each call.  Calls of one
 * name are one line: the median over steps of the time they take together.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/trainer.h"

enum { NAME = 96, STEPS = 15, MOST_STEPS = 1000 };

typedef struct Line {
  char name[NAME];
  double calls;              /* a step */
  double seconds;            /* of the step that runs */
  double *samples, median;
  const MtCost *cost;        /* NULL: the model does not know it */
} Line;

typedef struct MtProfile {
  MtSession *session;
  int n, step, steps;
  Line *lines;
  double weight;             /* of a call: a phase of every fifth step counts a fifth */
  int depth;                 /* a call within a call is part of it */
  char name[NAME];
  int64_t product[4];        /* batch, m, n, k; batch 0: it is none */
  const char *precision;
  double begin;
  int n_timed, line[MT_TIMED]; /* calls whose time the device still has */
  double weights[MT_TIMED];
} MtProfile;

/* ---- while a step runs ---- */

static const MtCost *cost_of(const MtTrain *train, const char *name) {
  for (int i = 0; i < train->n_costs; i++)
    if (!strcmp(train->costs[i].kernel, name)) return &train->costs[i];
  return NULL;
}

/* Its position, or -1 after a message. */
static int line_of(MtRun *run, const char *name) {
  MtProfile *p = run->profile;
  for (int i = 0; i < p->n; i++)
    if (!strcmp(p->lines[i].name, name)) return i;
  Line *more = realloc(p->lines, (size_t)(p->n + 1) * sizeof *more);
  if (more) p->lines = more;
  double *samples = more ? calloc((size_t)p->steps, sizeof *samples) : NULL;
  if (!samples) return mt_fail(run, "out of memory"), -1;
  Line *line = &p->lines[p->n];
  *line = (Line){.samples = samples, .cost = cost_of(run->program->train, name)};
  memcpy(line->name, name, NAME);
  return p->n++;
}

static void add_time(MtProfile *p, int line, double weight, double seconds) {
  if (p->step == 0) p->lines[line].calls += weight;
  p->lines[line].seconds += weight * seconds;
}

static void read_times(MtRun *run) {
  MtProfile *p = run->profile;
  double seconds[MT_TIMED];
  if (p->n_timed && run->backend->times(run, p->n_timed, seconds))
    for (int i = 0; i < p->n_timed; i++) add_time(p, p->line[i], p->weights[i], seconds[i]);
  p->n_timed = 0;
}

void mt_profile_begin(MtRun *run, const char *call) {
  MtProfile *p = run->profile;
  if (p->depth++) return;
  call += strspn(call, "(");
  snprintf(p->name, NAME, "%.*s", (int)strcspn(call, "(< "), call); /* without arguments */
  p->product[0] = 0;
  if (run->backend->time_begin) run->backend->time_begin(run, p->n_timed);
  else p->begin = mt_now();
}

/* Its name is written when it is over. */
void mt_profile_product(MtRun *run, MtGemmKind kind, int64_t batch, int64_t m, int64_t n, int64_t k) {
  MtProfile *p = run->profile;
  p->product[0] = batch, p->product[1] = m, p->product[2] = n, p->product[3] = k;
  p->precision = kind != MT_OF_REAL ? "bf16" : run->program->train->tf32 ? "tf32" : "f32";
}

static void name_product(MtProfile *p) {
  const int64_t *g = p->product;
  char batch[32] = "";
  if (g[0] != 1) snprintf(batch, sizeof batch, "%lld of ", (long long)g[0]);
  snprintf(p->name, NAME, "gemm %s%lld x %lld x %lld %s", batch, (long long)g[1], (long long)g[2], (long long)g[3], p->precision);
}

void mt_profile_end(MtRun *run) {
  MtProfile *p = run->profile;
  double seconds = 0;
  if (--p->depth) return;
  if (run->backend->time_end) run->backend->time_end(run, p->n_timed);
  else run->backend->wait(run), seconds = mt_now() - p->begin;
  if (p->product[0]) name_product(p);
  int line = line_of(run, p->name);
  if (line < 0) return;
  if (!run->backend->time_end) {
    add_time(p, line, p->weight, seconds);
    return;
  }
  p->line[p->n_timed] = line;
  p->weights[p->n_timed] = p->weight;
  if (++p->n_timed == MT_TIMED) read_times(run);
}

/* ---- steps ---- */

static void record(MtRun *run, void *data) {
  MtProfile *p = data;
  const MtTrain *train = run->program->train;
  run->profile = p;
  for (int i = 0; i < train->n_phases && !run->error[0]; i++) {
    p->weight = 1 / (double)train->phases[i].every;
    mt_bench_phase(run, p->session, i, i + 1 == train->n_phases);
  }
  read_times(run);
  run->profile = NULL;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int by_time(const void *a, const void *b) {
  const Line *x = a, *y = b;
  if (x->median != y->median) return x->median < y->median ? 1 : -1;
  return strcmp(x->name, y->name);
}

static bool run_steps(MtSession *s, MtProfile *p) {
  for (p->step = 0; p->step < p->steps; p->step++) {
    if (!s->run.backend->wait(&s->run) || !s->run.backend->play(&s->run, 0, record, p)) return false;
    for (int i = 0; i < p->n; i++) {
      p->lines[i].samples[p->step] = p->lines[i].seconds;
      p->lines[i].seconds = 0;
    }
  }
  for (int i = 0; i < p->n; i++) {
    qsort(p->lines[i].samples, (size_t)p->steps, sizeof(double), ascending);
    p->lines[i].median = p->lines[i].samples[p->steps / 2];
  }
  if (p->n) qsort(p->lines, (size_t)p->n, sizeof *p->lines, by_time);
  return s->run.backend->wait(&s->run);
}

/* ---- what it says ---- */

typedef struct Totals { double seconds, model; } Totals;

static Totals totals_of(const MtProfile *p) {
  Totals t = {0, 0};
  for (int i = 0; i < p->n; i++) {
    t.seconds += p->lines[i].median;
    if (p->lines[i].cost) t.model += p->lines[i].cost->seconds;
  }
  return t;
}

/* Modelled in measured time, bytes and operations a second; "-" where there is no telling. */
static void print_line(const Line *l, const Totals *t, int width) {
  printf("%-*s  %6.4g x %9.5f  %9.5f  %5.1f%%", width, l->name, l->calls, l->median * 1e3 / l->calls, l->median * 1e3,
         t->seconds > 0 ? 100 * l->median / t->seconds : 0);
  if (l->cost && l->median > 0)
    printf("  %9.5f  %6.0f%%  %8.4g  %8.4g\n", l->cost->seconds * 1e3, 100 * l->cost->seconds / l->median,
           l->cost->bytes / l->median / 1e9, l->cost->operations / l->median / 1e9);
  else
    printf("  %9s  %7s  %8s  %8s\n", "-", "-", "-", "-");
}

static void print_table(const MtSession *s, const MtProfile *p, const Totals *t) {
  int width = (int)strlen("kernel");
  for (int i = 0; i < p->n; i++)
    if ((int)strlen(p->lines[i].name) > width) width = (int)strlen(p->lines[i].name);
  printf("%s, target %s, %s: %.4f ms a step, launch by launch (medians of %d steps)", s->program->name,
         s->run.backend->target, s->run.backend->describe((MtRun *)&s->run), t->seconds * 1e3, p->steps);
  if (t->model > 0) printf("; %.4f ms by the model of %s", t->model * 1e3, s->program->train->modelled);
  printf("\n\n");
  printf("%-*s  %18s  %9s  %6s  %9s  %7s  %8s  %8s\n", width, "kernel", "calls x ms", "ms a step", "share", "model ms",
         "reached", "GB/s", "Gop/s");
  for (int i = 0; i < p->n; i++) print_line(&p->lines[i], t, width);
}

static void json_field(const char *name, double value) {
  printf(",\"%s\":", name);
  mt_json_number(stdout, value);
}

static void print_json(const MtSession *s, const MtProfile *p, const Totals *t) {
  printf("{\"model\":");
  mt_json_text(stdout, s->program->name);
  printf(",\"target\":\"%s\",\"device\":", s->run.backend->target);
  mt_json_text(stdout, s->run.backend->describe((MtRun *)&s->run));
  json_field("ms", t->seconds * 1e3);
  json_field("model_ms", t->model * 1e3);
  printf(",\"model_of\":");
  mt_json_text(stdout, s->program->train->modelled ? s->program->train->modelled : "");
  printf(",\"kernels\":[");
  for (int i = 0; i < p->n; i++) {
    const Line *l = &p->lines[i];
    printf("%s{\"kernel\":", i ? "," : "");
    mt_json_text(stdout, l->name);
    json_field("calls", l->calls);
    json_field("ms", l->median * 1e3);
    if (l->cost) json_field("model_ms", l->cost->seconds * 1e3);
    if (l->cost) json_field("bytes", l->cost->bytes), json_field("operations", l->cost->operations);
    printf("}");
  }
  printf("]}\n");
}

bool mt_profile(MtSession *s) {
  MtProfile p = {.session = s, .steps = STEPS};
  if (s->options->steps) p.steps = s->options->steps < MOST_STEPS ? (int)s->options->steps : MOST_STEPS;
  bool ok = run_steps(s, &p);
  Totals t = totals_of(&p);
  if (ok && s->options->json) print_json(s, &p, &t);
  else if (ok) print_table(s, &p, &t);
  for (int i = 0; i < p.n; i++) free(p.lines[i].samples);
  free(p.lines);
  return ok;
}
