/* file.c - the bytes of a file, however the system hands them out. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "ir/ir.h"

enum { MOST = 1 << 26 }; /* bytes: no model is larger, but /dev/zero is */

int file_read(const char *path, Text *out) {
  char buffer[65536];
  ssize_t n;
  int fd;
  while ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0 && errno == EINTR) continue;
  if (fd < 0) return errno;
  while ((n = read(fd, buffer, sizeof buffer)) != 0 && out->length < MOST) {
    if (n > 0) text_add_bytes(out, buffer, (size_t)n);
    else if (errno != EINTR) break;
  }
  int why = n < 0 ? errno : n > 0 ? EFBIG : 0;
  close(fd);
  return why;
}
