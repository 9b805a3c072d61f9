/* verdicts.h - what the verifier says of damaged programs. */
#ifndef MTC_TESTS_VERDICTS_H
#define MTC_TESTS_VERDICTS_H

#include "ir/ir.h"

/* Damages the program in every way there is, a few hundred times each, and undoes that again.  A line a way:
 * `name`, the way, how often it was refused and how often not, and a checksum of all that was said. */
void verdicts_of(Text *out, const char *name, Program *program);

#endif
