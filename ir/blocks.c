/* blocks.c - stretches of the parameter block: what updates move, and where optimizers keep what they remember.
 *
 * Gradients and optimizer slots lie in blocks of the parameters' layout.  Where
 * an update moves what an earlier one moves too, its optimizer remembers
 * something else: then the slots of its whole stretch lie behind all others.
 */
#include "ir/ir.h"

enum { SLOT_ALIGN = 64 /* elements: those of the parameters */ };

static int64_t round_up(int64_t n) { return (n + SLOT_ALIGN - 1) / SLOT_ALIGN * SLOT_ALIGN; }

static bool moves(const Update *update, int param) {
  for (int g = 0; g < update->n_groups; g++)
    for (int i = 0; i < update->groups[g].n_params; i++)
      if (update->groups[g].params[i] == param) return true;
  return false;
}

int updates_of(const Program *program, int param, int before) {
  int n = 0;
  for (int u = 0; u < before; u++) n += moves(&program->train.updates[u], param);
  return n;
}

static Stretch all_of(const Program *program, int i) {
  const Param *p = &program->params[i];
  return (Stretch){p->offset, type_count(&p->type)};
}

/* From the first element of either to the last. */
static Stretch around(Stretch a, Stretch b) {
  if (!a.count || !b.count) return a.count ? a : b;
  int64_t begin = a.begin < b.begin ? a.begin : b.begin, end = a.begin + a.count, other = b.begin + b.count;
  return (Stretch){begin, (end > other ? end : other) - begin};
}

Stretch group_stretch(const Program *program, const UpdateGroup *group) {
  Stretch all = {0, 0};
  for (int i = 0; i < group->n_params; i++) all = around(all, all_of(program, group->params[i]));
  return all;
}

Stretch update_stretch(const Program *program, const Update *update) {
  Stretch all = {0, 0};
  for (int g = 0; g < update->n_groups; g++) all = around(all, group_stretch(program, &update->groups[g]));
  return all;
}

/* In the order of params, which is not that of the block. */
int update_gaps(const Program *program, const Update *update, Stretch **out, Arena *arena) {
  Stretch whole = update_stretch(program, update);
  int n = 0;
  *out = NULL;
  for (int i = 0; i < program->n_params; i++) {
    Stretch one = all_of(program, i);
    if (one.begin < whole.begin || one.begin >= whole.begin + whole.count || !one.count || moves(update, i)) continue;
    LIST_PUSH(arena, *out, n, one);
  }
  return n;
}

static bool shares(const Program *program, int update) {
  for (int i = 0; i < program->n_params; i++)
    if (moves(&program->train.updates[update], i) && updates_of(program, i, update)) return true;
  return false;
}

/* The end of the slots of the first `n` updates. */
static int64_t slots_end(const Program *program, int n) {
  int64_t end = program->param_elements;
  for (int u = 0; u < n; u++)
    if (shares(program, u)) end += round_up(update_stretch(program, &program->train.updates[u]).count);
  return end;
}

int64_t update_slots(const Program *program, int update) {
  if (shares(program, update)) return slots_end(program, update);
  return update_stretch(program, &program->train.updates[update]).begin;
}

int64_t slot_elements(const Program *program) { return slots_end(program, program->train.n_updates); }
