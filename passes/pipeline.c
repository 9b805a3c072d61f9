/* pipeline.c - the passes, in order.
 *
 * The table is read from top to bottom.  A program carries the names of the
 * passes it has been through (they are the first line of its text), so a
 * dumped program resumes where it left off: what stands in the table at or
 * before its last pass is not run again.
 */
#include <limits.h>
#include <string.h>

#include "passes/internal.h"

/* clang-format off */
const Pass pipeline[] = {
    /* name            function             -O  needs       breaks */
    {"attention",     pass_attention,     1,  "",         ""},
    {"precision",     pass_precision,     0,  "",         ""},
    {"gradient",      pass_gradient,      0,  "",         ""},
    {"simplify",      pass_simplify,      1,  "gradient", ""},
    {"narrow",        pass_narrow,        1,  "gradient", ""},
    {"hoist",         pass_hoist,         1,  "gradient", ""},
    {"rematerialize", pass_rematerialize, 1,  "gradient", ""},
    {"split",         pass_split,         2,  "gradient", ""},
    {"fuse",          pass_fuse,          0,  "gradient", ""},
    {"schedule",      pass_schedule,      0,  "fuse",     "plan"},
    {"plan",          pass_plan,          0,  "schedule", ""},
};
/* clang-format on */
const int n_passes = sizeof pipeline / sizeof pipeline[0];

bool rewrite_allowed(PassContext *context, const char *rewrite, const Node *at) {
  if (context->bisect_limit <= 0) return false;
  if (context->bisect_limit != LONG_MAX) context->bisect_limit--;
  if (context->trace) fprintf(context->trace, "%s %s\n", rewrite, at->name);
  return true;
}

static bool has_run(const Program *program, const char *pass, size_t length) {
  for (int i = 0; i < program->n_passes; i++)
    if (strlen(program->passes[i]) == length && !strncmp(program->passes[i], pass, length)) return true;
  return false;
}

/* The first word of `list` that has (has not) run, or NULL; *length is the word's. */
static const char *find_word(const Program *program, const char *list, bool run, size_t *length) {
  for (const char *word = list; *word; word += *length, word += strspn(word, " ")) {
    *length = strcspn(word, " ");
    if (has_run(program, word, *length) == run) return word;
  }
  return NULL;
}

/* The position in the table after the last pass that has run. */
static int resume_at(const Program *program) {
  int at = 0;
  for (int i = 0; i < n_passes; i++)
    if (has_run(program, pipeline[i].name, strlen(pipeline[i].name))) at = i + 1;
  return at;
}

static void record(PassContext *context, const Pass *pass) {
  Program *program = context->program;
  int n = 0;
  for (int i = 0; i < program->n_passes; i++) {
    const char *name = program->passes[i], *word = pass->breaks;
    bool broken = false;
    for (size_t length; *word && !broken; word += length, word += strspn(word, " ")) {
      length = strcspn(word, " ");
      broken = strlen(name) == length && !strncmp(name, word, length);
    }
    if (!broken) program->passes[n++] = name;
  }
  program->n_passes = n;
  LIST_PUSH(program->arena, program->passes, program->n_passes, pass->name);
}

static void verify(const PassContext *context, const char *pass) {
  const char *wrong = program_verify(context->program, context->arena);
  if (wrong) fault("after %s: %s", pass, wrong);
}

/* Read from a file that says it has run what it cannot have. */
static bool needs_are_met(const PassContext *context, const Pass *pass) {
  size_t length;
  const char *missing = find_word(context->program, pass->needs, false, &length);
  if (!missing) return true;
  report(context->diagnostics, E0704, NULL, "%s: the pass %s needs %.*s, which has not run", context->program->name,
         pass->name, (int)length, missing);
  return false;
}

static bool run_pass(PassContext *context, const Pass *pass) {
  int errors = diagnostics_errors(context->diagnostics);
  if (!needs_are_met(context, pass)) return false;
  pass->run(context);
  if (context->failed || diagnostics_errors(context->diagnostics) > errors) return false;
  record(context, pass);
  if (context->verify_each) verify(context, pass->name);
  return true;
}

/* How many rows of the table --stop-after leaves. */
static int passes_wanted(const char *stop) {
  for (int i = 0; stop && i < n_passes; i++)
    if (!strcmp(stop, pipeline[i].name)) return i + 1;
  return stop && !strcmp(stop, "lower") ? 0 : n_passes;
}

bool run_pipeline(PassContext *context, AfterPass after, void *data) {
  int wanted = passes_wanted(context->stop_after);
  if (context->verify_each) verify(context, "lower");
  for (int i = resume_at(context->program); i < wanted; i++) {
    if (pipeline[i].level > context->level) continue;
    if (!run_pass(context, &pipeline[i])) return false;
    if (after) after(&pipeline[i], context->program, data);
  }
  return true;
}
