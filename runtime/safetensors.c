/* safetensors.c - tensors by name in one file.
 *
 * Eight bytes of header length, a JSON header {name: {dtype, shape,
 * data_offsets}}, then the bytes of all tensors without holes.  A reader must
 * trust nothing: lengths, offsets and shapes are checked against each other
 * before any tensor is allocated.  https://github.com/huggingface/safetensors
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

static const struct { const char *name; MtWide type; } dtypes[] = {
    {"F32", MT_WIDE_F32}, {"F64", MT_WIDE_F64}, {"BF16", MT_WIDE_BF16}, {"I64", MT_WIDE_I64},
    {"I32", MT_WIDE_I32}, {"U8", MT_WIDE_U8},   {"BOOL", MT_WIDE_BOOL},
};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0], MAX_HEADER = 100 << 20 };

void mt_archive_free(MtArchive *archive) {
  for (int i = 0; i < archive->n_arrays; i++) mt_array_free(&archive->arrays[i]);
  for (int i = 0; i < archive->n_notes; i++) free(archive->note_keys[i]), free(archive->note_values[i]);
  free(archive->arrays);
  free(archive->note_keys);
  free(archive->note_values);
  memset(archive, 0, sizeof *archive);
}

const MtArray *mt_archive_find(const MtArchive *archive, const char *name) {
  for (int i = 0; i < archive->n_arrays; i++)
    if (!strcmp(archive->arrays[i].name, name)) return &archive->arrays[i];
  return NULL;
}

const char *mt_archive_note(const MtArchive *archive, const char *key) {
  for (int i = 0; i < archive->n_notes; i++)
    if (!strcmp(archive->note_keys[i], key)) return archive->note_values[i];
  return NULL;
}

bool mt_archive_add(MtArchive *archive, const char *name, MtWide type, int rank, const int64_t *shape, const void *data) {
  MtArray *more = realloc(archive->arrays, ((size_t)archive->n_arrays + 1) * sizeof *more);
  if (!more) return false;
  archive->arrays = more;
  MtArray *array = &more[archive->n_arrays];
  *array = (MtArray){.name = strdup(name), .type = type, .rank = rank};
  for (int i = 0; i < rank; i++) array->shape[i] = shape[i];
  size_t bytes = (size_t)mt_array_count(array) * mt_wide_size(type);
  array->data = malloc(bytes ? bytes : 1);
  if (!array->name || !array->data) return mt_array_free(array), false;
  memcpy(array->data, data, bytes);
  archive->n_arrays++;
  return true;
}

void mt_archive_add_note(MtArchive *archive, const char *key, const char *value) {
  char **keys = realloc(archive->note_keys, ((size_t)archive->n_notes + 1) * sizeof *keys);
  if (keys) archive->note_keys = keys;
  char **values = realloc(archive->note_values, ((size_t)archive->n_notes + 1) * sizeof *values);
  if (values) archive->note_values = values;
  char *k = strdup(key), *v = strdup(value);
  if (!keys || !values || !k || !v) {
    free(k);
    free(v);
    return;
  }
  keys[archive->n_notes] = k;
  values[archive->n_notes++] = v;
}

/* ---- reading ---- */

typedef struct Piece { /* a tensor of the header */
  const char *name;
  MtWide type;
  int rank;
  int64_t shape[MT_MAX_RANK];
  uint64_t begin, end;
} Piece;

static bool read_shape(const char *path, json_t *shape, Piece *piece, uint64_t *bytes, MtError *error) {
  if (!json_is_array(shape)) return mt_error(error, "%s: tensor %s has no shape", path, piece->name);
  if (json_array_size(shape) > MT_MAX_RANK) return mt_error(error, "%s: tensor %s has %zu axes; at most %d can be read", path, piece->name, json_array_size(shape), MT_MAX_RANK);
  uint64_t count = 1;
  piece->rank = (int)json_array_size(shape);
  for (int i = 0; i < piece->rank; i++) {
    json_t *size = json_array_get(shape, (size_t)i);
    if (!json_is_integer(size) || json_integer_value(size) < 0) return mt_error(error, "%s: tensor %s: a size in its shape is not a whole number", path, piece->name);
    piece->shape[i] = json_integer_value(size);
    if (piece->shape[i] && count > ((uint64_t)1 << 50) / (uint64_t)piece->shape[i]) return mt_error(error, "%s: tensor %s: its shape is too large", path, piece->name);
    count *= (uint64_t)piece->shape[i];
  }
  *bytes = count * mt_wide_size(piece->type);
  return true;
}

static bool read_piece(const char *path, const char *name, json_t *value, Piece *piece, uint64_t data_bytes, MtError *error) {
  const char *dtype = json_string_value(json_object_get(value, "dtype"));
  json_t *offsets = json_object_get(value, "data_offsets"), *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  uint64_t bytes = 0;
  int known = -1;
  piece->name = name;
  for (int i = 0; dtype && i < N_DTYPES; i++)
    if (!strcmp(dtype, dtypes[i].name)) known = i;
  if (known < 0) return mt_error(error, "%s: tensor %s has dtype %s; F32, F64, BF16, I64, I32, U8 and BOOL can be read", path, name, dtype ? dtype : "(none)");
  piece->type = dtypes[known].type;
  if (!read_shape(path, json_object_get(value, "shape"), piece, &bytes, error)) return false;
  if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) || json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
    return mt_error(error, "%s: tensor %s: its data_offsets are not two rising numbers", path, name);
  piece->begin = (uint64_t)json_integer_value(begin);
  piece->end = (uint64_t)json_integer_value(end);
  if (piece->end > data_bytes) return mt_error(error, "%s: cut short: tensor %s ends at byte %llu, the file has %llu bytes of data", path, name, (unsigned long long)piece->end, (unsigned long long)data_bytes);
  if (piece->end - piece->begin != bytes)
    return mt_error(error, "%s: tensor %s: its shape needs %llu bytes, its data_offsets give it %llu", path, name, (unsigned long long)bytes, (unsigned long long)(piece->end - piece->begin));
  return true;
}

static int by_offset(const void *a, const void *b) {
  const Piece *x = a, *y = b;
  return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

/* No holes, no overlaps, nothing behind the last. */
static bool check_cover(const char *path, Piece *pieces, int n, uint64_t data_bytes, MtError *error) {
  uint64_t at = 0;
  qsort(pieces, (size_t)n, sizeof *pieces, by_offset);
  for (int i = 0; i < n; at = pieces[i++].end)
    if (pieces[i].begin != at) return mt_error(error, "%s: tensor %s %s", path, pieces[i].name, pieces[i].begin > at ? "leaves a hole before it" : "overlaps the one before it");
  return at == data_bytes || mt_error(error, "%s: %llu bytes stand behind the last tensor", path, (unsigned long long)(data_bytes - at));
}

static bool read_notes(const char *path, json_t *notes, MtArchive *out, MtError *error) {
  const char *key;
  json_t *value;
  if (!json_is_object(notes)) return mt_error(error, "%s: __metadata__ is not an object", path);
  json_object_foreach(notes, key, value) {
    if (!json_is_string(value)) return mt_error(error, "%s: __metadata__: %s is not a string", path, key);
    mt_archive_add_note(out, key, json_string_value(value));
  }
  return true;
}

static bool read_tensors(const char *path, json_t *header, const char *data, uint64_t data_bytes, MtArchive *out, MtError *error) {
  size_t n = 0, room = json_object_size(header);
  Piece *pieces = calloc(room + 1, sizeof *pieces);
  const char *name;
  json_t *value;
  bool ok = pieces || mt_error(error, "%s: out of memory", path);
  if (ok) json_object_foreach(header, name, value) {
      ok = !strcmp(name, "__metadata__") ? read_notes(path, value, out, error) : read_piece(path, name, value, &pieces[n++], data_bytes, error);
      if (!ok) break;
    }
  ok = ok && check_cover(path, pieces, (int)n, data_bytes, error);
  for (size_t i = 0; ok && i < n; i++)
    ok = mt_archive_add(out, pieces[i].name, pieces[i].type, pieces[i].rank, pieces[i].shape, data + pieces[i].begin) || mt_error(error, "%s: out of memory", path);
  free(pieces);
  return ok;
}

bool mt_read_safetensors(const char *path, MtArchive *out, MtError *error) {
  char *bytes;
  size_t length;
  memset(out, 0, sizeof *out);
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  uint64_t header_length = 0;
  for (int i = 7; i >= 0 && length >= 8; i--) header_length = header_length << 8 | (unsigned char)bytes[i];
  json_error_t why;
  json_t *header = NULL;
  bool ok = length >= 8 || mt_error(error, "%s: cut short: a safetensors file has at least 8 bytes, this has %zu", path, length);
  if (ok && (header_length > MAX_HEADER || header_length < 2 || bytes[8] != '{')) ok = mt_error(error, "%s: not a safetensors file", path);
  if (ok && header_length > length - 8) ok = mt_error(error, "%s: cut short: the header needs %llu bytes, %zu are there", path, (unsigned long long)header_length, length - 8);
  if (ok && !(header = json_loadb(bytes + 8, header_length, JSON_REJECT_DUPLICATES, &why))) ok = mt_error(error, "%s: the header is not JSON: %s at byte %d", path, why.text, why.position);
  if (ok && !json_is_object(header)) ok = mt_error(error, "%s: the header is not a JSON object", path);
  ok = ok && read_tensors(path, header, bytes + 8 + header_length, length - 8 - header_length, out, error);
  json_decref(header);
  free(bytes);
  if (!ok) mt_archive_free(out);
  return ok;
}

/* ---- writing ---- */

static json_t *describe(const MtArray *array, uint64_t begin, uint64_t end) {
  const char *dtype = "F32";
  for (int i = 0; i < N_DTYPES; i++)
    if (dtypes[i].type == array->type) dtype = dtypes[i].name;
  json_t *shape = json_array();
  for (int i = 0; i < array->rank; i++) json_array_append_new(shape, json_integer(array->shape[i]));
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static char *make_header(const MtArchive *archive, size_t *length) {
  json_t *header = json_object(), *notes = json_object();
  uint64_t at = 0;
  for (int i = 0; i < archive->n_notes; i++) json_object_set_new(notes, archive->note_keys[i], json_string(archive->note_values[i]));
  if (archive->n_notes) json_object_set(header, "__metadata__", notes);
  for (int i = 0; i < archive->n_arrays; i++) {
    uint64_t end = at + (uint64_t)mt_array_count(&archive->arrays[i]) * mt_wide_size(archive->arrays[i].type);
    json_object_set_new(header, archive->arrays[i].name, describe(&archive->arrays[i], at, end));
    at = end;
  }
  bool whole = json_object_size(header) == (size_t)archive->n_arrays + (archive->n_notes > 0);
  char *text = whole ? json_dumps(header, JSON_COMPACT) : NULL;
  json_decref(notes);
  json_decref(header);
  if (!text) return NULL;
  size_t n = strlen(text), padded = (n + 7) / 8 * 8;
  char *out = malloc(8 + padded);
  if (out) {
    for (int i = 0; i < 8; i++) out[i] = (char)((uint64_t)padded >> 8 * i & 255);
    memcpy(out + 8, text, n);
    memset(out + 8 + n, ' ', padded - n);
    *length = 8 + padded;
  }
  free(text);
  return out;
}

bool mt_write_safetensors(const char *path, const char *keep, const MtArchive *archive, MtError *error) {
  size_t length = 0;
  char *header = make_header(archive, &length);
  if (!header) return mt_error(error, "%s: cannot write: out of memory", path);
  MtWriter writer;
  bool ok = mt_write_begin(&writer, path, error) && mt_write_bytes(&writer, header, length);
  for (int i = 0; ok && i < archive->n_arrays; i++)
    ok = mt_write_bytes(&writer, archive->arrays[i].data, (size_t)mt_array_count(&archive->arrays[i]) * mt_wide_size(archive->arrays[i].type));
  ok = ok && mt_write_commit(&writer, keep);
  if (!ok) mt_write_abort(&writer);
  free(header);
  return ok;
}
