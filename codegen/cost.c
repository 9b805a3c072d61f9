/* cost.c - what a training step costs: its calls, each with what the model of ir/cost.h says of it.
 *
 * `mtc --cost` prints them by kernel and line of the model; a program has them
 * by kernel, for `bench --profile` to set beside what it measures.  The batch
 * is there already: fetching it is no part of the step.
 */
#include <stdlib.h>
#include <string.h>

#include "codegen/codegen.h"
#include "codegen/target.h"

typedef struct Costs {
  Emit *e;
  const Rates *rates;
  bool by_line;
  int n;
  StepCost *rows;
} Costs;

const Rates *step_rates(const Emit *e) { return e->target->cuda ? &gpu_rates : &cpu_rates; }

static Precision asked(const Emit *e) { return e->program->train.precision; }

static void add_cost(Costs *c, const char *kernel, const Span *span, bool backward, double calls, Cost one) {
  const char *line = c->by_line ? model_line(c->e->arena, span) : NULL;
  StepCost *row = NULL;
  for (int i = 0; i < c->n && !row; i++) {
    StepCost *r = &c->rows[i];
    if (!strcmp(r->kernel, kernel) && (!line || (!strcmp(r->line, line) && r->backward == backward))) row = r;
  }
  if (!row) {
    StepCost fresh = {.kernel = kernel, .line = line, .backward = backward, .order = c->n, .all.bound = one.bound};
    LIST_PUSH(c->e->arena, c->rows, c->n, fresh);
    row = &c->rows[c->n - 1];
  }
  row->calls += calls;
  row->all.read += calls * one.read;
  row->all.written += calls * one.written;
  row->all.flops += calls * one.flops;
  row->all.specials += calls * one.specials;
  row->all.seconds += calls * one.seconds;
}

/* "gemm 64 x 128 x 64 tf32", "gemm 12 of 64 x 64 x 16 f32": as the runtime names what it is given (runtime/profile.c). */
static const char *product_name(Emit *e, const Node *n) {
  const Type *a = &n->in[0]->type, *c = &n->type;
  const char *precision = precision_name(node_precision(n, asked(e)));
  long long columns = c->dim[c->rank - 1].size, k = a->dim[n->attrs.ta ? a->rank - 2 : a->rank - 1].size, batch = 1, rows = 1;
  for (int i = 0; i < c->rank - 1; i++) *(i < c->rank - 2 && !is_single_product(n) ? &batch : &rows) *= c->dim[i].size;
  if (batch == 1) return arena_print(e->arena, "gemm %lld x %lld x %lld %s", rows, columns, k, precision);
  return arena_print(e->arena, "gemm %lld of %lld x %lld x %lld %s", batch, rows, columns, k, precision);
}

/* As launches name them (runtime/mtrt_attention.cuh). */
static const char *attention_name(const Emit *e, Op op) {
  if (!e->target->cuda) return arena_print(e->arena, "mt_%s", op_info[op].name);
  return op == OP_attention_dq ? "mt_attention_by_rows" : op == OP_attention_dkv ? "mt_attention_by_columns" : "mt_attention_rows";
}

static void add_step(Costs *c, const Step *step, double times) {
  for (int i = 0; i < step->n_calls; i++) {
    const Call *call = &step->calls[i];
    if (call->inner) {
      add_step(c, call->inner, times * (double)call->node->attrs.space.dim[0].size);
      continue;
    }
    const Node *what = call->group && call->node->op != OP_scatter_add ? call->group : call->node, *shown = first_result(call);
    const char *name = call->unique ? call->unique->name
                       : what->op == OP_matmul ? product_name(c->e, what)
                                               : attention_name(c->e, what->op);
    add_cost(c, name, shown->span, is_backward(shown), times, node_cost(c->rates, what, asked(c->e)));
  }
}

/* ---- the update: each element once ----------------------------------------------------- */

/* In slots of the arithmetic units, as op_work counts; powers of t are the same for all elements. */
static double rule_flops(const char *rule) {
  double flops = 0;
  for (const char *at = rule; *at; at++) {
    if (strchr("+-*", *at)) flops += 2;
    if (*at == '/') flops += 40;
    if (!strncmp(at, "sqrt", 4)) flops += 16;
  }
  return flops;
}

static Cost group_cost(const Costs *c, const UpdateGroup *g) {
  enum { REAL = 4 };
  int64_t count = group_stretch(c->e->program, g).count;
  double bytes = REAL * (double)count, slots = g->optimizer->n_slots;
  return plain_cost(c->rates, bytes * (2 + slots), bytes * (1 + slots), (double)count * rule_flops(g->optimizer->rule));
}

static double gradient_bytes(const Emit *e, int phase) {
  return 4 * (double)phase_stretch(e->program, phase).count;
}

/* One kernel for all groups and the new states, and before it one that looks at many gradients. */
static void add_update_cuda(Costs *c, const Update *update, int phase, double times) {
  Cost all = {0};
  for (int g = 0; g < update->n_groups; g++) {
    Cost one = group_cost(c, &update->groups[g]);
    all.read += one.read, all.written += one.written, all.flops += one.flops;
  }
  double states = 4 * (double)state_elements(c->e->program);
  if (update_measures(c->e, phase))
    add_cost(c, "mt_measure", update->span, false, times, plain_cost(c->rates, gradient_bytes(c->e, phase) + states, 0, 0));
  add_cost(c, phase_name(c->e, "update", phase), update->span, false, times,
           plain_cost(c->rates, all.read + states, all.written + states, all.flops));
}

static void add_update_c(Costs *c, const Update *update, int phase, double times) {
  Cost look = plain_cost(c->rates, gradient_bytes(c->e, phase), 0, 0);
  add_cost(c, "mt_check_gradients", update->span, false, times, look);
  if (update->clip > 0) add_cost(c, "mt_clip_gradients", update->span, false, times, look);
  for (int g = 0; g < update->n_groups; g++) {
    const UpdateGroup *group = &update->groups[g];
    add_cost(c, arena_print(c->e->arena, "mt_%s", group->optimizer->name), group->span, false, times, group_cost(c, group));
  }
}

static int by_seconds(const void *a, const void *b) {
  const StepCost *x = a, *y = b;
  if (x->all.seconds != y->all.seconds) return x->all.seconds < y->all.seconds ? 1 : -1;
  return x->order - y->order;
}

StepCost *step_costs(Emit *e, bool by_line, int *n) {
  Costs c = {.e = e, .rates = step_rates(e), .by_line = by_line};
  for (int i = 0; i < phase_count(e->program); i++) {
    Phase phase = phase_at(e->program, i);
    double times = 1 / (double)phase.every;
    add_step(&c, e->steps[i], times);
    if (phase.update < 0) continue;
    const Update *update = &e->program->train.updates[phase.update];
    if (e->target->cuda) add_update_cuda(&c, update, i, times);
    else add_update_c(&c, update, i, times);
  }
  if (c.n) qsort(c.rows, (size_t)c.n, sizeof *c.rows, by_seconds);
  *n = c.n;
  return c.rows;
}

/* ---- mtc --cost --------------------------------------------------------------------------- */

enum { COLUMNS = 9 };
static const char *const heads[COLUMNS] = {"where", "kernel", "calls x ms", "reads", "writes", "operations", "ms a step", "share", "bound by"};
static const char *const bounds[] = {[BY_LAUNCHES] = "launches", [BY_MEMORY] = "memory", [BY_OPERATIONS] = "operations"};
static bool is_left(int column) { return column < 2 || column == COLUMNS - 1; }

static const char *size_cell(Emit *e, double bytes) {
  Text text = {0};
  text_add_size(&text, bytes);
  return text_take(&text, e->arena);
}

static const char *count_cell(Emit *e, double count) {
  static const char unit[] = " KMGTP";
  int u = 0;
  for (; count >= 999.5 && u < 5; u++) count /= 1000;
  return u ? arena_print(e->arena, count < 9.95 ? "%.1f %c" : "%.0f %c", count, unit[u]) : arena_print(e->arena, "%.0f", count);
}

static void cost_cells(Emit *e, const StepCost *row, double seconds, const char **cell) {
  const Cost *all = &row->all;
  bool known = row->line && *row->line;
  cell[0] = arena_print(e->arena, "%s%s", known ? row->line : "-", row->backward ? ", backward" : "");
  cell[1] = row->kernel;
  cell[2] = arena_print(e->arena, "%.4g x %.4f", row->calls, 1e3 * all->seconds / row->calls);
  cell[3] = size_cell(e, all->read / row->calls);
  cell[4] = size_cell(e, all->written / row->calls);
  cell[5] = count_cell(e, all->flops / row->calls);
  cell[6] = arena_print(e->arena, "%.4f", 1e3 * all->seconds);
  cell[7] = arena_print(e->arena, "%.1f%%", 100 * all->seconds / seconds);
  cell[8] = bounds[all->bound];
}

static void print_rows(Text *out, const char *const (*cells)[COLUMNS], int n) {
  int width[COLUMNS] = {0};
  for (int r = 0; r < n; r++)
    for (int c = 0; c < COLUMNS; c++)
      if ((int)strlen(cells[r][c]) > width[c]) width[c] = (int)strlen(cells[r][c]);
  for (int r = 0; r < n; r++)
    for (int c = 0; c < COLUMNS; c++) {
      bool last = c == COLUMNS - 1;
      text_add(out, "%s%*s%s", c ? "  " : "", last ? 0 : is_left(c) ? -width[c] : width[c], cells[r][c], last ? "\n" : "");
    }
}

static void print_totals(Text *out, Emit *e, const StepCost *rows, int n, double seconds) {
  double calls = 0, bytes = 0, flops = 0, by[3] = {0};
  for (int i = 0; i < n; i++) {
    calls += rows[i].calls, bytes += rows[i].all.read + rows[i].all.written, flops += rows[i].all.flops;
    by[rows[i].all.bound] += rows[i].all.seconds;
  }
  text_add(out, "%s: a training step takes %.4f ms on %s by the model: %.5g calls, %s moved, %s operations\n",
           e->program->source, 1e3 * seconds, step_rates(e)->device, calls, size_cell(e, bytes), count_cell(e, flops));
  if (e->program->train.accumulate > 1)
    text_add(out, "(one micro-batch and the update, which comes after %lld of them)\n", (long long)e->program->train.accumulate);
  text_add(out, "bound by");
  for (int b = 0; b < 3; b++) {
    int which = b == 0 ? BY_MEMORY : b == 1 ? BY_OPERATIONS : BY_LAUNCHES;
    text_add(out, "%s %s %.4f ms (%.0f%%)", b ? "," : "", bounds[which], 1e3 * by[which], 100 * by[which] / seconds);
  }
  text_add(out, "\n\n");
}

static void print_legend(Text *out, Emit *e) {
  const Rates *r = step_rates(e);
  text_add(out, "\nReads, writes and operations are of one call; a fused multiply-add is two operations, any other alone too.\n"
                "Bound by memory: what takes longest is moving its bytes at %s/s; by operations: its arithmetic;\n"
                "by launches: both take less than a call's start, %.4f ms.\n", size_cell(e, r->bandwidth), 1e3 * r->launch);
}

void print_cost(Text *out, const Program *program, Arena *arena, bool cuda) {
  Emit *e = emit_new(out, program, arena, cuda ? &cuda_target : &c_target);
  int n;
  double seconds = 0;
  if (!program->has_train) {
    text_add(out, "%s: no train block, so there is no training step\n", program->source);
    return;
  }
  StepCost *rows = step_costs(e, true, &n);
  for (int i = 0; i < n; i++) seconds += rows[i].all.seconds;
  const char *(*cells)[COLUMNS] = arena_alloc(arena, ((size_t)n + 1) * sizeof *cells);
  memcpy(cells[0], heads, sizeof heads);
  for (int i = 0; i < n; i++) cost_cells(e, &rows[i], seconds, cells[i + 1]);
  print_totals(out, e, rows, n, seconds);
  print_rows(out, (const char *const (*)[COLUMNS])cells, n + 1);
  print_legend(out, e);
}
