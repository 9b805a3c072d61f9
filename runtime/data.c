/* data.c - a model's data set as arrays in memory, checked before step 0. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/storage.h"

int64_t mt_field_elements(const MtField *field) {
  int64_t count = 1;
  for (int i = 0; i < field->rank; i++) count *= field->shape[i];
  return count;
}

void mt_free_set(MtSet *set) {
  for (int f = 0; set->fields && f < set->n_fields; f++) free(set->fields[f]);
  free(set->fields);
  free(set->row_bytes);
  memset(set, 0, sizeof *set);
}

static void shape_text(char *out, size_t room, const char *first, int rank, const int64_t *shape) {
  size_t used = (size_t)snprintf(out, room, "[%s", first);
  for (int i = 0; i < rank && used < room; i++)
    used += (size_t)snprintf(out + used, room - used, i || *first ? ", %lld" : "%lld", (long long)shape[i]);
  if (used < room) snprintf(out + used, room - used, "]");
}

static double stored(const MtField *field, const void *values, int64_t i) {
  switch (field->type) {
  case MT_F32: return (double)((const float *)values)[i];
  case MT_F64: return ((const double *)values)[i];
  case MT_I32: return ((const int32_t *)values)[i];
  default: return ((const unsigned char *)values)[i];
  }
}

/* NaN and labels out of range, by row. */
static bool check_values(const char *what, const MtField *field, const void *values, int64_t rows, MtError *error) {
  int64_t n = mt_field_elements(field);
  for (int64_t i = 0; i < rows * n && field->type != MT_BF16; i++) {
    double value = stored(field, values, i);
    long long row = (long long)(i / n);
    if (isnan(value))
      return mt_error(error, "%s: row %lld (counted from 0) holds NaN; leave rows with missing values out", what, row);
    bool ignored = field->ignore && value == (double)field->ignore;
    if (field->high && !ignored && (value < (double)field->low || value >= (double)field->high))
      return mt_error(error,
                      "%s: row %lld (counted from 0) holds %g, which is out of range: labels go from %lld to %lld",
                      what, row, value, (long long)field->low, (long long)field->high - 1);
  }
  return true;
}

static bool check_shape(const char *what, const MtField *field, const MtArray *array, MtError *error) {
  char found[200], wanted[200];
  int64_t row_elements = 1;
  for (int i = 1; i < array->rank; i++) row_elements *= array->shape[i];
  shape_text(found, sizeof found, "", array->rank, array->shape);
  shape_text(wanted, sizeof wanted, "rows", field->rank, field->shape);
  if (array->rank == 0 || row_elements != mt_field_elements(field))
    return mt_error(error, "%s: the array is %s, the model needs %s", what, found, wanted);
  return array->shape[0] > 0 || mt_error(error, "%s: the array has no rows: it is %s", what, found);
}

/* An array whose rows have as many elements as the field's becomes field f. */
static bool take_array(const MtData *data, const char *path, const MtArray *array, int f, MtSet *out, MtError *error) {
  const MtField *field = &data->fields[f];
  char what[4096];
  snprintf(what, sizeof what, "%s: field %.200s", path, field->name);
  if (!check_shape(what, field, array, error)) return false;
  int64_t rows = data->rows && array->shape[0] > data->rows ? data->rows : array->shape[0];
  if (out->rows && rows != out->rows)
    return mt_error(error, "%s: the array has %lld rows, the fields before it have %lld", what, (long long)rows,
                    (long long)out->rows);
  out->rows = rows;
  out->row_bytes[f] = (size_t)mt_field_elements(field) * mt_type_size(field->type);
  MtArray head = *array;
  head.shape[0] = rows;
  out->fields[f] = malloc((size_t)rows * out->row_bytes[f] + 1);
  if (!out->fields[f]) return mt_error(error, "%s: out of memory", what);
  return mt_array_convert(&head, field->type, out->fields[f], what, error) &&
         check_values(what, field, out->fields[f], rows, error);
}

/* ---- random rows, for benchmarks: normal floats, uniform labels ---- */

static uint64_t next_bits(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static double next_uniform(uint64_t *state) { return (double)(next_bits(state) >> 11) * 0x1p-53; }

static double next_normal(uint64_t *state) {
  double radius = sqrt(-2 * log(1 - next_uniform(state)));
  return radius * cos(6.283185307179586 * next_uniform(state));
}

static bool make_random(const MtData *data, MtSet *out, MtError *error) {
  uint64_t state = (uint64_t)data->seed;
  out->rows = data->rows;
  for (int f = 0; f < data->n_fields; f++) {
    const MtField *field = &data->fields[f];
    int64_t count = data->rows * mt_field_elements(field), low = field->low,
            span = field->high ? field->high - field->low : 2;
    out->row_bytes[f] = (size_t)mt_field_elements(field) * mt_type_size(field->type);
    out->fields[f] = malloc((size_t)count * mt_type_size(field->type) + 1);
    if (!out->fields[f])
      return mt_error(error, "data %s: out of memory for %lld random rows", data->name, (long long)data->rows);
    for (int64_t i = 0; i < count; i++) switch (field->type) {
      case MT_F32: ((float *)out->fields[f])[i] = (float)next_normal(&state); break;
      case MT_F64: ((double *)out->fields[f])[i] = next_normal(&state); break;
      case MT_I32:
        ((int32_t *)out->fields[f])[i] = (int32_t)(low + (int64_t)(next_bits(&state) % (uint64_t)span));
        break;
      case MT_BF16:
      case MT_U8:
      case MT_BOOL: ((unsigned char *)out->fields[f])[i] = (unsigned char)(next_bits(&state) & 1); break;
      }
  }
  return true;
}

/* ---- all kinds ---- */

static bool load_array(const MtData *data, const char *path, int f, MtSet *out, MtError *error) {
  MtArray array;
  bool ok = data->kind == MT_NPY   ? mt_read_npy(path, &array, error)
            : data->kind == MT_IDX ? mt_read_idx(path, &array, error)
                                   : mt_read_npz(path, data->fields[f].name, &array, error);
  ok = ok && take_array(data, path, &array, f, out, error);
  mt_array_free(&array);
  return ok;
}

/* Where the set's file i is. */
static bool find_file(const MtData *data, const char *folder, int i, char path[3072], MtError *error) {
  const char *name = data->paths[i];
  char packed[3080];
  bool rooted = name[0] == '/' || !folder || !*folder;
  if (snprintf(path, 3072, "%s%s%s", rooted ? "" : folder, rooted ? "" : "/", name) >= 3072)
    return mt_error(error, "data %s: the path is too long", data->name);
  snprintf(packed, sizeof packed, "%s.gz", path);
  if (access(path, F_OK) == 0 || errno != ENOENT || access(packed, F_OK) == 0) return true;
  return mt_error(error, "%s: no such file (nor %s); data %s of %s reads it: --data-dir says in which folder data are",
                  path, packed, data->name, data->where);
}

static bool load_files(const MtData *data, const char *folder, MtSet *out, MtError *error) {
  char path[3072];
  bool ok = true;
  bool windows = data->kind == MT_BYTES || data->kind == MT_TOKENS;
  if (data->kind == MT_CSV || windows)
    return find_file(data, folder, 0, path, error) && (windows ? mt_read_windows : mt_read_csv)(data, path, out, error);
  for (int f = 0; ok && f < data->n_fields; f++)
    ok = find_file(data, folder, data->kind == MT_NPZ ? 0 : f, path, error) && load_array(data, path, f, out, error);
  return ok;
}

bool mt_load_set(const MtData *data, const char *folder, MtSet *out, MtError *error) {
  memset(out, 0, sizeof *out);
  out->n_fields = data->n_fields;
  out->fields = calloc((size_t)data->n_fields, sizeof *out->fields);
  out->row_bytes = calloc((size_t)data->n_fields, sizeof *out->row_bytes);
  bool ok = (out->fields && out->row_bytes) || mt_error(error, "data %s: out of memory", data->name);
  ok = ok && (data->kind == MT_RANDOM ? make_random(data, out, error) : load_files(data, folder, out, error));
  if (!ok) mt_free_set(out);
  return ok;
}
