/* map.h - from a node or a name to a number: uthash with our two kinds of key.
 *
 * Internal to ir/.  An empty map is a NULL pointer.
 */
#ifndef MTC_IR_MAP_H
#define MTC_IR_MAP_H

#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

#define uthash_fatal(what) out_of_memory()
#include <uthash.h>

typedef struct Map {
  const void *key; /* names are not copied: they outlive the map */
  int value;
  UT_hash_handle hh;
} Map;

static inline Map *map_entry(const void *key, int value) {
  Map *entry = calloc(1, sizeof *entry);
  if (!entry) out_of_memory();
  entry->key = key;
  entry->value = value;
  return entry;
}

static inline void map_put_name(Map **map, const char *name, int value) {
  Map *entry = map_entry(name, value);
  HASH_ADD_KEYPTR(hh, *map, entry->key, strlen(name), entry); // GCOV_EXCL_BR_LINE: uthash's
}

/* -1 when it is not there. */
static inline int map_get_name(Map *map, const char *name) {
  Map *entry;
  HASH_FIND(hh, map, name, strlen(name), entry); // GCOV_EXCL_BR_LINE: uthash's
  return entry ? entry->value : -1;
}

static inline void map_put_node(Map **map, const void *node, int value) {
  Map *entry = map_entry(node, value);
  HASH_ADD_PTR(*map, key, entry); // GCOV_EXCL_BR_LINE: uthash's
}

static inline int map_get_node(Map *map, const void *node) {
  Map *entry;
  HASH_FIND_PTR(map, &node, entry); // GCOV_EXCL_BR_LINE: uthash's
  return entry ? entry->value : -1;
}

static inline void map_free(Map **map) {
  Map *entry, *next;
  HASH_ITER(hh, *map, entry, next) { // GCOV_EXCL_BR_LINE: uthash's
    HASH_DEL(*map, entry); // GCOV_EXCL_BR_LINE: uthash's
    free(entry);
  }
}

#endif
