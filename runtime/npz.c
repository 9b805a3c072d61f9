/* npz.c - NumPy's archives: a zip file with one NAME.npy an array. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "runtime/storage.h"

static void list_names(zip_t *archive, char *out, size_t room) {
  size_t used = 0;
  out[0] = 0;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0) && used + 80 < room; i++) {
    const char *name = zip_get_name(archive, (zip_uint64_t)i, 0);
    if (name) used += (size_t)snprintf(out + used, room - used, "%s%.60s", used ? ", " : "", name);
  }
}

static bool read_entry(zip_t *archive, const char *path, const char *name, MtArray *out, MtError *error) {
  char entry[300], what[600], names[512];
  zip_stat_t info;
  snprintf(entry, sizeof entry, "%.200s.npy", name);
  snprintf(what, sizeof what, "%.300s: %.250s", path, entry);
  if (zip_stat(archive, entry, 0, &info)) {
    list_names(archive, names, sizeof names);
    return mt_error(error, "%s: no array called %s; there are: %s", path, name, names);
  }
  if (info.size > (zip_uint64_t)1 << 40) return mt_error(error, "%s: too large", what);
  char *bytes = malloc(info.size ? info.size : 1);
  zip_file_t *file = bytes ? zip_fopen(archive, entry, 0) : NULL;
  bool ok = file && zip_fread(file, bytes, info.size) == (zip_int64_t)info.size;
  if (!ok) mt_error(error, "%s: cannot read: %s", what, !bytes ? "out of memory" : file ? zip_file_strerror(file) : zip_strerror(archive));
  if (file && zip_fclose(file) && ok) ok = mt_error(error, "%s: cannot read: damaged", what);
  ok = ok && mt_parse_npy(what, bytes, info.size, out, error);
  free(bytes);
  return ok;
}

bool mt_read_npz(const char *path, const char *name, MtArray *out, MtError *error) {
  int code = 0;
  memset(out, 0, sizeof *out);
  zip_t *archive = zip_open(path, ZIP_RDONLY, &code);
  if (!archive) {
    zip_error_t why;
    zip_error_init_with_code(&why, code);
    mt_error(error, "%s: cannot open: %s", path, zip_error_strerror(&why));
    zip_error_fini(&why);
    return false;
  }
  bool ok = read_entry(archive, path, name, out, error);
  zip_discard(archive);
  return ok;
}
