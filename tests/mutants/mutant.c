/* mutant.c - reads the switch before main(). */
#include <stdlib.h>

#include "tests/mutants/mutant.h"

int mtc_mutant;

__attribute__((constructor)) static void read_switch(void) {
  const char *number = getenv("MTC_MUTANT");
  mtc_mutant = number ? atoi(number) : 0;
}
