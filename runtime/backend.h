/* backend.h - what the trainer asks of a device: host memory (cpu.c) or CUDA (cuda.cu).
 *
 * Private to runtime/.  All memory a step touches comes from alloc; nothing
 * is allocated after start-up.  Functions that can fail return false with a
 * message in run->error that names what was wanted and what the device said.
 */
#ifndef MTRT_BACKEND_H
#define MTRT_BACKEND_H

#include "runtime/mtrt.h"

#ifdef __cplusplus
extern "C" {
#endif

#define MT_KIND(name) MT_IS_##name,
typedef enum MtOptimizerKind { MT_OPTIMIZERS(MT_KIND) MT_N_OPTIMIZERS } MtOptimizerKind;
#undef MT_KIND

enum { MT_TIMED = 128 };

typedef struct MtBackend {
  const char *target;                        /* "c", "cuda": what `bench` prints */
  const char *(*describe)(MtRun *run);       /* "NVIDIA H100 80GB HBM3", "2 threads, AVX-512" */
  bool (*open)(MtRun *run, bool tf32);       /* device, stream, GEMM library */
  void (*close)(MtRun *run);
  void *(*alloc)(MtRun *run, size_t bytes);  /* zeroed; NULL after a message */
  void (*release)(MtRun *run, void *memory);
  bool (*write)(MtRun *run, void *to, const void *from, size_t bytes); /* host to device */
  bool (*read)(MtRun *run, void *to, const void *from, size_t bytes);  /* device to host; waits for the stream */
  bool (*zero)(MtRun *run, void *memory, size_t bytes);
  bool (*wait)(MtRun *run);                  /* until all work is done; reports what failed */
  size_t (*peak)(const MtRun *run);          /* bytes allocated at most */

  /* Do what `record` does.  The CUDA backend captures it as a graph the first
   * time it sees `key` (> 0) and replays that from then on; key 0 never captures. */
  bool (*play)(MtRun *run, int64_t key, void (*record)(MtRun *run, void *data), void *data);

  /* Work on the stream, all capturable: */
  void (*fetch)(MtRun *run, void *batch, const void *set, const int32_t *order, int64_t rows, size_t row_bytes); /* batch[i] = set[order[scalars->position + i]] */
  void (*gemm)(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k,
               const void *a, int64_t lda, int64_t a_step, const void *b, int64_t ldb, int64_t b_step,
               void *c, int64_t ldc, int64_t c_step);
  /* What an update calls; NULL where the program has a kernel for it (mtrt_update.cuh). */
  void (*clip)(MtRun *run, int64_t begin, int64_t count, double max_norm);
  void (*optimize)(MtRun *run, MtOptimizerKind kind, int group, int64_t begin, int64_t count);
  void (*add_scaled)(MtRun *run, void *sum, const void *x, int64_t count, double scale);  /* sum += scale x: micro-batch gradients */
  void (*accumulate)(MtRun *run, double *sum, const void *x, int64_t count, char combine, double weight); /* in double: logs ('+', rows), eval accumulators */
  void (*narrow)(MtRun *run, void *x, const double *sum, int64_t count);                 /* double to real */
  /* After a micro-batch: position + rows; after an update's last one (steps 1)
   * also step + 1 and micro = 0, after others (steps 0) micro + 1, after a phase
   * with others behind it (steps -1) none of this.  Before it,
   * `guard` sets scalars->stop when the loss, a gradient or a new state is not
   * finite; `keep` moves the new states over.  Once stopped they do nothing. */
  void (*guard)(MtRun *run, const void *loss, int64_t begin, int64_t count);
  void (*keep)(MtRun *run);
  void (*advance)(MtRun *run, int64_t steps, int64_t rows); /* also: grad_scale = 1 */

  /* GEMM algorithms.  tune(true): time candidates when a shape is first seen
   * outside a capture.  choices(): what is in use as text (malloc'd), which
   * choose() takes back, so that a resumed run has the same bits.  NULL
   * functions: the backend has nothing to choose. */
  void (*tune)(MtRun *run, bool on);
  char *(*choices)(const MtRun *run);
  bool (*choose)(MtRun *run, const char *text);

  /* For a profile: where call i (< MT_TIMED) begins and ends on the stream; then how long each of the first n took, in
   * seconds, without the gaps between launches.  NULL: the host's clock, and wait(), will do. */
  void (*time_begin)(MtRun *run, int i);
  void (*time_end)(MtRun *run, int i);
  bool (*times)(MtRun *run, int n, double *seconds);
} MtBackend;

/* profile.c: the call that is open is a product. */
void mt_profile_product(MtRun *run, MtGemmKind kind, int64_t batch, int64_t m, int64_t n, int64_t k);

#ifdef __cplusplus
}
#endif

#endif
