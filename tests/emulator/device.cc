/* device.cc - the CUDA device that a program under emulation finds: memory
 * between guard pages, launches, and the runtime's own work, which the CPU
 * device does.
 *
 * MTC_SCHEDULE is the seed of everything that is drawn.
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <map>
#include <vector>

#include "runtime/backend.h"
#include "tests/emulator/inside.h"

const char *kernel_name;
uint64_t schedule;

uint64_t next_random(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

void caught(const char *format, ...) {
  va_list args;
  fprintf(stderr, "emulator: ");
  if (kernel_name)
    fprintf(stderr, "kernel %s, block %u %u %u, thread %u %u %u: ", kernel_name, blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x,
            threadIdx.y, threadIdx.z);
  va_start(args, format);
  vfprintf(stderr, format, args);
  va_end(args);
  fprintf(stderr, "\n");
  _exit(3);
}

/* ---- memory: the end of each piece lies at a page that may not be touched ---- */

struct Piece {
  char *pages, *begin;
  size_t room, bytes;
  bool freed;
};
static std::map<char *, Piece> pieces; /* by their pages */
enum { PAGE = 4096, ALIGN = 256, PAD = 0x5a };

static void *allocate(size_t bytes) {
  size_t aligned = (bytes + ALIGN - 1) / ALIGN * ALIGN, room = (aligned + PAGE - 1) / PAGE * PAGE;
  char *pages = (char *)mmap(nullptr, room + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED || mprotect(pages + PAGE, room, PROT_READ | PROT_WRITE)) return nullptr;
  Piece piece = {pages, pages + PAGE + room - aligned, room + 2 * PAGE, bytes, false};
  memset(pages + PAGE, PAD, room);
  memset(piece.begin, 0xff, bytes); /* NaN */
  pieces[pages] = piece;
  return piece.begin;
}

static void check_pads(const Piece &piece) {
  size_t aligned = (piece.bytes + ALIGN - 1) / ALIGN * ALIGN;
  for (size_t i = piece.bytes; i < aligned; i++)
    if ((unsigned char)piece.begin[i] != PAD) caught("device memory of %zu bytes was written %zu past its end", piece.bytes, i - piece.bytes + 1);
  for (char *at = piece.pages + PAGE; at < piece.begin; at++)
    if ((unsigned char)*at != PAD) caught("device memory of %zu bytes was written %zu before its begin", piece.bytes, (size_t)(piece.begin - at));
}

static void check_memory(void) {
  for (auto &entry : pieces)
    if (!entry.second.freed) check_pads(entry.second);
}

static void on_fault(int, siginfo_t *info, void *) {
  char *at = (char *)info->si_addr;
  for (auto &entry : pieces) {
    const Piece &p = entry.second;
    if (at < p.pages || at >= p.pages + p.room) continue;
    if (p.freed) caught("device memory of %zu bytes is used after it was freed", p.bytes);
    if (at >= p.begin) caught("device memory of %zu bytes is used %td past its end", p.bytes, at - p.begin - (ptrdiff_t)p.bytes + 1);
    caught("device memory of %zu bytes is used %td before its begin", p.bytes, p.begin - at);
  }
  caught("%p is no device memory", (void *)at);
}

const void *emulate_wide(const void *address, size_t bytes) {
  if ((uintptr_t)address % bytes) caught("%zu bytes at once at an address that is %zu past a multiple", bytes, (size_t)((uintptr_t)address % bytes));
  return address;
}

/* ---- launches ---- */

static void run_grid(const char *name, dim3 grid, dim3 block, size_t shared, void (*thread)(const void *), const void *arguments) {
  uint64_t seed = next_random(&schedule);
  kernel_name = name;
  gridDim = grid;
  blockDim = block;
  for (uint64_t i = 0, n = (uint64_t)grid.x * grid.y * grid.z; i < n; i++) {
    blockIdx = dim3((unsigned)(i % grid.x), (unsigned)(i / grid.x % grid.y), (unsigned)(i / grid.x / grid.y));
    shared_begin_block();
    run_block(thread, arguments, next_random(&seed));
    shared_end_block();
  }
  size_t dynamic, used = shared_end_launch(&dynamic) + shared;
  if (used > 48 << 10) caught("%zu bytes of shared memory; a block has 49152", used);
  if (used + dynamic > 64 << 10) caught("%zu bytes of shared memory with tiles; a block can have 65536 on any GPU", used + dynamic);
  check_memory();
  kernel_name = nullptr;
}

void emulate_launch(MtRun *run, const char *kernel, dim3 grid, dim3 block, size_t shared, void (*thread)(const void *),
                    const void *arguments, size_t bytes) {
  if (!mt_go(run)) return;
  mt_before(run, kernel);
  uint64_t threads = (uint64_t)block.x * block.y * block.z;
  kernel_name = kernel;
  blockIdx = threadIdx = dim3(0, 0, 0);
  if (threads == 0 || threads > 1024 || block.z > 64) caught("a block of %u x %u x %u threads; 1 to 1024 can be", block.x, block.y, block.z);
  if ((uint64_t)grid.x * grid.y * grid.z == 0) caught("a grid of %u x %u x %u blocks", grid.x, grid.y, grid.z);
  if (grid.y > 65535 || grid.z > 65535) caught("a grid of %u x %u x %u blocks; 65535 in y and z can be", grid.x, grid.y, grid.z);
  kernel_name = nullptr;
  std::vector<char> copy((const char *)arguments, (const char *)arguments + bytes);
  enqueue((cudaStream_t)run->stream, [=] { run_grid(kernel, grid, block, shared, thread, copy.data()); });
  mt_after(run);
}

/* ---- the runtime's side: the CPU device's work, done late ---- */

/* A call of mt_cpu with the run as it is now: pointers in it change before the work runs. */
template <class F> static void later(MtRun *run, F work) {
  MtRun now = *run;
  enqueue((cudaStream_t)run->stream, [run, now, work]() mutable {
    if (run->error[0]) return;
    work(&now);
    memcpy(run->error, now.error, sizeof run->error);
  });
  if (pending() > 512) flush();
}

static const char *describe(MtRun *) { return "an emulated GPU"; }

static bool open_device(MtRun *run, bool tf32) {
  struct sigaction action = {};
  stack_t other = {};
  other.ss_sp = malloc(64 << 10);
  other.ss_size = 64 << 10;
  sigaltstack(&other, nullptr);
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(SIGSEGV, &action, nullptr);
  const char *seed = getenv("MTC_SCHEDULE");
  schedule = seed ? strtoull(seed, nullptr, 10) : 0;
  run->parts = allocate(MT_PARTS * sizeof(double));
  return mt_cpu.open(run, tf32);
}

static void close_device(MtRun *run) {
  flush();
  check_memory();
  mt_cpu.close(run);
}

/* The runtime may count on zeros, generated code may not: play() poisons its arena. */
static void *alloc(MtRun *run, size_t bytes) {
  void *memory = allocate(bytes);
  if (!memory) return mt_fail(run, "cannot allocate %zu bytes", bytes), nullptr;
  return memset(memory, 0, bytes);
}

static void release(MtRun *, void *memory) {
  flush();
  for (auto &entry : pieces) {
    Piece &p = entry.second;
    if (p.begin != memory) continue;
    check_pads(p);
    mprotect(p.pages, p.room, PROT_NONE);
    p.freed = true;
    return;
  }
}

static bool write_device(MtRun *run, void *to, const void *from, size_t bytes) {
  flush();
  memcpy(to, from, bytes);
  return !run->error[0];
}
static bool read_device(MtRun *run, void *to, const void *from, size_t bytes) {
  flush();
  memcpy(to, from, bytes);
  return !run->error[0];
}
static bool zero(MtRun *run, void *memory, size_t bytes) {
  later(run, [=](MtRun *) { memset(memory, 0, bytes); });
  return true;
}
static bool wait_device(MtRun *run) {
  flush();
  return !run->error[0];
}
static size_t peak(const MtRun *run) { return mt_cpu.peak(run); }

static void poison_arena(MtRun *run) {
  for (auto &entry : pieces)
    if (entry.second.begin == run->arena) memset(run->arena, 0xff, entry.second.bytes);
}

static bool play(MtRun *run, int64_t, void (*record)(MtRun *run, void *data), void *data) {
  later(run, [](MtRun *r) { poison_arena(r); });
  record(run, data);
  return !run->error[0];
}

static void fetch(MtRun *run, void *batch, const void *set, const int32_t *order, int64_t rows, size_t row_bytes) {
  later(run, [=](MtRun *r) { mt_cpu.fetch(r, batch, set, order, rows, row_bytes); });
}
static void gemm(MtRun *run, MtGemmKind kind, MtTranspose t, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t lda,
                 int64_t a_step, const void *b, int64_t ldb, int64_t b_step, void *c, int64_t ldc, int64_t c_step) {
  later(run, [=](MtRun *r) { mt_cpu.gemm(r, kind, t, batch, m, n, k, a, lda, a_step, b, ldb, b_step, c, ldc, c_step); });
}
static void clip(MtRun *run, int64_t begin, int64_t count, double most) {
  later(run, [=](MtRun *r) { mt_cpu.clip(r, begin, count, most); });
}
static void optimize(MtRun *run, MtOptimizerKind kind, int group, int64_t begin, int64_t count) {
  later(run, [=](MtRun *r) { mt_cpu.optimize(r, kind, group, begin, count); });
}
static void add_scaled(MtRun *run, void *sum, const void *x, int64_t count, double scale) {
  later(run, [=](MtRun *r) { mt_cpu.add_scaled(r, sum, x, count, scale); });
}
static void accumulate(MtRun *run, double *sum, const void *x, int64_t count, char combine, double weight) {
  later(run, [=](MtRun *r) { mt_cpu.accumulate(r, sum, x, count, combine, weight); });
}
static void narrow(MtRun *run, void *x, const double *sum, int64_t count) {
  later(run, [=](MtRun *r) { mt_cpu.narrow(r, x, sum, count); });
}
static void guard(MtRun *run, const void *loss, int64_t begin, int64_t count) {
  later(run, [=](MtRun *r) { mt_cpu.guard(r, loss, begin, count); });
}
static void keep(MtRun *run) {
  later(run, [](MtRun *r) { mt_cpu.keep(r); });
}
static void advance(MtRun *run, int64_t steps, int64_t rows) {
  later(run, [=](MtRun *r) { mt_cpu.advance(r, steps, rows); });
}

extern "C" const MtBackend mt_cuda = {"cuda", describe, open_device, close_device, alloc, release, write_device, read_device,
                                      zero, wait_device, peak, play, fetch, gemm, clip, optimize, add_scaled, accumulate,
                                      narrow, guard, keep, advance, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
