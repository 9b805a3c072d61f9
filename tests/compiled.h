/* compiled.h - a model as a test writes it, through the front end and passes. */
#ifndef MTC_TESTS_COMPILED_H
#define MTC_TESTS_COMPILED_H

#include "ir/ir.h"

/* As it was lowered.  A text that does not compile fails the test, with its messages on stderr. */
Program *compiled(Arena *arena, const char *text);
/* After the passes of -O2, each verified, up to this one; NULL: all. */
Program *compiled_until(Arena *arena, const char *text, const char *stop_after);

#endif
