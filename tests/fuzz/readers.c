/* readers.c - fuzz targets of the runtime: files of data and weights.
 *
 * Inputs are copied to a block of just their size, so that a byte read behind
 * the end is seen; csv and zlib's results have a NUL there by contract.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/storage.h"
#include "tests/fuzz/targets.h"

#define PROMISE(it) ((it) ? (void)0 : (fprintf(stderr, "broken: %s\n", #it), abort()))

static char *copy(const uint8_t *data, size_t size, size_t more) {
  char *bytes = malloc(size + more ? size + more : 1);
  PROMISE(bytes != NULL);
  if (size) memcpy(bytes, data, size);
  memset(bytes + size, 0, more);
  return bytes;
}

static char folder[64];

static void remove_folder(void) { rmdir(folder); }

/* In memory where the system offers it: a file is written for each input. */
static void make_folder(void) {
  if (folder[0]) return;
  snprintf(folder, sizeof folder, "%s/mtc-fuzz-%ld", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm", (long)getpid());
  PROMISE(!mkdir(folder, 0700) && !atexit(remove_folder));
}

/* Refused when and only when there is a message, which is one line and names the file. */
static bool judged(bool ok, const MtError *error) {
  PROMISE(ok == !error->text[0]);
  PROMISE(ok || !strncmp(error->text, "file", 4));
  PROMISE(!strchr(error->text, '\n') && !strchr(error->text, '\033'));
  return ok;
}

static bool same_array(const MtArray *a, const MtArray *b) {
  if (a->type != b->type || a->rank != b->rank || memcmp(a->shape, b->shape, sizeof a->shape)) return false;
  return !memcmp(a->data, b->data, (size_t)mt_array_count(a) * mt_wide_size(a->type));
}

/* An array as each type a field can have; values that do not fit are refused with their place. */
static void convert(const MtArray *array) {
  static const MtType types[] = {MT_F32, MT_F64, MT_BF16, MT_I32, MT_U8, MT_BOOL};
  for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
    MtError error = {""};
    void *out = malloc((size_t)mt_array_count(array) * mt_type_size(types[i]) + 1);
    PROMISE(out != NULL);
    judged(mt_array_convert(array, types[i], out, "file", &error), &error);
    free(out);
  }
}

static void write_and_read(const MtArray *array) {
  char path[128];
  MtError error = {""};
  MtArray back;
  make_folder();
  snprintf(path, sizeof path, "%s/x.npy", folder);
  PROMISE(mt_write_npy(path, array, &error) && mt_read_npy(path, &back, &error) && same_array(array, &back));
  mt_array_free(&back);
  unlink(path);
}

int fuzz_npy(const uint8_t *data, size_t size) {
  char *bytes = copy(data, size, 0);
  MtArray array;
  MtError error = {""};
  if (judged(mt_parse_npy("file", bytes, size, &array, &error), &error)) convert(&array), write_and_read(&array);
  mt_array_free(&array);
  free(bytes);
  return 0;
}

int fuzz_npz(const uint8_t *data, size_t size) {
  char *bytes = copy(data, size, 0);
  MtArray array;
  MtError error = {""};
  if (judged(mt_parse_npz("file", bytes, size, "x", &array, &error), &error)) convert(&array);
  mt_array_free(&array);
  MtArchive all;
  error.text[0] = 0;
  if (judged(mt_parse_npz_all("file", bytes, size, &all, &error), &error))
    for (int i = 0; i < all.n_arrays; i++) PROMISE(mt_archive_find(&all, all.arrays[i].name) == &all.arrays[i]);
  mt_archive_free(&all);
  free(bytes);
  return 0;
}

int fuzz_idx(const uint8_t *data, size_t size) {
  char *bytes = copy(data, size, 0);
  MtArray array;
  MtError error = {""};
  if (judged(mt_parse_idx("file", bytes, size, &array, &error), &error)) convert(&array);
  mt_array_free(&array);
  free(bytes);
  return 0;
}

int fuzz_tokens(const uint8_t *data, size_t size) {
  char *bytes = copy(data, size, 0);
  MtArray array;
  MtError error = {""};
  if (judged(mt_parse_tokens("file", bytes, size, &array, &error), &error)) {
    PROMISE(array.type == MT_WIDE_I32 && array.rank == 1 && (size_t)array.shape[0] <= (size - 1024) / 2);
    for (int64_t i = 0; i < array.shape[0]; i++) PROMISE(((int32_t *)array.data)[i] >= 0);
    convert(&array);
  }
  mt_array_free(&array);
  free(bytes);
  return 0;
}

/* Every type a csv field can have, one of them a label. */
int fuzz_csv(const uint8_t *data, size_t size) {
  static const MtField fields[] = {{"x", MT_F32, 1, {2}, 0, 0, 0},
                                   {"d", MT_F64, 0, {0}, 0, 0, 0},
                                   {"y", MT_I32, 0, {0}, 0, 3, -100},
                                   {"u", MT_U8, 0, {0}, 0, 0, 0},
                                   {"b", MT_BOOL, 0, {0}, 0, 0, 0}};
  enum { N = sizeof fields / sizeof fields[0] };
  static const MtData set = {"set", MT_CSV, 0, NULL, N, fields, 4, false, 0, 0, 0, "m.mt:1"};
  void *columns[N] = {NULL};
  size_t row_bytes[N];
  MtSet out = {0, N, columns, row_bytes};
  MtError error = {""};
  char *text = copy(data, size, 1);
  if (judged(mt_parse_csv(&set, "file", text, size, &out, &error), &error)) {
    PROMISE(out.rows > 0 && (size_t)out.rows <= size / 11 + 1); /* "0,0,0,0,0,0" at least */
    for (int64_t i = 0; i < out.rows; i++) {
      int32_t y = ((int32_t *)columns[2])[i];
      PROMISE(!isnan(((float *)columns[0])[2 * i]) && !isnan(((double *)columns[1])[i]));
      PROMISE((y >= 0 && y < 3) || y == -100);
      PROMISE(((unsigned char *)columns[4])[i] <= 1);
    }
  }
  for (int f = 0; f < N; f++) free(columns[f]);
  free(text);
  return 0;
}

int fuzz_safetensors(const uint8_t *data, size_t size) {
  char *bytes = copy(data, size, 0), path[128];
  MtArchive archive, back;
  MtError error = {""};
  make_folder();
  snprintf(path, sizeof path, "%s/x.safetensors", folder);
  if (judged(mt_parse_safetensors("file", bytes, size, &archive, &error), &error)) {
    PROMISE(mt_write_safetensors(path, NULL, &archive, &error) && mt_read_safetensors(path, &back, &error));
    PROMISE(archive.n_arrays == back.n_arrays && archive.n_notes == back.n_notes);
    for (int i = 0; i < archive.n_arrays; i++) {
      const MtArray *twin = mt_archive_find(&back, archive.arrays[i].name);
      PROMISE(twin && same_array(&archive.arrays[i], twin));
      convert(&archive.arrays[i]);
    }
    mt_archive_free(&back);
    unlink(path);
  }
  mt_archive_free(&archive);
  free(bytes);
  return 0;
}

/* A checkpoint of one small model: what is taken is all there, what is refused leaves nothing behind. */
int fuzz_checkpoint(const uint8_t *data, size_t size) {
  static const MtTensor params[] = {{"net.w", 2, {2, 2}, 0, MT_CONSTANT, 0, 0, "m.mt:3", NULL},
                                    {"net.b", 1, {2}, 4, MT_CONSTANT, 0, 0, "m.mt:4", NULL}};
  static const MtGroup groups[] = {{"net", "sgd", 1, {"m", NULL}, 0, 6, 0}};
  static const MtTrain train = {.n_groups = 1, .groups = groups};
  static const MtProgram program = {.name = "m", .n_params = 2, .param_count = 6, .params = params, .train = &train};
  static const char *names[] = {"highest.d.a"};
  float values[6] = {0}, slots[6] = {0};
  double best[1] = {NAN};
  MtBlocks blocks = {values, NULL, {slots, NULL, NULL}};
  MtProgress progress = {.step = -1, .n_best = 1, .best_names = names, .best_values = best};
  MtError error = {""};
  char note[512];
  char path[128];
  make_folder();
  snprintf(path, sizeof path, "%s/m.checkpoint.safetensors", folder);
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  PROMISE(fd >= 0 && write(fd, data, size) == (ssize_t)size && !close(fd));
  bool ok = mt_load_checkpoint(folder, &program, &blocks, &progress, note, &error);
  PROMISE(ok == !error.text[0] && !note[0]);
  PROMISE(!ok || (progress.step >= 0 && progress.epoch >= 0 && progress.row >= 0));
  PROMISE(ok || !progress.gemm);
  free(progress.gemm);
  unlink(path);
  return 0;
}

int fuzz_gzip(const uint8_t *data, size_t size) {
  char *bytes = copy(data, size, 0), *out;
  size_t length;
  MtError error = {""};
  if (judged(mt_gunzip("file", bytes, size, &out, &length, &error), &error)) {
    PROMISE(out[length] == 0);
    free(out);
  }
  free(bytes);
  return 0;
}
