/* shell.c - see shell.h. */
#include "tests/shell.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

char *read_text(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  size_t room = 4096, n = 0, got;
  char *text = malloc(room);
  while (text && (got = fread(text + n, 1, room - n - 1, file)) > 0) {
    n += got;
    if (room - n < 2) text = realloc(text, room *= 2);
  }
  fclose(file);
  if (text) text[n] = 0;
  return text;
}

static char scratch[64];
static pid_t owner;

static void remove_scratch(void) {
  if (getpid() != owner) return;
  char command[96];
  snprintf(command, sizeof command, "rm -rf %s", scratch);
  if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", scratch);
}

void scratch_start(void) {
  snprintf(scratch, sizeof scratch, "/tmp/mtc-test-XXXXXX");
  if (!mkdtemp(scratch)) perror(scratch), exit(EXIT_FAILURE);
  char emulator[80];
  snprintf(emulator, sizeof emulator, "%s/emulator", scratch);
  setenv("EMULATOR", emulator, 0); /* what its programs share is compiled once a run */
  owner = getpid();
  atexit(remove_scratch);
}

const char *scratch_folder(void) {
  static char folder[128];
  snprintf(folder, sizeof folder, "%s/XXXXXX", scratch);
  ck_assert_ptr_nonnull(mkdtemp(folder));
  return folder;
}

extern void __gcov_dump(void) __attribute__((weak));

void end_child(int status) {
  if (__gcov_dump) __gcov_dump();
  _exit(status);
}

static Shell run(const char *format, va_list args) {
  char command[8192], log[] = "/tmp/mtc-shell-XXXXXX";
  int n = snprintf(command, sizeof command, "cd '" SOURCE_DIR "' && { ");
  n += vsnprintf(command + n, sizeof command - (size_t)n, format, args);
  ck_assert_int_lt(n, (int)sizeof command - 64);
  int fd = mkstemp(log);
  ck_assert_int_ge(fd, 0);
  close(fd);
  snprintf(command + n, sizeof command - (size_t)n, "\n} >%s 2>&1 </dev/null", log);
  int status = system(command);
  Shell result = {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_text(log)};
  unlink(log);
  return result;
}

Shell shell(const char *format, ...) {
  va_list args;
  va_start(args, format);
  Shell result = run(format, args);
  va_end(args);
  return result;
}

char *shell_ok(const char *format, ...) {
  va_list args;
  va_start(args, format);
  Shell result = run(format, args);
  va_end(args);
  ck_assert_msg(result.status == 0, "exit status %d of `%s`:\n%s", result.status, format, result.output);
  return result.output;
}

int has_nvcc(void) { return system("command -v nvcc >/dev/null 2>&1") == 0; }
