/* fibers.cc - the threads of a block as fibers, run in a seeded order.
 *
 * A thread runs until it waits: at __syncthreads for its block, at a shuffle
 * for its warp.  Which one runs next is chosen by a random priority that is
 * drawn anew at every barrier, so that code which needs a barrier and has none
 * soon meets an order in which it goes wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "tests/emulator/inside.h"

dim3 threadIdx, blockIdx, blockDim, gridDim;

enum { STACK = 256 << 10, MOST_THREADS = 1024, MOST_BYTES = 32 };
enum State { RUNNING, AT_BARRIER, AT_EXCHANGE, ENDED };

struct Fiber {
  void *stack, *sp;
  State state;
  dim3 index;
  const void *site;          /* where it waits */
  unsigned mask;             /* exchange: lanes that take part */
  const char *what;
  unsigned char value[MOST_BYTES];
};

static std::vector<Fiber> fibers;
static int n_threads, current;
static void *scheduler;
static void (*body)(const void *);
static const void *body_arguments;

#if defined __x86_64__
extern "C" void switch_stack(void **save, void *to);
asm(".text\n.globl switch_stack\n.type switch_stack,@function\nswitch_stack:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n  ret\n");
static void prepare(Fiber *f, void (*entry)()) {
  void **top = (void **)((char *)f->stack + STACK);
  *--top = nullptr; /* as if called: the stack is 16-byte aligned but for a return address */
  *--top = (void *)entry;
  for (int i = 0; i < 6; i++) *--top = nullptr;
  f->sp = top;
}
#else
#include <ucontext.h>
static void switch_stack(void **save, void *to) {
  ucontext_t *from = (ucontext_t *)malloc(sizeof *from);
  *save = from;
  swapcontext(from, (ucontext_t *)to);
  free(from);
}
static void prepare(Fiber *f, void (*entry)()) {
  ucontext_t *context = (ucontext_t *)malloc(sizeof *context); /* small, and freed with the process */
  getcontext(context);
  context->uc_stack.ss_sp = f->stack;
  context->uc_stack.ss_size = STACK;
  context->uc_link = nullptr;
  makecontext(context, entry, 0);
  f->sp = context;
}
#endif

int threads_of_block(void) { return n_threads; }
int emulate_lane(void) { return current % 32; }

static void yield(void) {
  switch_stack(&fibers[current].sp, scheduler);
}

static void run_thread(void) {
  body(body_arguments);
  fibers[current].state = ENDED;
  yield();
}

__attribute__((noinline)) void emulate_barrier(void) {
  fibers[current].state = AT_BARRIER;
  fibers[current].site = __builtin_return_address(0);
  yield();
}

/* Lanes of the warp of `thread` that are there and have not ended. */
static unsigned lanes_alive(int thread) {
  unsigned alive = 0;
  for (int lane = 0, first = thread / 32 * 32; lane < 32 && first + lane < n_threads; lane++)
    if (fibers[first + lane].state != ENDED) alive |= 1u << lane;
  return alive;
}

static void meet(unsigned mask, const char *what) {
  Fiber &me = fibers[current];
  if (!(mask >> emulate_lane() & 1)) caught("%s: the mask %08x does not name the lane itself", what, mask);
  if (unsigned absent = mask & ~lanes_alive(current)) caught("%s names lanes %08x, which are not there", what, absent);
  me.state = AT_EXCHANGE;
  me.mask = mask;
  me.what = what;
  yield();
}

__attribute__((noinline)) void emulate_exchange(unsigned mask, const void *mine, void *theirs, size_t bytes, int from,
                                                const char *what) {
  Fiber &me = fibers[current];
  if (bytes > MOST_BYTES) caught("%s of %zu bytes", what, bytes);
  memcpy(me.value, mine, bytes);
  me.site = __builtin_return_address(0);
  meet(mask, what);
  if (!(mask >> from & 1)) caught("%s reads lane %d, which the mask %08x does not name", what, from, mask);
  memcpy(theirs, fibers[current / 32 * 32 + from].value, bytes);
  meet(mask, what); /* nobody puts the next value down before all have read */
}

unsigned emulate_ballot(unsigned mask, bool vote) {
  Fiber &me = fibers[current];
  unsigned votes = 0;
  me.value[0] = vote;
  me.site = __builtin_return_address(0);
  meet(mask, "__ballot_sync");
  for (int lane = 0; lane < 32; lane++)
    if (mask >> lane & 1) votes |= (unsigned)fibers[current / 32 * 32 + lane].value[0] << lane;
  meet(mask, "__ballot_sync");
  return votes;
}

static bool release_warp(int first) {
  for (int t = first; t < first + 32 && t < n_threads; t++) {
    if (fibers[t].state != AT_EXCHANGE) continue;
    bool all = true;
    for (int lane = 0; lane < 32; lane++) {
      if (!(fibers[t].mask >> lane & 1)) continue;
      const Fiber &other = fibers[first + lane];
      all = all && other.state == AT_EXCHANGE;
      current = t;
      if (other.state == ENDED) caught("%s waits for lane %d, which has ended", fibers[t].what, lane);
      if (other.state == AT_EXCHANGE && (other.mask != fibers[t].mask || other.site != fibers[t].site))
        caught("%s: lane %d is at another one", fibers[t].what, lane);
    }
    if (!all) continue;
    unsigned mask = fibers[t].mask;
    for (int lane = 0; lane < 32; lane++)
      if (mask >> lane & 1) fibers[first + lane].state = RUNNING;
    return true;
  }
  return false;
}

/* Everybody waits: at one barrier, all of the block, or something is wrong. */
static void release_block(void) {
  const void *site = nullptr;
  for (current = 0; current < n_threads; current++) {
    const Fiber &f = fibers[current];
    threadIdx = f.index;
    if (f.state == AT_EXCHANGE) caught("%s waits for lanes that never come", f.what);
    if (f.state == ENDED) caught("__syncthreads is not reached by this thread, which has ended, but by others");
    if (site && f.site != site) caught("__syncthreads: threads of the block are at different ones");
    site = f.site;
  }
  for (Fiber &f : fibers) f.state = f.state == AT_BARRIER ? RUNNING : f.state;
}

static void start(int n) {
  while ((int)fibers.size() < n) {
    Fiber f = {};
    f.stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (f.stack == MAP_FAILED) perror("emulator: stacks"), exit(1);
    fibers.push_back(f);
  }
  for (int i = 0; i < n; i++) {
    unsigned u = (unsigned)i;
    fibers[i].index = dim3(u % blockDim.x, u / blockDim.x % blockDim.y, u / blockDim.x / blockDim.y);
    fibers[i].state = RUNNING;
    prepare(&fibers[i], run_thread);
  }
}

static bool all_ended(void) {
  for (int i = 0; i < n_threads; i++)
    if (fibers[i].state != ENDED) return false;
  return true;
}

void run_block(void (*thread)(const void *), const void *arguments, uint64_t seed) {
  n_threads = (int)(blockDim.x * blockDim.y * blockDim.z);
  body = thread;
  body_arguments = arguments;
  start(n_threads);
  std::vector<int> order((size_t)n_threads);
  std::iota(order.begin(), order.end(), 0);
  while (!all_ended()) {
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[next_random(&seed) % i]);
    bool ran = false;
    for (int t : order) {
      while (fibers[t].state == RUNNING) {
        current = t;
        threadIdx = fibers[t].index;
        ran = true;
        switch_stack(&scheduler, fibers[t].sp);
      }
    }
    for (int first = 0; first < n_threads; first += 32)
      while (release_warp(first)) ran = true;
    if (!ran && !all_ended()) release_block();
  }
}
