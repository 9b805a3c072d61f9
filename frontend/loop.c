/* loop.c - `for`: over the blocks of a stack, or over a range.
 *
 * The body is lowered once, into a graph of its own, which stays a loop to the
 * end.  What it carries, and what it takes from outside, are operands of the
 * loop and inputs of that graph:
 *
 *   a carried name                        the value of the turn before
 *   a parameter of the stack's block      element t of [L, ...]
 *   a state of the stack's block          the same, and its new value is collected
 *   any other state that turns change     carried
 *   x[i], i the loop's own variable       element t of x, its axis moved to the front
 *   any other name from outside           read whole by each turn
 */
#include <string.h>

#include "frontend/lower.h"

typedef struct Taken { /* from outside, as an input of the body */
  Node *from, *input;
} Taken;

typedef struct Kept { /* a name that is carried or collected */
  const char *name;
  Entry *entry; /* in the body's scope; NULL: collected, and not set yet */
  Node *start, *input; /* carried: what it begins with, and a turn */
  const Span *set_at;
} Kept;

typedef struct Held { /* a state that a turn reads or changes */
  const char *path;
  Node *from, *input, *now;
  bool changed;
} Held;

struct LoopFrame {
  const LoopFrame *up;
  Graph *outer, *body;
  const char *path;
  Dim turns;
  int64_t first;       /* the variable's value in turn 0 */
  Node *variable;      /* in the body; NULL: over blocks */
  Instance *block;     /* of the stack, or NULL */
  int n_carried, n_collected, n_stacked, n_read;
  Kept *carried, *collected;
  Taken *stacked, *read;
  int n_held;
  Held *held;
};

/* ---- inputs ---- */

/* An input has a number of its own until the operands are counted. */
static Node *new_input(Lower *l, LoopFrame *f, const Type *type, const char *name, const Span *at) {
  Attrs attrs = {.index = f->body->n_nodes, .shape = *type};
  return node_new(f->body, OP_input, NULL, 0, &attrs, name, at ? at : l->caller);
}

static bool is_known(const Node *n) {
  if (op_info[n->op].kind == VIEW) return is_known(n->in[0]);
  return n->op == OP_const || n->op == OP_rows || n->op == OP_counter || n->op == OP_iota;
}

/* A constant, even broadcast, is made again rather than read. */
static Node *made_again(LoopFrame *f, const Node *n) {
  Node *in = n->n_in ? made_again(f, n->in[0]) : NULL;
  return node_new(f->body, n->op, &in, n->n_in, &n->attrs, n->name, n->span);
}

static Node *take_whole(Lower *l, LoopFrame *f, Node *from) {
  if (is_known(from)) return made_again(f, from);
  for (int i = 0; i < f->n_read; i++)
    if (f->read[i].from == from) return f->read[i].input;
  Taken taken = {from, new_input(l, f, &from->type, from->name, from->span)};
  LIST_PUSH(l->arena, f->read, f->n_read, taken);
  return taken.input;
}

static Type element_of(const Type *stack) {
  return type_shape(stack->dtype, stack->rank - 1, stack->dim + 1);
}

/* Element t of `from`, [turns, ...]. */
static Node *take_element(Lower *l, LoopFrame *f, Node *from) {
  for (int i = 0; i < f->n_stacked; i++)
    if (f->stacked[i].from == from) return f->stacked[i].input;
  Type element = element_of(&from->type);
  Taken taken = {from, new_input(l, f, &element, from->name, from->span)};
  LIST_PUSH(l->arena, f->stacked, f->n_stacked, taken);
  return taken.input;
}

static Node *imported(Lower *l, const LoopFrame *f, Node *node, const Graph *from) {
  if (f->outer != from) node = imported(l, f->up, node, from);
  return take_whole(l, (LoopFrame *)f, node);
}

bool is_around(const Lower *l, const Graph *graph) {
  for (const LoopFrame *f = l->frame; f; f = f->up)
    if (f->outer == graph) return true;
  return false;
}

Value import_value(Lower *l, Value v, const Graph *from) {
  if (v.kind == TENSOR) v.node = imported(l, l->frame, v.node, from);
  if (v.kind != TUPLE && v.kind != RECORD) return v;
  Value *items = arena_alloc(l->arena, sizeof *items * ((size_t)v.n + 1));
  for (int i = 0; i < v.n; i++) items[i] = import_value(l, v.items[i], from);
  v.items = items;
  return v;
}

/* ---- parameters ---- */

static bool stands_in(const LoopFrame *f, const char *path) { return f->block && is_under(path, f->block->path); }

static Node *param_in(Lower *l, const LoopFrame *f, const Param *param, const Span *at) {
  Attrs attrs = {.path = param->path, .shape = param->type};
  const LoopFrame *outermost = f;
  while (outermost && outermost->up) outermost = outermost->up;
  if ((outermost ? outermost->outer : l->graph) == l->program->train.graph)
    attrs.index = times_moved(l, (int)(param - l->program->params));
  if (!f) return node_new(l->graph, OP_param, NULL, 0, &attrs, param->path, at);
  Node *outside = f->up ? param_in(l, f->up, param, at) : node_new(f->outer, OP_param, NULL, 0, &attrs, param->path, at);
  return stands_in(f, param->path) ? take_element(l, (LoopFrame *)f, outside) : take_whole(l, (LoopFrame *)f, outside);
}

Value param_value(Lower *l, const Param *param, const Span *at) { return tensor_value(param_in(l, l->frame, param, at)); }

int stack_axes(const Lower *l, const char *path, Dim *out) {
  int n = 0;
  for (const LoopFrame *f = l->frame; f; f = f->up)
    if (stands_in(f, path) && n < MAX_RANK) {
      memmove(out + 1, out, sizeof *out * (size_t)n++);
      out[0] = f->turns;
    }
  return n;
}

/* The innermost first, so that what stands before stays where it is. */
const char *stack_pattern(Lower *l, const char *path) {
  const char *pattern = NULL;
  for (const LoopFrame *f = l->frame; f; f = f->up) {
    if (!stands_in(f, path)) continue;
    size_t n = strlen(f->block->path);
    const char *whole = pattern ? pattern : path;
    pattern = arena_print(l->arena, "%.*s.#%s", (int)n, whole, whole + n);
  }
  return pattern;
}

/* ---- states ---- */

static Held *held_in(Lower *l, const LoopFrame *frame, const char *path, const Span *at);

static Node *held_now(Lower *l, const LoopFrame *f, Graph *graph, const char *path, const Span *at) {
  return f ? held_in(l, f, path, at)->now : state_of_graph(l, graph, path);
}

static Held *held_in(Lower *l, const LoopFrame *frame, const char *path, const Span *at) {
  LoopFrame *f = (LoopFrame *)frame;
  for (int i = 0; i < f->n_held; i++)
    if (!strcmp(f->held[i].path, path)) return &f->held[i];
  Held held = {.path = path, .from = held_now(l, f->up, f->outer, path, at)};
  Type own = stands_in(f, path) ? element_of(&held.from->type) : held.from->type;
  held.input = held.now = new_input(l, f, &own, path, at);
  LIST_PUSH(l->arena, f->held, f->n_held, held);
  return &f->held[f->n_held - 1];
}

Node *state_of_turn(Lower *l, const char *path, const Span *at) {
  return held_now(l, l->frame, l->graph, path, at);
}

void change_state(Lower *l, const char *path, Node *value) {
  if (!l->frame) {
    put_state(l, path, value);
    return;
  }
  Held *held = held_in(l, l->frame, path, value->span);
  held->now = value;
  held->changed = true;
}

static bool state_is_carried(const LoopFrame *f, const Held *held) { return held->changed && !stands_in(f, held->path); }
static bool state_is_collected(const LoopFrame *f, const Held *held) { return held->changed && stands_in(f, held->path); }

static void end_states(LoopFrame *f, bool (*which)(const LoopFrame *, const Held *)) {
  for (int i = 0; i < f->n_held; i++)
    if (which(f, &f->held[i])) graph_output(f->body, OUT_VALUE, f->held[i].path, f->held[i].now);
}

/* Those that are not carried are among what the turns see. */
static void take_states(Lower *l, LoopFrame *f) {
  for (int i = 0; i < f->n_held; i++) {
    Taken taken = {f->held[i].from, f->held[i].input};
    if (state_is_carried(f, &f->held[i])) continue;
    if (stands_in(f, f->held[i].path)) LIST_PUSH(l->arena, f->stacked, f->n_stacked, taken);
    else LIST_PUSH(l->arena, f->read, f->n_read, taken);
  }
}

/* Behind the loop, where l is: output `next` of it and those after are the changed states of one sort. */
static int leave_states(Lower *l, LoopFrame *f, Node *loop, int next, bool (*which)(const LoopFrame *, const Held *)) {
  for (int i = 0; i < f->n_held; i++) {
    const Held *held = &f->held[i];
    if (!which(f, held)) continue;
    Attrs attrs = {.index = next};
    attrs.shape = result_type(loop, next++);
    Builder b = {l->graph, loop->span, join(l, held->path, "new")};
    Node *result = node_new(l->graph, OP_result, &loop, 1, &attrs, join(l, held->path, "turned"), loop->span);
    Node *value = b_stop(&b, result);
    change_state(l, held->path, value);
    refresh_state(l, held->path, value);
  }
  return next;
}

int turns_of_loops(Lower *l, Node **out) {
  int n = 0;
  for (const LoopFrame *f = l->frame; f && n < MAX_RANK; f = f->up) {
    Attrs attrs = {.path = f->path, .shape = type_scalar(I32)};
    memmove(out + 1, out, sizeof *out * (size_t)n++);
    out[0] = node_new(l->graph, OP_turn, NULL, 0, &attrs, f->path, l->caller);
  }
  return n;
}

/* ---- x[i] ---- */

/* The input's origin outside of frame `to`, followed through the loops between; NULL when it is made inside. */
static Node *origin(const LoopFrame *f, const LoopFrame *to, Node *node) {
  for (;; f = f->up) {
    int i = 0;
    while (i < f->n_read && f->read[i].input != node) i++;
    if (i == f->n_read) return NULL;
    node = f->read[i].from;
    if (f == to) return node;
  }
}

/* Axis `axis` first, cut to the turns there are. */
static Node *as_stack(Lower *l, const LoopFrame *f, Node *x, int axis, const Expr *e) {
  Builder b = {f->outer, place(l, e->at), join(l, l->prefix, "turns")};
  int order[MAX_RANK] = {axis};
  for (int a = 0, n = 1; a < x->type.rank; a++)
    if (a != axis) order[n++] = a;
  Node *front = axis ? b_transpose(&b, x, order) : x;
  if (front->type.dim[0].size == f->turns.size) return front;
  Type cut = front->type;
  int64_t start[MAX_RANK] = {f->first}, step[MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
  cut.dim[0] = dim_literal(f->turns.size);
  return b_slice(&b, front, &cut, start, step);
}

/* The loop whose turn the index is; NULL where it is another number. */
static const LoopFrame *loop_of(const Lower *l, const Node *index) {
  for (const LoopFrame *f = l->frame; f; f = f->up) {
    if (f->variable == index) return f;
    int i = 0;
    while (i < f->n_read && f->read[i].input != index) i++;
    if (i == f->n_read) return NULL;
    index = f->read[i].from;
  }
  return NULL;
}

bool is_turn(const Lower *l, const Node *index) { return loop_of(l, index) != NULL; }

bool turns_fit(Lower *l, const Node *x, int axis, const Node *index, const Expr *e) {
  const LoopFrame *f = loop_of(l, index);
  int64_t size = x->type.dim[axis].size;
  if (!f || x->type.dim[axis].rows || f->first + f->turns.size <= size) return true;
  report(l->d, E0210, place(l, e->args[axis + 1]->at), "the loop counts up to %lld, which is outside an axis of %lld",
         (long long)(f->first + f->turns.size - 1), (long long)size);
  report_help(l->d, "0..T counts from 0 to T - 1");
  return false;
}

Node *element_of_turn(Lower *l, Node *x, int axis, const Node *index, const Expr *e) {
  const LoopFrame *f = loop_of(l, index);
  if (!f || f != l->frame || x->type.dim[axis].rows) return NULL;
  Node *from = origin(f, f, x);
  return from ? take_element(l, (LoopFrame *)f, as_stack(l, f, from, axis, e)) : NULL;
}

/* ---- the source ---- */

static bool range_of(Lower *l, const Expr *e, LoopFrame *f) {
  Dim end;
  if (!whole_number(l, e->args[0], &f->first) || !dim_of(l, e->args[1], &end)) return false;
  if (end.rows) return report(l->d, E0308, place(l, e->at), "a loop cannot run over the rows of a batch: they have no order"), false;
  f->turns = f->first ? dim_literal(end.size - f->first) : end;
  if (f->turns.size >= 1 && f->first >= 0) return true;
  report(l->d, E0308, place(l, e->at), "a loop from %lld to %lld has no turn", (long long)f->first, (long long)end.size);
  report_help(l->d, "0..T counts from 0 to T - 1");
  return false;
}

/* stack(Block(), L): an instance whose parameters are those of L blocks. */
static bool stack_of(Lower *l, const Syntax *s, LoopFrame *f) {
  const Expr *e = s->value, *module = e->n_args > 1 ? e->args[1] : NULL;
  Entry *entry = module && module->kind == EXPR_CALL && module->args[0]->kind == EXPR_NAME
                     ? lookup(l->scope, module->args[0]->name, true) : NULL;
  if (e->n_args != 3 || !entry || entry->value.kind != DEFINITION || entry->value.syntax->kind != SYN_MODULE) {
    report(l->d, E0308, place(l, e->at), "stack takes a module with its configuration, and how many: stack(Block(), L)");
    return false;
  }
  if (!dim_of(l, e->args[2], &f->turns)) return false;
  if (f->turns.size < 1 || f->turns.rows)
    return report(l->d, E0308, place(l, e->args[2]->at), "a stack has one block at least, and a fixed number of them"), false;
  if (!l->instance) return report(l->d, E0308, place(l, s->at), "stack makes parameters: it stands only in modules"), false;
  Call call;
  const char *path = join(l, l->instance->path, s->names[0]);
  for (int i = 0; i < l->instance->n_children; i++)
    if (!strcmp(l->instance->children[i]->path, path)) f->block = l->instance->children[i]; /* the second call of the owner */
  if (f->block) return true;
  if (!collect_args(l, module, NULL, &call)) return false;
  f->block = make_instance(l, &entry->value, &call, path, module);
  if (f->block) LIST_PUSH(l->arena, l->instance->children, l->instance->n_children, f->block);
  return f->block != NULL;
}

static bool source_of(Lower *l, const Syntax *s, LoopFrame *f) {
  const Expr *e = s->value;
  if (e->kind == EXPR_RANGE) return range_of(l, e, f);
  if (e->kind == EXPR_CALL && e->args[0]->kind == EXPR_NAME && !strcmp(e->args[0]->name, "stack")) return stack_of(l, s, f);
  report(l->d, E0308, place(l, e->at), "a loop runs over a range, 0..T, or over blocks, stack(Block(), L)");
  return false;
}

/* ---- names ---- */

static Entry *define_inside(Lower *l, const char *name, Value v, const Span *at) {
  Entry *entry = define(l, name, v, NULL);
  entry->at = at;
  entry->used = true;
  return entry;
}

static bool carry(Lower *l, const Syntax *s, LoopFrame *f, const char *name) {
  Entry *entry = lookup(l->scope, name, false);
  if (!entry) return unknown_name(l, name, place(l, s->at), false), false;
  Expr word = {.kind = EXPR_NAME, .name = name, .at = s->at};
  Value v = eval(l, &word);
  Node *start = as_tensor(l, v, F32, &word);
  Kept kept = {.name = name, .start = start};
  if (start) LIST_PUSH(l->arena, f->carried, f->n_carried, kept);
  return start != NULL;
}

static bool is_carried(const LoopFrame *f, const char *name) {
  for (int i = 0; i < f->n_carried; i++)
    if (!strcmp(f->carried[i].name, name)) return true;
  return false;
}

static bool collects_apart(Lower *l, const Syntax *s, const LoopFrame *f) {
  for (int i = 0; i < s->n_collect; i++) {
    const char *name = s->collect[i];
    if (!is_carried(f, name)) continue;
    report(l->d, E0307, place(l, s->at), "%s is carried, and cannot be collected under the same name", name);
    report_help(l->d, "write collect all_%s, and all_%s = %s in the body", name, name, name);
    return false;
  }
  return true;
}

static void begin_names(Lower *l, const Syntax *s, LoopFrame *f) {
  for (int i = 0; i < f->n_carried; i++) {
    Kept *kept = &f->carried[i];
    kept->input = new_input(l, f, &kept->start->type, claim(l, kept->name), place(l, s->at));
    kept->entry = define_inside(l, kept->name, tensor_value(kept->input), s->at);
  }
  for (int i = 0; i < s->n_collect; i++) {
    Kept kept = {.name = s->collect[i]};
    LIST_PUSH(l->arena, f->collected, f->n_collected, kept);
  }
  if (f->block) {
    define_inside(l, s->names[0], (Value){.kind = INSTANCE, .instance = f->block}, s->names_at[0]);
    return;
  }
  Attrs attrs = {.path = f->path, .shape = type_scalar(I32)};
  f->variable = node_new(f->body, OP_turn, NULL, 0, &attrs, f->path, place(l, s->at));
  Builder b = {f->body, place(l, s->at), f->path};
  if (f->first) f->variable = b_scalar(&b, OP_add, f->variable, (double)f->first);
  define_inside(l, s->names[0], tensor_value(f->variable), s->names_at[0]);
}

static Kept *find_kept(LoopFrame *f, const char *name) {
  for (int i = 0; i < f->n_carried; i++)
    if (!strcmp(f->carried[i].name, name)) return &f->carried[i];
  for (int i = 0; i < f->n_collected; i++)
    if (!strcmp(f->collected[i].name, name)) return &f->collected[i];
  return NULL;
}

/* name = value, in the body of a loop that carries or collects it. */
void set_kept(Lower *l, const char *name, Value v, const Span *at) {
  LoopFrame *f = (LoopFrame *)l->frame;
  Kept *kept = f ? find_kept(f, name) : NULL;
  if (!kept) {
    report(l->d, E0307, place(l, at), "%s belongs to a loop further out", name);
    report_help(l->d, "carry it through this loop as well: for ... carry %s { ... }", name);
    return;
  }
  kept->set_at = at;
  if (kept->entry) kept->entry->value = v;
  else kept->entry = define_inside(l, name, v, at);
}

/* ---- the end of a turn ---- */

static bool same_type(const Type *a, const Type *b) {
  bool same = a->dtype == b->dtype && a->rank == b->rank;
  for (int i = 0; i < a->rank && same; i++) same = dim_same(a->dim[i], b->dim[i], true);
  return same;
}

static Node *value_at_end(Lower *l, const Syntax *s, const Kept *kept, DType wish) {
  Expr word = {.kind = EXPR_NAME, .name = kept->name, .at = kept->set_at ? kept->set_at : s->at};
  return as_tensor(l, kept->entry->value, wish, &word);
}

static bool end_carried(Lower *l, const Syntax *s, LoopFrame *f) {
  bool ok = true;
  for (int i = 0; i < f->n_carried; i++) {
    const Kept *kept = &f->carried[i];
    Node *next = value_at_end(l, s, kept, kept->start->type.dtype);
    if (next && !same_type(&next->type, &kept->start->type)) {
      Value begins = tensor_value(kept->start), ends = tensor_value(next);
      report(l->d, E0307, place(l, kept->set_at ? kept->set_at : s->at), "%s begins the turn as %s and ends it as %s", kept->name,
             describe(l, &begins), describe(l, &ends));
      if (kept->start->span) report_note(l->d, kept->start->span, "it begins as this");
      report_help(l->d, "what a loop carries keeps its type and shape; what differs from turn to turn is collected");
      next = NULL;
    }
    ok &= next != NULL;
    if (next) graph_output(f->body, OUT_VALUE, kept->name, next);
  }
  return ok;
}

static bool end_collected(Lower *l, const Syntax *s, LoopFrame *f) {
  for (int i = 0; i < f->n_collected; i++) {
    const Kept *kept = &f->collected[i];
    if (!kept->entry) {
      report(l->d, E0307, place(l, s->at), "the loop collects %s, but no turn sets it", kept->name);
      report_help(l->d, "write %s = ... in its body", kept->name);
      return false;
    }
    Node *value = value_at_end(l, s, kept, F32);
    if (value && value->type.rank == MAX_RANK) {
      report(l->d, E0307, place(l, kept->set_at), "%s has %d axes already: it cannot be stacked", kept->name, MAX_RANK);
      value = NULL;
    }
    if (!value) return false;
    graph_output(f->body, OUT_VALUE, kept->name, value);
  }
  return true;
}

/* ---- the loop ---- */

static bool is_read(const Graph *body, const Node *input) {
  for (int i = 0; i < body->n_outputs; i++)
    if (body->outputs[i].node == input) return true;
  for (int i = 0; i < body->n_nodes; i++)
    for (int k = 0; k < body->nodes[i]->n_in; k++)
      if (body->nodes[i]->in[k] == input) return true;
  return false;
}

static void drop(Graph *body, const Node *input) {
  int n = 0;
  for (int i = 0; i < body->n_nodes; i++)
    if (body->nodes[i] != input) body->nodes[n++] = body->nodes[i];
  body->n_nodes = n;
}

static void add_taken(Lower *l, LoopFrame *f, int n, const Taken *taken, int *n_in, Node ***in) {
  for (int i = 0; i < n; i++) {
    if (!is_read(f->body, taken[i].input)) {
      drop(f->body, taken[i].input); /* x, of which only x[i] is read */
      continue;
    }
    taken[i].input->attrs.index = *n_in;
    LIST_PUSH(l->arena, *in, *n_in, taken[i].from);
  }
}

static void add_carried(Lower *l, Node *start, Node *input, int *n_in, Node ***in) {
  input->attrs.index = *n_in;
  LIST_PUSH(l->arena, *in, *n_in, start);
}

static Node *make_loop(Lower *l, const Syntax *s, LoopFrame *f) {
  Attrs attrs = {.path = f->path, .remat = s->remat};
  attrs.space = type_shape(F32, 1, &f->turns);
  int n = 0;
  Node **in = NULL;
  for (int i = 0; i < f->n_carried; i++) add_carried(l, f->carried[i].start, f->carried[i].input, &n, &in);
  for (int i = 0; i < f->n_held; i++)
    if (state_is_carried(f, &f->held[i])) add_carried(l, f->held[i].from, f->held[i].input, &n, &in);
  attrs.carried = n;
  take_states(l, f);
  graph_sweep(f->body); /* such as what an assignment outside of training would have stored */
  add_taken(l, f, f->n_stacked, f->stacked, &n, &in);
  attrs.stacked = n - attrs.carried;
  add_taken(l, f, f->n_read, f->read, &n, &in);
  graph_uncons(f->body);
  Node *loop = node_new(f->outer, OP_loop, in, n, &attrs, f->path, place(l, s->at));
  loop->body = f->body;
  return loop;
}

static Value result_of(Lower *l, Node *loop, int index, const char *name, const Span *at) {
  Attrs attrs = {.index = index};
  attrs.shape = result_type(loop, index);
  return tensor_value(node_new(l->graph, OP_result, &loop, 1, &attrs, claim(l, name), at));
}

/* Behind the loop its names are the values after the last turn, and the stacks. */
static void define_results(Lower *l, const Syntax *s, LoopFrame *f, Node *loop) {
  int first = loop ? leave_states(l, f, loop, f->n_carried, state_is_carried) : 0;
  for (int i = 0; i < f->n_carried; i++) {
    Entry *entry = lookup(l->scope, f->carried[i].name, false);
    Value v = loop ? result_of(l, loop, i, arena_print(l->arena, "%s.last", entry->name), place(l, s->at)) : poison();
    if (entry->graph == l->graph) entry->value = v;
    else define_inside(l, entry->name, v, entry->at);
  }
  for (int i = 0; i < s->n_collect; i++) {
    if (is_carried(f, s->collect[i])) continue; /* said before */
    Value v = loop ? result_of(l, loop, first + i, s->collect[i], place(l, s->at)) : poison();
    define(l, s->collect[i], v, s->at)->is_let = true;
  }
  if (loop) leave_states(l, f, loop, first + f->n_collected, state_is_collected);
}

static bool run_turn(Lower *l, const Syntax *s, LoopFrame *f) {
  Scope *scope = l->scope;
  Graph *graph = l->graph;
  l->scope = scope_new(l, scope);
  l->graph = f->body;
  l->frame = f;
  begin_names(l, s, f);
  Outcome o = run_body(l, s->n_body, s->body);
  if (o.returned && o.value.kind != POISON) {
    report(l->d, E0307, place(l, s->at), "a turn of a loop returns nothing");
    report_help(l->d, "carry the value, and return it behind the loop");
  }
  bool ok = !o.returned && end_carried(l, s, f);
  end_states(f, state_is_carried);
  ok = ok && end_collected(l, s, f);
  end_states(f, state_is_collected);
  if (ok) warn_unused(l, l->scope);
  l->frame = f->up;
  l->graph = graph;
  l->scope = scope;
  return ok;
}

void do_for(Lower *l, const Syntax *s) {
  LoopFrame *f = arena_alloc(l->arena, sizeof *f);
  f->up = l->frame;
  f->outer = l->graph;
  bool ok = in_graph(l, s->value) && source_of(l, s, f);
  f->path = claim(l, s->names[0]);
  f->body = graph_new(l->program, f->path, l->graph);
  if (l->graph) f->body->rows = l->graph->rows;
  for (int i = 0; i < s->n_carry; i++) ok = carry(l, s, f, s->carry[i]) && ok;
  ok = ok && collects_apart(l, s, f) && run_turn(l, s, f);
  define_results(l, s, f, ok ? make_loop(l, s, f) : NULL);
}
