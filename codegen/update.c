/* update.c - what follows the gradients: check, schedule, clipping, optimizers, bookkeeping.
 *
 * Schedules are scalar expressions over step, epoch and total.  They are
 * evaluated where the scalars live (on a GPU by one thread of each block), so
 * that a captured step needs no new arguments.  C calls the runtime for the
 * rest; CUDA has one kernel for all of it, built of what mtrt_update.cuh has,
 * and before it another one where the gradients are many.
 */
#include <math.h>
#include <string.h>

#include "codegen/target.h"

typedef struct Schedule {
  Emit *e;
  Names *names;
  int *uses;         /* by position in the schedule graph */
  const char **text; /* names of those that are variables */
  Text *out;
} Schedule;

static int position(const Graph *graph, const Node *n) {
  for (int i = 0; i < graph->n_nodes; i++)
    if (graph->nodes[i] == n) return i;
  fault("%s is not in the schedule", n->name);
}

static void count_uses(Schedule *s, const Graph *graph, const Node *n) {
  if (s->uses[position(graph, n)]++) return;
  for (int i = 0; i < n->n_in; i++) count_uses(s, graph, n->in[i]);
}

static Expr scalar(Schedule *s, const Graph *graph, const Node *n) {
  int at = position(graph, n);
  if (s->text[at]) return expr_atom(s->text[at]);
  if (n->op == OP_const) return expr_const(s->e->arena, n->attrs.value, F64);
  if (op_info[n->op].kind == VIEW || n->op == OP_copy || n->op == OP_stop) return scalar(s, graph, n->in[0]);
  Expr e;
  if (n->op == OP_counter) {
    e = expr_atom(arena_print(s->e->arena, "(double)s->%s", n->attrs.path));
  } else {
    Expr in[3];
    DType dtypes[3];
    for (int i = 0; i < n->n_in && i < 3; i++) {
      in[i] = scalar(s, graph, n->in[i]);
      dtypes[i] = n->in[i]->type.dtype;
      if (in[i].bind < BIND_ATOM && (expr_repeats(n, i) > 1 || strlen(in[i].text) > 48)) {
        const char *name = names_take(s->names, name_short(&s->e->roots, n->in[i]->name));
        text_add(s->out, "  const double %s = %s;\n", name, in[i].text);
        in[i] = expr_atom(s->text[position(graph, n->in[i])] = name);
      }
    }
    e = expr_map(s->e->arena, n, dtypes, in);
  }
  if (n->op == OP_counter || s->uses[at] > 1) {
    const char *name = n->op == OP_counter ? n->attrs.path : names_take(s->names, name_short(&s->e->roots, n->name));
    text_add(s->out, "  const double %s = %s;\n", name, e.text);
    return expr_atom(s->text[at] = name);
  }
  return e;
}

static Expr hyper_text(Schedule *s, const Graph *graph, const UpdateGroup *g, int h) {
  if (g->hyper[h]) return scalar(s, graph, g->hyper[h]);
  if (isnan(g->optimizer->fallback[h])) fault("%s: %s has no value", g->optimizer->name, g->optimizer->hyper[h]);
  return expr_const(s->e->arena, g->optimizer->fallback[h], F64);
}

static void emit_schedule(Emit *e, int phase) {
  const Phase p = phase_at(e->program, phase);
  const Update *update = &e->program->train.updates[p.update];
  const int base = first_group(e->program, p.update);
  const Graph *graph = e->program->schedule;
  int n = graph ? graph->n_nodes : 0;
  Text lines = {0}, assignments = {0};
  Schedule s = {.e = e, .names = names_new(e->arena, e->globals), .out = &lines};
  names_take(s.names, "step"), names_take(s.names, "epoch"), names_take(s.names, "total");
  s.uses = arena_alloc(e->arena, (size_t)(n + 1) * sizeof *s.uses);
  s.text = arena_alloc(e->arena, (size_t)(n + 1) * sizeof *s.text);
  for (int g = 0; g < update->n_groups; g++)
    for (int h = 0; h < MAX_HYPER && update->groups[g].optimizer->hyper[h]; h++)
      if (update->groups[g].hyper[h]) count_uses(&s, graph, update->groups[g].hyper[h]);
  for (int g = 0; g < update->n_groups; g++)
    for (int h = 0; h < MAX_HYPER && update->groups[g].optimizer->hyper[h]; h++) {
      Expr value = hyper_text(&s, graph, &update->groups[g], h);
      const char *text =
          h == 0 ? arena_print(e->arena, "%s * s->lr_scale", expr_within(e->arena, value, BIND_MUL)) : value.text;
      const char *left = arena_print(e->arena, "s->hyper[%d][%d] = %s;", base + g, h, text);
      text_add(&assignments, "  %-36s  // %s\n", left, update->groups[g].optimizer->hyper[h]);
    }
  text_add(e->out, "// Hyper-parameters of the update at hand.\n%s void %s(MtScalars *s) {\n",
           e->target->cuda ? "static __device__" : "static", phase_name(e, "schedule", phase));
  if (p.every == 1) text_add(e->out, "  s->done = s->step;\n");
  else text_add(e->out, "  s->done = (s->step + 1) / %lld - 1;\n", (long long)p.every);
  if (lines.data) text_add_bytes(e->out, lines.data, lines.length);
  if (assignments.data) text_add_bytes(e->out, assignments.data, assignments.length);
  text_add(e->out, "}\n\n");
  text_free(&lines);
  text_free(&assignments);
}

/* The rule, one assignment a line. */
static void emit_rule(Emit *e, const UpdateGroup *g) {
  text_add(e->out, "  // %s using %s:\n", g->target, g->optimizer->name);
  for (const char *at = g->optimizer->rule; *at;) {
    size_t n = strcspn(at, ";");
    text_add(e->out, "  //   ");
    text_add_bytes(e->out, at, n);
    text_add(e->out, "\n");
    at += n;
    at += strspn(at, "; ");
  }
}

/* `call` with the group's number, or on CUDA its constants, and its range. */
static void emit_groups(Emit *e, const Update *update, int base) {
  for (int g = 0; g < update->n_groups; g++) {
    const UpdateGroup *group = &update->groups[g];
    Stretch all = group_stretch(e->program, group);
    emit_rule(e, group);
    text_add(e->out, e->target->cuda ? "  mt_%s(u, s, rule[%d], %lld, %lld);\n" : "  mt_%s(run, %d, %lld, %lld);\n",
             group->optimizer->name, e->target->cuda ? g : base + g, (long long)all.begin, (long long)all.count);
  }
}

/* Gradients of other updates that lie between its own count as 0. */
static void emit_gaps(Emit *e, const Update *update) {
  Stretch *gaps;
  for (int i = 0, n = update_gaps(e->program, update, &gaps, e->arena); i < n && e->program->train.n_updates > 1; i++)
    text_add(e->out, "  mt_zero_gradients(run, %lld, %lld);\n", (long long)gaps[i].begin, (long long)gaps[i].count);
}

static const char head[] = "// One step of the optimizers on the gradients at hand; t counts updates from 1.\n";

static void emit_update_c(Emit *e, int phase) {
  const int index = phase_at(e->program, phase).update;
  const Update *update = &e->program->train.updates[index];
  Stretch all = phase_stretch(e->program, phase);
  text_add(e->out, "%sstatic void %s(MtRun *run, const MtEnd *end) {\n", head, phase_name(e, "train_update", phase));
  emit_gaps(e, update);
  text_add(e->out, "  mt_check_gradients(run, end, %lld, %lld);\n  %s(run->scalars);\n", (long long)all.begin, (long long)all.count,
           phase_name(e, "schedule", phase));
  if (update->clip > 0)
    text_add(e->out, "  mt_clip_gradients(run, %lld, %lld, %s);\n", (long long)all.begin, (long long)all.count,
             expr_const(e->arena, update->clip, F64).text);
  emit_groups(e, update, first_group(e->program, index));
  text_add(e->out, "  mt_finish(run, end);\n}\n\n");
}

/* ---- CUDA ------------------------------------------------------------------------------- */

/* Up to so many gradients every block of the update looks at all of them,
 * which takes no longer than the launch of a kernel that does it first. */
enum { LOOKED_AT_BY_ALL = 32768 };
enum { ELEMENTS_A_BLOCK = 1024, MOST_BLOCKS = 1056 };

int64_t state_elements(const Program *p) {
  int64_t n = 0;
  for (int i = 0; i < p->n_states; i++) n += type_count(&p->states[i].type);
  return n;
}

static long long update_blocks(const Emit *e, const Update *update) {
  int64_t most = 1;
  for (int g = 0; g < update->n_groups; g++) {
    Stretch all = group_stretch(e->program, &update->groups[g]);
    if (all.count > most) most = all.count;
  }
  if (state_elements(e->program) > most) most = state_elements(e->program);
  int64_t blocks = (most + ELEMENTS_A_BLOCK - 1) / ELEMENTS_A_BLOCK;
  return blocks < MOST_BLOCKS ? blocks : MOST_BLOCKS;
}

static void emit_look(Emit *e, const Update *update, int phase, bool measured) {
  Stretch all = phase_stretch(e->program, phase);
  const char *clip = update->clip > 0 ? expr_const(e->arena, update->clip, F64).text : NULL;
  text_add(e->out, "  mt_%s_%s(u, s", clip ? "clip" : "check", measured ? "parts" : "gradients");
  if (!measured) text_add(e->out, ", %lld, %lld", (long long)all.begin, (long long)all.count);
  text_add(e->out, clip ? ", %s);\n" : ");\n", clip);
}

static void emit_update_kernel(Emit *e, const Update *update, int phase, bool measured) {
  const int base = first_group(e->program, phase_at(e->program, phase).update);
  text_add(e->out, "%sstatic __global__ void __launch_bounds__(MT_UPDATE_THREADS) ", head);
  text_add(e->out, "%s(const MtUpdateData u) {\n", phase_name(e, "update", phase));
  text_add(e->out, "  SHARED(MtScalars, s, 1);  // this block's copy\n  SHARED(MtRule, rule, %d);\n", update->n_groups);
  text_add(e->out, "  if (threadIdx.x == 0) {\n    mt_begin(u, s);\n    %s(s);\n", phase_name(e, "schedule", phase));
  for (int g = 0; g < update->n_groups; g++)
    text_add(e->out, "    rule[%d] = mt_%s_rule(s, %d);\n", g, update->groups[g].optimizer->name, base + g);
  text_add(e->out, "  }\n");
  emit_look(e, update, phase, measured);
  emit_groups(e, update, base);
  text_add(e->out, "  mt_finish(u, s);\n}\n\n");
}

bool update_measures(const Emit *e, int phase) {
  return phase_stretch(e->program, phase).count + state_elements(e->program) > LOOKED_AT_BY_ALL;
}

static void emit_update_cuda(Emit *e, int phase) {
  const Update *update = &e->program->train.updates[phase_at(e->program, phase).update];
  Stretch all = phase_stretch(e->program, phase);
  bool measured = update_measures(e, phase), clip = update->clip > 0;
  emit_update_kernel(e, update, phase, measured);
  text_add(e->out, "static void %s(MtRun *run, const MtEnd *end) {\n", phase_name(e, "train_update", phase));
  emit_gaps(e, update);
  text_add(e->out, "  const MtUpdateData u = mt_update_data(run, end);\n");
  if (measured)
    text_add(e->out, "  %sLAUNCH(mt_measure<%s>, MT_PARTS, MT_UPDATE_THREADS, 0, run)(u, %lld, %lld);\n",
             clip ? "" : "if (end->loss >= 0) ", clip ? "true" : "false", (long long)all.begin, (long long)all.count);
  text_add(e->out, "  LAUNCH(%s, %lld, MT_UPDATE_THREADS, 0, run)(u);\n}\n\n", phase_name(e, "update", phase),
           update_blocks(e, update));
}

void emit_update(Emit *e) {
  for (int i = 0; i < phase_count(e->program); i++) {
    if (phase_at(e->program, i).update < 0) continue;
    emit_schedule(e, i);
    if (e->target->cuda) emit_update_cuda(e, i);
    else emit_update_c(e, i);
  }
}
