/* shim.c - stands between a program and the C library, and fails calls.
 *
 * Memory goes on to glibc's __libc_ entries, files straight to the kernel, so
 * nothing has to be looked up before the first call.  Standard I/O does not go
 * through the functions that a preloaded library can replace; its streams are
 * therefore made here, on top of them (fopencookie).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "tests/faults/faults.h"

static Faults *faults;
static int log_fd = -1;

/* ---- counting and failing ------------------------------------------------------- */

/* 0: go on; else what is to happen to this call. */
static int fault_of(FaultCall call) {
  if (!faults) return FAULT_NONE;
  int64_t n = __atomic_add_fetch(&faults->calls[call], 1, __ATOMIC_RELAXED);
  if (faults->how == FAULT_KILL || faults->call != (int)call || faults->at != n) return FAULT_NONE;
  faults->fired++;
  return faults->how;
}

/* Fails the call with an errno; FAULT_SHORT is for those who count bytes. */
static bool fails(FaultCall call) {
  int how = fault_of(call);
  if (how <= 0) return false;
  errno = how;
  return true;
}

/* Before a call that changes files: the moment to die. */
static void change(void) {
  if (!faults || faults->how != FAULT_KILL || ++faults->all != faults->at) return;
  faults->fired++;
  kill(getpid(), SIGKILL);
}

static void note(FaultCall call, int fd, int64_t offset, const char *path, const void *data, size_t bytes) {
  if (log_fd < 0) return;
  FaultRecord record = {.call = (int)call, .fd = fd, .offset = offset, .bytes = (int64_t)bytes};
  if (path) strncpy(record.path, path, sizeof record.path - 1);
  if (syscall(SYS_write, log_fd, &record, sizeof record) < 0 || syscall(SYS_write, log_fd, data, bytes) < 0) abort();
}

/* ---- memory ---------------------------------------------------------------------- */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool no_memory(void) { return fails(CALL_MEMORY); }
void *malloc(size_t size) { return no_memory() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return no_memory() ? NULL : __libc_calloc(count, size); }
void *realloc(void *memory, size_t size) { return no_memory() ? NULL : __libc_realloc(memory, size); }
void *aligned_alloc(size_t alignment, size_t size) { return no_memory() ? NULL : __libc_memalign(alignment, size); }

int posix_memalign(void **out, size_t alignment, size_t size) {
  void *memory = no_memory() ? NULL : __libc_memalign(alignment, size);
  if (memory) *out = memory;
  return memory ? 0 : ENOMEM;
}

void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) {
  return no_memory() ? MAP_FAILED : (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

/* ---- files ------------------------------------------------------------------------ */

static int open_file(const char *path, int flags, mode_t mode) {
  if (flags & (O_CREAT | O_TRUNC)) change();
  if (fails(CALL_OPEN)) return -1;
  int fd = (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  if (fd >= 0) note(CALL_OPEN, fd, flags, path, NULL, 0);
  return fd;
}

#define OPEN(name)                                                                                                     \
  int name(const char *path, int flags, ...) {                                                                         \
    va_list args;                                                                                                      \
    va_start(args, flags);                                                                                             \
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;                                                          \
    va_end(args);                                                                                                      \
    return open_file(path, flags, mode);                                                                               \
  }
OPEN(open)
OPEN(open64)

static size_t shortened(size_t bytes) { return bytes > 1 ? (bytes + 1) / 2 : bytes; }

ssize_t read(int fd, void *bytes, size_t length) {
  int how = fault_of(CALL_READ);
  if (how > 0) return errno = how, -1;
  return syscall(SYS_read, fd, bytes, how == FAULT_SHORT ? shortened(length) : length);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  change();
  int how = fault_of(CALL_WRITE);
  if (how > 0) return errno = how, -1;
  if (how == FAULT_NOTHING) return 0;
  off_t at = (off_t)syscall(SYS_lseek, fd, 0, SEEK_CUR);
  ssize_t n = syscall(SYS_write, fd, bytes, how == FAULT_SHORT ? shortened(length) : length);
  if (n > 0) note(CALL_WRITE, fd, at, NULL, bytes, (size_t)n);
  return n;
}

/* Nothing is synced: thousands of runs would wait for the disk. */
int fsync(int fd) {
  change();
  if (fails(CALL_FSYNC)) return -1;
  note(CALL_FSYNC, fd, 0, NULL, NULL, 0);
  return 0;
}

/* The descriptor goes even when the call fails, as Linux has it. */
int close(int fd) {
  bool failed = fails(CALL_CLOSE);
  int why = errno, status = (int)syscall(SYS_close, fd);
  if (failed) errno = why;
  return failed ? -1 : status;
}

int rename(const char *from, const char *to) {
  change();
  if (fails(CALL_RENAME)) return -1;
  int status = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
  if (!status) note(CALL_RENAME, -1, 0, from, to, strlen(to) + 1);
  return status;
}

int unlink(const char *path) {
  change();
  if (fails(CALL_UNLINK)) return -1;
  int status = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  if (!status) note(CALL_UNLINK, -1, 0, path, NULL, 0);
  return status;
}

int mkdir(const char *path, mode_t mode) {
  change();
  if (fails(CALL_MKDIR)) return -1;
  int status = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
  if (!status) note(CALL_MKDIR, -1, 0, path, NULL, 0);
  return status;
}

int ftruncate(int fd, off_t length) {
  change();
  if (fails(CALL_TRUNCATE)) return -1;
  note(CALL_TRUNCATE, fd, length, NULL, NULL, 0);
  return (int)syscall(SYS_ftruncate, fd, length);
}

int fstat(int fd, struct stat *info) {
  return fails(CALL_STAT) ? -1 : (int)syscall(SYS_newfstatat, fd, "", info, AT_EMPTY_PATH);
}

/* ---- streams ----------------------------------------------------------------------- */

typedef struct Stream {
  int fd;
  FILE *file;
} Stream;
static Stream streams[64];

static ssize_t stream_read(void *stream, char *bytes, size_t length) {
  return read(((Stream *)stream)->fd, bytes, length);
}

static ssize_t stream_write(void *stream, const char *bytes, size_t length) {
  size_t done = 0;
  while (done < length) {
    ssize_t n = write(((Stream *)stream)->fd, bytes + done, length - done);
    if (n < 0) return done ? (ssize_t)done : 0; /* 0 is the error of a cookie */
    done += (size_t)n;
  }
  return (ssize_t)done;
}

static int stream_seek(void *stream, off64_t *offset, int whence) {
  off_t at = (off_t)syscall(SYS_lseek, ((Stream *)stream)->fd, *offset, whence);
  if (at >= 0) *offset = at;
  return at < 0 ? -1 : 0;
}

static int stream_close(void *stream) {
  int fd = ((Stream *)stream)->fd;
  memset(stream, 0, sizeof(Stream));
  return fd > 2 ? close(fd) : 0;
}

static FILE *stream_of(int fd, const char *mode) {
  Stream *s = streams;
  while (s < streams + 64 && s->file) s++;
  if (s == streams + 64) return errno = EMFILE, NULL;
  s->fd = fd;
  s->file = fopencookie(s, mode, (cookie_io_functions_t){stream_read, stream_write, stream_seek, stream_close});
  return s->file;
}

FILE *fopen(const char *path, const char *mode) {
  int flags = strchr(mode, '+') ? O_RDWR : *mode == 'r' ? O_RDONLY : O_WRONLY;
  if (*mode != 'r') flags |= O_CREAT | (*mode == 'w' ? O_TRUNC : O_APPEND);
  int fd = open_file(path, flags, 0666);
  FILE *file = fd < 0 ? NULL : stream_of(fd, mode);
  if (fd >= 0 && !file) syscall(SYS_close, fd);
  return file;
}
FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }

int fileno(FILE *file) {
  for (Stream *s = streams; s < streams + 64; s++)
    if (s->file == file) return s->fd;
  return file == stdin ? 0 : file == stderr ? 2 : file == stdout ? 1 : (errno = EBADF, -1);
}

/* ---- the end -------------------------------------------------------------------------- */

/* A program of `make coverage` asks for this when it ends, to write its counters: that is none of its own calls. */
char *getenv(const char *name) {
  size_t n = strlen(name);
  if (!strcmp(name, "GCOV_PREFIX")) faults = NULL, log_fd = -1;
  for (char **at = environ; *at; at++)
    if (!strncmp(*at, name, n) && (*at)[n] == '=') return *at + n + 1;
  return NULL;
}

/* ---- start --------------------------------------------------------------------------- */

__attribute__((constructor)) static void start(void) {
  const char *path = getenv("FAULTS");
  int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR, 0) : -1;
  if (fd < 0) return;
  void *shared = (void *)syscall(SYS_mmap, NULL, sizeof(Faults), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
  syscall(SYS_close, fd);
  if (shared == MAP_FAILED) return;
  unsetenv("FAULTS");
  unsetenv("LD_PRELOAD");
  stdout = stream_of(1, "w");
  Faults *all = shared;
  if (all->log[0]) log_fd = (int)syscall(SYS_openat, AT_FDCWD, all->log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
  faults = all;
}
