/* idx.c - the file format of MNIST: two zero bytes, a type, the number of
 * axes, their sizes as big-endian 32-bit numbers, then big-endian values.
 * http://yann.lecun.com/exdb/mnist/
 */
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

static uint32_t big_endian(const unsigned char *u) {
  return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}

/* One value of `size` bytes as the wide type holds it; i8 and i16 become i32. */
static void put(int code, const unsigned char *u, MtArray *out, int64_t i) {
  uint32_t word;
  uint64_t wide;
  int32_t narrow;
  switch (code) {
  case 0x08: ((unsigned char *)out->data)[i] = *u; break;
  case 0x09: narrow = (signed char)*u, memcpy((int32_t *)out->data + i, &narrow, 4); break;
  case 0x0b: narrow = (int16_t)(u[0] << 8 | u[1]), memcpy((int32_t *)out->data + i, &narrow, 4); break;
  case 0x0c:
  case 0x0d: word = big_endian(u), memcpy((char *)out->data + 4 * i, &word, 4); break;
  case 0x0e:
    wide = (uint64_t)big_endian(u) << 32 | big_endian(u + 4), memcpy((char *)out->data + 8 * i, &wide, 8);
    break;
  }
}

static const struct {
  MtWide type;
  size_t size;
} codes[] = {
    [0x08] = {MT_WIDE_U8, 1},  [0x09] = {MT_WIDE_I32, 1}, [0x0b] = {MT_WIDE_I32, 2},
    [0x0c] = {MT_WIDE_I32, 4}, [0x0d] = {MT_WIDE_F32, 4}, [0x0e] = {MT_WIDE_F64, 8},
};
enum { N_CODES = sizeof codes / sizeof codes[0] };

static bool parse_header(const char *path, const unsigned char *u, size_t length, MtArray *out, size_t *count,
                         MtError *error) {
  if (length < 4) return mt_error(error, "%s: cut short: an idx file has at least 4 bytes, this has %zu", path, length);
  if (u[0] || u[1] || u[2] >= N_CODES || codes[u[2]].size == 0)
    return mt_error(error,
                    "%s: not an idx file: it begins with %02x %02x %02x %02x, an idx file with 00 00, a type "
                    "from 08 to 0e and the number of axes",
                    path, u[0], u[1], u[2], u[3]);
  out->type = codes[u[2]].type;
  out->rank = u[3];
  if (out->rank < 1 || out->rank > MT_MAX_RANK)
    return mt_error(error, "%s: the array has %d axes; 1 to %d can be read", path, out->rank, MT_MAX_RANK);
  if (length < 4 + 4 * (size_t)out->rank)
    return mt_error(error, "%s: cut short: the header has %d bytes, %zu are there", path, 4 + 4 * out->rank, length);
  *count = 1;
  for (int a = 0; a < out->rank; a++) {
    out->shape[a] = big_endian(u + 4 + 4 * a);
    if (out->shape[a] && *count > ((size_t)1 << 48) / (size_t)out->shape[a])
      return mt_error(error, "%s: the header's sizes are too large", path);
    if (out->shape[a]) *count *= (size_t)out->shape[a];
  }
  for (int a = 0; a < out->rank; a++)
    if (!out->shape[a]) *count = 0;
  return true;
}

bool mt_parse_idx(const char *path, const char *bytes, size_t length, MtArray *out, MtError *error) {
  const unsigned char *u = (const unsigned char *)bytes;
  size_t count = 0;
  memset(out, 0, sizeof *out);
  if (!parse_header(path, u, length, out, &count, error)) return false;
  size_t start = 4 + 4 * (size_t)out->rank, size = codes[u[2]].size;
  if (length - start != count * size)
    return mt_error(error, "%s: %s: the header promises %zu values of %zu byte%s, %zu bytes are there", path,
                    length - start < count * size ? "cut short" : "too long", count, size, size == 1 ? "" : "s",
                    length - start);
  out->data = malloc(count ? count * mt_wide_size(out->type) : 1);
  if (!out->data) return mt_error(error, "%s: out of memory", path);
  for (size_t i = 0; i < count; i++) put(u[2], u + start + i * size, out, (int64_t)i);
  return true;
}

bool mt_read_idx(const char *path, MtArray *out, MtError *error) {
  char *bytes;
  size_t length;
  memset(out, 0, sizeof *out);
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  bool ok = mt_parse_idx(path, bytes, length, out, error);
  free(bytes);
  return ok;
}
