/* evaluation.c - an `eval` block over its whole data set.
 *
 * The model's function for a batch writes sums, minima and maxima; they are
 * gathered in double over all batches, and a second function makes the logs
 * of them once.  So sqrt(mean(...)) is that of the whole set, and a short last
 * batch counts by its rows.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/trainer.h"

typedef struct Recording {
  MtSession *s;
  const MtEval *eval;
  int64_t rows;
} Recording;

static void record_batch(MtRun *run, void *data) {
  const Recording *r = data;
  const MtTable *table = &r->s->tables[r->eval->data];
  int64_t at = 0;
  mt_fetch(run, table, r->rows);
  r->eval->batch(run, (const void *const *)table->batch, r->rows);
  for (int i = 0; i < r->eval->n_accumulators; i++) {
    const MtAccumulator *a = &r->eval->accumulators[i];
    const char *from = (const char *)run->outputs + a->output * run->real_size;
    run->backend->accumulate(run, r->s->eval_sums + at, from, a->count, a->combine, 1);
    at += a->count;
  }
  run->backend->advance(run, 0, r->rows);
}

enum { MOST_ACCUMULATORS = 64 };

static void record_finish(MtRun *run, void *data) {
  const Recording *r = data;
  const void *values[MOST_ACCUMULATORS];
  int64_t at = 0;
  for (int i = 0; i < r->eval->n_accumulators; i++) {
    values[i] = (const char *)r->s->eval_values + at * run->real_size;
    at += r->eval->accumulators[i].count;
  }
  run->backend->narrow(run, r->s->eval_values, r->s->eval_sums, at);
  r->eval->finish(run, values, r->rows);
}

static bool start_sums(MtSession *s, const MtEval *eval) {
  bool ok = true;
  int64_t at = 0;
  for (int i = 0; ok && i < eval->n_accumulators; i++) {
    const MtAccumulator *a = &eval->accumulators[i];
    double *start = malloc((size_t)a->count * sizeof *start + 1);
    if (!start) return mt_error(&s->error, "out of memory");
    for (int64_t k = 0; k < a->count; k++) start[k] = a->combine == '+' ? 0 : a->combine == '<' ? INFINITY : -INFINITY;
    ok = s->run.backend->write(&s->run, s->eval_sums + at, start, (size_t)a->count * sizeof *start);
    free(start);
    at += a->count;
  }
  return ok;
}

static bool read_logs(MtSession *s, const MtEval *eval, double *logs) {
  for (int i = 0; i < eval->n_logs; i++) {
    char value[8];
    float narrow;
    const char *from = (const char *)s->run.outputs + eval->logs[i].output * s->run.real_size;
    if (!s->run.backend->read(&s->run, value, from, (size_t)s->run.real_size)) return false;
    memcpy(&narrow, value, sizeof narrow);
    logs[i] = (double)narrow;
    if (s->run.real_size == 8) memcpy(&logs[i], value, sizeof logs[i]);
  }
  return true;
}

bool mt_evaluate(MtSession *s, int index, double *logs) {
  const MtEval *eval = &s->program->evals[index];
  const MtTable *table = &s->tables[eval->data];
  if (eval->n_accumulators > MOST_ACCUMULATORS)
    return mt_error(&s->error, "eval in %s: more than %d sums", table->data->name, MOST_ACCUMULATORS);
  if (!mt_pull_scalars(s) || !start_sums(s, eval)) return false;
  const MtScalars training = s->scalars;
  s->scalars.position = s->scalars.micro = 0;
  bool ok = mt_push_scalars(s);
  for (int64_t row = 0; ok && row < table->rows; row += table->capacity) {
    Recording r = {s, eval, mt_least(table->capacity, table->rows - row)};
    ok = s->run.backend->play(&s->run, mt_session_key(s, MT_KEY_EVAL, index, r.rows, 0, 0), record_batch, &r);
  }
  Recording r = {s, eval, table->rows};
  ok = ok && s->run.backend->play(&s->run, mt_session_key(s, MT_KEY_FINISH, index, 0, 0, 0), record_finish, &r) &&
       read_logs(s, eval, logs);
  s->scalars = training;
  return ok && mt_push_scalars(s);
}

/* ---- the command ---------------------------------------------------------------------- */

static void print_results(const MtSession *s, int index, const double *logs, bool *first) {
  const MtEval *eval = &s->program->evals[index];
  const char *data = s->program->data[eval->data].name;
  if (!s->options->json && s->program->n_evals > 1) printf("%s:", data);
  for (int i = 0; i < eval->n_logs; i++) {
    if (!s->options->json) {
      printf("%s%s %.6g", i ? "  " : s->program->n_evals > 1 ? " " : "", eval->logs[i].name, logs[i]);
      continue;
    }
    char name[300];
    bool prefix = s->program->n_evals > 1;
    snprintf(name, sizeof name, "%.100s%s%.100s", prefix ? data : "", prefix ? "." : "", eval->logs[i].name);
    if (!*first) printf(",");
    mt_json_text(stdout, name);
    printf(":");
    mt_json_number(stdout, logs[i]);
    *first = false;
  }
  if (!s->options->json) printf("\n");
}

typedef double Logs[MT_MAX_OUTPUTS];

static bool evaluate_all(MtSession *s, Logs *logs) {
  bool ok = logs || mt_error(&s->error, "out of memory");
  for (int i = 0; ok && i < s->program->n_evals; i++)
    ok = (s->program->evals[i].n_logs <= MT_MAX_OUTPUTS ||
          mt_error(&s->error, "an eval has more than %d logs", MT_MAX_OUTPUTS)) &&
         mt_evaluate(s, i, logs[i]);
  return ok;
}

/* Nothing is printed before everything is known: half an object is none. */
int mt_eval_command(MtSession *s) {
  char source[MT_PATH];
  Logs *logs = calloc((size_t)s->program->n_evals + 1, sizeof *logs);
  bool first = true, ok = mt_load_trained(s, source) && evaluate_all(s, logs);
  if (ok && !s->options->quiet && !s->options->json) printf("weights: %s\n", source);
  if (ok && s->options->json) printf("{");
  for (int i = 0; ok && i < s->program->n_evals; i++) print_results(s, i, logs[i], &first);
  if (ok && s->options->json) printf("}\n");
  free(logs);
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
