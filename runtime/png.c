/* png.c - rows of numbers as one grey picture (PNG, ISO/IEC 15948): each row a tile, the least number black, the greatest
 * white; a row of p numbers is a square where p is one.  zlib does the deflating and the checksums. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "runtime/storage.h"

enum { GAP = 1, SMALLEST_TILE = 32, MOST_PIXELS = 1 << 28 };

typedef struct Sheet {
  int64_t n, h, w;     /* tiles, and the numbers of one */
  int64_t zoom;        /* pixels a number, each way */
  int64_t columns;     /* tiles side by side */
  int64_t height, width;
} Sheet;

static bool lay_out(Sheet *s, const char *path, const MtArray *array, MtError *error) {
  const int64_t *shape = array->shape;
  int64_t side = array->rank == 2 ? (int64_t)llround(sqrt((double)shape[1])) : 0;
  if (array->rank == 2 && side * side == shape[1]) *s = (Sheet){.n = shape[0], .h = side, .w = side};
  else if (array->rank == 3) *s = (Sheet){.n = shape[0], .h = shape[1], .w = shape[2]};
  else if (array->rank == 4 && shape[1] == 1) *s = (Sheet){.n = shape[0], .h = shape[2], .w = shape[3]};
  else return mt_error(error, "%s: a picture is made of [n, h, w], [n, 1, h, w] or [n, p], p a square: write an .npy", path);
  if (s->n < 1 || s->h < 1 || s->w < 1) return mt_error(error, "%s: there is nothing to draw", path);
  int64_t longest = s->h > s->w ? s->h : s->w;
  s->zoom = longest < SMALLEST_TILE ? SMALLEST_TILE / longest : 1;
  s->columns = (int64_t)ceil(sqrt((double)s->n));
  s->width = s->columns * (s->w * s->zoom + GAP) + GAP;
  s->height = (s->n + s->columns - 1) / s->columns * (s->h * s->zoom + GAP) + GAP;
  return s->width <= MOST_PIXELS / s->height || mt_error(error, "%s: %lld x %lld pixels are too many", path, (long long)s->width,
                                                         (long long)s->height);
}

static unsigned char shade(float value, float low, float high) {
  if (!isfinite(value) || !(high > low)) return value > low ? 255 : 0;
  return (unsigned char)lrintf(255 * ((value - low) / (high - low)));
}

/* A filter byte (0: none) before each line of pixels. */
static void draw(const Sheet *s, const float *data, unsigned char *lines) {
  float low = INFINITY, high = -INFINITY;
  for (int64_t i = 0; i < s->n * s->h * s->w; i++)
    if (isfinite(data[i])) low = fminf(low, data[i]), high = fmaxf(high, data[i]);
  for (int64_t tile = 0; tile < s->n; tile++) {
    int64_t top = GAP + tile / s->columns * (s->h * s->zoom + GAP), left = GAP + tile % s->columns * (s->w * s->zoom + GAP);
    for (int64_t y = 0; y < s->h * s->zoom; y++)
      for (int64_t x = 0; x < s->w * s->zoom; x++)
        lines[(top + y) * (s->width + 1) + 1 + left + x] =
            shade(data[(tile * s->h + y / s->zoom) * s->w + x / s->zoom], low, high);
  }
}

static void big_endian(unsigned char *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = (unsigned char)(value >> (24 - 8 * i));
}

/* Length, type, bytes, and a checksum of the last two. */
static bool write_chunk(MtWriter *writer, const char *type, const unsigned char *bytes, size_t length) {
  unsigned char head[8], tail[4];
  big_endian(head, (uint32_t)length);
  memcpy(head + 4, type, 4);
  uLong sum = crc32(0, head + 4, 4);
  if (length) sum = crc32(sum, bytes, (uInt)length);
  big_endian(tail, (uint32_t)sum);
  return mt_write_bytes(writer, head, 8) && (!length || mt_write_bytes(writer, bytes, length)) && mt_write_bytes(writer, tail, 4);
}

static bool write_file(const char *path, const Sheet *s, const unsigned char *packed, size_t length, MtError *error) {
  static const unsigned char signature[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  unsigned char header[13] = {[8] = 8 /* bits a pixel; grey, deflated, filtered, not interlaced: 0 */};
  big_endian(header, (uint32_t)s->width);
  big_endian(header + 4, (uint32_t)s->height);
  MtWriter writer;
  bool ok = mt_write_begin(&writer, path, error) && mt_write_bytes(&writer, signature, sizeof signature) &&
            write_chunk(&writer, "IHDR", header, sizeof header) && write_chunk(&writer, "IDAT", packed, length) &&
            write_chunk(&writer, "IEND", NULL, 0) && mt_write_commit(&writer, NULL);
  if (!ok) mt_write_abort(&writer);
  return ok;
}

bool mt_write_png(const char *path, const MtArray *array, MtError *error) {
  Sheet s = {0};
  if (!lay_out(&s, path, array, error)) return false;
  uLong size = (uLong)((s.width + 1) * s.height), room = compressBound(size);
  unsigned char *lines = calloc(size, 1), *packed = malloc(room);
  bool ok = lines && packed;
  if (ok) draw(&s, array->data, lines);
  ok = ok && compress(packed, &room, lines, size) == Z_OK;
  ok = ok ? write_file(path, &s, packed, room, error) : mt_error(error, "out of memory");
  free(lines);
  free(packed);
  return ok;
}
