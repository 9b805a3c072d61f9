/* harness.c - see harness.h. */
#include "tests/faults/harness.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/shell.h"
#include "tests/small_trainer.h"

enum { SECONDS = 20 };

Faults *faults;

void open_faults(const char *base) {
  char path[256];
  snprintf(path, sizeof path, "%s/faults", base);
  int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
  ck_assert(fd >= 0 && !ftruncate(fd, sizeof *faults));
  faults = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  ck_assert(faults != MAP_FAILED);
}

/* ---- folders ---- */

void each_name(const char *folder, void (*visit)(const char *folder, const char *name, void *data), void *data) {
  DIR *list = opendir(folder);
  ck_assert_msg(list != NULL, "%s: %s", folder, strerror(errno));
  for (struct dirent *entry; (entry = readdir(list));)
    if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..")) visit(folder, entry->d_name, data);
  closedir(list);
}

static void remove_one(const char *folder, const char *name, void *data) {
  char path[600];
  (void)data;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  ck_assert_int_eq(unlink(path), 0);
}

static void copy_one(const char *folder, const char *name, void *to) {
  char path[600];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  Bytes b = read_bytes(path);
  snprintf(path, sizeof path, "%s/%s", (const char *)to, name);
  write_bytes(path, b.at, b.length);
  free(b.at);
}

void empty_folder(const char *folder) { each_name(folder, remove_one, NULL); }
void copy_files(const char *from, const char *to) { each_name(from, copy_one, (void *)(uintptr_t)to); }

bool same_file(const char *a, const char *b) {
  if (access(a, F_OK) || access(b, F_OK)) return false;
  Bytes x = read_bytes(a), y = read_bytes(b);
  bool same = x.length == y.length && !memcmp(x.at, y.at, x.length);
  free(x.at);
  free(y.at);
  return same;
}

/* ---- running ---- */

static void child(const char *const *argv) {
  int fd = open("output", O_WRONLY | O_CREAT | O_TRUNC, 0666);
  struct rlimit none = {0, 0};
  if (fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) _exit(99);
  close(fd);
  alarm(SECONDS); /* outlives exec */
  setrlimit(RLIMIT_CORE, &none);
  char padding[100000] = ""; /* an environment of that size is read by faults/checkpoint.c */
  memset(padding, 'x', sizeof padding - 1);
  setenv("PADDING", padding, 1);
  setenv("OMP_NUM_THREADS", "1", 1);
  setenv("FAULTS", "../faults", 1);
  setenv("LD_PRELOAD", BUILD_DIR "/bin/faults.so", 1);
  execv(argv[0], (char *const *)(uintptr_t)argv);
  _exit(98);
}

pid_t start_shimmed(const char *const *argv) {
  fflush(NULL);
  pid_t pid = fork();
  ck_assert_int_ge(pid, 0);
  if (!pid) child(argv);
  return pid;
}

Ended end_of(pid_t pid) {
  int status;
  ck_assert_int_eq(waitpid(pid, &status, 0), pid);
  return (Ended){WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text("output")};
}

Ended run_shimmed(const char *const *argv) { return end_of(start_shimmed(argv)); }
