/* course.c - a program trained by the evaluator, step by step as semantics says:
 * rows in the file's order, a short last batch, gradients of micro-batches
 * averaged by rows, one clip, one optimizer step.  The runtime only lends its
 * readers of arrays and the values that parameters start from. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/random.h"
#include "runtime/storage.h"
#include "tests/random/models.h"

typedef struct Trainee {
  Course course;
  Program *program;
  const char *folder;
  double shake; /* 0: as it is */
  int n_fields;
  MtSet set; /* of doubles */
  double **params, **slots[MAX_SLOTS], **grads, **states;
  double *loss, ***logs; /* logs: by phase and output */
  int n_carried;
  Binding carried[512]; /* what phases of this step hand on */
  int64_t step, epoch, row, total;
} Trainee;

static double *reserve(Trainee *t, int64_t count) {
  double *data = arena_alloc(t->course.arena, sizeof *data * (size_t)(count + 1));
  memset(data, 0, sizeof *data * (size_t)(count + 1));
  return data;
}

static void publish(Trainee *t, const char *name, int64_t count, double *data) {
  LIST_PUSH(t->course.arena, t->course.at, t->course.n, ((Series){name, count, data}));
}

/* Of stacked blocks each by itself, as in files: "net.b.#.weight" is net.b.0.weight and so on. */
static void publish_blocks(Trainee *t, const char *prefix, const char *path, const char *pattern, const Type *type,
                           double *data) {
  int64_t count = type_count(type), blocks = 1;
  int axis = 0;
  for (const char *c = pattern; c && *c; c++)
    if (*c == '#') blocks *= type->dim[axis++].size;
  for (int64_t b = 0; b < blocks; b++) {
    Text name = {0};
    text_add(&name, "%s", prefix);
    int64_t left = b, each = blocks;
    axis = 0;
    for (const char *c = pattern ? pattern : path; *c; c++) {
      if (*c != '#' || !pattern) {
        text_add(&name, "%c", *c);
        continue;
      }
      each /= type->dim[axis++].size;
      text_add(&name, "%" PRId64, left / each);
      left %= each;
    }
    publish(t, text_take(&name, t->course.arena), count / blocks, data + b * (count / blocks));
  }
}

static void publish_param(Trainee *t, const char *prefix, const Param *p, double *data) {
  publish_blocks(t, prefix, p->path, p->pattern, &p->type, data);
}

static double stored(const Trainee *t, double x) { return t->shake != 0 ? (double)(float)x : x; }

/* What rounding might have made of a parameter; the sign goes with the element. */
static double shaken(const Trainee *t, double x, int64_t k) { return stored(t, x + (k % 2 ? -t->shake : t->shake)); }

/* ---- where it starts from ---------------------------------------------------------------- */

static double *started(Trainee *t, const char *path, const Type *type, const Init *init) {
  MtTensor tensor = {.name = path, .rank = type->rank, .a = init->a, .b = init->b};
  tensor.init = init->kind == INIT_CONSTANT ? MT_CONSTANT : init->kind == INIT_UNIFORM ? MT_UNIFORM : MT_NORMAL;
  for (int a = 0; a < type->rank; a++) tensor.shape[a] = type->dim[a].size;
  int64_t count = type_count(type);
  float *start = calloc((size_t)count + 1, sizeof *start);
  double *values = reserve(t, count);
  mt_init_tensor(&tensor, 0, start);
  for (int64_t k = 0; k < count; k++) values[k] = shaken(t, (double)start[k], k);
  free(start);
  return values;
}

static void start_param(Trainee *t, int i) {
  const Param *p = &t->program->params[i];
  t->params[i] = started(t, p->path, &p->type, &p->init), t->grads[i] = reserve(t, type_count(&p->type));
  for (int s = 0; s < MAX_SLOTS; s++) t->slots[s][i] = reserve(t, type_count(&p->type));
}

static bool read_field(Trainee *t, const char *file, int i) {
  char path[2048];
  MtError error = {""};
  MtArray array;
  snprintf(path, sizeof path, "%s/%s", t->folder, file);
  if (!mt_read_npy(path, &array, &error)) return fprintf(stderr, "%s\n", error.text), false;
  int64_t count = mt_array_count(&array);
  double *data = reserve(t, count);
  for (int64_t k = 0; k < count; k++)
    data[k] = array.type == MT_WIDE_F32 ? (double)((float *)array.data)[k] : (double)((int32_t *)array.data)[k];
  t->set.rows = array.shape[0];
  t->set.fields[i] = data;
  t->set.row_bytes[i] = (size_t)(count / array.shape[0]) * sizeof *data;
  mt_array_free(&array);
  return true;
}

/* A step that was never cut is one phase. */
static int phase_count(const Program *p) { return p->train.n_phases ? p->train.n_phases : 1; }
static Phase phase_at(const Program *p, int i) {
  return p->train.n_phases ? p->train.phases[i] : (Phase){p->train.graph, 0, 1};
}

/* What is not computed at a step is NaN there. */
static void start_logs(Trainee *t, int i) {
  Phase phase = phase_at(t->program, i);
  t->logs[i] = arena_alloc(t->course.arena, sizeof **t->logs * (size_t)(phase.graph->n_outputs + 1));
  for (int o = 0; o < phase.graph->n_outputs; o++) {
    t->logs[i][o] = reserve(t, t->total);
    for (int64_t k = 0; k < t->total; k++) t->logs[i][o][k] = (k + 1) % phase.every ? NAN : 0;
  }
}

static bool begin(Trainee *t) {
  Program *p = t->program;
  Arena *arena = t->course.arena;
  const Data *data = &p->data[p->train.data];
  size_t n = sizeof(double *) * (size_t)(p->n_params + 1);
  t->params = arena_alloc(arena, n), t->grads = arena_alloc(arena, n);
  for (int s = 0; s < MAX_SLOTS; s++) t->slots[s] = arena_alloc(arena, n);
  for (int i = 0; i < p->n_params; i++) start_param(t, i);
  t->states = arena_alloc(arena, sizeof(double *) * (size_t)(p->n_states + 1));
  for (int i = 0; i < p->n_states; i++)
    t->states[i] = started(t, p->states[i].path, &p->states[i].type, &p->states[i].init);
  t->set.fields = arena_alloc(arena, sizeof(void *) * (size_t)data->n_fields);
  t->set.row_bytes = arena_alloc(arena, sizeof(size_t) * (size_t)data->n_fields);
  for (int i = 0; i < data->n_fields; i++)
    if (!read_field(t, data->paths[i], i)) return false;
  t->total = p->train.count;
  t->loss = reserve(t, t->total);
  t->logs = arena_alloc(arena, sizeof *t->logs * (size_t)(p->train.n_phases + 1));
  for (int i = 0; i < phase_count(p); i++) start_logs(t, i);
  return true;
}

/* ---- steps ------------------------------------------------------------------------------------- */

/* Tensors for `outputs`, of rows from t->row on; leaves are the parameters and fields `variable`.NAME. */
static void run_graph(Trainee *t, const Graph *graph, const char *variable, const Field *fields, int n_fields,
                      EvaluateOptions options, Tensor *outputs) {
  Program *p = t->program;
  Binding *bindings = calloc((size_t)(p->n_params + p->n_states + n_fields + t->n_carried) + 1, sizeof *bindings);
  int n = 0;
  for (int i = 0; i < p->n_params; i++) bindings[n++] = (Binding){p->params[i].path, t->params[i]};
  for (int i = 0; i < p->n_states; i++) bindings[n++] = (Binding){p->states[i].path, t->states[i]};
  for (int i = 0; i < n_fields; i++)
    bindings[n++] = (Binding){arena_print(t->course.arena, "%s.%s", variable, fields[i].name),
                              (double *)t->set.fields[i] + (int64_t)(t->set.row_bytes[i] / sizeof(double)) * t->row};
  for (int i = 0; i < t->n_carried; i++) bindings[n++] = t->carried[i];
  const char *missing = NULL;
  options.round = t->shake != 0;
  if (!evaluate(graph, bindings, n, &options, outputs, &missing)) fault("%s has no value", missing);
  free(bindings);
}

static int find_param(const Program *p, const char *path) {
  for (int i = 0; i < p->n_params; i++)
    if (!strcmp(p->params[i].path, path)) return i;
  fault("no parameter %s", path);
}

static void keep_state(Trainee *t, const char *path, const Tensor *value) {
  int i = 0;
  while (strcmp(t->program->states[i].path, path)) i++;
  for (int64_t k = 0; k < value->count; k++) t->states[i][k] = shaken(t, value->data[k], k);
}

static void hand_on(Trainee *t, const char *path, const Tensor *value) {
  double *data = reserve(t, value->count);
  memcpy(data, value->data, sizeof *data * (size_t)value->count);
  if (t->n_carried == 512) fault("more is handed on than a course has room for");
  t->carried[t->n_carried++] = (Binding){path, data};
}

/* One phase on a micro-batch of `rows`, with `share` of its group's rows. */
static void run_batch(Trainee *t, int phase, EvaluateOptions options, double share) {
  const Program *p = t->program;
  const Graph *graph = phase_at(p, phase).graph;
  const Data *data = &p->data[p->train.data];
  Tensor *outputs = calloc((size_t)graph->n_outputs + 1, sizeof *outputs);
  run_graph(t, graph, p->train.variable, data->fields, data->n_fields, options, outputs);
  for (int o = 0; o < graph->n_outputs; o++) {
    const Output *output = &graph->outputs[o];
    const Tensor *value = &outputs[o];
    if (output->role == OUT_LOSS && !strcmp(output->name, "update0")) t->loss[t->step] += share * value->data[0];
    if (output->role == OUT_CARRY) hand_on(t, output->name, value);
    if (output->role == OUT_LOG) t->logs[phase][o][t->step] += share * value->data[0];
    if (output->role == OUT_STATE) keep_state(t, output->name, value);
    if (output->role == OUT_GRAD) {
      int i = find_param(p, output->name);
      for (int64_t k = 0; k < value->count; k++) t->grads[i][k] = stored(t, t->grads[i][k] + share * value->data[k]);
      if (t->step == 0 && options.micro == 0 && phase == 0) { /* written without the updates between */
        double *first = reserve(t, value->count);
        memcpy(first, value->data, sizeof *first * (size_t)value->count);
        publish_param(t, "gradient of ", &p->params[i], first);
      }
    }
    tensor_free(&outputs[o]);
  }
  free(outputs);
}

static void update_group(Trainee *t, const UpdateGroup *group, double scale, int64_t every) {
  double hyper[MAX_HYPER] = {0};
  for (int h = 0; h < MAX_HYPER && group->hyper[h]; h++)
    hyper[h] = evaluate_scalar(group->hyper[h], (double)t->step, (double)t->epoch, (double)t->total);
  for (int i = 0; i < group->n_params; i++) {
    int p = group->params[i];
    for (int64_t k = 0; k < type_count(&t->program->params[p].type); k++) {
      double slots[MAX_SLOTS];
      for (int s = 0; s < MAX_SLOTS; s++) slots[s] = t->slots[s][p][k];
      double next = optimizer_apply(group->optimizer, hyper, (double)((t->step + 1) / every), t->params[p][k],
                                    stored(t, t->grads[p][k] * scale), slots);
      t->params[p][k] = shaken(t, next, k);
      for (int s = 0; s < MAX_SLOTS; s++) t->slots[s][p][k] = stored(t, slots[s]);
    }
  }
}

static double squares_of(const Trainee *t, const UpdateGroup *group) {
  double squares = 0;
  for (int i = 0; i < group->n_params; i++) {
    int p = group->params[i];
    for (int64_t k = 0; k < type_count(&t->program->params[p].type); k++) squares += t->grads[p][k] * t->grads[p][k];
  }
  return squares;
}

static void apply_update(Trainee *t, Phase phase) {
  if (phase.update < 0) return;
  const Update *update = &t->program->train.updates[phase.update];
  double squares = 0, scale = 1;
  for (int g = 0; g < update->n_groups; g++) squares += squares_of(t, &update->groups[g]);
  if (update->clip != 0) scale = update->clip / (sqrt(squares) + 1e-6);
  for (int g = 0; g < update->n_groups; g++)
    update_group(t, &update->groups[g], scale < 1 || isnan(scale) ? scale : 1, phase.every);
}

static void run_step(Trainee *t) {
  const Program *p = t->program;
  int64_t capacity = p->data[p->train.data].rows->size, left = t->set.rows - t->row;
  int64_t most = p->train.accumulate * capacity, group = left < most ? left : most;
  for (int i = 0; i < p->n_params; i++)
    memset(t->grads[i], 0, sizeof(double) * (size_t)type_count(&p->params[i].type));
  EvaluateOptions options = {.step = (uint64_t)t->step};
  for (int64_t done = 0; done < group; done += options.rows, options.micro++) {
    options.rows = group - done < capacity ? group - done : capacity;
    for (int i = 0; i < phase_count(p); i++) {
      Phase phase = phase_at(p, i);
      if ((t->step + 1) % phase.every) continue;
      run_batch(t, i, options, (double)options.rows / (double)group);
      if (done + options.rows == group) apply_update(t, phase);
    }
    t->row += options.rows, t->n_carried = 0;
  }
  t->step++;
  if (t->row == t->set.rows) t->row = 0, t->epoch++;
}

/* ---- what it comes to ---------------------------------------------------------------------- */

static void predict(Trainee *t) {
  const Predict *p = &t->program->predict;
  int64_t capacity = t->program->data[t->program->train.data].rows->size, n = 0;
  double *all = NULL;
  for (t->row = 0; t->row < t->set.rows;) {
    Tensor out;
    EvaluateOptions options = {.rows = t->set.rows - t->row < capacity ? t->set.rows - t->row : capacity};
    run_graph(t, p->graph, p->variable, p->fields, p->n_fields, options, &out);
    if (!all) all = reserve(t, out.count / options.rows * t->set.rows);
    memcpy(all + n, out.data, sizeof *all * (size_t)out.count);
    n += out.count;
    t->row += options.rows;
    tensor_free(&out);
  }
  publish(t, "predicted", n, all);
}

static void publish_group(Trainee *t, const UpdateGroup *group) {
  /* Without momentum a trainer leaves the buffer alone. */
  bool plain = !strcmp(group->optimizer->name, "sgd") && evaluate_scalar(group->hyper[1], 0, 0, 1) == 0;
  for (int i = 0; i < group->n_params; i++) {
    int p = group->params[i];
    const Param *param = &t->program->params[p];
    publish_param(t, "", param, t->params[p]);
    for (int s = 0; !plain && s < group->optimizer->n_slots; s++)
      publish_param(t, arena_print(t->course.arena, "optimizer.%s.", group->optimizer->slot[s]), param, t->slots[s][p]);
  }
}

static void publish_update(Trainee *t, const Update *update) {
  for (int g = 0; g < update->n_groups; g++) publish_group(t, &update->groups[g]);
}

Course course_evaluated(Program *program, const char *folder, double shake) {
  Trainee t = {.course = {.arena = program->arena}, .program = program, .folder = folder, .shake = shake};
  if (!begin(&t)) return t.course;
  while (t.step < t.total) run_step(&t);
  if (!program->train.n_phases) publish(&t, "loss", t.total, t.loss); /* of several the last is called so: a log */
  for (int i = 0; i < phase_count(program); i++) {
    const Graph *graph = phase_at(program, i).graph;
    for (int o = 0; o < graph->n_outputs; o++)
      if (graph->outputs[o].role == OUT_LOG) publish(&t, graph->outputs[o].name, t.total, t.logs[i][o]);
  }
  for (int i = 0; i < program->n_states; i++)
    publish_blocks(&t, "", program->states[i].path, program->states[i].pattern, &program->states[i].type, t.states[i]);
  for (int u = 0; u < program->train.n_updates; u++) publish_update(&t, &program->train.updates[u]);
  predict(&t);
  return t.course;
}
