/* harness.h - run a program under the shim, in a folder that it may spoil.
 *
 * Programs run in the working folder, BASE/work; BASE/faults is the file that
 * they share with the test.
 */
#ifndef MTC_TESTS_HARNESS_H
#define MTC_TESTS_HARNESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "tests/faults/faults.h"

extern Faults *faults;
void open_faults(const char *base); /* makes and maps BASE/faults */

typedef struct Ended {
  int status;   /* 128 + signal */
  char *output; /* standard output and error; malloc'd */
} Ended;
/* argv[0] is a path; a program that takes longer than 20 seconds is killed. */
Ended run_shimmed(const char *const *argv);
pid_t start_shimmed(const char *const *argv);
Ended end_of(pid_t pid);

void each_name(const char *folder, void (*visit)(const char *folder, const char *name, void *data), void *data);
void empty_folder(const char *folder);
void copy_files(const char *from, const char *to);
bool same_file(const char *a, const char *b); /* both are there, and equal */

#endif
