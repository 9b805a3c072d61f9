/* traces.c - what each pass makes of random programs, by checksum.
 *
 * Values stay right when a pass misses a rewrite, or takes one that does not
 * pay; its trace and the text it leaves do not stay the same.  Programs of
 * huge sizes, never run, are there for the choices that depend on bytes.
 */
#include "tests/traces.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuse_models.h"
#include "tests/random/random.h"

enum { DOZEN = 12, MOST_PASSES = 8 };

typedef struct Trace {
  FILE *told;
  char *text; /* of `told` */
  size_t length, read; /* of it: by earlier passes */
  int n;
  const char *pass[MOST_PASSES];
  uint64_t hash[MOST_PASSES];
} Trace;

static uint64_t hash_text(uint64_t hash, const char *text) { /* FNV-1a */
  for (; text && *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return hash;
}

static void after_pass(const Pass *pass, const Program *program, void *data) {
  Trace *trace = data;
  Text text = {0};
  int at = 0;
  while (at < trace->n && strcmp(trace->pass[at], pass->name)) at++;
  if (at == trace->n) trace->pass[trace->n] = pass->name, trace->hash[trace->n++] = UINT64_C(14695981039346656037);
  program_print(&text, program);
  fflush(trace->told);
  trace->hash[at] = hash_text(hash_text(trace->hash[at], trace->text + trace->read), text.data);
  trace->read = trace->length;
  text_free(&text);
}

static void run(Trace *trace, Program *program, Diagnostics *d, int level) {
  PassContext context = {.program = program, .arena = program->arena, .diagnostics = d, .level = level,
                         .bisect_limit = LONG_MAX, .trace = trace->told};
  run_pipeline(&context, after_pass, trace);
}

/* So that node 0 is one of a kernel, which it seldom is. */
static void put_draws_first(Graph *graph) {
  Node **nodes = arena_alloc(graph->program->arena, (size_t)graph->n_nodes * sizeof *nodes);
  int n = 0;
  for (int draws = 1; draws >= 0; draws--)
    for (int i = 0; i < graph->n_nodes; i++)
      if ((graph->nodes[i]->op == OP_random) == draws) nodes[n++] = graph->nodes[i];
  memcpy(graph->nodes, nodes, (size_t)n * sizeof *nodes);
  graph_number(graph);
}

static void graph_of_all_ops(Trace *trace, uint64_t seed, int level) {
  Kit *kit = random_graph(seed);
  run(trace, kit->program, kit->diagnostics, level);
  kit_free(kit);
}

static void graph_of_draws(Trace *trace, uint64_t seed, int level) {
  Kit *kit = random_graph(seed);
  put_draws_first(kit->graph);
  run(trace, kit->program, kit->diagnostics, level);
  kit_free(kit);
}

static void model_of_size(Trace *trace, uint64_t seed, int level, int64_t scale) {
  Arena *arena = arena_new();
  Diagnostics *d = diagnostics_new();
  Program *program = model_random(arena, seed, scale);
  if (seed % 2) model_add_gradients(program);
  if (seed % 4 < 2) put_draws_first(program->train.graph);
  run(trace, program, d, level);
  diagnostics_free(d);
  arena_free(arena);
}
static void small_model(Trace *trace, uint64_t seed, int level) { model_of_size(trace, seed, level, 1); }
static void large_model(Trace *trace, uint64_t seed, int level) { model_of_size(trace, seed, level, 24); }
static void huge_model(Trace *trace, uint64_t seed, int level) { model_of_size(trace, seed, level, 600); }

static const struct { const char *name; void (*one)(Trace *, uint64_t seed, int level); int level, dozens; } sets[] = {
    {"graphs", graph_of_all_ops, 2, 14}, {"graphs", graph_of_all_ops, 1, 4}, {"graphs", graph_of_all_ops, 0, 2},
    {"graphs, draws first,", graph_of_draws, 2, 6}, {"small models", small_model, 2, 5}, {"large models", large_model, 2, 10}, {"large models", large_model, 1, 2},
    {"huge models", huge_model, 2, 10},
};

void traces_of_random_programs(Text *out) {
  for (size_t s = 0; s < sizeof sets / sizeof *sets; s++)
    for (int dozen = 0; dozen < sets[s].dozens; dozen++) {
      Trace trace = {0};
      trace.told = open_memstream(&trace.text, &trace.length);
      for (int i = 0; i < DOZEN; i++) sets[s].one(&trace, (uint64_t)(dozen * DOZEN + i + 1), sets[s].level);
      text_add(out, "%s %d to %d -O%d:", sets[s].name, dozen * DOZEN + 1, (dozen + 1) * DOZEN, sets[s].level);
      for (int k = 0; k < trace.n; k++) text_add(out, " %s %08x", trace.pass[k], (unsigned)(trace.hash[k] ^ trace.hash[k] >> 32));
      text_add(out, "\n");
      fclose(trace.told);
      free(trace.text);
    }
}
