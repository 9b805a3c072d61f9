/* checkpoint.c - everything a run needs to go on with the same bits, and
 * weights as PyTorch reads them.
 *
 * A checkpoint is a safetensors file: parameters and states under their full
 * paths, optimizer slots as optimizer.SLOT.PATH (of a second update that moves
 * the same optimizer.2.SLOT.PATH), and where the run stands in
 * the metadata.  Order of data and random draws are pure functions of the
 * seed and these counters, so nothing else is needed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/storage.h"

#define FORMAT_NAME "mtc checkpoint "
#define FORMAT      FORMAT_NAME "1"

static bool is_checkpoint(const MtArchive *archive) {
  const char *format = mt_archive_note(archive, "format");
  return format && !strncmp(format, FORMAT_NAME, sizeof FORMAT_NAME - 1);
}

static bool holds(const MtGroup *group, const MtTensor *param) {
  return param->offset >= group->begin && param->offset < group->begin + group->count;
}

/* ---- a program's tensors, one after the other ---- */

/* "net.b.#.weight" for block 3 -> "net.b.3.weight". */
static void name_block(char out[1024], const char *pattern, const int64_t *block) {
  size_t used = 0;
  for (; *pattern && used < 1000; pattern++)
    if (*pattern == '#') used += (size_t)snprintf(out + used, 1024 - used, "%" PRId64, *block++);
    else out[used++] = *pattern;
  out[used] = 0;
}

bool mt_each_block(const MtTensor *tensor, const char *prefix, float *values, MtVisit visit, void *data) {
  char name[1024], part[1024];
  int n = 0;
  int64_t block[MT_MAX_RANK] = {0}, count = 1, blocks = 1;
  if (!tensor->pattern) {
    snprintf(name, sizeof name, "%s%s", prefix, tensor->name);
    return visit(data, name, tensor, values);
  }
  for (const char *c = tensor->pattern; *c; c++) n += *c == '#';
  MtTensor one = *tensor;
  one.rank -= n;
  for (int i = 0; i < n; i++) blocks *= tensor->shape[i];
  for (int i = 0; i < one.rank; i++) count *= one.shape[i] = tensor->shape[n + i];
  for (int64_t at = 0; at < blocks; at++) {
    for (int64_t i = n - 1, rest = at; i >= 0; rest /= tensor->shape[i--]) block[i] = rest % tensor->shape[i];
    name_block(part, tensor->pattern, block);
    snprintf(name, sizeof name, "%.60s%.900s", prefix, part);
    if (!visit(data, name, &one, values + at * count)) return false;
  }
  return true;
}

/* What each optimizer that moves it remembers; of the second one under optimizer.2.SLOT. */
static bool each_slot(const MtTrain *train, const MtBlocks *blocks, const MtTensor *param, MtVisit visit, void *data) {
  char prefix[64];
  for (int g = 0, nth = 0; g < train->n_groups; g++) {
    const MtGroup *group = &train->groups[g];
    if (!holds(group, param)) continue;
    nth++;
    for (int s = 0; s < group->n_slots; s++) {
      if (nth == 1) snprintf(prefix, sizeof prefix, "optimizer.%s.", group->slots[s]);
      else snprintf(prefix, sizeof prefix, "optimizer.%d.%s.", nth, group->slots[s]);
      if (!mt_each_block(param, prefix, blocks->slots[s] + group->slots_at + param->offset - group->begin, visit, data)) return false;
    }
  }
  return true;
}

/* Parameters, states, then (when asked) the slots each parameter's optimizers have. */
static bool each_tensor(const MtProgram *program, const MtBlocks *blocks, bool slots, MtVisit visit, void *data) {
  for (int i = 0; i < program->n_params; i++)
    if (!mt_each_block(&program->params[i], "", blocks->params + program->params[i].offset, visit, data)) return false;
  for (int i = 0; i < program->n_states; i++)
    if (!mt_each_block(&program->states[i], "", blocks->states + program->states[i].offset, visit, data)) return false;
  for (int i = 0; slots && program->train && i < program->n_params; i++)
    if (!each_slot(program->train, blocks, &program->params[i], visit, data)) return false;
  return true;
}

/* ---- writing ---- */

static bool add_tensor(void *data, const char *name, const MtTensor *tensor, float *values) {
  return mt_archive_add(data, name, MT_WIDE_F32, tensor->rank, tensor->shape, values);
}

static bool note_number(MtArchive *archive, const char *key, uint64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%" PRIu64, value);
  return mt_archive_add_note(archive, key, text);
}

static bool add_progress(MtArchive *archive, const MtProgram *program, const MtProgress *p) {
  char key[300], text[64];
  bool ok = mt_archive_add_note(archive, "format", FORMAT) && mt_archive_add_note(archive, "model", program->name) &&
            note_number(archive, "step", (uint64_t)p->step) && note_number(archive, "epoch", (uint64_t)p->epoch) &&
            note_number(archive, "row", (uint64_t)p->row) && note_number(archive, "micro", (uint64_t)p->micro) &&
            note_number(archive, "seed", p->seed);
  for (int i = 0; ok && i < p->n_best; i++) {
    snprintf(key, sizeof key, "best.%.280s", p->best_names[i]);
    snprintf(text, sizeof text, "%.17g", p->best_values[i]);
    ok = mt_archive_add_note(archive, key, text);
  }
  return ok && (!p->gemm || mt_archive_add_note(archive, "gemm", p->gemm));
}

static void checkpoint_paths(const char *folder, const MtProgram *program, char newest[2048], char previous[2048]) {
  snprintf(newest, 2048, "%s/%s.checkpoint.safetensors", folder, program->name);
  snprintf(previous, 2048, "%s/%s.previous.safetensors", folder, program->name);
}

bool mt_save_checkpoint(const char *folder, const MtProgram *program, const MtBlocks *blocks,
                        const MtProgress *progress, MtError *error) {
  char newest[2048], previous[2048];
  MtArchive archive = {0};
  checkpoint_paths(folder, program, newest, previous);
  bool ok = add_progress(&archive, program, progress) && each_tensor(program, blocks, true, add_tensor, &archive);
  if (!ok) mt_error(error, "%s: cannot write: out of memory", newest);
  ok = ok && mt_write_safetensors(newest, progress->newest_is_bad ? NULL : previous, &archive, error);
  mt_archive_free(&archive);
  return ok;
}

/* ---- reading ---- */

typedef struct Match {
  const char *path;
  const char *prefix; /* "net." is taken off a program's names; "" */
  const MtWeights *map; /* NULL: the file has the program's names */
  const MtArchive *archive;
  bool *used; /* by array */
  bool copy;  /* false: only look */
  MtError *error;
} Match;

static int64_t axis_size(const MtTensor *tensor, int axis, bool transpose) {
  bool swapped = transpose && axis >= tensor->rank - 2;
  return tensor->shape[swapped ? 2 * tensor->rank - 3 - axis : axis];
}

static bool same_shape(const MtArray *array, const MtTensor *tensor, bool transpose) {
  if (array->rank != tensor->rank) return false;
  for (int i = 0; i < tensor->rank; i++)
    if (array->shape[i] != axis_size(tensor, i, transpose)) return false;
  return true;
}

static void print_shape(char out[200], int rank, const int64_t *shape) {
  size_t used = 0;
  used += (size_t)snprintf(out, 200, "[");
  for (int i = 0; i < rank; i++) /* MT_MAX_RANK numbers of at most 19 digits */
    used += (size_t)snprintf(out + used, 200 - used, i ? ", %" PRId64 : "%" PRId64, shape[i]);
  snprintf(out + used, 200 - used, "]");
}

/* "tensor h.0.w", and what it is here where that differs. */
static void describe_tensor(char out[1200], const char *path, const char *in_file, const char *name) {
  bool same = !strcmp(in_file, name);
  snprintf(out, 1200, "%.500s: tensor %.300s%s%.300s%s", path, in_file, same ? "" : " (here ", same ? "" : name, same ? "" : ")");
}

static bool misfit(const Match *m, const char *what, const MtArray *array, const MtTensor *tensor, bool transpose) {
  char found[200], wanted[200];
  MtTensor turned = *tensor;
  for (int i = 0; i < tensor->rank; i++) turned.shape[i] = axis_size(tensor, i, transpose);
  print_shape(found, array->rank, array->shape);
  print_shape(wanted, turned.rank, turned.shape);
  const char *help = !m->map || tensor->rank < 2 || !same_shape(array, tensor, !transpose) ? ""
                     : transpose ? "; it is not transposed there: leave t() out"
                                 : "; if it is transposed there, write t(...) around its name";
  return mt_error(m->error, "%s is %s, the model (%s) needs %s%s", what, found, tensor->where, wanted, help);
}

static bool copy_transposed(const MtArray *array, const MtTensor *tensor, float *values, const char *what, MtError *error) {
  int64_t rows = tensor->shape[tensor->rank - 2], columns = tensor->shape[tensor->rank - 1], count = mt_array_count(array);
  float *turned = malloc((size_t)count * sizeof *turned + 1);
  if (!turned) return mt_error(error, "%s: out of memory", what);
  bool ok = mt_array_convert(array, MT_F32, turned, what, error);
  for (int64_t i = 0; ok && i < count; i++) {
    int64_t at = i % (rows * columns);
    values[i] = turned[i - at + at % columns * rows + at / columns];
  }
  free(turned);
  return ok;
}

static bool match_tensor(void *data, const char *name, const MtTensor *tensor, float *values) {
  Match *m = data;
  size_t n = strlen(m->prefix);
  char in_file[1024], what[1200], wanted[200];
  bool transpose;
  if (strncmp(name, m->prefix, n) || !mt_map_name(m->map, name + n, in_file, &transpose)) return true;
  transpose = transpose && tensor->rank > 1;
  const MtArray *array = mt_archive_find(m->archive, in_file);
  describe_tensor(what, m->path, in_file, name + n);
  print_shape(wanted, tensor->rank, tensor->shape);
  if (!array) return mt_error(m->error, "%s is missing; the model (%s) needs it as %s", what, tensor->where, wanted);
  if (!same_shape(array, tensor, transpose)) return misfit(m, what, array, tensor, transpose);
  bool counts = array->rank == 0 && array->type == MT_WIDE_I64; /* PyTorch's num_batches_tracked */
  if (!counts && array->type != MT_WIDE_F32 && array->type != MT_WIDE_F64 && array->type != MT_WIDE_BF16)
    return mt_error(m->error, "%s holds integers, the model (%s) needs f32", what, tensor->where);
  m->used[array - m->archive->arrays] = true;
  if (!m->copy) return true;
  return transpose ? copy_transposed(array, tensor, values, what, m->error)
                   : mt_array_convert(array, MT_F32, values, what, m->error);
}

static bool all_used(const Match *m) {
  char shown[MT_SHOWN];
  for (int i = 0; i < m->archive->n_arrays; i++) {
    const char *name = m->archive->arrays[i].name;
    if (m->used[i] || mt_is_left_out(m->map, name)) continue;
    mt_show(shown, name, strlen(name));
    if (!m->map) return mt_error(m->error, "%s: tensor %s is not one of this model's", m->path, shown);
    return mt_error(m->error, "%s: tensor %s is not one of this model's; _: \"%s\" leaves it out", m->path, shown, shown);
  }
  return true;
}

/* Everything is checked before the first value is copied. */
static bool take_all(const char *path, const char *prefix, const MtWeights *map, const MtArchive *archive,
                     const MtProgram *program, MtBlocks *blocks, bool slots, MtError *error) {
  Match m = {path, prefix, map, archive, calloc((size_t)archive->n_arrays + 1, sizeof *m.used), false, error};
  if (!m.used) return mt_error(error, "%s: out of memory", path);
  bool ok = each_tensor(program, blocks, slots, match_tensor, &m) && all_used(&m);
  m.copy = true;
  ok = ok && each_tensor(program, blocks, slots, match_tensor, &m);
  free(m.used);
  return ok;
}

static bool bad_note(const char *path, const char *key, const char *text, MtError *error) {
  char shown[MT_SHOWN];
  if (!text) return mt_error(error, "%s: its metadata is damaged: %s is missing", path, key);
  return mt_error(error, "%s: its metadata is damaged: %s is %s, not a number that a trainer writes", path, key,
                  mt_show(shown, text, strlen(text)));
}

static bool read_count(const char *path, const MtArchive *archive, const char *key, uint64_t most, uint64_t *out,
                       MtError *error) {
  const char *text = mt_archive_note(archive, key);
  char *end = NULL;
  errno = 0;
  if (text && *text >= '0' && *text <= '9') *out = strtoull(text, &end, 10);
  if (!end || *end || errno || *out > most) return bad_note(path, key, text, error);
  return true;
}

/* A value that an older model did not watch stays as it is. */
static bool read_best(const char *path, const MtArchive *archive, const char *name, double *out, MtError *error) {
  char key[300], *end;
  snprintf(key, sizeof key, "best.%.280s", name);
  const char *text = mt_archive_note(archive, key);
  if (!text) return true;
  *out = strtod(text, &end);
  if (end == text || *end) return bad_note(path, key, text, error);
  return true;
}

static bool read_progress(const char *path, const MtArchive *archive, MtProgress *p, MtError *error) {
  const uint64_t most = (uint64_t)1 << 62; /* room to count on from there */
  uint64_t step, epoch, row, micro;
  const char *gemm = mt_archive_note(archive, "gemm");
  if (!read_count(path, archive, "step", most, &step, error) ||
      !read_count(path, archive, "epoch", most, &epoch, error) ||
      !read_count(path, archive, "row", most, &row, error) ||
      !read_count(path, archive, "micro", most, &micro, error) ||
      !read_count(path, archive, "seed", UINT64_MAX, &p->seed, error))
    return false;
  p->step = (int64_t)step;
  p->epoch = (int64_t)epoch;
  p->row = (int64_t)row;
  p->micro = (int64_t)micro;
  for (int i = 0; i < p->n_best; i++)
    if (!read_best(path, archive, p->best_names[i], &p->best_values[i], error)) return false;
  p->gemm = gemm ? strdup(gemm) : NULL;
  if (gemm && !p->gemm) return mt_error(error, "%s: out of memory", path);
  return true;
}

static bool load_one(const char *path, const MtProgram *program, MtBlocks *blocks, MtProgress *progress,
                     MtError *error) {
  MtArchive archive;
  char shown[MT_SHOWN];
  if (!mt_read_safetensors(path, &archive, error)) return false;
  const char *format = mt_archive_note(&archive, "format"), *model = mt_archive_note(&archive, "model");
  bool ok = is_checkpoint(&archive);
  if (!ok) mt_error(error, "%s: not a checkpoint of a trainer; weights are loaded with --init", path);
  if (ok && strcmp(format, FORMAT))
    ok = mt_error(error, "%s: a checkpoint of another version of mtc (%s); this trainer reads %s", path,
                  mt_show(shown, format, strlen(format)), FORMAT);
  if (ok && (!model || strcmp(model, program->name)))
    ok = mt_error(error, "%s: a checkpoint of another model: %s, this is %s", path,
                  model ? mt_show(shown, model, strlen(model)) : "(unnamed)", program->name);
  ok = ok && take_all(path, "", NULL, &archive, program, blocks, true, error) &&
       read_progress(path, &archive, progress, error);
  mt_archive_free(&archive);
  return ok;
}

bool mt_load_checkpoint(const char *folder, const MtProgram *program, MtBlocks *blocks, MtProgress *progress,
                        char note[512], MtError *error) {
  char newest[2048], previous[2048];
  MtError first = {""}, second = {""};
  note[0] = 0;
  checkpoint_paths(folder, program, newest, previous);
  bool has_newest = !access(newest, F_OK) || errno != ENOENT, has_previous = !access(previous, F_OK);
  if (!has_newest && !has_previous)
    return mt_error(error, "%s: there is no checkpoint to resume from; train without --resume first", newest);
  if (has_newest && load_one(newest, program, blocks, progress, &first)) return true;
  if (!has_previous || !load_one(previous, program, blocks, progress, &second))
    return mt_error(error, "%s", first.text[0] ? first.text : second.text);
  if (has_newest)
    snprintf(note, 512, "%.400s; going on from the one before it", first.text);
  else
    snprintf(note, 512, "%.300s is missing; going on from the one before it", newest);
  progress->newest_is_bad = has_newest;
  return true;
}

/* ---- weights ---- */

typedef struct Export {
  MtArchive archive;
  const char *prefix;
} Export;

static bool has_suffix(const char *path, const char *suffix) {
  size_t n = strlen(path), m = strlen(suffix);
  return n >= m && !strcmp(path + n - m, suffix);
}

/* PyTorch's BatchNorm counts in 64-bit integers. */
static bool add_batches(void *archive, const char *name, const MtTensor *tensor, float *values) {
  return mt_archive_add(archive, name, MT_WIDE_I64, tensor->rank, tensor->shape, &(int64_t){(int64_t)*values});
}

static bool export_tensor(void *data, const char *name, const MtTensor *tensor, float *values) {
  Export *out = data;
  size_t n = strlen(out->prefix);
  bool counts = tensor->rank == 0 && has_suffix(name, ".num_batches_tracked");
  return strncmp(name, out->prefix, n) || (counts ? add_batches : add_tensor)(&out->archive, name + n, tensor, values);
}

bool mt_save_weights(const char *path, const MtProgram *program, const char *instance, const MtBlocks *blocks,
                     MtError *error) {
  char prefix[512];
  snprintf(prefix, sizeof prefix, "%s%s", instance, *instance ? "." : "");
  Export out = {.prefix = prefix};
  bool ok =
      mt_archive_add_note(&out.archive, "format", "pt") && each_tensor(program, blocks, false, export_tensor, &out);
  if (!ok) mt_error(error, "%s: cannot write: out of memory", path);
  ok = ok && mt_write_safetensors(path, NULL, &out.archive, error);
  mt_archive_free(&out.archive);
  return ok;
}

bool mt_load_weights(const char *path, const MtProgram *program, const char *instance, const MtWeights *map,
                     MtBlocks *blocks, MtError *error) {
  char prefix[512];
  MtArchive archive;
  snprintf(prefix, sizeof prefix, "%s%s", instance, *instance ? "." : "");
  if (!(has_suffix(path, ".npz") ? mt_read_npz_all : mt_read_safetensors)(path, &archive, error)) return false;
  bool ok = !is_checkpoint(&archive);
  if (!ok) mt_error(error, "%s: a checkpoint, not weights; go on from it with --resume", path);
  ok = ok && take_all(path, prefix, map, &archive, program, blocks, false, error);
  mt_archive_free(&archive);
  return ok;
}
