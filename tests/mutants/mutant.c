/* mutant.c - reads the switch before main(), and ends what eats memory. */
#include <stdlib.h>
#include <unistd.h>

#include "tests/mutants/mutant.h"

/* Of sanitizer/allocator_interface.h, which gcc does not bring. */
int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
                                              void (*freed)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *);

int mtc_mutant;

/* Nothing asks for a tenth of this without a fault.  (Limits of AddressSanitizer's own do not hold after fork().) */
static const long long most_bytes = 2LL << 30;
static long long bytes;

static void count_bytes(const volatile void *at, size_t size) {
  (void)at;
  bytes += (long long)size;
  if (bytes > most_bytes) _exit(99);
}

static void count_freed(const volatile void *at) { bytes -= (long long)__sanitizer_get_allocated_size(at); }

__attribute__((constructor)) static void read_switch(void) {
  const char *number = getenv("MTC_MUTANT");
  mtc_mutant = number ? atoi(number) : 0;
  __sanitizer_install_malloc_and_free_hooks(count_bytes, count_freed);
}

/* What AddressSanitizer is told.  What is freed need not be kept: an arena goes as a whole.  The driver frees what
 * it has; tests need not. */
const char *__asan_default_options(void) {
#ifdef LEAKS
  return "detect_leaks=1:quarantine_size_mb=1";
#else
  return "detect_leaks=0:quarantine_size_mb=1";
#endif
}
