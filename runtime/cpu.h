/* cpu.h - what the files of the CPU device share. */
#ifndef MTRT_CPU_H
#define MTRT_CPU_H

#include "runtime/backend.h"

/* Work of fewer elements is not worth waking threads for. */
enum { MT_PIECE = 8192, MT_THREADED = 1 << 16 };

/* Calls f for each stretch of at most `piece` of [0, count), by all threads when
 * `shared`, else one after the other.  Results must not depend on which it is. */
typedef void (*MtPieceFunction)(void *data, int64_t from, int64_t count);
void mt_in_pieces(int64_t count, int64_t piece, bool shared, MtPieceFunction f, void *data);

/* The library is built for any x86-64; hot loops are compiled three times and
 * chosen when the program starts. */
#if defined __GNUC__ && !defined __clang__ && defined __x86_64__ && defined __GLIBC__ &&                               \
    !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define MT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MT_CLONES
#endif

void mt_cpu_optimize(MtRun *run, MtOptimizerKind kind, int group, int64_t begin, int64_t count);
void mt_cpu_clip(MtRun *run, int64_t begin, int64_t count, double max_norm);

#endif
