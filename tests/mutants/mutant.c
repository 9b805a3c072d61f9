/* mutant.c - reads the switch before main(), and ends all at the first sign of the fault. */
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/mutants/mutant.h"

int mtc_mutant;

__attribute__((constructor)) static void read_switch(void) {
  const char *number = getenv("MTC_MUTANT");
  mtc_mutant = number ? atoi(number) : 0;
}

#ifdef __SANITIZE_ADDRESS__

/* Of the sanitizer's interface, what gcc's headers lack. */
int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
                                              void (*freed)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *);
void __sanitizer_set_death_callback(void (*callback)(void));

static pid_t main_process; /* its children are the tests */

/* One test that fails is enough: do not wait for the others. */
static void end_the_suite(void) {
  if (mtc_mutant && getppid() == main_process) kill(main_process, SIGKILL);
}

static void out_of_time(int number) {
  (void)number;
  end_the_suite();
  kill(getpid(), SIGKILL);
}

/* Check ends a test that failed by this; the linker takes ours. */
void _exit(int status) {
  if (status) end_the_suite();
  syscall(SYS_exit_group, status);
  for (;;) continue;
}

/* Nothing asks for a tenth of this without a fault.  (Limits of AddressSanitizer's own do not hold after fork().) */
static const long long most_bytes = 2LL << 30;
static long long bytes;

static void count_bytes(const volatile void *at, size_t size) {
  (void)at;
  bytes += (long long)size;
  if (bytes > most_bytes) _exit(99);
}

static void count_freed(const volatile void *at) { bytes -= (long long)__sanitizer_get_allocated_size(at); }

__attribute__((constructor)) static void watch(void) {
  main_process = getpid();
  __sanitizer_set_death_callback(end_the_suite);
  __sanitizer_install_malloc_and_free_hooks(count_bytes, count_freed);
  signal(SIGXCPU, out_of_time);
}

/* What is freed need not be kept: an arena goes as a whole.  The driver frees what it has; tests need not.  (What was
 * allocated by nobody known, LeakSanitizer takes for reachable: two callers.) */
const char *__asan_default_options(void) {
#ifdef LEAKS
  return "detect_leaks=1:use_stacks=0:use_registers=0:quarantine_size_mb=1:malloc_context_size=2";
#else
  return "detect_leaks=0:quarantine_size_mb=1:malloc_context_size=0";
#endif
}

#endif
