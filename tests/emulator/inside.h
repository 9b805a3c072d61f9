/* inside.h - what the emulator's files share. */
#ifndef MTC_EMULATOR_INSIDE_H
#define MTC_EMULATOR_INSIDE_H

#include <functional>

#include "tests/emulator/emulator.h"

/* fibers.cc: one block, its threads, each a call of `thread`, in an order of this seed. */
void run_block(void (*thread)(const void *), const void *arguments, uint64_t seed);
int threads_of_block(void);

/* device.cc */
[[noreturn]] void caught(const char *format, ...) __attribute__((format(printf, 1, 2))); /* with kernel, block, thread */
uint64_t next_random(uint64_t *state);
extern const char *kernel_name; /* of the launch at hand, or NULL */

/* shared.cc */
void shared_begin_block(void); /* poison what the last one left */
void shared_end_block(void);   /* were the red zones respected? */
size_t shared_end_launch(size_t *dynamic); /* bytes of arrays that the kernel used, and of tiles */

/* streams.cc: work in order on each stream, streams against each other in any order that events allow */
void enqueue(cudaStream_t stream, std::function<void()> work);
void flush(void);
size_t pending(void);

#endif
