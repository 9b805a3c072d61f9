/* result.c - what a trainer left behind, and whether it is what it should be. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"
#include "tests/random/compare.h"
#include "tests/random/models.h"

static void publish(Course *c, const char *name, const MtArray *array) {
  int64_t count = mt_array_count(array);
  double *data = arena_alloc(c->arena, sizeof *data * (size_t)(count + 1));
  for (int64_t k = 0; k < count; k++) data[k] = (double)((const float *)array->data)[k];
  LIST_PUSH(c->arena, c->at, c->n, ((Series){arena_print(c->arena, "%s", name), count, data}));
}

static bool read_tensors(Course *c, const char *path, const char *prefix, MtError *error) {
  MtArchive archive;
  if (!mt_read_safetensors(path, &archive, error)) return false;
  for (int i = 0; i < archive.n_arrays; i++)
    publish(c, arena_print(c->arena, "%s%s", prefix, archive.arrays[i].name), &archive.arrays[i]);
  mt_archive_free(&archive);
  return true;
}

/* "step,epoch,loss,l\n1,0,0.69,2.5\n": a series a column from the third on; an empty cell is what is not finite. */
static bool read_metrics(Course *c, const char *path, MtError *error) {
  enum { MOST_STEPS = 64 };
  char *text;
  size_t length;
  if (!mt_read_file(path, &text, &length, error)) return false;
  char *end = strchr(text, '\n'), *row = end ? end + 1 : text + length;
  if (end) *end = 0;
  int first = c->n;
  for (char *name = strtok(text, ","); name; name = strtok(NULL, ",")) {
    double *data = arena_alloc(c->arena, sizeof *data * MOST_STEPS);
    LIST_PUSH(c->arena, c->at, c->n, ((Series){arena_print(c->arena, "%s", name), 0, data}));
  }
  for (; *row; row++)
    for (int i = first; i < c->n; i++) {
      Series *s = &c->at[i];
      char *after = row;
      double value = *row == '\n' ? (double)NAN : strtod(row, &after);
      if (s->count < MOST_STEPS) s->data[s->count++] = after == row ? (double)NAN : value;
      row = after + (*after == ',');
    }
  free(text);
  return true;
}

bool course_read(const char *folder, const char *run, Arena *arena, Course *out) {
  MtError error = {""};
  MtArray predicted;
  *out = (Course){.arena = arena};
  bool ok = read_metrics(out, arena_print(arena, "%s/%s/metrics.csv", folder, run), &error) &&
            read_tensors(out, arena_print(arena, "%s/%s/m.checkpoint.safetensors", folder, run), "", &error) &&
            read_tensors(out, arena_print(arena, "%s/%s/grads.safetensors", folder, run), "gradient of ", &error) &&
            mt_read_npy(arena_print(arena, "%s/%s/out.npy", folder, run), &predicted, &error);
  if (ok) {
    publish(out, "predicted", &predicted);
    mt_array_free(&predicted);
  } else {
    fprintf(stderr, "%s\n", error.text);
  }
  return ok;
}

static const Series *find(const Course *c, const char *name) {
  for (int i = 0; i < c->n; i++)
    if (!strcmp(c->at[i].name, name)) return &c->at[i];
  return NULL;
}

/* Of two shaken series the one that moved further, element by element. */
static const double *furthest(Arena *arena, const Series *want, const Course *up, const Course *down) {
  const Series *u = find(up, want->name), *d = find(down, want->name);
  double *most = arena_alloc(arena, sizeof *most * (size_t)(want->count + 1));
  for (int64_t k = 0; k < want->count; k++) {
    bool further = !(fabs(u->data[k] - want->data[k]) >= fabs(d->data[k] - want->data[k]));
    most[k] = further ? d->data[k] : u->data[k];
  }
  return most;
}

const char *course_differs(const Course *want, const Course *up, const Course *down, const Course *got) {
  const char *differs = NULL;
  for (int i = 0; i < want->n && !differs; i++) {
    const Series *w = &want->at[i], *g = find(got, w->name);
    if (!g) return arena_print(got->arena, "there is no %s", w->name);
    differs = series_differ(got->arena, w->name, w->count, w->data, g->count, g->data, 2e-5,
                            furthest(got->arena, w, up, down), 30, 1e-6);
  }
  return differs;
}
