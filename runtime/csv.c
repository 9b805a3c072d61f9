/* csv.c - numbers separated by commas.
 *
 * Fields take columns left to right.  A first line that is not numeric is a
 * header.  Every value is checked as it is read, so a message can name the
 * line and the column: NaN, labels out of range, integers with a fraction.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

typedef struct Csv {
  const MtData *data;
  const char *path;
  const char *at, *end;
  int line;
  int64_t columns;      /* of every row */
  MtError *error;
} Csv;

static const char *line_end(const Csv *csv) {
  const char *newline = memchr(csv->at, '\n', (size_t)(csv->end - csv->at));
  return newline ? newline : csv->end;
}

static bool is_blank(const char *at, const char *end) {
  for (; at < end; at++)
    if (*at != ' ' && *at != '\t' && *at != '\r') return false;
  return true;
}

static void next_line(Csv *csv) {
  const char *end = line_end(csv);
  csv->at = end < csv->end ? end + 1 : end;
  csv->line++;
}

/* The cell that begins at `at`: trimmed; returns where the next one begins. */
static const char *cell(const char *at, const char *end, const char **first, const char **last) {
  const char *comma = memchr(at, ',', (size_t)(end - at));
  const char *stop = comma ? comma : end;
  while (at < stop && (*at == ' ' || *at == '\t')) at++;
  *first = at;
  for (*last = stop; *last > at && ((*last)[-1] == ' ' || (*last)[-1] == '\t' || (*last)[-1] == '\r');) --*last;
  return comma ? comma + 1 : NULL;
}

static bool parse_number(const char *first, const char *last, double *value) {
  char text[64], *end;
  size_t n = (size_t)(last - first);
  if (n == 0 || n >= sizeof text) return false;
  memcpy(text, first, n);
  text[n] = 0;
  *value = strtod(text, &end);
  return *end == 0;
}

static bool is_header(const Csv *csv) {
  const char *end = line_end(csv), *first, *last;
  double value;
  for (const char *at = csv->at; at;) {
    at = cell(at, end, &first, &last);
    if (first < last && !parse_number(first, last, &value)) return true;
  }
  return false;
}

static bool store_value(const Csv *csv, int64_t column, const MtField *field, void *out, int64_t i, double value, int length, const char *text) {
  const char *path = csv->path;
  long long c = (long long)column + 1;
  if (field->type == MT_F32 || field->type == MT_F64) {
    if (isnan(value)) return mt_error(csv->error, "%s:%d: column %lld: found %.*s, expected a number", path, csv->line, c, length, text);
    if (field->type == MT_F64) return ((double *)out)[i] = value, true;
    ((float *)out)[i] = (float)value;
    return isfinite((float)value) || isinf(value) || mt_error(csv->error, "%s:%d: column %lld: %.*s is too large for f32", path, csv->line, c, length, text);
  }
  double low = field->type == MT_I32 ? INT32_MIN : 0, high = field->type == MT_I32 ? INT32_MAX : field->type == MT_U8 ? 255 : 1;
  if (!(value >= low && value <= high) || value != floor(value))
    return mt_error(csv->error, "%s:%d: column %lld (field %s): found %.*s, expected a whole number", path, csv->line, c, field->name, length, text);
  if (field->high && (value < (double)field->low || value >= (double)field->high) && !(field->ignore && value == (double)field->ignore))
    return mt_error(csv->error, "%s:%d: column %lld: label %.*s of field %s is out of range: labels go from %lld to %lld", path, csv->line, c, length, text,
                    field->name, (long long)field->low, (long long)field->high - 1);
  if (field->type == MT_I32) ((int32_t *)out)[i] = (int32_t)value;
  else ((unsigned char *)out)[i] = (unsigned char)value;
  return true;
}

static bool read_row(Csv *csv, int64_t row, MtSet *out) {
  const char *end = line_end(csv), *at = csv->at, *first, *last;
  int64_t column = 0;
  for (int f = 0; f < csv->data->n_fields; f++) {
    const MtField *field = &csv->data->fields[f];
    int64_t n = mt_field_elements(field);
    for (int64_t i = 0; i < n; i++, column++) {
      double value;
      if (!at) return mt_error(csv->error, "%s:%d: the line has %lld columns, the model's fields need %lld", csv->path, csv->line, (long long)column, (long long)csv->columns);
      at = cell(at, end, &first, &last);
      if (!parse_number(first, last, &value))
        return mt_error(csv->error, first == last ? "%s:%d: column %lld: found nothing%.*s, expected a number" : "%s:%d: column %lld: found `%.*s`, expected a number",
                        csv->path, csv->line, (long long)column + 1, (int)(last - first < 40 ? last - first : 40), first);
      if (!store_value(csv, column, field, out->fields[f], row * n + i, value, (int)(last - first), first)) return false;
    }
  }
  int64_t more = 0;
  while (at) at = cell(at, end, &first, &last), more++;
  return more == 0 || mt_error(csv->error, "%s:%d: the line has %lld columns, the model's fields need %lld", csv->path, csv->line,
                               (long long)(column + more), (long long)csv->columns);
}

static int64_t count_rows(const Csv *csv) {
  int64_t rows = 0;
  for (Csv scan = *csv; scan.at < scan.end; next_line(&scan)) rows += !is_blank(scan.at, line_end(&scan));
  return csv->data->rows && rows > csv->data->rows ? csv->data->rows : rows;
}

static bool read_all(Csv *csv, MtSet *out) {
  if (csv->at < csv->end && is_header(csv)) next_line(csv);
  out->rows = count_rows(csv);
  if (out->rows == 0) return mt_error(csv->error, "%s: it has no rows", csv->path);
  for (int f = 0; f < csv->data->n_fields; f++) {
    size_t bytes = (size_t)mt_field_elements(&csv->data->fields[f]) * mt_type_size(csv->data->fields[f].type);
    out->row_bytes[f] = bytes;
    out->fields[f] = calloc((size_t)out->rows, bytes ? bytes : 1);
    if (!out->fields[f]) return mt_error(csv->error, "%s: out of memory for %lld rows", csv->path, (long long)out->rows);
  }
  for (int64_t row = 0; row < out->rows; next_line(csv)) {
    if (is_blank(csv->at, line_end(csv))) continue;
    if (!read_row(csv, row++, out)) return false;
  }
  return true;
}

bool mt_read_csv(const MtData *data, const char *path, MtSet *out, MtError *error) {
  char *bytes;
  size_t length;
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  const char *nul = memchr(bytes, 0, length);
  Csv csv = {data, path, bytes, bytes + length, 1, 0, error};
  if (length >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) csv.at += 3;
  for (int f = 0; f < data->n_fields; f++) csv.columns += mt_field_elements(&data->fields[f]);
  bool ok = nul ? mt_error(error, "%s: byte %zu is NUL: this is not a text file", path, (size_t)(nul - bytes)) : read_all(&csv, out);
  free(bytes);
  return ok;
}
