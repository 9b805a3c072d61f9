/* safetensors.c - tensors by name in one file.
 *
 * Eight bytes of header length, a JSON header {name: {dtype, shape,
 * data_offsets}}, then the bytes of all tensors without holes.  A reader must
 * trust nothing: lengths, offsets and shapes are checked against each other
 * before any tensor is allocated.  https://github.com/huggingface/safetensors
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/storage.h"

static const struct {
  const char *name;
  MtWide type;
} dtypes[] = {
    {"F32", MT_WIDE_F32}, {"F64", MT_WIDE_F64}, {"BF16", MT_WIDE_BF16}, {"I64", MT_WIDE_I64},
    {"I32", MT_WIDE_I32}, {"U8", MT_WIDE_U8},   {"BOOL", MT_WIDE_BOOL},
};
enum { N_DTYPES = sizeof dtypes / sizeof dtypes[0], MAX_HEADER = 100 << 20 };

void mt_archive_free(MtArchive *archive) {
  for (int i = 0; i < archive->n_arrays; i++) mt_array_free(&archive->arrays[i]);
  for (int i = 0; i < archive->n_notes; i++) free(archive->note_keys[i]), free(archive->note_values[i]);
  free(archive->arrays);
  free(archive->note_keys);
  free(archive->note_values);
  memset(archive, 0, sizeof *archive);
}

const MtArray *mt_archive_find(const MtArchive *archive, const char *name) {
  for (int i = 0; i < archive->n_arrays; i++)
    if (!strcmp(archive->arrays[i].name, name)) return &archive->arrays[i];
  return NULL;
}

const char *mt_archive_note(const MtArchive *archive, const char *key) {
  for (int i = 0; i < archive->n_notes; i++)
    if (!strcmp(archive->note_keys[i], key)) return archive->note_values[i];
  return NULL;
}

bool mt_archive_add(MtArchive *archive, const char *name, MtWide type, int rank, const int64_t *shape,
                    const void *data) {
  MtArray *more = realloc(archive->arrays, ((size_t)archive->n_arrays + 1) * sizeof *more);
  if (!more) return false;
  archive->arrays = more;
  MtArray *array = &more[archive->n_arrays];
  *array = (MtArray){.name = strdup(name), .type = type, .rank = rank};
  for (int i = 0; i < rank; i++) array->shape[i] = shape[i];
  size_t bytes = (size_t)mt_array_count(array) * mt_wide_size(type);
  array->data = malloc(bytes ? bytes : 1);
  if (!array->name || !array->data) return mt_array_free(array), false;
  memcpy(array->data, data, bytes);
  archive->n_arrays++;
  return true;
}

bool mt_archive_add_note(MtArchive *archive, const char *key, const char *value) {
  char **keys = realloc(archive->note_keys, ((size_t)archive->n_notes + 1) * sizeof *keys);
  if (keys) archive->note_keys = keys;
  char **values = realloc(archive->note_values, ((size_t)archive->n_notes + 1) * sizeof *values);
  if (values) archive->note_values = values;
  char *k = strdup(key), *v = strdup(value);
  if (!keys || !values || !k || !v) return free(k), free(v), false;
  keys[archive->n_notes] = k;
  values[archive->n_notes++] = v;
  return true;
}

/* ---- reading ---- */

typedef struct Piece { /* a tensor of the header */
  const char *name;
  MtWide type;
  int rank;
  int64_t shape[MT_MAX_RANK];
  uint64_t begin, end;
} Piece;

typedef struct Reader {
  const char *path;
  uint64_t data_bytes; /* behind the header */
  MtArchive *out;
  MtError *error;
} Reader;

/* "PATH: tensor NAME: WHY" */
static bool bad_tensor(const Reader *r, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool bad_tensor(const Reader *r, const char *name, const char *format, ...) {
  char shown[MT_SHOWN], why[400];
  va_list args;
  va_start(args, format);
  vsnprintf(why, sizeof why, format, args);
  va_end(args);
  return mt_error(r->error, "%s: tensor %s: %s", r->path, mt_show(shown, name, strlen(name)), why);
}

static bool read_type(const Reader *r, const char *name, json_t *dtype, MtWide *type) {
  char shown[MT_SHOWN];
  const char *text = json_string_value(dtype);
  if (!text) return bad_tensor(r, name, "the header gives it no dtype");
  for (int i = 0; i < N_DTYPES; i++)
    if (!strcmp(text, dtypes[i].name)) return *type = dtypes[i].type, true;
  return bad_tensor(r, name, "its dtype is %s; F32, F64, BF16, I64, I32, U8 and BOOL can be read",
                    mt_show(shown, text, strlen(text)));
}

static bool read_shape(const Reader *r, json_t *shape, Piece *piece, uint64_t *bytes) {
  if (!json_is_array(shape)) return bad_tensor(r, piece->name, "the header gives it no shape");
  if (json_array_size(shape) > MT_MAX_RANK)
    return bad_tensor(r, piece->name, "it has %zu axes; at most %d can be read", json_array_size(shape), MT_MAX_RANK);
  uint64_t count = 1;
  piece->rank = (int)json_array_size(shape);
  for (int i = 0; i < piece->rank; i++) {
    json_t *size = json_array_get(shape, (size_t)i);
    if (json_typeof(size) != JSON_INTEGER || json_integer_value(size) < 0)
      return bad_tensor(r, piece->name, "axis %d of its shape is not a whole number from 0", i);
    piece->shape[i] = json_integer_value(size);
    if (piece->shape[i] && count > ((uint64_t)1 << 50) / (uint64_t)piece->shape[i])
      return bad_tensor(r, piece->name, "its shape is too large");
    if (piece->shape[i]) count *= (uint64_t)piece->shape[i];
  }
  for (int i = 0; i < piece->rank; i++)
    if (!piece->shape[i]) count = 0;
  *bytes = count * mt_wide_size(piece->type);
  return true;
}

static bool read_offsets(const Reader *r, json_t *offsets, Piece *piece, uint64_t bytes) {
  json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
  if (json_array_size(offsets) != 2 || json_typeof(begin) != JSON_INTEGER || json_typeof(end) != JSON_INTEGER ||
      json_integer_value(begin) < 0 || json_integer_value(end) < json_integer_value(begin))
    return bad_tensor(r, piece->name, "its data_offsets are not two rising numbers");
  piece->begin = (uint64_t)json_integer_value(begin);
  piece->end = (uint64_t)json_integer_value(end);
  if (piece->end > r->data_bytes)
    return mt_error(r->error, "%s: cut short: tensor %s ends at byte %llu of the data, %llu are there", r->path,
                    piece->name, (unsigned long long)piece->end, (unsigned long long)r->data_bytes);
  if (piece->end - piece->begin != bytes)
    return bad_tensor(r, piece->name, "its shape needs %llu bytes, its data_offsets give it %llu",
                      (unsigned long long)bytes, (unsigned long long)(piece->end - piece->begin));
  return true;
}

static bool read_piece(const Reader *r, const char *name, json_t *value, Piece *piece) {
  uint64_t bytes = 0;
  piece->name = name;
  return read_type(r, name, json_object_get(value, "dtype"), &piece->type) &&
         read_shape(r, json_object_get(value, "shape"), piece, &bytes) &&
         read_offsets(r, json_object_get(value, "data_offsets"), piece, bytes);
}

static int by_offset(const void *a, const void *b) {
  const Piece *x = a, *y = b;
  return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

/* No holes, no overlaps, nothing behind the last. */
static bool check_cover(const Reader *r, Piece *pieces, int n) {
  uint64_t at = 0;
  qsort(pieces, (size_t)n, sizeof *pieces, by_offset);
  for (int i = 0; i < n; at = pieces[i++].end)
    if (pieces[i].begin != at)
      return bad_tensor(r, pieces[i].name, "it begins at byte %llu of the data, the one before it ends at %llu: %s",
                        (unsigned long long)pieces[i].begin, (unsigned long long)at,
                        pieces[i].begin > at ? "there is a hole" : "they overlap");
  if (at != r->data_bytes)
    return mt_error(r->error, "%s: too long: the tensors end at byte %llu of the data, %llu are there", r->path,
                    (unsigned long long)at, (unsigned long long)r->data_bytes);
  return true;
}

static bool read_notes(const Reader *r, json_t *notes) {
  char shown[MT_SHOWN];
  if (json_typeof(notes) != JSON_OBJECT) return mt_error(r->error, "%s: __metadata__ is not an object", r->path);
  for (void *at = json_object_iter(notes); at; at = json_object_iter_next(notes, at)) {
    const char *key = json_object_iter_key(at), *text = json_string_value(json_object_iter_value(at));
    if (!text)
      return mt_error(r->error, "%s: __metadata__: %s is not a string", r->path, mt_show(shown, key, strlen(key)));
    if (!mt_archive_add_note(r->out, key, text))
      return mt_error(r->error, "%s: out of memory", r->path);
  }
  return true;
}

static bool read_header(const Reader *r, json_t *header, Piece *pieces, size_t *n) {
  for (void *at = json_object_iter(header); at; at = json_object_iter_next(header, at)) {
    const char *name = json_object_iter_key(at);
    json_t *value = json_object_iter_value(at);
    bool is_notes = !strcmp(name, "__metadata__");
    if (!(is_notes ? read_notes(r, value) : read_piece(r, name, value, &pieces[(*n)++]))) return false;
  }
  return check_cover(r, pieces, (int)*n);
}

static bool read_tensors(const Reader *r, json_t *header, const char *data) {
  size_t n = 0;
  Piece *pieces = calloc(json_object_size(header) + 1, sizeof *pieces);
  bool ok = pieces ? read_header(r, header, pieces, &n) : mt_error(r->error, "%s: out of memory", r->path);
  for (size_t i = 0; ok && i < n; i++) {
    const Piece *p = &pieces[i];
    ok = mt_archive_add(r->out, p->name, p->type, p->rank, p->shape, data + p->begin);
    if (!ok) mt_error(r->error, "%s: out of memory for tensor %s", r->path, p->name);
  }
  free(pieces);
  return ok;
}

/* What a file is that is none of ours, where its first bytes tell. */
static const char *known_as(const char *bytes) {
  static const struct {
    const char *magic;
    size_t length;
    const char *what;
  } kinds[] = {
      {"PK\3\4", 4,
       ": it looks like a .pt file or an archive; torch.load it and save it with "
       "safetensors.torch.save_file"},
      {"\x80\2", 2, ": it looks like a pickle; load it in Python and save it with safetensors.torch.save_file"},
      {"\x93NUMPY", 6, ": it is an npy file"},
      {"\x89HDF", 4, ": it is an HDF5 file"},
  };
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    if (!memcmp(bytes, kinds[i].magic, kinds[i].length)) return kinds[i].what;
  return ": it does not begin with the length of a JSON header, and that header";
}

static bool check_lengths(const char *path, const char *bytes, size_t length, uint64_t *header_length, MtError *error) {
  if (length < 8)
    return mt_error(error, "%s: cut short: a safetensors file has at least 8 bytes, this has %zu", path, length);
  *header_length = 0;
  for (int i = 7; i >= 0; i--) *header_length = *header_length << 8 | (unsigned char)bytes[i];
  if (*header_length > MAX_HEADER || *header_length < 2 || (length > 8 && bytes[8] != '{'))
    return mt_error(error, "%s: not a safetensors file%s", path, known_as(bytes));
  if (*header_length > length - 8)
    return mt_error(error, "%s: cut short: the header needs %llu bytes, %zu are there", path,
                    (unsigned long long)*header_length, length - 8);
  return true;
}

/* Where jansson lacks memory it says that the text is damaged, or goes on without a part of it. */
static _Thread_local bool json_starved;
static void *json_memory(size_t size) {
  void *memory = malloc(size);
  json_starved |= !memory;
  return memory;
}

static json_t *parse_header(const char *path, const char *text, uint64_t length, MtError *error) {
  json_error_t why;
  char shown[MT_SHOWN];
  json_set_alloc_funcs(json_memory, free);
  json_starved = false;
  json_t *header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &why);
  if (json_starved) return json_decref(header), mt_error(error, "%s: out of memory", path), NULL;
  if (!header)
    mt_error(error, "%s: the header is damaged: at byte %d of it: %s", path, why.position,
             mt_show(shown, why.text, strlen(why.text)));
  return header;
}

bool mt_parse_safetensors(const char *path, const char *bytes, size_t length, MtArchive *out, MtError *error) {
  uint64_t header_length = 0;
  memset(out, 0, sizeof *out);
  if (!check_lengths(path, bytes, length, &header_length, error)) return false;
  json_t *header = parse_header(path, bytes + 8, header_length, error);
  if (!header) return false;
  Reader r = {path, length - 8 - header_length, out, error};
  bool ok = read_tensors(&r, header, bytes + 8 + header_length);
  json_decref(header);
  if (!ok) mt_archive_free(out);
  return ok;
}

bool mt_read_safetensors(const char *path, MtArchive *out, MtError *error) {
  char *bytes;
  size_t length;
  memset(out, 0, sizeof *out);
  if (!mt_read_file(path, &bytes, &length, error)) return false;
  bool ok = mt_parse_safetensors(path, bytes, length, out, error);
  free(bytes);
  return ok;
}

/* ---- writing ---- */

static json_t *describe(const MtArray *array, uint64_t begin, uint64_t end) {
  const char *dtype = "F32";
  bool ok = true;
  for (int i = 0; i < N_DTYPES; i++)
    if (dtypes[i].type == array->type) dtype = dtypes[i].name;
  json_t *shape = json_array();
  for (int i = 0; i < array->rank; i++) ok = !json_array_append_new(shape, json_integer(array->shape[i])) && ok;
  if (!ok) return json_decref(shape), NULL;
  return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype, "shape", shape, "data_offsets", (json_int_t)begin,
                   (json_int_t)end);
}

static json_t *describe_notes(const MtArchive *archive) {
  json_t *notes = json_object();
  for (int i = 0; i < archive->n_notes; i++)
    if (json_object_set_new(notes, archive->note_keys[i], json_string(archive->note_values[i])))
      return json_decref(notes), NULL;
  return notes;
}

/* The header as JSON; NULL when memory is short. */
static json_t *describe_all(const MtArchive *archive) {
  json_t *header = json_object();
  uint64_t at = 0;
  bool ok = header && (!archive->n_notes || !json_object_set_new(header, "__metadata__", describe_notes(archive)));
  for (int i = 0; ok && i < archive->n_arrays; i++) {
    const MtArray *array = &archive->arrays[i];
    uint64_t end = at + (uint64_t)mt_array_count(array) * mt_wide_size(array->type);
    ok = !json_object_set_new(header, array->name, describe(array, at, end));
    at = end;
  }
  if (ok) return header;
  json_decref(header);
  return NULL;
}

typedef struct Growing {
  char *bytes;
  size_t length, room;
} Growing;

/* Not json_dumps: that goes on behind text for which there was no memory.  Room for 8 bytes more is left. */
static int append(const char *bytes, size_t n, void *data) {
  Growing *g = data;
  if (g->length + n + 8 > g->room) {
    size_t room = 2 * (g->length + n) + 1024;
    char *more = realloc(g->bytes, room);
    if (!more) return -1;
    g->bytes = more;
    g->room = room;
  }
  memcpy(g->bytes + g->length, bytes, n);
  g->length += n;
  return 0;
}

/* The header's length, its text, blanks up to a multiple of 8. */
static char *make_header(const MtArchive *archive, size_t *length) {
  Growing g = {NULL, 0, 0};
  json_t *header = describe_all(archive);
  bool ok = header && !append("01234567", 8, &g) && !json_dump_callback(header, append, &g, JSON_COMPACT);
  json_decref(header);
  if (!ok) return free(g.bytes), NULL;
  while (g.length % 8) g.bytes[g.length++] = ' ';
  for (int i = 0; i < 8; i++) g.bytes[i] = (char)((uint64_t)(g.length - 8) >> 8 * i & 255);
  *length = g.length;
  return g.bytes;
}

bool mt_write_safetensors(const char *path, const char *keep, const MtArchive *archive, MtError *error) {
  size_t length = 0;
  char *header = make_header(archive, &length);
  if (!header) return mt_error(error, "%s: cannot write: out of memory", path);
  MtWriter writer;
  bool ok = mt_write_begin(&writer, path, error) && mt_write_bytes(&writer, header, length);
  for (int i = 0; ok && i < archive->n_arrays; i++)
    ok = mt_write_bytes(&writer, archive->arrays[i].data,
                        (size_t)mt_array_count(&archive->arrays[i]) * mt_wide_size(archive->arrays[i].type));
  ok = ok && mt_write_commit(&writer, keep);
  if (!ok) mt_write_abort(&writer);
  free(header);
  return ok;
}
