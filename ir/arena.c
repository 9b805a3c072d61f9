/* arena.c - memory that is freed all at once.
 *
 * A compiler's data live as long as the compilation, so nothing is freed one
 * by one: chunks are taken from malloc and handed out front to back.  Built
 * with AddressSanitizer, there is forbidden memory around each allocation, and
 * in the room of a growing array that has no item yet, so that reading one too
 * many, or one before the first, is seen.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

#if defined __has_feature /* clang's way to say it */
#if __has_feature(address_sanitizer) && !defined __SANITIZE_ADDRESS__
#define __SANITIZE_ADDRESS__
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { RED_ZONE = 16, CHUNK = 1 << 14 /* its memory is told of byte by byte */ };
#else
enum { RED_ZONE = 0, CHUNK = 1 << 18 };
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

typedef struct Chunk {
  struct Chunk *next;
  size_t used, room;
  _Alignas(max_align_t) char bytes[];
} Chunk;

struct Arena {
  Chunk *chunks;
};

enum { ALIGN = _Alignof(max_align_t) };

static void *must(void *memory) {
  if (!memory) out_of_memory();
  return memory;
}

Arena *arena_new(void) { return must(calloc(1, sizeof(Arena))); }

void arena_free(Arena *arena) {
  if (!arena) return;
  for (Chunk *chunk = arena->chunks, *next; chunk; chunk = next) {
    next = chunk->next;
    free(chunk);
  }
  free(arena);
}

static Chunk *chunk_new(Arena *arena, size_t room) {
  Chunk *chunk = must(calloc(1, sizeof *chunk + room));
  chunk->room = room;
  chunk->used = RED_ZONE;
  ASAN_POISON_MEMORY_REGION(chunk->bytes, room);
  chunk->next = arena->chunks;
  return arena->chunks = chunk;
}

void *arena_alloc(Arena *arena, size_t size) {
  if (size > SIZE_MAX / 2) out_of_memory();
  size_t room = (size + RED_ZONE + ALIGN - 1) / ALIGN * ALIGN;
  Chunk *chunk = arena->chunks;
  if (!chunk || chunk->room - chunk->used < room) chunk = chunk_new(arena, room + RED_ZONE > CHUNK ? room + RED_ZONE : CHUNK);
  void *result = chunk->bytes + chunk->used;
  chunk->used += room;
  ASAN_UNPOISON_MEMORY_REGION(result, size);
  return result;
}

char *arena_copy(Arena *arena, const char *text, size_t length) {
  char *copy = arena_alloc(arena, length + 1);
  if (length) memcpy(copy, text, length);
  return copy;
}

char *arena_print(Arena *arena, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  char *text = arena_alloc(arena, (size_t)length + 1);
  vsnprintf(text, (size_t)length + 1, format, args);
  va_end(args);
  return text;
}

/* Room doubles at each power of two: an array of n items has room for the next power of two. */
void *arena_grow(Arena *arena, void *items, int count, size_t item_size) {
  size_t n = count > 0 ? (size_t)count : 0, used = n * item_size;
  if (n & (n - 1)) {
    ASAN_UNPOISON_MEMORY_REGION((char *)items + used, item_size);
    return items;
  }
  size_t room = n ? 2 * n : 1;
  char *more = arena_alloc(arena, room * item_size);
  if (n) memcpy(more, items, used);
  ASAN_POISON_MEMORY_REGION(more + used + item_size, (room - n - 1) * item_size);
  return more;
}

void *arena_room(Arena *arena, void *items, int count, int *room, size_t item_size) {
  if (count < *room) {
    ASAN_UNPOISON_MEMORY_REGION((char *)items + (size_t)count * item_size, item_size);
    return items;
  }
  size_t used = (size_t)count * item_size;
  *room = count ? 2 * count : 4;
  char *more = arena_alloc(arena, (size_t)*room * item_size);
  if (used) memcpy(more, items, used);
  ASAN_POISON_MEMORY_REGION(more + used + item_size, (size_t)(*room - count - 1) * item_size);
  return more;
}

/* ---- text under construction ---- */

static void text_reserve(Text *text, size_t more) {
  size_t need = text->length + more + 1;
  if (need <= text->room) return;
  size_t room = text->room ? text->room * 2 : 256;
  while (room < need) room *= 2;
  text->data = must(realloc(text->data, room));
  text->room = room;
}

void text_add_bytes(Text *text, const char *bytes, size_t length) {
  text_reserve(text, length);
  if (length) memcpy(text->data + text->length, bytes, length);
  text->length += length;
  text->data[text->length] = 0;
}

void text_add_size(Text *text, double bytes) {
  static const char *const unit[] = {"B", "KB", "MB", "GB", "TB"};
  int u = 0;
  for (; bytes >= 999.5 && u < 4; u++) bytes /= 1000;
  text_add(text, u && bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes, unit[u]);
}

void text_add(Text *text, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int length = vsnprintf(NULL, 0, format, again);
  va_end(again);
  text_reserve(text, (size_t)length);
  vsnprintf(text->data + text->length, (size_t)length + 1, format, args);
  va_end(args);
  text->length += (size_t)length;
}

void text_free(Text *text) {
  free(text->data);
  *text = (Text){0};
}

char *text_take(Text *text, Arena *arena) {
  char *copy = arena_copy(arena, text->data ? text->data : "", text->length);
  text_free(text);
  return copy;
}

/* The shortest digits that read back; 20 and 300, which %g writes 2e+01 and 3e+02, stay as people write them. */
void text_number(Text *text, double value) {
  char digits[40];
  snprintf(digits, sizeof digits, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
  for (int precision = 1; isfinite(value) && precision <= 17; precision++) {
    snprintf(digits, sizeof digits, "%.*g", precision, value);
    if (strtod(digits, NULL) == value) break;
  }
  if (value == rint(value) && fabs(value) < 1000) snprintf(digits, sizeof digits, "%.0f", value);
  text_add(text, "%s", digits);
}
