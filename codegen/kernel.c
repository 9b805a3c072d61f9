/* kernel.c - from the body of a group to values, loads and stores.
 *
 * The body is walked from its outputs: value_at(node, coordinates) is the
 * value of one element of a node, asked for at index expressions over the
 * loops.  A view only changes the coordinates of what it asks for; an input
 * becomes a load; the same element asked for twice is one value.
 *
 * Loops: neighbouring axes become one loop wherever every load can be written
 * with the combined index alone, so that a bias over [B, T, D] is two loops
 * and a plain map over it is one.  The linear form, for threads, has one loop
 * for all outer axes and one for all inner ones.  Of a large map a thread may
 * make a run of neighbours: runs.c.
 */
#include <string.h>

#include "codegen/kernel.h"

static Value *value_at(Kernel *k, const Node *node, const Index *const *at, const Guard *guard);

/* ---- loops ---------------------------------------------------------------- */

/* index_axis(loop) split into the members of the loop. */
static void set_coordinates(Kernel *k) {
  for (int a = 0; a < k->space.rank; a++) k->coordinate[a] = index_const(k->arena, 0);
  for (int l = 0; l < k->n_loops; l++) {
    const Loop *loop = &k->loops[l];
    if (!loop->n) continue; /* a run, or axes of size 1 */
    int run = l == k->by_runs ? k->run : 1;
    const Index *at = index_axis(k->arena, l, (loop->size + run - 1) / run);
    if (run > 1) at = index_add(k->arena, index_mul(k->arena, at, run), index_axis(k->arena, k->n_loops - 1, run));
    int64_t after = 1;
    for (int i = loop->n - 1; i >= 0; i--) {
      int64_t size = k->space.dim[loop->member[i]].size;
      if (size == 0) size = 1; /* nothing is ever computed there */
      const Index *part = index_div(k->arena, at, after);
      k->coordinate[loop->member[i]] = i > 0 ? index_mod(k->arena, part, size) : part;
      after *= size;
    }
  }
}

static void add_loop(Kernel *k, bool inner) { k->loops[k->n_loops++] = (Loop){.size = 1, .inner = inner}; }

static void add_member(Kernel *k, Loop *loop, int axis) {
  if (loop->n == 0) loop->rows = k->space.dim[axis].rows;
  loop->member[loop->n++] = axis;
  loop->size *= k->space.dim[axis].size;
}

/* One loop an axis, or one for all outer and one for all inner axes. */
static void separate_loops(Kernel *k, bool linear) {
  k->n_loops = 0;
  for (int inner = 0; inner <= 1; inner++) {
    int before = k->n_loops;
    for (int a = 0; a < k->space.rank; a++) {
      if (k->reduced[a] != inner || k->space.dim[a].size == 1) continue;
      if (!linear || k->n_loops == before) add_loop(k, inner);
      add_member(k, &k->loops[k->n_loops - 1], a);
    }
    if (inner && k->n_loops == before && k->pattern != PATTERN_MAP) add_loop(k, true); /* reduces axes of size 1 */
  }
  if (k->run > 1) {
    bool columns = k->column && !k->loops[0].inner; /* which are outer elements, so t is */
    k->by_runs = columns ? 0 : k->n_loops - 1;
    add_loop(k, !columns);
    k->loops[k->n_loops - 1].size = k->run;
  }
  set_coordinates(k);
}

/* Loops l and l + 1 walk neighbouring axes, and the second has no capacity. */
static bool mergeable(const Kernel *k, int l) {
  const Loop *a = &k->loops[l], *b = &k->loops[l + 1];
  if (a->inner != b->inner || !a->n || !b->n || b->rows) return false;
  for (int axis = a->member[a->n - 1] + 1; axis < b->member[0]; axis++)
    if (k->space.dim[axis].size != 1) return false;
  return true;
}

static void merge(Kernel *k, int l) {
  for (int i = 0; i < k->loops[l + 1].n; i++) add_member(k, &k->loops[l], k->loops[l + 1].member[i]);
  k->n_loops--;
  memmove(&k->loops[l + 1], &k->loops[l + 2], (size_t)(k->n_loops - l - 1) * sizeof *k->loops);
  set_coordinates(k);
}

/* ---- values ---------------------------------------------------------------- */

static bool guard_equal(const Guard *a, const Guard *b) {
  for (; a && b; a = a->up, b = b->up)
    if (a->limit != b->limit || a->by != b->by || !index_equal(a->test, b->test)) return false;
  return !a && !b;
}

static bool same_index(const Index *a, const Index *b) { return a == b || (a && b && index_equal(a, b)); }

static bool same_value(const Value *a, const Value *b) {
  if (a->kind != b->kind || a->n_in != b->n_in || !same_index(a->index, b->index) || !guard_equal(a->guard, b->guard))
    return false;
  for (int i = 0; i < a->n_in; i++)
    if (a->in[i] != b->in[i]) return false;
  if (a->kind == VALUE_LOAD) return a->pointer == b->pointer;
  if (a->kind == VALUE_CONST)
    return a->dtype == b->dtype && !memcmp(&a->node->attrs.value, &b->node->attrs.value, sizeof(double));
  if (a->kind == VALUE_INDEX || a->kind == VALUE_ROWS) return a->dtype == b->dtype;
  return a->node == b->node;
}

static void depend_on_index(const Kernel *k, Value *v, const Index *index) {
  if (!index) return;
  if (index->kind == INDEX_AXIS && index->axis < DYNAMIC_AXIS) {
    if (k->loops[index->axis].inner)
      v->full = true;
    else
      v->outer = true;
  }
  depend_on_index(k, v, index->a);
  depend_on_index(k, v, index->b);
}

/* Values that an index is made of (rows of a gather) become operands. */
static void collect_dynamic(Kernel *k, Value *v, const Index *index) {
  if (!index) return;
  if (index->kind == INDEX_AXIS && index->axis >= DYNAMIC_AXIS) {
    Value *row = k->dynamic[index->axis - DYNAMIC_AXIS];
    for (int i = 0; i < v->n_in; i++)
      if (v->in[i] == row) return;
    LIST_PUSH(k->arena, v->in, v->n_in, row);
  }
  collect_dynamic(k, v, index->a);
  collect_dynamic(k, v, index->b);
}

static Value *add_value(Kernel *k, Value *v) {
  depend_on_index(k, v, v->index);
  collect_dynamic(k, v, v->index);
  for (const Guard *g = v->guard; g; g = g->up) depend_on_index(k, v, g->test), collect_dynamic(k, v, g->test);
  for (int i = 0; i < v->n_in; i++) {
    v->full |= v->in[i]->full;
    v->outer |= v->in[i]->outer;
  }
  if (v->kind == VALUE_REDUCE) v->full = false;
  for (int i = 0; i < k->n_values; i++)
    if (same_value(k->values[i], v)) return k->values[i];
  Value *kept = arena_alloc(k->arena, sizeof *kept);
  *kept = *v;
  kept->id = k->n_values;
  LIST_PUSH(k->arena, k->values, k->n_values, kept);
  return kept;
}

static int input_pointer(Kernel *k, int input, const Node *node) {
  for (int p = 0; p < k->n_pointers; p++)
    if (k->pointers[p].input == input) return p;
  if (k->n_pointers == MAX_POINTERS) fault("group %s has too many operands", k->group->name);
  k->pointers[k->n_pointers] =
      (Pointer){.type = &node->type, .input = input, .output = -1, .node = k->group->in[input], .align = k->placement->in_align[input]};
  return k->n_pointers++;
}

/* The result of a guarded map is guarded: its operands need it only where they may not even be read. */
static bool needs_guard(const Kernel *k, const Guard *guard, const Type *type, const Index *index) {
  return guard != k->map_guard || index->low < 0 || index->low + index->extent > type_count(type);
}

static Value *load(Kernel *k, const Node *input, const Index *const *at, const Guard *guard) {
  Value v = {.kind = VALUE_LOAD, .node = input, .dtype = input->type.dtype};
  v.pointer = input_pointer(k, input->attrs.index, input);
  v.index = index_flat(k->arena, &input->type, at);
  v.guard = guard && needs_guard(k, guard, &input->type, v.index) ? guard : NULL;
  if (type_count(&input->type) >= INT_ELEMENTS) k->wide = true;
  return add_value(k, &v);
}

static void note_turn(Kernel *k, const char *path) {
  int i = 0;
  while (i < k->n_turns && strcmp(k->turns[i], path)) i++;
  if (i == MAX_TURNS) fault("%s stands in too many loops", k->group->name);
  k->turns[i] = path;
  if (i == k->n_turns) k->n_turns++;
}

static Value *leaf(Kernel *k, const Node *node, const Index *const *at, const Guard *guard) {
  Value v = {.node = node, .dtype = node->type.dtype};
  switch (node->op) {
  case OP_input: return load(k, node, at, guard);
  case OP_const: v.kind = VALUE_CONST; break;
  case OP_rows: v.kind = VALUE_ROWS, k->uses_rows = true; break;
  case OP_counter: v.kind = VALUE_COUNTER, k->uses_scalars = true; break;
  case OP_turn: v.kind = VALUE_TURN, note_turn(k, node->attrs.path); break;
  case OP_iota: v.kind = VALUE_INDEX, v.index = at[node->attrs.axis]; break;
  default: fault("%s cannot stand in a group (%s)", op_info[node->op].name, node->name);
  }
  return add_value(k, &v);
}

static Value *view(Kernel *k, const Node *node, const Index *const *at, const Guard *guard) {
  const Index *in[MAX_RANK];
  IndexTests tests = {0};
  index_view(k->arena, node, at, in, &tests);
  const Guard *inner = guard;
  for (int i = 0; i < tests.n; i++) {
    Guard *more = arena_alloc(k->arena, sizeof *more);
    *more = (Guard){inner, tests.test[i], tests.limit[i], tests.by[i]};
    inner = more;
  }
  Value *v = value_at(k, node->in[0], in, inner);
  if (inner == guard || v->kind == VALUE_LOAD) return v; /* a guarded load is zero outside */
  for (const Guard *g = v->kind == VALUE_GUARD ? v->guard : NULL; g; g = g->up)
    if (g == inner) return v;
  Value guarded = {.kind = VALUE_GUARD, .node = node, .dtype = v->dtype, .guard = inner, .n_in = 1, .in = &v};
  Value **operand = arena_alloc(k->arena, sizeof *operand);
  *operand = v;
  guarded.in = operand;
  return add_value(k, &guarded);
}

static Value *map(Kernel *k, const Node *node, const Index *const *at, const Guard *guard) {
  Value v = {.kind = VALUE_MAP, .node = node, .dtype = node->type.dtype, .n_in = node->n_in};
  v.in = arena_alloc(k->arena, (size_t)node->n_in * sizeof *v.in);
  const Guard *outside = k->map_guard;
  bool same_op = node->op == OP_copy || node->op == OP_stop || node->op == OP_cast; /* may be its operand itself */
  if (!same_op) k->map_guard = guard;
  for (int i = 0; i < node->n_in; i++) {
    const Index *in[MAX_RANK];
    index_broadcast(k->arena, &node->type, at, &node->in[i]->type, in);
    v.in[i] = value_at(k, node->in[i], in, guard);
  }
  k->map_guard = outside;
  bool same = node->op == OP_copy || node->op == OP_stop || (node->op == OP_cast && v.in[0]->dtype == v.dtype);
  return same ? v.in[0] : add_value(k, &v);
}

static const Index *gathered_row(Kernel *k, Value *id, int64_t rows) {
  int d = 0;
  while (d < k->n_dynamic && k->dynamic[d] != id) d++;
  if (d == MAX_DYNAMIC) fault("group %s gathers too often", k->group->name);
  if (d == k->n_dynamic) k->dynamic[k->n_dynamic++] = id;
  return index_axis(k->arena, DYNAMIC_AXIS + d, rows);
}

/* Of j == s, where j counts along the only axis that is reduced: s, when that is the same number for all j. */
static Value *picks_one(const Kernel *k, const Value *condition, int *axis) {
  int n = 0;
  for (int a = 0; a < k->space.rank; a++)
    if (k->reduced[a]) *axis = a, n++;
  if (n != 1 || k->column || condition->kind != VALUE_MAP || condition->node->op != OP_eq) return NULL;
  for (int i = 0; i < 2; i++) {
    const Value *j = condition->in[i];
    Value *s = condition->in[1 - i];
    if (j->kind == VALUE_INDEX && same_index(j->index, k->coordinate[*axis]) && s->dtype == I32 && !s->full) return s;
  }
  return NULL;
}

/* Drawn, it goes by its number in a loop; in place, other threads may write it before this one has read it. */
static bool stays_in_loop(const Kernel *k, const Value *v) {
  if (v->kind == VALUE_RANDOM || (v->kind == VALUE_LOAD && k->pointers[v->pointer].output >= 0)) return true;
  for (int i = 0; i < v->n_in; i++)
    if (stays_in_loop(k, v->in[i])) return true;
  return false;
}

/* The sum over j of (j == s ? x : 0), as cross entropy takes the score of a label: x at s, and no pass over the others. */
static Value *picked(Kernel *k, const Node *sum, const Value *terms) {
  bool chooses = sum->op == OP_sum && terms->kind == VALUE_MAP && terms->node == sum->in[0] && terms->node->op == OP_where;
  if (!chooses || terms->in[2]->kind != VALUE_CONST || terms->in[2]->node->attrs.value != 0) return NULL;
  int axis = 0;
  Value *s = picks_one(k, terms->in[0], &axis);
  if (!s || k->n_dynamic == MAX_DYNAMIC) return NULL;
  const Node *x = terms->node->in[1];
  int64_t size = k->space.dim[axis].size;
  const Index *at[MAX_RANK], *in[MAX_RANK];
  for (int a = 0; a < k->space.rank; a++) at[a] = a == axis ? gathered_row(k, s, size) : k->coordinate[a];
  if (at[axis]->kind != INDEX_AXIS) return NULL; /* of one column */
  Index *any = arena_alloc(k->arena, sizeof *any);
  *any = *at[axis];
  any->low = INT32_MIN, any->extent = (int64_t)1 << 32;
  at[axis] = any; /* so loads are guarded: they may come before the sum does */
  Guard *there = arena_alloc(k->arena, sizeof *there);
  *there = (Guard){.test = any, .limit = size, .by = 1};
  index_broadcast(k->arena, &terms->node->type, at, &x->type, in);
  Value **operand = arena_alloc(k->arena, sizeof *operand);
  *operand = value_at(k, x, in, there);
  if (stays_in_loop(k, *operand)) return NULL;
  Value v = {.kind = VALUE_GUARD, .node = sum, .dtype = sum->type.dtype, .guard = there, .n_in = 1, .in = operand};
  return add_value(k, &v);
}

static Value *reduce(Kernel *k, const Node *node) {
  Value v = {.kind = VALUE_REDUCE, .node = node, .dtype = node->type.dtype, .n_in = 1};
  v.in = arena_alloc(k->arena, sizeof *v.in);
  v.in[0] = value_at(k, node->in[0], k->coordinate, NULL);
  Value *one = picked(k, node, v.in[0]);
  if (one) return one;
  Value *result = add_value(k, &v);
  for (int a = 0; a < k->space.rank; a++) /* other outer elements have another result */
    if (!k->reduced[a] && k->space.dim[a].size != 1) result->outer = true;
  return result;
}

static Value *draw(Kernel *k, const Node *node, const Index *const *at) {
  Value v = {
      .kind = VALUE_RANDOM, .node = node, .dtype = node->type.dtype, .index = index_flat(k->arena, &node->type, at)};
  k->uses_scalars = true;
  v.n_in = node->n_in;
  v.in = arena_alloc(k->arena, (size_t)node->n_in * sizeof *v.in + 1);
  for (int i = 0; i < node->n_in; i++) v.in[i] = value_at(k, node->in[i], NULL, NULL); /* scalars */
  return add_value(k, &v);
}

/* The element of a matmul group's product at the point: one variable, set before all else. */
static Value *product(Kernel *k, const Node *node) {
  Value v = {.kind = VALUE_PRODUCT, .node = node, .dtype = node->type.dtype, .outer = true, .named = true};
  for (int i = 0; i < 2; i++) k->product_in[i] = input_pointer(k, node->in[i]->attrs.index, node->in[i]);
  return k->product = add_value(k, &v);
}

/* A row of the table: an axis that is no loop stands for the id in the index. */
static Value *gather(Kernel *k, const Node *node, const Index *const *at, const Guard *guard) {
  const Node *table = node->in[0], *ids = node->in[1];
  const Index *in[MAX_RANK] = {index_const(k->arena, 0)}; /* a table of one row: whatever the id */
  if (table->type.dim[0].size != 1) in[0] = gathered_row(k, value_at(k, ids, at, guard), table->type.dim[0].size);
  for (int a = 1; a < table->type.rank; a++) in[a] = at[ids->type.rank + a - 1];
  return value_at(k, table, in, guard);
}

static Value *value_at(Kernel *k, const Node *node, const Index *const *at, const Guard *guard) {
  switch (op_info[node->op].kind) {
  case LEAF: return leaf(k, node, at, guard);
  case VIEW: return view(k, node, at, guard);
  case MAP: return map(k, node, at, guard);
  case REDUCE: return reduce(k, node);
  case RANDOM: return draw(k, node, at);
  case GATHER: return gather(k, node, at, guard);
  case MATMUL: return product(k, node);
  default: fault("%s cannot stand in a group (%s)", op_info[node->op].name, node->name);
  }
}

/* ---- outputs ---------------------------------------------------------------- */

/* Where outputs of this type stand in the space: full, or with the reduced axes kept as 1 or dropped. */
static void output_coordinates(const Kernel *k, const Type *type, const Index **at) {
  if (type->rank == k->space.rank) {
    for (int a = 0; a < type->rank; a++) at[a] = type->dim[a].size == 1 ? index_const(k->arena, 0) : k->coordinate[a];
    return;
  }
  for (int a = 0, o = 0; a < k->space.rank; a++)
    if (!k->reduced[a]) at[o++] = k->coordinate[a];
}

static void add_output(Kernel *k, int o) {
  const Output *output = &k->group->body->outputs[o];
  const Index *at[MAX_RANK] = {0};
  int p = o;
  k->pointers[p] =
      (Pointer){.type = &output->node->type, .input = k->placement->in_place[o], .output = o, .node = output->node, .align = k->placement->out_align[o]};
  if (type_count(&output->node->type) >= INT_ELEMENTS) k->wide = true;
  output_coordinates(k, &output->node->type, at);
  Store *store = &k->stores[k->n_stores++];
  *store = (Store){.pointer = p, .index = index_flat(k->arena, &output->node->type, at)};
  Value probe = {0};
  depend_on_index(k, &probe, store->index);
  store->full = probe.full;
}

static void mark_used(Value *v, bool *used) {
  if (used[v->id]) return;
  used[v->id] = true;
  for (int i = 0; i < v->n_in; i++) mark_used(v->in[i], used);
}

/* What was looked at, but is not what is computed. */
static void drop_unused(Kernel *k) {
  bool *used = arena_alloc(k->arena, (size_t)k->n_values + 1);
  for (int i = 0; i < k->n_stores; i++) mark_used(k->stores[i].value, used);
  if (k->product) used[k->product->id] = true;
  int n = 0;
  for (int i = 0; i < k->n_values; i++)
    if (used[i]) k->values[n] = k->values[i], k->values[n]->id = n, n++;
  k->n_values = n;
}

static void walk(Kernel *k) {
  const Graph *body = k->group->body;
  k->n_pointers = k->n_stores = k->n_values = k->n_dynamic = k->n_turns = 0;
  k->values = NULL;
  k->uses_rows = k->uses_scalars = k->wide = false;
  if (body->n_outputs > MAX_POINTERS / 2) fault("group %s has too many outputs", k->group->name);
  for (int o = 0; o < body->n_outputs; o++) add_output(k, o);
  k->n_pointers = body->n_outputs;
  for (int o = 0; o < body->n_outputs; o++) {
    const Index *at[MAX_RANK] = {0};
    output_coordinates(k, &body->outputs[o].node->type, at);
    k->stores[o].value = value_at(k, body->outputs[o].node, at, NULL);
  }
  drop_unused(k);
  if (type_count(&k->space) >= INT_ELEMENTS) k->wide = true;
}

/* ---- how simple the indices are ------------------------------------------- */

static int divisions_in(const Index *index) {
  if (!index) return 0;
  bool divides = index->kind == INDEX_DIV || index->kind == INDEX_MOD;
  return divides + divisions_in(index->a) + divisions_in(index->b);
}

static int divisions(const Kernel *k) {
  int n = 0;
  for (int i = 0; i < k->n_values; i++) {
    n += divisions_in(k->values[i]->index);
    for (const Guard *g = k->values[i]->guard; g; g = g->up) n += divisions_in(g->test);
  }
  for (int i = 0; i < k->n_stores; i++) n += divisions_in(k->stores[i].index);
  return n;
}

/* Merge loops from the inside out while no index needs a division for it. */
static void merge_loops(Kernel *k) {
  walk(k);
  int simplest = divisions(k);
  for (int l = k->n_loops - 2; l >= 0; l--) {
    if (!mergeable(k, l)) continue;
    Kernel before = *k;
    merge(k, l);
    walk(k);
    if (divisions(k) <= simplest) continue;
    *k = before;
  }
}

static Kernel *build(Arena *arena, const Node *group, const KernelForm *form, const Placement *placement, int run) {
  Kernel *k = arena_alloc(arena, sizeof *k);
  k->arena = arena;
  k->group = group;
  k->placement = placement;
  k->run = run;
  k->pattern = (GroupPattern)group->attrs.pattern;
  k->space = group->attrs.space;
  bool matmul = k->pattern == PATTERN_MATMUL;
  if (matmul) k->pattern = PATTERN_MAP;
  for (int i = 0; i < group->attrs.n_axes && k->pattern != PATTERN_MAP; i++) k->reduced[group->attrs.axes[i]] = true;
  int last = k->space.rank - 1;
  while (last > 0 && k->space.dim[last].size == 1) last--;
  k->column = k->pattern != PATTERN_MAP && last >= 0 && !k->reduced[last] && k->space.dim[last].size != 1;
  separate_loops(k, form->linear && !matmul);
  if (form->linear)
    walk(k);
  else
    merge_loops(k);
  kernel_stage(k, form);
  return k;
}

Kernel *kernel_build(Arena *arena, const Node *group, const KernelForm *form, const Placement *placement) {
  Kernel *k = build(arena, group, form, placement, 1);
  for (int run = form->run ? form->run(k, form) : 1; run > 1; run /= 2) {
    Kernel *in_runs = build(arena, group, form, placement, run);
    if (fits_runs(in_runs)) return in_runs;
  }
  return k;
}

static int64_t elements(const Kernel *k, bool inner) {
  int64_t n = 1;
  for (int l = 0; l < k->n_loops; l++)
    if (k->loops[l].inner == inner && k->loops[l].n) n *= k->loops[l].size;
  return n;
}
int64_t kernel_outer(const Kernel *k) { return elements(k, false); }
int64_t kernel_inner(const Kernel *k) { return elements(k, true); }
bool kernel_reduces(const Kernel *k) { return k->pattern != PATTERN_MAP; }
