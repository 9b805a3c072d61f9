/* npz.c - NumPy's archives: a zip file with one NAME.npy an array. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

#include "runtime/storage.h"

static void list_names(zip_t *archive, char *out, size_t room) {
  size_t used = 0;
  snprintf(out, room, "none");
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive, 0) && used + MT_SHOWN + 3 < room; i++) {
    const char *name = zip_get_name(archive, (zip_uint64_t)i, 0);
    char shown[MT_SHOWN];
    size_t n = name ? strlen(name) : 0;
    if (name) used += (size_t)snprintf(out + used, room - used, "%s%s", used ? ", " : "", mt_show(shown, name, n));
  }
}

/* What is wrong with an entry, from its description. */
static const char *refuse(const zip_stat_t *info, size_t archive_bytes) {
  enum { MOST_TO_ONE = 1100 }; /* deflate packs 1032 bytes into one at best */
  if (info->valid & ZIP_STAT_ENCRYPTION_METHOD && info->encryption_method != ZIP_EM_NONE)
    return "it is encrypted; save it without a password";
  if (!(info->valid & ZIP_STAT_SIZE)) return "its size is not known";
  if (info->size / MOST_TO_ONE > archive_bytes) return "it says it is larger than the archive can hold";
  return NULL;
}

static bool read_entry(zip_t *archive, const char *what, const zip_stat_t *info, MtArray *out, MtError *error) {
  memset(out, 0, sizeof *out);
  char *bytes = malloc(info->size ? info->size : 1);
  zip_file_t *file = bytes ? zip_fopen_index(archive, info->index, 0) : NULL;
  zip_int64_t got = file ? zip_fread(file, bytes, info->size) : -1;
  bool ok = got == (zip_int64_t)info->size;
  if (!ok)
    mt_error(error, "%s: cannot read: %s", what,
             !bytes    ? "out of memory"
             : !file   ? zip_strerror(archive)
             : got < 0 ? zip_file_strerror(file)
                       : "it is cut short");
  char behind;
  if (ok && zip_fread(file, &behind, 1) != 0) /* only now is the checksum compared */
    ok = mt_error(error, "%s: its bytes are damaged: they do not fit its checksum", what);
  if (file) zip_fclose(file);
  ok = ok && mt_parse_npy(what, bytes, info->size, out, error);
  free(bytes);
  return ok;
}

static bool find_entry(zip_t *archive, size_t length, const char *path, const char *name, MtArray *out,
                       MtError *error) {
  char entry[300], what[600], names[600];
  zip_stat_t info;
  snprintf(entry, sizeof entry, "%.200s.npy", name);
  snprintf(what, sizeof what, "%.300s: %.250s", path, entry);
  if (zip_stat(archive, entry, 0, &info)) {
    list_names(archive, names, sizeof names);
    return mt_error(error, "%s: there is no array %s: no member is called %s; the members are: %s", path, name, entry,
                    names);
  }
  const char *why = refuse(&info, length);
  return why ? mt_error(error, "%s: %s", what, why) : read_entry(archive, what, &info, out, error);
}

/* The archive in `bytes`, or NULL after a message. */
static zip_t *open_archive(const char *path, const char *bytes, size_t length, MtError *error) {
  zip_error_t why;
  if (length == 0) return mt_error(error, "%s: the file is empty", path), NULL;
  zip_error_init(&why);
  zip_source_t *source = zip_source_buffer_create(bytes, length, 0, &why);
  zip_t *archive = source ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
  if (!archive) {
    int code = zip_error_code_zip(&why);
    if (code == ZIP_ER_NOZIP)
      mt_error(error,
               "%s: not an npz file: no list of members is at its end, as zip files have one; it may be cut short",
               path);
    else
      mt_error(error, "%s: cannot read: %s", path, zip_error_strerror(&why));
    zip_source_free(source);
  }
  zip_error_fini(&why);
  return archive;
}

bool mt_parse_npz(const char *path, const char *bytes, size_t length, const char *name, MtArray *out, MtError *error) {
  memset(out, 0, sizeof *out);
  zip_t *archive = open_archive(path, bytes, length, error);
  if (!archive) return false;
  bool ok = find_entry(archive, length, path, name, out, error);
  zip_discard(archive);
  return ok;
}

bool mt_read_npz(const char *path, const char *name, MtArray *out, MtError *error) {
  char *bytes;
  size_t length;
  memset(out, 0, sizeof *out);
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  bool ok = mt_parse_npz(path, bytes, length, name, out, error);
  free(bytes);
  return ok;
}

/* ---- all arrays of a file ---- */

/* Member i as an array called as it is, less its .npy. */
static bool add_entry(zip_t *archive, size_t length, const char *path, zip_uint64_t i, MtArchive *out, MtError *error) {
  char name[256], what[600], shown[MT_SHOWN];
  zip_stat_t info;
  MtArray array;
  bool known = !zip_stat_index(archive, i, 0, &info) && info.valid & ZIP_STAT_NAME;
  size_t n = known ? strlen(info.name) : 0;
  if (n < 5 || n - 4 >= sizeof name || strcmp(info.name + n - 4, ".npy"))
    return mt_error(error, "%s: member %s is no array: its name does not end in .npy", path, mt_show(shown, known ? info.name : "?", known ? n : 1));
  snprintf(name, sizeof name, "%.*s", (int)(n - 4), info.name);
  snprintf(what, sizeof what, "%.400s: %s", path, mt_show(shown, info.name, n));
  if (mt_archive_find(out, name)) return mt_error(error, "%s: it is there twice", what);
  const char *why = refuse(&info, length);
  if (why) return mt_error(error, "%s: %s", what, why);
  bool ok = read_entry(archive, what, &info, &array, error) &&
            (mt_archive_add(out, name, array.type, array.rank, array.shape, array.data) ||
             mt_error(error, "%s: out of memory", what));
  mt_array_free(&array);
  return ok;
}

bool mt_parse_npz_all(const char *path, const char *bytes, size_t length, MtArchive *out, MtError *error) {
  memset(out, 0, sizeof *out);
  zip_t *archive = open_archive(path, bytes, length, error);
  bool ok = archive != NULL;
  for (zip_int64_t i = 0; ok && i < zip_get_num_entries(archive, 0); i++)
    ok = add_entry(archive, length, path, (zip_uint64_t)i, out, error);
  if (archive) zip_discard(archive);
  if (!ok) mt_archive_free(out);
  return ok;
}

bool mt_read_npz_all(const char *path, MtArchive *out, MtError *error) {
  char *bytes;
  size_t length;
  memset(out, 0, sizeof *out);
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  bool ok = mt_parse_npz_all(path, bytes, length, out, error);
  free(bytes);
  return ok;
}
