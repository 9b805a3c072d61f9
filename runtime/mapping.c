/* mapping.c - names of a model as names of a weights file (MtWeights).
 *
 * A mapping's path is the beginning of a tensor's name, whole parts of it; of
 * several that fit the longest counts, and of two as long the one with fewer
 * marks.  A mark, `#`, is any number; in the file's name the same numbers
 * stand where it has marks.
 */
#include <stdio.h>
#include <string.h>

#include "runtime/storage.h"

typedef struct Found {
  size_t length; /* of the name; 0: it begins otherwise */
  int n;         /* marks */
  const char *number[MT_MAX_RANK];
  size_t digits[MT_MAX_RANK];
} Found;

static Found match(const char *path, const char *name) {
  Found f = {0}, none = {0};
  for (; *path; path++) {
    if (*path == '#' && f.n < MT_MAX_RANK) {
      f.number[f.n] = name + f.length;
      f.digits[f.n] = strspn(name + f.length, "0123456789");
      if (!f.digits[f.n]) return none;
      f.length += f.digits[f.n++];
    } else if (name[f.length++] != *path) {
      return none;
    }
  }
  return name[f.length] == 0 || name[f.length] == '.' ? f : none;
}

static void write_name(char out[1024], const char *name, const Found *f, const char *rest) {
  size_t used = 0;
  for (int mark = 0; *name && used < 900; name++)
    if (*name == '#' && mark < f->n) {
      used += (size_t)snprintf(out + used, 1024 - used, "%.*s", (int)f->digits[mark], f->number[mark]);
      mark++;
    } else {
      out[used++] = *name;
    }
  snprintf(out + used, 1024 - used, "%s", rest);
}

bool mt_map_name(const MtWeights *map, const char *name, char out[1024], bool *transpose) {
  const MtMapping *best = NULL;
  Found longest = {0};
  for (int i = 0; map && i < map->n_mappings; i++) {
    const MtMapping *m = &map->mappings[i];
    Found f = {0};
    if (m->path) f = match(m->path, name);
    if (!f.length || f.length < longest.length || (f.length == longest.length && f.n >= longest.n)) continue;
    best = m;
    longest = f;
  }
  *transpose = best && best->transpose;
  if (!best) snprintf(out, 1024, "%s", name);
  else if (best->name) write_name(out, best->name, &longest, name + longest.length);
  return !best || best->name;
}

bool mt_is_left_out(const MtWeights *map, const char *name) {
  for (int i = 0; map && i < map->n_mappings; i++)
    if (!map->mappings[i].path && match(map->mappings[i].name, name).length) return true;
  return false;
}
