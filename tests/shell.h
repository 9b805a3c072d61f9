/* shell.h - run a command line and look at what it said: for tests of whole programs. */
#ifndef MTC_TESTS_SHELL_H
#define MTC_TESTS_SHELL_H

typedef struct Shell {
  int status;     /* exit status, 128 + signal */
  char *output;   /* standard output and error together; malloc'd */
} Shell;

/* printf form; runs under sh in the source folder. */
Shell shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same; the test fails, showing what was printed, unless the exit status is 0.  Returns the output. */
char *shell_ok(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A new empty folder; all go when the test program, which called scratch_start, ends. */
void scratch_start(void);
const char *scratch_folder(void);
char *read_text(const char *path);   /* malloc'd, NULL when it cannot be read */
int has_nvcc(void);
/* Ends a forked child, in which nothing is to be tidied up; `make coverage` counts what it ran. */
void end_child(int status) __attribute__((noreturn));

#endif
