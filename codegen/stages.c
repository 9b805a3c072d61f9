/* stages.c - which pass computes what, and what survives it.
 *
 * A full value can be computed in the first pass in which all it needs is
 * known: one after the section that makes the last scalar it reads.  It is, or
 * in the first pass that reads it, if waiting keeps no more values alive.  One
 * that two passes need is computed again in the second, unless that costs more
 * than remembering it: then it is kept in an array of one row (a thread's
 * registers, on a GPU).  Scalars that passes read get variables, so that
 * nothing is computed again for every element.
 */
#include <string.h>

#include "codegen/kernel.h"

int op_cost(const Node *node) {
  switch (node->op) {
  case OP_exp:
  case OP_expm1:
  case OP_log:
  case OP_log1p:
  case OP_sin:
  case OP_cos:
  case OP_tanh:
  case OP_erf:
  case OP_sigmoid: return 10;
  case OP_pow:
  case OP_random: return 20;
  case OP_div:
  case OP_sqrt:
  case OP_rsqrt:
  case OP_floordiv:
  case OP_mod: return 4;
  default: return 1;
  }
}

static int at_least(int a, int b) { return a > b ? a : b; }

static void set_stages(Kernel *k) {
  k->n_passes = 0;
  for (int i = 0; i < k->n_values; i++) {
    Value *v = k->values[i];
    v->stage = v->full ? 1 : 0;
    for (int j = 0; j < v->n_in; j++) {
      const Value *in = v->in[j];
      bool pass = v->full || v->kind == VALUE_REDUCE; /* happens in a pass */
      v->stage = at_least(v->stage, pass && !in->full ? in->stage + 1 : in->stage);
    }
    if (v->full || v->kind == VALUE_REDUCE) k->n_passes = at_least(k->n_passes, v->stage);
  }
  for (int i = 0; i < k->n_stores; i++) {
    Store *s = &k->stores[i];
    s->stage = s->full ? at_least(1, s->value->full ? s->value->stage : s->value->stage + 1) : s->value->stage;
    if (s->full) k->n_passes = at_least(k->n_passes, s->stage);
  }
  for (int i = 0; i < k->n_stores; i++) /* overwrite an operand only when nothing reads it any more */
    if (k->pointers[k->stores[i].pointer].input >= 0) k->stores[i].stage = k->n_passes;
}

/* When a value is read: the first and the last pass; and by how many values and stores. */
typedef struct Demand {
  int first, last, readers;
} Demand;

static void demand(Demand *d, int pass) {
  if (!d->last || pass < d->first) d->first = pass;
  if (pass > d->last) d->last = pass;
}

/* Values that must live on until `pass` only because v waits for it. */
static int kept_by_waiting(const Value *v, const Demand *demands, int pass) {
  int n = 0;
  for (int i = 0; i < v->n_in; i++) {
    const Value *in = v->in[i];
    if (!in->full) continue;
    if (demands[in->id].readers > 1)
      n += demands[in->id].last < pass;
    else
      n += kept_by_waiting(in, demands, pass);
  }
  return n;
}

/* Readers stand behind what they read, so a walk from the end sees each value
 * after all its readers. */
static void wait_for_readers(Kernel *k) {
  Demand *demands = arena_alloc(k->arena, (size_t)(k->n_values + 1) * sizeof *demands);
  for (int i = 0; i < k->n_values; i++)
    for (int j = 0; j < k->values[i]->n_in; j++) demands[k->values[i]->in[j]->id].readers++;
  for (int i = 0; i < k->n_stores; i++) {
    if (!k->stores[i].full) continue;
    demands[k->stores[i].value->id].readers++;
    demand(&demands[k->stores[i].value->id], k->stores[i].stage);
  }
  for (int i = k->n_values - 1; i >= 0; i--) {
    Value *v = k->values[i];
    int first = demands[i].first;
    if (v->full && first > v->stage && kept_by_waiting(v, demands, first) <= 1) v->stage = first;
    if (!v->full && v->kind != VALUE_REDUCE) continue;
    for (int j = 0; j < v->n_in; j++) demand(&demands[v->in[j]->id], v->stage);
  }
}

/* What computing v again in a later pass costs. */
static int cost_again(const Value *v) {
  if (!v->full || v->kept) return 0;
  int cost = v->kind == VALUE_MAP || v->kind == VALUE_RANDOM ? op_cost(v->node) : 0;
  for (int i = 0; i < v->n_in; i++) cost += cost_again(v->in[i]);
  return cost < 1000 ? cost : 1000;
}

static bool worth_keeping(const Kernel *k, const KernelForm *form, const Value *v) {
  if (k->column || kernel_inner(k) > form->longest_row) return false;
  if (v->kind == VALUE_LOAD) return form->keep_loads && v->outer;
  return cost_again(v) >= form->keep_cost;
}

static bool is_variable(const Value *v) {
  switch (v->kind) {
  case VALUE_CONST:
  case VALUE_ROWS:
  case VALUE_COUNTER:
  case VALUE_TURN:
  case VALUE_INDEX: return false;
  default: return true;
  }
}

/* What a full value computed in `pass` reads: earlier full values are kept or
 * computed again, scalars get variables. */
static void need_in_pass(Kernel *k, const KernelForm *form, Value *v, int pass, bool *seen) {
  if (seen[v->id]) return;
  seen[v->id] = true;
  if (!v->full) {
    if (is_variable(v)) v->named = true;
    return;
  }
  if (v->stage < pass && (v->kept || worth_keeping(k, form, v))) {
    v->kept = true;
    return;
  }
  for (int i = 0; i < v->n_in; i++) need_in_pass(k, form, v->in[i], pass, seen);
}

static void need_in_section(Value *v, int section) {
  if (v->full || v->kind == VALUE_REDUCE) return;
  for (int i = 0; i < v->n_in; i++) {
    if (v->in[i]->stage < section && is_variable(v->in[i]))
      v->in[i]->named = true;
    else
      need_in_section(v->in[i], section);
  }
}

void kernel_stage(Kernel *k, const KernelForm *form) {
  set_stages(k);
  wait_for_readers(k);
  bool *seen = arena_alloc(k->arena, (size_t)k->n_values * sizeof *seen + 1);
  for (int pass = k->n_passes; pass >= 1; pass--) {
    memset(seen, 0, (size_t)k->n_values * sizeof *seen);
    for (int i = 0; i < k->n_stores; i++)
      if (k->stores[i].full && k->stores[i].stage == pass) need_in_pass(k, form, k->stores[i].value, pass, seen);
    for (int i = 0; i < k->n_values; i++) {
      Value *v = k->values[i];
      if (v->kind == VALUE_REDUCE && v->stage == pass) {
        v->named = true;
        need_in_pass(k, form, v->in[0], pass, seen);
      }
      if (v->kept && v->stage == pass)
        for (int j = 0; j < v->n_in; j++) need_in_pass(k, form, v->in[j], pass, seen);
    }
  }
  for (int i = 0; i < k->n_stores; i++)
    if (!k->stores[i].full) {
      Value *v = k->stores[i].value;
      if (v->stage < k->stores[i].stage && is_variable(v)) v->named = true;
    }
  for (int section = k->n_passes; section >= 0; section--) {
    for (int i = 0; i < k->n_stores; i++)
      if (!k->stores[i].full && k->stores[i].stage == section) need_in_section(k->stores[i].value, section);
    for (int i = k->n_values - 1; i >= 0; i--)
      if (k->values[i]->named && k->values[i]->stage == section) need_in_section(k->values[i], section);
  }
}
