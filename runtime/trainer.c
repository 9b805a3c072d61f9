/* trainer.c - the training loop.
 *
 * An epoch visits every row once, in an order that is a pure function of seed
 * and epoch; a run stopped anywhere goes on from (step, epoch, row) to the
 * same bits.  Nothing waits for the device but lines, evaluations and saves:
 * a loss or gradient that is not finite sets `stop` in device memory, later
 * updates do nothing, and the loop finds out when it next looks.
 */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/trainer.h"

enum { EXIT_INTERRUPTED = 130, MAX_WATCHES = 32, LINES = 20 };

typedef struct Watch {        /* save highest NAME, save lowest NAME */
  const MtAction *action;
  int column;
  char name[128], tag[128];   /* in the checkpoint; in file names */
} Watch;

typedef struct Trainer {
  MtSession *s;
  const MtTrain *train;
  MtConsole *console;
  MtMoment at;
  int64_t row, rows_since_line, updates_per_epoch, line_every; /* line_every 0: at epoch ends */
  int64_t phase_rows[64];     /* since the last line, by phase */
  int64_t first_step;
  double begin, last_look, last_save;
  double *evaluated;          /* newest result by column */
  bool has_results;           /* evaluated since the last line */
  bool save_due;              /* `save` was met: it comes behind the line, which a resumed run would lose */
  bool newest_is_bad;         /* resumed from the checkpoint before it: the next save takes its place */
  int n_watches;
  Watch watches[MAX_WATCHES];
  const char *best_names[MAX_WATCHES];
  double best[MAX_WATCHES];
} Trainer;

/* ---- Ctrl-C -------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number) {
  (void)number;
  interrupted = 1;
}

static void catch_signals(void) {
  /* A second Ctrl-C ends at once; a write that is waiting goes on. */
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)(SA_RESETHAND | SA_RESTART)};
  interrupted = 0;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

/* ---- looking at the device --------------------------------------------------------------- */

/* Waits for the device; false when it failed or met a value that is not finite. */
static bool look(Trainer *t) {
  MtSession *s = t->s;
  t->last_look = mt_now();
  if (!mt_pull_scalars(s)) return false;
  if (!s->scalars.stop) return true;
  mt_console_clear(t->console);
  return mt_explain_nonfinite(s, mt_least(s->train.capacity, s->train.rows - s->scalars.position));
}

/* Means of the logs since the last line, then of the loss; NaN for what was not computed. */
static bool read_means(Trainer *t, double *means) {
  const MtTrain *train = t->train;
  double sums[MT_MAX_OUTPUTS];
  if (!t->s->run.backend->read(&t->s->run, sums, t->s->sums, (size_t)(train->n_logs + 1) * sizeof *sums)) return false;
  for (int i = 0; i < train->n_logs; i++)
    means[i] = sums[mt_log_sum(train, i)] / (double)t->phase_rows[mt_phase_of_log(train, i)];
  means[train->n_logs] = sums[mt_loss_sum(train)] / (double)t->rows_since_line;
  return true;
}

static bool write_line(Trainer *t) {
  double means[MT_MAX_OUTPUTS];
  if (!look(t)) return false;
  if (t->rows_since_line) {
    if (!read_means(t, means) || !t->s->run.backend->zero(&t->s->run, t->s->sums, MT_MAX_OUTPUTS * sizeof(double)))
      return false;
    for (int i = 0; i < t->train->n_logs; i++)
      if (t->phase_rows[mt_phase_of_log(t->train, i)]) mt_console_set(t->console, i, means[i]);
  }
  t->rows_since_line = 0;
  memset(t->phase_rows, 0, sizeof t->phase_rows);
  t->has_results = false;
  return mt_console_line(t->console, &t->at);
}

static bool draw_bar(Trainer *t) {
  double means[MT_MAX_OUTPUTS];
  means[t->train->n_logs] = NAN;
  if (t->rows_since_line && !read_means(t, means)) return false;
  mt_console_bar(t->console, &t->at, means[t->train->n_logs]);
  return true;
}

/* ---- saving ------------------------------------------------------------------------------- */

static bool save_checkpoint(Trainer *t) {
  MtSession *s = t->s;
  const MtBackend *device = s->run.backend;
  MtProgress p = {.step = t->at.step,
                  .epoch = t->at.epoch,
                  .row = t->row,
                  .seed = s->scalars.seed,
                  .n_best = t->n_watches,
                  .best_names = t->best_names,
                  .best_values = t->best,
                  .newest_is_bad = t->newest_is_bad,
                  .gemm = device->choices ? device->choices(&s->run) : NULL};
  bool ok = mt_pull_blocks(s, true) && mt_save_checkpoint(s->save_dir, s->program, &s->host, &p, &s->error);
  free(p.gemm);
  if (ok) t->newest_is_bad = false;
  t->last_save = mt_now();
  return ok;
}

static bool save_if_better(Trainer *t, const MtAction *action) {
  int w = 0;
  while (t->watches[w].action != action) w++;
  double value = t->evaluated[t->watches[w].column];
  if (isnan(value) || !(isnan(t->best[w]) || (action->kind == 'h' ? value > t->best[w] : value < t->best[w])))
    return true;
  t->best[w] = value;
  mt_console_note(t->console, "best");
  return mt_pull_blocks(t->s, false) && mt_save_instances(t->s, t->watches[w].tag);
}

static bool evaluate(Trainer *t, int eval) {
  double logs[MT_MAX_OUTPUTS];
  if (!look(t) || !mt_evaluate(t->s, eval, logs)) return false;
  for (int i = 0; i < t->s->program->evals[eval].n_logs; i++) {
    int column = mt_eval_column(t->s->program, eval, i);
    t->evaluated[column] = logs[i];
    mt_console_set(t->console, column, logs[i]);
  }
  t->has_results = true;
  return true;
}

static bool show_sample(Trainer *t) {
  if (!look(t)) return false;
  mt_console_clear(t->console);
  return mt_show_sample(t->s, t->at.step);
}

/* ---- every N steps|epochs -------------------------------------------------------------------- */

static bool act(Trainer *t, MtUnit unit, int64_t done) {
  bool ok = true;
  for (int i = 0; i < t->train->n_every; i++) {
    const MtEvery *every = &t->train->every[i];
    if (every->unit != unit || done % every->count) continue;
    for (int a = 0; ok && a < every->n_actions; a++) switch (every->actions[a].kind) {
      case 'e': ok = evaluate(t, every->actions[a].eval); break;
      case 's': t->save_due = true; break;
      case 't': ok = show_sample(t); break;
      default: ok = save_if_better(t, &every->actions[a]); break;
      }
  }
  return ok;
}

static int find_log(const MtProgram *program, const MtAction *action) {
  const MtEval *eval = &program->evals[action->eval];
  for (int i = 0; i < eval->n_logs; i++)
    if (!strcmp(eval->logs[i].name, action->log)) return mt_eval_column(program, action->eval, i);
  return -1;
}

static bool add_watch(Trainer *t, const MtAction *action) {
  const MtProgram *program = t->s->program;
  if (t->n_watches == MAX_WATCHES)
    return mt_error(&t->s->error, "%s saves the best of more than %d values", program->source, MAX_WATCHES);
  Watch *w = &t->watches[t->n_watches];
  w->action = action;
  w->column = find_log(program, action);
  if (w->column < 0)
    return mt_error(&t->s->error, "%s: `save` watches %s, which its eval does not log", program->source, action->log);
  snprintf(w->name, sizeof w->name, "%s.%.60s.%.50s", action->kind == 'h' ? "highest" : "lowest",
           program->data[program->evals[action->eval].data].name, action->log);
  t->best_names[t->n_watches] = w->name;
  t->best[t->n_watches++] = NAN;
  return true;
}

/* A single watch saves as NAME.best; several say what they are the best of. */
static bool find_watches(Trainer *t) {
  bool ok = true;
  for (int i = 0; i < t->train->n_every; i++)
    for (int a = 0; ok && a < t->train->every[i].n_actions; a++)
      if (strchr("hl", t->train->every[i].actions[a].kind)) ok = add_watch(t, &t->train->every[i].actions[a]);
  for (int w = 0; w < t->n_watches; w++)
    snprintf(t->watches[w].tag, sizeof t->watches[w].tag, "%s", t->n_watches == 1 ? "best" : t->watches[w].name);
  return ok;
}

/* ---- the loop ----------------------------------------------------------------------------------- */

/* Does the host have something to do after update `done`, at row `row` of the epoch? */
static bool is_pause(const Trainer *t, int64_t done, int64_t row) {
  bool pause = row >= t->s->train.rows || done >= t->at.total || (t->line_every && done % t->line_every == 0);
  if (t->s->options->stop_after) pause |= done - t->first_step >= t->s->options->stop_after;
  for (int i = 0; i < t->train->n_every; i++)
    pause |= t->train->every[i].unit == MT_STEPS && done % t->train->every[i].count == 0;
  return pause;
}

/* Small steps go to the device several at a time: as many as nothing stands between. */
static bool several(const Trainer *t) {
  int64_t rows = t->s->train.capacity;
  bool can = t->train->accumulate == 1 && t->s->program->param_count < MT_SMALL_MODEL && !t->has_results &&
             t->row + MT_STEPS_A_PLAY * rows <= t->s->train.rows;
  for (int p = 0; p < t->train->n_phases; p++) can = can && t->train->phases[p].every == 1;
  for (int64_t k = 1; can && k < MT_STEPS_A_PLAY; k++) can = !is_pause(t, t->at.step + k, t->row + k * rows);
  return can;
}

static void count_rows(Trainer *t, uint64_t phases, int64_t rows) {
  t->row += rows;
  t->rows_since_line += rows;
  for (int p = 0; p < t->train->n_phases; p++)
    if (phases >> p & 1) t->phase_rows[p] += rows;
}

static bool update_several(Trainer *t) {
  int64_t rows = t->s->train.capacity * MT_STEPS_A_PLAY;
  if (!mt_play_steps(t->s, t->s->train.capacity, MT_STEPS_A_PLAY)) return false;
  count_rows(t, mt_phases_at(t->train, 0), rows);
  t->at.step += MT_STEPS_A_PLAY;
  return true;
}

static bool update(Trainer *t) {
  const MtTable *table = &t->s->train;
  int64_t group = mt_least(t->train->accumulate * table->capacity, table->rows - t->row);
  uint64_t phases = mt_phases_at(t->train, t->at.step);
  for (int64_t done = 0; done < group;) {
    int64_t rows = mt_least(table->capacity, group - done);
    if (!mt_play_step(t->s, (MtStepPlan){rows, group, done == 0, done + rows == group, phases})) return false;
    done += rows;
  }
  count_rows(t, phases, group);
  t->at.step++;
  return true;
}

static bool after_update(Trainer *t) {
  t->at.ends_epoch = t->row == t->s->train.rows;
  if (t->at.ends_epoch) {
    t->at.epoch++;
    t->row = 0;
  }
  bool ok = act(t, MT_STEPS, t->at.step) && (!t->at.ends_epoch || act(t, MT_EPOCHS, t->at.epoch));
  bool due = t->line_every ? t->at.step % t->line_every == 0 : t->at.ends_epoch;
  if (ok && (due || t->has_results)) ok = write_line(t);
  if (ok && mt_now() - t->last_look > 0.2) ok = look(t);
  if (ok && mt_console_wants_bar(t->console)) ok = draw_bar(t);
  if (ok && t->at.ends_epoch && mt_now() - t->last_save > 1) t->save_due = true; /* at most one a second */
  if (ok && t->save_due) ok = look(t) && save_checkpoint(t);
  t->save_due = false;
  return ok;
}

static bool is_over(const Trainer *t) {
  return interrupted || t->at.step >= t->at.total ||
         (t->s->options->stop_after && t->at.step - t->first_step >= t->s->options->stop_after);
}

static bool loop(Trainer *t) {
  bool ok = true;
  while (ok && !is_over(t)) {
    ok = mt_begin_epoch(t->s, t->at.epoch, t->row);
    do ok = ok && (several(t) ? update_several(t) : update(t)) && after_update(t);
    while (ok && !t->at.ends_epoch && !is_over(t));
    ok = ok && look(t); /* before the next epoch's place overwrites this one's */
  }
  return ok && (!t->rows_since_line || write_line(t));
}

/* ---- before and after ----------------------------------------------------------------------------- */

static void plan(Trainer *t) {
  const MtOptions *o = t->s->options;
  int64_t batches = (t->s->train.rows + t->s->train.capacity - 1) / t->s->train.capacity;
  t->updates_per_epoch = (batches + t->train->accumulate - 1) / t->train->accumulate;
  MtUnit unit = o->epochs ? MT_EPOCHS : o->steps ? MT_STEPS : t->train->unit;
  int64_t count = o->epochs ? o->epochs : o->steps ? o->steps : t->train->count;
  t->at.total = unit == MT_EPOCHS ? count * t->updates_per_epoch : count;
  t->at.epochs = unit == MT_EPOCHS ? count : 0;
  t->line_every = o->log_every              ? o->log_every
                  : unit == MT_EPOCHS       ? 0
                  : t->at.total / LINES > 0 ? t->at.total / LINES
                                            : 1;
  t->s->scalars.total = t->at.total;
}

static bool resume(Trainer *t) {
  MtSession *s = t->s;
  char note[512] = "";
  MtProgress p = {.n_best = t->n_watches, .best_names = t->best_names, .best_values = t->best};
  if (!mt_load_checkpoint(s->save_dir, s->program, &s->host, &p, note, &s->error)) return false;
  if (note[0]) fprintf(stderr, "%s: warning: %s\n", s->program->name, note);
  bool ok = !p.gemm || !s->run.backend->choose || s->run.backend->choose(&s->run, p.gemm);
  free(p.gemm);
  if (s->options->seed_given && s->options->seed != p.seed)
    return mt_error(&s->error, "--seed %llu: the checkpoint in %s was made with seed %llu",
                    (unsigned long long)s->options->seed, s->save_dir, (unsigned long long)p.seed);
  if (p.row >= s->train.rows)
    return mt_error(&s->error,
                    "the checkpoint in %s stands at row %lld of data %s, which has %lld: go on with the data it "
                    "was made with",
                    s->save_dir, (long long)p.row, s->train.data->name, (long long)s->train.rows);
  t->newest_is_bad = p.newest_is_bad;
  s->scalars.seed = p.seed;
  s->scalars.step = t->at.step = p.step;
  t->at.epoch = p.epoch;
  t->row = p.row;
  return ok && mt_push_blocks(s, true);
}

static bool exports_are_writable(Trainer *t) {
  bool ok = true;
  for (int i = 0; ok && i < t->s->options->n_export; i++) {
    const char *path = t->s->options->export[i], *equals = strchr(path, '=');
    bool named = false;
    for (int r = 0; equals && r < t->s->n_roots; r++)
      named = named || !strncmp(t->s->roots[r], path, (size_t)(equals - path));
    ok = mt_can_write(t->s, named ? equals + 1 : path);
  }
  return ok;
}

static bool prepare(Trainer *t) {
  MtSession *s = t->s;
  char path[MT_PATH];
  snprintf(path, sizeof path, "%s/%s.checkpoint.safetensors", s->save_dir, s->program->name);
  if (t->train->n_logs >= MT_MAX_OUTPUTS)
    return mt_error(&s->error, "%s logs more than %d values", s->program->source, MT_MAX_OUTPUTS - 1);
  for (int e = 0; e < s->program->n_evals; e++)
    if (s->program->evals[e].n_logs > MT_MAX_OUTPUTS)
      return mt_error(&s->error, "an eval of %s logs more than %d values", s->program->source, MT_MAX_OUTPUTS);
  plan(t);
  t->evaluated = calloc((size_t)mt_eval_column(s->program, s->program->n_evals, 0) + 1, sizeof *t->evaluated);
  if (!t->evaluated) return mt_error(&s->error, "out of memory");
  bool ok = find_watches(t) && mt_make_folder(s, s->save_dir);
  if (ok) mt_sweep_folder(s->save_dir);
  ok = ok && mt_can_write(s, path) && exports_are_writable(t);
  ok = ok && (!s->options->resume || resume(t)) && mt_push_scalars(s) && mt_scale_rate(s);
  t->first_step = t->at.step;
  ok = ok && (!s->program->sample || mt_sampler_open(s, MT_SHOWN_TOKENS + 1));
  return ok && (t->console = mt_console_open(s, t->at.step));
}

static void print_start(const Trainer *t) {
  const MtSession *s = t->s;
  char count[3][32];
  if (s->options->quiet || s->options->json) return;
  printf("%s on %s: %s parameters, %s rows, %s updates", s->program->name, s->run.backend->describe(&t->s->run),
         mt_grouped(count[0], mt_parameters(s->program)), mt_grouped(count[1], s->train.rows),
         mt_grouped(count[2], t->at.total));
  if (t->at.epochs) printf(" in %lld epoch%s", (long long)t->at.epochs, t->at.epochs == 1 ? "" : "s");
  if (t->at.step) printf(", going on at %lld", (long long)t->at.step);
  printf("\n");
  fflush(stdout);
}

/* The command that goes on from here: the one given, with --resume and without --init and --stop-after. */
static void print_resume(const MtOptions *o) {
  printf("resume with:");
  for (int i = 0; i < o->argc; i++) {
    const char *word = o->argv[i];
    bool drop = !strncmp(word, "--init", 6) || !strncmp(word, "--stop-after", 12);
    if (drop && !strchr(word, '=')) i++;
    if (!drop && strcmp(word, "--resume")) printf(" %s", word);
  }
  printf(" --resume\n");
}

static void print_end(const Trainer *t) {
  const MtSession *s = t->s;
  char count[32];
  double seconds = mt_now() - t->begin;
  if (s->options->quiet || s->options->json) return;
  if (t->first_step >= t->at.total)
    printf("nothing is left to train: %lld of %lld updates are done\n", (long long)t->at.step, (long long)t->at.total);
  else if (t->at.step < t->at.total)
    printf("stopped after %s of %lld updates\n", mt_grouped(count, t->at.step), (long long)t->at.total);
  else
    printf("%s updates in %.1f s (%.0f a second)\n", mt_grouped(count, t->at.step - t->first_step), seconds,
           (double)(t->at.step - t->first_step) / (seconds > 0 ? seconds : 1));
  for (int w = 0; w < t->n_watches; w++)
    if (!isnan(t->best[w]))
      printf("%s %s %.6g: %s/%s.%s.safetensors\n", t->watches[w].action->kind == 'h' ? "highest" : "lowest",
             t->watches[w].action->log, t->best[w], s->save_dir,
             s->n_roots && s->roots[0][0] ? s->roots[0] : s->program->name, t->watches[w].tag);
  if (t->at.step < t->at.total) print_resume(s->options);
  else
    for (int i = 0; i < s->n_roots; i++)
      printf("weights: %s/%s.safetensors\n", s->save_dir, s->roots[i][0] ? s->roots[i] : s->program->name);
  printf("checkpoint: %s/%s.checkpoint.safetensors\n", s->save_dir, s->program->name);
}

static bool finish(Trainer *t) {
  bool done = t->at.step >= t->at.total;
  mt_console_clear(t->console);
  bool ok = save_checkpoint(t) && (!done || mt_save_instances(t->s, ""));
  if (ok) print_end(t);
  bool say = !t->s->options->quiet && !t->s->options->json;
  return ok && (!done || mt_give_export(t->s, say ? stdout : NULL));
}

int mt_train(MtSession *s) {
  if (s->options->dump_grads) return mt_dump_gradients(s) ? EXIT_SUCCESS : EXIT_FAILURE;
  Trainer t = {.s = s, .train = s->program->train};
  catch_signals();
  bool ok = prepare(&t);
  if (ok) {
    print_start(&t);
    t.begin = t.last_look = t.last_save = mt_now();
    ok = loop(&t) && finish(&t);
  }
  mt_console_close(t.console);
  free(t.evaluated);
  return !ok ? EXIT_FAILURE : t.at.step < t.at.total && interrupted ? EXIT_INTERRUPTED : EXIT_SUCCESS;
}
