/* cpu.c - the CPU as a device: host memory, loops over it, no capture.
 *
 * Whatever is worth threads is cut into fixed pieces, each done by one thread
 * in one order, so that results do not depend on how many threads there are.
 * Small work stays on the calling thread: waking others takes longer than a
 * whole step of a small model.
 */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/cpu.h"
#include "runtime/gemm.h"

typedef struct Cpu {
  size_t bytes, peak; /* allocated now, at most */
  char name[64];
} Cpu;

/* ---- device and memory ------------------------------------------------------- */

static const char *instruction_set(void) {
#if defined __x86_64__
  if (__builtin_cpu_supports("avx512f")) return ", AVX-512";
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return ", AVX2";
#endif
  return "";
}

static bool cpu_open(MtRun *run, bool tf32) {
  (void)tf32; /* products are always in full precision */
  Cpu *cpu = calloc(1, sizeof *cpu);
  if (!cpu) return mt_fail(run, "out of memory"), false;
  int threads = omp_get_max_threads();
  snprintf(cpu->name, sizeof cpu->name, "%d CPU thread%s%s", threads, threads == 1 ? "" : "s", instruction_set());
  run->device = cpu;
  return true;
}

static void cpu_close(MtRun *run) {
  free(run->device);
  run->device = NULL;
}

static const char *cpu_describe(MtRun *run) { return ((Cpu *)run->device)->name; }

enum { HEADER = 64 }; /* the size stands before each block, which starts on a cache line */

static void *cpu_alloc(MtRun *run, size_t bytes) {
  Cpu *cpu = run->device;
  size_t whole = bytes < SIZE_MAX - 2 * HEADER ? (bytes + HEADER + 63) / 64 * 64 : 0;
  char *memory = whole ? aligned_alloc(64, whole) : NULL;
  if (!memory) {
    mt_fail(run, "cannot allocate %.1f MiB of memory", (double)bytes / 1048576.0);
    return NULL;
  }
  memset(memory, 0, whole);
  memcpy(memory, &whole, sizeof whole);
  cpu->bytes += whole;
  if (cpu->bytes > cpu->peak) cpu->peak = cpu->bytes;
  return memory + HEADER;
}

static void cpu_release(MtRun *run, void *memory) {
  if (!memory) return;
  size_t whole;
  memcpy(&whole, (char *)memory - HEADER, sizeof whole);
  ((Cpu *)run->device)->bytes -= whole;
  free((char *)memory - HEADER);
}

static bool cpu_wait(MtRun *run) { return !run->error[0]; }

static bool cpu_copy(MtRun *run, void *to, const void *from, size_t bytes) {
  if (bytes) memcpy(to, from, bytes);
  return !run->error[0];
}

static bool cpu_zero(MtRun *run, void *memory, size_t bytes) {
  (void)run;
  if (bytes) memset(memory, 0, bytes);
  return true;
}

static size_t cpu_peak(const MtRun *run) { return ((const Cpu *)run->device)->peak; }

static bool cpu_play(MtRun *run, int64_t key, void (*record)(MtRun *run, void *data), void *data) {
  (void)key;
  record(run, data);
  return !run->error[0];
}

/* ---- threads ---------------------------------------------------------------------- */

/* Not `omp parallel if (shared)`: a team of one costs more than a small step. */
void mt_in_pieces(int64_t count, int64_t piece, bool shared, MtPieceFunction f, void *data) {
  if (shared && !omp_in_parallel()) {
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; i += piece) f(data, i, i + piece < count ? piece : count - i);
  } else {
    for (int64_t i = 0; i < count; i += piece) f(data, i, i + piece < count ? piece : count - i);
  }
}

typedef struct Rows {
  char *batch;
  const char *set;
  const int32_t *order;
  size_t bytes;
} Rows;

static void fetch_rows(void *data, int64_t from, int64_t count) {
  const Rows *rows = data;
  for (int64_t i = from; i < from + count; i++)
    memcpy(rows->batch + (size_t)i * rows->bytes, rows->set + (size_t)rows->order[i] * rows->bytes, rows->bytes);
}

static void cpu_fetch(MtRun *run, void *batch, const void *set, const int32_t *order, int64_t rows, size_t row_bytes) {
  Rows all = {batch, set, order + run->scalars->position, row_bytes};
  mt_in_pieces(rows, 8, rows * (int64_t)row_bytes >= MT_THREADED * 4, fetch_rows, &all);
}

typedef struct Products {
  MtGemmTypes types;
  MtTranspose transpose;
  int64_t m, n, k, lda, a_step, ldb, b_step, ldc, c_step;
  const char *a, *b;
  char *c;
} Products;

static void multiply(void *data, int64_t from, int64_t count) {
  const Products *p = data;
  for (int64_t i = from; i < from + count; i++)
    mt_cpu_gemm(p->types, p->transpose, p->m, p->n, p->k, p->a + i * p->a_step * p->types.in, p->lda,
                p->b + i * p->b_step * p->types.in, p->ldb, p->c + i * p->c_step * p->types.out, p->ldc);
}

static void cpu_gemm(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a,
                     int64_t lda, int64_t a_step, const void *b, int64_t ldb, int64_t b_step, void *c, int64_t ldc,
                     int64_t c_step) {
  MtGemmTypes types = {kind == MT_OF_REAL ? run->real_size : 2, kind == MT_TO_BF16 ? 2 : run->real_size};
  Products p = {types, t, m, n, k, lda, a_step, ldb, b_step, ldc, c_step, a, b, c};
  mt_in_pieces(batch, 1, batch > 1 && batch * m * n * k >= MT_THREADED * 32, multiply, &p);
}

/* ---- loops -------------------------------------------------------------------- */

#define REAL float
#define BITS uint32_t
#define EXPONENT 0x7f800000u
#define NAME(x) x##_f32
#include "runtime/cpu_loops.h"
#define REAL double
#define BITS uint64_t
#define EXPONENT 0x7ff0000000000000u
#define NAME(x) x##_f64
#include "runtime/cpu_loops.h"

typedef struct Sum {
  int size;
  char *sum;
  const char *x;
  double scale;
} Sum;

static void add_piece(void *data, int64_t from, int64_t count) {
  const Sum *s = data;
  if (s->size == 8) add_scaled_f64((double *)s->sum + from, (const double *)s->x + from, count, s->scale);
  else add_scaled_f32((float *)s->sum + from, (const float *)s->x + from, count, (float)s->scale);
}

static void cpu_add_scaled(MtRun *run, void *sum, const void *x, int64_t count, double scale) {
  Sum s = {run->real_size, sum, x, scale};
  mt_in_pieces(count, MT_PIECE, count >= MT_THREADED, add_piece, &s);
}

static void cpu_accumulate(MtRun *run, double *sum, const void *x, int64_t count, char combine, double weight) {
  for (int64_t i = 0; i < count; i++) {
    double value = run->real_size == 8 ? ((const double *)x)[i] : (double)((const float *)x)[i];
    if (combine == '+') sum[i] += value * weight;
    else if (isnan(value) || (combine == '<' ? value < sum[i] : value > sum[i])) sum[i] = value;
  }
}

static void cpu_narrow(MtRun *run, void *x, const double *sum, int64_t count) {
  for (int64_t i = 0; i < count; i++) {
    if (run->real_size == 8) ((double *)x)[i] = sum[i];
    else ((float *)x)[i] = (float)sum[i];
  }
}

typedef struct Guard {
  int size;
  const char *x;
  int bad;
} Guard;

static void guard_piece(void *data, int64_t from, int64_t count) {
  Guard *g = data;
  bool finite =
      g->size == 8 ? finite_f64((const double *)g->x + from, count) : finite_f32((const float *)g->x + from, count);
  if (finite) return;
#pragma omp atomic write
  g->bad = 1;
}

static void cpu_guard(MtRun *run, const void *loss, int64_t begin, int64_t count) {
  const char *grads = run->grads ? (const char *)run->grads + begin * run->real_size : NULL;
  Guard of_loss = {run->real_size, loss, 0}, of_grads = {run->real_size, grads, 0},
        of_states = {run->real_size, run->new_states, 0};
  guard_piece(&of_loss, 0, 1);
  guard_piece(&of_states, 0, run->state_count);
  mt_in_pieces(count, MT_PIECE, count >= MT_THREADED, guard_piece, &of_grads);
  if (of_loss.bad || of_grads.bad || of_states.bad) run->scalars->stop = 1;
}

static void cpu_keep(MtRun *run) {
  if (!run->scalars->stop) memcpy(run->states, run->new_states, (size_t)run->state_count * (size_t)run->real_size);
}

static void cpu_advance(MtRun *run, int64_t steps, int64_t rows) {
  MtScalars *s = run->scalars;
  if (s->stop) return;
  s->grad_scale = 1;
  if (steps < 0) return;
  s->step += steps;
  s->micro = steps ? 0 : s->micro + 1;
  s->position += rows;
}

const MtBackend mt_cpu = {.target = "c",
                          .describe = cpu_describe,
                          .open = cpu_open,
                          .close = cpu_close,
                          .alloc = cpu_alloc,
                          .release = cpu_release,
                          .write = cpu_copy,
                          .read = cpu_copy,
                          .zero = cpu_zero,
                          .wait = cpu_wait,
                          .peak = cpu_peak,
                          .play = cpu_play,
                          .fetch = cpu_fetch,
                          .gemm = cpu_gemm,
                          .clip = mt_cpu_clip,
                          .optimize = mt_cpu_optimize,
                          .add_scaled = cpu_add_scaled,
                          .accumulate = cpu_accumulate,
                          .narrow = cpu_narrow,
                          .guard = cpu_guard,
                          .keep = cpu_keep,
                          .advance = cpu_advance};
