/* cpu.h - what the files of the CPU device share. */
#ifndef MTRT_CPU_H
#define MTRT_CPU_H

#include "runtime/backend.h"

/* A loop below this many elements is not worth waking threads for; above it is
 * cut into pieces of PIECE, the same whatever the number of threads. */
enum { MT_PIECE = 8192, MT_THREADED = 1 << 16 };

/* The library is built for any x86-64; hot loops are compiled three times and
 * chosen when the program starts. */
#if defined __GNUC__ && !defined __clang__ && defined __x86_64__ && defined __GLIBC__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__
#define MT_CLONES __attribute__((target_clones("arch=skylake-avx512", "arch=haswell", "default")))
#else
#define MT_CLONES
#endif

void mt_cpu_optimize(MtRun *run, MtOptimizerKind kind, int group, int64_t begin, int64_t count);
void mt_cpu_clip(MtRun *run, int64_t count, double max_norm);

#endif
