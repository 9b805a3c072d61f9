/* plan.c - a place in memory for every stored value.
 *
 * Parameters lie in one block, in the order of the update groups, so that each
 * group is one contiguous range and an optimizer is one pass over it; their
 * gradients lie the same way in a second block.  States have a block of their
 * own, and their new values another of the same layout: the step's end moves
 * them over, so that old and new can both be read, and a step that comes to
 * nothing leaves no trace.  Results for the host have slots in the outputs block.  Everything else shares one arena a graph: a
 * value takes the best-fitting hole when its node runs and gives it back after
 * its last reader, and a kernel writes over an operand that dies there where it
 * reads that at the same element only.  The arena's size is therefore known, exactly, before the program
 * runs.  The body of a loop has an arena of its own, which is a block of its
 * parent's while the loop runs; what a turn puts out goes where the results are.  At -O0 no bytes are shared, for finding out whether sharing is at fault.
 */
#include <stdlib.h>
#include <string.h>

#include "passes/internal.h"

enum { PARAM_ALIGN = 64 /* elements */ };

static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* -- the parameter and state blocks ------------------------------------------- */

/* A place of its own even for a tensor without elements: addresses tell tensors apart. */
static int64_t block_size(const Type *type) {
  int64_t count = type_count(type);
  return round_up(count ? count : 1, PARAM_ALIGN);
}

static void place_param(Program *program, int i, bool *done) {
  if (done[i]) return;
  done[i] = true;
  program->params[i].offset = program->param_elements;
  program->param_elements += block_size(&program->params[i].type);
}

static void plan_blocks(Program *program, Arena *arena) {
  bool *done = arena_alloc(arena, (size_t)program->n_params);
  program->param_elements = 0;
  for (int u = 0; program->has_train && u < program->train.n_updates; u++) {
    const Update *update = &program->train.updates[u];
    for (int g = 0; g < update->n_groups; g++)
      for (int i = 0; i < update->groups[g].n_params; i++) place_param(program, update->groups[g].params[i], done);
  }
  for (int i = 0; i < program->n_params; i++) place_param(program, i, done); /* those nothing updates */
  int64_t states = 0;
  for (int i = 0; i < program->n_states; i++) {
    program->states[i].offset = states;
    states += block_size(&program->states[i].type);
  }
}

/* Where each path lies: sorted, for bsearch. */
typedef struct Place {
  const char *path;
  int64_t offset;
} Place;
typedef struct Places {
  int n;
  Place *at;
} Places;

static int by_path(const void *a, const void *b) { return strcmp(((const Place *)a)->path, ((const Place *)b)->path); }

static int64_t find_place(const Places *places, const char *path) {
  Place key = {path, 0};
  const Place *found = places->n ? bsearch(&key, places->at, (size_t)places->n, sizeof key, by_path) : NULL;
  if (!found) fault("plan: nothing is declared as %s", path);
  return found->offset;
}

static void sort_places(Places *places) {
  if (places->n) qsort(places->at, (size_t)places->n, sizeof *places->at, by_path);
}

/* -- the arena: holes and the end ----------------------------------------------- */

typedef struct Hole { int64_t offset, size; } Hole;
typedef struct Space {
  Arena *arena;
  int n;
  Hole *hole;      /* by offset, never touching one another */
  int64_t end;     /* bytes so far: the peak */
} Space;

static void remove_hole(Space *s, int i) {
  memmove(s->hole + i, s->hole + i + 1, (size_t)(s->n - i - 1) * sizeof *s->hole);
  s->n--;
}

static int64_t take(Space *s, int64_t size) {
  int best = -1;
  for (int i = 0; i < s->n; i++)
    if (s->hole[i].size >= size && (best < 0 || s->hole[i].size < s->hole[best].size)) best = i;
  if (best >= 0) {
    int64_t offset = s->hole[best].offset;
    s->hole[best].offset += size;
    s->hole[best].size -= size;
    if (s->hole[best].size == 0) remove_hole(s, best);
    return offset;
  }
  int64_t offset = s->end;
  if (s->n && s->hole[s->n - 1].offset + s->hole[s->n - 1].size == s->end) offset = s->hole[--s->n].offset;
  s->end = offset + size;
  return offset;
}

static void give(Space *s, int64_t offset, int64_t size) {
  if (size == 0) return;
  int i = 0;
  while (i < s->n && s->hole[i].offset < offset) i++;
  bool before = i > 0 && s->hole[i - 1].offset + s->hole[i - 1].size == offset;
  bool after = i < s->n && offset + size == s->hole[i].offset;
  if (before && after) {
    s->hole[i - 1].size += size + s->hole[i].size;
    remove_hole(s, i);
  } else if (before) {
    s->hole[i - 1].size += size;
  } else if (after) {
    s->hole[i].offset = offset;
    s->hole[i].size += size;
  } else {
    s->hole = arena_grow(s->arena, s->hole, s->n, sizeof *s->hole);
    memmove(s->hole + i + 1, s->hole + i, (size_t)(s->n - i) * sizeof *s->hole);
    s->hole[i] = (Hole){offset, size};
    s->n++;
  }
}

/* -- one graph -------------------------------------------------------------------- */

typedef struct Planner {
  const Program *program;
  Graph *graph;
  Arena *arena;
  Places params, states, carries; /* carries: of the training step; they have the front of its arena */
  int64_t slots;                  /* outputs that earlier phases of the step have taken */
  int *root;     /* whose bytes a node stands for */
  int *death;    /* position of the last node that reads a root */
  bool *moved;   /* its bytes have gone to an in-place result */
  Space space;
  bool reuse;
} Planner;

/* A node is taken as written when its group runs, not when its result is listed. */
static int unit(const Node *n) { return n->op == OP_result ? n->in[0]->id : n->id; }

static bool is_carried(const Planner *p, const Node *leaf) {
  Place key = {leaf->attrs.path, 0};
  return p->carries.n && bsearch(&key, p->carries.at, (size_t)p->carries.n, sizeof key, by_path);
}

static void place_leaf(Planner *p, Node *n) {
  switch (n->op) {
  case OP_input:
    n->home = is_carried(p, n) ? HOME_ARENA : p->graph->parent ? HOME_OPERAND : HOME_INPUT;
    if (n->home == HOME_ARENA) n->offset = find_place(&p->carries, n->attrs.path);
    break;
  case OP_param: n->home = HOME_PARAM, n->offset = find_place(&p->params, n->attrs.path); break;
  case OP_state: n->home = HOME_STATE, n->offset = find_place(&p->states, n->attrs.path); break;
  case OP_result: n->home = HOME_ARENA; break;
  default: break;
  }
}

static void place_homes(Planner *p) {
  Graph *graph = p->graph;
  for (int i = 0; i < graph->n_nodes; i++) {
    Node *n = graph->nodes[i];
    n->home = HOME_NONE, n->offset = 0;
    Kind kind = op_info[n->op].kind;
    if (kind == LEAF) place_leaf(p, n);
    else if (kind == VIEW) n->home = HOME_ALIAS;
    else if (kind == LOOP ? loop_bytes(n) > 0 : kind != GROUP) n->home = HOME_ARENA;
  }
  int64_t slot = p->slots;
  for (int i = 0; i < graph->n_outputs; i++) {
    Output *output = &graph->outputs[i];
    Node *n = output->node;
    if (graph->parent) {
      n->home = HOME_RESULT, n->offset = i;
    } else if (output->role == OUT_STATE) {
      n->home = HOME_NEXT, n->offset = find_place(&p->states, output->name);
    } else if (output->role == OUT_CARRY) {
      n->home = HOME_ARENA, n->offset = find_place(&p->carries, output->name);
    } else if (output->role == OUT_GRAD) {
      n->home = HOME_GRAD, n->offset = find_place(&p->params, output->name);
    } else {
      n->home = HOME_OUTPUT, n->offset = slot;
      slot += type_count(&n->type);
    }
  }
  p->slots = slot;
}

static void find_deaths(Planner *p) {
  Graph *graph = p->graph;
  for (int i = 0; i < graph->n_nodes; i++) {
    const Node *n = graph->nodes[i];
    p->root[i] = n->home == HOME_ALIAS ? p->root[n->in[0]->id] : i;
    p->death[i] = i;
    for (int k = 0; k < n->n_in; k++)
      if (n->op != OP_result && n->home != HOME_ALIAS) p->death[p->root[n->in[k]->id]] = i;
  }
  for (int i = 0; i < graph->n_outputs; i++) p->death[p->root[graph->outputs[i].node->id]] = graph->n_nodes;
}

/* At the front of the arena, for the whole step: what phases hand on. */
static bool is_fixed(const Planner *p, const Node *n) {
  if (n->op == OP_input) return true;
  for (int i = 0; p->carries.n && i < p->graph->n_outputs; i++)
    if (p->graph->outputs[i].role == OUT_CARRY && p->graph->outputs[i].node == n) return true;
  return false;
}

/* The operand whose bytes a full result may take over. */
static const Node *find_dying(Planner *p, const Node *group, const Node *result) {
  if (group->attrs.pattern == PATTERN_MATMUL) return NULL; /* its product may be put where the result goes */
  if (group->attrs.pattern == PATTERN_COLUMN || !type_same_shape(&result->type, &group->attrs.space)) return NULL;
  for (int k = 0; k < group->n_in; k++) {
    const Node *in = group->in[k];
    int root = p->root[in->id];
    if (in->home != HOME_ARENA || is_fixed(p, p->graph->nodes[root]) || p->death[root] != group->id || p->moved[root]) continue;
    /* An int lies elsewhere than a float at the same index once reals are doubles. */
    if (type_bytes(&in->type) != type_bytes(&result->type) || in->type.dtype != result->type.dtype) continue;
    if (fuse_reads_at_the_point(group, k, p->arena)) return in;
  }
  return NULL;
}

static int64_t arena_size(const Node *n) {
  return op_info[n->op].kind == LOOP ? loop_bytes(n) : round_up(type_bytes(&n->type), ARENA_ALIGN);
}

static void place_result(Planner *p, Node *n) {
  if (n->home != HOME_ARENA || is_fixed(p, n)) return;
  const Node *dying = p->reuse && n->op == OP_result && n->in[0]->op == OP_group ? find_dying(p, n->in[0], n) : NULL;
  if (dying) {
    p->moved[p->root[dying->id]] = true;
    n->offset = dying->offset;
  } else {
    n->offset = take(&p->space, arena_size(n));
  }
}

/* Give back what dies when node `at` runs. */
static void release(Planner *p, const Node *at) {
  for (int k = 0; p->reuse && k < at->n_in; k++) {
    int root = p->root[at->in[k]->id];
    const Node *value = p->graph->nodes[root];
    if (value->home != HOME_ARENA || is_fixed(p, value) || p->death[root] != at->id || p->moved[root]) continue;
    p->moved[root] = true;
    give(&p->space, value->offset, arena_size(value));
  }
}

/* A group's results follow it, so all of them are placed before its operands go. */
static void place_arena(Planner *p) {
  Graph *graph = p->graph;
  for (int i = 0; i < graph->n_nodes;) {
    Node *n = graph->nodes[i];
    int next = i + 1;
    while (next < graph->n_nodes && graph->nodes[next]->op == OP_result && unit(graph->nodes[next]) == i) next++;
    for (int r = i; r < next; r++) place_result(p, graph->nodes[r]);
    if (n->home != HOME_ALIAS) release(p, n);
    for (int r = i; p->reuse && r < next; r++) /* read by nobody, or a loop's own block */
      if (graph->nodes[r]->home == HOME_ARENA && !is_fixed(p, graph->nodes[r]) && p->death[r] == r) give(&p->space, graph->nodes[r]->offset, arena_size(graph->nodes[r]));
    i = next;
  }
  graph->arena_bytes = p->space.end;
}

/* A loop's results have a place each, read or not. */
static void complete_results(Graph *graph, Arena *arena) {
  for (int i = 0, n = graph->n_nodes; i < n; i++) {
    Node *loop = graph->nodes[i];
    if (op_info[loop->op].kind != LOOP) continue;
    bool *there = arena_alloc(arena, (size_t)loop->body->n_outputs + 1);
    for (int r = 0; r < n; r++)
      if (graph->nodes[r]->op == OP_result && graph->nodes[r]->in[0] == loop) there[graph->nodes[r]->attrs.index] = true;
    for (int k = 0; k < loop->body->n_outputs; k++) {
      Attrs attrs = {.index = k, .shape = result_type(loop, k)};
      if (!there[k]) node_new(graph, OP_result, &loop, 1, &attrs, loop->body->outputs[k].node->name, loop->span);
    }
  }
  graph_number(graph);
}

/* Results right behind their group or loop, whatever order the graph came in. */
static void gather_results(Graph *graph, Arena *arena) {
  Node **nodes = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *nodes);
  int *first = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *first), *next = arena_alloc(arena, (size_t)graph->n_nodes * sizeof *next);
  int count = 0;
  for (int i = 0; i < graph->n_nodes; i++) first[i] = -1;
  for (int i = graph->n_nodes - 1; i >= 0; i--)
    if (graph->nodes[i]->op == OP_result) {
      int group = graph->nodes[i]->in[0]->id;
      next[i] = first[group], first[group] = i;
    }
  for (int i = 0; i < graph->n_nodes; i++) {
    if (graph->nodes[i]->op == OP_result) continue;
    nodes[count++] = graph->nodes[i];
    for (int r = first[i]; r >= 0; r = next[r]) nodes[count++] = graph->nodes[r];
  }
  memcpy(graph->nodes, nodes, (size_t)count * sizeof *nodes);
  graph_number(graph);
}

static int64_t plan_graph(PassContext *context, Graph *graph, Planner p) {
  Arena *arena = arena_new();
  graph_number(graph);
  complete_results(graph, arena);
  gather_results(graph, arena);
  p.graph = graph, p.arena = arena;
  size_t n = (size_t)graph->n_nodes;
  p.root = arena_alloc(arena, n * sizeof *p.root);
  p.death = arena_alloc(arena, n * sizeof *p.death);
  p.moved = arena_alloc(arena, n * sizeof *p.moved);
  p.space.arena = arena;
  p.space.end = p.carries.n ? context->program->train.carry_bytes : 0;
  p.reuse = context->level > 0;
  place_homes(&p);
  find_deaths(&p);
  place_arena(&p);
  arena_free(arena);
  return p.slots;
}

static Places plan_carries(Program *program, Arena *arena) {
  Places carries = {0};
  program->train.carry_bytes = 0;
  for (int i = 0; i < program->train.n_phases; i++) {
    const Graph *graph = program->train.phases[i].graph;
    for (int o = 0; o < graph->n_outputs; o++) {
      if (graph->outputs[o].role != OUT_CARRY) continue;
      Place place = {graph->outputs[o].name, program->train.carry_bytes};
      carries.at = arena_grow(arena, carries.at, carries.n, sizeof *carries.at);
      carries.at[carries.n++] = place;
      program->train.carry_bytes += arena_size(graph->outputs[o].node);
    }
  }
  sort_places(&carries);
  return carries;
}

void pass_plan(PassContext *context) {
  Program *program = context->program;
  Arena *arena = arena_new();
  plan_blocks(program, arena);
  Places params = {0}, states = {0};
  params.at = arena_alloc(arena, (size_t)program->n_params * sizeof *params.at);
  states.at = arena_alloc(arena, (size_t)program->n_states * sizeof *states.at);
  for (; params.n < program->n_params; params.n++)
    params.at[params.n] = (Place){program->params[params.n].path, program->params[params.n].offset};
  for (; states.n < program->n_states; states.n++)
    states.at[states.n] = (Place){program->states[states.n].path, program->states[states.n].offset};
  sort_places(&params);
  sort_places(&states);
  Places carries = plan_carries(program, arena);
  Graph **graphs = program_graphs(program);
  int64_t slots = 0;
  for (int i = 0; graphs[i]; i++) {
    Planner p = {.program = program, .params = params, .states = states};
    bool trains = is_train_graph(program, graphs[i]);
    if (trains) p.carries = carries, p.slots = slots;
    int64_t after = graphs[i] != program->schedule ? plan_graph(context, graphs[i], p) : 0;
    if (trains) slots = after;
  }
  arena_free(arena);
}
