/* npy.c - NumPy's array files, format versions 1 to 3.
 *
 * A magic string, a version, the length of a header, the header (a Python
 * dict with the keys descr, fortran_order and shape), then the bytes.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

static const struct {
  const char *descr;
  MtWide type;
} descrs[] = {
    {"<f4", MT_WIDE_F32}, {"<f8", MT_WIDE_F64}, {"<i8", MT_WIDE_I64},
    {"<i4", MT_WIDE_I32}, {"|u1", MT_WIDE_U8},  {"|b1", MT_WIDE_BOOL},
};
enum { N_DESCRS = sizeof descrs / sizeof descrs[0], MAX_HEADER = 1 << 20 };

/* What follows `'key':` in the header, or NULL. */
static const char *header_value(const char *header, const char *key) {
  char quoted[64];
  for (int q = 0; q < 2; q++) {
    snprintf(quoted, sizeof quoted, "%c%s%c", "'\""[q], key, "'\""[q]);
    const char *at = strstr(header, quoted);
    if (!at) continue;
    at += strlen(quoted);
    while (*at == ' ') at++;
    if (*at != ':') continue;
    for (at++; *at == ' ';) at++;
    return at;
  }
  return NULL;
}

static bool parse_descr(const char *what, const char *at, MtWide *type, MtError *error) {
  char descr[16] = "";
  if (!at) return mt_error(error, "%s: the npy header has no descr", what);
  if (*at != '\'' && *at != '"')
    return mt_error(error, "%s: the array holds records; save each of their fields as an array of its own", what);
  for (size_t n = 0; n + 1 < sizeof descr && at[n + 1] && at[n + 1] != *at; n++) descr[n] = at[n + 1], descr[n + 1] = 0;
  for (int i = 0; i < N_DESCRS; i++)
    if (!strcmp(descr, descrs[i].descr)) return *type = descrs[i].type, true;
  char shown[MT_SHOWN];
  return mt_error(error,
                  "%s: the dtype is %s; it must be float32, float64, int64, int32, uint8 or bool, little-endian: "
                  "convert the array with astype and save it again",
                  what, mt_show(shown, descr, strlen(descr)));
}

static bool parse_shape(const char *what, const char *at, MtArray *out, MtError *error) {
  char shown[MT_SHOWN];
  const char *first = at;
  if (!at || *at++ != '(') return mt_error(error, "%s: the npy header has no shape", what);
  int64_t count = 1;
  for (out->rank = 0;; out->rank++) {
    while (*at == ' ' || *at == ',') at++;
    if (*at == ')') return true;
    if (!isdigit((unsigned char)*at))
      return mt_error(error, "%s: the npy header's shape cannot be read: %s", what,
                      mt_show(shown, first, strcspn(first, ")\n") + 1));
    if (out->rank == MT_MAX_RANK) return mt_error(error, "%s: the array has more than %d axes", what, MT_MAX_RANK);
    int64_t size = 0;
    for (; isdigit((unsigned char)*at); at++) {
      if (size > INT64_MAX / 16) return mt_error(error, "%s: the npy header's shape is too large", what);
      size = size * 10 + (*at - '0');
    }
    if (*at == 'L') at++;
    if (size && count > INT64_MAX / 16 / size) return mt_error(error, "%s: the npy header's shape is too large", what);
    if (size) count *= size;
    out->shape[out->rank] = size;
  }
}

/* Where the header's text begins and how long it is. */
static bool find_header(const char *what, const unsigned char *u, size_t length, size_t *start, size_t *header_length,
                        MtError *error) {
  if (length == 0) return mt_error(error, "%s: the file is empty", what);
  if (length < 6 || memcmp(u, "\x93NUMPY", 6))
    return mt_error(error, "%s: not an npy file: it does not begin with \\x93NUMPY", what);
  if (length < 8) return mt_error(error, "%s: cut short: it ends at byte %zu, inside the npy header", what, length);
  if (u[6] < 1 || u[6] > 3)
    return mt_error(error, "%s: npy version %d is unknown; versions 1 to 3 can be read", what, u[6]);
  *start = u[6] == 1 ? 10 : 12;
  if (length < *start)
    return mt_error(error, "%s: cut short: it ends at byte %zu, inside the npy header", what, length);
  *header_length = (size_t)u[8] | (size_t)u[9] << 8;
  if (u[6] > 1) *header_length |= (size_t)u[10] << 16 | (size_t)u[11] << 24;
  if (*header_length > length - *start)
    return mt_error(error, "%s: cut short: the npy header needs %zu bytes, %zu are there", what, *header_length,
                    length - *start);
  return *header_length <= MAX_HEADER ||
         mt_error(error, "%s: its npy header has %zu bytes; at most %d can be read", what, *header_length, MAX_HEADER);
}

static bool parse_header(const char *what, const char *text, size_t length, MtArray *out, MtError *error) {
  char *header = calloc(1, length + 1);
  if (!header) return mt_error(error, "%s: out of memory", what);
  memcpy(header, text, length);
  const char *order = header_value(header, "fortran_order");
  bool ok = parse_descr(what, header_value(header, "descr"), &out->type, error) &&
            parse_shape(what, header_value(header, "shape"), out, error);
  if (ok && !order) ok = mt_error(error, "%s: the npy header has no fortran_order", what);
  if (ok && strncmp(order, "False", 5))
    ok = mt_error(error, "%s: the array is in Fortran order; save numpy.ascontiguousarray of it", what);
  free(header);
  return ok;
}

bool mt_parse_npy(const char *what, const char *bytes, size_t length, MtArray *out, MtError *error) {
  size_t start = 0, header_length = 0;
  memset(out, 0, sizeof *out);
  if (!find_header(what, (const unsigned char *)bytes, length, &start, &header_length, error) ||
      !parse_header(what, bytes + start, header_length, out, error))
    return false;
  size_t need = (size_t)mt_array_count(out) * mt_wide_size(out->type), have = length - start - header_length;
  if (need != have)
    return mt_error(error, "%s: %s: the header promises %zu bytes of data, %zu are there", what,
                    have < need ? "cut short" : "too long", need, have);
  out->data = malloc(need ? need : 1);
  if (!out->data) return mt_error(error, "%s: out of memory (%zu bytes)", what, need);
  memcpy(out->data, bytes + start + header_length, need);
  return true;
}

bool mt_read_npy(const char *path, MtArray *out, MtError *error) {
  char *bytes;
  size_t length;
  memset(out, 0, sizeof *out);
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  bool ok = mt_parse_npy(path, bytes, length, out, error);
  free(bytes);
  return ok;
}

bool mt_write_npy(const char *path, const MtArray *array, MtError *error) {
  char header[512], shape[256] = "";
  const char *descr = NULL;
  for (int i = 0; i < N_DESCRS; i++)
    if (descrs[i].type == array->type) descr = descrs[i].descr;
  if (!descr) return mt_error(error, "%s: npy has no bf16", path);
  size_t used = 0;
  for (int i = 0; i < array->rank; i++)
    used += (size_t)snprintf(shape + used, sizeof shape - used, "%lld,%s", (long long)array->shape[i],
                             i + 1 < array->rank ? " " : "");
  int n = snprintf(header + 10, sizeof header - 10, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr,
                   shape);
  int total = (10 + n + 1 + 63) / 64 * 64; /* data begins at a multiple of 64, as NumPy writes it */
  memset(header + 10 + n, ' ', (size_t)(total - 10 - n));
  header[total - 1] = '\n';
  memcpy(header, "\x93NUMPY\x01\x00", 8);
  header[8] = (char)((total - 10) & 255);
  header[9] = (char)((total - 10) >> 8);
  MtWriter writer;
  bool ok = mt_write_begin(&writer, path, error) && mt_write_bytes(&writer, header, (size_t)total) &&
            mt_write_bytes(&writer, array->data, (size_t)mt_array_count(array) * mt_wide_size(array->type)) &&
            mt_write_commit(&writer, NULL);
  if (!ok) mt_write_abort(&writer);
  return ok;
}
