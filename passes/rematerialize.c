/* rematerialize.c - training within a budget of memory.
 *
 * `train ... with (memory: "8GiB")` says how many bytes all that a trainer
 * keeps on the device may take (memory.c adds them up).  Where the step takes
 * more, values that its gradient reads are computed again instead of kept,
 * the cheapest first:
 *
 *   1. nothing, but kernels that read nothing in common are not fused side by
 *      side, so that what they read dies sooner;
 *   2. maps, views, draws, reductions and gathers, then both;
 *   3. turns of loops, the largest stacks first (rematerialize_loops.c, before
 *      the gradient is taken);
 *   4. everything, products too, in segments of the step, few and long ones
 *      first: what stands on their borders is kept, and one segment at a time
 *      is computed again.
 *
 * Each choice is tried on a copy, which is compiled to the end: what is
 * reported is what is planned.  Of the first choice that fits only as much is
 * done, from the beginning of the step on, as is needed.  The number of trials
 * does not depend on the program.
 *
 * Values stay as they are: the same operations on the same operands, and draws
 * are keyed by place and step.  At -O0 nothing shares bytes, and the budget is
 * not looked at.  needs: gradient.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/rematerialize.h"

typedef struct Search {
  PassContext *context;
  int64_t budget;
  Trial base;          /* as it stands */
  Arena *least_arena;  /* of the trial that took least so far */
  Trial least;
} Search;

static void rematerialize(PassContext *context, const Choice *choice, Repeated *repeated) {
  Train *t = &context->program->train;
  if (choice->apart && t->graph->n_outputs && rewrite_allowed(context, "rematerialize.apart", t->graph->outputs[0].node))
    t->apart = true;
  if (!choice->cheap && !choice->segments) return;
  compute_again(context, t->graph, choice, repeated);
  for (int i = 1; i < t->n_phases; i++) compute_again(context, t->phases[i].graph, choice, repeated);
}

static void apply(PassContext *context, void *choice) {
  Repeated ignored = {.arena = context->arena};
  rematerialize(context, choice, &ignored);
}

static bool is_tried(Search *s, Choice choice) {
  Arena *arena = arena_new();
  Trial trial = trial_run(s->context, arena, false, "rematerialize", apply, &choice);
  if (trial.failed) fault("rematerialize: a trial failed");
  trial.fixed = s->base.fixed, trial.others = s->base.others;
  bool fits = trial_total(&trial) <= s->budget;
  if (s->context->trace)
    fprintf(s->context->trace, "rematerialize: %s:%s%s %d segments, %d of %d parts: %lld bytes\n", fits ? "it fits" : "not taken",
            choice.apart ? " apart," : "", choice.cheap ? " cheap," : "", choice.segments, choice.part, PARTS, (long long)trial_total(&trial));
  if (trial_total(&trial) < trial_total(&s->least)) {
    arena_free(s->least_arena);
    s->least = trial, s->least_arena = arena;
  } else {
    arena_free(arena);
  }
  return fits;
}

/* As little of a choice that fits as still does. */
static Choice narrowed(Search *s, Choice choice) {
  int low = 0;
  while (choice.part - low > 1) {
    Choice less = choice;
    less.part = (low + choice.part) / 2;
    if (is_tried(s, less)) choice = less;
    else low = less.part;
  }
  return choice;
}

static bool find_choice(Search *s, Choice *out) {
  static const int segments[] = {2, 3, 4, 6, 8, 12, 16, 24, 32};
  *out = (Choice){.apart = true, .part = PARTS};
  if (is_tried(s, *out)) return true;
  *out = (Choice){.cheap = true, .part = PARTS};
  if (is_tried(s, *out)) return *out = narrowed(s, *out), true;
  out->apart = true;
  if (is_tried(s, *out)) return *out = narrowed(s, *out), true;
  for (size_t i = 0; i < sizeof segments / sizeof segments[0]; i++) {
    out->segments = segments[i];
    if (is_tried(s, *out)) return *out = narrowed(s, *out), true;
  }
  return false;
}

/* ---- what is said ------------------------------------------------------------------- */

enum { LINES_SHOWN = 5 };

/* The least size of one decimal that is enough, as it is written. */
static const char *enough(Arena *arena, int64_t bytes) {
  static const char *const units[] = {"KiB", "MiB", "GiB"};
  int u = bytes < 1 << 20 ? 0 : bytes < 1 << 30 ? 1 : 2;
  double tenths = ceil(10 * ((double)bytes / ldexp(1, 10 * (u + 1))));
  return arena_print(arena, fmod(tenths, 10) != 0 ? "%.1f%s" : "%.0f%s", tenths / 10, units[u]);
}

static void does_not_fit(const Search *s) {
  const Trial *least = &s->least;
  const Train *t = &s->context->program->train;
  Diagnostics *d = s->context->diagnostics;
  report(d, E0513, t->span, "training takes %lld bytes at least, and memory: allows %lld", (long long)trial_total(least),
         (long long)s->budget);
  const Memory *m = least->others > least->train ? &s->base.memory : &least->memory;
  for (int i = 0; i < m->n_lines && i < LINES_SHOWN; i++)
    report_note(d, m->lines[i].span, "%lld bytes are alive here when most are", (long long)m->lines[i].bytes);
  Text parts = {0};
  Memory whole = s->base.memory;
  whole.arena = trial_total(least) - least->fixed;
  memory_parts(&parts, &whole);
  report_help(d, "memory: \"%s\" is enough: %s", enough(s->context->arena, trial_total(least)), text_take(&parts, s->context->arena));
}

static int by_bytes(const void *a, const void *b) {
  const Again *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
  return x->flops != y->flops ? (x->flops < y->flops ? 1 : -1) : 0;
}

static const char *size_text(Arena *arena, double bytes) {
  Text text = {0};
  text_add_size(&text, bytes);
  return text_take(&text, arena);
}

const char *work_text(Arena *arena, double flops) {
  static const char *const units[] = {"", "thousand ", "million ", "billion ", "trillion "};
  int u = 0;
  for (; flops >= 999.5 && u < 4; u++) flops /= 1000;
  return arena_print(arena, u && flops < 9.95 ? "%.1f %soperations" : "%.0f %soperations", flops, units[u]);
}

static void say_what_is_repeated(const Search *s, Repeated *all, int64_t total) {
  Arena *arena = s->context->arena;
  int values = 0;
  double flops = 0;
  for (int i = 0; i < all->n; i++) values += all->at[i].values, flops += all->at[i].flops;
  if (!values) {
    if (s->context->program->train.apart)
      report(s->context->diagnostics, N0501, s->context->program->train.span,
             "kernels that read nothing in common are not fused: training takes %lld bytes instead of %lld", (long long)total,
             (long long)trial_total(&s->base));
    return;
  }
  qsort(all->at, (size_t)all->n, sizeof *all->at, by_bytes);
  report(s->context->diagnostics, N0501, s->context->program->train.span,
         "%d value%s computed again, %s a step: training takes %lld bytes instead of %lld", values, values == 1 ? " is" : "s are",
         work_text(arena, flops), (long long)total, (long long)trial_total(&s->base));
  for (int i = 0; i < all->n && i < LINES_SHOWN; i++)
    report_note(s->context->diagnostics, all->at[i].span, "values of %s, %s again", size_text(arena, (double)all->at[i].bytes),
                work_text(arena, all->at[i].flops));
}

/* ---- the pass -------------------------------------------------------------------------- */

static void meet_budget(PassContext *context) {
  Arena *arena = arena_new(), *repeats = arena_new();
  Search s = {.context = context, .budget = context->program->train.memory, .least_arena = arena_new()};
  s.base = s.least = trial_run(context, arena, true, "rematerialize", NULL, NULL);
  if (s.base.failed) fault("rematerialize: a trial failed");
  Choice choice;
  if (trial_total(&s.base) > s.budget) {
    Repeated repeated = {.arena = repeats};
    if (find_choice(&s, &choice)) {
      rematerialize(context, &choice, &repeated);
      Arena *last = arena_new();
      Trial now = trial_run(context, last, false, "rematerialize", NULL, NULL);
      now.fixed = s.base.fixed, now.others = s.base.others;
      say_what_is_repeated(&s, &repeated, trial_total(&now));
      arena_free(last);
    } else {
      does_not_fit(&s);
    }
  }
  arena_free(s.least_arena);
  arena_free(repeats);
  arena_free(arena);
}

void pass_rematerialize(PassContext *context) {
  const Program *p = context->program;
  if (!p->has_train || !p->train.memory) return;
  Choice cheap = {.apart = true, .cheap = true, .part = PARTS};
  if (context->tries) apply(context, &cheap);
  else meet_budget(context);
}
