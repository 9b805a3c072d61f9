/* state.c - state x: [f] = zeros, and x <- expression.
 *
 * In a graph a state is a leaf, its value when the step begins.  An assignment
 * makes a node whose value it has from there on, without a gradient, and which
 * is an output of the graph: the step writes it back.  In a loop its value is
 * what the turn before left, or, of blocks that are stacked, the block's own
 * element; loop.c keeps both.  Outside of training an assignment is checked
 * and does nothing.
 */
#include <string.h>

#include "frontend/lower.h"

static State *state_at(const Lower *l, const char *path) {
  for (int i = 0; i < l->program->n_states; i++)
    if (!strcmp(l->program->states[i].path, path)) return &l->program->states[i];
  return NULL;
}

static Output *assigned(const Lower *l, const Graph *graph, const char *path) {
  for (int i = 0; i < graph->n_outputs; i++) {
    Output *output = &graph->outputs[i];
    if (output->role == OUT_STATE && output->index == l->phase && !strcmp(output->name, path)) return output;
  }
  return NULL;
}

/* In how many phases before this one. */
static int times_changed(const Lower *l, const Graph *graph, const char *path) {
  int n = 0;
  for (int i = 0; i < graph->n_outputs; i++) {
    const Output *output = &graph->outputs[i];
    n += output->role == OUT_STATE && output->index < l->phase && !strcmp(output->name, path);
  }
  return n;
}

Node *state_of_graph(Lower *l, Graph *graph, const char *path) {
  const State *state = state_at(l, path);
  const Output *output = assigned(l, graph, path);
  Attrs attrs = {.path = path, .shape = state->type, .index = times_changed(l, graph, path)};
  return output ? output->node : node_new(graph, OP_state, NULL, 0, &attrs, path, state->span);
}

void put_state(Lower *l, const char *path, Node *value) {
  Output *output = assigned(l, l->graph, path);
  if (!output) {
    graph_output(l->graph, OUT_STATE, path, value);
    output = &l->graph->outputs[l->graph->n_outputs - 1];
    output->index = l->phase;
  }
  output->node = value;
}

static Node *value_now(Lower *l, const State *state) { return state_of_turn(l, state->path, state->span); }

Value state_value(Lower *l, const char *path) {
  const State *state = state_at(l, path);
  return state ? tensor_value(value_now(l, state)) : poison();
}

Value state_of_entry(Lower *l, const Entry *entry) {
  return renamed(l, state_value(l, entry->state), &entry->state_type, join(l, entry->state, "own"), entry->at);
}

void refresh_state(Lower *l, const char *path, Node *value) {
  for (const Scope *scope = l->scope; scope; scope = scope->parent)
    for (int i = 0; i < scope->n; i++) {
      Entry *entry = scope->entries[i];
      if (!entry->state || strcmp(entry->state, path) || entry->graph != l->graph) continue;
      entry->value = renamed(l, tensor_value(value), &entry->state_type, join(l, path, "own"), entry->at);
    }
}

/* ---- state x: [f] = zeros ---- */

static bool may_stand(Lower *l, const Syntax *s, const Type *type) {
  const Span *at = place(l, s->at);
  const Instance *unlabelled = l->instance->unlabelled;
  if (type_rows(type)) {
    report(l->d, E0211, at, "a state cannot have the batch as an axis: %s is %lld rows at most", type_rows(type)->name,
           (long long)type_rows(type)->size);
    return false;
  }
  if (unlabelled) {
    report(l->d, E0301, unlabelled->first_call, "%s holds a state, so it needs a label: x |> name: %s(...)",
           unlabelled->module->name, unlabelled->module->name);
    return false;
  }
  if (type->dtype != F32) return report(l->d, E0208, at, "a state is f32, not %s", dtype_name(type->dtype)), false;
  return true;
}

static const State *declared(Lower *l, const Syntax *s, const Type *type) {
  const char *path = join(l, l->instance->path, s->name);
  State state = {.path = path, .type = *type, .span = place(l, s->at)}, *known = state_at(l, path);
  bool fits = add_stack_axes(l, path, &state.type);
  if (known) return same_axes(&state.type, &known->type) ? known : (other_shape(l, s, &state.type, &known->type), NULL);
  if (!may_stand(l, s, type) || !init_of(l, s->value, "a state", &state.init)) return NULL;
  if (!fits) return report(l->d, E0204, place(l, s->at), "%s has too many axes to be stacked", s->name), NULL;
  state.pattern = stack_pattern(l, path);
  LIST_PUSH(l->arena, l->program->states, l->program->n_states, state);
  return &l->program->states[l->program->n_states - 1];
}

void do_state(Lower *l, const Syntax *s) {
  Type type = type_scalar(F32);
  const State *state = NULL;
  Value v = poison();
  bool again = is_declared_here(l->scope, s->name); /* define says so */
  if (!again && in_graph(l, s->value) && shape_of(l, &s->results[0], &type)) {
    Type outside = outermost_type(&type);
    state = declared(l, s, &outside);
    if (state) v = renamed(l, tensor_value(value_now(l, state)), &type, join(l, state->path, "own"), s->at);
  }
  Entry *entry = define(l, s->name, v, s->name_at);
  entry->is_let = l->training; /* elsewhere one that is only counted has no reader */
  entry->state = state ? state->path : NULL;
  entry->state_type = type;
}

/* ---- x <- expression ---- */

static bool is_param(const Value *v) {
  const Node *node = v->kind == TENSOR ? v->node : NULL;
  while (node && node->op == OP_reshape) node = node->in[0];
  return node && node->op == OP_param;
}

static Entry *target_of_assignment(Lower *l, const Syntax *s) {
  Entry *entry = s->name ? lookup(l->scope, s->name, false) : NULL;
  const Span *at = place(l, s->name ? s->name_at : s->at);
  if (entry && (entry->state || entry->value.kind == POISON)) return entry;
  if (s->name && !entry) return unknown_name(l, s->name, at, false), NULL;
  if (!s->name) {
    report(l->d, E0306, at, "`<-` assigns to a state as a whole, by its name");
    report_help(l->d, "write name <- where(...), with the elements that stay as they are");
    return NULL;
  }
  report(l->d, E0306, at, "`<-` assigns to a state; %s is %s", s->name, describe(l, &entry->value));
  if (entry->at) report_note(l->d, entry->at, "declared here");
  if (is_param(&entry->value)) report_help(l->d, "a parameter changes by `update`, along its gradient");
  else report_help(l->d, "declare it as one, state %s: [...] = zeros, or give the new value a name: let", s->name);
  return NULL;
}

/* The new value as the state's type has it; numbers fill it. */
static Node *fitting(Lower *l, const Entry *entry, const Syntax *s) {
  Value v = eval_named(l, s->value, s->name);
  Node *node = as_tensor(l, v, F32, s->value);
  if (!node) return NULL;
  const Type *type = &entry->state_type;
  Builder b = builder(l, s->value);
  if (node->type.dtype != F32) {
    report(l->d, E0306, place(l, s->value->at), "the state %s is f32, the new value is %s", s->name, describe(l, &v));
    report_help(l->d, "cast it: f32(...)");
    return NULL;
  }
  if (node->op == OP_const && type->rank) return b_broadcast(&b, node, type);
  if (same_axes(&node->type, type)) return node;
  Value wanted = v;
  Node like = *node;
  like.type = *type;
  wanted.kind = TENSOR, wanted.node = &like;
  const char *is = describe(l, &wanted);
  v = tensor_value(node);
  report(l->d, E0306, place(l, s->value->at), "the state %s is %s, the new value is %s", s->name, is, describe(l, &v));
  report_note(l->d, entry->at, "declared here");
  if (node->type.rank > type->rank) report_help(l->d, "reduce it: mean(..., over: ...) or sum(...)");
  return NULL;
}

void do_assign(Lower *l, const Syntax *s) {
  Entry *entry = target_of_assignment(l, s);
  if (!entry || !entry->state) {
    eval(l, s->value);
    return;
  }
  Node *node = fitting(l, entry, s);
  if (!node || !l->training) return;
  Builder b = builder(l, s->value);
  node = b_stop(&b, node);
  if (entry->graph == l->graph) entry->value = tensor_value(node);
  Type outside = outermost_type(&node->type);
  node = renamed(l, tensor_value(node), &outside, join(l, entry->state, "new"), s->at).node;
  change_state(l, entry->state, node);
}
