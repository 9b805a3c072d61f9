/* predict.c - the `predict` entry of a model: arrays in, an array out. */
#include <stdlib.h>
#include <string.h>

#include "runtime/trainer.h"

typedef struct Job {
  const MtPredict *predict;
  int64_t rows, capacity, row_elements;  /* of the inputs; rows a batch; elements of one row of the result */
  void *inputs[MT_MAX_OUTPUTS], *batch[MT_MAX_OUTPUTS];
  size_t row_bytes[MT_MAX_OUTPUTS];
} Job;

static void shape_text(char *out, size_t room, const char *first, int rank, const int64_t *shape) {
  size_t used = (size_t)snprintf(out, room, "[%s", first);
  for (int i = 0; i < rank && used < room; i++)
    used += (size_t)snprintf(out + used, room - used, *first || i ? ", %lld" : "%lld", (long long)shape[i]);
  if (used < room) snprintf(out + used, room - used, "]");
}

static bool same_rows(const MtField *field, const MtArray *array) {
  if (array->rank != field->rank + 1) return false;
  for (int i = 0; i < field->rank; i++)
    if (array->shape[i + 1] != field->shape[i]) return false;
  return true;
}

static bool read_input(MtSession *s, Job *job, int f) {
  const MtField *field = &job->predict->fields[f];
  const char *path = s->options->inputs[f];
  char found[256], wanted[256], what[MT_PATH];
  MtArray array;
  if (!mt_read_npy(path, &array, &s->error)) return false;
  shape_text(found, sizeof found, "", array.rank, array.shape);
  shape_text(wanted, sizeof wanted, "rows", field->rank, field->shape);
  snprintf(what, sizeof what, "%.2000s: field %.200s", path, field->name);
  bool ok =
      same_rows(field, &array) || mt_error(&s->error, "%s: the array is %s, the model needs %s", what, found, wanted);
  if (ok && f > 0 && array.shape[0] != job->rows)
    ok = mt_error(&s->error, "%s: it has %lld rows, the fields before it have %lld", what, (long long)array.shape[0],
                  (long long)job->rows);
  if (ok) {
    job->rows = array.shape[0];
    job->row_bytes[f] = (size_t)mt_field_elements(field) * mt_type_size(field->type);
    job->inputs[f] = malloc((size_t)job->rows * job->row_bytes[f] + 1);
    ok = (job->inputs[f] || mt_error(&s->error, "%s: out of memory", what)) &&
         mt_array_convert(&array, field->type, job->inputs[f], what, &s->error);
  }
  mt_array_free(&array);
  return ok;
}

typedef struct Recording {
  Job *job;
  int64_t rows;
} Recording;

static void record(MtRun *run, void *data) {
  const Recording *r = data;
  r->job->predict->step(run, (const void *const *)r->job->batch, r->rows);
}

static bool run_batches(MtSession *s, Job *job, float *out) {
  const MtBackend *device = s->run.backend;
  bool ok = true;
  for (int64_t row = 0; ok && row < job->rows; row += job->capacity) {
    Recording r = {job, mt_least(job->capacity, job->rows - row)};
    for (int f = 0; ok && f < job->predict->n_fields; f++)
      ok = device->write(&s->run, job->batch[f], (char *)job->inputs[f] + (size_t)row * job->row_bytes[f],
                         (size_t)r.rows * job->row_bytes[f]);
    int64_t from = job->predict->batched ? row : 0, rows = job->predict->batched ? r.rows : 1;
    ok = ok && device->play(&s->run, mt_session_key(s, MT_KEY_PREDICT, r.rows, 0, 0, 0), record, &r) &&
         device->read(&s->run, out + from * job->row_elements, s->run.outputs,
                      (size_t)(rows * job->row_elements) * sizeof *out);
  }
  return ok;
}

static bool open_job(MtSession *s, Job *job) {
  const MtPredict *p = job->predict = s->program->predict;
  bool ok = p->n_fields <= MT_MAX_OUTPUTS || mt_error(&s->error, "predict has more than %d fields", MT_MAX_OUTPUTS);
  for (int f = 0; ok && f < p->n_fields; f++) ok = read_input(s, job, f);
  if (!ok) return false;
  job->row_elements = 1;
  for (int i = 0; i < p->rank; i++) job->row_elements *= p->shape[i];
  job->capacity = p->capacity > 0 ? p->capacity : job->rows ? job->rows : 1;
  if (!p->batched && job->rows > job->capacity)
    return mt_error(&s->error, "%s: it has %lld rows; this model predicts one result from at most %lld",
                    s->options->inputs[0], (long long)job->rows, (long long)job->capacity);
  for (int f = 0; ok && f < p->n_fields; f++)
    ok = mt_session_alloc(s, &job->batch[f], (size_t)job->capacity * job->row_bytes[f], "a batch");
  return ok;
}

static bool write_result(const char *path, const MtArray *result, MtError *error) {
  size_t length = strlen(path);
  bool picture = length > 4 && !strcmp(path + length - 4, ".png");
  return picture ? mt_write_png(path, result, error) : mt_write_npy(path, result, error);
}

static bool predict(MtSession *s, Job *job) {
  const MtPredict *p = s->program->predict;
  char source[MT_PATH];
  MtArray result = {.type = MT_WIDE_F32, .rank = p->rank + p->batched};
  if (!mt_can_write(s, s->options->output) || !open_job(s, job) || !mt_load_trained(s, source)) return false;
  for (int i = 0; i < p->rank; i++) result.shape[i + p->batched] = p->shape[i];
  if (p->batched) result.shape[0] = job->rows;
  result.data = calloc((size_t)((p->batched ? job->rows : 1) * job->row_elements) + 1, sizeof(float));
  if (!result.data) return mt_error(&s->error, "out of memory");
  bool ok = run_batches(s, job, result.data) && write_result(s->options->output, &result, &s->error);
  char shape[256];
  shape_text(shape, sizeof shape, "", result.rank, result.shape);
  if (ok && s->options->json) {
    printf("{\"rows\":%lld,\"output\":", (long long)job->rows);
    mt_json_text(stdout, s->options->output);
    printf("}\n");
  } else if (ok && !s->options->quiet) {
    printf("weights: %s\n%s: %s\n", source, s->options->output, shape);
  }
  free(result.data);
  return ok;
}

int mt_predict_command(MtSession *s) {
  Job job = {0};
  bool ok = predict(s, &job);
  for (int f = 0; f < MT_MAX_OUTPUTS; f++) {
    free(job.inputs[f]);
    s->run.backend->release(&s->run, job.batch[f]);
  }
  return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
