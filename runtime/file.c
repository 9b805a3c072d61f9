/* file.c - whole files in, whole files out.
 *
 * Reading goes through zlib, which passes plain files on as they are.  Writing
 * never touches the file that is there until the new one is safely on disk: a
 * temporary file in the same folder, fsync, rename, fsync of the folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "runtime/storage.h"

bool mt_error(MtError *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (!error->text[0]) vsnprintf(error->text, sizeof error->text, format, args);
  va_end(args);
  return false;
}

static gzFile open_plain_or_gz(const char *path, char *opened, size_t room, MtError *error) {
  struct stat info;
  snprintf(opened, room, "%s", path);
  if (stat(path, &info) && errno == ENOENT) {
    snprintf(opened, room, "%s.gz", path);
    if (stat(opened, &info)) return mt_error(error, "%s: no such file (nor %s)", path, opened), NULL;
  }
  if (S_ISDIR(info.st_mode)) return mt_error(error, "%s: it is a folder, not a file", opened), NULL;
  gzFile file = gzopen(opened, "rb");
  if (!file) mt_error(error, "%s: cannot open: %s", opened, strerror(errno));
  return file;
}

bool mt_read_file(const char *path, char **bytes, size_t *length, MtError *error) {
  char opened[4096];
  *bytes = NULL;
  *length = 0;
  gzFile file = open_plain_or_gz(path, opened, sizeof opened, error);
  if (!file) return false;
  size_t room = 1 << 16;
  char *data = malloc(room);
  int got = 0;
  while (data && (got = gzread(file, data + *length, (unsigned)(room - *length - 1))) > 0) {
    *length += (size_t)got;
    if (room - *length > room / 2) continue;
    char *more = room > SIZE_MAX / 2 || room > (size_t)1 << 30 ? realloc(data, room + ((size_t)1 << 30)) : realloc(data, room * 2);
    if (!more) {
      free(data);
      data = NULL;
      break;
    }
    room += room > (size_t)1 << 30 ? (size_t)1 << 30 : room;
    data = more;
  }
  int code = 0;
  const char *why = data ? gzerror(file, &code) : "out of memory";
  bool ok = data && got == 0 && (code == Z_OK || code == Z_STREAM_END);
  if (!ok) mt_error(error, "%s: cannot read: %s", opened, code == Z_ERRNO ? strerror(errno) : *why ? why : "it is cut short");
  int closed = gzclose(file);
  if (ok && closed != Z_OK) ok = mt_error(error, "%s: cannot read: the compressed data is cut short", opened);
  if (!ok) return free(data), false;
  data[*length] = 0;
  *bytes = data;
  return true;
}

bool mt_write_begin(MtWriter *writer, const char *path, MtError *error) {
  writer->error = error;
  writer->fd = -1;
  if ((size_t)snprintf(writer->path, sizeof writer->path, "%s", path) >= sizeof writer->path)
    return mt_error(error, "%.200s...: the path is too long", path);
  snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp%ld", path, (long)getpid());
  writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  return writer->fd >= 0 || mt_error(error, "%s: cannot write: %s", path, strerror(errno));
}

bool mt_write_bytes(MtWriter *writer, const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    ssize_t n = write(writer->fd, at, length < 1u << 30 ? length : 1u << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return mt_error(writer->error, "%s: cannot write: %s", writer->path, n < 0 ? strerror(errno) : "no room");
    at += n;
    length -= (size_t)n;
  }
  return true;
}

/* A rename lasts only when its folder is on disk too. */
static bool sync_folder(const char *path) {
  char folder[4096];
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = 0;
  int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  bool ok = fsync(fd) == 0 || errno == EINVAL || errno == EROFS; /* some file systems cannot sync a folder */
  int why = errno;
  close(fd);
  errno = why;
  return ok;
}

bool mt_write_commit(MtWriter *writer, const char *keep) {
  int fd = writer->fd, status;
  while ((status = fsync(fd)) && errno == EINTR) continue;
  bool ok = status == 0 || errno == EINVAL;
  writer->fd = -1;
  if (!ok) close(fd);
  else ok = close(fd) == 0;
  if (ok && keep && rename(writer->path, keep) && errno != ENOENT) ok = false;
  if (ok) ok = rename(writer->temporary, writer->path) == 0;
  if (!ok) {
    mt_error(writer->error, "%s: cannot write: %s", writer->path, strerror(errno));
    unlink(writer->temporary);
    return false;
  }
  return sync_folder(writer->path) || mt_error(writer->error, "%s: cannot sync its folder: %s", writer->path, strerror(errno));
}

void mt_write_abort(MtWriter *writer) {
  if (writer->fd < 0) return;
  close(writer->fd);
  unlink(writer->temporary);
  writer->fd = -1;
}
