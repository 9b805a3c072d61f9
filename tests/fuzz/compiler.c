/* compiler.c - fuzz targets of the compiler: models and printed IR. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/ir.h"
#include "tests/fuzz/targets.h"

#define PROMISE(it) ((it) ? (void)0 : (fprintf(stderr, "broken: %s\n", #it), abort()))

typedef struct Job {
  Arena *arena;
  Diagnostics *diagnostics;
  Source source;
} Job;

static Job open_job(const char *path, const uint8_t *data, size_t size) {
  Job job = {arena_new(), diagnostics_new(), {.path = path, .length = size}};
  job.source.text = arena_copy(job.arena, (const char *)data, size);
  return job;
}

static void close_job(Job *job) {
  char *text;
  size_t length;
  FILE *out = open_memstream(&text, &length);
  diagnostics_print(job->diagnostics, out, false);
  fclose(out);
  free(text);
  diagnostics_free(job->diagnostics);
  arena_free(job->arena);
}

/* The layout of a laid out model is itself. */
static void format_twice(const Job *job) {
  Diagnostics *d = diagnostics_new();
  char *once = format(&job->source, job->arena, d);
  PROMISE(!once == (diagnostics_errors(d) > 0));
  if (once) {
    Source again = {.path = "again.mt", .text = once, .length = strlen(once)};
    char *twice = format(&again, job->arena, d);
    PROMISE(twice && !strcmp(once, twice));
  }
  diagnostics_free(d);
}

int fuzz_mt(const uint8_t *data, size_t size) {
  Job job = open_job("fuzz.mt", data, size);
  FrontendOptions options = {0, NULL};
  Program *program = compile(&job.source, &options, job.arena, job.diagnostics);
  PROMISE(!program == (diagnostics_errors(job.diagnostics) > 0));
  if (program) {
    const char *wrong = program_verify(program, job.arena);
    if (wrong) fprintf(stderr, "the verifier says: %s\n", wrong);
    PROMISE(!wrong);
  }
  format_twice(&job);
  close_job(&job);
  return 0;
}

static char *print(const Program *program, Arena *arena) {
  Text text = {0};
  program_print(&text, program);
  return text_take(&text, arena);
}

int fuzz_ir(const uint8_t *data, size_t size) {
  Job job = open_job("fuzz.ir", data, size);
  Program *program = program_read(&job.source, job.arena, job.diagnostics);
  PROMISE(!program == (diagnostics_errors(job.diagnostics) > 0));
  if (program && !program_verify(program, job.arena)) {
    char *once = print(program, job.arena);
    Source again = {.path = "again.ir", .text = once, .length = strlen(once)};
    Program *same = program_read(&again, job.arena, job.diagnostics);
    PROMISE(same && !strcmp(print(same, job.arena), once));
  }
  close_job(&job);
  return 0;
}
