/* compiled.c - see compiled.h. */
#include "tests/compiled.h"

#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "frontend/frontend.h"
#include "passes/passes.h"

static Program *compile_text(Arena *arena, const char *text, Diagnostics *d) {
  Source *source = arena_alloc(arena, sizeof *source); /* the program's spans point to it */
  *source = (Source){.path = "m.mt", .text = text, .length = strlen(text)};
  return compile(source, &(FrontendOptions){0}, arena, d);
}

static Program *demand(Program *program, Diagnostics *d, const char *text) {
  if (!program) diagnostics_print(d, stderr, false);
  ck_assert_msg(program != NULL, "does not compile:\n%s", text);
  diagnostics_free(d);
  return program;
}

Program *compiled(Arena *arena, const char *text) {
  Diagnostics *d = diagnostics_new();
  return demand(compile_text(arena, text, d), d, text);
}

Program *compiled_until(Arena *arena, const char *text, const char *stop_after) {
  Diagnostics *d = diagnostics_new();
  Program *program = compile_text(arena, text, d);
  PassContext context = {.program = program, .arena = arena, .diagnostics = d, .level = 2, .bisect_limit = LONG_MAX,
                         .verify_each = true, .stop_after = stop_after};
  if (program && !run_pipeline(&context, NULL, NULL)) program = NULL;
  return demand(program, d, text);
}
