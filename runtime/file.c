/* file.c - whole files in, whole files out.
 *
 * A compressed file is unpacked where it is read.  Writing never touches the
 * file that is there until the new one is safely on disk: a temporary file in
 * the same folder, fsync, rename, fsync of the folder.  Calls that a signal
 * interrupts are made again, and short counts go on where they ended.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/storage.h"

bool mt_error(MtError *error, const char *format, ...) {
  va_list args;
  va_start(args, format);
  if (!error->text[0]) vsnprintf(error->text, sizeof error->text, format, args);
  va_end(args);
  return false;
}

/* ---- text from files, in messages ---- */

/* Bytes of the UTF-8 character at `at`, or 0 when there is none that prints. */
static size_t printable(const unsigned char *at, size_t length) {
  if (*at < 0x80) return *at >= ' ' && *at != 127;
  size_t n = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : *at >= 0xc3 ? 2 : 0; /* from c3: c2 begins control characters */
  if (!n || *at > 0xf4 || n > length) return 0;
  for (size_t i = 1; i < n; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  return n;
}

const char *mt_show(char out[MT_SHOWN], const char *text, size_t length) {
  size_t used = 0, i = 0, n;
  for (; i < length && used < MT_SHOWN - 8; i += n) {
    n = printable((const unsigned char *)text + i, length - i);
    if (n)
      memcpy(out + used, text + i, n);
    else
      out[used] = '?';
    used += n ? n : 1;
    n = n ? n : 1;
  }
  memcpy(out + used, i < length ? "..." : "", i < length ? 4 : 1);
  return out;
}

/* ---- reading ---- */

static int open_file(const char *path, struct stat *info) {
  int fd;
  while ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 && errno == EINTR) continue;
  if (fd >= 0 && fstat(fd, info)) {
    int why = errno;
    close(fd);
    errno = why;
    return -1;
  }
  return fd;
}

/* PATH, or PATH.gz where there is none; `opened` is the one found. */
static int open_plain_or_gz(const char *path, char opened[4096], struct stat *info, MtError *error) {
  snprintf(opened, 4096, "%s", path);
  int fd = open_file(path, info);
  if (fd < 0 && errno == ENOENT) {
    snprintf(opened, 4096, "%s.gz", path);
    fd = open_file(opened, info);
    if (fd < 0 && errno == ENOENT) return mt_error(error, "%s: no such file (nor %s)", path, opened), -1;
  }
  if (fd < 0) return mt_error(error, "%s: cannot open: %s", opened, strerror(errno)), -1;
  if (!S_ISDIR(info->st_mode)) return fd;
  close(fd);
  return mt_error(error, "%s: it is a folder, not a file", opened), -1;
}

/* All there is to read; a regular file's size is known, a pipe's is found out. */
static bool read_all(int fd, const char *path, size_t size, char **bytes, size_t *length, MtError *error) {
  size_t room = size < (size_t)1 << 16 ? (size_t)1 << 16 : size + 2;
  char *data = malloc(room);
  for (;;) {
    if (!data) return mt_error(error, "%s: cannot read: out of memory for %zu bytes", path, room);
    ssize_t n = read(fd, data + *length, room - *length - 1 < 1u << 30 ? room - *length - 1 : 1u << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return free(data), mt_error(error, "%s: cannot read: %s", path, strerror(errno));
    *length += (size_t)n;
    if (n == 0) break;
    if (room - *length > 1) continue;
    char *more = realloc(data, room *= 2);
    if (!more) free(data);
    data = more;
  }
  data[*length] = 0;
  *bytes = data;
  return true;
}

bool mt_read_file(const char *path, char **bytes, size_t *length, MtError *error) {
  char opened[4096], *packed;
  struct stat info;
  *bytes = NULL;
  *length = 0;
  int fd = open_plain_or_gz(path, opened, &info, error);
  if (fd < 0) return false;
  bool ok = read_all(fd, opened, S_ISREG(info.st_mode) ? (size_t)info.st_size : 0, bytes, length, error);
  close(fd);
  if (!ok || !mt_is_gzip(*bytes, *length)) return ok;
  packed = *bytes;
  ok = mt_gunzip(opened, packed, *length, bytes, length, error);
  free(packed);
  return ok;
}

/* ---- writing ---- */

/* /dev/null, a pipe: there is nothing to replace, it is written to as it is. */
static bool is_special(const char *path, bool *is_folder) {
  struct stat info;
  bool there = stat(path, &info) == 0;
  *is_folder = there && S_ISDIR(info.st_mode);
  return there && !S_ISREG(info.st_mode);
}

bool mt_write_begin(MtWriter *writer, const char *path, MtError *error) {
  bool is_folder;
  writer->error = error;
  writer->fd = -1;
  if ((size_t)snprintf(writer->path, sizeof writer->path, "%s", path) >= sizeof writer->path)
    return mt_error(error, "%.200s...: the path is too long", path);
  writer->direct = is_special(path, &is_folder);
  if (is_folder) return mt_error(error, "%s: cannot write: it is a folder", path);
  snprintf(writer->temporary, sizeof writer->temporary, "%s.tmp%ld", path, (long)getpid());
  const char *name = writer->direct ? path : writer->temporary;
  int flags = O_WRONLY | O_CLOEXEC | (writer->direct ? 0 : O_CREAT | O_TRUNC);
  while ((writer->fd = open(name, flags, 0666)) < 0 && errno == EINTR) continue;
  if (writer->fd < 0) return mt_error(error, "%s: cannot write: %s", path, strerror(errno));
  return true;
}

bool mt_write_bytes(MtWriter *writer, const void *bytes, size_t length) {
  const char *at = bytes;
  while (length > 0) {
    ssize_t n = write(writer->fd, at, length < 1u << 30 ? length : 1u << 30);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      return mt_error(writer->error, "%s: cannot write: %s", writer->path, n < 0 ? strerror(errno) : "no room");
    at += n;
    length -= (size_t)n;
  }
  return true;
}

static bool sync_file(int fd) {
  int status;
  while ((status = fsync(fd)) && errno == EINTR) continue;
  return status == 0 || errno == EINVAL || errno == EROFS; /* what cannot be synced: a pipe, some folders */
}

/* The descriptor is gone after EINTR too. */
static bool close_file(int fd) { return close(fd) == 0 || errno == EINTR; }

static bool rename_file(const char *from, const char *to) {
  int status;
  while ((status = rename(from, to)) && errno == EINTR) continue;
  return status == 0;
}

/* A rename lasts only when its folder is on disk too. */
static bool sync_folder(const char *path) {
  char folder[4096];
  int fd;
  snprintf(folder, sizeof folder, "%s", path);
  char *slash = strrchr(folder, '/');
  if (slash) slash[slash == folder] = 0;
  while ((fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0 && errno == EINTR) continue;
  if (fd < 0) return false;
  bool ok = sync_file(fd);
  int why = errno;
  close(fd);
  errno = why;
  return ok;
}

/* The old file becomes `keep`, the new one takes its place; when that fails the old one goes back. */
static bool put_in_place(const MtWriter *writer, const char *keep) {
  bool kept = keep && rename_file(writer->path, keep);
  if (keep && !kept && errno != ENOENT) return false;
  if (rename_file(writer->temporary, writer->path)) return true;
  int why = errno;
  if (kept) rename_file(keep, writer->path);
  errno = why;
  return false;
}

bool mt_write_commit(MtWriter *writer, const char *keep) {
  bool ok = sync_file(writer->fd);
  int why = errno, fd = writer->fd;
  writer->fd = -1;
  bool closed = close_file(fd);
  if (ok && !closed) ok = false, why = errno;
  if (ok && !writer->direct && !put_in_place(writer, keep)) ok = false, why = errno;
  if (!ok) {
    if (!writer->direct) unlink(writer->temporary);
    return mt_error(writer->error, "%s: cannot write: %s", writer->path, strerror(why));
  }
  if (!writer->direct && !sync_folder(writer->path))
    return mt_error(writer->error, "%s: cannot sync its folder: %s", writer->path, strerror(errno));
  return true;
}

void mt_write_abort(MtWriter *writer) {
  if (writer->fd < 0) return;
  close(writer->fd);
  if (!writer->direct) unlink(writer->temporary);
  writer->fd = -1;
}

/* NAME.tmpPID of a process that is no more.  Only names that trainers write: the folder may hold others' files. */
static bool is_abandoned(const char *name) {
  static const char *const ours[] = {".safetensors", "metrics.csv"};
  const char *mark = strstr(name, ".tmp");
  char *end;
  if (!mark || mark[4] < '1' || mark[4] > '9') return false;
  long pid = strtol(mark + 4, &end, 10);
  bool is_ours = false;
  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
    size_t n = strlen(ours[i]);
    is_ours = is_ours || ((size_t)(mark - name) >= n && !strncmp(mark - n, ours[i], n));
  }
  return is_ours && !*end && kill((pid_t)pid, 0) && errno == ESRCH;
}

void mt_sweep_folder(const char *folder) {
  char path[4096];
  DIR *list = opendir(folder);
  for (struct dirent *entry; list && (entry = readdir(list));)
    if (is_abandoned(entry->d_name) && snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
      unlink(path);
  if (list) closedir(list);
}
