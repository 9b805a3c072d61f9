/* main.c - mtc_random: random models, and whether a trainer of one did what it should.
 *
 *   mtc_random write SEED FOLDER        m.mt and its arrays
 *   mtc_random check FOLDER RUN ...     what trainers left in FOLDER/RUN is what the evaluator comes to
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "passes/passes.h"
#include "runtime/storage.h"
#include "tests/random/models.h"

/* The model as it stands, with gradients and nothing else done to it. */
static Program *lowered(const char *path, Arena *arena, Diagnostics *diagnostics) {
  MtError error = {""};
  Source *source = arena_alloc(arena, sizeof *source);
  char *text;
  *source = (Source){.path = path};
  if (!mt_read_file(path, &text, &source->length, &error)) return fprintf(stderr, "%s\n", error.text), NULL;
  source->text = text;
  FrontendOptions options = {0};
  Program *program = compile(source, &options, arena, diagnostics);
  PassContext context = {.program = program,
                         .arena = arena,
                         .diagnostics = diagnostics,
                         .bisect_limit = LONG_MAX,
                         .stop_after = "gradient"};
  return program && run_pipeline(&context, NULL, NULL) ? program : NULL;
}

static int check(const char *folder, int n, char **runs) {
  Arena *arena = arena_new();
  Diagnostics *diagnostics = diagnostics_new();
  Program *program = lowered(arena_print(arena, "%s/m.mt", folder), arena, diagnostics);
  if (!program) return fprintf(stderr, "%s/m.mt does not compile\n", folder), 1;
  Course want = course_evaluated(program, folder, 0), up = course_evaluated(program, folder, 3e-7),
         down = course_evaluated(program, folder, -3e-7);
  int failed = !want.n;
  for (int i = 0; i < n; i++) {
    Course got;
    if (!course_read(folder, runs[i], arena, &got)) return 1;
    const char *differs = course_differs(&want, &up, &down, &got);
    if (differs) fprintf(stderr, "%s/%s: %s\n", folder, runs[i], differs), failed = 1;
  }
  return failed;
}

int main(int argc, char **argv) {
  if (argc == 4 && !strcmp(argv[1], "write")) return !random_model(strtoull(argv[2], NULL, 10), argv[3]);
  if (argc >= 4 && !strcmp(argv[1], "check")) return check(argv[2], argc - 3, argv + 3);
  fprintf(stderr, "usage: mtc_random write SEED FOLDER | check FOLDER RUN ...\n");
  return 2;
}
