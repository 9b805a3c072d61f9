/* phases.c - the training step, cut at its sequence points.
 *
 * An update changes weights in memory, so what stands before and behind it are
 * different graphs.  The frontend writes one graph, in which a weight before
 * and after its update are two leaves, so that gradients may run across; once
 * they are there, every node is given a phase and each phase becomes a graph:
 *
 *   - a node is computed in the phase that needs it first; what two need, in
 *     one that always runs, for `every 5 steps` a phase may be left out;
 *   - what reads weights as they were is computed before they change;
 *   - logs that stand behind an update but need nothing new come before it;
 *   - leaves and views are made anew in each phase; everything else that a
 *     later phase reads is handed on by an output, OUT_CARRY, and is an input there;
 *   - a loop is computed in one phase, and its results are handed on.
 *
 * Phases that compute nothing go; a step of one phase stays as it was written.
 */
#include <string.h>

#include "passes/internal.h"

enum { NOWHERE = -1 };

typedef struct Cut {
  PassContext *context;
  Program *program;
  Train *train;
  const Graph *whole;
  int n;          /* phases */
  int *first, *last; /* by id: the phases in which it can be computed, or read from memory, as it stands */
  bool *is_free;  /* by id: made of numbers alone, cheaper than memory */
  int *phase;     /* where it is computed; NOWHERE: nobody needs it */
  int *at;        /* by output: the phase that has it */
  bool *keeps;    /* by phase: it keeps weights for later as they were */
  Node ***made;   /* by phase and id */
  const char **carried; /* by id: the name under which it is handed on */
  int n_carried;
} Cut;

static bool is_kind(const Node *node, Kind kind) { return op_info[node->op].kind == kind; }
static bool changes(const Node *node) { return node->op == OP_param || node->op == OP_state; }

/* Not made anew wherever it is read: work was done for it.  A loop's results are one with the loop. */
static bool is_computed(const Node *node) { return node->op == OP_result || (!is_kind(node, LEAF) && !is_kind(node, VIEW)); }

/* The latest phase up to `phase` that always runs: the first does. */
static int always(const Cut *c, int phase) {
  while (c->train->phases[phase].every > 1) phase--;
  return phase;
}

/* ---- when leaves have their values ----------------------------------------- */

static int phase_of_update(const Cut *c, int update) {
  for (int i = 0; i < c->n; i++)
    if (c->train->phases[i].update == update) return i;
  return c->n - 1;
}

/* The phase at whose end the parameter moves for the time number `change`, counted from 0; the number of phases when
 * it never does. */
static int moved_in(const Cut *c, const char *path, int change) {
  for (int u = 0; u < c->train->n_updates; u++)
    for (int g = 0; g < c->train->updates[u].n_groups; g++) {
      const UpdateGroup *group = &c->train->updates[u].groups[g];
      for (int i = 0; i < group->n_params; i++)
        if (!strcmp(c->program->params[group->params[i]].path, path) && change-- == 0) return phase_of_update(c, u);
    }
  return c->n;
}

/* The same for a state's values. */
static int assigned_in(const Cut *c, const char *path, int change) {
  for (int o = 0; o < c->whole->n_outputs; o++) {
    const Output *output = &c->whole->outputs[o];
    if (output->role == OUT_STATE && !strcmp(output->name, path) && change-- == 0) return output->index;
  }
  return c->n;
}

static int least(int a, int b) { return a < b ? a : b; }

static void find_lives(Cut *c) {
  for (int i = 0; i < c->whole->n_nodes; i++) {
    const Node *node = c->whole->nodes[i];
    c->first[i] = 0, c->last[i] = c->n - 1;
    if (changes(node)) {
      int (*changed_in)(const Cut *, const char *, int) = node->op == OP_param ? moved_in : assigned_in;
      int change = node->attrs.index;
      if (change) c->first[i] = least(changed_in(c, node->attrs.path, change - 1), c->n - 2) + 1;
      c->last[i] = least(changed_in(c, node->attrs.path, change), c->n - 1);
    }
    c->is_free[i] = !is_computed(node) ? !changes(node) : is_kind(node, MAP);
    for (int k = 0; k < node->n_in; k++) {
      int operand = node->in[k]->id;
      c->is_free[i] &= c->is_free[operand] && node->in[k]->op != OP_input;
      if (c->first[operand] > c->first[i]) c->first[i] = c->first[operand];
      if (changes(node->in[k]) || is_kind(node->in[k], VIEW)) c->last[i] = least(c->last[i], c->last[operand]);
    }
  }
}

/* ---- where nodes are computed ------------------------------------------------- */

static void need(Cut *c, const Node *node, int phase) {
  int *at = &c->phase[node->id];
  if (*at == NOWHERE) *at = phase;
  else if (*at != phase) *at = always(c, least(*at, phase));
}

static int phase_of_output(const Cut *c, const Output *output) {
  switch (output->role) {
  case OUT_GRAD: return phase_of_update(c, output->index);
  case OUT_LOSS:
    for (int u = 0; u < c->train->n_updates; u++)
      if (!strcmp(c->train->updates[u].name, output->name)) return phase_of_update(c, u);
    return c->n - 1;
  case OUT_LOG: {
    int phase = output->index;
    if (c->train->phases[phase].every > 1) return phase;
    for (phase = c->first[output->node->id]; c->train->phases[phase].every > 1;) phase++; /* the last one always runs */
    return phase;
  }
  default: return output->index;
  }
}

static bool is_output(const Cut *c, const Node *node) {
  for (int o = 0; o < c->whole->n_outputs; o++)
    if (c->whole->outputs[o].node == node) return true;
  return false;
}

/* What is read in a phase in which memory no longer has it was handed on by one that has, and always runs. */
static void keep_for(Cut *c, const Node *node) {
  if (c->last[node->id] < c->phase[node->id]) c->keeps[always(c, c->last[node->id])] = true;
}

static void find_phases(Cut *c) {
  for (int o = 0; o < c->whole->n_outputs; o++)
    need(c, c->whole->outputs[o].node, c->at[o] = phase_of_output(c, &c->whole->outputs[o]));
  for (int i = c->whole->n_nodes - 1; i >= 0; i--) {
    const Node *node = c->whole->nodes[i];
    if (c->phase[i] == NOWHERE) continue;
    if (node->op == OP_result) {
      need(c, node->in[0], c->phase[i]);
      continue;
    }
    bool moves = is_computed(node);
    if (moves && c->last[i] < c->phase[i] && always(c, c->last[i]) >= c->first[i]) c->phase[i] = always(c, c->last[i]);
    if (moves || is_output(c, node)) keep_for(c, node);
    for (int k = 0; k < node->n_in; k++) need(c, node->in[k], c->phase[i]);
  }
  for (int i = 0; i < c->whole->n_nodes; i++) {
    const Node *node = c->whole->nodes[i];
    if (node->op != OP_result || c->phase[i] == NOWHERE) continue;
    c->phase[i] = c->phase[node->in[0]->id];
    keep_for(c, node);
  }
}

/* ---- a graph a phase -------------------------------------------------------------- */

static Node *made_in(Cut *c, int phase, Node *node);

/* As a leaf of `phase`, of a value that an earlier one computes. */
static Node *carry(Cut *c, int phase, Node *node, int from) {
  Arena *arena = c->program->arena;
  const char **name = &c->carried[node->id];
  if (!*name) {
    *name = arena_print(arena, "carry.%d", c->n_carried++);
    graph_output(c->train->phases[from].graph, OUT_CARRY, *name, made_in(c, from, node));
  }
  Attrs attrs = {.path = *name, .shape = node->type};
  return node_new(c->train->phases[phase].graph, OP_input, NULL, 0, &attrs, node->name, node->span);
}

static Node *again(Cut *c, int phase, Node *node) {
  Node **in = arena_alloc(c->program->arena, sizeof *in * (size_t)node->n_in);
  for (int k = 0; k < node->n_in; k++) in[k] = made_in(c, phase, node->in[k]);
  Attrs attrs = node->attrs;
  if (changes(node)) attrs.index = 0;
  Node *copy = node_new(c->train->phases[phase].graph, node->op, in, node->n_in, &attrs, node->name, node->span);
  for (int i = 0; i < node->n_aliases && copy->name == node->name; i++)
    LIST_PUSH(c->program->arena, copy->aliases, copy->n_aliases, node->aliases[i]);
  if (node->body) {
    copy->body = graph_new(c->program, node->body->name, c->train->phases[phase].graph);
    copy->body->rows = node->body->rows;
    graph_copy_whole(copy->body, node->body);
  }
  return copy;
}

static Node *made_in(Cut *c, int phase, Node *node) {
  Node **known = &c->made[phase][node->id];
  if (*known) return *known;
  if (changes(node)) {
    bool stands = c->first[node->id] <= phase && phase <= c->last[node->id];
    return *known = stands ? again(c, phase, node) : carry(c, phase, node, always(c, c->last[node->id]));
  }
  if (c->phase[node->id] == phase || is_kind(node, VIEW) || c->is_free[node->id]) return *known = again(c, phase, node);
  if (c->phase[node->id] > phase) fault("%s is asked for before its phase", node->name);
  return *known = carry(c, phase, node, c->phase[node->id]);
}

static void build(Cut *c, int phase) {
  Phase *p = &c->train->phases[phase];
  const char *name = c->whole->name;
  p->graph = graph_new(c->program, phase ? arena_print(c->program->arena, "%s.%d", name, phase) : name, NULL);
  p->graph->rows = c->whole->rows;
  for (int i = 0; i < c->whole->n_nodes; i++) {
    Node *node = c->whole->nodes[i];
    if (c->phase[i] == phase && is_computed(node)) made_in(c, phase, node);
  }
  for (int o = 0; o < c->whole->n_outputs; o++) {
    Output output = c->whole->outputs[o];
    if (c->at[o] != phase) continue;
    output.node = made_in(c, phase, output.node);
    if (output.role != OUT_GRAD) output.index = 0;
    LIST_PUSH(c->program->arena, p->graph->outputs, p->graph->n_outputs, output);
  }
}

/* Those with nothing to do go, and numbers close up. */
static void keep_used(Cut *c) {
  bool *used = c->keeps;
  int *now = arena_alloc(c->context->arena, sizeof *now * (size_t)c->n), n = 0;
  for (int o = 0; o < c->whole->n_outputs; o++) used[c->at[o]] = true;
  for (int i = 0; i < c->whole->n_nodes; i++)
    if (c->phase[i] != NOWHERE && is_computed(c->whole->nodes[i])) used[c->phase[i]] = true;
  for (int i = 0; i < c->n; i++) {
    now[i] = n;
    if (used[i] || c->train->phases[i].update >= 0) c->train->phases[n++] = c->train->phases[i];
  }
  for (int o = 0; o < c->whole->n_outputs; o++) c->at[o] = now[c->at[o]];
  for (int i = 0; i < c->whole->n_nodes; i++) {
    if (c->phase[i] != NOWHERE) c->phase[i] = now[c->phase[i]];
    bool whole_step = c->last[i] == c->n - 1;
    c->first[i] = now[c->first[i]];
    c->last[i] = whole_step ? n - 1 : now[c->last[i]];
  }
  c->n = c->train->n_phases = n;
}

/* A trainer says in the bits of a word which parts of a step run. */
static bool may_cut(const Cut *c) {
  if (c->n <= MAX_CUTS) return true;
  report(c->context->diagnostics, E0507, c->train->span, "the updates cut this step into %d parts, and there is room for %d", c->n,
         MAX_CUTS);
  return false;
}

static bool may_accumulate(const Cut *c) {
  if (c->train->accumulate == 1) return true;
  const Span *at = c->train->n_updates > 1 ? c->train->updates[1].span : c->train->span;
  report(c->context->diagnostics, E0507, at, "accumulate: takes one update, and nothing that is computed behind it");
  report_help(c->context->diagnostics, "take `accumulate` away, or make the batch larger");
  return false;
}

void cut_phases(PassContext *context) {
  Train *train = &context->program->train;
  Graph *whole = train->graph;
  if (train->n_phases < 2) {
    train->n_phases = 0;
    return;
  }
  graph_number(whole);
  Arena *arena = context->arena;
  size_t n = (size_t)whole->n_nodes + 1;
  Cut c = {.context = context, .program = context->program, .train = train, .whole = whole, .n = train->n_phases};
  c.first = arena_alloc(arena, n * sizeof *c.first), c.last = arena_alloc(arena, n * sizeof *c.last);
  c.phase = arena_alloc(arena, n * sizeof *c.phase), c.is_free = arena_alloc(arena, n);
  c.carried = arena_alloc(arena, n * sizeof *c.carried);
  c.at = arena_alloc(arena, (size_t)whole->n_outputs * sizeof *c.at);
  c.keeps = arena_alloc(arena, (size_t)c.n);
  for (size_t i = 0; i < n; i++) c.phase[i] = NOWHERE;
  find_lives(&c);
  find_phases(&c);
  keep_used(&c);
  if (c.n == 1) {
    train->n_phases = 0;
    for (int o = 0; o < whole->n_outputs; o++)
      if (whole->outputs[o].role != OUT_GRAD) whole->outputs[o].index = 0;
    return;
  }
  if (!may_accumulate(&c) || !may_cut(&c)) return;
  c.made = arena_alloc(arena, sizeof *c.made * (size_t)c.n);
  for (int i = 0; i < c.n; i++) c.made[i] = arena_alloc(arena, n * sizeof **c.made);
  for (int i = 0; i < c.n; i++) build(&c, i);
  for (int i = 0; i < c.n; i++) {
    graph_sort(train->phases[i].graph);
    graph_sweep(train->phases[i].graph);
    graph_number(train->phases[i].graph);
  }
  train->graph = train->phases[0].graph;
}
