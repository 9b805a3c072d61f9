/* traces.h - what the passes make of random programs, by checksum. */
#ifndef MTC_TESTS_TRACES_H
#define MTC_TESTS_TRACES_H

#include "ir/ir.h"

/* A line for each dozen of programs: what each pass told of its rewrites, and the text it left. */
void traces_of_random_programs(Text *out);

#endif
