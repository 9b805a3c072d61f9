/* storage.h - files: arrays, data sets, safetensors, checkpoints.
 *
 * Private to runtime/.  Readers check every length, header, offset and shape
 * before they allocate, and say which file, line or tensor is wrong.  Writers
 * write a temporary file in the same folder, fsync, rename and fsync the
 * folder, so a good file is never lost to a bad write.
 */
#ifndef MTRT_STORAGE_H
#define MTRT_STORAGE_H

#include "runtime/mtrt.h"

/* A failure as a value: one line, no newline, "" when none. */
typedef struct MtError {
  char text[1024];
} MtError;
/* Sets the text (printf form) unless one is there already; returns false. */
bool mt_error(MtError *error, const char *format, ...);

/* ---- array.c ---- */
typedef enum MtWide {
  MT_WIDE_F32,
  MT_WIDE_F64,
  MT_WIDE_BF16,
  MT_WIDE_I64,
  MT_WIDE_I32,
  MT_WIDE_U8,
  MT_WIDE_BOOL
} MtWide; /* dtypes in files */
typedef struct MtArray {
  char *name; /* malloc'd; NULL for an npy */
  MtWide type;
  int rank;
  int64_t shape[MT_MAX_RANK];
  void *data; /* malloc'd, row-major, little-endian */
} MtArray;
int64_t mt_array_count(const MtArray *array);
size_t mt_wide_size(MtWide type);
void mt_array_free(MtArray *array);
/* Values as another type when every one fits (f64 to f32 rounds; integers must be exact and in range);
 * else an error with the first index that does not. */
bool mt_array_convert(const MtArray *array, MtType to, void *out, const char *what, MtError *error);

/* ---- gzip.c ---- */
bool mt_is_gzip(const char *bytes, size_t length);
/* *out is malloc'd, with a NUL behind it.  `what` names the file in messages. */
bool mt_gunzip(const char *what, const char *bytes, size_t length, char **out, size_t *out_length, MtError *error);

/* ---- file.c: whole files in, whole files out ---- */
/* Text from a file as a message may show it: what does not print becomes `?`, and its end "..." when it is long. */
enum { MT_SHOWN = 72 };
const char *mt_show(char out[MT_SHOWN], const char *text, size_t length);
/* Reads PATH, or PATH.gz where PATH is missing; *bytes is malloc'd, with a NUL behind it. */
bool mt_read_file(const char *path, char **bytes, size_t *length, MtError *error);
typedef struct MtWriter {
  char path[3072], temporary[3200];
  int fd;      /* -1: none open */
  bool direct; /* a device or a pipe: no temporary file */
  MtError *error;
} MtWriter;
bool mt_write_begin(MtWriter *writer, const char *path, MtError *error);
bool mt_write_bytes(MtWriter *writer, const void *bytes, size_t length);
/* fsync, keep the file that stands at the path as `keep` (NULL: replace it), rename, fsync the folder. */
bool mt_write_commit(MtWriter *writer, const char *keep);
void mt_write_abort(MtWriter *writer); /* after a failure; safe to call always */
/* Removes temporary files of writers in `folder` that were killed. */
void mt_sweep_folder(const char *folder);

/* ---- npy.c ---- */
bool mt_read_npy(const char *path, MtArray *out, MtError *error);
bool mt_parse_npy(const char *what, const char *bytes, size_t length, MtArray *out, MtError *error);
bool mt_write_npy(const char *path, const MtArray *array, MtError *error);

/* ---- png.c: floats as a grey picture, a tile a row; [n, h, w], [n, 1, h, w], or [n, p] of squares ---- */
bool mt_write_png(const char *path, const MtArray *array, MtError *error);

/* ---- idx.c, npz.c ---- */
bool mt_read_idx(const char *path, MtArray *out, MtError *error);
bool mt_parse_idx(const char *path, const char *bytes, size_t length, MtArray *out, MtError *error);
bool mt_parse_npz(const char *path, const char *bytes, size_t length, const char *name, MtArray *out, MtError *error);
bool mt_read_npz(const char *path, const char *name, MtArray *out, MtError *error);
struct MtArchive;
bool mt_parse_npz_all(const char *path, const char *bytes, size_t length, struct MtArchive *out, MtError *error);
bool mt_read_npz_all(const char *path, struct MtArchive *out, MtError *error);

/* ---- tokens.c, the files: tokens as i32, [count] ---- */
bool mt_parse_tokens(const char *path, const char *bytes, size_t length, MtArray *out, MtError *error);

/* ---- data.c, csv.c, tokens.c: a data set in memory ---- */
typedef struct MtSet {
  int64_t rows;
  int n_fields;
  void **fields; /* field i: rows times row_bytes[i], in the field's own type */
  size_t *row_bytes;
} MtSet;
/* Paths are relative to `folder`; NAME.gz is read where NAME is missing.
 * Checks headers, column counts, label ranges and NaN: file, line, column, what was found. */
bool mt_load_set(const MtData *data, const char *folder, MtSet *out, MtError *error);
void mt_free_set(MtSet *set);
/* `out` has room for the fields' pointers; text with a NUL behind it.  `path` is for messages. */
bool mt_parse_csv(const MtData *data, const char *path, const char *text, size_t length, MtSet *out, MtError *error);
bool mt_read_csv(const MtData *data, const char *path, MtSet *out, MtError *error);
bool mt_read_windows(const MtData *data, const char *path, MtSet *out, MtError *error); /* MT_BYTES, MT_TOKENS */
int64_t mt_field_elements(const MtField *field);
size_t mt_type_size(MtType type);

/* ---- safetensors.c ---- */
typedef struct MtArchive {
  int n_arrays;
  MtArray *arrays;
  int n_notes; /* __metadata__: pairs of strings */
  char **note_keys, **note_values;
} MtArchive;
bool mt_parse_safetensors(const char *path, const char *bytes, size_t length, MtArchive *out, MtError *error);
bool mt_read_safetensors(const char *path, MtArchive *out, MtError *error);
bool mt_write_safetensors(const char *path, const char *keep, const MtArchive *archive,
                          MtError *error); /* atomic; keep as in mt_write_commit */
const MtArray *mt_archive_find(const MtArchive *archive, const char *name);
const char *mt_archive_note(const MtArchive *archive, const char *key); /* NULL when absent */
bool mt_archive_add(MtArchive *archive, const char *name, MtWide type, int rank, const int64_t *shape,
                    const void *data); /* copies */
bool mt_archive_add_note(MtArchive *archive, const char *key, const char *value);
void mt_archive_free(MtArchive *archive);

/* ---- mapping.c ---- */
/* What tensor `name` (relative to the instance) is called in the file, and whether it is transposed there; false:
 * it has no part in the file.  A map of NULL changes nothing. */
bool mt_map_name(const MtWeights *map, const char *name, char out[1024], bool *transpose);
bool mt_is_left_out(const MtWeights *map, const char *name);

/* ---- checkpoint.c: everything a run needs to go on with the same bits ---- */
typedef struct MtProgress {
  int64_t step, epoch, row, micro; /* row: of the epoch's order, where the next batch begins */
  uint64_t seed;
  int n_best;
  const char **best_names; /* `save highest NAME`: the best value so far */
  double *best_values;
  char *gemm;         /* the backend's GEMM choices (malloc'd when loaded), or NULL */
  bool newest_is_bad; /* set by loading: the previous one was taken; the next save must not lose it */
} MtProgress;
/* Host copies of the blocks: params, states, then slots.  `blocks` may hold NULL
 * where a program has none.  Saved as DIR/NAME.checkpoint.safetensors; the one
 * before it is kept as NAME.previous.safetensors. */
typedef struct MtBlocks {
  float *params, *states, *slots[MT_MAX_SLOTS];
} MtBlocks;
bool mt_save_checkpoint(const char *folder, const MtProgram *program, const MtBlocks *blocks,
                        const MtProgress *progress, MtError *error);
/* Falls back to the previous one, with a warning in *note, when the newest is damaged.
 * Until a save with newest_is_bad set, which replaces the damaged one, nothing is changed. */
bool mt_load_checkpoint(const char *folder, const MtProgram *program, MtBlocks *blocks, MtProgress *progress,
                        char note[512], MtError *error);
/* Parameters and states of one instance with names relative to it, PyTorch's
 * layout ({"format": "pt"}).  `instance` "" keeps full names.  Loading is strict:
 * missing, unexpected and misshapen tensors are all named. */
/* Of stacked blocks each by itself, of other tensors the whole; `visit` false stops and is the answer.
 * Names get `prefix` in front. */
typedef bool (*MtVisit)(void *data, const char *name, const MtTensor *tensor, float *values);
bool mt_each_block(const MtTensor *tensor, const char *prefix, float *values, MtVisit visit, void *data);
bool mt_save_weights(const char *path, const MtProgram *program, const char *instance, const MtBlocks *blocks,
                     MtError *error);
/* `map`: how names differ in the file, or NULL.  From safetensors, or npz where the file is called so. */
bool mt_load_weights(const char *path, const MtProgram *program, const char *instance, const MtWeights *map,
                     MtBlocks *blocks, MtError *error);

#endif
