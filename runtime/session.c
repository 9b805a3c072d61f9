/* session.c - one run of one command: the device, the blocks, the data sets.
 *
 * Everything a step touches is allocated here, once.  One arena and one block
 * of outputs serve all functions of the program, as large as the largest
 * needs.  Sets lie on the device whole; a batch is gathered from them there.
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/random.h"
#include "runtime/trainer.h"

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

bool mt_session_alloc(MtSession *s, void **out, size_t bytes, const char *what) {
  *out = s->run.backend->alloc(&s->run, larger(bytes, 64));
  return *out || mt_error(&s->error, "%s: %s", what, s->run.error);
}

bool mt_push_scalars(MtSession *s) {
  return s->run.backend->write(&s->run, s->run.scalars, &s->scalars, sizeof s->scalars);
}
bool mt_pull_scalars(MtSession *s) {
  return s->run.backend->read(&s->run, &s->scalars, s->run.scalars, sizeof s->scalars);
}

int64_t mt_session_key(MtSession *s, int64_t what, int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t key[5] = {what, a, b, c, d};
  for (int i = 0; i < s->n_keys; i++)
    if (!memcmp(s->keys[i], key, sizeof key)) return i + 1;
  int64_t (*more)[5] = realloc(s->keys, (size_t)(s->n_keys + 1) * sizeof *more);
  if (!more) return 0; /* not kept: recorded anew each time */
  s->keys = more;
  memcpy(s->keys[s->n_keys], key, sizeof key);
  return ++s->n_keys;
}

/* ---- instances ------------------------------------------------------------------- */

static bool add_root(MtSession *s, const char *name) {
  const char *dot = strchr(name, '.');
  int length = dot ? (int)(dot - name) : 0;
  for (int i = 0; i < s->n_roots; i++)
    if (!strncmp(s->roots[i], name, (size_t)length) && !s->roots[i][length]) return true;
  if (s->n_roots == MT_MAX_ROOTS || length >= (int)sizeof s->roots[0])
    return mt_error(&s->error, "%s has more than %d instances", s->program->source, MT_MAX_ROOTS);
  snprintf(s->roots[s->n_roots++], sizeof s->roots[0], "%.*s", length, name);
  return true;
}

static bool find_roots(MtSession *s) {
  bool ok = true;
  for (int i = 0; ok && i < s->program->n_params; i++) ok = add_root(s, s->program->params[i].name);
  for (int i = 0; ok && i < s->program->n_states; i++) ok = add_root(s, s->program->states[i].name);
  return ok;
}

/* ---- blocks ------------------------------------------------------------------------ */

static int most_slots(const MtProgram *program) {
  int n = 0;
  for (int g = 0; program->train && g < program->train->n_groups; g++)
    if (program->train->groups[g].n_slots > n) n = program->train->groups[g].n_slots;
  return n;
}

int64_t mt_slot_count(const MtProgram *program) {
  int64_t n = program->param_count;
  for (int g = 0; program->train && g < program->train->n_groups; g++) {
    int64_t end = program->train->groups[g].slots_at + program->train->groups[g].count;
    if (end > n) n = end;
  }
  return n;
}

static bool host_block(MtSession *s, float **out, int64_t count) {
  *out = calloc((size_t)count + 1, sizeof **out);
  return *out || mt_error(&s->error, "out of memory for %lld values", (long long)count);
}

static bool open_blocks(MtSession *s, int needs) {
  const MtProgram *p = s->program;
  size_t real = (size_t)s->run.real_size, bytes = (size_t)p->param_count * real;
  int slots = most_slots(p);
  bool ok = host_block(s, &s->host.params, p->param_count) && host_block(s, &s->host.states, p->state_count);
  for (int i = 0; ok && i < slots; i++) ok = host_block(s, &s->host.slots[i], mt_slot_count(p));
  ok = ok && mt_session_alloc(s, &s->run.params, bytes, "parameters") &&
       mt_session_alloc(s, &s->run.states, (size_t)p->state_count * real, "states");
  if (ok && needs & MT_NEED_TRAIN && p->state_count) {
    ok = mt_session_alloc(s, &s->run.new_states, (size_t)p->state_count * real, "states");
    s->run.state_count = p->state_count;
  }
  if (ok && needs & MT_NEED_TRAIN) ok = mt_session_alloc(s, &s->run.grads, bytes, "gradients");
  s->micro_grads = s->run.grads;
  if (ok && needs & MT_NEED_UPDATES && p->train->accumulate > 1)
    ok = mt_session_alloc(s, &s->micro_grads, bytes, "gradients of a micro-batch");
  for (int i = 0; ok && needs & MT_NEED_UPDATES && i < (slots ? slots : 1); i++)
    ok = mt_session_alloc(s, &s->run.slots[i], (size_t)mt_slot_count(p) * real, "optimizer state");
  return ok;
}

static bool open_room(MtSession *s, int needs) {
  const MtProgram *p = s->program;
  size_t arena = 0, accumulators = 0;
  int64_t outputs = 0;
  MtSize sizes[2] = {0};
  if (needs & MT_NEED_TRAIN) sizes[0] = p->train->size;
  if (needs & MT_NEED_PREDICT) sizes[1] = p->predict->size;
  if (needs & MT_NEED_SAMPLE) sizes[1] = mt_scores(p)->size;
  if (needs & MT_NEED_TRAIN && p->sample) sizes[1] = p->sample->size;
  for (int e = -1; e < (needs & MT_NEED_EVALS ? p->n_evals : 0); e++) {
    MtSize more[2] = {sizes[0], sizes[1]};
    if (e >= 0) {
      more[0] = p->evals[e].batch_size;
      more[1] = p->evals[e].finish_size;
      size_t count = 0;
      for (int a = 0; a < p->evals[e].n_accumulators; a++) count += (size_t)p->evals[e].accumulators[a].count;
      accumulators = larger(accumulators, count);
    }
    for (int i = 0; i < 2; i++) {
      arena = larger(arena, more[i].arena);
      if (more[i].outputs > outputs) outputs = more[i].outputs;
    }
  }
  void *scalars = NULL, *sums = NULL, *eval_sums = NULL;
  bool ok = mt_session_alloc(s, &s->run.arena, mt_arena_bytes((MtSize){arena, outputs}, s->run.real_size), "intermediate values") &&
            mt_session_alloc(s, &s->run.outputs, (size_t)outputs * (size_t)s->run.real_size, "outputs") &&
            mt_session_alloc(s, &scalars, sizeof(MtScalars), "scalars") &&
            mt_session_alloc(s, &sums, MT_MAX_OUTPUTS * sizeof(double), "sums") &&
            mt_session_alloc(s, &eval_sums, accumulators * sizeof(double), "sums of an evaluation") &&
            mt_session_alloc(s, &s->eval_values, accumulators * sizeof(double), "sums of an evaluation");
  s->run.scalars = scalars;
  s->sums = sums;
  s->eval_sums = eval_sums;
  return ok;
}

/* ---- data sets ----------------------------------------------------------------------- */

void mt_data_folder(const MtSession *s, char out[2048]) {
  snprintf(out, 2048, "%s", s->options->data_dir ? s->options->data_dir : s->program->source);
  if (s->options->data_dir) return;
  char *slash = strrchr(out, '/');
  if (slash) slash[slash == out] = 0;
  else out[0] = 0;
}

static bool send_table(MtSession *s, MtTable *table, MtSet *set, const char *what) {
  table->n_fields = set->n_fields;
  table->fields = calloc((size_t)set->n_fields + 1, sizeof *table->fields);
  table->batch = calloc((size_t)set->n_fields + 1, sizeof *table->batch);
  table->row_bytes = calloc((size_t)set->n_fields + 1, sizeof *table->row_bytes);
  if (!table->fields || !table->batch || !table->row_bytes) return mt_error(&s->error, "out of memory");
  for (int f = 0; f < set->n_fields; f++) {
    size_t row = set->row_bytes[f],
           wide = s->program->data[table - s->tables].fields[f].type == MT_F32 ? (size_t)s->run.real_size / 4 : 1;
    table->row_bytes[f] = row;
    if (!mt_session_alloc(s, &table->fields[f], (size_t)set->rows * row, what) ||
        !mt_session_alloc(s, &table->batch[f], (size_t)table->capacity * row * wide, what) ||
        !s->run.backend->write(&s->run, table->fields[f], set->fields[f], (size_t)set->rows * row))
      return false;
    free(set->fields[f]);
    set->fields[f] = NULL;
  }
  return true;
}

static bool load_table(MtSession *s, int index) {
  MtTable *table = &s->tables[index];
  const MtData *data = table->data = &s->program->data[index];
  char folder[2048], what[256];
  MtSet set = {0};
  if (table->rows) return true;
  mt_data_folder(s, folder);
  if (!mt_load_set(data, folder, &set, &s->error)) return false;
  table->capacity = data->capacity > 0 ? data->capacity : set.rows;
  table->rows = data->drop ? set.rows / table->capacity * table->capacity : set.rows;
  snprintf(what, sizeof what, "%s: data %.100s of %lld rows", data->where, data->name, (long long)set.rows);
  bool ok = set.rows <= INT32_MAX || mt_error(&s->error, "%s: more than %d rows are not supported", what, INT32_MAX);
  if (ok && table->rows == 0)
    ok = mt_error(&s->error, "%s: fewer than one batch of %lld, and `drop` leaves short ones out", what,
                  (long long)table->capacity);
  ok = ok && send_table(s, table, &set, what);
  mt_free_set(&set);
  return ok;
}

static bool open_orders(MtSession *s, int needs) {
  int64_t most = 0;
  void *identity = NULL, *order = NULL;
  for (int i = 0; i < s->program->n_data; i++)
    if (s->tables[i].rows > most) most = s->tables[i].rows;
  if (!most) return true;
  s->host_order = malloc((size_t)most * sizeof *s->host_order);
  if (!s->host_order) return mt_error(&s->error, "out of memory for the order of %lld rows", (long long)most);
  for (int64_t i = 0; i < most; i++) s->host_order[i] = (int32_t)i;
  if (!mt_session_alloc(s, &identity, (size_t)most * sizeof(int32_t), "order of rows") ||
      !s->run.backend->write(&s->run, identity, s->host_order, (size_t)most * sizeof(int32_t)))
    return false;
  s->identity = identity;
  for (int i = 0; i < s->program->n_data; i++) s->tables[i].order = s->identity;
  if (!(needs & MT_NEED_TRAIN)) return true;
  s->train = s->tables[s->program->train->data];
  if (s->program->train->shuffled && !s->options->no_shuffle) {
    if (!mt_session_alloc(s, &order, (size_t)s->train.rows * sizeof(int32_t), "order of rows")) return false;
    s->train.order = order;
  }
  return true;
}

static bool open_tables(MtSession *s, int needs) {
  bool ok = true;
  s->tables = calloc((size_t)s->program->n_data + 1, sizeof *s->tables);
  if (!s->tables) return mt_error(&s->error, "out of memory");
  if (needs & MT_NEED_TRAIN) ok = load_table(s, s->program->train->data);
  for (int e = 0; ok && needs & MT_NEED_EVALS && e < s->program->n_evals; e++)
    ok = load_table(s, s->program->evals[e].data);
  return ok && open_orders(s, needs);
}

bool mt_begin_epoch(MtSession *s, int64_t epoch, int64_t row) {
  const MtBackend *device = s->run.backend;
  const int64_t none = 0;
  MtScalars *to = s->run.scalars;
  if (s->train.order != s->identity) {
    mt_shuffle(s->host_order, s->train.rows, s->scalars.seed, (uint64_t)s->program->train->shuffle_seed, epoch);
    if (!device->write(&s->run, s->train.order, s->host_order, (size_t)s->train.rows * sizeof(int32_t))) return false;
  }
  s->scalars.epoch = epoch;
  s->scalars.position = row;
  s->scalars.micro = 0;
  return device->write(&s->run, &to->epoch, &epoch, sizeof epoch) &&
         device->write(&s->run, &to->micro, &none, sizeof none) &&
         device->write(&s->run, &to->position, &row, sizeof row);
}

void mt_fetch(MtRun *run, const MtTable *table, int64_t rows) {
  for (int f = 0; f < table->n_fields; f++)
    run->backend->fetch(run, table->batch[f], table->fields[f], table->order, rows, table->row_bytes[f]);
}

/* ---- open and close -------------------------------------------------------------------- */

bool mt_session_open(MtSession *s, const MtProgram *program, const MtOptions *options, int needs, int real_size) {
  memset(s, 0, sizeof *s);
  s->program = program;
  s->options = options;
  s->run = (MtRun){.backend = program->backend, .program = program, .real_size = real_size, .budget = -1};
  s->scalars = (MtScalars){.seed = options->seed, .grad_scale = 1, .lr_scale = 1};
  if (options->save_dir) snprintf(s->save_dir, sizeof s->save_dir, "%s", options->save_dir);
  else snprintf(s->save_dir, sizeof s->save_dir, "%s.run", program->name);
  if (!find_roots(s) || !program->backend->open(&s->run, program->train && program->train->tf32)) return false;
  if (options->tune && program->backend->tune) program->backend->tune(&s->run, true);
  return open_blocks(s, needs) && open_tables(s, needs) && open_room(s, needs) && mt_init_blocks(s) &&
         mt_push_scalars(s);
}

void mt_session_close(MtSession *s) {
  MtRun *run = &s->run;
  mt_sampler_close(s);
  if (run->device) {
    void *memory[] = {run->params,
                      run->grads,
                      run->states,
                      run->new_states,
                      run->slots[0],
                      run->slots[1],
                      run->slots[2],
                      run->arena,
                      run->outputs,
                      run->scalars,
                      s->micro_grads != run->grads ? s->micro_grads : NULL,
                      s->sums,
                      s->eval_sums,
                      s->eval_values,
                      s->identity,
                      s->train.order != s->identity ? s->train.order : NULL};
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) run->backend->release(run, memory[i]);
    for (int i = 0; s->tables && i < s->program->n_data; i++)
      for (int f = 0; s->tables[i].fields && s->tables[i].batch && f < s->tables[i].n_fields; f++) {
        run->backend->release(run, s->tables[i].fields[f]);
        run->backend->release(run, s->tables[i].batch[f]);
      }
    run->backend->close(run);
  }
  for (int i = 0; s->tables && i < s->program->n_data; i++) {
    free(s->tables[i].fields);
    free(s->tables[i].batch);
    free(s->tables[i].row_bytes);
  }
  free(s->tables);
  free(s->keys);
  free(s->host_order);
  free(s->host.params);
  free(s->host.states);
  for (int i = 0; i < MT_MAX_SLOTS; i++) free(s->host.slots[i]);
}
