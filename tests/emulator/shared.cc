/* shared.cc - arrays in shared memory: NaN for each new block, red zones around. */
#include <string.h>

#include "tests/emulator/inside.h"

enum { POISON = 0xff, ZONE = 0xa5 };
static EmulatedShared *arrays;

EmulatedShared::EmulatedShared(const char *name, void *memory, size_t bytes, bool dynamic)
    : name(name), memory((unsigned char *)memory), bytes(bytes), dynamic(dynamic), used(false), next(arrays) {
  arrays = this;
  memset(memory, ZONE, bytes + 2 * RED_ZONE);
  memset(this->memory + RED_ZONE, POISON, bytes);
}

void *EmulatedShared::touch() {
  used = true;
  return memory + RED_ZONE;
}

void shared_begin_block(void) {
  for (EmulatedShared *a = arrays; a; a = a->next)
    if (a->used) memset(a->memory + RED_ZONE, POISON, a->bytes);
}

void shared_end_block(void) {
  for (EmulatedShared *a = arrays; a; a = a->next)
    for (size_t i = 0; a->used && i < RED_ZONE; i++) {
      if (a->memory[i] != ZONE) caught("shared array %s was written %zu bytes before its begin", a->name, RED_ZONE - i);
      if (a->memory[RED_ZONE + a->bytes + i] != ZONE) caught("shared array %s was written %zu bytes past its end", a->name, i + 1);
    }
}

size_t shared_end_launch(size_t *dynamic) {
  size_t total[2] = {0, 0};
  for (EmulatedShared *a = arrays; a; a = a->next) {
    total[a->dynamic] += a->used ? a->bytes : 0;
    a->used = false;
  }
  *dynamic = total[1];
  return total[0];
}
