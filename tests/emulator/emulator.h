/* emulator.h - CUDA's words on the host: what an emitted .cu is compiled against where there is no GPU.
 *
 *   g++ -x c++ -std=c++17 -include tests/emulator/emulator.h model.cu ...
 *
 * The text of the program is unchanged: launches, shared memory and wide
 * accesses go through the macros LAUNCH, SHARED and MT_WIDE, which
 * mtrt_cuda.cuh leaves alone when they are defined.  README.md says what is
 * checked.
 */
#ifndef MTC_EMULATOR_H
#define MTC_EMULATOR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct MtRun;

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };

/* cuda_bf16.h's type: the upper half of a float, rounded to nearest even. */
struct __nv_bfloat16 { uint16_t bits; };
static inline float __bfloat162float(__nv_bfloat16 x) {
  const uint32_t bits = (uint32_t)x.bits << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
static inline __nv_bfloat16 __float2bfloat16_rn(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  const uint32_t low = bits & 0xffff, up = low > 0x8000 || (low == 0x8000 && (bits >> 16 & 1));
  return {(uint16_t)(isnan(x) ? 0x7fff : (bits >> 16) + up)};
}

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

/* ---- threads of a block meeting each other: fibers.cc ---- */

void emulate_barrier(void);
/* Put `bytes` of `mine` down for the warp, wait for every lane of `mask`, take those of lane `from`. */
void emulate_exchange(unsigned mask, const void *mine, void *theirs, size_t bytes, int from, const char *what);
unsigned emulate_ballot(unsigned mask, bool vote);
int emulate_lane(void);

/* One thread runs at a time, so these are whole as they stand. */
static inline unsigned atomicInc(unsigned *at, unsigned most) {
  unsigned old = *at;
  *at = old >= most ? 0 : old + 1;
  return old;
}
static inline int atomicAdd(int *at, int more) { return (*at += more) - more; }
static inline void __threadfence(void) {}

static inline void __syncthreads(void) { emulate_barrier(); }
static inline void __syncwarp(unsigned mask = 0xffffffffu) { emulate_ballot(mask, true); }
static inline unsigned __ballot_sync(unsigned mask, bool vote) { return emulate_ballot(mask, vote); }
static inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
static inline int __ffs(int x) { return __builtin_ffs(x); }

#define MTC_SHUFFLE(name, source)                                                     \
  template <class T> static inline T name(unsigned mask, T value, int by) {           \
    T theirs = value;                                                                 \
    emulate_exchange(mask, &value, &theirs, sizeof value, source, #name);             \
    return theirs;                                                                    \
  }
MTC_SHUFFLE(__shfl_xor_sync, emulate_lane() ^ by)
MTC_SHUFFLE(__shfl_sync, by & 31)
MTC_SHUFFLE(__shfl_down_sync, emulate_lane() + by < 32 ? emulate_lane() + by : emulate_lane())
#undef MTC_SHUFFLE

/* ---- shared memory: a static array between red zones, poisoned for each block ---- */

struct EmulatedShared {
  EmulatedShared(const char *name, void *memory, size_t bytes, bool dynamic);
  void *touch(); /* this block uses it */
  const char *name;
  unsigned char *memory;
  size_t bytes;
  bool dynamic, used;
  EmulatedShared *next;
};
enum { RED_ZONE = 256 };

#define EMULATED_SHARED(type, name, count, dynamic)                                               \
  alignas(16) static unsigned char name##_memory[2 * RED_ZONE + sizeof(type) * (count)];          \
  static EmulatedShared name##_shared(#name, name##_memory, sizeof(type) * (count), dynamic);     \
  type *name = (type *)name##_shared.touch()
#define SHARED(type, name, count) EMULATED_SHARED(type, name, count, false)
/* Tiles are arrays of their own, so that each has its red zones; launches need not ask for them. */
#define SHARED_TILES(type, name, at, count) EMULATED_SHARED(type, name, count, true)
#define MT_TILE_MEMORY(kernel, bytes) 0

/* ---- wide accesses: what the hardware demands of their addresses ---- */

const void *emulate_wide(const void *address, size_t bytes);
#define MT_WIDE(address, bytes) emulate_wide(address, bytes)

/* ---- launches: put down now, run when somebody waits ---- */

/* Each thread calls `thread` of the kernel's arguments, which are copied.  (No std::function: programs are many, and
 * its templates took half of the time that compiling one takes.) */
void emulate_launch(MtRun *run, const char *kernel, dim3 grid, dim3 block, size_t shared, void (*thread)(const void *),
                    const void *arguments, size_t bytes);

template <class F> void emulated_thread(const void *call) { (*(const F *)call)(); }

template <class... P> struct EmulatedLaunch {
  MtRun *run;
  const char *name;
  dim3 grid, block;
  size_t shared;
  void (*kernel)(P...);
  void operator()(P... given) const {
    void (*body)(P...) = kernel;
    auto call = [body, given...] { body(given...); };
    static_assert(__is_trivially_copyable(decltype(call)), "arguments of a kernel are copied as bytes");
    emulate_launch(run, name, grid, block, shared, emulated_thread<decltype(call)>, &call, sizeof call);
  }
};
template <class... P>
EmulatedLaunch<P...> emulated(MtRun *run, const char *name, dim3 grid, dim3 block, size_t shared, void (*kernel)(P...)) {
  return {run, name, grid, block, shared, kernel};
}
#define LAUNCH(kernel, grid, block, shared, run) emulated(run, #kernel, grid, block, shared, kernel)

/* ---- streams, for programs that have several ---- */

typedef struct EmulatedStream *cudaStream_t;
typedef struct EmulatedEvent *cudaEvent_t;
typedef int cudaError_t;
enum { cudaSuccess = 0 };
cudaError_t cudaStreamCreate(cudaStream_t *stream);
cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);

#endif
