/* tokens.c - text and token files as rows: windows of a sequence.
 *
 * A row begins where the one before it ends, T tokens further on, or by the
 * stride that is asked for.  Field k of a row holds the T tokens from k places
 * behind its beginning, so that with two fields y is x shifted by one, and
 * every token but the first is a target once an epoch.  What is left over at
 * the end is not read.
 *
 * Token files are those that llm.c's scripts write: a header of 256
 * little-endian 32-bit integers (a magic number, a version, the count), then
 * the tokens.  https://github.com/karpathy/llm.c/blob/master/dev/data/data_common.py
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

enum { HEADER = 1024 };

static const struct {
  uint32_t magic, version;
  size_t size; /* bytes of a token */
} forms[] = {{20240520, 1, 2}, {20240801, 7, 4}};
enum { N_FORMS = sizeof forms / sizeof forms[0] };

static uint32_t little_endian(const unsigned char *u, size_t size) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; i++) value |= (uint32_t)u[i] << 8 * i;
  return value;
}

/* Which form the header says it is, and how many tokens; negative after a message. */
static int parse_header(const char *path, const unsigned char *u, size_t length, size_t *count, MtError *error) {
  if (length < 4) return mt_error(error, "%s: not a token file: it has %zu bytes", path, length), -1;
  uint32_t magic = little_endian(u, 4);
  int form = 0;
  while (form < N_FORMS && forms[form].magic != magic) form++;
  if (form == N_FORMS)
    return mt_error(error, "%s: not a token file: it begins with %u, those of llm.c with %u or %u", path, magic,
                    forms[0].magic, forms[1].magic),
           -1;
  if (length < HEADER)
    return mt_error(error, "%s: cut short: the header has %d bytes, %zu are there", path, HEADER, length), -1;
  uint32_t version = little_endian(u + 4, 4);
  *count = little_endian(u + 8, 4);
  if (version != forms[form].version)
    return mt_error(error, "%s: token files that begin with %u have version %u, this has %u", path, magic,
                    forms[form].version, version),
           -1;
  if (*count > INT32_MAX)
    return mt_error(error, "%s: the header's count of tokens is below 0: %lld", path,
                    (long long)*count - ((long long)1 << 32)),
           -1;
  return form;
}

bool mt_parse_tokens(const char *path, const char *bytes, size_t length, MtArray *out, MtError *error) {
  const unsigned char *u = (const unsigned char *)bytes;
  size_t count = 0;
  memset(out, 0, sizeof *out);
  int form = parse_header(path, u, length, &count, error);
  if (form < 0) return false;
  size_t size = forms[form].size, need = count * size, have = length - HEADER;
  if (need != have)
    return mt_error(error, "%s: %s: the header promises %zu tokens of %zu bytes, %zu bytes are there", path,
                    have < need ? "cut short" : "too long", count, size, have);
  *out = (MtArray){.type = MT_WIDE_I32, .rank = 1, .shape = {(int64_t)count}, .data = malloc(count * 4 + 1)};
  if (!out->data) return mt_error(error, "%s: out of memory for %zu tokens", path, count);
  for (size_t i = 0; i < count; i++) {
    uint32_t token = little_endian(u + HEADER + i * size, size);
    if (token > INT32_MAX)
      return mt_error(error, "%s: token %zu (counted from 0) is %u, which i32 cannot hold", path, i, token);
    ((int32_t *)out->data)[i] = (int32_t)token;
  }
  return true;
}

/* ---- windows ---- */

typedef struct Windows {
  const MtData *data;
  const char *path;
  const MtArray *sequence;
  int64_t width, stride; /* T; from row to row */
  MtError *error;
} Windows;

static int32_t token_at(const MtArray *sequence, int64_t i) {
  if (sequence->type == MT_WIDE_U8) return ((const unsigned char *)sequence->data)[i];
  return ((const int32_t *)sequence->data)[i];
}

/* Where in the text: an editor shows the place by line and column, counted in bytes. */
static bool bad_byte(const Windows *w, int64_t at, const MtField *field) {
  const char *text = w->sequence->data;
  long long line = 1, column = 1;
  for (int64_t i = 0; i < at; i++) {
    bool ends = text[i] == '\n';
    line += ends;
    column = ends ? 1 : column + 1;
  }
  return mt_error(w->error, "%s:%lld:%lld: found the byte %d, which is out of range: field %s goes from %lld to %lld",
                  w->path, line, column, token_at(w->sequence, at), field->name, (long long)field->low,
                  (long long)field->high - 1);
}

/* Token `at` of the sequence as one of field f. */
static bool check_token(const Windows *w, int f, int64_t at) {
  const MtField *field = &w->data->fields[f];
  int64_t token = token_at(w->sequence, at);
  if (!field->high || (token >= field->low && token < field->high) || (field->ignore && token == field->ignore)) return true;
  if (w->data->kind == MT_BYTES) return bad_byte(w, at, field);
  return mt_error(w->error, "%s: token %lld (counted from 0) is %lld, which is out of range: field %s goes from %lld to %lld",
                  w->path, (long long)at, (long long)token, field->name, (long long)field->low, (long long)field->high - 1);
}

/* One row of field f: the window from `at` on. */
static bool take_window(const Windows *w, int f, int64_t at, void *out) {
  MtArray part = *w->sequence;
  part.shape[0] = w->width;
  part.data = (char *)part.data + (size_t)at * mt_wide_size(part.type);
  bool ok = mt_array_convert(&part, w->data->fields[f].type, out, w->path, w->error);
  for (int64_t i = 0; ok && i < w->width; i++) ok = check_token(w, f, at + i);
  return ok;
}

static bool take_field(const Windows *w, int f, MtSet *out) {
  size_t bytes = out->row_bytes[f] = (size_t)w->width * mt_type_size(w->data->fields[f].type);
  bool ok = (out->fields[f] = calloc((size_t)out->rows, bytes)) || mt_error(w->error, "%s: out of memory for %lld rows", w->path, (long long)out->rows);
  for (int64_t row = 0; ok && row < out->rows; row++)
    ok = take_window(w, f, row * w->stride + f, (char *)out->fields[f] + (size_t)row * bytes);
  return ok;
}

static bool take_windows(const MtData *data, const char *path, const MtArray *sequence, MtSet *out, MtError *error) {
  Windows w = {data, path, sequence, data->n_fields ? mt_field_elements(&data->fields[0]) : 0, data->stride, error};
  const char *unit = data->kind == MT_BYTES ? "byte" : "token";
  int64_t n = sequence->shape[0], behind = data->n_fields - 1;
  for (int f = 0; f < data->n_fields; f++)
    if (mt_field_elements(&data->fields[f]) != w.width)
      return mt_error(error, "%s: the fields of data %s are windows of different lengths", path, data->name);
  if (w.width < 1) return mt_error(error, "%s: data %s asks for windows without %ss", path, data->name, unit);
  if (w.stride < 1) w.stride = w.width;
  out->rows = n - behind >= w.width ? (n - behind - w.width) / w.stride + 1 : 0;
  if (data->rows && out->rows > data->rows) out->rows = data->rows;
  if (!out->rows)
    return mt_error(error, "%s: it holds %lld %s%s, and a row of data %s needs %lld", path, (long long)n, unit,
                    n == 1 ? "" : "s", data->name, (long long)(w.width + behind));
  bool ok = true;
  for (int f = 0; ok && f < data->n_fields; f++) ok = take_field(&w, f, out);
  return ok;
}

bool mt_read_windows(const MtData *data, const char *path, MtSet *out, MtError *error) {
  char *bytes;
  size_t length;
  MtArray sequence;
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  if (data->kind == MT_BYTES) {
    sequence = (MtArray){.type = MT_WIDE_U8, .rank = 1, .shape = {(int64_t)length}, .data = bytes};
    bytes = NULL;
  } else if (!mt_parse_tokens(path, bytes, length, &sequence, error)) {
    return mt_array_free(&sequence), free(bytes), false;
  }
  free(bytes);
  bool ok = take_windows(data, path, &sequence, out, error);
  mt_array_free(&sequence);
  return ok;
}
