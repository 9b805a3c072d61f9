/* streams.cc - work is put down and runs late: when somebody waits.
 *
 * Each stream keeps its order.  Between streams only events order anything:
 * which stream goes on next is drawn at random.
 */
#include <deque>
#include <vector>

#include "tests/emulator/inside.h"

struct Item {
  std::function<void()> work;
  EmulatedEvent *waits, *records;
  long count; /* of the event: which recording */
};
struct EmulatedStream { std::deque<Item> items; };
struct EmulatedEvent { long recorded, done; };

static EmulatedStream first_stream;
static std::vector<EmulatedStream *> streams = {&first_stream};
extern uint64_t schedule;

static EmulatedStream *known(cudaStream_t stream) {
  for (EmulatedStream *s : streams)
    if (s == stream) return s;
  return &first_stream;
}

void enqueue(cudaStream_t stream, std::function<void()> work) { known(stream)->items.push_back({work, nullptr, nullptr, 0}); }

size_t pending(void) {
  size_t n = 0;
  for (EmulatedStream *s : streams) n += s->items.size();
  return n;
}

static bool can_run(const EmulatedStream *s) {
  return !s->items.empty() && (!s->items.front().waits || s->items.front().waits->done >= s->items.front().count);
}

void flush(void) {
  while (pending() > 0) {
    std::vector<EmulatedStream *> ready;
    for (EmulatedStream *s : streams)
      if (can_run(s)) ready.push_back(s);
    if (ready.empty()) caught("streams wait for events that nothing records");
    EmulatedStream *s = ready[next_random(&schedule) % ready.size()];
    Item item = s->items.front();
    s->items.pop_front();
    if (item.records) item.records->done = item.count;
    if (item.work) item.work();
  }
}

cudaError_t cudaStreamCreate(cudaStream_t *stream) {
  streams.push_back(*stream = new EmulatedStream);
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) { return *event = new EmulatedEvent{0, 0}, cudaSuccess; }
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  known(stream)->items.push_back({nullptr, nullptr, event, ++event->recorded});
  return cudaSuccess;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  known(stream)->items.push_back({nullptr, event, nullptr, event->recorded});
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return flush(), cudaSuccess; }
