/* csv.c - numbers separated by commas.
 *
 * Fields take columns left to right.  A first line that is not numeric is a
 * header.  Every value is checked as it is read, so a message can name the
 * line and the column: NaN, labels out of range, integers with a fraction.
 */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

typedef struct Csv {
  const MtData *data;
  const char *path;
  const char *start, *at, *end;
  long long line;
  int64_t columns; /* of every row */
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

/* The text ends with a NUL, so strtod stops inside it. */
static bool parse_number(const char *first, const char *last, double *value) {
  char *end;
  if (first == last) return false;
  *value = strtod(first, &end);
  return end == last;
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

/* ---- messages ---- */

/* "columns 1 to 2 are x, column 3 is y" */
static const char *wanted(const Csv *csv, char *out, size_t room) {
  long long column = 1;
  size_t used = 0;
  out[0] = 0;
  for (int f = 0; f < csv->data->n_fields && used < room; f++) {
    const MtField *field = &csv->data->fields[f];
    long long n = (long long)mt_field_elements(field);
    const char *comma = f ? ", " : "";
    if (n == 1)
      used += (size_t)snprintf(out + used, room - used, "%scolumn %lld is %.60s", comma, column, field->name);
    else
      used += (size_t)snprintf(out + used, room - used, "%scolumns %lld to %lld are %.60s", comma, column,
                               column + n - 1, field->name);
    column += n;
  }
  return out;
}

static bool wrong_count(const Csv *csv, int64_t columns) {
  char text[400];
  return mt_error(csv->error, "%s:%lld: the line has %lld column%s, the model needs %lld (%s)", csv->path, csv->line,
                  (long long)columns, columns == 1 ? "" : "s", (long long)csv->columns, wanted(csv, text, sizeof text));
}

typedef struct Cell {
  const char *first, *last;
  const MtField *field;
  long long column; /* from 1 */
} Cell;

/* "FILE:LINE: column 3 (y): found WHAT, ..." */
static bool bad_cell(const Csv *csv, const Cell *c, const char *why) {
  char shown[MT_SHOWN];
  return mt_error(csv->error, "%s:%lld: column %lld (%s): found %s, %s", csv->path, csv->line, c->column,
                  c->field->name, mt_show(shown, c->first, (size_t)(c->last - c->first)), why);
}

static bool not_a_number(const Csv *csv, const Cell *c) {
  if (c->first == c->last)
    return mt_error(csv->error,
                    "%s:%lld: column %lld (%s): found nothing, expected a number; leave rows with missing "
                    "values out",
                    csv->path, csv->line, c->column, c->field->name);
  for (const char *at = c->first; at < c->last; at++)
    if (*at == ';' || *at == '\t' || *at == ' ')
      return bad_cell(csv, c, "expected a number; columns are separated by commas");
  return bad_cell(csv, c, "expected a number");
}

/* A line without commas that is no number either: its separator is the news.  True when told. */
static bool bad_first(const Csv *csv, const char *end) {
  Cell c = {.field = &csv->data->fields[0], .column = 1};
  double value;
  cell(csv->at, end, &c.first, &c.last);
  return !parse_number(c.first, c.last, &value) && !not_a_number(csv, &c);
}

/* ---- rows ---- */

static bool store_real(const Csv *csv, const Cell *c, double value, void *out, int64_t i) {
  if (isnan(value)) return bad_cell(csv, c, "expected a number; leave rows with missing values out");
  if (c->field->type == MT_F64) return ((double *)out)[i] = value, true;
  ((float *)out)[i] = (float)value;
  bool written_as_infinity = isinf(value) && isalpha((unsigned char)c->last[-1]);
  return isfinite((float)value) || written_as_infinity || bad_cell(csv, c, "which is too large for f32");
}

static bool store_whole(const Csv *csv, const Cell *c, double value, void *out, int64_t i) {
  const MtField *field = c->field;
  static const struct {
    double low, high;
    const char *refusal;
  } ranges[] = {
      [MT_I32] = {INT32_MIN, INT32_MAX, "which i32 cannot hold: it goes from -2147483648 to 2147483647"},
      [MT_U8] = {0, 255, "which u8 cannot hold: it goes from 0 to 255"},
      [MT_BOOL] = {0, 1, "expected 0 or 1"},
  };
  if (isnan(value) || value != floor(value)) return bad_cell(csv, c, "expected a whole number");
  bool ignored = field->ignore && value == (double)field->ignore;
  if (field->high && !ignored && (value < (double)field->low || value >= (double)field->high)) {
    char text[120];
    snprintf(text, sizeof text, "which is out of range: labels go from %lld to %lld", (long long)field->low,
             (long long)field->high - 1);
    return bad_cell(csv, c, text);
  }
  if (value < ranges[field->type].low || value > ranges[field->type].high)
    return bad_cell(csv, c, ranges[field->type].refusal);
  if (field->type == MT_I32)
    ((int32_t *)out)[i] = (int32_t)value;
  else
    ((unsigned char *)out)[i] = (unsigned char)value;
  return true;
}

static bool read_cell(const Csv *csv, const Cell *c, void *out, int64_t i) {
  double value;
  if (!parse_number(c->first, c->last, &value)) return not_a_number(csv, c);
  bool is_real = c->field->type == MT_F32 || c->field->type == MT_F64;
  return is_real ? store_real(csv, c, value, out, i) : store_whole(csv, c, value, out, i);
}

static int64_t count_columns(const char *at, const char *end) {
  int64_t columns = 1;
  while ((at = memchr(at, ',', (size_t)(end - at)))) at++, columns++;
  return columns;
}

static bool read_row(Csv *csv, int64_t row, MtSet *out) {
  const char *end = line_end(csv), *at = csv->at;
  Cell c = {.column = 1};
  int64_t columns = count_columns(at, end);
  if (columns != csv->columns) return !(columns == 1 && bad_first(csv, end)) && wrong_count(csv, columns);
  for (int f = 0; f < csv->data->n_fields; f++) {
    c.field = &csv->data->fields[f];
    int64_t n = mt_field_elements(c.field);
    for (int64_t i = 0; i < n; i++, c.column++) {
      at = cell(at, end, &c.first, &c.last);
      if (!read_cell(csv, &c, out->fields[f], row * n + i)) return false;
    }
  }
  return true;
}

/* Up to the first whose columns are too few or too many, `wrong`: memory is not asked for more than the file holds. */
static int64_t count_rows(const Csv *csv, bool *wrong) {
  int64_t rows = 0;
  for (Csv scan = *csv; scan.at < scan.end; next_line(&scan)) {
    const char *end = line_end(&scan);
    if (is_blank(scan.at, end)) continue;
    if ((*wrong = count_columns(scan.at, end) != csv->columns) || ++rows == csv->data->rows) break;
  }
  return rows;
}

/* One line of numbers at least; `header`: the first line was one. */
static bool no_rows(const Csv *csv, bool header) {
  char text[400];
  size_t left = (size_t)(csv->end - csv->start);
  bool old_mac = memchr(csv->start, '\r', left) && !memchr(csv->start, '\n', left);
  const char *what = left == 0 ? "the file is empty"
                     : old_mac ? "it is one long line: its lines end with CR, not with LF"
                     : header  ? "it has a header and no rows"
                               : "it has no rows";
  return mt_error(csv->error, "%s: %s; expected lines of %lld numbers with commas between them (%s)", csv->path, what,
                  (long long)csv->columns, wanted(csv, text, sizeof text));
}

static bool read_rows(Csv *csv, MtSet *out) {
  bool header = csv->at < csv->end && is_header(csv), wrong = false;
  if (header) next_line(csv);
  out->rows = count_rows(csv, &wrong);
  if (out->rows == 0 && !wrong) return no_rows(csv, header);
  for (int f = 0; f < csv->data->n_fields; f++) {
    size_t bytes = (size_t)mt_field_elements(&csv->data->fields[f]) * mt_type_size(csv->data->fields[f].type);
    out->row_bytes[f] = bytes;
    out->fields[f] = out->rows && bytes ? calloc((size_t)out->rows, bytes) : calloc(1, 1);
    if (!out->fields[f])
      return mt_error(csv->error, "%s: out of memory for %lld rows", csv->path, (long long)out->rows);
  }
  for (int64_t row = 0; row < out->rows + wrong; next_line(csv)) {
    if (is_blank(csv->at, line_end(csv))) continue;
    if (!read_row(csv, row++, out)) return false;
  }
  return true;
}

bool mt_parse_csv(const MtData *data, const char *path, const char *bytes, size_t length, MtSet *out, MtError *error) {
  const char *nul = memchr(bytes, 0, length);
  Csv csv = {data, path, bytes, bytes, bytes + length, 1, 0, error};
  if (length >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) csv.at += 3; /* a byte order mark */
  for (int f = 0; f < data->n_fields; f++) csv.columns += mt_field_elements(&data->fields[f]);
  if (nul) return mt_error(error, "%s: byte %zu is NUL: this is not a text file", path, (size_t)(nul - bytes));
  return read_rows(&csv, out);
}

bool mt_read_csv(const MtData *data, const char *path, MtSet *out, MtError *error) {
  char *bytes;
  size_t length;
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  bool ok = mt_parse_csv(data, path, bytes, length, out, error);
  free(bytes);
  return ok;
}
