/* weights.c - parameters, states and optimizer slots on their way between files
 * and the device, and where files stand in the save folder.
 *
 * A model's instances (`let net = MLP()`) are the first parts of parameter
 * names; weights files hold one instance each, with names relative to it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/random.h"
#include "runtime/trainer.h"

int64_t mt_parameters(const MtProgram *program) {
  int64_t count = 0;
  for (int i = 0; i < program->n_params; i++) count += mt_tensor_count(&program->params[i]);
  return count;
}

/* A command that goes on from what training left does not need the files that training starts from. */
static bool starts_afresh(const MtSession *s) {
  MtCommand c = s->options->command;
  return !s->options->resume && c != MT_COMMAND_EVAL && c != MT_COMMAND_PREDICT && c != MT_COMMAND_SAMPLE;
}

bool mt_init_blocks(MtSession *s) {
  const MtProgram *p = s->program;
  for (int i = 0; i < p->n_params; i++)
    mt_init_tensor(&p->params[i], s->scalars.seed, s->host.params + p->params[i].offset);
  for (int i = 0; i < p->n_states; i++)
    mt_init_tensor(&p->states[i], s->scalars.seed, s->host.states + p->states[i].offset);
  return (!starts_afresh(s) || mt_take_weights(s)) && mt_take_init(s) && mt_push_blocks(s, false);
}

static bool push(MtSession *s, void *to, const float *from, int64_t count) {
  if (s->run.real_size == 4) return s->run.backend->write(&s->run, to, from, (size_t)count * sizeof *from);
  double *wide = malloc((size_t)count * sizeof *wide + 1);
  if (!wide) return mt_error(&s->error, "out of memory for %lld values", (long long)count);
  for (int64_t i = 0; i < count; i++) wide[i] = (double)from[i];
  bool ok = s->run.backend->write(&s->run, to, wide, (size_t)count * sizeof *wide);
  free(wide);
  return ok;
}

bool mt_push_blocks(MtSession *s, bool slots) {
  const MtProgram *p = s->program;
  bool ok =
      push(s, s->run.params, s->host.params, p->param_count) && push(s, s->run.states, s->host.states, p->state_count) &&
      (!s->run.new_states || push(s, s->run.new_states, s->host.states, p->state_count));
  for (int i = 0; ok && slots && i < MT_MAX_SLOTS; i++)
    if (s->host.slots[i]) ok = push(s, s->run.slots[i], s->host.slots[i], mt_slot_count(p));
  return ok;
}

bool mt_pull_blocks(MtSession *s, bool slots) {
  const MtProgram *p = s->program;
  const MtBackend *device = s->run.backend;
  size_t params = (size_t)p->param_count * sizeof(float), room = (size_t)mt_slot_count(p) * sizeof(float);
  bool ok = device->read(&s->run, s->host.params, s->run.params, params) &&
            device->read(&s->run, s->host.states, s->run.states, (size_t)p->state_count * sizeof(float));
  for (int i = 0; ok && slots && i < MT_MAX_SLOTS; i++)
    if (s->host.slots[i]) ok = device->read(&s->run, s->host.slots[i], s->run.slots[i], room);
  return ok;
}

/* ---- [NAME=]FILE --------------------------------------------------------------------- */

/* The file, and the instance it is of: the one named, else the only one, else "" for all. */
static const char *split_name(const MtSession *s, const char *given, const char **instance) {
  const char *equals = strchr(given, '=');
  *instance = s->n_roots == 1 ? s->roots[0] : "";
  for (int i = 0; equals && i < s->n_roots; i++)
    if (strlen(s->roots[i]) == (size_t)(equals - given) && !strncmp(s->roots[i], given, (size_t)(equals - given))) {
      *instance = s->roots[i];
      return equals + 1;
    }
  return given;
}

bool mt_take_init(MtSession *s) {
  bool ok = true;
  for (int i = 0; ok && i < s->options->n_init; i++) {
    const char *instance, *path = split_name(s, s->options->init[i], &instance);
    ok = mt_load_weights(path, s->program, instance, NULL, &s->host, &s->error);
  }
  return ok;
}

/* Are an instance's weights given by --init? */
static bool is_given(const MtSession *s, const char *name) {
  for (int i = 0; i < s->options->n_init; i++) {
    const char *instance;
    split_name(s, s->options->init[i], &instance);
    if (!*instance || !strcmp(instance, name)) return true;
  }
  return false;
}

bool mt_take_weights(MtSession *s) {
  bool ok = true;
  for (int i = 0; ok && i < s->program->n_weights; i++) {
    const MtWeights *w = &s->program->weights[i];
    char folder[2048], path[MT_PATH];
    mt_data_folder(s, folder);
    if (*w->path == '/' || !*folder) snprintf(path, sizeof path, "%.3000s", w->path);
    else snprintf(path, sizeof path, "%.2000s/%.1000s", folder, w->path);
    ok = is_given(s, w->instance) || mt_load_weights(path, s->program, w->instance, w, &s->host, &s->error);
  }
  return ok;
}

bool mt_give_export(MtSession *s, FILE *say) {
  bool ok = true;
  for (int i = 0; ok && i < s->options->n_export; i++) {
    const char *instance, *path = split_name(s, s->options->export[i], &instance);
    ok = mt_save_weights(path, s->program, instance, &s->host, &s->error);
    if (ok && say) fprintf(say, "exported to %s\n", path);
  }
  return ok;
}

/* ---- the save folder -------------------------------------------------------------------- */

static void instance_path(const MtSession *s, int root, const char *tag, char out[MT_PATH]) {
  const char *name = s->roots[root][0] ? s->roots[root] : s->program->name;
  snprintf(out, MT_PATH, "%s/%s%s%s.safetensors", s->save_dir, name, *tag ? "." : "", tag);
}

bool mt_save_instances(MtSession *s, const char *tag) {
  char path[MT_PATH];
  bool ok = true;
  for (int i = 0; ok && i < s->n_roots; i++) {
    instance_path(s, i, tag, path);
    ok = mt_save_weights(path, s->program, s->roots[i], &s->host, &s->error);
  }
  return ok;
}

static bool load_instances(MtSession *s, const char *tag) {
  char path[MT_PATH];
  bool ok = true;
  for (int i = 0; ok && i < s->n_roots; i++) {
    instance_path(s, i, tag, path);
    ok = mt_load_weights(path, s->program, s->roots[i], NULL, &s->host, &s->error);
  }
  return ok;
}

static bool has_instances(const MtSession *s, const char *tag) {
  char path[MT_PATH];
  for (int i = 0; i < s->n_roots; i++) {
    instance_path(s, i, tag, path);
    if (access(path, R_OK)) return false;
  }
  return s->n_roots > 0;
}

bool mt_load_trained(MtSession *s, char source[MT_PATH]) {
  char checkpoint[2600], previous[2600], note[512] = "";
  snprintf(checkpoint, sizeof checkpoint, "%s/%s.checkpoint.safetensors", s->save_dir, s->program->name);
  if (s->options->n_init || !s->program->param_count) {
    snprintf(source, MT_PATH, "%s", s->options->n_init ? s->options->init[0] : "none");
    return true; /* taken when the session was opened */
  }
  if (has_instances(s, "best")) {
    instance_path(s, 0, "best", source);
    return load_instances(s, "best") && mt_push_blocks(s, false);
  }
  snprintf(previous, sizeof previous, "%s/%s.previous.safetensors", s->save_dir, s->program->name);
  bool trained = !access(checkpoint, R_OK) || !access(previous, R_OK);
  if (!trained && s->program->n_weights) {
    snprintf(source, MT_PATH, "%s", s->program->weights[0].path);
    return mt_take_weights(s) && mt_push_blocks(s, false);
  }
  if (!trained)
    return mt_error(&s->error, "there are no trained weights in %s: train first, or name a file with --init",
                    s->save_dir);
  MtProgress progress = {0};
  bool ok =
      mt_load_checkpoint(s->save_dir, s->program, &s->host, &progress, note, &s->error) && mt_push_blocks(s, false);
  if (note[0]) fprintf(stderr, "%s: warning: %s\n", s->program->name, note);
  free(progress.gemm);
  snprintf(source, MT_PATH, "%s", note[0] ? previous : checkpoint);
  return ok;
}

/* ---- before hours of work: can the results be written? ---------------------------------- */

bool mt_make_folder(MtSession *s, const char *folder) {
  char path[2048];
  size_t length = (size_t)snprintf(path, sizeof path, "%s", folder);
  if (length >= sizeof path) return mt_error(&s->error, "%.100s...: the path is too long", folder);
  for (size_t i = 1; i <= length; i++) {
    if (path[i] != '/' && path[i] != 0) continue;
    char before = path[i];
    path[i] = 0;
    if (mkdir(path, 0777) && errno != EEXIST)
      return mt_error(&s->error, "%s: cannot make this folder: %s", path, strerror(errno));
    path[i] = before;
  }
  struct stat info;
  if (stat(path, &info) || !S_ISDIR(info.st_mode)) return mt_error(&s->error, "%s: it is not a folder", path);
  return true;
}

bool mt_can_write(MtSession *s, const char *path) {
  MtWriter writer;
  struct stat info;
  if (!stat(path, &info) && S_ISFIFO(info.st_mode)) return true; /* whoever reads it waits for the result */
  bool ok = mt_write_begin(&writer, path, &s->error);
  mt_write_abort(&writer);
  return ok;
}
