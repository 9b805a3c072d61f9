/* weights.c - `weights net from "file" { map }`: names of the model as names of a file.
 *
 * The file is read when training starts.  What is said of names here can be
 * checked now: that the model has such parts, and that a number of a block has
 * a place, `#`, in the file's name.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/lower.h"

static int count_marks(const char *text) {
  int n = 0;
  for (; *text; text++) n += *text == '#';
  return n;
}

static bool is_number(const char *text, size_t length) {
  for (size_t i = 0; i < length; i++)
    if (!isdigit((unsigned char)text[i])) return false;
  return length > 0 && length < 10;
}

/* May this part of a key stand for the number of a block of `count`? */
static bool is_block(const char *part, size_t length, int64_t count) {
  return (length == 1 && *part == '#') || (is_number(part, length) && atoll(part) < count);
}

static void next_part(const char **at, size_t length) { *at += length + ((*at)[length] == '.'); }

/* The key as the beginning of a tensor's name in files, "b.ln" as "b.#.ln", and at its end as many # as `wanted`
 * if there are such; NULL: that name begins otherwise. */
static const char *begins(Lower *l, const char *key, const char *name, const Type *type, int wanted) {
  Text out = {0};
  int axis = 0;
  bool fits = true;
  while (fits && (*key || (*name == '#' && axis < wanted))) {
    size_t n = strcspn(key, "."), m = strcspn(name, ".");
    bool mark = m == 1 && *name == '#', said = mark && is_block(key, n, type->dim[axis].size);
    fits = mark ? said || !is_number(key, n) : n == m && n > 0 && !strncmp(key, name, n);
    text_add(&out, "%s%.*s", out.length ? "." : "", (int)(mark && !said ? 1 : n), mark && !said ? "#" : key);
    axis += mark;
    if (!mark || said) next_part(&key, n);
    next_part(&name, m);
  }
  if (fits) return text_take(&out, l->arena);
  text_free(&out);
  return NULL;
}

/* A tensor's name relative to its instance, or NULL. */
static const char *within(const char *path, const char *instance) {
  return is_under(path, instance) && path[strlen(instance)] ? path + strlen(instance) + 1 : NULL;
}

static const char *find_part(Lower *l, const char *instance, const char *key, int wanted) {
  const Program *p = l->program;
  for (int i = 0; i < p->n_params + p->n_states; i++) {
    const Param *param = i < p->n_params ? &p->params[i] : NULL;
    const State *state = param ? NULL : &p->states[i - p->n_params];
    const char *path = state ? state->path : param->path, *pattern = state ? state->pattern : param->pattern;
    const char *name = within(pattern ? pattern : path, instance);
    const char *found = name ? begins(l, key, name, param ? &param->type : &state->type, wanted) : NULL;
    if (found) return found;
  }
  return NULL;
}

static void no_part(Lower *l, const char *instance, const char *key, const Span *at) {
  const char *names[512];
  int n = 0;
  for (int i = 0; i < l->program->n_params; i++) {
    const char *name = within(l->program->params[i].path, instance);
    for (const char *end = name; end && *end && n < 512; end += *end == '.') {
      end += strcspn(end, ".");
      names[n++] = arena_copy(l->arena, name, (size_t)(end - name));
    }
  }
  report(l->d, E0510, at, "%s has no part %s", instance, key);
  const char *guess = nearest(key, names, n);
  if (guess) report_help(l->d, "did you mean %s?", guess);
}

/* "name", t("name") or none. */
static bool take_name(Lower *l, const Expr *e, Mapping *out) {
  bool turned = e->kind == EXPR_CALL && e->n_args == 2 && e->args[0]->kind == EXPR_NAME && !strcmp(e->args[0]->name, "t");
  const Expr *name = turned ? e->args[1] : e;
  out->transpose = turned;
  if (name->kind == EXPR_STRING && *name->name) return out->name = name->name, true;
  if (e->kind == EXPR_NAME && !strcmp(e->name, "none")) return true;
  report(l->d, E0510, e->at, "a name of the file is needed here, in quotes");
  report_help(l->d, "\"h.0.w\" takes that tensor, t(\"h.0.w\") its transpose, and none leaves the part as it is initialized");
  return false;
}

static bool take_mapping(Lower *l, const Syntax *s, int i, Weights *w) {
  const char *key = s->option_keys[i];
  Mapping m = {0};
  if (!take_name(l, s->option_values[i], &m)) return false;
  if (strcmp(key, "_")) {
    int wanted = m.name ? count_marks(m.name) : 0;
    m.path = find_part(l, w->instance, key, wanted);
    if (!m.path) return no_part(l, w->instance, key, s->option_at[i]), false;
    if (m.name && count_marks(m.path) != wanted) {
      report(l->d, E0510, s->option_values[i]->at, "%s stands in %d stack%s of blocks, and this name has %d # for their numbers",
             key, count_marks(m.path), count_marks(m.path) == 1 ? "" : "s", wanted);
      report_help(l->d, "# is where the file's names have the number of a block: \"h.#.ln\" is h.0.ln, h.1.ln ...");
      return false;
    }
  } else if (!m.name || m.transpose) {
    report(l->d, E0510, s->option_values[i]->at, "_ names what the file holds and the model does not: \"h.#.mask\"");
    return false;
  }
  LIST_PUSH(l->arena, w->maps, w->n_maps, m);
  return true;
}

static bool right_suffix(Lower *l, const Expr *path) {
  const char *dot = strrchr(path->name, '.');
  if (dot && (!strcmp(dot, ".safetensors") || !strcmp(dot, ".npz"))) return true;
  report(l->d, E0510, path->at, "weights come from .safetensors and .npz files");
  report_help(l->d, "in Python: save_file(torch.load(\"net.pt\"), \"net.safetensors\"), of safetensors.torch");
  return false;
}

/* When all of the file is walked: only then all parameters are made. */
void lower_weights(Lower *l, const Syntax *s) {
  Weights w = {.path = s->value->name, .span = s->at};
  Entry *entry = lookup(l->scope, s->name, true);
  if (entry && entry->value.kind == POISON) return;
  if (!entry || entry->value.kind != INSTANCE) {
    report(l->d, E0510, s->name_at, "%s is no instance of a module, which could have weights", s->name);
    const char *names[64];
    int n = 0;
    for (int i = 0; i < l->n_roots && n < 64; i++) names[n++] = l->roots[i]->path;
    const char *guess = nearest(s->name, names, n);
    if (guess) report_help(l->d, "did you mean %s?", guess);
    else report_help(l->d, "write let %s = Net() first, or the name of what is made so", s->name);
    return;
  }
  w.instance = entry->value.instance->path;
  if (!entry->value.instance->first_call) {
    report(l->d, E0510, s->name_at, "%s has no weights yet: it is never called", s->name);
    help_uncalled(l, entry->value.instance);
    return;
  }
  for (int i = 0; i < l->program->n_weights; i++)
    if (!strcmp(l->program->weights[i].instance, w.instance)) {
      report(l->d, E0510, s->at, "%s has its weights from a file already", s->name);
      report_note(l->d, l->program->weights[i].span, "here");
      return;
    }
  bool ok = right_suffix(l, s->value);
  for (int i = 0; i < s->n_options; i++) ok &= take_mapping(l, s, i, &w);
  if (ok) LIST_PUSH(l->arena, l->program->weights, l->program->n_weights, w);
}
