/* rematerialize_trial.c - what a program comes to in memory, found by compiling a copy.
 *
 * Which values are alive together is known when fuse, schedule and plan have
 * had their say, so they are asked: the graphs are copied into an arena of
 * their own and run through the rest of the pipeline.  Nothing of it is kept
 * but figures.
 */
#include <limits.h>
#include <string.h>

#include "passes/rematerialize.h"

static Graph *copy_graph(Program *program, Graph *graph) {
  if (!graph) return NULL;
  Graph *copy = graph_new(program, graph->name, NULL);
  copy->rows = graph->rows;
  graph_copy_whole(copy, graph);
  return copy;
}

static void copy_train(Program *to, const Program *from) {
  const Train *t = &from->train;
  to->train.graph = copy_graph(to, t->graph);
  to->train.phases = arena_alloc(to->arena, sizeof *t->phases * ((size_t)t->n_phases + 1));
  for (int i = 0; i < t->n_phases; i++) {
    to->train.phases[i] = t->phases[i];
    to->train.phases[i].graph = t->phases[i].graph == t->graph ? to->train.graph : copy_graph(to, t->phases[i].graph);
  }
  to->train.updates = arena_alloc(to->arena, sizeof *t->updates * ((size_t)t->n_updates + 1));
  for (int i = 0; i < t->n_updates; i++) to->train.updates[i] = t->updates[i];
}

static void copy_others(Program *to, const Program *from) {
  to->evals = arena_alloc(to->arena, sizeof *to->evals * ((size_t)from->n_evals + 1));
  for (int i = 0; i < from->n_evals; i++) {
    to->evals[i] = from->evals[i];
    to->evals[i].batch = copy_graph(to, from->evals[i].batch);
    to->evals[i].finish = copy_graph(to, from->evals[i].finish);
  }
  if (from->has_sample) to->sample.graph = copy_graph(to, from->sample.graph);
}

/* Passes that change declarations find their own here. */
static Program *copy_program(const Program *from, Arena *arena, bool others) {
  Program *to = arena_alloc(arena, sizeof *to);
  *to = *from;
  to->arena = arena;
  to->params = arena_alloc(arena, sizeof *to->params * ((size_t)from->n_params + 1));
  memcpy(to->params, from->params, sizeof *to->params * (size_t)from->n_params);
  to->states = arena_alloc(arena, sizeof *to->states * ((size_t)from->n_states + 1));
  if (from->n_states) memcpy(to->states, from->states, sizeof *to->states * (size_t)from->n_states);
  to->passes = NULL, to->n_passes = 0;
  for (int i = 0; i < from->n_passes; i++) LIST_PUSH(arena, to->passes, to->n_passes, from->passes[i]);
  copy_train(to, from);
  to->has_predict = false;
  if (others) copy_others(to, from);
  else to->n_evals = 0, to->has_sample = false;
  return to;
}

static void find_others(Trial *trial) {
  const Program *p = trial->program;
  trial->train = p->train.graph->arena_bytes;
  for (int i = 1; i < p->train.n_phases; i++)
    if (p->train.phases[i].graph->arena_bytes > trial->train) trial->train = p->train.phases[i].graph->arena_bytes;
  for (int i = 0; i < p->n_evals; i++) {
    if (p->evals[i].batch->arena_bytes > trial->others) trial->others = p->evals[i].batch->arena_bytes;
    if (p->evals[i].finish->arena_bytes > trial->others) trial->others = p->evals[i].finish->arena_bytes;
  }
  if (p->has_sample && p->sample.graph->arena_bytes > trial->others) trial->others = p->sample.graph->arena_bytes;
}

int64_t trial_total(const Trial *trial) {
  return trial->fixed + (trial->train > trial->others ? trial->train : trial->others);
}

/* `done`: the pass that counts as run besides those that were; NULL: none. */
Trial trial_run(PassContext *context, Arena *arena, bool others, const char *done, Change change, void *data) {
  Trial trial = {.program = copy_program(context->program, arena, others)};
  Diagnostics *d = diagnostics_new();
  PassContext inner = {.program = trial.program, .arena = arena, .diagnostics = d, .level = context->level,
                       .bisect_limit = LONG_MAX, .tries = true};
  if (change) change(&inner, data);
  if (done) LIST_PUSH(arena, trial.program->passes, trial.program->n_passes, done);
  trial.failed = !run_pipeline(&inner, NULL, NULL) || diagnostics_errors(d);
  diagnostics_free(d);
  if (trial.failed) return trial;
  trial.memory = program_memory(trial.program, arena);
  trial.fixed = trial.memory.total - trial.memory.arena;
  find_others(&trial);
  return trial;
}
