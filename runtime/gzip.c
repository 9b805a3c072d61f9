/* gzip.c - compressed files, from memory to memory.
 *
 * A gzip file is one or more members, each with a checksum and a length of
 * its own that zlib compares.  Zeros behind the last one are padding; any
 * other bytes there mean damage.
 */
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "runtime/storage.h"

enum { FIRST_ROOM = 1 << 16, GZIP_FORMAT = 16 };

bool mt_is_gzip(const char *bytes, size_t length) { return length >= 2 && !memcmp(bytes, "\x1f\x8b", 2); }

typedef struct Inflation {
  z_stream stream;
  char *out;
  size_t used, room; /* of out, which has one byte more for a NUL */
  size_t unread;     /* bytes of the file that the stream was not given yet */
} Inflation;

static bool make_room(Inflation *i) {
  if (i->used < i->room) return true;
  size_t room = i->room ? i->room * 2 : FIRST_ROOM;
  char *more = room < i->room ? NULL : realloc(i->out, room + 1);
  if (!more) return false;
  i->out = more;
  i->room = room;
  return true;
}

/* zlib counts in 32 bits: files and results go in pieces. */
static int inflate_piece(Inflation *i) {
  const size_t most = 1u << 30;
  if (i->stream.avail_in == 0) {
    i->stream.avail_in = (uInt)(i->unread < most ? i->unread : most);
    i->unread -= i->stream.avail_in;
  }
  size_t room = i->room - i->used < most ? i->room - i->used : most;
  i->stream.next_out = (Bytef *)i->out + i->used;
  i->stream.avail_out = (uInt)room;
  int status = inflate(&i->stream, Z_NO_FLUSH);
  i->used += room - i->stream.avail_out;
  return status;
}

/* Another member behind the one that ended; false when only zeros are left, or with an error. */
static bool next_member(Inflation *i, const char *what, const char *end, MtError *error) {
  const char *at = (const char *)i->stream.next_in;
  if (mt_is_gzip(at, (size_t)(end - at))) return inflateReset(&i->stream) == Z_OK;
  while (at < end && !*at) at++;
  if (at < end) mt_error(error, "%s: the compressed data is damaged: other bytes stand behind its end", what);
  return false;
}

static bool inflate_all(Inflation *i, const char *what, const char *end, MtError *error) {
  for (;;) {
    if (!make_room(i)) return mt_error(error, "%s: out of memory: it is larger than %zu bytes", what, i->used);
    int status = inflate_piece(i);
    bool no_more = i->stream.avail_in == 0 && i->unread == 0;
    if (status == Z_STREAM_END) {
      if (!next_member(i, what, end, error)) return !error->text[0];
    } else if (status == Z_MEM_ERROR) {
      return mt_error(error, "%s: out of memory", what);
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return mt_error(error, "%s: the compressed data is damaged (%s)", what, i->stream.msg ? i->stream.msg : "zlib");
    } else if (no_more && i->used < i->room) {
      return mt_error(error, "%s: the compressed data is cut short; copy or download the file again", what);
    }
  }
}

bool mt_gunzip(const char *what, const char *bytes, size_t length, char **out, size_t *out_length, MtError *error) {
  Inflation i = {.stream = {.next_in = (Bytef *)(uintptr_t)bytes}, .unread = length};
  *out = NULL;
  *out_length = 0;
  if (inflateInit2(&i.stream, MAX_WBITS + GZIP_FORMAT) != Z_OK) return mt_error(error, "%s: out of memory", what);
  bool ok = inflate_all(&i, what, bytes + length, error);
  inflateEnd(&i.stream);
  if (!ok) return free(i.out), false;
  i.out[i.used] = 0;
  *out = i.out;
  *out_length = i.used;
  return true;
}
